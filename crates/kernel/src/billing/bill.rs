//! Bills: drafted, opened with a number and never changed after, paid, voided or written off; corrected by credit notes only.
//!
//! The ledger holds by construction: totals are the sums of lines, what is paid is the sum of payments, and every change of a bill is made
//! under its row's lock.

use loopd_store::{Reader, Tx, Value, dialect, params};
use loopd_types::{CompanyId, Currency, DAY_US, Problem, Result, Timestamp, Uuid};
use serde_json::{Value as Json, json};

use super::{account, amount, letters, payment, require_operator, seller, tax};
use crate::access::Tenant;
use crate::company::invalid_transition;
use crate::input::Input;
use crate::listing::{Column, ColumnKind, Listing, column, searched};
use crate::{Kernel, audit, counter, subscription};

/// Bills and credit notes as the API shows them; newest first.
pub const LISTING: Listing = Listing {
    from: "billing_invoices b",
    columns: &COLUMNS,
    company: Some("b.company_id"),
    id: "b.id",
    order: "b.id DESC",
};
const COLUMNS: [Column; 25] = [
    column("id", "b.id", ColumnKind::Uuid),
    column("company", "b.company_id", ColumnKind::Company),
    column("kind", "b.kind", ColumnKind::Text),
    searched("number", "b.number").nullable(),
    column("status", "b.status", ColumnKind::Text),
    column("currency", "b.currency", ColumnKind::Text),
    column("subscription", "b.subscription_id", ColumnKind::Uuid).nullable(),
    column("corrects", "b.corrects", ColumnKind::Uuid).nullable(),
    column("reason", "b.reason", ColumnKind::Text),
    column("seller", "b.seller", ColumnKind::Json),
    column("customer", "b.customer", ColumnKind::Json),
    column("subtotal_minor", "b.subtotal_minor", ColumnKind::Int),
    column("discount_minor", "b.discount_minor", ColumnKind::Int),
    column("tax_minor", "b.tax_minor", ColumnKind::Int),
    column("total_minor", "b.total_minor", ColumnKind::Int),
    column("paid_minor", "b.paid_minor", ColumnKind::Int),
    column("credited_minor", "b.credited_minor", ColumnKind::Int),
    column("due_minor", DUE, ColumnKind::Int),
    column("opened_at", "b.opened_at", ColumnKind::Time).nullable(),
    column("due_at", "b.due_at", ColumnKind::Time).nullable(),
    column("closed_at", "b.closed_at", ColumnKind::Time).nullable(),
    column("next_attempt_at", "b.next_attempt_at", ColumnKind::Time).nullable(),
    column("created_at", "b.created_at", ColumnKind::Time),
    column("updated_at", "b.updated_at", ColumnKind::Time),
    column("version", "b.version", ColumnKind::Int),
];
const DUE: &str = "CASE WHEN b.status = 'open' THEN b.total_minor - b.paid_minor - b.credited_minor ELSE 0 END";

/// Lines of one bill.
pub const LINES: Listing = Listing {
    from: "billing_lines l",
    columns: &LINE_COLUMNS,
    company: Some("l.company_id"),
    id: "l.invoice_id",
    order: "l.position",
};
const LINE_COLUMNS: [Column; 15] = [
    column("kind", "l.kind", ColumnKind::Text),
    column("product", "l.product", ColumnKind::Text),
    column("description", "l.description", ColumnKind::Text),
    column("quantity", "l.quantity", ColumnKind::Int),
    column("unit_minor", "l.unit_minor", ColumnKind::Int).nullable(),
    column("amount_minor", "l.amount_minor", ColumnKind::Int),
    column("discount_minor", "l.discount_minor", ColumnKind::Int),
    column("tax_name", "l.tax_name", ColumnKind::Text),
    column("tax_ppm", "l.tax_ppm", ColumnKind::Int),
    column("tax_inclusive", "l.tax_inclusive", ColumnKind::Bool),
    column("tax_minor", "l.tax_minor", ColumnKind::Int),
    column("total_minor", "l.total_minor", ColumnKind::Int),
    column("starts_at", "l.starts_at", ColumnKind::Time).nullable(),
    column("ends_at", "l.ends_at", ColumnKind::Time).nullable(),
    column("position", "l.position", ColumnKind::Int),
];

