//! Reading a file, finding the field of every column, and making a body of a row. Pure.

use std::io::Read;

use csv::{ReaderBuilder, StringRecord};
use loopd_types::{Problem, Result};
use serde_json::{Map, Value as Json};

use super::MOST_ROWS;

/// A file that was read: its columns, and rows of as many cells.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct File {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

/// What a row can say of a contact.
pub const FIELDS: [&str; 10] =
    ["name", "phone", "email", "company_name", "location", "lifecycle", "tags", "lifetime_value", "notes", "opted_out"];

/// What else columns are called, in other people's exports.
const ALSO: [(&str, &str); 18] = [
    ("full_name", "name"),
    ("display_name", "name"),
    ("contact", "name"),
    ("customer", "name"),
    ("telephone", "phone"),
    ("phone_number", "phone"),
    ("mobile", "phone"),
    ("whatsapp", "phone"),
    ("number", "phone"),
    ("e_mail", "email"),
    ("mail", "email"),
    ("company", "company_name"),
    ("organisation", "company_name"),
    ("organization", "company_name"),
    ("city", "location"),
    ("stage", "lifecycle"),
    ("labels", "tags"),
    ("note", "notes"),
];

/// Columns of our own export that say nothing that can be set.
const PASSED_OVER: [&str; 6] =
    ["id", "opted_out_at", "last_contacted_at", "conversation_count", "created_at", "updated_at"];

