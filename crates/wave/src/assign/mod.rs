//! Who answers, and until when: chats are given in turn to agents who are online, taken from who does not answer, and told of when a
//! customer waits too long.
//!
//! What happens with a message happens in its transaction; what happens later is a row of `wave_timers`, due at its moment, which any
//! node takes up under the lock of its chat ([`work`]). Turns are numbered by a counter of the company, whose row is held until the
//! commit: of two chats at once, one waits for the other's turn.

pub mod hours;
mod overdue;
pub mod rules;
pub mod store;
pub mod work;

use loopd_kernel::{Kernel, Tenant, counter};
use loopd_store::Tx;
use loopd_types::{HOUR_US, Result, SECOND_US, Timestamp, Uuid};
use serde_json::json;

use crate::agent::Agent;
use crate::chat::{Chat, act};
use crate::message::Message;
use crate::number::Number;
use crate::preference::Preferences;
use crate::{automation, claim, presence};

pub use rules::Rules;
use store::Kind;

/// How long a chat that nobody can take waits before somebody is looked for again.
const AGAIN_US: i64 = 10 * SECOND_US;
/// The away reply is not said again so soon.
const AWAY_US: i64 = 12 * HOUR_US;
/// The company's turns.
const TURNS: &str = "wave-turns";

/// What a message made of its chat.
#[derive(Clone, Copy, Debug)]
pub struct Began {
    /// The chat is new, or was resolved.
    pub is_anew: bool,
}

/// Gives a chat to somebody and sets its clocks, as the rules say. `chat` is written by the caller.
///
/// # Errors
/// 503 from the database.
pub fn on_inbound(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    rules: &Rules,
    chat: &mut Chat,
    message: &Message,
    began: Began,
) -> Result<()> {
    let targets = &rules.targets;
    let is_idle = !rules.assignment.enabled && targets.first_response_minutes == 0 && targets.resolution_minutes == 0;
    if chat.is_group || is_idle {
        return Ok(());
    }
    let (week, now) = (rules.hours.week(tenant.timezone()), kernel.now());
    let week = week.as_ref();
    let is_first = chat.waiting_since == Some(message.sent_at);
    let mut set = |kind: Kind, since: Timestamp, due: Option<Timestamp>| match due {
        Some(due) => store::set(tx, tenant.company, chat.id, kind, since, due),
        None => Ok(()),
    };
    if is_first && targets.first_response_minutes > 0 {
        set(Kind::Response, message.sent_at, hours::due(week, now, targets.first_response_minutes))?;
    }
    if began.is_anew && targets.resolution_minutes > 0 {
        set(Kind::Resolution, now, hours::due(week, now, targets.resolution_minutes))?;
    }
    if !rules.assignment.enabled {
        return Ok(());
    }
    if began.is_anew
        && let Some(user) = chat.assignee_id
        && !presence::store::is_online(tx, tenant.company, user, now)?
    {
        // Who had it before is not there to answer.
        act::assign(chat, kernel, None);
    }
    if chat.assignee_id.is_none() && !give(tx, kernel, tenant, rules, chat, None)? {
        let opening = week.and_then(|week| week.after(now, 0)).filter(|opening| *opening > now);
        store::set(tx, tenant.company, chat.id, Kind::Assign, now, opening.unwrap_or_else(|| now.plus(AGAIN_US)))?;
    } else if is_first {
        watch(tx, kernel, tenant, rules, chat)?;
    }
    Ok(())
}

/// Gives a chat to whose turn it is, and says so in the activity log; `false` when nobody can take it now. `chat` is written by the caller.
fn give(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    rules: &Rules,
    chat: &mut Chat,
    except: Option<Uuid>,
) -> Result<bool> {
    let now = kernel.now();
    if rules.hours.week(tenant.timezone()).is_some_and(|week| !week.is_open(now)) {
        return Ok(false);
    }
    // Its row is held until the commit; a number without a turn is no harm.
    let turn = counter::next(tx, tenant.company, TURNS)?;
    let online = store::candidates(tx, tenant.company, now)?;
    let Some(picked) = rules::pick(&online, &rules.assignment, except) else { return Ok(false) };
    presence::store::had_turn(tx, tenant.company, picked.user, turn)?;
    let before = (chat.assignee_name.clone(), chat.assignee_id);
    act::assign(chat, kernel, Some(Agent { id: picked.user, name: picked.name.clone() }));
    let action = if except.is_some() { "reassign" } else { "assign" };
    let changes = json!({"assignee": [before.0, picked.name], "assignee_id": [before.1, picked.user]});
    act::record(tx, kernel, tenant, chat, action, Some(changes))?;
    watch(tx, kernel, tenant, rules, chat)?;
    Ok(true)
}

/// Sets the clock of whoever has a chat that waits for an answer.
fn watch(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, rules: &Rules, chat: &Chat) -> Result<()> {
    let minutes = rules.assignment.reassign_minutes;
    let Some(since) = chat.waiting_since.filter(|_| minutes > 0 && chat.assignee_id.is_some()) else { return Ok(()) };
    let week = rules.hours.week(tenant.timezone());
    if let Some(due) = hours::due(week.as_ref(), kernel.now(), minutes) {
        store::set(tx, tenant.company, chat.id, Kind::Reassign, since, due)?;
    }
    Ok(())
}

/// Answers who writes while nobody is there, under the guards of automations; `true` when it was said. The chat is written by this.
///
/// # Errors
/// 503 from the database.
pub fn away(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    preferences: &Preferences,
    number: &Number,
    chat: &mut Chat,
) -> Result<bool> {
    let rules = preferences.rules_of(number);
    let (text, now) = (&rules.hours.away_reply, kernel.now());
    let is_closed = || rules.hours.week(tenant.timezone()).is_some_and(|week| !week.is_open(now));
    if text.is_empty() || chat.is_group || !is_closed() {
        return Ok(false);
    }
    if automation::guard(tx, kernel, tenant, number, chat, (claim::AWAY, AWAY_US))?.is_some() {
        return Ok(false);
    }
    automation::say(tx, kernel, tenant, preferences, number, chat, text)?;
    Ok(true)
}
