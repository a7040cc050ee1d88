//! [`Problem`]: the one refusal. Inside there is this type only; dialects are rendered at the edge (`web::edge`).

use std::borrow::Cow;
use std::fmt;

use serde_json::{Map, Value};

/// The result of everything that can be refused.
pub type Result<T, E = Problem> = std::result::Result<T, E>;

/// What the reader of a refusal should do next. Few on purpose; codes are many and cheap.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// 400: change the request.
    Invalid,
    /// 401: sign in, or send another credential.
    Unauthenticated,
    /// 402: pay or activate a licence.
    PaymentRequired,
    /// 403: ask somebody for the right.
    Forbidden,
    /// 404
    NotFound,
    /// 405, with `Allow`.
    MethodNotAllowed,
    /// 406
    NotAcceptable,
    /// 409: look at the present state, then decide.
    Conflict,
    /// 410
    Gone,
    /// 412: read again, then write.
    PreconditionFailed,
    /// 413
    TooLarge,
    /// 415
    UnsupportedMediaType,
    /// 416
    RangeNotSatisfiable,
    /// 460 (tus 1.0): what came is not what was sent; send it again.
    ChecksumMismatch,
    /// 429: wait as `Retry-After` says.
    TooMany,
    /// 500: our fault; quote the request id.
    Internal,
    /// 502: somebody we depend on answered badly.
    BadGateway,
    /// 503: try again later; nothing was written.
    Unavailable,
    /// 504: took too long.
    Timeout,
    /// 507: no room; nothing was written.
    InsufficientStorage,
}

impl Kind {
    pub const ALL: [Kind; 20] = [
        Kind::Invalid,
        Kind::Unauthenticated,
        Kind::PaymentRequired,
        Kind::Forbidden,
        Kind::NotFound,
        Kind::MethodNotAllowed,
        Kind::NotAcceptable,
        Kind::Conflict,
        Kind::Gone,
        Kind::PreconditionFailed,
        Kind::TooLarge,
        Kind::UnsupportedMediaType,
        Kind::RangeNotSatisfiable,
        Kind::ChecksumMismatch,
        Kind::TooMany,
        Kind::Internal,
        Kind::BadGateway,
        Kind::Unavailable,
        Kind::Timeout,
        Kind::InsufficientStorage,
    ];

    /// The HTTP status that every dialect uses for this kind.
    pub const fn status(self) -> u16 {
        match self {
            Kind::Invalid => 400,
            Kind::Unauthenticated => 401,
            Kind::PaymentRequired => 402,
            Kind::Forbidden => 403,
            Kind::NotFound => 404,
            Kind::MethodNotAllowed => 405,
            Kind::NotAcceptable => 406,
            Kind::Conflict => 409,
            Kind::Gone => 410,
            Kind::PreconditionFailed => 412,
            Kind::TooLarge => 413,
            Kind::UnsupportedMediaType => 415,
            Kind::RangeNotSatisfiable => 416,
            Kind::ChecksumMismatch => 460,
            Kind::TooMany => 429,
            Kind::Internal => 500,
            Kind::BadGateway => 502,
            Kind::Unavailable => 503,
            Kind::Timeout => 504,
            Kind::InsufficientStorage => 507,
        }
    }
}

/// One complaint about one field: a stable code and a sentence (spec/loop.md 4.6).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FieldError {
    pub code: Cow<'static, str>,
    pub message: Cow<'static, str>,
}

