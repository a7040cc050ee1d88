//! Migrations: applied once, refused when history was changed or is newer.

use loopd_store::migrate::{self, Migration};
use loopd_store::testing::TestDb;
use loopd_store::{View, params};
use loopd_types::{ManualClock, Timestamp};

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
