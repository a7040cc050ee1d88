//! The world in which a shop has numbers of the Cloud API.

use hmac::{Hmac, KeyInit as _, Mac as _};
use loopd_testkit::{Answer, Boot, Client, Database, json};
use loopd_types::{Clock as _, hex};
use serde_json::Value;
use sha2::Sha256;

use super::{APP_SECRET, Graph, LINE, TOKEN, VERIFY, WABA};
use crate::loopwave::stage::Line;
use crate::support::{Actor, World};

/// The world with a Graph API of its own, and numbers of the Cloud API.
pub struct Shop {
    world: World,
    pub graph: Graph,
}

impl std::ops::Deref for Shop {
    type Target = World;
    fn deref(&self) -> &World {
        &self.world
    }
}

impl Boot for Shop {
    const NAME: &'static str = World::NAME;

    async fn prepare(database: &Database) {
        World::prepare(database).await;
    }

    async fn boot(database: Database) -> Self {
        let graph = Graph::start().await;
        let settings = [("LOOP_WHATSAPP_ENGINES", "sandbox,cloud"), ("LOOP_WHATSAPP_GRAPH_URL", graph.base.as_str())];
        let world = World::start(database, &settings).await;
        Self { world, graph }
    }

    async fn close(self) {
        self.world.close().await;
        self.graph.is_content();
    }
}

impl Shop {
    /// A number of the Cloud API that is ready.
    pub async fn cloud(&self, owner: &Actor) -> Line {
        let base = "/api/v1/loopwave/numbers/";
        let made = owner.post(base).json(&credentials()).await.expect_status(201);
        let line = Line { id: made.text_at("/id"), number: made.text_at("/number") };
        let connected = owner.post(&format!("{base}{}/connect/", line.id)).await.expect_status(200);
        assert_eq!(connected.text_at("/state"), "ready");
        line
    }

    /// Meta tells the number's webhook something.
    pub async fn tell(&self, line: &Line, body: &Value) -> Answer {
        let body = body.to_string();
        let signature = signed(APP_SECRET, &body);
        self.hook(line).header("x-hub-signature-256", &signature).body("application/json", body).await
    }

    pub fn hook(&self, line: &Line) -> loopd_testkit::Request {
        self.client().post(&format!("/webhooks/whatsapp/{}", line.number))
    }

    /// A text of a customer, in Meta's words.
    pub fn text(&self, id: &str, from: &str, text: &str) -> Value {
        let now = self.clock.now().seconds().to_string();
        json!({"from": from, "id": id, "timestamp": now, "type": "text", "text": {"body": text}})
    }

    /// A status of a message that the Graph API took.
    pub fn status(&self, taken: &Value, status: &str) -> Value {
        json!({
            "id": taken["wamid"], "status": status, "timestamp": self.clock.now().seconds().to_string(), "recipient_id": taken["to"],
            "biz_opaque_callback_data": taken["biz_opaque_callback_data"],
        })
    }

    /// A message through the public API, and its id.
    pub async fn say(&self, key: &Client, body: &Value) -> String {
        key.post("/api/v1/messages").json(body).await.expect_status(202).text_at("/id")
    }
}

/// What makes a number of the Cloud API.
pub fn credentials() -> Value {
    json!({
        "label": "Sales", "engine": "cloud", "phone_number_id": LINE, "waba_id": WABA, "access_token": TOKEN,
        "app_secret": APP_SECRET, "verify_token": VERIFY,
    })
}

/// How Meta signs a body.
pub fn signed(secret: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length");
    mac.update(body.as_bytes());
    format!("sha256={}", hex(&mac.finalize().into_bytes()))
}

/// A change of one field of the account, in Meta's envelope.
pub fn envelope(field: &str, value: &Value) -> Value {
    json!({"object": "whatsapp_business_account", "entry": [{"id": WABA, "time": 1_782_000_000, "changes": [{"field": field, "value": value}]}]})
}

/// Messages and statuses of the number.
pub fn messages(messages: &Value, statuses: &Value) -> Value {
    let mut value = json!({
        "messaging_product": "whatsapp", "metadata": {"display_phone_number": "250788000001", "phone_number_id": LINE},
    });
    if !messages.is_null() {
        value["messages"] = messages.clone();
        value["contacts"] = json!([{"profile": {"name": "Aline"}, "wa_id": messages[0]["from"]}]);
    }
    if !statuses.is_null() {
        value["statuses"] = statuses.clone();
    }
    envelope("messages", &value)
}
