//! Tickets in the database.

mod comment;
mod listing;

use loopd_kernel::{Kernel, Tenant, audit, counter};
use loopd_store::{Reader, Row, StoreError, Tx, dialect, params};
use loopd_types::{CompanyId, Problem, Result, Uuid};
use loopd_web::cursor::Page;
use serde_json::{Map, Value as Json, json};

use super::{Content, FIRST_NUMBER, Ticket, wire};
use crate::mask::Numbers;
use crate::{PRODUCT, contact, report};

pub use comment::{Comment, comment, comments};
pub use listing::{LISTING, MASKED, veil};

/// The series of references.
const SERIES: &str = "wave.tickets";

const SELECT: &str = "SELECT id, ref, subject, description, customer_name, customer_phone, customer_email, status, priority, assignee_id, \
     assignee_name, tag, chat_id, contact_id, due_at, comment_count, resolved_at, closed_at, created_by, created_at, updated_at \
     FROM wave_tickets";

fn read(row: &Row<'_>) -> Result<Ticket, StoreError> {
    let text = |index: usize| Ok::<_, StoreError>(row.opt_text(index)?.map(str::to_owned));
    Ok(Ticket {
        id: row.uuid(0)?,
        reference: row.text(1)?.to_owned(),
        content: Content {
            subject: row.text(2)?.to_owned(),
            description: row.text(3)?.to_owned(),
            customer_name: text(4)?,
            customer_phone: text(5)?,
            customer_email: text(6)?,
            status: row.text(7)?.to_owned(),
            priority: row.text(8)?.to_owned(),
            assignee_id: row.opt_uuid(9)?,
            assignee_name: text(10)?,
            tag: text(11)?,
            chat_id: row.opt_uuid(12)?,
            contact_id: row.opt_uuid(13)?,
            due_at: row.opt_time(14)?,
        },
        comment_count: row.i64(15)?,
        resolved_at: row.opt_time(16)?,
        closed_at: row.opt_time(17)?,
        created_by: row.opt_uuid(18)?,
        created_at: row.time(19)?,
        updated_at: row.time(20)?,
    })
}

/// # Errors
/// 404.
pub fn get(reader: &mut Reader<'_>, company: CompanyId, id: Uuid) -> Result<Ticket> {
    let sql = format!("{SELECT} WHERE company_id = $1 AND id = $2 AND deleted_at IS NULL");
    reader.first(&sql, &params![company, id], read)?.ok_or_else(Problem::not_found)
}

/// As [`get`], held until the transaction ends.
///
/// # Errors
/// 404.
pub fn lock(tx: &mut Tx<'_>, company: CompanyId, id: Uuid) -> Result<Ticket> {
    let locked = dialect::for_update(tx.engine());
    let sql = format!("{SELECT} WHERE company_id = $1 AND id = $2 AND deleted_at IS NULL{locked}");
    tx.first(&sql, &params![company, id], read)?.ok_or_else(Problem::not_found)
}

/// The telephone numbers of a ticket's customer.
///
/// # Errors
/// The database's.
pub fn numbers(reader: &mut Reader<'_>, company: CompanyId, content: &Content) -> Result<Numbers, StoreError> {
    let known = contact::store::phones(reader, &[company], content.contact_id.as_slice())?;
    Ok(Numbers::of(known.values().flatten().chain(&content.customer_phone).map(String::as_str)))
}

/// Which tickets.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub status: Option<String>,
    pub priority: Option<String>,
    pub assignee: Option<Uuid>,
}

/// A page of tickets, newest first; one more than the page has, if there are more.
pub fn list(
    reader: &mut Reader<'_>,
    company: CompanyId,
    filter: &Filter,
    page: &Page,
) -> Result<Vec<Ticket>, StoreError> {
    let (at, id) = page.before();
    let mut sql = format!("{SELECT} WHERE company_id = $1 AND deleted_at IS NULL AND (created_at, id) < ($2, $3)");
    let mut values = params![company, at, id].to_vec();
    for (column, value) in [
        ("status", filter.status.clone().map(loopd_store::Value::from)),
        ("priority", filter.priority.clone().map(loopd_store::Value::from)),
        ("assignee_id", filter.assignee.map(loopd_store::Value::from)),
    ] {
        if let Some(value) = value {
            values.push(value);
            sql.push_str(&format!(" AND {column} = ${}", values.len()));
        }
    }
    sql.push_str(&format!(" ORDER BY created_at DESC, id DESC LIMIT {}", page.limit + 1));
    reader.query(&sql, &values, read)
}

