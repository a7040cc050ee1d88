//! The rules of payments and refunds.
//!
//! Order of locks: the payment's row, then its invoice's, then everything that is written. Guards take the invoice's lock before the first
//! write, because writes take the company's counters, which other acts hold while they wait for an invoice.

use serde_json::json;

use super::{INVOICES, REFUNDS, currency_of, decimal_words, invoice, ledger, receipt, store, totals, workspace_of};
use crate::define::*;
use crate::modules::text_of;

/// What nobody changes once a payment is confirmed or its provider was asked.
const FROZEN: [&str; 6] = ["invoice", "customer", "method", "currency", "amount", "payer_phone"];

/// Fills in what follows from the invoice, and refuses what does not fit it.
pub fn prepare(cx: &mut Cx<'_, '_>, payment: &mut Record) -> Result<()> {
    let Some(id) = payment.id_in("invoice") else {
        if !payment.has("amount") {
            return Err(Problem::field("amount", "required", "This field is required."));
        }
        return require_amount(payment);
    };
    let invoice = invoice::lock(cx, id)?;
    if !payment.has("amount") {
        // the invoice says how much, and in which currency
        payment.set("currency", invoice.text("currency"));
        payment.set("amount", invoice::balance(&invoice).max(0));
    }
    if !payment.has("customer") {
        payment.set("customer", invoice.id_in("customer"));
    }
    if payment.has("provider_ref") {
        // Made by a rule, which has asked whether it fits; what has moved is counted even where it does not.
        return require_amount(payment);
    }
    require_fit(cx, payment, &invoice, false)
}

pub fn protect(cx: &mut Cx<'_, '_>, before: &Record, payment: &mut Record) -> Result<()> {
    if FROZEN.iter().all(|field| before.value(field) == payment.value(field)) {
        return Ok(());
    }
    if before.status() != "pending" || before.has("initiated_at") {
        return Err(Problem::conflict(
            "payment_not_pending",
            "A payment that was made, or that a provider was asked for, cannot be changed.",
        ));
    }
    prepare(cx, payment)
}

/// Whether `payment` can be taken on `invoice`, which is locked. `now` also counts what providers were asked for already.
///
/// # Errors
/// 400 on currency and amount; 409 `invoice_not_open`, `overpayment`, `payment_in_progress`.
fn require_fit(cx: &mut Cx<'_, '_>, payment: &Record, invoice: &Record, now: bool) -> Result<()> {
    let allows_overpayment = store::company_setting(cx.tx, cx.tenant.company, "overpayment")?;
    let can_be_paid = match invoice.status() {
        "open" | "partially_paid" => true,
        "paid" => allows_overpayment,
        _ => false,
    };
    if !can_be_paid {
        let message = format!("The invoice is {}, so it cannot be paid.", invoice.status().replace('_', " "));
        return Err(Problem::conflict("invoice_not_open", message).with_extra("status", invoice.status()));
    }
    require_amount(payment)?;
    let currency = currency_of(invoice)?;
    if payment.text("currency") != Some(currency.code()) {
        let message = format!("The invoice is in {currency}; pay it in the same currency.");
        return Err(Problem::field("currency", "invalid", message));
    }
    if allows_overpayment {
        return Ok(());
    }
    let (amount, due) = (payment.minor("amount"), invoice::balance(invoice).max(0));
    if amount > due {
        let message = format!("Only {} {currency} is due on this invoice.", decimal_words(due, currency));
        return Err(Problem::conflict("overpayment", message)
            .with_extra("amount_due", decimal_words(due, currency))
            .with_extra("currency", currency.code()));
    }
    if now && amount > due - invoice::waiting(cx, invoice.id(), Some(payment.id()))? {
        return Err(invoice::payment_in_progress());
    }
    Ok(())
}

fn require_amount(payment: &Record) -> Result<()> {
    match payment.minor("amount") {
        ..=0 => Err(Problem::field("amount", "min_value", "Ensure this value is greater than 0.")),
        totals::MOST_MINOR.. => Err(Problem::field("amount", "max_value", "The amount is too large.")),
        _ => Ok(()),
    }
}

/// Whether this payment can be made now; locks its invoice.
///
/// # Errors
/// As when it was made, and 409 `payment_in_progress`.
pub fn require_payable(cx: &mut Cx<'_, '_>, payment: &Record) -> Result<()> {
    match payment.id_in("invoice") {
        Some(id) => {
            let invoice = invoice::lock(cx, id)?;
            require_fit(cx, payment, &invoice, true)
        }
        None => require_amount(payment),
    }
}

pub fn require_not_initiated(_: &mut Cx<'_, '_>, payment: &mut Record, _: &Input) -> Result<()> {
    if payment.has("initiated_at") {
        return Err(Problem::conflict(
            "provider_decides",
            "The provider was asked for this payment; its answer decides what becomes of it.",
        ));
    }
    Ok(())
}

pub fn require_confirmable(cx: &mut Cx<'_, '_>, payment: &mut Record, input: &Input) -> Result<()> {
    require_not_initiated(cx, payment, input)?;
    require_payable(cx, payment)
}

/// Money that came, or was asked for, is not made undone by deleting its record.
pub fn require_deletable(_: &mut Cx<'_, '_>, payment: &mut Record) -> Result<()> {
    let is_idle = matches!(payment.status(), "pending" | "cancelled") && !payment.has("initiated_at");
    if is_idle {
        return Ok(());
    }
    Err(Problem::conflict(
        "payment_not_pending",
        "A payment that was made, or that a provider was asked for, cannot be deleted.",
    ))
}

