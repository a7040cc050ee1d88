//! Putting rows in: many at a time, and each only when those that it links to are there.
//!
//! Tables stand in an archive after those that they link to, so that nearly every row can go in as it comes. Links within a table, and
//! between tables that link in a circle, may lead to rows that come later: such a row waits in a file beside and is tried again. Only
//! rows that link in a circle themselves go in without the link first. Switching the database's checks off for the while would be
//! shorter, but SQLite then tells of a bad link only at a commit that it shares with others, and PostgreSQL would need other constraints.

use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Seek as _, SeekFrom, Write as _};

use loopd_store::ddl::{ColumnDef, ColumnKind, ForeignKeyDef};
use loopd_store::{Tx, Value};
use loopd_types::{CompanyId, Problem, Result, Uuid};

use super::schema::Table;
use super::{COMPANY, refused, row};

/// Values in one statement: far below what either database takes, far above what one row needs.
const MOST_VALUES: usize = 2_000;

/// A table of the archive with the columns that the archive has of it.
pub struct Target<'t> {
    pub table: &'t Table,
    pub columns: Vec<ColumnDef>,
    one: String,
    many: String,
    at_once: usize,
}

impl<'t> Target<'t> {
    pub fn new(table: &'t Table, columns: Vec<ColumnDef>) -> Self {
        let names: Vec<String> =
            columns.iter().chain(&table.emptied).map(|column| format!("\"{}\"", column.name)).collect();
        let at_once = (MOST_VALUES / names.len().max(1)).clamp(1, 100);
        let statement = |rows: usize| {
            let row = |at: usize| {
                let markers: Vec<String> = (1..=names.len()).map(|n| format!("${}", at * names.len() + n)).collect();
                format!("({})", markers.join(", "))
            };
            let rows: Vec<String> = (0..rows).map(row).collect();
            format!("INSERT INTO \"{}\" ({}) VALUES {}", table.name, names.join(", "), rows.join(", "))
        };
        Self { one: statement(1), many: statement(at_once), table, columns, at_once }
    }

    pub fn place(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|own| own.name == column)
    }

    /// The place of a column that stayed behind.
    pub fn emptied_place(&self, column: &str) -> Option<usize> {
        self.table.emptied.iter().position(|own| own.name == column).map(|at| self.columns.len() + at)
    }
}

/// What a column that stayed behind holds here: nothing, in the words of its kind.
fn nothing(column: &ColumnDef) -> Value {
    match column.kind {
        ColumnKind::Uuid => Value::Uuid(Uuid::nil()),
        ColumnKind::Text => Value::Text(String::new()),
        ColumnKind::Int => Value::Int(0),
        ColumnKind::Bool => Value::Bool(false),
        ColumnKind::Json => Value::Json("{}".into()),
        ColumnKind::Bytes => Value::Bytes(Vec::new()),
    }
}

/// The rows of one company on their way in.
pub struct Rows<'a, 't> {
    targets: &'a [Target<'t>],
    /// Makes of the archive's row what it is here.
    adapt: &'a dyn Fn(&Target<'_>, &mut Vec<Value>) -> Result<()>,
    company: CompanyId,
    /// Targets of which rows may still come.
    open: BTreeSet<usize>,
    waiting: Waiting,
}

