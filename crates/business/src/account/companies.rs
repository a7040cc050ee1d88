//! `/companies/` and `/workspaces/`.

use std::sync::Arc;

use loopd_kernel::company::{self, NewCompany};
use loopd_kernel::listing::Conditions;
use loopd_kernel::{Need, Tenant, audit, workspace};
use loopd_store::{Value as Sql, View};
use loopd_types::{CompanyId, Kind, Problem, Result, Uuid};
use loopd_web::{Call, Operation, Param, Reply, Schema as _, schema};
use serde_json::Value;

use super::auth::describe;
use super::members::MEMBERSHIPS;
use crate::define::{Module, settings};
use loopd_web::rows::{Rows, handled, list, list_params, nothing, settled};

pub(super) const COMPANIES: Rows = Rows::core("companies", "Company", &company::MINE);
pub(super) const WORKSPACES: Rows = Rows::core("workspaces", "Workspace", &workspace::LISTING);

pub fn operations() -> Vec<Operation> {
    let mut all = company_operations();
    all.extend(workspace_operations());
    all
}

fn company_body() -> Value {
    schema::object([
        ("name", schema::text(1, 200)),
        ("legal_name", schema::text(0, 200)),
        ("tax_id", schema::text(0, 64)),
        ("country", schema::pattern("^[A-Z]{2}$")),
        ("currency", schema::pattern("^[A-Z]{3,4}$")),
        ("timezone", schema::string()),
        ("language", schema::one_of(["en", "fr", "rw", "sw"])),
    ])
}

fn company_changes() -> Value {
    let mut body = company_body();
    body["properties"]["logo"] = schema::text(0, 500);
    body["properties"]["settings"] = schema::free_object();
    body
}

/// Writes into the operations that change a company what each module lets it choose.
pub fn describe_settings(operations: &mut [Operation], modules: &[Module]) {
    let mut settings =
        schema::object([("known_apps_only", schema::boolean()), ("require_two_factor", schema::boolean())]);
    settings["description"] =
        Value::from("Replaced as a whole. Each module has a section; what it declares is checked.");
    for module in modules.iter().filter(|module| !module.settings.is_empty()) {
        settings["properties"][&module.slug] = settings::schema_of(&module.settings);
    }
    let changing =
        operations.iter_mut().filter(|o| ["companies_update", "companies_partial_update"].contains(&o.id.as_str()));
    let bodies = changing.flat_map(|operation| &mut operation.request).map(Arc::make_mut);
    for content in bodies.flat_map(|request| &mut request.content) {
        content.schema["properties"]["settings"] = settings.clone();
    }
}

fn company_operations() -> Vec<Operation> {
    let item = |operation: Operation, summary: &str| {
        COMPANIES
            .document(operation, summary)
            .authenticated()
            .param(Param::path("id", schema::string()).describe("The company's code, or its id."))
    };
    let url = COMPANIES.item_url();
    let action = |name: &'static str, summary: &str| {
        let id = COMPANIES.operation_id(&name.replace('-', "_"));
        item(Operation::post(id, format!("{url}{name}/"), nothing), summary)
    };
    let row = COMPANIES.row();
    vec![
        COMPANIES
            .document(
                Operation::get("companies_list", COMPANIES.url(), list_companies),
                "List the companies you may see",
            )
            .authenticated()
            .params(list_params(&company::MINE))
            .responds(200, "One page.", schema::paginated(row.clone())),
        COMPANIES
            .document(
                Operation::post("companies_create", COMPANIES.url(), create_company),
                "Make a company; you own it",
            )
            .authenticated()
            .personal()
            .body(company_body().required(["name"]))
            .responds(201, "The company.", row.clone()),
        item(Operation::get("companies_retrieve", &url, retrieve_company), "Read a company").responds(
            200,
            "The company.",
            row.clone(),
        ),
        handled(
            item(Operation::put("companies_update", &url, nothing), "Replace a company's words")
                .body(company_changes().required(["name"]))
                .responds(200, "As it is now.", row.clone()),
            |call| {
                change_company(call, "core.companies.update", false, |tx, kernel, tenant, _, body| {
                    company::update(tx, kernel, tenant, body, false)
                })
            },
        ),
        handled(
            item(Operation::patch("companies_partial_update", &url, nothing), "Change some of a company's words")
                .body(company_changes())
                .responds(200, "As it is now.", row.clone()),
            |call| {
                change_company(call, "core.companies.update", false, |tx, kernel, tenant, _, body| {
                    company::update(tx, kernel, tenant, body, true)
                })
            },
        ),
        handled(
            item(Operation::delete("companies_destroy", &url, nothing), "Close a company; nothing is deleted")
                .responds_empty(204, "Closed."),
            |call| async move {
                change_company(call, "core.companies.delete", true, |tx, kernel, tenant, _, _| {
                    company::set_status(tx, kernel, tenant, "close")
                })
                .await?;
                Ok(Reply::no_content())
            },
        ),
        handled(
            action("transfer-ownership", "Make another member the owner")
                .personal()
                .body(schema::object([("membership", schema::uuid())]).required(["membership"]))
                .responds(200, "As it is now.", row.clone()),
            |call| change_company(call, "core.companies.action:transfer-ownership", false, company::transfer_ownership),
        ),
        handled(
            action("suspend", "Stop all work in a company (superusers)").superuser().responds(
                200,
                "As it is now.",
                row.clone(),
            ),
            |call| {
                change_company(call, "core.companies.action:suspend", true, |tx, kernel, tenant, _, _| {
                    company::set_status(tx, kernel, tenant, "suspend")
                })
            },
        ),
        handled(
            action("reactivate", "Open a suspended company again (superusers)").superuser().responds(
                200,
                "As it is now.",
                row,
            ),
            |call| {
                change_company(call, "core.companies.action:reactivate", true, |tx, kernel, tenant, _, _| {
                    company::set_status(tx, kernel, tenant, "reactivate")
                })
            },
        ),
        handled(
            action("switch", "Check that you may work in a company, and how").without_effect().responds(
                200,
                "As `/auth/me/` in that company.",
                schema::free_object(),
            ),
            |call| async move {
                let tenant = enter(&call, None, false).await?;
                Reply::json(200, &describe(&call.kernel, &call.caller, Some(tenant.code()), None).await?)
            },
        ),
    ]
}

