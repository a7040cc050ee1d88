//! What a message of WhatsApp's says, in our words. Nothing here touches the database.
//!
//! What is not understood is kept by its name, as `unsupported`; what is no message to anybody (keys, receipts between devices, somebody
//! taking a message back) is nothing.

use loopd_types::{SECOND_US, Timestamp};
use loopd_wave::engine::{Content, Media, Received};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use whatsapp_rust::prelude::{InboundMessage, MessageExt as _, MessageInfo, wa};
use whatsapp_rust::wacore::download::MediaType;
use whatsapp_rust::wacore::types::message::MessageCategory;
use whatsapp_rust::{Jid, Server};

use super::address::{address, identities};

/// What opens a file of WhatsApp's, which lies there encrypted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Locked {
    pub direct_path: String,
    pub media_key: Vec<u8>,
    pub file_sha256: Vec<u8>,
    pub file_enc_sha256: Vec<u8>,
    pub file_length: u64,
    /// Ours: `image`, `video`, `audio`, `document`, `sticker`.
    pub kind: String,
}

/// How WhatsApp derives the keys of each kind.
pub fn media_type(kind: &str) -> MediaType {
    match kind {
        "image" => MediaType::Image,
        "video" => MediaType::Video,
        "audio" => MediaType::Audio,
        "sticker" => MediaType::Sticker,
        _ => MediaType::Document,
    }
}

/// A message that came in, and what opens its file.
#[derive(Clone, Debug)]
pub struct Read {
    pub received: Received,
    pub locked: Option<Locked>,
}

/// Reads a message that came in, or that the shop's own telephone sent. `other` is what the conversation's other side is also known by.
/// `None` for what is no message to anybody.
pub fn inbound(item: &InboundMessage, other: Option<&Jid>, now: Timestamp) -> Option<Read> {
    let info: &MessageInfo = &item.info;
    if info.category == MessageCategory::Peer {
        return None;
    }
    let (mut content, locked) = content(&item.message)?;
    let source = &info.source;
    let is_group = source.chat.server == Server::Group;
    // What somebody sends to a list of theirs is to each of us alone.
    let is_listed = source.chat.server == Server::Broadcast && source.broadcast_list_owner.is_some();
    let chat = if is_listed && !source.is_from_me { &source.sender } else { &source.chat };
    let alternative = if source.is_from_me {
        source.recipient_alt.as_ref().or(info.peer_recipient_pn.as_ref())
    } else {
        source.sender_alt.as_ref()
    };
    let (chat, identities) = match is_group {
        true => (address(chat)?, Vec::new()),
        false => {
            let all = identities(&[Some(chat), alternative, other]);
            (all.first()?.clone(), all)
        }
    };
    let push_name = clean(&info.push_name).filter(|_| !source.is_from_me);
    let mut author = None;
    if is_group && !source.is_from_me {
        author = push_name.clone().or_else(|| author_of(source.sender_alt.as_ref().or(Some(&source.sender))));
        signed(&mut content, &source.sender);
    }
    Some(Read {
        received: Received {
            wa_id: info.id.clone(),
            chat,
            identities,
            push_name: push_name.filter(|_| !is_group),
            author,
            from_me: source.is_from_me,
            content,
            at: moment(info.timestamp.timestamp(), now),
            is_history: false,
        },
        locked,
    })
}

/// Somebody of a group without a name, by their number.
pub(super) fn author_of(jid: Option<&Jid>) -> Option<String> {
    let address = address(jid?)?;
    Some(address.telephone().unwrap_or_else(|| address.user().to_owned()))
}

/// Keeps who wrote in a group: whoever answers or reacts must name them.
pub(super) fn signed(content: &mut Content, author: &Jid) {
    if content.extra.is_null() {
        content.extra = json!({});
    }
    if let Some(members) = content.extra.as_object_mut() {
        members.insert(AUTHOR.to_owned(), author.to_non_ad_string().into());
    }
}

/// The member of a message's `extra` that names its author's address, in a group. No answer shows it.
pub const AUTHOR: &str = "author_jid";

/// Unix seconds; never later than now, so that nothing stands on top for ever.
pub fn moment(seconds: i64, now: Timestamp) -> Timestamp {
    if (1..=now.seconds()).contains(&seconds) { Timestamp(seconds * SECOND_US) } else { now }
}

/// A text without what no database can hold; `None` for nothing.
fn clean(text: &str) -> Option<String> {
    let plain: String = text.chars().filter(|letter| *letter != '\0').collect();
    (!plain.trim().is_empty()).then_some(plain)
}

