//! Chat's own statements: the newest message, what is unread, who is there, and whose visitor token it is.

use loopd_store::ddl::{ColumnDef, ColumnKind, IndexDef, TableDef};
use loopd_store::{Reader, params};
use loopd_types::CompanyId;

use super::presence::Presence;
use crate::define::*;

const PRESENCE: &str = "chat_presence";
const VISITORS: &str = "chat_visitors";
/// People in one answer about who is there.
const MOST_PEOPLE: i64 = 1_000;

/// The tables that are no resource's.
pub(super) fn tables() -> Vec<TableDef> {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<String>>();
    let required = ColumnDef::required;
    let presence = TableDef {
        name: PRESENCE.into(),
        columns: vec![
            required("company_id", ColumnKind::Int),
            required("user_id", ColumnKind::Uuid),
            required("state", ColumnKind::Text),
            required("last_seen", ColumnKind::Int),
            required("expires_at", ColumnKind::Int),
        ],
        primary_key: names(&["company_id", "user_id"]),
        foreign_keys: Vec::new(),
        indexes: Vec::new(),
    };
    let by_address = names(&["company_id", "widget_id", "address_hash", "created_at"]);
    let visitors = TableDef {
        name: VISITORS.into(),
        columns: vec![
            required("company_id", ColumnKind::Int),
            required("token_hash", ColumnKind::Text),
            required("channel_id", ColumnKind::Uuid),
            required("widget_id", ColumnKind::Uuid),
            required("address_hash", ColumnKind::Text),
            required("created_at", ColumnKind::Int),
        ],
        primary_key: names(&["company_id", "token_hash"]),
        foreign_keys: Vec::new(),
        indexes: vec![IndexDef { columns: by_address, unique: false, where_sql: None }],
    };
    vec![presence, visitors]
}

/// The newest message of a channel.
pub(super) fn newest_message(cx: &mut Cx<'_, '_>, channel: Uuid) -> Result<Option<Uuid>> {
    let table = cx.table("chat/messages")?;
    let sql = format!(
        "SELECT id FROM {table} WHERE company_id = $1 AND channel = $2 AND deleted_at IS NULL ORDER BY id DESC LIMIT 1"
    );
    let params = params![cx.company(), channel];
    Ok(cx.tx.first(&sql, &params, |row| row.uuid(0))?)
}

/// What one member has not read in one channel.
pub(super) struct Unread {
    pub channel: Uuid,
    pub title: String,
    pub is_muted: bool,
    pub count: i64,
}

/// What a user has not read, a row for each channel that they are in; those with most first.
pub(super) fn unread(viewer: &mut Viewer<'_, '_>, user: Uuid) -> Result<Vec<Unread>> {
    let (memberships, channels, messages) =
        (viewer.table("chat/memberships")?, viewer.table("chat/channels")?, viewer.table("chat/messages")?);
    let sql = format!(
        "SELECT c.id, c.title, COALESCE(m.is_muted, $3), COUNT(x.id) FROM {memberships} m \
         JOIN {channels} c ON c.company_id = m.company_id AND c.id = m.channel AND c.deleted_at IS NULL \
         LEFT JOIN {messages} x ON x.company_id = m.company_id AND x.channel = m.channel AND x.deleted_at IS NULL \
         AND x.status <> 'deleted' AND (m.last_read IS NULL OR x.id > m.last_read) AND (x.author IS NULL OR x.author <> $2) \
         WHERE m.company_id = $1 AND m.\"user\" = $2 AND m.status = 'active' AND m.deleted_at IS NULL AND c.status = 'active' \
         GROUP BY c.id, c.title, m.is_muted ORDER BY COUNT(x.id) DESC, c.id LIMIT 1000"
    );
    let params = params![viewer.company(), user, false];
    let rows = viewer.reader.query(&sql, &params, |row| {
        Ok(Unread { channel: row.uuid(0)?, title: row.text(1)?.to_owned(), is_muted: row.bool(2)?, count: row.i64(3)? })
    })?;
    Ok(rows)
}

