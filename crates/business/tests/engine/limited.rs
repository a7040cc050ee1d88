//! Members who are limited to workspaces: what they may make and change, and what rules do on their behalf.

use loopd_testkit::{each_engine, json};
use loopd_types::Uuid;

use crate::people::limited_to;
use crate::support::World;

const APPOINTMENTS: &str = "/api/v1/booking/appointments/";

async fn workspace(world: &World, name: &str) -> Uuid {
    let made = world.owner.post("/api/v1/workspaces/").json(&json!({"name": name})).await.expect_status(201);
    Uuid::parse_str(&made.text_at("/id")).unwrap()
}

each_engine! {
    async fn nothing_becomes_the_whole_companys_by_a_limited_member(world: &World) {
        let (north, south) = (workspace(world, "North").await, workspace(world, "South").await);
        let limited = limited_to(world, "limited", &[north]).await;
        let body = json!({"title": "Mine"});
        let made = limited.post(APPOINTMENTS).json(&body).await.expect_status(201).json();
        assert_eq!(made["workspace"], json!(north.to_string()));
        let at = format!("{APPOINTMENTS}{}/", made["id"].as_str().unwrap());
        for body in [json!({"title": "x", "workspace": null}), json!({"title": "x", "workspace": south.to_string()})] {
            let code = if body["workspace"].is_null() { "null" } else { "does_not_exist" };
            limited.post(APPOINTMENTS).json(&body).await.expect_status(400).expect_field("workspace", code);
            limited.patch(&at).json(&body).await.expect_status(400).expect_field("workspace", code);
            limited.put(&at).json(&body).await.expect_status(400).expect_field("workspace", code);
            let operations = json!({"operations": [{"op": "create", "body": body}]});
            let bulk = limited.post(&format!("{APPOINTMENTS}bulk/")).json(&operations).await;
            bulk.expect_status(400).expect_field("operations.0.workspace", code);
        }
        limited.patch(&at).json(&json!({"title": "Still mine"})).await.expect_status(200);
        world.owner.patch(&at).json(&json!({"workspace": null})).await.expect_status(200);
        limited.patch(&at).json(&json!({"title": "No more"})).await.expect_refusal(403, "workspace_access_denied");
    }

    async fn who_has_several_workspaces_names_one(world: &World) {
        let (north, south) = (workspace(world, "North").await, workspace(world, "South").await);
        let limited = limited_to(world, "limited", &[north, south]).await;
        limited.post(APPOINTMENTS).json(&json!({})).await.expect_field("workspace", "required");
        let named = json!({"title": "x", "workspace": south.to_string()});
        limited.post(APPOINTMENTS).json(&named).await.expect_status(201);
        let inside = limited.workspace(north).post(APPOINTMENTS).json(&json!({"title": "x"})).await.expect_status(201);
        assert_eq!(inside.text_at("/workspace"), north.to_string());
    }

    async fn what_is_the_whole_companys_is_read_only_to_them(world: &World) {
        let north = workspace(world, "North").await;
        let limited = limited_to(world, "limited", &[north]).await;
        let body = json!({"title": "Everybody's", "external_id": "e-1", "starts_at": "2026-07-01T08:00:00Z"});
        let made = world.owner.post(APPOINTMENTS).json(&body).await.expect_status(201).json();
        let at = format!("{APPOINTMENTS}{}/", made["id"].as_str().unwrap());
        limited.get(&at).await.expect_status(200);
        assert_eq!(limited.get(&format!("{at}actions/")).await.expect_status(200).json()["actions"], json!([]));
        let operations = json!({"operations": [{"op": "delete", "id": made["id"]}]});
        for refused in [
            limited.patch(&at).json(&json!({"title": "x"})).await,
            limited.put(&at).json(&json!({"title": "x"})).await,
            limited.delete(&at).await,
            limited.post(&format!("{at}confirm/")).await,
            limited.put(&format!("{APPOINTMENTS}by-external-id/e-1/")).json(&json!({"title": "x"})).await,
            limited.post(&format!("{APPOINTMENTS}bulk/")).json(&operations).await,
        ] {
            refused.expect_refusal(403, "workspace_access_denied");
        }
        world.owner.delete(&at).await.expect_status(204);
        limited.post(&format!("{at}restore/")).await.expect_refusal(403, "workspace_access_denied");
        assert_eq!(world.owner.post(&format!("{at}restore/")).await.expect_status(200).json()["title"], "Everybody's");
    }

    async fn rules_name_what_the_acting_person_does_not_see(world: &World) {
        let (north, south) = (workspace(world, "North").await, workspace(world, "South").await);
        let limited = limited_to(world, "limited", &[north]).await;
        let there = world.owner.workspace(south);
        let tea = json!({"title": "Tea", "sku": "TEA", "price": 500});
        let tea = there.post("/api/v1/shop/products/").json(&tea).await.expect_status(201).text_at("/id");
        let order = json!({"lines": [{"product": tea}]});
        let number = there.post("/api/v1/shop/orders/").json(&order).await.expect_status(201).text_at("/number");
        limited.post("/api/v1/shop/quick-sale/").json(&json!({"product": tea})).await.expect_field("product", "does_not_exist");
        let again = limited.post("/api/v1/shop/same-again/").json(&json!({"number": number})).await.expect_status(201).json();
        assert_eq!((&again["lines"][0]["product"], &again["workspace"]), (&json!(tea), &json!(south.to_string())));
    }
}
