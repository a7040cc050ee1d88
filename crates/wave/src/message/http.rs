//! `POST /api/v1/messages`.

use loopd_kernel::input::Input;
use loopd_types::{Problem, Result};
use loopd_web::{Call, Operation, Reply, Schema as _, schema};
use serde_json::json;

use super::compose::{self, TEXT_MOST};
use super::{Draft, Origin, enqueue, media};
use crate::address::Address;
use crate::key::{DOOR, LIVE};
use crate::{number, preference};

/// Longest name of a chat or a number.
const NAME_MOST: usize = 128;

pub fn operations() -> Vec<Operation> {
    let mut members = vec![
        (
            "to",
            schema::text(1, NAME_MOST as u32)
                .describe("Digits with country code, or a full jid.")
                .example("919812345678"),
        ),
        (
            "text",
            schema::text(1, TEXT_MOST as u32)
                .describe("What is said; required unless another member says something.")
                .example("Hello"),
        ),
        (
            "from",
            schema::text(1, NAME_MOST as u32).describe("The number to send from; the first that is ready unless said."),
        ),
    ];
    members.extend(compose::members());
    let body = schema::object(members).required(["to"]);
    let answer = schema::object([
        ("status", schema::one_of(["sent"])),
        ("to", schema::string().example("919812345678@s.whatsapp.net")),
        ("from", schema::string().example("n1a2b3c4")),
        ("id", schema::uuid().describe("The message, as `GET /chats/{chatId}/messages` and webhooks name it.")),
    ])
    .required(["status", "to", "from", "id"]);
    let mut all = media::operations();
    all.push(
        Operation::post("loopwave_message_send", "/api/v1/messages", send)
            .tag("loopwave")
            .summary("Send a message")
            .describe(
                "It is written down and goes out at once; 202 says that it will not be lost. What becomes of it is told by webhooks.",
            )
            .keyed(&DOOR, &[LIVE], Some("messages:write"))
            .body(body)
            .responds(202, "On its way.", answer)
            .responds(409, "`no_ready_session`: no number is ready. `window_closed`: the customer did not write within 24 hours, and WhatsApp takes only a template. `no_templates`, `template_not_approved`.", schema::component("Error")),
    );
    all
}

async fn send(call: Call) -> Result<Reply> {
    let mut input = Input::new(call.json()?, false)?;
    let to = input.required_text("to", NAME_MOST);
    let said = compose::read(&mut input);
    let from = input.text("from", NAME_MOST);
    let to = to.map(|to| {
        let address = Address::parse(&to);
        if address.is_none() {
            input.refuse("to", "invalid", "Write digits with the country code, or a full jid.");
        }
        address
    });
    input.finish()?;
    let Some(Some(to)) = to else {
        return Err(Problem::internal("input that was checked is gone"));
    };
    let (kernel, tenant) = (call.kernel.clone(), call.tenant()?.clone());
    call.commit(tenant.view(), move |tx| {
        let number = match from.as_deref().filter(|name| !name.is_empty()) {
            Some(name) => number::find_public(tx, tenant.company, name)?
                .ok_or_else(|| Problem::field("from", "does_not_exist", "There is no such number."))?,
            None => number::first_free(tx, tenant.company, kernel.now())?.ok_or_else(no_ready_session)?,
        };
        if !number.is_ready() {
            return Err(no_ready_session());
        }
        let preferences = preference::load(tx, tenant.company)?;
        let draft = Draft {
            number: &number,
            to: &to,
            content: said.content(tx, &number)?,
            origin: Origin::Api,
            agent: None,
            due_at: kernel.now(),
            expires_at: None,
        };
        let queued = enqueue(tx, &kernel, &tenant, &preferences, &draft)?;
        let answer = json!({
            "status": "sent", "to": queued.chat.jid, "from": number.public_id, "id": queued.message.id.to_string(),
        });
        Reply::json(202, &answer)
    })
    .await
}

/// 409 of the original's pages.
pub fn no_ready_session() -> Problem {
    Problem::conflict("no_ready_session", "No connected number is ready to send.")
}
