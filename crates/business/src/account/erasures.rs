//! `/auth/erasure/`, `/auth/data-export/`, `/users/{id}/erase/`, `/erasures/`: people who ask to be forgotten, or what is known of them.

use loopd_kernel::erasure::{self, Asked, Through};
use loopd_kernel::input::Input;
use loopd_kernel::listing::Conditions;
use loopd_kernel::{audit, erasure::LISTING};
use loopd_store::{Tx, View};
use loopd_types::{Problem, Result, Uuid};
use loopd_web::{Call, Operation, RateClass, Reply, Schema as _, schema};
use serde_json::{Value, json};

use super::auth::required_text;
use super::two_factor::{proof, proved};
use super::users::USERS;
use loopd_web::rows::{Rows, list, list_params, settled};

pub(super) const ERASURES: Rows = Rows::core("erasures", "Erasure", &LISTING);

/// What an account's erasure may be refused for.
const REFUSALS: &str = "`last_owner`: the members of `companies` would be left without an owner; transfer the ownership, or close the company, \
     first. `last_superuser`: nobody could run the installation.";

pub fn operations() -> Vec<Operation> {
    let own = |operation: Operation, summary: &str| operation.tag("auth").summary(summary);
    let op = |operation: Operation, summary: &str| ERASURES.document(operation, summary).superuser();
    vec![
        own(Operation::post("auth_erasure", "/api/v1/auth/erasure/", ask), "Ask to be erased")
            .describe(
                "With your password or a code. A link goes to your address; when it is opened, the account and what is known of you by it \
                 are erased, and nothing can be brought back.",
            )
            .authenticated()
            .personal()
            .rate(RateClass::Auth)
            .body(proof())
            .responds_empty(202, "A letter is on its way."),
        settled(
            own(Operation::post("auth_erasure_confirm", "/api/v1/auth/erasure/confirm/", confirm), "Be erased, by link")
                .describe("From the answer on the account is gone; logs are gone through within minutes, and a last letter says so.")
                .rate(RateClass::Auth)
                .body(schema::object([("token", schema::text(1, 100))]).required(["token"]))
                .responds(202, "Erased; `id` is the erasure's, for questions to the operator.", begun())
                .responds(400, "The link is unknown, replaced, used or late (`link_not_valid`).", schema::component("Error"))
                .responds(409, REFUSALS, schema::component("Error")),
        ),
        own(Operation::get("auth_data_export", "/api/v1/auth/data-export/", data), "Everything that is held about you")
            .describe(
                "By table; what opens something (hashes, sealed secrets) is left out. Of what is more than 10,000 rows, the newest. \
                 Companies' own records are theirs to hand out.",
            )
            .authenticated()
            .personal()
            .rate(RateClass::Auth)
            .responds(
                200,
                "A file.",
                schema::object([
                    ("user", schema::uuid()),
                    ("email", schema::email()),
                    ("most_rows_of_a_table", schema::integer()),
                    ("tables", json!({"type": "object", "additionalProperties": schema::array(json!({"type": "object"}))})),
                ])
                .required(["user", "email", "most_rows_of_a_table", "tables"]),
            ),
        settled(
            USERS
                .document(
                    Operation::post("users_erase", format!("{}erase/", USERS.item_url()), erase),
                    "Erase a person (superusers)",
                )
                .superuser(),
        )
        .describe(
            "`email` must be the account's: there is no way back. Sessions, keys, factors and memberships end with the answer; logs are gone \
             through within minutes. Bills and the history of what happened stay without the person. Repeating it changes nothing.",
        )
        .body(schema::object([("email", schema::email())]).required(["email"]))
        .responds(202, "The erasure, as far as it is.", ERASURES.row())
        .responds(409, REFUSALS, schema::component("Error")),
        op(Operation::get("erasures_list", ERASURES.url(), list_erasures), "List erasures (superusers)")
            .describe("What was erased, when, and on what ground the rest stays: numbers by table, without anybody's data.")
            .params(list_params(&LISTING))
            .responds(200, "One page.", schema::paginated(ERASURES.row())),
        op(Operation::get("erasures_retrieve", ERASURES.item_url(), retrieve), "Read one of the erasures (superusers)")
            .responds(200, "The erasure.", ERASURES.row()),
    ]
}

fn begun() -> Value {
    schema::object([("id", schema::uuid())]).required(["id"])
}

async fn ask(call: Call) -> Result<Reply> {
    call.caller.require_scope("core.users.update")?;
    proved(&call, |tx, kernel, caller, proved| {
        erasure::ask(tx, kernel, caller, proved)?;
        Ok(Reply { status: http::StatusCode::ACCEPTED, ..Reply::no_content() })
    })
    .await
}

async fn confirm(call: Call) -> Result<Reply> {
    let token = required_text(&call, "token")?;
    let (kernel, origin) = (call.kernel.clone(), call.caller.origin.clone());
    call.commit(View::System, move |tx| {
        let id = erasure::confirm(tx, &kernel, &origin, &token)?;
        Reply::json(202, &json!({"id": id.to_string()}))
    })
    .await
}

async fn data(call: Call) -> Result<Reply> {
    call.caller.require_scope("core.users.view")?;
    let user = call.caller.require_user()?.id;
    let data = call.kernel.db.read_long(View::System, move |reader| erasure::data_of(reader, user)).await?;
    Ok(Reply::json(200, &data)?.as_download("my-data.json"))
}

async fn erase(call: Call) -> Result<Reply> {
    let (kernel, actor, id) = (call.kernel.clone(), call.caller.actor(), call.id()?);
    let mut input = Input::new(call.json()?, false)?;
    let email = input.required_text("email", 254);
    input.finish()?;
    let email = email.ok_or_else(|| Problem::internal("a checked erasure lacks its address"))?;
    call.commit(View::System, move |tx| {
        erasure::require_email(tx, id, &email)?;
        let erasure = erasure::begin(tx, &kernel, Asked { actor: &actor, through: Through::Operator }, id)?;
        Ok(Reply::json_bytes(202, row(tx, erasure)?))
    })
    .await
}

fn row(tx: &mut Tx<'_>, erasure: Uuid) -> Result<Vec<u8>> {
    LISTING.find(tx, erasure, None, Conditions::default())?.ok_or_else(Problem::not_found)
}

async fn list_erasures(call: Call) -> Result<Reply> {
    audit::record_superuser_list(&call.kernel, &call.caller.actor(), "core.erasures.view").await?;
    list(&call, View::System, |reader, query| LISTING.list(reader, query, None, Conditions::default())).await
}

async fn retrieve(call: Call) -> Result<Reply> {
    let id = call.id()?;
    audit::record_superuser_list(&call.kernel, &call.caller.actor(), "core.erasures.view").await?;
    let read = move |reader: &mut loopd_store::Reader<'_>| LISTING.find(reader, id, None, Conditions::default());
    let found = call.kernel.db.read(View::System, read).await?;
    Ok(Reply::json_bytes(200, found.ok_or_else(Problem::not_found)?))
}
