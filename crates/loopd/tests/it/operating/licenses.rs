//! `loopd license`: the vendor's key, a customer's licence, a revocation, each as a person at the vendor's would do it.

use serde_json::Value;

use crate::support::Program;

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}")).to_owned()
}

#[test]
fn a_licence_is_issued_inspected_and_revoked() {
    let vendor = Program::fresh();
    let made = vendor.json(&["license", "keygen", "--key", "vendor.key"]);
    let public = text(&made, "public_key");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(vendor.folder().join("vendor.key")).expect("the key's file").permissions().mode();
        assert_eq!(mode & 0o077, 0, "others may read the private key");
    }
    assert!(vendor.refused(&["license", "keygen", "--key", "vendor.key"]).contains("vendor.key"));
    let issue = ["license", "issue", "--key", "vendor.key", "--tenant", "kigali-salon", "--plan", "team"];
    let issued = vendor.json(&[&issue[..], &["--addon", "broadcasts", "--domain", "inbox.example.com"]].concat());
    let license = text(&issued, "license");
    assert!(license.starts_with("LW1.") && license.split('.').count() == 3, "{license}");

    let customer = Program::fresh().with("LICENSE_PUBLIC_KEY", &public);
    let inspected = customer.json(&["license", "inspect", &license, "--host", "inbox.example.com"]);
    assert_eq!(inspected["state"], "active", "{inspected}");
    assert_eq!(inspected["tenant"], "kigali-salon");
    assert_eq!(inspected["plan"], "team");
    assert_eq!(inspected["addons"], serde_json::json!(["broadcasts"]));
    assert!(customer.say(&["license", "inspect", &license]).contains("broadcasts"));

    let state = |program: &Program, arguments: &[&str]| {
        let output = program.run(&[&["license", "inspect", "--json"], arguments].concat());
        let value: Value = serde_json::from_slice(&output.stdout).expect("one JSON value");
        (output.status.success(), text(&value, "state"), value["reason"].as_str().unwrap_or("").to_owned())
    };
    let elsewhere = state(&customer, &[&license, "--host", "other.example.com"]);
    assert_eq!(elsewhere, (false, "invalid".into(), "domain_mismatch".into()));
    let other = text(&vendor.json(&["license", "keygen", "--key", "other.key"]), "public_key");
    let foreign = state(&customer, &[&license, "--public-key", &other]);
    assert_eq!(foreign, (false, "invalid".into(), "bad_signature".into()));

    let revoked = vendor.json(&["license", "revoke", &license, "--key", "vendor.key", "--list", "revoked.txt"]);
    assert_eq!(revoked["id"], issued["id"]);
    let list = vendor.folder().join("revoked.txt").display().to_string();
    assert_eq!(state(&customer, &[&license, "--revocations", &list]), (false, "revoked".into(), String::new()));
    let renewed = text(&vendor.json(&issue), "license");
    assert!(state(&customer, &[&renewed, "--revocations", &list]).0);
    // a second revocation keeps the first
    vendor.say(&["license", "revoke", &renewed, "--key", "vendor.key", "--list", "revoked.txt"]);
    assert_eq!(state(&customer, &[&license, "--revocations", &list]).1, "revoked");
    assert_eq!(state(&customer, &[&renewed, "--revocations", &list]).1, "revoked");
}

#[test]
fn what_cannot_be_done_is_said() {
    let program = Program::fresh();
    assert!(program.refused(&["license", "inspect", "LW1.a.b"]).contains("LICENSE_PUBLIC_KEY"));
    assert!(program.refused(&["license", "issue", "--key", "none", "--tenant", "x"]).contains("none"));
    program.say(&["license", "keygen", "--key", "k"]);
    let issue = ["license", "issue", "--key", "k", "--tenant", "x"];
    assert!(program.refused(&[&issue[..], &["--expires", "soon"]].concat()).contains("soon"));
    assert!(program.refused(&[&issue[..], &["--expires", "2020-01-01T00:00:00Z"]].concat()).contains("over"));
    program.refused(&[&issue[..], &["--days", "0"]].concat());
    std::fs::write(program.folder().join("list"), "nonsense").expect("a file can be written");
    assert!(
        program.refused(&["license", "revoke", "-some_id-of-16ch", "--key", "k", "--list", "list"]).contains("list")
    );
    for slip in ["?", "some-id", "LW1.x.y"] {
        let said = program.refused(&["license", "revoke", slip, "--key", "k", "--list", "new"]);
        assert!(said.contains("licence") && !program.folder().join("new").exists(), "{said}");
    }
    let bad = Program::fresh().with("LICENSE_PUBLIC_KEY", "nonsense");
    assert!(bad.refused(&["check"]).contains("LICENSE_PUBLIC_KEY"));
    let bad = Program::fresh().with("LICENSE_GRACE_DAYS", "9999");
    assert!(bad.refused(&["check"]).contains("LICENSE_GRACE_DAYS"));
}
