//! Product subscriptions: which products a company may use, by which plan, and in which state (spec/loop.md 6, T4).

mod change;
mod period;
pub mod rules;
mod store;

use loopd_store::{Tx, params};
use loopd_types::{CompanyId, Kind, Problem, Result, Uuid};
use serde_json::{Value as Json, json};

pub use change::change_plan;
pub(crate) use period::usage_bills;

use crate::access::Tenant;
use crate::billing::exact;
use crate::billing::{bill, coupon, letters, seller};
use crate::company::invalid_transition;
use crate::input::Input;
use crate::listing::{Column, ColumnKind, Listing, column, searched};
use crate::{Kernel, audit, event, plan};
use change::{Choice, read_choice};
use rules::{Begins, Due, Status};
use store::Subscription;

/// Subscriptions as the API shows them.
pub const LISTING: Listing = Listing {
    from: "product_subscriptions s",
    columns: &COLUMNS,
    company: Some("s.company_id"),
    id: "s.id",
    order: "s.company_id, s.product",
};
const COLUMNS: [Column; 18] = [
    column("id", "s.id", ColumnKind::Uuid),
    column("company", "s.company_id", ColumnKind::Company),
    searched("product", "s.product"),
    searched("plan", "s.plan"),
    column("status", "s.status", ColumnKind::Text),
    column("seats", "s.seats", ColumnKind::Int).nullable(),
    column("plan_edition", "s.plan_edition", ColumnKind::Int).nullable(),
    column("interval", "s.billing_interval", ColumnKind::Text),
    column("currency", "s.currency", ColumnKind::Text),
    column("period_starts_at", "s.period_starts_at", ColumnKind::Time).nullable(),
    column("grace_ends_at", "s.grace_ends_at", ColumnKind::Time).nullable(),
    column("next_terms", "s.next_terms", ColumnKind::Json).nullable(),
    column("starts_at", "s.starts_at", ColumnKind::Time),
    column("trial_ends_at", "s.trial_ends_at", ColumnKind::Time).nullable(),
    column("ends_at", "s.ends_at", ColumnKind::Time).nullable(),
    column("created_at", "s.created_at", ColumnKind::Time),
    column("updated_at", "s.updated_at", ColumnKind::Time),
    column("version", "s.version", ColumnKind::Int),
];

/// The moves of [`rules::MOVES`] that only superusers make: the installation's own matter, not the company's.
pub const SUPERUSER_MOVES: [&str; 2] = ["suspend", "resume"];

/// A trial of every product in the catalogue.
pub(crate) fn start_trials(tx: &mut Tx<'_>, kernel: &Kernel, company: CompanyId) -> Result<()> {
    for slug in kernel.catalogue.slugs() {
        insert(tx, kernel, company, &slug, "trial", "trialing")?;
    }
    Ok(())
}

fn insert(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    company: CompanyId,
    product: &str,
    plan: &str,
    status: &str,
) -> Result<Uuid> {
    let (id, now) = (kernel.new_id(), kernel.now());
    let trial_ends = (status == "trialing").then(|| now.plus(kernel.settings.trial_us));
    tx.push(
        "INSERT INTO product_subscriptions (company_id, id, product, plan, status, starts_at, trial_ends_at, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $6, $6)",
        params![company, id, product, plan, status, now, trial_ends],
    )?;
    Ok(id)
}

/// Products that were installed after a company was made: give every company a trial of what it never had. Run at start.
pub async fn offer_new_products(kernel: &std::sync::Arc<Kernel>) -> Result<u64> {
    let companies = crate::company::all_ids(kernel).await?;
    let mut offered = 0;
    for company in companies {
        let Some(access) = kernel.company_access(company).await? else { continue };
        let missing: Vec<String> = kernel
            .catalogue
            .slugs()
            .into_iter()
            .filter(|slug| !access.products.iter().any(|p| p.slug == *slug))
            .collect();
        if missing.is_empty() {
            continue;
        }
        let shared = kernel.clone();
        offered += missing.len() as u64;
        kernel
            .db
            .write(loopd_store::View::Company(company), move |tx| {
                for slug in &missing {
                    insert(tx, &shared, company, slug, "trial", "trialing")?;
                }
                shared.forget_company(tx, company);
                Ok(())
            })
            .await?;
    }
    Ok(offered)
}

