//! What comes in is written down before anybody is told that it is here, once, however often it comes.

use std::sync::Arc;

use loopd_types::SECOND_US;
use loopd_whatsapp_web::inbound::history;
use loopd_whatsapp_web::inbound::hook::Hook;
use loopd_whatsapp_web::whatsapp_rust::chrono::DateTime;
use loopd_whatsapp_web::whatsapp_rust::prelude::{
    InboundMessage, MessageBuilderExt as _, MessageField, MessageInfo, wa,
};
use loopd_whatsapp_web::whatsapp_rust::store::traits::ProtocolStore as _;
use loopd_whatsapp_web::whatsapp_rust::wacore::types::message::MessageSource;

use crate::stage::{NOW, Stage, each};

const PHONE: &str = "250788123456@s.whatsapp.net";
const LID: &str = "100000012345678@lid";

fn item(id: &str, chat: &str, message: wa::Message) -> InboundMessage {
    let source =
        MessageSource { chat: chat.parse().unwrap(), sender: chat.parse().unwrap(), ..MessageSource::default() };
    let info = MessageInfo {
        source,
        id: id.to_owned(),
        push_name: "Aline".to_owned(),
        timestamp: DateTime::from_timestamp(NOW.seconds() - 60, 0).unwrap(),
        ..MessageInfo::default()
    };
    InboundMessage::builder().message(Arc::new(message)).info(Arc::new(info)).build()
}

#[tokio::test]
async fn a_message_is_in_the_inbox_when_the_hook_says_so_and_only_once() {
    each(async |stage: &Stage| {
        let hook = Hook::new(stage.kernel.clone(), stage.backend("node").await);
        let batch = [item("A", PHONE, wa::Message::text("Is it open?")), item("B", PHONE, wa::Message::text("Hello?"))];
        hook.take(&batch).await.unwrap();
        hook.take(&batch[1..]).await.unwrap();
        hook.take(&[batch[0].clone(), item("C", PHONE, wa::Message::text("I am here"))]).await.unwrap();
        let texts = stage.texts("SELECT text FROM wave_messages ORDER BY wa_id").await;
        assert_eq!(texts, ["Is it open?", "Hello?", "I am here"]);
        assert_eq!(stage.texts("SELECT name FROM wave_contacts").await, ["Aline"]);
        assert_eq!(stage.count("SELECT unread_count FROM wave_chats").await, 3);
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_written_is_not_acknowledged() {
    each(async |stage: &Stage| {
        let hook = Hook::new(stage.kernel.clone(), stage.backend("node").await);
        let (whose, kernel, tenant) = (stage.whose, stage.kernel.clone(), stage.tenant.clone());
        let removed = stage.kernel.db.write(stage.tenant.view(), move |tx| {
            loopd_wave::number::store::delete(tx, &kernel, &tenant, whose.number)
        });
        removed.await.unwrap();
        assert!(hook.take(&[item("A", PHONE, wa::Message::text("Hi"))]).await.is_err());
        assert_eq!(stage.count("SELECT count(*) FROM wave_messages").await, 0, "all or nothing");
    })
    .await;
}

#[tokio::test]
async fn a_person_is_one_whichever_way_they_write() {
    each(async |stage: &Stage| {
        let backend = stage.backend("node").await;
        let hook = Hook::new(stage.kernel.clone(), backend.clone());
        hook.take(&[item("A", PHONE, wa::Message::text("By my number"))]).await.unwrap();
        let entry = loopd_whatsapp_web::whatsapp_rust::store::traits::LidPnMappingEntry {
            lid: "100000012345678".to_owned(),
            phone_number: "250788123456".to_owned(),
            created_at: 1,
            updated_at: 1,
            learning_source: "usync".to_owned(),
        };
        backend.put_lid_mapping(&entry).await.unwrap();
        // The message does not say whose id this is; the device learned it.
        hook.take(&[item("B", LID, wa::Message::text("By my id"))]).await.unwrap();
        assert_eq!(stage.count("SELECT count(*) FROM wave_chats").await, 1);
        assert_eq!(stage.count("SELECT count(*) FROM wave_contacts").await, 1);
        assert_eq!(
            stage.texts("SELECT value FROM wave_identities ORDER BY value").await,
            ["100000012345678", "250788123456"]
        );
    })
    .await;
}

#[tokio::test]
async fn a_file_is_fetched_later_and_what_opens_it_is_sealed() {
    each(async |stage: &Stage| {
        let hook = Hook::new(stage.kernel.clone(), stage.backend("node").await);
        let image = wa::message::ImageMessage {
            direct_path: Some("/v/x".into()),
            media_key: Some(vec![1; 32]),
            file_sha256: Some(vec![2; 32]),
            file_enc_sha256: Some(vec![3; 32]),
            file_length: Some(9),
            mimetype: Some("image/jpeg".into()),
            ..Default::default()
        };
        let message = wa::Message { image_message: MessageField::some(image), ..Default::default() };
        hook.take(&[item("A", PHONE, message)]).await.unwrap();
        assert_eq!(stage.texts("SELECT kind FROM wave_messages").await, ["image"]);
        assert_eq!(stage.count("SELECT count(*) FROM jobs WHERE kind = 'loopwave.web.media.fetch'").await, 1);
        assert_eq!(stage.count("SELECT count(*) FROM wave_web_states WHERE kind = 'media'").await, 1);
    })
    .await;
}

fn past(id: &str, from_me: bool, seconds: i64, text: &str) -> wa::HistorySyncMsg {
    let key = wa::MessageKey {
        remote_jid: Some(PHONE.to_owned()),
        from_me: Some(from_me),
        id: Some(id.to_owned()),
        participant: None,
    };
    let told = wa::WebMessageInfo {
        key: MessageField::some(key),
        message: MessageField::some(wa::Message::text(text)),
        message_timestamp: Some((NOW.seconds() - seconds).unsigned_abs()),
        ..Default::default()
    };
    wa::HistorySyncMsg { message: MessageField::some(told), ..Default::default() }
}

#[tokio::test]
async fn a_telephones_past_is_kept_and_nobody_reacts_to_it() {
    each(async |stage: &Stage| {
        let hook = Hook::new(stage.kernel.clone(), stage.backend("node").await);
        let conversation = wa::Conversation {
            id: LID.to_owned(),
            pn_jid: Some(PHONE.to_owned()),
            name: Some("Aline".to_owned()),
            messages: vec![past("B", true, 100, "We are"), past("A", false, 200, "Is it open?")],
            ..Default::default()
        };
        let read = history::messages(&conversation, stage.kernel.now());
        assert_eq!(
            read.iter().map(|it| it.received.wa_id.as_str()).collect::<Vec<_>>(),
            ["A", "B"],
            "the oldest first"
        );
        assert!(read.iter().all(|it| it.received.chat.to_string() == PHONE && it.received.is_history));
        hook.write(read.clone()).await.unwrap();
        hook.write(read).await.unwrap();
        assert_eq!(stage.texts("SELECT text FROM wave_messages ORDER BY sent_at").await, ["Is it open?", "We are"]);
        assert_eq!(stage.count("SELECT unread_count FROM wave_chats").await, 0, "nobody has to read what is long over");
        assert_eq!(stage.count("SELECT count(*) FROM wave_outgoing").await, 0);
        assert_eq!(stage.texts("SELECT name FROM wave_contacts").await, ["Aline"]);
        let last = stage.count("SELECT last_message_at FROM wave_chats").await;
        assert_eq!(last, NOW.micros() - 100 * SECOND_US);
    })
    .await;
}
