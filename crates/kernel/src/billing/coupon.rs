//! Coupons: less to pay for some periods of a subscription; redeemed at most so often, however many try at once.

use loopd_store::{Row, StoreError, Tx, dialect, params};
use loopd_types::{CompanyId, Currency, Problem, Result, Timestamp, Uuid};
use serde_json::{Value as Json, json};

use super::amount;
use super::bill::NewLine;
use crate::access::Actor;
use crate::input::Input;
use crate::listing::{Column, ColumnKind, Listing, column, searched};
use crate::{Kernel, audit};

pub const LISTING: Listing =
    Listing { from: "coupons k", columns: &COLUMNS, company: None, id: "k.id", order: "k.id DESC" };
const COLUMNS: [Column; 15] = [
    column("id", "k.id", ColumnKind::Uuid),
    searched("code", "k.code"),
    searched("name", "k.name"),
    column("percent_ppm", "k.percent_ppm", ColumnKind::Int).nullable(),
    column("amount_minor", "k.amount_minor", ColumnKind::Int).nullable(),
    column("currency", "k.currency", ColumnKind::Text),
    column("periods", "k.periods", ColumnKind::Int).nullable(),
    column("product", "k.product", ColumnKind::Text),
    column("max_redemptions", "k.max_redemptions", ColumnKind::Int).nullable(),
    column("redemptions", "k.redemptions", ColumnKind::Int),
    column("expires_at", "k.expires_at", ColumnKind::Time).nullable(),
    column("is_active", "k.is_active", ColumnKind::Bool),
    column("created_at", "k.created_at", ColumnKind::Time),
    column("updated_at", "k.updated_at", ColumnKind::Time),
    column("version", "k.version", ColumnKind::Int),
];

/// What a coupon says.
#[derive(Clone, Default)]
struct Terms {
    code: String,
    name: String,
    percent_ppm: Option<i64>,
    amount_minor: Option<i64>,
    currency: String,
    periods: Option<i64>,
    product: String,
    max_redemptions: Option<i64>,
    expires_at: Option<Timestamp>,
}

impl Terms {
    const SQL: &str = "code, name, percent_ppm, amount_minor, currency, periods, product, max_redemptions, expires_at";

    fn of_row(row: &Row<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            code: row.text(0)?.to_owned(),
            name: row.text(1)?.to_owned(),
            percent_ppm: row.opt_i64(2)?,
            amount_minor: row.opt_i64(3)?,
            currency: row.text(4)?.to_owned(),
            periods: row.opt_i64(5)?,
            product: row.text(6)?.to_owned(),
            max_redemptions: row.opt_i64(7)?,
            expires_at: row.opt_time(8)?,
        })
    }

    /// What it takes off, for how long and from what: what those who redeemed it were promised.
    fn promise(&self) -> Json {
        json!({"code": self.code, "percent_ppm": self.percent_ppm, "amount_minor": self.amount_minor, "currency": self.currency,
            "periods": self.periods, "product": self.product})
    }

    /// How often and how long it may be redeemed, and how it is called: the operator's to change.
    fn offer(&self) -> Json {
        json!({"name": self.name, "max_redemptions": self.max_redemptions, "expires_at": self.expires_at.map(|at| at.to_string())})
    }
}

/// Reads what a body says over what is `known`.
fn read(input: &mut Input, kernel: &Kernel, known: Terms) -> Terms {
    let mut terms = known;
    if let Some(code) = input.required_text("code", 40) {
        terms.code = code.to_uppercase();
    }
    for (name, field, max) in
        [("name", &mut terms.name, 120), ("currency", &mut terms.currency, 4), ("product", &mut terms.product, 80)]
    {
        if let Some(text) = input.text(name, max) {
            *field = text;
        }
    }
    for (name, field, most) in [
        ("percent_ppm", &mut terms.percent_ppm, amount::WHOLE_PPM),
        ("amount_minor", &mut terms.amount_minor, 1_000_000_000_000),
        ("periods", &mut terms.periods, 1_200),
        ("max_redemptions", &mut terms.max_redemptions, 1_000_000_000),
    ] {
        if input.take_null(name) {
            *field = None;
        } else if let Some(number) = input.integer(name, 1, most) {
            *field = Some(number);
        }
    }
    if let Some(expires_at) = input.moment("expires_at") {
        terms.expires_at = expires_at;
    }
    if terms.percent_ppm.is_some() == terms.amount_minor.is_some() {
        input.refuse("percent_ppm", "invalid", "Give either percent_ppm or amount_minor.");
    }
    if terms.amount_minor.is_some() && Currency::parse(&terms.currency).is_none() {
        input.refuse("currency", "invalid_choice", format!("\"{}\" is not a valid choice.", terms.currency));
    }
    if !terms.product.is_empty() && kernel.catalogue.get(&terms.product).is_none() {
        input.refuse("product", "invalid_choice", format!("\"{}\" is not a valid choice.", terms.product));
    }
    terms
}

