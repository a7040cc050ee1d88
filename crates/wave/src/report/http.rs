//! `GET /api/v1/loopwave/reports/`

use std::collections::{BTreeMap, HashMap};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use loopd_store::Reader;
use loopd_types::{DAY_US, Problem, Result, Timestamp, Uuid};
use loopd_web::{Call, Content, Operation, Param, Reply, ResponseDoc, Schema as _, schema, sheet};
use serde_json::{Value as Json, json};

use super::rules::{Figures, What};
use super::store::{self, Range, SLOT_US, Sum};
use crate::{PRODUCT, agent, number};

const NAME: &str = "LoopwaveReport";
const URL: &str = "/api/v1/loopwave/reports/";
const GROUPS: [&str; 4] = ["day", "hour", "agent", "number"];
/// Days of a report, and of one by the hour.
const DAYS_MOST: i64 = 366;
const HOURLY_MOST: i64 = 32;
/// Days of a report unless somebody says.
const DAYS: i64 = 7;

/// The schemas that the operations refer to.
pub fn components() -> Vec<(String, Json)> {
    vec![(NAME.to_owned(), row_schema())]
}

fn row_schema() -> Json {
    let seconds = || schema::integer().nullable();
    let time = [("count", schema::integer()), ("average", seconds()), ("median", seconds()), ("p90", seconds())];
    let names = time.clone().map(|(name, _)| name);
    let time = |words: &str| schema::object(time.clone()).required(names).describe(words);
    let sent = What::ALL.into_iter().filter_map(origin_of).map(|(_, name)| (name, schema::integer()));
    let fields = [
        ("key", schema::string().nullable().describe("The day, the hour (with its offset), the user or the number (`n1a2b3c4`); null for nobody and none, and in `total`.")),
        ("label", schema::string().nullable().describe("What people call it.")),
        ("received", schema::integer()),
        ("sent", schema::integer()),
        ("sent_by", schema::object(sent)),
        ("first_response", time("Seconds from the beginning of a conversation to a person's first answer.")),
        ("resolution", time("Seconds from the beginning of a conversation until it was resolved.")),
        ("tickets_opened", schema::integer()),
        ("tickets_done", time("Seconds from opening a ticket until it was resolved or closed.")),
    ];
    let names = fields.clone().map(|(name, _)| name);
    schema::object(fields).required(names)
}

/// The name of a message's origin among `sent_by`.
fn origin_of(what: What) -> Option<(What, &'static str)> {
    what.as_str().strip_prefix("sent_by_").map(|name| (what, name))
}

pub fn operations() -> Vec<Operation> {
    let report = schema::object([
        ("from", schema::date_time()),
        ("to", schema::date_time()),
        ("timezone", schema::string()),
        ("total", schema::component(NAME)),
        ("results", schema::array(schema::component(NAME))),
    ])
    .required(["from", "to", "timezone", "total", "results"]);
    let moment = || json!({"anyOf": [schema::date_time(), schema::date()]});
    let answers = ResponseDoc::empty(200, "The report.")
        .with(Content::of("application/json", report))
        .with(Content::of("text/csv", schema::string()));
    vec![
        Operation::get("loopwave_reports", URL, report_of)
            .tag(PRODUCT)
            .summary("How much was written, and how long customers waited")
            .describe(
                "Sums by day, hour, agent or number of a range; seven days up to now unless said. Medians and ninth deciles are told to within \
                 5 %. What is known of a quarter of an hour counts whole: `from` and `to` are taken to its beginning.",
            )
            .tenant(Some(PRODUCT), &format!("{PRODUCT}.reports.view"))
            .param(Param::query("by", schema::one_of(GROUPS)).describe("day unless said."))
            .param(Param::query("from", moment()).describe("From this moment, or from the beginning of this day in `timezone`."))
            .param(Param::query("to", moment()).describe("Before this moment, or before this day; 366 days after `from` at most, 32 by hour."))
            .param(Param::query("timezone", schema::string().example("Africa/Kigali")).describe("Whose days and hours; the company's unless said."))
            .param(Param::query("number", schema::string()).describe("Of this number of ours: `n1a2b3c4`."))
            .param(Param::query("agent", schema::uuid()).describe("Of this user."))
            .param(Param::query("format", schema::one_of(["json", "csv"])))
            .response(answers),
    ]
}

