//! Who is refused, for every operation.

use std::collections::BTreeSet;

use loopd_testkit::{Described, each_engine, json};
use loopd_web::{Access, Operation};
use serde_json::Value;

use super::sample::Samples;
use super::{NOBODY, ask, is_secured, operations, path_of, request};
use crate::support::World;

/// Operations that are open to everybody, by intention. One that is not here asks for credentials.
const PUBLIC: [&str; 47] = [
    "api_root",
    "assets",
    // Whoever reads a letter shows its link.
    "auth_email_verify",
    "auth_erasure_confirm",
    "auth_login",
    "auth_merge_confirm",
    "auth_password_reset",
    "auth_password_reset_confirm",
    "auth_mfa_verify",
    "auth_oidc_begin",
    "auth_oidc_complete",
    "auth_oidc_list",
    "auth_passkeys_sign_in_begin",
    "auth_passkeys_sign_in_finish",
    "auth_refresh",
    "auth_register",
    "auth_token_verify",
    "booking_public_appointments_create",
    "booking_public_availability",
    "booking_public_services_list",
    "chat_public_conversations",
    // A visitor shows a token of their own.
    "chat_public_messages",
    "chat_public_messages_create",
    "chat_public_widget",
    "cms_public_pages_retrieve",
    "cms_public_posts_retrieve",
    "developers",
    "docs",
    // The link is the credential.
    "files_shared",
    "health",
    "invitations_accept",
    "invitations_decline",
    "invitations_lookup",
    // The form's address is the credential.
    "loopwave_form",
    "loopwave_form_submit",
    // So is a pay link's.
    "pay_link",
    "payments_payment_link_page",
    "payments_payment_link_pay",
    // A provider signs its calls itself.
    "payments_providers_callback",
    "payments_providers_callback_put",
    // Prices are for everybody to see.
    "plans_list",
    "plans_retrieve",
    "portal",
    "protector_public_report",
    "protector_public_verify",
    "redoc",
    "schema",
];

/// Of `body` what the operation's own schema names: an unknown field is refused before anything is looked up.
fn known_only(operation: &Operation, body: &Value) -> Value {
    let schema = operation.request.as_ref().and_then(|request| request.content.first()).map(|content| &content.schema);
    let known = |name: &str| schema.is_some_and(|schema| schema["properties"].get(name).is_some());
    let kept = body.as_object().into_iter().flatten().filter(|(name, _)| known(name));
    Value::Object(kept.map(|(name, value)| (name.clone(), value.clone())).collect())
}

/// Collects what went wrong, so that one run tells everything.
#[derive(Default)]
struct Complaints(Vec<String>);

impl Complaints {
    fn expect(&mut self, id: &str, answer: &loopd_testkit::Answer, status: u16, codes: &[&str]) {
        let code = serde_json::from_slice::<Value>(&answer.body)
            .ok()
            .and_then(|body| body.pointer("/error/code").and_then(|code| code.as_str()).map(str::to_owned))
            .unwrap_or_default();
        if answer.status != status || !codes.contains(&code.as_str()) {
            self.0.push(format!(
                "{id}: {}: expected {status} {codes:?}, got {} {}",
                answer.what,
                answer.status,
                answer.text()
            ));
        }
    }

    #[track_caller]
    fn must_be_none(self) {
        assert!(self.0.is_empty(), "\n{}\n", self.0.join("\n"));
    }
}

