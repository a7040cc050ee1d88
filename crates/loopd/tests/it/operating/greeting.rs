//! What `loopd serve` prints: words that a newcomer can act on without reading anything else.

use std::net::TcpListener;
use std::process::Command;

use crate::support::Program;

/// The indented calls of a greeting: the lines of two blanks and more that are no address to look at.
fn calls(greeting: &str) -> String {
    greeting
        .lines()
        .skip_while(|line| !line.ends_with(':'))
        .filter(|line| line.starts_with("  "))
        .map(|line| format!("{line}\n"))
        .collect()
}

/// Runs what was printed in a shell, as a person would paste it; each answer on a line of its own.
fn paste(commands: &str) -> String {
    let output = Command::new("sh")
        .args(["-c", &commands.replace("curl -X", "curl -s -w '\\n' -X").replace("curl http", "curl -s -w '\\n' http")])
        .output()
        .expect("there is a shell");
    String::from_utf8(output.stdout).expect("answers are UTF-8")
}

#[test]
fn the_calls_of_the_first_start_run_as_they_are_printed() {
    let program = Program::fresh();
    let (server, greeting) = program.serve_in_words();
    for path in ["/", "/api/developers/", "/api/docs/", "/health/"] {
        assert!(greeting.contains(&format!("{}{path}\n", server.base)), "{path} is not named in\n{greeting}");
    }
    let answers = paste(&calls(&greeting));
    let answers: Vec<&str> = answers.lines().collect();
    assert_eq!(answers.len(), 3, "{answers:#?}");
    assert!(answers[0].contains(r#""code":"001""#), "registered: {}", answers[0]);
    assert!(answers[1].contains(r#""email":"dev@example.com""#), "me: {}", answers[1]);
    assert!(answers[2].contains(r#""number":"APT-000001""#), "appointment: {}", answers[2]);
}

#[test]
fn a_later_start_tells_how_to_sign_in_and_not_to_register_again() {
    let program = Program::fresh();
    program.say(&["demo"]);
    let (_server, greeting) = program.serve_in_words();
    assert!(!greeting.contains("/auth/register/"), "{greeting}");
    assert!(greeting.contains("/auth/login/"), "{greeting}");
}

#[test]
fn an_address_that_cannot_be_listened_on_is_refused_with_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it has an address").to_string();
    let words = Program::fresh().with("LOOP_LISTEN", &address).refused(&["serve"]);
    assert!(words.contains("LOOP_LISTEN") && words.contains("choose a free port"), "{words}");
    // 192.0.2.0/24 is kept for documents (RFC 5737), so no machine has it.
    let words = Program::fresh().with("LOOP_LISTEN", "192.0.2.1:8000").refused(&["serve"]);
    assert!(words.contains("this machine has no such address"), "{words}");
}
