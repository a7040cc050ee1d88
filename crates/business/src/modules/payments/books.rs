//! Payments of invoices in USDC, as the books hear of them: the kernel's port `Books` (`kernel/src/collection.rs`), in the transaction that
//! records the payment.
//!
//! A payment's row is made, for exactly what is due, before any money moves: of two payers one is refused then, and nothing else can be
//! paid, voided or written off meanwhile, as with a mobile money payment that is under way. What has moved is counted whatever became of
//! the invoice: beyond what is owed it is the customer's credit.

use std::sync::Arc;

use loopd_kernel::collection::{Books, Collected, Stage};
use loopd_kernel::{Kernel, Tenant};
use loopd_store::Tx;
use loopd_types::Currency;
use serde_json::{Value as Json, json};

use super::{LINKS, PAYMENTS, currency_of, decimal_words, invoice, payment, resolve, usdc, workspace_of};
use crate::define::*;
use crate::engine::Registry;

/// Who took the payment, in its `provider`.
const PROVIDER: &str = "x402";

/// The books of the module `payments`.
pub struct Ledger {
    registry: Arc<Registry>,
}

impl Ledger {
    pub fn new(registry: Arc<Registry>) -> Self {
        Self { registry }
    }
}

/// What an invoice was asked for, and hears again when it is paid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    pub link: Uuid,
    /// In minor units of the invoice's currency.
    pub amount: i64,
    pub currency: String,
}

impl Terms {
    pub fn to_json(&self) -> Json {
        json!({"link": self.link.to_string(), "amount": self.amount, "currency": self.currency})
    }

    /// # Errors
    /// 500 for what [`Terms::to_json`] did not write.
    pub fn read(json: &Json) -> Result<Self> {
        let link = json["link"].as_str().and_then(|text| Uuid::parse_str(text).ok());
        let read = link.zip(json["amount"].as_i64()).zip(json["currency"].as_str());
        let ((link, amount), currency) =
            read.ok_or_else(|| Problem::internal("an invoice was paid on unknown terms"))?;
        Ok(Self { link, amount, currency: currency.to_owned() })
    }
}

impl Books for Ledger {
    fn note(&self, tx: &mut Tx<'_>, kernel: &Arc<Kernel>, paid: &Collected) -> Result<()> {
        let Some(access) = kernel.company_access_within(tx, paid.company)? else {
            return Err(Problem::internal("an invoice of a company that is gone was paid"));
        };
        let tenant = Arc::new(Tenant::system(access, "a payment in USDC"));
        let engine = Engine::new(kernel.clone(), self.registry.clone());
        let cx = &mut Cx::new(tx, &engine, &tenant);
        let terms = Terms::read(&paid.document.terms)?;
        match &paid.stage {
            Stage::Begun => begin(cx, paid, &terms),
            Stage::Settled { transaction, receipt } => settle(cx, paid, &terms, transaction, receipt),
            Stage::Failed { reason } => fail(cx, paid, reason),
        }
    }
}

/// The payment's row, if there is one.
fn find(cx: &mut Cx<'_, '_>, paid: &Collected) -> Result<Option<Uuid>> {
    let which = Where::new().eq("provider_ref", paid.reference.to_string()).eq("invoice", paid.document.id).limit(1);
    Ok(cx.select(PAYMENTS, &which)?.first().map(Record::id))
}

