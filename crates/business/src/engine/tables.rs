//! Tables made from definitions: `booking_appointments` with real columns, keys that carry the company, and the indexes its lists need.

use loopd_store::ddl::{ColumnDef, ColumnKind, ForeignKeyDef, IndexDef, OnDelete, TableDef, index_name};

use super::runtime::{Column, LinesRuntime, ResourceRuntime};
use crate::define::base::{
    CREATED_BY, DELETED_AT, DESCRIPTION, EXTERNAL_ID, FIRST_FIELD, NUMBER, UPDATED_BY, WORKSPACE,
};
use crate::define::{Field, Kind, Resource, Stored, UniqueSet};

/// Where every change of a status is kept, for all resources.
pub const STATUS_CHANGES: &str = "status_changes";

/// The tables of one resource: its own and one for each list of lines.
pub fn tables(runtime: &ResourceRuntime, table_of: &dyn Fn(&str) -> Option<String>) -> Vec<TableDef> {
    let mut tables = vec![record_table(runtime, table_of)];
    tables.extend(runtime.lines.iter().map(|lines| lines_table(runtime, lines, table_of)));
    tables
}

/// The tables that serve all resources.
pub fn shared_tables() -> Vec<TableDef> {
    let columns = vec![
        ColumnDef::required("company_id", ColumnKind::Int),
        ColumnDef::required("id", ColumnKind::Uuid),
        ColumnDef::required("module", ColumnKind::Text),
        ColumnDef::required("resource", ColumnKind::Text),
        ColumnDef::required("record_id", ColumnKind::Uuid),
        ColumnDef::required("action", ColumnKind::Text),
        ColumnDef::required("from_status", ColumnKind::Text),
        ColumnDef::required("to_status", ColumnKind::Text),
        ColumnDef::optional("actor_user_id", ColumnKind::Uuid),
        ColumnDef::required("at", ColumnKind::Int),
    ];
    let changes = TableDef {
        name: STATUS_CHANGES.into(),
        columns,
        primary_key: words(&["company_id", "id"]),
        foreign_keys: Vec::new(),
        indexes: vec![IndexDef { columns: words(&["company_id", "record_id"]), unique: false, where_sql: None }],
    };
    let mut tables = vec![changes];
    tables.extend(super::import::tables());
    tables
}

fn record_table(runtime: &ResourceRuntime, table_of: &dyn Fn(&str) -> Option<String>) -> TableDef {
    let columns = runtime.columns.iter().enumerate().map(|(place, column)| {
        let name = column.sql.trim_matches('"');
        let may_be_null = place >= FIRST_FIELD
            || [WORKSPACE, NUMBER, EXTERNAL_ID, CREATED_BY, UPDATED_BY, DELETED_AT].contains(&place);
        match () {
            // Typed columns take NULL even where a value is required: a field added later has none in older rows.
            () if may_be_null => ColumnDef::optional(name, column_kind(column)),
            () if place == DESCRIPTION => ColumnDef::required(name, column_kind(column)).with_default(""),
            () => ColumnDef::required(name, column_kind(column)),
        }
    });
    let mut foreign_keys = vec![link(&["company_id", "workspace_id"], "workspaces")];
    foreign_keys.extend(runtime.resource.fields.iter().filter_map(|field| reference(field, table_of)));
    TableDef {
        name: runtime.table.clone(),
        columns: columns.collect(),
        primary_key: words(&["company_id", "id"]),
        foreign_keys,
        indexes: indexes(&runtime.resource),
    }
}

fn lines_table(owner: &ResourceRuntime, lines: &LinesRuntime, table_of: &dyn Fn(&str) -> Option<String>) -> TableDef {
    let mut columns = vec![
        ColumnDef::required("company_id", ColumnKind::Int),
        ColumnDef::required("parent_id", ColumnKind::Uuid),
        ColumnDef::required("position", ColumnKind::Int),
        ColumnDef::required("id", ColumnKind::Uuid),
    ];
    let own = lines.columns.iter().skip(1);
    columns.extend(own.map(|column| ColumnDef::optional(column.sql.trim_matches('"'), column_kind(column))));
    let mut foreign_keys = vec![link(&["company_id", "parent_id"], &owner.table)];
    foreign_keys.extend(lines.lines.fields.iter().filter_map(|field| reference(field, table_of)));
    TableDef {
        name: lines.table.clone(),
        columns,
        primary_key: words(&["company_id", "id"]),
        foreign_keys,
        indexes: vec![IndexDef {
            columns: words(&["company_id", "parent_id", "position"]),
            unique: false,
            where_sql: None,
        }],
    }
}

