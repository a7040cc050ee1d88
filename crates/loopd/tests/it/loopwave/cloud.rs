//! The Cloud API through its own door: a number, its webhook, and what goes out, over a Graph API that misbehaves.

use std::time::Duration;

use loopd_testkit::{each_engine, json};
use loopd_types::{Clock as _, DAY_US, SECOND_US};
use serde_json::Value;

use super::graph::{
    APP_SECRET, Graph, LINE, Manner, Shop, TOKEN, VERIFY, WABA, credentials, envelope, messages, signed,
};
use crate::support::eventually;

const CUSTOMER: &str = "250788123456";

/// Waits until the Graph API has taken this many messages.
async fn taken(shop: &Shop, count: usize) -> Vec<Value> {
    eventually(&format!("{count} messages were taken"), async || {
        shop.clock.advance(SECOND_US);
        shop.graph.taken().len() >= count
    })
    .await;
    shop.graph.taken()
}

each_engine! {
    async fn a_number_is_linked_by_its_credentials_which_nobody_sees_again(shop: &Shop) {
        let owner = shop.owner().await;
        let line = shop.cloud(&owner).await;
        let item = format!("/api/v1/loopwave/numbers/{}/", line.id);
        let shown = owner.get(&item).await.expect_status(200);
        assert_eq!((shown.at("/phone"), shown.at("/state_reason")), (json!("+250788000001"), json!(null)));
        let told = json!({"phone_number_id": LINE, "waba_id": WABA, "api_version": "v22.0", "tier": "TIER_1K", "quality": "GREEN", "verified_name": "Kigali Shop"});
        assert_eq!(shown.at("/config"), told);
        let everything = format!(
            "{}{}{}",
            shown.text(),
            owner.get("/api/v1/platform-events/").query("type", "loopwave.*").await.text(),
            owner.get("/api/v1/audit-logs/").await.text()
        );
        for secret in [TOKEN, APP_SECRET, VERIFY] {
            assert!(!everything.contains(secret), "{secret} is shown: {everything}");
        }
        owner.post("/api/v1/loopwave/numbers/").json(&credentials()).await.expect_status(409);
        for (name, value) in [("phone_number_id", json!("x")), ("api_version", json!("22")), ("access_token", json!("")), ("waba_id", json!(null))] {
            let mut body = credentials();
            body["phone_number_id"] = json!("1");
            body[name] = value;
            let refused = owner.post("/api/v1/loopwave/numbers/").json(&body).await.expect_status(400);
            assert!(refused.text().contains(name), "{}", refused.text());
        }
        // A sandbox has no secrets to be given.
        let odd = json!({"label": "x", "engine": "sandbox", "access_token": "x"});
        owner.post("/api/v1/loopwave/numbers/").json(&odd).await.expect_status(400);
    }

    async fn a_token_that_is_not_taken_is_said_and_a_new_one_opens_the_line_again(shop: &Shop) {
        let owner = shop.owner().await;
        let key = shop.wave_key(&owner, &["*"]).await;
        let line = shop.cloud(&owner).await;
        shop.tell(&line, &messages(&json!([shop.text("A1", CUSTOMER, "Hi")]), &json!(null))).await.expect_status(200);
        shop.graph.expect_token("another");
        let waiting = shop.say(&key, &json!({"to": CUSTOMER, "text": "Hello"})).await;
        let item = format!("/api/v1/loopwave/numbers/{}/", line.id);
        eventually("the line says that it is closed", async || owner.get(&item).await.at("/state") == "logged_out").await;
        assert!(owner.get(&item).await.text_at("/state_reason").contains("access token"));
        key.post("/api/v1/messages").json(&json!({"to": CUSTOMER, "text": "Hi"})).await.expect_status(409);
        let refused = owner.post(&format!("{item}connect/")).await.expect_status(200);
        assert_eq!(refused.at("/state"), "logged_out");
        owner.post(&format!("{item}credentials/")).json(&json!({"access_token": "another"})).await.expect_status(200);
        assert_eq!(owner.post(&format!("{item}connect/")).await.expect_status(200).at("/state"), "ready");
        // What waited goes out by itself, once.
        shop.message_at(&key, CUSTOMER, &waiting, "sent").await;
        assert_eq!(shop.graph.taken().len(), 1);
        // The app's secret stayed.
        shop.tell(&line, &messages(&json!([shop.text("A2", CUSTOMER, "Hi")]), &json!(null))).await.expect_status(200);
        let sandbox = shop.line(&owner, "250788000002").await;
        let none = owner.post(&format!("/api/v1/loopwave/numbers/{}/credentials/", sandbox.id)).json(&json!({})).await;
        none.expect_refusal(409, "no_credentials");
    }

    async fn meta_proves_itself_before_anything_is_written(shop: &Shop) {
        let owner = shop.owner().await;
        let line = shop.cloud(&owner).await;
        let path = format!("/webhooks/whatsapp/{}", line.number);
        let shake = |token: &'static str| {
            shop.client().get(&path).query("hub.mode", "subscribe").query("hub.verify_token", token).query("hub.challenge", "1158201444")
        };
        let shaken = shake(VERIFY).await.expect_status(200);
        assert_eq!(shaken.text(), "1158201444");
        assert!(shaken.header("content-type").is_some_and(|it| it.starts_with("text/plain")));
        assert_eq!(shake("wrong").await.expect_status(403).at("/error"), "forbidden");
        shop.client().get("/webhooks/whatsapp/n0000000").await.expect_status(404);
        let body = messages(&json!([shop.text("A1", CUSTOMER, "Hi")]), &json!(null)).to_string();
        let right = signed(APP_SECRET, &body);
        let altered = body.replace("Hi", "Ho");
        for (signature, body) in [
            ("", body.as_str()), ("sha256=", &body), (&right["sha256=".len()..], &body), (&signed("another", &body), &body),
            (&right[..right.len() - 1], &body), (&right, &altered),
        ] {
            let refused = shop.hook(&line).header("x-hub-signature-256", signature).body("application/json", body.to_owned()).await;
            assert_eq!((refused.status, refused.text_at("/error")), (403, "invalid_signature".to_owned()), "{signature}");
        }
        shop.hook(&line).body("application/json", body.clone()).await.expect_status(403);
        let huge = "x".repeat(4 * 1024 * 1024);
        shop.hook(&line).header("x-hub-signature-256", &signed(APP_SECRET, &huge)).body("application/json", huge).await.expect_status(413);
        for odd in ["", "no JSON", "[]", r#"{"object": "page", "entry": []}"#] {
            let answer = shop.hook(&line).header("x-hub-signature-256", &signed(APP_SECRET, odd)).body("text/plain", odd.to_owned()).await;
            assert_eq!((answer.status, answer.text_at("/error")), (400, "invalid_input".to_owned()), "{odd}");
        }
        assert_eq!((shop.rows("wave_messages").await, shop.rows("wave_chats").await), (0, 0));
        shop.hook(&line).header("x-hub-signature-256", &right.to_uppercase().replace("SHA256", "sha256")).body("application/json", body).await.expect_status(200);
        assert_eq!(shop.rows("wave_messages").await, 1);
    }

    async fn what_meta_tells_is_taken_once_in_any_order(shop: &Shop) {
        let owner = shop.owner().await;
        let key = shop.wave_key(&owner, &["*"]).await;
        let line = shop.cloud(&owner).await;
        let both = json!([shop.text("A1", CUSTOMER, "First"), shop.text("A2", CUSTOMER, "Second")]);
        let body = messages(&both, &json!(null));
        let (one, two) = tokio::join!(shop.tell(&line, &body), shop.tell(&line, &body));
        assert_eq!((one.status, two.status), (200, 200));
        shop.tell(&line, &messages(&json!([both[1]]), &json!(null))).await.expect_status(200);
        let chats = key.get("/api/v1/chats").await.expect_status(200).json();
        let chat = &chats["data"][0];
        assert_eq!((&chat["name"], &chat["unreadCount"], &chat["lastMessage"]), (&json!("Aline"), &json!(2), &json!("Second")));
        assert_eq!((shop.rows("wave_messages").await, shop.rows("wave_contacts").await), (2, 1));

        let id = shop.say(&key, &json!({"to": CUSTOMER, "text": "Welcome https://example.com"})).await;
        shop.message_at(&key, CUSTOMER, &id, "sent").await;
        let message = taken(shop, 1).await.remove(0);
        assert_eq!((&message["text"]["preview_url"], &message["biz_opaque_callback_data"]), (&json!(true), &json!(id)));
        let (read, delivered, sent) = (shop.status(&message, "read"), shop.status(&message, "delivered"), shop.status(&message, "sent"));
        for statuses in [json!([read, delivered]), json!([sent]), json!([read, sent, delivered]), json!([shop.status(&message, "failed")])] {
            shop.tell(&line, &messages(&json!(null), &statuses)).await.expect_status(200);
            shop.message_at(&key, CUSTOMER, &id, "read").await;
        }
        let number = owner.get(&format!("/api/v1/loopwave/numbers/{}/", line.id)).await;
        assert_eq!((number.at("/sent_count"), number.at("/failed_count"), number.at("/received_count")), (json!(1), json!(0), json!(2)));
        // Of somebody else's message, and of a number that is not linked, nothing is written; Meta need not ask again.
        let stray = json!({"id": "wamid.stray", "status": "read", "timestamp": "1", "biz_opaque_callback_data": "not ours"});
        shop.tell(&line, &messages(&json!(null), &json!([stray]))).await.expect_status(200);
        let mut other = messages(&json!([shop.text("B1", CUSTOMER, "Hi")]), &json!(null));
        other["entry"][0]["changes"][0]["value"]["metadata"]["phone_number_id"] = json!("999");
        shop.tell(&line, &other).await.expect_status(200);
        assert_eq!(shop.rows("wave_messages").await, 3);
    }

    async fn a_lost_answer_is_resolved_by_the_status_and_nothing_goes_twice(shop: &Shop) {
        let owner = shop.owner().await;
        let key = shop.wave_key(&owner, &["*"]).await;
        let line = shop.cloud(&owner).await;
        shop.tell(&line, &messages(&json!([shop.text("A1", CUSTOMER, "Hi")]), &json!(null))).await.expect_status(200);
        shop.graph.behave([Manner::TakeAndFail, Manner::TakeAndCut, Manner::TakeAndBabble]);
        for count in 1..=3 {
            let id = shop.say(&key, &json!({"to": CUSTOMER, "text": format!("Number {count}")})).await;
            shop.message_at(&key, CUSTOMER, &id, "unknown").await;
            // However long we wait, it is not sent again.
            shop.clock.advance(DAY_US / 24);
            tokio::time::sleep(Duration::from_millis(100)).await;
            let all = taken(shop, count).await;
            assert_eq!(all.len(), count);
            let message = &all[count - 1];
            shop.tell(&line, &messages(&json!(null), &json!([shop.status(message, "delivered")]))).await.expect_status(200);
            shop.message_at(&key, CUSTOMER, &id, "delivered").await;
        }
    }

    async fn a_status_may_come_before_the_answer(shop: &Shop) {
        let owner = shop.owner().await;
        let key = shop.wave_key(&owner, &["*"]).await;
        let line = shop.cloud(&owner).await;
        shop.tell(&line, &messages(&json!([shop.text("A1", CUSTOMER, "Hi")]), &json!(null))).await.expect_status(200);
        shop.graph.behave([Manner::Slow(Duration::from_secs(1))]);
        let id = shop.say(&key, &json!({"to": CUSTOMER, "text": "Hello"})).await;
        // Meta can tell the state only of what was brought to it; a message that is read already is not brought.
        eventually("the message was brought", async || shop.graph.brought() == 1).await;
        let early = json!({"id": "wamid.1", "status": "read", "timestamp": "1782000000", "biz_opaque_callback_data": id});
        shop.tell(&line, &messages(&json!(null), &json!([early]))).await.expect_status(200);
        shop.message_at(&key, CUSTOMER, &id, "read").await;
        taken(shop, 1).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        shop.message_at(&key, CUSTOMER, &id, "read").await;
        let number = owner.get(&format!("/api/v1/loopwave/numbers/{}/", line.id)).await;
        assert_eq!(number.at("/sent_count"), json!(1));
    }

    async fn what_meta_refuses_waits_fails_or_pauses_the_line(shop: &Shop) {
        let owner = shop.owner().await;
        let key = shop.wave_key(&owner, &["*"]).await;
        let line = shop.cloud(&owner).await;
        shop.tell(&line, &messages(&json!([shop.text("A1", CUSTOMER, "Hi")]), &json!(null))).await.expect_status(200);
        shop.graph.behave([Manner::Refuse(429, 130_429), Manner::Refuse(400, 131_056)]);
        let id = shop.say(&key, &json!({"to": CUSTOMER, "text": "Patience"})).await;
        shop.message_at(&key, CUSTOMER, &id, "sent").await;
        assert_eq!(shop.graph.taken().len(), 1);
        for (code, ours) in [(131_047, "window_closed"), (131_026, "no_whatsapp"), (131_031, "restricted")] {
            shop.graph.behave([Manner::Refuse(400, code)]);
            let id = shop.say(&key, &json!({"to": CUSTOMER, "text": "No"})).await;
            let failed = shop.message_at(&key, CUSTOMER, &id, "failed").await;
            assert_eq!(failed["error"]["code"], ours);
            assert!(failed["error"]["message"].as_str().is_some_and(|words| words.ends_with('.')), "{failed}");
        }
        let number = owner.get(&format!("/api/v1/loopwave/numbers/{}/", line.id)).await;
        assert!(!number.at("/paused_until").is_null() && number.text_at("/pause_reason").contains("restricted"), "{}", number.text());
    }

    async fn every_form_of_a_message_reaches_the_graph_api(shop: &Shop) {
        let owner = shop.owner().await;
        let key = shop.wave_key(&owner, &["*"]).await;
        let line = shop.cloud(&owner).await;
        shop.tell(&line, &messages(&json!([shop.text("wamid.A1", CUSTOMER, "Hi")]), &json!(null))).await.expect_status(200);
        let thread = key.get(&format!("/api/v1/chats/{CUSTOMER}/messages")).await.expect_status(200);
        let asked = thread.text_at("/data/0/id");
        let file = owner.post("/api/v1/files/").header("x-file-name", "menu.txt").query("name", "menu.txt").body("text/plain", "Ugali 1000").await;
        let file = file.expect_status(201).text_at("/id");
        let bodies = [
            json!({"to": CUSTOMER, "text": "Yes?", "replyTo": asked}),
            json!({"to": CUSTOMER, "reaction": "👍", "replyTo": asked}),
            json!({"to": CUSTOMER, "text": "Sure?", "buttons": [{"id": "y", "title": "Yes"}, {"id": "n", "title": "No"}]}),
            json!({"to": CUSTOMER, "text": "Which?", "list": {"button": "Choose", "rows": [{"id": "1", "title": "One", "description": "The first"}]}}),
            json!({"to": CUSTOMER, "location": {"latitude": -1.95, "longitude": 30.06, "name": "Kigali"}}),
            json!({"to": CUSTOMER, "text": "Our menu", "file": file}),
        ];
        for body in &bodies {
            let id = shop.say(&key, body).await;
            shop.message_at(&key, CUSTOMER, &id, "sent").await;
        }
        let all = shop.graph.taken();
        let kinds: Vec<&str> = all.iter().filter_map(|it| it["type"].as_str()).collect();
        assert_eq!(kinds, ["text", "reaction", "interactive", "interactive", "location", "document"]);
        assert_eq!(all[0]["context"]["message_id"], "wamid.A1");
        assert_eq!(all[1]["reaction"], json!({"message_id": "wamid.A1", "emoji": "👍"}));
        assert_eq!((&all[5]["document"]["caption"], &all[5]["document"]["filename"]), (&json!("Our menu"), &json!("menu.txt")));
        let id = all[5]["document"]["id"].as_str().expect("an upload");
        assert_eq!(shop.graph.content(id).map(|(_, bytes)| bytes), Some("Ugali 1000".into()));
        for odd in [
            json!({"to": CUSTOMER}),
            json!({"to": CUSTOMER, "text": "a", "buttons": []}),
            json!({"to": CUSTOMER, "text": "a", "buttons": [{"id": "1", "title": "far too long for any button"}]}),
            json!({"to": CUSTOMER, "text": "a", "list": {"button": "x", "rows": []}}),
            json!({"to": CUSTOMER, "reaction": "👍"}),
            json!({"to": CUSTOMER, "reaction": "👍", "file": file, "replyTo": asked}),
            json!({"to": CUSTOMER, "location": {"latitude": 91, "longitude": 0}}),
            json!({"to": CUSTOMER, "text": "a", "replyTo": file}),
            json!({"to": CUSTOMER, "text": "a", "file": asked}),
        ] {
            let refused = key.post("/api/v1/messages").json(&odd).await;
            assert_eq!((refused.status, refused.text_at("/error")), (400, "invalid_input".to_owned()), "{odd}");
        }
    }

    async fn a_file_goes_as_what_whatsapp_shows_of_it_and_no_words_are_lost(shop: &Shop) {
        let owner = shop.owner().await;
        let key = shop.wave_key(&owner, &["*"]).await;
        let line = shop.cloud(&owner).await;
        shop.tell(&line, &messages(&json!([shop.text("wamid.A1", CUSTOMER, "Hi")]), &json!(null))).await.expect_status(200);
        let chat = owner.get("/api/v1/loopwave/chats/").await.expect_status(200).text_at("/results/0/id");
        let thread = format!("/api/v1/loopwave/chats/{chat}/messages/");
        let files = [
            ("offer.png", "image/png", &b"\x89PNG\r\n\x1a\nthe rest"[..], Some("Look"), "image"),
            ("dance.gif", "image/gif", b"GIF89a the rest", None, "document"),
            ("wave.webp", "image/webp", b"RIFF\x20\0\0\0WEBPVP8 the rest", None, "sticker"),
            ("wave.webp", "image/webp", b"RIFF\x20\0\0\0WEBPVP8 the rest", Some("Hello!"), "document"),
            ("song.mp3", "audio/mpeg", b"ID3\x04\0\0 the rest", None, "audio"),
            ("song.mp3", "audio/mpeg", b"ID3\x04\0\0 the rest", Some("Listen"), "document"),
        ];
        for (place, (name, content_type, bytes, words, kind)) in files.into_iter().enumerate() {
            let file = owner.post("/api/v1/files/").query("name", name).body(content_type, bytes).await;
            let file = file.expect_status(201).text_at("/id");
            let mut said = json!({"file": file});
            if let Some(words) = words {
                said["text"] = json!(words);
            }
            owner.post(&thread).json(&said).await.expect_status(202);
            said["to"] = json!(CUSTOMER);
            shop.say(&key, &said).await;
            for taken in &taken(shop, 2 * (place + 1)).await[2 * place..] {
                assert_eq!(taken["type"], kind, "{name} with {words:?}");
                // What is written in the inbox has its writer's name above.
                let caption = taken[kind].get("caption").and_then(Value::as_str);
                assert_eq!(caption.and_then(|said| said.lines().last()), words, "{name}");
            }
        }
    }

    async fn what_customers_send_is_kept_whatever_it_is(shop: &Shop) {
        let owner = shop.owner().await;
        let key = shop.wave_key(&owner, &["*"]).await;
        let line = shop.cloud(&owner).await;
        let media = shop.graph.keep("image/png", b"\x89PNG\r\n\x1a\nthe rest");
        let of = |id: &str, kind: &str, inner: Value| {
            let mut message = json!({"from": CUSTOMER, "id": id, "timestamp": "1782000000", "type": kind});
            message[kind] = inner;
            message
        };
        let all = json!([
            of("A1", "image", json!({"id": media, "mime_type": "image/png", "caption": "This one"})),
            of("A2", "interactive", json!({"type": "button_reply", "button_reply": {"id": "y", "title": "Yes"}})),
            of("A3", "reaction", json!({"message_id": "A1", "emoji": "👍"})),
            of("A4", "location", json!({"latitude": 1.5, "longitude": 2.5, "name": "Here"})),
            of("A5", "hologram", json!({"depth": 3})),
        ]);
        shop.tell(&line, &messages(&all, &json!(null))).await.expect_status(200);
        let thread = async || key.get(&format!("/api/v1/chats/{CUSTOMER}/messages")).await.expect_status(200).json()["data"].clone();
        let mut kinds: Vec<String> = thread().await.as_array().expect("a list").iter().map(|it| it["type"].to_string()).collect();
        kinds.sort();
        assert_eq!(kinds, ["\"image\"", "\"interactive\"", "\"location\"", "\"reaction\"", "\"unsupported\""]);
        let image = async || thread().await.as_array().and_then(|all| all.iter().find(|it| it["type"] == "image").cloned()).expect("the image");
        eventually("the image was fetched", async || { shop.clock.advance(SECOND_US); !image().await["mediaUrl"].is_null() }).await;
        let image = image().await;
        let content = key.get(image["mediaUrl"].as_str().expect("a link")).await.expect_status(200);
        assert_eq!((content.body.as_ref(), image["mediaType"].as_str()), (&b"\x89PNG\r\n\x1a\nthe rest"[..], Some("image/png")));
        let log = owner.get("/api/v1/platform-events/").query("type", "loopwave.messages.updated").await.expect_status(200);
        assert!(log.text().contains(image["id"].as_str().expect("an id")), "{}", log.text());
    }

    async fn people_without_a_number_and_the_shops_own_telephone_are_understood(shop: &Shop) {
        let owner = shop.owner().await;
        let key = shop.wave_key(&owner, &["*"]).await;
        let line = shop.cloud(&owner).await;
        let told = |id: &str, from: Option<&str>| {
            let mut body = messages(&json!([shop.text(id, CUSTOMER, id)]), &json!(null));
            let value = &mut body["entry"][0]["changes"][0]["value"];
            value["contacts"] = json!([{"profile": {"name": "Aline"}, "user_id": "RW.1502576394655843"}]);
            value["messages"][0]["from_user_id"] = json!("RW.1502576394655843");
            match from {
                Some(from) => value["contacts"][0]["wa_id"] = json!(from),
                None => drop(value["messages"][0].as_object_mut().expect("a message").remove("from")),
            }
            body
        };
        shop.tell(&line, &told("A1", Some(CUSTOMER))).await.expect_status(200);
        // The same person hides their number from now on: one contact, one chat.
        shop.tell(&line, &told("A2", None)).await.expect_status(200);
        assert_eq!((shop.rows("wave_contacts").await, shop.rows("wave_chats").await, shop.rows("wave_identities").await), (1, 1, 2));
        // Somebody who never showed one is answered by their id.
        let mut hidden = told("A3", None);
        let value = &mut hidden["entry"][0]["changes"][0]["value"];
        value["contacts"][0]["user_id"] = json!("RW.7");
        value["messages"][0]["from_user_id"] = json!("RW.7");
        shop.tell(&line, &hidden).await.expect_status(200);
        let id = shop.say(&key, &json!({"to": "RW.7@bsuid", "text": "Hello"})).await;
        shop.message_at(&key, "RW.7@bsuid", &id, "sent").await;
        assert_eq!(shop.graph.taken()[0]["recipient"], "RW.7");
        let echo = json!({
            "messaging_product": "whatsapp", "metadata": {"display_phone_number": "250788000001", "phone_number_id": LINE},
            "message_echoes": [{"from": "250788000001", "to": CUSTOMER, "id": "E1", "timestamp": "1782000000", "type": "text", "text": {"body": "From my phone"}}],
        });
        for _ in 0..2 {
            shop.tell(&line, &envelope("smb_message_echoes", &echo)).await.expect_status(200);
        }
        let thread = key.get(&format!("/api/v1/chats/{CUSTOMER}/messages")).await.expect_status(200).json();
        let mine: Vec<&Value> = thread["data"].as_array().expect("a list").iter().filter(|it| it["fromMe"] == true).collect();
        assert_eq!((mine.len(), &mine[0]["text"], &mine[0]["origin"]), (1, &json!("From my phone"), &json!("phone")));
    }

    async fn news_of_the_account_pause_its_numbers_and_lift_it_again(shop: &Shop) {
        let owner = shop.owner().await;
        let line = shop.cloud(&owner).await;
        let item = format!("/api/v1/loopwave/numbers/{}/", line.id);
        let until = shop.clock.now().plus(3 * DAY_US).seconds();
        let restricted = json!({"event": "ACCOUNT_RESTRICTION", "restriction_info": [{"restriction_type": "RESTRICTED_BIZ_INITIATED_MESSAGING", "expiration": until}]});
        let events = async || owner.get("/api/v1/platform-events/").query("type", "loopwave.numbers.status").await.at("/results").as_array().map(Vec::len);
        shop.tell(&line, &envelope("account_update", &restricted)).await.expect_status(200);
        let (paused, told) = (owner.get(&item).await, events().await);
        assert!(paused.text_at("/pause_reason").contains("RESTRICTED_BIZ_INITIATED_MESSAGING"));
        shop.tell(&line, &envelope("account_update", &restricted)).await.expect_status(200);
        assert_eq!(events().await, told, "a repeat tells nobody");
        let lifted = json!({"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": "REINSTATE"}});
        shop.tell(&line, &envelope("account_update", &lifted)).await.expect_status(200);
        assert_eq!(owner.get(&item).await.at("/paused_until"), json!(null));
        let quality = json!({"display_phone_number": "250788000001", "event": "FLAGGED", "current_limit": "TIER_10K"});
        shop.tell(&line, &envelope("phone_number_quality_update", &quality)).await.expect_status(200);
        let config = owner.get(&item).await.at("/config");
        assert_eq!((&config["quality"], &config["tier"]), (&json!("RED"), &json!("TIER_10K")));
        shop.tell(&line, &envelope("something_new", &json!({"a": 1}))).await.expect_status(200);
    }

    async fn nobody_reaches_anothers_number(shop: &Shop) {
        let (owner, stranger) = shop.strangers().await;
        let line = shop.cloud(&owner).await;
        stranger.post(&format!("/api/v1/loopwave/numbers/{}/credentials/", line.id)).json(&json!({"access_token": "x"})).await.expect_status(404);
        let agent = shop.member(&owner, "ada", "developer").await;
        agent.post(&format!("/api/v1/loopwave/numbers/{}/credentials/", line.id)).json(&json!({"access_token": "x"})).await.expect_refusal(403, "permission_denied");
        // The other company may link the same number, with its own secret; what is signed with the first one's is not taken there.
        let mut theirs = credentials();
        theirs["app_secret"] = json!("their own");
        let made = stranger.post("/api/v1/loopwave/numbers/").json(&theirs).await.expect_status(201);
        let body = messages(&json!([shop.text("A1", CUSTOMER, "Hi")]), &json!(null)).to_string();
        let hook = shop.client().post(&format!("/webhooks/whatsapp/{}", made.text_at("/number")));
        hook.header("x-hub-signature-256", &signed(APP_SECRET, &body)).body("application/json", body).await.expect_status(403);
        assert_eq!(shop.rows("wave_messages").await, 0);
    }

    async fn a_graph_api_that_is_away_is_said_and_messages_wait(shop: &Shop) {
        let owner = shop.owner().await;
        let line = shop.cloud(&owner).await;
        shop.graph.go_away(true);
        let refused = owner.post(&format!("/api/v1/loopwave/numbers/{}/connect/", line.id)).await;
        assert_eq!(refused.status, 503);
        shop.graph.go_away(false);
    }
}

#[tokio::test]
async fn the_graph_of_the_tests_refuses_what_is_wrong() {
    let graph = Graph::start().await;
    let client = loopd_testkit::Client::new(&graph.base);
    client.get(&format!("/v22.0/{LINE}")).await.expect_status(401);
    let client = client.with_token(TOKEN);
    client.get(&format!("/v22.0/{LINE}")).await.expect_status(200);
    for body in [json!({}), json!({"messaging_product": "whatsapp", "type": "text", "text": {"body": ""}})] {
        client.post(&format!("/v22.0/{LINE}/messages")).json(&body).await.expect_status(400);
    }
    assert!(graph.taken().is_empty());
}
