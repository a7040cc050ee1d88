//! Writing the archive: every table from one snapshot, a row at a time.

use std::io::Write as _;
use std::path::Path;

use loopd_store::ddl::{self, ColumnKind, TableDef};
use loopd_store::{Db, Engine, Reader, StoreError, Value, View, migrate, params};
use loopd_types::{CompanyId, Problem, Result};

use super::archive::{Spool, Writer};
use super::schema::{self, Table};
use super::{
    COMPANY, Column, Company, FORMAT, LeftOut, MANIFEST, Manifest, Member, README, STEP_ROWS, Step, USERS, VERSION,
    Watcher, not_written, people, row,
};

const WORDS: &str = "This is everything that one company owns, as Loopd exported it. It can be read without Loopd.

manifest.json   whose it is, what is in the archive (with sizes, counts and SHA-256 digests), and what is not
users.ndjson    the people that its rows name
tables/         one file a table, one JSON object a row; manifest.json tells each column's kind

An absent field has no value. Whole numbers that end in _at are microseconds since 1970 UTC; those that end in _minor are money in
the smallest unit of the currency beside them. Bring it into another installation with: loopd import FILE
";

/// Writes all that `company` owns into a new archive at `to`. `defined` are the tables of resources and modules.
///
/// # Errors
/// 404 when there is no such company; 503 when the disk is full, something stands at `to` already, or the database does not answer;
/// what `watcher` says. Nothing is left behind then.
pub async fn export(
    db: &Db,
    company: CompanyId,
    defined: Vec<TableDef>,
    to: &Path,
    watcher: Watcher,
) -> Result<Manifest> {
    let to = to.to_owned();
    db.read_unlimited(View::Company(company), move |reader| write(reader, company, &defined, &to, &watcher)).await
}

fn write(
    reader: &mut Reader<'_>,
    company: CompanyId,
    defined: &[TableDef],
    to: &Path,
    watcher: &Watcher,
) -> Result<Manifest> {
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
    let mut archive = Writer::create(to)?;
    let mut members = vec![archive.add(README, WORDS.as_bytes())?];
    let mut spool = archive.spool()?;
    let rows = people::gather(reader, company, &tables, &mut spool)?;
    members.push(Member { rows: Some(rows), columns: people::columns(), ..archive.add_spool(USERS, spool)? });
    for (done, table) in tables.iter().enumerate() {
        let mut step =
            Step { phase: "write", at: table.name.clone(), rows: 0, done: done as u64, of: tables.len() as u64 };
        let mut spool = archive.spool()?;
        gather(reader, company, table, &mut spool, &mut step, watcher)?;
        watcher(&step)?;
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
    let manifest = Manifest {
        format: FORMAT.into(),
        version: VERSION,
        loopd: env!("CARGO_PKG_VERSION").into(),
        schema: migrate::newest(),
        company: about,
        members,
        left_out: left_out(reader, company, defined)?,
    };
    let mut text = serde_json::to_vec_pretty(&manifest).map_err(Problem::internal)?;
    text.push(b'\n');
    archive.add(MANIFEST, &text)?;
    archive.finish()?;
    Ok(manifest)
}

impl From<&ddl::ColumnDef> for Column {
    fn from(column: &ddl::ColumnDef) -> Self {
        Self { name: column.name.clone(), kind: column.kind.into() }
    }
}

/// What stays behind by design, and rows of tables that no module of this installation defines any more: nobody can say what they hold.
fn left_out(reader: &mut Reader<'_>, company: CompanyId, defined: &[TableDef]) -> Result<Vec<LeftOut>> {
    let mut left: Vec<LeftOut> =
        schema::left_out().into_iter().map(|(what, why)| LeftOut { what, why: why.into() }).collect();
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
    out: &mut Spool,
    step: &mut Step,
    watcher: &Watcher,
) -> Result<()> {
    let engine = reader.engine();
    let columns: Vec<String> = table.columns.iter().map(|column| format!("\"{}\"", column.name)).collect();
    let order: Vec<String> = table.key.iter().map(|name| in_order(engine, table, name)).collect();
    let order = if order.is_empty() { String::new() } else { format!(" ORDER BY {}", order.join(", ")) };
    let sql = format!("SELECT {} FROM \"{}\" WHERE \"{COMPANY}\" = $1{order}", columns.join(", "), table.name);
    each(
        reader,
        &sql,
        &params![company],
        |found, line| {
            row::write(&table.columns, found, line)?;
            Ok(())
        },
        |line| {
            out.write_all(line).map_err(not_written)?;
            step.rows += 1;
            if step.rows.is_multiple_of(STEP_ROWS) { watcher(step) } else { Ok(()) }
        },
    )
}

/// Text in the order of its bytes, whatever the locale of a PostgreSQL database: SQLite knows no other.
fn in_order(engine: Engine, table: &Table, name: &str) -> String {
    let is_text = table.columns.iter().any(|column| column.name == name && column.kind == ColumnKind::Text);
    match engine {
        Engine::Postgres if is_text => format!("\"{name}\" COLLATE \"C\""),
        _ => format!("\"{name}\""),
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
