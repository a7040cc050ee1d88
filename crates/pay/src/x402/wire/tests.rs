use proptest::prelude::*;
use serde_json::json;

use super::*;

const ASSET: &str = "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913";
const FROM: &str = "0x857b06519E91e3A54538791bDbb0E22373e36b66";
const TO: &str = "0x209693Bc6afc0C5328bA36FaF03C514EF312287C";

/// The sample of specs/x402-specification-v1.md, 5.2.
fn v1() -> Value {
    json!({"x402Version": 1, "scheme": "exact", "network": "base-sepolia", "payload": {
        "signature": format!("0x{}", "2d".repeat(65)),
        "authorization": {"from": FROM, "to": TO, "value": "10000", "validAfter": "1740672089", "validBefore": "1740672154",
            "nonce": format!("0x{}", "f3".repeat(32))}}})
}

fn v2() -> Value {
    let mut it = v1();
    it["x402Version"] = json!(2);
    it["accepted"] = json!({"scheme": "exact", "network": "eip155:84532", "amount": "10000"});
    for name in ["scheme", "network"] {
        it.as_object_mut().expect("an object").remove(name);
    }
    it
}

fn permit2() -> Value {
    let mut it = v2();
    it["payload"] = json!({"signature": format!("0x{}", "2d".repeat(65)), "permit2Authorization": {
        "permitted": {"token": ASSET, "amount": "10000"}, "from": FROM, "spender": crate::evm::abi::PROXY.to_string(),
        "nonce": "7", "deadline": "1740672154", "witness": {"to": TO, "validAfter": "1740672089"}}});
    it
}

fn wanted(version: Version) -> Value {
    let mut it = json!({"scheme": "exact", "asset": ASSET, "payTo": TO, "maxTimeoutSeconds": 60,
        "extra": {"name": "USD Coin", "version": "2", "other": [1]}});
    match version {
        Version::V1 => {
            it["network"] = json!("base");
            it["maxAmountRequired"] = json!("10000");
        }
        Version::V2 => {
            it["network"] = json!("eip155:8453");
            it["amount"] = json!("10000");
        }
    }
    it
}

fn read(json: &Value) -> Result<Payment, Refusal> {
    payment(json.to_string().as_bytes(), &Networks::known())
}

fn asked(version: Version, json: &Value) -> Result<Requirement, Refusal> {
    requirement(version, json.to_string().as_bytes(), &Networks::known())
}

#[test]
fn both_versions_say_the_same() {
    let (one, two) = (read(&v1()).expect("version 1"), read(&v2()).expect("version 2"));
    assert_eq!((one.version, two.version), (Version::V1, Version::V2));
    assert_eq!((one.chain, two.chain), (84532, 84532));
    assert_eq!((&one.method, &one.signature), (&two.method, &two.signature));
    let Method::Authorization(it) = &one.method else { panic!("an authorization") };
    assert_eq!((it.from.to_string().as_str(), it.to.to_string().as_str()), (FROM, TO));
    assert_eq!(
        (it.value, it.valid_after, it.valid_before),
        ("10000".parse().unwrap(), "1740672089".parse().unwrap(), "1740672154".parse().unwrap())
    );
    let Method::Permit(it) = read(&permit2()).expect("a permit").method else { panic!("a permit") };
    assert_eq!((it.to.to_string().as_str(), it.token.to_string().as_str()), (TO, ASSET));
    assert_eq!(
        asked(Version::V1, &wanted(Version::V1)).expect("version 1"),
        asked(Version::V2, &wanted(Version::V2)).expect("version 2")
    );
}

