//! Templates of the Cloud API: synced, handed in, decided on by webhook, and sent when the window is closed.

use loopd_testkit::{each_engine, json};
use serde_json::Value;

use super::graph::{Shop, WABA, messages};

const CUSTOMER: &str = "250788123456";

fn order_ready(status: &str) -> Value {
    json!({
        "id": "771", "name": "order_ready", "language": "en", "category": "UTILITY", "status": status, "rejected_reason": "NONE",
        "quality_score": {"score": "GREEN"}, "components": [
            {"type": "HEADER", "format": "TEXT", "text": "Order {{1}}"},
            {"type": "BODY", "text": "Dear {{1}}, your order of {{2}} is ready."},
            {"type": "BUTTONS", "buttons": [{"type": "URL", "text": "See", "url": "https://example.com/{{1}}"}]},
        ],
    })
}

fn plain(id: &str, name: &str, status: &str) -> Value {
    json!({"id": id, "name": name, "language": "en", "category": "UTILITY", "status": status, "components": [{"type": "BODY", "text": "Hello"}]})
}

fn filled() -> Value {
    let text = |words: &str| json!({"type": "text", "text": words});
    json!({"name": "order_ready", "language": "en", "components": [
        {"type": "header", "parameters": [text("42")]},
        {"type": "body", "parameters": [text("Aline"), text("5,000 RWF")]},
        {"type": "button", "sub_type": "url", "index": 0, "parameters": [text("42")]},
    ]})
}

/// Meta's word on a template; `time` in Unix seconds.
pub fn decided(id: &str, event: &str, reason: &str, time: i64) -> Value {
    json!({"object": "whatsapp_business_account", "entry": [{"id": WABA, "time": time, "changes": [{"field": "message_template_status_update", "value": {
        "event": event, "message_template_id": id.parse::<i64>().expect("a number"), "message_template_name": "x", "message_template_language": "en", "reason": reason,
    }}]}]})
}

