//! SQLite's planner uses the indexes that are there, on an empty file as on a full one.

use std::collections::HashMap;

use loopd_store::testing::TestDb;
use loopd_store::{Db, Engine, View, migrate};
use loopd_types::{ManualClock, Timestamp};

/// What a statement of one company's looks for, and what it must find it by.
const PLANS: [(&str, &str); 9] = [
    ("SELECT * FROM audit_logs WHERE company_id = 1 AND id = 'a'", "PRIMARY KEY (company_id=? AND id=?)"),
    ("SELECT * FROM audit_logs WHERE company_id = 1 ORDER BY id DESC LIMIT 20", "PRIMARY KEY (company_id=?)"),
    (
        "SELECT * FROM audit_logs WHERE company_id = 1 AND (target_id = 'a' AND NOT is_creation OR id = 'a' AND is_creation)",
        "audit_logs_target (company_id=? AND target_id=?)",
    ),
    (
        "SELECT * FROM wave_messages WHERE company_id = 1 AND chat_id = 'a' ORDER BY sent_at DESC, id DESC LIMIT 50",
        "wave_messages_thread (company_id=? AND chat_id=?)",
    ),
    (
        "SELECT * FROM wave_chats WHERE company_id = 1 AND status = 'open' ORDER BY last_message_at DESC, id DESC LIMIT 20",
        "wave_chats_status (company_id=? AND status=?)",
    ),
    (
        "SELECT id FROM wave_chats WHERE company_id = 1 AND (instr(loop_lower(name), 'a') > 0 OR instr(loop_lower(jid), '7') > 0) LIMIT 501",
        "COVERING INDEX wave_chats_names (company_id=?)",
    ),
    (
        "SELECT * FROM wave_contacts WHERE company_id = 1 AND deleted_at IS NULL ORDER BY COALESCE(last_contacted_at, 0) DESC, id DESC LIMIT 25",
        "wave_contacts_recent (company_id=?)",
    ),
    (
        "SELECT * FROM wave_chats WHERE company_id = 1 AND (+last_message_at, id) < (9, 'z') AND id IN ('a', 'b') ORDER BY last_message_at DESC, id DESC LIMIT 9",
        "(company_id=? AND id=?)",
    ),
    (
        "SELECT * FROM events WHERE company_id = 1 AND position > 5 ORDER BY position LIMIT 9",
        "(company_id=? AND position>?)",
    ),
];

async fn plan(db: &Db, sql: &'static str) -> String {
    let explained = db.read(View::System, move |reader| {
        Ok(reader.query(&format!("EXPLAIN QUERY PLAN {sql}"), &[], |row| Ok(row.text(3)?.to_owned()))?)
    });
    explained.await.expect("a plan").join("; ")
}

#[tokio::test]
async fn the_rows_of_one_thing_are_found_by_its_index_and_not_among_all_of_the_company() {
    for db in TestDb::both().await.into_iter().filter(|db| db.engine() == Engine::Sqlite) {
        // A reader that was there before the tables hears of them, too.
        assert_eq!(plan(&db, "SELECT 1").await, "SCAN CONSTANT ROW");
        migrate::run(&db, &ManualClock::at(Timestamp(1_800_000_000_000_000))).await.expect("migrations");
        let found: HashMap<&str, String> = {
            let mut found = HashMap::new();
            for (sql, _) in PLANS {
                found.insert(sql, plan(&db, sql).await);
            }
            found
        };
        for (sql, wanted) in PLANS {
            assert!(found[sql].contains(wanted), "{sql}\n{}", found[sql]);
            let may_sort = sql.contains(" OR ") || sql.contains(" IN (");
            assert!(may_sort || !found[sql].contains("TEMP B-TREE"), "{sql}\n{}", found[sql]);
        }
        // Once more changes nothing.
        migrate::run(&db, &ManualClock::at(Timestamp(1_800_000_000_000_000))).await.expect("nothing to do");
        assert_eq!(plan(&db, PLANS[3].0).await, found[PLANS[3].0]);
    }
}
