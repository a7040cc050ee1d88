//! `/users/`: the installation's accounts, for superusers; every look is on record, as is every account switched off or on.

use loopd_kernel::account::{self, impersonation, impersonation::Request};
use loopd_kernel::listing::Conditions;
use loopd_kernel::{Actor, Kernel, audit, two_factor};
use loopd_store::{Tx, View};
use loopd_types::{Problem, Result, Uuid};
use loopd_web::{Call, Operation, Reply, Schema as _, schema};
use serde_json::json;

use loopd_web::rows::{Rows, list, list_params, settled};

pub(super) const USERS: Rows = Rows::core("users", "User", &account::LISTING);

type Switch = fn(&mut Tx<'_>, &Kernel, &Actor, Uuid) -> Result<()>;

pub fn operations() -> Vec<Operation> {
    let op = |operation: Operation, summary: &str| USERS.document(operation, summary).superuser();
    let url = USERS.item_url();
    let row = USERS.row();
    vec![
        op(Operation::get("users_list", USERS.url(), list_users), "List all accounts (superusers)")
            .params(list_params(&account::LISTING))
            .responds(200, "One page.", schema::paginated(row.clone())),
        op(Operation::get("users_retrieve", &url, retrieve), "Read one of the accounts (superusers)").responds(
            200,
            "The account.",
            row.clone(),
        ),
        settled(op(
            Operation::post("users_deactivate", format!("{url}deactivate/"), |call| switch(call, account::deactivate)),
            "Switch an account off (superusers)",
        ))
        .describe(
            "All its sessions end and its internal keys are revoked: the next request with any of them is refused. \
             409 `own_account` for your own, `last_superuser` when nobody could undo it.",
        )
        .responds(200, "As it is now.", row.clone()),
        op(
            Operation::post("users_activate", format!("{url}activate/"), |call| switch(call, account::activate)),
            "Let a deactivated person sign in again (superusers)",
        )
        .describe("Ended sessions and revoked keys stay so.")
        .responds(200, "As it is now.", row.clone()),
        op(
            Operation::post("users_impersonate", format!("{url}impersonate/"), impersonate),
            "Act in a person's name (superusers)",
        )
        .describe(
            "For help: a token with the person's rights, less `withhold`, for `minutes` (30 unless given, 60 at most) and without renewal. \
             `/auth/me/`, the header `X-LOOP-Impersonated-By` of every answer, the audit log and an event in each of their companies say \
             so. Credentials, factors, password and profile stay closed. Never for superusers, staff or yourself.",
        )
        .body(
            schema::object([
                ("reason", schema::text(8, 500)),
                ("minutes", schema::integer_between(1, 60)),
                ("withhold", schema::array(schema::string())),
            ])
            .required(["reason"]),
        )
        .responds(
            201,
            "The token.",
            schema::object([
                ("session", schema::uuid()),
                ("access", schema::string()),
                ("token_type", schema::constant("Bearer")),
                ("expires_in", schema::integer()),
                ("expires_at", schema::date_time()),
            ])
            .required(["session", "access", "token_type", "expires_in", "expires_at"]),
        ),
        settled(op(
            Operation::post("users_end_impersonation", format!("{url}end-impersonation/"), end_impersonation),
            "End every impersonation of a person (superusers)",
        ))
        .responds_empty(204, "Ended; repeating it changes nothing."),
        settled(op(
            Operation::post("users_reset_two_factor", format!("{url}reset-two-factor/"), |call| {
                switch(call, two_factor::reset)
            }),
            "Take a person's second factors away (superusers)",
        ))
        .describe(
            "For who lost them all; make sure that it is them who asks. Their sessions end. 409 `two_factor_not_enabled`.",
        )
        .responds(200, "As it is now.", row),
    ]
}

async fn list_users(call: Call) -> Result<Reply> {
    audit::record_superuser_list(&call.kernel, &call.caller.actor(), "core.users.view").await?;
    list(&call, View::System, |reader, query| account::LISTING.list(reader, query, None, Conditions::default())).await
}

async fn retrieve(call: Call) -> Result<Reply> {
    let id = call.id()?;
    audit::record_superuser_list(&call.kernel, &call.caller.actor(), "core.users.view").await?;
    let read =
        move |reader: &mut loopd_store::Reader<'_>| account::LISTING.find(reader, id, None, Conditions::default());
    let found = call.kernel.db.read(View::System, read).await?;
    Ok(Reply::json_bytes(200, found.ok_or_else(Problem::not_found)?))
}

async fn impersonate(call: Call) -> Result<Reply> {
    let (kernel, caller, id) = (call.kernel.clone(), call.caller.clone(), call.id()?);
    let request = Request::parse(call.json()?)?;
    call.commit(View::System, move |tx| {
        let begun = impersonation::begin(tx, &kernel, &caller, id, &request)?;
        Reply::json(
            201,
            &json!({
                "session": begun.session.to_string(), "access": begun.access, "token_type": "Bearer", "expires_in": begun.expires_in,
                "expires_at": begun.expires_at,
            }),
        )
    })
    .await
}

async fn end_impersonation(call: Call) -> Result<Reply> {
    let (kernel, caller, id) = (call.kernel.clone(), call.caller.clone(), call.id()?);
    call.commit(View::System, move |tx| {
        impersonation::end_all_of(tx, &kernel, &caller, id)?;
        Ok(Reply::no_content())
    })
    .await
}

async fn switch(call: Call, work: Switch) -> Result<Reply> {
    let (kernel, actor, id) = (call.kernel.clone(), call.caller.actor(), call.id()?);
    call.commit(View::System, move |tx| {
        work(tx, &kernel, &actor, id)?;
        let row = account::LISTING.find(tx, id, None, Conditions::default())?;
        Ok(Reply::json_bytes(200, row.ok_or_else(Problem::not_found)?))
    })
    .await
}
