//! The public form: whoever has its address opens a ticket, without an account.
//!
//! Against machines: a field that no person sees, a seal on the page that says when it was opened (nobody writes a sentence in two
//! seconds, and a page is no recipe for ever), a limit of links, one ticket for the same words of one person in a day, and budgets by
//! network address and by company.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use loopd_kernel::input::Input;
use loopd_kernel::limit::Rate;
use loopd_kernel::subscription::rules::Openness;
use loopd_kernel::{Kernel, Tenant};
use loopd_store::Tx;
use loopd_types::{CompanyCode, DAY_US, Problem, Result, SECOND_US, Secret, Timestamp, sha256_hex};
use loopd_web::Call;
use serde_json::Value as Json;

use super::{Intake, store};
use crate::address::Address;
use crate::ticket::{self, Content, tag};
use crate::{PRODUCT, contact, preference};

pub const NAME_MOST: usize = 120;
pub const SUBJECT_MOST: usize = 200;
pub const MESSAGE_MOST: usize = 5000;
pub const PHONE_MOST: usize = 40;
pub const EMAIL_MOST: usize = 254;

/// How soon a person can have filled the form in.
const SOONEST_US: i64 = 2 * SECOND_US;
/// How long a page that was opened can be sent.
const LATEST_US: i64 = DAY_US;
/// Links of one message; advertisements have more.
const LINKS_MOST: usize = 2;
/// The same words open one ticket in this time.
const SAME_US: i64 = DAY_US;

const ADDRESS_RATE: Rate = Rate::per_minute("loopwave-form", 5);
const COMPANY_RATE: Rate = Rate::per_minute("loopwave-form-company", 60);

/// An open form.
#[derive(Clone, Debug)]
pub struct Form {
    pub tenant: Arc<Tenant>,
    pub intake: Intake,
}

/// What somebody wrote.
#[derive(Clone, Debug)]
pub struct Entry {
    pub name: String,
    pub phone: String,
    pub email: String,
    pub subject: String,
    pub message: String,
    /// The trap: people leave it empty.
    website: String,
    started: String,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The ticket's reference; the same again for the same words.
    Opened(String),
    /// It came from a machine, which is told nothing.
    Dropped,
}

/// The form at `<company>-<token>`.
///
/// # Errors
/// 404 for what leads nowhere, a form that is off, and a company that does not work: all alike.
pub async fn find(call: &Call, address: &str) -> Result<Form> {
    let kernel = &call.kernel;
    let (code, token) = address.split_once('-').ok_or_else(Problem::not_found)?;
    let company = CompanyCode::parse(code).ok_or_else(Problem::not_found)?.0;
    let access = kernel.company_access(company).await?.ok_or_else(Problem::not_found)?;
    let is_open = !matches!(access.status.as_str(), "suspended" | "closed")
        && access.openness(PRODUCT, kernel.now()) == Openness::Open;
    let mut tenant = Tenant::system(access, "the public form");
    tenant.actor.origin = Some(call.caller.origin.clone());
    let read = move |reader: &mut loopd_store::Reader<'_>| Ok(preference::load(reader, company)?.intake);
    let intake = kernel.db.read(tenant.view(), read).await?;
    let is_token = !intake.form_token.is_empty() && Secret::new(intake.form_token.clone()).matches(token.as_bytes());
    if !(is_open && intake.form_enabled && is_token) {
        return Err(Problem::not_found());
    }
    Ok(Form { tenant: Arc::new(tenant), intake })
}

impl Form {
    /// What the company calls it; its own name unless it said something else.
    pub fn title(&self) -> &str {
        if self.intake.form_title.is_empty() { self.tenant.company_name() } else { &self.intake.form_title }
    }

    /// What the page says above its fields: what the form is called, and whose it is.
    pub fn heading(&self) -> String {
        let (title, company) = (self.title(), self.tenant.company_name());
        if title.contains(company) { title.to_owned() } else { format!("{title} · {company}") }
    }

    fn purpose(&self) -> String {
        format!("loopwave form of {}", self.tenant.company.0)
    }

    /// The seal of a page that is opened now.
    ///
    /// # Errors
    /// 500 when nothing can be sealed.
    pub fn begin(&self, kernel: &Kernel) -> Result<String> {
        let now = kernel.now().0.to_be_bytes();
        Ok(URL_SAFE_NO_PAD.encode(kernel.vault.seal(kernel.rng.as_ref(), &self.purpose(), &now)?))
    }

    /// When the page of this seal was opened.
    fn begun(&self, kernel: &Kernel, started: &str) -> Option<Timestamp> {
        let sealed = URL_SAFE_NO_PAD.decode(started).ok()?;
        let plain = kernel.vault.open(&self.purpose(), &sealed).ok()?;
        Some(Timestamp(i64::from_be_bytes(plain.try_into().ok()?)))
    }

