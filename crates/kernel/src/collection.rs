//! A document of one product (an invoice) that is paid in USDC by what another product moves. Two ports, declared here and wired by
//! `loopd`: the [`Collector`] says how a document is paid and takes what a payer brings; the [`Books`] hear of every payment in the
//! transaction that records it. So what the books refuse moves nothing, and what has moved is in the books: there is nothing in between
//! that a crash could leave undone.

use std::pin::Pin;
use std::sync::Arc;

use loopd_store::Tx;
use loopd_types::{CompanyId, Result, Uuid};
use serde_json::Value;

use crate::Kernel;

/// The document that is paid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    pub id: Uuid,
    /// What the books want to hear again with the payment; kept beside it.
    pub terms: Value,
}

/// What is asked for a document.
#[derive(Clone, Debug)]
pub struct Ask {
    pub company: CompanyId,
    /// Who is paid, as the collector knows them; of the same company.
    pub payee: String,
    /// The chain, as the collector names it; the first that it serves when `None`.
    pub network: Option<String>,
    /// Millionths of a USDC.
    pub micros: i64,
    /// The address at which it is asked.
    pub resource: String,
    /// For people.
    pub description: String,
    pub document: Document,
}

/// How a document is paid, in the words of x402.
#[derive(Clone, Debug)]
pub struct Offer {
    /// The body of the 402, version 1.
    pub body: Value,
    /// Name and value of the header in which version 2 asks.
    pub header: (&'static str, String),
    /// The chain's common name: `base`.
    pub network: String,
    /// Where the money goes.
    pub recipient: String,
    /// No real money moves.
    pub is_sandbox: bool,
}

/// A document was paid.
#[derive(Clone, Debug)]
pub struct Paid {
    /// Name and value of the header that tells a payer so, in the version of x402 that they speak.
    pub response: (&'static str, String),
    /// The payment, as the collector's own records know it.
    pub payment: String,
    pub transaction: String,
    pub network: String,
    pub payer: String,
    pub micros: i64,
    pub is_sandbox: bool,
    /// The signed receipt.
    pub receipt: Value,
    /// What the document's terms were.
    pub document: Document,
}

/// What became of a payment that a payer brought.
#[derive(Clone, Debug)]
pub enum Taken {
    Paid(Box<Paid>),
    /// Nothing has moved. `reason` is x402's word or the collector's own, `detail` is for people and may be empty.
    Refused {
        reason: String,
        detail: String,
    },
    /// It was sent, and nobody knows yet; with the transaction, once there is one.
    Pending {
        transaction: Option<String>,
    },
}

/// What a collector answers.
pub type Asked<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// Takes payments for documents.
pub trait Collector: Send + Sync + 'static {
    /// What a payer is asked. `error` is why the payment that they brought was refused.
    ///
    /// # Errors
    /// 409 `usdc_off` where nothing is settled, `usdc_not_set_up` when the payee is not there or may not be paid; 400 for a network that
    /// is not served.
    fn offer<'a>(&'a self, kernel: &'a Arc<Kernel>, ask: &'a Ask, error: Option<&'a str>) -> Asked<'a, Offer>;

    /// Settles what a payer brought for exactly what is asked, once: the same payment again answers the same.
    ///
    /// # Errors
    /// As [`Collector::offer`], and whatever the books refuse: nothing has moved then.
    fn take<'a>(&'a self, kernel: &'a Arc<Kernel>, ask: &'a Ask, payment: &'a str) -> Asked<'a, Taken>;

    /// What became of a payment that was brought for this document before; `None` when it was not, or was refused. Settles nothing.
    ///
    /// # Errors
    /// The database's.
    fn earlier<'a>(
        &'a self,
        kernel: &'a Arc<Kernel>,
        company: CompanyId,
        document: Uuid,
        payment: &'a str,
    ) -> Asked<'a, Option<Taken>>;
}

/// How far a payment is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It is good, and about to be carried out.
    Begun,
    /// The money has moved. Perhaps after it was told that it failed: what was believed was wrong.
    Settled { transaction: String, receipt: Value },
    /// It has not moved.
    Failed { reason: String },
}

/// A payment of a document, on its way.
#[derive(Clone, Debug)]
pub struct Collected {
    pub company: CompanyId,
    /// One for each payment, however often it is tried and told.
    pub reference: Uuid,
    pub document: Document,
    pub payer: String,
    pub network: String,
    /// Millionths of a USDC.
    pub micros: i64,
    pub is_sandbox: bool,
    pub stage: Stage,
}

/// Whoever keeps the documents.
pub trait Books: Send + Sync + 'static {
    /// Hears of a payment in the transaction that records it. May be told the same again, and later the opposite ([`Stage::Settled`] after
    /// [`Stage::Failed`]).
    ///
    /// # Errors
    /// On [`Stage::Begun`]: why the document cannot be paid so; then nothing moves. On the others only what will go away by itself: the
    /// whole transaction is undone and tried again.
    fn note(&self, tx: &mut Tx<'_>, kernel: &Arc<Kernel>, payment: &Collected) -> Result<()>;
}

/// Both sides.
#[derive(Clone)]
pub struct Collection {
    pub collector: Arc<dyn Collector>,
    pub books: Arc<dyn Books>,
}
