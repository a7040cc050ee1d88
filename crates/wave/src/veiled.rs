//! Lists and rows of signed-in people in which customers' numbers may be masked: one [`Listing`] shows all, its twin masks in SQL. Search,
//! filters and order work on what is shown, so that nobody learns a hidden digit by asking for it.

use std::sync::Arc;

use loopd_kernel::listing::{Conditions, Listing};
use loopd_kernel::{Kernel, Tenant};
use loopd_store::{Reader, Tx, View};
use loopd_types::{CompanyId, Problem, Result, Uuid};
use loopd_web::rows::{self, Rows, handled, nothing};
use loopd_web::{Call, Operation, Reply, schema};
use serde_json::Value as Json;

use crate::mask::Sight;
use crate::preference;

/// SQL of a telephone number (with a plus sign) as [`crate::mask::masked`] writes it.
#[macro_export]
macro_rules! masked_phone_sql {
    ($column:literal) => {
        concat!(
            "CASE WHEN length(",
            $column,
            ") > 6 THEN substr(",
            $column,
            ", 1, 4) || substr('•••••••••••••••', 1, length(",
            $column,
            ") - 6) || substr(",
            $column,
            ", length(",
            $column,
            ") - 1) ELSE ",
            $column,
            " END"
        )
    };
}

/// SQL of a name, in which a name that is but a number or an address is masked.
#[macro_export]
macro_rules! masked_name_sql {
    ($column:literal) => {
        concat!(
            "CASE WHEN ",
            $column,
            " LIKE '%@s.whatsapp.net' OR ",
            $column,
            " LIKE '%@lid' OR ",
            $column,
            " LIKE '%@bsuid' THEN '•••••••' WHEN length(",
            $column,
            ") > 6 AND trim(",
            $column,
            ", '0123456789 +-().') = '' THEN substr(",
            $column,
            ", 1, 4) || '•••••••' || substr(",
            $column,
            ", length(",
            $column,
            ") - 1) ELSE ",
            $column,
            " END"
        )
    };
}

/// A resource with a masked twin.
#[derive(Clone, Copy)]
pub struct Veiled {
    pub rows: Rows,
    /// The same columns, masked.
    pub masked: &'static Listing,
}

