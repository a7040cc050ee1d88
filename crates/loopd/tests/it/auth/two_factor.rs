//! Codes by time and recovery codes: `/auth/2fa/…`, `/auth/mfa/verify/`, and companies that require them.

use loopd_testkit::{assert_json, each_engine, json, totp};
use loopd_types::{DAY_US, MINUTE_US, SECOND_US};

use crate::support::{PASSWORD, World};

const ME: &str = "/api/v1/auth/me/";
const STATUS: &str = "/api/v1/auth/2fa/";
const APPOINTMENTS: &str = "/api/v1/booking/appointments/";

each_engine! {
    async fn a_password_alone_gives_no_token_once_two_factor_is_enabled(world: &World) {
        let owner = world.owner().await;
        let keys = world.two_factor(&owner).await;
        let login = json!({"email": owner.email, "password": PASSWORD});
        let asked = world.client().post("/api/v1/auth/login/").json(&login).await.expect_refusal(401, "mfa_required");
        assert_json!(asked.at("/error/details"), {"mfa_token": "[any]", "methods": ["totp", "recovery_code"], "expires_in": 600});
        assert!(!asked.text().contains("access"), "{}", asked.text());
        let code = world.next_code(&keys);
        let answer = world.answer(&asked.text_at("/error/details/mfa_token"), &code).await.expect_status(200);
        assert_json!(answer.json(), {
            "user": {"id": owner.user, "email": "owner@example.com", "username": "owner"},
            "companies": [{"code": "001", "name": "owner Ltd", "role": "owner"}],
            "access": "[token]", "refresh": "[token]", "access_token": "[token]", "refresh_token": "[token]",
            "token_type": "Bearer", "expires_in": 1800,
        });
        let client = world.client().with_token(&answer.text_at("/access"));
        assert_json!(client.get(STATUS).await.expect_status(200).json(), {"enabled": true, "session": true, "recovery_codes_left": 10, "passkeys": 0});
    }

    async fn a_secret_counts_only_after_its_first_code_and_is_not_shown_again(world: &World) {
        let owner = world.owner().await;
        let wrong = json!({"password": "wrongpass123"});
        owner.post("/api/v1/auth/2fa/setup/").json(&wrong).await.expect_field("password", "invalid");
        owner.post("/api/v1/auth/2fa/setup/").json(&json!({})).await.expect_field("password", "required");
        owner.post("/api/v1/auth/2fa/enable/").json(&json!({"code": "123456"})).await.expect_refusal(409, "two_factor_not_set_up");
        let setup = owner.post("/api/v1/auth/2fa/setup/").json(&json!({"password": PASSWORD})).await.expect_status(200);
        let (secret, uri) = (setup.text_at("/secret"), setup.text_at("/otpauth_uri"));
        assert!(uri.starts_with("otpauth://totp/LOOP:owner%40example.com?") && uri.contains(&secret), "{uri}");
        assert!(setup.text_at("/qr_svg").starts_with("<svg"));
        // Not in force yet.
        world.sign_in(&owner.email, "001").await;
        owner.post("/api/v1/auth/2fa/enable/").json(&json!({"code": "000000"})).await.expect_field("code", "invalid");
        owner.post("/api/v1/auth/2fa/enable/").json(&json!({"code": totp(&secret, world.kernel.now())})).await.expect_status(200);
        assert!(!owner.get(STATUS).await.expect_status(200).text().contains(&secret));
        world.challenge(&owner.email).await;
    }

    async fn a_code_is_taken_once(world: &World) {
        let owner = world.owner().await;
        let keys = world.two_factor(&owner).await;
        // The code that enabled it is used up.
        let stale = keys.code(world.kernel.now());
        world.answer(&world.challenge(&owner.email).await, &stale).await.expect_refusal(401, "mfa_code_not_valid");
        let code = world.next_code(&keys);
        let (one, two) = (world.challenge(&owner.email).await, world.challenge(&owner.email).await);
        world.answer(&one, &code).await.expect_status(200);
        world.answer(&two, &code).await.expect_refusal(401, "mfa_code_not_valid");
        // And so is its challenge.
        let next = world.next_code(&keys);
        world.answer(&one, &next).await.expect_refusal(401, "mfa_token_not_valid");
        world.answer(&two, &next).await.expect_status(200);
    }

    async fn one_code_or_one_challenge_used_at_once_gives_one_session(world: &World) {
        let owner = world.owner().await;
        let keys = world.two_factor(&owner).await;
        for recovery_code in &keys.recovery_codes[..3] {
            let tokens = [world.challenge(&owner.email).await, world.challenge(&owner.email).await, world.challenge(&owner.email).await];
            let (a, b, c) = tokio::join!(
                world.answer(&tokens[0], recovery_code),
                world.answer(&tokens[1], recovery_code),
                world.answer(&tokens[2], recovery_code)
            );
            let good = [&a, &b, &c].iter().filter(|answer| answer.status == 200).count();
            assert_eq!(good, 1, "{} {} {}", a.text(), b.text(), c.text());
        }
        let token = world.challenge(&owner.email).await;
        let (a, b) = tokio::join!(world.answer(&token, &keys.recovery_codes[3]), world.answer(&token, &keys.recovery_codes[4]));
        assert_eq!([a.status, b.status].iter().filter(|status| **status == 200).count(), 1, "{} {}", a.text(), b.text());
        let code = world.next_code(&keys);
        let tokens = [world.challenge(&owner.email).await, world.challenge(&owner.email).await];
        let (a, b) = tokio::join!(world.answer(&tokens[0], &code), world.answer(&tokens[1], &code));
        assert_eq!([a.status, b.status].iter().filter(|status| **status == 200).count(), 1, "{} {}", a.text(), b.text());
    }

    async fn recovery_codes_work_once_and_are_void_when_new_ones_are_made(world: &World) {
        let owner = world.owner().await;
        let keys = world.two_factor(&owner).await;
        assert_eq!(keys.recovery_codes.len(), 10);
        let shouted = keys.recovery_codes[0].to_uppercase();
        world.answer(&world.challenge(&owner.email).await, &shouted).await.expect_status(200);
        world.answer(&world.challenge(&owner.email).await, &keys.recovery_codes[0]).await.expect_refusal(401, "mfa_code_not_valid");
        assert_json!(owner.get(STATUS).await.json(), {"recovery_codes_left": 9});
        let proof = json!({"code": world.next_code(&keys)});
        let fresh = owner.post("/api/v1/auth/2fa/recovery-codes/").json(&proof).await.expect_status(200);
        owner.post("/api/v1/auth/2fa/recovery-codes/").json(&proof).await.expect_field("code", "invalid");
        world.answer(&world.challenge(&owner.email).await, &keys.recovery_codes[1]).await.expect_refusal(401, "mfa_code_not_valid");
        world.answer(&world.challenge(&owner.email).await, &fresh.text_at("/recovery_codes/9")).await.expect_status(200);
    }

    async fn wrong_codes_lock_codes_by_time_and_leave_recovery_codes(world: &World) {
        let owner = world.owner().await;
        let keys = world.two_factor(&owner).await;
        let wrong = |code: String| if code == "000000" { "000001".to_owned() } else { "000000".to_owned() };
        for _ in 0..5 {
            let guess = wrong(world.next_code(&keys));
            world.answer(&world.challenge(&owner.email).await, &guess).await.expect_refusal(401, "mfa_code_not_valid");
        }
        // Now even the right one is refused, whatever the address and the challenge.
        let right = world.next_code(&keys);
        let locked = world.answer(&world.challenge(&owner.email).await, &right).await.expect_refusal(429, "throttled");
        let wait: i64 = locked.header("retry-after").expect("how long").parse().expect("seconds");
        assert!((800..=900).contains(&wait), "{wait}");
        world.clock.advance(15 * MINUTE_US);
        let right = world.next_code(&keys);
        world.answer(&world.challenge(&owner.email).await, &right).await.expect_status(200);
        // A right code has set the count back.
        for _ in 0..4 {
            let guess = wrong(world.next_code(&keys));
            world.answer(&world.challenge(&owner.email).await, &guess).await.expect_refusal(401, "mfa_code_not_valid");
        }
        let right = world.next_code(&keys);
        world.answer(&world.challenge(&owner.email).await, &right).await.expect_status(200);
        for _ in 0..5 {
            let guess = wrong(world.next_code(&keys));
            world.answer(&world.challenge(&owner.email).await, &guess).await.expect_refusal(401, "mfa_code_not_valid");
        }
        // Who has lost the telephone and meets a stranger's lock comes in all the same.
        world.answer(&world.challenge(&owner.email).await, &keys.recovery_codes[0]).await.expect_status(200);
    }

    async fn many_guesses_at_once_count_as_many(world: &World) {
        let owner = world.owner().await;
        world.two_factor(&owner).await;
        let token = world.challenge(&owner.email).await;
        let guesses = (0..12).map(|number| {
            let (token, code) = (token.clone(), format!("{number:06}"));
            async move { world.answer(&token, &code).await.status }
        });
        let mut statuses = Vec::new();
        for answer in futures(guesses).await {
            statuses.push(answer);
        }
        // Five are looked at at most; one of a million may be right.
        assert!(statuses.iter().filter(|status| **status != 429).count() <= 7, "{statuses:?}");
        assert!(statuses.iter().filter(|status| **status == 429).count() >= 5, "{statuses:?}");
    }

    async fn a_challenge_ends_after_ten_minutes_and_with_a_new_password(world: &World) {
        let owner = world.owner().await;
        let keys = world.two_factor(&owner).await;
        let token = world.challenge(&owner.email).await;
        world.clock.advance(10 * MINUTE_US + SECOND_US);
        world.answer(&token, &keys.code(world.kernel.now())).await.expect_refusal(401, "mfa_token_not_valid");
        let token = world.challenge(&owner.email).await;
        let change = json!({"old_password": PASSWORD, "new_password": "anotherpass456"});
        owner.post("/api/v1/auth/password/change/").json(&change).await.expect_status(204);
        world.answer(&token, &world.next_code(&keys)).await.expect_refusal(401, "mfa_token_not_valid");
        for (token, code) in [("nonsense", "123456"), (token.as_str(), "no code at all")] {
            world.answer(token, code).await.expect_refusal(401, "mfa_token_not_valid");
        }
    }

    async fn a_repeat_with_the_same_key_gets_the_same_tokens(world: &World) {
        let owner = world.owner().await;
        let keys = world.two_factor(&owner).await;
        let body = json!({"mfa_token": world.challenge(&owner.email).await, "code": world.next_code(&keys)});
        let ask = || world.client().post("/api/v1/auth/mfa/verify/").header("idempotency-key", "once").json(&body);
        let first = ask().await.expect_status(200);
        let again = ask().await.expect_status(200);
        assert_eq!(first.json(), again.json());
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
    }

    async fn disabling_wants_a_factor_or_the_password_and_makes_a_password_enough_again(world: &World) {
        let owner = world.owner().await;
        let keys = world.two_factor(&owner).await;
        let disable = "/api/v1/auth/2fa/disable/";
        owner.post(disable).json(&json!({})).await.expect_field("password", "required");
        owner.post(disable).json(&json!({"password": "wrongpass123"})).await.expect_field("password", "invalid");
        owner.post(disable).json(&json!({"code": "000000"})).await.expect_field("code", "invalid");
        let (_, key) = world.key(&owner, &["*"]).await;
        key.post(disable).json(&json!({"password": PASSWORD})).await.expect_refusal(403, "permission_denied");
        owner.post(disable).json(&json!({"code": keys.recovery_codes[0]})).await.expect_status(204);
        world.sign_in(&owner.email, "001").await;
        assert_json!(owner.get(STATUS).await.json(), {"enabled": false, "session": false, "recovery_codes_left": 0, "totp_since": null});
        owner.post(disable).json(&json!({"password": PASSWORD})).await.expect_refusal(409, "two_factor_not_enabled");
    }

    async fn guessing_the_password_with_a_stolen_session_is_locked_out(world: &World) {
        let owner = world.owner().await;
        let setup = "/api/v1/auth/2fa/setup/";
        for _ in 0..11 {
            owner.post(setup).json(&json!({"password": "wrongpass123"})).await.expect_field("password", "invalid");
        }
        owner.post(setup).json(&json!({"password": PASSWORD})).await.expect_refusal(429, "throttled");
        world.clock.advance(16 * MINUTE_US);
        owner.post(setup).json(&json!({"password": PASSWORD})).await.expect_status(200);
    }

    async fn a_company_that_requires_two_factor_refuses_members_without_it_at_once(world: &World) {
        let owner = world.owner().await;
        let member = world.member(&owner, "grace", "developer").await;
        let (_, key) = world.key(&member, &["*"]).await;
        let require = json!({"settings": {"require_two_factor": true}});
        // Nobody shuts themselves out.
        owner.patch("/api/v1/companies/001/").json(&require).await.expect_field("settings", "two_factor_required");
        let keys = world.two_factor(&owner).await;
        member.get(APPOINTMENTS).await.expect_status(200);
        key.get(APPOINTMENTS).await.expect_status(200);
        owner.patch("/api/v1/companies/001/").json(&require).await.expect_status(200);
        let refused = member.get(APPOINTMENTS).await.expect_refusal(403, "two_factor_required");
        assert_json!(refused.at("/error/details"), {"enrolled": false});
        key.get(APPOINTMENTS).await.expect_refusal(403, "two_factor_required");
        owner.get(APPOINTMENTS).await.expect_status(200);
        // The account itself is theirs: they can look at it and enrol.
        assert_json!(member.get(ME).await.expect_status(200).json(), {"company": null, "user": {"username": "grace"}});
        let before = world.sign_in(&member.email, "001").await;
        world.two_factor(&member).await;
        member.get(APPOINTMENTS).await.expect_status(200);
        key.get(APPOINTMENTS).await.expect_status(200);
        // A session that was opened by password alone has shown one factor only.
        let refused = before.get(APPOINTMENTS).await.expect_refusal(403, "two_factor_required");
        assert_json!(refused.at("/error/details"), {"enrolled": true});
        // Whoever takes the factor away is out again.
        member.post("/api/v1/auth/2fa/disable/").json(&json!({"password": PASSWORD})).await.expect_status(204);
        member.get(APPOINTMENTS).await.expect_refusal(403, "two_factor_required");
        drop(keys);
    }

    async fn a_list_over_all_companies_leaves_out_those_that_require_what_is_missing(world: &World) {
        let (owner, other) = world.strangers().await;
        let person = world.member(&owner, "grace", "staff").await;
        world.join(&other, &person, "staff").await;
        world.two_factor(&other).await;
        other.patch("/api/v1/companies/002/").json(&json!({"settings": {"require_two_factor": true}})).await.expect_status(200);
        for boss in [&owner, &other] {
            boss.make(APPOINTMENTS, json!({"title": "One"})).await;
        }
        let seen = person.without("x-company-id").get(APPOINTMENTS).await.expect_status(200);
        assert_json!(seen.json(), {"count": 1, "results": [{"company": "001"}]});
    }

    async fn a_superuser_helps_who_lost_every_factor_and_it_is_on_record(world: &World) {
        let owner = world.owner().await;
        let root = world.superuser().await;
        let path = format!("/api/v1/users/{}/reset-two-factor/", owner.user);
        root.post(&path).await.expect_refusal(409, "two_factor_not_enabled");
        world.two_factor(&owner).await;
        owner.post(&path).await.expect_refusal(403, "permission_denied");
        root.post(&path).await.expect_status(200);
        owner.get(ME).await.expect_refusal(401, "token_not_valid");
        world.sign_in(&owner.email, "001").await.get(APPOINTMENTS).await.expect_status(200);
        let logged = root.get("/api/v1/audit-logs/").query("action", "two-factor-reset").await.expect_status(200);
        assert_json!(logged.json(), {"count": 1, "results": [{"user": root.user, "target": owner.user, "label": owner.email}]});
    }

    async fn what_happens_to_factors_is_audited(world: &World) {
        let owner = world.owner().await;
        let keys = world.two_factor(&owner).await;
        world.answer(&world.challenge(&owner.email).await, "000000").await;
        world.answer(&world.challenge(&owner.email).await, &world.next_code(&keys)).await.expect_status(200);
        let root = world.superuser().await;
        for action in ["two-factor-setup", "two-factor-enable", "two-factor-failed"] {
            let found = root.get("/api/v1/audit-logs/").query("action", action).query("target", &owner.user).await;
            assert_json!(found.expect_status(200).json(), {"count": 1});
        }
        world.clock.advance(DAY_US);
        assert!(world.rows("sign_in_challenges").await > 0);
        world.sweep().await;
        assert_eq!(world.rows("sign_in_challenges").await, 0, "what is over is removed");
    }
}

/// Runs them all at once.
async fn futures<T: Send + 'static>(all: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut running: Vec<_> = all.map(Box::pin).collect();
    let mut done = Vec::new();
    std::future::poll_fn(|context| {
        running.retain_mut(|future| match future.as_mut().poll(context) {
            std::task::Poll::Ready(value) => {
                done.push(value);
                false
            }
            std::task::Poll::Pending => true,
        });
        if running.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done
}
