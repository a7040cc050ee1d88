//! Airtel Money, product "Collections": token, request by USSD push, status.
//!
//! Source: the Open API of Airtel Africa (developers.airtel.africa; Authorization, Collection-APIs v1) as it is publicly described. Tested against
//! our own imitation only, never against Airtel. A request is keyed by our `transaction.id`; its callback names the same id and is not
//! signed in a way that every market offers, so it is a hint to ask. The optional encryption of messages (`x-signature`, `x-key`) is not spoken.
//!
//! Airtel wants its ids short and plain, so ours are `<company code>x<reference without hyphens>`: letters and digits only.

use std::sync::Arc;

use loopd_kernel::egress::{Egress, Inbound, Outbound, Unanswered};
use loopd_types::{Clock, CompanyCode, Result, SECOND_US, Secret, Uuid, parse_decimal, render_decimal};
use serde_json::{Number, Value as Json, json};

use super::token::KeptToken;
use super::{Asked, Charge, MobileMoney, Outcome, Trouble, json_of, parse_id};

/// A token is renewed this long before it ends, so that it does not end on its way; Airtel's live for three minutes.
const TOKEN_MARGIN_US: i64 = 20 * SECOND_US;
/// What Airtel takes as a reference, which the payer reads.
const MESSAGE_MAX: usize = 64;
/// Between company and reference in a transaction's id.
const SEPARATOR: char = 'x';
/// Codes of a push that was taken and is under way, or of which Airtel itself does not know yet (Collection-APIs, error codes).
const UNDER_WAY: [&str; 3] = ["DP00800001000", "DP00800001001", "DP00800001006"];
/// The payer did not enter the PIN, or not in time.
const TIMED_OUT: [&str; 2] = ["DP00800001005", "DP00800001024"];
/// Airtel has no such transaction.
const NOT_FOUND: &str = "DP00800001025";

/// How to reach Airtel Money Collections.
#[derive(Clone, Debug)]
pub struct AirtelSettings {
    /// `https://openapiuat.airtel.africa`, `https://openapi.airtel.africa`; without a final slash.
    pub base_url: String,
    pub client_id: String,
    pub client_secret: Secret<String>,
    /// Where the payers are: `RW`. Charges in another currency than the country's are Airtel's to refuse.
    pub country: String,
    /// The country's telephone code, `250`: Airtel wants numbers without it.
    pub dial_code: String,
    /// No real money moves: the address is Airtel's test system.
    pub is_sandbox: bool,
}

pub struct Airtel {
    settings: AirtelSettings,
    egress: Egress,
    clock: Arc<dyn Clock>,
    token: KeptToken,
}

impl Airtel {
    pub fn new(settings: AirtelSettings, egress: Egress, clock: Arc<dyn Clock>) -> Self {
        Self { settings, egress, clock, token: KeptToken::default() }
    }

    /// A living access token, from memory or from Airtel.
    async fn token(&self) -> Result<Secret<String>, Trouble> {
        let now = self.clock.now();
        if let Some(token) = self.token.living(now) {
            return Ok(token);
        }
        let body = json!({
            "client_id": self.settings.client_id,
            "client_secret": self.settings.client_secret.expose(),
            "grant_type": "client_credentials",
        });
        let answer = self.call("POST", "/auth/oauth2/token", Vec::new(), Some(&body)).await;
        self.token.keep("Airtel", answer, now, 180, TOKEN_MARGIN_US)
    }

