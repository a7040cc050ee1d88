//! Files through the public API: read where a message or a webhook says that they are.

use loopd_testkit::{Client, each_engine, json};
use serde_json::Value;

use super::stage::Line;
use crate::support::{Actor, Receiver, World, eventually};

const CUSTOMER: &str = "250788123456";

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
}
