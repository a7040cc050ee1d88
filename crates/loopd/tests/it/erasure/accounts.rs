//! `/auth/erasure/`, `/users/{id}/erase/`, `/erasures/`, `/auth/data-export/`.

use std::collections::BTreeMap;

use loopd_kernel::erasure::{self, State};
use loopd_kernel::{company, seal};
use loopd_store::View;
use loopd_testkit::{Client, assert_json, each_engine, json};
use loopd_types::{DAY_US, SECOND_US, Uuid};
use serde_json::Value;

use crate::support::{Actor, PASSWORD, Receiver, World, eventually};

const APPOINTMENTS: &str = "/api/v1/booking/appointments/";
const ADDRESS: &str = "203.0.113.77";
/// Everything that Zebulon Quirke was known by.
const TRACES: [&str; 7] =
    ["zebulon", "quirke", "zq@old.example", "zq@new.example", "788555123", "788 555 123", ADDRESS];

fn from_home(world: &World) -> Client {
    world.client().with_header("x-forwarded-for", ADDRESS).with_header("user-agent", "Zebulon's telephone")
}

/// Signs in from home.
async fn sign_in(world: &World, email: &str) -> Client {
    let body = json!({"email": email, "password": PASSWORD});
    let answer = from_home(world).post("/api/v1/auth/login/").json(&body).await.expect_status(200);
    from_home(world).with_token(&answer.text_at("/access"))
}

/// The erasure's row, when it is done.
async fn done(world: &World, root: &Actor, id: &str) -> Value {
    let path = format!("/api/v1/erasures/{id}/");
    // Logs are gone through a moment later.
    world.clock.advance(4 * SECOND_US);
    let is_done = async || root.get(&path).await.expect_status(200).at("/state") == "done";
    eventually("the erasure is done", is_done).await;
    root.get(&path).await.json()
}

async fn erase(root: &Actor, user: &str, email: &str) -> String {
    let path = format!("/api/v1/users/{user}/erase/");
    root.post(&path).json(&json!({"email": email})).await.expect_status(202).text_at("/id")
}

/// Registers Zebulon, who then touches whatever a person can touch. Gives his id, with his newest address.
async fn zebulon(world: &World, boss: &Actor, root: &Actor) -> String {
    let body = json!({
        "email": "zq@old.example", "username": "zebulon.q", "password": PASSWORD, "company_name": "Harbour Ltd",
        "first_name": "Zebulon", "last_name": "Quirke", "phone": "+250788555123",
    });
    let answer = from_home(world).post("/api/v1/auth/register/").json(&body).await.expect_status(201);
    let (user, code) = (answer.text_at("/user/id"), answer.text_at("/company/code"));
    let own = from_home(world).with_token(&answer.text_at("/access"));
    let home = own.company(&code);
    // His names and addresses change, and the log remembers what they were.
    own.patch("/api/v1/auth/me/").json(&json!({"first_name": "Zeb"})).await;
    own.patch("/api/v1/auth/me/").json(&json!({"first_name": "Zebulon", "phone": "0788 555 123"})).await;
    let change = json!({"new_email": "zq@new.example", "password": PASSWORD});
    own.post("/api/v1/auth/email/change/").json(&change).await.expect_status(202);
    let token = world.letter("zq@new.example", "verify-email").await.token();
    own.post("/api/v1/auth/email/verify/").json(&json!({"token": token})).await.expect_status(200);
    // He works in another company, is invited to a third, and invites others.
    boss.make("/api/v1/memberships/", json!({"email": "zq@new.example", "role": "admin", "title": "Mr Quirke"})).await;
    let third = world.register("third").await;
    third.make("/api/v1/invitations/", json!({"email": "zq@new.example", "role": "staff"})).await;
    let work = own.company(&boss.code);
    let guest = json!({"email": "guest@example.com", "role": "staff"});
    work.post("/api/v1/invitations/").json(&guest).await.expect_status(201);
    // Records, a file, an import, a key, a webhook, a remembered answer.
    let keyed = work.with_header("idempotency-key", "zebulon-1");
    keyed.post(APPOINTMENTS).json(&json!({"title": "Haircut"})).await.expect_status(201);
    work.post("/api/v1/files/").query("name", "Zebulon Quirke.txt").body("text/plain", "hello").await;
    work.post("/api/v1/booking/customers/import/").json(&json!({"rows": [{"name": "Mia"}]})).await.expect_status(200);
    work.post("/api/v1/internal-api-keys/")
        .json(&json!({"name": "Zebulon Quirke", "scopes": ["booking.*"]}))
        .await
        .expect_status(201);
    home.patch("/api/v1/billing/account/")
        .json(&json!({"email": "zq@new.example", "name": "Zebulon Quirke", "payer": "+250788555123"}))
        .await;
    let profile =
        json!({"display_name": "Zebulon", "contact_email": "zq@new.example", "bio": "Quirke", "accept_terms": true});
    own.post("/api/v1/developer-profiles/").json(&profile).await.expect_status(201);
    // He is refused, signs in elsewhere, enters a wrong password, is helped by the operator, asks for a new password.
    own.company(&third.code).get(APPOINTMENTS).await.expect_status(403);
    let again = sign_in(world, "ZQ@new.example").await;
    again.get("/api/v1/auth/sessions/").await.expect_status(200);
    from_home(world).post("/api/v1/auth/login/").json(&json!({"email": "zq@new.example", "password": "wrong"})).await;
    let reason = json!({"reason": "Zebulon Quirke called from 0788 555 123"});
    root.post(&format!("/api/v1/users/{user}/impersonate/")).json(&reason).await.expect_status(201);
    let forgot = json!({"email": "zq@new.example"});
    from_home(world).post("/api/v1/auth/password/reset/").json(&forgot).await.expect_status(202);
    let written = async || !world.letters_of("zq@new.example", "password-reset").await.is_empty();
    eventually("the letter is written", written).await;
    // Two factors last: they ask for a proof from here on.
    let asked =
        own.post("/api/v1/auth/passkeys/register/begin/").json(&json!({"password": PASSWORD})).await.expect_status(200);
    let (_, credential) = loopd_testkit::Passkey::create(&asked.at("/public_key"), &world.page_origin());
    let finish = json!({"ceremony": asked.at("/ceremony"), "credential": credential, "name": "Zebulon's key"});
    own.post("/api/v1/auth/passkeys/register/finish/").json(&finish).await.expect_status(201);
    world.kernel.flush_refusals(true).await.expect("refusals are written");
    user
}

