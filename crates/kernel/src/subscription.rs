//! Product subscriptions: which products a company may use, and in which state (spec/loop.md 6, T4).

use loopd_store::{Tx, dialect, params};
use loopd_types::{CompanyId, DAY_US, Problem, Result, Uuid};
use serde_json::Value as Json;

use crate::access::Tenant;
use crate::company::invalid_transition;
use crate::input::Input;
use crate::listing::{Column, ColumnKind, Listing, column, searched};
use crate::{Kernel, audit, event};

/// Subscriptions as the API shows them.
pub const LISTING: Listing = Listing {
    from: "product_subscriptions s",
    columns: &COLUMNS,
    company: Some("s.company_id"),
    id: "s.id",
    order: "s.company_id, s.product",
};
const COLUMNS: [Column; 12] = [
    column("id", "s.id", ColumnKind::Uuid),
    column("company", "s.company_id", ColumnKind::Company),
    searched("product", "s.product"),
    searched("plan", "s.plan"),
    column("status", "s.status", ColumnKind::Text),
    column("seats", "s.seats", ColumnKind::Int).nullable(),
    column("starts_at", "s.starts_at", ColumnKind::Time),
    column("trial_ends_at", "s.trial_ends_at", ColumnKind::Time).nullable(),
    column("ends_at", "s.ends_at", ColumnKind::Time).nullable(),
    column("created_at", "s.created_at", ColumnKind::Time),
    column("updated_at", "s.updated_at", ColumnKind::Time),
    column("version", "s.version", ColumnKind::Int),
];

/// A paid term, until billing plans carry their own.
const TERM_US: i64 = 30 * DAY_US;

/// Every state; `expired` is reached by time.
pub const STATES: [&str; 6] = ["trialing", "active", "past_due", "suspended", "cancelled", "expired"];

/// The moves that people make: action, from, to, past tense.
pub const MOVES: [(&str, &[&str], &str, &str); 5] = [
    ("activate", &["trialing", "past_due", "cancelled", "expired"], "active", "activated"),
    ("suspend", &["trialing", "active", "past_due"], "suspended", "suspended"),
    ("resume", &["suspended"], "active", "resumed"),
    // Not from suspended: cancelling and activating would undo what only the installation may.
    ("cancel", &["trialing", "active", "past_due"], "cancelled", "cancelled"),
    ("renew", &["active", "past_due", "expired"], "active", "renewed"),
];

