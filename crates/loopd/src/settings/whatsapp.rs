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
    let web_version = web_version(&raw.whatsapp_web_version)
        .ok_or_else(|| refuse("whatsapp_web_version", "is three numbers with dots, as 2.3000.1023456789, or empty"))?;
    Ok(Settings { engines, license, graph_url, web_version, failpoint: Failpoint::default() })
}

/// `None` for what is no version; inside, `None` for none.
fn web_version(text: &str) -> Option<Option<(u32, u32, u32)>> {
    if text.trim().is_empty() {
        return Some(None);
    }
    let mut numbers = text.trim().split('.').map(|number| number.parse::<u32>().ok());
    let version = (numbers.next()??, numbers.next()??, numbers.next()??);
    numbers.next().is_none().then_some(Some(version))
}
