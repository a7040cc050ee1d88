//! Searching text without regard to case, in every script, on both engines.

use loopd_store::testing::TestDb;
use loopd_store::{Db, Engine, View, dialect, migrate, params};
use loopd_types::{ManualClock, Timestamp};

const NAMES: [&str; 8] =
    ["Émile Zola", "île de la cité", "ÀGATHE", "Ñandú", "Uwase Clémentine", "Ελένη", "Игорь", "100% O'Neil_x"];

/// Which of the names contain `needle`.
async fn found(db: &Db, needle: &'static str) -> Vec<String> {
    let sql = format!("SELECT name FROM person WHERE {} ORDER BY id", dialect::contains(db.engine(), "name", "$1"));
    db.read(View::System, move |reader| Ok(reader.query(&sql, &params![needle], |row| Ok(row.text(0)?.to_owned()))?))
        .await
        .unwrap()
}

async fn with_people() -> Vec<TestDb> {
    let databases = TestDb::both().await;
    for db in &databases {
        migrate::run(db, &ManualClock::at(Timestamp(1))).await.unwrap();
        // Under "C" PostgreSQL's own lower() knows ASCII only, as in a database that was made with that locale.
        let collation = if db.engine() == Engine::Postgres { " COLLATE \"C\"" } else { "" };
        db.write(View::System, move |tx| {
            tx.batch(&format!("CREATE TABLE person (id BIGINT PRIMARY KEY, name TEXT{collation})"))?;
            tx.execute("INSERT INTO person VALUES ($1, NULL)", &params![99])?;
            for (id, name) in (1_i64..).zip(NAMES) {
                tx.execute("INSERT INTO person VALUES ($1, $2)", &params![id, name])?;
            }
            Ok(())
        })
        .await
        .unwrap();
    }
    databases
}

#[tokio::test]
async fn letters_of_every_script_are_found_in_either_case() {
    for db in with_people().await {
        for (needle, expected) in [
            ("émile", "Émile Zola"),
            ("ÉMILE Z", "Émile Zola"),
            ("ÎLE", "île de la cité"),
            ("CITÉ", "île de la cité"),
            ("àgathe", "ÀGATHE"),
            ("ñANDÚ", "Ñandú"),
            ("CLÉMENTINE", "Uwase Clémentine"),
            ("ΕΛΈΝΗ", "Ελένη"),
            ("игорь", "Игорь"),
            ("UWASE", "Uwase Clémentine"),
        ] {
            assert_eq!(found(&db, needle).await, [expected], "{needle} on {:?}", db.engine());
        }
    }
}

#[tokio::test]
async fn an_accent_is_a_letter_and_a_wildcard_is_none() {
    for db in with_people().await {
        for needle in ["Emile", "%Zola", "O_Neil", "cite"] {
            assert_eq!(found(&db, needle).await, [""; 0], "{needle} on {:?}", db.engine());
        }
        assert_eq!(found(&db, "100% o'neil_X").await, ["100% O'Neil_x"]);
        assert_eq!(found(&db, "").await.len(), NAMES.len(), "everything but NULL holds nothing");
    }
}

#[tokio::test]
async fn a_number_is_searched_as_its_digits() {
    for db in with_people().await {
        let sql = format!("SELECT count(*) FROM person WHERE {}", dialect::contains(db.engine(), "id", "$1"));
        let count = db.read(View::System, move |reader| Ok(reader.one(&sql, &params!["9"], |row| row.i64(0))?)).await;
        assert_eq!(count.unwrap(), 1);
    }
}
