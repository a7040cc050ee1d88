//! Which node holds which line. A lease is renewed by its node and runs out by itself when the node dies; then another takes the line over.

use std::sync::Arc;

use loopd_kernel::Kernel;
use loopd_store::{Reader, StoreError, Tx, View, dialect, params};
use loopd_types::{CompanyId, Result, SECOND_US, Timestamp};

use super::super::NAME;
use super::state::{self, Whose};

/// How long a node may be silent before another takes its lines over.
pub const LEASE_US: i64 = 20 * SECOND_US;

/// Takes the lines that are linked and that nobody holds, at most so many.
///
/// # Errors
/// The database's.
pub async fn claim(kernel: &Arc<Kernel>, owner: &str, most: usize) -> Result<Vec<Whose>> {
    let now = kernel.now();
    let free = "n.engine = $1 AND n.deleted_at IS NULL AND n.state <> 'logged_out' AND (n.owner_until IS NULL OR n.owner_until <= $2) \
         AND EXISTS (SELECT 1 FROM wave_web_states s WHERE s.company_id = n.company_id AND s.number_id = n.id AND s.kind = $3)";
    let looked_for = format!("SELECT 1 FROM wave_numbers n WHERE {free} LIMIT 1");
    let is_there = kernel.db.read(View::System, move |reader| {
        Ok(reader.first(&looked_for, &params![NAME, now, state::LINKED], |row| row.i64(0))?.is_some())
    });
    // A look costs a read; only what is there costs a write.
    if most == 0 || !is_there.await? {
        return Ok(Vec::new());
    }
    let owner = owner.to_owned();
    kernel
        .db
        .write(View::System, move |tx| {
            let sql = format!(
                "SELECT n.company_id, n.id FROM wave_numbers n WHERE {free} ORDER BY n.owner_until IS NOT NULL, n.owner_until, n.id LIMIT {most}{}",
                dialect::for_update_of_skip_locked(tx.engine(), "n")
            );
            let found = tx.query(&sql, &params![NAME, now, state::LINKED], |row| {
                Ok(Whose { company: CompanyId(row.i64(0)?), number: row.uuid(1)? })
            })?;
            for whose in &found {
                set(tx, *whose, Some(&owner), now)?;
            }
            Ok(found)
        })
        .await
}

/// Takes one line, unless another node holds it: whether it is this node's now.
///
/// # Errors
/// The database's.
pub async fn hold(kernel: &Arc<Kernel>, owner: &str, whose: Whose) -> Result<bool> {
    let (now, owner) = (kernel.now(), owner.to_owned());
    kernel
        .db
        .write(View::Company(whose.company), move |tx| {
            let sql = format!(
                "SELECT owner, owner_until FROM wave_numbers WHERE company_id = $1 AND id = $2 AND deleted_at IS NULL{}",
                dialect::for_update(tx.engine())
            );
            let key = params![whose.company, whose.number];
            let held = tx.first(&sql, &key, |row| Ok((row.opt_text(0)?.map(str::to_owned), row.opt_time(1)?)))?;
            let is_free = held.is_some_and(|(holder, until)| {
                holder.as_deref() == Some(owner.as_str()) || until.is_none_or(|until| until <= now)
            });
            if is_free {
                set(tx, whose, Some(&owner), now)?;
            }
            Ok(is_free)
        })
        .await
}

/// Who holds a line now.
pub fn holder(reader: &mut Reader<'_>, whose: Whose, now: Timestamp) -> Result<Option<String>, StoreError> {
    let sql = "SELECT owner FROM wave_numbers WHERE company_id = $1 AND id = $2 AND owner_until > $3";
    let found =
        reader.first(sql, &params![whose.company, whose.number, now], |row| Ok(row.opt_text(0)?.map(str::to_owned)))?;
    Ok(found.flatten())
}

fn set(tx: &mut Tx<'_>, whose: Whose, owner: Option<&str>, now: Timestamp) -> Result<(), StoreError> {
    tx.push(
        "UPDATE wave_numbers SET owner = $3, owner_until = $4 WHERE company_id = $1 AND id = $2",
        params![whose.company, whose.number, owner, owner.map(|_| now.plus(LEASE_US))],
    )
}

/// Renews everything that a node holds; those that it still may hold. One that was removed meanwhile is not among them.
///
/// # Errors
/// The database's.
pub async fn renew(kernel: &Arc<Kernel>, owner: &str) -> Result<Vec<Whose>> {
    let (now, owner) = (kernel.now(), owner.to_owned());
    kernel
        .db
        .write(View::System, move |tx| {
            let held =
                "SELECT company_id, id FROM wave_numbers WHERE engine = $1 AND owner = $2 AND deleted_at IS NULL";
            let held = tx.query(held, &params![NAME, owner.as_str()], |row| {
                Ok(Whose { company: CompanyId(row.i64(0)?), number: row.uuid(1)? })
            })?;
            for whose in &held {
                set(tx, *whose, Some(&owner), now)?;
            }
            Ok(held)
        })
        .await
}

/// Gives a line up, if this node holds it.
///
/// # Errors
/// The database's.
pub fn release(tx: &mut Tx<'_>, whose: Whose, owner: &str) -> Result<(), StoreError> {
    tx.push(
        "UPDATE wave_numbers SET owner = NULL, owner_until = NULL WHERE company_id = $1 AND id = $2 AND owner = $3",
        params![whose.company, whose.number, owner],
    )
}

/// Nobody else uses this database: whoever held its lines is gone.
///
/// # Errors
/// The database's.
pub async fn release_all(kernel: &Arc<Kernel>) -> Result<()> {
    kernel
        .db
        .write(View::System, move |tx| {
            let sql =
                "UPDATE wave_numbers SET owner = NULL, owner_until = NULL WHERE engine = $1 AND owner IS NOT NULL";
            Ok(tx.push(sql, params![NAME])?)
        })
        .await
}

/// Removes what numbers have left behind that were unlinked while nobody held them.
///
/// # Errors
/// The database's.
pub async fn sweep(kernel: &Arc<Kernel>) -> Result<()> {
    let now = kernel.now();
    let left = "SELECT n.company_id, n.id FROM wave_numbers n WHERE n.engine = $1 AND n.deleted_at IS NOT NULL \
         AND (n.owner_until IS NULL OR n.owner_until <= $2) \
         AND EXISTS (SELECT 1 FROM wave_web_states s WHERE s.company_id = n.company_id AND s.number_id = n.id) LIMIT 100";
    let found = kernel.db.read(View::System, move |reader| {
        Ok(reader.query(left, &params![NAME, now], |row| {
            Ok(Whose { company: CompanyId(row.i64(0)?), number: row.uuid(1)? })
        })?)
    });
    let found: Vec<Whose> = found.await?;
    if found.is_empty() {
        return Ok(());
    }
    kernel
        .db
        .write(View::System, move |tx| {
            for whose in &found {
                state::forget(tx, *whose)?;
            }
            Ok(())
        })
        .await
}
