//! Reading a company's log: in commit order, from a cursor, by whoever may see what it tells of.
//!
//! The cursor is the event's position. A position is given out under the lock of the company's counter row, which is held until the
//! commit, so whoever sees a position sees every one before it: a reader that goes on after the last one it saw skips nothing.

use std::borrow::Cow;
use std::collections::HashMap;

use loopd_store::{Reader, Row, StoreError, Tx, params};
use loopd_types::{CompanyId, Kind, Problem, Result, Timestamp, Uuid};

use super::filter::Filter;
use super::veil;
use crate::access::Tenant;
use crate::listing::write_text;
use crate::{counter, event};

/// An event as it was written.
#[derive(Clone, Debug)]
pub struct Event {
    pub company: CompanyId,
    /// 1, 2, 3, … within the company.
    pub position: i64,
    pub id: Uuid,
    /// `booking.appointments.confirmed`
    pub kind: String,
    /// `booking/appointments/<id>`
    pub subject: String,
    /// JSON text, as it was told when it happened.
    pub payload: String,
    pub actor: Option<Uuid>,
    pub created_at: Timestamp,
}

const COLUMNS: &str = "position, id, kind, subject, payload, actor_user_id, created_at";
/// The columns of [`Event::read`] of the table `e`, for joins.
pub(crate) const JOINED: &str = "e.position, e.id, e.kind, e.subject, e.payload, e.actor_user_id, e.created_at";

impl Event {
    /// Reads [`JOINED`] from column `at` on.
    pub(crate) fn read(row: &Row<'_>, company: CompanyId, at: usize) -> Result<Self, StoreError> {
        Ok(Self {
            company,
            position: row.i64(at)?,
            id: row.uuid(at + 1)?,
            kind: row.text(at + 2)?.to_owned(),
            subject: row.text(at + 3)?.to_owned(),
            payload: row.json(at + 4)?.to_owned(),
            actor: row.opt_uuid(at + 5)?,
            created_at: row.time(at + 6)?,
        })
    }

    /// The event as everybody is told it: the API, streams and webhooks alike. The same bytes at every call.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        let mut buffer = Uuid::encode_buffer();
        out.extend_from_slice(b"{\"id\":\"");
        out.extend_from_slice(self.id.hyphenated().encode_lower(&mut buffer).as_bytes());
        out.extend_from_slice(b"\",\"position\":");
        out.extend_from_slice(self.position.to_string().as_bytes());
        out.extend_from_slice(b",\"type\":");
        write_text(out, &self.kind);
        out.extend_from_slice(b",\"company\":\"");
        out.extend_from_slice(self.company.code().to_string().as_bytes());
        out.extend_from_slice(b"\",\"subject\":");
        write_text(out, &self.subject);
        out.extend_from_slice(b",\"actor\":");
        match self.actor {
            Some(user) => write_text(out, user.hyphenated().encode_lower(&mut buffer)),
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b",\"created_at\":\"");
        self.created_at.write_to(out);
        out.extend_from_slice(b"\",\"data\":");
        out.extend_from_slice(self.payload.as_bytes());
        out.push(b'}');
    }

    /// What somebody must be allowed to see of the record behind this event: `booking.appointments.view`.
    pub(crate) fn permission(&self) -> String {
        let mut parts = self.subject.splitn(3, '/');
        match (parts.next(), parts.next()) {
            (Some(module), Some(resource)) if !module.is_empty() => format!("{module}.{resource}.view"),
            _ => VIEW.to_owned(),
        }
    }

    /// The workspace that the record behind it stands in, if it says one.
    fn workspace(&self) -> Option<Uuid> {
        #[derive(serde::Deserialize)]
        struct Of<'a> {
            #[serde(borrow)]
            workspace: Option<std::borrow::Cow<'a, str>>,
        }
        Uuid::parse_str(&serde_json::from_str::<Of<'_>>(&self.payload).ok()?.workspace?).ok()
    }
}

/// What the log itself asks for.
pub const VIEW: &str = "core.platform-events.view";

/// Who looks, with what is remembered of their rights while a page is read.
pub struct Eyes<'t> {
    tenant: &'t Tenant,
    known: HashMap<String, bool>,
}

impl<'t> Eyes<'t> {
    pub fn of(tenant: &'t Tenant) -> Self {
        Self { tenant, known: HashMap::new() }
    }

