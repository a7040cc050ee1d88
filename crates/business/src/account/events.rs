//! `/platform-events/`: a company's event log, read by cursor or followed as a stream.

use std::convert::Infallible;

use futures_util::stream;
use loopd_kernel::event::filter::Filter;
use loopd_kernel::event::log::{self, Query};
use loopd_kernel::event::stream::{Credentials, Follower, Opening};
use loopd_types::{Problem, Result};
use loopd_web::{Call, Content, Operation, Param, Reply, ResponseDoc, Schema as _, schema};
use serde_json::Value;

use super::wire;

const URL: &str = "/api/v1/platform-events/";
const TAG: &str = "platform-events";
/// The component's name.
pub(super) const COMPONENT: &str = "PlatformEvent";

pub fn operations() -> Vec<Operation> {
    vec![
        Operation::get("platform_events_list", URL, list)
            .tag(TAG)
            .summary("Read the event log")
            .describe(
                "Everything that happened in the company, in the order in which it was committed, as far as you may see the records \
                 behind it. Ask again with `after` set to the `cursor` of the last answer: nothing is skipped and nothing comes twice.",
            )
            .tenant(None, log::VIEW)
            .params(filters())
            .param(after("Only events after this position; from the oldest that is kept unless given."))
            .param(Param::query("before", schema::integer_between(1, i64::MAX)).describe("With `ordering=-position`: only events before this position."))
            .param(Param::query("ordering", schema::one_of(["position", "-position"])).describe("Oldest first unless given."))
            .param(Param::query("subject", schema::string()).describe("A record (`booking/appointments/<id>`), or what it begins with (`booking/appointments`)."))
            .param(Param::query("created_at__gte", schema::date_time()))
            .param(Param::query("created_at__lte", schema::date_time()))
            .param(Param::query("limit", schema::integer_between(1, 1000)).describe("Events of one answer; 100 unless given."))
            .responds(200, "Some events, and where to go on.", page())
            .responds(410, "The log no longer reaches back to `after`; `details.after` is the oldest position to go on after.", schema::component("Error")),
        Operation::get("platform_events_stream", format!("{URL}stream/"), follow)
            .tag(TAG)
            .summary("Follow the event log")
            .describe(
                "Server-sent events: each has its position as `id` and the event as JSON in `data`. Resume with `Last-Event-ID` (or \
                 `after`). The last event of a stream is named `end` and says why; come back with `Last-Event-ID`, and nothing is lost.",
            )
            .tenant(None, log::VIEW)
            .params(filters())
            .param(after("Begin after this position; what happens from now on unless given."))
            .param(Param::header("Last-Event-ID", schema::string()).describe("The id of the last event that was seen; stronger than `after`."))
            .param(Param::query("follow", schema::boolean()).describe("`false`: end at the end of the log instead of waiting for more."))
            .response(
                ResponseDoc::empty(200, "The stream: `data` is an event as `/platform-events/` lists it, or why the stream ends.")
                    .with(Content::of("text/event-stream", sent_schema())),
            )
            .responds(410, "The log no longer reaches back that far.", schema::component("Error"))
            .responds(429, "The company has as many streams as it may.", schema::component("Error"))
            .responds(503, "This server has as many streams as it may.", schema::component("Error")),
        Operation::get("platform_events_retrieve", format!("{URL}{{position}}/"), retrieve)
            .tag(TAG)
            .summary("Read an event by its position")
            .tenant(None, log::VIEW)
            .param(Param::path("position", schema::integer_between(1, i64::MAX)))
            .responds(200, "The event.", schema::component(COMPONENT))
            .responds(410, "The event is no longer kept.", schema::component("Error")),
    ]
}

fn filters() -> Vec<Param> {
    vec![Param::query("type", schema::string()).describe(
        "Kinds separated by commas, each exact (`booking.appointments.confirmed`) or by how it begins (`booking.*`).",
    )]
}

fn after(words: &str) -> Param {
    Param::query("after", schema::integer_between(0, i64::MAX)).describe(words)
}

/// An event as it is told everywhere.
pub(super) fn event() -> Value {
    let fields = [
        ("id", schema::uuid()),
        ("position", schema::integer_between(1, i64::MAX)),
        ("type", schema::string()),
        ("company", wire::code()),
        ("subject", schema::string()),
        ("actor", schema::uuid().nullable()),
        ("created_at", schema::date_time()),
        ("data", schema::any()),
    ];
    schema::object(fields).required(["id", "position", "type", "company", "subject", "actor", "created_at", "data"])
}

