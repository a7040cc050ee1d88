//! How long events are kept, and what a reader hears who comes too late.

use loopd_testkit::{each_engine, json};
use loopd_types::DAY_US;

use super::EVENTS;
use crate::support::{Receiver, World, eventually};

each_engine! {
    async fn old_events_are_forgotten_and_late_readers_are_told(world: &World) {
        let owner = world.owner().await;
        let receiver = Receiver::start().await;
        owner.make("/api/v1/webhook-endpoints/", json!({"url": receiver.url, "events": ["booking.*"]})).await;
        for number in 0..3 {
            owner.make("/api/v1/booking/appointments/", json!({"title": format!("Old {number}")})).await;
        }
        receiver.wait(3).await;
        let last = owner.get(&format!("{EVENTS}?limit=1000")).await.expect_status(200).at("/cursor").as_i64().expect("a cursor");
        world.clock.advance(29 * DAY_US);
        // Times move on: who was signed in signs in again.
        let owner = world.sign_in("owner@example.com", "001").await;
        owner.make("/api/v1/booking/appointments/", json!({"title": "New"})).await;
        receiver.wait(4).await;
        world.clock.advance(2 * DAY_US);
        let owner = world.sign_in("owner@example.com", "001").await;
        eventually("the daily job forgot what is old", async || {
            owner.get(&format!("{EVENTS}{last}/")).await.status == 410
        })
        .await;
        owner.get(&format!("{EVENTS}1/")).await.expect_refusal(410, "events_expired");
        let refusal = owner.get(&format!("{EVENTS}?after=1")).await.expect_refusal(410, "events_expired");
        let go_on = refusal.at("/error/details/after").as_i64().expect("where to go on");
        assert_eq!(go_on, last);
        // From the beginning is a cursor as well: what is gone from there is gone for whoever reads on.
        let refusal = owner.get(&format!("{EVENTS}?after=0")).await.expect_refusal(410, "events_expired");
        assert_eq!(refusal.at("/error/details/after"), last);
        owner.get(&format!("{EVENTS}stream/")).header("last-event-id", "1").await.expect_refusal(410, "events_expired");
        for query in [format!("after={go_on}"), "type=booking.*".to_owned()] {
            let page = owner.get(&format!("{EVENTS}?{query}")).await.expect_status(200);
            assert_eq!(page.at("/results/0/data/title"), "New");
        }
        let deliveries = owner.get("/api/v1/webhook-deliveries/").await.expect_status(200).json();
        assert_eq!(deliveries["count"], 1, "deliveries go with their events: {deliveries:#}");
    }
}
