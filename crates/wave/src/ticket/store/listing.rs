//! Tickets as lists show them.

use loopd_kernel::listing::{Column, ColumnKind, Listing, column, searched};

use crate::{masked_name_sql, masked_phone_sql};

const FROM: &str = "(SELECT * FROM wave_tickets WHERE deleted_at IS NULL) t";

/// For who may see numbers.
pub const LISTING: Listing = listing(&COLUMNS);
/// For who may not.
pub const MASKED: Listing = listing(&MASKED_COLUMNS);

static COLUMNS: [Column; 24] = columns("t.customer_name", "t.customer_phone");
static MASKED_COLUMNS: [Column; 24] =
    columns(masked_name_sql!("t.customer_name"), masked_phone_sql!("t.customer_phone"));

const fn listing(columns: &'static [Column]) -> Listing {
    Listing {
        from: FROM,
        columns,
        company: Some("t.company_id"),
        id: "t.id",
        order: "t.company_id, t.created_at DESC, t.id DESC",
    }
}

const fn columns(name: &'static str, phone: &'static str) -> [Column; 24] {
    [
        column("id", "t.id", ColumnKind::Uuid),
        column("company", "t.company_id", ColumnKind::Company),
        searched("ref", "t.ref"),
        searched("subject", "t.subject"),
        searched("description", "t.description"),
        searched("customer_name", name).nullable(),
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