/// Superusers see every company, which is on record before they do; others those they are a member of; a key only its own.
async fn list_companies(call: Call) -> Result<Reply> {
    call.caller.require_scope("core.companies.view")?;
    let user = call.caller.require_user()?.id;
    if call.caller.is_superuser() {
        audit::record_superuser_list(&call.kernel, &call.caller.actor(), "core.companies.view").await?;
        return list(&call, View::System, |reader, query| {
            company::ALL.list(reader, query, None, Conditions::default())
        })
        .await;
    }
    let companies: Arc<[CompanyId]> =
        match call.kernel.enter_union(&call.caller, Need { allow_suspended: true, ..Need::default() }).await {
            Ok(tenants) => tenants.iter().map(|tenant| tenant.company).collect(),
            // Member of no company yet: an empty list is the truth here.
            Err(problem) if problem.kind() == Kind::Forbidden => Arc::new([]),
            Err(problem) => return Err(problem),
        };
    let view = View::Companies(companies.clone());
    list(&call, view, move |reader, query| {
        let mine = Conditions::default().and("mm.user_id = {}", [Sql::from(user)]);
        company::MINE.list(reader, query, Some(&companies), mine)
    })
    .await
}

async fn create_company(call: Call) -> Result<Reply> {
    call.caller.require_scope("core.companies.create")?;
    let user = call.caller.require_user()?.id;
    let new = NewCompany::parse(call.json()?)?;
    let (kernel, actor) = (call.kernel.clone(), call.caller.actor());
    call.commit(View::System, move |tx| {
        let made = company::create(tx, &kernel, &new, user, &actor)?;
        row(tx, made.company, Some(user), 201)
    })
    .await
}

fn row(reader: &mut loopd_store::Reader<'_>, company: CompanyId, member: Option<Uuid>, status: u16) -> Result<Reply> {
    Ok(Reply::json_bytes(status, company::row(reader, company, member)?))
}

/// Enters the company of the path, by code or id. Not being let in is "not found": the row of another company is invisible.
async fn enter(call: &Call, permission: Option<&str>, allow_suspended: bool) -> Result<Arc<Tenant>> {
    let text = call.param("id");
    let code = match Uuid::parse_str(text) {
        Ok(id) => {
            let found = call.kernel.db.read(View::System, move |reader| company::find_by_uuid(reader, id)).await?;
            found.ok_or_else(Problem::not_found)?.code().to_string()
        }
        Err(_) => text.to_owned(),
    };
    let need = Need { company: Some(&code), permission, allow_suspended, ..Need::default() };
    call.kernel
        .enter(&call.caller, need)
        .await
        .map_err(|problem| if problem.code() == "company_access_denied" { Problem::not_found() } else { problem })
}

async fn retrieve_company(call: Call) -> Result<Reply> {
    let tenant = enter(&call, Some("core.companies.view"), true).await?;
    let member = member(&call, &tenant);
    let company = tenant.company;
    call.kernel.db.read(tenant.view(), move |reader| row(reader, company, member, 200)).await
}

