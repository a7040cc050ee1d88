//! SQLite's result codes as [`StoreError`].

use rusqlite::ErrorCode;
use rusqlite::ffi;

use crate::StoreError;

/// Source: <https://sqlite.org/rescode.html>; the words of constraint failures are built in `sqlite3UniqueConstraint`
/// and friends ("UNIQUE constraint failed: table.a, table.b").
pub fn from(error: rusqlite::Error) -> StoreError {
    let (code, message) = match error {
        rusqlite::Error::SqliteFailure(code, message) => (code, message.unwrap_or_else(|| code.to_string())),
        rusqlite::Error::SqlInputError { error, msg, sql, .. } if error.code == ErrorCode::Unknown => {
            return StoreError::Other(format!("{msg} in {sql}"));
        }
        rusqlite::Error::SqlInputError { error, msg, .. } => (error, msg),
        other => return StoreError::Other(other.to_string()),
    };
    match code.code {
        ErrorCode::ConstraintViolation => constraint(code.extended_code, message),
        ErrorCode::DiskFull => StoreError::Full(message),
        ErrorCode::OperationInterrupted => StoreError::Timeout("the statement was interrupted".into()),
        ErrorCode::SystemIoFailure
        | ErrorCode::CannotOpen
        | ErrorCode::ReadOnly
        | ErrorCode::DatabaseCorrupt
        | ErrorCode::NotADatabase
        | ErrorCode::DatabaseBusy
        | ErrorCode::DatabaseLocked
        | ErrorCode::FileLockingProtocolFailed
        | ErrorCode::PermissionDenied
        | ErrorCode::OutOfMemory => StoreError::Unavailable(format!("{message} ({code})")),
        _ => StoreError::Other(message),
    }
}

fn constraint(extended: i32, message: String) -> StoreError {
    let subject = message.split_once("failed: ").map_or(message.as_str(), |(_, subject)| subject);
    match extended {
        ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY => {
            let mut table = String::new();
            let mut columns = Vec::new();
            for part in subject.split(", ") {
                if let Some((name, column)) = part.split_once('.') {
                    table = name.to_owned();
                    columns.push(column.to_owned());
                }
            }
            StoreError::Unique { table, columns }
        }
        ffi::SQLITE_CONSTRAINT_FOREIGNKEY => StoreError::ForeignKey(message),
        ffi::SQLITE_CONSTRAINT_CHECK => StoreError::Check(subject.to_owned()),
        ffi::SQLITE_CONSTRAINT_NOTNULL => StoreError::NotNull(subject.to_owned()),
        _ => StoreError::Other(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unique_failure_names_its_table_and_columns() {
        let error =
            constraint(ffi::SQLITE_CONSTRAINT_UNIQUE, "UNIQUE constraint failed: page.company_id, page.slug".into());
        assert!(error.is_unique("page", &["company_id", "slug"]), "{error}");
        let index = constraint(ffi::SQLITE_CONSTRAINT_UNIQUE, "UNIQUE constraint failed: index 'page_lower'".into());
        assert_eq!(index, StoreError::Unique { table: String::new(), columns: Vec::new() });
    }
}
