//! The world of payments' tests, MTN's side of mobile money played by [`Mtn`], and short words.

use std::ops::Deref;
use std::sync::Arc;

use loopd_business::modules::Ports;
use loopd_business::modules::payments::{self, AirtelSettings, MtnSettings, Providers, Settings};
use loopd_testkit::{Answer, Boot, Client, Database, json};
use loopd_types::{ManualClock, Rng, Secret, SeededRng};
use serde_json::Value as Json;

use crate::house::records::Records;
use crate::house::{self, House};
use crate::mtn::Mtn;

pub use crate::house::{START, register};

pub struct World {
    pub stranger: Client,
    pub mtn: Mtn,
    ports: Ports,
    records: Records,
}

impl Deref for World {
    type Target = Records;

    fn deref(&self) -> &Records {
        &self.records
    }
}

impl Boot for World {
    const NAME: &'static str = "payments";

    async fn prepare(database: &Database) {
        house::prepare(database, vec![payments::module()]).await;
    }

    async fn boot(database: Database) -> Self {
        Self::over(database, None).await
    }
}

impl World {
    /// With Airtel Money; otherwise the sandbox plays it.
    pub async fn over(database: Database, airtel: Option<AirtelSettings>) -> Self {
        let mtn = Mtn::start().await;
        let settings = Settings {
            mtn: Some(MtnSettings {
                base_url: mtn.base.clone(),
                subscription_key: Secret::new("subscription".to_owned()),
                api_user: "user".to_owned(),
                api_key: Secret::new("key".to_owned()),
                target_environment: "mtnrwanda".to_owned(),
                callback_host: Some("https://loop.example.com".to_owned()),
            }),
            airtel,
            sandbox: true,
        };
        let mobile_money = Providers::new(settings, Arc::new(ManualClock::at(START))).expect("TLS can be set up");
        let house = House::boot(database, vec![payments::module_with(&mobile_money)], false).await;
        let stranger = house.owner.anonymous();
        let ports = Ports { mobile_money, ..Ports::default() };
        Self { stranger, mtn, ports, records: Records::of("payments", house) }
    }
    /// Everything in a list, page by page.
    pub async fn all(&self, resource: &str, filters: &[(&str, &str)]) -> Vec<Json> {
        let mut found = Vec::new();
        for page in 1.. {
            let mut request = self.owner.get(&format!("/api/v1/payments/{resource}/"));
            request =
                request.query("page_size", "100").query("page", &page.to_string()).query("ordering", "created_at");
            for (name, value) in filters {
                request = request.query(name, value);
            }
            let answer = request.await.expect_status(200).json();
            found.extend(answer["results"].as_array().expect("results").iter().cloned());
            if answer["next"].is_null() {
                break;
            }
        }
        found
    }
    /// An issued invoice over so many francs.
    pub async fn open_invoice(&self, amount: i64) -> String {
        let id = self.make("invoices", json!({"title": "Work", "amount": amount})).await;
        self.act("invoices", &id, "finalize", json!({})).await.expect_status(200);
        id
    }
    /// A pending payment of mobile money.
    pub async fn momo(&self, invoice: &str, method: &str, phone: &str) -> String {
        self.make("payments", json!({"invoice": invoice, "method": method, "payer_phone": phone})).await
    }
    pub async fn callback(&self, provider: &str, body: Json) -> Answer {
        self.stranger.post(&format!("/api/v1/payments/providers/{provider}/callback/")).json(&body).await
    }
    /// Does the jobs that are due.
    pub async fn work(&self) -> usize {
        self.records.work(&self.ports).await
    }
    /// `{account key: debit minus credit}` from the trial balance, which must balance in every currency.
    pub async fn trial_balance(&self) -> Vec<(String, String, i64)> {
        let answer = self.owner.get("/api/v1/payments/ledger/trial-balance/").await.expect_status(200).json();
        for currency in answer["currencies"].as_array().unwrap() {
            assert_eq!(currency["is_balanced"], true, "{answer:#}");
            assert_eq!(currency["debit"], currency["credit"]);
        }
        let rows = answer["accounts"].as_array().unwrap().iter();
        rows.map(|row| {
            let text = |name: &str| row[name].as_str().unwrap().to_owned();
            (text("code"), text("currency"), minor(&row["balance"]))
        })
        .collect()
    }
    /// What an account holds in francs, by its number.
    pub async fn account(&self, code: &str) -> i64 {
        let rows = self.trial_balance().await;
        rows.iter().find(|(known, currency, _)| known == code && currency == "RWF").map_or(0, |row| row.2)
    }
}

/// Minor units of an amount on the wire: its digits without the point.
pub fn minor(value: &Json) -> i64 {
    let text = value.as_str().unwrap_or_else(|| panic!("{value} is no amount"));
    text.replace('.', "").parse().unwrap_or_else(|_| panic!("{text} is no amount"))
}

/// Chance from a seed that a failure can show.
pub struct Dice(SeededRng);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(SeededRng::new(seed))
    }
    pub fn below(&self, n: u64) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_le_bytes(bytes) % n
    }
    pub fn one<'a, T>(&self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len() as u64) as usize]
    }
}
