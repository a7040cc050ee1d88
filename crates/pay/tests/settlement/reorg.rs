//! Blocks that are replaced by others: the money has moved once in the end, and the records say so.

use std::sync::Arc;
use std::time::Duration;

use loopd_kernel::Kernel;
use loopd_pay::evm::abi;
use loopd_pay::settings::Gas;
use loopd_pay::settlement::{self, Order, Outcome, State, reason, store};
use loopd_pay::{Pay, Settings};
use loopd_testkit::{each_engine, json};
use serde_json::Value;

use crate::chain::{Buyer, TestChain};
use crate::rpc::{bring, keep_taking_up, node, sent, settings, settle, until_concluded};
use crate::support::{SELLER, Timely, refused, settled};

/// Replaces the newest blocks by as many empty ones.
async fn reorganize(chain: &TestChain, depth: u64) {
    let _: Value = chain.ask("anvil_reorg", json!([depth, []])).await;
}

async fn mine(chain: &TestChain, blocks: u64) {
    let _: Value = chain.ask("anvil_mine", json!([format!("{blocks:#x}")])).await;
}

/// Believes what three blocks hold.
fn patient(chain: &TestChain) -> Arc<Pay> {
    let gas = Gas { confirmations: 3, ..settings(chain).gas };
    Pay::new(Settings { gas, ..settings(chain) }).expect("an engine")
}

/// Hears of an order that it is under way.
async fn begun(pay: &Arc<Pay>, kernel: &Arc<Kernel>, order: &Order) {
    let wait = Duration::from_millis(400);
    let outcome = settlement::settle(pay, kernel, order.clone(), wait).await.expect("the database works");
    assert!(matches!(outcome, Outcome::Pending { .. }), "{outcome:?}");
}

/// Has the keeper look at everything now, until the seller has as much.
async fn until_paid(chain: &TestChain, pay: &Arc<Pay>, kernel: &Arc<Kernel>, micros: u64) {
    for _ in 0..200 {
        if chain.balance(SELLER).await == micros {
            return;
        }
        store::wake_all(kernel, kernel.now()).await.expect("the database works");
        settlement::take_up(pay, kernel).await.expect("the database works");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the seller has {}, not {micros}", chain.balance(SELLER).await);
}

each_engine! {
    async fn what_a_chain_forgets_before_it_is_believed_is_sent_again(world: &Timely) {
        let Some(chain) = TestChain::start() else { return };
        let (buyer, pay) = (Buyer::new(61), patient(&chain));
        chain.mint(buyer.address, 10_000_000);
        mine(&chain, 5).await;

        // In a block, and in none: two blocks are replaced.
        let order = buyer.pays(SELLER, 1_000, 1);
        begun(&pay, &world.kernel, &order).await;
        assert_eq!(chain.balance(SELLER).await, 1_000);
        mine(&chain, 1).await;
        reorganize(&chain, 3).await;
        assert_eq!((chain.balance(SELLER).await, sent(&chain).await), (0, 0), "the chain has forgotten it");
        until_paid(&chain, &pay, &world.kernel, 1_000).await;
        mine(&chain, 2).await;
        assert_eq!(until_concluded(&world.kernel, &order).await, State::Settled);
        settled(bring(&pay, &world.kernel, &order).await.expect("the same payment"));
        assert_eq!((chain.balance(SELLER).await, sent(&chain).await), (1_000, 1));

        // Forgotten, and taken back by the buyer before it could be sent again: nothing has moved, and nothing is called settled.
        let order = buyer.pays(SELLER, 1_000, 2);
        begun(&pay, &world.kernel, &order).await;
        reorganize(&chain, 2).await;
        chain.send(&buyer.cancels(2));
        mine(&chain, 3).await;
        let keeper = tokio::spawn(keep_taking_up(pay.clone(), world.kernel.clone()));
        assert_eq!(until_concluded(&world.kernel, &order).await, State::Failed);
        keeper.abort();
        assert_eq!(refused(settle(&pay, &world.kernel, &order).await), reason::USED);
        assert_eq!(chain.balance(SELLER).await, 1_000);
    }

    async fn what_a_chain_forgets_after_it_was_believed_is_sent_again_under_its_hash(world: &Timely) {
        let Some(chain) = TestChain::start() else { return };
        let (buyer, pay) = (Buyer::new(62), node(&chain));
        chain.mint(buyer.address, 10_000_000);
        mine(&chain, 5).await;
        let mut told = Vec::new();
        for number in 1..=3 {
            let order = buyer.pays(SELLER, 1_000, number);
            let hash = settled(settle(&pay, &world.kernel, &order).await).tx_hash.expect("its hash");
            told.push((order, hash));
        }
        assert_eq!((chain.balance(SELLER).await, sent(&chain).await), (3_000, 3));
        reorganize(&chain, 4).await;
        assert_eq!((chain.balance(SELLER).await, sent(&chain).await), (0, 0), "the chain has forgotten them");
        // The next payment of the same wallets waits for those before it, and takes nobody's place.
        let next = buyer.pays(SELLER, 1_000, 4);
        begun(&pay, &world.kernel, &next).await;
        until_paid(&chain, &pay, &world.kernel, 4_000).await;
        assert_eq!(until_concluded(&world.kernel, &next).await, State::Settled);
        assert_eq!(sent(&chain).await, 4);
        for (order, hash) in told {
            let again = settled(bring(&pay, &world.kernel, &order).await.expect("the same payment"));
            assert_eq!(again.tx_hash, Some(hash));
            let receipt: Value = chain.ask("eth_getTransactionReceipt", json!([hash.to_string()])).await;
            assert_eq!(receipt["status"], "0x1", "what was told is true again");
        }
        // Once it is deep, nobody looks any more.
        mine(&chain, 70).await;
        for _ in 0..100 {
            store::wake_all(&world.kernel, world.kernel.now()).await.expect("the database works");
            settlement::take_up(&pay, &world.kernel).await.expect("the database works");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let later = world.kernel.now().plus(3_600_000_000);
        assert_eq!(store::due(&world.kernel, later, 10).await.expect("it can be read"), []);
    }

    async fn what_failed_in_a_block_that_is_replaced_may_be_settled_in_another(world: &Timely) {
        let Some(chain) = TestChain::start() else { return };
        let (buyer, pay) = (Buyer::new(63), node(&chain));
        chain.mint(buyer.address, 1_000);
        mine(&chain, 5).await;
        let _: Value = chain.ask("evm_setAutomine", json!([false])).await;
        let order = buyer.pays(SELLER, 1_000, 1);
        begun(&pay, &world.kernel, &order).await;
        // The money goes elsewhere in the same block, before it: it fails.
        let other = buyer.pays(Buyer::new(64).address, 1_000, 2);
        chain.submit_as(Buyer::new(65).address, &abi::transfer(other.requirement.asset, &other.payment)).await;
        mine(&chain, 1).await;
        assert_eq!(until_concluded(&world.kernel, &order).await, State::Failed);
        assert_eq!(chain.balance(SELLER).await, 0);
        // The block is replaced by one without the other: ours, which anybody may send, succeeds.
        reorganize(&chain, 1).await;
        let _: Value = chain.ask("evm_setAutomine", json!([true])).await;
        chain.send(&abi::transfer(order.requirement.asset, &order.payment));
        assert_eq!(chain.balance(SELLER).await, 1_000);
        for _ in 0..200 {
            store::wake_all(&world.kernel, world.kernel.now()).await.expect("the database works");
            settlement::take_up(&pay, &world.kernel).await.expect("the database works");
            if until_concluded(&world.kernel, &order).await == State::Settled {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("still called failed");
    }
}
