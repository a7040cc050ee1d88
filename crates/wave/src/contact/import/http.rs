//! `/api/v1/loopwave/contacts/import/`, `…/export/` and `/api/v1/loopwave/contact-imports/`.

use std::time::Duration;

use loopd_kernel::file;
use loopd_kernel::listing::Conditions;
use loopd_store::Reader;
use loopd_types::{Problem, Result, Timestamp};
use loopd_web::rows::Rows;
use loopd_web::sheet::lines;
use loopd_web::{Call, Content, Operation, Param, Reply, ResponseDoc, Schema as _, cursor, schema};
use serde_json::{Map, Value as Json, json};

use super::rules::{self, FIELDS};
use super::run::{self, UPDATE};
use super::store::{self, Import, LISTING};
use crate::contact::http::{CONTACTS, asked};
use crate::contact::store::{self as contacts, Card, Filter};
use crate::mask::Sight;
use crate::{PRODUCT, preference, segment};

const IMPORTS: Rows = Rows::of(PRODUCT, "contact-imports", "LoopwaveContactImport", &LISTING);
/// Bytes of a file, and how long its sender may be silent.
const FILE_MOST: u64 = 16 * 1024 * 1024;
const IDLE: Duration = Duration::from_secs(30);
const ANSWER: &str = "LoopwaveContactImportAnswer";
/// Refused rows that an answer shows.
const SHOWN: usize = 100;
/// Contacts of one read of an export.
const PIECE: i64 = 500;

/// The schemas that the operations refer to.
pub fn components() -> Vec<(String, Json)> {
    let error = schema::object([
        ("field", schema::string().nullable()),
        ("code", schema::string()),
        ("message", schema::string()),
    ])
    .required(["field", "code", "message"]);
    let row =
        schema::object([("row", schema::integer()), ("errors", schema::array(error))]).required(["row", "errors"]);
    let mut answer = IMPORTS.schema();
    answer["properties"]["errors"] =
        schema::array(row).describe("The first of the rows that were refused; rows count from 1 below the header.");
    vec![(IMPORTS.name.to_owned(), IMPORTS.schema()), (ANSWER.to_owned(), answer)]
}

pub fn operations() -> Vec<Operation> {
    let rows = CONTACTS.rows;
    let on_imports = |operation: Operation, summary: &str| {
        operation.tag(PRODUCT).summary(summary).tenant(Some(PRODUCT), run::CREATE)
    };
    let csv = || Content::of("text/csv", schema::string());
    vec![
        on_imports(
            Operation::post(rows.operation_id("import"), format!("{}import/", rows.url()), import),
            "Import contacts from CSV",
        )
        .describe(format!(
            "A row makes a contact, or changes the one who has its telephone number; sent twice, a file changes nothing. An empty cell says \
             nothing. An opt-out is taken over and never lifted. Columns: {}. Up to 100 rows are done when the answer comes (200); more are \
             left to a job (202): see `/api/v1/loopwave/contact-imports/{{id}}/`, and `…/errors/` for the rows that were refused. Who may not see \
             customers' numbers only makes contacts: rows of numbers that are known change nobody, `created` counts every row that was taken, \
             and a trial is 403 `numbers_hidden`, so that nobody finds a number by asking for it.",
            FIELDS.join(", ")
        ))
        .params([
            Param::query("dry_run", schema::boolean()).describe("Tries every row and writes nothing."),
            Param::query("mapping", schema::string())
                .describe("From columns to fields, as a JSON object: `{\"Tel\": \"phone\", \"Shoe size\": null}`."),
        ])
        .streams_body(FILE_MOST, IDLE)
        .accepts(true, csv())
        .responds(200, "What became of the rows.", schema::component(ANSWER))
        .responds(202, "The rows are kept; a job makes the contacts.", schema::component(ANSWER))
        .responds(507, "`storage_full`: nothing was kept.", schema::component("Error")),
        on_imports(
            Operation::get(IMPORTS.operation_id("retrieve"), IMPORTS.item_url(), retrieve),
            "How far an import of contacts is",
        )
        .responds(200, "How far it is.", schema::component(ANSWER)),
        on_imports(
            Operation::get(IMPORTS.operation_id("errors"), format!("{}errors/", IMPORTS.item_url()), errors),
            "Fetch the rows of an import that were refused, as CSV",
        )
        .describe("The file's own columns, with `_row` and `_reason` before them: put right, it can be sent again as it is.")
        .response(ResponseDoc::empty(200, "The rows.").with(csv())),
        rows.document(
            Operation::get(rows.operation_id("export"), format!("{}export/", rows.url()), export),
            "Export contacts as CSV",
        )
        .describe("Numbers are masked for who may not see them. What it writes can be imported again.")
        .tenant(rows.product, &rows.permission("view"))
        .param(Param::query("search", schema::string()))
        .param(Param::query("lifecycle", schema::string()).describe("Stages, separated by commas; any of them."))
        .param(Param::query("tag", schema::string()).describe("Tags, separated by commas; all of them."))
        .param(Param::query("segment", schema::uuid()).describe("A saved segment, instead of the others."))
        .response(ResponseDoc::empty(200, "All of them, who was in touch last first.").with(csv())),
    ]
}

