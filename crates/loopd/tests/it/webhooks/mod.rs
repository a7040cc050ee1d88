//! `/api/v1/webhook-endpoints/` and `/api/v1/webhook-deliveries/`: events posted to addresses of a company's choice.

mod deliveries;
mod endpoints;
mod failing;
mod killed;
mod nodes;
mod ordered;
mod replay;
mod verifying;

use loopd_testkit::{Client, json};
use serde_json::Value;

use crate::support::{Receiver, eventually};

pub const ENDPOINTS: &str = "/api/v1/webhook-endpoints/";
pub const DELIVERIES: &str = "/api/v1/webhook-deliveries/";
pub const APPOINTMENTS: &str = "/api/v1/booking/appointments/";

/// Makes an endpoint for appointments at this receiver, with further fields; gives its id and secret.
pub async fn endpoint(owner: &Client, receiver: &Receiver, more: Value) -> (String, String) {
    let mut body = json!({"url": receiver.url, "events": ["booking.appointments.*"]});
    for (name, value) in more.as_object().expect("an object") {
        body[name] = value.clone();
    }
    let made = owner.post(ENDPOINTS).json(&body).await.expect_status(201);
    (made.text_at("/id"), made.text_at("/secret"))
}

pub async fn appointment(owner: &Client, title: &str) {
    owner.post(APPOINTMENTS).json(&json!({"title": title})).await.expect_status(201);
}

/// The only delivery of an endpoint, when it has this status and so many attempts.
pub async fn delivery(owner: &Client, endpoint: &str, status: &str, attempts: i64) -> Value {
    let mut found = Value::Null;
    eventually(&format!("a delivery is {status} after {attempts} attempts"), async || {
        let list = owner.get(&format!("{DELIVERIES}?endpoint={endpoint}")).await.expect_status(200).json();
        found = list["results"][0].clone();
        found["status"] == status && found["attempts"] == attempts
    })
    .await;
    found
}

/// What a row of an endpoint says, once `is_so`.
pub async fn state(owner: &Client, endpoint: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let mut found = Value::Null;
    eventually(what, async || {
        found = owner.get(&format!("{ENDPOINTS}{endpoint}/")).await.expect_status(200).json();
        is_so(&found)
    })
    .await;
    found
}
