//! `?expand=customer`: the record behind a reference in place of its id, fetched for the whole page at once.

use std::collections::HashMap;
use std::sync::Arc;

use loopd_kernel::Tenant;
use loopd_store::{Reader, Value};
use loopd_types::{Problem, Result, Uuid};

use super::Engine;
use super::condition::bind;
use super::cx::runtime;
use super::read;
use super::record::Record;
use super::runtime::ResourceRuntime;
use crate::define::Kind;

/// Whether a caller may look through a reference of `from` to records of `target`: by their role, and by the company's products.
///
/// # Errors
/// 403 `permission_denied`, `insufficient_scope`.
pub(crate) fn may_expand(
    engine: &Engine,
    tenant: &Tenant,
    from: &ResourceRuntime,
    target: &ResourceRuntime,
) -> Result<()> {
    tenant.require(&target.permissions.view)?;
    if target.module != from.module && !tenant.has_product(&target.module, engine.kernel.now()) {
        return Err(Problem::permission_denied());
    }
    Ok(())
}

/// Rendered records by the place of the field that names them, and by id.
#[derive(Default)]
pub(crate) struct Expansions(HashMap<(usize, Uuid), Vec<u8>>);

impl Expansions {
    /// Fetches what the fields at `places` name. A record that the caller may not see, or that was deleted, stays an id; in a union every
    /// company decides for its own records.
    pub(crate) fn load(
        reader: &mut Reader<'_>,
        engine: &Engine,
        tenants: &[Arc<Tenant>],
        records: &[Record],
        places: &[usize],
    ) -> Result<Self> {
        let mut found = HashMap::new();
        let Some(first) = records.first() else { return Ok(Self::default()) };
        let definition = first.runtime.clone();
        for place in places {
            let Some(Kind::Reference { target }) = definition.field_at(*place).map(|field| &field.kind) else {
                continue;
            };
            let target = runtime(engine, target)?;
            for tenant in tenants.iter().filter(|tenant| may_expand(engine, tenant, &definition, target).is_ok()) {
                let company = Value::from(tenant.company);
                let own = records.iter().filter(|record| record.values[crate::define::base::COMPANY] == company);
                let mut ids: Vec<Uuid> = own.filter_map(|record| record.id_at(*place)).collect();
                ids.sort();
                ids.dedup();
                if ids.is_empty() {
                    continue;
                }
                let mut params = vec![company.clone()];
                let markers: Vec<String> = ids.into_iter().map(|id| bind(&mut params, Value::Uuid(id))).collect();
                let who = target.audience.as_ref().and_then(|who| who.condition(reader.engine(), tenant, &mut params));
                let who = who.map_or_else(String::new, |condition| format!(" AND {condition}"));
                let sql = format!(
                    "SELECT {} FROM {} WHERE company_id = $1 AND deleted_at IS NULL AND id IN ({}){who}",
                    target.sql.columns,
                    target.table,
                    markers.join(", ")
                );
                for record in reader.query(&sql, &params, |row| Record::from_row(target, row))? {
                    if read::is_visible(tenant, record.workspace()) {
                        found.insert((*place, record.id()), record.render()?);
                    }
                }
            }
        }
        Ok(Self(found))
    }

    /// Writes the record behind the value, if it was fetched.
    pub(crate) fn write(&self, place: usize, value: &Value, out: &mut Vec<u8>) -> bool {
        match value {
            Value::Uuid(id) => match self.0.get(&(place, *id)) {
                Some(json) => {
                    out.extend_from_slice(json);
                    true
                }
                None => false,
            },
            _ => false,
        }
    }
}