    async fn call(
        &self,
        method: &'static str,
        path: &str,
        mut headers: Vec<(&'static str, String)>,
        body: Option<&Json>,
    ) -> Result<Inbound, Unanswered> {
        headers.push(("accept", "application/json".to_owned()));
        if body.is_some() {
            headers.push(("content-type", "application/json".to_owned()));
        }
        let url = format!("{}{path}", self.settings.base_url);
        let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        self.egress.send(Outbound { method, url, headers, body }).await
    }

    /// Headers of every call behind the token.
    fn headers(&self, token: &Secret<String>, charge: &Charge) -> Vec<(&'static str, String)> {
        vec![
            ("authorization", format!("Bearer {}", token.expose())),
            ("x-country", self.settings.country.clone()),
            ("x-currency", charge.currency.code().to_owned()),
        ]
    }

    async fn request(&self, charge: &Charge) -> Result<(), Trouble> {
        let Some(msisdn) = charge.payer_phone.strip_prefix(&self.settings.dial_code).filter(|rest| !rest.is_empty())
        else {
            let reason = format!("Airtel Money here serves numbers that begin with {}.", self.settings.dial_code);
            return Err(Trouble::Refused { code: "payer_not_served".to_owned(), reason });
        };
        let token = self.token().await.map_err(Trouble::before_the_request)?;
        let (country, currency) = (&self.settings.country, charge.currency.code());
        let body = json!({
            "reference": reference_words(&charge.message),
            "subscriber": {"country": country, "currency": currency, "msisdn": msisdn},
            "transaction": {"amount": amount_of(charge), "country": country, "currency": currency, "id": transaction_id(charge)},
        });
        match self.call("POST", "/merchant/v1/payments/", self.headers(&token, charge), Some(&body)).await {
            Ok(answer) => match answer.status {
                200..=299 => taken(&json_of(&answer)),
                401 => {
                    self.token.forget();
                    Err(Trouble::Unreachable("Airtel refused the token".to_owned()))
                }
                // the id is taken: our own earlier request got through
                409 => Ok(()),
                429 => Err(Trouble::Unreachable("Airtel answered 429".to_owned())),
                400..=499 => Err(refused(&json_of(&answer), answer.status)),
                status => Err(Trouble::Unclear(format!("Airtel answered {status}"))),
            },
            Err(unanswered) => Err(unanswered.into()),
        }
    }

    async fn ask(&self, charge: &Charge) -> Result<Outcome, Trouble> {
        let token = self.token().await?;
        let path = format!("/standard/v1/payments/{}", transaction_id(charge));
        let answer = self.call("GET", &path, self.headers(&token, charge), None).await;
        let answer = answer.map_err(|unanswered| Trouble::Unclear(unanswered.to_string()))?;
        match answer.status {
            200 => outcome(charge, &json_of(&answer)),
            404 => Ok(Outcome::Unknown),
            401 => {
                self.token.forget();
                Err(Trouble::Unclear("Airtel refused the token".to_owned()))
            }
            status => Err(Trouble::Unclear(format!("Airtel answered {status}"))),
        }
    }
}

impl MobileMoney for Airtel {
    fn name(&self) -> &'static str {
        "airtel-money"
    }
    fn is_sandbox(&self) -> bool {
        self.settings.is_sandbox
    }
    fn serves(&self, method: &str) -> bool {
        method == "airtel_money"
    }
    fn request_to_pay<'a>(&'a self, charge: &'a Charge) -> Asked<'a, ()> {
        Box::pin(self.request(charge))
    }
    fn status<'a>(&'a self, charge: &'a Charge) -> Asked<'a, Outcome> {
        Box::pin(self.ask(charge))
    }
    /// `{"transaction": {"id": "001x…", "status_code": "TS", "airtel_money_id": "…"}}`
    fn read_callback(&self, body: &Json) -> Result<(CompanyCode, Uuid)> {
        parse_id(body["transaction"]["id"].as_str().unwrap_or_default(), SEPARATOR)
    }
}

fn transaction_id(charge: &Charge) -> String {
    format!("{}{SEPARATOR}{}", charge.company, charge.reference.simple())
}

/// Airtel takes amounts as numbers; ours have exactly their currency's decimals, so no digit is invented.
fn amount_of(charge: &Charge) -> Json {
    let text = render_decimal(charge.amount, charge.currency.exponent());
    text.parse::<Number>().map_or(Json::String(text), Json::Number)
}

/// Letters, digits and blanks: other signs are refused by some markets.
fn reference_words(message: &str) -> String {
    let plain = message.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { ' ' });
    plain.take(MESSAGE_MAX).collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Reads the answer to a push: 200 also carries refusals, told apart by `status`.
fn taken(body: &Json) -> Result<(), Trouble> {
    let status = &body["status"];
    let code = status["response_code"].as_str().unwrap_or_default();
    if status["success"] == true || UNDER_WAY.contains(&code) {
        return Ok(());
    }
    if status["success"] == false && !code.is_empty() {
        return Err(refused(body, 200));
    }
    Err(Trouble::Unclear("Airtel's answer cannot be read".to_owned()))
}

