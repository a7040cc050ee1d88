//! What fewer payers use, beside the reference's opinion: Permit2, on Uniswap's own contract, and wallets that are not there yet.

use alloy_primitives::{Address, Bytes, U256, keccak256};
use loopd_pay::evm::abi::{self, PROXY};
use loopd_pay::evm::{Deployment, Domain, Rpc};
use loopd_pay::x402::{Method, Payment, Permit, Version};
use serde_json::{Value, json};

use crate::chain::{CHAIN, FACTORY, FutureWallet, TestChain, USDC, WALLET};
use crate::differential::{Case, TAKEN, ours};
use crate::payments::{Key, Promise, SELLER, network, payload, requirements};
use crate::rpc::now;

/// What both say, where they say the same, and otherwise the reference's reason and ours. docs/x402.md says why they differ.
type Said = (&'static str, &'static str);

const SIMULATION: &str = "invalid_exact_evm_transaction_simulation_failed";

/// A permit that is good for a minute.
fn permit(from: Address, amount: u64, nonce: u64) -> Permit {
    let now = now().seconds().unsigned_abs();
    Permit {
        from,
        token: USDC,
        amount: U256::from(amount),
        spender: PROXY,
        nonce: U256::from(nonce),
        deadline: U256::from(now + 60),
        to: SELLER,
        valid_after: U256::from(now - 600),
    }
}

fn signed(key: &Key, permit: Permit) -> Payment {
    let mut payment =
        Payment { version: Version::V2, chain: CHAIN, method: Method::Permit(permit), signature: Bytes::new() };
    payment.signature = key.sign(abi::digest(&payment, &Domain::of("", "", CHAIN, USDC)));
    payment
}

/// What is sent of a permit, when the seller asked for this much.
fn sent(name: &'static str, payment: &Payment, amount: u64) -> Case {
    let Method::Permit(it) = &payment.method else { panic!("a permit") };
    let asked = json!({
        "scheme": "exact", "network": network(Version::V2), "asset": USDC.to_string(), "amount": amount.to_string(),
        "payTo": SELLER.to_string(), "maxTimeoutSeconds": 60,
        "extra": {"name": "USD Coin", "version": "2", "assetTransferMethod": "permit2"},
    });
    let inner = json!({
        "signature": payment.signature.to_string(),
        "permit2Authorization": {
            "permitted": {"token": it.token.to_string(), "amount": it.amount.to_string()},
            "from": it.from.to_string(), "spender": it.spender.to_string(), "nonce": it.nonce.to_string(),
            "deadline": it.deadline.to_string(),
            "witness": {"to": it.to.to_string(), "validAfter": it.valid_after.to_string()},
        },
    });
    let payload = json!({
        "x402Version": 2, "resource": {"url": "https://seller.example/paid"}, "accepted": asked, "payload": inner,
    });
    Case { name, payload, requirements: asked }
}

async fn compare(chain: &TestChain, rpc: &Rpc, case: &Case, (theirs, our): Said) {
    let said = chain.judge(&case.payload, &case.requirements).err().unwrap_or_else(|| TAKEN.to_owned());
    let ours = match ours(rpc, case).await {
        Ok(()) => TAKEN.to_owned(),
        Err(refusal) => refusal.reason.as_str().to_owned(),
    };
    assert_eq!((said.as_str(), ours.as_str()), (theirs, our), "{}", case.name);
}

