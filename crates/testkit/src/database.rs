//! [`Database`]: one test's rows, on either engine, copied from a prepared template and removed afterwards.
//!
//! nextest runs each test as a process, so what tests share lies on disk beside the test program (SQLite's template and
//! the lock) and in the PostgreSQL server (its template database). A template belongs to one build of one program.

use std::fs::{self, File};
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use loopd_store::{Config, Db, Engine};
use tempfile::TempDir;
use tokio_postgres::NoTls;
use tokio_postgres::error::SqlState;

use crate::Boot;

/// A database of one test. Dropping it removes the rows, even under open connections.
pub struct Database {
    config: Config,
    engine: Engine,
    folder: TempDir,
    /// PostgreSQL: the server and the name of the database to drop there in the end.
    leftover: Option<(Server, String)>,
}

impl Database {
    /// A database without any table. `None`, loudly, when the engine is PostgreSQL and there is no server.
    pub async fn empty(engine: Engine) -> Option<Self> {
        match engine {
            Engine::Sqlite => Some(Self::in_folder(None)),
            Engine::Postgres => {
                let server = Server::find()?;
                let name = format!("loopd_test_{}", unique());
                server.run(&format!("CREATE DATABASE {name}")).await.expect("the role may create databases");
                Some(Self::in_server(&server, &name).removed_from(server, name))
            }
        }
    }

    /// A copy of the database that `W::prepare` made. `None` as in [`Database::empty`].
    pub async fn prepared<W: Boot>(engine: Engine) -> Option<Self> {
        let templates = Templates::of(W::NAME);
        match engine {
            Engine::Sqlite => Some(Self::in_folder(Some(&templates.sqlite::<W>().await))),
            Engine::Postgres => {
                let server = Server::find()?;
                let template = templates.postgres::<W>(&server).await;
                let name = format!("loopd_test_{}", unique());
                server.create_from(&template, &name).await;
                Some(Self::in_server(&server, &name).removed_from(server, name))
            }
        }
    }

    /// How to open it.
    pub fn config(&self) -> &Config {
        &self.config
    }
    /// Its address, as `LOOP_DATABASE_URL` takes it.
    pub fn url(&self) -> &str {
        &self.config.url
    }
    pub fn engine(&self) -> Engine {
        self.engine
    }
    /// A folder that goes away with the database, for everything else a server keeps on disk.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn in_folder(template: Option<&Path>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let file = folder.path().join("loop.db");
        if let Some(template) = template {
            fs::copy(template, &file).expect("the template can be copied");
        }
        Self {
            config: Config::new(format!("sqlite://{}", file.display())),
            engine: Engine::Sqlite,
            folder,
            leftover: None,
        }
    }

    fn in_server(server: &Server, name: &str) -> Self {
        let mut config = Config::new(server.url_of(name));
        // Many tests run at once against one server; none of them needs more.
        config.pool_size = 4;
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        Self { config, engine: Engine::Postgres, folder, leftover: None }
    }

    /// The same, dropped in the server when this is dropped.
    fn removed_from(mut self, server: Server, name: String) -> Self {
        self.leftover = Some((server, name));
        self
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let Some((server, name)) = self.leftover.take() else { return };
        // A thread of its own, because a runtime cannot be entered from within the test's.
        let removal = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(server.run(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")))
        });
        if let Ok(Err(error)) = removal.join() {
            shout(&format!("a test's database could not be removed: {error}"));
        }
    }
}

/// Where the prepared databases of one world in one build of one test program are.
struct Templates {
    folder: PathBuf,
    world: String,
    build: String,
}

impl Templates {
    fn of(world: &str) -> Self {
        let program = std::env::current_exe().expect("a program knows its file");
        let built = fs::metadata(&program).expect("the program's file is there");
        // Two checkouts may share a PostgreSQL server, and so may two test programs of one checkout: the path tells them apart.
        let key =
            digest(&(program.file_stem().map(|stem| stem.to_string_lossy().into_owned()), program.parent(), world));
        let build = digest(&(built.modified().ok(), built.len()));
        let folder = program.parent().expect("a file has a folder").join("loopd-templates");
        fs::create_dir_all(&folder).expect("the folder of test programs can be written");
        Self { folder, world: key, build }
    }

    /// Held while one process prepares; the others wait and find it done.
    fn lock(&self, engine: &str) -> File {
        let file =
            File::create(self.folder.join(format!("{}.{engine}.lock", self.world))).expect("a lock file can be made");
        file.lock().expect("a file can be locked");
        file
    }

