//! A payment that came by the facilitator's door, and is a seller's sale all the same.

use std::sync::Arc;

use loopd_kernel::Kernel;
use loopd_store::Tx;
use loopd_types::Result;

use super::{Key, Purpose, State, rpc, store};
use crate::payment;

/// Makes a payment that was settled for whoever asked the facilitator the sale of the seller who was paid by it: of the first who asks,
/// because two may share a payee, and what was paid once is delivered once. Anything else stays as it is.
///
/// # Errors
/// The database's.
pub fn adopt(tx: &mut Tx<'_>, kernel: &Arc<Kernel>, key: &Key, purpose: &Purpose) -> Result<()> {
    let Some(mut settlement) = store::lock(tx, key)? else { return Ok(()) };
    if settlement.state != State::Settled || !matches!(settlement.purpose, Purpose::Facilitator { .. }) {
        return Ok(());
    }
    settlement.purpose = purpose.clone();
    // On a chain, what is settled is looked at again for a while; this is no reason not to.
    let due_at = (settlement.engine == rpc::NAME).then(|| kernel.now());
    store::update(tx, State::Settled, &settlement, due_at)?;
    payment::concluded(tx, kernel, &settlement)
}
