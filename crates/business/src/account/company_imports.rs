//! `/company-imports/`: companies that the operator brings in from archives. `kernel/transfer` does it.

use http::header::LOCATION;
use loopd_kernel::listing::Conditions;
use loopd_kernel::transfer::incoming;
use loopd_store::{Tx, View};
use loopd_types::{Problem, Result, Uuid};
use loopd_web::{Call, Operation, Reply, ResponseDoc, Schema as _, schema};

use loopd_web::rows::Rows;

pub(super) const IMPORTS: Rows = Rows::core("company-imports", "CompanyImport", &incoming::LISTING);

pub fn operations() -> Vec<Operation> {
    let all = vec![
        IMPORTS.list_for_operator("List all imports of companies (superusers)"),
        IMPORTS.retrieve_for_operator("Read an import of a company (superusers)"),
        IMPORTS
            .document(
                Operation::post("company_imports_create", IMPORTS.url(), create),
                "Bring a company in from its archive (superusers)",
            )
            .describe(
                "`file` is an archive on any company's shelf, put there by `POST /files/` or, in pieces, by `/files/uploads/`. The import is \
                 done in the background, one at a time; the row says how far it is. All of the company comes or nothing: what is refused is \
                 `failed`, with the reason in `error_code` (`archive_invalid`, `archive_conflict`, `company_exists`, `file_gone`, \
                 `storage_full`) and `error_message`. With `dry_run` everything is looked at and every row is tried, and nothing stays; the \
                 row says what would have come.",
            )
            .superuser()
            .body(schema::object([("file", schema::uuid()), ("dry_run", schema::boolean())]).required(["file"]))
            .response(
                ResponseDoc::json(202, "The import.", IMPORTS.row()).header("Location", "Where to look how far it is."),
            )
            .responds(409, "`import_under_way`", schema::component("Error")),
        IMPORTS
            .document(
                Operation::post("company_imports_cancel", format!("{}cancel/", IMPORTS.item_url()), cancel),
                "Stop an import that is not finished (superusers)",
            )
            .describe("Nothing of it stays.")
            .superuser()
            .responds(200, "The import.", IMPORTS.row())
            .responds(409, "`invalid_transition`", schema::component("Error")),
    ];
    // In the operator's own name.
    all.into_iter().map(Operation::personal).collect()
}

async fn create(call: Call) -> Result<Reply> {
    let (kernel, actor, body) = (call.kernel.clone(), call.caller.actor(), call.json()?);
    call.commit(View::System, move |tx| {
        let id = incoming::begin(tx, &kernel, &actor, body.clone())?;
        Ok(answer(tx, 202, id)?.with_header(LOCATION, &format!("{}{id}/", IMPORTS.url())))
    })
    .await
}

async fn cancel(call: Call) -> Result<Reply> {
    let (kernel, actor, id) = (call.kernel.clone(), call.caller.actor(), call.id()?);
    call.commit(View::System, move |tx| {
        incoming::cancel(tx, &kernel, &actor, id)?;
        answer(tx, 200, id)
    })
    .await
}

fn answer(tx: &mut Tx<'_>, status: u16, id: Uuid) -> Result<Reply> {
    let row = IMPORTS.listing.find(tx, id, None, Conditions::default())?;
    Ok(Reply::json_bytes(status, row.ok_or_else(Problem::not_found)?))
}
