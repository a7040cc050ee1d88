//! Chat's own statements: the newest message, and what is unread.

use loopd_store::params;

use crate::define::*;

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
