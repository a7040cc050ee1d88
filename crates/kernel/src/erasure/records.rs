//! People in a company's own records: customers, visitors, whoever is paid. What tells of them follows from the definitions
//! ([`Records`]); here is how they are found.

use std::collections::HashMap;
use std::sync::Arc;

use loopd_store::ddl::TableDef;
use loopd_store::{Reader, Row, StoreError, Value};
use loopd_types::{CompanyId, Problem, Result, Uuid};
use serde_json::{Value as Json, json};

use super::identities;
use super::search::{any_of, quoted};
use super::sent;
use super::wanted::{NOBODY, Scope, Wanted};
use crate::Kernel;
use crate::access::Tenant;

/// Records that are looked at by one read.
const WINDOW: i64 = 2_000;
/// More are no one person's.
const MOST: usize = 2_000;
/// Records whose followers are looked for by one statement.
const PIECE: usize = 200;

/// A table of a product, and what it tells of people.
#[derive(Clone, Debug)]
pub struct Records {
    pub table: TableDef,
    /// `booking/customers`; empty for tables that hold no records of their own.
    pub path: String,
    /// `booking.customer`: what its events begin with.
    pub event: String,
    /// Columns with the id of what a row is about: its own, its parent's, that of whom it refers to.
    pub about: Vec<String>,
    /// Columns by which a person is known: a row that holds theirs is about them.
    pub contacts: Vec<String>,
    pub names: Vec<String>,
    /// What goes from a row about the person.
    pub blanks: Vec<Blanked>,
    /// The same in logs of such a row, its lines' fields included.
    pub told: Vec<Blanked>,
    /// Columns that say nothing in words of people: states, choices, days. Nobody is looked for in them.
    pub fixed: Vec<String>,
    /// Columns with lists of rows that somebody sent; one that holds the person's goes.
    pub lists: Vec<String>,
    /// On what ground names stay; contacts go all the same.
    pub kept_by: Option<String>,
    /// Documents that are kept, and refer to a row as whom they are about: its particulars stay as long as they do.
    pub holders: Vec<Holder>,
    /// Where rows name files that people sent.
    pub sent: Option<Sent>,
}

/// A column in which rows name files of the shelf: those that a person sent go with them.
#[derive(Clone, Debug)]
pub struct Sent {
    /// It holds JSON.
    pub column: String,
    /// Where in it a row tells of a file.
    pub about: String,
    /// Where the file's id stands, once it is there.
    pub file: String,
    /// A column that says of a row that the company sent it.
    pub unless: String,
}

impl Sent {
    /// Whether a row's JSON tells of a file at all.
    pub(super) fn is_in(&self, told: &Json) -> bool {
        told.pointer(&self.about).is_some_and(|about| !about.is_null())
    }

    pub(super) fn file(&self, told: &Json) -> Option<Uuid> {
        Uuid::parse_str(told.pointer(&self.file)?.as_str()?).ok()
    }
}

/// A column that refers to records, of documents that are kept.
#[derive(Clone, Debug)]
pub struct Holder {
    pub table: String,
    pub column: String,
    pub ground: String,
}

/// What goes from a row, and what takes its place.
#[derive(Clone, Debug)]
pub struct Blanked {
    pub column: String,
    pub with: Blank,
    /// A name, or what else a document says of whom it is for: stays where one that is kept refers to the record.
    pub is_particular: bool,
}

/// What takes the place of what told of a person.
#[derive(Clone, PartialEq, Debug)]
pub enum Blank {
    To(Value),
    /// An address where no mail can go, the same everywhere.
    Email,
    Name,
    /// As no other row has it: with the row's id, and for an address as one where no mail can go.
    Own {
        is_email: bool,
    },
}

impl Blank {
    /// `row` is the id of the row that it is written into.
    pub(super) fn value(&self, wanted: &Wanted, row: &str) -> Value {
        match self {
            Self::To(value) => value.clone(),
            Self::Email => Value::Text(wanted.email()),
            Self::Name => Value::Text(NOBODY.to_owned()),
            Self::Own { is_email: true } => Value::Text(format!("erased-{row}@erased.invalid")),
            Self::Own { is_email: false } => Value::Text(format!("erased-{row}")),
        }
    }

    fn json(&self, wanted: &Wanted, row: &str) -> Json {
        match self.value(wanted, row) {
            Value::Text(text) => Json::String(text),
            Value::Json(text) => serde_json::from_str(&text).unwrap_or_default(),
            Value::Int(number) => Json::from(number),
            Value::Bool(is_so) => Json::from(is_so),
            _ => Json::Null,
        }
    }
}

