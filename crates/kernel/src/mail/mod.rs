//! Mail: a letter is written in the transaction that causes it, and a job carries it out of the house with growing pauses.
//!
//! [`queue`] is all that other parts need. What goes out is decided by [`Mailer`]: SMTP, or the sandbox, whose letters a developer
//! reads in the database instead (`/sandbox/mail/`, `/api/v1/mail-messages/`). Bodies are sealed at rest, because they hold links
//! that open accounts, and are forgotten once SMTP took them.

mod letter;
mod mailer;
mod smtp;
mod store;
mod template;
mod words;
mod worker;

pub use letter::{Rendered, render};
pub use mailer::{Mailer, Message, Sandbox, Undelivered};
pub use smtp::{Smtp, SmtpSettings};
pub use store::{LISTING, read_body, retry};
pub use template::{Letter, Template, TwoFactorChange};
pub use words::moment;
pub use worker::register_jobs;

use loopd_store::{Tx, Value, params};
use loopd_types::{Problem, Result, Uuid};

use crate::{Kernel, job};

/// The sandbox's name in `LOOP_ALLOW_SANDBOXES`.
pub const SANDBOX: &str = "mail";

/// Where letters go in this installation.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Delivery {
    Smtp,
    #[default]
    Sandbox,
    /// Production without SMTP that did not name the sandbox: letters are noted as refused, and what rests on them is refused too.
    Off,
}

impl Delivery {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Smtp => "smtp",
            Self::Sandbox => "sandbox",
            Self::Off => "off",
        }
    }
}

/// The languages that letters are written in; anything else is written in the first.
pub const LANGUAGES: [&str; 3] = ["en", "fr", "rw"];

/// Writes a letter in this transaction: it is sent if, and only if, the transaction is committed. Gives the id of its row.
///
/// `letter.company` must be one that the transaction may touch; [`crate::audit::INSTALLATION`] for a person's own account, in a
/// transaction of the system's view.
///
/// # Errors
/// The database's. A recipient that is no address is no error: the letter is noted as refused.
pub fn queue(tx: &mut Tx<'_>, kernel: &Kernel, letter: &Letter<'_>) -> Result<Uuid> {
    let (id, now, via) = (kernel.new_id(), kernel.now(), kernel.settings.mail);
    let timezone =
        tx.first("SELECT timezone FROM companies WHERE company_id = $1", &params![letter.company], |row| {
            Ok(row.text(0)?.to_owned())
        })?;
    let rendered = render(letter, timezone.as_deref().unwrap_or("UTC"));
    let refusal = match via {
        Delivery::Off => Some("no mail server is configured (LOOP_SMTP_URL)"),
        _ if !crate::account::rules::is_email(letter.to) => Some("the recipient is no address"),
        _ => None,
    };
    let body = match refusal {
        Some(_) => None,
        None => Some(store::seal(kernel, id, &rendered)?),
    };
    tx.push(
        "INSERT INTO mail_messages (company_id, id, recipient, template, language, subject, body, via, state, last_error, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        params![
            letter.company,
            id,
            letter.to,
            letter.template.name(),
            letter.language(),
            &rendered.subject,
            body.map_or(Value::Null, Value::Bytes),
            via.as_str(),
            if refusal.is_some() { "refused" } else { "queued" },
            refusal,
            now
        ],
    )?;
    if refusal.is_none() {
        worker::enqueue(tx, kernel, letter.company, id, now)?;
    }
    Ok(id)
}

/// Refuses what makes no sense without mail (an invitation, a forgotten password) where none can be sent.
///
/// # Errors
/// 503 `mail_unavailable`.
pub fn require_available(kernel: &Kernel) -> Result<()> {
    if kernel.settings.mail != Delivery::Off {
        return Ok(());
    }
    Err(Problem::new(
        loopd_types::Kind::Unavailable,
        "mail_unavailable",
        "This server cannot send mail yet; its operator has to configure it.",
    ))
}

/// The address of a page of ours, for links in letters: never made from what a request calls us by, which a stranger could choose.
pub fn link(kernel: &Kernel, path: &str, token: &str) -> String {
    format!("{}{path}?token={token}", kernel.settings.public_url)
}

/// Attempts of one letter.
pub(crate) const MOST_ATTEMPTS: i64 = job::MOST_ATTEMPTS;
