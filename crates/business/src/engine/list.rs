//! Lists: one page of the records of one company, or of all of the caller's companies, as JSON.

use std::borrow::Cow;
use std::sync::Arc;

use loopd_kernel::Tenant;
use loopd_store::{Reader, Row, StoreError, Value, params};
use loopd_types::Result;
use loopd_web::{PageWriter, Query, page};

use super::Engine;
use super::condition::bind;
use super::count::count;
use super::expand::Expansions;
use super::read;
use super::record::Record;
use super::request::{ListRequest, Show};
use super::runtime::ResourceRuntime;
use crate::define::base::ID;

/// One page.
pub struct Listed {
    pub json: Vec<u8>,
    /// Whether `count` is the number of all rows. If not there are more, but only these can be paged through.
    pub is_count_exact: bool,
}

/// One page as JSON. `base` is the list's absolute URL, `query` what its links repeat.
///
/// # Errors
/// 404 beyond the last page; 503 from the database.
pub fn list(
    reader: &mut Reader<'_>,
    engine: &Engine,
    runtime: &Arc<ResourceRuntime>,
    tenants: &[Arc<Tenant>],
    request: &ListRequest,
    (base, query): (&str, &Query),
) -> Result<Listed> {
    let plain_company = request.plain_company(runtime, tenants);
    let mut params = Vec::new();
    let conditions = match plain_company {
        Some(_) => String::new(),
        None => conditions(reader, runtime, tenants, request, &mut params)?,
    };
    let count = count(reader, runtime, tenants, request, engine.registry.counting)?;
    let (page, offset) = page::resolve(request.page, count.rows)?;
    let size = request.page.size;
    let mut writer = PageWriter::new(base, query, page, size, count.rows);
    let (limit, offset) = (i64::from(size), i64::try_from(offset).unwrap_or(i64::MAX));
    let (sql, params) = match plain_company {
        Some(company) => (Cow::Borrowed(runtime.sql.page.as_str()), params![company, limit, offset].to_vec()),
        None => {
            let sql = format!(
                "SELECT {} FROM {} WHERE {conditions}{} LIMIT {} OFFSET {}",
                runtime.sql.columns,
                runtime.table,
                order_by(runtime, request),
                bind(&mut params, Value::Int(limit)),
                bind(&mut params, Value::Int(offset)),
            );
            (Cow::Owned(sql), params)
        }
    };
    if request.show.expand.is_empty() && !request.show.lines {
        let places = request.show.places.as_deref().unwrap_or(&runtime.order);
        reader.each(&sql, &params, |row| write_row(runtime, places, row, writer.row()))?;
    } else {
        let mut records = reader.query(&sql, &params, |row| Record::from_row(runtime, row))?;
        write_records(reader, engine, tenants, &mut records, &request.show, &mut writer)?;
    }
    Ok(Listed { json: writer.finish(), is_count_exact: count.is_exact })
}

/// Straight from the database's row to bytes.
fn write_row(runtime: &ResourceRuntime, places: &[usize], row: &Row<'_>, out: &mut Vec<u8>) -> Result<(), StoreError> {
    let start = out.len();
    for place in places {
        let column = &runtime.columns[*place];
        out.extend_from_slice(&column.key);
        column.style.write(row, *place, None, out)?;
    }
    close(out, start);
    Ok(())
}

/// Keys are written with a comma in front; the first one becomes the brace.
fn close(out: &mut Vec<u8>, start: usize) {
    if out.len() == start {
        out.push(b'{');
    } else {
        out[start] = b'{';
    }
    out.push(b'}');
}

