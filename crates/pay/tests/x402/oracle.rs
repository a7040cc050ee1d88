//! [`Oracle`]: the reference facilitator and a chain of its own (`tests/x402/oracle.mjs`).

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use alloy_primitives::{Address, U256, hex};
use alloy_sol_types::{SolCall as _, sol};
use loopd_pay::evm::Rpc;
use loopd_pay::evm::abi::Call;
use serde_json::{Value, json};

use crate::payments::{CHAIN, USDC};

sol! {
    function mint(address to, uint256 amount) external;
}

/// A chain with the token on it, and the reference's opinion of payments. The process ends when this is dropped: its input ends.
pub struct Oracle {
    url: String,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    process: Child,
    asked: u64,
}

impl Oracle {
    /// `None` where it is not installed; scripts/with-services.sh installs it, and says so in LOOPD_TEST_X402.
    pub fn start() -> Option<Self> {
        let Ok(folder) = std::env::var("LOOPD_TEST_X402") else {
            let is_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
            assert!(!is_ci, "LOOPD_TEST_X402 is not set: run scripts/test.sh, which fetches the reference");
            eprintln!("skipped: no reference facilitator here; scripts/with-services.sh brings it");
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
        let mut output = BufReader::new(process.stdout.take().expect("its output"));
        let mut line = String::new();
        output.read_line(&mut line).expect("a first line");
        let first: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("the oracle says {line:?}"));
        let url = first["url"].as_str().expect("where the node is").to_owned();
        Some(Self { url, input, output, process, asked: 0 })
    }

    /// Our own way to the same chain.
    pub fn rpc(&self, factories: &[Address]) -> Rpc {
        Rpc::new(CHAIN, &self.url, Duration::from_secs(20), factories.to_vec()).expect("a node on this machine")
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    fn ask(&mut self, mut question: Value) -> Value {
        self.asked += 1;
        question["id"] = json!(self.asked);
        writeln!(self.input.as_mut().expect("its input"), "{question}").expect("it listens");
        let mut line = String::new();
        self.output.read_line(&mut line).expect("an answer");
        let answer: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("to {question} it says {line:?}"));
        assert_eq!(answer["id"], question["id"], "answers come in order");
        answer
    }

    /// `Ok` when the reference takes the payment; otherwise its reason, or `error` and its words.
    pub fn judge(&mut self, payload: &Value, requirements: &Value) -> Result<(), String> {
        let answer = self.ask(json!({"payload": payload, "requirements": requirements}));
        match (&answer["isValid"], answer["invalidReason"].as_str(), answer["error"].as_str()) {
            (Value::Bool(true), ..) => Ok(()),
            (_, Some(reason), _) => Err(reason.to_owned()),
            (.., error) => Err(format!("error: {}", error.unwrap_or_default())),
        }
    }

    /// Sends a transaction; whether it was made.
    pub fn send(&mut self, call: &Call) -> bool {
        self.ask(json!({"send": {"to": call.to.to_string(), "data": call.data.to_string()}}))["ok"] == true
    }

    pub fn mint(&mut self, to: Address, amount: u64) {
        let data = mintCall { to, amount: U256::from(amount) }.abi_encode().into();
        assert!(self.send(&Call { to: USDC, data }), "the token mints");
    }

    /// Deploys a contract of the token's package; where it stands, and the code that made it.
    pub fn deploy(&mut self, artifact: &str, words: &[u8]) -> (Address, Vec<u8>) {
        let answer = self.ask(json!({"deploy": artifact, "words": hex::encode_prefixed(words)}));
        let text = |name: &str| answer[name].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
        (text("address").parse().expect("an address"), hex::decode(text("code")).expect("code"))
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.process.wait();
    }
}
