//! The world of booking's tests, and short words for what they do all the time.

use std::ops::Deref;

use loopd_business::define::Module;
use loopd_business::modules::Ports;
use loopd_testkit::{Answer, Boot, Database, json};
use serde_json::Value as Json;

use crate::house::records::Records;
use crate::house::{self, House};

pub use crate::house::{START, register};

pub struct World(Records);

fn modules() -> Vec<Module> {
    let mut modules = loopd_business::modules::all();
    modules.retain(|module| module.slug == "booking");
    modules
}

impl Deref for World {
    type Target = Records;

    fn deref(&self) -> &Records {
        &self.0
    }
}

impl Boot for World {
    const NAME: &'static str = "booking";

    async fn prepare(database: &Database) {
        house::prepare(database, modules()).await;
    }
    async fn boot(database: Database) -> Self {
        World(Records::of("booking", House::boot(database, modules(), false).await))
    }
}

impl World {
    pub async fn book(&self, body: Json) -> Answer {
        let mut whole = json!({"title": "Visit"});
        for (name, value) in body.as_object().expect("a body is an object") {
            whole[name] = value.clone();
        }
        self.owner.post("/api/v1/booking/appointments/").json(&whole).await
    }
    pub async fn booked(&self, body: Json) -> Json {
        self.book(body).await.expect_status(201).json()
    }
    pub async fn set_zone(&self, zone: &str) {
        self.owner.patch("/api/v1/companies/001/").json(&json!({"timezone": zone})).await.expect_status(200);
    }
    /// Beginnings that are free, as texts without seconds.
    pub async fn free(&self, query: &[(&str, &str)]) -> Vec<String> {
        let mut request = self.owner.get("/api/v1/booking/availability/");
        for (name, value) in query {
            request = request.query(name, value);
        }
        let answer = request.await.expect_status(200).json();
        starts(&answer)
    }
    /// Does the jobs that are due.
    pub async fn work(&self) -> usize {
        self.0.work(&Ports::default()).await
    }
    /// How many events of this kind the company has.
    pub async fn events(&self, kind: &'static str) -> usize {
        self.0.events(kind).await.len()
    }
}

/// `2026-06-23T08:00` of each free time.
pub fn starts(answer: &Json) -> Vec<String> {
    let slots = answer["slots"].as_array().expect("slots").iter();
    slots.map(|slot| slot["starts_at"].as_str().expect("a text")[..16].to_owned()).collect()
}
