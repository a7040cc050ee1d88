//! Tables made from definitions at run time; only additive changes.
//!
//! [`plan`] compares the definitions with the database and says what to do and what it will not do; [`apply`] does it.

mod catalogue;
mod define;
mod names;

pub use define::{ColumnDef, ColumnKind, ForeignKeyDef, IndexDef, OnDelete, TableDef};

use catalogue::{Catalogue, Found};
use loopd_types::hex;
pub use names::index as index_name;
use names::{list, quoted};

use crate::{Engine, Reader, StoreError, Tx, Value, planner, security};

/// What [`plan`] found to do.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Plan {
    /// Statements in the order in which they must run; empty when nothing is to be done.
    pub statements: Vec<String>,
    /// What cannot be done without losing data, in words for the operator.
    pub refusals: Vec<String>,
}

/// Compares the definitions with the database. Tables and columns that no definition names are left alone.
///
/// # Errors
/// Only the database's; what cannot be done stands in [`Plan::refusals`].
pub fn plan(reader: &mut Reader<'_>, tables: &[TableDef]) -> Result<Plan, StoreError> {
    let catalogue = Catalogue::read(reader)?;
    let mut planner =
        Planner { engine: reader.engine(), plan: Plan::default(), links: Vec::new(), indexes: Vec::new() };
    for table in tables {
        if let Err(refusal) = check(table) {
            planner.plan.refusals.push(refusal);
            continue;
        }
        match catalogue.table(&table.name) {
            None => planner.create(table),
            Some(found) => planner.extend(table, found),
        }
    }
    // Links come when all tables are there, and indexes last, when all columns are.
    let Planner { mut plan, links, indexes, .. } = planner;
    plan.statements.extend(links);
    plan.statements.extend(indexes);
    Ok(plan)
}

/// Runs the statements of a plan; on PostgreSQL, new tables with a `company_id` get their row policy, on SQLite the planner hears of
/// new indexes.
///
/// # Errors
/// `Other` listing the refusals when there are any; nothing is run then.
pub fn apply(tx: &mut Tx<'_>, plan: &Plan) -> Result<(), StoreError> {
    if !plan.refusals.is_empty() {
        return Err(StoreError::Other(format!(
            "the tables cannot be brought up to date: {}",
            plan.refusals.join("; ")
        )));
    }
    for statement in &plan.statements {
        tx.batch(statement)?;
    }
    planner::ensure(tx)?;
    security::ensure(tx)
}

/// Tables that no definition names, and columns of defined tables that their definition does not name, each with its table; by name.
///
/// # Errors
/// The database's.
pub fn undefined(reader: &mut Reader<'_>, tables: &[TableDef]) -> Result<Vec<(String, Vec<String>)>, StoreError> {
    let catalogue = Catalogue::read(reader)?;
    let mut undefined = Vec::new();
    for (name, found) in catalogue.all() {
        let known = tables.iter().find(|table| table.name == *name);
        let is_known = |column: &String| known.is_some_and(|table| table.columns.iter().any(|own| own.name == *column));
        let mut columns: Vec<String> = found.columns.keys().filter(|column| !is_known(column)).cloned().collect();
        columns.sort();
        if !columns.is_empty() {
            undefined.push((name.clone(), columns));
        }
    }
    undefined.sort();
    Ok(undefined)
}

/// The columns of a table that have a value where a new row names none, in the order of its definition.
///
/// # Errors
/// The database's.
pub fn with_default(reader: &mut Reader<'_>, table: &TableDef) -> Result<Vec<String>, StoreError> {
    let catalogue = Catalogue::read(reader)?;
    let has_default = |column: &ColumnDef| {
        catalogue.table(&table.name).and_then(|found| found.columns.get(&column.name)).is_some_and(|c| c.has_default)
    };
    Ok(table.columns.iter().filter(|column| has_default(column)).map(|column| column.name.clone()).collect())
}

