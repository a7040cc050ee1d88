//! Templates: what WhatsApp lets a business say to people who did not write within a day. Meta approves each; we keep what it told last
//! (on a sync, by its webhook), and hold what shall be sent against that before it is written down.

pub mod http;
mod rules;
pub mod store;

use loopd_kernel::input::Input;
use loopd_store::Reader;
use loopd_types::{Problem, Result};
use loopd_web::{Schema as _, schema};
use serde_json::{Value as Json, json};

use crate::engine::{Content, cloud};
use crate::number::Number;

pub use store::Template;

/// The only status in which a template can be sent.
pub const APPROVED: &str = "APPROVED";

/// Characters of a template's name, and of a language.
const NAME_MOST: usize = 512;
const LANGUAGE_MOST: usize = 20;
/// Bytes of all parameters of one message.
const ASKED_MOST: usize = 32 * 1024;

/// A template that somebody wants to send, before it was looked up.
#[derive(Clone, Debug)]
pub struct Asked {
    name: String,
    language: String,
    components: Vec<Json>,
}

/// The member `template` of a body that says something.
pub fn member() -> (&'static str, Json) {
    let component = schema::object([
        ("type", schema::one_of(["header", "body", "button"])),
        ("sub_type", schema::string().describe("Of a button: url, quick_reply, copy_code, …")),
        ("index", schema::any().describe("Of a button: its place, from 0.")),
        (
            "parameters",
            schema::array(schema::free_object()).describe(
                "In Meta's shape: `{\"type\": \"text\", \"text\": \"Aline\"}`, with `parameter_name` where placeholders have names.",
            ),
        ),
    ]);
    let template = schema::object([
        ("name", schema::text(1, NAME_MOST as u32).example("order_ready")),
        ("language", schema::text(1, LANGUAGE_MOST as u32).example("en")),
        ("components", schema::array(component).describe("What fills the placeholders; none where there are none.")),
    ])
    .required(["name", "language"]);
    ("template", template.describe("Cloud API: an approved template, in place of words."))
}

/// Reads `template`. What is wrong with it is noted in `input`.
pub fn asked(input: &mut Input) -> Option<Asked> {
    let given = input.object("template", ASKED_MOST)?;
    let text = |name: &str, most: usize| {
        let text = given.get(name).and_then(Json::as_str).unwrap_or_default();
        (1..=most).contains(&text.chars().count()).then(|| text.to_owned())
    };
    let (name, language) = (text("name", NAME_MOST), text("language", LANGUAGE_MOST));
    let components = match given.get("components") {
        None | Some(Json::Null) => Some(Vec::new()),
        Some(Json::Array(all)) => Some(all.clone()),
        Some(_) => None,
    };
    let (Some(name), Some(language), Some(components)) = (name, language, components) else {
        input.refuse("template", "invalid", "A template has a name, a language, and a list of components.");
        return None;
    };
    Some(Asked { name, language, components })
}

/// What is sent when a template is asked for: it is there, approved, and filled in.
///
/// # Errors
/// 400 under `template`; 409 `no_templates` for a number that cannot send any, `template_not_approved`.
pub fn content(reader: &mut Reader<'_>, number: &Number, asked: &Asked) -> Result<Content> {
    let refused = |code: &'static str, words: String| Problem::field("template", code, words);
    let Some(account) = cloud::account_of(number) else {
        return Err(Problem::conflict("no_templates", "Only numbers of the Cloud API send templates; write words."));
    };
    let found = store::find_named(reader, number.company, &account, &asked.name, &asked.language)?;
    let missing = "There is no template of this name in this language. Sync the templates, or choose another.";
    let template = found.ok_or_else(|| refused("does_not_exist", missing.to_owned()))?;
    if template.status != APPROVED {
        let words = format!("WhatsApp sends only approved templates, and this one is {}.", template.status);
        return Err(Problem::conflict("template_not_approved", words).with_extra("status", template.status));
    }
    let text = rules::filled(&template.components, &asked.components).map_err(|words| refused("invalid", words))?;
    let extra = json!({"name": template.name, "language": template.language, "components": asked.components});
    Ok(Content { kind: "template".to_owned(), text: Some(text), extra, ..Content::default() })
}
