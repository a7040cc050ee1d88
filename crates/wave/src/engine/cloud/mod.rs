//! The Cloud API: Meta's own way for businesses. We call the Graph API ([`graph`]); Meta calls our webhook ([`webhook`]), which is signed.
//!
//! A hand-over whose answer was lost is [`Unsent::Unknown`]: every message carries our id (`biz_opaque_callback_data`), every status brings
//! it back, and so the first status resolves what nobody knew.

mod account;
mod content;
mod errors;
mod graph;
mod media;
mod templates;
mod uploads;
mod webhook;

use std::sync::Arc;

use async_trait::async_trait;
use loopd_kernel::input::Input;
use loopd_kernel::{Kernel, Tenant};
use loopd_types::{CompanyId, Problem, Result, Uuid};
use loopd_web::{Schema as _, schema};
use serde_json::{Value as Json, json};

use self::account::{Config, Secrets};
use self::graph::{Graph, Line, Trouble};
use self::uploads::Uploads;
use super::{Abilities, Brought, Change, Engine, Failure, Outgoing, Sent, Settled, Signal, Unsent, no_history};
use crate::limit;
use crate::number::{self, Number, State};
use crate::settings::{Failpoint, Settings};

pub use media::register_jobs;
pub use webhook::operations;

pub const NAME: &str = "cloud";

/// The engine over Meta's own service.
pub struct Cloud {
    graph: Graph,
    uploads: Uploads,
    failpoint: Failpoint,
}

/// Meta's id of a number's business account; `None` for a number of another engine.
pub fn account_of(number: &Number) -> Option<String> {
    let config = (number.engine == NAME).then(|| Config::of(number).ok()).flatten()?;
    Some(config.waba_id).filter(|id| !id.is_empty())
}

/// What a probe asks of a number.
const FIELDS: &str =
    "id,display_phone_number,verified_name,quality_rating,messaging_limit_tier,throughput,health_status";

impl Cloud {
    /// # Errors
    /// In words, for an address that cannot be called.
    pub fn new(settings: &Settings) -> Result<Self, String> {
        Ok(Self {
            graph: Graph::new(&settings.graph_url)?,
            uploads: Uploads::default(),
            failpoint: settings.failpoint.clone(),
        })
    }

    fn line(&self, kernel: &Kernel, number: &Number) -> Result<Line<'_>> {
        Ok(self.graph.line(Config::of(number)?, &Secrets::open(kernel, number)?))
    }

    /// Asks Meta for the number, and keeps what it says of it.
    async fn look(&self, kernel: &Arc<Kernel>, number: &Number) -> Result<Change> {
        let line = self.line(kernel, number)?;
        let found = match line.number(FIELDS).await {
            Ok(found) => found,
            Err(Trouble::Refused(refusal)) => {
                let failure = errors::failure(&refusal);
                if errors::signal(&refusal) == Signal::LoggedOut {
                    return Ok(Change { state: State::LoggedOut, reason: Some(failure.words), qr: None, phone: None });
                }
                let words = format!("WhatsApp does not open this number: {}", refusal.words);
                return Err(Problem::conflict("number_refused", words));
            }
            Err(trouble) => return Err(Problem::unavailable(format!("the Graph API: {trouble}"))),
        };
        if found["id"].as_str() != Some(&line.config.phone_number_id) {
            return Err(Problem::unavailable("the Graph API answered with another number"));
        }
        let text = |name: &str| found[name].as_str().map(str::to_owned);
        let mut config = line.config;
        config.verified_name = text("verified_name").or(config.verified_name);
        config.quality = text("quality_rating").or(config.quality);
        config.tier = text("messaging_limit_tier").or(config.tier);
        config.throughput = match found["throughput"]["level"].as_str() {
            Some("HIGH") => Some(1_000),
            Some("STANDARD") => None,
            _ => config.throughput,
        };
        number::store::learn(kernel, number, config.to_json()).await?;
        let phone = text("display_phone_number").and_then(|text| crate::address::Address::phone(&text)?.telephone());
        if let Some(reason) = blocked(&found["health_status"]) {
            return Ok(Change { state: State::Disconnected, reason: Some(reason), qr: None, phone });
        }
        Ok(Change { state: State::Ready, reason: None, qr: None, phone })
    }
}

