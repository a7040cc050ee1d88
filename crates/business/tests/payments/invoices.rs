//! The life of an invoice.

use loopd_testkit::{each_engine, json};
use loopd_types::DAY_US;

use crate::support::{World, register};

each_engine! {
    async fn the_portal_s_example_has_its_total(world: &World) {
        let body = json!({"title": "Invoice 001", "data": {"amount": 25000, "currency": "RWF"}});
        let invoice = world.post("invoices", body.clone()).await.expect_status(201).json();
        assert_eq!(invoice["number"], "INV-000001");
        assert_eq!((&invoice["status"], &invoice["currency"]), (&json!("draft"), &json!("RWF")));
        assert_eq!((&invoice["total"], &invoice["amount_due"]), (&json!("25000"), &json!("25000")));
        assert_eq!(invoice["data"], body["data"]);
    }

    async fn an_invoice_is_issued_paid_in_parts_and_done(world: &World) {
        let id = world.make("invoices", json!({"title": "Work", "lines": [{"unit_price": "1000", "qty": "10", "tax_rate": "18"}]})).await;
        let open = world.act("invoices", &id, "finalize", json!({})).await.expect_status(200).json();
        assert_eq!((&open["status"], &open["total"]), (&json!("open"), &json!("11800")));
        assert!(open["issued_at"].is_string());
        assert_eq!((world.account("1200").await, world.account("4000").await, world.account("2200").await), (11_800, -10_000, -1_800));
        world.act("invoices", &id, "send", json!({})).await.expect_status(200);
        assert_eq!(world.events("payments.invoices.sent").await.len(), 1);
        let part = world.act("invoices", &id, "record-payment", json!({"amount": "1800", "method": "cash"})).await.expect_status(200).json();
        assert_eq!((&part["status"], &part["amount_due"], &part["amount_paid"]), (&json!("partially_paid"), &json!("10000"), &json!("1800")));
        assert_eq!(part["amount"], json!(null), "an action's amount is not the invoice's");
        let paid = world.act("invoices", &id, "record-payment", json!({"method": "bank", "reference": "TX-1"})).await.expect_status(200).json();
        assert_eq!((&paid["status"], &paid["amount_due"]), (&json!("paid"), &json!("0")));
        assert!(paid["paid_at"].is_string());
        assert_eq!((world.account("1010").await, world.account("1050").await, world.account("1200").await), (1_800, 10_000, 0));
        assert_eq!(world.events("payments.invoices.paid").await.len(), 1);
        assert_eq!(world.all("receipts", &[]).await.len(), 2);
        world.act("invoices", &id, "record-payment", json!({})).await.expect_refusal(409, "invalid_transition");
    }

    async fn nothing_can_be_issued_that_asks_for_nothing(world: &World) {
        let id = world.make("invoices", json!({"title": "Empty"})).await;
        world.act("invoices", &id, "finalize", json!({})).await.expect_field("lines", "required");
        assert_eq!(world.get("invoices", &id).await["status"], "draft");
    }

    async fn an_issued_invoice_keeps_its_figures(world: &World) {
        let id = world.make("invoices", json!({"title": "Work", "lines": [{"unit_price": "1000"}]})).await;
        let path = format!("/api/v1/payments/invoices/{id}/");
        world.owner.patch(&path).json(&json!({"lines": [{"unit_price": "2000"}]})).await.expect_status(200);
        world.act("invoices", &id, "finalize", json!({})).await.expect_status(200);
        for body in [json!({"lines": [{"unit_price": "1"}]}), json!({"lines": []}), json!({"currency": "USD"}), json!({"amount": "5"}), json!({"data": {"amount": 5}})] {
            world.owner.patch(&path).json(&body).await.expect_refusal(409, "invoice_not_draft");
        }
        world.owner.patch(&path).json(&json!({"status": "paid"})).await.expect_field("status", "read_only");
        let kept = world.owner.patch(&path).json(&json!({"notes": "Thank you", "amount_due": "0"})).await.expect_status(200).json();
        assert_eq!((&kept["total"], &kept["amount_due"], &kept["notes"]), (&json!("2000"), &json!("2000"), &json!("Thank you")));
        world.owner.delete(&path).await.expect_refusal(409, "invoice_not_draft");
    }

    async fn voiding_reverses_what_was_posted(world: &World) {
        let id = world.make("invoices", json!({"title": "Work", "lines": [{"unit_price": "1000", "tax_rate": "18"}]})).await;
        world.act("invoices", &id, "finalize", json!({})).await.expect_status(200);
        world.act("invoices", &id, "void", json!({})).await.expect_field("reason", "required");
        let void = world.act("invoices", &id, "void", json!({"reason": "Twice"})).await.expect_status(200).json();
        assert_eq!((&void["status"], &void["amount_due"], &void["void_reason"]), (&json!("void"), &json!("0"), &json!("Twice")));
        assert!(world.trial_balance().await.iter().all(|row| row.2 == 0));
        let entries = world.all("ledger-entries", &[("invoice", &id)]).await;
        assert_eq!(entries.len(), 6, "opposite entries, none removed");
        let paid = world.open_invoice(500).await;
        world.act("invoices", &paid, "mark-paid", json!({})).await.expect_status(200);
        world.act("invoices", &paid, "void", json!({"reason": "x"})).await.expect_refusal(409, "invalid_transition");
        let partly = world.open_invoice(500).await;
        world.act("invoices", &partly, "record-payment", json!({"amount": "1"})).await.expect_status(200);
        world.act("invoices", &partly, "void", json!({"reason": "x"})).await.expect_refusal(409, "invalid_transition");
    }

    async fn what_will_not_come_is_written_off(world: &World) {
        let id = world.open_invoice(900).await;
        world.act("invoices", &id, "record-payment", json!({"amount": "400"})).await.expect_status(200);
        let gone = world.act("invoices", &id, "write-off", json!({"reason": "Bankrupt"})).await.expect_status(200).json();
        assert_eq!((&gone["status"], &gone["amount_due"], &gone["amount_written_off"]), (&json!("uncollectible"), &json!("0"), &json!("500")));
        assert_eq!((world.account("5900").await, world.account("1200").await), (500, 0));
    }

    async fn a_credit_note_takes_off_and_gives_credit(world: &World) {
        let id = world.make("invoices", json!({"title": "Work", "lines": [{"unit_price": "1000", "tax_rate": "18"}]})).await;
        world.act("invoices", &id, "finalize", json!({})).await.expect_status(200);
        let less = world.act("invoices", &id, "credit-note", json!({"amount": "180", "reason": "Late"})).await.expect_status(200).json();
        assert_eq!((&less["status"], &less["amount_due"], &less["amount_credited"]), (&json!("open"), &json!("1000"), &json!("180")));
        world.act("invoices", &id, "mark-paid", json!({})).await.expect_status(200);
        let note = world.act("invoices", &id, "credit-note", json!({"reason": "Returned"})).await.expect_status(200).json();
        assert_eq!((&note["status"], &note["amount_overpaid"]), (&json!("paid"), &json!("1000")));
        // all of the tax is taken back with the last of it
        assert_eq!((world.account("2200").await, world.account("2100").await), (0, -1_000));
        world.act("invoices", &id, "credit-note", json!({"amount": "1", "reason": "More"})).await.expect_field("amount", "max_value");
        assert_eq!(world.all("credit-notes", &[("invoice", &id)]).await.len(), 2);
    }

    async fn an_invoice_is_overdue_when_its_day_is_over(world: &World) {
        let customer = world.make("customers", json!({"name": "Ann", "payment_terms_days": 2})).await;
        let id = world.make("invoices", json!({"title": "Work", "amount": 100, "customer": customer})).await;
        let open = world.act("invoices", &id, "finalize", json!({})).await.expect_status(200).json();
        assert_eq!((&open["due_date"], &open["is_overdue"]), (&json!("2026-06-24"), &json!(false)));
        world.clock.advance(2 * DAY_US);
        world.work().await;
        assert_eq!(world.get("invoices", &id).await["is_overdue"], false);
        world.clock.advance(DAY_US);
        world.work().await;
        assert_eq!(world.all("invoices", &[("is_overdue", "true")]).await.len(), 1);
        assert_eq!(world.events("payments.invoices.overdue").await.len(), 1);
        world.act("invoices", &id, "mark-paid", json!({})).await.expect_status(200);
        assert_eq!(world.get("invoices", &id).await["is_overdue"], false);
    }

    async fn another_company_sees_none_of_it(world: &World) {
        let id = world.open_invoice(700).await;
        let other = register(&world.owner, "other").await;
        let path = format!("/api/v1/payments/invoices/{id}/");
        other.get(&path).await.expect_refusal(404, "not_found");
        other.post(&format!("{path}void/")).json(&json!({"reason": "x"})).await.expect_refusal(404, "not_found");
        other.post("/api/v1/payments/payments/").json(&json!({"invoice": id})).await.expect_field("invoice", "does_not_exist");
        let balance = other.get("/api/v1/payments/ledger/trial-balance/").await.expect_status(200).json();
        assert_eq!(balance["accounts"], json!([]));
        world.stranger.get(&path).await.expect_refusal(401, "not_authenticated");
        world.stranger.get("/api/v1/payments/ledger/trial-balance/").await.expect_refusal(401, "not_authenticated");
    }
}
