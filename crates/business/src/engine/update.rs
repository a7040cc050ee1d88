//! Changing a record, or making it when a client's own id is not known yet.

use std::sync::Arc;

use loopd_store::Value;
use loopd_types::{Kind, Problem, Result, Uuid};
use serde_json::Value as Json;

use super::body::{By, Mode, fill};
use super::create::{Written, create};
use super::cx::Cx;
use super::read;
use super::record::Record;
use super::runtime::ResourceRuntime;
use super::save::{Told, finish_update};
use crate::define::Kind::Text;
use crate::define::base::EXTERNAL_ID_MAX;
use crate::define::parse::{not_blank, parse};

/// Which version a client believes to change (`If-Match`); `None` when it does not care.
pub type Expected = Option<i64>;

/// Changes a record by a client's body: all required fields when `whole` (PUT), only those given otherwise (PATCH).
///
/// # Errors
/// 404; 403 `workspace_access_denied`; 412 `precondition_failed` when the version is another; 400 `validation_error`; 405; whatever rules refuse.
pub fn update(
    cx: &mut Cx<'_, '_>,
    runtime: &Arc<ResourceRuntime>,
    id: Uuid,
    body: &Json,
    whole: bool,
    expected: Expected,
) -> Result<Written> {
    require_changeable(runtime)?;
    let before = find_changeable(cx, runtime, id)?;
    require_version(&before, expected)?;
    let mode = if whole { Mode::Put } else { Mode::Patch };
    update_as(cx, before, body, mode, By::Client)
}

/// Makes or changes the record that has this `external_id`; the answer says whether it was made.
///
/// # Errors
/// As [`create`] and [`update`]; 400 on `external_id` when it is blank or too long.
pub fn upsert(
    cx: &mut Cx<'_, '_>,
    runtime: &Arc<ResourceRuntime>,
    external_id: &str,
    body: &Json,
    expected: Expected,
) -> Result<(Written, bool)> {
    // read as a body's is: what is looked up is what would be stored
    let external_id = match parse(&Text { max: EXTERNAL_ID_MAX }, &Json::from(external_id), None) {
        Ok(Value::Text(text)) if !text.is_empty() => text,
        checked => {
            let error = checked.err().unwrap_or_else(not_blank);
            return Err(Problem::field("external_id", error.code, error.message));
        }
    };
    let Json::Object(fields) = body else { return create(cx, runtime, body).map(|written| (written, true)) };
    let mut fields = fields.clone();
    fields.insert("external_id".into(), Json::from(external_id.as_str()));
    let body = Json::Object(fields);
    // two clients with the same new id: the second waits here and then finds the first one's record
    cx.tx.lock(&format!("{}:{}:{external_id}", runtime.table, cx.tenant.company.0))?;
    let found = read::find_by_external_id(cx.tx, runtime, cx.tenant.company, &external_id, true)?;
    match found {
        Some(before) => {
            require_changeable(runtime)?;
            if !read::may_find(cx.tx, cx.tenant, &before)? {
                return Err(Problem::not_found());
            }
            cx.tenant.require(&runtime.permissions.update)?;
            read::require_may_change(cx.tenant, &before)?;
            require_version(&before, expected)?;
            update_as(cx, before, &body, Mode::Put, By::Client).map(|written| (written, false))
        }
        None if expected.is_some() => Err(stale()),
        None => {
            cx.tenant.require(&runtime.permissions.create)?;
            create(cx, runtime, &body).map(|written| (written, true))
        }
    }
}

pub(crate) fn update_by_rule(
    cx: &mut Cx<'_, '_>,
    runtime: &Arc<ResourceRuntime>,
    id: Uuid,
    body: &Json,
) -> Result<Record> {
    let before = read::find(cx.tx, runtime, cx.tenant.company, id, true)?.ok_or_else(Problem::not_found)?;
    Ok(update_as(cx, before, body, Mode::Patch, By::Rule)?.record)
}

fn update_as(cx: &mut Cx<'_, '_>, before: Record, body: &Json, mode: Mode, by: By) -> Result<Written> {
    let mut record = before.clone();
    record.original = Some(Arc::new(before.clone()));
    fill(cx, &mut record, body, mode, by)?;
    finish_update(cx, &before, &mut record, &Told { audit: "update", event: "updated" })?;
    let record = if record.runtime.resource.hooks.after_update.is_some() {
        read::find(cx.tx, &record.runtime, cx.tenant.company, record.id(), false)?.unwrap_or(record)
    } else {
        record
    };
    let json = record.render()?;
    Ok(Written { record, json })
}

/// The living record, locked, if this caller may see it.
pub(crate) fn find_visible(cx: &mut Cx<'_, '_>, runtime: &Arc<ResourceRuntime>, id: Uuid) -> Result<Record> {
    let found = read::find(cx.tx, runtime, cx.tenant.company, id, true)?;
    read::found_by(cx.tx, cx.tenant, found)?.ok_or_else(Problem::not_found)
}

/// As [`find_visible`], if they may change it too.
///
/// # Errors
/// 404; 403 `workspace_access_denied` for a record of the whole company and a caller who is limited to workspaces.
pub(crate) fn find_changeable(cx: &mut Cx<'_, '_>, runtime: &Arc<ResourceRuntime>, id: Uuid) -> Result<Record> {
    let found = find_visible(cx, runtime, id)?;
    read::require_may_change(cx.tenant, &found)?;
    Ok(found)
}

pub(crate) fn require_version(record: &Record, expected: Expected) -> Result<()> {
    match expected {
        Some(version) if version != record.version() => Err(stale()),
        _ => Ok(()),
    }
}

fn stale() -> Problem {
    Problem::new(
        Kind::PreconditionFailed,
        "precondition_failed",
        "The record was changed since you read it. Read it again, then repeat the change.",
    )
}

pub(crate) fn require_changeable(runtime: &ResourceRuntime) -> Result<()> {
    if runtime.resource.append_only || runtime.resource.read_only {
        let words = if runtime.resource.read_only {
            "These records are read-only."
        } else {
            "These records can be added to but not changed."
        };
        return Err(Problem::new(Kind::MethodNotAllowed, "method_not_allowed", words));
    }
    Ok(())
}

/// Reads `If-Match`: `"3"`, `W/"3"`, `*` or nothing.
///
/// # Errors
/// 412 for a tag that is none of ours: it cannot match.
pub fn expected_version(if_match: Option<&str>) -> Result<Expected> {
    match if_match.map(str::trim) {
        None | Some("" | "*") => Ok(None),
        Some(tag) => {
            let bare = tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"');
            bare.parse().map(Some).map_err(|_| stale())
        }
    }
}
