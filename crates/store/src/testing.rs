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
    Database { server: Config, name: String },
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
        let mut databases = vec![Self::sqlite_with(&tune).await];
        databases.extend(Self::postgres_with(&tune).await);
        databases
    }

    /// An empty PostgreSQL database, or `None` when no server is named.
    pub async fn postgres() -> Option<Self> {
        Self::postgres_with(|_| {}).await
    }

    /// The same with other settings.
    pub async fn postgres_with(tune: impl FnOnce(&mut Config)) -> Option<Self> {
        let Ok(url) = std::env::var("LOOPD_TEST_POSTGRES") else {
            eprintln!("SKIPPED on PostgreSQL: LOOPD_TEST_POSTGRES names no server");
            return None;
        };
        let server = Config { pool_size: 1, ..Config::new(url) };
        let name = format!("loopd_test_{}", unique());
        crate::postgres::administer(&server, format!("CREATE DATABASE {name}"))
            .await
            .expect("the role of LOOPD_TEST_POSTGRES may create databases");
        let mut config = Config::new(with_database(&server.url, &name));
        config.pool_size = 4;
        tune(&mut config);
        let db = Db::open(&config).await.expect("a new PostgreSQL database can be opened");
        Some(Self { db, config, leftover: Leftover::Database { server, name } })
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
            Leftover::Database { server, name } => {
                let (server, drop) = (server.clone(), format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
                // A drop cannot wait on the test's runtime, so it gets a thread and a runtime of its own.
                let _ = std::thread::spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                    runtime.map(|runtime| runtime.block_on(crate::postgres::administer(&server, drop)))
                })
                .join();
            }
        }
    }
}

/// A name nobody else has; the hasher's random seed is the standard library's own source of chance.
fn unique() -> String {
    format!("{:x}_{:x}", std::process::id(), RandomState::new().build_hasher().finish())
}

/// The address of another database on the same server.
fn with_database(url: &str, name: &str) -> String {
    let (base, query) = url.split_once('?').map_or((url, ""), |(base, query)| (base, query));
    let authority = base.find("://").map_or(0, |at| at + 3);
    let host_end = base[authority..].find('/').map_or(base.len(), |at| authority + at);
    let question = if query.is_empty() { "" } else { "?" };
    format!("{}/{name}{question}{query}", &base[..host_end])
}
