//! Broadcasts from a number of the Cloud API: words reach who wrote within a day, a template reaches everybody.

use loopd_testkit::{Client, each_engine, json};
use loopd_types::{Clock as _, SECOND_US};
use serde_json::Value;

use super::broadcasts::{BASE, pace, row, until};
use super::cloud_limits::waiting;
use super::cloud_templates::decided;
use super::graph::{Manner, Shop, envelope, messages};
use super::stage::Line;
use crate::support::{Actor, eventually};

const CUSTOMER: &str = "250788123456";

pub fn news(status: &str) -> Value {
    json!({
        "id": "771", "name": "news", "language": "en", "category": "MARKETING", "status": status,
        "components": [{"type": "BODY", "text": "Dear {{1}} of {{2}}, the new helmets are here."}],
    })
}

/// The template, filled in with these two.
pub fn says(one: &str, two: &str) -> Value {
    let text = |words: &str| json!({"type": "text", "text": words});
    json!({"name": "news", "language": "en", "components": [{"type": "body", "parameters": [text(one), text(two)]}]})
}

pub async fn synced(owner: &Actor, line: &Line) {
    owner.post(&format!("/api/v1/loopwave/numbers/{}/templates/sync/", line.id)).await.expect_status(200);
    pace(owner, json!({"gap_min_seconds": 0, "gap_max_seconds": 0})).await;
}

async fn publish(key: &Client, says: (&str, Value), chats: &[&str]) -> Value {
    let people: Vec<Value> = chats.iter().map(|chat| json!({"chatId": chat})).collect();
    let mut body = json!({"name": "News", "recipients": people});
    body[says.0] = says.1;
    key.post("/api/v1/broadcasts").json(&body).await.expect_status(201).json()
}

async fn reasons(owner: &Actor, id: &str) -> Vec<(String, Value)> {
    let page = owner.get(&format!("{BASE}{id}/recipients/")).await.expect_status(200).json();
    let all = page["results"].as_array().expect("a list");
    all.iter().map(|it| (it["status"].as_str().expect("a status").to_owned(), it["reason"].clone())).collect()
}

