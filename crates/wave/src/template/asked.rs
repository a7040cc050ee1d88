//! A template as somebody asks for it: its name, its language, and what fills its placeholders.

use std::cell::RefCell;

use loopd_kernel::input::Input;
use loopd_web::{Schema as _, schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::{LANGUAGE_MOST, NAME_MOST};
use crate::placeholder;

/// Bytes of all parameters of one message.
const ASKED_MOST: usize = 32 * 1024;
/// Members of a parameter that hold words of ours: in these, words in double braces are filled in for each person.
const FILLED: [&str; 4] = ["text", "fallback_value", "payload", "coupon_code"];

/// A template that somebody wants to send, before it was looked up.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Asked {
    pub name: String,
    pub language: String,
    #[serde(default)]
    pub components: Vec<Json>,
}

/// The schema of [`Asked`].
pub fn shape() -> Json {
    let component = schema::object([
        ("type", schema::one_of(["header", "body", "button"])),
        ("sub_type", schema::string().describe("Of a button: url, quick_reply, copy_code, …")),
        ("index", schema::any().describe("Of a button: its place, from 0.")),
        (
            "parameters",
            schema::array(schema::free_object()).describe(
                "In Meta's shape: `{\"type\": \"text\", \"text\": \"Aline\"}`, with `parameter_name` where placeholders have names; of a header, \
                 `{\"type\": \"image\", \"image\": {\"file\": ID}}` names a file of the shelf (or Meta's `id`, or a `link`).",
            ),
        ),
    ]);
    schema::object([
        ("name", schema::text(1, NAME_MOST as u32).example("order_ready")),
        ("language", schema::text(1, LANGUAGE_MOST as u32).example("en")),
        ("components", schema::array(component).describe("What fills the placeholders; none where there are none.")),
    ])
    .required(["name", "language"])
}

/// The member `template` of a body that says something.
pub fn member() -> (&'static str, Json) {
    ("template", shape().describe("Cloud API: an approved template, in place of words."))
}

/// Reads `template`. What is wrong with it is noted in `input`.
pub fn asked(input: &mut Input) -> Option<Asked> {
    let given = input.object("template", ASKED_MOST)?;
    let asked = Asked::read(&given);
    if asked.is_none() {
        input.refuse("template", "invalid", "A template has a name, a language, and a list of components.");
    }
    asked
}

impl Asked {
    /// `None` for what is no template.
    pub fn read(given: &Map<String, Json>) -> Option<Self> {
        let text = |name: &str, most: usize| {
            let text = given.get(name).and_then(Json::as_str).unwrap_or_default();
            (1..=most).contains(&text.chars().count()).then(|| text.to_owned())
        };
        let components = match given.get("components") {
            None | Some(Json::Null) => Vec::new(),
            Some(Json::Array(all)) => all.clone(),
            Some(_) => return None,
        };
        Some(Self { name: text("name", NAME_MOST)?, language: text("language", LANGUAGE_MOST)?, components })
    }

    /// The same for one person: words in double braces within parameters say what `value` gives for them, on one line, as Meta wants it.
    ///
    /// # Errors
    /// The first word that `value` has nothing to say for: Meta takes no empty parameter.
    pub fn filled(&self, value: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let missing = RefCell::new(None);
        let mut filled = self.clone();
        filled.each_text(&mut |text| {
            *text = placeholder::render(text, |word| {
                let said = placeholder::or_else(word, &value)?.split_whitespace().collect::<Vec<_>>().join(" ");
                if said.is_empty() {
                    missing.borrow_mut().get_or_insert_with(|| placeholder::word_of(word).to_owned());
                }
                Some(said)
            });
        });
        match missing.into_inner() {
            Some(word) => Err(word),
            None => Ok(filled),
        }
    }

    /// Words in double braces that are not among `known`: nobody would fill them in, and customers would see the slip first.
    pub fn unknown_words(&self, known: &[&str]) -> Vec<String> {
        let mut unknown = Vec::new();
        self.clone().each_text(&mut |text| unknown.extend(placeholder::unknown(text, known)));
        unknown
    }

    fn each_text(&mut self, work: &mut impl FnMut(&mut String)) {
        for component in &mut self.components {
            if let Some(parameters) = component.get_mut("parameters") {
                texts_in(parameters, work);
            }
        }
    }
}

fn texts_in(value: &mut Json, work: &mut impl FnMut(&mut String)) {
    match value {
        Json::Array(items) => items.iter_mut().for_each(|item| texts_in(item, work)),
        Json::Object(members) => {
            for (name, value) in members {
                match value {
                    Json::String(text) if FILLED.contains(&name.as_str()) => work(text),
                    Json::String(_) => {}
                    value => texts_in(value, work),
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(parameter: Json) -> Asked {
        let components = vec![json!({"type": "body", "parameters": [parameter]})];
        Asked { name: "news".to_owned(), language: "en".to_owned(), components }
    }

    fn value(word: &str) -> Option<String> {
        match word {
            "name" => Some("Aline\n Uwase".to_owned()),
            "email" => Some(" ".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn each_person_reads_their_own_words_on_one_line() {
        let asked = of(json!({"type": "text", "parameter_name": "{{name}}", "text": "Dear {{ name }}, {{name}}"}));
        let filled = asked.filled(value).expect("words");
        let said = json!({"type": "text", "parameter_name": "{{name}}", "text": "Dear Aline Uwase, Aline Uwase"});
        assert_eq!(filled.components[0]["parameters"], json!([said]));
        let money = json!({"type": "currency", "currency": {"fallback_value": "{{name}}", "code": "{{name}}"}});
        let filled = of(money).filled(value).expect("words");
        assert_eq!(
            filled.components[0]["parameters"][0]["currency"],
            json!({"fallback_value": "Aline Uwase", "code": "{{name}}"})
        );
    }

    #[test]
    fn what_there_is_nothing_to_say_for_is_named() {
        assert_eq!(of(json!({"type": "text", "text": "{{name}} {{email}}"})).filled(value), Err("email".to_owned()));
        let asked = of(json!({"type": "text", "text": "{{name}} {{nam}} {{email}}"}));
        assert_eq!(asked.unknown_words(&["name", "email"]), ["nam"]);
    }

    #[test]
    fn what_is_no_template_is_none() {
        let read = |value: Json| Asked::read(value.as_object().expect("an object"));
        assert!(read(json!({"name": "a", "language": "en"})).is_some_and(|asked| asked.components.is_empty()));
        for odd in [
            json!({}),
            json!({"name": "a"}),
            json!({"name": "", "language": "en"}),
            json!({"name": "a", "language": "en", "components": 5}),
        ] {
            assert!(read(odd.clone()).is_none(), "{odd}");
        }
    }
}
