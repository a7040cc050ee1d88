//! `/v0/payments…`: challenge, redeem, and the records.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use http::header::WWW_AUTHENTICATE;
use loopd_store::View;
use loopd_types::Result;
use loopd_web::cursor::{self as page, Page};
use loopd_web::{Call, Operation, Param, Reply, Schema as _, schema};
use serde_json::{Value as Json, json};

use super::offer::Offer;
use super::{redeem, rules, store, wire};
use crate::mandate::outgoing;
use crate::mandate::store::spends;
use crate::project::rules::ACCEPT;
use crate::project::{self, DOOR, PROJECT};
use crate::wire::parse_id;
use crate::x402::{Version, header};
use crate::{Pay, did, mpp};

const LIMIT: i64 = 50;
const LIMIT_MOST: i64 = 100;
const ACTIVITY: i64 = 50;
const ACTIVITY_MOST: i64 = 200;
const BODY_MOST: usize = 2 * 1024 * 1024;
/// Longer than a redemption waits for the chain.
const REDEEM_TIMEOUT: Duration = Duration::from_secs(29);

pub fn operations(pay: &Arc<Pay>) -> Vec<Operation> {
    let op = |operation: Operation, scope: Option<&'static str>, summary: &str| {
        operation.tag("loomal payments").summary(summary).keyed(&DOOR, &[PROJECT], scope).max_body(BODY_MOST)
    };
    let (challenging, redeeming) = (pay.clone(), pay.clone());
    let listed = schema::object([
        ("payments", schema::array(wire::row_schema())),
        ("count", schema::integer()),
        ("nextPageToken", schema::string()),
    ])
    .required(["payments", "count"]);
    vec![
        op(
            Operation::post("loomal_challenge", "/v0/payments/challenge", move |call| challenge(call, challenging.clone())),
            Some(ACCEPT),
            "What to answer a buyer who has not paid",
        )
        .describe(
            "The body is the seller's own 402 (x402 version 1); the header `PAYMENT-REQUIRED` says the same in version 2. With `mpp`, the \
             header `WWW-Authenticate` and the body's `wwwAuthenticate` ask the same by MPP's scheme `Payment`. Nothing is stored.",
        )
        .tool("payments.challenge")
        .without_effect()
        .body(asked_schema(&["amount"]))
        .response(
            loopd_web::ResponseDoc::json(200, "Answer this with 402.", challenge_schema())
                .header("PAYMENT-REQUIRED", "The same in version 2 of x402.")
                .header("WWW-Authenticate", "The same by MPP, where `mpp` asks for it."),
        ),
        op(
            Operation::post("loomal_redeem", "/v0/payments/redeem", move |call| redeem::redeem(call, redeeming.clone())),
            Some(ACCEPT),
            "Verify and settle a buyer's payment, with a receipt",
        )
        .describe(
            "A payment that is refused is a 200 with `ok: false`. Repeating the call with the same header settles nothing again and answers the \
             same. 503 `payment_pending`: the payment was sent and its outcome is not known yet; repeat the call, and do not ask the buyer again.",
        )
        .tool("payments.redeem")
        .timeout(REDEEM_TIMEOUT)
        .body(redeem_schema())
        .responds(200, "Paid, or refused.", redeemed_schema()),
        op(Operation::get("loomal_payment_list", "/v0/payments", list), Some(ACCEPT), "List what was paid, newest first")
            .tool("payments.list")
            .params(page::params(LIMIT, LIMIT_MOST))
            .responds(200, "One page.", listed),
        op(
            Operation::get("loomal_payments_activity", "/v0/payments/activity", activity),
            None,
            "The latest that came in and went out",
        )
        .tool("payments.activity")
        .param(page::limit_param(ACTIVITY, ACTIVITY_MOST))
        .responds(200, "The latest, newest first.", wire::activity_schema()),
        op(Operation::get("loomal_payment_retrieve", "/v0/payments/{id}", retrieve), Some(ACCEPT), "Read a payment with its receipt")
            .tool("payments.get")
            .param(Param::path("id", schema::string().example("pi_0197a000000070008000000000000001")))
            .responds(200, "The payment.", wire::one_schema()),
    ]
}

