//! What a number of the Cloud API is made of: what its row says of it, and what is sealed.

use loopd_kernel::Kernel;
use loopd_kernel::input::Input;
use loopd_types::{CompanyId, Problem, Result, Secret, Uuid};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use crate::engine::Settled;
use crate::limit::{self, Gate, Limits};
use crate::number::Number;

/// The version of the Graph API that a number speaks unless it says otherwise.
const VERSION: &str = "v22.0";
/// Digits of Meta's ids.
const ID_MOST: usize = 32;
const SECRET_MOST: usize = 1024;
/// Messages a second of a number that Meta has not given more.
const THROUGHPUT: i64 = 80;

/// `wave_numbers.config`: nothing secret. What Meta tells of the number is written into it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    pub phone_number_id: String,
    pub waba_id: String,
    pub api_version: String,
    /// Messages a second; 80 unless Meta gave this number more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throughput: Option<i64>,
    /// People who may be written to first in 24 hours, by `TIER_…`; `None` before Meta said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// `GREEN`, `YELLOW`, `RED`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality: Option<String>,
    /// What customers read above the chat.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified_name: Option<String>,
}

impl Config {
    /// # Errors
    /// 500 when the row holds none.
    pub fn of(number: &Number) -> Result<Self> {
        serde_json::from_value(number.config.clone()).map_err(Problem::internal)
    }

    /// What the number may send.
    pub fn limits(&self) -> Limits {
        Limits {
            line: Gate::per_second(self.throughput.unwrap_or(THROUGHPUT)),
            pair: limit::PAIR,
            account: self.waba_id.clone(),
            people: self.tier.as_deref().and_then(limit::people_of),
        }
    }

    /// The row's config with what Meta told; members that are not ours stay.
    pub fn to_json(&self) -> Json {
        json!(self)
    }
}

/// What opens a number, sealed in `wave_numbers.secret`.
#[derive(Clone, Debug)]
pub struct Secrets {
    pub access_token: Secret<String>,
    /// Signs what Meta sends.
    pub app_secret: Secret<String>,
    /// What Meta shows once, when the webhook is set up.
    pub verify_token: Secret<String>,
}

/// As it lies in the vault.
#[derive(Serialize, Deserialize)]
struct Sealed {
    access_token: String,
    app_secret: String,
    verify_token: String,
}

fn context(company: CompanyId, number: Uuid) -> String {
    format!("wave_numbers.secret:{}:{number}", company.0)
}

impl Secrets {
    /// # Errors
    /// 409 `no_credentials` for a number that has none, as after a restore elsewhere; 500 when they cannot be opened.
    pub fn open(kernel: &Kernel, number: &Number) -> Result<Self> {
        let sealed = number.secret.as_deref().ok_or_else(|| {
            Problem::conflict("no_credentials", "This number has no access token. Give it its credentials again.")
        })?;
        let plain = kernel.vault.open(&context(number.company, number.id), sealed)?;
        let plain: Sealed = serde_json::from_slice(&plain).map_err(Problem::internal)?;
        Ok(Self {
            access_token: Secret::new(plain.access_token),
            app_secret: Secret::new(plain.app_secret),
            verify_token: Secret::new(plain.verify_token),
        })
    }

    /// # Errors
    /// 500 when sealing fails.
    pub fn seal(&self, kernel: &Kernel, company: CompanyId, number: Uuid) -> Result<Vec<u8>> {
        let plain = Sealed {
            access_token: self.access_token.expose().clone(),
            app_secret: self.app_secret.expose().clone(),
            verify_token: self.verify_token.expose().clone(),
        };
        let plain = Secret::new(serde_json::to_vec(&plain).map_err(Problem::internal)?);
        kernel.vault.seal(kernel.rng.as_ref(), &context(company, number), plain.expose())
    }

    /// The secrets that a body brings, with those that it leaves out from `known`.
    pub fn changed(mut self, input: &mut Input) -> Self {
        for (name, kept) in [
            ("access_token", &mut self.access_token),
            ("app_secret", &mut self.app_secret),
            ("verify_token", &mut self.verify_token),
        ] {
            if input.has(name)
                && let Some(text) = input.required_secret(name, SECRET_MOST)
            {
                *kept = Secret::new(text);
            }
        }
        self
    }
}

/// A new number, from the members of a body that are this engine's.
///
/// # Errors
/// 500 when sealing fails; what is wrong with the members is noted in `input`.
pub fn settle(kernel: &Kernel, company: CompanyId, number: Uuid, input: &mut Input) -> Result<Settled> {
    let ids = [id(input, "phone_number_id"), id(input, "waba_id")];
    let version = input.text("api_version", ID_MOST).filter(|version| !version.is_empty());
    if version.as_deref().is_some_and(|version| !is_version(version)) {
        input.refuse("api_version", "invalid", "Write a version as v22.0.");
    }
    let secrets = ["access_token", "app_secret", "verify_token"].map(|name| input.required_secret(name, SECRET_MOST));
    let ([Some(phone_number_id), Some(waba_id)], [Some(access), Some(app), Some(verify)]) = (ids, secrets) else {
        return Ok(Settled::default());
    };
    let secrets =
        Secrets { access_token: Secret::new(access), app_secret: Secret::new(app), verify_token: Secret::new(verify) };
    let config = Config {
        phone_number_id: phone_number_id.clone(),
        waba_id,
        api_version: version.unwrap_or_else(|| VERSION.to_owned()),
        ..Config::default()
    };
    Ok(Settled {
        address: Some(phone_number_id),
        config: config.to_json(),
        secret: Some(secrets.seal(kernel, company, number)?),
    })
}

fn id(input: &mut Input, name: &'static str) -> Option<String> {
    let text = input.required_text(name, ID_MOST)?;
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(text);
    }
    input.refuse(name, "invalid", "Meta's ids are digits.");
    None
}

fn is_version(text: &str) -> bool {
    let number = text.strip_prefix('v').and_then(|text| text.split_once('.'));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    number.is_some_and(|(major, minor)| is_number(major) && is_number(minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_no_path() {
        assert!(is_version("v22.0") && is_version("v9.1"));
        for text in ["22.0", "v22", "v22.0/../x", "v.", "v1.", "vx.0"] {
            assert!(!is_version(text), "{text}");
        }
    }
}
