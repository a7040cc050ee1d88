//! Every question that a node is asked, on a real one.

use alloy_primitives::{B256, U256, b256, keccak256};
use alloy_sol_types::SolValue as _;
use loopd_pay::evm::abi::{self, Deployment};
use loopd_pay::evm::{Chain, Fault, Rpc};
use loopd_pay::x402::{Reason, Requirement, Version, verify};
use loopd_types::Timestamp;

use crate::chain::{FACTORY, TestChain, WALLET};
use crate::payments::{CHAIN, Key, Promise, SELLER, USDC};

pub fn now() -> Timestamp {
    loopd_types::Clock::now(&loopd_types::SystemClock)
}

fn requirement(amount: u64) -> Requirement {
    Requirement {
        chain: CHAIN,
        asset: USDC,
        pay_to: SELLER,
        amount: U256::from(amount),
        max_timeout_seconds: 60,
        domain: Some(("USD Coin".to_owned(), "2".to_owned())),
    }
}

#[tokio::test]
async fn a_node_answers_what_a_payment_needs() {
    let Some(chain) = TestChain::start() else { return };
    let (rpc, key, seconds) = (chain.rpc_with(&[]), Key::new(3), now().seconds().unsigned_abs());
    chain.mint(key.address(), 1_000);
    assert_eq!(rpc.id(), CHAIN);
    let domain = rpc.domain(USDC).await.expect("a token");
    assert_eq!((domain.name.as_str(), domain.version.as_str()), ("USD Coin", "2"));
    assert_eq!(domain.separator, b256!("02fa7265e7c5d81118673727957699e4d68f74cd74b7db77da710fe8a2c7834f"));
    assert_eq!(rpc.domain(SELLER).await, Err(Fault::Reverted(None)));
    assert_eq!(rpc.balance(USDC, key.address()).await, Ok(U256::from(1_000)));
    assert_eq!(rpc.permit2_allowance(USDC, key.address()).await, Ok(U256::ZERO));
    assert_eq!((rpc.has_code(USDC).await, rpc.has_code(SELLER).await), (Ok(true), Ok(false)));

    let promise = Promise::new(Version::V2, key.address(), 400, seconds, B256::repeat_byte(1));
    let payment = promise.signed(&key);
    let used = || rpc.is_authorization_used(USDC, key.address(), B256::repeat_byte(1));
    assert_eq!(rpc.simulate(USDC, &payment, None).await, Ok(()));
    assert_eq!(used().await, Ok(false));
    // what was tried is what is sent
    chain.send(&abi::transfer(USDC, &payment));
    assert_eq!(used().await, Ok(true));
    let words = "FiatTokenV2: authorization is used or canceled".to_owned();
    assert_eq!(rpc.simulate(USDC, &payment, None).await, Err(Fault::Reverted(Some(words))));
    let refusal = verify(&rpc, &payment, &requirement(400), now()).await.expect_err("used");
    assert_eq!(refusal.reason, Reason::NonceUsed);
    let rich = Promise::new(Version::V2, key.address(), 601, seconds, B256::repeat_byte(2)).signed(&key);
    let refusal = verify(&rpc, &rich, &requirement(601), now()).await.expect_err("too much");
    assert_eq!(refusal.reason, Reason::Balance);
}

