//! `/facilitator/discovery/resources`: what is sold here, of sellers who asked to be found (x402 version 2, section 8).

use std::sync::Arc;

use alloy_primitives::Address;
use loopd_store::View;
use loopd_types::{Problem, Result};
use loopd_web::{Call, Param, Reply, Schema as _, schema};
use serde_json::{Value, json};

use super::object;
use super::store::{self, Resource};
use crate::Pay;
use crate::payment::rules;
use crate::x402::{Version, wire};

const LIMIT: i64 = 20;
const LIMIT_MOST: i64 = 100;
/// Nobody reads so far; a larger number is a mistake, or a way to have the database count.
const OFFSET_MOST: i64 = 1_000_000;
/// The only type of resource that there is.
const HTTP: &str = "http";

pub(super) fn params() -> [Param; 3] {
    let limit = schema::integer_between(1, LIMIT_MOST).describe("How many at most; 20 when it is not said.");
    let offset = schema::integer_between(0, OFFSET_MOST).describe("How many of the newest are passed over.");
    [
        Param::query("type", schema::string())
            .describe("`http`, the only type there is; of any other, nothing is listed."),
        Param::query("limit", limit),
        Param::query("offset", offset),
    ]
}

pub(super) async fn resources(pay: Arc<Pay>, call: Call) -> Result<Reply> {
    let number = |name: &str, default, range: std::ops::RangeInclusive<i64>| {
        let number = call.query().integer(name)?.unwrap_or(default);
        let words = || format!("{name} is a number from {} to {}.", range.start(), range.end());
        if range.contains(&number) { Ok(number) } else { Err(Problem::invalid("invalid_query", words())) }
    };
    let (limit, offset) = (number("limit", LIMIT, 1..=LIMIT_MOST)?, number("offset", 0, 0..=OFFSET_MOST)?);
    let is_any = call.query().get("type").is_none_or(|kind| kind.is_empty() || kind == HTTP);
    let (found, total) = match is_any {
        true => call.kernel.db.read(View::System, move |reader| store::resources(reader, limit, offset)).await?,
        false => (Vec::new(), 0),
    };
    let items: Vec<Value> = found.iter().map(|resource| item(&pay, resource)).collect();
    Reply::json(
        200,
        &json!({
            "x402Version": Version::V2.number(),
            "items": items,
            "pagination": {"limit": limit, "offset": offset, "total": total},
        }),
    )
}

/// What cannot be paid here at the moment, because its network is no longer served, accepts nothing.
fn item(pay: &Pay, resource: &Resource) -> Value {
    let accepts: Vec<Value> = accepted(pay, resource).into_iter().collect();
    json!({
        "resource": resource.url,
        "type": HTTP,
        "x402Version": Version::V2.number(),
        "accepts": accepts,
        "lastUpdated": resource.updated_at.seconds(),
        "metadata": object([
            ("title", resource.title.as_ref().map(|text| json!(text))),
            ("description", resource.description.as_ref().map(|text| json!(text))),
            ("category", resource.category.as_ref().map(|text| json!(text))),
        ]),
    })
}

fn accepted(pay: &Pay, resource: &Resource) -> Option<Value> {
    let network = pay.network_named(Some(&resource.network)).ok()?;
    let pay_to: Address = resource.recipient.parse().ok()?;
    let requirement = rules::requirement(network, pay_to, resource.price_micros).ok()?;
    let offer = wire::Offer {
        requirement: &requirement,
        network,
        resource: &resource.url,
        description: resource.description.as_deref().unwrap_or_default(),
        mime_type: "",
    };
    offer.render(Version::V2)
}
