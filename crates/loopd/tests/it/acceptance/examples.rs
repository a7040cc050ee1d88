//! 1 and 2: the portal's own examples, pasted into a shell with the real curl.

use loopd_testkit::{Answer, Client, Curl, PRINTED_BASE, assert_json, each_engine, json};

use crate::support::{Limited, printed_commands};

/// The ten commands as the original portal prints them, empty bearer included; not a character is changed.
const PRINTED: [&str; 10] = [
    r#"curl -X POST https://loopbackend.duckdns.org/api/v1/auth/register/ \
  -H "Authorization: Bearer " \
  -H "X-Company-ID: 001" \
  -H "X-LOOP-APP-ID: loop-booking-web" \
  -H "Content-Type: application/json" \
  -d '{"email":"dev@example.com","username":"dev","password":"strongpass123","company_name":"Demo Company"}'"#,
    r#"curl -X POST https://loopbackend.duckdns.org/api/v1/auth/login/ \
  -H "Authorization: Bearer " \
  -H "X-Company-ID: 001" \
  -H "X-LOOP-APP-ID: loop-booking-web" \
  -H "Content-Type: application/json" \
  -d '{"email":"dev@example.com","password":"strongpass123"}'"#,
    r#"curl -X GET https://loopbackend.duckdns.org/api/v1/auth/me/ \
  -H "Authorization: Bearer " \
  -H "X-Company-ID: 001" \
  -H "X-LOOP-APP-ID: loop-booking-web""#,
    r#"curl -X GET https://loopbackend.duckdns.org/api/v1/companies/ \
  -H "Authorization: Bearer " \
  -H "X-Company-ID: 001" \
  -H "X-LOOP-APP-ID: loop-booking-web""#,
    r#"curl -X POST https://loopbackend.duckdns.org/api/v1/booking/appointments/ \
  -H "Authorization: Bearer " \
  -H "X-Company-ID: 001" \
  -H "X-LOOP-APP-ID: loop-booking-web" \
  -H "Content-Type: application/json" \
  -d '{"title":"Consultation","description":"First visit"}'"#,
    r#"curl -X POST https://loopbackend.duckdns.org/api/v1/payments/invoices/ \
  -H "Authorization: Bearer " \
  -H "X-Company-ID: 001" \
  -H "X-LOOP-APP-ID: loop-booking-web" \
  -H "Content-Type: application/json" \
  -d '{"title":"Invoice 001","data":{"amount":25000,"currency":"RWF"}}'"#,
    r#"curl -X POST https://loopbackend.duckdns.org/api/v1/cms/pages/ \
  -H "Authorization: Bearer " \
  -H "X-Company-ID: 001" \
  -H "X-LOOP-APP-ID: loop-booking-web" \
  -H "Content-Type: application/json" \
  -d '{"title":"Home","slug":"home","language":"en","body":"Welcome to LOOP"}'"#,
    r#"curl -X POST https://loopbackend.duckdns.org/api/v1/chat/messages/ \
  -H "Authorization: Bearer " \
  -H "X-Company-ID: 001" \
  -H "X-LOOP-APP-ID: loop-booking-web" \
  -H "Content-Type: application/json" \
  -d '{"title":"Customer question","description":"Hello LOOP"}'"#,
    r#"curl -X POST https://loopbackend.duckdns.org/api/v1/ai/business-advice/ \
  -H "Authorization: Bearer " \
  -H "X-Company-ID: 001" \
  -H "X-LOOP-APP-ID: loop-booking-web" \
  -H "Content-Type: application/json" \
  -d '{"prompt":"Summarize this week sales"}'"#,
    r#"curl -X GET https://loopbackend.duckdns.org/api/v1/protector/public-verify/IHEMATST1/ \
  -H "Authorization: Bearer " \
  -H "X-Company-ID: 001" \
  -H "X-LOOP-APP-ID: loop-booking-web""#,
];

/// What each answers without a token, and with one.
const WITHOUT_TOKEN: [u16; 10] = [201, 200, 401, 401, 401, 401, 401, 401, 401, 200];
const WITH_TOKEN: [u16; 8] = [200, 200, 201, 201, 201, 201, 200, 200];

/// Pastes all ten and checks each answer; gives them back.
async fn paste_all(curl: &Curl, commands: &[String]) -> Vec<Answer> {
    let mut answers = Vec::new();
    for (command, status) in commands.iter().zip(WITHOUT_TOKEN) {
        let answer = curl.paste(command).await;
        answers.push(if status == 401 {
            answer.expect_refusal(401, "not_authenticated")
        } else {
            answer.expect_status(status)
        });
    }
    answers
}

