//! What is counted of refusals, wherever they are made: by the facilitator, and of what a project buys.

use alloy_primitives::Address;
use loopd_pay::x402::Version;
use loopd_testkit::{Client, Database, Engine, each_engine, json};
use loopd_types::Clock as _;
use serde_json::Value;

use super::buyer::{Buyer, Promise};
use super::stage::{Manner, Project, Seller};
use crate::support::{Actor, World, eventually};

const ANALYTICS: &str = "/api/v1/loomal/analytics/";
const VERIFY: &str = "/facilitator/verify";
const SETTLE: &str = "/facilitator/settle";

/// Where a project is paid.
async fn payee(project: &Project) -> Address {
    let me = project.client.get("/v0/whoami").await.expect_status(200).json();
    me["wallet"]["address"].as_str().expect("an address").parse().expect("an address")
}

/// A payment of a buyer to an address that its signature does not fit.
fn forged(world: &World, to: Address) -> Value {
    let promise = Promise { to, ..Promise::new(Version::V1, world.clock.now().seconds(), 1) };
    let mut body = Buyer::new(1).body(&promise);
    body["paymentPayload"]["payload"]["signature"] = json!(format!("0x{}", "11".repeat(65)));
    body
}

/// The refusals of a company once there are as many: stage, reason, count.
async fn refusals(owner: &Actor, many: u64) -> Value {
    eventually("refusals are written", async || owner.get(ANALYTICS).await.at("/refused") == json!(many)).await;
    owner.get(ANALYTICS).await.expect_status(200).at("/refusals")
}

async fn post(client: &Client, path: &str, body: &Value) {
    client.post(path).json(body).await.expect_status(200);
}

each_engine! {
    async fn what_the_facilitator_refuses_is_counted_for_who_would_have_been_paid(world: &World) {
        let (owner, stranger) = world.strangers().await;
        let project = world.project(&owner, "SELLER").await;
        let to = payee(&project).await;
        for path in [VERIFY, VERIFY, SETTLE] {
            post(&world.client(), path, &forged(world, to)).await;
        }
        // Settled, and then shown for another price: used.
        let good = Promise { to, ..Promise::new(Version::V1, world.clock.now().seconds(), 2) };
        post(&world.client(), SETTLE, &Buyer::new(1).body(&good)).await;
        post(&world.client(), SETTLE, &Buyer::new(1).body(&Promise { value: 20_000, ..good })).await;
        // Of nobody here, and of nobody at all.
        post(&world.client(), SETTLE, &forged(world, Address::repeat_byte(7))).await;
        let mut unreadable = forged(world, to);
        unreadable["paymentRequirements"]["payTo"] = json!("somebody");
        post(&world.client(), SETTLE, &unreadable).await;
        assert_eq!(refusals(&owner, 4).await, json!([
            {"stage": "facilitator_verify", "reason": "invalid_exact_evm_signature", "count": 2},
            {"stage": "facilitator_settle", "reason": "invalid_exact_evm_nonce_already_used", "count": 1},
            {"stage": "facilitator_settle", "reason": "invalid_exact_evm_signature", "count": 1},
        ]));
        assert_eq!(stranger.get(ANALYTICS).await.at("/refused"), json!(0));
        // A payee that the seller names counts as well, and a project that is gone does not.
        let elsewhere = Address::repeat_byte(8);
        let found = owner.get("/api/v1/loomal/projects/").query("identity", &project.id).await.text_at("/results/0/id");
        let one = format!("/api/v1/loomal/projects/{found}/");
        owner.patch(&one).json(&json!({"pay_to": elsewhere.to_string()})).await.expect_status(200);
        post(&world.client(), VERIFY, &forged(world, elsewhere)).await;
        refusals(&owner, 5).await;
        owner.delete(&one).await.expect_status(204);
        post(&world.client(), VERIFY, &forged(world, elsewhere)).await;
        let other = world.project(&owner, "SELLER").await;
        post(&world.client(), VERIFY, &forged(world, payee(&other).await)).await;
        refusals(&owner, 6).await;
    }

    async fn what_a_project_is_refused_when_it_buys_is_counted(world: &World) {
        let owner = world.owner().await;
        let (seller, buyer) = (world.project(&owner, "SELLER").await, world.project(&owner, "BUYER").await);
        let shop = Seller::open(&seller, "0.05", Manner::Honest).await;
        let buy = |url: &str, is_dry: bool| {
            buyer.client.post("/v0/payments/pay").json(&json!({"url": url, "dryRun": is_dry}))
        };
        for _ in 0..2 {
            buy(&shop.url, false).await.expect_status(402);
        }
        // What is only tried out is no refused call.
        buy(&shop.url, true).await.expect_status(402);
        let body = json!({"maxPerCallUsdc": "0.01", "dailyCapUsdc": "1"});
        buyer.client.post("/v0/payments/mandates").json(&body).await.expect_status(200);
        buy(&shop.url, false).await.expect_status(402);
        buy("http://127.0.0.1:9/nobody", false).await;
        let told = refusals(&owner, 4).await;
        assert_eq!(told[0], json!({"stage": "pay", "reason": "mandate_not_found", "count": 2}));
        let reasons: Vec<&Value> = told.as_array().expect("a list").iter().map(|it| &it["reason"]).collect();
        assert_eq!(reasons, ["mandate_not_found", "mandate_per_call_exceeded", "url_not_x402"]);
        let found = owner.get("/api/v1/loomal/projects/").query("identity", &seller.id).await.text_at("/results/0/id");
        assert_eq!(owner.get(ANALYTICS).query("project", &found).await.at("/refused"), json!(0));
    }
}

/// Behind a key, it is the key's project that was refused, whoever would have been paid and whether the body could be read.
#[tokio::test]
async fn a_closed_facilitator_counts_for_the_key_that_was_shown() {
    let database = Database::empty(Engine::Sqlite).await.expect("SQLite is always there");
    let world = World::start(database, &[("LOOP_FACILITATOR_ACCESS", "projects")]).await;
    let owner = world.owner().await;
    let seller = world.project(&owner, "SELLER").await;
    for path in [VERIFY, SETTLE] {
        post(&seller.client, path, &forged(&world, Address::repeat_byte(7))).await;
        let mut unreadable = forged(&world, Address::repeat_byte(7));
        unreadable["paymentRequirements"]["scheme"] = json!("upto");
        post(&seller.client, path, &unreadable).await;
    }
    let told = refusals(&owner, 4).await;
    assert_eq!(told.as_array().map(Vec::len), Some(4), "{told}");
}
