//! What tables are there, read from the engine's own catalogue in three statements.

use std::collections::{HashMap, HashSet};

use super::ColumnKind;
use crate::{Engine, Reader, StoreError};

/// Every table of the database by name.
#[derive(Default)]
pub struct Catalogue(HashMap<String, Found>);

/// One table as it is.
#[derive(Default)]
pub struct Found {
    pub columns: HashMap<String, FoundColumn>,
    pub primary_key: Vec<String>,
    /// Columns, table and columns linked to.
    pub links: Vec<(Vec<String>, String, Vec<String>)>,
    pub indexes: HashSet<String>,
}

pub struct FoundColumn {
    /// The engine's word for its type.
    pub word: String,
    pub nullable: bool,
    pub has_default: bool,
}

/// The engine's word for a kind. SQLite has one word for text, UUID and JSON; INT beside INTEGER tells booleans.
pub fn word(engine: Engine, kind: ColumnKind) -> &'static str {
    match (engine, kind) {
        (Engine::Sqlite, ColumnKind::Uuid | ColumnKind::Text | ColumnKind::Json) => "TEXT",
        (Engine::Sqlite, ColumnKind::Int) => "INTEGER",
        (Engine::Sqlite, ColumnKind::Bool) => "INT",
        (Engine::Sqlite, ColumnKind::Bytes) => "BLOB",
        (Engine::Postgres, ColumnKind::Uuid) => "uuid",
        (Engine::Postgres, ColumnKind::Text) => "text",
        (Engine::Postgres, ColumnKind::Int) => "bigint",
        (Engine::Postgres, ColumnKind::Bool) => "boolean",
        (Engine::Postgres, ColumnKind::Json) => "json",
        (Engine::Postgres, ColumnKind::Bytes) => "bytea",
    }
}

impl Catalogue {
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, StoreError> {
        let mut catalogue = Self::default();
        let [columns, keys, indexes] = match reader.engine() {
            Engine::Sqlite => SQLITE,
            Engine::Postgres => POSTGRES,
        };
        reader.each(columns, &[], |row| {
            let table = catalogue.0.entry(row.text(0)?.to_owned()).or_default();
            let column =
                FoundColumn { word: row.text(2)?.to_owned(), nullable: row.bool(3)?, has_default: row.bool(4)? };
            table.columns.insert(row.text(1)?.to_owned(), column);
            Ok(())
        })?;
        reader.each(keys, &[], |row| {
            let Some(table) = catalogue.0.get_mut(row.text(0)?) else { return Ok(()) };
            let columns = names(row.text(1)?);
            match row.opt_text(2)? {
                None => table.primary_key = columns,
                Some(other) => {
                    table.links.push((columns, other.to_owned(), names(row.opt_text(3)?.unwrap_or_default())))
                }
            }
            Ok(())
        })?;
        reader.each(indexes, &[], |row| {
            if let Some(table) = catalogue.0.get_mut(row.text(0)?) {
                table.indexes.insert(row.text(1)?.to_owned());
            }
            Ok(())
        })?;
        Ok(catalogue)
    }

    pub fn table(&self, name: &str) -> Option<&Found> {
        self.0.get(name)
    }
    pub fn all(&self) -> impl Iterator<Item = (&String, &Found)> {
        self.0.iter()
    }
}

fn names(list: &str) -> Vec<String> {
    list.split(',').map(ToOwned::to_owned).collect()
}

/// Columns (table, name, type, nullable, has default); keys (table, columns, linked table or NULL for the primary key,
/// linked columns); indexes (table, name).
const SQLITE: [&str; 3] = [
    "SELECT t.name, c.name, c.type, c.\"notnull\" = 0 AND c.pk = 0, c.dflt_value IS NOT NULL
     FROM sqlite_schema t JOIN pragma_table_info(t.name) c WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite^_%' ESCAPE '^'",
    "SELECT tab, group_concat(col), NULL, NULL FROM
         (SELECT t.name AS tab, c.name AS col FROM sqlite_schema t JOIN pragma_table_info(t.name) c
          WHERE t.type = 'table' AND c.pk > 0 ORDER BY t.name, c.pk) GROUP BY tab
     UNION ALL
     SELECT tab, group_concat(source), target, group_concat(aim) FROM
         (SELECT t.name AS tab, f.id AS id, f.\"from\" AS source, f.\"table\" AS target, f.\"to\" AS aim
          FROM sqlite_schema t JOIN pragma_foreign_key_list(t.name) f WHERE t.type = 'table'
          ORDER BY t.name, f.id, f.seq) GROUP BY tab, id",
    "SELECT tbl_name, name FROM sqlite_schema WHERE type = 'index'",
];

const POSTGRES: [&str; 3] = [
    "SELECT c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod), NOT a.attnotnull, a.atthasdef
     FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped",
    "SELECT c.relname::text,
         (SELECT string_agg(a.attname::text, ',' ORDER BY u.place) FROM unnest(k.conkey) WITH ORDINALITY u (number, place)
          JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.number),
         f.relname::text,
         (SELECT string_agg(a.attname::text, ',' ORDER BY u.place) FROM unnest(k.confkey) WITH ORDINALITY u (number, place)
          JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.number)
     FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     LEFT JOIN pg_class f ON f.oid = k.confrelid
     WHERE n.nspname = current_schema() AND k.contype IN ('p', 'f') AND k.conparentid = 0",
    "SELECT tablename::text, indexname::text FROM pg_indexes WHERE schemaname = current_schema()",
];
