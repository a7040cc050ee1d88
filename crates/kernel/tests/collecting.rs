//! Money is taken once, whatever becomes of answers, processes and clocks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use loopd_kernel::billing::account;
use loopd_kernel::billing::bill::{self, NewBill, NewLine};
use loopd_kernel::billing::collector::{Asked, Charge, Collector, Collectors, Outcome, Unclear};
use loopd_kernel::job::Runner;
use loopd_kernel::{Catalogue, Environment, Kernel, Settings, Tenant, billing};
use loopd_store::testing::TestDb;
use loopd_store::{Tx, Value, View, migrate, params};
use loopd_types::{CompanyId, HOUR_US, ManualClock, OsRng, Timestamp, Uuid};
use proptest::prelude::*;
use serde_json::json;

/// What a call meets.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Pays,
    Refuses,
    /// The money is taken, and the answer is lost.
    TakesAndLoses,
    /// Nothing arrives.
    Loses,
    Pends,
}

/// Keeps books as an honest provider does: by reference.
#[derive(Default)]
struct Bank {
    fates: Mutex<Vec<Fate>>,
    books: Mutex<BTreeMap<Uuid, (i64, Outcome)>>,
}

impl Collector for Bank {
    fn name(&self) -> &'static str {
        "bank"
    }
    fn is_sandbox(&self) -> bool {
        true
    }
    fn collect<'a>(&'a self, charge: &'a Charge) -> Asked<'a> {
        let fate = self.fates.lock().unwrap().pop().unwrap_or(Fate::Pays);
        let mut books = self.books.lock().unwrap();
        let paid = Outcome::Succeeded { reference: charge.reference.to_string() };
        let answer = match (books.get(&charge.reference), fate) {
            (_, Fate::Loses) => Err(Unclear("lost on its way".to_owned())),
            (Some((_, Outcome::Pending)), Fate::Pends) => Ok(Outcome::Pending),
            (Some((_, known)), _) if *known != Outcome::Pending => Ok(known.clone()),
            (_, Fate::Pends) => {
                books.insert(charge.reference, (0, Outcome::Pending));
                Ok(Outcome::Pending)
            }
            (_, Fate::Refuses) => {
                let refused = Outcome::Failed { code: "declined".to_owned() };
                books.insert(charge.reference, (0, refused.clone()));
                Ok(refused)
            }
            (_, fate) => {
                books.insert(charge.reference, (charge.money.minor, paid.clone()));
                if matches!(fate, Fate::TakesAndLoses) {
                    Err(Unclear("lost on its way back".to_owned()))
                } else {
                    Ok(paid)
                }
            }
        };
        Box::pin(async move { answer })
    }
    fn find<'a>(&'a self, charge: &'a Charge) -> Asked<'a> {
        let fate = self.fates.lock().unwrap().pop().unwrap_or(Fate::Pays);
        let mut books = self.books.lock().unwrap();
        let answer = match (books.get(&charge.reference).cloned(), fate) {
            (_, Fate::Loses | Fate::TakesAndLoses) => Err(Unclear("no answer".to_owned())),
            (None, _) => Ok(Outcome::Unknown),
            // What was under way arrives.
            (Some((_, Outcome::Pending)), Fate::Pays) => {
                let paid = Outcome::Succeeded { reference: charge.reference.to_string() };
                books.insert(charge.reference, (charge.money.minor, paid.clone()));
                Ok(paid)
            }
            (Some((_, known)), _) => Ok(known),
        };
        Box::pin(async move { answer })
    }
}

const COMPANY: CompanyId = CompanyId(1);

