//! `/auth/me/`

use loopd_testkit::{assert_json, each_engine, json};

use crate::support::World;

const ME: &str = "/api/v1/auth/me/";

each_engine! {
    async fn an_owner_sees_user_company_memberships_products_and_permissions(world: &World) {
        let owner = world.owner().await;
        let workspace = owner.get("/api/v1/workspaces/").await.text_at("/results/0/id");
        let me = owner.get(ME).await.expect_status(200).json();
        assert_json!(me, {
            "user": {"id": owner.user, "email": "owner@example.com", "username": "owner", "is_superuser": false, "language": "en"},
            "company": {"code": "001", "name": "owner Ltd"}, "workspace": null,
            "memberships": [{"company": "001", "company_name": "owner Ltd", "role": "owner", "status": "active", "workspaces": [workspace]}],
            "permissions": ["*"], "auth": "jwt",
        });
        assert!(me["products"].as_array().expect("products").iter().any(|p| p["slug"] == "booking" && p["status"] == "trialing"));
    }

    async fn people_without_a_company_or_with_several_have_none_until_they_name_it(world: &World) {
        let (owner, stranger) = world.strangers().await;
        let person = world.person("grace").await;
        assert_json!(person.get(ME).await.expect_status(200).json(), {"company": null, "memberships": [], "products": [], "permissions": []});
        let member = world.join(&owner, &person, "viewer").await;
        assert_json!(person.get(ME).await.expect_status(200).json(), {"company": {"code": "001"}});
        world.join(&stranger, &person, "staff").await;
        assert_json!(person.get(ME).await.expect_status(200).json(), {"company": null, "memberships": [{"company": "001"}, {"company": "002"}]});
        assert_json!(member.get(ME).await.expect_status(200).json(), {"company": {"code": "001"}});
        // A company that is not theirs opens nothing, but the page stays readable.
        assert_json!(person.company("999").get(ME).await.expect_status(200).json(), {"company": null, "permissions": []});
    }

    async fn a_key_says_that_it_is_one(world: &World) {
        let owner = world.owner().await;
        let (_, key) = world.key(&owner, &["booking.*"]).await;
        assert_json!(key.get(ME).await.expect_status(200).json(), {"auth": "internal_key", "user": {"id": owner.user}, "company": {"code": "001"}});
    }

    async fn names_and_language_can_be_changed_and_nothing_else(world: &World) {
        let owner = world.owner().await;
        let body = json!({"first_name": "Grace", "language": "rw", "phone": "+250788000001"});
        assert_json!(owner.patch(ME).json(&body).await.expect_status(200).json(), {"first_name": "Grace", "language": "rw"});
        owner.patch(ME).json(&json!({"language": "xx"})).await.expect_field("language", "invalid_choice");
        for grab in [json!({"is_superuser": true}), json!({"is_staff": true}), json!({"email": "root@example.com"})] {
            owner.patch(ME).json(&grab).await;
        }
        assert_json!(owner.get(ME).await.json(), {"user": {"is_superuser": false, "is_staff": false, "email": "owner@example.com", "first_name": "Grace"}});
    }
}
