//! 3 to 8: keys, companies, memberships, subscriptions, superusers, workspaces, pages.

use loopd_testkit::{Client, assert_json, each_engine, json};

use crate::support::{Actor, World};

const APPOINTMENTS: &str = "/api/v1/booking/appointments/";

async fn book(actor: &Client, title: &str) -> String {
    actor.post(APPOINTMENTS).json(&json!({"title": title})).await.expect_status(201).text_at("/id")
}

/// Titles on the first page of a list.
async fn titles(actor: &Client, path: &str) -> Vec<String> {
    let page = actor.get(path).await.expect_status(200).json();
    let rows = page["results"].as_array().expect("a page has results").clone();
    rows.iter().map(|row| row["title"].as_str().unwrap_or_default().to_owned()).collect()
}

each_engine! {
    async fn a_second_company_sees_nothing_of_the_first(world: &World) {
        let (owner, stranger) = world.strangers().await;
        let customer = owner.make("/api/v1/booking/customers/", json!({"title": "Aline", "phone": "+250788000001"})).await;
        let own = owner.make(APPOINTMENTS, json!({"title": "A secret visit", "customer": customer})).await;
        let item = format!("{APPOINTMENTS}{own}/");
        assert_json!(stranger.get(APPOINTMENTS).await.expect_status(200).json(), {"count": 0, "results": []});
        assert_json!(stranger.get(APPOINTMENTS).query("search", "secret").await.json(), {"count": 0});
        assert_json!(stranger.get(APPOINTMENTS).query("expand", "customer").await.json(), {"count": 0});
        stranger.get(&item).await.expect_refusal(404, "not_found");
        stranger.get(&format!("{item}history/")).await.expect_refusal(404, "not_found");
        stranger.get(&format!("{item}actions/")).await.expect_refusal(404, "not_found");
        stranger.patch(&item).json(&json!({"title": "x"})).await.expect_refusal(404, "not_found");
        stranger.put(&item).json(&json!({"title": "x"})).await.expect_refusal(404, "not_found");
        stranger.delete(&item).await.expect_refusal(404, "not_found");
        stranger.post(&format!("{item}cancel/")).json(&json!({})).await.expect_refusal(404, "not_found");
        let export = stranger.get(&format!("{APPOINTMENTS}export/")).query("format", "csv").await.expect_status(200).text();
        assert!(!export.contains("secret"), "{export}");
        let bulk = json!({"operations": [{"op": "update", "id": own, "body": {"title": "x"}}], "atomic": false});
        let answered = stranger.post(&format!("{APPOINTMENTS}bulk/")).json(&bulk).await.text();
        assert!(answered.contains("not_found") && !answered.contains("secret"), "{answered}");
        // A link to another company's record cannot be stored.
        let linked = json!({"title": "Mine", "customer": customer});
        stranger.post(APPOINTMENTS).json(&linked).await.expect_field("customer", "does_not_exist");
        let audit = stranger.get("/api/v1/audit-logs/").query("page_size", "100").await.expect_status(200).text();
        assert!(!audit.contains(&own), "{audit}");
        for path in ["workspaces", "memberships", "internal-api-keys", "api-client-apps", "product-subscriptions", "roles"] {
            let listed = stranger.get(&format!("/api/v1/{path}/")).await.expect_status(200).text();
            assert!(!listed.contains(&owner.user) && !listed.contains("\"company\":\"001\""), "{path}: {listed}");
        }
        assert_eq!(titles(&owner, APPOINTMENTS).await, ["A secret visit"]);
    }

    async fn a_foreign_company_and_an_unknown_one_are_refused_alike(world: &World) {
        let (owner, _) = world.strangers().await;
        let mut refusals = Vec::new();
        for code in ["002", "999", "1", "1000000", "abc", "0"] {
            let answer = owner.in_company(code).get(APPOINTMENTS).await.expect_refusal(403, "company_access_denied");
            refusals.push(answer.text_at("/error/message"));
            owner.in_company(code).post(APPOINTMENTS).json(&json!({"title": "x"})).await.expect_refusal(403, "company_access_denied");
        }
        refusals.dedup();
        assert_eq!(refusals.len(), 1, "one text for all: {refusals:?}");
    }

    async fn a_suspended_member_is_refused_at_the_next_request(world: &World) {
        let owner = world.owner().await;
        let member = world.member(&owner, "grace", "staff").await;
        book(&member, "Before").await;
        let membership = member.membership().await;
        owner.post(&format!("/api/v1/memberships/{membership}/suspend/")).await.expect_status(200);
        member.get(APPOINTMENTS).await.expect_refusal(403, "company_access_denied");
        member.get("/api/v1/auth/me/").await.expect_status(200);
        owner.post(&format!("/api/v1/memberships/{membership}/reactivate/")).await.expect_status(200);
        assert_eq!(titles(&member, APPOINTMENTS).await, ["Before"]);
    }

    async fn an_unsubscribed_product_is_refused_on_that_module_only(world: &World) {
        let owner = world.owner().await;
        let found = owner.get("/api/v1/product-subscriptions/").query("product", "booking").await.expect_status(200);
        let item = format!("/api/v1/product-subscriptions/{}/", found.text_at("/results/0/id"));
        let root = world.superuser().await.in_company("001");
        for action in ["suspend", "resume"] {
            owner.post(&format!("{item}{action}/")).await.expect_refusal(403, "permission_denied");
        }
        root.post(&format!("{item}suspend/")).await.expect_status(200);
        // Suspended: what is there can be read, and nothing written.
        owner.get(APPOINTMENTS).await.expect_status(200);
        owner.post(APPOINTMENTS).json(&json!({"title": "x"})).await.expect_refusal(402, "subscription_suspended");
        owner.get("/api/v1/cms/pages/").await.expect_status(200);
        root.post(&format!("{item}resume/")).await.expect_status(200);
        owner.post(&format!("{item}cancel/")).await.expect_status(200);
        for answer in [owner.get(APPOINTMENTS).await, owner.post(APPOINTMENTS).json(&json!({"title": "x"})).await] {
            answer.expect_refusal(403, "product_not_subscribed");
        }
        owner.get("/api/v1/cms/pages/").await.expect_status(200);
        owner.post(&format!("{item}activate/")).await.expect_status(200);
        owner.get(APPOINTMENTS).await.expect_status(200);
        // What costs money is the owner's, not the admin's.
        let admin = world.member(&owner, "anne", "admin").await;
        for action in ["renew", "cancel", "activate"] {
            admin.post(&format!("{item}{action}/")).await.expect_refusal(403, "permission_denied");
            owner.post(&format!("{item}{action}/")).await.expect_status(200);
        }
    }

    async fn a_trial_that_is_over_closes_the_product(world: &World) {
        let owner = world.owner().await;
        owner.get(APPOINTMENTS).await.expect_status(200);
        world.clock.advance(366 * loopd_types::DAY_US);
        let again = world.sign_in(&owner.email, "001").await;
        again.get(APPOINTMENTS).await.expect_refusal(403, "product_not_subscribed");
    }

    async fn a_superuser_sees_all_and_every_look_is_audited(world: &World) {
        let (owner, stranger) = world.strangers().await;
        book(&owner, "Of one").await;
        book(&stranger, "Of two").await;
        let root = world.superuser().await;
        let companies = root.get("/api/v1/companies/").await.expect_status(200);
        assert_json!(companies.json(), {"count": 2});
        assert_eq!(titles(&root.in_company("001"), APPOINTMENTS).await, ["Of one"]);
        assert_eq!(titles(&root.in_company("002"), APPOINTMENTS).await, ["Of two"]);
        let mut both = titles(&root, APPOINTMENTS).await;
        both.sort();
        assert_eq!(both, ["Of one", "Of two"]);
        let rows = root.get("/api/v1/audit-logs/").query("page_size", "100").await.expect_status(200).json();
        let of_none = |action: &str, label: &str| {
            let fits = |row: &serde_json::Value| row["company"].is_null() && row["action"] == action && row["label"] == label;
            rows["results"].as_array().expect("rows").iter().find(|row| fits(row)).cloned()
        };
        let look = of_none("superuser-access", "core.companies.view").expect("the list of all companies is on record");
        assert_eq!(look["user"], root.user.as_str());
        assert!(of_none("login", &root.email).is_some(), "sign-ins are the installation's");
        let item = format!("/api/v1/audit-logs/{}/", look["id"].as_str().expect("an id"));
        root.get(&item).await.expect_status(200);
        owner.get(&item).await.expect_refusal(404, "not_found");
        root.in_company("001").get(&item).await.expect_refusal(404, "not_found");
        for owned in [&owner, &stranger] {
            let audit = owned.get("/api/v1/audit-logs/").query("page_size", "100").await.expect_status(200).json();
            let rows = audit["results"].as_array().expect("rows").clone();
            assert!(rows.iter().any(|row| row["user"] == root.user.as_str()), "no look of the superuser's in {audit:#}");
        }
    }

    async fn another_companys_workspace_in_the_header_is_refused(world: &World) {
        let (owner, stranger) = world.strangers().await;
        let foreign = stranger.get("/api/v1/workspaces/").await.expect_status(200).text_at("/results/0/id");
        for id in [foreign.as_str(), "0197a000-0000-7000-8000-000000000000", "main"] {
            let client = owner.with_header("x-workspace-id", id);
            client.get(APPOINTMENTS).await.expect_refusal(403, "workspace_access_denied");
            client.post(APPOINTMENTS).json(&json!({"title": "x"})).await.expect_refusal(403, "workspace_access_denied");
        }
    }

    async fn a_record_without_a_workspace_is_visible_in_the_company(world: &World) {
        let owner = world.owner().await;
        book(&owner, "Without").await;
        let workspace = owner.make("/api/v1/workspaces/", json!({"name": "Huye"})).await;
        let inside = owner.with_header("x-workspace-id", &workspace);
        let made = inside.post(APPOINTMENTS).json(&json!({"title": "Inside"})).await.expect_status(201);
        assert_eq!(made.text_at("/workspace"), workspace);
        let mut all = titles(&owner, APPOINTMENTS).await;
        all.sort();
        assert_eq!(all, ["Inside", "Without"]);
        assert_eq!(titles(&owner, &format!("{APPOINTMENTS}?workspace={workspace}")).await, ["Inside"]);
    }

    async fn pages_link_to_each_other_and_end(world: &World) {
        let owner = world.owner().await;
        pages(&owner).await;
    }
}

