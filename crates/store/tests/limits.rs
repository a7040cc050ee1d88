//! Slow, stuck and gone databases: a clear refusal in time, and recovery without restart.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use loopd_store::testing::TestDb;
use loopd_store::{Db, View, migrate, params, security};
use loopd_types::{CompanyId, Kind, ManualClock, Problem, Timestamp};

/// Something that takes far longer than any limit here.
const ENDLESS: &str =
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000000000) SELECT count(*) FROM n";

fn short(config: &mut loopd_store::Config) {
    config.read_timeout = Duration::from_millis(150);
    config.long_read_timeout = Duration::from_millis(200);
    config.write_timeout = Duration::from_millis(250);
    config.acquire_timeout = Duration::from_millis(500);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_too_long_is_ended_and_the_next_call_works() {
    for db in TestDb::both_with(short).await {
        let endless =
            |reader: &mut loopd_store::Reader<'_>| Ok::<_, Problem>(reader.one(ENDLESS, &[], |row| row.i64(0))?);
        let read = db.read(View::System, endless).await.unwrap_err();
        let long = db.read_long(View::System, endless).await.unwrap_err();
        let write = db.write(View::System, move |tx| endless(tx)).await.unwrap_err();
        for problem in [read, long, write] {
            assert_eq!(problem.kind(), Kind::Unavailable, "{problem:?}");
            assert!(problem.cause().unwrap().contains("time limit"), "{problem:?}");
        }
        db.ping().await.unwrap();
        db.write(View::System, |tx| Ok(tx.execute("CREATE TABLE t (n BIGINT)", &[])?)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_waits_too_long_is_called_off_and_never_runs() {
    for db in TestDb::both_with(|config| {
        short(config);
        config.pool_size = 1;
        config.acquire_timeout = Duration::from_millis(100);
    })
    .await
    {
        db.write(View::System, |tx| Ok(tx.execute("CREATE TABLE t (n BIGINT)", &[])?)).await.unwrap();
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let begun = std::sync::Mutex::new(Some(begun));
        let (release, held) = std::sync::mpsc::channel::<()>();
        let held = std::sync::Mutex::new(held);
        let busy = {
            let db = db.db.clone();
            tokio::spawn(async move {
                db.write(View::System, move |_| {
                    begun.lock().unwrap().take().map(|begun| begun.send(()));
                    let _ = held.lock().unwrap().recv();
                    Ok(())
                })
                .await
            })
        };
        has_begun.await.unwrap();
        let late = db.write(View::System, |tx| Ok(tx.execute("INSERT INTO t VALUES (1)", &[])?)).await.unwrap_err();
        assert_eq!(late.kind(), Kind::Unavailable);
        release.send(()).unwrap();
        busy.await.unwrap().unwrap();
        let count =
            db.read(View::System, |reader| Ok(reader.one("SELECT count(*) FROM t", &[], |row| row.i64(0))?)).await;
        assert_eq!(count.unwrap(), 0);
        assert_eq!(db.stats().wait_timeouts, 1);
    }
}

#[tokio::test]
async fn two_databases_in_one_process_do_not_mix() {
    let (one, two) = (TestDb::sqlite().await, TestDb::sqlite().await);
    one.write(View::System, |tx| Ok(tx.execute("CREATE TABLE t (n BIGINT)", &[])?)).await.unwrap();
    let read = |db: &Db| {
        let db = db.clone();
        async move { db.read(View::System, |reader| Ok(reader.query("SELECT n FROM t", &[], |row| row.i64(0))?)).await }
    };
    assert!(read(&one).await.is_ok());
    assert!(read(&two).await.is_err());
    assert!(read(&one).await.is_ok());
}

async fn notes(db: &Db) {
    db.write(View::System, |tx| {
        Ok(tx.batch(
            "CREATE TABLE note (company_id BIGINT NOT NULL, id BIGINT NOT NULL, PRIMARY KEY (company_id, id))",
        )?)
    })
    .await
    .unwrap();
    // runs the embedded migrations and then sees to the policies of all tables
    migrate::run(db, &ManualClock::at(Timestamp(1))).await.unwrap();
}

async fn seen(db: &Db, view: View) -> i64 {
    let count = "SELECT count(*) FROM note";
    let short = db.read(view.clone(), move |reader| Ok(reader.one(count, &[], |row| row.i64(0))?)).await.unwrap();
    let long = db.read_long(view.clone(), move |reader| Ok(reader.one(count, &[], |row| row.i64(0))?)).await.unwrap();
    let write = db.write(view, move |tx| Ok(tx.one(count, &[], |row| row.i64(0))?)).await.unwrap();
    assert_eq!((short, short), (long, write));
    short
}

#[tokio::test]
async fn a_view_hides_other_companies_rows_even_from_a_forgetful_statement() {
    let Some(db) = TestDb::postgres_with(|config| config.pool_size = 1).await else { return };
    notes(&db).await;
    db.write(View::System, |tx| Ok(tx.batch("INSERT INTO note VALUES (1, 1), (1, 2), (2, 1), (3, 1)")?)).await.unwrap();
    for (view, expected) in [
        (View::System, 4),
        (View::Company(CompanyId(1)), 2),
        (View::Company(CompanyId(2)), 1),
        (View::Company(CompanyId(9)), 0),
        (View::Companies(Arc::new([CompanyId(1), CompanyId(3)])), 3),
        (View::Companies(Arc::new([])), 0),
        (View::System, 4),
    ] {
        assert_eq!(seen(&db, view.clone()).await, expected, "{view:?}");
    }
    let stranger =
        db.write(View::Company(CompanyId(1)), |tx| Ok(tx.execute("INSERT INTO note VALUES (2, 9)", &[])?)).await;
    assert_eq!(stranger.unwrap_err().kind(), Kind::Internal);
    assert!(security::warnings(&db).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_that_collide_run_again() {
    // PostgreSQL looks for a deadlock only after a second, so on a slow machine a round of collisions may cost that much and let one
    // call through: few connections, and as much patience and as many tries as the worst order of events can take.
    let patient = |config: &mut loopd_store::Config| {
        config.pool_size = 4;
        config.acquire_timeout = Duration::from_secs(300);
        config.retries = 200;
    };
    let Some(db) = TestDb::postgres_with(patient).await else { return };
    db.write(View::System, |tx| {
        Ok(tx.batch("CREATE TABLE t (id BIGINT PRIMARY KEY, n BIGINT); INSERT INTO t VALUES (1, 0), (2, 0)")?)
    })
    .await
    .unwrap();
    let runs = Arc::new(AtomicU32::new(0));
    let calls: Vec<_> = (0..40_i64)
        .map(|call| {
            let (db, runs) = (db.db.clone(), Arc::clone(&runs));
            tokio::spawn(async move {
                db.write(View::System, move |tx| {
                    runs.fetch_add(1, Ordering::Relaxed);
                    tx.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", &[])?;
                    // Half the calls lock the rows in the other order: deadlocks, and a mapping that hides them.
                    for id in if call % 2 == 0 { [1_i64, 2] } else { [2, 1] } {
                        tx.execute("UPDATE t SET n = n + 1 WHERE id = $1", &params![id])
                            .map_err(|_| Problem::not_found())?;
                    }
                    Ok(())
                })
                .await
            })
        })
        .collect();
    let mut done = 0;
    for call in calls {
        done += i64::from(call.await.unwrap().is_ok());
    }
    let sum =
        db.read(View::System, |reader| Ok(reader.one("SELECT sum(n) FROM t", &[], |row| row.i64(0))?)).await.unwrap();
    assert_eq!((done, sum), (40, 80));
    assert_eq!(u64::from(runs.load(Ordering::Relaxed)), 40 + db.stats().retries);
}

#[tokio::test]
async fn a_lost_connection_is_made_again_and_the_work_repeated() {
    let Some(db) = TestDb::postgres_with(|config| config.pool_size = 1).await else { return };
    db.write(View::System, |tx| Ok(tx.batch("CREATE TABLE t (n BIGINT)")?)).await.unwrap();
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    db.write(View::System, move |tx| {
        tx.execute("INSERT INTO t VALUES (1)", &[])?;
        if counted.fetch_add(1, Ordering::Relaxed) == 0 {
            tx.execute("SELECT pg_terminate_backend(pg_backend_pid())", &[])?;
        }
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(runs.load(Ordering::Relaxed), 2);
    assert_eq!(seen_rows(&db).await, 1);
}

async fn seen_rows(db: &Db) -> i64 {
    db.read(View::System, |reader| Ok(reader.one("SELECT count(*) FROM t", &[], |row| row.i64(0))?)).await.unwrap()
}

#[tokio::test]
async fn no_connection_stays_inside_a_transaction() {
    let Some(db) = TestDb::postgres_with(|config| config.pool_size = 1).await else { return };
    db.write(View::System, |tx| Ok(tx.batch("CREATE TABLE t (n BIGINT PRIMARY KEY)")?)).await.unwrap();
    let _ = db
        .write(View::System, |tx| {
            tx.execute("INSERT INTO t VALUES (1)", &[]).map_err(Problem::from).and(Err::<(), _>(Problem::not_found()))
        })
        .await;
    let _ = db
        .write(View::System, |tx| -> Result<(), Problem> {
            tx.execute("INSERT INTO t VALUES (1)", &[])?;
            panic!("no")
        })
        .await;
    let _ = db.write(View::System, |tx| Ok(tx.push("INSERT INTO nowhere VALUES (1)", [])?)).await;
    let _ = db
        .write(View::System, |tx| {
            tx.push("INSERT INTO t VALUES (1)", [])?;
            tx.push("INSERT INTO t VALUES (1)", [])?;
            Ok(())
        })
        .await;
    let _ = db.read_long(View::System, |reader| Ok(reader.query("SELECT * FROM nowhere", &[], |_| Ok(()))?)).await;
    let state = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%' AND datname = current_database()";
    let open = db.read(View::System, move |reader| Ok(reader.one(state, &[], |row| row.i64(0))?)).await.unwrap();
    assert_eq!((open, seen_rows(&db).await), (0, 0));
}
