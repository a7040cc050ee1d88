//! One row as one JSON object, and back.

use std::collections::HashMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use loopd_store::ddl::{ColumnDef, ColumnKind};
use loopd_store::{Row, StoreError, Value};
use loopd_types::Uuid;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

/// Writes a row and a line end. Absent values are left out; JSON stands as it was stored, but on one line.
pub fn write(columns: &[ColumnDef], row: &Row<'_>, out: &mut Vec<u8>) -> Result<(), StoreError> {
    out.push(b'{');
    let mut is_first = true;
    for (at, column) in columns.iter().enumerate() {
        let before = out.len();
        if !is_first {
            out.push(b',');
        }
        text(out, &column.name);
        out.push(b':');
        let has_value = match column.kind {
            ColumnKind::Int => row.opt_i64(at)?.map(|value| out.extend_from_slice(value.to_string().as_bytes())),
            ColumnKind::Bool => {
                row.opt_bool(at)?.map(|value| out.extend_from_slice(if value { b"true" } else { b"false" }))
            }
            ColumnKind::Text => row.opt_text(at)?.map(|value| text(out, value)),
            ColumnKind::Uuid => row.opt_uuid(at)?.map(|id| text(out, &id.to_string())),
            ColumnKind::Bytes => row.opt_bytes(at)?.map(|bytes| text(out, &BASE64_STANDARD.encode(bytes))),
            ColumnKind::Json => match row.opt_json(at)? {
                Some(value) => Some(json(out, value).map_err(|error| {
                    StoreError::Other(format!("column {} holds what is no JSON: {error}", column.name))
                })?),
                None => None,
            },
        };
        match has_value {
            Some(()) => is_first = false,
            None => out.truncate(before),
        }
    }
    out.extend_from_slice(b"}\n");
    Ok(())
}

fn text(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("text is always JSON, and a Vec takes every byte");
}

/// JSON as it is. Line ends stand between its words only, never in them, so a space does as well.
fn json(out: &mut Vec<u8>, value: &str) -> Result<(), serde_json::Error> {
    serde_json::from_str::<IgnoredAny>(value)?;
    let value = value.trim_matches([' ', '\n', '\r', '\t']);
    out.extend(value.bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }));
    Ok(())
}

/// Reads a line of [`write`]: a value for each of `columns`, in their order.
///
/// # Errors
/// Words, when the line is no row of this table.
pub fn read(columns: &[ColumnDef], line: &str) -> Result<Vec<Value>, String> {
    let mut fields: HashMap<String, Box<RawValue>> = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let mut values = Vec::with_capacity(columns.len());
    for column in columns {
        let value = match fields.remove(&column.name) {
            None if column.nullable => Value::Null,
            None => return Err(format!("{} has no value", column.name)),
            Some(raw) => parse(column.kind, raw.get()).ok_or_else(|| format!("{} cannot be {raw}", column.name))?,
        };
        values.push(value);
    }
    match fields.keys().next() {
        Some(unknown) => Err(format!("there is no column {unknown}")),
        None => Ok(values),
    }
}

fn parse(kind: ColumnKind, raw: &str) -> Option<Value> {
    let text = || serde_json::from_str::<String>(raw).ok();
    Some(match kind {
        ColumnKind::Int => Value::Int(raw.parse().ok()?),
        ColumnKind::Bool => Value::Bool(raw.parse().ok()?),
        ColumnKind::Text => Value::Text(text()?),
        ColumnKind::Bytes => Value::Bytes(BASE64_STANDARD.decode(text()?).ok()?),
        ColumnKind::Uuid => Value::Uuid(Uuid::parse_str(&text()?).ok()?),
        ColumnKind::Json => Value::Json(raw.to_owned()),
    })
}

/// Puts the new id of everybody who has one in the place of the old, wherever it stands. Ids are as good as unique, so what looks like
/// somebody's is theirs.
pub fn rename(value: &mut Value, people: &HashMap<Uuid, Uuid>) {
    if people.is_empty() {
        return;
    }
    match value {
        Value::Uuid(id) => *id = people.get(id).copied().unwrap_or(*id),
        Value::Text(text) | Value::Json(text) => rename_in(text, people),
        _ => {}
    }
}

const ID_LENGTH: usize = 36;

fn rename_in(text: &mut String, people: &HashMap<Uuid, Uuid>) {
    let mut at = 0;
    while let Some(window) = text.as_bytes().get(at..at + ID_LENGTH) {
        let is_shaped = [8, 13, 18, 23].iter().all(|dash| window[*dash] == b'-');
        let known = is_shaped.then(|| Uuid::try_parse_ascii(window).ok()).flatten().and_then(|id| people.get(&id));
        match known {
            Some(new) => {
                text.replace_range(at..at + ID_LENGTH, &new.to_string());
                at += ID_LENGTH;
            }
            None => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_stands_as_it_was_stored_but_on_one_line() {
        let mut out = Vec::new();
        json(&mut out, " {\"a\" :\r\n1.0, \"b\":\"x\\ny\"}\n").unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "{\"a\" :  1.0, \"b\":\"x\\ny\"}");
        assert!(json(&mut Vec::new(), "{\"a\":").is_err());
    }

    #[test]
    fn a_line_is_read_as_it_is_meant_or_refused_in_words() {
        let columns = [
            ColumnDef::required("id", ColumnKind::Uuid),
            ColumnDef::optional("price_minor", ColumnKind::Int),
            ColumnDef::optional("data", ColumnKind::Json),
            ColumnDef::optional("raw", ColumnKind::Bytes),
        ];
        let id = Uuid::from_u128(7);
        let line = format!("{{\"id\":\"{id}\",\"data\":{{\"n\" : 1.0}},\"raw\":\"AQI=\"}}\n");
        let values = read(&columns, &line).unwrap();
        assert_eq!(
            values,
            [Value::Uuid(id), Value::Null, Value::Json("{\"n\" : 1.0}".into()), Value::Bytes(vec![1, 2])]
        );
        assert_eq!(read(&columns, "{\"price_minor\":1}").unwrap_err(), "id has no value");
        assert!(
            read(&columns, &format!("{{\"id\":\"{id}\",\"price_minor\":1.5}}")).unwrap_err().contains("price_minor")
        );
        assert!(read(&columns, &format!("{{\"id\":\"{id}\",\"more\":1}}")).unwrap_err().contains("no column more"));
        assert!(read(&columns, "[]").is_err());
    }

    #[test]
    fn somebodys_id_is_replaced_wherever_it_stands() {
        let (old, new, other) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
        let people = HashMap::from([(old, new)]);
        let mut value = Value::Json(format!("{{\"é\":\"{old}\",\"by\":[\"{other}\",\"core/users/{old}\"]}}"));
        rename(&mut value, &people);
        assert_eq!(value, Value::Json(format!("{{\"é\":\"{new}\",\"by\":[\"{other}\",\"core/users/{new}\"]}}")));
        let mut id = Value::Uuid(old);
        rename(&mut id, &people);
        assert_eq!(id, Value::Uuid(new));
    }
}
