//! One table at a time: rows in which a person may be are found by windows in the order of their key, and the person is taken out of
//! them ([`super::take_out`]), a batch a transaction. How far it is stands in the erasure's row, so that work that was cut short goes on there and counts
//! nothing twice.

use std::sync::Arc;

use loopd_store::ddl::{ColumnDef, ColumnKind, TableDef};
use loopd_store::{Row, StoreError, Tx, Value, View, migrate};
use loopd_types::{CompanyId, Problem, Result, Uuid};
use serde_json::Value as Json;

use super::places::{Fate, PLACES, Place, is_ours};
use super::records::{About, Blanked, Records};
use super::report;
use super::wanted::{Scope, Wanted};
use super::work::{Position, Progress};
use crate::Kernel;

/// Rows of one transaction.
const BATCH: usize = 200;
/// Rows that are looked at by one read.
const WINDOW: usize = 2_000;
/// On what ground a company's records stay without the person they told of.
const RECORDS: &str = "the company's own; it stays without the person, because others refer to it";

/// What is looked for, and where.
#[derive(Clone)]
pub(super) struct Task {
    pub kernel: Arc<Kernel>,
    pub erasure: Uuid,
    pub company: CompanyId,
    pub wanted: Arc<Wanted>,
    /// What is about the person in this company.
    pub about: Arc<About>,
    /// The letter that tells them is needed until it is sent.
    pub letter: Option<Uuid>,
}

/// A table that is searched, with what of it.
#[derive(Clone)]
pub(super) struct Searched {
    /// The table's.
    pub name: String,
    ground: String,
    pub scope: Scope,
    /// Columns that say what a row is about.
    pub about: Vec<String>,
    /// What it tells of people by definition: a place in [`Kernel::personal_records`].
    pub records: Option<usize>,
    pub blanks: Vec<Blanked>,
    /// Whether its rows have a `version` and an `updated_at` of their own.
    pub is_record: bool,
    key: Vec<ColumnDef>,
    pub texts: Vec<ColumnDef>,
}

/// A row's key, as it was read.
pub(super) type Key = Vec<Value>;

/// What became of a row. Both, where an address went and a name stays.
#[derive(Clone, Copy, Default)]
pub(super) struct Outcome {
    pub is_changed: bool,
    pub is_kept: bool,
}

/// Columns of products' tables may be called as words of SQL are.
pub(super) fn quoted(column: &str) -> String {
    format!("\"{column}\"")
}

/// Any of these conditions, in groups: SQLite refuses an expression that is a thousand deep.
pub(super) fn any_of(conditions: &[String]) -> String {
    const GROUP: usize = 50;
    match conditions {
        [] => "1 = 0".to_owned(),
        few if few.len() <= GROUP => few.join(" OR "),
        many => any_of(&many.chunks(GROUP).map(|group| format!("({})", group.join(" OR "))).collect::<Vec<String>>()),
    }
}

/// The tables that an erasure goes through, those of products first: their texts tell what the logs' are about.
pub(super) fn tables(kernel: &Kernel, with_records: bool) -> Vec<Searched> {
    let records = kernel.personal_records().iter().enumerate();
    let records = records.filter(|_| with_records).map(|(place, records)| Searched::of_records(place, records));
    let mut all: Vec<Searched> = records.collect();
    // Of a table whose records are marked, the marks decide.
    let others = kernel_tables().into_iter().filter(|table| !all.iter().any(|known| known.name == table.name));
    all.extend(others.collect::<Vec<_>>());
    all
}

/// Columns that stay as they are where nobody's records are gone through: by these a messenger writes to people, and a word in their place
/// could be written to by nobody, or be there twice.
const ADDRESSES: [(&str, &str); 5] = [
    ("wave_broadcast_recipients", "jid"),
    ("wave_chats", "jid"),
    ("wave_outgoing", "jid"),
    ("wave_sandbox_messages", "jid"),
    ("wave_sandbox_past", "jid"),
];

/// Every text of these tables that is no part of a key and not the program's own ([`is_ours`]): a column that is added later is searched by itself.
fn kernel_tables() -> Vec<Searched> {
    let tables = migrate::tables();
    let searched = |place: &Place| {
        let Fate::Searched(scope, about) = place.fate else { return None };
        let table = tables.iter().find(|table| table.name == place.table)?;
        let about = about.into_iter().map(str::to_owned).collect();
        let mut own = Searched::of_table(table);
        own.texts.retain(|column| !ADDRESSES.contains(&(place.table, column.name.as_str())));
        Some(Searched { about, ground: place.ground.to_owned(), scope, ..own })
    };
    PLACES.iter().filter_map(searched).collect()
}

