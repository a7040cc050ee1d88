//! Beginning a chat.

use loopd_kernel::input::Input;
use loopd_types::{Problem, Result};
use loopd_web::{Call, Reply};

use super::super::{act, store};
use super::{NAME_MOST, TEXT_MOST, answer};
use crate::address::Address;
use crate::engine::Content;
use crate::message::{self, Draft, Origin, no_ready_session};
use crate::{agent, contact, number, preference, template};

pub async fn start(call: Call) -> Result<Reply> {
    let mut input = Input::new(call.json()?, false)?;
    let to = input.required_text("to", NAME_MOST).map(|text| Address::parse(&text));
    if to == Some(None) {
        input.refuse("to", "invalid", "Write digits with the country code, or a full jid.");
    }
    let (number, text) = (input.text("number", NAME_MOST), input.text("text", TEXT_MOST));
    let template = template::asked(&mut input);
    if template.is_some() && text.as_deref().is_some_and(|text| !text.is_empty()) {
        input.refuse("template", "invalid", "A template has its own words: it is sent alone.");
    }
    input.finish()?;
    let Some(Some(to)) = to else { return Err(Problem::internal("input that was checked is gone")) };
    let (named, text) = (number.filter(|it| !it.is_empty()), text.filter(|it| !it.is_empty()));
    let (kernel, tenant) = (call.kernel.clone(), call.tenant()?.clone());
    call.commit(tenant.view(), move |tx| {
        let number = match &named {
            Some(name) => number::find_public(tx, tenant.company, name)?
                .ok_or_else(|| Problem::field("number", "does_not_exist", "There is no such number."))?,
            None => number::first_free(tx, tenant.company, kernel.now())?.ok_or_else(no_ready_session)?,
        };
        let content = match (&template, &text) {
            (Some(asked), _) => Some(template::content(tx, &number, asked)?),
            (None, text) => text.clone().map(Content::text),
        };
        let chat = if let Some(content) = content {
            if !number.is_ready() {
                return Err(no_ready_session());
            }
            let draft = Draft {
                number: &number,
                to: &to,
                content,
                origin: Origin::Agent,
                agent: agent::caller(tx, &tenant)?,
                due_at: kernel.now(),
                expires_at: None,
            };
            let preferences = preference::load(tx, tenant.company)?;
            message::enqueue(tx, &kernel, &tenant, &preferences, &draft)?.chat
        } else {
            let (mut chat, is_new) = store::lock_or_create(tx, &kernel, &number, &to, kernel.now())?;
            if is_new && !to.is_group() {
                let found = contact::of_person(tx, &kernel, &tenant, std::slice::from_ref(&to), None)?;
                chat.contact_id = found.as_ref().map(|contact| contact.id);
                chat.name = found.map(|contact| contact.name);
                store::keep(tx, &kernel, tenant.company, &chat)?;
                store::told(tx, &kernel, &tenant, &chat)?;
            }
            chat
        };
        act::record(tx, &kernel, &tenant, &chat, "start", None)?;
        answer(tx, &tenant, 201, &chat)
    })
    .await
}
