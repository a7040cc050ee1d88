//! A company leaves and arrives: `loopd export`, `loopd import`.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use loopd_testkit::{Client, Database, Engine, assert_json, json};
use serde_json::Value;

use crate::support::{PASSWORD, Program, Served};

/// Members of an archive in their order.
pub(super) type Members = Vec<(String, Vec<u8>)>;

pub(super) async fn register(server: &Served, name: &str) -> Client {
    let body = json!({"email": format!("{name}@example.com"), "username": name, "password": PASSWORD, "company_name": format!("{name} Ltd")});
    let answer = server.client().post("/api/v1/auth/register/").json(&body).await.expect_status(201);
    server.client().with_token(&answer.text_at("/access")).company(&answer.text_at("/company/code"))
}

/// Company 001 with some of everything, 002 with as much that must not leave with it.
pub(super) async fn two_companies(program: &Program) {
    let server = program.serve();
    let (owner, other) = (register(&server, "owner").await, register(&server, "other").await);
    for (client, mark) in [(&owner, "ours"), (&other, "theirs")] {
        let person = json!({"email": format!("{mark}@example.com"), "username": mark, "password": PASSWORD, "company_name": format!("{mark} aside")});
        let person = server.client().post("/api/v1/auth/register/").json(&person).await.expect_status(201);
        let member = json!({"user": person.at("/user/id"), "role": "admin"});
        client.post("/api/v1/memberships/").json(&member).await.expect_status(201);
        client
            .post("/api/v1/internal-api-keys/")
            .json(&json!({"name": mark, "scopes": ["*"]}))
            .await
            .expect_status(201);
        let customer = json!({"name": format!("{mark} é \u{1f600}\nnew line \"quoted\""), "phone": "+250788000999"});
        client.post("/api/v1/booking/customers/").json(&customer).await.expect_status(201);
        tree(client, mark).await;
        files(client, mark).await;
    }
    drop(server);
    program.json(&["demo", "--company", "001"]);
    program.json(&["demo", "--company", "002"]);
}

/// Records that link within their own table, the children older than their parents.
async fn tree(client: &Client, mark: &str) {
    let categories = "/api/v1/cms/categories/";
    let mut last: Option<String> = None;
    for depth in 0..4 {
        let made = client
            .post(categories)
            .json(&json!({"title": format!("{mark} {depth}"), "slug": format!("{mark}-{depth}")}))
            .await
            .expect_status(201);
        let id = made.text_at("/id");
        if let Some(child) = &last {
            let change = json!({"parent": id});
            client.patch(&format!("{categories}{child}/")).json(&change).await.expect_status(200);
        }
        last = Some(id);
    }
}

/// What [`files`] shelves as `large.bin`: more than one part of a folder.
pub(super) fn large(mark: &str) -> Vec<u8> {
    (0..1_200_000u32).map(|n| (n >> 12) as u8 ^ mark.len() as u8).collect()
}

/// Files on the shelf and at a record: two with the same content, an empty one, a large one, and one that is not attached yet.
async fn files(client: &Client, mark: &str) {
    let shelve = async |name: &str, content: &[u8]| {
        let path = format!("/api/v1/files/?name={name}");
        client.post(&path).body("application/octet-stream", content.to_vec()).await.expect_status(201).text_at("/id")
    };
    let text = format!("{mark} has this twice");
    shelve("one.txt", text.as_bytes()).await;
    let twin = shelve("two.txt", text.as_bytes()).await;
    shelve("empty.txt", b"").await;
    shelve("large.bin", &large(mark)).await;
    shelve("waits.txt&purpose=attachment", format!("{mark} attached this to nothing").as_bytes()).await;
    let customers = client.get("/api/v1/booking/customers/").await.expect_status(200);
    let base = format!("/api/v1/booking/customers/{}/attachments/", customers.text_at("/results/0/id"));
    client.post(&base).json(&json!({"file": twin})).await.expect_status(201);
    let name = format!("{base}?name=contract.txt");
    client.post(&name).body("text/plain", format!("{mark} signed this")).await.expect_status(201);
}

