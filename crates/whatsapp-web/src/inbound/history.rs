//! What was there before the number was linked: a telephone hands over its chats once, in pieces. They are kept and nobody reacts to them.

use loopd_types::Timestamp;
use loopd_wave::engine::Received;
use whatsapp_rust::Jid;
use whatsapp_rust::prelude::wa;
use whatsapp_rust::wacore::history_sync::HistorySyncStream;
use whatsapp_rust::wacore::types::events::LazyHistorySync;

use super::address::{address, identities};
use super::read::{Read, author_of, content, moment, signed};

/// Messages that are handed on at once: a transaction's worth.
pub const PIECE: usize = 100;

/// Reads a piece conversation by conversation, the oldest message of each first, and hands on [`PIECE`] of them at a time. A conversation
/// that cannot be read ends it: what was read until then is kept.
///
/// # Errors
/// In words, what could not be read.
pub fn read(piece: &LazyHistorySync, now: Timestamp, mut hand_on: impl FnMut(Vec<Read>)) -> Result<(), String> {
    let mut stream: HistorySyncStream<'_> = piece.stream();
    let mut all = Vec::new();
    while let Some(conversation) = stream.next_conversation().map_err(|error| error.to_string())? {
        all.extend(messages(&conversation, now));
        while all.len() >= PIECE {
            let rest = all.split_off(PIECE);
            hand_on(std::mem::replace(&mut all, rest));
        }
    }
    if !all.is_empty() {
        hand_on(all);
    }
    Ok(())
}

/// The messages of a conversation, the oldest first.
pub fn messages(conversation: &wa::Conversation, now: Timestamp) -> Vec<Read> {
    let Ok(chat) = conversation.id.parse::<Jid>() else { return Vec::new() };
    let alternative = |text: Option<&String>| text.and_then(|text| text.parse::<Jid>().ok());
    let (phone, lid) = (alternative(conversation.pn_jid.as_ref()), alternative(conversation.lid_jid.as_ref()));
    let known = identities(&[Some(&chat), phone.as_ref(), lid.as_ref()]);
    let found = conversation.messages.iter().filter_map(|it| it.message.as_option());
    let mut all: Vec<Read> =
        found.filter_map(|it| message(it, &chat, &known, conversation.name.as_deref(), now)).collect();
    all.sort_by_key(|it| it.received.at);
    all
}

fn message(
    told: &wa::WebMessageInfo,
    chat: &Jid,
    known: &[loopd_wave::address::Address],
    name: Option<&str>,
    now: Timestamp,
) -> Option<Read> {
    let key = told.key.as_option()?;
    let (mut content, _) = content(told.message.as_option()?)?;
    let (chat_address, from_me) = (address(chat)?, key.from_me == Some(true));
    let is_group = chat_address.is_group();
    let mut author = None;
    let participant = told.participant.as_ref().or(key.participant.as_ref()).and_then(|text| text.parse::<Jid>().ok());
    if let Some(participant) = participant.filter(|_| is_group && !from_me) {
        author = told.push_name.clone().filter(|name| !name.is_empty()).or_else(|| author_of(Some(&participant)));
        signed(&mut content, &participant);
    }
    let named = if is_group { name } else { told.push_name.as_deref().filter(|_| !from_me).or(name) };
    Some(Read {
        received: Received {
            wa_id: key.id.clone().filter(|id| !id.is_empty())?,
            chat: if is_group { chat_address } else { known.first()?.clone() },
            identities: if is_group { Vec::new() } else { known.to_vec() },
            push_name: named.map(|name| name.replace('\0', "")).filter(|name| !name.trim().is_empty()),
            author: author.map(|name| name.replace('\0', "")),
            from_me,
            content,
            at: moment(i64::try_from(told.message_timestamp.unwrap_or_default()).unwrap_or_default(), now),
            is_history: true,
        },
        locked: None,
    })
}
