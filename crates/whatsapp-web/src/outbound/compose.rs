//! What a message of ours looks like to WhatsApp. Pure.

use loopd_types::Timestamp;
use loopd_wave::engine::{Content, Failure};
use whatsapp_rust::Jid;
use whatsapp_rust::media::{self, AudioOptions, DocumentOptions, ImageOptions, VideoOptions};
use whatsapp_rust::prelude::{MessageBuilderExt as _, MessageField, wa};
use whatsapp_rust::upload::UploadResponse;
use whatsapp_rust::wacore::proto_helpers::{build_quote_context, build_reaction_message};

/// The message that is answered or reacted to, as far as it is known here.
#[derive(Clone, Debug)]
pub struct Target {
    pub id: String,
    pub from_me: bool,
    /// Who wrote it.
    pub author: Jid,
    pub text: Option<String>,
}

/// The message for a conversation with `to`.
///
/// # Errors
/// What cannot be said so, in words.
pub fn message(
    content: &Content,
    to: &Jid,
    target: Option<&Target>,
    upload: Option<UploadResponse>,
    now: Timestamp,
) -> Result<wa::Message, Failure> {
    let text = content.text.clone().unwrap_or_default();
    let quote = target.filter(|_| content.kind != "reaction").map(quoted);
    if let Some(upload) = upload {
        return Ok(file(content, upload, quote));
    }
    Ok(match content.kind.as_str() {
        "text" => match quote {
            Some(quote) => wa::Message::text_with_context(text, quote),
            None => wa::Message::text(text),
        },
        "reaction" => {
            let target = target.ok_or_else(|| unsupported("The message that this reacts to is not known here."))?;
            build_reaction_message(
                key(to, target),
                content.extra["emoji"].as_str().unwrap_or_default(),
                now.micros() / 1_000,
            )
        }
        "location" => wa::Message {
            location_message: MessageField::some(wa::message::LocationMessage {
                degrees_latitude: content.extra["latitude"].as_f64(),
                degrees_longitude: content.extra["longitude"].as_f64(),
                name: content.extra["name"].as_str().map(str::to_owned),
                address: content.extra["address"].as_str().map(str::to_owned),
                context_info: quote.map(MessageField::some).unwrap_or_default(),
                ..Default::default()
            }),
            ..Default::default()
        },
        "image" | "video" | "audio" | "document" | "sticker" => {
            return Err(unsupported("The file of this message is gone."));
        }
        "template" => return Err(unsupported("Templates are for numbers of the Cloud API. Write a text.")),
        "interactive" => {
            return Err(unsupported(
                "WhatsApp shows no buttons or lists of linked devices. Write the choices as a text.",
            ));
        }
        other => return Err(unsupported(&format!("This number cannot send a message of the kind {other}."))),
    })
}

/// The words that are answered, as they stand above the answer.
fn quoted(target: &Target) -> wa::ContextInfo {
    let said = wa::Message { conversation: Some(target.text.clone().unwrap_or_default()), ..Default::default() };
    build_quote_context(target.id.clone(), target.author.to_non_ad_string(), &said)
}

fn key(to: &Jid, target: &Target) -> wa::MessageKey {
    wa::MessageKey {
        remote_jid: Some(to.to_non_ad_string()),
        from_me: Some(target.from_me),
        id: Some(target.id.clone()),
        // Only in a group is it said who wrote what.
        participant: (to.server == whatsapp_rust::Server::Group && !target.from_me)
            .then(|| target.author.to_non_ad_string()),
    }
}

