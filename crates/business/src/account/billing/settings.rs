//! `/billing/account/`: whom a company's bills go to. `/billing/seller/`: who writes them.

use loopd_kernel::billing::seller::Seller;
use loopd_kernel::billing::{account, payment, seller};
use loopd_kernel::plan;
use loopd_store::{Reader, View};
use loopd_types::{CompanyId, Result};
use loopd_web::{Call, Operation, Reply, Schema as _, schema};
use serde_json::{Value, json};

use super::{UPDATE, VIEW};

pub(super) fn operations() -> Vec<Operation> {
    let tagged = |operation: Operation, summary: &str| operation.tag("billing").summary(summary);
    let (account, seller) = ("/api/v1/billing/account/", "/api/v1/billing/seller/");
    vec![
        tagged(Operation::get("billing_account_retrieve", account, read_account), "Read whom the bills go to")
            .tenant(None, VIEW)
            .describe("With the company's credit, its limits and the features of its plans, and the ways to pay that there are.")
            .responds(200, "The account.", account_schema()),
        tagged(
            Operation::patch("billing_account_partial_update", account, write_account),
            "Change whom the bills go to and how they are paid",
        )
        .tenant(None, UPDATE)
        .body(schema::object(account_fields()))
        .responds(200, "As it is now.", account_schema()),
        tagged(Operation::get("billing_seller_retrieve", seller, read_seller), "Read who writes the bills (superusers)")
            .superuser()
            .responds(200, "The seller.", schema::object(seller_fields())),
        tagged(
            Operation::patch("billing_seller_partial_update", seller, write_seller),
            "Change who writes the bills and how patient they are (superusers)",
        )
        .superuser()
        .body(schema::object(seller_fields()))
        .responds(200, "As it is now.", schema::object(seller_fields())),
    ]
}

fn account_fields() -> [(&'static str, Value); 7] {
    [
        ("email", schema::text(0, 254)),
        ("name", schema::text(0, 200)),
        ("address", schema::text(0, 500)),
        ("country", schema::text(0, 2)),
        ("tax_id", schema::text(0, 60)),
        ("payment_method", schema::text(0, 60)),
        ("payer", schema::text(0, 200)),
    ]
}

fn account_schema() -> Value {
    schema::object(account_fields())
        .property("payment_methods", schema::array(schema::string()))
        .property("credit", schema::array(schema::free_object()))
        .property("limits", schema::free_object())
        .property("features", schema::array(schema::string()))
}

fn seller_fields() -> [(&'static str, Value); 12] {
    let days = |most| schema::integer_between(0, most);
    [
        ("name", schema::text(0, 200)),
        ("address", schema::text(0, 500)),
        ("country", schema::text(0, 2)),
        ("tax_id", schema::text(0, 60)),
        ("email", schema::text(0, 254)),
        ("instructions", schema::text(0, 1_000)),
        ("invoice_prefix", schema::text(0, 12)),
        ("credit_note_prefix", schema::text(0, 12)),
        ("payment_days", days(365)),
        ("grace_days", days(365)),
        ("patience_days", days(3_650)),
        ("retry_days", schema::array(schema::integer_between(1, 90))),
    ]
}

/// The account as it is shown: with what the company has and may have.
fn shown(reader: &mut Reader<'_>, kernel: &loopd_kernel::Kernel, company: CompanyId) -> Result<Value> {
    let mut shown = account::get(reader, company)?.to_json();
    let methods = std::iter::once(account::MANUAL).chain(kernel.collectors().names());
    shown["payment_methods"] = methods.collect();
    let credit = payment::balances(reader, company)?.into_iter();
    shown["credit"] = credit.map(|(currency, amount)| json!({"currency": currency, "amount_minor": amount})).collect();
    shown["limits"] = plan::limits(reader, company)?.to_json();
    shown["features"] = plan::features(reader, company)?.into_iter().collect();
    Ok(shown)
}

async fn read_account(call: Call) -> Result<Reply> {
    let (kernel, tenant) = (call.kernel.clone(), call.tenant()?.clone());
    let read = move |reader: &mut Reader<'_>| shown(reader, &kernel, tenant.company);
    Reply::json(200, &call.kernel.db.read(call.tenant()?.view(), read).await?)
}

async fn write_account(call: Call) -> Result<Reply> {
    let (kernel, tenant, body) = (call.kernel.clone(), call.tenant()?.clone(), call.json()?);
    call.commit(tenant.view(), move |tx| {
        account::update(tx, &kernel, &tenant, body.clone())?;
        Reply::json(200, &shown(tx, &kernel, tenant.company)?)
    })
    .await
}

fn seller_reply(seller: &Seller) -> Result<Reply> {
    Reply::json(200, seller)
}

async fn read_seller(call: Call) -> Result<Reply> {
    seller_reply(&call.kernel.db.read(View::System, seller::get).await?)
}

async fn write_seller(call: Call) -> Result<Reply> {
    let (kernel, actor, body) = (call.kernel.clone(), call.caller.actor(), call.json()?);
    call.commit(View::System, move |tx| seller_reply(&seller::update(tx, &kernel, &actor, body.clone())?)).await
}
