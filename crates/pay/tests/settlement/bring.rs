//! A payment that is brought: by many at once, again, and by nobody who may have it settled.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use alloy_primitives::U256;
use loopd_pay::evm::{Domain, abi};
use loopd_pay::settlement::{self, Order, Outcome};
use loopd_pay::x402::{Method, Reason, Refusal};
use loopd_pay::{keys, settlement::Purpose};
use loopd_testkit::each_engine;
use loopd_types::{Problem, Result};
use secp256k1::SecretKey;

use crate::support::{SELLER, USDC, WAIT, World, payment, settled};

/// A payment of 50,000 that its buyer signed as wallets do.
fn signed(nonce: u8) -> Order {
    let key = SecretKey::from_secret_bytes([nonce; 32]).expect("a key");
    let mut order = payment(keys::address_of(&key), 50_000, nonce);
    order.requirement.domain = Some(("USD Coin".to_owned(), "2".to_owned()));
    let digest = abi::digest(&order.payment, &Domain::of("USD Coin", "2", 8453, USDC));
    order.payment.signature = keys::sign(&key, digest);
    order
}

async fn bring(world: &World, order: &Order) -> std::result::Result<Outcome, Refusal> {
    let purpose = async { Ok(order.purpose.clone()) };
    settlement::bring(&world.pay, &world.kernel, &order.payment, &order.requirement, purpose, WAIT).await.unwrap()
}

/// Lets a future go on until it waits for the `steps`th time; what came of it, if it never waited that often.
async fn go_on<F: Future + Unpin>(future: &mut F, steps: u8) -> Option<F::Output> {
    let mut left = steps;
    poll_fn(|context| match Pin::new(&mut *future).poll(context) {
        Poll::Ready(out) => Poll::Ready(Some(out)),
        Poll::Pending if left == 1 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}

each_engine! {
    async fn whoever_brings_one_payment_at_once_or_later_hears_one_success(world: &World) {
        let mut steps = 1;
        loop {
            // The first stops at each of its waits in turn, and the second comes and goes meanwhile.
            let order = signed(steps);
            let mut first = Box::pin(bring(world, &order));
            if go_on(&mut first, steps).await.is_some() {
                break;
            }
            let second = settled(bring(world, &order).await.expect("a good payment"));
            let first = settled(first.await.expect("what was good is not refused because it was settled meanwhile"));
            assert_eq!((first.id, first.tx_hash), (second.id, second.tx_hash), "at its wait {steps}");
            assert_eq!(world.settlements().await, i64::from(steps));
            steps += 1;
        }
        assert!(steps > 1, "it waits for the database at least once");
        assert_eq!(world.balance(SELLER).await, 1_000_000_000 + i64::from(steps) * 50_000);
    }

    async fn what_is_refused_is_not_asked_for_its_purpose_and_leaves_nothing(world: &World) {
        let mut order = signed(2);
        let Method::Authorization(signed) = &mut order.payment.method else { unreachable!("it is an authorization") };
        signed.value = U256::from(50_001);
        let purpose = async { Err::<Purpose, Problem>(Problem::internal("nobody asks")) };
        let brought: Result<_> =
            settlement::bring(&world.pay, &world.kernel, &order.payment, &order.requirement, purpose, WAIT).await;
        assert_eq!(brought.unwrap().unwrap_err().reason, Reason::Signature);
        assert_eq!(world.settlements().await, 0);
    }
}
