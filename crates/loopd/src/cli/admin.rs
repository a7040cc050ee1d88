//! `loopd user create|deactivate|activate|password|reset-two-factor|erase`, `loopd company create`

use anyhow::{anyhow, bail};
use clap::Subcommand;
use loopd_kernel::account::{self, NewUser, rules};
use loopd_kernel::erasure::{self, Asked, Through};
use loopd_kernel::listing::Conditions;
use loopd_kernel::{Actor, audit, company};
use loopd_store::{Reader, Tx, View};
use serde_json::{Value, json};

use super::{Output, open, password, words};
use crate::settings::Settings;

#[derive(Subcommand)]
pub enum User {
    /// Make a person. A terminal is asked for the password and does not show it; else it is a line of standard input.
    Create {
        email: String,
        #[arg(long)]
        username: Option<String>,
        #[command(flatten)]
        password: password::Given,
        /// May see every company; every look is audited.
        #[arg(long)]
        superuser: bool,
        #[arg(long)]
        staff: bool,
    },
    /// Switch an account off: its sessions end, its keys are revoked. Counts at the next request.
    Deactivate { email: String },
    /// Let a deactivated person sign in again.
    Activate { email: String },
    /// Take a person's second factors away: they lost them all, and it is them who asks. Their sessions end.
    ResetTwoFactor { email: String },
    /// Erase a person: their account, and what is known of them by it. There is no way back.
    Erase {
        email: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Set somebody's password, asked for as `create` does; their sessions end.
    Password {
        email: String,
        #[command(flatten)]
        password: password::Given,
    },
}

#[derive(Subcommand)]
pub enum Company {
    /// Make a company owned by a person.
    Create {
        name: String,
        /// Email of the owner.
        #[arg(long)]
        owner: String,
        #[arg(long, default_value = "RWF")]
        currency: String,
        #[arg(long, default_value = "Africa/Kigali")]
        timezone: String,
    },
}

/// The command line itself acts; the audit says so.
pub fn operator() -> Actor {
    Actor { user: None, credential: None, origin: None, reason: Some("command line") }
}

pub async fn user(settings: Settings, command: User, output: &Output) -> anyhow::Result<()> {
    match command {
        User::Deactivate { email } => switch(&settings, &email, false, output).await,
        User::Activate { email } => switch(&settings, &email, true, output).await,
        User::ResetTwoFactor { email } => reset_two_factor(&settings, &email, output).await,
        User::Erase { email, yes } => erase(&settings, &email, yes, output).await,
        User::Password { email, password } => set_password(&settings, &email, password, output).await,
        User::Create { email, username, password, superuser, staff } => {
            let email = email.to_lowercase();
            create(&settings, NewPerson { email, username, password, superuser, staff }, output).await
        }
    }
}

async fn reset_two_factor(settings: &Settings, email: &str, output: &Output) -> anyhow::Result<()> {
    let kernel = open(settings).await?;
    let found = account::find_id_by_email(&kernel, email).await.map_err(words)?;
    let id = found.ok_or_else(|| anyhow!("no user has the email {email}"))?;
    let shared = kernel.clone();
    let work = move |tx: &mut Tx<'_>| loopd_kernel::two_factor::reset(tx, &shared, &operator(), id);
    kernel.db.write(View::System, work).await.map_err(words)?;
    // As for a deactivation: what is said must be true of a server that runs beside.
    tokio::time::sleep(loopd_kernel::kernel::ENTRY_LIFE).await;
    let value = json!({"id": id.to_string(), "email": email.to_lowercase(), "two_factor": false});
    output.say(&format!("{email} signs in by password alone until they enable two-factor again."), &value);
    Ok(())
}

async fn switch(settings: &Settings, email: &str, is_active: bool, output: &Output) -> anyhow::Result<()> {
    let kernel = open(settings).await?;
    let found = account::find_id_by_email(&kernel, email).await.map_err(words)?;
    let id = found.ok_or_else(|| anyhow!("no user has the email {email}"))?;
    let shared = kernel.clone();
    let work = move |tx: &mut Tx<'_>| match is_active {
        true => account::activate(tx, &shared, &operator(), id),
        false => account::deactivate(tx, &shared, &operator(), id),
    };
    kernel.db.write(View::System, work).await.map_err(words)?;
    // A server that runs beside may know the person for that long; "deactivated" must be true when it is said.
    tokio::time::sleep(loopd_kernel::kernel::ENTRY_LIFE).await;
    let done = if is_active { "Activated" } else { "Deactivated" };
    let value = json!({"id": id.to_string(), "email": email.to_lowercase(), "is_active": is_active});
    output.say(&format!("{done} {email}."), &value);
    Ok(())
}

