//! The support chat of a website: what visitors may, and what they never see.

use loopd_store::params;
use loopd_testkit::{Answer, Client, each_engine, json};
use loopd_types::{DAY_US, MINUTE_US};
use serde_json::Value;

use crate::support::{START, World, register};

const WIDGETS: &str = "/api/v1/chat/widgets/";
const MESSAGES: &str = "/api/v1/chat/messages/";
const CHANNELS: &str = "/api/v1/chat/channels/";

async fn widget(client: &Client, body: Value) -> Value {
    client.post(WIDGETS).json(&body).await.expect_status(201).json()
}

fn door(widget: &Value, rest: &str) -> String {
    format!("/api/v1/chat/public/{}/{rest}", widget["token"].as_str().unwrap())
}

fn act(base: &str, record: &Value, action: &str) -> String {
    format!("{base}{}/{action}/", record["id"].as_str().unwrap())
}

/// Begins a conversation; the visitor's token.
async fn begin(visitor: &Client, widget: &Value, body: Value) -> String {
    visitor.post(&door(widget, "conversations/")).json(&body).await.expect_status(201).text_at("/visitor_token")
}

async fn say(visitor: &Client, widget: &Value, token: &str, words: &str) -> Answer {
    visitor.post(&door(widget, "messages/")).header("x-visitor-token", token).json(&json!({"body": words})).await
}

async fn heard(visitor: &Client, widget: &Value, token: &str) -> Value {
    visitor.get(&door(widget, "messages/")).header("x-visitor-token", token).await.expect_status(200).json()
}

fn told(answer: &Value) -> Vec<(&str, &str)> {
    let rows = answer["results"].as_array().unwrap().iter();
    rows.map(|row| (row["from"].as_str().unwrap(), row["body"].as_str().unwrap())).collect()
}