impl Searched {
    fn of_table(table: &TableDef) -> Self {
        let is_key = |column: &&ColumnDef| table.primary_key.contains(&column.name) && column.name != "company_id";
        let is_text = |column: &&ColumnDef| {
            matches!(column.kind, ColumnKind::Text | ColumnKind::Json)
                && !table.primary_key.contains(&column.name)
                && !is_ours(&table.name, &column.name)
        };
        Self {
            name: table.name.clone(),
            ground: String::new(),
            scope: Scope::Anywhere,
            about: Vec::new(),
            records: None,
            blanks: Vec::new(),
            is_record: false,
            key: table.columns.iter().filter(is_key).cloned().collect(),
            texts: table.columns.iter().filter(is_text).cloned().collect(),
        }
    }

    fn of_records(place: usize, records: &Records) -> Self {
        let (scope, ground) = match (&records.kept_by, records.holders.first()) {
            (Some(ground), _) => (Scope::Addresses, ground.clone()),
            (None, Some(holder)) => {
                (Scope::Anywhere, format!("{RECORDS}; where a document refers to it: {}", holder.ground))
            }
            (None, None) => (Scope::Anywhere, RECORDS.to_owned()),
        };
        let mut own = Self::of_table(&records.table);
        own.texts.retain(|column| !records.fixed.contains(&column.name));
        Self {
            ground,
            scope,
            about: records.about.clone(),
            records: Some(place),
            blanks: records.blanks.clone(),
            is_record: ["version", "updated_at"]
                .iter()
                .all(|name| records.table.columns.iter().any(|it| it.name == *name)),
            ..own
        }
    }

