//! Channels: who is in, who may come in, what their members do.

use super::member::{self, is_member, require_member};
use super::store;
use crate::define::parse::no_such_record;
use crate::define::*;
use crate::engine::act::check_links;
use crate::engine::body::By;

/// People in one channel. The list stands in the channel's own record.
const MOST_MEMBERS: usize = 50;

/// Fills in what follows from the kind, and puts whoever makes it among the members.
pub(super) fn complete(cx: &mut Cx<'_, '_>, channel: &mut Record) -> Result<()> {
    let is_direct = channel.text("kind") == Some("direct");
    if is_direct || !channel.has("visibility") {
        channel.set("visibility", if is_direct { "private" } else { "public" });
    }
    let mut members = member::ids_of(channel)?;
    for id in &members {
        let one = [user("members").help("One of them.")];
        let input = Input::check(&one, &serde_json::json!({"members": id.to_string()}), None)?;
        check_links(cx, &one, &input, By::Client)?;
    }
    if let Some(user) = cx.user()
        && !members.contains(&user)
    {
        members.insert(0, user);
    }
    if is_direct && members.len() < 2 {
        return Err(Problem::field("members", "min_length", "Name somebody to talk to."));
    }
    keep(channel, &members)
}

/// The rows of the first members.
pub(super) fn enrol(cx: &mut Cx<'_, '_>, channel: &mut Record) -> Result<()> {
    for user in member::ids_of(channel)? {
        let role = if cx.user() == Some(user) { "owner" } else { "member" };
        member::enter(cx, channel, user, role)?;
    }
    Ok(())
}

pub(super) fn join(cx: &mut Cx<'_, '_>, channel: &mut Record, _: &Input) -> Result<()> {
    let Some(user) = cx.user() else { return Ok(()) };
    if is_member(channel, user) {
        return Ok(());
    }
    if channel.text("visibility") == Some("private") {
        return Err(Problem::not_found());
    }
    admit(cx, channel, user)
}

pub(super) fn leave(cx: &mut Cx<'_, '_>, channel: &mut Record, _: &Input) -> Result<()> {
    let Some(user) = cx.user() else { return Ok(()) };
    require_member(cx, channel)?;
    let mut members = member::ids_of(channel)?;
    members.retain(|id| *id != user);
    keep(channel, &members)?;
    member::exit(cx, channel, user)
}

/// Members bring others in; nobody is brought into a talk of two.
pub(super) fn invite(cx: &mut Cx<'_, '_>, channel: &mut Record, input: &Input) -> Result<()> {
    require_member(cx, channel)?;
    if channel.text("kind") == Some("direct") {
        return Err(Problem::conflict("direct_channel", "Nobody can be invited to a direct channel. Make a group."));
    }
    let user = input.require_id("user")?;
    if is_member(channel, user) { Ok(()) } else { admit(cx, channel, user) }
}

pub(super) fn mute(cx: &mut Cx<'_, '_>, channel: &mut Record, _: &Input) -> Result<()> {
    member::set_muted(cx, channel, true)
}

pub(super) fn unmute(cx: &mut Cx<'_, '_>, channel: &mut Record, _: &Input) -> Result<()> {
    member::set_muted(cx, channel, false)
}

pub(super) fn read(cx: &mut Cx<'_, '_>, channel: &mut Record, input: &Input) -> Result<()> {
    require_member(cx, channel)?;
    let up_to = match input.id_in("up_to") {
        Some(id) => {
            if cx.get("chat/messages", id)?.id_in("channel") != Some(channel.id()) {
                let error = no_such_record(id);
                return Err(Problem::field("up_to", error.code, error.message));
            }
            Some(id)
        }
        None => store::newest_message(cx, channel.id())?,
    };
    match up_to {
        Some(message) => member::read_up_to(cx, channel, message),
        None => Ok(()),
    }
}

pub(super) fn require_member_to_act(cx: &mut Cx<'_, '_>, channel: &mut Record, _: &Input) -> Result<()> {
    require_access(cx, channel)
}

pub(super) fn guard_archive(cx: &mut Cx<'_, '_>, channel: &mut Record, _: &Input) -> Result<()> {
    if channel.is("is_default") {
        return Err(Problem::conflict("default_channel", "The default channel stays open."));
    }
    require_access(cx, channel)
}

pub(super) fn guard_update(cx: &mut Cx<'_, '_>, before: &Record, channel: &mut Record) -> Result<()> {
    require_access(cx, before)?;
    if channel.text("kind") == Some("direct") || !channel.has("visibility") {
        let visibility = before.value("visibility").cloned().unwrap_or(Value::Null);
        channel.set("visibility", visibility);
    }
    Ok(())
}

pub(super) fn guard_delete(cx: &mut Cx<'_, '_>, channel: &mut Record) -> Result<()> {
    if channel.is("is_default") {
        return Err(Problem::conflict("default_channel", "The default channel cannot be deleted."));
    }
    require_access(cx, channel)
}

/// A private channel exists for its members only: for others it is not there.
///
/// # Errors
/// 404.
pub(super) fn require_access(cx: &Cx<'_, '_>, channel: &Record) -> Result<()> {
    if may_see(cx, channel) { Ok(()) } else { Err(Problem::not_found()) }
}

pub(super) fn may_see(cx: &Cx<'_, '_>, channel: &Record) -> bool {
    let is_private = channel.text("visibility") == Some("private");
    // the system (no user) and the installation's superusers, whose reads are audited, stand outside
    !is_private || cx.tenant.is_superuser() || cx.user().is_none_or(|user| is_member(channel, user))
}

/// Makes somebody a member: the list in the channel, and the row. The channel is written by whoever holds it.
pub(super) fn admit(cx: &mut Cx<'_, '_>, channel: &mut Record, user: Uuid) -> Result<()> {
    let mut members = member::ids_of(channel)?;
    members.push(user);
    keep(channel, &members)?;
    member::enter(cx, channel, user, "member")
}

fn keep(channel: &mut Record, members: &[Uuid]) -> Result<()> {
    if members.len() > MOST_MEMBERS {
        let words = format!("A channel has at most {MOST_MEMBERS} members.");
        return Err(Problem::field("members", "max_length", words));
    }
    let texts: Vec<String> = members.iter().map(Uuid::to_string).collect();
    channel.set("members", serde_json::json!(texts));
    Ok(())
}

/// The company's default channel; made at its first message.
pub(super) fn default_channel(cx: &mut Cx<'_, '_>) -> Result<Record> {
    let known = Where::new().eq("is_default", true).limit(1);
    if let Some(channel) = cx.select("chat/channels", &known)?.into_iter().next() {
        return Ok(channel);
    }
    // Two first messages at once: the second waits here and then finds the first one's channel.
    cx.tx.lock(&format!("chat.default_channel:{}", cx.tenant.company.0))?;
    if let Some(channel) = cx.select("chat/channels", &known)?.into_iter().next() {
        return Ok(channel);
    }
    let body = serde_json::json!({"title": "General", "kind": "group", "is_default": true, "workspace": null});
    cx.create("chat/channels", &body)
}
