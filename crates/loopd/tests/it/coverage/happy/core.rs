//! What every company has: people, roles, keys, webhooks, and what the operator sees of them.

use http::Method;
use loopd_testkit::json;

use super::Tour;
use super::account::{erasures, oidc, own_account, two_factor};
use crate::support::{Receiver, World};

/// Accounts, companies, members, keys.
pub(super) async fn core(world: &World, tour: &mut Tour) {
    let owner = tour.owner.clone();
    let nobody = world.client();
    for path in ["/", "/api/developers/", "/api/docs/", "/api/redoc/", "/api/schema/", "/api/assets/", "/health/"] {
        tour.get_as(&nobody, path).await;
    }
    let root = tour.get_as(&nobody, "/api/v1/").await.json();
    // Each leads to a list, which is for everybody or wants to know who asks.
    for (name, address) in root.as_object().expect("an object") {
        let path = address
            .as_str()
            .and_then(|address| address.strip_prefix(world.base.as_str()))
            .expect("an address of this server");
        assert_eq!(path, format!("/api/v1/{name}/"));
        let status = nobody.get(path).await.status;
        assert!(status == 200 || status == 401, "{path}: {status}");
    }
    assert!(root.get("companies").is_some() && root.get("booking/appointments").is_some(), "{root}");
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
    let made =
        second.post("/api/v1/memberships/").json(&json!({"user": heir.user, "role": "admin"})).await.expect_status(201);
    tour.post(&format!("{item}transfer-ownership/"), json!({"membership": made.at("/id")})).await;
    let request = heir.delete(&item);
    tour.call(Method::DELETE, &item, request).await;
}

async fn members(world: &World, tour: &mut Tour) {
    let person = world.person("aline").await;
    let made = tour.post("/api/v1/memberships/", json!({"user": person.user, "role": "staff"})).await.text_at("/id");
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
    let again = tour.post("/api/v1/memberships/", json!({"user": person.user, "role": "staff"})).await.text_at("/id");
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
