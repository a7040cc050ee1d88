//! The definitions that tables are made from.

use crate::Value;

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ColumnKind {
    Uuid,
    Text,
    /// Whole number, money in minor units, or a moment in microseconds.
    Int,
    Bool,
    Json,
    Bytes,
}

/// One column.
#[derive(Clone, PartialEq, Debug)]
pub struct ColumnDef {
    pub name: String,
    pub kind: ColumnKind,
    pub nullable: bool,
    pub default: Option<Value>,
}

impl ColumnDef {
    /// A column that must have a value.
    pub fn required(name: &str, kind: ColumnKind) -> Self {
        Self { name: name.to_owned(), kind, nullable: false, default: None }
    }
    /// A column that may be NULL.
    pub fn optional(name: &str, kind: ColumnKind) -> Self {
        Self { name: name.to_owned(), kind, nullable: true, default: None }
    }
    /// With a value for rows that name none, old rows included.
    pub fn with_default(mut self, value: impl Into<Value>) -> Self {
        self.default = Some(value.into());
        self
    }
}

/// One index; its name follows from table and columns.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IndexDef {
    pub columns: Vec<String>,
    pub unique: bool,
    /// A trusted SQL condition in the portable subset (`deleted_at IS NULL`).
    pub where_sql: Option<String>,
}

/// What becomes of rows whose link is removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnDelete {
    Restrict,
    Cascade,
}

/// A link from `columns` to the `references` columns of `table`; tenant tables carry `company_id` in both lists.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ForeignKeyDef {
    pub columns: Vec<String>,
    pub table: String,
    pub references: Vec<String>,
    pub on_delete: OnDelete,
}

/// One table.
#[derive(Clone, PartialEq, Debug)]
pub struct TableDef {
    pub name: String,
    pub columns: Vec<ColumnDef>,
    pub primary_key: Vec<String>,
    pub foreign_keys: Vec<ForeignKeyDef>,
    pub indexes: Vec<IndexDef>,
}