each_engine! {
    async fn words_reach_who_wrote_and_the_others_are_told_beforehand(shop: &Shop) {
        let owner = shop.owner().await;
        let key = shop.wave_key(&owner, &["*"]).await;
        let line = shop.cloud(&owner).await;
        synced(&owner, &line).await;
        shop.tell(&line, &messages(&json!([shop.text("A1", CUSTOMER, "Hi")]), &json!(null))).await.expect_status(200);
        let silent: Vec<String> = (1..=7).map(|n| format!("25078820000{n}")).collect();
        let mut chats: Vec<&str> = silent.iter().map(String::as_str).collect();
        chats.push(CUSTOMER);
        let made = publish(&key, ("message", json!("Muraho {{first_name|friend}}!")), &chats).await;
        assert_eq!((&made["outsideWindowCount"], &made["template"]), (&json!(7), &json!(null)));
        let id = made["id"].as_str().expect("an id").to_owned();
        // More than a run of failures: nothing is wrong with the number, the list or the text.
        let done = until(shop, &owner, &id, SECOND_US, "it is done", |it| it["status"] == "completed").await;
        assert_eq!((&done["sent_count"], &done["failed_count"], &done["outside_window_count"]), (&json!(1), &json!(7), &json!(7)));
        let all = reasons(&owner, &id).await;
        assert_eq!(all.iter().filter(|(status, why)| status == "failed" && why == "window_closed").count(), 7, "{all:?}");
        assert_eq!(shop.graph.brought(), 1, "Meta is not asked for what it would refuse");
        assert_eq!(shop.graph.taken()[0]["text"]["body"], "Muraho Aline!");
        // Who will be outside by then is counted; on a linked telephone there is nothing to count.
        let people = json!([{"chat_id": CUSTOMER}]);
        let later = shop.clock.now().plus(25 * loopd_types::HOUR_US).to_string();
        let draft = json!({"name": "Later", "message": "Hi", "recipients": people});
        let drafted = owner.post(BASE).json(&draft).await.expect_status(201);
        assert_eq!(drafted.at("/outside_window_count"), json!(0));
        let item = format!("{BASE}{}/", drafted.text_at("/id"));
        let started = owner.post(&format!("{item}start/")).json(&json!({"scheduled_at": later})).await.expect_status(200);
        assert_eq!(started.at("/outside_window_count"), json!(1));
        let sandbox = shop.line(&owner, "250788000002").await;
        let free = json!({"name": "Free", "message": "Hi", "recipients": people, "number": sandbox.number});
        assert_eq!(owner.post(BASE).json(&free).await.expect_status(201).at("/outside_window_count"), json!(null));
    }

    async fn a_template_reaches_everybody_with_their_own_words(shop: &Shop) {
        let owner = shop.owner().await;
        let key = shop.wave_key(&owner, &["*"]).await;
        let line = shop.cloud(&owner).await;
        shop.graph.put_template(news("APPROVED"));
        synced(&owner, &line).await;
        for (phone, company) in [("+250788200001", "Moto Ltd"), ("+250788200002", "Velo\nLtd"), ("+250788200003", "")] {
            let contact = json!({"name": format!("P {}", &phone[12..]), "phone": phone, "company_name": company});
            owner.post("/api/v1/loopwave/contacts/").json(&contact).await.expect_status(201);
        }
        let chats = ["250788200001", "250788200002", "250788200003", "250788200004"];
        let made = publish(&key, ("template", says("{{name|friend}}", "{{company_name}}")), &chats).await;
        assert_eq!(made["message"], "Dear {{name|friend}} of {{company_name}}, the new helmets are here.");
        assert_eq!((&made["outsideWindowCount"], &made["template"]["name"]), (&json!(null), &json!("news")));
        let id = made["id"].as_str().expect("an id").to_owned();
        let done = until(shop, &owner, &id, SECOND_US, "it is done", |it| it["status"] == "completed").await;
        assert_eq!((&done["sent_count"], &done["failed_count"]), (&json!(2), &json!(2)));
        let all = reasons(&owner, &id).await;
        assert_eq!(all[2..], [("failed".to_owned(), json!("no_company_name")), ("failed".to_owned(), json!("no_company_name"))]);
        let mut said: Vec<Value> = shop.graph.taken().iter().map(|it| it["template"]["components"][0]["parameters"].clone()).collect();
        said.sort_by_key(ToString::to_string);
        let text = |words: &str| json!({"type": "text", "text": words});
        assert_eq!(said, [json!([text("P 1"), text("Moto Ltd")]), json!([text("P 2"), text("Velo Ltd")])]);
        let thread = key.get("/api/v1/chats/250788200001/messages").await.expect_status(200).json();
        assert_eq!(thread["data"][0]["text"], "Dear P 1 of Moto Ltd, the new helmets are here.");
        // What cannot be sent is refused before anybody is written to.
        let sandbox = shop.line(&owner, "250788000002").await;
        let people = json!([{"chat_id": CUSTOMER}]);
        let good = json!({"name": "News", "template": says("{{name}}", "us"), "recipients": people, "number": line.number});
        owner.post(BASE).json(&good).await.expect_status(201);
        for (pointer, odd) in [
            ("/template/name", json!("nothing_like_it")),
            ("/template/components/0/parameters/0/text", json!("{{nam}}")),
            ("/template/components/0/parameters/0/text", json!("{{phone}}")),
            ("/template/components/0/parameters", json!([])),
            ("/template", json!("news")),
        ] {
            let mut body = good.clone();
            *body.pointer_mut(pointer).expect("a place") = odd;
            let refused = owner.post(BASE).json(&body).await.expect_status(400);
            assert!(refused.at("/error/details/template").is_array(), "{}", refused.text());
        }
        let mut both = good.clone();
        both["message"] = json!("Hi");
        owner.post(BASE).json(&both).await.expect_field("template", "invalid");
        let mut elsewhere = good;
        elsewhere["number"] = json!(sandbox.number);
        owner.post(BASE).json(&elsewhere).await.expect_refusal(409, "no_templates");
    }

    async fn a_template_that_finds_no_room_today_waits_and_the_rest_can_be_cancelled(shop: &Shop) {
        let owner = shop.owner().await;
        let key = shop.wave_key(&owner, &["*"]).await;
        let line = shop.cloud(&owner).await;
        shop.graph.put_template(news("APPROVED"));
        synced(&owner, &line).await;
        // As webhooks say it, and whenever the watchdog asks.
        shop.graph.set_tier("TIER_1");
        let quality = json!({"display_phone_number": "250788000001", "event": "ONBOARDING", "current_limit": "TIER_1"});
        shop.tell(&line, &envelope("phone_number_quality_update", &quality)).await.expect_status(200);
        let chats = ["250788200001", "250788200002", "250788200003", "250788200004"];
        let made = publish(&key, ("template", says("you", "us")), &chats).await;
        let id = made["id"].as_str().expect("an id").to_owned();
        let statuses = async |owner: &Actor| reasons(owner, &id).await.into_iter().map(|(status, _)| status).collect::<Vec<_>>();
        eventually("the second finds no room", async || {
            shop.clock.advance(SECOND_US);
            waiting(shop, "tier_limited").await == 1
        })
        .await;
        shop.clock.advance(60 * SECOND_US);
        eventually("the broadcast waits for room", async || {
            shop.clock.advance(SECOND_US);
            let next = row(&owner, &id).await["next_at"].as_str().and_then(loopd_types::Timestamp::parse);
            next.is_some_and(|at| at > shop.clock.now().plus(20 * loopd_types::HOUR_US))
        })
        .await;
        assert_eq!(statuses(&owner).await, ["sent", "sending", "pending", "pending"]);
        shop.clock.advance(24 * loopd_types::HOUR_US);
        let owner = shop.sign_in(&owner.email, &owner.code).await;
        until(shop, &owner, &id, SECOND_US, "the second goes", |it| it["sent_count"] == 2).await;
        owner.post(&format!("{BASE}{id}/cancel/")).await.expect_status(200);
        assert!(statuses(&owner).await.contains(&"pending".to_owned()));
        assert!(shop.graph.taken().len() <= 2);
    }

    async fn what_nobody_knew_of_and_then_failed_can_be_tried_again(shop: &Shop) {
        let owner = shop.owner().await;
        let key = shop.wave_key(&owner, &["*"]).await;
        let line = shop.cloud(&owner).await;
        shop.graph.put_template(news("APPROVED"));
        synced(&owner, &line).await;
        shop.graph.behave([Manner::TakeAndFail]);
        let made = publish(&key, ("template", says("you", "us")), &[CUSTOMER]).await;
        let id = made["id"].as_str().expect("an id").to_owned();
        let is_done = |it: &Value| it["status"] == "completed";
        until(shop, &owner, &id, SECOND_US, "it is done", is_done).await;
        assert_eq!(reasons(&owner, &id).await, [("failed".to_owned(), json!("unknown"))]);
        let mut failed = shop.status(&shop.graph.taken()[0], "failed");
        failed["errors"] = json!([{"code": 131000, "title": "Something went wrong"}]);
        shop.tell(&line, &messages(&json!(null), &json!([failed]))).await.expect_status(200);
        assert_eq!(reasons(&owner, &id).await, [("failed".to_owned(), json!("whatsapp_failed"))]);
        assert_eq!(row(&owner, &id).await["failed_count"], 1);
        owner.post(&format!("{BASE}{id}/retry-failed/")).await.expect_status(200);
        let done = until(shop, &owner, &id, SECOND_US, "it is done again", is_done).await;
        assert_eq!((&done["sent_count"], &done["failed_count"], shop.graph.brought()), (&json!(1), &json!(0), 2));
    }

    async fn a_template_that_meta_stops_pauses_the_broadcast_and_fails_nobody(shop: &Shop) {
        let owner = shop.owner().await;
        let key = shop.wave_key(&owner, &["*"]).await;
        let line = shop.cloud(&owner).await;
        shop.graph.put_template(news("APPROVED"));
        synced(&owner, &line).await;
        let people: Vec<Value> = ["250788200001", "250788200002"].iter().map(|chat| json!({"chat_id": chat})).collect();
        let draft = json!({"name": "News", "template": says("you", "us"), "recipients": people});
        let id = owner.post(BASE).json(&draft).await.expect_status(201).text_at("/id");
        shop.clock.advance(100 * SECOND_US);
        let now = shop.clock.now().seconds();
        shop.tell(&line, &decided("771", "PAUSED", "NONE", now - 10)).await.expect_status(200);
        owner.post(&format!("{BASE}{id}/start/")).await.expect_status(200);
        let paused = until(shop, &owner, &id, 0, "it is paused", |it| it["status"] == "paused").await;
        assert!(paused["pause_reason"].as_str().is_some_and(|words| words.contains("PAUSED")), "{paused}");
        assert_eq!((&paused["failed_count"], shop.graph.brought()), (&json!(0), 0));
        shop.tell(&line, &decided("771", "APPROVED", "NONE", now)).await.expect_status(200);
        owner.post(&format!("{BASE}{id}/resume/")).await.expect_status(200);
        until(shop, &owner, &id, SECOND_US, "it is done", |it| it["status"] == "completed").await;
        assert_eq!(row(&owner, &id).await["sent_count"], 2);
        let published = key.post("/api/v1/broadcasts").json(&json!({"name": "N", "recipients": [{"chatId": CUSTOMER}]})).await;
        assert_eq!(published.expect_status(400).at("/error"), "invalid_input");
    }
}
