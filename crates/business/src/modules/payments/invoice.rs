//! The rules of invoices: what is computed, what may change when, and what each action does.

use jiff::tz::TimeZone;
use loopd_kernel::job::{self, NewJob};
use loopd_kernel::messenger::{self, Notice, Purpose, Said, Why};
use loopd_types::Money;
use serde_json::json;

use super::{
    CREDIT_NOTES, CUSTOMERS, INVOICES, PAYMENTS, TAX_RATES, currency_of, decimal_words, ledger, totals, workspace_of,
};
use crate::define::*;
use crate::modules::text_of;

/// The kind of job that looks at an invoice when its due date is over.
pub const OVERDUE_JOB: &str = "payments.overdue";

/// What nobody changes once an invoice is issued.
const FROZEN: [&str; 5] = ["customer", "currency", "amount", "source_module", "source_id"];

/// The read-only figures of one line.
pub fn compute_line(_: &Record, line: &mut Line) -> Result<()> {
    let figures =
        totals::line(line.minor("qty"), line.minor("unit_price"), line.minor("tax_rate"), line.minor("discount"))?;
    line.set("subtotal", figures.gross);
    line.set("tax_amount", figures.tax);
    line.set("total", figures.total);
    Ok(())
}

fn sum(invoice: &Record, field: &str) -> i64 {
    // 500 lines of at most `MOST_MINOR` each cannot overflow
    invoice.lines("lines").iter().map(|line| line.minor(field)).sum()
}

pub fn subtotal(invoice: &Record) -> Value {
    let lines = invoice.lines("lines");
    Value::Int(if lines.is_empty() { invoice.minor("amount") } else { sum(invoice, "subtotal") })
}
pub fn discount_total(invoice: &Record) -> Value {
    Value::Int(sum(invoice, "discount"))
}
pub fn tax_total(invoice: &Record) -> Value {
    Value::Int(sum(invoice, "tax_amount"))
}
pub fn total(invoice: &Record) -> Value {
    let lines = invoice.lines("lines");
    Value::Int(if lines.is_empty() { invoice.minor("amount") } else { sum(invoice, "total") })
}
pub fn amount_due(invoice: &Record) -> Value {
    Value::Int(balance(invoice).max(0))
}
pub fn amount_overpaid(invoice: &Record) -> Value {
    Value::Int((-balance(invoice)).max(0))
}

/// What is owed (above zero) or was paid too much (below). A void invoice is owed nothing.
pub fn balance(invoice: &Record) -> i64 {
    let owed = match invoice.status() {
        "void" => 0,
        _ => invoice.minor("total") - invoice.minor("amount_credited") - invoice.minor("amount_written_off"),
    };
    owed - invoice.minor("amount_paid") + invoice.minor("amount_refunded")
}

/// Where an issued invoice stands, by its balance.
pub fn settle_status(invoice: &mut Record, now: Timestamp) {
    if matches!(invoice.status(), "draft" | "void") {
        return;
    }
    let paid = invoice.minor("amount_paid") - invoice.minor("amount_refunded");
    let status = match balance(invoice) {
        due if due <= 0 && invoice.status() == "uncollectible" => "uncollectible",
        due if due <= 0 => "paid",
        _ if paid > 0 => "partially_paid",
        _ => "open",
    };
    match status {
        "paid" if !invoice.has("paid_at") => invoice.set("paid_at", now),
        "open" | "partially_paid" => invoice.set("paid_at", Value::Null),
        _ => {}
    }
    invoice.set_status(status);
}

/// Lines take over the percentage of the tax rate they name; where there are lines, they decide and not `amount`.
pub fn prepare(cx: &mut Cx<'_, '_>, invoice: &mut Record) -> Result<()> {
    if invoice.lines("lines").is_empty() {
        return Ok(());
    }
    if invoice.has("amount") {
        invoice.set("amount", Value::Null);
    }
    let wanted: Vec<(usize, Uuid)> = invoice
        .lines("lines")
        .iter()
        .enumerate()
        .filter(|(_, line)| !line.has("tax_rate"))
        .filter_map(|(at, line)| Some((at, line.id_in("tax")?)))
        .collect();
    for (at, tax) in wanted {
        let rate = cx.get(TAX_RATES, tax)?.int("rate");
        if let Some(line) = invoice.lines_mut("lines").and_then(|lines| lines.get_mut(at)) {
            line.set("tax_rate", rate);
        }
    }
    Ok(())
}