fn cleaned(text: Option<&String>) -> Option<String> {
    clean(text?)
}

/// What a message says, and what opens its file.
pub fn content(message: &wa::Message) -> Option<(Content, Option<Locked>)> {
    let base = message.get_base_message();
    if let Some(protocol) = base.protocol_message.as_option() {
        return edited(protocol);
    }
    if let Some((content, locked)) = file(base) {
        return Some((content, Some(locked).filter(|locked| !locked.direct_path.is_empty())));
    }
    words(base)
        .or_else(|| choice(base))
        .or_else(|| thing(base))
        .or_else(|| unknown(base))
        .map(|content| (content, None))
}

/// A message whose words were changed: the new ones, as an answer to the old. Whoever takes a message back leaves it here.
fn edited(protocol: &wa::message::ProtocolMessage) -> Option<(Content, Option<Locked>)> {
    let (mut content, _) = content(protocol.edited_message.as_option()?)?;
    content.text.as_ref()?;
    content.kind = "text".to_owned();
    content.media = None;
    content.reply_to = protocol.key.as_option().and_then(|key| cleaned(key.id.as_ref()));
    content.extra = json!({"edit": true});
    Some((content, None))
}

fn answered(context: Option<&wa::ContextInfo>) -> Option<String> {
    cleaned(context?.stanza_id.as_ref())
}

fn words(base: &wa::Message) -> Option<Content> {
    if let Some(text) = cleaned(base.conversation.as_ref()) {
        return Some(Content::text(text));
    }
    let extended = base.extended_text_message.as_option()?;
    let text = cleaned(extended.text.as_ref())?;
    Some(Content { reply_to: answered(extended.context_info.as_option()), ..Content::text(text) })
}

/// The fields that all kinds of files have, whatever type they are of.
macro_rules! locked {
    ($kind:expr, $file:expr) => {
        Locked {
            direct_path: $file.direct_path.clone().unwrap_or_default(),
            media_key: $file.media_key.clone().unwrap_or_default(),
            file_sha256: $file.file_sha256.clone().unwrap_or_default(),
            file_enc_sha256: $file.file_enc_sha256.clone().unwrap_or_default(),
            file_length: $file.file_length.unwrap_or_default(),
            kind: $kind.to_owned(),
        }
    };
}

fn file(base: &wa::Message) -> Option<(Content, Locked)> {
    let of =
        |kind: &str, mimetype: Option<&String>, caption: Option<String>, reply_to: Option<String>, locked: &Locked| {
            Content {
                kind: kind.to_owned(),
                text: caption,
                media: Some(Media {
                    content_type: cleaned(mimetype).unwrap_or_default(),
                    size_bytes: i64::try_from(locked.file_length).ok(),
                    sha256: (locked.file_sha256.len() == 32).then(|| loopd_types::hex(&locked.file_sha256)),
                    ..Media::default()
                }),
                reply_to,
                extra: Json::Null,
            }
        };
    if let Some(image) = base.image_message.as_option() {
        let locked = locked!("image", image);
        let reply_to = answered(image.context_info.as_option());
        return Some((
            of("image", image.mimetype.as_ref(), cleaned(image.caption.as_ref()), reply_to, &locked),
            locked,
        ));
    }
    if let Some(video) = base.video_message.as_option().or(base.ptv_message.as_option()) {
        let locked = locked!("video", video);
        let reply_to = answered(video.context_info.as_option());
        return Some((
            of("video", video.mimetype.as_ref(), cleaned(video.caption.as_ref()), reply_to, &locked),
            locked,
        ));
    }
    if let Some(audio) = base.audio_message.as_option() {
        let locked = locked!("audio", audio);
        let mut content = of("audio", audio.mimetype.as_ref(), None, answered(audio.context_info.as_option()), &locked);
        if audio.ptt == Some(true) {
            content.extra = json!({"voice": true});
        }
        return Some((content, locked));
    }
    if let Some(document) = base.document_message.as_option() {
        let locked = locked!("document", document);
        let reply_to = answered(document.context_info.as_option());
        let caption = cleaned(document.caption.as_ref());
        let mut content = of("document", document.mimetype.as_ref(), caption, reply_to, &locked);
        if let Some(media) = &mut content.media {
            media.name = cleaned(document.file_name.as_ref()).or_else(|| cleaned(document.title.as_ref()));
        }
        return Some((content, locked));
    }
    let sticker = base.sticker_message.as_option()?;
    let locked = locked!("sticker", sticker);
    let reply_to = answered(sticker.context_info.as_option());
    Some((of("sticker", sticker.mimetype.as_ref(), None, reply_to, &locked), locked))
}

