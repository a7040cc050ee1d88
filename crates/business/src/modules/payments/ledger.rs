//! The ledger: every act that moves money posts entries whose debits equal their credits, in the transaction of the act.
//!
//! Entries are never changed or deleted; what was wrong is reversed by opposite ones. [`post`] is the only place that makes them.
//! An invoice's balance stands in `receivable` while it is owed, and in `customer_credit` as far as more was paid than is owed.

use std::collections::BTreeMap;

use loopd_types::{Currency, render_decimal};
use serde_json::{Value as Json, json};

use super::{ACCOUNTS, ENTRIES, METHODS, currency_of, store, totals};
use crate::define::*;
use crate::modules::text_of;

/// An account that the rules post to: its key, code, name and kind. Made in a company when it is first needed.
struct Known {
    key: &'static str,
    code: &'static str,
    name: &'static str,
    kind: &'static str,
}

const fn known(key: &'static str, code: &'static str, name: &'static str, kind: &'static str) -> Known {
    Known { key, code, name, kind }
}

/// The chart of accounts; numbers as bookkeepers order them: 1 assets, 2 liabilities, 4 income, 5 expenses.
const CHART: [Known; 14] = [
    known("cash", "1010", "Cash", "asset"),
    known("mtn_momo", "1020", "MTN Mobile Money", "asset"),
    known("airtel_money", "1030", "Airtel Money", "asset"),
    known("card", "1040", "Card payments", "asset"),
    known("bank", "1050", "Bank", "asset"),
    known("usdc", "1060", "USDC", "asset"),
    known("other", "1090", "Other means of payment", "asset"),
    known("receivable", "1200", "Accounts receivable", "asset"),
    known("customer_credit", "2100", "Customer credit", "liability"),
    known("tax_payable", "2200", "Tax payable", "liability"),
    known("revenue", "4000", "Revenue", "income"),
    known("refunds", "4900", "Refunds and credit notes", "income"),
    known("payouts", "5100", "Payouts", "expense"),
    known("write_offs", "5900", "Write-offs", "expense"),
];

/// What an entry belongs to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cause<'a> {
    /// `invoice`, `payment`, `refund`, `void`, `write_off`, `credit_note`, `payout`.
    pub kind: &'static str,
    pub invoice: Option<Uuid>,
    pub payment: Option<Uuid>,
    pub refund: Option<Uuid>,
    pub payout: Option<Uuid>,
    pub memo: &'a str,
}

/// One side of a posting: account key and amount, debit above zero, credit below.
pub type Side = (&'static str, i64);

/// Posts one balanced transaction. Amounts on the same account are joined, zeros are left out; nothing at all posts nothing.
///
/// # Errors
/// 500 when debits and credits differ: a mistake in a rule, and the whole act is undone.
pub fn post(cx: &mut Cx<'_, '_>, currency: Currency, cause: Cause<'_>, sides: &[Side]) -> Result<()> {
    let mut joined: BTreeMap<&'static str, i128> = BTreeMap::new();
    for (account, amount) in sides {
        *joined.entry(account).or_default() += i128::from(*amount);
    }
    joined.retain(|_, amount| *amount != 0);
    if joined.values().sum::<i128>() != 0 {
        return Err(Problem::internal(format!("a posting of kind {} does not balance: {joined:?}", cause.kind)));
    }
    let transaction = cx.new_id().to_string();
    let words = |amount: i128| {
        i64::try_from(amount).map(|minor| render_decimal(minor, currency.exponent())).map_err(Problem::internal)
    };
    for (key, amount) in joined {
        let (account, code) = account(cx, key)?;
        cx.create(
            ENTRIES,
            &json!({
                "workspace": null, "title": cause.memo, "transaction": transaction, "kind": cause.kind,
                "account": account.to_string(), "account_code": code, "currency": currency.code(),
                "debit": words(amount.max(0))?, "credit": words((-amount).max(0))?,
                "invoice": text_of(cause.invoice), "payment": text_of(cause.payment), "refund": text_of(cause.refund),
                "payout": text_of(cause.payout),
                "posted_at": cx.now().to_string(),
            }),
        )?;
    }
    Ok(())
}

/// The sides that move an invoice's balance from `before` to `after` (what is owed above zero, what was paid too much below).
pub fn move_balance(before: i64, after: i64) -> [Side; 2] {
    [("receivable", after.max(0) - before.max(0)), ("customer_credit", after.min(0) - before.min(0))]
}

/// Issuing an invoice: the customer owes the total; net is revenue, tax is the revenue authority's.
pub fn invoice_issued(cx: &mut Cx<'_, '_>, invoice: &Record) -> Result<()> {
    let (total, tax) = (invoice.minor("total"), invoice.minor("tax_total"));
    let sides = [("receivable", total), ("revenue", tax - total), ("tax_payable", -tax)];
    let cause = Cause { kind: "invoice", invoice: Some(invoice.id()), memo: invoice.number(), ..Cause::default() };
    post(cx, currency_of(invoice)?, cause, &sides)
}

/// A credit note of `amount`, of which `credited_before` was credited earlier: revenue and tax shrink in the invoice's own proportion.
/// Returns the tax in it.
pub fn invoice_credited(cx: &mut Cx<'_, '_>, invoice: &Record, amount: i64, before: i64, after: i64) -> Result<i64> {
    let (total, tax) = (invoice.minor("total"), invoice.minor("tax_total"));
    let credited = invoice.minor("amount_credited");
    // taken cumulatively, so that the last credit note takes exactly what is left of the tax
    let tax_part = totals::share(tax, credited, total) - totals::share(tax, credited - amount, total);
    let [receivable, credit] = move_balance(before, after);
    let sides = [("refunds", amount - tax_part), ("tax_payable", tax_part), receivable, credit];
    let cause = Cause { kind: "credit_note", invoice: Some(invoice.id()), memo: invoice.number(), ..Cause::default() };
    post(cx, currency_of(invoice)?, cause, &sides)?;
    Ok(tax_part)
}

/// Voiding: everything that issuing and crediting the invoice posted is posted the other way round.
pub fn invoice_voided(cx: &mut Cx<'_, '_>, invoice: &Record) -> Result<()> {
    let posted = store::posted_for_invoice(cx, invoice.id())?;
    let mut sides = Vec::with_capacity(posted.len());
    for (key, amount) in posted {
        let known = CHART.iter().find(|known| known.key == key);
        let known = known.ok_or_else(|| Problem::internal(format!("no account {key}")))?;
        sides.push((known.key, -amount));
    }
    let cause = Cause { kind: "void", invoice: Some(invoice.id()), memo: invoice.number(), ..Cause::default() };
    post(cx, currency_of(invoice)?, cause, &sides)
}

/// The account of a method of payment.
///
/// # Errors
/// 500 for a method that has none.
pub fn account_of_method(method: &str) -> Result<&'static str> {
    let found = CHART.iter().take(METHODS.len()).find(|known| known.key == method);
    found.map(|known| known.key).ok_or_else(|| Problem::internal(format!("the method {method} has no account")))
}

