//! Addresses that somebody else registered first: their person comes by a letter, and finds nobody else in the account.

use loopd_testkit::{Answer, Passkey, assert_json, each_engine, json};

use crate::support::{Actor, PASSWORD, World, eventually};

const APPOINTMENTS: &str = "/api/v1/booking/appointments/";
const ACCEPT: &str = "/api/v1/invitations/accept/";
const VERIFY: &str = "/api/v1/auth/email/verify/";
const ME: &str = "/api/v1/auth/me/";
const NEW: &str = "another pass 456";

impl World {
    /// Sets another password by letter.
    pub async fn reset_password(&self, email: &str, password: &str) {
        let client = self.client();
        client.post("/api/v1/auth/password/reset/").json(&json!({"email": email})).await.expect_status(202);
        eventually("the letter is written", async || !self.letters_of(email, "password-reset").await.is_empty()).await;
        let token = self.letter(email, "password-reset").await.token();
        let body = json!({"token": token, "new_password": password});
        client.post("/api/v1/auth/password/reset/confirm/").json(&body).await.expect_status(204);
    }
}

async fn login(world: &World, email: &str, password: &str) -> Answer {
    world.client().post("/api/v1/auth/login/").json(&json!({"email": email, "password": password})).await
}

async fn by_passkey(world: &World, device: &mut Passkey) -> Answer {
    let path = "/api/v1/auth/passkeys/sign-in/";
    let asked = world.client().post(&format!("{path}begin/")).json(&json!({})).await.expect_status(200);
    let body = json!({"ceremony": asked.at("/ceremony"), "credential": device.assert(&asked.at("/public_key"))});
    world.client().post(&format!("{path}finish/")).json(&body).await
}

/// Invites somebody as admin: the token of the letter.
async fn invited(world: &World, boss: &Actor, email: &str) -> String {
    let body = json!({"email": email, "role": "admin"});
    boss.post("/api/v1/invitations/").json(&body).await.expect_status(201);
    world.letter(email, "invitation").await.token()
}

