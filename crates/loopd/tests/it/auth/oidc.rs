//! Coming by a provider of identity: an issuer with real keys that this test starts, honest and otherwise.

use std::ops::Deref;

use loopd_store::{View, params};
use loopd_testkit::issuer::{CLIENT_ID, CLIENT_SECRET, Issuer, Signing};
use loopd_testkit::{Answer, Boot, Database, assert_json, each_engine, json};
use loopd_types::{MINUTE_US, Uuid};
use serde_json::Value;

use crate::support::{Actor, PASSWORD, World};

pub const OWN: &str = "/api/v1/installation-oidc-providers/";
pub const OF_COMPANIES: &str = "/api/v1/oidc-providers/";
const REDIRECT: &str = "https://app.example.com/back";
/// How long a discovery document is kept of an issuer that does not say.
const KEPT_US: i64 = 10 * MINUTE_US;

/// A world whose server calls nobody on this machine, as in production.
struct Guarded(World);

impl Deref for Guarded {
    type Target = World;
    fn deref(&self) -> &World {
        &self.0
    }
}

impl Boot for Guarded {
    const NAME: &'static str = World::NAME;
    async fn prepare(database: &Database) {
        World::prepare(database).await;
    }
    async fn boot(database: Database) -> Self {
        Self(World::start(database, &[("LOOP_EGRESS_ALLOW", "")]).await)
    }
    async fn close(self) {
        self.0.close().await;
    }
}

pub fn provider(issuer: &Issuer) -> Value {
    json!({"name": "Works", "issuer": issuer.base, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "redirect_uris": [REDIRECT]})
}

pub fn with(mut body: Value, name: &str, value: Value) -> Value {
    body[name] = value;
    body
}

impl World {
    pub async fn verify_email(&self, actor: &Actor) {
        let id = Uuid::parse_str(&actor.user).expect("an id");
        let now = self.kernel.now();
        let changed = self.kernel.db.write(View::System, move |tx| {
            Ok(tx.execute("UPDATE users SET email_verified_at = $2 WHERE id = $1", &params![id, now])?)
        });
        assert_eq!(changed.await.expect("a user can be changed"), 1);
    }

    pub async fn begin(&self, provider: &str) -> Answer {
        self.client().post(&format!("/api/v1/auth/oidc/{provider}/begin/")).json(&json!({})).await
    }

    /// There and back, with these claims and what else the browser brings.
    pub async fn come(&self, issuer: &Issuer, provider: &str, claims: Value) -> Answer {
        let begun = self.begin(provider).await.expect_status(200);
        let code = issuer.authorize(&begun.text_at("/authorization_url"), claims);
        self.complete(json!({"state": begun.at("/state"), "binding": begun.at("/binding"), "code": code})).await
    }

    pub async fn complete(&self, body: Value) -> Answer {
        self.client().post("/api/v1/auth/oidc/complete/").json(&body).await
    }
}

