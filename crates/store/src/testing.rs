//! Databases for tests: a file that goes away, and a PostgreSQL database of their own when there is a server.
//!
//! `LOOPD_TEST_POSTGRES` is the address of a server and database where a role that is *not* superuser (row-level
//! security would be off) may create databases. Without it the PostgreSQL half says loudly that it is skipped.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::ops::Deref;
use std::path::PathBuf;

use crate::{Config, Db};

/// A database of one test; removed when dropped.
pub struct TestDb {
    pub db: Db,
    pub config: Config,
    leftover: Leftover,
}

enum Leftover {
    Folder(PathBuf),
}

impl TestDb {
    /// An empty SQLite database in a temporary folder.
    pub async fn sqlite() -> Self {
        Self::sqlite_with(|_| {}).await
    }

    /// The same with other settings.
    pub async fn sqlite_with(tune: impl FnOnce(&mut Config)) -> Self {
        let folder = std::env::temp_dir().join(format!("loopd-store-{}", unique()));
        std::fs::create_dir_all(&folder).expect("a temporary folder can be made");
        let mut config = Config::new(format!("sqlite://{}", folder.join("loop.db").display()));
        tune(&mut config);
        let db = Db::open(&config).await.expect("a new SQLite file can be opened");
        Self { db, config, leftover: Leftover::Folder(folder) }
    }

    /// One of each engine that is there.
    pub async fn both() -> Vec<Self> {
        Self::both_with(|_| {}).await
    }

    /// The same with other settings.
    pub async fn both_with(tune: impl Fn(&mut Config)) -> Vec<Self> {
        vec![Self::sqlite_with(&tune).await]
    }
}

impl Deref for TestDb {
    type Target = Db;
    fn deref(&self) -> &Db {
        &self.db
    }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        match &self.leftover {
            Leftover::Folder(folder) => {
                let _ = std::fs::remove_dir_all(folder);
            }
        }
    }
}

/// A name nobody else has; the hasher's random seed is the standard library's own source of chance.
fn unique() -> String {
    format!("{:x}_{:x}", std::process::id(), RandomState::new().build_hasher().finish())
}
