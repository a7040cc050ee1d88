//! What is asked of a node beside what verifying asks: to send, and what became of what was sent.

use std::sync::Arc;

use alloy_primitives::{Address, B256, Bytes, U64, U128, U256};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::fees::Market;
use crate::evm::abi::Act;
use crate::evm::{Fault, Rpc};

/// The half of a node that relays.
#[derive(Clone)]
pub struct Node(pub Arc<Rpc>);

/// A block's head, as far as it matters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    pub number: u64,
    /// Unix seconds.
    pub timestamp: u64,
    pub base_fee: u128,
}

/// What a transaction did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Receipt {
    pub hash: B256,
    pub block: u64,
    pub succeeded: bool,
    pub logs: Vec<Log>,
}

/// What a contract told while a transaction ran.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Log {
    pub address: Address,
    pub topics: Vec<B256>,
    pub data: Bytes,
    pub transaction: B256,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawHead {
    number: String,
    timestamp: String,
    base_fee_per_gas: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawReceipt {
    transaction_hash: String,
    block_number: Option<String>,
    status: String,
    logs: Vec<RawLog>,
}

#[derive(Deserialize)]
struct RawTransaction {
    to: Option<String>,
    input: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawLog {
    address: String,
    topics: Vec<String>,
    data: String,
    transaction_hash: String,
}

impl Node {
    /// The newest block.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn head(&self) -> Result<Head, Fault> {
        let raw: RawHead = self.0.ask("eth_getBlockByNumber", json!(["latest", false])).await?;
        let base_fee = raw.base_fee_per_gas.as_deref().map_or(Ok(0), wide)?;
        Ok(Head { number: count(&raw.number)?, timestamp: count(&raw.timestamp)?, base_fee })
    }

    /// What a block takes now.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn market(&self, head: Head) -> Result<Market, Fault> {
        let priority: String = self.0.ask("eth_maxPriorityFeePerGas", json!([])).await?;
        Ok(Market { base: head.base_fee, priority: wide(&priority)? })
    }

    /// Transactions of an address that are in a block: the nonce that the chain takes next.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn mined(&self, address: Address) -> Result<u64, Fault> {
        let raw: String = self.0.ask("eth_getTransactionCount", json!([address.to_string(), "latest"])).await?;
        count(&raw)
    }

    /// What an address has to pay for gas, in wei.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn gas_money(&self, address: Address) -> Result<U256, Fault> {
        let raw: String = self.0.ask("eth_getBalance", json!([address.to_string(), "latest"])).await?;
        read(&raw)
    }

    /// Gas that a transaction would take.
    ///
    /// # Errors
    /// [`Fault`]; reverted when it would change nothing.
    pub async fn estimate(&self, from: Address, act: &Act) -> Result<u64, Fault> {
        let mut asked = json!({"from": from.to_string(), "data": act.data.to_string()});
        if let Some(to) = act.to {
            asked["to"] = json!(to.to_string());
        }
        let raw: String = self.0.ask("eth_estimateGas", json!([asked])).await?;
        count(&raw)
    }

    /// Hands a transaction over.
    ///
    /// # Errors
    /// [`Fault`]; what a node answers is in the words of its kind.
    pub async fn send(&self, raw: &[u8]) -> Result<B256, Fault> {
        let raw = Bytes::copy_from_slice(raw).to_string();
        let hash: String = self.0.ask("eth_sendRawTransaction", json!([raw])).await?;
        read(&hash)
    }

    /// What a transaction did; `None` when it is in no block that the node knows.
    ///
    /// # Errors
    /// [`Fault`]; lying when it is another's receipt.
    pub async fn receipt(&self, hash: B256) -> Result<Option<Receipt>, Fault> {
        let raw: Option<RawReceipt> = self.0.ask("eth_getTransactionReceipt", json!([hash.to_string()])).await?;
        // without a block it is not mined
        let Some((raw, block)) = raw.and_then(|raw| raw.block_number.clone().map(|block| (raw, block))) else {
            return Ok(None);
        };
        if read::<B256>(&raw.transaction_hash)? != hash {
            return Err(Fault::Lying("another transaction's receipt".to_owned()));
        }
        let logs = raw.logs.iter().map(RawLog::read).collect::<Result<_, _>>()?;
        Ok(Some(Receipt { hash, block: count(&block)?, succeeded: count(&raw.status)? == 1, logs }))
    }

    /// What a transaction is; `None` when the node does not know it.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn transaction(&self, hash: B256) -> Result<Option<Act>, Fault> {
        let raw: Option<RawTransaction> = self.0.ask("eth_getTransactionByHash", json!([hash.to_string()])).await?;
        let read =
            |raw: RawTransaction| Ok(Act { to: raw.to.as_deref().map(read).transpose()?, data: read(&raw.input)? });
        raw.map(read).transpose()
    }

    /// What a contract told between two blocks, both counted.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn logs(&self, contract: Address, topics: &[B256], from: u64, to: u64) -> Result<Vec<Log>, Fault> {
        let topics: Vec<Json> = topics.iter().map(|topic| json!(topic.to_string())).collect();
        let asked = json!({
            "address": contract.to_string(), "topics": topics,
            "fromBlock": format!("{from:#x}"), "toBlock": format!("{to:#x}"),
        });
        let raw: Vec<RawLog> = self.0.ask("eth_getLogs", json!([asked])).await?;
        raw.iter().map(RawLog::read).collect()
    }
}

impl RawLog {
    fn read(&self) -> Result<Log, Fault> {
        Ok(Log {
            address: read(&self.address)?,
            topics: self.topics.iter().map(|topic| read(topic)).collect::<Result<_, _>>()?,
            data: read(&self.data)?,
            transaction: read(&self.transaction_hash)?,
        })
    }
}

fn read<T: std::str::FromStr>(text: &str) -> Result<T, Fault> {
    text.parse().map_err(|_| Fault::Lying("a value of the wrong shape".to_owned()))
}

fn count(text: &str) -> Result<u64, Fault> {
    read::<U64>(text).map(|number| number.to())
}

fn wide(text: &str) -> Result<u128, Fault> {
    read::<U128>(text).map(|number| number.to())
}

/// The number of a log's data, when it is one.
pub fn number(data: &Bytes) -> Option<U256> {
    U256::try_from_be_slice(data).filter(|_| data.len() == 32)
}