fn column_kind(column: &Column) -> ColumnKind {
    match column.stored {
        Stored::Text => ColumnKind::Text,
        Stored::Integer => ColumnKind::Int,
        Stored::Boolean => ColumnKind::Bool,
        Stored::Uuid => ColumnKind::Uuid,
        Stored::Json => ColumnKind::Json,
    }
}

fn reference(field: &Field, table_of: &dyn Fn(&str) -> Option<String>) -> Option<ForeignKeyDef> {
    match &field.kind {
        Kind::Reference { target } => table_of(target).map(|table| link(&["company_id", &field.name], &table)),
        _ => None,
    }
}

/// Every link carries the company, so that one across tenants cannot be stored.
fn link(columns: &[&str; 2], table: &str) -> ForeignKeyDef {
    ForeignKeyDef {
        columns: words(columns),
        table: table.to_owned(),
        references: words(&["company_id", "id"]),
        on_delete: OnDelete::Restrict,
    }
}

const LIVE: &str = "deleted_at IS NULL";

/// Whether the rows without a value stay out of the field's indexes.
fn is_sparse(field: &Field) -> bool {
    field.sparse || matches!(field.kind, Kind::Reference { .. } | Kind::User)
}

fn indexes(resource: &Resource) -> Vec<IndexDef> {
    let live = |columns: &[&str]| IndexDef { columns: words(columns), unique: false, where_sql: Some(LIVE.into()) };
    // The key itself serves the newest-first list: deleted rows are few, and passed over.
    let mut indexes = vec![live(&["company_id", "status", "id"])];
    for field in &resource.fields {
        if is_sparse(field) {
            // Empty in most rows; rows without a value cost nothing here.
            indexes.push(IndexDef {
                columns: words(&["company_id", &field.name]),
                unique: false,
                where_sql: Some(format!("\"{}\" IS NOT NULL AND {LIVE}", field.name)),
            });
        } else if field.indexed && !field.unique {
            indexes.push(live(&["company_id", &field.name, "id"]));
        }
    }
    for fields in &resource.indexes {
        let mut columns = words(&["company_id"]);
        let mut where_sql = LIVE.to_owned();
        for name in fields {
            columns.push(column_of(name).to_owned());
            if resource.find_field(name).is_some_and(is_sparse) {
                where_sql.push_str(&format!(" AND \"{name}\" IS NOT NULL"));
            }
        }
        indexes.push(IndexDef { columns, unique: false, where_sql: Some(where_sql) });
    }
    let orders_by = resource.ordering.as_deref().map(|order| order.trim_start_matches('-'));
    if let Some(field) = orders_by.and_then(|name| resource.find_field(name))
        && !field.indexed
    {
        indexes.push(live(&["company_id", &field.name, "id"]));
    }
    indexes.extend(unique_indexes(resource));
    indexes
}

/// SQL counts two NULLs as different, so a unique set with fields that may be empty needs one index for each way of being empty:
/// over the fields that are there, for the rows where the others are not. Works alike on both engines.
fn unique_indexes(resource: &Resource) -> Vec<IndexDef> {
    let mut indexes = vec![IndexDef {
        columns: words(&["company_id", "external_id"]),
        unique: true,
        where_sql: Some(format!("external_id IS NOT NULL AND {LIVE}")),
    }];
    for field in resource.fields.iter().filter(|field| field.unique) {
        indexes.push(IndexDef {
            columns: words(&["company_id", &field.name]),
            unique: true,
            where_sql: Some(format!("\"{}\" IS NOT NULL AND {LIVE}", field.name)),
        });
    }
    for set in &resource.uniques {
        let mut condition = LIVE.to_owned();
        if !set.statuses.is_empty() {
            let states: Vec<String> = set.statuses.iter().map(|state| format!("'{state}'")).collect();
            condition.push_str(&format!(" AND status IN ({})", states.join(", ")));
        }
        for (present, absent) in splits(resource, set) {
            let mut where_sql = condition.clone();
            for name in absent {
                where_sql.push_str(&format!(" AND \"{}\" IS NULL", column_of(name)));
            }
            let mut columns = words(&["company_id"]);
            columns.extend(present.into_iter().map(|name| column_of(name).to_owned()));
            indexes.push(IndexDef { columns, unique: true, where_sql: Some(where_sql) });
        }
    }
    indexes
}