/// Reads Airtel's word on a charge. The status names no currency; an amount, where there is one, must be ours.
fn outcome(charge: &Charge, body: &Json) -> Result<Outcome, Trouble> {
    let transaction = &body["data"]["transaction"];
    if let Some(id) = transaction["id"].as_str()
        && id != transaction_id(charge)
    {
        return Err(Trouble::Unclear(format!("Airtel speaks of {id} when asked for {}", charge.reference)));
    }
    let words = || transaction["message"].as_str().unwrap_or("The payment failed.").to_owned();
    let code = body["status"]["response_code"].as_str().unwrap_or_default();
    match transaction["status"].as_str().unwrap_or_default() {
        "TIP" | "TA" => Ok(Outcome::Pending),
        "TS" => {
            let amount = match &transaction["amount"] {
                Json::Null => None,
                Json::String(text) => Some(text.clone()),
                other => Some(other.to_string()),
            };
            if let Some(amount) = amount
                && parse_decimal(&amount, charge.currency.exponent()) != Some(charge.amount)
            {
                return Err(Trouble::Unclear(format!("Airtel took {amount} for {}", charge.reference)));
            }
            Ok(Outcome::Succeeded {
                transaction: transaction["airtel_money_id"].as_str().unwrap_or_default().to_owned(),
            })
        }
        "TE" => Ok(Outcome::Expired),
        "TF" if TIMED_OUT.contains(&code) => Ok(Outcome::Expired),
        "TF" => {
            let code = if code.is_empty() { "failed".to_owned() } else { code.to_lowercase() };
            Ok(Outcome::Failed { code, reason: words() })
        }
        "" if code == NOT_FOUND => Ok(Outcome::Unknown),
        other => Err(Trouble::Unclear(format!("Airtel says {other:?}"))),
    }
}

fn refused(body: &Json, http: u16) -> Trouble {
    let status = &body["status"];
    let code = status["response_code"].as_str().or_else(|| status["result_code"].as_str());
    let code = code.map_or_else(|| format!("http_{http}"), str::to_lowercase);
    let reason = status["message"].as_str().unwrap_or("Airtel Money refused the request.").to_owned();
    Trouble::Refused { code, reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use loopd_types::{CompanyId, Currency};

    fn charge() -> Charge {
        Charge {
            reference: Uuid::nil(),
            company: CompanyId(1).code(),
            amount: 25_050,
            currency: Currency::parse("USD").unwrap(),
            payer_phone: "250730000000".to_owned(),
            message: "Kigali & Söhne: INV-000001".to_owned(),
            method: "airtel_money".to_owned(),
        }
    }

    #[test]
    fn what_airtel_says_is_told_apart() {
        let of = |code: &str, transaction: Json| {
            outcome(&charge(), &json!({"data": {"transaction": transaction}, "status": {"response_code": code}}))
        };
        assert_eq!(of("", json!({"status": "TIP"})), Ok(Outcome::Pending));
        assert_eq!(of("", json!({"status": "TA"})), Ok(Outcome::Pending));
        let paid = Ok(Outcome::Succeeded { transaction: "7".to_owned() });
        assert_eq!(of("", json!({"status": "TS", "airtel_money_id": "7"})), paid);
        assert_eq!(of("", json!({"status": "TS", "airtel_money_id": "7", "amount": "250.50"})), paid);
        assert!(matches!(of("", json!({"status": "TS", "amount": 250})), Err(Trouble::Unclear(_))));
        assert!(matches!(of("", json!({"status": "TS", "id": "001xother"})), Err(Trouble::Unclear(_))));
        assert_eq!(of("DP00800001024", json!({"status": "TF"})), Ok(Outcome::Expired));
        let failed = Outcome::Failed { code: "dp00800001007".to_owned(), reason: "Too little.".to_owned() };
        assert_eq!(of("DP00800001007", json!({"status": "TF", "message": "Too little."})), Ok(failed));
        assert!(matches!(of("", json!({})), Err(Trouble::Unclear(_))));
        assert_eq!(of("DP00800001025", json!(null)), Ok(Outcome::Unknown));
    }

    #[test]
    fn amounts_and_words_are_sent_as_airtel_reads_them() {
        assert_eq!(amount_of(&charge()).to_string(), "250.5");
        assert_eq!(amount_of(&Charge { currency: Currency::parse("RWF").unwrap(), ..charge() }).to_string(), "25050");
        assert_eq!(reference_words(&charge().message), "Kigali S hne INV 000001");
    }

    #[test]
    fn a_push_that_may_be_under_way_is_no_refusal() {
        let of = |success: bool, code: &str| taken(&json!({"status": {"success": success, "response_code": code}}));
        assert_eq!(of(true, "DP00800001006"), Ok(()));
        assert_eq!(of(false, "DP00800001006"), Ok(()));
        assert!(matches!(of(false, "DP00800001007"), Err(Trouble::Refused { .. })));
        assert!(matches!(taken(&json!({})), Err(Trouble::Unclear(_))));
    }
}
