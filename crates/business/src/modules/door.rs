//! What strangers' doors ask of a company before they show anything of it.

use loopd_kernel::CompanyAccess;
use loopd_types::Timestamp;

/// Whether a company may be seen by strangers: it works, and it has the product.
pub fn is_open(access: &CompanyAccess, product: &str, now: Timestamp) -> bool {
    !matches!(access.status.as_str(), "suspended" | "closed") && access.has_product(product, now)
}
