//! PostgreSQL's SQLSTATE codes as [`StoreError`].

use std::error::Error as _;

use tokio_postgres::Error;
use tokio_postgres::error::{DbError, SqlState};

use crate::StoreError;

/// Source: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
pub fn from(error: &Error) -> StoreError {
    let Some(db) = error.as_db_error() else {
        let cause = error.source().map(ToString::to_string).unwrap_or_default();
        let words = if cause.is_empty() { error.to_string() } else { format!("{error}: {cause}") };
        return if is_lost(error) { StoreError::Unavailable(words) } else { StoreError::Other(words) };
    };
    let words = || format!("{} ({})", db.message(), db.code().code());
    match db.code() {
        code if *code == SqlState::UNIQUE_VIOLATION => unique(db),
        code if *code == SqlState::FOREIGN_KEY_VIOLATION => StoreError::ForeignKey(db.message().to_owned()),
        code if *code == SqlState::CHECK_VIOLATION => {
            StoreError::Check(db.constraint().unwrap_or(db.message()).to_owned())
        }
        code if *code == SqlState::NOT_NULL_VIOLATION => {
            StoreError::NotNull(format!("{}.{}", db.table().unwrap_or("?"), db.column().unwrap_or("?")))
        }
        code if *code == SqlState::T_R_SERIALIZATION_FAILURE || *code == SqlState::T_R_DEADLOCK_DETECTED => {
            StoreError::Serialization
        }
        // A table changed its shape under a prepared statement; the next run prepares it anew.
        code if *code == SqlState::FEATURE_NOT_SUPPORTED && db.message().starts_with("cached plan") => {
            StoreError::Serialization
        }
        code if *code == SqlState::QUERY_CANCELED || *code == SqlState::LOCK_NOT_AVAILABLE => {
            StoreError::Timeout(words())
        }
        code if *code == SqlState::DISK_FULL => StoreError::Full(words()),
        // 08 connection, 53 resources, 57P shutdown, 58 system, 25006 a standby after a failover
        code if code.code().starts_with("08")
            || code.code().starts_with("53")
            || code.code().starts_with("57P")
            || code.code().starts_with("58")
            || *code == SqlState::READ_ONLY_SQL_TRANSACTION =>
        {
            StoreError::Unavailable(words())
        }
        _ => StoreError::Other(words()),
    }
}

/// Whether the connection is of no more use.
pub fn is_lost(error: &Error) -> bool {
    match error.as_db_error() {
        Some(db) => {
            let code = db.code().code();
            code.starts_with("08") || code.starts_with("57P") || *db.code() == SqlState::READ_ONLY_SQL_TRANSACTION
        }
        None => error.is_closed() || error.source().is_some_and(|source| source.is::<std::io::Error>()),
    }
}

fn unique(db: &DbError) -> StoreError {
    let mut columns = db.detail().map(key_columns).unwrap_or_default();
    if columns.is_empty() {
        // PostgreSQL hides the detail on tables with row policies, because it would show another tenant's values; the name of the index it tells.
        columns.extend(db.constraint().map(str::to_owned));
    }
    StoreError::Unique { table: db.table().unwrap_or_default().to_owned(), columns }
}

/// The names in `Key (a, b)=(1, x) already exists.`; expressions stay as they are printed.
fn key_columns(detail: &str) -> Vec<String> {
    let names = detail.split_once('(').and_then(|(_, rest)| rest.split_once(")=(")).map_or("", |(names, _)| names);
    names.split(", ").filter(|name| !name.is_empty()).map(|name| name.trim_matches('"').to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::key_columns;

    #[test]
    fn the_detail_of_a_unique_failure_names_the_columns() {
        assert_eq!(key_columns("Key (company_id, slug)=(1, a) already exists."), ["company_id", "slug"]);
        assert_eq!(key_columns("Key (\"order\")=(1) already exists."), ["order"]);
        assert!(key_columns("Schlüssel").is_empty());
    }
}