impl<'a, 't> Rows<'a, 't> {
    pub fn new(
        targets: &'a [Target<'t>],
        company: CompanyId,
        adapt: &'a dyn Fn(&Target<'_>, &mut Vec<Value>) -> Result<()>,
    ) -> Self {
        Self { targets, adapt, company, open: (0..targets.len()).collect(), waiting: Waiting::default() }
    }

    /// Puts in what of a table's lines can be put in.
    pub fn arrive(
        &mut self,
        tx: &mut Tx<'_>,
        target: usize,
        mut next: impl FnMut(&mut String) -> Result<bool>,
    ) -> Result<()> {
        let mut batch = Batch::new(&self.targets[target]);
        let (open, mut line) = (self.unsettled(&self.waiting), String::new());
        while next(&mut line)? {
            let values = self.read(target, &line)?;
            if batch.is_ready(tx, &values, &open)? {
                batch.add(tx, values)?
            } else {
                self.waiting.push(target, &line)?
            }
        }
        batch.finish(tx)?;
        self.open.remove(&target);
        self.try_waiting(tx)
    }

    fn read(&self, target: usize, line: &str) -> Result<Vec<Value>> {
        let target = &self.targets[target];
        let mut values = row::read(&target.columns, line)
            .map_err(|words| refused(format!("a row of {}: {words}", target.table.name)))?;
        values.extend(target.table.emptied.iter().map(nothing));
        (self.adapt)(target, &mut values)?;
        Ok(values)
    }

    /// Rounds over those that wait, until a round changes nothing.
    fn try_waiting(&mut self, tx: &mut Tx<'_>) -> Result<()> {
        while self.waiting.count > 0 {
            let (mut waiting, mut still) = (std::mem::take(&mut self.waiting), Waiting::default());
            let open = self.unsettled(&waiting);
            waiting.each(|target, line| {
                let values = self.read(target, line)?;
                let mut batch = Batch::new(&self.targets[target]);
                if !batch.is_ready(tx, &values, &open)? {
                    return still.push(target, line);
                }
                batch.add(tx, values)?;
                batch.finish(tx)
            })?;
            self.waiting = still;
            if self.waiting.count == waiting.count {
                break;
            }
        }
        Ok(())
    }

    /// Tables that nobody may rely on yet: more of their rows may come, or wait.
    fn unsettled(&self, waiting: &Waiting) -> BTreeSet<&'a str> {
        let targets = self.open.iter().chain(&waiting.targets);
        targets.map(|target| self.targets[*target].table.name.as_str()).collect()
    }

    /// Puts in the rest: rows whose links lead in a circle, first without those links.
    ///
    /// # Errors
    /// `archive_invalid` when a row links to one that is nowhere.
    pub fn finish(mut self, tx: &mut Tx<'_>) -> Result<()> {
        let mut waiting = std::mem::take(&mut self.waiting);
        let among = self.unsettled(&waiting);
        let is_cut = |link: &ForeignKeyDef| among.contains(link.table.as_str());
        waiting.each(|target, line| {
            let (mut values, target) = (self.read(target, line)?, &self.targets[target]);
            for place in link_places(target, is_cut) {
                values[place] = Value::Null;
            }
            let mut batch = Batch::new(target);
            batch.add(tx, values)?;
            batch.finish(tx)
        })?;
        waiting.each(|target, line| {
            let (values, target) = (self.read(target, line)?, &self.targets[target]);
            let places: Vec<usize> = link_places(target, is_cut).collect();
            link(tx, target, &places, &values, self.company)
        })
    }
}

/// The places of the columns of those links, without the company's.
fn link_places<'p>(
    target: &'p Target<'_>,
    is_cut: impl Fn(&ForeignKeyDef) -> bool + 'p,
) -> impl Iterator<Item = usize> + 'p {
    let links = target.table.links.iter().filter(move |link| is_cut(link));
    let columns = links.flat_map(|link| &link.columns).filter(|column| *column != COMPANY);
    columns.filter_map(|column| target.place(column)).filter(|place| target.columns[*place].nullable)
}

/// Gives a row that is there the links that it went in without.
fn link(tx: &mut Tx<'_>, target: &Target<'_>, places: &[usize], values: &[Value], company: CompanyId) -> Result<()> {
    if places.is_empty() {
        return Ok(());
    }
    let name = |place: &usize| &target.columns[*place].name;
    let mut bound = vec![Value::from(company)];
    let mut marker = |value: &Value| {
        bound.push(value.clone());
        format!("${}", bound.len())
    };
    let sets: Vec<String> =
        places.iter().map(|place| format!("\"{}\" = {}", name(place), marker(&values[*place]))).collect();
    let keys = target.table.key.iter().filter_map(|column| target.place(column));
    let keys: Vec<String> = keys.map(|place| format!("\"{}\" = {}", name(&place), marker(&values[place]))).collect();
    let sql = format!(
        "UPDATE \"{}\" SET {} WHERE \"{COMPANY}\" = $1 AND {}",
        target.table.name,
        sets.join(", "),
        keys.join(" AND ")
    );
    match tx.execute(&sql, &bound) {
        Ok(_) => Ok(()),
        Err(error) => Err(explained(target, error)),
    }
}

/// Rows of one table that go in together.
struct Batch<'b, 't> {
    target: &'b Target<'t>,
    values: Vec<Value>,
    rows: usize,
    /// What rows of this batch are known by, for links within the table.
    ids: HashSet<Uuid>,
}

impl<'b, 't> Batch<'b, 't> {
    fn new(target: &'b Target<'t>) -> Self {
        Self { target, values: Vec::new(), rows: 0, ids: HashSet::new() }
    }

