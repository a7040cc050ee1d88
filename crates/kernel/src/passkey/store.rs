//! The SQL of passkeys.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use loopd_store::{Reader, Tx, Value as Sql, params};
use loopd_types::{Problem, Result, Uuid};
use webauthn_rs::prelude::{AuthenticationResult, Passkey};

use crate::Kernel;
use crate::listing::{Column, ColumnKind, Listing, column, searched};

/// A person's passkeys as the API shows them.
pub const LISTING: Listing =
    Listing { from: "passkeys p", columns: &COLUMNS, company: None, id: "p.id", order: "p.id" };
const COLUMNS: [Column; 6] = [
    column("id", "p.id", ColumnKind::Uuid),
    searched("name", "p.name"),
    column("created_at", "p.created_at", ColumnKind::Time),
    column("updated_at", "p.updated_at", ColumnKind::Time),
    column("last_used_at", "p.last_used_at", ColumnKind::Time).nullable(),
    column("version", "p.version", ColumnKind::Int),
];

/// A stored passkey and whose it is.
pub struct Known {
    pub id: Uuid,
    pub user: Uuid,
    pub passkey: Passkey,
}

pub fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn parse(text: &str) -> Result<Passkey> {
    serde_json::from_str(text).map_err(Problem::internal)
}

pub fn of_user(reader: &mut Reader<'_>, user: Uuid) -> Result<Vec<Passkey>> {
    let rows =
        reader.query("SELECT public_key FROM passkeys WHERE user_id = $1 ORDER BY id", &params![user], |row| {
            Ok(row.json(0)?.to_owned())
        })?;
    rows.iter().map(|text| parse(text)).collect()
}

pub fn find(reader: &mut Reader<'_>, credential_id: &[u8]) -> Result<Option<Known>> {
    let found = reader.first(
        "SELECT id, user_id, public_key FROM passkeys WHERE credential_id = $1",
        &params![base64url(credential_id)],
        |row| Ok((row.uuid(0)?, row.uuid(1)?, row.json(2)?.to_owned())),
    )?;
    found.map(|(id, user, text)| Ok(Known { id, user, passkey: parse(&text)? })).transpose()
}

pub fn insert(tx: &mut Tx<'_>, kernel: &Kernel, user: Uuid, name: &str, passkey: &Passkey) -> Result<Uuid> {
    let (id, now) = (kernel.new_id(), kernel.now());
    let text = serde_json::to_string(passkey).map_err(Problem::internal)?;
    tx.execute(
        "INSERT INTO passkeys (id, user_id, credential_id, name, public_key, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $6)",
        &params![id, user, base64url(passkey.cred_id().as_ref()), name, Sql::Json(text), now],
    )
    .map_err(|error| {
        if error.is_unique("passkeys", &["credential_id"]) {
            return Problem::conflict("passkey_known", "This passkey is registered already.").with_cause(error);
        }
        error.into()
    })?;
    Ok(id)
}

/// Keeps the signature counter and the time of use.
pub fn used(tx: &mut Tx<'_>, kernel: &Kernel, known: Known, result: &AuthenticationResult) -> Result<()> {
    let Known { id, mut passkey, .. } = known;
    passkey.update_credential(result);
    let text = serde_json::to_string(&passkey).map_err(Problem::internal)?;
    tx.push(
        "UPDATE passkeys SET public_key = $2, last_used_at = $3 WHERE id = $1",
        params![id, Sql::Json(text), kernel.now()],
    )?;
    Ok(())
}

pub fn rename(tx: &mut Tx<'_>, kernel: &Kernel, user: Uuid, id: Uuid, name: &str) -> Result<()> {
    let changed = tx.execute(
        "UPDATE passkeys SET name = $3, updated_at = $4, version = version + 1 WHERE user_id = $1 AND id = $2",
        &params![user, id, name, kernel.now()],
    )?;
    if changed == 0 { Err(Problem::not_found()) } else { Ok(()) }
}

pub fn delete(tx: &mut Tx<'_>, user: Uuid, id: Uuid) -> Result<()> {
    let gone = tx.execute("DELETE FROM passkeys WHERE user_id = $1 AND id = $2", &params![user, id])?;
    if gone == 0 { Err(Problem::not_found()) } else { Ok(()) }
}
