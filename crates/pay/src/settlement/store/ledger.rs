//! `pay_ledger`: the balances of the sandbox's token.

use alloy_primitives::Address;
use loopd_store::{Reader, Tx, params};
use loopd_types::{Result, Timestamp};

use super::{chain, material};

/// A token on a chain of the sandbox.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Token {
    pub chain: u64,
    pub asset: Address,
    /// What an address has that was never touched.
    pub grant: i64,
}

/// What an address has.
///
/// # Errors
/// The database's.
pub fn balance(reader: &mut Reader<'_>, token: Token, of: Address) -> Result<i64> {
    let sql = "SELECT balance FROM pay_ledger WHERE chain = $1 AND asset = $2 AND address = $3";
    let key = params![chain(token.chain)?, material::hex(token.asset), material::hex(of)];
    Ok(reader.first(sql, &key, |row| row.i64(0))?.unwrap_or(token.grant))
}

/// Moves `value`, which is not negative, if the payer has as much. Whether it did.
///
/// # Errors
/// The database's.
pub fn transfer(tx: &mut Tx<'_>, token: Token, from: Address, to: Address, value: i64, now: Timestamp) -> Result<bool> {
    let (chain, asset) = (chain(token.chain)?, material::hex(token.asset));
    let key = params![chain, &asset, material::hex(from), value, now];
    // One statement, so that two who spend at once cannot both find the money there.
    let taken = if value <= token.grant {
        tx.execute(
            "INSERT INTO pay_ledger (chain, asset, address, balance, updated_at) VALUES ($1, $2, $3, $6, $5) \
             ON CONFLICT (chain, asset, address) DO UPDATE SET balance = pay_ledger.balance - $4, updated_at = $5 \
             WHERE pay_ledger.balance >= $4",
            &[key.as_slice(), &params![token.grant - value]].concat(),
        )?
    } else {
        tx.execute(
            "UPDATE pay_ledger SET balance = balance - $4, updated_at = $5 \
             WHERE chain = $1 AND asset = $2 AND address = $3 AND balance >= $4",
            &key,
        )?
    };
    if taken == 1 {
        add(tx, token, to, value, now)?;
    }
    Ok(taken == 1)
}

/// Gives an address more: what it gets of a transfer, or of the faucet.
///
/// # Errors
/// The database's, also when it would have more than there is room for.
pub fn add(tx: &mut Tx<'_>, token: Token, to: Address, value: i64, now: Timestamp) -> Result<()> {
    tx.push(
        "INSERT INTO pay_ledger (chain, asset, address, balance, updated_at) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (chain, asset, address) DO UPDATE SET balance = pay_ledger.balance + $6, updated_at = $5",
        params![
            chain(token.chain)?,
            material::hex(token.asset),
            material::hex(to),
            token.grant.saturating_add(value),
            now,
            value
        ],
    )?;
    Ok(())
}
