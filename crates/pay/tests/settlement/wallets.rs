//! Payments of wallet contracts on a real chain: of those that are there (ERC-1271), and of those that are not yet (ERC-6492).

use std::time::Duration;

use alloy_primitives::Address;
use loopd_pay::evm::Chain as _;
use loopd_pay::settlement::{self, Outcome, State, reason, store};
use loopd_pay::x402::Reason;
use loopd_pay::{Pay, Settings};
use loopd_testkit::{each_engine, json};
use serde_json::Value;

use crate::chain::{Buyer, FACTORY, FutureWallet, TestChain, WALLET};
use crate::rpc::{bring, node, sent, settings, settle, started, survives_crashes, until, until_concluded};
use crate::support::{SELLER, Timely, refused, settled};

/// A chain with a wallet contract on it that has money, its owner, and the code of more such wallets.
fn stage(number: u8) -> Option<(TestChain, Buyer, Address, Vec<u8>)> {
    let chain = TestChain::start()?;
    let owner = Buyer::new(number);
    let (wallet, code) = chain.deploy(WALLET, owner.address.into_word().as_slice());
    chain.mint(wallet, 10_000);
    Some((chain, owner, wallet, code))
}

/// A wallet that has money before it is there.
fn future(chain: &TestChain, code: &[u8], salt: u64) -> FutureWallet {
    let wallet = FutureWallet::new(code, salt);
    chain.mint(wallet.address, 10_000);
    wallet
}

fn making(chain: &TestChain) -> Settings {
    Settings { factories: vec![FACTORY], ..settings(chain) }
}

