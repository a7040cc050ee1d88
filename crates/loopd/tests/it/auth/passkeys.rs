//! Passkeys: `/auth/passkeys/…`, with a software authenticator that makes real attestations and assertions.

use loopd_testkit::{Answer, Client, Passkey, assert_json, each_engine, json};
use loopd_types::MINUTE_US;
use serde_json::Value;

use crate::support::{PASSWORD, World};

const PASSKEYS: &str = "/api/v1/auth/passkeys/";

impl World {
    /// Where a browser would say that it is.
    pub fn page_origin(&self) -> String {
        self.base.replace("127.0.0.1", "localhost")
    }

    /// A device with a new passkey of somebody's, and the answer to its registration.
    pub async fn passkey(&self, actor: &Client, name: &str) -> (Passkey, Answer) {
        let asked = begin(actor).await.expect_status(200);
        let (device, credential) = Passkey::create(&asked.at("/public_key"), &self.page_origin());
        let answer = finish(actor, &asked, credential, name).await;
        (device, answer.expect_status(201))
    }
}

async fn begin(actor: &Client) -> Answer {
    actor.post("/api/v1/auth/passkeys/register/begin/").json(&json!({"password": PASSWORD})).await
}

async fn finish(client: &Client, asked: &Answer, credential: Value, name: &str) -> Answer {
    let body = json!({"ceremony": asked.at("/ceremony"), "credential": credential, "name": name});
    client.post("/api/v1/auth/passkeys/register/finish/").json(&body).await
}

async fn ask(world: &World, body: Value) -> Answer {
    world.client().post("/api/v1/auth/passkeys/sign-in/begin/").json(&body).await
}

async fn show(world: &World, asked: &Answer, credential: Value) -> Answer {
    let body = json!({"ceremony": asked.at("/ceremony"), "credential": credential});
    world.client().post("/api/v1/auth/passkeys/sign-in/finish/").json(&body).await
}

/// Makes of an authenticator one that lies, given an honest one.
type Forgery = fn(&mut Passkey, &Passkey);

