//! One row: what of it goes with the person, and what stays on which ground.

use loopd_store::ddl::{ColumnDef, ColumnKind};
use loopd_store::{Row, StoreError, Tx, Value, params};
use loopd_types::{CompanyId, Result};
use serde_json::Value as Json;

use super::records::{Blanked, Records};
use super::search::{Key, Outcome, Searched, Task, quoted};
use super::wanted::{NOBODY, Scope, Wanted};

/// A row as it is: what it is about, its texts, what would go.
struct Found {
    about: Vec<String>,
    texts: Vec<Option<String>>,
    blanks: Vec<Value>,
}

/// What is true of one row.
struct Nature<'r> {
    /// What its table tells of people by definition.
    own: Option<&'r Records>,
    /// A row of a log: of which record about the person, and what tells of them there.
    log: Option<(&'r str, &'r Records)>,
    is_about: bool,
    /// A document that a law keeps, or a record that one is about: its particulars stay.
    stays: bool,
}

impl Nature<'_> {
    fn goes(&self, blank: &Blanked) -> bool {
        self.is_about && !(self.stays && blank.is_particular)
    }
}

impl Searched {
    /// Takes the person out of one row. A row that is without them already stays as it is, its version too.
    pub(super) fn take_out(&self, tx: &mut Tx<'_>, task: &Task, key: &Key) -> Result<Outcome> {
        let mut values = vec![Value::from(task.company)];
        values.extend(key.iter().cloned());
        // Gone meanwhile: retention was faster.
        let Some(found) = self.read(tx, &values)? else { return Ok(Outcome::default()) };
        let nature = self.nature(tx, task, &found, &values[1])?;
        let (sets, has_name) = self.changes(task, &found, &nature, key);
        if nature.log.is_some() && self.name == "events" {
            forget_answers(tx, task.company, &values[1])?;
        }
        let outcome = Outcome { is_changed: !sets.is_empty(), is_kept: nature.stays && nature.is_about || has_name };
        self.write(tx, task, values, sets)?;
        Ok(outcome)
    }

    fn nature<'r>(&self, tx: &mut Tx<'_>, task: &'r Task, found: &'r Found, id: &Value) -> Result<Nature<'r>> {
        let all = task.kernel.personal_records();
        let own = self.records.and_then(|place| all.get(place));
        let told = found.about.iter().find_map(|id| task.about.get(id).map(|place| (id.as_str(), *place)));
        let is_about = told.is_some() || own.is_some_and(|own| self.has_contact(own, &found.texts, &task.wanted));
        let stays = match own {
            Some(own) if own.kept_by.is_some() => is_about,
            Some(own) if !own.holders.is_empty() => own.held(tx, task.company, id)?.is_some(),
            _ => false,
        };
        let log = told.filter(|_| own.is_none()).and_then(|(id, place)| Some((id, all.get(place?)?)));
        Ok(Nature { own, log, is_about, stays })
    }

    /// What is written over the row, and whether a name is left in it that stays.
    fn changes(&self, task: &Task, found: &Found, nature: &Nature<'_>, key: &Key) -> (Vec<(&str, Value)>, bool) {
        let row = key.iter().map(text_of).collect::<Vec<_>>().join("-");
        let (mut sets, mut has_name): (Vec<(&str, Value)>, bool) = (Vec::new(), false);
        for (blank, now) in self.blanks.iter().zip(&found.blanks).filter(|(blank, _)| nature.goes(blank)) {
            let value = blank.with.value(&task.wanted, &row);
            if !is_same(now, &value) {
                sets.push((&blank.column, value));
            }
        }
        for (column, text) in self.texts.iter().zip(&found.texts) {
            let blank = self.blanks.iter().find(|blank| blank.column == column.name);
            let Some(text) = text.as_deref().filter(|_| !blank.is_some_and(|blank| nature.goes(blank))) else {
                continue;
            };
            let scope = match self.scope {
                Scope::Addresses => Scope::Addresses,
                _ if nature.stays && blank.is_some_and(|blank| blank.is_particular) => Scope::Addresses,
                _ if nature.is_about => Scope::About,
                scope => scope,
            };
            let now = without(&task.wanted, column, text, scope, nature);
            if scope == Scope::Addresses {
                has_name |= task.wanted.replace(now.as_deref().unwrap_or(text), Scope::Anywhere).is_some();
            }
            if let Some(text) = now {
                let value = if column.kind == ColumnKind::Json { Value::Json(text) } else { Value::Text(text) };
                sets.push((&column.name, value));
            }
        }
        (sets, has_name)
    }

    /// `values` are the company and the row's key.
    fn write(&self, tx: &mut Tx<'_>, task: &Task, mut values: Vec<Value>, mut sets: Vec<(&str, Value)>) -> Result<()> {
        if sets.is_empty() {
            return Ok(());
        }
        let mut assigned: Vec<String> = Vec::with_capacity(sets.len() + 2);
        if self.is_record {
            sets.push(("updated_at", Value::from(task.kernel.now())));
            assigned.push("version = version + 1".to_owned());
        }
        for (column, value) in sets {
            values.push(value);
            assigned.push(format!("{} = ${}", quoted(column), values.len()));
        }
        tx.execute(&format!("UPDATE {} SET {} {}", self.name, assigned.join(", "), self.condition()), &values)?;
        Ok(())
    }

    fn has_contact(&self, own: &Records, texts: &[Option<String>], wanted: &Wanted) -> bool {
        let is_theirs = |text: &str| wanted.replace(text, Scope::Addresses).is_some();
        let contacts = self.texts.iter().zip(texts).filter(|(column, _)| own.contacts.contains(&column.name));
        contacts.filter_map(|(_, text)| text.as_deref()).any(is_theirs)
    }

    fn read(&self, tx: &mut Tx<'_>, key: &[Value]) -> Result<Option<Found>> {
        let about = self.about.iter().map(|column| format!("CAST({} AS TEXT)", quoted(column)));
        let texts = self.texts.iter().map(|text| quoted(&text.name));
        let blanks = self.blanks.iter().map(|blank| quoted(&blank.column));
        let columns: Vec<String> = about.chain(texts).chain(blanks).collect();
        if columns.is_empty() {
            return Ok(None);
        }
        let sql = format!("SELECT {} FROM {} {}", columns.join(", "), self.name, self.condition());
        let (abouts, words) = (self.about.len(), self.about.len() + self.texts.len());
        Ok(tx.first(&sql, key, |row: &Row<'_>| {
            let about = (0..abouts).map(|at| Ok(row.opt_text(at)?.unwrap_or_default().to_owned()));
            let texts = self.texts.iter().enumerate().map(|(at, column)| match column.kind {
                ColumnKind::Json => Ok(row.opt_json(abouts + at)?.map(str::to_owned)),
                _ => Ok(row.opt_text(abouts + at)?.map(str::to_owned)),
            });
            Ok(Found {
                about: about.collect::<Result<_, StoreError>>()?,
                texts: texts.collect::<Result<_, StoreError>>()?,
                blanks: (words..columns.len()).map(|at| row.value(at)).collect::<Result<_, StoreError>>()?,
            })
        })?)
    }
}

