//! The sandbox obeys the token contract: one use, within its time, of money that is there.

use alloy_primitives::U256;
use loopd_pay::Settings;
use loopd_pay::settings::Mode;
use loopd_pay::settlement::{self, Order, State, reason, sandbox};
use loopd_pay::x402::Method;
use loopd_testkit::each_engine;
use loopd_types::SECOND_US;

use crate::support::{SELLER, World, buyer, payment, refused, settled};

const GRANT: i64 = 1_000_000_000;

each_engine! {
    async fn money_moves_once_however_often_it_is_asked_for(world: &World) {
        let paid = payment(buyer(1), 50_000, 1);
        let first = settled(world.settle(&paid).await);
        assert_eq!(first.state, State::Settled);
        assert!(first.is_sandbox());
        assert!(first.tx_hash.expect("a settled payment has a transaction").starts_with(&sandbox::PREFIX));
        assert_eq!((world.balance(buyer(1)).await, world.balance(SELLER).await), (GRANT - 50_000, GRANT + 50_000));
        for _ in 0..3 {
            let again = settled(world.settle(&paid).await);
            assert_eq!((again.id, again.tx_hash, again.concluded_at), (first.id, first.tx_hash, first.concluded_at));
        }
        let asked = settlement::earlier(&world.pay, &world.kernel, &paid.payment, &paid.requirement, crate::support::WAIT);
        assert_eq!(settled(asked.await.unwrap().expect("it is known")).id, first.id);
        assert_eq!(world.balance(SELLER).await, GRANT + 50_000);
    }

    async fn sixty_callers_on_two_nodes_hear_one_answer(world: &World) {
        let beside = if world.kernel.db.engine() == loopd_store::Engine::Postgres { world.beside().await } else { world.kernel.clone() };
        let paid = payment(buyer(1), 70_000, 9);
        let calls = (0..60).map(|number| {
            let (pay, paid) = (world.pay.clone(), paid.clone());
            let kernel = if number % 2 == 0 { world.kernel.clone() } else { beside.clone() };
            tokio::spawn(async move { settlement::settle(&pay, &kernel, paid, crate::support::WAIT).await })
        });
        let mut heard = std::collections::HashSet::new();
        for call in calls.collect::<Vec<_>>() {
            heard.insert(settled(call.await.unwrap().unwrap()).id);
        }
        assert_eq!(heard.len(), 1);
        assert_eq!(world.balance(SELLER).await, GRANT + 70_000);
    }

    async fn who_spends_in_two_places_at_once_spends_what_is_there(world: &World) {
        // 1,000 USDC are there for fifteen payments of 100.
        let calls = (0..15).map(|number| {
            let (pay, kernel, paid) = (world.pay.clone(), world.kernel.clone(), payment(buyer(2), 100_000_000, number + 1));
            tokio::spawn(async move { settlement::settle(&pay, &kernel, paid, crate::support::WAIT).await })
        });
        let mut paid = 0;
        for call in calls.collect::<Vec<_>>() {
            match call.await.unwrap().unwrap() {
                settlement::Outcome::Settled { .. } => paid += 1,
                other => assert_eq!(refused(other), reason::INSUFFICIENT_BALANCE),
            }
        }
        assert_eq!(paid, 10);
        assert_eq!((world.balance(buyer(2)).await, world.surplus().await), (0, 0));
    }

    async fn an_authorization_holds_within_its_time_only(world: &World) {
        let mut early = payment(buyer(3), 10, 1);
        let Method::Authorization(signed) = &mut early.payment.method else { unreachable!() };
        // The contract wants now > validAfter: not at the very second.
        signed.valid_after = U256::from(crate::support::START.seconds());
        assert_eq!(refused(world.settle(&early).await), reason::TOO_EARLY);
        world.clock.advance(SECOND_US);
        settled(world.settle(&early).await);
        let late = payment(buyer(3), 10, 2);
        world.clock.advance(59 * SECOND_US);
        assert_eq!(refused(world.settle(&late).await), reason::EXPIRED);
        assert_eq!(world.balance(buyer(3)).await, GRANT - 10);
    }

    async fn a_used_nonce_pays_for_nothing_else(world: &World) {
        let paid = payment(buyer(4), 10, 1);
        settled(world.settle(&paid).await);
        let mut elsewhere = paid.clone();
        elsewhere.requirement.pay_to = buyer(9);
        let mut cheaper = paid.clone();
        cheaper.requirement.amount = U256::from(9);
        let mut forged = paid.clone();
        forged.payment.signature = vec![7; 65].into();
        let asked = async |other: &Order| {
            let asked = settlement::earlier(&world.pay, &world.kernel, &other.payment, &other.requirement, crate::support::WAIT);
            asked.await.unwrap().expect("its nonce is known")
        };
        for other in [&elsewhere, &cheaper, &forged] {
            assert_eq!(refused(asked(other).await), reason::USED);
        }
        for other in [&elsewhere, &forged] {
            assert_eq!(refused(world.settle(other).await), reason::USED);
        }
        assert_eq!((world.balance(SELLER).await, world.settlements().await), (GRANT + 10, 1));
    }

    async fn what_failed_may_be_tried_again_and_then_succeeds_once(world: &World) {
        let dear = payment(buyer(5), 2_000_000_000, 1);
        assert_eq!(refused(world.settle(&dear).await), reason::INSUFFICIENT_BALANCE);
        assert!(settlement::earlier(&world.pay, &world.kernel, &dear.payment, &dear.requirement, crate::support::WAIT).await.unwrap().is_none());
        settlement::give(&world.pay, &world.kernel, 8453, crate::support::USDC, buyer(5), 1_500_000_000).await.unwrap();
        let settled_now = settled(world.settle(&dear).await);
        assert_eq!((settled_now.reason, world.settlements().await), (None, 1));
        assert_eq!(world.balance(buyer(5)).await, 500_000_000);
    }

    async fn an_amount_beyond_all_money_is_not_there(world: &World) {
        let mut dear = payment(buyer(6), 0, 1);
        dear.requirement.amount = U256::MAX;
        let Method::Authorization(signed) = &mut dear.payment.method else { unreachable!() };
        signed.value = U256::MAX;
        assert_eq!(refused(world.settle(&dear).await), reason::INSUFFICIENT_BALANCE);
    }

    async fn nothing_is_recorded_while_payments_are_off(world: &World) {
        let off = loopd_pay::Pay::new(Settings { mode: Mode::Off, ..Settings::default() }).unwrap();
        let outcome = settlement::settle(&off, &world.kernel, payment(buyer(7), 1, 1), crate::support::WAIT).await.unwrap();
        assert_eq!(refused(outcome), reason::OFF);
        assert_eq!(world.settlements().await, 0);
    }
}