impl Veiled {
    fn listing(self, sight: Sight) -> &'static Listing {
        if sight.is_masked() { self.masked } else { self.rows.listing }
    }

    /// `GET /<path>/` over the caller's companies.
    pub fn list(self) -> Operation {
        handled(self.rows.list_of_companies(), move |call: Call| async move {
            let (tenants, companies, view) = scope(&call)?;
            rows::list(&call, view, move |reader, query| {
                let listing = self.listing(least(reader, &tenants)?);
                listing.list(reader, query, Some(&companies), Conditions::default())
            })
            .await
        })
    }

    /// `GET /<path>/{id}/` in the caller's companies.
    pub fn retrieve(self) -> Operation {
        handled(self.rows.retrieve_in_companies(), move |call: Call| async move {
            let (tenants, companies, view) = scope(&call)?;
            let id = call.id()?;
            let found = call
                .kernel
                .db
                .read(view, move |reader| {
                    let listing = self.listing(least(reader, &tenants)?);
                    listing.find(reader, id, Some(&companies), Conditions::default())
                })
                .await?;
            Ok(Reply::json_bytes(200, found.ok_or_else(Problem::not_found)?))
        })
    }

    /// The row as it is now, as this caller sees it.
    ///
    /// # Errors
    /// 404 when there is no such row in this company.
    pub fn answer(self, tx: &mut Tx<'_>, tenant: &Tenant, status: u16, id: Uuid) -> Result<Reply> {
        let sight = Sight::of(tenant, &preference::load(tx, tenant.company)?);
        let row = self.listing(sight).find(tx, id, Some(&[tenant.company]), Conditions::default())?;
        Ok(Reply::json_bytes(status, row.ok_or_else(Problem::not_found)?))
    }

    /// A write in one company that answers with the row it touched; `work` gets the body and gives the row's id.
    pub fn write<F>(self, operation: Operation, status: u16, work: F) -> Operation
    where
        F: Fn(&mut Tx<'_>, &Kernel, &Tenant, Json) -> Result<Uuid> + Send + Sync + 'static,
    {
        let work = Arc::new(work);
        handled(operation.responds(status, "The row as it is now.", self.rows.row()), move |call: Call| {
            let work = work.clone();
            async move {
                let (kernel, tenant, body) = (call.kernel.clone(), call.tenant()?.clone(), call.json()?);
                call.commit(tenant.view(), move |tx| {
                    let id = work(tx, &kernel, &tenant, body.clone())?;
                    self.answer(tx, &tenant, status, id)
                })
                .await
            }
        })
    }

    /// As [`Veiled::write`] for `/{id}/…`, with the id of the path.
    pub fn write_item<F>(self, operation: Operation, work: F) -> Operation
    where
        F: Fn(&mut Tx<'_>, &Kernel, &Tenant, Uuid, Json) -> Result<()> + Send + Sync + 'static,
    {
        let work = Arc::new(work);
        handled(operation.responds(200, "The row as it is now.", self.rows.row()), move |call: Call| {
            let work = work.clone();
            async move {
                let (kernel, tenant, body, id) =
                    (call.kernel.clone(), call.tenant()?.clone(), call.json()?, call.id()?);
                call.commit(tenant.view(), move |tx| {
                    work(tx, &kernel, &tenant, id, body.clone())?;
                    self.answer(tx, &tenant, 200, id)
                })
                .await
            }
        })
    }

    /// `POST /<path>/`
    pub fn create_document(self, summary: &str) -> Operation {
        let operation = Operation::post(self.rows.operation_id("create"), self.rows.url(), nothing);
        self.rows.document(operation, summary).tenant(self.rows.product, &self.rows.permission("create"))
    }

    /// `PATCH /<path>/{id}/`
    pub fn update_document(self, summary: &str) -> Operation {
        let operation = Operation::patch(self.rows.operation_id("partial_update"), self.rows.item_url(), nothing);
        self.rows.document(operation, summary).tenant(self.rows.product, &self.rows.permission("update"))
    }
}

/// `DELETE /<path>/{id}/`, for who holds `delete`.
pub fn delete<F>(rows: Rows, summary: &str, work: F) -> Operation
where
    F: Fn(&mut Tx<'_>, &Kernel, &Tenant, Uuid) -> Result<()> + Send + Sync + 'static,
{
    let work = Arc::new(work);
    let operation = Operation::delete(rows.operation_id("destroy"), rows.item_url(), nothing);
    let operation = rows.document(operation, summary).tenant(rows.product, &rows.permission("delete"));
    handled(operation.responds_empty(204, "Deleted."), move |call: Call| {
        let work = work.clone();
        async move {
            let (kernel, tenant, id) = (call.kernel.clone(), call.tenant()?.clone(), call.id()?);
            call.commit(tenant.view(), move |tx| {
                work(tx, &kernel, &tenant, id)?;
                Ok(Reply::no_content())
            })
            .await
        }
    })
}

type Scope = (Arc<[Arc<Tenant>]>, Arc<[CompanyId]>, View);

fn scope(call: &Call) -> Result<Scope> {
    let tenants: Arc<[Arc<Tenant>]> = call.scope()?.to_vec().into();
    let companies: Arc<[CompanyId]> = tenants.iter().map(|tenant| tenant.company).collect();
    let view = View::Companies(companies.clone());
    Ok((tenants, companies, view))
}

/// What somebody sees of rows of several companies: no more than in the one that shows least.
fn least(reader: &mut Reader<'_>, tenants: &[Arc<Tenant>]) -> Result<Sight> {
    for tenant in tenants {
        if Sight::of(tenant, &preference::load(reader, tenant.company)?).is_masked() {
            return Ok(Sight::Masked);
        }
    }
    Ok(Sight::Full)
}

/// `{data, nextCursor}` of the public API.
pub fn page_of(row: Json) -> Json {
    use loopd_web::Schema as _;
    schema::object([("data", schema::array(row)), ("nextCursor", schema::string().nullable())])
        .required(["data", "nextCursor"])
}
