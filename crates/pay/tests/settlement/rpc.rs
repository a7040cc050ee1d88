//! Own gas wallets on a real chain: the records and the chain agree, whatever happens in between.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use alloy_primitives::Address;
use loopd_kernel::Kernel;
use loopd_pay::evm::abi;
use loopd_pay::settings::{Failpoint, Gas, Mode, Node};
use loopd_pay::settlement::{self, Order, Outcome, State, reason, store};
use loopd_pay::x402::Refusal;
use loopd_pay::{Pay, Settings};
use loopd_store::{Engine, View};
use loopd_testkit::each_engine;
use loopd_types::Secret;

use crate::chain::{Buyer, CHAIN, TestChain, wallets};
use crate::support::{SELLER, Timely, WAIT, refused, settled};

/// Every step that a settlement takes, in order.
const STEPS: [&str; 8] = ["recorded", "estimated", "signed", "sent", "marked", "mined", "decided", "concluded"];

pub fn settings(chain: &TestChain) -> Settings {
    Settings {
        mode: Mode::Rpc,
        nodes: vec![Node { chain: CHAIN, url: Secret::new(chain.url.clone()) }],
        keys: wallets(),
        gas: Gas { stuck_after: Duration::from_secs(1), ..Gas::default() },
        ..Settings::default()
    }
}

pub fn node(chain: &TestChain) -> Arc<Pay> {
    Pay::new(settings(chain)).expect("an engine")
}

fn addresses() -> Vec<Address> {
    use loopd_pay::settlement::rpc::Wallet;
    wallets().iter().map(|key| Wallet::new(key).expect("a key").address).collect()
}

/// Verifies and settles, as both doors do.
pub async fn bring(pay: &Arc<Pay>, kernel: &Arc<Kernel>, order: &Order) -> Result<Outcome, Refusal> {
    let purpose = async { Ok(order.purpose.clone()) };
    settlement::bring(pay, kernel, &order.payment, &order.requirement, purpose, WAIT).await.expect("the database works")
}

/// Settles without verifying.
pub async fn settle(pay: &Arc<Pay>, kernel: &Arc<Kernel>, order: &Order) -> Outcome {
    settlement::settle(pay, kernel, order.clone(), WAIT).await.expect("the database works")
}

/// Transactions that the wallets have had mined.
pub async fn sent(chain: &TestChain) -> u64 {
    let mut all = 0;
    for address in addresses() {
        all += chain.mined(address).await;
    }
    all
}

async fn state(kernel: &Arc<Kernel>, order: &Order) -> Option<(State, Option<String>)> {
    let (requirement, payment) = (&order.requirement, &order.payment);
    let key =
        settlement::Key { chain: CHAIN, asset: requirement.asset, payer: payment.payer(), nonce: payment.nonce() };
    let found = kernel.db.read(View::System, move |reader| store::find(reader, &key)).await.expect("it can be read");
    found.map(|found| (found.state, found.reason))
}

