//! Periods of a subscription and what is billed for them.

use std::collections::BTreeMap;

use loopd_store::{Tx, params};
use loopd_types::{Result, Timestamp, Uuid};
use serde_json::{Value as Json, json};

use super::change;
use super::store::{self, Subscription};
use crate::Kernel;
use crate::access::Tenant;
use crate::billing::bill::{self, NewBill, NewLine};
use crate::billing::calendar::{Interval, date_of, month_of, months_after, next_boundary};
use crate::billing::{account, amount, coupon, tax, usage};
use crate::plan::{self, Price, Terms};

/// Begins the period in which `from` or, if that is later, now lies; bills it. `is_fresh`: the rhythm begins with it.
pub(super) fn begin(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    subscription: &mut Subscription,
    from: Timestamp,
    is_fresh: bool,
) -> Result<()> {
    let mut is_fresh = is_fresh;
    if let Some(next) = subscription.next_terms.take() {
        is_fresh |= change::take_next(subscription, &next);
    }
    let kept = keep_seats(tx, kernel, tenant, subscription)?;
    if is_fresh || subscription.anchor_at.is_none() {
        subscription.anchor_at = Some(from);
    }
    let anchor = subscription.anchor_at.unwrap_or(from);
    let ends_at = next_boundary(anchor, subscription.interval, from.max(kernel.now()));
    let starts_at = latest_boundary(anchor, subscription.interval, from, ends_at);
    subscription.period_starts_at = Some(starts_at);
    subscription.state.ends_at = Some(ends_at);
    // Saved before it is billed: a bill that credit pays at once looks at the subscription again.
    store::save(tx, kernel, tenant.company, subscription)?;
    if let Some(changes) = kept {
        let kind = "core.product_subscription.seats_kept";
        super::written(tx, kernel, tenant, "keep-seats", kind, subscription, changes)?;
    }
    let Some((plan, edition)) = subscription.sold else { return Ok(()) };
    let terms = plan::terms(tx, plan, edition)?;
    let Some(price) = terms.price(subscription.interval, &subscription.currency) else { return Ok(()) };
    let mut lines = lines(subscription, &terms, price, starts_at, ends_at);
    coupon::apply(tx, tenant.company, subscription.id, &subscription.currency, &mut lines, true)?;
    let new = NewBill {
        currency: subscription.currency.clone(),
        subscription: Some(subscription.id),
        cause: Some(format!("period:{}:{}", subscription.id, starts_at.0)),
        lines,
    };
    bill::issue(tx, kernel, tenant, &new)?;
    Ok(())
}

/// Who took a seat after fewer were asked for keeps it, and it is billed. Gives what changed; `None` where all have room, or where seats
/// are not what the plan sells.
fn keep_seats(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    subscription: &mut Subscription,
) -> Result<Option<Json>> {
    let Some((plan, edition)) = subscription.sold else { return Ok(None) };
    let terms = plan::terms(tx, plan, edition)?;
    let limits = plan::limits_with(tx, tenant.company, subscription.id, subscription.seats, &terms)?;
    let used = plan::seats_taken(tx, tenant.company, kernel.now())?;
    if !terms.sells_seats() || limits.seats.is_none_or(|seats| used <= seats) {
        return Ok(None);
    }
    let asked = subscription.seats.replace(used);
    Ok(Some(json!({"seats": [asked, used]})))
}

/// What the first period of a trial's plan will cost: coupons taken off, tax upon it. `None` without a plan that has a price.
pub(super) fn first_charge(tx: &mut Tx<'_>, tenant: &Tenant, subscription: &Subscription) -> Result<Option<i64>> {
    let (Some((plan, edition)), Some(starts_at)) = (subscription.sold, subscription.state.trial_ends_at) else {
        return Ok(None);
    };
    let terms = plan::terms(tx, plan, edition)?;
    let Some(price) = terms.price(subscription.interval, &subscription.currency) else { return Ok(None) };
    let ends_at = next_boundary(starts_at, subscription.interval, starts_at);
    let mut lines = lines(subscription, &terms, price, starts_at, ends_at);
    coupon::preview(tx, tenant.company, subscription.id, &subscription.currency, &mut lines)?;
    let country = account::get(tx, tenant.company)?.country;
    let rate = tax::rate(tx, &country, starts_at)?;
    let total = lines.iter().map(|line| {
        let base = line.amount_minor - line.discount_minor;
        if rate.inclusive { base } else { base + amount::tax(base, rate.ppm, false) }
    });
    Ok(Some(total.sum()))
}

/// The last boundary before `ends_at`, but not before `from`.
fn latest_boundary(anchor: Timestamp, interval: Interval, from: Timestamp, ends_at: Timestamp) -> Timestamp {
    let mut boundary = from;
    loop {
        let next = next_boundary(anchor, interval, boundary);
        if next >= ends_at {
            return boundary;
        }
        boundary = next;
    }
}

/// What a whole period costs.
pub(super) fn whole(terms: &Terms, price: &Price, seats: Option<i64>) -> i64 {
    price.amount_minor + extra_seats(terms, seats) * price.seat_minor
}

fn extra_seats(terms: &Terms, seats: Option<i64>) -> i64 {
    (seats.unwrap_or(0) - terms.included_seats).max(0)
}

