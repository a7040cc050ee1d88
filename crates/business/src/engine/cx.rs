//! [`Cx`] and [`Viewer`]: what a rule is handed to act and to look. Everything a rule does through them stays in its company and in its
//! transaction; permissions were checked at the door and are not asked again here.

use std::sync::Arc;

use jiff::tz::TimeZone;
use loopd_kernel::{Kernel, Tenant, event};
use loopd_store::{Reader, Tx, Value};
use loopd_types::{CompanyId, Currency, Problem, Result, Timestamp, Uuid};
use serde_json::Value as Json;

use super::condition::Where;
use super::record::Record;
use super::registry::Registry;
use super::runtime::ResourceRuntime;
use super::{Engine, act, create, delete, read, save, update};

/// How deep rules may call rules: a circle of hooks is a mistake that must end before the stack does.
const MAX_DEPTH: u32 = 12;

/// A rule's view of its transaction.
pub struct Cx<'a, 'c> {
    /// For statements of the rule's own: `cx.tx.query("SELECT … WHERE company_id = $1 …", &params![cx.company()], …)`.
    pub tx: &'a mut Tx<'c>,
    pub engine: &'a Engine,
    /// Who acts, and in which company.
    pub tenant: &'a Arc<Tenant>,
    now: Timestamp,
    depth: u32,
}

/// A reading rule's view of one snapshot.
pub struct Viewer<'a, 'c> {
    pub reader: &'a mut Reader<'c>,
    pub engine: &'a Engine,
    pub tenant: &'a Arc<Tenant>,
    now: Timestamp,
}

impl<'a, 'c> Cx<'a, 'c> {
    /// Opens a view on a transaction of `tenant`'s company.
    pub fn new(tx: &'a mut Tx<'c>, engine: &'a Engine, tenant: &'a Arc<Tenant>) -> Self {
        let now = engine.kernel.now();
        Self { tx, engine, tenant, now, depth: 0 }
    }

    pub fn kernel(&self) -> &'a Arc<Kernel> {
        &self.engine.kernel
    }
    pub fn registry(&self) -> &'a Registry {
        &self.engine.registry
    }
    pub fn company(&self) -> CompanyId {
        self.tenant.company
    }
    /// The moment of the request; the same for everything the transaction does.
    pub fn now(&self) -> Timestamp {
        self.now
    }
    /// The company's calendar day.
    pub fn today(&self) -> jiff::civil::Date {
        day_of(self.now, self.tenant.timezone())
    }
    /// The company's own currency.
    pub fn currency(&self) -> Result<Currency> {
        company_currency(self.tenant)
    }
    /// Who acts; `None` for strangers at a public door and for the system.
    pub fn user(&self) -> Option<Uuid> {
        self.tenant.actor.user
    }
    /// A new id, for lines and rows of the rule's own.
    pub fn new_id(&self) -> Uuid {
        self.engine.kernel.new_id()
    }
    /// The table behind `module/resource`, for statements of the rule's own.
    ///
    /// # Errors
    /// 500 when there is no such resource.
    pub fn table(&self, path: &str) -> Result<&'a str> {
        Ok(&runtime(self.engine, path)?.table)
    }

    /// The living record, lines included.
    pub fn find(&mut self, path: &str, id: Uuid) -> Result<Option<Record>> {
        read::find(self.tx, runtime(self.engine, path)?, self.tenant.company, id, false)
    }
    /// As [`Cx::find`].
    ///
    /// # Errors
    /// 404 when there is none.
    pub fn get(&mut self, path: &str, id: Uuid) -> Result<Record> {
        self.find(path, id)?.ok_or_else(Problem::not_found)
    }
    /// As [`Cx::get`], and nobody else changes the record until this transaction ends. Lock what you read to decide on.
    pub fn lock(&mut self, path: &str, id: Uuid) -> Result<Record> {
        read::find(self.tx, runtime(self.engine, path)?, self.tenant.company, id, true)?.ok_or_else(Problem::not_found)
    }
    /// The records that match, lines not loaded; at most 1000 unless `limit` says otherwise.
    pub fn select(&mut self, path: &str, which: &Where) -> Result<Vec<Record>> {
        read::select(self.tx, runtime(self.engine, path)?, self.tenant.company, which)
    }
    pub fn count(&mut self, path: &str, which: &Where) -> Result<i64> {
        read::count(self.tx, runtime(self.engine, path)?, self.tenant.company, which)
    }
    /// The sum of a field over the records that match.
    pub fn sum(&mut self, path: &str, field: &str, which: &Where) -> Result<i64> {
        read::sum(self.tx, runtime(self.engine, path)?, self.tenant.company, field, which)
    }

    /// Makes a record from a body as a client would send it, with the same checks, hooks, audit and event. Read-only fields may be set too.
    pub fn create(&mut self, path: &str, body: &Json) -> Result<Record> {
        let runtime = runtime(self.engine, path)?.clone();
        self.deeper(|cx| create::create_by_rule(cx, &runtime, body))
    }
    /// Writes a record that a rule changed, with checks, history, audit and event as an update has. Read it with `get` or `lock` first.
    pub fn save(&mut self, record: &mut Record) -> Result<()> {
        self.deeper(|cx| save::save_changed(cx, record))
    }
    /// Changes a record by a body as a client would send it.
    pub fn update(&mut self, path: &str, id: Uuid, body: &Json) -> Result<Record> {
        let runtime = runtime(self.engine, path)?.clone();
        self.deeper(|cx| update::update_by_rule(cx, &runtime, id, body))
    }
    /// Runs a life-cycle action.
    pub fn act(&mut self, path: &str, id: Uuid, action: &str, input: &Json) -> Result<Record> {
        let runtime = runtime(self.engine, path)?.clone();
        self.deeper(|cx| act::act_by_rule(cx, &runtime, id, action, input))
    }
    /// Deletes a record as a client would.
    pub fn delete(&mut self, path: &str, id: Uuid) -> Result<()> {
        let runtime = runtime(self.engine, path)?.clone();
        self.deeper(|cx| delete::delete_by_rule(cx, &runtime, id))
    }
    /// Tells others a fact about a record, besides the events that writes emit by themselves.
    pub fn emit(&mut self, record: &Record, past_tense: &str, payload: &Json) -> Result<()> {
        let kind = record.runtime.event(past_tense);
        event::emit(self.tx, self.kernel(), self.tenant, &kind, &record.subject(), payload.to_string())?;
        Ok(())
    }

    fn deeper<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth >= MAX_DEPTH {
            return Err(Problem::internal("rules call each other in a circle"));
        }
        self.depth += 1;
        let answer = work(self);
        self.depth -= 1;
        answer
    }
}

