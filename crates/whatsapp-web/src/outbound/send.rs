//! Handing a message over. Its name at WhatsApp is durable first; then it is written to the connection; then WhatsApp's own acknowledgement
//! is waited for, because a message that was only written may lie in a connection that died. Without one nobody knows: ticks, or a late
//! acknowledgement, tell later.

use std::sync::Arc;
use std::time::Duration;

use loopd_kernel::Kernel;
use loopd_store::View;
use loopd_types::{Problem, Result};
use loopd_wave::chat;
use loopd_wave::engine::{Failure, Outgoing, Sent, Signal, Unsent};
use loopd_wave::message::store;
use loopd_wave::number::Number;
use whatsapp_rust::Jid;
use whatsapp_rust::prelude::{Client, ClientError, SendError, SendOptions};

use super::compose::{self, Target};
use super::{name, upload};
use crate::inbound::address;
use crate::inbound::read::AUTHOR;
use crate::line::Line;
use crate::told;

/// How long WhatsApp may take to say that it has a message.
const ACK: Duration = Duration::from_secs(30);
/// How long a message waits for a line that is not connected here.
const NOT_HERE: Duration = Duration::from_secs(2);
/// Attempts of a message that the library cannot make ready.
const ATTEMPTS: i64 = 4;

/// # Errors
/// What became of the message.
pub async fn send(
    kernel: &Arc<Kernel>,
    line: Option<&Arc<Line>>,
    number: &Number,
    outgoing: &Outgoing,
) -> Result<Sent, Unsent> {
    let connected = line.and_then(|line| line.connected().map(|client| (line, client)));
    let Some((line, client)) = connected else {
        return Err(later("not_connected", "The number is not connected on this node.", NOT_HERE));
    };
    let to = address::jid(&outgoing.to)
        .ok_or_else(|| refused("not_supported", "This number cannot write to this address."))?;
    let target = target(kernel, &client, number, outgoing, &to).await?;
    let uploaded = upload::upload(kernel, number, &client, outgoing).await?;
    let message = compose::message(&outgoing.content, &to, target.as_ref(), uploaded, kernel.now())
        .map_err(|failure| Unsent::Refused { failure, signal: Signal::None })?;
    let (company, id, wa_id) = (number.company, outgoing.message, name::of(outgoing.message));
    let named = wa_id.clone();
    let stored = kernel.db.write(View::Company(company), move |tx| Ok(store::name(tx, company, id, &named)?));
    stored.await.map_err(unavailable)?;
    let acknowledged = line.acknowledged(&wa_id);
    let options = SendOptions::default().with_message_id(wa_id.clone());
    if let Err(error) = client.send_message_with_options(to, message, options).await {
        line.gave_up(&wa_id);
        return Err(unsent(&error, outgoing.attempt));
    }
    let said = tokio::time::timeout(ACK, acknowledged).await;
    line.gave_up(&wa_id);
    match said {
        Ok(Ok(None)) => Ok(Sent { wa_id }),
        Ok(Ok(Some(code))) => Err(Unsent::Refused { failure: told::refusal(&code), signal: Signal::None }),
        // The connection ended, or WhatsApp is silent.
        Ok(Err(_)) | Err(_) => {
            Err(Unsent::Unknown { words: "WhatsApp did not say that it has the message".to_owned() })
        }
    }
}

/// The message that is answered or reacted to.
async fn target(
    kernel: &Arc<Kernel>,
    client: &Client,
    number: &Number,
    outgoing: &Outgoing,
    to: &Jid,
) -> Result<Option<Target>, Unsent> {
    let Some(id) = outgoing.content.reply_to.clone() else { return Ok(None) };
    let (company, line, wanted) = (number.company, number.id, id.clone());
    let found = kernel
        .db
        .read(View::Company(company), move |reader| Ok(store::find_by_wa(reader, company, line, &wanted)?))
        .await
        .map_err(unavailable)?;
    let Some(found) = found else { return Ok(None) };
    let named = found.content.extra[AUTHOR].as_str().and_then(|text| text.parse().ok());
    let author = if found.from_me { client.pn() } else { named.or_else(|| Some(to.clone())) };
    Ok(author.map(|author| Target { id, from_me: found.from_me, author, text: found.content.text }))
}

/// Nothing that fails after the message was written to the connection is an error of the library's, but for the writing itself.
fn unsent(error: &SendError, attempt: i64) -> Unsent {
    match error {
        SendError::NotLoggedIn | SendError::Client(ClientError::NotConnected | ClientError::NotLoggedIn) => {
            later("not_connected", "The number is not connected.", NOT_HERE)
        }
        SendError::Client(_) => Unsent::Unknown { words: format!("the connection failed: {error}") },
        SendError::InvalidRequest(words) => refused("not_supported", words),
        _ if attempt >= ATTEMPTS => {
            refused("not_sent", &format!("WhatsApp did not let this message be made ready: {error}"))
        }
        _ => later("unavailable", &error.to_string(), Duration::from_secs(5 * attempt.unsigned_abs().max(1))),
    }
}

fn unavailable(problem: Problem) -> Unsent {
    later("unavailable", problem.cause().unwrap_or(problem.message()), Duration::from_secs(5))
}

fn later(code: &str, words: &str, after: Duration) -> Unsent {
    let failure = Failure { code: code.to_owned(), words: words.to_owned() };
    Unsent::Later { failure, after, signal: Signal::None }
}

fn refused(code: &str, words: &str) -> Unsent {
    Unsent::Refused { failure: Failure { code: code.to_owned(), words: words.to_owned() }, signal: Signal::None }
}

/// Shows a customer that a message of theirs was read.
///
/// # Errors
/// 503 when the line is not connected here.
pub async fn mark_read(kernel: &Arc<Kernel>, line: Option<&Arc<Line>>, number: &Number, wa_id: &str) -> Result<()> {
    let client = line.and_then(|line| line.connected());
    let client = client.ok_or_else(|| Problem::unavailable("the number is not connected on this node"))?;
    let (company, id, wanted) = (number.company, number.id, wa_id.to_owned());
    let found = kernel
        .db
        .read(View::Company(company), move |reader| {
            let message = store::find_by_wa(reader, company, id, &wanted)?;
            let chat = message.as_ref().map(|it| chat::find(reader, company, it.chat_id)).transpose()?.flatten();
            Ok(message.zip(chat))
        })
        .await?;
    let Some((message, chat)) = found else { return Ok(()) };
    let Some(to) = address::jid(&chat.address()?) else { return Ok(()) };
    let author = message.content.extra[AUTHOR].as_str().and_then(|text| text.parse::<Jid>().ok());
    client.mark_as_read(&to, author.as_ref(), &[wa_id]).await.map_err(Problem::unavailable)
}