/// A refusal with two audiences: `message` and details for the client, `cause` for the log only.
///
/// `Display` shows the client's half, so that the private cause cannot leak by accident.
#[derive(Clone, Debug)]
pub struct Problem(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    kind: Kind,
    code: Cow<'static, str>,
    message: Cow<'static, str>,
    fields: Vec<(String, Vec<FieldError>)>,
    extra: Map<String, Value>,
    headers: Vec<(&'static str, String)>,
    cause: Option<String>,
    needed: Option<String>,
}

/// Errors on no single field stand under this name.
pub const NON_FIELD: &str = "non_field_errors";

impl Problem {
    pub fn new(kind: Kind, code: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            code: code.into(),
            message: message.into(),
            fields: Vec::new(),
            extra: Map::new(),
            headers: Vec::new(),
            cause: None,
            needed: None,
        }))
    }

    /// 400 `code`: the request as a whole is wrong.
    pub fn invalid(code: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Invalid, code, message)
    }
    /// 400 `validation_error` without complaints yet; add them with [`Problem::with_field`].
    pub fn validation() -> Self {
        Self::new(Kind::Invalid, "validation_error", "Some fields are not valid.")
    }
    /// 400 `validation_error` with one complaint.
    pub fn field(
        name: impl Into<String>,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::validation().with_field(name, code, message)
    }
    pub fn not_authenticated() -> Self {
        Self::new(Kind::Unauthenticated, "not_authenticated", "Authentication credentials were not provided.")
    }
    pub fn unauthenticated(code: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Unauthenticated, code, message)
    }
    pub fn forbidden(code: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Forbidden, code, message)
    }
    /// 403 `permission_denied`.
    pub fn permission_denied() -> Self {
        Self::forbidden("permission_denied", "You do not have permission to perform this action.")
    }
    /// 404 `not_found`.
    pub fn not_found() -> Self {
        Self::new(Kind::NotFound, "not_found", "Not found.")
    }
    pub fn conflict(code: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Conflict, code, message)
    }
    /// 503 `unavailable`: nothing was written; the client may repeat the call.
    pub fn unavailable(cause: impl fmt::Display) -> Self {
        Self::new(
            Kind::Unavailable,
            "unavailable",
            "The service is temporarily unavailable. Nothing was changed; please try again.",
        )
        .with_header("Retry-After", "1")
        .with_cause(cause)
    }
    /// 500 `server_error`.
    pub fn internal(cause: impl fmt::Display) -> Self {
        Self::new(Kind::Internal, "server_error", "A server error occurred.").with_cause(cause)
    }

    /// Adds a complaint about a field.
    pub fn with_field(
        mut self,
        name: impl Into<String>,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        self.add_field(name, code, message);
        self
    }
    pub fn add_field(
        &mut self,
        name: impl Into<String>,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
    ) {
        let (name, error) = (name.into(), FieldError { code: code.into(), message: message.into() });
        match self.0.fields.iter_mut().find(|(known, _)| *known == name) {
            Some((_, errors)) => errors.push(error),
            None => self.0.fields.push((name, vec![error])),
        }
    }
    /// Says of every complaint that its field stands below `place`: `qty` of `lines.2` is `lines.2.qty`.
    pub fn within(mut self, place: &str) -> Self {
        for (name, _) in &mut self.0.fields {
            *name = format!("{place}.{name}");
        }
        self
    }
    /// Adds a machine-readable detail that is no field's complaint (`{"from": …, "allowed": […]}`).
    pub fn with_extra(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.0.extra.insert(key.to_owned(), value.into());
        self
    }
    /// Adds a response header (`Retry-After`, `Allow`, `WWW-Authenticate`).
    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.0.headers.push((name, value.into()));
        self
    }
    /// Adds what only the log may see.
    pub fn with_cause(mut self, cause: impl fmt::Display) -> Self {
        self.0.cause = Some(cause.to_string());
        self
    }

    /// Adds the permission that was missing: for the company's own administrators, who find it in the audit log, and not for the client.
    pub fn with_needed(mut self, permission: &str) -> Self {
        self.0.needed = Some(permission.to_owned());
        self
    }

    pub fn kind(&self) -> Kind {
        self.0.kind
    }
    pub fn status(&self) -> u16 {
        self.0.kind.status()
    }
    pub fn code(&self) -> &str {
        &self.0.code
    }
    pub fn message(&self) -> &str {
        &self.0.message
    }
    pub fn fields(&self) -> &[(String, Vec<FieldError>)] {
        &self.0.fields
    }
    pub fn extra(&self) -> &Map<String, Value> {
        &self.0.extra
    }
    pub fn headers(&self) -> &[(&'static str, String)] {
        &self.0.headers
    }
    pub fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }
    /// The permission that was missing.
    pub fn needed(&self) -> Option<&str> {
        self.0.needed.as_deref()
    }
    /// Whether any field complaint was added.
    pub fn has_fields(&self) -> bool {
        !self.0.fields.is_empty()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.status(), self.code(), self.message())
    }
}

impl std::error::Error for Problem {}
