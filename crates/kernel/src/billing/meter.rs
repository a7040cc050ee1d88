//! Meters: which events count as a unit of what, and which calls end where a hard limit is reached. Data, set by the operator.

use loopd_store::{Reader, StoreError, Tx, Value, params};
use loopd_types::{Problem, Result, Timestamp, Uuid};
use serde_json::{Map, Value as Json};

use super::calls;
use crate::Kernel;
use crate::access::Actor;
use crate::input::Input;
use crate::listing::{Column, ColumnKind, Listing, column, searched};

pub const LISTING: Listing =
    Listing { from: "meters m", columns: &COLUMNS, company: None, id: "m.id", order: "m.code" };
const COLUMNS: [Column; 12] = [
    column("id", "m.id", ColumnKind::Uuid),
    searched("code", "m.code"),
    searched("product", "m.product"),
    searched("name", "m.name"),
    column("unit", "m.unit", ColumnKind::Text),
    column("kinds", "m.kinds", ColumnKind::Json),
    column("field", "m.field", ColumnKind::Text),
    column("guards", "m.guards", ColumnKind::Json),
    column("is_active", "m.is_active", ColumnKind::Bool),
    column("created_at", "m.created_at", ColumnKind::Time),
    column("updated_at", "m.updated_at", ColumnKind::Time),
    column("version", "m.version", ColumnKind::Int),
];

/// A meter at work.
#[derive(Clone, Debug)]
pub struct Meter {
    pub code: String,
    pub kinds: Vec<String>,
    /// The payload's member that is added up; empty: each event is one unit.
    pub field: String,
    pub since: Timestamp,
    /// Whether a hard limit refuses anything.
    pub is_guarded: bool,
}

/// The meters that count.
///
/// # Errors
/// The database's.
pub fn active(reader: &mut Reader<'_>) -> Result<Vec<Meter>, StoreError> {
    reader.query(
        "SELECT code, kinds, field, created_at, guards FROM meters WHERE is_active ORDER BY code",
        &[],
        |row| {
            Ok(Meter {
                code: row.text(0)?.to_owned(),
                kinds: serde_json::from_str(row.json(1)?).unwrap_or_default(),
                field: row.text(2)?.to_owned(),
                since: row.time(3)?,
                is_guarded: row.json(4)?.trim() != "[]",
            })
        },
    )
}

/// Makes a meter: `kinds` are events' kinds (`booking.appointments.created`), `guards` permissions (`booking.appointments.create`) whose
/// calls are refused where a plan's hard limit is reached. It counts from now on.
///
/// # Errors
/// 400.
pub fn create(tx: &mut Tx<'_>, kernel: &Kernel, actor: &Actor, body: Json) -> Result<Uuid> {
    let mut input = Input::new(body, false)?;
    input.ignore(&["id", "is_active", "created_at", "updated_at", "version"]);
    let code = input.required_text("code", 60).unwrap_or_default();
    let product = input.required_text("product", 80).unwrap_or_default();
    let name = input.required_text("name", 120).unwrap_or_default();
    let unit = input.text("unit", 40).unwrap_or_default();
    let kinds = input.texts("kinds", 20, 120).unwrap_or_default();
    let field = input.text("field", 60).unwrap_or_default();
    let guards = input.texts("guards", 20, 120).unwrap_or_default();
    if code.split('.').next() == Some(calls::METER) {
        input.refuse("code", "reserved", "Meters of this name are the server's own.");
    }
    if kinds.is_empty() {
        input.refuse("kinds", "required", "At least one kind of event.");
    }
    if !product.is_empty() && kernel.catalogue.get(&product).is_none() {
        input.refuse("product", "invalid_choice", format!("\"{product}\" is not a valid choice."));
    }
    input.finish()?;
    let (id, now) = (kernel.new_id(), kernel.now());
    let list = |texts: &[String]| Value::Json(Json::from(texts).to_string());
    let inserted = tx.execute(
        "INSERT INTO meters (id, code, product, name, unit, kinds, field, guards, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9) ON CONFLICT (code) DO NOTHING",
        &params![id, &code, &product, &name, &unit, list(&kinds), &field, list(&guards), now],
    )?;
    if inserted == 0 {
        return Err(Problem::field("code", "unique", "There is a meter of this code already."));
    }
    super::written_by_operator(tx, kernel, actor, ("meters", "create"), (&id.to_string(), &code), Map::new())?;
    Ok(id)
}

/// Switches a meter off or on; what it counted stays.
///
/// # Errors
/// 404.
pub fn set_active(tx: &mut Tx<'_>, kernel: &Kernel, actor: &Actor, id: Uuid, is_active: bool) -> Result<()> {
    let code = tx
        .first(
            "UPDATE meters SET is_active = $2, updated_at = $3, version = version + 1 WHERE id = $1 RETURNING code",
            &params![id, is_active, kernel.now()],
            |row| Ok(row.text(0)?.to_owned()),
        )?
        .ok_or_else(Problem::not_found)?;
    let action = if is_active { "activate" } else { "deactivate" };
    super::written_by_operator(tx, kernel, actor, ("meters", action), (&id.to_string(), &code), Map::new())
}
