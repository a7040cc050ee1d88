//! Who may do what, said in full: `/roles/matrix/` for those who manage roles, `/permissions/mine/` for everybody.

use std::sync::Arc;

use loopd_kernel::{Kernel, Need, PermissionSet, Tenant, role};
use loopd_types::{Problem, Result};
use loopd_web::{Access, Call, Operation, Param, Reply, Schema as _, schema};
use serde_json::{Value, json};

use super::members::ROLES;

/// The kernel's own permissions, as its operations ask for them, and the two operations that show them.
pub fn operations(others: &[Operation]) -> Vec<Operation> {
    let mut core: Vec<String> = others
        .iter()
        .filter_map(|operation| match &operation.access {
            Access::Tenant { permission, .. } | Access::Union { permission, .. } => Some(permission.to_string()),
            _ => None,
        })
        // Checked in their handlers, because the company is the path's.
        .chain(["update", "delete", "action:transfer-ownership"].map(|verb| format!("core.companies.{verb}")))
        .filter(|permission| permission.starts_with("core."))
        .collect();
    core.push(ROLES.permission("view"));
    core.sort();
    core.dedup();
    let core: Arc<[String]> = core.into();
    vec![matrix(core.clone()), mine(core)]
}

/// Every permission of the kernel and of the installed products, in the order in which they are shown.
fn all(kernel: &Kernel, core: &[String]) -> Vec<String> {
    let products = kernel.catalogue.products().iter().flat_map(|product| {
        let verbs = ["view", "create", "update", "delete"];
        let plain = product
            .resources
            .iter()
            .flat_map(move |resource| verbs.map(|verb| format!("{}.{resource}.{verb}", product.slug)));
        let actions = product.actions.iter().filter_map(|action| {
            let (resource, name) = action.split_once('.')?;
            Some(format!("{}.{resource}.action:{name}", product.slug))
        });
        plain.chain(actions)
    });
    core.iter().cloned().chain(products).collect()
}

fn matrix(core: Arc<[String]>) -> Operation {
    let role = schema::object([
        ("slug", schema::string()),
        ("name", schema::string()),
        ("is_system", schema::boolean()),
        ("members", schema::integer()),
        ("workspace_members", schema::integer()),
        ("grantable", schema::boolean()),
    ])
    .required(["slug", "name", "is_system", "members", "workspace_members", "grantable"]);
    let row = schema::object([("permission", schema::string()), ("roles", schema::array(schema::string()))])
        .required(["permission", "roles"]);
    let answer = schema::object([("roles", schema::array(role)), ("permissions", schema::array(row))])
        .required(["roles", "permissions"]);
    let operation = Operation::get("roles_matrix", "/api/v1/roles/matrix/", move |call: Call| {
        let core = core.clone();
        async move {
            let tenant = call.tenant()?.clone();
            let company = tenant.company;
            let roles =
                call.kernel.db.read_long(tenant.view(), move |reader| Ok(role::summaries(reader, company)?)).await?;
            let heads: Vec<Value> = roles.iter().map(|role| head(role, &tenant)).collect();
            let rows: Vec<Value> = all(&call.kernel, &core)
                .into_iter()
                .map(|permission| {
                    let may = roles.iter().filter(|role| role.permissions.allows(&permission));
                    json!({"permission": permission, "roles": may.map(|role| role.slug.as_str()).collect::<Vec<_>>()})
                })
                .collect();
            Reply::json(200, &json!({"roles": heads, "permissions": rows}))
        }
    });
    ROLES
        .document(operation, "Which role allows what")
        .describe(
            "Every role of the company against every permission. `grantable` says whether you may give the role: only one that allows \
             nothing beyond what you may do yourself.",
        )
        .tenant(None, &ROLES.permission("view"))
        .responds(200, "Roles and permissions.", answer)
}

fn head(role: &role::Summary, tenant: &Tenant) -> Value {
    json!({
        "slug": role.slug,
        "name": role.name,
        "is_system": role.is_system,
        "members": role.members,
        "workspace_members": role.workspace_members,
        "grantable": tenant.holds(&role.permissions),
    })
}

fn mine(core: Arc<[String]>) -> Operation {
    let row = schema::object([
        ("permission", schema::string()),
        ("allowed", schema::boolean()),
        ("because", schema::one_of(["role", "workspace_role", "superuser", "not_given", "denied", "key"])),
    ])
    .required(["permission", "allowed", "because"]);
    let answer = schema::object([
        ("company", schema::string()),
        ("workspace", schema::uuid().nullable()),
        ("role", schema::string()),
        ("permissions", schema::array(row)),
    ])
    .required(["company", "workspace", "role", "permissions"]);
    let operation = Operation::get("permissions_mine", "/api/v1/permissions/mine/", move |call: Call| {
        let core = core.clone();
        async move { my_permissions(&call, &core).await }
    });
    operation
        .tag("roles")
        .summary("What may I do?")
        .describe(
            "In the company of `X-Company-ID`, and in the workspace of `X-Workspace-ID` when it is named. `because` says what decides: \
             the role in the company, the further role in the workspace, or the key that is used.",
        )
        .authenticated()
        .param(Param::header("X-Company-ID", schema::string()).describe("The company; not needed by who has only one."))
        .param(Param::header("X-Workspace-ID", schema::uuid()).describe("A workspace of it."))
        .param(Param::query("permission", schema::string()).describe("Only this one."))
        .responds(200, "Every permission, allowed or not.", answer)
}

async fn my_permissions(call: &Call, core: &[String]) -> Result<Reply> {
    let need = Need {
        company: call.header("x-company-id"),
        workspace: call.header("x-workspace-id"),
        allow_suspended: true,
        ..Need::default()
    };
    let tenant = call.kernel.enter(&call.caller, need).await?;
    let asked = match call.query().get("permission") {
        None => all(&call.kernel, core),
        // Any well-formed one may be asked for, also of a module that is not installed.
        Some(one) if PermissionSet::parse([one]).is_ok() && !one.starts_with('!') && !one.contains('*') => {
            vec![one.to_owned()]
        }
        Some(_) => {
            return Err(Problem::field("permission", "invalid", "A permission is <module>.<resource>.<verb>."));
        }
    };
    let rows: Vec<Value> = asked
        .into_iter()
        .map(|permission| {
            let because = tenant.because(&permission);
            json!({"permission": permission, "allowed": tenant.may(&permission), "because": because.as_str()})
        })
        .collect();
    Reply::json(
        200,
        &json!({
            "company": tenant.code(),
            "workspace": tenant.workspace.map(|id| id.to_string()),
            "role": tenant.role(),
            "permissions": rows,
        }),
    )
}
