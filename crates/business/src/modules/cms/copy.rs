//! Copies: the same page once more, or in another language. Both answer with the new record, a draft.

use serde_json::{Value as Json, json};

use crate::define::*;
use crate::engine::cx::runtime;
use crate::engine::update::find_visible;

/// What a copy takes over, besides title and description. Fields that a resource does not have are left out.
const COPIED: [&str; 10] =
    ["site", "language", "body", "excerpt", "seo", "parent", "template", "author", "categories", "tags"];
/// Copies of one page before we give up on finding a free address.
const MOST_COPIES: u32 = 100;

/// `POST /cms/<resource>/{id}/duplicate/`
pub(super) fn duplicate(resource: &str) -> Custom {
    let run = if resource == "posts" { duplicate_post } else { duplicate_page };
    operation(resource, "duplicate", run)
        .summary(&format!("Make a copy of one of the {resource}"))
        .help("The copy is a draft with a free address: `about-copy`, `about-copy-2`.")
        .input(slug("slug").help("The copy's part of the address; made from the original's when absent."))
}

/// `POST /cms/<resource>/{id}/translate/`
pub(super) fn translate(resource: &str) -> Custom {
    let run = if resource == "posts" { translate_post } else { translate_page };
    operation(resource, "translate", run)
        .summary(&format!("Begin a translation of one of the {resource}"))
        .help("The new draft has the same site and address, the original's words, and the language given.")
        .input(language("language").required().help("The language to translate into.").example("rw"))
}

fn operation(resource: &str, verb: &str, run: crate::define::rule::WriteFn) -> Custom {
    Custom::post(&format!("{resource}_{verb}"), &format!("{resource}/{{id}}/{verb}/"), run)
        .permission(&format!("{resource}.create"))
        .status(201)
}

fn duplicate_page(cx: &mut Cx<'_, '_>, input: &Input) -> Result<Json> {
    copied(cx, "cms/pages", input)
}
fn duplicate_post(cx: &mut Cx<'_, '_>, input: &Input) -> Result<Json> {
    copied(cx, "cms/posts", input)
}
fn translate_page(cx: &mut Cx<'_, '_>, input: &Input) -> Result<Json> {
    translated(cx, "cms/pages", input)
}
fn translate_post(cx: &mut Cx<'_, '_>, input: &Input) -> Result<Json> {
    translated(cx, "cms/posts", input)
}

fn copied(cx: &mut Cx<'_, '_>, path: &str, input: &Input) -> Result<Json> {
    let original = original(cx, path, input)?;
    let address = match input.text("slug") {
        Some(given) => given.to_owned(),
        None => free_address(cx, path, &original)?,
    };
    let mut body = body_of(&original)?;
    body["slug"] = json!(address);
    cx.create(path, &body)?.to_json()
}

fn translated(cx: &mut Cx<'_, '_>, path: &str, input: &Input) -> Result<Json> {
    let original = original(cx, path, input)?;
    let mut body = body_of(&original)?;
    body["slug"] = json!(original.text("slug"));
    body["language"] = json!(input.text("language"));
    cx.create(path, &body)?.to_json()
}

/// Who may copy must be able to see: the operation asks for the right to create only.
fn original(cx: &mut Cx<'_, '_>, path: &str, input: &Input) -> Result<Record> {
    let id = Uuid::parse_str(input.path("id")).map_err(|_| Problem::not_found())?;
    let runtime = runtime(cx.engine, path)?.clone();
    cx.tenant.require(&runtime.permissions.view)?;
    find_visible(cx, &runtime, id)
}

fn body_of(original: &Record) -> Result<Json> {
    let json = original.to_json()?;
    let mut body = json!({
        "title": original.title(),
        "description": original.description(),
    });
    // a copy of what is the whole company's is made where whoever copies makes their own
    if let Some(workspace) = original.workspace() {
        body["workspace"] = json!(workspace.to_string());
    }
    for field in COPIED {
        if let Some(value) = json.get(field) {
            body[field] = value.clone();
        }
    }
    Ok(body)
}

fn free_address(cx: &mut Cx<'_, '_>, path: &str, original: &Record) -> Result<String> {
    let base = original.text("slug").unwrap_or("copy");
    for number in 1..=MOST_COPIES {
        let address = if number == 1 { format!("{base}-copy") } else { format!("{base}-copy-{number}") };
        let taken = Where::new()
            .eq("site", original.value("site").cloned().unwrap_or(Value::Null))
            .eq("slug", address.as_str())
            .eq("language", original.value("language").cloned().unwrap_or(Value::Null));
        if cx.count(path, &taken)? == 0 {
            return Ok(address);
        }
    }
    Err(Problem::field("slug", "unique", "There are too many copies already; give the new one an address."))
}
