//! `/mail-messages/`: the letters of the installation, for superusers; in the sandbox with what they say. Every look is on record.

use loopd_kernel::listing::Conditions;
use loopd_kernel::{audit, mail};
use loopd_store::View;
use loopd_types::{Problem, Result};
use loopd_web::{Call, Operation, Reply, Schema as _, schema};
use serde_json::{Value, json};

use loopd_web::rows::{Rows, list, list_params};

pub(super) const LETTERS: Rows = Rows::core("mail-messages", "MailMessage", &mail::LISTING);

pub fn operations() -> Vec<Operation> {
    let op = |operation: Operation, summary: &str| LETTERS.document(operation, summary).superuser();
    let url = LETTERS.item_url();
    let with_body = json!({"allOf": [LETTERS.row(), schema::object([
        ("text", schema::string().nullable()),
        ("html", schema::string().nullable()),
    ])]});
    vec![
        op(Operation::get("mail_messages_list", LETTERS.url(), list_letters), "List all letters (superusers)")
            .params(list_params(&mail::LISTING))
            .responds(200, "One page.", schema::paginated(LETTERS.row())),
        op(Operation::get("mail_messages_retrieve", &url, retrieve), "Read one of the letters (superusers)")
            .describe(
                "`text` and `html` are null unless the sandbox keeps the letter: one that left the house is not kept.",
            )
            .responds(200, "The letter.", with_body),
        op(
            Operation::post("mail_messages_retry", format!("{url}retry/"), retry),
            "Send a letter again that failed too often (superusers)",
        )
        .describe("409 `invalid_transition` unless its state is `failed`.")
        .responds(200, "As it is now.", LETTERS.row()),
    ]
}

async fn list_letters(call: Call) -> Result<Reply> {
    audit::record_superuser_list(&call.kernel, &call.caller.actor(), "core.mail-messages.view").await?;
    list(&call, View::System, |reader, query| mail::LISTING.list(reader, query, None, Conditions::default())).await
}

async fn retrieve(call: Call) -> Result<Reply> {
    let (id, kernel) = (call.id()?, call.kernel.clone());
    audit::record_superuser_list(&call.kernel, &call.caller.actor(), "core.mail-messages.view").await?;
    let (row, body) = call
        .kernel
        .db
        .read(View::System, move |reader| {
            let row = mail::LISTING.find(reader, id, None, Conditions::default())?.ok_or_else(Problem::not_found)?;
            Ok((row, mail::read_body(reader, &kernel, id)?))
        })
        .await?;
    let mut letter: Value = serde_json::from_slice(&row).map_err(Problem::internal)?;
    let (text, html) = body.unzip();
    letter["text"] = json!(text);
    letter["html"] = json!(html);
    Reply::json(200, &letter)
}

async fn retry(call: Call) -> Result<Reply> {
    let (kernel, actor, id) = (call.kernel.clone(), call.caller.actor(), call.id()?);
    call.commit(View::System, move |tx| {
        mail::retry(tx, &kernel, &actor, id)?;
        let row = mail::LISTING.find(tx, id, None, Conditions::default())?;
        Ok(Reply::json_bytes(200, row.ok_or_else(Problem::not_found)?))
    })
    .await
}
