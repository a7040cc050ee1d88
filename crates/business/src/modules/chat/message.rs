//! Messages: where they go, who may change them, reactions, forwarding.

use serde_json::json;

use super::channel::{admit, default_channel, may_see, require_access};
use super::member::is_member;
use crate::define::parse::{no_such_record, required};
use crate::define::*;
use crate::modules::text_of;

/// The portal's sample sends a title and a description only: the description is what is said, in the company's default channel.
pub(super) fn complete(cx: &mut Cx<'_, '_>, message: &mut Record) -> Result<()> {
    if !message.has("body") {
        let words = if message.description().is_empty() { message.title() } else { message.description() };
        let words = words.to_owned();
        message.set("body", words);
    }
    if !message.has("body") {
        let error = required();
        return Err(Problem::field("body", error.code, error.message));
    }
    let mut channel = match message.id_in("channel") {
        Some(id) => cx.get("chat/channels", id)?,
        None => default_channel(cx)?,
    };
    if !may_see(cx, &channel) {
        // in the words of a channel that is not there
        let error = no_such_record(channel.id());
        return Err(Problem::field("channel", error.code, error.message));
    }
    if channel.status() == "archived" {
        return Err(archived());
    }
    message.set("channel", channel.id());
    if let Some(answered) = message.id_in("reply_to")
        && cx.get("chat/messages", answered)?.id_in("channel") != Some(channel.id())
    {
        let error = no_such_record(answered);
        return Err(Problem::field("reply_to", error.code, error.message));
    }
    // Whoever speaks in an open channel has joined it.
    if let Some(user) = cx.user()
        && !is_member(&channel, user)
    {
        channel = cx.lock("chat/channels", channel.id())?;
        if !is_member(&channel, user) {
            admit(cx, &mut channel, user)?;
            cx.save(&mut channel)?;
        }
    }
    Ok(())
}

/// Only the author changes words, and a change shows.
pub(super) fn guard_update(cx: &mut Cx<'_, '_>, before: &Record, message: &mut Record) -> Result<()> {
    access(cx, before)?;
    if before.status() == "deleted" {
        return Err(Problem::conflict("message_deleted", "The message was deleted."));
    }
    let words = ["body", "title", "description", "attachments"];
    if words.iter().any(|field| before.value(field) != message.value(field)) {
        is_author(cx, before)?;
        require_open(cx, message, &Input::default())?;
        if !message.has("body") {
            let error = required();
            return Err(Problem::field("body", error.code, error.message));
        }
        message.set_status("edited");
        message.set("edited_at", cx.now());
    }
    Ok(())
}

pub(super) fn guard_delete(cx: &mut Cx<'_, '_>, message: &mut Record) -> Result<()> {
    access(cx, message)
}

pub(super) fn guard_edit(cx: &mut Cx<'_, '_>, message: &mut Record, input: &Input) -> Result<()> {
    access(cx, message)?;
    is_author(cx, message)?;
    require_open(cx, message, input)
}

/// Authors take back their own words; whoever may delete messages takes back anybody's.
pub(super) fn require_author_or_keeper(cx: &mut Cx<'_, '_>, message: &mut Record, _: &Input) -> Result<()> {
    access(cx, message)?;
    if cx.tenant.may("chat.messages.delete") { Ok(()) } else { is_author(cx, message) }
}

/// An archived channel is read, and words are taken back there; nothing else changes in it.
pub(super) fn require_open(cx: &mut Cx<'_, '_>, message: &mut Record, _: &Input) -> Result<()> {
    access(cx, message)?;
    let Some(channel) = message.id_in("channel") else { return Ok(()) };
    match cx.find("chat/channels", channel)? {
        Some(channel) if channel.status() == "archived" => Err(archived()),
        _ => Ok(()),
    }
}

fn archived() -> Problem {
    Problem::conflict("channel_archived", "The channel is archived; nothing can be said there.")
}

pub(super) fn blank(_: &mut Cx<'_, '_>, message: &mut Record, _: &Input) -> Result<()> {
    message.set("body", "");
    message.set("title", "");
    message.set("description", "");
    message.set("attachments", Value::Null);
    message.set("pinned_at", Value::Null);
    Ok(())
}

pub(super) fn unpin(cx: &mut Cx<'_, '_>, message: &mut Record, _: &Input) -> Result<()> {
    access(cx, message)?;
    message.set("pinned_at", Value::Null);
    Ok(())
}

pub(super) fn react(cx: &mut Cx<'_, '_>, message: &mut Record, input: &Input) -> Result<()> {
    access(cx, message)?;
    if find_reaction(cx, message, input)?.is_some() {
        return Ok(());
    }
    let body = json!({
        "channel": text_of(message.id_in("channel")),
        "message": message.id().to_string(),
        "user": text_of(cx.user()),
        "emoji": input.text("emoji"),
        "workspace": text_of(message.workspace()),
    });
    cx.create("chat/reactions", &body)?;
    Ok(())
}

pub(super) fn unreact(cx: &mut Cx<'_, '_>, message: &mut Record, input: &Input) -> Result<()> {
    access(cx, message)?;
    match find_reaction(cx, message, input)? {
        Some(reaction) => cx.delete("chat/reactions", reaction),
        None => Ok(()),
    }
}

fn find_reaction(cx: &mut Cx<'_, '_>, message: &Record, input: &Input) -> Result<Option<Uuid>> {
    let which = Where::new()
        .eq("message", message.id())
        .eq("user", cx.user())
        .eq("emoji", input.text("emoji").unwrap_or_default())
        .limit(1);
    Ok(cx.select("chat/reactions", &which)?.first().map(Record::id))
}

pub(super) fn guard_forward(cx: &mut Cx<'_, '_>, message: &mut Record, _: &Input) -> Result<()> {
    access(cx, message)?;
    cx.tenant.require("chat.messages.create")
}

/// The message's own channel stays: the input goes to the repetition only.
pub(super) fn forward(cx: &mut Cx<'_, '_>, message: &mut Record, input: &Input) -> Result<()> {
    let body = json!({
        "channel": text_of(input.id_in("to")),
        "title": message.title(),
        "body": message.text("body"),
        "attachments": message.json("attachments"),
        "forwarded_from": message.id().to_string(),
        "workspace": text_of(message.workspace()),
    });
    cx.create("chat/messages", &body)?;
    Ok(())
}

fn is_author(cx: &Cx<'_, '_>, message: &Record) -> Result<()> {
    match cx.user() {
        Some(user) if message.id_in("author") != Some(user) => Err(Problem::permission_denied()),
        _ => Ok(()),
    }
}

/// Whether the caller may see the message's channel.
///
/// # Errors
/// 404.
fn access(cx: &mut Cx<'_, '_>, message: &Record) -> Result<()> {
    let Some(channel) = message.id_in("channel") else { return Ok(()) };
    match cx.find("chat/channels", channel)? {
        Some(channel) => require_access(cx, &channel),
        None => Ok(()),
    }
}
