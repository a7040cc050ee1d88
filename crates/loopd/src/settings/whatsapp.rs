//! How Loopwave reaches WhatsApp.

use std::collections::BTreeSet;

use loopd_kernel::settings::Environment;
use loopd_wave::settings::{ENGINES, Failpoint, SANDBOX, Settings};

use super::raw::Raw;
use super::{Refused, refuse};

pub(super) fn check_engines(
    raw: &Raw,
    environment: Environment,
    license: loopd_wave::license::Settings,
) -> Result<Settings, Refused> {
    let may_sandbox = !environment.is_production() || raw.allow_sandboxes.iter().any(|name| name == SANDBOX);
    if let Some(unknown) = raw.whatsapp_engines.iter().find(|name| !ENGINES.contains(&name.as_str())) {
        return Err(refuse("whatsapp_engines", format!("`{unknown}` is none of {}", ENGINES.join(", "))));
    }
    let mut engines: BTreeSet<String> = raw.whatsapp_engines.iter().cloned().collect();
    if engines.contains("sandbox") && !may_sandbox {
        let words = format!(
            "names sandbox, where nothing reaches anybody; in production allow_sandboxes must name `{SANDBOX}`"
        );
        return Err(refuse("whatsapp_engines", words));
    }
    if engines.is_empty() && may_sandbox {
        engines.insert("sandbox".to_owned());
    }
    let graph_url = raw.whatsapp_graph_url.trim_end_matches('/').to_owned();
    if environment.is_production() && !graph_url.starts_with("https://") {
        return Err(refuse("whatsapp_graph_url", "carries access tokens and must be https in production"));
    }
    Ok(Settings { engines, license, graph_url, failpoint: Failpoint::default() })
}
