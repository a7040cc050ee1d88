//! `pay_settlements`: the only place that writes how far a settlement is. Every change is one of [`State::may_become`]'s.

pub mod ledger;
pub mod transactions;

use alloy_primitives::{Address, B256};
use loopd_kernel::Kernel;
use loopd_store::{Reader, Row, StoreError, Tx, View, dialect, params};
use loopd_types::{Problem, Result, Timestamp, Uuid};

use super::{Key, Purpose, Settlement, State, material};

const COLUMNS: &str = "id, chain, asset, payer, nonce, amount, pay_to, payment, engine, state, tx_hash, reason, purpose, from_block, \
     created_at, concluded_at";

/// Writes a settlement unless its authorization has one. Whether it was written.
///
/// # Errors
/// The database's.
pub fn insert(tx: &mut Tx<'_>, it: &Settlement, due_at: Option<Timestamp>) -> Result<bool> {
    let inserted = tx.execute(
        "INSERT INTO pay_settlements (id, chain, asset, payer, nonce, amount, pay_to, payment, engine, state, tx_hash, reason, purpose, \
         company_id, due_at, created_at, concluded_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) \
         ON CONFLICT (chain, asset, payer, nonce) DO NOTHING",
        &params![
            it.id, chain(it.key.chain)?, material::hex(it.key.asset), material::hex(it.key.payer), word(it.key.nonce),
            it.amount.to_string(), material::hex(it.pay_to), material::write(&it.payment), it.engine.as_str(), it.state.name(),
            it.tx_hash.map(word), it.reason.as_deref(), it.purpose.to_json(), it.purpose.company().map(|it| it.0), due_at.map(|it| it.0),
            it.created_at, it.concluded_at.map(|it| it.0)
        ],
    )?;
    Ok(inserted == 1)
}

/// The settlement of an authorization.
///
/// # Errors
/// The database's.
pub fn find(reader: &mut Reader<'_>, key: &Key) -> Result<Option<Settlement>> {
    let sql =
        format!("SELECT {COLUMNS} FROM pay_settlements WHERE chain = $1 AND asset = $2 AND payer = $3 AND nonce = $4");
    one(reader, &sql, key)
}

/// The same, its row locked until the transaction ends.
///
/// # Errors
/// The database's.
pub fn lock(tx: &mut Tx<'_>, key: &Key) -> Result<Option<Settlement>> {
    let suffix = dialect::for_update(tx.engine());
    let sql = format!(
        "SELECT {COLUMNS} FROM pay_settlements WHERE chain = $1 AND asset = $2 AND payer = $3 AND nonce = $4{suffix}"
    );
    one(tx, &sql, key)
}

fn one(reader: &mut Reader<'_>, sql: &str, key: &Key) -> Result<Option<Settlement>> {
    let by = params![chain(key.chain)?, material::hex(key.asset), material::hex(key.payer), word(key.nonce)];
    reader.first(sql, &by, |row| Ok(read(row)))?.transpose()
}

/// A settlement as it stands now.
///
/// # Errors
/// 404, or the database's.
pub async fn get(kernel: &Kernel, id: Uuid) -> Result<Settlement> {
    kernel.db.read(View::System, move |reader| by_id(reader, id, "")).await
}

/// The same within a transaction, its row locked.
///
/// # Errors
/// 404, or the database's.
pub fn lock_id(tx: &mut Tx<'_>, id: Uuid) -> Result<Settlement> {
    let suffix = dialect::for_update(tx.engine());
    by_id(tx, id, suffix)
}

fn by_id(reader: &mut Reader<'_>, id: Uuid, suffix: &str) -> Result<Settlement> {
    let sql = format!("SELECT {COLUMNS} FROM pay_settlements WHERE id = $1{suffix}");
    reader.first(&sql, &params![id], |row| Ok(read(row)))?.transpose()?.ok_or_else(Problem::not_found)
}