/// What a bill is about to say.
#[derive(Clone, Debug)]
pub struct NewLine {
    /// `plan`, `seats`, `usage`, `unused`, `change`, `manual`.
    pub kind: &'static str,
    pub product: String,
    pub description: String,
    pub quantity: i64,
    /// None where units cost by tiers or by time.
    pub unit_minor: Option<i64>,
    pub amount_minor: i64,
    pub discount_minor: i64,
    pub starts_at: Option<Timestamp>,
    pub ends_at: Option<Timestamp>,
}

#[derive(Clone, Debug)]
pub struct NewBill {
    pub currency: String,
    pub subscription: Option<Uuid>,
    /// What it is made for: a second bill of the same cause is not made.
    pub cause: Option<String>,
    pub lines: Vec<NewLine>,
}

/// Most lines and the largest sum of a bill: far below where 64 bits end.
const MOST_LINES: usize = 200;
const MOST: i64 = 1_000_000_000_000_000;

/// Writes a draft. `None` when a bill of this cause is there already, or there is nothing to pay.
///
/// # Errors
/// The database's.
pub fn draft(tx: &mut Tx<'_>, kernel: &Kernel, company: CompanyId, new: &NewBill) -> Result<Option<Uuid>> {
    if new.lines.iter().all(|line| line.amount_minor == 0) {
        return Ok(None);
    }
    insert(tx, kernel, company, "invoice", None, new)
}

fn insert(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    company: CompanyId,
    kind: &str,
    corrects: Option<Uuid>,
    new: &NewBill,
) -> Result<Option<Uuid>> {
    let (id, now) = (kernel.new_id(), kernel.now());
    let inserted = tx.execute(
        "INSERT INTO billing_invoices (company_id, id, kind, status, currency, subscription_id, corrects, cause, seller, customer, \
         created_at, updated_at) VALUES ($1, $2, $3, 'draft', $4, $5, $6, $7, $8, $8, $9, $9) ON CONFLICT (company_id, cause) DO NOTHING",
        &params![
            company, id, kind, &new.currency, new.subscription, corrects, new.cause.clone(), Value::Json("{}".to_owned()), now
        ],
    )?;
    if inserted == 0 {
        return Ok(None);
    }
    let rate = match corrects {
        // A credit note takes back tax as it was asked, line by line.
        Some(_) => None,
        None => {
            let country = account::get(tx, company)?.country;
            Some(tax::rate(tx, &country, now)?)
        }
    };
    let rate = rate.unwrap_or_default();
    for (position, line) in new.lines.iter().enumerate() {
        write_line(tx, company, id, position, line, &rate)?;
    }
    total_up(tx, kernel, company, id)?;
    Ok(Some(id))
}

fn write_line(
    tx: &mut Tx<'_>,
    company: CompanyId,
    invoice: Uuid,
    position: usize,
    line: &NewLine,
    rate: &tax::Rate,
) -> Result<()> {
    let base = line.amount_minor - line.discount_minor;
    let tax = amount::tax(base, rate.ppm, rate.inclusive);
    let total = if rate.inclusive { base } else { base + tax };
    tx.push(
        "INSERT INTO billing_lines (company_id, invoice_id, position, kind, product, description, quantity, unit_minor, amount_minor, \
         discount_minor, tax_name, tax_ppm, tax_inclusive, tax_minor, total_minor, starts_at, ends_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
        params![
            company,
            invoice,
            i64::try_from(position + 1).unwrap_or(i64::MAX),
            line.kind,
            &line.product,
            &line.description,
            line.quantity,
            line.unit_minor,
            line.amount_minor,
            line.discount_minor,
            &rate.name,
            rate.ppm,
            rate.inclusive,
            tax,
            total,
            line.starts_at,
            line.ends_at
        ],
    )?;
    Ok(())
}

