//! Members of channels: coming, going, how far they have read.

use serde_json::{Value as Json, json};

use super::store;
use crate::define::*;
use crate::modules::text_of;

/// The users in a channel's list.
///
/// # Errors
/// 400 on `members` when the list holds anything but ids.
pub(super) fn ids_of(channel: &Record) -> Result<Vec<Uuid>> {
    let list = channel.json("members").unwrap_or_default();
    let mut ids = Vec::new();
    for text in list.as_array().into_iter().flatten().filter_map(Json::as_str) {
        let id = Uuid::parse_str(text).map_err(|_| Problem::field("members", "invalid", "Must be a valid UUID."))?;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    Ok(ids)
}

pub(super) fn is_member(channel: &Record, user: Uuid) -> bool {
    ids_of(channel).is_ok_and(|ids| ids.contains(&user))
}

/// # Errors
/// 404 for strangers to a private channel; 409 `not_a_member` for those who could join.
pub(super) fn require_member(cx: &Cx<'_, '_>, channel: &Record) -> Result<()> {
    super::channel::require_access(cx, channel)?;
    match cx.user() {
        Some(user) if !is_member(channel, user) => {
            Err(Problem::conflict("not_a_member", "Only members of the channel can do this. Join it first."))
        }
        _ => Ok(()),
    }
}

/// The row of a member, made or brought back. What was said before does not count as unread.
pub(super) fn enter(cx: &mut Cx<'_, '_>, channel: &Record, user: Uuid, role: &str) -> Result<()> {
    let newest = store::newest_message(cx, channel.id())?;
    if let Some(mut row) = find(cx, channel, user)? {
        row.set_status("active");
        row.set("last_read", newest);
        return cx.save(&mut row);
    }
    let body = json!({
        "channel": channel.id().to_string(),
        "user": user.to_string(),
        "role": role,
        "last_read": text_of(newest),
        "workspace": text_of(channel.workspace()),
    });
    cx.create("chat/memberships", &body)?;
    Ok(())
}

pub(super) fn exit(cx: &mut Cx<'_, '_>, channel: &Record, user: Uuid) -> Result<()> {
    let Some(mut row) = find(cx, channel, user)? else { return Ok(()) };
    row.set_status("left");
    cx.save(&mut row)
}

pub(super) fn set_muted(cx: &mut Cx<'_, '_>, channel: &Record, muted: bool) -> Result<()> {
    require_member(cx, channel)?;
    let Some(user) = cx.user() else { return Ok(()) };
    let Some(mut row) = find(cx, channel, user)? else { return Ok(()) };
    row.set("is_muted", muted);
    cx.save(&mut row)
}

/// Remembers how far the caller has read, in the member's row and as a receipt. Ids rise with time, so the later of two messages is the one
/// with the greater id.
pub(super) fn read_up_to(cx: &mut Cx<'_, '_>, channel: &Record, message: Uuid) -> Result<()> {
    let Some(user) = cx.user() else { return Ok(()) };
    let Some(mut row) = find(cx, channel, user)? else { return Ok(()) };
    if row.id_in("last_read").is_some_and(|known| known >= message) {
        return Ok(());
    }
    row.set("last_read", message);
    cx.save(&mut row)?;
    let known = Where::new().eq("channel", channel.id()).eq("user", user).limit(1);
    let (message, at) = (message.to_string(), cx.now());
    match cx.select("chat/read-receipts", &known)?.first().map(Record::id) {
        Some(receipt) => cx.update("chat/read-receipts", receipt, &json!({"message": message, "read_at": at}))?,
        None => {
            let body = json!({
                "channel": channel.id().to_string(),
                "user": user.to_string(),
                "message": message,
                "read_at": at,
                "workspace": text_of(channel.workspace()),
            });
            cx.create("chat/read-receipts", &body)?
        }
    };
    Ok(())
}

fn find(cx: &mut Cx<'_, '_>, channel: &Record, user: Uuid) -> Result<Option<Record>> {
    let which = Where::new().eq("channel", channel.id()).eq("user", user).limit(1);
    Ok(cx.select("chat/memberships", &which)?.into_iter().next())
}

/// `GET /chat/unread/`
pub(super) fn unread(viewer: &mut Viewer<'_, '_>, _: &Input) -> Result<Json> {
    let Some(user) = viewer.tenant.actor.user else { return Ok(json!({"total": 0, "channels": []})) };
    let rows = store::unread(viewer, user)?;
    let total: i64 = rows.iter().filter(|row| !row.is_muted).map(|row| row.count).sum();
    let channels: Vec<Json> = rows
        .iter()
        .map(|row| json!({"channel": row.channel.to_string(), "title": row.title, "unread": row.count, "is_muted": row.is_muted}))
        .collect();
    Ok(json!({"total": total, "channels": channels}))
}

pub(super) fn unread_schema() -> Json {
    let channel = json!({
        "type": "object",
        "properties": {
            "channel": {"type": "string", "format": "uuid"},
            "title": {"type": "string"},
            "unread": {"type": "integer"},
            "is_muted": {"type": "boolean"},
        },
        "required": ["channel", "title", "unread", "is_muted"],
    });
    json!({
        "type": "object",
        "properties": {"total": {"type": "integer"}, "channels": {"type": "array", "items": channel}},
        "required": ["total", "channels"],
    })
}
