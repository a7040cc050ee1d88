//! Agents in the database: memberships and accounts, which are the kernel's.

use loopd_store::{Reader, Row, StoreError, params};
use loopd_types::{CompanyId, Uuid};

use super::Agent;

fn read(row: &Row<'_>) -> Result<Agent, StoreError> {
    let (first, last) = (row.text(1)?.trim(), row.text(2)?.trim());
    let name = format!("{first} {last}");
    let name = if name.trim().is_empty() { row.text(3)?.to_owned() } else { name.trim().to_owned() };
    Ok(Agent { id: row.uuid(0)?, name })
}

/// A person by their account.
pub fn person(reader: &mut Reader<'_>, user: Uuid) -> Result<Option<Agent>, StoreError> {
    let sql = "SELECT u.id, u.first_name, u.last_name, u.username FROM users u WHERE u.id = $1";
    reader.first(sql, &params![user], read)
}

/// Somebody who works in this company now: a member whose membership and account are active.
pub fn member(reader: &mut Reader<'_>, company: CompanyId, user: Uuid) -> Result<Option<Agent>, StoreError> {
    let sql = "SELECT u.id, u.first_name, u.last_name, u.username FROM memberships m JOIN users u ON u.id = m.user_id \
         WHERE m.company_id = $1 AND m.user_id = $2 AND m.status = 'active' AND u.is_active";
    reader.first(sql, &params![company, user], read)
}

/// Who answers for a company: address and language of its owners and administrators.
pub fn administrators(reader: &mut Reader<'_>, company: CompanyId) -> Result<Vec<(String, String)>, StoreError> {
    let sql = "SELECT u.email, u.language FROM memberships m JOIN users u ON u.id = m.user_id \
         WHERE m.company_id = $1 AND m.role IN ('owner', 'admin') AND m.status = 'active' AND u.is_active ORDER BY u.email";
    reader.query(sql, &params![company], |row| Ok((row.text(0)?.to_owned(), row.text(1)?.to_owned())))
}
