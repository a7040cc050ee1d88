//! [`Collector`]: who takes the money for a bill. A port: the kernel declares it, `loopd` wires what products give.

use std::pin::Pin;
use std::sync::Arc;

use loopd_types::{CompanyCode, Money, Uuid};

/// The name by which an operator allows the sandbox in production (`LOOP_ALLOW_SANDBOXES`).
pub const SANDBOX: &str = "collector";

/// What is to be taken from whom.
#[derive(Clone, Debug)]
pub struct Charge {
    /// Ours, stored before the first call: the collector's idempotency key. However often it is sent, money moves once.
    pub reference: Uuid,
    pub company: CompanyCode,
    pub money: Money,
    /// What the collector knows the payer by.
    pub payer: String,
    /// What the payer reads: the bill's number.
    pub message: String,
}

/// What became of a charge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    Succeeded {
        reference: String,
    },
    /// It was refused; no money moves for this reference any more.
    Failed {
        code: String,
    },
    /// It is under way; ask again.
    Pending,
    /// The collector has never heard of it.
    Unknown,
}

/// Nobody knows what became of it: no answer, or one that cannot be read. Ask with the same reference.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unclear(pub String);

pub type Asked<'a> = Pin<Box<dyn Future<Output = Result<Outcome, Unclear>> + Send + 'a>>;

/// Takes money for bills.
pub trait Collector: Send + Sync + 'static {
    /// As in an account's `payment_method`.
    fn name(&self) -> &'static str;
    /// Whether no real money moves.
    fn is_sandbox(&self) -> bool;
    /// Asks for the money. A repeat with the same reference takes none twice and answers as the first one did.
    fn collect<'a>(&'a self, charge: &'a Charge) -> Asked<'a>;
    /// What became of it.
    fn find<'a>(&'a self, charge: &'a Charge) -> Asked<'a>;
}

/// The collectors of this installation; none: bills are paid by hand.
#[derive(Clone, Default)]
pub struct Collectors(Vec<Arc<dyn Collector>>);

impl Collectors {
    pub fn of(all: Vec<Arc<dyn Collector>>) -> Self {
        Self(all)
    }
    /// The built-in sandbox only.
    pub fn sandbox() -> Self {
        Self(vec![Arc::new(Sandbox)])
    }
    pub fn find(&self, name: &str) -> Option<&Arc<dyn Collector>> {
        self.0.iter().find(|collector| collector.name() == name)
    }
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.0.iter().map(|collector| collector.name())
    }
}

/// The built-in sandbox: no money, no network. The payer's words decide: `decline` is refused, `lost` gets no answer and took the money,
/// `unreachable` gets no answer and took none, `slow` is under way for ever; every other pays.
pub struct Sandbox;

impl Sandbox {
    fn paid(charge: &Charge) -> Outcome {
        Outcome::Succeeded { reference: format!("SBX-{}", charge.reference.simple()) }
    }
}

impl Collector for Sandbox {
    fn name(&self) -> &'static str {
        "sandbox"
    }
    fn is_sandbox(&self) -> bool {
        true
    }
    fn collect<'a>(&'a self, charge: &'a Charge) -> Asked<'a> {
        let answer = match charge.payer.as_str() {
            "decline" => Ok(Outcome::Failed { code: "declined".to_owned() }),
            "lost" | "unreachable" => Err(Unclear("the sandbox loses this answer".to_owned())),
            "slow" => Ok(Outcome::Pending),
            _ => Ok(Self::paid(charge)),
        };
        Box::pin(async move { answer })
    }
    fn find<'a>(&'a self, charge: &'a Charge) -> Asked<'a> {
        let outcome = match charge.payer.as_str() {
            "decline" => Outcome::Failed { code: "declined".to_owned() },
            "unreachable" => Outcome::Unknown,
            "slow" => Outcome::Pending,
            _ => Self::paid(charge),
        };
        Box::pin(async move { Ok(outcome) })
    }
}
