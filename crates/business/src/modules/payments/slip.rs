//! [`Slip`]: what stands at a pay link, `/pay/<company>-<token>/`, and the x402 challenge that programs meet there.
//!
//! Asked without a payment, the answer is a 402 that says what is due, in versions 1 and 2. With one it is settled for exactly that, once;
//! the same payment again answers the same. The page for people is `loopd`'s, over the same [`Slip`].

use std::sync::Arc;

use http::HeaderName;
use loopd_kernel::collection::{Ask, Collector, Document, Paid, Taken};
use loopd_kernel::{Kernel, Tenant};
use loopd_types::{CompanyCode, Currency, Kind as Refusal};
use loopd_web::{Call, Reply};
use serde_json::{Value as Json, json};

use super::books::Terms;
use super::usdc::{self, Choice};
use super::{INVOICES, LINKS, currency_of, decimal_words, invoice};
use crate::define::*;
use crate::engine::Registry;
use crate::modules::door::is_open;

/// The headers in which a payer shows a payment, of x402's versions 2 and 1.
const SHOWN: [&str; 2] = ["payment-signature", "x-payment"];

/// Where a slip stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    Unpaid,
    /// A payment is on its way.
    InProgress,
    Paid,
    /// Voided, or given up: it is owed no more.
    Void,
    /// The link is over.
    Expired,
}

/// An invoice, as whoever has its pay link may see it.
#[derive(Clone, Debug)]
pub struct Slip {
    pub tenant: Arc<Tenant>,
    pub invoice: Uuid,
    pub state: State,
    pub number: String,
    pub title: String,
    pub currency: Currency,
    /// What was invoiced, in minor units.
    pub total: i64,
    /// What is due of it.
    pub due: i64,
    pub paid_at: Option<Timestamp>,
    pub expires_at: Option<Timestamp>,
    /// The signed receipts of what was paid here, oldest first: `{payment, receipt}`.
    pub receipts: Vec<Json>,
    /// How the rest is paid in USDC; why not, where it cannot.
    pub ask: Result<Ask>,
}

impl Slip {
    /// What stands at `address`.
    ///
    /// # Errors
    /// 404 for unknown and inactive links, for links without an invoice, and where strangers are not let in: all alike.
    pub async fn find(registry: &Arc<Registry>, call: &Call, address: &str) -> Result<Self> {
        let kernel = &call.kernel;
        let (code, token) = address.split_once('-').ok_or_else(Problem::not_found)?;
        let company = CompanyCode::parse(code).ok_or_else(Problem::not_found)?.0;
        let access = kernel.company_access(company).await?;
        let open = access.filter(|access| is_open(registry, access, "payments", kernel.now()));
        let mut tenant = Tenant::system(open.ok_or_else(Problem::not_found)?, "a pay link");
        tenant.actor.origin = Some(call.caller.origin.clone());
        let tenant = Arc::new(tenant);
        let (engine, shared, token) = (Engine::new(kernel.clone(), registry.clone()), tenant.clone(), token.to_owned());
        let resource = format!("{}/pay/{code}-{token}/", call.base_url());
        let read = move |reader: &mut loopd_store::Reader<'_>| {
            look(&mut Viewer::new(reader, &engine, &shared), &shared, &token, &resource)
        };
        kernel.db.read(tenant.view(), read).await
    }

    /// How the rest is paid.
    ///
    /// # Errors
    /// Why it cannot be, by this link and now.
    pub fn payable(&self) -> Result<&Ask> {
        match self.state {
            State::Unpaid => self.ask.as_ref().map_err(Clone::clone),
            State::InProgress => Err(invoice::payment_in_progress()),
            State::Paid => Err(not_open("paid")),
            State::Void => Err(gone("invoice_void", "This invoice is owed no more.")),
            State::Expired => Err(expired()),
        }
    }
}

fn look(viewer: &mut Viewer<'_, '_>, tenant: &Arc<Tenant>, token: &str, resource: &str) -> Result<Slip> {
    let which = Where::new().eq("token", token).eq("status", "active").limit(1);
    let link = viewer.select(LINKS, &which)?.into_iter().next().ok_or_else(Problem::not_found)?;
    let invoice = viewer.get(INVOICES, link.id_in("invoice").ok_or_else(Problem::not_found)?)?;
    if invoice.status() == "draft" {
        return Err(Problem::not_found());
    }
    let currency = currency_of(&invoice)?;
    let due = invoice::balance(&invoice).max(0);
    let waiting = viewer.sum(super::PAYMENTS, "amount", &invoice::waiting_for(invoice.id()))?;
    let is_over = link.time("expires_at").is_some_and(|end| end <= viewer.now());
    let state = match invoice.status() {
        "paid" => State::Paid,
        "void" | "uncollectible" => State::Void,
        _ if waiting > 0 => State::InProgress,
        _ if is_over => State::Expired,
        _ => State::Unpaid,
    };
    let choice = Choice::read(&loopd_kernel::company::settings(viewer.reader, tenant.company, "payments")?);
    let terms = Terms { link: link.id(), amount: due, currency: currency.code().to_owned() };
    let receipts = invoice.json("usdc_receipts").and_then(|all| all.as_array().cloned()).unwrap_or_default();
    Ok(Slip {
        tenant: tenant.clone(),
        invoice: invoice.id(),
        state,
        number: invoice.number().to_owned(),
        title: invoice.title().to_owned(),
        currency,
        total: invoice.minor("total"),
        due,
        paid_at: invoice.time("paid_at"),
        expires_at: link.time("expires_at"),
        receipts,
        ask: ask(tenant, &choice, &invoice, terms, resource.to_owned()),
    })
}

