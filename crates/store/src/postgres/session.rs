//! [`Session`]: one connection, the runtime that drives it, and what is known of its state.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Error, Statement};

use super::address::Address;
use super::bind::Bound;
use super::failure;
use crate::row::Inner;
use crate::{Row, StoreError, Value, View};

/// The server ends a statement at its own limit; this much later the client stops believing in the server.
const GRACE: Duration = Duration::from_secs(5);

/// How long a closing connection is given to say so.
const GOODBYE: Duration = Duration::from_millis(500);

/// What is to be sent with the next statement, in order. Only its refusal matters.
type Pushed = Pin<Box<dyn Future<Output = Result<(), Error>>>>;

pub struct Session {
    runtime: Runtime,
    connection: JoinHandle<()>,
    client: Rc<Client>,
    statements: HashMap<Box<str>, Statement>,
    statement_limit: usize,
    pushed: Vec<Pushed>,
    /// What `loopd.companies` is set to for the session.
    view: Option<View>,
    /// Longest wait for one answer.
    limit: Duration,
    /// Whether anything of the present job has gone out.
    sent: bool,
    /// How often something has gone out.
    drives: u64,
    /// Whether the first of `pushed` is a BEGIN that has not gone out yet.
    opening: bool,
    /// Whether the connection must not be used again.
    lost: bool,
}

