//! What is left of an erasure after its first transaction: logs are gone through, a batch a transaction, and the person is told.

use std::sync::Arc;
use std::time::Duration;

use loopd_store::{Reader, StoreError, Tx, Value, View, params};
use loopd_types::{CompanyId, MINUTE_US, Problem, Result, Timestamp, Uuid};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::places::ground;
use super::search::{self, Task};
use super::wanted::{Scope, Wanted};
use super::{identities, person, records, report, sent};
use crate::audit::INSTALLATION;
use crate::job::{self, NewJob, Runner};
use crate::{Kernel, company};

const KIND: &str = "erasure.go-on";
/// Rows of one transaction.
const BATCH: usize = 200;
/// Rows that are looked at by one read.
const WINDOW: usize = 2_000;
/// How long the job waits for the letter before it looks again a minute later.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is to be gone through, and what was.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Progress {
    /// The account, and those that it absorbed.
    pub people: Vec<Uuid>,
    pub companies: Vec<i64>,
    /// How logs name what is about them.
    pub about: Vec<String>,
    /// That tells them; its address is the last to go.
    pub letter: Option<Uuid>,
    /// `<company>:<table>`
    pub done: Vec<String>,
    /// How far the table is that is gone through now.
    #[serde(default)]
    pub at: Option<Position>,
}

impl Progress {
    pub(super) fn is_done(&self, company: CompanyId, table: &str) -> bool {
        self.done.contains(&step(company, table))
    }
}

/// A row, and all before it in the order of the table's key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Position {
    pub table: String,
    pub key: Vec<Json>,
}

fn step(company: CompanyId, table: &str) -> String {
    format!("{}:{table}", company.0)
}

/// What [`go_on`] came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    Done,
    /// Everything is erased but the address of a letter that waits to be sent.
    Writing,
}

/// Lets this process go on with erasures.
pub fn register(runner: &mut Runner) {
    let handler: job::Handler = Arc::new(|kernel, job| {
        Box::pin(async move {
            let erasure = job.payload["id"].as_str().and_then(|text| Uuid::parse_str(text).ok());
            let erasure = erasure.ok_or_else(|| Problem::internal("an erasure's job names no erasure"))?;
            if go_on(&kernel, erasure, PATIENCE).await? == State::Writing {
                let (shared, later) = (kernel.clone(), kernel.now().plus(MINUTE_US));
                kernel
                    .db
                    .write(View::System, move |tx| Ok(enqueue(tx, &shared, INSTALLATION, erasure, later)?))
                    .await?;
            }
            Ok(())
        })
    });
    runner.register(KIND, handler);
}

pub(super) fn enqueue(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    company: CompanyId,
    erasure: Uuid,
    run_at: Timestamp,
) -> Result<(), StoreError> {
    let payload = json!({"id": erasure.to_string()}).to_string();
    job::enqueue(tx, kernel, &NewJob { kind: KIND, company, payload, run_at, unique_key: None })
}

pub(super) fn context(erasure: Uuid) -> String {
    format!("erasures.wanted {erasure}")
}

/// Goes on with an erasure until it is done, waiting so long for the letter to be sent. Repeating it changes nothing.
///
/// # Errors
/// 404; the database's, and then it can be gone on with later.
pub async fn go_on(kernel: &Arc<Kernel>, erasure: Uuid, patience: Duration) -> Result<State> {
    // What this process still remembers of them goes with the rest.
    kernel.flush_refusals(true).await?;
    loop {
        let Some((kind, wanted, progress)) = load(kernel, erasure).await? else { return Ok(State::Done) };
        if go_through(kernel, erasure, kind == "account", &wanted, &progress).await? {
            return finish(kernel, erasure, wanted, progress, patience).await;
        }
    }
}

