//! Numbers in the database.

use std::sync::Arc;

use loopd_kernel::listing::{Column, ColumnKind, Listing, column, searched};
use loopd_kernel::{Kernel, Tenant, audit};
use loopd_store::{Reader, Row, StoreError, Tx, Value, View, dialect, params};
use loopd_types::{CompanyId, Problem, Result, Timestamp, Uuid};
use serde_json::{Value as Json, json};

use super::{Number, Rest, State};
use crate::engine::{Brought, Change};
use crate::{PRODUCT, broadcast, event};

/// Numbers as people see them; never what opens them.
pub const LISTING: Listing = Listing {
    from: "(SELECT * FROM wave_numbers WHERE deleted_at IS NULL) n",
    columns: &COLUMNS,
    company: Some("n.company_id"),
    id: "n.id",
    order: "n.company_id, n.id",
};
const COLUMNS: [Column; 21] = [
    column("id", "n.id", ColumnKind::Uuid),
    column("company", "n.company_id", ColumnKind::Company),
    searched("number", "n.public_id"),
    searched("label", "n.label"),
    column("engine", "n.engine", ColumnKind::Text),
    searched("phone", "n.phone").nullable(),
    column("state", "n.state", ColumnKind::Text),
    column("state_reason", "n.state_reason", ColumnKind::Text).nullable(),
    column("state_at", "n.state_at", ColumnKind::Time),
    column("qr", "n.qr", ColumnKind::Text).nullable(),
    column("qr_until", "n.qr_until", ColumnKind::Time).nullable(),
    column("paused_until", "n.paused_until", ColumnKind::Time).nullable(),
    column("pause_reason", "n.pause_reason", ColumnKind::Text).nullable(),
    column("config", "n.config", ColumnKind::Json),
    column("heard_at", "n.heard_at", ColumnKind::Time).nullable(),
    column("sent_count", "n.sent_count", ColumnKind::Int),
    column("failed_count", "n.failed_count", ColumnKind::Int),
    column("received_count", "n.received_count", ColumnKind::Int),
    column("created_at", "n.created_at", ColumnKind::Time),
    column("updated_at", "n.updated_at", ColumnKind::Time),
    column("version", "n.version", ColumnKind::Int),
];

const SELECT: &str = "SELECT company_id, id, public_id, label, engine, address, phone, state, state_reason, state_at, config, secret, \
     paused_until, pause_reason, warm_since, heard_at, is_pause_told FROM wave_numbers";

fn read(row: &Row<'_>) -> Result<Number, StoreError> {
    let broken = || StoreError::Other("a number's row holds what no number is".into());
    let text = |index: usize| Ok::<_, StoreError>(row.opt_text(index)?.map(str::to_owned));
    Ok(Number {
        company: CompanyId(row.i64(0)?),
        id: row.uuid(1)?,
        public_id: row.text(2)?.to_owned(),
        label: row.text(3)?.to_owned(),
        engine: row.text(4)?.to_owned(),
        address: text(5)?,
        phone: text(6)?,
        state: State::parse(row.text(7)?).ok_or_else(broken)?,
        state_reason: text(8)?,
        state_at: row.time(9)?,
        config: serde_json::from_str(row.json(10)?).map_err(|_| broken())?,
        secret: row.opt_bytes(11)?.map(<[u8]>::to_vec),
        paused_until: row.opt_time(12)?,
        pause_reason: text(13)?,
        warm_since: row.opt_time(14)?,
        heard_at: row.opt_time(15)?,
        is_pause_told: row.bool(16)?,
    })
}

/// # Errors
/// 404 `not_found`.
pub fn get(reader: &mut Reader<'_>, company: CompanyId, id: Uuid) -> Result<Number> {
    find(reader, company, id)?.ok_or_else(Problem::not_found)
}

pub fn find(reader: &mut Reader<'_>, company: CompanyId, id: Uuid) -> Result<Option<Number>, StoreError> {
    let sql = format!("{SELECT} WHERE company_id = $1 AND id = $2 AND deleted_at IS NULL");
    reader.first(&sql, &params![company, id], read)
}

