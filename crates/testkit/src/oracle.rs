//! [`Oracle`]: a chain of the test's own, with the reference facilitator of x402 beside it (`tests/x402/oracle.mjs`).

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

/// A process that is asked in lines of JSON and answers in their order. It ends when this is dropped, because its input ends.
pub struct Oracle {
    /// Where the chain's node listens.
    pub url: String,
    speech: Mutex<Speech>,
    process: Child,
}

struct Speech {
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    asked: u64,
}

impl Oracle {
    /// `None` where it is not installed; scripts/with-services.sh installs it, and says so in LOOPD_TEST_X402.
    pub fn start() -> Option<Self> {
        let Ok(folder) = std::env::var("LOOPD_TEST_X402") else {
            let is_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
            assert!(!is_ci, "LOOPD_TEST_X402 is not set: run scripts/test.sh, which fetches the chain");
            eprintln!("skipped: no chain here; scripts/with-services.sh brings it");
            return None;
        };
        let mut process = Command::new("node")
            .arg("oracle.mjs")
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node runs");
        let input = process.stdin.take();
        let output = BufReader::new(process.stdout.take().expect("its output"));
        let mut speech = Speech { input, output, asked: 0 };
        let first = speech.listen();
        let url = first["url"].as_str().expect("where the node is").to_owned();
        Some(Self { url, speech: Mutex::new(speech), process })
    }

    /// Its answer to a question; what questions there are stands in the program.
    pub fn ask(&self, mut question: Value) -> Value {
        let mut speech = self.speech.lock().unwrap_or_else(PoisonError::into_inner);
        speech.asked += 1;
        question["id"] = json!(speech.asked);
        writeln!(speech.input.as_mut().expect("its input"), "{question}").expect("it listens");
        let answer = speech.listen();
        assert_eq!(answer["id"], question["id"], "answers come in order");
        answer
    }
}

impl Speech {
    fn listen(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("it answers");
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("the oracle says {line:?}"))
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        self.speech.lock().unwrap_or_else(PoisonError::into_inner).input = None;
        let _ = self.process.wait();
    }
}
