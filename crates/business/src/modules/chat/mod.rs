//! Chat: channels and messages of a company's people.

mod channel;
mod member;
mod message;
mod presence;
mod store;
mod visitor;
mod widget;

use crate::define::*;

pub fn module() -> Module {
    let module = Module::new("chat", "Chat")
        .description("Channels and messages between the people of a company, and with the visitors of its website.")
        .resource(channels())
        .resource(messages())
        .resource(memberships())
        .resource(reactions())
        .resource(read_receipts())
        .resource(widget::resource())
        .operation(presence::list())
        .operation(presence::tell())
        .operation(
            Custom::get("unread", "unread/", member::unread)
                .summary("Count what the caller has not read")
                .help("Every channel that the caller is a member of, with the messages of others since the caller last read there. Muted channels do not count into the total.")
                .permission("channels.view")
                .answer(member::unread_schema()),
        )
        .setting(boolean("public").default(true).help("Whether visitors of websites may use the company's widgets."))
        .tables(|_| store::tables());
    visitor::operations().into_iter().fold(module, Module::operation)
}

fn channels() -> Resource {
    Resource::unnumbered("channels")
        .help("A place to talk. A private one exists for its members only.")
        .title_optional()
        .field(choice("kind", &["direct", "group", "support"]).default("group").fixed().help("Who talks here."))
        .field(
            choice("visibility", &["public", "private"])
                .nullable()
                .help("Whether everybody in the company finds it, or its members only. Direct channels are private, others public unless said otherwise."),
        )
        .field(text("topic", 500).help("What the talk is about."))
        .field(
            tags("members")
                .help("Ids of the users who are members. Given at creation; afterwards `join`, `leave` and `invite` change it.")
                .fixed(),
        )
        .field(reference("widget", "chat/widgets").read_only().help("The widget that a visitor came by."))
        .field(text("visitor_name", 120).personal(Personal::Name).read_only().help("How the visitor wants to be called."))
        .field(email("visitor_email").personal(Personal::Contact).read_only().sparse().help("Where an answer reaches the visitor later."))
        .field(text("visitor_page", 500).personal(Personal::Other).read_only().help("The page that the visitor was on."))
        .field(boolean("is_default").default(false).read_only().help("Takes messages that name no channel."))
        .states(&["active", "archived"])
        .action(Action::new("join", &["active"]).effect(channel::join).routine().help("Become a member."))
        .action(Action::new("leave", &[]).effect(channel::leave).routine().help("Be a member no longer."))
        .action(
            Action::new("invite", &["active"])
                .input(user("user").required().help("Who is to be a member."))
                .effect(channel::invite)
                .routine()
                .help("Make somebody a member."),
        )
        .action(Action::new("mute", &[]).effect(channel::mute).routine().help("Be left in peace by it."))
        .action(Action::new("unmute", &[]).effect(channel::unmute).routine().help("Hear of it again."))
        .action(
            Action::new("read", &[])
                .input(reference("up_to", "chat/messages").help("The last message that was read; the newest when absent."))
                .effect(channel::read)
                .routine()
                .help("Say how far you have read. It never goes back."),
        )
        .action(
            Action::new("typing", &["active"])
                .guard(channel::require_member_to_act)
                .event("typing")
                .routine()
                .help("Tell the others that you are writing. Nothing is kept."),
        )
        .action(
            Action::to("archive", &["active"], "archived")
                .guard(channel::guard_archive)
                .help("Close the channel; its messages stay readable."),
        )
        .action(
            Action::to("reopen", &["archived"], "active")
                .guard(channel::require_member_to_act)
                .help("Open the channel again."),
        )
        .seen_by_members("visibility", "public", "members")
        .search(&["title", "description", "topic"])
        .before_create(channel::complete)
        .after_create(channel::enrol)
        .before_update(channel::guard_update)
        .before_delete(channel::guard_delete)
}

