//! Reading a file into rows of cells, and finding the field of every column.

use loopd_types::{Problem, Result};
use serde_json::Value as Json;

use super::{MOST_ROWS, Wish};
use crate::define::base::{DATA, DESCRIPTION, EXTERNAL_ID, STATUS, TAGS, TITLE, WORKSPACE};
use crate::engine::runtime::ResourceRuntime;

/// A file as it was sent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct File {
    /// As the file calls them.
    pub columns: Vec<String>,
    /// A cell for each column; null where there is none.
    pub rows: Vec<Vec<Json>>,
}

/// Fields of every record that a client may set.
const BASE: [usize; 7] = [TITLE, DESCRIPTION, DATA, TAGS, EXTERNAL_ID, WORKSPACE, STATUS];

/// CSV with a header line, separated by commas, semicolons or tabs, in UTF-8 with or without a mark.
///
/// # Errors
/// 400 in words: no UTF-8, no header, a row of another length (by its line), too many rows.
pub fn read_csv(bytes: &[u8]) -> Result<File> {
    let text =
        std::str::from_utf8(bytes).map_err(|_| refused("Save the file as UTF-8: its letters cannot be read."))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.contains('\0') {
        return Err(refused("Null characters are not allowed."));
    }
    let header = text.lines().next().unwrap_or_default();
    let count = |delimiter: &u8| header.bytes().filter(|byte| byte == delimiter).count();
    let delimiter = [b',', b';', b'\t'].into_iter().rev().max_by_key(count).unwrap_or(b',');
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(text.as_bytes());
    let columns: Vec<String> = match reader.headers() {
        Ok(header) if !header.is_empty() => header.iter().map(|name| name.trim().to_owned()).collect(),
        _ => return Err(refused("The first line must name the columns.")),
    };
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| refused(format!("This is no CSV: {error}.")))?;
        rows.push(record.iter().map(|cell| if cell.is_empty() { Json::Null } else { Json::from(cell) }).collect());
        require_few(rows.len())?;
    }
    distinct(File { columns, rows })
}

/// A list of objects.
///
/// # Errors
/// 400 by the row's number.
pub fn read_json(rows: &Json) -> Result<File> {
    let Json::Array(given) = rows else { return Err(refused("Send a list of rows.")) };
    require_few(given.len())?;
    let mut file = File::default();
    for (number, row) in given.iter().enumerate() {
        let Json::Object(fields) = row else {
            return Err(Problem::field(format!("rows.{number}"), "invalid", "A row must be an object."));
        };
        for name in fields.keys().filter(|name| !file.columns.contains(name)).cloned().collect::<Vec<_>>() {
            if file.columns.len() >= MOST_COLUMNS {
                return Err(refused("The rows have too many different fields."));
            }
            file.columns.push(name);
        }
    }
    let columns = &file.columns;
    let cells = |row: &Json| columns.iter().map(|name| row.get(name).cloned().unwrap_or_default()).collect();
    let rows = given.iter().map(cells).collect();
    file.rows = rows;
    Ok(file)
}

const MOST_COLUMNS: usize = 500;

fn require_few(rows: usize) -> Result<()> {
    if rows <= MOST_ROWS {
        return Ok(());
    }
    Err(refused(format!("A file may have {MOST_ROWS} rows at most: send the rest as another.")))
}

fn distinct(file: File) -> Result<File> {
    let twice = file.columns.iter().enumerate().find(|(at, name)| file.columns[..*at].contains(name));
    match twice {
        Some((_, name)) => Err(refused(format!("Two columns are called \"{name}\"."))),
        None => Ok(file),
    }
}

fn refused(words: impl Into<std::borrow::Cow<'static, str>>) -> Problem {
    Problem::field("rows", "invalid", words)
}

/// The field that each column goes to: by the client's mapping, else by its own name. `None` for what cannot be set or is left out.
///
/// # Errors
/// 400 on `mapping` with every column that goes nowhere and every name that is none.
pub fn targets(runtime: &ResourceRuntime, file: &File, wish: &Wish) -> Result<Vec<Option<String>>> {
    let mut problem = Problem::validation();
    for column in wish.mapping.keys().filter(|column| !file.columns.contains(column)) {
        problem.add_field("mapping", "invalid", format!("The file has no column \"{column}\"."));
    }
    let mut found: Vec<Option<String>> = Vec::with_capacity(file.columns.len());
    for column in &file.columns {
        let target = match wish.mapping.get(column) {
            Some(Json::Null) => None,
            Some(Json::String(field)) if is_known(runtime, field) => Some(field.clone()),
            Some(other) => {
                problem.add_field(
                    "mapping",
                    "invalid",
                    format!("There is no field {other} for the column \"{column}\"."),
                );
                None
            }
            // Our own notes in a file of refused rows.
            None if column.starts_with('_') => None,
            None => {
                let name = column.trim().to_lowercase().replace([' ', '-'], "_");
                if !is_known(runtime, &name) {
                    let words =
                        format!("The column \"{column}\" is no field: map it to one, or to null to leave it out.");
                    problem.add_field("mapping", "invalid", words);
                }
                Some(name)
            }
        };
        let target = target.filter(|name| is_writable(runtime, name));
        if let Some(name) = target.as_ref().filter(|name| found.iter().flatten().any(|other| other == *name)) {
            problem.add_field("mapping", "invalid", format!("Two columns go to {name}."));
        }
        found.push(target);
    }
    if problem.has_fields() { Err(problem) } else { Ok(found) }
}

fn is_known(runtime: &ResourceRuntime, name: &str) -> bool {
    runtime.place(name).is_some() || runtime.lines.iter().any(|lines| lines.name == name)
}

/// What a file has beyond, an export's `id` or `created_at`, is passed over as everywhere.
fn is_writable(runtime: &ResourceRuntime, name: &str) -> bool {
    match runtime.place(name) {
        Some(place) => BASE.contains(&place) || runtime.field_at(place).is_some_and(crate::define::Field::is_writable),
        None => runtime.lines.iter().any(|lines| lines.name == name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_is_read_however_a_spreadsheet_writes_it() {
        for text in ["name,phone\nA,\"1,2\"\n", "\u{feff}name;phone\r\nA;1,2\r\n", "name\tphone\nA\t1,2"] {
            let file = read_csv(text.as_bytes()).unwrap();
            assert_eq!(file.columns, ["name", "phone"], "{text:?}");
            assert_eq!(file.rows, [[Json::from("A"), Json::from("1,2")]], "{text:?}");
        }
        for (text, words) in [
            (&b"name\n\xff\n"[..], "UTF-8"),
            (b"", "name the columns"),
            (b"a,b\n1\n", "no CSV"),
            (b"a,a\n1,2\n", "Two columns"),
        ] {
            let problem = read_csv(text).unwrap_err();
            assert!(format!("{:?}", problem.fields()).contains(words), "{problem:?}");
        }
    }

    #[test]
    fn json_rows_may_have_different_fields() {
        let file = read_json(&serde_json::json!([{"a": 1}, {"b": [2], "a": null}])).unwrap();
        assert_eq!(file.columns, ["a", "b"]);
        assert_eq!(file.rows, [[Json::from(1), Json::Null], [Json::Null, serde_json::json!([2])]]);
        assert!(read_json(&serde_json::json!([1])).is_err());
    }
}
