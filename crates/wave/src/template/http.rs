//! `/api/v1/loopwave/numbers/{id}/templates/…`: everybody reads them, who may link numbers writes them.

use std::sync::Arc;

use loopd_kernel::Tenant;
use loopd_kernel::input::Input;
use loopd_types::{Problem, Result};
use loopd_web::rows::handled;
use loopd_web::{Call, Operation, Param, Reply, Schema as _, schema};
use serde_json::{Value as Json, json};

use super::store::{self, Template};
use super::{LANGUAGE_MOST, NAME_MOST, header};
use crate::engine::cloud::{self, Cloud};
use crate::number::http::{NUMBERS, linking};
use crate::number::{self, Number};

const NAME: &str = "LoopwaveTemplate";
const CATEGORIES: [&str; 3] = ["MARKETING", "UTILITY", "AUTHENTICATION"];
/// Components of a template, at most; Meta has five kinds.
const COMPONENTS_MOST: usize = 10;

/// The schemas that the operations refer to.
pub fn components() -> Vec<(String, Json)> {
    let fields = [
        ("id", schema::uuid()),
        ("name", schema::string().example("order_ready")),
        ("language", schema::string().example("en")),
        ("category", schema::string()),
        (
            "status",
            schema::string()
                .describe("Meta's word: APPROVED, PENDING, REJECTED, PAUSED, DISABLED, …; only APPROVED is sent."),
        ),
        ("status_at", schema::date_time()),
        ("reason", schema::string().nullable().describe("Why it is not approved.")),
        ("quality", schema::string().nullable()),
        (
            "components",
            schema::array(schema::free_object()).describe("Header, body, footer and buttons, in Meta's shape."),
        ),
        ("created_at", schema::date_time()),
        ("version", schema::integer()),
    ];
    let names = fields.clone().map(|(name, _)| name);
    vec![(NAME.to_owned(), schema::object(fields).required(names))]
}

fn row(template: &Template) -> Json {
    json!({
        "id": template.id.to_string(),
        "name": template.name,
        "language": template.language,
        "category": template.category,
        "status": template.status,
        "status_at": template.status_at.to_string(),
        "reason": template.reason,
        "quality": template.quality,
        "components": template.components,
        "created_at": template.created_at.to_string(),
        "version": template.version,
    })
}

fn rows(templates: &[Template]) -> Json {
    json!({"results": templates.iter().map(row).collect::<Vec<_>>()})
}

pub fn operations(cloud: &Arc<Cloud>) -> Vec<Operation> {
    let base = format!("{}templates/", NUMBERS.item_url());
    let id = |name: &str| NUMBERS.operation_id(&format!("templates_{name}"));
    let error = || schema::component("Error");
    let template = || schema::component(NAME);
    let all = || schema::object([("results", schema::array(template()))]).required(["results"]);
    let no_templates = "`no_templates`: the number is not of the Cloud API. `template_refused`: Meta says why not.";
    let new = schema::object([
        ("name", schema::pattern("^[a-z0-9_]{1,512}$").example("order_ready")),
        ("language", schema::pattern("^[A-Za-z]{2,3}(_[A-Za-z]{2,4})?$").example("en")),
        ("category", schema::one_of(CATEGORIES)),
        (
            "components",
            schema::array(schema::free_object())
                .with("minItems", 1)
                .with("maxItems", COMPONENTS_MOST as u64)
                .describe(
                    "In Meta's shape. `{\"type\": \"HEADER\", \"format\": \"IMAGE\", \"file\": ID}` shows Meta a file of the shelf, which is \
                     uploaded for it: jpeg or png, mp4 (`VIDEO`), pdf (`DOCUMENT`).",
                ),
        ),
    ])
    .required(["name", "language", "category", "components"]);
    let (to_sync, to_create, to_delete) = (cloud.clone(), cloud.clone(), cloud.clone());
    vec![
        NUMBERS
            .document(
                Operation::get(id("list"), base.clone(), list),
                "List the templates of a number's business account, as Meta told them last",
            )
            .tenant(NUMBERS.product, &NUMBERS.permission("view"))
            .param(Param::query("status", schema::string()).describe("Only those in this status: `APPROVED`."))
            .responds(200, "All of them, by name and language.", all())
            .responds(409, no_templates, error()),
        handled(
            linking(
                Operation::post(id("sync"), format!("{base}sync/"), loopd_web::rows::nothing),
                "Fetch the templates of a number's business account from Meta; those that it has no more go",
            )
            .responds(200, "All of them, as they are now.", all())
            .responds(409, no_templates, error()),
            move |call| sync(call, to_sync.clone()),
        ),
        handled(
            linking(
                Operation::post(id("create"), base.clone(), loopd_web::rows::nothing),
                "Hand a template in for Meta's approval",
            )
            .describe("It can be sent once its status is `APPROVED`: Meta tells by webhook, within minutes or a day.")
            .body(new)
            .responds(201, "The template, as Meta took it.", template())
            .responds(409, no_templates, error()),
            move |call| create(call, to_create.clone()),
        ),
        handled(
            linking(
                Operation::delete(id("destroy"), format!("{base}{{template_id}}/"), loopd_web::rows::nothing),
                "Delete a template at Meta, in its language",
            )
            .param(Param::path("template_id", schema::uuid()))
            .responds_empty(204, "Deleted.")
            .responds(409, no_templates, error()),
            move |call| destroy(call, to_delete.clone()),
        ),
    ]
}

