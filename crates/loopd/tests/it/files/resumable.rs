//! Uploads in pieces, by tus 1.0: header by header.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::Method;
use loopd_testkit::{Client, Request, each_engine, json};
use loopd_types::{DAY_US, sha256_hex};
use tokio::io::AsyncWriteExt as _;

use super::{contents, ledger, sweep};
use crate::support::World;

const UPLOADS: &str = "/api/v1/files/uploads/";
const PIECE: &str = "application/offset+octet-stream";

fn metadata(pairs: &[(&str, &str)]) -> String {
    let pairs = pairs.iter().map(|(key, value)| format!("{key} {}", BASE64_STANDARD.encode(value)));
    pairs.collect::<Vec<_>>().join(",")
}

fn begin(client: &Client, length: usize, told: &[(&str, &str)]) -> Request {
    client
        .post(UPLOADS)
        .header("tus-resumable", "1.0.0")
        .header("upload-length", &length.to_string())
        .header("upload-metadata", &metadata(told))
}

fn piece(client: &Client, upload: &str, offset: usize, bytes: &'static [u8]) -> Request {
    let request = client.patch(upload).header("tus-resumable", "1.0.0").header("upload-offset", &offset.to_string());
    request.body(PIECE, bytes)
}

async fn offset(client: &Client, upload: &str) -> String {
    let head = client.request(Method::HEAD, upload).header("tus-resumable", "1.0.0").await.expect_status(200);
    assert_eq!(head.header("cache-control"), Some("no-store"));
    head.header("upload-offset").expect("an offset").to_owned()
}

fn id_of(upload: &str) -> String {
    upload.trim_end_matches('/').rsplit('/').next().expect("an id").to_owned()
}