each_engine! {
    async fn a_passkey_signs_in_without_a_name_and_counts_as_two_factors(world: &World) {
        let owner = world.owner().await;
        let (mut device, made) = world.passkey(&owner, "Telephone").await;
        assert_json!(made.json(), {"name": "Telephone", "last_used_at": null});
        assert_eq!(made.at("/recovery_codes").as_array().map(Vec::len), Some(10), "the first factor brings recovery codes");
        assert_json!(owner.get("/api/v1/auth/2fa/").await.json(), {"enabled": true, "session": true, "passkeys": 1});
        let asked = ask(world, json!({})).await.expect_status(200);
        assert_json!(asked.at("/public_key"), {"rpId": "localhost", "userVerification": "required", "allowCredentials": []});
        let answer = show(world, &asked, device.assert(&asked.at("/public_key"))).await.expect_status(200);
        assert_json!(answer.json(), {"user": {"id": owner.user}, "companies": [{"code": "001"}], "access": "[token]", "token_type": "Bearer"});
        let client = world.client().with_token(&answer.text_at("/access"));
        assert_json!(client.get("/api/v1/auth/2fa/").await.json(), {"session": true});
        owner.patch("/api/v1/companies/001/").json(&json!({"settings": {"require_two_factor": true}})).await.expect_status(200);
        client.company("001").get("/api/v1/booking/appointments/").await.expect_status(200);
        let listed = owner.get(PASSKEYS).await.expect_status(200);
        assert_json!(listed.json(), {"count": 1, "results": [{"name": "Telephone", "last_used_at": "[any]"}]});
        assert!(!listed.text().contains("key"), "{}", listed.text());
    }

    async fn a_registration_asks_for_a_verified_owner_and_a_key_that_is_kept_with_a_name(world: &World) {
        let owner = world.owner().await;
        owner.post("/api/v1/auth/passkeys/register/begin/").json(&json!({})).await.expect_field("password", "required");
        let asked = begin(&owner).await.expect_status(200);
        assert_json!(asked.at("/public_key"), {
            "rp": {"id": "localhost"}, "user": {"name": "owner@example.com"}, "attestation": "none", "challenge": "[any]",
            "authenticatorSelection": {"userVerification": "required", "residentKey": "required", "requireResidentKey": true},
        });
        let (mut device, _) = Passkey::create(&asked.at("/public_key"), &world.page_origin());
        device.verifies = false;
        let unverified = device.attest(&asked.at("/public_key"));
        finish(&owner, &asked, unverified, "x").await.expect_field("credential", "invalid");
        // The question is spent with a wrong answer.
        device.verifies = true;
        let good = device.attest(&asked.at("/public_key"));
        finish(&owner, &asked, good, "x").await.expect_refusal(400, "ceremony_over");
        for (origin, rp_id) in [("http://evil.example", "localhost"), (world.page_origin().as_str(), "evil.example")] {
            let asked = begin(&owner).await.expect_status(200);
            let (mut device, _) = Passkey::create(&asked.at("/public_key"), origin);
            device.rp_id = rp_id.to_owned();
            finish(&owner, &asked, device.attest(&asked.at("/public_key")), "x").await.expect_field("credential", "invalid");
        }
        assert_json!(owner.get(PASSKEYS).await.json(), {"count": 0});
        world.sign_in(&owner.email, "001").await;
    }

    async fn what_is_not_the_device_of_the_person_does_not_sign_in(world: &World) {
        let (owner, stranger) = world.strangers().await;
        let (device, _) = world.passkey(&owner, "Telephone").await;
        let (other, _) = world.passkey(&stranger, "Other").await;
        let attempts: [(&str, Forgery); 5] = [
            ("unverified", |device, _| device.verifies = false),
            ("elsewhere", |device, _| device.origin = "http://evil.example".to_owned()),
            ("for another", |device, _| device.rp_id = "evil.example".to_owned()),
            ("under another's name", |device, other| device.user_handle = other.user_handle.clone()),
            ("with another's key", |device, other| device.credential_id = other.credential_id.clone()),
        ];
        for (what, spoil) in attempts {
            let mut device = device.clone();
            spoil(&mut device, &other);
            let asked = ask(world, json!({})).await.expect_status(200);
            let answer = show(world, &asked, device.assert(&asked.at("/public_key"))).await;
            assert_eq!(answer.status, 401, "{what}: {}", answer.text());
            answer.expect_refusal(401, "passkey_not_valid");
        }
        // An answer to another question.
        let (one, two) = (ask(world, json!({})).await, ask(world, json!({})).await);
        show(world, &one, device.clone().assert(&two.at("/public_key"))).await.expect_refusal(401, "passkey_not_valid");
        let mut good = device.clone();
        show(world, &two, good.assert(&two.at("/public_key"))).await.expect_status(200);
    }

    async fn an_answer_signs_in_once_and_not_late(world: &World) {
        let owner = world.owner().await;
        let (mut device, _) = world.passkey(&owner, "Telephone").await;
        let asked = ask(world, json!({})).await.expect_status(200);
        let credential = device.assert(&asked.at("/public_key"));
        let (one, two) = tokio::join!(show(world, &asked, credential.clone()), show(world, &asked, credential.clone()));
        assert_eq!([one.status, two.status].iter().filter(|status| **status == 200).count(), 1, "{} {}", one.text(), two.text());
        show(world, &asked, credential).await.expect_refusal(400, "ceremony_over");
        let asked = ask(world, json!({})).await.expect_status(200);
        ask(world, json!({})).await.expect_status(200);
        world.clock.advance(7 * MINUTE_US);
        show(world, &asked, device.assert(&asked.at("/public_key"))).await.expect_refusal(400, "ceremony_over");
        assert!(world.rows("passkey_ceremonies").await > 0);
        world.sweep().await;
        assert_eq!(world.rows("passkey_ceremonies").await, 0, "what is over is removed");
    }

    async fn a_copied_key_is_found_out_by_its_counter(world: &World) {
        let owner = world.owner().await;
        let (mut device, _) = world.passkey(&owner, "Telephone").await;
        let mut copy = device.clone();
        for _ in 0..2 {
            let asked = ask(world, json!({})).await.expect_status(200);
            show(world, &asked, device.assert(&asked.at("/public_key"))).await.expect_status(200);
        }
        let asked = ask(world, json!({})).await.expect_status(200);
        show(world, &asked, copy.assert(&asked.at("/public_key"))).await.expect_refusal(401, "passkey_not_valid");
    }

    async fn a_passkey_is_the_second_factor_of_a_password(world: &World) {
        let (owner, stranger) = world.strangers().await;
        let (mut device, _) = world.passkey(&owner, "Telephone").await;
        let (mut other, _) = world.passkey(&stranger, "Other").await;
        let token = world.challenge(&owner.email).await;
        // A device that keeps no names is told which key is meant.
        device.user_handle.clear();
        let asked = ask(world, json!({"mfa_token": token})).await.expect_status(200);
        assert_eq!(asked.at("/public_key/allowCredentials").as_array().map(Vec::len), Some(1));
        show(world, &asked, other.assert(&asked.at("/public_key"))).await.expect_refusal(401, "passkey_not_valid");
        let asked = ask(world, json!({"mfa_token": token})).await.expect_status(200);
        let answer = show(world, &asked, device.assert(&asked.at("/public_key"))).await.expect_status(200);
        assert_eq!(answer.text_at("/user/id"), owner.user);
        ask(world, json!({"mfa_token": token})).await.expect_refusal(401, "mfa_token_not_valid");
        ask(world, json!({"mfa_token": "nonsense"})).await.expect_refusal(401, "mfa_token_not_valid");
    }

    async fn an_email_does_not_tell_whether_it_has_a_passkey(world: &World) {
        let owner = world.owner().await;
        world.passkey(&owner, "Telephone").await;
        let mut shapes = Vec::new();
        for email in [owner.email.as_str(), "nobody@example.com"] {
            let (one, two) = (ask(world, json!({"email": email})).await, ask(world, json!({"email": email})).await);
            let allowed = one.at("/public_key/allowCredentials");
            assert_eq!(allowed, two.at("/public_key/allowCredentials"), "the same at every asking");
            let list = allowed.as_array().expect("a list");
            shapes.push((list.len(), list[0]["id"].as_str().map(str::len)));
        }
        shapes.dedup();
        assert_eq!(shapes.len(), 1, "{shapes:?}");
    }

    async fn passkeys_are_renamed_and_deleted_by_their_owner_alone(world: &World) {
        let (owner, stranger) = world.strangers().await;
        let (mut device, made) = world.passkey(&owner, "Telephone").await;
        let item = format!("{PASSKEYS}{}/", made.text_at("/id"));
        assert_json!(owner.patch(&item).json(&json!({"name": "New"})).await.expect_status(200).json(), {"name": "New", "version": 2});
        stranger.patch(&item).json(&json!({"name": "Mine"})).await.expect_refusal(404, "not_found");
        stranger.delete(&item).json(&json!({"password": PASSWORD})).await.expect_refusal(404, "not_found");
        owner.delete(&item).json(&json!({})).await.expect_field("password", "required");
        owner.delete(&item).json(&json!({"password": PASSWORD})).await.expect_status(204);
        let asked = ask(world, json!({})).await.expect_status(200);
        show(world, &asked, device.assert(&asked.at("/public_key"))).await.expect_refusal(401, "passkey_not_valid");
        // It was the only factor.
        world.sign_in(&owner.email, "001").await;
        assert_json!(owner.get("/api/v1/auth/2fa/").await.json(), {"enabled": false, "recovery_codes_left": 0});
    }

    async fn a_key_that_is_registered_is_not_taken_again(world: &World) {
        let (owner, stranger) = world.strangers().await;
        let (device, _) = world.passkey(&owner, "Telephone").await;
        let asked = begin(&stranger).await.expect_status(200);
        let credential = device.attest(&asked.at("/public_key"));
        finish(&stranger, &asked, credential, "Theirs").await.expect_refusal(409, "passkey_known");
        // Another person's ceremony is none of mine.
        let asked = begin(&owner).await.expect_status(200);
        let (_, credential) = Passkey::create(&asked.at("/public_key"), &world.page_origin());
        finish(&stranger, &asked, credential, "x").await.expect_field("credential", "invalid");
    }

    async fn an_inactive_person_does_not_come_in_by_passkey(world: &World) {
        let owner = world.owner().await;
        let (mut device, _) = world.passkey(&owner, "Telephone").await;
        world.set_active(&owner, false).await;
        let asked = ask(world, json!({})).await.expect_status(200);
        show(world, &asked, device.assert(&asked.at("/public_key"))).await.expect_refusal(401, "no_active_account");
    }
}
