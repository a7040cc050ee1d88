//! Projects and their keys in the database.

use loopd_kernel::credential::{self, Limits, NewKey};
use loopd_kernel::{Kernel, Tenant, audit, event};
use loopd_store::{Reader, Row, StoreError, Tx, Value, params};
use loopd_types::{CompanyId, Problem, Result, Timestamp, Uuid, hex};
use serde_json::{Value as Json, json};

use super::rules::{self, Purpose};
use super::{PROJECT, names};
use crate::keys;
use loopd_web::cursor::Page;

/// A living project.
#[derive(Clone, Debug)]
pub struct Project {
    pub company: CompanyId,
    pub id: Uuid,
    /// `id-` and 16 hex digits: what clients call it.
    pub public_id: String,
    pub name: String,
    pub purpose: Purpose,
    pub scopes: Vec<String>,
    /// The row of its key.
    pub credential: Uuid,
    /// `loid-a3f91b00`
    pub key_prefix: String,
    /// Ed25519.
    pub public_key: [u8; 32],
    /// Sealed; see [`keys::open_signing`].
    pub signing_key: Vec<u8>,
    /// EIP-55.
    pub wallet_address: String,
    /// Sealed; see [`keys::open_wallet`].
    pub wallet_key: Vec<u8>,
    /// Where buyers pay instead of to its own wallet.
    pub pay_to: Option<String>,
    pub created_at: Timestamp,
    /// How often its key was used, and when last; written in batches.
    pub use_count: i64,
    pub last_used_at: Option<Timestamp>,
}

impl Project {
    /// Where buyers pay.
    pub fn recipient(&self) -> &str {
        self.pay_to.as_deref().unwrap_or(&self.wallet_address)
    }
}

/// A project that was just made, or whose key was: the only moment the key is known.
#[derive(Clone, Debug)]
pub struct Made {
    pub project: Project,
    pub raw_key: String,
}

/// What a new project shall be.
#[derive(Clone, Debug)]
pub struct New {
    pub name: Option<String>,
    pub purpose: Purpose,
    /// `None`: what its purpose needs.
    pub scopes: Option<Vec<String>>,
}

/// What changes of a project; `None` stays.
#[derive(Clone, Debug, Default)]
pub struct Change {
    pub name: Option<String>,
    pub add: Vec<String>,
    pub remove: Vec<String>,
    /// `Some(None)`: back to its own wallet.
    pub pay_to: Option<Option<String>>,
}

const SELECT: &str = "SELECT p.company_id, p.id, p.public_id, p.name, p.purpose, p.scopes, p.credential_id, p.key_prefix, p.public_key, \
     p.signing_key, p.wallet_address, p.wallet_key, p.pay_to, p.created_at, k.use_count, k.last_used_at \
     FROM pay_projects p JOIN credentials k ON k.id = p.credential_id";

fn read(row: &Row<'_>) -> Result<Project, StoreError> {
    let broken = || StoreError::Other("a project's row holds what no project is".into());
    Ok(Project {
        company: CompanyId(row.i64(0)?),
        id: row.uuid(1)?,
        public_id: row.text(2)?.to_owned(),
        name: row.text(3)?.to_owned(),
        purpose: Purpose::parse(row.text(4)?).ok_or_else(broken)?,
        scopes: serde_json::from_str(row.json(5)?).map_err(|_| broken())?,
        credential: row.uuid(6)?,
        key_prefix: row.text(7)?.to_owned(),
        public_key: row.bytes(8)?.try_into().map_err(|_| broken())?,
        signing_key: row.bytes(9)?.to_vec(),
        wallet_address: row.text(10)?.to_owned(),
        wallet_key: row.bytes(11)?.to_vec(),
        pay_to: row.opt_text(12)?.map(str::to_owned),
        created_at: row.time(13)?,
        use_count: row.i64(14)?,
        last_used_at: row.opt_time(15)?,
    })
}

/// A project of this company by its own id.
///
/// # Errors
/// 404 `not_found`.
pub fn get(reader: &mut Reader<'_>, company: CompanyId, id: Uuid) -> Result<Project> {
    let sql = format!("{SELECT} WHERE p.company_id = $1 AND p.id = $2 AND p.deleted_at IS NULL");
    reader.first(&sql, &params![company, id], read)?.ok_or_else(Problem::not_found)
}

/// A project of this company by the id that clients know.
///
/// # Errors
/// 404 `not_found`, for other companies' too.
pub fn find(reader: &mut Reader<'_>, company: CompanyId, public_id: &str) -> Result<Project> {
    let sql = format!("{SELECT} WHERE p.company_id = $1 AND p.public_id = $2 AND p.deleted_at IS NULL");
    reader.first(&sql, &params![company, public_id], read)?.ok_or_else(Problem::not_found)
}

