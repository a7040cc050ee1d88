//! What was acknowledged is there: after `kill -9`, on a full disk, in a backup.

use std::collections::HashSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use loopd_store::testing::TestDb;
use loopd_store::{Config, Db, View, check_backup, migrate, params};
use tokio::task::JoinSet;

use loopd_types::{Kind, ManualClock, Problem, Timestamp};

/// Names the database to the child of the next test; without it the child's test has nothing to do.
const CHILD: &str = "LOOPD_STORE_CHILD";

/// The child: writes numbers as fast as it can from 16 callers and prints each after it was acknowledged, until killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_that_acknowledges() {
    let Ok(url) = std::env::var(CHILD) else { return };
    // a short log is folded into the file again and again, also while the kill comes
    let db = Db::open(&Config { checkpoint_pages: 20, ..Config::new(url) }).await.unwrap();
    let next = Arc::new(AtomicI64::new(0));
    let mut callers = JoinSet::new();
    for _ in 0..16 {
        let (db, next) = (db.clone(), Arc::clone(&next));
        callers.spawn(async move {
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                let insert = "INSERT INTO number (n) VALUES ($1)";
                db.write(View::System, move |tx| Ok(tx.execute(insert, &params![n])?)).await.unwrap();
                // one system call for the line, so that a kill cannot tear it
                std::io::stdout().write_all(format!("ack {n}\n").as_bytes()).unwrap();
            }
        });
    }
    // a caller ends only by a panic, and then the child ends too
    let _: Option<Result<(), _>> = callers.join_next().await;
}

fn acknowledged_number(line: &str) -> Option<i64> {
    line.strip_prefix("ack ")?.parse().ok()
}

