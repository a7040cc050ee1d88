//! Writing the archive: every table from one snapshot, a row at a time; then what the files of that snapshot hold.

use std::collections::{HashMap, HashSet};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use loopd_store::ddl::{self, ColumnKind, TableDef};
use loopd_store::{Engine, Reader, StoreError, Value, View, migrate, params};
use loopd_types::{CompanyId, MINUTE_US, Problem, Result, Uuid};
use tokio::runtime::Handle;

use super::archive::{Spool, Writer};
use super::contents::Stored;
use super::schema::{self, Table};
use super::{
    COMPANY, Column, Company, FORMAT, LeftOut, MANIFEST, Manifest, Member, README, STEP_ROWS, Step, USERS, VERSION,
    Watcher, contents, not_written, people, pipe, row,
};
use crate::{Kernel, file};

const WORDS: &str = "This is everything that one company owns, as Loopd exported it. It can be read without Loopd.

manifest.json   whose it is, what is in the archive (with sizes, counts and SHA-256 digests), and what is not
users.ndjson    the people that its rows name
tables/         one file a table, one JSON object a row; manifest.json tells each column's kind
files/          what the company's files hold, each under its SHA-256; tables/files.ndjson tells their names

An absent field has no value. Whole numbers that end in _at are microseconds since 1970 UTC; those that end in _minor are money in
the smallest unit of the currency beside them. Bring it into another installation with: loopd import FILE
";

/// Where an archive goes.
pub enum To {
    /// A new file.
    File(PathBuf),
    /// To whoever reads the other end of the [`pipe`](super::pipe).
    Stream(pipe::Sink),
}

/// What is done about files whose content is gone from the store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lost {
    /// The export is refused, naming one: an archive should hold all that there is.
    Refuse,
    /// They stay behind, and the manifest says so. Asks the store for every file, so it takes longer.
    LeaveOut,
}

/// How long the content of files that are deleted meanwhile stays, unless it is said again.
const HOLD_US: i64 = 10 * MINUTE_US;
const HOLD_AGAIN: Duration = Duration::from_secs(60);

/// Writes all that `company` owns into a new archive. `defined` are the tables of resources and modules.
///
/// # Errors
/// 404 when there is no such company; 409 `file_content_lost`, naming the file; 503 when the disk is full, something stands at the
/// archive's place already, or database or store do not answer; what `watcher` says. Nothing is left behind then.
pub async fn export(
    kernel: &Arc<Kernel>,
    company: CompanyId,
    defined: Vec<TableDef>,
    to: To,
    lost: Lost,
    watcher: Watcher,
) -> Result<Manifest> {
    let _held = Hold::begin(kernel, company).await?;
    let lost = match lost {
        Lost::Refuse => HashMap::new(),
        Lost::LeaveOut => {
            let files = kernel.db.read_long(View::Company(company), move |reader| {
                contents::list(reader, company, schema::only("files"))
            });
            contents::lost(kernel, &files.await?).await?
        }
    };
    // Taken by the first try: what a second one wrote would follow what the first one did.
    let to = Mutex::new(Some(to));
    let (hears, tables) = (watcher.clone(), defined);
    let written = kernel.db.read_unlimited(View::Company(company), move |reader| {
        let to = to.lock().unwrap_or_else(PoisonError::into_inner).take();
        let to = to.ok_or_else(|| Problem::unavailable("the database went away while the archive was written"))?;
        rows(reader, company, &tables, to, &lost, &hears)
    });
    let written = written.await?;
    let (kernel, runtime) = (kernel.clone(), Handle::current());
    let finished = tokio::task::spawn_blocking(move || finish(written, &kernel, &runtime, &watcher));
    finished.await.map_err(Problem::internal)?
}

/// Keeps contents in the store while they are read.
struct Hold(tokio::task::JoinHandle<()>);

