//! Choosing and changing plans: what a client asks for, what that means, and what it costs for the rest of a period.

use loopd_store::Tx;
use loopd_types::{Problem, Result, Timestamp, Uuid};
use serde_json::{Value as Json, json};

use super::rules::{self, Status};
use super::store::{self, Subscription};
use super::{period, written};
use crate::Kernel;
use crate::access::Tenant;
use crate::billing::bill::{self, NewBill};
use crate::billing::calendar::{Interval, month_of};
use crate::billing::{coupon, usage};
use crate::company::invalid_transition;
use crate::input::Input;
use crate::plan::{self, Terms};

/// What a client asks for.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    plan: Option<String>,
    interval: Option<Interval>,
    currency: Option<String>,
    seats: Option<i64>,
}

impl Wanted {
    pub fn read(input: &mut Input) -> Self {
        Self {
            plan: input.text("plan", 60).filter(|plan| !plan.is_empty()),
            interval: input.choice("interval", &Interval::ALL).and_then(|text| Interval::parse(&text)),
            currency: input.text("currency", 4).filter(|currency| !currency.is_empty()),
            seats: input.integer("seats", 1, 1_000_000),
        }
    }
}

/// What it means.
pub(super) enum Choice {
    /// No plan: `trial` or `free`.
    Unsold(String),
    Sold(Box<Sold>),
}

pub(super) struct Sold {
    pub code: String,
    plan: Uuid,
    edition: i64,
    pub terms: Terms,
    interval: Interval,
    currency: String,
}

/// Finds what is wanted: the edition that the subscription has if it stays with its plan, else the newest on sale.
///
/// # Errors
/// 400 on `plan`, or on `interval` and `currency` when the plan has no such price.
pub(super) fn read_choice(
    tx: &mut Tx<'_>,
    tenant: &Tenant,
    product: &str,
    present: Option<&Subscription>,
    wanted: &Wanted,
) -> Result<Choice> {
    let code = match (&wanted.plan, present) {
        (Some(code), _) => code.clone(),
        (None, Some(present)) if present.sold.is_some() => present.plan.clone(),
        (None, Some(_)) => "free".to_owned(),
        (None, None) => "trial".to_owned(),
    };
    let kept = present.filter(|present| present.plan == code).and_then(|present| present.sold);
    let found = match kept {
        Some((plan, edition)) => Some((plan, edition, plan::terms(tx, plan, edition)?)),
        None => plan::find_on_sale(tx, product, &code)?.map(|found| (found.id, found.edition, found.terms)),
    };
    let Some((plan, edition, terms)) = found else {
        if plan::UNSOLD.contains(&code.as_str()) {
            return Ok(Choice::Unsold(code));
        }
        return Err(Problem::field("plan", "invalid_choice", format!("\"{code}\" is not a valid choice.")));
    };
    let same = present.filter(|_| kept.is_some());
    let interval = wanted.interval.or(same.map(|present| present.interval));
    let currency = wanted.currency.clone().or(same.map(|present| present.currency.clone()));
    let fits = |price: &&plan::Price| {
        interval.is_none_or(|interval| interval == price.interval)
            && currency.as_ref().is_none_or(|currency| *currency == price.currency)
    };
    // Unless it is said: the company's own currency, and the first price that the plan names.
    let own = terms.prices.iter().filter(fits).find(|price| currency.is_some() || price.currency == tenant.currency());
    let Some(price) = own.or_else(|| terms.prices.iter().find(fits)) else {
        let field = if wanted.currency.is_some() { "currency" } else { "interval" };
        return Err(Problem::field(field, "invalid_choice", "The plan has no such price."));
    };
    let (interval, currency) = (price.interval, price.currency.clone());
    Ok(Choice::Sold(Box::new(Sold { code, plan, edition, terms, interval, currency })))
}

/// A product that is sold is not used for nothing.
///
/// # Errors
/// 400 on `plan`.
pub(super) fn require_paid_for(tx: &mut Tx<'_>, product: &str, choice: &Choice) -> Result<()> {
    if matches!(choice, Choice::Unsold(_)) && plan::is_sold(tx, product)? {
        return Err(Problem::field("plan", "required", "Choose one of this product's plans (/api/v1/plans/)."));
    }
    Ok(())
}

