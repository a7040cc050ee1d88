//! What was signed, as it is kept: enough to build the call again, and to know the same payment when it comes again.

use std::str::FromStr;

use alloy_primitives::{Address, B256, Bytes, U256};
use loopd_types::Problem;
use serde_json::{Value as Json, json};

use crate::x402::{Authorization, Method, Payment, Permit, Version};

/// A payment as JSON; the same payment is always the same text.
pub fn write(payment: &Payment) -> Json {
    let method = match &payment.method {
        Method::Authorization(it) => json!({
            "method": "eip3009", "from": hex(it.from), "to": hex(it.to), "value": it.value.to_string(),
            "validAfter": it.valid_after.to_string(), "validBefore": it.valid_before.to_string(), "nonce": format!("{:#x}", it.nonce),
        }),
        Method::Permit(it) => json!({
            "method": "permit2", "from": hex(it.from), "token": hex(it.token), "amount": it.amount.to_string(),
            "spender": hex(it.spender), "nonce": it.nonce.to_string(), "deadline": it.deadline.to_string(), "to": hex(it.to),
            "validAfter": it.valid_after.to_string(),
        }),
    };
    json!({"version": payment.version.number(), "chain": payment.chain, "signed": method, "signature": payment.signature.to_string()})
}

/// The payment of a JSON that [`write`] made.
///
/// # Errors
/// 500 when it did not.
pub fn read(json: &Json) -> Result<Payment, Problem> {
    let signed = &json["signed"];
    let number = |name: &str| part::<U256>(&signed[name], name);
    let address = |name: &str| part::<Address>(&signed[name], name);
    let method = match signed["method"].as_str() {
        Some("eip3009") => Method::Authorization(Authorization {
            from: address("from")?,
            to: address("to")?,
            value: number("value")?,
            valid_after: number("validAfter")?,
            valid_before: number("validBefore")?,
            nonce: part::<B256>(&signed["nonce"], "nonce")?,
        }),
        Some("permit2") => Method::Permit(Permit {
            from: address("from")?,
            token: address("token")?,
            amount: number("amount")?,
            spender: address("spender")?,
            nonce: number("nonce")?,
            deadline: number("deadline")?,
            to: address("to")?,
            valid_after: number("validAfter")?,
        }),
        _ => return Err(Problem::internal("a settlement by no known method")),
    };
    Ok(Payment {
        version: if json["version"].as_u64() == Some(1) { Version::V1 } else { Version::V2 },
        chain: json["chain"].as_u64().ok_or_else(|| Problem::internal("a settlement on no chain"))?,
        method,
        signature: part::<Bytes>(&json["signature"], "signature")?,
    })
}

/// Whether both are one payment. Which version of x402 brought it does not matter: the chain sees no difference.
pub fn is_same(one: &Payment, other: &Payment) -> bool {
    one.chain == other.chain && one.method == other.method && one.signature == other.signature
}

/// An address as it is kept.
pub fn hex(address: Address) -> String {
    format!("{address:#x}")
}

fn part<T: FromStr>(json: &Json, name: &str) -> Result<T, Problem> {
    let read = json.as_str().and_then(|text| text.parse().ok());
    read.ok_or_else(|| Problem::internal(format!("a settlement's {name} cannot be read")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn word() -> impl Strategy<Value = U256> {
        any::<[u8; 32]>().prop_map(U256::from_be_bytes)
    }

    fn address() -> impl Strategy<Value = Address> {
        any::<[u8; 20]>().prop_map(Address::from)
    }

    fn authorization() -> impl Strategy<Value = Method> {
        let nonce = any::<[u8; 32]>().prop_map(B256::from);
        (address(), address(), word(), word(), word(), nonce).prop_map(
            |(from, to, value, valid_after, valid_before, nonce)| {
                Method::Authorization(Authorization { from, to, value, valid_after, valid_before, nonce })
            },
        )
    }

    fn permit() -> impl Strategy<Value = Method> {
        ((address(), address(), address(), address()), (word(), word(), word(), word())).prop_map(
            |((from, token, spender, to), (amount, nonce, deadline, valid_after))| {
                Method::Permit(Permit { from, token, amount, spender, nonce, deadline, to, valid_after })
            },
        )
    }

    proptest! {
        #[test]
        fn what_was_signed_reads_back(
            method in prop_oneof![authorization(), permit()],
            signature in any::<Vec<u8>>(),
            chain in any::<u64>(),
            is_first in any::<bool>(),
        ) {
            let version = if is_first { Version::V1 } else { Version::V2 };
            let payment = Payment { version, chain, method, signature: signature.into() };
            let text = write(&payment).to_string();
            prop_assert_eq!(read(&serde_json::from_str(&text).unwrap()).unwrap(), payment);
        }
    }
}
