//! A row of cells becomes a body: texts as their fields' kinds read them, and records named by number, code or their own id.

use std::collections::HashMap;

use loopd_store::params;
use loopd_types::{Problem, Result, Uuid};
use serde_json::{Map, Value as Json};

use super::store::Import;
use crate::define::base::{EXTERNAL_ID, NUMBER};
use crate::define::{Field, Kind};
use crate::engine::condition::Where;
use crate::engine::cx::{Cx, runtime};
use crate::engine::runtime::ResourceRuntime;

/// What names were found to be, within one chunk.
pub type Known = HashMap<(String, String), Option<Uuid>>;

/// The body that a row means.
///
/// # Errors
/// 400 on the fields whose records nobody knows.
pub fn body(
    cx: &mut Cx<'_, '_>,
    resource: &ResourceRuntime,
    import: &Import,
    cells: &[Json],
    known: &mut Known,
) -> Result<Json> {
    let mut fields = Map::new();
    let mut problem = Problem::validation();
    for (name, cell) in import.targets.iter().zip(cells) {
        let Some(name) = name else { continue };
        // An empty cell says nothing: a default stands, and a known record keeps what it has.
        if cell.is_null() {
            continue;
        }
        let kind =
            resource.place(name).and_then(|place| resource.field_at(place)).map(|field: &Field| field.kind.clone());
        let value = if name == "workspace" {
            one(cx, WORKSPACES, cell, known)?
        } else {
            match kind {
                Some(Kind::Reference { target }) => one(cx, &target, cell, known)?,
                Some(Kind::User) => one(cx, PEOPLE, cell, known)?,
                Some(Kind::References { target }) => many(cx, &target, cell, known)?,
                kind => Ok(plain(name, kind.as_ref(), cell)),
            }
        };
        match value {
            Ok(value) => {
                fields.insert(name.clone(), value);
            }
            Err(nobody) => {
                problem.add_field(name.clone(), "does_not_exist", format!("Nothing is known as \"{nobody}\" here."));
            }
        }
    }
    if problem.has_fields() { Err(problem) } else { Ok(Json::Object(fields)) }
}

/// A cell of a kind that stands for itself. JSON's own values stay as they are.
fn plain(name: &str, kind: Option<&Kind>, cell: &Json) -> Json {
    let Json::String(text) = cell else { return cell.clone() };
    let words = || Json::from(harmed(text));
    let trimmed = text.trim();
    match kind {
        Some(Kind::Boolean) => match trimmed.to_lowercase().as_str() {
            "true" | "yes" | "1" | "x" => Json::Bool(true),
            "false" | "no" | "0" => Json::Bool(false),
            _ => words(),
        },
        Some(Kind::Integer { .. } | Kind::Minutes) => trimmed.parse::<i64>().map_or_else(|_| words(), Json::from),
        Some(Kind::Tags) => list(trimmed),
        Some(Kind::Json | Kind::Object) => serde_json::from_str(trimmed).unwrap_or_else(|_| words()),
        Some(_) => words(),
        None => match name {
            "tags" => list(trimmed),
            "title" | "description" | "external_id" | "status" => words(),
            // free fields, and lists of lines
            _ => serde_json::from_str(trimmed).unwrap_or_else(|_| words()),
        },
    }
}

/// Our exports put an apostrophe before what a spreadsheet would take for a formula.
fn harmed(text: &str) -> &str {
    match text.strip_prefix('\'') {
        Some(rest) if rest.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) => rest,
        _ => text,
    }
}

fn list(text: &str) -> Json {
    serde_json::from_str::<Vec<String>>(text).map_or_else(|_| parts(text).map(Json::from).collect(), Json::from)
}

fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', ';', '|']).map(str::trim).filter(|part| !part.is_empty())
}

/// In the place of `module/resource`.
const PEOPLE: &str = "people";
const WORKSPACES: &str = "workspaces";

type Named = std::result::Result<Json, String>;

