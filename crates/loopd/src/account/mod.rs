//! The small pages behind the links in letters (`/account/…`): reads a form, asks the kernel, shows what came of it.

mod mailbox;

use std::sync::Arc;

use loopd_kernel::account::{self, ResetPassword, VerifyEmail};
use loopd_kernel::erasure;
use loopd_kernel::invitation::{self, Acceptance};
use loopd_kernel::mail;
use loopd_store::View;
use loopd_types::{Problem, Result};
use loopd_web::operation::RateClass;
use loopd_web::{Call, Content, Operation, Reply, ResponseDoc, schema};
pub use mailbox::operations as mailbox;
use maud::html;
use serde_json::{Map, Value, json};

use crate::portal::Document;
use crate::portal::account::{
    Complaint, Field, Page, Words, button, complaints, facts, form, grave_button, security, sentence, words,
};
use crate::service::reply;

/// Where somebody asks for the letter that opens [`account::PASSWORD_PAGE`].
const FORGOT_PAGE: &str = "/account/forgot/";

/// Where people sign in to look after their account.
const SIGN_IN_PAGE: &str = "/account/sign-in/";

/// The pages. They stand in no API document: programs have the operations that these pages use.
pub fn operations() -> Vec<Operation> {
    let mut all = Vec::new();
    all.extend(pair("invitation", invitation::PAGE, show_invitation, answer_invitation));
    all.extend(pair("password", account::PASSWORD_PAGE, show_reset, reset));
    all.extend(pair("forgot", FORGOT_PAGE, |call| async move { show_forgot(&call, "", &[]) }, forgot));
    all.extend(pair("verify", account::VERIFY_PAGE, show_verify, verify));
    all.extend(pair("merge", account::MERGE_PAGE, show_merge, merge));
    all.extend(pair("erase", erasure::PAGE, show_erase, erase));
    all.extend([("sign_in", SIGN_IN_PAGE), ("security", "/account/security/")].map(|(name, path)| {
        let show = |call: Call| async move { as_reply(security(words_of(&call))) };
        Operation::get(format!("account_{name}_page"), path, show).response(html_page()).undocumented()
    }));
    all
}

pub(crate) fn html_page() -> ResponseDoc {
    ResponseDoc::empty(200, "The page.").with(Content::of("text/html", schema::string()))
}

/// A page that is looked at with GET, and does something with POST only.
fn pair<S, SR, D, DR>(name: &str, path: &str, show: S, act: D) -> [Operation; 2]
where
    S: Fn(Call) -> SR + Send + Sync + 'static,
    SR: Future<Output = Result<Reply>> + Send + 'static,
    D: Fn(Call) -> DR + Send + Sync + 'static,
    DR: Future<Output = Result<Reply>> + Send + 'static,
{
    let act = Arc::new(act);
    let post = move |call: Call| {
        let act = act.clone();
        async move {
            if is_foreign(&call) {
                let words = words_of(&call);
                return page(words, 403, words.dead_title, &[], sentence(words.foreign));
            }
            act(call).await
        }
    };
    let text = schema::text(0, 1024);
    let fields = ["token", "action", "username", "password", "first_name", "last_name", "email"];
    let sent = schema::object(fields.map(|name| (name, text.clone())));
    [
        Operation::get(format!("account_{name}_page"), path, show).response(html_page()).undocumented(),
        Operation::post(format!("account_{name}_form"), path, post)
            .accepts(true, Content::of("application/x-www-form-urlencoded", sent))
            .response(html_page())
            .rate(RateClass::Auth)
            .max_body(16 * 1024)
            .undocumented(),
    ]
}

/// Whether a browser says that another site sent this form. The token is what opens these pages, not a cookie, so nothing is to be
/// gained by it; but nobody shall be walked into a company by a page that they happened to visit.
fn is_foreign(call: &Call) -> bool {
    if let Some(site) = call.header("sec-fetch-site") {
        return !matches!(site, "same-origin" | "none");
    }
    // Pages that name no referrer send `null`.
    call.header("origin").is_some_and(|origin| origin != "null" && origin != &*call.base_url())
}

/// The first language that the reader's browser asks for and we speak.
pub(crate) fn words_of(call: &Call) -> &'static Words {
    let asked = call.header("accept-language").unwrap_or_default().to_ascii_lowercase();
    let mut wanted = asked.split(',').map(|one| one.trim().split(['-', ';']).next().unwrap_or_default().to_owned());
    words(&wanted.find(|one| ["en", "fr", "rw"].contains(&one.as_str())).unwrap_or_default())
}

