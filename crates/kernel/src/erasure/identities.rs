//! By what a messenger knows people: rows whose key is the number itself, so that they go as a whole, and no search of texts reaches them.

use std::sync::Arc;

use loopd_store::{Reader, Tx, Value, View, params};
use loopd_types::{Result, Uuid};

use super::records::Found;
use super::report;
use super::search::Task;
use super::wanted::{Scope, Wanted};
use super::work::Progress;
use crate::Kernel;
use crate::access::Tenant;

/// Rows of one statement.
const PIECE: usize = 200;
/// Digits at the end of a number that tell it apart, without country or trunk prefix.
const NATIONAL_DIGITS: usize = 9;

/// Contacts that are known by one of the person's numbers, though they show another.
///
/// # Errors
/// The database's.
pub(super) async fn find(kernel: &Arc<Kernel>, tenant: &Tenant, wanted: &Wanted) -> Result<Vec<Found>> {
    let contacts = kernel.personal_records().iter().find(|records| records.table.name == "wave_contacts");
    let Some(contacts) = contacts.map(|records| records.path.clone()) else { return Ok(Vec::new()) };
    let (wanted, company) = (wanted.clone(), tenant.company);
    let read = move |reader: &mut Reader<'_>| {
        let mut all: Vec<Found> = Vec::new();
        for phone in &wanted.phones {
            let digits: String = phone.chars().filter(char::is_ascii_digit).collect();
            let pattern = format!("%{}", &digits[digits.len().saturating_sub(NATIONAL_DIGITS)..]);
            let sql = "SELECT c.id, i.value, c.name, c.phone, c.email FROM wave_identities i \
                 JOIN wave_contacts c ON c.company_id = i.company_id AND c.id = i.contact_id \
                 WHERE i.company_id = $1 AND i.kind = 'phone' AND i.value LIKE $2";
            let rows = reader.query(sql, &params![company, pattern], |row| {
                let other = [3, 4].map(|at| row.opt_text(at).map(|text| text.unwrap_or_default().to_owned()));
                let other = other.into_iter().collect::<std::result::Result<Vec<String>, _>>()?;
                Ok((row.uuid(0)?, row.text(1)?.to_owned(), row.text(2)?.to_owned(), other))
            })?;
            for (id, value, name, others) in rows {
                let is_theirs = wanted.replace(&format!("+{value}"), Scope::Addresses).is_some();
                if is_theirs && !all.iter().any(|one| one.id == id) {
                    let (path, by) = (contacts.clone(), vec!["identities".to_owned()]);
                    let others = others.into_iter().filter(|text| !text.is_empty()).collect();
                    all.push(Found { path, id, by, kept_by: None, names: vec![name], contacts: others });
                }
            }
        }
        Ok(all)
    };
    kernel.db.read_long(tenant.view(), read).await
}

/// Takes away by what the person's contacts are known: whoever writes from that number next is a stranger. What waits to go out to them
/// does not. Repeating it changes nothing.
///
/// # Errors
/// The database's.
pub(super) async fn forget(task: &Task) -> Result<()> {
    let ids: Vec<Uuid> = task.about.keys().filter_map(|name| Uuid::parse_str(name).ok()).collect();
    for piece in ids.chunks(PIECE) {
        let (task, piece) = (task.clone(), piece.to_vec());
        let kernel = task.kernel.clone();
        let work = move |tx: &mut Tx<'_>| {
            let marks =
                |first: usize| (first..first + piece.len()).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ");
            let mut values = vec![Value::from(task.company)];
            values.extend(piece.iter().map(Value::from));
            let sql = format!("DELETE FROM wave_identities WHERE company_id = $1 AND contact_id IN ({})", marks(2));
            let gone = tx.execute(&sql, &values)?;
            let mut values = vec![Value::from(task.company), Value::from(task.kernel.now())];
            values.extend(piece.iter().map(Value::from));
            let sql = format!(
                "UPDATE wave_outgoing SET expires_at = $2, due_at = $2 WHERE company_id = $1 AND step = 'waiting' AND chat_id IN ({})",
                marks(3)
            );
            tx.execute(&sql, &values)?;
            if gone == 0 {
                return Ok(());
            }
            report::update(tx, task.erasure, |lines, _: &mut Progress| {
                report::add(lines, "wave_identities", "", |line| line.erased += gone);
                Ok(())
            })
        };
        kernel.db.write(View::System, work).await?;
    }
    Ok(())
}