/// What somebody tapped or chose.
fn choice(base: &wa::Message) -> Option<Content> {
    let of = |id: Option<&String>, title: Option<String>, reply_to: Option<String>| Content {
        kind: "interactive".to_owned(),
        extra: json!({"id": cleaned(id), "title": title}),
        text: title,
        reply_to,
        media: None,
    };
    if let Some(it) = base.list_response_message.as_option() {
        let chosen = it.single_select_reply.as_option().and_then(|reply| reply.selected_row_id.as_ref());
        return Some(of(chosen, cleaned(it.title.as_ref()), answered(it.context_info.as_option())));
    }
    if let Some(it) = base.template_button_reply_message.as_option() {
        let title = cleaned(it.selected_display_text.as_ref());
        return Some(of(it.selected_id.as_ref(), title, answered(it.context_info.as_option())));
    }
    if let Some(it) = base.buttons_response_message.as_option() {
        let title = it.response.as_ref().map(|response| match response {
            wa::message::buttons_response_message::Response::SelectedDisplayText(text) => text.clone(),
        });
        return Some(of(
            it.selected_button_id.as_ref(),
            title.and_then(|it| clean(&it)),
            answered(it.context_info.as_option()),
        ));
    }
    let it = base.interactive_response_message.as_option()?;
    let title = it.body.as_option().and_then(|body| cleaned(body.text.as_ref()));
    Some(of(None, title, answered(it.context_info.as_option())))
}

/// A place, a card, a reaction.
fn thing(base: &wa::Message) -> Option<Content> {
    let of = |kind: &str, text: Option<String>, extra: Json| Content {
        kind: kind.to_owned(),
        text,
        extra,
        ..Content::default()
    };
    if let Some(reaction) = base.reaction_message.as_option() {
        let emoji = cleaned(reaction.text.as_ref());
        let reply_to = reaction.key.as_option().and_then(|key| cleaned(key.id.as_ref()));
        return Some(Content {
            reply_to,
            ..of("reaction", emoji.clone(), json!({"emoji": emoji.unwrap_or_default()}))
        });
    }
    if let Some(place) = base.location_message.as_option() {
        let (name, address) = (cleaned(place.name.as_ref()), cleaned(place.address.as_ref()));
        let extra = json!({
            "latitude": place.degrees_latitude, "longitude": place.degrees_longitude, "name": name, "address": address,
        });
        return Some(of("location", name.or(address), extra));
    }
    if let Some(place) = base.live_location_message.as_option() {
        let text = cleaned(place.caption.as_ref());
        let extra = json!({"latitude": place.degrees_latitude, "longitude": place.degrees_longitude, "live": true});
        return Some(of("location", text, extra));
    }
    let card = |card: &wa::message::ContactMessage| (cleaned(card.display_name.as_ref()), cleaned(card.vcard.as_ref()));
    let cards: Vec<(Option<String>, Option<String>)> = match base.contact_message.as_option() {
        Some(one) => vec![card(one)],
        None => base.contacts_array_message.as_option()?.contacts.iter().map(card).collect(),
    };
    let names: Vec<&str> = cards.iter().filter_map(|(name, _)| name.as_deref()).collect();
    let text = clean(&names.join(", "));
    let extra: Vec<Json> =
        cards.iter().map(|(name, vcard)| json!({"name": {"formatted_name": name}, "vcard": vcard})).collect();
    Some(of("contacts", text, json!({"contacts": extra})))
}

/// Members of a message that say nothing to anybody.
const SILENT: [&str; 5] = [
    "message_context_info",
    "sender_key_distribution_message",
    "fast_ratchet_key_sender_key_distribution_message",
    "device_sent_message",
    "call",
];

/// Something of a kind that nobody knows here: kept by its name.
fn unknown(base: &wa::Message) -> Option<Content> {
    let told = serde_json::to_value(base).ok()?;
    let is_there = |value: &Json| !value.is_null() && value.as_array().is_none_or(|items| !items.is_empty());
    let kind =
        told.as_object()?.iter().find(|(name, value)| is_there(value) && !SILENT.contains(&name.as_str()))?.0.clone();
    let name = told[&kind]["name"].as_str().and_then(clean);
    Some(Content { kind: "unsupported".to_owned(), text: name, extra: json!({"type": kind}), ..Content::default() })
}

#[cfg(test)]
mod tests;
