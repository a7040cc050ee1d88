//! Reading `{"rows": [{…}], "mapping": {…}}`, a row at a time.

use std::collections::HashMap;
use std::fmt;
use std::fs::File as Laid;
use std::io::{BufReader, Seek as _, SeekFrom};

use loopd_kernel::file::not_laid;
use loopd_types::{Problem, Result};
use loopd_web::{holds_nul, parse_error};
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value as Json};

use super::MOST_ROW_BYTES;
use super::csv::too_long;
use super::file::{Allowance, File, Laying, refused, require_few};

const MOST_COLUMNS: usize = 500;
/// What is read from the disk at once.
const BUFFER: usize = 64 * 1024;

/// A list of objects, and what was said beside it of where its columns go. Read twice: which columns there are is known at its end. For a
/// thread that may block.
///
/// # Errors
/// 400 `parse_error`; 400 by the row's number; 507; 503.
pub fn read_json(laid: &Laid) -> Result<(File, Option<Json>)> {
    let mut columns: Vec<String> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    let found = read(laid, &mut |number, row| {
        require_few(number + 1)?;
        if !row.is_object() {
            return Err(Problem::field(format!("rows.{number}"), "invalid", "A row must be an object."));
        }
        require_no_nul("rows", &row)?;
        for name in row.as_object().into_iter().flat_map(Map::keys) {
            if places.contains_key(name) {
                continue;
            }
            if columns.len() >= MOST_COLUMNS {
                return Err(refused("The rows have too many different fields."));
            }
            places.insert(name.clone(), columns.len());
            columns.push(name.clone());
        }
        Ok(())
    })?;
    if !found.has_rows {
        return Err(Problem::field("rows", "required", "This field is required."));
    }
    if !found.is_list {
        return Err(refused("Send a list of rows."));
    }
    let mut laying = Laying::new()?;
    read(laid, &mut |_, row| {
        let mut cells = vec![Json::Null; columns.len()];
        if let Json::Object(fields) = row {
            for (name, value) in fields {
                cells[places[&name]] = value;
            }
        }
        laying.row(&cells)
    })?;
    Ok((laying.finish(columns)?, found.mapping))
}

fn require_no_nul(field: &'static str, value: &Json) -> Result<()> {
    if holds_nul(value) {
        return Err(Problem::field(field, "null_characters_not_allowed", "Null characters are not allowed."));
    }
    Ok(())
}

/// What a body was found to be.
#[derive(Default)]
struct Found {
    has_rows: bool,
    is_list: bool,
    /// Never null.
    mapping: Option<Json>,
}

/// Gives each row to `take`, with its number from 0.
fn read(mut laid: &Laid, take: &mut dyn FnMut(usize, Json) -> Result<()>) -> Result<Found> {
    laid.seek(SeekFrom::Start(0)).map_err(not_laid)?;
    let allowance = Allowance::default();
    let reader = allowance.reader(BufReader::with_capacity(BUFFER, laid));
    let mut reading = Reading { found: Found::default(), row: 0, problem: None, allowance, take };
    reading.renew();
    let mut deserializer = serde_json::Deserializer::from_reader(reader);
    let read = Parts(Body(&mut reading)).deserialize(&mut deserializer).and_then(|()| deserializer.end());
    let Err(error) = read else { return Ok(reading.found) };
    Err(match reading.problem {
        Some(problem) => problem,
        None if reading.allowance.is_used_up() => too_long(reading.row + 1),
        None if error.is_io() => not_laid(error.into()),
        None => parse_error(error),
    })
}

struct Reading<'t> {
    found: Found,
    row: usize,
    /// Why reading was stopped.
    problem: Option<Problem>,
    allowance: Allowance,
    take: &'t mut dyn FnMut(usize, Json) -> Result<()>,
}

impl Reading<'_> {
    /// One more byte than a row may have: the one after a number tells that it has ended.
    fn renew(&self) {
        self.allowance.set(MOST_ROW_BYTES + 1);
    }

    fn stop<E: serde::de::Error>(&mut self, problem: Problem) -> E {
        self.problem = Some(problem);
        E::custom("stopped")
    }
}

