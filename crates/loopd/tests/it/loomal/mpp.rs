//! MPP's scheme `Payment`: challenges, credentials, and everything that is no good credential.

use alloy_primitives::{Address, B256, U256, keccak256};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use loopd_pay::x402::{Authorization, Method, Version};
use loopd_testkit::{assert_json, each_engine, json};
use loopd_types::Clock as _;
use serde_json::{Map, Value};

use super::stage::{Project, Wallet, same, spoiled};
use crate::support::World;

const WEATHER: &str = "https://api.example.com/weather?city=Kigali";

/// The JSON behind base64url.
fn read(text: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).expect("base64url")).expect("JSON")
}

fn written(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// The parameters of a challenge's header.
fn parameters(header: &str) -> Map<String, Value> {
    let rest = header.strip_prefix("Payment ").unwrap_or_else(|| panic!("no challenge: {header}"));
    let parameter = |text: &str| {
        let (name, value) = text.split_once("=\"").expect("name and value");
        (name.to_owned(), json!(value.strip_suffix('"').expect("a quoted value")))
    };
    rest.split(", ").map(parameter).collect()
}

/// What a buyer changes of an otherwise good credential.
#[derive(Default)]
struct Change {
    value: Option<u64>,
    to: Option<Address>,
    nonce: Option<B256>,
    valid_before: Option<i64>,
    spoils_signature: bool,
    /// Of the whole credential, once all is signed.
    after: Option<fn(&mut Value)>,
}

/// The credential for a challenge as `mppx` writes it.
fn credential(buyer: &Wallet, challenge: &Map<String, Value>, change: Change) -> Value {
    let text = |name: &str| challenge[name].as_str().unwrap_or_else(|| panic!("no {name}")).to_owned();
    let request = read(&text("request"));
    let asked = |name: &str| request[name].as_str().unwrap_or_else(|| panic!("no {name}")).to_owned();
    let end = loopd_types::Timestamp::parse(&text("expires")).expect("a time").seconds();
    let authorization = Authorization {
        from: buyer.address(),
        to: change.to.unwrap_or_else(|| asked("recipient").parse().expect("an address")),
        value: change.value.map_or_else(|| asked("amount").parse().expect("an amount"), U256::from),
        valid_after: U256::ZERO,
        valid_before: U256::from(change.valid_before.unwrap_or(end).unsigned_abs()),
        nonce: change.nonce.unwrap_or_else(|| keccak256(format!("{}{}", text("id"), text("realm")))),
    };
    let payment = buyer.sign(Version::V2, authorization, asked("currency").parse().expect("an address"));
    let signature = if change.spoils_signature { spoiled(&payment) } else { payment.signature.clone() };
    let Method::Authorization(it) = &payment.method else { unreachable!("it was signed as one") };
    let mut credential = json!({
        "challenge": challenge,
        "payload": {
            "type": "authorization", "from": it.from.to_string(), "to": it.to.to_string(), "value": it.value.to_string(),
            "validAfter": it.valid_after.to_string(), "validBefore": it.valid_before.to_string(), "nonce": it.nonce.to_string(),
            "signature": signature.to_string(),
        },
        "source": format!("did:pkh:eip155:8453:{}", it.from),
    });
    if let Some(after) = change.after {
        after(&mut credential);
    }
    credential
}

fn header(credential: &Value) -> String {
    format!("Payment {}", written(credential))
}

/// The header that pays a challenge.
fn pay(buyer: &Wallet, challenge: &Map<String, Value>) -> String {
    header(&credential(buyer, challenge, Change::default()))
}

impl Project {
    /// A challenge with these terms of MPP.
    async fn offer(&self, amount: &str, resource: &str, mpp: Value) -> Map<String, Value> {
        let body = json!({"amount": amount, "resource": resource, "description": "Das Wetter ☔", "mpp": mpp});
        let answer = self.client.post("/v0/payments/challenge").json(&body).await.expect_status(200);
        let header = answer.header("www-authenticate").expect("a challenge").to_owned();
        assert_eq!(answer.at("/wwwAuthenticate"), json!(header));
        parameters(&header)
    }

    async fn take(&self, header: &str, amount: &str, resource: &str, mpp: Value) -> Value {
        let body = json!({"paymentHeader": header, "amount": amount, "resource": resource, "mpp": mpp});
        self.client.post("/v0/payments/redeem").json(&body).await.expect_status(200).json()
    }
}

each_engine! {
    async fn a_challenge_offers_the_scheme_beside_x402_to_who_asks_for_it(world: &World) {
        let owner = world.owner().await;
        let project = world.project(&owner, "SELLER").await;
        let wallet = project.client.get("/v0/whoami").await.text_at("/wallet/address");
        let challenge = project.offer("0.05", WEATHER, json!({})).await;
        same(&json!(challenge), &json!({
            "id": "[any]", "realm": "api.example.com", "method": "evm", "intent": "charge", "request": "[any]", "expires": "[any]", "opaque": "[any]",
        }));
        same(&read(challenge["request"].as_str().unwrap()), &json!({
            "amount": "50000", "currency": "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913", "description": "Das Wetter ☔", "recipient": wallet,
            "methodDetails": {
                "chainId": 8453, "credentialTypes": ["authorization"], "decimals": 6, "permit2Address": "0x000000000022D473030F116dDEE9F6B43aC78BA3",
            },
        }));
        let again = project.offer("0.05", WEATHER, json!({})).await;
        assert_ne!(again["id"], challenge["id"], "two purchases are two challenges");
        let body = json!({"amount": "0.05", "resource": WEATHER});
        let plain = project.client.post("/v0/payments/challenge").json(&body).await.expect_status(200);
        assert!(plain.header("www-authenticate").is_none() && plain.json().get("wwwAuthenticate").is_none());
        // Where no address says it, the realm is the project, and where the seller says it, that.
        assert_eq!(project.offer("1", "tool", json!({})).await["realm"], json!(project.id));
        let digest = "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:";
        let all = project.offer("1", "tool", json!({"realm": "Shop of Ada", "externalId": "order-7", "digest": digest})).await;
        assert_eq!((&all["realm"], &all["digest"]), (&json!("Shop of Ada"), &json!(digest)));
        assert_eq!(read(all["request"].as_str().unwrap())["externalId"], "order-7");
        for mpp in [json!(true), json!({"realm": "a\"b"}), json!({"realm": "a\r\nb"}), json!({"externalId": 7}), json!({"digest": "md5=x"})] {
            let body = json!({"amount": "1", "resource": "tool", "mpp": mpp});
            let refused = project.client.post("/v0/payments/challenge").json(&body).await.expect_status(400);
            assert_eq!(refused.text_at("/error"), "bad_request", "{body}");
        }
        // Agents have no headers to read.
        let params = json!({"name": "payments.challenge", "arguments": {"amount": "1", "resource": "tool", "mpp": {}}});
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
        let told = project.client.post("/mcp").json(&message).await.expect_status(200);
        assert!(told.text_at("/result/structuredContent/wwwAuthenticate").starts_with("Payment id="));
    }

    async fn a_credential_is_settled_once_and_receipted_to_whoever_repeats_it(world: &World) {
        let owner = world.owner().await;
        let (project, buyer) = (world.project(&owner, "SELLER").await, Wallet::number(40));
        let terms = json!({"externalId": "order-7"});
        let challenge = project.offer("0.05", WEATHER, terms.clone()).await;
        let header = pay(&buyer, &challenge);
        let all = (0..12).map(|_| project.take(&header, "0.05", WEATHER, terms.clone()));
        let answers = futures_util::future::join_all(all).await;
        let first = answers[0].clone();
        assert_json!(first.clone(), {"ok": true, "payer": (buyer.address().to_string()), "sandbox": true});
        for answer in answers {
            same(&answer, &first);
        }
        let receipt = read(first["paymentReceipt"].as_str().unwrap());
        same(&receipt, &json!({
            "status": "success", "method": "evm", "reference": first["txHash"], "chainId": 8453, "challengeId": challenge["id"],
            "externalId": "order-7", "timestamp": "[any]",
        }));
        let response: Value = serde_json::from_slice(&STANDARD.decode(first["paymentResponse"].as_str().unwrap()).unwrap()).unwrap();
        assert_json!(response, {"success": true, "network": "eip155:8453"});
        // Long after the challenge is over, and from the same page with another query.
        world.clock.advance(3_600_000_000);
        same(&project.take(&header, "0.05", "https://api.example.com/weather", terms).await, &first);
        assert_eq!(world.rows("pay_settlements").await, 1);
        let listed = project.client.get("/v0/payments").await.expect_status(200);
        assert_json!(listed.json(), {"count": 1, "payments": [{"status": "settled", "amountUsdcRaw": "50000", "txHash": (first["txHash"].clone())}]});
        let detail = project.client.get(&format!("/v0/payments/{}", first["paymentInId"].as_str().unwrap())).await.expect_status(200);
        let nonce = keccak256(format!("{}api.example.com", challenge["id"].as_str().unwrap()));
        assert_eq!(detail.text_at("/authorizationNonce"), nonce.to_string());
    }

    async fn one_authorization_is_one_payment_by_whichever_protocol_it_comes(world: &World) {
        let owner = world.owner().await;
        let (project, buyer) = (world.project(&owner, "SELLER").await, Wallet::number(41));
        let challenge = project.offer("1", "tool", json!({})).await;
        let credential = credential(&buyer, &challenge, Change::default());
        let mut authorization = credential["payload"].clone();
        let signature = authorization["signature"].take();
        let payload = json!({"signature": signature, "authorization": authorization});
        let x402 = STANDARD.encode(json!({"x402Version": 1, "scheme": "exact", "network": "base", "payload": payload}).to_string());
        let mpp = header(&credential);
        let (by_mpp, by_x402) = futures_util::join!(
            project.take(&mpp, "1", "tool", json!({})),
            project.take(&x402, "1", "tool", Value::Null),
        );
        assert_eq!((&by_mpp["ok"], &by_x402["ok"]), (&json!(true), &json!(true)), "{by_mpp} {by_x402}");
        assert_eq!((&by_mpp["paymentInId"], &by_mpp["txHash"]), (&by_x402["paymentInId"], &by_x402["txHash"]));
        assert!(by_x402["paymentReceipt"].is_null());
        assert_eq!(world.rows("pay_settlements").await, 1);
    }

    async fn whatever_is_not_a_good_credential_is_refused_in_the_protocols_words(world: &World) {
        let (owner, stranger) = world.strangers().await;
        let (project, other) = (world.project(&owner, "SELLER").await, world.project(&owner, "SELLER").await);
        let (theirs, buyer) = (world.project(&stranger, "SELLER").await, Wallet::number(42));
        let challenge = project.offer("1", "tool", json!({})).await;
        let changed = |change: Change| header(&credential(&buyer, &challenge, change));
        let after = |after: fn(&mut Value)| changed(Change { after: Some(after), ..Change::default() });
        let (malformed, invalid, failed) = ("malformed-credential", "invalid-challenge", "verification-failed");
        let cases = [
            ("Payment %%%".to_owned(), malformed, malformed),
            (format!("Payment {}", written(&json!([]))), malformed, malformed),
            (format!("Payment {}", "A".repeat(60_000)), malformed, malformed),
            (after(|it| it["payload"] = json!("x")), malformed, malformed),
            (after(|it| it["payload"]["type"] = json!("permit2")), malformed, malformed),
            (after(|it| it["payload"]["value"] = json!(1_000_000)), malformed, malformed),
            (after(|it| it["payload"]["signature"] = Value::Null), malformed, malformed),
            (after(|it| it["challenge"]["id"] = Value::Null), malformed, malformed),
            (after(|it| it["challenge"]["method"] = json!("stripe")), "method-unsupported", "method-unsupported"),
            (after(|it| it["challenge"]["intent"] = json!("session")), invalid, invalid),
            (after(|it| it["challenge"]["id"] = json!("x7Tg2pLqR9mKvNwY3hBcZa")), invalid, invalid),
            (after(|it| it["challenge"]["realm"] = json!("evil.example")), invalid, invalid),
            (after(|it| it["challenge"]["expires"] = json!("2099-01-01T00:00:00.000Z")), invalid, invalid),
            (after(|it| drop(it["challenge"].as_object_mut().unwrap().remove("opaque"))), invalid, invalid),
            (after(|it| {
                let mut request = read(it["challenge"]["request"].as_str().unwrap());
                request["amount"] = json!("1");
                it["challenge"]["request"] = json!(written(&request));
            }), invalid, invalid),
            (pay(&buyer, &other.offer("1", "tool", json!({})).await), invalid, invalid),
            (pay(&buyer, &theirs.offer("1", "tool", json!({})).await), invalid, invalid),
            (pay(&buyer, &project.offer("1", "another", json!({})).await), invalid, invalid),
            (pay(&buyer, &project.offer("1", "tool", json!({"realm": "evil.example"})).await), invalid, invalid),
            (pay(&buyer, &project.offer("1", "tool", json!({"externalId": "7"})).await), invalid, invalid),
            (pay(&buyer, &project.offer("1", "tool", json!({"digest": "sha-256=:x:"})).await), invalid, invalid),
            (pay(&buyer, &project.offer("2", "tool", json!({})).await), invalid, invalid),
            (pay(&buyer, &project.offer("0.999999", "tool", json!({})).await), "payment-insufficient", "payment-insufficient"),
            (changed(Change { nonce: Some(B256::repeat_byte(7)), ..Change::default() }), failed, failed),
            (after(|it| it["source"] = json!("did:pkh:eip155:8453:0x0000000000000000000000000000000000000001")), failed, failed),
            (after(|it| it["source"] = json!(it["source"].as_str().unwrap().replace("8453", "1"))), failed, failed),
            (changed(Change { spoils_signature: true, ..Change::default() }), "invalid_signature", failed),
            (changed(Change { value: Some(999_999), ..Change::default() }), "amount_mismatch", failed),
            (changed(Change { value: Some(1_000_001), ..Change::default() }), "amount_mismatch", failed),
            (changed(Change { to: Some(Address::repeat_byte(3)), ..Change::default() }), "payTo_mismatch", failed),
            (changed(Change { valid_before: Some(1), ..Change::default() }), "invalid_exact_evm_payload_authorization_valid_before", "payment-expired"),
        ];
        for (header, reason, problem) in cases {
            let answer = project.take(&header, "1", "tool", json!({})).await;
            assert_eq!((&answer["ok"], &answer["stage"], &answer["reason"]), (&json!(false), &json!("verify"), &json!(reason)), "{answer}");
            let fresh = parameters(answer["requirement"]["wwwAuthenticate"].as_str().unwrap());
            assert_ne!(fresh["id"], challenge["id"]);
            same(&answer["problem"], &json!({
                "type": format!("https://paymentauth.org/problems/{problem}"), "title": "[any]", "detail": answer["detail"],
                "status": if problem == "method-unsupported" { 400 } else { 402 }, "challengeId": fresh["id"],
            }));
            assert_eq!(answer["requirement"]["accepts"][0]["maxAmountRequired"], "1000000");
        }
        assert_eq!(world.rows("pay_settlements").await, 0);
        // Nothing of that has used the challenge up; and a credential alone is enough to be answered so.
        let paid = project.take(&pay(&buyer, &challenge), "1", "tool", Value::Null).await;
        assert_json!(paid, {"ok": true});
        assert_eq!(world.rows("pay_settlements").await, 1);
    }

    async fn a_challenge_that_is_over_is_not_paid_any_more(world: &World) {
        let owner = world.owner().await;
        let (project, buyer) = (world.project(&owner, "SELLER").await, Wallet::number(43));
        let challenge = project.offer("1", "tool", json!({})).await;
        let year = world.clock.now().seconds() + 31_536_000;
        let long = header(&credential(&buyer, &challenge, Change { valid_before: Some(year), ..Change::default() }));
        world.clock.advance(300_000_000);
        let over = project.take(&long, "1", "tool", json!({})).await;
        assert_json!(over, {"ok": false, "reason": "payment-expired", "problem": {"status": 402, "detail": "the challenge is over"}});
        assert_eq!(world.rows("pay_settlements").await, 0);
        // The money that is not there is no fault of the challenge.
        let dear = project.offer("1000.000001", "tool", json!({})).await;
        let poor = project.take(&pay(&buyer, &dear), "1000.000001", "tool", json!({})).await;
        assert_json!(poor, {"ok": false, "reason": "invalid_exact_evm_insufficient_balance", "problem": {"title": "Verification Failed"}});
    }
}
