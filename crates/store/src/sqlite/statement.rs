//! Preparing, binding and stepping on one SQLite connection.

use rusqlite::Statement;

use super::failure;
use super::session::Session;
use crate::row::Inner;
use crate::{Row, StoreError, Value};

/// Statements kept prepared per connection; rusqlite's own default of 16 is too few for a server with run-time tables.
pub const CACHED_STATEMENTS: usize = 256;

/// Binds by the marker's number. SQLite takes `$2` for a *name* and numbers names by first use, so that
/// `select $2, $1` bound in order would come out swapped. `in_order` is what [`are_in_order`] says.
pub fn bind(statement: &mut Statement<'_>, params: &[Value], in_order: bool) -> Result<(), StoreError> {
    let markers = statement.parameter_count();
    if markers != params.len() {
        return Err(StoreError::Other(format!("{markers} markers but {} values", params.len())));
    }
    for index in 1..=markers {
        let number = if in_order { Some(index) } else { marker_number(statement, index) };
        let value = number.and_then(|number| params.get(number.checked_sub(1)?)).ok_or_else(|| {
            let name = statement.parameter_name(index).unwrap_or("?");
            StoreError::Other(format!("marker {name} has no value: markers are $1 to ${}", params.len()))
        })?;
        match value {
            Value::Null => statement.raw_bind_parameter(index, rusqlite::types::Null),
            Value::Bool(value) => statement.raw_bind_parameter(index, *value),
            Value::Int(value) => statement.raw_bind_parameter(index, *value),
            Value::Text(value) | Value::Json(value) => statement.raw_bind_parameter(index, value.as_str()),
            Value::Uuid(value) => {
                let mut text = [0; 36];
                let text: &str = value.hyphenated().encode_lower(&mut text);
                statement.raw_bind_parameter(index, text)
            }
            Value::Bytes(value) => statement.raw_bind_parameter(index, value.as_slice()),
        }
        .map_err(failure::from)?;
    }
    Ok(())
}

fn marker_number(statement: &Statement<'_>, index: usize) -> Option<usize> {
    statement.parameter_name(index).and_then(|name| name.strip_prefix('$')?.parse().ok())
}

/// Whether the text names `$1`, `$2` … `$markers` in this order, each once or again later: then SQLite's number of a marker is
/// its own, and need not be asked for (SQLite searches a list for each name, which makes a wide insert's binding quadratic).
/// A text with strings in it, which may hold dollars, is left to SQLite.
pub fn are_in_order(sql: &str, markers: usize) -> bool {
    if sql.contains('\'') {
        return false;
    }
    let mut highest = 0;
    for rest in sql.split('$').skip(1) {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        match rest[..digits].parse::<usize>() {
            Ok(number) if (1..=highest).contains(&number) => {}
            Ok(number) if number == highest + 1 => highest = number,
            _ => return false,
        }
    }
    highest == markers
}

/// Runs a statement for its effect and returns the number of rows changed.
pub fn execute(session: &dyn Session, sql: &str, params: &[Value]) -> Result<u64, StoreError> {
    let mut changed = 0;
    session.run(sql, params, &mut |statement| {
        if statement.column_count() == 0 {
            changed = statement.raw_execute().map_err(failure::from)? as u64;
            return Ok(());
        }
        // A statement with RETURNING whose rows nobody wants: it must be stepped to its end to take full effect.
        let mut rows = statement.raw_query();
        while rows.next().map_err(failure::from)?.is_some() {}
        drop(rows);
        changed = session.connection().changes();
        Ok(())
    })?;
    Ok(changed)
}

/// Calls `visit` for every row; it says with `false` that it has seen enough.
pub fn each(
    session: &dyn Session,
    sql: &str,
    params: &[Value],
    visit: &mut dyn FnMut(&Row<'_>) -> bool,
) -> Result<(), StoreError> {
    session.run(sql, params, &mut |statement| {
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next().map_err(failure::from)? {
            if !visit(&Row(Inner::Sqlite(row))) {
                break;
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::are_in_order;

    #[test]
    fn only_markers_in_their_own_order_are_bound_without_asking() {
        assert!(are_in_order("INSERT INTO t VALUES ($1, $2, $3)", 3));
        assert!(are_in_order("SELECT $1, $2 WHERE a = $1", 2));
        assert!(are_in_order("SELECT 1", 0));
        assert!(!are_in_order("SELECT $2, $1", 2));
        assert!(!are_in_order("SELECT $1, '$2', $3, $2", 3));
        assert!(!are_in_order("SELECT $1, $3", 2));
    }
}
