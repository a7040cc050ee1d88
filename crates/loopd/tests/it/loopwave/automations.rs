//! Automatic replies: which rule answers, and the guards that hold them back.

use loopd_testkit::{each_engine, json};
use loopd_types::{MINUTE_US, SECOND_US};
use serde_json::Value;

use super::stage::Line;
use crate::support::{Actor, World, eventually};

const CUSTOMER: &str = "250788123456";
const RULES: &str = "/api/v1/loopwave/automations/";

async fn rule(owner: &Actor, body: Value) -> String {
    owner.make(RULES, body).await
}

/// How often messages were answered, and skipped for this reason.
async fn counted(owner: &Actor, reason: &str) -> (i64, i64) {
    let found = owner.get(&format!("{RULES}skips/")).await.expect_status(200).json();
    (found["replied"].as_i64().expect("a number"), found["skipped"][reason].as_i64().expect("a number"))
}

/// What automations wrote to a customer, oldest first.
async fn replies(world: &World, owner: &Actor, customer: &str) -> Vec<String> {
    let key = world.wave_key(owner, &["chats:read"]).await;
    let page = key.get(&format!("/api/v1/chats/{customer}/messages")).await.expect_status(200).json();
    let ours = page["data"].as_array().expect("a list").iter().rev().filter(|it| it["origin"] == "automation");
    ours.map(|it| it["text"].as_str().expect("a text").to_owned()).collect()
}

