//! Colours for code: strings, comments and the places where a reader puts something of his own.
//!
//! A few rules for four languages are enough here; a real highlighter would be larger than all pages together.

use maud::{Markup, html};

/// The text of a code block with its parts marked. `text` is escaped.
pub(super) fn highlight(text: &str) -> Markup {
    html! {
        @for part in parts(text) {
            @match part {
                Part::Plain(text) => { (text) }
                Part::Comment(text) => { span.c { (text) } }
                Part::Text(text) => { span.s { (text) } }
                Part::Flag(text) => { span.f { (text) } }
                Part::Place(text) => { span.ph data-place=(text.trim_matches(['<', '>'])) { (text) } }
            }
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Part<'t> {
    Plain(&'t str),
    /// From `#` to the end of the line, at a line's start only.
    Comment(&'t str),
    /// Quoted.
    Text(&'t str),
    /// `-X`, `-H`, `-d`, after a space.
    Flag(&'t str),
    /// `<access_token>`.
    Place(&'t str),
}

fn parts(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    for line in text.split_inclusive('\n') {
        if line.trim_start().starts_with('#') {
            parts.push(Part::Comment(line));
        } else {
            parts_of_line(line, &mut parts);
        }
    }
    parts
}

fn parts_of_line<'t>(mut rest: &'t str, parts: &mut Vec<Part<'t>>) {
    while !rest.is_empty() {
        let Some(start) = rest.find(['"', '\'', '<', '-']) else {
            parts.push(Part::Plain(rest));
            return;
        };
        let (before, from) = rest.split_at(start);
        let length = match from.as_bytes()[0] {
            quote @ (b'"' | b'\'') => quoted_length(from, char::from(quote)),
            b'<' => place_length(from),
            _ if before.ends_with(' ') || (before.is_empty() && parts.is_empty()) => flag_length(from),
            _ => None,
        };
        let Some(length) = length else {
            parts.push(Part::Plain(&rest[..=start]));
            rest = &rest[start + 1..];
            continue;
        };
        if !before.is_empty() {
            parts.push(Part::Plain(before));
        }
        let (part, after) = from.split_at(length);
        match part.as_bytes()[0] {
            b'"' | b'\'' => text_with_places(part, parts),
            b'<' => parts.push(Part::Place(part)),
            _ => parts.push(Part::Flag(part)),
        }
        rest = after;
    }
}

/// A quoted text, with the places inside it marked as such.
fn text_with_places<'t>(mut text: &'t str, parts: &mut Vec<Part<'t>>) {
    while let Some(start) = text.find('<') {
        let Some(length) = place_length(&text[start..]) else { break };
        parts.push(Part::Text(&text[..start]));
        parts.push(Part::Place(&text[start..start + length]));
        text = &text[start + length..];
    }
    parts.push(Part::Text(text));
}

/// The length of a quoted text with both quotes; `None` when it does not end on this line.
fn quoted_length(from: &str, quote: char) -> Option<usize> {
    from[1..].find(quote).map(|end| end + 2)
}

/// The length of `<word>`; `None` when it is a mere less-than sign.
fn place_length(from: &str) -> Option<usize> {
    let end = from.find('>')?;
    let is_word = end > 1 && from[1..end].chars().all(|letter| letter.is_ascii_lowercase() || letter == '_');
    is_word.then_some(end + 1)
}

/// The length of `-X` or `--data`; `None` when it is a mere dash.
fn flag_length(from: &str) -> Option<usize> {
    let end = from.find([' ', '\n', '\\']).unwrap_or(from.len());
    let is_flag = end > 1 && from[1..end].chars().all(|letter| letter.is_ascii_alphabetic() || letter == '-');
    is_flag.then_some(end)
}

#[cfg(test)]
mod tests {
    use super::{Part, parts};

    #[test]
    fn strings_flags_and_places_are_told_apart() {
        let expected = [
            Part::Plain("curl "),
            Part::Flag("-H"),
            Part::Plain(" "),
            Part::Text("\"Authorization: Bearer "),
            Part::Place("<access_token>"),
            Part::Text("\""),
            Part::Plain(" http://a-b/ < c"),
        ];
        assert_eq!(
            parts("curl -H \"Authorization: Bearer <access_token>\" http://a-b/ < c")
                .into_iter()
                .fold(Vec::new(), joined),
            expected
        );
    }

    /// Neighbouring plain parts read as one.
    fn joined<'t>(mut all: Vec<Part<'t>>, part: Part<'t>) -> Vec<Part<'t>> {
        match (all.last(), &part) {
            (Some(Part::Plain(left)), Part::Plain(right)) => {
                let whole: &'t str = Box::leak(format!("{left}{right}").into_boxed_str());
                all.pop();
                all.push(Part::Plain(whole));
            }
            _ => all.push(part),
        }
        all
    }

    #[test]
    fn nothing_is_lost() {
        let text = "# note\ncurl -X GET 'x' <y> it's - a\n  --data {\"a\":1}\n";
        let whole: String = parts(text)
            .iter()
            .map(|part| match part {
                Part::Plain(text) | Part::Comment(text) | Part::Text(text) | Part::Flag(text) | Part::Place(text) => {
                    *text
                }
            })
            .collect();
        assert_eq!(whole, text);
    }
}
