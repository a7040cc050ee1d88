//! Whatever is done in whatever order: entries balance, balances agree with documents, nothing is owed below zero.

use std::collections::{BTreeMap, BTreeSet};

use loopd_testkit::{each_engine, json};
use loopd_types::MINUTE_US;
use serde_json::Value as Json;

use crate::support::{Dice, World, minor};

/// Every transaction's debits equal its credits, in each currency, and one side of each entry is empty.
async fn assert_transactions_balance(world: &World, seed: u64) {
    let mut sums: BTreeMap<(String, String), (i64, i64)> = BTreeMap::new();
    for entry in world.all("ledger-entries", &[]).await {
        let key = (entry["transaction"].as_str().unwrap().to_owned(), entry["currency"].as_str().unwrap().to_owned());
        let (debit, credit) = (minor(&entry["debit"]), minor(&entry["credit"]));
        assert!(debit >= 0 && credit >= 0 && (debit == 0) != (credit == 0), "seed {seed}: {entry}");
        let sum = sums.entry(key).or_default();
        *sum = (sum.0 + debit, sum.1 + credit);
    }
    for (transaction, (debit, credit)) in sums {
        assert_eq!(debit, credit, "seed {seed}: {transaction:?}");
    }
}

/// Sums of `amount` over the records that name an invoice and are in one of `states`, by that invoice.
async fn sums_by_invoice(world: &World, resource: &str, states: &[&str]) -> BTreeMap<String, i64> {
    let mut sums = BTreeMap::new();
    for record in world.all(resource, &[]).await {
        if let (Some(invoice), true) =
            (record["invoice"].as_str(), states.contains(&record["status"].as_str().unwrap()))
        {
            *sums.entry(invoice.to_owned()).or_default() += minor(&record["amount"]);
        }
    }
    sums
}

/// What an invoice says was paid, refunded and credited is the sum of its payments, refunds and credit notes.
async fn assert_invoices_sum_up(world: &World, seed: u64) {
    let sums = [
        ("amount_paid", sums_by_invoice(world, "payments", &["succeeded", "partly_refunded", "refunded"]).await),
        ("amount_refunded", sums_by_invoice(world, "refunds", &["succeeded"]).await),
        ("amount_credited", sums_by_invoice(world, "credit-notes", &["issued"]).await),
    ];
    for invoice in world.all("invoices", &[]).await {
        for (field, sums) in &sums {
            let wanted = sums.get(invoice["id"].as_str().unwrap()).copied().unwrap_or(0);
            assert_eq!(minor(&invoice[field]), wanted, "seed {seed}: {field} of {invoice}");
        }
    }
    let mut refunded: BTreeMap<String, i64> = BTreeMap::new();
    for refund in world.all("refunds", &[]).await {
        *refunded.entry(refund["payment"].as_str().unwrap().to_owned()).or_default() += minor(&refund["amount"]);
    }
    for payment in world.all("payments", &[]).await {
        let back = refunded.get(payment["id"].as_str().unwrap()).copied().unwrap_or(0);
        assert_eq!(minor(&payment["amount_refunded"]), back, "seed {seed}: {payment}");
    }
}

/// The documents say what the ledger says.
async fn assert_documents_agree(world: &World, seed: u64) {
    let mut wanted: BTreeMap<(&str, String), i64> = BTreeMap::new();
    for invoice in world.all("invoices", &[]).await {
        let of = |field: &str| minor(&invoice[field]);
        let (due, over) = (of("amount_due"), of("amount_overpaid"));
        assert!(due >= 0 && over >= 0 && (due == 0 || over == 0), "seed {seed}: {invoice}");
        assert!(of("amount_refunded") <= of("amount_paid"), "seed {seed}: {invoice}");
        let owed = if invoice["status"] == "void" {
            0
        } else {
            of("total") - of("amount_credited") - of("amount_written_off")
        };
        assert_eq!(due - over, owed - of("amount_paid") + of("amount_refunded"), "seed {seed}: {invoice}");
        match invoice["status"].as_str().unwrap() {
            "draft" => continue,
            "open" => assert!(due > 0 && of("amount_paid") == of("amount_refunded"), "seed {seed}: {invoice}"),
            "partially_paid" => assert!(due > 0 && of("amount_paid") > of("amount_refunded"), "seed {seed}: {invoice}"),
            _ => assert_eq!(due, 0, "seed {seed}: {invoice}"),
        }
        let currency = invoice["currency"].as_str().unwrap().to_owned();
        *wanted.entry(("1200", currency.clone())).or_default() += due;
        *wanted.entry(("2100", currency)).or_default() -= over;
    }
    for payment in world.all("payments", &[]).await {
        let (amount, back) = (minor(&payment["amount"]), minor(&payment["amount_refunded"]));
        assert!(back <= amount, "seed {seed}: {payment}");
        if !["succeeded", "partly_refunded", "refunded"].contains(&payment["status"].as_str().unwrap()) {
            assert_eq!(back, 0);
            continue;
        }
        let currency = payment["currency"].as_str().unwrap().to_owned();
        if payment["invoice"].is_null() {
            *wanted.entry(("2100", currency.clone())).or_default() -= amount - back;
        }
        let account = match payment["method"].as_str().unwrap() {
            "cash" => "1010",
            "airtel_money" => "1030",
            "bank" => "1050",
            _ => "1090",
        };
        *wanted.entry((account, currency)).or_default() += amount - back;
    }
    let rows = world.trial_balance().await;
    for ((account, currency), amount) in wanted {
        let held = rows.iter().find(|(code, known, _)| code == account && *known == currency).map_or(0, |row| row.2);
        assert_eq!(held, amount, "seed {seed}: account {account} in {currency}");
    }
}

