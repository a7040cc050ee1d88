//! What can be read out of a text by its form: dates, amounts, telephone numbers, e-mail addresses, and named fields.

mod amounts;
mod contacts;
mod dates;

use serde_json::{Map, Value as Json, json};

/// Finds of one kind, at most.
const MOST: usize = 100;
/// Characters of a field's value.
const LONGEST_VALUE: usize = 500;
/// Words that stand between a field's name and its value where no colon does: in English, French, Kinyarwanda.
const LINKS: [&str; 5] = ["is ", "are ", "est ", "ni ", "no. "];

/// `{"dates": [{"text", "date"}], "amounts": [{"text", "amount", "currency"}], "phones": [{"text", "phone"}], "emails": […], "fields": {…}}`,
/// each in the order of the text, nothing twice; `null` for a field that the text does not name.
pub fn extract(text: &str, fields: &[String]) -> Json {
    let named: Map<String, Json> = fields.iter().map(|name| (name.clone(), Json::from(field(text, name)))).collect();
    json!({
        "dates": distinct(dates::find(text).into_iter().map(|(text, date)| json!({"text": text, "date": date.to_string()}))),
        "amounts": distinct(amounts::find(text).into_iter().map(|found| {
            json!({"text": found.text, "amount": found.amount, "currency": found.currency})
        })),
        "phones": distinct(contacts::phones(text).into_iter().map(|(text, phone)| json!({"text": text, "phone": phone}))),
        "emails": distinct(contacts::emails(text).into_iter().map(Json::from)),
        "fields": named,
    })
}

fn distinct(found: impl Iterator<Item = Json>) -> Json {
    let mut kept: Vec<Json> = Vec::new();
    for one in found {
        if kept.len() < MOST && !kept.contains(&one) {
            kept.push(one);
        }
    }
    Json::Array(kept)
}

/// The value behind a name: `Invoice number: INV-7`, `order_id = 12`, `the total is 500`. Up to the end of the line or a `;`.
fn field(text: &str, name: &str) -> Option<String> {
    let wanted: Vec<char> = name.chars().map(plain).collect();
    for line in text.lines() {
        let letters: Vec<char> = line.chars().collect();
        let plainly: Vec<char> = letters.iter().copied().map(plain).collect();
        let is_edge = |at: usize| plainly.get(at).is_none_or(|letter| !letter.is_alphanumeric());
        for start in 0..(letters.len() + 1).saturating_sub(wanted.len()) {
            let end = start + wanted.len();
            let stands_here = plainly[start..end] == wanted[..] && (start == 0 || is_edge(start - 1)) && is_edge(end);
            if !stands_here {
                continue;
            }
            let rest: String = letters[end..].iter().collect();
            if let Some(value) = value(rest.trim_start()) {
                return Some(value);
            }
        }
    }
    None
}

/// How names are compared: without case, `_` and `-` as blanks.
fn plain(letter: char) -> char {
    match letter {
        '_' | '-' => ' ',
        other => other.to_lowercase().next().unwrap_or(other),
    }
}

fn value(rest: &str) -> Option<String> {
    let (is_marked, rest) = match rest.strip_prefix([':', '=', '：']) {
        Some(rest) => (true, rest),
        None => {
            let link = LINKS
                .iter()
                .find(|link| rest.get(..link.len()).is_some_and(|start| start.eq_ignore_ascii_case(link)))?;
            (false, &rest[link.len()..])
        }
    };
    let line = rest.split(';').next().unwrap_or_default();
    // a sentence goes on behind its value; what stands behind a colon is the value alone
    let value = if is_marked {
        line
    } else {
        line.split(". ").next().unwrap_or_default().split(',').next().unwrap_or_default()
    };
    let value = value.trim().trim_end_matches(['.', ',']).trim_end();
    (!value.is_empty()).then(|| value.chars().take(LONGEST_VALUE).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_name() {
        let text =
            "Invoice-Number: INV-7; paid\norder_id = 12\nThe total is 500, they say. Name of buyer\nBuyer: Aline U.";
        let of = |name: &str| field(text, name);
        assert_eq!(of("invoice_number").as_deref(), Some("INV-7"));
        assert_eq!(of("Order ID").as_deref(), Some("12"));
        assert_eq!(of("total").as_deref(), Some("500"));
        assert_eq!(of("buyer").as_deref(), Some("Aline U"));
        assert_eq!(of("name"), None);
        assert_eq!(of("rder"), None, "only whole words");
        assert_eq!(
            of(
                "much longer than any line of the text, and then some more words, so that it cannot fit anywhere at all"
            ),
            None
        );
    }

    #[test]
    fn nothing_is_found_twice() {
        let found = extract("a@b.rw, a@b.rw on 2026-06-22 and 2026-06-22", &[]);
        assert_eq!((&found["emails"], found["dates"].as_array().unwrap().len()), (&json!(["a@b.rw"]), 1));
    }
}
