//! `/api-client-apps/` and `/internal-api-keys/`.

use loopd_kernel::listing::Conditions;
use loopd_kernel::{app, credential};
use loopd_store::{Value as Sql, View};
use loopd_types::{Problem, Result};
use loopd_web::{Call, Operation, Reply, Schema as _, schema};

use loopd_web::rows::{Rows, handled, list, list_params, nothing, settled};

pub(super) const APPS: Rows = Rows::core("api-client-apps", "ApiClientApp", &app::LISTING);
pub(super) const KEYS: Rows = Rows::core("internal-api-keys", "InternalApiKey", &credential::LISTING);

pub fn operations() -> Vec<Operation> {
    let mut all = app_operations();
    all.extend(key_operations());
    all
}

fn app_operations() -> Vec<Operation> {
    let op = |operation: Operation, verb: &str, summary: &str| {
        APPS.document(operation, summary).tenant(None, &APPS.permission(verb))
    };
    let url = APPS.item_url();
    let changes = || {
        schema::object([
            ("name", schema::text(1, 200)),
            ("kind", schema::one_of(app::KINDS)),
            ("allowed_origins", schema::array(schema::string())),
            ("redirect_uris", schema::array(schema::string())),
            ("products", schema::array(schema::string())),
        ])
    };
    let mut new = changes();
    new["properties"]["app_id"] = schema::pattern("^[a-z0-9._-]{1,80}$");
    vec![
        APPS.document(
            Operation::get("api_client_apps_list", APPS.url(), list_apps),
            "List first-party apps and the company's own",
        )
        .tenant(None, &APPS.permission("view"))
        .params(list_params(&app::LISTING))
        .responds(200, "One page.", schema::paginated(APPS.row())),
        op(Operation::get("api_client_apps_retrieve", &url, retrieve_app), "view", "Read an app").responds(
            200,
            "The app.",
            APPS.row(),
        ),
        APPS.write(
            op(Operation::post("api_client_apps_create", APPS.url(), nothing), "create", "Register an app")
                .body(new.required(["app_id", "name"])),
            201,
            |tx, kernel, tenant, body| app::save(tx, kernel, tenant, None, body, false),
        ),
        APPS.write_item(
            op(Operation::put("api_client_apps_update", &url, nothing), "update", "Replace an app")
                .body(changes().required(["name"])),
            |tx, kernel, tenant, id, body| app::save(tx, kernel, tenant, Some(id), body, false).map(drop),
        ),
        APPS.write_item(
            op(Operation::patch("api_client_apps_partial_update", &url, nothing), "update", "Change an app")
                .body(changes()),
            |tx, kernel, tenant, id, body| app::save(tx, kernel, tenant, Some(id), body, true).map(drop),
        ),
        handled(
            op(Operation::delete("api_client_apps_destroy", &url, nothing), "delete", "Delete an app")
                .responds_empty(204, "Deleted."),
            |call: Call| async move {
                let (kernel, tenant, id) = (call.kernel.clone(), call.tenant()?.clone(), call.id()?);
                call.commit(tenant.view(), move |tx| {
                    app::delete(tx, &kernel, &tenant, id)?;
                    Ok(Reply::no_content())
                })
                .await
            },
        ),
        APPS.action("enable", "Switch an app on", |tx, kernel, tenant, id, _| {
            app::set_enabled(tx, kernel, tenant, id, true)
        }),
        settled(APPS.action(
            "disable",
            "Switch an app off; counts at the next request",
            |tx, kernel, tenant, id, _| app::set_enabled(tx, kernel, tenant, id, false),
        )),
    ]
}

/// The company's own apps and the installation's first-party ones, which belong to no company and so need the system's view.
fn visible(company: loopd_types::CompanyId) -> Conditions {
    Conditions::default().and("(a.company_id = {} OR a.company_id IS NULL)", [Sql::from(company)])
}

async fn list_apps(call: Call) -> Result<Reply> {
    let company = call.tenant()?.company;
    list(&call, View::System, move |reader, query| app::LISTING.list(reader, query, None, visible(company))).await
}

