//! 11: the schema lists what is served, is sound, and the pages over it load without the internet.

use std::collections::BTreeSet;

use loopd_testkit::{Described, each_engine};

use crate::support::World;

each_engine! {
    async fn the_schema_lists_every_route_and_is_sound(world: &World) {
        let answer = world.client().get("/api/schema/?format=json").await.expect_status(200);
        let tag = answer.header("etag").expect("a tag").to_owned();
        world.client().get("/api/schema/?format=json").header("if-none-match", &tag).await.expect_status(304);
        world.client().get("/api/schema/?format=yaml").header("if-none-match", &tag).await.expect_status(200);
        let document = answer.json();
        assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with('3')));
        let flaws = loopd_web::openapi::lint(&document);
        assert!(flaws.is_empty(), "{}", flaws.join("\n"));
        let described: BTreeSet<String> = Described::all(&document).into_iter().map(|operation| operation.id).collect();
        for runtime in world.engine.registry.resources() {
            for verb in ["list", "retrieve"] {
                let id = format!("{}_{verb}", runtime.path.replace(['/', '-'], "_"));
                assert!(described.contains(&id), "{id} is not described");
            }
        }
        let served: BTreeSet<String> = world
            .app
            .operations()
            .filter(|operation| operation.documented && loopd_web::Surface::of(&operation.path) == loopd_web::Surface::Loop)
            .map(|operation| operation.id.clone())
            .collect();
        assert_eq!(described, served);
    }
}

each_engine! {
    async fn each_part_of_the_schema_is_sound_and_together_they_are_the_whole(world: &World) {
        let client = world.client();
        let ids = |document: &serde_json::Value| -> BTreeSet<String> {
            Described::all(document).into_iter().map(|operation| operation.id).collect()
        };
        let whole = client.get("/api/schema/?format=json").await.expect_status(200).json();
        let products = world.engine.registry.modules().iter().map(|module| module.slug.as_str());
        let mut together = BTreeSet::new();
        for part in products.chain(["core", "loopwave", "loomal"]) {
            let answer = client.get(&format!("/api/schema/?format=json&module={part}")).await.expect_status(200);
            let document = answer.json();
            assert_eq!(loopd_web::openapi::lint(&document), Vec::<String>::new(), "{part}");
            let all = document["components"]["schemas"].as_object().expect("schemas");
            let text = answer.text();
            for name in all.keys() {
                assert!(text.contains(&format!("\"#/components/schemas/{name}\"")), "{part} has {name} for nothing");
            }
            for id in ids(&document) {
                assert!(together.insert(id.clone()), "{id} stands in {part} and in another part");
            }
        }
        assert_eq!(together, ids(&whole));
        client.get("/api/schema/?module=nothing").await.expect_status(404);
    }
}

/// Addresses that a page would load: `src`, `href` of links that are no anchors, `url(…)`.
fn addresses(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    for opening in ["src=\"", "href=\"", "url("] {
        for rest in page.split(opening).skip(1) {
            let end = rest.find(['"', ')']).unwrap_or(rest.len());
            found.push(rest[..end].trim_matches('\'').to_owned());
        }
    }
    found
}

each_engine! {
    async fn docs_and_redoc_load_without_the_internet(world: &World) {
        let client = world.client();
        for page in ["/", "/api/developers/", "/api/docs/", "/api/redoc/"] {
            let answer = client.get(page).await.expect_status(200);
            assert!(answer.header("content-type").is_some_and(|kind| kind.starts_with("text/html")), "{page}");
            let policy = answer.header("content-security-policy").unwrap_or_default();
            assert!(!policy.contains("http:") && !policy.contains("https:"), "{page} may load from elsewhere: {policy}");
            for address in addresses(&answer.text()) {
                let local = address.split('#').next().unwrap_or_default();
                let local = local.strip_prefix(&world.base).unwrap_or(local);
                if local.is_empty() || local.starts_with("data:") || local.starts_with("mailto:") {
                    continue;
                }
                assert!(local.starts_with('/') && !local.starts_with("//"), "{page} refers to {address}");
                let status = client.get(local).await.status;
                assert!(status == 200 || status == 401, "{page} refers to {address}, which answers {status}");
            }
        }
    }
}
