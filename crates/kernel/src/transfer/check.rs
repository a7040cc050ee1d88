//! Looking an archive through before anything of it is believed.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::path::Path;

use loopd_store::ddl::{ColumnDef, TableDef};
use loopd_store::migrate;
use loopd_types::Result;

use super::archive::{self, Content, Source};
use super::contents::{self, Contents};
use super::schema::{self, Table};
use super::{
    COMPANY, Column, FORMAT, MANIFEST, Manifest, Member, README, STEP_ROWS, Step, USERS, VERSION, Watcher, people,
    refused,
};

/// A manifest of this length would tell of more than a million files.
const MOST_MANIFEST: u64 = 256 * 1024 * 1024;
/// Numbers beyond have no company code.
const MOST_NUMBER: i64 = 999_999_999;

/// Reads the whole archive at `from` and compares it with its manifest, and the manifest with what is known here.
///
/// # Errors
/// `archive_invalid`: cut short, damaged, altered, incomplete, written by a newer Loopd, or with tables and columns that this
/// installation does not have.
pub fn check(from: &Path, defined: Vec<TableDef>, watcher: &Watcher) -> Result<Manifest> {
    look(&Source::Path(from.to_owned()), defined, watcher).map(|(manifest, _)| manifest)
}

/// The same, with the contents that its files need.
pub(super) fn look(from: &Source, defined: Vec<TableDef>, watcher: &Watcher) -> Result<(Manifest, Contents)> {
    let (mut text, mut contents) = (None, Contents::default());
    let mut all = Step { phase: "check", ..Step::default() };
    let mut found = archive::each(from, |name, content| {
        if text.is_some() {
            return Err(refused(format!("{name} follows {MANIFEST}, which is the last")));
        }
        match kind(name) {
            Some(Kind::Words) if name == MANIFEST => text = Some(content.all(MOST_MANIFEST)?),
            Some(Kind::Words) => {}
            Some(Kind::Rows) => rows(name, content, &mut contents, watcher, &mut all)?,
            Some(Kind::File) => bytes(name, content, watcher, &all)?,
            None => return Err(refused(format!("nothing in it may be called {name:?}"))),
        }
        Ok(ControlFlow::Continue(()))
    })?;
    let text =
        text.ok_or_else(|| refused(format!("it has no {MANIFEST}: it is cut short, or no export of a company")))?;
    found.pop();
    let manifest = read(&text)?;
    compare(&manifest.members, &found)?;
    suits(&manifest, &schema::tables(defined))?;
    contents.settle(&manifest.members)?;
    Ok((manifest, contents))
}

enum Kind {
    Words,
    Rows,
    File,
}

/// What a member of this name is; `None` for names that no archive has. Nothing is ever written to a path out of an archive; this is
/// for whoever unpacks what we pass for good.
fn kind(name: &str) -> Option<Kind> {
    let is_word = |word: &str| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    match name {
        README | MANIFEST => Some(Kind::Words),
        USERS => Some(Kind::Rows),
        _ if contents::digest_of(name).is_some() => Some(Kind::File),
        _ => {
            let table = name.strip_prefix("tables/").and_then(|name| name.strip_suffix(".ndjson"));
            table.is_some_and(is_word).then_some(Kind::Rows)
        }
    }
}

/// Looks rows through; `all` counts those of every member.
fn rows(name: &str, content: &mut Content<'_>, files: &mut Contents, watcher: &Watcher, all: &mut Step) -> Result<()> {
    let mut line = String::new();
    let mut step = Step { at: name.to_owned(), ..all.clone() };
    while content.next(&mut line)? {
        if name == contents::ROWS {
            files.add(&line)?;
        }
        step.rows = content.count;
        if step.rows.is_multiple_of(STEP_ROWS) {
            watcher(&step)?;
        }
    }
    all.all_rows += step.rows;
    watcher(&step)
}

fn bytes(name: &str, content: &mut Content<'_>, watcher: &Watcher, all: &Step) -> Result<()> {
    let mut step = Step { at: name.to_owned(), of_bytes: content.size, ..all.clone() };
    loop {
        let read = content.piece()?.len();
        if read == 0 {
            return watcher(&step);
        }
        content.consume(read);
        if step.pass(read) {
            watcher(&step)?;
        }
    }
}

