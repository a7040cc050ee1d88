//! The real binary: run once for a command, or served until it is told to stop.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Output, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use loopd_testkit::{Client, Database, Engine, json};
use serde_json::Value;
use tempfile::TempDir;

use super::PASSWORD;

/// An installation: a folder of data and the settings that every command of it is run with.
pub struct Program {
    folder: TempDir,
    settings: BTreeMap<String, String>,
}

/// A server that runs; dropping it kills it.
pub struct Served {
    child: Child,
    pub base: String,
    /// Gathers what it says on standard error; `None` where nobody listens.
    log: Option<JoinHandle<Vec<u8>>>,
}

impl Program {
    /// A fresh folder; SQLite inside it unless a setting says otherwise.
    pub fn fresh() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let data = folder.path().join("data").display().to_string();
        let mut settings = BTreeMap::new();
        for (name, value) in [
            ("LOOP_DATA_DIR", data.as_str()),
            ("LOOP_LISTEN", "127.0.0.1:0"),
            ("LOOP_RATE_LIMITS", "off"),
            ("LOOP_LOG", "warn"),
        ] {
            settings.insert(name.to_owned(), value.to_owned());
        }
        Self { folder, settings }
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.settings.insert(name.to_owned(), value.to_owned());
        self
    }

    /// An installation of its own on each engine; the rows last as long as the database is held.
    pub async fn on_every_engine() -> Vec<(Self, Database)> {
        let mut all = Vec::new();
        for engine in [Engine::Sqlite, Engine::Postgres] {
            let Some(database) = Database::empty(engine).await else { continue };
            all.push((Self::fresh().with("LOOP_DATABASE_URL", database.url()), database));
        }
        all
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
    pub fn database(&self) -> PathBuf {
        self.folder().join("data").join("loop.db")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_loopd"));
        command.args(arguments).current_dir(self.folder()).env_clear().envs(&self.settings);
        command
    }

    /// Runs a command to its end, with `input` on its standard input.
    pub fn run_with(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = self.command(arguments);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary can be started");
        // A command that reads nothing may be gone already.
        let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
        child.wait_with_output().expect("the binary ends")
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(arguments, "")
    }

    /// Runs a command at a terminal, where somebody waits for each question and types its answer: what stood on the screen in the end,
    /// and whether the command went well. Panics when a question is not asked.
    pub fn run_at_terminal(&self, arguments: &[&str], talk: &[(&str, &str)]) -> (String, bool) {
        let program = [&[env!("CARGO_BIN_EXE_loopd")], arguments].concat().join(" ");
        // util-linux's own terminal: `script` shows it on its standard output and types its standard input.
        let mut child = Command::new("script")
            .args(["--quiet", "--return", "--command", &program, "/dev/null"])
            .current_dir(self.folder())
            .env_clear()
            .envs(&self.settings)
            .env("PATH", "/usr/bin:/bin")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script can be started");
        let (mut hand, mut screen) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
        let mut shown = Vec::new();
        for (question, answer) in talk {
            let seen = shown.len();
            while !text(&shown[seen..]).contains(question) {
                let mut piece = [0; 1_024];
                let length = screen.read(&mut piece).expect("the screen can be read");
                assert!(length > 0, "{question:?} was not asked: {}", text(&shown));
                shown.extend_from_slice(&piece[..length]);
            }
            hand.write_all(format!("{answer}\n").as_bytes()).expect("somebody listens");
        }
        screen.read_to_end(&mut shown).expect("the screen can be read");
        drop(hand);
        (text(&shown), child.wait().expect("the command ends").success())
    }

    /// Runs a command that must succeed, and gives what it printed.
    #[track_caller]
    pub fn say(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let (words, complaints) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "loopd {}: {}\n{words}{complaints}", arguments.join(" "), output.status);
        words
    }

    /// The same with `--json`: exactly one JSON value on standard output.
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> Value {
        let words = self.say(&[arguments, &["--json"]].concat());
        serde_json::from_str(&words).unwrap_or_else(|error| panic!("{arguments:?} printed no JSON ({error}): {words}"))
    }

    /// Runs a command that must fail, and gives what it complained of.
    #[track_caller]
    pub fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(!output.status.success(), "loopd {} went well: {}", arguments.join(" "), text(&output.stdout));
        text(&output.stderr)
    }

    /// Starts the server without `--json` and gives what it printed for people.
    pub fn serve_in_words(&self) -> (Served, String) {
        let mut child = self
            .command(&["serve"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary can be started");
        let mut printed = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let mut greeting = String::new();
        for line in printed.by_ref() {
            let line = line.expect("standard output can be read");
            greeting.push_str(&line);
            greeting.push('\n');
            if line.contains("Ctrl-C") {
                break;
            }
        }
        // The server may not have written its last newline yet; a closed pipe would end it there.
        std::thread::spawn(move || printed.map_while(Result::ok).for_each(drop));
        let portal = greeting.lines().find_map(|line| line.trim().strip_prefix("Portal")).map(str::trim);
        let Some(base) = portal.map(|address| address.trim_end_matches('/').to_owned()) else {
            let _ = child.kill();
            panic!("the server said not where its portal is: {greeting}");
        };
        (Served { child, base, log: None }, greeting)
    }

    /// Starts the server and waits until it says where it listens.
    pub fn serve(&self) -> Served {
        Self::start(self.command(&["serve", "--json"]))
    }

    /// The same, and then nobody reads what the server says on standard error: every line that it has to say fails from here on.
    pub fn serve_unheard(&self) -> Served {
        let (child, base, _) = Self::begin(self.command(&["serve", "--json"]));
        Served { child, base, log: None }
    }

    /// The same for a server whose files may be kept from growing ([`Served::let_files_grow`]); the kernel's signal would end it.
    pub fn serve_on_a_small_disk(&self) -> Served {
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' XFSZ; exec \"$0\" serve --json", env!("CARGO_BIN_EXE_loopd")]);
        command.current_dir(self.folder()).env_clear().envs(&self.settings);
        Self::start(command)
    }

    fn start(command: Command) -> Served {
        let (child, base, mut complaints) = Self::begin(command);
        // Read all the time: a full pipe would stop the server.
        let log = std::thread::spawn(move || {
            let mut said = Vec::new();
            let _ = complaints.read_to_end(&mut said);
            said
        });
        Served { child, base, log: Some(log) }
    }

    /// The server once it has said where it listens, and what it says on standard error.
    fn begin(mut command: Command) -> (Child, String, ChildStderr) {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary can be started");
        let mut line = String::new();
        let mut printed = BufReader::new(child.stdout.take().expect("a pipe"));
        printed.read_line(&mut line).expect("standard output can be read");
        let mut complaints = child.stderr.take().expect("a pipe");
        // A refusal is JSON too, but names no address.
        let greeting = serde_json::from_str::<Value>(&line).unwrap_or_default();
        let Some(address) = greeting["listening"].as_str() else {
            let _ = child.kill();
            let mut words = String::new();
            let _ = complaints.read_to_string(&mut words);
            panic!("the server did not start: {line}{words}");
        };
        let base = format!("http://{address}");
        (child, base, complaints)
    }
}

impl Served {
    pub fn client(&self) -> Client {
        Client::new(&self.base)
    }

    /// From now on no file of the server grows beyond so many bytes, or any may again: a disk that is full, for root as well.
    pub fn let_files_grow(&self, bytes: Option<u64>) {
        let limit = bytes.map_or_else(|| "unlimited".to_owned(), |bytes| bytes.to_string());
        let changed = Command::new("prlimit")
            .args(["--pid", &self.child.id().to_string(), &format!("--fsize={limit}:unlimited")])
            .status();
        assert!(changed.expect("prlimit is there").success());
    }

    /// Registers the first person, who owns company 001.
    pub async fn owner(&self) -> Client {
        let body = json!({"email": "dev@example.com", "username": "dev", "password": PASSWORD, "company_name": "Demo Company"});
        let answer = self.client().post("/api/v1/auth/register/").json(&body).await.expect_status(201);
        self.client().with_token(&answer.text_at("/access")).company("001")
    }

    /// The same person with a session of this server's own.
    pub async fn owner_again(&self) -> Client {
        let body = json!({"email": "dev@example.com", "password": PASSWORD});
        let answer = self.client().post("/api/v1/auth/login/").json(&body).await.expect_status(200);
        self.client().with_token(&answer.text_at("/access")).company("001")
    }

    /// `kill -9`: no handler runs, nothing is flushed.
    pub fn kill(mut self) {
        self.child.kill().expect("a running child can be killed");
        self.child.wait().expect("a killed child is gone");
    }

    /// `kill -TERM`, without waiting.
    pub fn terminate(&self) {
        self.signal("-TERM");
    }

    /// Stops the process where it stands; its connections stay open.
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    pub fn wake(&self) {
        self.signal("-CONT");
    }

    /// Bytes of memory that are resident now.
    pub fn resident(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The most bytes of memory that were ever resident.
    pub fn most_resident(&self) -> u64 {
        self.memory("VmHWM:")
    }

    fn memory(&self, of: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("a running process");
        let line = status.lines().find_map(|line| line.strip_prefix(of)).expect("a process has memory");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
    }

    /// How many files without a name the server holds open.
    pub fn nameless_files(&self) -> usize {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("a running process");
        let places = open.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
        places.filter(|place| place.to_string_lossy().ends_with(" (deleted)")).count()
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(sent.expect("kill is there").success());
    }

    /// Stops the server as an operator does, and gives all that it said on standard error.
    pub fn log(mut self) -> String {
        self.terminate();
        assert!(self.wait().success());
        text(&self.log.take().expect("a log is read once").join().expect("the reader does not panic"))
    }

    /// Waits for the end, and fails when it does not come in time.
    pub fn ended(mut self) -> ExitStatus {
        self.wait()
    }

    fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be asked") {
                return status;
            }
            assert!(Instant::now() < deadline, "the server does not stop");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Asks again until `is_so` or the deadline; for what another process does in its own time.
pub async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_so().await {
        assert!(Instant::now() < deadline, "it never came true that {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
