//! EIP-1559 transactions: written in RLP, signed here, their hash known before anybody else sees them.

use alloy_primitives::{Address, B256, U256, keccak256};
use loopd_types::Secret;
use secp256k1::ecdsa::RecoverableSignature;
use secp256k1::{Message, SecretKey};

use crate::evm::abi::Act;

/// A gas wallet.
pub struct Wallet {
    key: SecretKey,
    pub address: Address,
}

impl Wallet {
    /// `None` when the bytes are no key of secp256k1.
    pub fn new(key: &Secret<Vec<u8>>) -> Option<Self> {
        let key = SecretKey::from_secret_bytes(key.expose().as_slice().try_into().ok()?).ok()?;
        let public = key.public_key().serialize_uncompressed();
        Some(Self { key, address: Address::from_raw_public_key(&public[1..]) })
    }
}

/// What a transaction may cost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fees {
    /// Wei per gas, at most.
    pub max: u128,
    /// Wei per gas for whoever makes the block.
    pub priority: u128,
}

/// A transaction before it is signed. It moves no money of the wallet's own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unsigned {
    pub chain: u64,
    pub nonce: u64,
    pub fees: Fees,
    pub gas: u64,
    pub act: Act,
}

/// A transaction as it is sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Signed {
    pub hash: B256,
    pub raw: Vec<u8>,
}

/// The first byte of an EIP-1559 transaction (EIP-2718).
const TYPE: u8 = 2;

impl Unsigned {
    /// Signs it; the same transaction by the same wallet is always the same bytes (RFC 6979).
    pub fn sign(&self, wallet: &Wallet) -> Signed {
        let fields = self.fields();
        let digest = keccak256(typed(&list(&fields)));
        let signature = RecoverableSignature::sign_ecdsa_recoverable(Message::from_digest(digest.0), &wallet.key);
        let (parity, compact) = signature.serialize_compact();
        let mut all = fields;
        all.extend(number(U256::from(parity.to_u8())));
        all.extend(number(U256::from_be_slice(&compact[..32])));
        all.extend(number(U256::from_be_slice(&compact[32..])));
        let raw = typed(&list(&all));
        Signed { hash: keccak256(&raw), raw }
    }

    /// chain, nonce, priority fee, fee, gas, to, value, data, access list.
    fn fields(&self) -> Vec<u8> {
        [
            number(U256::from(self.chain)),
            number(U256::from(self.nonce)),
            number(U256::from(self.fees.priority)),
            number(U256::from(self.fees.max)),
            number(U256::from(self.gas)),
            bytes(self.act.to.as_ref().map_or(&[], |to| to.as_slice())),
            number(U256::ZERO),
            bytes(&self.act.data),
            list(&[]),
        ]
        .concat()
    }
}

fn typed(body: &[u8]) -> Vec<u8> {
    [&[TYPE], body].concat()
}

/// RLP: a number without leading zeros.
fn number(value: U256) -> Vec<u8> {
    bytes(&value.to_be_bytes_trimmed_vec())
}

/// RLP: a string of bytes.
fn bytes(text: &[u8]) -> Vec<u8> {
    match text {
        [byte] if *byte < 0x80 => vec![*byte],
        _ => [head(0x80, text.len()), text.to_vec()].concat(),
    }
}

/// RLP: a list of what is written already.
fn list(items: &[u8]) -> Vec<u8> {
    [head(0xc0, items.len()), items.to_vec()].concat()
}

fn head(kind: u8, length: usize) -> Vec<u8> {
    if length < 56 {
        // below 56, so it fits
        return vec![kind + length as u8];
    }
    let length = U256::from(length).to_be_bytes_trimmed_vec();
    [vec![kind + 55 + length.len() as u8], length].concat()
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Bytes, address, hex};

    use super::*;

    /// The first account of every anvil and hardhat.
    const KEY: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

    fn wallet() -> Wallet {
        Wallet::new(&Secret::new(hex::decode(KEY).unwrap())).unwrap()
    }

    #[test]
    fn a_wallet_has_the_address_that_everybody_knows() {
        assert_eq!(wallet().address, address!("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266"));
    }

    #[test]
    fn lengths_are_written_as_rlp_wants() {
        assert_eq!(bytes(&[]), [0x80]);
        assert_eq!(bytes(&[0x7f]), [0x7f]);
        assert_eq!(bytes(&[0x80]), [0x81, 0x80]);
        assert_eq!(number(U256::ZERO), [0x80]);
        assert_eq!(number(U256::from(1_024)), [0x82, 0x04, 0x00]);
        assert_eq!(bytes(&[1; 56])[..2], [0xb8, 56]);
        assert_eq!(bytes(&[1; 300])[..3], [0xb9, 1, 44]);
        assert_eq!(list(&[]), [0xc0]);
        assert_eq!(list(&[1; 60])[..2], [0xf8, 60]);
    }

    #[test]
    fn who_signed_and_what_can_be_read_back() {
        let unsigned = Unsigned {
            chain: 8453,
            nonce: 7,
            fees: Fees { max: 2_000_000_000, priority: 1 },
            gas: 90_000,
            act: Act { to: Some(Address::repeat_byte(3)), data: Bytes::from(vec![9; 200]) },
        };
        let signed = unsigned.sign(&wallet());
        assert_eq!(signed, unsigned.sign(&wallet()));
        assert_eq!(signed.hash, keccak256(&signed.raw));
        assert_eq!(signed.raw[0], TYPE);
        let next = Unsigned { nonce: 8, ..unsigned }.sign(&wallet());
        assert_ne!(signed.hash, next.hash);
    }
}