/// Pastes the eight that follow a sign-in, with the token in its place, and checks their answers against spec/loop.md 3.1.
async fn paste_signed_in(curl: &Curl, commands: &[String], place: impl Fn(&str) -> String) {
    let mut answers = Vec::new();
    for (command, status) in commands[2..].iter().zip(WITH_TOKEN) {
        answers.push(curl.paste(&place(command)).await.expect_status(status).json());
    }
    let [me, companies, appointment, invoice, page, message, advice, verified] = answers.as_slice() else {
        panic!("eight answers")
    };
    assert_json!(me, {
        "user": {"id": "[uuid]", "email": "dev@example.com", "username": "dev", "is_superuser": false, "language": "en"},
        "company": {"code": "001", "name": "Demo Company"},
        "workspace": null,
        "memberships": [{"company": "001", "company_name": "Demo Company", "role": "owner", "status": "active"}],
        "permissions": ["*"],
        "auth": "jwt",
    });
    let products = me["products"].as_array().expect("a list of products");
    assert!(products.iter().any(|product| product["slug"] == "booking" && product["status"] == "trialing"));
    assert_json!(companies, {
        "count": 1, "next": null, "previous": null,
        "results": [{"id": "[uuid]", "code": "001", "name": "Demo Company", "slug": "demo-company", "currency": "RWF",
            "status": "trial", "role": "owner", "created_at": "[time]"}],
    });
    assert_json!(appointment, {
        "id": "[uuid]", "company": "001", "workspace": null, "number": "APT-000001", "title": "Consultation",
        "description": "First visit", "status": "draft", "data": {}, "tags": [], "service": null, "staff": null,
        "customer": null, "starts_at": null, "ends_at": null, "created_by": me["user"]["id"], "updated_by": me["user"]["id"],
        "created_at": "[time]", "updated_at": "[time]", "version": 1,
    });
    assert_json!(invoice, {
        "title": "Invoice 001", "status": "draft", "total": "25000", "currency": "RWF", "amount_due": "25000",
        "data": {"amount": 25000, "currency": "RWF"},
    });
    assert_json!(page, {"title": "Home", "slug": "home", "language": "en", "body": "Welcome to LOOP", "status": "draft"});
    assert_json!(message, {"title": "Customer question", "channel": "[uuid]", "body": "Hello LOOP"});
    assert_json!(advice, {"id": "[uuid]", "prompt": "Summarize this week sales", "advice": "[any]", "data_used": "[any]",
        "model": "offline", "usage": {"input": "[any]", "output": "[any]"}, "created_at": "[time]"});
    assert_json!(verified, {"code": "IHEMATST1", "valid": true, "status": "genuine"});
}

each_engine! {
    async fn the_ten_examples_run_as_printed_on_a_fresh_install(world: &Limited) {
        let curl = Curl::at(&world.base);
        let commands = PRINTED.map(str::to_owned);
        let answers = paste_all(&curl, &commands).await;
        assert_json!(answers[0].json(), {
            "user": {"id": "[uuid]", "email": "dev@example.com", "username": "dev"},
            "company": {"id": "[uuid]", "code": "001", "name": "Demo Company"},
            "membership": {"role": "owner", "status": "active"},
            "access": "[token]", "refresh": "[token]", "token_type": "Bearer", "expires_in": 1800,
        });
        assert_json!(answers[1].json(), {
            "companies": [{"code": "001", "name": "Demo Company", "role": "owner"}],
            "access": "[token]", "refresh": "[token]", "access_token": "[token]", "refresh_token": "[token]",
        });
        let token = answers[1].text_at("/access");
        paste_signed_in(&curl, &commands, |command| Curl::with_token(command, &token)).await;
    }

    async fn the_ten_examples_of_our_own_portal_run_as_copied_from_its_page(world: &Limited) {
        let page = world.client().get("/").await.expect_status(200).text();
        let commands = printed_commands(&page);
        let expected = PRINTED.map(|text| {
            text.replace(PRINTED_BASE, &world.base).replace("Authorization: Bearer ", "Authorization: Bearer <access_token>")
        });
        assert_eq!(commands, expected, "the page prints the original's commands, with the placeholder it lost");
        // Pasted without putting a token in: whoever does that must still be able to register, sign in and verify.
        let curl = Curl::at(&world.base);
        let mut answers = Vec::new();
        for command in [&commands[0], &commands[1], &commands[9]] {
            answers.push(curl.paste(command).await);
        }
        assert_eq!(answers.iter().map(|answer| answer.status).collect::<Vec<_>>(), [201, 200, 200]);
        for command in &commands[2..9] {
            curl.paste(command).await.expect_refusal(401, "token_not_valid");
        }
        let token = answers[1].text_at("/access");
        paste_signed_in(&curl, &commands, |command| command.replace("<access_token>", &token)).await;
    }

    async fn the_developer_pages_three_calls_run_in_order(world: &Limited) {
        let body = json!({"email": "dev@example.com", "username": "dev", "password": "strongpass123", "company_name": "Demo Company"});
        let client = Client::new(&world.base);
        client.post("/api/v1/auth/register/").json(&body).await.expect_status(201);
        let login = json!({"email": "dev@example.com", "password": "strongpass123"});
        let token = client.post("/api/v1/auth/login/").json(&login).await.expect_status(200).text_at("/access");
        let companies = client
            .with_token(&token)
            .company("001")
            .with_header("x-loop-app-id", "loop-admin")
            .get("/api/v1/companies/")
            .await
            .expect_status(200);
        assert_json!(companies.json(), {"results": [{"code": "001"}]});
    }
}
