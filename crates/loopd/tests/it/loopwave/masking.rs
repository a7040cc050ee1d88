//! Nobody who may not see customers' numbers is sent one.

use loopd_testkit::{each_engine, json};

use crate::support::World;

each_engine! {
    async fn the_event_log_shows_numbers_to_administrators_only(world: &World) {
        let owner = world.owner().await;
        let agent = world.member(&owner, "ada", "developer").await;
        let line = world.line(&owner, "250788000001").await;
        line.receive(&owner, "250788123456", "Hi").await;
        let of = async |actor: &crate::support::Actor| {
            let log = actor.get("/api/v1/platform-events/").query("type", "loopwave.*").await.expect_status(200);
            log.text()
        };
        let (all, masked) = (of(&owner).await, of(&agent).await);
        assert!(all.contains("250788123456@s.whatsapp.net") && !all.contains("~veil"), "{all}");
        assert!(masked.contains("+250•••••••56") && !masked.contains("8123456") && !masked.contains("~veil"), "{masked}");
        owner.patch("/api/v1/loopwave/preferences/").json(&json!({"mask_numbers": false})).await.expect_status(200);
        agent.patch("/api/v1/loopwave/preferences/").json(&json!({"mask_numbers": false})).await.expect_refusal(403, "permission_denied");
    }
}
