//! Settings through the binary: what production refuses, and how a wrong value is told.

use loopd_testkit::json;

use crate::support::Program;

const SECRET: &str = "0123456789012345678901234567890123456789";

#[test]
fn production_refuses_what_is_only_safe_on_a_laptop() {
    let production = || Program::fresh().with("LOOP_ENVIRONMENT", "production").with("LOOP_RATE_LIMITS", "on");
    assert!(production().refused(&["serve"]).contains("LOOP_SECRET_KEY"));
    assert!(production().with("LOOP_SECRET_KEY", "short").refused(&["serve"]).contains("LOOP_SECRET_KEY"));
    let open = production().with("LOOP_SECRET_KEY", SECRET).with("LOOP_RATE_LIMITS", "off");
    assert!(open.refused(&["serve"]).contains("LOOP_RATE_LIMITS"));
    let misspelt = production().with("LOOP_SECRET_KEY", SECRET).with("LOOP_ALLOW_SANDBOXES", "mobile-mony");
    assert!(misspelt.refused(&["serve"]).contains("LOOP_ALLOW_SANDBOXES"));
    let checked = production().with("LOOP_SECRET_KEY", SECRET).with("LOOP_ALLOW_SANDBOXES", "mobile-money");
    checked.say(&["check"]);
}

#[test]
fn a_production_server_with_its_settings_starts_and_says_so() {
    let program = Program::fresh()
        .with("LOOP_ENVIRONMENT", "production")
        .with("LOOP_RATE_LIMITS", "on")
        .with("LOOP_SECRET_KEY", SECRET)
        .with("LOOP_BASE_URL", "https://api.example.com");
    let server = program.serve();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let health = server.client().get("/health/").await.expect_status(200).json();
        assert_eq!(health["environment"], "production");
        let portal = server.client().get("/?format=json").await.expect_status(200).text();
        assert!(portal.contains("https://api.example.com") && !portal.contains("127.0.0.1"), "{portal}");
    });
}

#[test]
fn a_wrong_value_is_refused_with_its_name_and_the_reason() {
    for (name, value, words) in [
        ("LOOP_LISTEN", "nowhere", "no address"),
        ("LOOP_LOG", "a=b=c", "no filter"),
        ("LOOP_MAX_CONNECTIONS", "-5", "between"),
        ("LOOP_DATABASE_URL", "mysql://x", "must begin"),
        ("LOOP_LISTNE", "x", "no setting"),
        ("LOOP_DATABASE_POOL", "many", "no whole number"),
        ("LOOP_REDIS_URL", "http://127.0.0.1", "redis://"),
        ("LOOP_ALLOWED_ORIGINS", "app.example.com", "no origin"),
        ("LOOP_ALLOWED_ORIGINS", "https://app.example.com/", "no origin"),
    ] {
        let complaint = Program::fresh().with(name, value).refused(&["serve"]);
        assert!(complaint.contains(name) && complaint.contains(words), "{complaint}");
    }
    let nowhere = Program::fresh().with("LOOP_DATABASE_URL", "postgres://nobody@127.0.0.1:1/x").refused(&["serve"]);
    assert!(nowhere.contains("LOOP_DATABASE_URL"), "{nowhere}");
}

#[test]
fn a_file_is_read_and_the_environment_overrules_it() {
    let program = Program::fresh();
    std::fs::write(program.folder().join("loopd.toml"), "environment = \"production\"\n")
        .expect("a file can be written");
    assert!(program.refused(&["check"]).contains("LOOP_SECRET_KEY"));
    let program = program.with("LOOP_ENVIRONMENT", "development");
    program.say(&["check"]);
    std::fs::write(program.folder().join("loopd.toml"), "no_such_setting = 1\n").expect("a file can be written");
    assert!(
        program.refused(&["check"]).contains("no_such_setting")
            || program.refused(&["check"]).contains("NO_SUCH_SETTING")
    );
    assert!(program.refused(&["check", "--config", "missing.toml"]).contains("missing.toml"));
}

#[test]
fn the_printed_defaults_are_a_file_that_is_read() {
    let program = Program::fresh();
    let defaults = program.say(&["check", "--defaults"]);
    std::fs::write(program.folder().join("loopd.toml"), defaults).expect("a file can be written");
    program.say(&["check"]);
    let values = program.json(&["check", "--defaults"]);
    assert_eq!((&values["listen"], &values["rate_limits"]), (&json!("127.0.0.1:8000"), &json!(true)));
}

#[test]
fn a_generated_secret_is_kept_and_readable_by_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let program = Program::fresh();
    drop(program.serve());
    let path = program.folder().join("data").join("secret.key");
    let first = std::fs::read(&path).expect("the key was kept");
    assert_eq!(std::fs::metadata(&path).expect("it is there").permissions().mode() & 0o077, 0);
    drop(program.serve());
    assert_eq!(std::fs::read(&path).expect("it stays"), first);
}