/// A draft may change; of an issued invoice only words and dates.
pub fn protect(cx: &mut Cx<'_, '_>, before: &Record, invoice: &mut Record) -> Result<()> {
    if before.status() == "draft" {
        return prepare(cx, invoice);
    }
    let is_frozen = FROZEN.iter().any(|field| before.value(field) != invoice.value(field));
    if is_frozen || before.lines("lines") != invoice.lines("lines") {
        return Err(Problem::conflict(
            "invoice_not_draft",
            "An issued invoice cannot be changed; write a credit note, or void it and make another.",
        ));
    }
    Ok(())
}

/// Runs before every write: bounds, and whether it is overdue today.
pub fn check(cx: &mut Cx<'_, '_>, invoice: &mut Record) -> Result<()> {
    if invoice.minor("amount") < 0 {
        return Err(Problem::field("amount", "min_value", "Ensure this value is greater than or equal to 0."));
    }
    if invoice.minor("amount") > totals::MOST_MINOR {
        return Err(Problem::field("amount", "max_value", "The amount is too large."));
    }
    let is_owed = matches!(invoice.status(), "open" | "partially_paid");
    let is_overdue = is_owed && invoice.date("due_date").is_some_and(|day| day < cx.today());
    invoice.set("is_overdue", is_overdue);
    Ok(())
}

/// Only drafts can be deleted: what was issued stays, as void if need be.
pub fn require_draft(_: &mut Cx<'_, '_>, invoice: &mut Record) -> Result<()> {
    match invoice.status() {
        "draft" => Ok(()),
        _ => Err(Problem::conflict("invoice_not_draft", "An issued invoice cannot be deleted; void it instead.")),
    }
}

pub fn require_total(_: &mut Cx<'_, '_>, invoice: &mut Record, _: &Input) -> Result<()> {
    if invoice.minor("total") > 0 {
        return Ok(());
    }
    Err(Problem::field("lines", "required", "Add lines, or an amount, of more than zero first."))
}

/// The customer's terms set the due date when the invoice names none.
pub fn set_terms(cx: &mut Cx<'_, '_>, invoice: &mut Record, _: &Input) -> Result<()> {
    let Some(customer) = invoice.id_in("customer").filter(|_| !invoice.has("due_date")) else { return Ok(()) };
    let terms = cx.find(CUSTOMERS, customer)?.and_then(|customer| customer.int("payment_terms_days"));
    if let Some(days) = terms {
        let due = cx.today().checked_add(jiff::Span::new().days(days)).map_err(Problem::internal)?;
        invoice.set("due_date", due.to_string());
    }
    Ok(())
}

pub fn issue(cx: &mut Cx<'_, '_>, invoice: &mut Record, _: &Input) -> Result<()> {
    ledger::invoice_issued(cx, invoice)?;
    watch_due_date(cx, invoice)
}

/// A due date that moved is watched again.
pub fn reschedule(cx: &mut Cx<'_, '_>, before: &Record, invoice: &mut Record) -> Result<()> {
    let is_owed = matches!(invoice.status(), "open" | "partially_paid");
    if is_owed && before.value("due_date") != invoice.value("due_date") { watch_due_date(cx, invoice) } else { Ok(()) }
}

/// Has the invoice looked at when its due date is over, in the company's time zone.
fn watch_due_date(cx: &mut Cx<'_, '_>, invoice: &Record) -> Result<()> {
    let Some(day) = invoice.date("due_date") else { return Ok(()) };
    let zone = TimeZone::get(cx.tenant.timezone()).unwrap_or(TimeZone::UTC);
    let over = day.tomorrow().and_then(|day| day.to_zoned(zone)).map_err(Problem::internal)?;
    let key = format!("{OVERDUE_JOB}:{}:{day}", invoice.id());
    let job = NewJob {
        kind: OVERDUE_JOB,
        company: cx.company(),
        payload: json!({"invoice": invoice.id().to_string()}).to_string(),
        run_at: Timestamp(over.timestamp().as_microsecond()),
        unique_key: Some(&key),
    };
    Ok(job::enqueue(cx.tx, cx.engine.kernel.as_ref(), &job)?)
}

pub fn record_payment(cx: &mut Cx<'_, '_>, invoice: &mut Record, input: &Input) -> Result<()> {
    let amount = input.int("amount").unwrap_or_else(|| balance(invoice));
    let method = input.text("method").unwrap_or("cash").to_owned();
    pay(cx, invoice, amount, &method, input.text("reference"))
}

pub fn mark_paid(cx: &mut Cx<'_, '_>, invoice: &mut Record, input: &Input) -> Result<()> {
    pay(cx, invoice, balance(invoice), "other", input.text("reference"))
}