/// The number that a path names, and Meta's id of its account.
async fn of_call(call: &Call) -> Result<(Arc<Tenant>, Number, String)> {
    let (tenant, id) = (call.tenant()?.clone(), call.id()?);
    let company = tenant.company;
    let number = call.kernel.db.read(tenant.view(), move |reader| number::get(reader, company, id)).await?;
    let account = cloud::account_of(&number)
        .ok_or_else(|| Problem::conflict("no_templates", "Only numbers of the Cloud API have templates."))?;
    Ok((tenant, number, account))
}

async fn list(call: Call) -> Result<Reply> {
    let status = call.query().get("status").map(str::to_owned);
    let (tenant, number, account) = of_call(&call).await?;
    let read = call
        .kernel
        .db
        .read(tenant.view(), move |reader| Ok(store::list(reader, number.company, &account, status.as_deref())?));
    Reply::json(200, &rows(&read.await?))
}

async fn sync(call: Call, cloud: Arc<Cloud>) -> Result<Reply> {
    Input::new(call.json()?, true)?.finish()?;
    let (tenant, number, account) = of_call(&call).await?;
    let told = cloud.templates(&call.kernel, &number).await?;
    let kernel = call.kernel.clone();
    call.commit(tenant.view(), move |tx| {
        let mut kept = Vec::with_capacity(told.len());
        for it in &told {
            kept.push(store::keep(tx, &kernel, &tenant, &account, it)?.id);
        }
        for gone in store::list(tx, tenant.company, &account, None)?.iter().filter(|it| !kept.contains(&it.id)) {
            store::forget(tx, &kernel, &tenant, gone)?;
        }
        Reply::json(200, &rows(&store::list(tx, tenant.company, &account, None)?))
    })
    .await
}

async fn create(call: Call, cloud: Arc<Cloud>) -> Result<Reply> {
    let mut input = Input::new(call.json()?, false)?;
    let name = input.required_text("name", NAME_MOST);
    let is_name = |text: &str| text.bytes().all(|it| matches!(it, b'a'..=b'z' | b'0'..=b'9' | b'_'));
    if name.as_deref().is_some_and(|name| !is_name(name)) {
        input.refuse("name", "invalid", "A template's name has small letters, digits and underscores.");
    }
    let language = input.required_text("language", LANGUAGE_MOST);
    if language.as_deref().is_some_and(|it| !it.bytes().all(|it| it.is_ascii_alphabetic() || it == b'_')) {
        input.refuse("language", "invalid", "Write a language as en or en_US.");
    }
    let category = input.choice("category", &CATEGORIES);
    let components = input.list("components", COMPONENTS_MOST);
    if components.as_ref().is_some_and(|all| all.is_empty() || !all.iter().all(Json::is_object)) {
        input.refuse("components", "invalid", "A template has at least a body; each component is an object.");
    }
    for (member, is_missing) in [("category", category.is_none()), ("components", components.is_none())] {
        if is_missing && !input.has(member) {
            input.refuse(member, "required", "This field is required.");
        }
    }
    input.finish()?;
    let (Some(name), Some(language), Some(category), Some(components)) = (name, language, category, components) else {
        return Err(Problem::internal("input that was checked is gone"));
    };
    let (tenant, number, account) = of_call(&call).await?;
    let company = tenant.company;
    let (components, header) = call
        .kernel
        .db
        .read(tenant.view(), move |reader| {
            let header = header::shown(reader, company, &components)?;
            Ok((components.clone(), header))
        })
        .await?;
    let mut new = json!({"name": name, "language": language, "category": category, "components": components});
    if let Some((place, file)) = header {
        let handle = cloud.show(&call.kernel, &number, &file).await?;
        let component = &mut new["components"][place];
        component["example"] = json!({"header_handle": [handle]});
        if let Some(members) = component.as_object_mut() {
            members.remove("file");
        }
    }
    let told = cloud.create_template(&call.kernel, &number, new).await?;
    let kernel = call.kernel.clone();
    call.commit(tenant.view(), move |tx| {
        let template = store::keep(tx, &kernel, &tenant, &account, &told)?;
        store::record(tx, &kernel, &tenant, &template, "create")?;
        Reply::json(201, &row(&template))
    })
    .await
}

async fn destroy(call: Call, cloud: Arc<Cloud>) -> Result<Reply> {
    let id = call.uuid("template_id")?;
    let (tenant, number, account) = match of_call(&call).await {
        Ok(found) => found,
        Err(problem) => return Err(problem),
    };
    let (company, named) = (tenant.company, account.clone());
    let found = call.kernel.db.read(tenant.view(), move |reader| store::get(reader, company, &named, id)).await;
    let template = match found {
        Ok(template) => template,
        // A repeat of a call that was carried out has its first answer.
        Err(problem) => return call.first_answer(problem).await,
    };
    cloud.delete_template(&call.kernel, &number, &template).await?;
    let kernel = call.kernel.clone();
    call.commit(tenant.view(), move |tx| {
        store::record(tx, &kernel, &tenant, &template, "delete")?;
        store::forget(tx, &kernel, &tenant, &template)?;
        Ok(Reply::no_content())
    })
    .await
}
