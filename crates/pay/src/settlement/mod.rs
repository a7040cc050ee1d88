//! Settlement: an authorization becomes moved money, once.
//!
//! A settlement is written down before anybody outside hears of it, and its row, unique for an authorization (chain, asset, payer, nonce),
//! decides for every caller and every node. Whoever brings the same payment for the same requirement again gets the same answer; whatever
//! else is brought under its nonce is refused. What may have happened is never called failed: it stays pending until the chain has told.
//!
//! `rules.rs` has the arrows between states; `engine.rs` what an engine is; `sandbox.rs` one in our own database; `keeper.rs` takes up
//! what a crash, a timeout or another node left.

mod adopt;
mod bring;
mod engine;
mod flight;
mod keeper;
mod ledger;
mod material;
pub mod outside;
pub mod reason;
mod record;
pub mod rpc;
mod rules;
pub mod sandbox;
pub mod store;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::Address;
use loopd_kernel::Kernel;
use loopd_store::{Tx, View};
use loopd_types::{Problem, Result, Timestamp, Uuid};
use tokio::time::Instant;

pub use adopt::adopt;
pub use bring::bring;
pub use engine::{Carrying, Decision, Engine, Progress};
pub use flight::Flights;
pub use keeper::{run as keep, take_up};
pub use material::is_same;
pub use record::{Key, Purpose, Sale, Settlement};
pub use rules::State;

use crate::x402::{Payment, Requirement};
use crate::{Pay, payment};

/// How long a settlement is left to whoever carries it, before somebody else looks.
const LEASE_US: i64 = 5 * loopd_types::SECOND_US;
/// How often a row is looked at that another node carries.
const LOOK: Duration = Duration::from_millis(100);

/// A payment that is to be settled. Whoever gives one has found it to be good for the requirement (`x402::verify`).
#[derive(Clone, Debug)]
pub struct Order {
    pub payment: Payment,
    pub requirement: Requirement,
    pub purpose: Purpose,
}

/// What came of a payment.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The money has moved.
    Settled { settlement: Box<Settlement> },
    /// The money has not moved by this payment, as things stand; the same payment may be brought again.
    Refused { reason: Cow<'static, str> },
    /// It is under way, and will be settled or failed in time. With the transaction's hash, once there is one.
    Pending { settlement: Box<Settlement> },
}

/// What became of this payment if it was brought before and not refused; waits up to `wait` for one that is under way. To be asked
/// **before** a payment is verified: what was used is found to be used.
///
/// # Errors
/// The database's.
pub async fn earlier(
    pay: &Pay,
    kernel: &Arc<Kernel>,
    payment: &Payment,
    requirement: &Requirement,
    wait: Duration,
) -> Result<Option<Outcome>> {
    let key = key(payment, requirement);
    let found = kernel.db.read(View::System, move |reader| store::find(reader, &key)).await?;
    match found {
        None => Ok(None),
        Some(settlement) if !is_for(&settlement, payment, requirement) => {
            // What failed has used nothing: whether the new one is good is the verifier's to say.
            Ok((settlement.state != State::Failed).then(refused_as_used))
        }
        Some(settlement) if !pay.knows(&settlement) => Ok((settlement.state == State::Settled).then(refused_as_used)),
        Some(settlement) => match settlement.state {
            State::Settled => Ok(Some(Outcome::Settled { settlement: Box::new(settlement) })),
            State::Failed => Ok(None),
            _ => waited(pay, kernel, settlement, Instant::now() + wait).await.map(Some),
        },
    }
}

