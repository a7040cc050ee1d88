//! What is left of an erasure after its first transaction: logs are gone through, a batch a transaction, and the person is told.

use std::sync::Arc;
use std::time::Duration;

use loopd_store::ddl::{ColumnDef, ColumnKind};
use loopd_store::{Reader, Row, StoreError, Tx, Value, View, migrate, params};
use loopd_types::{CompanyId, MINUTE_US, Problem, Result, Timestamp, Uuid};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::places::{Fate, PLACES, Place, ground};
use super::report;
use super::wanted::{Scope, Wanted};
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
                kernel.db.write(View::System, move |tx| Ok(enqueue(tx, &shared, erasure, later)?)).await?;
            }
            Ok(())
        })
    });
    runner.register(KIND, handler);
}

pub(super) fn enqueue(tx: &mut Tx<'_>, kernel: &Kernel, erasure: Uuid, run_at: Timestamp) -> Result<(), StoreError> {
    let payload = json!({"id": erasure.to_string()}).to_string();
    job::enqueue(tx, kernel, &NewJob { kind: KIND, company: INSTALLATION, payload, run_at, unique_key: None })
}

pub(super) fn context(erasure: Uuid) -> String {
    format!("erasures.wanted {erasure}")
}

/// Goes on with an erasure until it is done, waiting so long for the letter to be sent. Repeating it changes nothing.
///
/// # Errors
/// 404; the database's, and then it can be gone on with later.
pub async fn go_on(kernel: &Arc<Kernel>, erasure: Uuid, patience: Duration) -> Result<State> {
    let Some((wanted, progress)) = load(kernel, erasure).await? else { return Ok(State::Done) };
    // What this process still remembers of them goes with the rest.
    kernel.flush_refusals(true).await?;
    let tables = searched_tables();
    for company in std::iter::once(INSTALLATION).chain(progress.companies.iter().copied().map(CompanyId)) {
        for table in &tables {
            let name = format!("{}:{}", company.0, table.place.table);
            if !progress.done.contains(&name) {
                table.search(kernel, erasure, company, &wanted, &progress).await?;
                mark(kernel, erasure, name, 0).await?;
            }
        }
    }
    for company in std::iter::once(INSTALLATION).chain(company::all_ids(kernel).await?) {
        let name = format!("{}:addresses", company.0);
        if !progress.done.contains(&name) {
            let kept = forget_network_addresses(kernel, erasure, company, &progress.people).await?;
            mark(kernel, erasure, name, kept).await?;
        }
    }
    finish(kernel, erasure, wanted, progress, patience).await
}

async fn load(kernel: &Arc<Kernel>, erasure: Uuid) -> Result<Option<(Arc<Wanted>, Arc<Progress>)>> {
    let sql = "SELECT wanted, progress FROM erasures WHERE id = $1";
    let found = kernel.db.read(View::System, move |reader| {
        Ok(reader.first(sql, &params![erasure], |row| {
            Ok((row.opt_bytes(0)?.map(<[u8]>::to_vec), row.json(1)?.to_owned()))
        })?)
    });
    let (sealed, progress) = found.await?.ok_or_else(Problem::not_found)?;
    let Some(sealed) = sealed else { return Ok(None) };
    let plain = kernel.vault.open(&context(erasure), &sealed)?;
    let wanted: Wanted = serde_json::from_slice(&plain).map_err(Problem::internal)?;
    let progress: Progress = serde_json::from_str(&progress).map_err(Problem::internal)?;
    Ok(Some((Arc::new(wanted), Arc::new(progress))))
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
            if kept > 0 {
                report::add(lines, "audit_logs", ground("audit_logs"), |line| line.kept += kept);
            }
            Ok(())
        })
    };
    kernel.db.write(View::System, work).await
}

/// A table that is searched, with what of it.
struct Searched {
    place: Place,
    scope: Scope,
    about: Option<&'static str>,
    key: Vec<ColumnDef>,
    texts: Vec<ColumnDef>,
}

