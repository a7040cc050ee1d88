//! Finding the field of every column.

use loopd_types::{Problem, Result};
use serde_json::Value as Json;

use super::Wish;
use crate::define::base::{DATA, DESCRIPTION, EXTERNAL_ID, STATUS, TAGS, TITLE, WORKSPACE};
use crate::engine::runtime::ResourceRuntime;

/// Fields of every record that a client may set.
const BASE: [usize; 7] = [TITLE, DESCRIPTION, DATA, TAGS, EXTERNAL_ID, WORKSPACE, STATUS];

/// The field that each column goes to: by the client's mapping, else by its own name. `None` for what cannot be set or is left out.
///
/// # Errors
/// 400 on `mapping` with every column that goes nowhere and every name that is none.
pub fn targets(runtime: &ResourceRuntime, columns: &[String], wish: &Wish) -> Result<Vec<Option<String>>> {
    let mut problem = Problem::validation();
    for column in wish.mapping.keys().filter(|column| !columns.contains(column)) {
        problem.add_field("mapping", "invalid", format!("The file has no column \"{column}\"."));
    }
    let mut found: Vec<Option<String>> = Vec::with_capacity(columns.len());
    for column in columns {
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
