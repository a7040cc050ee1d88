//! A list's query becomes a [`ListRequest`]: conditions, order, page, what to show. Whatever nobody reads is refused.

use std::sync::Arc;

use loopd_kernel::Tenant;
use loopd_store::Value;
use loopd_types::{CompanyId, Currency, Problem, Result};
use loopd_web::query::descending;
use loopd_web::{PageRequest, Query};

use super::condition::{Deleted, Where};
use super::expand::may_expand;
use super::runtime::ResourceRuntime;
use crate::define::base::{
    COMPANY, CREATED_AT, CREATED_BY, DATA, DELETED_AT, DESCRIPTION, EXTERNAL_ID, FIRST_FIELD, ID, NUMBER, STATUS, TAGS,
    TITLE, UPDATED_AT, UPDATED_BY, VERSION, WORKSPACE,
};
use crate::define::filter::{Test, split, values};
use crate::define::{Kind, Stored};

/// Rows that a page may lie behind and still be read like any other.
const DEEP: u64 = 5_000;

/// What a list is asked for.
#[derive(Clone, Debug)]
pub struct ListRequest {
    pub(crate) which: Where,
    /// Place and whether descending; empty means the default order.
    pub(crate) order: Vec<(usize, bool)>,
    pub(crate) page: PageRequest,
    pub(crate) show: Show,
}

/// What of each record is shown.
#[derive(Clone, Debug, Default)]
pub struct Show {
    /// Places in the order in which they are written; the record's own order when `None`.
    pub(crate) places: Option<Vec<usize>>,
    /// Reference fields whose record is shown in place of its id.
    pub(crate) expand: Vec<usize>,
    pub(crate) lines: bool,
}

impl ListRequest {
    /// Reads a query. Amounts are compared in the first company's currency, bare days are days of its time zone.
    ///
    /// # Errors
    /// 400 on every parameter that is unknown or cannot be read; 403 when a record to be expanded may not be seen; 404 on no page number.
    pub fn read(
        query: &Query,
        runtime: &ResourceRuntime,
        engine: &super::Engine,
        tenants: &[Arc<Tenant>],
    ) -> Result<Self> {
        let tenant = tenants.first().ok_or_else(Problem::permission_denied)?;
        let page = query.page()?;
        let mut which = Where::new();
        let mut problem = Problem::validation();
        for (parameter, text) in query.pairs() {
            match parameter {
                "page" | "page_size" | "search" | "ordering" | "expand" | "fields" | "format" => {}
                "deleted" => match (loopd_web::query::parse_bool(text), text) {
                    (_, "all") => which = which.deleted(Deleted::Too),
                    (Some(true), _) => which = which.deleted(Deleted::Only),
                    (Some(false), _) => {}
                    (None, _) => problem.add_field("deleted", "invalid", "Must be a valid boolean."),
                },
                _ => match filter(runtime, tenant, parameter, text) {
                    Ok((name, Some(key), test, found)) => {
                        let _ = name;
                        which = which.data(&key, test, found);
                    }
                    Ok((name, None, test, found)) => which = which.test(&name, test, found),
                    Err((code, message)) => problem.add_field(parameter, code, message),
                },
            }
        }
        for term in query.search() {
            which = which.term(&runtime.resource.search, &term);
        }
        let show = Show::read(query, runtime, engine, tenants, &mut problem)?;
        if problem.has_fields() {
            return Err(problem);
        }
        if which.wants_deleted() != Deleted::Hidden {
            for tenant in tenants {
                tenant.require(&runtime.permissions.delete)?;
            }
        }
        Ok(Self { which, order: order(query, runtime), page, show })
    }

    /// Whether it is the newest living records, page by page, and nothing else: what counters and one index answer.
    pub(crate) fn is_plain(&self) -> bool {
        self.which.is_plain() && self.order.is_empty()
    }
    /// Whether it may take long and belongs where reads are limited in time: whatever no counter counts, and pages far behind.
    pub fn is_heavy(&self, runtime: &ResourceRuntime, tenants: &[Arc<Tenant>]) -> bool {
        let is_deep = match self.page.page {
            loopd_web::PageNumber::Number(page) => u64::from(page) * u64::from(self.page.size) > DEEP,
            loopd_web::PageNumber::Last => true,
        };
        is_deep || self.plain_company(runtime, tenants).is_none()
    }
    /// The company, when the list is all of its records and nothing else.
    pub(crate) fn plain_company(&self, runtime: &ResourceRuntime, tenants: &[Arc<Tenant>]) -> Option<CompanyId> {
        match tenants {
            [only] if self.is_plain() && runtime.audience.is_none() => {
                (only.workspace.is_none() && only.workspace_limit().is_none()).then_some(only.company)
            }
            _ => None,
        }
    }
}

impl Show {
    /// Reads `fields` and `expand`.
    pub(crate) fn read(
        query: &Query,
        runtime: &ResourceRuntime,
        engine: &super::Engine,
        tenants: &[Arc<Tenant>],
        problem: &mut Problem,
    ) -> Result<Self> {
        let mut show = Show::default();
        let is_lines = |name: &str| runtime.lines.iter().any(|lines| lines.name == name);
        let fields = query.list("fields");
        if !fields.is_empty() {
            let mut places = Vec::with_capacity(fields.len());
            for name in fields {
                match runtime.place(name) {
                    Some(place) if runtime.order.contains(&place) => places.push(place),
                    _ if is_lines(name) => show.lines = true,
                    _ => problem.add_field("fields", "invalid_choice", format!("\"{name}\" is not a valid choice.")),
                }
            }
            places.dedup();
            show.places = Some(places);
        }
        for name in query.list("expand") {
            let place = runtime.place(name);
            match place.and_then(|place| runtime.field_at(place)).map(|field| &field.kind) {
                Some(Kind::Reference { target }) => {
                    let target = super::cx::runtime(engine, target)?;
                    // refused when no company allows it; where only some do, the others' references stay ids
                    let mut asked = tenants.iter().map(|tenant| may_expand(engine, tenant, runtime, target));
                    if let Some(Err(problem)) = asked.next()
                        && !asked.any(|other| other.is_ok())
                    {
                        return Err(problem);
                    }
                    show.expand.extend(place);
                }
                _ if is_lines(name) => show.lines = true,
                _ => problem.add_field("expand", "invalid_choice", format!("\"{name}\" is not a valid choice.")),
            }
        }
        Ok(show)
    }

