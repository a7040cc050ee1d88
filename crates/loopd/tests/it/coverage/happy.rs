//! At least one success for every documented operation: by definition where that is enough, by hand where it is not.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use http::Method;
use loopd_store::View;
use loopd_testkit::issuer::{CLIENT_ID, CLIENT_SECRET, Issuer};
use loopd_testkit::{Answer, Client, Passkey, Request, assert_gaps, each_engine, json, totp};
use serde_json::Value;

use super::operations;
use super::sample::Samples;
use crate::loomal::stage::{Manner, Seller};
use crate::loopwave::licences;
use crate::support::{Actor, Receiver, World, eventually};

/// Calls operations and notes which of them answered with a success.
struct Tour {
    /// Segments of the documented path, method, operation id.
    routes: Vec<(Vec<String>, Method, String)>,
    done: BTreeSet<String>,
    failures: BTreeMap<String, String>,
    owner: Actor,
}

fn segments(path: &str) -> Vec<String> {
    path.split('?').next().unwrap_or_default().trim_matches('/').split('/').map(str::to_owned).collect()
}

impl Tour {
    fn new(world: &World, owner: Actor) -> Self {
        let routes = operations(world).iter().map(|o| (segments(&o.path), o.method.clone(), o.id.clone())).collect();
        Self { routes, done: BTreeSet::new(), failures: BTreeMap::new(), owner }
    }

    /// The documented operation behind a call; a literal segment beats a parameter.
    fn id_of(&self, method: &Method, path: &str) -> String {
        let asked = segments(path);
        let fits = |route: &[String]| {
            route.len() == asked.len() && route.iter().zip(&asked).all(|(r, a)| r.starts_with('{') || r == a)
        };
        let found = self.routes.iter().filter(|(route, known, _)| known == method && fits(route));
        found
            .min_by_key(|(route, ..)| route.iter().filter(|segment| segment.starts_with('{')).count())
            .map(|(.., id)| id.clone())
            .unwrap_or_else(|| panic!("{method} {path} is no documented operation"))
    }

    async fn call(&mut self, method: Method, path: &str, request: Request) -> Answer {
        let id = self.id_of(&method, path);
        let answer = request.await;
        if (200..300).contains(&answer.status) {
            self.done.insert(id);
        } else {
            self.failures.insert(id, format!("{}: {} {}", answer.what, answer.status, answer.text()));
        }
        answer
    }

    async fn get(&mut self, path: &str) -> Answer {
        let request = self.owner.get(path);
        self.call(Method::GET, path, request).await
    }
    async fn post(&mut self, path: &str, body: Value) -> Answer {
        let request = self.owner.post(path).json(&body);
        self.call(Method::POST, path, request).await
    }
    async fn upload(&mut self, path: &str) -> Answer {
        let request = self.owner.post(path).body("text/plain", "hello");
        self.call(Method::POST, path, request).await
    }
    async fn patch(&mut self, path: &str, body: Value) -> Answer {
        let request = self.owner.patch(path).json(&body);
        self.call(Method::PATCH, path, request).await
    }
    async fn put(&mut self, path: &str, body: Value) -> Answer {
        let request = self.owner.put(path).json(&body);
        self.call(Method::PUT, path, request).await
    }
    async fn delete(&mut self, path: &str) -> Answer {
        let request = self.owner.delete(path);
        self.call(Method::DELETE, path, request).await
    }
    async fn post_as(&mut self, client: &Client, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, client.post(path).json(&body)).await
    }
    async fn get_as(&mut self, client: &Client, path: &str) -> Answer {
        self.call(Method::GET, path, client.get(path)).await
    }
}

