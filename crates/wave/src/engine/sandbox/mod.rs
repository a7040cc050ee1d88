//! The sandbox: a WhatsApp of our own with telephones that are not there. Nothing leaves the house, and every answer says so.
//!
//! What it was handed is a row of `wave_sandbox_messages`, unique for each of our messages, so that it takes a message once however often
//! it is handed over, as the real ones do not. [`life`] walks the rows along: delivered, then read.

pub mod act;
pub mod behaviour;
pub mod http;
pub mod life;
mod store;

pub use store::inbox;

use std::sync::Arc;

use async_trait::async_trait;
use loopd_kernel::{Kernel, Tenant};
use loopd_store::View;
use loopd_types::{MINUTE_US, Problem, Result};

use self::behaviour::{Fall, How};
use super::{Abilities, Brought, Change, Engine, Failure, Fate, Outgoing, Sent, Signal, Unsent};
use crate::number::{Number, State};
use crate::settings::{Failpoint, Settings};

/// The engine that needs no account.
pub struct Sandbox {
    failpoint: Failpoint,
}

impl Sandbox {
    pub fn new(settings: &Settings) -> Self {
        Self { failpoint: settings.failpoint.clone() }
    }
}

pub const NAME: &str = "sandbox";

/// How long a code can be scanned.
const QR_LIFE_US: i64 = MINUTE_US;
/// Telephones whose number ends so have no WhatsApp.
pub const NOBODY: &str = "0000";

/// Whether nobody answers for a line, though it is said to be ready.
fn is_silent(number: &Number) -> bool {
    number.config["silent"] == true
}

#[async_trait]
impl Engine for Sandbox {
    fn name(&self) -> &'static str {
        NAME
    }

    fn is_sandbox(&self) -> bool {
        true
    }

    fn abilities(&self) -> Abilities {
        Abilities { qr: true, groups: true, window: false, templates: false, media: true, history: true }
    }

    async fn connect(&self, kernel: &Arc<Kernel>, number: &Number) -> Result<Change> {
        let is_linked = number.phone.is_some() && number.state != State::LoggedOut;
        if is_linked {
            return Ok(Change { state: State::Ready, reason: None, qr: None, phone: None });
        }
        let code = format!("loopd-sandbox:{}:{}", number.public_id, loopd_types::random_token(kernel.rng.as_ref(), 16));
        let until = kernel.now().plus(QR_LIFE_US);
        let reason = Some("Sandbox: no telephone is linked. Scan it with POST …/sandbox/scan/.".to_owned());
        Ok(Change { state: State::Qr, reason, qr: Some((code, until)), phone: None })
    }

    async fn unlink(&self, kernel: &Arc<Kernel>, number: &Number) -> Result<()> {
        let (company, id) = (number.company, number.id);
        kernel.db.write(View::Company(company), move |tx| store::forget_past(tx, company, id)).await
    }

    async fn older(&self, kernel: &Arc<Kernel>, tenant: &Arc<Tenant>, number: &Number) -> Result<Brought> {
        let (shared, tenant, id) = (kernel.clone(), tenant.clone(), number.id);
        kernel.db.write(tenant.view(), move |tx| act::older(tx, &shared, &tenant, id)).await
    }

    async fn probe(&self, _kernel: &Arc<Kernel>, number: &Number) -> Result<Option<Change>> {
        if is_silent(number) {
            return Err(Problem::unavailable("Sandbox: this line was made silent."));
        }
        Ok(Some(Change { state: State::Ready, reason: None, qr: None, phone: None }))
    }

    async fn send(&self, kernel: &Arc<Kernel>, number: &Number, outgoing: &Outgoing) -> Result<Sent, Unsent> {
        if outgoing.to.user().ends_with(NOBODY) {
            let failure = Failure {
                code: "no_whatsapp".to_owned(),
                words: "Sandbox: this number is not on WhatsApp (numbers that end in 0000 never are).".to_owned(),
            };
            return Err(Unsent::Refused { failure, signal: Signal::None });
        }
        if is_silent(number) {
            let failure =
                Failure { code: "unreachable".to_owned(), words: "Sandbox: this line was made silent.".to_owned() };
            return Err(Unsent::Later { failure, after: std::time::Duration::from_secs(5), signal: Signal::None });
        }
        if let Err(failure) = file_of(kernel, number, outgoing).await {
            return Err(Unsent::Refused { failure, signal: Signal::None });
        }
        let mut chance = [0; 4];
        kernel.rng.fill(&mut chance);
        let chance = i64::from(u32::from_be_bytes(chance)) % 100;
        self.failpoint.at("handing");
        let fall = store::take(kernel, number, outgoing, chance).await;
        self.failpoint.at("handed");
        match fall {
            Ok(Fall::Taken | Fall::Failed(How::Undelivered)) => Ok(Sent { wa_id: store::wa_id(outgoing.message) }),
            Ok(Fall::Failed(How::Refused)) => Err(refused("Sandbox: it was told to refuse this message.")),
            Ok(Fall::Failed(How::Later)) => Err(later("Sandbox: it was told to have this message tried again.")),
            Ok(Fall::Failed(How::Unknown | How::Vanished)) => {
                Err(Unsent::Unknown { words: "Sandbox: the answer was lost.".to_owned() })
            }
            Ok(Fall::Banned(until)) => {
                let failure = act::banned("it is still banned", until);
                Err(Unsent::Refused { failure, signal: Signal::Restricted(Some(until)) })
            }
            // The transaction was rolled back: it was not taken.
            Err(problem) => Err(later(problem.cause().unwrap_or(problem.message()))),
        }
    }

    async fn look_up(&self, kernel: &Arc<Kernel>, number: &Number, outgoing: &Outgoing) -> Fate {
        match store::has(kernel, number.company, outgoing.message).await {
            Ok(true) => Fate::Sent(Sent { wa_id: store::wa_id(outgoing.message) }),
            Ok(false) => Fate::NotSent,
            Err(_) => Fate::Unknown,
        }
    }
}

fn refused(words: &str) -> Unsent {
    let failure = Failure { code: "refused".to_owned(), words: words.to_owned() };
    Unsent::Refused { failure, signal: Signal::None }
}

fn later(words: &str) -> Unsent {
    let failure = Failure { code: "unavailable".to_owned(), words: words.to_owned() };
    Unsent::Later { failure, after: std::time::Duration::from_secs(1), signal: Signal::None }
}

/// A message's file must be there, as the real ones need its content.
async fn file_of(kernel: &Arc<Kernel>, number: &Number, outgoing: &Outgoing) -> Result<(), Failure> {
    let Some(id) = outgoing.content.media.as_ref().and_then(|media| media.file) else { return Ok(()) };
    let company = number.company;
    let read = move |reader: &mut loopd_store::Reader<'_>| Ok(loopd_kernel::file::find(reader, company, id)?.is_some());
    match kernel.db.read(View::Company(company), read).await {
        Ok(false) => Err(Failure { code: "file_gone".to_owned(), words: "The file is gone.".to_owned() }),
        _ => Ok(()),
    }
}
