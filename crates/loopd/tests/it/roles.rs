//! Who may do what: `/roles/matrix/`, `/permissions/mine/`, and roles in one workspace.

use loopd_testkit::{assert_json, each_engine, json};
use serde_json::Value;

use crate::support::World;

const APPOINTMENTS: &str = "/api/v1/booking/appointments/";
const MINE: &str = "/api/v1/permissions/mine/";

/// What an answer of `/permissions/mine/` says of one permission.
fn of<'v>(answer: &'v Value, permission: &str) -> &'v Value {
    let rows = answer["permissions"].as_array().expect("permissions");
    rows.iter().find(|row| row["permission"] == permission).unwrap_or_else(|| panic!("{permission} in {answer}"))
}

each_engine! {
    async fn the_matrix_says_what_every_role_allows_and_what_one_may_give(world: &World) {
        let owner = world.owner().await;
        let role = world.role(&owner, &["booking.*", "!booking.appointments.delete"]).await;
        let admin = world.member(&owner, "adam", "admin").await;
        world.member(&owner, "carl", &role).await;
        let matrix = admin.get("/api/v1/roles/matrix/").await.expect_status(200).json();
        let roles = |permission: &str| {
            let rows = matrix["permissions"].as_array().expect("rows");
            rows.iter().find(|row| row["permission"] == permission).map(|row| row["roles"].clone()).expect(permission)
        };
        assert_eq!(roles("core.companies.delete"), json!(["owner"]));
        assert_eq!(roles("core.memberships.create"), json!(["admin", "owner"]));
        let delete = roles("booking.appointments.delete");
        assert!(!delete.as_array().expect("roles").contains(&json!(role)) && delete.as_array().expect("roles").contains(&json!("manager")));
        assert!(roles("booking.appointments.action:confirm").as_array().expect("roles").contains(&json!(role)));
        let head = |slug: &str| matrix["roles"].as_array().expect("roles").iter().find(|head| head["slug"] == slug).cloned().expect(slug);
        assert_json!(head("owner"), {"is_system": true, "members": 1, "grantable": false});
        assert_json!(head(&role), {"is_system": false, "members": 1, "grantable": true});
        let staff = world.member(&owner, "stan", "staff").await;
        staff.get("/api/v1/roles/matrix/").await.expect_refusal(403, "permission_denied");
    }

    async fn everybody_can_ask_what_they_may_do_and_why(world: &World) {
        let owner = world.owner().await;
        let staff = world.member(&owner, "stan", "staff").await;
        let answer = staff.get(MINE).await.expect_status(200).json();
        assert_json!(answer, {"company": "001", "workspace": null, "role": "staff"});
        assert_json!(of(&answer, "booking.appointments.create"), {"allowed": true, "because": "role"});
        assert_json!(of(&answer, "booking.appointments.delete"), {"allowed": false, "because": "not_given"});
        assert_json!(of(&answer, "core.roles.update"), {"allowed": false, "because": "denied"});
        let (_, key) = world.key(&owner, &["booking.*.view"]).await;
        let by_key = key.get(MINE).await.expect_status(200).json();
        assert_json!(of(&by_key, "booking.appointments.view"), {"allowed": true, "because": "role"});
        assert_json!(of(&by_key, "booking.appointments.create"), {"allowed": false, "because": "key"});
        let one = staff.get(MINE).query("permission", "booking.appointments.delete").await.expect_status(200).json();
        assert_json!(one, {"permissions": [{"permission": "booking.appointments.delete", "allowed": false}]});
        staff.get(MINE).query("permission", "*").await.expect_field("permission", "invalid");
        world.person("nobody").await.get(MINE).await.expect_refusal(403, "company_access_denied");
        // What it says is what happens.
        for (method, permission) in [("create", true), ("delete", false)] {
            assert_eq!(of(&answer, &format!("booking.appointments.{method}"))["allowed"], json!(permission));
        }
        let id = staff.make(APPOINTMENTS, json!({"title": "x"})).await;
        staff.delete(&format!("{APPOINTMENTS}{id}/")).await.expect_refusal(403, "permission_denied");
    }

    async fn a_role_in_a_workspace_adds_to_the_company_s_there_and_nowhere_else(world: &World) {
        let owner = world.owner().await;
        let viewer = world.member(&owner, "vera", "viewer").await;
        let (north, south) = (
            owner.make("/api/v1/workspaces/", json!({"name": "North"})).await,
            owner.make("/api/v1/workspaces/", json!({"name": "South"})).await,
        );
        let membership = owner.get("/api/v1/memberships/").query("user", &viewer.user).await.text_at("/results/0/id");
        for (workspace, role) in [(&north, "admin"), (&south, "")] {
            let body = json!({"membership": membership, "role": role});
            owner.post(&format!("/api/v1/workspaces/{workspace}/add-member/")).json(&body).await.expect_status(200);
        }
        let in_north = viewer.with_header("x-workspace-id", &north);
        let answer = in_north.get(MINE).await.expect_status(200).json();
        assert_json!(answer, {"workspace": north, "role": "viewer"});
        assert_json!(of(&answer, "booking.appointments.create"), {"allowed": true, "because": "workspace_role"});
        assert_json!(of(&answer, "core.memberships.create"), {"allowed": false});
        in_north.post(APPOINTMENTS).json(&json!({"title": "North"})).await.expect_status(201);
        viewer.with_header("x-workspace-id", &south).post(APPOINTMENTS).json(&json!({"title": "South"})).await.expect_refusal(403, "permission_denied");
        viewer.post(APPOINTMENTS).json(&json!({"title": "Company"})).await.expect_refusal(403, "permission_denied");
        let members = owner.get(&format!("/api/v1/workspaces/{north}/members/")).await.expect_status(200).json();
        assert_json!(members, {"count": 2, "results": [
            {"email": "owner@example.com", "role": "owner", "workspace_role": null, "all_workspaces": true},
            {"email": "vera@example.com", "role": "viewer", "workspace_role": "admin", "all_workspaces": false},
        ]});
        let found = owner.get(&format!("/api/v1/workspaces/{north}/members/")).query("workspace_role", "admin").await.expect_status(200);
        assert_eq!(found.at("/count"), json!(1));
        world.register("other").await.get(&format!("/api/v1/workspaces/{north}/members/")).await.expect_refusal(404, "not_found");
        // The role goes with the membership of the workspace, at once.
        let body = json!({"membership": membership});
        owner.post(&format!("/api/v1/workspaces/{north}/remove-member/")).json(&body).await.expect_status(200);
        in_north.post(APPOINTMENTS).json(&json!({"title": "North"})).await.expect_refusal(403, "workspace_access_denied");
    }

    async fn nobody_takes_away_what_they_do_not_hold_by_changing_a_role(world: &World) {
        let owner = world.owner().await;
        let director = world.role(&owner, &["*", "!core.billing.*"]).await;
        let clerk = world.role(&owner, &["core.roles.*", "core.memberships.*", "core.workspaces.*", "booking.*"]).await;
        let (dora, carl) = (world.member(&owner, "dora", &director).await, world.member(&owner, "carl", &clerk).await);
        let id = |slug: String| {
            let owner = owner.clone();
            async move { owner.get("/api/v1/roles/").query("slug", &slug).await.text_at("/results/0/id") }
        };
        let theirs = id(director.clone()).await;
        carl.patch(&format!("/api/v1/roles/{theirs}/")).json(&json!({"permissions": ["booking.*.view"]})).await.expect_refusal(403, "permission_denied");
        dora.get("/api/v1/cms/pages/").await.expect_status(200);
        let own = id(clerk).await;
        carl.patch(&format!("/api/v1/roles/{own}/")).json(&json!({"description": "Clerks"})).await.expect_status(200);
        carl.patch(&format!("/api/v1/roles/{own}/")).json(&json!({"permissions": ["*"]})).await.expect_refusal(403, "permission_denied");
        // A member who holds more in one workspace is above them there, too.
        let vera = world.member(&owner, "vera", "viewer").await;
        let membership = owner.get("/api/v1/memberships/").query("user", &vera.user).await.text_at("/results/0/id");
        let workspace = owner.make("/api/v1/workspaces/", json!({"name": "North"})).await;
        let body = json!({"membership": membership, "role": director});
        owner.post(&format!("/api/v1/workspaces/{workspace}/add-member/")).json(&body).await.expect_status(200);
        carl.post(&format!("/api/v1/memberships/{membership}/suspend/")).await.expect_refusal(403, "permission_denied");
        owner.post(&format!("/api/v1/memberships/{membership}/suspend/")).await.expect_status(200);
    }
}
