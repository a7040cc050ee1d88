//! Making a record.

use std::sync::Arc;

use loopd_kernel::Tenant;
use loopd_store::Value;
use loopd_types::{Problem, Result, Uuid};
use serde_json::Value as Json;

use super::body::{By, Mode, fill};
use super::cx::Cx;
use super::read;
use super::record::Record;
use super::runtime::ResourceRuntime;
use super::save::{insert, set_initial_status, settle, sum_up};
use crate::define::Rule;
use crate::define::base::{
    COMPANY, CREATED_AT, CREATED_BY, DATA, DESCRIPTION, ID, TAGS, TITLE, UPDATED_AT, UPDATED_BY, VERSION, WORKSPACE,
};

/// A record that was written, and its JSON.
pub struct Written {
    pub record: Record,
    pub json: Vec<u8>,
}

/// Makes a record from a client's body. Permission was checked at the door.
///
/// # Errors
/// 400 `validation_error`; 405 when the resource cannot be written to; whatever its rules refuse.
pub fn create(cx: &mut Cx<'_, '_>, runtime: &Arc<ResourceRuntime>, body: &Json) -> Result<Written> {
    if runtime.resource.read_only {
        return Err(Problem::new(
            loopd_types::Kind::MethodNotAllowed,
            "method_not_allowed",
            "These records are read-only.",
        ));
    }
    create_as(cx, runtime, body, By::Client)
}

pub(crate) fn create_by_rule(cx: &mut Cx<'_, '_>, runtime: &Arc<ResourceRuntime>, body: &Json) -> Result<Record> {
    Ok(create_as(cx, runtime, body, By::Rule)?.record)
}

fn create_as(cx: &mut Cx<'_, '_>, runtime: &Arc<ResourceRuntime>, body: &Json, by: By) -> Result<Written> {
    let mut record = Record::blank(runtime.clone());
    record.values[COMPANY] = Value::from(cx.tenant.company);
    record.values[ID] = Value::Uuid(cx.new_id());
    record.values[WORKSPACE] = Value::from(own_workspace(cx.tenant));
    record.values[TITLE] = Value::from("");
    record.values[DESCRIPTION] = Value::from("");
    record.values[DATA] = Value::Json("{}".into());
    record.values[TAGS] = Value::Json("[]".into());
    record.values[CREATED_BY] = Value::from(cx.user());
    record.values[UPDATED_BY] = Value::from(cx.user());
    record.values[CREATED_AT] = Value::from(cx.now());
    record.values[UPDATED_AT] = Value::from(cx.now());
    record.values[VERSION] = Value::Int(1);
    set_initial_status(&mut record);
    fill(cx, &mut record, body, Mode::Create, by)?;
    let hooks = &runtime.resource.hooks;
    if let Some(Rule { run: Some(hook), .. }) = hooks.before_create {
        hook(cx, &mut record)?;
    }
    settle(&mut record)?;
    if let Some(Rule { run: Some(check), .. }) = hooks.check {
        check(cx, &mut record)?;
    }
    let json = insert(cx, &mut record)?;
    record.lines_changed = false;
    let mut json = json;
    if let Some(Rule { run: Some(hook), .. }) = hooks.after_create {
        hook(cx, &mut record)?;
        // whatever the hook did to the record, directly or by way of others, belongs into the answer
        if let Some(fresh) = read::find(cx.tx, runtime, cx.tenant.company, record.id(), false)? {
            json = fresh.render()?;
            record = fresh;
        }
    }
    sum_up(cx, None, &record)?;
    Ok(Written { record, json })
}

/// The workspace of the header; else the only one that the caller may use. Who may use several, or all, makes records of the whole company.
fn own_workspace(tenant: &Tenant) -> Option<Uuid> {
    tenant.workspace.or(match tenant.workspace_limit() {
        Some([only]) => Some(*only),
        _ => None,
    })
}
