//! Who is online, and whose turn it was, in the database.

use loopd_store::{Reader, StoreError, Tx, params};
use loopd_types::{CompanyId, Timestamp, Uuid};

/// An agent is online until then.
pub fn seen(tx: &mut Tx<'_>, company: CompanyId, user: Uuid, until: Timestamp) -> Result<(), StoreError> {
    tx.push(
        "INSERT INTO wave_agents (company_id, user_id, online_until) VALUES ($1, $2, $3) \
         ON CONFLICT (company_id, user_id) DO UPDATE SET online_until = excluded.online_until",
        params![company, user, until],
    )
}

/// Somebody who was online at some time.
#[derive(Clone, Debug)]
pub struct Present {
    pub user: Uuid,
    pub first_name: String,
    pub last_name: String,
    pub username: String,
    pub until: Timestamp,
    pub turn: i64,
    /// Open chats that they have.
    pub open: i64,
}

impl Present {
    pub fn name(&self) -> String {
        let name = format!("{} {}", self.first_name.trim(), self.last_name.trim());
        if name.trim().is_empty() { self.username.clone() } else { name.trim().to_owned() }
    }
}

/// Who works in a company now and is online beyond this moment, by their id.
pub fn online(reader: &mut Reader<'_>, company: CompanyId, now: Timestamp) -> Result<Vec<Present>, StoreError> {
    let sql = "SELECT a.user_id, u.first_name, u.last_name, u.username, a.online_until, a.turn, \
         (SELECT count(*) FROM wave_chats c WHERE c.company_id = a.company_id AND c.assignee_id = a.user_id AND c.status = 'open') \
         FROM wave_agents a JOIN memberships m ON m.company_id = a.company_id AND m.user_id = a.user_id JOIN users u ON u.id = a.user_id \
         WHERE a.company_id = $1 AND a.online_until > $2 AND m.status = 'active' AND u.is_active ORDER BY a.user_id";
    reader.query(sql, &params![company, now], |row| {
        Ok(Present {
            user: row.uuid(0)?,
            first_name: row.text(1)?.to_owned(),
            last_name: row.text(2)?.to_owned(),
            username: row.text(3)?.to_owned(),
            until: row.time(4)?,
            turn: row.i64(5)?,
            open: row.i64(6)?,
        })
    })
}

pub fn is_online(reader: &mut Reader<'_>, company: CompanyId, user: Uuid, now: Timestamp) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM wave_agents WHERE company_id = $1 AND user_id = $2 AND online_until > $3";
    Ok(reader.first(sql, &params![company, user, now], |row| row.i64(0))?.is_some())
}

/// Writes down whose turn it was.
pub fn had_turn(tx: &mut Tx<'_>, company: CompanyId, user: Uuid, turn: i64) -> Result<(), StoreError> {
    let sql = "UPDATE wave_agents SET turn = $3 WHERE company_id = $1 AND user_id = $2";
    tx.push(sql, params![company, user, turn])
}
