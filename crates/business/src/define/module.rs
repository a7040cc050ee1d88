//! [`Module`]: one product, `/api/v1/<slug>/`, as a plain value.

use std::sync::Arc;

use loopd_kernel::Tenant;
use loopd_store::ddl::TableDef;
use loopd_types::Result;
use serde_json::Value as Json;

use super::field::Field;
use super::resource::Resource;
use super::rule::{ReadFn, WriteFn};
use crate::engine::Record;

/// One product: its resources and whatever it does besides keeping records.
#[derive(Clone, Debug)]
pub struct Module {
    /// As in the address: `booking`.
    pub slug: String,
    /// For people: `Booking`.
    pub name: String,
    /// One or two sentences for the catalogue and the API reference.
    pub description: String,
    pub resources: Vec<Resource>,
    pub operations: Vec<Custom>,
    /// What a company may choose: the section `<slug>` of its settings. A boolean `public` closes the doors for strangers when it is false.
    pub settings: Vec<Field>,
    /// Tables that are no resource's: what belongs to the installation, or must be found before a company is known.
    pub tables: Option<TablesFn>,
    /// Rows of the installation itself that a start makes sure of. Runs at every start, so it must be repeatable.
    pub install: Option<InstallFn>,
}

/// A module's own tables; it is handed what names the table of a resource, `cms/sites`, for links to it.
pub type TablesFn = fn(&dyn Fn(&str) -> String) -> Vec<TableDef>;

/// Work of a module at every start.
pub type InstallFn = fn(crate::engine::Engine) -> std::pin::Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// An operation that is no record's: `GET /booking/availability/`.
#[derive(Clone, Debug)]
pub struct Custom {
    /// Last part of the operation's id, `availability` in `booking_availability`; letters, digits, `_`.
    pub name: String,
    pub method: Method,
    /// Behind `/api/v1/<module>/`, with a final slash and `{names}`: `availability/`, `public-verify/{code}/`.
    pub path: String,
    pub summary: String,
    pub help: String,
    /// The query of a GET, the body of a POST or PUT; checked before `run`. Names in the path are not repeated here.
    pub input: Vec<Field>,
    /// Whether several values of the body that are not declared are let through (`Input::json` sees them).
    pub open_input: bool,
    /// OpenAPI schema of the answer.
    pub answer: Json,
    /// Status of the answer.
    pub status: u16,
    pub access: CustomAccess,
    pub rate: Rate,
    /// Request headers that `run` reads itself, with what they hold.
    pub headers: Vec<(String, String)>,
    /// Whether pages of every origin may call it from a browser; for public operations only.
    pub any_origin: bool,
    pub run: Run,
    /// Whether it can begin on a record now; always, when `None`. What `GET …/{id}/actions/` tells of an operation on a record.
    pub ready: Option<ReadyFn>,
}

/// Whether an operation can begin on a record in this state, and the refusal that it would meet.
pub type ReadyFn = fn(&Tenant, &Record) -> Result<()>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Post,
    /// As POST; for callers who choose the method themselves.
    Put,
}

/// Who may call a custom operation.
#[derive(Clone, Debug, PartialEq)]
pub enum CustomAccess {
    /// Members with this permission, `<resource>.<verb>` behind the module's slug: `availability.view`.
    Permission(String),
    /// Anybody. With `{company}` in the path the company is that code's, otherwise there is none and `run` must be [`Run::Call`].
    Public,
}

/// Which rate limit counts the calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    Normal,
    Ai,
    Public,
}

/// What a custom operation does.
#[derive(Clone)]
pub enum Run {
    Read(ReadFn),
    Write(WriteFn),
    /// Whatever does not fit: outbound calls, raw bodies, other companies' rows.
    Call(CallFn),
}

/// A hand-written HTTP handler.
pub type CallFn = Arc<
    dyn Fn(
            crate::engine::Engine,
            loopd_web::Call,
        ) -> std::pin::Pin<Box<dyn Future<Output = Result<loopd_web::Reply>> + Send>>
        + Send
        + Sync,
>;

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Run::Read(_) => "Read",
            Run::Write(_) => "Write",
            Run::Call(_) => "Call",
        })
    }
}

