//! `/api/v1/loopwave/saved-views/`

use loopd_kernel::Tenant;
use loopd_kernel::input::Input;
use loopd_store::Reader;
use loopd_types::{Problem, Result, Uuid};
use loopd_web::{Call, Operation, Reply, Schema as _, schema};
use serde_json::{Value as Json, json};

use super::store::{self, SavedView};
use super::{TEXT_MOST, Wanted};
use crate::PRODUCT;
use crate::chat::STATUSES;
use crate::contact::LIFECYCLES;

const NAME: &str = "LoopwaveSavedView";
const URL: &str = "/api/v1/loopwave/saved-views/";
const ITEM: &str = "/api/v1/loopwave/saved-views/{id}/";
const NAME_MOST: usize = 80;

/// The schemas that the operations refer to.
pub fn components() -> Vec<(String, Json)> {
    let fields = [
        ("id", schema::uuid()),
        ("name", schema::string()),
        ("shared", schema::boolean().describe("Whether everybody of the company has it.")),
        ("filter", filter_schema()),
        ("created_by", schema::uuid().nullable()),
        ("created_at", schema::date_time()),
        ("version", schema::integer()),
    ];
    let names = fields.clone().map(|(name, _)| name);
    vec![(NAME.to_owned(), schema::object(fields).required(names))]
}

fn filter_schema() -> Json {
    schema::object([
        ("status", schema::one_of(STATUSES)),
        ("assignee", schema::string().describe("`me` (whoever looks), `none`, or the id of a user.")),
        ("unread", schema::boolean()),
        ("waiting", schema::boolean()),
        ("number", schema::text(1, TEXT_MOST as u32)),
        ("label", schema::text(1, TEXT_MOST as u32)),
        ("contact", schema::uuid()),
        ("tag", schema::text(1, TEXT_MOST as u32)),
        ("lifecycle", schema::one_of(LIFECYCLES)),
        ("text", schema::text(1, 128)),
    ])
}

pub fn operations() -> Vec<Operation> {
    let op = |operation: Operation, verb: &str, summary: &str| {
        operation.tag(PRODUCT).summary(summary).tenant(Some(PRODUCT), &format!("{PRODUCT}.saved-views.{verb}"))
    };
    let view = || schema::component(NAME);
    let name = || ("name", schema::text(1, NAME_MOST as u32));
    let all = schema::object([("results", schema::array(view()))]).required(["results"]);
    let shared = schema::boolean().describe("For everybody of the company; else for the caller alone.");
    vec![
        op(
            Operation::get("loopwave_saved_views_list", URL, list),
            "view",
            "List one's own views of chats and those of all, by name",
        )
        .responds(200, "All of them.", all),
        op(Operation::post("loopwave_saved_views_create", URL, create), "create", "Save a view of chats")
            .body(
                schema::object([name(), ("shared", shared), ("filter", filter_schema())]).required(["name", "filter"]),
            )
            .responds(201, "The view.", view())
            .responds(409, "There are too many.", schema::component("Error")),
        op(
            Operation::patch("loopwave_saved_views_partial_update", ITEM, update),
            "update",
            "Change a view: one's own, or a shared one that one made",
        )
        .body(schema::object([name(), ("filter", filter_schema())]))
        .responds(200, "The view as it is now.", view()),
        op(
            Operation::delete("loopwave_saved_views_destroy", ITEM, destroy),
            "update",
            "Delete a view: one's own, or a shared one that one made",
        )
        .responds_empty(204, "Deleted."),
    ]
}

/// A view as people see it.
pub fn row(view: &SavedView) -> Json {
    json!({
        "id": view.id.to_string(),
        "name": view.name,
        "shared": view.owner_id.is_none(),
        "filter": view.filter,
        "created_by": view.created_by.map(|id| id.to_string()),
        "created_at": view.created_at.to_string(),
        "version": view.version,
    })
}

async fn list(call: Call) -> Result<Reply> {
    let tenant = call.tenant()?.clone();
    let work = move |reader: &mut Reader<'_>| {
        let views = store::list(reader, &tenant)?;
        Reply::json(200, &json!({"results": views.iter().map(row).collect::<Vec<_>>()}))
    };
    call.kernel.db.read(call.tenant()?.view(), work).await
}

fn filter(input: &mut Input) -> Result<Option<Wanted>> {
    let wanted: Option<Wanted> = input.typed("filter", "conditions on chats");
    let mut problem = Problem::validation();
    if let Some(wanted) = &wanted {
        wanted.check(&mut problem);
    }
    if problem.has_fields() { Err(problem) } else { Ok(wanted) }
}

async fn create(call: Call) -> Result<Reply> {
    let mut input = Input::new(call.json()?, false)?;
    let (name, shared) = (input.required_text("name", NAME_MOST), input.boolean("shared"));
    let is_filtered = input.has("filter");
    let filter = filter(&mut input)?;
    if !is_filtered {
        input.refuse("filter", "required", "This field is required.");
    }
    input.finish()?;
    let (Some(name), Some(filter)) = (name, filter) else {
        return Err(Problem::internal("input that was checked is gone"));
    };
    let (kernel, tenant) = (call.kernel.clone(), call.tenant()?.clone());
    if tenant.actor.user.is_none() && shared != Some(true) {
        return Err(Problem::field("shared", "required", "Only a person has views of their own: share it."));
    }
    let view = SavedView {
        id: kernel.new_id(),
        owner_id: tenant.actor.user.filter(|_| shared != Some(true)),
        created_by: tenant.actor.user,
        name,
        filter,
        created_at: kernel.now(),
        version: 1,
    };
    call.commit(tenant.view(), move |tx| {
        store::insert(tx, &kernel, &tenant, &view)?;
        Reply::json(201, &row(&view))
    })
    .await
}

/// A view that the caller may change: their own, a shared one that they made, any shared one for who may delete them.
fn own(reader: &mut Reader<'_>, tenant: &Tenant, id: Uuid) -> Result<SavedView> {
    let view = store::get(reader, tenant, id)?;
    let is_own = view.created_by.is_some() && view.created_by == tenant.actor.user;
    if !is_own {
        tenant.require(&format!("{PRODUCT}.saved-views.delete"))?;
    }
    Ok(view)
}

async fn update(call: Call) -> Result<Reply> {
    let mut input = Input::new(call.json()?, true)?;
    let name = input.required_text("name", NAME_MOST);
    let filter = filter(&mut input)?;
    input.finish()?;
    let (kernel, tenant, id) = (call.kernel.clone(), call.tenant()?.clone(), call.id()?);
    call.commit(tenant.view(), move |tx| {
        let known = own(tx, &tenant, id)?;
        let view = SavedView {
            name: name.clone().unwrap_or_else(|| known.name.clone()),
            filter: filter.clone().unwrap_or_else(|| known.filter.clone()),
            version: known.version + 1,
            ..known
        };
        store::update(tx, &kernel, &tenant, &view)?;
        Reply::json(200, &row(&view))
    })
    .await
}

async fn destroy(call: Call) -> Result<Reply> {
    let (kernel, tenant, id) = (call.kernel.clone(), call.tenant()?.clone(), call.id()?);
    call.commit(tenant.view(), move |tx| {
        let view = own(tx, &tenant, id)?;
        store::delete(tx, &kernel, &tenant, &view)?;
        Ok(Reply::no_content())
    })
    .await
}