    /// Goes through one company's rows in the order of their key, from where it was; `false` when another process went on meanwhile.
    pub async fn search(&self, task: &Task, was: Option<Position>) -> Result<bool> {
        let mut stored = was;
        let mut after = stored.as_ref().map(|position| self.key_of(position)).transpose()?;
        loop {
            let (sql, values) = self.find(task, after.as_ref());
            let (keys, abouts) = (self.key.len(), self.about.len());
            let about = task.about.clone();
            let read = move |row: &Row<'_>| {
                let key = (0..keys).map(|at| row.value(at)).collect::<Result<Key, StoreError>>()?;
                let mut is_here = row.i64(keys + abouts)? > 0;
                for at in keys..keys + abouts {
                    is_here |= row.opt_text(at)?.is_some_and(|id| about.contains_key(id));
                }
                Ok((key, is_here))
            };
            let read = move |reader: &mut loopd_store::Reader<'_>| Ok(reader.query(&sql, &values, &read)?);
            let rows = task.kernel.db.read_long(View::System, read).await?;
            let is_last = rows.len() < WINDOW;
            after = rows.last().map(|(key, _)| key.clone());
            let here: Vec<Key> = rows.into_iter().filter_map(|(key, is_here)| is_here.then_some(key)).collect();
            let mut batches: Vec<Vec<Key>> = here.chunks(BATCH).map(<[Key]>::to_vec).collect();
            let is_at_end = batches.last().and_then(|batch| batch.last()) == after.as_ref();
            if !is_last && !is_at_end {
                batches.push(Vec::new());
            }
            for batch in batches {
                let Some(end) = batch.last().or(after.as_ref()) else { continue };
                let next = self.position(end)?;
                if !self.replace_all(task, batch, stored, next.clone()).await? {
                    return Ok(false);
                }
                stored = Some(next);
            }
            if is_last {
                return Ok(true);
            }
        }
    }

    /// One transaction: rows, what the report says of them, and how far it is.
    async fn replace_all(&self, task: &Task, keys: Vec<Key>, was: Option<Position>, next: Position) -> Result<bool> {
        let (table, task) = (self.clone(), task.clone());
        let kernel = task.kernel.clone();
        let work = move |tx: &mut Tx<'_>| {
            if !report::update(tx, task.erasure, |_, progress: &mut Progress| {
                let is_ours = progress.at == was && !progress.is_done(task.company, &table.name);
                progress.at = if is_ours { Some(next.clone()) } else { progress.at.take() };
                Ok(is_ours)
            })? {
                return Ok(false);
            }
            let mut outcomes = Vec::with_capacity(keys.len());
            for key in keys.iter().filter(|key| !is_letter(&table.name, key, task.letter)) {
                outcomes.push(table.take_out(tx, &task, key)?);
            }
            report::update(tx, task.erasure, |lines, _: &mut Progress| {
                report::add(lines, &table.name, &table.ground, |line| {
                    line.pseudonymised += outcomes.iter().filter(|outcome| outcome.is_changed).count() as u64;
                    line.kept += outcomes.iter().filter(|outcome| outcome.is_kept).count() as u64;
                });
                Ok(true)
            })
        };
        kernel.db.write(View::System, work).await
    }

    fn position(&self, key: &Key) -> Result<Position> {
        let json = |value: &Value| match value {
            Value::Uuid(id) => Ok(Json::String(id.to_string())),
            Value::Text(text) => Ok(Json::String(text.clone())),
            Value::Int(number) => Ok(Json::from(*number)),
            other => Err(Problem::internal(format!("{} has a key of {other:?}", self.name))),
        };
        Ok(Position { table: self.name.clone(), key: key.iter().map(json).collect::<Result<_>>()? })
    }

    fn key_of(&self, position: &Position) -> Result<Key> {
        let value = |(column, json): (&ColumnDef, &Json)| match (column.kind, json) {
            (ColumnKind::Uuid, Json::String(id)) => Uuid::parse_str(id).map(Value::Uuid).map_err(Problem::internal),
            (_, Json::String(text)) => Ok(Value::Text(text.clone())),
            (_, json) => json.as_i64().map(Value::Int).ok_or_else(|| Problem::internal("a key that is no key")),
        };
        self.key.iter().zip(&position.key).map(value).collect()
    }

    /// The keys of the next rows, what they are about, and whether the person may be in their texts: a bounded piece, whatever is found
    /// in it.
    fn find(&self, task: &Task, after: Option<&Key>) -> (String, Vec<Value>) {
        let mut values = vec![Value::from(task.company)];
        let mut bind = |value: Value| {
            values.push(value);
            format!("${}", values.len())
        };
        let names = self.names();
        let mut columns = names.clone();
        let mut shown = names.clone();
        for (at, column) in self.about.iter().enumerate() {
            columns.push_str(&format!(", CAST({} AS TEXT) AS about_{at}", quoted(column)));
            shown.push_str(&format!(", about_{at}"));
        }
        // A table of numbers and links has no text to be found in.
        let mut any = Vec::new();
        if !self.texts.is_empty() {
            let text = |text: &ColumnDef| format!("COALESCE(CAST({} AS TEXT), '')", quoted(&text.name));
            let texts: Vec<String> = self.texts.iter().map(text).collect();
            columns.push_str(&format!(", lower({}) AS words", texts.join(" || ' ' || ")));
            // Names as well where they stay: the report says so.
            let patterns = task.wanted.patterns(Scope::Anywhere).into_iter();
            any = patterns.map(|pattern| format!("words LIKE {}", bind(Value::Text(pattern)))).collect();
        }
        let mut from = format!("SELECT {columns} FROM {} WHERE company_id = $1", self.name);
        if let Some(after) = after {
            let markers: Vec<String> = after.iter().map(|value| bind(value.clone())).collect();
            from.push_str(&format!(" AND ({names}) > ({})", markers.join(", ")));
        }
        let sql = format!(
            "SELECT {shown}, CAST(CASE WHEN {} THEN 1 ELSE 0 END AS BIGINT) FROM ({from} ORDER BY {names} LIMIT {WINDOW}) AS searched \
             ORDER BY {names}",
            any_of(&any)
        );
        (sql, values)
    }

    fn names(&self) -> String {
        self.key.iter().map(|column| quoted(&column.name)).collect::<Vec<_>>().join(", ")
    }

    /// `company_id` is `$1`, the key follows.
    pub(super) fn condition(&self) -> String {
        let keys =
            self.key.iter().enumerate().map(|(at, column)| format!(" AND {} = ${}", quoted(&column.name), at + 2));
        format!("WHERE company_id = $1{}", keys.collect::<String>())
    }
}

/// The letter that tells them is needed until it is sent.
fn is_letter(table: &str, key: &Key, letter: Option<Uuid>) -> bool {
    let id = match key.as_slice() {
        [Value::Uuid(id)] => Some(*id),
        [Value::Text(id)] => Uuid::parse_str(id).ok(),
        _ => None,
    };
    table == "mail_messages" && id.is_some() && id == letter
}
