//! The mail server.

use loopd_kernel::Environment;
use loopd_kernel::mail::SmtpSettings;
use loopd_types::Secret;

use super::{Refused, refuse};

/// A mail server that can be used: an address that can be read, a sender, and in production an encrypted way there and links that
/// lead somewhere.
pub(super) fn read_smtp(
    url: &str,
    from: &str,
    environment: Environment,
    base_url: &str,
) -> Result<Option<SmtpSettings>, Refused> {
    match (url, from) {
        ("", "") => return Ok(None),
        ("", _) => return Err(refuse("smtp_url", "is required when mail_from is set")),
        (_, "") => return Err(refuse("mail_from", "is required when smtp_url is set: LOOP <no-reply@example.com>")),
        _ => {}
    }
    let settings = SmtpSettings { url: Secret::new(url.to_owned()), from: from.to_owned() };
    if !url.starts_with("smtp://") && !url.starts_with("smtps://") {
        return Err(refuse("smtp_url", "must begin with smtp:// or smtps://"));
    }
    settings.check().map_err(|words| {
        let name = if words.starts_with("LOOP_MAIL_FROM") { "mail_from" } else { "smtp_url" };
        refuse(name, words)
    })?;
    if environment.is_production() {
        let host = url.split('@').next_back().unwrap_or_default().trim_start_matches("smtp://");
        let is_here = ["localhost", "127.0.0.1", "[::1]"].iter().any(|here| {
            host.strip_prefix(here).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/', '?']))
        });
        if url.starts_with("smtp://") && !url.contains("tls=required") && !is_here {
            return Err(refuse(
                "smtp_url",
                "would send letters and the password in clear; use smtps://… or smtp://…?tls=required",
            ));
        }
        if base_url.is_empty() {
            return Err(refuse(
                "base_url",
                "is required in production when mail is sent: links in letters begin with it",
            ));
        }
    }
    Ok(Some(settings))
}
