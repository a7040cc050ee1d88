//! 12, third part: whatever is invoiced, paid, refunded, credited or voided, in any order, debits equal credits.

use loopd_testkit::{each_engine, json};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::Value;

use crate::support::{Actor, World};

const INVOICES: &str = "/api/v1/payments/invoices/";

#[derive(Clone, Debug)]
enum Step {
    Invoice(u32),
    Finalize(usize),
    Pay(usize, u32),
    Refund(usize, u32),
    Credit(usize, u32),
    Void(usize),
    WriteOff(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let (which, amount) = (|| 0..100usize, || 1..40_000u32);
    prop_oneof![
        3 => amount().prop_map(Step::Invoice),
        3 => which().prop_map(Step::Finalize),
        4 => (which(), amount()).prop_map(|(i, a)| Step::Pay(i, a)),
        2 => (which(), amount()).prop_map(|(i, a)| Step::Refund(i, a)),
        2 => (which(), amount()).prop_map(|(i, a)| Step::Credit(i, a)),
        1 => which().prop_map(Step::Void),
        1 => which().prop_map(Step::WriteOff),
    ]
}

async fn ids(owner: &Actor, path: &str) -> Vec<String> {
    let page = owner.get(path).query("page_size", "100").await.expect_status(200).json();
    let rows = page["results"].as_array().expect("rows").clone();
    rows.iter().map(|row| row["id"].as_str().expect("an id").to_owned()).collect()
}

async fn take(owner: &Actor, step: &Step) {
    let path = if matches!(step, Step::Refund(..)) { "/api/v1/payments/payments/" } else { INVOICES };
    let known = ids(owner, path).await;
    let (number, action, body) = match step {
        Step::Invoice(amount) => {
            let body = json!({"title": "Tea", "data": {"amount": amount, "currency": "RWF"}});
            owner.make(INVOICES, body).await;
            return;
        }
        Step::Finalize(number) => (number, "finalize", json!({})),
        Step::Pay(number, amount) => {
            (number, "record-payment", json!({"amount": amount.to_string(), "method": "cash"}))
        }
        Step::Refund(number, amount) => (number, "refund", json!({"amount": amount.to_string(), "reason": "Spilled"})),
        Step::Credit(number, amount) => {
            (number, "credit-note", json!({"amount": amount.to_string(), "reason": "Spilled"}))
        }
        Step::Void(number) => (number, "void", json!({"reason": "Twice"})),
        Step::WriteOff(number) => (number, "write-off", json!({"reason": "Gone"})),
    };
    if known.is_empty() {
        return;
    }
    let answer = owner.post(&format!("{path}{}/{action}/", known[number % known.len()])).json(&body).await;
    assert!(answer.status < 500, "{step:?}: {}", answer.text());
}

fn minor(value: &Value) -> i64 {
    value.as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{value} is no amount of francs"))
}

each_engine! {
    async fn debits_equal_credits_whatever_is_done(world: &World) {
        let mut runner = TestRunner::deterministic();
        for case in 0..4 {
            let owner = world.register(&format!("shop{case}")).await;
            let steps = proptest::collection::vec(step(), 40).new_tree(&mut runner).expect("steps").current();
            for step in &steps {
                take(&owner, step).await;
                let balance = owner.get("/api/v1/payments/ledger/trial-balance/").await.expect_status(200).json();
                let sum = |side: &str| balance["accounts"].as_array().expect("accounts").iter().map(|row| minor(&row[side])).sum::<i64>();
                assert_eq!(sum("debit"), sum("credit"), "after {step:?} in {steps:?}: {balance:#}");
            }
            let balance = owner.get("/api/v1/payments/ledger/trial-balance/").await.expect_status(200).json();
            let moved: i64 = balance["accounts"].as_array().expect("accounts").iter().map(|row| minor(&row["debit"])).sum();
            assert!(moved > 0, "these steps moved no money and prove nothing: {steps:?}");
            for invoice in owner.get(&format!("{INVOICES}?page_size=100")).await.json()["results"].as_array().expect("rows") {
                let [total, paid, due] = ["total", "amount_paid", "amount_due"].map(|name| minor(&invoice[name]));
                assert!(paid >= 0 && due >= 0 && paid <= total, "{invoice:#}");
            }
        }
    }
}
