//! What callers write of a contact, in the public API's names or the management's.

use loopd_kernel::Tenant;
use loopd_kernel::input::Input;
use loopd_store::Tx;
use loopd_types::{Result, Uuid};
use loopd_web::{Schema as _, schema};
use serde_json::Value as Json;

use super::LIFECYCLES;
use super::store::Words;
use crate::agent;
use crate::mask::{Sight, masked};
use crate::ticket::input::address;

const NAME_MOST: usize = 200;
const PHONE_MOST: usize = 40;
const EMAIL_MOST: usize = 254;
const LINE_MOST: usize = 200;
const NOTES_MOST: usize = 10_000;
const TAGS_MOST: usize = 50;
const TAG_MOST: usize = 60;

/// How the fields are called whose names differ.
#[derive(Debug)]
pub struct Names {
    pub company_name: &'static str,
    pub owner: &'static str,
    pub lifetime_value: &'static str,
    pub opted_out: &'static str,
}

pub const PUBLIC: Names =
    Names { company_name: "company", owner: "ownerId", lifetime_value: "lifetimeValue", opted_out: "optedOut" };

pub const MANAGEMENT: Names =
    Names { company_name: "company_name", owner: "owner", lifetime_value: "lifetime_value", opted_out: "opted_out" };

/// Fields that were given; `Some(None)` empties one.
#[derive(Clone, Debug, Default)]
pub struct Given {
    name: Option<String>,
    phone: Option<Option<String>>,
    email: Option<Option<String>>,
    company_name: Option<Option<String>>,
    location: Option<Option<String>>,
    owner: Option<Option<Uuid>>,
    lifecycle: Option<String>,
    tags: Option<Vec<String>>,
    lifetime_value: Option<Option<String>>,
    notes: Option<Option<String>>,
    opted_out: Option<bool>,
}

/// Reads a body; name and telephone number are required unless it is `partial`.
///
/// # Errors
/// 400 with every complaint.
pub fn read(body: Json, names: &Names, partial: bool) -> Result<Given> {
    let mut input = Input::new(body, partial)?;
    let given = Given {
        name: input.required_text("name", NAME_MOST),
        phone: if partial {
            optional(&mut input, "phone", PHONE_MOST)
        } else {
            input.required_text("phone", PHONE_MOST).map(Some)
        },
        email: optional(&mut input, "email", EMAIL_MOST),
        company_name: optional(&mut input, names.company_name, LINE_MOST),
        location: optional(&mut input, "location", LINE_MOST),
        owner: if input.take_null(names.owner) { Some(None) } else { input.uuid(names.owner).map(Some) },
        lifecycle: input.choice("lifecycle", &LIFECYCLES),
        tags: input.texts("tags", TAGS_MOST, TAG_MOST).map(tidy),
        lifetime_value: optional(&mut input, names.lifetime_value, LINE_MOST),
        notes: optional(&mut input, "notes", NOTES_MOST),
        opted_out: input.boolean(names.opted_out),
    };
    if given.email.as_ref().and_then(Option::as_ref).is_some_and(|email| !email.contains('@')) {
        input.refuse("email", "invalid", "Enter a valid email address.");
    }
    input.finish()?;
    Ok(given)
}

/// Each once, without blanks around it, in the order given.
fn tidy(tags: Vec<String>) -> Vec<String> {
    let mut known: Vec<String> = Vec::with_capacity(tags.len());
    for tag in tags {
        let tag = tag.trim();
        if !tag.is_empty() && !known.iter().any(|other| other == tag) {
            known.push(tag.to_owned());
        }
    }
    known
}

fn optional(input: &mut Input, name: &'static str, most: usize) -> Option<Option<String>> {
    if input.take_null(name) {
        return Some(None);
    }
    input.text(name, most).map(|text| Some(text).filter(|text| !text.is_empty()))
}

impl Given {
    /// `words` with what was given.
    ///
    /// # Errors
    /// 400 for a telephone number that is none, and an owner who does not work here.
    pub fn apply(self, tx: &mut Tx<'_>, tenant: &Tenant, names: &Names, mut words: Words) -> Result<Words> {
        // Who may not see numbers sends back what they were shown.
        if let Some(name) = self.name.filter(|name| *name != Sight::Masked.name(&words.name) || *name == words.name) {
            words.name = name;
        }
        let is_echo =
            |sent: &Option<String>| matches!((&words.phone, sent), (Some(known), Some(sent)) if *sent == masked(known));
        if let Some(phone) = self.phone.filter(|phone| !is_echo(phone)) {
            let address = phone.as_deref().map(|phone| address(phone, "phone")).transpose()?;
            words.phone = address.and_then(|address| address.telephone());
        }
        if let Some(owner) = self.owner {
            if let Some(user) = owner.filter(|user| words.owner_id != Some(*user)) {
                agent::require_name(tx, tenant.company, user, names.owner)?;
            }
            words.owner_id = owner;
        }
        let is_echo = |sent: &Option<String>, known: &Option<String>| matches!((known, sent), (Some(known), Some(sent)) if *sent == Sight::Masked.text(known));
        for (place, given, is_veiled) in [
            (&mut words.email, self.email, true),
            (&mut words.company_name, self.company_name, true),
            (&mut words.location, self.location, true),
            (&mut words.lifetime_value, self.lifetime_value, false),
            (&mut words.notes, self.notes, false),
        ] {
            if let Some(given) = given.filter(|given| !(is_veiled && is_echo(given, place))) {
                *place = given;
            }
        }
        if let Some(lifecycle) = self.lifecycle {
            words.lifecycle = lifecycle;
        }
        if let Some(tags) = self.tags {
            words.tags = tags;
        }
        if let Some(is_opted_out) = self.opted_out
            && is_opted_out != words.is_opted_out
        {
            words.is_opted_out = is_opted_out;
            words.opt_out_reason = Some("somebody of the team".to_owned());
        }
        Ok(words)
    }
}

/// The fields' schemas.
pub fn fields(names: &Names) -> Vec<(&'static str, Json)> {
    let text = |most: usize| schema::text(0, u32::try_from(most).unwrap_or(u32::MAX)).nullable();
    vec![
        ("name", schema::text(1, NAME_MOST as u32).example("Aline Uwase")),
        ("phone", schema::text(1, PHONE_MOST as u32).describe("With country code.").example("+250788123456")),
        ("email", text(EMAIL_MOST)),
        (names.company_name, text(LINE_MOST)),
        ("location", text(LINE_MOST)),
        (names.owner, schema::uuid().nullable().describe("Somebody who works in the company.")),
        ("lifecycle", schema::one_of(LIFECYCLES).describe("`lead` unless said.")),
        ("tags", schema::array(schema::text(0, TAG_MOST as u32)).max_items(TAGS_MOST as u32)),
        (names.lifetime_value, text(LINE_MOST).describe("Free text, such as `RWF 120,000`.")),
        ("notes", text(NOTES_MOST).describe("For the team; customers never see them.")),
        (
            names.opted_out,
            schema::boolean().describe("Whether they asked not to be written to: no automation and no broadcast does."),
        ),
    ]
}
