//! Payments of bills: by hand, by credit, by a collector. An attempt's row is durable before the collector hears of it, and its id is the
//! collector's key, so that an answer that was lost is asked for and never paid for again.

use std::sync::Arc;
use std::time::Duration;

use loopd_store::{Reader, Tx, View, params};
use loopd_types::{CompanyId, Currency, DAY_US, MINUTE_US, Money, Problem, Result, Timestamp, Uuid};
use serde_json::{Value as Json, json};

use super::bill::{self, Bill};
use super::collector::{Charge, Outcome, Unclear};
use super::{account, require_operator, seller};
use crate::access::Tenant;
use crate::input::Input;
use crate::job::{self, Job, NewJob};
use crate::listing::{Column, ColumnKind, Listing, column, searched};
use crate::{Kernel, company::invalid_transition};

/// Payments and attempts as the API shows them; newest first.
pub const LISTING: Listing = Listing {
    from: "billing_payments p",
    columns: &COLUMNS,
    company: Some("p.company_id"),
    id: "p.id",
    order: "p.id DESC",
};
const COLUMNS: [Column; 12] = [
    column("id", "p.id", ColumnKind::Uuid),
    column("company", "p.company_id", ColumnKind::Company),
    column("invoice", "p.invoice_id", ColumnKind::Uuid),
    column("collector", "p.collector", ColumnKind::Text),
    column("amount_minor", "p.amount_minor", ColumnKind::Int),
    column("currency", "p.currency", ColumnKind::Text),
    column("status", "p.status", ColumnKind::Text),
    searched("provider_ref", "p.provider_ref"),
    column("failure_code", "p.failure_code", ColumnKind::Text),
    column("note", "p.note", ColumnKind::Text),
    column("created_at", "p.created_at", ColumnKind::Time),
    column("settled_at", "p.settled_at", ColumnKind::Time).nullable(),
];

/// The kind of job that asks a collector for a bill.
pub const COLLECT_JOB: &str = "billing.collect";
/// How long one call to a collector may take.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Between two askings for a charge that is under way.
const ASK_AGAIN_US: i64 = 10 * MINUTE_US;
/// What is paid from the company's own credit.
const CREDIT: &str = "credit";

/// Writes the job that tries to collect a bill, once for each `attempt`.
pub(super) fn collect_later(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    company: CompanyId,
    invoice: Uuid,
    attempt: i64,
    run_at: Timestamp,
) -> Result<()> {
    let key = format!("{COLLECT_JOB}:{}:{invoice}:{attempt}", company.0);
    enqueue(tx, kernel, company, invoice, run_at, Some(&key))
}

fn enqueue(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    company: CompanyId,
    invoice: Uuid,
    run_at: Timestamp,
    unique_key: Option<&str>,
) -> Result<()> {
    let payload = json!({"invoice": invoice.to_string()}).to_string();
    Ok(job::enqueue(tx, kernel, &NewJob { kind: COLLECT_JOB, company, payload, run_at, unique_key })?)
}

/// The owner asks that a bill be collected now. What comes of it stands in the bill's payments.
///
/// # Errors
/// 404; 409 `invalid_transition`, `payment_running`; 400 when the company pays by hand.
pub fn pay(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid) -> Result<()> {
    let bill = bill::lock(tx, tenant.company, id)?;
    if bill.status != "open" || bill.kind != "invoice" {
        return Err(invalid_transition(&bill.status, "pay", &[]));
    }
    require_none_running(tx, tenant.company, id)?;
    let account = account::get(tx, tenant.company)?;
    if kernel.collectors().find(&account.payment_method).is_none() {
        return Err(Problem::invalid(
            "payment_method_required",
            "This company pays by hand. Choose a payment method in the billing account, or pay as the bill says.",
        ));
    }
    begin(tx, kernel, tenant.company, &bill, &account)?;
    enqueue(tx, kernel, tenant.company, id, kernel.now(), None)?;
    let payload = json!({"amount_minor": bill.due(), "currency": bill.currency});
    super::written(
        tx,
        kernel,
        tenant,
        ("billing-invoices", "pay", "payment_requested"),
        (&id.to_string(), &bill.label()),
        payload,
    )
}

/// Whether an attempt at this bill is under way.
///
/// # Errors
/// 409 `payment_running`.
pub(super) fn require_none_running(tx: &mut Tx<'_>, company: CompanyId, invoice: Uuid) -> Result<()> {
    if find_running(tx, company, invoice)?.is_none() {
        return Ok(());
    }
    Err(Problem::conflict("payment_running", "A payment of this bill is under way; wait until it is decided."))
}

/// An attempt that is not decided.
#[derive(Clone, Debug)]
struct Running {
    id: Uuid,
    collector: String,
    payer: String,
    amount: i64,
    was_sent: bool,
}

