//! A client's body becomes values of a record, with every complaint at once.

use loopd_store::Value;
use loopd_types::{Currency, FieldError, NON_FIELD, Problem, Result, Uuid};
use serde_json::{Map, Value as Json};

use super::cx::{Cx, preset_value, runtime};
use super::read;
use super::record::{Fields, Line, Record};
use crate::define::base::{
    DATA, DESCRIPTION, DESCRIPTION_MAX, EXTERNAL_ID, EXTERNAL_ID_MAX, TAGS, TITLE, TITLE_MAX, WORKSPACE,
};
use crate::define::parse::{
    complaint, is_blank, no_such_record, not_a_choice, not_a_dictionary, not_a_list, not_blank, not_null, parse,
    required,
};
use crate::define::{Field, Kind, Titled};

/// How a body is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Create,
    /// Every required field must be given; others stay when absent, as DRF's PUT leaves them.
    Put,
    Patch,
}

/// Whose body it is: a rule may set what clients cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Client,
    Rule,
}

/// Most bodies have few members, and looking through those costs less than hashing the names of all the fields that might be there.
const FEW_MEMBERS: usize = 8;

fn member<'b>(body: &'b Map<String, Json>, name: &str) -> Option<&'b Json> {
    if body.len() > FEW_MEMBERS {
        return body.get(name);
    }
    body.iter().find(|(known, _)| *known == name).map(|(_, given)| given)
}

/// Reads `body` into `record`.
///
/// # Errors
/// 400 `validation_error` with every complaint.
pub(crate) fn fill(cx: &mut Cx<'_, '_>, record: &mut Record, body: &Json, mode: Mode, by: By) -> Result<()> {
    let Json::Object(body) = body else {
        let error = not_a_dictionary(body);
        return Err(Problem::field(NON_FIELD, error.code, error.message));
    };
    let mut reading = Reading { mode, by, problem: Problem::validation(), links: Vec::new(), users: Vec::new() };
    let before_currencies = if mode == Mode::Create { Vec::new() } else { currencies(record) };
    reading.base(cx, record, body);
    let data = if body.contains_key("data") || mode == Mode::Create { record.data() } else { Map::new() };
    let definition = record.runtime.clone();
    // currencies first: they decide how amounts are read
    for pass in [true, false] {
        for (place, field) in definition.fields().filter(|(_, field)| (field.kind == Kind::Currency) == pass) {
            reading.field(cx, record, place, field, body, &data)?;
        }
        if pass && mode != Mode::Create {
            reading.rescale(record, &before_currencies, body);
        }
    }
    for list in 0..definition.lines.len() {
        reading.lines(cx, record, list, body)?;
    }
    reading.title(record, body);
    reading.check_links(cx)?;
    if reading.problem.has_fields() { Err(reading.problem) } else { Ok(()) }
}

struct Reading {
    mode: Mode,
    by: By,
    problem: Problem,
    /// Ids that must exist: the field to blame, the resource, the ids.
    links: Vec<(String, String, Vec<Uuid>)>,
    users: Vec<(String, Uuid)>,
}

impl Reading {
    fn blame(&mut self, field: &str, error: FieldError) {
        self.problem.add_field(field, error.code, error.message);
    }

    /// Puts a checked value in place, or notes the complaint.
    fn put(&mut self, record: &mut Record, place: usize, field: &str, checked: Result<Value, FieldError>) {
        match checked {
            Ok(value) => record.values[place] = value,
            Err(error) => self.blame(field, error),
        }
    }

