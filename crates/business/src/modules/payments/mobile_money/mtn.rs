//! MTN Mobile Money, product "Collections": token, requesttopay, status.
//!
//! Source: the public API reference at momodeveloper.mtn.com (Collection, v1_0). A request is keyed by the `X-Reference-Id` that its caller
//! makes (a UUID version 4) and answered 202; what became of it is asked under the same key, or told to `X-Callback-Url` without a signature.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use loopd_kernel::egress::{Egress, Inbound, Outbound, Unanswered};
use loopd_types::{Clock, CompanyCode, Result, SECOND_US, Secret, Uuid, parse_decimal, render_decimal};
use serde_json::{Value as Json, json};

use super::token::KeptToken;
use super::{Asked, Charge, MobileMoney, Outcome, Trouble, external_id, json_of, parse_external_id};

/// A token is renewed this long before it ends, so that it does not end on its way.
const TOKEN_MARGIN_US: i64 = 60 * SECOND_US;
/// What the payer's telephone shows; longer texts are refused by some markets.
const MESSAGE_MAX: usize = 160;

/// How to reach MTN MoMo Collections.
#[derive(Clone, Debug)]
pub struct MtnSettings {
    /// `https://sandbox.momodeveloper.mtn.com`, `https://proxy.momoapi.mtn.com`; without a final slash.
    pub base_url: String,
    /// `Ocp-Apim-Subscription-Key` of the Collections product.
    pub subscription_key: Secret<String>,
    /// The API user, a UUID, and its key.
    pub api_user: String,
    pub api_key: Secret<String>,
    /// `sandbox`, `mtnrwanda`.
    pub target_environment: String,
    /// Our public address, `https://loop.example.com`; no callbacks when `None`, then polling alone resolves.
    pub callback_host: Option<String>,
}

pub struct Mtn {
    settings: MtnSettings,
    egress: Egress,
    clock: Arc<dyn Clock>,
    token: KeptToken,
}

impl Mtn {
    pub fn new(settings: MtnSettings, egress: Egress, clock: Arc<dyn Clock>) -> Self {
        Self { settings, egress, clock, token: KeptToken::default() }
    }

    /// A living access token, from memory or from MTN.
    async fn token(&self) -> Result<Secret<String>, Trouble> {
        let now = self.clock.now();
        if let Some(token) = self.token.living(now) {
            return Ok(token);
        }
        let user = format!("{}:{}", self.settings.api_user, self.settings.api_key.expose());
        let basic = format!("Basic {}", STANDARD.encode(user));
        let answer = self.call("POST", "/collection/token/", vec![("authorization", basic)], Vec::new()).await;
        self.token.keep("MTN", answer, now, 3_600, TOKEN_MARGIN_US)
    }

    async fn call(
        &self,
        method: &'static str,
        path: &str,
        mut headers: Vec<(&'static str, String)>,
        body: Vec<u8>,
    ) -> Result<Inbound, Unanswered> {
        headers.push(("ocp-apim-subscription-key", self.settings.subscription_key.expose().clone()));
        let url = format!("{}{path}", self.settings.base_url);
        self.egress.send(Outbound { method, url, headers, body }).await
    }

    /// Headers of every call behind the token.
    fn headers(&self, token: &Secret<String>) -> Vec<(&'static str, String)> {
        vec![
            ("authorization", format!("Bearer {}", token.expose())),
            ("x-target-environment", self.settings.target_environment.clone()),
        ]
    }

    async fn request(&self, charge: &Charge) -> Result<(), Trouble> {
        let token = self.token().await.map_err(Trouble::before_the_request)?;
        let body = json!({
            "amount": render_decimal(charge.amount, charge.currency.exponent()),
            "currency": charge.currency.code(),
            "externalId": external_id(charge),
            "payer": {"partyIdType": "MSISDN", "partyId": charge.payer_phone},
            "payerMessage": shortened(&charge.message),
            "payeeNote": shortened(&charge.message),
        });
        let mut headers = self.headers(&token);
        headers.push(("x-reference-id", charge.reference.to_string()));
        headers.push(("content-type", "application/json".to_owned()));
        if let Some(host) = &self.settings.callback_host {
            headers.push(("x-callback-url", format!("{host}/api/v1/payments/providers/{}/callback/", self.name())));
        }
        let sent = self.call("POST", "/collection/v1_0/requesttopay", headers, body.to_string().into_bytes()).await;
        match sent {
            Ok(answer) => match answer.status {
                200..=299 => Ok(()),
                // the reference is taken: our own earlier request got through
                409 => Ok(()),
                401 => {
                    self.token.forget();
                    Err(Trouble::Unreachable("MTN refused the token".to_owned()))
                }
                // Turned away before anybody looked at it: the payer was not asked.
                429 => Err(Trouble::Unreachable("MTN asks us to wait".to_owned())),
                400..=499 => Err(refused(&answer)),
                status => Err(Trouble::Unclear(format!("MTN answered {status}"))),
            },
            Err(unanswered) => Err(unanswered.into()),
        }
    }

    async fn ask(&self, charge: &Charge) -> Result<Outcome, Trouble> {
        let token = self.token().await?;
        let path = format!("/collection/v1_0/requesttopay/{}", charge.reference);
        let answer = self.call("GET", &path, self.headers(&token), Vec::new()).await;
        let answer = answer.map_err(|unanswered| Trouble::Unclear(unanswered.to_string()))?;
        match answer.status {
            200 => outcome(charge, &json_of(&answer)),
            404 => Ok(Outcome::Unknown),
            401 => {
                self.token.forget();
                Err(Trouble::Unclear("MTN refused the token".to_owned()))
            }
            status => Err(Trouble::Unclear(format!("MTN answered {status}"))),
        }
    }
}

impl MobileMoney for Mtn {
    fn name(&self) -> &'static str {
        "mtn-momo"
    }
    fn is_sandbox(&self) -> bool {
        self.settings.target_environment == "sandbox"
    }
    fn serves(&self, method: &str) -> bool {
        method == "mtn_momo"
    }
    fn request_to_pay<'a>(&'a self, charge: &'a Charge) -> Asked<'a, ()> {
        Box::pin(self.request(charge))
    }
    fn status<'a>(&'a self, charge: &'a Charge) -> Asked<'a, Outcome> {
        Box::pin(self.ask(charge))
    }
    fn read_callback(&self, body: &Json) -> Result<(CompanyCode, Uuid)> {
        parse_external_id(body["externalId"].as_str().unwrap_or_default())
    }
}

