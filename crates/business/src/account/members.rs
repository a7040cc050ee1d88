//! `/memberships/`, `/roles/` and `/permissions/`.

use loopd_kernel::membership;
use loopd_types::Result;
use loopd_web::{Call, Operation, Reply, Schema as _, schema};
use serde_json::{Value, json};

use loopd_web::rows::{Rows, handled, nothing, settled, system_view};

pub(super) const MEMBERSHIPS: Rows = Rows::core("memberships", "Membership", &membership::LISTING);
pub(super) const ROLES: Rows = Rows::core("roles", "Role", &membership::ROLES);

pub fn operations() -> Vec<Operation> {
    let mut all = membership_operations();
    all.extend(role_operations());
    all.push(permissions());
    all
}

fn membership_operations() -> Vec<Operation> {
    let op = |operation: Operation, verb: &str, summary: &str| {
        MEMBERSHIPS.document(operation, summary).tenant(None, &MEMBERSHIPS.permission(verb))
    };
    let url = MEMBERSHIPS.item_url();
    let new = schema::object([
        ("email", schema::email()),
        ("user", schema::uuid()),
        ("role", schema::text(1, 80)),
        ("title", schema::text(0, 200)),
    ])
    .required(["role"]);
    let changes = || {
        schema::object([
            ("role", schema::text(1, 80)),
            ("title", schema::text(0, 200)),
            ("all_workspaces", schema::boolean()),
        ])
    };
    // Adding a member to a workspace limits them to the workspaces they were added to; this is the way back.
    const REACH: &str = "`all_workspaces: true` lets the member work in every workspace again, `false` limits them to those they were \
         added to. Owners always work in every workspace. A member who may do more than you is refused with 403.";
    let act = |name: &'static str, summary: &str| {
        let document =
            MEMBERSHIPS.action_document(name, summary).tenant(None, &MEMBERSHIPS.permission(&format!("action:{name}")));
        // Keys of who goes may have been made in another company.
        settled(MEMBERSHIPS.write_item_in(system_view, document, move |tx, kernel, tenant, id, _| {
            membership::act(tx, kernel, tenant, id, name)
        }))
    };
    // Everybody may leave; the rule itself checks that it is their own membership.
    let leave = act("leave", "Leave the company").tenant(None, "core.memberships.view");
    vec![
        MEMBERSHIPS.list_of_companies(),
        MEMBERSHIPS.retrieve_in_companies(),
        MEMBERSHIPS.write(
            op(
                Operation::post("memberships_create", MEMBERSHIPS.url(), nothing),
                "create",
                "Make a person with an account a member",
            )
            .describe(
                "Name the account by `user`, or by an `email` whose owner has proved it. An address that nobody has proved yet is \
                 refused with 400 `not_verified`: whoever registered with it first need not be whose it is. Invite them instead \
                 (`/invitations/`).",
            )
            .body(new),
            201,
            membership::create,
        ),
        settled(
            MEMBERSHIPS.write_item(
                op(Operation::put("memberships_update", &url, nothing), "update", "Replace role and title")
                    .describe(REACH)
                    .body(changes().required(["role"])),
                |tx, kernel, tenant, id, body| membership::update(tx, kernel, tenant, id, body, false),
            ),
        ),
        settled(
            MEMBERSHIPS.write_item(
                op(
                    Operation::patch("memberships_partial_update", &url, nothing),
                    "update",
                    "Change role, title or reach",
                )
                .describe(REACH)
                .body(changes()),
                |tx, kernel, tenant, id, body| membership::update(tx, kernel, tenant, id, body, true),
            ),
        ),
        settled(
            MEMBERSHIPS
                .action("change-role", "Give another role", |tx, kernel, tenant, id, body| {
                    membership::update(tx, kernel, tenant, id, body, true)
                })
                .body(schema::object([("role", schema::text(1, 80))]).required(["role"])),
        ),
        act("suspend", "Shut a member out for a time"),
        act("reactivate", "Let a suspended member in again"),
        act("remove", "End a membership"),
        leave,
    ]
}

