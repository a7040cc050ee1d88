//! What a company chooses is checked when it is written, so that a slip does not go unnoticed.

use loopd_testkit::{Answer, each_engine, json};
use serde_json::Value as Json;

use crate::support::World;

async fn put_down(world: &World, settings: Json) -> Answer {
    world.owner.patch("/api/v1/companies/001/").json(&json!({"settings": settings})).await
}

each_engine! {
    async fn a_setting_of_the_wrong_kind_or_name_is_refused_by_its_path(world: &World) {
        let good = json!({"booking": {"public": false, "slot_step_min": 20}, "known_apps_only": false, "our_own": {"x": 1}});
        put_down(world, good.clone()).await.expect_status(200);
        for (booking, field, code) in [
            (json!({"public": "false"}), "settings.booking.public", "invalid"),
            (json!({"public": null}), "settings.booking.public", "null"),
            (json!({"slot_step_min": "20"}), "settings.booking.slot_step_min", "invalid"),
            (json!({"slot_step_min": 1}), "settings.booking.slot_step_min", "min_value"),
            (json!({"reminder_min": -1}), "settings.booking.reminder_min", "min_value"),
            (json!({"reminder_min": 1_000_000}), "settings.booking.reminder_min", "max_value"),
            (json!({"remind_min": 60}), "settings.booking.remind_min", "unknown_setting"),
            (json!(["public"]), "settings.booking", "invalid"),
        ] {
            put_down(world, json!({"booking": booking})).await.expect_field(field, code);
        }
        // every complaint at once, and nothing was written
        let many = put_down(world, json!({"booking": {"public": 1, "nonsense": 1}, "known_apps_only": "yes"})).await.expect_refusal(400, "validation_error");
        assert_eq!(many.at("/error/details").as_object().unwrap().len(), 3, "{}", many.text());
        assert_eq!(world.owner.get("/api/v1/companies/001/").await.at("/settings"), good);
        let whole = json!({"name": "Owner Ltd", "settings": {"booking": {"public": 0}}});
        world.owner.put("/api/v1/companies/001/").json(&whole).await.expect_field("settings.booking.public", "invalid");
    }

    async fn a_product_says_what_can_be_chosen(world: &World) {
        let product = world.owner.get("/api/v1/products/booking/").await.expect_status(200).json();
        let settings = &product["settings"];
        assert_eq!(settings["properties"]["public"]["type"], "boolean", "{settings}");
        assert_eq!(settings["properties"]["slot_step_min"]["minimum"], 5);
        assert_eq!(settings["additionalProperties"], false);
    }
}
