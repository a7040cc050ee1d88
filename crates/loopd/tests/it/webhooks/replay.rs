//! Sending again: one delivery, a range, and what was missed.

use loopd_testkit::{Client, each_engine, json};
use loopd_types::SECOND_US;

use super::{DELIVERIES, ENDPOINTS, appointment, delivery, endpoint};
use crate::support::{Reaction, Receiver, World, eventually};

async fn replay(owner: &Client, id: &str, since: &str, which: &str) {
    let body = json!({"since": since, "which": which});
    owner.post(&format!("{ENDPOINTS}{id}/replay/")).json(&body).await.expect_status(202);
}

/// Waits until nothing is under way, and gives the titles that came, sorted.
async fn titles(owner: &Client, receiver: &Receiver, id: &str, count: usize) -> Vec<String> {
    let received = receiver.wait(count).await;
    eventually("nothing waits", async || {
        owner.get(&format!("{DELIVERIES}?endpoint={id}&status=pending")).await.at("/count") == 0
    })
    .await;
    let mut titles: Vec<_> =
        received.iter().map(|one| one.json()["data"]["title"].as_str().unwrap().to_owned()).collect();
    titles.sort();
    titles
}

each_engine! {
    async fn one_delivery_is_sent_again_with_the_same_body(world: &World) {
        let owner = world.owner().await;
        let receiver = Receiver::start().await;
        let (id, _) = endpoint(&owner, &receiver, json!({})).await;
        appointment(&owner, "Tea").await;
        let row = delivery(&owner, &id, "succeeded", 1).await;
        let item = format!("{DELIVERIES}{}/", row["id"].as_str().unwrap());
        let again = owner.post(&format!("{item}replay/")).json(&json!({})).await.expect_status(200).json();
        assert_eq!((&again["status"], &again["finished_at"]), (&json!("pending"), &json!(null)));
        let received = receiver.wait(2).await;
        assert_eq!(received[0].body, received[1].body);
        assert_eq!(received[0].header("loop-delivery-id"), received[1].header("loop-delivery-id"));
        assert_eq!(received[1].header("loop-attempt"), "2");
        delivery(&owner, &id, "succeeded", 2).await;
        owner.post(&format!("{ENDPOINTS}{id}/disable/")).json(&json!({})).await.expect_status(200);
        owner.post(&format!("{item}replay/")).json(&json!({})).await.expect_refusal(409, "endpoint_disabled");
    }

    async fn one_that_waits_is_sent_now(world: &World) {
        let owner = world.owner().await;
        let receiver = Receiver::start().await;
        receiver.react([Reaction::Status(500)]);
        let (id, _) = endpoint(&owner, &receiver, json!({})).await;
        appointment(&owner, "Tea").await;
        let row = delivery(&owner, &id, "pending", 1).await;
        owner.post(&format!("{DELIVERIES}{}/replay/", row["id"].as_str().unwrap())).json(&json!({})).await.expect_status(200);
        delivery(&owner, &id, "succeeded", 2).await;
    }

    async fn a_range_is_sent_again_what_failed_what_was_missed_or_all(world: &World) {
        let owner = world.owner().await;
        let receiver = Receiver::start().await;
        let (id, _) = endpoint(&owner, &receiver, json!({})).await;
        let since = world.kernel.now().to_string();
        world.clock.advance(SECOND_US);
        receiver.react([Reaction::Status(400)]);
        appointment(&owner, "failed").await;
        delivery(&owner, &id, "failed", 1).await;
        appointment(&owner, "sent").await;
        assert_eq!(titles(&owner, &receiver, &id, 2).await, ["failed", "sent"]);
        owner.post(&format!("{ENDPOINTS}{id}/disable/")).json(&json!({})).await.expect_status(200);
        appointment(&owner, "missed").await;
        owner.post(&format!("{ENDPOINTS}{id}/replay/")).json(&json!({"since": since})).await.expect_refusal(409, "endpoint_disabled");
        owner.post(&format!("{ENDPOINTS}{id}/enable/")).json(&json!({})).await.expect_status(200);

        replay(&owner, &id, &since, "failed").await;
        assert_eq!(titles(&owner, &receiver, &id, 3).await, ["failed", "failed", "sent"]);
        replay(&owner, &id, &since, "missing").await;
        assert_eq!(titles(&owner, &receiver, &id, 4).await, ["failed", "failed", "missed", "sent"]);
        replay(&owner, &id, &since, "all").await;
        assert_eq!(titles(&owner, &receiver, &id, 7).await, ["failed", "failed", "failed", "missed", "missed", "sent", "sent"]);
        // A range is a range.
        world.clock.advance(SECOND_US);
        replay(&owner, &id, &world.kernel.now().to_string(), "all").await;
        appointment(&owner, "after").await;
        assert_eq!(titles(&owner, &receiver, &id, 8).await.len(), 8);
        for (body, field) in [(json!({}), "since"), (json!({"since": "x"}), "since"), (json!({"since": since, "which": "some"}), "which")] {
            let answer = owner.post(&format!("{ENDPOINTS}{id}/replay/")).json(&body).await.expect_refusal(400, "validation_error");
            assert!(answer.at("/error/details")[field].is_array(), "{}", answer.text());
        }
    }
}