/// Every text of these tables that is no part of a key: a column that is added later is searched by itself.
fn searched_tables() -> Vec<Searched> {
    let tables = migrate::tables();
    let searched = |place: &Place| {
        let Fate::Searched(scope, about) = place.fate else { return None };
        let table = tables.iter().find(|table| table.name == place.table)?;
        let is_key = |column: &&ColumnDef| table.primary_key.contains(&column.name) && column.name != "company_id";
        let is_text = |column: &&ColumnDef| {
            matches!(column.kind, ColumnKind::Text | ColumnKind::Json) && !table.primary_key.contains(&column.name)
        };
        let key = table.columns.iter().filter(is_key).cloned().collect();
        let texts = table.columns.iter().filter(is_text).cloned().collect();
        Some(Searched { place: *place, scope, about, key, texts })
    };
    PLACES.iter().filter_map(searched).collect()
}

/// A row's key, as it was read.
type Key = Vec<Value>;

impl Searched {
    /// Goes through one company's rows in the order of their key.
    async fn search(
        &self,
        kernel: &Arc<Kernel>,
        erasure: Uuid,
        company: CompanyId,
        wanted: &Arc<Wanted>,
        progress: &Arc<Progress>,
    ) -> Result<()> {
        let mut after: Option<Key> = None;
        loop {
            let (sql, values) = self.find(company, wanted, progress, after.as_ref());
            let width = self.key.len();
            let read = move |row: &Row<'_>| {
                Ok(((0..width).map(|i| row.value(i)).collect::<Result<Key, StoreError>>()?, row.i64(width)? > 0))
            };
            let rows = kernel.db.read_long(View::System, move |reader| Ok(reader.query(&sql, &values, read)?)).await?;
            let is_last = rows.len() < WINDOW;
            after = rows.last().map(|(key, _)| key.clone());
            let here: Vec<Key> = rows.into_iter().filter_map(|(key, is_here)| is_here.then_some(key)).collect();
            for keys in here.chunks(BATCH) {
                self.replace_all(kernel, erasure, company, keys.to_vec(), wanted, progress).await?;
            }
            if is_last {
                return Ok(());
            }
        }
    }

    async fn replace_all(
        &self,
        kernel: &Arc<Kernel>,
        erasure: Uuid,
        company: CompanyId,
        keys: Vec<Key>,
        wanted: &Arc<Wanted>,
        progress: &Arc<Progress>,
    ) -> Result<()> {
        let (wanted, progress, table) = (wanted.clone(), progress.clone(), self.place.table);
        let (select, update, scope, texts) = (self.select(), self.update(), self.scope, self.texts.clone());
        let work = move |tx: &mut Tx<'_>| {
            let mut changed = 0;
            for key in keys.iter().filter(|key| !is_letter(table, key, &progress)) {
                changed += u64::from(replace(tx, &select, &update, company, key, &texts, scope, &wanted, &progress)?);
            }
            report::update(tx, erasure, |lines, _: &mut Progress| {
                report::add(lines, table, ground(table), |line| line.pseudonymised += changed);
                Ok(())
            })
        };
        kernel.db.write(View::System, work).await
    }

    /// The keys of the next rows, and whether the person may be in them: a bounded piece of a log, whatever is found in it.
    fn find(
        &self,
        company: CompanyId,
        wanted: &Wanted,
        progress: &Progress,
        after: Option<&Key>,
    ) -> (String, Vec<Value>) {
        let mut values = vec![Value::from(company)];
        let mut bind = |value: Value| {
            values.push(value);
            format!("${}", values.len())
        };
        let mut like = |scope: Scope| -> String {
            let mut any = Vec::new();
            for pattern in wanted.patterns(scope) {
                let marker = bind(Value::Text(pattern));
                any.extend(self.texts.iter().map(|text| format!("lower(CAST({} AS TEXT)) LIKE {marker}", text.name)));
            }
            if any.is_empty() { "1 = 0".to_owned() } else { any.join(" OR ") }
        };
        let mut is_here = like(self.scope);
        if let Some(column) = self.about {
            let words = like(Scope::About);
            let markers: Vec<String> = progress.about.iter().map(|id| bind(Value::Text(id.clone()))).collect();
            is_here = format!("{is_here} OR (CAST({column} AS TEXT) IN ({}) AND ({words}))", markers.join(", "));
        }
        let names = self.names();
        let flag = format!("CASE WHEN {is_here} THEN 1 ELSE 0 END");
        let mut sql = format!("SELECT {names}, CAST({flag} AS BIGINT) FROM {} WHERE company_id = $1", self.place.table);
        if let Some(after) = after {
            let markers: Vec<String> = after.iter().map(|value| bind(value.clone())).collect();
            sql.push_str(&format!(" AND ({names}) > ({})", markers.join(", ")));
        }
        (format!("{sql} ORDER BY {names} LIMIT {WINDOW}"), values)
    }

    fn names(&self) -> String {
        self.key.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// `company_id` is `$1`, the key follows.
    fn condition(&self) -> String {
        let keys = self.key.iter().enumerate().map(|(at, column)| format!(" AND {} = ${}", column.name, at + 2));
        format!("WHERE company_id = $1{}", keys.collect::<String>())
    }

    /// Reads what the row is about, and its texts.
    fn select(&self) -> String {
        let about = self.about.map_or_else(|| "''".to_owned(), |column| format!("CAST({column} AS TEXT)"));
        let texts: String = self.texts.iter().map(|text| format!(", {}", text.name)).collect();
        format!("SELECT {about}{texts} FROM {} {}", self.place.table, self.condition())
    }

    fn update(&self) -> String {
        let from = self.key.len() + 2;
        let sets: Vec<String> =
            self.texts.iter().enumerate().map(|(at, text)| format!("{} = ${}", text.name, from + at)).collect();
        format!("UPDATE {} SET {} {}", self.place.table, sets.join(", "), self.condition())
    }
}

