//! Messages through the public API: out, in, once.

use loopd_testkit::{each_engine, json};

use crate::support::World;

const CUSTOMER: &str = "250788123456";

each_engine! {
    async fn a_message_goes_out_is_delivered_and_read(world: &World) {
        let owner = world.owner().await;
        let key = world.wave_key(&owner, &["*"]).await;
        let refused = key.post("/api/v1/messages").json(&json!({"to": CUSTOMER, "text": "Hi"})).await;
        assert_eq!((refused.status, refused.text_at("/error")), (409, "no_ready_session".to_owned()));
        let line = world.line(&owner, "250788000001").await;
        let sent = key.post("/api/v1/messages").json(&json!({"to": "+250 788 123 456", "text": "Muraho!"})).await.expect_status(202);
        let jid = format!("{CUSTOMER}@s.whatsapp.net");
        assert_eq!(
            sent.json(),
            json!({"status": "sent", "to": jid, "from": line.number, "id": sent.text_at("/id")})
        );
        let read = world.message_at(&key, &jid, &sent.text_at("/id"), "read").await;
        assert_eq!((&read["text"], &read["fromMe"], &read["origin"]), (&json!("Muraho!"), &json!(true), &json!("api")));
        let number = owner.get(&format!("/api/v1/loopwave/numbers/{}/", line.id)).await;
        assert_eq!(number.at("/sent_count"), json!(1));
        let nobody = key.post("/api/v1/messages").json(&json!({"to": "250788120000", "text": "Hi"})).await.expect_status(202);
        let failed = world.message_at(&key, "250788120000", &nobody.text_at("/id"), "failed").await;
        assert_eq!(failed["error"]["code"], "no_whatsapp");
    }

    async fn a_repeated_call_sends_once(world: &World) {
        let owner = world.owner().await;
        let key = world.wave_key(&owner, &["messages:write", "chats:read"]).await;
        world.line(&owner, "250788000001").await;
        let body = json!({"to": CUSTOMER, "text": "Once"});
        let send = async || key.post("/api/v1/messages").header("idempotency-key", "k1").json(&body).await.expect_status(202).text_at("/id");
        let (first, second) = (send().await, send().await);
        assert_eq!(first, second);
        world.message_at(&key, CUSTOMER, &first, "sent").await;
        assert_eq!(world.rows("wave_messages").await, 1);
        assert_eq!(world.rows("wave_sandbox_messages").await, 1);
    }

    async fn what_a_customer_writes_is_taken_once_and_opens_the_chat_again(world: &World) {
        let owner = world.owner().await;
        let key = world.wave_key(&owner, &["chats:read"]).await;
        let line = world.line(&owner, "250788000001").await;
        let body = json!({"from": CUSTOMER, "text": "Is it open?", "name": "Aline", "wa_id": "A1"});
        let first = line.receive_as(&owner, body.clone()).await;
        assert_eq!(first["taken"], true);
        assert_eq!(line.receive_as(&owner, body).await["taken"], false);
        let chats = key.get("/api/v1/chats").query("status", "open").await.expect_status(200).json();
        let chat = &chats["data"][0];
        assert_eq!(
            (&chat["name"], &chat["unreadCount"], &chat["lastMessage"], &chat["phone"], &chat["numberId"]),
            (&json!("Aline"), &json!(1), &json!("Is it open?"), &json!("+250788123456"), &json!(line.number))
        );
        line.receive(&owner, CUSTOMER, "Hello?").await;
        let thread = key.get(&format!("/api/v1/chats/{CUSTOMER}/messages")).query("limit", "1").await.expect_status(200).json();
        assert_eq!((&thread["data"][0]["text"], &thread["data"][0]["status"]), (&json!("Hello?"), &json!("received")));
        let next = thread["nextCursor"].as_str().expect("there is more");
        for name in ["cursor", "before"] {
            let rest = key.get(&format!("/api/v1/chats/{CUSTOMER}/messages")).query(name, next).await.json();
            assert_eq!((&rest["data"][0]["text"], &rest["nextCursor"]), (&json!("Is it open?"), &json!(null)), "{name}");
        }
        for (client, path) in [
            (&key, format!("/api/v1/chats/{CUSTOMER}/messages?after={next}")),
            (&key, "/api/v1/chats?unread=true".to_owned()),
            (&*owner, "/api/v1/loopwave/chats/?unraed=true".to_owned()),
            (&*owner, "/api/v1/loopwave/search/?q=open&form=2020-01-01T00:00:00Z".to_owned()),
            (&*owner, "/api/v1/loopwave/reports/?group=agent".to_owned()),
        ] {
            assert_eq!(client.get(&path).await.status, 400, "{path} is no filter");
        }
        // A number that is no longer linked had chats.
        owner.delete(&format!("/api/v1/loopwave/numbers/{}/", line.id)).await.expect_status(204);
        let kept = key.get("/api/v1/chats").query("numberId", &line.number).await.expect_status(200);
        assert_eq!(kept.at("/data").as_array().map(Vec::len), Some(1));
    }

    async fn keys_open_what_their_scopes_say_and_nobody_elses(world: &World) {
        let (owner, stranger) = world.strangers().await;
        let line = world.line(&owner, "250788000001").await;
        let chat = line.receive(&owner, CUSTOMER, "Hi").await["chat"].as_str().expect("a chat").to_owned();
        let reader = world.wave_key(&owner, &["chats:read"]).await;
        let refused = reader.post("/api/v1/messages").json(&json!({"to": CUSTOMER, "text": "Hi"})).await;
        assert_eq!((refused.status, refused.text_at("/error")), (403, "insufficient_scope".to_owned()));
        let nobody = world.client().get("/api/v1/health").await;
        assert_eq!((nobody.status, nobody.text_at("/error")), (401, "invalid_api_key".to_owned()));
        assert_eq!(reader.get("/api/v1/health").await.expect_status(200).json(), json!({"ok": true, "version": "1.0.0"}));
        let theirs = world.wave_key(&stranger, &["*"]).await;
        assert_eq!(theirs.get("/api/v1/chats").await.json()["data"], json!([]));
        theirs.get(&format!("/api/v1/chats/{chat}/messages")).await.expect_status(404);
        let wrong = theirs.post("/api/v1/messages").json(&json!({"to": CUSTOMER, "text": "Hi", "from": line.number})).await;
        assert_eq!((wrong.status, wrong.text_at("/error")), (400, "invalid_input".to_owned()));
        let bad = world.wave_key(&owner, &["*"]).await.post("/api/v1/messages").json(&json!({"to": "moses"})).await;
        assert_eq!((bad.status, bad.text_at("/error")), (400, "invalid_input".to_owned()));
    }
}