/// A record about the person.
#[derive(Clone, Debug)]
pub struct Found {
    pub path: String,
    pub id: Uuid,
    /// Columns that told of it.
    pub by: Vec<String>,
    /// On what ground the names in it stay.
    pub kept_by: Option<String>,
    pub(super) names: Vec<String>,
    /// What else the person is known by.
    pub(super) contacts: Vec<String>,
}

/// The company's records that hold an address or number of the person's.
///
/// # Errors
/// 403 `workspace_access_denied` for who is limited to some workspaces; 400 `too_many_records`; the database's.
pub async fn find(kernel: &Arc<Kernel>, tenant: &Tenant, wanted: &Wanted) -> Result<Vec<Found>> {
    tenant.require_all_workspaces()?;
    let mut all = Vec::new();
    for records in kernel.personal_records().iter().filter(|one| !one.contacts.is_empty() && !one.path.is_empty()) {
        records.find(kernel, tenant, wanted, &mut all).await?;
        if all.len() > MOST {
            let words = format!("More than {MOST} records hold this: that is no one person.");
            return Err(Problem::invalid("too_many_records", words).with_extra("limit", json!(MOST)));
        }
    }
    for one in identities::find(kernel, tenant, wanted).await? {
        if !all.iter().any(|known| known.id == one.id) {
            all.push(one);
        }
    }
    Ok(all)
}

/// How logs name what is about the person, and of whose kind it is: a place in [`Kernel::personal_records`].
pub(super) type About = HashMap<String, Option<usize>>;

/// What is about the person from `known` on (`<module>/<resource>/<id>`, or ids that logs have): the records, those that refer to them as
/// whom they are about, and so on.
///
/// # Errors
/// The database's.
pub(super) async fn reach(kernel: &Arc<Kernel>, company: CompanyId, known: &[String]) -> Result<About> {
    let all = kernel.personal_records();
    let mut about: About = known.iter().map(|name| (name.clone(), None)).collect();
    let mut new: Vec<Uuid> = Vec::new();
    let note = |about: &mut About, place: usize, id: Uuid| {
        about.insert(format!("{}/{id}", all[place].path), Some(place));
        about.insert(id.to_string(), Some(place)).is_none()
    };
    for name in known {
        let Some((path, id)) = name.rsplit_once('/') else { continue };
        if path == sent::FILES {
            // News of a file tells its name, as news of what it was sent with does.
            about.insert(name.clone(), all.iter().position(|records| records.sent.is_some()));
            continue;
        }
        let place = all.iter().position(|records| records.path == path);
        if let (Some(place), Ok(id)) = (place, Uuid::parse_str(id)) {
            note(&mut about, place, id);
            new.push(id);
        }
    }
    while !new.is_empty() {
        let mut next = Vec::new();
        for (place, records) in all.iter().enumerate().filter(|(_, records)| !records.path.is_empty()) {
            for piece in new.chunks(PIECE) {
                for id in records.followers(kernel, company, piece).await? {
                    if note(&mut about, place, id) {
                        next.push(id);
                    }
                }
            }
        }
        new = next;
    }
    Ok(about)
}