each_engine! {
    async fn without_credentials_every_operation_that_is_not_public_is_refused(world: &World) {
        let client = world.client();
        let mut complaints = Complaints::default();
        for operation in operations(world).iter().filter(|operation| is_secured(operation)) {
            complaints.expect(&operation.id, &ask(&client, operation).await, 401, &["not_authenticated"]);
            let answer = ask(&client.with_header("authorization", "Bearer "), operation).await;
            complaints.expect(&operation.id, &answer, 401, &["not_authenticated"]);
            let answer = ask(&client.with_token("eyJhbGciOiJIUzI1NiJ9.e30.x"), operation).await;
            complaints.expect(&operation.id, &answer, 401, &["token_not_valid"]);
            complaints.expect(&operation.id, &ask(&client.with_key("loop_ik_wrong"), operation).await, 401, &["invalid_api_key"]);
        }
        complaints.must_be_none();
    }

    async fn public_operations_are_public_by_intention_and_say_so_in_the_schema(world: &World) {
        let document = world.client().get("/api/schema/?format=json").await.expect_status(200).json();
        for described in Described::all(&document) {
            assert_eq!(described.is_secured, !PUBLIC.contains(&described.id.as_str()),
                "{} {} ({}): either it wants credentials, or it belongs in PUBLIC (coverage/refusals.rs)", described.method, described.path, described.id);
        }
    }

    async fn another_companys_owner_is_refused_by_every_operation_of_a_company(world: &World) {
        let (_, stranger) = world.strangers().await;
        let intruder = stranger.in_company("001");
        let mut complaints = Complaints::default();
        for operation in operations(world) {
            if let Access::Tenant { .. } | Access::Union { .. } = operation.access {
                complaints.expect(&operation.id, &ask(&intruder, &operation).await, 403, &["company_access_denied"]);
            }
        }
        complaints.must_be_none();
    }

    async fn a_member_without_permission_is_refused_by_every_operation_of_a_company(world: &World) {
        let owner = world.owner().await;
        let role = world.role(&owner, &["nothing.at.all"]).await;
        let member = world.member(&owner, "grace", &role).await;
        let mut complaints = Complaints::default();
        for operation in operations(world) {
            if let Access::Tenant { .. } | Access::Union { .. } = operation.access {
                complaints.expect(&operation.id, &ask(&member, &operation).await, 403, &["permission_denied"]);
            }
        }
        complaints.must_be_none();
    }

    async fn a_viewer_changes_nothing(world: &World) {
        let owner = world.owner().await;
        let viewer = world.member(&owner, "grace", "viewer").await;
        let mut complaints = Complaints::default();
        for operation in operations(world).iter().filter(|operation| !operation.method.is_safe()) {
            if let Access::Tenant { permission, .. } = &operation.access
                && !permission.ends_with(".view")
            {
                complaints.expect(&operation.id, &ask(&viewer, operation).await, 403, &["permission_denied"]);
            }
        }
        complaints.must_be_none();
    }

    async fn a_key_without_the_scope_is_refused_by_every_operation_of_a_company(world: &World) {
        let owner = world.owner().await;
        let (_, key) = world.key(&owner, &["nothing.at.all"]).await;
        let mut complaints = Complaints::default();
        for operation in operations(world) {
            if let Access::Tenant { .. } | Access::Union { .. } = operation.access {
                complaints.expect(&operation.id, &ask(&key, &operation).await, 403, &["insufficient_scope"]);
            }
        }
        complaints.must_be_none();
    }

    async fn an_owner_is_no_superuser(world: &World) {
        let owner = world.owner().await;
        let mut complaints = Complaints::default();
        for operation in operations(world).iter().filter(|operation| operation.access == Access::Superuser) {
            complaints.expect(&operation.id, &ask(&owner, operation).await, 403, &["permission_denied"]);
        }
        complaints.must_be_none();
    }

    async fn another_companys_record_does_not_exist(world: &World) {
        let (owner, stranger) = world.strangers().await;
        let registry = world.engine.registry.clone();
        let (mut samples, mut own) = (Samples::new(&owner, &registry), Samples::new(&stranger, &registry));
        let (mut complaints, mut seen) = (Complaints::default(), BTreeSet::new());
        for runtime in registry.resources() {
            let base = format!("/api/v1/{}/{{id}}/", runtime.path);
            let Ok(id) = samples.make(&runtime.path).await else { continue };
            let body = own.body(&runtime.path, &[]).await;
            for operation in operations(world).iter().filter(|operation| operation.path.starts_with(&base)) {
                seen.insert(runtime.path.clone());
                let action = operation.path[base.len()..].trim_end_matches('/');
                let body = match runtime.resource.find_action(action) {
                    Some(action) => own.input(&runtime.path, action).await,
                    // Operations that a module adds to a record.
                    None if action == "translate" => json!({"language": "rw"}),
                    None if action == "send" => json!({"prompt": "How was the week?"}),
                    None => body.clone(),
                };
                let path = path_of(operation, |_| id.clone());
                complaints.expect(&operation.id, &request(&stranger, operation, &path, &body).await, 404, &["not_found"]);
            }
        }
        complaints.must_be_none();
        assert!(seen.len() > 5, "only {seen:?} could be made");
    }

    async fn another_companys_core_rows_do_not_exist(world: &World) {
        let (owner, stranger) = world.strangers().await;
        let body = json!({"name": "x", "title": "x", "role": "staff", "scopes": ["*"], "permissions": ["booking.*"], "membership": NOBODY,
            "url": "http://127.0.0.1:9/", "since": "2026-01-01T00:00:00Z"});
        let mut complaints = Complaints::default();
        for resource in ["workspaces", "memberships", "invitations", "roles", "internal-api-keys", "api-client-apps", "product-subscriptions", "audit-logs", "companies", "webhook-endpoints", "webhook-deliveries"] {
            match resource {
                "invitations" => drop(owner.make("/api/v1/invitations/", json!({"email": "grace@example.com", "role": "staff"})).await),
                "webhook-endpoints" => drop(owner.make("/api/v1/webhook-endpoints/", json!({"url": "http://127.0.0.1:9/"})).await),
                "webhook-deliveries" => {
                    let endpoint = owner.get("/api/v1/webhook-endpoints/").await.text_at("/results/0/id");
                    owner.post(&format!("/api/v1/webhook-endpoints/{endpoint}/test/")).await.expect_status(200);
                }
                "internal-api-keys" => drop(world.key(&owner, &["booking.*"]).await),
                "api-client-apps" => drop(owner.make("/api/v1/api-client-apps/", json!({"app_id": "an-app", "name": "An app"})).await),
                _ => {}
            }
            let list = owner.get(&format!("/api/v1/{resource}/")).query("ordering", "-created_at").await.expect_status(200).json();
            let rows = list["results"].as_array().expect("rows");
            // First-party apps are everybody's to see.
            let row = rows.iter().find(|row| resource != "api-client-apps" || row["company"] == "001").expect("a row of the owner's");
            let id = row["id"].as_str().expect("an id").to_owned();
            let base = format!("/api/v1/{resource}/{{id}}/");
            for operation in operations(world).iter().filter(|operation| operation.path.starts_with(&base)) {
                let body = known_only(operation, &body);
                let answer = request(&stranger, operation, &path_of(operation, |_| id.clone()), &body).await;
                let (status, code) = if operation.access == Access::Superuser { (403, "permission_denied") } else { (404, "not_found") };
                complaints.expect(&operation.id, &answer, status, &[code]);
            }
        }
        complaints.must_be_none();
    }
}