pub fn apply(cx: &mut Cx<'_, '_>, payment: &mut Record, _: &Input) -> Result<()> {
    settle(cx, payment)
}

/// What a payment that succeeded brings about: the invoice is paid by so much, the ledger knows it, a receipt is issued.
///
/// Whether it fits was decided before; money that a provider took is counted even where it does not: the customer then has credit.
pub fn settle(cx: &mut Cx<'_, '_>, payment: &Record) -> Result<()> {
    let (amount, currency) = (payment.minor("amount"), currency_of(payment)?);
    let account = ledger::account_of_method(payment.text("method").unwrap_or("other"))?;
    let invoice = match payment.id_in("invoice") {
        Some(id) => {
            let mut invoice = invoice::lock(cx, id)?;
            let before = invoice::balance(&invoice);
            let paid = invoice.minor("amount_paid").checked_add(amount);
            invoice.set("amount_paid", Value::from(paid.ok_or_else(too_much)?));
            invoice::settle_status(&mut invoice, cx.now());
            attach_proof(&mut invoice, payment);
            let [receivable, credit] = ledger::move_balance(before, invoice::balance(&invoice));
            cx.save(&mut invoice)?;
            ledger::post(cx, currency, cause("payment", payment), &[(account, amount), receivable, credit])?;
            Some(invoice)
        }
        None => {
            ledger::post(cx, currency, cause("payment", payment), &[(account, amount), ("customer_credit", -amount)])?;
            None
        }
    };
    receipt::issue(cx, payment, invoice.as_ref())
}

/// The signed receipt of a payment in USDC stands with its invoice too.
fn attach_proof(invoice: &mut Record, payment: &Record) {
    let Some(proof) = payment.json("proof") else { return };
    let mut all = invoice.json("usdc_receipts").and_then(|all| all.as_array().cloned()).unwrap_or_default();
    all.push(json!({"payment": payment.number(), "receipt": proof}));
    invoice.set("usdc_receipts", serde_json::Value::Array(all));
}

fn too_much() -> Problem {
    Problem::field("amount", "max_value", "The sum of the invoice's payments is too large.")
}

fn cause<'a>(kind: &'static str, payment: &'a Record) -> ledger::Cause<'a> {
    ledger::Cause {
        kind,
        invoice: payment.id_in("invoice"),
        payment: Some(payment.id()),
        memo: payment.number(),
        ..ledger::Cause::default()
    }
}

/// How much is given back: what was asked for, else all that is left.
fn refund_amount(payment: &Record, input: &Input) -> i64 {
    input.int("amount").unwrap_or_else(|| payment.minor("amount") - payment.minor("amount_refunded"))
}

pub fn require_refundable(cx: &mut Cx<'_, '_>, payment: &mut Record, input: &Input) -> Result<()> {
    let amount = refund_amount(payment, input);
    if amount <= 0 {
        return Err(Problem::field("amount", "min_value", "Ensure this value is greater than 0."));
    }
    if amount > payment.minor("amount") - payment.minor("amount_refunded") {
        return Err(Problem::field("amount", "max_value", "No more can be refunded than is left of the payment."));
    }
    if let Some(id) = payment.id_in("invoice") {
        invoice::lock(cx, id)?;
    } else if input.is("credit_invoice") {
        return Err(Problem::field("credit_invoice", "invalid", "The payment belongs to no invoice."));
    }
    Ok(())
}

pub fn refund(_: &mut Cx<'_, '_>, payment: &mut Record, input: &Input) -> Result<()> {
    let refunded = payment.minor("amount_refunded") + refund_amount(payment, input);
    payment.set("amount_refunded", refunded);
    payment.set("refund_settlement", "manual");
    payment.set_status(if refunded == payment.minor("amount") { "refunded" } else { "partly_refunded" });
    Ok(())
}

pub fn post_refund(cx: &mut Cx<'_, '_>, payment: &mut Record, input: &Input) -> Result<()> {
    let before = payment.original().map_or(0, |before| before.minor("amount_refunded"));
    let (amount, currency) = (payment.minor("amount_refunded") - before, currency_of(payment)?);
    let account = ledger::account_of_method(payment.text("method").unwrap_or("other"))?;
    let refund = cx.create(
        REFUNDS,
        &json!({
            "payment": payment.id().to_string(), "invoice": text_of(payment.id_in("invoice")), "customer": text_of(payment.id_in("customer")),
            "method": payment.text("method"), "currency": currency.code(), "amount": decimal_words(amount, currency),
            "reason": input.text("reason").unwrap_or_default(), "settlement": "manual", "refunded_at": cx.now().to_string(), "workspace": workspace_of(payment),
        }),
    )?;
    let cause = ledger::Cause { refund: Some(refund.id()), memo: refund.number(), ..cause("refund", payment) };
    let Some(id) = payment.id_in("invoice") else {
        return ledger::post(cx, currency, cause, &[("customer_credit", amount), (account, -amount)]);
    };
    let mut invoice = invoice::lock(cx, id)?;
    let owed_before = invoice::balance(&invoice);
    invoice.set("amount_refunded", invoice.minor("amount_refunded") + amount);
    invoice::settle_status(&mut invoice, cx.now());
    let [receivable, credit] = ledger::move_balance(owed_before, invoice::balance(&invoice));
    cx.save(&mut invoice)?;
    ledger::post(cx, currency, cause, &[(account, -amount), receivable, credit])?;
    if input.is("credit_invoice") {
        let body =
            json!({"amount": decimal_words(amount, currency), "reason": input.text("reason").unwrap_or("Refunded")});
        cx.act(INVOICES, id, "credit-note", &body)?;
    }
    Ok(())
}