pub async fn until_concluded(kernel: &Arc<Kernel>, order: &Order) -> State {
    for _ in 0..600 {
        if let Some((state, _)) = state(kernel, order).await.filter(|(state, _)| state.is_concluded()) {
            return state;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never concluded: {:?}", state(kernel, order).await)
}

/// What the keeper does, until it is ended.
pub async fn keep_taking_up(pay: Arc<Pay>, kernel: Arc<Kernel>) {
    loop {
        settlement::take_up(&pay, &kernel).await.expect("the database works");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Settles up to a step, where the process ends; what a caller hears then.
pub async fn until(step: &'static str, settings: &Settings, kernel: &Arc<Kernel>, order: &Order) -> Outcome {
    let crashed = Arc::new(AtomicBool::new(false));
    let seen = crashed.clone();
    let failpoint = Failpoint(Some(Arc::new(move |reached| {
        if reached == step && !seen.swap(true, Ordering::SeqCst) {
            panic!("the test ends the task at {reached}");
        }
    })));
    let pay = Pay::new(Settings { failpoint, ..settings.clone() }).expect("an engine");
    let asked = |wait| settlement::settle(&pay, kernel, order.clone(), wait);
    asked(Duration::from_millis(100)).await.unwrap();
    for _ in 0..600 {
        if crashed.load(Ordering::SeqCst) {
            return asked(Duration::ZERO).await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{step} was not reached");
}

/// The next start, with these settings.
pub async fn started(settings: &Settings, kernel: &Arc<Kernel>) -> Arc<Pay> {
    let pay = Pay::new(settings.clone()).expect("an engine");
    store::wake_all(kernel, kernel.now()).await.unwrap();
    settlement::take_up(&pay, kernel).await.unwrap();
    pay
}

/// A crash at every step of a settlement of 1,000 to the seller: after the next start the chain and the records agree.
pub async fn survives_crashes(world: &Timely, chain: &TestChain, settings: &Settings, order: impl Fn(u64) -> Order) {
    for (number, step) in (1..).zip(STEPS) {
        let order = order(number);
        match until(step, settings, &world.kernel, &order).await {
            Outcome::Settled { .. } => assert_eq!(step, "concluded"),
            Outcome::Pending { settlement } => {
                assert_eq!(settlement.tx_hash.is_some(), !["recorded", "estimated"].contains(&step), "{step}");
            }
            Outcome::Refused { reason } => panic!("{step}: refused with {reason}"),
        }
        let again = started(settings, &world.kernel).await;
        assert_eq!(until_concluded(&world.kernel, &order).await, State::Settled, "{step}");
        assert_eq!((chain.balance(SELLER).await, sent(chain).await), (number * 1_000, number), "{step}");
        // Whoever asks again hears the same.
        settled(settle(&again, &world.kernel, &order).await);
        assert_eq!(sent(chain).await, number, "{step}");
    }
}

each_engine! {
    async fn one_authorization_is_one_transaction(world: &Timely) {
        let Some(chain) = TestChain::start() else { return };
        let (buyer, first) = (Buyer::new(1), node(&chain));
        chain.mint(buyer.address, 10_000_000);

        // Forty callers on two nodes bring one payment.
        let (second, beside) = match world.kernel.db.engine() {
            Engine::Postgres => (node(&chain), world.beside().await),
            Engine::Sqlite => (first.clone(), world.kernel.clone()),
        };
        let order = buyer.pays(SELLER, 50_000, 1);
        let calls = (0..40).map(|number| {
            let (pay, kernel) = if number % 2 == 0 { (first.clone(), world.kernel.clone()) } else { (second.clone(), beside.clone()) };
            let order = order.clone();
            tokio::spawn(async move { settle(&pay, &kernel, &order).await })
        });
        let mut hashes = std::collections::HashSet::new();
        for call in calls.collect::<Vec<_>>() {
            hashes.insert(settled(call.await.unwrap()).tx_hash.expect("a hash"));
        }
        assert_eq!(hashes.len(), 1);
        assert_eq!((chain.balance(SELLER).await, sent(&chain).await), (50_000, 1));

        // Thirty payments at once by two wallets of two nodes: no nonce is used twice, none is left out.
        let calls = (0..30).map(|number| {
            let (pay, kernel) = if number % 2 == 0 { (first.clone(), world.kernel.clone()) } else { (second.clone(), beside.clone()) };
            let order = buyer.pays(SELLER, 1_000, 100 + number);
            tokio::spawn(async move { settle(&pay, &kernel, &order).await })
        });
        for call in calls.collect::<Vec<_>>() {
            settled(call.await.unwrap());
        }
        assert_eq!((chain.balance(SELLER).await, sent(&chain).await), (80_000, 31));

        // Somebody else was faster with the same authorization: it is settled, by their transaction.
        let theirs = buyer.pays(SELLER, 7_000, 2);
        chain.send(&abi::transfer(theirs.requirement.asset, &theirs.payment));
        let known = settled(settle(&first, &world.kernel, &theirs).await);
        assert!(known.tx_hash.is_some());
        assert_eq!((chain.balance(SELLER).await, sent(&chain).await), (87_000, 31));

        // A nonce that was taken back is used, and moved nothing.
        let canceled = buyer.pays(SELLER, 7_000, 3);
        chain.send(&buyer.cancels(3));
        assert_eq!(refused(settle(&first, &world.kernel, &canceled).await), reason::USED);

        // A nonce that moved other money pays for nothing here.
        let other = buyer.pays(Address::repeat_byte(9), 6_000, 4);
        chain.send(&abi::transfer(other.requirement.asset, &other.payment));
        assert_eq!(refused(settle(&first, &world.kernel, &buyer.pays(SELLER, 6_000, 4)).await), reason::USED);

        // What is not there cannot be moved; when it is there, it can.
        let poor = Buyer::new(2);
        let dear = poor.pays(SELLER, 1_000, 1);
        assert_eq!(refused(settle(&first, &world.kernel, &dear).await), reason::INSUFFICIENT_BALANCE);
        assert_eq!(sent(&chain).await, 31);
        chain.mint(poor.address, 1_000);
        settled(settle(&first, &world.kernel, &dear).await);
        assert_eq!((chain.balance(SELLER).await, sent(&chain).await), (88_000, 32));
    }

    async fn after_a_crash_at_any_step_the_chain_and_the_records_agree(world: &Timely) {
        let Some(chain) = TestChain::start() else { return };
        let buyer = Buyer::new(3);
        chain.mint(buyer.address, 10_000_000);
        survives_crashes(world, &chain, &settings(&chain), |number| buyer.pays(SELLER, 1_000, number)).await;
    }

    async fn what_is_under_way_here_is_not_taken_up_here(world: &Timely) {
        let Some(chain) = TestChain::start() else { return };
        let (buyer, pay) = (Buyer::new(5), node(&chain));
        chain.mint(buyer.address, 10_000);
        let _: serde_json::Value = chain.ask("evm_setAutomine", serde_json::json!([false])).await;
        let order = buyer.pays(SELLER, 1_000, 1);
        let wait = Duration::from_millis(300);
        let outcome = settlement::settle(&pay, &world.kernel, order.clone(), wait).await.unwrap();
        assert!(matches!(outcome, Outcome::Pending { .. }), "{outcome:?}");
        store::wake_all(&world.kernel, world.kernel.now()).await.unwrap();
        assert_eq!(settlement::take_up(&pay, &world.kernel).await.unwrap(), 0);
        // Whoever waits hears of its end from whoever carries it.
        let _: serde_json::Value = chain.ask("anvil_mine", serde_json::json!([])).await;
        settled(settle(&pay, &world.kernel, &order).await);
        assert_eq!(settlement::take_up(&pay, &world.kernel).await.unwrap(), 0);
        assert_eq!((chain.balance(SELLER).await, sent(&chain).await), (1_000, 1));
    }

    async fn what_is_stuck_is_sent_again_for_more_and_what_is_late_fails(world: &Timely) {
        let Some(chain) = TestChain::start() else { return };
        let (buyer, pay) = (Buyer::new(4), node(&chain));
        chain.mint(buyer.address, 10_000_000);
        let _: serde_json::Value = chain.ask("evm_setAutomine", serde_json::json!([false])).await;
        let order = buyer.pays(SELLER, 1_000, 1);
        let outcome = settlement::settle(&pay, &world.kernel, order.clone(), Duration::from_secs(4)).await.unwrap();
        let Outcome::Pending { settlement } = outcome else { panic!("not pending: {outcome:?}") };
        let hash = settlement.tx_hash.expect("pending with its hash");
        let id = settlement.id;
        let signed = world.kernel.db.read(View::System, move |reader| store::transactions::of(reader, id)).await.unwrap();
        assert!(signed.len() >= 2, "nothing was replaced");
        assert!(signed.iter().all(|one| one.nonce == signed[0].nonce));
        assert!(signed.windows(2).all(|pair| pair[0].fees.max < pair[1].fees.max));
        assert_eq!(signed.last().map(|one| one.hash), Some(hash));
        let _: serde_json::Value = chain.ask("anvil_mine", serde_json::json!([])).await;
        assert_eq!(until_concluded(&world.kernel, &order).await, State::Settled);
        assert_eq!((chain.balance(SELLER).await, sent(&chain).await), (1_000, 1));

        // Its time is over before it comes into a block: the contract refuses it, and only then it has failed.
        let late = buyer.pays(SELLER, 1_000, 2);
        let outcome = settlement::settle(&pay, &world.kernel, late.clone(), Duration::from_millis(300)).await.unwrap();
        assert!(matches!(outcome, Outcome::Pending { .. }), "{outcome:?}");
        let _: serde_json::Value = chain.ask("evm_increaseTime", serde_json::json!([90])).await;
        let _: serde_json::Value = chain.ask("anvil_mine", serde_json::json!([])).await;
        assert_eq!(until_concluded(&world.kernel, &late).await, State::Failed);
        assert_eq!((chain.balance(SELLER).await, sent(&chain).await), (1_000, 2));
    }
}
