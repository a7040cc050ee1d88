//! The worker: takes up the clocks that are due, of every company.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use loopd_kernel::{Kernel, Tenant};
use loopd_store::Tx;
use loopd_types::{CompanyId, Problem, Result};
use tokio::sync::watch;

use super::store::{self, Due, Kind};
use super::{AGAIN_US, give, hours, overdue};
use crate::chat::{self, Chat};
use crate::{number, preference};

const POLL: Duration = Duration::from_millis(500);
/// Clocks of one look.
const MOST: i64 = 200;

/// Works until `stop`.
pub async fn run(kernel: Arc<Kernel>, mut stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        if let Err(problem) = run_due(&kernel).await {
            tracing::warn!(cause = problem.cause(), "the clocks of chats could not be looked at");
        }
        tokio::select! {
            () = tokio::time::sleep(POLL) => {}
            _ = stop.changed() => {}
        }
    }
}

/// Takes up what is due now; how many.
///
/// # Errors
/// The database's.
pub async fn run_due(kernel: &Arc<Kernel>) -> Result<usize> {
    let due = store::due(kernel, MOST).await?;
    let mut busy: HashSet<CompanyId> = HashSet::new();
    for one in &due {
        // Where nobody could take one chat a moment ago, nobody takes the next.
        if one.kind == Kind::Assign && busy.contains(&one.company) {
            continue;
        }
        match take(kernel, *one).await {
            Ok(true) => {}
            Ok(false) => {
                busy.insert(one.company);
            }
            Err(problem) => {
                tracing::warn!(chat = %one.chat, kind = one.kind.as_str(), cause = problem.cause(), "a chat's clock could not be taken up");
            }
        }
    }
    Ok(due.len())
}

/// `false` when nobody can take a chat of this company now.
async fn take(kernel: &Arc<Kernel>, due: Due) -> Result<bool> {
    let access = kernel.company_access(due.company).await?;
    let tenant = Arc::new(Tenant::system(access.ok_or_else(|| Problem::internal("no company"))?, "loopwave rules"));
    let shared = kernel.clone();
    kernel.db.write(tenant.view(), move |tx| taken(tx, &shared, &tenant, &due)).await
}

fn taken(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, due: &Due) -> Result<bool> {
    let mut chat = chat::lock(tx, due.company, due.chat)?;
    // Another node was here, or something happened in the chat.
    if !store::still(tx, due)? {
        return Ok(true);
    }
    let preferences = preference::load(tx, due.company)?;
    let number = number::find(tx, due.company, chat.number_id)?;
    let Some(number) = number.filter(|_| chat.status == chat::STATUSES[0]) else {
        store::clear(tx, due)?;
        return Ok(true);
    };
    let rules = preferences.rules_of(&number);
    match due.kind {
        Kind::Assign => assign(tx, kernel, tenant, rules, &mut chat, due),
        Kind::Reassign => reassign(tx, kernel, tenant, rules, &mut chat, due),
        Kind::Response | Kind::Resolution => {
            store::clear(tx, due)?;
            let is_missed = due.kind == Kind::Resolution || chat.waiting_since == Some(due.since);
            if is_missed {
                overdue::tell(tx, kernel, tenant, &rules.targets, &chat, due)?;
            }
            Ok(true)
        }
    }
}

fn assign(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    rules: &super::Rules,
    chat: &mut Chat,
    due: &Due,
) -> Result<bool> {
    if !rules.assignment.enabled || chat.assignee_id.is_some() || chat.waiting_since.is_none() {
        store::clear(tx, due)?;
        return Ok(true);
    }
    if give(tx, kernel, tenant, rules, chat, None)? {
        store::clear(tx, due)?;
        chat::store::keep(tx, kernel, due.company, chat)?;
        chat::store::told(tx, kernel, tenant, chat)?;
        return Ok(true);
    }
    let now = kernel.now();
    let week = rules.hours.week(tenant.timezone());
    match week.as_ref().and_then(|week| week.after(now, 0)).filter(|opening| *opening > now) {
        // Only this number need be closed.
        Some(opening) => {
            store::set(tx, due.company, chat.id, Kind::Assign, due.since, opening)?;
            Ok(true)
        }
        None => {
            store::postpone(tx, due.company, now, now.plus(AGAIN_US))?;
            Ok(false)
        }
    }
}

fn reassign(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    rules: &super::Rules,
    chat: &mut Chat,
    due: &Due,
) -> Result<bool> {
    let (now, minutes) = (kernel.now(), rules.assignment.reassign_minutes);
    let has_waited = chat.waiting_since == Some(due.since);
    let (Some(agent), Some(since)) = (chat.assignee_id, chat.assigned_at) else {
        store::clear(tx, due)?;
        return Ok(true);
    };
    if !rules.assignment.enabled || minutes == 0 || !has_waited {
        store::clear(tx, due)?;
        return Ok(true);
    }
    // Whoever was given it meanwhile has as long as everybody.
    let week = rules.hours.week(tenant.timezone());
    let next = match hours::due(week.as_ref(), since.max(due.since), minutes) {
        Some(later) if later > now => Some(later),
        _ if give(tx, kernel, tenant, rules, chat, Some(agent))? => {
            chat::store::keep(tx, kernel, due.company, chat)?;
            chat::store::told(tx, kernel, tenant, chat)?;
            None
        }
        // Nobody else is there: it stays, and others are looked for.
        _ => Some(now.plus(AGAIN_US)),
    };
    if let Some(next) = next {
        store::set(tx, due.company, chat.id, Kind::Reassign, due.since, next)?;
    }
    Ok(true)
}
