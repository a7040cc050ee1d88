//! Tickets as lists show them.

use std::collections::HashMap;

use loopd_kernel::listing::{Column, ColumnKind, Listing, column, searched};
use loopd_store::{Reader, StoreError, Value};
use loopd_types::{CompanyId, Result, Uuid};
use serde_json::Value as Json;

use crate::mask::{Numbers, Sight, may_hold};
use crate::{contact, digits_sql, masked_name_sql, masked_phone_sql, tells_sql};

const FROM: &str = "(SELECT * FROM wave_tickets WHERE deleted_at IS NULL) t";

/// For who may see numbers.
pub const LISTING: Listing = listing(&COLUMNS);
/// For who may not; words are veiled by [`veil`].
pub const MASKED: Listing = listing(&MASKED_COLUMNS);

/// SQL of what a search may compare of a text: nothing of its digits where it holds the customer's own number.
macro_rules! masked_text_sql {
    ($column:literal) => {
        concat!(
            "CASE WHEN length(",
            $column,
            ") - length(",
            digits_sql!($column, ""),
            ") > 6 AND (",
            tells_sql!($column, "substr(t.customer_phone, 2)"),
            " OR EXISTS (SELECT 1 FROM wave_identities i WHERE i.company_id = t.company_id AND i.contact_id = t.contact_id \
             AND i.kind = 'phone' AND ",
            tells_sql!($column, "i.value"),
            ")) THEN ",
            digits_sql!($column, "•"),
            " ELSE ",
            $column,
            " END"
        )
    };
}

static COLUMNS: [Column; 24] = columns(
    searched("subject", "t.subject"),
    searched("description", "t.description"),
    searched("customer_name", "t.customer_name"),
    "t.customer_phone",
);
static MASKED_COLUMNS: [Column; 24] = columns(
    searched("subject", "t.subject").compared(masked_text_sql!("t.subject")),
    searched("description", "t.description").compared(masked_text_sql!("t.description")),
    searched("customer_name", "t.customer_name").compared(masked_name_sql!("t.customer_name")),
    masked_phone_sql!("t.customer_phone"),
);

const fn listing(columns: &'static [Column]) -> Listing {
    Listing {
        from: FROM,
        columns,
        company: Some("t.company_id"),
        id: "t.id",
        order: "t.company_id, t.created_at DESC, t.id DESC",
    }
}

const fn columns(subject: Column, description: Column, name: Column, phone: &'static str) -> [Column; 24] {
    [
        column("id", "t.id", ColumnKind::Uuid),
        column("company", "t.company_id", ColumnKind::Company),
        searched("ref", "t.ref"),
        subject,
        description,
        name.nullable(),
        searched("customer_phone", phone).nullable(),
        column("customer_email", "t.customer_email", ColumnKind::Text).nullable(),
        column("status", "t.status", ColumnKind::Text),
        column("priority", "t.priority", ColumnKind::Text),
        column("assignee", "t.assignee_id", ColumnKind::Uuid).nullable(),
        column("assignee_name", "t.assignee_name", ColumnKind::Text).nullable(),
        column("tag", "t.tag", ColumnKind::Text).nullable(),
        column("chat", "t.chat_id", ColumnKind::Uuid).nullable(),
        column("contact", "t.contact_id", ColumnKind::Uuid).nullable(),
        column("due_at", "t.due_at", ColumnKind::Time).nullable(),
        column("comment_count", "t.comment_count", ColumnKind::Int),
        column("resolved_at", "t.resolved_at", ColumnKind::Time).nullable(),
        column("closed_at", "t.closed_at", ColumnKind::Time).nullable(),
        column("created_by", "t.created_by", ColumnKind::Uuid).nullable(),
        column("created_at", "t.created_at", ColumnKind::Time),
        column("updated_at", "t.updated_at", ColumnKind::Time),
        column("version", "t.version", ColumnKind::Int),
        column("is_over", "t.status IN ('resolved', 'closed')", ColumnKind::Bool),
    ]
}

/// Veils the customers' numbers in rows of tickets.
///
/// # Errors
/// The database's.
pub fn veil(reader: &mut Reader<'_>, companies: &[CompanyId], rows: &mut [Json]) -> Result<()> {
    let id = |row: &Json, name: &str| row[name].as_str().and_then(|id| Uuid::parse_str(id).ok());
    let telling: Vec<(Uuid, Option<Uuid>)> = rows
        .iter()
        .filter(|row| ["subject", "description"].iter().any(|name| row[*name].as_str().is_some_and(may_hold)))
        .filter_map(|row| Some((id(row, "id")?, id(row, "contact"))))
        .collect();
    let contacts: Vec<Uuid> = telling.iter().filter_map(|(_, contact)| *contact).collect();
    let known = contact::store::phones(reader, companies, &contacts)?;
    let own = own_phones(reader, companies, &telling.iter().map(|(ticket, _)| *ticket).collect::<Vec<_>>())?;
    for row in rows {
        if let Some(name) = row["customer_name"].as_str() {
            row["customer_name"] = Sight::Masked.name(name).into();
        }
        let (own, of_contact) = (
            id(row, "id").and_then(|ticket| own.get(&ticket)),
            id(row, "contact").and_then(|contact| known.get(&contact)),
        );
        let numbers = Numbers::of(own.into_iter().chain(of_contact.into_iter().flatten()).map(String::as_str));
        for name in ["subject", "description"] {
            if let Some(text) = row[name].as_str() {
                row[name] = numbers.veiled(text).into_owned().into();
            }
        }
    }
    Ok(())
}

/// The number that each of these tickets itself says.
fn own_phones(
    reader: &mut Reader<'_>,
    companies: &[CompanyId],
    tickets: &[Uuid],
) -> Result<HashMap<Uuid, String>, StoreError> {
    let mut found = HashMap::new();
    if tickets.is_empty() || companies.is_empty() {
        return Ok(found);
    }
    let mut values: Vec<Value> = companies.iter().map(|company| Value::from(*company)).collect();
    values.extend(tickets.iter().map(|ticket| Value::from(*ticket)));
    let marks: Vec<String> = (1..=values.len()).map(|place| format!("${place}")).collect();
    let (of_companies, of_tickets) = marks.split_at(companies.len());
    let sql = format!(
        "SELECT id, customer_phone FROM wave_tickets WHERE company_id IN ({}) AND id IN ({}) AND customer_phone IS NOT NULL",
        of_companies.join(", "),
        of_tickets.join(", ")
    );
    reader.each(&sql, &values, |row| {
        found.insert(row.uuid(0)?, row.text(1)?.to_owned());
        Ok(())
    })?;
    Ok(found)
}
