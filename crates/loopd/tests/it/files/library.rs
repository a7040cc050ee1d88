//! The company's own files: taken in either form, told by their content, counted, renamed, deleted, and nobody else's.

use loopd_store::{View, params};
use loopd_testkit::{each_engine, json};
use loopd_types::{DAY_US, sha256_hex};

use super::{contents, form, ledger, picture, shelve, sweep, upload};
use crate::support::World;

each_engine! {
    async fn a_file_is_kept_as_a_form_or_as_it_is(world: &World) {
        let owner = world.owner().await;
        let (content_type, body) = form("été.txt", "text/html", b"hello", &[("name", "Summer.txt")]);
        let made = owner.post("/api/v1/files/").body(&content_type, body).await.expect_status(201);
        let row = made.json();
        assert_eq!((&row["name"], &row["size_bytes"], &row["content_type"]), (&json!("Summer.txt"), &json!(5), &json!("text/plain")));
        assert_eq!(row["sha256"], sha256_hex(b"hello"));
        assert_eq!((&row["company"], &row["created_by"]), (&json!("001"), &json!(owner.user)));
        let location = made.header("location").expect("a location").to_owned();
        assert_eq!(owner.get(&location).await.expect_status(200).json(), row);
        let raw = owner.post("/api/v1/files/?name=../a.csv").body("text/csv", "a;b").await.expect_status(201).json();
        assert_eq!((&raw["name"], &raw["content_type"]), (&json!("a.csv"), &json!("text/csv")));
        let listed = owner.get("/api/v1/files/?search=summer").await.expect_status(200).json();
        assert_eq!((&listed["count"], &listed["results"][0]), (&json!(1), &row));
        assert_eq!(contents(world).len(), 2);
        assert_eq!(ledger(world).await, 0, "what is kept is in no ledger");
        let events = world.kernel.db.read(View::System, |reader| {
            Ok(reader.query("SELECT kind FROM events WHERE kind LIKE 'core.file.%'", &[], |row| Ok(row.text(0)?.to_owned()))?)
        });
        assert_eq!(events.await.unwrap(), ["core.file.created", "core.file.created"]);
    }

    async fn large_content_is_written_in_parts_and_comes_back_whole(world: &World) {
        let owner = world.owner().await;
        let content: Vec<u8> = (0..5_000_001u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let row = shelve(&owner, "large.bin", &content).await;
        assert_eq!((&row["size_bytes"], &row["sha256"]), (&json!(content.len()), &json!(sha256_hex(&content))));
        let path = format!("/api/v1/files/{}/content/", row["id"].as_str().unwrap());
        assert_eq!(owner.get(&path).await.expect_status(200).body, content);
    }

    async fn a_checksum_that_does_not_fit_leaves_nothing(world: &World) {
        let owner = world.owner().await;
        let sum = sha256_hex(b"hello");
        let sent = |sum: &str, content: &'static str| owner.post(&format!("/api/v1/files/?sha256={sum}")).body("text/plain", content);
        sent(&sum, "hello").await.expect_status(201);
        sent(&sum, "jello").await.expect_refusal(400, "checksum_mismatch");
        sent("ab", "hello").await.expect_field("sha256", "invalid");
        let digest = |value: &str| owner.post("/api/v1/files/").header("repr-digest", value).body("text/plain", "hello");
        digest("sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:").await.expect_status(201);
        digest("sha-256=:AAAAul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:").await.expect_refusal(400, "checksum_mismatch");
        digest("sha-256=:AAAA:").await.expect_refusal(400, "invalid_digest");
        // The sum may come after the file too.
        let (content_type, mut body) = form("a", "text/plain", b"hello", &[]);
        body.truncate(body.len() - 4);
        body.extend_from_slice(b"\r\ncontent-disposition: form-data; name=\"sha256\"\r\n\r\n");
        body.extend_from_slice(sha256_hex(b"other").as_bytes());
        body.extend_from_slice(b"\r\n--b7--\r\n");
        owner.post("/api/v1/files/").body(&content_type, body).await.expect_refusal(400, "checksum_mismatch");
        assert_eq!(contents(world).len(), 2, "refused content is gone");
        assert_eq!(ledger(world).await, 0);
    }

    async fn a_form_that_is_none_is_refused(world: &World) {
        let owner = world.owner().await;
        let send = |content_type: &str, body: &'static str| owner.post("/api/v1/files/").body(content_type, body);
        send("multipart/form-data", "x").await.expect_refusal(400, "parse_error");
        send("multipart/form-data; boundary=b7", "--b7--\r\n").await.expect_field("file", "required");
        send("multipart/form-data; boundary=b7", "--b7\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nabc")
            .await.expect_refusal(400, "parse_error");
        let (content_type, mut body) = form("a", "text/plain", b"1", &[]);
        body.truncate(body.len() - 8);
        body.extend_from_slice(&form("b", "text/plain", b"2", &[]).1);
        owner.post("/api/v1/files/").body(&content_type, body).await.expect_status(400);
        assert_eq!((contents(world).len(), ledger(world).await), (0, 0));
    }

    async fn a_key_makes_one_file(world: &World) {
        let owner = world.owner().await.with_header("idempotency-key", "once");
        let first = upload(&owner, "/api/v1/files/", "a.txt", b"same").await.expect_status(201);
        let again = upload(&owner, "/api/v1/files/", "a.txt", b"same").await.expect_status(201);
        assert_eq!((again.json(), again.header("idempotency-replayed")), (first.json(), Some("true")));
        // As long, and yet another file.
        upload(&owner, "/api/v1/files/", "a.txt", b"diff").await.expect_refusal(409, "idempotency_conflict");
        assert_eq!((contents(world).len(), ledger(world).await), (1, 0));
    }

    async fn renaming_and_deleting(world: &World) {
        let owner = world.owner().await;
        let row = shelve(&owner, "a.txt", b"hello").await;
        let path = format!("/api/v1/files/{}/", row["id"].as_str().unwrap());
        let renamed = owner.patch(&path).json(&json!({"name": "b/c.txt"})).await.expect_status(200);
        assert_eq!(renamed.at("/name"), "c.txt");
        owner.patch(&path).json(&json!({"name": " "})).await.expect_field("name", "blank");
        owner.delete(&path).await.expect_status(204);
        owner.get(&path).await.expect_refusal(404, "not_found");
        owner.get(&format!("{path}content/")).await.expect_refusal(404, "not_found");
        sweep(world).await;
        assert_eq!((contents(world).len(), ledger(world).await), (0, 0));
        let audit = owner.get("/api/v1/audit-logs/?resource=files&ordering=at").await.expect_status(200).json();
        let actions: Vec<&str> = audit["results"].as_array().unwrap().iter().filter_map(|row| row["action"].as_str()).collect();
        assert_eq!(actions, ["create", "update", "delete"]);
    }

    async fn content_goes_after_the_row_and_what_a_crash_left_after_a_day(world: &World) {
        let owner = world.owner().await;
        let row = shelve(&owner, "a.txt", b"hello").await;
        let kept = contents(world);
        // A crash between content and row: the ledger has an entry, the store has the content, and there is no row.
        let chunks = futures_util::stream::iter([Ok(bytes::Bytes::from_static(b"lost"))]);
        let wanted = loopd_kernel::file::Wanted::up_to(10);
        loopd_kernel::file::receive(&world.kernel, loopd_types::CompanyId(1), chunks, &wanted).await.unwrap();
        // A crash in the middle of writing leaves an unfinished file.
        let lost = contents(world).into_iter().find(|path| !kept.contains(path)).unwrap();
        let unfinished = lost.with_file_name(format!("{}#1", lost.file_name().unwrap().to_str().unwrap()));
        std::fs::write(&unfinished, b"half").unwrap();
        sweep(world).await;
        assert_eq!(contents(world).len(), 3, "whoever still writes is left alone");
        world.clock.advance(DAY_US + 1);
        sweep(world).await;
        assert_eq!(contents(world), kept, "and nothing that a row points to goes");
        assert_eq!(ledger(world).await, 0);
        let owner = world.sign_in(&owner.email, "001").await;
        let path = format!("/api/v1/files/{}/content/", row["id"].as_str().unwrap());
        assert_eq!(owner.get(&path).await.expect_status(200).body, "hello");
    }

    async fn a_writer_that_was_given_up_makes_no_row(world: &World) {
        let owner = world.owner().await;
        let chunks = futures_util::stream::iter([Ok(bytes::Bytes::from_static(b"slow"))]);
        let wanted = loopd_kernel::file::Wanted::up_to(10);
        let received = loopd_kernel::file::receive(&world.kernel, loopd_types::CompanyId(1), chunks, &wanted).await.unwrap();
        world.clock.advance(DAY_US + 1);
        sweep(world).await;
        let kernel = world.kernel.clone();
        let access = world.kernel.company_access(loopd_types::CompanyId(1)).await.unwrap().unwrap();
        let tenant = loopd_kernel::Tenant::system(access, "a test");
        let new = loopd_kernel::file::NewFile {
            id: kernel.new_id(), name: "late".into(), purpose: loopd_kernel::file::Purpose::Library, expires_at: None,
        };
        let kept = world.kernel.db.write(View::System, move |tx| loopd_kernel::file::keep(tx, &kernel, &tenant, &new, &received)).await;
        assert_eq!(kept.unwrap_err().status(), 503);
        let owner = world.sign_in(&owner.email, "001").await;
        assert_eq!(owner.get("/api/v1/files/").await.expect_status(200).at("/count"), 0);
    }

    async fn a_company_has_so_much_room(world: &World) {
        let owner = world.owner().await;
        let row = shelve(&owner, "a.txt", b"hello").await;
        let fill = |bytes: i64| world.kernel.db.write(View::System, move |tx| {
            Ok(tx.execute("UPDATE file_accounts SET used_bytes = $1 WHERE company_id = 1", &params![bytes])?)
        });
        let limit = loopd_kernel::plan::Limits::FREE.storage_bytes.unwrap();
        fill(limit - 4).await.unwrap();
        let refused = upload(&owner, "/api/v1/files/", "b.txt", b"hello").await.expect_refusal(403, "storage_quota_exceeded");
        assert_eq!(refused.at("/error/details/limit_bytes"), limit);
        // Without an announced length it shows when all of it came.
        assert_eq!((contents(world).len(), ledger(world).await), (1, 0));
        owner.delete(&format!("/api/v1/files/{}/", row["id"].as_str().unwrap())).await.expect_status(204);
        owner.post("/api/v1/files/").body("text/plain", "123456789").await.expect_status(201);
        owner.post("/api/v1/files/").body("text/plain", "1").await.expect_refusal(403, "storage_quota_exceeded");
    }

    async fn another_companys_files_do_not_exist(world: &World) {
        let (owner, stranger) = world.strangers().await;
        let id = shelve(&owner, "a.png", &picture(300, 200)).await["id"].as_str().unwrap().to_owned();
        let path = format!("/api/v1/files/{id}/");
        for request in [
            stranger.get(&path),
            stranger.get(&format!("{path}content/")),
            stranger.get(&format!("{path}content/?thumbnail=128")),
            stranger.post(&format!("{path}link/")),
            stranger.patch(&path).json(&json!({"name": "mine"})),
            stranger.delete(&path),
        ] {
            request.await.expect_refusal(404, "not_found");
        }
        assert_eq!(stranger.get("/api/v1/files/").await.expect_status(200).at("/count"), 0);
        let stored = contents(world);
        assert!(stored.iter().all(|path| path.parent().unwrap().ends_with("001")), "{stored:?}");
    }

    async fn roles_decide_about_the_shelf(world: &World) {
        let owner = world.owner().await;
        let id = shelve(&owner, "a.txt", b"hello").await["id"].as_str().unwrap().to_owned();
        let path = format!("/api/v1/files/{id}/");
        let viewer = world.member(&owner, "vera", "viewer").await;
        viewer.get(&format!("{path}content/")).await.expect_status(200);
        upload(&viewer, "/api/v1/files/", "b.txt", b"x").await.expect_refusal(403, "permission_denied");
        let staff = world.member(&owner, "stan", "staff").await;
        shelve(&staff, "b.txt", b"x").await;
        staff.delete(&path).await.expect_refusal(403, "permission_denied");
        world.member(&owner, "mona", "manager").await.delete(&path).await.expect_status(204);
    }
}
