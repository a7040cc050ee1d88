//! What a write transaction promises, on both engines.

use loopd_store::testing::TestDb;
use loopd_store::{Db, StoreError, View, params};
use loopd_types::{Kind, Problem};

async fn table(db: &Db) {
    db.write(View::System, |tx| {
        tx.execute("CREATE TABLE item (id BIGINT PRIMARY KEY, name TEXT NOT NULL UNIQUE)", &[])?;
        Ok(())
    })
    .await
    .unwrap();
}

async fn insert(db: &Db, id: i64, name: &'static str) -> Result<u64, Problem> {
    db.write(View::System, move |tx| Ok(tx.execute("INSERT INTO item (id, name) VALUES ($1, $2)", &params![id, name])?))
        .await
}

async fn count(db: &Db) -> i64 {
    db.read(View::System, |reader| Ok(reader.one("SELECT count(*) FROM item", &[], |row| row.i64(0))?)).await.unwrap()
}

#[tokio::test]
async fn a_write_is_read_back() {
    for db in TestDb::both().await {
        table(&db).await;
        assert_eq!(insert(&db, 1, "one").await.unwrap(), 1);
        assert_eq!(count(&db).await, 1);
    }
}

#[tokio::test]
async fn markers_are_bound_by_their_number() {
    for db in TestDb::both().await {
        let row = db
            .read(View::System, |reader| {
                Ok(reader.one(
                    "SELECT CAST($2 AS BIGINT), CAST($1 AS BIGINT), CAST($2 AS BIGINT)",
                    &params![10, 20],
                    |row| Ok((row.i64(0)?, row.i64(1)?, row.i64(2)?)),
                )?)
            })
            .await
            .unwrap();
        assert_eq!(row, (20, 10, 20));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_refusal_among_many_takes_only_itself_back() {
    for db in TestDb::both().await {
        table(&db).await;
        let calls: Vec<_> = (0..100_i64)
            .map(|n| {
                let db = db.db.clone();
                tokio::spawn(async move {
                    db.write(View::System, move |tx| {
                        tx.execute("INSERT INTO item (id, name) VALUES ($1, $2)", &params![n, format!("n{n}")])?;
                        match n % 10 {
                            3 => Err(Problem::invalid("odd", "Not this one.")),
                            7 => panic!("a closure that panics"),
                            _ => Ok(n),
                        }
                    })
                    .await
                })
            })
            .collect();
        for (n, call) in calls.into_iter().enumerate() {
            match (n % 10, call.await.unwrap()) {
                (3, Err(problem)) => assert_eq!(problem.code(), "odd"),
                (7, Err(problem)) => assert_eq!(problem.kind(), Kind::Internal),
                (_, Ok(answer)) => assert_eq!(answer, n as i64),
                (_, Err(problem)) => panic!("{n}: {problem:?}"),
            }
        }
        assert_eq!(count(&db).await, 80);
    }
}

#[tokio::test]
async fn a_broken_unique_rule_is_named_and_is_a_conflict() {
    for db in TestDb::both().await {
        table(&db).await;
        insert(&db, 1, "one").await.unwrap();
        let seen = std::sync::Arc::new(std::sync::Mutex::new(None));
        let seen_by = seen.clone();
        let problem = db
            .write(View::System, move |tx| {
                let error = tx.execute("INSERT INTO item (id, name) VALUES ($1, $2)", &params![2, "one"]).unwrap_err();
                *seen_by.lock().unwrap() = Some(error.clone());
                Err::<(), _>(error.into())
            })
            .await
            .unwrap_err();
        assert_eq!(problem.kind(), Kind::Conflict);
        let error = seen.lock().unwrap().take().unwrap();
        assert!(error.is_unique("item", &["name"]), "{error:?}");
        assert!(matches!(error, StoreError::Unique { .. }));
    }
}

#[tokio::test]
async fn a_failed_statement_spoils_the_transaction_even_if_it_is_ignored() {
    for db in TestDb::both().await {
        table(&db).await;
        insert(&db, 1, "one").await.unwrap();
        let outcome = db
            .write(View::System, |tx| {
                tx.execute("INSERT INTO item (id, name) VALUES (2, 'two')", &[])?;
                let _ = tx.execute("INSERT INTO item (id, name) VALUES (1, 'again')", &[]);
                Ok(())
            })
            .await;
        assert_eq!(outcome.unwrap_err().kind(), Kind::Conflict);
        assert_eq!(count(&db).await, 1);
    }
}

#[tokio::test]
async fn a_failed_attempt_leaves_the_rest() {
    for db in TestDb::both().await {
        table(&db).await;
        let refused = db
            .write(View::System, |tx| {
                tx.execute("INSERT INTO item (id, name) VALUES (1, 'one')", &[])?;
                let mut refused = 0;
                for (id, name) in [(2, "two"), (3, "one"), (4, "four")] {
                    let outcome = tx.attempt(|tx| {
                        tx.push("INSERT INTO item (id, name) VALUES ($1, $2)", params![id, name])?;
                        Ok(())
                    });
                    refused += u32::from(outcome.is_err());
                }
                Ok(refused)
            })
            .await
            .unwrap();
        assert_eq!((refused, count(&db).await), (1, 3));
    }
}

#[tokio::test]
async fn hooks_run_after_a_commit_and_never_after_a_rollback() {
    for db in TestDb::both().await {
        table(&db).await;
        for (id, fails) in [(1, false), (2, true)] {
            let (told, hook) = std::sync::mpsc::channel();
            let outcome = db
                .write(View::System, move |tx| {
                    let told = told.clone();
                    tx.on_commit(move || told.send(()).unwrap());
                    tx.execute("INSERT INTO item (id, name) VALUES ($1, $2)", &params![id, format!("n{id}")])?;
                    if fails { Err(Problem::not_found()) } else { Ok(()) }
                })
                .await;
            assert_eq!(outcome.is_err(), fails);
            // the hook comes before the answer, so there is nothing to wait for
            assert_eq!(hook.try_recv().is_ok(), !fails);
        }
    }
}

#[tokio::test]
async fn a_dropped_write_is_committed_all_the_same() {
    for db in TestDb::both().await {
        table(&db).await;
        let mut write = Box::pin(insert(&db, 1, "one"));
        // polled once, so that it is in line; then its caller goes away
        assert!(futures_poll_once(write.as_mut()).await.is_none());
        drop(write);
        insert(&db, 2, "two").await.unwrap();
        while count(&db).await != 2 {
            tokio::task::yield_now().await;
        }
    }
}

async fn futures_poll_once<T>(mut future: std::pin::Pin<&mut impl Future<Output = T>>) -> Option<T> {
    std::future::poll_fn(|context| match future.as_mut().poll(context) {
        std::task::Poll::Ready(value) => std::task::Poll::Ready(Some(value)),
        std::task::Poll::Pending => std::task::Poll::Ready(None),
    })
    .await
}

/// One that refuses after it wrote, among many that do not: only its own work is undone, and everybody else's is there once.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_after_a_write_undoes_only_itself_in_a_full_batch() {
    for db in TestDb::both().await {
        db.write_unlimited(|tx| {
            tx.execute("CREATE TABLE lots (id BIGINT PRIMARY KEY, word TEXT NOT NULL)", &params![])?;
            Ok(())
        })
        .await
        .unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..200i64 {
            let shared = db.clone();
            tasks.spawn(async move {
                let outcome = shared
                    .write(View::System, move |tx| {
                        tx.execute("INSERT INTO lots (id, word) VALUES ($1, 'x')", &params![number])?;
                        if number % 7 == 0 {
                            return Err(Problem::conflict("no", "After all not."));
                        }
                        Ok(())
                    })
                    .await;
                (number, outcome)
            });
        }
        while let Some(done) = tasks.join_next().await {
            let (number, outcome) = done.unwrap();
            assert_eq!(outcome.is_err(), number % 7 == 0, "{number}");
        }
        let kept = db
            .read(View::System, |reader| {
                Ok(reader.query("SELECT id FROM lots ORDER BY id", &params![], |row| row.i64(0))?)
            })
            .await
            .unwrap();
        let expected: Vec<i64> = (0..200).filter(|number| number % 7 != 0).collect();
        assert_eq!(kept, expected);
    }
}
