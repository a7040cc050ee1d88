//! `/facilitator/…`: x402's own interface, in both versions, on the sandbox.

use loopd_pay::x402::Version;
use loopd_testkit::{Database, assert_json, each_engine, json};
use loopd_types::Clock as _;
use serde_json::Value;

use super::buyer::{Buyer, Promise, USDC};
use crate::support::World;

const VERIFY: &str = "/facilitator/verify";
const SETTLE: &str = "/facilitator/settle";
const RESOURCES: &str = "/facilitator/discovery/resources";
const BOTH: [Version; 2] = [Version::V1, Version::V2];

fn promise(world: &World, version: Version, nonce: u64) -> Promise {
    Promise::new(version, world.clock.now().seconds(), nonce)
}

each_engine! {
    async fn supported_names_every_network_in_both_versions(world: &World) {
        let answer = world.client().get("/facilitator/supported").await.expect_status(200).json();
        let kinds = answer["kinds"].as_array().expect("a list");
        for (version, network) in [(1, "base"), (2, "eip155:8453"), (1, "base-sepolia"), (2, "eip155:84532")] {
            let kind = json!({"x402Version": version, "scheme": "exact", "network": network});
            assert!(kinds.contains(&kind), "{kind} is not in {answer}");
        }
        assert_eq!(answer["extensions"], json!([]));
        // in the sandbox nothing is sent from anywhere
        assert_eq!(answer["signers"], json!({"eip155:*": []}));
    }

    async fn a_good_payment_is_verified_and_nothing_is_written(world: &World) {
        let buyer = Buyer::new(1);
        for version in BOTH {
            let body = buyer.body(&promise(world, version, 1));
            for _ in 0..2 {
                let answer = world.client().post(VERIFY).json(&body).await.expect_status(200).json();
                assert_json!(answer, json!({"isValid": true, "payer": buyer.address().to_string()}));
            }
        }
        assert_eq!(world.rows("pay_settlements").await, 0);
    }

    async fn a_payment_is_settled_once_and_told_to_whoever_asks_again(world: &World) {
        for (version, nonce) in BOTH.into_iter().zip([1, 2]) {
            let (buyer, promise) = (Buyer::new(1), promise(world, version, nonce));
            let body = buyer.body(&promise);
            let first = world.client().post(SETTLE).json(&body).await.expect_status(200).json();
            assert_eq!((&first["success"], &first["network"]), (&json!(true), &json!(promise.network())), "{first}");
            assert_eq!(first["payer"], json!(buyer.address().to_string()));
            assert!(first["transaction"].as_str().is_some_and(|hash| hash.len() == 66), "{first}");
            assert_eq!(first.get("amount").is_some(), version == Version::V2, "{first}");
            let again = world.client().post(SETTLE).json(&body).await.expect_status(200).json();
            assert_eq!(again, first, "a lost answer is found again");
            let verdict = world.client().post(VERIFY).json(&body).await.expect_status(200).json();
            assert_eq!(verdict["invalidReason"], "invalid_exact_evm_nonce_already_used", "{verdict}");
        }
        assert_eq!(world.rows("pay_settlements").await, 2);
    }

    async fn the_same_authorization_pays_for_nothing_else(world: &World) {
        let (buyer, paid) = (Buyer::new(1), promise(world, Version::V1, 1));
        world.client().post(SETTLE).json(&buyer.body(&paid)).await.expect_status(200);
        // signed anew for another price, under the nonce that was used
        let other = Promise { value: 20_000, ..paid };
        let answer = world.client().post(SETTLE).json(&buyer.body(&other)).await.expect_status(200).json();
        assert_eq!(answer["success"], false);
        assert_eq!(answer["errorReason"], "invalid_exact_evm_nonce_already_used");
        assert_eq!(world.rows("pay_settlements").await, 1);
    }

    async fn an_invalid_payment_is_an_answer_with_a_reason(world: &World) {
        let (buyer, good) = (Buyer::new(1), promise(world, Version::V1, 1));
        let now = good.valid_before - 60;
        let asked = |change: fn(&mut Value)| {
            let mut body = buyer.body(&good);
            change(&mut body);
            body
        };
        for (body, reason) in [
            (buyer.body(&Promise { valid_before: now + 5, ..good.clone() }), "invalid_exact_evm_payload_authorization_valid_before"),
            (buyer.body(&Promise { valid_after: now + 5, ..good.clone() }), "invalid_exact_evm_payload_authorization_valid_after"),
            (buyer.body(&Promise { value: 1_000_000_001, ..good.clone() }), "invalid_exact_evm_insufficient_balance"),
            (asked(|body| body["paymentRequirements"]["maxAmountRequired"] = json!("9999")), "invalid_exact_evm_authorization_value"),
            (asked(|body| body["paymentRequirements"]["payTo"] = json!(format!("0x{}", "11".repeat(20)))), "invalid_exact_evm_recipient_mismatch"),
            (asked(|body| body["paymentRequirements"]["network"] = json!("polygon")), "invalid_exact_evm_network_mismatch"),
            (asked(|body| body["paymentRequirements"]["network"] = json!("mars")), "invalid_exact_evm_network_mismatch"),
            (asked(|body| body["paymentRequirements"]["asset"] = json!(format!("0x{}", "11".repeat(20)))), "unsupported_asset"),
            (asked(|body| body["paymentRequirements"]["extra"] = Value::Null), "invalid_exact_evm_missing_eip712_domain"),
            (asked(|body| body["paymentRequirements"]["scheme"] = json!("upto")), "invalid_exact_evm_scheme"),
            (asked(|body| body["paymentRequirements"]["maxAmountRequired"] = json!(10_000)), "invalid_payment_requirements"),
            (asked(|body| body["paymentPayload"]["payload"]["signature"] = json!(format!("0x{}", "11".repeat(65)))), "invalid_exact_evm_signature"),
            (asked(|body| body["paymentPayload"]["payload"]["authorization"] = json!("none")), "invalid_payload"),
            (asked(|body| body["paymentPayload"] = json!({})), "invalid_payload"),
            (asked(|body| body["paymentPayload"]["x402Version"] = json!(3)), "invalid_x402_version"),
            (asked(|body| body["x402Version"] = json!(2)), "invalid_x402_version"),
        ] {
            let verdict = world.client().post(VERIFY).json(&body).await.expect_status(200).json();
            assert_eq!((&verdict["isValid"], &verdict["invalidReason"]), (&json!(false), &json!(reason)), "{verdict}");
            assert!(verdict["invalidMessage"].as_str().is_some_and(|words| !words.is_empty()), "{verdict}");
            let answer = world.client().post(SETTLE).json(&body).await.expect_status(200).json();
            assert_eq!((&answer["success"], &answer["errorReason"]), (&json!(false), &json!(reason)), "{answer}");
            // clients demand both as text, also of a failure
            assert_eq!(answer["transaction"], "", "{answer}");
            assert!(answer["network"].is_string(), "{answer}");
        }
        assert_eq!(world.rows("pay_settlements").await, 0);
    }

    async fn what_is_no_request_is_refused_in_the_facilitators_words(world: &World) {
        let good = Buyer::new(1).body(&promise(world, Version::V1, 1));
        let mut without = good.clone();
        without.as_object_mut().expect("an object").remove("paymentRequirements");
        for path in [VERIFY, SETTLE] {
            for body in [json!([]), json!("verify"), json!({}), without.clone()] {
                let answer = world.client().post(path).json(&body).await.expect_status(400).json();
                assert_eq!(answer["error"], "invalid_body", "{answer}");
                assert_eq!(answer.as_object().map(|members| members.len()), Some(2), "{answer}");
            }
            world.client().post(path).body("application/json", "{").await.expect_status(400);
            world.client().post(path).body("text/plain", good.to_string()).await.expect_status(415);
            let long = format!("{{\"a\":\"{}\"}}", "a".repeat(200_000));
            world.client().post(path).body("application/json", long).await.expect_status(413);
        }
    }

    async fn the_facilitator_describes_itself(world: &World) {
        let document = world.client().get("/facilitator/openapi.json").await.expect_status(200).json();
        assert_eq!(loopd_web::openapi::lint(&document), Vec::<String>::new());
        let paths: Vec<&String> = document["paths"].as_object().expect("paths").keys().collect();
        assert_eq!(paths, ["/facilitator/discovery/resources", "/facilitator/settle", "/facilitator/supported", "/facilitator/verify"]);
    }

    async fn resources_of_sellers_who_ask_for_it_are_listed_by_pages(world: &World) {
        let page = world.client().get(RESOURCES).await.expect_status(200).json();
        assert_json!(page, json!({"x402Version": 2, "items": [], "pagination": {"limit": 20, "offset": 0, "total": 0}}));
        let owner = world.owner().await;
        let project = world.project(&owner, "SELLER").await;
        for number in 0..3 {
            let url = format!("https://api.example.com/{number}");
            let body = json!({"urlPattern": url, "priceUsdc": "0.05", "listed": number != 1, "title": "Weather"});
            project.client.put("/v0/sellers/endpoints").json(&body).await.expect_status(201);
        }
        let wallet = project.client.get("/v0/whoami").await.expect_status(200).json()["wallet"]["address"].clone();
        let page = world.client().get(&format!("{RESOURCES}?type=http&limit=1&offset=1")).await.expect_status(200).json();
        assert_json!(page["pagination"], json!({"limit": 1, "offset": 1, "total": 2}));
        let item = &page["items"][0];
        assert_eq!((&item["resource"], &item["type"]), (&json!("https://api.example.com/0"), &json!("http")), "{page}");
        assert_eq!(item["metadata"], json!({"title": "Weather"}));
        assert_eq!(item["lastUpdated"], json!(world.clock.now().seconds()));
        let accepts = json!([{
            "scheme": "exact", "network": "eip155:8453", "amount": "50000", "payTo": wallet, "maxTimeoutSeconds": 60,
            "asset": USDC.to_string(), "extra": {"name": "USD Coin", "version": "2"},
        }]);
        assert_eq!(item["accepts"], accepts, "{page}");
        for query in ["limit=0", "limit=101", "limit=x", "offset=-1", "offset=99999999999"] {
            world.client().get(&format!("{RESOURCES}?{query}")).await.expect_status(400);
        }
        let page = world.client().get(&format!("{RESOURCES}?type=mcp&limit=5&offset=7")).await.expect_status(200).json();
        assert_json!(page["pagination"], json!({"limit": 5, "offset": 7, "total": 0}));
    }
}

