//! Broadcasts as the public API and events write them.

use std::collections::HashSet;

use loopd_kernel::input::Input;
use loopd_types::Timestamp;
use loopd_web::{Schema as _, schema};
use serde_json::{Value as Json, json};

use super::store::Broadcast;
use super::{RECIPIENTS_MOST, Status};
use crate::address::Address;
use crate::template::{self, Asked};

/// Longest name, and longest text that WhatsApp takes.
const NAME_MOST: usize = 120;
const TEXT_MOST: usize = 4096;

/// `data` of `broadcast.progress`, to the letter; what is ours follows.
pub fn progress(broadcast: &Broadcast) -> Json {
    json!({
        "id": broadcast.id.to_string(),
        "status": broadcast.status.as_str(),
        "sentCount": broadcast.sent,
        "failedCount": broadcast.failed,
        "total": broadcast.total,
        "skippedCount": broadcast.skipped,
        "pauseReason": broadcast.pause_reason,
        "resumesAt": broadcast.resumes_at.map(Timestamp::to_millis),
    })
}

pub fn row(broadcast: &Broadcast) -> Json {
    let mut row = progress(broadcast);
    row["name"] = json!(broadcast.name);
    row["message"] = json!(broadcast.message);
    row["template"] = json!(broadcast.template);
    row["outsideWindowCount"] = json!(broadcast.outside_window);
    row["scheduledAt"] = json!(broadcast.scheduled_at.map(Timestamp::to_millis));
    row
}

pub fn row_schema() -> Json {
    let fields = [
        ("id", schema::uuid()),
        ("name", schema::string()),
        ("status", schema::one_of(Status::ALL.map(Status::as_str))),
        ("total", schema::integer()),
        ("sentCount", schema::integer()),
        ("failedCount", schema::integer()),
        ("skippedCount", schema::integer().describe("Who asked not to be written to.")),
        ("message", schema::string()),
        ("template", template::shape().nullable()),
        (
            "outsideWindowCount",
            schema::integer().nullable().describe(
                "Of a text from a number of the Cloud API: recipients who had not written for 24 hours when it was made or was to begin; \
                 those who have not written since then either fail with `window_closed`. A template reaches them.",
            ),
        ),
        ("pauseReason", schema::string().nullable()),
        ("resumesAt", schema::date_time().nullable().describe("When it goes on by itself, after a ban whose end is known.")),
        ("scheduledAt", schema::date_time().nullable()),
    ];
    let names = fields.clone().map(|(name, _)| name);
    schema::object(fields).required(names)
}

/// What a body says of a broadcast; `None` where it says nothing.
#[derive(Clone, Debug)]
pub struct Given {
    pub name: Option<String>,
    /// Empty where a template stands in its place.
    pub message: Option<String>,
    pub template: Option<Asked>,
    pub recipients: Option<Vec<(Address, Option<String>)>>,
    /// The number, as the API calls it; `Some(None)` for the first that is ready.
    pub from: Option<Option<String>>,
    pub scheduled_at: Option<Option<Timestamp>>,
}

/// The names of a body's members: the public API's and the management's differ.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    pub chat: &'static str,
    pub from: &'static str,
    pub scheduled_at: &'static str,
}

pub const PUBLIC: Names = Names { chat: "chatId", from: "from", scheduled_at: "scheduledAt" };
pub const MANAGED: Names = Names { chat: "chat_id", from: "number", scheduled_at: "scheduled_at" };

pub fn body_schema(names: Names) -> Json {
    let recipient = schema::object([
        (names.chat, schema::text(1, 128).describe("Digits with country code, or a full jid.")),
        ("name", schema::text(0, 200).describe("For `{{name}}`.")),
    ])
    .required([names.chat]);
    schema::object([
        ("name", schema::text(1, NAME_MOST as u32)),
        (
            "message",
            schema::text(1, TEXT_MOST as u32)
                .describe(
                    "What is said; required unless `template` says it. `{{name}}`, `{{first_name}}`, `{{email}}`, `{{company_name}}`, \
                     `{{location}}` and `{{lifetime_value}}` are each person's own; `{{name|friend}}` says what follows the line where \
                     nothing is known.",
                )
                .example("Muraho {{name}}!"),
        ),
        (
            "template",
            template::shape().describe(
                "Cloud API: an approved template, in place of a message, which also reaches who has not written for 24 hours. Its parameters \
                 may hold the same words; who lacks one of them fails (`no_email`).",
            ),
        ),
        ("recipients", schema::array(recipient).describe("1 to 5,000; who is named twice is written to once.")),
        (names.from, schema::text(0, 128).describe("The number to send from; the first that is ready unless said.")),
        (names.scheduled_at, schema::date_time().nullable().describe("Not before; now unless said.")),
    ])
}

/// Reads a body; recipients may be missing where `input` says them otherwise. What is wrong with it is noted in `input`.
pub fn read(input: &mut Input, names: Names, needs_recipients: bool) -> Given {
    let name = input.required_text("name", NAME_MOST);
    let message = match input.has("template") {
        true if input.has("message") => {
            input.refuse("template", "invalid", "A broadcast says a message or a template, not both.");
            input.text("message", TEXT_MOST)
        }
        true => Some(String::new()),
        false => input.required_text("message", TEXT_MOST),
    };
    let template = template::asked(input);
    let from = input.text(names.from, 128).map(|text| Some(text).filter(|text| !text.is_empty()));
    let scheduled_at = input.moment(names.scheduled_at);
    let is_said = input.has("recipients");
    let rows = input.list("recipients", RECIPIENTS_MOST);
    if needs_recipients && (!is_said || rows.as_ref().is_some_and(Vec::is_empty)) {
        input.refuse("recipients", "required", "Name at least one recipient.");
    }
    let recipients = rows.map(|rows| each_once(input, names, &rows));
    Given { name, message, template, recipients, from, scheduled_at }
}

/// Whom the rows of a body name.
fn each_once(input: &mut Input, names: Names, rows: &[Json]) -> Vec<(Address, Option<String>)> {
    let (mut recipients, mut seen) = (Vec::new(), HashSet::new());
    for (place, row) in rows.iter().enumerate() {
        let address = row[names.chat].as_str().and_then(Address::parse);
        let Some(address) = address else {
            let words =
                format!("Recipient {}: `{}` must be digits with country code, or a full jid.", place + 1, names.chat);
            input.refuse("recipients", "invalid", words);
            break;
        };
        let name = row["name"].as_str().map(|text| text.chars().take(200).collect::<String>());
        if seen.insert(address.clone()) {
            recipients.push((address, name.filter(|text| !text.trim().is_empty())));
        }
    }
    recipients
}
