//! [`Wanted`]: what identifies a person in texts, how it is found, and what takes its place. Pure.

use std::collections::BTreeSet;
use std::ops::Range;

use loopd_types::Uuid;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// What stands where a name stood.
pub const NOBODY: &str = "Erased person";
/// What stands where a telephone number stood.
const NO_PHONE: &str = "erased";
/// Fewer digits are no number of a person: they would be found in amounts and ids.
const FEWEST_DIGITS: usize = 7;
/// As E.164 has it.
const MOST_DIGITS: usize = 15;
/// By so many digits from the end a number is the same with and without its country's prefix.
const NATIONAL_DIGITS: usize = 9;

/// Words that rows about a person say of everybody: a person called so is not told by them, and the rows would no longer tell anything.
const OURS: [&str; 16] = [
    "owner",
    "admin",
    "manager",
    "staff",
    "viewer",
    "developer",
    "active",
    "suspended",
    "left",
    "invited",
    "pending",
    "accepted",
    "declined",
    "revoked",
    "expired",
    "user",
];

/// Where a text stands: what of a person is looked for in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// E-mail addresses and telephone numbers only: names stay on bills.
    Addresses,
    /// Those and whole names.
    Anywhere,
    /// A row that is about this person: each of their names, too, which may be anybody's elsewhere.
    About,
}

/// What identifies one person. Addresses in lower case; numbers as they were written.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Wanted {
    /// What the person is called from now on, the same everywhere: `erased-<id>`.
    pub pseudonym: String,
    pub emails: BTreeSet<String>,
    pub phones: BTreeSet<String>,
    /// First and last name together, in either order.
    pub names: BTreeSet<String>,
    /// Single names and usernames.
    pub words: BTreeSet<String>,
}

impl Wanted {
    /// Nobody yet, to be called so.
    pub fn new(pseudonym: String) -> Self {
        Self { pseudonym, ..Self::default() }
    }

    /// The address that takes the place of every address; no mail can go there (RFC 2606).
    pub fn email(&self) -> String {
        format!("{}@erased.invalid", self.pseudonym)
    }

    pub fn add_email(&mut self, email: &str) {
        let email = email.trim().to_lowercase();
        if email.contains('@') && !email.ends_with(".invalid") {
            self.emails.insert(email);
        }
    }

    pub fn add_phone(&mut self, phone: &str) {
        if phone.chars().filter(char::is_ascii_digit).count() >= FEWEST_DIGITS {
            self.phones.insert(phone.trim().to_owned());
        }
    }

    /// First and last name; either may be empty.
    pub fn add_name(&mut self, first: &str, last: &str) {
        let (first, last) = (first.trim(), last.trim());
        self.add_word(first);
        self.add_word(last);
        if !first.is_empty() && !last.is_empty() {
            self.names.extend([format!("{first} {last}"), format!("{last} {first}"), format!("{last}, {first}")]);
        }
    }

    /// A name as it was written, in whatever order; each of its words counts only in rows about the person.
    pub fn add_full_name(&mut self, name: &str) {
        let words: Vec<&str> = name.split_whitespace().collect();
        words.iter().for_each(|word| self.add_word(word));
        if let [first, rest @ ..] = words.as_slice()
            && !rest.is_empty()
        {
            let rest = rest.join(" ");
            self.names.extend([words.join(" "), format!("{rest} {first}"), format!("{rest}, {first}")]);
        }
    }

    /// A name that counts only in rows about the person.
    pub fn add_word(&mut self, word: &str) {
        let word = word.trim();
        let is_ours = OURS.iter().any(|ours| word.eq_ignore_ascii_case(ours));
        if word.chars().count() > 1 && !is_ours && !word.starts_with("erased-") && !word.starts_with("merged-") {
            self.words.insert(word.to_owned());
        }
    }

