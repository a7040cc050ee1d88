use std::sync::Arc;

use whatsapp_rust::chrono::DateTime;
use whatsapp_rust::prelude::{MessageBuilderExt as _, MessageField};
use whatsapp_rust::wacore::types::message::MessageSource;

use super::*;

const NOW: Timestamp = Timestamp(1_782_122_400_000_000);
const PHONE: &str = "250788123456@s.whatsapp.net";
const LID: &str = "100000012345678@lid";

fn jid(text: &str) -> Jid {
    text.parse().unwrap()
}

fn item(source: MessageSource, message: wa::Message) -> InboundMessage {
    let info = MessageInfo {
        source,
        id: "3EB0A".to_owned(),
        push_name: "Aline".to_owned(),
        timestamp: DateTime::from_timestamp(1_782_000_000, 0).unwrap(),
        ..MessageInfo::default()
    };
    InboundMessage::builder().message(Arc::new(message)).info(Arc::new(info)).build()
}

fn from(chat: &str, sender: &str) -> MessageSource {
    MessageSource { chat: jid(chat), sender: jid(sender), ..MessageSource::default() }
}

fn said(message: wa::Message) -> Content {
    content(&message).unwrap().0
}

#[test]
fn a_person_who_writes_by_a_hidden_id_is_the_one_of_their_number() {
    let source = MessageSource { sender_alt: Some(jid(PHONE)), ..from(LID, LID) };
    let read = inbound(&item(source, wa::Message::text("Hi")), None, NOW).unwrap().received;
    assert_eq!(read.chat.to_string(), PHONE);
    assert_eq!(read.identities.iter().map(ToString::to_string).collect::<Vec<_>>(), [PHONE, LID]);
    assert_eq!(
        (read.push_name.as_deref(), read.from_me, read.at),
        (Some("Aline"), false, Timestamp(1_782_000_000 * SECOND_US))
    );
    // What this device learned earlier counts where the message does not say.
    let read = inbound(&item(from(LID, LID), wa::Message::text("Hi")), Some(&jid(PHONE)), NOW).unwrap().received;
    assert_eq!(read.chat.to_string(), PHONE);
}

#[test]
fn what_the_shop_wrote_on_its_telephone_is_in_the_customers_chat() {
    let source =
        MessageSource { is_from_me: true, recipient: Some(jid(PHONE)), ..from(PHONE, "250788000001:0@s.whatsapp.net") };
    let read = inbound(&item(source, wa::Message::text("We are open")), None, NOW).unwrap().received;
    assert!(read.from_me);
    assert_eq!((read.chat.to_string().as_str(), read.push_name), (PHONE, None), "the name is the shop's own");
}

#[test]
fn in_a_group_the_author_is_kept_and_is_no_contact() {
    let source = MessageSource { is_group: true, ..from("120363021033254949@g.us", "250788123456:2@s.whatsapp.net") };
    let read = inbound(&item(source, wa::Message::text("Hi")), None, NOW).unwrap().received;
    assert_eq!((read.author.as_deref(), read.identities.len(), read.push_name), (Some("Aline"), 0, None));
    assert_eq!(read.content.extra[AUTHOR], PHONE);
}

#[test]
fn statuses_and_channels_are_no_messages() {
    for chat in ["status@broadcast", "120363021033254949@newsletter"] {
        assert!(inbound(&item(from(chat, PHONE), wa::Message::text("Hi")), None, NOW).is_none(), "{chat}");
    }
    let listed =
        MessageSource { broadcast_list_owner: Some(jid(PHONE)), is_group: true, ..from("1234567@broadcast", PHONE) };
    let read = inbound(&item(listed, wa::Message::text("Hi")), None, NOW).unwrap().received;
    assert_eq!(read.chat.to_string(), PHONE, "what somebody sends to a list is to each alone");
}

#[test]
fn words_answers_edits_and_reactions_are_read() {
    let context = wa::ContextInfo { stanza_id: Some("Q".into()), ..Default::default() };
    let answer = said(wa::Message::text_with_context("Yes\0", context));
    assert_eq!(
        (answer.text.as_deref(), answer.reply_to.as_deref()),
        (Some("Yes"), Some("Q")),
        "no database holds a NUL"
    );
    let key = || MessageField::some(wa::MessageKey { id: Some("Q".into()), ..Default::default() });
    let protocol = |edited: Option<wa::Message>| wa::Message {
        protocol_message: MessageField::some(wa::message::ProtocolMessage {
            key: key(),
            edited_message: edited.map(MessageField::some).unwrap_or_default(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let edit = said(protocol(Some(wa::Message::text("No"))));
    assert_eq!(
        (edit.text.as_deref(), edit.reply_to.as_deref(), &edit.extra["edit"]),
        (Some("No"), Some("Q"), &json!(true))
    );
    assert!(content(&protocol(None)).is_none(), "whoever takes a message back leaves it here");
    let reaction = wa::message::ReactionMessage { key: key(), text: Some("👍".into()), ..Default::default() };
    let reaction = said(wa::Message { reaction_message: MessageField::some(reaction), ..Default::default() });
    assert_eq!(
        (reaction.kind.as_str(), reaction.extra["emoji"].as_str(), reaction.reply_to.as_deref()),
        ("reaction", Some("👍"), Some("Q"))
    );
}

#[test]
fn files_bring_what_opens_them() {
    let image = wa::message::ImageMessage {
        direct_path: Some("/v/x".into()),
        media_key: Some(vec![1; 32]),
        file_sha256: Some(vec![2; 32]),
        file_enc_sha256: Some(vec![3; 32]),
        file_length: Some(9),
        mimetype: Some("image/jpeg".into()),
        caption: Some("Here".into()),
        ..Default::default()
    };
    let (read, locked) =
        content(&wa::Message { image_message: MessageField::some(image), ..Default::default() }).unwrap();
    let locked = locked.unwrap();
    assert_eq!(
        (read.kind.as_str(), read.text.as_deref(), locked.direct_path.as_str()),
        ("image", Some("Here"), "/v/x")
    );
    let media = read.media.unwrap();
    assert_eq!(
        (media.content_type.as_str(), media.size_bytes, media.sha256),
        ("image/jpeg", Some(9), Some("02".repeat(32)))
    );
    let audio = wa::message::AudioMessage { ptt: Some(true), ..Default::default() };
    let (voice, locked) =
        content(&wa::Message { audio_message: MessageField::some(audio), ..Default::default() }).unwrap();
    assert_eq!((voice.extra["voice"].as_bool(), locked), (Some(true), None), "what cannot be fetched is not tried");
}

#[test]
fn what_nobody_knows_is_kept_by_its_name_and_keys_are_nothing() {
    let poll = wa::message::PollCreationMessage { name: Some("When?".into()), ..Default::default() };
    let poll = said(wa::Message { poll_creation_message: MessageField::some(poll), ..Default::default() });
    assert_eq!(
        (poll.kind.as_str(), poll.text.as_deref(), &poll.extra["type"]),
        ("unsupported", Some("When?"), &json!("poll_creation_message"))
    );
    assert!(content(&wa::Message::default()).is_none());
    let keys = wa::message::SenderKeyDistributionMessage::default();
    assert!(
        content(&wa::Message { sender_key_distribution_message: MessageField::some(keys), ..Default::default() })
            .is_none()
    );
}