/// A value whose members are taken as they come; what is no such value is passed over.
trait Takes<'de>: Sized {
    fn object<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(())
    }
    fn list<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

struct Parts<T>(T);

impl<'de, T: Takes<'de>> DeserializeSeed<'de> for Parts<T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Takes<'de>> Visitor<'de> for Parts<T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<(), A::Error> {
        self.0.object(members)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<(), A::Error> {
        self.0.list(items)
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

struct Body<'r, 't>(&'r mut Reading<'t>);

impl<'de> Takes<'de> for Body<'_, '_> {
    fn object<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let reading = self.0;
        while let Some(name) = members.next_key::<String>()? {
            match name.as_str() {
                "rows" if reading.found.has_rows => return Err(A::Error::duplicate_field("rows")),
                "rows" => {
                    reading.found.has_rows = true;
                    members.next_value_seed(Parts(Rows(reading)))?;
                }
                "mapping" => {
                    let mapping: Json = members.next_value()?;
                    require_no_nul("mapping", &mapping).map_err(|problem| reading.stop::<A::Error>(problem))?;
                    reading.found.mapping = Some(mapping).filter(|mapping| !mapping.is_null());
                }
                _ => {
                    // Passed over without being held.
                    reading.allowance.set(usize::MAX);
                    members.next_value::<IgnoredAny>()?;
                }
            }
            reading.renew();
        }
        Ok(())
    }
}

struct Rows<'r, 't>(&'r mut Reading<'t>);

impl<'de> Takes<'de> for Rows<'_, '_> {
    fn list<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let reading = self.0;
        reading.found.is_list = true;
        while let Some(row) = items.next_element::<Json>()? {
            (reading.take)(reading.row, row).map_err(|problem| reading.stop::<A::Error>(problem))?;
            reading.row += 1;
            reading.renew();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::engine::import::file::tests::{laid, rows};

    fn read_text(text: &str) -> Result<(File, Option<Json>)> {
        read_json(&laid(text.as_bytes()))
    }

    #[test]
    fn rows_may_have_different_fields() {
        let body = r#" {"other": [{"a": "\u0000"}, 1.5, null], "rows": [{"a": 1}, {"b": [2], "a": null}], "mapping": {"a": null}} "#;
        let (file, mapping) = read_text(body).unwrap();
        assert_eq!(file.columns, ["a", "b"]);
        assert_eq!(rows(&file), [[Json::from(1), Json::Null], [Json::Null, json!([2])]]);
        assert_eq!(mapping, Some(json!({"a": null})));
        let (file, mapping) = read_text(r#"{"mapping": null, "rows": []}"#).unwrap();
        assert_eq!((file.rows, mapping), (0, None));
    }

    #[test]
    fn what_is_no_list_of_rows_is_said_in_words() {
        let long = format!(r#"{{"rows": [{{"a": 1}}, {{"a": "{}"}}]}}"#, "x".repeat(MOST_ROW_BYTES));
        for (body, field, code) in [
            ("{}", "rows", "required"),
            ("[1]", "rows", "required"),
            ("7", "rows", "required"),
            (r#"{"rows": null}"#, "rows", "invalid"),
            (r#"{"rows": {"a": [1]}}"#, "rows", "invalid"),
            (r#"{"rows": [{}, 1]}"#, "rows.1", "invalid"),
            (r#"{"rows": [{"a": ["\u0000"]}]}"#, "rows", "null_characters_not_allowed"),
            (r#"{"rows": [], "mapping": {"\u0000": null}}"#, "mapping", "null_characters_not_allowed"),
            (&long, "rows", "invalid"),
        ] {
            let problem = read_text(body).unwrap_err();
            let (name, complaints) = problem.fields().first().unwrap_or_else(|| panic!("{body}: {problem:?}"));
            assert_eq!((name.as_str(), &*complaints[0].code), (field, code), "{body}");
        }
        for body in ["{", "", r#"{"rows": [{"a": 1}"#, r#"{"rows": []} x"#, r#"{"rows": [], "rows": []}"#] {
            let problem = read_text(body).unwrap_err();
            assert_eq!((problem.status(), problem.code()), (400, "parse_error"), "{body}: {problem:?}");
        }
    }
}
