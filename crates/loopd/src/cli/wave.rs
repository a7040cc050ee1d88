//! `loopd wave`: playing with the sandbox of WhatsApp, whether the server runs or not; a running one hears of it within a second.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use clap::Subcommand;
use loopd_kernel::{Kernel, Tenant};
use loopd_store::{Tx, View};
use loopd_types::{MINUTE_US, Timestamp, Uuid};
use loopd_wave::address::Address;
use loopd_wave::engine::sandbox::act::{self, HISTORY_MOST, Written};
use loopd_wave::engine::sandbox::behaviour::{BAN_MOST_MINUTES, Behaviour, How};
use loopd_wave::engine::sandbox::{self, inbox};
use loopd_wave::number::{self, Number, State, store::New};
use serde_json::{Value, json};

use super::key::tenant_of;
use super::{Output, words};
use crate::app::{self, World};
use crate::settings::Settings;

/// Messages of a telephone that are printed.
const SHOWN: i64 = 50;

#[derive(Subcommand)]
pub enum Wave {
    /// Add a number of the sandbox and link it to a simulated telephone.
    Link {
        /// The telephone's number, with its country code.
        phone: String,
        /// The company's code.
        #[arg(long, default_value = "001")]
        company: String,
        #[arg(long, default_value = "Sandbox")]
        label: String,
        /// What the telephone knows from before: a JSON list of {"from", "text", "name", "from_me", "at"}.
        #[arg(long, value_name = "FILE")]
        history: Option<PathBuf>,
    },
    /// Have somebody write to a number.
    Receive {
        /// As the API calls it: n1a2b3c4.
        number: String,
        /// The customer's number with its country code; a group's jid.
        from: String,
        text: String,
        /// What they call themselves, or the group's name.
        #[arg(long)]
        name: Option<String>,
        /// Who wrote, in a group.
        #[arg(long)]
        author: Option<String>,
    },
    /// Say how a number behaves, or have it behave otherwise from now on.
    Behave {
        number: String,
        #[arg(long)]
        deliver_after_ms: Option<i64>,
        #[arg(long)]
        read_after_ms: Option<i64>,
        /// Nobody looks at messages.
        #[arg(long, conflicts_with = "read_after_ms")]
        never_read: bool,
        /// So many messages fail.
        #[arg(long)]
        fail_next: Option<i64>,
        /// Of all others so many in a hundred.
        #[arg(long)]
        fail_percent: Option<i64>,
        /// refused, later, unknown (arrives, and the answer is lost), vanished (does not), undelivered (taken, and failed afterwards).
        #[arg(long)]
        fail_how: Option<String>,
    },
    /// Have WhatsApp ban a number for a time.
    Ban {
        number: String,
        #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(i64).range(1..=BAN_MOST_MINUTES))]
        minutes: i64,
        #[arg(long, default_value = "sent too many messages to people who do not know you")]
        reason: String,
    },
    /// Have WhatsApp lift its ban.
    Lift { number: String },
    /// Show what a simulated telephone was sent.
    Phone { number: String, phone: String },
}

pub async fn run(settings: Settings, command: Wave, output: &Output) -> anyhow::Result<()> {
    let server = app::build(settings, World::default()).await?;
    let play = Play { kernel: server.kernel.clone(), wave: server.wave.clone() };
    let done = play.run(command, output).await;
    play.kernel.db.close().await;
    done
}

/// The sandbox, and who plays with it.
struct Play {
    kernel: Arc<Kernel>,
    wave: Arc<loopd_wave::Wave>,
}

