//! Older messages, fetched from a number's telephone when somebody asks for them.

use loopd_testkit::{Answer, each_engine, json};
use loopd_types::SECOND_US;
use serde_json::Value;

use super::graph::Shop;
use super::stage::Line;
use crate::support::{Actor, World, eventually};

const NUMBERS: &str = "/api/v1/loopwave/numbers/";
const ALINE: &str = "250788123456";
const BOSCO: &str = "250788555555";

/// A line whose telephone knows more than it tells when it is linked.
async fn linked(owner: &Actor, history: Value, older: Value) -> Line {
    let made = owner.post(NUMBERS).json(&json!({"label": "Sales", "engine": "sandbox"})).await.expect_status(201);
    let line = Line { id: made.text_at("/id"), number: made.text_at("/number") };
    owner.post(&format!("{NUMBERS}{}/connect/", line.id)).await.expect_status(200);
    let body = json!({"phone": "250788000001", "history": history, "older": older});
    owner.post(&format!("{NUMBERS}{}/sandbox/scan/", line.id)).json(&body).await.expect_status(200);
    line
}

async fn sync(owner: &Actor, line: &Line) -> Answer {
    owner.post(&format!("{NUMBERS}{}/sync-history/", line.id)).await
}

fn brought(messages: i64, chats: i64, has_more: bool) -> Value {
    json!({"messages": messages, "chats": chats, "has_more": has_more, "pending": false})
}

/// `count` messages of one customer, one a minute.
fn many(count: usize) -> Value {
    let one = |n: usize| json!({"from": ALINE, "text": format!("M{n}"), "at": format!("2026-01-05T0{}:{:02}:00Z", n / 60, n % 60)});
    (0..count).map(one).collect()
}

async fn texts(owner: &Actor, phone: &str) -> Vec<String> {
    let chats = owner.get("/api/v1/loopwave/chats/").await.expect_status(200).json();
    let wanted = json!(format!("+{phone}"));
    let chat =
        chats["results"].as_array().expect("chats").iter().find(|it| it["phone"] == wanted).cloned().expect("the chat");
    let thread = format!("/api/v1/loopwave/chats/{}/messages/", chat["id"].as_str().expect("an id"));
    let page = owner.get(&thread).await.expect_status(200).json();
    let rows = page["results"].as_array().expect("a list").iter();
    rows.map(|it| it["text"].as_str().unwrap_or_default().to_owned()).collect()
}