pub(super) fn export(program: &Program, code: &str, name: &str) -> PathBuf {
    let file = program.folder().join(name);
    program.json(&["export", "--company", code, file.to_str().expect("a path")]);
    file
}

pub(super) fn path(file: &Path) -> &str {
    file.to_str().expect("a path")
}

pub(super) fn members(file: &Path) -> Members {
    let mut archive = tar::Archive::new(GzDecoder::new(std::fs::File::open(file).expect("an archive")));
    let mut all = Vec::new();
    for entry in archive.entries().expect("a tar") {
        let mut entry = entry.expect("a member");
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("its content");
        all.push((String::from_utf8_lossy(&entry.path_bytes()).into_owned(), content));
    }
    all
}

/// Writes an archive by hand, names as wild as they come.
pub(super) fn pack(file: &Path, members: &Members) {
    let mut gzip = GzEncoder::new(std::fs::File::create(file).expect("a file"), Compression::fast());
    for (name, content) in members {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        header.set_entry_type(tar::EntryType::Regular);
        header.set_cksum();
        gzip.write_all(header.as_bytes()).expect("a header");
        gzip.write_all(content).expect("content");
        gzip.write_all(&vec![0; (512 - content.len() % 512) % 512]).expect("padding");
    }
    gzip.write_all(&[0; 1024]).expect("the end");
    gzip.finish().expect("a gzip");
}

