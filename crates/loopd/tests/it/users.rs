//! Accounts in the hands of superusers: list, switch off, switch on.

use loopd_testkit::{assert_json, each_engine, json};

use crate::support::{Actor, World};

const USERS: &str = "/api/v1/users/";
const ME: &str = "/api/v1/auth/me/";

fn item(of: &Actor) -> String {
    format!("{USERS}{}/", of.user)
}

each_engine! {
    async fn a_deactivated_person_is_refused_at_the_next_request_by_every_way_in(world: &World) {
        let (root, owner) = (world.superuser().await, world.owner().await);
        let (id, key) = world.key(&owner, &["*"]).await;
        owner.get(ME).await.expect_status(200);
        key.get("/api/v1/workspaces/").await.expect_status(200);
        let off = root.post(&format!("{}deactivate/", item(&owner))).await.expect_status(200);
        assert_json!(off.json(), {"id": owner.user, "email": "owner@example.com", "is_active": false});
        owner.get(ME).await.expect_refusal(401, "user_inactive");
        key.get("/api/v1/workspaces/").await.expect_refusal(401, "invalid_api_key");
        let refresh = json!({"refresh": owner.refresh});
        world.client().post("/api/v1/auth/refresh/").json(&refresh).await.expect_refusal(401, "user_inactive");
        let login = json!({"email": owner.email, "password": "strongpass123"});
        world.client().post("/api/v1/auth/login/").json(&login).await.expect_refusal(401, "no_active_account");

        let on = root.post(&format!("{}activate/", item(&owner))).await.expect_status(200);
        assert_json!(on.json(), {"id": owner.user, "is_active": true});
        // What ended stays ended: only signing in anew lets in.
        owner.get(ME).await.expect_refusal(401, "token_not_valid");
        world.client().post("/api/v1/auth/refresh/").json(&refresh).await.expect_refusal(401, "token_not_valid");
        key.get("/api/v1/workspaces/").await.expect_refusal(401, "invalid_api_key");
        let back = world.sign_in("owner@example.com", "001").await;
        let keys = back.get(&format!("/api/v1/internal-api-keys/{id}/")).await.expect_status(200);
        assert_json!(keys.json(), {"revoked_at": "2026-06-22T10:00:00.000000Z"});
        let audit = back.get("/api/v1/audit-logs/").query("resource", "internal-api-keys").query("action", "revoke").await.expect_status(200);
        assert_json!(audit.json(), {"count": 1, "results": [{"target": id, "user": root.user}]});
    }

    async fn switching_accounts_is_on_record_once_however_often_it_is_asked(world: &World) {
        let (root, owner) = (world.superuser().await, world.owner().await);
        for action in ["deactivate", "deactivate", "activate", "activate"] {
            root.post(&format!("{}{action}/", item(&owner))).await.expect_status(200);
        }
        for action in ["deactivate", "activate"] {
            let rows = root.get("/api/v1/audit-logs/").query("resource", "users").query("action", action).await.expect_status(200);
            assert_json!(rows.json(), {"count": 1, "results": [{"target": owner.user, "label": "owner@example.com", "user": root.user, "company": null}]});
        }
    }

    async fn superusers_do_not_lock_themselves_out(world: &World) {
        let (root, other) = (world.superuser().await, world.superuser_named("other").await);
        root.post(&format!("{}deactivate/", item(&root))).await.expect_refusal(409, "own_account");
        root.get(ME).await.expect_status(200);
        // Both at once: whoever comes second finds the last one, or is out already.
        let (first, second) = (format!("{}deactivate/", item(&other)), format!("{}deactivate/", item(&root)));
        let (one, two) = tokio::join!(root.post(&first), other.post(&second));
        let mut statuses = [one.status, two.status];
        statuses.sort_unstable();
        assert_eq!(statuses[0], 200, "{} {}", one.text(), two.text());
        assert!(statuses[1] == 401 || statuses[1] == 409, "{} {}", one.text(), two.text());
    }

    async fn the_list_of_accounts_is_for_superusers_shows_no_secret_and_is_on_record(world: &World) {
        let (root, owner) = (world.superuser().await, world.owner().await);
        owner.get(USERS).await.expect_refusal(403, "permission_denied");
        owner.get(&item(&root)).await.expect_refusal(403, "permission_denied");
        owner.post(&format!("{}deactivate/", item(&root))).await.expect_refusal(403, "permission_denied");
        let found = root.get(USERS).query("search", "owner@").await.expect_status(200);
        assert_json!(found.json(), {"count": 1, "results": [{"id": owner.user, "username": "owner", "is_active": true, "is_superuser": false}]});
        assert!(!found.text().contains("argon2") && !found.text().contains("password"), "{}", found.text());
        assert_json!(root.get(USERS).query("is_superuser", "true").await.expect_status(200).json(), {"count": 1, "results": [{"id": root.user}]});
        assert_json!(root.get(&item(&owner)).await.expect_status(200).json(), {"id": owner.user});
        root.get(&format!("{USERS}0197a000-0000-7000-8000-000000000000/")).await.expect_refusal(404, "not_found");
        root.post(&format!("{USERS}0197a000-0000-7000-8000-000000000000/deactivate/")).await.expect_refusal(404, "not_found");
        let looks = root.get("/api/v1/audit-logs/").query("action", "superuser-access").query("label", "core.users.view").await.expect_status(200);
        assert_json!(looks.json(), {"count": 4, "results": [{"user": root.user, "company": null}, {}, {}, {}]});
    }

    async fn the_superusers_list_of_developer_profiles_is_on_record_and_a_persons_own_is_not(world: &World) {
        let (root, owner) = (world.superuser().await, world.owner().await);
        owner.make("/api/v1/developer-profiles/", json!({"display_name": "Owner"})).await;
        assert_json!(owner.get("/api/v1/developer-profiles/").await.expect_status(200).json(), {"count": 1});
        assert_json!(root.get("/api/v1/developer-profiles/").await.expect_status(200).json(), {"count": 1});
        let looks = root.get("/api/v1/audit-logs/").query("label", "core.developer-profiles.view").await.expect_status(200);
        assert_json!(looks.json(), {"count": 1, "results": [{"action": "superuser-access", "user": root.user}]});
    }

    async fn a_superuser_of_no_company_reads_the_whole_installations_audit(world: &World) {
        let root = world.superuser().await;
        // Not one company yet: what the installation did is there all the same, and other lists are empty.
        let first = root.get("/api/v1/audit-logs/").query("action", "login").await.expect_status(200);
        assert_json!(first.json(), {"count": 1, "results": [{"user": root.user, "company": null}]});
        assert_json!(root.get("/api/v1/workspaces/").await.expect_status(200).json(), {"count": 0, "results": []});
        assert_json!(root.get("/api/v1/booking/appointments/").await.expect_status(200).json(), {"count": 0, "results": []});
        root.get("/api/v1/booking/appointments/?page=2").await.expect_refusal(404, "not_found");
        let looks = root.get("/api/v1/audit-logs/").query("label", "core.audit-logs.view").await.expect_status(200);
        assert_json!(looks.json(), {"count": 2, "results": [{"action": "superuser-access"}, {"action": "superuser-access"}]});
        let (owner, stranger) = world.strangers().await;
        let all = root.get("/api/v1/audit-logs/").query("action", "register").await.expect_status(200);
        assert_json!(all.json(), {"count": 2, "results": [{"company": "002", "user": stranger.user}, {"company": "001", "user": owner.user}]});
        let id = all.text_at("/results/0/id");
        assert_json!(root.get(&format!("/api/v1/audit-logs/{id}/")).await.expect_status(200).json(), {"company": "002"});
        // With a company named it is that company's alone; and nobody else got more than before.
        let one = root.in_company("001").get("/api/v1/audit-logs/").query("action", "register").await.expect_status(200);
        assert_json!(one.json(), {"count": 1, "results": [{"company": "001"}]});
        owner.get(&format!("/api/v1/audit-logs/{id}/")).await.expect_refusal(404, "not_found");
        world.person("nobody").await.get("/api/v1/audit-logs/").await.expect_refusal(403, "company_access_denied");
    }
}
