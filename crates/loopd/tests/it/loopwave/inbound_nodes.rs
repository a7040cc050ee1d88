//! Two nodes on one PostgreSQL take webhooks at once, the same ones and others, and one is killed amid them. Meta repeats what was not
//! acknowledged; every message is there once, with one effect, and every status is right.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use loopd_testkit::{Client, Database, Engine, json};
use loopd_types::{Clock as _, SystemClock};
use serde_json::Value;

use super::graph::{APP_SECRET, Graph, credentials, messages, signed};
use crate::support::{Backdoor, Program, eventually};

const PEOPLE: usize = 12;
/// Messages of each person while both nodes are asked, and after.
const EACH: usize = 12;
/// People who were answered by somebody of the shop, whose statuses come meanwhile.
const ANSWERED: usize = 5;

/// What calls the webhook: the nodes, while they are there.
struct Meta {
    nodes: [Client; 2],
    path: String,
    acknowledged: AtomicUsize,
}

impl Meta {
    /// Whether a node acknowledged a webhook; a node that is dead does not.
    async fn told(&self, node: usize, body: &Value) -> bool {
        let body = body.to_string();
        let request = self.nodes[node].post(&self.path).header("x-hub-signature-256", &signed(APP_SECRET, &body));
        let sent = tokio::spawn(async move { request.body("application/json", body).await.status });
        sent.await.is_ok_and(|status| status == 200)
    }

    /// Brings a webhook to one node, the other or both at once, and to the one that lives until it is acknowledged.
    async fn bring(&self, turn: usize, body: &Value) {
        let acknowledged = match turn % 3 {
            0 => {
                let (one, two) = tokio::join!(self.told(0, body), self.told(1, body));
                one && two
            }
            1 => self.told(0, body).await,
            _ => self.told(1, body).await,
        };
        if !acknowledged {
            assert!(self.told(1, body).await, "the node that lives acknowledges {body}");
        }
        self.acknowledged.fetch_add(1, Ordering::SeqCst);
    }
}

fn phone(person: usize) -> String {
    format!("2507881234{person:02}")
}

fn text(person: usize, turn: usize) -> Value {
    let now = SystemClock.now().seconds().to_string();
    let id = format!("wamid.in-{person}-{turn}");
    messages(
        &json!([{"from": phone(person), "id": id, "timestamp": now, "type": "text", "text": {"body": format!("Message {turn}")}}]),
        &json!(null),
    )
}

fn status(taken: &Value, status: &str) -> Value {
    let told = json!({
        "id": taken["wamid"], "status": status, "timestamp": SystemClock.now().seconds().to_string(), "recipient_id": taken["to"],
        "biz_opaque_callback_data": taken["biz_opaque_callback_data"],
    });
    messages(&json!(null), &json!([told]))
}

/// A shop that answers everything by a rule and opens a ticket for everybody who writes first.
async fn shop(owner: &Client) -> String {
    let numbers = "/api/v1/loopwave/numbers/";
    let made = owner.post(numbers).json(&credentials()).await.expect_status(201);
    owner.post(&format!("{numbers}{}/connect/", made.text_at("/id"))).await.expect_status(200);
    let intake = json!({"intake": {"new_chat_enabled": true}});
    owner.patch("/api/v1/loopwave/preferences/").json(&intake).await.expect_status(200);
    let rule = json!({"name": "All", "trigger": "all", "response": "One moment", "cooldown_minutes": 0});
    owner.post("/api/v1/loopwave/automations/").json(&rule).await.expect_status(201);
    format!("/webhooks/whatsapp/{}", made.text_at("/number"))
}

