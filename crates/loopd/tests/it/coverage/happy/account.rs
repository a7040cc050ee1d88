//! What a person does with the own account: factors, providers, passkeys, letters, leaving.

use http::Method;
use loopd_testkit::issuer::{CLIENT_ID, CLIENT_SECRET, Issuer};
use loopd_testkit::{Client, Passkey, json, totp};
use serde_json::Value;

use super::Tour;
use crate::support::{World, eventually};

pub(super) async fn two_factor(world: &World, tour: &mut Tour, new: &Client) {
    let proof = json!({"password": "anotherpass456"});
    let setup = tour.post_as(new, "/api/v1/auth/2fa/setup/", proof.clone()).await;
    let now = || world.kernel.now();
    let secret = setup.text_at("/secret");
    tour.post_as(new, "/api/v1/auth/2fa/enable/", json!({"code": totp(&secret, now())})).await;
    tour.get_as(new, "/api/v1/auth/2fa/").await;
    let codes = tour.post_as(new, "/api/v1/auth/2fa/recovery-codes/", proof.clone()).await;
    let login = json!({"email": "new@example.com", "password": "anotherpass456"});
    let asked = world.client().post("/api/v1/auth/login/").json(&login).await.expect_refusal(401, "mfa_required");
    let answer = json!({"mfa_token": asked.at("/error/details/mfa_token"), "code": codes.at("/recovery_codes/0")});
    tour.post_as(&world.client(), "/api/v1/auth/mfa/verify/", answer).await;
    tour.post_as(new, "/api/v1/auth/2fa/disable/", proof.clone()).await;
    passkeys(world, tour, new, proof).await;
}

pub(super) async fn oidc(world: &World, tour: &mut Tour, root: &Client) {
    let issuer = Issuer::start().await;
    let own = "/api/v1/installation-oidc-providers/";
    let body = json!({"name": "Works", "issuer": issuer.base, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET,
        "redirect_uris": ["https://app.example.com/back"], "creates_users": true});
    let id = tour.post_as(root, own, body.clone()).await.text_at("/id");
    tour.get_as(root, own).await;
    let nobody = world.client();
    tour.get_as(&nobody, "/api/v1/auth/oidc/").await;
    let begun = tour.post_as(&nobody, &format!("/api/v1/auth/oidc/{id}/begin/"), json!({})).await;
    let claims = issuer.claims("somebody", "somebody@example.com", world.kernel.now());
    let code = issuer.authorize(&begun.text_at("/authorization_url"), claims);
    let back = json!({"state": begun.at("/state"), "binding": begun.at("/binding"), "code": code});
    tour.post_as(&nobody, "/api/v1/auth/oidc/complete/", back).await;
    let item = format!("{own}{id}/");
    tour.call(Method::PATCH, &item, root.patch(&item).json(&json!({"name": "Work"}))).await;
    tour.call(Method::DELETE, &item, root.delete(&item)).await;
    let id = tour.post("/api/v1/oidc-providers/", body).await.text_at("/id");
    let item = format!("/api/v1/oidc-providers/{id}/");
    tour.get("/api/v1/oidc-providers/").await;
    tour.get(&item).await;
    tour.patch(&item, json!({"name": "Work"})).await;
    tour.delete(&item).await;
}

async fn passkeys(world: &World, tour: &mut Tour, new: &Client, proof: Value) {
    let path = "/api/v1/auth/passkeys/";
    let asked = tour.post_as(new, &format!("{path}register/begin/"), proof.clone()).await;
    let (mut device, credential) = Passkey::create(&asked.at("/public_key"), &world.page_origin());
    let body = json!({"ceremony": asked.at("/ceremony"), "credential": credential});
    let item = tour.post_as(new, &format!("{path}register/finish/"), body).await.text_at("/id");
    let nobody = world.client();
    let asked = tour.post_as(&nobody, &format!("{path}sign-in/begin/"), json!({})).await;
    let body = json!({"ceremony": asked.at("/ceremony"), "credential": device.assert(&asked.at("/public_key"))});
    tour.post_as(&nobody, &format!("{path}sign-in/finish/"), body).await;
    tour.get_as(new, path).await;
    let item = format!("{path}{item}/");
    tour.call(Method::PATCH, &item, new.patch(&item).json(&json!({"name": "Key"}))).await;
    tour.call(Method::DELETE, &item, new.delete(&item).json(&proof)).await;
}

