//! Migrations: applied once, refused when history was changed or is newer.

use loopd_store::migrate::{self, Migration};
use loopd_store::testing::TestDb;
use loopd_store::{Db, Engine, Value, View, params, security};
use loopd_types::{CompanyId, ManualClock, Timestamp, Uuid};

const fn step(number: u32, name: &'static str, sql: &'static str) -> Migration {
    Migration { number, name, sqlite: sql, postgres: sql }
}

const FIRST: Migration = step(
    1,
    "note",
    "CREATE TABLE note (company_id BIGINT NOT NULL, id UUID NOT NULL, is_open BOOLEAN NOT NULL DEFAULT TRUE, data JSON, \
     PRIMARY KEY (company_id, id)); CREATE INDEX note_open ON note (company_id, is_open);",
);
const SECOND: Migration = step(2, "body", "ALTER TABLE note ADD COLUMN body TEXT NOT NULL DEFAULT '';");
static ONE: [Migration; 1] = [FIRST];
static BOTH: [Migration; 2] = [FIRST, SECOND];
static CHANGED: [Migration; 1] = [step(1, "note", "CREATE TABLE note (id BIGINT);")];
static BROKEN: [Migration; 3] = [FIRST, SECOND, step(3, "broken", "CREATE TABLE half (id BIGINT); CREATE NONSENSE;")];
static LATE: [Migration; 2] = [step(1, "early", "CREATE TABLE early (id BIGINT);"), SECOND];

fn clock() -> ManualClock {
    ManualClock::at(Timestamp(1_800_000_000_000_000))
}

#[tokio::test]
async fn steps_are_applied_once_and_in_order() {
    for db in TestDb::both().await {
        assert_eq!(migrate::plan_these(&db, &BOTH).await.unwrap().len(), 2);
        assert_eq!(migrate::run_these(&db, &clock(), &ONE).await.unwrap().len(), 1);
        assert_eq!(migrate::plan_these(&db, &BOTH).await.unwrap()[0].name, "body");
        assert_eq!(migrate::run_these(&db, &clock(), &BOTH).await.unwrap()[0].number, 2);
        assert!(migrate::run_these(&db, &clock(), &BOTH).await.unwrap().is_empty());
        // A try to write leaves nothing there.
        db.try_to_write().await.unwrap();
        assert!(db.keeps_writes().await && db.stats().refusing == 0);
        assert!(migrate::plan_these(&db, &BOTH).await.unwrap().is_empty());
        db.write(View::System, |tx| {
            let id = loopd_types::Uuid::from_u128(7);
            tx.execute("INSERT INTO note (company_id, id, body) VALUES ($1, $2, $3)", &params![1, id, "text"])?;
            let row = tx.one("SELECT id, is_open, data, body FROM note", &[], |row| {
                Ok((row.uuid(0)?, row.bool(1)?, row.opt_json(2)?.is_none(), row.text(3)?.to_owned()))
            })?;
            assert_eq!(row, (id, true, true, "text".to_owned()));
            Ok(())
        })
        .await
        .unwrap();
    }
}

#[tokio::test]
async fn a_changed_step_is_refused_in_words() {
    for db in TestDb::both().await {
        migrate::run_these(&db, &clock(), &ONE).await.unwrap();
        let error = migrate::run_these(&db, &clock(), &CHANGED).await.unwrap_err().to_string();
        assert!(error.contains("0001_note") && error.contains("must not be edited"), "{error}");
    }
}

#[tokio::test]
async fn a_newer_database_is_refused_in_words() {
    for db in TestDb::both().await {
        migrate::run_these(&db, &clock(), &BOTH).await.unwrap();
        let error = migrate::run_these(&db, &clock(), &ONE).await.unwrap_err().to_string();
        assert!(error.contains("0002_body") && error.contains("newer version"), "{error}");
        assert!(migrate::plan_these(&db, &ONE).await.is_err());
    }
}

#[tokio::test]
async fn a_step_that_comes_too_late_is_refused() {
    for db in TestDb::both().await {
        static SECOND_ONLY: [Migration; 1] = [step(2, "alone", "CREATE TABLE alone (id BIGINT);")];
        static WITH_LATE: [Migration; 2] = [LATE[0], SECOND_ONLY[0]];
        migrate::run_these(&db, &clock(), &SECOND_ONLY).await.unwrap();
        let error = migrate::run_these(&db, &clock(), &WITH_LATE).await.unwrap_err().to_string();
        assert!(error.contains("later number"), "{error}");
    }
}

#[tokio::test]
async fn a_broken_step_leaves_nothing_half_done() {
    for db in TestDb::both().await {
        let error = migrate::run_these(&db, &clock(), &BROKEN).await.unwrap_err().to_string();
        assert!(error.contains("0003_broken"), "{error}");
        assert_eq!(migrate::plan_these(&db, &BROKEN).await.unwrap().len(), 1);
        let half = db.read(View::System, |reader| Ok(reader.query("SELECT * FROM half", &[], |_| Ok(()))?)).await;
        assert!(half.is_err());
    }
}

