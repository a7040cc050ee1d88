//! `/api/v1/internal-api-keys/` and the key of the environment: a key borrows a user's power and never has more.

use loopd_testkit::{Boot, Database, assert_json, each_engine, json};
use loopd_types::{DAY_US, HOUR_US, SECOND_US};

use crate::support::{Actor, World};

const APPOINTMENTS: &str = "/api/v1/booking/appointments/";
const KEYS: &str = "/api/v1/internal-api-keys/";

each_engine! {
    async fn a_secret_is_shown_once_and_its_hash_never(world: &World) {
        let owner = world.owner().await;
        let made = owner.post(KEYS).json(&json!({"name": "Sync"})).await.expect_status(201);
        let secret = made.text_at("/key");
        assert!(secret.starts_with("loop_ik_") && secret.len() >= 40, "{secret}");
        assert!(secret.starts_with(&made.text_at("/prefix")));
        let item = format!("{KEYS}{}/", made.text_at("/id"));
        for answer in [owner.get(KEYS).await, owner.get(&item).await, owner.patch(&item).json(&json!({"name": "x"})).await] {
            let text = answer.expect_status(200).text();
            assert!(!text.contains(&secret[16..]) && !text.contains("hash"), "{text}");
        }
    }

    async fn a_key_works_within_its_scopes_only(world: &World) {
        let owner = world.owner().await;
        let (_, key) = world.key(&owner, &["booking.appointments.view", "booking.appointments.create"]).await;
        key.post(APPOINTMENTS).json(&json!({"title": "By key"})).await.expect_status(201);
        let id = key.get(APPOINTMENTS).await.expect_status(200).text_at("/results/0/id");
        key.patch(&format!("{APPOINTMENTS}{id}/")).json(&json!({"title": "x"})).await.expect_refusal(403, "insufficient_scope");
        key.delete(&format!("{APPOINTMENTS}{id}/")).await.expect_refusal(403, "insufficient_scope");
        key.get("/api/v1/booking/customers/").await.expect_refusal(403, "insufficient_scope");
        key.get(KEYS).await.expect_refusal(403, "insufficient_scope");
        key.post(KEYS).json(&json!({"name": "More"})).await.expect_refusal(403, "insufficient_scope");
    }

    async fn a_key_never_has_more_power_than_its_user(world: &World) {
        let owner = world.owner().await;
        let developer = world.member(&owner, "grace", "developer").await;
        let (_, key) = world.key(&developer, &["*"]).await;
        key.get(APPOINTMENTS).await.expect_status(200);
        key.post(APPOINTMENTS).json(&json!({"title": "x"})).await.expect_refusal(403, "permission_denied");
        developer.post(KEYS).json(&json!({"name": "x", "scopes": ["booking.*"]})).await.expect_refusal(403, "permission_denied");
        let membership = developer.membership().await;
        owner.post(&format!("/api/v1/memberships/{membership}/suspend/")).await.expect_status(200);
        key.get(APPOINTMENTS).await.expect_refusal(403, "company_access_denied");
    }

    async fn nobody_gets_an_owners_power_by_rotating_or_widening_their_key(world: &World) {
        let owner = world.owner().await;
        let developer = world.member(&owner, "grace", "developer").await;
        let (id, _) = world.key(&owner, &["booking.appointments.view"]).await;
        developer.post(&format!("{KEYS}{id}/rotate/")).json(&json!({})).await.expect_refusal(403, "permission_denied");
        developer.patch(&format!("{KEYS}{id}/")).json(&json!({"scopes": ["*"]})).await.expect_refusal(403, "permission_denied");
        let (_, narrow) = world.key(&owner, &["core.internal-api-keys.*"]).await;
        narrow.post(KEYS).json(&json!({"name": "Wide", "scopes": ["*"]})).await.expect_refusal(403, "permission_denied");
        narrow.patch(&format!("{KEYS}{id}/")).json(&json!({"scopes": ["*"]})).await.expect_refusal(403, "permission_denied");
    }

    async fn a_stored_key_that_does_not_allow_the_company_is_refused(world: &World) {
        let owner = world.owner().await;
        let second = owner.post("/api/v1/companies/").json(&json!({"name": "Second"})).await.expect_status(201).text_at("/code");
        let (_, key) = world.key(&owner, &["*"]).await;
        key.get("/api/v1/companies/").await.expect_status(200);
        // Its user is a member there, the key is not allowed there.
        key.company(&second).get(APPOINTMENTS).await.expect_refusal(403, "company_access_denied");
        key.company("999").get(APPOINTMENTS).await.expect_refusal(403, "company_access_denied");
        let listed = key.without("x-company-id").get("/api/v1/companies/").await.expect_status(200);
        assert_json!(listed.json(), {"count": 1, "results": [{"code": "001"}]});
    }

    async fn a_revoked_key_is_refused_at_the_next_request(world: &World) {
        let owner = world.owner().await;
        for by_delete in [false, true] {
            let (id, key) = world.key(&owner, &["*"]).await;
            key.get(APPOINTMENTS).await.expect_status(200);
            if by_delete {
                owner.delete(&format!("{KEYS}{id}/")).await.expect_status(204);
            } else {
                owner.post(&format!("{KEYS}{id}/revoke/")).await.expect_status(200);
            }
            key.get(APPOINTMENTS).await.expect_refusal(401, "invalid_api_key");
            owner.post(&format!("{KEYS}{id}/rotate/")).json(&json!({})).await.expect_refusal(409, "key_revoked");
        }
    }

    async fn a_rotated_keys_old_secret_lives_on_for_a_while(world: &World) {
        let owner = world.owner().await;
        let (id, old) = world.key(&owner, &["*"]).await;
        let made = owner.post(&format!("{KEYS}{id}/rotate/")).json(&json!({"grace_seconds": 3600})).await.expect_status(201);
        let new = world.client().with_key(&made.text_at("/key")).company("001");
        old.get(APPOINTMENTS).await.expect_status(200);
        new.get(APPOINTMENTS).await.expect_status(200);
        world.clock.advance(HOUR_US);
        old.get(APPOINTMENTS).await.expect_refusal(401, "invalid_api_key");
        new.get(APPOINTMENTS).await.expect_status(200);
    }

    async fn a_key_expires(world: &World) {
        let owner = world.owner().await;
        let ends = world.kernel.now().plus(DAY_US).to_string();
        let made = owner.post(KEYS).json(&json!({"name": "Guest", "expires_at": ends})).await.expect_status(201);
        let key = world.client().with_key(&made.text_at("/key")).company("001");
        key.get(APPOINTMENTS).await.expect_status(200);
        world.clock.advance(DAY_US - SECOND_US);
        key.get(APPOINTMENTS).await.expect_status(200);
        world.clock.advance(SECOND_US);
        key.get(APPOINTMENTS).await.expect_refusal(401, "invalid_api_key");
        let past = json!({"name": "x", "expires_at": "2020-01-01T00:00:00Z"});
        world.sign_in(&owner.email, "001").await.post(KEYS).json(&past).await.expect_field("expires_at", "invalid");
    }

    async fn a_key_whose_user_is_inactive_is_refused(world: &World) {
        let owner = world.owner().await;
        let (_, key) = world.key(&owner, &["*"]).await;
        world.set_active(&owner, false).await;
        key.get("/api/v1/companies/").await.expect_refusal(401, "internal_key_user_unavailable");
    }

    async fn a_superusers_key_is_no_superuser(world: &World) {
        let owner = world.owner().await;
        let root = world.superuser().await;
        let member = world.join(&owner, &root, "admin").await;
        let (_, key) = world.key(&member, &["*"]).await;
        world.register("other").await;
        assert_json!(key.get("/api/v1/companies/").await.expect_status(200).json(), {"count": 1});
        key.company("002").get(APPOINTMENTS).await.expect_refusal(403, "company_access_denied");
        key.post("/api/v1/companies/001/suspend/").await.expect_refusal(403, "permission_denied");
    }
}

