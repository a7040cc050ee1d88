//! Templates: what WhatsApp lets a business say to people who did not write within a day. Meta approves each; we keep what it told last
//! (on a sync, by its webhook), and hold what shall be sent against that before it is written down.

mod asked;
pub mod header;
pub mod http;
mod rules;
pub mod store;

use loopd_store::Reader;
use loopd_types::{Problem, Result};
use serde_json::json;

use crate::engine::{Content, cloud};
use crate::number::Number;

pub use asked::{Asked, asked, member, shape};
pub use store::Template;

/// The only status in which a template can be sent.
pub const APPROVED: &str = "APPROVED";

/// Characters of a template's name, and of a language.
const NAME_MOST: usize = 512;
const LANGUAGE_MOST: usize = 20;

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
    let media = header::sent(reader, number.company, &asked.components)?;
    Ok(Content { kind: "template".to_owned(), text: Some(text), media, extra, ..Content::default() })
}