#[tokio::test]
async fn two_nodes_that_start_together_take_turns() {
    for db in TestDb::both().await {
        let other = loopd_store::Db::open(&db.config).await.unwrap();
        let (clock, again) = (clock(), clock());
        let (a, b) = tokio::join!(migrate::run_these(&db, &clock, &BOTH), migrate::run_these(&other, &again, &BOTH));
        assert_eq!(a.unwrap().len() + b.unwrap().len(), 2);
    }
}

#[tokio::test]
async fn the_embedded_steps_apply() {
    for db in TestDb::both().await {
        let applied = migrate::run(&db, &clock()).await.unwrap();
        assert_eq!(applied.len(), migrate::EMBEDDED.len());
    }
}

const COUNTERS: &str = "SELECT company_id, name, value, live, deleted FROM counters ORDER BY company_id, name";
const AUDIT_LOGS: &str = "SELECT company_id, id, at, action, module, resource, target_id, target_label, actor_user_id, credential_id, \
     app_id, address, request_id, reason, changes FROM audit_logs ORDER BY company_id, id";

/// Every row of a statement, column by column.
async fn rows(db: &Db, view: View, sql: &'static str) -> Vec<Vec<Value>> {
    let rows = db.read_long(view, move |reader| {
        Ok(reader.query(sql, &[], |row| (0..row.width()).map(|place| row.value(place)).collect())?)
    });
    rows.await.unwrap()
}

#[tokio::test]
async fn counters_and_audit_logs_are_rebuilt_with_every_row() {
    for db in TestDb::both().await {
        let before = migrate::EMBEDDED.split(|step| step.name == "keyed_tables").next().unwrap();
        assert_eq!(migrate::run_these(&db, &clock(), before).await.unwrap().len(), 3);
        db.write(View::System, |tx| {
            for company in 1..=3_i64 {
                for name in ["a", "b"] {
                    let values = params![company, name, company * 10, company, 1];
                    tx.execute("INSERT INTO counters VALUES ($1, $2, $3, $4, $5)", &values)?;
                }
                for entry in 1..=40_i64 {
                    let id = Uuid::from_u128((company * 1_000 + entry) as u128);
                    // every second entry leaves out what may be left out
                    let some = (entry % 2 == 0).then_some("x");
                    let user = (entry % 2 == 0).then_some(id);
                    tx.execute(
                        "INSERT INTO audit_logs VALUES ($1, $2, $3, 'create', 'crm', 'contacts', $4, 'É', $5, $5, $6, $6, $6, $6, $7)",
                        &params![company, id, entry, id.to_string(), user, some, some.map(|_| Value::Json("{\"a\": 1}".into()))],
                    )?;
                }
            }
            Ok(())
        })
        .await
        .unwrap();
        let (counters, logs) = (rows(&db, View::System, COUNTERS).await, rows(&db, View::System, AUDIT_LOGS).await);
        assert_eq!((counters.len(), logs.len()), (6, 120));

        migrate::run(&db, &clock()).await.unwrap();
        assert_eq!(rows(&db, View::System, COUNTERS).await, counters);
        assert_eq!(rows(&db, View::System, AUDIT_LOGS).await, logs);
        let again =
            db.write(View::System, |tx| Ok(tx.execute("INSERT INTO counters VALUES (1, 'a', 1, 1, 1)", &[])?)).await;
        assert_eq!(again.unwrap_err().kind(), loopd_types::Kind::Conflict);
        match db.engine() {
            Engine::Sqlite => {
                for sql in ["SELECT rowid FROM counters", "SELECT rowid FROM audit_logs"] {
                    let hidden = db.read(View::System, move |reader| Ok(reader.query(sql, &[], |_| Ok(()))?)).await;
                    assert!(hidden.is_err(), "the key is the table");
                }
                let index = "SELECT name FROM sqlite_schema WHERE type = 'index' AND name = 'audit_logs_target'";
                assert_eq!(rows(&db, View::System, index).await.len(), 1);
            }
            Engine::Postgres => {
                assert_eq!(security::warnings(&db).await.unwrap(), [""; 0]);
                let two = View::Company(CompanyId(2));
                assert_eq!(rows(&db, two.clone(), COUNTERS).await, counters[2..4]);
                assert_eq!(rows(&db, two, AUDIT_LOGS).await, logs[40..80]);
                let index = "SELECT 1 FROM pg_indexes WHERE indexname = 'audit_logs_target'";
                assert_eq!(rows(&db, View::System, index).await.len(), 1);
            }
        }
    }
}
