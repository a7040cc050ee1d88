//! Kept replies: by shortcut, for one or for all, filled in where they are used.

use loopd_testkit::{each_engine, json};
use serde_json::Value;

use crate::support::{Actor, World};

const REPLIES: &str = "/api/v1/loopwave/kept-replies/";

async fn shortcuts(actor: &Actor, query: &str) -> Vec<String> {
    let page = actor.get(&format!("{REPLIES}{query}")).await.expect_status(200).json();
    page["results"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|it| it["shortcut"].as_str().expect("a text").to_owned())
        .collect()
}

each_engine! {
    async fn a_reply_is_filled_in_for_its_chat_and_sent(world: &World) {
        let owner = world.owner().await;
        let agent = world.member(&owner, "ada", "staff").await;
        let line = world.line(&owner, "250788000001").await;
        let text = "Muraho {{first_name}}, {{ agent }} of {{company}} ({{number}}): 5,000. {{name}}";
        let price = owner.make(REPLIES, json!({"shortcut": "price", "title": "Price", "text": text, "shared": true})).await;
        let chat = line.receive_as(&owner, json!({"from": "250788123456", "text": "How much?", "name": "Aline Uwase"})).await;
        let chat = chat["chat"].as_str().expect("a chat").to_owned();
        let shown = agent.get(&format!("{REPLIES}?chat={chat}")).await.expect_status(200);
        let wanted = "Muraho Aline, ada of owner Ltd (Sales): 5,000. Aline Uwase";
        assert_eq!((shown.at("/results/0/rendered"), shown.at("/results/0/used_count")), (json!(wanted), json!(0)));
        let thread = format!("/api/v1/loopwave/chats/{chat}/messages/");
        let sent = agent.post(&thread).json(&json!({"kept_reply": price})).await.expect_status(202);
        assert_eq!((sent.at("/text"), sent.at("/author_name")), (json!(wanted), json!("ada")));
        let own = agent.post(&thread).json(&json!({"kept_reply": price, "text": "Only 4,000"})).await.expect_status(202);
        assert_eq!(own.at("/text"), json!("Only 4,000"), "what is written goes before what is kept");
        let row = owner.get(REPLIES).await.json()["results"][0].clone();
        assert_eq!((&row["used_count"], &row["rendered"], row["used_at"].is_string()), (&json!(2), &Value::Null, true));
        // A stranger of whom only the number is known is not called by it.
        let chat = line.receive(&owner, "250788999999", "Hi").await["chat"].as_str().expect("a chat").to_owned();
        let shown = agent.get(&format!("{REPLIES}?chat={chat}")).await.expect_status(200);
        assert_eq!(shown.at("/results/0/rendered"), json!("Muraho , ada of owner Ltd (Sales): 5,000. "));
        agent.post(&thread).json(&json!({"kept_reply": chat})).await.expect_field("kept_reply", "does_not_exist");
        agent.post(&thread).json(&json!({"kept_reply": null})).await.expect_field("text", "required");
    }

    async fn a_file_goes_along(world: &World) {
        let owner = world.owner().await;
        let line = world.line(&owner, "250788000001").await;
        let file = owner.post("/api/v1/files/?name=menu.txt").body("text/plain", "bread").await.expect_status(201).text_at("/id");
        let menu = owner.make(REPLIES, json!({"shortcut": "menu", "text": "Our menu", "file": file})).await;
        let chat = line.receive(&owner, "250788123456", "Menu?").await["chat"].as_str().expect("a chat").to_owned();
        let sent = owner.post(&format!("/api/v1/loopwave/chats/{chat}/messages/")).json(&json!({"kept_reply": menu})).await.expect_status(202);
        assert_eq!((sent.at("/kind"), sent.at("/media/name"), sent.at("/text")), (json!("document"), json!("menu.txt"), json!("Our menu")));
        let gone = "00000000-0000-7000-8000-000000000000";
        owner.patch(&format!("{REPLIES}{menu}/")).json(&json!({"file": gone})).await.expect_field("file", "does_not_exist");
        let bare = owner.patch(&format!("{REPLIES}{menu}/")).json(&json!({"file": null})).await.expect_status(200);
        assert_eq!((bare.at("/file"), bare.at("/version")), (json!(null), json!(2)));
    }

    async fn what_is_everybodys_is_the_administrators_to_change_and_ones_own_is_ones_own(world: &World) {
        let (owner, stranger) = world.strangers().await;
        let (ada, bob) = (world.member(&owner, "ada", "staff").await, world.member(&owner, "bob", "staff").await);
        let body = |shortcut: &str, shared: bool| json!({"shortcut": shortcut, "text": "Hi {{name}}", "shared": shared});
        let all = owner.make(REPLIES, body("hi", true)).await;
        let hers = ada.make(REPLIES, body("hi", false)).await;
        ada.post(REPLIES).json(&body("bye", true)).await.expect_refusal(403, "permission_denied");
        ada.patch(&format!("{REPLIES}{all}/")).json(&json!({"text": "x"})).await.expect_refusal(403, "permission_denied");
        ada.delete(&format!("{REPLIES}{all}/")).await.expect_refusal(403, "permission_denied");
        for other in [&bob, &owner] {
            other.patch(&format!("{REPLIES}{hers}/")).json(&json!({"text": "x"})).await.expect_status(404);
        }
        stranger.get(&format!("{REPLIES}?chat={all}")).await.expect_status(404);
        assert_eq!(shortcuts(&ada, "").await, ["hi", "hi"]);
        assert_eq!(ada.get(REPLIES).await.at("/results/0/shared"), json!(false), "one's own comes first");
        assert_eq!((shortcuts(&bob, "").await, shortcuts(&stranger, "").await), (vec!["hi".to_owned()], Vec::new()));
        ada.make(REPLIES, json!({"shortcut": "bread", "text": "Baked at six", "title": "Bakery"})).await;
        assert_eq!(shortcuts(&ada, "?search=BAK").await, ["bread"]);
        // One shortcut is one reply, for each owner.
        ada.post(REPLIES).json(&body("hi", false)).await.expect_refusal(409, "shortcut_taken");
        owner.post(REPLIES).json(&body("hi", true)).await.expect_refusal(409, "shortcut_taken");
        ada.patch(&format!("{REPLIES}{hers}/")).json(&json!({"shortcut": "bread"})).await.expect_refusal(409, "shortcut_taken");
        ada.patch(&format!("{REPLIES}{hers}/")).json(&json!({"shortcut": "hi", "text": "Yo"})).await.expect_status(200);
        for (field, code, body) in [
            ("shortcut", "invalid", json!({"shortcut": "No Good", "text": "x"})),
            ("text", "unknown_word", json!({"shortcut": "x", "text": "{{phone}}"})),
            ("shortcut", "required", json!({"text": "x"})),
        ] {
            ada.post(REPLIES).json(&body).await.expect_field(field, code);
        }
        ada.delete(&format!("{REPLIES}{hers}/")).await.expect_status(204);
        // What somebody keeps for themselves is nobody else's news.
        let log = owner.get("/api/v1/platform-events/").query("type", "loopwave.kept-replies.created").await.json();
        let texts: Vec<bool> = log["results"].as_array().expect("events").iter().map(|it| it["data"]["text"].is_string()).collect();
        assert_eq!(texts, [true, false, false]);
    }
}
