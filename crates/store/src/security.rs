//! Row-level security on PostgreSQL: the second wall behind every statement's own `company_id = $1`.

use crate::{Db, Engine, StoreError, Tx, View};

/// Rows are visible to whom `loopd.companies` names; unset, to nobody. The subselects are evaluated once a statement,
/// not once a row; the CASE keeps `*` away from the cast.
const RULE: &str = "CASE WHEN (SELECT current_setting('loopd.companies', true)) = '*' THEN true \
     ELSE company_id = ANY ((SELECT string_to_array(NULLIF(current_setting('loopd.companies', true), '*'), ','))::bigint[]) END";

const UNPROTECTED: &str = "SELECT c.relname FROM pg_class c \
     JOIN pg_namespace n ON n.oid = c.relnamespace \
     JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'company_id' AND NOT a.attisdropped \
     WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p') \
     AND NOT (c.relrowsecurity AND c.relforcerowsecurity AND EXISTS \
         (SELECT 1 FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'loopd_companies')) \
     ORDER BY c.relname";

/// Gives every table with a `company_id` its policy; a row whose `company_id` is NULL is then seen by the system only.
/// Called after migrations and after tables are made from definitions. Does nothing on SQLite.
///
/// # Errors
/// The database's.
pub fn ensure(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    if tx.engine() == Engine::Sqlite {
        return Ok(());
    }
    for table in tx.query(UNPROTECTED, &[], |row| Ok(row.text(0)?.to_owned()))? {
        let table = format!("\"{}\"", table.replace('"', "\"\""));
        tx.batch(&format!(
            "ALTER TABLE {table} ENABLE ROW LEVEL SECURITY; ALTER TABLE {table} FORCE ROW LEVEL SECURITY; \
             DROP POLICY IF EXISTS loopd_companies ON {table}; \
             CREATE POLICY loopd_companies ON {table} USING ({RULE}) WITH CHECK ({RULE});"
        ))?;
    }
    Ok(())
}

/// What is wrong with the second wall, in words for `loopd doctor`; empty when it stands, and on SQLite.
///
/// # Errors
/// The database's.
pub async fn warnings(db: &Db) -> Result<Vec<String>, StoreError> {
    if db.engine() == Engine::Sqlite {
        return Ok(Vec::new());
    }
    let found = db.read_long(View::System, |reader| {
        let (role, bypasses) = reader.one(
            "SELECT rolname::text, rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user",
            &[],
            |row| Ok((row.text(0)?.to_owned(), row.bool(1)?)),
        )?;
        let mut warnings = Vec::new();
        if bypasses {
            warnings.push(format!(
                "The PostgreSQL role {role} is a superuser or has BYPASSRLS, so row-level security is off. Connect as an \
                 ordinary role that owns the tables."
            ));
        }
        for table in reader.query(UNPROTECTED, &[], |row| Ok(row.text(0)?.to_owned()))? {
            warnings.push(format!("The table {table} has no row policy. Run `loopd migrate`."));
        }
        Ok(warnings)
    });
    found.await.map_err(|problem| StoreError::Unavailable(problem.cause().unwrap_or("no answer").to_owned()))
}
