//! The examples of docs/events.md, run as they are printed: what a receiver copies must accept what we send, and nothing else.

use std::io::Write as _;
use std::process::{Command, Stdio};

use loopd_kernel::webhook::signature::sign;
use loopd_types::Secret;

const BODY: &str = r#"{"id":"1","type":"booking.appointments.created","data":{"title":"Thé à 10 h"}}"#;
const SECRET: &str = "whsec_a-secret";

/// The code of the block that begins with this line.
fn example(fence: &str) -> String {
    let page = include_str!("../../../../../docs/events.md");
    let block = page.split(&format!("```{fence} verify\n")).nth(1).and_then(|rest| rest.split("\n```").next());
    block.unwrap_or_else(|| panic!("docs/events.md has an example for {fence}")).to_owned()
}

fn signature(secret: &str) -> String {
    sign(&Secret::new(secret.to_owned()), &[b"1781870400.", BODY.as_bytes()])
}

/// Header and body, and whether they fit.
fn cases() -> Vec<(String, String, bool)> {
    let (good, other) = (signature(SECRET), signature("whsec_other"));
    vec![
        (format!("t=1781870400,v1={good}"), BODY.to_owned(), true),
        (format!("t=1781870400,v1={other},v1={good}"), BODY.to_owned(), true),
        (format!("t=1781870400,v1={other}"), BODY.to_owned(), false),
        (format!("t=1781870401,v1={good}"), BODY.to_owned(), false),
        (format!("t=1781870400,v0={good}"), BODY.to_owned(), false),
        (format!("t=1781870400,v1={good}"), BODY.replace("created", "deleted"), false),
    ]
}

/// Runs a program with the body on its standard input; gives what it printed.
fn run(command: &mut Command, header: &str, body: &str) -> String {
    let mut child = command
        .env("SIGNATURE", header)
        .env("SECRET", SECRET)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the example's language is there");
    child.stdin.take().expect("a pipe").write_all(body.as_bytes()).expect("the body is read");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

fn check(mut command: impl FnMut() -> Command) {
    for (header, body, is_valid) in cases() {
        let said = run(&mut command(), &header, &body);
        assert_eq!(said, if is_valid { "valid" } else { "invalid" }, "{header} {body}");
    }
}

#[test]
fn in_shell() {
    let script = example("sh");
    check(|| {
        let mut command = Command::new("sh");
        command.args(["-c", &script]);
        command
    });
}

#[test]
fn in_node() {
    let script = format!(
        "{}\nconst body = require('node:fs').readFileSync(0);\n\
         console.log(isValid(body, process.env.SIGNATURE, process.env.SECRET) ? 'valid' : 'invalid');",
        example("js")
    );
    check(|| {
        let mut command = Command::new("node");
        command.args(["-e", &script]);
        command
    });
}

#[test]
fn in_python() {
    let script = format!(
        "{}\nimport os, sys\nbody = sys.stdin.buffer.read()\n\
         print('valid' if is_valid(body, os.environ['SIGNATURE'], os.environ['SECRET']) else 'invalid')",
        example("python")
    );
    check(|| {
        let mut command = Command::new("python3");
        command.args(["-c", &script]);
        command
    });
}
