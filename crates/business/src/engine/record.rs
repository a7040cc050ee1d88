//! [`Record`]: one record in hand, for rules: values by field name, lines, typed getters and setters.

use std::sync::Arc;

use loopd_store::{Row, StoreError, Value};
use loopd_types::{Currency, Problem, Result, Timestamp, Uuid};
use serde_json::{Map, Value as Json};

use super::runtime::{Column, LinesRuntime, ResourceRuntime};
use crate::define::base::{
    CREATED_AT, CREATED_BY, DATA, DELETED_AT, DESCRIPTION, EXTERNAL_ID, ID, NUMBER, STATUS, TITLE, VERSION, WORKSPACE,
};
use crate::define::render::{Cells, Style};
use crate::define::{Kind, Stored};

/// One record with all its values and, once loaded, its lines.
#[derive(Clone, Debug)]
pub struct Record {
    pub(crate) runtime: Arc<ResourceRuntime>,
    pub(crate) values: Vec<Value>,
    /// One list for each `Lines` of the definition.
    pub(crate) lines: Vec<Vec<Line>>,
    pub(crate) lines_loaded: bool,
    pub(crate) lines_changed: bool,
    /// The record as it was before the running update or action.
    pub(crate) original: Option<Arc<Record>>,
}

/// One row below a record.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    pub(crate) runtime: Arc<ResourceRuntime>,
    /// Which of the resource's lists.
    pub(crate) list: usize,
    pub(crate) values: Vec<Value>,
}

impl PartialEq for ResourceRuntime {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path
    }
}

/// Typed access to values by field name, the same on records, lines and inputs.
///
/// A name that the definition does not have reads as empty, is logged as our mistake, and stops a debug build.
pub trait Fields {
    /// The value of the field; `None` when there is no such field.
    fn value(&self, field: &str) -> Option<&Value>;

    /// Text of any text kind; `None` when it is null or empty.
    fn text(&self, field: &str) -> Option<&str> {
        match self.value(field)? {
            Value::Text(text) if !text.is_empty() => Some(text),
            _ => None,
        }
    }
    /// A whole number, minutes, or a decimal, percentage or amount in its stored scale.
    fn int(&self, field: &str) -> Option<i64> {
        match self.value(field)? {
            Value::Int(number) => Some(*number),
            _ => None,
        }
    }
    /// An amount in minor units; 0 when it is null.
    fn minor(&self, field: &str) -> i64 {
        self.int(field).unwrap_or(0)
    }
    /// A moment.
    fn time(&self, field: &str) -> Option<Timestamp> {
        self.int(field).map(Timestamp)
    }
    /// A calendar day.
    fn date(&self, field: &str) -> Option<jiff::civil::Date> {
        self.text(field)?.parse().ok()
    }
    /// A boolean; false when it is null.
    fn is(&self, field: &str) -> bool {
        matches!(self.value(field), Some(Value::Bool(true)))
    }
    /// The id in a reference or user field.
    fn id_in(&self, field: &str) -> Option<Uuid> {
        match self.value(field)? {
            Value::Uuid(id) => Some(*id),
            _ => None,
        }
    }
    /// The ids in a references field.
    fn ids_in(&self, field: &str) -> Vec<Uuid> {
        let list = self.json(field);
        let texts = list.iter().filter_map(Json::as_array).flatten().filter_map(Json::as_str);
        texts.filter_map(|text| Uuid::parse_str(text).ok()).collect()
    }
    /// The value of a json, object, tags or references field.
    fn json(&self, field: &str) -> Option<Json> {
        match self.value(field)? {
            Value::Json(text) => serde_json::from_str(text).ok(),
            _ => None,
        }
    }
    /// A currency.
    fn currency_in(&self, field: &str) -> Option<Currency> {
        self.text(field).and_then(Currency::parse)
    }
    /// Whether the field has a value.
    fn has(&self, field: &str) -> bool {
        !matches!(self.value(field), None | Some(Value::Null)) && self.value(field) != Some(&Value::Text(String::new()))
    }
}

impl Fields for Record {
    fn value(&self, field: &str) -> Option<&Value> {
        match self.runtime.place(field) {
            Some(place) => Some(&self.values[place]),
            None => unknown(&self.runtime.path, field),
        }
    }
}

impl Fields for Line {
    fn value(&self, field: &str) -> Option<&Value> {
        match self.definition().places.get(field) {
            Some(place) => Some(&self.values[*place]),
            None => unknown(&self.definition().table, field),
        }
    }
}

fn unknown<T>(owner: &str, field: &str) -> Option<T> {
    debug_assert!(false, "{owner} has no field {field}");
    tracing::error!(owner, field, "a rule asks for a field that is not there");
    None
}

impl Record {
    /// An empty record, as before its first write.
    pub(crate) fn blank(runtime: Arc<ResourceRuntime>) -> Self {
        let values = vec![Value::Null; runtime.columns.len()];
        let lines = vec![Vec::new(); runtime.lines.len()];
        Self { runtime, values, lines, lines_loaded: true, lines_changed: true, original: None }
    }

