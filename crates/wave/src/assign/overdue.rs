//! What happens when a customer waits longer than they should.

use loopd_kernel::mail::{self, Letter, Template};
use loopd_kernel::{Kernel, Tenant};
use loopd_store::Tx;
use loopd_types::Result;
use serde_json::json;

use super::rules::Targets;
use super::store::{self, Due};
use crate::chat::{Chat, act, wire};
use crate::mask::Sight;
use crate::{PRODUCT, agent, event, ticket};

/// Tells of a target that was missed: in the activity log, as an event, and as the rules say by mail and in the chat's tickets.
///
/// # Errors
/// The database's.
pub fn tell(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    targets: &Targets,
    chat: &Chat,
    due: &Due,
) -> Result<()> {
    let target = due.kind.as_str();
    let changes = json!({"target": target, "since": due.since.to_string(), "due_at": due.due_at.to_string()});
    act::record(tx, kernel, tenant, chat, "overdue", Some(changes))?;
    let (mut data, shown) = wire::payload(tx, tenant.company, chat)?;
    data["target"] = json!(target);
    data["since"] = json!(due.since.to_millis());
    data["dueAt"] = json!(due.due_at.to_millis());
    let subject = format!("{PRODUCT}/chats/{}", chat.id);
    event::emit(tx, kernel, tenant, "loopwave.chats.overdue", &subject, data, Some(shown))?;
    if targets.raise_priority {
        raise(tx, kernel, tenant, chat)?;
    }
    if targets.mail {
        write(tx, kernel, tenant, chat, due)?;
    }
    Ok(())
}

/// One priority more for each ticket of the chat that is not done.
fn raise(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, chat: &Chat) -> Result<()> {
    for id in store::open_tickets(tx, tenant.company, chat.id)? {
        let before = ticket::store::lock(tx, tenant.company, id)?;
        let place = ticket::PRIORITIES.iter().position(|known| *known == before.content.priority).unwrap_or_default();
        let Some(next) = ticket::PRIORITIES.get(place + 1) else { continue };
        let content = ticket::Content { priority: (*next).to_owned(), ..before.content.clone() };
        ticket::store::change(tx, kernel, tenant, &before, &content)?;
    }
    Ok(())
}

/// Whoever answers for the company hears of it; the customer's number does not leave the house.
fn write(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, chat: &Chat, due: &Due) -> Result<()> {
    let name = chat.name.as_deref().map_or_else(|| "…".to_owned(), |name| Sight::Masked.name(name));
    let agent = chat.assignee_name.clone();
    for (to, language) in agent::store::administrators(tx, tenant.company)? {
        let template = Template::ChatOverdue {
            company: tenant.company_name(),
            customer: &name,
            agent: agent.as_deref(),
            is_answered: due.kind == store::Kind::Resolution,
            since: due.since,
        };
        let letter = Letter { company: tenant.company, to: &to, language: &language, template };
        mail::queue(tx, kernel, &letter)?;
    }
    Ok(())
}
