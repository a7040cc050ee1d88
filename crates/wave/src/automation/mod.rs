//! Automations: replies by rule, held back by four guards that are claimed in the transaction that takes the message, before the delay
//! (spec/loopwave.md 4.9 and 4.10). So two messages at once never both pass.

pub mod http;
mod rules;
mod skip;
pub mod store;

use loopd_kernel::{Kernel, Tenant};
use loopd_store::Tx;
use loopd_types::{MINUTE_US, Result, Rng, SECOND_US, Uuid};

use crate::chat::{self, Chat};
use crate::claim::{self, Budget};
use crate::engine::Content;
use crate::message::{self, Draft, Message, Origin};
use crate::number::Number;
use crate::preference::Preferences;
use crate::{contact, mask, placeholder};

pub use skip::{Skip, count};

/// What a rule answers to.
pub const TRIGGERS: [&str; 3] = ["keyword", "welcome", "all"];

/// How a keyword is looked for; all without regard to case.
pub const MODES: [&str; 3] = ["contains", "exact", "starts"];

/// Automatic replies of a company in a minute, over all its chats.
const BUDGET: Budget = Budget { most: 8, window_us: MINUTE_US };

/// A person needs a moment to write.
const DELAY_LEAST_US: i64 = 3 * SECOND_US;
const DELAY_MOST_US: i64 = 9 * SECOND_US;

/// A reply that its line could not carry by then is not sent: it is skipped, not queued.
const PATIENCE_US: i64 = 20 * SECOND_US;

/// A rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    pub id: Uuid,
    pub content: Words,
}

/// What administrators write of a rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Words {
    pub name: String,
    pub is_enabled: bool,
    pub trigger: String,
    /// What `keyword` looks for.
    pub matches: String,
    pub mode: String,
    pub response: String,
    /// `None`: all numbers.
    pub number_id: Option<Uuid>,
    pub reply_to_groups: bool,
    pub cooldown_minutes: i64,
    /// The lowest comes first; the first that matches answers, and no other.
    pub position: i64,
}

/// Answers a message where a rule says so and every guard lets it pass; else counts why not.
///
/// # Errors
/// 503 from the database.
pub fn on_inbound(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    preferences: &Preferences,
    number: &Number,
    chat: &mut Chat,
    message: &Message,
) -> Result<()> {
    let enabled = store::enabled(tx, tenant.company)?;
    if enabled.is_empty() {
        return Ok(());
    }
    match passed(tx, kernel, tenant, &enabled, number, chat, message)? {
        Ok(rule) => {
            count(tx, tenant.company, chat.id, None)?;
            reply(tx, kernel, tenant, preferences, number, chat, rule)
        }
        Err(skip) => Ok(count(tx, tenant.company, chat.id, Some(skip))?),
    }
}

/// The rule that may answer, its guards claimed; or why none does.
fn passed<'r>(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    enabled: &'r [Rule],
    number: &Number,
    chat: &Chat,
    message: &Message,
) -> Result<Result<&'r Rule, Skip>> {
    let company = tenant.company;
    let is_first = if enabled.iter().any(|rule| rule.content.trigger == "welcome") {
        chat::store::is_first_inbound(tx, company, chat, message.id)?
    } else {
        false
    };
    let text = message.content.text.as_deref().unwrap_or_default();
    let asked = rules::Asked { text, is_first, is_group: chat.is_group, number: number.id };
    let Some(rule) = enabled.iter().find(|rule| rules::answers(&rule.content, &asked)) else {
        return Ok(Err(Skip::NoMatch));
    };
    let cooldown = rule.content.cooldown_minutes * MINUTE_US;
    let skip = guard(tx, kernel, tenant, number, chat, (claim::REPLY, cooldown))?;
    Ok(skip.map_or(Ok(rule), Err))
}

/// Claims the right to write to a chat by itself, past every guard against bans; or why it may not. `what` was not done in the chat for
/// so long.
///
/// # Errors
/// 503 from the database.
pub(crate) fn guard(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    number: &Number,
    chat: &Chat,
    (what, cooldown_us): (&str, i64),
) -> Result<Option<Skip>> {
    let (company, now) = (tenant.company, kernel.now());
    if chat.quiet_until.is_some_and(|until| until > now) {
        return Ok(Some(Skip::PersonAnswered));
    }
    if let Some(id) = chat.contact_id
        && contact::store::is_opted_out(tx, company, id)?
    {
        return Ok(Some(Skip::OptedOut));
    }
    if !number.is_ready() || number.is_paused(now) {
        return Ok(Some(Skip::SessionNotReady));
    }
    // Nobody of the company writes this: it needs what a broadcast and a notice need.
    if let Some(messenger) = kernel.messenger()
        && !messenger.may_say(tx, kernel, tenant)?
    {
        return Ok(Some(Skip::Locked));
    }
    // The chat is held by this transaction: what is free now is free when it is claimed. A chat that is cooling down takes nothing out
    // of the company's budget, and one that finds the budget empty does not begin to cool down.
    if !claim::is_free(tx, company, chat.id, what, cooldown_us, now)? {
        return Ok(Some(Skip::Cooldown));
    }
    if !claim::spend(tx, company, BUDGET, now)? {
        return Ok(Some(Skip::RateLimited));
    }
    let is_ours = claim::claim(tx, company, chat.id, what, cooldown_us, now)?;
    Ok((!is_ours).then_some(Skip::Cooldown))
}

fn reply(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    preferences: &Preferences,
    number: &Number,
    chat: &mut Chat,
    rule: &Rule,
) -> Result<()> {
    say(tx, kernel, tenant, preferences, number, chat, &rule.content.response)
}

/// Writes a text of the company's down to be sent after a moment; the guards are the caller's. The chat is written by this.
///
/// # Errors
/// 503 from the database.
pub(crate) fn say(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    preferences: &Preferences,
    number: &Number,
    chat: &mut Chat,
    text: &str,
) -> Result<()> {
    let name = chat.name.as_deref().and_then(mask::bare).unwrap_or_default();
    let known = |word: &str| (word == "name").then(|| name.clone());
    let text = placeholder::render(text, |text| placeholder::or_else(text, known));
    let due_at = kernel.now().plus(delay_us(kernel.rng.as_ref()));
    let to = chat.address()?;
    // The message that is answered belongs into the chat before its answer does.
    chat::store::keep(tx, kernel, tenant.company, chat)?;
    let draft = Draft {
        number,
        to: &to,
        content: Content::text(text),
        origin: Origin::Automation,
        agent: None,
        due_at,
        expires_at: Some(due_at.plus(PATIENCE_US)),
    };
    *chat = message::enqueue(tx, kernel, tenant, preferences, &draft)?.chat;
    Ok(())
}

/// From 3 to 9 seconds.
fn delay_us(rng: &dyn Rng) -> i64 {
    let mut bytes = [0; 4];
    rng.fill(&mut bytes);
    DELAY_LEAST_US + i64::from(u32::from_be_bytes(bytes)) % (DELAY_MOST_US - DELAY_LEAST_US + 1)
}

#[cfg(test)]
mod tests {
    use loopd_types::SeededRng;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_reply_takes_from_three_to_nine_seconds(seed: u64) {
            prop_assert!((3_000_000..=9_000_000).contains(&delay_us(&SeededRng::new(seed))));
        }
    }
}
