//! Replaying a range: what failed, everything, or what an endpoint was never told because it was off or not there.

use std::collections::HashMap;
use std::sync::Arc;

use loopd_store::{Tx, View, params};
use loopd_types::{CompanyId, Problem, Result, Timestamp, Uuid};
use serde_json::{Value as Json, json};

use super::{delivery, endpoint, hand_over};
use crate::access::Tenant;
use crate::event::log;
use crate::input::Input;
use crate::job::{self, Handler, Job, NewJob, Runner};
use crate::{Kernel, audit};

/// The kind of the jobs.
const KIND: &str = "webhooks.replay";
/// What of a range is sent again.
pub const WHICH: [&str; 3] = ["failed", "missing", "all"];
/// Events that one transaction looks at.
const CHUNK: usize = 200;

/// Registers the job's handler.
pub(super) fn register(runner: &mut Runner) {
    let handler: Handler = Arc::new(|kernel, job| Box::pin(run(kernel, job)));
    runner.register(KIND, handler);
}

/// Asks for a range to be replayed; gives the replay's id. A job does it.
///
/// # Errors
/// 400; 404; 409 `endpoint_disabled`.
pub fn ask(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid, body: Json) -> Result<Uuid> {
    let mut input = Input::new(body, false)?;
    let since = input.moment("since").flatten();
    let until = input.moment("until").flatten();
    let which = input.choice("which", &WHICH).unwrap_or_else(|| "failed".to_owned());
    match since {
        None => input.refuse("since", "required", "This field is required."),
        Some(since) if since > until.unwrap_or(kernel.now()) => {
            input.refuse("until", "invalid", "A range ends after it begins, and begins before now.");
        }
        Some(_) => {}
    }
    input.finish()?;
    let target = endpoint::require(tx, tenant.company, id)?;
    if !target.is_enabled {
        return Err(Problem::conflict("endpoint_disabled", "The endpoint is switched off; enable it first."));
    }
    let replay = kernel.new_id();
    // Without an end it is everything until now: what comes later is sent anyhow.
    let until = until.unwrap_or(kernel.now());
    let payload = json!({
        "endpoint": id.to_string(),
        "since": since.unwrap_or_default().0,
        "until": until.0,
        "which": which,
        "replay": replay.to_string(),
    });
    let new = NewJob {
        kind: KIND,
        company: tenant.company,
        payload: payload.to_string(),
        run_at: kernel.now(),
        unique_key: None,
    };
    job::enqueue(tx, kernel, &new)?;
    let text = id.to_string();
    let entry = audit::Entry {
        action: "replay",
        module: "core",
        resource: "webhook-endpoints",
        target: &text,
        label: &which,
        changes: None,
    };
    audit::record(tx, kernel, tenant, entry)?;
    Ok(replay)
}

#[derive(Clone)]
struct Range {
    endpoint: Uuid,
    since: i64,
    until: i64,
    which: String,
    replay: Uuid,
}

/// Repeatable: a delivery remembers the replay that sent it again, and an event that has a delivery is not missing.
async fn run(kernel: Arc<Kernel>, job: Job) -> Result<()> {
    let text = |name: &str| job.payload[name].as_str().unwrap_or_default().to_owned();
    let range = Range {
        endpoint: Uuid::parse_str(&text("endpoint")).map_err(Problem::internal)?,
        since: job.payload["since"].as_i64().unwrap_or_default(),
        until: job.payload["until"].as_i64().unwrap_or_default(),
        which: text("which"),
        replay: Uuid::parse_str(&text("replay")).map_err(Problem::internal)?,
    };
    let (company, since) = (job.company, range.since);
    let first = kernel
        .db
        .read_long(View::Company(company), move |reader| {
            let sql = "SELECT min(position) FROM events WHERE company_id = $1 AND created_at >= $2";
            Ok(reader.one(sql, &params![company, since], |row| row.opt_i64(0))?)
        })
        .await?;
    let Some(first) = first else { return Ok(()) };
    let mut cursor = Some(first - 1);
    while let Some(from) = cursor {
        let (shared, range) = (kernel.clone(), range.clone());
        cursor = kernel.db.write(View::Company(company), move |tx| chunk(tx, &shared, company, &range, from)).await?;
    }
    Ok(())
}

/// Replays some events after `from`; gives where to go on, `None` at the end.
fn chunk(tx: &mut Tx<'_>, kernel: &Kernel, company: CompanyId, range: &Range, from: i64) -> Result<Option<i64>> {
    let Some(target) = endpoint::find(tx, company, range.endpoint)?.filter(|target| target.is_enabled) else {
        return Ok(None);
    };
    let listeners = endpoint::listeners(tx, company, Some(range.endpoint))?;
    let Some(listener) = listeners.first() else { return Ok(None) };
    // Never beyond what was handed over: those are about to get their delivery.
    let handed_to =
        tx.first("SELECT handed_to FROM event_logs WHERE company_id = $1", &params![company], |row| row.opt_i64(0))?;
    let events = log::after(tx, company, from, CHUNK)?;
    let Some(last) = events.last().map(|event| event.position) else { return Ok(None) };
    let known: HashMap<i64, (Uuid, String, Option<Uuid>)> = tx
        .query(
            "SELECT position, id, status, replay_id FROM webhook_deliveries \
             WHERE company_id = $1 AND endpoint_id = $2 AND position > $3 AND position <= $4",
            &params![company, range.endpoint, from, last],
            |row| Ok((row.i64(0)?, (row.uuid(1)?, row.text(2)?.to_owned(), row.opt_uuid(3)?))),
        )?
        .into_iter()
        .collect();
    let now = kernel.now();
    let is_within = |at: Timestamp| at.0 >= range.since && at.0 <= range.until;
    for event in
        events.iter().filter(|event| is_within(event.created_at) && handed_to.flatten() >= Some(event.position))
    {
        match known.get(&event.position) {
            Some((_, status, replay)) if status == "pending" || *replay == Some(range.replay) => {}
            Some((id, status, _)) if range.which == "all" || (range.which == "failed" && status != "succeeded") => {
                delivery::again(tx, company, *id, target.is_ordered, now, Some(range.replay))?;
            }
            None if range.which != "failed" && listener.wants(event) && listener.may_see(&event.permission()) => {
                hand_over::insert(tx, kernel, event, listener, now)?;
            }
            _ => {}
        }
    }
    endpoint::due_now(tx, kernel, company, range.endpoint)?;
    Ok((events.len() == CHUNK).then_some(last))
}
