//! What happens because a customer wrote, in the transaction that takes the message: so it happens once for each message, or not at all.
//! In this order, because a ticket wants to know its agent and an automation whether a person is there.

use loopd_kernel::{Kernel, Tenant};
use loopd_store::Tx;
use loopd_types::{MINUTE_US, Result};

use crate::assign::{self, Began};
use crate::automation::{self, Skip};
use crate::chat::Chat;
use crate::message::Message;
use crate::number::Number;
use crate::{contact, intake, preference};

/// Reacts to a message of a customer. `chat` is written by the caller afterwards.
///
/// # Errors
/// Those of what reacts; then the message is not taken, and comes again.
pub fn on_inbound(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    number: &Number,
    chat: &mut Chat,
    message: &Message,
    began: Began,
) -> Result<()> {
    let preferences = preference::load(tx, tenant.company)?;
    // Whoever writes STOP is not answered by a rule.
    contact::on_inbound(tx, kernel, tenant, chat, message)?;
    assign::on_inbound(tx, kernel, tenant, preferences.rules_of(number), chat, message, began)?;
    intake::on_inbound(tx, kernel, tenant, &preferences.intake, chat, message)?;
    if assign::away(tx, kernel, tenant, &preferences, number, chat)? {
        return Ok(());
    }
    automation::on_inbound(tx, kernel, tenant, &preferences, number, chat, message)
}

/// Reacts to a message that somebody of the shop wrote on its own telephone: a person answers here, so automations are silent.
///
/// # Errors
/// As [`on_inbound`].
pub fn on_own(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, chat: &mut Chat) -> Result<()> {
    let quiet = preference::load(tx, tenant.company)?.quiet_minutes * MINUTE_US;
    chat.quiet_until = chat.quiet_until.max(Some(kernel.now().plus(quiet)));
    if !automation::store::enabled(tx, tenant.company)?.is_empty() {
        automation::count(tx, tenant.company, chat.id, Some(Skip::FromMe))?;
    }
    Ok(())
}
