//! A forgotten password, a verified address, another address.

use loopd_testkit::{assert_json, each_engine, json};
use loopd_types::{HOUR_US, MINUTE_US};

use crate::support::{Actor, World, eventually};

const FORGOT: &str = "/api/v1/auth/password/reset/";
const RESET: &str = "/api/v1/auth/password/reset/confirm/";
const VERIFY: &str = "/api/v1/auth/email/verify/";
const CHANGE: &str = "/api/v1/auth/email/change/";

/// Asks for a link and takes it from the mailbox.
async fn forgot(world: &World, email: &str) -> String {
    let before = world.letters_of(email, "password-reset").await.len();
    world.client().post(FORGOT).json(&json!({"email": email})).await.expect_status(202);
    eventually("the letter is written", async || world.letters_of(email, "password-reset").await.len() > before).await;
    world.letter(email, "password-reset").await.token()
}

async fn login(world: &World, email: &str, password: &str) -> u16 {
    world.client().post("/api/v1/auth/login/").json(&json!({"email": email, "password": password})).await.status
}

async fn is_verified(actor: &Actor) -> bool {
    actor.get("/api/v1/auth/me/").await.expect_status(200).at("/user/email_verified") == json!(true)
}

each_engine! {
    async fn a_new_password_is_set_once_and_ends_every_session(world: &World) {
        let owner = world.owner().await;
        let token = forgot(world, &owner.email).await;
        let weak = json!({"token": token, "new_password": "password"});
        world.client().post(RESET).json(&weak).await.expect_refusal(400, "validation_error");
        let body = json!({"token": token, "new_password": "another pass 456"});
        world.client().post(RESET).json(&body).await.expect_status(204);
        owner.get("/api/v1/auth/me/").await.expect_refusal(401, "token_not_valid");
        assert_eq!(login(world, &owner.email, "strongpass123").await, 401);
        assert_eq!(login(world, &owner.email, "another pass 456").await, 200);
        world.client().post(RESET).json(&body).await.expect_refusal(400, "link_not_valid");
        world.letter(&owner.email, "password-changed").await;
        let root = world.superuser().await;
        let noted = root.get("/api/v1/audit-logs/").query("action", "password-reset").await.expect_status(200);
        assert_json!(noted.json(), {"count": 1, "results": [{"target": owner.user}]});
        assert!(!noted.text().contains(&token));
    }

    async fn nobody_learns_who_has_an_account(world: &World) {
        let owner = world.owner().await;
        let known = world.client().post(FORGOT).json(&json!({"email": owner.email})).await.expect_status(202);
        let unknown = world.client().post(FORGOT).json(&json!({"email": "nobody@example.com"})).await.expect_status(202);
        assert_eq!((known.text(), known.headers.get("content-type")), (unknown.text(), unknown.headers.get("content-type")));
        eventually("the letter is written", async || !world.letters_of(&owner.email, "password-reset").await.is_empty()).await;
        assert!(world.letters("nobody@example.com").await.is_empty());
    }

    async fn a_link_is_good_for_half_an_hour_and_only_the_newest_is(world: &World) {
        let owner = world.owner().await;
        let first = forgot(world, &owner.email).await;
        let second = forgot(world, &owner.email).await;
        let body = |token: &str| json!({"token": token, "new_password": "another pass 456"});
        world.client().post(RESET).json(&body(&first)).await.expect_refusal(400, "link_not_valid");
        world.clock.advance(30 * MINUTE_US);
        world.client().post(RESET).json(&body(&second)).await.expect_refusal(400, "link_not_valid");
        world.client().post(RESET).json(&body("nonsense")).await.expect_refusal(400, "link_not_valid");
    }

    async fn a_mailbox_is_not_flooded(world: &World) {
        let owner = world.owner().await;
        for _ in 0..3 {
            forgot(world, &owner.email).await;
        }
        world.client().post(FORGOT).json(&json!({"email": owner.email})).await.expect_status(202);
        // The next job in line is done after the one that writes nothing.
        let other = world.person("other").await;
        forgot(world, &other.email).await;
        assert_eq!(world.letters_of(&owner.email, "password-reset").await.len(), 3);
    }

    async fn a_registration_asks_to_verify_the_address(world: &World) {
        let owner = world.owner().await;
        assert!(!is_verified(&owner).await);
        let token = world.letter(&owner.email, "verify-email").await.token();
        owner.post("/api/v1/auth/email/verify/resend/").await.expect_status(202);
        let newer = world.letter(&owner.email, "verify-email").await.token();
        owner.post(VERIFY).json(&json!({"token": token})).await.expect_refusal(400, "link_not_valid");
        let done = owner.post(VERIFY).json(&json!({"token": newer})).await.expect_status(200);
        assert_json!(done.json(), {"email": owner.email});
        assert!(is_verified(&owner).await);
        owner.post(VERIFY).json(&json!({"token": newer})).await.expect_refusal(400, "link_not_valid");
        let letters = world.letters(&owner.email).await.len();
        owner.post("/api/v1/auth/email/verify/resend/").await.expect_status(202);
        assert_eq!(world.letters(&owner.email).await.len(), letters, "a verified address needs no link");
    }

    async fn another_address_counts_once_it_is_verified_and_the_old_one_is_told(world: &World) {
        let owner = world.owner().await;
        let wrong = json!({"new_email": "new@example.com", "password": "not this one"});
        owner.post(CHANGE).json(&wrong).await.expect_refusal(400, "validation_error");
        let stale = forgot(world, &owner.email).await;
        let body = json!({"new_email": "New@example.com", "password": "strongpass123"});
        owner.post(CHANGE).json(&body).await.expect_status(202);
        assert!(world.letter(&owner.email, "email-change-asked").await.text.contains("new@example.com"));
        assert_eq!(login(world, "new@example.com", "strongpass123").await, 401, "not before the link is opened");
        let token = world.letter("new@example.com", "verify-email").await.token();
        owner.post(VERIFY).json(&json!({"token": token})).await.expect_status(200);
        world.letter(&owner.email, "email-changed").await;
        assert_eq!(login(world, &owner.email, "strongpass123").await, 401);
        assert_eq!(login(world, "new@example.com", "strongpass123").await, 200);
        assert!(is_verified(&owner).await, "who is signed in stays so");
        let late = json!({"token": stale, "new_password": "another pass 456"});
        world.client().post(RESET).json(&late).await.expect_refusal(400, "link_not_valid");
    }

    async fn somebody_elses_address_is_neither_taken_nor_told_of(world: &World) {
        let (owner, stranger) = world.strangers().await;
        let letters = world.letters(&stranger.email).await.len();
        let body = json!({"new_email": stranger.email, "password": "strongpass123"});
        owner.post(CHANGE).json(&body).await.expect_status(202);
        assert_eq!(world.letters(&stranger.email).await.len(), letters);
        // The address is taken while the link is under way.
        owner.post(CHANGE).json(&json!({"new_email": "late@example.com", "password": "strongpass123"})).await.expect_status(202);
        let token = world.letter("late@example.com", "verify-email").await.token();
        world.register("late").await;
        owner.post(VERIFY).json(&json!({"token": token})).await.expect_refusal(409, "email_taken");
    }

    async fn letters_for_an_address_are_bounded(world: &World) {
        let owner = world.owner().await;
        for _ in 1..5 {
            owner.post("/api/v1/auth/email/verify/resend/").await.expect_status(202);
        }
        owner.post("/api/v1/auth/email/verify/resend/").await.expect_refusal(429, "throttled");
        world.clock.advance(HOUR_US + 1);
        let again = world.sign_in(&owner.email, "001").await;
        again.post("/api/v1/auth/email/verify/resend/").await.expect_status(202);
    }
}
