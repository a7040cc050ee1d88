//! [`Letter`] and [`Template`]: what a letter is about. A template carries what its words need, so that none can be forgotten.

use loopd_types::{CompanyId, Timestamp};

use super::LANGUAGES;

/// A letter to be written.
#[derive(Clone, Debug)]
pub struct Letter<'a> {
    /// Whose letter it is; [`crate::audit::INSTALLATION`] for a person's own account.
    pub company: CompanyId,
    pub to: &'a str,
    /// The reader's language, as their account (or the company, for people without one) has it.
    pub language: &'a str,
    pub template: Template<'a>,
}

impl Letter<'_> {
    /// The language that it is written in.
    pub fn language(&self) -> &'static str {
        LANGUAGES.into_iter().find(|known| *known == self.language).unwrap_or(LANGUAGES[0])
    }
}

/// What happened to the second factor of somebody's account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TwoFactorChange {
    Enabled,
    Disabled,
    RecoveryCodesReplaced,
    RecoveryCodeUsed,
    PasskeyAdded,
    PasskeyRemoved,
}

/// The letters that we write. `link` is always a whole address; amounts are as people read them (`RWF 12,000`).
#[derive(Clone, Debug)]
pub enum Template<'a> {
    Invitation {
        company: &'a str,
        inviter: &'a str,
        role: &'a str,
        link: &'a str,
        expires_at: Timestamp,
    },
    PasswordReset {
        link: &'a str,
        minutes: i64,
    },
    PasswordChanged {
        link: &'a str,
    },
    VerifyEmail {
        link: &'a str,
        hours: i64,
    },
    /// To the old address, when somebody asks for another.
    EmailChangeAsked {
        new_email: &'a str,
    },
    /// To the old address, when the new one is verified.
    EmailChanged {
        new_email: &'a str,
    },
    NewSignIn {
        device: &'a str,
        address: &'a str,
        at: Timestamp,
    },
    TwoFactorChanged {
        change: TwoFactorChange,
    },
    /// To the person in whose name an operator begins to act.
    ImpersonationBegun {
        reason: &'a str,
        ends_at: Timestamp,
    },
    /// To the account that is to be absorbed.
    AccountMerge {
        own_email: &'a str,
        into_email: &'a str,
        link: &'a str,
        minutes: i64,
    },
    AccountMerged {
        absorbed_email: &'a str,
        into_email: &'a str,
    },
    /// To whoever asked to be erased: the link that does it.
    AccountErase {
        email: &'a str,
        link: &'a str,
        minutes: i64,
    },
    DataErased,
    WebhookDisabled {
        company: &'a str,
        url: &'a str,
    },
    /// A line to WhatsApp is dead; `reason` is what its engine says.
    NumberDown {
        company: &'a str,
        number: &'a str,
        reason: &'a str,
    },
    /// A customer waits longer than the company wants.
    ChatOverdue {
        company: &'a str,
        customer: &'a str,
        agent: Option<&'a str>,
        /// Whether they were answered, and it is not resolved.
        is_answered: bool,
        since: Timestamp,
    },
    /// A number's provider lets nothing out of it for a time, and so it rests.
    NumberRestricted {
        company: &'a str,
        number: &'a str,
        reason: &'a str,
        until: Timestamp,
    },
    Bill {
        company: &'a str,
        number: &'a str,
        amount: &'a str,
        due_at: Timestamp,
        link: &'a str,
    },
    TrialEnding {
        company: &'a str,
        product: &'a str,
        ends_at: Timestamp,
        link: &'a str,
    },
    /// A trial ends, and a plan was chosen for afterwards.
    FirstCharge {
        company: &'a str,
        product: &'a str,
        plan: &'a str,
        amount: &'a str,
        ends_at: Timestamp,
        link: &'a str,
    },
    PaymentOverdue {
        company: &'a str,
        number: &'a str,
        amount: &'a str,
        grace_ends_at: Timestamp,
        link: &'a str,
    },
    SubscriptionSuspended {
        company: &'a str,
        product: &'a str,
        link: &'a str,
    },
    /// A plan's hard limit is near, or reached.
    UsageLimit {
        company: &'a str,
        meter: &'a str,
        used: i64,
        limit: i64,
        resets_at: Timestamp,
        is_reached: bool,
        link: &'a str,
    },
    ExportReady {
        company: &'a str,
        link: &'a str,
        expires_at: Timestamp,
    },
}

impl Template<'_> {
    /// As the log of letters calls it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Invitation { .. } => "invitation",
            Self::PasswordReset { .. } => "password-reset",
            Self::PasswordChanged { .. } => "password-changed",
            Self::VerifyEmail { .. } => "verify-email",
            Self::EmailChangeAsked { .. } => "email-change-asked",
            Self::EmailChanged { .. } => "email-changed",
            Self::NewSignIn { .. } => "new-sign-in",
            Self::TwoFactorChanged { .. } => "two-factor-changed",
            Self::ImpersonationBegun { .. } => "impersonation-begun",
            Self::AccountMerge { .. } => "account-merge",
            Self::AccountMerged { .. } => "account-merged",
            Self::AccountErase { .. } => "account-erase",
            Self::DataErased => "data-erased",
            Self::WebhookDisabled { .. } => "webhook-disabled",
            Self::NumberDown { .. } => "number-down",
            Self::ChatOverdue { .. } => "chat-overdue",
            Self::NumberRestricted { .. } => "number-restricted",
            Self::Bill { .. } => "bill",
            Self::TrialEnding { .. } => "trial-ending",
            Self::FirstCharge { .. } => "first-charge",
            Self::PaymentOverdue { .. } => "payment-overdue",
            Self::SubscriptionSuspended { .. } => "subscription-suspended",
            Self::UsageLimit { is_reached: false, .. } => "usage-near",
            Self::UsageLimit { is_reached: true, .. } => "usage-reached",
            Self::ExportReady { .. } => "export-ready",
        }
    }

    /// Where its button leads; a button needs a link, and a link a button.
    pub(super) fn link(&self) -> Option<&str> {
        match self {
            Self::Invitation { link, .. }
            | Self::PasswordReset { link, .. }
            | Self::PasswordChanged { link }
            | Self::VerifyEmail { link, .. }
            | Self::AccountMerge { link, .. }
            | Self::AccountErase { link, .. }
            | Self::Bill { link, .. }
            | Self::TrialEnding { link, .. }
            | Self::FirstCharge { link, .. }
            | Self::PaymentOverdue { link, .. }
            | Self::SubscriptionSuspended { link, .. }
            | Self::UsageLimit { link, .. }
            | Self::ExportReady { link, .. } => Some(link),
            Self::EmailChangeAsked { .. }
            | Self::EmailChanged { .. }
            | Self::NewSignIn { .. }
            | Self::TwoFactorChanged { .. }
            | Self::ImpersonationBegun { .. }
            | Self::AccountMerged { .. }
            | Self::DataErased
            | Self::WebhookDisabled { .. }
            | Self::NumberDown { .. }
            | Self::ChatOverdue { .. }
            | Self::NumberRestricted { .. } => None,
        }
    }
}