/// Goes through what is left; `false` when another process went on meanwhile, or more is known of the person: then how far it is has to be
/// looked at again.
async fn go_through(
    kernel: &Arc<Kernel>,
    erasure: Uuid,
    is_account: bool,
    wanted: &Arc<Wanted>,
    progress: &Arc<Progress>,
) -> Result<bool> {
    // Companies' own records are theirs: the erasure of an account leaves them alone.
    let tables = search::tables(kernel, !is_account);
    let mut at = progress.at.clone();
    let installation = is_account.then_some(INSTALLATION);
    for company in installation.into_iter().chain(progress.companies.iter().copied().map(CompanyId)) {
        let about = match is_account {
            true => progress.about.iter().map(|name| (name.clone(), None)).collect(),
            false => records::reach(kernel, company, &progress.about).await?,
        };
        let (kernel, wanted) = (kernel.clone(), wanted.clone());
        let task = Task { kernel, erasure, company, wanted, about: Arc::new(about), letter: progress.letter };
        if !is_account {
            person::take_files_away(&task).await?;
            if sent::take_away(&task).await? {
                return Ok(false);
            }
            identities::forget(&task).await?;
        }
        for table in tables.iter().filter(|table| !progress.is_done(company, &table.name)) {
            let was = at.take().filter(|position| position.table == table.name);
            if !table.search(&task, was).await? {
                return Ok(false);
            }
            mark(&task.kernel, erasure, step(company, &table.name), 0).await?;
        }
    }
    let everywhere = if is_account { company::all_ids(kernel).await? } else { Vec::new() };
    for company in installation.into_iter().chain(everywhere) {
        if !progress.is_done(company, "addresses") {
            let kept = forget_network_addresses(kernel, erasure, company, &progress.people).await?;
            mark(kernel, erasure, step(company, "addresses"), kept).await?;
        }
    }
    Ok(true)
}

async fn load(kernel: &Arc<Kernel>, erasure: Uuid) -> Result<Option<(String, Arc<Wanted>, Arc<Progress>)>> {
    let sql = "SELECT wanted, progress, kind FROM erasures WHERE id = $1";
    let found = kernel.db.read(View::System, move |reader| {
        Ok(reader.first(sql, &params![erasure], |row| {
            Ok((row.opt_bytes(0)?.map(<[u8]>::to_vec), row.json(1)?.to_owned(), row.text(2)?.to_owned()))
        })?)
    });
    let (sealed, progress, kind) = found.await?.ok_or_else(Problem::not_found)?;
    let Some(sealed) = sealed else { return Ok(None) };
    let plain = kernel.vault.open(&context(erasure), &sealed)?;
    let wanted: Wanted = serde_json::from_slice(&plain).map_err(Problem::internal)?;
    let progress: Progress = serde_json::from_str(&progress).map_err(Problem::internal)?;
    Ok(Some((kind, Arc::new(wanted), Arc::new(progress))))
}

/// Something was gone through; so many rows of the audit log tell of the person by their id.
async fn mark(kernel: &Arc<Kernel>, erasure: Uuid, name: String, kept: u64) -> Result<()> {
    let work = move |tx: &mut Tx<'_>| {
        report::update(tx, erasure, |lines, progress: &mut Progress| {
            // Another process may have been faster.
            if progress.done.contains(&name) {
                return Ok(());
            }
            progress.done.push(name.clone());
            progress.at = None;
            if kept > 0 {
                report::add(lines, "audit_logs", ground("audit_logs"), |line| line.kept += kept);
            }
            Ok(())
        })
    };
    kernel.db.write(View::System, work).await
}