/// Somebody answers the first people; what Meta took of that.
async fn answers(owner: &Client, graph: &Graph) -> Vec<Value> {
    for person in 0..ANSWERED {
        let body = json!({"to": phone(person), "text": "Good morning"});
        owner.post("/api/v1/loopwave/chats/").json(&body).await.expect_status(201);
    }
    let taken = || {
        let is_answer = |it: &Value| it["text"]["body"].as_str().is_some_and(|text| text.contains("Good morning"));
        graph.taken().into_iter().filter(is_answer).collect::<Vec<_>>()
    };
    eventually("the answers went out", async || taken().len() == ANSWERED).await;
    taken()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_take_every_message_once_and_one_goes_on_when_the_other_is_killed() {
    let Some(database) = Database::empty(Engine::Postgres).await else { return };
    let graph = Graph::start().await;
    let settings = [("LOOP_WHATSAPP_ENGINES", "cloud"), ("LOOP_WHATSAPP_GRAPH_URL", graph.base.as_str())];
    let program = Program::fresh().with("LOOP_DATABASE_URL", database.url());
    let program = settings.into_iter().fold(program, |program, (name, value)| program.with(name, value));
    let (one, two) = (program.serve(), program.serve());
    let (owner, db) = (one.owner().await, Backdoor::to(&database).await);
    let theirs = owner.at(&two.base);
    let path = shop(&owner).await;
    let meta = Arc::new(Meta { nodes: [one.client(), two.client()], path, acknowledged: AtomicUsize::new(0) });
    for person in 0..PEOPLE {
        meta.bring(0, &text(person, 0)).await;
    }
    let answers = answers(&owner, &graph).await;

    let mut callers = Vec::new();
    for person in 0..PEOPLE {
        let meta = meta.clone();
        callers.push(tokio::spawn(async move {
            for turn in 1..=EACH {
                meta.bring(person + turn, &text(person, turn)).await;
            }
        }));
    }
    for (place, answer) in answers.into_iter().enumerate() {
        let meta = meta.clone();
        callers.push(tokio::spawn(async move {
            // Out of order and more than once; what comes last here was true first.
            for (turn, stage) in ["delivered", "sent", "read", "delivered", "read", "failed", "sent"].iter().enumerate()
            {
                meta.bring(place + turn, &status(&answer, stage)).await;
            }
        }));
    }
    let half = PEOPLE + PEOPLE * EACH / 2;
    eventually("half of it is acknowledged", async || meta.acknowledged.load(Ordering::SeqCst) >= half).await;
    one.kill();
    for caller in callers {
        caller.await.expect("everything is acknowledged in the end");
    }

    let people = i64::try_from(PEOPLE).expect("few");
    let received = i64::try_from(PEOPLE * (EACH + 1)).expect("few");
    let quiet = i64::try_from(PEOPLE - ANSWERED).expect("few");
    let one = async |sql: &'static str| db.numbers(sql).await[0];
    assert_eq!(one("SELECT COUNT(*) FROM wave_messages WHERE NOT from_me").await, received);
    assert_eq!(one("SELECT COUNT(DISTINCT wa_id) FROM wave_messages WHERE NOT from_me").await, received);
    for (sql, wanted) in [
        ("SELECT COUNT(*) FROM wave_chats", people),
        ("SELECT COUNT(*) FROM wave_contacts", people),
        ("SELECT COUNT(*) FROM wave_tickets", people),
        ("SELECT received_count FROM wave_numbers", received),
        ("SELECT CAST(SUM(many) AS BIGINT) FROM wave_report_sums WHERE what = 'received'", received),
        ("SELECT COUNT(*) FROM wave_chats WHERE unread_count = 13", quiet),
    ] {
        assert_eq!(one(sql).await, wanted, "{sql}");
    }
    let told = one("SELECT COUNT(*) FROM events WHERE kind = 'loopwave.messages.created'").await;
    assert_eq!(told, one("SELECT COUNT(*) FROM wave_messages").await, "each is told of once");
    // Each message was answered by the rule, or held back by one of its guards, and never both or twice.
    let decided = theirs.get("/api/v1/loopwave/automations/skips/").await.expect_status(200).json();
    let skipped: i64 = decided["skipped"].as_object().expect("reasons").values().filter_map(Value::as_i64).sum();
    let replied = decided["replied"].as_i64().expect("a number");
    assert_eq!(replied + skipped, received, "{decided}");
    assert_eq!(replied, one("SELECT COUNT(*) FROM wave_messages WHERE origin = 'automation'").await);
    assert!(replied > 0, "{decided}");
    let read = "SELECT COUNT(*) FROM wave_messages WHERE origin = 'agent' AND status = 'read' AND failure_code IS NULL";
    assert_eq!(one(read).await, i64::try_from(ANSWERED).expect("few"));
    let taken = graph.taken();
    let intents: BTreeSet<String> = taken.iter().map(|it| it["biz_opaque_callback_data"].to_string()).collect();
    assert_eq!(intents.len(), taken.len(), "nothing went out twice: {taken:#?}");
    graph.is_content();
}
