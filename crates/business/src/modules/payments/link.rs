//! Payment links: an address that says what to pay, for whoever holds it.

use std::sync::Arc;

use loopd_kernel::{Kernel, Tenant, limit::Rate};
use loopd_types::{CompanyCode, Currency, random_token, sha256_hex};
use loopd_web::{Call, Reply};
use serde_json::{Value as Json, json};

use super::initiate::{Start, ask_payer};
use super::mobile_money::Providers;
use super::usdc::{self, Choice};
use super::{INVOICES, LINKS, METHODS, PAYMENTS, currency_of, decimal_words, invoice, totals, workspace_of};
use crate::define::*;
use crate::modules::door::is_open;
use crate::modules::text_of;

/// Bytes of chance in a token: nobody guesses 24 of them.
const TOKEN_BYTES: usize = 24;
/// How often a link has somebody asked, and how often one telephone is asked by links, whoever calls: each asking rings somebody's telephone,
/// and they need not be the caller.
const LINK_RATE: Rate = Rate::per_minute("payment-link", 5);
const PHONE_RATE: Rate = Rate::per_minute("payment-link-phone", 3);
/// Digits at a number's end that tell it apart, country and trunk prefix left out.
const NATIONAL_DIGITS: usize = 9;

pub fn prepare(cx: &mut Cx<'_, '_>, link: &mut Record) -> Result<()> {
    link.set("token", random_token(cx.engine.kernel.rng.as_ref(), TOKEN_BYTES));
    let Some(id) = link.id_in("invoice") else { return Ok(()) };
    let invoice = cx.get(INVOICES, id)?;
    // the invoice says how much, now and later
    link.set("currency", invoice.text("currency"));
    link.set("amount", Value::Null);
    Ok(())
}

pub fn check(_: &mut Cx<'_, '_>, link: &mut Record) -> Result<()> {
    let amount = link.int("amount");
    if link.has("invoice") || amount.is_some_and(|amount| (1..totals::MOST_MINOR).contains(&amount)) {
        return Ok(());
    }
    let code = if amount.is_none() { "required" } else { "invalid" };
    Err(Problem::field("amount", code, "Give an invoice, or an amount of more than zero."))
}

/// What a link asks for, as anybody may see it who has it.
///
/// # Errors
/// 404 for unknown, inactive and expired links and for invoices that cannot be paid, all alike.
pub fn page(viewer: &mut Viewer<'_, '_>, input: &Input) -> Result<Json> {
    let which = Where::new().eq("token", input.path("token")).eq("status", "active").limit(1);
    let link = viewer.select(LINKS, &which)?.into_iter().next().ok_or_else(Problem::not_found)?;
    if link.time("expires_at").is_some_and(|end| end <= viewer.now()) {
        return Err(Problem::not_found());
    }
    let (mut amount, mut number) = (link.minor("amount"), None);
    let mut by_usdc = false;
    if let Some(id) = link.id_in("invoice") {
        let invoice = viewer.get(INVOICES, id)?;
        if !matches!(invoice.status(), "open" | "partially_paid" | "paid") {
            return Err(Problem::not_found());
        }
        amount = invoice::balance(&invoice).max(0);
        number = Some(invoice.number().to_owned());
        let choice = Choice::read(&loopd_kernel::company::settings(viewer.reader, viewer.company(), "payments")?);
        by_usdc =
            choice.payee().is_ok() && choice.micros(amount, currency_of(&invoice)?, viewer.tenant.currency()).is_ok();
    }
    let methods: Vec<&str> = METHODS.into_iter().filter(|method| by_usdc || *method != usdc::METHOD).collect();
    let currency = currency_of(&link)?;
    Ok(json!({
        "company": viewer.tenant.code(), "company_name": viewer.tenant.company_name(), "title": link.title(),
        "description": link.description(), "invoice_number": number, "amount": decimal_words(amount, currency),
        "currency": currency.code(), "is_paid": number.is_some() && amount == 0, "methods": methods,
        "expires_at": link.time("expires_at").map(|end| end.to_string()),
    }))
}

