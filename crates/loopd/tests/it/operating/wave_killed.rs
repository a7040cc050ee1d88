//! The server ends, as by `kill -9`, at every step of handing a message to the Cloud API: after the next start nothing went twice, what went
//! is known to have gone, and of what nobody knows WhatsApp's own word tells.

use loopd_testkit::{Answer, Client, json};
use serde_json::Value;

use crate::loopwave::graph::{APP_SECRET, Graph, credentials, messages, signed};
use crate::support::{Program, Served, eventually};

/// Where it ends, how many messages the Graph API has then, and what the message is called after the next start.
const STEPS: [(&str, usize, &str); 4] =
    [("taken-up", 0, "unknown"), ("handing", 0, "unknown"), ("handed", 1, "unknown"), ("written", 1, "sent")];

async fn told(served: &Served, number: &str, body: &Value) -> Answer {
    let body = body.to_string();
    let hook = served.client().post(&format!("/webhooks/whatsapp/{number}"));
    hook.header("x-hub-signature-256", &signed(APP_SECRET, &body)).body("application/json", body).await
}

async fn message(owner: &Client, chat: &str, id: &str) -> Value {
    let thread = owner.get(&format!("/api/v1/loopwave/chats/{chat}/messages/")).await.expect_status(200).json();
    let found = thread["results"].as_array().and_then(|all| all.iter().find(|it| it["id"] == id).cloned());
    found.expect("the message is there")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_at_any_step_of_a_hand_over_sends_nothing_twice() {
    for (program, _database) in Program::on_every_engine().await {
        let graph = Graph::start().await;
        let mut program = program.with("LOOP_WHATSAPP_ENGINES", "cloud").with("LOOP_WHATSAPP_GRAPH_URL", &graph.base);
        let served = program.serve();
        let owner = served.owner().await;
        let base = "/api/v1/loopwave/numbers/";
        let made = owner.post(base).json(&credentials()).await.expect_status(201);
        let (id, number) = (made.text_at("/id"), made.text_at("/number"));
        owner.post(&format!("{base}{id}/connect/")).await.expect_status(200);
        drop(served);
        let mut gone = 0;
        for (count, (step, went, after)) in (1..).zip(STEPS) {
            let customer = format!("25078812345{count}");
            program = program.with("LOOPD_FAILPOINT", step);
            let served = program.serve();
            let owner = served.owner_again().await;
            let hi = json!({"from": customer, "id": format!("A{count}"), "timestamp": now(), "type": "text", "text": {"body": "Hi"}});
            told(&served, &number, &messages(&json!([hi]), &json!(null))).await.expect_status(200);
            let chats = owner.get("/api/v1/loopwave/chats/").await.expect_status(200).json();
            let chat = chats["results"][0]["id"].as_str().expect("a chat").to_owned();
            let thread = format!("/api/v1/loopwave/chats/{chat}/messages/");
            let words = json!({"text": format!("At {step}")});
            let (writer, path) = (owner.clone(), thread.clone());
            // The server may be gone before it has answered; the message was durable before that.
            let _ = tokio::spawn(async move { writer.post(&path).json(&words).await.status }).await;
            assert!(!served.ended().success(), "{step}");
            assert_eq!(graph.taken().len(), gone + went, "{step}");

            program = program.with("LOOPD_FAILPOINT", "");
            let served = program.serve();
            let owner = served.owner_again().await;
            let shown = owner.get(&thread).await.expect_status(200);
            let said = shown.text_at("/results/0/id");
            eventually(&format!("after {step} it is {after}"), async || {
                message(&owner, &chat, &said).await["status"] == after
            })
            .await;
            // Something else that is sent now goes; what may have gone does not go along.
            let next = owner.post(&thread).json(&json!({"text": format!("After {step}")})).await.expect_status(202);
            let next = next.text_at("/id");
            eventually("the next one goes", async || message(&owner, &chat, &next).await["status"] == "sent").await;
            let taken = graph.taken();
            assert_eq!(taken.len(), gone + went + 1, "{step}: sent again");
            if went == 1 {
                let first = &taken[gone];
                assert_eq!(first["biz_opaque_callback_data"], said.as_str());
                let status = json!({
                    "id": first["wamid"], "status": "delivered", "timestamp": now(), "recipient_id": customer,
                    "biz_opaque_callback_data": said,
                });
                told(&served, &number, &messages(&json!(null), &json!([status]))).await.expect_status(200);
                assert_eq!(message(&owner, &chat, &said).await["status"], "delivered", "{step}");
                gone += 2;
            } else {
                // It never went: a person says that it shall go again, and it is the same message.
                owner.post(&format!("{thread}{said}/retry/")).json(&json!({})).await.expect_status(202);
                eventually("it went", async || message(&owner, &chat, &said).await["status"] == "sent").await;
                assert_eq!(graph.taken().last().map(|it| it["biz_opaque_callback_data"].clone()), Some(json!(said)));
                gone += 2;
            }
            assert_eq!(graph.taken().len(), gone, "{step}");
        }
        graph.is_content();
    }
}

/// Unix seconds, as Meta writes them.
fn now() -> String {
    loopd_types::Clock::now(&loopd_types::SystemClock).seconds().to_string()
}