/// Id and code of the company's account behind `key`; made when it is not there yet.
fn account(cx: &mut Cx<'_, '_>, key: &'static str) -> Result<(Uuid, String)> {
    let which = Where::new().eq("system_key", key).limit(1);
    let mut found = cx.select(ACCOUNTS, &which)?;
    if found.is_empty() {
        // two first postings at once: the second waits here, then finds the account of the first
        let name = format!("payments.accounts:{}", cx.company().0);
        cx.tx.lock(&name)?;
        found = cx.select(ACCOUNTS, &which)?;
    }
    let account = match found.into_iter().next() {
        Some(account) => account,
        None => {
            let known = CHART.iter().find(|known| known.key == key);
            let Known { key, code, name, kind } =
                known.ok_or_else(|| Problem::internal(format!("no account {key}")))?;
            let body = json!({"workspace": null, "title": name, "code": code, "kind": kind, "system_key": key});
            cx.create(ACCOUNTS, &body)?
        }
    };
    Ok((account.id(), account.text("code").unwrap_or_default().to_owned()))
}

/// `GET /payments/ledger/trial-balance/`: what every account holds, and whether debits equal credits in every currency.
pub fn trial_balance(viewer: &mut Viewer<'_, '_>, input: &Input) -> Result<Json> {
    let as_of = input.time("as_of").unwrap_or(viewer.now());
    let rows = store::account_sums(viewer, as_of, input.text("currency"))?;
    let (mut listed, mut sums) = (Vec::with_capacity(rows.len()), BTreeMap::<String, (i64, i64)>::new());
    for store::AccountSum { code, name, kind, currency, debit, credit } in rows {
        let digits = Currency::parse(&currency).map_or(0, Currency::exponent);
        listed.push(json!({
            "code": code, "name": name, "kind": kind, "currency": currency,
            "debit": render_decimal(debit, digits), "credit": render_decimal(credit, digits),
            "balance": render_decimal(debit - credit, digits),
        }));
        let sum = sums.entry(currency).or_default();
        *sum = (sum.0 + debit, sum.1 + credit);
    }
    let currencies: Vec<Json> = sums
        .into_iter()
        .map(|(currency, (debit, credit))| {
            let digits = Currency::parse(&currency).map_or(0, Currency::exponent);
            json!({
                "currency": currency, "debit": render_decimal(debit, digits), "credit": render_decimal(credit, digits),
                "is_balanced": debit == credit,
            })
        })
        .collect();
    Ok(json!({"as_of": as_of.to_string(), "accounts": listed, "currencies": currencies}))
}

/// What [`trial_balance`] answers.
pub fn trial_balance_schema() -> Json {
    let amount = json!({"type": "string", "format": "decimal"});
    let text = json!({"type": "string"});
    json!({
        "type": "object",
        "required": ["as_of", "accounts", "currencies"],
        "properties": {
            "as_of": {"type": "string", "format": "date-time"},
            "accounts": {"type": "array", "items": {
                "type": "object",
                "required": ["code", "name", "kind", "currency", "debit", "credit", "balance"],
                "properties": {"code": text, "name": text, "kind": text, "currency": text, "debit": amount, "credit": amount,
                    "balance": {"type": "string", "format": "decimal", "description": "Debit minus credit."}},
            }},
            "currencies": {"type": "array", "items": {
                "type": "object",
                "required": ["currency", "debit", "credit", "is_balanced"],
                "properties": {"currency": text, "debit": amount, "credit": amount, "is_balanced": {"type": "boolean"}},
            }},
        },
    })
}

#[cfg(test)]
mod tests {
    use super::move_balance;

    #[test]
    fn a_balance_is_owed_or_owing_never_both() {
        assert_eq!(move_balance(100, 40), [("receivable", -60), ("customer_credit", 0)]);
        assert_eq!(move_balance(100, -20), [("receivable", -100), ("customer_credit", -20)]);
        assert_eq!(move_balance(-20, 30), [("receivable", 30), ("customer_credit", 20)]);
    }
}