#[test]
fn a_refusal_says_what_is_wrong() {
    let set = |json: Value, pointer: &str, value: Value| {
        let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
        let mut json = json;
        json.pointer_mut(parent).expect("a parent").as_object_mut().expect("an object").insert(name.to_owned(), value);
        json
    };
    for (json, reason, words) in [
        (json!([]), Reason::Payload, "expected an object"),
        (json!({}), Reason::Payload, "x402Version"),
        (set(v1(), "/x402Version", json!(3)), Reason::Version, "1 or 2"),
        (set(v1(), "/x402Version", json!("1")), Reason::Version, "1 or 2"),
        (set(v1(), "/x402Version", json!(1.5)), Reason::Version, "1 or 2"),
        (set(v1(), "/x402Version", json!(2)), Reason::Payload, "accepted"),
        (set(v1(), "/scheme", json!("upto")), Reason::Scheme, "exact"),
        (set(v2(), "/accepted/scheme", json!(null)), Reason::Scheme, "exact"),
        (set(v1(), "/network", json!("eip155:84532")), Reason::Network, "base"),
        (set(v2(), "/accepted/network", json!("base")), Reason::Network, "eip155:8453"),
        (set(v1(), "/payload/signature", json!(null)), Reason::Payload, "payload.signature"),
        (set(v1(), "/payload/signature", json!("2d")), Reason::Payload, "0x"),
        (
            set(v1(), "/payload/signature", json!(format!("0x{}", "00".repeat(SIGNATURE_MAX + 1)))),
            Reason::Payload,
            "bytes",
        ),
        (set(v1(), "/payload/authorization", json!(null)), Reason::Payload, "payload.authorization"),
        (set(v2(), "/payload/authorization", json!(null)), Reason::PayloadType, "permit2Authorization"),
        (set(v1(), "/payload/authorization", json!([FROM, TO, "1", "2", "3", "4"])), Reason::Payload, "object"),
        (set(v1(), "/payload/authorization/value", json!(10000)), Reason::Payload, "expected a string"),
        (set(v1(), "/payload/authorization/value", json!("-1")), Reason::Payload, "authorization.value"),
        (set(v1(), "/payload/authorization/nonce", json!("0x00")), Reason::Payload, "authorization.nonce"),
        (set(v1(), "/payload/authorization/from", json!(FROM.replace('E', "e"))), Reason::Payload, "checksum"),
        (
            set(v2(), "/payload/permit2Authorization", permit2()["payload"]["permit2Authorization"].clone()),
            Reason::Payload,
            "which",
        ),
        (set(permit2(), "/x402Version", json!(1)), Reason::Scheme, "exact"),
        (set(permit2(), "/payload/permit2Authorization/witness", json!({})), Reason::Payload, "to"),
    ] {
        let refusal = read(&json).expect_err(&json.to_string());
        assert_eq!(refusal.reason, reason, "{json}");
        assert!(refusal.detail.contains(words), "{words} is not in {}", refusal.detail);
    }
    let wanted = wanted(Version::V2);
    for (json, reason, words) in [
        (json!("exact"), Reason::Requirements, "object"),
        (set(wanted.clone(), "/scheme", json!("upto")), Reason::Scheme, "exact"),
        (set(wanted.clone(), "/network", json!("solana:1")), Reason::Network, "eip155"),
        (set(wanted.clone(), "/amount", json!(null)), Reason::Requirements, "amount"),
        (set(wanted.clone(), "/amount", json!("1.5")), Reason::Requirements, "amount"),
        (set(wanted.clone(), "/payTo", json!("nobody")), Reason::Requirements, "payTo"),
        (set(wanted.clone(), "/asset", json!("0x")), Reason::Requirements, "asset"),
        (set(wanted.clone(), "/maxTimeoutSeconds", json!(-1)), Reason::Requirements, "invalid value"),
    ] {
        let refusal = asked(Version::V2, &json).expect_err(&json.to_string());
        assert_eq!(refusal.reason, reason, "{json}");
        assert!(refusal.detail.contains(words), "{words} is not in {}", refusal.detail);
    }
}

#[test]
fn whose_payment_it_is_is_told_where_it_can_be() {
    let mut json = v1();
    json["scheme"] = json!("upto");
    assert_eq!(read(&json).expect_err("another scheme").payer.map(|payer| payer.to_string()), Some(FROM.to_owned()));
}

