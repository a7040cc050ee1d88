//! Endpoints as sellers read and write them (spec/loomal.md 4.8).

use loopd_kernel::Kernel;
use loopd_kernel::egress::Url;
use loopd_kernel::webhook::endpoint::check_url;
use loopd_types::{Problem, Result};
use loopd_web::{Schema as _, schema};
use serde_json::{Map, Value as Json, json};

use super::rules::URL_MOST;
use super::store::{Endpoint, Registered, Wanted};
use crate::payment::wire::ENDPOINT;
use crate::wire::{iso, public_id};
use crate::{Pay, usdc};

const TITLE_MOST: usize = 120;
const DESCRIPTION_MOST: usize = 280;
const CATEGORY_MOST: usize = 60;
const SECRET_LEAST: usize = 16;
const SECRET_MOST: usize = 200;

pub fn row(endpoint: &Endpoint) -> Json {
    let mut out = registered_row(endpoint);
    out["callCount"] = json!(endpoint.call_count);
    out["revenueUsdcRaw"] = json!(endpoint.revenue_micros.to_string());
    out
}

fn registered_row(endpoint: &Endpoint) -> Json {
    json!({
        "endpointId": public_id(ENDPOINT, endpoint.id),
        "urlPattern": endpoint.url_pattern,
        "priceUsdc": usdc::format(endpoint.price_micros),
        "network": endpoint.network,
        "webhookUrl": endpoint.webhook_url,
        "active": endpoint.is_active,
        "title": endpoint.title,
        "description": endpoint.description,
        "category": endpoint.category,
        "listed": endpoint.is_listed,
        "createdAt": iso(endpoint.created_at),
    })
}

/// The answer to a registration, with the webhook's secret if it was made here.
pub fn registered(it: &Registered) -> Json {
    let mut out = registered_row(&it.endpoint);
    if let Some(secret) = &it.secret {
        out["webhookSecret"] = json!(secret);
    }
    out
}

fn bad(words: impl Into<String>) -> Problem {
    Problem::invalid("bad_request", words.into())
}

/// A text that may be absent; blank is absent.
fn text(body: &Map<String, Json>, field: &str, most: usize) -> Result<Option<String>> {
    match body.get(field) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(text)) if text.chars().count() > most => {
            Err(bad(format!("{field} must have at most {most} characters")))
        }
        Some(Json::String(text)) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
        Some(_) => Err(bad(format!("{field} must be a string"))),
    }
}

/// Reads a registration.
///
/// # Errors
/// 400.
pub fn read(pay: &Pay, kernel: &Kernel, body: &Map<String, Json>) -> Result<Wanted> {
    let (Some(url_pattern), Some(price)) = (text(body, "urlPattern", URL_MOST)?, text(body, "priceUsdc", 40)?) else {
        return Err(bad("urlPattern and priceUsdc are required"));
    };
    check_pattern(kernel, &url_pattern)?;
    let price_micros = usdc::parse(&price)
        .filter(|micros| *micros > 0)
        .ok_or_else(|| bad("priceUsdc must be a positive decimal with at most 6 fractional digits, such as 0.05"))?;
    let network = pay.network_named(text(body, "network", 60)?.as_deref())?.common_name();
    let webhook_url = text(body, "webhookUrl", URL_MOST)?;
    if let Some(Err(words)) = webhook_url.as_deref().map(|url| check_url(kernel, url)) {
        return Err(bad(format!("webhookUrl: {words}")));
    }
    let webhook_secret = text(body, "webhookSecret", SECRET_MOST)?;
    if webhook_secret.as_ref().is_some_and(|secret| secret.chars().count() < SECRET_LEAST) {
        return Err(bad(format!("webhookSecret must have at least {SECRET_LEAST} characters")));
    }
    if webhook_secret.is_some() && webhook_url.is_none() {
        return Err(bad("webhookSecret needs a webhookUrl"));
    }
    let is_listed = match body.get("listed") {
        None | Some(Json::Null) => false,
        Some(Json::Bool(listed)) => *listed,
        Some(_) => return Err(bad("listed must be true or false")),
    };
    Ok(Wanted {
        url_pattern,
        price_micros,
        network,
        title: text(body, "title", TITLE_MOST)?,
        description: text(body, "description", DESCRIPTION_MOST)?,
        category: text(body, "category", CATEGORY_MOST)?,
        is_listed,
        webhook_url,
        webhook_secret,
    })
}

/// In production what is sold must be reachable by strangers; on a laptop it is a server next door.
fn check_pattern(kernel: &Kernel, text: &str) -> Result<()> {
    if kernel.settings.environment.is_production() {
        return check_url(kernel, text).map_err(|words| bad(format!("urlPattern: {words}")));
    }
    match Url::parse(text) {
        Ok(url) if url.has_host() && ["http", "https"].contains(&url.scheme()) => Ok(()),
        _ => Err(bad("urlPattern must be a full address that begins with https://")),
    }
}

fn fields() -> Vec<(&'static str, Json)> {
    vec![
        ("endpointId", schema::string()),
        ("urlPattern", schema::string()),
        ("priceUsdc", schema::string()),
        ("network", schema::string()),
        ("webhookUrl", schema::string().nullable()),
        ("active", schema::boolean()),
        ("title", schema::string().nullable()),
        ("description", schema::string().nullable()),
        ("category", schema::string().nullable()),
        ("listed", schema::boolean()),
        ("createdAt", schema::date_time()),
    ]
}

pub fn registered_schema() -> Json {
    let mut fields = fields();
    let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
    fields.push(("webhookSecret", schema::string().describe("Only when it was made here: this once.")));
    schema::object(fields).required(names)
}

pub fn row_schema() -> Json {
    let mut fields = fields();
    fields.push(("callCount", schema::integer().describe("Settled payments.")));
    fields.push(("revenueUsdcRaw", schema::string().describe("All that they came to, in millionths.")));
    let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
    schema::object(fields.clone()).required(names)
}

pub fn wanted_schema() -> Json {
    schema::object([
        (
            "urlPattern",
            schema::text(1, URL_MOST as u32)
                .describe("The full public address of what is sold; its query does not count."),
        ),
        (
            "priceUsdc",
            schema::pattern("^[0-9]{1,10}(\\.[0-9]{1,6})?$")
                .describe("For the public feed; what is charged is the challenge's amount."),
        ),
        ("network", schema::string().describe("`base` unless said.")),
        ("webhookUrl", schema::string().nullable().describe("Told of every payment for this address.")),
        (
            "webhookSecret",
            schema::string()
                .nullable()
                .describe("At least 16 characters; one is made and shown once if you bring none."),
        ),
        ("title", schema::text(0, TITLE_MOST as u32).nullable()),
        ("description", schema::text(0, DESCRIPTION_MOST as u32).nullable()),
        ("category", schema::text(0, CATEGORY_MOST as u32).nullable()),
        ("listed", schema::boolean().describe("Whether it stands in the public feed `/v0/discover`.")),
    ])
    .required(["urlPattern", "priceUsdc"])
}
