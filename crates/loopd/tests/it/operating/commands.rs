//! The command line: migrate, doctor, keys, backup and restore, and what scripts read.

use loopd_testkit::{Client, assert_json, json};

use crate::support::{Program, Served};

const APPOINTMENTS: &str = "/api/v1/booking/appointments/";

async fn register(server: &Served) -> Client {
    let body = json!({"email": "dev@example.com", "username": "dev", "password": "strongpass123", "company_name": "Demo Company"});
    let answer = server.client().post("/api/v1/auth/register/").json(&body).await.expect_status(201);
    server.client().with_token(&answer.text_at("/access")).company("001")
}

#[test]
fn migrate_says_what_it_would_do_then_does_it_then_has_nothing_to_do() {
    let program = Program::fresh();
    std::fs::create_dir_all(program.folder().join("data")).expect("a folder can be made");
    let plan = program.json(&["migrate", "--plan"]);
    assert!(plan["migrations"].as_array().is_some_and(|steps| steps.len() >= 3), "{plan}");
    let again = program.json(&["migrate", "--plan"]);
    assert_eq!(again, plan, "a plan changes nothing");
    let done = program.json(&["migrate"]);
    assert_eq!(done["applied"], plan["migrations"]);
    assert_json!(program.json(&["migrate", "--plan"]), {"migrations": [], "statements": [], "refusals": []});
    assert!(program.say(&["migrate", "--plan"]).contains("Nothing to do."));
}

#[test]
fn doctor_finds_what_is_wrong_and_says_what_to_do() {
    let program = Program::fresh();
    let health = program.json(&["doctor"]);
    assert_eq!(health["ok"], true, "{health}");
    let sick = Program::fresh().with("LOOP_DATABASE_URL", "postgres://nobody@127.0.0.1:1/x");
    let output = sick.run(&["doctor", "--json"]);
    assert!(!output.status.success());
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON value");
    let database =
        report["findings"].as_array().and_then(|all| all.iter().find(|finding| finding["what"] == "database"));
    let database = database.unwrap_or_else(|| panic!("no finding about the database in {report}"));
    assert_eq!(database["level"], "bad");
    assert!(database["words"].as_str().is_some_and(|words| words.contains("LOOP_DATABASE_URL")), "{database}");
    let words = String::from_utf8_lossy(&sick.run(&["doctor"]).stdout).into_owned();
    assert!(words.contains("bad") && words.contains("database"), "{words}");
}

#[test]
fn to_look_is_not_to_make() {
    let program = Program::fresh();
    let report = program.json(&["doctor"]);
    assert_eq!(report["ok"], true, "{report}");
    assert!(!program.database().exists(), "doctor made a database");
    assert!(program.refused(&["backup", "copy.db"]).contains("no database"));
    program.json(&["migrate"]);
    assert!(program.refused(&["backup", "nowhere/copy.db"]).contains("no folder"));
    assert!(program.refused(&["key", "list", "--company", "999"]).contains("no company 999"));
    assert!(program.refused(&["key", "create", "--company", "999"]).contains("no company 999"));
    assert!(program.refused(&["key", "list", "--company", "x"]).contains("no company code"));
}

#[test]
fn people_and_companies_can_be_made_without_a_server() {
    let program = Program::fresh();
    let made = program.json(&["user", "create", "Root@Example.com", "--password", "strongpass123", "--superuser"]);
    assert_json!(made, {"id": "[uuid]", "email": "root@example.com", "is_superuser": true});
    assert_json!(program.json(&["company", "create", "Demo", "--owner", "root@example.com"]), {"code": "001", "name": "Demo", "slug": "demo"});
    assert!(program.refused(&["user", "create", "root@example.com", "--password", "strongpass123"]).contains("exists"));
    assert!(program.refused(&["user", "create", "x@example.com", "--password", "short"]).contains("too short"));
    assert!(
        program.refused(&["company", "create", "Demo", "--owner", "nobody@example.com"]).contains("nobody@example.com")
    );
    for (email, how) in [("piped@example.com", &[][..]), ("scripted@example.com", &["--password-stdin"])] {
        let piped = program.run_with(&[&["user", "create", email, "--json"], how].concat(), "strongpass123\n");
        assert!(piped.status.success() && piped.stderr.is_empty(), "{}", String::from_utf8_lossy(&piped.stderr));
    }
    let nothing = program.run_with(&["user", "create", "mute@example.com", "--password-stdin"], "");
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("no password came"), "{nothing:?}");
    let both = ["user", "create", "x@example.com", "--password", "strongpass123", "--password-stdin"];
    assert_eq!(program.run(&both).status.code(), Some(2));
}

