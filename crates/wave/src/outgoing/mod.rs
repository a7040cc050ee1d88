//! Carrying messages out: each at most once.
//!
//! A row of `wave_outgoing` is `waiting` until a worker takes it: then it is `sending`, which is durable before the engine is asked, under
//! a lease that the worker renews. What the engine says ends it (the row goes, the message knows) or puts it back to wait. A lease that
//! ran out means that a worker died in between: the engine is asked what became of the message, and when it cannot say, the row is
//! `unknown`. It is never sent again blindly; later news of the message resolves it ([`crate::message::progress`]).

mod late;
pub mod store;

use std::sync::Arc;
use std::time::Duration;

use loopd_kernel::{Kernel, Tenant};
use loopd_store::{Engine as Database, Reader, Tx};
use loopd_types::{Problem, Result, SECOND_US, Timestamp};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use crate::Wave;
use crate::chat;
use crate::engine::{Engine, Failure, Fate, Outgoing, Sent, Signal, Unsent};
use crate::limit::{self, Limits, Wait};
use crate::message::{OPTED_OUT, Origin};
use crate::number::{self, Number};
use crate::window;
use store::Claimed;

/// How long a worker may be silent before another asks what became of its message.
pub const LEASE_US: i64 = 6 * SECOND_US;
const RENEW: Duration = Duration::from_secs(2);
/// How often the table is looked at when nothing wakes the worker.
const POLL: Duration = Duration::from_millis(500);
/// Handed over at once by one process.
const LANES: usize = 32;
/// How long a message waits before it looks again for a line that is not ready.
const NOT_READY_US: i64 = 3 * SECOND_US;

/// Rung when something is due. One for the process: a bell that rings once too often costs a look.
static BELL: Notify = Notify::const_new();

/// Has the workers of this process look after the commit.
pub fn ring(tx: &mut Tx<'_>) {
    tx.on_commit(|| BELL.notify_waiters());
}

/// Carries what is due until `stop`; what is being handed over then is finished first.
pub async fn run(wave: Arc<Wave>, kernel: Arc<Kernel>, mut stop: watch::Receiver<bool>) {
    let owner = kernel.new_id().to_string();
    if kernel.db.engine() == Database::Sqlite
        && let Err(problem) = store::orphan_all(&kernel).await
    {
        tracing::warn!(
            cause = problem.cause(),
            "messages that were being sent could not be looked at; their leases run out"
        );
    }
    let mut lanes = JoinSet::new();
    while !*stop.borrow() {
        // Asked for before the table is read: what is rung meanwhile is not missed.
        let rung = BELL.notified();
        while lanes.try_join_next().is_some() {}
        let free = LANES - lanes.len();
        let claimed = match take_up(&kernel, &owner, free).await {
            Ok(claimed) => claimed,
            Err(problem) => {
                tracing::warn!(cause = problem.cause(), "messages that shall go out could not be looked at");
                Vec::new()
            }
        };
        let may_be_more = !claimed.is_empty() && claimed.len() == free;
        for claimed in claimed {
            lanes.spawn(carry(wave.clone(), kernel.clone(), owner.clone(), claimed));
        }
        if may_be_more && lanes.len() < LANES {
            continue;
        }
        tokio::select! {
            () = rung => {}
            () = tokio::time::sleep(POLL) => {}
            // A lane that is free again may go on with the next of its chat at once.
            Some(_) = lanes.join_next() => {}
            _ = stop.changed() => {}
        }
    }
    while lanes.join_next().await.is_some() {}
}

/// Carries what is due now, and waits for it; how many. Tests call it.
///
/// # Errors
/// The database's.
pub async fn run_due(wave: &Arc<Wave>, kernel: &Arc<Kernel>) -> Result<usize> {
    let owner = kernel.new_id().to_string();
    let claimed = take_up(kernel, &owner, LANES).await?;
    let mut lanes = JoinSet::new();
    for claimed in claimed {
        lanes.spawn(carry(wave.clone(), kernel.clone(), owner.clone(), claimed));
    }
    Ok(lanes.join_all().await.len())
}