impl Hold {
    async fn begin(kernel: &Arc<Kernel>, company: CompanyId) -> Result<Self> {
        file::hold(kernel, company, kernel.now().plus(HOLD_US)).await?;
        let kernel = kernel.clone();
        Ok(Self(tokio::spawn(async move {
            loop {
                tokio::time::sleep(HOLD_AGAIN).await;
                if let Err(problem) = file::hold(&kernel, company, kernel.now().plus(HOLD_US)).await {
                    tracing::warn!(cause = problem.cause(), "content could not be held for an export");
                }
            }
        })))
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// An archive with all its rows, and what is still to come.
struct Written {
    archive: Writer,
    manifest: Manifest,
    contents: Vec<Stored>,
    step: Step,
}

fn rows(
    reader: &mut Reader<'_>,
    company: CompanyId,
    defined: &[TableDef],
    to: To,
    lost: &HashMap<Uuid, String>,
    watcher: &Watcher,
) -> Result<Written> {
    let about =
        reader.first("SELECT id, code, name, slug FROM companies WHERE company_id = $1", &params![company], |row| {
            let words = |at| row.text(at).map(ToOwned::to_owned);
            Ok(Company {
                id: row.uuid(0)?.to_string(),
                number: company.0,
                code: words(1)?,
                name: words(2)?,
                slug: words(3)?,
            })
        })?;
    let about = about.ok_or_else(Problem::not_found)?;
    let tables = schema::tables(defined.to_vec());
    let ids: HashSet<Uuid> = lost.keys().copied().collect();
    let contents = contents::distinct(contents::list(reader, company, schema::only("files"))?, &ids);
    let mut step = Step {
        phase: "write",
        of: tables.len() as u64,
        of_rows: count(reader, company, &tables)?,
        of_bytes: contents.iter().map(|content| content.size_bytes).sum(),
        ..Step::default()
    };
    let mut archive = match to {
        To::File(path) => Writer::create(&path)?,
        To::Stream(sink) => Writer::stream(sink),
    };
    let mut members = vec![archive.add(README, WORDS.as_bytes())?];
    let mut spool = archive.spool()?;
    let rows = people::gather(reader, company, &tables, &mut spool)?;
    members.push(Member { rows: Some(rows), columns: people::columns(), ..archive.add_spool(USERS, spool)? });
    for table in &tables {
        step.at.clone_from(&table.name);
        step.rows = 0;
        let mut spool = archive.spool()?;
        gather(reader, company, table, &ids, &mut spool, &mut step, watcher)?;
        watcher(&step)?;
        step.done += 1;
        step.all_rows += step.rows;
        if step.rows > 0 {
            members.push(Member {
                rows: Some(step.rows),
                table: Some(table.name.clone()),
                key: table.key.clone(),
                columns: table.columns.iter().map(Column::from).collect(),
                ..archive.add_spool(&format!("tables/{}.ndjson", table.name), spool)?
            });
        }
    }
    step.rows = 0;
    let manifest = Manifest {
        format: FORMAT.into(),
        version: VERSION,
        loopd: loopd_types::VERSION.into(),
        schema: migrate::newest(),
        company: about,
        members,
        left_out: left_out(reader, company, defined, lost)?,
    };
    Ok(Written { archive, manifest, contents, step })
}

/// All but the rows. The snapshot is over, so that a slow store keeps nothing in the database from being cleaned up.
fn finish(written: Written, kernel: &Arc<Kernel>, runtime: &Handle, watcher: &Watcher) -> Result<Manifest> {
    let Written { mut archive, mut manifest, contents, mut step } = written;
    manifest.members.extend(contents::write(kernel, runtime, &mut archive, &contents, watcher, &mut step)?);
    let mut text = serde_json::to_vec_pretty(&manifest).map_err(Problem::internal)?;
    text.push(b'\n');
    archive.add(MANIFEST, &text)?;
    archive.finish()?;
    Ok(manifest)
}

/// How many rows take part.
fn count(reader: &mut Reader<'_>, company: CompanyId, tables: &[Table]) -> Result<u64> {
    let mut rows = 0;
    for table in tables {
        let sql = format!("SELECT count(*) FROM \"{}\" WHERE \"{COMPANY}\" = $1 AND {}", table.name, table.only);
        rows += reader.one(&sql, &params![company], |row| row.i64(0))?;
    }
    Ok(u64::try_from(rows).unwrap_or(0))
}

impl From<&ddl::ColumnDef> for Column {
    fn from(column: &ddl::ColumnDef) -> Self {
        Self { name: column.name.clone(), kind: column.kind.into() }
    }
}

/// What stays behind by design, and rows of tables that no module of this installation defines any more: nobody can say what they hold.
fn left_out(
    reader: &mut Reader<'_>,
    company: CompanyId,
    defined: &[TableDef],
    lost: &HashMap<Uuid, String>,
) -> Result<Vec<LeftOut>> {
    let mut left: Vec<LeftOut> =
        schema::left_out().into_iter().map(|(what, why)| LeftOut { what, why: why.into() }).collect();
    let mut lost: Vec<_> = lost.iter().collect();
    lost.sort_unstable();
    left.extend(lost.into_iter().map(|(id, name)| LeftOut {
        what: format!("the file {id} ({name})"),
        why: "its content is lost: the file store has it no more".into(),
    }));
    let known: Vec<TableDef> = migrate::tables().into_iter().chain(defined.iter().cloned()).collect();
    for (table, columns) in ddl::undefined(reader, &known)? {
        let is_unknown = !known.iter().any(|known| known.name == table);
        if !is_unknown || !columns.iter().any(|column| column == COMPANY) {
            continue;
        }
        let sql = format!("SELECT count(*) FROM \"{table}\" WHERE \"{COMPANY}\" = $1");
        let rows = reader.one(&sql, &params![company], |row| row.i64(0))?;
        if rows > 0 {
            left.push(LeftOut {
                what: table,
                why: format!("{rows} rows of a module that this installation does not have any more"),
            });
        }
    }
    Ok(left)
}

/// The rows of one table in the order of its key.
fn gather(
    reader: &mut Reader<'_>,
    company: CompanyId,
    table: &Table,
    lost: &HashSet<Uuid>,
    out: &mut Spool,
    step: &mut Step,
    watcher: &Watcher,
) -> Result<()> {
    let engine = reader.engine();
    let columns: Vec<String> = table.columns.iter().map(|column| format!("\"{}\"", column.name)).collect();
    let order: Vec<String> = table.key.iter().map(|name| in_order(engine, table, name)).collect();
    let order = if order.is_empty() { String::new() } else { format!(" ORDER BY {}", order.join(", ")) };
    let sql = format!(
        "SELECT {} FROM \"{}\" WHERE \"{COMPANY}\" = $1 AND {}{order}",
        columns.join(", "),
        table.name,
        table.only
    );
    let files = table.file_columns();
    each(
        reader,
        &sql,
        &params![company],
        |found, line| {
            for column in &files {
                if found.opt_uuid(*column)?.is_some_and(|file| lost.contains(&file)) {
                    return Ok(());
                }
            }
            row::write(&table.columns, found, line)
        },
        |line| {
            if line.is_empty() {
                return Ok(());
            }
            out.write_all(line).map_err(not_written)?;
            step.rows += 1;
            if step.rows.is_multiple_of(STEP_ROWS) { watcher(step) } else { Ok(()) }
        },
    )
}

fn in_order(engine: Engine, table: &Table, name: &str) -> String {
    let is_text = table.columns.iter().any(|column| column.name == name && column.kind == ColumnKind::Text);
    if is_text { text_in_order(engine, name) } else { format!("\"{name}\"") }
}

/// Text in the order of its bytes, whatever the locale of a PostgreSQL database: SQLite knows no other.
pub(super) fn text_in_order(engine: Engine, name: &str) -> String {
    match engine {
        Engine::Postgres => format!("\"{name}\" COLLATE \"C\""),
        Engine::Sqlite => format!("\"{name}\""),
    }
}

/// Hands the line of every row on; a refusal of `take` ends the statement and is returned as it is.
pub(super) fn each(
    reader: &mut Reader<'_>,
    sql: &str,
    values: &[Value],
    mut write: impl FnMut(&loopd_store::Row<'_>, &mut Vec<u8>) -> Result<(), StoreError>,
    mut take: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let (mut line, mut refusal) = (Vec::new(), None);
    let visited = reader.each(sql, values, |row| {
        line.clear();
        write(row, &mut line)?;
        take(&line).map_err(|problem| {
            refusal = Some(problem);
            StoreError::Other("stopped".into())
        })
    });
    match refusal {
        Some(problem) => Err(problem),
        None => Ok(visited?),
    }
}