/// A project of any company, also after it was deleted: for its public document, by which its receipts are checked for ever.
///
/// # Errors
/// 404 `not_found`.
pub fn find_anywhere(reader: &mut Reader<'_>, public_id: &str) -> Result<Project> {
    let sql = format!("{SELECT} WHERE p.public_id = $1");
    reader.first(&sql, &params![public_id], read)?.ok_or_else(Problem::not_found)
}

/// A page of the company's projects, newest first; one more than the page has, if there are more.
pub fn list(reader: &mut Reader<'_>, company: CompanyId, page: &Page) -> Result<Vec<Project>> {
    let (at, id) = page.before();
    let sql = format!(
        "{SELECT} WHERE p.company_id = $1 AND p.deleted_at IS NULL AND (p.created_at, p.id) < ($2, $3) \
         ORDER BY p.created_at DESC, p.id DESC LIMIT $4"
    );
    Ok(reader.query(&sql, &params![company, at, id, page.limit + 1], read)?)
}

/// Makes a project with its keys and wallet.
///
/// # Errors
/// 500 when its keys cannot be sealed; 503 from the database.
pub fn create(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, new: &New) -> Result<Made> {
    let (id, now) = (kernel.new_id(), kernel.now());
    let mut random = [0u8; 8];
    kernel.rng.fill(&mut random);
    let public_id = format!("id-{}", hex(&random));
    let name = new.name.clone().unwrap_or_else(|| names::three_words(kernel.rng.as_ref()));
    let scopes = match &new.scopes {
        Some(wanted) => rules::known(wanted),
        None => rules::known(new.purpose.scopes()),
    };
    let fresh = keys::fresh(kernel, id)?;
    let minted = issue(tx, kernel, tenant, id, &name, &scopes, None)?;
    tx.execute(
        "INSERT INTO pay_projects (company_id, id, public_id, name, purpose, scopes, credential_id, key_prefix, public_key, signing_key, \
         wallet_address, wallet_key, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13)",
        &params![
            tenant.company,
            id,
            public_id.as_str(),
            name.as_str(),
            new.purpose.as_str(),
            Value::Json(Json::from(scopes.clone()).to_string()),
            minted.id,
            PROJECT.visible(&minted.secret),
            fresh.public_key.to_vec(),
            fresh.signing_key,
            fresh.wallet_address.to_string(),
            fresh.wallet_key,
            now
        ],
    )?;
    let project = get(tx, tenant.company, id)?;
    written(tx, kernel, tenant, &project, "create", "created", None)?;
    Ok(Made { project, raw_key: minted.secret })
}

fn issue(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    project: Uuid,
    name: &str,
    scopes: &[String],
    rotated_from: Option<Uuid>,
) -> Result<credential::Minted> {
    let subject = project.to_string();
    credential::issue(
        tx,
        kernel,
        &NewKey {
            kind: &PROJECT,
            company: tenant.company,
            name,
            user: None,
            subject: Some(&subject),
            scopes,
            limits: &Limits::default(),
            expires_at: None,
            rotated_from,
            by: tenant.actor.user,
        },
    )
}

/// Changes name, scopes and payee; its key knows at its next request.
///
/// # Errors
/// 404.
pub fn change(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, public_id: &str, change: &Change) -> Result<Project> {
    let known = find(tx, tenant.company, public_id)?;
    let scopes = rules::changed(&known.scopes, &change.add, &change.remove);
    let name = change.name.as_ref().unwrap_or(&known.name);
    let pay_to = change.pay_to.clone().unwrap_or_else(|| known.pay_to.clone());
    let stored = Value::Json(Json::from(scopes.clone()).to_string());
    tx.execute(
        "UPDATE pay_projects SET name = $3, scopes = $4, pay_to = $5, updated_at = $6, version = version + 1 WHERE company_id = $1 AND id = $2",
        &params![tenant.company, known.id, name.as_str(), stored, pay_to.as_deref(), kernel.now()],
    )?;
    if scopes != known.scopes {
        credential::set_scopes(tx, kernel, tenant.company, known.credential, &scopes)?;
    }
    let changed = get(tx, tenant.company, known.id)?;
    let mut changes = serde_json::Map::new();
    for (field, before, after) in [
        ("name", json!(known.name), json!(changed.name)),
        ("scopes", json!(known.scopes), json!(changed.scopes)),
        ("pay_to", json!(known.pay_to), json!(changed.pay_to)),
    ] {
        if before != after {
            changes.insert(field.to_owned(), json!([before, after]));
        }
    }
    if !changes.is_empty() {
        written(tx, kernel, tenant, &changed, "update", "updated", Some(Json::Object(changes)))?;
    }
    Ok(changed)
}

