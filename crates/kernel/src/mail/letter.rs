//! A letter, set: the same words as plain text and as HTML. Pure.

use super::template::Letter;
use super::words::{self, Words};

/// What goes over the wire.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rendered {
    /// One line, whatever the names in it hold.
    pub subject: String,
    pub text: String,
    pub html: String,
}

/// Longest subject in characters; longer ones are cut by mail programs anyway.
const SUBJECT_MAX: usize = 180;

/// Sets a letter in its language, with moments in `timezone`.
pub fn render(letter: &Letter<'_>, timezone: &str) -> Rendered {
    let language = letter.language();
    let words = words::words(language, &letter.template, &|at| words::moment(language, at, timezone));
    let frame = words::frame(language);
    let link = letter.template.link().unwrap_or("");
    Rendered {
        subject: one_line(&words.subject).chars().take(SUBJECT_MAX).collect(),
        text: text(&words, &frame, link),
        html: html(language, &words, &frame, link),
    }
}

/// Control characters could begin a header of their own, or a paragraph that pretends to be ours; they become blanks.
fn one_line(text: &str) -> String {
    let blank =
        |c: char| c.is_control() || ('\u{2028}'..='\u{202e}').contains(&c) || ('\u{2066}'..='\u{2069}').contains(&c);
    text.chars().map(|c| if blank(c) { ' ' } else { c }).collect::<String>().trim().to_owned()
}

fn text(words: &Words, frame: &words::Frame, link: &str) -> String {
    let mut parts = vec![frame.greeting.to_owned()];
    parts.extend(words.body.iter().map(|line| one_line(line)));
    if let Some(button) = words.button {
        parts.push(format!("{button}:\n{link}"));
    }
    parts.extend(words.notes.iter().map(|line| one_line(line)));
    parts.push(frame.signature.to_owned());
    parts.join("\n\n") + "\n"
}

// Mail programs know little CSS and no files of ours: everything stands inline, nothing is fetched, and it reads as well in the dark.
const PARAGRAPH: &str = "margin:0 0 16px;font:16px/1.5 system-ui,-apple-system,'Segoe UI',sans-serif";
const SMALL: &str = "margin:0 0 12px;font:13px/1.5 system-ui,-apple-system,'Segoe UI',sans-serif;color:#5c6662";
const BUTTON: &str = "display:inline-block;padding:12px 22px;border-radius:8px;background:#0f6b4f;color:#ffffff;\
     font:600 16px/1.2 system-ui,-apple-system,'Segoe UI',sans-serif;text-decoration:none";
/// An address has no blanks to break at; the words beside it have.
const ADDRESS: &str = "color:#0f6b4f;overflow-wrap:anywhere";

fn html(language: &str, words: &Words, frame: &words::Frame, link: &str) -> String {
    let mut main = paragraph(PARAGRAPH, frame.greeting);
    for line in &words.body {
        main.push_str(&paragraph(PARAGRAPH, &one_line(line)));
    }
    if let Some(button) = words.button {
        let (address, button) = (escape(link), escape(button));
        main.push_str(&format!(
            "<p style=\"margin:24px 0\"><a href=\"{address}\" style=\"{BUTTON}\">{button}</a></p>\n"
        ));
        let fallback = escape(frame.fallback);
        main.push_str(&format!(
            "<p style=\"{SMALL}\">{fallback}<br><a href=\"{address}\" style=\"{ADDRESS}\">{address}</a></p>\n"
        ));
    }
    for line in &words.notes {
        main.push_str(&paragraph(SMALL, &one_line(line)));
    }
    main.push_str(&paragraph(PARAGRAPH, frame.signature));
    let title = escape(&one_line(&words.subject));
    format!(
        "<!doctype html>\n<html lang=\"{language}\">\n<head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width,initial-scale=1\"><meta name=\"referrer\" content=\"no-referrer\"><title>{title}</title></head>\n\
         <body style=\"margin:0;padding:24px;background:#fbfaf6;color:#14201c\">\n<div style=\"max-width:560px;margin:0 auto;\
         padding:28px;background:#ffffff;border:1px solid #e4e1d8;border-radius:12px;overflow-wrap:break-word\">\n{main}</div>\n</body>\n</html>\n"
    )
}

fn paragraph(style: &str, words: &str) -> String {
    format!("<p style=\"{style}\">{}</p>\n", escape(words))
}