/// Every way to split a set's fields into those that have a value and those (nullable ones) that have none.
fn splits<'r>(resource: &Resource, set: &'r UniqueSet) -> Vec<(Vec<&'r str>, Vec<&'r str>)> {
    let mut splits: Vec<(Vec<&str>, Vec<&str>)> = vec![(Vec::new(), Vec::new())];
    for name in &set.fields {
        let may_be_null = name == "workspace" || resource.find_field(name).is_some_and(Field::allows_null);
        let mut more = Vec::new();
        for (present, absent) in &mut splits {
            if may_be_null {
                let mut without = absent.clone();
                without.push(name.as_str());
                more.push((present.clone(), without));
            }
            present.push(name.as_str());
        }
        splits.extend(more);
    }
    splits
}

fn column_of(name: &str) -> &str {
    if name == "workspace" { "workspace_id" } else { name }
}

/// A unique index as the databases name it when it refuses, and the fields to blame then.
#[derive(Debug)]
pub(crate) struct UniqueRule {
    /// Sorted, without the company.
    columns: Vec<String>,
    /// What PostgreSQL tells in place of the columns.
    index: String,
    pub blamed: Vec<String>,
}

impl UniqueRule {
    /// Whether this rule refused, as [`loopd_store::StoreError::Unique`] tells it.
    pub fn is_meant(&self, told: &[String]) -> bool {
        if told == [self.index.clone()] {
            return true;
        }
        let mut told: Vec<&String> = told.iter().filter(|column| *column != "company_id").collect();
        told.sort();
        told.into_iter().eq(&self.columns)
    }
}

/// Every unique index with the fields to blame.
pub(crate) fn unique_rules(table: &str, resource: &Resource) -> Vec<UniqueRule> {
    let blamed = unique_blames(resource);
    let rule = |(index, blamed): (IndexDef, Vec<String>)| {
        let mut columns: Vec<String> = index.columns.iter().filter(|column| *column != "company_id").cloned().collect();
        columns.sort();
        UniqueRule { columns, index: index_name(table, &index), blamed }
    };
    unique_indexes(resource).into_iter().zip(blamed).map(rule).collect()
}

/// The fields to blame, in the order of [`unique_indexes`].
fn unique_blames(resource: &Resource) -> Vec<Vec<String>> {
    let mut blamed = vec![vec!["external_id".to_owned()]];
    blamed.extend(resource.fields.iter().filter(|field| field.unique).map(|field| vec![field.name.clone()]));
    for set in &resource.uniques {
        blamed.extend(splits(resource, set).iter().map(|_| set.fields.clone()));
    }
    blamed
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::define::{date_time, integer, reference};

    #[test]
    fn an_index_over_several_fields_leaves_out_what_is_empty() {
        let resource = Resource::new("visits", "VIS")
            .field(reference("staff", "clinic/visits"))
            .field(integer("floor"))
            .field(date_time("begins_at").sparse())
            .index(&["staff", "floor", "begins_at"]);
        let index = indexes(&resource).into_iter().find(|index| index.columns.len() == 4 && !index.unique);
        let index = index.expect("the index");
        assert_eq!(index.columns, ["company_id", "staff", "floor", "begins_at"]);
        let condition = "deleted_at IS NULL AND \"staff\" IS NOT NULL AND \"begins_at\" IS NOT NULL";
        assert_eq!(index.where_sql.as_deref(), Some(condition));
    }
}
