//! Events become deliveries: a row for each endpoint that wants the event and may be told, and how far the log was read, together.

use std::collections::HashSet;
use std::sync::Arc;

use loopd_store::{StoreError, Tx, View, dialect, params};
use loopd_types::{CompanyId, Result, Timestamp, Uuid};

use super::endpoint::{self, Listener};
use crate::Kernel;
use crate::event::log::{self, Event};

/// Events that one transaction hands over.
const CHUNK: usize = 500;

/// Hands over what is new in a company's log; `true` when there may be more. A node that finds another at it leaves it to them.
pub(super) async fn hand_over(kernel: &Arc<Kernel>, company: CompanyId) -> Result<bool> {
    let shared = kernel.clone();
    let work = move |tx: &mut Tx<'_>| {
        let locked = dialect::for_update_skip_locked(tx.engine());
        chunk(tx, &shared, company, locked)
    };
    kernel.db.write(View::Company(company), work).await
}

/// Hands over everything that happened before this transaction: called before an endpoint changes, so that what happened until
/// then is told as it was until then.
pub(super) fn catch_up(tx: &mut Tx<'_>, kernel: &Kernel, company: CompanyId) -> Result<()> {
    let locked = dialect::for_update(tx.engine());
    while chunk(tx, kernel, company, locked)? {}
    Ok(())
}

fn chunk(tx: &mut Tx<'_>, kernel: &Kernel, company: CompanyId, locked: &str) -> Result<bool> {
    let sql = format!("SELECT handed_to FROM event_logs WHERE company_id = $1{locked}");
    let Some(from) = tx.first(&sql, &params![company], |row| row.opt_i64(0))?.flatten() else { return Ok(false) };
    let events = log::after(tx, company, from, CHUNK)?;
    let Some(last) = events.last().map(|event| event.position) else { return Ok(false) };
    // Read after the events: an endpoint that was made before one of them is there by now.
    let listeners = endpoint::listeners(tx, company, None)?;
    let mut touched = HashSet::new();
    for event in &events {
        let permission = event.permission();
        for listener in listeners.iter().filter(|one| one.wants(event) && one.may_see(&permission)) {
            insert(tx, kernel, event, listener, kernel.now())?;
            touched.insert(listener.id);
        }
    }
    tx.push("UPDATE event_logs SET handed_to = $2 WHERE company_id = $1", params![company, last])?;
    // In the listeners' order: transactions that lock several lanes take them in one order.
    for listener in listeners.iter().filter(|listener| touched.contains(&listener.id)) {
        endpoint::due_now(tx, kernel, company, listener.id)?;
    }
    Ok(events.len() == CHUNK)
}

/// Writes a delivery of `event` to an endpoint.
pub(super) fn insert(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    event: &Event,
    to: &Listener,
    now: Timestamp,
) -> Result<Uuid, StoreError> {
    let id = kernel.new_id();
    let turn = if to.is_ordered { event.position } else { now.0 };
    tx.push(
        "INSERT INTO webhook_deliveries (company_id, id, endpoint_id, position, event_id, event_type, status, turn, next_attempt_at, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, 'pending', $7, $8, $8)",
        params![event.company, id, to.id, event.position, event.id, event.kind.as_str(), turn, now],
    )?;
    Ok(id)
}

/// Companies whose log has grown beyond what was handed over, whoever wrote to it; and all that have an endpoint.
pub(super) async fn behind(kernel: &Kernel) -> Result<(Vec<CompanyId>, HashSet<CompanyId>)> {
    let sql = "SELECT l.company_id, c.value > l.handed_to FROM event_logs l \
         JOIN counters c ON c.company_id = l.company_id AND c.name = $1 WHERE l.handed_to IS NOT NULL";
    let all = kernel
        .db
        .read(View::System, move |reader| {
            Ok(reader.query(sql, &params![crate::event::SERIES], |row| Ok((CompanyId(row.i64(0)?), row.bool(1)?)))?)
        })
        .await?;
    Ok((
        all.iter().filter(|(_, is_behind)| *is_behind).map(|(company, _)| *company).collect(),
        all.iter().map(|(company, _)| *company).collect(),
    ))
}