/// What is asked for.
#[derive(Clone, Debug)]
struct Asked {
    by: &'static str,
    from: Timestamp,
    until: Timestamp,
    timezone: String,
    zone: TimeZone,
    number: Option<String>,
    agent: Option<Uuid>,
    is_csv: bool,
}

fn asked(call: &Call) -> Result<Asked> {
    let (query, tenant) = (call.query(), call.tenant()?);
    let text = |name: &str| query.get(name).map(str::trim).filter(|text| !text.is_empty());
    let mut problem = Problem::validation();
    let by = GROUPS.into_iter().find(|group| *group == text("by").unwrap_or(GROUPS[0]));
    if by.is_none() {
        problem.add_field("by", "invalid_choice", "Reports are by day, hour, agent or number.");
    }
    let by = by.unwrap_or(GROUPS[0]);
    let timezone = text("timezone").unwrap_or_else(|| tenant.timezone()).to_owned();
    let zone = TimeZone::get(&timezone).unwrap_or_else(|_| {
        problem.add_field("timezone", "invalid", "Write a time zone, as Africa/Kigali is one.");
        TimeZone::UTC
    });
    let is_csv = match text("format") {
        None | Some("json") => false,
        Some("csv") => true,
        Some(_) => {
            problem.add_field("format", "invalid_choice", "Reports come as json or csv.");
            false
        }
    };
    let moment = |name: &str| match text(name).and_then(|text| text.parse::<Date>().ok().filter(|_| text.len() == 10)) {
        // A bare day begins at its midnight there.
        Some(day) => {
            let begins =
                day.to_zoned(zone.clone()).map_err(|_| Problem::field(name, "invalid", "There is no such day."))?;
            Ok(Some(Timestamp(begins.timestamp().as_microsecond())))
        }
        None => query.time(name),
    };
    let (until, agent) = (moment("to")?.unwrap_or_else(|| call.kernel.now().plus(1)), query.uuid("agent")?);
    let from = moment("from")?.unwrap_or_else(|| until.plus(-DAYS * DAY_US));
    let most = if by == "hour" { HOURLY_MOST } else { DAYS_MOST };
    // Moments far from now are no numbers to reckon with.
    let days = (i128::from(until.0) - i128::from(from.0)) / i128::from(DAY_US);
    if from > until || days > i128::from(most) {
        problem.add_field(
            "to",
            "invalid",
            format!("A report ends after it begins, and no more than {most} days later."),
        );
    }
    if problem.has_fields() {
        return Err(problem);
    }
    Ok(Asked { by, from, until, timezone, zone, number: text("number").map(str::to_owned), agent, is_csv })
}

/// A row's key and what people call it.
type Key = (Option<String>, Option<String>);

async fn report_of(call: Call) -> Result<Reply> {
    let asked = asked(&call)?;
    let company = call.tenant()?.company;
    let wanted = asked.clone();
    let work = move |reader: &mut Reader<'_>| {
        let number = match &wanted.number {
            None => None,
            Some(name) => match number::find_ever(reader, company, name)? {
                Some(id) => Some(id),
                None => return Ok((Vec::new(), HashMap::new())),
            },
        };
        let begins = |at: Timestamp| at.0 - at.0.rem_euclid(SLOT_US);
        // A quarter that has begun counts.
        let range = Range { from: begins(wanted.from), until: wanted.until.0, number, agent: wanted.agent };
        let by_slot = matches!(wanted.by, "day" | "hour");
        let sums = store::sums(reader, company, &range, by_slot)?;
        let mut labels: HashMap<Uuid, (String, String)> = HashMap::new();
        match wanted.by {
            "number" => {
                for (id, name, label) in store::labels(reader, company)? {
                    labels.insert(id, (name, label));
                }
            }
            "agent" => {
                for sum in &sums {
                    if !sum.agent.is_nil() && !labels.contains_key(&sum.agent) {
                        let name = agent::store::person(reader, sum.agent)?.map(|agent| agent.name).unwrap_or_default();
                        labels.insert(sum.agent, (sum.agent.to_string(), name));
                    }
                }
            }
            _ => {}
        }
        Ok((sums, labels))
    };
    let (sums, labels) = call.kernel.db.read_long(call.tenant()?.view(), work).await?;
    let (mut rows, mut total) = (BTreeMap::<Key, Figures>::new(), Figures::default());
    for sum in &sums {
        total.add(sum.what, sum.span, sum.many, sum.total_us);
        rows.entry(key_of(sum, &asked, &labels)).or_default().add(sum.what, sum.span, sum.many, sum.total_us);
    }
    if asked.is_csv {
        return csv(&rows);
    }
    Reply::json(
        200,
        &json!({
            "from": asked.from.to_string(), "to": asked.until.to_string(), "timezone": asked.timezone,
            "total": row(&(None, None), &total), "results": rows.iter().map(|(key, figures)| row(key, figures)).collect::<Vec<_>>(),
        }),
    )
}

