//! Coupons: less to pay for some periods of a subscription; redeemed at most so often, however many try at once.

use loopd_store::{Tx, params};
use loopd_types::{CompanyId, Currency, Problem, Result, Uuid};
use serde_json::Value as Json;

use super::amount;
use super::bill::NewLine;
use crate::Kernel;
use crate::access::Actor;
use crate::input::Input;
use crate::listing::{Column, ColumnKind, Listing, column, searched};

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

/// Makes a coupon: `percent_ppm`, or `amount_minor` with `currency`; for `periods` bills (for ever unless given).
///
/// # Errors
/// 400.
pub fn create(tx: &mut Tx<'_>, kernel: &Kernel, actor: &Actor, body: Json) -> Result<Uuid> {
    let mut input = Input::new(body, false)?;
    input.ignore(&["id", "redemptions", "is_active", "created_at", "updated_at", "version"]);
    let code = input.required_text("code", 40).unwrap_or_default().to_uppercase();
    let name = input.text("name", 120).unwrap_or_default();
    let percent = input.integer("percent_ppm", 1, amount::WHOLE_PPM);
    let fixed = input.integer("amount_minor", 1, 1_000_000_000_000);
    let currency = input.text("currency", 4).unwrap_or_default();
    let periods = input.integer("periods", 1, 1_200);
    let product = input.text("product", 80).unwrap_or_default();
    let most = input.integer("max_redemptions", 1, 1_000_000_000);
    let expires_at = input.moment("expires_at").flatten();
    if percent.is_some() == fixed.is_some() {
        input.refuse("percent_ppm", "invalid", "Give either percent_ppm or amount_minor.");
    }
    if fixed.is_some() && Currency::parse(&currency).is_none() {
        input.refuse("currency", "invalid_choice", format!("\"{currency}\" is not a valid choice."));
    }
    if !product.is_empty() && kernel.catalogue.get(&product).is_none() {
        input.refuse("product", "invalid_choice", format!("\"{product}\" is not a valid choice."));
    }
    input.finish()?;
    let (id, now) = (kernel.new_id(), kernel.now());
    let inserted = tx.execute(
        "INSERT INTO coupons (id, code, name, percent_ppm, amount_minor, currency, periods, product, max_redemptions, expires_at, created_at, \
         updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11) ON CONFLICT (code) DO NOTHING",
        &params![id, &code, &name, percent, fixed, &currency, periods, &product, most, expires_at, now],
    )?;
    if inserted == 0 {
        return Err(Problem::field("code", "unique", "There is a coupon of this code already."));
    }
    super::written_by_operator(tx, kernel, actor, ("coupons", "create"), (&id.to_string(), &code))?;
    Ok(id)
}

/// Stops a coupon from being redeemed; who has it keeps it.
///
/// # Errors
/// 404.
pub fn withdraw(tx: &mut Tx<'_>, kernel: &Kernel, actor: &Actor, id: Uuid) -> Result<()> {
    let code = tx
        .first(
            "UPDATE coupons SET is_active = FALSE, updated_at = $2, version = version + 1 WHERE id = $1 RETURNING code",
            &params![id, kernel.now()],
            |row| Ok(row.text(0)?.to_owned()),
        )?
        .ok_or_else(Problem::not_found)?;
    super::written_by_operator(tx, kernel, actor, ("coupons", "withdraw"), (&id.to_string(), &code))
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
    for one in held {
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
        if uses_period {
            tx.push(
                "UPDATE coupon_redemptions SET periods_left = periods_left - 1 WHERE company_id = $1 AND id = $2 AND periods_left IS NOT NULL",
                params![company, one.id],
            )?;
        }
    }
    Ok(())
}
