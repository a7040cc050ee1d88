//! `/auth/passkeys/…`: a person's passkeys, and signing in with one.

use loopd_kernel::listing::Conditions;
use loopd_kernel::passkey::{self, SignIn};
use loopd_store::{Value as Sql, View};
use loopd_types::{Problem, Result, Uuid};
use loopd_web::{Call, Operation, RateClass, Reply, Schema as _, schema};
use serde_json::{Value, json};

use super::auth::{answer_signed_in, signed_in_schema};
use super::two_factor::{own_session, proof, proved};
use loopd_web::rows::{Rows, list, list_params};

pub(super) const PASSKEYS: Rows = Rows::core("auth/passkeys", "Passkey", &passkey::LISTING);

pub fn operations() -> Vec<Operation> {
    let own = |operation: Operation, summary: &str| operation.tag("auth").summary(summary).authenticated().personal();
    let started = || {
        schema::object([("ceremony", schema::uuid()), ("public_key", schema::any())])
            .required(["ceremony", "public_key"])
    };
    let answer = || [("ceremony", schema::uuid()), ("credential", schema::any())];
    let mut registered = PASSKEYS.schema();
    registered["properties"]["recovery_codes"] = schema::array(schema::string()).nullable();
    let url = PASSKEYS.item_url();
    vec![
        own(Operation::get("auth_passkeys_list", PASSKEYS.url(), list_own), "Your passkeys")
            .params(list_params(&passkey::LISTING))
            .responds(200, "One page.", schema::paginated(PASSKEYS.row())),
        own(Operation::post("auth_passkeys_begin", "/api/v1/auth/passkeys/register/begin/", begin), "Begin a new passkey")
            .describe("`public_key` goes to `navigator.credentials.create()`, its answer to `register/finish/`, within six minutes.")
            .rate(RateClass::Auth)
            .body(proof())
            .responds(200, "What to ask the device.", started()),
        own(Operation::post("auth_passkeys_finish", "/api/v1/auth/passkeys/register/finish/", finish), "Keep a new passkey")
            .describe("A passkey is two factors: this session has shown both. With your first factor come recovery codes, shown once.")
            .rate(RateClass::Auth)
            .body(
                schema::object(answer().into_iter().chain([("name", schema::text(0, 120))]))
                    .required(["ceremony", "credential"]),
            )
            .responds(201, "The passkey.", registered),
        own(Operation::patch("auth_passkeys_partial_update", &url, rename), "Rename a passkey")
            .body(schema::object([("name", schema::text(1, 120))]).required(["name"]))
            .responds(200, "As it is now.", PASSKEYS.row()),
        own(Operation::delete("auth_passkeys_destroy", &url, delete), "Delete a passkey")
            .rate(RateClass::Auth)
            .body(proof())
            .responds_empty(204, "Deleted."),
        Operation::post("auth_passkeys_sign_in_begin", "/api/v1/auth/passkeys/sign-in/begin/", begin_sign_in)
            .tag("auth")
            .summary("Begin a sign-in with a passkey")
            .describe(
                "With an empty body the device finds the person; with `email` it is told whose keys to look for; with the `mfa_token` of \
                 a sign-in by password it shows the second factor. `public_key` goes to `navigator.credentials.get()`.",
            )
            .rate(RateClass::Auth)
            .optional_body(schema::object([("email", schema::text(0, 254)), ("mfa_token", schema::text(0, 200))]))
            .responds(200, "What to ask the device.", started())
            .responds(401, "The sign-in by password is over.", schema::component("Error")),
        Operation::post("auth_passkeys_sign_in_finish", "/api/v1/auth/passkeys/sign-in/finish/", finish_sign_in)
            .tag("auth")
            .summary("Sign in with a passkey")
            .rate(RateClass::Auth)
            .body(schema::object(answer()).required(["ceremony", "credential"]))
            .responds(200, "Signed in.", signed_in_schema())
            .responds(401, "The passkey could not be verified.", schema::component("Error")),
    ]
}

fn of(user: Uuid) -> Conditions {
    Conditions::default().and("p.user_id = {}", [Sql::from(user)])
}

async fn list_own(call: Call) -> Result<Reply> {
    own_session(&call.caller)?;
    let user = call.caller.require_user()?.id;
    list(&call, View::System, move |reader, query| passkey::LISTING.list(reader, query, None, of(user))).await
}

async fn begin(call: Call) -> Result<Reply> {
    proved(&call, |tx, kernel, caller, proved| {
        let started = passkey::begin_registration(tx, kernel, caller, proved)?;
        Reply::json(200, &json!({"ceremony": started.ceremony.to_string(), "public_key": started.public_key}))
    })
    .await
}

async fn finish(call: Call) -> Result<Reply> {
    own_session(&call.caller)?;
    let (kernel, caller, body) = (call.kernel.clone(), call.caller.clone(), call.json()?);
    let user = caller.require_user()?.id;
    let finished = call
        .commit(View::System, move |tx| {
            let registered = passkey::finish_registration(tx, &kernel, &caller, body.clone())?;
            let row = passkey::LISTING.find(tx, registered.id, None, of(user))?.ok_or_else(Problem::not_found)?;
            let mut row: Value = serde_json::from_slice(&row).map_err(Problem::internal)?;
            row["recovery_codes"] = json!(registered.recovery_codes);
            Reply::json(201, &row)
        })
        .await;
    end_if_refused(&call, finished).await
}

async fn rename(call: Call) -> Result<Reply> {
    own_session(&call.caller)?;
    let (kernel, caller, body, id) = (call.kernel.clone(), call.caller.clone(), call.json()?, call.id()?);
    let user = caller.require_user()?.id;
    call.commit(View::System, move |tx| {
        passkey::rename(tx, &kernel, &caller, id, body.clone())?;
        let row = passkey::LISTING.find(tx, id, None, of(user))?;
        Ok(Reply::json_bytes(200, row.ok_or_else(Problem::not_found)?))
    })
    .await
}

async fn delete(call: Call) -> Result<Reply> {
    let id = call.id()?;
    let reply = proved(&call, move |tx, kernel, caller, proved| {
        passkey::delete(tx, kernel, caller, id, proved)?;
        Ok(Reply::no_content())
    })
    .await?;
    call.kernel.settle_revocation().await;
    Ok(reply)
}

async fn begin_sign_in(call: Call) -> Result<Reply> {
    let (kernel, sign_in) = (call.kernel.clone(), SignIn::parse(call.json()?)?);
    call.commit(View::System, move |tx| {
        let started = passkey::begin_sign_in(tx, &kernel, &sign_in)?;
        Reply::json(200, &json!({"ceremony": started.ceremony.to_string(), "public_key": started.public_key}))
    })
    .await
}

async fn finish_sign_in(call: Call) -> Result<Reply> {
    let (kernel, origin, body) = (call.kernel.clone(), call.caller.origin.clone(), call.json()?);
    let opened = call
        .commit(View::System, move |tx| {
            let signed_in = passkey::finish_sign_in(tx, &kernel, &origin, body.clone())?;
            answer_signed_in(tx, &signed_in)
        })
        .await;
    end_if_refused(&call, opened).await
}

/// A question is asked once: its ceremony ends with a wrong answer too.
async fn end_if_refused(call: &Call, outcome: Result<Reply>) -> Result<Reply> {
    if outcome.as_ref().is_err_and(|problem| problem.status() < 500) {
        SignIn::end(&call.kernel, call.json_ref()?).await?;
    }
    outcome
}