fn find_running(reader: &mut Reader<'_>, company: CompanyId, invoice: Uuid) -> Result<Option<Running>> {
    Ok(reader.first(
        "SELECT id, collector, payer, amount_minor, status FROM billing_payments \
         WHERE company_id = $1 AND invoice_id = $2 AND status IN ('pending', 'sent')",
        &params![company, invoice],
        |row| {
            Ok(Running {
                id: row.uuid(0)?,
                collector: row.text(1)?.to_owned(),
                payer: row.text(2)?.to_owned(),
                amount: row.i64(3)?,
                was_sent: row.text(4)? == "sent",
            })
        },
    )?)
}

fn begin(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    company: CompanyId,
    bill: &Bill,
    account: &account::Account,
) -> Result<Running> {
    let (id, amount) = (kernel.new_id(), bill.due());
    tx.execute(
        "INSERT INTO billing_payments (company_id, id, invoice_id, collector, payer, amount_minor, currency, status, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, 'pending', $8)",
        &params![company, id, bill.id, &account.payment_method, &account.payer, amount, &bill.currency, kernel.now()],
    )?;
    let (collector, payer) = (account.payment_method.clone(), account.payer.clone());
    Ok(Running { id, collector, payer, amount, was_sent: false })
}

/// Tries to collect the bill of a job: at once, or by asking what became of an earlier try.
pub(super) async fn collect(kernel: Arc<Kernel>, job: Job) -> Result<()> {
    let invoice = job.payload["invoice"].as_str().and_then(|text| Uuid::parse_str(text).ok());
    let invoice = invoice.ok_or_else(|| Problem::internal("a collection without its bill"))?;
    let Some(access) = kernel.company_access(job.company).await? else { return Ok(()) };
    let tenant = Arc::new(Tenant::system(access, "billing"));
    let (shared, company) = (kernel.clone(), job.company);
    // Durable before anybody is asked.
    let sent = kernel.db.write(View::Company(company), move |tx| send(tx, &shared, company, invoice)).await?;
    let Some((running, bill)) = sent else { return Ok(()) };
    let currency = Currency::parse(&bill.currency).ok_or_else(|| Problem::internal("a bill in no currency"))?;
    let charge = Charge {
        reference: running.id,
        company: company.code(),
        money: Money { minor: running.amount, currency },
        payer: running.payer.clone(),
        message: bill.label(),
    };
    let outcome = ask(&kernel, &running, &charge).await;
    let shared = kernel.clone();
    let decided = outcome.clone();
    kernel.db.write(View::System, move |tx| settle(tx, &shared, &tenant, invoice, running.id, &decided)).await?;
    match outcome {
        // The job is done again, with pauses, and asks.
        Err(Unclear(reason)) => Err(Problem::unavailable(reason)),
        Ok(_) => Ok(()),
    }
}

/// Marks the bill's attempt as sent, making one if there is none. `None` when there is nothing to collect.
fn send(tx: &mut Tx<'_>, kernel: &Kernel, company: CompanyId, invoice: Uuid) -> Result<Option<(Running, Bill)>> {
    let bill = bill::lock(tx, company, invoice)?;
    if bill.due() <= 0 {
        return Ok(None);
    }
    let running = match find_running(tx, company, invoice)? {
        Some(running) => running,
        None => {
            let account = account::get(tx, company)?;
            let is_due = bill.next_attempt_at.is_some_and(|at| at <= kernel.now());
            if !is_due || kernel.collectors().find(&account.payment_method).is_none() {
                return Ok(None);
            }
            begin(tx, kernel, company, &bill, &account)?
        }
    };
    tx.execute(
        "UPDATE billing_payments SET status = 'sent' WHERE company_id = $1 AND id = $2",
        &params![company, running.id],
    )?;
    Ok(Some((running, bill)))
}

async fn ask(kernel: &Kernel, running: &Running, charge: &Charge) -> Result<Outcome, Unclear> {
    let Some(collector) = kernel.collectors().find(&running.collector) else {
        return Err(Unclear(format!("the collector {} is not wired any more", running.collector)));
    };
    let within = async |asked| {
        tokio::time::timeout(TIMEOUT, asked)
            .await
            .unwrap_or_else(|_| Err(Unclear("the collector did not answer".to_owned())))
    };
    if running.was_sent {
        let known = within(collector.find(charge)).await?;
        if known != Outcome::Unknown {
            return Ok(known);
        }
    }
    // With the same key as before, if there was a before.
    within(collector.collect(charge)).await
}

