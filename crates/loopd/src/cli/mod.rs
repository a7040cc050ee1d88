//! The command line. One file a command; `--json` everywhere prints one JSON value on standard output instead of words.

mod admin;
mod audit;
mod check;
mod demo;
mod demo_wave;
mod key;
mod license;
mod log;
mod maintenance;
mod password;
mod pay;
mod serve;
mod transfer;
mod wave;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser, Subcommand};
use loopd_kernel::Kernel;
use loopd_kernel::transfer::Lost;
use loopd_store::Db;
use serde_json::Value;

use crate::app::{self, World};
use crate::settings::Settings;

/// One self-hosted server for a business: LOOP, Loopwave and Loomal on one foundation.
#[derive(Parser)]
#[command(name = "loopd", version = crate::VERSION, max_term_width = 100)]
struct Arguments {
    /// A settings file; without it ./loopd.toml is read if it is there.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print one JSON value instead of words.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start the server.
    Serve,
    /// Bring the database up to date.
    Migrate {
        /// Only say what would be done.
        #[arg(long)]
        plan: bool,
    },
    /// Check the settings and definitions without starting.
    Check {
        /// Print the annotated defaults.
        #[arg(long)]
        defaults: bool,
    },
    /// Say what is wrong with this installation and what to do.
    Doctor,
    /// People.
    #[command(subcommand)]
    User(admin::User),
    /// Companies.
    #[command(subcommand)]
    Company(admin::Company),
    /// Keys.
    #[command(subcommand)]
    Key(key::Key),
    /// The audit log.
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Offline licences of Loopwave: the vendor's side, and a look at one.
    #[command(subcommand)]
    License(license::License),
    /// Write a copy of the running database (SQLite).
    Backup {
        /// The file to write; must not exist.
        to: PathBuf,
    },
    /// Put a backup in the place of the database (SQLite); the server must not run.
    Restore {
        from: PathBuf,
        /// Replace an existing database; it is kept beside the new one with the ending `.before-restore`.
        #[arg(long)]
        force: bool,
    },
    /// Write all that a company owns into one archive that can be read without Loopd.
    Export {
        /// The company's code.
        #[arg(long)]
        company: String,
        /// The archive to write (.tar.gz); must not exist.
        file: PathBuf,
        /// Go on without files whose content the file store has lost; the archive's manifest names them.
        #[arg(long)]
        leave_out_lost: bool,
    },
    /// Bring a company in from an archive; all of it or nothing.
    Import {
        file: PathBuf,
        /// Only look whether the archive is whole and suits this installation.
        #[arg(long)]
        check: bool,
    },
    /// Fill a company with life.
    #[command(args_conflicts_with_subcommands = true)]
    Demo {
        #[command(subcommand)]
        play: Option<Play>,
        /// The company's code; made with an owner if it does not exist.
        #[arg(long, default_value = "001")]
        company: String,
        /// Appointments to make on top, for benchmarks.
        #[arg(long, default_value_t = 0)]
        rows: u64,
    },
    /// Print the OpenAPI document.
    Openapi {
        /// YAML instead of JSON; not together with --json.
        #[arg(long)]
        yaml: bool,
    },
    /// Machine payments.
    #[command(subcommand)]
    Pay(pay::Pay),
    /// The sandbox of WhatsApp: simulated telephones, failures, bans.
    #[command(subcommand)]
    Wave(wave::Wave),
    /// Sector modules.
    #[command(subcommand)]
    Modules(check::Modules),
}

/// What can be played besides.
#[derive(Subcommand)]
enum Play {
    /// A busy shop's morning on WhatsApp, in the sandbox: agents, customers, chats, a ticket, a broadcast.
    Wave {
        /// The company's code; made with an owner if it does not exist.
        #[arg(long, default_value = "001")]
        company: String,
    },
}

/// Writes to standard output. Who reads it may have seen enough (`loopd openapi | head`): that ends the command, well.
fn print(text: &str) {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        let is_closed = error.kind() == std::io::ErrorKind::BrokenPipe;
        std::process::exit(if is_closed { 0 } else { 1 });
    }
}

/// What a command prints.
pub(crate) struct Output {
    json: bool,
}

impl Output {
    /// Words for people, or the value for scripts.
    pub fn say(&self, words: &str, value: &Value) {
        if self.json {
            print(&format!("{value}\n"));
        } else {
            print(&format!("{words}\n"));
        }
    }
    pub fn is_json(&self) -> bool {
        self.json
    }
}

