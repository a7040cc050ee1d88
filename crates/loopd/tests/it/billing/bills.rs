//! Bills: numbers without a gap, totals that add up, nothing changed after it was opened.

use std::collections::BTreeSet;

use loopd_testkit::{assert_json, each_engine, json};

use super::{INVOICES, Shop};
use crate::support::World;

each_engine! {
    async fn numbers_have_no_gap_whoever_opens_at_once(world: &World) {
        let shop = Shop::open(world).await;
        let mut drafts = Vec::new();
        for number in 0..6 {
            let desk = match number % 2 {
                0 => shop.desk(),
                _ => shop.operator.in_company(&world.register(&format!("other{number}")).await.code),
            };
            let body = json!({"currency": "RWF", "lines": [{"description": "Help", "unit_minor": 1_000 + number}]});
            let id = desk.post(INVOICES).json(&body).await.expect_status(201).text_at("/id");
            drafts.push((desk, id));
        }
        // One draft is given up: it has no number that would be missing.
        let (desk, id) = drafts.pop().unwrap();
        desk.post(&format!("{INVOICES}{id}/void/")).await.expect_status(200);
        let open = drafts.iter().map(|(desk, id)| async move {
            desk.post(&format!("{INVOICES}{id}/finalize/")).await.expect_status(200).text_at("/number")
        });
        let numbers: BTreeSet<String> = futures_util::future::join_all(open).await.into_iter().collect();
        let expected: BTreeSet<String> = (1..=5).map(|number| format!("LB-{number:06}")).collect();
        assert_eq!(numbers, expected);
    }

    async fn tax_is_data_upon_the_price_or_within_it(world: &World) {
        let shop = Shop::open(world).await;
        let rate = json!({"country": "RW", "name": "VAT", "rate_ppm": 180_000, "valid_from": "2026-01-01T00:00:00Z"});
        shop.operator.post("/api/v1/billing/tax-rates/").json(&rate).await.expect_status(201);
        shop.operator.post("/api/v1/billing/tax-rates/").json(&rate).await.expect_field("valid_from", "unique");
        let lines = json!({"lines": [{"description": "Help", "quantity": 3, "unit_minor": 1_111}, {"description": "Tea", "unit_minor": 5}]});
        let upon = shop.desk().post(INVOICES).json(&lines).await.expect_status(201).json();
        assert_json!(upon, {"subtotal_minor": 3_338, "tax_minor": 601, "total_minor": 3_939, "status": "draft", "number": null});
        let within = json!({"country": "RW", "name": "VAT", "rate_ppm": 180_000, "inclusive": true, "valid_from": "2026-02-01T00:00:00Z"});
        shop.operator.post("/api/v1/billing/tax-rates/").json(&within).await.expect_status(201);
        let within = shop.desk().post(INVOICES).json(&lines).await.expect_status(201).json();
        assert_json!(within, {"total_minor": 3_338});
        shop.ledger_balances().await;
    }

    async fn an_open_bill_is_corrected_by_credit_notes_only(world: &World) {
        let shop = Shop::open(world).await;
        let body = json!({"lines": [{"description": "Help", "unit_minor": 10_000}, {"description": "Tea", "unit_minor": 1}]});
        let id = shop.desk().post(INVOICES).json(&body).await.expect_status(201).text_at("/id");
        let item = format!("{INVOICES}{id}/");
        let act = async |action: &str, body: serde_json::Value| shop.desk().post(&format!("{item}{action}/")).json(&body).await;
        act("finalize", json!({})).await.expect_status(200);
        act("finalize", json!({})).await.expect_refusal(409, "invalid_transition");
        act("mark-paid", json!({"amount_minor": 20_000})).await.expect_field("amount_minor", "max_value");
        act("mark-paid", json!({"amount_minor": 4_000})).await.expect_status(200);
        act("void", json!({})).await.expect_refusal(409, "already_paid");
        let note = act("credit-note", json!({"amount_minor": 7_001, "reason": "Broken"})).await.expect_status(201);
        assert_json!(note.json(), {"kind": "credit_note", "number": "LC-000001", "corrects": id, "total_minor": 7_001, "status": "paid"});
        let bill = shop.owner.get(&item).await.expect_status(200);
        assert_json!(bill.json(), {"status": "paid", "paid_minor": 4_000, "credited_minor": 7_001, "due_minor": 0, "total_minor": 10_001});
        let account = shop.owner.get("/api/v1/billing/account/").await.expect_status(200);
        assert_json!(account.json(), {"credit": [{"currency": "RWF", "amount_minor": 1_000}]});
        act("credit-note", json!({"amount_minor": 3_001, "reason": "More"})).await.expect_field("amount_minor", "max_value");
        act("credit-note", json!({"reason": "The rest"})).await.expect_status(201);
        act("credit-note", json!({"reason": "Again"})).await.expect_field("amount_minor", "max_value");
        shop.ledger_balances().await;
    }

    async fn bills_are_the_owners_to_see_and_the_operators_to_write(world: &World) {
        let shop = Shop::open(world).await;
        let body = json!({"lines": [{"description": "Help", "unit_minor": 10_000}]});
        shop.owner.post(INVOICES).json(&body).await.expect_refusal(403, "permission_denied");
        let id = shop.desk().post(INVOICES).json(&body).await.expect_status(201).text_at("/id");
        for action in ["finalize", "void", "mark-paid", "mark-uncollectible"] {
            shop.owner.post(&format!("{INVOICES}{id}/{action}/")).await.expect_refusal(403, "permission_denied");
        }
        shop.owner.post(&format!("{INVOICES}{id}/credit-note/")).json(&json!({"reason": "x"})).await.expect_refusal(403, "permission_denied");
        let admin = world.member(&shop.owner, "anne", "admin").await;
        admin.get(INVOICES).await.expect_refusal(403, "permission_denied");
        let stranger = world.register("stranger").await;
        stranger.get(&format!("{INVOICES}{id}/")).await.expect_refusal(404, "not_found");
        stranger.get(pdf_of(&id).as_str()).await.expect_refusal(404, "not_found");
        let audit = shop.owner.get("/api/v1/audit-logs/?resource=billing-invoices").await.expect_status(200);
        assert_json!(audit.json(), {"results": [{"action": "create"}]});
    }

    async fn a_bill_is_printed_the_same_every_time(world: &World) {
        let shop = Shop::open(world).await;
        let body = json!({"lines": [{"description": "Café, crème et thé", "quantity": 2, "unit_minor": 10_000}]});
        let id = shop.desk().post(INVOICES).json(&body).await.expect_status(201).text_at("/id");
        shop.desk().post(&format!("{INVOICES}{id}/finalize/")).await.expect_status(200);
        let path = pdf_of(&id);
        let first = shop.owner.get(&path).await.expect_status(200);
        assert_eq!(first.header("content-type"), Some("application/pdf"));
        assert!(first.body.starts_with(b"%PDF-1.") && first.body.ends_with(b"%%EOF\n"));
        world.clock.advance(loopd_types::SECOND_US);
        assert_eq!(shop.owner.get(&path).await.expect_status(200).body, first.body);
    }
}

fn pdf_of(id: &str) -> String {
    format!("{INVOICES}{id}/pdf/")
}