fn page(
    words: &'static Words,
    status: u16,
    title: &str,
    complaints: &[Complaint],
    main: maud::Markup,
) -> Result<Reply> {
    as_reply(Page { words, status, title, complaints, main }.render())
}

fn as_reply(document: Document) -> Result<Reply> {
    reply(document)
}

fn done(words: &'static Words, title: &str, main: maud::Markup) -> Result<Reply> {
    page(words, 200, title, &[], main)
}

fn dead(words: &'static Words) -> Result<Reply> {
    page(words, 400, words.dead_title, &[], sentence(words.dead))
}

/// What a form sent: a token and these fields, those that are empty left out.
fn sent(call: &Call, names: &[&str]) -> Result<(String, Map<String, Value>)> {
    let form = call.form()?;
    let token = form.get("token").unwrap_or_default().to_owned();
    let mut body = Map::new();
    for name in names {
        if let Some(value) = form.get(name).filter(|value| !value.is_empty()) {
            body.insert((*name).to_owned(), json!(value));
        }
    }
    Ok((token, body))
}

fn new_password<'w>(words: &'w Words, label: &'w str) -> Field<'w> {
    let hint = Some(words.password_hint);
    Field { name: "password", label, kind: "password", complete: "new-password", value: "", hint, ..Field::default() }
}

fn token_of(call: &Call) -> String {
    call.query().get("token").unwrap_or_default().to_owned()
}

async fn show_invitation(call: Call) -> Result<Reply> {
    let token = token_of(&call);
    invitation_page(&call, &token, 200, &Map::new(), None).await
}

async fn invitation_page(
    call: &Call,
    token: &str,
    status: u16,
    typed: &Map<String, Value>,
    problem: Option<&Problem>,
) -> Result<Reply> {
    let shown = match invitation::look_up(&call.kernel, token).await {
        Ok(shown) => shown,
        Err(problem) if problem.status() < 500 => return dead(words_of(call)),
        Err(problem) => return Err(problem),
    };
    let words = words(&shown.language);
    let value = |name: &str| typed.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let complaints = problem.map(|problem| complaints(words, problem)).unwrap_or_default();
    let until = mail::moment(words.language, shown.expires_at, &shown.timezone);
    let mut rows = vec![
        (words.company, shown.company_name.as_str()),
        (words.role, shown.role_name.as_str()),
        (words.address, shown.email.as_str()),
    ];
    rows.extend(shown.invited_by.as_deref().map(|name| (words.invited_by, name)));
    rows.push((words.until, &until));
    let asked = html! {
        @if !shown.has_account {
            (sentence(words.new_here))
            (Field { name: "username", label: words.username, kind: "text", complete: "username", value: &value("username"), hint: Some(words.username_hint), ..Field::default() }.render(&complaints))
            (new_password(words, words.password).render(&complaints))
        } @else if shown.needs_password {
            (sentence(words.prove))
            (Field { name: "password", label: words.password, kind: "password", complete: "current-password", ..Field::default() }.render(&complaints))
        }
    };
    let main = html! {
        (facts(&rows))
        (form(invitation::PAGE, token, html! {
            (asked)
            div.choices {
                button.button type="submit" name="action" value="accept" { (words.accept) }
                button.button.quiet type="submit" name="action" value="decline" formnovalidate { (words.decline) }
            }
        }))
    };
    page(words, status, words.invitation, &complaints, main)
}