each_engine! {
    async fn the_first_rule_that_matches_answers_after_a_moment(world: &World) {
        let owner = world.owner().await;
        let line = world.line(&owner, "250788000001").await;
        rule(&owner, json!({"name": "All", "trigger": "all", "response": "Later, {{name}}", "position": 9})).await;
        rule(&owner, json!({"name": "Price", "match": "price", "response": "Hello {{name}}, 5000.", "position": 1})).await;
        line.receive_as(&owner, json!({"from": CUSTOMER, "text": "Which PRICE?", "name": "Aline"})).await;
        assert_eq!(replies(world, &owner, CUSTOMER).await, ["Hello Aline, 5000."]);
        let key = world.wave_key(&owner, &["chats:read"]).await;
        let path = format!("/api/v1/chats/{CUSTOMER}/messages");
        world.clock.advance(2 * SECOND_US);
        tokio::task::yield_now().await;
        assert_eq!(key.get(&path).await.json()["data"][0]["status"], "queued", "nobody answers within three seconds");
        let sent = async || !["queued", "failed"].contains(&key.get(&path).await.text_at("/data/0/status").as_str());
        eventually("the reply is sent", async || { world.clock.advance(SECOND_US / 2); sent().await }).await;
        // Somebody whose name nobody knows.
        line.receive(&owner, "250788999999", "Hi").await;
        assert_eq!(replies(world, &owner, "250788999999").await, ["Later, "]);
        let chats = key.get("/api/v1/chats").await.json();
        assert_eq!((&chats["data"][0]["unreadCount"], &chats["data"][0]["lastMessage"]), (&json!(1), &json!("Later, ")));
    }

    async fn a_chat_cools_down_and_a_welcome_is_said_once(world: &World) {
        let owner = world.owner().await;
        let line = world.line(&owner, "250788000001").await;
        rule(&owner, json!({"name": "Welcome", "trigger": "welcome", "response": "Welcome"})).await;
        let price = rule(&owner, json!({"name": "Price", "match": "price", "response": "5000"})).await;
        line.receive(&owner, CUSTOMER, "price").await;
        line.receive(&owner, CUSTOMER, "price").await;
        line.receive(&owner, CUSTOMER, "something else").await;
        assert_eq!(replies(world, &owner, CUSTOMER).await, ["Welcome"]);
        assert_eq!(counted(&owner, "cooldown").await, (1, 1));
        assert_eq!(counted(&owner, "no_match").await, (1, 1));
        world.clock.advance(5 * MINUTE_US);
        line.receive(&owner, CUSTOMER, "price").await;
        assert_eq!(replies(world, &owner, CUSTOMER).await, ["Welcome", "5000"]);
        owner.patch(&format!("{RULES}{price}/")).json(&json!({"cooldown_minutes": 0})).await.expect_status(200);
        line.receive(&owner, CUSTOMER, "price").await;
        assert_eq!(replies(world, &owner, CUSTOMER).await.len(), 3);
        owner.patch(&format!("{RULES}{price}/")).json(&json!({"enabled": false})).await.expect_status(200);
        line.receive(&owner, CUSTOMER, "price").await;
        assert_eq!((replies(world, &owner, CUSTOMER).await.len(), counted(&owner, "no_match").await), (3, (3, 2)));
    }

    async fn twenty_chats_in_a_minute_have_eight_replies(world: &World) {
        let owner = world.owner().await;
        let line = world.line(&owner, "250788000001").await;
        rule(&owner, json!({"name": "All", "trigger": "all", "response": "Hi", "cooldown_minutes": 0})).await;
        let minute = world.kernel.now().0.rem_euclid(MINUTE_US);
        world.clock.advance(MINUTE_US - minute);
        for number in 0..20 {
            line.receive(&owner, &format!("2507881000{number:02}"), "Hi").await;
        }
        assert_eq!(counted(&owner, "rate_limited").await, (8, 12));
        world.clock.advance(MINUTE_US);
        line.receive(&owner, "250788100019", "Hi").await;
        assert_eq!(counted(&owner, "rate_limited").await, (9, 12));
    }

    async fn messages_at_the_same_instant_have_one_reply_and_never_more_than_eight(world: &World) {
        let owner = world.owner().await;
        let line = world.line(&owner, "250788000001").await;
        rule(&owner, json!({"name": "All", "trigger": "all", "response": "Hi"})).await;
        let minute = world.kernel.now().0.rem_euclid(MINUTE_US);
        world.clock.advance(MINUTE_US - minute);
        let write = |from: String, text: String| {
            let (owner, path) = (owner.clone(), format!("/api/v1/loopwave/numbers/{}/sandbox/receive/", line.id));
            tokio::spawn(async move { owner.post(&path).json(&json!({"from": from, "text": text})).await.expect_status(200); })
        };
        let at_once: Vec<_> = (0..12).map(|number| write(CUSTOMER.to_owned(), format!("Hi {number}"))).collect();
        for one in at_once { one.await.expect("it was taken"); }
        assert_eq!(counted(&owner, "cooldown").await, (1, 11));
        assert_eq!(replies(world, &owner, CUSTOMER).await.len(), 1);
        let at_once: Vec<_> = (0..24).map(|number| write(format!("2507882000{number:02}"), "Hi".to_owned())).collect();
        for one in at_once { one.await.expect("it was taken"); }
        assert_eq!(counted(&owner, "rate_limited").await, (8, 17));
    }

    async fn a_line_that_is_not_ready_a_group_and_an_answering_person_have_none(world: &World) {
        let owner = world.owner().await;
        let line = world.line(&owner, "250788000001").await;
        let other = world.line(&owner, "250788000002").await;
        owner.patch("/api/v1/loopwave/preferences/").json(&json!({"quiet_minutes": 20})).await.expect_status(200);
        rule(&owner, json!({"name": "All", "trigger": "all", "response": "Hi", "cooldown_minutes": 0, "number": line.id})).await;
        other.receive(&owner, CUSTOMER, "Hi").await;
        line.receive(&owner, "120363000000000001@g.us", "Hi all").await;
        assert_eq!(counted(&owner, "no_match").await, (0, 2));
        own_telephone(world, &owner, &line, "250788555555").await;
        assert_eq!(counted(&owner, "from_me").await, (0, 1));
        line.receive(&owner, "250788555555", "Thanks").await;
        assert_eq!(counted(&owner, "person_answered").await, (0, 1));
        world.clock.advance(20 * MINUTE_US);
        line.receive(&owner, "250788555555", "Are you there?").await;
        assert_eq!(counted(&owner, "person_answered").await, (1, 1));
        disconnect(world, &owner, &line).await;
        line.receive(&owner, CUSTOMER, "Hi").await;
        assert_eq!(counted(&owner, "session_not_ready").await, (1, 1));
        assert!(replies(world, &owner, CUSTOMER).await.is_empty());
    }

    async fn a_reply_that_waits_is_not_sent_when_somebody_answers_or_the_customer_wants_none(world: &World) {
        let owner = world.owner().await;
        let line = world.line(&owner, "250788000001").await;
        rule(&owner, json!({"name": "All", "trigger": "all", "response": "The menu"})).await;
        let key = world.wave_key(&owner, &["chats:read"]).await;
        let fate = async |customer: &str| {
            let path = format!("/api/v1/chats/{customer}/messages");
            let reply = async || {
                let page = key.get(&path).await.expect_status(200).json();
                page["data"].as_array().expect("a list").iter().find(|it| it["origin"] == "automation").cloned().expect("a reply")
            };
            eventually("the reply is settled", async || {
                world.clock.advance(SECOND_US);
                reply().await["status"] != "queued"
            })
            .await;
            let reply = reply().await;
            (reply["status"].clone(), reply["error"]["code"].clone())
        };
        let chat = line.receive(&owner, CUSTOMER, "menu").await["chat"].as_str().expect("a chat").to_owned();
        let said = json!({"text": "Here I am"});
        owner.post(&format!("/api/v1/loopwave/chats/{chat}/messages/")).json(&said).await.expect_status(202);
        line.receive(&owner, "250788555555", "menu").await;
        own_telephone(world, &owner, &line, "250788555555").await;
        line.receive(&owner, "250788666666", "menu").await;
        line.receive(&owner, "250788666666", "STOP").await;
        line.receive(&owner, "250788777777", "menu").await;
        for customer in [CUSTOMER, "250788555555"] {
            assert_eq!(fate(customer).await, (json!("failed"), json!("person_answered")));
        }
        assert_eq!(fate("250788666666").await, (json!("failed"), json!("opted_out")));
        assert_ne!(fate("250788777777").await.0, "failed");
        let inbox = format!("/api/v1/loopwave/numbers/{}/sandbox/inbox/", line.id);
        let got = owner.get(&inbox).query("phone", CUSTOMER).await.expect_status(200).text();
        assert!(got.contains("Here I am") && !got.contains("The menu"), "{got}");
    }

    async fn no_rule_answers_for_a_company_without_its_subscription(world: &World) {
        let owner = world.owner().await;
        let root = world.superuser().await;
        let line = world.line(&owner, "250788000001").await;
        rule(&owner, json!({"name": "All", "trigger": "all", "response": "Hi", "cooldown_minutes": 0})).await;
        let one = owner.get("/api/v1/product-subscriptions/").query("product", "loopwave").await.text_at("/results/0/id");
        root.in_company(&owner.code).post(&format!("/api/v1/product-subscriptions/{one}/suspend/")).await.expect_status(200);
        comes_in(world, &owner, &line, CUSTOMER, false).await;
        assert_eq!(counted(&owner, "locked").await, (0, 1));
    }

    async fn administrators_write_rules_and_agents_read_them(world: &World) {
        let (owner, stranger) = world.strangers().await;
        let agent = world.member(&owner, "ada", "staff").await;
        let id = rule(&owner, json!({"name": "Price", "match": "price", "response": "5000"})).await;
        let row = agent.get(&format!("{RULES}{id}/")).await.expect_status(200).json();
        assert_eq!(
            (&row["enabled"], &row["trigger"], &row["match_mode"], &row["cooldown_minutes"], &row["reply_to_groups"], &row["number"]),
            (&json!(true), &json!("keyword"), &json!("contains"), &json!(5), &json!(false), &json!(null))
        );
        agent.patch(&format!("{RULES}{id}/")).json(&json!({"enabled": false})).await.expect_refusal(403, "permission_denied");
        agent.post(RULES).json(&json!({"name": "X", "match": "x", "response": "y"})).await.expect_refusal(403, "permission_denied");
        agent.delete(&format!("{RULES}{id}/")).await.expect_refusal(403, "permission_denied");
        for bad in [json!({"name": "X", "response": "y"}), json!({"name": "X", "match": "x", "response": "y", "cooldown_minutes": 1441}),
            json!({"name": "X", "match": "x", "response": "y", "number": id}), json!({"name": "X", "match": "x"})] {
            owner.post(RULES).json(&bad).await.expect_refusal(400, "validation_error");
        }
        stranger.get(&format!("{RULES}{id}/")).await.expect_refusal(404, "not_found");
        owner.delete(&format!("{RULES}{id}/")).await.expect_status(204);
        owner.get(&format!("{RULES}{id}/")).await.expect_refusal(404, "not_found");
    }
}