each_engine! {
    async fn somebody_with_a_verified_email_comes_by_the_installations_provider(world: &World) {
        let (owner, root, issuer) = (world.owner().await, world.superuser().await, Issuer::start().await);
        let made = root.post(OWN).json(&provider(&issuer)).await.expect_status(201);
        let id = made.text_at("/id");
        assert!(!made.text().contains(CLIENT_SECRET) && !root.get(OWN).await.text().contains("secret"));
        let offered = world.client().get("/api/v1/auth/oidc/").await.expect_status(200);
        assert_json!(offered.json(), {"results": [{"id": id, "name": "Works"}]});
        let claims = issuer.claims("subject-1", "OWNER@example.com", world.kernel.now());
        // Nobody has shown yet that the account's email is theirs: it may be a stranger's trap.
        world.come(&issuer, &id, claims.clone()).await.expect_refusal(403, "account_not_linked");
        world.verify_email(&owner).await;
        for signing in [Signing::Es256, Signing::Rs256] {
            issuer.behave(|manners| manners.signing = signing);
            let answer = world.come(&issuer, &id, claims.clone()).await.expect_status(200);
            assert_json!(answer.json(), {"user": {"id": owner.user}, "companies": [{"code": "001"}], "access": "[token]", "refresh": "[token]"});
            world.client().with_token(&answer.text_at("/access")).company("001").get("/api/v1/booking/appointments/").await.expect_status(200);
        }
        // From now on the subject decides, whatever its email is called.
        let renamed = with(issuer.claims("subject-1", "new@example.com", world.kernel.now()), "email_verified", json!(false));
        assert_eq!(world.come(&issuer, &id, renamed).await.expect_status(200).text_at("/user/id"), owner.user);
        let nobody = issuer.claims("subject-2", "nobody@example.com", world.kernel.now());
        world.come(&issuer, &id, nobody.clone()).await.expect_refusal(403, "no_account");
        root.patch(&format!("{OWN}{id}/")).json(&json!({"creates_users": true})).await.expect_status(200);
        let new = world.come(&issuer, &id, nobody).await.expect_status(200);
        assert_json!(new.json(), {"user": {"email": "nobody@example.com"}, "companies": []});
        let login = json!({"email": "nobody@example.com", "password": "!"});
        world.client().post("/api/v1/auth/login/").json(&login).await.expect_refusal(401, "no_active_account");
        root.patch(&format!("{OWN}{id}/")).json(&json!({"is_enabled": false})).await.expect_status(200);
        world.begin(&id).await.expect_refusal(404, "not_found");
    }

    async fn an_id_token_that_does_not_hold_is_refused(world: &World) {
        let (owner, root, issuer) = (world.owner().await, world.superuser().await, Issuer::start().await);
        world.verify_email(&owner).await;
        let id = root.post(OWN).json(&provider(&issuer)).await.expect_status(201).text_at("/id");
        let good = issuer.claims("subject-1", &owner.email, world.kernel.now());
        let now = world.kernel.now().seconds();
        let bad = [
            ("nonce", json!("another sign-in's")),
            ("aud", json!("another-client")),
            ("aud", json!([CLIENT_ID, "another-client"])),
            ("iss", json!("https://issuer.example.com")),
            ("exp", json!(now)),
            ("exp", json!(now - 3600)),
        ];
        for (claim, value) in bad {
            let answer = world.come(&issuer, &id, with(good.clone(), claim, value.clone())).await;
            assert_eq!(answer.status, 401, "{claim} {value}: {}", answer.text());
            answer.expect_refusal(401, "oidc_not_valid");
        }
        for signing in [Signing::None, Signing::SharedSecret, Signing::StrangersKey] {
            issuer.behave(|manners| manners.signing = signing);
            let answer = world.come(&issuer, &id, good.clone()).await;
            assert_eq!(answer.status, 401, "{signing:?}: {}", answer.text());
            answer.expect_refusal(401, "oidc_not_valid");
        }
        issuer.behave(|manners| manners.signing = Signing::Es256);
        for unverified in [json!(false), Value::Null] {
            world.come(&issuer, &id, with(good.clone(), "email_verified", unverified)).await.expect_refusal(403, "email_not_verified");
        }
        world.come(&issuer, &id, good).await.expect_status(200);
    }

    async fn a_sign_in_is_finished_once_in_time_and_in_the_browser_that_began(world: &World) {
        let (owner, root, issuer) = (world.owner().await, world.superuser().await, Issuer::start().await);
        world.verify_email(&owner).await;
        let id = root.post(OWN).json(&provider(&issuer)).await.expect_status(201).text_at("/id");
        let begin = || async {
            let begun = world.begin(&id).await.expect_status(200);
            let claims = issuer.claims("subject-1", &owner.email, world.kernel.now());
            let code = issuer.authorize(&begun.text_at("/authorization_url"), claims);
            json!({"state": begun.at("/state"), "binding": begun.at("/binding"), "code": code})
        };
        let (mine, attackers) = (begin().await, begin().await);
        // The attacker's state and code in the victim's browser, which holds another binding.
        world.complete(with(attackers.clone(), "binding", mine["binding"].clone())).await.expect_refusal(401, "oidc_not_valid");
        world.complete(with(mine.clone(), "state", json!("nonsense"))).await.expect_refusal(401, "oidc_not_valid");
        // A code that was asked for with another verifier.
        world.complete(with(mine.clone(), "code", attackers["code"].clone())).await.expect_refusal(401, "oidc_not_valid");
        world.complete(mine).await.expect_refusal(401, "oidc_not_valid");
        let good = begin().await;
        let ask = || world.client().post("/api/v1/auth/oidc/complete/").header("idempotency-key", "once").json(&good);
        let first = ask().await.expect_status(200);
        assert_eq!(first.json(), ask().await.expect_status(200).json(), "a repeat with the same key is the same answer");
        world.complete(good.clone()).await.expect_refusal(401, "oidc_not_valid");
        let late = begin().await;
        world.clock.advance(10 * MINUTE_US + 1);
        world.complete(late).await.expect_refusal(401, "oidc_not_valid");
        assert!(world.rows("oidc_sign_ins").await > 0);
        world.sweep().await;
        assert_eq!(world.rows("oidc_sign_ins").await, 0, "what is over is removed");
        let elsewhere = json!({"redirect_uri": "https://app.example.com/back/../evil"});
        world.client().post(&format!("/api/v1/auth/oidc/{id}/begin/")).json(&elsewhere).await.expect_field("redirect_uri", "invalid_choice");
    }

    async fn issuers_are_not_mixed_up(world: &World) {
        let (owner, root) = (world.owner().await, world.superuser().await);
        let (issuer, other) = (Issuer::start().await, Issuer::start().await);
        world.verify_email(&owner).await;
        let id = root.post(OWN).json(&provider(&issuer)).await.expect_status(201).text_at("/id");
        let begun = world.begin(&id).await.expect_status(200);
        let code = issuer.authorize(&begun.text_at("/authorization_url"), issuer.claims("subject-1", &owner.email, world.kernel.now()));
        let body = json!({"state": begun.at("/state"), "binding": begun.at("/binding"), "code": code, "iss": other.base});
        world.complete(body).await.expect_refusal(401, "oidc_not_valid");
        issuer.behave(|manners| manners.names_itself = true);
        world.clock.advance(KEPT_US);
        let claims = || issuer.claims("subject-1", &owner.email, world.kernel.now());
        world.come(&issuer, &id, claims()).await.expect_refusal(401, "oidc_not_valid");
        let begun = world.begin(&id).await.expect_status(200);
        let code = issuer.authorize(&begun.text_at("/authorization_url"), claims());
        let body = json!({"state": begun.at("/state"), "binding": begun.at("/binding"), "code": code, "iss": issuer.base});
        world.complete(body).await.expect_status(200);
        // A discovery document that speaks for somebody else.
        issuer.behave(|manners| manners.issuer = Some(other.base.clone()));
        world.clock.advance(KEPT_US);
        world.begin(&id).await.expect_refusal(502, "provider_unavailable");
    }

    async fn groups_give_roles_and_never_more_than_their_admin_may(world: &World) {
        let (owner, issuer) = (world.owner().await, Issuer::start().await);
        let admin = world.member(&owner, "admin", "admin").await;
        let rules = |role: &str| json!([{"group": "till", "role": "staff"}, {"group": "desk", "role": role}]);
        let body = with(with(provider(&issuer), "role_mapping", rules("manager")), "creates_users", json!(true));
        for (role, status, code) in [("owner", 400, "validation_error"), ("nonsense", 400, "validation_error")] {
            admin.post(OF_COMPANIES).json(&with(body.clone(), "role_mapping", rules(role))).await.expect_refusal(status, code);
        }
        let manager = world.member(&owner, "boss", "manager").await;
        manager.post(OF_COMPANIES).json(&body).await.expect_refusal(403, "permission_denied");
        let keeper = world.role(&owner, &["core.oidc-providers.*"]).await;
        let keeper = world.member(&owner, "keeper", &keeper).await;
        keeper.post(OF_COMPANIES).json(&body).await.expect_refusal(403, "permission_denied");
        let id = admin.post(OF_COMPANIES).json(&body).await.expect_status(201).text_at("/id");
        let claims = |groups: Value| with(issuer.claims("subject-1", "aline@example.com", world.kernel.now()), "groups", groups);
        // An unmapped group gives nothing.
        world.come(&issuer, &id, claims(json!(["everybody"]))).await.expect_refusal(403, "company_access_denied");
        let role_of = |answer: &Answer| answer.clone().expect_status(200).text_at("/companies/0/role");
        assert_eq!(role_of(&world.come(&issuer, &id, claims(json!(["till"]))).await), "staff");
        assert_eq!(role_of(&world.come(&issuer, &id, claims(json!(["desk"]))).await), "manager");
        assert_eq!(role_of(&world.come(&issuer, &id, claims(json!(["desk", "till"]))).await), "staff", "the first rule decides");
        // A lost group takes with it what it gave; a regained one gives it back.
        world.come(&issuer, &id, claims(json!([]))).await.expect_refusal(403, "company_access_denied");
        assert_eq!(role_of(&world.come(&issuer, &id, claims(json!(["till"]))).await), "staff");
        // What an admin took away, no group revives.
        let member = owner.get("/api/v1/memberships/").query("role", "staff").await.text_at("/results/0/id");
        owner.post(&format!("/api/v1/memberships/{member}/suspend/")).await.expect_status(200);
        world.come(&issuer, &id, claims(json!(["desk"]))).await.expect_refusal(403, "company_access_denied");
        owner.post(&format!("/api/v1/memberships/{member}/reactivate/")).await.expect_status(200);
        // The rules are worth what their writer is worth now.
        let writer = admin.membership().await;
        owner.post(&format!("/api/v1/memberships/{writer}/change-role/")).json(&json!({"role": "viewer"})).await.expect_status(200);
        world.come(&issuer, &id, claims(json!(["desk"]))).await.expect_refusal(403, "company_access_denied");
    }

    async fn a_companys_own_provider_opens_that_company_and_nothing_of_the_persons(world: &World) {
        let (owner, other, issuer) = (world.owner().await, world.register("other").await, Issuer::start().await);
        // Somebody who works in both; 002's admins must not come into 001 in their name.
        let person = world.member(&owner, "grace", "admin").await;
        world.join(&other, &person, "staff").await;
        world.verify_email(&person).await;
        let id = other.post(OF_COMPANIES).json(&provider(&issuer)).await.expect_status(201).text_at("/id");
        assert_json!(world.client().get("/api/v1/auth/oidc/").await.json(), {"results": []});
        let answer = world.come(&issuer, &id, issuer.claims("s", &person.email, world.kernel.now())).await.expect_status(200);
        let client = world.client().with_token(&answer.text_at("/access"));
        client.company("002").get("/api/v1/booking/appointments/").await.expect_status(200);
        client.company("001").get("/api/v1/booking/appointments/").await.expect_refusal(403, "company_access_denied");
        assert_json!(client.get("/api/v1/companies/").await.expect_status(200).json(), {"count": 1, "results": [{"code": "002"}]});
        assert_json!(client.get("/api/v1/auth/me/").await.json(), {"memberships": [{"company": "002"}]});
        let change = json!({"old_password": PASSWORD, "new_password": "anotherpass456"});
        client.post("/api/v1/auth/password/change/").json(&change).await.expect_refusal(403, "session_confined");
        client.post("/api/v1/auth/passkeys/register/begin/").json(&json!({"password": PASSWORD})).await.expect_refusal(403, "session_confined");
        // A renewal is no way out, and neither is a second factor.
        let renewed = world.client().post("/api/v1/auth/refresh/").json(&json!({"refresh": answer.at("/refresh")})).await.expect_status(200);
        let client = world.client().with_token(&renewed.text_at("/access"));
        client.company("001").get("/api/v1/booking/appointments/").await.expect_refusal(403, "company_access_denied");
        let keys = world.two_factor(&person).await;
        let asked = world.come(&issuer, &id, issuer.claims("s", &person.email, world.kernel.now())).await.expect_refusal(401, "mfa_required");
        let code = world.next_code(&keys);
        let answer = world.answer(&asked.text_at("/error/details/mfa_token"), &code).await.expect_status(200);
        let client = world.client().with_token(&answer.text_at("/access"));
        client.company("002").get("/api/v1/booking/appointments/").await.expect_status(200);
        client.company("001").get("/api/v1/booking/appointments/").await.expect_refusal(403, "company_access_denied");
        // A superuser who comes this way is none.
        let root = world.superuser().await;
        world.verify_email(&root).await;
        world.join(&other, &root, "staff").await;
        let answer = world.come(&issuer, &id, issuer.claims("r", &root.email, world.kernel.now())).await.expect_status(200);
        let client = world.client().with_token(&answer.text_at("/access"));
        client.get("/api/v1/users/").await.expect_refusal(403, "permission_denied");
        client.company("001").get("/api/v1/booking/appointments/").await.expect_refusal(403, "company_access_denied");
    }

    async fn a_trusted_providers_second_factor_counts_and_anothers_does_not(world: &World) {
        let (owner, root, issuer) = (world.owner().await, world.superuser().await, Issuer::start().await);
        world.verify_email(&owner).await;
        world.two_factor(&owner).await;
        owner.patch("/api/v1/companies/001/").json(&json!({"settings": {"require_two_factor": true}})).await.expect_status(200);
        let id = root.post(OWN).json(&provider(&issuer)).await.expect_status(201).text_at("/id");
        let claims = || with(issuer.claims("s", &owner.email, world.kernel.now()), "amr", json!(["pwd", "mfa"]));
        world.come(&issuer, &id, claims()).await.expect_refusal(401, "mfa_required");
        root.patch(&format!("{OWN}{id}/")).json(&json!({"trusts_mfa": true})).await.expect_status(200);
        let answer = world.come(&issuer, &id, claims()).await.expect_status(200);
        let client = world.client().with_token(&answer.text_at("/access")).company("001");
        client.get("/api/v1/booking/appointments/").await.expect_status(200);
        let without = with(claims(), "amr", json!(["pwd"]));
        world.come(&issuer, &id, without).await.expect_refusal(401, "mfa_required");
    }
}

