//! `loopd license keygen|issue|inspect|revoke`: the vendor's side of offline licences, and a look at one.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use clap::Subcommand;
use loopd_types::{Clock as _, DAY_US, OsRng, SystemClock, Timestamp, random_token};
use loopd_wave::license::store;
use loopd_wave::license::{Judge, Revocations, Signer, State, Status, Terms, Verifier};
use serde_json::json;

use super::key::tenant_of;
use super::{Output, open, words};
use crate::settings::{Settings, write_private_new};

#[derive(Subcommand)]
pub enum License {
    /// Make a vendor's key pair: the private key goes into a file, the public key is printed.
    Keygen {
        /// The private key's file; must not exist. Never leave it on a customer's server.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
    },
    /// Issue a licence and print it.
    Issue {
        /// The vendor's private key.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// Your name for the customer's deployment.
        #[arg(long)]
        tenant: String,
        #[arg(long, default_value = "standard")]
        plan: String,
        /// May be given several times.
        #[arg(long)]
        addon: Vec<String>,
        /// How long it lasts.
        #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=36_500))]
        days: u32,
        /// The last moment instead of a number of days: 2027-12-31T00:00:00Z
        #[arg(long, conflicts_with = "days")]
        expires: Option<String>,
        /// The only host that may serve it.
        #[arg(long)]
        domain: Option<String>,
        /// The only installation that may use it: its fingerprint, as /api/v1/loopwave/license/ tells it.
        #[arg(long)]
        fingerprint: Option<String>,
    },
    /// Say what a licence grants and how it stands now. Exit code 1 when it locks writes.
    Inspect {
        license: String,
        /// The vendor's public key; LICENSE_PUBLIC_KEY if none is named.
        #[arg(long)]
        public_key: Option<String>,
        /// The host that serves it, for licences bound to one.
        #[arg(long)]
        host: Option<String>,
        /// The installation that uses it, for licences bound to one.
        #[arg(long)]
        fingerprint: Option<String>,
        /// The vendor's list of revoked licences.
        #[arg(long, value_name = "FILE")]
        revocations: Option<PathBuf>,
    },
    /// Take a licence into use for a company of this installation.
    Activate {
        license: String,
        /// The company's code.
        #[arg(long)]
        company: String,
    },
    /// Take the vendor's list of revoked licences: it counts for every company of this installation, for good.
    Revocations { file: PathBuf },
    /// Put a licence on the signed list of revoked ones; customers' servers take the list offline.
    Revoke {
        /// The licence, or its id.
        // An id may begin with a hyphen.
        #[arg(allow_hyphen_values = true)]
        license: String,
        /// The vendor's private key.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// The list; made if it is not there.
        #[arg(long, value_name = "FILE")]
        list: PathBuf,
    },
}

/// Random bytes of a licence's id, which is written in base64url.
const ID_BYTES: usize = 12;

/// Runs the command; `false` when the licence that was inspected locks writes.
pub async fn run(settings: &Settings, command: License, output: &Output) -> anyhow::Result<bool> {
    match command {
        License::Keygen { key } => keygen(&key, output).map(|()| true),
        License::Issue { key, tenant, plan, addon, days, expires, domain, fingerprint } => {
            let now = SystemClock.now();
            let expires = match expires {
                Some(text) => Timestamp::parse(&text)
                    .ok_or_else(|| anyhow!("`{text}` is no time such as 2027-12-31T00:00:00Z"))?,
                None => Timestamp(now.0 + i64::from(days) * DAY_US),
            };
            if expires <= now {
                bail!("a licence that is over already helps nobody");
            }
            let terms = Terms {
                lid: random_token(&OsRng, ID_BYTES),
                tid: tenant,
                plan,
                addons: addon,
                iat: now.seconds(),
                exp: expires.seconds(),
                fpr: fingerprint,
                dom: domain,
            };
            let license = signer(&key)?.issue(&terms);
            output.say(&license, &json!({"license": license, "id": terms.lid, "expires_at": terms.expires_at()}));
            Ok(true)
        }
        License::Inspect { license, public_key, host, fingerprint, revocations } => {
            let place = Place { host, fingerprint };
            inspect(settings, &license, public_key.as_deref(), place, revocations.as_deref(), output)
        }
        License::Activate { license, company } => activate(settings, &license, &company, output).await.map(|()| true),
        License::Revocations { file } => take_list(settings, &file, output).await.map(|()| true),
        License::Revoke { license, key, list } => revoke(&license, &key, &list, output).map(|()| true),
    }
}

fn keygen(file: &Path, output: &Output) -> anyhow::Result<()> {
    let signer = Signer::generate(&OsRng);
    write_private_new(file, &signer.to_text()).with_context(|| format!("cannot write {}", file.display()))?;
    let public = signer.verifier().to_text();
    let words = format!(
        "The private key is in {}: keep it off customers' servers.\nLICENSE_PUBLIC_KEY={public}",
        file.display()
    );
    output.say(&words, &json!({"private_key_file": file, "public_key": public}));
    Ok(())
}

/// Where a licence is used.
struct Place {
    host: Option<String>,
    fingerprint: Option<String>,
}