#[tokio::test]
async fn wallets_that_are_there_and_wallets_that_are_not_yet() {
    let Some(chain) = TestChain::start() else { return };
    let (owner, seconds) = (Key::new(4), now().seconds().unsigned_abs());
    let (wallet, code) = chain.deploy(WALLET, &owner.address().abi_encode());
    let salt = B256::repeat_byte(9);
    let later = FACTORY.create2(salt, keccak256(&code));
    for address in [wallet, later] {
        chain.mint(address, 1_000);
    }
    let deployment = Deployment { factory: FACTORY, call: [salt.as_slice(), &code].concat().into() };
    let promised = |from, nonce| Promise::new(Version::V2, from, 10, seconds, B256::repeat_byte(nonce)).signed(&owner);
    let (strict, kind) = (chain.rpc_with(&[]), chain.rpc_with(&[FACTORY]));

    // of a wallet, by its owner's key
    let verified = verify(&strict, &promised(wallet, 1), &requirement(10), now()).await.expect("a wallet's payment");
    assert_eq!(verified.deployment, None);
    let mut forged = promised(wallet, 2);
    forged.signature = promised(wallet, 3).signature;
    let refusal = verify(&strict, &forged, &requirement(10), now()).await.expect_err("of another nonce");
    assert_eq!(refusal.reason, Reason::Signature);

    // of one that is not there yet
    let mut payment = promised(later, 4);
    let refusal = verify(&kind, &payment, &requirement(10), now()).await.expect_err("no wallet");
    assert_eq!(refusal.reason, Reason::Signature);
    payment.signature = deployment.wrap(payment.signature);
    let refusal = verify(&strict, &payment, &requirement(10), now()).await.expect_err("a factory of strangers");
    assert_eq!(refusal.reason, Reason::Factory);
    let verified = verify(&kind, &payment, &requirement(10), now()).await.expect("a wallet to be made");
    assert_eq!(verified.deployment, Some(deployment.clone()));
    assert_eq!(kind.has_code(later).await, Ok(false), "asking makes nothing");
    let mut forged = payment.clone();
    forged.signature = deployment.wrap(promised(later, 5).signature);
    let refusal = verify(&kind, &forged, &requirement(10), now()).await.expect_err("of another nonce");
    assert_eq!(refusal.reason, Reason::Signature);

    // once it is made, the same signature holds without making it
    chain.send(&abi::Call { to: deployment.factory, data: deployment.call.clone() });
    let verified = verify(&strict, &payment, &requirement(10), now()).await.expect("a wallet's payment");
    assert_eq!(verified.deployment, None);
    chain.send(&abi::transfer(USDC, &payment));
}

#[tokio::test]
async fn a_node_of_another_chain_is_not_believed() {
    let Some(chain) = TestChain::start() else { return };
    let rpc = Rpc::new(1, &chain.url, std::time::Duration::from_secs(5), Vec::new()).expect("a node here");
    let Err(Fault::Lying(words)) = rpc.balance(USDC, SELLER).await else { panic!("believed") };
    assert!(words.contains("chain 0x2105, not 1"), "{words}");
}

/// What strange nodes answer.
#[tokio::test]
async fn nonsense_is_no_answer() {
    const CHAIN_ID: &str = r#"{"jsonrpc":"2.0","id":1,"result":"0x2105"}"#;
    for (answer, is_lie) in [
        ("200 OK\r\n\r\nhello", true),
        ("200 OK\r\n\r\n{}", true),
        ("200 OK\r\n\r\n{\"result\":5}", true),
        ("200 OK\r\n\r\n{\"result\":\"0xzz\"}", true),
        ("200 OK\r\n\r\n{\"result\":\"0x01\"}", true),
        ("503 Busy\r\n\r\n<html>", false),
        ("302 Found\r\nlocation: http://127.0.0.1:1/\r\n\r\n", false),
        ("429 Slow\r\n\r\n{\"error\":{\"code\":-32005,\"message\":\"limit\"}}", false),
        ("200 OK\r\ncontent-length: 100\r\n\r\n{", false),
    ] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let node = tokio::spawn(async move {
            use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
            for answer in [&format!("200 OK\r\n\r\n{CHAIN_ID}"), answer] {
                let (mut stream, _) = listener.accept().await.expect("a caller");
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream
                    .write_all(
                        format!("HTTP/1.1 {}", answer.replacen("\r\n", "\r\nconnection: close\r\n", 1)).as_bytes(),
                    )
                    .await;
            }
        });
        let rpc = Rpc::new(CHAIN, &url, std::time::Duration::from_secs(5), Vec::new()).expect("a node here");
        let fault = rpc.balance(USDC, SELLER).await.expect_err(answer);
        assert_eq!(matches!(fault, Fault::Lying(_)), is_lie, "{answer:?}: {fault}");
        assert!(!matches!(fault, Fault::Reverted(_)), "{answer:?}: {fault}");
        node.await.expect("the node");
    }
}

#[test]
fn a_node_is_asked_in_private() {
    let made = |url: &str| Rpc::new(CHAIN, url, std::time::Duration::from_secs(5), Vec::new());
    for url in ["https://node.example/key", "http://127.0.0.1:8545", "http://localhost:8545", "http://[::1]:8545"] {
        assert!(made(url).is_ok(), "{url}");
    }
    for url in
        ["http://node.example/secret", "http://10.0.0.1:8545", "ws://127.0.0.1:8545", "secret", "ftp://localhost"]
    {
        let words = made(url).expect_err(url);
        assert!(!words.contains("secret"), "{words}");
    }
}
