//! What must differ between the engines, each as a named function: reading this file tells the whole difference.

use crate::Engine;

/// PostgreSQL: takes the row lock behind [`crate::Tx::lock`].
pub(crate) const LOCK: &str =
    "INSERT INTO transaction_locks (name) VALUES ($1) ON CONFLICT (name) DO UPDATE SET name = excluded.name";

/// PostgreSQL: shares the row lock behind [`crate::Tx::lock`], if the row is there.
pub(crate) const LOCK_SHARED: &str = "SELECT name FROM transaction_locks WHERE name = $1 FOR SHARE";
/// PostgreSQL: makes the row that [`LOCK_SHARED`] did not find.
pub(crate) const LOCK_ROW: &str = "INSERT INTO transaction_locks (name) VALUES ($1) ON CONFLICT (name) DO NOTHING";

/// End of a SELECT whose rows stay locked until the transaction ends. SQLite has one writer, so all of it is locked.
pub fn for_update(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => "",
        Engine::Postgres => " FOR UPDATE",
    }
}

/// As [`for_update`], of a join: only the rows of `table` stay locked. `table` must be a trusted name.
pub fn for_update_of(engine: Engine, table: &str) -> String {
    match engine {
        Engine::Sqlite => String::new(),
        Engine::Postgres => format!(" FOR UPDATE OF {table}"),
    }
}

/// End of a SELECT whose rows nobody locks [`for_update`] or deletes until the transaction ends; others may change what is no key.
pub fn for_key_share(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => "",
        Engine::Postgres => " FOR KEY SHARE",
    }
}

/// End of a SELECT that claims rows and passes over those that another worker is claiming.
pub fn for_update_skip_locked(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => "",
        Engine::Postgres => " FOR UPDATE SKIP LOCKED",
    }
}

/// As [`for_update_skip_locked`], of a join: only rows of `table` are claimed. `table` must be a trusted name.
pub fn for_update_of_skip_locked(engine: Engine, table: &str) -> String {
    match engine {
        Engine::Sqlite => String::new(),
        Engine::Postgres => format!(" FOR UPDATE OF {table} SKIP LOCKED"),
    }
}

/// `column`, compared without an index. SQLite knows nothing of how common a value is and may take the wrong index of two; PostgreSQL
/// counts, and needs no telling. `column` must be a trusted name.
pub fn unindexed(engine: Engine, column: &str) -> String {
    match engine {
        Engine::Sqlite => format!("+{column}"),
        Engine::Postgres => column.to_owned(),
    }
}

/// Text at `key` of a JSON object column, NULL when absent; numbers and booleans as their text.
/// `column` and `key` must be trusted names: `key` is quoted here, `column` is not.
pub fn json_text(engine: Engine, column: &str, key: &str) -> String {
    let quoted = key.replace('\'', "''");
    match engine {
        // ->> gives 1/0 for booleans, so they are written out as PostgreSQL does
        Engine::Sqlite => {
            let path = format!("$.\"{}\"", quoted.replace('"', ""));
            format!(
                "(CASE json_type({column}, '{path}') WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' \
                 ELSE CAST(json_extract({column}, '{path}') AS TEXT) END)"
            )
        }
        Engine::Postgres => format!("({column} ->> '{quoted}')"),
    }
}

/// `expression` contains the text bound to `marker`, letters compared without case. The caller binds the needle as it
/// is, no wildcards: both engines search for it literally. `loop_lower` is ours, because the engines' own lower() knows only ASCII, on
/// PostgreSQL under some locales.
pub fn contains(engine: Engine, expression: &str, marker: &str) -> String {
    match engine {
        Engine::Sqlite => format!("(instr(loop_lower({expression}), loop_lower({marker})) > 0)"),
        Engine::Postgres => format!("(position(loop_lower({marker}::text) IN loop_lower({expression}::text)) > 0)"),
    }
}

/// A SELECT of one boolean: whether the table named by `$1` exists.
pub(crate) fn table_exists(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => "SELECT count(*) > 0 FROM sqlite_schema WHERE type = 'table' AND name = $1",
        Engine::Postgres => "SELECT count(*) > 0 FROM pg_tables WHERE schemaname = current_schema() AND tablename = $1",
    }
}