fn messages() -> Resource {
    Resource::unnumbered("messages")
        .seen_through("channel")
        .help("One message in a channel. Without a channel it goes to the company's default one.")
        .personal()
        .title_optional()
        .field(
            reference("channel", "chat/channels")
                .personal(Personal::Subject)
                .fixed()
                .help("Where it was said; the default channel when absent."),
        )
        .field(
            user("author")
                .preset(Preset::Caller)
                .read_only()
                .help("Who said it; nobody of the company's for a visitor's words."),
        )
        .field(boolean("from_visitor").default(false).read_only().help("Said by the visitor of a website."))
        .field(
            long_text("body")
                .personal(Personal::Other)
                .help("What was said; the description, else the title, when absent."),
        )
        .field(reference("reply_to", "chat/messages").fixed().help("The message that this one answers."))
        .field(json("attachments").help("What comes with it: a list of names and addresses."))
        .field(reference("forwarded_from", "chat/messages").read_only().help("The message that it repeats."))
        .field(date_time("edited_at").read_only().help("When it was last changed."))
        .field(date_time("pinned_at").read_only().help("Since when it is pinned."))
        .states(&["sent", "edited", "deleted"])
        .automatic(&["edited"])
        .action(
            Action::to("edit", &["sent", "edited"], "edited")
                .input(long_text("body").required().help("What it says from now on."))
                .guard(message::guard_edit)
                .stamps("edited_at")
                .routine()
                .help("Say it otherwise. Only its author can."),
        )
        .action(
            Action::to("delete", &["sent", "edited"], "deleted")
                .guard(message::require_author_or_keeper)
                .effect(message::blank)
                .routine()
                .help("Take it back: its words go, its place stays."),
        )
        .action(
            Action::new("react", &["sent", "edited"])
                .input(text("emoji", 32).required().help("The reaction.").example("👍"))
                .guard(message::require_open)
                .effect(message::react)
                .routine()
                .help("Add a reaction; the same one twice counts once."),
        )
        .action(
            Action::new("unreact", &[])
                .input(text("emoji", 32).required().help("The reaction.").example("👍"))
                .effect(message::unreact)
                .routine()
                .help("Take a reaction back."),
        )
        .action(
            Action::new("pin", &["sent", "edited"])
                .guard(message::require_open)
                .stamps("pinned_at")
                .routine()
                .help("Keep it at hand."),
        )
        .action(Action::new("unpin", &[]).effect(message::unpin).routine().help("Keep it at hand no longer."))
        .action(
            Action::new("forward", &["sent", "edited"])
                .input(reference("to", "chat/channels").required().help("Where to repeat it."))
                .guard(message::guard_forward)
                .after(message::forward)
                .routine()
                .help("Repeat it in another channel."),
        )
        .search(&["title", "body"])
        .before_create(message::complete)
        .before_update(message::guard_update)
        .before_delete(message::guard_delete)
}

fn memberships() -> Resource {
    Resource::unnumbered("memberships")
        .seen_through("channel")
        .help("Somebody in a channel.")
        .title_optional()
        .field(reference("channel", "chat/channels").help("The channel."))
        .field(user("user").help("Who."))
        .field(choice("role", &["owner", "member"]).default("member").help("Whoever made the channel owns it."))
        .field(boolean("is_muted").default(false).help("Wants to be left in peace."))
        .field(reference("last_read", "chat/messages").help("The last message that this member has read."))
        .states(&["active", "left"])
        .unique(&["channel", "user"])
        .search(&["title"])
        .read_only()
}

fn reactions() -> Resource {
    Resource::unnumbered("reactions")
        .seen_through("channel")
        .help("One person's reaction to a message.")
        .title_optional()
        .field(reference("channel", "chat/channels").help("The message's channel."))
        .field(reference("message", "chat/messages").required().help("The message."))
        .field(user("user").required().help("Whose reaction."))
        .field(text("emoji", 32).required().help("The reaction."))
        .states(&["kept"])
        .unique(&["message", "user", "emoji"])
        .search(&["emoji"])
        .read_only()
}

fn read_receipts() -> Resource {
    Resource::unnumbered("read-receipts")
        .seen_through("channel")
        .help("How far somebody has read in a channel.")
        .title_optional()
        .field(reference("channel", "chat/channels").help("The channel."))
        .field(user("user").help("Who."))
        .field(reference("message", "chat/messages").help("The last message that was read."))
        .field(date_time("read_at").help("When."))
        .states(&["kept"])
        .unique(&["channel", "user"])
        .search(&["title"])
        .read_only()
}
