//! [`Networks`]: which chains there are, how each version of x402 calls them, and which tokens are money on them.

use alloy_primitives::{Address, address};

use crate::x402::Version;

/// A token that payments may be made in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Token {
    pub address: Address,
    pub symbol: String,
    /// As the token itself signs (EIP-712). `USD Coin` on Base and `USDC` on Base Sepolia are the same issuer's token: what is
    /// wrong here makes payments that verify nowhere.
    pub name: String,
    pub version: String,
    pub decimals: u8,
}

/// An EVM chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Network {
    /// EIP-155 chain id.
    pub chain: u64,
    /// What version 1 of x402 calls it; a chain without such a name speaks version 2 only.
    pub name: Option<String>,
    /// Whether its money is worth nothing.
    pub is_test: bool,
    /// The first one is what a price in dollars is asked in. Payments in others than these are refused, because a contract that
    /// calls itself a token may do with the caller's gas what it likes.
    pub tokens: Vec<Token>,
}

impl Network {
    /// `eip155:8453` (CAIP-2), what version 2 of x402 calls it.
    pub fn caip2(&self) -> String {
        format!("eip155:{}", self.chain)
    }

    /// The name that people know: that of version 1, if it has one there.
    pub fn common_name(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.caip2())
    }

    /// Its name on the wire; `None` for a chain that has none in version 1.
    pub fn written(&self, version: Version) -> Option<String> {
        match version {
            Version::V1 => self.name.clone(),
            Version::V2 => Some(self.caip2()),
        }
    }

    pub fn token(&self, address: Address) -> Option<&Token> {
        self.tokens.iter().find(|token| token.address == address)
    }

    /// What a price in dollars is asked in.
    pub fn dollar(&self) -> Option<&Token> {
        self.tokens.first()
    }
}

/// The chains that are known, whether or not this installation can reach them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Networks(Vec<Network>);

impl Networks {
    /// Those whose USDC we know by heart; the operator's settings add others ([`Networks::with`]).
    /// Sources: Circle's "USDC contract addresses"; names in version 1 are those of the reference packages.
    pub fn known() -> Self {
        let usdc = |chain, name: Option<&str>, is_test, address, token_name: &str| Network {
            chain,
            name: name.map(str::to_owned),
            is_test,
            tokens: vec![Token {
                address,
                symbol: "USDC".to_owned(),
                name: token_name.to_owned(),
                version: "2".to_owned(),
                decimals: 6,
            }],
        };
        Self(vec![
            usdc(8453, Some("base"), false, address!("833589fCD6eDb6E08f4c7C32D4f71b54bdA02913"), "USD Coin"),
            usdc(84532, Some("base-sepolia"), true, address!("036CbD53842c5426634e7929541eC2318f3dCF7e"), "USDC"),
            usdc(1, Some("ethereum"), false, address!("A0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"), "USD Coin"),
            usdc(137, Some("polygon"), false, address!("3c499c542cEF5E3811e1192ce70d8cC03d5c3359"), "USD Coin"),
            usdc(80002, Some("polygon-amoy"), true, address!("41E94Eb019C0762f9Bfcf9Fb1E58725BfB0e7582"), "USDC"),
            usdc(43114, Some("avalanche"), false, address!("B97EF9Ef8734C71904D8002F8b6Bc66Dd9c48a6E"), "USD Coin"),
            usdc(43113, Some("avalanche-fuji"), true, address!("5425890298aed601595a70AB815c96711a31Bc65"), "USD Coin"),
            usdc(42161, None, false, address!("af88d065e77c8cC2239327C5EDb3A432268e5831"), "USD Coin"),
            usdc(421614, None, true, address!("75faf114eafb1BDbe2F0316DF893fd58CE46AA4d"), "USD Coin"),
        ])
    }

    /// With one more, in place of what was known of that chain.
    pub fn with(mut self, network: Network) -> Self {
        self.0.retain(|known| known.chain != network.chain);
        self.0.push(network);
        self
    }

    pub fn iter(&self) -> impl Iterator<Item = &Network> {
        self.0.iter()
    }

    pub fn get(&self, chain: u64) -> Option<&Network> {
        self.0.iter().find(|network| network.chain == chain)
    }

    /// Reads a chain's name as this version writes it: `base` in version 1, `eip155:8453` in version 2.
    pub fn named(&self, version: Version, text: &str) -> Option<&Network> {
        match version {
            Version::V1 => self.0.iter().find(|network| network.name.as_deref() == Some(text)),
            Version::V2 => self.get(parse_caip2(text)?),
        }
    }
}

/// The chain id of `eip155:8453`. One chain has one spelling: no sign, no leading zero.
fn parse_caip2(text: &str) -> Option<u64> {
    let digits = text.strip_prefix("eip155:")?;
    let plain = !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_has_its_own_names() {
        let networks = Networks::known();
        for (version, text, chain) in [
            (Version::V1, "base", Some(8453)),
            (Version::V1, "base-sepolia", Some(84532)),
            (Version::V1, "eip155:8453", None),
            (Version::V1, "Base", None),
            (Version::V1, "", None),
            (Version::V2, "eip155:8453", Some(8453)),
            (Version::V2, "eip155:84532", Some(84532)),
            (Version::V2, "base", None),
            (Version::V2, "eip155:08453", None),
            (Version::V2, "eip155:+8453", None),
            (Version::V2, "eip155: 8453", None),
            (Version::V2, "eip155:", None),
            (Version::V2, "eip155:18446744073709560069", None),
            (Version::V2, "EIP155:8453", None),
            (Version::V2, "solana:8453", None),
            (Version::V2, "eip155:7777", None),
        ] {
            assert_eq!(networks.named(version, text).map(|network| network.chain), chain, "{version:?} {text}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for network in Networks::known().iter() {
            for version in [Version::V1, Version::V2] {
                let Some(name) = network.written(version) else { continue };
                assert_eq!(Networks::known().named(version, &name), Some(network), "{name}");
            }
        }
    }

    #[test]
    fn the_same_issuer_signs_under_two_names() {
        let networks = Networks::known();
        let signed = |chain| {
            let token = networks.get(chain).and_then(Network::dollar).expect("known");
            (token.name.clone(), token.version.clone())
        };
        assert_eq!(signed(8453), ("USD Coin".to_owned(), "2".to_owned()));
        assert_eq!(signed(84532), ("USDC".to_owned(), "2".to_owned()));
    }

    #[test]
    fn settings_replace_what_was_known() {
        let network = Network { chain: 8453, name: Some("home".to_owned()), is_test: true, tokens: Vec::new() };
        let networks = Networks::known().with(network.clone());
        assert_eq!(networks.named(Version::V1, "home"), Some(&network));
        assert_eq!(networks.named(Version::V1, "base"), None);
        assert_eq!(networks.get(8453), Some(&network));
    }
}
