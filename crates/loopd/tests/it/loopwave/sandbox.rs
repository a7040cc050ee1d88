//! The simulated WhatsApp: slow, failing, banned, with a past, with groups and files.

use loopd_testkit::{Answer, each_engine, json};
use loopd_types::{MINUTE_US, SECOND_US};
use serde_json::Value;

use super::stage::Line;
use crate::support::{Actor, World, eventually};

const CUSTOMER: &str = "250788123456";
const NUMBERS: &str = "/api/v1/loopwave/numbers/";

impl Line {
    fn sandbox(&self, name: &str) -> String {
        format!("{NUMBERS}{}/sandbox/{name}", self.id)
    }

    /// Tells the line how to behave.
    pub async fn behave(&self, owner: &Actor, body: Value) -> Answer {
        owner.patch(&self.sandbox("")).json(&body).await.expect_status(200)
    }

    /// The words that a simulated telephone was sent, oldest first.
    pub async fn held(&self, owner: &Actor, phone: &str) -> Vec<String> {
        let page = owner.get(&self.sandbox("inbox/")).query("phone", phone).await.expect_status(200).json();
        let rows = page["results"].as_array().expect("a list").iter().rev();
        rows.map(|row| row["text"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

/// An agent's message to a customer: the thread's path and the message's id.
async fn write(owner: &Actor, chat: &str, text: &str) -> String {
    let path = format!("/api/v1/loopwave/chats/{chat}/messages/");
    owner.post(&path).json(&json!({"text": text})).await.expect_status(202).text_at("/id")
}

async fn message(owner: &Actor, chat: &str, id: &str) -> Value {
    let page = owner.get(&format!("/api/v1/loopwave/chats/{chat}/messages/")).await.expect_status(200).json();
    page["results"].as_array().expect("a list").iter().find(|it| it["id"] == id).cloned().expect("the message")
}

/// Waits, while `step` microseconds pass again and again, until a message has come this far.
async fn comes_to(world: &World, owner: &Actor, chat: &str, id: &str, step: i64, status: &str) -> Value {
    eventually(&format!("a message is {status}"), async || {
        world.clock.advance(step);
        message(owner, chat, id).await["status"] == status
    })
    .await;
    message(owner, chat, id).await
}

each_engine! {
    async fn a_slow_telephone_takes_its_time_and_may_never_look(world: &World) {
        let owner = world.owner().await;
        let line = world.line(&owner, "250788000001").await;
        let told = line.behave(&owner, json!({"deliver_after_ms": 60_000, "read_after_ms": null})).await;
        assert_eq!((told.at("/sandbox"), told.at("/deliver_after_ms"), told.at("/read_after_ms")), (json!(true), json!(60_000), json!(null)));
        let chat = line.receive(&owner, CUSTOMER, "Hi").await["chat"].as_str().expect("a chat").to_owned();
        let id = write(&owner, &chat, "Hello").await;
        comes_to(world, &owner, &chat, &id, 0, "sent").await;
        world.clock.advance(59 * SECOND_US);
        loopd_wave::engine::sandbox::life::step(&world.kernel).await.expect("a look");
        assert_eq!(message(&owner, &chat, &id).await["status"], "sent", "it is on its way for a minute");
        comes_to(world, &owner, &chat, &id, SECOND_US, "delivered").await;
        world.clock.advance(10 * MINUTE_US);
        loopd_wave::engine::sandbox::life::step(&world.kernel).await.expect("a look");
        assert_eq!(message(&owner, &chat, &id).await["status"], "delivered", "nobody looks at it");
        assert_eq!(owner.get(&line.sandbox("")).await.expect_status(200).at("/deliver_after_ms"), json!(60_000));
        owner.patch(&line.sandbox("")).json(&json!({"fail_percent": 101})).await.expect_field("fail_percent", "max_value");
        owner.patch(&line.sandbox("")).json(&json!({"fail_how": "loudly"})).await.expect_field("fail_how", "invalid_choice");
    }

    async fn failures_come_on_demand_and_each_in_its_way(world: &World) {
        let owner = world.owner().await;
        let line = world.line(&owner, "250788000001").await;
        let chat = line.receive(&owner, CUSTOMER, "Hi").await["chat"].as_str().expect("a chat").to_owned();
        let fail = async |how: &str| {
            line.behave(&owner, json!({"fail_next": 1, "fail_how": how, "read_after_ms": null})).await;
            write(&owner, &chat, how).await
        };
        let refused = fail("refused").await;
        let failed = comes_to(world, &owner, &chat, &refused, 0, "failed").await;
        assert_eq!(failed["failure"]["code"], "refused");
        assert_eq!(owner.get(&line.sandbox("")).await.at("/fail_next"), json!(0), "one failed, as was asked");
        // What a person sends again goes out, and the message stays the same.
        owner.post(&format!("/api/v1/loopwave/chats/{chat}/messages/{refused}/retry/")).await.expect_status(202);
        comes_to(world, &owner, &chat, &refused, SECOND_US, "delivered").await;
        let later = fail("later").await;
        comes_to(world, &owner, &chat, &later, SECOND_US, "delivered").await;
        let undelivered = fail("undelivered").await;
        let failed = comes_to(world, &owner, &chat, &undelivered, SECOND_US, "failed").await;
        assert_eq!(failed["failure"]["code"], "undeliverable");
        owner.post(&format!("/api/v1/loopwave/chats/{chat}/messages/{undelivered}/retry/")).await.expect_status(202);
        comes_to(world, &owner, &chat, &undelivered, SECOND_US, "delivered").await;
        // The answer is lost, and the message is there: the first news of it tells.
        let unknown = fail("unknown").await;
        comes_to(world, &owner, &chat, &unknown, 0, "unknown").await;
        comes_to(world, &owner, &chat, &unknown, SECOND_US, "delivered").await;
        let vanished = fail("vanished").await;
        comes_to(world, &owner, &chat, &vanished, 0, "unknown").await;
        world.clock.advance(10 * MINUTE_US);
        loopd_wave::engine::sandbox::life::step(&world.kernel).await.expect("a look");
        assert_eq!(message(&owner, &chat, &vanished).await["status"], "unknown", "it is not sent again blindly");
        let held: Vec<String> = line.held(&owner, CUSTOMER).await;
        let words: Vec<&str> = held.iter().map(|text| text.rsplit('\n').next().unwrap_or_default()).collect();
        assert_eq!(words, ["refused", "later", "undelivered", "unknown"], "each once");
        line.behave(&owner, json!({"fail_percent": 100, "fail_how": "refused"})).await;
        for _ in 0..3 {
            let id = write(&owner, &chat, "no").await;
            comes_to(world, &owner, &chat, &id, 0, "failed").await;
        }
    }

    async fn a_banned_number_rests_and_its_administrators_are_told_once(world: &World) {
        let owner = world.owner().await;
        let agent = world.member(&owner, "ada", "staff").await;
        let line = world.line(&owner, "250788000001").await;
        owner.make("/api/v1/loopwave/automations/", json!({"name": "All", "trigger": "all", "response": "Hi", "cooldown_minutes": 0})).await;
        owner.patch("/api/v1/loopwave/preferences/").json(&json!({"pacing": {"gap_min_seconds": 0, "gap_max_seconds": 0}})).await.expect_status(200);
        agent.post(&line.sandbox("ban/")).json(&json!({"minutes": 10})).await.expect_refusal(403, "permission_denied");
        let banned = owner.post(&line.sandbox("ban/")).json(&json!({"minutes": 10, "reason": "spam"})).await.expect_status(200);
        assert_eq!(banned.at("/ban_reason"), json!("spam"));
        let row = owner.get(&format!("{NUMBERS}{}/", line.id)).await;
        assert_eq!(row.at("/paused_until"), banned.at("/banned_until"));
        let letter = world.letter(&owner.email, "number-restricted").await;
        assert!(letter.subject.contains("Sales") && letter.text.contains("spam"), "{letter:?}");
        assert!(world.letters_of(&agent.email, "number-restricted").await.is_empty());
        // What people write is refused in words; automations and broadcasts rest.
        let chat = line.receive(&owner, CUSTOMER, "Hi").await["chat"].as_str().expect("a chat").to_owned();
        let skips = owner.get("/api/v1/loopwave/automations/skips/").await.expect_status(200);
        assert_eq!((skips.at("/replied"), skips.at("/skipped/session_not_ready")), (json!(0), json!(1)));
        for _ in 0..2 {
            let id = write(&owner, &chat, "Hello").await;
            let failed = comes_to(world, &owner, &chat, &id, 0, "failed").await;
            assert_eq!(failed["failure"]["code"], "restricted");
        }
        assert_eq!(world.letters_of(&owner.email, "number-restricted").await.len(), 1, "told once");
        let body = json!({"name": "News", "message": "Hi", "recipients": [{"chat_id": "250788120001"}]});
        let news = owner.post("/api/v1/loopwave/broadcasts/").json(&body).await.expect_status(201).text_at("/id");
        let news = format!("/api/v1/loopwave/broadcasts/{news}/");
        owner.post(&format!("{news}start/")).await.expect_status(200);
        eventually("the broadcast is paused", async || owner.get(&news).await.at("/status") == "paused").await;
        // It ends by itself.
        world.clock.advance(10 * MINUTE_US);
        line.receive(&owner, "250788222222", "Hi").await;
        assert_eq!(owner.get("/api/v1/loopwave/automations/skips/").await.at("/replied"), json!(1));
        owner.post(&format!("{news}resume/")).await.expect_status(200);
        eventually("the broadcast is sent", async || owner.get(&news).await.at("/status") == "completed").await;
        // Lifted before its time.
        owner.post(&line.sandbox("ban/")).json(&json!({"minutes": 60})).await.expect_status(200);
        assert_eq!(owner.post(&line.sandbox("lift/")).await.expect_status(200).at("/banned_until"), json!(null));
        assert_eq!(owner.get(&format!("{NUMBERS}{}/", line.id)).await.at("/paused_until"), json!(null));
        let id = write(&owner, &chat, "Hello").await;
        comes_to(world, &owner, &chat, &id, SECOND_US, "delivered").await;
    }

    async fn a_banned_number_does_not_speak_where_another_can(world: &World) {
        let owner = world.owner().await;
        let key = world.wave_key(&owner, &["*"]).await;
        let (first, second) = (world.line(&owner, "250788000001").await, world.line(&owner, "250788000002").await);
        let ban = format!("/api/v1/loopwave/numbers/{}/sandbox/ban/", first.id);
        owner.post(&ban).json(&json!({"minutes": 30})).await.expect_status(200);
        let say = async || key.post("/api/v1/messages").json(&json!({"to": "250788123456", "text": "Hi"})).await.expect_status(202);
        let said = say().await;
        assert_eq!(said.text_at("/from"), second.number);
        world.message_at(&key, "250788123456", &said.text_at("/id"), "sent").await;
        let chat = owner.post("/api/v1/loopwave/chats/").json(&json!({"to": "250788123457", "text": "Hi"})).await;
        assert_eq!(chat.expect_status(201).text_at("/number"), second.number);
        // Where it is the only one, it is still the one that writes: the refusal says why.
        let unlink = format!("/api/v1/loopwave/numbers/{}/sandbox/unlink/", second.id);
        owner.post(&unlink).await.expect_status(200);
        let lost = say().await;
        assert_eq!(lost.text_at("/from"), first.number);
        world.message_at(&key, "250788123456", &lost.text_at("/id"), "failed").await;
    }

    async fn a_telephone_brings_its_past_and_nobody_reacts_to_it(world: &World) {
        let owner = world.owner().await;
        owner.make("/api/v1/loopwave/automations/", json!({"name": "All", "trigger": "all", "response": "Hi"})).await;
        let made = owner.post(NUMBERS).json(&json!({"label": "Sales", "engine": "sandbox"})).await.expect_status(201);
        let line = Line { id: made.text_at("/id"), number: made.text_at("/number") };
        let history = json!([
            {"from": CUSTOMER, "text": "Is it open?", "name": "Aline", "at": "2026-01-05T08:00:00Z"},
            {"from": CUSTOMER, "text": "Until six.", "from_me": true, "at": "2026-01-05T08:01:00Z"},
            {"from": "120363@g.us", "text": "Muraho", "name": "Traders", "author": "Bosco", "at": "2026-01-05T09:00:00Z"},
        ]);
        let connect = async || owner.post(&format!("{NUMBERS}{}/connect/", line.id)).await.expect_status(200);
        let scan = async |body: Value| owner.post(&line.sandbox("scan/")).json(&body).await;
        connect().await;
        let bad = scan(json!({"phone": "250788000001", "history": [{"from": "moses", "text": "x"}]})).await;
        bad.expect_field("history", "invalid");
        scan(json!({"phone": "250788000001", "history": history})).await.expect_status(200);
        let chats = owner.get("/api/v1/loopwave/chats/").await.expect_status(200).json();
        let names: Vec<&Value> = chats["results"].as_array().expect("a list").iter().map(|it| &it["name"]).collect();
        assert_eq!(names, [&json!("Traders"), &json!("Aline")]);
        let aline = &chats["results"][1];
        assert_eq!((&aline["last_message"], &aline["unread_count"], &aline["waiting_since"]), (&json!("Until six."), &json!(0), &json!(null)));
        assert_eq!(owner.get("/api/v1/loopwave/automations/skips/").await.at("/replied"), json!(0));
        let log = owner.get("/api/v1/platform-events/").query("type", "loopwave.messages.created").await.json();
        assert_eq!(log["results"], json!([]));
        assert_eq!(world.rows("wave_messages").await, 3);
        // Unlinked and linked again, it brings the same: known.
        owner.post(&line.sandbox("unlink/")).await.expect_status(200);
        connect().await;
        scan(json!({"phone": "250788000001", "history": history})).await.expect_status(200);
        assert_eq!(world.rows("wave_messages").await, 3);
        owner.post(&line.sandbox("drop/")).await.expect_status(200);
        assert_eq!(connect().await.text_at("/state"), "ready", "a dropped line needs no new code");
    }

    async fn a_group_is_kept_and_never_answered_by_itself(world: &World) {
        let owner = world.owner().await;
        let line = world.line(&owner, "250788000001").await;
        owner.make("/api/v1/loopwave/automations/", json!({"name": "All", "trigger": "all", "response": "Hi", "cooldown_minutes": 0})).await;
        owner.patch("/api/v1/loopwave/preferences/").json(&json!({"intake": {"keyword_enabled": true, "new_chat_enabled": true}})).await.expect_status(200);
        let said = json!({"from": "120363-1@g.us", "text": "help, who has change?", "name": "Traders", "author": "Bosco"});
        let chat = line.receive_as(&owner, said).await["chat"].as_str().expect("a chat").to_owned();
        let thread = owner.get(&format!("/api/v1/loopwave/chats/{chat}/messages/")).await.expect_status(200).json();
        assert_eq!(
            (thread["results"].as_array().map(Vec::len), &thread["results"][0]["author_name"], &thread["results"][0]["text"]),
            (Some(1), &json!("Bosco"), &json!("help, who has change?"))
        );
        let row = owner.get(&format!("/api/v1/loopwave/chats/{chat}/")).await.json();
        assert_eq!((&row["name"], &row["is_group"], &row["contact"]), (&json!("Traders"), &json!(true), &json!(null)), "{row}");
        for table in ["wave_outgoing", "wave_tickets", "wave_contacts"] {
            assert_eq!(world.rows(table).await, 0, "{table}");
        }
        // A person can answer it.
        let id = write(&owner, &chat, "I have.").await;
        comes_to(world, &owner, &chat, &id, SECOND_US, "delivered").await;
        assert_eq!(line.held(&owner, "120363-1@g.us").await.len(), 1);
    }

    async fn files_come_and_go(world: &World) {
        let owner = world.owner().await;
        let line = world.line(&owner, "250788000001").await;
        let file = owner.post("/api/v1/files/").query("name", "list.txt").body("text/plain", "bread").await.expect_status(201).text_at("/id");
        let chat = line.receive_as(&owner, json!({"from": CUSTOMER, "file": file, "text": "My list"})).await["chat"].as_str().expect("a chat").to_owned();
        let came = owner.get(&format!("/api/v1/loopwave/chats/{chat}/messages/")).await.json()["results"][0].clone();
        assert_eq!((&came["kind"], &came["text"], &came["media"]["name"]), (&json!("document"), &json!("My list"), &json!("list.txt")));
        let body = json!({"file": file, "text": "Ours"});
        let sent = owner.post(&format!("/api/v1/loopwave/chats/{chat}/messages/")).json(&body).await.expect_status(202).text_at("/id");
        comes_to(world, &owner, &chat, &sent, SECOND_US, "delivered").await;
        let inbox = owner.get(&line.sandbox("inbox/")).query("phone", CUSTOMER).await.expect_status(200);
        assert_eq!((inbox.at("/results/0/type"), inbox.at("/results/0/file")), (json!("document"), json!(file)));
        let nothing = owner.post(&line.sandbox("receive/")).json(&json!({"from": CUSTOMER})).await;
        nothing.expect_field("text", "required");
        let nowhere = json!({"from": CUSTOMER, "file": "00000000-0000-7000-8000-000000000000"});
        owner.post(&line.sandbox("receive/")).json(&nowhere).await.expect_field("file", "does_not_exist");
        owner.get(&line.sandbox("inbox/")).query("phone", "moses").await.expect_field("phone", "invalid");
    }
}
