//! `/audit-logs/`: who did what, and who was refused what; to search, and to take away.

use std::sync::Arc;

use bytes::Bytes;
use loopd_kernel::audit;
use loopd_kernel::listing::{Conditions, ListQuery};
use loopd_store::{Reader, View};
use loopd_types::{CompanyId, Problem, Result, Uuid};
use loopd_web::{Call, Content, Operation, Param, Reply, ResponseDoc, schema};
use serde_json::Value;

use crate::engine::export::harmless;
use loopd_web::rows::{Rows, handled, list, list_params, list_query, nothing};

pub(super) const AUDIT: Rows = Rows::core("audit-logs", "AuditLog", &audit::LISTING);

const WORDS: &str = "Newest first. `user` or `email` says who, `action` what, `target` which row (for a refusal: which operation), \
    `at__gte` and `at__lt` when; `search` looks into all words. `action=refused` are the calls that were refused, with the permission \
    that was missing in `changes`, repetitions in one row with their number. Superusers who name no company see the whole \
    installation: every company, and what belongs to none, such as sign-ins.";

pub fn operations() -> Vec<Operation> {
    let listed = handled(AUDIT.list_of_companies().describe(WORDS), |call| async move {
        let (view, companies) = audited(&call).await?;
        list(&call, view, move |reader, query| {
            audit::LISTING.list(reader, query, companies.as_deref(), audit::within(&query.filters))
        })
        .await
    });
    let retrieved = handled(AUDIT.retrieve_in_companies(), |call| async move {
        let ((view, companies), id) = (audited(&call).await?, call.id()?);
        let read =
            move |reader: &mut Reader<'_>| audit::LISTING.find(reader, id, companies.as_deref(), Conditions::default());
        let found = call.kernel.db.read(view, read).await?;
        Ok(Reply::json_bytes(200, found.ok_or_else(Problem::not_found)?))
    });
    vec![listed, retrieved, export()]
}

/// The companies whose audit rows this caller may read. `None`, the whole installation, for superusers who name none; that look is
/// on record first.
async fn audited(call: &Call) -> Result<(View, Option<Arc<[CompanyId]>>)> {
    if call.is_union() && call.caller.is_superuser() {
        audit::record_superuser_list(&call.kernel, &call.caller.actor(), "core.audit-logs.view").await?;
        return Ok((View::System, None));
    }
    let companies: Arc<[CompanyId]> = call.scope()?.iter().map(|tenant| tenant.company).collect();
    Ok((View::Companies(companies.clone()), Some(companies)))
}

/// Rows of one piece of an export: one statement.
const PIECE: usize = 1_000;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Csv,
    Lines,
}

fn export() -> Operation {
    let operation = handled(Operation::get("audit_logs_export", "/api/v1/audit-logs/export/", nothing), export_rows);
    AUDIT
        .document(operation, "Export the audit log")
        .describe(
            "Takes every filter of the list and answers with all rows of one company, newest first, as they are read: JSON, one row a \
             line, or CSV. The export itself is on record.",
        )
        .tenant(None, &AUDIT.permission("action:export"))
        .params(list_params(&audit::LISTING).into_iter().filter(|param| {
            !["page", "page_size", "ordering"].contains(&param.name.as_str())
        }))
        .param(Param::query("format", schema::one_of(["ndjson", "csv"])).describe("ndjson unless given."))
        .response(
            ResponseDoc::empty(200, "The rows.")
                .with(Content::of("application/ndjson", schema::string()))
                .with(Content::of("text/csv", schema::string())),
        )
}

async fn export_rows(call: Call) -> Result<Reply> {
    let accepts_csv = || call.header("accept").is_some_and(|accept| accept.trim().starts_with("text/csv"));
    let format = match call.query().get("format") {
        Some("csv") => Format::Csv,
        None if accepts_csv() => Format::Csv,
        Some("ndjson" | "json") | None => Format::Lines,
        Some(_) => return Err(Problem::field("format", "invalid_choice", "Exports come as ndjson or csv.")),
    };
    let tenant = call.tenant()?.clone();
    let query = Arc::new(list_query(&call)?);
    // The first piece is read before the answer begins, so that what is wrong can still be said.
    let (first, next) = piece(&call, tenant.company, &query, format, None).await?;
    audit::record_export(&call.kernel, &tenant, call.path().to_owned()).await?;
    let more = futures_util::stream::unfold((call, next), move |(call, next)| {
        let query = query.clone();
        let company = tenant.company;
        async move {
            let after = next?;
            match piece(&call, company, &query, format, Some(after)).await {
                Ok((bytes, next)) => Some((Ok(bytes), (call, next))),
                Err(problem) => Some((Err(std::io::Error::other(problem.to_string())), (call, None))),
            }
        }
    });
    let first = futures_util::stream::once(async move { Ok::<_, std::io::Error>(first) });
    let (content_type, name) = match format {
        Format::Csv => ("text/csv; charset=utf-8", "audit-log.csv"),
        Format::Lines => ("application/ndjson", "audit-log.ndjson"),
    };
    Ok(Reply::stream(200, content_type, futures_util::StreamExt::chain(first, more)).as_download(name))
}

/// The rows below `after` as text, and where the next piece begins (`None` at the end).
async fn piece(
    call: &Call,
    company: CompanyId,
    query: &Arc<ListQuery>,
    format: Format,
    after: Option<Uuid>,
) -> Result<(Bytes, Option<Uuid>)> {
    let asked = query.clone();
    let read = move |reader: &mut Reader<'_>| {
        audit::LISTING.walk(reader, &asked, Some(&[company]), audit::within(&asked.filters), after, PIECE)
    };
    let rows = call.kernel.db.read_long(View::Company(company), read).await?;
    let next = if rows.len() == PIECE { rows.last().map(|(id, _)| *id) } else { None };
    let text = match format {
        Format::Lines => rows.into_iter().fold(Vec::new(), |mut out, (_, row)| {
            out.extend_from_slice(&row);
            out.push(b'\n');
            out
        }),
        Format::Csv => csv_of(&rows, after.is_none())?,
    };
    Ok((text.into(), next))
}

fn csv_of(rows: &[(Uuid, Vec<u8>)], with_header: bool) -> Result<Vec<u8>> {
    let written = |error: csv::Error| Problem::internal(format!("CSV: {error}"));
    let mut csv = csv::Writer::from_writer(Vec::with_capacity(rows.len() * 256));
    let names = audit::LISTING.columns.iter().map(|column| column.name);
    if with_header {
        csv.write_record(names.clone()).map_err(written)?;
    }
    for (_, row) in rows {
        let row: Value = serde_json::from_slice(row).map_err(Problem::internal)?;
        let cells = names.clone().map(|name| match &row[name] {
            Value::Null => String::new(),
            Value::String(text) => harmless(text.clone()),
            other => harmless(other.to_string()),
        });
        csv.write_record(cells).map_err(written)?;
    }
    csv.into_inner().map_err(|error| Problem::internal(format!("CSV: {error}")))
}
