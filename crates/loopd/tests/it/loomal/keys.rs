//! Keys, projects and who may do what with which; the words of the original's page on authentication, to the letter.

use loopd_testkit::{Answer, each_engine, json};

use super::stage::same;
use crate::support::{Actor, Limited, World, refused_from_then_on};

const IDENTITIES: &str = "/v0/platform/identities";

#[track_caller]
fn refused(answer: Answer, status: u16, error: &str, message: &str) {
    let answer = answer.expect_status(status);
    same(&answer.json(), &json!({"error": error, "message": message, "status": status}));
}

each_engine! {
    async fn the_three_refusals_of_a_key_say_what_the_page_says(world: &World) {
        let client = world.client();
        let zeros = format!("loid-{}", "0".repeat(64));
        for (header, message) in [
            (None, "Missing or invalid Authorization header"),
            (Some(""), "Missing or invalid Authorization header"),
            (Some("Basic x"), "Missing or invalid Authorization header"),
            (Some("Bearer"), "Missing or invalid Authorization header"),
            (Some("Bearer sk_live_1"), "Invalid API key format"),
            (Some(&format!("Bearer {zeros}")), "Invalid API key"),
            (Some("Bearer loid-test"), "Invalid API key"),
            (Some("Bearer lopk-x"), "Invalid API key"),
        ] {
            for path in ["/v0/whoami", "/v0/payments", IDENTITIES] {
                let request = client.get(path);
                let request = match header { Some(value) => request.header("authorization", value), None => request };
                refused(request.await, 401, "unauthorized", message);
            }
        }
        // Who asks comes before what is asked.
        let broken = client.post("/v0/payments/challenge").body("application/json", "{").await;
        refused(broken, 401, "unauthorized", "Missing or invalid Authorization header");
    }

    async fn everything_under_v0_is_refused_in_its_own_shape(world: &World) {
        let owner = world.owner().await;
        let project = world.project(&owner, "SELLER").await;
        let answer = project.client.get("/v0/nowhere").await.expect_status(404).json();
        assert_eq!((&answer["error"], &answer["status"]), (&json!("not_found"), &json!(404)));
        let answer = project.client.delete("/v0/whoami").await.expect_status(405).json();
        assert_eq!(answer["status"], 405);
        let answer = project.client.post("/v0/payments/challenge").body("application/json", "{").await.expect_status(400).json();
        assert_eq!(answer["error"], "bad_request");
        let big = vec![b'x'; 2 * 1024 * 1024 + 1];
        let answer = project.client.post("/v0/payments/challenge").body("application/json", big).await.expect_status(413).json();
        assert_eq!(answer["error"], "payload_too_large");
        // Clients send the header on everything, with nothing behind it.
        project.client.get("/v0/whoami").header("content-type", "application/json").await.expect_status(200);
    }

    async fn the_two_kinds_of_keys_never_overlap(world: &World) {
        let owner = world.owner().await;
        let (platform, project) = (world.platform(&owner).await, world.project(&owner, "SELLER").await);
        for path in ["/v0/payments", "/v0/sellers/endpoints", "/v0/payments/activity"] {
            assert_eq!(platform.get(path).await.expect_status(403).text_at("/error"), "forbidden", "{path}");
        }
        assert_eq!(project.client.get(IDENTITIES).await.expect_status(403).text_at("/error"), "forbidden");
        project.client.post(IDENTITIES).json(&json!({})).await.expect_status(403);
        refused(project.client.get("/v0/payments/mandates").await, 403, "forbidden", "Missing required scope: payments:spend");
        // Neither opens LOOP.
        for key in [&platform, &project.client] {
            key.company("001").get("/api/v1/booking/appointments/").await.expect_status(401);
        }
    }

    async fn a_platform_key_manages_its_companys_projects_and_no_others(world: &World) {
        let (ada, bob) = world.strangers().await;
        let (mine, theirs) = (world.platform(&ada).await, world.platform(&bob).await);
        let made = mine.post(IDENTITIES).json(&json!({"purpose": "SELLER", "name": "Weather", "emailName": "w"})).await.expect_status(201);
        let (id, key) = (made.text_at("/identityId"), made.text_at("/rawKey"));
        same(&made.json(), &json!({
            "identityId": "[any]", "name": "Weather", "type": "INBOX", "purpose": "SELLER", "emailAddress": null,
            "scopes": ["payments:accept"], "apiKeyPrefix": &key[..13], "rawKey": "[any]", "createdAt": "[any]",
        }));
        assert!(key.len() == 69 && id.len() == 19);
        let one = format!("{IDENTITIES}/{id}");
        assert_eq!(mine.get(&one).await.expect_status(200).text_at("/apiKeyPrefix"), &key[..13]);
        assert_eq!(mine.get(&format!("/v0/platform/projects/{id}")).await.expect_status(200).text_at("/identityId"), id);
        assert_eq!(theirs.get(IDENTITIES).await.expect_status(200).at("/count"), json!(0));
        theirs.get(&one).await.expect_status(404);
        theirs.patch(&one).json(&json!({"name": "Mine"})).await.expect_status(404);
        theirs.post(&format!("{one}/rotate-key")).await.expect_status(404);
        theirs.delete(&one).await.expect_status(404);
        let changed = mine.patch(&one).json(&json!({"name": "Sun", "addScopes": ["payments:spend", "root"], "removeScopes": ["payments:accept"]})).await;
        let changed = changed.expect_status(200);
        assert_eq!((changed.text_at("/name"), changed.at("/scopes")), ("Sun".to_owned(), json!(["payments:spend"])));
        let project = world.client().with_token(&key);
        refused(project.get("/v0/payments").await, 403, "forbidden", "Missing required scope: payments:accept");
        project.get("/v0/payments/mandates").await.expect_status(200);
    }

    async fn a_rotated_or_deleted_key_is_dead_at_once(world: &World) {
        let owner = world.owner().await;
        let platform = world.platform(&owner).await;
        let project = world.project(&owner, "SELLER").await;
        let one = format!("{IDENTITIES}/{}", project.id);
        let mut rotated = None;
        refused_from_then_on(std::slice::from_ref(&project.client), "/v0/whoami", async || {
            rotated = Some(platform.post(&format!("{one}/rotate-key")).await.expect_status(200));
        })
        .await;
        let rotated = rotated.expect("rotated");
        assert_eq!(rotated.text_at("/message"), "Key rotated. The old key is now invalid.");
        refused(project.client.get("/v0/whoami").await, 401, "unauthorized", "Invalid API key");
        let now = world.client().with_token(&rotated.text_at("/rawKey"));
        assert_eq!(now.get("/v0/whoami").await.expect_status(200).text_at("/identityId"), project.id);
        platform.delete(&one).await.expect_status(204);
        refused(now.get("/v0/whoami").await, 401, "unauthorized", "Invalid API key");
        platform.get(&one).await.expect_status(404);
        world.client().get(&format!("/identities/{}/did.json", project.id)).await.expect_status(200);
    }

    async fn projects_are_listed_newest_first_and_none_is_lost_between_pages(world: &World) {
        let owner = world.owner().await;
        let platform = world.platform(&owner).await;
        // The clock stands still: all of one moment.
        for number in 0..7 {
            platform.post(IDENTITIES).json(&json!({"name": format!("p{number}")})).await.expect_status(201);
        }
        let (mut seen, mut token) = (Vec::new(), None::<String>);
        loop {
            let request = platform.get(IDENTITIES).query("limit", "3");
            let page = match &token { Some(token) => request.query("pageToken", token), None => request }.await.expect_status(200);
            let rows = page.at("/identities");
            seen.extend(rows.as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap().to_owned()));
            assert_eq!(page.at("/count"), json!(rows.as_array().unwrap().len()));
            token = page.json()["nextPageToken"].as_str().map(str::to_owned);
            if token.is_none() { break; }
        }
        assert_eq!(seen, ["p6", "p5", "p4", "p3", "p2", "p1", "p0"]);
        platform.get(IDENTITIES).query("pageToken", "2026-03-28T09:00:00.000Z").await.expect_status(400);
        platform.get(IDENTITIES).query("limit", "0").await.expect_status(400);
    }

    async fn whoami_tells_either_kind_who_it_is(world: &World) {
        let owner = world.owner().await;
        let project = world.project(&owner, "BUYER").await;
        let me = project.client.get("/v0/whoami").await.expect_status(200).json();
        assert_eq!((&me["identityId"], &me["type"], &me["purpose"]), (&json!(project.id), &json!("INBOX"), &json!("BUYER")));
        assert!(me["wallet"]["address"].as_str().unwrap().starts_with("0x"));
        assert_eq!(me["scopes"].as_array().unwrap().len(), 10);
        let platform = world.platform(&owner).await;
        let me = platform.get("/v0/whoami").await.expect_status(200).json();
        assert_eq!((&me["org"]["id"], &me["user"]["email"]), (&json!(owner.code), &json!(owner.email)));
        assert_eq!(me["identities"][0]["identityId"], project.id);
    }

    async fn a_signature_is_proved_by_the_did_document(world: &World) {
        let owner = world.owner().await;
        let project = world.project(&owner, "BUYER").await;
        let signed = project.client.post("/v0/whoami/sign").json(&json!({"data": "aGVsbG8="})).await.expect_status(200);
        let did = signed.text_at("/did");
        let document = world.client().get(&format!("/identities/{}/did.json", project.id)).await.expect_status(200).json();
        assert_eq!(document["id"], did);
        let [method] = document["verificationMethod"].as_array().unwrap().as_slice() else { panic!("one key: {document}") };
        assert_eq!((&method["publicKeyMultibase"], &method["id"]), (&signed.at("/publicKey"), &signed.at("/keyId")));
        assert_eq!(project.client.get("/v0/whoami").await.text_at("/did"), did);
        let ask = async |data: &str, signature: &str| {
            let body = json!({"data": data, "signature": signature, "did": did});
            project.client.post("/v0/whoami/verify").json(&body).await.expect_status(200).at("/valid")
        };
        assert_eq!(ask("aGVsbG8=", &signed.text_at("/signature")).await, json!(true));
        assert_eq!(ask("aGVsbG9v", &signed.text_at("/signature")).await, json!(false));
        assert_eq!(ask("aGVsbG8=", "AAAA").await, json!(false));
        let elsewhere = json!({"data": "aGVsbG8=", "signature": "AAAA", "did": "did:web:127.0.0.1%3A1"});
        project.client.post("/v0/whoami/verify").json(&elsewhere).await.expect_status(400);
    }

    async fn a_company_whose_subscription_is_suspended_reads_and_one_without_it_does_not(world: &World) {
        let owner = world.owner().await;
        let project = world.project(&owner, "SELLER").await;
        let found = owner.get("/api/v1/product-subscriptions/").query("product", "loomal").await.expect_status(200);
        let one = format!("/api/v1/product-subscriptions/{}/", found.text_at("/results/0/id"));
        let operator = world.superuser().await;
        operator.in_company(&owner.code).post(&format!("{one}suspend/")).await.expect_status(200);
        project.client.get("/v0/payments").await.expect_status(200);
        let asked = json!({"paymentHeader": "x", "amount": "1", "resource": "x"});
        assert_eq!(project.client.post("/v0/payments/redeem").json(&asked).await.expect_status(402).text_at("/error"), "subscription_suspended");
        operator.in_company(&owner.code).post(&format!("{one}resume/")).await.expect_status(200);
        owner.post(&format!("{one}cancel/")).json(&json!({"at_once": true})).await.expect_status(200);
        project.client.get("/v0/payments").await.expect_status(403);
    }
}

each_engine! {
    async fn a_project_has_200_calls_a_minute_and_an_address_60_wrong_keys(world: &Limited) {
        let owner: Actor = world.owner().await;
        let project = world.project(&owner, "SELLER").await;
        let first = project.client.get("/v0/whoami").await.expect_status(200);
        assert_eq!(first.header("x-ratelimit-remaining"), Some("199"));
        let reset: i64 = first.header("x-ratelimit-reset").unwrap().parse().unwrap();
        assert!(reset > 1_700_000_000, "{reset} is a moment");
        for _ in 1..200 {
            project.client.get("/v0/whoami").await.expect_status(200);
        }
        let answer = project.client.get("/v0/payments").await;
        assert!(answer.header("retry-after").is_some());
        assert_eq!(answer.header("x-ratelimit-remaining"), Some("0"));
        refused(answer, 429, "rate_limited", "Too many requests");
        let stranger = world.client();
        for _ in 0..60 {
            stranger.get("/v0/whoami").header("authorization", "Bearer loid-x").await.expect_status(401);
        }
        stranger.get("/v0/whoami").header("authorization", "Bearer loid-x").await.expect_status(429);
    }
}