/// CSV with a header line, separated by commas, semicolons or tabs, in UTF-8 with or without a mark.
///
/// # Errors
/// 400 of `rows`, in words.
pub fn read(mut source: impl Read) -> Result<File> {
    let mut bytes = Vec::new();
    source.read_to_end(&mut bytes).map_err(|error| Problem::unavailable(error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|_| refused("Save the file as UTF-8: its letters cannot be read."))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    if text.contains('\0') {
        return Err(refused("Null characters are not allowed."));
    }
    let header = text.lines().next().unwrap_or_default();
    let count = |delimiter: &u8| header.bytes().filter(|byte| byte == delimiter).count();
    let delimiter = [b',', b';', b'\t'].into_iter().rev().max_by_key(count).unwrap_or(b',');
    let mut reader = ReaderBuilder::new().delimiter(delimiter).from_reader(text.as_bytes());
    let broken = |error: csv::Error| refused(format!("This is no CSV: {error}."));
    let columns: Vec<String> = reader.headers().map_err(broken)?.iter().map(|name| name.trim().to_owned()).collect();
    if columns.iter().all(String::is_empty) {
        return Err(refused("The first line must name the columns."));
    }
    if let Some((_, name)) = columns.iter().enumerate().find(|(at, name)| columns[..*at].contains(name)) {
        return Err(refused(format!("Two columns are called \"{name}\".")));
    }
    let (mut rows, mut record) = (Vec::new(), StringRecord::new());
    while reader.read_record(&mut record).map_err(broken)? {
        if record.iter().all(|cell| cell.trim().is_empty()) {
            continue;
        }
        if rows.len() == MOST_ROWS {
            return Err(refused(format!("A file may have {MOST_ROWS} rows at most: send the rest as another.")));
        }
        rows.push(record.iter().map(str::to_owned).collect());
    }
    if rows.is_empty() {
        return Err(refused("The file has no rows."));
    }
    Ok(File { columns, rows })
}

fn refused(words: impl Into<String>) -> Problem {
    Problem::field("rows", "invalid", words.into())
}

/// The field that each column goes to: by the caller's mapping, else by its own name. `None` for what is left out.
///
/// # Errors
/// 400 of `mapping` with every column that goes nowhere, and when no column is the telephone number.
pub fn targets(columns: &[String], mapping: &Map<String, Json>) -> Result<Vec<Option<String>>> {
    let mut problem = Problem::validation();
    for column in mapping.keys().filter(|column| !columns.contains(column)) {
        problem.add_field("mapping", "invalid", format!("The file has no column \"{column}\"."));
    }
    let mut found: Vec<Option<String>> = Vec::with_capacity(columns.len());
    for column in columns {
        let target = match mapping.get(column) {
            Some(Json::Null) => None,
            Some(Json::String(field)) if FIELDS.contains(&field.as_str()) => Some(field.clone()),
            Some(other) => {
                let words = format!(
                    "There is no field {other} for the column \"{column}\": take one of {}.",
                    FIELDS.join(", ")
                );
                problem.add_field("mapping", "invalid", words);
                None
            }
            // Our own notes in a file of refused rows.
            None if column.starts_with('_') || column.is_empty() => None,
            None => by_name(column, &mut problem),
        };
        if let Some(name) = target.as_ref().filter(|name| found.iter().flatten().any(|other| other == *name)) {
            problem.add_field("mapping", "invalid", format!("Two columns go to {name}: map one of them to null."));
        }
        found.push(target);
    }
    if !problem.has_fields() && !found.iter().flatten().any(|name| name == "phone") {
        problem.add_field("mapping", "required", "No column is the telephone number: map one to \"phone\".");
    }
    if problem.has_fields() { Err(problem) } else { Ok(found) }
}

fn by_name(column: &str, problem: &mut Problem) -> Option<String> {
    let name = column.trim().to_lowercase().replace([' ', '-'], "_");
    if PASSED_OVER.contains(&name.as_str()) {
        return None;
    }
    let known = ALSO.iter().find(|(also, _)| *also == name).map_or(name.as_str(), |(_, field)| *field);
    if FIELDS.contains(&known) {
        return Some(known.to_owned());
    }
    let words = format!("The column \"{column}\" is no field: map it to one, or to null to leave it out.");
    problem.add_field("mapping", "invalid", words);
    None
}

/// The body that a row means, in the management's names; an empty cell says nothing. Opting out is taken over and never lifted: only the
/// person can do that, or somebody who changes their contact by hand.
pub fn body(targets: &[Option<String>], cells: &[String]) -> Map<String, Json> {
    let mut fields = Map::new();
    for (target, cell) in targets.iter().zip(cells) {
        let (Some(name), text) = (target, harmed(cell.trim())) else { continue };
        if text.is_empty() {
            continue;
        }
        let value = match name.as_str() {
            "tags" => list(text),
            "lifecycle" => text.to_lowercase().into(),
            "opted_out" if ["true", "yes", "1", "x", "oui", "yego"].contains(&text.to_lowercase().as_str()) => {
                true.into()
            }
            "opted_out" => continue,
            _ => text.into(),
        };
        fields.insert(name.clone(), value);
    }
    fields
}

fn list(text: &str) -> Json {
    let plain = || text.split([',', ';', '|']).map(str::trim).filter(|part| !part.is_empty()).map(Json::from).collect();
    serde_json::from_str::<Vec<String>>(text).map_or_else(|_| plain(), Json::from)
}

/// What [`loopd_web::sheet::harmless`] was given.
fn harmed(text: &str) -> &str {
    match text.strip_prefix('\'') {
        Some(rest) if rest.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) => rest,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use loopd_web::sheet::harmless;

    use super::*;

    fn map(value: Json) -> Map<String, Json> {
        value.as_object().expect("an object").clone()
    }

    fn names(columns: &[&str]) -> Vec<String> {
        columns.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_file_is_read_however_a_spreadsheet_wrote_it() {
        for text in ["Name,Phone\nA,\"1,2\"\n\n", "\u{feff}Name;Phone\r\nA;1,2\r\n", "Name\tPhone\nA\t1,2"] {
            let file = read(text.as_bytes()).unwrap();
            assert_eq!((file.columns, file.rows), (names(&["Name", "Phone"]), vec![names(&["A", "1,2"])]), "{text:?}");
        }
        for (text, words) in [
            (&b"name\n\xff\n"[..], "UTF-8"),
            (b"", "name the columns"),
            (b"a,b\n1\n", "no CSV"),
            (b"a,a\n1,2\n", "Two columns"),
            (b"a\n\0\n", "Null characters"),
            (b"a\n", "no rows"),
        ] {
            let problem = read(text).unwrap_err();
            assert!(format!("{:?}", problem.fields()).contains(words), "{problem:?}");
        }
    }

    #[test]
    fn columns_go_where_they_are_sent_or_called() {
        let columns = names(&["Full name", "WhatsApp", "Stage", "created_at", "Shoe size", "_reason"]);
        let found = targets(&columns, &map(json!({"Shoe size": null}))).unwrap();
        let name = |text: &str| Some(text.to_owned());
        assert_eq!(found, [name("name"), name("phone"), name("lifecycle"), None, None, None]);
        let words = |columns: &[&str], mapping: Json| {
            format!("{:?}", targets(&names(columns), &map(mapping)).unwrap_err().fields())
        };
        assert!(words(&["phone", "Shoe size"], json!({})).contains("is no field"));
        assert!(words(&["name"], json!({})).contains("No column is the telephone number"));
        assert!(words(&["phone", "mobile"], json!({})).contains("Two columns go to phone"));
        assert!(words(&["phone"], json!({"phone": "shoe"})).contains("no field"));
        assert!(words(&["phone"], json!({"tel": "phone"})).contains("has no column"));
    }

    #[test]
    fn a_row_says_what_its_cells_say_and_never_lifts_an_opt_out() {
        let targets: Vec<_> =
            ["name", "phone", "tags", "lifecycle", "opted_out", "notes"].map(|it| Some(it.to_owned())).to_vec();
        let cells = |out: &str| names(&["Aline", "'+250788123456", "vip; moto", "VIP", out, " "]);
        let wanted = json!({"name": "Aline", "phone": "+250788123456", "tags": ["vip", "moto"], "lifecycle": "vip", "opted_out": true});
        assert_eq!(Json::Object(body(&targets, &cells("Yes"))), wanted);
        assert!(!body(&targets, &cells("no")).contains_key("opted_out"));
        assert_eq!(list(r#"["a, b","c"]"#), json!(["a, b", "c"]));
    }

    proptest! {
        #[test]
        fn what_an_export_disarms_an_import_takes_back(text in "[=+@a-z'-]{0,12}") {
            prop_assume!(harmed(&text) == text);
            let cell = harmless(text.clone());
            prop_assert_eq!(harmed(&cell), text);
            prop_assert!(!cell.starts_with(['=', '+', '-', '@']));
        }
    }
}