async fn retrieve_app(call: Call) -> Result<Reply> {
    let (company, id) = (call.tenant()?.company, call.id()?);
    let found =
        call.kernel.db.read(View::System, move |reader| app::LISTING.find(reader, id, None, visible(company))).await?;
    Ok(Reply::json_bytes(200, found.ok_or_else(Problem::not_found)?))
}

fn key_operations() -> Vec<Operation> {
    let op = |operation: Operation, verb: &str, summary: &str| {
        let operation = KEYS.document(operation, summary).tenant(None, &KEYS.permission(verb));
        // An operator in somebody's name may stop a key that leaked, and make none.
        if verb == "delete" || verb == "action:revoke" { operation } else { operation.personal() }
    };
    let url = KEYS.item_url();
    let body = || {
        schema::object([
            ("name", schema::text(1, 120)),
            ("scopes", schema::array(schema::string())),
            ("expires_at", schema::date_time().nullable()),
            ("allowed_networks", schema::array(schema::string()).nullable()),
            ("workspaces", schema::array(schema::uuid()).nullable()),
            ("rate_limit_per_minute", schema::integer_between(1, 100_000).nullable()),
        ])
    };
    vec![
        KEYS.list_of_companies(),
        KEYS.retrieve_in_companies(),
        handled(
            op(
                Operation::post("internal_api_keys_create", KEYS.url(), nothing),
                "create",
                "Make a key; its secret is shown this once",
            )
            .describe(
                "The key acts as you, in this company, within its scopes (permission patterns; `*` unless given), from `allowed_networks` \
                 (CIDR), in `workspaces` and `rate_limit_per_minute` times a minute, where those are given.",
            )
            .body(body().required(["name"]))
            .responds(201, "The key with its secret in `key`.", KEYS.schema_with_key()),
            |call: Call| async move {
                let (kernel, tenant, body) = (call.kernel.clone(), call.tenant()?.clone(), call.json()?);
                call.commit(tenant.view(), move |tx| {
                    let minted = credential::create(tx, &kernel, &tenant, body.clone())?;
                    KEYS.answer_with_key(tx, minted.id, tenant.company, &minted.secret)
                })
                .await
            },
        ),
        settled(
            KEYS.write_item(
                op(
                    Operation::put("internal_api_keys_update", &url, nothing),
                    "update",
                    "Replace name, scopes and expiry",
                )
                .body(body().required(["name"])),
                |tx, kernel, tenant, id, body| credential::update(tx, kernel, tenant, id, body, false),
            ),
        ),
        settled(
            KEYS.write_item(
                op(
                    Operation::patch("internal_api_keys_partial_update", &url, nothing),
                    "update",
                    "Change name, scopes or expiry",
                )
                .body(body()),
                |tx, kernel, tenant, id, body| credential::update(tx, kernel, tenant, id, body, true),
            ),
        ),
        handled(
            op(Operation::delete("internal_api_keys_destroy", &url, nothing), "delete", "Revoke a key")
                .responds_empty(204, "Revoked."),
            |call: Call| async move {
                let (kernel, tenant, id) = (call.kernel.clone(), call.tenant()?.clone(), call.id()?);
                let settle = kernel.clone();
                let reply = call
                    .commit(tenant.view(), move |tx| {
                        credential::revoke(tx, &kernel, &tenant, id)?;
                        Ok(Reply::no_content())
                    })
                    .await?;
                settle.settle_revocation().await;
                Ok(reply)
            },
        ),
        handled(
            KEYS.action("revoke", "Revoke a key; the next request with it is refused", |tx, kernel, tenant, id, _| {
                credential::revoke(tx, kernel, tenant, id)
            }),
            |call: Call| async move {
                let (kernel, tenant, id) = (call.kernel.clone(), call.tenant()?.clone(), call.id()?);
                let settle = kernel.clone();
                let reply = call
                    .commit(tenant.view(), move |tx| {
                        credential::revoke(tx, &kernel, &tenant, id)?;
                        let row = credential::LISTING.find(tx, id, Some(&[tenant.company]), Conditions::default())?;
                        Ok(Reply::json_bytes(200, row.ok_or_else(Problem::not_found)?))
                    })
                    .await?;
                settle.settle_revocation().await;
                Ok(reply)
            },
        ),
        KEYS.rotation(KEYS.permission("action:rotate"), credential::rotate),
    ]
}
