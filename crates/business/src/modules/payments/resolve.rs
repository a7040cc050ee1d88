//! Finding out what became of a request for money: by the provider's callback, or by asking. Whoever comes first decides; the rest find
//! the payment decided and change nothing.

use std::sync::Arc;

use loopd_kernel::job::{self, Job, NewJob, Runner};
use loopd_kernel::{Kernel, Tenant};
use loopd_types::{CompanyId, HOUR_US, MINUTE_US, SECOND_US};
use loopd_web::{Call, Reply};
use serde_json::json;

use super::mobile_money::{Outcome, Providers, Trouble};
use super::{INVOICES, PAYMENTS, initiate, invoice, payment, store};
use crate::define::*;

/// The kind of job that asks what became of a payment.
const POLL_JOB: &str = "payments.poll";
/// First asking after this; then twice as long each time, up to an hour.
const FIRST_POLL_US: i64 = 30 * SECOND_US;
/// After so many askings (about a week) only a callback or a person can resolve it.
const MOST_POLLS: i64 = 174;
/// A provider that has not heard of a request after this long never will.
const LOST_AFTER_US: i64 = 10 * MINUTE_US;

/// Writes the job that asks for the `attempt`-th time.
pub fn ask_later(cx: &mut Cx<'_, '_>, payment: Uuid, reference: &str, attempt: i64) -> Result<()> {
    let doublings = u32::try_from(attempt - 1).unwrap_or(0).min(12);
    let pause = (FIRST_POLL_US << doublings).min(HOUR_US);
    let key = format!("{POLL_JOB}:{reference}:{attempt}");
    let job = NewJob {
        kind: POLL_JOB,
        company: cx.company(),
        payload: json!({"payment": payment.to_string(), "reference": reference, "attempt": attempt}).to_string(),
        run_at: cx.now().plus(pause),
        unique_key: Some(&key),
    };
    Ok(job::enqueue(cx.tx, cx.engine.kernel.as_ref(), &job)?)
}

/// Lets `runner` ask for undecided payments and watch due dates.
pub fn register_jobs(runner: &mut Runner, engine: &Engine, providers: &Providers) {
    let (shared, known) = (engine.registry.clone(), providers.clone());
    runner.register(
        POLL_JOB,
        Arc::new(move |kernel, job| {
            let engine = Engine::new(kernel, shared.clone());
            Box::pin(poll(engine, known.clone(), job))
        }),
    );
    let shared = engine.registry.clone();
    runner.register(
        invoice::OVERDUE_JOB,
        Arc::new(move |kernel, job| {
            let engine = Engine::new(kernel, shared.clone());
            Box::pin(mark_overdue(engine, job))
        }),
    );
}

/// The system acting in a company for a provider; `None` when the company is gone.
async fn system(kernel: &Arc<Kernel>, company: CompanyId) -> Result<Option<Arc<Tenant>>> {
    let access = kernel.company_access(company).await?;
    Ok(access.map(|access| Arc::new(Tenant::system(access, "mobile money"))))
}

async fn poll(engine: Engine, providers: Providers, job: Job) -> Result<()> {
    let text = |name: &str| job.payload[name].as_str().unwrap_or_default().to_owned();
    let (id, reference) = (Uuid::parse_str(&text("payment")).map_err(Problem::internal)?, text("reference"));
    let attempt = job.payload["attempt"].as_i64().unwrap_or(1);
    let Some(tenant) = system(&engine.kernel, job.company).await? else { return Ok(()) };
    let outcome = match ask(&engine, &providers, &tenant, id, &reference).await {
        Ok(Some(outcome)) => outcome,
        Ok(None) => return Ok(()),
        // A provider in trouble is asked again like one that does not know yet: jobs that fail end after twelve attempts, this one must not.
        Err(problem) if problem.code() == UNAVAILABLE => Outcome::Pending,
        Err(problem) => return Err(problem),
    };
    let (kernel, view) = (engine.kernel.clone(), tenant.view());
    let work = move |tx: &mut loopd_store::Tx<'_>| {
        let mut cx = Cx::new(tx, &engine, &tenant);
        if conclude(&mut cx, id, &reference, &outcome)? {
            return Ok(());
        }
        if attempt >= MOST_POLLS {
            tracing::error!(payment = %id, "a payment is undecided after many askings; look at its provider's own records");
            return Ok(());
        }
        ask_later(&mut cx, id, &reference, attempt + 1)
    };
    kernel.db.write(view, work).await
}

/// `POST /payments/providers/{name}/callback/`: a hint to ask now. Safe to repeat: a decided payment stays as it is.
pub async fn callback(providers: Providers, engine: Engine, call: Call) -> Result<Reply> {
    let provider = providers.find(call.param("name")).ok_or_else(Problem::not_found)?;
    let (company, reference) = provider.read_callback(call.json_ref()?)?;
    let tenant = system(&engine.kernel, company.0).await?.ok_or_else(Problem::not_found)?;
    let runtime = engine.registry.find(PAYMENTS).ok_or_else(Problem::not_found)?.clone();
    let (name, reference) = (provider.name(), reference.to_string());
    let wanted = reference.clone();
    let found = engine
        .kernel
        .db
        .read(tenant.view(), move |reader| store::find_by_reference(reader, &runtime.table, company.0, name, &wanted));
    let id = found.await?.ok_or_else(Problem::not_found)?;
    let outcome = ask(&engine, &providers, &tenant, id, &reference).await?;
    call.commit(tenant.view(), move |tx| {
        if let Some(outcome) = &outcome {
            conclude(&mut Cx::new(tx, &engine, &tenant), id, &reference, outcome)?;
        }
        Reply::json(200, &json!({"received": true}))
    })
    .await
}