fn lines(
    subscription: &Subscription,
    terms: &Terms,
    price: &Price,
    starts_at: Timestamp,
    ends_at: Timestamp,
) -> Vec<NewLine> {
    let span = format!("{} to {}", date_of(starts_at), date_of(ends_at));
    let line = |kind, what: &str, quantity: i64, unit: i64| NewLine {
        kind,
        product: subscription.product.clone(),
        description: format!("{}, {what}, {span}", subscription.product),
        quantity,
        unit_minor: Some(unit),
        amount_minor: quantity * unit,
        discount_minor: 0,
        starts_at: Some(starts_at),
        ends_at: Some(ends_at),
    };
    let mut lines = vec![line("plan", &format!("plan {}", subscription.plan), 1, price.amount_minor)];
    let seats = extra_seats(terms, subscription.seats);
    if seats > 0 && price.seat_minor > 0 {
        lines.push(line("seats", "further seats", seats, price.seat_minor));
    }
    lines
}

/// The lines by which a running period changes: what is not used of it back, and what is new for the rest of it, or none of that.
pub(super) fn change_lines(
    tx: &mut Tx<'_>,
    tenant: &Tenant,
    subscription: &Subscription,
    now: Timestamp,
    rest_of_new: Option<i64>,
    description: &str,
) -> Result<Vec<NewLine>> {
    let Some((starts_at, ends_at)) = subscription.period_starts_at.zip(subscription.state.ends_at) else {
        return Ok(Vec::new());
    };
    let line = |kind, description: String, amount: i64| NewLine {
        kind,
        product: subscription.product.clone(),
        description,
        quantity: 1,
        unit_minor: None,
        amount_minor: amount,
        discount_minor: 0,
        starts_at: Some(now),
        ends_at: Some(ends_at),
    };
    let unused = unused(tx, tenant, subscription, ends_at, now)?;
    let mut lines = Vec::new();
    if unused != 0 {
        let words = format!("{}, unused time to {}", subscription.product, date_of(ends_at));
        lines.push(line("unused", words, -unused));
    }
    if let Some(whole) = rest_of_new {
        let rest = amount::unearned(whole, starts_at, ends_at, now);
        let words = format!("{}, {description}, {} to {}", subscription.product, date_of(now), date_of(ends_at));
        lines.push(line("change", words, rest));
    }
    Ok(lines)
}

/// What was billed for time after `now` of the period that ends at `ends_at`, less what was taken back already.
fn unused(
    tx: &mut Tx<'_>,
    tenant: &Tenant,
    subscription: &Subscription,
    ends_at: Timestamp,
    now: Timestamp,
) -> Result<i64> {
    let parts = tx.query(
        "SELECT l.amount_minor - l.discount_minor, l.starts_at, b.kind FROM billing_lines l JOIN billing_invoices b \
         ON b.company_id = l.company_id AND b.id = l.invoice_id WHERE l.company_id = $1 AND b.subscription_id = $2 AND l.ends_at = $3 \
         AND l.kind IN ('plan', 'seats', 'change', 'unused') AND b.status IN ('open', 'paid')",
        &params![tenant.company, subscription.id, ends_at],
        |row| Ok((row.i64(0)?, row.time(1)?, row.text(2)? == "credit_note")),
    )?;
    let parts = parts.into_iter().map(|(net, starts_at, is_note)| {
        let left = amount::unearned(net, starts_at, ends_at, now);
        if is_note { -left } else { left }
    });
    Ok(parts.sum())
}

/// Bills what a company used in months that are over, by the plans that price it; closes those months.
pub(crate) fn usage_bills(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant) -> Result<()> {
    let company = tenant.company;
    let open = usage::unbilled(tx, company, month_of(kernel.now()))?;
    if open.is_empty() {
        return Ok(());
    }
    let sold = tx.query(
        "SELECT id, product, plan_id, plan_edition FROM product_subscriptions WHERE company_id = $1 AND plan_id IS NOT NULL ORDER BY product",
        &params![company],
        |row| Ok((row.uuid(0)?, row.text(1)?.to_owned(), row.uuid(2)?, row.i64(3)?)),
    )?;
    let mut bills: BTreeMap<(Uuid, String, Timestamp), Vec<NewLine>> = BTreeMap::new();
    for (subscription, product, plan, edition) in sold {
        for metered in plan::terms(tx, plan, edition)?.metered {
            for (meter, month, units) in open.iter().filter(|(meter, ..)| *meter == metered.meter) {
                let amount = amount::tiered(units - metered.included, &metered.tiers, metered.mode);
                if amount == 0 {
                    continue;
                }
                let line = NewLine {
                    kind: "usage",
                    product: product.clone(),
                    description: format!(
                        "{product}, {meter}, {} ({} included)",
                        &date_of(*month)[..7],
                        metered.included
                    ),
                    quantity: *units,
                    unit_minor: None,
                    amount_minor: amount,
                    discount_minor: 0,
                    starts_at: Some(*month),
                    ends_at: Some(months_after(*month, 1)),
                };
                bills.entry((subscription, metered.currency.clone(), *month)).or_default().push(line);
            }
        }
    }
    for (meter, month, _) in &open {
        usage::mark_billed(tx, company, meter, *month)?;
    }
    for ((subscription, currency, month), lines) in bills {
        let cause = Some(format!("usage:{subscription}:{currency}:{}", month.0));
        bill::issue(tx, kernel, tenant, &NewBill { currency, subscription: Some(subscription), cause, lines })?;
    }
    Ok(())
}
