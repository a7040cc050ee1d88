//! Pictures, films and documents above a template: files of the company's shelf, shown to Meta and sent.

use loopd_testkit::{each_engine, json};
use loopd_types::{HOUR_US, SECOND_US};
use serde_json::Value;

use super::broadcasts::{BASE, pace, until};
use super::graph::Shop;
use crate::support::{Actor, eventually};

const PICTURE: &[u8] = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00";

async fn shelved(owner: &Actor, name: &str, content: &[u8]) -> String {
    let kept =
        owner.post("/api/v1/files/").query("name", name).body("application/octet-stream", content.to_vec()).await;
    kept.expect_status(201).text_at("/id")
}

/// The template `offer`, with a picture above it: this file.
fn offer(file: &str) -> Value {
    json!({"name": "offer", "language": "en", "components": [
        {"type": "header", "parameters": [{"type": "image", "image": {"file": file}}]},
        {"type": "body", "parameters": [{"type": "text", "text": "Aline"}]},
    ]})
}

fn components(file: &str) -> Value {
    json!([{"type": "HEADER", "format": "IMAGE", "file": file}, {"type": "BODY", "text": "Look, {{1}}", "example": {"body_text": [["Aline"]]}}])
}

each_engine! {
    async fn a_file_of_the_shelf_is_shown_to_meta_and_sent(shop: &Shop) {
        let (owner, stranger) = shop.strangers().await;
        let key = shop.wave_key(&owner, &["*"]).await;
        let line = shop.cloud(&owner).await;
        let base = format!("/api/v1/loopwave/numbers/{}/templates/", line.id);
        let file = shelved(&owner, "helmet.png", PICTURE).await;
        let text = shelved(&owner, "list.txt", b"bread").await;
        let theirs = shelved(&stranger, "theirs.png", PICTURE).await;
        let new = |components: Value| json!({"name": "offer", "language": "en", "category": "MARKETING", "components": components});
        for (odd, code) in [(&text, "invalid"), (&theirs, "does_not_exist"), (&"x".to_owned(), "does_not_exist")] {
            owner.post(&base).json(&new(components(odd))).await.expect_field("components", code);
        }
        let misplaced = json!([{"type": "BODY", "text": "Look", "file": file}]);
        owner.post(&base).json(&new(misplaced)).await.expect_field("components", "invalid");
        let made = owner.post(&base).json(&new(components(&file))).await.expect_status(201).json();
        let header = &made["components"][0];
        let handle = header["example"]["header_handle"][0].as_str().expect("a handle");
        assert_eq!((shop.graph.shown(handle).as_deref(), header.get("file")), (Some(PICTURE), None));
        let mut approved = shop.graph.templates().remove(0);
        approved["status"] = json!("APPROVED");
        shop.graph.put_template(approved);
        owner.post(&format!("{base}sync/")).await.expect_status(200);

        for odd in [&text, &theirs] {
            let refused = key.post("/api/v1/messages").json(&json!({"to": "250788200001", "template": offer(odd)})).await;
            assert_eq!(refused.expect_status(400).text_at("/error"), "invalid_input");
        }
        let id = shop.say(&key, &json!({"to": "250788200001", "template": offer(&file)})).await;
        let sent = shop.message_at(&key, "250788200001", &id, "sent").await;
        let shown = key.get(sent["mediaUrl"].as_str().expect("a link")).await.expect_status(200);
        assert_eq!(&shown.body[..], PICTURE);
        let taken = shop.graph.taken().remove(0);
        let media = taken["template"]["components"][0]["parameters"][0]["image"]["id"].as_str().expect("an id").to_owned();
        let (kind, content) = shop.graph.content(&media).expect("content");
        assert_eq!((kind.as_str(), &*content), ("image/png", PICTURE));

        // What goes to many is uploaded once.
        pace(&owner, json!({"gap_min_seconds": 0, "gap_max_seconds": 0})).await;
        let people: Vec<Value> = (2..=4).map(|n| json!({"chat_id": format!("25078820000{n}")})).collect();
        let news = json!({"name": "Offer", "recipients": people, "template": offer(&file)});
        let id = owner.post(BASE).json(&news).await.expect_status(201).text_at("/id");
        owner.post(&format!("{BASE}{id}/start/")).await.expect_status(200);
        until(shop, &owner, &id, SECOND_US, "it is done", |it| it["status"] == "completed").await;
        assert_eq!((shop.graph.taken().len(), shop.graph.uploads()), (4, 1));
        shop.clock.advance(2 * HOUR_US);
        shop.say(&key, &json!({"to": "250788200005", "template": offer(&file)})).await;
        eventually("it is uploaded again", async || {
            shop.clock.advance(SECOND_US);
            shop.graph.uploads() == 2
        })
        .await;
    }

    async fn a_file_that_left_the_shelf_pauses_what_says_it(shop: &Shop) {
        let owner = shop.owner().await;
        let line = shop.cloud(&owner).await;
        let file = shelved(&owner, "helmet.png", PICTURE).await;
        shop.graph.put_template(json!({
            "id": "771", "name": "offer", "language": "en", "category": "MARKETING", "status": "APPROVED",
            "components": [{"type": "HEADER", "format": "IMAGE"}, {"type": "BODY", "text": "Look, {{1}}"}],
        }));
        owner.post(&format!("/api/v1/loopwave/numbers/{}/templates/sync/", line.id)).await.expect_status(200);
        let news = json!({"name": "Offer", "recipients": [{"chat_id": "250788200001"}], "template": offer(&file)});
        let id = owner.post(BASE).json(&news).await.expect_status(201).text_at("/id");
        owner.delete(&format!("/api/v1/files/{file}/")).await.expect_status(204);
        owner.post(&format!("{BASE}{id}/start/")).await.expect_status(200);
        let paused = until(shop, &owner, &id, SECOND_US, "it is paused", |it| it["status"] == "paused").await;
        assert!(paused["pause_reason"].as_str().is_some_and(|words| words.contains("no such file")), "{paused}");
        assert_eq!((&paused["failed_count"], shop.graph.brought()), (&json!(0), 0));
    }
}