/// Whether the choice is another than what the subscription has.
pub(super) fn differs(subscription: &Subscription, choice: &Choice, wanted: &Wanted) -> bool {
    let has_other_seats = wanted.seats.is_some() && wanted.seats != subscription.seats;
    has_other_seats
        || match choice {
            Choice::Unsold(_) => subscription.sold.is_some(),
            Choice::Sold(sold) => {
                subscription.sold != Some((sold.plan, sold.edition))
                    || subscription.interval != sold.interval
                    || subscription.currency != sold.currency
            }
        }
}

/// Puts the choice into the subscription.
pub(super) fn choose(subscription: &mut Subscription, choice: &Choice, wanted: &Wanted) {
    if wanted.seats.is_some() {
        subscription.seats = wanted.seats;
    }
    subscription.next_terms = None;
    match choice {
        Choice::Unsold(code) => {
            (subscription.plan, subscription.sold) = (code.clone(), None);
        }
        Choice::Sold(sold) => {
            subscription.plan = sold.code.clone();
            subscription.sold = Some((sold.plan, sold.edition));
            subscription.interval = sold.interval;
            subscription.currency = sold.currency.clone();
        }
    }
    subscription.state.is_sold = subscription.sold.is_some();
}

/// Changes what was kept for the next period; whether that has another rhythm.
pub(super) fn take_next(subscription: &mut Subscription, next: &Json) -> bool {
    let text = |name: &str| next[name].as_str().unwrap_or_default().to_owned();
    let Ok(plan) = Uuid::parse_str(&text("plan_id")) else { return false };
    let before = subscription.interval;
    subscription.plan = text("plan");
    subscription.sold = Some((plan, next["edition"].as_i64().unwrap_or(1)));
    subscription.interval = Interval::parse(&text("interval")).unwrap_or(before);
    subscription.currency = text("currency");
    subscription.seats = next["seats"].as_i64();
    subscription.state.is_sold = true;
    before != subscription.interval
}