/// What is asked for an invoice.
///
/// # Errors
/// 409 `usdc_not_set_up`, `currency_not_in_usdc`, `amount_not_in_usdc`.
pub fn ask(tenant: &Tenant, choice: &Choice, invoice: &Record, terms: Terms, resource: String) -> Result<Ask> {
    let micros = choice.micros(terms.amount, currency_of(invoice)?, tenant.currency())?;
    Ok(Ask {
        company: tenant.company,
        payee: choice.payee()?,
        network: choice.network.clone(),
        micros,
        resource,
        description: format!("{} {}", tenant.company_name(), invoice.number()),
        document: Document { id: invoice.id(), terms: terms.to_json() },
    })
}

/// What takes the money.
///
/// # Errors
/// 409 `usdc_off` where there is nothing.
pub fn collector(kernel: &Kernel) -> Result<Arc<dyn Collector>> {
    let found = kernel.collection().map(|collection| collection.collector.clone());
    found.ok_or_else(|| Problem::conflict("usdc_off", "Payments in USDC are switched off on this server."))
}

/// The payment that this call shows, if it shows one.
pub fn shown(call: &Call) -> Option<&str> {
    SHOWN.into_iter().find_map(|name| call.header(name)).filter(|text| !text.is_empty())
}

/// What a program hears at a pay link.
///
/// # Errors
/// 409 `invoice_not_open`, `payment_in_progress`, `amount_due_changed` and whatever [`ask`] refuses; 410 `invoice_void`, `link_expired`;
/// 503 `payment_pending`. In all of them but the last nothing has moved.
pub async fn answer(call: &Call, slip: &Slip) -> Result<Reply> {
    let kernel = &call.kernel;
    let Some(payment) = shown(call) else { return challenge(kernel, slip, None).await };
    let collector = collector(kernel)?;
    // What was paid here is told again, whatever became of the invoice since.
    let earlier = collector.earlier(kernel, slip.tenant.company, slip.invoice, payment).await?;
    let taken = match earlier {
        Some(taken) => taken,
        None => match collector.take(kernel, slip.payable()?, payment).await {
            Ok(taken) => taken,
            // Perhaps by this very payment, brought at the same moment.
            Err(problem) if matches!(problem.status(), 409 | 410) => {
                let earlier = collector.earlier(kernel, slip.tenant.company, slip.invoice, payment).await?;
                earlier.ok_or(problem)?
            }
            Err(problem) => return Err(problem),
        },
    };
    match taken {
        Taken::Paid(paid) => settled(slip, &paid),
        Taken::Refused { reason, detail } => {
            let words = if detail.is_empty() { reason } else { format!("{reason}: {detail}") };
            challenge(kernel, slip, Some(&words)).await
        }
        Taken::Pending { transaction } => Err(pending(transaction)),
    }
}

async fn challenge(kernel: &Arc<Kernel>, slip: &Slip, error: Option<&str>) -> Result<Reply> {
    let offer = collector(kernel)?.offer(kernel, slip.payable()?, error).await?;
    let (name, value) = &offer.header;
    Ok(Reply::json(402, &offer.body)?.with_header(HeaderName::from_static(name), value))
}

fn settled(slip: &Slip, paid: &Paid) -> Result<Reply> {
    let terms = Terms::read(&paid.document.terms)?;
    let currency = Currency::parse(&terms.currency).unwrap_or(slip.currency);
    let body = json!({
        "status": "paid", "invoice": slip.number, "company": slip.tenant.company_name(), "amount": decimal_words(terms.amount, currency),
        "currency": currency.code(), "usdc": usdc::words(paid.micros), "payment": paid.payment, "transaction": paid.transaction,
        "network": paid.network, "payer": paid.payer, "sandbox": paid.is_sandbox, "receipt": paid.receipt,
    });
    let (name, value) = &paid.response;
    Ok(Reply::json(200, &body)?.with_header(HeaderName::from_static(name), value))
}

/// What [`answer`] answers to a payment.
pub fn schema() -> Json {
    let (text, decimal) = (json!({"type": "string"}), json!({"type": "string", "format": "decimal"}));
    json!({
        "type": "object",
        "required": ["status", "invoice", "company", "amount", "currency", "usdc", "payment", "transaction", "network", "payer", "sandbox",
            "receipt"],
        "properties": {
            "status": {"type": "string", "enum": ["paid"]}, "invoice": text, "company": text, "amount": decimal, "currency": text,
            "usdc": decimal, "payment": text, "transaction": text, "network": text, "payer": text, "sandbox": {"type": "boolean"},
            "receipt": {"type": "object", "description": "Signed by the project that was paid; see docs/loomal.md."},
        },
    })
}

/// The invoice is in a state in which nothing is due.
pub fn not_open(status: &str) -> Problem {
    let words = match status {
        "paid" => "The invoice is paid; nothing is due on it.".to_owned(),
        status => format!("The invoice is {}, so it cannot be paid.", status.replace('_', " ")),
    };
    Problem::conflict("invoice_not_open", words).with_extra("status", status)
}

/// The link is over.
pub fn expired() -> Problem {
    gone("link_expired", "This pay link is over; ask whoever sent it for a new one.")
}

fn gone(code: &'static str, words: &'static str) -> Problem {
    Problem::new(Refusal::Gone, code, words)
}

fn pending(transaction: Option<String>) -> Problem {
    Problem::new(
        Refusal::Unavailable,
        "payment_pending",
        "The payment was sent and its outcome is not known yet. Send the same payment again; do not make another.",
    )
    .with_extra("transaction", transaction)
    .with_header("Retry-After", "5")
}