/// The shop writes to a customer on its own telephone.
async fn own_telephone(world: &World, owner: &Actor, line: &Line, to: &str) {
    comes_in(world, owner, line, to, true).await;
}

/// A message of a chat, as an engine takes it.
async fn comes_in(world: &World, owner: &Actor, line: &Line, chat: &str, from_me: bool) {
    let chat = loopd_wave::address::Address::phone(chat).expect("a number");
    let received = loopd_wave::engine::Received {
        wa_id: "own-1".to_owned(),
        identities: vec![chat.clone()],
        chat,
        push_name: None,
        author: None,
        from_me,
        content: loopd_wave::engine::Content::text("I'll look"),
        at: world.kernel.now(),
        is_history: false,
    };
    line.act(world, owner, move |tx, kernel, tenant, number| {
        loopd_wave::message::receive(tx, kernel, tenant, number, &received).map(drop)
    })
    .await;
}

/// The line drops.
async fn disconnect(world: &World, owner: &Actor, line: &Line) {
    line.act(world, owner, |tx, kernel, tenant, number| {
        let state = loopd_wave::number::State::Disconnected;
        let change = loopd_wave::engine::Change { state, reason: None, qr: None, phone: None };
        loopd_wave::number::change(tx, kernel, tenant, number.id, &change).map(drop)
    })
    .await;
}