    /// The text without the person; `None` when they are not in it.
    pub fn replace(&self, text: &str, scope: Scope) -> Option<String> {
        let mut now = text.to_owned();
        let email = self.email();
        for address in &self.emails {
            cut(&mut now, |text| occurrences(text, address, is_in_address), &email);
        }
        for phone in &self.phones {
            let digits: String = phone.chars().filter(char::is_ascii_digit).collect();
            cut(&mut now, |text| numbers(text, &digits), NO_PHONE);
        }
        if scope != Scope::Addresses {
            for name in &self.names {
                cut(&mut now, |text| occurrences(text, name, is_in_word), NOBODY);
            }
        }
        if scope == Scope::About {
            for word in &self.words {
                cut(&mut now, |text| occurrences(text, word, is_in_word), NOBODY);
            }
        }
        (now != text).then_some(now)
    }

    /// The same within the strings of a JSON text; everything else stays as it is written, ids too. What a field is called is the program's
    /// word, and no single name of anybody.
    pub fn replace_json(&self, json: &str, scope: Scope) -> Option<String> {
        let mut out = String::with_capacity(json.len());
        let mut rest = json;
        while let Some(open) = rest.find('"') {
            let Some(end) = string_end(&rest[open..]) else { break };
            let (before, literal) = (&rest[..open], &rest[open..open + end]);
            out.push_str(before);
            let is_field = rest[open + end..].trim_start().starts_with(':');
            let scope = if is_field && scope == Scope::About { Scope::Anywhere } else { scope };
            let text = serde_json::from_str::<String>(literal).ok().filter(|text| Uuid::parse_str(text).is_err());
            let changed = text.and_then(|text| self.replace(&text, scope));
            match changed {
                Some(text) => out.push_str(&serde_json::Value::String(text).to_string()),
                None => out.push_str(literal),
            }
            rest = &rest[open + end..];
        }
        out.push_str(rest);
        (out != json).then_some(out)
    }

    /// Of a list of rows that somebody sent (lists of cells, or `{"cells": […], "errors": […]}`), those in which the person is lose all their
    /// words but the names of fields and codes.
    pub fn blank_rows(&self, rows: &mut Json) {
        for row in rows.as_array_mut().into_iter().flatten() {
            if self.replace_json(&row.to_string(), Scope::Anywhere).is_some() {
                blank_texts(row);
            }
        }
    }

    /// Patterns for `lower(text) LIKE`: every text in which [`Wanted::replace`] finds something fits one of them, and perhaps others.
    pub fn patterns(&self, scope: Scope) -> Vec<String> {
        let mut all: Vec<String> = self.emails.iter().map(|email| pattern(email)).collect();
        all.extend(self.phones.iter().map(|phone| {
            let digits: Vec<char> = phone.chars().filter(char::is_ascii_digit).collect();
            let last = &digits[digits.len().saturating_sub(NATIONAL_DIGITS)..];
            last.iter().fold("%".to_owned(), |pattern, digit| format!("{pattern}{digit}%"))
        }));
        if scope != Scope::Addresses {
            all.extend(self.names.iter().map(|name| pattern(name)));
        }
        if scope == Scope::About {
            all.extend(self.words.iter().map(|word| pattern(word)));
        }
        all
    }
}

fn blank_texts(json: &mut Json) {
    match json {
        Json::String(text) => text.clear(),
        Json::Array(items) => items.iter_mut().for_each(blank_texts),
        Json::Object(fields) => {
            let words = fields.iter_mut().filter(|(name, _)| !["field", "code"].contains(&name.as_str()));
            words.for_each(|(_, value)| blank_texts(value));
        }
        _ => {}
    }
}

/// Engines differ in how they lower letters beyond ASCII, and JSON in how it writes quotes: those may be anything.
fn pattern(text: &str) -> String {
    let plain = |c: char| if c.is_ascii() && !"\"\\%_".contains(c) { c.to_ascii_lowercase() } else { '%' };
    format!("%{}%", text.chars().map(plain).collect::<String>())
}

