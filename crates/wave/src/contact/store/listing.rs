//! Contacts as lists show them: who was in touch last comes first.

use loopd_kernel::listing::{Column, ColumnKind, Listing, column, searched};

use crate::{masked_name_sql, masked_phone_sql};

const FROM: &str = "(SELECT * FROM wave_contacts WHERE deleted_at IS NULL) c";

/// For who may see numbers.
pub const LISTING: Listing = listing(&COLUMNS);
/// For who may not; names are veiled by [`super::veil`].
pub const MASKED: Listing = listing(&MASKED_COLUMNS);

static COLUMNS: [Column; 20] = columns(searched("name", "c.name"), "c.phone");
static MASKED_COLUMNS: [Column; 20] =
    columns(searched("name", "c.name").compared(masked_name_sql!("c.name")), masked_phone_sql!("c.phone"));

const fn listing(columns: &'static [Column]) -> Listing {
    Listing {
        from: FROM,
        columns,
        company: Some("c.company_id"),
        id: "c.id",
        order: "c.company_id, COALESCE(c.last_contacted_at, 0) DESC, c.id DESC",
    }
}

const fn columns(name: Column, phone: &'static str) -> [Column; 20] {
    [
        column("id", "c.id", ColumnKind::Uuid),
        column("company", "c.company_id", ColumnKind::Company),
        name,
        searched("phone", phone).nullable(),
        searched("email", "c.email").nullable(),
        column("company_name", "c.company_name", ColumnKind::Text).nullable(),
        column("location", "c.location", ColumnKind::Text).nullable(),
        column("owner", "c.owner_id", ColumnKind::Uuid).nullable(),
        column("lifecycle", "c.lifecycle", ColumnKind::Text),
        column("tags", "c.tags", ColumnKind::Json),
        column("lifetime_value", "c.lifetime_value", ColumnKind::Text).nullable(),
        column("notes", "c.notes", ColumnKind::Text).nullable(),
        column("opted_out_at", "c.opted_out_at", ColumnKind::Time).nullable(),
        column("opt_out_reason", "c.opt_out_reason", ColumnKind::Text).nullable(),
        column("linked_record", "c.linked_record", ColumnKind::Text).nullable(),
        column("last_contacted_at", "c.last_contacted_at", ColumnKind::Time).nullable(),
        column("conversation_count", "c.conversation_count", ColumnKind::Int),
        column("created_at", "c.created_at", ColumnKind::Time),
        column("updated_at", "c.updated_at", ColumnKind::Time),
        column("version", "c.version", ColumnKind::Int),
    ]
}
