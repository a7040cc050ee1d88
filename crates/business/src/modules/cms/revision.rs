//! Revisions: what a page or post said after each of its changes, and going back to one.

use serde_json::json;

use crate::define::*;
use crate::modules::text_of;

/// The fields that a revision keeps, besides the title.
const KEPT: [&str; 6] = ["slug", "language", "body", "excerpt", "seo", "template"];

/// Whether the words differ, so that there is something to keep.
pub(super) fn differs(before: &Record, after: &Record) -> bool {
    before.title() != after.title() || KEPT.iter().any(|field| before.value(field) != after.value(field))
}

/// The revisions' field that names this record.
fn owner_field(page: &Record) -> &'static str {
    if page.resource().path == "cms/posts" { "post" } else { "page" }
}

/// Keeps what the record says now.
pub(super) fn snapshot(cx: &mut Cx<'_, '_>, page: &mut Record) -> Result<()> {
    let owner = owner_field(page);
    let json = page.to_json()?;
    let mut kept = json!({
        "title": page.title(),
        "revision": page.int("revision"),
        owner: text_of(Some(page.id())),
        "workspace": text_of(page.workspace()),
    });
    for field in KEPT {
        kept[field] = json[field].clone();
    }
    cx.create("cms/revisions", &kept)?;
    Ok(())
}

pub(super) fn snapshot_changed(cx: &mut Cx<'_, '_>, before: &Record, page: &mut Record) -> Result<()> {
    if before.int("revision") == page.int("revision") { Ok(()) } else { snapshot(cx, page) }
}

/// Takes the words of an earlier revision; address and language stay, because others may link to them.
pub(super) fn restore(cx: &mut Cx<'_, '_>, page: &mut Record, input: &Input) -> Result<()> {
    let owner = owner_field(page);
    let wanted = input.int("revision").unwrap_or(0);
    let which = Where::new().eq(owner, page.id()).eq("revision", wanted).limit(1);
    let Some(kept) = cx.select("cms/revisions", &which)?.into_iter().next() else {
        return Err(Problem::field("revision", "does_not_exist", "There is no such revision."));
    };
    page.set("title", kept.title());
    for field in ["body", "excerpt", "seo", "template"] {
        page.set(field, kept.value(field).cloned().unwrap_or(Value::Null));
    }
    // The input was written over the number of the newest revision; going back is a change like any other.
    let newest = page.original().and_then(|before| before.int("revision")).unwrap_or(0);
    page.set("revision", newest + 1);
    Ok(())
}

pub(super) fn snapshot_restored(cx: &mut Cx<'_, '_>, page: &mut Record, _: &Input) -> Result<()> {
    snapshot(cx, page)
}
