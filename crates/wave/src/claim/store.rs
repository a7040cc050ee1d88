//! Claims in the database.

use loopd_store::{Reader, StoreError, Tx, params};
use loopd_types::{CompanyId, Timestamp, Uuid};

/// Takes the right to do `what` in a chat, unless somebody had it less than `cooldown_us` ago. One statement decides: of two
/// transactions that ask at once, the second waits for the row of the first and finds it taken.
///
/// # Errors
/// The database's.
pub fn claim(
    tx: &mut Tx<'_>,
    company: CompanyId,
    chat: Uuid,
    what: &str,
    cooldown_us: i64,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let sql = "INSERT INTO wave_claims (company_id, chat_id, what, claimed_at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (company_id, chat_id, what) DO UPDATE SET claimed_at = excluded.claimed_at WHERE wave_claims.claimed_at <= $5";
    Ok(tx.execute(sql, &params![company, chat, what, now, now.plus(-cooldown_us)])? == 1)
}

/// So many in a fixed window, for the whole company.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    pub most: i64,
    pub window_us: i64,
}

/// Takes one out of the company's budget of this window; `false` when it is used up.
///
/// # Errors
/// The database's.
pub fn spend(tx: &mut Tx<'_>, company: CompanyId, budget: Budget, now: Timestamp) -> Result<bool, StoreError> {
    let window = Timestamp(now.0 - now.0.rem_euclid(budget.window_us));
    // A node whose clock is behind counts into the window that is open already.
    let sql = "INSERT INTO wave_reply_windows (company_id, window_at, used) VALUES ($1, $2, 1) \
         ON CONFLICT (company_id) DO UPDATE SET \
         used = CASE WHEN wave_reply_windows.window_at < excluded.window_at THEN 1 ELSE wave_reply_windows.used + 1 END, \
         window_at = CASE WHEN wave_reply_windows.window_at < excluded.window_at THEN excluded.window_at ELSE wave_reply_windows.window_at END \
         WHERE wave_reply_windows.window_at < excluded.window_at OR wave_reply_windows.used < $3";
    Ok(tx.execute(sql, &params![company, window, budget.most])? == 1)
}

/// Whether [`claim`] would take it. To be relied on only by whoever holds the chat.
pub fn is_free(
    reader: &mut Reader<'_>,
    company: CompanyId,
    chat: Uuid,
    what: &str,
    cooldown_us: i64,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM wave_claims WHERE company_id = $1 AND chat_id = $2 AND what = $3 AND claimed_at > $4";
    let taken = reader.first(sql, &params![company, chat, what, now.plus(-cooldown_us)], |row| row.i64(0))?;
    Ok(taken.is_none())
}