/// Text for HTML, in elements and in quoted attributes.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use loopd_types::{CompanyId, Timestamp};

    use super::super::template::{Template, TwoFactorChange};
    use super::super::{LANGUAGES, Letter};
    use super::render;

    const AT: Timestamp = Timestamp(1_795_333_465_022_938);
    const LINK: &str = "https://loop.example/account/x/?token=a&b=c";

    fn every(name: &str) -> Vec<Template<'_>> {
        let (company, inviter, role, link) = (name, name, name, LINK);
        let mut all = vec![
            Template::Invitation { company, inviter, role, link, expires_at: AT },
            Template::PasswordReset { link, minutes: 30 },
            Template::PasswordChanged { link },
            Template::VerifyEmail { link, hours: 24 },
            Template::EmailChangeAsked { new_email: name },
            Template::EmailChanged { new_email: name },
            Template::NewSignIn { device: name, address: "203.0.113.7", at: AT },
            Template::ImpersonationBegun { reason: name, ends_at: AT },
            Template::AccountMerge { own_email: name, into_email: "b@example.com", link, minutes: 30 },
            Template::AccountMerged { absorbed_email: name, into_email: "b@example.com" },
            Template::AccountErase { email: name, link, minutes: 60 },
            Template::DataErased,
            Template::WebhookDisabled { company, url: "https://example.com/hook" },
            Template::NumberDown { company, number: name, reason: "Nobody answers." },
            Template::ChatOverdue { company, customer: name, agent: Some(name), is_answered: false, since: AT },
            Template::NumberRestricted { company, number: name, reason: "sent too much", until: AT },
            Template::Bill { company, number: "B-000001", amount: "RWF 12,000", due_at: AT, link },
            Template::TrialEnding { company, product: "Booking", ends_at: AT, link },
            Template::FirstCharge {
                company,
                product: "Booking",
                plan: "B-000001",
                amount: "RWF 12,000",
                ends_at: AT,
                link,
            },
            Template::PaymentOverdue { company, number: "B-000001", amount: "RWF 12,000", grace_ends_at: AT, link },
            Template::SubscriptionSuspended { company, product: "Booking", link },
            Template::ExportReady { company, link, expires_at: AT },
        ];
        all.extend(
            [
                TwoFactorChange::Enabled,
                TwoFactorChange::Disabled,
                TwoFactorChange::RecoveryCodesReplaced,
                TwoFactorChange::RecoveryCodeUsed,
                TwoFactorChange::PasskeyAdded,
                TwoFactorChange::PasskeyRemoved,
            ]
            .map(|change| Template::TwoFactorChanged { change }),
        );
        all
    }

    fn letter<'a>(template: Template<'a>, language: &'a str) -> Letter<'a> {
        Letter { company: CompanyId(1), to: "grace@example.com", language, template }
    }

    #[test]
    fn nothing_in_a_name_becomes_markup_or_a_header() {
        let name = "Eve <script>alert(1)</script> \"&'\r\nBcc: all@example.com\u{2028}x\u{202e}y";
        for language in LANGUAGES {
            for template in every(name) {
                let set = render(&letter(template.clone(), language), "Africa/Kigali");
                assert!(!set.subject.chars().any(char::is_control), "{language} {}: {}", template.name(), set.subject);
                assert!(!set.html.contains("<script>") && !set.html.contains("\"&'"), "{}", set.html);
                assert!(!set.text.contains("\nBcc:") && !set.html.contains('\r'), "{}", set.text);
                assert!(!set.text.contains('\u{202e}') && !set.subject.contains('\u{2028}'));
            }
        }
    }

    #[test]
    fn every_letter_is_written_in_every_language_with_its_link() {
        for template in every("Kigali Bikes") {
            let mut subjects = std::collections::BTreeSet::new();
            for language in LANGUAGES {
                let set = render(&letter(template.clone(), language), "Africa/Kigali");
                subjects.insert(set.subject.clone());
                let has_link = template.link().is_some();
                assert_eq!(set.text.contains(LINK), has_link, "{language} {}", template.name());
                assert_eq!(set.html.contains("token=a&amp;b=c"), has_link, "{language} {}", template.name());
                assert!(set.html.contains(&format!("lang=\"{language}\"")));
                assert!(!set.html.contains("break-all"), "words break between words: {}", set.html);
                // What the English letter tells, the others tell too.
                for fact in ["Kigali Bikes", "B-000001", "RWF 12,000", "203.0.113.7", "b@example.com", "2026"] {
                    let english = render(&letter(template.clone(), "en"), "Africa/Kigali").text;
                    assert_eq!(
                        set.text.contains(fact),
                        english.contains(fact),
                        "{language} {}: {fact}",
                        template.name()
                    );
                }
            }
            assert_eq!(subjects.len(), LANGUAGES.len(), "{}: {subjects:?}", template.name());
        }
    }

    #[test]
    fn moments_are_told_in_the_companys_time_and_the_readers_words() {
        let template = || Template::TrialEnding {
            company: "K",
            product: "P",
            ends_at: Timestamp(1_782_079_500_000_000),
            link: LINK,
        };
        let told = |language| render(&letter(template(), language), "Africa/Kigali").text;
        assert!(told("en").contains("22 June 2026, 00:05 (Africa/Kigali)"), "{}", told("en"));
        assert!(told("fr").contains("22 juin 2026, 00:05"));
        assert!(told("rw").contains("22 Kamena 2026, 00:05"));
        assert!(told("sw").contains("22 June 2026"), "a language without letters of its own is written to in English");
    }
}
