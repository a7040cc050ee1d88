//! `/api/v1/audit-logs/`: who was refused what and why, the search, the export, and how long it all stays.

use loopd_store::params;
use loopd_testkit::{assert_json, each_engine, json};
use loopd_types::{CompanyId, DAY_US, Ids, Timestamp};
use serde_json::Value;

use crate::support::{Actor, World};

const AUDIT: &str = "/api/v1/audit-logs/";
const APPOINTMENTS: &str = "/api/v1/booking/appointments/";

/// The refusals that this person finds, and how many rows tell of them. The server writes some by itself in between, so rows of one kind
/// are put together here.
async fn refusals_in(world: &World, actor: &Actor) -> (Vec<Value>, usize) {
    world.kernel.flush_refusals(true).await.expect("refusals are written");
    let found = actor.get(AUDIT).query("action", "refused").query("page_size", "100").await.expect_status(200).json();
    let rows = found["results"].as_array().expect("rows").clone();
    let (count, mut kinds) = (rows.len(), Vec::<Value>::new());
    for row in rows {
        let is_same = |known: &&mut Value| ["user", "target", "label"].iter().all(|name| known[name] == row[name]);
        match kinds.iter_mut().find(is_same) {
            Some(known) => {
                let times = |row: &Value| row["changes"]["times"].as_u64().expect("a number");
                known["changes"]["times"] = json!(times(known) + times(&row));
            }
            None => kinds.push(row),
        }
    }
    (kinds, count)
}

async fn refusals(world: &World, actor: &Actor) -> Vec<Value> {
    refusals_in(world, actor).await.0
}

/// A row as it would have been written this many days ago.
async fn old_row(world: &World, company: i64, days: i64, label: &'static str) {
    let at = Timestamp(world.kernel.now().micros() - days * DAY_US);
    let id = Ids::default().next_at(at, &loopd_types::OsRng);
    let written = world.kernel.db.write(loopd_store::View::System, move |tx| {
        Ok(tx.execute(
            "INSERT INTO audit_logs (company_id, id, at, action, module, resource, target_id, target_label) \
             VALUES ($1, $2, $3, 'create', 'core', 'tests', '', $4)",
            &params![CompanyId(company), id, at, label],
        )?)
    });
    assert_eq!(written.await.expect("a row"), 1);
}