    async fn sqlite<W: Boot>(&self) -> PathBuf {
        let _lock = self.lock("sqlite");
        let template = self.folder.join(format!("{}-{}.db", self.world, self.build));
        if !template.exists() {
            self.remove_older_files();
            let empty = Database::in_folder(None);
            W::prepare(&empty).await;
            // Through the backup, because a bare copy would miss what is still in the write-ahead log.
            let db = Db::open(empty.config()).await.expect("a prepared database can be opened");
            let unfinished = self.folder.join(format!("{}.unfinished", self.world));
            let _ = fs::remove_file(&unfinished);
            db.backup(&unfinished).await.expect("a prepared database can be copied");
            fs::rename(&unfinished, &template).expect("a file can be renamed in its folder");
        }
        template
    }

    fn remove_older_files(&self) {
        let files = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        for file in files.filter(|file| file.file_name().to_string_lossy().starts_with(&format!("{}-", self.world))) {
            let _ = fs::remove_file(file.path());
        }
    }

    async fn postgres<W: Boot>(&self, server: &Server) -> String {
        let _lock = self.lock("postgres");
        let older = format!("loopd_template_{}_", self.world);
        let template = format!("{older}{}", self.build);
        let there = server.names(&older).await;
        if !there.contains(&template) {
            for name in there {
                let _ = server.run(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
            }
            let unfinished = format!("loopd_unfinished_{}", self.world);
            server
                .run(&format!("DROP DATABASE IF EXISTS {unfinished} WITH (FORCE)"))
                .await
                .expect("a leftover can be dropped");
            server.run(&format!("CREATE DATABASE {unfinished}")).await.expect("the role may create databases");
            W::prepare(&Database::in_server(server, &unfinished)).await;
            server.rename(&unfinished, &template).await;
        }
        template
    }
}

/// The PostgreSQL server that tests may make databases in.
struct Server {
    url: String,
}

impl Server {
    fn find() -> Option<Self> {
        match std::env::var("LOOPD_TEST_POSTGRES") {
            Ok(url) if !url.is_empty() => Some(Self { url }),
            _ if std::env::var("CI").is_ok_and(|ci| ci == "true") => {
                panic!(
                    "LOOPD_TEST_POSTGRES is not set: CI tests both engines. Run scripts/test.sh, which starts a server."
                )
            }
            _ => {
                shout(
                    "SKIPPED on PostgreSQL: LOOPD_TEST_POSTGRES is not set. `make test` starts a server, and so does \
                       `scripts/with-services.sh cargo nextest run …`.",
                );
                None
            }
        }
    }

    /// The address of another database in the same server.
    fn url_of(&self, name: &str) -> String {
        let (address, options) = self.url.split_once('?').map_or((self.url.as_str(), None), |(a, o)| (a, Some(o)));
        let (scheme, rest) = address.split_once("://").expect("an address has a scheme");
        let server = rest.split('/').next().unwrap_or(rest);
        options.map_or_else(
            || format!("{scheme}://{server}/{name}"),
            |options| format!("{scheme}://{server}/{name}?{options}"),
        )
    }

    async fn connect(&self) -> tokio_postgres::Client {
        let connected = tokio_postgres::connect(&self.url, NoTls).await;
        let (client, connection) =
            connected.unwrap_or_else(|error| panic!("LOOPD_TEST_POSTGRES cannot be reached: {error}"));
        tokio::spawn(connection);
        client
    }

    async fn run(&self, sql: &str) -> Result<(), tokio_postgres::Error> {
        self.connect().await.batch_execute(sql).await
    }

    /// Names of databases that begin with `prefix`.
    async fn names(&self, prefix: &str) -> Vec<String> {
        let sql = "SELECT datname FROM pg_database WHERE starts_with(datname, $1)";
        let rows = self.connect().await.query(sql, &[&prefix]).await.expect("databases can be listed");
        rows.iter().map(|row| row.get(0)).collect()
    }

    async fn create_from(&self, template: &str, name: &str) {
        self.when_idle(template, &format!("CREATE DATABASE {name} TEMPLATE {template}")).await;
    }

    async fn rename(&self, from: &str, to: &str) {
        self.when_idle(from, &format!("ALTER DATABASE {from} RENAME TO {to}")).await;
    }

    /// Both statements want a database that nobody is connected to; the pool of whoever prepared it is still closing.
    async fn when_idle(&self, database: &str, sql: &str) {
        let client = self.connect().await;
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            match client.batch_execute(sql).await {
                Ok(()) => return,
                Err(error) if error.code() == Some(&SqlState::OBJECT_IN_USE) && Instant::now() < deadline => {
                    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()";
                    client.query(end, &[&database]).await.expect("a role may end its own connections");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(error) => panic!("{sql}: {error}"),
            }
        }
    }
}

/// A name nobody else has; the hasher's random seed is the standard library's own source of chance.
fn unique() -> String {
    format!("{}_{:x}", std::process::id(), RandomState::new().build_hasher().finish())
}

fn digest(of: &impl Hash) -> String {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    format!("{:012x}", hasher.finish() >> 16)
}

/// Past the test runner's capture, which would swallow `eprintln!` of a test that passes.
fn shout(words: &str) {
    let _ = writeln!(std::io::stderr(), "{words}");
}
