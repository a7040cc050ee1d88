//! `/v0/whoami`, `/v0/platform/identities…` and their alias `/v0/platform/projects…`.

use loopd_store::View;
use loopd_types::{Problem, Result, Uuid};
use loopd_web::{Call, Operation, Reply, Schema as _, schema};
use serde_json::{Value as Json, json};

use super::store::{self, Project};
use super::{DOOR, PLATFORM, PROJECT, wire};
use loopd_web::cursor::{self as page, Page};

use crate::did;

const LIMIT: i64 = 50;
const LIMIT_MOST: i64 = 100;
/// Rows that `whoami` shows a platform key.
const WHOAMI_ROWS: i64 = 100;

pub fn operations() -> Vec<Operation> {
    let whoami_of_platform = schema::object([
        ("user", schema::free_object().nullable()),
        ("org", schema::object([("id", schema::string()), ("name", schema::string())])),
        ("apiKeyPrefix", schema::string()),
        ("identities", schema::array(wire::row_schema())),
    ]);
    let mut all = vec![
        Operation::get("loomal_whoami", "/v0/whoami", whoami)
            .tag("loomal")
            .summary("Who this key is")
            .describe("A project's key reads its project; a platform key its company and the newest of its projects.")
            .keyed(&DOOR, &[PROJECT, PLATFORM], None)
            .tool("identity.whoami")
            .responds(200, "Who you are.", json!({"anyOf": [wire::whoami_schema(), whoami_of_platform]})),
    ];
    // Clients say identities; the product's present pages say projects.
    for (name, word) in [("identities", "identity"), ("projects", "project")] {
        all.extend(platform(name, word));
    }
    all
}

fn platform(name: &str, word: &str) -> Vec<Operation> {
    let base = format!("/v0/platform/{name}");
    let one = format!("{base}/{{id}}");
    let op = |operation: Operation, summary: &str| {
        let operation = operation.tag("loomal platform").summary(summary).keyed(&DOOR, &[PLATFORM], None);
        match operation.path.contains("{id}") {
            true => operation.param(loopd_web::Param::path("id", schema::string().example("id-b103b0e752d24018"))),
            false => operation,
        }
    };
    let listed = schema::object([
        ("identities", schema::array(wire::row_schema())),
        ("count", schema::integer()),
        ("nextPageToken", schema::string()),
    ])
    .required(["identities", "count"]);
    let rotated = schema::object([
        ("identityId", schema::string()),
        ("rawKey", schema::string()),
        ("apiKeyPrefix", schema::string()),
        ("message", schema::string()),
    ])
    .required(["identityId", "rawKey", "apiKeyPrefix", "message"]);
    let id = |what: &str| format!("loomal_{word}_{what}");
    let all = vec![
        op(Operation::post(id("create"), &base, create), "Make a project; its key is shown this once")
            .optional_body(wire::new_schema())
            .responds(201, "The project with its key.", wire::made_schema()),
        op(Operation::get(id("list"), &base, list), "List projects, newest first")
            .params(page::params(LIMIT, LIMIT_MOST))
            .responds(200, "One page.", listed),
        op(Operation::get(id("retrieve"), &one, retrieve), "Read a project").responds(
            200,
            "The project.",
            wire::one_schema(),
        ),
        op(Operation::patch(id("update"), &one, update), "Rename a project, give and take scopes")
            .body(wire::change_schema())
            .responds(200, "The project as it is now.", wire::one_schema()),
        op(
            Operation::post(id("rotate_key"), format!("{one}/rotate-key"), rotate),
            "Make a new key; the old one is dead at once",
        )
        .responds(200, "The new key, this once.", rotated),
        op(Operation::delete(id("delete"), &one, delete), "Delete a project; its key is dead at once")
            .responds_empty(204, "Deleted."),
    ];
    if name != "identities" {
        return all;
    }
    // The names that the hosted tools have.
    let names = ["create", "list", "get", "update", "rotate_key", "delete"];
    all.into_iter().zip(names).map(|(operation, name)| operation.tool(format!("identities.{name}"))).collect()
}

/// The project whose key this is.
///
/// # Errors
/// 404 when it was deleted meanwhile; 503 from the database.
pub async fn own(call: &Call) -> Result<Project> {
    let (company, id) = (call.tenant()?.company, own_id(call)?);
    call.kernel.db.read(View::Company(company), move |reader| store::get(reader, company, id)).await
}

