//! Whether parameters fit a template, and what it says with them. Pure.
//!
//! Meta refuses what does not fit with 132000, 132012 or 100, after the message was queued; here whoever sends hears it at once.

use std::collections::BTreeMap;

use serde_json::Value as Json;

/// Characters of one parameter.
const TEXT_MOST: usize = 1024;

/// What a template says with these parameters: header, body and footer, a line each.
///
/// # Errors
/// In words: what is missing, too much, or of another kind.
pub fn filled(template: &Json, given: &[Json]) -> Result<String, String> {
    let mut left: BTreeMap<String, &Json> = BTreeMap::new();
    for component in given {
        let place = place_of(component)?;
        if left.insert(place.clone(), component).is_some() {
            return Err(format!("`{place}` is given twice."));
        }
    }
    let mut lines = Vec::new();
    for component in template.as_array().into_iter().flatten() {
        let text = component["text"].as_str().unwrap_or_default();
        match component["type"].as_str().unwrap_or_default().to_ascii_uppercase().as_str() {
            "HEADER" => match component["format"].as_str().unwrap_or("TEXT").to_ascii_uppercase().as_str() {
                "TEXT" => lines.push(with_words("header", text, left.remove("header"))?),
                format => with_one("header", &format.to_ascii_lowercase(), left.remove("header"))?,
            },
            "BODY" => lines.push(with_words("body", text, left.remove("body"))?),
            "FOOTER" => lines.push(text.to_owned()),
            "BUTTONS" => {
                for (index, button) in component["buttons"].as_array().into_iter().flatten().enumerate() {
                    with_button(index, button, left.remove(&format!("button {index}")))?;
                }
            }
            _ => {}
        }
    }
    match left.keys().next() {
        Some(place) => Err(format!("The template has no `{place}` to be filled in.")),
        None => Ok(lines.into_iter().filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")),
    }
}

/// `header`, `body`, or `button` and its place.
fn place_of(component: &Json) -> Result<String, String> {
    let kind = component["type"].as_str().unwrap_or_default().to_ascii_lowercase();
    match kind.as_str() {
        "header" | "body" => Ok(kind),
        "button" => {
            let index = component["index"].as_u64().or_else(|| component["index"].as_str()?.parse().ok());
            index.map(|index| format!("button {index}")).ok_or_else(|| "A button says its `index`, from 0.".to_owned())
        }
        _ => Err("A component's type is header, body or button.".to_owned()),
    }
}

fn parameters(component: Option<&Json>) -> &[Json] {
    component.and_then(|it| it["parameters"].as_array()).map(Vec::as_slice).unwrap_or_default()
}

/// A text with its placeholders filled in, each by one parameter: by place, or by name where they have names.
fn with_words(place: &str, text: &str, component: Option<&Json>) -> Result<String, String> {
    let (wanted, given) = (placeholders(text), parameters(component));
    if wanted.len() != given.len() {
        return Err(format!(
            "The template's {place} has {} placeholders, and {} parameters are given.",
            wanted.len(),
            given.len()
        ));
    }
    let mut filled: BTreeMap<&str, String> = BTreeMap::new();
    for (at, parameter) in given.iter().enumerate() {
        let words = words_of(place, parameter)?;
        let name = parameter["parameter_name"].as_str().map_or_else(|| (at + 1).to_string(), str::to_owned);
        let Some(name) = wanted.iter().find(|wanted| **wanted == name) else {
            let all = wanted.join(", ");
            return Err(format!("A parameter of the {place} fits none of its placeholders ({all})."));
        };
        if filled.insert(name, words).is_some() {
            return Err(format!("`{name}` is given twice."));
        }
    }
    Ok(replaced(text, &filled))
}

/// The words of a parameter that has some.
fn words_of(place: &str, parameter: &Json) -> Result<String, String> {
    let words = match parameter["type"].as_str().unwrap_or_default() {
        "text" => parameter["text"].as_str(),
        "currency" => parameter["currency"]["fallback_value"].as_str(),
        "date_time" => parameter["date_time"]["fallback_value"].as_str(),
        other => return Err(format!("The {place} takes words, and a parameter is {other:?}.")),
    };
    let words = words.unwrap_or_default();
    if words.trim().is_empty() || words.chars().count() > TEXT_MOST || words.contains(['\n', '\t', '\r']) {
        return Err(format!("A parameter of the {place} is one line of 1 to {TEXT_MOST} characters."));
    }
    Ok(words.to_owned())
}

/// Exactly one parameter, of this kind: a picture above the words.
fn with_one(place: &str, kind: &str, component: Option<&Json>) -> Result<(), String> {
    let [parameter] = parameters(component) else {
        return Err(format!("The template's {place} needs one parameter of the type {kind}."));
    };
    let inner = &parameter[kind];
    let is_there = match kind {
        "location" => inner.is_object(),
        _ => ["id", "link", "file"].iter().any(|name| inner[*name].as_str().is_some_and(|text| !text.is_empty())),
    };
    if parameter["type"] != kind || !is_there {
        return Err(format!(
            "The template's {place} needs one parameter of the type {kind}, with a file, an id or a link."
        ));
    }
    Ok(())
}

fn with_button(index: usize, button: &Json, component: Option<&Json>) -> Result<(), String> {
    let place = format!("button {index}");
    let kind = button["type"].as_str().unwrap_or_default().to_ascii_lowercase();
    let said = component.and_then(|it| it["sub_type"].as_str()).unwrap_or_default().to_ascii_lowercase();
    // What Meta calls a one-time password's button when it is filled in.
    let wanted = if kind == "otp" { "url" } else { kind.as_str() };
    if component.is_some() && said != wanted {
        return Err(format!("The template's {place} is a {wanted}."));
    }
    let given = parameters(component).len();
    let is_open = button["url"].as_str().is_some_and(|url| !placeholders(url).is_empty());
    match (kind.as_str(), given) {
        ("otp", 1) => words_of(&place, &parameters(component)[0]).map(drop),
        ("url", 1) if is_open => words_of(&place, &parameters(component)[0]).map(drop),
        ("url", 0) if !is_open => Ok(()),
        ("copy_code", 1) | ("quick_reply" | "flow", 0 | 1) => Ok(()),
        ("url" | "otp" | "copy_code", _) => {
            Err(format!("The template's {place} needs {} parameters.", i32::from(is_open || kind != "url")))
        }
        (_, 0) => Ok(()),
        _ => Err(format!("The template's {place} takes no parameters.")),
    }
}

/// The names in double braces, each once, in their order.
fn placeholders(text: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for piece in text.split("{{").skip(1) {
        if let Some((name, _)) = piece.split_once("}}") {
            let name = name.trim().to_owned();
            if !name.is_empty() && !all.contains(&name) {
                all.push(name);
            }
        }
    }
    all
}

/// The text with its placeholders replaced, all at once: what is filled in is not looked at again.
fn replaced(text: &str, filled: &BTreeMap<&str, String>) -> String {
    let mut said = String::with_capacity(text.len());
    let mut pieces = text.split("{{");
    said.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        match piece.split_once("}}").and_then(|(name, rest)| Some((filled.get(name.trim())?, rest))) {
            Some((words, rest)) => {
                said.push_str(words);
                said.push_str(rest);
            }
            None => {
                said.push_str("{{");
                said.push_str(piece);
            }
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn text(words: &str) -> Json {
        json!({"type": "text", "text": words})
    }

    fn order() -> Json {
        json!([
            {"type": "HEADER", "format": "TEXT", "text": "Order {{1}}"},
            {"type": "BODY", "text": "Dear {{1}}, your order of {{2}} is ready, {{1}}."},
            {"type": "FOOTER", "text": "Kigali Shop"},
            {"type": "BUTTONS", "buttons": [
                {"type": "QUICK_REPLY", "text": "Thanks"}, {"type": "URL", "text": "See", "url": "https://example.com/{{1}}"},
            ]},
        ])
    }

    fn good() -> Vec<Json> {
        vec![
            json!({"type": "header", "parameters": [text("42")]}),
            json!({"type": "body", "parameters": [text("Aline"), text("5,000 RWF")]}),
            json!({"type": "button", "sub_type": "url", "index": "1", "parameters": [text("42")]}),
        ]
    }

    #[test]
    fn what_fits_is_said_as_the_customer_reads_it() {
        let said = filled(&order(), &good()).unwrap();
        assert_eq!(said, "Order 42\nDear Aline, your order of 5,000 RWF is ready, Aline.\nKigali Shop");
        let named = json!([{"type": "BODY", "text": "Hi {{name}}, {{ day }}?"}]);
        let parameter = |name: &str, words: &str| json!({"type": "text", "parameter_name": name, "text": words});
        let given = [json!({"type": "BODY", "parameters": [parameter("name", "{{day}}"), parameter("day", "Monday")]})];
        assert_eq!(filled(&named, &given).unwrap(), "Hi {{day}}, Monday?");
        let picture = json!([{"type": "HEADER", "format": "IMAGE"}, {"type": "BODY", "text": "Look"}]);
        let given = [
            json!({"type": "header", "parameters": [{"type": "image", "image": {"link": "https://example.com/a.png"}}]}),
        ];
        assert_eq!(filled(&picture, &given).unwrap(), "Look");
        assert_eq!(filled(&json!([{"type": "BODY", "text": "Hello"}]), &[]).unwrap(), "Hello");
    }

    #[test]
    fn what_does_not_fit_is_refused_in_words() {
        let body = |parameters: Json| json!({"type": "body", "parameters": parameters});
        for (place, odd) in [
            (1, body(json!([text("Aline")]))),
            (1, body(json!([text("a"), text("b"), text("c")]))),
            (1, body(json!([text("a"), text(" ")]))),
            (1, body(json!([text("a"), text("two\nlines")]))),
            (1, body(json!([text("a"), {"type": "image", "image": {"id": "1"}}]))),
            (1, body(json!([text("a"), {"type": "text", "parameter_name": "name", "text": "b"}]))),
            (0, json!({"type": "header"})),
            (2, json!({"type": "button", "sub_type": "quick_reply", "index": 1, "parameters": [text("42")]})),
            (2, json!({"type": "button", "sub_type": "url", "index": 7, "parameters": [text("42")]})),
            (2, json!({"type": "button", "sub_type": "url", "parameters": [text("42")]})),
            (2, json!({"type": "button", "sub_type": "url", "index": 1})),
            (0, json!({"type": "carousel"})),
            (0, json!(5)),
        ] {
            let mut given = good();
            given[place] = odd.clone();
            let words = filled(&order(), &given).expect_err(&odd.to_string());
            assert!(words.ends_with('.'), "{words}");
        }
        assert!(filled(&order(), &[good(), good()].concat()).is_err());
        assert!(filled(&json!([{"type": "HEADER", "format": "IMAGE"}]), &[]).is_err());
    }

    proptest! {
        #[test]
        fn as_many_parameters_as_placeholders_and_no_others_fit(wanted in 0usize..8, given in 0usize..8) {
            let body: String = (1..=wanted).map(|at| format!("a {{{{{at}}}}} ")).collect();
            let template = json!([{"type": "BODY", "text": body}]);
            let parameters: Vec<Json> = (0..given).map(|at| text(&format!("w{at}"))).collect();
            let said = filled(&template, &[json!({"type": "body", "parameters": parameters})]);
            prop_assert_eq!(said.is_ok(), wanted == given, "{:?}", said);
            if let Ok(said) = said {
                prop_assert!(!said.contains("{{"), "{}", said);
            }
        }
    }
}
