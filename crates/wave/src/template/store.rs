//! Templates in the database.

use loopd_kernel::{Kernel, Tenant, audit};
use loopd_store::{Reader, Row, StoreError, Tx, Value, dialect, params};
use loopd_types::{CompanyId, Problem, Result, SECOND_US, Timestamp, Uuid};
use serde_json::{Value as Json, json};

use crate::{PRODUCT, event};

/// A template, as Meta told it last.
#[derive(Clone, PartialEq, Debug)]
pub struct Template {
    pub id: Uuid,
    /// Meta's id of the business account that it belongs to.
    pub account: String,
    pub meta_id: String,
    pub name: String,
    pub language: String,
    /// `MARKETING`, `UTILITY`, `AUTHENTICATION`
    pub category: String,
    /// Meta's word.
    pub status: String,
    pub status_at: Timestamp,
    /// Why it is not approved.
    pub reason: Option<String>,
    pub quality: Option<String>,
    pub components: Json,
    pub created_at: Timestamp,
    pub version: i64,
}

/// What Meta tells of a template.
#[derive(Clone, PartialEq, Debug)]
pub struct Told {
    pub meta_id: String,
    pub name: String,
    pub language: String,
    pub category: String,
    pub status: String,
    pub reason: Option<String>,
    pub quality: Option<String>,
    pub components: Json,
}

const SELECT: &str = "SELECT id, account, meta_id, name, language, category, status, status_at, reason, quality, components, created_at, version \
     FROM wave_templates";

fn read(row: &Row<'_>) -> Result<Template, StoreError> {
    let text = |index: usize| Ok::<_, StoreError>(row.text(index)?.to_owned());
    let broken = || StoreError::Other("a template's row holds what no template is".into());
    Ok(Template {
        id: row.uuid(0)?,
        account: text(1)?,
        meta_id: text(2)?,
        name: text(3)?,
        language: text(4)?,
        category: text(5)?,
        status: text(6)?,
        status_at: row.time(7)?,
        reason: row.opt_text(8)?.map(str::to_owned),
        quality: row.opt_text(9)?.map(str::to_owned),
        components: serde_json::from_str(row.json(10)?).map_err(|_| broken())?,
        created_at: row.time(11)?,
        version: row.i64(12)?,
    })
}

/// The templates of an account, by name and language.
///
/// # Errors
/// The database's.
pub fn list(
    reader: &mut Reader<'_>,
    company: CompanyId,
    account: &str,
    status: Option<&str>,
) -> Result<Vec<Template>, StoreError> {
    let mut sql = format!("{SELECT} WHERE company_id = $1 AND account = $2");
    let mut values = params![company, account].to_vec();
    if let Some(status) = status {
        sql.push_str(" AND status = $3");
        values.push(Value::from(status));
    }
    sql.push_str(" ORDER BY name, language");
    reader.query(&sql, &values, read)
}

/// # Errors
/// The database's.
pub fn find_named(
    reader: &mut Reader<'_>,
    company: CompanyId,
    account: &str,
    name: &str,
    language: &str,
) -> Result<Option<Template>, StoreError> {
    let sql = format!("{SELECT} WHERE company_id = $1 AND account = $2 AND name = $3 AND language = $4");
    reader.first(&sql, &params![company, account, name, language], read)
}

/// One of an account's.
///
/// # Errors
/// 404.
pub fn get(reader: &mut Reader<'_>, company: CompanyId, account: &str, id: Uuid) -> Result<Template> {
    let sql = format!("{SELECT} WHERE company_id = $1 AND id = $2 AND account = $3");
    reader.first(&sql, &params![company, id, account], read)?.ok_or_else(Problem::not_found)
}

