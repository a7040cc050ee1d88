//! What Meta's error codes mean to a shop owner, and to the line.
//!
//! Source: Meta, WhatsApp Cloud API, "Error codes"; spec/loopwave.md 6.1.3.

use std::time::Duration;

use super::graph::{Refusal, Trouble};
use crate::engine::{Failure, Signal, Unsent};

/// What follows from a code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Then {
    /// This message will not go.
    Refuse,
    /// It goes after so many seconds.
    Wait(u64),
    /// The line is restricted.
    Pause,
    /// The token opens nothing any more; the message waits for a new one.
    NewToken,
}

/// One meaning: Meta's codes, ours, and words that say what to do.
struct Meaning(&'static [i64], &'static str, Then, &'static str);

const MEANINGS: [Meaning; 26] = [
    Meaning(
        &[0, 190],
        "token_invalid",
        Then::NewToken,
        "WhatsApp no longer accepts this number's access token. Make a new one in Meta's business settings and give it to the number.",
    ),
    Meaning(
        &[3, 10, 131_005],
        "not_permitted",
        Then::Refuse,
        "The access token may not send from this number. Give its system user the permission whatsapp_business_messaging.",
    ),
    Meaning(
        &[33, 133_010, 131_045],
        "not_registered",
        Then::Refuse,
        "This number is not registered with the Cloud API. Register it in WhatsApp Manager and connect it again.",
    ),
    Meaning(
        &[4, 80_007, 130_429],
        "throttled",
        Then::Wait(5),
        "The number sends more than WhatsApp takes at once. The message waits and goes out by itself.",
    ),
    Meaning(
        &[131_056],
        "pair_limited",
        Then::Wait(6),
        "Too many messages to this customer in a short time. The message waits and goes out by itself.",
    ),
    Meaning(
        &[131_057],
        "maintenance",
        Then::Wait(60),
        "WhatsApp is moving this number to faster servers. The message waits and goes out by itself.",
    ),
    Meaning(
        &[131_048],
        "spam_limited",
        Then::Pause,
        "Too many customers blocked or reported this number, so WhatsApp limits it. Stop broadcasts and write to people who asked for it.",
    ),
    Meaning(
        &[368, 131_031],
        "restricted",
        Then::Pause,
        "WhatsApp has restricted this account for breaking its rules. See what it says in WhatsApp Manager, and ask for a review there.",
    ),
    Meaning(
        &[131_026],
        "no_whatsapp",
        Then::Refuse,
        "The message cannot be delivered: this number is not on WhatsApp, or its owner has an old version or has not agreed to the terms.",
    ),
    Meaning(
        &[131_047, 470],
        "window_closed",
        Then::Refuse,
        "The customer wrote more than 24 hours ago. WhatsApp takes only an approved template now; send one.",
    ),
    Meaning(
        &[131_049],
        "marketing_limited",
        Then::Refuse,
        "WhatsApp shows this customer no more marketing for now. Do not send it again at once; try on another day.",
    ),
    Meaning(
        &[131_050],
        "opted_out",
        Then::Refuse,
        "The customer has asked WhatsApp for no more marketing from this number.",
    ),
    Meaning(
        &[130_472],
        "experiment",
        Then::Refuse,
        "WhatsApp keeps marketing from this customer as part of an experiment. It cannot be sent to them.",
    ),
    Meaning(
        &[130_497],
        "country_blocked",
        Then::Refuse,
        "WhatsApp lets this business not write to people in that country.",
    ),
    Meaning(&[131_021], "to_itself", Then::Refuse, "The number cannot write to itself."),
    Meaning(
        &[131_042, 131_044],
        "payment_needed",
        Then::Refuse,
        "Meta has no valid payment method for this account. Put one in under billing in Meta's business settings.",
    ),
    Meaning(&[131_051], "not_supported", Then::Refuse, "WhatsApp does not take this kind of message."),
    Meaning(
        &[131_052, 131_053],
        "media_refused",
        Then::Refuse,
        "WhatsApp could not take the file. Images up to 5 MB, sound and video up to 16 MB, documents up to 100 MB go.",
    ),
    Meaning(&[100, 131_008, 131_009], "refused", Then::Refuse, "WhatsApp did not understand the message."),
    Meaning(
        &[132_000, 132_012, 132_018],
        "template_mismatch",
        Then::Refuse,
        "The parameters do not fit the template. Look at its placeholders and fill in every one.",
    ),
    Meaning(
        &[132_001],
        "template_missing",
        Then::Refuse,
        "There is no approved template of this name in this language. Sync the templates and choose another.",
    ),
    Meaning(
        &[132_005],
        "template_too_long",
        Then::Refuse,
        "With its parameters the template is too long. Shorten what is filled in.",
    ),
    Meaning(
        &[132_007, 132_015, 132_016],
        "template_stopped",
        Then::Refuse,
        "WhatsApp has paused or disabled this template because of its quality or its content. Use another, or edit it.",
    ),
    Meaning(
        &[131_037],
        "name_not_approved",
        Then::Refuse,
        "The display name of this number is not approved yet. Wait for it, or change it in WhatsApp Manager.",
    ),
    Meaning(&[131_060], "not_available", Then::Refuse, "WhatsApp does not offer this message's content any more."),
    Meaning(
        &[131_000, 131_016, 1, 2, 131_055],
        "whatsapp_failed",
        Then::Refuse,
        "Something went wrong at WhatsApp. Send the message again in a while.",
    ),
];

fn meaning(code: i64) -> Option<&'static Meaning> {
    MEANINGS.iter().find(|it| it.0.contains(&code)).or_else(|| match code {
        // Meta's whole range of missing permissions.
        200..=299 => MEANINGS.iter().find(|it| it.1 == "not_permitted"),
        _ => None,
    })
}

