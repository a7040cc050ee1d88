//! The tables that the numbered migrations leave behind, read from the migrations' own text: SQLite's catalogue cannot tell a UUID
//! or JSON from text. `tests/tables.rs` holds what is read here against the catalogues of both engines.

use std::collections::BTreeMap;

use super::EMBEDDED;
use crate::Value;
use crate::ddl::{ColumnDef, ColumnKind, ForeignKeyDef, OnDelete, TableDef};

/// Every table of the numbered migrations with its columns, key and links, by name; without indexes.
pub fn tables() -> Vec<TableDef> {
    let mut tables = BTreeMap::new();
    for step in EMBEDDED {
        // Where a step differs, SQLite's text rebuilds tables as they were.
        for statement in without_comments(step.postgres).split(';') {
            read(statement.trim(), &mut tables);
        }
    }
    tables.into_values().collect()
}

/// The number of the newest migration: what an archive or a backup was written by.
pub fn newest() -> u32 {
    EMBEDDED.last().map_or(0, |step| step.number)
}

fn without_comments(script: &str) -> String {
    let mut text = String::with_capacity(script.len());
    let mut rest = script;
    while let Some(at) = rest.find("/*") {
        text.push_str(&rest[..at]);
        rest = rest[at..].find("*/").map_or("", |end| &rest[at + end + 2..]);
    }
    text.push_str(rest);
    let lines = text.lines().map(|line| line.split("--").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

fn read(statement: &str, tables: &mut BTreeMap<String, TableDef>) {
    let words: Vec<&str> = statement.split_whitespace().collect();
    match words.as_slice() {
        ["CREATE", "TABLE", ..] => {
            let (Some(open), Some(close)) = (statement.find('('), statement.rfind(')')) else { return };
            let Some(name) = statement[..open].split_whitespace().last() else { return };
            tables.insert(name.to_owned(), table(name, &statement[open + 1..close]));
        }
        ["ALTER", "TABLE", from, "RENAME", "TO", to] => {
            if let Some(mut table) = tables.remove(*from) {
                table.name = (*to).to_owned();
                tables.insert(table.name.clone(), table);
            }
        }
        ["ALTER", "TABLE", name, "RENAME", "COLUMN", from, "TO", to] => {
            let columns = tables.get_mut(*name).into_iter().flat_map(|table| &mut table.columns);
            for column in columns.filter(|column| column.name == *from) {
                column.name = (*to).to_owned();
            }
        }
        ["ALTER", "TABLE", name, "DROP", "COLUMN", column] => {
            if let Some(table) = tables.get_mut(*name) {
                table.columns.retain(|known| known.name != *column);
            }
        }
        ["ALTER", "TABLE", name, "ADD", "COLUMN", ..] => {
            if let (Some(table), Some((_, definition))) = (tables.get_mut(*name), statement.split_once("ADD COLUMN")) {
                add(table, definition);
            }
        }
        ["DROP", "TABLE", name] => {
            tables.remove(*name);
        }
        _ => {}
    }
}

fn table(name: &str, body: &str) -> TableDef {
    let mut table = TableDef {
        name: name.to_owned(),
        columns: Vec::new(),
        primary_key: Vec::new(),
        foreign_keys: Vec::new(),
        indexes: Vec::new(),
    };
    for part in parts(body) {
        add(&mut table, part);
    }
    table
}

/// The parts between commas that stand in no parentheses.
fn parts(body: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, letter) in body.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&body[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&body[start..]);
    parts
}

/// Adds a column, a key or a link; other rules leave no trace.
fn add(table: &mut TableDef, part: &str) {
    let part = part.trim();
    if let Some(key) = part.strip_prefix("PRIMARY KEY") {
        table.primary_key = names(key);
    } else if let Some(rest) = part.strip_prefix("FOREIGN KEY") {
        table.foreign_keys.extend(link(names(rest), rest));
    } else if let Some(column) = column(part) {
        if part.contains("PRIMARY KEY") {
            table.primary_key = vec![column.name.clone()];
        }
        table.foreign_keys.extend(link(vec![column.name.clone()], part));
        table.columns.push(column);
    }
}

/// The names in the first parentheses.
fn names(text: &str) -> Vec<String> {
    let inner = text.split_once('(').and_then(|(_, rest)| rest.split_once(')')).map_or("", |(inner, _)| inner);
    inner.split(',').map(|name| name.trim().to_owned()).collect()
}

fn link(columns: Vec<String>, part: &str) -> Option<ForeignKeyDef> {
    let (_, target) = part.split_once("REFERENCES")?;
    let table = target.trim().split(|letter: char| letter == '(' || letter.is_whitespace()).next()?.to_owned();
    let on_delete = if target.contains("ON DELETE CASCADE") { OnDelete::Cascade } else { OnDelete::Restrict };
    Some(ForeignKeyDef { columns, table, references: names(target), on_delete })
}

/// `None` for other rules.
fn column(part: &str) -> Option<ColumnDef> {
    let mut words = part.split_whitespace();
    let (name, kind) = (words.next()?, words.next()?);
    let kind = match kind {
        "UUID" => ColumnKind::Uuid,
        "TEXT" => ColumnKind::Text,
        "BIGINT" => ColumnKind::Int,
        "BOOLEAN" => ColumnKind::Bool,
        "JSON" | "JSONB" => ColumnKind::Json,
        "BYTEA" => ColumnKind::Bytes,
        _ => return None,
    };
    let is_required = part.contains("NOT NULL") || part.contains("PRIMARY KEY");
    let column = if is_required { ColumnDef::required(name, kind) } else { ColumnDef::optional(name, kind) };
    Some(match part.split_once("DEFAULT ").and_then(|(_, rest)| default(rest.trim(), kind)) {
        Some(value) => column.with_default(value),
        None => column,
    })
}

fn default(text: &str, kind: ColumnKind) -> Option<Value> {
    if let Some(quoted) = text.strip_prefix('\'') {
        let inner = quoted.split('\'').next()?.to_owned();
        return Some(if kind == ColumnKind::Json { Value::Json(inner) } else { Value::Text(inner) });
    }
    match text.split_whitespace().next()? {
        "TRUE" => Some(Value::Bool(true)),
        "FALSE" => Some(Value::Bool(false)),
        number => number.parse().ok().map(Value::Int),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_followed_through_its_changes() {
        let mut tables = BTreeMap::new();
        let script = "-- a; comment\nCREATE TABLE notes (company_id BIGINT NOT NULL, id UUID NOT NULL, -- more
            owner UUID REFERENCES users (id) ON DELETE CASCADE, words TEXT NOT NULL DEFAULT 'a b', old JSON,
            PRIMARY KEY (company_id, id), UNIQUE (company_id, words), CHECK (words <> ''),
            FOREIGN KEY (company_id, owner) REFERENCES members (company_id, user_id)) /*sqlite: WITHOUT ROWID */;
            ALTER TABLE notes ADD COLUMN is_open BOOLEAN NOT NULL DEFAULT TRUE; ALTER TABLE notes DROP COLUMN old;
            ALTER TABLE notes RENAME COLUMN words TO title; ALTER TABLE notes RENAME TO papers;
            CREATE TABLE gone (id UUID PRIMARY KEY); DROP TABLE gone";
        for statement in without_comments(script).split(';') {
            read(statement.trim(), &mut tables);
        }
        let table = &tables["papers"];
        assert_eq!(tables.len(), 1);
        assert_eq!(table.primary_key, ["company_id", "id"]);
        let columns: Vec<String> = table
            .columns
            .iter()
            .map(|column| format!("{} {:?} {} {:?}", column.name, column.kind, column.nullable, column.default))
            .collect();
        assert_eq!(
            columns,
            [
                "company_id Int false None",
                "id Uuid false None",
                "owner Uuid true None",
                "title Text false Some(Text(\"a b\"))",
                "is_open Bool false Some(Bool(true))"
            ]
        );
        let links: Vec<String> = table
            .foreign_keys
            .iter()
            .map(|link| format!("{:?} {} {:?} {:?}", link.columns, link.table, link.references, link.on_delete))
            .collect();
        assert_eq!(
            links,
            [
                "[\"owner\"] users [\"id\"] Cascade",
                "[\"company_id\", \"owner\"] members [\"company_id\", \"user_id\"] Restrict"
            ]
        );
    }
}