each_engine! {
    async fn an_issuer_in_the_own_network_is_not_called(world: &Guarded) {
        let (owner, issuer) = (world.owner().await, Issuer::start().await);
        owner.post(OF_COMPANIES).json(&provider(&issuer)).await.expect_field("issuer", "invalid");
        for bad in ["nonsense", "https://issuer.example.com/?a=b", "ftp://issuer.example.com"] {
            let body = with(provider(&issuer), "issuer", json!(bad));
            owner.post(OF_COMPANIES).json(&body).await.expect_field("issuer", "invalid");
        }
    }

    async fn providers_belong_to_their_company(world: &World) {
        let (owner, stranger, issuer) = (world.owner().await, world.register("stranger").await, Issuer::start().await);
        let body = with(provider(&issuer), "issuer", json!("https://issuer.example.com"));
        let id = owner.post(OF_COMPANIES).json(&body).await.expect_status(201).text_at("/id");
        let item = format!("{OF_COMPANIES}{id}/");
        stranger.get(&item).await.expect_refusal(404, "not_found");
        stranger.patch(&item).json(&json!({"name": "Mine"})).await.expect_refusal(404, "not_found");
        stranger.delete(&item).await.expect_refusal(404, "not_found");
        assert_json!(owner.patch(&item).json(&json!({"name": "Ours"})).await.expect_status(200).json(), {"name": "Ours", "issuer": "https://issuer.example.com"});
        owner.delete(&item).await.expect_status(204);
    }
}
