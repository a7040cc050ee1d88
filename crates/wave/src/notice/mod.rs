//! The kernel's [`Messenger`]: what other products want said (a reminder, an invoice) goes out as a message of the company's number, in
//! the transaction that asks for it, and stands in the chat with what it is about.
//!
//! A notice is no broadcast and no answer: it is said to one person, because of one record of theirs. Who asked not to be written to is not;
//! nothing goes out while the company is quiet or its number rests; and each is said once, whatever is repeated. Where the customer's window
//! will be closed when it goes out, it is the template that the company has named for it ([`templates`]), or it is not said.

mod store;
mod templates;

use std::sync::Arc;

use loopd_kernel::messenger::{Messenger, Notice, Said, Why};
use loopd_kernel::subscription::rules::Openness;
use loopd_kernel::{Kernel, Tenant};
use loopd_store::Tx;
use loopd_types::{Result, Timestamp, Uuid};
use serde_json::json;

use crate::address::Address;
use crate::engine::Content;
use crate::license::{self, Mode};
use crate::link::{self, How};
use crate::message::{self, Draft, Origin};
use crate::number::Number;
use crate::{PRODUCT, Wave, contact, preference, template, window};

pub use templates::Templates;

/// Says notices by the company's numbers.
pub struct Waves(pub Arc<Wave>);

impl Messenger for Waves {
    fn may_say(&self, tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant) -> Result<bool> {
        let now = kernel.now();
        if tenant.openness(PRODUCT, now) != Openness::Open {
            return Ok(false);
        }
        let settings = &self.0.settings.license;
        if settings.mode == Mode::Monitor {
            return Ok(true);
        }
        let judge = license::store::judge(settings, kernel, None);
        Ok(!license::store::status(tx, &judge, tenant.company, now)?.state.locks())
    }

    fn say(&self, tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, notice: &Notice<'_>) -> Result<Said> {
        if !self.may_say(tx, kernel, tenant)? {
            return Ok(Said::Unsaid(Why::NoMessenger));
        }
        let Some(to) = Address::phone(notice.phone) else { return Ok(Said::Unsaid(Why::NoPhone)) };
        if !store::claim(tx, tenant.company, notice.reference, kernel.now())? {
            return Ok(Said::Before);
        }
        let said = self.said(tx, kernel, tenant, notice, &to)?;
        match said {
            Ok(message) => {
                store::keep(tx, tenant.company, notice.reference, message)?;
                Ok(Said::OnItsWay { message })
            }
            // It may be tried again when what was in the way is not.
            Err(why) => {
                store::release(tx, tenant.company, notice.reference)?;
                Ok(Said::Unsaid(why))
            }
        }
    }

    fn met(&self, tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, phone: &str) -> Result<()> {
        let Some(address) = Address::phone(phone) else { return Ok(()) };
        let Some(contact) = contact::store::find_by(tx, tenant.company, &address)? else { return Ok(()) };
        match link::matched(tx, kernel, tenant, contact.id, &[address]) {
            // The record is not in the way of its being written.
            Err(problem) if problem.code() == link::store::TOO_MANY => Ok(()),
            done => done.map(drop),
        }
    }
}

impl Waves {
    /// The message that was written down, or why none was.
    fn said(
        &self,
        tx: &mut Tx<'_>,
        kernel: &Kernel,
        tenant: &Tenant,
        notice: &Notice<'_>,
        to: &Address,
    ) -> Result<Result<Uuid, Why>> {
        let (company, now) = (tenant.company, kernel.now());
        if contact::store::refuses(tx, company, to)? {
            return Ok(Err(Why::OptedOut));
        }
        let Some(number) = store::line(tx, company, to, now)? else { return Ok(Err(Why::NoLine)) };
        if number.is_paused(now) {
            return Ok(Err(Why::LineRests));
        }
        let preferences = preference::load(tx, company)?;
        let due_at = preferences.pacing.quiet_until(now, tenant.timezone()).unwrap_or(now);
        if notice.expires_at.is_some_and(|until| until <= due_at) {
            return Ok(Err(Why::Quiet));
        }
        let content = match self.is_shut(tx, &number, to, due_at)? {
            false => Content::text(notice.text),
            true => match by_template(tx, &number, &preferences.notice_templates, notice)? {
                Ok(content) => content,
                Err(why) => return Ok(Err(why)),
            },
        };
        // Before the message: who is not known yet is called as the record calls them, and not by their number.
        let known = contact::of_person(tx, kernel, tenant, std::slice::from_ref(to), Some(notice.name))?;
        let mut extra = content.extra.clone();
        extra["about"] = json!({
            "module": notice.module, "resource": notice.resource, "id": notice.id.to_string(), "label": notice.label,
        });
        let draft = Draft {
            number: &number,
            to,
            content: Content { extra, ..content },
            origin: Origin::System,
            agent: None,
            due_at,
            expires_at: notice.expires_at,
        };
        let queued = message::enqueue(tx, kernel, tenant, &preferences, &draft)?;
        if let (Some(contact), Some((resource, record))) = (known, notice.person) {
            link::store::add(tx, kernel, tenant, &link::Owner::contact(contact.id), resource, record, How::Notice)?;
        }
        Ok(Ok(queued.message.id))
    }

    /// Whether this person will have to write first at that moment.
    fn is_shut(&self, tx: &mut Tx<'_>, number: &Number, to: &Address, at: Timestamp) -> Result<bool> {
        if !self.0.engine(&number.engine).is_some_and(|engine| engine.abilities().window) {
            return Ok(false);
        }
        let last = store::last_inbound(tx, number, to)?;
        Ok(last.is_none_or(|last| last.plus(window::OPEN_US) <= at))
    }
}

/// A notice as the template says it that the company has named for it, or why it cannot be said.
fn by_template(
    tx: &mut Tx<'_>,
    number: &Number,
    templates: &Templates,
    notice: &Notice<'_>,
) -> Result<Result<Content, Why>> {
    let Some(asked) = templates.chosen(notice) else { return Ok(Err(Why::WindowClosed)) };
    let value = |word: &str| notice.words.iter().find(|(known, _)| *known == word).map(|(_, said)| (*said).to_owned());
    let Ok(filled) = asked.filled(value) else { return Ok(Err(Why::TemplateRefused)) };
    match template::content(tx, number, &filled) {
        Ok(content) => Ok(Ok(content)),
        Err(problem) if message::is_refused(&problem) => Ok(Err(Why::TemplateRefused)),
        Err(problem) => Err(problem),
    }
}
