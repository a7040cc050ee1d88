//! Prompts: the blanks of a template, and its publication.

use serde_json::json;

use crate::define::*;

/// Names of blanks, at most; as many as a list of words holds.
const MOST_BLANKS: usize = 50;

/// Names the blanks of the template.
///
/// # Errors
/// 400 on `template` for a blank without an end or without a proper name.
pub(super) fn name_blanks(_: &mut Cx<'_, '_>, prompt: &mut Record) -> Result<()> {
    let names = blanks(prompt.text("template").unwrap_or_default())?;
    prompt.set("variables", json!(names));
    Ok(())
}

fn blanks(template: &str) -> Result<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    let mut rest = template;
    while let Some((_, behind)) = rest.split_once("{{") {
        let Some((name, after)) = behind.split_once("}}") else {
            return Err(Problem::field("template", "invalid", "A blank begins with {{ and does not end with }}."));
        };
        let name = name.trim();
        let is_name = (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !is_name {
            let words = "The name of a blank has letters, digits and _ only, at most 64 of them.";
            return Err(Problem::field("template", "invalid", words));
        }
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
        rest = after;
    }
    if names.len() > MOST_BLANKS {
        let words = format!("A template has at most {MOST_BLANKS} blanks.");
        return Err(Problem::field("template", "max_length", words));
    }
    Ok(names)
}

/// What is published already is not published again: each revision is another text.
pub(super) fn guard_publish(_: &mut Cx<'_, '_>, prompt: &mut Record, _: &Input) -> Result<()> {
    let is_same = prompt.text("published_template") == prompt.text("template");
    if prompt.status() == "published" && is_same {
        return Err(Problem::conflict(
            "already_published",
            "This text is published already. Change the template first.",
        ));
    }
    Ok(())
}

pub(super) fn publish(cx: &mut Cx<'_, '_>, prompt: &mut Record, _: &Input) -> Result<()> {
    let template = prompt.text("template").unwrap_or_default().to_owned();
    // one that comes back from the archive unchanged keeps its revision
    if prompt.text("published_template") != Some(template.as_str()) {
        prompt.set("revision", prompt.int("revision").unwrap_or(0) + 1);
        prompt.set("published_template", template);
    }
    prompt.set("published_at", cx.now());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::blanks;

    #[test]
    fn blanks_are_named_once_and_properly() {
        assert_eq!(blanks("Sales of {{ product }} in {{week}}, {{product}}").unwrap(), ["product", "week"]);
        assert!(blanks("no blanks } {").unwrap().is_empty());
        for bad in ["{{open", "{{}}", "{{two words}}"] {
            assert!(blanks(bad).is_err(), "{bad}");
        }
    }
}