fn begin(cx: &mut Cx<'_, '_>, paid: &Collected, terms: &Terms) -> Result<()> {
    // Locks in the order of `payment`: the payment's row, then its invoice's.
    let mut before = match find(cx, paid)? {
        Some(id) => Some(cx.lock(PAYMENTS, id)?),
        None => None,
    };
    if before.as_ref().is_some_and(|payment| !matches!(payment.status(), "failed" | "expired")) {
        return Ok(());
    }
    let link = cx.find(LINKS, terms.link)?.filter(|link| link.status() == "active");
    if link.is_none_or(|link| link.time("expires_at").is_some_and(|end| end <= cx.now())) {
        return Err(super::slip::expired());
    }
    let invoice = invoice::lock(cx, paid.document.id)?;
    require_due(cx, &invoice, terms)?;
    match &mut before {
        // It had failed, and is tried again; at another rate it may count for something else.
        Some(payment) if payment.minor("amount") != terms.amount => {
            Err(amount_changed(terms.amount, currency_of(&invoice)?))
        }
        Some(payment) => {
            for field in ["failure_code", "failure_reason"] {
                payment.set(field, Value::Null);
            }
            payment.set_status("pending");
            cx.save(payment)
        }
        None => make(cx, paid, terms, &invoice).map(drop),
    }
}

/// Whether the invoice is owed exactly what was asked, and nothing is on its way to it.
fn require_due(cx: &mut Cx<'_, '_>, invoice: &Record, terms: &Terms) -> Result<()> {
    if !matches!(invoice.status(), "open" | "partially_paid") {
        return Err(super::slip::not_open(invoice.status()));
    }
    if invoice::waiting(cx, invoice.id(), None)? > 0 {
        return Err(invoice::payment_in_progress());
    }
    let currency = currency_of(invoice)?;
    if currency.code() != terms.currency || invoice::balance(invoice) != terms.amount {
        return Err(amount_changed(invoice::balance(invoice).max(0), currency));
    }
    Ok(())
}

fn amount_changed(due: i64, currency: Currency) -> Problem {
    let due = decimal_words(due, currency);
    let words = format!("What is due has changed to {due} {currency} meanwhile; ask again.");
    Problem::conflict("amount_due_changed", words).with_extra("amount_due", due).with_extra("currency", currency.code())
}

fn make(cx: &mut Cx<'_, '_>, paid: &Collected, terms: &Terms, invoice: &Record) -> Result<Record> {
    let currency = currency_of(invoice)?;
    let body = json!({
        "invoice": invoice.id().to_string(), "link": terms.link.to_string(), "method": usdc::METHOD, "currency": currency.code(),
        "amount": decimal_words(terms.amount, currency), "usdc": loopd_types::render_decimal(paid.micros, usdc::RATE_SCALE),
        "provider": PROVIDER, "provider_ref": paid.reference.to_string(), "sandbox": paid.is_sandbox, "payer_wallet": paid.payer,
        "initiated_at": cx.now().to_string(), "workspace": workspace_of(invoice),
    });
    cx.create(PAYMENTS, &body)
}

/// The money is there: once, however often it is told, and whatever became of the invoice meanwhile.
fn settle(cx: &mut Cx<'_, '_>, paid: &Collected, terms: &Terms, transaction: &str, receipt: &Json) -> Result<()> {
    let id = match find(cx, paid)? {
        Some(id) => id,
        None => {
            let invoice = invoice::lock(cx, paid.document.id)?;
            make(cx, paid, terms, &invoice)?.id()
        }
    };
    let mut payment = cx.lock(PAYMENTS, id)?;
    if !resolve::may_still_change(&payment) {
        return Ok(());
    }
    invoice::lock(cx, paid.document.id)?;
    payment.set("provider_transaction", transaction);
    payment.set("proof", receipt);
    payment.set("failure_code", Value::Null);
    payment.set("failure_reason", Value::Null);
    payment.set("succeeded_at", cx.now());
    payment.set_status("succeeded");
    cx.save(&mut payment)?;
    payment::settle(cx, &payment)
}

fn fail(cx: &mut Cx<'_, '_>, paid: &Collected, reason: &str) -> Result<()> {
    let Some(id) = find(cx, paid)? else { return Ok(()) };
    let mut payment = cx.lock(PAYMENTS, id)?;
    if payment.status() != "pending" {
        return Ok(());
    }
    resolve::end(cx, &mut payment, "failed", reason, "The payment in USDC was not settled; no money has moved.")
}
