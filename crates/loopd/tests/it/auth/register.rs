//! `POST /auth/register/`

use loopd_testkit::{assert_json, each_engine, json};
use serde_json::Value;

use crate::support::World;

const REGISTER: &str = "/api/v1/auth/register/";

fn person(name: &str) -> Value {
    json!({"email": format!("{name}@example.com"), "username": name, "password": "strongpass123", "company_name": "Demo Company"})
}

fn with(mut body: Value, field: &str, value: impl Into<Value>) -> Value {
    body[field] = value.into();
    body
}

each_engine! {
    async fn every_missing_field_is_named_at_once(world: &World) {
        let answer = world.client().post(REGISTER).json(&json!({})).await.expect_refusal(400, "validation_error");
        for field in ["email", "username", "password", "company_name"] {
            let complaint = answer.at(&format!("/error/details/{field}/0"));
            assert_json!(complaint, {"code": "required", "message": "This field is required."});
        }
    }

    async fn fields_are_judged_in_djangos_words(world: &World) {
        let client = world.client();
        for (field, value, code, message) in [
            ("email", json!("dev"), "invalid", "Enter a valid email address."),
            ("email", json!(""), "blank", "This field may not be blank."),
            ("email", json!(null), "null", "This field may not be null."),
            ("email", json!([]), "invalid", "Not a valid string."),
            ("username", json!("no spaces"), "invalid", "Enter a valid username. This value may contain only letters, numbers, and @/./+/-/_ characters."),
            ("username", json!("u".repeat(151)), "max_length", "Ensure this field has no more than 150 characters."),
            ("password", json!("short"), "password_too_short", "This password is too short. It must contain at least 8 characters."),
            ("password", json!("password"), "password_too_common", "This password is too common."),
            ("password", json!("4815162342"), "password_entirely_numeric", "This password is entirely numeric."),
            ("company_name", json!("  "), "blank", "This field may not be blank."),
            ("currency", json!("XXQ"), "invalid_choice", "\"XXQ\" is not a valid choice."),
        ] {
            let answer = client.post(REGISTER).json(&with(person("dev"), field, value.clone())).await.expect_field(field, code);
            assert_eq!(answer.text_at(&format!("/error/details/{field}/0/message")), message, "{field} = {value}");
        }
        let list = client.post(REGISTER).json(&json!([person("dev")])).await.expect_field("", "invalid");
        assert_eq!(list.text_at("/error/details/non_field_errors/0/message"), "Invalid data. Expected a dictionary, but got list.");
    }

    async fn a_refused_registration_leaves_nothing_behind(world: &World) {
        let client = world.client();
        client.post(REGISTER).json(&with(person("dev"), "password", "short")).await.expect_status(400);
        let made = client.post(REGISTER).json(&person("dev")).await.expect_status(201);
        assert_eq!(made.text_at("/company/code"), "001", "no code was lost");
    }

    async fn an_email_or_username_is_taken_whatever_its_case(world: &World) {
        let client = world.client();
        client.post(REGISTER).json(&person("dev")).await.expect_status(201);
        let both = client.post(REGISTER).json(&with(with(person("dev"), "email", "DEV@Example.com"), "username", "Dev")).await;
        let both = both.expect_field("email", "unique").expect_field("username", "unique");
        assert_eq!(both.text_at("/error/details/email/0/message"), "A user with this email already exists.");
        client.post(REGISTER).json(&with(person("other"), "email", "dev@EXAMPLE.com")).await.expect_field("email", "unique");
        client.post(REGISTER).json(&with(person("other"), "username", "DEV")).await.expect_field("username", "unique");
    }

    async fn one_call_makes_user_company_workspace_membership_and_trials(world: &World) {
        let client = world.client();
        let made = client.post(REGISTER).json(&person("dev")).await.expect_status(201);
        assert_json!(made.json(), {
            "user": {"id": "[uuid]", "email": "dev@example.com", "username": "dev"},
            "company": {"id": "[uuid]", "code": "001", "name": "Demo Company"},
            "membership": {"role": "owner", "status": "active"},
            "token_type": "Bearer", "expires_in": 1800,
        });
        let owner = client.with_token(&made.text_at("/access"));
        let workspaces = owner.get("/api/v1/workspaces/").await.expect_status(200);
        assert_json!(workspaces.json(), {"count": 1, "results": [{"name": "Main", "is_default": true, "company": "001"}]});
        let products = owner.get("/api/v1/products/").await.expect_status(200).at("/count");
        let trials = owner.get("/api/v1/product-subscriptions/?status=trialing").await.expect_status(200);
        assert_eq!(trials.at("/count"), products);
        let audit = owner.get("/api/v1/audit-logs/?action=register").await.expect_status(200);
        assert_eq!(audit.at("/count"), json!(1));
    }

    async fn a_company_header_is_harmless_even_if_it_is_nonsense(world: &World) {
        for (name, code) in [("a", "001"), ("b", "999"), ("c", "nonsense"), ("d", "")] {
            let client = world.client().company(code).with_header("x-workspace-id", "nonsense");
            client.post(REGISTER).json(&person(name)).await.expect_status(201);
        }
    }

    async fn companies_get_their_codes_in_sequence(world: &World) {
        for (name, code) in [("a", "001"), ("b", "002"), ("c", "003")] {
            let made = world.client().post(REGISTER).json(&person(name)).await.expect_status(201);
            assert_eq!(made.text_at("/company/code"), code);
        }
        let slugs = world.superuser().await.get("/api/v1/companies/").await.json();
        let slugs: Vec<_> = slugs["results"].as_array().expect("rows").iter().map(|row| row["slug"].clone()).collect();
        assert_eq!(slugs, [json!("demo-company"), json!("demo-company-2"), json!("demo-company-3")]);
    }

    async fn registrations_at_once_get_different_codes(world: &World) {
        let mut calls = tokio::task::JoinSet::new();
        for number in 0..8 {
            let client = world.client();
            calls.spawn(async move { client.post(REGISTER).json(&person(&format!("person{number}"))).await });
        }
        let mut codes: Vec<String> = calls.join_all().await.into_iter().map(|answer| answer.expect_status(201).text_at("/company/code")).collect();
        codes.sort();
        assert_eq!(codes, (1..=8).map(|number| format!("{number:03}")).collect::<Vec<_>>());
    }

    async fn the_same_person_at_once_is_registered_once(world: &World) {
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..6 {
            let client = world.client();
            calls.spawn(async move { client.post(REGISTER).json(&person("dev")).await });
        }
        let mut statuses: Vec<u16> = calls.join_all().await.iter().map(|answer| answer.status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 400, 400, 400, 400, 400]);
    }
}
