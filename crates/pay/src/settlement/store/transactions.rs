//! `pay_relayers`, `pay_transactions`: whose nonces are given out, and what was signed with them, before anybody sees it.

use alloy_primitives::{Address, B256};
use loopd_store::{Reader, Row, Tx, params};
use loopd_types::{Problem, Result, Timestamp, Uuid};

use super::{chain, material, word};
use crate::settlement::rpc::{Fees, Signed, Unsigned};

/// A transaction as it was signed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transaction {
    pub hash: B256,
    /// `None` for one that only fills a nonce.
    pub settlement: Option<Uuid>,
    pub relayer: Address,
    pub nonce: u64,
    pub raw: Vec<u8>,
    pub gas: u64,
    pub fees: Fees,
    /// Whether it was seen in a block, which may since have been replaced by another.
    pub was_mined: bool,
    pub created_at: Timestamp,
}

const COLUMNS: &str = "hash, settlement_id, relayer, nonce, raw, gas, max_fee, priority_fee, state, created_at";

/// What was signed for a settlement and may be mined, oldest first.
///
/// # Errors
/// The database's.
pub fn of(reader: &mut Reader<'_>, settlement: Uuid) -> Result<Vec<Transaction>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM pay_transactions WHERE settlement_id = $1 AND state = 'signed' ORDER BY created_at, hash"
    );
    read_all(reader.query(&sql, &params![settlement], |row| Ok(read(row)))?)
}

/// Everything that was signed for a settlement, whatever became of it, oldest first.
///
/// # Errors
/// The database's.
pub fn all_of(reader: &mut Reader<'_>, settlement: Uuid) -> Result<Vec<Transaction>> {
    let sql = format!("SELECT {COLUMNS} FROM pay_transactions WHERE settlement_id = $1 ORDER BY created_at, hash");
    read_all(reader.query(&sql, &params![settlement], |row| Ok(read(row)))?)
}

/// What was signed by a wallet and may be mined, or was, from a nonce to before another, in their order and oldest first.
///
/// # Errors
/// The database's.
pub fn between(reader: &mut Reader<'_>, on: u64, relayer: Address, from: u64, before: u64) -> Result<Vec<Transaction>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM pay_transactions WHERE chain = $1 AND relayer = $2 AND nonce >= $3 AND nonce < $4 AND state <> 'dropped' \
         ORDER BY nonce, created_at, hash"
    );
    let by = params![chain(on)?, material::hex(relayer), chain(from)?, chain(before)?];
    read_all(reader.query(&sql, &by, |row| Ok(read(row)))?)
}

/// How many transactions of a wallet may still be mined.
///
/// # Errors
/// The database's.
pub fn waiting(reader: &mut Reader<'_>, on: u64, relayer: Address) -> Result<i64> {
    let sql = "SELECT COUNT(*) FROM pay_transactions t JOIN pay_settlements s ON s.id = t.settlement_id \
         WHERE t.chain = $1 AND t.relayer = $2 AND t.state = 'signed' AND s.concluded_at IS NULL";
    Ok(reader.one(sql, &params![chain(on)?, material::hex(relayer)], |row| row.i64(0))?)
}

/// Gives out a wallet's nonce: the lowest that was given out and will not be used, else the next. `mined` is what the chain takes next,
/// which is higher when the wallet is used elsewhere too.
///
/// # Errors
/// The database's.
pub fn allocate(tx: &mut Tx<'_>, on: u64, relayer: Address, mined: u64) -> Result<u64> {
    let (on, relayer, mined) = (chain(on)?, material::hex(relayer), chain(mined)?);
    // The row is locked by being written, so two nodes are given different ones.
    let next = tx.one(
        "INSERT INTO pay_relayers (chain, address, next_nonce) VALUES ($1, $2, $3) ON CONFLICT (chain, address) DO UPDATE \
         SET next_nonce = CASE WHEN pay_relayers.next_nonce < $3 THEN $3 ELSE pay_relayers.next_nonce END RETURNING next_nonce",
        &params![on, &relayer, mined],
        |row| row.i64(0),
    )?;
    let unused = tx.one(
        "SELECT MIN(t.nonce) FROM pay_transactions t WHERE t.chain = $1 AND t.relayer = $2 AND t.nonce >= $3 AND t.state = 'dropped' \
         AND NOT EXISTS (SELECT 1 FROM pay_transactions o WHERE o.chain = t.chain AND o.relayer = t.relayer AND o.nonce = t.nonce \
         AND o.state <> 'dropped')",
        &params![on, &relayer, mined],
        |row| row.opt_i64(0),
    )?;
    let nonce = unused.unwrap_or(next);
    if unused.is_none() {
        tx.push(
            "UPDATE pay_relayers SET next_nonce = $3 WHERE chain = $1 AND address = $2",
            params![on, &relayer, next + 1],
        )?;
    }
    u64::try_from(nonce).map_err(Problem::internal)
}

/// Writes what was signed.
///
/// # Errors
/// The database's.
pub fn insert(
    tx: &mut Tx<'_>,
    settlement: Option<Uuid>,
    relayer: Address,
    unsigned: &Unsigned,
    signed: &Signed,
    now: Timestamp,
) -> Result<()> {
    tx.push(
        "INSERT INTO pay_transactions (chain, hash, settlement_id, relayer, nonce, raw, gas, max_fee, priority_fee, state, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'signed', $10) ON CONFLICT (chain, hash) DO NOTHING",
        params![
            chain(unsigned.chain)?,
            word(signed.hash),
            settlement,
            material::hex(relayer),
            chain(unsigned.nonce)?,
            signed.raw.clone(),
            chain(unsigned.gas)?,
            unsigned.fees.max.to_string(),
            unsigned.fees.priority.to_string(),
            now
        ],
    )?;
    Ok(())
}

/// Says of every transaction with a nonce what became of it: the one that was mined, if it is known, and the others never will be.
///
/// # Errors
/// The database's.
pub fn close_nonce(tx: &mut Tx<'_>, on: u64, relayer: Address, nonce: u64, mined: Option<B256>) -> Result<()> {
    tx.push(
        "UPDATE pay_transactions SET state = CASE WHEN hash = $4 THEN 'mined' ELSE 'dropped' END \
         WHERE chain = $1 AND relayer = $2 AND nonce = $3 AND state = 'signed'",
        params![chain(on)?, material::hex(relayer), chain(nonce)?, mined.map_or(String::new(), word)],
    )?;
    Ok(())
}

fn read_all(rows: Vec<Result<Transaction>>) -> Result<Vec<Transaction>> {
    rows.into_iter().collect()
}

fn read(row: &Row<'_>) -> Result<Transaction> {
    let fee = |text: &str| text.parse::<u128>().map_err(Problem::internal);
    let count = |number: i64| u64::try_from(number).map_err(Problem::internal);
    Ok(Transaction {
        hash: row.text(0)?.parse().map_err(Problem::internal)?,
        settlement: row.opt_uuid(1)?,
        relayer: row.text(2)?.parse().map_err(Problem::internal)?,
        nonce: count(row.i64(3)?)?,
        raw: row.bytes(4)?.to_vec(),
        gas: count(row.i64(5)?)?,
        fees: Fees { max: fee(row.text(6)?)?, priority: fee(row.text(7)?)? },
        was_mined: row.text(8)? == "mined",
        created_at: row.time(9)?,
    })
}
