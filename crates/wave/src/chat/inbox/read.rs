//! Lists and single chats.

use loopd_kernel::Tenant;
use loopd_store::Reader;
use loopd_types::{Problem, Result, Uuid};
use loopd_web::cursor::{self, Page};
use loopd_web::{Call, Query, Reply};
use serde_json::json;

use super::super::{STATUSES, next_of, shown, store};
use super::{LIMIT, LIMIT_MOST, answer, sight};
use crate::mask::Sight;
use crate::number;
use crate::saved_view::{self, Wanted};

pub async fn list(call: Call) -> Result<Reply> {
    let page = Page::read_named(call.query(), "cursor", LIMIT, LIMIT_MOST)?;
    let (tenant, asked) = (call.tenant()?.clone(), wanted(call.query())?);
    let view = call.query().uuid("saved_view")?;
    let answer = call
        .kernel
        .db
        .read(tenant.view(), move |reader| {
            let asked = match view {
                Some(id) => saved_view::store::get(reader, &tenant, id)?.filter.narrowed(&asked),
                None => asked.clone(),
            };
            let sight = sight(reader, &tenant)?;
            let Some(filter) = filter(reader, &tenant, &asked, sight)? else { return Ok((None, Vec::new())) };
            let mut chats = store::list(reader, tenant.company, &filter, &page)?;
            let next = next_of(&mut chats, page.limit, |chat| cursor::token(chat.last_message_at, chat.id));
            Ok((next, shown::rows(reader, tenant.company, &chats, sight)?))
        })
        .await?;
    let (next, rows) = answer;
    Reply::json(200, &json!({"next_cursor": next, "results": rows}))
}

/// What the query asks for.
fn wanted(query: &Query) -> Result<Wanted> {
    let text = |name: &str| query.get(name).map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    let wanted = Wanted {
        status: text("status"),
        assignee: text("assignee"),
        unread: query.bool("unread")?,
        waiting: query.bool("waiting")?,
        number: text("number"),
        label: text("label"),
        contact: query.uuid("contact")?,
        tag: text("tag"),
        lifecycle: text("lifecycle"),
        text: text("text"),
    };
    let mut problem = Problem::validation();
    wanted.check(&mut problem);
    if problem.has_fields() { Err(problem) } else { Ok(wanted) }
}

/// `None` where nothing can be found: an unknown number.
fn filter(reader: &mut Reader<'_>, tenant: &Tenant, wanted: &Wanted, sight: Sight) -> Result<Option<store::Filter>> {
    let number = match wanted.number.as_deref() {
        None => None,
        Some(name) => match number::find_ever(reader, tenant.company, name)? {
            Some(id) => Some(id),
            None => return Ok(None),
        },
    };
    let assignee = match wanted.assignee.as_deref() {
        None => None,
        Some("none") => Some(None),
        Some("me") => match tenant.actor.user {
            Some(user) => Some(Some(user)),
            // What is no person has no chats.
            None => return Ok(None),
        },
        Some(id) => Some(Uuid::parse_str(id).ok()),
    };
    Ok(Some(store::Filter {
        status: wanted.status.clone().filter(|status| STATUSES.contains(&status.as_str())),
        assignee,
        number,
        contact: wanted.contact,
        tag: wanted.tag.clone(),
        lifecycle: wanted.lifecycle.clone(),
        label: wanted.label.clone(),
        is_unread: wanted.unread == Some(true),
        is_waiting: wanted.waiting == Some(true),
        text: wanted.text.clone().map(|text| (text, sight)),
    }))
}

pub async fn retrieve(call: Call) -> Result<Reply> {
    let (tenant, id) = (call.tenant()?.clone(), call.id()?);
    let work = move |reader: &mut Reader<'_>| {
        let chat = store::get(reader, tenant.company, id)?;
        answer(reader, &tenant, 200, &chat)
    };
    call.kernel.db.read(call.tenant()?.view(), work).await
}
