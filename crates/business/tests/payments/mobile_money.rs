//! Mobile money: asked once, found out by callback or by asking, never counted twice.

use loopd_testkit::{each_engine, json};
use loopd_types::{HOUR_US, MINUTE_US, Uuid};
use serde_json::Value as Json;

use crate::support::World;

const PAYER: &str = "250788123456";

/// What a provider would send back for this payment.
fn callback_of(payment: &Json) -> Json {
    json!({"externalId": format!("001-{}", payment["provider_ref"].as_str().unwrap()), "status": "SUCCESSFUL"})
}

each_engine! {
    async fn mtn_is_asked_by_our_reference_and_its_callback_settles_once(world: &World) {
        let invoice = world.open_invoice(25_000).await;
        let id = world.momo(&invoice, "mtn_momo", "+250788123456").await;
        let asked = world.act("payments", &id, "initiate", json!({})).await.expect_status(200).json();
        assert_eq!((&asked["status"], &asked["provider"], &asked["sandbox"]), (&json!("pending"), &json!("mtn-momo"), &json!(false)));
        let reference = asked["provider_ref"].as_str().unwrap().to_owned();
        assert_eq!(Uuid::parse_str(&reference).unwrap().get_version_num(), 4);
        let (body, head) = world.mtn.see(|inside| inside.requests[&reference].clone());
        assert_eq!((&body["amount"], &body["currency"]), (&json!("25000"), &json!("RWF")));
        assert_eq!(body["payer"], json!({"partyIdType": "MSISDN", "partyId": PAYER}));
        assert!(head.to_lowercase().contains("x-callback-url: https://loop.example.com/api/v1/payments/providers/mtn-momo/callback/"), "{head}");
        // a callback that claims success is not believed while MTN says otherwise
        world.callback("mtn-momo", callback_of(&asked)).await.expect_status(200);
        assert_eq!(world.get("payments", &id).await["status"], "pending");
        world.mtn.set(|inside| inside.status = json!({"status": "SUCCESSFUL", "financialTransactionId": "363440463"}));
        for _ in 0..3 {
            world.callback("mtn-momo", callback_of(&asked)).await.expect_status(200);
        }
        let race = tokio::join!(world.callback("mtn-momo", callback_of(&asked)), world.callback("mtn-momo", callback_of(&asked)));
        assert_eq!((race.0.status, race.1.status), (200, 200));
        let paid = world.get("payments", &id).await;
        assert_eq!((&paid["status"], &paid["provider_transaction"]), (&json!("succeeded"), &json!("363440463")));
        assert_eq!(world.get("invoices", &invoice).await["amount_paid"], "25000");
        assert_eq!(world.all("receipts", &[]).await.len(), 1);
        assert_eq!((world.account("1020").await, world.account("1200").await), (25_000, 0));
        assert_eq!(world.mtn.see(|inside| inside.tokens_given), 1, "one token serves many calls");
    }

    async fn mtn_calls_back_by_put_as_well(world: &World) {
        let invoice = world.open_invoice(700).await;
        let id = world.momo(&invoice, "mtn_momo", PAYER).await;
        let asked = world.act("payments", &id, "initiate", json!({})).await.expect_status(200).json();
        world.mtn.set(|inside| inside.status = json!({"status": "SUCCESSFUL", "financialTransactionId": "5"}));
        let put = |body: Json| world.stranger.put("/api/v1/payments/providers/mtn-momo/callback/").json(&body);
        put(json!({"externalId": "001"})).await.expect_refusal(400, "invalid_callback");
        let (first, second) = tokio::join!(async { put(callback_of(&asked)).await }, world.callback("mtn-momo", callback_of(&asked)));
        assert_eq!((first.status, second.status), (200, 200), "{} {}", first.text(), second.text());
        assert_eq!(world.get("payments", &id).await["status"], "succeeded");
        assert_eq!((world.account("1020").await, world.all("receipts", &[]).await.len()), (700, 1));
    }

    async fn callbacks_of_nobody_s_payment_change_nothing(world: &World) {
        for body in [json!({}), json!({"externalId": 7}), json!({"externalId": "001"}), json!({"externalId": "abc-def"})] {
            world.callback("mtn-momo", body).await.expect_refusal(400, "invalid_callback");
        }
        let nobody = format!("001-{}", Uuid::from_bytes([7; 16]));
        world.callback("mtn-momo", json!({"externalId": nobody})).await.expect_refusal(404, "not_found");
        world.callback("mtn-momo", json!({"externalId": nobody.replace("001-", "777-")})).await.expect_refusal(404, "not_found");
        world.callback("nobody", json!({"externalId": nobody})).await.expect_refusal(404, "not_found");
        // a payment of one provider cannot be told of by another
        let invoice = world.open_invoice(100).await;
        let id = world.momo(&invoice, "airtel_money", PAYER).await;
        let asked = world.act("payments", &id, "initiate", json!({})).await.expect_status(200).json();
        world.callback("mtn-momo", callback_of(&asked)).await.expect_refusal(404, "not_found");
        assert_eq!(world.get("payments", &id).await["status"], "pending");
    }

    async fn an_unknown_outcome_stays_pending_until_it_is_known(world: &World) {
        let invoice = world.open_invoice(900).await;
        let id = world.momo(&invoice, "mtn_momo", PAYER).await;
        world.mtn.set(|inside| inside.loses_answers = true);
        let asked = world.act("payments", &id, "initiate", json!({})).await.expect_status(200).json();
        assert_eq!(asked["status"], "pending");
        world.act("payments", &id, "initiate", json!({})).await.expect_refusal(409, "already_initiated");
        world.act("payments", &id, "confirm", json!({})).await.expect_refusal(409, "provider_decides");
        world.act("payments", &id, "cancel", json!({})).await.expect_refusal(409, "provider_decides");
        world.clock.advance(MINUTE_US);
        assert_eq!(world.work().await, 1);
        assert_eq!(world.get("payments", &id).await["status"], "pending");
        world.mtn.set(|inside| {
            inside.loses_answers = false;
            inside.status = json!({"status": "SUCCESSFUL", "financialTransactionId": "1"});
        });
        world.clock.advance(2 * MINUTE_US);
        world.work().await;
        assert_eq!(world.get("payments", &id).await["status"], "succeeded");
        assert_eq!(world.get("invoices", &invoice).await["status"], "paid");
        world.clock.advance(24 * HOUR_US);
        assert_eq!(world.work().await, 0, "a decided payment is asked for no more");
    }

    async fn a_success_over_another_amount_is_none(world: &World) {
        let invoice = world.open_invoice(900).await;
        let id = world.momo(&invoice, "mtn_momo", PAYER).await;
        let asked = world.act("payments", &id, "initiate", json!({})).await.expect_status(200).json();
        world.mtn.set(|inside| inside.status = json!({"status": "SUCCESSFUL", "amount": "9"}));
        world.callback("mtn-momo", callback_of(&asked)).await.expect_refusal(503, "provider_unavailable");
        assert_eq!(world.get("payments", &id).await["status"], "pending");
    }

    async fn what_never_left_can_be_tried_again(world: &World) {
        let invoice = world.open_invoice(900).await;
        let id = world.momo(&invoice, "mtn_momo", PAYER).await;
        world.mtn.set(|inside| inside.is_closed = true);
        let ask = || {
            let path = format!("/api/v1/payments/payments/{id}/initiate/");
            world.owner.post(&path).json(&json!({})).header("idempotency-key", "ask-1")
        };
        ask().await.expect_refusal(503, "provider_unavailable");
        let back = world.get("payments", &id).await;
        assert_eq!((&back["status"], &back["provider_ref"], &back["initiated_at"]), (&json!("pending"), &Json::Null, &Json::Null));
        world.mtn.set(|inside| inside.is_closed = false);
        let first = ask().await.expect_status(200);
        let again = ask().await.expect_status(200);
        assert_eq!(first.body, again.body, "the same key asks once");
        assert_eq!(world.mtn.see(|inside| inside.requests.len()), 1);
    }

    async fn a_provider_that_asks_to_wait_has_refused_nothing(world: &World) {
        let invoice = world.open_invoice(900).await;
        let id = world.momo(&invoice, "mtn_momo", PAYER).await;
        world.mtn.set(|inside| inside.is_busy = true);
        world.act("payments", &id, "initiate", json!({})).await.expect_refusal(503, "provider_unavailable");
        assert_eq!(world.get("payments", &id).await["status"], "pending");
        world.mtn.set(|inside| inside.is_busy = false);
        world.act("payments", &id, "initiate", json!({})).await.expect_status(200);
        assert_eq!(world.mtn.see(|inside| inside.requests.len()), 1);
    }

    async fn a_refusal_fails_the_payment_and_frees_the_invoice(world: &World) {
        let invoice = world.open_invoice(900).await;
        let id = world.momo(&invoice, "mtn_momo", PAYER).await;
        world.mtn.set(|inside| inside.refuses = Some("PAYER_NOT_FOUND"));
        let failed = world.act("payments", &id, "initiate", json!({})).await.expect_status(200).json();
        assert_eq!((&failed["status"], &failed["failure_code"]), (&json!("failed"), &json!("payer_not_found")));
        world.act("invoices", &invoice, "mark-paid", json!({})).await.expect_status(200);
    }

    async fn money_under_way_is_not_asked_for_twice(world: &World) {
        let invoice = world.open_invoice(1_000).await;
        let first = world.momo(&invoice, "airtel_money", "250730000003").await;
        let second = world.momo(&invoice, "airtel_money", PAYER).await;
        world.act("payments", &first, "initiate", json!({})).await.expect_status(200);
        world.act("payments", &second, "initiate", json!({})).await.expect_refusal(409, "payment_in_progress");
        for (action, body) in [("record-payment", json!({})), ("mark-paid", json!({})), ("void", json!({"reason": "x"})), ("write-off", json!({"reason": "x"})), ("credit-note", json!({"reason": "x"}))] {
            world.act("invoices", &invoice, action, body).await.expect_refusal(409, "payment_in_progress");
        }
        let other = world.open_invoice(1_000).await;
        let racing = [world.momo(&other, "airtel_money", PAYER).await, world.momo(&other, "airtel_money", PAYER).await];
        let outcomes = tokio::join!(world.act("payments", &racing[0], "initiate", json!({})), world.act("payments", &racing[1], "initiate", json!({})));
        let mut statuses = [outcomes.0.status, outcomes.1.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409]);
    }

    async fn the_sandbox_plays_every_ending(world: &World) {
        for (phone, status, code) in [("250730000010", "succeeded", None), ("250730000001", "failed", Some("not_enough_funds")), ("250730000002", "expired", Some("expired")), ("250730000003", "pending", None), ("250730000004", "succeeded", None), ("250730000005", "failed", Some("payer_not_found")), ("250730000006", "failed", Some("not_received"))] {
            let invoice = world.open_invoice(100).await;
            let id = world.momo(&invoice, "airtel_money", phone).await;
            let asked = world.act("payments", &id, "initiate", json!({})).await.expect_status(200).json();
            assert_eq!(asked["sandbox"], true);
            for _ in 0..10 {
                world.clock.advance(2 * MINUTE_US);
                world.work().await;
            }
            let ended = world.get("payments", &id).await;
            assert_eq!((&ended["status"], &ended["failure_code"]), (&json!(status), &json!(code)), "{phone}");
            let paid = world.get("invoices", &invoice).await;
            assert_eq!(paid["status"] == "paid", status == "succeeded", "{phone}");
        }
    }

    async fn money_taken_after_a_failure_is_not_lost(world: &World) {
        let invoice = world.open_invoice(500).await;
        let id = world.momo(&invoice, "mtn_momo", PAYER).await;
        world.mtn.set(|inside| inside.status = json!({"status": "FAILED", "reason": "EXPIRED"}));
        let asked = world.act("payments", &id, "initiate", json!({})).await.expect_status(200).json();
        world.callback("mtn-momo", callback_of(&asked)).await.expect_status(200);
        assert_eq!(world.get("payments", &id).await["status"], "expired");
        world.act("invoices", &invoice, "mark-paid", json!({})).await.expect_status(200);
        world.mtn.set(|inside| inside.status = json!({"status": "SUCCESSFUL", "financialTransactionId": "9"}));
        for _ in 0..2 {
            world.callback("mtn-momo", callback_of(&asked)).await.expect_status(200);
        }
        let late = world.get("payments", &id).await;
        assert_eq!((&late["status"], &late["failure_code"]), (&json!("succeeded"), &Json::Null));
        let paid = world.get("invoices", &invoice).await;
        assert_eq!((&paid["status"], &paid["amount_paid"], &paid["amount_overpaid"]), (&json!("paid"), &json!("1000"), &json!("500")));
        assert_eq!((world.account("2100").await, world.account("1020").await), (-500, 500));
    }

    async fn asking_the_payer_is_offered_while_it_can_be_done_and_else_says_why_not(world: &World) {
        let invoice = world.open_invoice(100).await;
        let offered = async |id: &str| world.owner.get(&format!("/api/v1/payments/payments/{id}/actions/")).await.expect_status(200).json();
        let named = |list: &Json, name: &str| list.as_array().unwrap().iter().find(|entry| entry["name"] == name).cloned();
        let id = world.momo(&invoice, "mtn_momo", PAYER).await;
        let before = offered(&id).await;
        let initiate = named(&before["actions"], "initiate").expect("a pending mobile payment can be initiated");
        assert!(initiate["to"] == json!([]) && initiate["input"]["properties"]["payer_phone"].is_object(), "{initiate}");
        assert!(named(&before["actions"], "confirm").is_some() && named(&before["unavailable"], "initiate").is_none(), "{before}");
        let refund = named(&before["unavailable"], "refund").expect("nothing is paid yet");
        assert_eq!((&refund["code"], &refund["reason"]), (&json!("invalid_transition"), &json!("The payment cannot refund while it is pending.")));
        world.act("payments", &id, "initiate", json!({})).await.expect_status(200);
        let after = offered(&id).await;
        assert!(named(&after["actions"], "initiate").is_none(), "{after}");
        let refused = json!({"name": "initiate", "code": "already_initiated", "reason": "The provider was already asked for this payment."});
        assert_eq!(named(&after["unavailable"], "initiate"), Some(refused));
        let cash = world.make("payments", json!({"invoice": invoice})).await;
        let refused = json!({"name": "initiate", "code": "invalid", "reason": "Only mobile money can be asked for; confirm other payments by hand."});
        assert_eq!(named(&offered(&cash).await["unavailable"], "initiate"), Some(refused));
    }

    async fn only_mobile_money_can_be_asked_for(world: &World) {
        let invoice = world.open_invoice(100).await;
        let cash = world.make("payments", json!({"invoice": invoice})).await;
        world.act("payments", &cash, "initiate", json!({})).await.expect_field("method", "invalid");
        let no_number = world.make("payments", json!({"invoice": invoice, "method": "mtn_momo"})).await;
        world.act("payments", &no_number, "initiate", json!({})).await.expect_field("payer_phone", "required");
        world.act("payments", &no_number, "initiate", json!({"payer_phone": "what"})).await.expect_field("payer_phone", "invalid");
        world.act("payments", &no_number, "initiate", json!({"payer_phone": PAYER})).await.expect_status(200);
        let path = format!("/api/v1/payments/payments/{cash}/initiate/");
        world.stranger.post(&path).json(&json!({})).await.expect_refusal(401, "not_authenticated");
    }
}