/// The id of whom a cell names; `Err` with the name that nobody has.
fn one(cx: &mut Cx<'_, '_>, target: &str, cell: &Json, known: &mut Known) -> Result<Named> {
    let Json::String(name) = cell else { return Ok(Ok(cell.clone())) };
    let name = name.trim();
    if Uuid::parse_str(name).is_ok() {
        return Ok(Ok(Json::from(name)));
    }
    let key = (target.to_owned(), name.to_owned());
    let found = match known.get(&key) {
        Some(found) => *found,
        None => {
            let found = find(cx, target, name)?;
            known.insert(key, found);
            found
        }
    };
    Ok(found.map(|id| Json::from(id.to_string())).ok_or_else(|| name.to_owned()))
}

fn many(cx: &mut Cx<'_, '_>, target: &str, cell: &Json, known: &mut Known) -> Result<Named> {
    let names: Vec<Json> = match cell {
        Json::String(text) => match serde_json::from_str::<Vec<Json>>(text) {
            Ok(list) => list,
            Err(_) => parts(text).map(Json::from).collect(),
        },
        Json::Array(list) => list.clone(),
        other => return Ok(Ok(other.clone())),
    };
    let mut ids = Vec::with_capacity(names.len());
    for name in &names {
        match one(cx, target, name, known)? {
            Ok(id) => ids.push(id),
            Err(nobody) => return Ok(Err(nobody)),
        }
    }
    Ok(Ok(Json::Array(ids)))
}

fn find(cx: &mut Cx<'_, '_>, target: &str, name: &str) -> Result<Option<Uuid>> {
    let company = cx.company();
    match target {
        PEOPLE => Ok(cx.tx.first(
            "SELECT u.id FROM users u JOIN memberships m ON m.user_id = u.id \
             WHERE m.company_id = $1 AND m.status <> 'left' AND (u.email = $2 OR u.username_key = $2)",
            &params![company, name.to_lowercase()],
            |row| row.uuid(0),
        )?),
        WORKSPACES => Ok(cx.tx.first(
            "SELECT id FROM workspaces WHERE company_id = $1 AND (slug = $2 OR name = $2) ORDER BY slug = $2 DESC, id",
            &params![company, name],
            |row| row.uuid(0),
        )?),
        _ => record(cx, target, name),
    }
}

/// A record by its number, the client's own id, or a field that no two records share: a code, an email address.
fn record(cx: &mut Cx<'_, '_>, target: &str, name: &str) -> Result<Option<Uuid>> {
    let resource = runtime(cx.engine, target)?.clone();
    let mut ways: Vec<String> =
        [NUMBER, EXTERNAL_ID].iter().map(|place| resource.columns[*place].name.clone()).collect();
    let is_text = |kind: &Kind| matches!(kind.stored(), crate::define::Stored::Text);
    ways.extend(
        resource.fields().filter(|(_, field)| field.unique && is_text(&field.kind)).map(|(_, f)| f.name.clone()),
    );
    for way in ways {
        if let [only] = cx.select(target, &Where::new().eq(&way, name).limit(2))?.as_slice() {
            return Ok(Some(only.id()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_what_its_field_takes_it_for() {
        let read = |kind: Kind, text: &str| plain("x", Some(&kind), &Json::from(text));
        assert_eq!(read(Kind::Boolean, "Yes"), Json::Bool(true));
        assert_eq!(read(Kind::Boolean, "perhaps"), Json::from("perhaps"));
        assert_eq!(read(Kind::Integer { min: 0, max: 9 }, " 7 "), Json::from(7));
        assert_eq!(read(Kind::Integer { min: 0, max: 9 }, "7.5"), Json::from("7.5"));
        assert_eq!(read(Kind::Tags, "a; b,c"), serde_json::json!(["a", "b", "c"]));
        assert_eq!(read(Kind::Object, "{\"a\":1}"), serde_json::json!({"a": 1}));
        assert_eq!(read(Kind::Phone, "'+250788000111"), Json::from("+250788000111"));
        assert_eq!(read(Kind::Phone, "'quoted"), Json::from("'quoted"));
        assert_eq!(plain("x", Some(&Kind::Boolean), &Json::from(1)), Json::from(1), "JSON says itself what it is");
    }
}
