//! `POST /payments/payments/{id}/initiate/`: asks a payer for money.
//!
//! Three steps, because a provider is no part of a transaction: the reference is stored and the asking is promised (a job is written that
//! will look after it); the provider is asked; what it said is recorded together with the answer for the `Idempotency-Key`. If the process
//! dies in between, the job finds out what happened.

use std::sync::Arc;

use loopd_kernel::Tenant;
use loopd_types::{Currency, Kind as Refusal};
use loopd_web::{Call, Claimed, Reply};

use super::mobile_money::{Charge, MobileMoney, Providers, Trouble};
use super::{CUSTOMERS, INVOICES, PAYMENTS, currency_of, payment, resolve};
use crate::define::*;
use crate::engine::read::require_may_change;
use crate::engine::update::find_changeable;

/// What the body may hold.
pub fn inputs() -> Vec<Field> {
    vec![phone("payer_phone").help("Whose mobile money is asked; the payment's or the customer's number when absent.")]
}

pub async fn initiate(providers: Providers, engine: Engine, call: Call) -> Result<Reply> {
    let (tenant, id) = (call.tenant()?.clone(), call.id()?);
    let input = Input::check(&inputs(), call.json_ref()?, Currency::parse(tenant.currency()))?;
    let runtime = engine.registry.find(PAYMENTS).ok_or_else(Problem::not_found)?.clone();
    let start: Start = Box::new(move |cx| {
        let payment = find_changeable(cx, &runtime, id)?;
        require_startable(&payment)?;
        let phone = payer_phone(cx, &payment, &input)?;
        Ok((payment, phone))
    });
    ask_payer(providers, engine, tenant, &call, start, |payment| {
        Ok(Reply::json_bytes(200, payment.render()?).with_etag(&payment.version().to_string()))
    })
    .await
}

/// Finds or makes the payment to be asked for, locked, and the number to ask. Runs in a transaction, maybe more than once.
pub type Start = Box<dyn Fn(&mut Cx<'_, '_>) -> Result<(Record, String)> + Send>;

/// The three steps; `answer` writes what the caller gets of the payment.
pub async fn ask_payer(
    providers: Providers,
    engine: Engine,
    tenant: Arc<Tenant>,
    call: &Call,
    start: Start,
    answer: fn(&Record) -> Result<Reply>,
) -> Result<Reply> {
    let ticket = match call.claim().await? {
        Claimed::Replay(reply) => return Ok(reply),
        Claimed::Go(ticket) => ticket,
    };
    let (id, provider, charge) = match promise(&providers, &engine, &tenant, start).await {
        Ok(promised) => promised,
        Err(problem) => {
            ticket.release().await?;
            return Err(problem);
        }
    };
    let asked = provider.request_to_pay(&charge).await;
    if let Err(Trouble::Unreachable(reason)) = &asked {
        tracing::warn!(provider = provider.name(), reason, "a provider cannot be reached");
        take_back(&engine, &tenant, id, &charge).await?;
        ticket.release().await?;
        return Err(unavailable());
    }
    if let Err(Trouble::Unclear(reason)) = &asked {
        tracing::warn!(
            provider = provider.name(),
            reason,
            "nobody knows what became of a request; it is asked for later"
        );
    }
    let (kernel, view) = (engine.kernel.clone(), tenant.view());
    let record = move |tx: &mut loopd_store::Tx<'_>| {
        let mut cx = Cx::new(tx, &engine, &tenant);
        if let Err(Trouble::Refused { code, reason }) = &asked {
            resolve::fail(&mut cx, id, &charge.reference.to_string(), code, reason)?;
        }
        let reply = answer(&cx.get(PAYMENTS, id)?)?;
        ticket.finish(cx.tx, &reply)?;
        Ok(reply)
    };
    kernel.db.write(view, record).await
}

/// Checks that the payment can be made, and writes down what is about to be asked, before it is.
async fn promise(
    providers: &Providers,
    engine: &Engine,
    tenant: &Arc<Tenant>,
    start: Start,
) -> Result<(Uuid, Arc<dyn MobileMoney>, Charge)> {
    let (providers, shared, tenant) = (providers.clone(), engine.clone(), tenant.clone());
    let reference = new_reference(engine);
    let view = tenant.view();
    let work = move |tx: &mut loopd_store::Tx<'_>| {
        let mut cx = Cx::new(tx, &shared, &tenant);
        let (mut payment, phone) = start(&mut cx)?;
        let provider = providers.for_method(payment.text("method").unwrap_or_default()).cloned();
        let provider = provider.ok_or_else(unavailable)?;
        payment::require_payable(&mut cx, &payment)?;
        payment.set("payer_phone", phone.as_str());
        payment.set("provider", provider.name());
        payment.set("provider_ref", reference.to_string());
        payment.set("sandbox", provider.is_sandbox());
        payment.set("initiated_at", cx.now());
        let invoice = match payment.id_in("invoice") {
            Some(id) => cx.find(INVOICES, id)?,
            None => None,
        };
        let document = invoice.as_ref().map_or_else(|| payment.number(), Record::number);
        let charge = charge_of(&tenant, &payment, document)?;
        save_as_initiated(&mut cx, &mut payment)?;
        resolve::ask_later(&mut cx, payment.id(), &reference.to_string(), 1)?;
        Ok((payment.id(), provider, charge))
    };
    engine.kernel.db.write(view, work).await
}