impl Records {
    async fn find(&self, kernel: &Arc<Kernel>, tenant: &Tenant, wanted: &Wanted, all: &mut Vec<Found>) -> Result<()> {
        let columns: Vec<String> = self.contacts.iter().chain(&self.names).map(|column| quoted(column)).collect();
        let mut after = Uuid::nil();
        loop {
            let (sql, values) = self.window(tenant.company, wanted, &columns, after);
            let width = columns.len();
            let read = move |row: &Row<'_>| {
                let texts = (0..width).map(|at| Ok(row.opt_text(at + 2)?.unwrap_or_default().to_owned()));
                Ok((row.uuid(0)?, row.i64(1)? > 0, texts.collect::<Result<Vec<String>, StoreError>>()?))
            };
            let (own, company, known) = (self.clone(), tenant.company, wanted.clone());
            let read_window = move |reader: &mut Reader<'_>| {
                let rows = reader.query(&sql, &values, read)?;
                let is_last = (rows.len() as i64) < WINDOW;
                let last = rows.last().map(|(id, ..)| *id).filter(|_| !is_last);
                let mut found = Vec::new();
                for (id, _, texts) in rows.into_iter().filter(|(_, is_here, _)| *is_here) {
                    if let Some(mut one) = own.told_by(&known, id, &texts) {
                        one.kept_by = match &own.kept_by {
                            Some(ground) => Some(ground.clone()),
                            None => own.held(reader, company, &Value::Uuid(id))?.map(str::to_owned),
                        };
                        found.push(one);
                    }
                }
                Ok((found, last))
            };
            let (found, last) = kernel.db.read_long(tenant.view(), read_window).await?;
            all.extend(found);
            match last {
                Some(last) if all.len() <= MOST => after = last,
                _ => return Ok(()),
            }
        }
    }

    /// The record, if one of its contacts is the person's. `texts` are its contacts, then its names.
    fn told_by(&self, wanted: &Wanted, id: Uuid, texts: &[String]) -> Option<Found> {
        let (contacts, names) = texts.split_at(self.contacts.len());
        let is_theirs = |text: &str| wanted.replace(text, Scope::Addresses).is_some();
        let by = self.contacts.iter().zip(contacts).filter(|(_, text)| is_theirs(text));
        let by: Vec<String> = by.map(|(column, _)| column.clone()).collect();
        let other = contacts.iter().filter(|text| !is_theirs(text)).cloned().collect();
        (!by.is_empty()).then(|| Found {
            path: self.path.clone(),
            id,
            by,
            kept_by: None,
            names: names.to_vec(),
            contacts: other,
        })
    }

    /// The next records in the order of their ids, and whether the person may be in them.
    fn window(&self, company: CompanyId, wanted: &Wanted, columns: &[String], after: Uuid) -> (String, Vec<Value>) {
        let mut values = vec![Value::from(company), Value::Uuid(after)];
        let mut any = Vec::new();
        for pattern in wanted.patterns(Scope::Addresses) {
            values.push(Value::Text(pattern));
            let marker = values.len();
            any.extend(self.contacts.iter().map(|column| format!("lower({}) LIKE ${marker}", quoted(column))));
        }
        let sql = format!(
            "SELECT id, CAST(CASE WHEN {} THEN 1 ELSE 0 END AS BIGINT), {} FROM {} WHERE company_id = $1 AND id > $2 \
             ORDER BY id LIMIT {WINDOW}",
            any_of(&any),
            columns.join(", "),
            self.table.name
        );
        (sql, values)
    }

    /// Records that refer to one of these as whom they are about.
    async fn followers(&self, kernel: &Arc<Kernel>, company: CompanyId, of: &[Uuid]) -> Result<Vec<Uuid>> {
        let columns: Vec<String> =
            self.about.iter().filter(|column| *column != "id").map(|column| quoted(column)).collect();
        if columns.is_empty() {
            return Ok(Vec::new());
        }
        let markers: Vec<String> = (2..of.len() + 2).map(|n| format!("${n}")).collect();
        let any: Vec<String> = columns.iter().map(|column| format!("{column} IN ({})", markers.join(", "))).collect();
        let sql = format!("SELECT id FROM {} WHERE company_id = $1 AND ({})", self.table.name, any.join(" OR "));
        let mut values = vec![Value::from(company)];
        values.extend(of.iter().map(Value::from));
        let read = move |reader: &mut Reader<'_>| Ok(reader.query(&sql, &values, |row| row.uuid(0))?);
        kernel.db.read_long(loopd_store::View::System, read).await
    }

    /// On what ground the particulars of the record stay; `None` when no document that is kept refers to it.
    pub(super) fn held(&self, reader: &mut Reader<'_>, company: CompanyId, id: &Value) -> Result<Option<&str>> {
        for Holder { table, column, ground } in &self.holders {
            let sql = format!(
                "SELECT 1 FROM {table} WHERE company_id = $1 AND {} = $2 AND deleted_at IS NULL LIMIT 1",
                quoted(column)
            );
            if reader.first(&sql, &[Value::from(company), id.clone()], |_| Ok(()))?.is_some() {
                return Ok(Some(ground));
            }
        }
        Ok(None)
    }

    /// A log's JSON about the record `id` without what the record tells of the person. In `is_changes` each field has a list: what it was,
    /// and what it became.
    pub(super) fn blank_log(&self, log: &mut Json, wanted: &Wanted, id: &str, is_changes: bool) {
        match log {
            Json::Array(items) => items.iter_mut().for_each(|item| self.blank_log(item, wanted, id, is_changes)),
            Json::Object(fields) => {
                // News of a file: its name tells what it is about.
                let is_file = fields.contains_key("attachment") && fields.contains_key("file");
                for (name, value) in fields.iter_mut() {
                    let told = self.told.iter().find(|told| told.column == *name);
                    match (told, value) {
                        (Some(told), Json::Array(both)) if is_changes => {
                            both.iter_mut()
                                .filter(|was| !was.is_null())
                                .for_each(|was| *was = told.with.json(wanted, id));
                        }
                        (_, Json::Null) => {}
                        (Some(told), value) => *value = told.with.json(wanted, id),
                        (None, Json::Array(files)) if is_changes && name == "attachments" => {
                            files.iter_mut().filter_map(|file| file.get_mut("name")).for_each(|name| *name = json!(""));
                        }
                        (None, value) if is_file && name == "name" => *value = json!(""),
                        (None, value) if !is_changes => self.blank_log(value, wanted, id, false),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
}