/// Opens a ticket under the company's next reference.
///
/// # Errors
/// 503 from the database.
pub fn create(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, content: &Content) -> Result<Ticket> {
    let (id, now) = (kernel.new_id(), kernel.now());
    let reference = format!("TKT-{}", FIRST_NUMBER + counter::next(tx, tenant.company, SERIES)?);
    let (resolved, closed) = (is_at(content, "resolved").then_some(now), is_at(content, "closed").then_some(now));
    tx.execute(
        "INSERT INTO wave_tickets (company_id, id, ref, subject, description, customer_name, customer_phone, customer_email, status, \
         priority, assignee_id, assignee_name, tag, chat_id, contact_id, due_at, resolved_at, closed_at, created_by, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $20)",
        &params![
            tenant.company,
            id,
            reference.as_str(),
            content.subject.as_str(),
            content.description.as_str(),
            content.customer_name.as_deref(),
            content.customer_phone.as_deref(),
            content.customer_email.as_deref(),
            content.status.as_str(),
            content.priority.as_str(),
            content.assignee_id,
            content.assignee_name.as_deref(),
            content.tag.as_deref(),
            content.chat_id,
            content.contact_id,
            content.due_at,
            resolved,
            closed,
            tenant.actor.user,
            now
        ],
    )?;
    let ticket = get(tx, tenant.company, id)?;
    report::ticket(tx, tenant.company, tenant.actor.user, None, now)?;
    written(tx, kernel, tenant, &ticket, "create", None)?;
    wire::told(tx, kernel, tenant, &ticket, "created")?;
    Ok(ticket)
}

fn is_done(content: &Content) -> bool {
    is_at(content, "resolved") || is_at(content, "closed")
}

fn is_at(content: &Content, status: &str) -> bool {
    content.status == status
}

/// Writes what changed of a ticket that this transaction holds as `before`. Nothing happens when nothing changed.
///
/// # Errors
/// 503 from the database.
pub fn change(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, before: &Ticket, next: &Content) -> Result<()> {
    if before.content == *next {
        return Ok(());
    }
    let now = kernel.now();
    let since = |status: &str, known| if is_at(next, status) { Some(known) } else { None };
    tx.execute(
        "UPDATE wave_tickets SET subject = $3, description = $4, customer_name = $5, customer_phone = $6, customer_email = $7, status = $8, \
         priority = $9, assignee_id = $10, assignee_name = $11, tag = $12, chat_id = $13, contact_id = $14, due_at = $15, resolved_at = $16, \
         closed_at = $17, updated_at = $18, version = version + 1 WHERE company_id = $1 AND id = $2",
        &params![
            tenant.company,
            before.id,
            next.subject.as_str(),
            next.description.as_str(),
            next.customer_name.as_deref(),
            next.customer_phone.as_deref(),
            next.customer_email.as_deref(),
            next.status.as_str(),
            next.priority.as_str(),
            next.assignee_id,
            next.assignee_name.as_deref(),
            next.tag.as_deref(),
            next.chat_id,
            next.contact_id,
            next.due_at,
            since("resolved", before.resolved_at.unwrap_or(now)),
            since("closed", before.closed_at.unwrap_or(now)),
            now
        ],
    )?;
    let action = match next.status.as_str() {
        same if same == before.content.status => "update",
        "resolved" => "resolve",
        "closed" => "close",
        _ => "update",
    };
    let after = get(tx, tenant.company, before.id)?;
    if is_done(next) && !is_done(&before.content) {
        let took = now.0 - before.created_at.0;
        report::ticket(tx, tenant.company, next.assignee_id.or(tenant.actor.user), Some(took), now)?;
    }
    written(tx, kernel, tenant, &after, action, Some(differences(&before.content, next)))?;
    wire::told(tx, kernel, tenant, &after, "updated")
}

/// `{field: [before, after]}`; of what belongs to the customer only that it changed, because who reads the log may not see numbers.
fn differences(before: &Content, after: &Content) -> String {
    const CUSTOMERS: [&str; 4] = ["customer_name", "customer_phone", "customer_email", "description"];
    let (before, after) = (wire::fields(before), wire::fields(after));
    let changed = after.iter().filter(|(name, value)| before.get(*name) != Some(value));
    let told: Map<String, Json> = changed
        .map(|(name, value)| {
            let is_customers = CUSTOMERS.contains(&name.as_str());
            (name.clone(), if is_customers { json!("changed") } else { json!([before.get(name), value]) })
        })
        .collect();
    Json::Object(told).to_string()
}

/// Takes a ticket away; its reference is not given again.
///
/// # Errors
/// 404.
pub fn delete(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid) -> Result<()> {
    let ticket = lock(tx, tenant.company, id)?;
    let sql = "UPDATE wave_tickets SET deleted_at = $3, updated_at = $3, version = version + 1 WHERE company_id = $1 AND id = $2";
    tx.execute(sql, &params![tenant.company, id, kernel.now()])?;
    written(tx, kernel, tenant, &ticket, "delete", None)?;
    wire::told(tx, kernel, tenant, &ticket, "deleted")
}

fn written(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    ticket: &Ticket,
    action: &str,
    changes: Option<String>,
) -> Result<()> {
    let target = ticket.id.to_string();
    let entry = audit::Entry {
        action,
        module: PRODUCT,
        resource: "tickets",
        target: &target,
        label: &ticket.reference,
        changes,
    };
    Ok(audit::record(tx, kernel, tenant, entry)?)
}
