//! `/forms/<company>-<token>/`: the public form that opens a ticket of Loopwave, as a page that works without script.

mod words;

use loopd_types::{Kind, Problem, Result};
use loopd_wave::intake::form::{self, Entry, Form, Outcome};
use loopd_web::operation::RateClass;
use loopd_web::{Call, Content, Operation, Param, Query, Reply, schema};
use maud::{Markup, html};
use serde_json::{Map, json};

use crate::account::{html_page, words_of};
use crate::portal::account::{Complaint, Field, Page, button, facts, sentence};
use crate::service::reply;
use words::{Words, words};

const URL: &str = "/forms/{form}/";
const FIELDS: [&str; 7] = ["name", "phone", "email", "subject", "message", "website", "started"];

/// The page. Programs have the operation that it uses.
pub fn operations() -> Vec<Operation> {
    let param = || Param::path("form", schema::string());
    let sent = loopd_wave::intake::http::body_schema();
    vec![
        Operation::get("loopwave_form_page", URL, show)
            .param(param())
            .response(html_page())
            .rate(RateClass::Anonymous)
            .undocumented(),
        Operation::post("loopwave_form_sent", URL, take)
            .param(param())
            .accepts(true, Content::of("application/x-www-form-urlencoded", sent))
            .response(html_page())
            .rate(RateClass::Anonymous)
            .max_body(64 * 1024)
            .any_origin()
            .undocumented(),
    ]
}

async fn show(call: Call) -> Result<Reply> {
    match form::find(&call, call.param("form")).await {
        Ok(form) => filled(&call, &form, 200, &Query::parse(None)?, &[]),
        Err(problem) => gone(&call, problem),
    }
}

async fn take(call: Call) -> Result<Reply> {
    let form = match form::find(&call, call.param("form")).await {
        Ok(form) => form,
        Err(problem) => return gone(&call, problem),
    };
    let sent = call.form()?;
    let body: Map<_, _> = FIELDS.iter().filter_map(|name| Some(((*name).to_owned(), json!(sent.get(name)?)))).collect();
    let outcome = match Entry::read(body.into()) {
        Ok(entry) => form.submit(&call, entry).await,
        Err(problem) => Err(problem),
    };
    let said = words(words_of(&call).language);
    match outcome {
        Ok(outcome) => {
            let reference = match &outcome {
                Outcome::Opened(reference) => Some(reference.as_str()),
                Outcome::Dropped => None,
            };
            let main = html! {
                (sentence(said.sent))
                @if let Some(reference) = reference { (facts(&[(said.reference, reference)])) }
            };
            page(&call, 200, said.sent_title, &[], main)
        }
        Err(problem) if matches!(problem.status(), 400 | 429) => {
            let complaints = complaints(&call, said, &problem);
            filled(&call, &form, problem.status(), &sent, &complaints)
        }
        Err(problem) => Err(problem),
    }
}

fn page(call: &Call, status: u16, title: &str, complaints: &[Complaint], main: Markup) -> Result<Reply> {
    reply(Page { words: words_of(call), status, title, complaints, main }.render())
}

/// What leads nowhere is said as a page; everything else is the edge's to say.
fn gone(call: &Call, problem: Problem) -> Result<Reply> {
    if problem.status() != 404 {
        return Err(problem);
    }
    let said = words(words_of(call).language);
    page(call, 404, said.gone_title, &[], sentence(said.gone))
}

/// The form with what was written, and what is wrong with it.
fn filled(call: &Call, form: &Form, status: u16, sent: &Query, complaints: &[Complaint]) -> Result<Reply> {
    let said = words(words_of(call).language);
    let value = |name: &str| sent.get(name).unwrap_or_default().to_owned();
    let line = |name: &'static str, label, kind, complete, hint, most, is_required: bool| {
        let value = value(name);
        Field { name, label, kind, complete, value: &value, hint, most, is_optional: !is_required }.render(complaints)
    };
    let started = form.begin(&call.kernel)?;
    let main = html! {
        @if !form.intake.form_intro.is_empty() { p.intro { (form.intake.form_intro) } }
        form.stack method="post" action=(call.path()) {
            (line("name", said.name, "text", "name", None, form::NAME_MOST, true))
            (line("phone", said.phone, "tel", "tel", Some(said.phone_hint), form::PHONE_MOST, false))
            (line("email", said.email, "email", "email", Some(said.email_hint), form::EMAIL_MOST, false))
            (line("subject", said.subject, "text", "off", None, form::SUBJECT_MOST, true))
            (message(said, &value("message"), complaints))
            div.trap aria-hidden="true" {
                label for="website" { (said.trap) }
                input id="website" type="text" name="website" value="" tabindex="-1" autocomplete="off";
            }
            input type="hidden" name="started" value=(started);
            (button(said.send))
        }
    };
    page(call, status, &form.heading(), complaints, main)
}

fn message(said: &Words, value: &str, complaints: &[Complaint]) -> Markup {
    let own: Vec<&Complaint> = complaints.iter().filter(|complaint| complaint.field == Some("message")).collect();
    html! {
        div.field {
            label for="message" { (said.message) }
            textarea id="message" name="message" rows="5" maxlength=(form::MESSAGE_MOST)
                aria-invalid=[(!own.is_empty()).then_some("true")] aria-describedby=[(!own.is_empty()).then_some("message-error")] {
                // A line break right behind the tag is dropped by browsers.
                "\n" (value)
            }
            @if !own.is_empty() {
                div.complaint id="message-error" role="alert" { @for complaint in own { p { (complaint.words) } } }
            }
        }
    }
}

/// A refusal in the reader's words; never empty.
fn complaints(call: &Call, said: &'static Words, problem: &Problem) -> Vec<Complaint> {
    if problem.kind() == Kind::TooMany {
        return vec![Complaint { field: None, words: words_of(call).busy }];
    }
    let fields = problem.fields().iter().flat_map(|(name, errors)| errors.iter().map(move |error| (name, error)));
    let mut all: Vec<Complaint> = fields
        .map(|(name, error)| {
            let field = FIELDS.into_iter().find(|known| known == name && !matches!(*known, "website" | "started"));
            let words = match (name.as_str(), &*error.code) {
                ("phone", "required") => said.phone_missing,
                ("phone", "invalid") => said.phone_wrong,
                ("email", "invalid") => said.email_wrong,
                (_, "too_many_links") => said.links,
                (_, "too_fast") => said.too_fast,
                (_, "expired") => said.expired,
                (_, "required" | "blank") => said.required,
                (_, "max_length") => said.too_long,
                _ => said.refused,
            };
            Complaint { field, words }
        })
        .collect();
    if all.is_empty() {
        all.push(Complaint { field: None, words: said.refused });
    }
    all
}