fn read(text: &[u8]) -> Result<Manifest> {
    // Read alone first: a newer manifest may have another shape, and its reader should hear what is wrong.
    #[derive(serde::Deserialize)]
    struct Head {
        format: String,
        version: u32,
        schema: u32,
        loopd: String,
    }
    let head: Head =
        serde_json::from_slice(text).map_err(|error| refused(format!("its {MANIFEST} says nothing: {error}")))?;
    if head.format != FORMAT {
        return Err(refused(format!("it is a {}, not a {FORMAT}", head.format)));
    }
    if head.version > VERSION || head.schema > migrate::newest() {
        return Err(refused(format!(
            "it was written by loopd {} (format {}, schema {}), which is newer than this one (format {VERSION}, schema {}): import it with \
             that version or a later one",
            head.loopd,
            head.version,
            head.schema,
            migrate::newest()
        )));
    }
    serde_json::from_slice(text).map_err(|error| refused(format!("its {MANIFEST} cannot be read: {error}")))
}

/// What the archive holds against what it says that it holds.
pub(super) fn compare(said: &[Member], found: &[Member]) -> Result<()> {
    let by_name: HashMap<&str, &Member> = found.iter().map(|member| (member.name.as_str(), member)).collect();
    for member in said {
        let Some(found) = by_name.get(member.name.as_str()) else {
            return Err(refused(format!("{} is missing in it", member.name)));
        };
        if found.size_bytes != member.size_bytes || found.sha256 != member.sha256 {
            return Err(refused(format!("{} was altered after the export", member.name)));
        }
    }
    let known: HashSet<&str> = said.iter().map(|member| member.name.as_str()).collect();
    match found.iter().find(|found| !known.contains(found.name.as_str())) {
        Some(stranger) => Err(refused(format!("{} is in it, but not in its {MANIFEST}", stranger.name))),
        None => Ok(()),
    }
}

/// What the archive holds against the tables of this installation.
fn suits(manifest: &Manifest, tables: &[Table]) -> Result<()> {
    if !(1..=MOST_NUMBER).contains(&manifest.company.number) {
        return Err(refused("its company has no number"));
    }
    for member in &manifest.members {
        let Some(name) = member.name.strip_prefix("tables/").and_then(|name| name.strip_suffix(".ndjson")) else {
            if member.name == USERS && member.columns != people::columns() {
                return Err(refused("it tells other things of people than this loopd knows"));
            }
            continue;
        };
        let table = tables.iter().find(|table| table.name == name && member.table.as_deref() == Some(name));
        let table = table.ok_or_else(|| {
            refused(format!(
                "it has {} rows of {name}, a table that this installation does not have: is a module missing?",
                member.rows.unwrap_or(0)
            ))
        })?;
        columns(member, table)?;
    }
    if !manifest.members.iter().any(|member| member.table.as_deref() == Some("companies") && member.rows == Some(1)) {
        return Err(refused("it holds no company"));
    }
    if !manifest.members.iter().any(|member| member.name == USERS) {
        return Err(refused(format!("{USERS} is missing in it")));
    }
    Ok(())
}

/// The columns of `table` that an archive's member has, in the member's order.
///
/// # Errors
/// `archive_invalid` when it has others, or lacks one that no row can do without.
pub(super) fn columns(member: &Member, table: &Table) -> Result<Vec<ColumnDef>> {
    let known = |column: &Column| {
        let own = table.columns.iter().find(|own| own.name == column.name && Column::from(*own) == *column);
        own.cloned().ok_or_else(|| {
            refused(format!(
                "{} in it has a column {} of kind {:?} that this installation does not have",
                table.name, column.name, column.kind
            ))
        })
    };
    let columns = member.columns.iter().map(known).collect::<Result<Vec<_>>>()?;
    if !columns.iter().any(|column| column.name == COMPANY) {
        return Err(refused(format!("the rows of {} say not whose they are", table.name)));
    }
    match table
        .columns
        .iter()
        .find(|own| schema::is_needed(own) && !columns.iter().any(|column| column.name == own.name))
    {
        Some(lacking) => {
            Err(refused(format!("the rows of {} lack {}, which this loopd needs", table.name, lacking.name)))
        }
        None => Ok(columns),
    }
}
