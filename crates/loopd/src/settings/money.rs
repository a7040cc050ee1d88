//! Providers of mobile money.

use loopd_business::modules::payments;
use loopd_types::Secret;

use super::raw::Raw;
use super::{Refused, refuse};

/// Airtel Money, unless it has no credentials.
pub(super) fn check_airtel(raw: &Raw) -> Result<Option<payments::AirtelSettings>, Refused> {
    let (client_id, client_secret) = match (raw.airtel_client_id.as_str(), raw.airtel_client_secret.as_str()) {
        ("", "") => return Ok(None),
        ("", _) => return Err(refuse("airtel_client_id", "is required when airtel_client_secret is set")),
        (_, "") => return Err(refuse("airtel_client_secret", "is required when airtel_client_id is set")),
        both => both,
    };
    if raw.airtel_country.len() != 2 || !raw.airtel_country.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Err(refuse("airtel_country", format!("`{}` is no country such as RW", raw.airtel_country)));
    }
    let dial_code = raw.airtel_dial_code.trim_start_matches('+');
    if dial_code.is_empty() || !dial_code.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(refuse("airtel_dial_code", "is the country's telephone code, such as 250"));
    }
    let base_url = raw.airtel_base_url.trim_end_matches('/').to_owned();
    Ok(Some(payments::AirtelSettings {
        is_sandbox: base_url.starts_with("https://openapiuat."),
        base_url,
        client_id: client_id.to_owned(),
        client_secret: Secret::new(client_secret.to_owned()),
        country: raw.airtel_country.clone(),
        dial_code: dial_code.to_owned(),
    }))
}

/// MTN's Collections, unless there is no subscription to them. It calls back at `base_url`, if there is one.
pub(super) fn check_momo(raw: &Raw, base_url: &str) -> Result<Option<payments::MtnSettings>, Refused> {
    if raw.momo_subscription_key.is_empty() {
        return Ok(None);
    }
    for (name, value) in [("momo_api_user", &raw.momo_api_user), ("momo_api_key", &raw.momo_api_key)] {
        if value.is_empty() {
            return Err(refuse(name, "is required when momo_subscription_key is set"));
        }
    }
    Ok(Some(payments::MtnSettings {
        base_url: raw.momo_base_url.trim_end_matches('/').to_owned(),
        subscription_key: Secret::new(raw.momo_subscription_key.clone()),
        api_user: raw.momo_api_user.clone(),
        api_key: Secret::new(raw.momo_api_key.clone()),
        target_environment: raw.momo_target_environment.clone(),
        callback_host: (!base_url.is_empty()).then(|| base_url.to_owned()),
    }))
}
