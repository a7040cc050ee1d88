//! The customer service window of the Cloud API: 24 hours from the customer's last message, at every door and again before sending.

use loopd_testkit::{each_engine, json};
use loopd_types::{HOUR_US, SECOND_US, Timestamp};

use super::graph::{APP_SECRET, Shop, TOKEN, messages, signed};
use crate::support::eventually;

const CUSTOMER: &str = "250788123456";

each_engine! {
    async fn free_words_go_only_within_a_day_of_the_customers_last(shop: &Shop) {
        let owner = shop.owner().await;
        let key = shop.wave_key(&owner, &["*"]).await;
        let line = shop.cloud(&owner).await;
        let hello = json!({"to": CUSTOMER, "text": "Hello"});
        // Who never wrote cannot be written to freely, at no door.
        let refused = key.post("/api/v1/messages").json(&hello).await.expect_status(409);
        assert_eq!((refused.text_at("/error"), refused.text_at("/message").contains("template")), ("window_closed".to_owned(), true));
        let start = json!({"to": CUSTOMER, "number": line.number, "text": "Hello"});
        owner.post("/api/v1/loopwave/chats/").json(&start).await.expect_refusal(409, "window_closed");
        assert_eq!((shop.rows("wave_messages").await, shop.rows("wave_outgoing").await), (0, 0));
        let opened = owner.post("/api/v1/loopwave/chats/").json(&json!({"to": CUSTOMER, "number": line.number})).await.expect_status(201);
        assert_eq!((opened.at("/has_window"), opened.at("/window_open_until")), (json!(true), json!(null)));

        shop.tell(&line, &messages(&json!([shop.text("A1", CUSTOMER, "Hi")]), &json!(null))).await.expect_status(200);
        let chat = format!("/api/v1/loopwave/chats/{}/", opened.text_at("/id"));
        let shown = owner.get(&chat).await.expect_status(200);
        let moment = |text: String| Timestamp::parse(&text).expect("a moment");
        let (inbound, until) = (moment(shown.text_at("/last_inbound_at")), moment(shown.text_at("/window_open_until")));
        assert_eq!(until, inbound.plus(24 * HOUR_US));
        let listed = key.get("/api/v1/chats").await.expect_status(200);
        assert_eq!(moment(listed.text_at("/data/0/windowOpenUntil")), until);
        let id = shop.say(&key, &hello).await;
        shop.message_at(&key, CUSTOMER, &id, "sent").await;
        owner.post(&format!("{chat}messages/")).json(&json!({"text": "How are you?"})).await.expect_status(202);

        shop.clock.advance(24 * HOUR_US);
        let owner = shop.sign_in("owner@example.com", &owner.code).await;
        key.post("/api/v1/messages").json(&hello).await.expect_status(409);
        let refused = owner.post(&format!("{chat}messages/")).json(&json!({"text": "Still there?"})).await;
        assert_eq!(moment(refused.expect_refusal(409, "window_closed").text_at("/error/details/window_open_until")), until);
        // A message of theirs opens it again.
        shop.tell(&line, &messages(&json!([shop.text("A2", CUSTOMER, "Hi again")]), &json!(null))).await.expect_status(200);
        owner.post(&format!("{chat}messages/")).json(&json!({"text": "Welcome back"})).await.expect_status(202);
        // The sandbox is a linked telephone: it has no windows.
        let sandbox = shop.line(&owner, "250788000002").await;
        let free = json!({"to": "250788123457", "number": sandbox.number, "text": "Hello"});
        let chat = owner.post("/api/v1/loopwave/chats/").json(&free).await.expect_status(201);
        assert_eq!((chat.at("/has_window"), chat.at("/window_open_until")), (json!(false), json!(null)));
    }

    async fn a_message_that_waited_past_the_window_is_not_handed_over(shop: &Shop) {
        let owner = shop.owner().await;
        let key = shop.wave_key(&owner, &["*"]).await;
        let line = shop.cloud(&owner).await;
        shop.tell(&line, &messages(&json!([shop.text("A1", CUSTOMER, "Hi")]), &json!(null))).await.expect_status(200);
        shop.clock.advance(2 * HOUR_US);
        shop.graph.expect_token("another");
        let id = shop.say(&key, &json!({"to": CUSTOMER, "text": "Hello"})).await;
        let owner = shop.sign_in("owner@example.com", &owner.code).await;
        let item = format!("/api/v1/loopwave/numbers/{}/", line.id);
        eventually("the line is closed", async || { shop.clock.advance(SECOND_US); owner.get(&item).await.at("/state") == "logged_out" }).await;
        shop.clock.advance(23 * HOUR_US);
        let owner = shop.sign_in("owner@example.com", &owner.code).await;
        shop.graph.expect_token(TOKEN);
        assert_eq!(owner.post(&format!("{item}connect/")).await.expect_status(200).at("/state"), "ready");
        let failed = shop.message_at(&key, CUSTOMER, &id, "failed").await;
        assert_eq!(failed["error"]["code"], "window_closed");
        // Nor is it sent again by hand.
        let found = owner.get("/api/v1/loopwave/chats/").await.text_at("/results/0/id");
        let retry = format!("/api/v1/loopwave/chats/{found}/messages/{id}/retry/");
        owner.post(&retry).json(&json!({})).await.expect_refusal(409, "window_closed");
        assert!(shop.graph.taken().is_empty());
    }

    async fn credentials_that_are_changed_at_once_do_not_undo_each_other(shop: &Shop) {
        let owner = shop.owner().await;
        let line = shop.cloud(&owner).await;
        let path = format!("/api/v1/loopwave/numbers/{}/credentials/", line.id);
        for round in 0..5 {
            let (token, secret, verify) = (format!("token {round}"), format!("secret {round}"), format!("verify {round}"));
            let change = |name: &str, value: &str| owner.post(&path).json(&json!({name: value}));
            let (one, two, three) =
                tokio::join!(change("access_token", &token), change("app_secret", &secret), change("verify_token", &verify));
            assert_eq!((one.status, two.status, three.status), (200, 200, 200));
            // Each of the three is the one that was given last.
            shop.graph.expect_token(&token);
            let connected = owner.post(&format!("/api/v1/loopwave/numbers/{}/connect/", line.id)).await.expect_status(200);
            assert_eq!(connected.at("/state"), "ready", "{}", connected.text());
            let shaken = shop.client().get(&format!("/webhooks/whatsapp/{}", line.number)).query("hub.mode", "subscribe");
            shaken.query("hub.verify_token", &verify).query("hub.challenge", "1").await.expect_status(200);
            let body = messages(&json!([shop.text(&format!("A{round}"), CUSTOMER, "Hi")]), &json!(null)).to_string();
            for (secret, status) in [(secret.as_str(), 200), (APP_SECRET, 403)] {
                let signature = signed(secret, &body);
                let hook = shop.hook(&line).header("x-hub-signature-256", &signature);
                hook.body("application/json", body.clone()).await.expect_status(status);
            }
        }
    }
}
