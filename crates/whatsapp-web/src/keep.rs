//! Which lines this node holds: it takes those that nobody holds, renews its leases, connects again what was lost, and lets go of what
//! was unlinked or taken over.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use loopd_kernel::Kernel;
use loopd_store::{Engine as Database, View};
use loopd_types::{Result, Rng};
use loopd_wave::engine::web::store::lease;
use loopd_wave::engine::web::store::state::{self, Whose};
use loopd_wave::number::{self, State};
use tokio::sync::watch;

use crate::backoff;
use crate::engine::Web;
use crate::line::Line;
use crate::told::{self, Ended};

/// How often leases are renewed and lines are looked for.
const TICK: Duration = Duration::from_secs(5);
/// Lines that one node takes at once: each is a connection and some megabytes.
const MOST: usize = 50;
/// How long a code is shown, and shown anew, before somebody must ask for it again.
const UNLINKED: Duration = Duration::from_secs(5 * 60);
/// How long a connection must have lasted for the next failure to be the first.
const STEADY_US: i64 = 60 * loopd_types::SECOND_US;
/// How long the lines may take to end with the server.
const ENDING: Duration = Duration::from_secs(15);

impl Web {
    /// Holds lines until `stop`.
    pub(crate) async fn hold_lines(self: Arc<Self>, kernel: Arc<Kernel>, mut stop: watch::Receiver<bool>) {
        if kernel.db.engine() == Database::Sqlite
            && let Err(problem) = lease::release_all(&kernel).await
        {
            tracing::warn!(cause = problem.cause(), "lines of the last process are held until their leases run out");
        }
        while !*stop.borrow() {
            if let Err(problem) = self.tick(&kernel).await {
                tracing::warn!(cause = problem.cause(), "the lines of linked devices could not be looked at");
            }
            tokio::select! {
                () = tokio::time::sleep(TICK) => {}
                _ = stop.changed() => {}
            }
        }
        self.end_all().await;
    }

    /// One look: leases are renewed, lines are taken and let go. Tests call it.
    ///
    /// # Errors
    /// The database's.
    pub async fn tick(self: &Arc<Self>, kernel: &Arc<Kernel>) -> Result<()> {
        // Looked at before the leases are: a line that is opened meanwhile is not taken for one that was lost.
        let lines = self.lines();
        if !lines.is_empty() {
            let held: HashSet<Whose> = lease::renew(kernel, self.owner()).await?.into_iter().collect();
            for line in &lines {
                if held.contains(&line.whose) {
                    reconcile(line).await?;
                } else {
                    self.let_go(kernel, line).await?;
                }
            }
        }
        for whose in lease::claim(kernel, self.owner(), MOST.saturating_sub(lines.len())).await? {
            self.open(kernel, whose);
        }
        lease::sweep(kernel).await
    }

    /// The line, connected or being connected. Its lease is this node's.
    pub(crate) fn open(self: &Arc<Self>, kernel: &Arc<Kernel>, whose: Whose) -> Arc<Line> {
        let (line, is_new) = self.line_or(whose, || Line::new(kernel.clone(), self.shared(), whose));
        if is_new {
            let (web, running) = (self.clone(), line.clone());
            self.spawn(async move {
                let driven = running.clone();
                // Whatever becomes of it, the line is let go of: a lease that is renewed for nobody would keep it dead.
                if tokio::spawn(async move { drive(&driven).await }).await.is_err() {
                    tracing::error!(number = %running.whose.number, "a line ended in a panic");
                }
                web.remove(&running);
                let (whose, owner) = (running.whose, web.owner().to_owned());
                let released = running
                    .kernel
                    .db
                    .write(View::Company(whose.company), move |tx| Ok(lease::release(tx, whose, &owner)?));
                if let Err(problem) = released.await {
                    tracing::warn!(cause = problem.cause(), "a line could not be let go of; its lease runs out");
                }
            });
        }
        line
    }

    /// A line that is no longer this node's: one that was unlinked is told so to WhatsApp, one that another node holds is just left.
    async fn let_go(&self, kernel: &Arc<Kernel>, line: &Arc<Line>) -> Result<()> {
        let whose = line.whose;
        let is_there = kernel.db.read(View::Company(whose.company), move |reader| {
            Ok(number::find(reader, whose.company, whose.number)?.is_some())
        });
        if !is_there.await? {
            log_out(line).await;
            let forgotten = kernel.db.write(View::Company(whose.company), move |tx| Ok(state::forget(tx, whose)?));
            forgotten.await?;
        }
        line.stop.send_replace(true);
        Ok(())
    }

