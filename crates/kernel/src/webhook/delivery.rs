//! Deliveries: one event for one endpoint, until it is told or given up.

use loopd_store::{Reader, StoreError, Tx, params};
use loopd_types::{CompanyId, Problem, Result, Timestamp, Uuid};

use super::endpoint;
use crate::access::Tenant;
use crate::event::log::{Event, JOINED};
use crate::event::veil;
use crate::listing::{Column, ColumnKind, Listing, column, searched};
use crate::{Kernel, audit};

/// Deliveries as the API shows them; newest first.
pub const LISTING: Listing = Listing {
    from: "webhook_deliveries d",
    columns: &COLUMNS,
    company: Some("d.company_id"),
    id: "d.id",
    order: "d.id DESC",
};
const COLUMNS: [Column; 13] = [
    column("id", "d.id", ColumnKind::Uuid),
    column("company", "d.company_id", ColumnKind::Company),
    column("endpoint", "d.endpoint_id", ColumnKind::Uuid),
    column("event", "d.event_id", ColumnKind::Uuid),
    column("position", "d.position", ColumnKind::Int).nullable(),
    searched("type", "d.event_type"),
    column("status", "d.status", ColumnKind::Text),
    column("attempts", "d.attempts", ColumnKind::Int),
    column("next_attempt_at", "d.next_attempt_at", ColumnKind::Time).nullable(),
    column("last_status", "d.last_status", ColumnKind::Int).nullable(),
    column("last_error", "d.last_error", ColumnKind::Text).nullable(),
    column("created_at", "d.created_at", ColumnKind::Time),
    column("finished_at", "d.finished_at", ColumnKind::Time).nullable(),
];

/// Attempts as the API shows them; newest first.
pub const ATTEMPTS: Listing = Listing {
    from: "webhook_attempts a",
    columns: &ATTEMPT_COLUMNS,
    company: Some("a.company_id"),
    id: "a.id",
    order: "a.id DESC",
};
const ATTEMPT_COLUMNS: [Column; 13] = [
    column("id", "a.id", ColumnKind::Uuid),
    column("delivery", "a.delivery_id", ColumnKind::Uuid),
    column("number", "a.number", ColumnKind::Int),
    column("at", "a.at", ColumnKind::Time),
    column("took_us", "a.took_us", ColumnKind::Int),
    column("url", "a.url", ColumnKind::Text),
    column("request_headers", "a.request_headers", ColumnKind::Json),
    column("status", "a.status", ColumnKind::Int).nullable(),
    column("error", "a.error", ColumnKind::Text).nullable(),
    column("address", "a.address", ColumnKind::Text).nullable(),
    column("response_headers", "a.response_headers", ColumnKind::Json).nullable(),
    column("response_body", "a.response_body", ColumnKind::Text).nullable(),
    column("is_cut", "a.is_cut", ColumnKind::Bool),
];

/// A delivery whose turn has come.
pub(super) struct Due {
    pub id: Uuid,
    pub attempts: i64,
    pub tries: i64,
    pub next_attempt_at: Timestamp,
    /// `None`: the event is no longer kept.
    pub event: Option<Event>,
}

/// The next deliveries of an endpoint by their turn; of an unordered one only those whose moment has come.
pub(super) fn due(
    reader: &mut Reader<'_>,
    company: CompanyId,
    endpoint: Uuid,
    is_ordered: bool,
    now: Timestamp,
    most: usize,
) -> Result<Vec<Due>, StoreError> {
    // At an ordered endpoint a turn is a position, and whether its time has come is asked of the first alone.
    let until = if is_ordered { i64::MAX } else { now.0 };
    let sql = format!(
        "SELECT d.id, d.attempts, d.tries, d.next_attempt_at, {JOINED} FROM webhook_deliveries d \
         LEFT JOIN events e ON e.company_id = d.company_id AND e.position = d.position \
         WHERE d.company_id = $1 AND d.endpoint_id = $2 AND d.status = 'pending' AND d.turn <= $3 ORDER BY d.turn LIMIT {most}"
    );
    reader.query(&sql, &params![company, endpoint, until], |row| {
        Ok(Due {
            id: row.uuid(0)?,
            attempts: row.i64(1)?,
            tries: row.i64(2)?,
            next_attempt_at: row.opt_time(3)?.unwrap_or(now),
            event: if row.opt_i64(4)?.is_some() { Some(Event::read(row, company, 4)?) } else { None },
        })
    })
}

/// When an endpoint has something to do next; `None` when nothing waits.
pub(super) fn next_at(
    reader: &mut Reader<'_>,
    company: CompanyId,
    endpoint: Uuid,
    is_ordered: bool,
) -> Result<Option<Timestamp>, StoreError> {
    let first = reader.first(
        "SELECT turn, next_attempt_at FROM webhook_deliveries WHERE company_id = $1 AND endpoint_id = $2 AND status = 'pending' \
         ORDER BY turn LIMIT 1",
        &params![company, endpoint],
        |row| Ok((row.time(0)?, row.opt_time(1)?)),
    )?;
    Ok(first.map(|(turn, next)| if is_ordered { next.unwrap_or_default() } else { turn }))
}

