//! [`Reader`] and [`Tx`]: what a piece of work is handed to speak with the database.

use std::ops::{Deref, DerefMut};

use loopd_types::Problem;

use crate::sqlite::session::Session;
use crate::sqlite::tally::Tallies;
use crate::{Engine, Row, StoreError, Value};

/// Reads rows. Markers are `$1`, `$2`, …; see `docs/storage.md` for the SQL that both engines understand.
pub struct Reader<'c> {
    pub(crate) connection: Connection<'c>,
    /// The first failure of a statement.
    pub(crate) failure: Option<StoreError>,
    /// In a write transaction nothing runs after a failure: SQLite may have ended the transaction by itself, and what
    /// came next would be committed alone.
    spoils: bool,
}

pub(crate) enum Connection<'c> {
    Sqlite(&'c dyn Session),
    Postgres(&'c mut crate::postgres::Session),
}

impl<'c> Reader<'c> {
    pub(crate) fn new(connection: Connection<'c>, spoils: bool) -> Self {
        Self { connection, failure: None, spoils }
    }

    pub fn engine(&self) -> Engine {
        match self.connection {
            Connection::Sqlite(_) => Engine::Sqlite,
            Connection::Postgres(_) => Engine::Postgres,
        }
    }

    /// Every row, mapped, in the statement's order.
    pub fn query<T>(
        &mut self,
        sql: &str,
        params: &[Value],
        mut map: impl FnMut(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let mut rows = Vec::new();
        self.visit(sql, params, &mut |row| {
            rows.push(map(row)?);
            Ok(true)
        })?;
        Ok(rows)
    }

    /// The first row, mapped, or `None`.
    pub fn first<T>(
        &mut self,
        sql: &str,
        params: &[Value],
        mut map: impl FnMut(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let mut found = None;
        self.visit(sql, params, &mut |row| {
            found = Some(map(row)?);
            Ok(false)
        })?;
        Ok(found)
    }

    /// The first row, mapped; no row at all is `StoreError::Other` (for counts, RETURNING and other sure answers).
    pub fn one<T>(
        &mut self,
        sql: &str,
        params: &[Value],
        map: impl FnMut(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.first(sql, params, map)?.ok_or_else(|| StoreError::Other(format!("no row from: {sql}")))
    }

    /// Visits every row without collecting; an error of `visit` stops and is returned.
    pub fn each(
        &mut self,
        sql: &str,
        params: &[Value],
        mut visit: impl FnMut(&Row<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.visit(sql, params, &mut |row| visit(row).map(|()| true))
    }

    /// Without the visitor's type, as everything below it: hundreds of visitors would each have a driver compiled for them.
    fn visit(
        &mut self,
        sql: &str,
        params: &[Value],
        visit: &mut dyn FnMut(&Row<'_>) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        self.check()?;
        // The visitor's own refusal is not the database's: it spoils nothing.
        let mut refusal = None;
        let mut visit = |row: &Row<'_>| {
            visit(row).unwrap_or_else(|error| {
                refusal = Some(error);
                false
            })
        };
        let answer = match &mut self.connection {
            Connection::Sqlite(session) => crate::sqlite::statement::each(*session, sql, params, &mut visit),
            Connection::Postgres(session) => session.each(sql, params, &mut visit),
        };
        self.noted(answer)?;
        refusal.map_or(Ok(()), Err)
    }

    /// Refuses to go on in a spoilt transaction.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        match &self.failure {
            Some(failure) if self.spoils => Err(failure.clone()),
            _ => Ok(()),
        }
    }

    /// Remembers the first failure.
    pub(crate) fn noted<T>(&mut self, answer: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(error) = &answer
            && self.failure.is_none()
        {
            self.failure = Some(error.clone());
        }
        answer
    }
}

/// A write transaction; also a [`Reader`].
///
/// A statement that failed spoils the transaction on both engines: even if the closure goes on and returns `Ok`, the
/// whole is rolled back and the failure answered. Use `ON CONFLICT`, or [`Tx::attempt`] for a part that may fail.
pub struct Tx<'c> {
    pub(crate) reader: Reader<'c>,
    pub(crate) hooks: Vec<Hook>,
}

pub(crate) type Hook = Box<dyn FnOnce() + Send>;

impl Tx<'_> {
    /// Runs a statement for its effect and returns the number of rows changed.
    pub fn execute(&mut self, sql: &str, params: &[Value]) -> Result<u64, StoreError> {
        self.check()?;
        let answer = match &mut self.reader.connection {
            Connection::Sqlite(session) => crate::sqlite::statement::execute(*session, sql, params),
            Connection::Postgres(session) => session.execute(sql, params),
        };
        self.reader.noted(answer)
    }

    /// Runs a statement whose result is not needed: on PostgreSQL it travels with the next statement or the commit and
    /// a refusal shows there; on SQLite it runs at once.
    pub fn push(&mut self, sql: &str, params: impl Into<Vec<Value>>) -> Result<(), StoreError> {
        self.check()?;
        let params = params.into();
        let answer = match &mut self.reader.connection {
            Connection::Sqlite(session) => crate::sqlite::statement::execute(*session, sql, &params).map(|_| ()),
            Connection::Postgres(session) => session.push(sql, params),
        };
        self.reader.noted(answer)
    }

    /// Runs several statements without markers (migrations, tables from definitions).
    pub fn batch(&mut self, script: &str) -> Result<(), StoreError> {
        self.check()?;
        let answer = match &mut self.reader.connection {
            Connection::Sqlite(session) => {
                session.connection().execute_batch(script).map_err(crate::sqlite::failure::from)
            }
            Connection::Postgres(session) => session.batch(script),
        };
        self.reader.noted(answer)
    }

    /// Calls `hook` after the commit is durable and before the caller is answered; never after a rollback.
    pub fn on_commit(&mut self, hook: impl FnOnce() + Send + 'static) {
        self.hooks.push(Box::new(hook));
    }

    /// Runs `part` so that its failure undoes only what `part` did (a savepoint), hooks included.
    ///
    /// # Errors
    /// What `part` returned; the transaction goes on unless the database itself is in trouble.
    pub fn attempt<T>(&mut self, part: impl FnOnce(&mut Tx<'_>) -> Result<T, Problem>) -> Result<T, Problem> {
        self.check()?;
        let mark = match &mut self.reader.connection {
            Connection::Sqlite(_) => {
                self.batch("SAVEPOINT attempt")?;
                None
            }
            Connection::Postgres(session) => Some(session.savepoint()),
        };
        let hooks = self.hooks.len();
        let counted = self.tallies().map(Tallies::mark);
        let outcome = crate::job::guarded(|| part(self));
        // What was pushed inside shows its refusal with RELEASE at the latest.
        if outcome.is_ok() && self.reader.failure.is_none() && self.batch("RELEASE SAVEPOINT attempt").is_ok() {
            return outcome;
        }
        let failure = self.reader.failure.take();
        if let Some(failure) = failure.clone().filter(crate::job::overrides) {
            // No savepoint helps against these: the whole transaction is to fail, or to run again.
            self.reader.failure = Some(failure.clone());
            return Err(failure.into());
        }
        self.hooks.truncate(hooks);
        if let (Some(tallies), Some(mark)) = (self.tallies(), counted) {
            tallies.back(mark);
        }
        const BACK: &str = "ROLLBACK TO SAVEPOINT attempt; RELEASE SAVEPOINT attempt";
        let unsent = match (&mut self.reader.connection, mark) {
            (Connection::Postgres(session), Some(mark)) => session.forget_since(mark),
            _ => false,
        };
        let undone = if unsent { Ok(()) } else { self.batch(BACK) };
        if let Err(error) = undone {
            // There was no savepoint to go back to: something pushed before it had failed already.
            let first = failure.unwrap_or(error);
            self.reader.failure = Some(first.clone());
            return Err(first.into());
        }
        match (outcome, failure) {
            (Ok(_), Some(failure)) => Err(failure.into()),
            (outcome, _) => outcome,
        }
    }

    fn tallies(&self) -> Option<&Tallies> {
        match &self.reader.connection {
            Connection::Sqlite(session) => session.tallies(),
            Connection::Postgres(_) => None,
        }
    }

    /// Waits until no other transaction holds the lock `name`, then holds it to the end of this one. Rules of the kind
    /// "read, decide, write" that no constraint can express need it on PostgreSQL; SQLite's single writer is one anyway.
    pub fn lock(&mut self, name: &str) -> Result<(), StoreError> {
        match self.engine() {
            Engine::Sqlite => Ok(()),
            Engine::Postgres => {
                self.execute(crate::dialect::LOCK, &crate::params![bucket(name)])?;
                Ok(())
            }
        }
    }

    /// Holds the lock `name` together with others who share it, against whoever takes it alone with [`Tx::lock`], to the end of the
    /// transaction: many may read what one changes seldom. A transaction that shares a lock must not take it alone afterwards.
    pub fn lock_shared(&mut self, name: &str) -> Result<(), StoreError> {
        if self.engine() == Engine::Sqlite {
            return Ok(());
        }
        let bucket = crate::params![bucket(name)];
        if self.first(crate::dialect::LOCK_SHARED, &bucket, |_| Ok(()))?.is_none() {
            self.execute(crate::dialect::LOCK_ROW, &bucket)?;
            self.first(crate::dialect::LOCK_SHARED, &bucket, |_| Ok(()))?;
        }
        Ok(())
    }
}

/// The row that stands for a lock's name. Names may hold what clients send, and rows stay: there are 65 536 of them at most, and
/// two names that share one only wait for each other without need.
fn bucket(name: &str) -> String {
    let digest = loopd_types::sha256(name.as_bytes());
    format!("{:02x}{:02x}", digest[0], digest[1])
}

impl<'c> Deref for Tx<'c> {
    type Target = Reader<'c>;
    fn deref(&self) -> &Reader<'c> {
        &self.reader
    }
}

impl DerefMut for Tx<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.reader
    }
}