/// Where strangers would spend the operator's gas, the key of a project that may be paid is asked for.
#[tokio::test]
async fn a_closed_facilitator_asks_for_a_key() {
    let database = Database::empty(loopd_testkit::Engine::Sqlite).await.expect("SQLite is always there");
    let world = World::start(database, &[("LOOP_FACILITATOR_ACCESS", "projects")]).await;
    let body = Buyer::new(1).body(&promise(&world, Version::V1, 1));
    let owner = world.owner().await;
    let (seller, buyer) = (world.project(&owner, "SELLER").await, world.project(&owner, "BUYER").await);
    for path in [VERIFY, SETTLE] {
        let answer = world.client().post(path).json(&body).await.expect_status(401).json();
        assert_eq!(answer["message"], "Missing or invalid Authorization header", "{answer}");
        let stranger = world.client().with_token(&format!("loid-{}", "0".repeat(64)));
        stranger.post(path).json(&body).await.expect_status(401);
        buyer.client.post(path).json(&body).await.expect_status(403);
    }
    assert_eq!(world.rows("pay_settlements").await, 0);
    assert_eq!(seller.client.post(VERIFY).json(&body).await.expect_status(200).json()["isValid"], true);
    assert_eq!(seller.client.post(SETTLE).json(&body).await.expect_status(200).json()["success"], true);
    assert_eq!(world.rows("pay_settlements").await, 1);
    world.client().get("/facilitator/supported").await.expect_status(200);
    world.client().get(RESOURCES).await.expect_status(200);
}