/// The moves of [`MOVES`] that only superusers make: the installation's own matter, not the company's.
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
    let ends = (status == "active").then(|| now.plus(TERM_US));
    tx.push(
        "INSERT INTO product_subscriptions (company_id, id, product, plan, status, starts_at, trial_ends_at, ends_at, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $6, $6)",
        params![company, id, product, plan, status, now, trial_ends, ends],
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

/// Subscribes to a product.
///
/// # Errors
/// 400 for an unknown product or one the company has already.
pub fn create(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, body: Json) -> Result<Uuid> {
    let mut input = Input::new(body, false)?;
    input.ignore(&[
        "id",
        "company",
        "status",
        "starts_at",
        "trial_ends_at",
        "ends_at",
        "created_at",
        "updated_at",
        "version",
    ]);
    let product = input.required_text("product", 80);
    let plan = input.text("plan", 80).unwrap_or_else(|| "trial".to_owned());
    let seats = input.integer("seats", 1, 1_000_000);
    if let Some(slug) = &product
        && kernel.catalogue.get(slug).is_none()
    {
        input.refuse("product", "invalid_choice", format!("\"{slug}\" is not a valid choice."));
    }
    input.finish()?;
    let product = product.unwrap_or_default();
    let known = tx.first(
        "SELECT id FROM product_subscriptions WHERE company_id = $1 AND product = $2",
        &params![tenant.company, &product],
        |row| row.uuid(0),
    )?;
    if known.is_some() {
        return Err(Problem::field("product", "unique", "The company has a subscription to this product already."));
    }
    let status = if plan == "trial" { "trialing" } else { "active" };
    let id = insert(tx, kernel, tenant.company, &product, &plan, status)?;
    if let Some(seats) = seats {
        tx.push(
            "UPDATE product_subscriptions SET seats = $3 WHERE company_id = $1 AND id = $2",
            params![tenant.company, id, seats],
        )?;
    }
    written(tx, kernel, tenant, "create", "core.product_subscription.created", id, &product, Json::Null)?;
    Ok(id)
}

/// Makes a move of [`MOVES`].
///
/// # Errors
/// 404; 403 `permission_denied` for [`SUPERUSER_MOVES`] by others; 409 `invalid_transition`.
pub fn act(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid, action: &str) -> Result<()> {
    // Locked: two renewals at once must both count.
    let sql = format!(
        "SELECT product, status, ends_at FROM product_subscriptions WHERE company_id = $1 AND id = $2{}",
        dialect::for_update(tx.engine())
    );
    let (product, from, ends_at) = tx
        .first(&sql, &params![tenant.company, id], |row| {
            Ok((row.text(0)?.to_owned(), row.text(1)?.to_owned(), row.opt_time(2)?))
        })?
        .ok_or_else(Problem::not_found)?;
    let Some((_, allowed_from, to, past)) = MOVES.iter().find(|(name, ..)| *name == action) else {
        return Err(Problem::not_found());
    };
    if SUPERUSER_MOVES.contains(&action) && !tenant.is_superuser() {
        return Err(Problem::permission_denied());
    }
    if !allowed_from.contains(&from.as_str()) {
        let allowed: Vec<&str> =
            MOVES.iter().filter(|(_, froms, ..)| froms.contains(&from.as_str())).map(|(name, ..)| *name).collect();
        return Err(invalid_transition(&from, action, &allowed));
    }
    let now = kernel.now();
    let ends = match action {
        "activate" => Some(now.plus(TERM_US)),
        // Renewing early adds to the running term.
        "renew" => Some(ends_at.filter(|end| *end > now).unwrap_or(now).plus(TERM_US)),
        _ => ends_at,
    };
    tx.execute(
        "UPDATE product_subscriptions SET status = $3, ends_at = $4, updated_at = $5, version = version + 1 WHERE company_id = $1 AND id = $2",
        &params![tenant.company, id, *to, ends, now],
    )?;
    let kind = format!("core.product_subscription.{past}");
    written(tx, kernel, tenant, action, &kind, id, &product, serde_json::json!({"status": [from, to]}))
}

#[expect(clippy::too_many_arguments, reason = "one place writes audit and event for every move")]
fn written(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    action: &str,
    kind: &str,
    id: Uuid,
    product: &str,
    changes: Json,
) -> Result<()> {
    let target = id.to_string();
    let entry = audit::Entry {
        action,
        module: "core",
        resource: "product-subscriptions",
        target: &target,
        label: product,
        changes: (!changes.is_null()).then(|| changes.to_string()),
    };
    audit::record(tx, kernel, tenant, entry)?;
    let payload = serde_json::json!({"id": target, "product": product, "changes": changes});
    event::emit(tx, kernel, tenant, kind, &format!("core/product-subscriptions/{id}"), payload.to_string())?;
    kernel.forget_company(tx, tenant.company);
    Ok(())
}

/// Marks subscriptions whose trial or term is over; the check at each request does not wait for this. Returns how many.
pub async fn expire(kernel: &std::sync::Arc<Kernel>) -> Result<u64> {
    let (shared, now) = (kernel.clone(), kernel.now());
    kernel
        .db
        .write(loopd_store::View::System, move |tx| {
            let over: Vec<(CompanyId, Uuid)> = tx.query(
                "SELECT company_id, id FROM product_subscriptions WHERE (status = 'trialing' AND trial_ends_at <= $1) \
                 OR (status IN ('active', 'past_due', 'cancelled') AND ends_at <= $1) ORDER BY company_id, id LIMIT 500",
                &params![now],
                |row| Ok((CompanyId(row.i64(0)?), row.uuid(1)?)),
            )?;
            for (company, id) in &over {
                tx.push(
                    "UPDATE product_subscriptions SET status = 'expired', updated_at = $3, version = version + 1 WHERE company_id = $1 AND id = $2 \
                     AND ((status = 'trialing' AND trial_ends_at <= $3) OR (status IN ('active', 'past_due', 'cancelled') AND ends_at <= $3))",
                    params![*company, *id, now],
                )?;
                shared.forget_company(tx, *company);
            }
            Ok(over.len() as u64)
        })
        .await
}
