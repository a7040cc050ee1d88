//! `/api/v1/loopwave/segments/`

use loopd_kernel::input::Input;
use loopd_store::Reader;
use loopd_types::{Problem, Result};
use loopd_web::{Call, Operation, Reply, Schema as _, schema};
use serde_json::{Value as Json, json};

use super::store::{self, Segment};
use super::{Conditions, TAG_MOST};
use crate::PRODUCT;
use crate::contact::LIFECYCLES;
use crate::contact::store::{Filter, count};

const NAME: &str = "LoopwaveSegment";
const URL: &str = "/api/v1/loopwave/segments/";
const ITEM: &str = "/api/v1/loopwave/segments/{id}/";
const NAME_MOST: usize = 120;

/// The schemas that the operations refer to.
pub fn components() -> Vec<(String, Json)> {
    let fields = [
        ("id", schema::uuid()),
        ("name", schema::string()),
        ("filter", filter_schema()),
        ("count", schema::integer().nullable().describe("People in it now; null in lists.")),
        ("reachable", schema::integer().nullable().describe("Of these, who may be written to; null in lists.")),
        ("created_by", schema::uuid().nullable()),
        ("created_at", schema::date_time()),
        ("version", schema::integer()),
    ];
    let names = fields.clone().map(|(name, _)| name);
    vec![(NAME.to_owned(), schema::object(fields).required(names))]
}

fn filter_schema() -> Json {
    schema::object([
        ("lifecycle", schema::array(schema::one_of(LIFECYCLES)).describe("Any of these stages.")),
        ("tags", schema::array(schema::text(1, TAG_MOST as u32)).describe("All of these tags.")),
    ])
}

pub fn operations() -> Vec<Operation> {
    let op = |operation: Operation, verb: &str, summary: &str| {
        operation.tag(PRODUCT).summary(summary).tenant(Some(PRODUCT), &format!("{PRODUCT}.segments.{verb}"))
    };
    let segment = || schema::component(NAME);
    let fields = || [("name", schema::text(1, NAME_MOST as u32).example("VIP riders")), ("filter", filter_schema())];
    let all = schema::object([("results", schema::array(segment()))]).required(["results"]);
    vec![
        op(Operation::get("loopwave_segments_list", URL, list), "view", "List segments, by name").responds(
            200,
            "All of them.",
            all,
        ),
        op(Operation::get("loopwave_segments_retrieve", ITEM, retrieve), "view", "Read a segment and count its people")
            .responds(200, "The segment.", segment()),
        op(Operation::post("loopwave_segments_create", URL, create), "create", "Save a segment of contacts")
            .body(schema::object(fields()).required(["name", "filter"]))
            .responds(201, "The segment.", segment())
            .responds(409, "There are too many.", schema::component("Error")),
        op(Operation::patch("loopwave_segments_partial_update", ITEM, update), "update", "Change a segment")
            .body(schema::object(fields()))
            .responds(200, "The segment as it is now.", segment()),
        op(
            Operation::delete("loopwave_segments_destroy", ITEM, destroy),
            "delete",
            "Delete a segment; its people stay",
        )
        .responds_empty(204, "Deleted."),
    ]
}

/// A segment as people see it; `counted` are its people, and how many of them may be written to.
pub fn row(segment: &Segment, counted: Option<(i64, i64)>) -> Json {
    json!({
        "id": segment.id.to_string(),
        "name": segment.name,
        "filter": segment.filter,
        "count": counted.map(|(all, _)| all),
        "reachable": counted.map(|(_, reachable)| reachable),
        "created_by": segment.created_by.map(|id| id.to_string()),
        "created_at": segment.created_at.to_string(),
        "version": segment.version,
    })
}

fn counted(reader: &mut Reader<'_>, tenant: &loopd_kernel::Tenant, segment: &Segment) -> Result<Json> {
    let filter = segment.filter.conditions();
    let all = count(reader, tenant.company, &filter)?;
    let reachable = count(reader, tenant.company, &Filter { is_reachable: true, ..filter })?;
    Ok(row(segment, Some((all, reachable))))
}

async fn list(call: Call) -> Result<Reply> {
    let company = call.tenant()?.company;
    let work = move |reader: &mut Reader<'_>| {
        let all = store::list(reader, company)?;
        Reply::json(200, &json!({"results": all.iter().map(|it| row(it, None)).collect::<Vec<_>>()}))
    };
    call.kernel.db.read(call.tenant()?.view(), work).await
}

async fn retrieve(call: Call) -> Result<Reply> {
    let (tenant, id) = (call.tenant()?.clone(), call.id()?);
    let work = move |reader: &mut Reader<'_>| {
        let segment = store::get(reader, tenant.company, id)?;
        Reply::json(200, &counted(reader, &tenant, &segment)?)
    };
    call.kernel.db.read_long(call.tenant()?.view(), work).await
}

fn filter(input: &mut Input) -> Result<Option<Conditions>> {
    let wanted: Option<Conditions> = input.typed("filter", "conditions on contacts");
    let mut problem = Problem::validation();
    if let Some(wanted) = &wanted {
        wanted.check("filter", &mut problem);
    }
    if problem.has_fields() { Err(problem) } else { Ok(wanted) }
}

async fn create(call: Call) -> Result<Reply> {
    let mut input = Input::new(call.json()?, false)?;
    let (name, is_filtered) = (input.required_text("name", NAME_MOST), input.has("filter"));
    let filter = filter(&mut input)?;
    if !is_filtered {
        input.refuse("filter", "required", "This field is required.");
    }
    input.finish()?;
    let (Some(name), Some(filter)) = (name, filter) else {
        return Err(Problem::internal("input that was checked is gone"));
    };
    let (kernel, tenant) = (call.kernel.clone(), call.tenant()?.clone());
    let segment = Segment {
        id: kernel.new_id(),
        name,
        filter,
        created_by: tenant.actor.user,
        created_at: kernel.now(),
        version: 1,
    };
    call.commit(tenant.view(), move |tx| {
        store::insert(tx, &kernel, &tenant, &segment)?;
        Reply::json(201, &counted(tx, &tenant, &segment)?)
    })
    .await
}

async fn update(call: Call) -> Result<Reply> {
    let mut input = Input::new(call.json()?, true)?;
    let name = input.required_text("name", NAME_MOST);
    let filter = filter(&mut input)?;
    input.finish()?;
    let (kernel, tenant, id) = (call.kernel.clone(), call.tenant()?.clone(), call.id()?);
    call.commit(tenant.view(), move |tx| {
        let known = store::get(tx, tenant.company, id)?;
        let segment = Segment {
            name: name.clone().unwrap_or_else(|| known.name.clone()),
            filter: filter.clone().unwrap_or_else(|| known.filter.clone()),
            version: known.version + 1,
            ..known
        };
        store::update(tx, &kernel, &tenant, &segment)?;
        Reply::json(200, &counted(tx, &tenant, &segment)?)
    })
    .await
}

async fn destroy(call: Call) -> Result<Reply> {
    let (kernel, tenant, id) = (call.kernel.clone(), call.tenant()?.clone(), call.id()?);
    call.commit(tenant.view(), move |tx| {
        let segment = store::get(tx, tenant.company, id)?;
        store::delete(tx, &kernel, &tenant, &segment)?;
        Ok(Reply::no_content())
    })
    .await
}
