//! What these tests stand in: a kernel over a database of the test's own, a clock moved by the test, and payments to settle.

use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::{Address, B256, Bytes, U256, address};
use loopd_kernel::{Catalogue, Environment, Kernel};
use loopd_pay::settlement::{self, Order, Outcome, Purpose, Settlement};
use loopd_pay::x402::{Authorization, Method, Payment, Requirement, Version};
use loopd_pay::{Pay, Settings};
use loopd_store::{Db, View, migrate};
use loopd_testkit::{Boot, Database};
use loopd_types::{Clock, ManualClock, OsRng, SystemClock, Timestamp};

/// 2026-06-22T10:00:00Z.
pub const START: Timestamp = Timestamp(1_782_122_400_000_000);
pub use crate::chain::USDC;
pub const SELLER: Address = address!("5e11e45e11e45e11e45e11e45e11e45e11e45e11");
/// Nobody waits as long.
pub const WAIT: Duration = Duration::from_secs(20);

pub struct World {
    pub kernel: Arc<Kernel>,
    pub pay: Arc<Pay>,
    pub clock: Arc<ManualClock>,
    database: Database,
}

impl Boot for World {
    const NAME: &'static str = "settlement";

    async fn prepare(database: &Database) {
        let db = Db::open(database.config()).await.expect("the database opens");
        migrate::run(&db, &ManualClock::at(START)).await.expect("migrations run");
        db.close().await;
    }

    async fn boot(database: Database) -> Self {
        let clock = Arc::new(ManualClock::at(START));
        let kernel = kernel(&database, clock.clone()).await;
        let pay = Pay::new(Settings::default()).expect("the sandbox needs nothing");
        Self { kernel, pay, clock, database }
    }
}

/// The same where chains are real, and so is the time.
pub struct Timely {
    pub kernel: Arc<Kernel>,
    database: Database,
}

impl Boot for Timely {
    const NAME: &'static str = "settlement";

    async fn prepare(database: &Database) {
        World::prepare(database).await;
    }

    async fn boot(database: Database) -> Self {
        Self { kernel: kernel(&database, Arc::new(SystemClock)).await, database }
    }
}

impl Timely {
    /// Another node on the same database.
    pub async fn beside(&self) -> Arc<Kernel> {
        kernel(&self.database, Arc::new(SystemClock)).await
    }
}

async fn kernel(database: &Database, clock: Arc<dyn Clock>) -> Arc<Kernel> {
    let db = Db::open(database.config()).await.expect("the database opens");
    let settings = loopd_kernel::Settings::new(Environment::Development, "a-secret-key-of-at-least-32-bytes!");
    Kernel::new(db, clock, Arc::new(OsRng), settings, Catalogue::default()).expect("a kernel")
}

impl World {
    /// Another node on the same database.
    pub async fn beside(&self) -> Arc<Kernel> {
        kernel(&self.database, self.clock.clone()).await
    }

    pub async fn settle(&self, order: &Order) -> Outcome {
        settlement::settle(&self.pay, &self.kernel, order.clone(), WAIT).await.expect("the database works")
    }

    /// What the ledger says that an address has.
    pub async fn balance(&self, of: Address) -> i64 {
        let token = settlement::store::ledger::Token { chain: 8453, asset: USDC, grant: self.pay.settings.grant };
        let read =
            self.kernel.db.read(View::System, move |reader| settlement::store::ledger::balance(reader, token, of));
        read.await.expect("the ledger can be read")
    }

    /// The sum of what everybody has whom the ledger knows, less what they began with.
    pub async fn surplus(&self) -> i64 {
        let grant = self.pay.settings.grant;
        let sum = self.kernel.db.read(View::System, move |reader| {
            let sql = "SELECT COALESCE(SUM(balance), 0), COUNT(*) FROM pay_ledger";
            Ok(reader.one(sql, &[], |row| Ok(row.i64(0)? - row.i64(1)? * grant))?)
        });
        sum.await.expect("the ledger can be read")
    }

    pub async fn settlements(&self) -> i64 {
        let count = self.kernel.db.read(View::System, |reader| {
            Ok(reader.one("SELECT COUNT(*) FROM pay_settlements", &[], |row| row.i64(0))?)
        });
        count.await.expect("settlements can be counted")
    }
}

/// An address that only this number has.
pub fn buyer(number: u8) -> Address {
    Address::repeat_byte(number)
}

/// A payment of `micros` from a buyer to the seller, good from now for a minute; `nonce` tells it from others.
pub fn payment(from: Address, micros: u64, nonce: u8) -> Order {
    let now = START.seconds().unsigned_abs();
    let authorization = Authorization {
        from,
        to: SELLER,
        value: U256::from(micros),
        valid_after: U256::from(now - 600),
        valid_before: U256::from(now + 60),
        nonce: B256::repeat_byte(nonce),
    };
    Order {
        payment: Payment {
            version: Version::V1,
            chain: 8453,
            method: Method::Authorization(authorization),
            signature: Bytes::from(vec![nonce; 65]),
        },
        requirement: Requirement {
            chain: 8453,
            asset: USDC,
            pay_to: SELLER,
            amount: U256::from(micros),
            max_timeout_seconds: 60,
            domain: None,
        },
        purpose: Purpose::Facilitator { company: None, project: None },
    }
}

#[track_caller]
pub fn settled(outcome: Outcome) -> Settlement {
    match outcome {
        Outcome::Settled { settlement } => *settlement,
        other => panic!("not settled: {other:?}"),
    }
}

#[track_caller]
pub fn refused(outcome: Outcome) -> String {
    match outcome {
        Outcome::Refused { reason } => reason.into_owned(),
        other => panic!("not refused: {other:?}"),
    }
}
