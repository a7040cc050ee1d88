//! [`Call`]: what a handler is given: who calls, in which company, with which parameters, query, headers and body.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::HeaderMap;
use http::header::HOST;
use http::request::Parts;
use loopd_kernel::{Caller, Kernel, Tenant};
use loopd_types::{Problem, Result, Uuid};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::idempotent::Key;
use crate::router::Params;
use crate::{Access, App, Ending, Operation, Phase, Query, Upload};

/// One call that the pipeline let through.
pub struct Call {
    pub kernel: Arc<Kernel>,
    pub caller: Caller,
    pub operation: Arc<Operation>,
    /// The raw body, within the operation's limit.
    pub body: Bytes,
    pub request_id: Arc<str>,
    pub(crate) parts: Arc<Parts>,
    pub(crate) base: Base,
    pub(crate) tenants: Vec<Arc<Tenant>>,
    pub(crate) is_union: bool,
    pub(crate) params: Params,
    pub(crate) query: Query,
    pub(crate) json: Value,
    pub(crate) key: Option<Key>,
    /// Behind a lock only because a `Call` is shared between threads by reference; nobody ever waits for it.
    pub(crate) upload: Mutex<Option<Upload>>,
    pub(crate) ending: Ending,
    /// What answers operations, for the one that leads to others.
    pub(crate) app: App,
}

/// What the base URL is made of, when somebody asks for it.
pub(crate) struct Base {
    /// `LOOP_BASE_URL` without a final slash.
    pub configured: Option<Arc<str>>,
    pub is_https: bool,
    /// Whether a proxy of ours may say by which host the client called.
    pub is_proxied: bool,
}

impl Call {
    /// The one company of this call.
    ///
    /// # Errors
    /// 400 `company_required` when a list over several companies asks for one; 500 when the operation declares no company.
    pub fn tenant(&self) -> Result<&Arc<Tenant>> {
        match self.tenants.as_slice() {
            [only] => Ok(only),
            [] => Err(Problem::internal(format!("{} asks for a company but declares none", self.operation.id))),
            _ => Err(Problem::invalid("company_required", "Name the company with the X-Company-ID header.")),
        }
    }

    /// All companies of this call: one, or the union of a list. Empty only for superusers of an installation without a company.
    ///
    /// # Errors
    /// 500 when the operation declares no company.
    pub fn scope(&self) -> Result<&[Arc<Tenant>]> {
        if !matches!(self.operation.access, Access::Tenant { .. } | Access::Union { .. }) {
            return Err(Problem::internal(format!("{} asks for companies but declares none", self.operation.id)));
        }
        Ok(&self.tenants)
    }

    /// Whether no company was named, so that the list covers all of the caller's.
    pub fn is_union(&self) -> bool {
        self.is_union
    }

    /// A path parameter, decoded; empty when the path has none of this name.
    pub fn param(&self, name: &str) -> &str {
        self.params.iter().find(|(known, _)| &**known == name).map_or("", |(_, value)| value)
    }

    /// The path parameter `name` as a UUID.
    ///
    /// # Errors
    /// 404 `not_found`: an id that cannot exist is not found.
    pub fn uuid(&self, name: &str) -> Result<Uuid> {
        Uuid::parse_str(self.param(name)).map_err(|_| Problem::not_found())
    }

    /// The path parameter `id` as a UUID.
    ///
    /// # Errors
    /// 404 `not_found`.
    pub fn id(&self) -> Result<Uuid> {
        self.uuid("id")
    }

    /// Whether the server was told to stop.
    pub fn is_stopping(&self) -> bool {
        self.ending.lifecycle().phase() > Phase::Serving
    }

    pub fn query(&self) -> &Query {
        &self.query
    }

    pub fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    /// The path of the URL, percent-encoded, as sent.
    pub fn path(&self) -> &str {
        self.parts.uri.path()
    }