each_engine! {
    async fn the_first_reset_by_letter_leaves_a_squatter_nothing(world: &World) {
        let (owner, root, squatter) = (world.owner().await, world.superuser().await, world.register("victim").await);
        let second = world.sign_in(&squatter.email, "").await;
        let (_, key) = world.key(&squatter, &["*"]).await;
        let (mut device, _) = world.passkey(&squatter, "Squatter's").await;
        world.two_factor(&squatter).await;
        let moving = json!({"new_email": "squatter@example.com", "password": PASSWORD});
        squatter.post("/api/v1/auth/email/change/").json(&moving).await.expect_status(202);
        let moving = world.letter("squatter@example.com", "verify-email").await.token();
        by_passkey(world, &mut device).await.expect_status(200);
        let invitation = invited(world, &owner, &squatter.email).await;
        world.reset_password(&squatter.email, NEW).await;
        let victim = login(world, &squatter.email, NEW).await.expect_status(200);
        world.client().post(ACCEPT).json(&json!({"token": invitation})).await.expect_status(200);
        let victim = world.client().with_token(&victim.text_at("/access")).company("001");
        victim.get(APPOINTMENTS).await.expect_status(200);
        assert_json!(victim.get(ME).await.expect_status(200).json(), {"user": {"email_verified": true}});
        assert_json!(victim.get("/api/v1/auth/2fa/").await.json(), {"enabled": false, "passkeys": 0, "recovery_codes_left": 0});
        for session in [&squatter, &second] {
            session.in_company("001").get(APPOINTMENTS).await.expect_refusal(401, "token_not_valid");
            let renewal = json!({"refresh": session.refresh});
            world.client().post("/api/v1/auth/refresh/").json(&renewal).await.expect_refusal(401, "token_not_valid");
        }
        key.get(ME).await.expect_refusal(401, "invalid_api_key");
        by_passkey(world, &mut device).await.expect_refusal(401, "passkey_not_valid");
        let body = json!({"token": moving, "password": NEW});
        world.client().post(VERIFY).json(&body).await.expect_refusal(400, "link_not_valid");
        let noted = root.get("/api/v1/audit-logs/").query("action", "password-reset").await.expect_status(200);
        assert_json!(noted.json(), {"count": 1, "results": [{"changes": {
            "email_verified": [false, true], "removed": {"passkeys": 1, "totp_factors": 1, "recovery_codes": 10, "credentials": 1}}}]});
    }

    async fn a_later_reset_leaves_second_factors_and_keys(world: &World) {
        let owner = world.owner().await;
        world.verify_email(&owner).await;
        let (_, key) = world.key(&owner, &["*"]).await;
        let (mut device, _) = world.passkey(&owner, "Telephone").await;
        world.reset_password(&owner.email, NEW).await;
        owner.get(ME).await.expect_refusal(401, "token_not_valid");
        login(world, &owner.email, NEW).await.expect_refusal(401, "mfa_required");
        key.get(APPOINTMENTS).await.expect_status(200);
        by_passkey(world, &mut device).await.expect_status(200);
    }

    async fn a_letter_alone_vouches_for_nobody(world: &World) {
        let (owner, squatter) = (world.owner().await, world.register("victim").await);
        let (_, key) = world.key(&squatter, &["*"]).await;
        let token = world.letter(&squatter.email, "verify-email").await.token();
        let body = json!({"token": token});
        // The victim, who has the letter: without a session, in an account of theirs, with a guess at the password.
        for reader in [&world.client(), &*owner, &key, &world.client().with_token("nonsense")] {
            reader.post(VERIFY).json(&body).await.expect_field("password", "required");
        }
        let guess = json!({"token": token, "password": "not this one"});
        world.client().post(VERIFY).json(&guess).await.expect_field("password", "invalid");
        let invitation = invited(world, &owner, &squatter.email).await;
        let shown = world.client().post("/api/v1/invitations/lookup/").json(&json!({"token": invitation})).await;
        assert_json!(shown.expect_status(200).json(), {"needs_password": true});
        world.client().post(ACCEPT).json(&json!({"token": invitation})).await.expect_field("password", "required");
        squatter.in_company("001").get(APPOINTMENTS).await.expect_refusal(403, "company_access_denied");
        // Nor does another address become a squatter's by a click.
        let other = json!({"new_email": "director@example.com", "password": PASSWORD});
        squatter.post("/api/v1/auth/email/change/").json(&other).await.expect_status(202);
        let other = json!({"token": world.letter("director@example.com", "verify-email").await.token()});
        world.client().post(VERIFY).json(&other).await.expect_field("password", "required");
        login(world, "director@example.com", PASSWORD).await.expect_refusal(401, "no_active_account");
        // Whoever has both, in either way, has shown their address, and goes on in the session that they have.
        squatter.post(VERIFY).json(&body).await.expect_status(200);
        assert_json!(squatter.get(ME).await.expect_status(200).json(), {"user": {"email_verified": true}});
        let elsewhere = world.register("elsewhere").await;
        let token = world.letter(&elsewhere.email, "verify-email").await.token();
        let body = json!({"token": token, "password": PASSWORD});
        let again = || world.client().post(VERIFY).header("idempotency-key", "once").json(&body);
        assert_eq!(again().await.expect_status(200).json(), again().await.expect_status(200).json());
        assert_json!(elsewhere.get(ME).await.expect_status(200).json(), {"user": {"email_verified": true}});
    }

    /// An operator in the person's name is not the person.
    async fn an_operators_session_in_somebodys_name_verifies_nothing(world: &World) {
        let (root, person) = (world.superuser().await, world.register("victim").await);
        let token = world.letter(&person.email, "verify-email").await.token();
        let begun = root.post(&format!("/api/v1/users/{}/impersonate/", person.user)).json(&json!({"reason": "Ticket 4711: the report does not open"})).await;
        let operator = world.client().with_token(&begun.expect_status(201).text_at("/access"));
        operator.post(VERIFY).json(&json!({"token": token})).await.expect_field("password", "required");
    }
}
