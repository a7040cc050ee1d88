//! Who is online: agents whose client says so ([`http`]), and agents who have a stream of events open. Both run out by themselves, so
//! nobody stays online whose browser, network or node is gone.

mod http;
pub mod store;

pub use http::{components, operations};

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use loopd_kernel::Kernel;
use loopd_store::View;
use loopd_types::{CompanyId, Result, SECOND_US, Timestamp, Uuid};
use tokio::sync::watch;

use crate::PRODUCT;

/// How long an agent is online after the last word of theirs.
pub const LIFE_US: i64 = 90 * SECOND_US;
/// A word is written down when this little is left of the last one.
const RENEW_US: i64 = 60 * SECOND_US;
/// How often the open streams are looked at.
const POLL: Duration = Duration::from_secs(2);

/// Keeps those online who have a stream open on this node, until `stop`.
pub async fn run(kernel: Arc<Kernel>, mut stop: watch::Receiver<bool>) {
    let mut known = HashMap::new();
    while !*stop.borrow() {
        if let Err(problem) = look(&kernel, &mut known).await {
            tracing::warn!(cause = problem.cause(), "who has a stream open could not be written down");
        }
        tokio::select! {
            () = tokio::time::sleep(POLL) => {}
            _ = stop.changed() => {}
        }
    }
}

/// Writes down who has a stream open, where the last word of theirs is about to run out.
async fn look(kernel: &Arc<Kernel>, known: &mut HashMap<(CompanyId, Uuid), Timestamp>) -> Result<()> {
    let (now, open) = (kernel.now(), kernel.streams.people());
    known.retain(|_, until| *until > now);
    let mut seen = Vec::new();
    for (company, user) in open {
        let is_fresh = known.get(&(company, user)).is_some_and(|until| until.0 - now.0 > RENEW_US);
        if !is_fresh && may_answer(kernel, company, user).await? {
            seen.push((company, user));
        }
    }
    if seen.is_empty() {
        return Ok(());
    }
    let (until, written) = (now.plus(LIFE_US), seen.clone());
    let work = move |tx: &mut loopd_store::Tx<'_>| {
        for (company, user) in &seen {
            store::seen(tx, *company, *user, until)?;
        }
        Ok(())
    };
    kernel.db.write(View::System, work).await?;
    known.extend(written.into_iter().map(|who| (who, until)));
    Ok(())
}

/// Whether somebody works in a company and may answer its chats.
async fn may_answer(kernel: &Arc<Kernel>, company: CompanyId, user: Uuid) -> Result<bool> {
    let Some(access) = kernel.user_access(user).await? else { return Ok(false) };
    let membership = access.membership(company).filter(|membership| membership.is_active && access.is_active);
    Ok(membership.is_some_and(|membership| membership.permissions.allows(&format!("{PRODUCT}.chats.update"))))
}