    /// The fields of the base record that a client may set.
    fn base(&mut self, cx: &Cx<'_, '_>, record: &mut Record, body: &Map<String, Json>) {
        match member(body, "title") {
            None => {}
            Some(Json::Null) => self.blame("title", not_null()),
            Some(given) => self.put(record, TITLE, "title", parse(&Kind::Text { max: TITLE_MAX }, given, None)),
        }
        match member(body, "description") {
            None => {}
            Some(Json::Null) => self.blame("description", not_null()),
            Some(given) => {
                self.put(record, DESCRIPTION, "description", parse(&Kind::Text { max: DESCRIPTION_MAX }, given, None));
            }
        }
        for (place, name, kind) in [(DATA, "data", Kind::Object), (TAGS, "tags", Kind::Tags)] {
            match member(body, name) {
                None => {}
                Some(Json::Null) => self.blame(name, not_null()),
                Some(given) => self.put(record, place, name, parse(&kind, given, None)),
            }
        }
        match member(body, "external_id") {
            None => {}
            Some(Json::Null) => record.values[EXTERNAL_ID] = Value::Null,
            Some(given) => {
                let checked = parse(&Kind::Text { max: EXTERNAL_ID_MAX }, given, None);
                // an empty id is no id: two records may have none
                let checked = checked.map(|value| if is_blank(&value) { Value::Null } else { value });
                self.put(record, EXTERNAL_ID, "external_id", checked);
            }
        }
        let must_name = self.by == By::Client && read::must_name_workspace(cx.tenant, &record.runtime);
        match member(body, "workspace") {
            // whoever is limited to workspaces makes nothing that is the whole company's
            None if must_name && record.workspace().is_none() => self.blame("workspace", required()),
            Some(Json::Null) if must_name => self.blame("workspace", not_null()),
            None => {}
            Some(Json::Null) => record.values[WORKSPACE] = Value::Null,
            Some(given) => match parse(&Kind::User, given, None) {
                // a rule puts records where those are that they follow from, wherever the acting person may go; the table's key watches
                Ok(Value::Uuid(id)) if self.by == By::Client && !cx.tenant.may_use_workspace(id) => {
                    self.blame("workspace", no_such_record(id));
                }
                checked => self.put(record, WORKSPACE, "workspace", checked),
            },
        }
        self.status(record, body);
    }

    fn status(&mut self, record: &mut Record, body: &Map<String, Json>) {
        let Some(given) = member(body, "status") else { return };
        let definition = &record.runtime.resource;
        let text = given.as_str().unwrap_or_default();
        if text == record.status() {
            return;
        }
        if !definition.states.iter().any(|state| state == text) {
            let shown = given.as_str().map_or_else(|| given.to_string(), str::to_owned);
            return self.blame("status", not_a_choice(&shown));
        }
        if definition.has_life_cycle() && self.by == By::Client {
            let words: Vec<&str> = definition.actions.iter().map(|action| action.name.as_str()).collect();
            let message = format!("The status changes by actions: {}.", words.join(", "));
            return self.blame("status", complaint("read_only", message));
        }
        record.set_status(text);
    }

    /// What a field is when nobody says. Amounts in a currency that was refused are nothing: the refusal stands.
    fn preset(&self, cx: &Cx<'_, '_>, field: &Field, currency: Option<Currency>) -> Result<Value> {
        match preset_value(cx, field, currency) {
            Err(_) if self.problem.has_fields() => Ok(Value::Null),
            made => made,
        }
    }

    /// One field of the definition: from the body, else from `data`, else its default.
    fn field(
        &mut self,
        cx: &Cx<'_, '_>,
        record: &mut Record,
        place: usize,
        field: &Field,
        body: &Map<String, Json>,
        data: &Map<String, Json>,
    ) -> Result<()> {
        let currency = super::record::currency_of(record, &field.kind);
        let is_writable = self.by == By::Rule || (field.is_writable() && !(field.fixed && self.mode != Mode::Create));
        match member(body, &field.name).filter(|_| is_writable) {
            Some(Json::Null) if field.allows_null() => record.values[place] = Value::Null,
            Some(Json::Null) => self.blame(&field.name, not_null()),
            Some(given) => {
                let checked = parse(&field.kind, given, currency).and_then(|value| unblanked(field, value));
                self.put(record, place, &field.name, checked);
                self.note_links(&field.name, &field.kind, &record.values[place]);
            }
            None => {
                // The portal's samples put amounts into `data`; what does not read as the field's kind stays there and there only, but for money.
                let copied = member(data, &field.name).filter(|value| is_writable && !value.is_null());
                let is_link = matches!(field.kind, Kind::Reference { .. } | Kind::References { .. } | Kind::User);
                let is_money = matches!(field.kind, Kind::Money { .. } | Kind::Currency);
                let copied = copied.filter(|_| !is_link).map(|value| parse(&field.kind, value, currency));
                if let Some(Ok(value)) = copied {
                    record.values[place] = value;
                } else if let (Some(Err(error)), true) = (copied, is_money) {
                    // Left where it is, another sum or currency would be owed than the one that stands there.
                    self.blame(&format!("data.{}", field.name), error);
                } else if field.required && is_writable && self.mode != Mode::Patch {
                    self.blame(&field.name, required());
                } else if self.mode == Mode::Create {
                    record.values[place] = self.preset(cx, field, currency)?;
                }
            }
        }
        Ok(())
    }

