//! Chat: channels and messages of a company's people.

use crate::define::*;

pub fn module() -> Module {
    Module::new("chat", "Chat")
        .description("Channels and messages between the people of a company.")
        .resource(channels())
        .resource(messages())
}

fn channels() -> Resource {
    Resource::unnumbered("channels")
        .help("A place to talk.")
        .field(choice("kind", &["direct", "group", "support"]).default("group").help("Who talks here."))
        .field(text("topic", 500).help("What the talk is about."))
        .field(boolean("is_default").default(false).read_only().help("Takes messages that name no channel."))
        .states(&["active", "archived"])
        .action(Action::to("archive", &["active"], "archived").help("Close the channel; its messages stay readable."))
        .action(Action::to("reopen", &["archived"], "active").help("Open the channel again."))
}

fn messages() -> Resource {
    Resource::unnumbered("messages")
        .help("One message in a channel. Without a channel it goes to the company's default one.")
        .title_optional()
        .field(reference("channel", "chat/channels").help("Where it was said; the default channel when absent."))
        .field(long_text("body").help("What was said; the description when absent."))
        .field(reference("reply_to", "chat/messages").help("The message that this one answers."))
        .search(&["title", "body"])
        .before_create(complete_message)
}

/// The portal's sample sends a title and a description only: the description is what is said, in the company's default channel.
fn complete_message(cx: &mut Cx<'_, '_>, message: &mut Record) -> Result<()> {
    if !message.has("body") {
        let words = message.description().to_owned();
        message.set("body", words);
    }
    if !message.has("channel") {
        let channel = default_channel(cx)?;
        message.set("channel", channel);
    }
    Ok(())
}

/// The company's default channel; made at its first message.
fn default_channel(cx: &mut Cx<'_, '_>) -> Result<Uuid> {
    let known = Where::new().eq("is_default", true).limit(1);
    if let Some(channel) = cx.select("chat/channels", &known)?.first() {
        return Ok(channel.id());
    }
    cx.tx.lock(&format!("chat.default_channel:{}", cx.company().0))?;
    if let Some(channel) = cx.select("chat/channels", &known)?.first() {
        return Ok(channel.id());
    }
    let body = serde_json::json!({"title": "General", "kind": "group", "is_default": true, "workspace": null});
    Ok(cx.create("chat/channels", &body)?.id())
}