/// A text without the person; `None` when they are not in it.
fn without(wanted: &Wanted, column: &ColumnDef, text: &str, scope: Scope, nature: &Nature<'_>) -> Option<String> {
    let log = nature.log;
    let is_list = nature.own.is_some_and(|own| own.lists.contains(&column.name));
    if column.kind != ColumnKind::Json && !text.starts_with(['{', '[']) {
        // How a log calls a record that is a person's is a name, perhaps an old one.
        let is_label = log.is_some_and(|(_, records)| records.told.iter().any(|told| told.column == "title"))
            && column.name == "target_label";
        let is_name = is_label && !text.is_empty() && text != NOBODY;
        return if is_name { Some(NOBODY.to_owned()) } else { wanted.replace(text, scope) };
    }
    let mut now = text.to_owned();
    if log.is_some() || is_list {
        let before: Json = serde_json::from_str(text).unwrap_or_default();
        let mut after = before.clone();
        if let Some((id, records)) = log {
            let id = id.rsplit('/').next().unwrap_or(id);
            records.blank_log(&mut after, wanted, id, column.name == "changes");
        }
        if is_list {
            wanted.blank_rows(&mut after);
        }
        if before != after {
            now = after.to_string();
        }
    }
    now = wanted.replace_json(&now, scope).unwrap_or(now);
    (now != text).then_some(now)
}

fn text_of(value: &Value) -> String {
    match value {
        Value::Uuid(id) => id.to_string(),
        Value::Text(text) => text.clone(),
        Value::Int(number) => number.to_string(),
        _ => String::new(),
    }
}

/// Whether a column holds this already: engines differ in the kind that they read JSON as.
fn is_same(now: &Value, value: &Value) -> bool {
    match (now, value) {
        (Value::Text(now) | Value::Json(now), Value::Json(value)) => now == value,
        (now, value) => now == value,
    }
}

/// What receivers answered to news of a record: it may repeat what they were told.
fn forget_answers(tx: &mut Tx<'_>, company: CompanyId, position: &Value) -> Result<()> {
    tx.execute(
        "UPDATE webhook_attempts SET response_body = NULL WHERE company_id = $1 AND response_body IS NOT NULL AND delivery_id IN \
         (SELECT d.id FROM webhook_deliveries d WHERE d.company_id = $1 AND d.position = $2 AND d.endpoint_id IN \
         (SELECT e.id FROM webhook_endpoints e WHERE e.company_id = $1))",
        &params![company, position],
    )?;
    Ok(())
}
