//! Notes in the database.

use loopd_kernel::{Kernel, Tenant};
use loopd_store::{Reader, Row, StoreError, Tx, params};
use loopd_types::{CompanyId, Problem, Result, Timestamp, Uuid};
use loopd_web::cursor::Page;

use crate::agent;

/// A note.
#[derive(Clone, Debug)]
pub struct Note {
    pub id: Uuid,
    pub chat_id: Uuid,
    pub author_id: Option<Uuid>,
    pub author_name: Option<String>,
    pub text: String,
    pub created_at: Timestamp,
}

const SELECT: &str = "SELECT id, chat_id, author_id, author_name, text, created_at FROM wave_notes";

fn read(row: &Row<'_>) -> Result<Note, StoreError> {
    Ok(Note {
        id: row.uuid(0)?,
        chat_id: row.uuid(1)?,
        author_id: row.opt_uuid(2)?,
        author_name: row.opt_text(3)?.map(str::to_owned),
        text: row.text(4)?.to_owned(),
        created_at: row.time(5)?,
    })
}

/// A page of a chat's notes, newest first; one more than the page has, if there are more.
pub fn list(reader: &mut Reader<'_>, company: CompanyId, chat: Uuid, page: &Page) -> Result<Vec<Note>, StoreError> {
    let (at, id) = page.before();
    let sql = format!(
        "{SELECT} WHERE company_id = $1 AND chat_id = $2 AND (created_at, id) < ($3, $4) ORDER BY created_at DESC, id DESC LIMIT $5"
    );
    reader.query(&sql, &params![company, chat, at, id, page.limit + 1], read)
}

/// # Errors
/// 404.
pub fn get(reader: &mut Reader<'_>, company: CompanyId, chat: Uuid, id: Uuid) -> Result<Note> {
    let sql = format!("{SELECT} WHERE company_id = $1 AND chat_id = $2 AND id = $3");
    reader.first(&sql, &params![company, chat, id], read)?.ok_or_else(Problem::not_found)
}

/// Writes a note in the caller's name.
///
/// # Errors
/// The database's.
pub fn insert(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, chat: Uuid, text: &str) -> Result<Note> {
    let author = agent::caller(tx, tenant)?;
    let note = Note {
        id: kernel.new_id(),
        chat_id: chat,
        author_id: author.as_ref().map(|author| author.id),
        author_name: author.map(|author| author.name),
        text: text.to_owned(),
        created_at: kernel.now(),
    };
    tx.push(
        "INSERT INTO wave_notes (company_id, id, chat_id, author_id, author_name, text, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        params![
            tenant.company,
            note.id,
            chat,
            note.author_id,
            note.author_name.as_deref(),
            note.text.as_str(),
            note.created_at
        ],
    )?;
    Ok(note)
}

/// # Errors
/// The database's.
pub fn delete(tx: &mut Tx<'_>, company: CompanyId, id: Uuid) -> Result<(), StoreError> {
    tx.push("DELETE FROM wave_notes WHERE company_id = $1 AND id = $2", params![company, id])
}
