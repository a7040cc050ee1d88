//! Numbered, checksummed, forward-only migrations, embedded from `migrations/`.

mod tables;
mod translate;

use loopd_types::{Clock, Problem, sha256_hex};

use crate::{Db, Engine, Reader, StoreError, Tx, View, dialect, params, planner, security};

pub use tables::{newest, tables};

/// The steps this binary knows.
pub const EMBEDDED: &[Migration] = include!(concat!(env!("OUT_DIR"), "/migrations.rs"));

/// One numbered step as it stands in `migrations/`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Migration {
    pub number: u32,
    pub name: &'static str,
    /// The text for SQLite before its types are translated; mostly the same as for PostgreSQL.
    pub sqlite: &'static str,
    pub postgres: &'static str,
}

/// One pending or applied step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    pub number: u32,
    pub name: String,
}

/// Applies what is pending, in order, and returns it. On PostgreSQL every table with a `company_id` then has its row
/// policy. Nodes that start together take turns.
///
/// # Errors
/// `Other` in words for the operator when the database is newer than this binary or an applied file was changed;
/// nothing is applied then. A step that fails is rolled back alone; those before it stay.
pub async fn run(db: &Db, clock: &dyn Clock) -> Result<Vec<Step>, StoreError> {
    run_these(db, clock, EMBEDDED).await
}

/// Lists what [`run`] would apply; writes nothing.
///
/// # Errors
/// As [`run`].
pub async fn plan(db: &Db) -> Result<Vec<Step>, StoreError> {
    plan_these(db, EMBEDDED).await
}

/// [`run`] with other steps.
///
/// # Errors
/// As [`run`].
pub async fn run_these(db: &Db, clock: &dyn Clock, known: &'static [Migration]) -> Result<Vec<Step>, StoreError> {
    prepare(db).await?;
    let mut done = Vec::new();
    loop {
        let now = clock.now();
        let step = db.write_unlimited(move |tx| {
            tx.lock("schema_migrations")?;
            let Some(next) = pending(tx, known)?.first().copied() else {
                planner::ensure(tx)?;
                security::ensure(tx)?;
                return Ok(None);
            };
            apply(tx, next).map_err(|error| {
                Problem::from(StoreError::Other(format!("migration {:04}_{}: {error}", next.number, next.name)))
            })?;
            tx.execute(
                "INSERT INTO schema_migrations (number, name, checksum, applied_at) VALUES ($1, $2, $3, $4)",
                &params![next.number, next.name, checksum(next), now],
            )?;
            Ok(Some(Step::from(next)))
        });
        match step.await.map_err(words)? {
            Some(step) => {
                tracing::info!(number = step.number, name = step.name, "migration applied");
                done.push(step);
            }
            None => return Ok(done),
        }
    }
}

/// [`plan`] with other steps.
///
/// # Errors
/// As [`run`].
pub async fn plan_these(db: &Db, known: &'static [Migration]) -> Result<Vec<Step>, StoreError> {
    let steps = db.read_long(View::System, move |reader| {
        let exists = dialect::table_exists(reader.engine());
        let exists = reader.one(exists, &params!["schema_migrations"], |row| row.bool(0))?;
        let steps = if exists { pending(reader, known)? } else { known.iter().collect() };
        Ok(steps.into_iter().map(Step::from).collect())
    });
    steps.await.map_err(words)
}

/// Writes a row that needs new room, and takes it away again in the same transaction: nobody ever sees it.
pub(crate) fn try_to_write(tx: &mut Tx<'_>) -> Result<(), Problem> {
    const ROOM: usize = 64 * 1024;
    let row = params![-1_i64, "x".repeat(ROOM), "", 0_i64];
    tx.execute("INSERT INTO schema_migrations (number, name, checksum, applied_at) VALUES ($1, $2, $3, $4)", &row)?;
    tx.execute("DELETE FROM schema_migrations WHERE number = $1", &params![-1_i64])?;
    Ok(())
}

