//! What the operator chose: which engine moves the money, over which nodes, from which wallets, within which limits.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::Address;
use loopd_types::Secret;

use crate::evm::Networks;
use crate::x402::{Version, wire};

/// The name of the sandbox that production must allow (`LOOP_ALLOW_SANDBOXES`).
pub const SANDBOX: &str = "settlement";

/// By what payments are settled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Nothing is settled; every payment is refused before anything is recorded.
    Off,
    /// A ledger in the installation's own database.
    Sandbox,
    /// Own gas wallets send to own or rented nodes.
    Rpc,
    /// An outside x402 facilitator.
    Facilitator,
}

/// A node that answers for a chain.
#[derive(Clone, Debug)]
pub struct Node {
    /// EIP-155.
    pub chain: u64,
    /// Often with a key in its path.
    pub url: Secret<String>,
}

/// Every setting of payments, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    pub mode: Mode,
    /// At most one a chain. Needed by [`Mode::Rpc`]; [`Mode::Facilitator`] asks them what became of payments whose answer was lost.
    pub nodes: Vec<Node>,
    /// Keys of gas wallets, 32 bytes each; every one may send on every chain.
    pub keys: Vec<Secret<Vec<u8>>>,
    /// Contracts that may make payers' wallets at our expense (ERC-6492).
    pub factories: Vec<Address>,
    /// Where the outside facilitator is, without a final slash.
    pub facilitator: Option<String>,
    /// Whether everybody may have payments verified and settled, at our expense; otherwise whoever has a project's key.
    pub is_facilitator_open: bool,
    /// What every address of the sandbox begins with, in millionths of a USDC.
    pub grant: i64,
    pub gas: Gas,
    pub failpoint: Failpoint,
}

/// Where tests end the process, or a task of it: called with the name of every step of a settlement once it is done.
#[derive(Clone, Default)]
pub struct Failpoint(pub Option<Arc<dyn Fn(&'static str) + Send + Sync>>);

impl Failpoint {
    pub(crate) fn at(&self, step: &'static str) {
        if let Some(reached) = &self.0 {
            reached(step);
        }
    }
}

impl fmt::Debug for Failpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Failpoint({})", self.0.is_some())
    }
}

/// How transactions are sent, and what they may cost.
#[derive(Clone, Debug)]
pub struct Gas {
    /// Wei per gas; nothing is sent or replaced above it.
    pub max_fee: u128,
    /// Gas of one settlement; one that needs more is refused.
    pub limit: u64,
    /// Blocks that must hold a transaction, its own counted, before it is believed.
    pub confirmations: u64,
    /// How long a transaction may wait before it is sent again with a higher fee.
    pub stuck_after: Duration,
    /// Between two looks for a receipt.
    pub poll: Duration,
}

/// A sandbox dollar begins with six digits behind the point.
const MICRO: i64 = 1_000_000;

impl Default for Settings {
    fn default() -> Self {
        Self {
            mode: Mode::Sandbox,
            nodes: Vec::new(),
            keys: Vec::new(),
            factories: Vec::new(),
            facilitator: None,
            is_facilitator_open: false,
            grant: 1_000 * MICRO,
            gas: Gas::default(),
            failpoint: Failpoint::default(),
        }
    }
}

impl Default for Gas {
    fn default() -> Self {
        Self {
            max_fee: 50_000_000_000,
            limit: 1_000_000,
            confirmations: 1,
            stuck_after: Duration::from_secs(15),
            poll: Duration::from_millis(250),
        }
    }
}

impl Settings {
    /// The node of a chain.
    pub fn node(&self, chain: u64) -> Option<&Node> {
        self.nodes.iter().find(|node| node.chain == chain)
    }
}

impl Node {
    /// Reads `NETWORK=URL`, where the network is `base`, `base-sepolia`, `eip155:NUMBER` or a number; without it the chain is Base.
    /// `None` when the network is none or the URL is no `http` address.
    pub fn parse(text: &str) -> Option<Self> {
        let (network, url) = match text.split_once('=') {
            // a URL may hold the sign too
            Some((network, url)) if !network.contains("://") => (network, url),
            _ => ("base", text),
        };
        let networks = Networks::known();
        let named = |version| networks.named(version, network).map(|network| network.chain);
        let other = || network.strip_prefix("eip155:").unwrap_or(network).parse().ok().filter(|chain| *chain > 0);
        let chain = named(Version::V1).or_else(|| named(Version::V2)).or_else(other)?;
        let is_address =
            ["https://", "http://"].iter().any(|scheme| url.len() > scheme.len() && url.starts_with(scheme));
        is_address.then(|| Self { chain, url: Secret::new(url.to_owned()) })
    }
}

/// Reads the key of a gas wallet: 64 hexadecimal digits, `0x` before them or not. `None` when it is no key of secp256k1.
pub fn parse_key(text: &str) -> Option<Secret<Vec<u8>>> {
    let bytes = alloy_primitives::hex::decode(text).ok()?;
    let key = <[u8; 32]>::try_from(bytes.as_slice()).ok()?;
    secp256k1::SecretKey::from_secret_bytes(key).ok()?;
    Some(Secret::new(bytes))
}

/// Reads the address of a factory: `0x` and 40 hexadecimal digits, with a right checksum if letters of both cases stand in it.
pub fn parse_factory(text: &str) -> Option<Address> {
    wire::address("factory", text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_names_its_network_or_is_of_base() {
        let read = |text: &str| Node::parse(text).map(|node| (node.chain, node.url.expose().clone()));
        assert_eq!(read("https://node/?key=1"), Some((8453, "https://node/?key=1".to_owned())));
        assert_eq!(read("base-sepolia=http://127.0.0.1:8545"), Some((84532, "http://127.0.0.1:8545".to_owned())));
        assert_eq!(read("eip155:137=https://node"), Some((137, "https://node".to_owned())));
        for text in ["", "https://", "node", "mars=https://node", "0=https://node", "base=ws://node"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_key_is_one_of_the_curve() {
        assert!(parse_key(&"11".repeat(32)).is_some());
        assert!(parse_key(&format!("0x{}", "11".repeat(32))).is_some());
        for text in ["", "0x", &"00".repeat(32), &"ff".repeat(32), &"11".repeat(31), &"zz".repeat(32)] {
            assert!(parse_key(text).is_none(), "{text}");
        }
    }
}
