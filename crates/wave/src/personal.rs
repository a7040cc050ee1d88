//! What Loopwave's tables tell of people, as the kernel's erasures read it. When a company erases somebody, their contact, chats, messages,
//! tickets and notes stay as rows without a word of them; by what they are known goes (`kernel/src/erasure/identities.rs`).

use loopd_kernel::erasure::records::{Blank, Blanked, Records, Sent};
use loopd_store::{Value, migrate};

/// The tables that hold customers, and what goes from a row about one of them.
pub fn records() -> Vec<Records> {
    vec![
        Records {
            contacts: names(&["phone", "email"]),
            names: names(&["name"]),
            blanks: vec![
                name("name"),
                gone("phone"),
                gone("email"),
                gone("company_name"),
                gone("location"),
                gone("lifetime_value"),
                gone("notes"),
                gone("opt_out_reason"),
                gone("linked_record"),
                to("tags", Value::Json("[]".into())),
            ],
            told: vec![name("name"), gone("phone"), gone("email")],
            ..of("wave_contacts", "loopwave/contacts", &["id"])
        },
        Records {
            contacts: names(&["jid"]),
            blanks: vec![own("jid"), name("name"), gone("last_text")],
            told: vec![name("name"), gone("chatId"), gone("phone"), gone("lastMessage")],
            ..of("wave_chats", "loopwave/chats", &["id", "contact_id"])
        },
        Records {
            // WhatsApp's own ids hold the number that they went to.
            blanks: vec![gone("text"), gone("details"), gone("failure_words"), gone("wa_id")],
            told: [
                "text",
                "chatId",
                "replyTo",
                "name",
                "mediaUrl",
                "error",
                "location",
                "contacts",
                "choice",
                "authorName",
            ]
            .map(gone)
            .to_vec(),
            sent: Some(Sent {
                column: "details".to_owned(),
                about: "/media".to_owned(),
                file: "/media/file".to_owned(),
                unless: "from_me".to_owned(),
            }),
            ..of("wave_messages", "loopwave/messages", &["id", "chat_id"])
        },
        Records {
            contacts: names(&["customer_phone", "customer_email"]),
            names: names(&["customer_name"]),
            blanks: vec![
                name("subject"),
                to("description", Value::from("")),
                name("customer_name"),
                gone("customer_phone"),
                gone("customer_email"),
            ],
            told: ["subject", "description", "customerName", "customerPhone", "customerEmail"]
                .into_iter()
                .chain(["customer_name", "customer_phone", "customer_email"])
                .map(gone)
                .collect(),
            ..of("wave_tickets", "loopwave/tickets", &["id", "contact_id", "chat_id"])
        },
        Records {
            blanks: vec![to("body", Value::from(""))],
            told: vec![gone("body")],
            ..of("wave_ticket_comments", "loopwave/ticket-comments", &["id", "ticket_id"])
        },
        Records {
            blanks: vec![to("text", Value::from(""))],
            told: vec![gone("text")],
            ..of("wave_notes", "loopwave/notes", &["id", "chat_id"])
        },
        Records { lists: names(&["cells", "refusals"]), ..of("wave_contact_import_chunks", "", &[]) },
        Records {
            contacts: names(&["jid"]),
            names: names(&["name"]),
            blanks: vec![own("jid"), gone("name")],
            ..of("wave_broadcast_recipients", "", &[])
        },
        Records {
            contacts: names(&["jid"]),
            names: names(&["name"]),
            blanks: vec![
                own("jid"),
                gone("name"),
                gone("author"),
                gone("wa_id"),
                to("content", Value::Json("{}".into())),
            ],
            ..of("wave_sandbox_past", "", &[])
        },
    ]
}

fn of(table: &str, path: &str, about: &[&str]) -> Records {
    let table = migrate::tables().into_iter().find(|known| known.name == table);
    Records {
        table: table.expect("a table of the numbered migrations"),
        path: path.to_owned(),
        event: path.replace('/', "."),
        about: names(about),
        contacts: Vec::new(),
        names: Vec::new(),
        blanks: Vec::new(),
        told: Vec::new(),
        fixed: Vec::new(),
        lists: Vec::new(),
        kept_by: None,
        holders: Vec::new(),
        sent: None,
    }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn blanked(column: &str, with: Blank) -> Blanked {
    Blanked { column: column.to_owned(), with, is_particular: false }
}

fn gone(column: &str) -> Blanked {
    to(column, Value::Null)
}

fn to(column: &str, value: Value) -> Blanked {
    blanked(column, Blank::To(value))
}

fn name(column: &str) -> Blanked {
    blanked(column, Blank::Name)
}

/// Where two rows may not be alike.
fn own(column: &str) -> Blanked {
    blanked(column, Blank::Own { is_email: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_is_a_column_and_what_must_be_there_is_not_emptied() {
        for records in records() {
            let table = &records.table;
            let column = |name: &str| {
                let found = table.columns.iter().find(|column| column.name == name);
                found.unwrap_or_else(|| panic!("{}.{name} is no column", table.name))
            };
            for blank in &records.blanks {
                let is_emptied = blank.with == Blank::To(Value::Null);
                assert!(!is_emptied || column(&blank.column).nullable, "{}.{}", table.name, blank.column);
            }
            let sent = records.sent.iter().flat_map(|sent| [&sent.column, &sent.unless]);
            for name in records.about.iter().chain(&records.contacts).chain(&records.names).chain(sent) {
                column(name);
            }
        }
    }
}