/// Settles a payment that was found to be good, and waits up to `wait` for what comes of it; it goes on when the wait is over or the
/// caller is gone. Called again with the same payment, by whomever, it settles nothing again and answers the same.
///
/// `payment::recorded` is called in the transaction that writes down what is not concluded in it, `payment::concluded` in the one in
/// which it is settled or fails, whoever finds out.
///
/// # Errors
/// The database's. Nothing is lost by them: what was recorded is carried on.
pub async fn settle(pay: &Arc<Pay>, kernel: &Arc<Kernel>, order: Order, wait: Duration) -> Result<Outcome> {
    let Some(engine) = pay.engine() else {
        return Ok(Outcome::Refused { reason: reason::OFF.into() });
    };
    let until = Instant::now() + wait;
    let Order { payment, requirement, purpose } = order;
    let order = Arc::new(Settlement {
        id: kernel.new_id(),
        key: key(&payment, &requirement),
        amount: payment.value(),
        pay_to: requirement.pay_to,
        payment,
        engine: engine.name().to_owned(),
        state: State::Recorded,
        tx_hash: None,
        reason: None,
        purpose,
        from_block: None,
        created_at: kernel.now(),
        concluded_at: None,
    });
    let recorded = loop {
        let (engine, shared, order, now) = (engine.clone(), kernel.clone(), order.clone(), kernel.now());
        let write = move |tx: &mut Tx<'_>| record(tx, &shared, engine.as_ref(), &order, now);
        match kernel.db.write(View::System, write).await {
            // Another transaction wrote it first; it is there now.
            Err(problem) if problem.code() == RACED => {}
            other => break other?,
        }
    };
    match recorded {
        Recorded::Refused(reason) => Ok(Outcome::Refused { reason }),
        Recorded::Concluded(settlement) => Ok(answer(settlement)),
        Recorded::UnderWay { settlement, is_ours } => {
            if is_ours {
                keeper::fly(pay, kernel, settlement.id);
            }
            waited(pay, kernel, settlement, until).await
        }
    }
}

