//! The world of the tests of CMS, chat, protector and AI, and short words.

use std::ops::Deref;
use std::sync::Arc;

use loopd_business::modules::{self, Ports};
use loopd_kernel::advisor::Advisor;
use loopd_store::{Value, View};
use loopd_testkit::{Boot, Client, Database, json};

use crate::house::{self, House, user_of};

pub use crate::house::{START, register};

/// All of the product's modules.
pub struct World(House);

impl Deref for World {
    type Target = House;

    fn deref(&self) -> &House {
        &self.0
    }
}

impl Boot for World {
    const NAME: &'static str = "content";

    async fn prepare(database: &Database) {
        house::prepare(database, modules::all()).await;
    }
    async fn boot(database: Database) -> Self {
        let house = House::boot(database, modules::all(), false).await;
        // once more, as at a second start
        modules::install(&house.engine).await.expect("modules install");
        Self(house)
    }
}

impl World {
    /// Somebody who is nobody.
    pub fn stranger(&self) -> Client {
        self.owner.anonymous()
    }

    /// A second server over the same database, whose model is this one; the owner there.
    pub async fn with_advisor(&self, advisor: Arc<dyn Advisor>) -> Client {
        self.beside(modules::all_with(advisor)).await
    }

    /// Makes somebody a member of company 001, with this role; signed in there, with their user's id.
    pub async fn member(&self, name: &str, role: &str) -> (Client, String) {
        let client = register(&self.owner, name).await.company("001");
        let user = user_of(&client).await;
        let body = json!({"user": user, "role": role});
        self.owner.post("/api/v1/memberships/").json(&body).await.expect_status(201);
        (client, user)
    }

    /// Ends company 001's trial of a product.
    pub async fn suspend(&self, product: &str) {
        let list = self.owner.get("/api/v1/product-subscriptions/").query("page_size", "100");
        let rows = list.await.expect_status(200).at("/results");
        let row =
            rows.as_array().and_then(|rows| rows.iter().find(|row| row["product"] == product)).expect("subscribed");
        let at = format!("/api/v1/product-subscriptions/{}/cancel/", row["id"].as_str().expect("an id"));
        self.owner.post(&at).await.expect_status(200);
    }

    /// Does the jobs that are due; how many there were.
    pub async fn work(&self) -> usize {
        self.0.work(&Ports::default()).await
    }

    /// The first column of the first row, as text.
    pub async fn look(&self, sql: &'static str, params: Vec<Value>) -> String {
        let found = self.kernel.db.read(View::System, move |reader| {
            Ok(reader.one(sql, &params, |row| match row.value(0)? {
                Value::Text(text) | Value::Json(text) => Ok(text),
                Value::Int(number) => Ok(number.to_string()),
                other => Ok(format!("{other:?}")),
            })?)
        });
        found.await.expect("the row can be read")
    }
}
