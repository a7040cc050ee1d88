//! Kept replies (spec/loopwave.md 4.12): texts under a shortcut, for one person or for all, with `{{name}}` and its like filled in when
//! they are used. They are ours; templates that Meta approves are the Cloud API's.

pub mod http;
pub mod store;

use loopd_kernel::Tenant;
use loopd_store::Reader;
use loopd_types::{Problem, Result};

use crate::chat::Chat;
use crate::{agent, mask, number, placeholder};

pub use store::KeptReply;

/// What may stand in braces. Telephone numbers are not among them: what is sent stands in the thread, where agents read it.
pub const WORDS: [(&str, &str); 5] = [
    ("name", "the customer's name, or nothing"),
    ("first_name", "the first word of it"),
    ("agent", "whoever writes"),
    ("company", "the company's name"),
    ("number", "the label of the number that it goes out from"),
];

/// A text with its words for a chat and whoever writes in it.
///
/// # Errors
/// The database's.
pub fn rendered(reader: &mut Reader<'_>, tenant: &Tenant, chat: &Chat, text: &str) -> Result<String> {
    if !text.contains("{{") {
        return Ok(text.to_owned());
    }
    let agent = agent::caller(reader, tenant)?.map(|agent| agent.name).unwrap_or_default();
    let line = number::find(reader, tenant.company, chat.number_id)?.map(|number| number.label).unwrap_or_default();
    let name = chat.name.as_deref().and_then(mask::bare).unwrap_or_default();
    let known = |word: &str| {
        Some(match word {
            "name" => name.clone(),
            "first_name" => name.split_whitespace().next().unwrap_or_default().to_owned(),
            "agent" => agent.clone(),
            "company" => tenant.company_name().to_owned(),
            "number" => line.clone(),
            _ => return None,
        })
    };
    Ok(placeholder::render(text, |text| placeholder::or_else(text, known)))
}

/// Adds a complaint for every word in braces that is never filled in.
pub fn check_words(text: &str, problem: &mut Problem) {
    placeholder::check(text, &WORDS.map(|(name, _)| name), "text", problem);
}

/// A shortcut as people type it behind a slash: lower case letters, digits, `-` and `_`.
pub fn is_shortcut(text: &str) -> bool {
    let fits = |c: char| c.is_lowercase() || c.is_ascii_digit() || "-_".contains(c);
    (1..=SHORTCUT_MOST).contains(&text.chars().count()) && text.chars().all(fits)
}

/// Characters of a shortcut.
pub const SHORTCUT_MOST: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_words_stand_in_braces() {
        let fields = |text: &str| {
            let mut problem = Problem::validation();
            check_words(text, &mut problem);
            problem.fields().iter().map(|(_, errors)| errors.len()).sum::<usize>()
        };
        assert_eq!(fields("Hi {{name}}, {{ agent }} of {{company}} ({{number}}) and {{first_name}}"), 0);
        assert_eq!(fields("{{nam}} {{phone}} {{name}}"), 2);
        assert_eq!(fields("{{name"), 0);
    }

    #[test]
    fn shortcuts_are_typed_in_one_go() {
        assert!(["price", "price-2", "été_1"].into_iter().all(is_shortcut));
        let long = "a".repeat(SHORTCUT_MOST + 1);
        assert!(!["", "Price", "a b", "/a", "a.b", &long].into_iter().any(is_shortcut));
    }
}
