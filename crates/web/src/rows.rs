//! [`Rows`]: what resources have in common whose rows come from a listing of the kernel's or a product's: lists and reads from a [`Listing`], answers after a write, operation documents.

use std::sync::Arc;

use crate::{Call, Operation, PageNumber, PageWriter, Param, Reply, Schema as _, schema};
use loopd_kernel::credential::{self, Minted};
use loopd_kernel::input::Input;
use loopd_kernel::listing::{self, Conditions, ListQuery, Listing, PageRef};
use loopd_kernel::{Kernel, Tenant};
use loopd_store::{Reader, Tx, View};
use loopd_types::{CompanyId, Problem, Result, Uuid};
use serde_json::Value;

/// A resource: its path, the words of its documents, and where its rows come from.
#[derive(Clone, Copy)]
pub struct Rows {
    /// `None` for the foundation's own, which need no subscription.
    pub product: Option<&'static str>,
    /// `workspaces`
    pub path: &'static str,
    /// `Workspace`: the component's name.
    pub name: &'static str,
    pub listing: &'static Listing,
}

impl Rows {
    /// One of the foundation's.
    pub const fn core(path: &'static str, name: &'static str, listing: &'static Listing) -> Self {
        Self { product: None, path, name, listing }
    }
    /// One of a product's: below its name, with its permissions, for its subscribers.
    pub const fn of(product: &'static str, path: &'static str, name: &'static str, listing: &'static Listing) -> Self {
        Self { product: Some(product), path, name, listing }
    }
    pub fn url(&self) -> String {
        match self.product {
            None => format!("/api/v1/{}/", self.path),
            Some(product) => format!("/api/v1/{product}/{}/", self.path),
        }
    }
    pub fn item_url(&self) -> String {
        format!("{}{{id}}/", self.url())
    }
    pub fn permission(&self, verb: &str) -> String {
        // A company's bills and what belongs to them are one thing to be allowed.
        let noun = self.path.split('/').next().unwrap_or(self.path);
        format!("{}.{noun}.{verb}", self.product.unwrap_or("core"))
    }
    pub fn operation_id(&self, verb: &str) -> String {
        let path = self.path.replace(['-', '/'], "_");
        match self.product {
            None => format!("{path}_{verb}"),
            Some(product) => format!("{product}_{path}_{verb}"),
        }
    }
    /// A row, by its component.
    pub fn row(&self) -> Value {
        schema::component(self.name)
    }
    /// The component's own schema.
    pub fn schema(&self) -> Value {
        row_schema(self.listing)
    }

    /// Gives an operation this resource's tag, and summary and description.
    pub fn document(&self, operation: Operation, summary: &str) -> Operation {
        operation.tag(self.product.unwrap_or_else(|| self.path.split('/').next().unwrap_or(self.path))).summary(summary)
    }

    /// `GET /<path>/` over the caller's companies.
    pub fn list_of_companies(self) -> Operation {
        let operation = Operation::get(self.operation_id("list"), self.url(), move |call: Call| async move {
            let companies: Arc<[CompanyId]> = call.scope()?.iter().map(|tenant| tenant.company).collect();
            let view = View::Companies(companies.clone());
            list(&call, view, move |reader, query| {
                self.listing.list(reader, query, Some(&companies), Conditions::default())
            })
            .await
        });
        self.document(operation.union(self.product, &self.permission("view")), &format!("List {}", self.words()))
            .params(list_params(self.listing))
            .responds(200, "One page.", schema::paginated(self.row()))
    }

    /// `GET /<path>/{id}/` in the caller's companies.
    pub fn retrieve_in_companies(self) -> Operation {
        let operation = Operation::get(self.operation_id("retrieve"), self.item_url(), move |call: Call| async move {
            let companies: Arc<[CompanyId]> = call.scope()?.iter().map(|tenant| tenant.company).collect();
            let (id, view) = (call.id()?, View::Companies(companies.clone()));
            let found = call
                .kernel
                .db
                .read(view, move |reader| self.listing.find(reader, id, Some(&companies), Conditions::default()))
                .await?;
            Ok(Reply::json_bytes(200, found.ok_or_else(Problem::not_found)?))
        });
        self.document(
            operation.union(self.product, &self.permission("view")),
            &format!("Read one of the {}", self.words()),
        )
        .responds(200, "The row.", self.row())
    }

