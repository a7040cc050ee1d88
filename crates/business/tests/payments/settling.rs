//! Payments, refunds and what they do to invoices.

use loopd_testkit::{each_engine, json};

use crate::support::World;

each_engine! {
    async fn a_payment_is_made_and_confirmed(world: &World) {
        let invoice = world.open_invoice(5_000).await;
        let payment = world.post("payments", json!({"invoice": invoice, "method": "bank", "reference": "TX-9"})).await.expect_status(201).json();
        assert_eq!((&payment["status"], &payment["amount"], &payment["number"]), (&json!("pending"), &json!("5000"), &json!("PAY-000001")));
        let id = payment["id"].as_str().unwrap();
        let done = world.act("payments", id, "confirm", json!({})).await.expect_status(200).json();
        assert_eq!(done["status"], "succeeded");
        assert!(done["succeeded_at"].is_string());
        assert_eq!(world.get("invoices", &invoice).await["status"], "paid");
        world.act("payments", id, "confirm", json!({})).await.expect_refusal(409, "invalid_transition");
        let receipt = &world.all("receipts", &[("payment", id)]).await[0];
        assert_eq!((&receipt["amount"], &receipt["number"]), (&json!("5000"), &json!("RCP-000001")));
        let told = &world.events("payments.receipt.issued").await[0];
        assert_eq!((&told["receipt"]["number"], &told["seller"]["company"]), (&json!("RCP-000001"), &json!("001")));
        assert_eq!(told["invoice"]["total"], "5000");
    }

    async fn no_payment_exceeds_what_is_due(world: &World) {
        let invoice = world.open_invoice(5_000).await;
        world.post("payments", json!({"invoice": invoice, "amount": "5001"})).await.expect_refusal(409, "overpayment");
        world.act("invoices", &invoice, "record-payment", json!({"amount": "5001"})).await.expect_refusal(409, "overpayment");
        world.post("payments", json!({"invoice": invoice, "amount": "0"})).await.expect_field("amount", "min_value");
        world.post("payments", json!({"invoice": invoice, "amount": "5", "currency": "USD"})).await.expect_field("currency", "invalid");
        let both = [world.make("payments", json!({"invoice": invoice})).await, world.make("payments", json!({"invoice": invoice})).await];
        world.act("payments", &both[0], "confirm", json!({})).await.expect_status(200);
        world.act("payments", &both[1], "confirm", json!({})).await.expect_refusal(409, "invoice_not_open");
        world.act("payments", &both[1], "cancel", json!({})).await.expect_status(200);
        assert_eq!(world.all("payments", &[("status", "succeeded")]).await.len(), 1);
        assert_eq!(world.account("1200").await, 0);
        let draft = world.make("invoices", json!({"title": "Draft", "amount": 10})).await;
        world.post("payments", json!({"invoice": draft})).await.expect_refusal(409, "invoice_not_open");
    }

    async fn a_company_may_take_too_much(world: &World) {
        world.set_up(json!({"overpayment": true})).await;
        let invoice = world.open_invoice(1_000).await;
        world.act("invoices", &invoice, "record-payment", json!({"amount": "1500"})).await.expect_status(200);
        let paid = world.get("invoices", &invoice).await;
        assert_eq!((&paid["status"], &paid["amount_due"], &paid["amount_overpaid"]), (&json!("paid"), &json!("0"), &json!("500")));
        assert_eq!((world.account("1010").await, world.account("2100").await, world.account("1200").await), (1_500, -500, 0));
    }

    async fn simultaneous_payments_never_overpay(world: &World) {
        for round in 0..4 {
            let invoice = world.open_invoice(1_000).await;
            let body = json!({"amount": "600"});
            let race = |n: u8| {
                let (body, invoice) = (body.clone(), invoice.clone());
                async move {
                    if n < 3 {
                        return world.act("invoices", &invoice, "record-payment", body).await.status;
                    }
                    let made = world.post("payments", json!({"invoice": invoice, "amount": "600"})).await;
                    if made.status != 201 {
                        return made.status;
                    }
                    world.act("payments", &made.text_at("/id"), "confirm", json!({})).await.status
                }
            };
            let outcomes = tokio::join!(race(0), race(1), race(2), race(3), race(4), race(5));
            let outcomes = [outcomes.0, outcomes.1, outcomes.2, outcomes.3, outcomes.4, outcomes.5];
            assert_eq!(outcomes.iter().filter(|status| **status == 200).count(), 1, "round {round}: {outcomes:?}");
            assert!(outcomes.iter().all(|status| matches!(status, 200 | 409)), "round {round}: {outcomes:?}");
            let left = world.get("invoices", &invoice).await;
            assert_eq!((&left["amount_paid"], &left["amount_due"]), (&json!("600"), &json!("400")));
        }
        assert_eq!(world.account("1010").await, 4 * 600);
    }

    async fn refunds_never_exceed_the_payment(world: &World) {
        let invoice = world.open_invoice(1_000).await;
        let payment = world.make("payments", json!({"invoice": invoice})).await;
        world.act("payments", &payment, "refund", json!({"reason": "x"})).await.expect_refusal(409, "invalid_transition");
        let whole = world.act("payments", &payment, "confirm", json!({})).await.expect_status(200);
        assert_eq!(whole.at("/refund_settlement"), json!(null));
        world.act("payments", &payment, "refund", json!({"amount": "1001", "reason": "x"})).await.expect_field("amount", "max_value");
        world.act("payments", &payment, "refund", json!({"amount": "0", "reason": "x"})).await.expect_field("amount", "min_value");
        let part = world.act("payments", &payment, "refund", json!({"amount": "300", "reason": "Broken"})).await.expect_status(200).json();
        assert_eq!((&part["status"], &part["amount"], &part["amount_refunded"]), (&json!("partly_refunded"), &json!("1000"), &json!("300")));
        // nobody was sent anything, and the answer says so
        assert_eq!(part["refund_settlement"], "manual");
        assert_eq!(world.all("refunds", &[]).await[0]["settlement"], "manual");
        let owed = world.get("invoices", &invoice).await;
        assert_eq!((&owed["status"], &owed["amount_due"]), (&json!("partially_paid"), &json!("300")));
        world.act("payments", &payment, "refund", json!({"amount": "701", "reason": "x"})).await.expect_field("amount", "max_value");
        let all = world.act("payments", &payment, "refund", json!({"credit_invoice": true})).await.expect_status(200).json();
        assert_eq!(all["status"], "refunded");
        let owed = world.get("invoices", &invoice).await;
        assert_eq!((&owed["status"], &owed["amount_due"], &owed["amount_credited"]), (&json!("open"), &json!("300"), &json!("700")));
        assert_eq!(world.all("refunds", &[("payment", &payment)]).await.len(), 2);
        assert_eq!((world.account("1010").await, world.account("1200").await), (0, 300));
    }

    async fn simultaneous_refunds_never_give_back_more(world: &World) {
        let payment = world.make("payments", json!({"amount": "1000"})).await;
        world.act("payments", &payment, "confirm", json!({})).await.expect_status(200);
        let refund = || world.act("payments", &payment, "refund", json!({"amount": "600", "reason": "x"}));
        let (a, b, c) = tokio::join!(refund(), refund(), refund());
        assert_eq!([a.status, b.status, c.status].iter().filter(|status| **status == 200).count(), 1);
        assert_eq!(world.get("payments", &payment).await["amount_refunded"], "600");
        assert_eq!(world.account("2100").await, -400);
    }

    async fn money_on_account_is_the_customer_s_credit(world: &World) {
        world.post("payments", json!({"method": "cash"})).await.expect_field("amount", "required");
        let payment = world.make("payments", json!({"amount": "2500"})).await;
        world.act("payments", &payment, "confirm", json!({})).await.expect_status(200);
        assert_eq!((world.account("1010").await, world.account("2100").await), (2_500, -2_500));
        world.act("payments", &payment, "refund", json!({"reason": "x", "credit_invoice": true})).await.expect_field("credit_invoice", "invalid");
        world.owner.delete(&format!("/api/v1/payments/payments/{payment}/")).await.expect_refusal(409, "payment_not_pending");
        let path = format!("/api/v1/payments/payments/{payment}/");
        world.owner.patch(&path).json(&json!({"amount": "1"})).await.expect_refusal(409, "payment_not_pending");
    }

    async fn who_has_documents_stays(world: &World) {
        let customer = world.make("customers", json!({"name": "Ann"})).await;
        let path = format!("/api/v1/payments/customers/{customer}/");
        let invoice = world.make("invoices", json!({"title": "Work", "amount": 10, "customer": customer})).await;
        world.owner.delete(&path).await.expect_refusal(409, "customer_in_use");
        world.owner.delete(&format!("/api/v1/payments/invoices/{invoice}/")).await.expect_status(204);
        world.owner.delete(&path).await.expect_status(204);
    }

    async fn a_document_of_an_archived_workspace_can_still_be_paid(world: &World) {
        let branch = world.owner.post("/api/v1/workspaces/").json(&json!({"name": "Branch"})).await.expect_status(201).text_at("/id");
        let invoice = world.make("invoices", json!({"title": "Work", "amount": 10, "workspace": branch})).await;
        world.act("invoices", &invoice, "finalize", json!({})).await.expect_status(200);
        let id = world.momo(&invoice, "airtel_money", "250730000010").await;
        world.act("payments", &id, "initiate", json!({})).await.expect_status(200);
        world.owner.post(&format!("/api/v1/workspaces/{branch}/archive/")).json(&json!({})).await.expect_status(200);
        world.clock.advance(2 * loopd_types::MINUTE_US);
        world.work().await;
        assert_eq!(world.get("invoices", &invoice).await["status"], "paid");
    }

    async fn the_same_key_pays_once(world: &World) {
        let invoice = world.open_invoice(1_000).await;
        let pay = || {
            let path = format!("/api/v1/payments/invoices/{invoice}/record-payment/");
            world.owner.post(&path).json(&json!({"amount": "400"})).header("idempotency-key", "pay-1")
        };
        let first = pay().await.expect_status(200);
        let again = pay().await.expect_status(200);
        assert_eq!(first.body, again.body);
        assert_eq!(world.get("invoices", &invoice).await["amount_paid"], "400");
    }
}