impl Session {
    /// Makes a connection.
    pub fn connect(address: &Address, limit: Duration, statement_limit: usize) -> Result<Self, StoreError> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| StoreError::Unavailable(format!("no runtime for a connection: {error}")))?;
        let connected = runtime.block_on(async {
            let time = address.driver.get_connect_timeout().copied().unwrap_or(GRACE);
            tokio::time::timeout(time, address.driver.connect(address.tls.clone())).await
        });
        let (client, connection) = match connected {
            Ok(Ok(made)) => made,
            Ok(Err(error)) => return Err(unreachable_words(&error)),
            Err(_) => return Err(StoreError::Unavailable("connecting took too long".into())),
        };
        let connection = runtime.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a database connection has ended");
            }
        });
        Ok(Self {
            runtime,
            connection,
            client: Rc::new(client),
            statements: HashMap::new(),
            statement_limit,
            pushed: Vec::new(),
            view: None,
            limit,
            sent: false,
            drives: 0,
            opening: false,
            lost: false,
        })
    }

    /// Says goodbye to the server, which otherwise logs a connection that was cut.
    pub fn close(self) {
        let Self { runtime, connection, client, statements, pushed, .. } = self;
        drop((pushed, statements, client));
        let _ = runtime.block_on(async { tokio::time::timeout(GOODBYE, connection).await });
    }

    pub fn is_lost(&self) -> bool {
        self.lost || self.client.is_closed()
    }

    /// Prepares for statements outside a transaction.
    pub fn begin_reads(&mut self, view: &View, limit: Duration) {
        self.start(limit);
        if self.view.as_ref() != Some(view) {
            self.push_command(format!("SET loopd.companies = '{}'", view.setting()));
            self.view = Some(view.clone());
        }
    }

    /// Prepares a transaction; it goes out with the first statement. `kind` follows BEGIN.
    pub fn begin(&mut self, kind: &str, view: &View, limit: Option<Duration>) {
        self.start(limit.unwrap_or(Duration::from_secs(24 * 3_600)));
        // The second limit is for a process that is stopped in the middle: its locks must not hold up the other nodes until it wakes.
        let limit_ms = limit.unwrap_or_default().as_millis();
        let mut command = format!(
            "BEGIN {kind}; SET LOCAL statement_timeout = {limit_ms}; SET LOCAL idle_in_transaction_session_timeout = {limit_ms}"
        );
        if self.view.as_ref() != Some(view) {
            // The view of a transaction lasts as long as it does.
            command.push_str("; SET LOCAL loopd.companies = '");
            command.push_str(&view.setting());
            command.push('\'');
        }
        self.push_command(command);
        self.opening = true;
    }

    fn start(&mut self, limit: Duration) {
        self.limit = limit.saturating_add(GRACE);
        self.sent = false;
        self.opening = false;
    }

    /// Commits with what is still pushed, in one round trip. Nothing was sent: nothing is to be done.
    pub fn commit(&mut self) -> Result<(), CommitFailure> {
        if !self.sent && self.pushed.len() <= 1 {
            // only BEGIN
            self.pushed.clear();
            return Ok(());
        }
        let client = Rc::clone(&self.client);
        let was_lost = self.is_lost();
        let pushed = std::mem::take(&mut self.pushed);
        let committed = self.drive(pushed, async move { client.batch_execute("COMMIT").await });
        match committed {
            Ok(()) => Ok(()),
            // COMMIT of a transaction that a pushed statement has spoilt is a ROLLBACK.
            Err(error) if !self.lost || was_lost => Err(CommitFailure::RolledBack(error)),
            Err(error) => Err(CommitFailure::Unknown(error)),
        }
    }

    /// Leaves the transaction, if one was begun. What was not sent is forgotten.
    pub fn rollback(&mut self) {
        self.pushed.clear();
        if self.sent && !self.is_lost() {
            let client = Rc::clone(&self.client);
            if self.drive(Vec::new(), async move { client.batch_execute("ROLLBACK").await }).is_err() {
                self.lost = true;
            }
        }
        self.sent = false;
    }

    /// After reads: what was not sent is forgotten, and with it what was thought of the session's view.
    pub fn end_reads(&mut self) {
        if !self.pushed.is_empty() {
            self.pushed.clear();
            self.view = None;
        }
    }

    /// Drops every prepared statement, after a table changed its shape.
    pub fn forget_statements(&mut self) {
        self.statements.clear();
    }

    /// Calls `visit` for every row until it says `false`.
    pub fn each(
        &mut self,
        sql: &str,
        params: &[Value],
        visit: &mut dyn FnMut(&Row<'_>) -> bool,
    ) -> Result<(), StoreError> {
        let known = self.statements.get(sql).cloned();
        let is_new = known.is_none();
        let client = Rc::clone(&self.client);
        let pushed = std::mem::take(&mut self.pushed);
        let statement = self.drive(pushed, async move {
            let statement = match known {
                Some(statement) => statement,
                None => client.prepare(sql).await?,
            };
            let mut rows = pin!(client.query_raw(&statement, params.iter().map(Bound)).await?);
            while let Some(row) = rows.try_next().await? {
                if !visit(&Row(Inner::Postgres(&row))) {
                    break;
                }
            }
            Ok(statement)
        })?;
        if is_new {
            self.keep(sql, statement);
        }
        Ok(())
    }

    /// Runs a statement and returns the number of rows changed.
    pub fn execute(&mut self, sql: &str, params: &[Value]) -> Result<u64, StoreError> {
        let known = self.statements.get(sql).cloned();
        let is_new = known.is_none();
        let client = Rc::clone(&self.client);
        let pushed = std::mem::take(&mut self.pushed);
        let (rows, statement) = self.drive(pushed, async move {
            let statement = match known {
                Some(statement) => statement,
                None => client.prepare(sql).await?,
            };
            let rows = client.execute_raw(&statement, params.iter().map(Bound)).await?;
            Ok((rows, statement))
        })?;
        if is_new {
            self.keep(sql, statement);
        }
        Ok(rows)
    }

    /// Puts a statement behind those already pushed. One that is not prepared yet costs a round trip for that.
    pub fn push(&mut self, sql: &str, params: Vec<Value>) -> Result<(), StoreError> {
        let statement = match self.statements.get(sql) {
            Some(statement) => statement.clone(),
            None => {
                let client = Rc::clone(&self.client);
                let pushed = std::mem::take(&mut self.pushed);
                let statement = self.drive(pushed, async move { client.prepare(sql).await })?;
                self.keep(sql, statement.clone());
                statement
            }
        };
        let client = Rc::clone(&self.client);
        self.pushed
            .push(Box::pin(async move { client.execute_raw(&statement, params.iter().map(Bound)).await.map(|_| ()) }));
        Ok(())
    }

    /// Runs a script without markers.
    pub fn batch(&mut self, script: &str) -> Result<(), StoreError> {
        let client = Rc::clone(&self.client);
        let pushed = std::mem::take(&mut self.pushed);
        self.drive(pushed, async move { client.batch_execute(script).await })
    }

    /// Pushes SAVEPOINT; the mark tells [`Session::forget_since`] what came after it.
    pub fn savepoint(&mut self) -> Mark {
        let mark = Mark { drives: self.drives, pushed: self.pushed.len() };
        self.push_command("SAVEPOINT attempt".to_owned());
        mark
    }

    /// Forgets what was pushed since the mark. `true` when that includes the savepoint itself, so that there is nothing
    /// to roll back to.
    pub fn forget_since(&mut self, mark: Mark) -> bool {
        let unsent = mark.drives == self.drives;
        self.pushed.truncate(if unsent { mark.pushed } else { 0 });
        unsent
    }

    /// Pushes a command without markers.
    fn push_command(&mut self, command: String) {
        let client = Rc::clone(&self.client);
        self.pushed.push(Box::pin(async move { client.batch_execute(&command).await }));
    }

    fn keep(&mut self, sql: &str, statement: Statement) {
        if self.statements.len() >= self.statement_limit {
            self.statements.clear();
        }
        self.statements.insert(sql.into(), statement);
    }

    /// Sends `pushed` and `main` in this order without waiting in between, and waits for all answers. The first refusal
    /// in order counts: those behind it are only its echo. If it is the BEGIN that is refused they are no echo: they ran outside any
    /// transaction, so the connection is given up and the job is not run again.
    fn drive<T>(
        &mut self,
        mut pushed: Vec<Pushed>,
        main: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, StoreError> {
        self.sent = true;
        self.drives += 1;
        let opening = std::mem::take(&mut self.opening);
        let client = Rc::clone(&self.client);
        let limit = self.limit;
        let exchange = async {
            let mut main = pin!(main);
            let mut answer = None;
            let mut refusals: Vec<Option<Result<(), Error>>> = pushed.iter().map(|_| None).collect();
            poll_fn(|context| {
                let mut waiting = false;
                for (future, outcome) in pushed.iter_mut().zip(&mut refusals) {
                    if outcome.is_none() {
                        match future.as_mut().poll(context) {
                            Poll::Ready(done) => *outcome = Some(done),
                            Poll::Pending => waiting = true,
                        }
                    }
                }
                if answer.is_none() {
                    match main.as_mut().poll(context) {
                        Poll::Ready(done) => answer = Some(done),
                        Poll::Pending => waiting = true,
                    }
                }
                if waiting { Poll::Pending } else { Poll::Ready(()) }
            })
            .await;
            for (place, refusal) in refusals.into_iter().flatten().enumerate() {
                refusal.map_err(|error| (place, error))?;
            }
            answer.expect("polled until it was there").map_err(|error| (usize::MAX, error))
        };
        // timeout() needs the runtime's clock around it already when it is made
        let driven = self.runtime.block_on(async { tokio::time::timeout(limit, exchange).await });
        match driven {
            Ok(Ok(value)) => Ok(value),
            Ok(Err((place, error))) => {
                self.lost |= failure::is_lost(&error) || client.is_closed();
                if opening && place == 0 && !self.lost {
                    self.lost = true;
                    return Err(StoreError::Other(format!("a transaction could not be begun: {error}")));
                }
                Err(failure::from(&error))
            }
            Err(_) => {
                self.lost = true;
                Err(StoreError::Timeout("no answer from the database server".into()))
            }
        }
    }
}

/// A place in what was pushed.
#[derive(Clone, Copy)]
pub struct Mark {
    drives: u64,
    pushed: usize,
}

/// Why a commit did not succeed.
pub enum CommitFailure {
    /// For sure nothing was written.
    RolledBack(StoreError),
    /// The connection went away while the server was committing: it may or may not have.
    Unknown(StoreError),
}

fn unreachable_words(error: &Error) -> StoreError {
    match failure::from(error) {
        StoreError::Unavailable(words) | StoreError::Other(words) => StoreError::Unavailable(words),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::postgres::address;

    #[test]
    fn a_refused_begin_costs_the_connection() {
        let Ok(url) = std::env::var("LOOPD_TEST_POSTGRES") else {
            eprintln!("SKIPPED: LOOPD_TEST_POSTGRES names no server");
            return;
        };
        let config = Config::new(url);
        let address = address::parse(&config).unwrap();
        let mut session = Session::connect(&address, GRACE, 8).unwrap();
        session.begin("ISOLATION LEVEL READ COMMITTED", &View::System, None);
        assert!(session.execute("SELECT nonsense", &[]).is_err());
        session.rollback();
        assert!(!session.is_lost(), "a refused statement is no harm");
        session.begin("NONSENSE", &View::System, None);
        assert!(matches!(session.execute("SELECT 1", &[]), Err(StoreError::Other(_))));
        assert!(session.is_lost());
    }
}
