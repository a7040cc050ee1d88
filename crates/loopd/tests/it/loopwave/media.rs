//! Files through the public API: read where a message or a webhook says that they are, and uploaded to be sent.

use loopd_testkit::{Client, each_engine, json};
use loopd_types::sha256_hex;
use serde_json::Value;

use super::stage::Line;
use crate::support::{Actor, Receiver, World, eventually};

const CUSTOMER: &str = "250788123456";
const MEDIA: &str = "/api/v1/media";

/// A customer sends a file of the shelf; what it is called there.
async fn sends(owner: &Actor, line: &Line, name: &str, content: &'static str) -> String {
    let kept = owner.post("/api/v1/files/").query("name", name).body("text/plain", content).await.expect_status(201);
    let file = kept.text_at("/id");
    line.receive_as(owner, json!({"from": CUSTOMER, "file": file})).await;
    file
}

async fn newest(key: &Client) -> Value {
    key.get(&format!("/api/v1/chats/{CUSTOMER}/messages")).await.expect_status(200).at("/data/0")
}

each_engine! {
    async fn the_link_of_a_message_is_opened_by_the_key_that_reads_chats(world: &World) {
        let (owner, stranger) = world.strangers().await;
        let receiver = Receiver::start().await;
        let hook = json!({"url": receiver.url, "events": ["message.created"]});
        owner.post("/api/v1/loopwave/webhooks/").json(&hook).await.expect_status(201);
        let line = world.line(&owner, "250788000001").await;
        sends(&owner, &line, "list.txt", "bread and milk").await;
        let reader = world.wave_key(&owner, &["chats:read"]).await;
        let message = newest(&reader).await;
        let link = message["mediaUrl"].as_str().expect("a link").to_owned();
        assert!(link.starts_with("http://"), "{link}");
        let read = reader.get(&link).await.expect_status(200);
        assert_eq!((&read.body[..], read.header("content-disposition")), (&b"bread and milk"[..], Some("attachment; filename=\"list.txt\"")));
        let part = reader.get(&link).header("range", "bytes=0-4").await.expect_status(206);
        assert_eq!(&part.body[..], b"bread");
        reader.get(&link).header("if-none-match", read.header("etag").expect("a tag")).await.expect_status(304);
        // The webhook's is the same, and opens the same, however much later.
        eventually("it is told", async || !receiver.received().is_empty()).await;
        assert_eq!(receiver.received()[0].json()["data"]["mediaUrl"], json!(link));
        // Nobody else opens it.
        let writer = world.wave_key(&owner, &["messages:write"]).await;
        assert_eq!(writer.get(&link).await.expect_status(403).text_at("/error"), "insufficient_scope");
        let theirs = world.wave_key(&stranger, &["*"]).await;
        assert_eq!(theirs.get(&link).await.expect_status(404).text_at("/error"), "not_found");
        assert_eq!(world.client().get(&link).await.expect_status(401).text_at("/error"), "invalid_api_key");
        owner.get(&link).await.expect_status(401);
        // A key that reads chats reads what stands in them, not the shelf.
        let shelved = owner.post("/api/v1/files/").query("name", "secret.txt").body("text/plain", "pay").await.expect_status(201);
        let no_message = format!("/api/v1/messages/{}/media", shelved.text_at("/id"));
        reader.get(&no_message).await.expect_status(404);
        line.receive(&owner, CUSTOMER, "No file").await;
        let words = newest(&reader).await;
        assert_eq!(words["mediaUrl"], json!(null));
        reader.get(&format!("/api/v1/messages/{}/media", words["id"].as_str().expect("an id"))).await.expect_status(404);
        assert_eq!(reader.get(&link).query("thumbnail", "7").await.expect_status(400).text_at("/error"), "invalid_input");
    }

    async fn a_key_uploads_what_it_sends(world: &World) {
        let (owner, stranger) = world.strangers().await;
        world.line(&owner, "250788000001").await;
        let key = world.wave_key(&owner, &["messages:write", "chats:read"]).await;
        let kept = key.post(MEDIA).query("name", "../menu.txt").body("text/plain", "Ugali 1000").await.expect_status(201).json();
        let id = kept["id"].as_str().expect("an id").to_owned();
        assert_eq!(
            kept,
            json!({"id": id, "name": "menu.txt", "contentType": "text/plain", "sizeBytes": 10, "sha256": sha256_hex(b"Ugali 1000")})
        );
        let form = "--b7\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\ncontent-type: text/plain\r\n\r\nabc\r\n--b7--\r\n";
        let of_form = key.post(MEDIA).body("multipart/form-data; boundary=b7", form).await.expect_status(201);
        assert_eq!((of_form.text_at("/name"), of_form.at("/sizeBytes")), ("a.txt".to_owned(), json!(3)));
        let sent = key.post("/api/v1/messages").json(&json!({"to": CUSTOMER, "text": "Our menu", "file": id})).await.expect_status(202);
        let message = world.message_at(&key, CUSTOMER, &sent.text_at("/id"), "sent").await;
        let read = key.get(message["mediaUrl"].as_str().expect("a link")).await.expect_status(200);
        assert_eq!((&read.body[..], message["type"].as_str()), (&b"Ugali 1000"[..], Some("document")));
        owner.get(&format!("/api/v1/files/{id}/")).await.expect_status(200);
        let foreign = world.wave_key(&stranger, &["*"]).await;
        world.line(&stranger, "250788000002").await;
        let refused = foreign.post("/api/v1/messages").json(&json!({"to": CUSTOMER, "file": id})).await.expect_status(400);
        assert_eq!(refused.text_at("/error"), "invalid_input");
    }

    async fn an_upload_that_is_refused_leaves_nothing(world: &World) {
        let owner = world.owner().await;
        let (key, reader) = (world.wave_key(&owner, &["messages:write"]).await, world.wave_key(&owner, &["chats:read"]).await);
        let send = |client: &Client| client.post(MEDIA).query("name", "a.txt").body("text/plain", "abc");
        assert_eq!(send(&reader).await.expect_status(403).text_at("/error"), "insufficient_scope");
        assert_eq!(send(&world.client()).await.expect_status(401).text_at("/error"), "invalid_api_key");
        let other = "0".repeat(64);
        let wrong = key.post(MEDIA).query("sha256", &other).body("text/plain", "abc").await.expect_status(400);
        assert_eq!(wrong.text_at("/error"), "checksum_mismatch");
        for (name, value) in [("sha256", "ab")] {
            let odd = key.post(MEDIA).query(name, value).body("text/plain", "abc").await.expect_status(400);
            assert_eq!(odd.text_at("/error"), "invalid_input");
        }
        let empty = key.post(MEDIA).body("multipart/form-data; boundary=b7", "--b7--\r\n").await.expect_status(400);
        assert_eq!(empty.text_at("/error"), "invalid_input");
        assert_eq!(world.rows("files").await, 0);
        // The same call twice keeps one.
        let once = async || send(&key).header("idempotency-key", "k1").await.expect_status(201).text_at("/id");
        assert_eq!((once().await == once().await, world.rows("files").await), (true, 1));
        let odd = key.post(MEDIA).header("idempotency-key", "k1").query("name", "a.txt").body("text/plain", "other").await;
        assert!(odd.status >= 400, "{}", odd.text());
        assert_eq!(world.rows("files").await, 1);
    }
}
