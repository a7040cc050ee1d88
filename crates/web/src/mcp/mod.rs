//! `/mcp`: operations as tools for agents (Model Context Protocol, Streamable HTTP).
//!
//! A [`Tool`] is a view of an [`Operation`]: a name, a description and a schema that follow from it, and a call that is the operation's
//! own request, answered by the same edge. So who may do what, limits, idempotency and records are the same on both ways, and a surface
//! offers a tool by [`Operation::tool`] and nothing else.
//!
//! Nothing is remembered between two requests: any node answers any of them. That is what revision 2026-07-28 asks for; older clients
//! begin with `initialize` and are given no session, which their revisions allow. There is nothing that a server would say unasked, so
//! GET and DELETE are 405.

mod message;
mod perform;
mod tool;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::StatusCode;
use http::header::{ACCEPT, ORIGIN};
use loopd_kernel::access::Door;
use loopd_types::{Problem, Result};
use serde_json::{Map, Value, json};

use self::message::{Era, LEGACY, Message, Refusal, SERVER, answer, versions};
pub use self::tool::Tool;
use crate::{Access, Call, Content, Operation, Param, RateClass, Reply, ResponseDoc, pipeline, schema};

/// Tools that one answer lists.
const PAGE: usize = 50;
/// For the slowest operation behind a tool, whose own time is shorter.
const TIMEOUT: Duration = Duration::from_secs(120);
/// How long a client may believe in a list: a key's scopes change.
const LIST_TTL_MS: u64 = 60_000;
const DISCOVERY_TTL_MS: u64 = 3_600_000;
const INSTRUCTIONS: &str = "Each tool is one operation of this server's API: its arguments are the operation's parameters and the fields of its \
    body, its result is the operation's JSON answer. Tools are listed by what the credential may do. A repeated call with the same \
    `_meta[\"idempotency-key\"]` has no second effect.";

/// Every tool of this server, by name; described when somebody first asks.
type All = LazyLock<Vec<Arc<Tool>>, Box<dyn FnOnce() -> Vec<Arc<Tool>> + Send>>;

struct Tools {
    all: All,
    doors: &'static [&'static Door],
}

/// The operation at `/mcp` for those of `operations` that are tools. `components` is what their schemas refer to, `doors` whose keys open
/// them beside LOOP's own credentials.
pub fn operations(
    operations: &[Operation],
    components: impl FnOnce() -> BTreeMap<String, Value> + Send + 'static,
    doors: &'static [&'static Door],
) -> Vec<Operation> {
    let offered: Vec<Operation> = operations.iter().filter(|operation| operation.tool.is_some()).cloned().collect();
    let all: All = LazyLock::new(Box::new(move || {
        let components = components();
        let tools = offered.into_iter().filter_map(|operation| Tool::of(operation, &components));
        let mut all: Vec<Arc<Tool>> = tools.map(Arc::new).collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }));
    let tools = Arc::new(Tools { all, doors });
    let message = || schema::free_object();
    let post = Operation::post("mcp", "/mcp", move |call| respond(tools.clone(), call))
        .tag("mcp")
        .summary("Call tools")
        .access(Access::Any(doors))
        .rate(RateClass::Unlimited)
        .without_effect()
        .timeout(TIMEOUT)
        .param(Param::query("tools", schema::string()))
        .body(message())
        .response(
            ResponseDoc::json(200, "The answer.", message()).with(Content::of("text/event-stream", schema::string())),
        )
        .responds_empty(202, "The notification was heard.")
        .undocumented();
    vec![post]
}

async fn respond(tools: Arc<Tools>, mut call: Call) -> Result<Reply> {
    require_known_origin(&call)?;
    call.query().refuse_unknown(|name| name == "tools")?;
    let is_event = reads_only_events(&call);
    let message = match Message::read(call.take_json()?) {
        Ok(Some(message)) => message,
        Ok(None) => return accepted(),
        Err(refusal) => return answer(None, Err(refusal), is_event),
    };
    let outcome = match message.era(call.headers()) {
        Err(refusal) => Err(refusal),
        Ok(_) if message.id.is_none() => return accepted(),
        Ok(era) => tools.perform(era, &call, &message).await?,
    };
    answer(message.id, outcome, is_event)
}

fn accepted() -> Result<Reply> {
    Ok(Reply { status: StatusCode::ACCEPTED, ..Reply::no_content() })
}

fn reads_only_events(call: &Call) -> bool {
    let accept = call.header(ACCEPT.as_str()).unwrap_or_default();
    accept.contains("text/event-stream") && !accept.contains("application/") && !accept.contains("*/*")
}