fn write_records(
    reader: &mut Reader<'_>,
    engine: &Engine,
    tenants: &[Arc<Tenant>],
    records: &mut [Record],
    show: &Show,
    writer: &mut PageWriter,
) -> Result<()> {
    if show.lines {
        for tenant in tenants {
            // lines are read company by company: each statement names its tenant
            let company = Value::from(tenant.company);
            let mut own: Vec<usize> = Vec::new();
            for (at, record) in records.iter().enumerate() {
                if record.values[crate::define::base::COMPANY] == company {
                    own.push(at);
                }
            }
            let mut batch: Vec<Record> = own.iter().map(|at| records[*at].clone()).collect();
            read::load_many_lines(reader, &mut batch)?;
            for (at, record) in own.into_iter().zip(batch) {
                records[at] = record;
            }
        }
    }
    let expansions = Expansions::load(reader, engine, tenants, records, &show.expand)?;
    for record in records.iter() {
        write_shown(record, show, &expansions, writer.row())?;
    }
    Ok(())
}

/// One record with what is asked for.
pub(crate) fn write_shown(record: &Record, show: &Show, expansions: &Expansions, out: &mut Vec<u8>) -> Result<()> {
    let Some(places) = &show.places else {
        return record.render_into(out, |place, value, out| Ok(expansions.write(place, value, out)));
    };
    let start = out.len();
    for place in places {
        let column = &record.runtime.columns[*place];
        out.extend_from_slice(&column.key);
        if !expansions.write(*place, &record.values[*place], out) {
            column.style.write(record.values.as_slice(), *place, None, out)?;
        }
    }
    if show.lines && record.lines_loaded {
        record.render_lines(out)?;
    }
    close(out, start);
    Ok(())
}

/// One record in hand with what is asked for, references as ids.
pub fn write_plain(record: &Record, show: &Show, out: &mut Vec<u8>) -> Result<()> {
    write_shown(record, show, &Expansions::default(), out)
}

/// Which rows: companies and workspaces first, then what the client asks for.
pub(crate) fn conditions(
    reader: &Reader<'_>,
    runtime: &ResourceRuntime,
    tenants: &[Arc<Tenant>],
    request: &ListRequest,
    params: &mut Vec<Value>,
) -> Result<String> {
    let groups: Vec<String> = tenants.iter().map(|tenant| scope(reader, runtime, tenant, params)).collect();
    let mut sql = match groups.as_slice() {
        [only] => only.clone(),
        several => format!("({})", several.join(" OR ")),
    };
    sql.push_str(&request.which.sql(runtime, reader.engine(), params)?);
    Ok(sql)
}

/// The rows of one company that the caller may see: all of it, or those of some workspaces and those of none.
fn scope(reader: &Reader<'_>, runtime: &ResourceRuntime, tenant: &Tenant, params: &mut Vec<Value>) -> String {
    let rows = workspaces(tenant, params);
    let who = runtime.audience.as_ref().and_then(|who| who.condition(reader.engine(), tenant, params));
    match who {
        Some(who) => format!("({rows} AND {who})"),
        None => rows,
    }
}

fn workspaces(tenant: &Tenant, params: &mut Vec<Value>) -> String {
    let company = bind(params, Value::from(tenant.company));
    let workspaces: Vec<loopd_types::Uuid> = match (tenant.workspace, tenant.workspace_limit()) {
        (Some(workspace), _) => vec![workspace],
        (None, Some(limit)) => limit.to_vec(),
        (None, None) => return format!("company_id = {company}"),
    };
    let markers: Vec<String> = workspaces.into_iter().map(|id| bind(params, Value::Uuid(id))).collect();
    let among =
        if markers.is_empty() { String::new() } else { format!(" OR workspace_id IN ({})", markers.join(", ")) };
    format!("(company_id = {company} AND (workspace_id IS NULL{among}))")
}

/// ` ORDER BY …`, always ending in the id so that pages do not overlap.
pub(crate) fn order_by(runtime: &ResourceRuntime, request: &ListRequest) -> String {
    let mut parts: Vec<String> = Vec::new();
    for (place, descending) in &request.order {
        let column = &runtime.columns[*place].sql;
        // where SQLite puts NULLs by itself, and PostgreSQL when told
        parts.push(if *descending { format!("{column} DESC NULLS LAST") } else { format!("{column} NULLS FIRST") });
    }
    if !request.order.iter().any(|(place, _)| *place == ID) {
        parts.push("id DESC".into());
    }
    format!(" ORDER BY {}", parts.join(", "))
}
