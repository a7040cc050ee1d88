//! [`Till`]: documents of other products are paid by x402, as a project's own sales are. The kernel's port `Collector`
//! (`kernel/src/collection.rs`): a challenge for exactly what is due, and the same settlement, receipt, records and webhooks as any sale.

use std::sync::Arc;
use std::time::Duration;

use loopd_kernel::Kernel;
use loopd_kernel::collection::{Ask, Asked, Collector, Document, Offer as Shown, Paid, Taken};
use loopd_kernel::subscription::rules::Openness;
use loopd_store::View;
use loopd_types::{CompanyId, Problem, Result, Uuid};

use crate::analytics::Whose;
use crate::evm::Network;
use crate::payment::offer::Offer;
use crate::payment::rules::{self, Asked as Price};
use crate::payment::{store as payments, wire};
use crate::project::{PRODUCT, store as projects};
use crate::settlement::{self, Key, Outcome, Purpose, Sale, Settlement, store};
use crate::wire::public_id;
use crate::x402::wire::Response;
use crate::x402::{Payment, Requirement, Version, header};
use crate::{Pay, receipt};

/// How long a payer waits for the chain.
const WAIT: Duration = Duration::from_secs(20);

/// Takes payments for documents.
pub struct Till {
    pay: Arc<Pay>,
}

impl Till {
    pub fn new(pay: Arc<Pay>) -> Self {
        Self { pay }
    }

    /// What is asked, as the project that is paid would ask it.
    async fn terms(&self, kernel: &Arc<Kernel>, ask: &Ask) -> Result<Offer<'_>> {
        if self.pay.engine().is_none() {
            return Err(Problem::conflict("usdc_off", "Payments in USDC are switched off on this server."));
        }
        let access = kernel.company_access(ask.company).await?;
        if access.is_none_or(|access| access.openness(PRODUCT, kernel.now()) != Openness::Open) {
            return Err(not_set_up("The company's subscription of Loomal is not in force.".to_owned()));
        }
        let (company, payee) = (ask.company, ask.payee.clone());
        // `id-…` as its own API calls it, or the number of its row as signed-in people know it.
        let find = move |reader: &mut loopd_store::Reader<'_>| match Uuid::parse_str(&payee) {
            Ok(id) => projects::get(reader, company, id),
            Err(_) => projects::find(reader, company, &payee),
        };
        let project = kernel.db.read(View::Company(company), find).await.map_err(|problem| match problem.status() {
            404 => not_set_up(format!("There is no Loomal project {:.40} that could be paid.", ask.payee)),
            _ => problem,
        })?;
        let price = Price {
            amount_micros: ask.micros,
            network: ask.network.clone(),
            resource: ask.resource.clone(),
            description: Some(ask.description.chars().take(rules::DESCRIPTION_MOST).collect()),
            mpp: None,
        };
        Offer::new(&self.pay, project, price)
    }

    async fn take(&self, kernel: &Arc<Kernel>, ask: &Ask, shown: &str) -> Result<Taken> {
        let offer = self.terms(kernel, ask).await?;
        let refused = |stage: &'static str, reason: &str, detail: &str| {
            let whose = Whose::Project(offer.project.company, offer.project.id);
            self.pay.refusals.note(whose, stage, reason, kernel.now());
            Ok(Taken::Refused { reason: reason.to_owned(), detail: detail.to_owned() })
        };
        let payment = match header::payment(shown, self.pay.networks()) {
            Ok(payment) => payment,
            Err(refusal) => return refused("verify", rules::word(refusal.reason), &refusal.detail),
        };
        let sale = Sale {
            company: ask.company,
            project: offer.project.id,
            endpoint: None,
            network: offer.network.common_name(),
            resource: ask.resource.clone(),
            description: offer.asked.description.clone(),
            document: Some(ask.document.clone()),
        };
        let purpose = async { Ok(Purpose::Sale(sale)) };
        match settlement::bring(&self.pay, kernel, &payment, &offer.requirement, purpose, WAIT).await? {
            Err(refusal) => refused("verify", rules::word(refusal.reason), &refusal.detail),
            Ok(Outcome::Refused { reason }) => refused("settle", &reason, ""),
            Ok(outcome) => match self.told(kernel, ask.company, ask.document.id, &payment, outcome).await? {
                Some(taken) => Ok(taken),
                // It was settled before, for something else that costs the same.
                None => refused("settle", "authorization_used", ""),
            },
        }
    }

    async fn earlier(
        &self,
        kernel: &Arc<Kernel>,
        company: CompanyId,
        document: Uuid,
        shown: &str,
    ) -> Result<Option<Taken>> {
        let Ok(payment) = header::payment(shown, self.pay.networks()) else { return Ok(None) };
        let Some(token) = self.pay.networks().get(payment.chain).and_then(Network::dollar) else { return Ok(None) };
        let key = Key { chain: payment.chain, asset: token.address, payer: payment.payer(), nonce: payment.nonce() };
        let found = kernel.db.read(View::System, move |reader| store::find(reader, &key)).await?;
        let Some(known) =
            found.filter(|it| of(it, company, document).is_some() && settlement::is_same(&it.payment, &payment))
        else {
            return Ok(None);
        };
        // What was asked then, which may not be what is asked now.
        let requirement = Requirement {
            chain: key.chain,
            asset: key.asset,
            pay_to: known.pay_to,
            amount: known.amount,
            max_timeout_seconds: 0,
            domain: None,
        };
        match settlement::earlier(&self.pay, kernel, &payment, &requirement, WAIT).await? {
            None | Some(Outcome::Refused { .. }) => Ok(None),
            Some(outcome) => self.told(kernel, company, document, &payment, outcome).await,
        }
    }

    /// What a payer hears; `None` when the payment is for something else.
    async fn told(
        &self,
        kernel: &Arc<Kernel>,
        company: CompanyId,
        document: Uuid,
        payment: &Payment,
        outcome: Outcome,
    ) -> Result<Option<Taken>> {
        let settlement = match outcome {
            Outcome::Settled { settlement } => settlement,
            Outcome::Pending { settlement } => {
                let transaction = settlement.tx_hash.map(|hash| hash.to_string());
                return Ok(of(&settlement, company, document).map(|_| Taken::Pending { transaction }));
            }
            Outcome::Refused { reason } => {
                return Ok(Some(Taken::Refused { reason: reason.into_owned(), detail: String::new() }));
            }
        };
        let Some(document) = of(&settlement, company, document).cloned() else { return Ok(None) };
        let id = settlement.id;
        let read = move |reader: &mut loopd_store::Reader<'_>| payments::of_settlement(reader, company, id);
        let row = kernel.db.read(View::Company(company), read).await?;
        let row = row.ok_or_else(|| Problem::internal("a sale that was settled and has no payment"))?;
        let network = self.pay.networks().get(payment.chain);
        let written = network.and_then(|it| it.written(payment.version).or_else(|| Some(it.caip2())));
        let response = Response {
            error_reason: None,
            transaction: row.tx_hash.clone().unwrap_or_default(),
            network: written.unwrap_or_default(),
            payer: Some(payment.payer()),
            amount: Some(settlement.amount),
        };
        Ok(Some(Taken::Paid(Box::new(Paid {
            response: (payment.version.response_header(), header::encode(&response.render(payment.version))),
            payment: public_id(wire::PREFIX, row.id),
            transaction: response.transaction,
            network: row.network,
            payer: row.payer,
            micros: row.amount_micros,
            is_sandbox: row.is_sandbox,
            receipt: row.receipt.as_ref().map(receipt::with_hex).unwrap_or_default(),
            document,
        }))))
    }
}

