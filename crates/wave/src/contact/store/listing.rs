//! Contacts as lists show them: who was in touch last comes first.

use loopd_kernel::listing::{Column, ColumnKind, Conditions, ListQuery, Listing, column, searched};
use loopd_store::{Reader, Value, dialect};
use loopd_types::{CompanyId, Problem, Result, Uuid};
use serde_json::Value as Json;

use crate::{masked_name_sql, masked_phone_sql, segment};

const FROM: &str = "(SELECT * FROM wave_contacts WHERE deleted_at IS NULL) c";

/// For who may see numbers.
pub const LISTING: Listing = listing(&COLUMNS);
/// For who may not; names are veiled by [`super::veil`].
pub const MASKED: Listing = listing(&MASKED_COLUMNS);

static COLUMNS: [Column; 19] = columns(
    [
        searched("name", "c.name"),
        searched("email", "c.email"),
        column("company_name", "c.company_name", ColumnKind::Text),
        column("location", "c.location", ColumnKind::Text),
    ],
    "c.phone",
);
static MASKED_COLUMNS: [Column; 19] = columns(
    [
        searched("name", "c.name").compared(masked_name_sql!("c.name")),
        searched("email", "c.email").compared(masked_name_sql!("c.email")),
        column("company_name", "c.company_name", ColumnKind::Text).compared(masked_name_sql!("c.company_name")),
        column("location", "c.location", ColumnKind::Text).compared(masked_name_sql!("c.location")),
    ],
    masked_phone_sql!("c.phone"),
);

const fn listing(columns: &'static [Column]) -> Listing {
    Listing {
        from: FROM,
        columns,
        company: Some("c.company_id"),
        id: "c.id",
        order: "c.company_id, COALESCE(c.last_contacted_at, 0) DESC, c.id DESC",
    }
}

/// With what people wrote of somebody, in which a number may stand.
const fn columns([name, email, company_name, location]: [Column; 4], phone: &'static str) -> [Column; 19] {
    [
        column("id", "c.id", ColumnKind::Uuid),
        column("company", "c.company_id", ColumnKind::Company),
        name,
        searched("phone", phone).nullable(),
        email.nullable(),
        company_name.nullable(),
        location.nullable(),
        column("owner", "c.owner_id", ColumnKind::Uuid).nullable(),
        column("lifecycle", "c.lifecycle", ColumnKind::Text),
        column("tags", "c.tags", ColumnKind::Json),
        column("lifetime_value", "c.lifetime_value", ColumnKind::Text).nullable(),
        column("notes", "c.notes", ColumnKind::Text).nullable(),
        column("opted_out_at", "c.opted_out_at", ColumnKind::Time).nullable(),
        column("opt_out_reason", "c.opt_out_reason", ColumnKind::Text).nullable(),
        column("last_contacted_at", "c.last_contacted_at", ColumnKind::Time).nullable(),
        column("conversation_count", "c.conversation_count", ColumnKind::Int),
        column("created_at", "c.created_at", ColumnKind::Time),
        column("updated_at", "c.updated_at", ColumnKind::Time),
        column("version", "c.version", ColumnKind::Int),
    ]
}

/// `tag`, of which a contact has all, and `segment`, which is one of these companies'.
///
/// # Errors
/// 400 of `segment`.
pub fn narrow(reader: &mut Reader<'_>, companies: &[CompanyId], query: &mut ListQuery) -> Result<Conditions> {
    let mut conditions = Conditions::default();
    let (mut tags, mut segments) = (Vec::new(), Vec::new());
    query.filters.retain(|(name, text)| {
        match name.as_str() {
            "tag" => {
                tags.extend(text.split(',').map(str::trim).filter(|tag| !tag.is_empty()).map(str::to_owned));
            }
            "segment" => segments.push(text.clone()),
            _ => return true,
        }
        false
    });
    for text in segments {
        let (company, segment) = found(reader, companies, &text)?;
        conditions = conditions.and("c.company_id = {}", [company.into()]);
        let wanted = segment.conditions();
        if !wanted.lifecycles.is_empty() {
            let marks = vec!["{}"; wanted.lifecycles.len()].join(", ");
            let stages = wanted.lifecycles.into_iter().map(Value::from);
            conditions = conditions.and(&format!("c.lifecycle IN ({marks})"), stages);
        }
        tags.extend(wanted.tags);
    }
    for tag in tags {
        let (has, tag) = tagged(reader, "c.tags", "{}", &tag);
        conditions = conditions.and(&has, [tag]);
    }
    Ok(conditions)
}

/// The condition that somebody has this tag, and what `marker` stands for in it: tags are a JSON list of texts, in which one stands as
/// JSON writes it, quotes and all.
pub fn tagged(reader: &Reader<'_>, tags: &str, marker: &str, tag: &str) -> (String, Value) {
    let has = dialect::contains(reader.engine(), &format!("CAST({tags} AS TEXT)"), marker);
    (has, Json::from(tag).to_string().into())
}

/// The segment of one of these companies.
fn found(reader: &mut Reader<'_>, companies: &[CompanyId], text: &str) -> Result<(CompanyId, segment::Conditions)> {
    let unknown = || Problem::field("segment", "does_not_exist", "There is no such segment.");
    let id = Uuid::parse_str(text).map_err(|_| unknown())?;
    for company in companies {
        match segment::store::get(reader, *company, id) {
            Ok(segment) => return Ok((*company, segment.filter)),
            Err(problem) if problem.status() == 404 => {}
            Err(problem) => return Err(problem),
        }
    }
    Err(unknown())
}