/// From where they did what they did; that they did it stays. Gives how many rows tell of it.
async fn forget_network_addresses(
    kernel: &Arc<Kernel>,
    erasure: Uuid,
    company: CompanyId,
    people: &[Uuid],
) -> Result<u64> {
    let markers: Vec<String> = (3..people.len() + 3).map(|n| format!("${n}")).collect();
    let markers = markers.join(", ");
    let find = format!(
        "SELECT id, CASE WHEN actor_user_id IN ({markers}) OR impersonator_user_id IN ({markers}) THEN TRUE ELSE FALSE END, \
         address, app_id FROM audit_logs WHERE company_id = $1 AND id > $2 ORDER BY id LIMIT {WINDOW}"
    );
    let (mut after, mut kept) = (Uuid::nil(), 0);
    loop {
        let (sql, mut bound) = (find.clone(), vec![Value::from(company), Value::Uuid(after)]);
        bound.extend(people.iter().map(Value::from));
        let read = move |reader: &mut Reader<'_>| {
            Ok(reader.query(&sql, &bound, |row| {
                Ok((row.uuid(0)?, row.bool(1)?, row.opt_text(2)?.is_some() || row.opt_text(3)?.is_some()))
            })?)
        };
        let rows = kernel.db.read_long(View::System, read).await?;
        kept += rows.iter().filter(|(_, is_theirs, _)| *is_theirs).count() as u64;
        let from: Vec<Uuid> =
            rows.iter().filter(|(_, is_theirs, says)| *is_theirs && *says).map(|(id, ..)| *id).collect();
        for ids in from.chunks(BATCH) {
            forget_origins(kernel, erasure, company, ids.to_vec()).await?;
        }
        match rows.last() {
            Some((last, ..)) if rows.len() == WINDOW => after = *last,
            _ => return Ok(kept),
        }
    }
}

async fn forget_origins(kernel: &Arc<Kernel>, erasure: Uuid, company: CompanyId, ids: Vec<Uuid>) -> Result<()> {
    let work = move |tx: &mut Tx<'_>| {
        for id in &ids {
            let sql = "UPDATE audit_logs SET address = NULL, app_id = NULL WHERE company_id = $1 AND id = $2";
            tx.push(sql, params![company, *id])?;
        }
        report::update(tx, erasure, |lines, _: &mut Progress| {
            report::add(lines, "audit_logs", ground("audit_logs"), |line| line.pseudonymised += ids.len() as u64);
            Ok(())
        })
    };
    kernel.db.write(View::System, work).await
}

/// Waits for the letter, then forgets where it went and what was looked for.
async fn finish(
    kernel: &Arc<Kernel>,
    erasure: Uuid,
    wanted: Arc<Wanted>,
    progress: Arc<Progress>,
    patience: Duration,
) -> Result<State> {
    let deadline = tokio::time::Instant::now() + patience;
    loop {
        let (wanted, progress, now) = (wanted.clone(), progress.clone(), kernel.now());
        let work = move |tx: &mut Tx<'_>| {
            if let Some(letter) = progress.letter
                && !forget_letter(tx, letter, &wanted)?
            {
                return Ok(State::Writing);
            }
            let sql = "UPDATE erasures SET state = 'done', wanted = NULL, finished_at = $2 WHERE id = $1 AND state = 'running'";
            tx.execute(sql, &params![erasure, now])?;
            report::update(tx, erasure, |_, progress: &mut Progress| {
                // Ids of invitations and memberships are not needed any more either.
                progress.about.clear();
                Ok(())
            })?;
            Ok(State::Done)
        };
        let state = kernel.db.write(View::System, work).await?;
        if state == State::Done || tokio::time::Instant::now() >= deadline {
            return Ok(state);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Whether the letter is on its way, or never will be; then its row says only that it was written.
fn forget_letter(tx: &mut Tx<'_>, letter: Uuid, wanted: &Wanted) -> Result<bool> {
    let sql = "SELECT state, last_error FROM mail_messages WHERE company_id = $1 AND id = $2";
    let found = tx.first(sql, &params![INSTALLATION, letter], |row| {
        Ok((row.text(0)?.to_owned(), row.opt_text(1)?.map(str::to_owned)))
    })?;
    let Some((state, error)) = found else { return Ok(true) };
    if state == "queued" {
        return Ok(false);
    }
    let error = error.map(|words| wanted.replace(&words, Scope::About).unwrap_or(words));
    tx.execute(
        "UPDATE mail_messages SET recipient = $3, body = NULL, last_error = $4 WHERE company_id = $1 AND id = $2",
        &params![INSTALLATION, letter, wanted.email(), error],
    )?;
    Ok(true)
}