/// As [`get`], held until the transaction ends.
///
/// # Errors
/// 404 `not_found`.
pub fn lock(tx: &mut Tx<'_>, company: CompanyId, id: Uuid) -> Result<Number> {
    let locked = dialect::for_update(tx.engine());
    let sql = format!("{SELECT} WHERE company_id = $1 AND id = $2 AND deleted_at IS NULL{locked}");
    tx.first(&sql, &params![company, id], read)?.ok_or_else(Problem::not_found)
}

/// By what the API calls it; the row's own id is taken too.
pub fn find_public(reader: &mut Reader<'_>, company: CompanyId, name: &str) -> Result<Option<Number>, StoreError> {
    if let Ok(id) = Uuid::parse_str(name) {
        return find(reader, company, id);
    }
    let sql = format!("{SELECT} WHERE company_id = $1 AND public_id = $2 AND deleted_at IS NULL");
    reader.first(&sql, &params![company, name], read)
}

/// As [`find_public`], also of a number that is no longer linked: its chats and figures are still there. Gives its id.
pub fn find_ever(reader: &mut Reader<'_>, company: CompanyId, name: &str) -> Result<Option<Uuid>, StoreError> {
    let id = Uuid::parse_str(name).ok();
    // A name is given once; of a telephone that was linked again, each time has its own.
    let sql = "SELECT id FROM wave_numbers WHERE company_id = $1 AND (id = $2 OR public_id = $3) LIMIT 1";
    reader.first(sql, &params![company, id, name], |row| row.uuid(0))
}

/// By what its engine calls it.
pub fn find_address(
    reader: &mut Reader<'_>,
    company: CompanyId,
    engine: &str,
    address: &str,
) -> Result<Option<Number>, StoreError> {
    let sql = format!("{SELECT} WHERE company_id = $1 AND engine = $2 AND address = $3 AND deleted_at IS NULL");
    reader.first(&sql, &params![company, engine, address], read)
}

/// The number that speaks when nobody says which: the first that is ready.
pub fn first_ready(reader: &mut Reader<'_>, company: CompanyId) -> Result<Option<Number>, StoreError> {
    let sql = format!("{SELECT} WHERE company_id = $1 AND state = 'ready' AND deleted_at IS NULL ORDER BY id LIMIT 1");
    reader.first(&sql, &params![company], read)
}

/// As [`first_ready`], but one that rests (WhatsApp has restricted it) only where no other is ready.
pub fn first_free(reader: &mut Reader<'_>, company: CompanyId, now: Timestamp) -> Result<Option<Number>, StoreError> {
    let sql = format!(
        "{SELECT} WHERE company_id = $1 AND state = 'ready' AND deleted_at IS NULL \
         ORDER BY CASE WHEN paused_until > $2 THEN 1 ELSE 0 END, id LIMIT 1"
    );
    reader.first(&sql, &params![company, now], read)
}

/// A new line.
#[derive(Clone, Debug)]
pub struct New<'a> {
    pub label: &'a str,
    pub engine: &'a str,
    pub address: Option<&'a str>,
    pub config: Json,
    pub secret: Option<Vec<u8>>,
}

/// Adds a line, disconnected.
///
/// # Errors
/// 409 `already_exists` for an address that this company has already.
pub fn create(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid, new: &New<'_>) -> Result<()> {
    if let Some(address) = new.address {
        tx.lock(&format!("wave_numbers:{}", tenant.company.0))?;
        if find_address(tx, tenant.company, new.engine, address)?.is_some() {
            return Err(Problem::conflict("already_exists", "This number is linked already."));
        }
    }
    let now = kernel.now();
    tx.execute(
        "INSERT INTO wave_numbers (company_id, id, public_id, label, engine, address, state, state_at, config, secret, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, 'disconnected', $7, $8, $9, $7, $7)",
        &params![
            tenant.company,
            id,
            public_id(kernel),
            new.label,
            new.engine,
            new.address,
            now,
            Value::Json(new.config.to_string()),
            new.secret.clone()
        ],
    )?;
    let number = get(tx, tenant.company, id)?;
    written(tx, kernel, tenant, &number, "create")?;
    event::number(tx, kernel, tenant, &number, event::Line::Status)
}

