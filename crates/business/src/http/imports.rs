//! Imports over HTTP: sending a file, looking how far it is, fetching the rows that were refused.

use std::collections::BTreeMap;
use std::sync::Arc;

use loopd_kernel::file;
use loopd_kernel::listing::Conditions;
use loopd_store::View;
use loopd_types::{CompanyId, Problem, Result, Uuid};
use loopd_web::{Call, Content, Operation, Reply, ResponseDoc, schema};
use serde_json::{Map, Value as Json, json};

use super::records::Door;
use crate::define::parse::not_a_dictionary;
use crate::engine::import::{self, File, SHOWN_ERRORS, Way, Wish, store};
use crate::engine::{Cx, Registry};
use loopd_web::rows::Rows;

const IMPORTS: Rows = Rows::core("imports", "Import", &import::COLUMNS);

/// Looking at imports of every resource.
pub(super) fn operations(registry: &Arc<Registry>) -> Vec<Operation> {
    let registry = registry.clone();
    let errors = Operation::get("imports_errors", "/api/v1/imports/{id}/errors/", move |call| {
        refused_rows(registry.clone(), call)
    });
    let errors = IMPORTS
        .document(errors, "Fetch the rows that were refused, as CSV")
        .describe(
            "The file's own columns, with `_row` and `_reason` before them: put right, it can be sent again as it is.",
        )
        .tenant(None, &IMPORTS.permission("view"))
        .response(ResponseDoc::empty(200, "The rows.").with(Content::of("text/csv", schema::string())));
    vec![IMPORTS.list_of_companies(), IMPORTS.retrieve_in_companies(), errors]
}

/// The components of these operations.
pub fn schemas() -> BTreeMap<String, Json> {
    let mut answer = IMPORTS.schema();
    let error = json!({
        "type": "object",
        "required": ["row", "errors"],
        "properties": {
            "row": {"type": "integer", "description": "From 1; a header line does not count."},
            "errors": {"type": "array", "items": {
                "type": "object",
                "required": ["field", "code", "message"],
                "properties": {"field": {"type": ["string", "null"]}, "code": schema::string(), "message": schema::string()},
            }},
        },
    });
    answer["properties"]["errors"] =
        json!({"type": "array", "items": error, "description": "The first of the rows that were refused."});
    [("Import".to_owned(), IMPORTS.schema()), ("ImportAnswer".to_owned(), answer)].into()
}

/// `POST …/import/`
pub(super) async fn import(door: Door, mut call: Call) -> Result<Reply> {
    let (engine, tenant) = (door.engine(&call), call.tenant()?.clone());
    call.query().refuse_unknown(|name| ["dry_run", "mode", "mapping"].contains(&name))?;
    let wish = Wish {
        is_dry_run: call.query().bool("dry_run")?.unwrap_or(false),
        way: match call.query().get("mode") {
            None => Way::Create,
            Some(text) => Way::parse(text).ok_or_else(|| {
                Problem::field("mode", "invalid_choice", format!("\"{text}\" is not a valid choice."))
            })?,
        },
        mapping: Map::new(),
    };
    let (file, mapping) = read(&mut call).await?;
    let mapping = match mapping {
        None => Map::new(),
        Some(Json::Object(mapping)) => mapping,
        Some(other) => {
            let error = not_a_dictionary(&other);
            return Err(Problem::field("mapping", error.code, error.message));
        }
    };
    let wish = Wish { mapping, ..wish };
    call.commit(tenant.view(), move |tx| {
        let id = import::begin(&mut Cx::new(tx, &engine, &tenant), &door.runtime, &file, &wish)?;
        let row = IMPORTS.listing.find(tx, id, Some(&[tenant.company]), Conditions::default())?;
        let mut answer: Json =
            serde_json::from_slice(&row.ok_or_else(Problem::not_found)?).map_err(Problem::internal)?;
        let mut errors = match import::errors(tx, tenant.company, id, 0)? {
            Some((_, refusals)) => refusals,
            None => Vec::new(),
        };
        errors.truncate(SHOWN_ERRORS);
        for error in errors.iter_mut().filter_map(Json::as_object_mut) {
            error.remove("cells");
        }
        answer["errors"] = errors.into();
        let status = if answer["state"] == "done" { 200 } else { 202 };
        let place = format!("/api/v1/imports/{id}/");
        Ok(Reply::json(status, &answer)?.with_header(http::header::LOCATION, &place))
    })
    .await
}

