//! Whose key signed: judged as the contract judges that will move the money, so that no payment is believed which it refuses.

use alloy_primitives::{Address, B256};
use secp256k1::Message;
use secp256k1::ecdsa::{RecoverableSignature, RecoveryId};

/// Half of the curve's order: what is above has a twin below (EIP-2).
const HALF_ORDER: [u8; 32] = [
    0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x5d, 0x57, 0x6e,
    0x73, 0x57, 0xa4, 0x50, 0x1d, 0xdf, 0xe9, 0x2f, 0x46, 0x68, 0x1b, 0x20, 0xa0,
];

/// As `ECRecover` of Circle's FiatTokenV2_2: 65 bytes r, s, v; v is 27 or 28, and s is in the lower half.
///
/// # Errors
/// What is wrong, in words.
pub fn of_token(digest: B256, signature: &[u8]) -> Result<Address, &'static str> {
    let signature: &[u8; 65] = signature.try_into().map_err(|_| "a key's signature has 65 bytes")?;
    if signature[32..64] > HALF_ORDER[..] {
        return Err("the token refuses the signature's upper twin: s is above half of the curve's order");
    }
    recover(digest, &signature[..64], signature[64])
}

/// As `SignatureVerification` of Uniswap's Permit2: 65 bytes r, s, v, or 64 bytes r, yParity and s (EIP-2098).
///
/// # Errors
/// What is wrong, in words.
pub fn of_permit2(digest: B256, signature: &[u8]) -> Result<Address, &'static str> {
    if let Ok(signature) = <&[u8; 65]>::try_from(signature) {
        return recover(digest, &signature[..64], signature[64]);
    }
    let mut compact: [u8; 64] = signature.try_into().map_err(|_| "a key's signature has 65 bytes, or 64")?;
    let v = 27 + (compact[32] >> 7);
    compact[32] &= 0x7f;
    recover(digest, &compact, v)
}

fn recover(digest: B256, compact: &[u8], v: u8) -> Result<Address, &'static str> {
    let parity = match v {
        27 => RecoveryId::Zero,
        28 => RecoveryId::One,
        _ => return Err("the signature's last byte is 27 or 28"),
    };
    let wrong = |_| "no key makes such a signature";
    let signature = RecoverableSignature::from_compact(compact, parity).map_err(wrong)?;
    let key = signature.recover_ecdsa(Message::from_digest(digest.0)).map_err(wrong)?;
    Ok(Address::from_raw_public_key(&key.serialize_uncompressed()[1..]))
}