async fn pages(owner: &Actor) {
    let operations: Vec<_> =
        (1..=60).map(|n| json!({"op": "create", "body": {"title": format!("Visit {n:02}")}})).collect();
    let bulk = json!({"operations": operations, "atomic": true});
    owner.post(&format!("{APPOINTMENTS}bulk/")).json(&bulk).await.expect_status(200);
    let base = owner.base();
    let first = owner.get(APPOINTMENTS).await.expect_status(200).json();
    assert_json!(first, {"count": 60, "next": format!("{base}{APPOINTMENTS}?page=2"), "previous": null});
    assert_eq!(first["results"].as_array().map(Vec::len), Some(25));
    let second = owner.get(first["next"].as_str().expect("a link")).await.expect_status(200).json();
    assert_json!(second, {"next": format!("{base}{APPOINTMENTS}?page=3"), "previous": format!("{base}{APPOINTMENTS}")});
    let last = owner.get(APPOINTMENTS).query("page", "last").await.expect_status(200).json();
    assert_json!(last, {"next": null, "previous": format!("{base}{APPOINTMENTS}?page=2")});
    assert_eq!(last["results"].as_array().map(Vec::len), Some(10));
    let mut seen = std::collections::BTreeSet::new();
    for page in [&first, &second, &last] {
        for row in page["results"].as_array().expect("results") {
            assert!(seen.insert(row["title"].to_string()), "{} stands on two pages", row["title"]);
        }
    }
    assert_eq!(seen.len(), 60);
    for page in ["4", "0", "-1", "x", "99999999999999999999"] {
        owner.get(APPOINTMENTS).query("page", page).await.expect_refusal(404, "not_found");
    }
    let small = owner.get(APPOINTMENTS).query("page_size", "7").await.expect_status(200).json();
    assert_eq!(small["results"].as_array().map(Vec::len), Some(7));
    // More than the most is the most.
    let big = owner.get(APPOINTMENTS).query("page_size", "1000").await;
    assert!(big.status == 400 || big.json()["results"].as_array().map(Vec::len) == Some(60), "{}", big.text());
}
