//! The words of letters, one file a language. A sentence is a `format!`, so that the compiler finds what it lacks.

mod en;
mod fr;
mod rw;

use loopd_types::Timestamp;

use super::template::Template;

/// A letter before it is set: sentences without markup.
pub(super) struct Words {
    pub subject: String,
    /// Paragraphs before the button.
    pub body: Vec<String>,
    pub button: Option<&'static str>,
    /// Paragraphs after it, smaller.
    pub notes: Vec<String>,
}

/// What every letter of a language says.
pub(super) struct Frame {
    pub greeting: &'static str,
    pub signature: &'static str,
    /// Stands before the bare link.
    pub fallback: &'static str,
}

pub(super) fn frame(language: &str) -> Frame {
    match language {
        "fr" => fr::FRAME,
        "rw" => rw::FRAME,
        _ => en::FRAME,
    }
}

/// The words of a letter; `when` writes a moment as the reader's language does.
pub(super) fn words(language: &str, template: &Template<'_>, when: &dyn Fn(Timestamp) -> String) -> Words {
    match language {
        "fr" => fr::words(template, when),
        "rw" => rw::words(template, when),
        _ => en::words(template, when),
    }
}

/// A moment in a reader's words and a company's time: `22 November 2026, 14:05 (Africa/Kigali)`.
pub fn moment(language: &str, at: Timestamp, timezone: &str) -> String {
    let zone = jiff::tz::TimeZone::get(timezone).unwrap_or(jiff::tz::TimeZone::UTC);
    let Ok(moment) = jiff::Timestamp::from_microsecond(at.micros()) else { return at.to_string() };
    let moment = moment.to_zoned(zone);
    let months = match language {
        "fr" => &fr::MONTHS,
        "rw" => &rw::MONTHS,
        _ => &en::MONTHS,
    };
    let month = usize::try_from(moment.month() - 1).ok().and_then(|month| months.get(month)).unwrap_or(&"");
    let (day, year, hour, minute) = (moment.day(), moment.year(), moment.hour(), moment.minute());
    format!("{day} {month} {year}, {hour:02}:{minute:02} ({timezone})")
}

fn plain(subject: impl Into<String>, body: Vec<String>, notes: Vec<String>) -> Words {
    Words { subject: subject.into(), body, button: None, notes }
}

fn linked(subject: impl Into<String>, body: Vec<String>, button: &'static str, notes: Vec<String>) -> Words {
    Words { subject: subject.into(), body, button: Some(button), notes }
}