#[test]
fn a_domain_is_whole_or_none() {
    let whole = wanted(Version::V1);
    assert_eq!(asked(Version::V1, &whole).expect("whole").domain, Some(("USD Coin".to_owned(), "2".to_owned())));
    for extra in [json!(null), json!({}), json!({"name": "USD Coin"}), json!({"name": "", "version": "2"})] {
        let mut json = whole.clone();
        json["extra"] = extra;
        assert_eq!(asked(Version::V1, &json).expect("readable").domain, None, "{json}");
    }
}

#[test]
fn an_offer_is_read_back() {
    let networks = Networks::known();
    for version in [Version::V1, Version::V2] {
        let requirement = asked(version, &wanted(version)).expect("readable");
        let network = networks.get(8453).expect("Base");
        let offer = Offer { requirement: &requirement, network, resource: "tool", description: "", mime_type: "" };
        assert_eq!(asked(version, &offer.render(version).expect("a name")).expect("our own"), requirement);
    }
}

/// spec/loomal.md 4.1, to the letter.
#[test]
fn the_challenge_of_version_1_is_loomals() {
    let requirement = asked(Version::V1, &wanted(Version::V1)).expect("readable");
    let networks = Networks::known();
    let network = networks.get(8453).expect("Base");
    let offer =
        Offer { requirement: &requirement, network, resource: "https://a.example/x", description: "d", mime_type: "" };
    assert_eq!(
        payment_required(Version::V1, &[offer], None).to_string(),
        format!(
            r#"{{"x402Version":1,"accepts":[{{"scheme":"exact","network":"base","maxAmountRequired":"10000","resource":"https://a.example/x","description":"d","mimeType":"","payTo":"{TO}","maxTimeoutSeconds":60,"asset":"{ASSET}","extra":{{"name":"USD Coin","version":"2"}}}}]}}"#
        )
    );
    assert_eq!(
        payment_required(Version::V2, &[offer], Some("pay")).to_string(),
        format!(
            r#"{{"x402Version":2,"error":"pay","resource":{{"url":"https://a.example/x","description":"d"}},"accepts":[{{"scheme":"exact","network":"eip155:8453","amount":"10000","payTo":"{TO}","maxTimeoutSeconds":60,"asset":"{ASSET}","extra":{{"name":"USD Coin","version":"2"}}}}]}}"#
        )
    );
}

#[test]
fn a_response_tells_what_became_of_it() {
    let paid = Response {
        error_reason: None,
        transaction: "0xab".to_owned(),
        network: "base".to_owned(),
        payer: Some(FROM.parse().expect("an address")),
        amount: Some("5".parse().expect("a number")),
    };
    assert_eq!(
        paid.render(Version::V1),
        json!({"success": true, "transaction": "0xab", "network": "base", "payer": FROM})
    );
    assert_eq!(
        paid.render(Version::V2),
        json!({"success": true, "transaction": "0xab", "network": "base", "payer": FROM, "amount": "5"})
    );
    let failed =
        Response { error_reason: Some("no".to_owned()), transaction: String::new(), payer: None, amount: None, ..paid };
    assert_eq!(
        failed.render(Version::V1),
        json!({"success": false, "errorReason": "no", "transaction": "", "network": "base"})
    );
}

proptest! {
    #[test]
    fn no_text_is_too_much(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let networks = Networks::known();
        let _ = payment(&bytes, &networks);
        let _ = requirement(Version::V1, &bytes, &networks);
    }

    /// One character of a good payment changed: read as something, or refused with a reason.
    #[test]
    fn a_changed_payment_is_read_or_refused(at in 0usize..600, byte in any::<u8>()) {
        let mut text = v2().to_string().into_bytes();
        let at = at % text.len();
        text[at] = byte;
        if let Err(refusal) = payment(&text, &Networks::known()) {
            prop_assert!(!refusal.detail.is_empty());
        }
    }
}