impl Play {
    async fn run(&self, command: Wave, output: &Output) -> anyhow::Result<()> {
        match command {
            Wave::Link { phone, company, label, history } => {
                let history = history.as_deref().map(read_history).transpose()?.unwrap_or_default();
                let tenant = Arc::new(tenant_of(&self.kernel, &company).await?);
                let linked = self.link(&tenant, &phone, &label, history).await?;
                let text = format!(
                    "{label} is {}, linked to the simulated telephone {phone}. A customer writes:\n  loopd wave receive {} 250788123456 \"Is it open?\" --name Aline",
                    linked.public_id, linked.public_id
                );
                output.say(
                    &text,
                    &json!({"number": linked.public_id, "id": linked.id.to_string(), "phone": linked.phone}),
                );
            }
            Wave::Receive { number, from, text, name, author } => {
                let chat = address(&from)?;
                let (number, tenant) = self.number(&number).await?;
                let written = Written { name, author, ..Written::text(chat, text) };
                let message = self
                    .act(&tenant, number.id, move |tx, kernel, tenant, id| {
                        Ok(match act::receive(tx, kernel, tenant, id, &written)? {
                            loopd_wave::message::Taken::New { message, .. } => message.id,
                            loopd_wave::message::Taken::Known => Uuid::nil(),
                        })
                    })
                    .await?;
                output.say("It is in the inbox.", &json!({"message": message.to_string()}));
            }
            Wave::Behave { number, deliver_after_ms, read_after_ms, never_read, fail_next, fail_percent, fail_how } => {
                let how = match &fail_how {
                    None => None,
                    Some(text) => {
                        let all = How::ALL.map(How::as_str).join(", ");
                        Some(How::parse(text).ok_or_else(|| anyhow!("`{text}` is none of {all}"))?)
                    }
                };
                let (number, tenant) = self.number(&number).await?;
                let change = move |line: &mut Behaviour| {
                    line.deliver_after_ms = deliver_after_ms.unwrap_or(line.deliver_after_ms);
                    line.read_after_ms = if never_read { None } else { read_after_ms.or(line.read_after_ms) };
                    line.fail_next = fail_next.unwrap_or(line.fail_next);
                    line.fail_percent = fail_percent.unwrap_or(line.fail_percent);
                    line.fail_how = how.unwrap_or(line.fail_how);
                };
                let work = move |tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id| {
                    act::behave(tx, kernel, tenant, id, change)
                };
                say(output, &number, &self.act(&tenant, number.id, work).await?);
            }
            Wave::Ban { number, minutes, reason } => {
                let (number, tenant) = self.number(&number).await?;
                let work = move |tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id| {
                    act::ban(tx, kernel, tenant, id, kernel.now().plus(minutes * MINUTE_US), &reason)
                };
                say(output, &number, &self.act(&tenant, number.id, work).await?);
            }
            Wave::Lift { number } => {
                let (number, tenant) = self.number(&number).await?;
                say(output, &number, &self.act(&tenant, number.id, act::lift).await?);
            }
            Wave::Phone { number, phone } => {
                let jid = address(&phone)?.to_string();
                let (number, tenant) = self.number(&number).await?;
                let (company, id) = (tenant.company, number.id);
                let read =
                    self.kernel.db.read(tenant.view(), move |reader| Ok(inbox(reader, company, id, &jid, SHOWN)?));
                let held = read.await.map_err(words)?;
                let lines: Vec<String> = held.iter().rev().map(line).collect();
                let text = if lines.is_empty() { format!("{phone} was sent nothing.") } else { lines.join("\n") };
                output.say(&text, &json!(held));
            }
        }
        Ok(())
    }

    /// A number of the sandbox by what the API calls it, in whichever company.
    async fn number(&self, name: &str) -> anyhow::Result<(Number, Arc<Tenant>)> {
        let wanted = name.to_owned();
        let find = self.kernel.db.read(View::System, move |reader| Ok(number::store::find_anywhere(reader, &wanted)?));
        let number = find.await.map_err(words)?.ok_or_else(|| anyhow!("there is no number {name}"))?;
        let access = self.kernel.company_access(number.company).await.map_err(words)?;
        let access = access.ok_or_else(|| anyhow!("the number's company is gone"))?;
        Ok((number, Arc::new(Tenant::system(access, "command line"))))
    }

