//! `/billing/invoices/`, `/billing/payments/`, `/billing/usage/`: a company's own, for its owner; what only the operator may do asks for a
//! superuser in the company.

use std::sync::Arc;

use loopd_kernel::billing::{bill, payment, usage};
use loopd_kernel::listing::{Conditions, ListQuery};
use loopd_store::{Reader, Value as Sql, View};
use loopd_types::{CompanyId, Problem, Result, Uuid};
use loopd_web::{Call, Content, Operation, Reply, ResponseDoc, Schema as _, schema};
use serde_json::Value;

use super::{UPDATE, VIEW, print};
use loopd_web::rows::{Rows, nothing, system_view};

pub(in crate::account) const INVOICES: Rows = Rows::core("billing/invoices", "BillingInvoice", &bill::LISTING);
pub(in crate::account) const PAYMENTS: Rows = Rows::core("billing/payments", "BillingPayment", &payment::LISTING);
pub(in crate::account) const USAGE: Rows = Rows::core("billing/usage", "BillingUsage", &usage::LISTING);

pub(super) fn operations() -> Vec<Operation> {
    let minor = || schema::integer_between(1, 1_000_000_000_000_000);
    let line = schema::object([
        ("description", schema::text(1, 300)),
        ("quantity", schema::integer_between(1, 1_000_000)),
        ("unit_minor", schema::integer_between(0, 1_000_000_000)),
    ])
    .required(["description", "unit_minor"]);
    let create = Operation::post(INVOICES.operation_id("create"), INVOICES.url(), nothing);
    let mut all = vec![
        INVOICES.list_of_companies(),
        retrieve(),
        pdf(),
        PAYMENTS.list_of_companies(),
        USAGE.list_of_companies(),
        INVOICES.write(
            INVOICES.document(create, "Draft a bill of your own lines (superusers)").tenant(None, UPDATE).body(
                schema::object([("currency", schema::text(3, 4)), ("lines", schema::array(line))]).required(["lines"]),
            ),
            201,
            bill::create,
        ),
        INVOICES.write_item(
            INVOICES.action_document("pay", "Have a bill collected now").tenant(None, UPDATE).describe(
                "By the account's payment method. The attempt is written down, then made; what became of it stands in \
                     `/billing/payments/`. 409 `payment_running` while one is under way.",
            ),
            |tx, kernel, tenant, id, _| payment::pay(tx, kernel, tenant, id),
        ),
        INVOICES.write_item_in(
            system_view,
            INVOICES
                .action_document("mark-paid", "Note money that came by bank or hand (superusers)")
                .tenant(None, UPDATE)
                .optional_body(schema::object([
                    ("amount_minor", minor()),
                    ("reference", schema::text(0, 120)),
                    ("note", schema::text(0, 300)),
                ])),
            payment::mark_paid,
        ),
    ];
    for (action, summary) in [
        ("finalize", "Open a draft and give it its number (superusers)"),
        ("void", "Void a bill of which nothing is settled (superusers)"),
        ("mark-uncollectible", "Write a bill off (superusers)"),
    ] {
        let document = INVOICES.action_document(action, summary).tenant(None, UPDATE);
        all.push(INVOICES.write_item_in(system_view, document, move |tx, kernel, tenant, id, _| {
            bill::act(tx, kernel, tenant, id, action)
        }));
    }
    all.push(credit_note(minor()));
    all
}

fn credit_note(minor: Value) -> Operation {
    let path = format!("{}credit-note/", INVOICES.item_url());
    let operation = Operation::post(INVOICES.operation_id("credit_note"), path, write_note);
    INVOICES
        .document(operation, "Take back a bill or a part of it (superusers)")
        .describe("All that is left of it, unless `amount_minor` is given. What was paid already becomes the company's credit.")
        .tenant(None, UPDATE)
        .body(schema::object([("amount_minor", minor), ("reason", schema::text(1, 300))]).required(["reason"]))
        .responds(201, "The credit note.", INVOICES.row())
}

async fn write_note(call: Call) -> Result<Reply> {
    let (kernel, tenant, body, id) = (call.kernel.clone(), call.tenant()?.clone(), call.json()?, call.id()?);
    call.commit(View::System, move |tx| {
        let note = bill::credit_note(tx, &kernel, &tenant, id, body.clone())?;
        let row = bill::LISTING.find(tx, note, Some(&[tenant.company]), Conditions::default())?;
        Ok(Reply::json_bytes(201, row.ok_or_else(Problem::not_found)?))
    })
    .await
}

/// A bill with its lines.
fn whole_schema() -> Value {
    loopd_web::rows::row_schema(&bill::LISTING)
        .property("lines", schema::array(loopd_web::rows::row_schema(&bill::LINES)))
}

fn retrieve() -> Operation {
    let operation = Operation::get(INVOICES.operation_id("retrieve"), INVOICES.item_url(), |call: Call| async move {
        let (id, companies) = (call.id()?, companies(&call)?);
        let view = View::Companies(companies.clone());
        let read = move |reader: &mut Reader<'_>| whole(reader, id, &companies);
        let found = call.kernel.db.read(view, read).await?;
        Ok(Reply::json_bytes(200, found.ok_or_else(Problem::not_found)?))
    });
    INVOICES.document(operation, "Read a bill with its lines").union(None, VIEW).responds(
        200,
        "The bill.",
        whole_schema(),
    )
}

fn pdf() -> Operation {
    let path = format!("{}pdf/", INVOICES.item_url());
    let operation = Operation::get(INVOICES.operation_id("pdf"), path, |call: Call| async move {
        let (id, companies) = (call.id()?, companies(&call)?);
        let view = View::Companies(companies.clone());
        let read = move |reader: &mut Reader<'_>| whole(reader, id, &companies);
        let found = call.kernel.db.read(view, read).await?.ok_or_else(Problem::not_found)?;
        let bill: Value = serde_json::from_slice(&found).map_err(Problem::internal)?;
        let file = print::render(&bill).ok_or_else(|| Problem::internal("a bill in no currency"))?;
        let name = bill["number"].as_str().unwrap_or("draft").to_owned();
        Ok(Reply::bytes(200, "application/pdf", file).as_download(&format!("{name}.pdf")))
    });
    let page = Content::of("application/pdf", schema::string().with("format", "binary"));
    INVOICES
        .document(operation, "Print a bill")
        .union(None, VIEW)
        .response(ResponseDoc::empty(200, "The bill on paper; the same bill is the same bytes every time.").with(page))
}

fn companies(call: &Call) -> Result<Arc<[CompanyId]>> {
    Ok(call.scope()?.iter().map(|tenant| tenant.company).collect())
}

/// The JSON of a bill and of its lines.
fn whole(reader: &mut Reader<'_>, id: Uuid, companies: &[CompanyId]) -> Result<Option<Vec<u8>>> {
    let Some(mut row) = bill::LISTING.find(reader, id, Some(companies), Conditions::default())? else {
        return Ok(None);
    };
    let query = ListQuery { page_size: 1_000, ..ListQuery::default() };
    let of_bill = Conditions::default().and("l.invoice_id = {}", [Sql::from(id)]);
    let lines = bill::LINES.list(reader, &query, Some(companies), of_bill)?;
    row.pop();
    row.extend_from_slice(b",\"lines\":[");
    row.extend_from_slice(&lines.rows);
    row.extend_from_slice(b"]}");
    Ok(Some(row))
}
