//! What fails: tried again with growing pauses, given up, switched off.

use loopd_testkit::{each_engine, json};
use loopd_types::{DAY_US, HOUR_US, SECOND_US};

use super::{DELIVERIES, ENDPOINTS, appointment, delivery, endpoint, state};
use crate::support::{Reaction, Receiver, World, eventually};

each_engine! {
    async fn what_may_pass_is_tried_again_with_the_same_body_until_it_succeeds(world: &World) {
        let owner = world.owner().await;
        let receiver = Receiver::start().await;
        let (id, _) = endpoint(&owner, &receiver, json!({})).await;
        receiver.react([Reaction::Status(500), Reaction::Hangup, Reaction::With(429, "retry-after: 1000\r\n", String::new()), Reaction::Status(204)]);
        appointment(&owner, "Tea").await;
        let mut row = delivery(&owner, &id, "pending", 1).await;
        assert_eq!((&row["last_status"], &row["last_error"]), (&json!(500), &json!("status 500")));
        state(&owner, &id, "it is known to fail", |row| !row["failing_since"].is_null()).await;
        world.clock.advance(10 * SECOND_US);
        row = delivery(&owner, &id, "pending", 2).await;
        assert_eq!(row["last_status"], json!(null));
        assert!(row["last_error"].as_str().unwrap().starts_with("no answer"), "{row}");
        world.clock.advance(60 * SECOND_US);
        row = delivery(&owner, &id, "pending", 3).await;
        let wanted = world.kernel.now().plus(1000 * SECOND_US).to_string();
        assert_eq!(row["next_attempt_at"], wanted, "the receiver asked for so much time");
        world.clock.advance(1001 * SECOND_US);
        row = delivery(&owner, &id, "succeeded", 4).await;
        assert_eq!((&row["next_attempt_at"], &row["last_error"]), (&json!(null), &json!(null)));
        let received = receiver.received();
        assert!(received.iter().all(|one| one.body == received[0].body && one.header("loop-event-id") == received[0].header("loop-event-id")));
        assert_eq!(received.iter().map(|one| one.header("loop-attempt")).collect::<Vec<_>>(), ["1", "2", "3", "4"]);
        let attempts = owner.get(&format!("{DELIVERIES}{}/attempts/?ordering=number", row["id"].as_str().unwrap())).await.expect_status(200).json();
        assert_eq!(attempts["results"].as_array().unwrap().iter().map(|attempt| attempt["status"].clone()).collect::<Vec<_>>(), [json!(500), json!(null), json!(429), json!(204)]);
        state(&owner, &id, "it is well again", |row| row["failing_since"].is_null() && !row["last_success_at"].is_null()).await;
    }

    async fn a_last_word_is_not_argued_with(world: &World) {
        let owner = world.owner().await;
        let receiver = Receiver::start().await;
        let (id, _) = endpoint(&owner, &receiver, json!({})).await;
        receiver.react([Reaction::With(302, "location: http://127.0.0.1:1/\r\n", String::new())]);
        appointment(&owner, "Tea").await;
        let row = delivery(&owner, &id, "failed", 1).await;
        assert_eq!(row["last_error"], "status 302; redirects are not followed");
        receiver.react([Reaction::Status(400)]);
        appointment(&owner, "Tea").await;
        let failed = format!("{DELIVERIES}?endpoint={id}&status=failed");
        eventually("both have failed", async || owner.get(&failed).await.expect_status(200).at("/count") == 2).await;
        world.clock.advance(2 * DAY_US);
        let owner = world.sign_in("owner@example.com", "001").await;
        appointment(&owner, "Coffee").await;
        receiver.wait(3).await;
        delivery(&owner, &id, "succeeded", 1).await;
        assert_eq!(receiver.count(), 3, "neither was sent again");
    }

    async fn a_receiver_that_is_gone_is_not_called_again(world: &World) {
        let owner = world.owner().await;
        let receiver = Receiver::start().await;
        let (id, _) = endpoint(&owner, &receiver, json!({})).await;
        receiver.react([Reaction::Status(410)]);
        appointment(&owner, "Tea").await;
        let row = state(&owner, &id, "it is switched off", |row| row["status"] == "disabled").await;
        assert_eq!(row["disabled_reason"], "gone");
        appointment(&owner, "Coffee").await;
        let events = owner.get("/api/v1/platform-events/?type=core.webhook_endpoint.disabled").await.expect_status(200).json();
        assert_eq!((&events["results"][0]["data"]["reason"], &events["results"][0]["actor"]), (&json!("gone"), &json!(null)));
        let log = owner.get("/api/v1/audit-logs/?resource=webhook-endpoints&action=disable").await.expect_status(200).json();
        assert_eq!(log["results"][0]["reason"], "webhook deliveries");
        let letters = world.superuser().await.get("/api/v1/mail-messages/").await.expect_status(200).json();
        let told = letters["results"].as_array().unwrap().iter().any(|letter| letter["template"] == "webhook-disabled" && letter["to"] == owner.email);
        assert!(told, "its maker is told by mail: {letters:#}");
        owner.post(&format!("{ENDPOINTS}{id}/enable/")).json(&json!({})).await.expect_status(200);
        appointment(&owner, "Water").await;
        let received = receiver.wait(2).await;
        assert_eq!(received[1].json()["data"]["title"], "Water", "what happened while it was off is not sent by itself");
    }

    async fn after_a_day_it_is_given_up_and_after_days_of_failure_switched_off(world: &World) {
        let owner = world.owner().await;
        let receiver = Receiver::start().await;
        receiver.always("/", Reaction::Status(503));
        let (id, _) = endpoint(&owner, &receiver, json!({})).await;
        appointment(&owner, "Tea").await;
        for (attempts, hours) in (1..11).zip([2, 2, 2, 2, 2, 2, 3, 6, 11, 11]) {
            let owner = world.sign_in("owner@example.com", "001").await;
            delivery(&owner, &id, "pending", attempts).await;
            world.clock.advance(hours * HOUR_US);
            eventually("the next attempt is made", async || receiver.count() > attempts as usize).await;
        }
        let owner = world.sign_in("owner@example.com", "001").await;
        let row = delivery(&owner, &id, "failed", 11).await;
        assert_eq!((&row["next_attempt_at"], &row["last_status"]), (&json!(null), &json!(503)));
        assert_eq!(owner.get(&format!("{ENDPOINTS}{id}/")).await.at("/status"), "enabled");
        world.clock.advance(4 * DAY_US);
        let owner = world.sign_in("owner@example.com", "001").await;
        appointment(&owner, "Coffee").await;
        let row = state(&owner, &id, "it is switched off", |row| row["status"] == "disabled").await;
        assert_eq!(row["disabled_reason"], "failing");
        let count = receiver.count();
        world.clock.advance(DAY_US / 4);
        let owner = world.sign_in("owner@example.com", "001").await;
        receiver.always("/", Reaction::Status(200));
        owner.post(&format!("{ENDPOINTS}{id}/enable/")).json(&json!({})).await.expect_status(200);
        // What waited is sent when it is switched on again.
        let received = receiver.wait(count + 1).await;
        assert_eq!(received[count].json()["data"]["title"], "Coffee");
        delivery(&owner, &id, "succeeded", 2).await;
    }

    async fn what_waits_for_a_deleted_endpoint_is_cancelled(world: &World) {
        let owner = world.owner().await;
        let receiver = Receiver::start().await;
        receiver.react([Reaction::Status(500)]);
        let (id, _) = endpoint(&owner, &receiver, json!({})).await;
        appointment(&owner, "Tea").await;
        delivery(&owner, &id, "pending", 1).await;
        owner.delete(&format!("{ENDPOINTS}{id}/")).await.expect_status(204);
        let row = delivery(&owner, &id, "cancelled", 1).await;
        owner.post(&format!("{DELIVERIES}{}/replay/", row["id"].as_str().unwrap())).json(&json!({})).await.expect_refusal(404, "not_found");
    }
}
