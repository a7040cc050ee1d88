//! Challenge, redeem and the records.

use alloy_primitives::{Address, hex};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, VerifyingKey};
use loopd_pay::did::parse_multibase;
use loopd_pay::x402::Version;
use loopd_testkit::{each_engine, json};
use serde_json::Value;

use super::stage::{Twist, Wallet, same};
use crate::support::World;

const WEATHER: &str = "https://api.example.com/weather?city=Kigali";

/// Whether this key signed this body: its members sorted, without spaces (RFC 8785 for strings, nulls and small integers).
fn is_signed(body: &Value, signature: &Value, key: &[u8]) -> bool {
    let sorted: std::collections::BTreeMap<String, Value> = serde_json::from_value(body.clone()).unwrap();
    let canonical = serde_json::to_string(&sorted).unwrap();
    let key = VerifyingKey::from_bytes(key.try_into().unwrap()).unwrap();
    let signature = Signature::from_slice(&STANDARD.decode(signature.as_str().unwrap()).unwrap()).unwrap();
    key.verify_strict(canonical.as_bytes(), &signature).is_ok()
}

each_engine! {
    async fn a_challenge_is_the_sellers_own_402(world: &World) {
        let owner = world.owner().await;
        let project = world.project(&owner, "SELLER").await;
        let wallet = project.client.get("/v0/whoami").await.text_at("/wallet/address");
        same(&project.challenge("0.05", WEATHER).await, &json!({"x402Version": 1, "accepts": [{
            "scheme": "exact", "network": "base", "maxAmountRequired": "50000", "resource": WEATHER, "description": WEATHER, "mimeType": "",
            "payTo": wallet, "maxTimeoutSeconds": 60, "asset": "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913",
            "extra": {"name": "USD Coin", "version": "2"},
        }]}));
        for body in [
            json!({"amount": "0.05", "network": "base", "resource": "tool"}), json!({"amount": "1.234567", "resource": ""}),
            json!({"amount": "1", "network": "base", "resource": "unknown", "description": "x".repeat(3000)}),
        ] {
            project.client.post("/v0/payments/challenge").json(&body).await.expect_status(200);
        }
        for body in [
            json!({}), json!({"amount": 5}), json!({"amount": "0"}), json!({"amount": "1.2345678"}), json!({"amount": "-1"}),
            json!({"amount": "1", "network": "dogecoin"}), json!([]), json!("x"),
        ] {
            let answer = project.client.post("/v0/payments/challenge").json(&body).await.expect_status(400);
            assert_eq!(answer.text_at("/error"), "bad_request", "{body}");
        }
    }

    async fn a_good_payment_is_settled_recorded_and_receipted(world: &World) {
        let owner = world.owner().await;
        let (project, buyer) = (world.project(&owner, "SELLER").await, Wallet::number(7));
        let paid = project.sell(world, &buyer, "0.05", WEATHER, 1).await;
        let response: Value = serde_json::from_slice(&STANDARD.decode(paid["paymentResponse"].as_str().unwrap()).unwrap()).unwrap();
        same(&response, &json!({
            "success": true, "transaction": paid["txHash"], "network": "base", "payer": buyer.address().to_string(),
        }));
        let receipt = &paid["signedReceipt"];
        assert_eq!(receipt["alg"], "Ed25519");
        let key = hex::decode(receipt["publicKeyHex"].as_str().unwrap()).unwrap();
        assert!(is_signed(&receipt["body"], &receipt["signature"], &key));
        let list = project.client.get("/v0/payments").await.expect_status(200).json();
        assert_eq!(list["count"], 1);
        let row = &list["payments"][0];
        assert_eq!((&row["status"], &row["amountUsdcRaw"], &row["resourceUrl"]), (&json!("settled"), &json!("50000"), &json!("https://api.example.com/weather")));
        assert_eq!((&row["txHash"], &row["payerAddress"]), (&paid["txHash"], &json!(buyer.address().to_string())));
        let one = project.client.get(&format!("/v0/payments/{}", paid["paymentInId"].as_str().unwrap())).await.expect_status(200).json();
        assert_eq!(one["authorizationNonce"], format!("0x{}", "01".repeat(32)));
        let key = parse_multibase(one["signedReceipt"]["publicKey"].as_str().unwrap()).unwrap();
        assert!(is_signed(&one["signedReceipt"]["body"], &one["signedReceipt"]["signature"], &key));
        let activity = project.client.get("/v0/payments/activity").await.expect_status(200).json();
        assert_eq!((&activity["count"], &activity["activity"][0]["direction"]), (&json!(1), &json!("in")));
    }

    async fn the_same_payment_gets_the_same_success_and_moves_money_once(world: &World) {
        let owner = world.owner().await;
        let (project, buyer) = (world.project(&owner, "SELLER").await, Wallet::number(8));
        let challenge = project.challenge("1", "tool").await;
        let header = buyer.pay(world, &challenge, 1);
        let all = (0..12).map(|_| project.redeem(&header, "1", "tool"));
        let answers = futures_util::future::join_all(all).await;
        let first = answers[0].json();
        assert_eq!(first["ok"], true, "{first}");
        for answer in answers {
            same(&answer.expect_status(200).json(), &first);
        }
        world.clock.advance(3_600_000_000);
        same(&project.redeem(&header, "1", "tool").await.expect_status(200).json(), &first);
        assert_eq!(project.client.get("/v0/payments").await.at("/count"), json!(1));
        assert_eq!(world.rows("pay_settlements").await, 1);
    }

    async fn a_used_payment_buys_nothing_else(world: &World) {
        let (ada, bob) = world.strangers().await;
        let (mine, theirs, buyer) = (world.project(&ada, "SELLER").await, world.project(&bob, "SELLER").await, Wallet::number(9));
        let challenge = mine.challenge("1", "tool").await;
        let header = buyer.pay(world, &challenge, 1);
        assert_eq!(mine.redeem(&header, "1", "tool").await.json()["ok"], true);
        for (project, amount) in [(&mine, "2"), (&theirs, "1")] {
            let answer = project.redeem(&header, amount, "tool").await.expect_status(200).json();
            assert_eq!(answer["ok"], false, "{answer}");
            assert!(answer["requirement"]["accepts"].is_array());
        }
        assert_eq!(theirs.client.get("/v0/payments").await.at("/count"), json!(0));
        assert_eq!(mine.client.get("/v0/payments").await.at("/count"), json!(1));
    }

    async fn a_bad_payment_is_a_200_that_says_why_and_what_is_asked(world: &World) {
        let owner = world.owner().await;
        let (project, buyer) = (world.project(&owner, "SELLER").await, Wallet::number(10));
        let challenge = project.challenge("1", "tool").await;
        let cases = [
            (buyer.pay_with(world, &challenge, 1, Twist { value: Some(999_999), ..Twist::default() }), "amount_mismatch"),
            (buyer.pay_with(world, &challenge, 2, Twist { value: Some(1_000_001), ..Twist::default() }), "amount_mismatch"),
            (buyer.pay_with(world, &challenge, 3, Twist { to: Some(Address::repeat_byte(3)), ..Twist::default() }), "payTo_mismatch"),
            (buyer.pay_with(world, &challenge, 4, Twist { spoils_signature: true, ..Twist::default() }), "invalid_signature"),
            (buyer.pay_with(world, &challenge, 5, Twist { valid_before: Some(3), ..Twist::default() }), "invalid_exact_evm_payload_authorization_valid_before"),
            ("%%%".to_owned(), "invalid_payload"),
            (STANDARD.encode("[]"), "invalid_payload"),
        ];
        for (header, reason) in cases {
            let answer = project.redeem(&header, "1", "tool").await.expect_status(200).json();
            assert_eq!((&answer["ok"], &answer["stage"], &answer["reason"]), (&json!(false), &json!("verify"), &json!(reason)), "{answer}");
            assert_eq!(answer["requirement"]["accepts"][0]["maxAmountRequired"], "1000000");
        }
        assert_eq!(project.client.get("/v0/payments").await.at("/count"), json!(0));
        // Nothing of that has used anything up.
        assert_eq!(project.redeem(&buyer.pay(world, &challenge, 1), "1", "tool").await.json()["ok"], true);
    }

    async fn who_has_not_enough_is_refused_and_version_2_is_understood(world: &World) {
        let owner = world.owner().await;
        let (project, buyer) = (world.project(&owner, "SELLER").await, Wallet::number(11));
        let dear = project.challenge("1000.000001", "tool").await;
        let answer = project.redeem(&buyer.pay(world, &dear, 1), "1000.000001", "tool").await.expect_status(200).json();
        assert_eq!((&answer["ok"], &answer["reason"]), (&json!(false), &json!("invalid_exact_evm_insufficient_balance")));
        let all = project.challenge("1000", "tool").await;
        let header = buyer.pay_with(world, &all, 2, Twist { version: Some(Version::V2), ..Twist::default() });
        let paid = project.redeem(&header, "1000", "tool").await.expect_status(200).json();
        assert_eq!(paid["ok"], true, "{paid}");
        let response: Value = serde_json::from_slice(&STANDARD.decode(paid["paymentResponse"].as_str().unwrap()).unwrap()).unwrap();
        assert_eq!((&response["network"], &response["amount"]), (&json!("eip155:8453"), &json!("1000000000")));
    }

    async fn what_the_facilitator_settled_first_is_the_sellers_sale_once(world: &World) {
        let owner = world.owner().await;
        let (one, two, buyer) = (world.project(&owner, "SELLER").await, world.project(&owner, "SELLER").await, Wallet::number(14));
        let challenge = one.challenge("1", "tool").await;
        let payee = challenge["accepts"][0]["payTo"].clone();
        let listed = owner.get("/api/v1/loomal/projects/").query("identity", &two.id).await.expect_status(200);
        let second = format!("/api/v1/loomal/projects/{}/", listed.text_at("/results/0/id"));
        owner.patch(&second).json(&json!({"pay_to": payee})).await.expect_status(200);
        let header = buyer.pay(world, &challenge, 1);
        let payload: Value = serde_json::from_slice(&STANDARD.decode(&header).unwrap()).unwrap();
        let body = json!({"x402Version": 1, "paymentPayload": payload, "paymentRequirements": challenge["accepts"][0]});
        let settled = one.client.post("/facilitator/settle").json(&body).await.expect_status(200).json();
        assert_eq!(settled["success"], true, "{settled}");
        let paid = one.redeem(&header, "1", "tool").await.expect_status(200).json();
        assert_eq!((&paid["ok"], &paid["txHash"]), (&json!(true), &settled["transaction"]), "{paid}");
        same(&one.redeem(&header, "1", "tool").await.json(), &paid);
        assert_eq!(one.client.get("/v0/payments").await.at("/count"), json!(1));
        assert_eq!(two.redeem(&header, "1", "tool").await.json()["ok"], false);
        assert_eq!(two.client.get("/v0/payments").await.at("/count"), json!(0));
    }

    async fn payments_are_listed_newest_first_and_none_is_lost_between_pages(world: &World) {
        let owner = world.owner().await;
        let (project, buyer) = (world.project(&owner, "SELLER").await, Wallet::number(12));
        for nonce in 1..=7 {
            project.sell(world, &buyer, "1", &format!("tool-{nonce}"), nonce).await;
        }
        let (mut seen, mut token) = (Vec::new(), None::<String>);
        loop {
            let request = project.client.get("/v0/payments").query("limit", "2");
            let page = match &token { Some(token) => request.query("pageToken", token), None => request }.await.expect_status(200).json();
            seen.extend(page["payments"].as_array().unwrap().iter().map(|row| row["resourceUrl"].as_str().unwrap().to_owned()));
            token = page["nextPageToken"].as_str().map(str::to_owned);
            if token.is_none() { break; }
        }
        assert_eq!(seen, (1..=7).rev().map(|nonce| format!("tool-{nonce}")).collect::<Vec<_>>());
    }

    async fn nobody_reads_another_projects_payments(world: &World) {
        let (owner, stranger) = world.strangers().await;
        let (one, two, buyer) = (world.project(&owner, "SELLER").await, world.project(&owner, "SELLER").await, Wallet::number(13));
        let paid = one.sell(world, &buyer, "1", "tool", 1).await;
        let path = format!("/v0/payments/{}", paid["paymentInId"].as_str().unwrap());
        let refusal = two.client.get(&path).await.expect_status(404).json();
        same(&refusal, &json!({"error": "not_found", "message": "Payment not found", "status": 404}));
        two.client.get("/v0/payments/pi_nonsense").await.expect_status(404);
        assert_eq!(two.client.get("/v0/payments").await.at("/count"), json!(0));
        let listed = stranger.get("/api/v1/loomal/payments/").await.expect_status(200);
        assert_eq!(listed.at("/count"), json!(0));
    }
}
