//! What happens because a customer wrote, in the transaction that takes the message: so it happens once for each message, or not at all.
//! In this order, because a ticket wants to know its agent and an automation whether a person is there.

use loopd_kernel::{Kernel, Tenant};
use loopd_store::Tx;
use loopd_types::Result;

use crate::chat::Chat;
use crate::message::Message;
use crate::number::Number;

/// Reacts to a message of a customer. `chat` is written by the caller afterwards.
///
/// # Errors
/// Those of what reacts; then the message is not taken, and comes again.
pub fn on_inbound(
    _tx: &mut Tx<'_>,
    _kernel: &Kernel,
    _tenant: &Tenant,
    _number: &Number,
    _chat: &mut Chat,
    _message: &Message,
) -> Result<()> {
    Ok(())
}
