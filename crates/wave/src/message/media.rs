//! Files of messages for keys: `POST /api/v1/media` takes one to be sent, `GET /api/v1/messages/{id}/media` gives that of a message.

use loopd_kernel::file::{self, NewFile, Purpose};
use loopd_types::{Problem, Result, Uuid};
use loopd_web::file::{deliver, intake};
use loopd_web::{Call, Operation, Reply, Schema as _, schema};
use serde_json::json;

use super::store;
use crate::key::{DOOR, LIVE};

/// Where a key reads the file of a message, for as long as both are there. `base_url` has no final slash.
pub fn url(base_url: &str, message: Uuid) -> String {
    format!("{base_url}/api/v1/messages/{message}/media")
}

pub fn operations() -> Vec<Operation> {
    let kept = [
        ("id", schema::uuid().describe("What `file` of `POST /api/v1/messages` takes.")),
        ("name", schema::string()),
        ("contentType", schema::string().describe("What it is by its own first bytes.")),
        ("sizeBytes", schema::integer()),
        ("sha256", schema::string()),
    ];
    let names = kept.clone().map(|(name, _)| name);
    let op = |operation: Operation, summary: &str, scope: &'static str| {
        operation.tag("loopwave").summary(summary).keyed(&DOOR, &[LIVE], Some(scope))
    };
    vec![
        intake::documented(
            op(
                Operation::post("loopwave_media_create", "/api/v1/media", create),
                "Upload a file to be sent",
                "messages:write",
            ),
            &[],
        )
        .describe(
            "The body is a form with one `file`, or the file itself with any other content type and `?name=`. It stands on the company's shelf, \
             and may be sent as often as you like.",
        )
        .responds(201, "The file.", schema::object(kept).required(names)),
        deliver::documented(op(
            Operation::get("loopwave_message_media", "/api/v1/messages/{id}/media", content),
            "Read the file of a message, or its thumbnail",
            "chats:read",
        ))
        .describe("404 when the message has none, or it was not fetched from WhatsApp yet: `message.updated` tells when it is there."),
    ]
}

async fn create(mut call: Call) -> Result<Reply> {
    let (kernel, tenant) = (call.kernel.clone(), call.tenant()?.clone());
    let taken = intake::take(&call, tenant.company).await?;
    call.bind_content(&taken.received.sha256);
    let new = NewFile { id: kernel.new_id(), name: taken.name, purpose: Purpose::Library, expires_at: None };
    let (shared, content) = (kernel.clone(), taken.received.clone());
    let outcome = call
        .commit(tenant.view(), move |tx| {
            file::keep(tx, &shared, &tenant, &new, &content)?;
            let kept = file::open_library(tx, tenant.company, new.id)?;
            let answer = json!({
                "id": kept.id.to_string(), "name": kept.name, "contentType": kept.content_type, "sizeBytes": kept.size_bytes,
                "sha256": kept.sha256,
            });
            Reply::json(201, &answer)
        })
        .await;
    intake::settle(&kernel, &taken.received, outcome).await
}

async fn content(call: Call) -> Result<Reply> {
    let asked = deliver::Asked::read(&call)?;
    let (company, id, view) = (call.tenant()?.company, call.id()?, call.tenant()?.view());
    let find = call.kernel.db.read(view, move |reader| {
        let media = store::get(reader, company, id)?.content.media;
        let file = media.and_then(|media| media.file).ok_or_else(Problem::not_found)?;
        file::find(reader, company, file)?.ok_or_else(Problem::not_found)
    });
    let found = find.await?;
    deliver::deliver(&call, &found, asked).await
}