/// Whether the sandbox has used a payer's nonce with one of these tokens.
///
/// # Errors
/// The database's.
pub fn is_used(reader: &mut Reader<'_>, of: u64, assets: &[Address], payer: Address, nonce: B256) -> Result<bool> {
    for asset in assets {
        let key = Key { chain: of, asset: *asset, payer, nonce };
        if find(reader, &key)?.is_some_and(|found| found.state == State::Settled && found.is_sandbox()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Writes how far a settlement is that was locked in this transaction.
///
/// # Errors
/// 500 when that is no way from where it stood.
pub fn update(tx: &mut Tx<'_>, before: State, it: &Settlement, due_at: Option<Timestamp>) -> Result<()> {
    if before != it.state && !before.may_become(it.state) {
        return Err(Problem::internal(format!("settlement {} cannot go from {before:?} to {:?}", it.id, it.state)));
    }
    tx.push(
        "UPDATE pay_settlements SET state = $2, tx_hash = $3, reason = $4, from_block = $5, due_at = $6, concluded_at = $7, engine = $8, \
         purpose = $9, company_id = $10, payment = $11, amount = $12, pay_to = $13 WHERE id = $1",
        params![
            it.id, it.state.name(), it.tx_hash.map(word), it.reason.as_deref(), it.from_block.map(chain).transpose()?,
            due_at.map(|it| it.0), it.concluded_at.map(|it| it.0), it.engine.as_str(), it.purpose.to_json(),
            it.purpose.company().map(|it| it.0), material::write(&it.payment), it.amount.to_string(), material::hex(it.pay_to)
        ],
    )?;
    Ok(())
}

/// Settlements that somebody should look at: those that are not concluded first, longest due first.
///
/// # Errors
/// The database's.
pub async fn due(kernel: &Kernel, now: Timestamp, most: usize) -> Result<Vec<(Uuid, Timestamp)>> {
    let sql = format!(
        "SELECT id, due_at FROM pay_settlements WHERE due_at <= $1 ORDER BY concluded_at IS NOT NULL, due_at LIMIT {most}"
    );
    kernel
        .db
        .read(
            View::System,
            move |reader| Ok(reader.query(&sql, &params![now], |row| Ok((row.uuid(0)?, row.time(1)?)))?),
        )
        .await
}

/// Takes a settlement that is due since `seen` until `until`. Whether nobody else did.
///
/// # Errors
/// The database's.
pub async fn take(kernel: &Kernel, id: Uuid, seen: Timestamp, until: Timestamp) -> Result<bool> {
    let sql = "UPDATE pay_settlements SET due_at = $3 WHERE id = $1 AND due_at = $2";
    kernel.db.write(View::System, move |tx| Ok(tx.execute(sql, &params![id, seen, until])? == 1)).await
}

/// Says when a settlement should be looked at next, if it should be.
///
/// # Errors
/// The database's.
pub async fn look_again(kernel: &Kernel, id: Uuid, at: Timestamp) -> Result<()> {
    let sql = "UPDATE pay_settlements SET due_at = $2 WHERE id = $1 AND due_at IS NOT NULL";
    kernel.db.write(View::System, move |tx| Ok(tx.execute(sql, &params![id, at]).map(drop)?)).await
}

/// Says that a concluded settlement need not be looked at any more.
///
/// # Errors
/// The database's.
pub async fn rest(kernel: &Kernel, id: Uuid) -> Result<()> {
    let sql = "UPDATE pay_settlements SET due_at = NULL WHERE id = $1 AND concluded_at IS NOT NULL";
    kernel.db.write(View::System, move |tx| Ok(tx.execute(sql, &params![id]).map(drop)?)).await
}

/// Makes everything due now that is not yet: after a start, when no other process can be at it.
///
/// # Errors
/// The database's.
pub async fn wake_all(kernel: &Kernel, now: Timestamp) -> Result<u64> {
    let sql = "UPDATE pay_settlements SET due_at = $1 WHERE due_at > $1";
    kernel.db.write(View::System, move |tx| Ok(tx.execute(sql, &params![now])?)).await
}

fn read(row: &Row<'_>) -> Result<Settlement> {
    let json = |text: &str| serde_json::from_str(text).map_err(Problem::internal);
    let hash = |text: &str| text.parse::<B256>().map_err(Problem::internal);
    let count = |number: i64| u64::try_from(number).map_err(Problem::internal);
    Ok(Settlement {
        id: row.uuid(0)?,
        key: Key {
            chain: count(row.i64(1)?)?,
            asset: row.text(2)?.parse().map_err(Problem::internal)?,
            payer: row.text(3)?.parse().map_err(Problem::internal)?,
            nonce: hash(row.text(4)?)?,
        },
        amount: row.text(5)?.parse().map_err(Problem::internal)?,
        pay_to: row.text(6)?.parse().map_err(Problem::internal)?,
        payment: material::read(&json(row.json(7)?)?)?,
        engine: row.text(8)?.to_owned(),
        state: State::parse(row.text(9)?).ok_or_else(|| Problem::internal("a settlement in no known state"))?,
        tx_hash: row.opt_text(10)?.map(hash).transpose()?,
        reason: row.opt_text(11)?.map(str::to_owned),
        purpose: Purpose::from_json(&json(row.json(12)?)?)?,
        from_block: row.opt_i64(13)?.map(count).transpose()?,
        created_at: row.time(14)?,
        concluded_at: row.opt_time(15)?,
    })
}

/// A chain's id, or the number of a block, as a database counts.
pub(super) fn chain(number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|_| StoreError::Other(format!("{number} is too large for a chain")))
}

pub(super) fn word(hash: B256) -> String {
    format!("{hash:#x}")
}