/// Names that hold water, and columns that are there.
fn check(table: &TableDef) -> Result<(), String> {
    let TableDef { name, columns, primary_key, foreign_keys, indexes } = table;
    names::check(name)?;
    for (at, column) in columns.iter().enumerate() {
        names::check(&column.name).map_err(|words| format!("table {name}: {words}"))?;
        if columns[..at].iter().any(|other| other.name == column.name) {
            return Err(format!("table {name}: two columns are called {}", column.name));
        }
    }
    let used = primary_key
        .iter()
        .chain(foreign_keys.iter().flat_map(|link| &link.columns))
        .chain(indexes.iter().flat_map(|index| &index.columns));
    for used in used {
        if !columns.iter().any(|column| column.name == *used) {
            return Err(format!("table {name}: there is no column {used} for its keys and indexes"));
        }
    }
    for link in foreign_keys {
        names::check(&link.table)?;
        for column in &link.references {
            names::check(column)?;
        }
    }
    if primary_key.is_empty() { Err(format!("table {name}: it needs a primary key")) } else { Ok(()) }
}

struct Planner {
    engine: Engine,
    plan: Plan,
    links: Vec<String>,
    indexes: Vec<String>,
}

impl Planner {
    fn create(&mut self, table: &TableDef) {
        let mut parts: Vec<String> = table.columns.iter().map(|column| self.column(column)).collect();
        parts.push(format!("PRIMARY KEY ({})", list(&table.primary_key)));
        for link in &table.foreign_keys {
            match self.engine {
                // SQLite does not mind a link to a table that comes later, and could hardly add one afterwards.
                Engine::Sqlite => parts.push(foreign_key(link)),
                Engine::Postgres => {
                    self.links.push(format!("ALTER TABLE {} ADD {}", quoted(&table.name), foreign_key(link)))
                }
            }
        }
        let end = match self.engine {
            Engine::Sqlite => KEYED,
            Engine::Postgres => ")",
        };
        self.plan.statements.push(format!("CREATE TABLE {} ({}{end}", quoted(&table.name), parts.join(", ")));
        for index in &table.indexes {
            self.index(&table.name, index);
        }
    }

    fn extend(&mut self, table: &TableDef, found: &Found) {
        let name = &table.name;
        if found.primary_key != table.primary_key {
            self.refuse(format!(
                "table {name}: its primary key is ({}) and cannot become ({})",
                found.primary_key.join(", "),
                table.primary_key.join(", ")
            ));
        }
        for column in &table.columns {
            match found.columns.get(&column.name) {
                None => self.add_column(name, column),
                Some(there) => {
                    let wanted = catalogue::word(self.engine, column.kind);
                    if there.word != wanted {
                        self.refuse(format!(
                            "column {name}.{} is {} and cannot become {wanted}",
                            column.name, there.word
                        ));
                    } else if there.nullable != column.nullable {
                        let (is, wanted) =
                            if there.nullable { ("optional", "required") } else { ("required", "optional") };
                        self.refuse(format!("column {name}.{} is {is} and cannot become {wanted}", column.name));
                    }
                }
            }
        }
        let mut orphans: Vec<_> = found
            .columns
            .iter()
            .filter(|(there, column)| {
                !column.nullable && !column.has_default && !table.columns.iter().any(|column| column.name == **there)
            })
            .map(|(there, _)| there)
            .collect();
        orphans.sort();
        for there in orphans {
            self.refuse(format!("column {name}.{there} is required but no longer defined, so no row could be added"));
        }
        for link in &table.foreign_keys {
            let is_there = found.links.iter().any(|(columns, other, references)| {
                *columns == link.columns && *other == link.table && *references == link.references
            });
            if !is_there {
                self.add_link(name, link);
            }
        }
        let wanted: Vec<String> = table.indexes.iter().map(|index| names::index(name, index)).collect();
        for (index, index_name) in table.indexes.iter().zip(&wanted) {
            if !found.indexes.contains(index_name) {
                self.index(name, index);
            }
        }
        // An index holds no data of its own, and a unique one that is no longer wanted would go on refusing rows.
        let mut stale: Vec<_> =
            found.indexes.iter().filter(|there| names::is_ours(there) && !wanted.contains(there)).collect();
        stale.sort();
        self.indexes.extend(stale.into_iter().map(|there| format!("DROP INDEX {}", quoted(there))));
    }

