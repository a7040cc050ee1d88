//! [`Messenger`]: writes to a person by telephone. A port: the kernel declares it, `loopd` wires what a product gives, and whoever wants
//! something said (a booking's reminder, an invoice) asks without knowing who says it.

use loopd_store::Tx;
use loopd_types::{Result, Timestamp, Uuid};

use crate::Kernel;
use crate::access::Tenant;

/// What a notice is for: where only words that were approved beforehand may go, the company chooses them for each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// An appointment is near.
    Reminder,
    /// Something is to be paid.
    Invoice,
}

impl Purpose {
    pub const ALL: [Self; 2] = [Self::Reminder, Self::Invoice];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reminder => "reminder",
            Self::Invoice => "invoice",
        }
    }

    /// What a notice of this purpose tells beside its text, by name ([`Notice::words`]).
    pub const fn words(self) -> &'static [&'static str] {
        match self {
            Self::Reminder => &["name", "company", "title", "when", "number"],
            Self::Invoice => &["name", "company", "number", "amount", "due_date"],
        }
    }
}

/// What is to be said to whom.
#[derive(Clone, Copy, Debug)]
pub struct Notice<'a> {
    pub purpose: Purpose,
    /// Names the act that it is part of, within the company: a second notice of the same name says nothing.
    pub reference: &'a str,
    /// As the record has it, with its country code.
    pub phone: &'a str,
    /// What the person is called.
    pub name: &'a str,
    pub text: &'a str,
    /// That of the text: `en`, `fr`, `rw`.
    pub language: &'a str,
    /// What the text says, piece by piece: each of [`Purpose::words`], empty where there is nothing to say.
    pub words: &'a [(&'a str, &'a str)],
    /// What it is about: `booking`, `appointments`, its id and its number.
    pub module: &'a str,
    pub resource: &'a str,
    pub id: Uuid,
    pub label: &'a str,
    /// The person's own record: `booking/customers` and its id.
    pub person: Option<(&'a str, Uuid)>,
    /// Afterwards nobody wants to read it any more.
    pub expires_at: Option<Timestamp>,
}

/// What became of a notice.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Said {
    /// It is written down to be sent, with the transaction that asked for it.
    OnItsWay {
        message: Uuid,
    },
    /// The same notice was given before; nothing more is sent.
    Before,
    Unsaid(Why),
}

/// Why a notice is not given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// The company has no messenger: no subscription, or no licence.
    NoMessenger,
    /// The person has no number that can be written to.
    NoPhone,
    /// They asked not to be written to.
    OptedOut,
    /// No number of the company is linked.
    NoLine,
    /// The company's number rests: its provider has restricted it.
    LineRests,
    /// It would come too late: the company is quiet until then.
    Quiet,
    /// They have not written for a day, this number may only answer, and the company has named no template.
    WindowClosed,
    /// As before, and the template that it has named cannot be sent.
    TemplateRefused,
}

impl Why {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoMessenger => "no_messenger",
            Self::NoPhone => "no_phone",
            Self::OptedOut => "opted_out",
            Self::NoLine => "no_line",
            Self::LineRests => "line_rests",
            Self::Quiet => "quiet_hours",
            Self::WindowClosed => "window_closed",
            Self::TemplateRefused => "template_refused",
        }
    }

    /// For a person to read.
    pub const fn words(self) -> &'static str {
        match self {
            Self::NoMessenger => "This company has no messenger: subscribe to one and link a number.",
            Self::NoPhone => "This customer has no telephone number with a country code.",
            Self::OptedOut => "This customer asked not to be written to.",
            Self::NoLine => "No number is linked that could write to the customer.",
            Self::LineRests => "The number that would write to the customer rests: its provider has restricted it.",
            Self::Quiet => "It would come too late: the company's quiet hours last until then.",
            Self::WindowClosed => {
                "The customer has not written for a day, so only an approved template may be sent, and the company has named none for this."
            }
            Self::TemplateRefused => {
                "The template that the company has named for this cannot be sent: it is not approved, or says something that is not known here."
            }
        }
    }
}

/// Writes to people by telephone.
pub trait Messenger: Send + Sync + 'static {
    /// Whether anything may go out for this company now that no person writes: its subscription and its licence allow it.
    ///
    /// # Errors
    /// The database's.
    fn may_say(&self, tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant) -> Result<bool>;

    /// Writes a notice down to be sent, once: it goes out if, and only if, the transaction is committed.
    ///
    /// # Errors
    /// The database's. That nothing is said is no error ([`Said::Unsaid`]).
    fn say(&self, tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, notice: &Notice<'_>) -> Result<Said>;

    /// A record of a person has just got this telephone number: whoever writes from it is linked to them, if nobody else has it.
    ///
    /// # Errors
    /// The database's.
    fn met(&self, tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, phone: &str) -> Result<()>;
}

/// Gives a notice by the messenger of this installation; [`Why::NoMessenger`] where there is none.
///
/// # Errors
/// The database's.
pub fn say(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, notice: &Notice<'_>) -> Result<Said> {
    match kernel.messenger() {
        Some(messenger) => messenger.say(tx, kernel, tenant, notice),
        None => Ok(Said::Unsaid(Why::NoMessenger)),
    }
}
