//! What a message of ours looks like to the Graph API.

use loopd_types::Uuid;
use serde_json::{Map, Value as Json, json};

use crate::address::{Address, Server};
use crate::engine::{Content, Failure, Outgoing};

/// Kinds whose content is a file.
pub const MEDIA: [&str; 5] = ["image", "video", "audio", "document", "sticker"];

/// A message that Meta has approved the words of.
pub const TEMPLATE: &str = "template";

/// The body of `POST /{phone number}/messages`. `media` is Meta's id of the file that is sent with it.
///
/// # Errors
/// What it cannot say, in words.
pub fn body(outgoing: &Outgoing, media: Option<&str>) -> Result<Json, Failure> {
    let mut body = Map::new();
    body.insert("messaging_product".into(), "whatsapp".into());
    body.insert("recipient_type".into(), "individual".into());
    let (member, name) = recipient(&outgoing.to)?;
    body.insert(member.into(), name.into());
    // Comes back with every status: so what became of a message is known even when its answer was lost.
    body.insert("biz_opaque_callback_data".into(), outgoing.message.to_string().into());
    let content = &outgoing.content;
    let (kind, inner) = kind(content, media)?;
    if let Some(answered) = &content.reply_to
        && kind != "reaction"
    {
        body.insert("context".into(), json!({"message_id": answered}));
    }
    body.insert("type".into(), kind.into());
    body.insert(kind.into(), inner);
    Ok(Json::Object(body))
}

/// The message of ours that a status speaks of.
pub fn message_of(status: &Json) -> Option<Uuid> {
    Uuid::parse_str(status["biz_opaque_callback_data"].as_str()?).ok()
}

/// A person without a telephone number has a member of their own.
fn recipient(to: &Address) -> Result<(&'static str, &str), Failure> {
    match to.server() {
        Server::Phone => Ok(("to", to.user())),
        Server::BusinessScoped => Ok(("recipient", to.user())),
        Server::Lid | Server::Group => Err(unsupported("This number cannot write to groups or linked ids.")),
    }
}

fn kind(content: &Content, media: Option<&str>) -> Result<(&'static str, Json), Failure> {
    let (text, extra) = (content.text.as_deref().unwrap_or_default(), &content.extra);
    if let Some(kind) = MEDIA.into_iter().find(|kind| *kind == content.kind) {
        let id = media.ok_or_else(|| unsupported("The file of this message is gone."))?;
        return Ok((kind, file(kind, id, text, content)));
    }
    Ok(match content.kind.as_str() {
        "text" => ("text", json!({"preview_url": text.contains("://"), "body": text})),
        "reaction" => {
            let target = content.reply_to.as_deref().unwrap_or_default();
            ("reaction", json!({"message_id": target, "emoji": extra["emoji"].as_str().unwrap_or_default()}))
        }
        "interactive" => ("interactive", interactive(text, extra)),
        "location" => ("location", extra.clone()),
        "contacts" => ("contacts", extra["contacts"].clone()),
        TEMPLATE => {
            let components = components(content, media);
            (
                TEMPLATE,
                json!({"name": extra["name"], "language": {"code": extra["language"]}, "components": components}),
            )
        }
        other => return Err(unsupported(&format!("This number cannot send a message of the kind {other}."))),
    })
}

/// A template's components; a file of ours above it by Meta's id.
fn components(content: &Content, media: Option<&str>) -> Json {
    let mut components = content.extra["components"].clone();
    let all = components.as_array_mut().into_iter().flatten();
    for parameter in all.filter_map(|it| it.get_mut("parameters")?.as_array_mut()).flatten() {
        let Some(kind) = parameter["type"].as_str().map(str::to_owned) else { continue };
        if let (Some(id), true) = (media, parameter[&kind].get("file").is_some()) {
            parameter[&kind] = file(&kind, id, "", content);
        }
    }
    components
}

fn file(kind: &str, id: &str, caption: &str, content: &Content) -> Json {
    let mut file = json!({"id": id});
    // Sounds and stickers have no words below them.
    if !caption.is_empty() && !matches!(kind, "audio" | "sticker") {
        file["caption"] = caption.into();
    }
    if let ("document", Some(name)) = (kind, content.media.as_ref().and_then(|media| media.name.as_deref())) {
        file["filename"] = name.into();
    }
    file
}

