//! Files of messages for keys: `GET /api/v1/messages/{id}/media`.

use loopd_kernel::file;
use loopd_types::{Problem, Result, Uuid};
use loopd_web::file::deliver;
use loopd_web::{Call, Operation, Reply};

use super::store;
use crate::key::{DOOR, LIVE};

/// Where a key reads the file of a message, for as long as both are there. `base_url` has no final slash.
pub fn url(base_url: &str, message: Uuid) -> String {
    format!("{base_url}/api/v1/messages/{message}/media")
}

pub fn operations() -> Vec<Operation> {
    let op = |operation: Operation, summary: &str, scope: &'static str| {
        operation.tag("loopwave").summary(summary).keyed(&DOOR, &[LIVE], Some(scope))
    };
    vec![
        deliver::documented(op(
            Operation::get("loopwave_message_media", "/api/v1/messages/{id}/media", content),
            "Read the file of a message, or its thumbnail",
            "chats:read",
        ))
        .describe("404 when the message has none, or it was not fetched from WhatsApp yet: `message.updated` tells when it is there."),
    ]
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
