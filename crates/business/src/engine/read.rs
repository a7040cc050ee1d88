//! Reading records by key or condition, for rules and for the doors.

use std::sync::Arc;

use loopd_kernel::Tenant;
use loopd_store::{Reader, Value, dialect, params};
use loopd_types::{CompanyId, Problem, Result, Uuid};

use super::body::By;
use super::condition::{Where, bind};
use super::record::{Line, Record};
use super::runtime::ResourceRuntime;

/// Records that a rule gets when it sets no limit.
const DEFAULT_LIMIT: usize = 1_000;

/// Whether a caller may see a record of this workspace: rows without one belong to the whole company.
pub(crate) fn is_visible(tenant: &Tenant, workspace: Option<Uuid>) -> bool {
    match (tenant.workspace_limit(), workspace) {
        (None, _) | (_, None) => true,
        (Some(limit), Some(workspace)) => limit.contains(&workspace),
    }
}

/// Whether a caller who finds a record may change it: who is limited to workspaces leaves alone what belongs to the whole company. Where a
/// record has an audience of its own (a channel's members, whoever asked), that decides.
pub(crate) fn may_change(tenant: &Tenant, record: &Record) -> bool {
    record.workspace().is_some() || !must_name_workspace(tenant, &record.runtime)
}

/// Whether this caller's records of the resource must be in a workspace.
pub(crate) fn must_name_workspace(tenant: &Tenant, runtime: &ResourceRuntime) -> bool {
    tenant.workspace_limit().is_some() && runtime.audience.is_none()
}

/// # Errors
/// 403 `workspace_access_denied`.
pub(crate) fn require_may_change(tenant: &Tenant, record: &Record) -> Result<()> {
    if may_change(tenant, record) {
        return Ok(());
    }
    Err(Problem::forbidden(
        "workspace_access_denied",
        "The record belongs to the whole company. You may change records of your workspaces only.",
    ))
}

/// Whether a caller finds a record in hand: its workspace and its audience.
pub(crate) fn may_find(reader: &mut Reader<'_>, tenant: &Tenant, record: &Record) -> Result<bool> {
    let runtime = &record.runtime;
    if !is_visible(tenant, record.workspace()) {
        return Ok(false);
    }
    let mut params = params![tenant.company, record.id()].to_vec();
    let condition = runtime.audience.as_ref().and_then(|who| who.condition(reader.engine(), tenant, &mut params));
    let Some(condition) = condition else { return Ok(true) };
    let sql = format!("SELECT 1 FROM {} WHERE company_id = $1 AND id = $2 AND {condition}", runtime.table);
    Ok(reader.first(&sql, &params, |_| Ok(()))?.is_some())
}

/// A record in hand, if the caller finds it.
pub(crate) fn found_by(reader: &mut Reader<'_>, tenant: &Tenant, record: Option<Record>) -> Result<Option<Record>> {
    match record {
        Some(record) if may_find(reader, tenant, &record)? => Ok(Some(record)),
        _ => Ok(None),
    }
}

/// The living record with its lines; locked until the transaction ends when `lock`.
pub(crate) fn find(
    reader: &mut Reader<'_>,
    runtime: &Arc<ResourceRuntime>,
    company: CompanyId,
    id: Uuid,
    lock: bool,
) -> Result<Option<Record>> {
    one(reader, runtime, &runtime.sql.one, &params![company, id], lock)
}

/// As [`find`], deleted ones too.
pub(crate) fn find_any(
    reader: &mut Reader<'_>,
    runtime: &Arc<ResourceRuntime>,
    company: CompanyId,
    id: Uuid,
    lock: bool,
) -> Result<Option<Record>> {
    one(reader, runtime, &runtime.sql.any, &params![company, id], lock)
}

/// As [`find`], by the client's own id.
pub(crate) fn find_by_external_id(
    reader: &mut Reader<'_>,
    runtime: &Arc<ResourceRuntime>,
    company: CompanyId,
    external_id: &str,
    lock: bool,
) -> Result<Option<Record>> {
    one(reader, runtime, &runtime.sql.by_external_id, &params![company, external_id], lock)
}

fn one(
    reader: &mut Reader<'_>,
    runtime: &Arc<ResourceRuntime>,
    sql: &str,
    params: &[Value],
    lock: bool,
) -> Result<Option<Record>> {
    let locking;
    let lock_words = if lock { dialect::for_update(reader.engine()) } else { "" };
    let sql = if lock_words.is_empty() {
        sql
    } else {
        locking = format!("{sql}{lock_words}");
        &locking
    };
    let Some(mut record) = reader.first(sql, params, |row| Record::from_row(runtime, row))? else { return Ok(None) };
    load_lines(reader, &mut record)?;
    Ok(Some(record))
}

/// Loads the lines of a record that was read without them.
pub(crate) fn load_lines(reader: &mut Reader<'_>, record: &mut Record) -> Result<()> {
    if record.lines_loaded {
        return Ok(());
    }
    let (runtime, id) = (record.runtime.clone(), record.id());
    for (list, definition) in runtime.lines.iter().enumerate() {
        let params = [record.values[crate::define::base::COMPANY].clone(), Value::Uuid(id)];
        record.lines[list] = reader.query(&definition.select, &params, |row| Line::from_row(&runtime, list, row))?;
    }
    record.lines_loaded = true;
    Ok(())
}

