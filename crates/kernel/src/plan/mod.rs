//! Plans: what the installation sells for a product, and what a company may use by what it bought.
//!
//! A plan has editions. Whatever is sold (prices, limits, features, metered units) belongs to an edition, which never changes: changing a plan
//! makes the next one, and subscriptions keep theirs until they are changed themselves.

mod limits;
mod terms;

use loopd_store::{Reader, Tx, Value, dialect, params};
use loopd_types::{Problem, Result, Uuid};
use serde_json::Value as Json;

pub(crate) use limits::held_terms;
pub use limits::{Limits, features, limits, require_seat};
pub(crate) use limits::{limits_with, require_seat_for, seats_taken};
pub use terms::{Metered, Price, Terms};

use crate::access::Actor;
use crate::audit::Told;
use crate::input::Input;
use crate::listing::{Column, ColumnKind, Listing, column, searched};
use crate::{Kernel, audit};

/// Plans as the API shows them, each in its newest edition.
pub const LISTING: Listing = Listing {
    from: "plans p JOIN plan_editions e ON e.plan_id = p.id AND e.number = p.edition",
    columns: &COLUMNS,
    company: None,
    id: "p.id",
    order: "p.product, p.code",
};
const TOLD: Told = Told {
    listing: &LISTING,
    fields: &[
        "name",
        "description",
        "status",
        "edition",
        "prices",
        "included_seats",
        "trial_days",
        "limits",
        "features",
        "metered",
    ],
    label: "code",
};
const COLUMNS: [Column; 16] = [
    column("id", "p.id", ColumnKind::Uuid),
    searched("product", "p.product"),
    searched("code", "p.code"),
    searched("name", "p.name"),
    column("description", "p.description", ColumnKind::Text),
    column("status", "p.status", ColumnKind::Text),
    column("edition", "p.edition", ColumnKind::Int),
    column("prices", "e.prices", ColumnKind::Json),
    column("included_seats", "e.included_seats", ColumnKind::Int),
    column("trial_days", "e.trial_days", ColumnKind::Int),
    column("limits", "e.limits", ColumnKind::Json),
    column("features", "e.features", ColumnKind::Json),
    column("metered", "e.metered", ColumnKind::Json),
    column("created_at", "p.created_at", ColumnKind::Time),
    column("updated_at", "p.updated_at", ColumnKind::Time),
    column("version", "p.version", ColumnKind::Int),
];
const READ_ONLY: [&str; 6] = ["id", "status", "edition", "created_at", "updated_at", "version"];

/// Names that mean no plan: the trial, and a product that costs nothing.
pub const UNSOLD: [&str; 2] = ["trial", "free"];

/// What a body says about an edition; what is absent is as before.
struct Wanted {
    name: Option<String>,
    description: Option<String>,
    terms: Terms,
}

fn read(input: &mut Input, known: Terms) -> Wanted {
    let name = input.required_text("name", 120);
    let description = input.text("description", 4000);
    let mut terms = known;
    if let Some(prices) = input.typed("prices", "a list of prices") {
        terms.prices = prices;
    }
    if let Some(seats) = input.integer("included_seats", 0, 1_000_000) {
        terms.included_seats = seats;
    }
    if let Some(days) = input.integer("trial_days", 0, 3650) {
        terms.trial_days = days;
    }
    if let Some(limits) = input.object("limits", 4000) {
        terms.limits = limits;
    }
    if let Some(features) = input.texts("features", 200, 80) {
        terms.features = features;
    }
    if let Some(metered) = input.typed("metered", "a list of metered units") {
        terms.metered = metered;
    }
    Wanted { name, description, terms }
}

/// Puts a plan on sale.
///
/// # Errors
/// 400.
pub fn create(tx: &mut Tx<'_>, kernel: &Kernel, actor: &Actor, body: Json) -> Result<Uuid> {
    let mut input = Input::new(body, false)?;
    input.ignore(&READ_ONLY);
    let product = input.required_text("product", 80).unwrap_or_default();
    let code = input.required_text("code", 60).unwrap_or_default();
    let is_slug = |code: &str| code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !product.is_empty() && kernel.catalogue.get(&product).is_none() {
        input.refuse("product", "invalid_choice", format!("\"{product}\" is not a valid choice."));
    }
    if !is_slug(&code) {
        input.refuse("code", "invalid", "Lower-case letters, digits and hyphens.");
    } else if UNSOLD.contains(&code.as_str()) {
        input.refuse("code", "invalid", format!("\"{code}\" is the name of having no plan."));
    }
    let trial_days = kernel.settings.trial_us / loopd_types::DAY_US;
    let wanted = read(&mut input, Terms { trial_days, ..Terms::default() });
    input.finish()?;
    require_sound(tx, &wanted.terms)?;
    let (id, now) = (kernel.new_id(), kernel.now());
    let name = wanted.name.unwrap_or_default();
    let inserted = tx.execute(
        "INSERT INTO plans (id, product, code, name, description, status, edition, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, 'active', 1, $6, $6) ON CONFLICT (product, code) DO NOTHING",
        &params![id, &product, &code, &name, wanted.description.unwrap_or_default(), now],
    )?;
    if inserted == 0 {
        return Err(Problem::field("code", "unique", "The product has a plan of this code already."));
    }
    add_edition(tx, kernel, actor, id, 1, &wanted.terms)?;
    written(tx, kernel, actor, "create", id, &Json::Null)?;
    Ok(id)
}

