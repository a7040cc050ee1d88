//! Mandates and paid calls as clients read them (spec/loomal.md 4.6, 4.7).

use loopd_types::{DAY_US, Problem, Result, Timestamp};
use loopd_web::{Schema as _, schema};
use serde_json::{Map, Value as Json, json};

use super::pay::{Outcome, Paid};
use super::rules;
use super::spend::{self, Spend};
use super::store::{Mandate, New};
use crate::project::Project;
use crate::wire::{iso, opt_iso, public_id};
use crate::{Pay, content, usdc};

pub const PREFIX: &str = "m_";
/// How long a mandate is good for unless it says otherwise.
const LIFE_US: i64 = 7 * DAY_US;

/// There is no session key on a chain: the wallet's key never leaves this server, which holds the caps itself.
pub fn row(mandate: &Mandate, project: &Project, now: Timestamp) -> Json {
    let day = rules::day_of(now);
    json!({
        "mandateId": public_id(PREFIX, mandate.id),
        "identityId": project.public_id,
        "network": mandate.network,
        "maxPerCallUsdc": usdc::format(mandate.per_call_micros),
        "dailyCapUsdc": usdc::format(mandate.daily_micros),
        "validUntil": iso(mandate.valid_until),
        "sessionKeyAddress": project.wallet_address,
        "onchainInstalled": true,
        "installTxHash": null,
        "installError": null,
        "spentTodayUsdc": usdc::format(mandate.spent_on(day)),
        "remainingTodayUsdc": usdc::format(mandate.left_on(day)),
        "totalSpentUsdc": usdc::format(mandate.total_micros),
        "callCount": mandate.call_count,
        "revokedAt": opt_iso(mandate.revoked_at),
        "createdAt": iso(mandate.created_at),
    })
}

/// Reads the body of a creation.
///
/// # Errors
/// 400.
pub fn read(pay: &Pay, body: &Map<String, Json>, now: Timestamp) -> Result<New> {
    let bad = |words: &str| Problem::invalid("bad_request", words.to_owned());
    let amount = |field: &str| {
        let micros = body.get(field).and_then(Json::as_str).and_then(usdc::parse).filter(|micros| *micros > 0);
        micros.ok_or_else(|| {
            bad(&format!("{field} must be a positive decimal with at most 6 fractional digits, such as 0.10"))
        })
    };
    let (per_call_micros, daily_micros) = (amount("maxPerCallUsdc")?, amount("dailyCapUsdc")?);
    if daily_micros < per_call_micros {
        return Err(bad("dailyCapUsdc must not be less than maxPerCallUsdc"));
    }
    let network = match body.get("network") {
        None | Some(Json::Null) => None,
        Some(Json::String(name)) => Some(name.as_str()),
        Some(_) => return Err(bad("network must be a string")),
    };
    let network = pay.network_named(network)?;
    let valid_until = match body.get("validUntil") {
        None | Some(Json::Null) => now.plus(LIFE_US),
        Some(moment) => moment
            .as_str()
            .and_then(Timestamp::parse)
            .filter(|at| *at > now)
            .ok_or_else(|| bad("validUntil must be a moment in the future, such as 2026-12-31T00:00:00Z"))?,
    };
    Ok(New { chain: network.chain, network: network.common_name(), per_call_micros, daily_micros, valid_until })
}

/// The answer to a paid call, and its status.
pub fn outcome(outcome: &Outcome, project: &Project, now: Timestamp) -> (u16, Json) {
    match outcome {
        Outcome::Paid(paid) => (200, success(paid, project, now)),
        Outcome::Refused { refusal, price, resource } => {
            let mut out = json!({"ok": false, "code": refusal.code, "message": refusal.message});
            if let Some(hint) = &refusal.hint {
                out["hint"] = json!(hint);
            }
            if let Some(after) = refusal.retry_after_ms {
                out["retryAfterMs"] = json!(after);
            }
            if let Some(resource) = resource {
                out["resource"] = json!(resource);
            }
            if let Some(price) = price {
                out["cost"] = json!({"amountUsdc": usdc::format(price.micros), "network": price.network});
            }
            (refusal.status(), out)
        }
    }
}