/// What the recording transaction found or did.
enum Recorded {
    Refused(Cow<'static, str>),
    Concluded(Settlement),
    UnderWay { settlement: Settlement, is_ours: bool },
}

/// The code of a refusal that never leaves this file.
const RACED: &str = "settlement_raced";

fn record(
    tx: &mut Tx<'_>,
    kernel: &Arc<Kernel>,
    engine: &dyn Engine,
    order: &Settlement,
    now: Timestamp,
) -> Result<Recorded> {
    let before = store::lock(tx, &order.key)?;
    let mut settlement = order.clone();
    if let Some(before) = &before {
        let is_same = material::is_same(&before.payment, &order.payment) && is_asked_for(before, order);
        match before.state {
            State::Failed => settlement.id = before.id,
            _ if !is_same || before.is_sandbox() != order.is_sandbox() => {
                return Ok(Recorded::Refused(reason::USED.into()));
            }
            State::Settled => return Ok(Recorded::Concluded(before.clone())),
            _ => return Ok(Recorded::UnderWay { settlement: before.clone(), is_ours: false }),
        }
    }
    // Whoever keeps the books of what is sold may say no: nothing has moved yet.
    payment::begun(tx, kernel, &settlement)?;
    let decision = engine.within(tx, &settlement, now)?;
    let due_at = match &decision {
        None => Some(now.plus(LEASE_US)),
        Some(decision) => {
            decide(&mut settlement, decision, now);
            None
        }
    };
    if before.is_some() {
        // By way of recorded, which is where everything starts anew.
        store::update(tx, State::Recorded, &settlement, due_at)?;
    } else if !store::insert(tx, &settlement, due_at)? {
        return Err(Problem::conflict(RACED, "This payment is being settled."));
    }
    if decision.is_some() {
        payment::concluded(tx, kernel, &settlement)?;
        return Ok(Recorded::Concluded(settlement));
    }
    payment::recorded(tx, kernel, &settlement)?;
    Ok(Recorded::UnderWay { settlement, is_ours: true })
}

fn decide(settlement: &mut Settlement, decision: &Decision, now: Timestamp) {
    match decision {
        Decision::Settled(hash) => {
            settlement.state = State::Settled;
            settlement.tx_hash = Some(*hash);
            settlement.reason = None;
        }
        Decision::Failed(reason) => {
            settlement.state = State::Failed;
            settlement.reason = Some(reason.to_string());
        }
    }
    settlement.concluded_at = Some(now);
}

/// Concludes a settlement, if nobody has: whoever finds out first, the others find it done. With `look_back`, it is looked at again after
/// that, unless nothing can have moved.
///
/// # Errors
/// The database's.
pub(crate) async fn conclude(
    kernel: &Arc<Kernel>,
    id: Uuid,
    decision: Decision,
    look_back: Option<Duration>,
) -> Result<()> {
    let (shared, now) = (kernel.clone(), kernel.now());
    kernel
        .db
        .write(View::System, move |tx| {
            let mut settlement = store::lock_id(tx, id)?;
            let before = settlement.state;
            if before.is_concluded() {
                return Ok(());
            }
            decide(&mut settlement, &decision, now);
            let may_have_moved = before.may_have_moved() || settlement.state == State::Settled;
            let due_at = look_back.filter(|_| may_have_moved).map(|pause| after(now, pause));
            store::update(tx, before, &settlement, due_at)?;
            payment::concluded(tx, &shared, &settlement)
        })
        .await
}

/// Begins a settlement again that had failed, because it is found that it may not have.
///
/// # Errors
/// The database's.
pub(crate) async fn reopen(kernel: &Arc<Kernel>, id: Uuid) -> Result<()> {
    let (shared, now) = (kernel.clone(), kernel.now());
    kernel
        .db
        .write(View::System, move |tx| {
            let mut settlement = store::lock_id(tx, id)?;
            if settlement.state != State::Failed {
                return Ok(());
            }
            settlement.state = State::Recorded;
            (settlement.reason, settlement.concluded_at) = (None, None);
            store::update(tx, State::Failed, &settlement, Some(now))?;
            payment::recorded(tx, &shared, &settlement)
        })
        .await
}

fn after(now: Timestamp, pause: Duration) -> Timestamp {
    now.plus(i64::try_from(pause.as_micros()).unwrap_or(LEASE_US))
}

/// Gives an address of the sandbox more of a token: `value` of its smallest unit. What it has then.
///
/// # Errors
/// 409 `not_sandbox` when real money moves here; 400 `invalid_amount` for what is no amount, or more than a ledger has room for.
pub async fn give(pay: &Pay, kernel: &Kernel, chain: u64, asset: Address, to: Address, value: i64) -> Result<i64> {
    if !pay.is_sandbox() {
        return Err(Problem::conflict("not_sandbox", "There is no faucet here: real money moves (LOOP_SETTLEMENT)."));
    }
    if !(1..=MOST_GIVEN).contains(&value) {
        return Err(Problem::invalid("invalid_amount", "Ask for more than nothing and for at most a billion."));
    }
    let (token, now) = (store::ledger::Token { chain, asset, grant: pay.settings.grant }, kernel.now());
    kernel
        .db
        .write(View::System, move |tx| {
            store::ledger::add(tx, token, to, value, now)?;
            store::ledger::balance(tx, token, to)
        })
        .await
}

/// What the faucet gives at once.
const MOST_GIVEN: i64 = 1_000_000_000_000_000;

/// Waits for a settlement that is under way, here or elsewhere.
async fn waited(pay: &Pay, kernel: &Arc<Kernel>, settlement: Settlement, until: Instant) -> Result<Outcome> {
    let id = settlement.id;
    let mut settlement = settlement;
    while !settlement.state.is_concluded() && Instant::now() < until {
        if pay.flights.is_under_way(id) {
            let _ = tokio::time::timeout_at(until, pay.flights.landed(id)).await;
        } else {
            tokio::time::sleep_until(until.min(Instant::now() + LOOK)).await;
        }
        settlement = store::get(kernel, id).await?;
    }
    Ok(answer(settlement))
}

fn answer(settlement: Settlement) -> Outcome {
    let settlement = Box::new(settlement);
    match settlement.state {
        State::Settled => Outcome::Settled { settlement },
        State::Failed => Outcome::Refused { reason: settlement.reason.map_or(reason::REVERTED.into(), Cow::Owned) },
        _ => Outcome::Pending { settlement },
    }
}

fn key(payment: &Payment, requirement: &Requirement) -> Key {
    Key { chain: requirement.chain, asset: requirement.asset, payer: payment.payer(), nonce: payment.nonce() }
}

fn is_for(settlement: &Settlement, payment: &Payment, requirement: &Requirement) -> bool {
    material::is_same(&settlement.payment, payment)
        && settlement.pay_to == requirement.pay_to
        && settlement.amount == requirement.amount
}

fn is_asked_for(one: &Settlement, other: &Settlement) -> bool {
    one.pay_to == other.pay_to && one.amount == other.amount
}

fn refused_as_used() -> Outcome {
    Outcome::Refused { reason: reason::USED.into() }
}
