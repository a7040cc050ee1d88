//! The keys of somebody who goes: out of everything, or out of one company.

use loopd_store::{Tx, Value, params};
use loopd_types::{CompanyId, Result, Uuid};
use serde_json::Value as Json;

use super::{TOLD, written_by};
use crate::Kernel;
use crate::access::Actor;

struct Key {
    /// The company that it was made in.
    company: CompanyId,
    id: Uuid,
    /// Where it is good; `None`: wherever its person is a member.
    companies: Option<Vec<i64>>,
}

fn living(tx: &mut Tx<'_>, user: Uuid) -> Result<Vec<Key>> {
    let sql = "SELECT company_id, id, companies FROM credentials \
         WHERE user_id = $1 AND kind = 'internal' AND revoked_at IS NULL ORDER BY company_id, id";
    Ok(tx.query(sql, &params![user], |row| {
        let companies = row.opt_json(2)?.map(|text| serde_json::from_str(text).unwrap_or_default());
        Ok(Key { company: CompanyId(row.i64(0)?), id: row.uuid(1)?, companies })
    })?)
}

/// Revokes every living key that acts as `user`, in whatever company; each company's audit and events say so. Gives how many.
pub(crate) fn revoke_all_of(tx: &mut Tx<'_>, kernel: &Kernel, actor: &Actor, user: Uuid) -> Result<usize> {
    let keys = living(tx, user)?;
    for key in &keys {
        revoke(tx, kernel, actor, key)?;
    }
    kernel.forget_all_keys(tx);
    Ok(keys.len())
}

/// Ends what the keys of somebody who leaves a company may there, for good: if they come back, their old keys do not. Those that are good
/// nowhere else are revoked; the company is taken out of the others. Audit and events say so.
pub(crate) fn take_out_of(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    actor: &Actor,
    company: CompanyId,
    user: Uuid,
) -> Result<()> {
    for key in living(tx, user)? {
        match &key.companies {
            // One that names none ends with the company that it was made in.
            None if key.company == company => revoke(tx, kernel, actor, &key)?,
            Some(list) if list.contains(&company.0) => {
                let others: Vec<i64> = list.iter().copied().filter(|other| *other != company.0).collect();
                if others.is_empty() {
                    revoke(tx, kernel, actor, &key)?;
                } else {
                    let before = TOLD.row(tx, key.company, key.id)?;
                    tx.push(
                        "UPDATE credentials SET companies = $3, updated_at = $4, version = version + 1 WHERE company_id = $1 AND id = $2",
                        params![key.company, key.id, Value::Json(Json::from(others).to_string()), kernel.now()],
                    )?;
                    written_by(
                        tx,
                        kernel,
                        key.company,
                        actor,
                        "update",
                        "core.internal_api_key.updated",
                        key.id,
                        &before,
                    )?;
                }
            }
            _ => {}
        }
    }
    kernel.forget_all_keys(tx);
    Ok(())
}

fn revoke(tx: &mut Tx<'_>, kernel: &Kernel, actor: &Actor, key: &Key) -> Result<()> {
    let before = TOLD.row(tx, key.company, key.id)?;
    tx.push(
        "UPDATE credentials SET revoked_at = $3, updated_at = $3, version = version + 1 WHERE company_id = $1 AND id = $2",
        params![key.company, key.id, kernel.now()],
    )?;
    written_by(tx, kernel, key.company, actor, "revoke", "core.internal_api_key.revoked", key.id, &before)
}