#[tokio::test]
async fn every_acknowledged_write_survives_kill_9() {
    for db in TestDb::both().await {
        let create = "CREATE TABLE number (n BIGINT PRIMARY KEY)";
        db.write(View::System, move |tx| Ok(tx.execute(create, &[])?)).await.unwrap();
        for round in 0..3 {
            let mut child = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "child_that_acknowledges", "--nocapture"])
                .env(CHILD, &db.config.url)
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let lines = BufReader::new(child.stdout.take().unwrap()).lines();
            let mut numbers = lines.map_while(Result::ok).filter_map(|line| acknowledged_number(&line));
            let mut acknowledged: HashSet<i64> = numbers.by_ref().take(300).collect();
            assert_eq!(acknowledged.len(), 300);
            child.kill().unwrap();
            child.wait().unwrap();
            // what it still said before it died
            acknowledged.extend(numbers);
            let reopened = Db::open(&db.config).await.unwrap();
            let select = "SELECT n FROM number";
            let there: HashSet<i64> = reopened
                .read_long(View::System, move |reader| Ok(reader.query(select, &[], |row| row.i64(0))?))
                .await
                .unwrap()
                .into_iter()
                .collect();
            let lost: Vec<_> = acknowledged.difference(&there).collect();
            assert!(lost.is_empty(), "round {round}: {lost:?}");
            reopened.write(View::System, |tx| Ok(tx.execute("DELETE FROM number", &[])?)).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_stays_short_under_write_load() {
    const ROWS: i64 = 3_000;
    const SIZE: usize = 2_000;
    let db = TestDb::sqlite_with(|config| config.checkpoint_pages = 50).await;
    db.write(View::System, |tx| Ok(tx.batch("CREATE TABLE page (id INTEGER PRIMARY KEY, body TEXT) STRICT")?))
        .await
        .unwrap();
    let log = format!("{}-wal", db.config.sqlite_path().unwrap().display());
    let next = Arc::new(AtomicI64::new(0));
    let mut callers = JoinSet::new();
    for _ in 0..8 {
        let (db, next) = (db.db.clone(), Arc::clone(&next));
        callers.spawn(async move {
            loop {
                let id = next.fetch_add(1, Ordering::Relaxed);
                if id >= ROWS {
                    return;
                }
                fill(&db, id, SIZE).await.unwrap();
            }
        });
    }
    while let Some(ended) = callers.join_next().await {
        ended.unwrap();
    }
    let rows = db.read(View::System, |reader| Ok(reader.one("SELECT COUNT(*) FROM page", &[], |row| row.i64(0))?));
    assert_eq!(rows.await.unwrap(), ROWS);
    // Without folding it would hold every row at least once.
    let length = std::fs::metadata(&log).unwrap().len();
    assert!(length < ROWS as u64 * SIZE as u64 / 2, "{length} bytes");
}

async fn fill(db: &Db, id: i64, size: usize) -> Result<(), Problem> {
    db.write(View::System, move |tx| {
        tx.execute("INSERT INTO page (id, body) VALUES ($1, $2)", &params![id, "x".repeat(size)])?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_a_503_and_passes() {
    let db = TestDb::sqlite_with(|config| config.max_pages = Some(64)).await;
    db.write(View::System, |tx| Ok(tx.batch("CREATE TABLE page (id INTEGER PRIMARY KEY, body TEXT) STRICT")?))
        .await
        .unwrap();
    fill(&db, 1, 100).await.unwrap();
    // Too large by itself, among others that fit: each call is told the truth about its own row.
    let calls: Vec<_> = (2..34_i64)
        .map(|id| {
            let db = db.db.clone();
            tokio::spawn(async move { (id, fill(&db, id, if id == 9 { 1_000_000 } else { 100 }).await) })
        })
        .collect();
    let mut expected = HashSet::from([1]);
    for call in calls {
        match call.await.unwrap() {
            (id, Ok(())) => assert!(expected.insert(id) && id != 9),
            (_, Err(problem)) => assert_eq!(problem.kind(), Kind::Unavailable, "{problem:?}"),
        }
    }
    let there = |db: &Db| {
        let db = db.clone();
        async move {
            let rows =
                db.read(View::System, |reader| Ok(reader.query("SELECT id FROM page", &[], |row| row.i64(0))?)).await;
            rows.unwrap().into_iter().collect::<HashSet<i64>>()
        }
    };
    assert_eq!(there(&db).await, expected);
    // Full to the brim, then room again: no restart is needed.
    while let Ok(()) = fill(&db, 100 + there(&db).await.len() as i64, 20_000).await {}
    assert_eq!(fill(&db, 1_000, 20_000).await.unwrap_err().kind(), Kind::Unavailable);
    db.write(View::System, |tx| Ok(tx.execute("DELETE FROM page WHERE id >= 100", &[])?)).await.unwrap();
    fill(&db, 1_001, 20_000).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_write_load_is_one_sound_state() {
    let db = TestDb::sqlite().await;
    migrate::run(&db, &ManualClock::at(Timestamp(1))).await.unwrap();
    db.write(View::System, |tx| {
        tx.batch("CREATE TABLE pair (id INTEGER PRIMARY KEY, twin INTEGER NOT NULL, body TEXT NOT NULL) STRICT")?;
        for id in 0..2_000 {
            tx.execute("INSERT INTO pair VALUES ($1, $1, $2)", &params![id, "x".repeat(2_000)])?;
        }
        Ok(())
    })
    .await
    .unwrap();
    let writer = {
        let db = db.db.clone();
        tokio::spawn(async move {
            for id in 10_000..12_000_i64 {
                let insert = "INSERT INTO pair VALUES ($1, $1, '')";
                db.write(View::System, move |tx| Ok(tx.execute(insert, &params![id])?)).await.unwrap();
            }
        })
    };
    let to = db.config.sqlite_path().unwrap().with_file_name("copy.db");
    db.backup(&to).await.unwrap();
    assert!(db.backup(&to).await.is_err(), "a backup never overwrites");
    writer.await.unwrap();
    let checked = check_backup(&to).unwrap();
    assert_eq!(checked.newest_migration as usize, migrate::EMBEDDED.len());
    let mut config = db.config.clone();
    config.url = format!("sqlite://{}", to.display());
    let copy = Db::open(&config).await.unwrap();
    let count =
        copy.read(View::System, |reader| Ok(reader.one("SELECT count(*) FROM pair", &[], |row| row.i64(0))?)).await;
    assert!((2_000..=4_000).contains(&count.unwrap()));
    std::fs::write(to.with_file_name("junk.db"), vec![7; 9_000]).unwrap();
    assert!(check_backup(&to.with_file_name("junk.db")).is_err());
}