/// Makes a draft's totals the sums of its lines.
fn total_up(tx: &mut Tx<'_>, kernel: &Kernel, company: CompanyId, id: Uuid) -> Result<()> {
    let (tax, total, discount) = tx.one(
        "SELECT COALESCE(SUM(tax_minor), 0), COALESCE(SUM(total_minor), 0), COALESCE(SUM(discount_minor), 0) \
         FROM billing_lines WHERE company_id = $1 AND invoice_id = $2",
        &params![company, id],
        |row| Ok((row.i64(0)?, row.i64(1)?, row.i64(2)?)),
    )?;
    if total.abs() > MOST {
        return Err(Problem::field("lines", "max_value", "The sum of this bill is too large."));
    }
    tx.execute(
        "UPDATE billing_invoices SET subtotal_minor = $3, tax_minor = $4, total_minor = $5, discount_minor = $6, updated_at = $7 \
         WHERE company_id = $1 AND id = $2 AND status = 'draft'",
        &params![company, id, total - tax, tax, total, discount, kernel.now()],
    )?;
    Ok(())
}

/// Writes and opens the bill of `new`; what comes out as less than nothing becomes a credit note and the company's credit. `None` when it
/// was made before, or nothing is left to say.
///
/// # Errors
/// The database's.
pub fn issue(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, new: &NewBill) -> Result<Option<Uuid>> {
    let net: i64 = new.lines.iter().map(|line| line.amount_minor - line.discount_minor).sum();
    if net >= 0 {
        let Some(id) = draft(tx, kernel, tenant.company, new)? else { return Ok(None) };
        open(tx, kernel, tenant, id)?;
        return Ok(Some(id));
    }
    let mut reversed = new.clone();
    for line in &mut reversed.lines {
        (line.amount_minor, line.discount_minor) = (-line.amount_minor, -line.discount_minor);
        line.unit_minor = None;
    }
    let Some(id) = insert(tx, kernel, tenant.company, "credit_note", None, &reversed)? else { return Ok(None) };
    let (seller, account, now) = (seller::get(tx)?, account::get(tx, tenant.company)?, kernel.now());
    let number = next_number(tx, &seller.credit_note_prefix, "billing.credit_notes")?;
    let total = lock(tx, tenant.company, id)?.total;
    tx.execute(
        "UPDATE billing_invoices SET status = 'paid', number = $3, seller = $4, customer = $5, opened_at = $6, closed_at = $6 \
         WHERE company_id = $1 AND id = $2",
        &params![tenant.company, id, &number, seller_snapshot(&seller), account.snapshot(), now],
    )?;
    payment::give_credit(tx, kernel, tenant.company, &new.currency, total, id)?;
    let payload = json!({"number": number, "total_minor": total, "currency": new.currency});
    super::written(
        tx,
        kernel,
        tenant,
        ("billing-invoices", "credit-note", "credited"),
        (&id.to_string(), &number),
        payload,
    )?;
    Ok(Some(id))
}

/// A bill under its lock.
#[derive(Clone, Debug)]
pub struct Bill {
    pub id: Uuid,
    pub kind: String,
    pub number: Option<String>,
    pub status: String,
    pub currency: String,
    pub subscription: Option<Uuid>,
    pub total: i64,
    pub paid: i64,
    pub credited: i64,
    pub attempts: i64,
    pub next_attempt_at: Option<Timestamp>,
}

impl Bill {
    /// What is still to be paid.
    pub fn due(&self) -> i64 {
        if self.status == "open" { self.total - self.paid - self.credited } else { 0 }
    }
    pub fn label(&self) -> String {
        self.number.clone().unwrap_or_default()
    }
}

/// Reads a bill and keeps others from changing it until the transaction ends.
///
/// # Errors
/// 404.
pub fn lock(tx: &mut Tx<'_>, company: CompanyId, id: Uuid) -> Result<Bill> {
    let sql = format!(
        "SELECT kind, number, status, currency, subscription_id, total_minor, paid_minor, credited_minor, attempts, next_attempt_at \
         FROM billing_invoices WHERE company_id = $1 AND id = $2{}",
        dialect::for_update(tx.engine())
    );
    tx.first(&sql, &params![company, id], |row| {
        Ok(Bill {
            id,
            kind: row.text(0)?.to_owned(),
            number: row.opt_text(1)?.map(str::to_owned),
            status: row.text(2)?.to_owned(),
            currency: row.text(3)?.to_owned(),
            subscription: row.opt_uuid(4)?,
            total: row.i64(5)?,
            paid: row.i64(6)?,
            credited: row.i64(7)?,
            attempts: row.i64(8)?,
            next_attempt_at: row.opt_time(9)?,
        })
    })?
    .ok_or_else(Problem::not_found)
}

