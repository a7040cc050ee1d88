//! Erasing a person from one company's data: somebody who has no account there, but records about them.

use loopd_store::{Reader, Tx, View, params};
use loopd_types::{CompanyId, Problem, Result, Uuid};
use serde_json::{Value as Json, json};

use super::account::{self, Row};
use super::records::{Found, Records};
use super::report::{self, Line};
use super::search::Task;
use super::wanted::Wanted;
use super::work::{self, Progress};
use crate::access::Tenant;
use crate::file::Purpose;
use crate::file::attachment::{self, Record};
use crate::input::Input;
use crate::{Kernel, audit, event};

/// Attachments that are looked at by one read.
const WINDOW: usize = 2_000;
const ARCHIVES: &str = "archives of the company from before; each goes by itself when its time is over";
const SHELF: &str = "files of the company's own shelf stay there: look into them";

/// By what a person is known to the company: `email`, `phone` or both, and `name` besides.
///
/// # Errors
/// 400 `validation_error` when there is neither address nor number: by a name alone the wrong ones are found too.
pub fn identity(body: Json) -> Result<Wanted> {
    let mut input = Input::new(body, true)?;
    let email = input.text("email", 254);
    let phone = input.text("phone", 32);
    let name = input.text("name", 255);
    input.finish()?;
    let mut wanted = Wanted::default();
    wanted.add_email(email.as_deref().unwrap_or_default());
    wanted.add_phone(phone.as_deref().unwrap_or_default());
    let is_given = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.trim().is_empty());
    // One that is passed over in silence would be believed to be erased.
    if is_given(&email) && wanted.emails.is_empty() {
        return Err(Problem::field("email", "invalid", "Enter a valid email address."));
    }
    if is_given(&phone) && wanted.phones.is_empty() {
        return Err(Problem::field("phone", "invalid", "Give a telephone number of seven digits or more."));
    }
    if wanted.emails.is_empty() && wanted.phones.is_empty() {
        return Err(Problem::field("email", "required", "Give an e-mail address or a telephone number."));
    }
    wanted.add_full_name(name.as_deref().unwrap_or_default());
    Ok(wanted)
}

/// Whether somebody known so is a member of the company: what members did is their account's, and is erased with it.
///
/// # Errors
/// 409 `is_member`.
pub fn refuse_members(tx: &mut Tx<'_>, tenant: &Tenant, wanted: &Wanted) -> Result<()> {
    for email in &wanted.emails {
        let sql = "SELECT 1 FROM memberships m JOIN users u ON u.id = m.user_id \
                   WHERE m.company_id = $1 AND m.status <> 'left' AND u.email = $2";
        if tx.first(sql, &params![tenant.company, email], |_| Ok(()))?.is_some() {
            let words = "This is a member of the company. End the membership first; an account is erased by whom it belongs to.";
            return Err(Problem::conflict("is_member", words));
        }
    }
    Ok(())
}

/// Writes the erasure down, and leaves the rest to the job. `found` is what [`super::records::find`] found; gives the erasure's id.
///
/// # Errors
/// 409 `is_member`; the database's.
pub fn begin(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, known: &Wanted, found: &[Found]) -> Result<Uuid> {
    refuse_members(tx, tenant, known)?;
    let erasure = kernel.new_id();
    let known = Wanted { pseudonym: format!("erased-{erasure}"), ..known.clone() };
    let wanted = identify(tx, kernel, tenant.company, known, found)?;
    let about: Vec<String> = found.iter().map(|one| format!("{}/{}", one.path, one.id)).collect();
    let mut lines = Vec::<Line>::new();
    forget_addresses(tx, kernel, tenant.company, &wanted, &mut lines)?;
    let archives = "SELECT COUNT(*) FROM files WHERE company_id = $1 AND purpose = 'export'";
    let archives = tx.one(archives, &params![tenant.company], |row| row.i64(0))?;
    report::add(&mut lines, "company_exports", ARCHIVES, |line| line.kept += u64::try_from(archives).unwrap_or(0));
    let progress = Progress {
        people: Vec::new(),
        companies: vec![tenant.company.0],
        about: about.clone(),
        letter: None,
        done: Vec::new(),
        at: None,
    };
    let row = Row { company: tenant.company, id: erasure, kind: "person", subject: None, through: "company" };
    account::write(tx, kernel, &row, tenant.actor.user, &wanted, &progress, &lines)?;
    // Requests that were let in before this may still write their rows.
    work::enqueue(tx, kernel, tenant.company, erasure, kernel.now().plus(account::PAUSE_US))?;
    let target = erasure.to_string();
    let changes = json!({"erasure": target, "records": about}).to_string();
    let entry = audit::Entry {
        action: "erase",
        module: "core",
        resource: "data-subjects",
        target: &target,
        label: "",
        changes: Some(changes.clone()),
    };
    audit::record(tx, kernel, tenant, entry)?;
    event::emit(tx, kernel, tenant, "core.person.erased", &format!("core/data-subjects/{target}"), changes)?;
    Ok(erasure)
}