    /// Reads a row that was selected with the runtime's columns. Lines are not loaded.
    pub(crate) fn from_row(runtime: &Arc<ResourceRuntime>, row: &Row<'_>) -> Result<Self, StoreError> {
        let values = read_cells(&runtime.columns, row)?;
        let lines = vec![Vec::new(); runtime.lines.len()];
        let lines_loaded = runtime.lines.is_empty();
        Ok(Self { runtime: runtime.clone(), values, lines, lines_loaded, lines_changed: false, original: None })
    }

    /// The record as it was before the running update or action; `None` when it is being made, and outside of rules.
    pub fn original(&self) -> Option<&Record> {
        self.original.as_deref()
    }

    pub fn resource(&self) -> &ResourceRuntime {
        &self.runtime
    }
    pub fn id(&self) -> Uuid {
        self.id_at(ID).unwrap_or_default()
    }
    /// `booking/appointments/<id>`
    pub fn subject(&self) -> String {
        [&*self.runtime.path, &*self.id().to_string()].join("/")
    }
    pub fn status(&self) -> &str {
        self.text_at(STATUS)
    }
    /// Chooses the status; whether the definition has it is checked when the record is written.
    pub fn set_status(&mut self, status: &str) {
        self.values[STATUS] = Value::from(status);
    }
    pub fn title(&self) -> &str {
        self.text_at(TITLE)
    }
    pub fn description(&self) -> &str {
        self.text_at(DESCRIPTION)
    }
    pub fn number(&self) -> &str {
        self.text_at(NUMBER)
    }
    pub fn external_id(&self) -> Option<&str> {
        Some(self.text_at(EXTERNAL_ID)).filter(|text| !text.is_empty())
    }
    pub fn version(&self) -> i64 {
        match self.values[VERSION] {
            Value::Int(version) => version,
            _ => 0,
        }
    }
    pub fn workspace(&self) -> Option<Uuid> {
        self.id_at(WORKSPACE)
    }
    pub fn created_by(&self) -> Option<Uuid> {
        self.id_at(CREATED_BY)
    }
    pub fn created_at(&self) -> Timestamp {
        match self.values[CREATED_AT] {
            Value::Int(micros) => Timestamp(micros),
            _ => Timestamp::default(),
        }
    }
    pub fn is_deleted(&self) -> bool {
        self.values[DELETED_AT] != Value::Null
    }
    /// The free fields of `data`.
    pub fn data(&self) -> Map<String, Json> {
        match &self.values[DATA] {
            Value::Json(text) => serde_json::from_str(text).unwrap_or_default(),
            _ => Map::new(),
        }
    }
    /// How people name the record: its number, else its title.
    pub fn label(&self) -> &str {
        if self.number().is_empty() { self.title() } else { self.number() }
    }

    /// Sets a field. `None` of any type empties it.
    ///
    /// The value must be of the field's stored kind (text, integer, boolean, uuid, JSON); another is our mistake and refused at the write.
    pub fn set(&mut self, field: &str, value: impl Into<Value>) {
        match self.runtime.place(field) {
            Some(place) => self.values[place] = value.into(),
            None => {
                unknown::<()>(&self.runtime.path, field);
            }
        }
    }

    /// The lines of a list, in order.
    pub fn lines(&self, list: &str) -> &[Line] {
        match self.list(list) {
            Some(at) => &self.lines[at],
            None => &[],
        }
    }
    /// The lines of a list to be changed; they are written with the record.
    pub fn lines_mut(&mut self, list: &str) -> Option<&mut Vec<Line>> {
        let at = self.list(list)?;
        self.lines_changed = true;
        Some(&mut self.lines[at])
    }
    /// Adds an empty line with a new id at the end of a list; set its fields on the answer.
    pub fn add_line(&mut self, list: &str, id: Uuid) -> Option<&mut Line> {
        let at = self.list(list)?;
        self.lines_changed = true;
        let line = Line::blank(self.runtime.clone(), at, id);
        self.lines[at].push(line);
        self.lines[at].last_mut()
    }

    fn list(&self, name: &str) -> Option<usize> {
        debug_assert!(self.lines_loaded, "the lines of {} were not loaded", self.runtime.path);
        let found = self.runtime.lines.iter().position(|lines| lines.name == name);
        if found.is_none() {
            unknown::<()>(&self.runtime.path, name);
        }
        found
    }

    pub(crate) fn text_at(&self, place: usize) -> &str {
        match &self.values[place] {
            Value::Text(text) => text,
            _ => "",
        }
    }
    pub(crate) fn id_at(&self, place: usize) -> Option<Uuid> {
        match self.values[place] {
            Value::Uuid(id) => Some(id),
            _ => None,
        }
    }

