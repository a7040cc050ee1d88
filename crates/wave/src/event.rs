//! What Loopwave tells: events of the company's log, and how its webhooks write them (spec/loopwave.md 2).

use loopd_kernel::event::log::Event;
use loopd_kernel::event::{self, veil};
use loopd_kernel::webhook::{Scheme, Signing, sign};
use loopd_kernel::{Kernel, Tenant};
use loopd_store::Tx;
use loopd_types::Result;
use serde_json::{Value as Json, json};

use crate::mask::SEE_NUMBERS;
use crate::number::Number;

/// The scheme's name.
pub const SCHEME: &str = "loopwave";

/// Our events, and what the original's pages call them. Others go out under their name in our log without the product's.
pub(crate) const NAMES: [(&str, &str); 5] = [
    ("loopwave.messages.created", "message.created"),
    ("loopwave.chats.updated", "chats.updated"),
    ("loopwave.numbers.status", "session.status"),
    ("loopwave.numbers.removed", "session.removed"),
    ("loopwave.broadcasts.progress", "broadcast.progress"),
];

/// The name of an event on the wire: `loopwave.tickets.created` is `ticket.created`.
pub fn wire_name(kind: &str) -> String {
    if let Some((_, name)) = NAMES.iter().find(|(ours, _)| *ours == kind) {
        return (*name).to_owned();
    }
    let bare = kind.strip_prefix("loopwave.").unwrap_or(kind);
    match bare.split_once('.') {
        Some((noun, act)) => format!("{}.{act}", noun.strip_suffix('s').unwrap_or(noun)),
        None => bare.to_owned(),
    }
}

/// Emits `loopwave.<noun>.<act>`; `masked` is what people who may not see numbers are shown in place of its members.
///
/// # Errors
/// As [`event::emit`].
pub fn emit(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    kind: &str,
    subject: &str,
    data: Json,
    masked: Option<Json>,
) -> Result<()> {
    let payload = match masked {
        Some(masked) => veil::veiled(data, SEE_NUMBERS, masked),
        None => data,
    };
    event::emit(tx, kernel, tenant, kind, subject, payload.to_string())
}

/// What is told of a line.
#[derive(Clone, Copy, Debug)]
pub enum Line {
    Status,
    Removed,
}

/// A line's state changed, or it is gone. The shop's own number is no customer's: nothing is masked.
///
/// # Errors
/// As [`event::emit`].
pub fn number(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, number: &Number, line: Line) -> Result<()> {
    let kind = match line {
        Line::Status => "loopwave.numbers.status",
        Line::Removed => "loopwave.numbers.removed",
    };
    let data = json!({
        "id": number.public_id, "label": number.label, "phone": number.phone, "engine": number.engine,
        "status": number.state.as_str(), "reason": number.state_reason,
        "pausedUntil": number.paused_until.map(|at| at.to_string()), "pauseReason": number.pause_reason,
    });
    emit(tx, kernel, tenant, kind, &format!("loopwave/numbers/{}", number.id), data, None)
}

/// `{event, data, timestamp}` under `X-Loopwave-Signature: sha256=<hex>`: HMAC-SHA256 over the body.
pub struct Loopwave;

impl Scheme for Loopwave {
    fn body(&self, event: &Event) -> Vec<u8> {
        let mut body = format!("{{\"event\":{},\"data\":", Json::from(wire_name(&event.kind))).into_bytes();
        body.extend_from_slice(event.payload.as_bytes());
        body.extend_from_slice(format!(",\"timestamp\":\"{}\"}}", event.created_at.to_millis()).as_bytes());
        body
    }

    fn headers(&self, signing: &Signing<'_>) -> Vec<(&'static str, String)> {
        // One signature: its receivers read one. While a secret is rotated it is the new one's.
        let signature = signing.secrets.first().map(|secret| sign(secret, &[signing.body])).unwrap_or_default();
        vec![
            ("X-Loopwave-Signature", format!("sha256={signature}")),
            ("X-Loopwave-Event", wire_name(&signing.event.kind)),
            // The same at every attempt and every replay.
            ("X-Loopwave-Delivery", signing.event.id.to_string()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_have_the_names_of_the_pages() {
        for (kind, name) in NAMES {
            assert_eq!(wire_name(kind), name);
        }
        assert_eq!(wire_name("loopwave.tickets.created"), "ticket.created");
        assert_eq!(wire_name("loopwave.contacts.updated"), "contact.updated");
    }
}