/// What the provider says; `None` when there is nothing left to find out.
///
/// # Errors
/// 503 `provider_unavailable` when it does not say.
async fn ask(
    engine: &Engine,
    providers: &Providers,
    tenant: &Arc<Tenant>,
    id: Uuid,
    reference: &str,
) -> Result<Option<Outcome>> {
    let (shared, company) = (engine.clone(), tenant.clone());
    let read = move |reader: &mut loopd_store::Reader<'_>| Viewer::new(reader, &shared, &company).find(PAYMENTS, id);
    let Some(payment) = engine.kernel.db.read(tenant.view(), read).await? else { return Ok(None) };
    if payment.text("provider_ref") != Some(reference) || !may_still_change(&payment) {
        return Ok(None);
    }
    let charge = initiate::charge_of(tenant, &payment, payment.number())?;
    let Some(provider) = providers.find(payment.text("provider").unwrap_or_default()) else {
        return Err(unavailable("its provider is not configured"));
    };
    match provider.status(&charge).await {
        Ok(outcome) => Ok(Some(outcome)),
        Err(Trouble::Refused { reason, .. } | Trouble::Unreachable(reason) | Trouble::Unclear(reason)) => {
            Err(unavailable(&reason))
        }
    }
}

const UNAVAILABLE: &str = "provider_unavailable";

fn unavailable(reason: &str) -> Problem {
    tracing::warn!(reason, "a provider of mobile money does not say what became of a payment");
    let words = "The provider does not say what became of the payment; it will be asked again.";
    Problem::new(loopd_types::Kind::Unavailable, UNAVAILABLE, words).with_cause(reason)
}

/// A provider may take money after it said that it would not: then the payment succeeded after all.
pub fn may_still_change(payment: &Record) -> bool {
    matches!(payment.status(), "pending" | "failed" | "expired")
}

/// Records an outcome, once. Answers whether the payment is decided.
fn conclude(cx: &mut Cx<'_, '_>, id: Uuid, reference: &str, outcome: &Outcome) -> Result<bool> {
    let mut payment = cx.lock(PAYMENTS, id)?;
    let is_pending = payment.status() == "pending";
    if payment.text("provider_ref") != Some(reference) || !may_still_change(&payment) {
        return Ok(true);
    }
    match outcome {
        Outcome::Pending => Ok(!is_pending),
        Outcome::Unknown => {
            let asked_at = payment.time("initiated_at").unwrap_or_default();
            if is_pending && cx.now() >= asked_at.plus(LOST_AFTER_US) {
                end(cx, &mut payment, "failed", "not_received", "The provider never got the request.")?;
                return Ok(true);
            }
            Ok(!is_pending)
        }
        Outcome::Succeeded { transaction } => {
            // before anything is written: see the order of locks in `payment`
            if let Some(invoice) = payment.id_in("invoice") {
                cx.lock(INVOICES, invoice)?;
            }
            payment.set("provider_transaction", transaction.as_str());
            payment.set("failure_code", Value::Null);
            payment.set("failure_reason", Value::Null);
            payment.set("succeeded_at", cx.now());
            payment.set_status("succeeded");
            cx.save(&mut payment)?;
            payment::settle(cx, &payment)?;
            Ok(true)
        }
        Outcome::Failed { code, reason } if is_pending => {
            end(cx, &mut payment, "failed", code, reason)?;
            Ok(true)
        }
        Outcome::Expired if is_pending => {
            end(cx, &mut payment, "expired", "expired", "The payer did not answer in time.")?;
            Ok(true)
        }
        Outcome::Failed { .. } | Outcome::Expired => Ok(true),
    }
}

/// The provider refused at once.
pub fn fail(cx: &mut Cx<'_, '_>, id: Uuid, reference: &str, code: &str, reason: &str) -> Result<()> {
    let outcome = Outcome::Failed { code: code.to_owned(), reason: reason.to_owned() };
    conclude(cx, id, reference, &outcome).map(|_| ())
}

pub fn end(cx: &mut Cx<'_, '_>, payment: &mut Record, status: &str, code: &str, reason: &str) -> Result<()> {
    let shortened = |text: &str, most: usize| text.chars().take(most).collect::<String>();
    payment.set("failure_code", shortened(code, 120));
    payment.set("failure_reason", shortened(reason, 500));
    payment.set_status(status);
    cx.save(payment)
}

/// The due date of an invoice is over: `is_overdue` becomes true, and `payments.invoices.overdue` is told.
async fn mark_overdue(engine: Engine, job: Job) -> Result<()> {
    let id = job.payload["invoice"].as_str().and_then(|text| Uuid::parse_str(text).ok());
    let (Some(id), Some(tenant)) = (id, system(&engine.kernel, job.company).await?) else { return Ok(()) };
    let (kernel, view) = (engine.kernel.clone(), tenant.view());
    let work = move |tx: &mut loopd_store::Tx<'_>| {
        let mut cx = Cx::new(tx, &engine, &tenant);
        if cx.find(INVOICES, id)?.is_none() {
            return Ok(());
        }
        let mut invoice = cx.lock(INVOICES, id)?;
        let was_overdue = invoice.is("is_overdue");
        // the check before every write decides; without a change nothing is written
        cx.save(&mut invoice)?;
        if !was_overdue && invoice.is("is_overdue") {
            let told = invoice.to_json()?;
            cx.emit(&invoice, "overdue", &told)?;
        }
        Ok(())
    };
    kernel.db.write(view, work).await
}
