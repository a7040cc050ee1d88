//! Numbers linked as devices, as far as every build knows them. The engine's own tests stand in `crates/whatsapp-web` (`make web`).

use loopd_testkit::{each_engine, json};

use crate::support::World;

each_engine! {
    async fn a_number_that_this_server_cannot_link_is_refused_with_what_to_do(world: &World) {
        let owner = world.owner().await;
        let body = json!({"label": "Sales", "engine": "web", "accepts_ban_risk": true});
        let refused = owner.post("/api/v1/loopwave/numbers/").json(&body).await.expect_field("engine", "engine_not_available");
        let words = refused.json().to_string();
        // A build that can link them was not told to.
        let what = if cfg!(feature = "whatsapp-web") { "LOOP_WHATSAPP_ENGINES" } else { "--features whatsapp-web" };
        assert!(words.contains(what), "{words}");
        owner.post("/api/v1/loopwave/numbers/").json(&json!({"label": "Sales", "engine": "pigeon"})).await.expect_field("engine", "invalid_choice");
    }
}