/// The bytes of the string literal at the start of `text`, quotes included.
fn string_end(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

fn cut(text: &mut String, find: impl Fn(&str) -> Vec<Range<usize>>, with: &str) {
    for found in find(text).into_iter().rev() {
        text.replace_range(found, with);
    }
}

fn is_in_word(letter: char, _next: Option<char>) -> bool {
    letter.is_alphanumeric()
}

/// Whether a letter beside an address belongs to it: `jo.ann@x.rw` is not `ann@x.rw`, but a full stop may end a sentence.
fn is_in_address(letter: char, next: Option<char>) -> bool {
    letter.is_alphanumeric() || "_%+-".contains(letter) || letter == '.' && next.is_some_and(char::is_alphanumeric)
}

fn folded(letter: char) -> char {
    letter.to_lowercase().next().unwrap_or(letter)
}

/// Where `needle` stands in `text` by itself, without regard to case; in order, not overlapping.
fn occurrences(text: &str, needle: &str, belongs: fn(char, Option<char>) -> bool) -> Vec<Range<usize>> {
    let letters: Vec<(usize, char)> = text.char_indices().collect();
    let needle: Vec<char> = needle.chars().map(folded).collect();
    let (mut found, mut at) = (Vec::new(), 0);
    while !needle.is_empty() && at + needle.len() <= letters.len() {
        let end = at + needle.len();
        let is_here = letters[at..end].iter().zip(&needle).all(|((_, letter), wanted)| folded(*letter) == *wanted);
        let letter = |place: Option<usize>| place.and_then(|place| letters.get(place)).map(|(_, letter)| *letter);
        let before = at.checked_sub(1);
        let goes_on = letter(before).is_some_and(|one| belongs(one, letter(before.and_then(|at| at.checked_sub(1)))))
            || letter(Some(end)).is_some_and(|one| belongs(one, letter(Some(end + 1))));
        if is_here && !goes_on {
            found.push(letters[at].0..letters.get(end).map_or(text.len(), |(byte, _)| *byte));
            at = end;
        } else {
            at += 1;
        }
    }
    found
}

/// Where a telephone number of these digits stands, however it is grouped, with or without its country's prefix.
fn numbers(text: &str, digits: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let is_same = |found: &str| {
        found == digits
            || found.len() >= NATIONAL_DIGITS
                && digits.len() >= NATIONAL_DIGITS
                && found.len() <= MOST_DIGITS
                && found[found.len() - NATIONAL_DIGITS..] == digits[digits.len() - NATIONAL_DIGITS..]
    };
    let (mut found, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let starts = (bytes[at].is_ascii_digit() || b"+(".contains(&bytes[at]))
            && text[..at].chars().next_back().is_none_or(|before| !before.is_alphanumeric() && before != '+');
        // A bracket belongs to the number only together with its other half.
        let is_balanced = |end: &usize| bytes[at] != b'(' || text[at..*end].contains(')');
        match starts.then(|| number_at(text, at, is_same)).flatten().filter(is_balanced) {
            Some(end) => {
                found.push(at..end);
                at = end;
            }
            None => at += 1,
        }
    }
    found
}

/// The end of the longest number at `start` that is the same.
fn number_at(text: &str, start: usize, is_same: impl Fn(&str) -> bool) -> Option<usize> {
    let (mut digits, mut end) = (String::new(), None);
    let mut letters = text[start..].char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '0'..='9' => digits.push(letter),
            '+' if at == 0 => {}
            ' ' | '-' | '(' | ')' | '.' | '/' | '\u{a0}' => continue,
            _ => break,
        }
        let is_whole = letters.peek().is_none_or(|(_, next)| !next.is_alphanumeric());
        if digits.len() > MOST_DIGITS {
            break;
        }
        if is_whole && is_same(&digits) {
            end = Some(start + at + letter.len_utf8());
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ann() -> Wanted {
        let mut wanted = Wanted::new("erased-7".to_owned());
        wanted.add_email("Ann@X.rw");
        wanted.add_phone("+250 788 123 456");
        wanted.add_name("Ann", "Émile");
        wanted.add_word("annie");
        wanted
    }

    #[track_caller]
    fn becomes(text: &str, expected: &str) {
        let replaced = ann().replace(text, Scope::Anywhere);
        assert_eq!(replaced.as_deref().unwrap_or(text), expected);
        if replaced.is_some() {
            let lowered = text.to_ascii_lowercase();
            let fits = |pattern: &String| {
                let mut rest = lowered.as_str();
                pattern.split('%').all(|part| rest.find(part).map(|at| rest = &rest[at + part.len()..]).is_some())
            };
            assert!(ann().patterns(Scope::Anywhere).iter().any(fits), "{text} is not found by a pattern");
        }
    }

    #[test]
    fn an_address_is_found_by_itself_and_not_within_another() {
        becomes("ann@x.rw", "erased-7@erased.invalid");
        becomes(
            "Write to ANN@x.rw. Or <ann@X.RW>, twice",
            "Write to erased-7@erased.invalid. Or <erased-7@erased.invalid>, twice",
        );
        for other in ["joann@x.rw", "jo.ann@x.rw", "jo-ann@x.rw", "ann@x.rw.com", "ann@x.rwanda", "ann@x-rw"] {
            becomes(other, other);
        }
    }

    #[test]
    fn a_number_is_found_however_it_is_written() {
        for written in ["+250788123456", "0788 123 456", "0788 12 34 56", "(250) 788-123-456", "250.788.123.456"] {
            becomes(&format!("call {written} now"), "call erased now");
        }
        becomes("0722000000 0788123456", "0722000000 erased");
        becomes("(0788123456)", "(erased)");
        for other in ["1788123456999", "A788123456", "0788123457", "1795333465022788123456"] {
            becomes(other, other);
        }
    }

    #[test]
    fn names_count_whole_and_single_ones_only_where_the_row_is_about_the_person() {
        becomes("ann ÉMILE, Émile Ann and Émile, Ann", "Erased person, Erased person and Erased person");
        becomes("Annabel Émile and Ann", "Annabel Émile and Ann");
        let about = ann().replace("Ann changed to Annie", Scope::About);
        assert_eq!(about.as_deref(), Some("Erased person changed to Erased person"));
        assert_eq!(ann().replace("Ann Émile, x", Scope::Addresses), None, "a bill keeps its name");
    }

    #[test]
    fn json_stays_as_it_is_but_for_its_strings() {
        let json = r#"{"b":1.50,"phone":250788123456,"to":["say \"ann@x.rw\"","\u0061nn@x.rw"],"a":{"ann@x.rw":null}}"#;
        let expected = r#"{"b":1.50,"phone":250788123456,"to":["say \"erased-7@erased.invalid\"","erased-7@erased.invalid"],"a":{"erased-7@erased.invalid":null}}"#;
        assert_eq!(ann().replace_json(json, Scope::Anywhere).as_deref(), Some(expected));
        assert_eq!(ann().replace_json(r#"{"x":"y\\"}"#, Scope::Anywhere), None);
        assert_eq!(ann().replace_json("not json \"", Scope::Anywhere), None);
    }

    #[test]
    fn who_is_called_as_a_field_or_has_the_digits_of_an_id_rewrites_neither() {
        let mut wanted = ann();
        wanted.add_name("Status", "Title");
        wanted.add_phone("01932847");
        let json = r#"{"status" : ["Status","Ann"],"id":"01932847-1234-7123-8123-123456789012","call":"01932847"}"#;
        let expected = r#"{"status" : ["Erased person","Erased person"],"id":"01932847-1234-7123-8123-123456789012","call":"erased"}"#;
        assert_eq!(wanted.replace_json(json, Scope::About).as_deref(), Some(expected));
    }

    #[test]
    fn of_rows_that_somebody_sent_only_theirs_are_emptied() {
        let mut cells = serde_json::json!([["Ann", "ann@x.rw", "nuts"], ["Bob", "bob@x.rw", "fish"]]);
        ann().blank_rows(&mut cells);
        assert_eq!(cells, serde_json::json!([["", "", ""], ["Bob", "bob@x.rw", "fish"]]));
        let errors = serde_json::json!([{"field": "note", "code": "max_length", "message": "\"nuts\" is long"}]);
        let mut refused = serde_json::json!([{"row": 2, "cells": ["0788123456", "nuts"], "errors": errors}]);
        ann().blank_rows(&mut refused);
        let left = serde_json::json!([{"field": "note", "code": "max_length", "message": ""}]);
        assert_eq!(refused, serde_json::json!([{"row": 2, "cells": ["", ""], "errors": left}]));
    }

    #[test]
    fn the_address_of_somebody_erased_before_is_not_wanted() {
        let mut wanted = ann();
        wanted.add_email("merged-1@merged.invalid");
        wanted.add_word("erased-1");
        wanted.add_word("Owner");
        wanted.add_phone("12");
        assert_eq!(wanted, ann());
    }
}
