//! One record as JSON, and its history.

use std::sync::Arc;

use loopd_kernel::Tenant;
use loopd_kernel::audit::OF_RECORD;
use loopd_store::{Reader, params};
use loopd_types::{Problem, Result, Uuid};
use loopd_web::{PageWriter, Query, page};
use serde_json::json;

use super::condition::Where;
use super::expand::Expansions;
use super::list::write_shown;
use super::read;
use super::record::Record;
use super::request::Show;
use super::runtime::ResourceRuntime;
use super::{Engine, Registry, act};
use crate::define::render::{string, uuid};
use crate::define::{Custom, CustomAccess, Field, schema};

/// A record's JSON and the version that its ETag names.
pub struct Viewed {
    pub json: Vec<u8>,
    pub version: i64,
    /// Whether the JSON is the whole record and nothing else, so that the version tells it apart.
    pub is_whole: bool,
}

/// The living record, if this caller may see it.
///
/// # Errors
/// 404.
pub fn find_visible(
    reader: &mut Reader<'_>,
    runtime: &Arc<ResourceRuntime>,
    tenant: &Tenant,
    id: Uuid,
) -> Result<Record> {
    let found = read::find(reader, runtime, tenant.company, id, false)?;
    read::found_by(reader, tenant, found)?.ok_or_else(Problem::not_found)
}

/// The living record as JSON.
///
/// # Errors
/// 404.
pub fn view(
    reader: &mut Reader<'_>,
    engine: &Engine,
    runtime: &Arc<ResourceRuntime>,
    tenant: &Arc<Tenant>,
    id: Uuid,
    show: &Show,
) -> Result<Viewed> {
    let record = find_visible(reader, runtime, tenant, id)?;
    let is_whole = show.is_whole();
    let json = if is_whole {
        record.render()?
    } else {
        let tenants = std::slice::from_ref(tenant);
        let expansions = Expansions::load(reader, engine, tenants, std::slice::from_ref(&record), &show.expand)?;
        let mut json = Vec::with_capacity(1_024);
        write_shown(&record, show, &expansions, &mut json)?;
        json
    };
    Ok(Viewed { json, version: record.version(), is_whole })
}

/// What is shown of the first record that matches.
///
/// # Errors
/// 404 when none does.
pub fn view_first(
    reader: &mut Reader<'_>,
    engine: &Engine,
    runtime: &Arc<ResourceRuntime>,
    tenant: &Arc<Tenant>,
    which: &Where,
    show: &Show,
) -> Result<Vec<u8>> {
    let found = read::select(reader, runtime, tenant.company, which)?;
    let mut record = found.into_iter().next().ok_or_else(Problem::not_found)?;
    read::load_lines(reader, &mut record)?;
    let tenants = std::slice::from_ref(tenant);
    let expansions = Expansions::load(reader, engine, tenants, std::slice::from_ref(&record), &show.expand)?;
    let mut json = Vec::with_capacity(1_024);
    write_shown(&record, show, &expansions, &mut json)?;
    Ok(json)
}

