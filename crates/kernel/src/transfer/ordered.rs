//! An archive that somebody of the company asked for: a row that says how far it is, a job that makes it, a file that holds it for a
//! while.

use loopd_store::{Reader, Row, StoreError, Tx, View, dialect, params};
use loopd_types::{CompanyId, Problem, Result, Timestamp, Uuid};
use serde_json::{Value, json};

use super::Lost;
use crate::access::{Actor, Tenant};
use crate::input::Input;
use crate::job::{self, NewJob};
use crate::listing::{Column, ColumnKind, Listing, column};
use crate::{Kernel, audit, event, file};

/// The kind of the job.
pub const JOB: &str = "companies.export";
/// What its maker needs, when asking and when it is made.
pub const PERMISSION: &str = "core.company-exports.create";

/// Exports as the API shows them; newest first.
pub const LISTING: Listing = Listing {
    from: "company_exports e",
    columns: &COLUMNS,
    company: Some("e.company_id"),
    id: "e.id",
    order: "e.id DESC",
};
const COLUMNS: [Column; 17] = [
    column("id", "e.id", ColumnKind::Uuid),
    column("company", "e.company_id", ColumnKind::Company),
    column("state", "e.state", ColumnKind::Text),
    column("leave_out_lost", "e.leaves_out_lost", ColumnKind::Bool),
    column("rows_done", "e.rows_done", ColumnKind::Int),
    column("rows_total", "e.rows_total", ColumnKind::Int).nullable(),
    column("bytes_done", "e.bytes_done", ColumnKind::Int),
    column("bytes_total", "e.bytes_total", ColumnKind::Int).nullable(),
    column("error_code", "e.error_code", ColumnKind::Text).nullable(),
    column("error_message", "e.error_message", ColumnKind::Text).nullable(),
    column("size_bytes", "e.size_bytes", ColumnKind::Int).nullable(),
    column("sha256", "e.sha256", ColumnKind::Text).nullable(),
    column("created_by", "e.created_by", ColumnKind::Uuid),
    column("created_at", "e.created_at", ColumnKind::Time),
    column("started_at", "e.started_at", ColumnKind::Time).nullable(),
    column("finished_at", "e.finished_at", ColumnKind::Time).nullable(),
    column("expires_at", "e.expires_at", ColumnKind::Time).nullable(),
];

/// An export's row.
#[derive(Clone, Debug)]
pub(super) struct Ordered {
    pub company: CompanyId,
    pub id: Uuid,
    pub state: String,
    pub created_by: Uuid,
    pub lost: Lost,
    /// Counts who works at it: a worker that another one took over from is known by an earlier one.
    pub attempt: i64,
    pub file: Option<Uuid>,
    pub expires_at: Option<Timestamp>,
}

fn find(reader: &mut Reader<'_>, company: CompanyId, id: Uuid, lock: &str) -> Result<Option<Ordered>, StoreError> {
    let sql = format!(
        "SELECT company_id, id, state, created_by, leaves_out_lost, attempt, file_id, expires_at FROM company_exports \
         WHERE company_id = $1 AND id = $2{lock}"
    );
    reader.first(&sql, &params![company, id], |row: &Row<'_>| {
        Ok(Ordered {
            company: CompanyId(row.i64(0)?),
            id: row.uuid(1)?,
            state: row.text(2)?.to_owned(),
            created_by: row.uuid(3)?,
            lost: if row.bool(4)? { Lost::LeaveOut } else { Lost::Refuse },
            attempt: row.i64(5)?,
            file: row.opt_uuid(6)?,
            expires_at: row.opt_time(7)?,
        })
    })
}

/// The row, nobody else's until the transaction ends.
pub(super) fn locked(tx: &mut Tx<'_>, company: CompanyId, id: Uuid) -> Result<Option<Ordered>, StoreError> {
    let lock = dialect::for_update(tx.engine());
    find(tx, company, id, lock)
}