    /// `GET /<path>/` for superusers, of what belongs to no company.
    pub fn list_for_operator(self, summary: &str) -> Operation {
        let operation = Operation::get(self.operation_id("list"), self.url(), move |call: Call| async move {
            list(&call, View::System, move |reader, query| {
                self.listing.list(reader, query, None, Conditions::default())
            })
            .await
        });
        self.document(operation, summary).superuser().params(list_params(self.listing)).responds(
            200,
            "One page.",
            schema::paginated(self.row()),
        )
    }

    /// `GET /<path>/{id}/` for superusers.
    pub fn retrieve_for_operator(self, summary: &str) -> Operation {
        let operation = Operation::get(self.operation_id("retrieve"), self.item_url(), move |call: Call| async move {
            let id = call.id()?;
            let find = move |reader: &mut Reader<'_>| self.listing.find(reader, id, None, Conditions::default());
            let found = call.kernel.db.read(View::System, find).await?;
            Ok(Reply::json_bytes(200, found.ok_or_else(Problem::not_found)?))
        });
        self.document(operation, summary).superuser().responds(200, "The row.", self.row())
    }

    /// A write in one company that answers with the row it touched.
    ///
    /// `work` gets the body and gives the id of the row.
    pub fn write<F>(self, operation: Operation, status: u16, work: F) -> Operation
    where
        F: Fn(&mut Tx<'_>, &Kernel, &Tenant, Value) -> Result<Uuid> + Send + Sync + 'static,
    {
        self.write_in(Tenant::view, operation, status, work)
    }

    /// As [`Rows::write`], where the write reaches beyond the company's own rows.
    pub fn write_in<F>(self, view: fn(&Tenant) -> View, operation: Operation, status: u16, work: F) -> Operation
    where
        F: Fn(&mut Tx<'_>, &Kernel, &Tenant, Value) -> Result<Uuid> + Send + Sync + 'static,
    {
        let work = Arc::new(work);
        let answered = operation.responds(status, "The row as it is now.", self.row());
        handled(answered, move |call: Call| {
            let work = work.clone();
            async move {
                let (kernel, tenant, body) = (call.kernel.clone(), call.tenant()?.clone(), call.json()?);
                call.commit(view(&tenant), move |tx| {
                    let id = work(tx, &kernel, &tenant, body.clone())?;
                    self.answer(tx, status, id, tenant.company)
                })
                .await
            }
        })
    }

    /// As [`Rows::write`] for `/{id}/…`, with the id of the path.
    pub fn write_item<F>(self, operation: Operation, work: F) -> Operation
    where
        F: Fn(&mut Tx<'_>, &Kernel, &Tenant, Uuid, Value) -> Result<()> + Send + Sync + 'static,
    {
        self.write_item_in(Tenant::view, operation, work)
    }

    /// As [`Rows::write_item`], where the write reaches beyond the company's own rows.
    pub fn write_item_in<F>(self, view: fn(&Tenant) -> View, operation: Operation, work: F) -> Operation
    where
        F: Fn(&mut Tx<'_>, &Kernel, &Tenant, Uuid, Value) -> Result<()> + Send + Sync + 'static,
    {
        let work = Arc::new(work);
        let answered = operation.responds(200, "The row as it is now.", self.row());
        handled(answered, move |call: Call| {
            let work = work.clone();
            async move {
                let (kernel, tenant, body, id) =
                    (call.kernel.clone(), call.tenant()?.clone(), call.json()?, call.id()?);
                call.commit(view(&tenant), move |tx| {
                    work(tx, &kernel, &tenant, id, body.clone())?;
                    self.answer(tx, 200, id, tenant.company)
                })
                .await
            }
        })
    }

    /// `POST /<path>/{id}/<action>/` with the permission of the action.
    pub fn action<F>(self, name: &'static str, summary: &str, work: F) -> Operation
    where
        F: Fn(&mut Tx<'_>, &Kernel, &Tenant, Uuid, Value) -> Result<()> + Send + Sync + 'static,
    {
        let permission = self.permission(&format!("action:{name}"));
        self.write_item(self.action_document(name, summary).tenant(self.product, &permission), work)
    }

    /// The document of an action, without access and handler.
    pub fn action_document(self, name: &str, summary: &str) -> Operation {
        let id = self.operation_id(&name.replace('-', "_"));
        self.document(Operation::post(id, format!("{}{name}/", self.item_url()), nothing), summary)
    }

    /// The schema of a row that is answered with its key, this once.
    pub fn schema_with_key(&self) -> Value {
        let mut row = self.schema();
        row["properties"]["key"] = schema::string();
        if let Some(required) = row["required"].as_array_mut() {
            required.push("key".into());
        }
        row
    }

    /// `POST /<path>/{id}/rotate/`: a successor of a key, its secret shown this once. `rotate` takes the seconds that the old one lives on.
    pub fn rotation<F>(self, permission: String, rotate: F) -> Operation
    where
        F: Fn(&mut Tx<'_>, &Kernel, &Tenant, Uuid, Option<i64>) -> Result<Minted> + Send + Sync + Copy + 'static,
    {
        let document = self
            .action_document("rotate", "Make a successor; the old secret lives on for a while")
            .tenant(self.product, &permission)
            .personal()
            .describe("The old secret works for `grace_seconds` more, a day unless said.")
            .optional_body(schema::object([("grace_seconds", schema::integer_between(0, credential::GRACE_MOST))]))
            .responds(201, "The new key with its secret in `key`.", self.schema_with_key())
            .responds(
                409,
                "`key_revoked`, `key_disabled`, `key_expired`, or `key_rotated` with the `successor`, which is the one to rotate.",
                schema::component("Error"),
            );
        handled(document, move |call: Call| async move {
            let mut input = Input::new(call.json()?, false)?;
            let grace = credential::read_grace(&mut input);
            input.finish()?;
            let (kernel, tenant, id) = (call.kernel.clone(), call.tenant()?.clone(), call.id()?);
            let settle = kernel.clone();
            let reply = call
                .commit(tenant.view(), move |tx| {
                    let minted = rotate(tx, &kernel, &tenant, id, grace)?;
                    self.answer_with_key(tx, minted.id, tenant.company, &minted.secret)
                })
                .await?;
            if grace == Some(0) {
                settle.settle_revocation().await;
            }
            Ok(reply)
        })
    }

    /// 201 with the row of what was made and its key, the only time that it is shown.
    ///
    /// # Errors
    /// 404 when there is no such row in this company.
    pub fn answer_with_key(&self, tx: &mut Tx<'_>, id: Uuid, company: CompanyId, key: &str) -> Result<Reply> {
        let row = self.listing.find(tx, id, Some(&[company]), Conditions::default())?;
        let mut row: Value = serde_json::from_slice(&row.ok_or_else(Problem::not_found)?).map_err(Problem::internal)?;
        row["key"] = key.into();
        Reply::json(201, &row)
    }

    /// The row as it is now.
    ///
    /// # Errors
    /// 404 when there is no such row in this company.
    pub fn answer(&self, tx: &mut Tx<'_>, status: u16, id: Uuid, company: CompanyId) -> Result<Reply> {
        let row = self.listing.find(tx, id, Some(&[company]), Conditions::default())?;
        Ok(Reply::json_bytes(status, row.ok_or_else(Problem::not_found)?))
    }

    fn words(&self) -> String {
        self.path.replace(['-', '/'], " ")
    }
}

/// The view of writes that reach beyond the rows of one company.
pub fn system_view(_: &Tenant) -> View {
    View::System
}

/// A handler for operations that get their own by [`handled`].
pub async fn nothing(call: Call) -> Result<Reply> {
    Err(Problem::internal(format!("{} has no handler", call.operation.id)))
}

/// Replaces the handler of an operation.
pub fn handled<F, R>(mut operation: Operation, handler: F) -> Operation
where
    F: Fn(Call) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Reply>> + Send + 'static,
{
    operation.handler = Arc::new(move |call| Box::pin(handler(call)));
    operation
}

/// An operation whose answer may only arrive when no node lets the old right through any more.
pub fn settled(operation: Operation) -> Operation {
    let inner = operation.handler.clone();
    handled(operation, move |call: Call| {
        let inner = inner.clone();
        async move {
            let kernel = call.kernel.clone();
            let reply = inner(call).await?;
            kernel.settle_revocation().await;
            Ok(reply)
        }
    })
}

/// Answers a list with the standard envelope.
pub async fn list<F>(call: &Call, view: View, work: F) -> Result<Reply>
where
    F: Fn(&mut Reader<'_>, &ListQuery) -> Result<listing::Listed> + Send + 'static,
{
    let query = list_query(call)?;
    let listed = call.kernel.db.read_long(view, move |reader| work(reader, &query)).await?;
    let page = u32::try_from(listed.page).map_err(Problem::internal)?;
    let mut writer = PageWriter::new(&call.url(), call.query(), page, listed.page_size, listed.count);
    if !listed.rows.is_empty() {
        writer.row().extend_from_slice(&listed.rows);
    }
    Ok(Reply::json_bytes(200, writer.finish()))
}

/// Query parameters of every list that are no filters.
const RESERVED: [&str; 5] = ["page", "page_size", "search", "ordering", "format"];

pub fn list_query(call: &Call) -> Result<ListQuery> {
    let request = call.query().page()?;
    Ok(ListQuery {
        page: match request.page {
            PageNumber::Last => PageRef::Last,
            PageNumber::Number(page) => PageRef::Number(page.into()),
        },
        page_size: request.size,
        search: call.query().search(),
        ordering: call.query().ordering().map(|(name, descending)| (name.to_owned(), descending)).collect(),
        filters: call
            .query()
            .pairs()
            .filter(|(name, _)| !RESERVED.contains(name))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
    })
}

/// The documents of a list's parameters: paging, search, ordering and an exact filter for every column.
pub fn list_params(listing: &Listing) -> Vec<Param> {
    let mut params = vec![
        Param::query("page", schema::string()).describe("A page number from 1, or `last`."),
        Param::query("page_size", schema::integer_between(1, 100)).describe("Rows on a page; 25 unless given."),
        Param::query("ordering", schema::string()).describe("Fields separated by commas; `-` for descending."),
    ];
    if listing.columns.iter().any(|column| column.searched) {
        params.push(
            Param::query("search", schema::string())
                .describe("Words that must all be found; \"quoted\" phrases stay whole."),
        );
    }
    for column in listing.columns.iter().filter(|column| column.kind != listing::ColumnKind::Json) {
        params.push(
            Param::query(column.name, schema::string())
                .describe("Exact value; suffixes `__in`, `__gte`, `__lte`, `__gt`, `__lt`, `__icontains` and `__isnull` narrow further."),
        );
    }
    params
}

/// The schema of a row of a listing: every column is always there.
pub fn row_schema(listing: &Listing) -> Value {
    let fields = listing.columns.iter().map(|column| {
        let plain = match column.kind {
            listing::ColumnKind::Text => schema::string(),
            listing::ColumnKind::Uuid => schema::uuid(),
            listing::ColumnKind::Time => schema::date_time(),
            listing::ColumnKind::Bool => schema::boolean(),
            listing::ColumnKind::Int => schema::integer(),
            listing::ColumnKind::Json => json_schema(column.name),
            listing::ColumnKind::Company => schema::pattern("^[0-9]{3,15}$"),
        };
        (column.name, if column.nullable { plain.nullable() } else { plain })
    });
    schema::object(fields).required(listing.columns.iter().map(|column| column.name))
}

fn json_schema(name: &str) -> Value {
    match name {
        "settings" | "changes" | "config" | "request_headers" | "response_headers" | "limits" | "seller"
        | "customer" | "next_terms" => schema::any(),
        "prices" | "metered" => schema::array(schema::free_object()),
        "role_mapping" => schema::array(schema::any()),
        _ => schema::array(schema::string()),
    }
}
