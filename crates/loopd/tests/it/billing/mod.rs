//! What companies owe the installation, through the doors of owners and of the operator. The clock is moved; the daily job is the same that
//! the schedule runs, called for the company at that moment.

mod bills;
mod catalogue;
mod collection;
mod metering;
mod nodes;
mod subscriptions;

use loopd_kernel::billing::daily;
use loopd_testkit::{Client, json};
use loopd_types::{CompanyCode, DAY_US};
use serde_json::Value;

use crate::support::{Actor, World, eventually};

const PLANS: &str = "/api/v1/plans/";
const INVOICES: &str = "/api/v1/billing/invoices/";
const APPOINTMENTS: &str = "/api/v1/booking/appointments/";

/// An owner of 001 and the operator, who sells Booking by a plan.
struct Shop<'w> {
    world: &'w World,
    owner: Actor,
    operator: Actor,
    plan: String,
}

/// 30 000 RWF a month, 3 000 for each seat beyond two; 300 000 a year.
fn standard() -> Value {
    json!({"product": "booking", "code": "standard", "name": "Standard", "trial_days": 0, "included_seats": 2,
    "prices": [
        {"interval": "month", "currency": "RWF", "amount_minor": 30_000, "seat_minor": 3_000},
        {"interval": "year", "currency": "RWF", "amount_minor": 300_000}
    ]})
}

impl<'w> Shop<'w> {
    async fn open(world: &'w World) -> Self {
        Self::open_with(world, standard()).await
    }

    async fn open_with(world: &'w World, plan: Value) -> Self {
        let owner = world.owner().await;
        let operator = world.superuser().await;
        let plan = operator.post(PLANS).json(&plan).await.expect_status(201).text_at("/id");
        Self { world, owner, operator, plan }
    }

    /// The operator, acting in the owner's company.
    fn desk(&self) -> Client {
        self.operator.in_company(&self.owner.code)
    }

    async fn subscription(&self, product: &str) -> Value {
        let found = self.owner.get(&format!("/api/v1/product-subscriptions/?product={product}")).await;
        found.expect_status(200).at("/results/0")
    }

    /// The path of Booking's subscription.
    async fn item(&self) -> String {
        let found = self.subscription("booking").await;
        format!("/api/v1/product-subscriptions/{}/", found["id"].as_str().expect("an id"))
    }

    async fn status(&self) -> String {
        self.subscription("booking").await["status"].as_str().expect("a status").to_owned()
    }

    /// Buys the plan for the trial that runs.
    async fn buy(&self, body: Value) -> Value {
        let item = self.item().await;
        self.owner.post(&format!("{item}activate/")).json(&body).await.expect_status(200).json()
    }

    /// Moves the clock and signs everybody in again, whose sessions are over by then.
    async fn wait(&mut self, days: i64) {
        self.world.clock.advance(days * DAY_US);
        self.owner = self.world.sign_in(&self.owner.email, &self.owner.code).await;
        self.operator = self.world.sign_in(&self.operator.email, "").await;
    }

    async fn daily(&self) {
        let company = CompanyCode::parse(&self.owner.code).expect("a code").0;
        daily::run(&self.world.kernel, company).await.expect("the daily job runs");
    }

    /// Moves the clock a day at a time, with its job.
    async fn days(&mut self, days: i64) {
        for _ in 0..days {
            self.world.clock.advance(DAY_US);
            self.daily().await;
        }
        self.wait(0).await;
    }

    /// All bills and credit notes, the oldest first.
    async fn bills(&self) -> Vec<Value> {
        let list = self.owner.get(&format!("{INVOICES}?ordering=created_at&page_size=100")).await.expect_status(200);
        list.at("/results").as_array().expect("rows").clone()
    }

    /// A bill with its lines.
    async fn bill(&self, bill: &Value) -> Value {
        self.owner.get(&format!("{INVOICES}{}/", bill["id"].as_str().expect("an id"))).await.expect_status(200).json()
    }

    /// Waits until no attempt to collect is under way and the bill has this status.
    async fn settled(&self, number: &str, status: &str) -> Value {
        eventually(&format!("{number} is {status}"), async || {
            self.bills().await.iter().any(|bill| bill["number"] == number && bill["status"] == status)
        })
        .await;
        self.bills().await.into_iter().find(|bill| bill["number"] == number).expect("the bill")
    }

    /// Whatever was done: every bill adds up, its payments are what it says, and what is paid is never more than was asked.
    async fn ledger_balances(&self) {
        let payments =
            self.owner.get("/api/v1/billing/payments/?page_size=100").await.expect_status(200).at("/results");
        let payments = payments.as_array().expect("rows").clone();
        for bill in self.bills().await {
            let whole = self.bill(&bill).await;
            let number = |name: &str| whole[name].as_i64().expect("a number");
            let lines = whole["lines"].as_array().expect("lines");
            let sum = |name: &str| lines.iter().map(|line| line[name].as_i64().expect("a number")).sum::<i64>();
            assert_eq!(sum("total_minor"), number("total_minor"), "{whole}");
            assert_eq!(sum("tax_minor"), number("tax_minor"), "{whole}");
            assert_eq!(number("subtotal_minor") + number("tax_minor"), number("total_minor"), "{whole}");
            let paid: i64 = payments
                .iter()
                .filter(|payment| payment["invoice"] == whole["id"] && payment["status"] == "succeeded")
                .map(|payment| payment["amount_minor"].as_i64().expect("a number"))
                .sum();
            if whole["kind"] == "invoice" {
                assert_eq!(paid, number("paid_minor"), "{whole}");
                assert!(paid <= number("total_minor") && number("credited_minor") <= number("total_minor"), "{whole}");
                let left = number("total_minor") - paid - number("credited_minor");
                assert_eq!(number("due_minor"), if whole["status"] == "open" { left } else { 0 }, "{whole}");
            }
        }
    }
}