impl<'a, 'c> Viewer<'a, 'c> {
    pub fn new(reader: &'a mut Reader<'c>, engine: &'a Engine, tenant: &'a Arc<Tenant>) -> Self {
        let now = engine.kernel.now();
        Self { reader, engine, tenant, now }
    }
    pub fn company(&self) -> CompanyId {
        self.tenant.company
    }
    pub fn now(&self) -> Timestamp {
        self.now
    }
    pub fn today(&self) -> jiff::civil::Date {
        day_of(self.now, self.tenant.timezone())
    }
    pub fn currency(&self) -> Result<Currency> {
        company_currency(self.tenant)
    }
    pub fn table(&self, path: &str) -> Result<&'a str> {
        Ok(&runtime(self.engine, path)?.table)
    }
    /// The living record, lines included, if this caller may see it.
    pub fn find(&mut self, path: &str, id: Uuid) -> Result<Option<Record>> {
        let found = read::find(self.reader, runtime(self.engine, path)?, self.tenant.company, id, false)?;
        read::found_by(self.reader, self.tenant, found)
    }
    /// # Errors
    /// 404 when there is none that this caller may see.
    pub fn get(&mut self, path: &str, id: Uuid) -> Result<Record> {
        self.find(path, id)?.ok_or_else(Problem::not_found)
    }
    /// The records that match, lines not loaded; at most 1000 unless `limit` says otherwise. The caller's limits to workspaces are not applied.
    pub fn select(&mut self, path: &str, which: &Where) -> Result<Vec<Record>> {
        read::select(self.reader, runtime(self.engine, path)?, self.tenant.company, which)
    }
    pub fn count(&mut self, path: &str, which: &Where) -> Result<i64> {
        read::count(self.reader, runtime(self.engine, path)?, self.tenant.company, which)
    }
    pub fn sum(&mut self, path: &str, field: &str, which: &Where) -> Result<i64> {
        read::sum(self.reader, runtime(self.engine, path)?, self.tenant.company, field, which)
    }
}

pub(crate) fn runtime<'e>(engine: &'e Engine, path: &str) -> Result<&'e Arc<ResourceRuntime>> {
    engine.registry.find(path).ok_or_else(|| Problem::internal(format!("there is no resource {path}")))
}

pub(crate) fn company_currency(tenant: &Tenant) -> Result<Currency> {
    let code = tenant.currency();
    Currency::parse(code).ok_or_else(|| Problem::internal(format!("the company's currency {code} is not known")))
}

/// The calendar day of a moment in a time zone; UTC's when the zone is not known.
pub(crate) fn day_of(moment: Timestamp, zone: &str) -> jiff::civil::Date {
    let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
    let moment = jiff::Timestamp::from_microsecond(moment.micros()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    moment.to_zoned(zone).date()
}

/// A default of a definition as a value.
pub(crate) fn preset_value(cx: &Cx<'_, '_>, field: &crate::define::Field, currency: Option<Currency>) -> Result<Value> {
    use crate::define::{Kind, Preset, parse::parse};
    Ok(match &field.default {
        None => Value::Null,
        Some(Preset::Value(Json::Null)) => Value::Null,
        Some(Preset::Value(value)) => parse(&field.kind, value, currency)
            .map_err(|error| Problem::internal(format!("the default of {}: {}", field.name, error.message)))?,
        Some(Preset::CompanyCurrency) => Value::from(cx.tenant.currency()),
        Some(Preset::CompanyTimezone) => Value::from(cx.tenant.timezone()),
        Some(Preset::CompanyLanguage) => Value::from(cx.tenant.language()),
        Some(Preset::Caller) => Value::from(cx.user()),
        Some(Preset::Now) if field.kind == Kind::Date => Value::from(cx.today().to_string()),
        Some(Preset::Now) => Value::from(cx.now()),
    })
}
