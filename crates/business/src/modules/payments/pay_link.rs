//! `POST /payments/invoices/{id}/pay-link/`: the address at which an invoice is paid in USDC, by people and by agents.

use loopd_kernel::Tenant;
use loopd_types::{Currency, DAY_US};
use loopd_web::{Call, Reply};
use serde_json::{Value as Json, json};

use super::books::Terms;
use super::usdc::{self, Choice};
use super::{INVOICES, LINKS, currency_of, decimal_words, invoice, slip, workspace_of};
use crate::define::*;
use crate::engine::read::require_may_change;
use crate::engine::update::find_changeable;

/// How long a new link can be used when nobody says otherwise.
const DAYS: i64 = 30;

/// What the body may hold.
pub fn inputs() -> Vec<Field> {
    vec![date_time("expires_at").help("Until when it can be used; 30 days from now when it is new and none is given.")]
}

/// Whether this caller can make one of this invoice, as far as its own row tells.
///
/// # Errors
/// 403 `workspace_access_denied`; 409 `invoice_not_open`.
pub fn ready(tenant: &Tenant, invoice: &Record) -> Result<()> {
    require_may_change(tenant, invoice)?;
    if matches!(invoice.status(), "open" | "partially_paid") { Ok(()) } else { Err(slip::not_open(invoice.status())) }
}

pub async fn make(engine: Engine, call: Call) -> Result<Reply> {
    let (tenant, id) = (call.tenant()?.clone(), call.id()?);
    let input = Input::check(&inputs(), call.json_ref()?, Currency::parse(tenant.currency()))?;
    let expires_at = input.time("expires_at");
    if expires_at.is_some_and(|end| end <= engine.kernel.now()) {
        return Err(Problem::field("expires_at", "invalid", "Give a moment that is to come."));
    }
    let kernel = engine.kernel.clone();
    let (shared, company) = (engine.clone(), tenant.clone());
    let read = move |reader: &mut loopd_store::Reader<'_>| {
        let viewer = &mut Viewer::new(reader, &shared, &company);
        let invoice = viewer.get(INVOICES, id)?;
        ready(&company, &invoice)?;
        let choice = Choice::read(&loopd_kernel::company::settings(viewer.reader, company.company, "payments")?);
        let terms =
            Terms { link: id, amount: invoice::balance(&invoice), currency: currency_of(&invoice)?.code().to_owned() };
        slip::ask(&company, &choice, &invoice, terms, String::new())
    };
    let ask = kernel.db.read(tenant.view(), read).await?;
    // Whether it can be paid at all is said now, not to the customer.
    let offer = slip::collector(&kernel)?.offer(&kernel, &ask, None).await?;
    let (base, code) = (call.base_url(), tenant.code().to_owned());
    call.commit(tenant.view(), move |tx| {
        let cx = &mut Cx::new(tx, &engine, &tenant);
        let runtime = engine.registry.find(INVOICES).ok_or_else(Problem::not_found)?.clone();
        let invoice = find_changeable(cx, &runtime, id)?;
        ready(&tenant, &invoice)?;
        // Two calls at once: the second waits here, and finds the link of the first.
        invoice::lock(cx, id)?;
        let link = current(cx, &invoice, expires_at)?;
        let (currency, token) = (currency_of(&invoice)?, link.text("token").unwrap_or_default());
        let answer = json!({
            "id": link.id().to_string(), "number": link.number(), "status": link.status(), "token": token,
            "url": format!("{base}/pay/{code}-{token}/"), "expires_at": link.time("expires_at").map(|end| end.to_string()),
            "invoice": invoice.id().to_string(), "amount_due": decimal_words(invoice::balance(&invoice).max(0), currency),
            "currency": currency.code(), "usdc": usdc::words(ask.micros), "network": offer.network, "recipient": offer.recipient,
            "sandbox": offer.is_sandbox,
        });
        Reply::json(200, &answer)
    })
    .await
}

/// The invoice's link: the one that there is and that can be used, else a new one. Those that are over are switched off.
fn current(cx: &mut Cx<'_, '_>, invoice: &Record, expires_at: Option<Timestamp>) -> Result<Record> {
    let which = Where::new().eq("invoice", invoice.id()).eq("status", "active").order_by_descending("created_at");
    let mut known = None;
    for link in cx.select(LINKS, &which)? {
        match link.time("expires_at") {
            Some(end) if end <= cx.now() => drop(cx.act(LINKS, link.id(), "deactivate", &json!({}))?),
            _ => known = known.or(Some(link)),
        }
    }
    match (known, expires_at) {
        (Some(link), None) => Ok(link),
        (Some(link), Some(end)) if link.time("expires_at") == Some(end) => Ok(link),
        (Some(link), Some(end)) => cx.update(LINKS, link.id(), &json!({"expires_at": end.to_string()})),
        (None, end) => {
            let end = end.unwrap_or_else(|| cx.now().plus(DAYS * DAY_US));
            let body = json!({
                "title": invoice.title(), "invoice": invoice.id().to_string(), "currency": invoice.text("currency"),
                "expires_at": end.to_string(), "workspace": workspace_of(invoice),
            });
            cx.create(LINKS, &body)
        }
    }
}

/// What [`make`] answers.
pub fn schema() -> Json {
    let (text, id) = (json!({"type": "string"}), json!({"type": "string", "format": "uuid"}));
    json!({
        "type": "object",
        "required": ["id", "number", "status", "token", "url", "expires_at", "invoice", "amount_due", "currency", "usdc", "network",
            "recipient", "sandbox"],
        "properties": {
            "id": id, "number": text, "status": text, "token": text, "url": {"type": "string", "format": "uri"},
            "expires_at": {"type": ["string", "null"], "format": "date-time"}, "invoice": id,
            "amount_due": {"type": "string", "format": "decimal"}, "currency": text, "usdc": {"type": "string", "format": "decimal"},
            "network": text, "recipient": text, "sandbox": {"type": "boolean"},
        },
    })
}
