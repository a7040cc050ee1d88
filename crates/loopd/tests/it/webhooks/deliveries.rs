//! What is sent, how it is signed, and what is remembered of it.

use hmac::{Hmac, KeyInit as _, Mac as _};
use loopd_testkit::{each_engine, json};
use loopd_types::SECOND_US;
use sha2::Sha256;

use super::{APPOINTMENTS, DELIVERIES, ENDPOINTS, appointment, delivery, endpoint};
use crate::support::{Reaction, Received, Receiver, World};

/// Checks a signature as a receiver does, with nothing of ours: RFC 2104 by two crates that everybody has.
fn is_signed(received: &Received, secret: &str) -> bool {
    let header = received.header("loop-signature");
    let time = header.split(',').find_map(|part| part.strip_prefix("t=")).expect("a time");
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any key");
    mac.update(format!("{time}.{}", received.body).as_bytes());
    let expected: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    header.split(',').filter_map(|part| part.strip_prefix("v1=")).any(|signature| signature == expected)
}

each_engine! {
    async fn an_event_is_posted_signed_and_remembered_with_its_attempt(world: &World) {
        let owner = world.owner().await;
        let receiver = Receiver::start().await;
        let (id, secret) = endpoint(&owner, &receiver, json!({})).await;
        assert!(secret.starts_with("whsec_") && secret.len() > 40);
        receiver.react([Reaction::With(202, "x-trace: abc\r\n", "taken\0".to_owned())]);
        appointment(&owner, "Tea").await;
        let received = receiver.wait(1).await.remove(0);
        assert!(is_signed(&received, &secret), "{received:?}");
        let time = format!("t={},", world.kernel.now().seconds());
        assert!(received.header("loop-signature").starts_with(&time), "the time is that of the attempt");
        let event = received.json();
        assert_eq!((event["type"].as_str(), event["data"]["title"].as_str()), (Some("booking.appointments.created"), Some("Tea")));
        assert_eq!(received.header("loop-event-id"), event["id"]);
        assert_eq!(received.header("loop-event-type"), "booking.appointments.created");
        assert_eq!((received.header("content-type"), received.header("loop-attempt")), ("application/json", "1"));
        let in_log = owner.get(&format!("/api/v1/platform-events/{}/", event["position"])).await.expect_status(200);
        assert_eq!(in_log.text(), received.body, "the body is the event as the log tells it, byte for byte");

        let row = delivery(&owner, &id, "succeeded", 1).await;
        assert_eq!((&row["event"], &row["last_status"], received.header("loop-delivery-id")), (&event["id"], &json!(202), row["id"].as_str().unwrap()));
        let item = format!("{DELIVERIES}{}/", row["id"].as_str().unwrap());
        assert_eq!(owner.get(&item).await.expect_status(200).text_at("/body"), received.body);
        let attempts = owner.get(&format!("{item}attempts/")).await.expect_status(200).json();
        let attempt = &attempts["results"][0];
        assert_eq!((&attempts["count"], &attempt["number"], &attempt["status"]), (&json!(1), &json!(1), &json!(202)));
        assert_eq!((&attempt["response_body"], &attempt["response_headers"]["x-trace"]), (&json!("taken"), &json!("abc")));
        assert_eq!(attempt["request_headers"]["LOOP-Signature"], received.header("loop-signature"));
        assert_eq!((&attempt["url"], &attempt["address"], &attempt["error"]), (&json!(receiver.url), &json!("127.0.0.1"), &json!(null)));
        assert!(attempt["took_us"].as_i64().unwrap() > 0);
    }

    async fn only_what_an_endpoint_asked_for_is_sent_to_it(world: &World) {
        let owner = world.owner().await;
        let (appointments, exact, all) = (Receiver::start().await, Receiver::start().await, Receiver::start().await);
        endpoint(&owner, &appointments, json!({})).await;
        endpoint(&owner, &exact, json!({"events": ["booking.appointments.cancelled"]})).await;
        endpoint(&owner, &all, json!({"events": ["*"]})).await;
        let appointment = owner.make(APPOINTMENTS, json!({"title": "Tea"})).await;
        owner.make("/api/v1/workspaces/", json!({"name": "Huye"})).await;
        owner.post(&format!("{}{appointment}/cancel/", APPOINTMENTS)).json(&json!({})).await.expect_status(200);
        let kinds = |received: Vec<Received>| {
            let mut kinds: Vec<String> = received.iter().map(|one| one.header("loop-event-type").to_owned()).collect();
            kinds.sort();
            kinds
        };
        assert_eq!(kinds(all.wait(3).await), ["booking.appointments.cancelled", "booking.appointments.created", "core.workspace.created"]);
        assert_eq!(kinds(appointments.wait(2).await), ["booking.appointments.cancelled", "booking.appointments.created"]);
        assert_eq!(kinds(exact.wait(1).await), ["booking.appointments.cancelled"]);
    }

    async fn an_endpoint_is_told_no_more_than_its_editor_may_see(world: &World) {
        let owner = world.owner().await;
        let role = world.role(&owner, &["core.webhook-endpoints.*", "core.memberships.view", "booking.services.view"]).await;
        let member = world.member(&owner, "grace", &role).await;
        let (theirs, ours) = (Receiver::start().await, Receiver::start().await);
        endpoint(&member, &theirs, json!({"events": ["*"]})).await;
        endpoint(&owner, &ours, json!({"events": ["booking.*"]})).await;
        appointment(&owner, "Secret").await;
        owner.make("/api/v1/booking/services/", json!({"title": "Cut", "name": "Cut", "duration_minutes": 30, "price": "10.00"})).await;
        assert_eq!(ours.wait(2).await.len(), 2);
        // The owner's endpoint, which they may see, and the service; never the appointment between them.
        let received = theirs.wait(2).await;
        let mut kinds: Vec<_> = received.iter().map(|one| one.header("loop-event-type")).collect();
        kinds.sort_unstable();
        assert_eq!(kinds, ["booking.services.created", "core.webhook_endpoint.created"]);
        // Who sees some workspaces only cannot have the whole company told to them.
        let limited = world.member(&owner, "aline", &role).await;
        let place = owner.make("/api/v1/workspaces/", json!({"name": "Huye"})).await;
        owner.post(&format!("/api/v1/workspaces/{place}/add-member/")).json(&json!({"membership": limited.membership().await})).await.expect_status(200);
        limited.post(ENDPOINTS).json(&json!({"url": theirs.url})).await.expect_refusal(403, "permission_denied");
    }

    async fn a_rotated_secret_signs_beside_the_old_one_for_a_while(world: &World) {
        let owner = world.owner().await;
        let receiver = Receiver::start().await;
        let (id, old) = endpoint(&owner, &receiver, json!({})).await;
        let rotated = owner.post(&format!("{ENDPOINTS}{id}/rotate-secret/")).json(&json!({"overlap_seconds": 600})).await.expect_status(200);
        let new = rotated.text_at("/secret");
        assert_ne!(old, new);
        appointment(&owner, "one").await;
        let one = receiver.wait(1).await.remove(0);
        assert!(is_signed(&one, &old) && is_signed(&one, &new));
        world.clock.advance(601 * SECOND_US);
        appointment(&owner, "two").await;
        let two = receiver.wait(2).await.remove(1);
        assert!(!is_signed(&two, &old) && is_signed(&two, &new));
        let at_once = owner.post(&format!("{ENDPOINTS}{id}/rotate-secret/")).json(&json!({"overlap_seconds": 0})).await.expect_status(200);
        appointment(&owner, "three").await;
        let three = receiver.wait(3).await.remove(2);
        assert!(!is_signed(&three, &new) && is_signed(&three, &at_once.text_at("/secret")));
        for answer in [owner.get(ENDPOINTS).await, owner.get(&format!("{ENDPOINTS}{id}/")).await] {
            assert!(!answer.text().contains("whsec_"), "a secret is shown once");
        }
    }

    async fn a_test_is_sent_at_once_and_says_what_came_back(world: &World) {
        let owner = world.owner().await;
        let receiver = Receiver::start().await;
        let (id, secret) = endpoint(&owner, &receiver, json!({})).await;
        owner.post(&format!("{ENDPOINTS}{id}/disable/")).json(&json!({})).await.expect_status(200);
        receiver.react([Reaction::With(500, "", "not today".to_owned())]);
        let failed = owner.post(&format!("{ENDPOINTS}{id}/test/")).await.expect_status(200).json();
        assert_eq!((&failed["status"], &failed["attempt"]["status"], &failed["attempt"]["response_body"]), (&json!("failed"), &json!(500), &json!("not today")));
        let sent = owner.post(&format!("{ENDPOINTS}{id}/test/")).header("idempotency-key", "t-1").await.expect_status(200);
        assert_eq!(sent.at("/status"), "succeeded");
        let again = owner.post(&format!("{ENDPOINTS}{id}/test/")).header("idempotency-key", "t-1").await.expect_status(200);
        assert_eq!((again.at("/id"), again.header("idempotency-replayed")), (sent.at("/id"), Some("true")));
        let received = receiver.received();
        assert_eq!(received.len(), 2, "a repeat with the same key sends nothing");
        assert!(is_signed(&received[1], &secret));
        assert_eq!(received[1].json()["type"], "core.webhook_endpoint.test");
        let item = format!("{DELIVERIES}{}/", sent.text_at("/id"));
        assert_eq!(owner.get(&item).await.text_at("/body"), received[1].body);
        owner.post(&format!("{item}replay/")).json(&json!({})).await.expect_refusal(409, "test_delivery");
    }

    /// One company's receiver never answers; another's is served all the same.
    async fn a_receiver_that_hangs_holds_up_nobody_else(world: &World) {
        let (owner, stranger) = world.strangers().await;
        let (slow, quick) = (Receiver::start().await, Receiver::start().await);
        slow.always("/", Reaction::Wait);
        for _ in 0..4 {
            endpoint(&owner, &slow, json!({"concurrency": 16})).await;
        }
        for number in 0..30 {
            appointment(&owner, &format!("{number}")).await;
        }
        slow.wait(60).await;
        endpoint(&stranger, &quick, json!({})).await;
        appointment(&stranger, "mine").await;
        let received = quick.wait(1).await;
        assert_eq!(received[0].json()["company"], "002");
        assert!(slow.count() <= 64, "and no company has more than its share under way: {}", slow.count());
        slow.always("/", Reaction::Status(200));
        slow.go_on();
    }
}