/// The actions that a status allows.
fn allowed(status: &str) -> &'static [&'static str] {
    match status {
        "draft" => &["finalize", "void"],
        "open" => &["pay", "mark-paid", "void", "mark-uncollectible", "credit-note"],
        "paid" => &["credit-note"],
        "uncollectible" => &["mark-paid"],
        _ => &[],
    }
}

fn require(bill: &Bill, action: &str) -> Result<()> {
    let fits = allowed(&bill.status).contains(&action) && bill.kind == "invoice";
    if fits { Ok(()) } else { Err(invalid_transition(&bill.status, action, allowed(&bill.status))) }
}

/// Opens a draft: gives it its number, the seller and the customer as they are now, takes what the company has too much, and sees to the
/// collection. The transaction needs a view of the installation, whose counter numbers all bills without a gap.
///
/// # Errors
/// 404; 409 `invalid_transition`.
pub fn open(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid) -> Result<()> {
    let bill = lock(tx, tenant.company, id)?;
    require(&bill, "finalize")?;
    let (seller, account, now) = (seller::get(tx)?, account::get(tx, tenant.company)?, kernel.now());
    let number = next_number(tx, &seller.invoice_prefix, "billing.invoices")?;
    let is_manual =
        account.payment_method == account::MANUAL || kernel.collectors().find(&account.payment_method).is_none();
    // Who is asked automatically has a day for that to succeed before anything is overdue.
    let days = if is_manual { seller.payment_days } else { 1 };
    tx.execute(
        "UPDATE billing_invoices SET status = 'open', number = $3, seller = $4, customer = $5, opened_at = $6, due_at = $7, \
         next_attempt_at = $8, updated_at = $6, version = version + 1 WHERE company_id = $1 AND id = $2",
        &params![
            tenant.company,
            id,
            &number,
            seller_snapshot(&seller),
            account.snapshot(),
            now,
            now.plus(days * DAY_US),
            (!is_manual).then_some(now)
        ],
    )?;
    let payload = json!({"number": number, "total_minor": bill.total, "currency": bill.currency});
    super::written(
        tx,
        kernel,
        tenant,
        ("billing-invoices", "finalize", "opened"),
        (&id.to_string(), &number),
        payload,
    )?;
    let bill = lock(tx, tenant.company, id)?;
    letters::opened(tx, kernel, tenant, &bill, now.plus(days * DAY_US))?;
    payment::take_credit(tx, kernel, tenant, id)?;
    if !is_manual {
        payment::collect_later(tx, kernel, tenant.company, id, 0, now)?;
    }
    Ok(())
}

fn seller_snapshot(seller: &seller::Seller) -> Json {
    json!({"name": seller.name, "address": seller.address, "country": seller.country, "tax_id": seller.tax_id,
        "email": seller.email, "instructions": seller.instructions})
}

fn next_number(tx: &mut Tx<'_>, prefix: &str, series: &str) -> Result<String> {
    Ok(format!("{prefix}{:06}", counter::next(tx, audit::INSTALLATION, series)?))
}

/// A draft with lines of the operator's own: `{"currency", "lines": [{"description", "quantity", "unit_minor"}]}`.
///
/// # Errors
/// 400; 403 for everybody but superusers.
pub fn create(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, body: Json) -> Result<Uuid> {
    require_operator(tenant)?;
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Line {
        description: String,
        #[serde(default = "one")]
        quantity: i64,
        unit_minor: i64,
    }
    fn one() -> i64 {
        1
    }
    let mut input = Input::new(body, false)?;
    let currency = input.text("currency", 4).unwrap_or_else(|| tenant.currency().to_owned());
    if Currency::parse(&currency).is_none() {
        input.refuse("currency", "invalid_choice", format!("\"{currency}\" is not a valid choice."));
    }
    let lines: Vec<Line> = input.typed("lines", "a list of lines").unwrap_or_default();
    if lines.is_empty() || lines.len() > MOST_LINES {
        input.refuse("lines", "invalid", format!("One to {MOST_LINES} lines."));
    }
    for line in &lines {
        let is_sound = (1..=1_000_000).contains(&line.quantity) && (0..=1_000_000_000).contains(&line.unit_minor);
        if !is_sound || line.description.trim().is_empty() || line.description.chars().count() > 300 {
            input.refuse(
                "lines",
                "invalid",
                "A description, a quantity from 1 and a price of whole minor units from 0.",
            );
        }
    }
    input.finish()?;
    let lines = lines.into_iter().map(|line| NewLine {
        kind: "manual",
        product: String::new(),
        description: line.description.trim().to_owned(),
        quantity: line.quantity,
        unit_minor: Some(line.unit_minor),
        amount_minor: line.quantity * line.unit_minor,
        discount_minor: 0,
        starts_at: None,
        ends_at: None,
    });
    let new = NewBill { currency, subscription: None, cause: None, lines: lines.collect() };
    let id = draft(tx, kernel, tenant.company, &new)?
        .ok_or_else(|| Problem::field("lines", "invalid", "There is nothing to pay on this bill."))?;
    let payload = json!({"currency": new.currency});
    super::written(tx, kernel, tenant, ("billing-invoices", "create", "created"), (&id.to_string(), ""), payload)?;
    Ok(id)
}

