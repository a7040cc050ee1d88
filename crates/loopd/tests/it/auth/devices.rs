//! Where a person is signed in, and one account made of two.

use loopd_testkit::{Client, assert_json, each_engine, json};

use crate::support::{Actor, World};

const SESSIONS: &str = "/api/v1/auth/sessions/";
const MERGE: &str = "/api/v1/auth/merge/";
const CONFIRM: &str = "/api/v1/auth/merge/confirm/";

async fn sign_in_with(world: &World, actor: &Actor, agent: &str) -> Client {
    let client = world.client().with_header("user-agent", agent);
    let body = json!({"email": actor.email, "password": "strongpass123"});
    let answer = client.post("/api/v1/auth/login/").json(&body).await.expect_status(200);
    client.with_token(&answer.text_at("/access"))
}

async fn verify(world: &World, actor: &Actor) {
    let token = world.letter(&actor.email, "verify-email").await.token();
    actor.post("/api/v1/auth/email/verify/").json(&json!({"token": token})).await.expect_status(200);
}

async fn ask(world: &World, actor: &Actor, other: &str) -> String {
    let body = json!({"email": other, "password": "strongpass123"});
    actor.post(MERGE).json(&body).await.expect_status(202);
    world.letter(other, "account-merge").await.token()
}

/// Role and status in a company, as its owner sees them.
async fn standing(boss: &Actor, user: &str) -> Vec<(String, String)> {
    let found = boss.get("/api/v1/memberships/").query("user", user).await.expect_status(200).json();
    let rows = found["results"].as_array().expect("rows").clone();
    let text = |row: &serde_json::Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    rows.iter().map(|row| (text(row, "role"), text(row, "status"))).collect()
}