    /// `https://host` without a final slash: `LOOP_BASE_URL`, else what the client called us by; only a trusted proxy may say that
    /// it was https, or another host.
    pub fn base_url(&self) -> Arc<str> {
        if let Some(configured) = &self.base.configured {
            return configured.clone();
        }
        let headers = &self.parts.headers;
        let forwarded = if self.base.is_proxied { headers.get("x-forwarded-host") } else { None };
        let host = forwarded
            .or_else(|| headers.get(HOST))
            .and_then(|value| value.to_str().ok())
            .or_else(|| self.parts.uri.authority().map(|authority| authority.as_str()))
            .map(str::trim)
            .filter(|host| is_host(host))
            .unwrap_or("localhost");
        let scheme = if self.base.is_https { "https" } else { "http" };
        format!("{scheme}://{host}").into()
    }

    /// A request header as text; `None` when it is absent or no visible ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().get(name).and_then(|value| value.to_str().ok())
    }

    /// The absolute URL of this call without its query: the base of pagination links.
    pub fn url(&self) -> String {
        format!("{}{}", self.base_url(), self.path())
    }

    /// The body, to be read as it comes; once, and only where the operation [streams it](Operation::streams_body).
    ///
    /// # Errors
    /// 500 when the operation does not stream its body, or it was taken before.
    pub fn upload(&self) -> Result<Upload> {
        let mut upload = self.upload.lock().unwrap_or_else(PoisonError::into_inner);
        upload.take().ok_or_else(|| Problem::internal(format!("{} has no body to stream", self.operation.id)))
    }

    /// Tells when the server stops: for producers of streams, which go on after the handler has answered.
    pub fn ending(&self) -> &Ending {
        &self.ending
    }

    /// Binds the call's `Idempotency-Key` to the content of a streamed body as well, which was not known before it was read.
    /// `digest` is a hash of it. Call it before `commit` or `claim`.
    pub fn bind_content(&mut self, digest: &str) {
        if let Some(key) = &mut self.key {
            key.bind(digest);
        }
    }

    /// The JSON body, an empty object when there is none (as DRF reads it).
    ///
    /// # Errors
    /// 415 `unsupported_media_type` when the operation's body is not JSON.
    pub fn json(&self) -> Result<Value> {
        self.json_ref().cloned()
    }

    /// As [`Call::json`], for whoever needs it once and for good.
    ///
    /// # Errors
    /// As [`Call::json`].
    pub fn take_json(&mut self) -> Result<Value> {
        self.json_ref()?;
        Ok(std::mem::take(&mut self.json))
    }

    /// As [`Call::json`], without a copy.
    ///
    /// # Errors
    /// As [`Call::json`].
    pub fn json_ref(&self) -> Result<&Value> {
        if self.json.is_null() && !self.body.is_empty() && !self.body.starts_with(b"null") {
            return Err(Problem::new(
                loopd_types::Kind::UnsupportedMediaType,
                "unsupported_media_type",
                "Send the body as application/json.",
            ));
        }
        Ok(&self.json)
    }

    /// The JSON body as an object's fields.
    ///
    /// # Errors
    /// 400 `validation_error` under `non_field_errors` when it is not an object, in DRF's words.
    pub fn json_object(&self) -> Result<&serde_json::Map<String, Value>> {
        let value = self.json_ref()?;
        value.as_object().ok_or_else(|| {
            let words = format!("Invalid data. Expected a dictionary, but got {}.", python_type(value));
            Problem::field(loopd_types::NON_FIELD, "invalid", words)
        })
    }

    /// The JSON body as a type of the caller's; for bodies that need no complaints field by field.
    ///
    /// # Errors
    /// 400 `validation_error` under `non_field_errors` with serde's words.
    pub fn json_as<T: DeserializeOwned>(&self) -> Result<T> {
        T::deserialize(self.json_ref()?)
            .map_err(|error| Problem::field(loopd_types::NON_FIELD, "invalid", format!("Invalid data. {error}.")))
    }

    /// An `application/x-www-form-urlencoded` body.
    ///
    /// # Errors
    /// 400 when it is not UTF-8.
    pub fn form(&self) -> Result<Query> {
        let text =
            std::str::from_utf8(&self.body).map_err(|_| crate::pipeline::parse_error("the form is not UTF-8"))?;
        Query::parse(Some(text))
    }
}

/// A host and optional port, and nothing that could break out of a link.
pub(crate) fn is_host(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 255
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte))
}

/// What DRF calls a JSON value in its messages: Python's name of the type.
pub fn python_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "NoneType",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    }
}