    async fn act<T, F>(&self, tenant: &Arc<Tenant>, id: Uuid, work: F) -> anyhow::Result<T>
    where
        T: Send + 'static,
        F: Fn(&mut Tx<'_>, &Kernel, &Tenant, Uuid) -> loopd_types::Result<T> + Send + 'static,
    {
        let (kernel, tenant) = (self.kernel.clone(), tenant.clone());
        self.kernel.db.write(tenant.view(), move |tx| work(tx, &kernel, &tenant, id)).await.map_err(words)
    }

    async fn link(
        &self,
        tenant: &Arc<Tenant>,
        phone: &str,
        label: &str,
        history: Vec<Written>,
    ) -> anyhow::Result<Number> {
        let engine = self.wave.engine(sandbox::NAME).context("the sandbox is not enabled (LOOP_WHATSAPP_ENGINES)")?;
        let phone = Address::phone(phone).and_then(|address| address.telephone());
        let phone = phone.context("a telephone number has digits and a country code")?;
        link(&self.kernel, engine, tenant, &phone, label, history).await
    }
}

/// Adds a number of the sandbox, and has a simulated telephone scan its code.
pub(super) async fn link(
    kernel: &Arc<Kernel>,
    engine: &Arc<dyn loopd_wave::engine::Engine>,
    tenant: &Arc<Tenant>,
    phone: &str,
    label: &str,
    history: Vec<Written>,
) -> anyhow::Result<Number> {
    let (id, company) = (kernel.new_id(), tenant.company);
    let (shared, whose, label) = (kernel.clone(), tenant.clone(), label.to_owned());
    let make = move |tx: &mut Tx<'_>| {
        let new = New { label: &label, engine: sandbox::NAME, address: None, config: json!({}), secret: None };
        number::store::create(tx, &shared, &whose, id, &new)?;
        number::get(tx, company, id)
    };
    let made = kernel.db.write(tenant.view(), make).await.map_err(words)?;
    let shows = engine.connect(kernel, &made).await.map_err(words)?;
    let (shared, whose, phone) = (kernel.clone(), tenant.clone(), phone.to_owned());
    let scan = move |tx: &mut Tx<'_>| {
        number::change(tx, &shared, &whose, id, &shows)?;
        act::scan(tx, &shared, &whose, id, Some(phone.clone()), &history, &[])?;
        number::get(tx, company, id)
    };
    let linked = kernel.db.write(tenant.view(), scan).await.map_err(words)?;
    if linked.state != State::Ready {
        bail!("the number is {} and not ready", linked.state.as_str());
    }
    Ok(linked)
}

fn address(text: &str) -> anyhow::Result<Address> {
    Address::parse(text).ok_or_else(|| anyhow!("`{text}` is no telephone number with its country code, and no jid"))
}

fn read_history(file: &Path) -> anyhow::Result<Vec<Written>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let rows: Vec<Value> =
        serde_json::from_str(&text).with_context(|| format!("{} is no JSON list", file.display()))?;
    if rows.len() > HISTORY_MOST {
        bail!("{} has more than {HISTORY_MOST} messages", file.display());
    }
    let written = |(place, row): (usize, &Value)| {
        let text = |name: &str| row[name].as_str().map(str::to_owned);
        let chat = text("from").and_then(|from| Address::parse(&from));
        let chat = chat.with_context(|| format!("message {}: `from` is no number", place + 1))?;
        let said = text("text").with_context(|| format!("message {}: `text` is missing", place + 1))?;
        let at = match text("at") {
            None => None,
            Some(at) => Some(Timestamp::parse(&at).with_context(|| format!("message {}: `at` is no time", place + 1))?),
        };
        let (name, author, from_me) = (text("name"), text("author"), row["from_me"] == true);
        Ok(Written { name, author, from_me, at, ..Written::text(chat, said) })
    };
    rows.iter().enumerate().map(written).collect()
}

fn say(output: &Output, number: &Number, line: &Behaviour) {
    let read = line.read_after_ms.map_or("never".to_owned(), |ms| format!("after {ms} ms"));
    let mut text = format!(
        "{} ({}) delivers after {} ms; messages are read {read}. The next {} fail, then {} of a hundred ({}).",
        number.label,
        number.public_id,
        line.deliver_after_ms,
        line.fail_next,
        line.fail_percent,
        line.fail_how.as_str()
    );
    if let Some(until) = line.banned_until {
        text.push_str(&format!("\nBanned until {until}: {}", line.ban_reason.as_deref().unwrap_or_default()));
    }
    let value = json!({
        "number": number.public_id, "deliver_after_ms": line.deliver_after_ms, "read_after_ms": line.read_after_ms,
        "fail_next": line.fail_next, "fail_percent": line.fail_percent, "fail_how": line.fail_how.as_str(),
        "banned_until": line.banned_until.map(|at| at.to_string()), "ban_reason": line.ban_reason,
    });
    output.say(&text, &value);
}

/// `2026-11-23T08:00:00Z  read       Muraho!`
fn line(held: &Value) -> String {
    let text = |name: &str| held[name].as_str().unwrap_or_default().to_owned();
    let said = match held["text"].as_str() {
        Some(said) => said.replace('\n', "\n                                       "),
        None => format!("[{}]", text("type")),
    };
    format!("{:<27}  {:<9}  {said}", text("taken_at"), text("stage"))
}
