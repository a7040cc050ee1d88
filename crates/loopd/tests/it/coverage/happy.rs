//! At least one success for every documented operation: by definition where that is enough, by hand where it is not.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use http::Method;
use loopd_testkit::{Answer, Client, Request, assert_gaps, each_engine, json};
use serde_json::Value;

use super::operations;
use super::sample::Samples;
use crate::support::{Actor, World};

/// Calls operations and notes which of them answered with a success.
struct Tour<'w> {
    /// Segments of the documented path, method, operation id.
    routes: Vec<(Vec<String>, Method, String)>,
    done: BTreeSet<String>,
    failures: BTreeMap<String, String>,
    owner: &'w Actor,
}

fn segments(path: &str) -> Vec<String> {
    path.split('?').next().unwrap_or_default().trim_matches('/').split('/').map(str::to_owned).collect()
}

impl<'w> Tour<'w> {
    fn new(world: &World, owner: &'w Actor) -> Self {
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
        let mut tour = Tour::new(world, &owner);
        resources(world, &mut tour).await;
        core(world, &mut tour).await;
        by_hand(world, &mut tour).await;
        let missing: Vec<String> = tour.routes.iter().map(|(.., id)| id.clone()).filter(|id| !tour.done.contains(id)).collect();
        for id in &missing {
            println!("{id}: {}", tour.failures.get(id).map_or("never asked: add a happy case to coverage/happy.rs", String::as_str));
        }
        assert_gaps(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/coverage/gaps.txt"), missing);
    }
}

/// Everything that every resource of every module has.
async fn resources(world: &World, tour: &mut Tour<'_>) {
    let registry = world.engine.registry.clone();
    let owner = tour.owner;
    let mut samples = Samples::new(owner, &registry);
    for runtime in registry.resources() {
        let (resource, base) = (&runtime.resource, format!("/api/v1/{}/", runtime.path));
        if !resource.read_only {
            let body = samples.body(&runtime.path, &[]).await;
            let made = tour.post(&base, body).await;
            let bulk = samples.body(&runtime.path, &[]).await;
            let bulk = json!({"operations": [{"op": "create", "body": bulk}], "atomic": true});
            tour.post(&format!("{base}bulk/"), bulk).await;
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
                        let input = samples.input(&action.input).await;
                        tour.post(&format!("{base}{id}/{}/", action.name), input).await;
                    }
                    Err(words) => {
                        let id = tour.id_of(&Method::POST, &format!("{base}x/{}/", action.name));
                        tour.failures.insert(id, words);
                    }
                }
            }
        }
        let list = tour.get(&base).await;
        tour.get(&format!("{base}export/?format=csv")).await;
        if let Some(id) = list.json().pointer("/results/0/id").and_then(Value::as_str) {
            let item = format!("{base}{id}/");
            tour.get(&item).await;
            tour.get(&format!("{item}actions/")).await;
            tour.get(&format!("{item}history/")).await;
        }
    }
}

/// Accounts, companies, members, keys.
async fn core(world: &World, tour: &mut Tour<'_>) {
    let owner = tour.owner;
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
    ] {
        tour.get(&format!("/api/v1/{list}/")).await;
    }
    tour.get("/api/v1/products/booking/").await;
    let audit = tour.get("/api/v1/audit-logs/").await.text_at("/results/0/id");
    tour.get(&format!("/api/v1/audit-logs/{audit}/")).await;
    companies(world, tour).await;
    members(world, tour).await;
    credentials(tour).await;
    let root = world.superuser().await;
    let profile =
        tour.post("/api/v1/developer-profiles/", json!({"display_name": "Grace", "accept_terms": true})).await;
    let item = format!("/api/v1/developer-profiles/{}/", profile.text_at("/id"));
    tour.get(&item).await;
    tour.put(&item, json!({"display_name": "Grace U"})).await;
    tour.patch(&item, json!({"bio": "Writes tills."})).await;
    tour.post_as(&root, &format!("{item}approve/"), json!({})).await;
    tour.post_as(&root, &format!("{item}reject/"), json!({})).await;
    tour.delete(&item).await;
    let subscriptions = owner.get("/api/v1/product-subscriptions/").await.expect_status(200);
    let item = format!("/api/v1/product-subscriptions/{}/", subscriptions.text_at("/results/0/id"));
    tour.get(&item).await;
    for action in ["activate", "suspend", "resume", "renew", "cancel"] {
        tour.post(&format!("{item}{action}/"), json!({})).await;
    }
    tour.post(&format!("{item}renew/"), json!({})).await;
    tour.post(&format!("{item}activate/"), json!({})).await;
}

async fn companies(world: &World, tour: &mut Tour<'_>) {
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

async fn members(world: &World, tour: &mut Tour<'_>) {
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

async fn credentials(tour: &mut Tour<'_>) {
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

/// Operations that a module declares beside its resources; each needs what its own rules ask for.
async fn by_hand(world: &World, tour: &mut Tour<'_>) {
    let nobody = world.client();
    tour.get_as(&nobody, "/api/v1/protector/public-verify/IHEMATST1/").await;
}
