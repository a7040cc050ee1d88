//! A message as Meta writes it, in our words.

use loopd_types::{Timestamp, sha256_hex};
use serde_json::{Value as Json, json};

use super::super::super::content::MEDIA;
use super::{list, moment};
use crate::address::Address;
use crate::engine::{Content, Media, Received};

/// A message of a customer.
pub(super) fn inbound(message: &Json, value: &Json, now: Timestamp) -> Received {
    let text = |value: &Json| value.as_str().map(str::to_owned);
    let from = message["from"].as_str();
    let ids = || list(&value["contacts"]);
    // With one message its contact is the only one; with several the contact says whose it is.
    let contact = ids()
        .find(|it| from.is_some() && it["wa_id"].as_str() == from)
        .or_else(|| ids().find(|it| it["user_id"] == message["from_user_id"] && it["user_id"].is_string()))
        .or_else(|| ids().next().filter(|_| ids().count() == 1));
    let user = message["from_user_id"].as_str().or_else(|| contact?["user_id"].as_str());
    let phone = from.or_else(|| contact?["wa_id"].as_str()).and_then(Address::phone);
    let scoped = user.and_then(|id| Address::parse(&format!("{id}@bsuid")));
    let mut identities: Vec<Address> = phone.into_iter().chain(scoped).collect();
    if identities.is_empty() {
        identities.push(stranger(from.or(user).unwrap_or_default()));
    }
    Received {
        wa_id: text(&message["id"])
            .unwrap_or_else(|| format!("unnamed.{}", sha256_hex(message.to_string().as_bytes()))),
        chat: identities[0].clone(),
        identities,
        push_name: contact.and_then(|it| text(&it["profile"]["name"])),
        author: None,
        from_me: false,
        content: content(message),
        at: moment(&message["timestamp"], now),
        is_history: false,
    }
}

/// Somebody whose address is none that we know: kept all the same.
fn stranger(text: &str) -> Address {
    let plain: String = text.chars().filter(char::is_ascii_alphanumeric).take(60).collect();
    let name = if plain.is_empty() { "unknown" } else { &plain };
    Address::parse(&format!("{name}@bsuid")).expect("letters and digits are a name")
}

/// What the shop wrote on its own telephone.
pub(super) fn echo(message: &Json, now: Timestamp) -> Received {
    let to = message["to"].as_str().unwrap_or_default();
    let chat = Address::phone(to).or_else(|| Address::parse(&format!("{to}@bsuid"))).unwrap_or_else(|| stranger(to));
    let mut received = inbound(message, &Json::Null, now);
    received.identities = vec![chat.clone()];
    received.chat = chat;
    received.from_me = true;
    received
}

fn content(message: &Json) -> Content {
    let kind = message["type"].as_str().unwrap_or_default();
    let inner = &message[kind];
    let text = |value: &Json| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let mut content = Content { reply_to: text(&message["context"]["id"]), ..Content::default() };
    let of_kind = MEDIA.into_iter().find(|it| *it == kind);
    match kind {
        "text" if inner["body"].is_string() => content.text = text(&inner["body"]),
        _ if of_kind.is_some() && inner["id"].is_string() => {
            content.text = text(&inner["caption"]);
            content.media = Some(Media {
                engine_id: text(&inner["id"]),
                content_type: text(&inner["mime_type"]).unwrap_or_default(),
                name: text(&inner["filename"]),
                sha256: text(&inner["sha256"]),
                ..Media::default()
            });
            if inner["voice"] == true {
                content.extra = json!({"voice": true});
            }
        }
        "location" => {
            content.text = text(&inner["name"]).or_else(|| text(&inner["address"]));
            content.extra = inner.clone();
        }
        "contacts" => {
            let names: Vec<&str> = list(inner).filter_map(|it| it["name"]["formatted_name"].as_str()).collect();
            content.text = Some(names.join(", ")).filter(|names| !names.is_empty());
            content.extra = json!({"contacts": inner});
        }
        "interactive" => {
            let chosen = inner["type"].as_str().map(|kind| &inner[kind]).unwrap_or(&Json::Null);
            content.text = text(&chosen["title"]).or_else(|| text(&chosen["body"]));
            content.extra = inner.clone();
        }
        "reaction" => {
            content.text = text(&inner["emoji"]);
            content.reply_to = text(&inner["message_id"]);
            content.extra = json!({"emoji": inner["emoji"]});
        }
        // The answer of a template's button is a choice like that of any other.
        "button" => {
            content.text = text(&inner["text"]);
            content.extra = json!({"button": inner});
            content.kind = "interactive".to_owned();
        }
        _ => {
            content.text = text(&message["system"]["body"]);
            content.extra = message.clone();
            content.kind = "unsupported".to_owned();
        }
    }
    if content.kind.is_empty() {
        content.kind = kind.to_owned();
    }
    if message["referral"].is_object() && content.extra.is_null() {
        content.extra = json!({"referral": message["referral"]});
    }
    content
}
