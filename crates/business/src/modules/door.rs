//! What strangers' doors ask of a company before they show anything of it.

use loopd_kernel::CompanyAccess;
use loopd_kernel::subscription::rules::Openness;
use loopd_types::Timestamp;

/// Whether a company may be seen by strangers: it works, and its subscription to the product is in force. One that is suspended shows
/// its records to its own people only.
pub fn is_open(access: &CompanyAccess, product: &str, now: Timestamp) -> bool {
    !matches!(access.status.as_str(), "suspended" | "closed") && access.openness(product, now) == Openness::Open
}
