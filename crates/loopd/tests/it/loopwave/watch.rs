//! The watchdog: a line that says it is ready and is dead is found out, and told of.

use loopd_store::View;
use loopd_testkit::{each_engine, json};
use loopd_types::{MINUTE_US, SECOND_US};
use serde_json::Value;

use super::graph::Shop;
use crate::support::{Actor, eventually};

async fn health(owner: &Actor, id: &str) -> Value {
    owner.get(&format!("/api/v1/loopwave/numbers/{id}/health/")).await.expect_status(200).json()
}

/// Letters about lines that are dead.
async fn letters(shop: &Shop) -> i64 {
    let sql = "SELECT COUNT(*) FROM mail_messages WHERE template = 'number-down'";
    let read = shop.kernel.db.read(View::System, move |reader| Ok(reader.one(sql, &[], |row| row.i64(0))?));
    read.await.expect("they can be counted")
}

/// Has the watchdog ask once more; `asked` says whether it has.
async fn look(shop: &Shop, asked: impl AsyncFn() -> bool) {
    shop.clock.advance(5 * MINUTE_US);
    eventually("the watchdog asked", async || {
        shop.clock.advance(SECOND_US);
        asked().await
    })
    .await;
}

each_engine! {
    async fn a_dead_line_is_found_and_comes_back_by_itself(shop: &Shop) {
        let owner = shop.owner().await;
        let key = shop.wave_key(&owner, &["*"]).await;
        let line = shop.cloud(&owner).await;
        let alive = health(&owner, &line.id).await;
        assert_eq!((&alive["is_alive"], &alive["quality"], &alive["tier"], &alive["people_limit"]), (&json!(true), &json!("GREEN"), &json!("TIER_1K"), &json!(1000)));
        shop.graph.go_away(true);
        let failures = async |count: i64| health(&owner, &line.id).await["probe_failures"].as_i64() >= Some(count);
        for count in 1..=3 {
            assert_eq!(health(&owner, &line.id).await["state"], "ready", "twice may be bad luck");
            look(shop, async || failures(count).await).await;
        }
        let dead = health(&owner, &line.id).await;
        assert_eq!((&dead["state"], &dead["is_alive"], &dead["probe_failures"]), (&json!("disconnected"), &json!(false), &json!(3)));
        assert!(dead["state_reason"].as_str().is_some_and(|words| words.contains("does not answer")), "{dead}");
        assert_eq!(letters(shop).await, 1, "the owner has a letter");
        let events = owner.get("/api/v1/platform-events/").query("type", "loopwave.numbers.status").await;
        assert!(events.text().contains("\"disconnected\""), "{}", events.text());
        let log = owner.get("/api/v1/audit-logs/").query("action", "line-down").await.expect_status(200);
        assert!(log.text().contains(&line.number), "{}", log.text());
        key.post("/api/v1/messages").json(&json!({"to": "250788123456", "text": "Hi"})).await.expect_status(409);
        shop.graph.go_away(false);
        // A session lasts half an hour.
        let owner = shop.sign_in("owner@example.com", &owner.code).await;
        look(shop, async || health(&owner, &line.id).await["state"] == "ready").await;
        assert_eq!(health(&owner, &line.id).await["is_alive"], true);
        assert_eq!(letters(shop).await, 1, "good news is no letter");
    }

    async fn a_number_that_meta_blocks_says_why(shop: &Shop) {
        let owner = shop.owner().await;
        let line = shop.cloud(&owner).await;
        shop.graph.set_health(json!({"can_send_message": "BLOCKED", "entities": [
            {"entity_type": "PHONE_NUMBER", "can_send_message": "AVAILABLE"},
            {"entity_type": "WABA", "can_send_message": "BLOCKED", "errors": [{"error_code": 141_010, "error_description": "No payment method.", "possible_solution": "Add one."}]},
        ]}));
        look(shop, async || health(&owner, &line.id).await["state"] == "disconnected").await;
        let shown = health(&owner, &line.id).await;
        assert!(shown["state_reason"].as_str().is_some_and(|words| words.ends_with("No payment method. Add one.")), "{shown}");
        shop.graph.set_health(json!({"can_send_message": "LIMITED", "entities": []}));
        look(shop, async || health(&owner, &line.id).await["state"] == "ready").await;
    }

    async fn the_sandbox_has_dead_lines_too(shop: &Shop) {
        let owner = shop.owner().await;
        let line = shop.line(&owner, "250788000002").await;
        let silence = format!("/api/v1/loopwave/numbers/{}/sandbox/silence/", line.id);
        owner.post(&silence).json(&json!({"silent": true})).await.expect_status(200);
        for count in 1..=3 {
            look(shop, async || health(&owner, &line.id).await["probe_failures"].as_i64() >= Some(count)).await;
        }
        assert_eq!(health(&owner, &line.id).await["state"], "disconnected");
        let owner = shop.sign_in("owner@example.com", &owner.code).await;
        owner.post(&silence).json(&json!({"silent": false})).await.expect_status(200);
        look(shop, async || health(&owner, &line.id).await["state"] == "ready").await;
        owner.post(&silence).json(&json!({})).await.expect_status(400);
        let cloud = shop.cloud(&owner).await;
        owner.post(&format!("/api/v1/loopwave/numbers/{}/sandbox/silence/", cloud.id)).json(&json!({"silent": true})).await.expect_refusal(409, "not_a_sandbox");
    }
}
