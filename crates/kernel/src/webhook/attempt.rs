//! One attempt: the request as it is sent, what came back, and the row that remembers both.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use loopd_store::{StoreError, Tx, Value, params};
use loopd_types::{CompanyId, Problem, Result, Timestamp, Uuid};
use serde_json::{Map, Value as Json, json};

use super::endpoint::{self, Target};
use super::signature::Signing;
use super::verdict::{self, Verdict};
use crate::access::Tenant;
use crate::egress::{Answer, Outbound, Unanswered};
use crate::event::log::Event;
use crate::event::veil;
use crate::{Kernel, audit};

/// Bytes of an answer's body that are kept.
const BODY_KEPT: usize = 4 * 1024;
/// Headers of an answer that are kept, and how much of each.
const HEADERS_KEPT: usize = 50;
const HEADER_KEPT: usize = 500;

/// What is sent: an event to an endpoint, for the `number`th time.
pub(super) struct Parcel {
    pub delivery: Uuid,
    pub number: i64,
    pub event: Event,
}

/// An attempt that was made.
pub(super) struct Attempt {
    pub id: Uuid,
    pub number: i64,
    pub at: Timestamp,
    pub took_us: i64,
    pub url: String,
    pub request_headers: String,
    pub outcome: Result<Answer, Unanswered>,
}

/// Sends a parcel. Never fails: what goes wrong is the outcome.
pub(super) async fn make(kernel: &Kernel, target: &Target, parcel: &Parcel) -> Attempt {
    let at = kernel.now();
    let mut attempt = Attempt {
        id: kernel.new_id(),
        number: parcel.number,
        at,
        took_us: 0,
        url: target.url.clone(),
        request_headers: "{}".to_owned(),
        outcome: Err(Unanswered::NotSent(String::new())),
    };
    let (Some(scheme), secrets) = (kernel.settings.webhook_schemes.get(&target.scheme), target.secrets(kernel)) else {
        attempt.outcome = Err(Unanswered::NotSent(format!("this server knows no scheme {}", target.scheme)));
        return attempt;
    };
    let secrets = match secrets {
        Ok(secrets) => secrets,
        Err(problem) => {
            tracing::error!(endpoint = %target.id, cause = problem.cause(), "a webhook's secret cannot be opened");
            attempt.outcome = Err(Unanswered::NotSent("the endpoint's secret cannot be read".to_owned()));
            return attempt;
        }
    };
    // Told of a record, an endpoint is told no more of it than whoever made it may see.
    let event = match veil::look(&parcel.event.payload, |permission| target.may_see(permission)) {
        Cow::Borrowed(_) => Cow::Borrowed(&parcel.event),
        Cow::Owned(payload) => Cow::Owned(Event { payload, ..parcel.event.clone() }),
    };
    let body = scheme.body(&event);
    let mut headers = vec![
        ("Content-Type", "application/json".to_owned()),
        ("LOOP-Event-ID", parcel.event.id.to_string()),
        ("LOOP-Event-Type", parcel.event.kind.clone()),
        ("LOOP-Delivery-ID", parcel.delivery.to_string()),
        ("LOOP-Attempt", parcel.number.to_string()),
    ];
    headers.extend(scheme.headers(&Signing { event: &parcel.event, body: &body, at, secrets: &secrets }));
    attempt.request_headers =
        object(headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone()))).to_string();
    let began = Instant::now();
    attempt.outcome =
        kernel.egress.exchange(Outbound { method: "POST", url: target.url.clone(), headers, body }, BODY_KEPT).await;
    attempt.took_us = i64::try_from(began.elapsed().as_micros()).unwrap_or(i64::MAX);
    attempt
}

impl Attempt {
    pub fn judge(&self, kernel: &Kernel, tries: i64) -> Verdict {
        verdict::judge(self.outcome.as_ref(), tries, kernel.now(), kernel.rng.as_ref())
    }

    pub fn status(&self) -> Option<i64> {
        self.outcome.as_ref().ok().map(|answer| answer.status.into())
    }