/// Finalizes, voids or writes off.
///
/// # Errors
/// 403 for everybody but superusers; 404; 409 `invalid_transition`, `payment_running`, and `already_paid` for voiding what was paid in part.
pub fn act(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid, action: &str) -> Result<()> {
    require_operator(tenant)?;
    if action == "finalize" {
        return open(tx, kernel, tenant, id);
    }
    let bill = lock(tx, tenant.company, id)?;
    require(&bill, action)?;
    payment::require_none_running(tx, tenant.company, id)?;
    let (status, past) = match action {
        "void" if bill.paid > 0 || bill.credited > 0 => {
            return Err(Problem::conflict(
                "already_paid",
                "A part of this bill is settled; correct the rest with a credit note.",
            ));
        }
        "void" => ("void", "voided"),
        "mark-uncollectible" => ("uncollectible", "marked_uncollectible"),
        other => return Err(Problem::internal(format!("no bill action {other}"))),
    };
    close(tx, kernel, tenant, &bill, status)?;
    let payload = json!({"status": [bill.status, status]});
    super::written(tx, kernel, tenant, ("billing-invoices", action, past), (&id.to_string(), &bill.label()), payload)?;
    settle_subscription(tx, kernel, tenant, &bill)
}

/// Ends a bill's life in `status`.
pub(super) fn close(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, bill: &Bill, status: &str) -> Result<()> {
    tx.execute(
        "UPDATE billing_invoices SET status = $3, closed_at = $4, next_attempt_at = NULL, updated_at = $4, version = version + 1 \
         WHERE company_id = $1 AND id = $2",
        &params![tenant.company, bill.id, status, kernel.now()],
    )?;
    Ok(())
}

/// A bill that is no longer owed may free its subscription.
pub(super) fn settle_subscription(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, bill: &Bill) -> Result<()> {
    match bill.subscription {
        Some(subscription) => subscription::settle(tx, kernel, tenant, subscription),
        None => Ok(()),
    }
}

/// Takes back a part of a bill, or all that is left of it: `{"amount_minor"?, "reason"}`. What was paid already becomes the company's credit.
///
/// # Errors
/// 400; 403 for everybody but superusers; 404; 409 `invalid_transition`, `payment_running`.
pub fn credit_note(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid, body: Json) -> Result<Uuid> {
    require_operator(tenant)?;
    let mut input = Input::new(body, false)?;
    let amount = input.integer("amount_minor", 1, MOST);
    let reason = input.required_text("reason", 300);
    input.finish()?;
    let bill = lock(tx, tenant.company, id)?;
    require(&bill, "credit-note")?;
    payment::require_none_running(tx, tenant.company, id)?;
    let left = bill.total - bill.credited;
    let amount = amount.unwrap_or(left);
    if amount > left || left <= 0 {
        let words = format!("At most {left} of this bill can be taken back.");
        return Err(Problem::field("amount_minor", "max_value", words));
    }
    let note = write_note(tx, kernel, tenant, &bill, amount, &reason.unwrap_or_default())?;
    let back = (amount - bill.due()).max(0);
    tx.execute(
        "UPDATE billing_invoices SET credited_minor = credited_minor + $3, updated_at = $4, version = version + 1 \
         WHERE company_id = $1 AND id = $2",
        &params![tenant.company, id, amount, kernel.now()],
    )?;
    if back > 0 {
        payment::give_credit(tx, kernel, tenant.company, &bill.currency, back, note)?;
    }
    let bill = lock(tx, tenant.company, id)?;
    if bill.status == "open" && bill.due() <= 0 {
        close(tx, kernel, tenant, &bill, "paid")?;
        settle_subscription(tx, kernel, tenant, &bill)?;
    }
    Ok(note)
}