async fn erase(settings: &Settings, email: &str, yes: bool, output: &Output) -> anyhow::Result<()> {
    let kernel = open(settings).await?;
    let found = account::find_id_by_email(&kernel, email).await.map_err(words)?;
    let id = found.ok_or_else(|| anyhow!("no user has the email {email}"))?;
    if !yes {
        eprintln!("{email} is erased for good. Type the address again to go on:");
        let mut line = String::new();
        std::io::stdin().read_line(&mut line)?;
        if line.trim().to_lowercase() != email.to_lowercase() {
            bail!("nothing was erased");
        }
    }
    let shared = kernel.clone();
    let work = move |tx: &mut Tx<'_>| {
        erasure::begin(tx, &shared, Asked { actor: &operator(), through: Through::CommandLine }, id)
    };
    let erasure = kernel.db.write(View::System, work).await.map_err(words)?;
    let state = erasure::go_on(&kernel, erasure, std::time::Duration::ZERO).await.map_err(words)?;
    let read = move |reader: &mut Reader<'_>| erasure::LISTING.find(reader, erasure, None, Conditions::default());
    let row = kernel.db.read(View::System, read).await.map_err(words)?;
    let row: Value = serde_json::from_slice(&row.ok_or_else(|| anyhow!("the erasure is gone"))?)?;
    // As for a deactivation: what is said must be true of a server that runs beside.
    tokio::time::sleep(loopd_kernel::kernel::ENTRY_LIFE).await;
    let mut lines = vec![format!("Erased {email}; the report is {erasure}.")];
    for line in row["report"].as_array().into_iter().flatten() {
        let name = line["table"].as_str().unwrap_or_default();
        let ground = line["ground"].as_str().filter(|ground| !ground.is_empty());
        let ground = ground.map(|ground| format!(" ({ground})")).unwrap_or_default();
        let (gone, blank, kept) = (&line["erased"], &line["pseudonymised"], &line["kept"]);
        lines.push(format!("  {name}: {gone} erased, {blank} without their name, {kept} kept{ground}"));
    }
    if state == erasure::State::Writing {
        lines.push("A last letter waits for the server to send it; then its address is forgotten, too.".to_owned());
    }
    output.say(&lines.join("\n"), &row);
    kernel.db.close().await;
    Ok(())
}

async fn set_password(
    settings: &Settings,
    email: &str,
    password: password::Given,
    output: &Output,
) -> anyhow::Result<()> {
    let kernel = open(settings).await?;
    let found = account::find_id_by_email(&kernel, email).await.map_err(words)?;
    let id = found.ok_or_else(|| anyhow!("no user has the email {email}"))?;
    let email = email.to_lowercase();
    let password = password.read(&email)?;
    if let Some((_, message)) = rules::check_password(&password, &email, "").into_iter().next() {
        bail!("{message}");
    }
    let (hash, shared) = (kernel.passwords.hash(password).await.map_err(words)?, kernel.clone());
    let work = move |tx: &mut Tx<'_>| account::set_password(tx, &shared, &operator(), id, &hash);
    kernel.db.write(View::System, work).await.map_err(words)?;
    output.say(&format!("{email} has a new password."), &json!({"id": id.to_string(), "email": email}));
    Ok(())
}

struct NewPerson {
    email: String,
    username: Option<String>,
    password: password::Given,
    superuser: bool,
    staff: bool,
}

async fn create(settings: &Settings, person: NewPerson, output: &Output) -> anyhow::Result<()> {
    let NewPerson { email, username, password, superuser, staff } = person;
    if !rules::is_email(&email) {
        bail!("`{email}` is no email address");
    }
    let username = username.unwrap_or_else(|| email.split('@').next().unwrap_or(&email).to_owned());
    rules::check_username(&username).map_err(|(_, message)| anyhow!(message))?;
    let password = password.read(&email)?;
    if let Some((_, message)) = rules::check_password(&password, &email, &username).into_iter().next() {
        bail!("{message}");
    }
    let kernel = open(settings).await?;
    let password_hash = kernel.passwords.hash(password).await.map_err(words)?;
    let new = NewUser {
        email: email.clone(),
        username,
        password_hash,
        first_name: String::new(),
        last_name: String::new(),
        phone: String::new(),
        language: "en".to_owned(),
        is_staff: staff || superuser,
        is_superuser: superuser,
    };
    let shared = kernel.clone();
    let work = move |tx: &mut Tx<'_>| {
        let id = account::create_user(tx, &shared, &new)?;
        let entry = audit::Entry {
            action: "create",
            module: "core",
            resource: "users",
            target: &id.to_string(),
            label: &new.email,
            changes: None,
        };
        shared.audit_installation(tx, &operator(), entry)?;
        Ok(id)
    };
    let id = kernel.db.write(View::System, work).await.map_err(words)?;
    output.say(
        &format!("Made {email} ({id})."),
        &json!({"id": id.to_string(), "email": email, "is_superuser": superuser}),
    );
    Ok(())
}

pub async fn company(settings: Settings, command: Company, output: &Output) -> anyhow::Result<()> {
    let Company::Create { name, owner, currency, timezone } = command;
    let kernel = open(&settings).await?;
    let owner_id = account::find_id_by_email(&kernel, &owner)
        .await
        .map_err(words)?
        .ok_or_else(|| anyhow!("no user has the email {owner}"))?;
    let body = json!({"name": name, "currency": currency, "timezone": timezone});
    let new = company::NewCompany::parse(body).map_err(words)?;
    let shared = kernel.clone();
    let made = kernel
        .db
        .write(View::System, move |tx| company::create(tx, &shared, &new, owner_id, &operator()))
        .await
        .map_err(words)?;
    output.say(
        &format!("Made company {} ({}), owned by {owner}.", made.code, made.name),
        &json!({"code": made.code, "id": made.id.to_string(), "name": made.name, "slug": made.slug}),
    );
    Ok(())
}