/// `n` and eight letters or digits, like the original's `n1a2b3c`; unique in the installation.
fn public_id(kernel: &Kernel) -> String {
    const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let mut random = [0u8; 8];
    kernel.rng.fill(&mut random);
    std::iter::once('n').chain(random.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)]))).collect()
}

/// Renames a line.
///
/// # Errors
/// 404.
pub fn rename(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid, label: &str) -> Result<()> {
    let known = lock(tx, tenant.company, id)?;
    if known.label == label {
        return Ok(());
    }
    tx.execute(
        "UPDATE wave_numbers SET label = $3, updated_at = $4, version = version + 1 WHERE company_id = $1 AND id = $2",
        &params![tenant.company, id, label, kernel.now()],
    )?;
    let changes = Some(json!({"label": [known.label, label]}).to_string());
    audit::record(tx, kernel, tenant, entry(&known, "update", changes))?;
    event::number(tx, kernel, tenant, &Number { label: label.to_owned(), ..known }, event::Line::Status)
}

/// Takes up what an engine says of a line. Saying the same again changes nothing and tells nobody.
///
/// # Errors
/// 404 for a line that is gone.
pub fn apply(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid, change: &Change) -> Result<Number> {
    let known = lock(tx, tenant.company, id)?;
    let now = kernel.now();
    let (qr, qr_until) = change.qr.clone().map_or((None, None), |(code, until)| (Some(code), Some(until)));
    let phone = change.phone.clone().or_else(|| known.phone.clone());
    let is_ready = change.state == State::Ready;
    let warm_since = known.warm_since.or(is_ready.then_some(now));
    let heard_at = if is_ready { Some(now) } else { known.heard_at };
    let has_changed = known.state != change.state || known.state_reason != change.reason || phone != known.phone;
    tx.execute(
        "UPDATE wave_numbers SET state = $3, state_reason = $4, state_at = $5, qr = $6, qr_until = $7, phone = $8, warm_since = $9, \
         heard_at = $10, updated_at = $11, version = version + 1 WHERE company_id = $1 AND id = $2",
        &params![
            tenant.company,
            id,
            change.state.as_str(),
            change.reason.as_deref(),
            if has_changed { now } else { known.state_at },
            qr,
            qr_until,
            phone.as_deref(),
            warm_since,
            heard_at,
            now
        ],
    )?;
    let next = get(tx, tenant.company, id)?;
    if has_changed {
        event::number(tx, kernel, tenant, &next, event::Line::Status)?;
    }
    Ok(next)
}

/// Nothing but what people write goes out before the end of the rest; `None` ends it now. When it begins, administrators are told by letter.
///
/// # Errors
/// 404.
pub fn pause(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    id: Uuid,
    rest: Option<Rest>,
    reason: &str,
) -> Result<()> {
    let known = lock(tx, tenant.company, id)?;
    let (until, now) = (rest.map(|rest| rest.until), kernel.now());
    tx.execute(
        "UPDATE wave_numbers SET paused_until = $3, pause_reason = $4, updated_at = $5, is_pause_told = $6, version = version + 1 \
         WHERE company_id = $1 AND id = $2",
        &params![tenant.company, id, until, until.map(|_| reason), now, rest.is_some_and(|rest| rest.is_told)],
    )?;
    if rest.is_none() {
        broadcast::store::lifted(tx, tenant.company, id, now)?;
    }
    let action = if until.is_some() { "pause" } else { "resume" };
    let changes = Some(json!({"paused_until": [known.paused_until.map(|at| at.to_string()), until.map(|at| at.to_string())], "pause_reason": [known.pause_reason, reason]}).to_string());
    audit::record(tx, kernel, tenant, entry(&known, action, changes))?;
    let next = get(tx, tenant.company, id)?;
    if !known.is_paused(now) {
        super::letter::rests(tx, kernel, tenant, &next)?;
    }
    event::number(tx, kernel, tenant, &next, event::Line::Status)
}

/// The lines of an engine.
pub fn of_engine(reader: &mut Reader<'_>, company: CompanyId, engine: &str) -> Result<Vec<Number>, StoreError> {
    let sql = format!("{SELECT} WHERE company_id = $1 AND engine = $2 AND deleted_at IS NULL ORDER BY id");
    reader.query(&sql, &params![company, engine], read)
}