/// Reads the arguments and runs the command. Failures go to standard error, in words; the exit code is 1 (2 for bad arguments).
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // Not `conflicts_with`: that does not see a `--json` that stands before the command.
    if arguments.json && matches!(arguments.command, Command::Openapi { yaml: true }) {
        Arguments::command()
            .error(
                ErrorKind::ArgumentConflict,
                "the document is printed as YAML or as JSON: take one of --yaml and --json",
            )
            .exit();
    }
    let output = Output { json: arguments.json };
    match run(arguments, &output) {
        Ok(code) => code,
        Err(error) => {
            if output.json {
                print(&format!("{}\n", serde_json::json!({"error": format!("{error:#}")})));
            }
            eprintln!("loopd: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments, output: &Output) -> anyhow::Result<ExitCode> {
    if let Command::Check { defaults: true } = arguments.command {
        check::defaults(output)?;
        return Ok(ExitCode::SUCCESS);
    }
    let environment: BTreeMap<String, String> = std::env::vars().collect();
    let settings = Settings::load(arguments.config.as_deref(), &environment)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ok = |done: anyhow::Result<()>| done.map(|()| ExitCode::SUCCESS);
    match arguments.command {
        Command::Serve => {
            log(&settings);
            ok(runtime.block_on(serve::run(settings, output)))
        }
        Command::Migrate { plan } => ok(runtime.block_on(maintenance::migrate(settings, plan, output))),
        Command::Check { .. } => ok(check::run(&settings, output)),
        Command::Doctor => runtime.block_on(check::doctor(settings, output)),
        Command::User(command) => ok(runtime.block_on(admin::user(settings, command, output))),
        Command::Company(command) => ok(runtime.block_on(admin::company(settings, command, output))),
        Command::Audit(command) => runtime.block_on(audit::run(settings, command, output)),
        Command::Key(command) => ok(runtime.block_on(key::run(settings, command, output))),
        Command::License(command) => {
            let stands = runtime.block_on(license::run(&settings, command, output))?;
            Ok(if stands { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Backup { to } => ok(runtime.block_on(maintenance::backup(settings, &to, output))),
        Command::Restore { from, force } => ok(runtime.block_on(maintenance::restore(&settings, &from, force, output))),
        Command::Export { company, file, leave_out_lost } => {
            let lost = if leave_out_lost { Lost::LeaveOut } else { Lost::Refuse };
            ok(runtime.block_on(transfer::export(settings, &company, &file, lost, output)))
        }
        Command::Import { file, check } => ok(runtime.block_on(transfer::import(settings, &file, check, output))),
        Command::Demo { play: Some(Play::Wave { company }), .. } => {
            ok(runtime.block_on(demo_wave::run(settings, &company, output)))
        }
        Command::Demo { play: None, company, rows } => {
            ok(runtime.block_on(demo::run(settings, &company, rows, output)))
        }
        Command::Pay(command) => ok(runtime.block_on(pay::run(settings, command, output))),
        Command::Openapi { yaml } => ok(check::openapi(&settings, yaml)),
        Command::Wave(command) => ok(runtime.block_on(wave::run(settings, command, output))),
        Command::Modules(command) => ok(check::modules(&settings, &command, output)),
    }
}

fn log(settings: &Settings) {
    use std::io::IsTerminal as _;
    use tracing_subscriber::util::SubscriberInitExt as _;
    let is_terminal = std::io::stderr().is_terminal();
    log::subscriber(&settings.log, settings.log_format, is_terminal, std::io::stderr).init();
}

/// Opens the database for a command, brings it up to date, and gives the kernel over it.
async fn open(settings: &Settings) -> anyhow::Result<Arc<Kernel>> {
    let world = World::default();
    let server = app::build(settings.clone(), world).await?;
    Ok(server.kernel)
}

/// Opens the database as it is; on SQLite an empty one is made where there is none.
async fn open_db(settings: &Settings) -> anyhow::Result<Db> {
    app::make_folder(settings)?;
    Db::open(&settings.store()).await.map_err(|error| anyhow::anyhow!("LOOP_DATABASE_URL: {error}"))
}

/// The client's words of a problem and, for the operator, its cause.
fn words(problem: loopd_types::Problem) -> anyhow::Error {
    let mut text = problem.message().to_owned();
    for (name, errors) in problem.fields() {
        for error in errors {
            text.push_str(&format!("\n  {name}: {}", error.message));
        }
    }
    if let Some(cause) = problem.cause() {
        text.push_str(&format!(" ({cause})"));
    }
    anyhow::anyhow!(text)
}