/// A page of somebody else's must not reach a server in the network of whoever looks at it, by a name that it had resolved anew.
fn require_known_origin(call: &Call) -> Result<()> {
    let Some(origin) = call.headers().get(ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().unwrap_or_default();
    let settings = call.app.settings();
    let known = settings.allowed_origins.iter().any(|known| known == "*" || known.trim_end_matches('/') == origin);
    // By what was configured only: the name in the request is the one that was resolved anew.
    let is_own = settings.base_url.as_deref().is_some_and(|base| base.trim_end_matches('/') == origin);
    if known || is_own || is_loopback(origin) {
        return Ok(());
    }
    Err(Problem::forbidden(
        "origin_not_allowed",
        "Pages of this origin may not call tools here (LOOP_ALLOWED_ORIGINS).",
    ))
}

fn is_loopback(origin: &str) -> bool {
    let host = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")).unwrap_or_default();
    let port = |rest: &str| rest.is_empty() || rest.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
    ["localhost", "127.0.0.1", "[::1]"].iter().any(|name| host.strip_prefix(name).is_some_and(port))
}

impl Tools {
    /// # Errors
    /// Outside: what ends the whole call (429). Inside: what the protocol tells.
    async fn perform(&self, era: Era, call: &Call, message: &Message) -> Result<Result<Value, Refusal>> {
        if message.method != "tools/call" {
            // A tool's call is counted where it is carried out.
            pipeline::limit_any(call, self.doors).await?;
        }
        let mut outcome = match (message.method.as_str(), era) {
            ("initialize", Era::Legacy) => Ok(initialize(message)),
            ("ping", Era::Legacy) => Ok(json!({})),
            ("server/discover", Era::Modern) => Ok(discover()),
            ("tools/list", _) => self.list(era, call, message).await,
            ("tools/call", _) => self.call(era, call, message).await,
            (method, _) => Err(Refusal::unknown_method(era, method)),
        };
        if let (Ok(Value::Object(result)), Era::Modern) = (&mut outcome, era) {
            result.insert("resultType".to_owned(), "complete".into());
            let meta = result.entry("_meta").or_insert_with(|| json!({}));
            meta[SERVER] = server_info();
        }
        Ok(outcome)
    }

    async fn list(&self, era: Era, call: &Call, message: &Message) -> Result<Value, Refusal> {
        let after = match message.params.get("cursor") {
            None | Some(Value::Null) => String::new(),
            Some(cursor) => {
                let bytes = cursor.as_str().and_then(|text| BASE64_URL_SAFE_NO_PAD.decode(text).ok());
                let name = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
                name.ok_or_else(|| Refusal::invalid_params(era, "This is no cursor of ours."))?
            }
        };
        let mut page: Vec<&Tool> = Vec::with_capacity(PAGE + 1);
        for tool in self.all.iter().filter(|tool| *tool.name > *after && is_wanted(call, &tool.name)) {
            if pipeline::would_admit(call, &tool.operation).await {
                page.push(tool);
            }
            if page.len() > PAGE {
                break;
            }
        }
        let has_more = page.len() > PAGE;
        page.truncate(PAGE);
        let mut result = Map::new();
        result.insert("tools".to_owned(), page.iter().map(|tool| tool.definition.clone()).collect());
        if let (true, Some(last)) = (has_more, page.last()) {
            result.insert("nextCursor".to_owned(), BASE64_URL_SAFE_NO_PAD.encode(&*last.name).into());
        }
        if era == Era::Modern {
            result.insert("ttlMs".to_owned(), LIST_TTL_MS.into());
            result.insert("cacheScope".to_owned(), "private".into());
        }
        Ok(result.into())
    }

    async fn call(&self, era: Era, call: &Call, message: &Message) -> Result<Value, Refusal> {
        let name = message.params.get("name").and_then(Value::as_str).unwrap_or_default();
        let found = self.all.binary_search_by(|tool| (*tool.name).cmp(name)).ok().map(|at| &self.all[at]);
        let Some(tool) = found else { return Err(Refusal::invalid_params(era, format!("Unknown tool: {name}"))) };
        perform::perform(tool, call, self.doors, message).await
    }
}

/// Whether the URL's `?tools=` names it, or the beginning of its name before a `*`; without one all are wanted.
fn is_wanted(call: &Call, name: &str) -> bool {
    let wanted = call.query().list("tools");
    wanted.is_empty()
        || wanted.iter().any(|one| one.strip_suffix('*').map_or(*one == name, |begin| name.starts_with(begin)))
}

/// The revision that the client asks for, or our newest with this beginning.
fn initialize(message: &Message) -> Value {
    let wanted = message.params.get("protocolVersion").and_then(Value::as_str).unwrap_or_default();
    let version = LEGACY.into_iter().find(|known| *known == wanted).unwrap_or(LEGACY[0]);
    json!({
        "protocolVersion": version,
        "capabilities": {"tools": {}},
        "serverInfo": server_info(),
        "instructions": INSTRUCTIONS,
    })
}

fn discover() -> Value {
    json!({
        "supportedVersions": versions(),
        "capabilities": {"tools": {}},
        "instructions": INSTRUCTIONS,
        "ttlMs": DISCOVERY_TTL_MS,
        "cacheScope": "public",
    })
}

fn server_info() -> Value {
    json!({"name": "loopd", "title": "Loopd", "version": loopd_types::VERSION})
}

#[cfg(test)]
mod tests {
    use super::is_loopback;

    #[test]
    fn only_this_machine_is_a_loopback() {
        for origin in ["http://localhost", "http://localhost:6274", "https://127.0.0.1:8", "http://[::1]:80"] {
            assert!(is_loopback(origin), "{origin}");
        }
        for origin in [
            "null",
            "",
            "http://localhost.evil.com",
            "http://127.0.0.1.nip.io",
            "file://localhost",
            "http://localhost:x",
        ] {
            assert!(!is_loopback(origin), "{origin}");
        }
    }
}
