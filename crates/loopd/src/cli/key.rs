//! `loopd key create|rotate|revoke|list`

use anyhow::{anyhow, bail};
use clap::{Subcommand, ValueEnum};
use loopd_kernel::credential::{self, KeyBounds, Limits, NewKey};
use loopd_kernel::listing::{Conditions, ListQuery};
use loopd_kernel::permission::PermissionSet;
use loopd_kernel::{Kernel, Tenant, account};
use loopd_store::View;
use loopd_types::{CompanyCode, CompanyId, DAY_US, Network, Timestamp, Uuid};
use serde_json::{Value, json};

use super::{Output, open, words};
use crate::settings::Settings;

#[derive(Subcommand)]
pub enum Key {
    /// Make a key and print it, once.
    Create {
        #[arg(long, value_enum, default_value = "internal")]
        kind: Kind,
        /// For a project: what it mostly does, which decides its scopes unless some are given.
        #[arg(long, value_enum, default_value = "seller")]
        purpose: Purpose,
        /// The company's code.
        #[arg(long)]
        company: String,
        /// A permission pattern; may be given several times. All, if none is given.
        #[arg(long)]
        scope: Vec<String>,
        #[arg(long, default_value = "command line")]
        name: String,
        /// Email of the user whom the key acts as; the company's first owner, if none is given.
        #[arg(long)]
        user: Option<String>,
        /// A network (`10.0.0.0/8`) that the key may be used from; may be given several times. Anywhere, if none is given.
        #[arg(long)]
        network: Vec<Network>,
        /// Days until the key ends; never, if none are given.
        #[arg(long)]
        days: Option<u32>,
    },
    /// Make a successor with the same rights and limits, and print it, once. The old key lives on for a while.
    Rotate {
        id: Uuid,
        /// Hours that the old key still works; 0 ends it at once.
        #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(0..=720))]
        hours: u32,
    },
    /// Revoke a key by its id; counts at the next request.
    Revoke { id: Uuid },
    /// List a company's keys.
    List {
        #[arg(long)]
        company: String,
    },
}

/// Which surface the key opens.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// LOOP's internal server key (`loop_ik_…`).
    Internal,
    /// Makes a Loomal project with its wallet, and prints its key (`loid-…`).
    Project,
    /// Manages Loomal projects (`lopk-…`).
    Platform,
    /// Loopwave's public API (`lw_live_…`).
    Wave,
}

/// On which side of payments a project stands.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Purpose {
    Seller,
    Buyer,
}

pub async fn run(settings: Settings, command: Key, output: &Output) -> anyhow::Result<()> {
    let kernel = open(&settings).await?;
    match command {
        Key::Create { kind: Kind::Project, company, scope, name, purpose, .. } => {
            project(&kernel, &company, scope, name, purpose, output).await
        }
        Key::Create { kind: Kind::Platform, company, name, .. } => platform(&kernel, &company, name, output).await,
        Key::Create { kind: Kind::Wave, company, scope, name, .. } => {
            wave(&kernel, &company, scope, name, output).await
        }
        Key::Create { kind: Kind::Internal, company, scope, name, user, network, days, .. } => {
            let networks = (!network.is_empty()).then_some(network);
            let limits = Limits { networks, ..Limits::default() };
            let expires_at = days.map(|days| kernel.now().plus(i64::from(days) * DAY_US));
            create(&kernel, &company, Wanted { scopes: scope, name, user, limits, expires_at }, output).await
        }
        Key::Rotate { id, hours } => rotate(&kernel, id, hours, output).await,
        Key::Revoke { id } => revoke(&kernel, id, output).await,
        Key::List { company } => list(&kernel, &company, output).await,
    }
}

async fn company_of(kernel: &Kernel, code: &str) -> anyhow::Result<CompanyId> {
    let company = CompanyCode::parse(code)
        .map(|code| code.0)
        .ok_or_else(|| anyhow!("`{code}` is no company code, such as 001"))?;
    if !loopd_kernel::company::all_ids(kernel).await.map_err(words)?.contains(&company) {
        bail!("there is no company {code}");
    }
    Ok(company)
}

/// What a new key shall be.
struct Wanted {
    scopes: Vec<String>,
    name: String,
    user: Option<String>,
    limits: Limits,
    expires_at: Option<Timestamp>,
}

