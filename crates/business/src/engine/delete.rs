//! Deleting a record softly, and bringing it back.

use std::sync::Arc;

use loopd_kernel::counter;
use loopd_types::{Problem, Result, Uuid};

use super::create::Written;
use super::cx::Cx;
use super::read;
use super::record::Record;
use super::runtime::ResourceRuntime;
use super::save::{Told, set_deleted, sum_up, write_changes};
use super::update::{Expected, find_changeable, require_changeable, require_version};
use crate::define::Rule;

/// Hides a record from lists and gets; `restore` brings it back.
///
/// # Errors
/// 404; 403 `workspace_access_denied`; 412; 405 for append-only and read-only resources; whatever the rules refuse.
pub fn delete(cx: &mut Cx<'_, '_>, runtime: &Arc<ResourceRuntime>, id: Uuid, expected: Expected) -> Result<()> {
    require_changeable(runtime)?;
    let before = find_changeable(cx, runtime, id)?;
    require_version(&before, expected)?;
    delete_found(cx, before)
}

pub(crate) fn delete_by_rule(cx: &mut Cx<'_, '_>, runtime: &Arc<ResourceRuntime>, id: Uuid) -> Result<()> {
    let before = read::find(cx.tx, runtime, cx.tenant.company, id, true)?.ok_or_else(Problem::not_found)?;
    delete_found(cx, before)
}

fn delete_found(cx: &mut Cx<'_, '_>, before: Record) -> Result<()> {
    let mut record = before.clone();
    let runtime = record.runtime.clone();
    let hooks = &runtime.resource.hooks;
    if let Some(Rule { run: Some(hook), .. }) = hooks.before_delete {
        hook(cx, &mut record)?;
    }
    set_deleted(cx, &mut record, true);
    write_changes(cx, &before, &mut record, &Told { audit: "delete", event: "deleted" })?;
    counter::shift(cx.tx, cx.tenant.company, &runtime.counter, -1, 1)?;
    if let Some(Rule { run: Some(hook), .. }) = hooks.after_delete {
        hook(cx, &mut record)?;
    }
    sum_up(cx, Some(&before), &record)
}

/// Brings a deleted record back. One that is not deleted is answered as it is.
///
/// # Errors
/// 404; 403 `workspace_access_denied`; 400 when another record has taken its unique values meanwhile; whatever the resource's check refuses.
pub fn restore(cx: &mut Cx<'_, '_>, runtime: &Arc<ResourceRuntime>, id: Uuid) -> Result<Written> {
    require_changeable(runtime)?;
    let found = read::find_any(cx.tx, runtime, cx.tenant.company, id, true)?;
    let before = read::found_by(cx.tx, cx.tenant, found)?.ok_or_else(Problem::not_found)?;
    read::require_may_change(cx.tenant, &before)?;
    let mut record = before.clone();
    if before.is_deleted() {
        set_deleted(cx, &mut record, false);
        if let Some(Rule { run: Some(check), .. }) = runtime.resource.hooks.check {
            check(cx, &mut record)?;
        }
        write_changes(cx, &before, &mut record, &Told { audit: "restore", event: "restored" })?;
        counter::shift(cx.tx, cx.tenant.company, &runtime.counter, 1, -1)?;
        if let Some(Rule { run: Some(hook), .. }) = runtime.resource.hooks.after_restore {
            hook(cx, &mut record)?;
        }
        sum_up(cx, Some(&before), &record)?;
    }
    let json = record.render()?;
    Ok(Written { record, json })
}
