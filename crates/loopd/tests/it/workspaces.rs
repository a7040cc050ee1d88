//! `/api/v1/workspaces/`

use loopd_testkit::{assert_json, each_engine, json};

use crate::support::World;

const APPOINTMENTS: &str = "/api/v1/booking/appointments/";

each_engine! {
    async fn the_default_workspace_stays(world: &World) {
        let owner = world.owner().await;
        let id = owner.get("/api/v1/workspaces/?is_default=true").await.expect_status(200).text_at("/results/0/id");
        owner.post(&format!("/api/v1/workspaces/{id}/archive/")).await.expect_refusal(409, "default_workspace");
        owner.delete(&format!("/api/v1/workspaces/{id}/")).await.expect_refusal(405, "method_not_allowed");
    }

    async fn an_archived_workspace_takes_no_more_requests(world: &World) {
        let owner = world.owner().await;
        let id = owner.make("/api/v1/workspaces/", json!({"name": "Huye", "kind": "branch"})).await;
        let inside = owner.with_header("x-workspace-id", &id);
        inside.post(APPOINTMENTS).json(&json!({"title": "x"})).await.expect_status(201);
        assert_json!(owner.post(&format!("/api/v1/workspaces/{id}/archive/")).await.expect_status(200).json(), {"status": "archived"});
        inside.get(APPOINTMENTS).await.expect_refusal(403, "workspace_access_denied");
        owner.post(&format!("/api/v1/workspaces/{id}/restore/")).await.expect_status(200);
        inside.get(APPOINTMENTS).await.expect_status(200);
    }

    async fn a_slug_is_taken_within_its_company_only(world: &World) {
        let (owner, stranger) = world.strangers().await;
        let body = json!({"name": "Huye", "slug": "huye"});
        owner.post("/api/v1/workspaces/").json(&body).await.expect_status(201);
        owner.post("/api/v1/workspaces/").json(&body).await.expect_field("slug", "unique");
        stranger.post("/api/v1/workspaces/").json(&body).await.expect_status(201);
    }

    async fn a_list_in_a_workspace_shows_that_workspace(world: &World) {
        let owner = world.owner().await;
        let (one, two) = (
            owner.make("/api/v1/workspaces/", json!({"name": "One"})).await,
            owner.make("/api/v1/workspaces/", json!({"name": "Two"})).await,
        );
        for (workspace, title) in [(&one, "In one"), (&two, "In two")] {
            let inside = owner.with_header("x-workspace-id", workspace);
            inside.post(APPOINTMENTS).json(&json!({"title": title})).await.expect_status(201);
        }
        let inside = owner.with_header("x-workspace-id", &one);
        let rows = inside.get(APPOINTMENTS).await.expect_status(200).json();
        let titles: Vec<_> = rows["results"].as_array().expect("rows").iter().map(|row| row["title"].clone()).collect();
        assert!(titles.contains(&json!("In one")) && !titles.contains(&json!("In two")), "{titles:?}");
    }
}