/// The id of the project whose key this is.
pub fn own_id(call: &Call) -> Result<Uuid> {
    let subject = call.caller.key().and_then(|key| key.subject.as_deref());
    subject
        .and_then(|text| Uuid::parse_str(text).ok())
        .ok_or_else(|| Problem::internal("a project's key names no project"))
}

async fn whoami(call: Call) -> Result<Reply> {
    let tenant = call.tenant()?.clone();
    let key = call.caller.key().cloned().ok_or_else(Problem::not_authenticated)?;
    if key.kind == PROJECT.slug {
        let project = own(&call).await?;
        return Reply::json(200, &wire::whoami(&project, &did::of_project(&call.base_url(), &project.public_id)));
    }
    let (company, code, name) = (tenant.company, tenant.code().to_owned(), tenant.company_name().to_owned());
    let id = key.id;
    let found = call
        .kernel
        .db
        .read(View::System, move |reader| {
            let maker = store::maker_of_key(reader, id)?;
            let projects = store::list(reader, company, &Page { limit: WHOAMI_ROWS - 1, after: None })?;
            Ok((maker, projects))
        })
        .await?;
    let (maker, projects) = found;
    let (prefix, user) = maker.ok_or_else(Problem::not_found)?;
    let rows: Vec<Json> = projects.iter().map(wire::row).collect();
    Reply::json(
        200,
        &json!({"user": user, "org": {"id": code, "name": name}, "apiKeyPrefix": prefix, "identities": rows}),
    )
}

async fn create(call: Call) -> Result<Reply> {
    let new = wire::read_new(call.json_object()?)?;
    let (kernel, tenant) = (call.kernel.clone(), call.tenant()?.clone());
    let view = tenant.view();
    call.commit(view, move |tx| {
        let made = store::create(tx, &kernel, &tenant, &new)?;
        Reply::json(201, &wire::made(&made))
    })
    .await
}

async fn list(call: Call) -> Result<Reply> {
    let page = Page::read(call.query(), LIMIT, LIMIT_MOST)?;
    let company = call.tenant()?.company;
    let mut rows =
        call.kernel.db.read(View::Company(company), move |reader| store::list(reader, company, &page)).await?;
    let mut out = json!({});
    let more = rows.len() as i64 > page.limit;
    rows.truncate(page.limit as usize);
    out["identities"] = rows.iter().map(wire::row).collect();
    out["count"] = json!(rows.len());
    if let (true, Some(last)) = (more, rows.last()) {
        out["nextPageToken"] = json!(page::token(last.created_at, last.id));
    }
    Reply::json(200, &out)
}

async fn retrieve(call: Call) -> Result<Reply> {
    let (company, id) = (call.tenant()?.company, call.param("id").to_owned());
    let found = call.kernel.db.read(View::Company(company), move |reader| store::find(reader, company, &id)).await?;
    Reply::json(200, &wire::one(&found))
}

async fn update(call: Call) -> Result<Reply> {
    let change = wire::read_change(call.json_object()?)?;
    let (kernel, tenant, id) = (call.kernel.clone(), call.tenant()?.clone(), call.param("id").to_owned());
    let takes = !change.remove.is_empty();
    let view = tenant.view();
    let reply = call
        .commit(view, move |tx| {
            let changed = store::change(tx, &kernel, &tenant, &id, &change)?;
            Reply::json(200, &wire::one(&changed))
        })
        .await?;
    if takes {
        call.kernel.settle_revocation().await;
    }
    Ok(reply)
}

async fn rotate(call: Call) -> Result<Reply> {
    let (kernel, tenant, id) = (call.kernel.clone(), call.tenant()?.clone(), call.param("id").to_owned());
    let view = tenant.view();
    let reply = call
        .commit(view, move |tx| {
            let made = store::rotate(tx, &kernel, &tenant, &id)?;
            Reply::json(200, &wire::rotated(&made))
        })
        .await?;
    call.kernel.settle_revocation().await;
    Ok(reply)
}

async fn delete(call: Call) -> Result<Reply> {
    let (kernel, tenant, id) = (call.kernel.clone(), call.tenant()?.clone(), call.param("id").to_owned());
    let view = tenant.view();
    let reply = call
        .commit(view, move |tx| {
            store::delete(tx, &kernel, &tenant, &id)?;
            Ok(Reply::no_content())
        })
        .await?;
    call.kernel.settle_revocation().await;
    Ok(reply)
}
