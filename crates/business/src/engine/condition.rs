//! [`Where`]: which records, as rules and lists say it: `Where::new().eq("staff", id).below("starts_at", end)`. Becomes SQL with
//! markers; names come from definitions only, values are always bound.

use loopd_store::{Engine as Database, Value, dialect};
use loopd_types::{Problem, Result, Uuid};

use super::runtime::ResourceRuntime;
use crate::define::Stored;
use crate::define::filter::Test;

/// Conditions on the records of one resource, all of which must hold; deleted records never match unless asked for.
#[derive(Clone, Debug, Default)]
pub struct Where {
    tests: Vec<(String, Test, Vec<Value>)>,
    not_equal: Vec<(String, Value)>,
    /// Every term in any of the fields.
    terms: Vec<(Vec<String>, String)>,
    data: Vec<(String, Test, Vec<Value>)>,
    deleted: Deleted,
    order: Option<(String, bool)>,
    limit: Option<i64>,
}

/// Whether deleted records count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Deleted {
    #[default]
    Hidden,
    Only,
    Too,
}

impl Where {
    pub fn new() -> Self {
        Self::default()
    }
    /// `field` is `value`; a null value matches empty fields.
    pub fn eq(self, field: &str, value: impl Into<Value>) -> Self {
        match value.into() {
            Value::Null => self.test(field, Test::IsNull, vec![Value::Bool(true)]),
            value => self.test(field, Test::Equals, vec![value]),
        }
    }
    pub fn not(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.not_equal.push((field.to_owned(), value.into()));
        self
    }
    /// `field` is one of `values`; none of them, no record.
    pub fn is_in<V: Into<Value>>(self, field: &str, values: impl IntoIterator<Item = V>) -> Self {
        self.test(field, Test::In, values.into_iter().map(Into::into).collect())
    }
    /// In one of these states.
    pub fn status_in(self, states: &[&str]) -> Self {
        self.is_in("status", states.iter().copied())
    }
    pub fn at_least(self, field: &str, value: impl Into<Value>) -> Self {
        self.test(field, Test::AtLeast, vec![value.into()])
    }
    pub fn at_most(self, field: &str, value: impl Into<Value>) -> Self {
        self.test(field, Test::AtMost, vec![value.into()])
    }
    pub fn above(self, field: &str, value: impl Into<Value>) -> Self {
        self.test(field, Test::Above, vec![value.into()])
    }
    pub fn below(self, field: &str, value: impl Into<Value>) -> Self {
        self.test(field, Test::Below, vec![value.into()])
    }
    pub fn empty(self, field: &str) -> Self {
        self.test(field, Test::IsNull, vec![Value::Bool(true)])
    }
    pub fn set(self, field: &str) -> Self {
        self.test(field, Test::IsNull, vec![Value::Bool(false)])
    }
    /// The references field `field` holds `id`.
    pub fn holds(self, field: &str, id: Uuid) -> Self {
        self.test(field, Test::Equals, vec![Value::Text(format!("\"{id}\""))])
    }
    /// Any record but this one.
    pub fn except(self, id: Uuid) -> Self {
        self.not("id", id)
    }
    pub fn deleted(mut self, deleted: Deleted) -> Self {
        self.deleted = deleted;
        self
    }
    /// Ascending by `field`.
    pub fn order_by(mut self, field: &str) -> Self {
        self.order = Some((field.to_owned(), false));
        self
    }
    pub fn order_by_descending(mut self, field: &str) -> Self {
        self.order = Some((field.to_owned(), true));
        self
    }
    pub fn limit(mut self, limit: i64) -> Self {
        self.limit = Some(limit);
        self
    }
    pub fn test(mut self, field: &str, test: Test, values: Vec<Value>) -> Self {
        self.tests.push((field.to_owned(), test, values));
        self
    }
    pub(crate) fn term(mut self, fields: &[String], term: &str) -> Self {
        self.terms.push((fields.to_vec(), term.to_owned()));
        self
    }
    pub(crate) fn data(mut self, key: &str, test: Test, values: Vec<Value>) -> Self {
        self.data.push((key.to_owned(), test, values));
        self
    }
    /// Whether nothing but "living records" is asked for.
    pub(crate) fn is_plain(&self) -> bool {
        self.tests.is_empty()
            && self.not_equal.is_empty()
            && self.terms.is_empty()
            && self.data.is_empty()
            && self.deleted == Deleted::Hidden
    }
    pub(crate) fn wants_deleted(&self) -> Deleted {
        self.deleted
    }

