//! Loomal, as a company manages it.

use loopd_testkit::json;

use super::Tour;
use crate::loomal::stage::{Manner, Seller};
use crate::support::World;

pub(super) async fn loomal(world: &World, tour: &mut Tour) {
    let key = tour.post("/api/v1/loomal/platform-keys/", json!({"name": "Console"})).await.text_at("/id");
    let owner = tour.owner.clone();
    let (seller, buyer) = (world.project(&owner, "SELLER").await, world.project(&owner, "BUYER").await);
    let shop = Seller::open(&seller, "0.05", Manner::Honest).await;
    let endpoint = json!({"urlPattern": shop.url, "priceUsdc": "0.05"});
    seller.client.put("/v0/sellers/endpoints").json(&endpoint).await.expect_status(201);
    let mandate = json!({"maxPerCallUsdc": "1", "dailyCapUsdc": "1"});
    buyer.client.post("/v0/payments/mandates").json(&mandate).await.expect_status(200);
    buyer.client.post("/v0/payments/pay").json(&json!({"url": shop.url})).await.expect_status(200);
    for path in ["platform-keys", "projects", "endpoints", "payments", "mandates", "spends"] {
        let base = format!("/api/v1/loomal/{path}/");
        let id = tour.get(&base).await.text_at("/results/0/id");
        tour.get(&format!("{base}{id}/")).await;
    }
    let mandate = tour.get("/api/v1/loomal/mandates/").await.text_at("/results/0/id");
    tour.post(&format!("/api/v1/loomal/mandates/{mandate}/revoke/"), json!({})).await;
    let next = tour.post(&format!("/api/v1/loomal/platform-keys/{key}/rotate/"), json!({})).await.text_at("/id");
    tour.post(&format!("/api/v1/loomal/platform-keys/{next}/revoke/"), json!({})).await;
    tour.get("/api/v1/loomal/wallets/").await;
    tour.get("/api/v1/loomal/analytics/").await;
    let new = json!({"name": "Sun", "purpose": "SELLER"});
    let made = tour.post("/api/v1/loomal/projects/", new).await.text_at("/id");
    let item = format!("/api/v1/loomal/projects/{made}/");
    tour.patch(&item, json!({"name": "Moon"})).await;
    tour.post(&format!("{item}rotate-key/"), json!({})).await;
    tour.delete(&item).await;
}