    /// As [`Show::read`], for one record: lines are always there, and nothing but these parameters is known.
    ///
    /// # Errors
    /// 400 on unknown parameters; 403 as for lists.
    pub fn read_one(
        query: &Query,
        runtime: &ResourceRuntime,
        engine: &super::Engine,
        tenant: &Arc<Tenant>,
    ) -> Result<Self> {
        let mut problem = Problem::validation();
        let mut show = Self::read(query, runtime, engine, std::slice::from_ref(tenant), &mut problem)?;
        for (parameter, _) in query.pairs() {
            if !["fields", "expand", "format"].contains(&parameter) {
                problem.add_field(parameter, "unknown_parameter", "Unknown query parameter.");
            }
        }
        if show.places.is_none() {
            show.lines = true;
        }
        if problem.has_fields() { Err(problem) } else { Ok(show) }
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.places.is_none() && self.expand.is_empty()
    }
}

/// Places of the base record that filters may name, each with its kind.
pub(crate) fn base_filters() -> [(usize, Kind); 14] {
    let words = |max| Kind::Text { max };
    [
        (ID, Kind::User),
        (WORKSPACE, Kind::User),
        (NUMBER, words(40)),
        (TITLE, words(255)),
        (DESCRIPTION, words(255)),
        (STATUS, Kind::Code),
        (TAGS, Kind::Tags),
        (EXTERNAL_ID, words(255)),
        (CREATED_BY, Kind::User),
        (UPDATED_BY, Kind::User),
        (CREATED_AT, Kind::DateTime),
        (UPDATED_AT, Kind::DateTime),
        (DELETED_AT, Kind::DateTime),
        (VERSION, Kind::Integer { min: 1, max: i64::MAX }),
    ]
}

type Filter = (String, Option<String>, Test, Vec<Value>);
type Complaint = (String, String);

fn filter(runtime: &ResourceRuntime, tenant: &Tenant, parameter: &str, text: &str) -> Result<Filter, Complaint> {
    let unknown = || (String::from("unknown_parameter"), String::from("Unknown query parameter."));
    let wrong = |error: loopd_types::FieldError| (error.code.into_owned(), error.message.into_owned());
    let (name, test) = split(parameter);
    let currency = Currency::parse(tenant.currency());
    if let Some(key) = name.strip_prefix("data__") {
        // the key is written into the statement, so only plain names are let in
        let is_plain =
            (1..=64).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        let kind = Kind::Text { max: 500 };
        if !is_plain || !matches!(test, Test::Equals | Test::In | Test::Contains | Test::IsNull) {
            return Err(unknown());
        }
        let found = values(&kind, test, text, None, "UTC").map_err(wrong)?;
        return Ok((name.to_owned(), Some(key.to_owned()), test, found));
    }
    let place = runtime.place(name).ok_or_else(unknown)?;
    let kind = match runtime.field_at(place) {
        Some(field) if field.filterable => field.kind.clone(),
        Some(_) => return Err(unknown()),
        None => match base_filters().into_iter().find(|(known, _)| *known == place) {
            Some((_, kind)) => kind,
            None => return Err(unknown()),
        },
    };
    if !test.fits(&kind) {
        return Err(unknown());
    }
    if place == STATUS && matches!(test, Test::Equals | Test::In) {
        let known = &runtime.resource.states;
        if let Some(other) = text.split(',').map(str::trim).find(|state| !known.iter().any(|k| k == state)) {
            return Err(wrong(crate::define::parse::not_a_choice(other)));
        }
    }
    let found = values(&kind, test, text, currency, tenant.timezone()).map_err(wrong)?;
    Ok((name.to_owned(), None, test, found))
}

/// Unknown fields are silently dropped, as DRF's ordering filter does; nothing valid means the default order.
fn order(query: &Query, runtime: &ResourceRuntime) -> Vec<(usize, bool)> {
    let mut order: Vec<(usize, bool)> = Vec::new();
    let read = |(name, descending): (&str, bool)| {
        let place = runtime.place(name).filter(|place| is_sortable(runtime, *place))?;
        // ids are made in the order of time, and have the index
        Some((if place == CREATED_AT { ID } else { place }, descending))
    };
    let mut asked: Vec<(usize, bool)> = query.ordering().filter_map(read).collect();
    if asked.is_empty() {
        asked.extend(runtime.resource.ordering.as_deref().map(descending).and_then(read));
    }
    for (place, descending) in asked {
        if !order.iter().any(|(known, _)| *known == place) {
            order.push((place, descending));
        }
    }
    if order == [(ID, true)] { Vec::new() } else { order }
}

pub(crate) fn is_sortable(runtime: &ResourceRuntime, place: usize) -> bool {
    let column = &runtime.columns[place];
    match place {
        COMPANY | DATA | TAGS => false,
        _ if place < FIRST_FIELD => true,
        _ => column.stored != Stored::Json && runtime.field_at(place).is_some_and(|field| field.filterable),
    }
}
