//! SQLite on a disk that refuses (`EFBIG`, `EMFILE`): the truth for every call, nothing half-written, and no restart once it is over.
//!
//! The kernel's own limits are the cause, because they count for root as well: a file may not grow beyond a length, no file can be opened.
//! SQLite cannot tell them from a failing device: both come back as SQLITE_IOERR and SQLITE_CANTOPEN.
#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use loopd_store::testing::TestDb;
use loopd_store::{Config, Db, View, params};
use loopd_types::{Kind, Problem};

/// Names the database to the child; without it the child's test has nothing to do.
const CHILD: &str = "LOOPD_STORE_IO_CHILD";

/// A shell that was started while all was well: under its limits the test could start nothing any more.
struct Limits(Child);

impl Limits {
    fn new() -> Self {
        Self(Command::new("sh").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap())
    }

    /// Changes a limit of this process: an option of prlimit(1).
    fn set(&mut self, option: &str) {
        let command = format!("prlimit --pid {} {option} && echo set\n", std::process::id());
        self.0.stdin.as_mut().unwrap().write_all(command.as_bytes()).unwrap();
        let mut answer = String::new();
        BufReader::new(self.0.stdout.as_mut().unwrap()).read_line(&mut answer).unwrap();
        assert_eq!(answer, "set\n", "prlimit {option}");
    }
}

impl Drop for Limits {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// Writes a row and its twin, so that half a write would show.
async fn write(db: &Db, id: i64, size: usize) -> Result<(), Problem> {
    db.write(View::System, move |tx| {
        tx.execute("INSERT INTO page (id, body) VALUES ($1, $2)", &params![id, "x".repeat(size)])?;
        tx.execute("INSERT INTO twin (id) VALUES ($1)", &params![id])?;
        Ok(())
    })
    .await
}

/// The rows that are there, each with its twin.
async fn rows(db: &Db) -> BTreeSet<i64> {
    let ids = |sql: &'static str| {
        db.read_long(View::System, move |reader| Ok(reader.query(sql, &[], |row| row.i64(0))?.into_iter().collect()))
    };
    let there: BTreeSet<i64> = ids("SELECT id FROM page").await.unwrap();
    assert_eq!(there, ids("SELECT id FROM twin").await.unwrap());
    there
}

fn length(config: &Config, ending: &str) -> u64 {
    std::fs::metadata(format!("{}{ending}", config.sqlite_path().unwrap().display())).map_or(0, |file| file.len())
}

/// The child: its limits are its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_that_is_refused_by_its_disk() {
    let Ok(url) = std::env::var(CHILD) else { return };
    // the log is folded often, so that the database file's own growth is refused as well
    let config = Config { checkpoint_pages: 20, ..Config::new(url) };
    let db = Db::open(&config).await.unwrap();
    let mut limits = Limits::new();
    let create = "CREATE TABLE page (id INTEGER PRIMARY KEY, body TEXT) STRICT; CREATE TABLE twin (id INTEGER PRIMARY KEY) STRICT;";
    db.write(View::System, move |tx| Ok(tx.batch(create)?)).await.unwrap();
    let mut expected = BTreeSet::new();
    for id in 0..10 {
        write(&db, id, 100).await.unwrap();
        expected.insert(id);
    }

    for round in 1..=3_i64 {
        let longest = length(&config, "").max(length(&config, "-wal"));
        limits.set(&format!("--fsize={}:", longest + 30_000));
        // Nothing of this fits: alone, and among others that would.
        let refused = write(&db, round * 1_000, 10_000_000).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::Unavailable, "{refused:?}");
        assert!(refused.cause().is_some_and(|cause| cause.contains("disk I/O error")), "{refused:?}");
        // Together these fit neither into the log nor into the database file.
        let size = longest as usize / 40 + 5_000;
        let calls: Vec<_> = (1..100)
            .map(|call| {
                let (db, id) = (db.clone(), round * 1_000 + call);
                tokio::spawn(async move { (id, write(&db, id, size).await) })
            })
            .collect();
        let mut refusals = 0;
        for call in calls {
            match call.await.unwrap() {
                (id, Ok(())) => assert!(expected.insert(id)),
                (_, Err(problem)) => {
                    assert_eq!(problem.kind(), Kind::Unavailable, "{problem:?}");
                    refusals += 1;
                }
            }
        }
        assert!(refusals > 0, "round {round}: all of it was taken");
        assert_eq!(rows(&db).await, expected, "round {round}, while the disk refuses");
        limits.set("--fsize=unlimited:");
        for id in [round * 1_000 + 200, round * 1_000 + 201] {
            write(&db, id, 200_000).await.unwrap();
            expected.insert(id);
        }
        assert_eq!(rows(&db).await, expected, "round {round}, after it");
    }

    let sound = "PRAGMA integrity_check";
    let sound =
        db.read_long(View::System, move |reader| Ok(reader.one(sound, &[], |row| Ok(row.text(0)?.to_owned()))?));
    assert_eq!(sound.await.unwrap(), "ok");
    db.close().await;
    let again = Db::open(&config).await.unwrap();
    assert_eq!(rows(&again).await, expected, "opened anew");

    // A thread's first read opens the file.
    limits.set("--nofile=0:");
    let refused = from_a_new_thread(&again).unwrap_err();
    assert_eq!(refused.kind(), Kind::Unavailable, "{refused:?}");
    limits.set("--nofile=1024:");
    assert_eq!(from_a_new_thread(&again).unwrap(), expected.len() as i64);
}

fn from_a_new_thread(db: &Db) -> Result<i64, Problem> {
    let (db, runtime) = (db.clone(), tokio::runtime::Handle::current());
    let read = move || {
        let count = "SELECT count(*) FROM page";
        runtime.block_on(db.read(View::System, move |reader| Ok(reader.one(count, &[], |row| row.i64(0))?)))
    };
    std::thread::spawn(read).join().unwrap()
}

#[tokio::test]
async fn a_disk_that_refuses_is_a_503_and_passes() {
    let db = TestDb::sqlite().await;
    db.close().await;
    // Without the trap a file that is too long ends the process instead of failing the call.
    let mut child = Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "child_that_is_refused_by_its_disk", "--nocapture"])
        .env(CHILD, &db.config.url)
        .spawn()
        .unwrap();
    let ended = tokio::task::spawn_blocking(move || child.wait().unwrap());
    let ended = tokio::time::timeout(Duration::from_secs(60), ended).await.expect("the child ends").unwrap();
    assert!(ended.success(), "{ended}");
}
