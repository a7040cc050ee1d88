//! Places, cards and choices reach whoever reads messages: programs, people, webhooks; and what a message answers is told by our id.

use loopd_testkit::{Client, each_engine, json};
use serde_json::Value;

use super::graph::{Shop, messages};
use crate::support::{Actor, Receiver, World, eventually};

const CUSTOMER: &str = "250788123456";

fn sent(id: &str, kind: &str, inner: Value) -> Value {
    let mut message = json!({"from": CUSTOMER, "id": id, "timestamp": "1782000000", "type": kind});
    message[kind] = inner;
    message
}

/// The messages of the customer's chat, as a program reads them.
async fn read(key: &Client) -> Vec<Value> {
    let page = key.get(&format!("/api/v1/chats/{CUSTOMER}/messages")).await.expect_status(200).json();
    page["data"].as_array().expect("a list").clone()
}

/// The one of a kind.
fn one<'a>(all: &'a [Value], member: &str, kind: &str) -> &'a Value {
    all.iter().find(|it| it[member] == kind).unwrap_or_else(|| panic!("no {kind} in {all:#?}"))
}

/// As somebody is shown the customer's chat.
async fn shown(actor: &Actor) -> Vec<Value> {
    let chat = actor.get("/api/v1/loopwave/chats/").await.expect_status(200).text_at("/results/0/id");
    let page = actor.get(&format!("/api/v1/loopwave/chats/{chat}/messages/")).await.expect_status(200).json();
    page["results"].as_array().expect("a list").clone()
}

