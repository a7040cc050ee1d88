//! The facilitator: x402's own interface for sellers that do not use `/v0`, in both versions of the protocol
//! (spec/loomal.md 8.2). What is wrong with a payment is an answer and no refusal: 200 with `isValid: false`.

mod body;
mod discovery;
mod docs;
mod judge;
mod settle;
mod store;

pub use body::{Asked, asked as read};

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use loopd_types::Result;
use loopd_web::{Call, Operation, Reply};
use serde_json::{Map, Value, json};

use crate::Pay;
use crate::project::{DOOR, PROJECT};
use crate::x402::{Version, wire};

/// Bytes of a body: a payment with a large signature, and what was asked.
const BODY_MAX: usize = 128 * 1024;
/// How long a caller of `/settle` waits: a block of Base takes two seconds, one of Ethereum twelve.
const WAIT: Duration = Duration::from_secs(25);

pub fn operations(pay: &Arc<Pay>) -> Vec<Operation> {
    let guarded = |operation: Operation| match pay.settings.is_facilitator_open {
        true => operation,
        false => operation.keyed(&DOOR, &[PROJECT], Some("payments:accept")),
    };
    vec![
        Operation::get("facilitator_supported", "/facilitator/supported", with(pay, supported))
            .tag("facilitator")
            .summary("What can be paid with here")
            .describe("Versions, schemes and networks that payments are verified and settled on, and the addresses that send the transactions.")
            .responds(200, "The kinds, with those of version 1 by their old names.", docs::supported()),
        guarded(
            Operation::post("facilitator_verify", "/facilitator/verify", with(pay, judge::verify))
                .tag("facilitator")
                .summary("Whether a payment is good")
                .describe("Judges a payment against what was asked for, and tries its transfer. Nothing is reserved: settle before you deliver. A payment that is no good is a 200 with `isValid: false`.")
                .body(docs::body())
                .responds(200, "The verdict.", docs::verdict())
                .responds(503, "Nothing is known of the payment: the chain gives no answer that can be believed.", docs::verdict())
                .max_body(BODY_MAX)
                .without_effect(),
        ),
        guarded(
            Operation::post("facilitator_settle", "/facilitator/settle", with(pay, settle::settle))
                .tag("facilitator")
                .summary("Make a payment")
                .describe("Verifies a payment and sends its transfer, once: the same payment brought again, by whomever, gets the same answer. `settlement_pending` is not a failure: it was sent or may have been, and asking again tells.")
                .body(docs::body())
                .responds(200, "What became of it.", docs::settled())
                .responds(503, "Nothing was sent: the chain gives no answer that can be believed.", docs::settled())
                .max_body(BODY_MAX)
                .timeout(WAIT + Duration::from_secs(20))
                .without_effect(),
        ),
        Operation::get("facilitator_resources", "/facilitator/discovery/resources", with(pay, discovery::resources))
            .tag("facilitator")
            .summary("What is sold here")
            .describe("Resources whose sellers asked to be found, newest first, with what each asks.")
            .params(discovery::params())
            .responds(200, "A page.", docs::resources()),
    ]
}

/// A handler that is handed how payments are taken here.
fn with<F, R>(pay: &Arc<Pay>, handler: F) -> impl Fn(Call) -> R + Send + Sync + 'static
where
    F: Fn(Arc<Pay>, Call) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Reply>> + Send + 'static,
{
    let pay = pay.clone();
    move |call| handler(pay.clone(), call)
}

async fn supported(pay: Arc<Pay>, _call: Call) -> Result<Reply> {
    let chains = pay.chains();
    let networks = || chains.iter().filter_map(|chain| pay.networks().get(*chain));
    let mut kinds = Vec::new();
    for version in [Version::V2, Version::V1] {
        for name in networks().filter_map(|network| network.written(version)) {
            kinds.push(json!({"x402Version": version.number(), "scheme": wire::SCHEME, "network": name}));
        }
    }
    let signers: Vec<String> = pay.senders().iter().map(|address| address.to_string()).collect();
    Reply::json(200, &json!({"kinds": kinds, "extensions": [], "signers": {"eip155:*": signers}}))
}

/// An object of the members that there are.
fn object<const N: usize>(members: [(&str, Option<Value>); N]) -> Value {
    let members = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(members.collect::<Map<_, _>>())
}
