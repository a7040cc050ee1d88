//! What a broadcast says to one of its people: its text or its template, with what is known of them.

use loopd_kernel::{Kernel, Tenant};
use loopd_store::Tx;
use loopd_types::{HOUR_US, Result, Timestamp};

use super::store::{self, Broadcast, Outcome, Recipient};
use super::turn::count_failure;
use crate::address::Address;
use crate::contact::store::{self as contacts, Card};
use crate::engine::Content;
use crate::message::{self, Draft, Origin};
use crate::number::Number;
use crate::preference::Preferences;
use crate::{mask, placeholder, template};

/// What may stand in double braces, with `|` and other words for who has none: `{{name|friend}}`. Telephone numbers are not among them:
/// what is sent stands in the thread, where agents read it.
pub const WORDS: [&str; 6] = ["name", "first_name", "email", "company_name", "location", "lifetime_value"];

/// How long words of a broadcast may wait for their line. A template waits as long as any other does.
const PATIENCE_US: i64 = HOUR_US;

/// Whose voice it is.
pub struct Line<'a> {
    pub number: &'a Number,
    pub preferences: &'a Preferences,
}

/// Somebody as far as a broadcast may tell of them.
struct Person {
    name: String,
    card: Option<Card>,
}

impl Person {
    fn of(recipient: &Recipient, card: Option<Card>) -> Self {
        let name = recipient.name.clone().or_else(|| card.as_ref().map(|card| card.words.name.clone()));
        Self { name: name.as_deref().and_then(mask::bare).unwrap_or_default(), card }
    }

    /// What a word says of them; empty where nothing is known, `None` for a word that there is not.
    fn word(&self, word: &str) -> Option<String> {
        let words = self.card.as_ref().map(|card| &card.words);
        let known = match word {
            "name" => Some(self.name.clone()),
            "first_name" => self.name.split_whitespace().next().map(str::to_owned),
            "email" => words.and_then(|words| words.email.clone()),
            "company_name" => words.and_then(|words| words.company_name.clone()),
            "location" => words.and_then(|words| words.location.clone()),
            "lifetime_value" => words.and_then(|words| words.lifetime_value.clone()),
            _ => return None,
        };
        Some(known.unwrap_or_default())
    }
}

/// Writes the message of a recipient down; `false` when nothing goes to them, and why stands with them.
///
/// # Errors
/// The database's.
pub fn say(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    line: &Line<'_>,
    broadcast: &mut Broadcast,
    recipient: &Recipient,
    now: Timestamp,
) -> Result<bool> {
    let company = tenant.company;
    let none = |status, reason| Outcome { status, reason: Some(reason), message: None };
    let Some(address) = Address::parse(&recipient.jid) else {
        store::mark(tx, company, recipient, none("failed", "no_address"), now)?;
        broadcast.failed += 1;
        return Ok(false);
    };
    if contacts::refuses(tx, company, &address)? {
        store::mark(tx, company, recipient, none("skipped", "opted_out"), now)?;
        broadcast.skipped += 1;
        return Ok(false);
    }
    let known = contacts::find_by(tx, company, &address)?;
    let card = known.map(|contact| contacts::card(tx, company, contact.id)).transpose()?;
    let person = Person::of(recipient, card);
    let queued = match said(tx, line.number, broadcast, &person)? {
        Ok(content) => {
            let patience = broadcast.template.is_none().then(|| now.plus(PATIENCE_US));
            let draft = Draft {
                number: line.number,
                to: &address,
                content,
                origin: Origin::Broadcast,
                agent: None,
                due_at: now,
                expires_at: patience,
            };
            match tx.attempt(|tx| message::enqueue(tx, kernel, tenant, line.preferences, &draft)) {
                Ok(queued) => Ok(queued.message.id),
                // This one cannot be written to: the others can.
                Err(problem) if message::is_refused(&problem) => Err(problem.code().to_owned()),
                Err(problem) => return Err(problem),
            }
        }
        Err(code) => Err(code),
    };
    match queued {
        Ok(message) => {
            let outcome = Outcome { status: "sending", reason: None, message: Some(message) };
            store::mark(tx, company, recipient, outcome, now)?;
            Ok(true)
        }
        Err(code) => {
            store::mark(tx, company, recipient, none("failed", &code), now)?;
            broadcast.failed += 1;
            count_failure(broadcast, &code);
            Ok(false)
        }
    }
}

/// What this person reads, or why there is nothing for them: `no_email` where a template says an address that nobody knows.
fn said(tx: &mut Tx<'_>, number: &Number, broadcast: &Broadcast, person: &Person) -> Result<Result<Content, String>> {
    let Some(asked) = &broadcast.template else {
        let text = placeholder::render(&broadcast.message, |text| placeholder::or_else(text, |word| person.word(word)));
        return Ok(Ok(Content::text(text)));
    };
    let filled = match asked.filled(|word| person.word(word)) {
        Ok(filled) => filled,
        Err(word) => return Ok(Err(format!("no_{word}"))),
    };
    match template::content(tx, number, &filled) {
        Ok(content) => Ok(Ok(content)),
        Err(problem) if message::is_refused(&problem) => Ok(Err("template_mismatch".to_owned())),
        Err(problem) => Err(problem),
    }
}