    /// Whether this caller may see the record behind `event`: its resource, and its workspace where the caller is limited to some.
    fn see(&mut self, event: &Event) -> bool {
        let permission = event.permission();
        let allowed = match self.known.get(&permission) {
            Some(allowed) => *allowed,
            None => {
                let allowed = self.tenant.may(&permission);
                self.known.insert(permission, allowed);
                allowed
            }
        };
        let Some(limit) = self.tenant.workspace_limit() else { return allowed };
        allowed && event.workspace().is_none_or(|workspace| limit.contains(&workspace))
    }

    /// `event` as this caller may see it; `None` when they may not.
    pub fn look<'e>(&mut self, event: &'e Event) -> Option<Cow<'e, Event>> {
        if !self.see(event) {
            return None;
        }
        Some(match veil::look(&event.payload, |permission| self.tenant.may(permission)) {
            Cow::Borrowed(_) => Cow::Borrowed(event),
            Cow::Owned(payload) => Cow::Owned(Event { payload, ..event.clone() }),
        })
    }
}

/// Which events, from where.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Only those after this position, oldest first, or from the oldest that is kept…
    pub after: Option<i64>,
    /// …or, newest first, only those before this one.
    pub before: Option<i64>,
    pub newest_first: bool,
    pub filter: Filter,
    /// The record's own: `booking/appointments/<id>`, or what it begins with.
    pub subject: Option<String>,
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
    pub limit: usize,
}

/// Some events, and where to go on.
#[derive(Clone, Debug)]
pub struct Page {
    pub events: Vec<Event>,
    /// The position that was looked at last, shown or not: `after` (or `before`) of the next page.
    pub cursor: i64,
    /// Whether there was more to look at.
    pub has_more: bool,
}

/// Rows that one page looks at, at most: a filter that fits nothing must not read the whole log in one go.
const LOOKED_AT: usize = 5_000;
/// Rows that are read in one statement.
const CHUNK: usize = 500;

/// A page of the log.
///
/// # Errors
/// 410 `events_expired` when the log no longer reaches back to `after`.
pub fn page(reader: &mut Reader<'_>, tenant: &Tenant, query: &Query) -> Result<Page> {
    let mut eyes = Eyes::of(tenant);
    let from = match query.after {
        _ if query.newest_first => query.before.unwrap_or(i64::MAX),
        Some(after) => {
            require_kept(reader, tenant.company, after)?;
            after
        }
        None => pruned_to(reader, tenant.company)?,
    };
    let mut page = Page { events: Vec::new(), cursor: from, has_more: false };
    let mut looked_at = 0;
    while page.events.len() < query.limit && looked_at < LOOKED_AT {
        let chunk = CHUNK.min(query.limit.max(50) * 2);
        let found = if query.newest_first {
            before(reader, tenant.company, page.cursor, chunk)?
        } else {
            after(reader, tenant.company, page.cursor, chunk)?
        };
        page.has_more = found.len() == chunk;
        looked_at += found.len();
        for event in found {
            if page.events.len() == query.limit {
                page.has_more = true;
                break;
            }
            page.cursor = event.position;
            if query.fits(&event)
                && let Some(seen) = eyes.look(&event)
            {
                page.events.push(seen.into_owned());
            }
        }
        if !page.has_more {
            break;
        }
    }
    if page.cursor == i64::MAX {
        page.cursor = 0;
    }
    Ok(page)
}