each_engine! {
    async fn a_person_sees_where_they_are_signed_in_and_ends_it(world: &World) {
        let (owner, stranger) = world.strangers().await;
        let phone = sign_in_with(world, &owner, "Phone").await;
        let listed = owner.get(SESSIONS).await.expect_status(200);
        assert_json!(listed.json(), {"count": 2});
        let rows = listed.json()["results"].as_array().expect("rows").clone();
        let of = |current: bool| rows.iter().find(|row| row["is_current"] == current).expect("a session").clone();
        assert_eq!((of(false)["user_agent"].clone(), of(true)["user_agent"].clone()), (json!("Phone"), json!("")));
        let item = format!("{SESSIONS}{}/", of(false)["id"].as_str().expect("an id"));
        stranger.delete(&item).await.expect_refusal(404, "not_found");
        phone.get("/api/v1/auth/me/").await.expect_status(200);
        owner.delete(&item).await.expect_status(204);
        phone.get("/api/v1/auth/me/").await.expect_refusal(401, "token_not_valid");
        owner.delete(&item).await.expect_refusal(404, "not_found");
        let (one, two) = (sign_in_with(world, &owner, "Tablet").await, sign_in_with(world, &owner, "Tablet").await);
        assert_json!(owner.post(&format!("{SESSIONS}revoke-others/")).await.expect_status(200).json(), {"revoked": 2});
        for gone in [one, two] {
            gone.get("/api/v1/auth/me/").await.expect_refusal(401, "token_not_valid");
        }
        owner.get("/api/v1/auth/me/").await.expect_status(200);
        stranger.get("/api/v1/auth/me/").await.expect_status(200);
    }

    async fn a_sign_in_from_a_new_device_is_told_once(world: &World) {
        let owner = world.owner().await;
        for _ in 0..2 {
            sign_in_with(world, &owner, "Phone <b>").await;
        }
        let letters = world.letters_of(&owner.email, "new-sign-in").await;
        assert_eq!(letters.len(), 1);
        assert!(letters[0].text.contains("Phone <b>") && letters[0].html.contains("Phone &lt;b&gt;"));
    }

    async fn whoever_shows_an_old_refresh_token_ends_the_whole_family(world: &World) {
        let owner = world.owner().await;
        let renew = async |token: &str| world.client().post("/api/v1/auth/refresh/").json(&json!({"refresh": token})).await;
        let first = renew(&owner.refresh).await.expect_status(200);
        let second = renew(&first.text_at("/refresh")).await.expect_status(200);
        renew(&owner.refresh).await.expect_refusal(401, "token_not_valid");
        renew(&second.text_at("/refresh")).await.expect_refusal(401, "token_not_valid");
        for access in [first.text_at("/access"), second.text_at("/access")] {
            world.client().with_token(&access).get("/api/v1/auth/me/").await.expect_refusal(401, "token_not_valid");
        }
    }

    async fn memberships_move_as_they_are_and_the_absorbed_account_ends(world: &World) {
        let (owner, anne, anna) = (world.owner().await, world.register("anne").await, world.register("anna").await);
        // Anna is staff in 001, where Anne is none; she owns 003.
        world.join(&owner, &anna, "staff").await;
        let (_, key) = world.key(&anna, &["*"]).await;
        let early = json!({"email": anna.email, "password": "strongpass123"});
        anne.post(MERGE).json(&early).await.expect_refusal(409, "email_not_verified");
        verify(world, &anne).await;
        let token = ask(world, &anne, &anna.email).await;
        let done = world.client().post(CONFIRM).json(&json!({"token": token})).await.expect_status(200);
        assert_json!(done.json(), {"email": anne.email, "absorbed": anna.email});
        anna.get("/api/v1/auth/me/").await.expect_refusal(401, "user_inactive");
        key.get("/api/v1/workspaces/").await.expect_refusal(401, "invalid_api_key");
        let login = json!({"email": anna.email, "password": "strongpass123"});
        world.client().post("/api/v1/auth/login/").json(&login).await.expect_refusal(401, "no_active_account");
        let me = anne.get("/api/v1/auth/me/").await.expect_status(200).json();
        let roles: Vec<_> = me["memberships"].as_array().expect("rows").iter().map(|row| (row["company"].clone(), row["role"].clone())).collect();
        assert_eq!(roles, [(json!("001"), json!("staff")), (json!("002"), json!("owner")), (json!("003"), json!("owner"))]);
        anne.in_company("003").get("/api/v1/workspaces/").await.expect_status(200);
        world.client().post(CONFIRM).json(&json!({"token": token})).await.expect_refusal(400, "link_not_valid");
        for email in [&anne.email, &anna.email] {
            world.letter(email, "account-merged").await;
        }
        let noted = owner.get("/api/v1/audit-logs/").query("action", "merge").await.expect_status(200);
        assert_json!(noted.json(), {"count": 1, "results": [{"resource": "memberships", "user": anne.user}]});
    }

    async fn merging_raises_nobody_and_lifts_no_suspension(world: &World) {
        let owner = world.owner().await;
        let (anne, anna) = (world.register("anne").await, world.register("anna").await);
        world.join(&owner, &anne, "viewer").await;
        world.join(&owner, &anna, "admin").await;
        let second = anne.clone();
        verify(world, &anne).await;
        let token = ask(world, &anne, &anna.email).await;
        world.client().post(CONFIRM).json(&json!({"token": token})).await.expect_status(200);
        assert_eq!(standing(&owner, &anne.user).await, [("viewer".to_owned(), "active".to_owned())]);
        assert_eq!(standing(&owner, &anna.user).await, [("admin".to_owned(), "left".to_owned())]);
        // The other way round: suspended here stays suspended.
        let eve = world.register("eve").await;
        let eva = world.register("eva").await;
        world.join(&second, &eve, "staff").await;
        world.join(&second, &eva, "staff").await;
        let shut = second.get("/api/v1/memberships/").query("user", &eve.user).await.expect_status(200).text_at("/results/0/id");
        second.post(&format!("/api/v1/memberships/{shut}/suspend/")).await.expect_status(200);
        verify(world, &eve).await;
        let token = ask(world, &eve, &eva.email).await;
        world.client().post(CONFIRM).json(&json!({"token": token})).await.expect_status(200);
        assert_eq!(standing(&second, &eve.user).await, [("staff".to_owned(), "suspended".to_owned())]);
    }

    async fn a_company_keeps_its_owner_and_operators_are_not_absorbed(world: &World) {
        let (owner, anne) = (world.owner().await, world.register("anne").await);
        world.join(&owner, &anne, "viewer").await;
        verify(world, &anne).await;
        let token = ask(world, &anne, &owner.email).await;
        world.client().post(CONFIRM).json(&json!({"token": token})).await.expect_refusal(409, "last_owner");
        owner.get("/api/v1/auth/me/").await.expect_status(200);
        let root = world.superuser().await;
        let token = ask(world, &anne, &root.email).await;
        world.client().post(CONFIRM).json(&json!({"token": token})).await.expect_refusal(409, "cannot_merge");
    }

    async fn records_name_the_account_that_stays_and_nothing_opens_the_other(world: &World) {
        let (boss, one) = (world.owner().await, world.register("one").await);
        let two = world.member(&boss, "two", "staff").await;
        verify(world, &one).await;
        world.two_factor(&two).await;
        world.passkey(&two, "a key").await;
        let customers = "/api/v1/booking/customers/";
        let record = boss.make(customers, json!({"name": "Two", "user": two.user})).await;
        let other = boss.make(customers, json!({"name": "Boss", "user": boss.user})).await;
        let version = boss.get(&format!("{customers}{record}/")).await.at("/version");
        let token = ask(world, &one, &two.email).await;
        world.client().post(CONFIRM).json(&json!({"token": token})).await.expect_status(200);
        let merged = boss.get(&format!("{customers}{record}/")).await.expect_status(200);
        assert_eq!((merged.at("/user"), merged.at("/created_by")), (json!(one.user), json!(boss.user)), "{}", merged.text());
        assert_ne!(merged.at("/version"), version, "whoever read it before is told that it changed");
        assert_json!(boss.get(&format!("{customers}{other}/")).await.json(), {"user": boss.user});
        for table in ["passkeys", "totp_factors", "recovery_codes"] {
            assert_eq!(world.rows(table).await, 0, "{table} of the account that ended");
        }
        assert_eq!(one.get("/api/v1/auth/2fa/").await.at("/enabled"), json!(false), "and they open nothing of the other");
    }

    async fn asking_to_merge_tells_nothing_of_others(world: &World) {
        let owner = world.owner().await;
        verify(world, &owner).await;
        let body = json!({"email": "nobody@example.com", "password": "strongpass123"});
        owner.post(MERGE).json(&body).await.expect_status(202);
        assert!(world.letters("nobody@example.com").await.is_empty());
        let wrong = json!({"email": "nobody@example.com", "password": "not this one"});
        owner.post(MERGE).json(&wrong).await.expect_refusal(400, "validation_error");
    }
}
