//! Codes: made by companies, checked by everybody.

use loopd_store::params;
use loopd_testkit::{Client, each_engine, json};
use loopd_types::DAY_US;
use serde_json::Value;

use crate::support::{START, World, register};

const CODES: &str = "/api/v1/protector/codes/";
const ITEMS: &str = "/api/v1/protector/items/";
const BATCHES: &str = "/api/v1/protector/batches/";

async fn verify(client: &Client, code: &str) -> Value {
    client.anonymous().get(&format!("/api/v1/protector/public-verify/{code}/")).await.expect_status(200).json()
}

async fn add(client: &Client, base: &str, body: Value) -> Value {
    client.post(base).json(&body).await.expect_status(201).json()
}

fn act(base: &str, record: &Value, action: &str) -> String {
    format!("{base}{}/{action}/", record["id"].as_str().unwrap())
}

each_engine! {
    async fn the_portals_code_is_genuine_on_a_fresh_install(world: &World) {
        let first = verify(&world.owner, "IHEMATST1").await;
        let keys: Vec<&String> = first.as_object().unwrap().keys().collect();
        assert_eq!(keys.len(), 8);
        assert_eq!((&first["code"], &first["valid"], &first["status"]), (&json!("IHEMATST1"), &json!(true), &json!("genuine")));
        assert_eq!((&first["verification_count"], &first["first_verified_at"]), (&json!(1), &json!("2026-06-22T10:00:00.000000Z")));
        assert!(first["item"]["name"].is_string() && first["company"]["name"].is_string() && first["message"].is_string());
        world.clock.set(START.plus(DAY_US));
        let second = verify(&world.owner, "ihema-tst1").await;
        assert_eq!((&second["verification_count"], &second["first_verified_at"]), (&json!(2), &first["first_verified_at"]));
        let hash = world.look("SELECT ip_hash FROM protector_installation_scans ORDER BY id LIMIT 1", Vec::new()).await;
        assert_eq!(hash.len(), 64);
        assert!(!hash.contains("127.0.0.1"));
        // no company can take it
        world.owner.post(CODES).json(&json!({"code": "IHEMATST1"})).await.expect_field("code", "unique");
    }

    async fn unknown_codes_are_answered_too(world: &World) {
        for code in ["NOSUCHCODE", "%3Cscript%3E", "%C3%A9", "-", &"A".repeat(300)] {
            let answer = verify(&world.owner, code).await;
            assert_eq!((&answer["valid"], &answer["status"]), (&json!(false), &json!("unknown")), "{code}");
            assert_eq!((&answer["item"], &answer["company"], &answer["verification_count"]), (&Value::Null, &Value::Null, &json!(0)));
            let echo = answer["code"].as_str().unwrap();
            assert!(echo.len() <= 40 && echo.bytes().all(|b| b.is_ascii_alphanumeric()), "{echo}");
        }
        assert_eq!(verify(&world.owner, "ok").await["code"], "OK");
    }

    async fn a_code_lives_and_strangers_learn_what_they_should(world: &World) {
        let owner = &world.owner;
        let person = add(owner, "/api/v1/protector/owners/", json!({"name": "Jane Owner", "phone": "+250788123456"})).await;
        let item = add(owner, ITEMS, json!({"name": "Tent", "brand": "Ihema", "serial": "SER-99", "owner": person["id"]})).await;
        let code = add(owner, CODES, json!({"item": item["id"]})).await;
        let text = code["code"].as_str().unwrap().to_owned();
        assert_eq!((text.len(), &code["status"], &code["title"]), (13, &json!("inactive"), &json!(text)));
        assert_eq!(verify(owner, &text).await["status"], "unknown", "not given out yet");
        owner.post(&act(CODES, &code, "activate")).await.expect_status(200);
        let spaced: String = text.to_lowercase().chars().flat_map(|letter| [letter, '-']).collect();
        let shown = owner.anonymous().get(&format!("/api/v1/protector/public-verify/{spaced}/?place=Kigali")).await.expect_status(200);
        let answer = shown.json();
        assert_eq!((&answer["code"], &answer["status"], &answer["valid"]), (&json!(text), &json!("genuine"), &json!(true)));
        assert_eq!((&answer["item"], &answer["company"]), (&json!({"name": "Tent", "brand": "Ihema"}), &json!({"name": "owner Ltd"})));
        assert_eq!(answer["verification_count"], 2);
        assert_eq!(shown.header("cache-control"), Some("no-store"));
        for secret in ["Jane", "0788", "SER-99", "001", code["id"].as_str().unwrap(), item["id"].as_str().unwrap()] {
            assert!(!shown.text().contains(secret), "{secret} in {}", shown.text());
        }
        // every check is in the log, with a hash for the address
        let log = owner.get("/api/v1/protector/verifications/").await.expect_status(200).json();
        assert_eq!(log["count"], 2);
        let newest = &log["results"][0];
        assert_eq!((&newest["result"], &newest["place"], &newest["code"]), (&json!("genuine"), &json!("Kigali"), &code["id"]));
        assert_eq!(newest["ip_hash"].as_str().unwrap().len(), 64);
        owner.post("/api/v1/protector/verifications/").json(&json!({})).await.expect_refusal(405, "method_not_allowed");
        // checks are no changes of the record: its version is the one that staff know
        assert_eq!(owner.get(&format!("{CODES}{}/", code["id"].as_str().unwrap())).await.at("/version"), json!(2));
        owner.post(&act(ITEMS, &item, "report-stolen")).json(&json!({"reason": "broken into"})).await.expect_status(200);
        let stolen = verify(owner, &text).await;
        assert_eq!((&stolen["status"], &stolen["valid"]), (&json!("stolen"), &json!(false)));
        assert!(!stolen.to_string().contains("broken into"));
        owner.post(&act(ITEMS, &item, "recover")).await.expect_status(200);
        assert_eq!(verify(owner, &text).await["status"], "genuine");
        owner.post(&act(CODES, &code, "block")).json(&json!({"reason": "copied"})).await.expect_status(200);
        assert_eq!(verify(owner, &text).await["status"], "blocked");
    }

    async fn codes_of_a_company_that_lets_no_strangers_in_are_unknown(world: &World) {
        let owner = &world.owner;
        let code = add(owner, CODES, json!({"code": "SHUTDOOR1"})).await;
        owner.post(&act(CODES, &code, "activate")).await.expect_status(200);
        let report = json!({"code": "SHUTDOOR1", "kind": "found"});
        let choose = async |is_public: bool| {
            let settings = json!({"settings": {"protector": {"public": is_public}}});
            owner.patch("/api/v1/companies/001/").json(&settings).await.expect_status(200);
        };
        assert_eq!(verify(owner, "SHUTDOOR1").await["status"], "genuine");
        choose(false).await;
        let (closed, unknown) = (verify(owner, "SHUTDOOR1").await, verify(owner, "SHUTDOOR2").await);
        for field in ["valid", "status", "item", "company", "first_verified_at", "verification_count", "message"] {
            assert_eq!(closed[field], unknown[field], "{field}");
        }
        owner.anonymous().post("/api/v1/protector/public-report/").json(&report).await.expect_field("code", "does_not_exist");
        // the installation's own code is no company's to close
        assert_eq!(verify(owner, "IHEMATST1").await["status"], "genuine");
        choose(true).await;
        assert_eq!(verify(owner, "SHUTDOOR1").await["verification_count"], 2, "what was asked of a closed door is not counted");
        owner.anonymous().post("/api/v1/protector/public-report/").json(&report).await.expect_status(201);
        assert_eq!(owner.get("/api/v1/protector/reports/").await.at("/count"), 1);
    }

    async fn batches_make_activate_expire_and_recall_codes(world: &World) {
        let owner = &world.owner;
        let item = add(owner, ITEMS, json!({"name": "Soap"})).await;
        owner.post(BATCHES).json(&json!({"title": "B", "prefix": "no.good!"})).await.expect_status(400);
        owner.post(BATCHES).json(&json!({"title": "B", "made_on": "2026-06-02", "expires_on": "2026-06-01"})).await.expect_field("expires_on", "min_value");
        let body = json!({"title": "June", "prefix": "soap", "count": 12, "item": item["id"], "expires_on": "2026-06-30"});
        let batch = add(owner, BATCHES, body).await;
        assert_eq!(batch["prefix"], "SOAP");
        let made = owner.post(&act(BATCHES, &batch, "generate-codes")).await.expect_status(200).json();
        assert_eq!((&made["status"], &made["code_count"]), (&json!("generated"), &json!(12)));
        owner.post(&act(BATCHES, &batch, "generate-codes")).await.expect_refusal(409, "invalid_transition");
        let listed = owner.get(CODES).query("status", "inactive").await.expect_status(200).json();
        let codes: Vec<String> = listed["results"].as_array().unwrap().iter().map(|row| row["code"].as_str().unwrap().to_owned()).collect();
        assert_eq!(codes.len(), 12);
        assert!(codes.iter().all(|code| code.starts_with("SOAP") && code.len() == 17));
        owner.post(&act(BATCHES, &batch, "activate")).await.expect_status(200);
        assert_eq!(verify(owner, &codes[0]).await["status"], "genuine");
        assert_eq!(owner.get(CODES).query("status", "active").await.at("/count"), json!(12));
        world.clock.set(START.plus(9 * DAY_US));
        assert_eq!(verify(owner, &codes[0]).await["status"], "expired");
        world.clock.set(START);
        owner.post(&act(BATCHES, &batch, "recall")).json(&json!({"reason": "mould"})).await.expect_status(200);
        let recalled = verify(owner, &codes[1]).await;
        assert_eq!((&recalled["status"], &recalled["item"]["name"]), (&json!("recalled"), &json!("Soap")));
        // a wrong last character is another code
        let mut wrong = codes[0].clone();
        let last = wrong.pop().unwrap();
        wrong.push(if last == 'A' { 'B' } else { 'A' });
        assert_eq!(verify(owner, &wrong).await["status"], "unknown");
    }

    async fn codes_are_unique_in_the_whole_installation(world: &World) {
        let owner = &world.owner;
        let other = register(owner, "other").await;
        add(owner, CODES, json!({"code": "label-2026 0001"})).await;
        for again in ["LABEL20260001", "label 2026-0001"] {
            owner.post(CODES).json(&json!({"code": again})).await.expect_field("code", "unique");
            other.post(CODES).json(&json!({"code": again})).await.expect_field("code", "unique");
        }
        for bad in ["short", "has/slash/in/it", "ünïcödé-code"] {
            owner.post(CODES).json(&json!({"code": bad})).await.expect_field("code", "invalid");
        }
    }

    async fn reports_reach_the_company_behind_the_code_and_nobody_else(world: &World) {
        let owner = &world.owner;
        let other = register(owner, "other").await;
        let code = add(owner, CODES, json!({})).await;
        let text = code["code"].as_str().unwrap();
        let report = json!({"code": text.to_lowercase(), "kind": "fake", "description": "Sold at the market", "contact": "x@example.com"});
        let door = "/api/v1/protector/public-report/";
        world.stranger().post(door).json(&report).await.expect_field("code", "does_not_exist");
        owner.post(&act(CODES, &code, "activate")).await.expect_status(200);
        let taken = world.stranger().post(door).json(&report).await.expect_status(201);
        assert_eq!(taken.json(), json!({"code": text, "received": true}));
        world.stranger().post(door).json(&json!({"code": "NOSUCHCODE"})).await.expect_field("code", "does_not_exist");
        world.stranger().post(door).json(&json!({})).await.expect_field("code", "required");
        let listed = owner.get("/api/v1/protector/reports/").await.expect_status(200).json();
        assert_eq!((&listed["count"], &listed["results"][0]["kind"], &listed["results"][0]["status"]), (&json!(1), &json!("fake"), &json!("new")));
        assert_eq!(other.get("/api/v1/protector/reports/").await.at("/count"), json!(0));
        let id = &listed["results"][0];
        owner.post(&act("/api/v1/protector/reports/", id, "review")).await.expect_status(200);
        other.get(&format!("/api/v1/protector/reports/{}/", id["id"].as_str().unwrap())).await.expect_refusal(404, "not_found");
        // the same report twice under one key is one report
        for _ in 0..2 {
            world.stranger().post(door).header("idempotency-key", "k1").json(&report).await.expect_status(201);
        }
        assert_eq!(owner.get("/api/v1/protector/reports/").await.at("/count"), json!(2));
    }

    async fn a_code_that_is_gone_is_unknown(world: &World) {
        let owner = &world.owner;
        let code = add(owner, CODES, json!({})).await;
        owner.post(&act(CODES, &code, "activate")).await.expect_status(200);
        let text = code["code"].as_str().unwrap();
        assert_eq!(verify(owner, text).await["status"], "genuine");
        let asked = world.look("SELECT COUNT(*) FROM protector_verifications WHERE company_id = $1", params![1i64].to_vec()).await;
        assert_eq!(asked, "1");
        owner.delete(&format!("{CODES}{}/", code["id"].as_str().unwrap())).await.expect_status(204);
        assert_eq!(verify(owner, text).await["status"], "unknown");
    }

    async fn a_company_without_the_product_vouches_for_nothing(world: &World) {
        let owner = &world.owner;
        let code = add(owner, CODES, json!({})).await;
        owner.post(&act(CODES, &code, "activate")).await.expect_status(200);
        let text = code["code"].as_str().unwrap();
        world.suspend("protector").await;
        let answer = verify(owner, text).await;
        assert_eq!((&answer["status"], &answer["company"]), (&json!("unknown"), &Value::Null));
        let report = json!({"code": text});
        world.stranger().post("/api/v1/protector/public-report/").json(&report).await.expect_field("code", "does_not_exist");
        assert_eq!(verify(owner, "IHEMATST1").await["status"], "genuine");
    }

    async fn the_largest_batch_is_made_in_one_go(world: &World) {
        let owner = &world.owner;
        owner.post(BATCHES).json(&json!({"title": "Too many", "count": 2_001})).await.expect_field("count", "max_value");
        let batch = add(owner, BATCHES, json!({"title": "Many", "count": 2_000})).await;
        let made = owner.post(&act(BATCHES, &batch, "generate-codes")).await.expect_status(200).json();
        assert_eq!((&made["code_count"], &made["version"]), (&json!(2_000), &json!(2)));
        assert_eq!(owner.get(CODES).await.at("/count"), json!(2_000));
    }
}