/// The file of a call, and what it says of where its columns go.
async fn read(call: &mut Call) -> Result<(File, Option<Json>)> {
    let is_csv =
        call.header("content-type").is_some_and(|kind| kind.trim().to_ascii_lowercase().starts_with("text/csv"));
    let mapping = call.query().get("mapping").filter(|_| is_csv).map(serde_json::from_str::<Json>).transpose();
    let mapping = mapping.map_err(|_| Problem::field("mapping", "invalid", "Value must be valid JSON."))?;
    let aside = file::lay_aside(call.upload()?.into_stream()).await?;
    call.bind_content(&aside.sha256);
    if !is_csv && aside.size_bytes == 0 {
        return Err(Problem::field("rows", "required", "This field is required."));
    }
    aside.read(move |file| if is_csv { Ok((import::read_csv(file)?, mapping)) } else { import::read_json(file) }).await
}

/// `GET /imports/{id}/errors/`: who may not make such records sees none of their cells.
async fn refused_rows(registry: Arc<Registry>, call: Call) -> Result<Reply> {
    let (tenant, id) = (call.tenant()?.clone(), call.id()?);
    let (company, view) = (tenant.company, tenant.view());
    let found = call.kernel.db.read(view.clone(), move |reader| store::find(reader, company, id)).await?;
    let found = found.ok_or_else(Problem::not_found)?;
    let resource = registry.find(&found.path).ok_or_else(Problem::not_found)?;
    tenant.require(&resource.permissions.create)?;
    let mut header = vec!["_row".to_owned(), "_reason".to_owned()];
    header.extend(found.columns.iter().cloned());
    let first = line(&header)?;
    let chunks = futures_util::stream::unfold((call, Some(0)), move |(call, position)| {
        let view = view.clone();
        async move {
            match next(&call, view, company, id, position?).await {
                Ok(Some((position, text))) => Some((Ok(bytes::Bytes::from(text)), (call, Some(position)))),
                Ok(None) => None,
                Err(problem) => Some((Err(std::io::Error::other(problem.to_string())), (call, None))),
            }
        }
    });
    let first = futures_util::stream::once(async move { Ok::<_, std::io::Error>(bytes::Bytes::from(first)) });
    let name = format!("{}-refused.csv", found.path.replace('/', "-"));
    Ok(Reply::stream(200, "text/csv; charset=utf-8", futures_util::StreamExt::chain(first, chunks)).as_download(&name))
}

/// The refused rows of the chunk at `position` as CSV, and the next chunk's place.
async fn next(call: &Call, view: View, company: CompanyId, id: Uuid, position: i64) -> Result<Option<(i64, Vec<u8>)>> {
    let found = call.kernel.db.read(view, move |reader| import::errors(reader, company, id, position)).await?;
    let Some((next, refusals)) = found else { return Ok(None) };
    let mut text = Vec::new();
    for refusal in refusals {
        let reasons: Vec<String> = refusal["errors"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|error| match error["field"].as_str() {
                Some(field) if field != loopd_types::NON_FIELD => {
                    format!("{field}: {}", error["message"].as_str().unwrap_or_default())
                }
                _ => error["message"].as_str().unwrap_or_default().to_owned(),
            })
            .collect();
        let mut cells = vec![refusal["row"].to_string(), reasons.join(" ")];
        cells.extend(refusal["cells"].as_array().into_iter().flatten().map(|cell| match cell {
            Json::Null => String::new(),
            // as our exports write it, so that no spreadsheet runs it and we read it back
            Json::String(text) => crate::engine::export::harmless(text.clone()),
            other => other.to_string(),
        }));
        text.extend(line(&cells)?);
    }
    Ok(Some((next, text)))
}

fn line(cells: &[String]) -> Result<Vec<u8>> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(cells).map_err(|error| Problem::internal(format!("CSV: {error}")))?;
    csv.into_inner().map_err(|error| Problem::internal(format!("CSV: {error}")))
}
