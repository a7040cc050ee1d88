//! Chats in the database.

mod listing;

use loopd_kernel::{Kernel, Tenant};
use loopd_store::{Reader, Row, StoreError, Tx, Value, dialect, params};
use loopd_types::{CompanyId, Problem, Result, Timestamp, Uuid};

use super::wire;
use crate::address::Address;
use crate::number::Number;
use crate::{PRODUCT, event};

pub use listing::{Filter, list};

/// A conversation.
#[derive(Clone, PartialEq, Debug)]
pub struct Chat {
    pub id: Uuid,
    pub number_id: Uuid,
    /// What the API calls its number.
    pub number: String,
    /// The engine of its number.
    pub engine: String,
    pub jid: String,
    pub contact_id: Option<Uuid>,
    pub name: Option<String>,
    pub is_group: bool,
    pub status: String,
    pub assignee_id: Option<Uuid>,
    pub assignee_name: Option<String>,
    pub assigned_at: Option<Timestamp>,
    pub labels: Vec<String>,
    pub unread_count: i64,
    pub last_text: Option<String>,
    pub last_from_me: bool,
    pub last_message_at: Timestamp,
    pub first_inbound_at: Option<Timestamp>,
    /// Opens the 24-hour window of the Cloud API.
    pub last_inbound_at: Option<Timestamp>,
    /// Since when the customer waits for an answer.
    pub waiting_since: Option<Timestamp>,
    /// No automation answers before.
    pub quiet_until: Option<Timestamp>,
    pub resolved_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub version: i64,
}

const SELECT: &str = "SELECT c.id, c.number_id, n.public_id, c.jid, c.contact_id, c.name, c.is_group, c.status, c.assignee_id, \
     c.assignee_name, c.assigned_at, c.labels, c.unread_count, c.last_text, c.last_from_me, c.last_message_at, c.first_inbound_at, \
     c.last_inbound_at, c.waiting_since, c.quiet_until, c.resolved_at, c.created_at, c.version, n.engine \
     FROM wave_chats c JOIN wave_numbers n ON n.company_id = c.company_id AND n.id = c.number_id";

fn read(row: &Row<'_>) -> Result<Chat, StoreError> {
    let text = |index: usize| Ok::<_, StoreError>(row.opt_text(index)?.map(str::to_owned));
    Ok(Chat {
        id: row.uuid(0)?,
        number_id: row.uuid(1)?,
        number: row.text(2)?.to_owned(),
        jid: row.text(3)?.to_owned(),
        contact_id: row.opt_uuid(4)?,
        name: text(5)?,
        is_group: row.bool(6)?,
        status: row.text(7)?.to_owned(),
        assignee_id: row.opt_uuid(8)?,
        assignee_name: text(9)?,
        assigned_at: row.opt_time(10)?,
        labels: serde_json::from_str(row.json(11)?).unwrap_or_default(),
        unread_count: row.i64(12)?,
        last_text: text(13)?,
        last_from_me: row.bool(14)?,
        last_message_at: row.time(15)?,
        first_inbound_at: row.opt_time(16)?,
        last_inbound_at: row.opt_time(17)?,
        waiting_since: row.opt_time(18)?,
        quiet_until: row.opt_time(19)?,
        resolved_at: row.opt_time(20)?,
        created_at: row.time(21)?,
        version: row.i64(22)?,
        engine: row.text(23)?.to_owned(),
    })
}

impl Chat {
    /// How WhatsApp addresses it.
    ///
    /// # Errors
    /// 409 `no_address` for the chat of somebody who was erased.
    pub fn address(&self) -> Result<Address> {
        let gone = || Problem::conflict("no_address", "Nobody can be written to in this chat any more.");
        Address::parse(&self.jid).ok_or_else(gone)
    }
}

pub fn find(reader: &mut Reader<'_>, company: CompanyId, id: Uuid) -> Result<Option<Chat>, StoreError> {
    let sql = format!("{SELECT} WHERE c.company_id = $1 AND c.id = $2");
    reader.first(&sql, &params![company, id], read)
}