/// What people do by the links in their letters.
pub(super) async fn own_account(world: &World, tour: &mut Tour) {
    let nobody = world.client();
    let (one, two) = (world.register("one").await, world.register("two").await);
    tour.post_as(&one, "/api/v1/auth/email/verify/resend/", json!({})).await;
    let token = world.letter(&one.email, "verify-email").await.token();
    tour.post_as(&one, "/api/v1/auth/email/verify/", json!({"token": token})).await;
    let change = json!({"new_email": "uno@example.com", "password": "strongpass123"});
    tour.post_as(&one, "/api/v1/auth/email/change/", change).await;
    world.sign_in(&one.email, "").await;
    let sessions = tour.get_as(&one, "/api/v1/auth/sessions/").await.json();
    let mut others = sessions["results"].as_array().expect("rows").iter().filter(|row| row["is_current"] == false);
    let other = others.next().and_then(|row| row["id"].as_str()).expect("a session").to_owned();
    let path = format!("/api/v1/auth/sessions/{other}/");
    let request = one.delete(&path);
    tour.call(Method::DELETE, &path, request).await;
    tour.post_as(&one, "/api/v1/auth/sessions/revoke-others/", json!({})).await;
    tour.post_as(&one, "/api/v1/auth/merge/", json!({"email": two.email, "password": "strongpass123"})).await;
    let token = world.letter(&two.email, "account-merge").await.token();
    tour.post_as(&nobody, "/api/v1/auth/merge/confirm/", json!({"token": token})).await;
    tour.post_as(&nobody, "/api/v1/auth/password/reset/", json!({"email": one.email})).await;
    let written = async || !world.letters_of(&one.email, "password-reset").await.is_empty();
    eventually("the letter is written", written).await;
    let token = world.letter(&one.email, "password-reset").await.token();
    let reset = json!({"token": token, "new_password": "another pass 456"});
    tour.post_as(&nobody, "/api/v1/auth/password/reset/confirm/", reset).await;
    tour.get("/api/v1/invitations/").await;
    let guest = json!({"email": "invited@example.com", "role": "staff"});
    let made = tour.post("/api/v1/invitations/", guest.clone()).await.text_at("/id");
    let item = format!("/api/v1/invitations/{made}/");
    tour.get(&item).await;
    tour.post(&format!("{item}resend/"), json!({})).await;
    tour.post(&format!("{item}revoke/"), json!({})).await;
    tour.post("/api/v1/invitations/", guest.clone()).await;
    let token = world.letter("invited@example.com", "invitation").await.token();
    tour.post_as(&nobody, "/api/v1/invitations/lookup/", json!({"token": token})).await;
    tour.post_as(&nobody, "/api/v1/invitations/decline/", json!({"token": token})).await;
    tour.post("/api/v1/invitations/", guest).await;
    let token = world.letter("invited@example.com", "invitation").await.token();
    let account = json!({"token": token, "username": "invited", "password": "strongpass123"});
    tour.post_as(&nobody, "/api/v1/invitations/accept/", account).await;
}

pub(super) async fn erasures(world: &World, tour: &mut Tour, root: &Client) {
    let gone = world.person("gone").await;
    let path = format!("/api/v1/users/{}/erase/", gone.user);
    let erased = tour.post_as(root, &path, json!({"email": gone.email})).await;
    tour.get_as(root, "/api/v1/erasures/").await;
    tour.get_as(root, &format!("/api/v1/erasures/{}/", erased.text_at("/id"))).await;
    let going = world.person("going").await;
    tour.get_as(&going, "/api/v1/auth/data-export/").await;
    tour.post_as(&going, "/api/v1/auth/erasure/", json!({"password": "strongpass123"})).await;
    let token = world.letter(&going.email, "account-erase").await.token();
    tour.post_as(&world.client(), "/api/v1/auth/erasure/confirm/", json!({"token": token})).await;
}