async fn take_up(kernel: &Arc<Kernel>, owner: &str, most: usize) -> Result<Vec<Claimed>> {
    if most == 0 {
        return Ok(Vec::new());
    }
    store::claim(kernel, owner, most).await
}

/// Hands one message over and writes down what became of it.
async fn carry(wave: Arc<Wave>, kernel: Arc<Kernel>, owner: String, claimed: Claimed) {
    let message = claimed.outgoing.message;
    if let Err(problem) = carried(&wave, &kernel, &owner, claimed).await {
        // Its lease runs out, and what became of it is asked.
        tracing::warn!(%message, cause = problem.cause(), "a message could not be carried on");
    }
}

async fn carried(wave: &Wave, kernel: &Arc<Kernel>, owner: &str, claimed: Claimed) -> Result<()> {
    wave.settings.failpoint.at("taken-up");
    let Some(access) = kernel.company_access(claimed.company).await? else {
        return Err(Problem::internal("a message of no company"));
    };
    let tenant = Arc::new(Tenant::system(access, "loopwave"));
    let (company, id) = (claimed.company, claimed.number);
    let number = kernel.db.read(tenant.view(), move |reader| Ok(number::find(reader, company, id)?)).await?;
    let engine = number.as_ref().and_then(|number| wave.engine(&number.engine));
    let (Some(number), Some(engine)) = (number, engine) else {
        let failure = Failure {
            code: "number_removed".to_owned(),
            words: "The number that should send this is no longer linked.".to_owned(),
        };
        return store::refused(kernel, &tenant, &claimed, &failure, Signal::None).await;
    };
    if claimed.is_orphan {
        let fate = engine.look_up(kernel, &number, &claimed.outgoing).await;
        return match fate {
            Fate::Sent(sent) => store::sent(kernel, &tenant, &claimed, &sent).await,
            Fate::NotSent => store::again(kernel, &claimed, kernel.now(), "interrupted", true).await,
            Fate::Unknown => store::unknown(kernel, &tenant, &claimed).await,
        };
    }
    let now = kernel.now();
    if claimed.expires_at.is_some_and(|until| until <= now) {
        return store::refused(kernel, &tenant, &claimed, &late::failure(claimed.waits_for.as_deref()), Signal::None)
            .await;
    }
    if let Some(failure) = overtaken(kernel, &tenant, &claimed).await? {
        return store::refused(kernel, &tenant, &claimed, &failure, Signal::None).await;
    }
    if !number.is_ready() {
        return store::again(kernel, &claimed, now.plus(NOT_READY_US), limit::NOT_READY, false).await;
    }
    let limits = engine.limits(&number);
    if let Some(held) = held_back(kernel, &tenant, &claimed, limits.as_ref(), now).await? {
        return match held {
            Held::Closed => store::refused(kernel, &tenant, &claimed, &window::closed(), Signal::None).await,
            Held::Wait(wait) => store::again(kernel, &claimed, wait.until, wait.why, false).await,
        };
    }
    match hand_over(kernel, owner, engine, &number, &claimed.outgoing).await? {
        Ok(sent) => {
            store::sent(kernel, &tenant, &claimed, &sent).await?;
            wave.settings.failpoint.at("written");
            Ok(())
        }
        Err(Unsent::Later { failure, after, signal }) => {
            tracing::debug!(message = %claimed.outgoing.message, code = failure.code, "a message goes later");
            if signal != Signal::None {
                store::signalled(kernel, &tenant, claimed.number, &failure, signal).await?;
            }
            let until = kernel.now().plus(i64::try_from(after.as_micros()).unwrap_or(i64::MAX / 4));
            if let Some(limits) = limits {
                rest(kernel, &tenant, &claimed, limits, &failure.code, until).await?;
            }
            store::again(kernel, &claimed, until, &failure.code, true).await
        }
        Err(Unsent::Refused { failure, signal }) => store::refused(kernel, &tenant, &claimed, &failure, signal).await,
        Err(Unsent::Unknown { words }) => {
            tracing::warn!(message = %claimed.outgoing.message, words, "nobody knows whether a message went out");
            store::unknown(kernel, &tenant, &claimed).await
        }
    }
}

