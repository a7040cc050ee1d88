//! Messages in the database.

use std::collections::BTreeMap;

use loopd_store::{Reader, Row, StoreError, Tx, Value, dialect, params};
use loopd_types::{CompanyId, Problem, Result, Timestamp, Uuid};
use loopd_web::cursor::Page;

use crate::engine::{Content, Failure};

/// Who caused a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// The customer, or the shop's own telephone.
    Phone,
    Agent,
    Api,
    Automation,
    Broadcast,
    /// Another product: a reminder, an invoice.
    System,
}

impl Origin {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Phone => "phone",
            Self::Agent => "agent",
            Self::Api => "api",
            Self::Automation => "automation",
            Self::Broadcast => "broadcast",
            Self::System => "system",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        let all = [Self::Phone, Self::Agent, Self::Api, Self::Automation, Self::Broadcast, Self::System];
        all.into_iter().find(|origin| origin.as_str() == text)
    }

    /// Whether no person and no program asked for exactly this message: it is not for who asked not to be written to.
    pub const fn is_by_itself(self) -> bool {
        matches!(self, Self::Automation | Self::Broadcast | Self::System)
    }

    /// Who waits for whom where a line can send only so much: people and programs, then automations, then broadcasts.
    pub const fn rank(self) -> i64 {
        match self {
            Self::Phone | Self::Agent | Self::Api | Self::System => 0,
            Self::Automation => 1,
            Self::Broadcast => 2,
        }
    }
}

/// How far a message is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    Received,
    Queued,
    Sent,
    Delivered,
    Read,
    Failed,
    /// It was handed over, and nobody knows what became of it.
    Unknown,
}

impl Status {
    pub const ALL: [Self; 7] =
        [Self::Received, Self::Queued, Self::Sent, Self::Delivered, Self::Read, Self::Failed, Self::Unknown];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Read => "read",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// A message.
#[derive(Clone, Debug)]
pub struct Message {
    pub id: Uuid,
    pub chat_id: Uuid,
    pub number_id: Uuid,
    pub wa_id: Option<String>,
    pub from_me: bool,
    pub content: Content,
    pub origin: String,
    pub agent_id: Option<Uuid>,
    pub agent_name: Option<String>,
    pub status: Status,
    pub status_at: Timestamp,
    pub failure: Option<Failure>,
    /// When it was written, as WhatsApp says.
    pub sent_at: Timestamp,
    pub created_at: Timestamp,
}

const SELECT: &str = "SELECT id, chat_id, number_id, wa_id, from_me, kind, text, details, origin, agent_id, agent_name, status, status_at, \
     failure_code, failure_words, sent_at, created_at FROM wave_messages";

fn read(row: &Row<'_>) -> Result<Message, StoreError> {
    let broken = || StoreError::Other("a message's row holds what no message is".into());
    let text = |index: usize| Ok::<_, StoreError>(row.opt_text(index)?.map(str::to_owned));
    let details = match row.opt_json(7)? {
        Some(details) => serde_json::from_str(details).map_err(|_| broken())?,
        None => Content::default(),
    };
    let failure = text(13)?.zip(text(14)?).map(|(code, words)| Failure { code, words });
    Ok(Message {
        id: row.uuid(0)?,
        chat_id: row.uuid(1)?,
        number_id: row.uuid(2)?,
        wa_id: text(3)?,
        from_me: row.bool(4)?,
        content: Content { kind: row.text(5)?.to_owned(), text: text(6)?, ..details },
        origin: row.text(8)?.to_owned(),
        agent_id: row.opt_uuid(9)?,
        agent_name: text(10)?,
        status: Status::parse(row.text(11)?).ok_or_else(broken)?,
        status_at: row.time(12)?,
        failure,
        sent_at: row.time(15)?,
        created_at: row.time(16)?,
    })
}

/// # Errors
/// 404.
pub fn get(reader: &mut Reader<'_>, company: CompanyId, id: Uuid) -> Result<Message> {
    find(reader, company, id)?.ok_or_else(Problem::not_found)
}

pub fn find(reader: &mut Reader<'_>, company: CompanyId, id: Uuid) -> Result<Option<Message>, StoreError> {
    let sql = format!("{SELECT} WHERE company_id = $1 AND id = $2");
    reader.first(&sql, &params![company, id], read)
}

/// Those of these that there are, in no order.
pub fn by_ids(reader: &mut Reader<'_>, company: CompanyId, ids: &[Uuid]) -> Result<Vec<Message>, StoreError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let marks: Vec<String> = (0..ids.len()).map(|place| format!("${}", place + 2)).collect();
    let sql = format!("{SELECT} WHERE company_id = $1 AND id IN ({})", marks.join(", "));
    let mut values = params![company].to_vec();
    values.extend(ids.iter().map(|id| Value::from(*id)));
    reader.query(&sql, &values, read)
}

/// As [`find`], held until the transaction ends.
pub fn lock(tx: &mut Tx<'_>, company: CompanyId, id: Uuid) -> Result<Option<Message>, StoreError> {
    let sql = format!("{SELECT} WHERE company_id = $1 AND id = $2{}", dialect::for_update(tx.engine()));
    tx.first(&sql, &params![company, id], read)
}

/// By WhatsApp's id on a line, held until the transaction ends.
pub fn lock_by_wa(
    tx: &mut Tx<'_>,
    company: CompanyId,
    number: Uuid,
    wa_id: &str,
) -> Result<Option<Message>, StoreError> {
    let locked = dialect::for_update(tx.engine());
    let sql = format!("{SELECT} WHERE company_id = $1 AND number_id = $2 AND wa_id = $3{locked}");
    tx.first(&sql, &params![company, number, wa_id], read)
}

/// As [`lock_by_wa`], to be looked at.
pub fn find_by_wa(
    reader: &mut Reader<'_>,
    company: CompanyId,
    number: Uuid,
    wa_id: &str,
) -> Result<Option<Message>, StoreError> {
    let sql = format!("{SELECT} WHERE company_id = $1 AND number_id = $2 AND wa_id = $3");
    reader.first(&sql, &params![company, number, wa_id], read)
}

/// What WhatsApp will call a message of ours, where that is ours to say: written before it is handed over, so that whatever is heard of it
/// finds it, even if nobody hears the answer.
///
/// # Errors
/// The database's.
pub fn name(tx: &mut Tx<'_>, company: CompanyId, id: Uuid, wa_id: &str) -> Result<(), StoreError> {
    tx.push(
        "UPDATE wave_messages SET wa_id = $3 WHERE company_id = $1 AND id = $2 AND wa_id IS NULL",
        params![company, id, wa_id],
    )
}

/// WhatsApp's id of the last message that a customer wrote in a chat; looked for among the newest, which is where it is.
pub fn last_inbound(reader: &mut Reader<'_>, company: CompanyId, chat: Uuid) -> Result<Option<String>, StoreError> {
    let sql = "SELECT wa_id FROM wave_messages WHERE company_id = $1 AND chat_id = $2 AND NOT from_me AND wa_id IS NOT NULL \
         ORDER BY sent_at DESC, id DESC LIMIT 1";
    reader.first(sql, &params![company, chat], |row| Ok(row.text(0)?.to_owned()))
}

/// The oldest message that is known of a chat, from which WhatsApp can be asked for older ones.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Oldest {
    pub jid: String,
    pub wa_id: String,
    pub from_me: bool,
    pub at: Timestamp,
}