/// Changes plan, price or seats: `{"plan"?, "interval"?, "currency"?, "seats"?, "when"?: "now" | "period_end"}`. What costs less begins with
/// the next period unless `when` says now; what is not used of the running one is then credited. A trial only notes what it becomes. The
/// transaction needs a view of the installation.
///
/// # Errors
/// 400; 402 `payment_required`; 404; 409 `invalid_transition`, `seats_in_use`.
pub fn change_plan(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid, body: Json) -> Result<()> {
    let mut subscription = store::lock(tx, tenant.company, id)?;
    let status = subscription.state.status;
    if !rules::CHANGEABLE.contains(&status) {
        return Err(invalid_transition(status.as_str(), "change-plan", &rules::allowed(status)));
    }
    let mut input = Input::new(body, false)?;
    let wanted = Wanted::read(&mut input);
    let code = input.text("coupon", 40);
    let when = input.choice("when", &["now", "period_end"]);
    input.finish()?;
    super::require_nothing_owed(tx, kernel, tenant, &subscription)?;
    let choice = read_choice(tx, tenant, &subscription.product, Some(&subscription), &wanted)?;
    let Choice::Sold(sold) = &choice else {
        return Err(Problem::field("plan", "required", "Choose one of this product's plans (/api/v1/plans/)."));
    };
    let before = json!({"plan": subscription.plan, "seats": subscription.seats});
    let seats = wanted.seats.or(subscription.seats);
    let new_whole =
        sold.terms.price(sold.interval, &sold.currency).map_or(0, |price| period::whole(&sold.terms, price, seats));
    let old_whole = match subscription.sold {
        Some((plan, edition)) => {
            let terms = plan::terms(tx, plan, edition)?;
            terms
                .price(subscription.interval, &subscription.currency)
                .map(|price| period::whole(&terms, price, subscription.seats))
        }
        None => None,
    };
    let runs = status == Status::Active && old_whole.is_some();
    let keeps_rhythm = subscription.interval == sold.interval && subscription.currency == sold.currency;
    let later = match when.as_deref() {
        Some("period_end") => true,
        Some(_) => false,
        None => keeps_rhythm && old_whole.is_some_and(|old| new_whole < old),
    };
    if runs && !later && subscription.currency != sold.currency {
        return Err(Problem::field(
            "currency",
            "invalid",
            "Another currency begins with the next period: when = period_end.",
        ));
    }
    super::redeem(
        tx,
        kernel,
        tenant,
        &Subscription { currency: sold.currency.clone(), ..subscription.clone() },
        code.as_deref(),
    )?;
    if runs && later {
        let then = plan::limits_with(tx, tenant.company, id, seats, &sold.terms)?;
        require_seats(tx, tenant, then.seats, kernel.now())?;
        subscription.next_terms =
            Some(json!({"plan": sold.code, "plan_id": sold.plan.to_string(), "edition": sold.edition,
            "interval": sold.interval.as_str(), "currency": sold.currency, "seats": seats}));
        store::save(tx, kernel, tenant.company, &subscription)?;
    } else if runs {
        change_now(tx, kernel, tenant, &mut subscription, (&choice, &wanted), new_whole, keeps_rhythm)?;
    } else {
        choose(&mut subscription, &choice, &wanted);
        store::save(tx, kernel, tenant.company, &subscription)?;
        require_room(tx, tenant, kernel.now())?;
        if status == Status::Active {
            period::begin(tx, kernel, tenant, &mut subscription, kernel.now(), true)?;
        }
    }
    // Another plan has other bounds: they are told anew.
    usage::forget_told(tx, tenant.company, month_of(kernel.now()))?;
    let after = json!({"plan": sold.code, "seats": seats, "at_period_end": runs && later});
    let kind = "core.product_subscription.plan_changed";
    written(tx, kernel, tenant, "change-plan", kind, &subscription, json!({"plan": [before, after]}))
}

fn change_now(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    subscription: &mut Subscription,
    (choice, wanted): (&Choice, &Wanted),
    new_whole: i64,
    keeps_rhythm: bool,
) -> Result<()> {
    let now = kernel.now();
    let code = match choice {
        Choice::Sold(sold) => sold.code.clone(),
        Choice::Unsold(code) => code.clone(),
    };
    let rest = keeps_rhythm.then_some(new_whole);
    let mut lines = period::change_lines(tx, tenant, subscription, now, rest, &format!("change to plan {code}"))?;
    choose(subscription, choice, wanted);
    store::save(tx, kernel, tenant.company, subscription)?;
    require_room(tx, tenant, now)?;
    coupon::apply(tx, tenant.company, subscription.id, &subscription.currency, &mut lines, false)?;
    let new = NewBill {
        currency: subscription.currency.clone(),
        subscription: Some(subscription.id),
        cause: Some(format!("change:{}:{}", subscription.id, subscription.version)),
        lines,
    };
    bill::issue(tx, kernel, tenant, &new)?;
    if !keeps_rhythm {
        period::begin(tx, kernel, tenant, subscription, now, true)?;
    }
    Ok(())
}

/// Whoever works here or is invited already keeps their seat: asked when the subscription that was chosen is saved, before it is billed.
///
/// # Errors
/// 409 `seats_in_use`.
pub(super) fn require_room(tx: &mut Tx<'_>, tenant: &Tenant, now: Timestamp) -> Result<()> {
    let limit = plan::limits(tx, tenant.company)?.seats;
    require_seats(tx, tenant, limit, now)
}

fn require_seats(tx: &mut Tx<'_>, tenant: &Tenant, limit: Option<i64>, now: Timestamp) -> Result<()> {
    let Some(seats) = limit else { return Ok(()) };
    let used = plan::seats_taken(tx, tenant.company, now)?;
    if used <= seats {
        return Ok(());
    }
    let words = format!("{used} people work in this company or are invited to it, and there would be {seats} seats.");
    Err(Problem::conflict("seats_in_use", words).with_extra("used", used).with_extra("limit", seats))
}
