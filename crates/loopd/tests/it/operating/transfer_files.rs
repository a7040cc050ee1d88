//! What files hold leaves and arrives with a company.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use loopd_kernel::{file, transfer};
use loopd_store::View;
use loopd_testkit::{Client, Engine, assert_json, json};
use loopd_types::{CompanyId, MINUTE_US, sha256_hex};
use serde_json::Value;

use super::transfer::{
    Members, assert_same, export, forged, large, manifest, members, pack, path, register, two_companies,
};
use crate::files::bucket::in_bucket;
use crate::files::{ledger, sweep};
use crate::support::{Program, Served};

/// Every content in an installation's folder of files.
pub(super) fn stored(program: &Program) -> Vec<PathBuf> {
    let mut folders = vec![program.folder().join("data").join("files")];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entry.path().is_dir() { folders.push(entry.path()) } else { found.push(entry.path()) }
        }
    }
    found.sort();
    found
}

async fn signed_in(server: &Served, company: &str) -> Client {
    let login = json!({"email": "owner@example.com", "password": "another-strong-1"});
    let token = server.client().post("/api/v1/auth/login/").json(&login).await.expect_status(200).text_at("/access");
    server.client().with_token(&token).company(company)
}

fn content_of<'m>(members: &'m Members, content: &[u8]) -> &'m [u8] {
    let name = format!("files/{}", sha256_hex(content));
    &members.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("no {name}")).1
}

