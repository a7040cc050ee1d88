//! `/data-subjects/`: somebody who is in a company's records and has no account.

use std::time::{Duration, Instant};

use loopd_kernel::erasure::{self, State};
use loopd_store::{StoreError, View};
use loopd_testkit::{Request, assert_json, each_engine, json};
use loopd_types::{SECOND_US, Uuid};
use serde_json::Value;

use crate::support::{Actor, Program, Reaction, Receiver, World, eventually};

const FIND: &str = "/api/v1/data-subjects/find/";
const ERASE: &str = "/api/v1/data-subjects/erase/";
const ERASURES: &str = "/api/v1/data-subjects/erasures/";
const BOOKED: &str = "/api/v1/booking/customers/";
/// Nothing of this is left anywhere.
const TRACES: [&str; 10] = [
    "w.oakes@mail.example",
    "minnie",
    "allergic",
    "cries easily",
    "friend_of",
    "passport",
    "crm-77",
    "vip",
    "sent it all back",
    "nonsense of hers",
];

/// A company's customer, by the ids of what it has of her.
struct Wilhelmina {
    customer: String,
    visit: String,
    payer: String,
    invoice: String,
    relative: String,
}

/// Makes what a company has of a customer, and of a relative who shares her number.
async fn wilhelmina(owner: &Actor) -> Wilhelmina {
    let booking = json!({
        "name": "Minnie Smith", "email": "w.oakes@mail.example", "phone": "+250788666321", "description": "Allergic to nuts",
        "data": {"shoe": 38, "friend_of": "Oakes"}, "tags": ["vip"], "external_id": "crm-77",
    });
    let customer = owner.make(BOOKED, booking).await;
    let relative = json!({"name": "Peter Oakes-Miller", "phone": "+250788666321", "email": "peter@mail.example"});
    let relative = owner.make(BOOKED, relative).await;
    let path = format!("{BOOKED}{customer}/");
    owner.patch(&path).json(&json!({"name": "Wilhelmina Oakes"})).await.expect_status(200);
    owner.patch(&path).json(&json!({"name": "Wilhelmina Mary Oakes"})).await.expect_status(200);
    let passport =
        owner.post(&format!("{path}attachments/")).query("name", "passport.txt").body("text/plain", "a passport");
    passport.await.expect_status(201);

    let visit = json!({
        "title": "Visit of Wilhelmina Mary Oakes", "customer": customer, "notes": "She cries easily",
        "starts_at": "2031-03-03T09:00:00Z", "ends_at": "2031-03-03T10:00:00Z",
    });
    let visit = owner.make("/api/v1/booking/appointments/", visit).await;
    owner.post(&format!("/api/v1/booking/appointments/{visit}/confirm/")).await.expect_status(200);
    let note = json!({"title": "Remember", "description": "Call W.Oakes@mail.example back"});
    owner.make("/api/v1/booking/appointments/", note).await;
    // A file of which a row was refused.
    let mut file = "name,email,description,user\n".to_owned();
    for number in 0..220 {
        file.push_str(&format!("Customer {number},c{number}@mail.example,,\n"));
    }
    file.push_str("W,w.oakes@mail.example,nonsense of hers,stranger@mail.example\n");
    let import = owner.post(&format!("{BOOKED}import/")).body("text/csv", file).await.expect_status(202).text_at("/id");
    let item = format!("/api/v1/imports/{import}/");
    eventually("the import is done", async || owner.get(&item).await.at("/state") == "done").await;

    let page = json!({"title": "Thanks", "slug": "thanks", "body": "Write to w.oakes@mail.example"});
    let page = owner.make("/api/v1/cms/pages/", page).await;
    owner
        .patch(&format!("/api/v1/cms/pages/{page}/"))
        .json(&json!({"body": "Thanks, Minnie Smith"}))
        .await
        .expect_status(200);
    owner.make("/api/v1/invitations/", json!({"email": "w.oakes@mail.example", "role": "viewer"})).await;

    let payer = json!({"name": "Wilhelmina Mary Oakes", "email": "w.oakes@mail.example", "address": "KN 5 Rd", "description": "Allergic to bills"});
    let payer = owner.make("/api/v1/payments/customers/", payer).await;
    let invoice = json!({
        "title": "For Wilhelmina Mary Oakes", "customer": payer, "notes": "Paid by w.oakes@mail.example",
        "lines": [{"description": "Cake", "qty": "1", "unit_price": 1000}],
    });
    let invoice = owner.make("/api/v1/payments/invoices/", invoice).await;
    owner.post(&format!("/api/v1/payments/invoices/{invoice}/finalize/")).await.expect_status(200);
    Wilhelmina { customer, visit, payer, invoice, relative }
}