/// Asks for an archive of the tenant's company; gives the export's id.
///
/// # Errors
/// 400; 403 when no person asks; 409 `export_under_way`.
pub fn begin(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, body: Value) -> Result<Uuid> {
    let mut input = Input::new(body, false)?;
    let leaves_out_lost = input.boolean("leave_out_lost").unwrap_or(false);
    input.finish()?;
    let (company, now) = (tenant.company, kernel.now());
    let user = tenant.actor.user.ok_or_else(Problem::permission_denied)?;
    tx.lock(&format!("company-exports:{}", company.0))?;
    let sql = "SELECT id FROM company_exports WHERE company_id = $1 AND state IN ('queued', 'running')";
    if let Some(other) = tx.first(sql, &params![company], |row| row.uuid(0))? {
        let words = "An export of this company is under way. Wait for it, or cancel it.";
        return Err(Problem::conflict("export_under_way", words).with_extra("export", other.to_string()));
    }
    let id = kernel.new_id();
    tx.push(
        "INSERT INTO company_exports (company_id, id, state, created_by, leaves_out_lost, created_at, updated_at) \
         VALUES ($1, $2, 'queued', $3, $4, $5, $5)",
        params![company, id, user, leaves_out_lost, now],
    )?;
    let payload = json!({"export": id.to_string()}).to_string();
    let key = job_key(id);
    job::enqueue(tx, kernel, &NewJob { kind: JOB, company, payload, run_at: now, unique_key: Some(&key) })?;
    noted(tx, kernel, company, &tenant.actor, ("create", "created"), id, json!({}))?;
    Ok(id)
}

pub(super) fn job_key(id: Uuid) -> String {
    format!("company-export:{id}")
}

/// Stops an export that is not finished.
///
/// # Errors
/// 404; 409 `invalid_transition`.
pub fn cancel(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid) -> Result<()> {
    let found = locked(tx, tenant.company, id)?.ok_or_else(Problem::not_found)?;
    if !["queued", "running"].contains(&found.state.as_str()) {
        let words = format!("This export is {}; only one that is under way can be cancelled.", found.state);
        return Err(Problem::conflict("invalid_transition", words));
    }
    let now = kernel.now();
    tx.push(
        "UPDATE company_exports SET state = 'cancelled', finished_at = $3, updated_at = $3 WHERE company_id = $1 AND id = $2",
        params![tenant.company, id, now],
    )?;
    noted(tx, kernel, tenant.company, &tenant.actor, ("cancel", "cancelled"), id, json!({}))
}

/// The archive of an export that is ready.
///
/// # Errors
/// 404; 409 `export_not_ready`; 410 `export_expired`.
pub fn archive(reader: &mut Reader<'_>, kernel: &Kernel, company: CompanyId, id: Uuid) -> Result<file::File> {
    let found = find(reader, company, id, "")?.ok_or_else(Problem::not_found)?;
    let is_over = found.expires_at.is_some_and(|expires_at| expires_at <= kernel.now());
    let gone =
        || Problem::new(loopd_types::Kind::Gone, "export_expired", "This export is kept no more. Ask for a new one.");
    if is_over || found.state == "expired" {
        return Err(gone());
    }
    let Some(file) = found.file.filter(|_| found.state == "ready") else {
        let words = format!("There is no archive: this export is {}.", found.state);
        return Err(Problem::conflict("export_not_ready", words));
    };
    file::find(reader, company, file)?.ok_or_else(gone)
}

/// Puts on record that somebody fetches the archive, before they do.
///
/// # Errors
/// 503.
pub async fn record_fetch(kernel: &std::sync::Arc<Kernel>, tenant: &std::sync::Arc<Tenant>, id: Uuid) -> Result<()> {
    let (shared, tenant) = (kernel.clone(), tenant.clone());
    let recorded = kernel.db.write(View::Company(tenant.company), move |tx| {
        Ok(audit::record(tx, &shared, &tenant, entry("fetch", &id.to_string()))?)
    });
    recorded.await
}

fn entry<'e>(action: &'e str, target: &'e str) -> audit::Entry<'e> {
    audit::Entry { action, module: "core", resource: "company-exports", target, label: target, changes: None }
}

/// The audit row and the event of what became of an export.
pub(super) fn noted(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    company: CompanyId,
    actor: &Actor,
    (action, past): (&str, &str),
    id: Uuid,
    mut payload: Value,
) -> Result<()> {
    let target = id.to_string();
    audit::record_by(tx, kernel, company, actor, entry(action, &target))?;
    payload["id"] = json!(target);
    let (kind, subject) = (format!("core.company-export.{past}"), format!("core/company-exports/{id}"));
    Ok(event::emit_by(tx, kernel, company, actor, &kind, &subject, payload.to_string())?)
}