#[async_trait]
impl Engine for Cloud {
    fn name(&self) -> &'static str {
        NAME
    }

    fn abilities(&self) -> Abilities {
        Abilities { qr: false, groups: false, window: true, templates: true, media: true, history: false }
    }

    async fn older(&self, _kernel: &Arc<Kernel>, _tenant: &Arc<Tenant>, _number: &Number) -> Result<Brought> {
        Err(no_history("The official Cloud API tells nothing from before a number was linked."))
    }

    fn members(&self) -> Vec<(&'static str, Json)> {
        let secret = || schema::text(1, 1024).describe("Sealed at once, and never shown again.");
        vec![
            ("phone_number_id", schema::text(1, 32).describe("Engine cloud: Meta's id of the number.")),
            ("waba_id", schema::text(1, 32).describe("Engine cloud: Meta's id of the WhatsApp business account.")),
            ("api_version", schema::text(1, 32).describe("Engine cloud: version of the Graph API; v22.0 unless said.")),
            ("access_token", secret()),
            ("app_secret", secret()),
            ("verify_token", secret()),
        ]
    }

    fn settle(&self, kernel: &Kernel, company: CompanyId, number: Uuid, input: &mut Input) -> Result<Settled> {
        account::settle(kernel, company, number, input)
    }

    fn reseal(&self, kernel: &Kernel, number: &Number, input: &mut Input) -> Result<Option<Vec<u8>>> {
        let secrets = Secrets::open(kernel, number)?.changed(input);
        secrets.seal(kernel, number.company, number.id).map(Some)
    }

    async fn connect(&self, kernel: &Arc<Kernel>, number: &Number) -> Result<Change> {
        self.look(kernel, number).await
    }

    /// What Meta has stays there: it is the company's own account.
    async fn unlink(&self, _kernel: &Arc<Kernel>, _number: &Number) -> Result<()> {
        Ok(())
    }

    async fn probe(&self, kernel: &Arc<Kernel>, number: &Number) -> Result<Option<Change>> {
        self.look(kernel, number).await.map(Some)
    }

    fn limits(&self, number: &Number) -> Option<limit::Limits> {
        Config::of(number).ok().map(|config| config.limits())
    }

    async fn send(&self, kernel: &Arc<Kernel>, number: &Number, outgoing: &Outgoing) -> Result<Sent, Unsent> {
        let line = self.line(kernel, number).map_err(|problem| unopened(&problem))?;
        let media = media::to_send(&line, kernel, &self.uploads, number, outgoing).await?;
        let body = content::body(outgoing, media.as_deref())
            .map_err(|failure| Unsent::Refused { failure, signal: Signal::None })?;
        self.failpoint.at("handing");
        let answer = line.post(&[&line.config.phone_number_id, "messages"], &body).await;
        self.failpoint.at("handed");
        let answer = answer.map_err(|trouble| errors::unsent(trouble, outgoing.attempt))?;
        match answer["messages"][0]["id"].as_str() {
            Some(id) => Ok(Sent { wa_id: id.to_owned() }),
            None => Err(Unsent::Unknown { words: "WhatsApp took the message and gave it no id".to_owned() }),
        }
    }

    async fn mark_read(&self, kernel: &Arc<Kernel>, number: &Number, wa_id: &str) -> Result<()> {
        let line = self.line(kernel, number)?;
        let body = json!({"messaging_product": "whatsapp", "status": "read", "message_id": wa_id});
        let told = line.post(&[&line.config.phone_number_id, "messages"], &body).await;
        told.map(drop).map_err(|trouble| Problem::unavailable(format!("the Graph API: {trouble}")))
    }
}

/// Why nothing can be sent, in Meta's words; `None` for a number that can send, if only with limits.
fn blocked(health: &Json) -> Option<String> {
    if health["can_send_message"].as_str() != Some("BLOCKED") {
        return None;
    }
    let errors = health["entities"].as_array().into_iter().flatten().filter_map(|it| it["errors"].as_array()).flatten();
    let words = |error: &Json| {
        let said = [&error["error_description"], &error["possible_solution"]];
        said.into_iter().filter_map(Json::as_str).collect::<Vec<_>>().join(" ")
    };
    let why = errors.map(words).find(|words| !words.is_empty());
    let why = why.unwrap_or_else(|| "WhatsApp Manager says why.".to_owned());
    Some(format!("WhatsApp lets this number send nothing. {why}"))
}

/// Secrets that cannot be opened: nothing was sent, and somebody has to give them again.
fn unopened(problem: &Problem) -> Unsent {
    let words = problem.message().to_owned();
    Unsent::Refused { failure: Failure { code: "no_credentials".to_owned(), words }, signal: Signal::None }
}