/// Makes a payment and confirms it, as a client would in two calls.
fn pay(cx: &mut Cx<'_, '_>, invoice: &Record, amount: i64, method: &str, reference: Option<&str>) -> Result<()> {
    let currency = currency_of(invoice)?;
    let body = json!({
        "invoice": invoice.id().to_string(), "method": method, "currency": currency.code(),
        "amount": decimal_words(amount, currency), "reference": reference, "workspace": workspace_of(invoice),
    });
    let payment = cx.create(PAYMENTS, &body)?;
    cx.act(PAYMENTS, payment.id(), "confirm", &json!({}))?;
    Ok(())
}

/// What has been asked of a provider and not been answered yet, for this invoice.
pub fn waiting(cx: &mut Cx<'_, '_>, invoice: Uuid, except: Option<Uuid>) -> Result<i64> {
    let mut which = waiting_for(invoice);
    if let Some(payment) = except {
        which = which.except(payment);
    }
    cx.sum(PAYMENTS, "amount", &which)
}

/// The payments that are on their way to an invoice.
pub fn waiting_for(invoice: Uuid) -> Where {
    Where::new().eq("invoice", invoice).eq("status", "pending").set("initiated_at")
}

/// Money that is on its way must find the invoice as it was when it was asked for.
pub fn require_no_waiting(cx: &mut Cx<'_, '_>, invoice: &mut Record, _: &Input) -> Result<()> {
    if waiting(cx, invoice.id(), None)? > 0 {
        return Err(payment_in_progress());
    }
    Ok(())
}

pub fn payment_in_progress() -> Problem {
    Problem::conflict(
        "payment_in_progress",
        "A payment for this invoice is under way; wait until it is known what became of it.",
    )
}

pub fn require_unpaid(cx: &mut Cx<'_, '_>, invoice: &mut Record, input: &Input) -> Result<()> {
    if invoice.minor("amount_paid") != invoice.minor("amount_refunded") {
        return Err(Problem::conflict("invoice_paid", "Something was paid on this invoice; refund it first."));
    }
    require_no_waiting(cx, invoice, input)
}

pub fn void(cx: &mut Cx<'_, '_>, invoice: &mut Record, _: &Input) -> Result<()> {
    if invoice.has("issued_at") { ledger::invoice_voided(cx, invoice) } else { Ok(()) }
}

pub fn write_off(_: &mut Cx<'_, '_>, invoice: &mut Record, _: &Input) -> Result<()> {
    let given_up = invoice.minor("amount_written_off") + balance(invoice);
    invoice.set("amount_written_off", given_up);
    Ok(())
}

pub fn post_write_off(cx: &mut Cx<'_, '_>, invoice: &mut Record, _: &Input) -> Result<()> {
    let before = invoice.original().map_or(0, |before| before.minor("amount_written_off"));
    let given_up = invoice.minor("amount_written_off") - before;
    let cause =
        ledger::Cause { kind: "write_off", invoice: Some(invoice.id()), memo: invoice.number(), ..Default::default() };
    ledger::post(cx, currency_of(invoice)?, cause, &[("write_offs", given_up), ("receivable", -given_up)])
}

