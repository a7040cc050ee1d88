//! An archive that the operator brings in, or tries: a row that says how far it is and what came, and a job that does it.

pub(super) mod work;

use loopd_store::{Row, StoreError, Tx, dialect, params};
use loopd_types::{CompanyId, Problem, Result, Uuid};
use serde_json::{Value, json};

use crate::access::Actor;
use crate::audit::INSTALLATION;
use crate::input::Input;
use crate::job::{self, NewJob};
use crate::listing::{Column, ColumnKind, Listing, column};
use crate::{Kernel, audit};

/// The kind of the job.
pub const JOB: &str = "companies.import";

/// Imports as the API shows them; newest first.
pub const LISTING: Listing =
    Listing { from: "company_imports i", columns: &COLUMNS, company: None, id: "i.id", order: "i.id DESC" };
const COLUMNS: [Column; 21] = [
    column("id", "i.id", ColumnKind::Uuid),
    column("state", "i.state", ColumnKind::Text),
    column("dry_run", "i.is_dry_run", ColumnKind::Bool),
    column("file", "i.file_id", ColumnKind::Uuid),
    column("file_company", "i.file_company", ColumnKind::Company),
    column("phase", "i.phase", ColumnKind::Text),
    column("rows_done", "i.rows_done", ColumnKind::Int),
    column("rows_total", "i.rows_total", ColumnKind::Int).nullable(),
    column("bytes_done", "i.bytes_done", ColumnKind::Int),
    column("bytes_total", "i.bytes_total", ColumnKind::Int).nullable(),
    column("error_code", "i.error_code", ColumnKind::Text).nullable(),
    column("error_message", "i.error_message", ColumnKind::Text).nullable(),
    column("company", "i.number", ColumnKind::Company).nullable(),
    column("code_before", "i.code_before", ColumnKind::Text).nullable(),
    column("name", "i.name", ColumnKind::Text).nullable(),
    column("people_known", "i.people_known", ColumnKind::Int).nullable(),
    column("people_made", "i.people_made", ColumnKind::Int).nullable(),
    column("created_by", "i.created_by", ColumnKind::Uuid),
    column("created_at", "i.created_at", ColumnKind::Time),
    column("started_at", "i.started_at", ColumnKind::Time).nullable(),
    column("finished_at", "i.finished_at", ColumnKind::Time).nullable(),
];

/// An import's row.
#[derive(Clone, Debug)]
struct Incoming {
    id: Uuid,
    state: String,
    is_dry_run: bool,
    created_by: Uuid,
    /// The archive.
    file: (CompanyId, Uuid),
    /// Counts who works at it: a worker that another one took over from is known by an earlier one.
    attempt: i64,
}

impl Incoming {
    fn is_under_way(&self) -> bool {
        ["queued", "running"].contains(&self.state.as_str())
    }
}

/// The row, nobody else's until the transaction ends.
fn locked(tx: &mut Tx<'_>, id: Uuid) -> Result<Option<Incoming>, StoreError> {
    let sql = format!(
        "SELECT id, state, is_dry_run, created_by, file_company, file_id, attempt FROM company_imports WHERE id = $1{}",
        dialect::for_update(tx.engine())
    );
    tx.first(&sql, &params![id], |row: &Row<'_>| {
        Ok(Incoming {
            id: row.uuid(0)?,
            state: row.text(1)?.to_owned(),
            is_dry_run: row.bool(2)?,
            created_by: row.uuid(3)?,
            file: (CompanyId(row.i64(4)?), row.uuid(5)?),
            attempt: row.i64(6)?,
        })
    })
}

/// Asks for an archive to be brought in: `{"file", "dry_run"?}`, a file of any company's shelf; gives the import's id.
///
/// # Errors
/// 400; 403 when no person asks; 409 `import_under_way`.
pub fn begin(tx: &mut Tx<'_>, kernel: &Kernel, actor: &Actor, body: Value) -> Result<Uuid> {
    let mut input = Input::new(body, false)?;
    if !input.has("file") {
        input.refuse("file", "required", "This field is required.");
    }
    let file = input.uuid("file");
    let is_dry_run = input.boolean("dry_run").unwrap_or(false);
    input.finish()?;
    let user = actor.user.ok_or_else(Problem::permission_denied)?;
    let file = file.ok_or_else(Problem::not_found)?;
    // By the key of files, which begins with the company.
    let sql = "SELECT company_id FROM files WHERE company_id IN (SELECT company_id FROM companies) AND id = $1 AND purpose = 'library'";
    let company = tx.first(sql, &params![file], |row| row.i64(0))?.ok_or_else(|| {
        Problem::field("file", "does_not_exist", format!("Invalid pk \"{file}\" - object does not exist."))
    })?;
    tx.lock("company-imports")?;
    let sql = "SELECT id FROM company_imports WHERE state IN ('queued', 'running')";
    if let Some(other) = tx.first(sql, &[], |row| row.uuid(0))? {
        let words = "Another company is being imported. Wait for it, or cancel it.";
        return Err(Problem::conflict("import_under_way", words).with_extra("import", other.to_string()));
    }
    let (id, now) = (kernel.new_id(), kernel.now());
    tx.push(
        "INSERT INTO company_imports (id, state, is_dry_run, created_by, file_company, file_id, created_at, updated_at) \
         VALUES ($1, 'queued', $2, $3, $4, $5, $6, $6)",
        params![id, is_dry_run, user, company, file, now],
    )?;
    let payload = json!({"import": id.to_string()}).to_string();
    let key = job_key(id);
    let job = NewJob { kind: JOB, company: INSTALLATION, payload, run_at: now, unique_key: Some(&key) };
    job::enqueue(tx, kernel, &job)?;
    noted(tx, kernel, actor, "create", id, json!({"file": file.to_string(), "dry_run": is_dry_run}))?;
    Ok(id)
}

fn job_key(id: Uuid) -> String {
    format!("company-import:{id}")
}

/// Stops an import that is not finished; nothing of it stays.
///
/// # Errors
/// 404; 409 `invalid_transition`.
pub fn cancel(tx: &mut Tx<'_>, kernel: &Kernel, actor: &Actor, id: Uuid) -> Result<()> {
    let found = locked(tx, id)?.ok_or_else(Problem::not_found)?;
    if !found.is_under_way() {
        let words = format!("This import is {}; only one that is under way can be cancelled.", found.state);
        return Err(Problem::conflict("invalid_transition", words));
    }
    tx.push(
        "UPDATE company_imports SET state = 'cancelled', phase = '', finished_at = $2, updated_at = $2 WHERE id = $1",
        params![id, kernel.now()],
    )?;
    noted(tx, kernel, actor, "cancel", id, json!({}))
}

/// The audit row of what became of an import, in the installation's log.
fn noted(tx: &mut Tx<'_>, kernel: &Kernel, actor: &Actor, action: &str, id: Uuid, facts: Value) -> Result<()> {
    let target = id.to_string();
    let entry = audit::Entry {
        action,
        module: "core",
        resource: "company-imports",
        target: &target,
        label: &target,
        changes: Some(facts.to_string()),
    };
    Ok(kernel.audit_installation(tx, actor, entry)?)
}