/// One event of the stream; documents before OpenAPI 3.2 describe a stream by what each of its events is.
fn sent_schema() -> Value {
    schema::object([("id", schema::string()), ("event", schema::string()), ("data", schema::string())])
        .required(["data"])
}

fn page() -> Value {
    schema::object([
        ("results", schema::array(schema::component(COMPONENT))),
        ("cursor", schema::integer()),
        ("has_more", schema::boolean()),
    ])
    .required(["results", "cursor", "has_more"])
}

fn read_filter(call: &Call) -> Result<Filter> {
    let patterns = call.query().list("type");
    Filter::parse(patterns).map_err(|words| Problem::field("type", "invalid", words))
}

/// A number from the query that is not below `least`.
fn number(call: &Call, name: &'static str, least: i64, most: i64) -> Result<Option<i64>> {
    match call.query().integer(name)? {
        Some(number) if !(least..=most).contains(&number) => {
            Err(Problem::field(name, "invalid", format!("Must be between {least} and {most}.")))
        }
        number => Ok(number),
    }
}

async fn list(call: Call) -> Result<Reply> {
    const KNOWN: [&str; 9] =
        ["type", "after", "before", "ordering", "subject", "created_at__gte", "created_at__lte", "limit", "format"];
    call.query().refuse_unknown(|name| KNOWN.contains(&name))?;
    let newest_first = match call.query().get("ordering") {
        None | Some("position") => false,
        Some("-position") => true,
        Some(_) => return Err(Problem::field("ordering", "invalid_choice", "Either position or -position.")),
    };
    let before = number(&call, "before", 1, i64::MAX)?;
    if before.is_some() && !newest_first {
        return Err(Problem::field("before", "invalid", "Goes with ordering=-position."));
    }
    let after = number(&call, "after", 0, i64::MAX)?;
    if after.is_some() && newest_first {
        return Err(Problem::field("after", "invalid", "Goes with ordering=position."));
    }
    let query = Query {
        after,
        before,
        newest_first,
        filter: read_filter(&call)?,
        subject: call.query().get("subject").map(str::to_owned),
        since: call.query().time("created_at__gte")?,
        until: call.query().time("created_at__lte")?,
        limit: usize::try_from(number(&call, "limit", 1, 1000)?.unwrap_or(100)).map_err(Problem::internal)?,
    };
    let tenant = call.tenant()?.clone();
    let page = call.kernel.db.read_long(tenant.view(), move |reader| log::page(reader, &tenant, &query)).await?;
    let mut out = Vec::with_capacity(64 + page.events.len() * 512);
    out.extend_from_slice(b"{\"results\":[");
    for (at, event) in page.events.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        event.write_json(&mut out);
    }
    out.extend_from_slice(format!("],\"cursor\":{},\"has_more\":{}}}", page.cursor, page.has_more).as_bytes());
    Ok(Reply::json_bytes(200, out))
}

async fn retrieve(call: Call) -> Result<Reply> {
    let position: i64 = call.param("position").parse().map_err(|_| Problem::not_found())?;
    let tenant = call.tenant()?.clone();
    let event = call.kernel.db.read(tenant.view(), move |reader| log::at(reader, &tenant, position)).await?;
    let mut out = Vec::with_capacity(512);
    event.write_json(&mut out);
    Ok(Reply::json_bytes(200, out))
}

async fn follow(call: Call) -> Result<Reply> {
    const KNOWN: [&str; 4] = ["type", "after", "follow", "format"];
    call.query().refuse_unknown(|name| KNOWN.contains(&name))?;
    let resumed =
        match call.header("last-event-id").map(str::trim).filter(|id| !id.is_empty()) {
            Some(id) => Some(id.parse::<i64>().ok().filter(|id| *id >= 0).ok_or_else(|| {
                Problem::field("Last-Event-ID", "invalid", "Must be the id of an event of this stream.")
            })?),
            None => number(&call, "after", 0, i64::MAX)?,
        };
    let text = |name: &str| call.header(name).map(str::to_owned);
    let credentials = Credentials {
        api_key: text("x-loop-api-key"),
        authorization: text("authorization"),
        workspace: text("x-workspace-id"),
        origin: call.caller.origin.clone(),
    };
    let opening =
        Opening { filter: read_filter(&call)?, after: resumed, ends: call.query().bool("follow")? == Some(false) };
    let ending = call.ending().clone();
    let stopping = Box::pin(async move { ending.begun().await });
    let follower = Follower::open(&call.kernel, call.tenant()?.clone(), credentials, opening, stopping).await?;
    let chunks = stream::unfold(follower, |mut follower| async move {
        let chunk = follower.next().await?;
        Some((Ok::<_, Infallible>(chunk), follower))
    });
    Ok(Reply::events(chunks))
}