/// What the body of [`pay`] may hold.
pub fn pay_inputs() -> Vec<Field> {
    vec![
        choice("method", &["mtn_momo", "airtel_money"]).default("mtn_momo").help("Which mobile money."),
        phone("payer_phone")
            .required()
            .help("Whose mobile money is asked; with the country's code.")
            .example("250788123456"),
    ]
}

/// `POST …/payment-links/{token}/pay/`: whoever holds the link has a telephone asked for the money.
pub async fn pay(providers: Providers, engine: Engine, call: Call) -> Result<Reply> {
    let code = CompanyCode::parse(call.param("company")).ok_or_else(Problem::not_found)?;
    let access = engine.kernel.company_access(code.0).await?;
    let open = access.filter(|access| is_open(&engine.registry, access, "payments", engine.kernel.now()));
    let access = open.ok_or_else(Problem::not_found)?;
    let mut tenant = Tenant::system(access, "a payment link");
    tenant.actor.origin = Some(call.caller.origin.clone());
    let tenant = Arc::new(tenant);
    let input = Input::check(&pay_inputs(), call.json_ref()?, Currency::parse(tenant.currency()))?;
    let token = call.param("token").to_owned();
    let phone = input.text("payer_phone").unwrap_or_default().trim_start_matches('+').to_owned();
    require_budget(&engine.kernel, &token, &phone).await?;
    let start: Start = Box::new(move |cx| {
        let which = Where::new().eq("token", token.as_str()).eq("status", "active").limit(1);
        let link = cx.select(LINKS, &which)?.into_iter().next().ok_or_else(Problem::not_found)?;
        if link.time("expires_at").is_some_and(|end| end <= cx.now()) {
            return Err(Problem::not_found());
        }
        let currency = currency_of(&link)?;
        let mut body = json!({
            "title": link.title(), "link": link.id().to_string(), "invoice": text_of(link.id_in("invoice")),
            "currency": currency.code(), "method": input.text("method"), "payer_phone": phone,
            "workspace": workspace_of(&link),
        });
        if !link.has("invoice") {
            body["amount"] = json!(decimal_words(link.minor("amount"), currency));
        }
        let made = cx.create(PAYMENTS, &body)?;
        Ok((cx.lock(PAYMENTS, made.id())?, phone.clone()))
    });
    ask_payer(providers, engine, tenant, &call, start, |payment| {
        let currency = currency_of(payment)?;
        Reply::json(
            201,
            &json!({
                "number": payment.number(), "status": payment.status(), "sandbox": payment.is("sandbox"),
                "amount": decimal_words(payment.minor("amount"), currency), "currency": currency.code(),
            }),
        )
    })
    .await
}

/// Counts one asking of a link and of a telephone.
///
/// # Errors
/// 429 `throttled` when either has had its share of this minute.
async fn require_budget(kernel: &Kernel, token: &str, phone: &str) -> Result<()> {
    // a telephone is the same however its country is written in front of it
    let national = &phone[phone.len().saturating_sub(NATIONAL_DIGITS)..];
    for (rate, subject) in [(LINK_RATE, token), (PHONE_RATE, national)] {
        // neither belongs into the keys of a shared counter as it is
        kernel.limits.hit(rate, &sha256_hex(subject.as_bytes()), kernel.now()).await.require()?;
    }
    Ok(())
}

/// What [`pay`] answers.
pub fn pay_schema() -> Json {
    let text = json!({"type": "string"});
    json!({
        "type": "object",
        "required": ["number", "status", "sandbox", "amount", "currency"],
        "properties": {"number": text, "status": text, "sandbox": {"type": "boolean"},
            "amount": {"type": "string", "format": "decimal"}, "currency": text},
    })
}

/// What [`page`] answers.
pub fn page_schema() -> Json {
    let text = json!({"type": "string"});
    json!({
        "type": "object",
        "required": ["company", "company_name", "title", "description", "invoice_number", "amount", "currency", "is_paid", "methods",
            "expires_at"],
        "properties": {
            "company": text, "company_name": text, "title": text, "description": text,
            "invoice_number": {"type": ["string", "null"]}, "amount": {"type": "string", "format": "decimal"}, "currency": text,
            "is_paid": {"type": "boolean"}, "methods": {"type": "array", "items": text},
            "expires_at": {"type": ["string", "null"], "format": "date-time"},
        },
    })
}