/// Makes a new key; the old one is dead with this transaction.
///
/// # Errors
/// 404.
pub fn rotate(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, public_id: &str) -> Result<Made> {
    let known = find(tx, tenant.company, public_id)?;
    credential::end(tx, kernel, tenant.company, known.credential)?;
    let minted = issue(tx, kernel, tenant, known.id, &known.name, &known.scopes, Some(known.credential))?;
    tx.execute(
        "UPDATE pay_projects SET credential_id = $3, key_prefix = $4, updated_at = $5, version = version + 1 WHERE company_id = $1 AND id = $2",
        &params![tenant.company, known.id, minted.id, PROJECT.visible(&minted.secret), kernel.now()],
    )?;
    let project = get(tx, tenant.company, known.id)?;
    written(tx, kernel, tenant, &project, "rotate", "key_rotated", None)?;
    Ok(Made { project, raw_key: minted.secret })
}

/// Ends a project: its key is dead, nobody finds it any more. What it was paid stays on record, and so do its sealed keys: money may
/// still lie in its wallet.
///
/// # Errors
/// 404.
pub fn delete(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, public_id: &str) -> Result<()> {
    let known = find(tx, tenant.company, public_id)?;
    credential::end(tx, kernel, tenant.company, known.credential)?;
    tx.execute(
        "UPDATE pay_projects SET deleted_at = $3, updated_at = $3, version = version + 1 WHERE company_id = $1 AND id = $2",
        &params![tenant.company, known.id, kernel.now()],
    )?;
    written(tx, kernel, tenant, &known, "delete", "deleted", None)
}

fn written(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    project: &Project,
    action: &str,
    event: &str,
    changes: Option<Json>,
) -> Result<()> {
    let entry = audit::Entry {
        action,
        module: super::PRODUCT,
        resource: "projects",
        target: &project.public_id,
        label: &project.name,
        changes: changes.map(|changes| changes.to_string()),
    };
    audit::record(tx, kernel, tenant, entry)?;
    let payload = json!({
        "id": project.public_id, "name": project.name, "purpose": project.purpose.as_str(), "scopes": project.scopes,
        "key_prefix": project.key_prefix, "wallet_address": project.wallet_address, "pay_to": project.recipient(),
    });
    let subject = format!("{}/projects/{}", super::PRODUCT, project.public_id);
    event::emit(tx, kernel, tenant, &format!("{}.projects.{event}", super::PRODUCT), &subject, payload.to_string())
}

/// What signs a project's receipts, also after it was deleted.
pub struct Signer {
    pub public_id: String,
    pub signing_key: Vec<u8>,
}

/// # Errors
/// 404.
pub fn signer(reader: &mut Reader<'_>, company: CompanyId, id: Uuid) -> Result<Signer> {
    let sql = "SELECT public_id, signing_key FROM pay_projects WHERE company_id = $1 AND id = $2";
    let read = |row: &Row<'_>| Ok(Signer { public_id: row.text(0)?.to_owned(), signing_key: row.bytes(1)?.to_vec() });
    reader.first(sql, &params![company, id], read)?.ok_or_else(Problem::not_found)
}

/// The address of a project's wallet, also after it was deleted.
///
/// # Errors
/// 404.
pub fn wallet_of(reader: &mut Reader<'_>, company: CompanyId, id: Uuid) -> Result<String> {
    let sql = "SELECT wallet_address FROM pay_projects WHERE company_id = $1 AND id = $2";
    reader.first(sql, &params![company, id], |row| Ok(row.text(0)?.to_owned()))?.ok_or_else(Problem::not_found)
}

/// What a key begins with, and who made it: `{id, email, name}` or null.
pub fn maker_of_key(reader: &mut Reader<'_>, key: Option<Uuid>) -> Result<Option<(String, Json)>, StoreError> {
    let sql = "SELECT k.prefix, u.id, u.email, u.first_name, u.last_name FROM credentials k LEFT JOIN users u ON u.id = k.created_by WHERE k.id = $1";
    reader.first(sql, &params![key], |row| {
        let user = match row.opt_uuid(1)? {
            None => Json::Null,
            Some(user) => {
                let names = format!("{} {}", row.opt_text(3)?.unwrap_or(""), row.opt_text(4)?.unwrap_or(""));
                json!({"id": user.to_string(), "email": row.opt_text(2)?, "name": names.trim()})
            }
        };
        Ok((row.text(0)?.to_owned(), user))
    })
}

/// The name of a platform key, and whether it is revoked.
pub fn platform_key(reader: &mut Reader<'_>, company: CompanyId, id: Uuid) -> Result<(String, bool)> {
    let sql = "SELECT name, revoked_at FROM credentials WHERE company_id = $1 AND id = $2 AND kind = 'platform'";
    let read = |row: &Row<'_>| Ok((row.text(0)?.to_owned(), row.opt_time(1)?.is_some()));
    reader.first(sql, &params![company, id], read)?.ok_or_else(Problem::not_found)
}
