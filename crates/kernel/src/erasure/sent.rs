//! Files that the person sent: they lie on the company's shelf, and a row about the person names each.

use std::collections::HashSet;

use loopd_store::{Reader, Tx, View, dialect, params};
use loopd_types::{Result, Uuid};
use serde_json::Value as Json;

use super::records::{Records, Sent};
use super::report;
use super::search::{Task, quoted};
use super::work::Progress;
use crate::access::Tenant;
use crate::file;

/// Rows that are looked at by one read.
const WINDOW: usize = 2_000;
/// How logs name a file of the shelf.
pub(super) const FILES: &str = "core/files";
const SHARED: &str = "somebody else was sent the same file, or a record has it";

/// Takes what the person sent from the shelf; what the company sent them is its own. Whether anything was taken: then logs have more about
/// the person than was known. Repeating it changes nothing.
///
/// # Errors
/// The database's.
pub(super) async fn take_away(task: &Task) -> Result<bool> {
    let Some(access) = task.kernel.company_access(task.company).await? else { return Ok(false) };
    let tenant = Tenant::system(access, "a person is erased");
    let mut is_news = false;
    for records in task.kernel.personal_records().iter() {
        let Some(sent) = &records.sent else { continue };
        let found = find(task, records, sent).await?;
        for row in found.theirs {
            is_news |= take(task, &tenant, &records.table.name, sent, row, &found.others).await?;
        }
    }
    Ok(is_news)
}

/// What stands in a table.
#[derive(Default)]
struct Found {
    /// Rows with what the person sent.
    theirs: Vec<Uuid>,
    /// Files of rows that are not about them.
    others: HashSet<Uuid>,
}

async fn find(task: &Task, records: &Records, sent: &Sent) -> Result<Found> {
    let (table, column, unless) = (&records.table.name, quoted(&sent.column), quoted(&sent.unless));
    let sql = format!(
        "SELECT id, {column}, {unless} FROM {table} WHERE company_id = $1 AND id > $2 ORDER BY id LIMIT {WINDOW}"
    );
    let (mut found, mut after) = (Found::default(), Uuid::nil());
    loop {
        let (sql, company) = (sql.clone(), task.company);
        let read = move |reader: &mut Reader<'_>| {
            Ok(reader.query(&sql, &params![company, after], |row| {
                Ok((row.uuid(0)?, row.opt_json(1)?.map(str::to_owned), row.bool(2)?))
            })?)
        };
        let rows = task.kernel.db.read_long(View::System, read).await?;
        for (id, told, is_ours) in &rows {
            let Some(told) = told.as_deref().map(read_json).filter(|told| sent.is_in(told)) else { continue };
            match (task.about.contains_key(&id.to_string()), is_ours) {
                (true, false) => found.theirs.push(*id),
                (true, true) => {}
                (false, _) => found.others.extend(sent.file(&told)),
            }
        }
        match rows.last() {
            Some((last, ..)) if rows.len() == WINDOW => after = *last,
            _ => return Ok(found),
        }
    }
}

fn read_json(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_default()
}

/// One row: its file goes with all that it says of it, so that one which is still to be fetched is not. Whether a file went.
async fn take(
    task: &Task,
    tenant: &Tenant,
    table: &str,
    sent: &Sent,
    row: Uuid,
    others: &HashSet<Uuid>,
) -> Result<bool> {
    let (task, tenant, sent, others) = (task.clone(), tenant.clone(), sent.clone(), others.clone());
    let column = quoted(&sent.column);
    let clear = format!("UPDATE {table} SET {column} = NULL WHERE company_id = $1 AND id = $2");
    let table = table.to_owned();
    let kernel = task.kernel.clone();
    let work = move |tx: &mut Tx<'_>| {
        report::lock(tx, task.erasure)?;
        let locked = dialect::for_update(tx.engine());
        let sql = format!("SELECT {column} FROM {table} WHERE company_id = $1 AND id = $2{locked}");
        let told = tx.first(&sql, &params![task.company, row], |row| Ok(row.opt_json(0)?.map(str::to_owned)))?;
        // Somebody else was faster.
        let Some(told) = told.flatten() else { return Ok(false) };
        tx.execute(&clear, &params![task.company, row])?;
        let Some(id) = sent.file(&read_json(&told)) else { return Ok(false) };
        let is_shared = others.contains(&id) || is_attached(tx, &task, id)?;
        let is_gone = !is_shared && remove(tx, &task, &tenant, id)?;
        report::update(tx, task.erasure, |lines, progress: &mut Progress| {
            report::add(lines, "files", SHARED, |line| {
                line.erased += u64::from(is_gone);
                line.kept += u64::from(is_shared);
            });
            if is_gone {
                progress.about.push(format!("{FILES}/{id}"));
            }
            Ok(is_gone)
        })
    };
    kernel.db.write(View::System, work).await
}

fn is_attached(reader: &mut Reader<'_>, task: &Task, id: Uuid) -> Result<bool> {
    let sql = "SELECT 1 FROM file_attachments WHERE company_id = $1 AND file_id = $2 LIMIT 1";
    Ok(reader.first(sql, &params![task.company, id], |_| Ok(()))?.is_some())
}

/// False when it is gone already: the same file may be named by two rows.
fn remove(tx: &mut Tx<'_>, task: &Task, tenant: &Tenant, id: Uuid) -> Result<bool> {
    // Its name would be told once more with the news that it is gone.
    let sql = "UPDATE files SET name = 'erased' WHERE company_id = $1 AND id = $2 AND purpose = 'library'";
    if tx.execute(sql, &params![task.company, id])? == 0 {
        return Ok(false);
    }
    let sql = "UPDATE audit_logs SET target_label = 'erased', changes = NULL \
         WHERE company_id = $1 AND target_id = $2 AND NOT is_creation AND module = 'core' AND resource = 'files'";
    tx.execute(sql, &params![task.company, id.to_string()])?;
    file::remove_from_library(tx, &task.kernel, tenant, id)?;
    Ok(true)
}