impl Query {
    fn fits(&self, event: &Event) -> bool {
        let subject = self.subject.as_deref();
        self.filter.fits(&event.kind)
            && subject.is_none_or(|wanted| {
                event.subject.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
            && self.since.is_none_or(|since| event.created_at >= since)
            && self.until.is_none_or(|until| event.created_at <= until)
    }
}

/// The next events after a position, oldest first.
pub fn after(
    reader: &mut Reader<'_>,
    company: CompanyId,
    position: i64,
    most: usize,
) -> Result<Vec<Event>, StoreError> {
    reader.query(
        &format!("SELECT {COLUMNS} FROM events WHERE company_id = $1 AND position > $2 ORDER BY position LIMIT {most}"),
        &params![company, position],
        |row| Event::read(row, company, 0),
    )
}

/// The same, and no more than so many bytes of payloads, but at least one event; whether there may be more.
pub(crate) fn some_after(
    reader: &mut Reader<'_>,
    company: CompanyId,
    position: i64,
    most: usize,
    most_bytes: usize,
) -> Result<(Vec<Event>, bool), StoreError> {
    // In small steps, because what does not fit is read again by the next page.
    const STEP: usize = 40;
    let (mut events, mut bytes) = (Vec::<Event>::new(), 0);
    while events.len() < most {
        let from = events.last().map_or(position, |last| last.position);
        let step = STEP.min(most - events.len());
        let found = after(reader, company, from, step)?;
        let is_end = found.len() < step;
        for event in found {
            bytes += event.payload.len();
            if bytes > most_bytes && !events.is_empty() {
                return Ok((events, true));
            }
            events.push(event);
        }
        if is_end {
            return Ok((events, false));
        }
    }
    Ok((events, true))
}

fn before(reader: &mut Reader<'_>, company: CompanyId, position: i64, most: usize) -> Result<Vec<Event>, StoreError> {
    reader.query(
        &format!(
            "SELECT {COLUMNS} FROM events WHERE company_id = $1 AND position < $2 ORDER BY position DESC LIMIT {most}"
        ),
        &params![company, position],
        |row| Event::read(row, company, 0),
    )
}

/// The event at a position.
///
/// # Errors
/// 404, also for one that the caller may not see; 410 `events_expired` for one that is no longer kept.
pub fn at(reader: &mut Reader<'_>, tenant: &Tenant, position: i64) -> Result<Event> {
    let found = reader.first(
        &format!("SELECT {COLUMNS} FROM events WHERE company_id = $1 AND position = $2"),
        &params![tenant.company, position],
        |row| Event::read(row, tenant.company, 0),
    )?;
    match found {
        Some(event) => Eyes::of(tenant).look(&event).map(Cow::into_owned).ok_or_else(Problem::not_found),
        None if position > 0 => {
            require_kept(reader, tenant.company, position - 1)?;
            Err(Problem::not_found())
        }
        None => Err(Problem::not_found()),
    }
}

/// The position of the newest event; 0 when nothing ever happened.
pub fn head(reader: &mut Reader<'_>, company: CompanyId) -> Result<i64, StoreError> {
    counter::last(reader, company, event::SERIES)
}

/// The newest position that is no longer kept; 0 while all are.
fn pruned_to(reader: &mut Reader<'_>, company: CompanyId) -> Result<i64, StoreError> {
    let sql = "SELECT pruned_to FROM event_logs WHERE company_id = $1";
    Ok(reader.first(sql, &params![company], |row| row.i64(0))?.unwrap_or(0))
}

/// # Errors
/// 410 `events_expired`, with the oldest position that can be gone on after.
pub(crate) fn require_kept(reader: &mut Reader<'_>, company: CompanyId, after: i64) -> Result<()> {
    let pruned_to = pruned_to(reader, company)?;
    if after >= pruned_to {
        return Ok(());
    }
    let words = format!(
        "Events up to {pruned_to} are no longer kept. Go on after {pruned_to}, and read anew what may have been missed."
    );
    Err(Problem::new(Kind::Gone, "events_expired", words).with_extra("after", pruned_to))
}

/// Forgets some of the oldest events of a company, with what was delivered of them; `true` when there may be more.
pub fn prune(tx: &mut Tx<'_>, company: CompanyId, older_than: Timestamp) -> Result<bool> {
    const CHUNK: usize = 1_000;
    let oldest = tx.query(
        &format!("SELECT position, created_at FROM events WHERE company_id = $1 ORDER BY position LIMIT {CHUNK}"),
        &params![company],
        |row| Ok((row.i64(0)?, row.time(1)?)),
    )?;
    let old = oldest.iter().take_while(|(_, at)| *at < older_than).count();
    let Some((last, _)) = old.checked_sub(1).and_then(|index| oldest.get(index)) else { return Ok(false) };
    tx.push("DELETE FROM events WHERE company_id = $1 AND position <= $2", params![company, *last])?;
    tx.push(
        "INSERT INTO event_logs (company_id, pruned_to) VALUES ($1, $2) \
         ON CONFLICT (company_id) DO UPDATE SET pruned_to = excluded.pruned_to",
        params![company, *last],
    )?;
    Ok(old == CHUNK)
}
