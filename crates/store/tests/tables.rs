//! What is read from the migrations' text is what both databases have.

use loopd_store::ddl::{self, Plan};
use loopd_store::testing::TestDb;
use loopd_store::{Engine, View, migrate};
use loopd_types::{ManualClock, Timestamp};

/// The runner's own.
const OF_THE_RUNNER: [&str; 2] = ["schema_migrations", "transaction_locks"];
/// SQLite's index over messages, which is no data: PostgreSQL's is an index like others.
const INDEX: &str = "wave_search";

#[tokio::test]
async fn tables_read_from_the_migrations_are_those_of_the_catalogue() {
    for db in TestDb::both().await {
        migrate::run(&db, &ManualClock::at(Timestamp(1_800_000_000_000_000))).await.unwrap();
        let (plan, undefined) = db
            .read_long(View::System, |reader| {
                Ok((ddl::plan(reader, &migrate::tables())?, ddl::undefined(reader, &migrate::tables())?))
            })
            .await
            .unwrap();
        assert_eq!(plan, Plan::default(), "the text and the catalogue of {:?} differ", db.engine());
        let is_known =
            |table: &str| OF_THE_RUNNER.contains(&table) || (db.engine() == Engine::Sqlite && table.starts_with(INDEX));
        let undefined: Vec<_> = undefined.into_iter().filter(|(table, _)| !is_known(table)).collect();
        assert_eq!(undefined, [], "in the catalogue of {:?}, but not read from the text", db.engine());
    }
}

#[tokio::test]
async fn defaults_read_from_the_migrations_are_there() {
    for db in TestDb::both().await {
        migrate::run(&db, &ManualClock::at(Timestamp(1_800_000_000_000_000))).await.unwrap();
        let wanted = |table: &ddl::TableDef| {
            let with: Vec<String> =
                table.columns.iter().filter(|c| c.default.is_some()).map(|c| c.name.clone()).collect();
            (table.name.clone(), with)
        };
        let wanted: Vec<_> = migrate::tables().iter().map(wanted).collect();
        let found = db
            .read_long(View::System, |reader| {
                migrate::tables()
                    .iter()
                    .map(|table| Ok((table.name.clone(), ddl::with_default(reader, table)?)))
                    .collect()
            })
            .await;
        let found: Vec<_> = found.unwrap();
        assert_eq!(found, wanted, "{:?}", db.engine());
    }
}