    /// The whole record as JSON text, lines included.
    ///
    /// # Errors
    /// 500 when a rule put a value of another kind into a field.
    pub fn render(&self) -> Result<Vec<u8>> {
        let mut out = Vec::with_capacity(1_024);
        self.render_into(&mut out, |_, _, _| Ok(false))?;
        Ok(out)
    }

    /// As [`Record::render`]; `instead` may write a column's value itself (and then says so): how references are expanded.
    pub(crate) fn render_into(
        &self,
        out: &mut Vec<u8>,
        mut instead: impl FnMut(usize, &Value, &mut Vec<u8>) -> Result<bool>,
    ) -> Result<()> {
        let start = out.len();
        for (count, place) in self.runtime.order.iter().enumerate() {
            if count == self.runtime.lines_after && self.lines_loaded {
                self.render_lines(out)?;
            }
            let column = &self.runtime.columns[*place];
            out.extend_from_slice(&column.key);
            if !instead(*place, &self.values[*place], out)? {
                column.style.write(self.values.as_slice(), *place, None, out)?;
            }
        }
        out[start] = b'{';
        out.push(b'}');
        Ok(())
    }

    pub(crate) fn render_lines(&self, out: &mut Vec<u8>) -> Result<()> {
        for (at, definition) in self.runtime.lines.iter().enumerate() {
            out.extend_from_slice(&definition.key);
            out.push(b'[');
            for (count, line) in self.lines[at].iter().enumerate() {
                if count > 0 {
                    out.push(b',');
                }
                line.render_into(self, out)?;
            }
            out.push(b']');
        }
        Ok(())
    }

    /// The record as a JSON value, for answers of custom operations.
    ///
    /// # Errors
    /// As [`Record::render`].
    pub fn to_json(&self) -> Result<Json> {
        serde_json::from_slice(&self.render()?).map_err(Problem::internal)
    }
}

impl Line {
    pub(crate) fn blank(runtime: Arc<ResourceRuntime>, list: usize, id: Uuid) -> Self {
        let mut values = vec![Value::Null; runtime.lines[list].columns.len()];
        values[0] = Value::Uuid(id);
        Self { runtime, list, values }
    }
    pub(crate) fn from_row(runtime: &Arc<ResourceRuntime>, list: usize, row: &Row<'_>) -> Result<Self, StoreError> {
        let values = read_cells(&runtime.lines[list].columns, row)?;
        Ok(Self { runtime: runtime.clone(), list, values })
    }
    pub fn id(&self) -> Uuid {
        match self.values[0] {
            Value::Uuid(id) => id,
            _ => Uuid::nil(),
        }
    }
    /// Sets a field; see [`Record::set`].
    pub fn set(&mut self, field: &str, value: impl Into<Value>) {
        match self.definition().places.get(field).copied() {
            Some(place) => self.values[place] = value.into(),
            None => {
                unknown::<()>(&self.definition().table.clone(), field);
            }
        }
    }
    pub(crate) fn definition(&self) -> &LinesRuntime {
        &self.runtime.lines[self.list]
    }
    fn render_into(&self, owner: &Record, out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        for (place, column) in self.definition().columns.iter().enumerate() {
            out.extend_from_slice(&column.key);
            let owner_currency = match column.style {
                Style::Money { currency, of_owner: true } => owner.values.as_slice().text(currency)?,
                _ => None,
            };
            column.style.write(self.values.as_slice(), place, owner_currency, out)?;
        }
        out[start] = b'{';
        out.push(b'}');
        Ok(())
    }
}

/// Reads one value per column, in order.
fn read_cells(columns: &[Column], row: &Row<'_>) -> Result<Vec<Value>, StoreError> {
    let mut values = Vec::with_capacity(columns.len());
    for (place, column) in columns.iter().enumerate() {
        values.push(match column.stored {
            Stored::Text => row.opt_text(place)?.map_or(Value::Null, Value::from),
            Stored::Integer => row.opt_i64(place)?.map_or(Value::Null, Value::Int),
            Stored::Boolean => row.opt_bool(place)?.map_or(Value::Null, Value::Bool),
            Stored::Uuid => row.opt_uuid(place)?.map_or(Value::Null, Value::Uuid),
            Stored::Json => row.opt_json(place)?.map_or(Value::Null, |text| Value::Json(text.to_owned())),
        });
    }
    Ok(values)
}

/// Whether a value may stand in a column of this kind.
pub(crate) fn fits(value: &Value, stored: Stored) -> bool {
    matches!(
        (value, stored),
        (Value::Null, _)
            | (Value::Text(_), Stored::Text)
            | (Value::Int(_), Stored::Integer)
            | (Value::Bool(_), Stored::Boolean)
            | (Value::Uuid(_), Stored::Uuid)
            | (Value::Json(_), Stored::Json)
    )
}

/// The currency of a money field's value in this record.
pub(crate) fn currency_of(record: &Record, kind: &Kind) -> Option<Currency> {
    match kind {
        Kind::Money { currency } => {
            record.runtime.place(currency).and_then(|place| Currency::parse(record.text_at(place)))
        }
        _ => None,
    }
}