async fn activate(settings: &Settings, license: &str, company: &str, output: &Output) -> anyhow::Result<()> {
    let kernel = open(settings).await?;
    let tenant = tenant_of(&kernel, company).await?;
    let judge = store::judge(&settings.license, &kernel, None);
    let (shared, license) = (kernel.clone(), license.to_owned());
    let status = kernel
        .db
        .write(tenant.view(), move |tx| store::activate(tx, &shared, &tenant, &judge, &license))
        .await
        .map_err(words)?;
    output.say(
        &format!("Company {company}: {}.", status.state.word()),
        &json!({"company": company, "state": status.state.word()}),
    );
    Ok(())
}

async fn take_list(settings: &Settings, file: &Path, output: &Output) -> anyhow::Result<()> {
    let Some(verifier) = &settings.license.public_key else {
        bail!("whose list? Set LICENSE_PUBLIC_KEY to the vendor's public key");
    };
    let list = read_list(verifier, file)?;
    let kernel = open(settings).await?;
    let (now, revoked) = (kernel.now(), list.revoked.clone());
    kernel.db.write(store::REVOKING, move |tx| Ok(store::revoke(tx, &list, now)?)).await.map_err(words)?;
    output.say(&format!("{} licences are revoked.", revoked.len()), &json!({"revoked": revoked}));
    Ok(())
}

fn inspect(
    settings: &Settings,
    license: &str,
    public_key: Option<&str>,
    place: Place,
    revocations: Option<&Path>,
    output: &Output,
) -> anyhow::Result<bool> {
    let verifier = match public_key {
        Some(text) => Some(Verifier::parse(text).ok_or_else(|| anyhow!("--public-key is no Ed25519 public key"))?),
        None => settings.license.public_key.clone(),
    };
    let Some(verifier) = verifier else {
        bail!("whose licence? Name the vendor's public key with --public-key or LICENSE_PUBLIC_KEY");
    };
    let revoked = match revocations {
        Some(file) => read_list(&verifier, file)?,
        None => Revocations::default(),
    };
    let Place { host, fingerprint } = place;
    let judge = Judge { verifier: Some(verifier), grace_days: settings.license.grace_days, host, fingerprint };
    let Status { state, reason, terms } = judge.status(Some(license), &revoked, SystemClock.now());
    let mut words = match (state, reason) {
        (State::Invalid, Some(reason)) => format!("invalid: {reason}"),
        _ => state.word().to_owned(),
    };
    if let Some(terms) = &terms {
        words.push_str(&format!(
            "\nid       {}\ntenant   {}\nplan     {}\nadd-ons  {}\nissued   {}\nexpires  {}\nhost     {}",
            terms.lid,
            terms.tid,
            terms.plan,
            if terms.addons.is_empty() { "none".to_owned() } else { terms.addons.join(", ") },
            terms.issued_at(),
            terms.expires_at(),
            terms.dom.as_deref().unwrap_or("any")
        ));
    }
    let value = json!({
        "state": state.word(),
        "reason": reason,
        "id": terms.as_ref().map(|terms| &terms.lid),
        "tenant": terms.as_ref().map(|terms| &terms.tid),
        "plan": terms.as_ref().map(|terms| &terms.plan),
        "addons": terms.as_ref().map(|terms| &terms.addons),
        "issued_at": terms.as_ref().map(Terms::issued_at),
        "expires_at": terms.as_ref().map(Terms::expires_at),
        "domain": terms.as_ref().and_then(|terms| terms.dom.as_ref()),
    });
    output.say(&words, &value);
    Ok(!state.locks())
}

/// A list says for good what is on it: a slip of the hand must not look like a licence revoked.
fn is_id(text: &str) -> bool {
    text.len() == (ID_BYTES * 4).div_ceil(3) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
}

fn revoke(license: &str, key: &Path, list: &Path, output: &Output) -> anyhow::Result<()> {
    let signer = signer(key)?;
    let id = if license.starts_with("LW1.") {
        signer.verifier().read(license).map_err(|invalid| anyhow!("this licence is not yours: {invalid}"))?.lid
    } else if is_id(license) {
        license.to_owned()
    } else {
        bail!("`{license}` is no licence and no licence's id, as `issue` and `inspect` tell it");
    };
    let mut known = if list.exists() { read_list(&signer.verifier(), list)? } else { Revocations::default() };
    let text = known.revoke(&signer, &id, SystemClock.now());
    // Written beside and renamed: a crash leaves the old list or the new one.
    let part = list.with_extension("part");
    std::fs::write(&part, format!("{text}\n")).with_context(|| format!("cannot write {}", part.display()))?;
    std::fs::File::open(&part)?.sync_all()?;
    std::fs::rename(&part, list).with_context(|| format!("cannot write {}", list.display()))?;
    let words = format!("{id} is revoked; {} licences are on {}.", known.revoked.len(), list.display());
    output.say(&words, &json!({"id": id, "list": list, "revoked": known.revoked}));
    Ok(())
}

fn read_list(verifier: &Verifier, file: &Path) -> anyhow::Result<Revocations> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    Revocations::read(verifier, &text)
        .map_err(|invalid| anyhow!("{} is no list of this vendor: {invalid}", file.display()))
}

fn signer(file: &Path) -> anyhow::Result<Signer> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    Signer::parse(&text).ok_or_else(|| anyhow!("{} holds no private key of `loopd license keygen`", file.display()))
}