async fn create(kernel: &std::sync::Arc<Kernel>, code: &str, wanted: Wanted, output: &Output) -> anyhow::Result<()> {
    let Wanted { scopes, name, user, limits, expires_at } = wanted;
    let company = company_of(kernel, code).await?;
    let scopes = if scopes.is_empty() { vec!["*".to_owned()] } else { scopes };
    PermissionSet::parse(&scopes).map_err(|text| anyhow!(text))?;
    let user = match user {
        Some(email) => account::find_id_by_email(kernel, &email)
            .await
            .map_err(words)?
            .ok_or_else(|| anyhow!("no user has the email {email}"))?,
        None => loopd_kernel::company::first_owner(kernel, company)
            .await
            .map_err(words)?
            .ok_or_else(|| anyhow!("company {code} has no active owner; name a --user"))?,
    };
    let access = kernel.company_access(company).await.map_err(words)?;
    let access = access.ok_or_else(|| anyhow!("there is no company {code}"))?;
    let (tenant, shared, shown) = (Tenant::system(access, "command line"), kernel.clone(), scopes.clone());
    let minted = kernel
        .db
        .write(View::System, move |tx| {
            let new = NewKey {
                kind: &credential::INTERNAL,
                company,
                name: &name,
                user: Some(user),
                subject: None,
                scopes: &scopes,
                limits: &limits,
                expires_at,
                rotated_from: None,
                by: None,
            };
            credential::make(tx, &shared, &tenant, &new)
        })
        .await
        .map_err(words)?;
    output.say(
        &format!(
            "{}\n\nKeep it now: it is not shown again. Send it as X-LOOP-API-KEY, from servers only.",
            minted.secret
        ),
        &json!({"id": minted.id.to_string(), "key": minted.secret, "company": code, "scopes": shown}),
    );
    Ok(())
}

pub(super) async fn tenant_of(kernel: &Kernel, code: &str) -> anyhow::Result<Tenant> {
    let company = company_of(kernel, code).await?;
    let access = kernel.company_access(company).await.map_err(words)?;
    Ok(Tenant::system(access.ok_or_else(|| anyhow!("there is no company {code}"))?, "command line"))
}

async fn project(
    kernel: &std::sync::Arc<Kernel>,
    code: &str,
    scopes: Vec<String>,
    name: String,
    purpose: Purpose,
    output: &Output,
) -> anyhow::Result<()> {
    if let Some(unknown) = scopes.iter().find(|scope| !loopd_pay::project::SCOPES.contains(&scope.as_str())) {
        bail!("`{unknown}` is no scope of a project; there are {}", loopd_pay::project::SCOPES.join(", "));
    }
    let new = loopd_pay::project::New {
        name: Some(name),
        purpose: match purpose {
            Purpose::Seller => loopd_pay::project::Purpose::Seller,
            Purpose::Buyer => loopd_pay::project::Purpose::Buyer,
        },
        scopes: (!scopes.is_empty()).then_some(scopes),
    };
    let (tenant, shared) = (tenant_of(kernel, code).await?, kernel.clone());
    let made = kernel
        .db
        .write(tenant.view(), move |tx| loopd_pay::project::store::create(tx, &shared, &tenant, &new))
        .await
        .map_err(words)?;
    let project = &made.project;
    output.say(
        &format!(
            "{}\n\nKeep it now: it is not shown again. Send it as Authorization: Bearer. The project is {} ({}), its wallet {}.",
            made.raw_key, project.name, project.public_id, project.wallet_address
        ),
        &json!({
            "id": project.public_id, "key": made.raw_key, "company": code, "name": project.name, "scopes": project.scopes,
            "wallet": project.wallet_address,
        }),
    );
    Ok(())
}

async fn platform(kernel: &std::sync::Arc<Kernel>, code: &str, name: String, output: &Output) -> anyhow::Result<()> {
    let (tenant, shared) = (tenant_of(kernel, code).await?, kernel.clone());
    let minted = kernel
        .db
        .write(tenant.view(), move |tx| {
            loopd_pay::project::platform::create(tx, &shared, &tenant, &name, &KeyBounds::default())
        })
        .await
        .map_err(words)?;
    output.say(
        &format!(
            "{}\n\nKeep it now: it is not shown again. Send it as Authorization: Bearer to /v0/platform/…, from servers only.",
            minted.secret
        ),
        &json!({"id": minted.id.to_string(), "key": minted.secret, "company": code}),
    );
    Ok(())
}

