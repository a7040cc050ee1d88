//! SQL functions that SQLite does not have.

use rusqlite::functions::FunctionFlags;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Error};

/// Makes them known to a connection.
///
/// `loop_lower(x)`: text in small letters, of every script; anything else as it is. SQLite's own lower() knows ASCII only.
pub fn register(connection: &Connection) -> rusqlite::Result<()> {
    // SQLite takes a deterministic function of a constant out of the loop over the rows
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_scalar_function("loop_lower", 1, flags, |context| match context.get_raw(0) {
        ValueRef::Text(bytes) => {
            let text = std::str::from_utf8(bytes).map_err(|error| Error::UserFunctionError(error.into()))?;
            Ok(Value::Text(text.to_lowercase()))
        }
        _ => context.get(0),
    })
}
