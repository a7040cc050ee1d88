//! Who may do what: roles at every door, and members who are limited to workspaces.

use loopd_store::{View, params};
use loopd_testkit::{Client, each_engine, json};
use loopd_types::{CompanyId, Uuid};

use crate::house::user_of;
use crate::support::{World, register};

const APPOINTMENTS: &str = "/api/v1/booking/appointments/";
const ORDERS: &str = "/api/v1/shop/orders/";

/// Somebody with a company of their own who is also a member of 001, with the id of that membership.
pub async fn member(owner: &Client, name: &str, role: &str) -> (Client, Uuid) {
    let person = register(owner, name).await;
    let body = json!({"user": user_of(&person).await, "role": role});
    let made = owner.post("/api/v1/memberships/").json(&body).await.expect_status(201);
    (person.company("001"), Uuid::parse_str(&made.text_at("/id")).unwrap())
}

/// A member of 001 who is limited to these workspaces.
pub async fn limited_to(world: &World, name: &str, workspaces: &[Uuid]) -> Client {
    let (limited, membership) = member(&world.owner, name, "manager").await;
    let workspaces = workspaces.to_vec();
    let limit = world.kernel.db.write(View::Company(CompanyId(1)), move |tx| {
        let all = "UPDATE memberships SET all_workspaces = FALSE WHERE company_id = 1 AND id = $1";
        tx.execute(all, &params![membership])?;
        for workspace in &workspaces {
            let sql = "INSERT INTO membership_workspaces (company_id, membership_id, workspace_id) VALUES (1, $1, $2)";
            tx.execute(sql, &params![membership, *workspace])?;
        }
        Ok(())
    });
    limit.await.unwrap();
    // whatever the server remembered of this member is forgotten with the next change of the membership
    let path = format!("/api/v1/memberships/{membership}/");
    world.owner.patch(&path).json(&json!({"title": "Limited"})).await.expect_status(200);
    limited
}

each_engine! {
    async fn every_door_asks_for_its_permission(world: &World) {
        let owner = &world.owner;
        let made = owner.post(APPOINTMENTS).json(&json!({"title": "One", "starts_at": "2026-07-01T08:00:00Z"})).await.json();
        let at = format!("{APPOINTMENTS}{}/", made["id"].as_str().unwrap());
        let (viewer, _) = member(owner, "viewer", "viewer").await;
        viewer.get(APPOINTMENTS).await.expect_status(200);
        viewer.get(&at).await.expect_status(200);
        let allowed = viewer.get(&format!("{at}actions/")).await.expect_status(200).json();
        assert_eq!(allowed["actions"], json!([]));
        let operations = json!({"operations": [{"op": "update", "id": made["id"], "body": {}}]});
        for refused in [
            viewer.post(APPOINTMENTS).json(&json!({"title": "x"})).await,
            viewer.patch(&at).json(&json!({"title": "x"})).await,
            viewer.put(&format!("{APPOINTMENTS}by-external-id/a/")).json(&json!({"title": "x"})).await,
            viewer.delete(&at).await,
            viewer.post(&format!("{at}confirm/")).await,
            viewer.post(&format!("{at}restore/")).await,
            viewer.post(&format!("{APPOINTMENTS}bulk/")).json(&operations).await,
            viewer.get(APPOINTMENTS).query("deleted", "true").await,
        ] {
            refused.expect_refusal(403, "permission_denied");
        }
        let (staff, _) = member(owner, "staff", "staff").await;
        staff.post(&format!("{at}confirm/")).await.expect_status(200);
        let order = staff.post(ORDERS).json(&json!({})).await.expect_status(201).json();
        let order = format!("{ORDERS}{}/", order["id"].as_str().unwrap());
        // to cancel an order is no routine
        staff.post(&format!("{order}cancel/")).json(&json!({"reason": "x"})).await.expect_refusal(403, "permission_denied");
        staff.delete(&order).await.expect_refusal(403, "permission_denied");
        owner.post(&format!("{order}cancel/")).json(&json!({"reason": "x"})).await.expect_status(200);
    }

    async fn what_is_offered_is_what_the_door_takes(world: &World) {
        let owner = &world.owner;
        let role = json!({"name": "Desk", "slug": "desk", "permissions": ["booking.appointments.*", "!booking.appointments.action:confirm"]});
        owner.post("/api/v1/roles/").json(&role).await.expect_status(201);
        let (desk, _) = member(owner, "desk", "desk").await;
        let made = desk.post(APPOINTMENTS).json(&json!({"title": "One", "starts_at": "2026-07-01T08:00:00Z"})).await.json();
        let at = format!("{APPOINTMENTS}{}/", made["id"].as_str().unwrap());
        let offered = desk.get(&format!("{at}actions/")).await.expect_status(200).json();
        let names: Vec<_> = offered["actions"].as_array().unwrap().iter().map(|action| action["name"].as_str().unwrap()).collect();
        assert!(names.contains(&"assign") && !names.contains(&"confirm"), "{names:?}");
        let refused: Vec<_> = offered["unavailable"].as_array().unwrap().iter().filter(|action| action["name"] == "confirm").collect();
        assert_eq!(refused.len(), 1, "{offered}");
        assert_eq!(refused[0]["code"], "permission_denied");
        desk.post(&format!("{at}confirm/")).await.expect_refusal(403, "permission_denied");
        desk.post(&format!("{at}cancel/")).await.expect_status(200);
    }

    async fn a_limited_member_sees_their_workspace_and_what_is_nobodys(world: &World) {
        let owner = &world.owner;
        let mut workspaces = Vec::new();
        let mut records = Vec::new();
        for name in ["North", "South"] {
            let id = owner.post("/api/v1/workspaces/").json(&json!({"name": name})).await.expect_status(201).text_at("/id");
            let made = owner.post(APPOINTMENTS).json(&json!({"title": name, "workspace": id})).await.expect_status(201).json();
            workspaces.push(Uuid::parse_str(&id).unwrap());
            records.push(format!("{APPOINTMENTS}{}/", made["id"].as_str().unwrap()));
        }
        owner.post(APPOINTMENTS).json(&json!({"title": "Everywhere"})).await.expect_status(201);
        let limited = limited_to(world, "limited", &workspaces[..1]).await;
        let north = workspaces[0];
        let page = limited.get(APPOINTMENTS).await.expect_status(200).json();
        let titles: Vec<_> = page["results"].as_array().unwrap().iter().map(|row| row["title"].clone()).collect();
        assert_eq!((page["count"].clone(), titles), (json!(2), vec![json!("Everywhere"), json!("North")]));
        limited.get(&records[0]).await.expect_status(200);
        for refused in [
            limited.get(&records[1]).await,
            limited.patch(&records[1]).json(&json!({"title": "x"})).await,
            limited.post(&format!("{}confirm/", records[1])).await,
            limited.get(&format!("{}history/", records[1])).await,
        ] {
            refused.expect_refusal(404, "not_found");
        }
        let csv = limited.get(&format!("{APPOINTMENTS}export/")).query("fields", "title").await.expect_status(200);
        assert_eq!(csv.text(), "title\nEverywhere\nNorth\n");
        let made = limited.post(APPOINTMENTS).json(&json!({"title": "Mine"})).await.expect_status(201).json();
        assert_eq!(made["workspace"], json!(north.to_string()));
        let moved = limited.patch(&records[0]).json(&json!({"workspace": workspaces[1].to_string()})).await;
        moved.expect_status(400).expect_field("workspace", "does_not_exist");
    }
}
