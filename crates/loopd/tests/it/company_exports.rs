//! `/company-exports/`: all that a company owns, for its owner alone.

use std::io::Read as _;

use flate2::read::GzDecoder;
use loopd_kernel::file;
use loopd_kernel::job::{self, NewJob};
use loopd_kernel::transfer::{self, ordered};
use loopd_store::{View, params};
use loopd_testkit::{Client, assert_json, each_engine, json};
use loopd_types::{CompanyId, DAY_US, Uuid, sha256_hex};
use serde_json::Value;

use crate::files::{contents, ledger, shelve, sweep};
use crate::support::{Actor, World, eventually};

const EXPORTS: &str = "/api/v1/company-exports/";
const OURS: CompanyId = CompanyId(1);

fn item(id: &str) -> String {
    format!("{EXPORTS}{id}/")
}

async fn row(owner: &Client, id: &str) -> Value {
    owner.get(&item(id)).await.expect_status(200).json()
}

/// Waits until an export is no longer under way, and gives its row.
async fn ended(owner: &Client, id: &str) -> Value {
    eventually("the export has ended", async || {
        !["queued", "running"].contains(&row(owner, id).await["state"].as_str().unwrap())
    })
    .await;
    row(owner, id).await
}

async fn ask(owner: &Client) -> String {
    owner.post(EXPORTS).await.expect_status(202).text_at("/id")
}

/// An export in the words of its row, as if somebody had asked and a worker had begun; with a job if `lease_until` is given.
async fn begun(world: &World, by: &Actor, state: &'static str, lease_until: Option<i64>) -> Uuid {
    let (id, user, now) = (world.kernel.new_id(), Uuid::parse_str(&by.user).unwrap(), world.kernel.now());
    let kernel = world.kernel.clone();
    let made = world.kernel.db.write(View::System, move |tx| {
        tx.execute(
            "INSERT INTO company_exports (company_id, id, state, attempt, created_by, created_at, updated_at) VALUES (1, $1, $2, 3, $3, $4, $4)",
            &params![id, state, user, now],
        )?;
        let Some(lease_until) = lease_until else { return Ok(()) };
        let (payload, key) = (json!({"export": id.to_string()}).to_string(), format!("company-export:{id}"));
        job::enqueue(tx, &kernel, &NewJob { kind: ordered::JOB, company: OURS, payload, run_at: now, unique_key: Some(&key) })?;
        tx.execute("UPDATE jobs SET state = 'running', attempts = 1, lease_owner = 'gone', lease_until = $2 WHERE unique_key = $1",
            &params![key.as_str(), lease_until])?;
        Ok(())
    });
    made.await.unwrap();
    id
}

fn names(archive: &[u8]) -> Vec<String> {
    let mut tar = tar::Archive::new(GzDecoder::new(archive));
    let entries = tar.entries().expect("a tar").map(|entry| {
        let mut entry = entry.expect("a member");
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("its content");
        String::from_utf8(entry.path_bytes().into_owned()).expect("a name")
    });
    entries.collect()
}