    /// Ends every line, as WhatsApp wants connections ended.
    async fn end_all(&self) {
        for line in self.lines() {
            line.stop.send_replace(true);
        }
        if tokio::time::timeout(ENDING, self.ended()).await.is_err() {
            tracing::warn!("some lines did not end in time; WhatsApp sends again what they did not acknowledge");
        }
    }
}

/// Takes the device off the telephone's list, if that can be said now.
pub(crate) async fn log_out(line: &Arc<Line>) {
    if let Some(client) = line.client()
        && tokio::time::timeout(ENDING, client.logout()).await.is_err()
    {
        tracing::warn!(number = %line.whose.number, "WhatsApp was not told that a number is unlinked");
    }
}

/// What stands in the database is what this node knows: something written later than it was meant is put right.
async fn reconcile(line: &Arc<Line>) -> Result<()> {
    let (whose, known) = (line.whose, line.status.borrow().clone());
    let view = View::Company(whose.company);
    let found = line.kernel.db.read(view, move |reader| Ok(number::find(reader, whose.company, whose.number)?)).await?;
    // A code has its time, and is not shown again when that is over. What the watchdog found dead is not called ready.
    let is_sure = match known.state {
        State::Qr => false,
        State::Ready => line.connected().is_some(),
        _ => true,
    };
    if !is_sure || found.is_none_or(|number| number.state == known.state) {
        return Ok(());
    }
    told::write(&line.kernel, whose, &told::Told { change: Some(known), ..told::Told::default() }).await
}

/// Connects a line again and again, until there is no sense in it.
async fn drive(line: &Arc<Line>) {
    let mut stop = line.stop.subscribe();
    let mut failures = 0;
    loop {
        let began = line.kernel.now();
        let ended = lived(line).await;
        let wait = match ended {
            Ended::Stopped | Ended::NotScanned => return,
            Ended::LoggedOut => return forgotten(line).await,
            Ended::Banned(until) => {
                until.micros().saturating_sub(line.kernel.now().micros()).max(0) + backoff::later_than(chance(line))
            }
            Ended::Refused => backoff::long(chance(line)),
            Ended::Lost => {
                if line.kernel.now().micros() - began.micros() >= STEADY_US {
                    failures = 0;
                }
                failures += 1;
                backoff::after(failures - 1, chance(line))
            }
        };
        tokio::select! {
            () = pause(wait) => {}
            () = line.wake.notified() => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        line.say(State::Connecting, "WhatsApp is being called again.").await;
    }
}

/// What a client wrote while it ended opens nothing any more, either.
async fn forgotten(line: &Arc<Line>) {
    let whose = line.whose;
    let forgotten = line.kernel.db.write(View::Company(whose.company), move |tx| Ok(state::forget(tx, whose)?));
    if let Err(problem) = forgotten.await {
        tracing::warn!(cause = problem.cause(), "what an unlinked device kept could not be removed");
    }
}

/// One life of the client; one whose number nobody links in time is ended.
async fn lived(line: &Arc<Line>) -> Ended {
    let living = line.live();
    tokio::pin!(living);
    let ended = tokio::select! {
        ended = &mut living => ended,
        () = unlinked(line) => {
            line.stop.send_replace(true);
            let _ = living.await;
            line.say(State::Disconnected, "Nobody linked the number. Connect it again.").await;
            Ok(Ended::NotScanned)
        }
    };
    ended.unwrap_or_else(|problem| {
        tracing::warn!(cause = problem.cause(), "a line could not be connected");
        Ended::Lost
    })
}

/// Resolves when a line that no telephone has linked was shown for long enough.
async fn unlinked(line: &Arc<Line>) {
    tokio::time::sleep(UNLINKED).await;
    let is_linked = || line.client().is_some_and(|client| client.pn().is_some());
    while is_linked() {
        tokio::time::sleep(UNLINKED).await;
    }
}

async fn pause(micros: i64) {
    tokio::time::sleep(Duration::from_micros(micros.max(0).unsigned_abs())).await;
}

fn chance(line: &Line) -> u32 {
    let mut bytes = [0; 4];
    let rng: &dyn Rng = line.kernel.rng.as_ref();
    rng.fill(&mut bytes);
    u32::from_be_bytes(bytes)
}
