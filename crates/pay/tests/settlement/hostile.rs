//! Nodes that lie, lose answers, or go away: nothing is called settled that is not, and nothing failed that may be settled.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use loopd_pay::settings::{Gas, Mode, Node};
use loopd_pay::settlement::{self, Order, Outcome, State, reason};
use loopd_pay::{Pay, Settings};
use loopd_testkit::each_engine;
use loopd_types::Secret;
use serde_json::{Value, json};

use crate::chain::{Buyer, CHAIN, TestChain, wallets};
use crate::rpc::{sent, until_concluded};
use crate::stub::Stub;
use crate::support::{SELLER, Timely, refused, settled};

/// Bytes.
const FLOOD: usize = 64 * 1024 * 1024;

/// How the node between us and the chain behaves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    Honest,
    /// Is of another chain.
    Elsewhere,
    /// Takes transactions and hangs up.
    LosesAnswers,
    /// Tells of success in blocks that are not there.
    Invents,
    /// Hangs up whatever is asked.
    Dark,
    /// Takes transactions and says so only when nobody waits any more.
    Slow,
    /// Takes transactions and answers with more than anybody should read.
    Floods,
}

/// Our way to the chain by this node.
async fn between(chain: &Arc<TestChain>, mood: &Arc<Mutex<Mood>>) -> Arc<Pay> {
    let (there, now) = (chain.clone(), mood.clone());
    let stub = Stub::start(move |asked: Value| {
        let (there, mood) = (there.clone(), *now.lock().unwrap());
        Box::pin(async move {
            let (id, method) = (&asked["id"], asked["method"].as_str()?);
            let answer = match (mood, method) {
                (Mood::Dark, _) => return None,
                (Mood::Elsewhere, "eth_chainId") => Ok(json!("0x1")),
                (Mood::Invents, "eth_getTransactionReceipt") => Ok(json!({
                    "transactionHash": asked["params"][0], "blockNumber": "0x1", "status": "0x1", "logs": [],
                })),
                _ => there.rpc.ask::<Value>(method, asked["params"].clone()).await,
            };
            match (mood, method) {
                (Mood::LosesAnswers, "eth_sendRawTransaction") => return None,
                (Mood::Slow, "eth_sendRawTransaction") => tokio::time::sleep(Duration::from_secs(60)).await,
                (Mood::Floods, "eth_sendRawTransaction") => return Some((200, "[".repeat(FLOOD))),
                _ => {}
            }
            let body = match answer {
                Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
                Err(fault) => {
                    json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32000, "message": fault.to_string()}})
                }
            };
            Some((200, body.to_string()))
        })
    })
    .await;
    Pay::new(Settings {
        mode: Mode::Rpc,
        nodes: vec![Node { chain: CHAIN, url: Secret::new(stub.url.clone()) }],
        keys: wallets(),
        gas: Gas { stuck_after: Duration::from_secs(30), ..Gas::default() },
        ..Settings::default()
    })
    .expect("an engine")
}

async fn settle(pay: &Arc<Pay>, world: &Timely, order: &Order, wait_ms: u64) -> Outcome {
    let wait = Duration::from_millis(wait_ms);
    settlement::settle(pay, &world.kernel, order.clone(), wait).await.expect("the database works")
}

each_engine! {
    async fn a_node_is_believed_no_further_than_its_logs(world: &Timely) {
        let Some(chain) = TestChain::start() else { return };
        let (chain, buyer) = (Arc::new(chain), Buyer::new(9));
        chain.mint(buyer.address, 10_000_000);
        let mood = Arc::new(Mutex::new(Mood::Elsewhere));

        // Of another chain: nothing is sent there.
        let order = buyer.pays(SELLER, 1_000, 1);
        assert_eq!(refused(settle(&between(&chain, &mood).await, world, &order, 5_000).await), reason::UNREACHABLE);
        assert_eq!(sent(&chain).await, 0);

        // The answer to what was sent is lost: the chain has it, and so have the records.
        *mood.lock().unwrap() = Mood::LosesAnswers;
        let pay = between(&chain, &mood).await;
        settled(settle(&pay, world, &order, 10_000).await);
        assert_eq!((chain.balance(SELLER).await, sent(&chain).await), (1_000, 1));

        // A success without the token's word for it is none.
        let _: Value = chain.ask("evm_setAutomine", json!([false])).await;
        *mood.lock().unwrap() = Mood::Invents;
        let order = buyer.pays(SELLER, 1_000, 2);
        assert!(matches!(settle(&pay, world, &order, 1_500).await, Outcome::Pending { .. }));
        *mood.lock().unwrap() = Mood::Honest;
        let _: Value = chain.ask("evm_setAutomine", json!([true])).await;
        let _: Value = chain.ask("anvil_mine", json!([])).await;
        assert_eq!(until_concluded(&world.kernel, &order).await, State::Settled);

        // It goes away once the transaction is out: pending with its hash, and settled when it is back.
        let _: Value = chain.ask("evm_setAutomine", json!([false])).await;
        let order = buyer.pays(SELLER, 1_000, 3);
        assert!(matches!(settle(&pay, world, &order, 500).await, Outcome::Pending { .. }));
        *mood.lock().unwrap() = Mood::Dark;
        let Outcome::Pending { settlement } = settle(&pay, world, &order, 3_000).await else { panic!("not pending") };
        assert!(settlement.tx_hash.is_some());
        *mood.lock().unwrap() = Mood::Honest;
        let _: Value = chain.ask("anvil_mine", json!([])).await;
        assert_eq!(until_concluded(&world.kernel, &order).await, State::Settled);
        assert_eq!((chain.balance(SELLER).await, sent(&chain).await), (3_000, 3));
    }

    async fn a_node_that_is_slow_or_floods_costs_no_money(world: &Timely) {
        let Some(chain) = TestChain::start() else { return };
        let (chain, buyer) = (Arc::new(chain), Buyer::new(9));
        chain.mint(buyer.address, 10_000_000);
        let mood = Arc::new(Mutex::new(Mood::Floods));
        let pay = between(&chain, &mood).await;

        // What cannot be read is no answer: the chain is asked what became of it.
        let order = buyer.pays(SELLER, 1_000, 1);
        settled(settle(&pay, world, &order, 20_000).await);
        assert_eq!((chain.balance(SELLER).await, sent(&chain).await), (1_000, 1));

        // Whoever asked hears in their time that it is under way, with the hash that was written down before it was sent.
        *mood.lock().unwrap() = Mood::Slow;
        let order = buyer.pays(SELLER, 1_000, 2);
        let began = std::time::Instant::now();
        let Outcome::Pending { settlement } = settle(&pay, world, &order, 1_000).await else { panic!("not pending") };
        assert!(settlement.tx_hash.is_some() && began.elapsed() < Duration::from_secs(10));
        *mood.lock().unwrap() = Mood::Honest;
        assert_eq!(until_concluded(&world.kernel, &order).await, State::Settled);
        assert_eq!((chain.balance(SELLER).await, sent(&chain).await), (2_000, 2));
    }
}