/// Subscribes to a product: `{"product", "plan"?, "interval"?, "currency"?, "seats"?, "coupon"?}`. Without a plan it is a trial; a plan that
/// gives days of trial begins with them. The transaction needs a view of the installation, because it may open a bill.
///
/// # Errors
/// 400 for an unknown product or plan, or a product that the company has already; 409 `seats_in_use`.
pub fn create(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, body: Json) -> Result<Uuid> {
    let mut input = Input::new(body, false)?;
    input.ignore(
        &COLUMNS.map(|column| column.name).into_iter().filter(|name| !WRITABLE.contains(name)).collect::<Vec<_>>(),
    );
    let product = input.required_text("product", 80);
    let wanted = change::Wanted::read(&mut input);
    let coupon = input.text("coupon", 40);
    if let Some(slug) = &product
        && kernel.catalogue.get(slug).is_none()
    {
        input.refuse("product", "invalid_choice", format!("\"{slug}\" is not a valid choice."));
    }
    input.finish()?;
    let product = product.unwrap_or_default();
    let choice = read_choice(tx, tenant, &product, None, &wanted)?;
    if !matches!(&choice, Choice::Unsold(plan) if plan == "trial") {
        change::require_paid_for(tx, &product, &choice)?;
    }
    let known = tx.first(
        "SELECT id FROM product_subscriptions WHERE company_id = $1 AND product = $2",
        &params![tenant.company, &product],
        |row| row.uuid(0),
    )?;
    if known.is_some() {
        return Err(Problem::field("product", "unique", "The company has a subscription to this product already."));
    }
    let (plan, trial_days) = match &choice {
        Choice::Unsold(plan) => (plan.clone(), 0),
        Choice::Sold(sold) => (sold.code.clone(), sold.terms.trial_days),
    };
    let is_trial = plan == "trial" || trial_days > 0;
    let id = insert(tx, kernel, tenant.company, &product, &plan, if is_trial { "trialing" } else { "active" })?;
    let mut subscription = store::lock(tx, tenant.company, id)?;
    change::choose(&mut subscription, &choice, &wanted);
    if trial_days > 0 {
        subscription.state.trial_ends_at = Some(kernel.now().plus(trial_days * loopd_types::DAY_US));
    }
    store::save(tx, kernel, tenant.company, &subscription)?;
    redeem(tx, kernel, tenant, &subscription, coupon.as_deref())?;
    if subscription.sold.is_some() {
        change::require_room(tx, tenant, kernel.now())?;
    }
    if !is_trial {
        period::begin(tx, kernel, tenant, &mut subscription, kernel.now(), true)?;
    }
    written(tx, kernel, tenant, "create", "core.product_subscription.created", &subscription, Json::Null)?;
    Ok(id)
}

/// What a client gives when subscribing.
const WRITABLE: [&str; 5] = ["product", "plan", "seats", "interval", "currency"];

fn redeem(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    subscription: &Subscription,
    code: Option<&str>,
) -> Result<()> {
    let Some(code) = code.filter(|code| !code.is_empty()) else { return Ok(()) };
    let of = (subscription.product.as_str(), subscription.currency.as_str(), code);
    coupon::redeem(tx, kernel, tenant.company, subscription.id, of)
}

