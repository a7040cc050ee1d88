//! What WhatsApp lets a number send: kept before it is asked, so that everything goes, in its order, and nothing too early.

use loopd_store::{View, params};
use loopd_testkit::{each_engine, json};
use loopd_types::{HOUR_US, SECOND_US};
use serde_json::Value;

use super::graph::{Manner, Shop, envelope, messages};
use crate::support::{Actor, eventually};

const CUSTOMER: &str = "250788123456";

/// Messages that wait for this.
pub async fn waiting(shop: &Shop, why: &'static str) -> i64 {
    let sql = "SELECT COUNT(*) FROM wave_outgoing WHERE step = 'waiting' AND waits_for = $1";
    let read = shop.kernel.db.read(View::System, move |reader| Ok(reader.one(sql, &params![why], |row| row.i64(0))?));
    read.await.expect("it can be counted")
}

async fn health(owner: &Actor, id: &str) -> Value {
    owner.get(&format!("/api/v1/loopwave/numbers/{id}/health/")).await.expect_status(200).json()
}

/// A template that is approved, known here and at Meta.
async fn hello(shop: &Shop, owner: &Actor, id: &str) {
    shop.graph.put_template(json!({
        "id": "1", "name": "hello", "language": "en", "category": "UTILITY", "status": "APPROVED", "components": [{"type": "BODY", "text": "Hello"}],
    }));
    owner.post(&format!("/api/v1/loopwave/numbers/{id}/templates/sync/")).await.expect_status(200);
}

fn greeting(to: &str) -> Value {
    json!({"to": to, "template": {"name": "hello", "language": "en"}})
}

