//! Tax rates as data: one for a country from a day on, upon the price or within it.

use loopd_store::{Reader, Tx, dialect, params};
use loopd_types::{Problem, Result, Timestamp, Uuid};
use serde_json::{Value as Json, json};

use crate::access::Actor;
use crate::input::Input;
use crate::listing::{Column, ColumnKind, Listing, column, searched};
use crate::{Kernel, audit};

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

/// A rate, with where and from when it is in force.
#[derive(Clone)]
struct Terms {
    country: String,
    rate: Rate,
    valid_from: Timestamp,
}

impl Terms {
    /// What bills are reckoned by.
    fn force(&self) -> Json {
        json!({"country": self.country, "rate_ppm": self.rate.ppm, "inclusive": self.rate.inclusive,
            "valid_from": self.valid_from.to_string()})
    }

    /// The same with its name, for the log.
    fn told(&self) -> Json {
        let mut told = self.force();
        told["name"] = self.rate.name.as_str().into();
        told
    }
}

/// Reads what a body says over what is `known`.
fn read(input: &mut Input, known: Terms) -> Terms {
    let mut terms = known;
    if let Some(country) = input.required_text("country", 2) {
        if country.len() != 2 || !country.bytes().all(|byte| byte.is_ascii_uppercase()) {
            input.refuse("country", "invalid", "Two capital letters, as in ISO 3166: RW.");
        }
        terms.country = country;
    }
    if let Some(name) = input.required_text("name", 60) {
        terms.rate.name = name;
    }
    if let Some(ppm) = input.integer("rate_ppm", 0, 999_999) {
        terms.rate.ppm = ppm;
    }
    if let Some(inclusive) = input.boolean("inclusive") {
        terms.rate.inclusive = inclusive;
    }
    if let Some(valid_from) = input.moment("valid_from").flatten() {
        terms.valid_from = valid_from;
    }
    terms
}

const READ_ONLY: [&str; 4] = ["id", "created_at", "updated_at", "version"];

/// Adds a rate. It takes the place of the country's former one from its moment on; bills keep what they were made with.
///
/// # Errors
/// 400, also for a second rate of a country from the same moment.
pub fn create(tx: &mut Tx<'_>, kernel: &Kernel, actor: &Actor, body: Json) -> Result<Uuid> {
    let mut input = Input::new(body, false)?;
    input.ignore(&READ_ONLY);
    if !input.has("rate_ppm") {
        input.refuse("rate_ppm", "required", "A rate in millionths: 18 % is 180000.");
    }
    let nothing = Terms { country: String::new(), rate: Rate::default(), valid_from: kernel.now() };
    let terms = read(&mut input, nothing);
    input.finish()?;
    let changes = audit::differences(&Json::Null, &terms.told());
    let Terms { country, rate, valid_from } = terms;
    let id = kernel.new_id();
    let inserted = tx.execute(
        "INSERT INTO tax_rates (id, country, name, rate_ppm, inclusive, valid_from, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $7) ON CONFLICT (country, valid_from) DO NOTHING",
        &params![id, &country, &rate.name, rate.ppm, rate.inclusive, valid_from, kernel.now()],
    )?;
    if inserted == 0 {
        return Err(moment_taken());
    }
    super::written_by_operator(tx, kernel, actor, ("tax-rates", "create"), (&id.to_string(), &country), changes)?;
    Ok(id)
}

fn moment_taken() -> Problem {
    Problem::field("valid_from", "unique", "The country has a rate from this moment already.")
}

/// The rate of this id, locked.
fn held(tx: &mut Tx<'_>, id: Uuid) -> Result<Terms> {
    let sql = format!(
        "SELECT country, name, rate_ppm, inclusive, valid_from FROM tax_rates WHERE id = $1{}",
        dialect::for_update(tx.engine())
    );
    tx.first(&sql, &params![id], |row| {
        let rate = Rate { name: row.text(1)?.to_owned(), ppm: row.i64(2)?, inclusive: row.bool(3)? };
        Ok(Terms { country: row.text(0)?.to_owned(), rate, valid_from: row.time(4)? })
    })?
    .ok_or_else(Problem::not_found)
}

/// A rate that is or was in force explains the bills of its time, so it stays as it is.
fn require_to_come(kernel: &Kernel, terms: &Terms) -> Result<()> {
    if terms.valid_from > kernel.now() {
        return Ok(());
    }
    let words = "Bills may have been reckoned by this rate since it came into force. Add a rate from another moment; one of 0 ends a tax.";
    Err(Problem::conflict("tax_rate_in_force", words).with_extra("valid_from", terms.valid_from.to_string()))
}

/// Changes what is given: of a rate to come all, of one that came into force the name alone.
///
/// # Errors
/// 400, also for a second rate of a country from the same moment; 404; 409 `tax_rate_in_force`.
pub fn update(tx: &mut Tx<'_>, kernel: &Kernel, actor: &Actor, id: Uuid, body: Json) -> Result<()> {
    let known = held(tx, id)?;
    let mut input = Input::new(body, true)?;
    input.ignore(&READ_ONLY);
    let terms = read(&mut input, known.clone());
    input.finish()?;
    if !audit::differences(&known.force(), &terms.force()).is_empty() {
        require_to_come(kernel, &known)?;
    }
    let Terms { country, rate, valid_from } = &terms;
    tx.execute(
        "UPDATE tax_rates SET country = $2, name = $3, rate_ppm = $4, inclusive = $5, valid_from = $6, updated_at = $7, \
         version = version + 1 WHERE id = $1",
        &params![id, country, &rate.name, rate.ppm, rate.inclusive, *valid_from, kernel.now()],
    )
    .map_err(|error| {
        if error.is_unique("tax_rates", &["country", "valid_from"]) { moment_taken() } else { error.into() }
    })?;
    let changes = audit::differences(&known.told(), &terms.told());
    super::written_by_operator(tx, kernel, actor, ("tax-rates", "update"), (&id.to_string(), country), changes)
}

/// Takes away a rate that is yet to come.
///
/// # Errors
/// 404; 409 `tax_rate_in_force`: without it, its predecessor would come back in silence.
pub fn delete(tx: &mut Tx<'_>, kernel: &Kernel, actor: &Actor, id: Uuid) -> Result<()> {
    let known = held(tx, id)?;
    require_to_come(kernel, &known)?;
    tx.execute("DELETE FROM tax_rates WHERE id = $1", &params![id])?;
    let changes = audit::differences(&known.told(), &Json::Null);
    super::written_by_operator(tx, kernel, actor, ("tax-rates", "delete"), (&id.to_string(), &known.country), changes)
}
