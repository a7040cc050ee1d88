//! `/developer-profiles/`: people see and keep their own; superusers approve.

use loopd_kernel::listing::Conditions;
use loopd_kernel::{Caller, audit, developer};
use loopd_store::{Tx, Value as Sql, View};
use loopd_types::{Problem, Result, Uuid};
use loopd_web::{Call, Operation, Reply, Schema as _, schema};

use loopd_web::rows::{Rows, list, list_params};

pub(super) const PROFILES: Rows = Rows::core("developer-profiles", "DeveloperProfile", &developer::LISTING);

pub fn operations() -> Vec<Operation> {
    let op = |operation: Operation, summary: &str| PROFILES.document(operation, summary).authenticated();
    let url = PROFILES.item_url();
    let body = || {
        schema::object([
            ("display_name", schema::text(1, 120)),
            ("company_name", schema::text(0, 200)),
            ("website", schema::text(0, 300)),
            ("bio", schema::text(0, 4_000)),
            ("contact_email", schema::text(0, 254)),
            ("accept_terms", schema::boolean()),
        ])
    };
    let row = PROFILES.row();
    vec![
        op(
            Operation::get("developer_profiles_list", PROFILES.url(), list_profiles),
            "List your profile (superusers: all)",
        )
        .params(list_params(&developer::LISTING))
        .responds(200, "One page.", schema::paginated(row.clone())),
        op(Operation::get("developer_profiles_retrieve", &url, retrieve), "Read a profile").responds(
            200,
            "The profile.",
            row.clone(),
        ),
        op(
            Operation::post("developer_profiles_create", PROFILES.url(), |call| save(call, 201, false)),
            "Make your profile",
        )
        .body(body().required(["display_name"]))
        .responds(201, "The profile.", row.clone()),
        op(Operation::put("developer_profiles_update", &url, |call| save(call, 200, false)), "Replace your profile")
            .body(body().required(["display_name"]))
            .responds(200, "As it is now.", row.clone()),
        op(
            Operation::patch("developer_profiles_partial_update", &url, |call| save(call, 200, true)),
            "Change your profile",
        )
        .body(body())
        .responds(200, "As it is now.", row.clone()),
        op(Operation::delete("developer_profiles_destroy", &url, delete), "Delete your profile")
            .responds_empty(204, "Deleted."),
        op(
            Operation::post("developer_profiles_approve", format!("{url}approve/"), |call| decide(call, "approve")),
            "Approve (superusers)",
        )
        .superuser()
        .responds(200, "As it is now.", row.clone()),
        op(
            Operation::post("developer_profiles_reject", format!("{url}reject/"), |call| decide(call, "reject")),
            "Reject (superusers)",
        )
        .superuser()
        .responds(200, "As it is now.", row),
    ]
}

fn visible(caller: &Caller) -> Result<Conditions> {
    let user = caller.require_user()?;
    if caller.is_superuser() {
        return Ok(Conditions::default());
    }
    Ok(Conditions::default().and("d.user_id = {}", [Sql::from(user.id)]))
}

async fn list_profiles(call: Call) -> Result<Reply> {
    let conditions = visible(&call.caller)?;
    if call.caller.is_superuser() {
        let permission = PROFILES.permission("view");
        audit::record_superuser_list(&call.kernel, &call.caller.actor(), &permission).await?;
    }
    list(&call, View::System, move |reader, query| developer::LISTING.list(reader, query, None, conditions.clone()))
        .await
}

async fn retrieve(call: Call) -> Result<Reply> {
    let (conditions, id) = (visible(&call.caller)?, call.id()?);
    let found = call
        .kernel
        .db
        .read(View::System, move |reader| developer::LISTING.find(reader, id, None, conditions.clone()))
        .await?;
    Ok(Reply::json_bytes(200, found.ok_or_else(Problem::not_found)?))
}

async fn save(call: Call, status: u16, partial: bool) -> Result<Reply> {
    call.caller.require_scope(&PROFILES.permission(if status == 201 { "create" } else { "update" }))?;
    let (kernel, caller, body) = (call.kernel.clone(), call.caller.clone(), call.json()?);
    let id = if status == 201 { None } else { Some(call.id()?) };
    call.commit(View::System, move |tx| {
        let id = developer::save(tx, &kernel, &caller, id, body.clone(), partial)?;
        answer(tx, id, status)
    })
    .await
}

async fn delete(call: Call) -> Result<Reply> {
    call.caller.require_scope(&PROFILES.permission("delete"))?;
    let (kernel, caller, id) = (call.kernel.clone(), call.caller.clone(), call.id()?);
    call.commit(View::System, move |tx| {
        developer::delete(tx, &kernel, &caller, id)?;
        Ok(Reply::no_content())
    })
    .await
}

async fn decide(call: Call, action: &'static str) -> Result<Reply> {
    let (kernel, caller, id) = (call.kernel.clone(), call.caller.clone(), call.id()?);
    call.commit(View::System, move |tx| {
        developer::decide(tx, &kernel, &caller, id, action)?;
        answer(tx, id, 200)
    })
    .await
}

fn answer(tx: &mut Tx<'_>, id: Uuid, status: u16) -> Result<Reply> {
    let row = developer::LISTING.find(tx, id, None, Conditions::default())?;
    Ok(Reply::json_bytes(status, row.ok_or_else(Problem::not_found)?))
}
