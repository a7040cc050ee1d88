//! Rows that stand in each other's way when a company arrives: what may be there once, and links that lead in a circle.

use std::collections::BTreeMap;
use std::path::PathBuf;

use loopd_testkit::{assert_json, json};
use serde_json::Value;

use super::transfer::{Members, export, members, pack, path, register, rewritten, two_companies};
use super::transfer_files::stored;
use crate::support::Program;

const CATEGORIES: &str = "tables/cms_categories.ndjson";

fn rows(members: &Members, name: &str) -> Vec<Value> {
    let (_, text) = members.iter().find(|(known, _)| known == name).unwrap_or_else(|| panic!("no {name}"));
    String::from_utf8_lossy(text).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_company_whose_domain_is_taken_stays_out_and_leaves_nothing() {
    let home = Program::fresh();
    {
        let server = home.serve();
        let owner = register(&server, "owner").await;
        let site = json!({"name": "Shop", "domain": "www.example.rw"});
        owner.post("/api/v1/cms/sites/").json(&site).await.expect_status(201);
        owner.post("/api/v1/files/?name=a.txt").body("text/plain", "hello").await.expect_status(201);
    }
    let archive = export(&home, "001", "out.tar.gz");
    for (program, _database) in Program::on_every_engine().await {
        let server = program.serve();
        let first = register(&server, "first").await;
        let site = json!({"name": "Ours", "domain": "www.example.rw"});
        let id = first.post("/api/v1/cms/sites/").json(&site).await.expect_status(201).text_at("/id");
        drop(server);
        assert_json!(program.json(&["import", "--check", path(&archive)]), {"whole": true});
        let refused = program.refused(&["import", path(&archive)]);
        assert!(refused.contains("what another company here has already") && refused.contains("domain"), "{refused}");
        assert_eq!(stored(&program), Vec::<PathBuf>::new(), "content stayed behind");
        assert!(program.refused(&["export", "--company", "002", "none.tar.gz"]).contains("no company 002"));
        // Once the domain is free it comes in, under the number that was not used up.
        let server = program.serve();
        let login = json!({"email": "first@example.com", "password": crate::support::PASSWORD});
        let token =
            server.client().post("/api/v1/auth/login/").json(&login).await.expect_status(200).text_at("/access");
        let first = server.client().with_token(&token).company("001");
        first.patch(&format!("/api/v1/cms/sites/{id}/")).json(&json!({"domain": null})).await.expect_status(200);
        drop(server);
        assert_json!(program.json(&["import", path(&archive)]), {"code": "002", "files": 1});
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_link_in_a_circle_come_in_with_their_links() {
    let home = Program::fresh();
    two_companies(&home).await;
    let whole = members(&export(&home, "001", "out.tar.gz"));
    // The root of the tree becomes the child of its deepest leaf.
    let before = rows(&whole, CATEGORIES);
    let id_of = |title: &str| before.iter().find(|row| row["title"] == title).expect("a category")["id"].clone();
    let (leaf, root) = (id_of("ours 0"), id_of("ours 3"));
    let circle = rewritten(&whole, CATEGORIES, |text| {
        let lines = text.lines().map(|line| {
            let row: Value = serde_json::from_str(line).expect("JSON");
            let parent = if row["id"] == root { &leaf } else { return format!("{line}\n") };
            assert!(row.get("parent").is_none(), "the root has no parent: {row}");
            format!("{},\"parent\":{parent}}}\n", line.strip_suffix('}').expect("an object"))
        });
        lines.collect()
    });
    let wanted: BTreeMap<String, Value> =
        rows(&circle, CATEGORIES).into_iter().map(|row| (row["id"].to_string(), row)).collect();
    for (program, _database) in Program::on_every_engine().await {
        program.json(&["migrate"]);
        let file = program.folder().join("circle.tar.gz");
        pack(&file, &circle);
        program.json(&["import", path(&file)]);
        let came = rows(&members(&export(&program, "001", "again.tar.gz")), CATEGORIES);
        let came: BTreeMap<String, Value> = came.into_iter().map(|row| (row["id"].to_string(), row)).collect();
        assert_eq!(came, wanted);
        assert_eq!(came[&root.to_string()]["parent"], leaf);
    }
}