/// Takes up what Meta tells of a template, and tells of it where that is news; it as it is now.
///
/// # Errors
/// The database's.
pub fn keep(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, account: &str, told: &Told) -> Result<Template> {
    let (company, now) = (tenant.company, kernel.now());
    // In whole seconds, as Meta's webhooks tell them: what is decided within this one is news.
    let told_at = Timestamp(now.0 - now.0.rem_euclid(SECOND_US));
    // Two syncs at once write the same row one after the other.
    tx.lock(&format!("wave_templates:{}:{account}", company.0))?;
    let known = find_named(tx, company, account, &told.name, &told.language)?;
    if let Some(known) = &known {
        let is_same = known.meta_id == told.meta_id
            && known.category == told.category
            && known.status == told.status
            && known.reason == told.reason
            && known.quality == told.quality
            && known.components == told.components;
        if is_same {
            return Ok(known.clone());
        }
    }
    let id = known.as_ref().map_or_else(|| kernel.new_id(), |known| known.id);
    tx.execute(
        "INSERT INTO wave_templates (company_id, id, account, meta_id, name, language, category, status, status_at, reason, quality, \
         components, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13) \
         ON CONFLICT (company_id, account, name, language) DO UPDATE SET meta_id = excluded.meta_id, category = excluded.category, \
         status = excluded.status, status_at = excluded.status_at, reason = excluded.reason, quality = excluded.quality, \
         components = excluded.components, updated_at = excluded.updated_at, version = wave_templates.version + 1",
        &params![
            company,
            id,
            account,
            told.meta_id.as_str(),
            told.name.as_str(),
            told.language.as_str(),
            told.category.as_str(),
            told.status.as_str(),
            told_at,
            told.reason.as_deref(),
            told.quality.as_deref(),
            Value::Json(told.components.to_string()),
            now
        ],
    )?;
    let template = get(tx, company, account, id)?;
    tell(tx, kernel, tenant, &template)?;
    Ok(template)
}

/// News of one by Meta's webhook. Older than what is known, or the same, changes nothing; of one that is not known, nothing can be kept: the
/// next sync brings it.
///
/// # Errors
/// The database's.
pub fn news(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    account: &str,
    meta_id: &str,
    (status, reason): (&str, Option<&str>),
    at: Timestamp,
) -> Result<()> {
    let locked = dialect::for_update(tx.engine());
    let sql = format!("{SELECT} WHERE company_id = $1 AND account = $2 AND meta_id = $3{locked}");
    let Some(known) = tx.first(&sql, &params![tenant.company, account, meta_id], read)? else { return Ok(()) };
    if known.status_at > at || (known.status == status && known.reason.as_deref() == reason) {
        return Ok(());
    }
    tx.execute(
        "UPDATE wave_templates SET status = $3, reason = $4, status_at = $5, updated_at = $6, version = version + 1 \
         WHERE company_id = $1 AND id = $2",
        &params![tenant.company, known.id, status, reason, at, kernel.now()],
    )?;
    let template = Template {
        status: status.to_owned(),
        reason: reason.map(str::to_owned),
        status_at: at,
        version: known.version + 1,
        ..known
    };
    tell(tx, kernel, tenant, &template)
}

/// Forgets a template that Meta has no more.
///
/// # Errors
/// The database's.
pub fn forget(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, template: &Template) -> Result<()> {
    let sql = "DELETE FROM wave_templates WHERE company_id = $1 AND id = $2";
    if tx.execute(sql, &params![tenant.company, template.id])? == 0 {
        return Ok(());
    }
    tell(tx, kernel, tenant, &Template { status: "DELETED".to_owned(), ..template.clone() })
}

/// `loopwave.templates.updated`: customers are not in it.
fn tell(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, template: &Template) -> Result<()> {
    let data = json!({
        "id": template.id.to_string(), "name": template.name, "language": template.language, "category": template.category,
        "status": template.status, "reason": template.reason,
    });
    let subject = format!("{PRODUCT}/templates/{}", template.id);
    event::emit(tx, kernel, tenant, "loopwave.templates.updated", &subject, data, None)
}

/// What somebody did with a template stands in the audit log.
///
/// # Errors
/// The database's.
pub fn record(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, template: &Template, action: &str) -> Result<()> {
    let target = template.id.to_string();
    let entry = audit::Entry {
        action,
        module: PRODUCT,
        resource: "templates",
        target: &target,
        label: &template.name,
        changes: None,
    };
    Ok(audit::record(tx, kernel, tenant, entry)?)
}
