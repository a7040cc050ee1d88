//! Payment links: an address that says what to pay, for whoever holds it.

use loopd_types::random_token;
use serde_json::{Value as Json, json};

use super::{INVOICES, LINKS, METHODS, currency_of, decimal_words, invoice, totals};
use crate::define::*;

/// Bytes of chance in a token: nobody guesses 24 of them.
const TOKEN_BYTES: usize = 24;

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
    if let Some(id) = link.id_in("invoice") {
        let invoice = viewer.get(INVOICES, id)?;
        if !matches!(invoice.status(), "open" | "partially_paid" | "paid") {
            return Err(Problem::not_found());
        }
        amount = invoice::balance(&invoice).max(0);
        number = Some(invoice.number().to_owned());
    }
    let currency = currency_of(&link)?;
    Ok(json!({
        "company": viewer.tenant.code(), "company_name": viewer.tenant.company_name(), "title": link.title(),
        "description": link.description(), "invoice_number": number, "amount": decimal_words(amount, currency),
        "currency": currency.code(), "is_paid": number.is_some() && amount == 0, "methods": METHODS,
        "expires_at": link.time("expires_at").map(|end| end.to_string()),
    }))
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
