//! What people do to a chat: resolve it, give it to somebody, label it, read it.

use loopd_kernel::{Kernel, Tenant, audit};
use loopd_store::Tx;
use loopd_types::{Problem, Result, Uuid};
use serde_json::{Map, Value as Json, json};

use super::{Chat, STATUSES, store};
use crate::PRODUCT;
use crate::agent::{self, Agent};
use crate::mask::Sight;
use crate::report;

/// What shall be different; what is `None` stays. All of it happens at once, or nothing.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// One of [`STATUSES`].
    pub status: Option<String>,
    /// `Some(None)`: nobody has it.
    pub assignee: Option<Option<Uuid>>,
    /// Who must have it still, for that.
    pub from: Option<Option<Uuid>>,
    pub labels: Option<Vec<String>>,
}

/// Changes a chat. What is so already is not changed, and nobody is told of it.
///
/// # Errors
/// 404; 400 for an assignee who does not work in this company; 409 `assigned_meanwhile`.
pub fn change(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid, wanted: &Change) -> Result<Chat> {
    let mut chat = store::lock(tx, tenant.company, id)?;
    let before = chat.clone();
    if wanted.from.is_some_and(|from| from != chat.assignee_id && wanted.assignee != Some(chat.assignee_id)) {
        let name = chat.assignee_name.clone().unwrap_or_else(|| "Nobody".to_owned());
        return Err(Problem::conflict("assigned_meanwhile", format!("{name} has this chat by now."))
            .with_extra("assignee_id", chat.assignee_id.map(|id| id.to_string()))
            .with_extra("assignee", chat.assignee_name.clone()));
    }
    if let Some(status) = &wanted.status {
        set_status(&mut chat, kernel, status);
    }
    if let Some(assignee) = wanted.assignee
        && assignee != chat.assignee_id
    {
        let agent = match assignee {
            None => None,
            Some(user) => Some(agent::store::member(tx, tenant.company, user)?.ok_or_else(nobody)?),
        };
        assign(&mut chat, kernel, agent);
    }
    if let Some(labels) = &wanted.labels {
        chat.labels.clone_from(labels);
    }
    let changes = differences(&before, &chat);
    if changes.is_empty() {
        return Ok(chat);
    }
    if chat.labels != before.labels {
        store::set_labels(tx, tenant.company, id, &chat.labels)?;
    }
    if chat.status != before.status && chat.status == STATUSES[1] {
        report::resolved(tx, tenant.company, &chat, kernel.now())?;
    }
    store::keep(tx, kernel, tenant.company, &chat)?;
    record(tx, kernel, tenant, &chat, "update", Some(Json::Object(changes)))?;
    store::told(tx, kernel, tenant, &chat)?;
    Ok(chat)
}

fn nobody() -> Problem {
    Problem::field("assignee", "does_not_exist", "Nobody with this id works in this company.")
}

/// Gives a chat to an agent, or back to all.
pub fn assign(chat: &mut Chat, kernel: &Kernel, agent: Option<Agent>) {
    chat.assigned_at = agent.is_some().then(|| kernel.now());
    chat.assignee_id = agent.as_ref().map(|agent| agent.id);
    chat.assignee_name = agent.map(|agent| agent.name);
}

fn set_status(chat: &mut Chat, kernel: &Kernel, status: &str) {
    if chat.status == status {
        return;
    }
    status.clone_into(&mut chat.status);
    let is_resolved = status == STATUSES[1];
    chat.resolved_at = is_resolved.then(|| kernel.now());
    if is_resolved {
        // Nobody is left waiting in a chat that is done.
        chat.waiting_since = None;
    }
}

fn differences(before: &Chat, after: &Chat) -> Map<String, Json> {
    let pairs = [
        ("status", json!(before.status), json!(after.status)),
        ("assignee", json!(before.assignee_name), json!(after.assignee_name)),
        ("assignee_id", json!(before.assignee_id), json!(after.assignee_id)),
        ("labels", json!(before.labels), json!(after.labels)),
    ];
    let changed = pairs.into_iter().filter(|(_, before, after)| before != after);
    changed.map(|(name, before, after)| (name.to_owned(), json!([before, after]))).collect()
}

/// Says in the activity log what somebody did to a chat. The log is read by people who may not see numbers: it names none.
///
/// # Errors
/// The database's.
pub fn record(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    chat: &Chat,
    action: &str,
    changes: Option<Json>,
) -> Result<()> {
    let label = chat.name.as_deref().map(|name| Sight::Masked.name(name)).unwrap_or_default();
    let target = chat.id.to_string();
    let changes = changes.map(|changes| changes.to_string());
    let entry = audit::Entry { action, module: PRODUCT, resource: "chats", target: &target, label: &label, changes };
    Ok(audit::record(tx, kernel, tenant, entry)?)
}

/// Notes that somebody read a chat. The id of the customer's last message when there was anything unread: WhatsApp is told of it.
///
/// # Errors
/// 404.
pub fn read(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid) -> Result<(Chat, Option<String>)> {
    let mut chat = store::lock(tx, tenant.company, id)?;
    if chat.unread_count == 0 {
        return Ok((chat, None));
    }
    chat.unread_count = 0;
    store::keep(tx, kernel, tenant.company, &chat)?;
    store::told(tx, kernel, tenant, &chat)?;
    let last = crate::message::store::last_inbound(tx, tenant.company, id)?;
    Ok((chat, last))
}