/// Writes to the customer what they owe, when whoever sends the invoice wants it so; once for each sending.
pub fn deliver(cx: &mut Cx<'_, '_>, invoice: &mut Record, input: &Input) -> Result<()> {
    if !input.is("by_message") {
        return Ok(());
    }
    let customer = match invoice.id_in("customer") {
        Some(id) => cx.find(CUSTOMERS, id)?,
        None => None,
    };
    let unsaid = |why: Why| Problem::conflict(why.as_str(), why.words());
    let customer = customer.filter(|customer| customer.has("phone")).ok_or_else(|| unsaid(Why::NoPhone))?;
    let currency = currency_of(invoice)?;
    let due = Money { minor: balance(invoice).max(0), currency }.to_string();
    let (name, company, number) = (customer.title(), cx.tenant.company_name(), invoice.number());
    let day = invoice.date("due_date").map(|day| day.to_string());
    let text = match (cx.tenant.language(), &day) {
        ("fr", Some(day)) => {
            format!("Bonjour {name}, voici la facture {number} de {company} : {due} à payer avant le {day}.")
        }
        ("fr", None) => format!("Bonjour {name}, voici la facture {number} de {company} : {due} à payer."),
        ("rw", Some(day)) => {
            format!("Muraho {name}, iyi ni inyemezabuguzi {number} ya {company}: {due}, bitarenze {day}.")
        }
        ("rw", None) => format!("Muraho {name}, iyi ni inyemezabuguzi {number} ya {company}: {due}."),
        (_, Some(day)) => format!("Hello {name}, this is invoice {number} of {company}: {due} to pay by {day}."),
        (_, None) => format!("Hello {name}, this is invoice {number} of {company}: {due} to pay."),
    };
    let notes = invoice.text("notes").map(str::trim).filter(|notes| !notes.is_empty());
    let text = notes.map_or_else(|| text.clone(), |notes| format!("{text}\n\n{notes}"));
    let reference = format!("payments.invoice:{}:{}", invoice.id(), cx.now().micros());
    let words = [
        ("name", name),
        ("company", company),
        ("number", number),
        ("amount", due.as_str()),
        ("due_date", day.as_deref().unwrap_or_default()),
    ];
    let notice = Notice {
        purpose: Purpose::Invoice,
        reference: &reference,
        phone: customer.text("phone").unwrap_or_default(),
        name,
        text: &text.chars().take(TEXT_MOST).collect::<String>(),
        language: cx.tenant.language(),
        words: &words,
        module: "payments",
        resource: "invoices",
        id: invoice.id(),
        label: number,
        person: Some((CUSTOMERS, customer.id())),
        expires_at: None,
    };
    match messenger::say(cx.tx, cx.engine.kernel.as_ref(), cx.tenant, &notice)? {
        Said::Unsaid(why) => Err(unsaid(why)),
        Said::OnItsWay { .. } | Said::Before => Ok(()),
    }
}

/// Characters of a message.
const TEXT_MOST: usize = 4_000;

/// How much a credit note takes off: what was asked for, else what is due, else all that is not credited yet.
fn credit_amount(invoice: &Record, input: &Input) -> i64 {
    let left = invoice.minor("total") - invoice.minor("amount_credited");
    let due = balance(invoice);
    input.int("amount").unwrap_or(if due > 0 { due.min(left) } else { left })
}

pub fn require_creditable(cx: &mut Cx<'_, '_>, invoice: &mut Record, input: &Input) -> Result<()> {
    let amount = credit_amount(invoice, input);
    if amount <= 0 {
        return Err(Problem::field("amount", "min_value", "Ensure this value is greater than 0."));
    }
    if amount > invoice.minor("total") - invoice.minor("amount_credited") {
        return Err(Problem::field("amount", "max_value", "No more can be credited than was invoiced."));
    }
    let waiting = waiting(cx, invoice.id(), None)?;
    if waiting > 0 && balance(invoice) - amount < waiting {
        return Err(payment_in_progress());
    }
    Ok(())
}

pub fn credit(cx: &mut Cx<'_, '_>, invoice: &mut Record, input: &Input) -> Result<()> {
    let credited = invoice.minor("amount_credited") + credit_amount(invoice, input);
    invoice.set("amount_credited", credited);
    settle_status(invoice, cx.now());
    Ok(())
}

pub fn post_credit(cx: &mut Cx<'_, '_>, invoice: &mut Record, input: &Input) -> Result<()> {
    let Some(before) = invoice.original().cloned() else {
        return Err(Problem::internal("a credit note without a before"));
    };
    let amount = invoice.minor("amount_credited") - before.minor("amount_credited");
    let tax = ledger::invoice_credited(cx, invoice, amount, balance(&before), balance(invoice))?;
    let currency = currency_of(invoice)?;
    let body = json!({
        "invoice": invoice.id().to_string(), "customer": text_of(invoice.id_in("customer")), "currency": currency.code(),
        "amount": decimal_words(amount, currency), "tax_amount": decimal_words(tax, currency),
        "reason": input.text("reason"), "issued_at": cx.now().to_string(), "workspace": workspace_of(invoice),
    });
    cx.create(CREDIT_NOTES, &body)?;
    Ok(())
}

/// A customer with invoices or payments stays: receipts and ledgers name them.
pub fn require_no_documents(cx: &mut Cx<'_, '_>, customer: &mut Record) -> Result<()> {
    let theirs = Where::new().eq("customer", customer.id());
    if cx.count(INVOICES, &theirs)? + cx.count(PAYMENTS, &theirs)? == 0 {
        return Ok(());
    }
    Err(Problem::conflict(
        "customer_in_use",
        "This customer has invoices or payments, so they cannot be deleted; archive them instead.",
    ))
}

/// Locks the invoice of a payment, so that its balance stays what it is until this transaction ends.
pub fn lock(cx: &mut Cx<'_, '_>, id: Uuid) -> Result<Record> {
    cx.lock(INVOICES, id)
}