each_engine! {
    async fn a_refusal_is_told_to_the_administrator_with_the_permission_that_was_missing(world: &World) {
        let owner = world.owner().await;
        let viewer = world.member(&owner, "vera", "viewer").await;
        for _ in 0..3 {
            viewer.post(APPOINTMENTS).json(&json!({"title": "x"})).await.expect_refusal(403, "permission_denied");
        }
        let rows = refusals(world, &owner).await;
        assert_eq!(rows.len(), 1, "{rows:?}");
        assert_json!(rows[0], {
            "company": "001", "user": viewer.user, "email": "vera@example.com", "module": "booking", "resource": "appointments",
            "target": "booking_appointments_create", "label": "permission_denied: booking.appointments.create",
            "changes": {"code": "permission_denied", "status": 403, "permission": "booking.appointments.create", "times": 3},
        });
        assert!(rows[0]["address"].as_str().is_some_and(|address| address.starts_with("10.")), "{rows:?}");
        assert!(rows[0]["request_id"].is_string(), "the last request is named");
        // The client learns no more than before.
        let answer = viewer.post(APPOINTMENTS).json(&json!({"title": "x"})).await;
        assert!(!answer.text().contains("booking.appointments.create"), "{}", answer.text());
        // Searchable by what people know.
        for (name, value) in [("search", "vera"), ("search", "appointments.create"), ("email", "vera@example.com"), ("target", "booking_appointments_create")] {
            let found = owner.get(AUDIT).query("action", "refused").query(name, value).await.expect_status(200);
            assert_ne!(found.at("/count"), json!(0), "{name}={value}");
        }
        assert_eq!(owner.get(AUDIT).query("search", "nothing-like-it").await.at("/count"), json!(0));
    }

    async fn every_reason_has_its_words_and_refusals_in_handlers_count_too(world: &World) {
        let owner = world.owner().await;
        let admin = world.member(&owner, "adam", "admin").await;
        let membership = owner.membership().await;
        admin.patch(&format!("/api/v1/memberships/{membership}/")).json(&json!({"role": "viewer"})).await.expect_status(403);
        let (_, key) = world.key(&owner, &["booking.*"]).await;
        key.get("/api/v1/cms/pages/").await.expect_refusal(403, "insufficient_scope");
        let staff = world.member(&owner, "stan", "staff").await;
        let elsewhere = staff.with_header("x-workspace-id", "0197a000-0000-7000-8000-000000000000");
        elsewhere.get(APPOINTMENTS).await.expect_refusal(403, "workspace_access_denied");
        let rows = refusals(world, &owner).await;
        let codes: Vec<&str> = rows.iter().filter_map(|row| row["changes"]["code"].as_str()).collect();
        for code in ["permission_denied", "insufficient_scope", "workspace_access_denied"] {
            assert!(codes.contains(&code), "{code} in {rows:?}");
        }
        let owner_only = rows.iter().find(|row| row["user"] == json!(admin.user)).expect("the admin's");
        assert_eq!(owner_only["changes"]["message"], "Only an owner may change an owner.");
        let by_key = rows.iter().find(|row| row["changes"]["code"] == "insufficient_scope").expect("the key's");
        assert!(by_key["credential"].is_string(), "{by_key}");
    }

    async fn a_stranger_leaves_no_mark_in_a_company_and_a_former_member_does(world: &World) {
        let (owner, stranger) = world.strangers().await;
        stranger.in_company("001").get(APPOINTMENTS).await.expect_refusal(403, "company_access_denied");
        let member = world.member(&owner, "mia", "staff").await;
        let id = owner.get("/api/v1/memberships/").query("user", &member.user).await.text_at("/results/0/id");
        owner.post(&format!("/api/v1/memberships/{id}/suspend/")).await.expect_status(200);
        member.get(APPOINTMENTS).await.expect_refusal(403, "company_access_denied");
        let rows = refusals(world, &owner).await;
        assert_eq!(rows.len(), 1, "{rows:?}");
        assert_eq!(rows[0]["user"], json!(member.user));
        assert!(refusals(world, &stranger).await.is_empty());
        // The operator sees the stranger, too.
        let root = world.superuser().await;
        let all = root.get(AUDIT).query("action", "refused").query("user", &stranger.user).await.expect_status(200);
        assert_eq!(all.at("/results/0/company"), Value::Null);
    }

    async fn a_flood_of_refusals_is_a_handful_of_rows(world: &World) {
        let owner = world.owner().await;
        let viewer = world.member(&owner, "vera", "viewer").await;
        for _ in 0..60 {
            viewer.delete(&format!("{APPOINTMENTS}0197a000-0000-7000-8000-000000000000/")).await.expect_status(403);
        }
        // Past the pause between two rows of one kind, not past the life of a token.
        world.clock.advance(20 * loopd_types::MINUTE_US);
        for _ in 0..60 {
            viewer.delete(&format!("{APPOINTMENTS}0197a000-0000-7000-8000-000000000000/")).await.expect_status(403);
        }
        let (kinds, rows) = refusals_in(world, &owner).await;
        assert_eq!(kinds.len(), 1, "{kinds:?}");
        assert_eq!(kinds[0]["changes"]["times"], json!(120), "each is counted");
        assert!(rows <= 6, "{rows} rows");
    }

    async fn what_happened_to_a_record_is_found_by_its_id_from_its_making_on(world: &World) {
        let owner = world.owner().await;
        let made = owner.post(APPOINTMENTS).json(&json!({"title": "x"})).await.expect_status(201).json();
        let other = owner.post(APPOINTMENTS).json(&json!({"title": "y"})).await.expect_status(201).json();
        let id = made["id"].as_str().expect("an id");
        owner.patch(&format!("{APPOINTMENTS}{id}/")).json(&json!({"title": "z"})).await.expect_status(200);
        let actions = |found: Value| -> Vec<(Value, Value)> {
            let rows = found["results"].as_array().expect("rows").iter();
            rows.map(|row| (row["action"].clone(), row["target"].clone())).collect()
        };
        let found = owner.get(AUDIT).query("target", id).await.expect_status(200).json();
        assert_eq!(actions(found.clone()), [(json!("update"), json!(id)), (json!("create"), json!(id))]);
        // The row of the making has the record's own id; the others have their own.
        assert_eq!(found["results"][1]["id"], made["id"]);
        assert_ne!(found["results"][0]["id"], made["id"]);
        let row = owner.get(&format!("{AUDIT}{id}/")).await.expect_status(200).json();
        assert_json!(row, {"action": "create", "module": "booking", "resource": "appointments", "target": id});
        let both = owner.get(AUDIT).query("action", "create").query("resource", "appointments").await.json();
        assert_eq!(both["count"], 2, "{both}");
        assert_eq!(both["results"][0]["target"], other["id"], "newest first");
        // What is no record is found by its words as before.
        let code = owner.get(AUDIT).query("target", "nothing").await.expect_status(200).json();
        assert_eq!(code["count"], 0);
    }

    async fn a_search_by_time_is_exact(world: &World) {
        let owner = world.owner().await;
        for (days, label) in [(10, "ten"), (20, "twenty"), (30, "thirty")] {
            old_row(world, 1, days, label).await;
        }
        let now = world.kernel.now();
        let moment = |days: i64| Timestamp(now.micros() - days * DAY_US).to_string();
        let between = owner.get(AUDIT).query("at__gte", &moment(25)).query("at__lt", &moment(15)).await.expect_status(200);
        assert_json!(between.json(), {"count": 1, "results": [{"label": "twenty"}]});
        let before = owner.get(AUDIT).query("at__lte", &moment(20)).await.expect_status(200);
        assert_eq!(before.at("/count"), json!(2));
        owner.get(AUDIT).query("at__gte", "yesterday").await.expect_field("at__gte", "invalid");
    }

    async fn the_whole_log_of_one_company_can_be_taken_away(world: &World) {
        let (owner, stranger) = world.strangers().await;
        for number in 0..1_100 {
            let label: &'static str = if number % 2 == 0 { "=even()" } else { "odd" };
            old_row(world, 1, 1 + number % 300, label).await;
        }
        old_row(world, 2, 5, "not theirs").await;
        let lines = owner.get(&format!("{AUDIT}export/")).await.expect_status(200);
        assert_eq!(lines.header("content-type"), Some("application/ndjson"));
        let rows: Vec<Value> = lines.text().lines().map(|line| serde_json::from_str(line).expect("a row a line")).collect();
        let mut ids: Vec<&str> = rows.iter().map(|row| row["id"].as_str().expect("an id")).collect();
        assert!(ids.len() > 1_100 && rows.iter().all(|row| row["company"] == "001"), "{}", ids.len());
        let all = ids.len();
        ids.dedup();
        assert!(ids.len() == all && ids.is_sorted_by(|a, b| a > b), "each once, newest first");
        let csv = owner.get(&format!("{AUDIT}export/")).query("format", "csv").query("label", "=even()").await.expect_status(200);
        let text = csv.text();
        assert_eq!(text.lines().count(), 1 + 550, "a header and the even ones");
        assert!(text.starts_with("id,company,at,action,") && text.contains(",'=even(),"), "no formula gets through");
        owner.get(&format!("{AUDIT}export/")).query("format", "xls").await.expect_status(404);
        // The export is on record, and is not everybody's.
        assert_eq!(owner.get(AUDIT).query("action", "export").await.at("/count"), json!(2));
        assert_eq!(stranger.get(AUDIT).query("action", "export").await.at("/count"), json!(0));
        let developer = world.member(&owner, "dev", "developer").await;
        developer.get(AUDIT).await.expect_status(200);
        developer.get(&format!("{AUDIT}export/")).await.expect_refusal(403, "permission_denied");
    }

    async fn what_is_over_is_removed_and_nothing_else(world: &World) {
        let owner = world.owner().await;
        for (company, days, label) in [
            (1, 364, "kept"), (1, 366, "over"), (1, 900, "long over"), (0, 364, "kept"), (0, 366, "over"),
        ] {
            old_row(world, company, days, label).await;
        }
        world.kernel.db.write(loopd_store::View::System, |tx| {
            let now = 1_000_000_i64;
            let insert = "INSERT INTO jobs (id, kind, payload, unique_key, state, run_at, created_at, finished_at) VALUES ($1, 'test', '{}', $2, $3, 0, 0, $4)";
            for (number, key, state, finished) in [
                (1_u128, None, "done", Some(now)), (2, Some("schedule:x:1"), "done", Some(now)), (3, Some("mine"), "done", Some(now)),
                (4, None, "failed", Some(now)), (5, None, "queued", None),
            ] {
                let id = loopd_types::Uuid::from_u128(number);
                tx.execute(insert, &params![id, key, state, finished])?;
            }
            Ok(())
        }).await.expect("rows");
        let count = async |sql: &'static str| {
            let read = move |reader: &mut loopd_store::Reader<'_>| Ok(reader.one(sql, &[], |row| row.i64(0))?);
            world.kernel.db.read(loopd_store::View::System, read).await.expect("a count")
        };
        // The server sweeps by itself, too: what counts is what is left.
        loopd_kernel::retention::sweep(&world.kernel, &[], || true).await;
        assert_eq!(count("SELECT count(*) FROM jobs WHERE kind = 'test'").await, 2, "a unique key of its own stays, and what waits");
        assert_eq!(count("SELECT count(*) FROM audit_logs WHERE target_label = 'kept'").await, 2);
        assert_eq!(count("SELECT count(*) FROM audit_logs WHERE target_label LIKE '%over'").await, 0);
        owner.get("/api/v1/auth/me/").await.expect_status(200);
        let again = loopd_kernel::retention::sweep(&world.kernel, &[], || true).await;
        assert!(again.iter().all(|one| one.rows == 0), "{again:?}");
        // Told to stop, it stops.
        old_row(world, 1, 500, "over").await;
        loopd_kernel::retention::sweep(&world.kernel, &[], || false).await;
        assert_eq!(count("SELECT count(*) FROM audit_logs WHERE target_label = 'over'").await, 1);
    }

    async fn what_was_sealed_cannot_be_changed_unseen(world: &World) {
        use loopd_kernel::seal;
        let company = CompanyId(1);
        world.owner().await;
        for days in [1, 2, 2, 2, 4, 6, 400] {
            old_row(world, 1, days, "sealed").await;
        }
        // Days without rows need no seal, and today is not over. The server seals and sweeps by itself, too: what counts is what is left.
        seal::seal_all(&world.kernel).await.expect("seals");
        assert_eq!(seal::seal_all(&world.kernel).await.expect("seals"), 0);
        let look = async || seal::verify(&world.kernel, company).await.expect("a look");
        let report = look().await;
        assert_eq!((report.whole, report.broken.as_slice()), (4, &[] as &[String]), "{report:?}");
        assert!(report.expired <= 1, "a day that is over may be swept before it is sealed: {report:?}");
        let change = async |sql: String| {
            let done = world.kernel.db.write(loopd_store::View::System, move |tx| Ok(tx.execute(&sql, &[])?)).await;
            assert_eq!(done.expect("a change"), 1);
        };
        let day = |days: i64| (world.kernel.now().micros() - days * DAY_US) / DAY_US;
        let one = |days: i64| {
            let at = world.kernel.now().micros() - days * DAY_US;
            format!("company_id = 1 AND at = {at}")
        };
        // Words about people may be taken away; what happened may not be changed.
        change(format!("UPDATE audit_logs SET target_label = 'erased' WHERE {}", one(1))).await;
        assert!(look().await.broken.is_empty());
        change(format!("UPDATE audit_logs SET action = 'nothing' WHERE {}", one(4))).await;
        let broken = look().await.broken;
        assert_eq!(broken.len(), 1, "{broken:?}");
        change(format!("UPDATE audit_logs SET action = 'create' WHERE {}", one(4))).await;
        assert!(look().await.broken.is_empty());
        change(format!("DELETE FROM audit_logs WHERE {}", one(4))).await;
        assert_eq!(look().await.broken.len(), 1);
        // Neither does it help to take the seal away as well, nor to write another one.
        change(format!("DELETE FROM audit_seals WHERE company_id = 1 AND day = {}", day(4))).await;
        let broken = look().await.broken;
        assert!(broken.len() == 1 && broken[0].contains("before it is gone"), "{broken:?}");
        change(format!("UPDATE audit_seals SET rows_sealed = 0 WHERE company_id = 1 AND day = {}", day(2))).await;
        let broken = look().await.broken;
        assert!(broken.iter().any(|words| words.contains("not ours")), "{broken:?}");
    }
}
