//! Pages at the editor's desk.

use loopd_testkit::{Client, each_engine, json};
use loopd_types::HOUR_US;
use serde_json::Value;

use crate::support::{START, World};

const PAGES: &str = "/api/v1/cms/pages/";

async fn page(client: &Client, body: Value) -> Value {
    client.post(PAGES).json(&body).await.expect_status(201).json()
}

fn at(base: &str, record: &Value) -> String {
    format!("{base}{}/", record["id"].as_str().unwrap())
}

each_engine! {
    async fn the_portals_sample_is_a_draft(world: &World) {
        let body = json!({"title": "Home", "slug": "home", "language": "en", "body": "Welcome to LOOP"});
        let made = page(&world.owner, body).await;
        assert_eq!((&made["status"], &made["slug"], &made["language"]), (&json!("draft"), &json!("home"), &json!("en")));
        assert_eq!((&made["body"], &made["revision"]), (&json!("Welcome to LOOP"), &json!(1)));
    }

    async fn site_slug_and_language_are_unique_also_without_a_site(world: &World) {
        let owner = &world.owner;
        page(owner, json!({"title": "Home", "slug": "home", "language": "en"})).await;
        let again = owner.post(PAGES).json(&json!({"title": "Other", "slug": "home", "language": "en"})).await;
        let again = again.expect_field("", "unique");
        assert!(again.text().contains("The fields site, slug, language must make a unique set."));
        page(owner, json!({"title": "Ahabanza", "slug": "home", "language": "rw"})).await;
        let site = owner.post("/api/v1/cms/sites/").json(&json!({"name": "Shop"})).await.expect_status(201).json();
        page(owner, json!({"title": "Home", "slug": "home", "language": "en", "site": site["id"]})).await;
        let twice = json!({"title": "Home", "slug": "home", "language": "en", "site": site["id"]});
        owner.post(PAGES).json(&twice).await.expect_field("", "unique");
        // another company has its own addresses
        let other = crate::support::register(owner, "other").await;
        page(&other, json!({"title": "Home", "slug": "home", "language": "en"})).await;
    }

    async fn a_page_lives(world: &World) {
        let owner = &world.owner;
        let made = page(owner, json!({"title": "About", "slug": "about"})).await;
        assert_eq!(made["language"], "en", "the company's language");
        let here = at(PAGES, &made);
        for (action, status) in [("submit", "in_review"), ("publish", "published"), ("unpublish", "draft"), ("archive", "archived")] {
            let moved = owner.post(&format!("{here}{action}/")).await.expect_status(200).json();
            assert_eq!(moved["status"], status);
        }
        let refused = owner.post(&format!("{here}submit/")).await.expect_refusal(409, "invalid_transition");
        assert_eq!(refused.at("/error/details/allowed"), json!(["unpublish"]));
        owner.patch(&here).json(&json!({"status": "published"})).await.expect_field("status", "read_only");
    }

    async fn a_scheduled_page_publishes_itself(world: &World) {
        let owner = &world.owner;
        let made = page(owner, json!({"title": "News", "slug": "news"})).await;
        let here = at(PAGES, &made);
        owner.post(&format!("{here}schedule/")).await.expect_field("at", "required");
        owner.post(&format!("{here}schedule/")).json(&json!({"at": "2026-06-22T09:00:00Z"})).await.expect_field("at", "min_value");
        let later = json!({"at": "2026-06-22T12:00:00Z"});
        let waits = owner.post(&format!("{here}schedule/")).json(&later).await.expect_status(200).json();
        assert_eq!((&waits["status"], &waits["scheduled_at"]), (&json!("scheduled"), &json!("2026-06-22T12:00:00.000000Z")));
        assert_eq!(world.work().await, 0);
        // postponed by an hour: the first job finds nothing to do
        owner.post(&format!("{here}schedule/")).json(&json!({"at": "2026-06-22T13:00:00Z"})).await.expect_status(200);
        world.clock.set(START.plus(2 * HOUR_US));
        assert_eq!(world.work().await, 1);
        assert_eq!(owner.get(&here).await.text_at("/status"), "scheduled");
        world.clock.set(START.plus(3 * HOUR_US));
        assert_eq!(world.work().await, 1);
        let shown = owner.get(&here).await.json();
        assert_eq!((&shown["status"], &shown["scheduled_at"]), (&json!("published"), &Value::Null));
        assert_eq!(shown["published_at"], "2026-06-22T13:00:00.000000Z");
        // one that was taken back stays where it is
        let other = at(PAGES, &page(owner, json!({"title": "Old", "slug": "old"})).await);
        owner.post(&format!("{other}schedule/")).json(&json!({"at": "2026-06-22T14:00:00Z"})).await.expect_status(200);
        owner.post(&format!("{other}unpublish/")).await.expect_status(200);
        world.clock.set(START.plus(5 * HOUR_US));
        world.work().await;
        assert_eq!(owner.get(&other).await.text_at("/status"), "draft");
    }

    async fn every_change_of_words_is_a_revision_and_can_be_undone(world: &World) {
        let owner = &world.owner;
        let made = page(owner, json!({"title": "One", "slug": "one", "body": "first", "seo": {"title": "x"}})).await;
        let here = at(PAGES, &made);
        let changed = owner.patch(&here).json(&json!({"title": "Two", "body": "second"})).await.expect_status(200).json();
        assert_eq!(changed["revision"], 2);
        // no words, no revision
        let tagged = owner.patch(&here).json(&json!({"tags": ["x"]})).await.expect_status(200).json();
        assert_eq!(tagged["revision"], 2);
        let restore = format!("{here}restore-revision/");
        let back = owner.post(&restore).json(&json!({"revision": 1})).await.expect_status(200).json();
        assert_eq!((&back["title"], &back["body"], &back["revision"]), (&json!("One"), &json!("first"), &json!(3)));
        owner.post(&restore).json(&json!({"revision": 9})).await.expect_field("revision", "does_not_exist");
        let kept = owner.get("/api/v1/cms/revisions/").query("ordering", "revision").await.expect_status(200).json();
        let words: Vec<_> = kept["results"].as_array().unwrap().iter().map(|row| (&row["revision"], &row["body"], &row["page"])).collect();
        let id = &made["id"];
        assert_eq!(words, [(&json!(1), &json!("first"), id), (&json!(2), &json!("second"), id), (&json!(3), &json!("first"), id)]);
        owner.post("/api/v1/cms/revisions/").json(&json!({"title": "x"})).await.expect_refusal(405, "method_not_allowed");
    }

    async fn copies_and_translations_are_new_drafts(world: &World) {
        let owner = &world.owner;
        let made = page(owner, json!({"title": "About", "slug": "about", "language": "en", "body": "Words", "tags": ["a"]})).await;
        let here = at(PAGES, &made);
        owner.post(&format!("{here}publish/")).await.expect_status(200);
        let copy = owner.post(&format!("{here}duplicate/")).await.expect_status(201).json();
        assert_eq!((&copy["slug"], &copy["status"], &copy["body"], &copy["tags"]), (&json!("about-copy"), &json!("draft"), &json!("Words"), &json!(["a"])));
        assert_ne!(copy["id"], made["id"]);
        let second = owner.post(&format!("{here}duplicate/")).await.expect_status(201).json();
        assert_eq!(second["slug"], "about-copy-2");
        owner.post(&format!("{here}duplicate/")).json(&json!({"slug": "about"})).await.expect_field("", "unique");
        let french = owner.post(&format!("{here}translate/")).json(&json!({"language": "fr"})).await.expect_status(201).json();
        assert_eq!((&french["slug"], &french["language"], &french["status"]), (&json!("about"), &json!("fr"), &json!("draft")));
        owner.post(&format!("{here}translate/")).json(&json!({"language": "fr"})).await.expect_field("", "unique");
        // another company's page is not there
        let other = crate::support::register(owner, "other").await;
        other.post(&format!("{here}duplicate/")).await.expect_refusal(404, "not_found");
    }

    async fn trees_have_no_circles(world: &World) {
        let owner = &world.owner;
        let top = page(owner, json!({"title": "Top", "slug": "top"})).await;
        let middle = page(owner, json!({"title": "Middle", "slug": "middle", "parent": top["id"]})).await;
        let low = page(owner, json!({"title": "Low", "slug": "low", "parent": middle["id"]})).await;
        for (record, parent) in [(&top, &top), (&top, &middle), (&top, &low)] {
            let answer = owner.patch(&at(PAGES, record)).json(&json!({"parent": parent["id"]})).await;
            answer.expect_field("parent", "circle");
        }
        owner.delete(&at(PAGES, &middle)).await.expect_refusal(409, "has_children");
        owner.delete(&at(PAGES, &low)).await.expect_status(204);
        owner.delete(&at(PAGES, &middle)).await.expect_status(204);
        let site = owner.post("/api/v1/cms/sites/").json(&json!({"name": "S"})).await.expect_status(201).json();
        let elsewhere = json!({"title": "X", "slug": "x", "site": site["id"], "parent": top["id"]});
        owner.post(PAGES).json(&elsewhere).await.expect_field("parent", "invalid");
    }

    async fn menus_can_be_put_in_order(world: &World) {
        let owner = &world.owner;
        let menu = owner.post("/api/v1/cms/menus/").json(&json!({"title": "Header", "slug": "header"})).await.expect_status(201).json();
        let mut ids = Vec::new();
        for title in ["A", "B", "C"] {
            let body = json!({"title": title, "menu": menu["id"], "url": "https://example.com/"});
            ids.push(owner.post("/api/v1/cms/menu-items/").json(&body).await.expect_status(201).text_at("/id"));
        }
        ids.reverse();
        let reorder = format!("{}reorder/", at("/api/v1/cms/menus/", &menu));
        owner.post(&reorder).json(&json!({"items": ids})).await.expect_status(200);
        let listed = owner.get("/api/v1/cms/menu-items/").await.expect_status(200).json();
        let titles: Vec<_> = listed["results"].as_array().unwrap().iter().map(|row| row["title"].as_str().unwrap()).collect();
        assert_eq!(titles, ["C", "B", "A"]);
        let other = owner.post("/api/v1/cms/menus/").json(&json!({"title": "Footer", "slug": "footer"})).await.expect_status(201).json();
        let wrong = format!("{}reorder/", at("/api/v1/cms/menus/", &other));
        owner.post(&wrong).json(&json!({"items": ids})).await.expect_field("items", "invalid");
        for (from, to, field) in [("old", "/new", "from_path"), ("/a", "/a", "to_path"), ("/a", "//evil.example", "to_path"), ("/a", "javascript:x", "to_path")] {
            let body = json!({"from_path": from, "to_path": to});
            owner.post("/api/v1/cms/redirects/").json(&body).await.expect_field(field, "invalid");
        }
    }
}