    /// Takes what somebody wrote.
    ///
    /// # Errors
    /// 400 with what is wrong with it; 429 when too much comes from one network address, or to one company; 503 from the database.
    pub async fn submit(&self, call: &Call, entry: Entry) -> Result<Outcome> {
        let kernel = call.kernel.clone();
        let (address, company) = (call.caller.origin.address.to_string(), self.tenant.company.0.to_string());
        for (rate, subject) in [(ADDRESS_RATE, address), (COMPANY_RATE, company)] {
            kernel.limits.hit(rate, &subject, kernel.now()).await.require()?;
        }
        if !entry.website.is_empty() {
            return Ok(Outcome::Dropped);
        }
        let content = self.content(&kernel, &entry)?;
        let digest = digest(&content);
        let (tenant, shared) = (self.tenant.clone(), kernel.clone());
        let opened = kernel.db.write(tenant.view(), move |tx| open(tx, &shared, &tenant, &content, &digest)).await?;
        Ok(Outcome::Opened(opened))
    }

    fn content(&self, kernel: &Kernel, entry: &Entry) -> Result<Content> {
        let mut problem = Problem::validation();
        let age = self.begun(kernel, &entry.started).map(|at| kernel.now().0 - at.0);
        match age {
            Some(age) if (SOONEST_US..=LATEST_US).contains(&age) => {}
            Some(age) if (0..SOONEST_US).contains(&age) => {
                problem.add_field("started", "too_fast", "That was very fast. Look it over and send it again.");
            }
            _ => problem.add_field("started", "expired", "This page was open for too long. Send it again."),
        }
        let phone = Some(entry.phone.as_str()).filter(|phone| !phone.is_empty()).map(Address::phone);
        match &phone {
            Some(None) => problem.add_field("phone", "invalid", "Write the telephone number with its country code."),
            None if entry.email.is_empty() => {
                problem.add_field("phone", "required", "Give a telephone number or an email address to answer to.");
            }
            _ => {}
        }
        let is_email = entry.email.split_once('@').is_some_and(|(user, host)| !user.is_empty() && host.contains('.'));
        if !entry.email.is_empty() && (!is_email || entry.email.contains(char::is_whitespace)) {
            problem.add_field("email", "invalid", "Enter a valid email address.");
        }
        if links(&entry.subject) + links(&entry.message) > LINKS_MOST {
            problem.add_field("message", "too_many_links", "Leave out the links.");
        }
        if problem.has_fields() {
            return Err(problem);
        }
        Ok(Content {
            description: entry.message.clone(),
            customer_name: Some(entry.name.clone()),
            customer_phone: phone.flatten().and_then(|address| address.telephone()),
            customer_email: Some(entry.email.clone()).filter(|email| !email.is_empty()),
            tag: Some(tag::FORM.to_owned()),
            ..Content::of(entry.subject.clone())
        })
    }
}

fn open(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, content: &Content, digest: &str) -> Result<String> {
    let now = kernel.now();
    // Two presses of the button at once are one ticket.
    tx.lock(&format!("wave_form:{}:{digest}", tenant.company.0))?;
    if let Some(reference) = store::opened_since(tx, tenant.company, digest, now.plus(-SAME_US))? {
        return Ok(reference);
    }
    let mut content = content.clone();
    if let Some(address) = content.customer_phone.as_deref().and_then(Address::phone) {
        content.contact_id = contact::store::find_by(tx, tenant.company, &address)?.map(|found| found.id);
    }
    let ticket = ticket::create(tx, kernel, tenant, &content)?;
    store::remember(tx, tenant.company, digest, ticket.id, now)?;
    Ok(ticket.reference)
}

/// The same for the same words of the same person.
fn digest(content: &Content) -> String {
    let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    let phone = content.customer_phone.as_deref().unwrap_or_default();
    let email = plain(content.customer_email.as_deref().unwrap_or_default());
    let whole = [phone, &email, &plain(&content.subject), &plain(&content.description)].join("\u{1f}");
    sha256_hex(whole.as_bytes())
}

/// Addresses of pages in a text.
fn links(text: &str) -> usize {
    let text = text.to_lowercase();
    let www = text.match_indices("www.").filter(|(at, _)| !text[..*at].ends_with("://")).count();
    text.matches("http://").count() + text.matches("https://").count() + www
}

impl Entry {
    /// Reads what was sent.
    ///
    /// # Errors
    /// 400 with every complaint.
    pub fn read(body: Json) -> Result<Self> {
        let mut input = Input::new(body, false)?;
        let name = input.required_text("name", NAME_MOST);
        let subject = input.required_text("subject", SUBJECT_MOST);
        let optional = |input: &mut Input, name, most| input.text(name, most).unwrap_or_default();
        let entry = Self {
            phone: optional(&mut input, "phone", PHONE_MOST),
            email: optional(&mut input, "email", EMAIL_MOST),
            message: optional(&mut input, "message", MESSAGE_MOST),
            website: optional(&mut input, "website", 2000),
            started: optional(&mut input, "started", 500),
            name: name.unwrap_or_default(),
            subject: subject.unwrap_or_default(),
        };
        input.finish()?;
        Ok(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_counted_once_each() {
        assert_eq!(links("see https://www.a.rw and WWW.b.rw, http://c"), 3);
        assert_eq!(links("no links. none"), 0);
    }

    #[test]
    fn the_same_words_are_the_same_however_they_are_spaced() {
        let of = |subject: &str, phone: &str| {
            digest(&Content { customer_phone: Some(phone.to_owned()), ..Content::of(subject) })
        };
        assert_eq!(of("No  Parcel ", "+250788123456"), of("no parcel", "+250788123456"));
        assert_ne!(of("no parcel", "+250788123457"), of("no parcel", "+250788123456"));
    }
}