async fn import(mut call: Call) -> Result<Reply> {
    call.query().refuse_unknown(|name| ["dry_run", "mapping"].contains(&name))?;
    let is_dry_run = call.query().bool("dry_run")?.unwrap_or(false);
    let mapping = match call.query().get("mapping").map(serde_json::from_str::<Json>) {
        None => Map::new(),
        Some(Ok(Json::Object(mapping))) => mapping,
        Some(_) => return Err(Problem::field("mapping", "invalid", "Value must be a JSON object.")),
    };
    let (kernel, tenant) = (call.kernel.clone(), call.tenant()?.clone());
    tenant.require(UPDATE)?;
    if is_dry_run && sight(&call).await?.is_masked() {
        let words = "A trial tells which numbers are known. Who may not see numbers imports without one.";
        return Err(Problem::forbidden("numbers_hidden", words));
    }
    let aside = file::lay_aside(call.upload()?.into_stream()).await?;
    call.bind_content(&aside.sha256);
    let file = aside
        .read(|laid| {
            use std::io::{Seek as _, SeekFrom};
            let mut laid = laid;
            laid.seek(SeekFrom::Start(0)).map_err(file::not_laid)?;
            rules::read(laid)
        })
        .await?;
    let import = Import {
        id: kernel.new_id(),
        state: "queued".to_owned(),
        is_dry_run,
        targets: rules::targets(&file.columns, &mapping)?,
        columns: file.columns.clone(),
        total: i64::try_from(file.rows.len()).unwrap_or(i64::MAX),
        done: 0,
        created_by: tenant.actor.user,
    };
    call.commit(tenant.view(), move |tx| {
        run::begin(tx, &kernel, &tenant, &import, &file)?;
        let answer = answer(tx, &tenant, import.id)?;
        let status = if answer["state"] == "done" { 200 } else { 202 };
        let place = format!("{}{}/", IMPORTS.url(), import.id);
        Ok(Reply::json(status, &answer)?.with_header(http::header::LOCATION, &place))
    })
    .await
}

/// How much of numbers the caller sees.
async fn sight(call: &Call) -> Result<Sight> {
    let tenant = call.tenant()?.clone();
    let read = move |reader: &mut Reader<'_>| Ok(Sight::of(&tenant, &preference::load(reader, tenant.company)?));
    call.kernel.db.read(call.tenant()?.view(), read).await
}

fn answer(reader: &mut Reader<'_>, tenant: &loopd_kernel::Tenant, id: loopd_types::Uuid) -> Result<Json> {
    let row = LISTING.find(reader, id, Some(&[tenant.company]), Conditions::default())?;
    let mut answer: Json = serde_json::from_slice(&row.ok_or_else(Problem::not_found)?).map_err(Problem::internal)?;
    if Sight::of(tenant, &preference::load(reader, tenant.company)?).is_masked() {
        // Whether a row made somebody tells whose number is known.
        let taken: i64 = ["created", "updated", "unchanged"].iter().filter_map(|name| answer[*name].as_i64()).sum();
        answer["created"] = taken.into();
        answer["updated"] = 0.into();
        answer["unchanged"] = 0.into();
    }
    let mut refused = store::refusals(reader, tenant.company, id, SHOWN)?;
    for one in refused.iter_mut().filter_map(Json::as_object_mut) {
        one.remove("cells");
    }
    answer["errors"] = refused.into();
    Ok(answer)
}

async fn retrieve(call: Call) -> Result<Reply> {
    let (tenant, id) = (call.tenant()?.clone(), call.id()?);
    let shared = tenant.clone();
    Reply::json(200, &call.kernel.db.read(tenant.view(), move |reader| answer(reader, &shared, id)).await?)
}