/// By what else the person is known: the names and contacts that their records have, and had as the log of their changes has it.
fn identify(
    reader: &mut Reader<'_>,
    kernel: &Kernel,
    company: CompanyId,
    mut wanted: Wanted,
    found: &[Found],
) -> Result<Wanted> {
    for one in found {
        one.names.iter().for_each(|name| wanted.add_full_name(name));
        // Perhaps shared with others: these count in rows about the person only.
        one.contacts.iter().for_each(|contact| wanted.add_word(contact));
        let records = kernel.personal_records().iter().find(|records| records.path == one.path);
        let Some(records) = records.filter(|records| !records.names.is_empty()) else { continue };
        // That of its making has no changes.
        let sql = "SELECT changes FROM audit_logs WHERE company_id = $1 AND target_id = $2 AND NOT is_creation";
        let logs =
            reader.query(sql, &params![company, one.id.to_string()], |row| Ok(row.opt_json(0)?.map(str::to_owned)))?;
        for changes in logs.into_iter().flatten() {
            let changes: Json = serde_json::from_str(&changes).map_err(Problem::internal)?;
            let values = |columns: &[String]| -> Vec<String> {
                let both = columns.iter().filter_map(|column| changes.get(column)?.as_array()).flatten();
                both.filter_map(|value| value.as_str().map(str::to_owned)).collect()
            };
            values(&records.names).iter().for_each(|name| wanted.add_full_name(name));
            values(&records.contacts).iter().for_each(|contact| wanted.add_word(contact));
        }
    }
    Ok(wanted)
}

/// Letters to them, invitations that wait for them, bills of the company's that go to them.
fn forget_addresses(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    company: CompanyId,
    wanted: &Wanted,
    lines: &mut Vec<Line>,
) -> Result<()> {
    for email in &wanted.emails {
        let sql = "DELETE FROM mail_messages WHERE company_id = $1 AND recipient = $2";
        let letters = tx.execute(sql, &params![company, email])?;
        report::add(lines, "mail_messages", "", |line| line.erased += letters);
        account::withdraw_invitations(tx, kernel, Some(company), email)?;
    }
    account::forget_payer(tx, kernel, company, wanted, lines)
}

/// Puts on record that somebody looked for what there is of a person; not of whom. Gives the names that an erasure would look for in every
/// text.
///
/// # Errors
/// The database's.
pub fn record_look(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    known: &Wanted,
    found: &[Found],
) -> Result<Vec<String>> {
    let wanted = identify(tx, kernel, tenant.company, known.clone(), found)?;
    let entry = audit::Entry {
        action: "find",
        module: "core",
        resource: "data-subjects",
        target: "",
        label: "",
        changes: Some(json!({"records": found.len()}).to_string()),
    };
    audit::record(tx, kernel, tenant, entry)?;
    Ok(wanted.names.into_iter().collect())
}

/// Takes the files of the person's records away; those of documents that a law keeps stay with them. Repeating it changes nothing.
///
/// # Errors
/// The database's.
pub(super) async fn take_files_away(task: &Task) -> Result<()> {
    let Some(access) = task.kernel.company_access(task.company).await? else { return Ok(()) };
    let tenant = Tenant::system(access, "a person is erased");
    let mut after = Uuid::nil();
    loop {
        let company = task.company;
        let sql = format!(
            "SELECT id, record_id FROM file_attachments WHERE company_id = $1 AND id > $2 ORDER BY id LIMIT {WINDOW}"
        );
        let read = move |reader: &mut Reader<'_>| {
            Ok(reader.query(&sql, &params![company, after], |row| Ok((row.uuid(0)?, row.uuid(1)?)))?)
        };
        let rows = task.kernel.db.read_long(View::System, read).await?;
        for (id, record) in &rows {
            let place = task.about.get(&record.to_string()).copied().flatten();
            let records = place.and_then(|place| task.kernel.personal_records().get(place));
            if let Some(records) = records.filter(|records| records.kept_by.is_none()) {
                take_away(task, &tenant, records, *record, *id).await?;
            }
        }
        match rows.last() {
            Some((last, _)) if rows.len() == WINDOW => after = *last,
            _ => return Ok(()),
        }
    }
}

async fn take_away(task: &Task, tenant: &Tenant, records: &Records, record: Uuid, id: Uuid) -> Result<()> {
    let (task, tenant) = (task.clone(), tenant.clone());
    let (path, event) = (records.path.clone(), records.event.clone());
    let kernel = task.kernel.clone();
    let work = move |tx: &mut Tx<'_>| {
        let Some((module, resource)) = path.split_once('/') else { return Ok(()) };
        let subject = format!("{path}/{record}");
        let record = Record { module, resource, id: record, label: "", subject: &subject, event: &event };
        report::lock(tx, task.erasure)?;
        let file = match attachment::find(tx, &tenant, &record, id) {
            Ok(file) => file,
            // Somebody else was faster.
            Err(problem) if problem.status() == 404 => return Ok(()),
            Err(problem) => return Err(problem),
        };
        let is_own = file.purpose == Purpose::Attachment;
        if is_own {
            // Its name would be told once more with the news that it is taken away.
            let sql = "UPDATE files SET name = 'erased' WHERE company_id = $1 AND id = $2";
            tx.execute(sql, &params![task.company, file.id])?;
        }
        attachment::detach(tx, &task.kernel, &tenant, &record, id)?;
        report::update(tx, task.erasure, |lines, _: &mut Progress| {
            report::add(lines, "file_attachments", SHELF, |line| {
                line.erased += 1;
                line.kept += u64::from(!is_own);
            });
            Ok(())
        })
    };
    kernel.db.write(View::System, work).await
}