/// Writes down what became of an attempt; one that was decided already stays so.
fn settle(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    invoice: Uuid,
    payment: Uuid,
    outcome: &Result<Outcome, Unclear>,
) -> Result<()> {
    let bill = bill::lock(tx, tenant.company, invoice)?;
    let (status, reference, code) = match outcome {
        Ok(Outcome::Succeeded { reference }) => ("succeeded", reference.as_str(), ""),
        Ok(Outcome::Failed { code }) => ("failed", "", code.as_str()),
        // Asked again later; what is not clear is asked by the job's own repetition.
        Ok(Outcome::Pending | Outcome::Unknown) => {
            return enqueue(tx, kernel, tenant.company, invoice, kernel.now().plus(ASK_AGAIN_US), None);
        }
        Err(_) => return Ok(()),
    };
    let amount = tx.first(
        "UPDATE billing_payments SET status = $3, provider_ref = $4, failure_code = $5, settled_at = $6 \
         WHERE company_id = $1 AND id = $2 AND status = 'sent' RETURNING amount_minor",
        &params![tenant.company, payment, status, reference, code, kernel.now()],
        |row| row.i64(0),
    )?;
    let Some(amount) = amount else { return Ok(()) };
    let id = payment.to_string();
    let payload = json!({"invoice": invoice.to_string(), "number": bill.number, "amount_minor": amount,
        "currency": bill.currency, "failure_code": code});
    super::written(tx, kernel, tenant, ("billing-payments", "settle", status), (&id, &bill.label()), payload)?;
    if status == "succeeded" {
        apply(tx, kernel, tenant, &bill, amount)
    } else {
        after_failure(tx, kernel, tenant, &bill)
    }
}

/// Counts money that came in for a bill.
fn apply(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, bill: &Bill, amount: i64) -> Result<()> {
    tx.execute(
        "UPDATE billing_invoices SET paid_minor = paid_minor + $3, updated_at = $4, version = version + 1 WHERE company_id = $1 AND id = $2",
        &params![tenant.company, bill.id, amount, kernel.now()],
    )?;
    if bill.total - bill.credited - bill.paid > amount {
        return Ok(());
    }
    bill::close(tx, kernel, tenant, bill, "paid")?;
    let (id, label) = (bill.id.to_string(), bill.label());
    let payload = json!({"number": bill.number, "total_minor": bill.total, "currency": bill.currency});
    super::written(tx, kernel, tenant, ("billing-invoices", "settle", "paid"), (&id, &label), payload)?;
    bill::settle_subscription(tx, kernel, tenant, bill)
}

/// A refused attempt makes the bill overdue, and is tried again as often as the operator wants.
fn after_failure(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, bill: &Bill) -> Result<()> {
    let (now, seller) = (kernel.now(), seller::get(tx)?);
    let pause = usize::try_from(bill.attempts).ok().and_then(|made| seller.retry_days.get(made));
    let next = pause.map(|days| now.plus(days * DAY_US));
    tx.execute(
        "UPDATE billing_invoices SET attempts = attempts + 1, next_attempt_at = $3, \
         due_at = CASE WHEN due_at IS NULL OR due_at > $4 THEN $4 ELSE due_at END, updated_at = $4, version = version + 1 \
         WHERE company_id = $1 AND id = $2",
        &params![tenant.company, bill.id, next, now],
    )?;
    if let Some(next) = next {
        collect_later(tx, kernel, tenant.company, bill.id, bill.attempts + 1, next)?;
    }
    let (id, label) = (bill.id.to_string(), bill.label());
    let payload =
        json!({"number": bill.number, "due_minor": bill.due(), "currency": bill.currency, "next_attempt_at": next});
    super::written(tx, kernel, tenant, ("billing-invoices", "settle", "payment_failed"), (&id, &label), payload)?;
    bill::settle_subscription(tx, kernel, tenant, bill)
}

/// The operator notes money that came by bank or hand: `{"amount_minor"?, "reference"?, "note"?}`; all that is due unless said otherwise.
///
/// # Errors
/// 400, also for more than is due; 403 for everybody but superusers; 404; 409 `invalid_transition`, `payment_running`.
pub fn mark_paid(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid, body: Json) -> Result<()> {
    require_operator(tenant)?;
    let mut input = Input::new(body, false)?;
    let amount = input.integer("amount_minor", 1, i64::MAX);
    let reference = input.text("reference", 120).unwrap_or_default();
    let note = input.text("note", 300).unwrap_or_default();
    input.finish()?;
    let mut bill = bill::lock(tx, tenant.company, id)?;
    if !matches!(bill.status.as_str(), "open" | "uncollectible") || bill.kind != "invoice" {
        return Err(invalid_transition(&bill.status, "mark-paid", &[]));
    }
    require_none_running(tx, tenant.company, id)?;
    // Money that came after all opens what was written off.
    bill.status = "open".to_owned();
    let due = bill.due();
    let amount = amount.unwrap_or(due);
    if amount > due {
        return Err(Problem::field("amount_minor", "max_value", format!("Only {due} is due.")));
    }
    tx.execute(
        "UPDATE billing_invoices SET status = 'open', closed_at = NULL WHERE company_id = $1 AND id = $2",
        &params![tenant.company, id],
    )?;
    insert_settled(tx, kernel, tenant.company, &bill, account::MANUAL, amount, (&reference, &note))?;
    let payload = json!({"number": bill.number, "amount_minor": amount, "currency": bill.currency});
    super::written(
        tx,
        kernel,
        tenant,
        ("billing-invoices", "mark-paid", "payment_received"),
        (&id.to_string(), &bill.label()),
        payload,
    )?;
    apply(tx, kernel, tenant, &bill, amount)
}