fn success(paid: &Paid, project: &Project, now: Timestamp) -> Json {
    let day = rules::day_of(now);
    let mandate = &paid.mandate;
    let balance = i64::try_from(paid.balance_after).unwrap_or(i64::MAX);
    let mut out = json!({
        "ok": true,
        "status": paid.answer.as_ref().map(|answer| answer.status),
        "contentType": null,
        "cost": {
            "amountUsdc": usdc::format(paid.price.micros), "amountUsdcRaw": paid.price.micros.to_string(), "network": paid.price.network,
        },
        "txHash": paid.tx_hash,
        "payer": project.wallet_address,
        "recipient": paid.price.recipient.to_string(),
        "resource": paid.resource,
        "balanceAfter": {"usdc": usdc::format(balance), "usdcRaw": paid.balance_after.to_string()},
        "mandate": {
            "mandateId": public_id(PREFIX, mandate.id),
            "spentTodayUsdcRaw": mandate.spent_on(day).to_string(),
            "dailyCapUsdcRaw": mandate.daily_micros.to_string(),
            "remainingTodayUsdcRaw": mandate.left_on(day).to_string(),
            "validUntil": iso(mandate.valid_until),
        },
    });
    if let Some(answer) = &paid.answer {
        content::write(answer, &mut out);
    }
    out
}

/// A row of the activity feed, going out.
pub fn outgoing(it: &Spend) -> Json {
    json!({
        "id": public_id(spend::PREFIX, it.id),
        "direction": "out",
        "network": it.network,
        "amountUsdcRaw": it.amount_micros.to_string(),
        "counterparty": it.recipient,
        "resource": it.resource,
        "txHash": it.tx_hash,
        "status": it.status.as_str(),
        "failureReason": it.failure_reason,
        "createdAt": iso(it.created_at),
        "mandateId": public_id(PREFIX, it.mandate),
    })
}

pub fn row_schema() -> Json {
    let fields = [
        ("mandateId", schema::string()),
        ("identityId", schema::string()),
        ("network", schema::string()),
        ("maxPerCallUsdc", schema::string()),
        ("dailyCapUsdc", schema::string().describe("Of a UTC day.")),
        ("validUntil", schema::date_time()),
        ("sessionKeyAddress", schema::string()),
        ("onchainInstalled", schema::boolean()),
        ("installTxHash", schema::string().nullable()),
        ("installError", schema::string().nullable()),
        ("spentTodayUsdc", schema::string()),
        ("remainingTodayUsdc", schema::string()),
        ("totalSpentUsdc", schema::string()),
        ("callCount", schema::integer()),
        ("revokedAt", schema::date_time().nullable()),
        ("createdAt", schema::date_time()),
    ];
    let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
    schema::object(fields.clone()).required(names)
}

pub fn new_schema() -> Json {
    let amount = || schema::pattern("^[0-9]{1,10}(\\.[0-9]{1,6})?$");
    schema::object([
        ("maxPerCallUsdc", amount().example("0.10")),
        ("dailyCapUsdc", amount().example("5.00")),
        ("network", schema::string().nullable().describe("`base` unless said.")),
        ("validUntil", schema::date_time().nullable().describe("In seven days unless said.")),
    ])
    .required(["maxPerCallUsdc", "dailyCapUsdc"])
}

pub fn paid_schema() -> Json {
    let mut fields = vec![
        ("ok", schema::constant(true)),
        ("status", schema::integer().nullable().describe("The seller's own status; null in a dry run.")),
    ];
    fields.extend(content::fields());
    fields.extend([
        ("cost", schema::free_object()),
        ("txHash", schema::string().nullable()),
        ("payer", schema::string()),
        ("recipient", schema::string()),
        ("resource", schema::string()),
        ("balanceAfter", schema::free_object()),
        ("mandate", schema::free_object()),
    ]);
    schema::object(fields).required(["ok", "cost", "txHash", "payer", "recipient", "resource"])
}

pub fn refused_schema() -> Json {
    schema::object([
        ("ok", schema::constant(false)),
        ("code", schema::string()),
        ("message", schema::string()),
        ("hint", schema::string()),
        ("retryAfterMs", schema::integer()),
        ("resource", schema::string()),
        ("cost", schema::free_object()),
    ])
    .required(["ok", "code", "message"])
}