/// [`Oldest`] of those of a number's chats that were written in last, `most` of them.
///
/// # Errors
/// The database's.
pub fn oldest_of_chats(
    reader: &mut Reader<'_>,
    company: CompanyId,
    number: Uuid,
    most: i64,
) -> Result<Vec<Oldest>, StoreError> {
    let sql = "SELECT c.jid, m.wa_id, m.from_me, m.sent_at \
         FROM (SELECT id, jid FROM wave_chats WHERE company_id = $1 AND number_id = $2 ORDER BY last_message_at DESC, id DESC LIMIT $3) c \
         JOIN wave_messages m ON m.company_id = $1 AND m.id = \
         (SELECT o.id FROM wave_messages o WHERE o.company_id = $1 AND o.chat_id = c.id AND o.wa_id IS NOT NULL ORDER BY o.sent_at, o.id LIMIT 1)";
    reader.query(sql, &params![company, number, most], |row| {
        Ok(Oldest {
            jid: row.text(0)?.to_owned(),
            wa_id: row.text(1)?.to_owned(),
            from_me: row.bool(2)?,
            at: row.time(3)?,
        })
    })
}

/// What messages of a line answer, or react to: our ids by WhatsApp's, for those that are known.
pub fn answered(
    reader: &mut Reader<'_>,
    company: CompanyId,
    number: Uuid,
    messages: &[Message],
) -> Result<BTreeMap<String, Uuid>, StoreError> {
    let mut wa_ids: Vec<&str> = messages.iter().filter_map(|it| it.content.reply_to.as_deref()).collect();
    wa_ids.sort_unstable();
    wa_ids.dedup();
    Ok(ids_of(reader, company, number, &wa_ids)?.into_iter().collect())
}

