//! Invitations through the door that people use; `invitations_model.rs` tries every order of acts.

use loopd_testkit::{Answer, assert_json, each_engine, json};
use loopd_types::DAY_US;
use serde_json::Value;

use crate::support::{Actor, World};

const INVITATIONS: &str = "/api/v1/invitations/";
const ACCEPT: &str = "/api/v1/invitations/accept/";
const LOOKUP: &str = "/api/v1/invitations/lookup/";

fn item(id: &str, action: &str) -> String {
    format!("{INVITATIONS}{id}/{action}")
}

async fn invite(boss: &Actor, email: &str, role: &str) -> Answer {
    boss.post(INVITATIONS).json(&json!({"email": email, "role": role})).await
}

/// Invites somebody: the row's id and the link's token.
async fn invited(world: &World, boss: &Actor, email: &str, role: &str) -> (String, String) {
    let id = invite(boss, email, role).await.expect_status(201).text_at("/id");
    (id, world.letter(email, "invitation").await.token())
}

async fn accept(world: &World, body: Value) -> Answer {
    world.client().post(ACCEPT).json(&body).await
}

each_engine! {
    async fn a_person_without_an_account_makes_one_by_accepting(world: &World) {
        let owner = world.owner().await;
        let (id, token) = invited(world, &owner, "Grace@example.com".to_lowercase().as_str(), "manager").await;
        let row = owner.get(&item(&id, "")).await.expect_status(200);
        assert_json!(row.json(), {"email": "grace@example.com", "role": "manager", "status": "pending", "sent_count": 1, "company": "001"});
        assert!(!row.text().contains(&token));
        let shown = world.client().post(LOOKUP).json(&json!({"token": token})).await.expect_status(200);
        assert_json!(shown.json(), {"email": "grace@example.com", "company_name": "owner Ltd", "role_name": "Manager",
            "invited_by": "owner", "has_account": false, "needs_password": false});
        accept(world, json!({"token": token})).await.expect_refusal(400, "validation_error");
        accept(world, json!({"token": token, "username": "grace", "password": "12345678"})).await.expect_refusal(400, "validation_error");
        let body = json!({"token": token, "username": "grace", "password": "strongpass123", "first_name": "Grace"});
        let made = accept(world, body.clone()).await.expect_status(200);
        assert_json!(made.json(), {"user": {"email": "grace@example.com"}, "company": {"code": "001"}, "membership": {"role": "manager", "status": "active"}});
        let grace = world.client().with_token(&made.text_at("/access"));
        assert_json!(grace.get("/api/v1/auth/me/").await.expect_status(200).json(), {"user": {"email_verified": true}, "company": {"code": "001"}});
        accept(world, body).await.expect_refusal(400, "link_not_valid");
        assert_json!(owner.get(&item(&id, "")).await.expect_status(200).json(), {"status": "accepted"});
        let noted = owner.get("/api/v1/audit-logs/").query("resource", "invitations").query("action", "accept").await.expect_status(200);
        assert_json!(noted.json(), {"count": 1, "results": [{"target": id, "label": "grace@example.com"}]});
    }

    async fn a_registration_with_an_invitation_makes_no_company(world: &World) {
        let owner = world.owner().await;
        let (_, token) = invited(world, &owner, "grace@example.com", "staff").await;
        let mut body = json!({"email": "eve@example.com", "username": "grace", "password": "strongpass123", "invitation": token});
        world.client().post("/api/v1/auth/register/").json(&body).await.expect_refusal(400, "validation_error");
        body["email"] = json!("grace@example.com");
        let made = world.client().post("/api/v1/auth/register/").json(&body).await.expect_status(201);
        assert_json!(made.json(), {"company": {"code": "001"}, "membership": {"role": "staff"}});
        world.client().post("/api/v1/auth/register/").json(&body).await.expect_refusal(400, "link_not_valid");
        let alone = json!({"email": "eve@example.com", "username": "eve", "password": "strongpass123"});
        world.client().post("/api/v1/auth/register/").json(&alone).await.expect_refusal(400, "validation_error");
    }

    async fn a_verified_person_joins_by_the_link_alone_and_is_given_no_session(world: &World) {
        let (owner, grace) = (world.owner().await, world.register("grace").await);
        let token = world.letter(&grace.email, "verify-email").await.token();
        grace.post("/api/v1/auth/email/verify/").json(&json!({"token": token})).await.expect_status(200);
        let (_, token) = invited(world, &owner, &grace.email, "staff").await;
        let joined = accept(world, json!({"token": token})).await.expect_status(200);
        assert_json!(joined.json(), {"membership": {"role": "staff"}, "access": null, "refresh": null});
        grace.in_company("001").get("/api/v1/workspaces/").await.expect_status(200);
    }

    /// Whoever registered somebody else's address first must not be let in by the right person's click.
    async fn an_unverified_account_joins_with_its_password_only(world: &World) {
        let (owner, squatter) = (world.owner().await, world.register("grace").await);
        let (_, token) = invited(world, &owner, &squatter.email, "admin").await;
        let shown = world.client().post(LOOKUP).json(&json!({"token": token})).await.expect_status(200);
        assert_json!(shown.json(), {"has_account": true, "needs_password": true});
        accept(world, json!({"token": token})).await.expect_field("password", "required");
        accept(world, json!({"token": token, "password": "not this one"})).await.expect_refusal(401, "no_active_account");
        squatter.in_company("001").get("/api/v1/workspaces/").await.expect_refusal(403, "company_access_denied");
        accept(world, json!({"token": token, "password": "strongpass123"})).await.expect_status(200);
        squatter.in_company("001").get("/api/v1/workspaces/").await.expect_status(200);
    }

    async fn sending_again_kills_the_old_link(world: &World) {
        let owner = world.owner().await;
        let (id, old) = invited(world, &owner, "grace@example.com", "staff").await;
        assert_json!(owner.post(&item(&id, "resend/")).await.expect_status(200).json(), {"sent_count": 2});
        let new = world.letter("grace@example.com", "invitation").await.token();
        let body = |token: &str| json!({"token": token, "username": "grace", "password": "strongpass123"});
        accept(world, body(&old)).await.expect_refusal(400, "link_not_valid");
        accept(world, body(&new)).await.expect_status(200);
        owner.post(&item(&id, "resend/")).await.expect_refusal(409, "invalid_transition");
    }

    async fn what_ended_is_not_revived(world: &World) {
        let owner = world.owner().await;
        let (revoked, token) = invited(world, &owner, "grace@example.com", "staff").await;
        invite(&owner, "grace@example.com", "staff").await.expect_refusal(400, "validation_error");
        owner.post(&item(&revoked, "revoke/")).await.expect_status(200);
        let (declined, refused) = invited(world, &owner, "grace@example.com", "staff").await;
        world.client().post("/api/v1/invitations/decline/").json(&json!({"token": refused})).await.expect_status(204);
        let (late, expired) = invited(world, &owner, "grace@example.com", "staff").await;
        world.clock.advance(7 * DAY_US);
        let owner = world.sign_in(&owner.email, "001").await;
        for (id, token) in [(revoked, token), (declined, refused), (late, expired)] {
            accept(world, json!({"token": token, "username": "grace", "password": "strongpass123"})).await.expect_refusal(400, "link_not_valid");
            world.client().post(LOOKUP).json(&json!({"token": token})).await.expect_refusal(400, "link_not_valid");
            for action in ["resend/", "revoke/"] {
                owner.post(&item(&id, action)).await.expect_refusal(409, "invalid_transition");
            }
        }
        invited(world, &owner, "grace@example.com", "staff").await;
    }

    async fn nobody_invites_above_their_own_right(world: &World) {
        let owner = world.owner().await;
        let admin = world.member(&owner, "admin", "admin").await;
        invite(&admin, "a@example.com", "owner").await.expect_refusal(403, "permission_denied");
        invite(&owner, "a@example.com", "no-such-role").await.expect_refusal(400, "validation_error");
        let (id, _) = invited(world, &owner, "b@example.com", "owner").await;
        admin.post(&item(&id, "resend/")).await.expect_refusal(403, "permission_denied");
        let manager = world.member(&owner, "manager", "manager").await;
        invite(&manager, "c@example.com", "viewer").await.expect_refusal(403, "permission_denied");
        invite(&owner, &manager.email, "viewer").await.expect_refusal(400, "validation_error");
    }

    async fn an_invitation_ends_with_its_givers_rights(world: &World) {
        let owner = world.owner().await;
        let admin = world.member(&owner, "admin", "admin").await;
        let (id, token) = invited(world, &admin, "friend@example.com", "admin").await;
        let membership = admin.membership().await;
        owner.post(&format!("/api/v1/memberships/{membership}/remove/")).await.expect_status(200);
        let body = |token: &str| json!({"token": token, "username": "friend", "password": "strongpass123"});
        accept(world, body(&token)).await.expect_refusal(409, "invitation_lapsed");
        // Somebody who may gives it anew.
        owner.post(&item(&id, "resend/")).await.expect_status(200);
        accept(world, body(&world.letter("friend@example.com", "invitation").await.token())).await.expect_status(200);
    }

    async fn whoever_was_removed_does_not_come_back_by_an_old_letter(world: &World) {
        let (owner, grace) = (world.owner().await, world.register("grace").await);
        let (_, token) = invited(world, &owner, &grace.email, "admin").await;
        world.join(&owner, &grace, "viewer").await;
        let row = owner.get("/api/v1/memberships/").query("user", &grace.user).await.expect_status(200).text_at("/results/0/id");
        owner.post(&format!("/api/v1/memberships/{row}/remove/")).await.expect_status(200);
        accept(world, json!({"token": token, "password": "strongpass123"})).await.expect_refusal(400, "link_not_valid");
    }

    async fn an_invitation_opens_its_workspaces_and_no_others(world: &World) {
        let owner = world.owner().await;
        let huye = owner.make("/api/v1/workspaces/", json!({"name": "Huye"})).await;
        let body = json!({"email": "grace@example.com", "role": "staff", "workspaces": [huye]});
        owner.post(INVITATIONS).json(&body).await.expect_status(201);
        let token = world.letter("grace@example.com", "invitation").await.token();
        let made = accept(world, json!({"token": token, "username": "grace", "password": "strongpass123"})).await.expect_status(200);
        let grace = world.client().with_token(&made.text_at("/access")).company("001");
        assert_json!(grace.get("/api/v1/auth/me/").await.expect_status(200).json(), {"memberships": [{"workspaces": [huye]}]});
        let foreign = json!({"email": "x@example.com", "role": "staff", "workspaces": ["0197a000-0000-7000-8000-000000000000"]});
        owner.post(INVITATIONS).json(&foreign).await.expect_refusal(400, "validation_error");
    }

    async fn the_letter_speaks_the_readers_language(world: &World) {
        let (owner, grace) = (world.owner().await, world.register("grace").await);
        grace.patch("/api/v1/auth/me/").json(&json!({"language": "rw"})).await.expect_status(200);
        invited(world, &owner, &grace.email, "staff").await;
        owner.patch("/api/v1/companies/001/").json(&json!({"language": "fr"})).await.expect_status(200);
        invited(world, &owner, "new@example.com", "staff").await;
        let (known, new) = (world.letter(&grace.email, "invitation").await, world.letter("new@example.com", "invitation").await);
        assert_eq!((known.language.as_str(), new.language.as_str()), ("rw", "fr"));
        assert!(known.subject.contains("yagutumiye") && new.subject.contains("vous invite"), "{known:?} {new:?}");
    }
}