/// `extra` is `{"buttons": [{id, title}]}` or `{"list": {button, sections: [{title, rows: [{id, title, description}]}]}}`, and may
/// have a `header` and a `footer`, which are words.
fn interactive(text: &str, extra: &Json) -> Json {
    let mut inner = json!({"body": {"text": text}});
    if let Some(header) = extra["header"].as_str() {
        inner["header"] = json!({"type": "text", "text": header});
    }
    if let Some(footer) = extra["footer"].as_str() {
        inner["footer"] = json!({"text": footer});
    }
    if extra["list"].is_object() {
        inner["type"] = "list".into();
        inner["action"] = extra["list"].clone();
    } else {
        let buttons = extra["buttons"].as_array().into_iter().flatten();
        let buttons: Vec<Json> = buttons.map(|it| json!({"type": "reply", "reply": it})).collect();
        inner["type"] = "button".into();
        inner["action"] = json!({"buttons": buttons});
    }
    inner
}

pub fn unsupported(words: &str) -> Failure {
    Failure { code: "not_supported".to_owned(), words: words.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Media;

    fn outgoing(to: &str, content: Content) -> Outgoing {
        Outgoing { message: Uuid::nil(), to: Address::parse(to).unwrap(), content, attempt: 1 }
    }

    #[test]
    fn a_text_names_its_message_and_what_it_answers() {
        let content = Content { reply_to: Some("wamid.A".into()), ..Content::text("See https://example.com") };
        assert_eq!(
            body(&outgoing("250788123456", content), None).unwrap(),
            json!({
                "messaging_product": "whatsapp", "recipient_type": "individual", "to": "250788123456", "type": "text",
                "text": {"preview_url": true, "body": "See https://example.com"}, "context": {"message_id": "wamid.A"},
                "biz_opaque_callback_data": "00000000-0000-0000-0000-000000000000",
            })
        );
    }

    #[test]
    fn a_person_without_a_number_is_written_to_by_their_id() {
        let body = body(&outgoing("RW.1502576394655843@bsuid", Content::text("Hi")), None).unwrap();
        assert_eq!((&body["recipient"], &body["to"]), (&json!("RW.1502576394655843"), &Json::Null));
    }

    #[test]
    fn files_buttons_lists_reactions_and_templates_have_their_shapes() {
        let media = Some(Media { name: Some("bill.pdf".into()), ..Media::default() });
        let of = |kind: &str, text: &str, extra: Json| Content {
            kind: kind.into(),
            text: Some(text.into()),
            media: media.clone(),
            extra,
            ..Content::default()
        };
        let inner = |content: Content, id: Option<&str>| {
            let kind = content.kind.clone();
            body(&outgoing("250788123456", content), id).unwrap()[&kind].clone()
        };
        assert_eq!(
            inner(of("document", "Your bill", Json::Null), Some("M1")),
            json!({"id": "M1", "caption": "Your bill", "filename": "bill.pdf"})
        );
        assert_eq!(inner(of("audio", "never shown", Json::Null), Some("M1")), json!({"id": "M1"}));
        let buttons = json!({"buttons": [{"id": "y", "title": "Yes"}], "footer": "Shop"});
        assert_eq!(
            inner(of("interactive", "Sure?", buttons), None),
            json!({
                "type": "button", "body": {"text": "Sure?"}, "footer": {"text": "Shop"},
                "action": {"buttons": [{"type": "reply", "reply": {"id": "y", "title": "Yes"}}]},
            })
        );
        let list = json!({"list": {"button": "Choose", "sections": []}});
        assert_eq!(inner(of("interactive", "Which?", list.clone()), None)["action"], list["list"]);
        let reaction = Content { reply_to: Some("wamid.A".into()), ..of("reaction", "", json!({"emoji": "👍"})) };
        assert_eq!(inner(reaction, None), json!({"message_id": "wamid.A", "emoji": "👍"}));
        let template = json!({"name": "hello", "language": "en", "components": []});
        assert_eq!(
            inner(of("template", "", template), None),
            json!({"name": "hello", "language": {"code": "en"}, "components": []})
        );
        let header = |file: Json| json!([{"type": "header", "parameters": [{"type": "document", "document": file}]}]);
        let template = json!({"name": "bill", "language": "en", "components": header(json!({"file": "F1"}))});
        let sent = inner(of("template", "", template), Some("M1"));
        assert_eq!(sent["components"], header(json!({"id": "M1", "filename": "bill.pdf"})));
    }

    #[test]
    fn what_cannot_be_said_is_refused_before_anything_is_sent() {
        assert_eq!(body(&outgoing("1-2@g.us", Content::text("Hi")), None).unwrap_err().code, "not_supported");
        let image = Content { kind: "image".into(), ..Content::default() };
        assert!(body(&outgoing("250788123456", image), None).is_err());
        let other = Content { kind: "poll".into(), ..Content::default() };
        assert!(body(&outgoing("250788123456", other), None).is_err());
    }
}