fn key_of(sum: &Sum, asked: &Asked, labels: &HashMap<Uuid, (String, String)>) -> Key {
    let id = match asked.by {
        "agent" => sum.agent,
        "number" => sum.number,
        by => {
            let moment = jiff::Timestamp::from_microsecond(sum.slot).unwrap_or_default().to_zoned(asked.zone.clone());
            let form = if by == "day" { "%Y-%m-%d" } else { "%Y-%m-%dT%H:00:00%:z" };
            return (Some(moment.strftime(form).to_string()), None);
        }
    };
    labels.get(&id).map_or((None, None), |(key, label)| (Some(key.clone()), Some(label.clone())))
}

fn sent(figures: &Figures) -> i64 {
    What::ALL.into_iter().filter_map(origin_of).map(|(what, _)| figures.count(what)).sum()
}

fn row((key, label): &Key, figures: &Figures) -> Json {
    let time = |what: What| {
        json!({
            "count": figures.count(what), "average": figures.average(what),
            "median": figures.quantile(what, 0.5), "p90": figures.quantile(what, 0.9),
        })
    };
    let by = What::ALL.into_iter().filter_map(origin_of);
    let by: serde_json::Map<String, Json> =
        by.map(|(what, name)| (name.to_owned(), json!(figures.count(what)))).collect();
    json!({
        "key": key,
        "label": label,
        "received": figures.count(What::Received),
        "sent": sent(figures),
        "sent_by": by,
        "first_response": time(What::FirstResponse),
        "resolution": time(What::Resolution),
        "tickets_opened": figures.count(What::TicketOpened),
        "tickets_done": time(What::TicketDone),
    })
}

fn csv(rows: &BTreeMap<Key, Figures>) -> Result<Reply> {
    let mut lines = Vec::with_capacity(rows.len() + 1);
    let mut heading: Vec<String> = ["key", "label", "received", "sent"].map(str::to_owned).to_vec();
    heading.extend(What::ALL.into_iter().filter_map(origin_of).map(|(what, _)| what.as_str().to_owned()));
    heading.push(What::TicketOpened.as_str().to_owned());
    let timed = || What::ALL.into_iter().filter(|what| what.is_timed());
    for what in timed() {
        heading.extend(["count", "average", "median", "p90"].map(|name| format!("{}_{name}", what.as_str())));
    }
    lines.push(heading);
    for ((key, label), figures) in rows {
        let mut line = vec![key.clone().unwrap_or_default(), label.clone().unwrap_or_default()];
        let seconds = |known: Option<i64>| known.map(|seconds| seconds.to_string()).unwrap_or_default();
        line.extend([figures.count(What::Received), sent(figures)].map(|count| count.to_string()));
        line.extend(What::ALL.into_iter().filter_map(origin_of).map(|(what, _)| figures.count(what).to_string()));
        line.push(figures.count(What::TicketOpened).to_string());
        for what in timed() {
            line.push(figures.count(what).to_string());
            line.extend([figures.average(what), figures.quantile(what, 0.5), figures.quantile(what, 0.9)].map(seconds));
        }
        lines.push(line);
    }
    Ok(Reply::bytes(200, "text/csv; charset=utf-8", sheet::lines(lines)?).as_download("report.csv"))
}
