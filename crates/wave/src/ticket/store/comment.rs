//! Comments: what a team says to each other under a ticket. Customers never see them.

use loopd_kernel::{Kernel, Tenant};
use loopd_store::{Reader, StoreError, Tx, params};
use loopd_types::{CompanyId, Result, Timestamp, Uuid};

use super::{get, lock};
use crate::agent;
use crate::ticket::wire;

/// A comment.
#[derive(Clone, Debug)]
pub struct Comment {
    pub id: Uuid,
    pub author_id: Option<Uuid>,
    pub author_name: Option<String>,
    pub body: String,
    pub created_at: Timestamp,
}

/// The comments of a ticket, oldest first, at most `most`.
pub fn comments(
    reader: &mut Reader<'_>,
    company: CompanyId,
    ticket: Uuid,
    most: i64,
) -> Result<Vec<Comment>, StoreError> {
    let sql = "SELECT id, author_id, author_name, body, created_at FROM wave_ticket_comments \
         WHERE company_id = $1 AND ticket_id = $2 ORDER BY created_at, id LIMIT $3";
    reader.query(sql, &params![company, ticket, most], |row| {
        Ok(Comment {
            id: row.uuid(0)?,
            author_id: row.opt_uuid(1)?,
            author_name: row.opt_text(2)?.map(str::to_owned),
            body: row.text(3)?.to_owned(),
            created_at: row.time(4)?,
        })
    })
}

/// Adds a comment of whoever calls.
///
/// # Errors
/// 404 without such a ticket.
pub fn comment(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, ticket: Uuid, body: &str) -> Result<Comment> {
    lock(tx, tenant.company, ticket)?;
    let author_name = agent::caller(tx, tenant)?.map(|author| author.name);
    let comment = Comment {
        id: kernel.new_id(),
        author_id: tenant.actor.user,
        author_name,
        body: body.to_owned(),
        created_at: kernel.now(),
    };
    tx.execute(
        "INSERT INTO wave_ticket_comments (company_id, id, ticket_id, author_id, author_name, body, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        &params![
            tenant.company,
            comment.id,
            ticket,
            comment.author_id,
            comment.author_name.as_deref(),
            comment.body.as_str(),
            comment.created_at
        ],
    )?;
    let sql = "UPDATE wave_tickets SET comment_count = comment_count + 1, updated_at = $3, version = version + 1 \
         WHERE company_id = $1 AND id = $2";
    tx.execute(sql, &params![tenant.company, ticket, comment.created_at])?;
    let after = get(tx, tenant.company, ticket)?;
    wire::told(tx, kernel, tenant, &after, "updated")?;
    Ok(comment)
}
