//! Records from files: `POST …/import/`, `/api/v1/imports/`.

use std::sync::Arc;

use loopd_business::engine::import;
use loopd_kernel::Tenant;
use loopd_testkit::{Client, Request, assert_json, each_engine, json};
use loopd_types::{CompanyId, DAY_US, Uuid};
use serde_json::Value;

use crate::support::{World, eventually};

const CUSTOMERS: &str = "/api/v1/booking/customers/";
const IMPORT: &str = "/api/v1/booking/customers/import/";
const APPOINTMENTS: &str = "/api/v1/booking/appointments/import/";

fn csv(client: &Client, path: &str, text: &str) -> Request {
    client.post(path).body("text/csv", text.to_owned())
}

async fn count(client: &Client, path: &str) -> i64 {
    client.get(path).await.expect_status(200).at("/count").as_i64().expect("a count")
}

each_engine! {
    async fn an_import_goes_with_the_rows_that_it_refused_when_its_time_is_over(world: &World) {
        let owner = world.owner().await;
        let rows = json!({"rows": [{"name": "Ada"}, {"name": "Bob", "email": "nonsense"}]});
        owner.post(IMPORT).json(&rows).await.expect_status(200);
        world.clock.advance(89 * DAY_US);
        world.sweep().await;
        assert_eq!((world.rows("imports").await, world.rows("import_chunks").await), (1, 1));
        world.clock.advance(2 * DAY_US);
        world.sweep().await;
        assert_eq!((world.rows("imports").await, world.rows("import_chunks").await), (0, 0));
        assert_eq!(world.rows("booking_customers").await, 1, "what it made stays");
    }

    async fn a_file_becomes_records_and_what_is_refused_comes_back_as_a_file_that_can_be_sent_again(world: &World) {
        let owner = world.owner().await;
        let file = "Full name;E-mail;phone;Shoe size\nAda;ada@example.com;+250788000001;38\n\"Bob; the second\";nonsense;;44\nCleo;;;\n";
        let mapping = r#"{"Full name": "name", "E-mail": "email", "Shoe size": null}"#;
        let answer = csv(&owner, IMPORT, file).query("mapping", mapping).await.expect_status(200);
        assert_json!(answer.json(), {"state": "done", "total": 3, "done": 3, "created": 2, "updated": 0, "refused": 1, "dry_run": false,
            "module": "booking", "resource": "customers", "errors": [{"row": 2, "errors": [{"field": "email", "code": "invalid"}]}]});
        assert_eq!(count(&owner, CUSTOMERS).await, 2);
        let ada = owner.get(CUSTOMERS).query("search", "Ada").await.expect_status(200);
        assert_json!(ada.json(), {"results": [{"name": "Ada", "email": "ada@example.com", "phone": "+250788000001", "number": "CUS-000001"}]});
        let id = answer.text_at("/id");
        assert_json!(owner.get("/api/v1/imports/").await.expect_status(200).json(), {"count": 1, "results": [{"id": id, "refused": 1}]});
        assert_json!(owner.get(&format!("/api/v1/imports/{id}/")).await.expect_status(200).json(), {"state": "done", "created": 2});
        let refused = owner.get(&format!("/api/v1/imports/{id}/errors/")).await.expect_status(200);
        assert!(refused.header("content-disposition").is_some_and(|name| name.contains("booking-customers-refused.csv")));
        let text = refused.text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert_eq!(lines[0], "_row,_reason,Full name,E-mail,phone,Shoe size");
        assert!(lines[1].starts_with("2,email: ") && lines[1].contains("Bob; the second"), "{text}");
        let again = csv(&owner, IMPORT, &text.replace("nonsense", "bob@example.com")).query("mapping", mapping).await;
        assert_json!(again.expect_status(200).json(), {"created": 1, "refused": 0});
        // Hooks, audit and events as by hand.
        let log = owner.get("/api/v1/audit-logs/").query("resource", "customers").await.expect_status(200).json();
        let acts: Vec<&str> = log["results"].as_array().expect("rows").iter().filter_map(|row| row["action"].as_str()).collect();
        assert_eq!(acts.iter().filter(|act| **act == "create").count(), 3, "{acts:?}");
        assert_eq!(acts.iter().filter(|act| **act == "import").count(), 2, "{acts:?}");
    }

    async fn a_dry_run_tells_the_same_and_writes_nothing(world: &World) {
        let owner = world.owner().await;
        let file = "name,external_id,email\nAda,a,ada@example.com\nTwin,a,\nBob,b,nonsense\n";
        let tried = csv(&owner, IMPORT, file).query("dry_run", "true").await.expect_status(200);
        assert_json!(tried.json(), {"dry_run": true, "created": 1, "refused": 2, "errors": [
            {"row": 2, "errors": [{"field": "external_id", "code": "unique"}]}, {"row": 3, "errors": [{"field": "email"}]}]});
        assert_eq!(count(&owner, CUSTOMERS).await, 0);
        let log = owner.get("/api/v1/audit-logs/").query("resource", "customers").await.expect_status(200);
        assert_json!(log.json(), {"count": 0});
        let done = csv(&owner, IMPORT, file).await.expect_status(200);
        assert_json!(done.json(), {"dry_run": false, "created": 1, "refused": 2});
        // The number that the trial would have taken was not taken.
        assert_json!(owner.get(CUSTOMERS).await.expect_status(200).json(), {"count": 1, "results": [{"number": "CUS-000001"}]});
    }

    async fn records_are_named_by_number_or_by_the_clients_own_id_and_people_by_address(world: &World) {
        let owner = world.owner().await;
        let customer = owner.make(CUSTOMERS, json!({"name": "Ada", "external_id": "crm-7"})).await;
        let service = owner.make("/api/v1/booking/services/", json!({"name": "Haircut"})).await;
        let rows = json!({"rows": [
            {"title": "By number", "customer": "CUS-000001", "service": "SRV-000001"},
            {"title": "By their id", "customer": "crm-7", "service": service},
            {"title": "Nobody", "customer": "CUS-000009"},
        ]});
        let answer = owner.post(APPOINTMENTS).json(&rows).await.expect_status(200);
        assert_json!(answer.json(), {"created": 2, "refused": 1, "errors": [{"row": 3, "errors": [{"field": "customer", "code": "does_not_exist"}]}]});
        let made = owner.get("/api/v1/booking/appointments/").query("customer", &customer).await.expect_status(200);
        assert_json!(made.json(), {"count": 2});
        let people = json!({"rows": [{"name": "Me", "user": "Owner@example.com"}, {"name": "Stranger", "user": "no@example.com"}]});
        assert_json!(owner.post(IMPORT).json(&people).await.expect_status(200).json(), {"created": 1, "refused": 1});
        let me = owner.get(CUSTOMERS).query("search", "Me").await.expect_status(200).json();
        assert_eq!(me["results"][0]["user"], json!(owner.user));
    }

    async fn an_upsert_changes_the_record_that_has_the_id_and_an_export_can_be_sent_back(world: &World) {
        let (owner, other) = world.strangers().await;
        let rows = json!({"rows": [{"external_id": "a", "name": "Ada", "phone": "+250788000001"}, {"name": "No id"}]});
        let first = owner.post(IMPORT).query("mode", "upsert").json(&rows).await.expect_status(200);
        assert_json!(first.json(), {"mode": "upsert", "created": 1, "updated": 0, "refused": 1});
        let rows = json!({"rows": [{"external_id": "a", "phone": "+250788000002"}, {"external_id": "b", "name": "Bob"}]});
        let second = owner.post(IMPORT).query("mode", "upsert").json(&rows).await.expect_status(200);
        assert_json!(second.json(), {"created": 1, "updated": 1, "refused": 0});
        let ada = owner.get(CUSTOMERS).query("external_id", "a").await.expect_status(200);
        assert_json!(ada.json(), {"count": 1, "results": [{"name": "Ada", "phone": "+250788000002"}]});
        // Our own export: its apostrophes and its read-only columns are understood.
        let export = owner.get(&format!("{CUSTOMERS}export/")).await.expect_status(200).text();
        assert!(export.contains("'+250788000002"), "{export}");
        let there = csv(&other, IMPORT, &export).await.expect_status(200);
        assert_json!(there.json(), {"created": 2, "refused": 0});
        let ada = other.get(CUSTOMERS).query("external_id", "a").await.expect_status(200);
        assert_json!(ada.json(), {"count": 1, "results": [{"name": "Ada", "phone": "+250788000002"}]});
    }

    async fn a_large_file_is_done_by_a_job_and_no_row_twice_however_often_it_is_begun_again(world: &World) {
        let owner = world.owner().await;
        let mut file = "name,email\n".to_owned();
        for number in 0..450 {
            let email = if number % 50 == 7 { "nonsense".to_owned() } else { format!("c{number}@example.com") };
            file.push_str(&format!("Customer {number},{email}\n"));
        }
        let answer = csv(&owner, IMPORT, &file).header("idempotency-key", "one").await.expect_status(202);
        assert_json!(answer.json(), {"state": "queued", "total": 450, "done": 0});
        let again = csv(&owner, IMPORT, &file).header("idempotency-key", "one").await.expect_status(202);
        let id = answer.text_at("/id");
        assert_eq!(again.text_at("/id"), id);
        // As after a lease that ran out: others work on it beside the job.
        let access = world.kernel.company_access(CompanyId(1)).await.expect("a company").expect("a company");
        let tenant = Arc::new(Tenant::system(access, "test"));
        for _ in 0..3 {
            let (engine, tenant, import) = (world.engine.clone(), tenant.clone(), Uuid::parse_str(&id).expect("an id"));
            let work = move |tx: &mut loopd_store::Tx<'_>| import::run(tx, &engine, &tenant, import);
            world.kernel.db.write(tenant_view(), work).await.expect("a chunk");
        }
        let item = format!("/api/v1/imports/{id}/");
        eventually("the import is done", async || owner.get(&item).await.expect_status(200).json()["state"] == "done").await;
        assert_json!(owner.get(&item).await.expect_status(200).json(), {"done": 450, "created": 441, "refused": 9, "last_error": null});
        assert_eq!(count(&owner, CUSTOMERS).await, 441);
        let refused = owner.get(&format!("{item}errors/")).await.expect_status(200).text();
        assert_eq!(refused.lines().count(), 10, "{refused}");
        assert!(refused.contains("\n408,email: "), "rows are told by their place in the file: {refused}");
    }

    async fn a_key_that_was_used_for_a_file_is_used_for_no_other(world: &World) {
        let owner = world.owner().await;
        let keyed = owner.with_header("idempotency-key", "monday");
        let send = |text: &str| csv(&keyed, IMPORT, text);
        let first = send("name\nAda\n").await.expect_status(200);
        let again = send("name\nAda\n").await.expect_status(200);
        assert_eq!((again.header("idempotency-replayed"), again.json()), (Some("true"), first.json()));
        send("name\nBob\n").await.expect_refusal(409, "idempotency_conflict");
        // The same rows in other words are another request.
        keyed.post(IMPORT).json(&json!({"rows": [{"name": "Ada"}]})).await.expect_refusal(409, "idempotency_conflict");
        assert_eq!(count(&owner, CUSTOMERS).await, 1);
    }

    async fn a_file_has_a_greatest_length_and_so_has_a_row(world: &World) {
        let owner = world.owner().await;
        let refused = csv(&owner, IMPORT, "").header("content-length", "104857601").await;
        refused.expect_refusal(413, "payload_too_large");
        let wide = format!("name,description\nAda,{}\n", "x".repeat(1 << 20));
        let refused = csv(&owner, IMPORT, &wide).await.expect_status(400);
        assert!(refused.text_at("/error/details/rows/0/message").starts_with("Row 1 is longer than 1048576 bytes"));
        let nul = owner.post(IMPORT).json(&json!({"rows": [{"name": "A\u{0}"}]})).await.expect_status(400);
        assert_eq!(nul.text_at("/error/details/rows/0/code"), "null_characters_not_allowed");
        owner.post(IMPORT).body("application/json", r#"{"rows": [{"name": "Ada"#).await.expect_refusal(400, "parse_error");
        assert_json!(owner.get("/api/v1/imports/").await.expect_status(200).json(), {"count": 0});
    }

    async fn what_somebody_lost_the_right_to_is_not_gone_on_with(world: &World) {
        let owner = world.owner().await;
        let staff = world.member(&owner, "grace", "staff").await;
        let membership = staff.membership().await;
        let mut file = "name\n".to_owned();
        for number in 0..250 {
            file.push_str(&format!("Customer {number}\n"));
        }
        let id = csv(&staff, IMPORT, &file).await.expect_status(202).text_at("/id");
        owner.patch(&format!("/api/v1/memberships/{membership}/")).json(&json!({"role": "viewer"})).await.expect_status(200);
        let item = format!("/api/v1/imports/{id}/");
        let state = async || owner.get(&item).await.expect_status(200).json()["state"].clone();
        eventually("the import has ended", async || ["failed", "done"].contains(&state().await.as_str().unwrap_or(""))).await;
        // The job may have been quicker than the owner; then all of it is there. Never something in between that is not told.
        let row = owner.get(&item).await.expect_status(200).json();
        assert_eq!(row["created"].as_i64(), Some(count(&owner, CUSTOMERS).await), "{row}");
        if row["state"] == "failed" {
            assert!(row["last_error"].as_str().is_some_and(|words| !words.is_empty()), "{row}");
        }
    }

    async fn what_is_wrong_with_the_file_itself_is_said_at_once(world: &World) {
        let (owner, other) = world.strangers().await;
        for (text, mapping, field, code) in [
            ("name,unknown\na,b\n", "", "mapping", "invalid"),
            ("name\na\n", r#"{"nothing": "name"}"#, "mapping", "invalid"),
            ("name\na\n", r#"{"name": "nothing"}"#, "mapping", "invalid"),
            ("name,full\na,b\n", r#"{"full": "name"}"#, "mapping", "invalid"),
            ("name\na\n", "[1]", "mapping", "not_a_dict"),
            ("name\n", "", "rows", "required"),
            ("name,phone\nonly one\n", "", "rows", "invalid"),
            ("", "", "rows", "required"),
        ] {
            let mut request = csv(&owner, IMPORT, text);
            if !mapping.is_empty() {
                request = request.query("mapping", mapping);
            }
            let answer = request.await.expect_status(400).json();
            let found = answer.pointer(&format!("/error/details/{field}/0/code")).and_then(Value::as_str).map(str::to_owned);
            assert!(found.is_some(), "{text:?} {mapping}: expected {field} {code}, got {answer}");
        }
        owner.post(IMPORT).query("mode", "replace").json(&json!({"rows": [{"name": "x"}]})).await.expect_status(400);
        owner.post(IMPORT).body("application/xml", "<x/>").await.expect_status(415);
        let viewer = world.member(&owner, "grace", "viewer").await;
        csv(&viewer, IMPORT, "name\na\n").await.expect_refusal(403, "permission_denied");
        let id = csv(&owner, IMPORT, "name,email\nA,nonsense\n").await.expect_status(200).text_at("/id");
        other.get(&format!("/api/v1/imports/{id}/")).await.expect_status(404);
        other.get(&format!("/api/v1/imports/{id}/errors/")).await.expect_status(404);
        let role = world.role(&owner, &["core.imports.view"]).await;
        let clerk = world.member(&owner, "clerk", &role).await;
        clerk.get(&format!("/api/v1/imports/{id}/")).await.expect_status(200);
        clerk.get(&format!("/api/v1/imports/{id}/errors/")).await.expect_refusal(403, "permission_denied");
    }
}

fn tenant_view() -> loopd_store::View {
    loopd_store::View::Company(CompanyId(1))
}
