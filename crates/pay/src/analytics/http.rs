//! `GET /api/v1/loomal/analytics/`.

use std::collections::BTreeMap;

use loopd_types::{DAY_US, Problem, Result, Timestamp, Uuid};
use loopd_web::{Call, Operation, Param, Reply, Schema as _, schema};
use serde_json::{Value as Json, json};

use super::rules::percentile;
use super::store::{self, Range};
use crate::mandate::rules::day_of;
use crate::project::PRODUCT;

const DAYS: i64 = 30;
const DAYS_MOST: i64 = 366;

pub fn operation() -> Operation {
    let day = schema::object([
        ("day", schema::date()),
        ("calls", schema::integer()),
        ("revenue_micros", schema::integer()),
        ("refused", schema::integer()),
    ]);
    let refusal =
        schema::object([("stage", schema::string().describe("verify, settle, facilitator_verify, facilitator_settle, or pay, what the project's own calls were refused for.")), ("reason", schema::string()), ("count", schema::integer())]);
    let time = schema::object([
        ("p50", schema::integer().nullable()),
        ("p99", schema::integer().nullable()),
        ("max", schema::integer().nullable()),
    ]);
    let fields = [
        ("since", schema::date()),
        ("until", schema::date()),
        ("calls", schema::integer().describe("Settled payments.")),
        ("revenue_micros", schema::integer().describe("What they came to, in millionths of a USDC.")),
        ("payers", schema::integer().describe("Different ones.")),
        ("failed", schema::integer()),
        ("under_way", schema::integer()),
        ("refused", schema::integer()),
        ("refusals", schema::array(refusal).describe("The commonest first.")),
        ("time_to_settle_us", time.describe("Of the newest 10,000 settled payments, in microseconds.")),
        ("days", schema::array(day)),
    ];
    let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
    Operation::get("loomal_analytics", format!("/api/v1/{PRODUCT}/analytics/"), analytics)
        .tag(PRODUCT)
        .summary("Calls, revenue, refusals by reason and time to settle")
        .describe("Of one project or of all; refusals are counted within seconds.")
        .tenant(Some(PRODUCT), "loomal.payments.view")
        .param(Param::query("project", schema::uuid()))
        .param(Param::query("days", schema::integer_between(1, DAYS_MOST)).describe("Today included; 30 unless said."))
        .responds(200, "The figures.", schema::object(fields.clone()).required(names))
}

async fn analytics(call: Call) -> Result<Reply> {
    let tenant = call.tenant()?.clone();
    let filled = |name: &str| call.query().get(name).filter(|text| !text.is_empty());
    let project = match filled("project").map(Uuid::parse_str) {
        None => None,
        Some(Ok(id)) => Some(id),
        Some(Err(_)) => return Err(Problem::field("project", "invalid", "Must be a valid UUID.")),
    };
    let days = match filled("days").map(str::parse::<i64>) {
        None => DAYS,
        Some(Ok(days)) if (1..=DAYS_MOST).contains(&days) => days,
        Some(_) => {
            return Err(Problem::field("days", "invalid", format!("Ensure this value is from 1 to {DAYS_MOST}.")));
        }
    };
    let last = day_of(call.kernel.now());
    let range = Range { company: tenant.company, project, first: last - days + 1, last };
    let (paid, payers, mut times, refused) = call
        .kernel
        .db
        .read_long(tenant.view(), move |reader| {
            Ok((
                store::days(reader, &range)?,
                store::payers(reader, &range)?,
                store::times(reader, &range)?,
                store::refusals(reader, &range)?,
            ))
        })
        .await?;
    times.sort_unstable();
    let of = |status: &str| paid.iter().filter(move |it| it.status == status).map(|it| it.calls).sum::<i64>();
    let mut by_day: BTreeMap<i64, (i64, i64, i64)> = BTreeMap::new();
    for it in paid.iter().filter(|it| it.status == "settled") {
        let day = by_day.entry(it.day).or_default();
        (day.0, day.1) = (day.0 + it.calls, day.1 + it.micros);
    }
    let mut by_reason: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    for it in &refused {
        by_day.entry(it.day).or_default().2 += it.count;
        *by_reason.entry((&it.stage, &it.reason)).or_default() += it.count;
    }
    let mut reasons: Vec<_> = by_reason.into_iter().collect();
    reasons.sort_by_key(|((stage, reason), count)| (std::cmp::Reverse(*count), *stage, *reason));
    let reasons: Vec<Json> = reasons
        .into_iter()
        .map(|((stage, reason), count)| json!({"stage": stage, "reason": reason, "count": count}))
        .collect();
    let days: Vec<Json> = by_day
        .into_iter()
        .map(|(day, (calls, micros, refused))| {
            json!({"day": date(day), "calls": calls, "revenue_micros": micros, "refused": refused})
        })
        .collect();
    Reply::json(
        200,
        &json!({
            "since": date(range.first),
            "until": date(range.last),
            "calls": of("settled"),
            "revenue_micros": paid.iter().filter(|it| it.status == "settled").map(|it| it.micros).sum::<i64>(),
            "payers": payers,
            "failed": of("failed"),
            "under_way": of("verified"),
            "refused": refused.iter().map(|it| it.count).sum::<i64>(),
            "refusals": reasons,
            "time_to_settle_us": {"p50": percentile(&times, 50), "p99": percentile(&times, 99), "max": times.last()},
            "days": days,
        }),
    )
}

/// `2026-11-22`
fn date(day: i64) -> String {
    Timestamp(day * DAY_US).to_string()[..10].to_owned()
}