    /// Why it did not succeed, in a sentence; `None` when it did.
    pub fn error(&self) -> Option<String> {
        match &self.outcome {
            Ok(answer) if (200..300).contains(&answer.status) => None,
            Ok(answer) if (300..400).contains(&answer.status) => {
                Some(format!("status {}; redirects are not followed", answer.status))
            }
            Ok(answer) => Some(format!("status {}", answer.status)),
            Err(unanswered) => Some(storable(&unanswered.to_string(), HEADER_KEPT)),
        }
    }

    pub fn insert(&self, tx: &mut Tx<'_>, company: CompanyId, delivery: Uuid) -> Result<(), StoreError> {
        let answer = self.outcome.as_ref().ok();
        let headers = answer.map(|answer| {
            let kept = answer.headers.iter().take(HEADERS_KEPT);
            Value::Json(object(kept.map(|(name, value)| (name.clone(), storable(value, HEADER_KEPT)))).to_string())
        });
        tx.push(
            "INSERT INTO webhook_attempts (company_id, delivery_id, id, number, at, took_us, url, request_headers, status, error, address, \
             response_headers, response_body, is_cut) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
            params![
                company,
                delivery,
                self.id,
                self.number,
                self.at,
                self.took_us,
                self.url.as_str(),
                Value::Json(self.request_headers.clone()),
                self.status(),
                self.error(),
                answer.and_then(|answer| answer.address).map(|address| address.to_string()),
                headers,
                answer.map(|answer| storable(&String::from_utf8_lossy(&answer.body), usize::MAX)),
                answer.is_some_and(|answer| answer.is_cut)
            ],
        )
    }
}

fn object(pairs: impl Iterator<Item = (String, String)>) -> Json {
    Json::Object(pairs.map(|(name, value)| (name, value.into())).collect::<Map<_, _>>())
}

/// Text that both databases hold: a stranger's bytes may have NULs.
fn storable(text: &str, most: usize) -> String {
    text.chars().filter(|letter| *letter != '\0').take(most).collect()
}

/// Sends a test event to an endpoint at once, also to one that is switched off, and gives the delivery's id. It is attempted once, and
/// kept with its attempt like every other.
///
/// # Errors
/// 404.
pub async fn ping(kernel: &Arc<Kernel>, tenant: &Arc<Tenant>, id: Uuid) -> Result<Uuid> {
    let company = tenant.company;
    let target = kernel.db.read(tenant.view(), move |reader| endpoint::require(reader, company, id)).await?;
    let message = json!({"message": "This is a test. Nothing happened.", "endpoint": id.to_string()}).to_string();
    let event = Event {
        company,
        position: 0,
        id: kernel.new_id(),
        kind: "core.webhook_endpoint.test".to_owned(),
        subject: format!("core/webhook-endpoints/{id}"),
        payload: message,
        actor: tenant.actor.user,
        created_at: kernel.now(),
    };
    let parcel = Parcel { delivery: kernel.new_id(), number: 1, event };
    let attempt = make(kernel, &target, &parcel).await;
    let body = kernel
        .settings
        .webhook_schemes
        .get(&target.scheme)
        .map(|scheme| scheme.body(&parcel.event))
        .unwrap_or_default();
    let body = String::from_utf8(body).map_err(Problem::internal)?;
    let (shared, tenant, delivery) = (kernel.clone(), tenant.clone(), parcel.delivery);
    let status = if attempt.error().is_none() { "succeeded" } else { "failed" };
    kernel
        .db
        .write(tenant.view(), move |tx| {
            endpoint::require(tx, company, id)?;
            tx.push(
                "INSERT INTO webhook_deliveries (company_id, id, endpoint_id, event_id, event_type, body, status, turn, attempts, tries, \
                 last_status, last_error, created_at, finished_at) VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 1, 1, $8, $9, $10, $11)",
                params![
                    company,
                    delivery,
                    id,
                    parcel.event.id,
                    parcel.event.kind.as_str(),
                    body.as_str(),
                    status,
                    attempt.status(),
                    attempt.error(),
                    attempt.at,
                    shared.now()
                ],
            )?;
            attempt.insert(tx, company, delivery)?;
            let target = id.to_string();
            let entry = audit::Entry { action: "test", module: "core", resource: "webhook-endpoints", target: &target, label: status, changes: None };
            audit::record(tx, &shared, &tenant, entry)?;
            Ok(())
        })
        .await?;
    Ok(delivery)
}