#[tokio::test(flavor = "multi_thread")]
async fn what_files_hold_goes_along_once_and_arrives_in_files_of_their_own() {
    let home = Program::fresh();
    two_companies(&home).await;
    let archive = export(&home, "001", "out.tar.gz");
    let whole = members(&archive);
    let contents: Vec<&(String, Vec<u8>)> = whole.iter().filter(|(name, _)| name.starts_with("files/")).collect();
    // The same content twice is in it once; what nobody attached, and the other company's, is not.
    assert_eq!(contents.len(), 4, "{:?}", contents.iter().map(|(name, _)| name).collect::<Vec<_>>());
    for (name, content) in &contents {
        assert_eq!(*name, format!("files/{}", sha256_hex(content)));
        let said = manifest(&whole)["members"].as_array().unwrap().iter().find(|said| said["name"] == *name).cloned();
        assert_json!(said.unwrap(), {"size_bytes": content.len(), "sha256": sha256_hex(content)});
    }
    assert_eq!(content_of(&whole, b"ours has this twice"), b"ours has this twice");
    assert!(content_of(&whole, &large("ours")) == large("ours"));
    for (program, _database) in Program::on_every_engine().await {
        // 001 is somebody else's here.
        register(&program.serve(), "first").await;
        let checked = program.json(&["import", "--check", path(&archive)]);
        assert_json!(checked, {"whole": true, "contents": 4});
        assert_eq!(stored(&program), Vec::<PathBuf>::new(), "a check writes nothing");
        let came = program.json(&["import", path(&archive)]);
        assert_json!(came, {"code": "002", "files": 5, "bytes": (large("ours").len() + 2 * 19 + 16)});
        let kept = stored(&program);
        assert_eq!(kept.len(), 5);
        assert!(kept.iter().all(|content| content.parent().unwrap().ends_with("002")), "{kept:?}");
        program.json(&["user", "password", "owner@example.com", "--password", "another-strong-1"]);
        let server = program.serve();
        let owner = signed_in(&server, "002").await;
        let files = owner.get("/api/v1/files/?ordering=name").await.expect_status(200).json();
        let row = |name: &str| {
            let rows = files["results"].as_array().unwrap();
            rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("no {name}: {files}"))["id"]
                .as_str()
                .unwrap()
        };
        let read = |name: &str| owner.get(&format!("/api/v1/files/{}/content/", row(name)));
        assert!(read("large.bin").await.expect_status(200).body == large("ours"));
        assert_eq!(read("empty.txt").await.expect_status(200).body, "");
        assert_eq!(read("two.txt").await.expect_status(200).body, "ours has this twice");
        let part = read("large.bin").header("range", "bytes=4-7").await.expect_status(206);
        assert_eq!(part.body[..], large("ours")[4..8]);
        // A file that goes takes nothing from its twin.
        owner.delete(&format!("/api/v1/files/{}/", row("one.txt"))).await.expect_status(204);
        crate::support::eventually("its content is gone", async || stored(&program).len() == 4).await;
        assert_eq!(read("two.txt").await.expect_status(200).body, "ours has this twice");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn attachments_arrive_at_their_records() {
    let home = Program::fresh();
    two_companies(&home).await;
    let archive = export(&home, "001", "out.tar.gz");
    for (program, _database) in Program::on_every_engine().await {
        program.json(&["import", path(&archive)]);
        program.json(&["user", "password", "owner@example.com", "--password", "another-strong-1"]);
        let server = program.serve();
        let owner = signed_in(&server, "001").await;
        let mut attached = Vec::new();
        for customer in
            owner.get("/api/v1/booking/customers/?page_size=100").await.json()["results"].as_array().unwrap()
        {
            let base = format!("/api/v1/booking/customers/{}/attachments/", customer["id"].as_str().unwrap());
            for row in owner.get(&base).await.expect_status(200).json()["results"].as_array().unwrap() {
                let content =
                    owner.get(&format!("{base}{}/content/", row["id"].as_str().unwrap())).await.expect_status(200);
                attached.push((row["name"].as_str().unwrap().to_owned(), content.text()));
            }
        }
        attached.sort();
        assert_eq!(
            attached,
            [
                ("contract.txt".to_owned(), "ours signed this".to_owned()),
                ("two.txt".to_owned(), "ours has this twice".to_owned())
            ]
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn content_that_is_not_what_was_exported_is_refused_and_leaves_nothing() {
    let home = Program::fresh();
    two_companies(&home).await;
    let archive = export(&home, "001", "out.tar.gz");
    let whole = members(&archive);
    let text = format!("files/{}", sha256_hex(b"ours has this twice"));
    let changed = |change: &dyn Fn(&mut Members)| {
        let mut members = whole.clone();
        change(&mut members);
        members
    };
    let last = whole.len() - 1;
    // The manifest says the same as the archive, and is wrong all the same.
    let lying = |change: &dyn Fn(&mut Members), say: &dyn Fn(&mut Vec<Value>)| {
        changed(&|members| {
            change(members);
            let mut told = manifest(members);
            say(told["members"].as_array_mut().unwrap());
            members.last_mut().unwrap().1 = told.to_string().into_bytes();
        })
    };
    let extra = format!("files/{}", sha256_hex(b"extra"));
    let said_extra = json!({"name": extra, "size_bytes": 5, "sha256": sha256_hex(b"extra")});
    let cases: Vec<(&str, Members)> = vec![
        ("was altered", changed(&|m| m.iter_mut().find(|(name, _)| *name == text).unwrap().1[0] = b'X')),
        ("is missing in it", changed(&|m| m.retain(|(name, _)| *name != text))),
        ("not in its manifest", changed(&|m| m.insert(last, (extra.clone(), b"extra".to_vec())))),
        ("may be called", changed(&|m| m.insert(last, ("files/../../x".into(), b"x".to_vec())))),
        ("may be called", changed(&|m| m.insert(last, (text.to_uppercase(), b"x".to_vec())))),
        (
            "is missing in it",
            lying(&|m| m.retain(|(name, _)| *name != text), &|said| said.retain(|member| member["name"] != text)),
        ),
        (
            "no file in it has the content",
            lying(&|m| m.insert(last, (extra.clone(), b"extra".to_vec())), &|said| said.push(said_extra.clone())),
        ),
        ("was altered", forged(&whole, &text, "ours", "OURS")),
        ("in two sizes", forged(&whole, "tables/files.ndjson", "\"size_bytes\":19", "\"size_bytes\":18")),
    ];
    for (program, _database) in Program::on_every_engine().await {
        program.json(&["migrate"]);
        let file = program.folder().join("bad.tar.gz");
        for (words, members) in &cases {
            pack(&file, members);
            for arguments in [&["import", path(&file)][..], &["import", "--check", path(&file)]] {
                let refused = program.refused(arguments);
                assert!(refused.contains(words), "expected {words:?}: {refused}");
            }
            assert_eq!(stored(&program), Vec::<PathBuf>::new(), "{words}");
        }
        // Found only while the rows go in, when all content is in the store already.
        pack(&file, &forged(&whole, "tables/cms_categories.ndjson", "\"company_id\":1,", "\"company_id\":7,"));
        assert!(program.refused(&["import", path(&file)]).contains("is not this company's"));
        assert_eq!(stored(&program), Vec::<PathBuf>::new(), "content stayed behind without rows");
        // Nothing of the refused ones is in the way, the number neither.
        assert_json!(register(&program.serve(), "next").await.get("/api/v1/companies/").await.json(), {"results": [{"code": "001"}]});
        assert_json!(program.json(&["import", path(&archive)]), {"code": "002"});
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn content_that_the_store_has_lost_is_named_and_can_be_left_out() {
    let home = Program::fresh();
    two_companies(&home).await;
    let whole = export(&home, "001", "whole.tar.gz");
    let lose = |is_it: &dyn Fn(&[u8]) -> bool| {
        let found = stored(&home).into_iter().find(|file| is_it(&std::fs::read(file).unwrap()));
        found.expect("a content")
    };
    let damaged = lose(&|content| content == b"ours signed this");
    std::fs::write(&damaged, b"ours signed that").expect("a content");
    let refused = home.refused(&["export", "--company", "001", "damaged.tar.gz"]);
    assert!(refused.contains("\"contract.txt\"") && refused.contains("was altered in the file store"), "{refused}");
    std::fs::write(&damaged, b"ours signed this").expect("a content");
    let gone = lose(&|content| content == large("ours"));
    std::fs::remove_file(&gone).expect("a content");
    let refused = home.refused(&["export", "--company", "001", "lost.tar.gz"]);
    assert!(refused.contains("\"large.bin\"") && refused.contains("--leave-out-lost"), "{refused}");
    assert!(!home.folder().join("lost.tar.gz").exists());
    let left_over = |folder: &Path| {
        let names = std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.file_name().into_string().unwrap());
        names.filter(|name| name.starts_with(".loopd-export")).count()
    };
    assert_eq!(left_over(home.folder()), 0);
    let wrote = home.json(&["export", "--company", "001", "--leave-out-lost", "lost.tar.gz"]);
    let named = |value: &Value| value["left_out"].to_string().contains("(large.bin)");
    assert!(named(&wrote) && named(&manifest(&members(&home.folder().join("lost.tar.gz")))), "{wrote}");
    for (program, _database) in Program::on_every_engine().await {
        assert_json!(program.json(&["import", path(&home.folder().join("lost.tar.gz"))]), {"files": 4});
        let again = export(&program, "001", "again.tar.gz");
        let rows = |file: &Path| {
            let members = members(file);
            let (_, text) = members.iter().find(|(name, _)| name == "tables/files.ndjson").unwrap();
            String::from_utf8_lossy(text).lines().map(ToOwned::to_owned).collect::<Vec<_>>()
        };
        let expected: Vec<String> = rows(&whole).into_iter().filter(|row| !row.contains("large.bin")).collect();
        assert_eq!(rows(&again), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_of_before_there_were_files_in_it_still_comes_in() {
    let home = Program::fresh();
    two_companies(&home).await;
    let old = members(&export(&home, "001", "out.tar.gz"));
    let is_new = |name: &str| {
        name.starts_with("files/") || ["tables/files.ndjson", "tables/file_attachments.ndjson"].contains(&name)
    };
    let mut told = manifest(&old);
    told["version"] = json!(1);
    told["members"].as_array_mut().unwrap().retain(|member| !is_new(member["name"].as_str().unwrap()));
    let mut old: Members = old.into_iter().filter(|(name, _)| !is_new(name)).collect();
    old.last_mut().unwrap().1 = told.to_string().into_bytes();
    let program = Program::fresh();
    let file = program.folder().join("old.tar.gz");
    pack(&file, &old);
    assert_json!(program.json(&["import", path(&file)]), {"code": "001", "files": 0, "bytes": 0});
}

#[test]
fn a_company_goes_into_a_bucket_and_out_of_it_again() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let home = Program::fresh();
        two_companies(&home).await;
        let archive = export(&home, "001", "out.tar.gz");
        for engine in [Engine::Sqlite, Engine::Postgres] {
            in_a_bucket(engine, &archive).await;
        }
    });
}

async fn in_a_bucket(engine: Engine, archive: &Path) {
    let Some((world, bucket)) = in_bucket(engine).await else { return };
    let import = async || {
        let watcher: transfer::Watcher = Arc::new(|_| Ok(()));
        let tables = world.engine.registry.tables();
        let actor = loopd_kernel::Actor { user: None, credential: None, origin: None, reason: Some("a test") };
        let source = transfer::Source::Path(archive.to_owned());
        transfer::import(&world.kernel, tables, source, &actor, watcher, None).await
    };
    // A bucket that takes nothing leaves no trace, not even of the company's number.
    bucket.fail(Some(http::StatusCode::FORBIDDEN));
    assert_eq!(import().await.unwrap_err().status(), 503);
    bucket.fail(None);
    assert_eq!((bucket.objects().len(), ledger(&world).await), (0, 0));
    let came = import().await.expect("a company that comes in");
    assert_eq!((came.files, came.code.as_str(), bucket.objects().len()), (5, "001", 5));
    assert!(bucket.objects().iter().all(|key| key.starts_with("of/ours/001/")), "{:?}", bucket.objects());
    let used = world.kernel.db.read(View::System, |reader| Ok(file::used_bytes(reader, CompanyId(1))?)).await;
    assert_eq!((used.unwrap(), ledger(&world).await), (i64::try_from(came.bytes).unwrap(), 0));
    let out = archive.with_file_name(format!("{engine:?}.tar.gz"));
    let watcher: transfer::Watcher = Arc::new(|_| Ok(()));
    let (to, tables) = (transfer::To::File(out.clone()), world.engine.registry.tables());
    let out_again = transfer::export(&world.kernel, CompanyId(1), tables, to, transfer::Lost::Refuse, watcher).await;
    out_again.expect("a company that leaves again");
    assert_same(archive, &out);
    // What is deleted while an archive is made stays until it is done, and goes then.
    let owner = world.kernel.db.read(View::System, |reader| {
        Ok(reader.one("SELECT id FROM files WHERE name = 'one.txt'", &[], |row| row.uuid(0))?)
    });
    let (gone, kernel) = (owner.await.unwrap(), world.kernel.clone());
    let removed =
        world.kernel.db.write(View::Company(CompanyId(1)), move |tx| file::remove(tx, &kernel, CompanyId(1), gone));
    assert!(removed.await.unwrap());
    assert_eq!(sweep(&world).await, 0, "an export was here a moment ago");
    assert_eq!(bucket.objects().len(), 5);
    world.clock.advance(11 * MINUTE_US);
    assert_eq!((sweep(&world).await, bucket.objects().len()), (1, 4));
    loopd_testkit::Boot::close(world).await;
}
