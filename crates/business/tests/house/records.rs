//! Short words for what tests of one module do all the time, as owner of company 001.

use std::ops::Deref;

use loopd_testkit::{Answer, json};
use serde_json::Value as Json;

use super::House;

/// A house in which resources are those of one module.
pub struct Records {
    house: House,
    module: &'static str,
}

impl Deref for Records {
    type Target = House;

    fn deref(&self) -> &House {
        &self.house
    }
}

impl Records {
    pub fn of(module: &'static str, house: House) -> Self {
        Self { house, module }
    }
    pub async fn post(&self, resource: &str, body: Json) -> Answer {
        self.owner.post(&format!("/api/v1/{}/{resource}/", self.module)).json(&body).await
    }
    /// Makes a record and gives its id.
    pub async fn make(&self, resource: &str, body: Json) -> String {
        self.post(resource, body).await.expect_status(201).text_at("/id")
    }
    pub async fn act(&self, resource: &str, id: &str, action: &str, body: Json) -> Answer {
        self.post(&format!("{resource}/{id}/{action}"), body).await
    }
    pub async fn get(&self, resource: &str, id: &str) -> Json {
        self.owner.get(&format!("/api/v1/{}/{resource}/{id}/", self.module)).await.expect_status(200).json()
    }
    /// Gives the company these settings of the module.
    pub async fn set_up(&self, settings: Json) {
        let body = json!({"settings": {self.module: settings}});
        self.owner.patch("/api/v1/companies/001/").json(&body).await.expect_status(200);
    }
}