const READ_ONLY: [&str; 6] = ["id", "redemptions", "is_active", "created_at", "updated_at", "version"];

/// Makes a coupon: `percent_ppm`, or `amount_minor` with `currency`; for `periods` bills (for ever unless given).
///
/// # Errors
/// 400.
pub fn create(tx: &mut Tx<'_>, kernel: &Kernel, actor: &Actor, body: Json) -> Result<Uuid> {
    let mut input = Input::new(body, false)?;
    input.ignore(&READ_ONLY);
    let terms = read(&mut input, kernel, Terms::default());
    input.finish()?;
    let (id, now) = (kernel.new_id(), kernel.now());
    let inserted = tx.execute(
        "INSERT INTO coupons (id, code, name, percent_ppm, amount_minor, currency, periods, product, max_redemptions, expires_at, created_at, \
         updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11) ON CONFLICT (code) DO NOTHING",
        &params![
            id,
            &terms.code,
            &terms.name,
            terms.percent_ppm,
            terms.amount_minor,
            &terms.currency,
            terms.periods,
            &terms.product,
            terms.max_redemptions,
            terms.expires_at,
            now
        ],
    )?;
    if inserted == 0 {
        return Err(code_taken());
    }
    let mut changes = audit::differences(&Json::Null, &terms.promise());
    changes.extend(audit::differences(&Json::Null, &terms.offer()));
    super::written_by_operator(tx, kernel, actor, ("coupons", "create"), (&id.to_string(), &terms.code), changes)?;
    Ok(id)
}

fn code_taken() -> Problem {
    Problem::field("code", "unique", "There is a coupon of this code already.")
}

/// Changes what is given. What a coupon takes off is fixed from its first redemption on, because the bills to come are reckoned by this
/// row; its name, end and number of redemptions are not.
///
/// # Errors
/// 400, also for fewer redemptions than there were; 404; 409 `coupon_in_use`.
pub fn update(tx: &mut Tx<'_>, kernel: &Kernel, actor: &Actor, id: Uuid, body: Json) -> Result<()> {
    // Held until the commit: nobody redeems meanwhile what is about to change.
    let sql =
        format!("SELECT {}, redemptions FROM coupons WHERE id = $1{}", Terms::SQL, dialect::for_update(tx.engine()));
    let (known, redemptions) =
        tx.first(&sql, &params![id], |row| Ok((Terms::of_row(row)?, row.i64(9)?)))?.ok_or_else(Problem::not_found)?;
    let mut input = Input::new(body, true)?;
    input.ignore(&READ_ONLY);
    let terms = read(&mut input, kernel, known.clone());
    if terms.max_redemptions.is_some_and(|most| most < redemptions) {
        let words = format!("It was redeemed {redemptions} times already; withdraw it to end it.");
        input.refuse("max_redemptions", "min_value", words);
    }
    input.finish()?;
    let promise = audit::differences(&known.promise(), &terms.promise());
    if redemptions > 0 && !promise.is_empty() {
        let words =
            "Subscriptions hold this coupon, and their next bills are reckoned by it. Withdraw it and make a new one.";
        let fields: Vec<String> = promise.keys().cloned().collect();
        return Err(Problem::conflict("coupon_in_use", words)
            .with_extra("fields", fields)
            .with_extra("redemptions", redemptions));
    }
    tx.execute(
        "UPDATE coupons SET code = $2, name = $3, percent_ppm = $4, amount_minor = $5, currency = $6, periods = $7, product = $8, \
         max_redemptions = $9, expires_at = $10, updated_at = $11, version = version + 1 WHERE id = $1",
        &params![
            id,
            &terms.code,
            &terms.name,
            terms.percent_ppm,
            terms.amount_minor,
            &terms.currency,
            terms.periods,
            &terms.product,
            terms.max_redemptions,
            terms.expires_at,
            kernel.now()
        ],
    )
    .map_err(|error| if error.is_unique("coupons", &["code"]) { code_taken() } else { error.into() })?;
    let mut changes = promise;
    changes.extend(audit::differences(&known.offer(), &terms.offer()));
    super::written_by_operator(tx, kernel, actor, ("coupons", "update"), (&id.to_string(), &terms.code), changes)
}