async fn errors(call: Call) -> Result<Reply> {
    let (tenant, id) = (call.tenant()?.clone(), call.id()?);
    let (company, user) = (tenant.company, tenant.actor.user);
    let seen = sight(&call).await?;
    let read = move |reader: &mut Reader<'_>| {
        let import = store::get(reader, company, id)?;
        Ok((import, store::refusals(reader, company, id, usize::MAX)?))
    };
    let (import, refused) = call.kernel.db.read_long(tenant.view(), read).await?;
    // Who sent a file knows what stands in it.
    let seen = if user.is_some() && import.created_by == user { Sight::Full } else { seen };
    let mut rows = vec![["_row", "_reason"].into_iter().map(str::to_owned).chain(import.columns).collect::<Vec<_>>()];
    for one in &refused {
        let reasons = one["errors"].as_array().into_iter().flatten().map(|error| {
            let words = error["message"].as_str().unwrap_or_default();
            error["field"].as_str().map_or_else(|| words.to_owned(), |field| format!("{field}: {words}"))
        });
        let reason = reasons.collect::<Vec<_>>().join(" ");
        let cells =
            one["cells"].as_array().into_iter().flatten().map(|cell| seen.name(cell.as_str().unwrap_or_default()));
        rows.push([one["row"].to_string(), reason].into_iter().chain(cells).collect());
    }
    Ok(Reply::bytes(200, "text/csv; charset=utf-8", lines(rows)?).as_download("contacts-refused.csv"))
}

const COLUMNS: [&str; 14] = [
    "id",
    "name",
    "phone",
    "email",
    "company_name",
    "location",
    "lifecycle",
    "tags",
    "lifetime_value",
    "notes",
    "opted_out",
    "last_contacted_at",
    "conversation_count",
    "created_at",
];

async fn export(call: Call) -> Result<Reply> {
    let search = call.query().get("search").map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    let asked = Filter { search, ..asked(call.query())? };
    let (tenant, id) = (call.tenant()?.clone(), call.query().uuid("segment")?);
    let shared = tenant.clone();
    let begin = move |reader: &mut Reader<'_>| {
        let filter = match id {
            Some(id) => segment::store::get(reader, shared.company, id)?.filter.conditions(),
            None => asked.clone(),
        };
        Ok((filter, Sight::of(&shared, &preference::load(reader, shared.company)?)))
    };
    let (filter, sight) = call.kernel.db.read(tenant.view(), begin).await?;
    if sight.is_masked() && filter.search.is_some() {
        // A hidden digit would be found by asking for it.
        return Err(Problem::field("search", "invalid", "Who may not see numbers exports without a search."));
    }
    let header = lines([COLUMNS.map(str::to_owned)])?;
    let chunks =
        futures_util::stream::unfold((call, Some(cursor::Page { limit: PIECE, after: None })), move |(call, page)| {
            let (filter, tenant) = (filter.clone(), tenant.clone());
            async move {
                let page = page?;
                let read = move |reader: &mut Reader<'_>| Ok(contacts::list(reader, tenant.company, &filter, &page)?);
                let view = call.tenant().map(|tenant| tenant.view());
                let cards = match view {
                    Ok(view) => call.kernel.db.read_long(view, read).await,
                    Err(problem) => Err(problem),
                };
                match cards.and_then(|cards| piece(cards, sight)) {
                    Ok((text, next)) => Some((Ok(bytes::Bytes::from(text)), (call, next))),
                    Err(problem) => Some((Err(std::io::Error::other(problem.to_string())), (call, None))),
                }
            }
        });
    let first = futures_util::stream::once(async move { Ok::<_, std::io::Error>(bytes::Bytes::from(header)) });
    let all = futures_util::StreamExt::chain(first, chunks);
    Ok(Reply::stream(200, "text/csv; charset=utf-8", all).as_download("contacts.csv"))
}

/// A piece of an export, and where the next one begins.
fn piece(mut cards: Vec<Card>, sight: Sight) -> Result<(Vec<u8>, Option<cursor::Page>)> {
    let at = |card: &Card| (card.last_contacted_at.unwrap_or(Timestamp(0)), card.id);
    let has_more = cards.len() > usize::try_from(PIECE).unwrap_or(usize::MAX);
    cards.truncate(usize::try_from(PIECE).unwrap_or(usize::MAX));
    let next = cards.last().filter(|_| has_more).map(|last| cursor::Page { limit: PIECE, after: Some(at(last)) });
    let rows: Vec<Vec<String>> = cards.iter().map(|card| cells(card, sight)).collect();
    Ok((lines(rows)?, next))
}

fn cells(card: &Card, sight: Sight) -> Vec<String> {
    let words = &card.words;
    let optional = |text: &Option<String>| text.clone().unwrap_or_default();
    let seen = |text: &Option<String>| text.as_deref().map(|text| sight.text(text)).unwrap_or_default();
    let at = |at: Option<Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
    vec![
        card.id.to_string(),
        sight.name(&words.name),
        words.phone.as_deref().map(|phone| sight.phone(phone)).unwrap_or_default(),
        seen(&words.email),
        seen(&words.company_name),
        seen(&words.location),
        words.lifecycle.clone(),
        json!(words.tags).to_string(),
        optional(&words.lifetime_value),
        optional(&words.notes),
        words.is_opted_out.to_string(),
        at(card.last_contacted_at),
        card.conversation_count.to_string(),
        card.created_at.to_string(),
    ]
}
