//! `/users/`: the installation's accounts, for superusers; every look is on record, as is every account switched off or on.

use loopd_kernel::account;
use loopd_kernel::listing::Conditions;
use loopd_kernel::{Actor, Kernel, audit, two_factor};
use loopd_store::{Tx, View};
use loopd_types::{Problem, Result, Uuid};
use loopd_web::{Call, Operation, Reply, schema};

use super::core::{Core, list, list_params, settled};

pub(super) const USERS: Core = Core { path: "users", name: "User", listing: &account::LISTING };

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

async fn switch(call: Call, work: Switch) -> Result<Reply> {
    let (kernel, actor, id) = (call.kernel.clone(), call.caller.actor(), call.id()?);
    call.commit(View::System, move |tx| {
        work(tx, &kernel, &actor, id)?;
        let row = account::LISTING.find(tx, id, None, Conditions::default())?;
        Ok(Reply::json_bytes(200, row.ok_or_else(Problem::not_found)?))
    })
    .await
}
