//! The two keys of a project: Ed25519 signs its receipts and proofs, secp256k1 is its wallet. Both are made here, sealed at rest and
//! never shown.

use alloy_primitives::{Address, B256, Bytes, keccak256};
use ed25519_dalek::SigningKey;
use loopd_kernel::Kernel;
use loopd_types::{Problem, Result, Uuid};
use secp256k1::ecdsa::RecoverableSignature;
use secp256k1::{Message, PublicKey, SecretKey};
use zeroize::Zeroizing;

const SIGNING: &str = "pay_projects.signing_key";
const WALLET: &str = "pay_projects.wallet_key";

/// New keys of a project: what is stored of them.
pub struct Fresh {
    pub public_key: [u8; 32],
    pub signing_key: Vec<u8>,
    pub wallet_address: Address,
    pub wallet_key: Vec<u8>,
}

/// # Errors
/// 500 when sealing fails.
pub fn fresh(kernel: &Kernel, project: Uuid) -> Result<Fresh> {
    let rng = kernel.rng.as_ref();
    let mut seed = Zeroizing::new([0u8; 32]);
    rng.fill(seed.as_mut());
    let signing = SigningKey::from_bytes(&seed);
    let mut secret = Zeroizing::new([0u8; 32]);
    let wallet = loop {
        rng.fill(secret.as_mut());
        // Not quite every number of 32 bytes is a key.
        if let Ok(key) = SecretKey::from_secret_bytes(*secret) {
            break key;
        }
    };
    Ok(Fresh {
        public_key: signing.verifying_key().to_bytes(),
        signing_key: kernel.vault.seal(rng, &context(SIGNING, project), seed.as_ref())?,
        wallet_address: address_of(&wallet),
        wallet_key: kernel.vault.seal(rng, &context(WALLET, project), secret.as_ref())?,
    })
}

/// # Errors
/// 500 when it cannot be opened: `LOOP_SECRET_KEY` was changed.
pub fn open_signing(kernel: &Kernel, project: Uuid, sealed: &[u8]) -> Result<SigningKey> {
    let plain = Zeroizing::new(kernel.vault.open(&context(SIGNING, project), sealed)?);
    let seed: &[u8; 32] = plain.as_slice().try_into().map_err(|_| Problem::internal("a signing key has 32 bytes"))?;
    Ok(SigningKey::from_bytes(seed))
}

/// # Errors
/// As [`open_signing`].
pub fn open_wallet(kernel: &Kernel, project: Uuid, sealed: &[u8]) -> Result<SecretKey> {
    let plain = Zeroizing::new(kernel.vault.open(&context(WALLET, project), sealed)?);
    let secret: [u8; 32] = plain.as_slice().try_into().map_err(|_| Problem::internal("a wallet's key has 32 bytes"))?;
    SecretKey::from_secret_bytes(secret).map_err(Problem::internal)
}

/// The account of a key: the last 20 bytes of Keccak-256 over its public point.
pub fn address_of(key: &SecretKey) -> Address {
    let point = PublicKey::from_secret_key(key).serialize_uncompressed();
    Address::from_slice(&keccak256(&point[1..])[12..])
}

/// A digest signed as token contracts read it: r, s, and 27 or 28; 65 bytes.
pub fn sign(key: &SecretKey, digest: B256) -> Bytes {
    let signed = RecoverableSignature::sign_ecdsa_recoverable(Message::from_digest(digest.0), key);
    let (recovery, compact) = signed.serialize_compact();
    [&compact[..], &[27 + recovery.to_u8()]].concat().into()
}

fn context(column: &str, project: Uuid) -> String {
    format!("{column} {project}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_a_key_is_what_wallets_show() {
        // The first account of anvil and hardhat, known to every developer.
        let secret = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
        let bytes: Vec<u8> = (0..32).map(|at| u8::from_str_radix(&secret[2 * at..2 * at + 2], 16).unwrap()).collect();
        let key = SecretKey::from_secret_bytes(bytes.try_into().unwrap()).unwrap();
        assert_eq!(address_of(&key).to_string(), "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
    }
}
