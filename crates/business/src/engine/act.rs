//! Life-cycle actions: the allowed moves, their inputs and rules, and what is allowed now.

use std::sync::Arc;

use loopd_kernel::Tenant;
use loopd_types::{Currency, Problem, Result, Uuid};
use serde_json::Value as Json;

use super::body::By;
use super::create::Written;
use super::cx::{Cx, company_currency, runtime};
use super::delete;
use super::input::Input;
use super::read;
use super::record::{Fields, Record};
use super::runtime::ResourceRuntime;
use super::save::{Told, settle, sum_up, write_changes};
use super::update::{Expected, find_changeable, require_version};
use crate::define::parse::{no_such_record, required};
use crate::define::{Action, Field, Kind, Rule};

/// Runs an action on a record. Permission was checked at the door.
///
/// # Errors
/// 404; 403 `workspace_access_denied`; 412; 409 `invalid_transition` with `{from, action, allowed}`; 400 on inputs and on fields that the action needs; whatever its rules refuse.
pub fn act(
    cx: &mut Cx<'_, '_>,
    runtime: &Arc<ResourceRuntime>,
    id: Uuid,
    action: &str,
    body: &Json,
    expected: Expected,
) -> Result<Written> {
    let before = match find_changeable(cx, runtime, id) {
        // an action of this name shares its address with the engine's own restore
        Err(problem) if action == "restore" && problem.status() == 404 => {
            cx.tenant.require(&runtime.permissions.delete)?;
            return delete::restore(cx, runtime, id);
        }
        found => found?,
    };
    require_version(&before, expected)?;
    let record = act_on(cx, before, action, body, By::Client)?;
    let json = record.render()?;
    Ok(Written { record, json })
}

pub(crate) fn act_by_rule(
    cx: &mut Cx<'_, '_>,
    runtime: &Arc<ResourceRuntime>,
    id: Uuid,
    action: &str,
    body: &Json,
) -> Result<Record> {
    let before = read::find(cx.tx, runtime, cx.tenant.company, id, true)?.ok_or_else(Problem::not_found)?;
    act_on(cx, before, action, body, By::Rule)
}

fn act_on(cx: &mut Cx<'_, '_>, before: Record, action: &str, body: &Json, by: By) -> Result<Record> {
    let definition = before.runtime.clone();
    let action = definition.resource.find_action(action).ok_or_else(Problem::not_found)?;
    if !action.may_start_in(before.status()) {
        return Err(invalid_transition(&definition, &before, action));
    }
    let mut record = before.clone();
    record.original = Some(Arc::new(before.clone()));
    let input = check_input(cx, &record, action, body, by)?;
    require_needs(&record, action, &input)?;
    run(action.guard.as_ref(), cx, &mut record, &input)?;
    take_inputs(&mut record, action, &input);
    for field in &action.stamps {
        record.set(field, cx.now());
    }
    if let Some(first) = action.to.first()
        && !action.to.iter().any(|to| to == record.status())
    {
        record.set_status(first);
    }
    run(action.effect.as_ref(), cx, &mut record, &input)?;
    let stays = action.to.is_empty() && record.status() == before.status();
    if !stays && !action.to.iter().any(|to| to == record.status()) {
        let (path, name, status) = (&definition.path, &action.name, record.status());
        return Err(Problem::internal(format!("{path}/{name} ended in the state {status}, which it does not declare")));
    }
    settle(&mut record)?;
    if let Some(Rule { run: Some(check), .. }) = definition.resource.hooks.check {
        check(cx, &mut record)?;
    }
    let event = action.event_name();
    let is_written = write_changes(cx, &before, &mut record, &Told { audit: &action.name, event: &event })?;
    if !is_written {
        // An action that changes nothing in the record (a reminder) is told all the same.
        let json = record.to_json()?;
        cx.emit(&record, &event, &json)?;
    }
    record.lines_changed = false;
    sum_up(cx, Some(&before), &record)?;
    if action.after.is_some() {
        run(action.after.as_ref(), cx, &mut record, &input)?;
    }
    if action.after.is_some() || !definition.parents.is_empty() {
        let fresh = read::find_any(cx.tx, &definition, cx.tenant.company, record.id(), false)?;
        record = fresh.unwrap_or(record);
    }
    Ok(record)
}

fn run(
    rule: Option<&Rule<crate::define::rule::ActionFn>>,
    cx: &mut Cx<'_, '_>,
    record: &mut Record,
    input: &Input,
) -> Result<()> {
    match rule.and_then(|rule| rule.run) {
        Some(run) => run(cx, record, input),
        None => Ok(()),
    }
}