    /// ` AND …` for the conditions; values go to `params`, whose length gives the next marker.
    ///
    /// # Errors
    /// 500 for a field that the resource does not have.
    pub(crate) fn sql(&self, runtime: &ResourceRuntime, engine: Database, params: &mut Vec<Value>) -> Result<String> {
        let mut sql = String::new();
        match self.deleted {
            Deleted::Hidden => sql.push_str(" AND deleted_at IS NULL"),
            Deleted::Only => sql.push_str(" AND deleted_at IS NOT NULL"),
            Deleted::Too => {}
        }
        for (field, test, values) in &self.tests {
            let place = runtime.place(field).ok_or_else(|| no_field(runtime, field))?;
            let column = &runtime.columns[place];
            let is_list = column.stored == Stored::Json;
            push_test(&mut sql, engine, &column.sql, *test, values, is_list, params);
        }
        for (field, value) in &self.not_equal {
            let place = runtime.place(field).ok_or_else(|| no_field(runtime, field))?;
            let marker = bind(params, value.clone());
            let column = &runtime.columns[place].sql;
            sql.push_str(&format!(" AND ({column} IS NULL OR {column} <> {marker})"));
        }
        for (key, test, values) in &self.data {
            push_test(&mut sql, engine, &dialect::json_text(engine, "data", key), *test, values, false, params);
        }
        for (fields, term) in &self.terms {
            let marker = bind(params, Value::Text(term.clone()));
            let mut any = Vec::with_capacity(fields.len());
            for field in fields {
                let place = runtime.place(field).ok_or_else(|| no_field(runtime, field))?;
                any.push(dialect::contains(engine, &runtime.columns[place].sql, &marker));
            }
            sql.push_str(&format!(" AND ({})", any.join(" OR ")));
        }
        Ok(sql)
    }

    /// ` ORDER BY … LIMIT …` as rules asked for it.
    pub(crate) fn tail(&self, runtime: &ResourceRuntime) -> Result<String> {
        let mut sql = match &self.order {
            None => String::from(" ORDER BY id"),
            Some((field, descending)) => {
                let place = runtime.place(field).ok_or_else(|| no_field(runtime, field))?;
                let direction = if *descending { " DESC" } else { "" };
                format!(" ORDER BY {}{direction}, id{direction}", runtime.columns[place].sql)
            }
        };
        if let Some(limit) = self.limit {
            sql.push_str(&format!(" LIMIT {limit}"));
        }
        Ok(sql)
    }
}

fn push_test(
    sql: &mut String,
    engine: Database,
    column: &str,
    test: Test,
    values: &[Value],
    is_list: bool,
    params: &mut Vec<Value>,
) {
    sql.push_str(" AND ");
    match (test, values) {
        (Test::IsNull, [Value::Bool(true)]) => sql.push_str(&format!("{column} IS NULL")),
        (Test::IsNull, _) => sql.push_str(&format!("{column} IS NOT NULL")),
        (Test::In, []) => sql.push_str("1 = 0"),
        (Test::In, values) => {
            let markers: Vec<String> = values.iter().map(|value| bind(params, value.clone())).collect();
            sql.push_str(&format!("{column} IN ({})", markers.join(", ")));
        }
        // a list is kept as JSON text, its words written the same way every time: membership is the quoted word
        (Test::Contains, [value, ..]) => sql.push_str(&dialect::contains(engine, column, &bind(params, value.clone()))),
        (Test::Equals, [value, ..]) if is_list => {
            sql.push_str(&dialect::contains(engine, column, &bind(params, value.clone())));
        }
        (test, [value, ..]) => {
            sql.push_str(&format!("{column} {} {}", test.operator(), bind(params, value.clone())));
        }
        (_, []) => sql.push_str("1 = 0"),
    }
}

/// Adds a value and gives its marker.
pub(crate) fn bind(params: &mut Vec<Value>, value: Value) -> String {
    params.push(value);
    format!("${}", params.len())
}

fn no_field(runtime: &ResourceRuntime, field: &str) -> Problem {
    Problem::internal(format!("{} has no field {field}", runtime.path))
}