/// What is known of the company's active members, whoever was seen last first.
pub(super) fn presences(viewer: &mut Viewer<'_, '_>) -> Result<Vec<Presence>> {
    let sql = format!(
        "SELECT m.user_id, p.state, p.last_seen, p.expires_at FROM memberships m \
         LEFT JOIN {PRESENCE} p ON p.company_id = m.company_id AND p.user_id = m.user_id \
         WHERE m.company_id = $1 AND m.status = 'active' \
         ORDER BY COALESCE(p.last_seen, 0) DESC, m.user_id LIMIT {MOST_PEOPLE}"
    );
    let params = params![viewer.company()];
    let rows = viewer.reader.query(&sql, &params, |row| {
        let time = |at| Ok::<_, loopd_store::StoreError>(row.opt_i64(at)?.map(Timestamp));
        Ok(Presence::new(row.uuid(0)?, row.opt_text(1)?, time(2)?, time(3)?))
    })?;
    Ok(rows)
}

/// What is known of one person.
pub(super) fn presence(cx: &mut Cx<'_, '_>, user: Uuid) -> Result<Presence> {
    let sql = format!("SELECT state, last_seen, expires_at FROM {PRESENCE} WHERE company_id = $1 AND user_id = $2");
    let params = params![cx.company(), user];
    let found = cx.tx.first(&sql, &params, |row| {
        Ok(Presence::new(user, row.opt_text(0)?, Some(row.time(1)?), Some(row.time(2)?)))
    })?;
    Ok(found.unwrap_or_else(|| Presence::new(user, None, None, None)))
}

pub(super) fn keep_presence(
    cx: &mut Cx<'_, '_>,
    user: Uuid,
    state: &str,
    last_seen: Timestamp,
    expires_at: Timestamp,
) -> Result<()> {
    let sql = format!(
        "INSERT INTO {PRESENCE} (company_id, user_id, state, last_seen, expires_at) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (company_id, user_id) DO UPDATE SET state = excluded.state, last_seen = excluded.last_seen, \
         expires_at = excluded.expires_at"
    );
    let params = params![cx.company(), user, state, last_seen, expires_at];
    cx.tx.execute(&sql, &params)?;
    Ok(())
}

/// Lets whoever has the token with this hash into a channel.
pub(super) fn admit_visitor(
    cx: &mut Cx<'_, '_>,
    token_hash: &str,
    channel: Uuid,
    widget: Uuid,
    address_hash: &str,
) -> Result<()> {
    let sql = format!(
        "INSERT INTO {VISITORS} (company_id, token_hash, channel_id, widget_id, address_hash, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6)"
    );
    let params = params![cx.company(), token_hash, channel, widget, address_hash, cx.now()];
    cx.tx.execute(&sql, &params)?;
    Ok(())
}

/// Conversations begun at a widget from one address after a moment.
pub(super) fn visitors_since(cx: &mut Cx<'_, '_>, widget: Uuid, address_hash: &str, since: Timestamp) -> Result<i64> {
    let sql = format!(
        "SELECT COUNT(*) FROM {VISITORS} WHERE company_id = $1 AND widget_id = $2 AND address_hash = $3 AND created_at > $4"
    );
    let params = params![cx.company(), widget, address_hash, since];
    Ok(cx.tx.one(&sql, &params, |row| row.i64(0))?)
}

/// The channel behind a visitor token that was given out at this widget after `since`.
pub(super) fn channel_of_visitor(
    reader: &mut Reader<'_>,
    company: CompanyId,
    token_hash: &str,
    widget: Uuid,
    since: Timestamp,
) -> Result<Option<Uuid>> {
    let sql = format!(
        "SELECT channel_id FROM {VISITORS} WHERE company_id = $1 AND token_hash = $2 AND widget_id = $3 AND created_at > $4"
    );
    Ok(reader.first(&sql, &params![company, token_hash, widget, since], |row| row.uuid(0))?)
}
