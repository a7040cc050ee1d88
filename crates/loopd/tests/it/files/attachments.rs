//! Files at records: who sees the record sees them, who may change it attaches and detaches.

use loopd_testkit::{each_engine, json};
use loopd_types::DAY_US;
use serde_json::Value;

use super::{contents, form, ledger, picture, shelve, sweep, upload};
use crate::support::{Actor, World};

async fn customer(actor: &Actor) -> String {
    let id = actor.make("/api/v1/booking/customers/", json!({"title": "Aline", "name": "Aline"})).await;
    format!("/api/v1/booking/customers/{id}/")
}

each_engine! {
    async fn a_record_has_files(world: &World) {
        let owner = world.owner().await;
        let record = customer(&owner).await;
        let base = format!("{record}attachments/");
        let made = upload(&owner, &base, "scan.png", &picture(400, 300)).await.expect_status(201);
        let row = made.json();
        assert_eq!((&row["name"], &row["content_type"], &row["created_by"]), (&json!("scan.png"), &json!("image/png"), &json!(owner.user)));
        let listed = owner.get(&base).await.expect_status(200).json();
        assert_eq!((&listed["count"], &listed["results"][0]), (&json!(1), &row));
        let item = made.header("location").unwrap().to_owned();
        assert_eq!(owner.get(&format!("{item}content/")).await.expect_status(200).body, picture(400, 300));
        owner.get(&format!("{item}content/?thumbnail=128")).await.expect_status(200);
        assert_eq!(owner.get("/api/v1/files/").await.expect_status(200).at("/count"), 0, "it is not on the shelf");
        let file = row["file"].as_str().unwrap();
        for path in [format!("/api/v1/files/{file}/"), format!("/api/v1/files/{file}/content/")] {
            owner.get(&path).await.expect_refusal(404, "not_found");
        }
        let history = owner.get(&format!("{record}history/")).await.expect_status(200).json();
        assert_eq!(history["results"][0]["action"], "attach", "{history:#}");
        owner.delete(&item).await.expect_status(204);
        owner.delete(&item).await.expect_refusal(404, "not_found");
        sweep(world).await;
        assert_eq!((contents(world).len(), ledger(world).await), (0, 0), "nobody else has it");
        let kinds = world.kernel.db.read(loopd_store::View::System, |reader| {
            Ok(reader.query("SELECT kind FROM events WHERE kind LIKE '%.file-%' ORDER BY position", &[], |row| Ok(row.text(0)?.to_owned()))?)
        });
        assert_eq!(kinds.await.unwrap(), ["booking.customer.file-attached", "booking.customer.file-detached"]);
    }

    async fn a_file_of_the_shelf_may_be_at_several_records(world: &World) {
        let owner = world.owner().await;
        let (one, two) = (customer(&owner).await, customer(&owner).await);
        let file = shelve(&owner, "terms.pdf", b"%PDF-1.7 terms").await["id"].clone();
        let attach = |record: &str| owner.post(&format!("{record}attachments/")).json(&json!({"file": file}));
        let first = attach(&one).await.expect_status(201).text_at("/id");
        attach(&one).await.expect_refusal(409, "already_attached");
        attach(&two).await.expect_status(201);
        let shelf = format!("/api/v1/files/{}/", file.as_str().unwrap());
        let refused = owner.delete(&shelf).await.expect_refusal(409, "file_attached");
        assert_eq!(refused.at("/error/details/attachments"), 2);
        // An attachment belongs to its record alone.
        owner.get(&format!("{two}attachments/{first}/content/")).await.expect_refusal(404, "not_found");
        owner.delete(&format!("{two}attachments/{first}/")).await.expect_refusal(404, "not_found");
        owner.delete(&format!("{one}attachments/{first}/")).await.expect_status(204);
        owner.get(&shelf).await.expect_status(200);
    }

    async fn what_was_uploaded_to_be_attached_waits_a_day(world: &World) {
        let owner = world.owner().await;
        let record = customer(&owner).await;
        let colleague = world.member(&owner, "mona", "manager").await;
        let send = async || {
            let (content_type, body) = form("a.txt", "text/plain", b"hello", &[("purpose", "attachment")]);
            owner.post("/api/v1/files/").body(&content_type, body).await.expect_status(201).at("/id")
        };
        let (used, forgotten): (Value, Value) = (send().await, send().await);
        let attach = |actor: &Actor, file: &Value| actor.post(&format!("{record}attachments/")).json(&json!({"file": file}));
        attach(&colleague, &used).await.expect_field("file", "does_not_exist");
        attach(&owner, &used).await.expect_status(201);
        world.clock.advance(DAY_US + 1);
        sweep(world).await;
        assert_eq!((contents(world).len(), ledger(world).await), (1, 0));
        let owner = world.sign_in(&owner.email, "001").await;
        attach(&owner, &forgotten).await.expect_field("file", "does_not_exist");
    }

    async fn the_records_permission_decides(world: &World) {
        let (owner, stranger) = world.strangers().await;
        let record = customer(&owner).await;
        let base = format!("{record}attachments/");
        let item = upload(&owner, &base, "a.txt", b"hello").await.expect_status(201).header("location").unwrap().to_owned();
        let viewer = world.member(&owner, "vera", "viewer").await;
        viewer.get(&base).await.expect_status(200);
        viewer.get(&format!("{item}content/")).await.expect_status(200);
        upload(&viewer, &base, "b.txt", b"x").await.expect_refusal(403, "permission_denied");
        viewer.delete(&item).await.expect_refusal(403, "permission_denied");
        let role = world.role(&owner, &["core.files.*", "payments.*"]).await;
        let other = world.member(&owner, "otto", &role).await;
        other.get(&base).await.expect_refusal(403, "permission_denied");
        other.get(&format!("{item}content/")).await.expect_refusal(403, "permission_denied");
        let mine = customer(&stranger).await;
        for request in [
            stranger.get(&base),
            stranger.get(&format!("{item}content/")),
            stranger.delete(&item),
            upload(&stranger, &base, "b.txt", b"x"),
            stranger.get(&format!("{mine}attachments/{}/content/", item.trim_end_matches('/').rsplit('/').next().unwrap())),
        ] {
            request.await.expect_refusal(404, "not_found");
        }
        let file = shelve(&owner, "a.txt", b"secret").await["id"].clone();
        stranger.post(&format!("{mine}attachments/")).json(&json!({"file": file})).await.expect_field("file", "does_not_exist");
        assert_eq!(ledger(world).await, 0);
    }

    async fn a_key_attaches_once(world: &World) {
        let owner = world.owner().await;
        let base = format!("{}attachments/", customer(&owner).await);
        let once = owner.with_header("idempotency-key", "once");
        let first = upload(&once, &base, "a.txt", b"hello").await.expect_status(201);
        let again = upload(&once, &base, "a.txt", b"hello").await.expect_status(201);
        assert_eq!(again.json(), first.json());
        assert_eq!((contents(world).len(), ledger(world).await), (1, 0));
        owner.post(&base).json(&json!({})).await.expect_field("file", "required");
        owner.post(&base).body("application/json", "{").await.expect_refusal(400, "parse_error");
    }
}
