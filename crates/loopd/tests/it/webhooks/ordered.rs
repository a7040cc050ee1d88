//! Ordered endpoints: strictly one after another.

use loopd_testkit::{each_engine, json};
use loopd_types::SECOND_US;

use super::{ENDPOINTS, appointment, delivery, endpoint};
use crate::support::{Reaction, Receiver, World, eventually};

each_engine! {
    async fn one_that_fails_holds_up_what_comes_after_it(world: &World) {
        let owner = world.owner().await;
        let receiver = Receiver::start().await;
        let (id, _) = endpoint(&owner, &receiver, json!({"ordered": true})).await;
        receiver.react([Reaction::Status(200), Reaction::Status(500), Reaction::Status(500)]);
        for title in ["one", "two", "three", "four"] {
            appointment(&owner, title).await;
        }
        receiver.wait(2).await;
        let list = || async { owner.get(&format!("/api/v1/webhook-deliveries/?endpoint={id}&ordering=position")).await.expect_status(200).json() };
        eventually("the second has failed once", async || list().await["results"][1]["attempts"] == 1).await;
        world.clock.advance(10 * SECOND_US);
        receiver.wait(3).await;
        eventually("the second has failed twice", async || list().await["results"][1]["attempts"] == 2).await;
        let rows = list().await;
        assert_eq!((&rows["results"][2]["attempts"], &rows["results"][3]["attempts"]), (&json!(0), &json!(0)), "nothing passes it");
        world.clock.advance(60 * SECOND_US);
        let received = receiver.wait(6).await;
        let titles: Vec<_> = received.iter().map(|one| one.json()["data"]["title"].as_str().unwrap().to_owned()).collect();
        assert_eq!(titles, ["one", "two", "two", "two", "three", "four"]);
    }

    async fn many_come_in_the_logs_order(world: &World) {
        let owner = world.owner().await;
        let receiver = Receiver::start().await;
        endpoint(&owner, &receiver, json!({"ordered": true, "concurrency": 16})).await;
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let owner = owner.clone();
                tokio::spawn(async move {
                    for number in 0..10 {
                        appointment(&owner, &format!("{writer}-{number}")).await;
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.await.expect("writers end");
        }
        let positions: Vec<i64> = receiver.wait(40).await.iter().map(|one| one.position()).collect();
        let mut sorted = positions.clone();
        sorted.sort_unstable();
        assert_eq!(positions, sorted);
    }

    async fn one_that_is_given_up_lets_the_next_go(world: &World) {
        let owner = world.owner().await;
        let receiver = Receiver::start().await;
        let (id, _) = endpoint(&owner, &receiver, json!({"ordered": true})).await;
        receiver.react([Reaction::Status(422), Reaction::Status(200)]);
        appointment(&owner, "one").await;
        appointment(&owner, "two").await;
        receiver.wait(2).await;
        delivery(&owner, &id, "succeeded", 1).await;
    }

    async fn an_endpoint_that_becomes_ordered_goes_on_in_order(world: &World) {
        let owner = world.owner().await;
        let receiver = Receiver::start().await;
        let (id, _) = endpoint(&owner, &receiver, json!({})).await;
        receiver.always("/", Reaction::Status(500));
        for title in ["one", "two", "three"] {
            appointment(&owner, title).await;
        }
        receiver.wait(3).await;
        let pending = async || owner.get(&format!("/api/v1/webhook-deliveries/?endpoint={id}&status=pending&attempts=1")).await.at("/count");
        eventually("all have failed once", async || pending().await == 3).await;
        owner.patch(&format!("{ENDPOINTS}{id}/")).json(&json!({"ordered": true})).await.expect_status(200);
        receiver.always("/", Reaction::Status(200));
        world.clock.advance(60 * SECOND_US);
        let received = receiver.wait(6).await;
        let titles: Vec<_> = received[3..].iter().map(|one| one.json()["data"]["title"].as_str().unwrap().to_owned()).collect();
        assert_eq!(titles, ["one", "two", "three"]);
    }
}
