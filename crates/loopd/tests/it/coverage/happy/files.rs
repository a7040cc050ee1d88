//! Files, and a company as an archive.

use http::Method;
use loopd_testkit::json;

use super::Tour;
use crate::support::{World, eventually};

/// The shelf, a link, and an upload in pieces.
pub(super) async fn files(world: &World, tour: &mut Tour) {
    let made = tour.upload("/api/v1/files/").await.text_at("/id");
    let item = format!("/api/v1/files/{made}/");
    for path in ["/api/v1/files/", &item, &format!("{item}content/")] {
        tour.get(path).await;
    }
    tour.patch(&item, json!({"name": "b.txt"})).await;
    let link = tour.post(&format!("{item}link/"), json!({})).await.text_at("/url");
    let nobody = world.client();
    let path = link.strip_prefix(&world.base).expect("a link of ours").to_owned();
    tour.get_as(&nobody, &path).await;
    tour.post("/api/v1/files/revoke-links/", json!({})).await;
    tour.delete(&item).await;
    let tus = tour.owner.with_header("tus-resumable", "1.0.0");
    for _ in 0..2 {
        let request = tus.post("/api/v1/files/uploads/").header("upload-length", "5");
        let upload = tour.call(Method::POST, "/api/v1/files/uploads/", request).await;
        let upload = upload
            .header("location")
            .expect("where the pieces go")
            .strip_prefix(&world.base)
            .expect("a path of ours")
            .to_owned();
        tour.get_as(&tus, &upload).await;
        let piece = tus.patch(&upload).header("upload-offset", "0").body("application/offset+octet-stream", "hel");
        tour.call(Method::PATCH, &upload, piece).await;
        tour.call(Method::DELETE, &upload, tus.delete(&upload)).await;
    }
}

pub(super) async fn exports(world: &World, tour: &mut Tour) {
    let base = "/api/v1/company-exports/";
    // Cancelled before it is made, unless the runner is faster: then the next.
    loop {
        let item = format!("{base}{}/", tour.post(base, json!({})).await.text_at("/id"));
        if tour.post(&format!("{item}cancel/"), json!({})).await.status == 200 {
            break;
        }
    }
    let item = format!("{base}{}/", tour.post(base, json!({})).await.text_at("/id"));
    let owner = tour.owner.clone();
    eventually("the archive is there", async || owner.get(&item).await.json()["state"] == "ready").await;
    for path in [base, &item, &format!("{item}content/")] {
        tour.get(path).await;
    }
    tour.post(&format!("{item}link/"), json!({})).await;
    let archive = owner.get(&format!("{item}content/")).await.expect_status(200).body;
    let shelved = owner.post("/api/v1/files/?name=archive.tar.gz").body("application/gzip", archive).await;
    imports(world, tour, &shelved.expect_status(201).text_at("/id")).await;
}

/// The same company again, which is refused by the job; cancelled before, unless the runner is faster.
async fn imports(world: &World, tour: &mut Tour, file: &str) {
    let operator = world.superuser_named("importer").await;
    let base = "/api/v1/company-imports/";
    loop {
        let made = tour.post_as(&operator, base, json!({"file": file, "dry_run": true})).await.text_at("/id");
        let item = format!("{base}{made}/");
        tour.get_as(&operator, &item).await;
        if tour.post_as(&operator, &format!("{item}cancel/"), json!({})).await.status == 200 {
            break;
        }
    }
    tour.get_as(&operator, base).await;
}

pub(super) async fn data_subjects(tour: &mut Tour) {
    let who = json!({"email": "somebody@mail.example"});
    tour.post("/api/v1/data-subjects/find/", who.clone()).await;
    let erased = tour.post("/api/v1/data-subjects/erase/", who).await;
    tour.get("/api/v1/data-subjects/erasures/").await;
    tour.get(&format!("/api/v1/data-subjects/erasures/{}/", erased.text_at("/id"))).await;
}