/// The body of a delivery as it is and was sent, as far as this caller may see what it tells.
///
/// # Errors
/// 404.
pub fn body(reader: &mut Reader<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid) -> Result<Option<String>> {
    let sql = format!(
        "SELECT d.body, w.scheme, w.grants, {JOINED} FROM webhook_deliveries d \
         JOIN webhook_endpoints w ON w.company_id = d.company_id AND w.id = d.endpoint_id \
         LEFT JOIN events e ON e.company_id = d.company_id AND e.position = d.position WHERE d.company_id = $1 AND d.id = $2"
    );
    let company = tenant.company;
    let found = reader.first(&sql, &params![company, id], |row| {
        let event = if row.opt_i64(3)?.is_some() { Some(Event::read(row, company, 3)?) } else { None };
        let grants = endpoint::read_grants(row.json(2)?);
        let seen = event.map(|event| {
            let may = |permission: &str| tenant.may(permission) && grants.iter().all(|set| set.allows(permission));
            Event { payload: veil::look(&event.payload, may).into_owned(), ..event }
        });
        Ok((row.opt_text(0)?.map(str::to_owned), row.text(1)?.to_owned(), seen))
    })?;
    let (own, scheme, event) = found.ok_or_else(Problem::not_found)?;
    let rendered = event.zip(kernel.settings.webhook_schemes.get(&scheme)).map(|(event, scheme)| scheme.body(&event));
    Ok(own.or_else(|| rendered.and_then(|body| String::from_utf8(body).ok())))
}

/// Sends a delivery again, from the beginning of the pauses; one that waits is sent now. Its number of attempts goes on.
///
/// # Errors
/// 404; 409 `event_expired` when its event is no longer kept, `test_delivery`, `endpoint_disabled`.
pub fn replay(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid) -> Result<()> {
    let company = tenant.company;
    let found = tx.first(
        "SELECT d.endpoint_id, d.position, e.position FROM webhook_deliveries d \
         LEFT JOIN events e ON e.company_id = d.company_id AND e.position = d.position WHERE d.company_id = $1 AND d.id = $2",
        &params![company, id],
        |row| Ok((row.uuid(0)?, row.opt_i64(1)?, row.opt_i64(2)?)),
    )?;
    let (endpoint_id, position, event) = found.ok_or_else(Problem::not_found)?;
    if position.is_none() {
        return Err(Problem::conflict("test_delivery", "A test is not repeated; send another."));
    }
    if event.is_none() {
        return Err(Problem::conflict("event_expired", "The event of this delivery is no longer kept."));
    }
    let target = endpoint::require(tx, company, endpoint_id)?;
    if !target.is_enabled {
        return Err(Problem::conflict("endpoint_disabled", "The endpoint is switched off; enable it first."));
    }
    again(tx, company, id, target.is_ordered, kernel.now(), None)?;
    endpoint::due_now(tx, kernel, company, endpoint_id)?;
    let text = id.to_string();
    let entry = audit::Entry {
        action: "replay",
        module: "core",
        resource: "webhook-deliveries",
        target: &text,
        label: "",
        changes: None,
    };
    Ok(audit::record(tx, kernel, tenant, entry)?)
}

/// Makes a delivery pending from the beginning; once for each range that is replayed, however often its job runs.
pub(super) fn again(
    tx: &mut Tx<'_>,
    company: CompanyId,
    id: Uuid,
    is_ordered: bool,
    now: Timestamp,
    replay: Option<Uuid>,
) -> Result<(), StoreError> {
    let turn = if is_ordered { "position" } else { "$3" };
    tx.push(
        &format!(
            "UPDATE webhook_deliveries SET status = 'pending', turn = {turn}, tries = 0, next_attempt_at = $3, finished_at = NULL, \
             replay_id = $4 WHERE company_id = $1 AND id = $2"
        ),
        params![company, id, now, replay],
    )
}

/// Forgets some of the oldest deliveries with their attempts; `true` when there may be more.
pub(super) fn prune(tx: &mut Tx<'_>, company: CompanyId, older_than: Timestamp) -> Result<bool> {
    const CHUNK: usize = 1_000;
    // Ids rise with time, so the oldest come first.
    let oldest = tx.query(
        &format!("SELECT id, created_at FROM webhook_deliveries WHERE company_id = $1 ORDER BY id LIMIT {CHUNK}"),
        &params![company],
        |row| Ok((row.uuid(0)?, row.time(1)?)),
    )?;
    let old = oldest.iter().take_while(|(_, at)| *at < older_than).count();
    let Some((last, _)) = old.checked_sub(1).and_then(|index| oldest.get(index)) else { return Ok(false) };
    tx.push("DELETE FROM webhook_attempts WHERE company_id = $1 AND delivery_id <= $2", params![company, *last])?;
    tx.push("DELETE FROM webhook_deliveries WHERE company_id = $1 AND id <= $2", params![company, *last])?;
    Ok(old == CHUNK)
}
