//! `GET /v0/discover/{endpointId}/call`: whatever stands in the feed, called from here. The seller asks to be paid by x402 as it always does;
//! so this is a tool that costs, for an agent with a wallet of its own. Nothing is signed, kept or settled here. A seller who knows version
//! 1 only is translated for buyers of version 2.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use loopd_kernel::egress::{Answer, Outbound, Url};
use loopd_store::View;
use loopd_types::{Kind, Problem, Result};
use loopd_web::{Call, Operation, Param, Reply, ResponseDoc, Schema as _, schema};
use serde_json::{Value as Json, json};

use super::store;
use crate::evm::Networks;
use crate::payment::wire::ENDPOINT;
use crate::project::rules::SPEND;
use crate::project::{DOOR, PROJECT};
use crate::wire::parse_id;
use crate::x402::{Version, header, translate};
use crate::{Pay, content};

/// Longer than a seller is waited for.
const TIMEOUT: Duration = Duration::from_secs(30);

pub fn operation(pay: &Arc<Pay>) -> Operation {
    let pay = pay.clone();
    let mut answered = vec![("status", schema::integer().describe("The seller's own."))];
    answered.extend(content::fields());
    let answered = schema::object(answered).required(["status", "contentType"]);
    let asked = schema::object([("x402Version", schema::integer()), ("accepts", schema::array(schema::free_object()))])
        .required(["x402Version", "accepts"]);
    Operation::get("loomal_endpoint_call", "/v0/discover/{endpointId}/call", move |it| call(it, pay.clone()))
        .tag("loomal buyers")
        .summary("Call what is sold, and pay for it from a wallet of your own")
        .describe(
            "The query goes to the seller as it is. Unpaid, the answer is the seller's 402; send the payment in `X-PAYMENT` or \
             `PAYMENT-SIGNATURE`, as an agent in `_meta[\"x402/payment\"]`. The same payment may be sent again.",
        )
        .keyed(&DOOR, &[PROJECT], Some(SPEND))
        .tool("endpoints.call")
        .timeout(TIMEOUT)
        .param(
            Param::path("endpointId", schema::string().example("se_0197a000000070008000000000000001"))
                .describe("The `id` in the feed."),
        )
        .param(Param::header("X-PAYMENT", schema::string()).describe("What pays, in version 1 of x402."))
        .param(Param::header("PAYMENT-SIGNATURE", schema::string()).describe("The same in version 2."))
        .response(
            ResponseDoc::json(200, "What the seller answered.", answered)
                .header("PAYMENT-RESPONSE", "What became of the payment, as the seller tells it; `X-PAYMENT-RESPONSE` in version 1."),
        )
        .response(
            ResponseDoc::json(402, "What the seller asks.", asked)
                .header("PAYMENT-REQUIRED", "The same in version 2."),
        )
        .responds(502, "The seller gives no answer, or no good one.", schema::free_object())
}

async fn call(call: Call, pay: Arc<Pay>) -> Result<Reply> {
    let id = parse_id(ENDPOINT, call.param("endpointId")).ok_or_else(store::not_listed)?;
    let endpoint = call.kernel.db.read(View::System, move |reader| store::find_listed(reader, id)).await?;
    let mut url = Url::parse(&endpoint.url_pattern).map_err(Problem::internal)?;
    if !call.query().is_empty() {
        url.query_pairs_mut().extend_pairs(call.query().pairs());
    }
    let shown = |version: Version| call.header(version.payment_header()).map(str::to_owned);
    let (first, second) = (shown(Version::V1), shown(Version::V2));
    // Which version this seller reads is not known any more: one payment in both, which is settled once.
    let first = first.or_else(|| translate::payment(second.as_deref()?, pay.networks()));
    let mut headers = vec![("Accept", "*/*".to_owned())];
    for (version, payment) in [(Version::V1, first), (Version::V2, second)] {
        headers.extend(payment.map(|payment| (version.payment_header(), payment)));
    }
    let request = Outbound { method: "GET", url: url.into(), headers, body: Vec::new() };
    match call.kernel.egress.exchange(request, content::MOST).await {
        Ok(answer) => told(&answer, pay.networks()),
        Err(unanswered) => Err(failed(format!("The seller does not answer: {unanswered}"))),
    }
}

/// The seller's answer as ours. Only what is x402 is taken over of its headers, and its content only inside of JSON: this is not its origin.
fn told(answer: &Answer, networks: &Networks) -> Result<Reply> {
    let reply = match answer.status {
        200..300 => {
            let mut out = json!({"status": answer.status});
            content::write(answer, &mut out);
            Reply::json(200, &out)?
        }
        402 => asked(answer, networks)?,
        status => {
            // A payment may have been taken all the same.
            let told = outcome(answer).map(|(_, _, told)| told);
            return Err(failed(format!("The seller answers {status}")).with_extra("paymentResponse", told));
        }
    };
    Ok(match outcome(answer) {
        Some((name, value, _)) => reply.with_header(name, value),
        None => reply,
    })
}

/// What the seller asks: in its own version in the body, in version 2 in the header.
fn asked(answer: &Answer, networks: &Networks) -> Result<Reply> {
    let is_ask = |json: &Json| json["accepts"].is_array() && Version::read(&json["x402Version"]).is_ok();
    let second = answer.header(header::PAYMENT_REQUIRED).and_then(header::object).filter(is_ask);
    let body = serde_json::from_slice(&answer.body).ok().filter(is_ask).or_else(|| second.clone());
    let Some(body) = body else { return Err(failed("The seller asks to be paid, but not by x402")) };
    let second = second.or_else(|| translate::ask(&body, networks).filter(|_| body["x402Version"] == 1));
    let reply = Reply::json(402, &body)?;
    Ok(match second {
        Some(second) => reply.with_header(HeaderName::from_static(header::PAYMENT_REQUIRED), &header::encode(&second)),
        None => reply,
    })
}

/// What the seller tells of the payment, in either version: the header and what is in it.
fn outcome(answer: &Answer) -> Option<(HeaderName, &str, Json)> {
    [Version::V1, Version::V2].map(Version::response_header).into_iter().find_map(|name| {
        let value = answer.header(name)?;
        Some((HeaderName::from_static(name), value, header::object(value)?))
    })
}

fn failed(words: impl Into<String>) -> Problem {
    Problem::new(Kind::BadGateway, "seller_failed", words.into())
}