each_engine! {
    async fn nothing_of_an_erased_person_is_left_in_any_table(world: &World) {
        let (boss, root, receiver) = (world.owner().await, world.superuser().await, Receiver::start().await);
        let hook = json!({"url": format!("{}/hook", receiver.url), "events": ["*"]});
        boss.make("/api/v1/webhook-endpoints/", hook).await;
        let bystander = world.register("zebedee").await;
        let user = zebulon(world, &boss, &root).await;
        let before = world.traces_of(&TRACES).await;
        for place in ["users.email", "audit_logs.changes", "audit_logs.address", "sessions.user_agent", "invitations.email",
            "mail_messages.recipient", "files.name", "credentials.name", "passkeys.name", "billing_accounts.email", "memberships.title",
            "developer_profiles.bio", "events.payload"] {
            assert!(before.iter().any(|line| line.starts_with(place)), "the test seeds nothing in {place}: {before:#?}");
        }
        // The days until now are sealed.
        world.clock.advance(2 * DAY_US);
        seal::seal_all(&world.kernel).await.expect("days can be sealed");
        let root = world.sign_in(&root.email, "").await;
        assert_eq!(bystander.code, "002");
        let others = world.dump(Some(2)).await;

        let id = erase(&root, &user, "zq@new.example").await;
        let report = done(world, &root, &id).await;
        assert_eq!(world.traces_of(&TRACES).await, Vec::<String>::new());
        assert_eq!(world.dump(Some(2)).await, others, "another company is as it was");
        let line = |table: &str| {
            let lines = report["report"].as_array().expect("lines");
            lines.iter().find(|line| line["table"] == table).unwrap_or_else(|| panic!("no {table} in {report:#}")).clone()
        };
        assert_json!(report, {"kind": "account", "subject": user, "asked_through": "operator", "asked_by": root.user, "state": "done"});
        assert!(line("sessions")["erased"].as_u64() >= Some(3), "{report:#}");
        assert_eq!(line("passkeys")["erased"], 1);
        assert_eq!(line("users")["pseudonymised"], 1);
        assert!(line("audit_logs")["kept"].as_u64() >= Some(5), "what they did stays: {report:#}");
        assert!(line("audit_logs")["ground"].as_str().is_some_and(|ground| ground.contains("what happened")));
        // The letter was sent before its address was forgotten.
        let told = world.letters(&format!("erased-{user}@erased.invalid")).await;
        assert!(told.iter().any(|letter| letter.template == "data-erased"), "{told:?}");
        // Seals hold, the log still says who, and events go on where they were.
        for log in [vec![loopd_kernel::audit::INSTALLATION], company::all_ids(&world.kernel).await.expect("companies")].concat() {
            let found = seal::verify(&world.kernel, log).await.expect("seals can be verified");
            assert_eq!(found.broken, Vec::<String>::new(), "the log of {log:?}");
        }
        let boss = world.sign_in(&boss.email, "001").await;
        let acts = boss.get("/api/v1/audit-logs/").query("user", &user).await.expect_status(200);
        assert!(acts.at("/count").as_u64() >= Some(3), "{}", acts.text());
        let events = boss.get("/api/v1/platform-events/").query("type", "core.user.erased").await.expect_status(200);
        assert_eq!(events.at("/results/0/data/user"), json!(user), "{}", events.text());
        let tombstone = root.get(&format!("/api/v1/users/{user}/")).await.expect_status(200);
        assert_json!(tombstone.json(), {"first_name": "Erased", "last_name": "person", "phone": "", "is_active": false});
    }

    async fn whatever_a_person_calls_themselves_the_logs_keep_their_own_words_and_their_seals(world: &World) {
        let (boss, root) = (world.owner().await, world.superuser().await);
        let member = world.member(&boss, "mia", "staff").await;
        for (first, last) in [("Create", "membership"), ("core", "Quirke")] {
            let names = json!({"first_name": first, "last_name": last});
            member.patch("/api/v1/auth/me/").json(&names).await.expect_status(200);
        }
        let membership = member.membership().await;
        let path = format!("/api/v1/memberships/{membership}/");
        for title in ["core", "Quirke of memberships"] {
            boss.patch(&path).json(&json!({"title": title})).await.expect_status(200);
        }
        world.clock.advance(2 * DAY_US);
        seal::seal_all(&world.kernel).await.expect("days can be sealed");
        let root = world.sign_in(&root.email, "").await;
        // What the logs say in words of their own, by row.
        let own_words = async || {
            let sql = "SELECT CAST(id AS TEXT), action || ' ' || module || ' ' || resource || ' ' || target_id FROM audit_logs \
                       UNION ALL SELECT CAST(id AS TEXT), kind || ' ' || subject FROM events";
            let read = world.kernel.db.read(View::System, move |reader| {
                Ok(reader.query(sql, &[], |row| Ok((row.text(0)?.to_owned(), row.text(1)?.to_owned())))?)
            });
            read.await.expect("the logs can be read").into_iter().collect::<BTreeMap<String, String>>()
        };
        let in_words = async |wanted: &[&str]| {
            let lines = world.traces_of(wanted).await.into_iter();
            let is_word = |line: &String| ["target_label", "changes", "payload"].iter().any(|column| line.contains(column));
            lines.filter(is_word).collect::<Vec<String>>()
        };
        let before = own_words().await;
        let made = format!("core.membership.created core/memberships/{membership}");
        assert!(before.values().any(|words| *words == made), "{before:#?}");
        assert!(!in_words(&["\"core\""]).await.is_empty() && !in_words(&["Quirke"]).await.is_empty(), "the test seeds names");

        let id = erase(&root, &member.user, &member.email).await;
        done(world, &root, &id).await;
        let after = own_words().await;
        for (row, words) in &before {
            assert_eq!(after.get(row), Some(words));
        }
        assert_eq!(in_words(&["\"core\"", "quirke"]).await, Vec::<String>::new());
        for log in [loopd_kernel::audit::INSTALLATION, loopd_types::CompanyId(1)] {
            let found = seal::verify(&world.kernel, log).await.expect("seals can be verified");
            assert_eq!((found.broken, found.whole > 0), (Vec::<String>::new(), true), "the log of {log:?}");
        }
    }

    async fn repeating_an_erasure_gives_the_same_one(world: &World) {
        let (root, person) = (world.superuser().await, world.person("mia").await);
        let path = format!("/api/v1/users/{}/erase/", person.user);
        root.post(&path).json(&json!({"email": "other@example.com"})).await.expect_field("email", "invalid");
        root.post(&path).await.expect_field("email", "required");
        let first = erase(&root, &person.user, &person.email).await;
        let report = done(world, &root, &first).await;
        assert_eq!(erase(&root, &person.user, &person.email).await, first);
        assert_eq!(done(world, &root, &first).await["report"], report["report"]);
        assert_json!(root.get("/api/v1/erasures/").await.expect_status(200).json(), {"count": 1});
        person.get("/api/v1/auth/me/").await.expect_status(401);
        let body = json!({"email": person.email, "password": PASSWORD});
        world.client().post("/api/v1/auth/login/").json(&body).await.expect_status(401);
        let nobody = "/api/v1/users/0197a000-0000-7000-8000-000000000000/erase/";
        root.post(nobody).json(&json!({"email": "x@example.com"})).await.expect_status(404);
        root.post(&format!("/api/v1/users/{}/erase/", root.user)).json(&json!({"email": root.email})).await
            .expect_refusal(409, "last_superuser");
    }

    async fn work_that_is_cut_short_anywhere_goes_on_where_it_was(world: &World) {
        let (boss, root) = (world.owner().await, world.superuser().await);
        let user = zebulon(world, &boss, &root).await;
        let id = Uuid::parse_str(&erase(&root, &user, "zq@new.example").await).expect("an id");
        let path = format!("/api/v1/erasures/{id}/");
        // The clock stands, so nobody else is at it. A future that is dropped is as good as a process that died there.
        let mut cuts = 0;
        for millis in 0.. {
            let going = erasure::go_on(&world.kernel, id, std::time::Duration::ZERO);
            match tokio::time::timeout(std::time::Duration::from_millis(millis), going).await {
                Ok(Ok(State::Done)) => break,
                Ok(state) => {
                    assert_eq!(state.expect("an erasure goes on"), State::Writing);
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
                Err(_) => {
                    cuts += 1;
                    // What was written when it was cut is written all the same: perhaps its last word.
                    match root.get(&path).await.text_at("/state").as_str() {
                        "running" => {}
                        "done" => break,
                        other => panic!("an erasure that was cut short is {other}"),
                    }
                }
            }
        }
        assert!(cuts > 0, "it was never cut short");
        assert_eq!(world.traces_of(&TRACES).await, Vec::<String>::new());
        let report = root.get(&path).await.expect_status(200).json();
        let lines = report["report"].as_array().expect("lines");
        let kept = lines.iter().find(|line| line["table"] == "audit_logs").expect("a line")["kept"].clone();
        let theirs = root.get("/api/v1/audit-logs/").query("user", &user).await.expect_status(200);
        assert_eq!(kept, theirs.at("/count"), "each is counted once");
    }

    async fn the_last_owner_of_others_company_hands_it_over_first(world: &World) {
        let (owner, root) = (world.owner().await, world.superuser().await);
        let member = world.member(&owner, "mia", "admin").await;
        let path = format!("/api/v1/users/{}/erase/", owner.user);
        let body = json!({"email": owner.email});
        let refused = root.post(&path).json(&body).await.expect_refusal(409, "last_owner");
        assert_json!(refused.json(), {"error": {"details": {"companies": [{"code": "001", "name": "owner Ltd"}]}}});
        assert!(refused.text().contains("owner Ltd"), "{}", refused.text());
        owner.get("/api/v1/auth/me/").await.expect_status(200);
        let hand_over = json!({"membership": member.membership().await});
        let company = owner.get("/api/v1/companies/").await.text_at("/results/0/id");
        owner.post(&format!("/api/v1/companies/{company}/transfer-ownership/")).json(&hand_over).await.expect_status(200);
        let id = root.post(&path).json(&body).await.expect_status(202).text_at("/id");
        done(world, &root, &id).await;
        member.get(APPOINTMENTS).await.expect_status(200);
    }

    async fn a_company_that_nobody_is_left_in_is_closed(world: &World) {
        let (owner, root) = (world.owner().await, world.superuser().await);
        let id = erase(&root, &owner.user, &owner.email).await;
        done(world, &root, &id).await;
        let company = root.get("/api/v1/companies/").query("code", "001").await.expect_status(200);
        assert_eq!(company.at("/results/0/status"), json!("closed"), "{}", company.text());
    }

    async fn a_person_erases_themselves_by_a_proof_and_a_link(world: &World) {
        let (person, root) = (world.person("mia").await, world.superuser().await);
        let ask = "/api/v1/auth/erasure/";
        person.post(ask).json(&json!({})).await.expect_field("password", "required");
        person.post(ask).json(&json!({"password": "wrong"})).await.expect_field("password", "invalid");
        let keys = world.two_factor(&person).await;
        person.post(ask).json(&json!({"code": world.next_code(&keys)})).await.expect_status(202);
        let letter = world.letter(&person.email, "account-erase").await;
        assert!(letter.text.contains(&person.email), "{}", letter.text);
        person.get("/api/v1/auth/me/").await.expect_status(200);
        let confirm = "/api/v1/auth/erasure/confirm/";
        world.client().post(confirm).json(&json!({"token": "nonsense"})).await.expect_refusal(400, "link_not_valid");
        let page = world.client().get("/account/erase/").query("token", &letter.token()).await.expect_status(200);
        assert!(page.text().contains(&person.email), "{}", page.text());
        let form = format!("token={}", letter.token());
        let page = world.client().post("/account/erase/").body("application/x-www-form-urlencoded", form).await.expect_status(200);
        assert!(page.text().contains("Your account is erased"), "{}", page.text());
        world.client().post(confirm).json(&json!({"token": letter.token()})).await.expect_refusal(400, "link_not_valid");
        person.get("/api/v1/auth/me/").await.expect_status(401);
        let id = root.get("/api/v1/erasures/").await.text_at("/results/0/id");
        assert_json!(done(world, &root, &id).await, {"asked_through": "person", "asked_by": person.user});
        assert_eq!(world.traces_of(&["mia@", "\"mia\""]).await, Vec::<String>::new());
    }

    async fn who_was_erased_can_come_again_and_finds_nothing_of_the_old(world: &World) {
        let (boss, root) = (world.owner().await, world.superuser().await);
        let old = world.member(&boss, "mia", "admin").await;
        boss.make("/api/v1/invitations/", json!({"email": "late@example.com", "role": "staff"})).await;
        let late = world.person("late").await;
        for person in [&old, &late] {
            let id = erase(&root, &person.user, &person.email).await;
            done(world, &root, &id).await;
        }
        let new = world.register("mia").await;
        assert_ne!(new.user, old.user);
        let companies = new.get("/api/v1/companies/").await.expect_status(200);
        assert_json!(companies.json(), {"count": 1, "results": [{"code": new.code}]});
        new.in_company(&boss.code).get(APPOINTMENTS).await.expect_refusal(403, "company_access_denied");
        let data = new.get("/api/v1/auth/data-export/").await.expect_status(200);
        assert!(!data.text().contains(&old.user), "{}", data.text());
        // An invitation from before is not for whoever has the address now.
        let invited = boss.get("/api/v1/invitations/").await.expect_status(200);
        assert_eq!(invited.at("/results/0/status"), json!("revoked"), "{}", invited.text());
    }

    async fn a_person_gets_a_copy_of_what_is_held_about_them_and_no_secret(world: &World) {
        let (owner, other) = world.strangers().await;
        world.two_factor(&owner).await;
        let answer = owner.get("/api/v1/auth/data-export/").await.expect_status(200);
        assert!(answer.header("content-disposition").is_some_and(|value| value.starts_with("attachment")));
        let data = answer.json();
        assert_json!(data, {"user": owner.user, "email": owner.email, "tables": {"users": [{"email": owner.email, "username": "owner"}]}});
        assert_eq!(data["tables"]["memberships"].as_array().map(Vec::len), Some(1), "{data:#}");
        assert!(data["tables"]["sessions"][0]["address"].as_str().is_some_and(|address| address.starts_with("10.")));
        assert!(data["tables"]["audit_logs"].as_array().is_some_and(|rows| !rows.is_empty()));
        let text = answer.text();
        for secret in ["hash", "argon2", "secret", "token", "refresh_jti"] {
            assert!(!text.contains(&format!("\"{secret}")) && !text.contains("$argon2"), "{secret}: {text}");
        }
        assert!(!text.contains(&other.user) && !text.contains(&other.email), "{text}");
    }

    async fn a_merged_accounts_traces_go_with_the_person(world: &World) {
        let (one, two, root) = (world.person("one").await, world.person("tweedledum").await, world.superuser().await);
        let verify = async |person: &Actor| {
            person.post("/api/v1/auth/email/verify/resend/").await.expect_status(202);
            let token = world.letter(&person.email, "verify-email").await.token();
            person.post("/api/v1/auth/email/verify/").json(&json!({"token": token})).await.expect_status(200);
        };
        verify(&one).await;
        let body = json!({"email": two.email, "password": PASSWORD});
        one.post("/api/v1/auth/merge/").json(&body).await.expect_status(202);
        let token = world.letter(&two.email, "account-merge").await.token();
        world.client().post("/api/v1/auth/merge/confirm/").json(&json!({"token": token})).await.expect_status(200);
        let id = erase(&root, &one.user, &one.email).await;
        done(world, &root, &id).await;
        assert_eq!(world.traces_of(&["tweedledum", "one@example.com"]).await, Vec::<String>::new());
    }
}