/// Opens a bill, lets the runner work for days, and compares the bank's books with ours.
async fn collect(test: TestDb, fates: Vec<Fate>) {
    let clock = Arc::new(ManualClock::at(Timestamp(1_800_000_000_000_000)));
    migrate::run(&test.db, clock.as_ref()).await.unwrap();
    let settings = Settings::new(Environment::Development, "x".repeat(40));
    let kernel = Kernel::new(test.db.clone(), clock.clone(), Arc::new(OsRng), settings, Catalogue::default()).unwrap();
    let bank = Arc::new(Bank::default());
    *bank.fates.lock().unwrap() = fates;
    kernel.set_collectors(Collectors::of(vec![bank.clone()]));
    let work = |tx: &mut Tx<'_>| {
        let sql = "INSERT INTO companies (company_id, id, code, name, slug, status, settings, created_at, updated_at) \
                   VALUES ($1, $2, '001', 'One', 'one', 'active', $3, 0, 0)";
        tx.execute(sql, &params![COMPANY, Uuid::nil(), Value::Json("{}".to_owned())])?;
        Ok(())
    };
    kernel.db.write(View::System, work).await.unwrap();
    let tenant = Arc::new(Tenant::system(kernel.company_access(COMPANY).await.unwrap().unwrap(), "a test"));
    let (shared, acting) = (kernel.clone(), tenant.clone());
    let bill = kernel
        .db
        .write(View::System, move |tx| {
            account::update(tx, &shared, &acting, json!({"payment_method": "bank", "payer": "anna"}))?;
            let line = NewLine {
                kind: "manual",
                product: String::new(),
                description: "Help".to_owned(),
                quantity: 1,
                unit_minor: Some(5_000),
                amount_minor: 5_000,
                discount_minor: 0,
                starts_at: None,
                ends_at: None,
            };
            let new = NewBill { currency: "RWF".to_owned(), subscription: None, cause: None, lines: vec![line] };
            Ok(bill::issue(tx, &shared, &acting, &new)?.expect("a bill"))
        })
        .await
        .unwrap();
    // Two nodes, which are not told of each other; a fortnight of hours.
    let mut runner = Runner::default();
    billing::register_jobs(&mut runner);
    let other = runner.clone();
    for _ in 0..14 * 24 {
        let (one, two) = tokio::join!(runner.run_due(&kernel), other.run_due(&kernel));
        let done = one.unwrap() + two.unwrap();
        if done == 0 {
            let is_closed = kernel.db.read(View::System, move |reader| {
                let sql = "SELECT status FROM billing_invoices WHERE company_id = $1 AND id = $2";
                Ok(reader.one(sql, &params![COMPANY, bill], |row| Ok(row.text(0)? != "open"))?)
            });
            if is_closed.await.unwrap() {
                break;
            }
        }
        clock.advance(HOUR_US);
    }
    let taken: i64 = bank.books.lock().unwrap().values().map(|(minor, _)| minor).sum();
    let (status, paid) = kernel
        .db
        .read(View::System, move |reader| {
            let sql = "SELECT status, paid_minor FROM billing_invoices WHERE company_id = $1 AND id = $2";
            Ok(reader.one(sql, &params![COMPANY, bill], |row| Ok((row.text(0)?.to_owned(), row.i64(1)?)))?)
        })
        .await
        .unwrap();
    assert!(taken <= 5_000, "taken twice: {taken}");
    assert_eq!(paid, taken, "our books are the bank's");
    assert_eq!(status == "paid", taken == 5_000, "{status}");
    kernel.db.close().await;
}

#[test]
fn every_order_of_losses_takes_the_money_once() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let fate = prop_oneof![
        Just(Fate::Pays),
        Just(Fate::Refuses),
        Just(Fate::TakesAndLoses),
        Just(Fate::Loses),
        Just(Fate::Pends)
    ];
    let config = ProptestConfig { cases: 24, ..ProptestConfig::default() };
    proptest!(config, |(fates in prop::collection::vec(fate, 0..6))| {
        runtime.block_on(async { collect(TestDb::sqlite().await, fates).await });
    });
}

#[test]
fn the_same_on_both_engines() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        for test in TestDb::both().await {
            let fates = vec![Fate::Pays, Fate::Loses, Fate::TakesAndLoses, Fate::Pends, Fate::Refuses];
            collect(test, fates).await;
        }
    });
}