each_engine! {
    async fn a_wallet_pays_by_its_owners_key(world: &Timely) {
        let Some((chain, owner, wallet, _)) = stage(41) else { return };
        let pay = node(&chain);
        let order = owner.pays_for(wallet, SELLER, 3_000, 1);
        let first = settled(bring(&pay, &world.kernel, &order).await.expect("a wallet's payment"));
        let again = settled(bring(&pay, &world.kernel, &order).await.expect("the same"));
        assert_eq!(again.tx_hash, first.tx_hash);
        let forged = Buyer::new(42).pays_for(wallet, SELLER, 3_000, 2);
        let refusal = bring(&pay, &world.kernel, &forged).await.expect_err("a stranger's");
        assert_eq!(refusal.reason, Reason::Signature);
        assert_eq!(refused(settle(&pay, &world.kernel, &forged).await), reason::SIMULATION_FAILED);
        assert_eq!((chain.balance(SELLER).await, sent(&chain).await), (3_000, 1));
    }

    async fn a_wallet_that_is_not_there_is_made_and_pays_in_one_transaction(world: &Timely) {
        let Some((chain, owner, _, code)) = stage(43) else { return };
        let wallet = future(&chain, &code, 1);
        let order = wallet.pays(&owner, SELLER, 3_000, 1);

        // By a factory that is not allowed: refused by the verifier, and by the engine for whoever does not ask it.
        let strict = node(&chain);
        let refusal = bring(&strict, &world.kernel, &order).await.expect_err("a factory of strangers");
        assert_eq!(refusal.reason, Reason::Factory);
        assert_eq!(refused(settle(&strict, &world.kernel, &order).await), reason::FACTORY);
        assert_eq!((sent(&chain).await, chain.rpc.has_code(wallet.address).await), (0, Ok(false)));

        let pay = Pay::new(making(&chain)).expect("an engine");
        let first = settled(bring(&pay, &world.kernel, &order).await.expect("a wallet to be made"));
        assert_eq!((chain.balance(SELLER).await, sent(&chain).await), (3_000, 1));
        assert_eq!(chain.rpc.has_code(wallet.address).await, Ok(true));
        let again = settled(bring(&pay, &world.kernel, &order).await.expect("the same"));
        assert_eq!(again.tx_hash, first.tx_hash);

        // It goes on telling how it is made; it is there, so whether the factory is allowed matters no more.
        let next = wallet.pays(&owner, SELLER, 2_000, 2);
        settled(bring(&strict, &world.kernel, &next).await.expect("a wallet's payment"));
        assert_eq!((chain.balance(SELLER).await, sent(&chain).await), (5_000, 2));

        // One whose deployment makes another wallet, and one without money: nothing is sent, nothing is made.
        let (other, poor) = (FutureWallet::new(&code, 2), FutureWallet::new(&code, 3));
        chain.mint(other.address, 10_000);
        let mut wrong = owner.pays_for(other.address, SELLER, 1_000, 3);
        wrong.payment.signature = poor.deployment.wrap(wrong.payment.signature);
        let refusal = bring(&pay, &world.kernel, &wrong).await.expect_err("another wallet's deployment");
        assert_eq!(refusal.reason, Reason::Signature);
        assert_eq!(refused(settle(&pay, &world.kernel, &wrong).await), reason::SIMULATION_FAILED);
        let empty = poor.pays(&owner, SELLER, 1_000, 4);
        let refusal = bring(&pay, &world.kernel, &empty).await.expect_err("no money");
        assert_eq!(refusal.reason, Reason::Balance);
        assert_eq!(refused(settle(&pay, &world.kernel, &empty).await), reason::INSUFFICIENT_BALANCE);
        assert_eq!((chain.balance(SELLER).await, sent(&chain).await), (5_000, 2));
        assert_eq!(chain.rpc.has_code(poor.address).await, Ok(false));
    }

    async fn after_a_crash_at_any_step_a_wallet_was_made_and_has_paid_once(world: &Timely) {
        let Some((chain, owner, _, code)) = stage(44) else { return };
        survives_crashes(world, &chain, &making(&chain), |number| {
            future(&chain, &code, number).pays(&owner, SELLER, 1_000, number)
        })
        .await;
    }

    async fn what_was_signed_holds_whoever_made_the_wallet_meanwhile(world: &Timely) {
        let Some((chain, owner, _, code)) = stage(45) else { return };
        let (kernel, making) = (&world.kernel, making(&chain));

        // Signed; then somebody makes the wallet: the same bytes pay all the same.
        let wallet = future(&chain, &code, 1);
        let order = wallet.pays(&owner, SELLER, 1_000, 1);
        assert!(matches!(until("signed", &making, kernel, &order).await, Outcome::Pending { .. }));
        chain.send(&wallet.made());
        started(&making, kernel).await;
        assert_eq!(until_concluded(kernel, &order).await, State::Settled);

        // Written down, not signed; then the operator thinks better of the factory: nothing is sent.
        let wallet = future(&chain, &code, 2);
        let order = wallet.pays(&owner, SELLER, 1_000, 2);
        assert!(matches!(until("recorded", &making, kernel, &order).await, Outcome::Pending { .. }));
        started(&settings(&chain), kernel).await;
        assert_eq!(until_concluded(kernel, &order).await, State::Failed);
        assert_eq!((chain.balance(SELLER).await, sent(&chain).await), (1_000, 1));
        // Allowed again, the same payment may be brought again.
        settled(bring(&Pay::new(making.clone()).expect("an engine"), kernel, &order).await.expect("a wallet to be made"));

        // Stuck, and sent again for more: made once, paid once.
        let wallet = future(&chain, &code, 3);
        let order = wallet.pays(&owner, SELLER, 1_000, 3);
        let _: Value = chain.ask("evm_setAutomine", json!([false])).await;
        let pay = Pay::new(making).expect("an engine");
        let wait = Duration::from_secs(4);
        let outcome = settlement::settle(&pay, kernel, order.clone(), wait).await.expect("the database works");
        let Outcome::Pending { settlement } = outcome else { panic!("not pending: {outcome:?}") };
        let id = settlement.id;
        let read = kernel.db.read(loopd_store::View::System, move |reader| store::transactions::of(reader, id));
        assert!(read.await.expect("it can be read").len() >= 2, "nothing was replaced");
        let _: Value = chain.ask("anvil_mine", json!([])).await;
        assert_eq!(until_concluded(kernel, &order).await, State::Settled);
        assert_eq!((chain.balance(SELLER).await, sent(&chain).await), (3_000, 3));
    }
}
