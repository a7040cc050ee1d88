//! Folding the log into the database file beside the writer. The bulk of the pages, and the wait for the disk, are this thread's;
//! the writer itself then folds only the few pages that came meanwhile, after which the log begins anew.

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::failure;
use crate::StoreError;

/// What one pass found: whether somebody was in its way, pages in the log, pages of them in the file.
pub type Pass = (i64, i64, i64);

/// Folds what it can without waiting for anybody.
pub const PASSIVE: &str = "PRAGMA wal_checkpoint(PASSIVE)";

/// One pass on `connection`.
pub fn pass(connection: &Connection, pragma: &str) -> Result<Pass, StoreError> {
    connection.query_row(pragma, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).map_err(failure::from)
}

/// The writer's end: asks for a pass, learns when it is done, and ends the thread when dropped.
pub struct Folder(Arc<Shared>);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Nothing was asked for since the last [`Folder::rest`].
    Resting,
    Busy,
    /// The pass that was asked for is over, well or badly.
    Done,
}

struct Shared {
    state: Mutex<(State, bool)>,
    changed: Condvar,
}

impl Folder {
    /// The handle and the thread's work.
    pub fn new(path: PathBuf) -> (Self, impl FnOnce() + Send + 'static) {
        let shared = Arc::new(Shared { state: Mutex::new((State::Resting, false)), changed: Condvar::new() });
        let theirs = Arc::clone(&shared);
        (Self(shared), move || theirs.run(&path))
    }

    pub fn state(&self) -> State {
        self.0.lock().0
    }

    pub fn ask(&self) {
        self.0.lock().0 = State::Busy;
        self.0.changed.notify_one();
    }

    pub fn rest(&self) {
        self.0.lock().0 = State::Resting;
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        self.0.lock().1 = true;
        self.0.changed.notify_one();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, (State, bool)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, path: &PathBuf) {
        let mut connection = None;
        loop {
            let guard = self.lock();
            let waiting = |(state, ended): &mut (State, bool)| *state != State::Busy && !*ended;
            let guard = self.changed.wait_while(guard, waiting).unwrap_or_else(PoisonError::into_inner);
            if guard.1 {
                return;
            }
            drop(guard);
            if let Err(error) = fold(&mut connection, path) {
                connection = None;
                tracing::warn!(%error, "the log could not be folded into the database file");
            }
            self.lock().0 = State::Done;
        }
    }
}

fn fold(connection: &mut Option<Connection>, path: &PathBuf) -> Result<(), StoreError> {
    let open = match connection.take() {
        Some(open) => open,
        None => {
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let open = Connection::open_with_flags(path, flags).map_err(failure::from)?;
            open.busy_timeout(Duration::ZERO).map_err(failure::from)?;
            // the file is synced before the log may be written over
            open.execute_batch("PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;").map_err(failure::from)?;
            open
        }
    };
    pass(&open, PASSIVE)?;
    *connection = Some(open);
    Ok(())
}