    fn add_column(&mut self, table: &str, column: &ColumnDef) {
        if !column.nullable && matches!(column.default, None | Some(Value::Null)) {
            self.refuse(format!(
                "column {table}.{} is new and required: rows that are there need a default for it",
                column.name
            ));
            return;
        }
        let sql = format!("ALTER TABLE {} ADD COLUMN {}", quoted(table), self.column(column));
        self.plan.statements.push(sql);
    }

    fn add_link(&mut self, table: &str, link: &ForeignKeyDef) {
        match self.engine {
            Engine::Postgres => self.links.push(format!("ALTER TABLE {} ADD {}", quoted(table), foreign_key(link))),
            Engine::Sqlite => self.links.push(sqlite_link(table, link)),
        }
    }

    fn index(&mut self, table: &str, index: &IndexDef) {
        let unique = if index.unique { "UNIQUE " } else { "" };
        let condition = index.where_sql.as_ref().map(|sql| format!(" WHERE {sql}")).unwrap_or_default();
        let name = quoted(&names::index(table, index));
        self.indexes.push(format!(
            "CREATE {unique}INDEX {name} ON {} ({}){condition}",
            quoted(table),
            list(&index.columns)
        ));
    }

    fn column(&self, column: &ColumnDef) -> String {
        let ColumnDef { name, kind, nullable, default } = column;
        let mut sql = format!("{} {}", quoted(name), catalogue::word(self.engine, *kind));
        if !nullable {
            sql.push_str(" NOT NULL");
        }
        if let Some(value) = default {
            sql.push_str(" DEFAULT ");
            sql.push_str(&literal(self.engine, value));
        }
        sql
    }

    fn refuse(&mut self, words: String) {
        self.plan.refusals.push(words);
    }
}

/// How every new table ends on SQLite. Its key *is* the table: a row is found by one search and written once, where a hidden
/// row number would cost a second tree for the key (measured: a fifth of a create, a third of a page's reads).
const KEYED: &str = ") STRICT, WITHOUT ROWID";

/// How the tables of earlier versions end.
const STRICT: &str = ") STRICT";

fn foreign_key(link: &ForeignKeyDef) -> String {
    let action = match link.on_delete {
        OnDelete::Restrict => "RESTRICT",
        OnDelete::Cascade => "CASCADE",
    };
    format!(
        "FOREIGN KEY ({}) REFERENCES {} ({}) ON DELETE {action}",
        list(&link.columns),
        quoted(&link.table),
        list(&link.references)
    )
}

/// SQLite cannot add a link to a table that is there, but lets its stored text be edited where no row has to change.
/// The short-lived table makes every connection read the schema anew.
///
/// Source: <https://sqlite.org/lang_altertable.html>, section 7, "changes that do not affect the on-disk content".
fn sqlite_link(table: &str, link: &ForeignKeyDef) -> String {
    let added = format!(", {}", foreign_key(link));
    let edit = |end: &str| {
        let text = format!("{added}{end}").replace('\'', "''");
        format!(
            "UPDATE sqlite_schema SET sql = substr(sql, 1, length(sql) - {}) || '{text}' \
             WHERE type = 'table' AND name = '{table}' AND sql LIKE '%{end}'; ",
            end.len()
        )
    };
    format!(
        "PRAGMA writable_schema = ON; {}{}PRAGMA writable_schema = RESET; \
         CREATE TABLE schema_changed (n INTEGER) STRICT; DROP TABLE schema_changed;",
        edit(KEYED),
        edit(STRICT)
    )
}

fn literal(engine: Engine, value: &Value) -> String {
    match (value, engine) {
        (Value::Null, _) => "NULL".to_owned(),
        (Value::Bool(value), Engine::Sqlite) => u8::from(*value).to_string(),
        (Value::Bool(value), Engine::Postgres) => value.to_string(),
        (Value::Int(value), _) => value.to_string(),
        (Value::Text(value) | Value::Json(value), _) => format!("'{}'", value.replace('\'', "''")),
        (Value::Uuid(value), _) => format!("'{value}'"),
        (Value::Bytes(value), Engine::Sqlite) => format!("x'{}'", hex(value)),
        (Value::Bytes(value), Engine::Postgres) => format!("'\\x{}'", hex(value)),
    }
}