/// The document that a settlement is for, if it is this one.
fn of(settlement: &Settlement, company: CompanyId, id: Uuid) -> Option<&Document> {
    match &settlement.purpose {
        Purpose::Sale(sale) if sale.company == company => sale.document.as_ref().filter(|it| it.id == id),
        _ => None,
    }
}

fn not_set_up(words: String) -> Problem {
    Problem::conflict("usdc_not_set_up", words)
}

impl Collector for Till {
    fn offer<'a>(&'a self, kernel: &'a Arc<Kernel>, ask: &'a Ask, error: Option<&'a str>) -> Asked<'a, Shown> {
        Box::pin(async move {
            let offer = self.terms(kernel, ask).await?;
            Ok(Shown {
                body: offer.challenge_after(Version::V1, error),
                header: (header::PAYMENT_REQUIRED, header::encode(&offer.challenge_after(Version::V2, error))),
                network: offer.network.common_name(),
                recipient: offer.project.recipient().to_owned(),
                is_sandbox: self.pay.is_sandbox(),
            })
        })
    }

    fn take<'a>(&'a self, kernel: &'a Arc<Kernel>, ask: &'a Ask, payment: &'a str) -> Asked<'a, Taken> {
        Box::pin(self.take(kernel, ask, payment))
    }

    fn earlier<'a>(
        &'a self,
        kernel: &'a Arc<Kernel>,
        company: CompanyId,
        document: Uuid,
        payment: &'a str,
    ) -> Asked<'a, Option<Taken>> {
        Box::pin(self.earlier(kernel, company, document, payment))
    }
}
