//! `/files/`: the company's own shelf.

use http::header::LOCATION;
use loopd_kernel::file::{self, NewFile, Purpose};
use loopd_kernel::listing::{Conditions, Listing};
use loopd_types::{Problem, Result};
use loopd_web::{Call, Operation, Param, Reply, ResponseDoc, Schema as _, schema};

use super::{deliver, intake};
use loopd_web::rows::{Rows, handled, nothing};

pub(crate) const FILES: Rows = Rows::core("files", "File", &file::LISTING);
/// Rows of every purpose: what was just uploaded to be attached is shown once, to whoever did it.
const ANY: Listing = Listing { from: "files f", ..file::LISTING };

pub fn operations() -> Vec<Operation> {
    let url = FILES.item_url();
    let op = |operation: Operation, verb: &str, summary: &str| {
        FILES.document(operation, summary).tenant(None, &FILES.permission(verb))
    };
    vec![
        FILES.list_of_companies(),
        FILES.retrieve_in_companies(),
        intake::documented(
            op(Operation::post("files_create", FILES.url(), create), "create", "Upload a file"),
            &[("purpose", schema::one_of(["library", "attachment"]))],
        )
            .describe(
                "The body is a form with one `file`, or the file itself with any other content type and `?name=`. What a file is is told by its \
                 content, not by what the client calls it. With `purpose=attachment` it is not put on the shelf but waits a day to be \
                 attached to a record by you.",
            )
            .param(Param::query("purpose", schema::one_of(["library", "attachment"])))
            .response(ResponseDoc::json(201, "The file.", FILES.row()).header("Location", "Where the file is.")),
        FILES.write_item(
            op(Operation::patch("files_partial_update", &url, nothing), "update", "Rename a file")
                .body(schema::object([("name", schema::text(1, 255))]).required(["name"])),
            |tx, kernel, tenant, id, body| {
                let mut input = loopd_kernel::input::Input::new(body, false)?;
                let name = input.required_text("name", file::MAX_NAME);
                input.finish()?;
                file::rename(tx, kernel, tenant, id, &name.unwrap_or_default())
            },
        ),
        handled(
            op(Operation::delete("files_destroy", &url, nothing), "delete", "Delete a file")
                .responds_empty(204, "Deleted.")
                .responds(409, "`file_attached`: records have it.", schema::component("Error")),
            |call: Call| async move {
                let (kernel, tenant, id) = (call.kernel.clone(), call.tenant()?.clone(), call.id()?);
                call.commit(tenant.view(), move |tx| {
                    file::remove_from_library(tx, &kernel, &tenant, id)?;
                    Ok(Reply::no_content())
                })
                .await
            },
        ),
        deliver::documented(op(
            Operation::get("files_content", format!("{url}content/"), content),
            "view",
            "Download a file, or its thumbnail",
        )),
    ]
}

async fn create(mut call: Call) -> Result<Reply> {
    let (kernel, tenant) = (call.kernel.clone(), call.tenant()?.clone());
    let taken = intake::take(&call, tenant.company).await?;
    let purpose = match taken.texts.get("purpose").map(String::as_str) {
        None | Some("library") => Purpose::Library,
        Some("attachment") => Purpose::Attachment,
        Some(_) => {
            file::discard(&kernel, &taken.received).await;
            return Err(Problem::field("purpose", "invalid_choice", "Either library or attachment."));
        }
    };
    call.bind_content(&taken.received.sha256);
    let id = kernel.new_id();
    let location = format!("{}/{id}/", call.url().trim_end_matches('/'));
    let new = NewFile {
        id,
        name: taken.name,
        purpose,
        expires_at: (purpose == Purpose::Attachment).then(|| kernel.now().plus(file::upload::UNATTACHED_US)),
    };
    let content = taken.received.clone();
    let work = kernel.clone();
    let outcome = call
        .commit(tenant.view(), move |tx| {
            file::keep(tx, &work, &tenant, &new, &content)?;
            let row = ANY.find(tx, id, Some(&[tenant.company]), Conditions::default())?;
            let row = row.ok_or_else(|| Problem::internal("a file that was just made is not there"))?;
            Ok(Reply::json_bytes(201, row).with_header(LOCATION, &location))
        })
        .await;
    intake::settle(&kernel, &taken.received, outcome).await
}

async fn content(call: Call) -> Result<Reply> {
    let asked = deliver::Asked::read(&call)?;
    let (company, id, view) = (call.tenant()?.company, call.id()?, call.tenant()?.view());
    let found = call.kernel.db.read(view, move |reader| file::open_library(reader, company, id)).await?;
    deliver::deliver(&call, &found, asked).await
}
