//! Receipts: one for each payment that succeeded, and the event that a fiscal device or service listens to.

use std::collections::BTreeMap;

use loopd_kernel::event;
use loopd_types::render_decimal;
use serde_json::{Value as Json, json};

use super::{CUSTOMERS, RECEIPTS, currency_of, decimal_words, store, workspace_of};
use crate::define::*;
use crate::modules::text_of;

/// The hook of a fiscal integration (in Rwanda the revenue authority's EBM, by VSDC or OSDC).
const ISSUED: &str = "payments.receipt.issued";

/// Issues the receipt of a payment. `invoice` is the payment's, as it is now, lines loaded.
pub fn issue(cx: &mut Cx<'_, '_>, payment: &Record, invoice: Option<&Record>) -> Result<()> {
    let currency = currency_of(payment)?;
    let customer = match payment.id_in("customer") {
        Some(id) => cx.find(CUSTOMERS, id)?,
        None => None,
    };
    let receipt = cx.create(
        RECEIPTS,
        &json!({
            "payment": payment.id().to_string(), "invoice": text_of(payment.id_in("invoice")), "customer": text_of(payment.id_in("customer")),
            "method": payment.text("method"), "currency": currency.code(),
            "amount": decimal_words(payment.minor("amount"), currency), "sandbox": payment.is("sandbox"),
            "issued_at": cx.now().to_string(), "workspace": workspace_of(payment),
        }),
    )?;
    let (legal_name, tax_id, country) = store::seller(cx.tx, cx.tenant.company)?;
    let payload = json!({
        "receipt": receipt.to_json()?,
        "payment": payment.to_json()?,
        "invoice": invoice.map(Record::to_json).transpose()?,
        "taxes": invoice.map(taxes).transpose()?,
        "customer": customer.map(|customer| customer.to_json()).transpose()?,
        "seller": {
            "company": cx.tenant.code(), "name": cx.tenant.company_name(), "legal_name": legal_name, "tax_id": tax_id,
            "country": country, "currency": cx.tenant.currency(), "timezone": cx.tenant.timezone(),
        },
    });
    event::emit(cx.tx, cx.engine.kernel.as_ref(), cx.tenant, ISSUED, &receipt.subject(), payload.to_string())?;
    Ok(())
}

/// What was taxed at which rate, as fiscal receipts list it: `[{"rate": "18", "taxable": "1000", "tax": "180"}]`.
fn taxes(invoice: &Record) -> Result<Json> {
    let currency = currency_of(invoice)?;
    let mut rates: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
    for line in invoice.lines("lines") {
        let sums = rates.entry(line.minor("tax_rate")).or_default();
        sums.0 += line.minor("subtotal") - line.minor("discount");
        sums.1 += line.minor("tax_amount");
    }
    let listed = rates.into_iter().map(|(rate, (taxable, tax))| {
        let rate = render_decimal(rate, PERCENT_SCALE);
        json!({
            "rate": rate.trim_end_matches('0').trim_end_matches('.'),
            "taxable": decimal_words(taxable, currency),
            "tax": decimal_words(tax, currency),
        })
    });
    Ok(Json::Array(listed.collect()))
}

/// Counts prints beyond the first, as fiscal rules want them marked.
pub fn reprint(_: &mut Cx<'_, '_>, receipt: &mut Record, _: &Input) -> Result<()> {
    let copies = receipt.minor("copies") + 1;
    receipt.set("copies", copies);
    Ok(())
}
