//! Facilitators that are not ours: what they say is heard once, and what is unclear the chain tells.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use loopd_pay::evm::abi;
use loopd_pay::settings::{Mode, Node};
use loopd_pay::settlement::{self, Order, Outcome, State, reason};
use loopd_pay::{Pay, Settings};
use loopd_testkit::each_engine;
use loopd_types::Secret;
use serde_json::{Value, json};

use crate::chain::{Buyer, CHAIN, TestChain};
use crate::rpc::until_concluded;
use crate::stub::Stub;
use crate::support::{SELLER, Timely, refused, settled};

/// What the facilitator does next: whether it settles, and what it answers.
type Mood = Arc<Mutex<(bool, Option<(u16, String)>)>>;

fn pay(chain: &TestChain, facilitator: &str) -> Arc<Pay> {
    Pay::new(Settings {
        mode: Mode::Facilitator,
        nodes: vec![Node { chain: CHAIN, url: Secret::new(chain.url.clone()) }],
        facilitator: Some(facilitator.to_owned()),
        ..Settings::default()
    })
    .expect("an engine")
}

async fn settle(pay: &Arc<Pay>, world: &Timely, order: &Order) -> Outcome {
    settlement::settle(pay, &world.kernel, order.clone(), Duration::from_millis(1_500))
        .await
        .expect("the database works")
}

fn yes(hash: &str) -> Option<(u16, String)> {
    Some((200, json!({"success": true, "transaction": hash, "network": "base"}).to_string()))
}

fn no(reason: &str) -> Option<(u16, String)> {
    Some((200, json!({"success": false, "errorReason": reason, "transaction": "", "network": "base"}).to_string()))
}

each_engine! {
    async fn a_facilitator_is_asked_once_and_believed_no_further_than_the_chain(world: &Timely) {
        let Some(chain) = TestChain::start() else { return };
        let (chain, buyer) = (Arc::new(chain), Buyer::new(7));
        chain.mint(buyer.address, 10_000_000);
        let order: Arc<Mutex<Option<Order>>> = Arc::default();
        let mood: Mood = Arc::new(Mutex::new((false, None)));
        let (there, wanted, now) = (chain.clone(), order.clone(), mood.clone());
        let stub = Stub::start(move |asked: Value| {
            let (order, (settles, answer)) = (wanted.lock().unwrap().clone().expect("an order"), now.lock().unwrap().clone());
            // What a facilitator needs is there, in x402's words.
            assert_eq!(asked["paymentRequirements"]["maxAmountRequired"], order.requirement.amount.to_string());
            assert_eq!(asked["paymentPayload"]["payload"]["signature"], order.payment.signature.to_string());
            if settles {
                there.send(&abi::transfer(order.requirement.asset, &order.payment));
            }
            Box::pin(async move { answer })
        })
        .await;
        let pay = pay(&chain, &stub.url);
        let mut number = 0;
        let mut next = |settles: bool, answer: Option<(u16, String)>| {
            number += 1;
            let new = buyer.pays(SELLER, 1_000, number);
            *order.lock().unwrap() = Some(new.clone());
            *mood.lock().unwrap() = (settles, answer);
            new
        };

        // It settles, and says what it likes: the chain tells by which transaction.
        let wrong = "0x".to_owned() + &"ab".repeat(32);
        for answer in [yes(&wrong), Some((502, "<html>".to_owned())), None, no("invalid_exact_evm_nonce_already_used"), Some((307, String::new())),
            Some((200, "x".repeat(3 << 20)))] {
            let order = next(true, answer);
            let known = match settle(&pay, world, &order).await {
                Outcome::Settled { settlement } => *settlement,
                other => {
                    assert!(matches!(other, Outcome::Pending { .. }), "{other:?}");
                    settlement::take_up(&pay, &world.kernel).await.unwrap();
                    assert_eq!(until_concluded(&world.kernel, &order).await, State::Settled);
                    settled(settle(&pay, world, &order).await)
                }
            };
            assert_ne!(known.tx_hash.map(|hash| hash.to_string()), Some(wrong.clone()));
        }
        assert_eq!((chain.balance(SELLER).await, stub.heard()), (6_000, 6));

        // It settles nothing: a plain no is a no, and may be asked again.
        let order = next(false, no("insufficient_funds"));
        assert_eq!(refused(settle(&pay, world, &order).await), "insufficient_funds");
        *mood.lock().unwrap() = (true, yes(&wrong));
        settled(settle(&pay, world, &order).await);
        assert_eq!((chain.balance(SELLER).await, stub.heard()), (7_000, 8));

        // It settles nothing and says yes, or nothing at all: pending, asked no second time, and failed when the chain's time is past.
        let lie = next(false, yes(&wrong));
        let Outcome::Pending { settlement } = settle(&pay, world, &lie).await else { panic!("a lie was believed") };
        assert_eq!(settlement.tx_hash.map(|hash| hash.to_string()), Some(wrong.clone()));
        let silent = next(false, None);
        assert!(matches!(settle(&pay, world, &silent).await, Outcome::Pending { .. }));
        assert!(matches!(settle(&pay, world, &silent).await, Outcome::Pending { .. }));
        assert_eq!(stub.heard(), 10);
        let _: Value = chain.ask("evm_increaseTime", json!([200])).await;
        let _: Value = chain.ask("anvil_mine", json!([])).await;
        for order in [&lie, &silent] {
            settlement::store::wake_all(&world.kernel, world.kernel.now()).await.unwrap();
            settlement::take_up(&pay, &world.kernel).await.unwrap();
            assert_eq!(until_concluded(&world.kernel, order).await, State::Failed);
        }
        assert_eq!((chain.balance(SELLER).await, stub.heard()), (7_000, 10));
    }

    async fn a_facilitator_that_is_not_there_has_done_nothing(world: &Timely) {
        let Some(chain) = TestChain::start() else { return };
        let port = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let pay = pay(&chain, &format!("http://127.0.0.1:{port}"));
        assert_eq!(refused(settle(&pay, world, &Buyer::new(8).pays(SELLER, 1, 1)).await), reason::UNREACHABLE);
    }
}