/// For a person to read.
pub fn failure(refusal: &Refusal) -> Failure {
    match meaning(refusal.code) {
        // What exactly is wrong with a message is in Meta's words alone.
        Some(it) if matches!(it.1, "refused" | "template_mismatch" | "media_refused") => {
            Failure { code: it.1.to_owned(), words: format!("{} WhatsApp says: {}", it.3, refusal.words) }
        }
        Some(it) => Failure { code: it.1.to_owned(), words: it.3.to_owned() },
        None => Failure {
            code: "refused".to_owned(),
            words: format!("WhatsApp refused the message: {} ({})", refusal.words, refusal.code),
        },
    }
}

/// What a refusal says about the line.
pub fn signal(refusal: &Refusal) -> Signal {
    match meaning(refusal.code).map(|it| it.2) {
        Some(Then::Pause) => Signal::Restricted(None),
        // Without a code 401 means the same.
        Some(Then::NewToken) if refusal.code != 0 || refusal.status == 401 => Signal::LoggedOut,
        _ => Signal::None,
    }
}

/// What became of a message that was not simply taken, at its so-manieth attempt from 1 on: what is too much for WhatsApp is tried again
/// ever more rarely.
pub fn unsent(trouble: Trouble, attempt: i64) -> Unsent {
    match trouble {
        Trouble::Unclear(words) => Unsent::Unknown { words },
        Trouble::NotSent(words) => Unsent::Later {
            failure: Failure { code: "unreachable".to_owned(), words: format!("WhatsApp cannot be reached: {words}") },
            after: backed_off(5, attempt),
            signal: Signal::None,
        },
        Trouble::Refused(refusal) => {
            let (failure, signal) = (failure(&refusal), signal(&refusal));
            let wait = match meaning(refusal.code).map(|it| it.2) {
                _ if signal == Signal::LoggedOut => Some(30),
                Some(Then::Wait(seconds)) => Some(seconds),
                None if refusal.status == 429 => Some(5),
                _ if refusal.code == 0 && refusal.status == 429 => Some(5),
                _ => None,
            };
            match wait {
                Some(seconds) => Unsent::Later { failure, after: backed_off(seconds, attempt), signal },
                None => Unsent::Refused { failure, signal },
            }
        }
    }
}

/// Twice as long each time, up to five minutes; what waits longer to begin with, as it is.
fn backed_off(seconds: u64, attempt: i64) -> Duration {
    const MOST: u64 = 300;
    let doublings = u32::try_from(attempt.clamp(1, 10) - 1).unwrap_or(0);
    Duration::from_secs(seconds.saturating_mul(1 << doublings).min(MOST.max(seconds)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn refusal(status: u16, code: i64) -> Refusal {
        Refusal { status, code, words: "Meta's words".to_owned() }
    }

    #[test]
    fn every_code_means_one_thing_and_every_word_of_ours_is_one() {
        let codes: Vec<i64> = MEANINGS.iter().flat_map(|it| it.0).copied().collect();
        assert_eq!(codes.iter().collect::<BTreeSet<_>>().len(), codes.len());
        assert_eq!(MEANINGS.iter().map(|it| it.1).collect::<BTreeSet<_>>().len(), MEANINGS.len());
        for Meaning(_, code, _, words) in &MEANINGS {
            assert!(words.ends_with('.') && words.len() > 30, "{code}: {words}");
        }
    }

    #[test]
    fn what_waits_waits_and_what_is_lost_is_unknown() {
        for code in [4, 80_007, 130_429, 131_056, 131_057] {
            assert!(matches!(unsent(Trouble::Refused(refusal(400, code)), 1), Unsent::Later { .. }), "{code}");
        }
        assert!(matches!(unsent(Trouble::Refused(refusal(429, 0)), 1), Unsent::Later { signal: Signal::None, .. }));
        assert!(matches!(unsent(Trouble::NotSent(String::new()), 1), Unsent::Later { .. }));
        assert!(matches!(unsent(Trouble::Unclear(String::new()), 1), Unsent::Unknown { .. }));
    }

    #[test]
    fn what_is_too_much_is_tried_ever_more_rarely() {
        let after = |attempt| match unsent(Trouble::Refused(refusal(429, 130_429)), attempt) {
            Unsent::Later { after, .. } => after.as_secs(),
            other => panic!("{other:?}"),
        };
        assert_eq!([1, 2, 3, 7, 60].map(after), [5, 10, 20, 300, 300]);
    }

    #[test]
    fn a_line_hears_what_concerns_it() {
        for (status, code, expected) in [
            (401, 190, Signal::LoggedOut),
            (401, 0, Signal::LoggedOut),
            (400, 0, Signal::None),
            (400, 368, Signal::Restricted(None)),
            (400, 131_031, Signal::Restricted(None)),
            (400, 131_048, Signal::Restricted(None)),
            (400, 131_026, Signal::None),
        ] {
            assert_eq!(signal(&refusal(status, code)), expected, "{status} {code}");
        }
        assert!(matches!(
            unsent(Trouble::Refused(refusal(401, 190)), 1),
            Unsent::Later { signal: Signal::LoggedOut, .. }
        ));
    }

    #[test]
    fn owners_read_words_of_ours() {
        for (code, ours) in [
            (131_047, "window_closed"),
            (131_026, "no_whatsapp"),
            (131_056, "pair_limited"),
            (132_000, "template_mismatch"),
            (200, "not_permitted"),
            (299, "not_permitted"),
            (999_999, "refused"),
        ] {
            assert_eq!(failure(&refusal(400, code)).code, ours);
        }
        assert!(failure(&refusal(400, 999_999)).words.contains("Meta's words (999999)"));
        assert!(failure(&refusal(400, 132_000)).words.contains("Meta's words"));
    }
}