/// What happened to a record, newest first: `{id, at, action, user, app, reason, changes}`. Deleted records have a history too.
///
/// # Errors
/// 404; 404 beyond the last page.
pub fn history(
    reader: &mut Reader<'_>,
    runtime: &Arc<ResourceRuntime>,
    tenant: &Tenant,
    id: Uuid,
    (base, query): (&str, &Query),
) -> Result<Vec<u8>> {
    let request = query.page()?;
    let found = read::find_any(reader, runtime, tenant.company, id, false)?;
    read::found_by(reader, tenant, found)?.ok_or_else(Problem::not_found)?;
    let target = id.to_string();
    let count = reader.one(
        &format!("SELECT COUNT(*) FROM audit_logs WHERE {OF_RECORD}"),
        &params![tenant.company, &target, id],
        |row| row.i64(0),
    )?;
    let count = u64::try_from(count).unwrap_or(0);
    let (page, offset) = page::resolve(request, count)?;
    let mut writer = PageWriter::new(base, query, page, request.size, count);
    reader.each(
        &format!(
            "SELECT id, at, action, actor_user_id, app_id, reason, changes FROM audit_logs \
             WHERE {OF_RECORD} ORDER BY id DESC LIMIT $4 OFFSET $5"
        ),
        &params![tenant.company, &target, id, i64::from(request.size), i64::try_from(offset).unwrap_or(i64::MAX)],
        |row| {
            let out = writer.row();
            out.extend_from_slice(b"{\"id\":");
            uuid(out, row.uuid(0)?);
            out.extend_from_slice(b",\"at\":\"");
            row.time(1)?.write_to(out);
            out.extend_from_slice(b"\",\"action\":");
            string(out, row.text(2)?);
            out.extend_from_slice(b",\"user\":");
            match row.opt_uuid(3)? {
                Some(user) => uuid(out, user),
                None => out.extend_from_slice(b"null"),
            }
            for (key, at) in [(&b",\"app\":"[..], 4), (&b",\"reason\":"[..], 5)] {
                out.extend_from_slice(key);
                match row.opt_text(at)? {
                    Some(text) => string(out, text),
                    None => out.extend_from_slice(b"null"),
                }
            }
            out.extend_from_slice(b",\"changes\":");
            out.extend_from_slice(row.opt_json(6)?.unwrap_or("null").as_bytes());
            out.push(b'}');
            Ok(())
        },
    )?;
    Ok(writer.finish())
}

/// What this caller may do with the record now, `actions` of `{name, to, help, input}`, and what not, `unavailable` of
/// `{name, code, reason}`: life-cycle actions and the module's own operations on a record alike.
pub fn render_actions(registry: &Registry, runtime: &ResourceRuntime, tenant: &Tenant, record: &Record) -> Vec<u8> {
    let (mut actions, mut unavailable) = (Vec::new(), Vec::new());
    let mut sort = |name: &str, to: &[String], help: &str, input: &[Field], is_ready: Result<()>| match is_ready {
        Ok(()) => {
            let (properties, required) = schema::object(input, schema::Use::Write);
            let input = json!({"type": "object", "properties": properties, "required": required});
            actions.push(json!({"name": name, "to": to, "help": help, "input": input}));
        }
        Err(problem) => unavailable.push(json!({"name": name, "code": code(&problem), "reason": reason(&problem)})),
    };
    for action in &runtime.resource.actions {
        let is_ready = act::require_ready(runtime, tenant, record, action);
        sort(&action.name, &action.to, &action.help, &action.input, is_ready);
    }
    let module = registry.modules().iter().find(|module| module.slug == runtime.module);
    for custom in module.into_iter().flat_map(|module| &module.operations) {
        if let Some(verb) = custom.verb_on(&runtime.resource.slug) {
            let help = if custom.help.is_empty() { &custom.summary } else { &custom.help };
            sort(verb, &[], help, &custom.input, require_custom(runtime, tenant, record, custom));
        }
    }
    let shown =
        json!({"status": record.status(), "version": record.version(), "actions": actions, "unavailable": unavailable});
    shown.to_string().into_bytes()
}

fn require_custom(runtime: &ResourceRuntime, tenant: &Tenant, record: &Record, custom: &Custom) -> Result<()> {
    if let CustomAccess::Permission(permission) = &custom.access {
        tenant.require(&format!("{}.{permission}", runtime.module))?;
    }
    custom.ready.map_or(Ok(()), |ready| ready(tenant, record))
}

/// The first complaint about a field says more than "the input is invalid".
fn first_error(problem: &Problem) -> Option<&loopd_types::FieldError> {
    problem.fields().iter().find_map(|(_, errors)| errors.first())
}

fn code(problem: &Problem) -> &str {
    first_error(problem).map_or(problem.code(), |error| &error.code)
}

fn reason(problem: &Problem) -> &str {
    first_error(problem).map_or(problem.message(), |error| &error.message)
}
