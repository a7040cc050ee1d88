//! `Idempotency-Key` on every unsafe kind of call: the same key and request give the same answer and one effect.

use loopd_testkit::{Answer, Client, each_engine, json};
use serde_json::Value;

use crate::support::World;

const APPOINTMENTS: &str = "/api/v1/booking/appointments/";

fn with_key(client: &Client, key: &str) -> Client {
    client.with_header("idempotency-key", key)
}

fn is_replay(answer: &Answer) -> bool {
    answer.header("idempotency-replayed") == Some("true")
}

async fn count(client: &Client, path: &str) -> Value {
    client.get(path).await.expect_status(200).at("/count")
}

each_engine! {
    async fn a_repeat_gets_the_same_answer_and_has_no_second_effect(world: &World) {
        let owner = world.owner().await;
        let client = with_key(&owner, "one");
        let first = client.post(APPOINTMENTS).json(&json!({"title": "Once"})).await.expect_status(201);
        assert!(!is_replay(&first));
        for _ in 0..3 {
            let again = client.post(APPOINTMENTS).json(&json!({"title": "Once"})).await.expect_status(201);
            assert!(is_replay(&again));
            assert_eq!(again.body, first.body);
            assert_eq!(again.header("etag"), first.header("etag"));
            assert_eq!(again.header("location"), first.header("location"));
        }
        assert_eq!(count(&owner, APPOINTMENTS).await, json!(1));
    }

    async fn another_request_with_the_same_key_is_a_conflict(world: &World) {
        let owner = world.owner().await;
        let client = with_key(&owner, "one");
        client.post(APPOINTMENTS).json(&json!({"title": "Once"})).await.expect_status(201);
        client.post(APPOINTMENTS).json(&json!({"title": "Twice"})).await.expect_refusal(409, "idempotency_conflict");
        client.post("/api/v1/booking/customers/").json(&json!({"title": "Once"})).await.expect_refusal(409, "idempotency_conflict");
        assert_eq!(count(&owner, APPOINTMENTS).await, json!(1));
        assert_eq!(count(&owner, "/api/v1/booking/customers/").await, json!(0));
    }

    async fn every_kind_of_change_is_remembered(world: &World) {
        let owner = world.owner().await;
        let id = owner.make(APPOINTMENTS, json!({"title": "Visit"})).await;
        let item = format!("{APPOINTMENTS}{id}/");
        let bulk = json!({"operations": [{"op": "create", "body": {"title": "In bulk"}}], "atomic": true});
        let key = owner.make("/api/v1/internal-api-keys/", json!({"name": "Sync"})).await;
        let calls: Vec<(&str, String, Value, u16)> = vec![
            ("PATCH", item.clone(), json!({"title": "Patched"}), 200),
            ("PUT", item.clone(), json!({"title": "Put"}), 200),
            ("POST", format!("{item}cancel/"), json!({"reason": "Rain"}), 200),
            ("DELETE", item.clone(), json!({}), 204),
            ("POST", format!("{item}restore/"), json!({}), 200),
            ("PUT", format!("{APPOINTMENTS}by-external-id/EXT-1/"), json!({"title": "Upserted"}), 201),
            ("POST", format!("{APPOINTMENTS}bulk/"), bulk, 200),
            ("POST", "/api/v1/workspaces/".into(), json!({"name": "Huye"}), 201),
            ("POST", "/api/v1/companies/".into(), json!({"name": "Second"}), 201),
            ("PATCH", "/api/v1/companies/001/".into(), json!({"tax_id": "7"}), 200),
            ("POST", "/api/v1/internal-api-keys/".into(), json!({"name": "Till"}), 201),
            ("POST", format!("/api/v1/internal-api-keys/{key}/rotate/"), json!({}), 201),
            ("PATCH", "/api/v1/auth/me/".into(), json!({"first_name": "Grace"}), 200),
            ("POST", "/api/v1/roles/".into(), json!({"name": "Till", "permissions": ["booking.*"]}), 201),
            ("POST", "/api/v1/api-client-apps/".into(), json!({"app_id": "my-till", "name": "Till"}), 201),
            ("POST", "/api/v1/developer-profiles/".into(), json!({"display_name": "Grace"}), 201),
        ];
        for (number, (method, path, body, status)) in calls.into_iter().enumerate() {
            let client = with_key(&owner, &format!("key-{number}"));
            let send = || client.request(method.parse().expect("a method"), &path).json(&body);
            let first = send().await.expect_status(status);
            let versions = owner.get("/api/v1/audit-logs/").await.at("/count");
            let again = send().await.expect_status(status);
            assert!(is_replay(&again) && again.body == first.body, "{method} {path}: {}", again.text());
            assert_eq!(owner.get("/api/v1/audit-logs/").await.at("/count"), versions, "{method} {path} was done twice");
        }
    }

    async fn registration_signing_in_and_renewal_can_be_repeated(world: &World) {
        let client = with_key(&world.client(), "register");
        let body = json!({"email": "dev@example.com", "username": "dev", "password": "strongpass123", "company_name": "Demo Company"});
        let first = client.post("/api/v1/auth/register/").json(&body).await.expect_status(201);
        let again = client.post("/api/v1/auth/register/").json(&body).await.expect_status(201);
        assert!(is_replay(&again) && again.body == first.body);
        let login = json!({"email": "dev@example.com", "password": "strongpass123"});
        let client = with_key(&world.client(), "login");
        let first = client.post("/api/v1/auth/login/").json(&login).await.expect_status(200);
        assert_eq!(client.post("/api/v1/auth/login/").json(&login).await.expect_status(200).body, first.body);
        // A lost answer to a renewal must not lock the person out: the repeat is not a reuse.
        let refresh = json!({"refresh": first.at("/refresh")});
        let client = with_key(&world.client(), "refresh");
        let renewed = client.post("/api/v1/auth/refresh/").json(&refresh).await.expect_status(200);
        let again = client.post("/api/v1/auth/refresh/").json(&refresh).await.expect_status(200);
        assert_eq!(again.body, renewed.body);
        world.client().with_token(&renewed.text_at("/access")).get("/api/v1/auth/me/").await.expect_status(200);
    }

    async fn repeats_at_the_same_time_have_one_effect(world: &World) {
        let owner = world.owner().await;
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..12 {
            let client = with_key(&owner, "at-once");
            calls.spawn(async move { client.post(APPOINTMENTS).json(&json!({"title": "Once"})).await });
        }
        let answers = calls.join_all().await;
        let ids: std::collections::BTreeSet<String> = answers.iter().filter(|answer| answer.status == 201).map(|answer| answer.text_at("/id")).collect();
        assert_eq!(ids.len(), 1, "one record, told to everyone who was answered");
        for answer in answers.into_iter().filter(|answer| answer.status != 201) {
            answer.expect_refusal(409, "idempotency_conflict");
        }
        assert_eq!(count(&owner, APPOINTMENTS).await, json!(1));
    }

    async fn registrations_repeated_at_the_same_time_make_one_company(world: &World) {
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let client = with_key(&world.client(), "register");
            let body = json!({"email": "dev@example.com", "username": "dev", "password": "strongpass123", "company_name": "Demo Company"});
            calls.spawn(async move { client.post("/api/v1/auth/register/").json(&body).await });
        }
        let answers = calls.join_all().await;
        let good: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 201).collect();
        assert!(!good.is_empty());
        assert!(good.iter().all(|answer| answer.body == good[0].body));
        assert!(answers.iter().all(|answer| answer.status == 201 || answer.status == 409), "{:?}", answers.iter().map(|a| a.status).collect::<Vec<_>>());
        let root = world.superuser().await;
        assert_eq!(count(&root, "/api/v1/companies/").await, json!(1));
    }

    async fn a_refusal_is_not_remembered(world: &World) {
        let owner = world.owner().await;
        let client = with_key(&owner, "mistake");
        client.post(APPOINTMENTS).json(&json!({})).await.expect_field("title", "required");
        // The same key with the mistake mended: nothing had happened under it.
        client.post(APPOINTMENTS).json(&json!({"title": "Mended"})).await.expect_status(201);
    }

    async fn keys_of_different_people_and_companies_never_meet(world: &World) {
        let (owner, stranger) = world.strangers().await;
        let member = world.member(&owner, "grace", "staff").await;
        let mut ids = std::collections::BTreeSet::new();
        for who in [&owner, &stranger, &member] {
            let made = with_key(who, "the-same").post(APPOINTMENTS).json(&json!({"title": "Mine"})).await.expect_status(201);
            assert!(!is_replay(&made));
            assert!(ids.insert(made.text_at("/id")));
        }
    }

    async fn a_key_that_cannot_be_one_is_refused(world: &World) {
        let owner = world.owner().await;
        for bad in ["", "with space", &"k".repeat(256)] {
            let answer = with_key(&owner, bad).post(APPOINTMENTS).json(&json!({"title": "x"})).await;
            answer.expect_refusal(400, "invalid_idempotency_key");
        }
        assert_eq!(count(&owner, APPOINTMENTS).await, json!(0));
    }

    async fn reads_ignore_the_key(world: &World) {
        let owner = world.owner().await;
        let client = with_key(&owner, "reading");
        assert_eq!(count(&client, APPOINTMENTS).await, json!(0));
        owner.make(APPOINTMENTS, json!({"title": "x"})).await;
        assert_eq!(count(&client, APPOINTMENTS).await, json!(1));
    }
}
