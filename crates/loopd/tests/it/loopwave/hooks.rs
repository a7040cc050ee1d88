//! Webhooks: the documented events in the documented envelope, signed.

use loopd_kernel::webhook::sign;
use loopd_testkit::{each_engine, json};
use loopd_types::Secret;
use serde_json::Value;

use crate::support::{Receiver, World, eventually};

each_engine! {
    async fn events_come_in_their_envelope_and_are_signed(world: &World) {
        let owner = world.owner().await;
        let receiver = Receiver::start().await;
        let base = "/api/v1/loopwave/webhooks/";
        let body = json!({"url": receiver.url, "events": ["message.created", "session.status"]});
        let made = owner.post(base).json(&body).await.expect_status(201);
        assert_eq!(made.at("/events"), json!(["message.created", "session.status"]));
        let secret = Secret::new(made.text_at("/secret"));
        owner.post(base).json(&json!({"url": receiver.url, "events": ["x"]})).await.expect_field("events", "invalid_choice");
        let line = world.line(&owner, "250788000001").await;
        line.receive(&owner, "250788123456", "Muraho").await;
        let told = async || receiver.received().into_iter().filter(|it| it.header("x-loopwave-event") == "message.created").collect::<Vec<_>>();
        eventually("the message is told", async || { !told().await.is_empty() }).await;
        let delivery = told().await.remove(0);
        assert_eq!(delivery.header("x-loopwave-signature"), format!("sha256={}", sign(&secret, &[delivery.body.as_bytes()])));
        let envelope: Value = delivery.json();
        let mut names: Vec<&String> = envelope.as_object().expect("an object").keys().collect();
        names.sort();
        assert_eq!(names, ["data", "event", "timestamp"]);
        assert_eq!((&envelope["event"], &envelope["data"]["text"], &envelope["data"]["chatId"]), (&json!("message.created"), &json!("Muraho"), &json!("250788123456@s.whatsapp.net")));
        let at = envelope["timestamp"].as_str().expect("a time");
        assert!(at.len() == 24 && at.ends_with('Z'), "{at}");
        assert!(!delivery.body.contains("~veil"));
        let states: Vec<Value> = receiver.received().iter().filter(|it| it.header("x-loopwave-event") == "session.status").map(|it| it.json()["data"]["status"].clone()).collect();
        assert!(states.contains(&json!("ready")), "{states:?}");
        let one = format!("{base}{}/", made.text_at("/id"));
        owner.post(&format!("{one}disable/")).await.expect_status(200);
        assert_eq!(owner.patch(&one).json(&json!({"events": ["ticket.created"]})).await.expect_status(200).at("/events"), json!(["ticket.created"]));
        owner.post(&format!("{one}enable/")).await.expect_status(200);
        let agent = world.member(&owner, "ada", "staff").await;
        agent.get(base).await.expect_refusal(403, "permission_denied");
        owner.delete(&one).await.expect_status(204);
        owner.get(&one).await.expect_refusal(404, "not_found");
    }

    async fn an_endpoint_is_told_no_number_that_its_maker_may_not_see(world: &World) {
        let owner = world.owner().await;
        let developer = world.member(&owner, "ada", "developer").await;
        let (theirs, ours) = (Receiver::start().await, Receiver::start().await);
        for (actor, receiver, scheme) in [(&developer, &theirs, "loopwave"), (&developer, &theirs, "loop"), (&owner, &ours, "loop")] {
            let body = json!({"url": receiver.url, "events": ["loopwave.*"], "scheme": scheme});
            actor.post("/api/v1/webhook-endpoints/").json(&body).await.expect_status(201);
        }
        let line = world.line(&owner, "250788000001").await;
        line.receive(&owner, "250788123456", "Muraho").await;
        let about = |receiver: &Receiver| receiver.received().into_iter().map(|it| it.body).filter(|body| body.contains("Muraho")).collect::<Vec<_>>();
        eventually("both are told", async || { about(&theirs).len() >= 4 && about(&ours).len() >= 2 }).await;
        assert!(about(&theirs).iter().all(|body| !body.contains("8123456") && !body.contains("~veil")), "{:?}", about(&theirs));
        assert!(about(&ours).iter().all(|body| body.contains("250788123456") && !body.contains("~veil")), "{:?}", about(&ours));
        let deliveries = developer.get("/api/v1/webhook-deliveries/").query("page_size", "100").await.expect_status(200).json();
        for delivery in deliveries["results"].as_array().expect("a list") {
            let shown = developer.get(&format!("/api/v1/webhook-deliveries/{}/", delivery["id"].as_str().expect("an id"))).await.text();
            assert!(!shown.contains("8123456") && !shown.contains("~veil"), "{shown}");
        }
    }
}
