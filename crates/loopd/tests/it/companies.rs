//! `/api/v1/companies/` and which company a request works in (spec/loop.md 5.3).

use loopd_testkit::{Client, assert_json, each_engine, json};

use crate::support::{Actor, World};

const APPOINTMENTS: &str = "/api/v1/booking/appointments/";

/// A person who works in 001 and 002, and their owners.
async fn of_two(world: &World) -> (Actor, Actor, Actor) {
    let (owner, stranger) = world.strangers().await;
    let person = world.person("grace").await;
    world.join(&owner, &person, "manager").await;
    world.join(&stranger, &person, "manager").await;
    (owner, stranger, person)
}

async fn codes(client: &Client) -> Vec<String> {
    let page = client.get(&format!("{APPOINTMENTS}?ordering=title")).await.expect_status(200).json();
    let rows = page["results"].as_array().expect("rows").clone();
    rows.iter().map(|row| row["company"].as_str().expect("a code").to_owned()).collect()
}

each_engine! {
    async fn without_a_header_the_only_company_is_meant(world: &World) {
        let owner = world.owner().await;
        let bare = owner.without("x-company-id");
        assert_eq!(bare.post(APPOINTMENTS).json(&json!({"title": "x"})).await.expect_status(201).text_at("/company"), "001");
        assert_eq!(codes(&bare).await, ["001"]);
    }

    async fn any_number_of_companies_may_bear_one_name(world: &World) {
        let person = world.person("grace").await;
        for number in 1..=75 {
            let made = person.post("/api/v1/companies/").json(&json!({"name": "Kigali Bikes"})).await.expect_status(201);
            let slug = if number == 1 { "kigali-bikes".to_owned() } else { format!("kigali-bikes-{number}") };
            assert_eq!(made.text_at("/slug"), slug);
        }
    }

    async fn without_a_header_a_list_covers_all_companies_of_the_caller(world: &World) {
        let (owner, stranger, person) = of_two(world).await;
        owner.make(APPOINTMENTS, json!({"title": "a"})).await;
        stranger.make(APPOINTMENTS, json!({"title": "b"})).await;
        assert_eq!(codes(&person).await, ["001", "002"]);
        assert_eq!(codes(&person.in_company("002")).await, ["002"]);
        let export = person.get(&format!("{APPOINTMENTS}export/")).await.expect_status(200).text();
        assert!(export.contains(",001,") && export.contains(",002,"), "{export}");
        // A company whose product is off, or that is suspended, leaves the union; the others stay.
        let subscription = stranger.get("/api/v1/product-subscriptions/?product=booking").await.text_at("/results/0/id");
        stranger.post(&format!("/api/v1/product-subscriptions/{subscription}/cancel/")).await.expect_status(200);
        assert_eq!(codes(&person).await, ["001"]);
    }

    async fn without_a_header_a_write_of_somebody_with_several_companies_is_refused(world: &World) {
        let (_, _, person) = of_two(world).await;
        person.post(APPOINTMENTS).json(&json!({"title": "x"})).await.expect_refusal(400, "company_required");
        let body = json!({"title": "x", "company": "002"});
        let made = person.in_company("001").post(APPOINTMENTS).json(&body).await;
        assert!(made.status == 400 || made.text_at("/company") == "001", "the header decides: {}", made.text());
        let twice = person.in_company("001");
        let answer = twice.with_header("x-company-id", " 001 ").get(APPOINTMENTS).await;
        assert_eq!(answer.status, 200, "blanks around a code are no part of it");
    }

    async fn somebody_without_a_company_is_refused_and_can_make_one(world: &World) {
        let person = world.person("grace").await;
        person.get(APPOINTMENTS).await.expect_refusal(403, "company_access_denied");
        assert_json!(person.get("/api/v1/companies/").await.expect_status(200).json(), {"count": 0, "results": []});
        let made = person.post("/api/v1/companies/").json(&json!({"name": "Mine", "currency": "KES"})).await.expect_status(201);
        assert_json!(made.json(), {"code": "001", "name": "Mine", "slug": "mine", "currency": "KES", "status": "trial", "role": "owner"});
        person.get(APPOINTMENTS).await.expect_status(200);
    }

    async fn a_suspended_company_stops_at_the_next_request(world: &World) {
        let (owner, stranger) = world.strangers().await;
        let root = world.superuser().await;
        owner.post("/api/v1/companies/001/suspend/").await.expect_refusal(403, "permission_denied");
        assert_json!(root.post("/api/v1/companies/001/suspend/").await.expect_status(200).json(), {"status": "suspended"});
        owner.get(APPOINTMENTS).await.expect_refusal(403, "company_suspended");
        owner.post(APPOINTMENTS).json(&json!({"title": "x"})).await.expect_refusal(403, "company_suspended");
        owner.get("/api/v1/auth/me/").await.expect_status(200);
        // The owner still sees that it is suspended, and others notice nothing.
        assert_json!(owner.get("/api/v1/companies/").await.expect_status(200).json(), {"results": [{"code": "001", "status": "suspended"}]});
        stranger.get(APPOINTMENTS).await.expect_status(200);
        stranger.in_company("001").get(APPOINTMENTS).await.expect_refusal(403, "company_access_denied");
        root.post("/api/v1/companies/001/suspend/").await.expect_refusal(409, "invalid_transition");
        root.post("/api/v1/companies/001/reactivate/").await.expect_status(200);
        owner.get(APPOINTMENTS).await.expect_status(200);
    }

    async fn a_closed_company_is_gone_for_its_people_and_its_code_is_never_given_again(world: &World) {
        let (owner, _) = world.strangers().await;
        owner.delete("/api/v1/companies/001/").await.expect_status(204);
        owner.get(APPOINTMENTS).await.expect_refusal(403, "company_access_denied");
        assert_eq!(world.register("third").await.code, "003");
    }

    async fn a_company_is_found_by_code_and_by_id_and_only_by_its_members(world: &World) {
        let (owner, stranger) = world.strangers().await;
        let id = owner.get("/api/v1/companies/001/").await.expect_status(200).text_at("/id");
        assert_json!(owner.get(&format!("/api/v1/companies/{id}/")).await.expect_status(200).json(), {"code": "001", "role": "owner"});
        for path in ["/api/v1/companies/001/".to_owned(), format!("/api/v1/companies/{id}/"), "/api/v1/companies/999/".to_owned()] {
            stranger.get(&path).await.expect_refusal(404, "not_found");
            stranger.patch(&path).json(&json!({"name": "Mine"})).await.expect_refusal(404, "not_found");
        }
    }

    async fn ownership_can_be_handed_over(world: &World) {
        let owner = world.owner().await;
        let heir = world.member(&owner, "grace", "staff").await;
        let transfer = json!({"membership": heir.membership().await});
        owner.post("/api/v1/companies/001/transfer-ownership/").json(&transfer).await.expect_status(200);
        assert_json!(heir.get("/api/v1/companies/001/").await.json(), {"role": "owner"});
        assert_json!(owner.get("/api/v1/companies/001/").await.json(), {"role": "admin"});
        owner.delete("/api/v1/companies/001/").await.expect_refusal(403, "permission_denied");
    }

    async fn every_change_leaves_an_audit_row_of_who_did_it(world: &World) {
        let owner = world.owner().await;
        let (_, key) = world.key(&owner, &["*"]).await;
        let by_hand = owner.make(APPOINTMENTS, json!({"title": "By hand"})).await;
        let by_key = key.post(APPOINTMENTS).json(&json!({"title": "By key"})).await.expect_status(201).text_at("/id");
        let rows = owner.get("/api/v1/audit-logs/?page_size=100").await.expect_status(200).json();
        let find = |target: &str| {
            rows["results"].as_array().and_then(|rows| rows.iter().find(|row| row["target"] == target)).cloned().unwrap_or_else(|| panic!("no row for {target} in {rows:#}"))
        };
        assert_json!(find(&by_hand), {"user": owner.user, "credential": null, "action": "create"});
        let row = find(&by_key);
        assert_eq!(row["user"], json!(owner.user));
        assert!(row["credential"].is_string(), "both the key and its user are named: {row:#}");
        // Nobody rewrites the book.
        let item = format!("/api/v1/audit-logs/{}/", row["id"].as_str().expect("an id"));
        owner.delete(&item).await.expect_refusal(405, "method_not_allowed");
        owner.patch(&item).json(&json!({})).await.expect_refusal(405, "method_not_allowed");
    }
}
