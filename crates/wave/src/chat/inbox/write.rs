//! What people do to a chat.

use loopd_kernel::Tenant;
use loopd_kernel::input::Input;
use loopd_types::{Result, Uuid};
use loopd_web::{Call, Reply};

use super::super::act::{self, Change};
use super::super::{STATUSES, receipt};
use super::{LABEL_MOST, LABELS_MOST, answer};

pub async fn update(call: Call) -> Result<Reply> {
    let mut input = Input::new(call.json()?, true)?;
    let status = input.choice("status", &STATUSES);
    let assignee = assignee_in(&mut input, "assignee", call.tenant()?);
    let labels = labels(&mut input);
    input.finish()?;
    change(call, Change { status, assignee, from: None, labels }).await
}

pub async fn resolve(call: Call) -> Result<Reply> {
    set_status(call, STATUSES[1]).await
}

pub async fn reopen(call: Call) -> Result<Reply> {
    set_status(call, STATUSES[0]).await
}

async fn set_status(call: Call, status: &str) -> Result<Reply> {
    Input::new(call.json()?, true)?.finish()?;
    change(call, Change { status: Some(status.to_owned()), ..Change::default() }).await
}

pub async fn assign(call: Call) -> Result<Reply> {
    let mut input = Input::new(call.json()?, false)?;
    let has_assignee = input.has("assignee");
    let (assignee, from) =
        (assignee_in(&mut input, "assignee", call.tenant()?), assignee_in(&mut input, "from", call.tenant()?));
    if !has_assignee {
        input.refuse("assignee", "required", "This field is required.");
    }
    input.finish()?;
    change(call, Change { assignee, from, ..Change::default() }).await
}

async fn change(call: Call, wanted: Change) -> Result<Reply> {
    let (kernel, tenant, id) = (call.kernel.clone(), call.tenant()?.clone(), call.id()?);
    call.commit(tenant.view(), move |tx| {
        let chat = act::change(tx, &kernel, &tenant, id, &wanted)?;
        answer(tx, &tenant, 200, &chat)
    })
    .await
}

pub async fn read(call: Call) -> Result<Reply> {
    Input::new(call.json()?, true)?.finish()?;
    let (kernel, tenant, id) = (call.kernel.clone(), call.tenant()?.clone(), call.id()?);
    call.commit(tenant.view(), move |tx| {
        let (chat, last) = act::read(tx, &kernel, &tenant, id)?;
        if let Some(wa_id) = last {
            receipt::enqueue(tx, &kernel, &tenant, &chat, &wa_id)?;
        }
        answer(tx, &tenant, 200, &chat)
    })
    .await
}

/// `me`, an id, or null.
fn assignee_in(input: &mut Input, name: &'static str, tenant: &Tenant) -> Option<Option<Uuid>> {
    if input.take_null(name) {
        return Some(None);
    }
    let text = input.text(name, 64)?;
    let id = if text == "me" { tenant.actor.user } else { Uuid::parse_str(&text).ok() };
    if id.is_none() {
        input.refuse(name, "invalid", "Write me, the id of a user, or null.");
    }
    id.map(Some)
}

/// Labels without blanks and repeats, in the order that they were given.
fn labels(input: &mut Input) -> Option<Vec<String>> {
    let given = input.texts("labels", LABELS_MOST, LABEL_MOST)?;
    let mut kept: Vec<String> = Vec::with_capacity(given.len());
    for label in given {
        let label = label.trim();
        if label.is_empty() || label.contains('\0') {
            input.refuse("labels", "invalid", "A label may not be blank.");
            return None;
        }
        if !kept.iter().any(|known| known == label) {
            kept.push(label.to_owned());
        }
    }
    Some(kept)
}
