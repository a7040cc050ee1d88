//! A company's choices in the database.

use loopd_kernel::{Kernel, Tenant, audit, event};
use loopd_store::{Reader, StoreError, Tx, Value, params};
use loopd_types::{CompanyId, Problem, Result};
use serde_json::{Map, Value as Json, json};

use super::Preferences;
use crate::PRODUCT;

/// What a company chose, and the defaults for the rest.
pub fn load(reader: &mut Reader<'_>, company: CompanyId) -> Result<Preferences, StoreError> {
    let sql = "SELECT chosen FROM wave_preferences WHERE company_id = $1";
    let found = reader.first(sql, &params![company], |row| Ok(row.json(0)?.to_owned()))?;
    // What cannot be read is as if it was never chosen: masking fails closed.
    Ok(found.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
}

/// Keeps a change, and says in the audit log what changed.
///
/// # Errors
/// 503 from the database.
pub fn save(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, next: &Preferences) -> Result<()> {
    tx.lock(&format!("wave_preferences:{}", tenant.company.0))?;
    let before = load(tx, tenant.company)?;
    let (before, after) = (as_object(&before)?, as_object(next)?);
    let changes: Map<String, Json> = after
        .iter()
        .filter(|(name, value)| before.get(*name) != Some(value))
        .map(|(name, value)| (name.clone(), json!([before.get(name), value])))
        .collect();
    if changes.is_empty() {
        return Ok(());
    }
    tx.execute(
        "INSERT INTO wave_preferences (company_id, chosen, updated_at) VALUES ($1, $2, $3) \
         ON CONFLICT (company_id) DO UPDATE SET chosen = excluded.chosen, updated_at = excluded.updated_at, \
         version = wave_preferences.version + 1",
        &params![tenant.company, Value::Json(Json::Object(after.clone()).to_string()), kernel.now()],
    )?;
    let entry = audit::Entry {
        action: "update",
        module: PRODUCT,
        resource: "preferences",
        target: "preferences",
        label: "Preferences",
        changes: Some(Json::Object(changes).to_string()),
    };
    audit::record(tx, kernel, tenant, entry)?;
    let payload = Json::Object(after).to_string();
    event::emit(tx, kernel, tenant, "loopwave.preferences.updated", "loopwave/preferences/preferences", payload)
}

fn as_object(preferences: &Preferences) -> Result<Map<String, Json>> {
    match serde_json::to_value(preferences).map_err(Problem::internal)? {
        Json::Object(object) => Ok(object),
        other => Err(Problem::internal(format!("preferences are no object: {other}"))),
    }
}
