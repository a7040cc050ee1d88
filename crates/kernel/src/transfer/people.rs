//! People go with a company by what they are known by, and are matched by their email address where it arrives.

use std::collections::{HashMap, HashSet};
use std::io::Write as _;

use loopd_store::ddl::{ColumnDef, ColumnKind};
use loopd_store::{Reader, Tx, Value, params};
use loopd_types::{CompanyId, Result, Uuid};

use super::archive::{Content, Spool};
use super::schema::{self, Table};
use super::{Column, USERS, export, not_written, refused, row};

/// What is told of a person: no password, no right over the installation, and no word on whether the address was ever theirs.
const TOLD: [(&str, ColumnKind); 10] = [
    ("id", ColumnKind::Uuid),
    ("email", ColumnKind::Text),
    ("username", ColumnKind::Text),
    ("first_name", ColumnKind::Text),
    ("last_name", ColumnKind::Text),
    ("phone", ColumnKind::Text),
    ("language", ColumnKind::Text),
    ("is_active", ColumnKind::Bool),
    ("joined_at", ColumnKind::Int),
    ("updated_at", ColumnKind::Int),
];

fn told() -> Vec<ColumnDef> {
    TOLD.iter().map(|(name, kind)| ColumnDef::required(name, *kind)).collect()
}

pub fn columns() -> Vec<Column> {
    told().iter().map(Column::from).collect()
}

/// Writes everybody that the company's rows link to, whether they are members still or not, and how many they are.
pub fn gather(reader: &mut Reader<'_>, company: CompanyId, tables: &[Table], out: &mut Spool) -> Result<u64> {
    let named: Vec<String> = schema::people_links(tables)
        .into_iter()
        .map(|(table, column)| format!("SELECT \"{column}\" FROM \"{table}\" WHERE company_id = $1"))
        .collect();
    let names: Vec<&str> = TOLD.iter().map(|(name, _)| *name).collect();
    let sql = format!("SELECT {} FROM users WHERE id IN ({}) ORDER BY id", names.join(", "), named.join(" UNION "));
    let (columns, mut count) = (told(), 0);
    export::each(
        reader,
        &sql,
        &params![company],
        |found, line| row::write(&columns, found, line),
        |line| {
            count += 1;
            out.write_all(line).map_err(not_written)
        },
    )?;
    Ok(count)
}

/// An active membership, and what becomes of it where nobody knows yet whose it is.
const ACTIVE: &str = "active";
const SUSPENDED: &str = "suspended";

/// Who of the archive is who here.
#[derive(Default)]
pub struct People {
    /// Those whose id is another one here.
    pub renamed: HashMap<Uuid, Uuid>,
    pub known: u64,
    pub made: u64,
    /// Those who are known by an address alone that they never proved to read: whoever registered with it first need not be whose it is.
    pub unproved: HashSet<Uuid>,
}

impl People {
    /// Reads the people of an archive: who is known by their address stays as they are, who is not is made without a password, so that
    /// nobody can sign in as them before they have asked for one. Whose address is unproved gets in when somebody of the company or the
    /// installation says so ([`Self::hold_back`]).
    pub fn arrive(&mut self, tx: &mut Tx<'_>, lines: &mut Content<'_>, new_id: impl Fn() -> Uuid) -> Result<()> {
        let (columns, mut line) = (told(), String::new());
        while lines.next(&mut line)? {
            let bad = |words: &str| refused(format!("{USERS}, line {}: {words}", lines.count));
            let mut values = row::read(&columns, &line).map_err(|words| bad(&words))?;
            let (Value::Uuid(id), Value::Text(email)) = (values[0].clone(), values[1].clone()) else {
                return Err(bad("nobody can be told by it"));
            };
            if !email.contains('@') || email != email.to_lowercase() {
                return Err(bad("the email address is none"));
            }
            let sql = "SELECT id, email_verified_at IS NOT NULL FROM users WHERE email = $1";
            let by_email = tx.first(sql, &params![&email], |row| Ok((row.uuid(0)?, row.bool(1)?)))?;
            let here = match by_email {
                Some((known, is_proved)) => {
                    self.known += 1;
                    // Under the same id it is the same account, come back to where it was made.
                    if !is_proved && known != id {
                        self.unproved.insert(known);
                    }
                    known
                }
                None => {
                    let is_free = tx.first("SELECT 1 FROM users WHERE id = $1", &params![id], |_| Ok(()))?.is_none();
                    let here = if is_free { id } else { new_id() };
                    values[0] = Value::Uuid(here);
                    make(tx, values)?;
                    self.made += 1;
                    here
                }
            };
            if here != id {
                self.renamed.insert(id, here);
            }
        }
        Ok(())
    }

    /// Suspends a membership of somebody whose address is unproved; `person` and `status` are its columns.
    pub fn hold_back(&self, person: &Value, status: &mut Value) {
        let is_unproved = matches!(person, Value::Uuid(id) if self.unproved.contains(id));
        if is_unproved && matches!(status, Value::Text(known) if known == ACTIVE) {
            *status = Value::Text(SUSPENDED.to_owned());
        }
    }
}

fn make(tx: &mut Tx<'_>, mut values: Vec<Value>) -> Result<()> {
    let Value::Text(wanted) = &values[2] else { return Err(refused("somebody has no username")) };
    let username = free_username(tx, wanted)?;
    let key = Value::Text(username.to_lowercase());
    values[2] = Value::Text(username);
    // No hash of a password looks like this, so none ever matches it.
    values.extend([key, Value::Text(String::new())]);
    let names: Vec<&str> = TOLD.iter().map(|(name, _)| *name).collect();
    let markers: Vec<String> = (1..=values.len()).map(|number| format!("${number}")).collect();
    let sql = format!(
        "INSERT INTO users ({}, username_key, password_hash) VALUES ({})",
        names.join(", "),
        markers.join(", ")
    );
    tx.execute(&sql, &values)?;
    Ok(())
}

/// `wanted`, or `wanted-2`, `wanted-3`, …
fn free_username(tx: &mut Tx<'_>, wanted: &str) -> Result<String> {
    let mut number = 1u64;
    loop {
        let name = if number == 1 { wanted.to_owned() } else { format!("{wanted}-{number}") };
        let taken =
            tx.first("SELECT 1 FROM users WHERE username_key = $1", &params![name.to_lowercase()], |_| Ok(()))?;
        if taken.is_none() {
            return Ok(name);
        }
        number += 1;
    }
}