fn role_operations() -> Vec<Operation> {
    let op = |operation: Operation, verb: &str, summary: &str| {
        ROLES.document(operation, summary).tenant(None, &ROLES.permission(verb))
    };
    let url = ROLES.item_url();
    let body = || {
        schema::object([
            ("name", schema::text(1, 120)),
            ("slug", schema::pattern("^[a-z0-9-]{1,80}$")),
            ("description", schema::text(0, 500)),
            ("permissions", schema::array(schema::string())),
        ])
    };
    let changes = || {
        let mut changes = body();
        if let Some(fields) = changes["properties"].as_object_mut() {
            fields.remove("slug");
        }
        changes
    };
    vec![
        ROLES.list_of_companies(),
        ROLES.retrieve_in_companies(),
        ROLES.write(
            op(Operation::post("roles_create", ROLES.url(), nothing), "create", "Make a role of the company's own")
                .body(body().required(["name", "permissions"])),
            201,
            |tx, kernel, tenant, body| membership::save_role(tx, kernel, tenant, None, body, false),
        ),
        settled(
            ROLES.write_item(
                op(Operation::put("roles_update", &url, nothing), "update", "Replace a role")
                    .body(changes().required(["name", "permissions"])),
                |tx, kernel, tenant, id, body| {
                    membership::save_role(tx, kernel, tenant, Some(id), body, false).map(drop)
                },
            ),
        ),
        settled(ROLES.write_item(
            op(Operation::patch("roles_partial_update", &url, nothing), "update", "Change a role").body(changes()),
            |tx, kernel, tenant, id, body| membership::save_role(tx, kernel, tenant, Some(id), body, true).map(drop),
        )),
        handled(
            op(Operation::delete("roles_destroy", &url, nothing), "delete", "Delete a role that nobody holds")
                .responds_empty(204, "Deleted."),
            |call: Call| async move {
                let (kernel, tenant, id) = (call.kernel.clone(), call.tenant()?.clone(), call.id()?);
                call.commit(tenant.view(), move |tx| {
                    membership::delete_role(tx, &kernel, &tenant, id)?;
                    Ok(Reply::no_content())
                })
                .await
            },
        ),
        handled(
            op(
                Operation::post("roles_clone", format!("{url}clone/"), nothing),
                "action:clone",
                "Copy a role to change the copy",
            )
            .body(
                schema::object([("name", schema::text(1, 120)), ("slug", schema::pattern("^[a-z0-9-]{1,80}$"))])
                    .required(["name"]),
            )
            .responds(201, "The copy.", ROLES.row()),
            clone_role,
        ),
    ]
}

async fn clone_role(call: Call) -> Result<Reply> {
    let (kernel, tenant, id) = (call.kernel.clone(), call.tenant()?.clone(), call.id()?);
    let wanted = call.json_object()?.clone();
    call.commit(tenant.view(), move |tx| {
        let patterns = membership::role_patterns(tx, &tenant, id)?;
        let mut body = wanted.clone();
        body.insert("permissions".to_owned(), json!(patterns));
        let copy = membership::save_role(tx, &kernel, &tenant, None, Value::Object(body), false)?;
        let row =
            membership::ROLES.find(tx, copy, Some(&[tenant.company]), loopd_kernel::listing::Conditions::default())?;
        Ok(Reply::json_bytes(201, row.unwrap_or_default()))
    })
    .await
}

/// `GET /permissions/`: what a role of one's own can be made of.
fn permissions() -> Operation {
    let row: Value = schema::object([
        ("permission", schema::string()),
        ("module", schema::string()),
        ("resource", schema::string()),
        ("verb", schema::string()),
    ])
    .required(["permission", "module", "resource", "verb"]);
    Operation::get("permissions_list", "/api/v1/permissions/", |call: Call| async move {
        let mut rows: Vec<Value> = Vec::new();
        for product in call.kernel.catalogue.products() {
            for resource in &product.resources {
                for verb in ["view", "create", "update", "delete"] {
                    rows.push(permission(&product.slug, resource, verb));
                }
            }
            for action in &product.actions {
                if let Some((resource, name)) = action.split_once('.') {
                    rows.push(permission(&product.slug, resource, &format!("action:{name}")));
                }
            }
        }
        Reply::json(200, &json!({"count": rows.len(), "next": null, "previous": null, "results": rows}))
    })
    .tag("roles")
    .summary("List every permission of the installed products")
    .authenticated()
    .responds(200, "All of them.", schema::paginated(row))
}

fn permission(module: &str, resource: &str, verb: &str) -> Value {
    json!({"permission": format!("{module}.{resource}.{verb}"), "module": module, "resource": resource, "verb": verb})
}