fn who() -> Value {
    json!({"email": "w.oakes@mail.example", "name": "Wilhelmina Oakes"})
}

/// The erasure's row, when it is done.
async fn done(world: &World, owner: &Actor, id: &str) -> Value {
    world.clock.advance(4 * SECOND_US);
    let path = format!("{ERASURES}{id}/");
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let row = owner.get(&path).await.expect_status(200).json();
        if row["state"] == "done" {
            return row;
        }
        // Why is in the job.
        assert!(Instant::now() < deadline, "the erasure is never done: {row:#} {:?}", job_errors(world).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn job_errors(world: &World) -> Vec<Option<String>> {
    let sql = "SELECT last_error FROM jobs WHERE kind = 'erasure.go-on'";
    let read = world.kernel.db.read(View::System, move |reader| {
        Ok(reader.query(sql, &[], |row| Ok::<_, StoreError>(row.opt_text(0)?.map(str::to_owned)))?)
    });
    read.await.expect("jobs can be read")
}

/// Lines of a company's dump that hold one of `words`.
async fn traces(world: &World, company: i64, words: &[&str]) -> Vec<String> {
    let has = |line: &String| words.iter().any(|word| line.to_lowercase().contains(word));
    world.dump(Some(company)).await.into_iter().filter(has).collect()
}

fn line<'r>(row: &'r Value, table: &str) -> &'r Value {
    let lines = row["report"].as_array().expect("lines");
    lines.iter().find(|line| line["table"] == table).unwrap_or_else(|| panic!("no {table} in {row:#}"))
}

