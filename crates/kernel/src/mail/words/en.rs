//! English.

use loopd_types::Timestamp;

use super::{Frame, Words, linked, plain};
use crate::mail::template::{Template, TwoFactorChange};

pub(super) const FRAME: Frame = Frame {
    greeting: "Hello,",
    signature: "The LOOP team",
    fallback: "If the button does not work, copy this address into your browser:",
};

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const NOT_YOU: &str = "If this was not you, change your password at once and sign out your other devices.";
const IGNORE: &str = "If you did not ask for this, you can ignore this message: nothing changes.";

pub(super) fn words(template: &Template<'_>, when: &dyn Fn(Timestamp) -> String) -> Words {
    match *template {
        Template::Invitation { company, inviter, role, expires_at, .. } => linked(
            format!("{inviter} invites you to {company} on LOOP"),
            vec![
                format!("{inviter} invites you to work in {company} on LOOP, with the role “{role}”."),
                format!("Open the invitation to accept or decline it. It ends on {}.", when(expires_at)),
            ],
            "Open the invitation",
            vec!["If you did not expect this invitation, you can ignore this message.".to_owned()],
        ),
        Template::PasswordReset { minutes, .. } => linked(
            "Set a new password for LOOP",
            vec![
                "We were asked to set a new password for your LOOP account.".to_owned(),
                format!("The link below works once, and for {minutes} minutes."),
            ],
            "Set a new password",
            vec![IGNORE.to_owned()],
        ),
        Template::PasswordChanged { .. } => linked(
            "Your LOOP password was changed",
            vec![
                "The password of your LOOP account was changed, and your other devices were signed out.".to_owned(),
                "If you did this yourself, there is nothing to do.".to_owned(),
            ],
            "This was not me: set a new password",
            Vec::new(),
        ),
        Template::VerifyEmail { hours, .. } => linked(
            "Confirm your e-mail address for LOOP",
            vec![
                "Please confirm that this e-mail address is yours.".to_owned(),
                format!("The link below works for {hours} hours."),
            ],
            "Confirm the address",
            vec![IGNORE.to_owned()],
        ),
        Template::EmailChangeAsked { new_email } => plain(
            "A new e-mail address was asked for on your LOOP account",
            vec![
                format!(
                    "Somebody who is signed in to your LOOP account asked to change its e-mail address to {new_email}."
                ),
                "The change takes effect when the new address is confirmed.".to_owned(),
            ],
            vec![NOT_YOU.to_owned()],
        ),
        Template::EmailChanged { new_email } => plain(
            "The e-mail address of your LOOP account was changed",
            vec![
                format!("The e-mail address of your LOOP account is now {new_email}."),
                "You can no longer sign in with this one.".to_owned(),
            ],
            vec!["If this was not you, tell the administrator of your company at once.".to_owned()],
        ),
        Template::NewSignIn { device, address, at } => plain(
            "New sign-in to your LOOP account",
            vec![
                "Somebody signed in to your LOOP account from a device that we did not know.".to_owned(),
                format!("Time: {}", when(at)),
                format!("Device: {device}"),
                format!("IP address: {address}"),
            ],
            vec!["If this was you, there is nothing to do.".to_owned(), NOT_YOU.to_owned()],
        ),
        Template::TwoFactorChanged { change } => plain(
            "The security of your LOOP account was changed",
            vec![
                match change {
                    TwoFactorChange::Enabled => "Two-step sign-in was switched on for your account.",
                    TwoFactorChange::Disabled => "Two-step sign-in was switched off for your account.",
                    TwoFactorChange::RecoveryCodesReplaced => {
                        "New recovery codes were made for your account; the old ones no longer work."
                    }
                    TwoFactorChange::RecoveryCodeUsed => "A recovery code was used to sign in to your account.",
                    TwoFactorChange::PasskeyAdded => "A passkey was added to your account.",
                    TwoFactorChange::PasskeyRemoved => "A passkey was removed from your account.",
                }
                .to_owned(),
            ],
            vec![NOT_YOU.to_owned()],
        ),
        Template::ImpersonationBegun { reason, ends_at } => plain(
            "An operator acts in your LOOP account",
            vec![
                "The operator of this LOOP service has begun to act in your name, to help.".to_owned(),
                format!("Reason: {reason}"),
                format!("Until: {}", when(ends_at)),
                "Whatever they do is on record under both names. Your password, second factors and profile stay closed to them.".to_owned(),
            ],
            vec!["If nobody asked for help, tell an administrator of your company.".to_owned()],
        ),
        Template::AccountMerge { own_email, into_email, minutes, .. } => linked(
            "Confirm that your LOOP accounts become one",
            vec![
                format!("We were asked to merge the LOOP account {own_email} into the account {into_email}."),
                format!(
                    "If you confirm, the companies of this account go to {into_email}, and this account is closed. The link \
                     works once, and for {minutes} minutes."
                ),
            ],
            "Merge the accounts",
            vec![IGNORE.to_owned()],
        ),
        Template::AccountMerged { absorbed_email, into_email } => plain(
            "Your LOOP accounts are one now",
            vec![
                format!("The account {absorbed_email} was merged into {into_email}."),
                format!("From now on, sign in as {into_email}."),
            ],
            vec![NOT_YOU.to_owned()],
        ),
        Template::AccountErase { email, minutes, .. } => linked(
            "Confirm that your LOOP account shall be erased",
            vec![
                format!("We were asked to erase the LOOP account {email} and what is known of you by it."),
                format!(
                    "If you confirm, you are signed out everywhere, your name and addresses are removed, and nothing of it can be brought back. The link \
                     works once, and for {minutes} minutes."
                ),
            ],
            "Erase my account",
            vec![IGNORE.to_owned()],
        ),
        Template::DataErased => plain(
            "Your personal data on LOOP was erased",
            vec![
                "As was asked for, your personal data on LOOP was erased and your account closed.".to_owned(),
                "What the law makes us keep, such as bills, stays without your name. This is our last message to you."
                    .to_owned(),
            ],
            Vec::new(),
        ),
        Template::WebhookDisabled { company, url } => plain(
            format!("A webhook of {company} was switched off"),
            vec![
                format!("The webhook to {url} was switched off, because it has not taken deliveries for days."),
                "Please mend it, then switch it on again. Every event is kept and can be delivered again.".to_owned(),
            ],
            Vec::new(),
        ),
        Template::NumberDown { company, number, reason } => plain(
            format!("WhatsApp number {number} of {company} does not work"),
            vec![
                format!("Nothing goes out from the WhatsApp number {number} at present: {reason}"),
                "What it shall send waits and goes out by itself when the number works again. Please see whether it must be connected anew.".to_owned(),
            ],
            Vec::new(),
        ),
        Template::ChatOverdue { company, customer, agent, is_answered, since } => plain(
            if is_answered { format!("A chat of {company} is not resolved in time") } else { format!("A customer of {company} waits for an answer") },
            vec![
                if is_answered { format!("The chat with {customer} is open since {}.", when(since)) } else { format!("{customer} has waited for an answer since {}.", when(since)) },
                agent.map_or_else(|| "Nobody has the chat.".to_owned(), |agent| format!("{agent} has the chat.")),
            ],
            Vec::new(),
        ),
        Template::NumberRestricted { company, number, reason, until } => plain(
            format!("WhatsApp has restricted the number {number} of {company}"),
            vec![
                format!("WhatsApp has restricted the number {number} of {company} until {}.", when(until)),
                format!("Reason: {reason}"),
                "Until then automatic replies rest and broadcasts are paused. Look at what was sent before you let a broadcast go on.".to_owned(),
            ],
            Vec::new(),
        ),
        Template::Bill { company, number, amount, due_at, .. } => linked(
            format!("Bill {number} for {company}"),
            vec![
                format!("Bill {number} for {company} is ready."),
                format!("Amount: {amount}"),
                format!("Due: {}", when(due_at)),
            ],
            "See the bill",
            Vec::new(),
        ),
        Template::TrialEnding { company, product, ends_at, .. } => linked(
            format!("The trial of {product} is about to end"),
            vec![
                format!("The trial of {product} in {company} ends on {}.", when(ends_at)),
                "Choose a plan before then to go on working with it. Your data stays.".to_owned(),
            ],
            "Choose a plan",
            Vec::new(),
        ),
        Template::FirstCharge { company, product, plan, amount, ends_at, .. } => linked(
            format!("The plan {plan} of {product} is about to begin"),
            vec![
                format!("The trial of {product} in {company} ends on {}, and the plan {plan} begins, as it was chosen.", when(ends_at)),
                format!("Then {amount} is charged for its first period, if nothing changes before. Until then you can change the plan or cancel it."),
            ],
            "See the subscription",
            Vec::new(),
        ),
        Template::PaymentOverdue { company, number, amount, grace_ends_at, .. } => linked(
            format!("Bill {number} has not been paid"),
            vec![
                format!("Bill {number} of {company}, {amount}, has not been paid."),
                format!("If it is not paid by {}, nothing new can be written; reading goes on.", when(grace_ends_at)),
            ],
            "Pay the bill",
            Vec::new(),
        ),
        Template::SubscriptionSuspended { company, product, .. } => linked(
            format!("The subscription to {product} is suspended"),
            vec![
                format!("The subscription of {company} to {product} is suspended, because a bill has not been paid."),
                "You can read your data, but write nothing new until it is paid.".to_owned(),
            ],
            "Pay the bill",
            Vec::new(),
        ),
        Template::UsageLimit { company, meter, used, limit, resets_at, is_reached, .. } => linked(
            if is_reached {
                format!("The plan’s limit of {meter} is reached")
            } else {
                format!("Four fifths of {meter} are used")
            },
            vec![
                format!("{company} has used {used} of {limit} in this month: {meter}."),
                if is_reached {
                    format!(
                        "Calls that count for it are refused until {} or until the plan is larger.",
                        when(resets_at)
                    )
                } else {
                    format!(
                        "Calls that count for it will be refused when the limit is reached, until {} or until the plan is larger.",
                        when(resets_at)
                    )
                },
            ],
            "See the usage",
            Vec::new(),
        ),
        Template::ExportReady { company, expires_at, .. } => linked(
            format!("The export of {company} is ready"),
            vec![
                format!("Everything that {company} keeps on LOOP is ready in one file."),
                format!("You can fetch it until {}.", when(expires_at)),
            ],
            "Fetch the export",
            Vec::new(),
        ),
    }
}
