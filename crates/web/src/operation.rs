//! [`Operation`]: one HTTP operation as a value. Routing, the pipeline, rate class, idempotency, OpenAPI and coverage tests
//! all read it, so that what is documented is what happens.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::Method;
use loopd_kernel::access::Door;
use loopd_kernel::{Kernel, Tenant, credential};
use loopd_types::{Problem, Result};
use serde_json::Value;

use crate::{Call, Reply};

/// Largest body in bytes when an operation says nothing else.
pub const DEFAULT_BODY_LIMIT: usize = 1024 * 1024;

/// What an operation runs after the pipeline let the call through.
pub type Handler = Arc<dyn Fn(Call) -> BoxFuture<'static, Result<Reply>> + Send + Sync>;

/// What may still refuse a caller who was let into a company, before the body is read: a licence that is over. It is given the host
/// that the call came by.
pub type Gate = Arc<dyn Fn(Arc<Kernel>, Arc<Tenant>, Option<String>) -> BoxFuture<'static, Result<()>> + Send + Sync>;

/// One declared operation of a surface.
#[derive(Clone)]
pub struct Operation {
    /// Unique over all surfaces: `booking_appointments_list`.
    pub id: String,
    pub method: Method,
    /// `/api/v1/booking/appointments/{id}/`; a last `{*rest}` takes the whole rest. Registered with and without the final slash.
    pub path: String,
    pub tag: String,
    pub summary: String,
    pub description: String,
    pub access: Access,
    pub rate: RateClass,
    /// A second permission that also opens the door (a routine action is open to who may update).
    pub or_permission: Option<Arc<str>>,
    /// Whether members of a suspended company may call it (to lift the suspension).
    pub allow_suspended: bool,
    /// Whether it touches what is a person's own (credentials, factors, password): refused to an operator in their name, and to a
    /// session that only one company's provider vouched for.
    pub personal: bool,
    /// Path parameters that are not listed are added: `id` and `*_id` as UUIDs, others as strings.
    /// Shared, as `request` and `responses` are: copies of an operation stand in the router, in the pages' index and among the tools.
    pub params: Arc<Vec<Param>>,
    pub request: Option<Arc<RequestBody>>,
    /// The successes and the refusals that are special to this operation; those that follow from access, rate and
    /// parameters are added by the OpenAPI assembly.
    pub responses: Arc<Vec<ResponseDoc>>,
    /// Whether it stands in the OpenAPI document.
    pub documented: bool,
    /// What agents call it by, where it is offered to them ([`crate::mcp`]).
    pub tool: Option<Arc<str>>,
    /// Whose keys' holders see the tool of a public operation in their list.
    pub tool_door: Option<&'static Door>,
    /// Bytes; a longer body is 413 before it is read to its end.
    pub max_body_bytes: usize,
    /// The body is not read before the handler runs; the handler reads it as it comes ([`Call::upload`]).
    pub streamed: Option<Streamed>,
    /// Instead of the server's own request timeout.
    pub timeout: Option<Duration>,
    /// Whether an unsafe method has an effect to be remembered for its `Idempotency-Key`. False for searches by POST.
    pub has_effect: bool,
    /// Whether pages of every origin may call it from a browser: only for public operations, which read no credentials of ours.
    pub any_origin: bool,
    /// What is added to its refusals, for clients that read a shape of its own.
    pub dressed: Option<fn(Problem) -> Problem>,
    pub gate: Option<Gate>,
    pub handler: Handler,
}

/// Who may call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Access {
    /// Everybody. Credentials and tenant headers are not even read.
    Public,
    /// Any principal, no company.
    Authenticated,
    /// One company, whose member (or key) holds the permission, and which has the product if one is named.
    Tenant {
        product: Option<Arc<str>>,
        permission: Arc<str>,
    },
    /// A list: the header's company, or all companies of the caller.
    Union {
        product: Option<Arc<str>>,
        permission: Arc<str>,
    },
    Superuser,
    /// The holder of a key of a surface's own.
    Key(Keyed),
    /// Any principal of LOOP's, and the holder of any key of these surfaces: for what leads to operations that say more.
    Any(&'static [&'static Door]),
}

