//! Loopwave: chats, keys, webhooks and licences.

use loopd_testkit::json;

use super::Tour;
use crate::loopwave::licences;
use crate::support::{World, eventually};

pub(super) async fn loopwave(world: &World, tour: &mut Tour) {
    let key = tour.post("/api/v1/loopwave/api-keys/", json!({"name": "Program"})).await.text_at("/id");
    tour.patch(&format!("/api/v1/loopwave/api-keys/{key}/"), json!({"name": "Bot"})).await;
    let next = tour.post(&format!("/api/v1/loopwave/api-keys/{key}/rotate/"), json!({})).await.text_at("/id");
    tour.post(&format!("/api/v1/loopwave/api-keys/{next}/revoke/"), json!({})).await;
    let body = json!({"url": "https://example.com/hook", "events": ["message.created"]});
    let hook = tour.post("/api/v1/loopwave/webhooks/", body).await.text_at("/id");
    let hook_item = format!("/api/v1/loopwave/webhooks/{hook}/");
    tour.get("/api/v1/loopwave/webhooks/").await;
    tour.get(&hook_item).await;
    tour.patch(&hook_item, json!({"description": "Ours"})).await;
    for act in ["disable", "enable"] {
        tour.post(&format!("{hook_item}{act}/"), json!({})).await;
    }
    tour.delete(&hook_item).await;
    tour.get("/api/v1/loopwave/license/").await;
    tour.post("/api/v1/loopwave/license/refresh/", json!({})).await;
    let license = licences::vendor().issue(&licences::terms(world, "L-1", 30));
    tour.post("/api/v1/loopwave/license/activate/", json!({"license": license})).await;
    let new = json!({"label": "Sales", "engine": "sandbox"});
    let number = tour.post("/api/v1/loopwave/numbers/", new).await.text_at("/id");
    let item = format!("/api/v1/loopwave/numbers/{number}/");
    tour.patch(&item, json!({"label": "Support"})).await;
    tour.post(&format!("{item}connect/"), json!({})).await;
    tour.post(&format!("{item}sandbox/scan/"), json!({"phone": "250788000001"})).await;
    let received = tour.post(&format!("{item}sandbox/receive/"), json!({"from": "250788123456", "text": "Hi"})).await;
    tour.post(&format!("{item}sandbox/silence/"), json!({"silent": false})).await;
    tour.post(&format!("{item}sync-history/"), json!({})).await;
    tour.get(&format!("{item}health/")).await;
    tour.get(&format!("{item}sandbox/")).await;
    tour.patch(&format!("{item}sandbox/"), json!({"deliver_after_ms": 400})).await;
    tour.get(&format!("{item}sandbox/inbox/?phone=250788123456")).await;
    tour.post(&format!("{item}sandbox/ban/"), json!({"minutes": 5})).await;
    for act in ["lift", "drop", "unlink"] {
        tour.post(&format!("{item}sandbox/{act}/"), json!({})).await;
    }
    tour.post(&format!("{item}connect/"), json!({})).await;
    tour.post(&format!("{item}sandbox/scan/"), json!({"phone": "250788000001"})).await;
    inbox(tour, &received.text_at("/chat")).await;
    super::wave_people::wave_people(world, tour).await;
    for (path, id) in [("api-keys", &key), ("numbers", &number)] {
        tour.get(&format!("/api/v1/loopwave/{path}/")).await;
        tour.get(&format!("/api/v1/loopwave/{path}/{id}/")).await;
    }
    let people = json!([{"chat_id": "250788120001"}]);
    let body = json!({"name": "News", "message": "Hi {{name}}", "recipients": people, "number": number});
    let broadcast = tour.post("/api/v1/loopwave/broadcasts/", body).await.text_at("/id");
    let news = format!("/api/v1/loopwave/broadcasts/{broadcast}/");
    tour.get("/api/v1/loopwave/broadcasts/").await;
    tour.get(&news).await;
    tour.get(&format!("{news}recipients/")).await;
    tour.patch(&news, json!({"message": "Muraho {{name}}"})).await;
    let later = json!({"scheduled_at": "2030-01-01T00:00:00Z"});
    tour.post(&format!("{news}start/"), later).await;
    for act in ["pause", "resume", "retry-failed", "cancel"] {
        tour.post(&format!("{news}{act}/"), json!({})).await;
    }
    let body = json!({"name": "Nothing", "message": "Hi", "recipients": [{"chat_id": "250788120001"}]});
    let nothing = tour.post("/api/v1/loopwave/broadcasts/", body).await.text_at("/id");
    tour.delete(&format!("/api/v1/loopwave/broadcasts/{nothing}/")).await;
    tour.get("/api/v1/loopwave/preferences/").await;
    tour.patch("/api/v1/loopwave/preferences/", json!({"mask_numbers": false})).await;
    tour.delete(&item).await;
}

async fn inbox(tour: &mut Tour, chat: &str) {
    let (base, item) = ("/api/v1/loopwave/chats/", format!("/api/v1/loopwave/chats/{chat}/"));
    tour.get(base).await;
    tour.get(&item).await;
    tour.post(&format!("{item}read/"), json!({})).await;
    tour.post(&format!("{item}assign/"), json!({"assignee": "me"})).await;
    tour.patch(&item, json!({"labels": ["vip"]})).await;
    tour.post(&format!("{item}resolve/"), json!({})).await;
    tour.post(&format!("{item}reopen/"), json!({})).await;
    tour.post(&format!("{item}messages/"), json!({"text": "Hello"})).await;
    let note = tour.post(&format!("{item}notes/"), json!({"text": "Knows us"})).await.text_at("/id");
    tour.get(&format!("{item}notes/")).await;
    tour.delete(&format!("{item}notes/{note}/")).await;
    // Nobody with such a number is on the sandbox's WhatsApp.
    let other = tour.post(base, json!({"to": "250788120000", "text": "Hello"})).await.text_at("/id");
    let thread = format!("{base}{other}/messages/");
    eventually("a message failed", async || tour.owner.get(&thread).await.at("/results/0/status") == "failed").await;
    let failed = tour.get(&thread).await.text_at("/results/0/id");
    tour.post(&format!("{thread}{failed}/retry/"), json!({})).await;
    tour.get("/api/v1/loopwave/search/?q=hello").await;
    tour.post("/api/v1/loopwave/presence/", json!({})).await;
    tour.get("/api/v1/loopwave/presence/").await;
    tour.get("/api/v1/loopwave/reports/").await;
    tour.get("/api/v1/loopwave/activity/").await;
    tour.get("/api/v1/loopwave/activity/export/").await;
    let replies = "/api/v1/loopwave/kept-replies/";
    let reply = tour.post(replies, json!({"shortcut": "price", "text": "5,000, {{name}}"})).await.text_at("/id");
    tour.get(&format!("{replies}?chat={chat}")).await;
    tour.patch(&format!("{replies}{reply}/"), json!({"title": "The price"})).await;
    tour.delete(&format!("{replies}{reply}/")).await;
    let views = "/api/v1/loopwave/saved-views/";
    let view = tour.post(views, json!({"name": "Mine", "filter": {"assignee": "me"}})).await.text_at("/id");
    tour.get(views).await;
    tour.patch(&format!("{views}{view}/"), json!({"name": "Ours"})).await;
    tour.delete(&format!("{views}{view}/")).await;
}