/// Makes a move of [`rules::MOVES`]. `activate` takes a plan as [`create`] does, `cancel` takes `{"at_once": true}`. The transaction needs a
/// view of the installation.
///
/// # Errors
/// 400; 402 `payment_required` while a bill is overdue; 404; 403 `permission_denied` for [`SUPERUSER_MOVES`] by others; 409
/// `invalid_transition`, `seats_in_use`.
pub fn act(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid, action: &str, body: Json) -> Result<()> {
    // Locked: two renewals at once must both count.
    let mut subscription = store::lock(tx, tenant.company, id)?;
    let Some((_, allowed_from, past)) = rules::MOVES.iter().find(|(name, ..)| *name == action) else {
        return Err(Problem::not_found());
    };
    if SUPERUSER_MOVES.contains(&action) && !tenant.is_superuser() {
        return Err(Problem::permission_denied());
    }
    let from = subscription.state.status;
    if !allowed_from.contains(&from) {
        return Err(invalid_transition(from.as_str(), action, &rules::allowed(from)));
    }
    let mut input = Input::new(if body.is_object() { body } else { json!({}) }, false)?;
    let at_once = action == "cancel" && input.boolean("at_once").unwrap_or(false);
    let takes_plan = action == "activate";
    let wanted = if takes_plan { change::Wanted::read(&mut input) } else { change::Wanted::default() };
    let code = if takes_plan { input.text("coupon", 40) } else { None };
    input.finish()?;
    let now = kernel.now();
    if matches!(action, "activate" | "renew") {
        require_nothing_owed(tx, kernel, tenant, &subscription)?;
        if takes_plan {
            let choice = read_choice(tx, tenant, &subscription.product, Some(&subscription), &wanted)?;
            change::require_paid_for(tx, &subscription.product, &choice)?;
            let runs = subscription.state.ends_at.is_some_and(|end| end > now);
            if runs && change::differs(&subscription, &choice, &wanted) {
                let words = "What was paid for goes on with its own plan; activate it, then change the plan.";
                return Err(Problem::field("plan", "invalid", words));
            }
            change::choose(&mut subscription, &choice, &wanted);
        } else if subscription.sold.is_none() {
            change::require_paid_for(tx, &subscription.product, &Choice::Unsold(subscription.plan.clone()))?;
        }
    }
    let (next, begins) = rules::act(&subscription.state, action, at_once, now);
    subscription.state = next;
    store::save(tx, kernel, tenant.company, &subscription)?;
    redeem(tx, kernel, tenant, &subscription, code.as_deref())?;
    if let Begins::At(start) = begins {
        if takes_plan {
            change::require_room(tx, tenant, now)?;
        }
        // A term that is renewed while it runs goes on in its rhythm; every other begins anew.
        let goes_on = subscription.state.ends_at == Some(start) && start > now;
        period::begin(tx, kernel, tenant, &mut subscription, start, !goes_on)?;
    }
    let kind = format!("core.product_subscription.{past}");
    let changes = json!({"status": [from.as_str(), subscription.state.status.as_str()]});
    written(tx, kernel, tenant, action, &kind, &subscription, changes)
}

fn require_nothing_owed(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, subscription: &Subscription) -> Result<()> {
    if !bill::is_overdue(tx, tenant.company, subscription.id, kernel.now())? {
        return Ok(());
    }
    let words = "A bill of this subscription is overdue; pay it first (/api/v1/billing/invoices/?status=open).";
    Err(Problem::new(Kind::PaymentRequired, "payment_required", words))
}