    /// Amounts that a client does not send along with a new currency keep their worth in figures: 12 USD become 12 RWF, never 1200.
    fn rescale(&mut self, record: &mut Record, before: &[(String, Option<Currency>)], body: &Map<String, Json>) {
        let definition = record.runtime.clone();
        for (name, old) in before {
            let new = record.currency_in(name);
            let (Some(old), Some(new)) = (*old, new) else { continue };
            if old.exponent() == new.exponent() {
                continue;
            }
            let uses = |kind: &Kind| matches!(kind, Kind::Money { currency } if currency == name);
            for (place, field) in definition.fields().filter(|(_, field)| uses(&field.kind)) {
                if body.contains_key(&field.name) && field.is_writable() {
                    continue;
                }
                if !rescale_value(&mut record.values[place], old, new) {
                    self.blame(
                        name,
                        complaint("invalid", "The amounts of the record cannot be written in this currency."),
                    );
                }
            }
            for list in 0..definition.lines.len() {
                let lines = &definition.lines[list];
                let has_own = lines.places.contains_key(name);
                for (column, place) in
                    lines.columns.iter().zip(0..).filter(|(column, _)| uses(&column.kind) && !has_own)
                {
                    let _ = column;
                    for line in &mut record.lines[list] {
                        if !rescale_value(&mut line.values[place], old, new) {
                            self.blame(
                                name,
                                complaint("invalid", "The amounts of the lines cannot be written in this currency."),
                            );
                        }
                    }
                    record.lines_changed = true;
                }
            }
        }
    }

    /// One list of lines: sent, it replaces the list.
    fn lines(&mut self, cx: &Cx<'_, '_>, record: &mut Record, list: usize, body: &Map<String, Json>) -> Result<()> {
        let definition = record.runtime.clone();
        let lines = &definition.lines[list];
        let Some(given) = member(body, &lines.name) else {
            if self.mode == Mode::Create && lines.lines.min > 0 {
                self.blame(&lines.name, required());
            }
            return Ok(());
        };
        let Json::Array(rows) = given else {
            self.blame(&lines.name, not_a_list(given));
            return Ok(());
        };
        if rows.len() < lines.lines.min {
            let message = format!("Ensure this field has at least {} elements.", lines.lines.min);
            self.blame(&lines.name, complaint("min_length", message));
        }
        if rows.len() > lines.lines.max {
            let message = format!("Ensure this field has no more than {} elements.", lines.lines.max);
            self.blame(&lines.name, complaint("max_length", message));
            return Ok(());
        }
        let mut before = std::mem::take(&mut record.lines[list]);
        let mut after = Vec::with_capacity(rows.len());
        for (index, row) in rows.iter().enumerate() {
            let name = |field: &str| format!("{}.{index}.{field}", lines.name);
            let Json::Object(row) = row else {
                self.blame(&format!("{}.{index}", lines.name), not_a_dictionary(row));
                continue;
            };
            let known = row.get("id").and_then(Json::as_str).and_then(|id| Uuid::parse_str(id).ok());
            let known_at = known.and_then(|id| before.iter().position(|line| line.id() == id));
            let (mut line, is_new) = match (row.get("id").filter(|id| !id.is_null()), known_at) {
                (None, _) => (Line::blank(definition.clone(), list, cx.new_id()), true),
                (Some(_), Some(at)) => (before.swap_remove(at), false),
                (Some(id), None) => {
                    let shown = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
                    let message = format!("Invalid pk \"{shown}\" - object does not exist.");
                    self.blame(&name("id"), complaint("does_not_exist", message));
                    continue;
                }
            };
            for (place, field) in lines.lines.fields.iter().enumerate().map(|(at, field)| (at + 1, field)) {
                let currency = match &field.kind {
                    Kind::Money { currency } if lines.places.contains_key(currency) => line.currency_in(currency),
                    Kind::Money { currency } => record.currency_in(currency),
                    _ => None,
                };
                let is_writable = self.by == By::Rule || (field.is_writable() && (is_new || !field.fixed));
                match row.get(&field.name).filter(|_| is_writable) {
                    Some(Json::Null) if field.allows_null() => line.values[place] = Value::Null,
                    Some(Json::Null) => self.blame(&name(&field.name), not_null()),
                    Some(given) => {
                        match parse(&field.kind, given, currency).and_then(|value| unblanked(field, value)) {
                            Ok(value) => {
                                self.note_links(&name(&field.name), &field.kind, &value);
                                line.values[place] = value;
                            }
                            Err(error) => self.blame(&name(&field.name), error),
                        }
                    }
                    None if is_new && field.required && is_writable => self.blame(&name(&field.name), required()),
                    None if is_new => line.values[place] = self.preset(cx, field, currency)?,
                    None => {}
                }
            }
            after.push(line);
        }
        record.lines[list] = after;
        record.lines_changed = true;
        Ok(())
    }