/// The letter that tells them is needed until it is sent.
fn is_letter(table: &str, key: &Key, progress: &Progress) -> bool {
    let id = match key.as_slice() {
        [Value::Uuid(id)] => Some(*id),
        [Value::Text(id)] => Uuid::parse_str(id).ok(),
        _ => None,
    };
    table == "mail_messages" && id.is_some() && id == progress.letter
}

/// Takes the person out of one row; whether they were in it.
#[expect(clippy::too_many_arguments, reason = "a statement, a row, and what is looked for")]
fn replace(
    tx: &mut Tx<'_>,
    select: &str,
    update: &str,
    company: CompanyId,
    key: &Key,
    texts: &[ColumnDef],
    scope: Scope,
    wanted: &Wanted,
    progress: &Progress,
) -> Result<bool> {
    let mut values = vec![Value::from(company)];
    values.extend(key.iter().cloned());
    let read = |row: &Row<'_>| {
        let about = row.text(0)?.to_owned();
        let texts = texts.iter().enumerate().map(|(at, column)| match column.kind {
            ColumnKind::Json => Ok(row.opt_json(at + 1)?.map(str::to_owned)),
            _ => Ok(row.opt_text(at + 1)?.map(str::to_owned)),
        });
        Ok((about, texts.collect::<Result<Vec<Option<String>>, StoreError>>()?))
    };
    // Gone meanwhile: retention was faster.
    let Some((about, found)) = tx.first(select, &values, read)? else { return Ok(false) };
    let scope = if progress.about.contains(&about) { Scope::About } else { scope };
    let mut is_changed = false;
    for (column, text) in texts.iter().zip(found) {
        let is_json = column.kind == ColumnKind::Json;
        let replaced = text.as_deref().and_then(|text| match is_json || text.starts_with(['{', '[']) {
            true => wanted.replace_json(text, scope),
            false => wanted.replace(text, scope),
        });
        is_changed |= replaced.is_some();
        let text = replaced.or(text);
        values.push(text.map_or(Value::Null, |text| if is_json { Value::Json(text) } else { Value::Text(text) }));
    }
    if is_changed {
        tx.execute(update, &values)?;
    }
    Ok(is_changed)
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
