//! Lists and rows of signed-in people in which customers' numbers may be masked: one [`Listing`] shows all, its twin masks. Search,
//! filters and order work on no more than is shown, so that nobody learns a hidden digit by asking for it: what stands within words is
//! veiled here ([`Veiled::veil`]), and compared in SQL without its digits.

use std::sync::Arc;

use loopd_kernel::listing::{Conditions, ListQuery, Listing};
use loopd_kernel::{Kernel, Tenant};
use loopd_store::{Reader, Tx, View};
use loopd_types::{CompanyId, Problem, Result, Uuid};
use loopd_web::rows::{self, Rows, handled, nothing};
use loopd_web::{Call, Operation, Reply, schema};
use serde_json::Value as Json;

use crate::mask::{self, Sight};
use crate::preference;

/// SQL of a telephone number (with a plus sign) as [`crate::mask::masked`] writes it.
#[macro_export]
macro_rules! masked_phone_sql {
    ($column:expr) => {
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

/// SQL of a text with `$with` in place of each of these.
#[macro_export]
macro_rules! replaced_sql {
    ($text:expr, $with:literal,) => { $text };
    ($text:expr, $with:literal, $first:literal $($more:literal)*) => {
        $crate::replaced_sql!(concat!("replace(", $text, ", '", $first, "', '", $with, "')"), $with, $($more)*)
    };
}

/// SQL of a text with another in place of each digit.
#[macro_export]
macro_rules! digits_sql {
    ($column:expr, $with:literal) => {
        $crate::replaced_sql!($column, $with, "0" "1" "2" "3" "4" "5" "6" "7" "8" "9")
    };
}

/// SQL of what a search may compare of a name: a name that is but a number or an address as it is masked, and of one that holds seven
/// digits or more no digit at all.
#[macro_export]
macro_rules! masked_name_sql {
    ($column:literal) => {
        concat!(
            "CASE WHEN trim(",
            $column,
            ", 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ') = '' THEN ",
            $column,
            " WHEN ",
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
            ") - 1) WHEN length(",
            $column,
            ") - length(",
            $crate::digits_sql!($column, ""),
            ") > 6 THEN ",
            $crate::digits_sql!($column, "•"),
            " ELSE ",
            $column,
            " END"
        )
    };
}

/// SQL: whether a text holds seven digits in a row of a number that is written without a plus sign, whatever stands between them there.
#[macro_export]
macro_rules! tells_sql {
    ($text:expr, $number:literal, $($place:literal)*) => {
        concat!(
            "(FALSE",
            $(
                " OR (length(", $number, ") > ", $place, " + 5 AND ",
                $crate::replaced_sql!($text, "", " " "-" "+" "(" ")" "." "/" "\u{a0}" "_" ","),
                " LIKE '%' || substr(", $number, ", ", $place, ", 7) || '%')",
            )*
            ")"
        )
    };
    ($text:expr, $number:literal) => {
        $crate::tells_sql!($text, $number, 1 2 3 4 5 6 7 8 9)
    };
}

/// A resource with a masked twin.
#[derive(Clone, Copy)]
pub struct Veiled {
    pub rows: Rows,
    /// The same columns, masked.
    pub masked: &'static Listing,
    /// What SQL leaves to be masked in rows of the twin, of these companies.
    pub veil: Veil,
    /// What no column answers of a list's query.
    pub narrow: Narrow,
}

/// Takes out of a query over these companies what no column answers, as conditions on the rows.
pub type Narrow = fn(&mut Reader<'_>, &[CompanyId], &mut ListQuery) -> Result<Conditions>;

/// Where columns answer everything.
///
/// # Errors
/// None.
pub fn by_columns(_reader: &mut Reader<'_>, _companies: &[CompanyId], _query: &mut ListQuery) -> Result<Conditions> {
    Ok(Conditions::default())
}

/// Masks rows where they stand.
pub type Veil = fn(&mut Reader<'_>, &[CompanyId], &mut [Json]) -> Result<()>;

impl Veiled {
    /// A row of these companies, for somebody who sees this much.
    fn find(self, reader: &mut Reader<'_>, sight: Sight, companies: &[CompanyId], id: Uuid) -> Result<Vec<u8>> {
        let listing = if sight.is_masked() { self.masked } else { self.rows.listing };
        let row = listing.find(reader, id, Some(companies), Conditions::default())?.ok_or_else(Problem::not_found)?;
        if sight.is_masked() { self.veiled(reader, companies, &row) } else { Ok(row) }
    }

    /// Rows of the twin as they are shown: objects separated by commas, in and out.
    fn veiled(self, reader: &mut Reader<'_>, companies: &[CompanyId], rows: &[u8]) -> Result<Vec<u8>> {
        let all = [b"[", rows, b"]"].concat();
        let mut all: Vec<Json> = serde_json::from_slice(&all).map_err(Problem::internal)?;
        (self.veil)(reader, companies, &mut all)?;
        let all: Vec<String> = all.iter().map(Json::to_string).collect();
        Ok(all.join(",").into_bytes())
    }

    /// `GET /<path>/` over the caller's companies.
    pub fn list(self) -> Operation {
        handled(self.rows.list_of_companies(), move |call: Call| async move {
            let (tenants, companies, view) = scope(&call)?;
            rows::list(&call, view, move |reader, query| {
                let mut query = query.clone();
                let more = (self.narrow)(reader, &companies, &mut query)?;
                if !least(reader, &tenants)?.is_masked() {
                    return self.rows.listing.list(reader, &query, Some(&companies), more);
                }
                let mut found = self.masked.list(reader, &folded(&query), Some(&companies), more)?;
                found.rows = self.veiled(reader, &companies, &found.rows)?;
                Ok(found)
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
                    let sight = least(reader, &tenants)?;
                    self.find(reader, sight, &companies, id)
                })
                .await?;
            Ok(Reply::json_bytes(200, found))
        })
    }

    /// The row as it is now, as this caller sees it.
    ///
    /// # Errors
    /// 404 when there is no such row in this company.
    pub fn answer(self, tx: &mut Tx<'_>, tenant: &Tenant, status: u16, id: Uuid) -> Result<Reply> {
        let sight = Sight::of(tenant, &preference::load(tx, tenant.company)?);
        Ok(Reply::json_bytes(status, self.find(tx, sight, &[tenant.company], id)?))
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

/// A query in which every digit is one of ours: digits of other scripts stand in names too, and nobody may find one by one.
fn folded(query: &ListQuery) -> ListQuery {
    let mut query = query.clone();
    for text in query.search.iter_mut().chain(query.filters.iter_mut().map(|(_, text)| text)) {
        *text = mask::folded(text).into_owned();
    }
    query
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