each_engine! {
    async fn an_older_batch_is_kept_and_nobody_reacts(world: &World) {
        let owner = world.owner().await;
        owner.make("/api/v1/loopwave/automations/", json!({"name": "All", "trigger": "all", "response": "Hi", "cooldown_minutes": 0})).await;
        let intake = json!({"intake": {"keyword_enabled": true, "new_chat_enabled": true}});
        owner.patch("/api/v1/loopwave/preferences/").json(&intake).await.expect_status(200);
        let history = json!([{"from": ALINE, "text": "Is it open?", "name": "Aline", "wa_id": "H1", "at": "2026-02-01T08:00:00Z"}]);
        let older = json!([
            {"from": ALINE, "text": "help with a lamp", "at": "2026-01-05T08:00:00Z"},
            {"from": ALINE, "text": "Here it is.", "from_me": true, "at": "2026-01-05T08:01:00Z"},
            {"from": BOSCO, "text": "Muraho", "name": "Bosco", "at": "2026-01-06T08:00:00Z"},
            {"from": ALINE, "text": "Is it open?", "wa_id": "H1", "at": "2026-02-01T08:00:00Z"},
        ]);
        let line = linked(&owner, history, older).await;
        assert_eq!(world.rows("wave_messages").await, 1, "what is older comes when somebody asks");
        assert_eq!(sync(&owner, &line).await.expect_status(200).json(), brought(3, 2, false), "H1 is known");
        assert_eq!(sync(&owner, &line).await.expect_status(200).json(), brought(0, 0, false));
        assert_eq!(texts(&owner, ALINE).await.len(), 3);
        let chats = owner.get("/api/v1/loopwave/chats/").await.expect_status(200).json();
        for chat in chats["results"].as_array().expect("chats") {
            assert_eq!((&chat["unread_count"], &chat["waiting_since"], &chat["assignee"]), (&json!(0), &json!(null), &json!(null)), "{chat}");
        }
        assert_eq!(chats["results"][0]["last_message"], "Is it open?", "newer words stay in front");
        assert_eq!(owner.get("/api/v1/loopwave/automations/skips/").await.at("/replied"), json!(0));
        for table in ["wave_outgoing", "wave_tickets", "wave_notices", "wave_report_sums"] {
            assert_eq!(world.rows(table).await, 0, "{table}");
        }
        for kind in ["messages.created", "messages.updated", "chats.updated"] {
            let log = owner.get("/api/v1/platform-events/").query("type", &format!("loopwave.{kind}")).await.json();
            assert_eq!(log["results"], json!([]), "{kind}");
        }
        let log = owner.get("/api/v1/audit-logs/").query("action", "sync-history").await.expect_status(200).json();
        assert_eq!(log["results"][1]["changes"], json!({"messages": [null, 3], "chats": [null, 2]}));
        assert_eq!((&log["results"][1]["resource"], &log["results"][1]["target"]), (&json!("numbers"), &json!(line.number)));
    }

    async fn the_newest_come_first_fifty_at_a_time_each_once(world: &World) {
        let owner = world.owner().await;
        let line = linked(&owner, json!([]), many(120)).await;
        assert_eq!(sync(&owner, &line).await.expect_status(200).json(), brought(50, 1, true));
        let here = texts(&owner, ALINE).await;
        assert!(here.contains(&"M119".to_owned()) && !here.contains(&"M69".to_owned()), "{here:?}");
        // Two at once are told one after the other.
        let (one, other) = tokio::join!(sync(&owner, &line), sync(&owner, &line));
        let (one, other) = (one.expect_status(200), other.expect_status(200));
        assert_eq!(one.at("/messages").as_i64().zip(other.at("/messages").as_i64()).map(|(a, b)| a + b), Some(70));
        assert_eq!(world.rows("wave_messages").await, 120);
        assert_eq!(sync(&owner, &line).await.expect_status(200).json(), brought(0, 0, false));
        assert_eq!(world.rows("wave_sandbox_past").await, 0);
    }

    async fn who_links_numbers_asks_and_only_of_their_own_that_is_ready(world: &World) {
        let (owner, stranger) = world.strangers().await;
        let line = linked(&owner, json!([]), many(1)).await;
        let agent = world.member(&owner, "ada", "staff").await;
        sync(&agent, &line).await.expect_refusal(403, "permission_denied");
        sync(&stranger, &line).await.expect_status(404);
        let path = format!("{NUMBERS}{}/sync-history/", line.id);
        owner.post(&path).json(&json!({"chat": "250788123456"})).await.expect_field("chat", "unknown_field");
        owner.post(&format!("{NUMBERS}{}/sandbox/drop/", line.id)).await.expect_status(200);
        sync(&owner, &line).await.expect_refusal(409, "not_ready");
        owner.post(&format!("{NUMBERS}{}/connect/", line.id)).await.expect_status(200);
        assert_eq!(sync(&owner, &line).await.expect_status(200).json(), brought(1, 1, false));
        owner.delete(&format!("{NUMBERS}{}/", line.id)).await.expect_status(204);
        sync(&owner, &line).await.expect_status(404);
    }

    async fn who_was_erased_comes_back_with_no_word(world: &World) {
        let owner = world.owner().await;
        let older = json!([{"from": ALINE, "text": "My secret", "name": "Aline Uwase"}, {"from": BOSCO, "text": "Muraho", "name": "Bosco"}]);
        let line = linked(&owner, json!([]), older).await;
        let begun = owner.post("/api/v1/data-subjects/erase/").json(&json!({"phone": format!("+{ALINE}")})).await;
        assert!(begun.status < 300, "{}", begun.text());
        let path = format!("/api/v1/data-subjects/erasures/{}/", begun.text_at("/id"));
        world.clock.advance(4 * SECOND_US);
        eventually("the erasure is done", async || owner.get(&path).await.expect_status(200).at("/state") == "done").await;
        assert_eq!(sync(&owner, &line).await.expect_status(200).json(), brought(1, 1, false));
        assert_eq!(texts(&owner, BOSCO).await, ["Muraho"]);
        assert_eq!(world.rows("wave_messages").await, 1);
    }

    async fn the_cloud_api_tells_nothing_from_before(shop: &Shop) {
        let owner = shop.owner().await;
        let line = shop.cloud(&owner).await;
        let refused = sync(&owner, &line).await.expect_refusal(409, "history_unavailable");
        assert!(refused.text().contains("Cloud API"), "{}", refused.text());
    }
}