fn invalid_transition(definition: &ResourceRuntime, record: &Record, action: &Action) -> Problem {
    let allowed: Vec<&str> = moves(definition, record.status()).map(|action| action.name.as_str()).collect();
    let message = format!(
        "The {} cannot {} while it is {}.",
        definition.resource.singular.replace('-', " "),
        action.name.replace('-', " "),
        record.status().replace('_', " ")
    );
    Problem::conflict("invalid_transition", message)
        .with_extra("from", record.status())
        .with_extra("action", action.name.as_str())
        .with_extra("allowed", allowed)
}

fn moves<'r>(definition: &'r ResourceRuntime, status: &str) -> impl Iterator<Item = &'r Action> {
    definition.resource.actions.iter().filter(move |action| action.may_start_in(status))
}

/// The inputs, checked, and that the records they name are there.
fn check_input(cx: &mut Cx<'_, '_>, record: &Record, action: &Action, body: &Json, by: By) -> Result<Input> {
    let currency = record.runtime.place("currency").and_then(|place| Currency::parse(record.text_at(place)));
    let currency = match currency {
        Some(currency) => Some(currency),
        None => company_currency(cx.tenant).ok(),
    };
    let input = Input::check(&action.input, body, currency)?;
    check_links(cx, &action.input, &input, by)?;
    Ok(input)
}

/// That the records and users which inputs name are this company's, and the records such as a client who names them may see.
pub(crate) fn check_links(cx: &mut Cx<'_, '_>, fields: &[Field], input: &Input, by: By) -> Result<()> {
    let mut problem = Problem::validation();
    for field in fields {
        let missing = match &field.kind {
            Kind::Reference { target } | Kind::References { target } => {
                let ids: Vec<Uuid> = input.id_in(&field.name).into_iter().chain(input.ids_in(&field.name)).collect();
                if ids.is_empty() {
                    continue;
                }
                let found = read::existing(cx.tx, runtime(cx.engine, target)?, cx.tenant, &ids, by)?;
                ids.into_iter().find(|id| !found.contains(id))
            }
            Kind::User => match input.id_in(&field.name) {
                Some(user) if !read::is_member(cx.tx, cx.tenant.company, user)? => Some(user),
                _ => None,
            },
            _ => continue,
        };
        if let Some(id) = missing {
            let error = no_such_record(id);
            problem.add_field(&field.name, error.code, error.message);
        }
    }
    if problem.has_fields() { Err(problem) } else { Ok(()) }
}

fn require_needs(record: &Record, action: &Action, input: &Input) -> Result<()> {
    let mut problem = Problem::validation();
    for field in &action.needs {
        let is_sent = action.input.iter().any(|f| f.written_to() == Some(field.as_str()) && input.has(&f.name));
        if !record.has(field) && !is_sent {
            let error = required();
            problem.add_field(field, error.code, error.message);
        }
    }
    if problem.has_fields() { Err(problem) } else { Ok(()) }
}

/// Writes inputs into the record's fields of the same name, or where they say they go; those that are for the rules only stay out.
fn take_inputs(record: &mut Record, action: &Action, input: &Input) {
    for (name, value) in input.values() {
        let Some(field) = action.input.iter().find(|field| field.name == *name) else { continue };
        let Some(to) = field.written_to() else { continue };
        let target = record.runtime.place(to);
        if let Some(place) = target
            && (field.goes_to.is_some()
                || record.runtime.field_at(place).is_some_and(|f| f.kind.stored() == field.kind.stored()))
        {
            record.values[place] = value.clone();
        }
    }
}

/// Whether this caller may run an action on this record now, as far as its state and their rights decide it.
///
/// # Errors
/// 403 `permission_denied`, `workspace_access_denied`; 409 `invalid_transition`.
pub fn require_ready(runtime: &ResourceRuntime, tenant: &Tenant, record: &Record, action: &Action) -> Result<()> {
    if !may_act(runtime, tenant, action) {
        return Err(Problem::permission_denied());
    }
    read::require_may_change(tenant, record)?;
    if !action.may_start_in(record.status()) {
        return Err(invalid_transition(runtime, record, action));
    }
    Ok(())
}

/// Whether the caller's role and key allow an action: by its own permission, or by the one to update when it is a routine one and not denied
/// by name. The door asks the same.
pub fn may_act(runtime: &ResourceRuntime, tenant: &Tenant, action: &Action) -> bool {
    let permission = runtime.action_permission(&action.name);
    if action.routine { tenant.may_either(&permission, &runtime.permissions.update) } else { tenant.may(&permission) }
}
