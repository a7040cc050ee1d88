//! Downloads: whole, in part, not at all; what a browser may do with them; thumbnails.

use http::Method;
use loopd_testkit::{each_engine, json};

use super::{contents, ledger, picture, shelve, sweep};
use crate::support::World;

each_engine! {
    async fn a_download_may_be_taken_up_again(world: &World) {
        let owner = world.owner().await;
        let row = shelve(&owner, "a.bin", &(0..=255).collect::<Vec<u8>>()).await;
        let path = format!("/api/v1/files/{}/content/", row["id"].as_str().unwrap());
        let whole = owner.get(&path).await.expect_status(200);
        assert_eq!((whole.body.len(), whole.header("content-length"), whole.header("accept-ranges")), (256, Some("256"), Some("bytes")));
        let tag = whole.header("etag").unwrap().to_owned();
        assert_eq!(tag, format!("\"{}\"", row["sha256"].as_str().unwrap()));
        let head = owner.request(Method::HEAD, &path).await.expect_status(200);
        assert_eq!((head.body.len(), head.header("content-length"), head.header("etag")), (0, Some("256"), Some(tag.as_str())));
        let part = owner.get(&path).header("range", "bytes=10-19").header("if-range", &tag).await.expect_status(206);
        assert_eq!((&part.body[..], part.header("content-range")), (&(10..20).collect::<Vec<u8>>()[..], Some("bytes 10-19/256")));
        assert_eq!(part.header("content-length"), Some("10"));
        let end = owner.get(&path).header("range", "bytes=-6").await.expect_status(206);
        assert_eq!((&end.body[..], end.header("content-range")), (&[250u8, 251, 252, 253, 254, 255][..], Some("bytes 250-255/256")));
        owner.get(&path).header("range", "bytes=0-1").header("if-range", "\"old\"").await.expect_status(200);
        owner.get(&path).header("range", "bytes=0-1,4-5").await.expect_status(200);
        let beyond = owner.get(&path).header("range", "bytes=256-").await.expect_refusal(416, "range_not_satisfiable");
        assert_eq!(beyond.header("content-range"), Some("bytes */256"));
        let known = owner.get(&path).header("if-none-match", &tag).await.expect_status(304);
        assert_eq!((known.body.len(), known.header("etag")), (0, Some(tag.as_str())));
        owner.get(&path).header("if-match", "\"old\"").await.expect_refusal(412, "precondition_failed");
        let empty = owner.post("/api/v1/files/?name=empty").body("text/plain", "").await.expect_status(201).text_at("/id");
        let empty = owner.get(&format!("/api/v1/files/{empty}/content/")).await.expect_status(200);
        assert_eq!((empty.body.len(), empty.header("content-length")), (0, Some("0")));
    }

    async fn what_was_uploaded_is_never_a_page_of_ours(world: &World) {
        let owner = world.owner().await;
        for (name, content, shown) in [
            ("a.html", &b"<!DOCTYPE html><script>alert(1)</script>"[..], false),
            ("a.png", b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>", false),
            ("a.bin", b"\x00\x01", false),
            ("a.pdf", b"%PDF-1.7 x", true),
            ("a.txt", b"words", true),
        ] {
            let row = shelve(&owner, name, content).await;
            let path = format!("/api/v1/files/{}/content/?disposition=inline", row["id"].as_str().unwrap());
            let answer = owner.get(&path).await.expect_status(200);
            let kind = answer.header("content-disposition").unwrap().split(';').next().unwrap().to_owned();
            assert_eq!(kind, if shown { "inline" } else { "attachment" }, "{name}");
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
            assert!(answer.header("content-security-policy").unwrap().contains("default-src 'none'"));
            assert_eq!(answer.header("cache-control"), Some("private, no-cache"));
            let told = answer.header("content-type").unwrap();
            assert!(!told.contains("html") && !told.contains("svg"), "{name} is told to be {told}");
        }
        let row = shelve(&owner, "Été x.pdf", b"%PDF-1.7 x").await;
        let answer = owner.get(&format!("/api/v1/files/{}/content/", row["id"].as_str().unwrap())).await.expect_status(200);
        let disposition = answer.header("content-disposition").unwrap();
        assert!(disposition.starts_with("attachment; filename=\"") && disposition.contains("filename*=UTF-8''"), "{disposition}");
        owner.get(&format!("/api/v1/files/{}/content/?disposition=evil", row["id"].as_str().unwrap())).await.expect_field("disposition", "invalid_choice");
    }

    async fn pictures_have_thumbnails(world: &World) {
        let owner = world.owner().await;
        let row = shelve(&owner, "photo.png", &picture(800, 400)).await;
        let path = format!("/api/v1/files/{}/content/", row["id"].as_str().unwrap());
        let small = owner.get(&format!("{path}?thumbnail=128&disposition=inline")).await.expect_status(200);
        let made = image::load_from_memory(&small.body).expect("a picture");
        assert_eq!((made.width(), made.height(), small.header("content-type")), (128, 64, Some("image/jpeg")));
        assert!(small.header("content-disposition").unwrap().starts_with("inline"));
        let stored = contents(world).len();
        let again = owner.get(&format!("{path}?thumbnail=128")).await.expect_status(200);
        assert_eq!((again.body, contents(world).len()), (small.body.clone(), stored), "made once");
        let part = owner.get(&format!("{path}?thumbnail=128")).header("range", "bytes=2-4").await.expect_status(206);
        assert_eq!(part.body, small.body.slice(2..5));
        owner.get(&format!("{path}?thumbnail=129")).await.expect_field("thumbnail", "invalid_choice");
        for content in [&b"%PDF-1.7"[..], b"\x89PNG\r\n\x1a\nbroken", b"text"] {
            let row = shelve(&owner, "x.png", content).await;
            let path = format!("/api/v1/files/{}/content/?thumbnail=320", row["id"].as_str().unwrap());
            owner.get(&path).await.expect_refusal(404, "no_thumbnail");
            owner.get(&path).await.expect_refusal(404, "no_thumbnail");
        }
        owner.delete(path.trim_end_matches("content/")).await.expect_status(204);
        sweep(world).await;
        assert_eq!((contents(world).len(), ledger(world).await), (3, 0), "a thumbnail goes with its picture");
    }

    async fn the_api_describes_files(world: &World) {
        let document = world.client().get("/api/schema/?format=json").await.expect_status(200).json();
        let content = &document["paths"]["/api/v1/files/{id}/content/"]["get"]["responses"];
        for status in ["200", "206", "304", "416"] {
            assert!(!content[status].is_null(), "{status}");
        }
        assert_eq!(document["paths"]["/api/v1/files/"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]["required"], json!(["file"]));
    }
}
