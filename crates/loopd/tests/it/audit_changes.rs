//! `/api/v1/audit-logs/`: what changed in who may do what and where news go, from what to what, and never a secret.

use loopd_testkit::{assert_json, each_engine, json};
use serde_json::Value;

use crate::support::{Actor, World};

/// The rows of a resource without visits of superusers, the oldest first: action, label and changes.
async fn told(owner: &Actor, resource: &str) -> Vec<(String, String, Value)> {
    let path = format!("/api/v1/audit-logs/?resource={resource}&page_size=100&ordering=at");
    let found = owner.get(&path).await.expect_status(200).at("/results");
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let rows = found.as_array().expect("rows").iter();
    rows.map(|row| (text(row, "action"), text(row, "label"), row["changes"].clone())).collect()
}

fn row(action: &str, label: &str, changes: Value) -> (String, String, Value) {
    (action.to_owned(), label.to_owned(), changes)
}

each_engine! {
    async fn the_log_says_what_a_role_allowed_and_allows(world: &World) {
        let owner = world.owner().await;
        let role = json!({"name": "Desk", "permissions": ["booking.*.view"]});
        let path = format!("/api/v1/roles/{}/", owner.make("/api/v1/roles/", role).await);
        let wider = json!({"name": "Desk", "permissions": ["booking.*"]});
        owner.patch(&path).json(&wider).await.expect_status(200);
        owner.delete(&path).await.expect_status(204);
        let made = json!({"slug": [null, "desk"], "name": [null, "Desk"], "permissions": [null, ["booking.*.view"]]});
        let gone = json!({"slug": ["desk", null], "name": ["Desk", null], "permissions": [["booking.*"], null]});
        assert_eq!(told(&owner, "roles").await, [
            row("create", "Desk", made),
            row("update", "Desk", json!({"permissions": [["booking.*.view"], ["booking.*"]]})),
            row("delete", "Desk", gone),
        ]);
    }

    async fn the_log_says_what_a_key_and_an_app_may(world: &World) {
        let owner = world.owner().await;
        let key = json!({"name": "Till", "scopes": ["booking.*"]});
        let made = owner.post("/api/v1/internal-api-keys/").json(&key).await.expect_status(201).json();
        let path = format!("/api/v1/internal-api-keys/{}/", made["id"].as_str().expect("an id"));
        let narrower = json!({"name": "Till", "scopes": ["booking.*.view"]});
        owner.patch(&path).json(&narrower).await.expect_status(200);
        owner.post(&format!("{path}rotate/")).json(&json!({})).await.expect_status(201);
        owner.post(&format!("{path}revoke/")).await.expect_status(200);
        let rows = told(&owner, "internal-api-keys").await;
        let actions: Vec<(&str, &str)> = rows.iter().map(|row| (row.0.as_str(), row.1.as_str())).collect();
        assert_eq!(actions, [("create", "Till"), ("update", "Till"), ("rotate", "Till"), ("revoke", "Till")]);
        assert_json!(rows[0].2, {"name": [null, "Till"], "scopes": [null, ["booking.*"]], "user": [null, owner.user]});
        assert_eq!(rows[1].2, json!({"scopes": [["booking.*"], ["booking.*.view"]]}));
        assert_json!(rows[2].2, {"rotated_from": [null, made["id"]], "scopes": [null, ["booking.*.view"]]});
        assert!(rows[3].2["revoked_at"][0].is_null() && rows[3].2["revoked_at"][1].is_string(), "{rows:#?}");
        let text = format!("{rows:?}");
        assert!(!text.contains("hash") && !text.contains("secret"), "{text}");

        let app = json!({"app_id": "till", "name": "Till", "allowed_origins": ["https://till.example"]});
        let path = format!("/api/v1/api-client-apps/{}/", owner.make("/api/v1/api-client-apps/", app).await);
        owner.patch(&path).json(&json!({"allowed_origins": ["https://evil.example"]})).await.expect_status(200);
        owner.post(&format!("{path}disable/")).await.expect_status(200);
        let rows = told(&owner, "api-client-apps").await;
        assert_eq!((rows[0].0.as_str(), rows[0].1.as_str()), ("create", "Till"));
        assert_eq!(rows[1..], [
            row("update", "Till", json!({"allowed_origins": [["https://till.example"], ["https://evil.example"]]})),
            row("disable", "Till", json!({"status": ["enabled", "disabled"]})),
        ]);
    }

    async fn the_log_says_where_news_go_and_who_vouches(world: &World) {
        let owner = world.owner().await;
        let hook = json!({"url": "https://one.example/hook", "events": ["booking.*"]});
        let path = format!("/api/v1/webhook-endpoints/{}/", owner.make("/api/v1/webhook-endpoints/", hook).await);
        owner.patch(&path).json(&json!({"url": "https://two.example/hook"})).await.expect_status(200);
        owner.post(&format!("{path}rotate-secret/")).json(&json!({})).await;
        let rows = told(&owner, "webhook-endpoints").await;
        assert_json!(rows[0].2, {"url": [null, "https://one.example/hook"], "events": [null, ["booking.*"]]});
        let moved = json!({"url": ["https://one.example/hook", "https://two.example/hook"]});
        assert_eq!(rows[1], row("update", "https://two.example/hook", moved));
        assert_eq!((rows[2].0.as_str(), rows[2].1.as_str()), ("rotate-secret", "https://two.example/hook"));
        assert!(rows[2].2["old_secret_until"][1].is_string(), "{rows:#?}");

        let provider = json!({"name": "Acme", "issuer": "https://id.example", "client_id": "loop", "client_secret": "hush-hush",
            "redirect_uris": ["https://app.example/back"]});
        let path = format!("/api/v1/oidc-providers/{}/", owner.make("/api/v1/oidc-providers/", provider).await);
        let change = json!({"trusts_mfa": true, "client_secret": "hush-more"});
        owner.patch(&path).json(&change).await.expect_status(200);
        let rows = told(&owner, "oidc-providers").await;
        assert_json!(rows[0].2, {"issuer": [null, "https://id.example"], "client_secret": [null, "changed"]});
        let changed = json!({"trusts_mfa": [false, true], "client_secret": [null, "changed"]});
        assert_eq!(rows[1], row("update", "Acme", changed));
        assert!(!format!("{rows:?}").contains("hush"), "{rows:#?}");
    }

    async fn the_log_says_what_became_of_members_workspaces_and_the_company(world: &World) {
        let owner = world.owner().await;
        let member = world.member(&owner, "mia", "staff").await;
        let path = format!("/api/v1/memberships/{}/", member.membership().await);
        owner.patch(&path).json(&json!({"title": "Desk", "all_workspaces": true})).await.expect_status(200);
        owner.post(&format!("{path}suspend/")).await.expect_status(200);
        let rows = told(&owner, "memberships").await;
        let of_member: Vec<_> = rows.into_iter().filter(|row| row.1 == member.email).collect();
        assert_json!(of_member[0].2, {"role": [null, "staff"], "status": [null, "active"]});
        assert_eq!(of_member[1..], [
            row("update", &member.email, json!({"title": ["", "Desk"]})),
            row("suspend", &member.email, json!({"status": ["active", "suspended"]})),
        ]);

        let place = owner.make("/api/v1/workspaces/", json!({"name": "Huye"})).await;
        owner.post(&format!("/api/v1/workspaces/{place}/archive/")).await.expect_status(200);
        let rows = told(&owner, "workspaces").await;
        let archived = row("archive", "Huye", json!({"status": ["active", "archived"]}));
        assert_eq!(rows.last(), Some(&archived));

        let company = owner.get("/api/v1/companies/").await.text_at("/results/0/id");
        let body = json!({"name": "Harbour", "country": "RW"});
        owner.patch(&format!("/api/v1/companies/{company}/")).json(&body).await.expect_status(200);
        let rows = told(&owner, "companies").await;
        assert_eq!(rows.last(), Some(&row("update", "001", json!({"name": ["owner Ltd", "Harbour"]}))));
        // Whoever follows the events reads on as before.
        let events = owner.get("/api/v1/platform-events/?type=core.company.updated").await.expect_status(200);
        assert_eq!(events.at("/results/0/data/name"), "Harbour");
    }

    async fn the_log_says_what_is_sold_at_what_price(world: &World) {
        let operator = world.superuser().await;
        let price = |amount: i64| json!([{"interval": "month", "currency": "RWF", "amount_minor": amount, "seat_minor": 0}]);
        let plan = json!({"product": "booking", "code": "team", "name": "Team", "prices": price(100)});
        let path = format!("/api/v1/plans/{}/", operator.post("/api/v1/plans/").json(&plan).await.text_at("/id"));
        operator.patch(&path).json(&json!({"prices": price(200)})).await.expect_status(200);
        let rows = told(&operator, "plans").await;
        let update = rows.last().expect("a row");
        assert_eq!((update.0.as_str(), update.1.as_str()), ("update", "team"));
        assert_json!(update.2, {"edition": [1, 2], "prices": [[{"amount_minor": 100}], [{"amount_minor": 200}]]});
        let rate = json!({"country": "RW", "name": "VAT", "rate_ppm": 180_000});
        operator.post("/api/v1/billing/tax-rates/").json(&rate).await.expect_status(201);
        assert_json!(told(&operator, "tax-rates").await[0].2, {"rate_ppm": [null, 180_000], "name": [null, "VAT"]});
        operator.patch("/api/v1/billing/seller/").json(&json!({"grace_days": 3})).await.expect_status(200);
        assert_eq!(told(&operator, "billing-seller").await[0].2, json!({"grace_days": [14, 3]}));
    }
}
