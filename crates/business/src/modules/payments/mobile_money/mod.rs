//! Mobile money behind one trait: ask a payer for money, then find out what became of it.
//!
//! The reference is a UUID made by us and stored before the provider hears of it, so that a lost answer can always be asked for again.
//! A callback only says that something happened; what happened is asked of the provider over our own authenticated connection.

mod airtel;
mod mtn;
mod sandbox;
mod token;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use loopd_kernel::egress::{Egress, Inbound, Unanswered};
use loopd_types::{Clock, CompanyCode, Currency, Problem, Result, Uuid};
use serde_json::Value as Json;

pub use airtel::AirtelSettings;
pub use mtn::MtnSettings;

/// The name by which an operator allows the sandbox in production (`LOOP_ALLOW_SANDBOXES`).
pub const SANDBOX: &str = "mobile-money";

/// How long one call may take; the payer's own thinking is not part of it.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A request for money, as every provider needs it.
#[derive(Clone, Debug)]
pub struct Charge {
    /// Ours, stored before the first call; the provider's key for everything that follows.
    pub reference: Uuid,
    pub company: CompanyCode,
    /// Minor units.
    pub amount: i64,
    pub currency: Currency,
    /// Digits, with the country's code, without `+`.
    pub payer_phone: String,
    /// What the payer reads.
    pub message: String,
    /// `mtn_momo`, `airtel_money`.
    pub method: String,
}

/// What a provider says about a charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Pending,
    /// The provider has never heard of it: the request was lost on its way.
    Unknown,
    Succeeded {
        transaction: String,
    },
    Failed {
        code: String,
        reason: String,
    },
    Expired,
}

/// Why a provider gave no outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It refused; nothing was and nothing will be taken.
    Refused { code: String, reason: String },
    /// The request did not get out; the provider knows nothing of it, and it may be tried again.
    Unreachable(String),
    /// Nobody knows: no answer, or one that cannot be read. Ask again later.
    Unclear(String),
}

impl Trouble {
    /// The same, where the payer was not asked yet: a request that lacks its token never reaches them.
    fn before_the_request(self) -> Self {
        match self {
            Self::Unclear(reason) => Self::Unreachable(reason),
            other => other,
        }
    }
}

/// Of a request for money.
impl From<Unanswered> for Trouble {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::NotSent(reason) => Self::Unreachable(reason),
            other => Self::Unclear(other.to_string()),
        }
    }
}

/// The future of one call to a provider.
pub type Asked<'a, T> = Pin<Box<dyn Future<Output = Result<T, Trouble>> + Send + 'a>>;

/// One provider of mobile money.
pub trait MobileMoney: Send + Sync + 'static {
    /// As in `/payments/providers/{name}/callback/` and in a payment's `provider`.
    fn name(&self) -> &'static str;
    /// Whether no real money moves.
    fn is_sandbox(&self) -> bool;
    /// Whether it serves a payment's `method`.
    fn serves(&self, method: &str) -> bool;
    /// Asks the payer. `Ok` means that the provider took the request, not that money moved. A repeat with the same reference is harmless.
    fn request_to_pay<'a>(&'a self, charge: &'a Charge) -> Asked<'a, ()>;
    /// What became of it.
    fn status<'a>(&'a self, charge: &'a Charge) -> Asked<'a, Outcome>;
    /// Which charge a callback speaks of. What it claims beyond that is not believed.
    ///
    /// # Errors
    /// 400 when it is none of this provider's.
    fn read_callback(&self, body: &Json) -> Result<(CompanyCode, Uuid)>;
}

/// The providers of this installation; cheap to clone.
#[derive(Clone, Default)]
pub struct Providers(Vec<Arc<dyn MobileMoney>>);

/// What the operator says about mobile money.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// MTN MoMo; off when `None`.
    pub mtn: Option<MtnSettings>,
    /// Airtel Money; off when `None`.
    pub airtel: Option<AirtelSettings>,
    /// Serve what no real provider serves by the built-in sandbox, in which no money moves.
    pub sandbox: bool,
}

impl Providers {
    /// The built-in sandbox only: no account, no network.
    pub fn sandbox() -> Self {
        Self(vec![Arc::new(sandbox::Sandbox)])
    }

    /// Real providers first, then the sandbox where it is allowed.
    ///
    /// # Errors
    /// In words for the operator, when TLS cannot be set up.
    pub fn new(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, String> {
        let Settings { mtn, airtel, sandbox } = settings;
        let mut all: Vec<Arc<dyn MobileMoney>> = Vec::new();
        if let Some(mtn) = mtn {
            all.push(Arc::new(mtn::Mtn::new(mtn, Egress::new(TIMEOUT)?, clock.clone())));
        }
        if let Some(airtel) = airtel {
            all.push(Arc::new(airtel::Airtel::new(airtel, Egress::new(TIMEOUT)?, clock)));
        }
        if sandbox {
            all.push(Arc::new(sandbox::Sandbox));
        }
        Ok(Self(all))
    }

    /// These providers, in this order; for tests.
    pub fn of(providers: Vec<Arc<dyn MobileMoney>>) -> Self {
        Self(providers)
    }

    /// The first provider that serves a method.
    pub fn for_method(&self, method: &str) -> Option<&Arc<dyn MobileMoney>> {
        self.0.iter().find(|provider| provider.serves(method))
    }
    pub fn find(&self, name: &str) -> Option<&Arc<dyn MobileMoney>> {
        self.0.iter().find(|provider| provider.name() == name)
    }
}

/// Our own id for the provider's side: `001-<uuid>`, so that a callback says whose payment it is.
pub fn external_id(charge: &Charge) -> String {
    format!("{}-{}", charge.company, charge.reference)
}

/// Reads what [`external_id`] wrote.
///
/// # Errors
/// 400 when it is none of ours.
pub fn parse_external_id(text: &str) -> Result<(CompanyCode, Uuid)> {
    parse_id(text, '-')
}

/// A company's code and a reference, with this sign between them.
fn parse_id(text: &str, separator: char) -> Result<(CompanyCode, Uuid)> {
    let parsed = text
        .split_once(separator)
        .and_then(|(code, reference)| Some((CompanyCode::parse(code)?, Uuid::parse_str(reference).ok()?)));
    parsed.ok_or_else(|| Problem::invalid("invalid_callback", "This callback names no payment."))
}

/// What an answer says; null when it is no JSON.
fn json_of(answer: &Inbound) -> Json {
    serde_json::from_slice(&answer.body).unwrap_or_default()
}