/// What WhatsApp's ids on a line are called here: pairs of both, for those that are known.
fn ids_of(
    reader: &mut Reader<'_>,
    company: CompanyId,
    number: Uuid,
    wa_ids: &[&str],
) -> Result<Vec<(String, Uuid)>, StoreError> {
    if wa_ids.is_empty() {
        return Ok(Vec::new());
    }
    let marks: Vec<String> = (0..wa_ids.len()).map(|place| format!("${}", place + 3)).collect();
    let sql = format!(
        "SELECT wa_id, id FROM wave_messages WHERE company_id = $1 AND number_id = $2 AND wa_id IN ({})",
        marks.join(", ")
    );
    let mut values = params![company, number].to_vec();
    values.extend(wa_ids.iter().map(|wa_id| Value::from(*wa_id)));
    reader.query(&sql, &values, |row| Ok((row.text(0)?.to_owned(), row.uuid(1)?)))
}

/// A page of a chat, newest first; one more than the page has, if there are more.
pub fn thread(
    reader: &mut Reader<'_>,
    company: CompanyId,
    chat: Uuid,
    page: &Page,
) -> Result<Vec<Message>, StoreError> {
    let (at, id) = page.before();
    let sql = format!(
        "{SELECT} WHERE company_id = $1 AND chat_id = $2 AND (sent_at, id) < ($3, $4) ORDER BY sent_at DESC, id DESC LIMIT $5"
    );
    reader.query(&sql, &params![company, chat, at, id, page.limit + 1], read)
}

/// Writes a message; `false` when WhatsApp's id is known on this line already.
///
/// # Errors
/// The database's.
pub fn insert(tx: &mut Tx<'_>, company: CompanyId, message: &Message) -> Result<bool> {
    let written = tx.execute(
        "INSERT INTO wave_messages (company_id, id, chat_id, number_id, wa_id, from_me, kind, text, details, origin, agent_id, agent_name, \
         status, status_at, sent_at, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) \
         ON CONFLICT DO NOTHING",
        &params![
            company,
            message.id,
            message.chat_id,
            message.number_id,
            message.wa_id.as_deref(),
            message.from_me,
            message.content.kind.as_str(),
            message.content.text.as_deref(),
            details(&message.content)?,
            message.origin.as_str(),
            message.agent_id,
            message.agent_name.as_deref(),
            message.status.as_str(),
            message.status_at,
            message.sent_at,
            message.created_at
        ],
    )?;
    Ok(written == 1)
}

/// Writes what a message holds anew, as when its file is there at last.
///
/// # Errors
/// The database's.
pub fn set_content(tx: &mut Tx<'_>, company: CompanyId, message: &Message) -> Result<()> {
    Ok(tx.push(
        "UPDATE wave_messages SET details = $3 WHERE company_id = $1 AND id = $2",
        params![company, message.id, details(&message.content)?],
    )?)
}

/// Words are a column of their own, to be searched; what is left of the content is JSON, and nothing for a mere text.
fn details(content: &Content) -> Result<Value> {
    let rest = Content { kind: String::new(), text: None, ..content.clone() };
    if rest == Content::default() {
        return Ok(Value::Null);
    }
    Ok(Value::Json(serde_json::to_string(&rest).map_err(Problem::internal)?))
}

/// What became of a message of ours.
///
/// # Errors
/// The database's.
pub fn set_status(
    tx: &mut Tx<'_>,
    company: CompanyId,
    id: Uuid,
    status: Status,
    wa_id: Option<&str>,
    failure: Option<&Failure>,
    at: Timestamp,
) -> Result<(), StoreError> {
    tx.push(
        "UPDATE wave_messages SET status = $3, status_at = $4, wa_id = COALESCE($5, wa_id), failure_code = $6, failure_words = $7 \
         WHERE company_id = $1 AND id = $2",
        params![
            company,
            id,
            status.as_str(),
            at,
            wa_id,
            failure.map(|it| it.code.as_str()),
            failure.map(|it| it.words.as_str())
        ],
    )
}

/// Puts a message that did not go back on its way. What WhatsApp called it is forgotten: it gets a new name there.
///
/// # Errors
/// The database's.
pub fn requeue(tx: &mut Tx<'_>, company: CompanyId, id: Uuid, at: Timestamp) -> Result<(), StoreError> {
    tx.push(
        "UPDATE wave_messages SET status = 'queued', status_at = $3, wa_id = NULL, failure_code = NULL, failure_words = NULL \
         WHERE company_id = $1 AND id = $2",
        params![company, id, at],
    )
}