fn insert_settled(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    company: CompanyId,
    bill: &Bill,
    collector: &str,
    amount: i64,
    (reference, note): (&str, &str),
) -> Result<()> {
    let (id, now) = (kernel.new_id(), kernel.now());
    tx.execute(
        "INSERT INTO billing_payments (company_id, id, invoice_id, collector, amount_minor, currency, status, provider_ref, note, \
         created_at, settled_at) VALUES ($1, $2, $3, $4, $5, $6, 'succeeded', $7, $8, $9, $9)",
        &params![company, id, bill.id, collector, amount, &bill.currency, reference, note, now],
    )?;
    Ok(())
}

/// What a company has too much, in a currency.
///
/// # Errors
/// The database's.
pub fn balance(reader: &mut Reader<'_>, company: CompanyId, currency: &str) -> Result<i64> {
    Ok(reader.one(
        "SELECT COALESCE(SUM(amount_minor), 0) FROM billing_credits WHERE company_id = $1 AND currency = $2",
        &params![company, currency],
        |row| row.i64(0),
    )?)
}

/// Every balance of a company that is not nothing.
///
/// # Errors
/// The database's.
pub fn balances(reader: &mut Reader<'_>, company: CompanyId) -> Result<Vec<(String, i64)>> {
    Ok(reader.query(
        "SELECT currency, SUM(amount_minor) FROM billing_credits WHERE company_id = $1 GROUP BY currency \
         HAVING SUM(amount_minor) <> 0 ORDER BY currency",
        &params![company],
        |row| Ok((row.text(0)?.to_owned(), row.i64(1)?)),
    )?)
}

/// An entry of a company's credit for a bill or credit note.
pub(super) fn give_credit(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    company: CompanyId,
    currency: &str,
    amount: i64,
    invoice: Uuid,
) -> Result<()> {
    tx.execute(
        "INSERT INTO billing_credits (company_id, id, currency, amount_minor, invoice_id, created_at) VALUES ($1, $2, $3, $4, $5, $6)",
        &params![company, kernel.new_id(), currency, amount, invoice, kernel.now()],
    )?;
    Ok(())
}

/// Pays a bill that was just opened from what the company has too much. Bills of a company take turns, so that nothing is spent twice.
pub(super) fn take_credit(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, invoice: Uuid) -> Result<()> {
    tx.lock(&format!("billing.credit:{}", tenant.company.0))?;
    let bill = bill::lock(tx, tenant.company, invoice)?;
    let amount = balance(tx, tenant.company, &bill.currency)?.min(bill.due());
    if amount > 0 {
        give_credit(tx, kernel, tenant.company, &bill.currency, -amount, invoice)?;
        insert_settled(tx, kernel, tenant.company, &bill, CREDIT, amount, ("", ""))?;
        apply(tx, kernel, tenant, &bill, amount)?;
    } else if bill.due() == 0 {
        bill::close(tx, kernel, tenant, &bill, "paid")?;
    }
    Ok(())
}

/// Attempts that nobody is working on any more, and bills whose next attempt was lost: asked for again. Run by the daily job.
pub(super) fn revive(tx: &mut Tx<'_>, kernel: &Kernel, company: CompanyId) -> Result<()> {
    let now = kernel.now();
    let lost = tx.query(
        "SELECT b.id FROM billing_invoices b WHERE b.company_id = $1 AND b.status = 'open' AND (b.next_attempt_at <= $2 OR EXISTS \
         (SELECT 1 FROM billing_payments p WHERE p.company_id = b.company_id AND p.invoice_id = b.id AND p.status IN ('pending', 'sent')))",
        &params![company, now],
        |row| row.uuid(0),
    )?;
    for invoice in lost {
        let key = format!("{COLLECT_JOB}:{}:{invoice}:day:{}", company.0, now.0.div_euclid(DAY_US));
        enqueue(tx, kernel, company, invoice, now, Some(&key))?;
    }
    Ok(())
}