/// Those of these that there are, in no order.
pub fn by_ids(reader: &mut Reader<'_>, company: CompanyId, ids: &[Uuid]) -> Result<Vec<Chat>, StoreError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let marks: Vec<String> = (0..ids.len()).map(|place| format!("${}", place + 2)).collect();
    let sql = format!("{SELECT} WHERE c.company_id = $1 AND c.id IN ({})", marks.join(", "));
    let mut values = params![company].to_vec();
    values.extend(ids.iter().map(|id| Value::from(*id)));
    reader.query(&sql, &values, read)
}

/// # Errors
/// 404.
pub fn get(reader: &mut Reader<'_>, company: CompanyId, id: Uuid) -> Result<Chat> {
    find(reader, company, id)?.ok_or_else(Problem::not_found)
}

/// As [`get`], held until the transaction ends.
///
/// # Errors
/// 404.
pub fn lock(tx: &mut Tx<'_>, company: CompanyId, id: Uuid) -> Result<Chat> {
    let locked = dialect::for_update_of(tx.engine(), "c");
    let sql = format!("{SELECT} WHERE c.company_id = $1 AND c.id = $2{locked}");
    tx.first(&sql, &params![company, id], read)?.ok_or_else(Problem::not_found)
}

/// By its own id, or by its jid: then the conversation with it that was written in last, of this number of ours or of any.
pub fn find_named(
    reader: &mut Reader<'_>,
    company: CompanyId,
    name: &str,
    number: Option<Uuid>,
) -> Result<Option<Chat>, StoreError> {
    if let Ok(id) = Uuid::parse_str(name) {
        return Ok(find(reader, company, id)?.filter(|chat| number.is_none_or(|number| chat.number_id == number)));
    }
    let Some(address) = Address::parse(name) else { return Ok(None) };
    let mut values = params![company, address.to_string()].to_vec();
    let mut of_number = "";
    if let Some(number) = number {
        values.push(number.into());
        of_number = " AND c.number_id = $3";
    }
    let sql = format!(
        "{SELECT} WHERE c.company_id = $1 AND c.jid = $2{of_number} ORDER BY c.last_message_at DESC, c.id DESC LIMIT 1"
    );
    reader.first(&sql, &values, read)
}

/// The conversation of a number with a contact that was written in last.
pub fn latest_of(
    reader: &mut Reader<'_>,
    company: CompanyId,
    number: Uuid,
    contact: Uuid,
) -> Result<Option<Chat>, StoreError> {
    let sql = format!(
        "{SELECT} WHERE c.company_id = $1 AND c.contact_id = $3 AND c.number_id = $2 ORDER BY c.last_message_at DESC, c.id DESC LIMIT 1"
    );
    reader.first(&sql, &params![company, number, contact], read)
}

/// Whether this message is the first that ever came in from the other side of a chat; what was there before the number was linked counts.
pub fn is_first_inbound(
    reader: &mut Reader<'_>,
    company: CompanyId,
    chat: &Chat,
    message: Uuid,
) -> Result<bool, StoreError> {
    // One that wrote before says so without a look.
    if chat.first_inbound_at.is_some() && chat.first_inbound_at < chat.last_inbound_at {
        return Ok(false);
    }
    let sql =
        "SELECT 1 FROM wave_messages WHERE company_id = $1 AND chat_id = $2 AND from_me = FALSE AND id <> $3 LIMIT 1";
    Ok(reader.first(sql, &params![company, chat.id, message], |row| row.i64(0))?.is_none())
}

/// The conversation of a number with an address, held until the transaction ends; made when there is none. `true` when it was.
///
/// # Errors
/// 503 from the database.
pub fn lock_or_create(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    number: &Number,
    address: &Address,
    at: Timestamp,
) -> Result<(Chat, bool)> {
    let locked = dialect::for_update_of(tx.engine(), "c");
    let sql = format!("{SELECT} WHERE c.company_id = $1 AND c.number_id = $2 AND c.jid = $3{locked}");
    let key = params![number.company, number.id, address.to_string()];
    if let Some(found) = tx.first(&sql, &key, read)? {
        return Ok((found, false));
    }
    let made = tx.execute(
        "INSERT INTO wave_chats (company_id, id, number_id, jid, is_group, labels, last_message_at, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8) ON CONFLICT (company_id, number_id, jid) DO NOTHING",
        &params![
            number.company,
            kernel.new_id(),
            number.id,
            address.to_string(),
            address.is_group(),
            Value::Json("[]".into()),
            at,
            kernel.now()
        ],
    )?;
    let found = tx.first(&sql, &key, read)?;
    Ok((found.ok_or_else(|| Problem::internal("a chat that was just made is not there"))?, made == 1))
}

