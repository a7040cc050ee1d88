//! `GET /v0/discover`: the public feed of what is sold, of sellers who asked to stand in it (spec/loomal.md 4.9).

use std::sync::Arc;

use loopd_store::View;
use loopd_types::Result;
use loopd_web::operation::RateClass;
use loopd_web::{Call, Operation, Param, Reply, Schema as _, schema};
use serde_json::{Value as Json, json};

use super::store::{self, Endpoint};
use crate::payment::wire::ENDPOINT;
use crate::project::DOOR;
use crate::wire::{iso, public_id};
use crate::{Pay, usdc};
use loopd_web::cursor::{self as page, Page};

const LIMIT: i64 = 50;
const LIMIT_MOST: i64 = 100;

pub fn operations(pay: &Arc<Pay>) -> Vec<Operation> {
    let shared = pay.clone();
    let entry = schema::object([
        ("id", schema::string()),
        ("url", schema::string()),
        ("method", schema::constant("GET")),
        ("title", schema::string().nullable()),
        ("description", schema::string().nullable()),
        ("category", schema::string().nullable()),
        ("price", schema::object([("amountUsdc", schema::string()), ("network", schema::string())])),
        ("x402", schema::object([("challenge", schema::string())])),
        ("addedAt", schema::date_time()),
    ]);
    let feed = schema::object([
        ("version", schema::constant("1")),
        ("facilitator", schema::free_object()),
        ("endpoints", schema::array(entry)),
        ("nextCursor", schema::string().nullable()),
    ])
    .required(["version", "facilitator", "endpoints", "nextCursor"]);
    vec![
        Operation::get("loomal_discover", "/v0/discover", move |call| discover(call, shared.clone()))
            .tag("loomal")
            .summary("What is sold here: the public feed")
            .param(page::limit_param(LIMIT, LIMIT_MOST))
            .param(Param::query("cursor", schema::string()).describe("The `nextCursor` of the page before."))
            .param(Param::query("category", schema::string()))
            .tool_at(&DOOR, "endpoints.discover")
            .rate(RateClass::PublicVerify)
            .any_origin()
            .responds(200, "One page, newest first.", feed),
    ]
}

async fn discover(call: Call, pay: Arc<Pay>) -> Result<Reply> {
    let page = Page::read_named(call.query(), "cursor", LIMIT, LIMIT_MOST)?;
    let category = call.query().get("category").filter(|text| !text.is_empty()).map(str::to_owned);
    let mut rows =
        call.kernel.db.read(View::System, move |reader| store::listed(reader, &page, category.as_deref())).await?;
    let next = (rows.len() as i64 > page.limit).then(|| rows.truncate(page.limit as usize)).and(rows.last());
    let next = next.map(|last| page::token(last.created_at, last.id));
    let base = call.base_url();
    let entry = |it: &Endpoint| -> Json {
        json!({
            "id": public_id(ENDPOINT, it.id),
            "url": it.url_pattern,
            "method": "GET",
            "title": it.title,
            "description": it.description,
            "category": it.category,
            "price": {"amountUsdc": usdc::format(it.price_micros), "network": it.network},
            "x402": {"challenge": it.url_pattern},
            "addedAt": iso(it.created_at),
        })
    };
    let endpoints: Vec<Json> = rows.iter().map(entry).collect();
    Reply::json(
        200,
        &json!({
            "version": "1",
            "facilitator": {"name": "Loopd", "url": format!("{base}/facilitator"), "spec": "x402", "sandbox": pay.is_sandbox()},
            "endpoints": endpoints,
            "nextCursor": next,
        }),
    )
}
