//! `/company-exports/`: all that a company owns as one archive, for its owner. `kernel/transfer` makes it.

use http::header::LOCATION;
use loopd_kernel::listing::Conditions;
use loopd_kernel::transfer::ordered;
use loopd_types::{Problem, Result};
use loopd_web::{Call, Operation, Reply, ResponseDoc, schema};

use crate::files::{deliver, link};
use loopd_web::rows::Rows;

pub(super) const EXPORTS: Rows = Rows::core("company-exports", "CompanyExport", &ordered::LISTING);

pub fn operations() -> Vec<Operation> {
    let url = EXPORTS.item_url();
    let op = |operation: Operation, verb: &str, summary: &str| {
        EXPORTS.document(operation, summary).tenant(None, &EXPORTS.permission(verb))
    };
    let not_ready = |operation: Operation| {
        operation.responds(409, "`export_not_ready`", schema::component("Error")).responds(
            410,
            "`export_expired`",
            schema::component("Error"),
        )
    };
    let all = vec![
        EXPORTS.list_of_companies(),
        EXPORTS.retrieve_in_companies(),
        op(Operation::post("company_exports_create", EXPORTS.url(), create), "create", "Export the company")
            .describe(
                "A gzipped tar of every row and file of the company, which can be read without Loopd and brought into another installation. \
                 It is made in the background, one at a time for a company; the row says how far it is, and a letter tells you when it is ready. \
                 A file whose content is lost stops it, unless `leave_out_lost` lets it go on without such files: its manifest names them then. \
                 For owners, in their own name.",
            )
            .optional_body(schema::object([("leave_out_lost", schema::boolean())]))
            .response(ResponseDoc::json(202, "The export.", EXPORTS.row()).header("Location", "Where to look how far it is."))
            .responds(409, "`export_under_way`", schema::component("Error")),
        EXPORTS
            .action("cancel", "Stop an export that is not finished", |tx, kernel, tenant, id, _| {
                ordered::cancel(tx, kernel, tenant, id)
            })
            .responds(409, "`invalid_transition`", schema::component("Error")),
        not_ready(
            op(
                Operation::post("company_exports_link", format!("{url}link/"), make_link),
                "view",
                "Make a link to the archive that works without credentials, for a quarter of an hour",
            )
            .describe("On record in the audit log. `POST /files/revoke-links/` makes it worthless.")
            .without_effect()
            .responds(200, "The link.", link::made()),
        ),
        not_ready(deliver::documented(op(
            Operation::get("company_exports_content", format!("{url}content/"), content),
            "view",
            "Download the archive",
        )))
        .describe("Every request is on record in the audit log."),
    ];
    // All that the company has is not for an operator in its owner's name.
    all.into_iter().map(Operation::personal).collect()
}

async fn create(call: Call) -> Result<Reply> {
    let (kernel, tenant, body) = (call.kernel.clone(), call.tenant()?.clone(), call.json()?);
    call.commit(tenant.view(), move |tx| {
        let id = ordered::begin(tx, &kernel, &tenant, body.clone())?;
        let row = EXPORTS.listing.find(tx, id, Some(&[tenant.company]), Conditions::default())?;
        let reply = Reply::json_bytes(202, row.ok_or_else(Problem::not_found)?);
        Ok(reply.with_header(LOCATION, &format!("{}{id}/", EXPORTS.url())))
    })
    .await
}

async fn make_link(call: Call) -> Result<Reply> {
    let archive = fetched(&call).await?;
    link::sign_whole(&call, &archive).await
}

async fn content(call: Call) -> Result<Reply> {
    let asked = deliver::Asked::read(&call)?;
    let archive = fetched(&call).await?;
    deliver::deliver(&call, &archive, asked).await
}

/// The archive, and on record that it was asked for.
async fn fetched(call: &Call) -> Result<loopd_kernel::file::File> {
    let (kernel, tenant, id) = (call.kernel.clone(), call.tenant()?.clone(), call.id()?);
    let company = tenant.company;
    let archive =
        call.kernel.db.read(tenant.view(), move |reader| ordered::archive(reader, &kernel, company, id)).await?;
    ordered::record_fetch(&call.kernel, &tenant, id).await?;
    Ok(archive)
}