/// A made-up amount, often one that fits.
fn some_amount(dice: &Dice) -> Json {
    match dice.below(4) {
        0 => Json::Null,
        1 => json!(dice.below(400).to_string()),
        2 => json!(dice.below(20).to_string()),
        _ => json!("100"),
    }
}

fn some_body(dice: &Dice, extra: Json) -> Json {
    let mut body = json!({"reason": "Chance"});
    if let amount @ Json::String(_) = some_amount(dice) {
        body["amount"] = amount;
    }
    for (name, value) in extra.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

each_engine! {
    async fn no_sequence_of_acts_unbalances_the_ledger(world: &World) {
        let seed = u64::from(std::process::id());
        let dice = Dice::new(seed);
        let (mut invoices, mut payments): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
        let mut tally: BTreeMap<u16, usize> = BTreeMap::new();
        for step in 0..220 {
            if step == 120 {
                world.set_up(json!({"overpayment": true})).await;
            }
            let answer = match dice.below(15) {
                0 | 1 => {
                    let currency = *dice.one(&["RWF", "USD", "KWD"]);
                    let price = dice.below(150).to_string();
                    let answer = world.post("invoices", json!({"title": "Work", "currency": currency, "lines": [
                        {"unit_price": price, "qty": "1.5", "tax_rate": "18", "discount": "0"}, {"unit_price": "7", "tax_rate": "3.3"}]})).await;
                    if answer.status == 201 {
                        let id = answer.text_at("/id");
                        invoices.push(id.clone());
                        if dice.below(6) > 0 { world.act("invoices", &id, "finalize", json!({})).await } else { answer }
                    } else {
                        answer
                    }
                }
                2 | 3 if !invoices.is_empty() => {
                    let action = *dice.one(&["record-payment", "mark-paid", "void", "write-off", "credit-note", "finalize", "send"]);
                    let id = dice.one(&invoices).clone();
                    let method = *dice.one(&["cash", "bank", "other"]);
                    world.act("invoices", &id, action, some_body(&dice, json!({"method": method}))).await
                }
                4..=6 if !invoices.is_empty() => {
                    let id = dice.one(&invoices).clone();
                    world.act("invoices", &id, "record-payment", some_body(&dice, json!({}))).await
                }
                7 | 8 => {
                    let method = *dice.one(&["cash", "bank", "airtel_money"]);
                    let phone = *dice.one(&["250730000010", "250730000001", "250730000002", "250730000004"]);
                    let mut extra = json!({"method": method, "payer_phone": phone});
                    if let (Some(_), true) = (invoices.first(), dice.below(4) > 0) {
                        let id = dice.one(&invoices).clone();
                        extra["currency"] = world.get("invoices", &id).await["currency"].clone();
                        extra["invoice"] = json!(id);
                    }
                    let answer = world.post("payments", some_body(&dice, extra)).await;
                    if answer.status == 201 {
                        payments.push(answer.text_at("/id"));
                    }
                    answer
                }
                9..=11 if !payments.is_empty() => {
                    let action = *dice.one(&["confirm", "confirm", "cancel", "refund", "refund", "initiate"]);
                    let id = dice.one(&payments).clone();
                    let sent = if action == "initiate" { json!({}) } else { some_body(&dice, json!({"credit_invoice": dice.below(3) == 0})) };
                    world.act("payments", &id, action, sent).await
                }
                12 if !payments.is_empty() => {
                    world.clock.advance(2 * MINUTE_US);
                    world.work().await;
                    continue;
                }
                13 | 14 => {
                    // chance alone seldom finds what can be given back or taken off
                    let (resource, action, states) = match dice.below(3) {
                        0 => ("invoices", "credit-note", ["open", "partially_paid", "paid"]),
                        _ => ("payments", "refund", ["succeeded", "partly_refunded", "succeeded"]),
                    };
                    let status = *dice.one(&states);
                    let found = world.all(resource, &[("status", status)]).await;
                    if found.is_empty() {
                        continue;
                    }
                    let id = dice.one(&found)["id"].as_str().unwrap().to_owned();
                    let extra = if action == "refund" { json!({"credit_invoice": dice.below(3) == 0}) } else { json!({}) };
                    world.act(resource, &id, action, some_body(&dice, extra)).await
                }
                _ => continue,
            };
            assert!(matches!(answer.status, 200 | 201 | 400 | 409), "seed {seed}, step {step}: {} {}", answer.what, answer.text());
            *tally.entry(answer.status).or_default() += 1;
            if step % 40 == 39 {
                assert_documents_agree(world, seed).await;
                assert_invoices_sum_up(world, seed).await;
            }
        }
        assert!(tally.len() >= 4, "seed {seed}: acts were accepted and refused alike: {tally:?}");
        // what was never done proves nothing
        for resource in ["refunds", "credit-notes", "receipts"] {
            assert!(!world.all(resource, &[]).await.is_empty(), "seed {seed}: no {resource} came about");
        }
        let currencies: BTreeSet<String> = world.trial_balance().await.into_iter().map(|(_, currency, _)| currency).collect();
        assert_eq!(currencies.len(), 3, "seed {seed}: {currencies:?}");
        assert_documents_agree(world, seed).await;
        assert_invoices_sum_up(world, seed).await;
        assert_transactions_balance(world, seed).await;
    }
}