/// A credit note over `amount` of `bill`: its tax is taken back in the proportion of the lines.
fn write_note(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    bill: &Bill,
    amount: i64,
    reason: &str,
) -> Result<Uuid> {
    let (id, now) = (kernel.new_id(), kernel.now());
    let seller = seller::get(tx)?;
    let number = next_number(tx, &seller.credit_note_prefix, "billing.credit_notes")?;
    let lines = tx.query(
        "SELECT description, total_minor, tax_minor, tax_name, tax_ppm, tax_inclusive, product FROM billing_lines \
         WHERE company_id = $1 AND invoice_id = $2 ORDER BY position",
        &params![tenant.company, bill.id],
        |row| {
            Ok((
                row.text(0)?.to_owned(),
                row.i64(1)?,
                row.i64(2)?,
                row.text(3)?.to_owned(),
                row.i64(4)?,
                row.bool(5)?,
                row.text(6)?.to_owned(),
            ))
        },
    )?;
    let totals: Vec<i64> = lines.iter().map(|line| line.1).collect();
    let parts = amount::divide(amount, &totals);
    let tax_of = |part: i64, ppm: i64| amount::tax(part, ppm, true);
    let tax: i64 = lines.iter().zip(&parts).map(|(line, part)| tax_of(*part, line.4)).sum();
    tx.execute(
        "INSERT INTO billing_invoices (company_id, id, kind, number, status, currency, subscription_id, corrects, reason, seller, customer, \
         subtotal_minor, tax_minor, total_minor, opened_at, closed_at, created_at, updated_at) \
         SELECT company_id, $3, 'credit_note', $4, 'paid', currency, subscription_id, id, $5, seller, customer, $6, $7, $8, $9, $9, $9, $9 \
         FROM billing_invoices WHERE company_id = $1 AND id = $2",
        &params![tenant.company, bill.id, id, &number, reason, amount - tax, tax, amount, now],
    )?;
    for (position, (line, part)) in lines.iter().zip(&parts).filter(|(_, part)| **part != 0).enumerate() {
        let (description, _, _, tax_name, ppm, inclusive, product) = line;
        let tax = tax_of(*part, *ppm);
        let base = if *inclusive { *part } else { part - tax };
        tx.push(
            "INSERT INTO billing_lines (company_id, invoice_id, position, kind, product, description, quantity, amount_minor, tax_name, \
             tax_ppm, tax_inclusive, tax_minor, total_minor) VALUES ($1, $2, $3, 'credit', $4, $5, 1, $6, $7, $8, $9, $10, $11)",
            params![
                tenant.company,
                id,
                i64::try_from(position + 1).unwrap_or(i64::MAX),
                product,
                description,
                base,
                tax_name,
                *ppm,
                *inclusive,
                tax,
                *part
            ],
        )?;
    }
    let payload = json!({"number": number, "corrects": bill.number, "total_minor": amount, "currency": bill.currency});
    super::written(
        tx,
        kernel,
        tenant,
        ("billing-invoices", "credit-note", "credited"),
        (&id.to_string(), &number),
        payload,
    )?;
    Ok(id)
}

/// Whether a bill of this subscription is overdue.
///
/// # Errors
/// The database's.
pub fn is_overdue(reader: &mut Reader<'_>, company: CompanyId, subscription: Uuid, now: Timestamp) -> Result<bool> {
    let found = reader.first(
        "SELECT id FROM billing_invoices WHERE company_id = $1 AND subscription_id = $2 AND kind = 'invoice' AND status = 'open' \
         AND due_at <= $3 LIMIT 1",
        &params![company, subscription, now],
        |row| row.uuid(0),
    )?;
    Ok(found.is_some())
}