async fn answer_invitation(call: Call) -> Result<Reply> {
    let (token, mut body) = sent(&call, &["username", "password"])?;
    let is_decline = call.form()?.get("action") == Some("decline");
    let language = invitation::look_up(&call.kernel, &token).await.map(|shown| shown.language);
    let words = language.map_or_else(|_| words_of(&call), |language| words(&language));
    let (kernel, origin) = (call.kernel.clone(), call.caller.origin.clone());
    let typed = body.clone();
    body.insert("token".to_owned(), json!(token));
    let outcome = if is_decline {
        let body = json!({"token": token});
        call.commit(View::System, move |tx| {
            invitation::decline(tx, &kernel, &origin, &body)?;
            page(words, 200, words.declined_title, &[], sentence(words.declined))
        })
        .await
    } else {
        match Acceptance::parse(&call.kernel, Value::Object(body)).await {
            Ok(acceptance) => {
                call.commit(View::System, move |tx| {
                    let accepted = acceptance.apply(tx, &kernel, &origin)?;
                    let rows =
                        [(words.company, accepted.company_name.as_str()), (words.address, accepted.email.as_str())];
                    done(words, words.joined_title, html! { (facts(&rows)) (sentence(words.joined)) })
                })
                .await
            }
            Err(problem) => Err(problem),
        }
    };
    match outcome {
        Err(problem) if problem.status() < 500 => {
            invitation_page(&call, &token, problem.status(), &typed, Some(&problem)).await
        }
        outcome => outcome,
    }
}

async fn show_reset(call: Call) -> Result<Reply> {
    let token = token_of(&call);
    reset_page(&call, &token, 200, None).await
}

async fn reset_page(call: &Call, token: &str, status: u16, problem: Option<&Problem>) -> Result<Reply> {
    let words = words_of(call);
    match account::check_reset_link(&call.kernel, token).await {
        Ok(()) => {}
        Err(problem) if problem.status() < 500 => {
            let again = html! { (sentence(words.dead)) p { a.button href=(FORGOT_PAGE) { (words.ask_again) } } };
            return page(words, 400, words.dead_title, &[], again);
        }
        Err(problem) => return Err(problem),
    }
    let complaints = problem.map(|problem| complaints(words, problem)).unwrap_or_default();
    let main = html! {
        (sentence(words.reset_hint))
        (form(account::PASSWORD_PAGE, token, html! {
            (new_password(words, words.new_password).render(&complaints))
            (button(words.save))
        }))
    };
    page(words, status, words.reset, &complaints, main)
}

async fn reset(call: Call) -> Result<Reply> {
    let (token, body) = sent(&call, &["password"])?;
    let words = words_of(&call);
    let body = json!({"token": token, "new_password": body.get("password").cloned().unwrap_or_else(|| json!(""))});
    let (kernel, origin) = (call.kernel.clone(), call.caller.origin.clone());
    let outcome = match ResetPassword::parse(&call.kernel, body).await {
        Ok(reset) => {
            call.commit(View::System, move |tx| {
                reset.apply(tx, &kernel, &origin)?;
                let on = html! { (sentence(words.reset_done)) p { a.button href=(SIGN_IN_PAGE) { (words.security.sign_in) } } };
                done(words, words.reset_done_title, on)
            })
            .await
        }
        Err(problem) => Err(problem),
    };
    match outcome {
        Err(problem) if problem.status() < 500 => reset_page(&call, &token, problem.status(), Some(&problem)).await,
        Ok(reply) => {
            call.kernel.settle_revocation().await;
            Ok(reply)
        }
        outcome => outcome,
    }
}

fn show_forgot(call: &Call, typed: &str, complaints: &[Complaint]) -> Result<Reply> {
    let words = words_of(call);
    let main = html! {
        (sentence(words.forgot_hint))
        form.stack method="post" action=(FORGOT_PAGE) {
            (Field { name: "email", label: words.address, kind: "email", complete: "email", value: typed, ..Field::default() }.render(complaints))
            (button(words.send_link))
        }
    };
    page(words, if complaints.is_empty() { 200 } else { 400 }, words.forgot, complaints, main)
}

async fn forgot(call: Call) -> Result<Reply> {
    let (_, body) = sent(&call, &["email"])?;
    let words = words_of(&call);
    let typed = body.get("email").and_then(Value::as_str).unwrap_or_default().to_owned();
    let email = match account::read_forgotten(&call.kernel, Value::Object(body)).await {
        Ok(email) => email,
        Err(problem) if problem.status() < 500 => return show_forgot(&call, &typed, &complaints(words, &problem)),
        Err(problem) => return Err(problem),
    };
    let kernel = call.kernel.clone();
    call.commit(View::System, move |tx| {
        account::forget_password(tx, &kernel, &email)?;
        done(words, words.sent_title, sentence(words.sent))
    })
    .await
}

async fn show_verify(call: Call) -> Result<Reply> {
    let token = token_of(&call);
    if token.is_empty() {
        return dead(words_of(&call));
    }
    verify_page(&call, &token, 200, &[])
}