/// Makes the two tables that the runner itself needs.
async fn prepare(db: &Db) -> Result<(), StoreError> {
    const TABLES: &str = "
        CREATE TABLE IF NOT EXISTS schema_migrations (
            number BIGINT PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at BIGINT NOT NULL
        );
        CREATE TABLE IF NOT EXISTS transaction_locks (name TEXT PRIMARY KEY);";
    let mut tries = 0;
    loop {
        let made = db.write_unlimited(|tx| {
            let engine = tx.engine();
            let exists = tx.one(dialect::table_exists(engine), &params!["transaction_locks"], |row| row.bool(0))?;
            if !exists {
                tx.batch(&for_engine(engine, TABLES, TABLES))?;
            }
            Ok(())
        });
        match made.await {
            Ok(()) => return Ok(()),
            // On PostgreSQL, IF NOT EXISTS of two nodes at once may still collide in the catalogue.
            Err(_) if tries < 5 => tries += 1,
            Err(problem) => return Err(words(problem)),
        }
    }
}

/// What is to be applied; also the place that refuses.
fn pending(reader: &mut Reader<'_>, known: &'static [Migration]) -> Result<Vec<&'static Migration>, StoreError> {
    let applied = reader.query("SELECT number, name, checksum FROM schema_migrations ORDER BY number", &[], |row| {
        Ok((row.i64(0)?, row.text(1)?.to_owned(), row.text(2)?.to_owned()))
    })?;
    let newest = known.last().map_or(0, |last| last.number);
    for (number, name, sum) in &applied {
        let Some(ours) = known.iter().find(|ours| i64::from(ours.number) == *number) else {
            return Err(StoreError::Other(format!(
                "the database holds migration {number:04}_{name}, which this binary does not know (it knows up to \
                 {newest:04}): it was written by a newer version; use that version, or restore a backup"
            )));
        };
        if checksum(ours) != *sum {
            return Err(StoreError::Other(format!(
                "migration {number:04}_{} was applied with other contents than this binary's: applied migrations must \
                 not be edited; add a new one",
                ours.name
            )));
        }
    }
    let last = applied.last().map_or(0, |(number, ..)| *number);
    if let Some(late) = known.iter().find(|ours| {
        i64::from(ours.number) < last && !applied.iter().any(|(number, ..)| *number == i64::from(ours.number))
    }) {
        return Err(StoreError::Other(format!(
            "migration {:04}_{} is missing in the database although {last:04} is there: give it a later number",
            late.number, late.name
        )));
    }
    Ok(known.iter().filter(|ours| i64::from(ours.number) > last).collect())
}

fn apply(tx: &mut Tx<'_>, step: &Migration) -> Result<(), StoreError> {
    let script = for_engine(tx.engine(), step.sqlite, step.postgres);
    tx.batch(&script)
}

fn for_engine(engine: Engine, sqlite: &str, postgres: &str) -> String {
    match engine {
        Engine::Sqlite => translate::for_sqlite(sqlite),
        Engine::Postgres => postgres.to_owned(),
    }
}

/// Over both texts, so that a database moved from one engine to the other is known again; line ends do not count.
fn checksum(step: &Migration) -> String {
    let mut text = step.sqlite.replace("\r\n", "\n");
    if step.sqlite != step.postgres {
        text.push('\0');
        text.push_str(&step.postgres.replace("\r\n", "\n"));
    }
    sha256_hex(text.as_bytes())
}

impl From<&Migration> for Step {
    fn from(step: &Migration) -> Self {
        Self { number: step.number, name: step.name.to_owned() }
    }
}

/// The operator is told the cause, not the client's half.
fn words(problem: Problem) -> StoreError {
    let cause = problem.cause().unwrap_or(problem.message());
    let cause = cause.strip_prefix("database: ").unwrap_or(cause).to_owned();
    match problem.kind() {
        loopd_types::Kind::Unavailable => StoreError::Unavailable(cause),
        _ => StoreError::Other(cause),
    }
}