/// Which keys of a surface open an operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Keyed {
    pub door: &'static Door,
    /// Kinds that may call; among those of the door.
    pub kinds: &'static [credential::Kind],
    /// What the key must have been given.
    pub scope: Option<&'static str>,
    /// Whether the key is enough by itself: its company is not entered, and what became of its subscription does not matter.
    pub is_alone: bool,
}

/// Which budget a call counts against (spec/loop.md 5.11).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RateClass {
    /// 10 a minute and address: register, login, refresh.
    Auth,
    /// 60 a minute and address.
    Anonymous,
    /// 60 a minute and address, counted apart from the other anonymous calls.
    PublicVerify,
    /// 600 a minute and user, 1200 a minute and key.
    Caller,
    /// As `Caller`, and 20 a minute and company.
    Ai,
    /// Not counted: health, metrics, assets.
    Unlimited,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    Path,
    Query,
    Header,
}

impl Place {
    pub const fn as_str(self) -> &'static str {
        match self {
            Place::Path => "path",
            Place::Query => "query",
            Place::Header => "header",
        }
    }
}

/// A declared parameter.
#[derive(Clone, Debug)]
pub struct Param {
    pub name: String,
    pub place: Place,
    pub required: bool,
    /// JSON Schema (`schema::*`).
    pub schema: Value,
    pub description: String,
}

/// One representation of a body.
#[derive(Clone, Debug)]
pub struct Content {
    /// `application/json`; a request may also declare `*/*` for bytes of any kind.
    pub content_type: String,
    pub schema: Value,
    pub example: Option<Value>,
}

/// How a body that is read as it comes is bounded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Streamed {
    /// A longer body is 413, at the latest when its first byte too many comes.
    pub max_bytes: u64,
    /// How long the client may be silent within it. The request's own deadline counts from the last byte that came.
    pub idle: Duration,
}

#[derive(Clone, Default, Debug)]
pub struct RequestBody {
    pub required: bool,
    pub content: Vec<Content>,
}

#[derive(Clone, Debug)]
pub struct ResponseDoc {
    pub status: u16,
    pub description: String,
    /// Empty for answers without a body.
    pub content: Vec<Content>,
    /// Names of response headers worth telling about, with what they hold.
    pub headers: Vec<(String, String)>,
}

impl Param {
    pub fn path(name: impl Into<String>, schema: Value) -> Self {
        Self { name: name.into(), place: Place::Path, required: true, schema, description: String::new() }
    }
    pub fn query(name: impl Into<String>, schema: Value) -> Self {
        Self { name: name.into(), place: Place::Query, required: false, schema, description: String::new() }
    }
    pub fn header(name: impl Into<String>, schema: Value) -> Self {
        Self { name: name.into(), place: Place::Header, required: false, schema, description: String::new() }
    }
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }
    pub fn describe(mut self, text: impl Into<String>) -> Self {
        self.description = text.into();
        self
    }
}

impl Content {
    pub fn json(schema: Value) -> Self {
        Self::of("application/json", schema)
    }
    pub fn of(content_type: impl Into<String>, schema: Value) -> Self {
        Self { content_type: content_type.into(), schema, example: None }
    }
    pub fn example(mut self, example: Value) -> Self {
        self.example = Some(example);
        self
    }
}

impl ResponseDoc {
    pub fn empty(status: u16, description: impl Into<String>) -> Self {
        Self { status, description: description.into(), content: Vec::new(), headers: Vec::new() }
    }
    pub fn json(status: u16, description: impl Into<String>, schema: Value) -> Self {
        Self::empty(status, description).with(Content::json(schema))
    }
    pub fn with(mut self, content: Content) -> Self {
        self.content.push(content);
        self
    }
    pub fn header(mut self, name: impl Into<String>, description: impl Into<String>) -> Self {
        self.headers.push((name.into(), description.into()));
        self
    }
}

