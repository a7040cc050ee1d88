//! What these tests stand in: a company with a sandbox number that is ready, keys, and customers who write.

use loopd_kernel::{Kernel, Tenant};
use loopd_store::Tx;
use loopd_testkit::{Client, json};
use loopd_types::{CompanyCode, Result, SECOND_US, Uuid};
use loopd_wave::number::Number;
use serde_json::Value;

use crate::support::{Actor, World, eventually};

/// A linked number of the sandbox.
pub struct Line {
    /// Of its row.
    pub id: String,
    /// What the API calls it.
    pub number: String,
}

impl World {
    /// A key of the actor's company with these scopes.
    pub async fn wave_key(&self, owner: &Actor, scopes: &[&str]) -> Client {
        let body = json!({"name": "Program", "scopes": scopes});
        let made = owner.post("/api/v1/loopwave/api-keys/").json(&body).await.expect_status(201);
        self.client().with_token(&made.text_at("/key"))
    }

    /// A sandbox number that a simulated telephone has linked.
    pub async fn line(&self, owner: &Actor, phone: &str) -> Line {
        let base = "/api/v1/loopwave/numbers/";
        let made = owner.post(base).json(&json!({"label": "Sales", "engine": "sandbox"})).await.expect_status(201);
        let line = Line { id: made.text_at("/id"), number: made.text_at("/number") };
        let shown = owner.post(&format!("{base}{}/connect/", line.id)).await.expect_status(200);
        assert_eq!(shown.text_at("/state"), "qr");
        let scanned = owner.post(&format!("{base}{}/sandbox/scan/", line.id)).json(&json!({"phone": phone})).await;
        assert_eq!(scanned.expect_status(200).text_at("/state"), "ready");
        line
    }

    /// A message of the public API, once it has come this far.
    pub async fn message_at(&self, key: &Client, chat: &str, id: &str, status: &str) -> Value {
        let path = format!("/api/v1/chats/{chat}/messages");
        let found = async || {
            let page = key.get(&path).await.expect_status(200).json();
            page["data"].as_array().expect("a list").iter().find(|it| it["id"] == id).cloned().expect("the message")
        };
        eventually(&format!("message {id} is {status}"), async || {
            self.clock.advance(SECOND_US);
            found().await["status"] == status
        })
        .await;
        found().await
    }
}

impl Line {
    /// What an engine does with this line, in one transaction.
    pub async fn act(
        &self,
        world: &World,
        owner: &Actor,
        work: impl Fn(&mut Tx<'_>, &Kernel, &Tenant, &Number) -> Result<()> + Send + 'static,
    ) {
        let company = CompanyCode::parse(&owner.code).expect("a code").0;
        let access = world.kernel.company_access(company).await.expect("a read").expect("a company");
        let (tenant, kernel) = (Tenant::system(access, "a test"), world.kernel.clone());
        let id = Uuid::parse_str(&self.id).expect("an id");
        let done = world.kernel.db.write(tenant.view(), move |tx| {
            let number = loopd_wave::number::get(tx, tenant.company, id)?;
            work(tx, &kernel, &tenant, &number)
        });
        done.await.expect("an engine's work");
    }

    /// A customer writes.
    pub async fn receive(&self, owner: &Actor, from: &str, text: &str) -> Value {
        self.receive_as(owner, json!({"from": from, "text": text})).await
    }

    /// As [`Line::receive`], with all that the sandbox takes.
    pub async fn receive_as(&self, owner: &Actor, body: Value) -> Value {
        let path = format!("/api/v1/loopwave/numbers/{}/sandbox/receive/", self.id);
        owner.post(&path).json(&body).await.expect_status(200).json()
    }
}
