//! `/api/v1/memberships/`: who belongs to a company, and the owner who always remains.

use loopd_store::{Value, View, params};
use loopd_testkit::{Client, assert_json, each_engine, json};
use loopd_types::Uuid;

use crate::support::{Actor, World};

const APPOINTMENTS: &str = "/api/v1/booking/appointments/";

fn path(id: &str, action: &str) -> String {
    format!("/api/v1/memberships/{id}/{action}")
}

async fn owners(client: &Client) -> u64 {
    client
        .get("/api/v1/memberships/?role=owner&status=active")
        .await
        .expect_status(200)
        .at("/count")
        .as_u64()
        .expect("a number")
}

each_engine! {
    async fn the_last_owner_can_be_neither_removed_nor_suspended_nor_demoted(world: &World) {
        let owner = world.owner().await;
        let own = owner.membership().await;
        for action in ["remove/", "suspend/", "leave/"] {
            owner.post(&path(&own, action)).json(&json!({})).await.expect_refusal(409, "last_owner");
        }
        owner.post(&path(&own, "change-role/")).json(&json!({"role": "admin"})).await.expect_refusal(409, "last_owner");
        owner.patch(&path(&own, "")).json(&json!({"role": "admin"})).await.expect_refusal(409, "last_owner");
        owner.put(&path(&own, "")).json(&json!({"role": "admin"})).await.expect_refusal(409, "last_owner");
        owner.patch(&path(&own, "")).json(&json!({"title": "Founder"})).await.expect_status(200);
        assert_eq!(owners(&owner).await, 1);
    }

    async fn two_owners_who_demote_each_other_at_once_leave_one(world: &World) {
        for round in 0..5 {
            let one = world.register(&format!("one{round}")).await;
            let two = world.member(&one, &format!("two{round}"), "owner").await;
            let (first, second) = (one.membership().await, two.membership().await);
            let role = json!({"role": "staff"});
            let (first_path, second_path) = (path(&second, "change-role/"), path(&first, "change-role/"));
            let (a, b) = tokio::join!(one.post(&first_path).json(&role), two.post(&second_path).json(&role));
            let root = world.superuser_named(&format!("root{round}")).await;
            let left = owners(&root.in_company(&one.code)).await;
            assert_eq!(left, 1, "{} {} and {} {}", a.status, a.text(), b.status, b.text());
            assert!([&a, &b].iter().any(|answer| answer.status == 200));
        }
    }

    async fn owners_who_all_leave_at_once_leave_one(world: &World) {
        let first = world.owner().await;
        let mut all: Vec<Actor> = vec![first.clone()];
        for number in 0..4 {
            all.push(world.member(&first, &format!("owner{number}"), "owner").await);
        }
        let mut calls = tokio::task::JoinSet::new();
        for owner in all {
            let own = owner.membership().await;
            calls.spawn(async move { owner.post(&path(&own, "leave/")).json(&json!({})).await });
        }
        let answers = calls.join_all().await;
        let stayed: Vec<_> = answers.iter().filter(|answer| answer.status != 200).collect();
        assert_eq!(stayed.len(), 1, "{:?}", answers.iter().map(|answer| answer.text()).collect::<Vec<_>>());
        stayed[0].clone().expect_refusal(409, "last_owner");
    }

    async fn an_admin_can_neither_make_nor_touch_an_owner(world: &World) {
        let owner = world.owner().await;
        let admin = world.member(&owner, "grace", "admin").await;
        let own = owner.membership().await;
        let mine = admin.membership().await;
        for action in ["remove/", "suspend/"] {
            admin.post(&path(&own, action)).json(&json!({})).await.expect_refusal(403, "permission_denied");
        }
        for target in [&own, &mine] {
            let answer = admin.post(&path(target, "change-role/")).json(&json!({"role": "owner"})).await;
            assert!(answer.status == 403 || (target == &own && answer.status == 200), "{}", answer.text());
        }
        let friend = world.person("friend").await;
        let body = json!({"user": friend.user, "role": "owner"});
        admin.post("/api/v1/memberships/").json(&body).await.expect_refusal(403, "permission_denied");
        let wide = json!({"name": "Wide", "permissions": ["*"]});
        admin.post("/api/v1/roles/").json(&wide).await.expect_refusal(403, "permission_denied");
        admin.delete("/api/v1/companies/001/").await.expect_refusal(403, "permission_denied");
        let transfer = json!({"membership": mine});
        admin.post("/api/v1/companies/001/transfer-ownership/").json(&transfer).await.expect_refusal(403, "permission_denied");
        assert_eq!(owners(&owner).await, 1);
    }

    async fn another_role_counts_at_the_next_request(world: &World) {
        let owner = world.owner().await;
        let member = world.member(&owner, "grace", "viewer").await;
        member.post(APPOINTMENTS).json(&json!({"title": "x"})).await.expect_refusal(403, "permission_denied");
        let membership = member.membership().await;
        owner.post(&path(&membership, "change-role/")).json(&json!({"role": "staff"})).await.expect_status(200);
        member.post(APPOINTMENTS).json(&json!({"title": "x"})).await.expect_status(201);
        let role = world.role(&owner, &["booking.appointments.view"]).await;
        owner.patch(&path(&membership, "")).json(&json!({"role": role})).await.expect_status(200);
        member.post(APPOINTMENTS).json(&json!({"title": "x"})).await.expect_refusal(403, "permission_denied");
        // The role itself is changed: whoever holds it gains.
        let id = owner.get(&format!("/api/v1/roles/?slug={role}")).await.text_at("/results/0/id");
        let wider = json!({"permissions": ["booking.appointments.*"]});
        owner.patch(&format!("/api/v1/roles/{id}/")).json(&wider).await.expect_status(200);
        member.post(APPOINTMENTS).json(&json!({"title": "x"})).await.expect_status(201);
        owner.post(&path(&membership, "remove/")).await.expect_status(200);
        member.get(APPOINTMENTS).await.expect_refusal(403, "company_access_denied");
    }

    async fn only_oneself_leaves_and_one_comes_back_to_the_same_membership(world: &World) {
        let owner = world.owner().await;
        let member = world.member(&owner, "grace", "staff").await;
        let membership = member.membership().await;
        owner.post(&path(&membership, "leave/")).await.expect_refusal(403, "permission_denied");
        member.post(&path(&membership, "leave/")).await.expect_status(200);
        member.get(APPOINTMENTS).await.expect_refusal(403, "company_access_denied");
        let again = owner.make("/api/v1/memberships/", json!({"user": member.user, "role": "manager"})).await;
        assert_eq!(again, membership);
        member.get(APPOINTMENTS).await.expect_status(200);
        let twice = json!({"user": member.user, "role": "staff"});
        owner.post("/api/v1/memberships/").json(&twice).await.expect_refusal(400, "validation_error");
    }

    async fn an_address_that_nobody_proved_brings_nobody_in(world: &World) {
        let (owner, squatter) = (world.owner().await, world.register("squatter").await);
        let by_email = json!({"email": squatter.email, "role": "admin"});
        let refused = owner.post("/api/v1/memberships/").json(&by_email).await.expect_refusal(400, "validation_error");
        assert_json!(refused.json(), {"error": {"details": {"email": [{"code": "not_verified"}]}}});
        let listed = owner.get("/api/v1/memberships/").query("user", &squatter.user).await.expect_status(200);
        assert_json!(listed.json(), {"count": 0});
        // Whoever reads what is sent there may be meant by it.
        let token = world.letter(&squatter.email, "verify-email").await.token();
        squatter.post("/api/v1/auth/email/verify/").json(&json!({"token": token})).await.expect_status(200);
        owner.post("/api/v1/memberships/").json(&by_email).await.expect_status(201);
    }

    async fn the_keys_of_who_left_do_not_come_back_with_them(world: &World) {
        let owner = world.owner().await;
        for (name, action) in [("grace", "remove/"), ("ada", "leave/")] {
            let member = world.member(&owner, name, "admin").await;
            let (id, key) = world.key(&member, &["*"]).await;
            key.get(APPOINTMENTS).await.expect_status(200);
            let membership = member.membership().await;
            let boss = if action == "leave/" { &member } else { &owner };
            boss.post(&path(&membership, action)).await.expect_status(200);
            key.get(APPOINTMENTS).await.expect_refusal(401, "invalid_api_key");
            world.join(&owner, &member, "viewer").await;
            member.get(APPOINTMENTS).await.expect_status(200);
            key.get(APPOINTMENTS).await.expect_refusal(401, "invalid_api_key");
            let noted = owner.get("/api/v1/audit-logs/").query("target", &id).query("action", "revoke").await.expect_status(200);
            assert_json!(noted.json(), {"count": 1, "results": [{"resource": "internal-api-keys", "user": boss.user}]});
        }
    }

    async fn a_key_for_several_companies_loses_the_one_that_its_person_left(world: &World) {
        let (owner, other) = world.strangers().await;
        let member = world.member(&owner, "grace", "admin").await;
        world.join(&other, &member, "admin").await;
        for left in [&owner, &other] {
            let (id, key) = world.key(&member, &["*"]).await;
            let id = Uuid::parse_str(&id).expect("an id");
            let widened = world.kernel.db.write(View::System, move |tx| {
                let both = Value::Json("[1,2]".to_owned());
                Ok(tx.execute("UPDATE credentials SET companies = $2 WHERE id = $1", &params![id, both])?)
            });
            assert_eq!(widened.await.expect("a key can be changed"), 1);
            let membership = left.get("/api/v1/memberships/").query("user", &member.user).await.text_at("/results/0/id");
            left.post(&path(&membership, "remove/")).await.expect_status(200);
            world.join(left, &member, "admin").await;
            key.company(&left.code).get(APPOINTMENTS).await.expect_refusal(403, "company_access_denied");
            let stays = if left.code == owner.code { &other } else { &owner };
            key.company(&stays.code).get(APPOINTMENTS).await.expect_status(200);
        }
    }

    async fn moves_that_a_membership_does_not_allow_are_told(world: &World) {
        let owner = world.owner().await;
        let member = world.member(&owner, "grace", "staff").await;
        let membership = member.membership().await;
        let refused = owner.post(&path(&membership, "reactivate/")).await.expect_refusal(409, "invalid_transition");
        assert_json!(refused.at("/error/details"), {"from": "active", "action": "reactivate"});
        assert!(refused.at("/error/details/allowed").as_array().is_some_and(|allowed| allowed.contains(&json!("suspend"))));
    }

    async fn a_role_in_one_workspace_counts_there_only(world: &World) {
        let owner = world.owner().await;
        let member = world.member(&owner, "grace", "viewer").await;
        let membership = member.membership().await;
        let workspace = owner.make("/api/v1/workspaces/", json!({"name": "Huye"})).await;
        let join = json!({"membership": membership, "role": "staff"});
        owner.post(&format!("/api/v1/workspaces/{workspace}/add-member/")).json(&join).await.expect_status(200);
        member.post(APPOINTMENTS).json(&json!({"title": "x"})).await.expect_refusal(403, "permission_denied");
        let inside = member.with_header("x-workspace-id", &workspace);
        inside.post(APPOINTMENTS).json(&json!({"title": "x"})).await.expect_status(201);
    }
}