/// Stops a coupon from being redeemed (who has it keeps it), or lets it be redeemed again.
///
/// # Errors
/// 404.
pub fn set_active(tx: &mut Tx<'_>, kernel: &Kernel, actor: &Actor, id: Uuid, is_active: bool) -> Result<()> {
    let sql = format!("SELECT code, is_active FROM coupons WHERE id = $1{}", dialect::for_update(tx.engine()));
    let (code, was_active) = tx
        .first(&sql, &params![id], |row| Ok((row.text(0)?.to_owned(), row.bool(1)?)))?
        .ok_or_else(Problem::not_found)?;
    tx.execute(
        "UPDATE coupons SET is_active = $2, updated_at = $3, version = version + 1 WHERE id = $1",
        &params![id, is_active, kernel.now()],
    )?;
    let action = if is_active { "activate" } else { "withdraw" };
    let changes = audit::differences(&json!({"is_active": was_active}), &json!({"is_active": is_active}));
    super::written_by_operator(tx, kernel, actor, ("coupons", action), (&id.to_string(), &code), changes)
}

/// Redeems `code` for a subscription. The coupon's row is changed under its own condition, so that the last redemption is given once.
///
/// # Errors
/// 400 on the field `coupon`: one text for unknown, over and used up, so that codes cannot be tried out.
pub fn redeem(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    company: CompanyId,
    subscription: Uuid,
    (product, currency, code): (&str, &str, &str),
) -> Result<()> {
    let now = kernel.now();
    let refused = || Problem::field("coupon", "invalid", "This coupon cannot be used here.");
    let taken = tx.first(
        "UPDATE coupons SET redemptions = redemptions + 1, updated_at = $4 WHERE code = $1 AND is_active \
         AND (expires_at IS NULL OR expires_at > $4) AND (max_redemptions IS NULL OR redemptions < max_redemptions) \
         AND (product = '' OR product = $2) AND (amount_minor IS NULL OR currency = $3) RETURNING id, periods",
        &params![code.to_uppercase(), product, currency, now],
        |row| Ok((row.uuid(0)?, row.opt_i64(1)?)),
    )?;
    let (coupon, periods) = taken.ok_or_else(refused)?;
    let inserted = tx.execute(
        "INSERT INTO coupon_redemptions (company_id, id, coupon_id, subscription_id, periods_left, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (company_id, subscription_id, coupon_id) DO NOTHING",
        &params![company, kernel.new_id(), coupon, subscription, periods, now],
    )?;
    if inserted == 0 { Err(refused()) } else { Ok(()) }
}

/// Takes the coupons of a subscription off its lines. `uses_period`: this bill is one of those that a coupon lasts for; what only changes a
/// running period is taken off by share alone, because a fixed amount was taken off the period's own bill.
pub(crate) fn apply(
    tx: &mut Tx<'_>,
    company: CompanyId,
    subscription: Uuid,
    currency: &str,
    lines: &mut [NewLine],
    uses_period: bool,
) -> Result<()> {
    for one in take_off(tx, company, subscription, currency, lines, uses_period)?.into_iter().filter(|_| uses_period) {
        tx.push(
            "UPDATE coupon_redemptions SET periods_left = periods_left - 1 WHERE company_id = $1 AND id = $2 AND periods_left IS NOT NULL",
            params![company, one],
        )?;
    }
    Ok(())
}

/// What [`apply`] would take off the bill of a period; uses nothing up.
pub(crate) fn preview(
    tx: &mut Tx<'_>,
    company: CompanyId,
    subscription: Uuid,
    currency: &str,
    lines: &mut [NewLine],
) -> Result<()> {
    take_off(tx, company, subscription, currency, lines, true).map(drop)
}

/// The redemptions that took something off, or might have.
fn take_off(
    tx: &mut Tx<'_>,
    company: CompanyId,
    subscription: Uuid,
    currency: &str,
    lines: &mut [NewLine],
    uses_period: bool,
) -> Result<Vec<Uuid>> {
    struct Redemption {
        id: Uuid,
        percent: Option<i64>,
        fixed: Option<i64>,
        currency: String,
    }
    let held = tx.query(
        "SELECT r.id, k.percent_ppm, k.amount_minor, k.currency FROM coupon_redemptions r JOIN coupons k ON k.id = r.coupon_id \
         WHERE r.company_id = $1 AND r.subscription_id = $2 AND (r.periods_left IS NULL OR r.periods_left > 0) ORDER BY r.created_at, r.id",
        &params![company, subscription],
        |row| {
            let (percent, fixed) = (row.opt_i64(1)?, row.opt_i64(2)?);
            Ok(Redemption { id: row.uuid(0)?, percent, fixed, currency: row.text(3)?.to_owned() })
        },
    )?;
    for one in &held {
        let left: Vec<i64> = lines.iter().map(|line| (line.amount_minor - line.discount_minor).max(0)).collect();
        let sum: i64 = left.iter().sum();
        let off = match (one.percent, one.fixed) {
            (Some(ppm), _) => amount::share(sum, ppm),
            (None, Some(fixed)) if uses_period && one.currency == currency => fixed.min(sum),
            _ => 0,
        };
        for (line, part) in lines.iter_mut().zip(amount::divide(off, &left)) {
            line.discount_minor += part;
        }
    }
    Ok(held.into_iter().map(|one| one.id).collect())
}
