//! [`StoreError`]: what a database can answer, without its dialect.

use std::fmt;

use loopd_types::Problem;

/// Why the database refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StoreError {
    /// A unique rule of `table`, over `columns` in the rule's order; both may be empty when the engine does not say. On PostgreSQL tables with
    /// row policies the name of the index stands in place of the columns ([`crate::ddl::index_name`]).
    Unique { table: String, columns: Vec<String> },
    /// A link to a row that is not there, or removal of a row that others link to.
    ForeignKey(String),
    /// A CHECK rule; the text names it.
    Check(String),
    /// A value is missing; the text names the column.
    NotNull(String),
    /// PostgreSQL only: concurrent work got in the way, and the retries are used up.
    Serialization,
    /// Interrupted after its time limit; nothing was written.
    Timeout(String),
    /// No space left on the device, or the quota is reached; nothing was written.
    Full(String),
    /// Cannot be reached, cannot be written, or is shutting down.
    Unavailable(String),
    /// A mistake of ours: wrong SQL, wrong type, wrong column.
    Other(String),
}

impl StoreError {
    /// Whether this is the unique rule over exactly these columns of `table`. Name them in the rule's own order: where PostgreSQL
    /// hides the columns, they are told by the name that it gives the rule of a `UNIQUE (…)` clause, `<table>_<columns>_key`.
    pub fn is_unique(&self, table: &str, columns: &[&str]) -> bool {
        match self {
            StoreError::Unique { table: found, columns: over } => {
                let is_same = over.len() == columns.len() && columns.iter().all(|name| over.iter().any(|c| c == name));
                found == table && (is_same || *over == [format!("{table}_{}_key", columns.join("_"))])
            }
            _ => false,
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Unique { table, columns } => write!(f, "unique rule of {table} over ({})", columns.join(", ")),
            StoreError::ForeignKey(what) => write!(f, "foreign key: {what}"),
            StoreError::Check(what) => write!(f, "check rule: {what}"),
            StoreError::NotNull(what) => write!(f, "missing value: {what}"),
            StoreError::Serialization => f.write_str("concurrent transactions got in each other's way"),
            StoreError::Timeout(what) => write!(f, "time limit: {what}"),
            StoreError::Full(what) => write!(f, "no space left: {what}"),
            StoreError::Unavailable(what) => write!(f, "database unavailable: {what}"),
            StoreError::Other(what) => write!(f, "database: {what}"),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unique { .. } => {
                Problem::conflict("conflict", "A record with these values already exists.").with_cause(error)
            }
            StoreError::ForeignKey(_) => {
                Problem::conflict("conflict", "A linked record does not exist or is still in use.").with_cause(error)
            }
            StoreError::Serialization | StoreError::Timeout(_) | StoreError::Full(_) | StoreError::Unavailable(_) => {
                Problem::unavailable(error)
            }
            StoreError::Check(_) | StoreError::NotNull(_) | StoreError::Other(_) => Problem::internal(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unique_rule_is_known_by_its_columns_or_by_its_name() {
        let over = |columns: &[&str]| StoreError::Unique {
            table: "roles".into(),
            columns: columns.iter().map(|column| (*column).to_owned()).collect(),
        };
        for columns in [&["company_id", "slug"][..], &["slug", "company_id"], &["roles_company_id_slug_key"]] {
            assert!(over(columns).is_unique("roles", &["company_id", "slug"]), "{columns:?}");
        }
        for columns in [&["slug"][..], &["roles_slug_key"], &[]] {
            assert!(!over(columns).is_unique("roles", &["company_id", "slug"]), "{columns:?}");
        }
    }
}
