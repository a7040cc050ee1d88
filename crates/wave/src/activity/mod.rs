//! `/api/v1/loopwave/activity/`: who did what in Loopwave: the part of the company's audit log that is about it. Its rows name no customer's
//! number (they are written so), and are read by whoever manages the team.

use std::sync::Arc;

use loopd_kernel::audit;
use loopd_kernel::listing::{Column, ListQuery};
use loopd_store::{Reader, Value};
use loopd_types::{Problem, Result, Uuid};
use loopd_web::cursor;
use loopd_web::{Call, Content, Operation, Reply, ResponseDoc, rows, schema, sheet};
use serde_json::Value as Json;

use crate::PRODUCT;
use crate::chat::inbox::{cursor_param, page_of};

/// The component's name.
const NAME: &str = "LoopwaveActivity";
const LIMIT: i64 = 50;
const LIMIT_MOST: i64 = 200;
/// Rows of one piece of an export.
const PIECE: usize = 1_000;
/// Parameters that are no filters of a column.
const OWN: [&str; 4] = ["cursor", "limit", "search", "format"];

/// The schemas that the operations refer to.
pub fn components() -> Vec<(String, Json)> {
    vec![(NAME.to_owned(), rows::Rows::of(PRODUCT, "activity", NAME, &audit::LISTING).schema())]
}

pub fn operations() -> Vec<Operation> {
    let permission = format!("{PRODUCT}.activity.action:read");
    let filters = || {
        let all = rows::list_params(&audit::LISTING).into_iter();
        all.filter(|param| !["page", "page_size", "ordering", "module"].contains(&param.name.as_str()))
    };
    let list = Operation::get("loopwave_activity_list", "/api/v1/loopwave/activity/", list);
    let export = Operation::get("loopwave_activity_export", "/api/v1/loopwave/activity/export/", export);
    vec![
        list.tag(PRODUCT)
            .summary("List who did what in Loopwave, newest first")
            .describe(
                "`resource` says where (`chats`, `contacts`, `tickets`, `broadcasts`, `automations`, `api-keys`, `numbers`, `preferences`, …), \
                 `action` what, `user` or `email` who, `target` on which row, `at__gte` and `at__lt` when.",
            )
            .tenant(Some(PRODUCT), &permission)
            .params(filters())
            .param(cursor::limit_param(LIMIT, LIMIT_MOST))
            .param(cursor_param())
            .responds(200, "One page.", page_of(schema::component(NAME))),
        export
            .tag(PRODUCT)
            .summary("Export who did what in Loopwave as CSV")
            .describe("Takes the filters of the list; newest first. The export itself is on record.")
            .tenant(Some(PRODUCT), &permission)
            .params(filters())
            .response(ResponseDoc::empty(200, "The rows.").with(Content::of("text/csv", schema::string()))),
    ]
}

fn asked(call: &Call) -> ListQuery {
    let filters = call.query().pairs().filter(|(name, _)| !OWN.contains(name));
    let filters = filters.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    ListQuery { search: call.query().search(), filters, ..ListQuery::default() }
}

/// Rows of Loopwave below `after`.
fn walk(
    reader: &mut Reader<'_>,
    company: loopd_types::CompanyId,
    asked: &ListQuery,
    after: Option<Uuid>,
    most: usize,
) -> Result<Vec<(Uuid, Vec<u8>)>> {
    let ours = audit::within(&asked.filters).and("l.module = {}", [Value::from(PRODUCT)]);
    audit::LISTING.walk(reader, asked, Some(&[company]), ours, after, most)
}

async fn list(call: Call) -> Result<Reply> {
    let limit = cursor::limit(call.query(), LIMIT, LIMIT_MOST)?;
    let after = call.query().get("cursor").filter(|text| !text.is_empty()).map(Uuid::parse_str).transpose();
    let after = after.map_err(|_| Problem::invalid("bad_request", "cursor is not one that this API gave"))?;
    let (company, asked) = (call.tenant()?.company, asked(&call));
    let most = usize::try_from(limit).unwrap_or_default();
    let read = move |reader: &mut Reader<'_>| walk(reader, company, &asked, after, most + 1);
    let mut found = call.kernel.db.read_long(call.tenant()?.view(), read).await?;
    let next = cursor::next_of(&mut found, limit, |(id, _)| id.to_string());
    let mut body = format!("{{\"next_cursor\":{},\"results\":[", Json::from(next)).into_bytes();
    for (place, (_, row)) in found.iter().enumerate() {
        if place > 0 {
            body.push(b',');
        }
        body.extend_from_slice(row);
    }
    body.extend_from_slice(b"]}");
    Ok(Reply::json_bytes(200, body))
}

async fn export(call: Call) -> Result<Reply> {
    let (tenant, asked) = (call.tenant()?.clone(), Arc::new(asked(&call)));
    // The first piece is read before the answer begins, so that what is wrong can still be said.
    let (first, next) = piece(&call, &asked, None).await?;
    audit::record_export(&call.kernel, &tenant, call.path().to_owned()).await?;
    let more = futures_util::stream::unfold((call, next), move |(call, next)| {
        let asked = asked.clone();
        async move {
            match piece(&call, &asked, Some(next?)).await {
                Ok((bytes, next)) => Some((Ok(bytes), (call, next))),
                Err(problem) => Some((Err(std::io::Error::other(problem.to_string())), (call, None))),
            }
        }
    });
    let first = futures_util::stream::once(async move { Ok::<_, std::io::Error>(first) });
    let all = futures_util::StreamExt::chain(first, more);
    Ok(Reply::stream(200, "text/csv; charset=utf-8", all).as_download("activity.csv"))
}

/// The rows below `after` as CSV, with a heading before the first, and where the next piece begins.
async fn piece(call: &Call, asked: &Arc<ListQuery>, after: Option<Uuid>) -> Result<(bytes::Bytes, Option<Uuid>)> {
    let (company, asked) = (call.tenant()?.company, asked.clone());
    let read = move |reader: &mut Reader<'_>| walk(reader, company, &asked, after, PIECE);
    let found = call.kernel.db.read_long(call.tenant()?.view(), read).await?;
    let next = if found.len() == PIECE { found.last().map(|(id, _)| *id) } else { None };
    let names: Vec<&str> = audit::LISTING.columns.iter().map(|column: &Column| column.name).collect();
    let mut lines: Vec<Vec<String>> = Vec::with_capacity(found.len() + 1);
    if after.is_none() {
        lines.push(names.iter().map(|name| (*name).to_owned()).collect());
    }
    for (_, row) in &found {
        let row: Json = serde_json::from_slice(row).map_err(Problem::internal)?;
        let cell = |name: &&str| match &row[*name] {
            Json::Null => String::new(),
            Json::String(text) => text.clone(),
            other => other.to_string(),
        };
        lines.push(names.iter().map(cell).collect());
    }
    Ok((sheet::lines(lines)?.into(), next))
}
