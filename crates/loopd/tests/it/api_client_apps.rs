//! `/api/v1/api-client-apps/` and `X-LOOP-APP-ID`.

use loopd_testkit::{assert_json, each_engine, json};

use crate::support::World;

const APPOINTMENTS: &str = "/api/v1/booking/appointments/";
const APPS: &str = "/api/v1/api-client-apps/";

each_engine! {
    async fn the_two_known_apps_are_there_from_the_start(world: &World) {
        let owner = world.owner().await;
        for app in ["loop-booking-web", "loop-admin"] {
            let found = owner.get(APPS).query("app_id", app).await.expect_status(200);
            assert_json!(found.json(), {"count": 1, "results": [{"app_id": app, "company": null}]});
            let item = format!("{APPS}{}/", found.text_at("/results/0/id"));
            owner.get(&item).await.expect_status(200);
            // Everybody's to see, nobody's to change.
            owner.patch(&item).json(&json!({"name": "Mine"})).await.expect_refusal(404, "not_found");
            owner.post(&format!("{item}disable/")).await.expect_refusal(404, "not_found");
            owner.delete(&item).await.expect_refusal(404, "not_found");
        }
    }

    async fn an_app_that_is_switched_off_is_refused_at_the_next_request(world: &World) {
        let owner = world.owner().await;
        let id = owner.make(APPS, json!({"app_id": "my-till", "name": "Till", "kind": "mobile"})).await;
        let till = owner.with_header("x-loop-app-id", "my-till");
        till.get(APPOINTMENTS).await.expect_status(200);
        owner.post(&format!("{APPS}{id}/disable/")).await.expect_status(200);
        till.get(APPOINTMENTS).await.expect_refusal(403, "app_disabled");
        till.post(APPOINTMENTS).json(&json!({"title": "x"})).await.expect_refusal(403, "app_disabled");
        owner.get(APPOINTMENTS).await.expect_status(200);
        owner.post(&format!("{APPS}{id}/enable/")).await.expect_status(200);
        till.get(APPOINTMENTS).await.expect_status(200);
    }

    async fn unknown_apps_are_let_through_unless_the_company_wants_known_ones_only(world: &World) {
        let (owner, stranger) = world.strangers().await;
        let unknown = owner.with_header("x-loop-app-id", "nobody-knows-me");
        unknown.get(APPOINTMENTS).await.expect_status(200);
        let strict = json!({"settings": {"known_apps_only": true}});
        owner.patch("/api/v1/companies/001/").json(&strict).await.expect_status(200);
        unknown.get(APPOINTMENTS).await.expect_refusal(403, "app_disabled");
        owner.with_header("x-loop-app-id", "loop-booking-web").get(APPOINTMENTS).await.expect_status(200);
        stranger.with_header("x-loop-app-id", "nobody-knows-me").get(APPOINTMENTS).await.expect_status(200);
        owner.make(APPS, json!({"app_id": "nobody-knows-me", "name": "Now known"})).await;
        unknown.get(APPOINTMENTS).await.expect_status(200);
    }

    async fn another_companys_app_cannot_be_seen_nor_tell_that_it_exists(world: &World) {
        let (owner, stranger) = world.strangers().await;
        let id = owner.make(APPS, json!({"app_id": "secret-app", "name": "Secret"})).await;
        assert_json!(stranger.get(APPS).query("app_id", "secret-app").await.expect_status(200).json(), {"count": 0});
        stranger.get(&format!("{APPS}{id}/")).await.expect_refusal(404, "not_found");
        let (theirs, unknown) = (
            stranger.with_header("x-loop-app-id", "secret-app").get(APPOINTMENTS).await,
            stranger.with_header("x-loop-app-id", "no-such-app").get(APPOINTMENTS).await,
        );
        assert_eq!((theirs.status, theirs.body), (unknown.status, unknown.body));
    }

    async fn an_app_id_is_a_slug(world: &World) {
        let owner = world.owner().await;
        for bad in ["", "Has Blank", "ÄÖ", &"x".repeat(81)] {
            owner.post(APPS).json(&json!({"app_id": bad, "name": "x"})).await.expect_refusal(400, "validation_error");
        }
    }
}
