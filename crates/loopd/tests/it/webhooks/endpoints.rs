//! Making and keeping endpoints: what is refused, who may, how many.

use loopd_testkit::{each_engine, json};

use super::{ENDPOINTS, endpoint};
use crate::support::{Program, Receiver, World};

each_engine! {
    async fn addresses_that_cannot_be_called_are_refused(world: &World) {
        let owner = world.owner().await;
        for url in [
            "", "nonsense", "ftp://example.com/", "file:///etc/passwd", "http://10.0.0.1/", "http://192.168.1.1:8080/hook", "http://169.254.169.254/latest/meta-data/",
            "http://[::1]/", "http://[::ffff:10.0.0.1]/", "http://2852039166/", "http://0xa9fea9fe/", "http://0251.0376.0251.0376/", "https://user:pass@example.com/",
            "https://example.com/#part", "http://0/", "http://127.0.0.2/", "http://[fd00:ec2::254]/",
        ] {
            let answer = owner.post(ENDPOINTS).json(&json!({"url": url})).await.expect_refusal(400, "validation_error");
            assert!(answer.at("/error/details/url").is_array(), "{url}: {}", answer.text());
        }
        owner.post(ENDPOINTS).json(&json!({})).await.expect_field("url", "required");
        for (body, field) in [
            (json!({"events": ["booking"]}), "events"), (json!({"events": []}), "events"), (json!({"events": "x"}), "events"),
            (json!({"concurrency": 0}), "concurrency"), (json!({"concurrency": 17}), "concurrency"), (json!({"ordered": 1}), "ordered"),
            (json!({"scheme": "other"}), "scheme"), (json!({"secret": "mine"}), "secret"),
        ] {
            let mut whole = body;
            whole["url"] = json!("https://example.com/hook");
            let answer = owner.post(ENDPOINTS).json(&whole).await.expect_refusal(400, "validation_error");
            assert!(answer.at("/error/details")[field].is_array(), "{whole}: {}", answer.text());
        }
    }

    async fn an_endpoint_is_made_changed_and_deleted(world: &World) {
        let owner = world.owner().await;
        let receiver = Receiver::start().await;
        let (id, _) = endpoint(&owner, &receiver, json!({"description": "Ours"})).await;
        let item = format!("{ENDPOINTS}{id}/");
        let row = owner.get(&item).await.expect_status(200).json();
        assert_eq!((&row["status"], &row["ordered"], &row["concurrency"], &row["scheme"]), (&json!("enabled"), &json!(false), &json!(8), &json!("loop")));
        assert_eq!((&row["events"], &row["description"], &row["created_by"]), (&json!(["booking.appointments.*"]), &json!("Ours"), &json!(owner.user)));
        let changed = owner.patch(&item).json(&json!({"ordered": true})).await.expect_status(200).json();
        assert_eq!((&changed["ordered"], &changed["description"], &changed["version"]), (&json!(true), &json!("Ours"), &json!(2)));
        // A row may be sent back as it was read.
        owner.put(&item).json(&changed).await.expect_status(200);
        owner.delete(&item).await.expect_status(204);
        owner.get(&item).await.expect_refusal(404, "not_found");
        for act in ["enable", "disable", "test", "rotate-secret"] {
            owner.post(&format!("{item}{act}/")).json(&json!({})).await.expect_refusal(404, "not_found");
        }
        assert_eq!(owner.get(ENDPOINTS).await.at("/count"), 0);
        let log = owner.get("/api/v1/audit-logs/?resource=webhook-endpoints&ordering=at").await.expect_status(200).json();
        let mut acts: Vec<&str> = log["results"].as_array().unwrap().iter().map(|row| row["action"].as_str().unwrap()).collect();
        acts.sort_unstable();
        assert_eq!(acts, ["create", "delete", "update", "update"]);
    }

    async fn a_company_has_as_many_endpoints_as_its_plan_allows(world: &World) {
        let owner = world.owner().await;
        for _ in 0..20 {
            owner.make(ENDPOINTS, json!({"url": "https://example.com/hook"})).await;
        }
        let refused = owner.post(ENDPOINTS).json(&json!({"url": "https://example.com/hook"})).await.expect_refusal(409, "limit_reached");
        assert_eq!(refused.at("/error/details/limit"), 20);
    }

    async fn a_developer_may_and_a_manager_may_not(world: &World) {
        let owner = world.owner().await;
        let (developer, manager) = (world.member(&owner, "grace", "developer").await, world.member(&owner, "aline", "manager").await);
        developer.make(ENDPOINTS, json!({"url": "https://example.com/hook"})).await;
        manager.post(ENDPOINTS).json(&json!({"url": "https://example.com/hook"})).await.expect_refusal(403, "permission_denied");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn production_wants_https_and_no_server_is_called_by_a_name_that_nobody_allowed() {
    let program = Program::fresh();
    let server = program.serve();
    let body = json!({"email": "dev@example.com", "username": "dev", "password": "strongpass123", "company_name": "Demo Company"});
    let answer = server.client().post("/api/v1/auth/register/").json(&body).await.expect_status(201);
    let owner = server.client().with_token(&answer.text_at("/access")).company("001");
    // A name is not judged before it is called: it may lead elsewhere by then.
    let receiver = Receiver::start().await;
    let url = receiver.url.replace("127.0.0.1", "localhost");
    let id = owner.post(ENDPOINTS).json(&json!({"url": url})).await.expect_status(201).text_at("/id");
    let tested = owner.post(&format!("{ENDPOINTS}{id}/test/")).await.expect_status(200).json();
    let error = tested["attempt"]["error"].as_str().expect("it says why");
    assert!(error.contains("only public addresses are called"), "{error}");
    assert_eq!(receiver.count(), 0);
    drop(server);
    let production = program
        .with("LOOP_ENVIRONMENT", "production")
        .with("LOOP_RATE_LIMITS", "on")
        .with("LOOP_SECRET_KEY", "0123456789012345678901234567890123456789");
    let server = production.serve();
    let body = json!({"email": "dev@example.com", "password": "strongpass123"});
    let answer = server.client().post("/api/v1/auth/login/").json(&body).await.expect_status(200);
    let owner = server.client().with_token(&answer.text_at("/access")).company("001");
    owner.post(ENDPOINTS).json(&json!({"url": "http://example.com/hook"})).await.expect_field("url", "invalid");
    owner.post(ENDPOINTS).json(&json!({"url": "https://example.com/hook"})).await.expect_status(201);
}