/// Why nobody wants any more what no person wrote: it waited, and meanwhile somebody of the shop answered, or the customer asked not to be
/// written to.
async fn overtaken(kernel: &Arc<Kernel>, tenant: &Arc<Tenant>, claimed: &Claimed) -> Result<Option<Failure>> {
    let (company, message) = (claimed.company, claimed.outgoing.message);
    let read = move |reader: &mut Reader<'_>| Ok(store::meanwhile(reader, company, message)?);
    let Some(meanwhile) = kernel.db.read(tenant.view(), read).await? else { return Ok(None) };
    let failure = |code: &str, words: &str| Failure { code: code.to_owned(), words: words.to_owned() };
    Ok(if meanwhile.is_opted_out && meanwhile.origin.is_by_itself() {
        Some(failure(OPTED_OUT, "This person asked not to be written to before this went out."))
    } else if meanwhile.is_answered && meanwhile.origin == Origin::Automation {
        Some(failure("person_answered", "Somebody of the team answered before this automatic reply went out."))
    } else {
        None
    })
}

/// Why a message is not handed over now.
enum Held {
    /// The customer's window is closed, and it is no template.
    Closed,
    Wait(Wait),
}

/// What WhatsApp would not take, or count against the line: looked at before it is asked. Otherwise the message's turn is taken.
async fn held_back(
    kernel: &Arc<Kernel>,
    tenant: &Arc<Tenant>,
    claimed: &Claimed,
    limits: Option<&Limits>,
    now: Timestamp,
) -> Result<Option<Held>> {
    let Some(limits) = limits.cloned() else { return Ok(None) };
    let (company, number, chat) = (claimed.company, claimed.number, claimed.chat);
    let (to, content) = (claimed.outgoing.to.clone(), claimed.outgoing.content.clone());
    kernel
        .db
        .write(tenant.view(), move |tx| {
            let Some(chat) = chat::find(tx, company, chat)? else { return Ok(None) };
            if !window::allows(&chat, &content, now) {
                return Ok(Some(Held::Closed));
            }
            // Where people may be written to at any time, nobody counts who is written to first.
            let is_first = window::has_window(&chat) && window::open_until(&chat).is_none_or(|until| until <= now);
            let taken = limit::store::take(tx, company, number, &limits, &to, is_first, now)?;
            Ok(taken.err().map(Held::Wait))
        })
        .await
}

/// WhatsApp itself says that it is too much: the whole line rests, or what goes to this person.
async fn rest(
    kernel: &Arc<Kernel>,
    tenant: &Arc<Tenant>,
    claimed: &Claimed,
    limits: Limits,
    code: &str,
    until: Timestamp,
) -> Result<()> {
    let about = match code {
        limit::THROTTLED => None,
        limit::PAIR_LIMITED => Some(claimed.outgoing.to.clone()),
        _ => return Ok(()),
    };
    let (company, number) = (claimed.company, claimed.number);
    let held = kernel
        .db
        .write(tenant.view(), move |tx| Ok(limit::store::hold(tx, company, number, &limits, about.as_ref(), until)?));
    held.await
}

/// Asks the engine, and keeps the lease meanwhile.
async fn hand_over(
    kernel: &Arc<Kernel>,
    owner: &str,
    engine: &Arc<dyn Engine>,
    number: &Number,
    outgoing: &Outgoing,
) -> Result<Result<Sent, Unsent>> {
    let mut sending = engine.send(kernel, number, outgoing);
    loop {
        tokio::select! {
            outcome = &mut sending => return Ok(outcome),
            () = tokio::time::sleep(RENEW) => store::renew(kernel, number.company, outgoing.message, owner).await?,
        }
    }
}
