//! `/sandbox/mail/`: opened to nobody but whoever sits at this machine in development. Links in letters open accounts.

use loopd_kernel::listing::{Conditions, ListQuery, PageRef};
use loopd_kernel::mail::{self, Delivery};
use loopd_store::View;
use loopd_types::{Problem, Result};
use loopd_web::operation::RateClass;
use loopd_web::{Call, Content, Operation, Reply, ResponseDoc, schema};
use serde_json::Value;

use crate::portal::mailbox::{self, Entry, Opened};
use crate::portal_info::Info;
use crate::service::reply;
use crate::settings::Settings;

/// The sandbox's pages; none where letters leave the house, and none in production, whose superusers have `/api/v1/mail-messages/`.
pub fn operations(settings: &Settings, info: &Info) -> Vec<Operation> {
    if settings.mail() != Delivery::Sandbox || settings.environment.is_production() {
        return Vec::new();
    }
    let html = || ResponseDoc::empty(200, "The page.").with(Content::of("text/html", schema::string()));
    let page = |id: &str, path: &str, operation: Operation| {
        debug_assert!(operation.id == id && operation.path == path);
        operation.rate(RateClass::Unlimited).response(html()).undocumented()
    };
    let (list_info, letter_info) = (info.clone(), info.clone());
    let list = Operation::get("sandbox_mail", "/sandbox/mail/", move |call: Call| list(list_info.clone(), call));
    let letter =
        Operation::get("sandbox_letter", "/sandbox/mail/{id}/", move |call: Call| letter(letter_info.clone(), call));
    let body = Operation::get("sandbox_letter_html", "/sandbox/mail/{id}/html/", body);
    vec![
        page("sandbox_mail", "/sandbox/mail/", list),
        page("sandbox_letter", "/sandbox/mail/{id}/", letter),
        page("sandbox_letter_html", "/sandbox/mail/{id}/html/", body),
    ]
}

/// Only this machine's own people: the address is loopback, nothing stands between (a tunnel says so), and the name in the address bar is
/// this machine's, so that no page of another site can be led here by its DNS.
///
/// # Errors
/// 404 for everybody else.
fn require_here(call: &Call) -> Result<()> {
    let is_forwarded =
        ["x-forwarded-for", "x-forwarded-host", "forwarded", "via"].iter().any(|name| call.header(name).is_some());
    let host = call.header("host").unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let is_named_so = matches!(name, "localhost" | "127.0.0.1" | "[::1]");
    if call.caller.origin.address.is_loopback() && !is_forwarded && is_named_so {
        return Ok(());
    }
    Err(Problem::not_found())
}

async fn list(info: Info, call: Call) -> Result<Reply> {
    require_here(&call)?;
    let query = ListQuery {
        page: PageRef::Number(1),
        page_size: 100,
        search: Vec::new(),
        ordering: Vec::new(),
        filters: Vec::new(),
    };
    let read =
        move |reader: &mut loopd_store::Reader<'_>| mail::LISTING.list(reader, &query, None, Conditions::default());
    let listed = call.kernel.db.read(View::System, read).await?;
    let rows = [b"[".as_slice(), &listed.rows, b"]"].concat();
    let rows: Vec<Value> = serde_json::from_slice(&rows).map_err(Problem::internal)?;
    reply(mailbox::list(&info, &rows.iter().map(entry).collect::<Vec<_>>()))
}

fn entry(row: &Value) -> Entry {
    let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
    Entry {
        id: text("id"),
        to: text("to"),
        subject: text("subject"),
        template: text("template"),
        language: text("language"),
        state: text("state"),
        written_at: text("created_at").chars().take(16).collect::<String>().replace('T', " "),
    }
}

async fn find(call: &Call) -> Result<(Entry, String, String)> {
    require_here(call)?;
    let (id, kernel) = (call.id()?, call.kernel.clone());
    let (row, body) = call
        .kernel
        .db
        .read(View::System, move |reader| {
            let row = mail::LISTING.find(reader, id, None, Conditions::default())?.ok_or_else(Problem::not_found)?;
            Ok((row, mail::read_body(reader, &kernel, id)?))
        })
        .await?;
    let row: Value = serde_json::from_slice(&row).map_err(Problem::internal)?;
    let (text, html) = body.unwrap_or_default();
    Ok((entry(&row), text, html))
}

async fn letter(info: Info, call: Call) -> Result<Reply> {
    let (entry, text, _) = find(&call).await?;
    reply(mailbox::letter(&info, &Opened { entry, text }))
}

async fn body(call: Call) -> Result<Reply> {
    let (_, _, html) = find(&call).await?;
    reply(mailbox::letter_html(html))
}