/// Writes the payment; the number that was just asked for is no change of a frozen field.
fn save_as_initiated(cx: &mut Cx<'_, '_>, payment: &mut Record) -> Result<()> {
    cx.save(payment)?;
    let told = payment.to_json()?;
    cx.emit(payment, "initiated", &told)
}

/// Whether a payment can be initiated by this caller, as far as its own row tells.
///
/// # Errors
/// 403 `workspace_access_denied`; 409 `already_initiated`, `invalid_transition`; 400 on `method`.
pub fn ready(tenant: &Tenant, payment: &Record) -> Result<()> {
    require_may_change(tenant, payment)?;
    require_startable(payment)
}

fn require_startable(payment: &Record) -> Result<()> {
    if payment.has("initiated_at") {
        return Err(Problem::conflict("already_initiated", "The provider was already asked for this payment.")
            .with_extra("status", payment.status()));
    }
    if payment.status() != "pending" {
        return Err(Problem::conflict("invalid_transition", "Only a pending payment can be initiated.")
            .with_extra("from", payment.status())
            .with_extra("action", "initiate")
            .with_extra("allowed", Vec::<String>::new()));
    }
    match payment.text("method") {
        Some("mtn_momo" | "airtel_money") => Ok(()),
        _ => Err(Problem::field(
            "method",
            "invalid",
            "Only mobile money can be asked for; confirm other payments by hand.",
        )),
    }
}

/// The number to ask: sent now, or the payment's, or the customer's. Digits only.
fn payer_phone(cx: &mut Cx<'_, '_>, payment: &Record, input: &Input) -> Result<String> {
    let known = input.text("payer_phone").or_else(|| payment.text("payer_phone")).map(str::to_owned);
    let phone = match (known, payment.id_in("customer")) {
        (Some(phone), _) => Some(phone),
        (None, Some(customer)) => cx.find(CUSTOMERS, customer)?.and_then(|c| c.text("phone").map(str::to_owned)),
        (None, None) => None,
    };
    match phone {
        Some(phone) => Ok(phone.trim_start_matches('+').to_owned()),
        None => Err(Problem::field("payer_phone", "required", "This field is required.")),
    }
}

/// What a provider needs to know of a payment that has a reference; `document` is the number that the payer reads.
pub fn charge_of(tenant: &Tenant, payment: &Record, document: &str) -> Result<Charge> {
    let reference = payment.text("provider_ref").and_then(|text| Uuid::parse_str(text).ok());
    let reference = reference.ok_or_else(|| Problem::internal(format!("{} has no reference", payment.subject())))?;
    Ok(Charge {
        reference,
        company: tenant.company.code(),
        amount: payment.minor("amount"),
        currency: currency_of(payment)?,
        payer_phone: payment.text("payer_phone").unwrap_or_default().to_owned(),
        message: format!("{} {document}", tenant.company_name()),
        method: payment.text("method").unwrap_or_default().to_owned(),
    })
}

/// Nothing was sent: the payment is as it was, and may be initiated again.
async fn take_back(engine: &Engine, tenant: &Arc<Tenant>, id: Uuid, charge: &Charge) -> Result<()> {
    let (shared, tenant, reference) = (engine.clone(), tenant.clone(), charge.reference.to_string());
    let work = move |tx: &mut loopd_store::Tx<'_>| {
        let mut cx = Cx::new(tx, &shared, &tenant);
        let mut payment = cx.lock(PAYMENTS, id)?;
        if payment.status() != "pending" || payment.text("provider_ref") != Some(&reference) {
            return Ok(());
        }
        for field in ["provider", "provider_ref", "initiated_at"] {
            payment.set(field, Value::Null);
        }
        payment.set("sandbox", false);
        if payment.has("link") {
            // whoever holds the link tries again with a new payment
            payment.set_status("cancelled");
        }
        cx.save(&mut payment)
    };
    let view = loopd_store::View::Company(charge.company.0);
    engine.kernel.db.write(view, work).await
}

fn unavailable() -> Problem {
    Problem::new(
        Refusal::Unavailable,
        "provider_unavailable",
        "No provider of mobile money can be reached. Nothing was sent; try again later.",
    )
}

/// A random UUID (version 4), which is what MTN asks a reference to be.
fn new_reference(engine: &Engine) -> Uuid {
    let mut bytes = [0; 16];
    engine.kernel.rng.fill(&mut bytes);
    bytes[6] = 0x40 | (bytes[6] & 0x0f);
    bytes[8] = 0x80 | (bytes[8] & 0x3f);
    Uuid::from_bytes(bytes)
}
