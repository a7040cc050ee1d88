//! Reading SQLite's five storage classes as our kinds.

use loopd_types::Uuid;
use rusqlite::Row;
use rusqlite::types::ValueRef;

use crate::{StoreError, Value};

fn get<'r>(row: &'r Row<'r>, i: usize) -> Result<ValueRef<'r>, StoreError> {
    row.get_ref(i).map_err(|_| StoreError::Other(format!("the row has no column {i}")))
}

fn wrong(row: &Row<'_>, i: usize, wanted: &str, found: ValueRef<'_>) -> StoreError {
    let name = row.as_ref().column_name(i).unwrap_or("?");
    StoreError::Other(format!("column {i} ({name}) holds {}, not {wanted}", found.data_type()))
}

pub fn int(row: &Row<'_>, i: usize) -> Result<Option<i64>, StoreError> {
    match get(row, i)? {
        ValueRef::Null => Ok(None),
        ValueRef::Integer(value) => Ok(Some(value)),
        other => Err(wrong(row, i, "a whole number", other)),
    }
}

pub fn float(row: &Row<'_>, i: usize) -> Result<Option<f64>, StoreError> {
    match get(row, i)? {
        ValueRef::Null => Ok(None),
        ValueRef::Integer(value) => Ok(Some(value as f64)),
        ValueRef::Real(value) => Ok(Some(value)),
        other => Err(wrong(row, i, "a number", other)),
    }
}

pub fn bool(row: &Row<'_>, i: usize) -> Result<Option<bool>, StoreError> {
    match get(row, i)? {
        ValueRef::Null => Ok(None),
        ValueRef::Integer(value) => Ok(Some(value != 0)),
        other => Err(wrong(row, i, "a boolean", other)),
    }
}

pub fn text<'r>(row: &'r Row<'r>, i: usize) -> Result<Option<&'r str>, StoreError> {
    match get(row, i)? {
        ValueRef::Null => Ok(None),
        ValueRef::Text(bytes) => std::str::from_utf8(bytes)
            .map(Some)
            .map_err(|_| StoreError::Other(format!("column {i} holds text that is not UTF-8"))),
        other => Err(wrong(row, i, "text", other)),
    }
}

pub fn uuid(row: &Row<'_>, i: usize) -> Result<Option<Uuid>, StoreError> {
    match get(row, i)? {
        ValueRef::Null => Ok(None),
        found @ ValueRef::Text(bytes) => {
            Uuid::try_parse_ascii(bytes).map(Some).map_err(|_| wrong(row, i, "a UUID", found))
        }
        other => Err(wrong(row, i, "a UUID", other)),
    }
}

pub fn bytes<'r>(row: &'r Row<'r>, i: usize) -> Result<Option<&'r [u8]>, StoreError> {
    match get(row, i)? {
        ValueRef::Null => Ok(None),
        ValueRef::Blob(bytes) => Ok(Some(bytes)),
        other => Err(wrong(row, i, "bytes", other)),
    }
}

pub fn value(row: &Row<'_>, i: usize) -> Result<Value, StoreError> {
    Ok(match get(row, i)? {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(value) => Value::Int(value),
        ValueRef::Blob(bytes) => Value::Bytes(bytes.to_vec()),
        ValueRef::Text(_) => text(row, i)?.map_or(Value::Null, |text| Value::Text(text.to_owned())),
        found @ ValueRef::Real(_) => return Err(wrong(row, i, "a kind that is stored; read it with f64()", found)),
    })
}
