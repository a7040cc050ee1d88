//! Webhooks under the names of the original's pages: endpoints of the kernel's with Loopwave's scheme. Their deliveries, tests, replays
//! and secrets are the kernel's (`/api/v1/webhook-endpoints/{id}/…`, `/api/v1/webhook-deliveries/`).

mod http;

use loopd_kernel::listing::{Column, ColumnKind, Listing, column, searched};

use crate::PRODUCT;

pub use http::{components, operations};

/// What can be subscribed to, by the name on the wire: the five of the original's pages first, then ours.
pub const EVENTS: [&str; 13] = [
    "message.created",
    "chats.updated",
    "session.status",
    "session.removed",
    "broadcast.progress",
    "message.updated",
    "chat.overdue",
    "contact.created",
    "contact.updated",
    "contact.deleted",
    "ticket.created",
    "ticket.updated",
    "ticket.deleted",
];

/// Our name of an event: `ticket.created` is `loopwave.tickets.created`.
pub fn kind_of(event: &str) -> String {
    if let Some((ours, _)) = crate::event::NAMES.iter().find(|(_, name)| *name == event) {
        return (*ours).to_owned();
    }
    match event.split_once('.') {
        Some((noun, act)) => format!("{PRODUCT}.{noun}s.{act}"),
        None => format!("{PRODUCT}.{event}"),
    }
}

pub const LISTING: Listing = Listing {
    from: "(SELECT * FROM webhook_endpoints WHERE status <> 'deleted' AND scheme = 'loopwave' AND about IS NULL) w",
    columns: &COLUMNS,
    company: Some("w.company_id"),
    id: "w.id",
    order: "w.company_id, w.id",
};
const COLUMNS: [Column; 11] = [
    column("id", "w.id", ColumnKind::Uuid),
    column("company", "w.company_id", ColumnKind::Company),
    searched("url", "w.url"),
    searched("description", "w.description"),
    column("events", "w.events", ColumnKind::Json),
    column("status", "w.status", ColumnKind::Text),
    column("disabled_reason", "w.disabled_reason", ColumnKind::Text).nullable(),
    column("last_success_at", "w.last_success_at", ColumnKind::Time).nullable(),
    column("last_failure_at", "w.last_failure_at", ColumnKind::Time).nullable(),
    column("created_at", "w.created_at", ColumnKind::Time),
    column("updated_at", "w.updated_at", ColumnKind::Time),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::wire_name;

    #[test]
    fn every_event_is_found_again_by_its_name() {
        for event in EVENTS {
            assert_eq!(wire_name(&kind_of(event)), event);
        }
    }
}
