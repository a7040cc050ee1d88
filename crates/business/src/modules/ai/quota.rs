//! How much a company may ask in a month: its plan's cap, or less where its owners set `ai.monthly_cap` among the company's settings.
//!
//! Counted in a row of its own and before anything is asked, so that calls at the same moment cannot pass the cap together.

use loopd_store::Reader;
use loopd_types::Kind as Refusal;
use serde_json::{Value as Json, json};

use super::period::months;
use super::store;
use crate::define::*;

/// Requests in a month, by plan of the product.
const PLANS: [(&str, i64); 2] = [("trial", 500), ("free", 200)];
/// Of any other plan.
const USUAL: i64 = 5_000;

/// A month's cap and what is used of it.
struct Quota {
    month: String,
    plan: Option<String>,
    cap: i64,
    used: i64,
    resets_at: Timestamp,
}

fn read(reader: &mut Reader<'_>, tenant: &loopd_kernel::Tenant, now: Timestamp) -> Result<Quota> {
    let company = tenant.company;
    let (month, _, resets_at) = months(now, tenant.timezone(), 1)?.remove(0);
    let plan = store::plan(reader, company)?;
    let settings = loopd_kernel::company::settings(reader, company, "ai")?;
    let by_plan = PLANS.iter().find(|(name, _)| plan.as_deref() == Some(name)).map_or(USUAL, |(_, cap)| *cap);
    let cap = settings["monthly_cap"].as_i64().map_or(by_plan, |own| own.clamp(0, by_plan));
    let used = store::used(reader, company, &month)?;
    Ok(Quota { month, plan, cap, used, resets_at })
}

/// Counts one request.
///
/// # Errors
/// 429 `throttled` when the month's cap is reached, with the time until the next month.
pub(super) fn take(cx: &mut Cx<'_, '_>) -> Result<()> {
    let now = cx.now();
    let quota = read(cx.tx, cx.tenant, now)?;
    if store::take(cx, &quota.month, quota.cap)? {
        return Ok(());
    }
    let seconds = (quota.resets_at.micros() - now.micros()).div_euclid(loopd_types::SECOND_US) + 1;
    let words = format!("The company has used its {} AI requests of this month.", quota.cap);
    Err(Problem::new(Refusal::TooMany, "throttled", words)
        .with_header("Retry-After", seconds.to_string())
        .with_extra("cap", quota.cap)
        .with_extra("resets_at", quota.resets_at.to_string()))
}

/// Gives back what a request took that came to nothing.
pub(super) fn give_back(cx: &mut Cx<'_, '_>) -> Result<()> {
    let (month, ..) = months(cx.now(), cx.tenant.timezone(), 1)?.remove(0);
    store::give_back(cx, &month)
}

/// The present month's cap for `GET /ai/usage/`.
pub(super) fn render(viewer: &mut Viewer<'_, '_>) -> Result<Json> {
    let now = viewer.now();
    let quota = read(viewer.reader, viewer.tenant, now)?;
    Ok(json!({
        "month": quota.month,
        "plan": quota.plan,
        "cap": quota.cap,
        "used": quota.used,
        "remaining": (quota.cap - quota.used).max(0),
        "resets_at": quota.resets_at,
    }))
}

pub(super) fn schema() -> Json {
    let whole = || json!({"type": "integer", "minimum": 0});
    json!({
        "type": "object",
        "properties": {
            "month": {"type": "string"},
            "plan": {"type": ["string", "null"]},
            "cap": whole(),
            "used": whole(),
            "remaining": whole(),
            "resets_at": {"type": "string", "format": "date-time"},
        },
        "required": ["month", "plan", "cap", "used", "remaining", "resets_at"],
    })
}