fn asked_schema(required: &[&'static str]) -> Json {
    schema::object([
        ("amount", schema::pattern("^[0-9]{1,10}(\\.[0-9]{1,6})?$").describe("USDC.").example("0.05")),
        ("network", schema::string().describe("`base` unless said.").example("base")),
        ("resource", schema::string().describe("What is sold: usually its address.")),
        ("description", schema::string().describe("The first 500 characters count.")),
        ("mpp", mpp::schema()),
    ])
    .required(required.to_vec())
}

fn redeem_schema() -> Json {
    let mut out = asked_schema(&["paymentHeader", "amount", "resource"]);
    out["properties"]["paymentHeader"] = schema::string()
        .describe("The buyer's `X-Payment`, `PAYMENT-SIGNATURE` or, by MPP, `Authorization`, as it came.");
    out
}

fn challenge_schema() -> Json {
    schema::object([
        ("x402Version", schema::constant(1)),
        ("accepts", schema::array(schema::free_object())),
        ("wwwAuthenticate", schema::string().describe("MPP's challenge, where it is offered.")),
    ])
    .required(["x402Version", "accepts"])
}

fn redeemed_schema() -> Json {
    let paid = schema::object([
        ("ok", schema::constant(true)),
        ("paymentResponse", schema::string().describe("The `X-Payment-Response` for the buyer.")),
        ("txHash", schema::string().nullable()),
        ("payer", schema::string()),
        ("paymentInId", schema::string().nullable()),
        ("sandbox", schema::boolean()),
        ("signedReceipt", schema::free_object()),
        ("paymentReceipt", schema::string().describe("The `Payment-Receipt` for a buyer who paid by MPP.")),
    ])
    .required(["ok", "paymentResponse", "txHash", "payer", "paymentInId"]);
    let problem = schema::object([
        ("type", schema::uri()),
        ("title", schema::string()),
        ("status", json!({"type": "integer", "enum": [400, 402]})),
        ("detail", schema::string()),
        ("challengeId", schema::string()),
    ])
    .describe("What to answer a buyer who came by MPP, with this status and the challenge in `requirement`.");
    let refused = schema::object([
        ("ok", schema::constant(false)),
        ("stage", schema::one_of(["verify", "settle"])),
        ("reason", schema::string()),
        ("detail", schema::string()),
        ("requirement", challenge_schema()),
        ("problem", problem),
    ])
    .required(["ok", "stage", "reason"]);
    json!({"oneOf": [paid, refused]})
}

async fn challenge(call: Call, pay: Arc<Pay>) -> Result<Reply> {
    let asked = rules::read(call.json_object()?, false)?;
    let offer = Offer::new(&pay, project::own(&call).await?, asked)?;
    let fresh = offer.payment_challenge(&call.kernel);
    let required = HeaderName::from_static(header::PAYMENT_REQUIRED);
    let reply = Reply::json(200, &offer.body(fresh.as_ref()))?
        .with_header(required, &header::encode(&offer.challenge(Version::V2)));
    Ok(match fresh {
        Some(fresh) => reply.with_header(WWW_AUTHENTICATE, &fresh.header()),
        None => reply,
    })
}

async fn list(call: Call) -> Result<Reply> {
    let page = Page::read(call.query(), LIMIT, LIMIT_MOST)?;
    let (company, project) = (call.tenant()?.company, project::own_id(&call)?);
    let mut rows =
        call.kernel.db.read(View::Company(company), move |reader| store::list(reader, company, project, &page)).await?;
    let has_more = rows.len() as i64 > page.limit;
    rows.truncate(page.limit as usize);
    let payments: Vec<Json> = rows.iter().map(wire::row).collect();
    let mut out = json!({"payments": payments, "count": rows.len()});
    if let (true, Some(last)) = (has_more, rows.last()) {
        out["nextPageToken"] = json!(page::token(last.created_at, last.id));
    }
    Reply::json(200, &out)
}

async fn activity(call: Call) -> Result<Reply> {
    let limit = page::limit(call.query(), ACTIVITY, ACTIVITY_MOST)?;
    let (company, project) = (call.tenant()?.company, project::own_id(&call)?);
    let page = Page { limit: limit - 1, after: None };
    let (came, went) = call
        .kernel
        .db
        .read(View::Company(company), move |reader| {
            Ok((store::list(reader, company, project, &page)?, spends::list(reader, company, project, &page)?))
        })
        .await?;
    let came = came.iter().map(|it| (it.created_at, it.id, wire::incoming(it)));
    let went = went.iter().map(|it| (it.created_at, it.id, outgoing(it)));
    let mut rows: Vec<_> = came.chain(went).collect();
    rows.sort_by_key(|(at, id, _)| std::cmp::Reverse((*at, *id)));
    rows.truncate(limit as usize);
    let activity: Vec<Json> = rows.into_iter().map(|(_, _, row)| row).collect();
    Reply::json(200, &json!({"count": activity.len(), "activity": activity}))
}

async fn retrieve(call: Call) -> Result<Reply> {
    let id = parse_id(wire::PREFIX, call.param("id")).ok_or_else(store::not_found)?;
    let own = project::own(&call).await?;
    let (company, project) = (own.company, own.id);
    let payment =
        call.kernel.db.read(View::Company(company), move |reader| store::get(reader, company, project, id)).await?;
    Reply::json(200, &wire::one(&payment, &did::of_project(&call.base_url(), &own.public_id)))
}