    /// A title must be there, or be made.
    fn title(&mut self, record: &mut Record, body: &Map<String, Json>) {
        let is_missing =
            self.mode == Mode::Put && !body.contains_key("title") && record.runtime.resource.titled == Titled::Required;
        if is_missing {
            return self.blame("title", required());
        }
        let is_blank = record.title().is_empty();
        if !is_blank || self.problem.fields().iter().any(|(name, _)| name == "title") {
            return;
        }
        match &record.runtime.resource.titled {
            Titled::Required if body.contains_key("title") => self.blame("title", not_blank()),
            Titled::Required => self.blame("title", required()),
            Titled::Optional => record.values[TITLE] = Value::from(""),
            Titled::From(fields) => {
                let words: Vec<String> =
                    fields.iter().filter_map(|name| record.text(name)).map(str::to_owned).collect();
                let title: String = words.join(" ").chars().take(TITLE_MAX).collect();
                record.values[TITLE] = Value::Text(title);
            }
        }
    }

    fn note_links(&mut self, blamed: &str, kind: &Kind, value: &Value) {
        match (kind, value) {
            (Kind::Reference { target }, Value::Uuid(id)) => {
                self.links.push((blamed.to_owned(), target.clone(), vec![*id]));
            }
            (Kind::References { target }, Value::Json(text)) => {
                let texts: Vec<String> = serde_json::from_str(text).unwrap_or_default();
                let ids = texts.iter().filter_map(|text| Uuid::parse_str(text).ok()).collect();
                self.links.push((blamed.to_owned(), target.clone(), ids));
            }
            (Kind::User, Value::Uuid(id)) => self.users.push((blamed.to_owned(), *id)),
            _ => {}
        }
    }

    /// Every id must be a record of this company that the caller may see; a rule names any.
    fn check_links(&mut self, cx: &mut Cx<'_, '_>) -> Result<()> {
        for (blamed, target, ids) in std::mem::take(&mut self.links) {
            if ids.is_empty() {
                continue;
            }
            let found = read::existing(cx.tx, runtime(cx.engine, &target)?, cx.tenant, &ids, self.by)?;
            for id in ids.into_iter().filter(|id| !found.contains(id)) {
                self.blame(&blamed, no_such_record(id));
            }
        }
        for (blamed, user) in std::mem::take(&mut self.users) {
            if !read::is_member(cx.tx, cx.tenant.company, user)? {
                self.blame(&blamed, no_such_record(user));
            }
        }
        Ok(())
    }
}

/// An empty text is a value of free texts only; an empty e-mail address is none at all.
fn unblanked(field: &Field, value: Value) -> Result<Value, FieldError> {
    let is_free = matches!(field.kind, Kind::Text { .. } | Kind::LongText);
    match is_blank(&value) {
        true if field.required || (!is_free && !field.allows_null()) => Err(not_blank()),
        true if !is_free => Ok(Value::Null),
        _ => Ok(value),
    }
}

fn currencies(record: &Record) -> Vec<(String, Option<Currency>)> {
    let fields = record.runtime.resource.fields.iter().filter(|field| field.kind == Kind::Currency);
    fields.map(|field| (field.name.clone(), record.currency_in(&field.name))).collect()
}

fn rescale_value(value: &mut Value, old: Currency, new: Currency) -> bool {
    let Value::Int(amount) = value else { return true };
    let (from, to) = (old.exponent(), new.exponent());
    let scaled = if to >= from {
        10i64.checked_pow(to - from).and_then(|factor| amount.checked_mul(factor))
    } else {
        let factor = 10i64.pow(from - to);
        (*amount % factor == 0).then_some(*amount / factor)
    };
    match scaled {
        Some(scaled) => {
            *amount = scaled;
            true
        }
        None => false,
    }
}