each_engine! {
    async fn one_person_gets_ten_at_once_and_then_one_in_six_seconds(shop: &Shop) {
        let owner = shop.owner().await;
        let key = shop.wave_key(&owner, &["*"]).await;
        let line = shop.cloud(&owner).await;
        shop.tell(&line, &messages(&json!([shop.text("A1", CUSTOMER, "Hi")]), &json!(null))).await.expect_status(200);
        for count in 1..=12 {
            shop.say(&key, &json!({"to": CUSTOMER, "text": format!("{count}")})).await;
        }
        eventually("ten went and the next waits", async || shop.graph.taken().len() == 10 && waiting(shop, "pair_limited").await == 1).await;
        assert_eq!(health(&owner, &line.id).await["queue_depth"], 2);
        // Others are not held up.
        shop.tell(&line, &messages(&json!([shop.text("B1", "250788123457", "Hi")]), &json!(null))).await.expect_status(200);
        shop.say(&key, &json!({"to": "250788123457", "text": "Hello"})).await;
        eventually("somebody else's goes", async || shop.graph.taken().len() == 11).await;
        for count in [12, 13] {
            shop.clock.advance(6 * SECOND_US);
            eventually("one more goes", async || shop.graph.taken().len() == count).await;
        }
        let said: Vec<Value> = shop.graph.taken().into_iter().filter(|it| it["to"] == CUSTOMER).map(|it| it["text"]["body"].clone()).collect();
        assert_eq!(said, (1..=12).map(|count| json!(count.to_string())).collect::<Vec<_>>(), "in their order");
        assert_eq!(shop.graph.brought(), 13, "nothing was brought that had to be refused");
    }

    async fn only_so_many_people_are_written_to_first_in_a_day(shop: &Shop) {
        let owner = shop.owner().await;
        let key = shop.wave_key(&owner, &["*"]).await;
        let line = shop.cloud(&owner).await;
        hello(shop, &owner, &line.id).await;
        shop.graph.set_tier("TIER_2");
        let quality = json!({"display_phone_number": "250788000001", "event": "ONBOARDING", "current_limit": "TIER_2"});
        shop.tell(&line, &envelope("phone_number_quality_update", &quality)).await.expect_status(200);
        let people = ["250788000011", "250788000012", "250788000013", "250788000014"];
        let mut ids = Vec::new();
        // One after the other: what is written to several people goes side by side, and any two of four would find room.
        for (count, to) in people.into_iter().enumerate() {
            ids.push(shop.say(&key, &greeting(to)).await);
            let (went, waits) = ((count + 1).min(2), (count as i64 - 1).max(0));
            eventually("two went and two wait", async || shop.graph.taken().len() == went && waiting(shop, "tier_limited").await == waits).await;
        }
        let shown = health(&owner, &line.id).await;
        assert_eq!((&shown["people_limit"], &shown["people_today"], &shown["queue_depth"]), (&json!(2), &json!(2), &json!(2)));
        // Somebody who counts already may be written to again, and so may whoever writes themselves: at once.
        shop.say(&key, &greeting(people[0])).await;
        eventually("the first again", async || shop.graph.taken().len() == 3).await;
        shop.tell(&line, &messages(&json!([shop.text("A1", people[2], "Hi")]), &json!(null))).await.expect_status(200);
        shop.say(&key, &json!({"to": people[2], "text": "You are welcome"})).await;
        eventually("who wrote is answered, in order", async || shop.graph.taken().len() == 5).await;
        assert_eq!(shop.graph.taken()[3]["type"], "template");
        // The last one's turn comes when the first two are over.
        shop.clock.advance(24 * HOUR_US);
        eventually("the last one goes", async || shop.graph.taken().len() == 6).await;
        shop.message_at(&key, people[3], &ids[3], "sent").await;
        assert_eq!(shop.graph.brought(), 6, "nothing was brought that had to be refused");
    }

    async fn what_finds_no_room_for_two_days_says_so(shop: &Shop) {
        let owner = shop.owner().await;
        let key = shop.wave_key(&owner, &["*"]).await;
        let line = shop.cloud(&owner).await;
        hello(shop, &owner, &line.id).await;
        // As webhooks say it, and whenever the watchdog asks.
        shop.graph.set_tier("TIER_1");
        let quality = json!({"display_phone_number": "250788000001", "event": "ONBOARDING", "current_limit": "TIER_1"});
        shop.tell(&line, &envelope("phone_number_quality_update", &quality)).await.expect_status(200);
        let people = ["250788000011", "250788000012", "250788000013"];
        let mut ids = Vec::new();
        for to in people {
            ids.push(shop.say(&key, &greeting(to)).await);
            eventually("it was looked at", async || shop.graph.taken().len() == 1 && waiting(shop, "tier_limited").await == ids.len() as i64 - 1).await;
        }
        shop.clock.advance(24 * HOUR_US);
        // One of the two that wait takes the room that came; the other is told.
        eventually("one more goes", async || shop.graph.taken().len() == 2 && waiting(shop, "tier_limited").await == 1).await;
        shop.clock.advance(24 * HOUR_US);
        let went = shop.graph.taken()[1]["to"].clone();
        let late = people.iter().position(|to| *to != people[0] && went != *to).expect("the one that did not go");
        eventually("nothing waits any more", async || waiting(shop, "tier_limited").await == 0).await;
        let failed = shop.message_at(&key, people[late], &ids[late], "failed").await;
        assert_eq!(failed["error"]["code"], "tier_limited");
        assert_eq!(shop.graph.brought(), 2);
    }

    async fn a_line_that_sends_too_much_rests_as_a_whole(shop: &Shop) {
        let owner = shop.owner().await;
        let key = shop.wave_key(&owner, &["*"]).await;
        let line = shop.cloud(&owner).await;
        for (id, from) in [("A1", CUSTOMER), ("B1", "250788123457")] {
            shop.tell(&line, &messages(&json!([shop.text(id, from, "Hi")]), &json!(null))).await.expect_status(200);
        }
        shop.graph.behave([Manner::Refuse(429, 130_429), Manner::Refuse(429, 130_429)]);
        let first = shop.say(&key, &json!({"to": CUSTOMER, "text": "One"})).await;
        eventually("the first waits", async || waiting(shop, "throttled").await == 1).await;
        let second = shop.say(&key, &json!({"to": "250788123457", "text": "Two"})).await;
        eventually("so does the second", async || waiting(shop, "throttled").await == 2).await;
        assert_eq!((shop.graph.brought(), shop.graph.taken().len()), (1, 0), "the second was not even brought");
        for (to, id) in [(CUSTOMER, &first), ("250788123457", &second)] {
            shop.message_at(&key, to, id, "sent").await;
        }
        assert_eq!((shop.graph.brought(), shop.graph.taken().len()), (4, 2));
    }
}