/// Does to a subscription all that is due by now. Doing it again does nothing. The transaction needs a view of the installation.
///
/// # Errors
/// The database's.
pub fn settle(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid) -> Result<()> {
    let timing = seller::get(tx)?.timing();
    // Each step leads on; the bound only keeps a mistake in the rules from holding the database.
    for _ in 0..16 {
        let now = kernel.now();
        let mut subscription = store::lock(tx, tenant.company, id)?;
        let owes = bill::is_overdue(tx, tenant.company, id, now)?;
        let Some(mut due) = rules::due(&subscription.state, owes, timing, now) else { return Ok(()) };
        // What was used for nothing before the operator sold it ends with its term, and does not go on for nothing.
        if due == Due::Renew && subscription.sold.is_none() && plan::is_sold(tx, &subscription.product)? {
            due = Due::Expire;
        }
        let from = subscription.state.status;
        if matches!(due, Due::Convert | Due::Renew) {
            // A period that passed as a whole while nobody looked is not billed: the one that runs now begins at its own boundary.
            let began = match due {
                Due::Convert => subscription.state.trial_ends_at,
                _ => subscription.state.ends_at,
            };
            subscription.state.status = Status::Active;
            subscription.state.grace_ends_at = None;
            period::begin(tx, kernel, tenant, &mut subscription, began.unwrap_or(now), due == Due::Convert)?;
        } else {
            let was_shut = from == Status::Suspended;
            subscription.state = rules::after(&subscription.state, due, timing, now, now);
            if due == Due::Clear && was_shut && subscription.state.ends_at.is_some_and(|end| end <= now) {
                // What was shut is not billed for that time: the next period begins today.
                subscription.anchor_at = Some(now);
                subscription.state.ends_at = Some(now);
            }
            store::save(tx, kernel, tenant.company, &subscription)?;
            match due {
                Due::Owe => {
                    letters::overdue(tx, kernel, tenant, id, subscription.state.grace_ends_at.unwrap_or(now))?;
                }
                Due::Suspend => letters::suspended(tx, kernel, tenant, &subscription.product)?,
                _ => {}
            }
        }
        let kind = format!("core.product_subscription.{}", due.past());
        let changes = json!({"status": [from.as_str(), subscription.state.status.as_str()]});
        written(tx, kernel, tenant, due.past(), &kind, &subscription, changes)?;
    }
    Err(Problem::internal(format!("subscription {id} does not come to rest")))
}

fn written(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    action: &str,
    kind: &str,
    subscription: &Subscription,
    changes: Json,
) -> Result<()> {
    let target = subscription.id.to_string();
    let entry = audit::Entry {
        action,
        module: "core",
        resource: "product-subscriptions",
        target: &target,
        label: &subscription.product,
        changes: (!changes.is_null()).then(|| changes.to_string()),
    };
    audit::record(tx, kernel, tenant, entry)?;
    let payload = json!({"id": target, "product": subscription.product, "changes": changes});
    event::emit(tx, kernel, tenant, kind, &format!("core/product-subscriptions/{target}"), payload.to_string())?;
    exact::forget(tx, tenant.company)?;
    kernel.forget_company(tx, tenant.company);
    Ok(())
}

/// How long before its end people hear of a trial's.
const NOTICE_US: i64 = 3 * loopd_types::DAY_US;

/// Tells people once that a trial of a product that is sold is about to end, and what is then charged where a plan was chosen.
pub(crate) fn warn_of_end(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid) -> Result<()> {
    let (subscription, now) = (store::lock(tx, tenant.company, id)?, kernel.now());
    let Some(ends_at) = subscription.state.trial_ends_at.filter(|end| now < *end && end.plus(-NOTICE_US) <= now) else {
        return Ok(());
    };
    let is_open = subscription.state.status == Status::Trialing;
    if !is_open || !subscription.state.is_sold && !plan::is_sold(tx, &subscription.product)? {
        return Ok(());
    }
    let told = tx.execute(
        "UPDATE product_subscriptions SET trial_told = TRUE WHERE company_id = $1 AND id = $2 AND NOT trial_told",
        &params![tenant.company, id],
    )?;
    if told == 1 {
        let product = &subscription.product;
        match period::first_charge(tx, tenant, &subscription)? {
            Some(total) => {
                let (plan, charge) = (&subscription.plan, (total, subscription.currency.as_str()));
                letters::first_charge(tx, kernel, tenant, (product, plan), charge, ends_at)?;
            }
            None => letters::trial_ends(tx, kernel, tenant, product, ends_at)?,
        }
        let kind = "core.product_subscription.trial_will_end";
        written(tx, kernel, tenant, "trial-will-end", kind, &subscription, json!({"trial_ends_at": ends_at}))?;
    }
    Ok(())
}

/// The subscriptions of a company, for the daily job.
pub(crate) fn ids(reader: &mut loopd_store::Reader<'_>, company: CompanyId) -> Result<Vec<Uuid>> {
    let sql = "SELECT id FROM product_subscriptions WHERE company_id = $1 ORDER BY product";
    Ok(reader.query(sql, &params![company], |row| row.uuid(0))?)
}