async fn wave(
    kernel: &std::sync::Arc<Kernel>,
    code: &str,
    scopes: Vec<String>,
    name: String,
    output: &Output,
) -> anyhow::Result<()> {
    use loopd_wave::key;
    if let Some(unknown) = scopes.iter().find(|scope| !key::SCOPES.contains(&scope.as_str())) {
        bail!("`{unknown}` is no scope of Loopwave; there are {}", key::SCOPES.join(", "));
    }
    let scopes = if scopes.is_empty() { vec!["*".to_owned()] } else { scopes };
    let (tenant, shared, shown) = (tenant_of(kernel, code).await?, kernel.clone(), scopes.clone());
    let minted = kernel
        .db
        .write(tenant.view(), move |tx| key::store::create(tx, &shared, &tenant, &name, &scopes, &KeyBounds::default()))
        .await
        .map_err(words)?;
    output.say(
        &format!(
            "{}\n\nKeep it now: it is not shown again. Send it as Authorization: Bearer, or as X-API-Key, to /api/v1/messages and its like.",
            minted.secret
        ),
        &json!({"id": minted.id.to_string(), "key": minted.secret, "company": code, "scopes": shown}),
    );
    Ok(())
}

async fn rotate(kernel: &std::sync::Arc<Kernel>, id: Uuid, hours: u32, output: &Output) -> anyhow::Result<()> {
    let Some(company) = credential::company_of(kernel, id).await.map_err(words)? else {
        bail!("there is no internal key {id}")
    };
    let access = kernel.company_access(company).await.map_err(words)?.ok_or_else(|| anyhow!("its company is gone"))?;
    let (tenant, shared) = (Tenant::system(access, "command line"), kernel.clone());
    let grace = Some(i64::from(hours) * 3600);
    let minted = kernel
        .db
        .write(View::System, move |tx| credential::rotate(tx, &shared, &tenant, id, grace))
        .await
        .map_err(words)?;
    if hours == 0 {
        // As for a revocation: the old one must be dead when it is said.
        tokio::time::sleep(loopd_kernel::kernel::ENTRY_LIFE).await;
    }
    let until = if hours == 0 {
        "The old key is dead.".to_owned()
    } else {
        format!("The old key works for {hours} more hours.")
    };
    output.say(
        &format!("{}\n\nKeep it now: it is not shown again. {until}", minted.secret),
        &json!({"id": minted.id.to_string(), "key": minted.secret, "rotated_from": id.to_string(), "overlap_hours": hours}),
    );
    Ok(())
}

async fn revoke(kernel: &std::sync::Arc<Kernel>, id: Uuid, output: &Output) -> anyhow::Result<()> {
    let Some(company) = credential::company_of(kernel, id).await.map_err(words)? else {
        bail!("there is no internal key {id}")
    };
    let access = kernel.company_access(company).await.map_err(words)?.ok_or_else(|| anyhow!("its company is gone"))?;
    let (tenant, shared) = (Tenant::system(access, "command line"), kernel.clone());
    kernel.db.write(tenant.view(), move |tx| credential::revoke(tx, &shared, &tenant, id)).await.map_err(words)?;
    // A server that runs beside may know the key for that long; "revoked" must be true when it is said.
    tokio::time::sleep(loopd_kernel::kernel::ENTRY_LIFE).await;
    output.say(&format!("Revoked {id}."), &json!({"id": id.to_string(), "revoked": true}));
    Ok(())
}

async fn list(kernel: &std::sync::Arc<Kernel>, code: &str, output: &Output) -> anyhow::Result<()> {
    let company = company_of(kernel, code).await?;
    let listed = kernel
        .db
        .read_long(View::Company(company), move |reader| {
            let query = ListQuery { page_size: 10_000, ..ListQuery::default() };
            credential::LISTING.list(reader, &query, Some(&[company]), Conditions::default())
        })
        .await
        .map_err(words)?;
    let rows: Vec<Value> = serde_json::from_slice(&[b"[".as_slice(), &listed.rows, b"]"].concat())?;
    let line = |row: &Value| {
        let text = |name: &str| row[name].as_str().unwrap_or("never").to_owned();
        let state = if row["revoked_at"].is_null() { "active" } else { "revoked" };
        format!("{}  {}…  {state}  last used {}  {}", text("id"), text("prefix"), text("last_used_at"), text("name"))
    };
    let words =
        if rows.is_empty() { "No keys.".to_owned() } else { rows.iter().map(line).collect::<Vec<_>>().join("\n") };
    output.say(&words, &Value::from(rows));
    Ok(())
}