/// Loads the lines of many records of one company in one statement a list.
pub(crate) fn load_many_lines(reader: &mut Reader<'_>, records: &mut [Record]) -> Result<()> {
    let Some(first) = records.first() else { return Ok(()) };
    let runtime = first.runtime.clone();
    let company = first.values[crate::define::base::COMPANY].clone();
    for (list, definition) in runtime.lines.iter().enumerate() {
        let mut params = vec![company.clone()];
        let markers: Vec<String> = records.iter().map(|record| bind(&mut params, Value::Uuid(record.id()))).collect();
        let sql = format!("{}({}) ORDER BY parent_id, position", definition.select_many, markers.join(", "));
        let owner_at = definition.columns.len();
        let rows =
            reader.query(&sql, &params, |row| Ok((row.uuid(owner_at)?, Line::from_row(&runtime, list, row)?)))?;
        for (owner, line) in rows {
            if let Some(record) = records.iter_mut().find(|record| record.id() == owner) {
                record.lines[list].push(line);
            }
        }
    }
    for record in records {
        record.lines_loaded = true;
    }
    Ok(())
}

/// The records that match, lines not loaded.
pub(crate) fn select(
    reader: &mut Reader<'_>,
    runtime: &Arc<ResourceRuntime>,
    company: CompanyId,
    which: &Where,
) -> Result<Vec<Record>> {
    let mut params = vec![Value::from(company)];
    let conditions = which.sql(runtime, reader.engine(), &mut params)?;
    let mut tail = which.tail(runtime)?;
    if !tail.contains(" LIMIT ") {
        tail.push_str(&format!(" LIMIT {DEFAULT_LIMIT}"));
    }
    let sql = format!("SELECT {} FROM {} WHERE company_id = $1{conditions}{tail}", runtime.sql.columns, runtime.table);
    Ok(reader.query(&sql, &params, |row| Record::from_row(runtime, row))?)
}

pub(crate) fn count(
    reader: &mut Reader<'_>,
    runtime: &ResourceRuntime,
    company: CompanyId,
    which: &Where,
) -> Result<i64> {
    let mut params = vec![Value::from(company)];
    let conditions = which.sql(runtime, reader.engine(), &mut params)?;
    let sql = format!("SELECT COUNT(*) FROM {} WHERE company_id = $1{conditions}", runtime.table);
    Ok(reader.one(&sql, &params, |row| row.i64(0))?)
}

pub(crate) fn sum(
    reader: &mut Reader<'_>,
    runtime: &ResourceRuntime,
    company: CompanyId,
    field: &str,
    which: &Where,
) -> Result<i64> {
    let place =
        runtime.place(field).ok_or_else(|| Problem::internal(format!("{} has no field {field}", runtime.path)))?;
    let mut params = vec![Value::from(company)];
    let conditions = which.sql(runtime, reader.engine(), &mut params)?;
    let column = &runtime.columns[place].sql;
    let sql = format!("SELECT COALESCE(SUM({column}), 0) FROM {} WHERE company_id = $1{conditions}", runtime.table);
    Ok(reader.one(&sql, &params, |row| row.i64(0))?)
}

/// Those of `ids` that are living records of the resource in this company, and visible to the caller when it is a client who names them.
pub(crate) fn existing(
    reader: &mut Reader<'_>,
    runtime: &ResourceRuntime,
    tenant: &Tenant,
    ids: &[Uuid],
    by: By,
) -> Result<Vec<Uuid>> {
    let mut params = vec![Value::from(tenant.company)];
    let markers: Vec<String> = ids.iter().map(|id| bind(&mut params, Value::Uuid(*id))).collect();
    let audience = runtime.audience.as_ref().filter(|_| by == By::Client);
    let who = audience.and_then(|who| who.condition(reader.engine(), tenant, &mut params));
    let who = who.map_or_else(String::new, |condition| format!(" AND {condition}"));
    let sql = format!(
        "SELECT id, workspace_id FROM {} WHERE company_id = $1 AND deleted_at IS NULL AND id IN ({}){who}",
        runtime.table,
        markers.join(", ")
    );
    let rows = reader.query(&sql, &params, |row| Ok((row.uuid(0)?, row.opt_uuid(1)?)))?;
    Ok(rows
        .into_iter()
        .filter(|(_, workspace)| by == By::Rule || is_visible(tenant, *workspace))
        .map(|(id, _)| id)
        .collect())
}

/// Whether a user belongs to the company, in whatever state but "left".
pub(crate) fn is_member(reader: &mut Reader<'_>, company: CompanyId, user: Uuid) -> Result<bool> {
    let found = reader.first(
        "SELECT 1 FROM memberships WHERE company_id = $1 AND user_id = $2 AND status <> 'left'",
        &params![company, user],
        |_| Ok(()),
    )?;
    Ok(found.is_some())
}