pub(super) fn manifest(members: &Members) -> Value {
    let (_, text) = members.iter().find(|(name, _)| name == "manifest.json").expect("a manifest");
    serde_json::from_slice(text).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_company_goes_from_one_engine_to_the_other_and_back_byte_for_byte() {
    let first = Program::fresh();
    two_companies(&first).await;
    let out = export(&first, "001", "out.tar.gz");
    let again = export(&first, "001", "again.tar.gz");
    assert!(same(&out, &again), "the same company gave two archives");
    let Some(database) = Database::empty(Engine::Postgres).await else { return };
    let second = Program::fresh().with("LOOP_DATABASE_URL", database.url());
    let came = second.json(&["import", path(&out)]);
    assert_json!(came, {"code": "001", "code_before": "001", "people_known": 0});
    let there = export(&second, "001", "there.tar.gz");
    assert_same(&out, &there);
    let third = Program::fresh();
    third.json(&["import", path(&there)]);
    let back = export(&third, "001", "back.tar.gz");
    assert_same(&out, &back);
    // What arrived is alive: the owner sets a password, signs in, and the next numbers follow the last.
    third.json(&["user", "password", "Owner@example.com", "--password", "another-strong-1"]);
    let server = third.serve();
    let login = json!({"email": "owner@example.com", "password": "another-strong-1"});
    let token = server.client().post("/api/v1/auth/login/").json(&login).await.expect_status(200).text_at("/access");
    let owner = server.client().with_token(&token).company("001");
    let before = first.serve();
    let login = json!({"email": "owner@example.com", "password": PASSWORD});
    let token = before.client().post("/api/v1/auth/login/").json(&login).await.expect_status(200).text_at("/access");
    let at_home = before.client().with_token(&token).company("001");
    let next = json!({"name": "The next one"});
    for path in ["/api/v1/booking/customers/", "/api/v1/cms/categories/", "/api/v1/files/"] {
        let (here, there) = (owner.get(path).await.expect_status(200), at_home.get(path).await.expect_status(200));
        assert_eq!(here.json()["count"], there.json()["count"], "{path}");
        assert_eq!(here.json()["results"], there.json()["results"], "{path}");
    }
    let (here, there) = (
        owner.post("/api/v1/booking/customers/").json(&next).await.expect_status(201),
        at_home.post("/api/v1/booking/customers/").json(&next).await.expect_status(201),
    );
    assert_eq!(here.json()["number"], there.json()["number"]);
}

fn same(one: &Path, other: &Path) -> bool {
    std::fs::read(one).expect("an archive") == std::fs::read(other).expect("an archive")
}

/// Equal bytes; where they differ, tells the first member that does.
#[track_caller]
pub(super) fn assert_same(one: &Path, other: &Path) {
    for ((name, content), (other_name, other_content)) in members(one).iter().zip(&members(other)) {
        assert_eq!(name, other_name);
        let (text, other_text) = (String::from_utf8_lossy(content), String::from_utf8_lossy(other_content));
        for (line, other_line) in text.lines().zip(other_text.lines()) {
            assert_eq!(line, other_line, "{name}");
        }
        assert_eq!(text.len(), other_text.len(), "{name}");
    }
    assert!(same(one, other), "the same members in different files");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_holds_all_of_its_company_and_nothing_of_another() {
    for (program, _database) in Program::on_every_engine().await {
        two_companies(&program).await;
        let members = members(&export(&program, "001", "out.tar.gz"));
        let manifest = manifest(&members);
        let users = String::from_utf8(members[1].1.clone()).expect("text");
        assert!(users.contains("owner@example.com") && users.contains("ours@example.com"));
        assert!(!users.contains("other@example.com") && !users.contains("theirs@example.com"));
        let everything: String = members.iter().map(|(_, content)| String::from_utf8_lossy(content)).collect();
        for secret in ["password_hash", "argon2", "other@example.com", "theirs 0", "refresh_jti"] {
            assert!(!everything.contains(secret), "{secret} left with the company");
        }
        assert!(everything.contains("ours 3"));
        for member in manifest["members"].as_array().expect("members").iter().filter(|m| m["table"].is_string()) {
            let name = member["name"].as_str().expect("a name");
            assert!(!name.contains("credentials") && !name.contains("jobs"), "{name}");
            let (_, content) = members.iter().find(|(known, _)| known == name).expect("a member");
            let rows: Vec<Value> = String::from_utf8_lossy(content)
                .lines()
                .map(|line| serde_json::from_str(line).expect("JSON"))
                .collect();
            assert_eq!(member["rows"], rows.len(), "{name}");
            assert!(rows.iter().all(|row| row["company_id"] == 1), "{name} has rows of another company");
        }
        assert!(manifest["left_out"].to_string().contains("credentials"), "{manifest}");
        assert!(program.refused(&["export", "--company", "999", "x.tar.gz"]).contains("no company 999"));
        assert!(program.refused(&["export", "--company", "001", "out.tar.gz"]).contains("never overwrites"));
        assert!(program.refused(&["export", "--company", "001", "nowhere/x.tar.gz"]).contains("no folder"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_registered_first_with_somebodys_address_is_not_let_into_what_arrives() {
    let home = Program::fresh();
    two_companies(&home).await;
    let archive = export(&home, "001", "out.tar.gz");
    for (program, _database) in Program::on_every_engine().await {
        {
            let server = program.serve();
            let body = json!({"email": "owner@example.com", "username": "squatter", "password": PASSWORD, "company_name": "Other"});
            server.client().post("/api/v1/auth/register/").json(&body).await.expect_status(201);
        }
        let came = program.json(&["import", path(&archive)]);
        assert_json!(came, {"code": "002", "people_known": 1, "people_unproved": 1});
        let server = program.serve();
        let login = json!({"email": "owner@example.com", "password": PASSWORD});
        let answer = server.client().post("/api/v1/auth/login/").json(&login).await.expect_status(200);
        let squatter = server.client().with_token(&answer.text_at("/access"));
        squatter.company("001").get("/api/v1/memberships/").await.expect_status(200);
        squatter.company("002").get("/api/v1/memberships/").await.expect_status(403);
        squatter.company("002").get("/api/v1/cms/categories/").await.expect_status(403);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_taken_where_a_company_arrives_gives_way_and_people_are_known_by_their_address() {
    let home = Program::fresh();
    two_companies(&home).await;
    let archive = export(&home, "001", "out.tar.gz");
    assert!(home.refused(&["import", path(&archive)]).contains("is here already, as 001"));
    for (program, _database) in Program::on_every_engine().await {
        // 001, its slug and a username are taken, and one of its people is known under another id.
        {
            let server = program.serve();
            let body = json!({"email": "first@example.com", "username": "ours", "password": PASSWORD, "company_name": "owner Ltd"});
            server.client().post("/api/v1/auth/register/").json(&body).await.expect_status(201);
        }
        let known = program.json(&["user", "create", "owner@example.com", "--username", "me", "--password", PASSWORD]);
        let came = program.json(&["import", path(&archive)]);
        assert_json!(came, {"code": "002", "code_before": "001", "slug": "owner-ltd-2", "people_known": 1});
        assert!(came["people_made"].as_u64().is_some_and(|made| made >= 1), "{came}");
        assert!(program.refused(&["import", path(&archive)]).contains("is here already, as 002"));
        let again = export(&program, "002", "again.tar.gz");
        program.json(&["user", "create", "root@example.com", "--password", PASSWORD, "--superuser"]);
        let server = program.serve();
        let login = |email: &str| json!({"email": email, "password": PASSWORD});
        let enter = async |email: &str| {
            let answer = server.client().post("/api/v1/auth/login/").json(&login(email)).await.expect_status(200);
            server.client().with_token(&answer.text_at("/access"))
        };
        let (root, owner) =
            (enter("root@example.com").await.company("002"), enter("owner@example.com").await.company("002"));
        // Nobody has proved to read the owner's address here: whoever runs the installation knows whose the account is.
        let members = root.get("/api/v1/memberships/").query("user", known["id"].as_str().expect("an id")).await;
        let members = members.expect_status(200).json();
        assert_json!(members, {"count": 1, "results": [{"role": "owner", "status": "suspended"}]});
        owner.get("/api/v1/cms/categories/").await.expect_status(403);
        let membership = members["results"][0]["id"].as_str().expect("an id");
        root.post(&format!("/api/v1/memberships/{membership}/reactivate/")).json(&json!({})).await.expect_status(200);
        let trees = owner.get("/api/v1/cms/categories/").await.expect_status(200).json();
        assert!(trees["count"].as_u64().is_some_and(|count| count >= 4), "{trees}");
        server.client().post("/api/v1/auth/login/").json(&login("ours@example.com")).await.expect_status(401);
        let first =
            server.client().post("/api/v1/auth/login/").json(&login("first@example.com")).await.expect_status(200);
        let stranger = server.client().with_token(&first.text_at("/access"));
        stranger.company("002").get("/api/v1/cms/categories/").await.expect_status(403);
        // the next company gets the next code
        let next = register(&server, "next").await.get("/api/v1/companies/").await.expect_status(200).json();
        assert_eq!(next["results"][0]["code"], "003", "{next}");
        let (before, after) = (manifest(&self::members(&archive)), manifest(&self::members(&again)));
        let rows = |manifest: &Value| -> BTreeMap<String, Value> {
            let all = manifest["members"].as_array().expect("members").iter();
            all.map(|member| (member["name"].to_string(), member["rows"].clone())).collect()
        };
        assert_eq!(rows(&before), rows(&after));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_is_not_whole_is_refused_and_leaves_nothing() {
    let home = Program::fresh();
    two_companies(&home).await;
    let archive = export(&home, "001", "out.tar.gz");
    let whole = members(&archive);
    let bytes = std::fs::read(&archive).expect("an archive");
    let place = |name: &str| whole.iter().position(|(known, _)| known == name).expect("a member");
    let without = |name: &str| whole.iter().filter(|(known, _)| known != name).cloned().collect::<Members>();
    let with = |change: &dyn Fn(&mut Members)| {
        let mut changed = whole.clone();
        change(&mut changed);
        changed
    };
    let manifested = |change: &dyn Fn(&mut Value)| {
        with(&|members| {
            let mut text = manifest(members);
            change(&mut text);
            members.last_mut().expect("a manifest").1 = text.to_string().into_bytes();
        })
    };
    let cases: Vec<(&str, Members)> = vec![
        (
            "was altered",
            with(&|m| {
                let content = &mut m[place("tables/companies.ndjson")].1;
                *content = String::from_utf8_lossy(content).replace("owner Ltd", "owner Inc").into_bytes();
            }),
        ),
        ("is missing in it", without("tables/roles.ndjson")),
        ("is missing in it", without("users.ndjson")),
        ("has no manifest.json", without("manifest.json")),
        ("may be called", with(&|m| m.insert(0, ("../../etc/passwd".into(), b"x".to_vec())))),
        ("may be called", with(&|m| m.insert(0, ("/etc/passwd".into(), b"x".to_vec())))),
        ("may be called", with(&|m| m.insert(0, ("tables/../x.ndjson".into(), b"".to_vec())))),
        ("is in it, but not in its manifest", with(&|m| m.insert(2, ("tables/x.ndjson".into(), b"{}\n".to_vec())))),
        ("is in it twice", with(&|m| m.insert(1, m[1].clone()))),
        ("follows manifest.json", with(&|m| m.push(("tables/x.ndjson".into(), b"".to_vec())))),
        ("newer than this one", manifested(&|text| text["schema"] = json!(9999))),
        ("newer than this one", manifested(&|text| text["version"] = json!(3))),
        ("not a loopd-company", manifested(&|text| text["format"] = json!("something"))),
        (
            "does not have",
            manifested(&|text| {
                text["members"][2]["columns"]
                    .as_array_mut()
                    .expect("columns")
                    .push(json!({"name": "more", "kind": "text"}));
            }),
        ),
    ];
    for (program, _database) in Program::on_every_engine().await {
        program.json(&["migrate"]);
        let file = program.folder().join("bad.tar.gz");
        for (words, members) in &cases {
            pack(&file, members);
            let refused = program.refused(&["import", path(&file)]);
            assert!(refused.contains(words), "expected {words:?}: {refused}");
            assert!(program.refused(&["import", "--check", path(&file)]).contains(words));
        }
        for cut in [bytes.len() - 4, bytes.len() / 2, 100, 0] {
            std::fs::write(&file, &bytes[..cut]).expect("a file");
            let refused = program.refused(&["import", path(&file)]);
            assert!(refused.contains("cannot be imported"), "cut to {cut}: {refused}");
        }
        std::fs::write(&file, b"not an archive at all").expect("a file");
        assert!(program.refused(&["import", path(&file)]).contains("cannot be imported"));
        // Well made, with a row that belongs to somebody else: found while it goes in, and taken back.
        for (words, from, to) in [
            ("is not this company's", "\"company_id\":1,", "\"company_id\":7,"),
            ("links to one that is not in it", "\"parent\":\"0", "\"parent\":\"f"),
        ] {
            pack(&file, &forged(&whole, "tables/cms_categories.ndjson", from, to));
            let refused = program.refused(&["import", path(&file)]);
            assert!(refused.contains(words), "expected {words:?}: {refused}");
        }
        assert!(program.refused(&["export", "--company", "001", "none.tar.gz"]).contains("no company 001"));
        assert_json!(program.json(&["import", "--check", path(&archive)]), {"whole": true, "company": {"code": "001"}});
        // Nothing of the refused ones is in the way.
        assert_json!(program.json(&["import", path(&archive)]), {"code": "001", "people_known": 0});
        assert_same(&archive, &export(&program, "001", "after.tar.gz"));
    }
}

/// An archive whose digests are right for what it holds.
pub(super) fn forged(whole: &Members, name: &str, from: &str, to: &str) -> Members {
    rewritten(whole, name, |text| {
        assert!(text.contains(from), "{name} holds no {from}");
        text.replacen(from, to, 1)
    })
}

/// The same, with a member that was written anew.
pub(super) fn rewritten(whole: &Members, name: &str, change: impl Fn(&str) -> String) -> Members {
    let mut forged = whole.clone();
    let (_, content) = forged.iter_mut().find(|(known, _)| known == name).expect("a member");
    *content = change(&String::from_utf8_lossy(content)).into_bytes();
    let (size, digest) = (content.len(), loopd_types::sha256_hex(content));
    let mut manifest = manifest(&forged);
    let members = manifest["members"].as_array_mut().expect("members");
    let member = members.iter_mut().find(|member| member["name"] == name).expect("a member");
    member["sha256"] = json!(digest);
    member["size_bytes"] = json!(size);
    forged.last_mut().expect("a manifest").1 = manifest.to_string().into_bytes();
    forged
}
