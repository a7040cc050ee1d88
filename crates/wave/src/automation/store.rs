//! Rules in the database.

use loopd_kernel::listing::{Column, ColumnKind, Listing, column, searched};
use loopd_kernel::{Kernel, Tenant, audit};
use loopd_store::{Reader, Row, StoreError, Tx, dialect, params};
use loopd_types::{CompanyId, Problem, Result, Uuid};
use serde_json::json;

use super::{Rule, Words};
use crate::{PRODUCT, event};

/// Rules as people see them, in the order in which they are tried.
pub const LISTING: Listing = Listing {
    from: "(SELECT * FROM wave_automations WHERE deleted_at IS NULL) a",
    columns: &COLUMNS,
    company: Some("a.company_id"),
    id: "a.id",
    order: "a.company_id, a.position, a.id",
};
const COLUMNS: [Column; 16] = [
    column("id", "a.id", ColumnKind::Uuid),
    column("company", "a.company_id", ColumnKind::Company),
    searched("name", "a.name"),
    column("enabled", "a.is_enabled", ColumnKind::Bool),
    column("trigger", "a.trigger_on", ColumnKind::Text),
    searched("match", "a.matches"),
    column("match_mode", "a.match_mode", ColumnKind::Text),
    searched("response", "a.response"),
    column("number", "a.number_id", ColumnKind::Uuid).nullable(),
    column("reply_to_groups", "a.reply_to_groups", ColumnKind::Bool),
    column("cooldown_minutes", "a.cooldown_minutes", ColumnKind::Int),
    column("position", "a.position", ColumnKind::Int),
    column("created_by", "a.created_by", ColumnKind::Uuid).nullable(),
    column("created_at", "a.created_at", ColumnKind::Time),
    column("updated_at", "a.updated_at", ColumnKind::Time),
    column("version", "a.version", ColumnKind::Int),
];

const SELECT: &str = "SELECT id, name, is_enabled, trigger_on, matches, match_mode, response, number_id, reply_to_groups, cooldown_minutes, \
     position FROM wave_automations";

fn read(row: &Row<'_>) -> Result<Rule, StoreError> {
    Ok(Rule {
        id: row.uuid(0)?,
        content: Words {
            name: row.text(1)?.to_owned(),
            is_enabled: row.bool(2)?,
            trigger: row.text(3)?.to_owned(),
            matches: row.text(4)?.to_owned(),
            mode: row.text(5)?.to_owned(),
            response: row.text(6)?.to_owned(),
            number_id: row.opt_uuid(7)?,
            reply_to_groups: row.bool(8)?,
            cooldown_minutes: row.i64(9)?,
            position: row.i64(10)?,
        },
    })
}

/// Rules that are on, in the order in which they are tried.
pub fn enabled(reader: &mut Reader<'_>, company: CompanyId) -> Result<Vec<Rule>, StoreError> {
    let sql =
        format!("{SELECT} WHERE company_id = $1 AND is_enabled = TRUE AND deleted_at IS NULL ORDER BY position, id");
    reader.query(&sql, &params![company], read)
}

/// How many rules a company has.
pub fn number_of(reader: &mut Reader<'_>, company: CompanyId) -> Result<i64, StoreError> {
    let sql = "SELECT count(*) FROM wave_automations WHERE company_id = $1 AND deleted_at IS NULL";
    reader.one(sql, &params![company], |row| row.i64(0))
}

/// The place behind all others.
pub fn next_position(reader: &mut Reader<'_>, company: CompanyId) -> Result<i64, StoreError> {
    let sql =
        "SELECT COALESCE(max(position), 0) + 1 FROM wave_automations WHERE company_id = $1 AND deleted_at IS NULL";
    reader.one(sql, &params![company], |row| row.i64(0))
}

/// A rule, held until the transaction ends.
///
/// # Errors
/// 404.
pub fn lock(tx: &mut Tx<'_>, company: CompanyId, id: Uuid) -> Result<Rule> {
    let locked = dialect::for_update(tx.engine());
    let sql = format!("{SELECT} WHERE company_id = $1 AND id = $2 AND deleted_at IS NULL{locked}");
    tx.first(&sql, &params![company, id], read)?.ok_or_else(Problem::not_found)
}

/// # Errors
/// 503 from the database.
pub fn create(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, words: &Words) -> Result<Uuid> {
    let (id, now) = (kernel.new_id(), kernel.now());
    tx.execute(
        "INSERT INTO wave_automations (company_id, id, name, is_enabled, trigger_on, matches, match_mode, response, number_id, \
         reply_to_groups, cooldown_minutes, position, created_by, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $14)",
        &params![
            tenant.company,
            id,
            words.name.as_str(),
            words.is_enabled,
            words.trigger.as_str(),
            words.matches.as_str(),
            words.mode.as_str(),
            words.response.as_str(),
            words.number_id,
            words.reply_to_groups,
            words.cooldown_minutes,
            words.position,
            tenant.actor.user,
            now
        ],
    )?;
    written(tx, kernel, tenant, id, &words.name, ("create", "created"))?;
    Ok(id)
}

/// Writes what changed; nothing happens when nothing did.
///
/// # Errors
/// 503 from the database.
pub fn change(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, before: &Rule, next: &Words) -> Result<()> {
    if before.content == *next {
        return Ok(());
    }
    tx.execute(
        "UPDATE wave_automations SET name = $3, is_enabled = $4, trigger_on = $5, matches = $6, match_mode = $7, response = $8, \
         number_id = $9, reply_to_groups = $10, cooldown_minutes = $11, position = $12, updated_at = $13, version = version + 1 \
         WHERE company_id = $1 AND id = $2",
        &params![
            tenant.company,
            before.id,
            next.name.as_str(),
            next.is_enabled,
            next.trigger.as_str(),
            next.matches.as_str(),
            next.mode.as_str(),
            next.response.as_str(),
            next.number_id,
            next.reply_to_groups,
            next.cooldown_minutes,
            next.position,
            kernel.now()
        ],
    )?;
    let action = match (before.content.is_enabled, next.is_enabled) {
        (false, true) => "enable",
        (true, false) => "disable",
        _ => "update",
    };
    written(tx, kernel, tenant, before.id, &next.name, (action, "updated"))
}

/// # Errors
/// 404.
pub fn delete(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid) -> Result<()> {
    let rule = lock(tx, tenant.company, id)?;
    let sql = "UPDATE wave_automations SET deleted_at = $3, updated_at = $3, version = version + 1 WHERE company_id = $1 AND id = $2";
    tx.execute(sql, &params![tenant.company, id, kernel.now()])?;
    written(tx, kernel, tenant, id, &rule.content.name, ("delete", "deleted"))
}

fn written(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    id: Uuid,
    name: &str,
    (action, act): (&str, &str),
) -> Result<()> {
    let target = id.to_string();
    let entry =
        audit::Entry { action, module: PRODUCT, resource: "automations", target: &target, label: name, changes: None };
    audit::record(tx, kernel, tenant, entry)?;
    let kind = format!("{PRODUCT}.automations.{act}");
    let data = json!({"id": target, "name": name});
    event::emit(tx, kernel, tenant, &kind, &format!("{PRODUCT}/automations/{id}"), data, None)
}
