//! Records of products as another product may link to them: by path and id, and by a telephone number. What there is follows from the
//! definitions, which the binary wired ([`Kernel::personal_records`]).

use loopd_store::{Reader, StoreError, Value, params};
use loopd_types::{CompanyId, Problem, Result, Uuid};

use crate::Kernel;
use crate::access::Tenant;
use crate::erasure::records::Records;
use crate::subscription::rules::Openness;

/// A record, as somebody who links to it is shown it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// `booking/customers`
    pub path: String,
    pub id: Uuid,
    pub title: String,
}

/// Records of one number that are looked at: two are no one person's.
const SEVERAL: usize = 2;

fn resource<'k>(kernel: &'k Kernel, path: &str) -> Option<&'k Records> {
    let has = |records: &Records, name: &str| records.table.columns.iter().any(|column| column.name == name);
    let all = kernel.personal_records().iter();
    all.filter(|one| has(one, "title") && has(one, "workspace_id")).find(|one| one.path == path)
}

/// A record that this caller may see.
///
/// # Errors
/// 403 without the permission to view such records, or without the product; 404 for what is not there: no such resource, no such
/// record, or one of a workspace that the caller is not let into.
pub fn find(reader: &mut Reader<'_>, kernel: &Kernel, tenant: &Tenant, path: &str, id: Uuid) -> Result<Record> {
    let (module, slug) = path.split_once('/').ok_or_else(Problem::not_found)?;
    let records = resource(kernel, path).ok_or_else(Problem::not_found)?;
    if tenant.openness(module, kernel.now()) == Openness::Closed {
        return Err(Problem::forbidden("product_not_subscribed", "The company has no subscription to this product."));
    }
    tenant.require(&format!("{module}.{slug}.view"))?;
    let sql = format!(
        "SELECT title, workspace_id FROM {} WHERE company_id = $1 AND id = $2 AND deleted_at IS NULL",
        records.table.name
    );
    let read = |row: &loopd_store::Row<'_>| Ok((row.text(0)?.to_owned(), row.opt_uuid(1)?));
    let (title, workspace) = reader.first(&sql, &params![tenant.company, id], read)?.ok_or_else(Problem::not_found)?;
    if workspace.is_some_and(|workspace| !tenant.may_use_workspace(workspace)) {
        return Err(Problem::not_found());
    }
    Ok(Record { path: path.to_owned(), id, title })
}

/// What a record is called now; `None` for what is gone.
pub fn title(
    reader: &mut Reader<'_>,
    kernel: &Kernel,
    company: CompanyId,
    path: &str,
    id: Uuid,
) -> Result<Option<String>, StoreError> {
    let Some(records) = resource(kernel, path) else { return Ok(None) };
    let sql =
        format!("SELECT title FROM {} WHERE company_id = $1 AND id = $2 AND deleted_at IS NULL", records.table.name);
    reader.first(&sql, &params![company, id], |row| Ok(row.text(0)?.to_owned()))
}

/// The company's records of people with this telephone number, digits with country code: of each resource the one that has it. Where two
/// have it, nobody can say whose it is, and none is given.
pub fn by_phone(
    reader: &mut Reader<'_>,
    kernel: &Kernel,
    company: CompanyId,
    digits: &str,
) -> Result<Vec<Record>, StoreError> {
    let mut found = Vec::new();
    for records in kernel.personal_records().iter().filter(|one| !one.path.is_empty()) {
        // Asked at every new contact: only where an index answers.
        let is_indexed = records.table.indexes.iter().any(|index| index.columns.iter().any(|column| column == "phone"));
        if !is_indexed
            || !records.contacts.iter().any(|column| column == "phone")
            || resource(kernel, &records.path).is_none()
        {
            continue;
        }
        let sql = format!(
            "SELECT id, title FROM {} WHERE company_id = $1 AND phone IN ($2, $3) AND deleted_at IS NULL ORDER BY id LIMIT {SEVERAL}",
            records.table.name
        );
        let values = [Value::from(company), Value::Text(format!("+{digits}")), Value::Text(digits.to_owned())];
        let rows = reader.query(&sql, &values, |row| Ok((row.uuid(0)?, row.text(1)?.to_owned())))?;
        if let [(id, title)] = rows.as_slice() {
            found.push(Record { path: records.path.clone(), id: *id, title: title.clone() });
        }
    }
    Ok(found)
}