each_engine! {
    async fn a_place_a_card_and_a_choice_reach_whoever_reads(shop: &Shop) {
        let owner = shop.owner().await;
        let agent = shop.member(&owner, "ada", "staff").await;
        let key = shop.wave_key(&owner, &["*"]).await;
        let line = shop.cloud(&owner).await;
        let receiver = Receiver::start().await;
        let hook = json!({"url": receiver.url, "events": ["message.created"]});
        owner.post("/api/v1/loopwave/webhooks/").json(&hook).await.expect_status(201);
        let all = json!([
            sent("A1", "location", json!({"latitude": -1.9441, "longitude": 30.0619, "name": "Here", "url": "https://example.com"})),
            sent("A2", "contacts", json!([
                {"name": {"formatted_name": "Bosco", "first_name": "Bosco"}, "phones": [{"phone": "0788 777 666", "wa_id": "250788777666", "type": "CELL"}]},
            ])),
            sent("A3", "interactive", json!({"type": "button_reply", "button_reply": {"id": "order-7", "title": "Yes"}})),
            sent("A4", "button", json!({"payload": "stop-9", "text": "Stop it"})),
        ]);
        shop.tell(&line, &messages(&all, &json!(null))).await.expect_status(200);
        let place = json!({"latitude": -1.9441, "longitude": 30.0619, "name": "Here", "address": null});
        let card = |phone: &str| json!([{"name": "Bosco", "phones": [phone]}]);
        let (yes, stop) = (json!({"id": "order-7", "title": "Yes"}), json!({"id": "stop-9", "title": "Stop it"}));
        let holds = |all: &[Value], member: &str, phone: &str| {
            let (location, contacts) = (one(all, member, "location"), one(all, member, "contacts"));
            assert_eq!((&location["location"], &contacts["contacts"]), (&place, &card(phone)));
            assert_eq!((&location["contacts"], &location["choice"], &contacts["location"]), (&json!(null), &json!(null), &json!(null)));
            let mut chosen: Vec<String> = all.iter().map(|it| &it["choice"]).filter(|it| !it.is_null()).map(Value::to_string).collect();
            chosen.sort();
            assert_eq!(chosen, [yes.to_string(), stop.to_string()]);
        };
        holds(&read(&key).await, "type", "+250788777666");
        holds(&shown(&owner).await, "kind", "+250788777666");
        holds(&shown(&agent).await, "kind", "+250•••••••66");
        eventually("all are told", async || receiver.received().len() >= 4).await;
        let told: Vec<Value> = receiver.received().iter().map(|it| it.json()["data"].clone()).collect();
        holds(&told, "type", "+250788777666");
        // Whoever may not see numbers is not told them by the log either.
        let developer = shop.member(&owner, "grace", "developer").await;
        let log = developer.get("/api/v1/platform-events/").query("type", "loopwave.messages.created").await.expect_status(200);
        assert!(log.text().contains("+250•••••••66") && !log.text().contains("788777666"), "{}", log.text());

        shop.tell(&line, &messages(&json!([shop.text("A5", CUSTOMER, "There?")]), &json!(null))).await.expect_status(200);
        let out = json!({"to": CUSTOMER, "location": {"latitude": -1.95, "longitude": 30.06, "name": "Kigali", "address": "KN 3 Rd"}});
        let id = shop.say(&key, &out).await;
        let place = one(&read(&key).await, "id", &id)["location"].clone();
        assert_eq!(place, json!({"latitude": -1.95, "longitude": 30.06, "name": "Kigali", "address": "KN 3 Rd"}));
        assert_eq!(one(&shown(&owner).await, "id", &id)["location"], place);
    }

    async fn what_a_message_answers_is_told_by_the_id_that_is_taken(shop: &Shop) {
        let owner = shop.owner().await;
        let key = shop.wave_key(&owner, &["*"]).await;
        let line = shop.cloud(&owner).await;
        shop.tell(&line, &messages(&json!([shop.text("wamid.A1", CUSTOMER, "Open?")]), &json!(null))).await.expect_status(200);
        let asked = read(&key).await[0]["id"].as_str().expect("an id").to_owned();
        let said = shop.say(&key, &json!({"to": CUSTOMER, "text": "Yes", "replyTo": asked})).await;
        shop.message_at(&key, CUSTOMER, &said, "sent").await;
        let wa_id = shop.graph.taken()[0]["wamid"].clone();
        let mut thanks = shop.text("wamid.A2", CUSTOMER, "Thanks");
        thanks["context"] = json!({"id": wa_id});
        let mut lost = shop.text("wamid.A3", CUSTOMER, "And that?");
        lost["context"] = json!({"id": "wamid.unknown"});
        shop.tell(&line, &messages(&json!([thanks, lost]), &json!(null))).await.expect_status(200);
        let all = read(&key).await;
        assert_eq!(one(&all, "id", &said)["replyTo"], json!(asked));
        assert_eq!(one(&all, "text", "Thanks")["replyTo"], json!(said));
        assert_eq!(one(&all, "text", "And that?")["replyTo"], json!(null));
        let log = owner.get("/api/v1/platform-events/").query("type", "loopwave.messages.created").await.expect_status(200);
        assert!(log.text().contains(&format!("\"replyTo\":\"{said}\"")), "{}", log.text());
        // It is taken as it was told.
        let again = one(&all, "text", "Thanks")["id"].clone();
        shop.say(&key, &json!({"to": CUSTOMER, "reaction": "👍", "replyTo": again})).await;
    }

    async fn who_wrote_in_a_group_is_nobody_of_the_team(world: &World) {
        let owner = world.owner().await;
        let key = world.wave_key(&owner, &["*"]).await;
        let line = world.line(&owner, "250788000001").await;
        let said = json!({"from": "120363-1@g.us", "text": "Who has change?", "name": "Traders", "author": "Bosco"});
        let chat = line.receive_as(&owner, said).await["chat"].as_str().expect("a chat").to_owned();
        let agent = world.member(&owner, "ada", "staff").await;
        agent.post(&format!("/api/v1/loopwave/chats/{chat}/messages/")).json(&json!({"text": "I have."})).await.expect_status(202);
        let page = key.get(&format!("/api/v1/chats/{chat}/messages")).await.expect_status(200).json();
        let names = |place: usize| (page["data"][place]["agentName"].clone(), page["data"][place]["authorName"].clone());
        assert_eq!((names(0), names(1)), ((json!("ada"), json!(null)), (json!(null), json!("Bosco"))));
    }

    async fn a_chat_is_that_of_the_number_that_is_named(world: &World) {
        let (owner, stranger) = world.strangers().await;
        let key = world.wave_key(&owner, &["chats:read"]).await;
        let (first, second) = (world.line(&owner, "250788000001").await, world.line(&owner, "250788000002").await);
        let theirs = world.line(&stranger, "250788000003").await;
        let chat = first.receive(&owner, CUSTOMER, "To the first").await["chat"].as_str().expect("a chat").to_owned();
        world.clock.advance(loopd_types::SECOND_US);
        second.receive(&owner, CUSTOMER, "To the second").await;
        let text = async |name: &str, number: &str| {
            let page = key.get(&format!("/api/v1/chats/{name}/messages")).query("numberId", number).await.expect_status(200);
            page.text_at("/data/0/text")
        };
        assert_eq!(text(CUSTOMER, "").await, "To the second");
        assert_eq!(text(CUSTOMER, &first.number).await, "To the first");
        assert_eq!(text(CUSTOMER, &second.number).await, "To the second");
        assert_eq!(text(&chat, &first.number).await, "To the first");
        for (name, number) in [(CUSTOMER, "n0000000"), (CUSTOMER, &theirs.number), (&chat, &second.number)] {
            key.get(&format!("/api/v1/chats/{name}/messages")).query("numberId", number).await.expect_status(404);
        }
    }
}
