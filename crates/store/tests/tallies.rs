//! Counters: kept in memory by a batch on SQLite, rows on PostgreSQL, and the same to everybody who looks.

use loopd_store::testing::TestDb;
use loopd_store::{Db, Tally, Tx, View, migrate, params};
use loopd_types::{Problem, Result, SystemClock};
use proptest::prelude::*;

const COMPANY: i64 = 1;
const NAMES: [&str; 3] = ["orders", "events", "orders/archive"];

/// What one closure does, in order, and how it ends.
#[derive(Clone, Debug)]
struct Script {
    acts: Vec<Act>,
    end: End,
}

#[derive(Clone, Debug)]
enum Act {
    Count(usize, Tally),
    Shift(usize, Tally),
    /// In a savepoint; kept or not.
    Attempt(Vec<(usize, Tally)>, bool),
    /// Writes a row, so that a refusal must undo more than counters.
    Write,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Keep,
    Refuse,
    Panic,
}

fn tally() -> impl Strategy<Value = Tally> {
    (0..3_i64, -2..3_i64, 0..2_i64).prop_map(|(value, live, deleted)| Tally { value, live, deleted })
}

fn script() -> impl Strategy<Value = Script> {
    let act = prop_oneof![
        3 => (0..NAMES.len(), tally()).prop_map(|(name, by)| Act::Count(name, by)),
        1 => (0..NAMES.len(), tally()).prop_map(|(name, by)| Act::Shift(name, by)),
        1 => (prop::collection::vec((0..NAMES.len(), tally()), 1..4), any::<bool>()).prop_map(|(acts, kept)| Act::Attempt(acts, kept)),
        1 => Just(Act::Write),
    ];
    let end = prop_oneof![4 => Just(End::Keep), 2 => Just(End::Refuse), 1 => Just(End::Panic)];
    (prop::collection::vec(act, 0..5), end).prop_map(|(acts, end)| Script { acts, end })
}

/// Runs a script, and checks on the way that a transaction sees its own additions.
fn run(tx: &mut Tx<'_>, script: &Script) -> Result<()> {
    // holds the rows on PostgreSQL, where others would else move them between two looks
    for name in NAMES {
        tx.count(COMPANY, name, Tally::default())?;
    }
    for act in &script.acts {
        match act {
            Act::Count(name, by) => {
                let before = tx.tally(COMPANY, NAMES[*name])?;
                let sum = tx.count(COMPANY, NAMES[*name], *by)?;
                assert_eq!(sum.value, before.value + by.value);
                assert_eq!(tx.tally(COMPANY, NAMES[*name])?, sum);
            }
            Act::Shift(name, by) => tx.shift(COMPANY, NAMES[*name], *by)?,
            Act::Attempt(acts, kept) => {
                let before = tx.tally(COMPANY, NAMES[0])?;
                let outcome = tx.attempt(|tx| {
                    for (name, by) in acts {
                        tx.count(COMPANY, NAMES[*name], *by)?;
                    }
                    if *kept { Ok(()) } else { Err(Problem::invalid("no", "Taken back.")) }
                });
                if outcome.is_err() {
                    assert_eq!(tx.tally(COMPANY, NAMES[0])?, before);
                }
            }
            Act::Write => tx.push("INSERT INTO note (id) SELECT coalesce(max(id), 0) + 1 FROM note", [])?,
        }
    }
    match script.end {
        End::Keep => Ok(()),
        End::Refuse => Err(Problem::invalid("no", "Refused.")),
        End::Panic => panic!("a closure that panics"),
    }
}

fn expected(scripts: &[Script]) -> [Tally; 3] {
    let mut sums = [Tally::default(); 3];
    let mut add = |name: &usize, by: &Tally| {
        let sum = &mut sums[*name];
        *sum = Tally { value: sum.value + by.value, live: sum.live + by.live, deleted: sum.deleted + by.deleted };
    };
    for script in scripts.iter().filter(|script| script.end == End::Keep) {
        for act in &script.acts {
            match act {
                Act::Count(name, by) | Act::Shift(name, by) => add(name, by),
                Act::Attempt(acts, true) => acts.iter().for_each(|(name, by)| add(name, by)),
                Act::Attempt(_, false) | Act::Write => {}
            }
        }
    }
    sums
}

async fn rows(db: &Db) -> [Tally; 3] {
    db.read(View::System, |reader| {
        let mut found = [Tally::default(); 3];
        for (tally, name) in found.iter_mut().zip(NAMES) {
            // by SQL: what is in the file, not what a batch says
            let sql = "SELECT value, live, deleted FROM counters WHERE company_id = $1 AND name = $2";
            let row =
                |row: &loopd_store::Row<'_>| Ok(Tally { value: row.i64(0)?, live: row.i64(1)?, deleted: row.i64(2)? });
            *tally = reader.first(sql, &params![COMPANY, name], row)?.unwrap_or_default();
        }
        Ok(found)
    })
    .await
    .unwrap()
}

/// Everybody at once, so that closures meet in one batch: refused, panicking and lucky ones.
async fn together(db: &Db, scripts: &[Script]) {
    let calls: Vec<_> = scripts
        .iter()
        .cloned()
        .map(|script| {
            let db = db.clone();
            tokio::spawn(async move { db.write(View::System, move |tx| run(tx, &script)).await })
        })
        .collect();
    for (call, script) in calls.into_iter().zip(scripts) {
        assert_eq!(call.await.unwrap().is_ok(), script.end == End::Keep, "{script:?}");
    }
}

#[test]
fn counters_are_the_sum_of_what_was_committed() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let databases = runtime.block_on(async {
        let databases = TestDb::both().await;
        for db in &databases {
            migrate::run(db, &SystemClock).await.unwrap();
            db.write(View::System, |tx| tx.batch("CREATE TABLE note (id BIGINT)").map_err(Into::into)).await.unwrap();
        }
        databases
    });
    proptest!(ProptestConfig::with_cases(48), |(scripts in prop::collection::vec(script(), 1..24))| {
        runtime.block_on(async {
            for db in &databases {
                db.write(View::System, |tx| tx.batch("DELETE FROM counters WHERE company_id = 1").map_err(Into::into)).await.unwrap();
                // Shift is for counters that are there.
                db.write(View::System, |tx| { for name in NAMES { tx.count(COMPANY, name, Tally::default())?; } Ok(()) }).await.unwrap();
                together(db, &scripts).await;
                assert_eq!(rows(db).await, expected(&scripts));
            }
        });
    });
}