impl Module {
    pub fn new(slug: &str, name: &str) -> Self {
        Self {
            slug: slug.to_owned(),
            name: name.to_owned(),
            description: String::new(),
            resources: Vec::new(),
            operations: Vec::new(),
            settings: Vec::new(),
            tables: None,
            install: None,
        }
    }
    /// Tables of the module's own, made and extended with those of its resources.
    pub fn tables(mut self, tables: TablesFn) -> Self {
        self.tables = Some(tables);
        self
    }
    /// Runs `work` at every start: `.install(|engine| Box::pin(install(engine)))`.
    pub fn install(mut self, work: InstallFn) -> Self {
        self.install = Some(work);
        self
    }
    pub fn description(mut self, words: &str) -> Self {
        self.description = words.to_owned();
        self
    }
    pub fn resource(mut self, resource: Resource) -> Self {
        self.resources.push(resource);
        self
    }
    pub fn operation(mut self, operation: Custom) -> Self {
        self.operations.push(operation);
        self
    }
    /// Declares one choice of a company's: `boolean("public").default(true)`. From the first on, the section is checked when it is written,
    /// and names that are not declared are refused.
    pub fn setting(mut self, field: Field) -> Self {
        self.settings.push(field);
        self
    }
    pub fn find_resource(&self, slug: &str) -> Option<&Resource> {
        self.resources.iter().find(|resource| resource.slug == slug)
    }
}

impl Custom {
    /// A `GET` that reads on one snapshot: `Custom::get("availability", "availability/", availability)`.
    pub fn get(name: &str, path: &str, run: ReadFn) -> Self {
        Self::new(name, Method::Get, path, Run::Read(run))
    }
    /// A `POST` that runs in one transaction.
    pub fn post(name: &str, path: &str, run: WriteFn) -> Self {
        Self::new(name, Method::Post, path, Run::Write(run))
    }
    /// Anything else.
    pub fn new(name: &str, method: Method, path: &str, run: Run) -> Self {
        let resource = path.split('/').next().unwrap_or_default();
        let verb = if method == Method::Get { "view" } else { "create" };
        Self {
            name: name.to_owned(),
            method,
            path: path.to_owned(),
            summary: String::new(),
            help: String::new(),
            input: Vec::new(),
            open_input: false,
            answer: serde_json::json!({"type": "object"}),
            status: 200,
            access: CustomAccess::Permission(format!("{resource}.{verb}")),
            rate: Rate::Normal,
            headers: Vec::new(),
            any_origin: false,
            run,
            ready: None,
        }
    }
    /// The verb of a `POST` on a record of `resource`: `initiate` of `payments/{id}/initiate/`.
    pub fn verb_on(&self, resource: &str) -> Option<&str> {
        let rest = self.path.strip_prefix(resource)?.strip_prefix("/{id}/")?.strip_suffix('/')?;
        (self.method == Method::Post && !rest.contains('/')).then_some(rest)
    }
    pub fn summary(mut self, words: &str) -> Self {
        self.summary = words.to_owned();
        self
    }
    pub fn help(mut self, words: &str) -> Self {
        self.help = words.to_owned();
        self
    }
    pub fn input(mut self, field: Field) -> Self {
        self.input.push(field);
        self
    }
    pub fn open_input(mut self) -> Self {
        self.open_input = true;
        self
    }
    pub fn answer(mut self, schema: Json) -> Self {
        self.answer = schema;
        self
    }
    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }
    /// `<resource>.<verb>` behind the module's slug, in place of the one that follows from path and method.
    pub fn permission(mut self, permission: &str) -> Self {
        self.access = CustomAccess::Permission(permission.to_owned());
        self
    }
    /// What `GET …/{id}/actions/` asks before it offers this; `run` must still refuse by itself.
    pub fn ready(mut self, ready: ReadyFn) -> Self {
        self.ready = Some(ready);
        self
    }
    pub fn public(mut self) -> Self {
        self.access = CustomAccess::Public;
        self.rate = Rate::Public;
        self
    }
    pub fn rate(mut self, rate: Rate) -> Self {
        self.rate = rate;
        self
    }
    /// Names a request header that the operation reads.
    pub fn header(mut self, name: &str, help: &str) -> Self {
        self.headers.push((name.to_owned(), help.to_owned()));
        self
    }
    /// Lets pages of every origin call it from a browser.
    pub fn any_origin(mut self) -> Self {
        self.any_origin = true;
        self
    }
}
