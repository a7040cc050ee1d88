//! A database that goes away or is full: 503 in the envelope, nothing half-written, recovery without restart.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use loopd_testkit::{Boot, Database, Engine, assert_json, json};

use crate::support::{Program, World, eventually};

const APPOINTMENTS: &str = "/api/v1/booking/appointments/";

/// A PostgreSQL server of this test's own, which it may stop and start.
struct Postgres {
    folder: tempfile::TempDir,
    bin: PathBuf,
    port: u16,
    child: Option<Child>,
}

impl Postgres {
    /// `None`, with words, where PostgreSQL is not installed.
    fn start() -> Option<Self> {
        let installed = std::fs::read_dir("/usr/lib/postgresql").ok()?.flatten().map(|entry| entry.path().join("bin"));
        let bin = installed.filter(|bin| bin.join("initdb").is_file()).max()?;
        let folder = tempfile::Builder::new().prefix("loopd-pg").tempdir_in("/tmp").expect("a folder can be made");
        let port = std::net::TcpListener::bind("127.0.0.1:0").ok()?.local_addr().ok()?.port();
        let mut server = Self { folder, bin, port, child: None };
        if server.is_root() {
            let owned = Command::new("chown").arg("postgres").arg(server.folder.path()).status();
            owned.ok().filter(|status| status.success())?;
        }
        let made = server
            .tool("initdb")
            .args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "-D"])
            .arg(server.folder.path().join("data"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        made.ok().filter(|status| status.success())?;
        server.up();
        Some(server)
    }

    fn is_root(&self) -> bool {
        Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n")
    }

    /// PostgreSQL refuses to run as root.
    fn tool(&self, name: &str) -> Command {
        let program = self.bin.join(name);
        let mut command = if self.is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.current_dir(self.folder.path());
        command
    }

    fn up(&mut self) {
        let port = self.port.to_string();
        let child = self
            .tool("postgres")
            .arg("-D")
            .arg(self.folder.path().join("data"))
            .args([
                "-p",
                &port,
                "-c",
                "listen_addresses=127.0.0.1",
                "-c",
                "unix_socket_directories=",
                "-c",
                "fsync=off",
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("PostgreSQL can be started");
        self.child = Some(child);
        let deadline = Instant::now() + Duration::from_secs(30);
        while !self.answers() {
            assert!(Instant::now() < deadline, "PostgreSQL does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn answers(&self) -> bool {
        let asked = Command::new(self.bin.join("pg_isready"))
            .args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()])
            .status();
        asked.is_ok_and(|status| status.success())
    }

    /// QUIT is PostgreSQL's immediate shutdown: connections end without a word, as in a crash.
    fn down(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let _ = Command::new("kill").args(["-QUIT", &child.id().to_string()]).status();
        let _ = child.wait();
    }

    fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.down();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgresql_that_stops_is_a_503_and_comes_back_without_restart() {
    let Some(mut postgres) = Postgres::start() else {
        eprintln!("SKIPPED: no PostgreSQL is installed that this test may stop and start");
        return;
    };
    let program = Program::fresh()
        .with("LOOP_DATABASE_URL", &postgres.url())
        .with("LOOP_DATABASE_WAIT", "1")
        .with("LOOP_DATABASE_POOL", "4");
    let server = program.serve();
    let body = json!({"email": "dev@example.com", "username": "dev", "password": "strongpass123", "company_name": "Demo Company"});
    let token = server.client().post("/api/v1/auth/register/").json(&body).await.expect_status(201).text_at("/access");
    let owner = server.client().with_token(&token).company("001");
    owner.post(APPOINTMENTS).json(&json!({"title": "Before"})).await.expect_status(201);
    postgres.down();
    for _ in 0..3 {
        let refused =
            owner.post(APPOINTMENTS).json(&json!({"title": "During"})).await.expect_refusal(503, "unavailable");
        assert!(!refused.text().contains("127.0.0.1") && !refused.text().contains("postgres"), "{}", refused.text());
        owner.get(APPOINTMENTS).await.expect_refusal(503, "unavailable");
    }
    assert_json!(server.client().get("/health/").await.expect_status(503).json(), {"app": "ok", "database": "error"});
    server.client().get("/health/live/").await.expect_status(200);
    assert_eq!(server.client().get("/health/ready/").await.status, 503);
    postgres.up();
    eventually("writes work again", async || {
        owner.post(APPOINTMENTS).json(&json!({"title": "After"})).await.status == 201
    })
    .await;
    server.client().get("/health/").await.expect_status(200);
    let page = owner.get(&format!("{APPOINTMENTS}?ordering=created_at")).await.expect_status(200);
    assert_json!(page.json(), {"count": 2, "results": [{"title": "Before"}, {"title": "After"}]});
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_sqlite_is_a_503_and_takes_writes_again_when_there_is_room() {
    let database = Database::prepared::<World>(Engine::Sqlite).await.expect("SQLite is always there");
    let world = World::start(database, &[]).await;
    let owner = world.owner().await;
    let own = owner.make(APPOINTMENTS, json!({"title": "Before"})).await;
    let limit = |pages: &'static str| {
        let sql = format!("PRAGMA max_page_count = {pages}");
        world.kernel.db.write_unlimited(move |tx| {
            tx.batch(&sql)?;
            Ok(())
        })
    };
    // As many pages as there are: the pragma never goes below that.
    limit("1").await.expect("a pragma");
    let body = json!({"title": "Big", "description": "x".repeat(20_000)});
    let mut refused = 0;
    for _ in 0..30 {
        let answer = owner.post(APPOINTMENTS).json(&body).await;
        if answer.status != 201 {
            answer.expect_refusal(503, "unavailable");
            refused += 1;
        }
    }
    assert!(refused > 0, "the file grew past its limit");
    let health = world.client().get("/health/").await.expect_status(503).json();
    assert_json!(health, {"app": "ok", "database": "read-only"});
    eventually("readiness says so too, and stays", async || {
        world.client().get("/health/ready/").await.expect_status(200).text().contains("writes: refused")
    })
    .await;
    // Reading goes on, and what was refused left nothing.
    owner.get(&format!("{APPOINTMENTS}{own}/")).await.expect_status(200);
    let page = owner.get(APPOINTMENTS).await.expect_status(200);
    assert_eq!(page.at("/count"), json!(1 + 30 - refused));
    limit("1073741823").await.expect("a pragma");
    // Found out by looking, before anybody writes.
    assert_json!(world.client().get("/health/").await.expect_status(200).json(), {"database": "ok"});
    owner.post(APPOINTMENTS).json(&body).await.expect_status(201);
    world.close().await;
}