each_engine! {
    async fn a_customer_who_asks_is_forgotten_everywhere_but_where_the_law_keeps_her(world: &World) {
        let (owner, other, receiver) = (world.owner().await, world.register("other").await, Receiver::start().await);
        receiver.always("/", Reaction::With(200, "", "Allergic: sent it all back".into()));
        let hook = json!({"url": receiver.url, "events": ["booking.customers.updated"]});
        owner.make("/api/v1/webhook-endpoints/", hook).await;
        let her = wilhelmina(&owner).await;
        wilhelmina(&other).await;
        let answered = async || !traces(world, 1, &["sent it all back"]).await.is_empty();
        eventually("an answer is written down", answered).await;
        let theirs = world.dump(Some(2)).await;
        let before = traces(world, 1, &TRACES).await;
        for place in ["booking_customers.data", "booking_appointments.notes", "booking_appointments.description", "import_chunks.refusals",
            "events.payload", "audit_logs.changes", "audit_logs.target_label", "cms_revisions.body", "cms_pages.body", "files.name",
            "invitations.email", "webhook_attempts.response_body", "payments_invoices.notes", "booking_customers.external_id"] {
            assert!(before.iter().any(|line| line.starts_with(place)), "the test seeds nothing in {place}: {before:#?}");
        }

        // A look changes nothing but that it is on record.
        let found = owner.post(FIND).json(&who()).await.expect_status(200).json();
        assert_json!(found, {"count": 2});
        let names = found["names"].to_string();
        assert!(names.contains("Minnie Smith") && names.contains("Wilhelmina Mary Oakes") && !names.contains("Peter"), "{names}");
        let of = |path: String| {
            let records = found["records"].as_array().expect("records");
            records.iter().find(|record| record["record"] == path).unwrap_or_else(|| panic!("no {path} in {found:#}")).clone()
        };
        assert_json!(of(format!("booking/customers/{}", her.customer)), {"found_by": ["email"], "kept_by": null});
        let kept = of(format!("payments/customers/{}", her.payer));
        assert!(kept["kept_by"].as_str().is_some_and(|ground| ground.contains("tax law")), "{kept}");
        let version = async || owner.get(&format!("{BOOKED}{}/", her.customer)).await.at("/version").as_i64().expect("a version");
        let was = version().await;
        assert_eq!(traces(world, 1, &TRACES).await.len(), before.len());

        let keyed = |request: Request| request.header("idempotency-key", "forget-1").json(&who());
        let erasure = keyed(owner.post(ERASE)).await.expect_status(202).text_at("/id");
        assert_eq!(keyed(owner.post(ERASE)).await.expect_status(202).text_at("/id"), erasure, "asked for twice");
        let row = done(world, &owner, &erasure).await;
        assert_eq!(keyed(owner.post(ERASE)).await.expect_status(202).text_at("/id"), erasure, "asked for a third time");
        assert_json!(row, {"kind": "person", "asked_through": "company", "company": "001", "asked_by": owner.user});
        assert_json!(line(&row, "booking_customers"), {"pseudonymised": 1, "kept": 0});
        assert_json!(line(&row, "payments_customers"), {"pseudonymised": 1, "kept": 1});
        assert_json!(line(&row, "payments_invoices"), {"pseudonymised": 1, "kept": 1});
        assert!(line(&row, "payments_customers")["ground"].as_str().is_some_and(|ground| ground.contains("tax law")), "{row:#}");
        assert_json!(line(&row, "file_attachments"), {"erased": 1});
        assert!(!row.to_string().to_lowercase().contains("oakes"), "{row:#}");

        assert_eq!(traces(world, 1, &TRACES).await, [""; 0]);
        // Her name and address stay on the invoice and with whom it is for, and nowhere else.
        let names = traces(world, 1, &["wilhelmina", "kn 5 rd"]).await;
        let is_kept = |line: &String| line.starts_with("payments_invoices.title") || line.starts_with("payments_customers.");
        assert!(names.iter().all(is_kept), "{names:#?}");
        let payer = owner.get(&format!("/api/v1/payments/customers/{}/", her.payer)).await.expect_status(200).json();
        assert_json!(payer, {"name": "Wilhelmina Mary Oakes", "address": "KN 5 Rd", "email": null, "description": ""});
        let invoice = owner.get(&format!("/api/v1/payments/invoices/{}/", her.invoice)).await.expect_status(200).json();
        assert_json!(invoice, {"title": "For Wilhelmina Mary Oakes", "customer": her.payer, "total": "1000"});
        let gone = owner.get(&format!("{BOOKED}{}/", her.customer)).await.expect_status(200).json();
        assert_json!(gone, {"name": "Erased person", "title": "Erased person", "email": null, "phone": null, "description": "", "data": {},
            "tags": [], "external_id": null});
        assert_eq!(version().await, was + 1);
        let visit = owner.get(&format!("/api/v1/booking/appointments/{}/", her.visit)).await.expect_status(200).json();
        assert_json!(visit, {"status": "confirmed", "customer": her.customer, "title": "Visit of Erased person", "notes": null});
        // A relative who shares a name and a number is somebody else.
        let peter = owner.get(&format!("{BOOKED}{}/", her.relative)).await.expect_status(200).json();
        assert_json!(peter, {"name": "Peter Oakes-Miller", "phone": "+250788666321"});
        // A letter may have been sent meanwhile, and calls counted.
        let is_still = |line: &&String| !["mail_messages.state", "usage_counters."].iter().any(|name| line.starts_with(name));
        let still = world.dump(Some(2)).await;
        let (still, theirs): (Vec<_>, Vec<_>) = (still.iter().filter(is_still).collect(), theirs.iter().filter(is_still).collect());
        assert_eq!(still, theirs, "another company's customer is another company's");

        assert_json!(owner.post(FIND).json(&who()).await.expect_status(200).json(), {"count": 0});
        assert_json!(owner.get(ERASURES).await.expect_status(200).json(), {"count": 1});
        assert_json!(other.get(ERASURES).await.expect_status(200).json(), {"count": 0});
        other.get(&format!("{ERASURES}{erasure}/")).await.expect_status(404);
        let events = owner.get("/api/v1/platform-events/").query("type", "core.person.erased").await.expect_status(200);
        assert_eq!(events.at("/results").as_array().map(Vec::len), Some(1), "{}", events.text());
        let looks = owner.get("/api/v1/audit-logs/").query("resource", "data-subjects").await.expect_status(200);
        assert_json!(looks.json(), {"count": 3});
    }

    async fn an_erasure_that_is_cut_short_anywhere_goes_on_and_changes_each_row_once(world: &World) {
        let owner = world.owner().await;
        let her = wilhelmina(&owner).await;
        let customer = format!("{BOOKED}{}/", her.customer);
        let was = owner.get(&customer).await.at("/version").as_i64().expect("a version");
        let id = owner.post(ERASE).json(&who()).await.expect_status(202).text_at("/id");
        let id = Uuid::parse_str(&id).expect("an id");
        // The clock stands, so nobody else is at it. A future that is dropped is as good as a process that died there.
        let mut cuts = 0;
        for millis in 0.. {
            let going = erasure::go_on(&world.kernel, id, Duration::ZERO);
            match tokio::time::timeout(Duration::from_millis(millis), going).await {
                Ok(state) => {
                    assert_eq!(state.expect("an erasure goes on"), State::Done);
                    break;
                }
                Err(_) => cuts += 1,
            }
        }
        assert!(cuts > 0, "it was never cut short");
        assert_eq!(traces(world, 1, &TRACES).await, [""; 0]);
        assert_eq!(owner.get(&customer).await.at("/version"), json!(was + 1), "blanked once");
        let row = owner.get(&format!("{ERASURES}{id}/")).await.expect_status(200).json();
        assert_json!(line(&row, "booking_customers"), {"pseudonymised": 1});
        assert_json!(line(&row, "payments_invoices"), {"kept": 1});
        assert_json!(line(&row, "file_attachments"), {"erased": 1});
        // Two at once, on an erasure by all her names: nothing is left to change.
        let left = world.dump(Some(1)).await;
        let named = json!({"email": "w.oakes@mail.example", "name": "Wilhelmina Mary Oakes"});
        let again = owner.post(ERASE).json(&named).await.expect_status(202).text_at("/id");
        let again = Uuid::parse_str(&again).expect("an id");
        let (first, second) = tokio::join!(
            erasure::go_on(&world.kernel, again, Duration::ZERO),
            erasure::go_on(&world.kernel, again, Duration::ZERO)
        );
        assert_eq!((first.expect("goes on"), second.expect("goes on")), (State::Done, State::Done));
        let is_record = |line: &&String| ["booking_", "payments_", "cms_"].iter().any(|module| line.starts_with(module));
        let (left, now) = (left, world.dump(Some(1)).await);
        assert_eq!(now.iter().filter(is_record).collect::<Vec<_>>(), left.iter().filter(is_record).collect::<Vec<_>>());
        assert_eq!(owner.get(&customer).await.at("/version"), json!(was + 1), "and no version rises");
        let row = owner.get(&format!("{ERASURES}{again}/")).await.expect_status(200).json();
        assert_json!(line(&row, "payments_invoices"), {"pseudonymised": 0, "kept": 1});
        assert_json!(line(&row, "payments_customers"), {"pseudonymised": 0, "kept": 1});
    }

    async fn members_and_names_alone_are_not_erased_so_and_staff_may_not_ask(world: &World) {
        let owner = world.owner().await;
        let staff = world.member(&owner, "staffer", "staff").await;
        let admin = world.member(&owner, "adminer", "admin").await;
        let (_, key) = world.key(&owner, &["booking.*", "core.data-subjects.view"]).await;
        let limited = world.member(&owner, "limited", "admin").await;
        let membership = format!("/api/v1/memberships/{}/", limited.membership().await);
        owner.patch(&membership).json(&json!({"all_workspaces": false})).await.expect_status(200);
        for path in [FIND, ERASE] {
            staff.post(path).json(&who()).await.expect_status(403);
            key.post(path).json(&who()).await.expect_refusal(403, "insufficient_scope");
            limited.post(path).json(&who()).await.expect_refusal(403, "workspace_access_denied");
            world.client().post(path).json(&who()).await.expect_status(401);
            let alone = owner.post(path).json(&json!({"name": "Wilhelmina Oakes"})).await.expect_status(400);
            assert_json!(alone.json(), {"error": {"details": {"email": [{}]}}});
            for (field, wrong) in [("email", json!({"email": "oakes", "phone": "+250788666321"})), ("phone", json!({"email": "x@mail.example", "phone": "12"}))] {
                owner.post(path).json(&wrong).await.expect_field(field, "invalid");
            }
        }
        staff.get(ERASURES).await.expect_status(403);
        admin.post(FIND).json(&who()).await.expect_status(200);
        let me = json!({"email": owner.email});
        owner.post(ERASE).json(&me).await.expect_refusal(409, "is_member");
        assert_json!(owner.get(ERASURES).await.expect_status(200).json(), {"count": 0});
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_forgotten_though_the_server_was_killed_in_between() {
    for (program, _database) in Program::on_every_engine().await {
        let server = program.serve();
        let owner = server.owner().await;
        for number in 0..50 {
            let body = json!({"name": "Wilhelmina Oakes", "email": "w.oakes@mail.example", "description": format!("Visit {number}")});
            owner.post(BOOKED).json(&body).await.expect_status(201);
        }
        let id = owner.post(ERASE).json(&who()).await.expect_status(202).text_at("/id");
        server.kill();
        let server = program.serve();
        let owner = server.owner_again().await;
        let path = format!("{ERASURES}{id}/");
        eventually("the erasure is finished", async || owner.get(&path).await.at("/state") == "done").await;
        let row = owner.get(&path).await.json();
        assert_json!(line(&row, "booking_customers"), {"pseudonymised": 50});
        for word in ["oakes", "wilhelmina", "visit"] {
            let found = owner.get(BOOKED).query("search", word).await.expect_status(200);
            assert_eq!(found.at("/count"), json!(0), "{}", found.text());
        }
    }
}
