//! `/api/v1/loopwave/forms/{form}/`: the public form for programs and pages of one's own; and its renewed address.

use loopd_types::Result;
use loopd_web::operation::RateClass;
use loopd_web::{Call, Operation, Param, Reply, Schema as _, schema};
use serde_json::{Value as Json, json};

use super::form::{self, Entry, Outcome};
use crate::PRODUCT;

const URL: &str = "/api/v1/loopwave/forms/{form}/";

pub fn operations() -> Vec<Operation> {
    let public = |operation: Operation, summary: &str| {
        let name = Param::path("form", schema::string()).describe("What the form's address ends with.");
        operation.tag(PRODUCT).summary(summary).param(name)
    };
    let shown = schema::object([
        ("title", schema::string()),
        ("intro", schema::string()),
        ("company_name", schema::string()),
        ("started", schema::string().describe("Send it back with the form, not sooner than a person can write.")),
    ])
    .required(["title", "intro", "company_name", "started"]);
    let taken = schema::object([("accepted", schema::boolean()), ("ref", schema::string().nullable())])
        .required(["accepted", "ref"]);
    vec![
        public(Operation::get("loopwave_form", URL, show), "Read a public form").rate(RateClass::Anonymous).responds(
            200,
            "What it says.",
            shown,
        ),
        public(Operation::post("loopwave_form_submit", URL, submit), "Open a ticket by a public form")
            .describe("Five a minute from one network address. The same words of one person open one ticket a day.")
            .rate(RateClass::Anonymous)
            .max_body(64 * 1024)
            .body(body_schema())
            .responds(201, "It was taken.", taken),
    ]
}

/// What the form takes.
pub fn body_schema() -> Json {
    let text = |most: usize| schema::text(0, u32::try_from(most).unwrap_or(u32::MAX));
    schema::object([
        ("name", text(form::NAME_MOST)),
        (
            "phone",
            text(form::PHONE_MOST)
                .describe("With country code; this or an email address is needed.")
                .example("+250788123456"),
        ),
        ("email", text(form::EMAIL_MOST)),
        ("subject", text(form::SUBJECT_MOST)),
        ("message", text(form::MESSAGE_MOST)),
        ("website", text(2000).describe("Leave it empty: it is there for machines.")),
        ("started", text(500).describe("As `GET` gave it.")),
    ])
    .required(["name", "subject", "started"])
}

async fn show(call: Call) -> Result<Reply> {
    let form = form::find(&call, call.param("form")).await?;
    let started = form.begin(&call.kernel)?;
    let answer = json!({
        "title": form.title(), "intro": form.intake.form_intro, "company_name": form.tenant.company_name(), "started": started,
    });
    Reply::json(200, &answer)
}

async fn submit(call: Call) -> Result<Reply> {
    let form = form::find(&call, call.param("form")).await?;
    let entry = Entry::read(call.json()?)?;
    let reference = match form.submit(&call, entry).await? {
        Outcome::Opened(reference) => Some(reference),
        Outcome::Dropped => None,
    };
    Reply::json(201, &json!({"accepted": true, "ref": reference}))
}
