//! CSV of a filtered list, in chunks, with cells that no spreadsheet takes for formulas.

use std::sync::Arc;

use loopd_kernel::Tenant;
use loopd_store::{Reader, Value};
use loopd_types::{Problem, Result, Uuid};
pub(crate) use loopd_web::sheet::harmless;

use super::condition::bind;
use super::list::{conditions, order_by};
use super::record::Record;
use super::request::ListRequest;
use super::runtime::ResourceRuntime;
use crate::define::base::ID;
use crate::define::render::Style;

/// Rows of one chunk: one statement, one piece of the answer.
pub const CHUNK: usize = 500;

/// Where the next chunk begins.
#[derive(Clone, Debug)]
pub enum Cursor {
    /// At the beginning.
    Start,
    /// Behind this id: exports in the default order walk the index.
    After(Uuid),
    /// Behind so many rows: exports in an order of the client's.
    Skip(i64),
}

/// One chunk as CSV text, with the header line when it is the first, and where the next one begins (`None` at the end).
///
/// # Errors
/// 503 from the database.
pub fn export(
    reader: &mut Reader<'_>,
    runtime: &Arc<ResourceRuntime>,
    tenants: &[Arc<Tenant>],
    request: &ListRequest,
    cursor: &Cursor,
) -> Result<(Vec<u8>, Option<Cursor>)> {
    let mut params = Vec::new();
    let mut conditions = conditions(reader, runtime, tenants, request, &mut params)?;
    let mut tail = format!("{} LIMIT {CHUNK}", order_by(runtime, request));
    match cursor {
        Cursor::Start => {}
        Cursor::After(id) => conditions.push_str(&format!(" AND id < {}", bind(&mut params, Value::Uuid(*id)))),
        Cursor::Skip(rows) => tail.push_str(&format!(" OFFSET {}", bind(&mut params, Value::Int(*rows)))),
    }
    let sql = format!("SELECT {} FROM {} WHERE {conditions}{tail}", runtime.sql.columns, runtime.table);
    let records = reader.query(&sql, &params, |row| Record::from_row(runtime, row))?;
    let places = request.show.places.as_deref().unwrap_or(&runtime.order);
    let mut csv = csv::Writer::from_writer(Vec::with_capacity(records.len() * 256));
    let written = |error: csv::Error| Problem::internal(format!("CSV: {error}"));
    if matches!(cursor, Cursor::Start) {
        csv.write_record(places.iter().map(|place| runtime.columns[*place].name.as_str())).map_err(written)?;
    }
    let mut cells: Vec<String> = Vec::with_capacity(places.len());
    for record in &records {
        cells.clear();
        for place in places {
            cells.push(cell(record, *place)?);
        }
        csv.write_record(&cells).map_err(written)?;
    }
    let text = csv.into_inner().map_err(|error| Problem::internal(format!("CSV: {error}")))?;
    let next = match (records.len() == CHUNK, request.order.is_empty(), cursor) {
        (false, ..) => None,
        (true, true, _) => records.last().map(|record| Cursor::After(record.id())),
        (true, false, Cursor::Skip(rows)) => Some(Cursor::Skip(rows + CHUNK as i64)),
        (true, false, _) => Some(Cursor::Skip(CHUNK as i64)),
    };
    Ok((text, next))
}

/// A value as a person reads it: JSON's spelling without its quotes.
fn cell(record: &Record, place: usize) -> Result<String> {
    let style = record.runtime.columns[place].style;
    let text = match (&record.values[place], style) {
        (Value::Null, _) => return Ok(String::new()),
        (Value::Text(text), Style::Text) => text.clone(),
        _ => {
            let mut out = Vec::new();
            style.write(record.values.as_slice(), place, None, &mut out)?;
            let text = String::from_utf8(out).map_err(Problem::internal)?;
            match style {
                Style::Json => text,
                _ => text.trim_matches('"').to_owned(),
            }
        }
    };
    let is_words = matches!(style, Style::Text | Style::Json) && place != ID;
    Ok(if is_words { harmless(text) } else { text })
}