/// Changes a plan; a change of what is sold makes a new edition, and nobody's subscription changes with it.
///
/// # Errors
/// 400; 404.
pub fn update(tx: &mut Tx<'_>, kernel: &Kernel, actor: &Actor, id: Uuid, body: Json, partial: bool) -> Result<()> {
    let sql = format!("SELECT edition FROM plans WHERE id = $1{}", dialect::for_update(tx.engine()));
    let edition = tx.first(&sql, &params![id], |row| row.i64(0))?.ok_or_else(Problem::not_found)?;
    let before = TOLD.row(tx, audit::INSTALLATION, id)?;
    let known = terms(tx, id, edition)?;
    let mut input = Input::new(body, partial)?;
    input.ignore(&READ_ONLY);
    input.ignore(&["product", "code"]);
    let wanted = read(&mut input, known.clone());
    input.finish()?;
    require_sound(tx, &wanted.terms)?;
    let next = if wanted.terms == known { edition } else { edition + 1 };
    if next != edition {
        add_edition(tx, kernel, actor, id, next, &wanted.terms)?;
    }
    tx.execute(
        "UPDATE plans SET name = COALESCE($2, name), description = COALESCE($3, description), edition = $4, updated_at = $5, \
         version = version + 1 WHERE id = $1",
        &params![id, wanted.name, wanted.description, next, kernel.now()],
    )?;
    written(tx, kernel, actor, "update", id, &before)
}

/// Takes a plan off sale, or puts it back. Who has it keeps it.
///
/// # Errors
/// 404.
pub fn set_status(tx: &mut Tx<'_>, kernel: &Kernel, actor: &Actor, id: Uuid, is_active: bool) -> Result<()> {
    let status = if is_active { "active" } else { "archived" };
    let before = TOLD.row(tx, audit::INSTALLATION, id)?;
    let changed = tx.execute(
        "UPDATE plans SET status = $2, updated_at = $3, version = version + 1 WHERE id = $1",
        &params![id, status, kernel.now()],
    )?;
    if changed == 0 {
        return Err(Problem::not_found());
    }
    written(tx, kernel, actor, if is_active { "activate" } else { "archive" }, id, &before)
}

fn require_sound(tx: &mut Tx<'_>, terms: &Terms) -> Result<()> {
    let meters = if terms.metered.is_empty() {
        Vec::new()
    } else {
        tx.query("SELECT code FROM meters WHERE is_active", &[], |row| Ok(row.text(0)?.to_owned()))?
    };
    let problem = terms.check(&meters);
    if problem.has_fields() { Err(problem) } else { Ok(()) }
}

fn add_edition(tx: &mut Tx<'_>, kernel: &Kernel, actor: &Actor, plan: Uuid, number: i64, terms: &Terms) -> Result<()> {
    let json = |value: serde_json::Result<String>| value.map(Value::Json).map_err(Problem::internal);
    tx.push(
        "INSERT INTO plan_editions (plan_id, number, prices, included_seats, trial_days, limits, features, metered, created_by, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        params![
            plan,
            number,
            json(serde_json::to_string(&terms.prices))?,
            terms.included_seats,
            terms.trial_days,
            json(serde_json::to_string(&terms.limits))?,
            json(serde_json::to_string(&terms.features))?,
            json(serde_json::to_string(&terms.metered))?,
            actor.user,
            kernel.now()
        ],
    )?;
    Ok(())
}

/// `before`: the plan as it was; null for a new one.
fn written(tx: &mut Tx<'_>, kernel: &Kernel, actor: &Actor, action: &str, id: Uuid, before: &Json) -> Result<()> {
    let (target, change) = (id.to_string(), TOLD.change(tx, audit::INSTALLATION, id, before)?);
    let (label, changes) = (change.label.as_str(), change.to_text());
    let entry = audit::Entry { action, module: "core", resource: "plans", target: &target, label, changes };
    Ok(kernel.audit_installation(tx, actor, entry)?)
}

/// The terms of an edition.
///
/// # Errors
/// 404.
pub fn terms(reader: &mut Reader<'_>, plan: Uuid, edition: i64) -> Result<Terms> {
    let sql = format!("SELECT {} FROM plan_editions e WHERE e.plan_id = $1 AND e.number = $2", Terms::SQL);
    reader.first(&sql, &params![plan, edition], |row| Terms::of_row(row, 0))?.ok_or_else(Problem::not_found)
}

/// A plan that can be bought now.
pub struct OnSale {
    pub id: Uuid,
    pub edition: i64,
    pub terms: Terms,
}

/// The plan of this code that `product` is sold by now.
///
/// # Errors
/// The database's.
pub fn find_on_sale(reader: &mut Reader<'_>, product: &str, code: &str) -> Result<Option<OnSale>> {
    let sql = format!(
        "SELECT p.id, p.edition, {} FROM plans p JOIN plan_editions e ON e.plan_id = p.id AND e.number = p.edition \
         WHERE p.product = $1 AND p.code = $2 AND p.status = 'active'",
        Terms::SQL
    );
    Ok(reader.first(&sql, &params![product, code], |row| {
        Ok(OnSale { id: row.uuid(0)?, edition: row.i64(1)?, terms: Terms::of_row(row, 2)? })
    })?)
}

/// Whether anything is sold for `product`: what is not sold may be used for nothing.
///
/// # Errors
/// The database's.
pub fn is_sold(reader: &mut Reader<'_>, product: &str) -> Result<bool> {
    let found = reader.first(
        "SELECT id FROM plans WHERE product = $1 AND status = 'active' LIMIT 1",
        &params![product],
        |row| row.uuid(0),
    )?;
    Ok(found.is_some())
}
