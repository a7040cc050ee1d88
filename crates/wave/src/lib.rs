//! Loopwave: a WhatsApp team inbox. Its paths speak its own error dialect already (`web::Surface`); what stands here so far are the
//! two calls that its installers make after an update (spec/loopwave.md 1.5).

pub mod license;

use loopd_web::operation::RateClass;
use loopd_web::{Operation, Reply, Schema as _, schema};
use serde_json::json;

/// The version of the Loopwave API that its clients know.
pub const API_VERSION: &str = "1.0.0";

/// The operations of this surface.
pub fn operations() -> Vec<Operation> {
    let ok = schema::object([("ok", schema::boolean())]).required(["ok"]);
    let version = schema::object([("version", schema::string())]).required(["version"]);
    vec![
        Operation::get("loopwave_health", "/api/health", |_| async { Reply::json(200, &json!({"ok": true})) })
            .tag("loopwave")
            .summary("Whether the API process runs")
            .rate(RateClass::Unlimited)
            .responds(200, "It runs.", ok),
        Operation::get("loopwave_version", "/api/version", |_| async {
            Reply::json(200, &json!({"version": API_VERSION}))
        })
        .tag("loopwave")
        .summary("The version of the Loopwave API")
        .rate(RateClass::Unlimited)
        .responds(200, "The version.", version),
    ]
}