each_engine! {
    async fn pieces_become_one_file(world: &World) {
        let owner = world.owner().await;
        let told = owner.request(Method::OPTIONS, UPLOADS).await.expect_status(204);
        assert_eq!((told.header("tus-version"), told.header("tus-resumable")), (Some("1.0.0"), Some("1.0.0")));
        assert!(told.header("tus-extension").unwrap().contains("creation-with-upload"));
        assert!(told.header("tus-checksum-algorithm").unwrap().contains("sha1"));
        let made = begin(&owner, 11, &[("filename", "a b.txt"), ("filetype", "text/csv")]).await.expect_status(201);
        assert_eq!((made.header("tus-resumable"), made.header("upload-offset")), (Some("1.0.0"), Some("0")));
        assert!(made.header("upload-expires").unwrap().ends_with(" GMT"));
        let upload = made.header("location").unwrap().to_owned();
        let first = piece(&owner, &upload, 0, b"hello ").await.expect_status(204);
        assert_eq!(first.header("upload-offset"), Some("6"));
        assert_eq!(offset(&owner, &upload).await, "6");
        let wrong = piece(&owner, &upload, 3, b"lo world").await.expect_refusal(409, "wrong_offset");
        assert_eq!(wrong.at("/error/details/offset"), 6);
        owner.get(&format!("/api/v1/files/{}/", id_of(&upload))).await.expect_refusal(404, "not_found");
        let last = piece(&owner, &upload, 6, b"world").await.expect_status(204);
        assert_eq!((last.header("upload-offset"), last.header("upload-expires")), (Some("11"), None));
        let file = owner.get(&format!("/api/v1/files/{}/", id_of(&upload))).await.expect_status(200).json();
        assert_eq!((&file["name"], &file["content_type"], &file["sha256"]), (&json!("a b.txt"), &json!("text/csv"), &json!(sha256_hex(b"hello world"))));
        assert_eq!(offset(&owner, &upload).await, "11", "an answer that was lost can be asked for");
        // A repeat of the last piece changes nothing.
        piece(&owner, &upload, 11, b"").await.expect_status(204);
        sweep(world).await;
        assert_eq!((contents(world).len(), ledger(world).await), (1, 0), "the pieces are gone");
        let used = loopd_store::View::System;
        let used = world.kernel.db.read(used, |reader| Ok(loopd_kernel::file::used_bytes(reader, loopd_types::CompanyId(1))?)).await.unwrap();
        assert_eq!(used, 11, "and counted once");
    }

    async fn a_piece_that_breaks_off_keeps_what_came(world: &World) {
        let owner = world.owner().await;
        let upload = begin(&owner, 10, &[]).await.expect_status(201).header("location").unwrap().to_owned();
        let path = upload.strip_prefix(&world.base).unwrap();
        let mut stream = tokio::net::TcpStream::connect(world.base.strip_prefix("http://").unwrap()).await.unwrap();
        let head = format!(
            "PATCH {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nx-company-id: 001\r\ntus-resumable: 1.0.0\r\n\
             upload-offset: 0\r\ncontent-type: {PIECE}\r\ncontent-length: 10\r\n\r\nabcd", owner.access);
        stream.write_all(head.as_bytes()).await.unwrap();
        drop(stream);
        // The server learns of it in its own time.
        let mut has = String::new();
        for _ in 0..200 {
            has = offset(&owner, &upload).await;
            if has != "0" {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(25)).await;
        }
        assert_eq!(has, "4");
        piece(&owner, &upload, 4, b"efghij").await.expect_status(204);
        let content = owner.get(&format!("/api/v1/files/{}/content/", id_of(&upload))).await.expect_status(200);
        assert_eq!(content.body, "abcdefghij");
    }

    async fn two_who_send_the_same_piece_do_not_both_count(world: &World) {
        let owner = world.owner().await;
        let upload = begin(&owner, 8, &[]).await.expect_status(201).header("location").unwrap().to_owned();
        let answers = futures_util::future::join_all((0..4).map(|_| async { piece(&owner, &upload, 0, b"abcd").await.status })).await;
        assert_eq!(answers.iter().filter(|status| **status == 204).count(), 1, "{answers:?}");
        assert!(answers.iter().all(|status| [204, 409].contains(status)), "{answers:?}");
        piece(&owner, &upload, 4, b"efgh").await.expect_status(204);
        assert_eq!(owner.get(&format!("/api/v1/files/{}/content/", id_of(&upload))).await.body, "abcdefgh");
    }

    async fn checksums_are_kept_to(world: &World) {
        let owner = world.owner().await;
        let upload = begin(&owner, 11, &[("sha256", &sha256_hex(b"hello world"))]).await.expect_status(201).header("location").unwrap().to_owned();
        let sum = |value: &str| piece(&owner, &upload, 0, b"hello world").header("upload-checksum", value);
        sum("sha1 AAAAAAAAAAAAAAAAAAAAAAAAAAA=").await.expect_refusal(460, "checksum_mismatch");
        assert_eq!(offset(&owner, &upload).await, "0", "it was thrown away");
        sum("md4 AAAA").await.expect_refusal(400, "invalid_checksum");
        let told = sum("sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=").await.expect_status(204);
        assert_eq!(told.header("upload-offset"), Some("11"));
        // What was announced for the whole is not what came: the upload is over.
        let upload = begin(&owner, 5, &[("sha256", &sha256_hex(b"hello"))]).await.expect_status(201).header("location").unwrap().to_owned();
        piece(&owner, &upload, 0, b"jello").await.expect_refusal(400, "checksum_mismatch");
        piece(&owner, &upload, 0, b"hello").await.expect_refusal(404, "not_found");
        sweep(world).await;
        assert_eq!((contents(world).len(), ledger(world).await), (1, 0));
    }

    async fn an_upload_may_begin_with_its_first_piece_or_have_none(world: &World) {
        let owner = world.owner().await;
        let made = begin(&owner, 5, &[]).body(PIECE, "hello").await.expect_status(201);
        assert_eq!(made.header("upload-offset"), Some("5"));
        let id = id_of(made.header("location").unwrap());
        assert_eq!(owner.get(&format!("/api/v1/files/{id}/content/")).await.expect_status(200).body, "hello");
        let empty = begin(&owner, 0, &[]).await.expect_status(201);
        owner.get(&format!("/api/v1/files/{}/", id_of(empty.header("location").unwrap()))).await.expect_status(200);
    }

    async fn an_upload_is_its_makers_and_can_be_given_up(world: &World) {
        let (owner, stranger) = world.strangers().await;
        let colleague = world.member(&owner, "mona", "manager").await;
        let upload = begin(&owner, 10, &[]).await.expect_status(201).header("location").unwrap().to_owned();
        piece(&owner, &upload, 0, b"hello").await.expect_status(204);
        for other in [&colleague, &stranger] {
            piece(other, &upload, 5, b"world").await.expect_refusal(404, "not_found");
            other.request(Method::HEAD, &upload).header("tus-resumable", "1.0.0").await.expect_status(404);
            other.delete(&upload).header("tus-resumable", "1.0.0").await.expect_refusal(404, "not_found");
        }
        owner.delete(&upload).header("tus-resumable", "1.0.0").await.expect_status(204);
        piece(&owner, &upload, 5, b"world").await.expect_refusal(404, "not_found");
        sweep(world).await;
        assert_eq!((contents(world).len(), ledger(world).await), (0, 0));
    }

    async fn what_is_not_tus_is_told_so(world: &World) {
        let owner = world.owner().await;
        let without = owner.post(UPLOADS).header("upload-length", "1").await.expect_refusal(412, "tus_version");
        assert_eq!(without.header("tus-version"), Some("1.0.0"));
        let ask = || owner.post(UPLOADS).header("tus-resumable", "1.0.0");
        ask().await.expect_refusal(400, "length_required");
        ask().header("upload-length", "-1").await.expect_refusal(400, "invalid_header");
        ask().header("upload-length", "1").header("upload-metadata", "filename %").await.expect_refusal(400, "invalid_metadata");
        ask().header("upload-length", "99999999999").await.expect_status(403);
        let upload = begin(&owner, 3, &[]).await.expect_status(201).header("location").unwrap().to_owned();
        let patch = || owner.patch(&upload).header("tus-resumable", "1.0.0");
        patch().header("upload-offset", "0").body("text/plain", "abc").await.expect_refusal(415, "unsupported_media_type");
        patch().body(PIECE, "abc").await.expect_refusal(400, "offset_required");
        piece(&owner, &upload, 0, b"abcd").await.expect_refusal(413, "file_too_large");
    }

    async fn an_upload_that_takes_too_long_is_thrown_away(world: &World) {
        let owner = world.owner().await;
        let upload = begin(&owner, 10, &[]).await.expect_status(201).header("location").unwrap().to_owned();
        piece(&owner, &upload, 0, b"hello").await.expect_status(204);
        world.clock.advance(7 * DAY_US + 1);
        let owner = world.sign_in(&owner.email, "001").await;
        piece(&owner, &upload, 5, b"world").await.expect_refusal(404, "not_found");
        sweep(world).await;
        assert_eq!((contents(world).len(), ledger(world).await), (0, 0));
    }
}