/// Reads MTN's word on a charge. A success over another amount or currency is no success of this charge.
fn outcome(charge: &Charge, body: &Json) -> Result<Outcome, Trouble> {
    match body["status"].as_str().unwrap_or_default() {
        "PENDING" | "CREATED" | "ONGOING" => Ok(Outcome::Pending),
        "SUCCESSFUL" => {
            let amount = body["amount"].as_str().map_or_else(|| body["amount"].to_string(), str::to_owned);
            let is_same = parse_decimal(&amount, charge.currency.exponent()) == Some(charge.amount)
                && body["currency"].as_str() == Some(charge.currency.code());
            if !is_same {
                let currency = body["currency"].as_str().unwrap_or("?");
                return Err(Trouble::Unclear(format!("MTN took {amount} {currency} for {}", charge.reference)));
            }
            Ok(Outcome::Succeeded {
                transaction: body["financialTransactionId"].as_str().unwrap_or_default().to_owned(),
            })
        }
        "FAILED" | "REJECTED" | "TIMEOUT" => {
            // a word in older versions, an object in newer ones
            let reason = &body["reason"];
            let code = reason.as_str().or_else(|| reason["code"].as_str()).unwrap_or("FAILED").to_owned();
            let words = reason["message"].as_str().unwrap_or("The payment failed.").to_owned();
            if code == "EXPIRED" || body["status"] == "TIMEOUT" {
                return Ok(Outcome::Expired);
            }
            Ok(Outcome::Failed { code: code.to_lowercase(), reason: words })
        }
        other => Err(Trouble::Unclear(format!("MTN says {other:?}"))),
    }
}

fn refused(answer: &Inbound) -> Trouble {
    let body = json_of(answer);
    let code = body["code"].as_str().map_or_else(|| format!("http_{}", answer.status), str::to_lowercase);
    let reason = body["message"].as_str().unwrap_or("MTN MoMo refused the request.").to_owned();
    Trouble::Refused { code, reason }
}

fn shortened(text: &str) -> String {
    text.chars().take(MESSAGE_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use loopd_types::{CompanyId, Currency};

    fn charge() -> Charge {
        Charge {
            reference: Uuid::nil(),
            company: CompanyId(1).code(),
            amount: 25_000,
            currency: Currency::parse("RWF").unwrap(),
            payer_phone: "250788123456".to_owned(),
            message: "INV-000001".to_owned(),
            method: "mtn_momo".to_owned(),
        }
    }

    #[test]
    fn only_this_amount_counts_as_paid() {
        let paid = |amount: Json, currency: &str| {
            let body =
                json!({"status": "SUCCESSFUL", "amount": amount, "currency": currency, "financialTransactionId": "77"});
            outcome(&charge(), &body)
        };
        let yes = Ok(Outcome::Succeeded { transaction: "77".to_owned() });
        assert_eq!(paid(json!("25000"), "RWF"), yes);
        assert_eq!(paid(json!(25000), "RWF"), yes);
        assert_eq!(paid(json!("25000.00"), "RWF"), yes);
        assert!(matches!(paid(json!("100"), "RWF"), Err(Trouble::Unclear(_))));
        assert!(matches!(paid(json!("25000"), "EUR"), Err(Trouble::Unclear(_))));
    }

    #[test]
    fn failures_are_told_apart() {
        let of = |body: Json| outcome(&charge(), &body);
        assert_eq!(of(json!({"status": "PENDING"})), Ok(Outcome::Pending));
        assert_eq!(of(json!({"status": "FAILED", "reason": "EXPIRED"})), Ok(Outcome::Expired));
        assert_eq!(
            of(json!({"status": "FAILED", "reason": {"code": "NOT_ENOUGH_FUNDS", "message": "Too little."}})),
            Ok(Outcome::Failed { code: "not_enough_funds".to_owned(), reason: "Too little.".to_owned() })
        );
        assert!(matches!(of(json!({})), Err(Trouble::Unclear(_))));
    }
}
