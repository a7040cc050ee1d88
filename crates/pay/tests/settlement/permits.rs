//! Payments by Permit2 on a real chain: Uniswap's own contract, and x402's proxy.

use std::time::Duration;

use alloy_primitives::Address;
use loopd_pay::evm::abi;
use loopd_pay::settlement::{self, Outcome, State, reason};
use loopd_pay::x402::{Reason, Refusal};
use loopd_testkit::{each_engine, json};
use serde_json::Value;

use crate::chain::{Buyer, TestChain, WALLET};
use crate::rpc::{bring, keep_taking_up, node, sent, settings, settle, survives_crashes, until_concluded};
use crate::support::{SELLER, Timely, refused, settled};

const MOST: u64 = 10_000_000;

/// A chain with Permit2 on it, and a buyer who lets it take some.
async fn stage(number: u8) -> Option<(TestChain, Buyer)> {
    let chain = TestChain::start()?;
    chain.bring_permit2();
    let buyer = Buyer::new(number);
    chain.mint(buyer.address, MOST);
    chain.allow_permit2(buyer.address, 1_000_000).await;
    Some((chain, buyer))
}

fn reason(outcome: Result<Outcome, Refusal>) -> Reason {
    outcome.expect_err("it is refused").reason
}

each_engine! {
    async fn a_permit_moves_the_money_once(world: &Timely) {
        let Some((chain, buyer)) = stage(31).await else { return };
        let pay = node(&chain);
        let order = buyer.permits_for(buyer.address, SELLER, 50_000, 1);
        let first = settled(bring(&pay, &world.kernel, &order).await.expect("a good permit"));
        assert!(first.tx_hash.is_some());
        let again = settled(bring(&pay, &world.kernel, &order).await.expect("the same permit"));
        assert_eq!((again.id, again.tx_hash), (first.id, first.tx_hash));
        assert_eq!((chain.balance(SELLER).await, sent(&chain).await), (50_000, 1));
        assert_eq!(chain.balance(buyer.address).await, MOST - 50_000);

        // Signed anew for somebody else, under the nonce that was used.
        let other = buyer.permits_for(buyer.address, Address::repeat_byte(9), 1_000, 1);
        assert_eq!(refused(bring(&pay, &world.kernel, &other).await.expect("known to be used")), reason::USED);
        // Of a wallet contract, by its owner's key.
        let (wallet, _) = chain.deploy(WALLET, buyer.address.into_word().as_slice());
        chain.mint(wallet, 2_000);
        chain.allow_permit2(wallet, 2_000).await;
        let order = buyer.permits_for(wallet, SELLER, 2_000, 1);
        settled(bring(&pay, &world.kernel, &order).await.expect("a wallet's permit"));
        assert_eq!((chain.balance(SELLER).await, sent(&chain).await), (52_000, 2));
    }

    async fn what_permit2_would_refuse_is_refused_before_anything_is_sent(world: &Timely) {
        let Some((chain, buyer)) = stage(32).await else { return };
        let pay = node(&chain);
        let dear = buyer.permits_for(buyer.address, SELLER, 1_000_001, 1);
        assert_eq!(reason(bring(&pay, &world.kernel, &dear).await), Reason::PermitAllowance);
        let poor = Buyer::new(33);
        chain.allow_permit2(poor.address, 1_000).await;
        let empty = poor.permits_for(poor.address, SELLER, 1_000, 1);
        assert_eq!(reason(bring(&pay, &world.kernel, &empty).await), Reason::PermitBalance);
        let mut forged = buyer.permits_for(buyer.address, SELLER, 1_000, 2);
        forged.payment.signature = buyer.permits_for(buyer.address, SELLER, 1_000, 3).payment.signature;
        assert_eq!(reason(bring(&pay, &world.kernel, &forged).await), Reason::PermitSignature);
        let back = buyer.permits_for(buyer.address, SELLER, 1_000, 300);
        chain.send_as(buyer.address, &Buyer::invalidates(300)).await;
        assert_eq!(reason(bring(&pay, &world.kernel, &back).await), Reason::PermitNonce);
        // Whoever does not verify is told by the node.
        assert_eq!(refused(settle(&pay, &world.kernel, &empty).await), reason::INSUFFICIENT_BALANCE);
        assert_eq!((chain.balance(SELLER).await, sent(&chain).await), (0, 0));
    }

    async fn after_a_crash_at_any_step_a_permit_has_moved_the_money_once(world: &Timely) {
        let Some((chain, buyer)) = stage(34).await else { return };
        survives_crashes(world, &chain, &settings(&chain), |number| {
            buyer.permits_for(buyer.address, SELLER, 1_000, number)
        })
        .await;
    }

    async fn what_somebody_else_did_with_a_permit_is_found_on_the_chain(world: &Timely) {
        let Some((chain, buyer)) = stage(35).await else { return };
        let pay = node(&chain);
        // The same price was paid before, in both ways.
        for order in [buyer.pays(SELLER, 7_000, 9), buyer.permits_for(buyer.address, SELLER, 7_000, 1)] {
            settled(bring(&pay, &world.kernel, &order).await.expect("a good payment"));
        }
        // Brought by a stranger: it is settled, by their transaction.
        let theirs = buyer.permits_for(buyer.address, SELLER, 7_000, 2);
        chain.send(&abi::transfer(theirs.requirement.asset, &theirs.payment));
        assert!(settled(settle(&pay, &world.kernel, &theirs).await).tx_hash.is_some());
        assert_eq!((chain.balance(SELLER).await, sent(&chain).await), (21_000, 2));

        // Taken back: whether it moved money is not known before its time is over, and then it is known that it did not.
        let back = buyer.permits_for(buyer.address, SELLER, 7_000, 3);
        chain.send_as(buyer.address, &Buyer::invalidates(3)).await;
        let wait = Duration::from_millis(500);
        let outcome = settlement::settle(&pay, &world.kernel, back.clone(), wait).await.expect("the database works");
        assert!(matches!(outcome, Outcome::Pending { .. }), "{outcome:?}");
        let _: Value = chain.ask("evm_increaseTime", json!([95])).await;
        let _: Value = chain.ask("anvil_mine", json!([])).await;
        let keeper = tokio::spawn(keep_taking_up(pay.clone(), world.kernel.clone()));
        assert_eq!(until_concluded(&world.kernel, &back).await, State::Failed);
        keeper.abort();
        assert_eq!((chain.balance(SELLER).await, sent(&chain).await), (21_000, 2));
    }
}
