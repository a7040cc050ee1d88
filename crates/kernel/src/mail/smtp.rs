//! SMTP by `LOOP_SMTP_URL`: `smtps://user:password@host:465`, `smtp://user:password@host:587?tls=required`, `smtp://localhost:25`.

use std::time::{Duration, UNIX_EPOCH};

use lettre::address::Envelope;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::{AsyncSmtpTransportBuilder, PoolConfig};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use loopd_types::Secret;

use super::mailer::{Mailer, Message, Sending, Undelivered};

/// Where letters are handed over, and who they are from.
#[derive(Clone, Debug)]
pub struct SmtpSettings {
    pub url: Secret<String>,
    /// `LOOP <no-reply@example.com>`
    pub from: String,
}

impl SmtpSettings {
    /// Whether they can be used, without connecting anywhere.
    ///
    /// # Errors
    /// In words for the operator, without the URL, which holds a password.
    pub fn check(&self) -> Result<(), String> {
        parse_from(&self.from)?;
        self.transport().map(drop)
    }

    fn transport(&self) -> Result<AsyncSmtpTransportBuilder, String> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(self.url.expose());
        Ok(builder.map_err(|error| format!("LOOP_SMTP_URL cannot be used: {error}"))?.timeout(Some(TIMEOUT)))
    }
}

/// A pool of connections to one mail server.
pub struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

/// For one command of the conversation; a letter is a handful of them.
const TIMEOUT: Duration = Duration::from_secs(20);
/// As many as the job runner has lanes.
const MOST_CONNECTIONS: u32 = 4;

impl Smtp {
    /// Must be made inside a runtime, where its pool keeps connections open.
    ///
    /// # Errors
    /// As [`SmtpSettings::check`].
    pub fn new(settings: &SmtpSettings) -> Result<Self, String> {
        let transport = settings.transport()?.pool_config(PoolConfig::new().max_size(MOST_CONNECTIONS)).build();
        Ok(Self { transport, from: parse_from(&settings.from)? })
    }

    fn compose(&self, message: &Message) -> Result<(Envelope, Vec<u8>), String> {
        let to: Address = message.to.parse().map_err(|error| format!("{error}"))?;
        let written_at = UNIX_EPOCH + Duration::from_micros(message.written_at.micros().unsigned_abs());
        let id = format!("<{}@{}>", message.id, self.from.email.domain());
        let email = lettre::Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .date(written_at)
            .message_id(Some(id))
            .subject(message.letter.subject.clone())
            // RFC 3834: holiday notices shall not answer.
            .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned()))
            .multipart(MultiPart::alternative_plain_html(message.letter.text.clone(), message.letter.html.clone()))
            .map_err(|error| error.to_string())?;
        Ok((email.envelope().clone(), email.formatted()))
    }
}

/// # Errors
/// In words for the operator.
fn parse_from(from: &str) -> Result<Mailbox, String> {
    from.parse()
        .map_err(|error| format!("LOOP_MAIL_FROM `{from}` is no address such as LOOP <no-reply@example.com>: {error}"))
}

impl Mailer for Smtp {
    fn send<'a>(&'a self, message: &'a Message) -> Sending<'a> {
        Box::pin(async move {
            let (envelope, bytes) = self.compose(message).map_err(Undelivered::Never)?;
            match self.transport.send_raw(&envelope, &bytes).await {
                Ok(_) => Ok(()),
                Err(error) => Err(judge(&error)),
            }
        })
    }
}

/// 5xx is for good, but for 53x: those refuse us, not the letter (RFC 4954), and the operator can mend that.
fn judge(error: &lettre::transport::smtp::Error) -> Undelivered {
    let words =
        std::error::Error::source(error).map_or_else(|| error.to_string(), |source| format!("{error}: {source}"));
    let words: String = words.chars().filter(|c| !c.is_control()).take(500).collect();
    let is_about_us = error.status().is_some_and(|code| code.to_string().starts_with("53"));
    if error.is_permanent() && !is_about_us { Undelivered::Never(words) } else { Undelivered::Later(words) }
}