each_engine! {
    async fn a_visitor_and_the_company_talk(world: &World) {
        let (owner, visitor) = (&world.owner, world.stranger());
        let (staff, staff_id) = world.member("staff", "staff").await;
        let made = widget(owner, json!({"title": "Shop", "welcome_text": "Muraho!", "agents": [staff_id]})).await;
        assert!(made["token"].as_str().unwrap().starts_with("001-"), "{made:#}");
        let about = visitor.get(&door(&made, "")).await.expect_status(200).json();
        assert_eq!(about, json!({"title": "Shop", "welcome_text": "Muraho!", "company": {"name": "owner Ltd"}}));
        let body = json!({"name": "Aline", "email": "aline@example.com", "page": "/tea", "message": "Do you deliver?"});
        let begun = visitor.post(&door(&made, "conversations/")).json(&body).await.expect_status(201);
        assert_eq!(begun.header("cache-control"), Some("no-store"));
        let begun = begun.json();
        assert_eq!((&begun["welcome_text"], &begun["message"]["from"]), (&json!("Muraho!"), &json!("visitor")));
        let token = begun["visitor_token"].as_str().unwrap();
        // the company finds it among its channels and answers as everywhere
        let channel = staff.get(CHANNELS).query("kind", "support").await.expect_status(200).at("/results/0");
        assert_eq!((&channel["title"], &channel["visitor_email"], &channel["visitor_page"], &channel["widget"]), (&json!("Aline"), &json!("aline@example.com"), &json!("/tea"), &made["id"]));
        assert_eq!(staff.get("/api/v1/chat/unread/").await.expect_status(200).at("/total"), json!(1), "an agent sees what waits");
        let first = staff.get(MESSAGES).query("channel", channel["id"].as_str().unwrap()).await.at("/results/0");
        assert_eq!((&first["body"], &first["from_visitor"], &first["author"]), (&json!("Do you deliver?"), &json!(true), &Value::Null));
        let answer = json!({"body": "We do.", "channel": channel["id"]});
        let answered = staff.post(MESSAGES).json(&answer).await.expect_status(201).json();
        let thanks = say(&visitor, &made, token, "Thanks").await.expect_status(201).json();
        let all = heard(&visitor, &made, token).await;
        assert_eq!(told(&all), [("visitor", "Do you deliver?"), ("company", "We do."), ("visitor", "Thanks")]);
        assert_eq!((&all["is_open"], &all["has_more"]), (&json!(true), &json!(false)));
        let later = visitor.get(&door(&made, "messages/")).query("after", answered["id"].as_str().unwrap()).header("x-visitor-token", token);
        assert_eq!(later.await.expect_status(200).at("/results"), json!([thanks]));
        // what is taken back is gone for the visitor too
        staff.post(&act(MESSAGES, &answered, "delete")).await.expect_status(200);
        assert_eq!(heard(&visitor, &made, token).await["results"][1]["body"], "");
        // archived: read, not written
        owner.post(&act(CHANNELS, &channel, "archive")).await.expect_status(200);
        say(&visitor, &made, token, "Hello?").await.expect_refusal(409, "channel_archived");
        assert_eq!(heard(&visitor, &made, token).await["is_open"], false);
    }

    async fn visitors_see_their_own_conversation_and_nothing_of_the_company(world: &World) {
        let (owner, visitor) = (&world.owner, world.stranger());
        let made = widget(owner, json!({"title": "Shop"})).await;
        let inside = owner.post(MESSAGES).json(&json!({"body": "internal words"})).await.expect_status(201).json();
        let one = begin(&visitor, &made, json!({"message": "from one"})).await;
        let two = begin(&visitor, &made, json!({"message": "from two"})).await;
        assert_eq!(told(&heard(&visitor, &made, &one).await), [("visitor", "from one")]);
        assert_eq!(told(&heard(&visitor, &made, &two).await), [("visitor", "from two")]);
        let text = heard(&visitor, &made, &one).await.to_string();
        let channel = owner.get(CHANNELS).query("kind", "support").await.at("/results/0");
        for hidden in [&channel["id"], &made["id"], &made["created_by"], &inside["channel"], &json!("internal words")] {
            assert!(!text.contains(hidden.as_str().unwrap()), "{hidden} in {text}");
        }
        // no token, a wrong one, one of another widget, one of another company
        let other = register(owner, "other").await;
        let (second, theirs) = (widget(owner, json!({"title": "Second"})).await, widget(&other, json!({"title": "Theirs"})).await);
        let foreign = begin(&visitor, &theirs, json!({})).await;
        visitor.get(&door(&made, "messages/")).await.expect_refusal(401, "not_authenticated");
        for (of, token) in [(&made, "wrong"), (&second, one.as_str()), (&made, foreign.as_str()), (&theirs, one.as_str())] {
            visitor.get(&door(of, "messages/")).header("x-visitor-token", token).await.expect_refusal(401, "authentication_failed");
            say(&visitor, of, token, "x").await.expect_refusal(401, "authentication_failed");
        }
        assert_eq!(other.get(CHANNELS).await.expect_status(200).at("/count"), json!(1), "only the one begun there");
        // the token itself is kept nowhere
        let kept = world.look("SELECT token_hash FROM chat_visitors WHERE company_id = $1 LIMIT 1", params![1i64].to_vec()).await;
        assert_eq!(kept.len(), 64);
        assert!(kept != one && kept != two);
        // and ends after a month
        world.clock.set(START.plus(30 * DAY_US));
        visitor.get(&door(&made, "messages/")).header("x-visitor-token", &one).await.expect_refusal(401, "authentication_failed");
    }

    async fn what_lets_nobody_in_is_not_found(world: &World) {
        let (owner, visitor) = (&world.owner, world.stranger());
        let made = widget(owner, json!({"title": "Shop"})).await;
        let token = begin(&visitor, &made, json!({})).await;
        for unknown in ["001-unknown", "999-unknown", "001", "nothing", "-"] {
            visitor.get(&format!("/api/v1/chat/public/{unknown}/")).await.expect_refusal(404, "not_found");
            visitor.post(&format!("/api/v1/chat/public/{unknown}/conversations/")).json(&json!({})).await.expect_refusal(404, "not_found");
        }
        owner.post(&act(WIDGETS, &made, "disable")).await.expect_status(200);
        visitor.post(&door(&made, "conversations/")).json(&json!({})).await.expect_refusal(404, "not_found");
        say(&visitor, &made, &token, "x").await.expect_refusal(404, "not_found");
        owner.post(&act(WIDGETS, &made, "enable")).await.expect_status(200);
        say(&visitor, &made, &token, "x").await.expect_status(201);
        // a new token makes the old one unknown, and conversations go on under it
        let rotated = owner.post(&act(WIDGETS, &made, "rotate-token")).await.expect_status(200).json();
        assert_ne!(rotated["token"], made["token"]);
        say(&visitor, &made, &token, "x").await.expect_refusal(404, "not_found");
        say(&visitor, &rotated, &token, "y").await.expect_status(201);
        for (is_public, status) in [(false, 404), (true, 200)] {
            let settings = json!({"settings": {"chat": {"public": is_public}}});
            owner.patch("/api/v1/companies/001/").json(&settings).await.expect_status(200);
            visitor.get(&door(&rotated, "")).await.expect_status(status);
        }
        world.suspend("chat").await;
        visitor.get(&door(&rotated, "")).await.expect_refusal(404, "not_found");
        say(&visitor, &rotated, &token, "x").await.expect_refusal(404, "not_found");
    }

    async fn a_visitor_cannot_flood_the_company(world: &World) {
        let (owner, visitor) = (&world.owner, world.stranger());
        let made = widget(owner, json!({"title": "Shop"})).await;
        let token = begin(&visitor, &made, json!({})).await;
        say(&visitor, &made, &token, &"x".repeat(4_001)).await.expect_field("body", "max_length");
        say(&visitor, &made, &token, " ").await.expect_field("body", "blank");
        visitor.post(&door(&made, "conversations/")).json(&json!({"email": "nobody"})).await.expect_field("email", "invalid");
        for number in 0..20 {
            say(&visitor, &made, &token, &format!("m{number}")).await.expect_status(201);
        }
        let refused = say(&visitor, &made, &token, "one more").await.expect_refusal(429, "throttled");
        assert_eq!(refused.header("retry-after"), Some("600"));
        let second = begin(&visitor, &made, json!({})).await;
        say(&visitor, &made, &second, "another visitor").await.expect_status(201);
        world.clock.set(START.plus(10 * MINUTE_US));
        say(&visitor, &made, &token, "later").await.expect_status(201);
        for _ in 2..10 {
            begin(&visitor, &made, json!({})).await;
        }
        visitor.post(&door(&made, "conversations/")).json(&json!({})).await.expect_refusal(429, "throttled");
        world.clock.set(START.plus(70 * MINUTE_US));
        begin(&visitor, &made, json!({})).await;
    }

    async fn a_repeat_is_the_same_and_of_one_visitor(world: &World) {
        let (owner, visitor) = (&world.owner, world.stranger());
        let made = widget(owner, json!({"title": "Shop"})).await;
        let start = || visitor.post(&door(&made, "conversations/")).header("idempotency-key", "k1").json(&json!({"name": "A"}));
        let one = start().await.expect_status(201).json();
        assert_eq!(start().await.expect_status(201).json(), one);
        let one = one["visitor_token"].as_str().unwrap();
        let two = begin(&visitor, &made, json!({})).await;
        for token in [one, one, two.as_str()] {
            let body = json!({"body": "Hello"});
            visitor.post(&door(&made, "messages/")).header("x-visitor-token", token).header("idempotency-key", "k2").json(&body).await.expect_status(201);
        }
        assert_eq!(told(&heard(&visitor, &made, one).await), [("visitor", "Hello")]);
        assert_eq!(told(&heard(&visitor, &made, &two).await), [("visitor", "Hello")]);
    }

    async fn only_the_websites_that_were_named_show_it(world: &World) {
        let (owner, visitor) = (&world.owner, world.stranger());
        let made = widget(owner, json!({"title": "Shop", "allowed_origins": ["HTTPS://Shop.Example.rw/"]})).await;
        assert_eq!(made["allowed_origins"], json!(["https://shop.example.rw"]));
        let from = |origin: &str| visitor.get(&door(&made, "")).header("origin", origin);
        let shown = from("https://shop.example.rw").await.expect_status(200);
        assert_eq!(shown.header("access-control-allow-origin"), Some("*"), "the browser hands it to the page");
        for origin in ["https://evil.example", "http://shop.example.rw", "null"] {
            from(origin).await.expect_refusal(403, "permission_denied");
            let begin = visitor.post(&door(&made, "conversations/")).header("origin", origin).json(&json!({}));
            begin.await.expect_refusal(403, "permission_denied");
        }
        let asked = visitor.request(http::Method::OPTIONS, &door(&made, "messages/"))
            .header("origin", "https://shop.example.rw").header("access-control-request-method", "POST").await.expect_status(204);
        assert_eq!(asked.header("access-control-allow-origin"), Some("*"));
        assert!(asked.header("access-control-allow-headers").unwrap().contains("X-Visitor-Token"));
        let private = owner.get(WIDGETS).header("origin", "https://shop.example.rw").await.expect_status(200);
        assert_eq!(private.header("access-control-allow-origin"), None, "other operations stay closed");
        for bad in [json!(["shop.example.rw"]), json!(["https://shop.example.rw/path"]), json!(["https://*.rw"])] {
            owner.post(WIDGETS).json(&json!({"title": "x", "allowed_origins": bad})).await.expect_field("allowed_origins", "invalid");
        }
        let stranger = json!({"title": "x", "agents": [made["id"]]});
        owner.post(WIDGETS).json(&stranger).await.expect_field("agents", "does_not_exist");
        owner.post(WIDGETS).json(&json!({"title": "x", "agents": ["nobody"]})).await.expect_field("agents", "invalid");
    }
}