const ENVIRONMENT_KEY: &str = "an environment key of more than 24 characters";

/// A world whose operator has set the environment's key for the owner.
struct WithKey(World);

impl std::ops::Deref for WithKey {
    type Target = World;
    fn deref(&self) -> &World {
        &self.0
    }
}

impl Boot for WithKey {
    const NAME: &'static str = World::NAME;
    async fn prepare(database: &Database) {
        World::prepare(database).await;
    }
    async fn boot(database: Database) -> Self {
        let settings =
            [("LOOP_INTERNAL_API_KEY", ENVIRONMENT_KEY), ("LOOP_INTERNAL_API_USER_EMAIL", "owner@example.com")];
        Self(World::start(database, &settings).await)
    }
    async fn close(self) {
        self.0.close().await;
    }
}

each_engine! {
    async fn the_environments_key_works_while_its_user_is_an_active_member(world: &WithKey) {
        let key = world.client().with_key(ENVIRONMENT_KEY).company("001");
        key.get("/api/v1/companies/").await.expect_refusal(401, "internal_key_user_unavailable");
        let (owner, _) = world.strangers().await;
        assert_json!(key.get("/api/v1/companies/").await.expect_status(200).json(), {"count": 1, "results": [{"code": "001", "role": "owner"}]});
        key.post(APPOINTMENTS).json(&json!({"title": "By key"})).await.expect_status(201);
        key.company("002").get(APPOINTMENTS).await.expect_refusal(403, "company_access_denied");
        world.client().with_key("an environment key of more than 24 characterz").get(APPOINTMENTS).await.expect_refusal(401, "invalid_api_key");
        world.set_active(&owner, false).await;
        key.get("/api/v1/companies/").await.expect_refusal(401, "internal_key_user_unavailable");
    }

    async fn without_its_setting_there_is_no_environment_key(world: &World) {
        let _: Actor = world.owner().await;
        world.client().with_key(ENVIRONMENT_KEY).company("001").get("/api/v1/companies/").await.expect_refusal(401, "invalid_api_key");
    }
}