impl Operation {
    /// A public operation without a handler's documents; narrow it with [`Operation::tenant`] and its siblings.
    pub fn new<F, R>(method: Method, id: impl Into<String>, path: impl Into<String>, handler: F) -> Self
    where
        F: Fn(Call) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Reply>> + Send + 'static,
    {
        Self {
            id: id.into(),
            has_effect: !method.is_safe(),
            method,
            path: path.into(),
            tag: String::new(),
            summary: String::new(),
            description: String::new(),
            access: Access::Public,
            rate: RateClass::Anonymous,
            or_permission: None,
            allow_suspended: false,
            personal: false,
            params: Arc::default(),
            request: None,
            responses: Arc::default(),
            documented: true,
            tool: None,
            tool_door: None,
            max_body_bytes: DEFAULT_BODY_LIMIT,
            streamed: None,
            timeout: None,
            any_origin: false,
            dressed: None,
            gate: None,
            handler: Arc::new(move |call| handler(call).boxed()),
        }
    }
    pub fn get<F, R>(id: impl Into<String>, path: impl Into<String>, handler: F) -> Self
    where
        F: Fn(Call) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Reply>> + Send + 'static,
    {
        Self::new(Method::GET, id, path, handler)
    }
    pub fn post<F, R>(id: impl Into<String>, path: impl Into<String>, handler: F) -> Self
    where
        F: Fn(Call) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Reply>> + Send + 'static,
    {
        Self::new(Method::POST, id, path, handler)
    }
    pub fn put<F, R>(id: impl Into<String>, path: impl Into<String>, handler: F) -> Self
    where
        F: Fn(Call) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Reply>> + Send + 'static,
    {
        Self::new(Method::PUT, id, path, handler)
    }
    pub fn patch<F, R>(id: impl Into<String>, path: impl Into<String>, handler: F) -> Self
    where
        F: Fn(Call) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Reply>> + Send + 'static,
    {
        Self::new(Method::PATCH, id, path, handler)
    }
    pub fn delete<F, R>(id: impl Into<String>, path: impl Into<String>, handler: F) -> Self
    where
        F: Fn(Call) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Reply>> + Send + 'static,
    {
        Self::new(Method::DELETE, id, path, handler)
    }

    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tag = tag.into();
        self
    }
    pub fn summary(mut self, text: impl Into<String>) -> Self {
        self.summary = text.into();
        self
    }
    pub fn describe(mut self, text: impl Into<String>) -> Self {
        self.description = text.into();
        self
    }
    /// Any principal; counts against the caller's budget.
    pub fn authenticated(self) -> Self {
        self.access(Access::Authenticated)
    }
    /// One company, with `permission` and, if named, `product`.
    pub fn tenant(self, product: Option<&str>, permission: &str) -> Self {
        self.access(Access::Tenant { product: product.map(Into::into), permission: permission.into() })
    }
    /// A list over the caller's companies, with `permission` and, if named, `product`.
    pub fn union(self, product: Option<&str>, permission: &str) -> Self {
        self.access(Access::Union { product: product.map(Into::into), permission: permission.into() })
    }
    pub fn superuser(self) -> Self {
        self.access(Access::Superuser)
    }
    /// A key of these kinds, with `scope` if one is named.
    pub fn keyed(self, door: &'static Door, kinds: &'static [credential::Kind], scope: Option<&'static str>) -> Self {
        self.access(Access::Key(Keyed { door, kinds, scope, is_alone: false }))
    }
    /// Any key of these kinds that is valid, whatever became of its company's subscription.
    pub fn keyed_alone(self, door: &'static Door, kinds: &'static [credential::Kind]) -> Self {
        self.access(Access::Key(Keyed { door, kinds, scope: None, is_alone: true }))
    }
    /// Sets access; everything but `Public` counts against the caller's budget from here on.
    pub fn access(mut self, access: Access) -> Self {
        if access != Access::Public && self.rate == RateClass::Anonymous {
            self.rate = RateClass::Caller;
        }
        self.access = access;
        self
    }
    pub fn rate(mut self, rate: RateClass) -> Self {
        self.rate = rate;
        self
    }
    pub fn or_permission(mut self, permission: &str) -> Self {
        self.or_permission = Some(permission.into());
        self
    }
    /// Lets pages of every origin call it.
    pub fn any_origin(mut self) -> Self {
        self.any_origin = true;
        self
    }
    pub fn allow_suspended(mut self) -> Self {
        self.allow_suspended = true;
        self
    }
    /// For the person alone.
    pub fn personal(mut self) -> Self {
        self.personal = true;
        self
    }
    pub fn param(mut self, param: Param) -> Self {
        Arc::make_mut(&mut self.params).push(param);
        self
    }
    pub fn params(mut self, params: impl IntoIterator<Item = Param>) -> Self {
        Arc::make_mut(&mut self.params).extend(params);
        self
    }
    /// A required JSON body.
    pub fn body(self, schema: Value) -> Self {
        self.accepts(true, Content::json(schema))
    }
    /// A JSON body that may be absent.
    pub fn optional_body(self, schema: Value) -> Self {
        self.accepts(false, Content::json(schema))
    }
    /// One more representation of the request body.
    pub fn accepts(mut self, required: bool, content: Content) -> Self {
        let request = Arc::make_mut(self.request.get_or_insert_default());
        request.required = required;
        request.content.push(content);
        self
    }
    /// A JSON answer.
    pub fn responds(self, status: u16, description: impl Into<String>, schema: Value) -> Self {
        self.response(ResponseDoc::json(status, description, schema))
    }
    /// An answer without a body.
    pub fn responds_empty(self, status: u16, description: impl Into<String>) -> Self {
        self.response(ResponseDoc::empty(status, description))
    }
    pub fn response(mut self, response: ResponseDoc) -> Self {
        Arc::make_mut(&mut self.responses).push(response);
        self
    }
    pub fn undocumented(mut self) -> Self {
        self.documented = false;
        self
    }
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body_bytes = bytes;
        self
    }
    /// Hands the body to the handler as it comes, after the caller was admitted: for what is too large to be held in memory.
    pub fn streams_body(mut self, max_bytes: u64, idle: Duration) -> Self {
        self.streamed = Some(Streamed { max_bytes, idle });
        self
    }
    /// Adds to every refusal of this operation, the edge's own included.
    pub fn dressed(mut self, dress: fn(Problem) -> Problem) -> Self {
        self.dressed = Some(dress);
        self
    }
    /// Asks `gate` of every caller who was let into their company.
    pub fn gated(mut self, gate: Gate) -> Self {
        self.gate = Some(gate);
        self
    }
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
    /// Offers it to agents as a tool of this name, over its JSON body: 1 to 128 letters, digits, `.`, `_`, `-`.
    pub fn tool(mut self, name: impl Into<Arc<str>>) -> Self {
        self.tool = Some(name.into());
        self
    }
    /// As [`Operation::tool`], for a public operation: everybody may call it, and holders of this surface's keys see it in their list, since
    /// each tool costs a model some of its attention.
    pub fn tool_at(mut self, door: &'static Door, name: impl Into<Arc<str>>) -> Self {
        self.tool_door = Some(door);
        self.tool(name)
    }
    /// A search or check by POST: nothing to remember for an `Idempotency-Key`.
    pub fn without_effect(mut self) -> Self {
        self.has_effect = false;
        self
    }

    /// The names between braces in the path, in order.
    pub fn path_names(&self) -> impl Iterator<Item = &str> {
        self.path.split('{').skip(1).filter_map(|part| part.split('}').next()).map(|name| name.trim_start_matches('*'))
    }

    /// The declared path parameter, if it is declared.
    pub fn path_param(&self, name: &str) -> Option<&Param> {
        self.params.iter().find(|param| param.place == Place::Path && param.name == name)
    }

    /// Whether the path parameter `name` must be a UUID: declared so, or undeclared and named like an id.
    pub fn is_uuid_param(&self, name: &str) -> bool {
        match self.path_param(name) {
            Some(param) => param.schema.get("format").and_then(Value::as_str) == Some("uuid"),
            None => name == "id" || name.ends_with("_id"),
        }
    }

    /// The content types of its successful answers; JSON when none is documented.
    pub fn produces(&self) -> Vec<&str> {
        let mut types: Vec<&str> = Vec::new();
        for response in self.responses.iter().filter(|response| response.status < 300) {
            for content in &response.content {
                let essence = content.content_type.split(';').next().unwrap_or("").trim();
                if !types.contains(&essence) {
                    types.push(essence);
                }
            }
        }
        if types.is_empty() {
            types.push("application/json");
        }
        types
    }
}

impl std::fmt::Debug for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.id, self.method, self.path)
    }
}