#[tokio::test]
async fn the_reference_says_the_same_of_permits() {
    let Some(chain) = TestChain::start() else { return };
    chain.bring_permit2();
    let (key, poor, rpc) = (Key::new(51), Key::new(52), chain.rpc_with(&[]));
    let (wallet, _) = chain.deploy(WALLET, key.address().into_word().as_slice());
    for address in [key.address(), wallet] {
        chain.mint(address, 1_000);
        chain.allow_permit2(address, 900).await;
    }
    chain.allow_permit2(poor.address(), 900).await;
    let used = signed(&key, permit(key.address(), 1, 7));
    chain.send(&abi::transfer(USDC, &used));

    let good = permit(key.address(), 100, 1);
    let now = now().seconds().unsigned_abs();
    let plain = signed(&key, good.clone());
    let with = |change: fn(&mut Vec<u8>)| {
        let mut bytes = plain.signature.to_vec();
        change(&mut bytes);
        Payment { signature: bytes.into(), ..plain.clone() }
    };
    let other = |change: &dyn Fn(&mut Permit)| {
        let mut permit = good.clone();
        change(&mut permit);
        signed(&key, permit)
    };
    let both = |reason| (reason, reason);
    let wrong_token = other(&|it| it.token = SELLER);
    for (name, payment, said) in [
        ("good", plain.clone(), both(TAKEN)),
        ("by a wallet", signed(&key, permit(wallet, 100, 1)), both(TAKEN)),
        ("by a wallet's stranger", signed(&poor, permit(wallet, 100, 1)), both("invalid_permit2_signature")),
        ("changed bit", with(|bytes| bytes[7] ^= 1), both("invalid_permit2_signature")),
        ("long signature", with(|bytes| bytes.push(0)), both("invalid_permit2_signature")),
        ("another spender", other(&|it| it.spender = SELLER), both("invalid_permit2_spender")),
        ("another receiver", other(&|it| it.to = PROXY), both("invalid_permit2_recipient_mismatch")),
        ("ended", other(&|it| it.deadline = U256::from(now + 4)), both("permit2_deadline_expired")),
        ("not begun", other(&|it| it.valid_after = U256::from(now + 60)), both("permit2_not_yet_valid")),
        ("another price", other(&|it| it.amount = U256::from(99)), both("permit2_amount_mismatch")),
        ("another token", wrong_token, both("permit2_token_mismatch")),
        // 64 bytes (EIP-2098) are a signature to Permit2, which is asked by neither before it is tried.
        ("short form", with(compact), ("invalid_permit2_signature", TAKEN)),
        // Its bitmap can be asked.
        ("used", signed(&key, permit(key.address(), 100, 7)), ("permit2_simulation_failed", "permit2_invalid_nonce")),
    ] {
        compare(&chain, &rpc, &sent(name, &payment, 100), said).await;
    }
    let dear = signed(&key, permit(key.address(), 901, 2));
    compare(&chain, &rpc, &sent("more than is allowed", &dear, 901), both("permit2_allowance_required")).await;
    let empty = signed(&poor, permit(poor.address(), 100, 3));
    compare(&chain, &rpc, &sent("no money", &empty, 100), both("permit2_insufficient_balance")).await;
}

/// r and s of a signature, with v in the highest bit of s (EIP-2098).
fn compact(bytes: &mut Vec<u8>) {
    bytes[32] |= (bytes[64] - 27) << 7;
    bytes.truncate(64);
}

#[tokio::test]
async fn the_reference_says_the_same_of_wallets_that_are_not_there() {
    let Some(chain) = TestChain::start() else { return };
    let (owner, rpc) = (Key::new(53), chain.rpc_with(&[FACTORY]));
    let (_, code) = chain.deploy(WALLET, owner.address().into_word().as_slice());
    let (wallet, other) = (FutureWallet::new(&code, 1), FutureWallet::new(&code, 2));
    chain.mint(wallet.address, 1_000);
    let seconds = now().seconds().unsigned_abs();
    let case = |name, version, amount, key: &Key, deployment: &Deployment| -> Case {
        let nonce = keccak256(format!("{name}{version:?}"));
        let promise = Promise::new(version, wallet.address, amount, seconds, nonce);
        let mut payment = promise.signed(key);
        payment.signature = deployment.wrap(payment.signature);
        let asked: Value = requirements(&promise);
        Case { name, payload: payload(&payment, &asked), requirements: asked }
    };
    let stranger = Deployment { factory: SELLER, ..wallet.deployment.clone() };
    let both = |reason| (reason, reason);
    for version in [Version::V1, Version::V2] {
        for (name, amount, key, deployment, said) in [
            ("good", 10, &owner, &wallet.deployment, both(TAKEN)),
            ("a factory of strangers", 10, &owner, &stranger, both("eip6492_factory_not_allowed")),
            ("no money", 1_001, &owner, &wallet.deployment, both("invalid_exact_evm_insufficient_balance")),
            // The reference looks at such a signature by trying the transfer only.
            ("another wallet's", 10, &owner, &other.deployment, (SIMULATION, "invalid_exact_evm_signature")),
            ("by a stranger", 10, &Key::new(54), &wallet.deployment, (SIMULATION, "invalid_exact_evm_signature")),
        ] {
            compare(&chain, &rpc, &case(name, version, amount, key, deployment), said).await;
        }
    }
}