each_engine! {
    async fn a_template_reaches_people_whose_window_is_closed(shop: &Shop) {
        let owner = shop.owner().await;
        let key = shop.wave_key(&owner, &["*"]).await;
        let line = shop.cloud(&owner).await;
        let base = format!("/api/v1/loopwave/numbers/{}/templates/", line.id);
        shop.graph.put_template(order_ready("APPROVED"));
        let asked = json!({"to": CUSTOMER, "template": filled()});
        // Known to Meta, and not to us yet.
        key.post("/api/v1/messages").json(&asked).await.expect_status(400);
        owner.post(&format!("{base}sync/")).await.expect_status(200);
        key.post("/api/v1/messages").json(&json!({"to": CUSTOMER, "text": "Hello"})).await.expect_status(409);
        let id = shop.say(&key, &asked).await;
        let sent = shop.message_at(&key, CUSTOMER, &id, "sent").await;
        assert_eq!((&sent["type"], &sent["text"]), (&json!("template"), &json!("Order 42\nDear Aline, your order of 5,000 RWF is ready.")));
        let taken = shop.graph.taken().remove(0);
        assert_eq!((&taken["template"]["name"], &taken["template"]["language"]), (&json!("order_ready"), &json!({"code": "en"})));
        assert_eq!(taken["template"]["components"], filled()["components"]);
        // From the inbox as well: in a chat, and to begin one.
        let chat = owner.get("/api/v1/loopwave/chats/").await.text_at("/results/0/id");
        let thread = format!("/api/v1/loopwave/chats/{chat}/messages/");
        let answered = owner.post(&thread).json(&json!({"template": filled()})).await.expect_status(202);
        assert_eq!(answered.at("/kind"), "template");
        let start = json!({"to": "250788123457", "number": line.number, "template": filled()});
        owner.post("/api/v1/loopwave/chats/").json(&start).await.expect_status(201);
        shop.message_at(&key, CUSTOMER, &answered.text_at("/id"), "sent").await;
        // What does not fit is refused before it is written down.
        let written = shop.rows("wave_messages").await;
        for (pointer, odd) in [
            ("/name", json!("nothing_like_it")),
            ("/language", json!("fr")),
            ("/components", json!([])),
            ("/components/1/parameters", json!([{"type": "text", "text": "Aline"}])),
            ("/components/2/index", json!(1)),
            ("/components", json!("none")),
            ("/name", json!(7)),
        ] {
            let mut asked = asked.clone();
            *asked["template"].pointer_mut(pointer).expect("a place") = odd.clone();
            let refused = key.post("/api/v1/messages").json(&asked).await.expect_status(400);
            assert_eq!(refused.text_at("/error"), "invalid_input", "{odd}");
            owner.post(&thread).json(&json!({"template": asked["template"]})).await.expect_status(400);
        }
        key.post("/api/v1/messages").json(&json!({"to": CUSTOMER, "text": "Hi", "file": chat, "template": filled()})).await.expect_status(400);
        owner.post(&thread).json(&json!({"text": "Hi", "template": filled()})).await.expect_status(400);
        let sandbox = shop.line(&owner, "250788000002").await;
        let odd = json!({"to": CUSTOMER, "from": sandbox.number, "template": filled()});
        assert_eq!(key.post("/api/v1/messages").json(&odd).await.expect_status(409).at("/error"), "no_templates");
        assert_eq!(shop.rows("wave_messages").await, written);
    }

    async fn only_what_meta_has_approved_is_sent(shop: &Shop) {
        let owner = shop.owner().await;
        let key = shop.wave_key(&owner, &["*"]).await;
        let line = shop.cloud(&owner).await;
        let base = format!("/api/v1/loopwave/numbers/{}/templates/", line.id);
        let new = json!({"name": "order_ready", "language": "en", "category": "UTILITY", "components": order_ready("")["components"]});
        let made = owner.post(&base).json(&new).await.expect_status(201);
        assert_eq!((made.at("/status"), made.at("/name")), (json!("PENDING"), json!("order_ready")));
        let meta_id = shop.graph.templates()[0]["id"].as_str().expect("an id").to_owned();
        let asked = json!({"to": CUSTOMER, "template": filled()});
        let refused = key.post("/api/v1/messages").json(&asked).await.expect_status(409);
        assert_eq!(refused.text_at("/error"), "template_not_approved");
        let status = async || owner.get(&base).await.expect_status(200).json()["results"][0].clone();
        let told = async |event: &str, reason: &str, time: i64| {
            shop.tell(&line, &decided(&meta_id, event, reason, time)).await.expect_status(200);
            status().await
        };
        let now = loopd_types::Clock::now(&*shop.clock).seconds();
        shop.clock.advance(100 * loopd_types::SECOND_US);
        let rejected = told("REJECTED", "INVALID_FORMAT", now + 10).await;
        assert_eq!((&rejected["status"], &rejected["reason"]), (&json!("REJECTED"), &json!("INVALID_FORMAT")));
        shop.graph.put_template(json!({
            "id": meta_id, "name": "order_ready", "language": "en", "category": "UTILITY", "status": "APPROVED", "components": new["components"],
        }));
        let approved = told("APPROVED", "NONE", now + 20).await;
        assert_eq!((&approved["status"], &approved["reason"]), (&json!("APPROVED"), &json!(null)));
        // What Meta said before that and says late changes nothing, nor does a repeat.
        let events = async || owner.get("/api/v1/platform-events/").query("type", "loopwave.templates.updated").await.at("/results").as_array().map(Vec::len);
        let before = events().await;
        assert_eq!(told("REJECTED", "INVALID_FORMAT", now + 10).await["status"], "APPROVED");
        assert_eq!(told("APPROVED", "NONE", now + 20).await["status"], "APPROVED");
        told("APPROVED", "NONE", now + 30).await;
        shop.tell(&line, &decided("999", "APPROVED", "NONE", now + 30)).await.expect_status(200);
        assert_eq!(events().await, before);
        let id = shop.say(&key, &asked).await;
        shop.message_at(&key, CUSTOMER, &id, "sent").await;
        assert_eq!(told("PAUSED", "NONE", now + 40).await["status"], "PAUSED");
        key.post("/api/v1/messages").json(&asked).await.expect_status(409);
        // A customer who writes is answered freely meanwhile.
        shop.tell(&line, &messages(&json!([shop.text("A1", CUSTOMER, "Hi")]), &json!(null))).await.expect_status(200);
        shop.say(&key, &json!({"to": CUSTOMER, "text": "Hello"})).await;
    }

    async fn templates_are_the_accounts_and_go_when_meta_has_them_no_more(shop: &Shop) {
        let (owner, stranger) = shop.strangers().await;
        let line = shop.cloud(&owner).await;
        let base = format!("/api/v1/loopwave/numbers/{}/templates/", line.id);
        for (id, name, status) in [("1", "a", "APPROVED"), ("2", "b", "PENDING"), ("3", "c", "APPROVED"), ("4", "d", "PAUSED"), ("5", "e", "APPROVED")] {
            shop.graph.put_template(plain(id, name, status));
        }
        let names = |answer: loopd_testkit::Answer| -> Vec<String> {
            answer.at("/results").as_array().expect("a list").iter().map(|it| it["name"].as_str().expect("a name").to_owned()).collect()
        };
        let synced = owner.post(&format!("{base}sync/")).await.expect_status(200);
        assert_eq!(names(synced), ["a", "b", "c", "d", "e"], "all pages");
        assert_eq!(names(owner.get(&base).query("status", "APPROVED").await.expect_status(200)), ["a", "c", "e"]);
        let events = async || owner.get("/api/v1/platform-events/").query("type", "loopwave.templates.updated").await.at("/results").as_array().map(Vec::len);
        let before = events().await;
        owner.post(&format!("{base}sync/")).await.expect_status(200);
        assert_eq!(events().await, before, "nothing new tells nobody");
        let all = owner.get(&base).await.expect_status(200);
        let item = format!("{base}{}/", all.text_at("/results/0/id"));
        owner.delete(&item).await.expect_status(204);
        owner.delete(&item).await.expect_status(404);
        assert_eq!(shop.graph.templates().len(), 4);
        // Deleted in WhatsApp Manager: gone here with the next sync, and deleting it here is no error.
        let left = all.text_at("/results/1/id");
        for template in shop.graph.templates() {
            assert_ne!(template["name"], "a");
        }
        let made = json!({"name": "b", "language": "en", "category": "UTILITY", "components": [{"type": "BODY", "text": "Hello"}]});
        let refused = owner.post(&base).json(&made).await;
        assert!(refused.expect_refusal(409, "template_refused").text().contains("already content"));
        for (name, odd) in [("name", json!("Has Spaces")), ("category", json!("NEWS")), ("components", json!([])), ("language", json!("../en"))] {
            let mut made = made.clone();
            made[name] = odd;
            owner.post(&base).json(&made).await.expect_status(400);
        }
        // Nobody else's, and only who may link numbers writes them.
        stranger.get(&base).await.expect_status(404);
        stranger.post(&format!("{base}sync/")).await.expect_status(404);
        let agent = shop.member(&owner, "ada", "staff").await;
        agent.get(&base).await.expect_status(200);
        agent.post(&format!("{base}sync/")).await.expect_refusal(403, "permission_denied");
        agent.delete(&format!("{base}{left}/")).await.expect_refusal(403, "permission_denied");
        let sandbox = shop.line(&owner, "250788000002").await;
        owner.get(&format!("/api/v1/loopwave/numbers/{}/templates/", sandbox.id)).await.expect_refusal(409, "no_templates");
        shop.graph.go_away(true);
        owner.post(&format!("{base}sync/")).await.expect_status(503);
        shop.graph.go_away(false);
        assert_eq!(names(owner.get(&base).await.expect_status(200)).len(), 4, "an outage takes nothing away");
    }
}