    /// Whether all is there that this row links to, in tables of which rows may still come. The database looks at the others.
    fn is_ready(&self, tx: &mut Tx<'_>, values: &[Value], open: &BTreeSet<&str>) -> Result<bool> {
        for link in self.target.table.links.iter().filter(|link| open.contains(link.table.as_str())) {
            let bound: Option<Vec<Value>> = link
                .columns
                .iter()
                .map(|column| {
                    self.target.place(column).map(|place| values[place].clone()).filter(|v| *v != Value::Null)
                })
                .collect();
            // a link with an empty column leads nowhere
            let Some(bound) = bound else { continue };
            let is_own = link.table == self.target.table.name;
            if is_own
                && bound.iter().any(
                    |value| matches!(value, Value::Uuid(id) if self.ids.contains(id) || self.own(values) == Some(*id)),
                )
            {
                continue;
            }
            let conditions: Vec<String> =
                link.references.iter().enumerate().map(|(at, column)| format!("\"{column}\" = ${}", at + 1)).collect();
            let sql = format!("SELECT 1 FROM \"{}\" WHERE {}", link.table, conditions.join(" AND "));
            if tx.first(&sql, &bound, |_| Ok(()))?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The id of a row whose key is one.
    fn own(&self, values: &[Value]) -> Option<Uuid> {
        let [key] = self.target.table.key.as_slice() else { return None };
        match self.target.place(key).map(|place| &values[place]) {
            Some(Value::Uuid(id)) => Some(*id),
            _ => None,
        }
    }

    fn add(&mut self, tx: &mut Tx<'_>, values: Vec<Value>) -> Result<()> {
        self.ids.extend(self.own(&values));
        self.values.extend(values);
        self.rows += 1;
        if self.rows == self.target.at_once { self.flush(tx) } else { Ok(()) }
    }

    fn flush(&mut self, tx: &mut Tx<'_>) -> Result<()> {
        let done = tx.execute(&self.target.many, &self.values);
        self.values.clear();
        self.ids.clear();
        self.rows = 0;
        done.map(|_| ()).map_err(|error| explained(self.target, error))
    }

    /// The rest of less than a whole batch, one by one: so there are two statements a table and not a hundred. Parents stand before
    /// their children in it, as they came.
    fn finish(self, tx: &mut Tx<'_>) -> Result<()> {
        let width = self.values.len() / self.rows.max(1);
        for values in self.values.chunks(width.max(1)) {
            tx.execute(&self.target.one, values).map_err(|error| explained(self.target, error))?;
        }
        Ok(())
    }
}

/// A row that the database refuses is told by its table.
fn explained(target: &Target<'_>, error: loopd_store::StoreError) -> Problem {
    use loopd_store::StoreError;
    let table = &target.table.name;
    match error {
        StoreError::Unique { columns, .. } => Problem::conflict(
            "archive_conflict",
            format!(
                "A row of {table} in this archive has what another company here has already: {}.",
                columns.join(", ")
            ),
        ),
        StoreError::ForeignKey(words) => {
            refused(format!("a row of {table} links to one that is not in it")).with_cause(words)
        }
        other => other.into(),
    }
}

/// Lines that wait, in a file without a name.
#[derive(Default)]
struct Waiting {
    file: Option<BufWriter<File>>,
    count: u64,
    targets: BTreeSet<usize>,
}

impl Waiting {
    fn push(&mut self, target: usize, line: &str) -> Result<()> {
        if self.file.is_none() {
            self.file = Some(BufWriter::new(tempfile::tempfile().map_err(beside)?));
        }
        let file = self.file.as_mut().expect("made above");
        self.count += 1;
        self.targets.insert(target);
        writeln!(file, "{target} {line}").map_err(beside)
    }

    /// Hands every line on, from the first.
    fn each(&mut self, mut take: impl FnMut(usize, &str) -> Result<()>) -> Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        file.flush().map_err(beside)?;
        let mut reader = file.get_ref().try_clone().map(BufReader::new).map_err(beside)?;
        reader.seek(SeekFrom::Start(0)).map_err(beside)?;
        let mut line = String::new();
        while reader.read_line(&mut line).map_err(beside)? > 0 {
            let (target, rest) = line.trim_end_matches('\n').split_once(' ').unwrap_or_default();
            take(target.parse().map_err(Problem::internal)?, rest)?;
            line.clear();
        }
        Ok(())
    }
}

fn beside(error: std::io::Error) -> Problem {
    Problem::unavailable(format!("rows that wait for others cannot be kept in the temporary folder: {error}"))
}
