//! Making, reading, changing, deleting records.

use loopd_testkit::{each_engine, json};

use crate::support::{World, register};

const APPOINTMENTS: &str = "/api/v1/booking/appointments/";

each_engine! {
    async fn the_portals_sample_is_enough(world: &World) {
        let body = json!({"title": "Consultation", "description": "First visit"});
        let made = world.owner.post(APPOINTMENTS).json(&body).await.expect_status(201);
        let record = made.json();
        assert_eq!(record["number"], "APT-000001");
        assert_eq!(record["status"], "draft");
        assert_eq!(record["company"], "001");
        assert_eq!(record["version"], 1);
        assert_eq!(record["party_size"], 1);
        assert_eq!(record["currency"], "RWF");
        assert_eq!(record["timezone"], "Africa/Kigali");
        assert_eq!(record["created_at"], "2026-06-22T10:00:00.000000Z");
        for empty in ["workspace", "service", "staff", "customer", "starts_at", "ends_at", "price", "external_id", "deleted_at"] {
            assert!(record[empty].is_null(), "{empty} is {}", record[empty]);
        }
        assert_eq!(made.header("etag"), Some("\"1\""));
        let names: Vec<&String> = record.as_object().unwrap().keys().collect();
        assert!(names.len() > 30);
        let path = format!("{APPOINTMENTS}{}/", record["id"].as_str().unwrap());
        assert!(made.header("location").unwrap().ends_with(&path));
        let read = world.owner.get(&path).await.expect_status(200);
        assert_eq!(read.json(), record);
        let listed = world.owner.get(APPOINTMENTS).await.expect_status(200).json();
        assert_eq!(listed["count"], 1);
        assert_eq!(listed["results"][0], record);
    }

    async fn complaints_come_all_at_once_and_speak_drf(world: &World) {
        let body = json!({"title": "  ", "party_size": 0, "starts_at": "soon", "customer": "9", "price": "1.5", "tags": "x", "data": []});
        let refused = world.owner.post(APPOINTMENTS).json(&body).await.expect_status(400);
        let details = refused.json()["error"]["details"].clone();
        for (field, message) in [
            ("title", "This field may not be blank."),
            ("party_size", "Ensure this value is greater than or equal to 1."),
            ("customer", "Must be a valid UUID."),
            ("price", "Ensure that there are no more than 0 decimal places."),
            ("tags", "Expected a list of items but got type \"str\"."),
            ("data", "Expected a dictionary of items but got type \"list\"."),
        ] {
            assert_eq!(details[field][0]["message"], message, "{field}: {details}");
        }
        assert!(details["starts_at"][0]["message"].as_str().unwrap().starts_with("Datetime has wrong format."));
        world.owner.post(APPOINTMENTS).json(&json!({})).await.expect_status(400).expect_field("title", "required");
        world.owner.post(APPOINTMENTS).json(&json!([])).await.expect_status(400).expect_field("non_field_errors", "invalid");
        let nobody = json!({"title": "x", "customer": "0190d0a0-0000-7000-8000-000000000000"});
        world.owner.post(APPOINTMENTS).json(&nobody).await.expect_status(400).expect_field("customer", "does_not_exist");
    }

    async fn typed_values_in_data_are_copied_up(world: &World) {
        let body = json!({"title": "x", "data": {"price": 12.5, "currency": "USD", "customer": "Anna", "party_size": "many"}});
        let made = world.owner.post(APPOINTMENTS).json(&body).await.expect_status(201).json();
        assert_eq!((&made["price"], &made["currency"]), (&json!("12.50"), &json!("USD")));
        assert_eq!((&made["customer"], &made["party_size"]), (&json!(null), &json!(1)));
        assert_eq!(made["data"], body["data"]);
        // Money that does not fit is not left behind: something else would be owed than what stands there.
        for (data, field) in [
            (json!({"price": "abc"}), "data.price"),
            (json!({"price": 12.505, "currency": "USD"}), "data.price"),
            (json!({"price": 1, "currency": "EURO"}), "data.currency"),
            (json!({"price": 1, "currency": "usd"}), "data.currency"),
        ] {
            let refused = world.owner.post(APPOINTMENTS).json(&json!({"title": "x", "data": data})).await.expect_status(400).json();
            assert!(refused["error"]["details"].get(field).is_some(), "{data}: {refused}");
        }
    }

    async fn a_clients_own_id_is_looked_up_as_it_is_kept(world: &World) {
        let at = |id: &str| format!("{APPOINTMENTS}by-external-id/{id}/");
        let body = json!({"title": "One"});
        let made = world.owner.put(&at("a-1")).json(&body).await.expect_status(201).json();
        assert_eq!(made["external_id"], "a-1");
        let again = world.owner.put(&at("%20a-1%20")).json(&body).await.expect_status(200).json();
        assert_eq!((&again["id"], &again["external_id"]), (&made["id"], &json!("a-1")));
        let fresh = world.owner.put(&at("%20b-2")).json(&body).await.expect_status(201).json();
        assert_eq!(fresh["external_id"], "b-2");
        world.owner.put(&at("b-2")).json(&body).await.expect_status(200);
        world.owner.put(&at("%20")).json(&body).await.expect_status(400).expect_field("external_id", "blank");
        world.owner.put(&at(&"x".repeat(256))).json(&body).await.expect_status(400).expect_field("external_id", "max_length");
        assert_eq!(world.owner.get(APPOINTMENTS).await.json()["count"], 2);
    }

    async fn what_a_put_leaves_out_stays(world: &World) {
        let body = json!({"title": "One", "notes": "Bring tea", "party_size": 3});
        let made = world.owner.post(APPOINTMENTS).json(&body).await.expect_status(201).json();
        let path = format!("{APPOINTMENTS}{}/", made["id"].as_str().unwrap());
        let put = world.owner.put(&path).json(&json!({"title": "Two"})).await.expect_status(200).json();
        assert_eq!((&put["title"], &put["notes"], &put["party_size"]), (&json!("Two"), &json!("Bring tea"), &json!(3)));
    }

    async fn a_change_needs_the_version_only_if_it_says_so(world: &World) {
        let made = world.owner.post(APPOINTMENTS).json(&json!({"title": "One"})).await.expect_status(201).json();
        let path = format!("{APPOINTMENTS}{}/", made["id"].as_str().unwrap());
        let changed = world.owner.patch(&path).json(&json!({"title": "Two"})).await.expect_status(200);
        assert_eq!((changed.header("etag"), &changed.json()["version"]), (Some("\"2\""), &json!(2)));
        let again = world.owner.patch(&path).json(&json!({"title": "Two"})).await.expect_status(200).json();
        assert_eq!(again["version"], 2, "a change that changes nothing is no version");
        world.owner.patch(&path).header("if-match", "\"1\"").json(&json!({"title": "Three"})).await.expect_refusal(412, "precondition_failed");
        world.owner.patch(&path).header("if-match", "\"2\"").json(&json!({"title": "Three"})).await.expect_status(200);
        world.owner.get(&path).header("if-none-match", "\"3\"").await.expect_status(304);
        world.owner.get(&path).header("if-none-match", "\"2\"").await.expect_status(200);
        world.owner.put(&path).json(&json!({"description": "no title"})).await.expect_status(400).expect_field("title", "required");
        world.owner.patch(&path).json(&json!({"status": "confirmed"})).await.expect_status(400).expect_field("status", "read_only");
        let history = world.owner.get(&format!("{path}history/")).await.expect_status(200).json();
        let actions: Vec<_> = history["results"].as_array().unwrap().iter().map(|row| row["action"].clone()).collect();
        assert_eq!(actions, ["update", "update", "create"]);
        assert_eq!(history["results"][0]["changes"], json!({"title": ["Two", "Three"]}));
    }

    async fn a_new_currency_keeps_the_figures(world: &World) {
        let made = world.owner.post(APPOINTMENTS).json(&json!({"title": "x", "price": 12, "currency": "USD"})).await.json();
        let path = format!("{APPOINTMENTS}{}/", made["id"].as_str().unwrap());
        assert_eq!(made["price"], "12.00");
        let changed = world.owner.patch(&path).json(&json!({"currency": "RWF"})).await.expect_status(200).json();
        assert_eq!(changed["price"], "12");
        world.owner.patch(&path).json(&json!({"currency": "USD", "price": "0.50"})).await.expect_status(200);
        world.owner.patch(&path).json(&json!({"currency": "RWF"})).await.expect_status(400).expect_field("currency", "invalid");
    }

    async fn what_is_deleted_can_be_brought_back(world: &World) {
        let made = world.owner.post(APPOINTMENTS).json(&json!({"title": "One", "external_id": "a"})).await.json();
        let path = format!("{APPOINTMENTS}{}/", made["id"].as_str().unwrap());
        world.owner.delete(&path).await.expect_status(204);
        world.owner.get(&path).await.expect_refusal(404, "not_found");
        world.owner.delete(&path).await.expect_status(404);
        assert_eq!(world.owner.get(APPOINTMENTS).await.json()["count"], 0);
        let gone = world.owner.get(APPOINTMENTS).query("deleted", "true").await.expect_status(200).json();
        assert_eq!((&gone["count"], &gone["results"][0]["title"]), (&json!(1), &json!("One")));
        world.owner.post(APPOINTMENTS).json(&json!({"title": "Two", "external_id": "a"})).await.expect_status(201);
        world.owner.post(&format!("{path}restore/")).await.expect_status(400).expect_field("external_id", "unique");
        let other = world.owner.get(APPOINTMENTS).await.json()["results"][0]["id"].as_str().unwrap().to_owned();
        world.owner.patch(&format!("{APPOINTMENTS}{other}/")).json(&json!({"external_id": null})).await.expect_status(200);
        let back = world.owner.post(&format!("{path}restore/")).await.expect_status(200).json();
        assert_eq!((&back["deleted_at"], &back["title"]), (&json!(null), &json!("One")));
        assert_eq!(world.owner.get(APPOINTMENTS).await.json()["count"], 2);
    }

    async fn an_external_id_is_made_once(world: &World) {
        let path = format!("{APPOINTMENTS}by-external-id/crm%2F7/");
        let made = world.owner.put(&path).json(&json!({"title": "One"})).await.expect_status(201).json();
        assert_eq!(made["external_id"], "crm/7");
        let same = world.owner.put(&path).json(&json!({"title": "Two"})).await.expect_status(200).json();
        assert_eq!((&same["id"], &same["title"], &same["version"]), (&made["id"], &json!("Two"), &json!(2)));
        world.owner.post(APPOINTMENTS).json(&json!({"title": "x", "external_id": "crm/7"})).await.expect_status(400).expect_field("external_id", "unique");
        assert_eq!(world.owner.get(APPOINTMENTS).query("external_id", "crm/7").await.json()["count"], 1);
    }

    async fn another_company_sees_nothing(world: &World) {
        let customer = world.owner.post("/api/v1/booking/customers/").json(&json!({"title": "Anna"})).await.expect_status(201).json();
        let made = world.owner.post(APPOINTMENTS).json(&json!({"title": "One", "customer": customer["id"]})).await.expect_status(201).json();
        let path = format!("{APPOINTMENTS}{}/", made["id"].as_str().unwrap());
        let stranger = register(&world.owner, "stranger").await;
        assert_eq!(stranger.get(APPOINTMENTS).await.expect_status(200).json()["count"], 0);
        for refused in [
            stranger.get(&path).await,
            stranger.patch(&path).json(&json!({"title": "x"})).await,
            stranger.put(&path).json(&json!({"title": "x"})).await,
            stranger.delete(&path).await,
            stranger.post(&format!("{path}confirm/")).await,
            stranger.get(&format!("{path}history/")).await,
            stranger.get(&format!("{path}actions/")).await,
            stranger.post(&format!("{path}restore/")).await,
        ] {
            refused.expect_refusal(404, "not_found");
        }
        let link = json!({"title": "x", "customer": customer["id"]});
        stranger.post(APPOINTMENTS).json(&link).await.expect_status(400).expect_field("customer", "does_not_exist");
        stranger.company("001").get(APPOINTMENTS).await.expect_refusal(403, "company_access_denied");
        world.owner.anonymous().get(APPOINTMENTS).await.expect_refusal(401, "not_authenticated");
        let other = stranger.post(APPOINTMENTS).json(&json!({"title": "Mine"})).await.expect_status(201).json();
        assert_eq!(other["number"], "APT-000001", "every company counts for itself");
    }

    async fn many_writes_are_all_or_nothing_or_each_for_itself(world: &World) {
        let path = format!("{APPOINTMENTS}bulk/");
        let made = world.owner.post(APPOINTMENTS).json(&json!({"title": "One"})).await.json();
        let operations = json!([
            {"op": "create", "body": {"title": "Two"}},
            {"op": "create", "body": {"party_size": 0}},
            {"op": "update", "id": made["id"], "body": {"title": "Uno"}},
            {"op": "delete", "id": "0190d0a0-0000-7000-8000-000000000000"},
        ]);
        let refused = world.owner.post(&path).json(&json!({"operations": operations})).await.expect_status(400);
        assert_eq!(refused.json()["error"]["details"]["operations.1.title"][0]["code"], "required");
        assert_eq!(world.owner.get(APPOINTMENTS).await.json()["count"], 1);
        let done = world.owner.post(&path).json(&json!({"operations": operations, "atomic": false})).await.expect_status(200).json();
        let states: Vec<_> = done["results"].as_array().unwrap().iter().map(|row| row["status"].clone()).collect();
        assert_eq!(states, [201, 400, 200, 404]);
        assert_eq!((&done["succeeded"], &done["failed"]), (&json!(2), &json!(2)));
        assert_eq!(done["results"][1]["error"]["details"]["title"][0]["code"], "required");
        let listed = world.owner.get(APPOINTMENTS).query("ordering", "title").await.json();
        let titles: Vec<_> = listed["results"].as_array().unwrap().iter().map(|row| row["title"].clone()).collect();
        assert_eq!((listed["count"].clone(), titles), (json!(2), vec![json!("Two"), json!("Uno")]));
        let too_many: Vec<_> = (0..501).map(|_| json!({"op": "create", "body": {"title": "x"}})).collect();
        world.owner.post(&path).json(&json!({"operations": too_many})).await.expect_status(400).expect_field("operations", "max_length");
    }

    async fn the_same_key_makes_one_record(world: &World) {
        let body = json!({"title": "Once"});
        let first = world.owner.post(APPOINTMENTS).header("idempotency-key", "k1").json(&body).await.expect_status(201);
        let again = world.owner.post(APPOINTMENTS).header("idempotency-key", "k1").json(&body).await.expect_status(201);
        assert_eq!(first.json(), again.json());
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        assert_eq!(world.owner.get(APPOINTMENTS).await.json()["count"], 1);
    }
}