/// The caller's own membership decides which role the row shows.
fn member(call: &Call, tenant: &Tenant) -> Option<Uuid> {
    let user = call.caller.user()?;
    user.membership(tenant.company).map(|_| user.id)
}

async fn change_company<F>(call: Call, permission: &'static str, allow_suspended: bool, work: F) -> Result<Reply>
where
    F: Fn(&mut loopd_store::Tx<'_>, &loopd_kernel::Kernel, &Tenant, &loopd_kernel::Caller, Value) -> Result<()>
        + Send
        + 'static,
{
    let tenant = enter(&call, Some(permission), allow_suspended).await?;
    let (kernel, caller, body, member) =
        (call.kernel.clone(), call.caller.clone(), call.json()?, member(&call, &tenant));
    let reply = call
        .commit(tenant.view(), move |tx| {
            work(tx, &kernel, &tenant, &caller, body.clone())?;
            row(tx, tenant.company, member, 200)
        })
        .await?;
    call.kernel.settle_revocation().await;
    Ok(reply)
}

fn workspace_operations() -> Vec<Operation> {
    let body = || {
        schema::object([
            ("name", schema::text(1, 200)),
            ("slug", schema::pattern("^[A-Za-z0-9_-]{1,80}$")),
            ("kind", schema::one_of(workspace::KINDS)),
        ])
    };
    let op = |operation: Operation, verb: &str, summary: &str| {
        WORKSPACES.document(operation, summary).tenant(None, &WORKSPACES.permission(verb))
    };
    let url = WORKSPACES.item_url();
    let member = |with_role: bool| {
        let mut fields = vec![("membership", schema::uuid())];
        if with_role {
            fields.push(("role", schema::text(0, 80)));
        }
        schema::object(fields).required(["membership"])
    };
    vec![
        WORKSPACES.list_of_companies(),
        WORKSPACES.retrieve_in_companies(),
        workspace_members(),
        WORKSPACES.write(
            op(Operation::post("workspaces_create", WORKSPACES.url(), nothing), "create", "Make a workspace")
                .body(body().required(["name"])),
            201,
            workspace::create,
        ),
        WORKSPACES.write_item(
            op(Operation::put("workspaces_update", &url, nothing), "update", "Replace a workspace's words")
                .body(body().required(["name"])),
            |tx, kernel, tenant, id, body| workspace::update(tx, kernel, tenant, id, body, false),
        ),
        WORKSPACES.write_item(
            op(
                Operation::patch("workspaces_partial_update", &url, nothing),
                "update",
                "Change some of a workspace's words",
            )
            .body(body()),
            |tx, kernel, tenant, id, body| workspace::update(tx, kernel, tenant, id, body, true),
        ),
        WORKSPACES.action("archive", "Put a workspace away", |tx, kernel, tenant, id, _| {
            workspace::set_status(tx, kernel, tenant, id, "archive")
        }),
        WORKSPACES.action("restore", "Bring a workspace back", |tx, kernel, tenant, id, _| {
            workspace::set_status(tx, kernel, tenant, id, "restore")
        }),
        WORKSPACES
            .action(
                "add-member",
                "Let a member into a workspace, with a further role if one is named",
                |tx, kernel, tenant, id, body| workspace::set_member(tx, kernel, tenant, id, body, true),
            )
            .body(member(true)),
        settled(
            WORKSPACES
                .action("remove-member", "Take a member out of a workspace", |tx, kernel, tenant, id, body| {
                    workspace::set_member(tx, kernel, tenant, id, body, false)
                })
                .body(member(false)),
        ),
    ]
}

/// `GET /workspaces/{id}/members/`: who may work there, and as what.
fn workspace_members() -> Operation {
    let url = format!("{}members/", WORKSPACES.item_url());
    let operation = Operation::get("workspaces_members", url, |call: Call| async move {
        let (tenant, id) = (call.tenant()?.clone(), call.id()?);
        if !tenant.may_use_workspace(id) {
            return Err(Problem::not_found());
        }
        let company = tenant.company;
        list(&call, tenant.view(), move |reader, query| {
            workspace::MEMBERS.list(reader, query, Some(&[company]), workspace::in_workspace(id))
        })
        .await
    });
    WORKSPACES
        .document(operation, "List the members of a workspace")
        .describe(
            "`role` is what a member is in the whole company, `workspace_role` what they are here besides: what either allows is allowed \
             here, but for the company's own affairs (`core.*`), which the role in the company decides alone.",
        )
        .tenant(None, &MEMBERSHIPS.permission("view"))
        .params(list_params(&workspace::MEMBERS))
        .responds(200, "One page.", schema::paginated(loopd_web::rows::row_schema(&workspace::MEMBERS)))
}
