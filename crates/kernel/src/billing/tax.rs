//! Tax rates as data: one for a country from a day on, upon the price or within it.

use loopd_store::{Reader, Tx, params};
use loopd_types::{Problem, Result, Timestamp, Uuid};
use serde_json::Value as Json;

use crate::Kernel;
use crate::access::Actor;
use crate::input::Input;
use crate::listing::{Column, ColumnKind, Listing, column, searched};

pub const LISTING: Listing = Listing {
    from: "tax_rates t",
    columns: &COLUMNS,
    company: None,
    id: "t.id",
    order: "t.country, t.valid_from DESC",
};
const COLUMNS: [Column; 9] = [
    column("id", "t.id", ColumnKind::Uuid),
    searched("country", "t.country"),
    searched("name", "t.name"),
    column("rate_ppm", "t.rate_ppm", ColumnKind::Int),
    column("inclusive", "t.inclusive", ColumnKind::Bool),
    column("valid_from", "t.valid_from", ColumnKind::Time),
    column("created_at", "t.created_at", ColumnKind::Time),
    column("updated_at", "t.updated_at", ColumnKind::Time),
    column("version", "t.version", ColumnKind::Int),
];

/// The tax on a line.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Rate {
    pub name: String,
    pub ppm: i64,
    pub inclusive: bool,
}

/// The rate of a country at a moment; none is nothing.
///
/// # Errors
/// The database's.
pub fn rate(reader: &mut Reader<'_>, country: &str, at: Timestamp) -> Result<Rate> {
    let found = reader.first(
        "SELECT name, rate_ppm, inclusive FROM tax_rates WHERE country = $1 AND valid_from <= $2 ORDER BY valid_from DESC LIMIT 1",
        &params![country, at],
        |row| Ok(Rate { name: row.text(0)?.to_owned(), ppm: row.i64(1)?, inclusive: row.bool(2)? }),
    )?;
    Ok(found.unwrap_or_default())
}

/// Adds a rate. Rates are not changed: a new one from another day takes their place, and bills keep what they were opened with.
///
/// # Errors
/// 400, also for a second rate of a country from the same moment.
pub fn create(tx: &mut Tx<'_>, kernel: &Kernel, actor: &Actor, body: Json) -> Result<Uuid> {
    let mut input = Input::new(body, false)?;
    input.ignore(&["id", "created_at", "updated_at", "version"]);
    let country = input.required_text("country", 2).unwrap_or_default();
    let name = input.required_text("name", 60).unwrap_or_default();
    let ppm = input.integer("rate_ppm", 0, 999_999);
    let inclusive = input.boolean("inclusive").unwrap_or(false);
    let valid_from = input.moment("valid_from").flatten().unwrap_or(kernel.now());
    if country.len() != 2 || !country.bytes().all(|byte| byte.is_ascii_uppercase()) {
        input.refuse("country", "invalid", "Two capital letters, as in ISO 3166: RW.");
    }
    let Some(ppm) = ppm else {
        input.refuse("rate_ppm", "required", "A rate in millionths: 18 % is 180000.");
        return Err(input.finish().expect_err("a complaint was made"));
    };
    input.finish()?;
    let id = kernel.new_id();
    let inserted = tx.execute(
        "INSERT INTO tax_rates (id, country, name, rate_ppm, inclusive, valid_from, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $7) ON CONFLICT (country, valid_from) DO NOTHING",
        &params![id, &country, &name, ppm, inclusive, valid_from, kernel.now()],
    )?;
    if inserted == 0 {
        return Err(Problem::field("valid_from", "unique", "The country has a rate from this moment already."));
    }
    super::written_by_operator(tx, kernel, actor, ("tax-rates", "create"), (&id.to_string(), &country))?;
    Ok(id)
}

/// Takes a rate away; open bills keep it.
///
/// # Errors
/// 404.
pub fn delete(tx: &mut Tx<'_>, kernel: &Kernel, actor: &Actor, id: Uuid) -> Result<()> {
    let country = tx
        .first("DELETE FROM tax_rates WHERE id = $1 RETURNING country", &params![id], |row| {
            Ok(row.text(0)?.to_owned())
        })?
        .ok_or_else(Problem::not_found)?;
    super::written_by_operator(tx, kernel, actor, ("tax-rates", "delete"), (&id.to_string(), &country))
}
