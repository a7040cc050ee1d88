//! Lists: pages, search, order, filters, expansion, CSV.

use std::sync::Arc;

use loopd_business::engine::request::ListRequest;
use loopd_kernel::Tenant;
use loopd_testkit::{Client, each_engine, json};
use loopd_types::CompanyId;
use loopd_web::Query;
use serde_json::Value;

use crate::house::user_of;
use crate::support::{World, register};

/// A query, pair by pair.
type Asked = &'static [(&'static str, &'static str)];

const APPOINTMENTS: &str = "/api/v1/booking/appointments/";

async fn add(client: &Client, body: Value) -> Value {
    client.post(APPOINTMENTS).json(&body).await.expect_status(201).json()
}

async fn titles(client: &Client, query: &[(&str, &str)]) -> Vec<String> {
    let request = query.iter().fold(client.get(APPOINTMENTS), |request, (name, value)| request.query(name, value));
    let page = request.await.expect_status(200).json();
    page["results"].as_array().unwrap().iter().map(|row| row["title"].as_str().unwrap().to_owned()).collect()
}

each_engine! {
    async fn pages_follow_each_other(world: &World) {
        for number in 1..=5 {
            add(&world.owner, json!({"title": format!("T{number}")})).await;
        }
        let first = world.owner.get(APPOINTMENTS).query("page_size", "2").await.expect_status(200).json();
        assert_eq!(first["count"], 5);
        assert_eq!(first["previous"], Value::Null);
        assert!(first["next"].as_str().unwrap().ends_with("/api/v1/booking/appointments/?page=2&page_size=2"));
        assert_eq!(titles(&world.owner, &[("page_size", "2")]).await, ["T5", "T4"]);
        assert_eq!(titles(&world.owner, &[("page_size", "2"), ("page", "2")]).await, ["T3", "T2"]);
        assert_eq!(titles(&world.owner, &[("page_size", "2"), ("page", "last")]).await, ["T1"]);
        world.owner.get(APPOINTMENTS).query("page", "9").await.expect_refusal(404, "not_found");
    }

    async fn lists_of_core_resources_read_a_query_as_lists_of_records_do(world: &World) {
        let owner = &world.owner;
        for name in ["North side", "South side", "Annex", "Anna's"] {
            owner.post("/api/v1/workspaces/").json(&json!({"name": name})).await.expect_status(201);
        }
        let cases: &[(Asked, &[&str])] = &[
            (&[("search", "'north side'")], &["North side"]),
            (&[("search", "\"side south\"")], &[]),
            (&[("search", "side,south")], &["South side"]),
            (&[("search", "anna's")], &["Anna's"]),
            (&[("search", "anna's"), ("search", "annex")], &["Annex"]),
            (&[("is_default", "NO"), ("ordering", "-name"), ("page_size", "2")], &["South side", "North side"]),
            (&[("is_default", "off"), ("name__lt", "B"), ("ordering", "-is_default"), ("ordering", "name")], &["Anna's", "Annex"]),
        ];
        for (query, expected) in cases {
            let asked = query.iter().fold(owner.get("/api/v1/workspaces/"), |asked, (name, value)| asked.query(name, value));
            let page = asked.await.expect_status(200).json();
            let names: Vec<&str> = page["results"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
            assert_eq!(names, *expected, "{query:?}");
        }
        // as many conditions would be more than SQLite reads
        let long = "s ".repeat(12);
        for path in ["/api/v1/workspaces/", APPOINTMENTS] {
            (0..150).fold(owner.get(path), |asked, _| asked.query("search", &long)).await.expect_status(200);
        }
        owner.get("/api/v1/workspaces/").query("is_default", "maybe").await.expect_field("is_default", "invalid");
    }

    async fn filters_say_what_they_mean(world: &World) {
        let owner = &world.owner;
        let anna = owner.post("/api/v1/booking/customers/").json(&json!({"title": "Anna"})).await.json();
        add(owner, json!({"title": "Alpha visit", "starts_at": "2026-07-01T08:00:00Z", "tags": ["vip", "new"], "price": 1000, "customer": anna["id"]})).await;
        add(owner, json!({"title": "beta Visit", "starts_at": "2026-07-02T08:00:00+02:00", "party_size": 3, "data": {"room": "blue", "guest": 7}})).await;
        add(owner, json!({"title": "Gamma", "description": "second ALPHA thing", "data": {"room": "red"}})).await;
        let cases: &[(Asked, &[&str])] = &[
            (&[("search", "alpha")], &["Gamma", "Alpha visit"]),
            (&[("search", "visit beta")], &["beta Visit"]),
            (&[("search", "\"alpha visit\"")], &["Alpha visit"]),
            (&[("search", "'alpha visit'")], &["Alpha visit"]),
            (&[("search", "gamma"), ("search", "beta")], &["beta Visit"]),
            (&[("search", "100%")], &[]),
            (&[("status", "draft")], &["Gamma"]),
            (&[("status__in", "draft,pending")], &["Gamma", "beta Visit", "Alpha visit"]),
            (&[("starts_at__gte", "2026-07-02")], &["beta Visit"]),
            (&[("starts_at__lte", "2026-07-01")], &["Alpha visit"]),
            (&[("starts_at__isnull", "true")], &["Gamma"]),
            (&[("party_size__gt", "1")], &["beta Visit"]),
            (&[("party_size__in", "3,9")], &["beta Visit"]),
            (&[("price__gte", "1000")], &["Alpha visit"]),
            (&[("tags", "vip")], &["Alpha visit"]),
            (&[("tags", "vi")], &[]),
            (&[("title__icontains", "VISIT")], &["beta Visit", "Alpha visit"]),
            (&[("data__room", "blue")], &["beta Visit"]),
            (&[("data__guest", "7")], &["beta Visit"]),
            (&[("data__room__isnull", "true")], &["Alpha visit"]),
            (&[("created_at__gte", "2026-06-22T10:00:00Z"), ("status", "draft")], &["Gamma"]),
            (&[("ordering", "title")], &["Alpha visit", "Gamma", "beta Visit"]),
            (&[("ordering", "starts_at")], &["Gamma", "Alpha visit", "beta Visit"]),
            (&[("ordering", "-starts_at")], &["beta Visit", "Alpha visit", "Gamma"]),
            (&[("ordering", "nonsense,created_at")], &["Alpha visit", "beta Visit", "Gamma"]),
        ];
        for (query, expected) in cases {
            let mut found = titles(owner, query).await;
            let mut expected = expected.to_vec();
            // letters of both cases are ordered by each engine's own collation
            if query[0] == ("ordering", "title") {
                found.sort();
                expected.sort();
            }
            assert_eq!(found, expected, "{query:?}");
        }
        let customer = anna["id"].as_str().unwrap();
        assert_eq!(titles(owner, &[("customer", customer)]).await, ["Alpha visit"]);
        for (name, value) in [("colour", "red"), ("notes", "x"), ("party_size__icontains", "1"), ("data__a'b", "x"), ("starts_at__gte", "soon"), ("status", "asleep"), ("customer", "x"), ("page_size", "x"), ("deleted", "maybe"), ("expand", "title"), ("fields", "nothing")] {
            owner.get(APPOINTMENTS).query(name, value).await.expect_status(400).expect_field(name, match name {
                "colour" | "notes" | "party_size__icontains" | "data__a'b" => "unknown_parameter",
                "status" | "expand" | "fields" => "invalid_choice",
                _ => "invalid",
            });
        }
    }

    async fn references_can_be_looked_through(world: &World) {
        let owner = &world.owner;
        let anna = owner.post("/api/v1/booking/customers/").json(&json!({"title": "Anna"})).await.json();
        let made = add(owner, json!({"title": "One", "customer": anna["id"]})).await;
        let listed = owner.get(APPOINTMENTS).query("expand", "customer").query("fields", "title,customer").await.expect_status(200).json();
        assert_eq!(listed["results"][0], json!({"title": "One", "customer": anna}));
        let one = owner.get(&format!("{APPOINTMENTS}{}/", made["id"].as_str().unwrap())).query("expand", "customer").await.expect_status(200);
        assert_eq!((one.json()["customer"].clone(), one.header("etag")), (anna, None));
    }

    async fn a_reference_to_what_was_deleted_stays_an_id(world: &World) {
        let owner = &world.owner;
        let anna = owner.post("/api/v1/booking/customers/").json(&json!({"title": "Anna"})).await.json();
        let made = add(owner, json!({"title": "One", "customer": anna["id"]})).await;
        let at = format!("/api/v1/booking/customers/{}/", anna["id"].as_str().unwrap());
        owner.delete(&at).await.expect_status(204);
        let listed = owner.get(APPOINTMENTS).query("expand", "customer").await.expect_status(200).json();
        assert_eq!(listed["results"][0]["customer"], anna["id"]);
        let one = owner.get(&format!("{APPOINTMENTS}{}/", made["id"].as_str().unwrap())).query("expand", "customer").await.expect_status(200);
        assert_eq!(one.json()["customer"], anna["id"]);
        owner.post(&format!("{at}restore/")).await.expect_status(200);
        let listed = owner.get(APPOINTMENTS).query("expand", "customer").await.expect_status(200).json();
        assert_eq!(listed["results"][0]["customer"]["title"], "Anna");
    }

    async fn every_company_of_a_union_decides_who_looks_through(world: &World) {
        let owner = &world.owner;
        let other = register(owner, "other").await;
        let role = json!({"name": "Diary", "slug": "diary", "permissions": ["booking.appointments.*"]});
        other.post("/api/v1/roles/").json(&role).await.expect_status(201);
        let invited = json!({"user": user_of(owner).await, "role": "diary"});
        other.post("/api/v1/memberships/").json(&invited).await.expect_status(201);
        for client in [owner, &other] {
            let guest = client.post("/api/v1/booking/customers/").json(&json!({"title": "Guest"})).await.expect_status(201).json();
            add(client, json!({"title": "One", "customer": guest["id"]})).await;
        }
        let page = owner.without("x-company-id").get(APPOINTMENTS).query("expand", "customer").await.expect_status(200).json();
        assert_eq!(page["count"], 2);
        for row in page["results"].as_array().unwrap() {
            assert_eq!(row["customer"].is_object(), row["company"] == "001", "{row}");
        }
        // where no company allows it, it is refused
        owner.company("002").get(APPOINTMENTS).query("expand", "customer").await.expect_refusal(403, "permission_denied");
    }

    async fn long_reads_are_told_from_short_ones(world: &World) {
        let access = world.kernel.company_access(CompanyId(1)).await.unwrap().unwrap();
        let all = Arc::new(Tenant::system(access, "a test"));
        let mut one = Tenant::clone(&all);
        one.workspace = Some(loopd_types::Uuid::nil());
        let runtime = world.engine.registry.find("booking/appointments").unwrap();
        let is_heavy = |query: &str, tenants: &[Arc<Tenant>]| {
            let request = ListRequest::read(&Query::parse(Some(query)).unwrap(), runtime, &world.engine, tenants).unwrap();
            request.is_heavy(runtime, tenants)
        };
        let whole = [all.clone()];
        for light in ["", "page=2", "page=50&page_size=100", "expand=customer", "ordering=-created_at"] {
            assert!(!is_heavy(light, &whole), "{light}");
        }
        for heavy in ["page=last", "page=51&page_size=100", "page=201", "status=draft", "search=x", "ordering=title", "deleted=all"] {
            assert!(is_heavy(heavy, &whole), "{heavy}");
        }
        assert!(is_heavy("", &[Arc::new(one)]), "no counter counts the records of one workspace");
        assert!(is_heavy("", &[all.clone(), all]), "nor those of several companies in one order");
        world.owner.get(APPOINTMENTS).query("page", "4294967295").query("search", "x").await.expect_refusal(404, "not_found");
    }

    async fn csv_has_the_filtered_rows_and_no_formulas(world: &World) {
        let owner = &world.owner;
        add(owner, json!({"title": "=1+1", "price": 5, "data": {"a": "x,y"}})).await;
        add(owner, json!({"title": "Other", "starts_at": "2026-07-01T08:00:00Z"})).await;
        let csv = owner.get(&format!("{APPOINTMENTS}export/")).query("fields", "number,title,price,data").query("ordering", "created_at").await.expect_status(200);
        assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8"));
        assert_eq!(csv.text(), "number,title,price,data\nAPT-000001,'=1+1,5,\"{\"\"a\"\":\"\"x,y\"\"}\"\nAPT-000002,Other,,{}\n");
        let some = owner.get(APPOINTMENTS).query("format", "csv").query("status", "pending").query("fields", "title").await.expect_status(200);
        assert_eq!(some.text(), "title\nOther\n");
    }

    async fn exports_are_longer_than_one_chunk(world: &World) {
        for _ in 0..3 {
            let operations: Vec<_> = (0..400).map(|n| json!({"op": "create", "body": {"title": format!("T{n}")}})).collect();
            world.owner.post(&format!("{APPOINTMENTS}bulk/")).json(&json!({"operations": operations})).await.expect_status(200);
        }
        for ordering in ["", "title"] {
            let csv = world.owner.get(&format!("{APPOINTMENTS}export/")).query("fields", "id").query("ordering", ordering).await.expect_status(200);
            let mut ids: Vec<String> = csv.text().lines().skip(1).map(str::to_owned).collect();
            ids.sort();
            ids.dedup();
            assert_eq!(ids.len(), 1_200);
        }
        assert_eq!(world.owner.get(APPOINTMENTS).query("page", "last").query("page_size", "100").await.json()["count"], 1_200);
    }

    async fn without_a_company_a_list_is_the_union(world: &World) {
        let owner = &world.owner;
        add(owner, json!({"title": "In 001"})).await;
        let second = owner.without("x-company-id").post("/api/v1/companies/").json(&json!({"name": "Second"})).await.expect_status(201).json();
        let code = second["code"].as_str().unwrap();
        add(&owner.company(code), json!({"title": "In 002"})).await;
        register(owner, "stranger").await.post(APPOINTMENTS).json(&json!({"title": "Foreign"})).await.expect_status(201);
        let all = owner.without("x-company-id");
        let page = all.get(APPOINTMENTS).query("page_size", "1").await.expect_status(200).json();
        assert_eq!((&page["count"], &page["results"][0]["title"]), (&json!(2), &json!("In 002")));
        assert_eq!(titles(&all, &[("search", "in")]).await, ["In 002", "In 001"]);
        all.post(APPOINTMENTS).json(&json!({"title": "x"})).await.expect_refusal(400, "company_required");
    }

    async fn workspaces_narrow_lists_and_hide_records_from_limited_members(world: &World) {
        let owner = &world.owner;
        let mut ids = Vec::new();
        for name in ["North", "South"] {
            let made = owner.post("/api/v1/workspaces/").json(&json!({"name": name})).await.expect_status(201).json();
            ids.push(made["id"].as_str().unwrap().to_owned());
            let workspace = loopd_types::Uuid::parse_str(&ids[ids.len() - 1]).unwrap();
            add(&owner.workspace(workspace), json!({"title": name})).await;
        }
        add(owner, json!({"title": "Everywhere"})).await;
        assert_eq!(titles(owner, &[]).await, ["Everywhere", "South", "North"]);
        assert_eq!(titles(owner, &[("workspace", &ids[0])]).await, ["North"]);
        let north = loopd_types::Uuid::parse_str(&ids[0]).unwrap();
        assert_eq!(titles(&owner.workspace(north), &[]).await, ["Everywhere", "North"]);
        let stranger = register(owner, "stranger").await;
        let foreign = stranger.post("/api/v1/workspaces/").json(&json!({"name": "Foreign"})).await.expect_status(201).json();
        owner.post(APPOINTMENTS).json(&json!({"title": "x", "workspace": foreign["id"]})).await.expect_status(400).expect_field("workspace", "does_not_exist");
    }
}