#[test]
fn a_password_that_is_typed_is_asked_for_twice_and_never_shown() {
    let program = Program::fresh();
    let (question, again) = ("Password for ada@example.com: ", "Once more: ");
    let create = ["user", "create", "ada@example.com"];
    let (screen, went_well) =
        program.run_at_terminal(&create, &[(question, "strongpass123"), (again, "strongpass124")]);
    assert!(!went_well && screen.contains("the two are not the same"), "{screen}");
    let (screen, went_well) =
        program.run_at_terminal(&create, &[(question, "strongpass123"), (again, "strongpass123")]);
    assert!(went_well && screen.contains("Made ada@example.com"), "{screen}");
    assert!(!screen.contains("strongpass"), "{screen}");
    let change = ["user", "password", "ada@example.com"];
    let (screen, went_well) =
        program.run_at_terminal(&change, &[(question, "anotherpass456"), (again, "anotherpass456")]);
    assert!(went_well && !screen.contains("anotherpass"), "{screen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_made_listed_and_revoked_on_the_command_line_counts_in_the_running_server() {
    let program = Program::fresh();
    let server = program.serve();
    register(&server).await;
    let made = program.json(&["key", "create", "--company", "001", "--scope", "booking.*", "--name", "sync"]);
    let key = server.client().with_key(made["key"].as_str().expect("a secret")).company("001");
    key.get(APPOINTMENTS).await.expect_status(200);
    key.get("/api/v1/workspaces/").await.expect_refusal(403, "insufficient_scope");
    let listed = program.json(&["key", "list", "--company", "001"]);
    assert_json!(listed, [{"id": made["id"], "name": "sync", "revoked_at": null, "scopes": ["booking.*"]}]);
    assert!(!listed.to_string().contains(&made["key"].as_str().expect("a secret")[16..]));
    let id = made["id"].as_str().expect("an id");
    let next = program.json(&["key", "rotate", id, "--hours", "1"]);
    assert_json!(next, {"rotated_from": id, "overlap_hours": 1});
    let successor = server.client().with_key(next["key"].as_str().expect("a secret")).company("001");
    successor.get(APPOINTMENTS).await.expect_status(200);
    successor.get("/api/v1/workspaces/").await.expect_refusal(403, "insufficient_scope");
    key.get(APPOINTMENTS).await.expect_status(200);
    let elsewhere = ["--network", "198.51.100.0/24", "--days", "7"];
    let narrow = program.json(&[&["key", "create", "--company", "001"], &elsewhere[..]].concat());
    let narrow = server.client().with_key(narrow["key"].as_str().expect("a secret")).company("001");
    narrow.get(APPOINTMENTS).await.expect_refusal(403, "address_not_allowed");
    assert!(program.refused(&["user", "reset-two-factor", "nobody@example.com"]).contains("nobody@example.com"));
    assert_json!(program.json(&["key", "revoke", id]), {"id": id, "revoked": true});
    key.get(APPOINTMENTS).await.expect_refusal(401, "invalid_api_key");
    assert!(program.refused(&["key", "create", "--company", "999"]).contains("999"));
    assert!(program.refused(&["key", "create", "--company", "001", "--scope", "not a scope"]).contains("scope"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_command_line_does_is_on_record_as_the_command_lines() {
    for (program, _database) in Program::on_every_engine().await {
        let root = program.json(&["user", "create", "root@example.com", "--password", "strongpass123", "--superuser"]);
        program.json(&["company", "create", "Demo", "--owner", "root@example.com"]);
        let key = program.json(&["key", "create", "--company", "001", "--name", "sync"]);
        program.json(&["key", "revoke", key["id"].as_str().expect("an id")]);
        let other = program.json(&["user", "create", "other@example.com", "--password", "strongpass123"]);
        program.json(&["user", "deactivate", "other@example.com"]);
        program.json(&["user", "activate", "Other@example.com"]);
        let server = program.serve();
        let login = json!({"email": "root@example.com", "password": "strongpass123"});
        let token =
            server.client().post("/api/v1/auth/login/").json(&login).await.expect_status(200).text_at("/access");
        let root_client = server.client().with_token(&token);
        for (resource, action, target, company) in [
            ("users", "create", &root["id"], json!(null)),
            ("users", "create", &other["id"], json!(null)),
            ("users", "deactivate", &other["id"], json!(null)),
            ("users", "activate", &other["id"], json!(null)),
            ("internal-api-keys", "create", &key["id"], json!("001")),
            ("internal-api-keys", "revoke", &key["id"], json!("001")),
        ] {
            let target = target.as_str().expect("an id");
            let asked = root_client.get("/api/v1/audit-logs/").query("resource", resource).query("action", action);
            let rows = asked.query("target", target).await.expect_status(200).json();
            assert_json!(rows, {"count": 1, "results": [{"reason": "command line", "user": null, "company": company, "address": null}]});
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_deactivated_on_the_command_line_is_refused_by_the_running_server() {
    for (program, _database) in Program::on_every_engine().await {
        let server = program.serve();
        let owner = register(&server).await;
        owner.get("/api/v1/auth/me/").await.expect_status(200);
        assert_json!(program.json(&["user", "deactivate", "Dev@example.com"]), {"email": "dev@example.com", "is_active": false});
        owner.get("/api/v1/auth/me/").await.expect_refusal(401, "user_inactive");
        assert_json!(program.json(&["user", "activate", "dev@example.com"]), {"is_active": true});
        let login = json!({"email": "dev@example.com", "password": "strongpass123"});
        server.client().post("/api/v1/auth/login/").json(&login).await.expect_status(200);
        assert!(program.refused(&["user", "deactivate", "nobody@example.com"]).contains("nobody@example.com"));
        program.json(&["user", "create", "root@example.com", "--password", "strongpass123", "--superuser"]);
        let refused = program.refused(&["user", "deactivate", "root@example.com"]);
        assert!(refused.contains("last active superuser"), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plan_and_the_doctor_know_the_modules_own_tables() {
    for (program, _database) in Program::on_every_engine().await {
        std::fs::create_dir_all(program.folder().join("data")).expect("a folder can be made");
        let plan = program.json(&["migrate", "--plan"])["statements"].to_string();
        for table in
            ["booking_appointments", "protector_code_index", "protector_installation_scans", "cms_domain_claims"]
        {
            assert!(plan.contains(table), "{table} is not planned");
        }
        let schema = || {
            let report = program.json(&["doctor"]);
            let found = report["findings"]
                .as_array()
                .and_then(|all| all.iter().find(|finding| finding["what"] == "schema").cloned());
            found.unwrap_or_else(|| panic!("no finding about the schema in {report}"))
        };
        assert_eq!(schema()["level"], "note", "{}", schema());
        program.json(&["migrate"]);
        assert_json!(schema(), {"level": "ok", "words": "up to date"});
        // A start finds nothing left to make, and makes nothing that a plan does not know.
        drop(program.serve());
        assert_json!(program.json(&["migrate", "--plan"]), {"migrations": [], "statements": [], "refusals": []});
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_has_what_files_hold_and_a_restore_brings_it_back() {
    let program = Program::fresh();
    let server = program.serve();
    let owner = register(&server).await;
    let shelve = async |name: &str, content: &str| {
        let path = format!("/api/v1/files/?name={name}");
        owner.post(&path).body("text/plain", content.to_owned()).await.expect_status(201).text_at("/id")
    };
    let (kept, deleted) = (shelve("kept.txt", "kept").await, shelve("deleted.txt", "deleted").await);
    let customer = json!({"name": "Aline", "phone": "+250788000001"});
    let customer = owner.post("/api/v1/booking/customers/").json(&customer).await.expect_status(201).text_at("/id");
    let attachments = format!("/api/v1/booking/customers/{customer}/attachments/");
    let attach = owner.post(&format!("{attachments}?name=contract.txt")).body("text/plain", "signed");
    let attached = attach.await.expect_status(201).text_at("/id");
    let file = program.folder().join("backup.db");
    let to = file.to_str().expect("a path");
    assert_json!(program.json(&["backup", to]), {"files": 3, "missing": []});
    // What becomes of the files afterwards is not the backup's: one goes, content and all, and one comes.
    owner.delete(&format!("/api/v1/files/{deleted}/")).await.expect_status(204);
    shelve("after.txt", "after").await;
    server.terminate();
    assert!(server.ended().success());
    std::fs::remove_dir_all(program.folder().join("data").join("files")).expect("a folder of files");
    program.json(&["restore", to, "--force"]);
    let server = program.serve();
    let login = json!({"email": "dev@example.com", "password": "strongpass123"});
    let token = server.client().post("/api/v1/auth/login/").json(&login).await.expect_status(200).text_at("/access");
    let owner = server.client().with_token(&token).company("001");
    for (path, content) in [
        (format!("/api/v1/files/{kept}/content/"), "kept"),
        (format!("/api/v1/files/{deleted}/content/"), "deleted"),
        (format!("{attachments}{attached}/content/"), "signed"),
    ] {
        assert_eq!(owner.get(&path).await.expect_status(200).body, content);
    }
    assert_eq!(owner.get("/api/v1/files/").await.expect_status(200).at("/count"), 2);
    // The backup lost a content: it is restored without, and says so.
    drop(server);
    let beside = program.folder().join("backup.db.files").join("001");
    let lost = std::fs::read_dir(&beside).expect("contents").flatten().map(|entry| entry.path());
    let lost = lost.into_iter().find(|path| std::fs::read(path).expect("a content") == b"kept").expect("a content");
    std::fs::remove_file(lost).expect("a content");
    std::fs::remove_dir_all(program.folder().join("data").join("files")).expect("a folder of files");
    let restored = program.run(&["restore", to, "--force"]);
    let words = String::from_utf8_lossy(&restored.stdout).into_owned() + &String::from_utf8_lossy(&restored.stderr);
    assert!(restored.status.success() && words.contains("missing"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_a_running_server_brings_everything_back() {
    let program = Program::fresh();
    let server = program.serve();
    let owner = register(&server).await;
    let make = async |title: &str| owner.post(APPOINTMENTS).json(&json!({"title": title})).await.expect_status(201);
    make("Before").await;
    let file = program.folder().join("backup.db");
    let to = file.to_str().expect("a path");
    let written = program.json(&["backup", to]);
    assert!(written["bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{written}");
    assert!(program.refused(&["backup", to]).contains("exists"), "a backup never overwrites");
    make("After").await;
    assert!(program.refused(&["restore", to, "--force"]).contains("another loopd"), "the server runs");
    server.terminate();
    assert!(server.ended().success());
    assert!(program.refused(&["restore", to]).contains("--force"));
    program.json(&["restore", to, "--force"]);
    program.json(&["restore", to, "--force"]);
    for kept in ["loop.db.before-restore", "loop.db.before-restore-2"] {
        assert!(program.folder().join("data").join(kept).exists(), "{kept}: each one that was replaced is kept");
    }
    let server = program.serve();
    let login = json!({"email": "dev@example.com", "password": "strongpass123"});
    let token = server.client().post("/api/v1/auth/login/").json(&login).await.expect_status(200).text_at("/access");
    let page = server.client().with_token(&token).get(APPOINTMENTS).await.expect_status(200);
    assert_json!(page.json(), {"count": 1, "results": [{"title": "Before"}]});
    let broken = program.folder().join("broken.db");
    std::fs::write(&broken, b"this is no database").expect("a file can be written");
    drop(server);
    assert!(program.refused(&["restore", broken.to_str().expect("a path"), "--force"]).contains("no good backup"));
    assert!(program.database().exists(), "a refused restore leaves the database alone");
}

#[test]
fn a_log_left_behind_is_not_read_into_what_is_restored() {
    let program = Program::fresh();
    std::fs::create_dir_all(program.folder().join("data")).expect("a folder can be made");
    program.json(&["migrate"]);
    let file = program.folder().join("backup.db");
    let to = file.to_str().expect("a path");
    program.json(&["backup", to]);
    let database = program.database();
    std::fs::remove_file(&database).expect("nobody serves it");
    let beside = |ending: &str| database.with_file_name(format!("loop.db{ending}"));
    std::fs::write(beside("-wal"), b"of another database").expect("a file can be written");
    program.json(&["restore", to]);
    assert!(!beside("-wal").exists(), "the restored database begins without a log");
    assert!(beside("-wal.before-restore").exists(), "nothing is thrown away");
    assert_json!(program.json(&["migrate", "--plan"]), {"migrations": []});
}

#[test]
fn one_database_is_served_once() {
    let program = Program::fresh();
    let _server = program.serve();
    assert!(program.refused(&["serve"]).contains("another loopd uses this database"));
}

#[test]
fn the_openapi_document_of_the_command_line_is_the_one_that_is_served() {
    let program = Program::fresh();
    let printed: serde_json::Value = serde_json::from_str(&program.say(&["openapi"])).expect("JSON");
    let server = program.serve();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let served =
        runtime.block_on(async { server.client().get("/api/schema/?format=json").await.expect_status(200).json() });
    assert_eq!(printed["paths"], served["paths"]);
    assert_eq!(printed["components"], served["components"]);
    assert!(program.say(&["openapi", "--yaml"]).starts_with("openapi: "));
    assert_eq!(program.json(&["openapi"])["paths"], served["paths"]);
    for both in [["openapi", "--yaml", "--json"], ["--json", "openapi", "--yaml"]] {
        let refused = program.run(&both);
        assert_eq!(refused.status.code(), Some(2), "{both:?}");
        assert!(String::from_utf8_lossy(&refused.stderr).contains("one of --yaml and --json"), "{refused:?}");
    }
}

#[test]
fn help_and_version_name_every_command() {
    let program = Program::fresh();
    let help = program.say(&["--help"]);
    for command in [
        "serve", "migrate", "check", "doctor", "user", "company", "key", "backup", "restore", "demo", "openapi",
        "modules",
    ] {
        assert!(help.contains(command), "{command} is not in {help}");
    }
    assert!(program.say(&["--version"]).contains(loopd::VERSION));
    assert_eq!(program.run(&["no-such-command"]).status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn demo_fills_a_company_with_life() {
    let program = Program::fresh();
    program.say(&["demo", "--rows", "300"]);
    program.say(&["demo"]);
    let before = program.json(&["demo"]);
    assert_eq!(
        (&before["records"], &before["login"]),
        (&json!(0), &json!(null)),
        "a second set of the same shop helps nobody"
    );
    let key = program.json(&["key", "create", "--company", "001"]);
    let server = program.serve();
    let owner = server.client().with_key(key["key"].as_str().expect("a secret")).company("001");
    let count = owner.get(APPOINTMENTS).await.expect_status(200).at("/count");
    assert!(count.as_u64().is_some_and(|count| count >= 300), "{count}");
}

#[test]
fn a_module_of_the_operators_is_checked_with_file_and_line() {
    let program = Program::fresh();
    let folder = program.folder().join("modules");
    std::fs::create_dir_all(&folder).expect("a folder can be made");
    std::fs::write(folder.join("hotel.toml"), "slug = \"hotel\"\nname = \"Hotel\"\nno_such_key = 1\n")
        .expect("a file can be written");
    let complaint = program.refused(&["modules", "check", folder.to_str().expect("a path")]);
    assert!(complaint.contains("hotel.toml") && complaint.contains('3'), "{complaint}");
}
