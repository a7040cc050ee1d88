//! `{{name}}` in texts that go to many.

use std::cell::RefCell;

use loopd_types::Problem;

/// The text with each `{{word}}` replaced by what `value` says of it; blanks within the braces do not matter. A word that nobody knows
/// stays as it was written, so that a slip is seen.
pub fn render(text: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("{{") {
        let Some(length) = rest[start + 2..].find("}}") else { break };
        let (word, end) = (&rest[start + 2..start + 2 + length], start + 2 + length + 2);
        out.push_str(&rest[..start]);
        match value(word.trim()) {
            Some(known) => out.push_str(&known),
            None => out.push_str(&rest[start..end]),
        }
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

/// Complaints about every word in braces of `text` that is not among `known`, under `field`: nobody would fill it in, and customers would
/// see the slip first.
pub fn check(text: &str, known: &[&str], field: &str, problem: &mut Problem) {
    for word in unknown(text, known) {
        let known: Vec<String> = known.iter().map(|name| format!("{{{{{name}}}}}")).collect();
        let words = format!("{{{{{word}}}}} is not known; there are {}.", known.join(", "));
        problem.add_field(field, "unknown_word", words);
    }
}

/// The words in braces that are not among `known`.
pub fn unknown(text: &str, known: &[&str]) -> Vec<String> {
    let unknown = RefCell::new(Vec::new());
    render(text, |word| {
        if !known.contains(&word_of(word)) {
            unknown.borrow_mut().push(word.to_owned());
        }
        None
    });
    unknown.into_inner()
}

/// The word itself, without what is said in its place where nothing is known: `name` of `name|friend`.
pub fn word_of(text: &str) -> &str {
    text.split_once('|').map_or(text, |(word, _)| word).trim()
}

/// What `value` says of a word, or else what the text itself says after a line: `{{name|friend}}`.
pub fn or_else(text: &str, value: impl Fn(&str) -> Option<String>) -> Option<String> {
    let known = value(word_of(text))?;
    match text.split_once('|') {
        Some((_, other)) if known.trim().is_empty() => Some(other.trim().to_owned()),
        _ => Some(known),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{or_else, render};

    fn with_name(text: &str) -> String {
        render(text, |word| (word == "name").then(|| "Aline".to_owned()))
    }

    #[test]
    fn words_are_replaced_and_unknown_ones_stay() {
        assert_eq!(with_name("Hi {{name}}, {{ name }}! {{nam}} {{name"), "Hi Aline, Aline! {{nam}} {{name");
        assert_eq!(render("Hi {{name}}.", |_| Some(String::new())), "Hi .");
    }

    #[test]
    fn a_text_says_what_stands_where_nothing_is_known() {
        let value = |word: &str| match word {
            "name" => Some(String::new()),
            "shop" => Some("Kigali Shop".to_owned()),
            _ => None,
        };
        let said =
            render("Dear {{name|friend}} of {{ shop | nowhere }}, {{nam|friend}}{{name}}", |text| or_else(text, value));
        assert_eq!(said, "Dear friend of Kigali Shop, {{nam|friend}}");
    }

    proptest! {
        #[test]
        fn a_text_without_braces_stays_as_it_is(text in "[^{}]{0,60}") {
            prop_assert_eq!(with_name(&text), text);
        }

        #[test]
        fn what_a_name_holds_is_not_read_again(name in ".{0,20}") {
            prop_assert_eq!(render("{{name}}", |_| Some(name.clone())), name);
        }
    }
}
