//! `/v0/payments/mandates…` and `/v0/payments/pay`.

use std::sync::Arc;
use std::time::Duration;

use loopd_store::View;
use loopd_types::{Kind, Problem, Result, sha256_hex};
use loopd_web::{Call, Claimed, Operation, Param, Reply, Schema as _, schema};
use serde_json::{Value as Json, json};

use super::pay::{Buyer, Outcome};
use super::{store, wire};
use crate::Pay;
use crate::analytics::Whose;
use crate::project::rules::SPEND;
use crate::project::{self, DOOR, PROJECT};
use crate::wire::parse_id;

const BASE: &str = "/v0/payments/mandates";
/// Two calls of the seller, each with its own limit.
const PAY_TIMEOUT: Duration = Duration::from_secs(45);

pub fn operations(pay: &Arc<Pay>) -> Vec<Operation> {
    let op = |operation: Operation, summary: &str| {
        operation.tag("loomal buyers").summary(summary).keyed(&DOOR, &[PROJECT], Some(SPEND))
    };
    let (making, paying) = (pay.clone(), pay.clone());
    let one = format!("{BASE}/{{id}}");
    let id = || Param::path("id", schema::string().example("m_0197a000000070008000000000000001"));
    let listed = schema::object([("mandates", schema::array(wire::row_schema()))]).required(["mandates"]);
    vec![
        op(
            Operation::post("loomal_mandate_create", BASE, move |call| create(call, making.clone())),
            "Let this project spend, so much a call and so much a day",
        )
        .tool("payments.mandates.create")
        .body(wire::new_schema())
        .responds(200, "The mandate.", wire::row_schema()),
        op(Operation::get("loomal_mandate_list", BASE, list), "List mandates, newest first").tool("payments.mandates.list").responds(
            200,
            "All of them.",
            listed,
        ),
        op(Operation::get("loomal_mandate_retrieve", &one, retrieve), "Read a mandate").tool("payments.mandates.get").param(id()).responds(
            200,
            "The mandate.",
            wire::row_schema(),
        ),
        op(Operation::delete("loomal_mandate_revoke", &one, revoke), "Take a mandate back").tool("payments.mandates.revoke").param(id()).responds(
            200,
            "The mandate, revoked.",
            wire::row_schema(),
        ),
        op(
            Operation::post("loomal_pay", "/v0/payments/pay", move |call| pay_for(call, paying.clone())),
            "Fetch an address that asks to be paid, and pay for it within a mandate",
        )
        .describe(
            "The body always has `ok`. 402: the payment cannot be made; 503: this server cannot make it now. Repeating a call with the same \
             `Idempotency-Key` shows the seller the same payment again and makes no second one.",
        )
        .tool("payments.pay")
        .timeout(PAY_TIMEOUT)
        .dressed(as_outcome)
        .body(
            schema::object([
                ("url", schema::uri().describe("Of http or https; not in a private network.")),
                ("dryRun", schema::boolean().describe("Only ask for the price and check the mandate.")),
            ])
            .required(["url"]),
        )
        .responds(200, "Paid, with what the seller answered.", wire::paid_schema())
        .responds(402, "Not paid.", wire::refused_schema())
        .responds(503, "Not now.", wire::refused_schema()),
    ]
}

/// A refusal before the work has the same shape: clients read `ok` and nothing else.
fn as_outcome(problem: Problem) -> Problem {
    let code = match problem.kind() {
        Kind::Unauthenticated | Kind::Forbidden => "unauthorized",
        Kind::Unavailable | Kind::Timeout | Kind::Internal => "facilitator_unavailable",
        Kind::TooMany => "rate_limited",
        _ => "bad_request",
    };
    problem.with_extra("ok", false).with_extra("code", code)
}

async fn create(call: Call, pay: Arc<Pay>) -> Result<Reply> {
    let new = wire::read(&pay, call.json_object()?, call.kernel.now())?;
    let project = project::own(&call).await?;
    let (kernel, tenant) = (call.kernel.clone(), call.tenant()?.clone());
    call.commit(tenant.view(), move |tx| {
        let made = store::create(tx, &kernel, &tenant, project.id, &new)?;
        Reply::json(200, &wire::row(&made, &project, kernel.now()))
    })
    .await
}

async fn list(call: Call) -> Result<Reply> {
    let own = project::own(&call).await?;
    let (company, project, now) = (own.company, own.id, call.kernel.now());
    let rows = call.kernel.db.read(View::Company(company), move |reader| store::list(reader, company, project)).await?;
    let mandates: Vec<Json> = rows.iter().map(|it| wire::row(it, &own, now)).collect();
    Reply::json(200, &json!({"mandates": mandates}))
}

async fn retrieve(call: Call) -> Result<Reply> {
    let id = parse_id(wire::PREFIX, call.param("id")).ok_or_else(store::not_found)?;
    let own = project::own(&call).await?;
    let (company, project) = (own.company, own.id);
    let found =
        call.kernel.db.read(View::Company(company), move |reader| store::get(reader, company, project, id)).await?;
    Reply::json(200, &wire::row(&found, &own, call.kernel.now()))
}

async fn revoke(call: Call) -> Result<Reply> {
    let id = parse_id(wire::PREFIX, call.param("id")).ok_or_else(store::not_found)?;
    let project = project::own(&call).await?;
    let (kernel, tenant) = (call.kernel.clone(), call.tenant()?.clone());
    call.commit(tenant.view(), move |tx| {
        let revoked = store::revoke(tx, &kernel, &tenant, project.id, id)?;
        Reply::json(200, &wire::row(&revoked, &project, kernel.now()))
    })
    .await
}

async fn pay_for(call: Call, pay: Arc<Pay>) -> Result<Reply> {
    let body = call.json_object()?;
    let url = match body.get("url") {
        Some(Json::String(url)) if !url.is_empty() && url.len() <= 4_000 => url.clone(),
        _ => return Err(Problem::invalid("bad_request", "url is required")),
    };
    let is_dry = match body.get("dryRun") {
        None | Some(Json::Null) => false,
        Some(Json::Bool(dry)) => *dry,
        Some(_) => return Err(Problem::invalid("bad_request", "dryRun must be true or false")),
    };
    let ticket = match call.claim().await? {
        Claimed::Go(ticket) => ticket,
        Claimed::Replay(reply) => return Ok(reply),
    };
    let project = project::own(&call).await?;
    let repeat_key = call.header("idempotency-key").filter(|_| !is_dry).map(|key| sha256_hex(key.as_bytes()));
    let buyer = Buyer { pay: &pay, kernel: &call.kernel, project: &project, url: &url, repeat_key };
    let outcome = buyer.buy(is_dry).await;
    // The spend remembers the key: a repeat shows the same payment again, and gets the seller's answer of then.
    ticket.release().await?;
    let (outcome, now) = (outcome?, call.kernel.now());
    if let Outcome::Refused { refusal, .. } = &outcome
        && !is_dry
    {
        pay.refusals.note(Whose::Project(project.company, project.id), "pay", refusal.code, now);
    }
    let (status, out) = wire::outcome(&outcome, &project, now);
    Reply::json(status, &out)
}
