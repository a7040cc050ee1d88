//! The whole way of a payment that somebody brings: known already, or verified and settled.

use std::sync::Arc;
use std::time::Duration;

use loopd_kernel::Kernel;
use loopd_types::Result;

use super::{Order, Outcome, Purpose, earlier, settle};
use crate::Pay;
use crate::x402::{Payment, Refusal, Requirement};

/// Verifies a payment and settles it for what `purpose` says, which is asked only of a good one; waits up to `wait` for what comes of it.
/// Brought again, at once or later, it settles nothing again and answers the same. `Err` inside is the verifier's refusal: nothing was
/// recorded.
///
/// # Errors
/// The database's, and those of `purpose`.
pub async fn bring(
    pay: &Arc<Pay>,
    kernel: &Arc<Kernel>,
    payment: &Payment,
    requirement: &Requirement,
    purpose: impl Future<Output = Result<Purpose>>,
    wait: Duration,
) -> Result<std::result::Result<Outcome, Refusal>> {
    // What was settled is found to be used by whoever verifies it: what became of it is asked first.
    if let Some(outcome) = earlier(pay, kernel, payment, requirement, wait).await? {
        return Ok(Ok(outcome));
    }
    if let Err(refusal) = pay.verify(kernel, payment, requirement).await {
        // Perhaps used only now, by the same payment brought at the same moment.
        return Ok(match earlier(pay, kernel, payment, requirement, wait).await? {
            None | Some(Outcome::Refused { .. }) => Err(refusal),
            Some(outcome) => Ok(outcome),
        });
    }
    let order = Order { payment: payment.clone(), requirement: requirement.clone(), purpose: purpose.await? };
    settle(pay, kernel, order, wait).await.map(Ok)
}