fn file(content: &Content, upload: UploadResponse, quote: Option<wa::ContextInfo>) -> wa::Message {
    let media = content.media.clone().unwrap_or_default();
    let mimetype = Some(media.content_type).filter(|it| !it.is_empty());
    let (caption, context_info) = (content.text.clone().filter(|text| !text.is_empty()), quote.map(Box::new));
    match content.kind.as_str() {
        "image" => media::image_message(upload, ImageOptions { caption, mimetype, context_info, ..Default::default() }),
        "video" => media::video_message(upload, VideoOptions { caption, mimetype, context_info, ..Default::default() }),
        "audio" => media::audio_message(upload, AudioOptions { mimetype, context_info, ..Default::default() }),
        "sticker" => wa::Message {
            sticker_message: MessageField::some(wa::message::StickerMessage {
                url: Some(upload.url),
                direct_path: Some(upload.direct_path),
                media_key: Some(upload.media_key.to_vec()),
                file_sha256: Some(upload.file_sha256.to_vec()),
                file_enc_sha256: Some(upload.file_enc_sha256.to_vec()),
                file_length: Some(upload.file_length),
                media_key_timestamp: Some(upload.media_key_timestamp),
                mimetype,
                context_info: context_info.map(|it| MessageField::some(*it)).unwrap_or_default(),
                ..Default::default()
            }),
            ..Default::default()
        },
        _ => {
            let options =
                DocumentOptions { mimetype, file_name: media.name, caption, context_info, ..Default::default() };
            media::document_message(upload, options)
        }
    }
}

fn unsupported(words: &str) -> Failure {
    Failure { code: "not_supported".to_owned(), words: words.to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use whatsapp_rust::prelude::MessageExt as _;

    use super::*;

    fn jid(text: &str) -> Jid {
        text.parse().unwrap()
    }

    fn target(from_me: bool) -> Target {
        Target {
            id: "ABC".into(),
            from_me,
            author: jid("250788123456@s.whatsapp.net"),
            text: Some("Is it open?".into()),
        }
    }

    fn built(content: &Content, to: &str, target: Option<&Target>) -> wa::Message {
        message(content, &jid(to), target, None, Timestamp(1_000_000)).unwrap()
    }

    #[test]
    fn a_text_is_a_text_and_an_answer_stands_below_what_it_answers() {
        let plain = built(&Content::text("Yes"), "250788123456@s.whatsapp.net", None);
        assert_eq!(plain.text_content(), Some("Yes"));
        let answer = built(&Content::text("Yes"), "250788123456@s.whatsapp.net", Some(&target(false)));
        assert_eq!(answer.text_content(), Some("Yes"));
        let context = answer.extended_text_message.as_option().unwrap().context_info.as_option().unwrap();
        assert_eq!(context.stanza_id.as_deref(), Some("ABC"));
        assert_eq!(context.participant.as_deref(), Some("250788123456@s.whatsapp.net"));
        assert_eq!(context.quoted_message.as_option().unwrap().text_content(), Some("Is it open?"));
    }

    #[test]
    fn a_reaction_names_the_author_in_a_group_alone() {
        let content = Content { kind: "reaction".into(), extra: json!({"emoji": "👍"}), ..Content::default() };
        let key = |to: &str, from_me: bool| {
            let told = built(&content, to, Some(&target(from_me)));
            let reaction = told.reaction_message.as_option().unwrap().clone();
            assert_eq!(reaction.text.as_deref(), Some("👍"));
            reaction.key.as_option().unwrap().clone()
        };
        let alone = key("250788123456@s.whatsapp.net", false);
        assert_eq!((alone.id.as_deref(), alone.from_me, alone.participant), (Some("ABC"), Some(false), None));
        assert_eq!(key("120363021033254949@g.us", false).participant.as_deref(), Some("250788123456@s.whatsapp.net"));
        assert_eq!(key("120363021033254949@g.us", true).participant, None);
        assert!(message(&content, &jid("250788123456@s.whatsapp.net"), None, None, Timestamp(0)).is_err());
    }

    #[test]
    fn what_linked_devices_cannot_say_is_refused_in_words() {
        for kind in ["template", "interactive", "image", "poll"] {
            let content = Content { kind: kind.into(), ..Content::default() };
            let refused = message(&content, &jid("250788123456@s.whatsapp.net"), None, None, Timestamp(0)).unwrap_err();
            assert_eq!(refused.code, "not_supported", "{kind}");
        }
    }

    #[test]
    fn a_place_has_its_shape() {
        let extra = json!({"latitude": -1.95, "longitude": 30.06, "name": "Kigali"});
        let place = built(
            &Content { kind: "location".into(), extra, ..Content::default() },
            "250788123456@s.whatsapp.net",
            None,
        );
        assert_eq!(place.location_message.as_option().unwrap().degrees_latitude, Some(-1.95));
    }
}