/// Writes everything of a chat that changes, from a row that this transaction holds.
///
/// # Errors
/// The database's.
pub fn keep(tx: &mut Tx<'_>, kernel: &Kernel, company: CompanyId, chat: &Chat) -> Result<(), StoreError> {
    tx.push(
        "UPDATE wave_chats SET contact_id = $3, name = $4, status = $5, assignee_id = $6, assignee_name = $7, assigned_at = $8, labels = $9, \
         unread_count = $10, last_text = $11, last_from_me = $12, last_message_at = $13, first_inbound_at = $14, last_inbound_at = $15, \
         waiting_since = $16, quiet_until = $17, resolved_at = $18, updated_at = $19, version = version + 1 WHERE company_id = $1 AND id = $2",
        params![
            company,
            chat.id,
            chat.contact_id,
            chat.name.as_deref(),
            chat.status.as_str(),
            chat.assignee_id,
            chat.assignee_name.as_deref(),
            chat.assigned_at,
            Value::Json(serde_json::Value::from(chat.labels.clone()).to_string()),
            chat.unread_count,
            chat.last_text.as_deref(),
            chat.last_from_me,
            chat.last_message_at,
            chat.first_inbound_at,
            chat.last_inbound_at,
            chat.waiting_since,
            chat.quiet_until,
            chat.resolved_at,
            kernel.now()
        ],
    )
}

/// As [`keep`], of a chat that was `before` when this transaction took it: where nothing changed but what every message changes, nothing
/// else is written, nor the indexes over it.
///
/// # Errors
/// The database's.
pub fn keep_from(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    company: CompanyId,
    before: &Chat,
    chat: &Chat,
) -> Result<(), StoreError> {
    let talk = Chat {
        unread_count: chat.unread_count,
        last_text: chat.last_text.clone(),
        last_from_me: chat.last_from_me,
        last_message_at: chat.last_message_at,
        last_inbound_at: chat.last_inbound_at,
        ..before.clone()
    };
    if talk != *chat {
        return keep(tx, kernel, company, chat);
    }
    tx.push(
        "UPDATE wave_chats SET unread_count = $3, last_text = $4, last_from_me = $5, last_message_at = $6, last_inbound_at = $7, \
         updated_at = $8, version = version + 1 WHERE company_id = $1 AND id = $2",
        params![
            company,
            chat.id,
            chat.unread_count,
            chat.last_text.as_deref(),
            chat.last_from_me,
            chat.last_message_at,
            chat.last_inbound_at,
            kernel.now()
        ],
    )
}

/// Tells that a chat changed.
///
/// # Errors
/// As [`event::emit`].
pub fn told(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, chat: &Chat) -> Result<()> {
    let (data, shown) = wire::payload(tx, tenant.company, chat)?;
    event::emit(
        tx,
        kernel,
        tenant,
        "loopwave.chats.updated",
        &format!("{PRODUCT}/chats/{}", chat.id),
        data,
        Some(shown),
    )
}

/// Puts these labels on a chat in place of those that it has; the row itself is the caller's to keep.
///
/// # Errors
/// The database's.
pub fn set_labels(tx: &mut Tx<'_>, company: CompanyId, chat: Uuid, labels: &[String]) -> Result<(), StoreError> {
    tx.push("DELETE FROM wave_chat_labels WHERE company_id = $1 AND chat_id = $2", params![company, chat])?;
    for label in labels {
        tx.push(
            "INSERT INTO wave_chat_labels (company_id, label, chat_id) VALUES ($1, $2, $3)",
            params![company, label.as_str(), chat],
        )?;
    }
    Ok(())
}