/// By what the API calls it, in whichever company: for calls that come from outside.
pub fn find_anywhere(reader: &mut Reader<'_>, public_id: &str) -> Result<Option<Number>, StoreError> {
    let sql = format!("{SELECT} WHERE public_id = $1 AND deleted_at IS NULL");
    reader.first(&sql, &params![public_id], read)
}

/// Keeps what an engine learned of its line.
///
/// # Errors
/// The database's.
pub async fn learn(kernel: &Arc<Kernel>, number: &Number, config: Json) -> Result<()> {
    if config == number.config {
        return Ok(());
    }
    let (company, id) = (number.company, number.id);
    kernel.db.write(View::Company(company), move |tx| Ok(set_config(tx, company, id, &config)?)).await
}

/// As [`learn`], in a transaction.
///
/// # Errors
/// The database's.
pub fn set_config(tx: &mut Tx<'_>, company: CompanyId, id: Uuid, config: &Json) -> Result<(), StoreError> {
    tx.push(
        "UPDATE wave_numbers SET config = $3 WHERE company_id = $1 AND id = $2",
        params![company, id, Value::Json(config.to_string())],
    )
}

/// Gives a line new secrets.
///
/// # Errors
/// 404.
pub fn set_secret(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid, secret: &[u8]) -> Result<()> {
    let known = lock(tx, tenant.company, id)?;
    tx.execute(
        "UPDATE wave_numbers SET secret = $3, updated_at = $4, version = version + 1 WHERE company_id = $1 AND id = $2",
        &params![tenant.company, id, secret.to_vec(), kernel.now()],
    )?;
    written(tx, kernel, tenant, &known, "credentials")
}

/// Removes a line; its chats stay, to be read.
///
/// # Errors
/// 404.
pub fn delete(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid) -> Result<()> {
    let known = lock(tx, tenant.company, id)?;
    tx.execute(
        "UPDATE wave_numbers SET deleted_at = $3, updated_at = $3, state = 'logged_out', secret = NULL, qr = NULL, version = version + 1 \
         WHERE company_id = $1 AND id = $2",
        &params![tenant.company, id, kernel.now()],
    )?;
    written(tx, kernel, tenant, &known, "unlink")?;
    event::number(tx, kernel, tenant, &known, event::Line::Removed)
}

/// Adds to a line's counters.
///
/// # Errors
/// The database's.
pub fn count(
    tx: &mut Tx<'_>,
    company: CompanyId,
    id: Uuid,
    counted: Counted,
    now: Timestamp,
) -> Result<(), StoreError> {
    let sql = match counted {
        Counted::Sent => {
            "UPDATE wave_numbers SET sent_count = sent_count + 1, outbound_at = $3, heard_at = $3 WHERE company_id = $1 AND id = $2"
        }
        Counted::Failed => {
            "UPDATE wave_numbers SET failed_count = failed_count + 1, heard_at = $3 WHERE company_id = $1 AND id = $2"
        }
        Counted::Received => {
            "UPDATE wave_numbers SET received_count = received_count + 1, inbound_at = $3, heard_at = $3 WHERE company_id = $1 AND id = $2"
        }
    };
    tx.push(sql, params![company, id, now])
}

/// What is counted of a line.
#[derive(Clone, Copy, Debug)]
pub enum Counted {
    Sent,
    Failed,
    Received,
}

/// Puts it on record that somebody asked for a line's older messages, and what that brought.
///
/// # Errors
/// The database's.
pub fn synced(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, number: &Number, brought: Brought) -> Result<()> {
    let changes = json!({"messages": [null, brought.messages], "chats": [null, brought.chats]}).to_string();
    Ok(audit::record(tx, kernel, tenant, entry(number, "sync-history", Some(changes)))?)
}

fn entry<'a>(number: &'a Number, action: &'a str, changes: Option<String>) -> audit::Entry<'a> {
    audit::Entry {
        action,
        module: PRODUCT,
        resource: "numbers",
        target: &number.public_id,
        label: &number.label,
        changes,
    }
}

fn written(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, number: &Number, action: &str) -> Result<()> {
    Ok(audit::record(tx, kernel, tenant, entry(number, action, None))?)
}
