//! `/api/v1/internal-api-keys/` and the key of the environment: a key borrows a user's power and never has more.

use loopd_kernel::credential;
use loopd_store::{View, params};
use loopd_testkit::{Boot, Database, assert_json, each_engine, json};
use loopd_types::{DAY_US, HOUR_US, SECOND_US, Uuid, sha256_hex};

use crate::support::{Actor, World, refused_from_then_on};

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

    async fn a_key_is_rotated_once_and_its_successor_lives_as_long_as_it_did(world: &World) {
        let owner = world.owner().await;
        let (id, _) = world.key(&owner, &["*"]).await;
        let rotate = async |id: &str| owner.post(&format!("{KEYS}{id}/rotate/")).json(&json!({"grace_seconds": 600})).await;
        let second = rotate(&id).await.expect_status(201).text_at("/id");
        let refused = rotate(&id).await.expect_refusal(409, "key_rotated");
        assert_json!(refused.at("/error/details"), {"successor": second});
        // The successor's successor knows nothing of the first one's last ten minutes.
        let third = rotate(&second).await.expect_status(201);
        assert_json!(third.json(), {"expires_at": null, "rotated_from": second});
        let newest = world.client().with_key(&third.text_at("/key")).company("001");
        world.clock.advance(HOUR_US / 4);
        newest.get(APPOINTMENTS).await.expect_status(200);
        rotate(&id).await.expect_refusal(409, "key_rotated");
        assert_json!(owner.get(KEYS).await.expect_status(200).json(), {"count": 3});
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

    async fn a_scanner_can_tell_a_key_by_its_checksum(world: &World) {
        let owner = world.owner().await;
        let secret = owner.post(KEYS).json(&json!({"name": "Sync"})).await.expect_status(201).text_at("/key");
        assert_eq!(secret.len(), 57, "{secret}");
        assert!(credential::INTERNAL.is_well_formed(&secret), "{secret}");
        assert!(!credential::INTERNAL.is_well_formed(&secret.replace("loop_ik_", "loop_ik_0")[..57]));
    }

    async fn a_key_of_an_older_version_without_a_checksum_still_works(world: &World) {
        let owner = world.owner().await;
        let (id, key) = world.key(&owner, &["*"]).await;
        let old = "loop_ik_h3Vn0-Qk_8Zc1hKx6mWq2Tt9Yb4Lr7Pd5Fs0Gj3AvEu";
        let hash = sha256_hex(old.as_bytes());
        let id = Uuid::parse_str(&id).expect("an id");
        world.kernel.db.write(View::System, move |tx| {
            Ok(tx.execute("UPDATE credentials SET hash = $2 WHERE id = $1", &params![id, &hash])?)
        }).await.expect("a row can be changed");
        key.with_key(old).get(APPOINTMENTS).await.expect_status(200);
    }

    async fn a_key_works_from_its_networks_only(world: &World) {
        let owner = world.owner().await;
        let networks = json!({"name": "Till", "allowed_networks": ["198.51.100.0/24", "2001:db8:7::/48"]});
        let made = owner.post(KEYS).json(&networks).await.expect_status(201);
        assert_json!(made.json(), {"allowed_networks": ["198.51.100.0/24", "2001:db8:7::/48"]});
        let key = world.client().with_key(&made.text_at("/key")).company("001");
        let from = |address: &str| key.with_header("x-forwarded-for", address);
        for inside in ["198.51.100.7", "198.51.100.255", "2001:db8:7::1", "::ffff:198.51.100.7", "203.0.113.5, 198.51.100.7"] {
            from(inside).get(APPOINTMENTS).await.expect_status(200);
        }
        // What the client itself wrote into the header does not count: only the entry that our proxy added.
        for outside in ["198.51.101.7", "2001:db8:8::1", "198.51.100.7, 203.0.113.5", "nonsense"] {
            let refused = from(outside).get(APPOINTMENTS).await.expect_refusal(403, "address_not_allowed");
            assert!(refused.at("/error/details/address").is_string());
        }
        let item = format!("{KEYS}{}/", made.text_at("/id"));
        owner.patch(&item).json(&json!({"allowed_networks": ["10.0.0.0/33"]})).await.expect_field("allowed_networks", "invalid");
        owner.patch(&item).json(&json!({"allowed_networks": []})).await.expect_field("allowed_networks", "empty");
        owner.patch(&item).json(&json!({"allowed_networks": ["192.0.2.1"]})).await.expect_status(200);
        from("198.51.100.7").get(APPOINTMENTS).await.expect_refusal(403, "address_not_allowed");
        from("192.0.2.1").get(APPOINTMENTS).await.expect_status(200);
        owner.patch(&item).json(&json!({"allowed_networks": null})).await.expect_status(200);
        from("198.51.101.7").get(APPOINTMENTS).await.expect_status(200);
    }

    async fn a_key_works_in_its_workspaces_only(world: &World) {
        let owner = world.owner().await;
        let mut places = Vec::new();
        for name in ["Huye", "Musanze"] {
            places.push(owner.make("/api/v1/workspaces/", json!({"name": name})).await);
        }
        let stranger = world.register("stranger").await;
        let theirs = stranger.make("/api/v1/workspaces/", json!({"name": "Theirs"})).await;
        owner.post(KEYS).json(&json!({"name": "x", "workspaces": [theirs]})).await.expect_field("workspaces", "does_not_exist");
        let made = owner.post(KEYS).json(&json!({"name": "Till", "workspaces": [places[0]]})).await.expect_status(201);
        let key = world.client().with_key(&made.text_at("/key")).company("001");
        key.with_header("x-workspace-id", &places[0]).get(APPOINTMENTS).await.expect_status(200);
        key.with_header("x-workspace-id", &places[1]).get(APPOINTMENTS).await.expect_refusal(403, "workspace_access_denied");
        let record = key.post(APPOINTMENTS).json(&json!({"title": "By key"})).await.expect_status(201);
        assert_eq!(record.text_at("/workspace"), places[0]);
    }

    async fn nobody_gets_out_of_a_keys_limits_by_a_second_key(world: &World) {
        let owner = world.owner().await;
        let (wide, _) = world.key(&owner, &["*"]).await;
        let narrow = json!({"name": "Narrow", "allowed_networks": ["198.51.100.0/24"], "rate_limit_per_minute": 60});
        let made = owner.post(KEYS).json(&narrow).await.expect_status(201);
        let key = world.client().with_key(&made.text_at("/key")).company("001").with_header("x-forwarded-for", "198.51.100.7");
        let heir = key.post(KEYS).json(&json!({"name": "Heir"})).await.expect_status(201);
        assert_json!(heir.json(), {"allowed_networks": ["198.51.100.0/24"], "rate_limit_per_minute": 60});
        for wider in [json!({"name": "x", "allowed_networks": ["198.51.0.0/16"]}), json!({"name": "x", "rate_limit_per_minute": 61})] {
            key.post(KEYS).json(&wider).await.expect_refusal(403, "permission_denied");
        }
        let own = format!("{KEYS}{}/", made.text_at("/id"));
        key.patch(&own).json(&json!({"allowed_networks": null})).await.expect_refusal(403, "permission_denied");
        key.post(&format!("{KEYS}{wide}/rotate/")).json(&json!({})).await.expect_refusal(403, "permission_denied");
        let next = key.post(&format!("{own}rotate/")).json(&json!({})).await.expect_status(201);
        assert_json!(next.json(), {"allowed_networks": ["198.51.100.0/24"], "rate_limit_per_minute": 60, "rotated_from": made.at("/id")});
    }

    async fn uses_are_counted_and_written_in_batches(world: &World) {
        let owner = world.owner().await;
        let (id, key) = world.key(&owner, &["*"]).await;
        for _ in 0..7 {
            key.get(APPOINTMENTS).await.expect_status(200);
        }
        world.kernel.flush_usage().await.expect("a flush");
        key.get(APPOINTMENTS).await.expect_status(200);
        world.kernel.flush_usage().await.expect("a flush");
        world.kernel.flush_usage().await.expect("a flush");
        let row = owner.get(&format!("{KEYS}{id}/")).await.expect_status(200);
        assert_json!(row.json(), {"use_count": 8, "last_used_at": "[any]", "last_used_ip": "[any]"});
    }

    async fn a_key_that_is_revoked_under_load_is_refused_by_the_very_next_request(world: &World) {
        let owner = world.owner().await;
        for _ in 0..3 {
            let (id, key) = world.key(&owner, &["*"]).await;
            refused_from_then_on(&[key], APPOINTMENTS, async || {
                owner.post(&format!("{KEYS}{id}/revoke/")).await.expect_status(200);
            })
            .await;
        }
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