each_engine! {
    async fn an_owner_gets_all_of_the_company_in_one_file(world: &World) {
        let (owner, stranger) = world.strangers().await;
        shelve(&owner, "a.txt", b"hello").await;
        shelve(&stranger, "b.txt", b"not ours").await;
        let asked = owner.post(EXPORTS).json(&json!({})).await.expect_status(202);
        let id = asked.text_at("/id");
        assert_eq!(asked.header("location"), Some(&*item(&id)));
        assert_json!(asked.json(), {"state": "queued", "company": "001", "leave_out_lost": false, "created_by": owner.user, "size_bytes": null});
        let ready = ended(&owner, &id).await;
        assert_json!(ready, {"state": "ready", "bytes_done": 5, "bytes_total": 5, "error_code": null});
        assert!(ready["rows_done"].as_i64() > Some(5) && ready["rows_done"] == ready["rows_total"], "{ready}");
        // Read by its owner, and by whoever has a link for a quarter of an hour; in part as well.
        let archive = owner.get(&format!("{}content/", item(&id))).await.expect_status(200);
        assert!(archive.header("content-disposition").is_some_and(|name| name.contains("001-") && name.contains(".tar.gz")));
        assert_eq!((json!(archive.body.len()), json!(sha256_hex(&archive.body))), (ready["size_bytes"].clone(), ready["sha256"].clone()));
        let names = names(&archive.body);
        assert_eq!(names.last().unwrap(), "manifest.json");
        assert!(names.contains(&format!("files/{}", sha256_hex(b"hello"))), "{names:?}");
        assert_eq!(names.iter().filter(|name| name.starts_with("files/")).count(), 1);
        let made = owner.post(&format!("{}link/", item(&id))).await.expect_status(200);
        let link = made.text_at("/url").replace(&world.base, "");
        assert_eq!(world.client().get(&link).await.expect_status(200).body, archive.body);
        let part = world.client().get(&link).header("range", "bytes=2-9").await.expect_status(206);
        assert_eq!(part.body, archive.body[2..10]);
        world.clock.advance(15 * loopd_types::MINUTE_US);
        world.client().get(&link).await.expect_refusal(410, "link_expired");
        // The company's own room is not taken, and the archive is no file of the shelf.
        let used = world.kernel.db.read(View::System, |reader| Ok(file::used_bytes(reader, OURS)?)).await.unwrap();
        assert_eq!((used, owner.get("/api/v1/files/").await.at("/count").clone()), (5, json!(1)));
        let letters = world.letters(&owner.email).await;
        let letter = letters.iter().find(|letter| letter.template == "export-ready").expect("a letter");
        assert!(letter.text.contains(&format!("{EXPORTS}{id}/content/")) && !letter.text.contains("signature"), "{}", letter.text);
        let log = owner.get("/api/v1/audit-logs/?resource=company-exports&ordering=at").await.expect_status(200).json();
        let acts: Vec<&str> = log["results"].as_array().unwrap().iter().filter_map(|row| row["action"].as_str()).collect();
        assert_eq!(acts, ["create", "finish", "fetch", "fetch"]);
        let kinds = world.kernel.db.read(View::System, |reader| {
            Ok(reader.query("SELECT kind FROM events WHERE kind LIKE 'core.company-export%' ORDER BY position", &[], |row| Ok(row.text(0)?.to_owned()))?)
        });
        assert_eq!(kinds.await.unwrap(), ["core.company-export.created", "core.company-export.ready"]);
        assert_eq!(stranger.get(EXPORTS).await.expect_status(200).at("/count"), 0);
    }

    async fn one_is_made_at_a_time_and_may_be_cancelled(world: &World) {
        let owner = world.owner().await;
        let id = begun(world, &owner, "running", None).await.to_string();
        let refused = owner.post(EXPORTS).await.expect_refusal(409, "export_under_way");
        assert_eq!(refused.at("/error/details/export"), id.as_str());
        for what in ["link/", "content/"] {
            let path = format!("{}{what}", item(&id));
            let request = if what == "link/" { owner.post(&path) } else { owner.get(&path) };
            request.await.expect_refusal(409, "export_not_ready");
        }
        assert_json!(owner.post(&format!("{}cancel/", item(&id))).await.expect_status(200).json(), {"state": "cancelled"});
        owner.post(&format!("{}cancel/", item(&id))).await.expect_refusal(409, "invalid_transition");
        let once = || owner.post(EXPORTS).header("idempotency-key", "all-of-it").json(&json!({}));
        let (first, again) = (once().await.expect_status(202), once().await.expect_status(202));
        assert_eq!(first.text_at("/id"), again.text_at("/id"));
        assert_json!(ended(&owner, &first.text_at("/id")).await, {"state": "ready"});
        owner.post(&format!("{}cancel/", item(&first.text_at("/id")))).await.expect_refusal(409, "invalid_transition");
        owner.post(EXPORTS).json(&json!({"leave_out_lost": "perhaps"})).await.expect_field("leave_out_lost", "invalid");
    }

    async fn what_is_made_stops_when_it_is_cancelled_and_leaves_nothing(world: &World) {
        let owner = world.owner().await;
        // Nothing that gets smaller, and enough of it that there is time.
        let mut state = 1u32;
        let large: Vec<u8> = (0..30_000_000u32).map(|_| { state ^= state << 13; state ^= state >> 17; state ^= state << 5; state as u8 }).collect();
        shelve(&owner, "large.bin", &large).await;
        let id = ask(&owner).await;
        eventually("the archive is being made", async || row(&owner, &id).await["state"] != "queued").await;
        owner.post(&format!("{}cancel/", item(&id))).await.expect_status(200);
        eventually("its content is gone", async || contents(world).len() == 1 && ledger(world).await == 0).await;
        assert_json!(row(&owner, &id).await, {"state": "cancelled", "size_bytes": null});
        assert!(world.letters(&owner.email).await.iter().all(|letter| letter.template != "export-ready"));
    }

    async fn nobody_but_an_owner_in_person_comes_near_it(world: &World) {
        let (owner, stranger) = world.strangers().await;
        let admin = world.member(&owner, "adam", "admin").await;
        let root = world.superuser().await;
        let id = ask(&owner).await;
        ended(&owner, &id).await;
        let begun = root.post(&format!("/api/v1/users/{}/impersonate/", owner.user)).json(&json!({"reason": "Ticket 4711: it does not open"})).await;
        let helper = world.client().with_token(&begun.expect_status(201).text_at("/access")).company("001");
        let doors = |client: &Client| [
            client.get(EXPORTS),
            client.get(&item(&id)),
            client.post(EXPORTS),
            client.post(&format!("{}cancel/", item(&id))),
            client.post(&format!("{}link/", item(&id))),
            client.get(&format!("{}content/", item(&id))),
        ];
        for door in doors(&admin) {
            door.await.expect_refusal(403, "permission_denied");
        }
        for door in doors(&helper) {
            door.await.expect_refusal(403, "impersonation_forbidden");
        }
        for door in doors(&stranger).into_iter().skip(3) {
            door.await.expect_refusal(404, "not_found");
        }
        stranger.get(&item(&id)).await.expect_refusal(404, "not_found");
        // Nor may an admin give themselves or others what they have not.
        let role = json!({"name": "Leaver", "permissions": ["core.company-exports.*"]});
        admin.post("/api/v1/roles/").json(&role).await.expect_status(403);
        // Who was owner while asking, and is no more when it is made, gets nothing.
        let asked = self::begun(world, &admin, "queued", Some(0)).await.to_string();
        assert_json!(ended(&owner, &asked).await, {"state": "failed", "error_code": "permission_denied", "size_bytes": null});
    }

    async fn a_worker_that_died_is_followed_by_another_that_begins_anew(world: &World) {
        let owner = world.owner().await;
        shelve(&owner, "a.txt", b"hello").await;
        // Its lease ran out long ago.
        let id = begun(world, &owner, "running", Some(0)).await.to_string();
        assert_json!(ended(&owner, &id).await, {"state": "ready", "bytes_done": 5});
        assert_eq!((contents(world).len(), ledger(world).await), (2, 0), "the file and the archive");
        // One whose job is no more is given up an hour later, so that another can be asked for.
        let lost = begun(world, &owner, "running", None).await.to_string();
        transfer::sweep(&world.kernel).await.unwrap();
        assert_json!(row(&owner, &lost).await, {"state": "running"});
        world.clock.advance(61 * loopd_types::MINUTE_US);
        let owner = world.sign_in(&owner.email, "001").await;
        transfer::sweep(&world.kernel).await.unwrap();
        assert_json!(row(&owner, &lost).await, {"state": "failed", "error_code": "export_given_up"});
    }

    async fn an_archive_goes_after_a_week(world: &World) {
        let owner = world.owner().await;
        let id = ask(&owner).await;
        ended(&owner, &id).await;
        transfer::sweep(&world.kernel).await.unwrap();
        assert_eq!(contents(world).len(), 1);
        world.clock.advance(7 * DAY_US);
        let owner = world.sign_in(&owner.email, "001").await;
        let content = format!("{}content/", item(&id));
        owner.get(&content).await.expect_refusal(410, "export_expired");
        transfer::sweep(&world.kernel).await.unwrap();
        sweep(world).await;
        assert_eq!((contents(world).len(), ledger(world).await), (0, 0));
        assert_json!(row(&owner, &id).await, {"state": "expired"});
        owner.get(&content).await.expect_refusal(410, "export_expired");
        owner.post(&format!("{}link/", item(&id))).await.expect_refusal(410, "export_expired");
        let log = owner.get("/api/v1/audit-logs/?resource=company-exports&action=expire").await.expect_status(200).json();
        assert_json!(log, {"count": 1, "results": [{"user": null, "target": id}]});
    }

    async fn content_that_is_lost_is_named_and_may_be_left_out(world: &World) {
        let owner = world.owner().await;
        shelve(&owner, "gone.txt", b"gone").await;
        for content in contents(world) {
            std::fs::remove_file(content).unwrap();
        }
        let id = ask(&owner).await;
        let failed = ended(&owner, &id).await;
        assert_json!(failed, {"state": "failed", "error_code": "file_content_lost"});
        assert!(failed["error_message"].as_str().unwrap().contains("\"gone.txt\""), "{failed}");
        assert_eq!((contents(world).len(), ledger(world).await), (0, 0));
        let id = owner.post(EXPORTS).json(&json!({"leave_out_lost": true})).await.expect_status(202).text_at("/id");
        assert_json!(ended(&owner, &id).await, {"state": "ready", "leave_out_lost": true});
    }
}