each_engine! {
    async fn every_operation_has_a_happy_case(world: &World) {
        let owner = world.owner().await;
        let mut tour = Tour::new(world, owner);
        resources(world, &mut tour).await;
        core(world, &mut tour).await;
        files(world, &mut tour).await;
        exports(world, &mut tour).await;
        data_subjects(&mut tour).await;
        subscribe(world, &mut tour).await;
        billing(world, &mut tour).await;
        loomal(world, &mut tour).await;
        loopwave(world, &mut tour).await;
        by_hand(world, &mut tour).await;
        let missing: Vec<String> = tour.routes.iter().map(|(.., id)| id.clone()).filter(|id| !tour.done.contains(id)).collect();
        for id in &missing {
            println!("{id}: {}", tour.failures.get(id).map_or("never asked: add a happy case to coverage/happy.rs", String::as_str));
        }
        assert_gaps(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/coverage/gaps.txt"), missing);
    }
}

async fn erasures(world: &World, tour: &mut Tour, root: &Client) {
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

/// Everything that every resource of every module has.
async fn resources(world: &World, tour: &mut Tour) {
    let registry = world.engine.registry.clone();
    let first = tour.owner.clone();
    for runtime in registry.resources() {
        // A company each: what one resource's samples set up (opening hours, say) is not in another's way.
        tour.owner = world.register(&runtime.path.replace('/', "-")).await;
        let owner = tour.owner.clone();
        let mut samples = Samples::new(&owner, &registry);
        let (resource, base) = (&runtime.resource, format!("/api/v1/{}/", runtime.path));
        if !resource.read_only {
            let body = samples.body(&runtime.path, &[]).await;
            let made = tour.post(&base, body).await;
            let bulk = samples.body(&runtime.path, &[]).await;
            let bulk = json!({"operations": [{"op": "create", "body": bulk}], "atomic": true});
            tour.post(&format!("{base}bulk/"), bulk).await;
            let row = samples.body(&runtime.path, &[]).await;
            let import = tour.post(&format!("{base}import/"), json!({"rows": [row]})).await;
            if import.status == 200 && import.json()["created"] != 1 {
                let id = tour.id_of(&Method::POST, &format!("{base}import/"));
                tour.done.remove(&id);
                tour.failures.insert(id, import.text().to_string());
            }
            if import.status == 200 {
                let item = format!("/api/v1/imports/{}/", import.text_at("/id"));
                tour.get(&item).await;
                tour.get(&format!("{item}errors/")).await;
            }
            if made.status == 201 && !resource.append_only {
                let item = format!("{base}{}/", made.text_at("/id"));
                let body = samples.body(&runtime.path, &[]).await;
                tour.put(&item, body).await;
                tour.patch(&item, json!({"description": "Changed"})).await;
                let body = samples.body(&runtime.path, &[]).await;
                tour.put(&format!("{base}by-external-id/EXT-1/"), body).await;
                tour.delete(&item).await;
                tour.post(&format!("{item}restore/"), json!({})).await;
            }
            for action in &resource.actions {
                match samples.make_ready(&runtime.path, action).await {
                    Ok(id) => {
                        let input = samples.input(&runtime.path, action).await;
                        tour.post(&format!("{base}{id}/{}/", action.name), input).await;
                    }
                    Err(words) => {
                        let id = tour.id_of(&Method::POST, &format!("{base}x/{}/", action.name));
                        tour.failures.insert(id, words);
                    }
                }
            }
        }
        tour.get(&format!("{base}export/?format=csv")).await;
        look(tour, &base).await;
    }
    tour.owner = first;
}

/// The shelf, a link, and an upload in pieces.
async fn files(world: &World, tour: &mut Tour) {
    let made = tour.upload("/api/v1/files/").await.text_at("/id");
    let item = format!("/api/v1/files/{made}/");
    for path in ["/api/v1/files/", &item, &format!("{item}content/")] {
        tour.get(path).await;
    }
    tour.patch(&item, json!({"name": "b.txt"})).await;
    let link = tour.post(&format!("{item}link/"), json!({})).await.text_at("/url");
    let nobody = world.client();
    let path = link.strip_prefix(&world.base).expect("a link of ours").to_owned();
    tour.get_as(&nobody, &path).await;
    tour.post("/api/v1/files/revoke-links/", json!({})).await;
    tour.delete(&item).await;
    let tus = tour.owner.with_header("tus-resumable", "1.0.0");
    for _ in 0..2 {
        let request = tus.post("/api/v1/files/uploads/").header("upload-length", "5");
        let upload = tour.call(Method::POST, "/api/v1/files/uploads/", request).await;
        let upload = upload
            .header("location")
            .expect("where the pieces go")
            .strip_prefix(&world.base)
            .expect("a path of ours")
            .to_owned();
        tour.get_as(&tus, &upload).await;
        let piece = tus.patch(&upload).header("upload-offset", "0").body("application/offset+octet-stream", "hel");
        tour.call(Method::PATCH, &upload, piece).await;
        tour.call(Method::DELETE, &upload, tus.delete(&upload)).await;
    }
}

async fn exports(world: &World, tour: &mut Tour) {
    let base = "/api/v1/company-exports/";
    // Cancelled before it is made, unless the runner is faster: then the next.
    loop {
        let item = format!("{base}{}/", tour.post(base, json!({})).await.text_at("/id"));
        if tour.post(&format!("{item}cancel/"), json!({})).await.status == 200 {
            break;
        }
    }
    let item = format!("{base}{}/", tour.post(base, json!({})).await.text_at("/id"));
    let owner = tour.owner.clone();
    eventually("the archive is there", async || owner.get(&item).await.json()["state"] == "ready").await;
    for path in [base, &item, &format!("{item}content/")] {
        tour.get(path).await;
    }
    tour.post(&format!("{item}link/"), json!({})).await;
    let archive = owner.get(&format!("{item}content/")).await.expect_status(200).body;
    let shelved = owner.post("/api/v1/files/?name=archive.tar.gz").body("application/gzip", archive).await;
    imports(world, tour, &shelved.expect_status(201).text_at("/id")).await;
}

/// The same company again, which is refused by the job; cancelled before, unless the runner is faster.
async fn imports(world: &World, tour: &mut Tour, file: &str) {
    let operator = world.superuser_named("importer").await;
    let base = "/api/v1/company-imports/";
    loop {
        let made = tour.post_as(&operator, base, json!({"file": file, "dry_run": true})).await.text_at("/id");
        let item = format!("{base}{made}/");
        tour.get_as(&operator, &item).await;
        if tour.post_as(&operator, &format!("{item}cancel/"), json!({})).await.status == 200 {
            break;
        }
    }
    tour.get_as(&operator, base).await;
}

async fn data_subjects(tour: &mut Tour) {
    let who = json!({"email": "somebody@mail.example"});
    tour.post("/api/v1/data-subjects/find/", who.clone()).await;
    let erased = tour.post("/api/v1/data-subjects/erase/", who).await;
    tour.get("/api/v1/data-subjects/erasures/").await;
    tour.get(&format!("/api/v1/data-subjects/erasures/{}/", erased.text_at("/id"))).await;
}

/// Lists a resource and reads one record of it in every way.
async fn look(tour: &mut Tour, base: &str) {
    let list = tour.get(base).await;
    if let Some(id) = list.json().pointer("/results/0/id").and_then(Value::as_str) {
        let item = format!("{base}{id}/");
        tour.get(&item).await;
        tour.get(&format!("{item}actions/")).await;
        tour.get(&format!("{item}history/")).await;
        let files = format!("{item}attachments/");
        let attached = tour.upload(&files).await;
        tour.get(&files).await;
        if attached.status == 201 {
            let one = format!("{files}{}/", attached.text_at("/id"));
            tour.get(&format!("{one}content/")).await;
            tour.delete(&one).await;
        }
    }
}

/// Accounts, companies, members, keys.
async fn core(world: &World, tour: &mut Tour) {
    let owner = tour.owner.clone();
    let nobody = world.client();
    for path in ["/", "/api/developers/", "/api/docs/", "/api/redoc/", "/api/schema/", "/api/assets/", "/health/"] {
        tour.get_as(&nobody, path).await;
    }
    let person =
        json!({"email": "new@example.com", "username": "new", "password": "strongpass123", "company_name": "New Ltd"});
    tour.post_as(&nobody, "/api/v1/auth/register/", person).await;
    let login = json!({"email": "new@example.com", "password": "strongpass123"});
    let signed_in = tour.post_as(&nobody, "/api/v1/auth/login/", login).await;
    let renewed = tour.post_as(&nobody, "/api/v1/auth/refresh/", json!({"refresh": signed_in.at("/refresh")})).await;
    tour.post_as(&nobody, "/api/v1/auth/token/verify/", json!({"token": renewed.at("/access")})).await;
    let new = nobody.with_token(&renewed.text_at("/access"));
    let change = json!({"old_password": "strongpass123", "new_password": "anotherpass456"});
    tour.post_as(&new, "/api/v1/auth/password/change/", change).await;
    two_factor(world, tour, &new).await;
    tour.post_as(&new, "/api/v1/auth/logout/", json!({})).await;
    tour.get("/api/v1/auth/me/").await;
    tour.patch("/api/v1/auth/me/", json!({"first_name": "Grace"})).await;
    for list in [
        "companies",
        "workspaces",
        "memberships",
        "roles",
        "permissions",
        "products",
        "product-subscriptions",
        "developer-profiles",
        "api-client-apps",
        "internal-api-keys",
        "audit-logs",
        "imports",
    ] {
        tour.get(&format!("/api/v1/{list}/")).await;
    }
    tour.get("/api/v1/products/booking/").await;
    let audit = tour.get("/api/v1/audit-logs/").await.text_at("/results/0/id");
    tour.get(&format!("/api/v1/audit-logs/{audit}/")).await;
    tour.get("/api/v1/audit-logs/export/").await;
    tour.get("/api/v1/roles/matrix/").await;
    tour.get("/api/v1/permissions/mine/").await;
    let workspace = tour.get("/api/v1/workspaces/").await.text_at("/results/0/id");
    tour.get(&format!("/api/v1/workspaces/{workspace}/members/")).await;
    companies(world, tour).await;
    members(world, tour).await;
    credentials(tour).await;
    webhooks(tour).await;
    let root = world.superuser().await;
    let profile =
        tour.post("/api/v1/developer-profiles/", json!({"display_name": "Grace", "accept_terms": true})).await;
    let item = format!("/api/v1/developer-profiles/{}/", profile.text_at("/id"));
    tour.get(&item).await;
    tour.put(&item, json!({"display_name": "Grace U"})).await;
    tour.patch(&item, json!({"bio": "Writes tills."})).await;
    tour.get_as(&root, "/api/v1/users/").await;
    own_account(world, tour).await;
    let letter = world.failed_letter().await;
    tour.get_as(&root, "/api/v1/mail-messages/").await;
    tour.get_as(&root, &format!("/api/v1/mail-messages/{letter}/")).await;
    tour.post_as(&root, &format!("/api/v1/mail-messages/{letter}/retry/"), json!({})).await;
    let guest = format!("/api/v1/users/{}/", world.person("guest").await.user);
    tour.get_as(&root, &guest).await;
    tour.post_as(&root, &format!("{guest}deactivate/"), json!({})).await;
    tour.post_as(&root, &format!("{guest}activate/"), json!({})).await;
    oidc(world, tour, &root).await;
    let acting = tour.post_as(&root, &format!("{guest}impersonate/"), json!({"reason": "They asked for help"})).await;
    let helper = world.client().with_token(&acting.text_at("/access"));
    tour.post_as(&helper, "/api/v1/auth/impersonation/end/", json!({})).await;
    tour.post_as(&root, &format!("{guest}end-impersonation/"), json!({})).await;
    let person = world.sign_in("guest@example.com", "").await;
    let keys = world.two_factor(&person).await;
    tour.post_as(&root, &format!("{guest}reset-two-factor/"), json!({})).await;
    drop(keys);
    erasures(world, tour, &root).await;
    tour.post_as(&root, &format!("{item}approve/"), json!({})).await;
    tour.post_as(&root, &format!("{item}reject/"), json!({})).await;
    tour.delete(&item).await;
    let subscriptions = owner.get("/api/v1/product-subscriptions/").await.expect_status(200);
    let item = format!("/api/v1/product-subscriptions/{}/", subscriptions.text_at("/results/0/id"));
    tour.get(&item).await;
    tour.post(&format!("{item}activate/"), json!({})).await;
    for action in ["suspend", "resume"] {
        tour.post_as(&root.in_company("001"), &format!("{item}{action}/"), json!({})).await;
    }
    for action in ["renew", "cancel"] {
        tour.post(&format!("{item}{action}/"), json!({})).await;
    }
    tour.post(&format!("{item}renew/"), json!({})).await;
    tour.post(&format!("{item}activate/"), json!({})).await;
}

async fn two_factor(world: &World, tour: &mut Tour, new: &Client) {
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

async fn oidc(world: &World, tour: &mut Tour, root: &Client) {
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
async fn own_account(world: &World, tour: &mut Tour) {
    let nobody = world.client();
    let (one, two) = (world.register("one").await, world.register("two").await);
    tour.post_as(&one, "/api/v1/auth/email/verify/resend/", json!({})).await;
    let token = world.letter(&one.email, "verify-email").await.token();
    tour.post_as(&nobody, "/api/v1/auth/email/verify/", json!({"token": token})).await;
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

async fn companies(world: &World, tour: &mut Tour) {
    let root = world.superuser_named("keeper").await;
    let code = tour.post("/api/v1/companies/", json!({"name": "Second"})).await.text_at("/code");
    let item = format!("/api/v1/companies/{code}/");
    tour.get(&item).await;
    tour.put(&item, json!({"name": "Second Ltd"})).await;
    tour.patch(&item, json!({"tax_id": "123"})).await;
    tour.post(&format!("{item}switch/"), json!({})).await;
    tour.post_as(&root, &format!("{item}suspend/"), json!({})).await;
    tour.post_as(&root, &format!("{item}reactivate/"), json!({})).await;
    let second = tour.owner.in_company(&code);
    let heir = world.person("heir").await;
    let made = second
        .post("/api/v1/memberships/")
        .json(&json!({"email": heir.email, "role": "admin"}))
        .await
        .expect_status(201);
    tour.post(&format!("{item}transfer-ownership/"), json!({"membership": made.at("/id")})).await;
    let request = heir.delete(&item);
    tour.call(Method::DELETE, &item, request).await;
}

async fn members(world: &World, tour: &mut Tour) {
    let person = world.person("aline").await;
    let made = tour.post("/api/v1/memberships/", json!({"email": person.email, "role": "staff"})).await.text_at("/id");
    let item = format!("/api/v1/memberships/{made}/");
    tour.get(&item).await;
    tour.put(&item, json!({"role": "manager", "title": "Lead"})).await;
    tour.patch(&item, json!({"title": "Boss"})).await;
    tour.post(&format!("{item}change-role/"), json!({"role": "staff"})).await;
    tour.post(&format!("{item}suspend/"), json!({})).await;
    tour.post(&format!("{item}reactivate/"), json!({})).await;
    let workspace = tour.post("/api/v1/workspaces/", json!({"name": "Huye"})).await.text_at("/id");
    let place = format!("/api/v1/workspaces/{workspace}/");
    tour.get(&place).await;
    tour.put(&place, json!({"name": "Huye town"})).await;
    tour.patch(&place, json!({"kind": "branch"})).await;
    tour.post(&format!("{place}add-member/"), json!({"membership": made})).await;
    tour.post(&format!("{place}remove-member/"), json!({"membership": made})).await;
    tour.post(&format!("{place}archive/"), json!({})).await;
    tour.post(&format!("{place}restore/"), json!({})).await;
    tour.post_as(&person.in_company("001"), &format!("{item}leave/"), json!({})).await;
    let again = tour.post("/api/v1/memberships/", json!({"email": person.email, "role": "staff"})).await.text_at("/id");
    tour.post(&format!("/api/v1/memberships/{again}/remove/"), json!({})).await;
    let role = tour.post("/api/v1/roles/", json!({"name": "Till", "permissions": ["booking.*"]})).await.text_at("/id");
    let item = format!("/api/v1/roles/{role}/");
    tour.get(&item).await;
    tour.put(&item, json!({"name": "Tills", "permissions": ["booking.*.view"]})).await;
    tour.patch(&item, json!({"description": "At the till"})).await;
    tour.post(&format!("{item}clone/"), json!({"name": "Till two"})).await;
    tour.delete(&item).await;
}

async fn credentials(tour: &mut Tour) {
    let app = tour.post("/api/v1/api-client-apps/", json!({"app_id": "my-till", "name": "Till"})).await.text_at("/id");
    let item = format!("/api/v1/api-client-apps/{app}/");
    tour.get(&item).await;
    tour.put(&item, json!({"name": "Tills"})).await;
    tour.patch(&item, json!({"kind": "mobile"})).await;
    tour.post(&format!("{item}disable/"), json!({})).await;
    tour.post(&format!("{item}enable/"), json!({})).await;
    tour.delete(&item).await;
    let key = tour.post("/api/v1/internal-api-keys/", json!({"name": "Sync"})).await.text_at("/id");
    let item = format!("/api/v1/internal-api-keys/{key}/");
    tour.get(&item).await;
    tour.put(&item, json!({"name": "Sync two", "scopes": ["booking.*"]})).await;
    tour.patch(&item, json!({"name": "Sync three"})).await;
    let next = tour.post(&format!("{item}rotate/"), json!({"grace_seconds": 60})).await.text_at("/id");
    tour.post(&format!("{item}revoke/"), json!({})).await;
    tour.delete(&format!("/api/v1/internal-api-keys/{next}/")).await;
}

async fn loopwave(world: &World, tour: &mut Tour) {
    let key = tour.post("/api/v1/loopwave/api-keys/", json!({"name": "Program"})).await.text_at("/id");
    tour.patch(&format!("/api/v1/loopwave/api-keys/{key}/"), json!({"name": "Bot"})).await;
    tour.post(&format!("/api/v1/loopwave/api-keys/{key}/revoke/"), json!({})).await;
    let body = json!({"url": "https://example.com/hook", "events": ["message.created"]});
    let hook = tour.post("/api/v1/loopwave/webhooks/", body).await.text_at("/id");
    let hook_item = format!("/api/v1/loopwave/webhooks/{hook}/");
    tour.get("/api/v1/loopwave/webhooks/").await;
    tour.get(&hook_item).await;
    tour.patch(&hook_item, json!({"description": "Ours"})).await;
    for act in ["disable", "enable"] {
        tour.post(&format!("{hook_item}{act}/"), json!({})).await;
    }
    tour.delete(&hook_item).await;
    tour.get("/api/v1/loopwave/license/").await;
    tour.post("/api/v1/loopwave/license/refresh/", json!({})).await;
    let license = licences::vendor().issue(&licences::terms(world, "L-1", 30));
    tour.post("/api/v1/loopwave/license/activate/", json!({"license": license})).await;
    let new = json!({"label": "Sales", "engine": "sandbox"});
    let number = tour.post("/api/v1/loopwave/numbers/", new).await.text_at("/id");
    let item = format!("/api/v1/loopwave/numbers/{number}/");
    tour.patch(&item, json!({"label": "Support"})).await;
    tour.post(&format!("{item}connect/"), json!({})).await;
    tour.post(&format!("{item}sandbox/scan/"), json!({"phone": "250788000001"})).await;
    let received = tour.post(&format!("{item}sandbox/receive/"), json!({"from": "250788123456", "text": "Hi"})).await;
    inbox(tour, &received.text_at("/chat")).await;
    for (path, id) in [("api-keys", &key), ("numbers", &number)] {
        tour.get(&format!("/api/v1/loopwave/{path}/")).await;
        tour.get(&format!("/api/v1/loopwave/{path}/{id}/")).await;
    }
    tour.get("/api/v1/loopwave/preferences/").await;
    tour.patch("/api/v1/loopwave/preferences/", json!({"mask_numbers": false})).await;
    tour.delete(&item).await;
}

async fn inbox(tour: &mut Tour, chat: &str) {
    let (base, item) = ("/api/v1/loopwave/chats/", format!("/api/v1/loopwave/chats/{chat}/"));
    tour.get(base).await;
    tour.get(&item).await;
    tour.post(&format!("{item}read/"), json!({})).await;
    tour.post(&format!("{item}assign/"), json!({"assignee": "me"})).await;
    tour.patch(&item, json!({"labels": ["vip"]})).await;
    tour.post(&format!("{item}resolve/"), json!({})).await;
    tour.post(&format!("{item}reopen/"), json!({})).await;
    tour.post(&format!("{item}messages/"), json!({"text": "Hello"})).await;
    let note = tour.post(&format!("{item}notes/"), json!({"text": "Knows us"})).await.text_at("/id");
    tour.get(&format!("{item}notes/")).await;
    tour.delete(&format!("{item}notes/{note}/")).await;
    // Nobody with such a number is on the sandbox's WhatsApp.
    let other = tour.post(base, json!({"to": "250788120000", "text": "Hello"})).await.text_at("/id");
    let thread = format!("{base}{other}/messages/");
    eventually("a message failed", async || tour.owner.get(&thread).await.at("/results/0/status") == "failed").await;
    let failed = tour.get(&thread).await.text_at("/results/0/id");
    tour.post(&format!("{thread}{failed}/retry/"), json!({})).await;
    let views = "/api/v1/loopwave/saved-views/";
    let view = tour.post(views, json!({"name": "Mine", "filter": {"assignee": "me"}})).await.text_at("/id");
    tour.get(views).await;
    tour.patch(&format!("{views}{view}/"), json!({"name": "Ours"})).await;
    tour.delete(&format!("{views}{view}/")).await;
}

async fn loomal(world: &World, tour: &mut Tour) {
    let key = tour.post("/api/v1/loomal/platform-keys/", json!({"name": "Console"})).await.text_at("/id");
    let owner = tour.owner.clone();
    let (seller, buyer) = (world.project(&owner, "SELLER").await, world.project(&owner, "BUYER").await);
    let shop = Seller::open(&seller, "0.05", Manner::Honest).await;
    let endpoint = json!({"urlPattern": shop.url, "priceUsdc": "0.05"});
    seller.client.put("/v0/sellers/endpoints").json(&endpoint).await.expect_status(201);
    let mandate = json!({"maxPerCallUsdc": "1", "dailyCapUsdc": "1"});
    buyer.client.post("/v0/payments/mandates").json(&mandate).await.expect_status(200);
    buyer.client.post("/v0/payments/pay").json(&json!({"url": shop.url})).await.expect_status(200);
    for path in ["platform-keys", "projects", "endpoints", "payments", "mandates", "spends"] {
        let base = format!("/api/v1/loomal/{path}/");
        let id = tour.get(&base).await.text_at("/results/0/id");
        tour.get(&format!("{base}{id}/")).await;
    }
    let mandate = tour.get("/api/v1/loomal/mandates/").await.text_at("/results/0/id");
    tour.post(&format!("/api/v1/loomal/mandates/{mandate}/revoke/"), json!({})).await;
    tour.post(&format!("/api/v1/loomal/platform-keys/{key}/revoke/"), json!({})).await;
    tour.get("/api/v1/loomal/wallets/").await;
    tour.get("/api/v1/loomal/analytics/").await;
    let new = json!({"name": "Sun", "purpose": "SELLER"});
    let made = tour.post("/api/v1/loomal/projects/", new).await.text_at("/id");
    let item = format!("/api/v1/loomal/projects/{made}/");
    tour.patch(&item, json!({"name": "Moon"})).await;
    tour.post(&format!("{item}rotate-key/"), json!({})).await;
    tour.delete(&item).await;
}

async fn webhooks(tour: &mut Tour) {
    let receiver = Receiver::start().await;
    tour.get("/api/v1/platform-events/").await;
    tour.get("/api/v1/platform-events/1/").await;
    tour.get("/api/v1/platform-events/stream/?after=0&follow=false").await;
    let made = tour.post("/api/v1/webhook-endpoints/", json!({"url": receiver.url, "events": ["core.*"]})).await;
    let item = format!("/api/v1/webhook-endpoints/{}/", made.text_at("/id"));
    tour.get("/api/v1/webhook-endpoints/").await;
    tour.get(&item).await;
    tour.put(&item, json!({"url": receiver.url, "ordered": true})).await;
    receiver.wait(1).await;
    tour.patch(&item, json!({"description": "Ours"})).await;
    for action in ["test", "rotate-secret", "disable", "enable"] {
        tour.post(&format!("{item}{action}/"), json!({})).await;
    }
    tour.post(&format!("{item}replay/"), json!({"since": "2020-01-01T00:00:00Z", "which": "missing"})).await;
    receiver.wait(2).await;
    let list = tour.get("/api/v1/webhook-deliveries/?type=core.webhook_endpoint.updated").await;
    let item_of = format!("/api/v1/webhook-deliveries/{}/", list.text_at("/results/0/id"));
    tour.get(&item_of).await;
    tour.get(&format!("{item_of}attempts/")).await;
    tour.post(&format!("{item_of}replay/"), json!({})).await;
    tour.delete(&item).await;
}

/// Operations that a module declares beside its resources, and records that only the server makes.
async fn by_hand(world: &World, tour: &mut Tour) {
    booking(world, tour).await;
    payments(world, tour).await;
    content(world, tour).await;
    for runtime in world.engine.registry.clone().resources() {
        look(tour, &format!("/api/v1/{}/", runtime.path)).await;
    }
}

async fn booking(world: &World, tour: &mut Tour) {
    let nobody = world.client();
    tour.get("/api/v1/booking/reminders/due/").await;
    // What ends an appointment wants it to have begun: the tests' clock stands at ten.
    for action in ["complete", "no-show"] {
        let body = json!({"title": "Now", "starts_at": "2026-06-22T10:00:00Z"});
        let id = tour.owner.make("/api/v1/booking/appointments/", body).await;
        tour.post(&format!("/api/v1/booking/appointments/{id}/confirm/"), json!({})).await;
        tour.post(&format!("/api/v1/booking/appointments/{id}/{action}/"), json!({})).await;
    }
    let service = tour.owner.make("/api/v1/booking/services/", json!({"title": "Haircut", "duration_min": 30})).await;
    tour.get(&format!("/api/v1/booking/availability/?service={service}&from=2026-06-23")).await;
    let public = "/api/v1/booking/public/001";
    tour.get_as(&nobody, &format!("{public}/services/")).await;
    tour.get_as(&nobody, &format!("{public}/availability/?service={service}&from=2026-06-23")).await;
    let wish =
        json!({"service": service, "starts_at": "2026-06-23T08:00:00Z", "name": "Aline", "phone": "+250788000001"});
    tour.post_as(&nobody, &format!("{public}/appointments/"), wish).await;
}

async fn payments(world: &World, tour: &mut Tour) {
    let nobody = world.client();
    let base = "/api/v1/payments";
    let invoice = tour
        .owner
        .make(&format!("{base}/invoices/"), json!({"title": "Tea", "data": {"amount": 25000, "currency": "RWF"}}))
        .await;
    let item = format!("{base}/invoices/{invoice}/");
    tour.post(&format!("{item}finalize/"), json!({})).await;
    tour.post(&format!("{item}credit-note/"), json!({"amount": "1000", "reason": "Spilled"})).await;
    let paid = tour.post(&format!("{item}record-payment/"), json!({"amount": "5000", "method": "cash"})).await;
    drop(paid);
    let payment = tour.owner.get(&format!("{base}/payments/?status=succeeded")).await.expect_status(200).json();
    if let Some(id) = payment.pointer("/results/0/id").and_then(Value::as_str) {
        tour.post(&format!("{base}/payments/{id}/refund/"), json!({"amount": "1000", "reason": "Too much"})).await;
    }
    tour.get(&format!("{base}/ledger/trial-balance/")).await;
    let receipt = tour.owner.get(&format!("{base}/receipts/")).await.expect_status(200).json();
    if let Some(id) = receipt.pointer("/results/0/id").and_then(Value::as_str) {
        tour.post(&format!("{base}/receipts/{id}/fiscalize/"), json!({"fiscal_number": "SDC-1"})).await;
        tour.post(&format!("{base}/receipts/{id}/reprint/"), json!({})).await;
    }
    let link = tour.post(&format!("{base}/payment-links/"), json!({"title": "Tea", "amount": "1000"})).await;
    if let Some(token) = link.json().get("token").and_then(Value::as_str) {
        let public = format!("{base}/public/001/payment-links/{token}/");
        tour.get_as(&nobody, &public).await;
        tour.post_as(&nobody, &format!("{public}pay/"), json!({"payer_phone": "+250788000001"})).await;
    }
    let body = json!({"amount": "2000", "method": "mtn_momo", "payer_phone": "+250788000003"});
    let pending = tour.owner.make(&format!("{base}/payments/"), body).await;
    let asked = tour.post(&format!("{base}/payments/{pending}/initiate/"), json!({})).await.json();
    let told = json!({"externalId": format!("001-{}", asked["provider_ref"].as_str().unwrap_or_default())});
    tour.post_as(&nobody, &format!("{base}/providers/sandbox/callback/"), told.clone()).await;
    tour.put(&format!("{base}/providers/sandbox/callback/"), told).await;
}

async fn content(world: &World, tour: &mut Tour) {
    let nobody = world.client();
    for kind in ["pages", "posts"] {
        let body = json!({"title": "Home", "slug": "home", "language": "en", "body": "Welcome"});
        let id = tour.owner.make(&format!("/api/v1/cms/{kind}/"), body).await;
        let item = format!("/api/v1/cms/{kind}/{id}/");
        tour.post(&format!("{item}publish/"), json!({})).await;
        tour.get_as(&nobody, &format!("/api/v1/cms/public/001/{kind}/home/?language=en")).await;
        tour.post(&format!("{item}duplicate/"), json!({})).await;
        tour.post(&format!("{item}translate/"), json!({"language": "rw"})).await;
    }
    let menu = tour.owner.make("/api/v1/cms/menus/", json!({"title": "Top", "slug": "top"})).await;
    let entry = tour
        .owner
        .make("/api/v1/cms/menu-items/", json!({"title": "Home", "menu": menu, "url": "https://example.com/"}))
        .await;
    tour.post(&format!("/api/v1/cms/menus/{menu}/reorder/"), json!({"items": [entry]})).await;
    let message = tour.owner.make("/api/v1/chat/messages/", json!({"title": "Hi", "description": "Hello"})).await;
    tour.post(&format!("/api/v1/chat/messages/{message}/react/"), json!({"emoji": "👍"})).await;
    let channel = tour.owner.get("/api/v1/chat/channels/").await.expect_status(200).text_at("/results/0/id");
    tour.post(&format!("/api/v1/chat/channels/{channel}/read/"), json!({})).await;
    tour.get("/api/v1/chat/unread/").await;
    tour.post("/api/v1/chat/presence/", json!({"state": "online"})).await;
    tour.get("/api/v1/chat/presence/").await;
    let widget = tour.post("/api/v1/chat/widgets/", json!({"title": "Shop"})).await.text_at("/token");
    let door = format!("/api/v1/chat/public/{widget}/");
    tour.get_as(&nobody, &door).await;
    let begun = tour.post_as(&nobody, &format!("{door}conversations/"), json!({"name": "Aline"})).await;
    let visitor = nobody.with_header("x-visitor-token", &begun.text_at("/visitor_token"));
    tour.post_as(&visitor, &format!("{door}messages/"), json!({"body": "Hello"})).await;
    tour.get_as(&visitor, &format!("{door}messages/")).await;
    let advice =
        tour.post("/api/v1/ai/business-advice/", json!({"prompt": "Summarize this week sales"})).await.text_at("/id");
    tour.post(&format!("/api/v1/ai/business-advice/{advice}/feedback/"), json!({"useful": true})).await;
    let talk = tour.owner.make("/api/v1/ai/conversations/", json!({"title": "Sales"})).await;
    tour.post(&format!("/api/v1/ai/conversations/{talk}/send/"), json!({"prompt": "And last week?"})).await;
    let runs = tour.owner.get("/api/v1/ai/runs/").await.expect_status(200).json();
    if let Some(id) = runs.pointer("/results/0/id").and_then(Value::as_str) {
        tour.post(&format!("/api/v1/ai/runs/{id}/feedback/"), json!({"useful": true})).await;
    }
    tour.post("/api/v1/ai/summarize/", json!({"text": "Tea is sold."})).await;
    tour.post("/api/v1/ai/draft/", json!({"facts": "We close on Friday"})).await;
    tour.post("/api/v1/ai/classify/", json!({"text": "Where is my parcel?", "labels": ["parcel", "bill"]})).await;
    let run = tour.post("/api/v1/ai/extract/", json!({"text": "Pay 5 USD"})).await.text_at("/id");
    // Only a model outside leaves runs that can be cancelled or tried again.
    set_run(world, &run, "running").await;
    tour.post(&format!("/api/v1/ai/runs/{run}/cancel/"), json!({})).await;
    tour.post(&format!("/api/v1/ai/runs/{run}/retry/"), json!({})).await;
    tour.get("/api/v1/ai/usage/").await;
    tour.get_as(&nobody, "/api/v1/protector/public-verify/IHEMATST1/").await;
    protector(world, tour).await;
}

/// Puts company 001's run into a state that takes a model to reach.
async fn set_run(world: &World, id: &str, status: &'static str) {
    let id: loopd_types::Uuid = id.parse().expect("an id");
    let work = move |tx: &mut loopd_store::Tx<'_>| {
        let sql = "UPDATE ai_runs SET status = $1 WHERE company_id = 1 AND id = $2";
        assert_eq!(tx.execute(sql, &loopd_store::params![status, id])?, 1);
        Ok(())
    };
    world.kernel.db.write(View::System, work).await.expect("the run is changed");
}

/// A code of the company's own, checked and reported by a stranger.
async fn protector(world: &World, tour: &mut Tour) {
    let (nobody, registry, owner) = (world.client(), world.engine.registry.clone(), tour.owner.clone());
    let mut samples = Samples::new(&owner, &registry);
    let activate = registry.find("protector/batches").and_then(|batches| batches.resource.find_action("activate"));
    let batch =
        samples.make_ready("protector/batches", activate.expect("batches are activated")).await.expect("a batch");
    tour.post(&format!("/api/v1/protector/batches/{batch}/activate/"), json!({})).await;
    let code = owner
        .get(&format!("/api/v1/protector/codes/?batch={batch}"))
        .await
        .expect_status(200)
        .text_at("/results/0/code");
    tour.get_as(&nobody, &format!("/api/v1/protector/public-verify/{code}/")).await;
    let report = json!({"code": code, "kind": "fake", "contact": "a@example.com"});
    tour.post_as(&nobody, "/api/v1/protector/public-report/", report).await;
}

/// What the operator sells by, and a bill from its draft to its end.
async fn billing(world: &World, tour: &mut Tour) {
    let (nobody, owner) = (world.client(), tour.owner.clone());
    let operator = world.superuser_named("teller").await.in_company("001");
    let base = "/api/v1/billing";
    let meter = json!({"code": "posts", "product": "cms", "name": "Posts", "kinds": ["cms.posts.created"]});
    let meter = tour.post_as(&operator, &format!("{base}/meters/"), meter).await.text_at("/id");
    for action in ["deactivate", "activate"] {
        tour.post_as(&operator, &format!("{base}/meters/{meter}/{action}/"), json!({})).await;
    }
    // Yet to come, so that it can be taken away again.
    let rate = json!({"country": "RW", "name": "VAT", "rate_ppm": 180_000, "valid_from": "2040-01-01T00:00:00Z"});
    let rate = tour.post_as(&operator, &format!("{base}/tax-rates/"), rate).await.text_at("/id");
    let rate = format!("{base}/tax-rates/{rate}/");
    let coupon =
        tour.post_as(&operator, &format!("{base}/coupons/"), json!({"code": "HALF", "percent_ppm": 500_000})).await;
    let coupon = format!("{base}/coupons/{}/", coupon.text_at("/id"));
    for action in ["withdraw", "activate"] {
        tour.post_as(&operator, &format!("{coupon}{action}/"), json!({})).await;
    }
    for item in [&coupon, &rate] {
        tour.get_as(&operator, item).await;
        let request = operator.patch(item).json(&json!({"name": "For friends"}));
        tour.call(Method::PATCH, item, request).await;
    }
    for list in ["meters", "tax-rates", "coupons"] {
        tour.get_as(&operator, &format!("{base}/{list}/")).await;
    }
    tour.get_as(&operator, &format!("{base}/seller/")).await;
    let request = operator.patch(&format!("{base}/seller/")).json(&json!({"name": "LOOP Ltd"}));
    tour.call(Method::PATCH, &format!("{base}/seller/"), request).await;
    let prices = json!([{"interval": "month", "currency": "RWF", "amount_minor": 30_000}]);
    let plan = json!({"product": "cms", "code": "standard", "name": "Standard", "prices": prices, "trial_days": 0});
    let item = format!("/api/v1/plans/{}/", tour.post_as(&operator, "/api/v1/plans/", plan).await.text_at("/id"));
    tour.get_as(&nobody, "/api/v1/plans/").await;
    tour.get_as(&nobody, &item).await;
    for (method, body) in
        [(Method::PUT, json!({"name": "Basic"})), (Method::PATCH, json!({"description": "For shops"}))]
    {
        let request = operator.request(method.clone(), &item).json(&body);
        tour.call(method, &item, request).await;
    }
    for action in ["archive", "activate"] {
        tour.post_as(&operator, &format!("{item}{action}/"), json!({})).await;
    }
    tour.get(&format!("{base}/account/")).await;
    let found =
        owner.get("/api/v1/product-subscriptions/?product=cms").await.expect_status(200).text_at("/results/0/id");
    tour.post(&format!("/api/v1/product-subscriptions/{found}/change-plan/"), json!({"plan": "standard"})).await;
    for list in ["invoices", "payments", "usage"] {
        tour.get(&format!("{base}/{list}/")).await;
    }
    let lines = json!({"lines": [{"description": "A day of help", "unit_minor": 1_000}]});
    for (action, body) in
        [("void", json!({})), ("mark-uncollectible", json!({})), ("pay", json!({})), ("mark-paid", json!({}))]
    {
        let draft = tour.post_as(&operator, &format!("{base}/invoices/"), lines.clone()).await.text_at("/id");
        let item = format!("{base}/invoices/{draft}/");
        tour.post_as(&operator, &format!("{item}finalize/"), json!({})).await;
        if action == "pay" {
            // Only for this one, so that the others wait to be paid by hand.
            tour.patch(&format!("{base}/account/"), json!({"payment_method": "sandbox", "payer": "anna"})).await;
            tour.post(&format!("{item}pay/"), body).await;
            tour.patch(&format!("{base}/account/"), json!({"payment_method": "manual"})).await;
        } else {
            tour.post_as(&operator, &format!("{item}{action}/"), body).await;
        }
        if action == "mark-paid" {
            tour.post_as(&operator, &format!("{item}credit-note/"), json!({"reason": "Rain"})).await;
        }
        tour.get(&item).await;
        tour.get(&format!("{item}pdf/")).await;
    }
    let request = operator.delete(&rate);
    tour.call(Method::DELETE, &rate, request).await;
}

/// Every product has a trial from the start, so one is taken away first, as if it had been installed later.
async fn subscribe(world: &World, tour: &mut Tour) {
    let taken = world.kernel.db.write(View::System, |tx| {
        Ok(tx.execute("DELETE FROM product_subscriptions WHERE product = 'chat' AND company_id = 1", &[])?)
    });
    assert_eq!(taken.await.expect("a row can be deleted"), 1);
    tour.post("/api/v1/product-subscriptions/", json!({"product": "chat", "plan": "free", "seats": 3})).await;
}
