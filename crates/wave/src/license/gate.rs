//! What a licence stops: new writes, in mode enforce, when it is over. Reading, receiving, activating, signing in and what only stops
//! something are never stopped (spec/loopwave.md 3.3).

use std::sync::Arc;

use loopd_kernel::{Kernel, Tenant};
use loopd_types::{Kind, Problem, Result};
use loopd_web::operation::Gate;

use super::{Mode, Status, store};
use crate::Wave;

/// Asked of every caller of an operation that writes.
pub fn gate(wave: &Arc<Wave>) -> Gate {
    let wave = wave.clone();
    Arc::new(move |kernel, tenant, host| {
        let wave = wave.clone();
        Box::pin(async move { require_open(&wave, &kernel, &tenant, host).await.map(drop) })
    })
}

/// Whether this company may write now; for what acts by itself, too.
///
/// # Errors
/// 402 `license_locked`.
pub async fn require_open(
    wave: &Arc<Wave>,
    kernel: &Arc<Kernel>,
    tenant: &Arc<Tenant>,
    host: Option<String>,
) -> Result<Option<Status>> {
    let settings = &wave.settings.license;
    if settings.mode == Mode::Monitor {
        return Ok(None);
    }
    let (company, judge) = (tenant.company, store::judge(settings, kernel, host));
    let now = kernel.now();
    let status = kernel.db.read(tenant.view(), move |reader| store::status(reader, &judge, company, now)).await?;
    if status.state.locks() {
        let words = format!(
            "The licence of this company is {}: everything can be read, nothing new can be written. Activate a valid licence to go on.",
            status.state.word()
        );
        return Err(Problem::new(Kind::PaymentRequired, "license_locked", words));
    }
    Ok(Some(status))
}
