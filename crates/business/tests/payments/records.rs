//! Links, payouts, receipts, accounts: what stands around invoices and payments.

use loopd_testkit::{each_engine, json};
use loopd_types::DAY_US;

use crate::support::World;

each_engine! {
    async fn a_link_shows_what_to_pay_and_nothing_else(world: &World) {
        let invoice = world.open_invoice(4_000).await;
        let link = world.post("payment-links", json!({"title": "Pay us", "invoice": invoice})).await.expect_status(201).json();
        let (id, token) = (link["id"].as_str().unwrap(), link["token"].as_str().unwrap());
        assert!(token.len() >= 32);
        let path = format!("/api/v1/payments/public/001/payment-links/{token}/");
        let page = world.stranger.get(&path).await.expect_status(200).json();
        assert_eq!((&page["amount"], &page["currency"], &page["company_name"]), (&json!("4000"), &json!("RWF"), &json!("owner Ltd")));
        assert_eq!(page["is_paid"], false);
        world.act("invoices", &invoice, "record-payment", json!({"amount": "1000"})).await.expect_status(200);
        assert_eq!(world.stranger.get(&path).await.json()["amount"], "3000");
        world.act("invoices", &invoice, "mark-paid", json!({})).await.expect_status(200);
        assert_eq!(world.stranger.get(&path).await.json()["is_paid"], true);
        world.act("payment-links", id, "deactivate", json!({})).await.expect_status(200);
        world.stranger.get(&path).await.expect_refusal(404, "not_found");
        world.act("payment-links", id, "activate", json!({})).await.expect_status(200);
        world.stranger.get(&path).await.expect_status(200);
        world.stranger.get(&path.replace("001", "777")).await.expect_refusal(404, "not_found");
        world.stranger.get("/api/v1/payments/public/001/payment-links/x/").await.expect_refusal(404, "not_found");
    }

    async fn a_link_ends(world: &World) {
        world.post("payment-links", json!({"title": "Nothing"})).await.expect_field("amount", "required");
        let body = json!({"title": "Gift", "amount": "500", "expires_at": "2026-06-23T10:00:00Z"});
        let link = world.post("payment-links", body).await.expect_status(201).json();
        let path = format!("/api/v1/payments/public/001/payment-links/{}/", link["token"].as_str().unwrap());
        assert_eq!(world.stranger.get(&path).await.expect_status(200).json()["amount"], "500");
        world.clock.advance(DAY_US);
        world.stranger.get(&path).await.expect_refusal(404, "not_found");
    }

    async fn whoever_holds_a_link_can_pay_by_it(world: &World) {
        let invoice = world.open_invoice(4_000).await;
        let link = world.post("payment-links", json!({"title": "Pay us", "invoice": invoice})).await.expect_status(201).json();
        let path = format!("/api/v1/payments/public/001/payment-links/{}/pay/", link["token"].as_str().unwrap());
        let pay = |body| world.stranger.post(&path).json(&body);
        pay(json!({})).await.expect_field("payer_phone", "required");
        pay(json!({"payer_phone": "250730000010", "method": "cash"})).await.expect_field("method", "invalid_choice");
        let body = json!({"payer_phone": "+250730000010", "method": "airtel_money"});
        let asked = pay(body.clone()).header("idempotency-key", "k1").await.expect_status(201);
        assert_eq!((asked.at("/amount"), asked.at("/status"), asked.at("/sandbox")), (json!("4000"), json!("pending"), json!(true)));
        assert_eq!(pay(body.clone()).header("idempotency-key", "k1").await.expect_status(201).body, asked.body);
        pay(body.clone()).await.expect_refusal(409, "payment_in_progress");
        world.clock.advance(2 * loopd_types::MINUTE_US);
        world.work().await;
        assert_eq!(world.get("invoices", &invoice).await["status"], "paid");
        pay(body.clone()).await.expect_refusal(409, "invoice_not_open");
        assert_eq!(world.all("payments", &[]).await.len(), 1);
        world.stranger.post("/api/v1/payments/public/001/payment-links/x/pay/").json(&body).await.expect_refusal(404, "not_found");
        world.stranger.post(&path.replace("001", "777")).json(&body).await.expect_refusal(404, "not_found");
    }

    async fn a_key_may_do_what_its_scopes_say(world: &World) {
        let invoice = world.open_invoice(1_000).await;
        let payment = world.make("payments", json!({"invoice": invoice})).await;
        let key = |scopes: serde_json::Value| async move {
            let made = world.owner.post("/api/v1/internal-api-keys/").json(&json!({"name": "Server", "scopes": scopes})).await.expect_status(201);
            world.stranger.with_key(&made.text_at("/key")).company("001")
        };
        let viewer = key(json!(["payments.*.view"])).await;
        viewer.get(&format!("/api/v1/payments/invoices/{invoice}/")).await.expect_status(200);
        viewer.get("/api/v1/payments/ledger/trial-balance/").await.expect_status(200);
        for path in [format!("payments/{payment}/initiate"), format!("payments/{payment}/confirm"), format!("invoices/{invoice}/void"), format!("invoices/{invoice}/record-payment")] {
            viewer.post(&format!("/api/v1/payments/{path}/")).json(&json!({})).await.expect_refusal(403, "insufficient_scope");
        }
        let clerk = key(json!(["payments.*.view", "payments.*.update"])).await;
        clerk.post(&format!("/api/v1/payments/payments/{payment}/confirm/")).json(&json!({})).await.expect_status(200);
        clerk.post(&format!("/api/v1/payments/payments/{payment}/refund/")).json(&json!({"reason": "x"})).await.expect_refusal(403, "insufficient_scope");
        let blind = key(json!(["payments.invoices.view"])).await;
        blind.get("/api/v1/payments/ledger/trial-balance/").await.expect_refusal(403, "insufficient_scope");
    }

    async fn a_payout_is_submitted_approved_and_sent(world: &World) {
        let body = json!({"title": "Rent", "amount": "9000", "method": "bank", "beneficiary_name": "Landlord"});
        let id = world.make("payouts", body).await;
        world.act("payouts", &id, "send", json!({})).await.expect_refusal(409, "invalid_transition");
        world.act("payouts", &id, "submit", json!({})).await.expect_status(200);
        let path = format!("/api/v1/payments/payouts/{id}/");
        world.owner.patch(&path).json(&json!({"amount": "1"})).await.expect_refusal(409, "payout_not_draft");
        world.set_up(json!({"four_eyes": true})).await;
        world.act("payouts", &id, "approve", json!({})).await.expect_refusal(403, "four_eyes");
        world.set_up(json!({})).await;
        world.act("payouts", &id, "approve", json!({})).await.expect_status(200);
        let sent = world.act("payouts", &id, "send", json!({"reference": "TR-1"})).await.expect_status(200).json();
        assert_eq!((&sent["status"], &sent["reference"]), (&json!("sent"), &json!("TR-1")));
        assert_eq!((world.account("5100").await, world.account("1050").await), (9_000, -9_000));
        world.post("payouts", json!({"amount": "0"})).await.expect_field("amount", "min_value");
    }

    async fn a_receipt_is_printed_again_and_made_fiscal(world: &World) {
        let invoice = world.open_invoice(100).await;
        world.act("invoices", &invoice, "mark-paid", json!({})).await.expect_status(200);
        let id = world.all("receipts", &[]).await[0]["id"].as_str().unwrap().to_owned();
        let again = world.act("receipts", &id, "reprint", json!({})).await.expect_status(200).json();
        assert_eq!(again["copies"], 1);
        let fiscal = world.act("receipts", &id, "fiscalize", json!({"fiscal_number": "EBM-77"})).await.expect_status(200).json();
        assert_eq!((&fiscal["status"], &fiscal["fiscal_number"]), (&json!("fiscalized"), &json!("EBM-77")));
        world.act("receipts", &id, "fiscalize", json!({"fiscal_number": "EBM-78"})).await.expect_refusal(409, "invalid_transition");
    }

    async fn nobody_writes_the_ledger_by_hand(world: &World) {
        let invoice = world.open_invoice(100).await;
        for resource in ["ledger-entries", "accounts", "refunds", "credit-notes", "receipts"] {
            world.post(resource, json!({"title": "x"})).await.expect_refusal(405, "method_not_allowed");
        }
        let entry = world.all("ledger-entries", &[("invoice", &invoice)]).await[0]["id"].as_str().unwrap().to_owned();
        let path = format!("/api/v1/payments/ledger-entries/{entry}/");
        world.owner.patch(&path).json(&json!({"debit": "1"})).await.expect_refusal(405, "method_not_allowed");
        world.owner.delete(&path).await.expect_refusal(405, "method_not_allowed");
    }

    async fn the_trial_balance_looks_back(world: &World) {
        world.open_invoice(100).await;
        world.clock.advance(DAY_US);
        world.open_invoice(50).await;
        let at = |moment: &str| {
            let moment = moment.to_owned();
            async move { world.owner.get("/api/v1/payments/ledger/trial-balance/").query("as_of", &moment).query("currency", "RWF").await.expect_status(200).json() }
        };
        assert_eq!(at("2026-06-22T12:00:00Z").await["currencies"][0]["debit"], "100");
        assert_eq!(at("2026-06-24T00:00:00Z").await["currencies"][0]["debit"], "150");
        assert_eq!(at("2026-06-01T00:00:00Z").await["accounts"], json!([]));
        world.owner.get("/api/v1/payments/ledger/trial-balance/").query("nonsense", "1").await.expect_refusal(400, "validation_error");
    }
}
