//! JSON values as YAML 1.2 block text, for `/api/schema/`. Faithful: whatever reads YAML reads back the same value.
//!
//! Every string that is not plainly a word is written in double quotes with JSON's escapes, which YAML 1.2 took over; so there is
//! no question of `no`, `1e3` or `2026-01-01` being read as something else.

use std::fmt::Write as _;

use serde_json::Value;

/// Renders `value`. Keys that OpenAPI readers expect first come first.
pub fn render(value: &Value) -> String {
    let mut out = String::with_capacity(64 * 1024);
    write_value(&mut out, value, 0, false);
    if !out.ends_with('\n') {
        out.push('\n');
    }
    out
}

/// Writes after a key (`after_key`: nested blocks start on a new line) or after a dash or at the top.
fn write_value(out: &mut String, value: &Value, depth: usize, after_key: bool) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            if after_key {
                out.push('\n');
            }
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort_by_key(|key| (rank(key, depth), *key));
            for (number, key) in keys.into_iter().enumerate() {
                // The first key of a list's object stands right after its dash.
                if number > 0 || after_key {
                    indent(out, depth);
                }
                write_scalar(out, key);
                out.push(':');
                write_member(out, &map[key.as_str()], depth + 1);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            if after_key {
                out.push('\n');
            }
            for (number, item) in items.iter().enumerate() {
                if number > 0 || after_key {
                    indent(out, depth);
                }
                out.push_str("- ");
                write_value(out, item, depth + 1, false);
            }
        }
        Value::Object(_) => out.push_str("{}\n"),
        Value::Array(_) => out.push_str("[]\n"),
        Value::String(text) => {
            write_scalar(out, text);
            out.push('\n');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {
            let _ = writeln!(out, "{value}");
        }
    }
}

fn write_member(out: &mut String, value: &Value, depth: usize) {
    let is_block = match value {
        Value::Object(map) => !map.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    };
    if !is_block {
        out.push(' ');
    }
    write_value(out, value, depth, is_block);
}

fn indent(out: &mut String, depth: usize) {
    out.extend(std::iter::repeat_n("  ", depth));
}

/// `openapi` and `info` lead the document; everything else is in the order of the alphabet.
fn rank(key: &str, depth: usize) -> usize {
    let leaders = ["openapi", "info", "servers", "tags", "paths", "components"];
    if depth == 0 { leaders.iter().position(|leader| *leader == key).unwrap_or(leaders.len()) } else { 0 }
}

fn write_scalar(out: &mut String, text: &str) {
    if is_plain(text) {
        out.push_str(text);
    } else {
        // JSON leaves these as they are, YAML reads the first three as line breaks and does not allow the rest bare.
        for c in Value::from(text).to_string().chars() {
            match c {
                '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{7f}'..='\u{9f}' => {
                    let _ = write!(out, "\\u{:04x}", u32::from(c));
                }
                c => out.push(c),
            }
        }
    }
}

/// Starts with a letter, goes on with letters, digits and `_ - . /`, and is none of the words YAML gives a meaning.
fn is_plain(text: &str) -> bool {
    const WORDS: [&str; 12] = ["null", "true", "false", "yes", "no", "on", "off", "y", "n", "nan", "inf", "infinity"];
    text.bytes().next().is_some_and(|first| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte))
        && !WORDS.contains(&text.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn blocks_lists_and_scalars() {
        let value = json!({
            "info": {"title": "LOOP: an API", "version": "2026-06-22.4"},
            "openapi": "3.1.0",
            "paths": {"/a/{id}/": {"get": {"tags": ["a", "no"], "x": [], "y": {}, "deep": [[1, 2], {"k": null, "l": [true]}]}}},
            "text": "line\nbreak \u{2028} \"quoted\" é",
        });
        let expected = r#"openapi: "3.1.0"
info:
  title: "LOOP: an API"
  version: "2026-06-22.4"
paths:
  "/a/{id}/":
    get:
      deep:
        - - 1
          - 2
        - k: null
          l:
            - true
      tags:
        - a
        - "no"
      x: []
      "y": {}
text: "line\nbreak \u2028 \"quoted\" é"
"#;
        assert_eq!(render(&value), expected);
        assert_eq!(render(&json!({})), "{}\n");
    }
}
