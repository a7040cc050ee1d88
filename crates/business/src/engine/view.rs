//! One record as JSON, and its history.

use std::sync::Arc;

use loopd_kernel::Tenant;
use loopd_store::{Reader, params};
use loopd_types::{Problem, Result, Uuid};
use loopd_web::{PageWriter, Query, page};

use super::Engine;
use super::condition::Where;
use super::expand::Expansions;
use super::list::write_shown;
use super::read;
use super::record::Record;
use super::request::Show;
use super::runtime::ResourceRuntime;
use crate::define::render::{integer, string, uuid};

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
        "SELECT COUNT(*) FROM audit_logs WHERE company_id = $1 AND target_id = $2",
        &params![tenant.company, &target],
        |row| row.i64(0),
    )?;
    let count = u64::try_from(count).unwrap_or(0);
    let (page, offset) = page::resolve(request, count)?;
    let mut writer = PageWriter::new(base, query, page, request.size, count);
    reader.each(
        "SELECT id, at, action, actor_user_id, app_id, reason, changes FROM audit_logs \
         WHERE company_id = $1 AND target_id = $2 ORDER BY id DESC LIMIT $3 OFFSET $4",
        &params![tenant.company, &target, i64::from(request.size), i64::try_from(offset).unwrap_or(i64::MAX)],
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

/// `[{"name", "to", "help", "input"}]`: what this caller may do with the record now.
pub fn render_actions(runtime: &ResourceRuntime, tenant: &Tenant, record: &Record) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    out.extend_from_slice(b"{\"status\":");
    string(&mut out, record.status());
    out.extend_from_slice(b",\"version\":");
    integer(&mut out, record.version());
    out.extend_from_slice(b",\"actions\":[");
    for (count, action) in super::act::allowed(runtime, tenant, record).into_iter().enumerate() {
        if count > 0 {
            out.push(b',');
        }
        let (properties, required) = crate::define::schema::object(&action.input, crate::define::schema::Use::Write);
        let shown = serde_json::json!({
            "name": action.name,
            "to": action.to,
            "help": action.help,
            "input": {"type": "object", "properties": properties, "required": required},
        });
        out.extend_from_slice(shown.to_string().as_bytes());
    }
    out.extend_from_slice(b"]}");
    out
}
