//! What strangers may read of a company's pages, and what not.

use loopd_testkit::{Client, each_engine, json};
use serde_json::Value;

use crate::support::{World, register};

const PAGES: &str = "/api/v1/cms/pages/";

async fn published(client: &Client, body: Value) -> Value {
    let made = client.post(PAGES).json(&body).await.expect_status(201).json();
    let publish = format!("{PAGES}{}/publish/", made["id"].as_str().unwrap());
    client.post(&publish).await.expect_status(200).json()
}

fn public(company: &str, slug: &str) -> String {
    format!("/api/v1/cms/public/{company}/pages/{slug}/")
}

each_engine! {
    async fn only_what_is_published_is_read_and_it_is_harmless(world: &World) {
        let (owner, stranger) = (&world.owner, world.stranger());
        let draft = json!({"title": "Secret", "slug": "secret", "body": "draft words"});
        let secret = owner.post(PAGES).json(&draft).await.expect_status(201).json();
        stranger.get(&public("001", "secret")).await.expect_refusal(404, "not_found");
        let body = json!({
            "title": "Home", "slug": "home", "language": "en", "parent": secret["id"],
            "body": "<p onclick=\"x()\">Hello</p><script>alert(1)</script><a href=\"javascript:x\">a</a>",
            "excerpt": "<img src=x onerror=alert(1)>Hi", "data": {"internal": "notes"}, "description": "for staff",
        });
        let made = published(owner, body).await;
        let shown = stranger.get(&public("001", "home")).await.expect_status(200);
        let page = shown.json();
        assert_eq!((&page["title"], &page["language"], &page["parent"]), (&json!("Home"), &json!("en"), &Value::Null));
        assert_eq!(page["languages"], json!(["en"]));
        let text = shown.text();
        for bad in ["script", "onclick", "onerror", "javascript", "internal", "for staff", "Secret", "draft words", "company"] {
            assert!(!text.contains(bad), "{bad} in {text}");
        }
        for id in [&made["id"], &made["created_by"], &secret["id"]] {
            assert!(!text.contains(id.as_str().unwrap()), "{text}");
        }
        assert!(page["body"].as_str().unwrap().contains("<p>Hello</p>"));
        let here = format!("{PAGES}{}/", made["id"].as_str().unwrap());
        owner.post(&format!("{here}unpublish/")).await.expect_status(200);
        stranger.get(&public("001", "home")).await.expect_refusal(404, "not_found");
        owner.post(&format!("{here}publish/")).await.expect_status(200);
        owner.delete(&here).await.expect_status(204);
        stranger.get(&public("001", "home")).await.expect_refusal(404, "not_found");
    }

    async fn answers_can_be_kept_for_a_minute(world: &World) {
        let (owner, stranger) = (&world.owner, world.stranger());
        let made = published(owner, json!({"title": "Home", "slug": "home", "body": "one"})).await;
        let first = stranger.get(&public("001", "home")).await.expect_status(200);
        assert_eq!(first.header("cache-control"), Some("public, max-age=60"));
        let tag = first.header("etag").expect("a tag").to_owned();
        let same = stranger.get(&public("001", "home")).header("if-none-match", &tag).await.expect_status(304);
        assert!(same.body.is_empty());
        let here = format!("{PAGES}{}/", made["id"].as_str().unwrap());
        owner.patch(&here).json(&json!({"body": "two"})).await.expect_status(200);
        let changed = stranger.get(&public("001", "home")).header("if-none-match", &tag).await.expect_status(200);
        assert_ne!(changed.header("etag"), Some(tag.as_str()));
    }

    async fn the_language_falls_back_to_the_sites_own(world: &World) {
        let (owner, stranger) = (&world.owner, world.stranger());
        for (language, title) in [("en", "Home"), ("fr", "Accueil"), ("sw", "Nyumbani")] {
            published(owner, json!({"title": title, "slug": "home", "language": language})).await;
        }
        for (asked, expected) in [("fr", "Accueil"), ("fr-CA", "Accueil"), ("FR", "Accueil"), ("de", "Home"), ("", "Home")] {
            let page = stranger.get(&public("001", "home")).query("language", asked).await.expect_status(200);
            assert_eq!(page.text_at("/title"), expected, "{asked}");
        }
        stranger.get(&public("001", "home")).query("language", "no language").await.expect_field("language", "invalid");
        stranger.get(&public("001", "home")).query("colour", "red").await.expect_status(400);
        // a page in another language only, and nothing in the default one
        published(owner, json!({"title": "Karibu", "slug": "welcome", "language": "sw"})).await;
        stranger.get(&public("001", "welcome")).await.expect_refusal(404, "not_found");
        stranger.get(&public("001", "welcome")).query("language", "sw").await.expect_status(200);
    }

    async fn a_domain_leads_to_one_site_of_one_company(world: &World) {
        let (owner, stranger) = (&world.owner, world.stranger());
        let body = json!({"name": "Shop", "domain": "WWW.Example.RW", "default_language": "fr"});
        let site = owner.post("/api/v1/cms/sites/").json(&body).await.expect_status(201).json();
        assert_eq!(site["domain"], "www.example.rw");
        let boutique = published(owner, json!({"title": "Boutique", "slug": "home", "site": site["id"]})).await;
        assert_eq!(boutique["language"], "fr", "the site's language");
        published(owner, json!({"title": "Company", "slug": "company"})).await;
        let page = stranger.get(&public("www.example.rw", "home")).await.expect_status(200).json();
        assert_eq!((&page["title"], &page["site"]), (&json!("Boutique"), &json!("Shop")));
        // pages of no site are not the site's, and a site's pages are not the company's
        stranger.get(&public("www.example.rw", "company")).await.expect_refusal(404, "not_found");
        stranger.get(&public("001", "home")).await.expect_refusal(404, "not_found");
        stranger.get(&public("001", "company")).await.expect_status(200);
        // nobody else gets the domain
        let other = register(owner, "other").await;
        other.post("/api/v1/cms/sites/").json(&json!({"name": "Copy", "domain": "www.example.rw"})).await.expect_field("domain", "unique");
        owner.post("/api/v1/cms/sites/").json(&json!({"name": "Bad", "domain": "not a domain"})).await.expect_field("domain", "invalid");
        // until it is given up
        let here = format!("/api/v1/cms/sites/{}/", site["id"].as_str().unwrap());
        owner.post(&format!("{here}deactivate/")).await.expect_status(200);
        stranger.get(&public("www.example.rw", "home")).await.expect_refusal(404, "not_found");
        let taken = other.post("/api/v1/cms/sites/").json(&json!({"name": "Copy", "domain": "www.example.rw"})).await.expect_status(201).json();
        owner.post(&format!("{here}activate/")).await.expect_field("domain", "unique");
        other.delete(&format!("/api/v1/cms/sites/{}/", taken["id"].as_str().unwrap())).await.expect_status(204);
        owner.post(&format!("{here}activate/")).await.expect_status(200);
        stranger.get(&public("www.example.rw", "home")).await.expect_status(200);
    }

    async fn a_restored_site_has_its_domain_again_unless_another_took_it(world: &World) {
        let (owner, stranger) = (&world.owner, world.stranger());
        let site = owner.post("/api/v1/cms/sites/").json(&json!({"name": "Shop", "domain": "www.example.rw"})).await.expect_status(201).json();
        published(owner, json!({"title": "Boutique", "slug": "home", "site": site["id"]})).await;
        let here = format!("/api/v1/cms/sites/{}/", site["id"].as_str().unwrap());
        owner.delete(&here).await.expect_status(204);
        stranger.get(&public("www.example.rw", "home")).await.expect_refusal(404, "not_found");
        owner.post(&format!("{here}restore/")).await.expect_status(200);
        assert_eq!(stranger.get(&public("www.example.rw", "home")).await.expect_status(200).text_at("/title"), "Boutique");
        // Deleted once more, and another company is quicker.
        owner.delete(&here).await.expect_status(204);
        let other = register(owner, "other").await;
        let taken = other.post("/api/v1/cms/sites/").json(&json!({"name": "Copy", "domain": "www.example.rw"})).await.expect_status(201).json();
        owner.post(&format!("{here}restore/")).await.expect_refusal(409, "domain_taken");
        owner.get(&here).await.expect_refusal(404, "not_found");
        other.delete(&format!("/api/v1/cms/sites/{}/", taken["id"].as_str().unwrap())).await.expect_status(204);
        owner.post(&format!("{here}restore/")).await.expect_status(200);
        stranger.get(&public("www.example.rw", "home")).await.expect_status(200);
        // One that was switched off comes back without it.
        owner.post(&format!("{here}deactivate/")).await.expect_status(200);
        owner.delete(&here).await.expect_status(204);
        other.post("/api/v1/cms/sites/").json(&json!({"name": "Copy", "domain": "www.example.rw"})).await.expect_status(201);
        owner.post(&format!("{here}restore/")).await.expect_status(200);
    }

    async fn companies_do_not_show_each_others_pages(world: &World) {
        let (owner, stranger) = (&world.owner, world.stranger());
        let other = register(owner, "other").await;
        published(owner, json!({"title": "Ours", "slug": "home"})).await;
        published(&other, json!({"title": "Theirs", "slug": "home"})).await;
        assert_eq!(stranger.get(&public("001", "home")).await.text_at("/title"), "Ours");
        assert_eq!(stranger.get(&public("002", "home")).await.text_at("/title"), "Theirs");
        published(&other, json!({"title": "Only theirs", "slug": "only"})).await;
        stranger.get(&public("001", "only")).await.expect_refusal(404, "not_found");
        for nobody in ["999", "1", "nobody.example"] {
            stranger.get(&public(nobody, "home")).await.expect_refusal(404, "not_found");
        }
    }

    async fn posts_are_read_alike(world: &World) {
        let owner = &world.owner;
        let body = json!({"title": "News", "slug": "news", "body": "<b>new</b>"});
        let made = owner.post("/api/v1/cms/posts/").json(&body).await.expect_status(201).json();
        world.stranger().get("/api/v1/cms/public/001/posts/news/").await.expect_refusal(404, "not_found");
        owner.post(&format!("/api/v1/cms/posts/{}/publish/", made["id"].as_str().unwrap())).await.expect_status(200);
        let page = world.stranger().get("/api/v1/cms/public/001/posts/news/").await.expect_status(200);
        assert_eq!(page.text_at("/body"), "<b>new</b>");
    }

    async fn a_company_that_lets_no_strangers_in_shows_nothing(world: &World) {
        let (owner, stranger) = (&world.owner, world.stranger());
        let site = json!({"name": "Shop", "domain": "www.example.rw", "default_language": "en"});
        let site = owner.post("/api/v1/cms/sites/").json(&site).await.expect_status(201).json();
        published(owner, json!({"title": "Home", "slug": "home"})).await;
        published(owner, json!({"title": "Shop", "slug": "shop", "site": site["id"]})).await;
        let post = owner.post("/api/v1/cms/posts/").json(&json!({"title": "News", "slug": "news"})).await.expect_status(201).text_at("/id");
        owner.post(&format!("/api/v1/cms/posts/{post}/publish/")).await.expect_status(200);
        let doors = [public("001", "home"), public("www.example.rw", "shop"), "/api/v1/cms/public/001/posts/news/".to_owned()];
        for (is_public, status) in [(true, 200), (false, 404), (true, 200)] {
            let settings = json!({"settings": {"cms": {"public": is_public}}});
            owner.patch("/api/v1/companies/001/").json(&settings).await.expect_status(200);
            for door in &doors {
                let answer = stranger.get(door).await.expect_status(status);
                if status == 404 {
                    let nobody = stranger.get(&public("999", "home")).await.expect_refusal(404, "not_found");
                    assert_eq!(answer.at("/error/message"), nobody.at("/error/message"), "{door}");
                }
            }
        }
        let nonsense = json!({"settings": {"cms": {"public": "no"}}});
        owner.patch("/api/v1/companies/001/").json(&nonsense).await.expect_field("settings.cms.public", "invalid");
    }

    async fn a_company_without_the_product_shows_nothing(world: &World) {
        published(&world.owner, json!({"title": "Home", "slug": "home"})).await;
        world.stranger().get(&public("001", "home")).await.expect_status(200);
        world.suspend("cms").await;
        world.stranger().get(&public("001", "home")).await.expect_refusal(404, "not_found");
    }
}