fn verify_page(call: &Call, token: &str, status: u16, complaints: &[Complaint]) -> Result<Reply> {
    let words = words_of(call);
    let main = html! {
        (sentence(words.verify_hint))
        (form(account::VERIFY_PAGE, token, html! {
            (Field { name: "password", label: words.password, kind: "password", complete: "current-password", ..Field::default() }.render(complaints))
            (button(words.confirm))
        }))
    };
    page(words, status, words.verify, complaints, main)
}

async fn verify(call: Call) -> Result<Reply> {
    let (token, mut body) = sent(&call, &["password"])?;
    let words = words_of(&call);
    if token.is_empty() {
        return dead(words);
    }
    body.insert("token".to_owned(), json!(token));
    let (kernel, origin) = (call.kernel.clone(), call.caller.origin.clone());
    // Pages hold no session, so that the password is what shows whose account it is.
    let verify = match VerifyEmail::parse(&call.kernel, &call.caller, Value::Object(body)).await {
        Ok(verify) => verify,
        Err(problem) if problem.code() == "link_not_valid" => return dead(words),
        Err(problem) if problem.status() < 500 => {
            return verify_page(&call, &token, problem.status(), &complaints(words, &problem));
        }
        Err(problem) => return Err(problem),
    };
    let outcome = call
        .commit(View::System, move |tx| {
            let email = verify.apply(tx, &kernel, &origin)?;
            done(words, words.verified_title, html! { p { (words.verified) " " strong { (email) } } })
        })
        .await;
    explain(words, words.verify, outcome)
}

/// A refusal that leaves nothing to be tried again on this page, under the page's own title: the link may still be good.
fn explain(words: &'static Words, title: &str, outcome: Result<Reply>) -> Result<Reply> {
    match outcome {
        Err(problem) if problem.code() == "link_not_valid" || problem.code() == "validation_error" => dead(words),
        Err(problem) if problem.status() < 500 => {
            page(words, problem.status(), title, &complaints(words, &problem), html! {})
        }
        outcome => outcome,
    }
}

async fn show_merge(call: Call) -> Result<Reply> {
    let (words, token) = (words_of(&call), token_of(&call));
    let (absorbed, into) = match account::look_up_merge(&call.kernel, &token).await {
        Ok(found) => found,
        Err(problem) if problem.status() < 500 => return dead(words),
        Err(problem) => return Err(problem),
    };
    let main = html! {
        (facts(&[(words.ends, &absorbed), (words.stays, &into)]))
        (sentence(words.merge_hint))
        (form(account::MERGE_PAGE, &token, button(words.merge_button)))
    };
    page(words, 200, words.merge, &[], main)
}

async fn merge(call: Call) -> Result<Reply> {
    let (token, _) = sent(&call, &[])?;
    let words = words_of(&call);
    let (kernel, origin) = (call.kernel.clone(), call.caller.origin.clone());
    let outcome = call
        .commit(View::System, move |tx| {
            let merged = account::merge(tx, &kernel, &origin, &token)?;
            done(words, words.merged_title, html! { p { (words.merged) " " strong { (merged.into_email) } } })
        })
        .await;
    if outcome.is_ok() {
        call.kernel.settle_revocation().await;
    }
    explain(words, words.merge, outcome)
}

async fn show_erase(call: Call) -> Result<Reply> {
    let (words, token) = (words_of(&call), token_of(&call));
    let email = match erasure::check_link(&call.kernel, &token).await {
        Ok(email) => email,
        Err(problem) if problem.status() < 500 => return dead(words),
        Err(problem) => return Err(problem),
    };
    let main = html! {
        (facts(&[(words.ends, &email)]))
        (sentence(words.erase_hint))
        (form(erasure::PAGE, &token, grave_button(words.erase_button)))
    };
    page(words, 200, words.erase, &[], main)
}

async fn erase(call: Call) -> Result<Reply> {
    let (token, _) = sent(&call, &[])?;
    let words = words_of(&call);
    let (kernel, origin) = (call.kernel.clone(), call.caller.origin.clone());
    let outcome = call
        .commit(View::System, move |tx| {
            erasure::confirm(tx, &kernel, &origin, &token)?;
            done(words, words.erased_title, sentence(words.erased))
        })
        .await;
    if outcome.is_ok() {
        call.kernel.settle_revocation().await;
    }
    explain(words, words.erase, outcome)
}
