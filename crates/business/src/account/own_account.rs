//! `/auth/password/reset/`, `/auth/email/…`, `/auth/sessions/`, `/auth/merge/`: what a person does with their own account.

use loopd_kernel::account::{self, AskMerge, ChangeEmail, ResetPassword, VerifyEmail};
use loopd_kernel::{Caller, Presented};
use loopd_store::View;
use loopd_types::{Kind, Result};
use loopd_web::{Call, Operation, RateClass, Reply, Schema as _, schema};
use serde_json::{Value, json};

use super::auth::required_text;
use loopd_web::rows::settled;

const DEAD: &str = "The link is unknown, replaced, used or late (`link_not_valid`), or a field is not valid.";

pub fn operations() -> Vec<Operation> {
    let mut all = password();
    all.extend(email());
    all.extend(sessions());
    all.extend(merge());
    all
}

fn op(operation: Operation, summary: &str) -> Operation {
    operation.tag("auth").summary(summary)
}

fn token_body() -> Value {
    schema::object([("token", schema::text(1, 100))]).required(["token"])
}

fn password() -> Vec<Operation> {
    vec![
        op(Operation::post("auth_password_reset", "/api/v1/auth/password/reset/", forget), "Ask for a new password")
            .describe("Sends a link to the address if it has an account. The answer, and the time it takes, are the same if it has none.")
            .rate(RateClass::Auth)
            .body(schema::object([("email", schema::email())]).required(["email"]))
            .responds_empty(202, "A letter is on its way, if there is such an account."),
        settled(
            op(
                Operation::post("auth_password_reset_confirm", "/api/v1/auth/password/reset/confirm/", reset),
                "Set a new password by link",
            )
            .describe(
                "The link is good once. Every session of the person ends; a second factor stays as it is. If nobody had shown the address before, \
                 passkeys, second factors, keys and links to providers end too: a stranger may have registered it.",
            )
            .rate(RateClass::Auth)
            .body(
                schema::object([("token", schema::text(1, 100)), ("new_password", schema::text(8, 1024))])
                    .required(["token", "new_password"]),
            )
            .responds_empty(204, "Set; sign in with it.")
            .responds(400, DEAD, schema::component("Error")),
        ),
    ]
}

fn email() -> Vec<Operation> {
    vec![
        op(Operation::post("auth_email_verify", "/api/v1/auth/email/verify/", verify), "Verify an address by link")
            .describe(
                "The link of a new account, or of a change of address, which takes effect here. A letter alone shows nothing: a stranger may have \
                 registered the address. Send a session of the account along (`Authorization`), or its `password`.",
            )
            .rate(RateClass::Auth)
            .body(
                schema::object([("token", schema::text(1, 100)), ("password", schema::text(1, 1024))]).required(["token"]),
            )
            .responds(200, "The address is verified.", schema::object([("email", schema::email())]).required(["email"]))
            .responds(400, DEAD, schema::component("Error"))
            .responds(409, "Another account has the address (`email_taken`).", schema::component("Error")),
        op(
            Operation::post("auth_email_verify_resend", "/api/v1/auth/email/verify/resend/", verify_again),
            "Send the link for your address again",
        )
        .authenticated()
        .personal()
        .responds_empty(202, "On its way, unless the address is verified already."),
        op(Operation::post("auth_email_change", "/api/v1/auth/email/change/", change_email), "Ask for another address")
            .describe("A link goes to the new address and a notice to the old one; the change takes effect when the link is opened.")
            .authenticated()
            .personal()
            .rate(RateClass::Auth)
            .body(
                schema::object([("new_email", schema::email()), ("password", schema::text(1, 1024))])
                    .required(["new_email", "password"]),
            )
            .responds_empty(202, "On its way."),
    ]
}

fn sessions() -> Vec<Operation> {
    let row = [
        ("id", schema::uuid()),
        ("user_agent", schema::string()),
        ("address", schema::string()),
        ("app_id", schema::string()),
        ("is_current", schema::boolean()),
        ("created_at", schema::date_time()),
        ("last_used_at", schema::date_time()),
        ("expires_at", schema::date_time()),
    ];
    let names = row.each_ref().map(|(name, _)| *name);
    vec![
        op(
            Operation::get("auth_sessions_list", "/api/v1/auth/sessions/", list_sessions),
            "List where you are signed in",
        )
        .authenticated()
        .personal()
        .responds(200, "All of them.", schema::paginated(schema::object(row).required(names))),
        settled(
            op(
                Operation::delete("auth_sessions_destroy", "/api/v1/auth/sessions/{id}/", end_session),
                "Sign a device out",
            )
            .authenticated()
            .personal()
            .responds_empty(204, "Signed out."),
        ),
        settled(
            op(
                Operation::post("auth_sessions_revoke_others", "/api/v1/auth/sessions/revoke-others/", end_others),
                "Sign all other devices out",
            )
            .authenticated()
            .personal()
            .responds(
                200,
                "How many.",
                schema::object([("revoked", schema::integer())]).required(["revoked"]),
            ),
        ),
    ]
}

fn merge() -> Vec<Operation> {
    vec![
        op(Operation::post("auth_merge", "/api/v1/auth/merge/", ask_merge), "Ask to absorb your other account")
            .describe(
                "A link goes to the other account's address, if it has one. When it is opened, the memberships of that account move to yours as \
                 they are, without raising what you are where you are a member already, and the other account ends.",
            )
            .authenticated()
            .personal()
            .rate(RateClass::Auth)
            .body(
                schema::object([("email", schema::email()), ("password", schema::text(1, 1024))])
                    .required(["email", "password"]),
            )
            .responds_empty(202, "A letter is on its way, if there is such an account.")
            .responds(409, "Your own address is not verified (`email_not_verified`).", schema::component("Error")),
        settled(
            op(Operation::post("auth_merge_confirm", "/api/v1/auth/merge/confirm/", confirm_merge), "Merge by link")
                .rate(RateClass::Auth)
                .body(token_body())
                .responds(
                    200,
                    "One account now.",
                    schema::object([("email", schema::email()), ("absorbed", schema::email())])
                        .required(["email", "absorbed"]),
                )
                .responds(400, DEAD, schema::component("Error"))
                .responds(409, "`cannot_merge`, `last_owner`, `email_not_verified`.", schema::component("Error")),
        ),
    ]
}

fn accepted() -> Reply {
    Reply { status: http::StatusCode::ACCEPTED, ..Reply::no_content() }
}

async fn forget(call: Call) -> Result<Reply> {
    let email = account::read_forgotten(&call.kernel, call.json()?).await?;
    let kernel = call.kernel.clone();
    call.commit(View::System, move |tx| {
        account::forget_password(tx, &kernel, &email)?;
        Ok(accepted())
    })
    .await
}

async fn reset(call: Call) -> Result<Reply> {
    let reset = match ResetPassword::parse(&call.kernel, call.json()?).await {
        Ok(reset) => reset,
        Err(refusal) => return call.first_answer(refusal).await,
    };
    let (kernel, origin) = (call.kernel.clone(), call.caller.origin.clone());
    call.commit(View::System, move |tx| {
        reset.apply(tx, &kernel, &origin)?;
        Ok(Reply::no_content())
    })
    .await
}

async fn verify(call: Call) -> Result<Reply> {
    let verify = match VerifyEmail::parse(&call.kernel, &bearer(&call).await?, call.json()?).await {
        Ok(verify) => verify,
        Err(refusal) => return call.first_answer(refusal).await,
    };
    let (kernel, origin) = (call.kernel.clone(), call.caller.origin.clone());
    call.commit(View::System, move |tx| {
        let email = verify.apply(tx, &kernel, &origin)?;
        Reply::json(200, &json!({"email": email}))
    })
    .await
}

/// Whoever sends a token along where none is asked for; one that is not good is none.
async fn bearer(call: &Call) -> Result<Caller> {
    let origin = call.caller.origin.clone();
    let presented = Presented { api_key: None, authorization: call.header("authorization") };
    match call.kernel.authenticate(presented, origin.clone()).await {
        Err(problem) if problem.kind() == Kind::Unauthenticated => Ok(Caller::anonymous(origin)),
        known => known,
    }
}

async fn verify_again(call: Call) -> Result<Reply> {
    call.caller.require_scope("core.users.update")?;
    let (kernel, caller) = (call.kernel.clone(), call.caller.clone());
    call.commit(View::System, move |tx| {
        account::verify_again(tx, &kernel, &caller)?;
        Ok(accepted())
    })
    .await
}

async fn change_email(call: Call) -> Result<Reply> {
    call.caller.require_scope("core.users.update")?;
    let change = ChangeEmail::parse(&call.kernel, &call.caller, call.json()?).await?;
    let (kernel, caller) = (call.kernel.clone(), call.caller.clone());
    call.commit(View::System, move |tx| {
        change.apply(tx, &kernel, &caller)?;
        Ok(accepted())
    })
    .await
}

async fn list_sessions(call: Call) -> Result<Reply> {
    call.caller.require_scope("core.users.view")?;
    let (kernel, caller) = (call.kernel.clone(), call.caller.clone());
    let devices =
        call.kernel.db.read(View::System, move |reader| account::list_devices(reader, &kernel, &caller)).await?;
    Reply::json(200, &json!({"count": devices.len(), "next": null, "previous": null, "results": devices}))
}

async fn end_session(call: Call) -> Result<Reply> {
    call.caller.require_scope("core.users.update")?;
    let (kernel, caller, id) = (call.kernel.clone(), call.caller.clone(), call.id()?);
    call.commit(View::System, move |tx| {
        account::revoke_device(tx, &kernel, &caller, id)?;
        Ok(Reply::no_content())
    })
    .await
}

async fn end_others(call: Call) -> Result<Reply> {
    call.caller.require_scope("core.users.update")?;
    let (kernel, caller) = (call.kernel.clone(), call.caller.clone());
    call.commit(View::System, move |tx| {
        Reply::json(200, &json!({"revoked": account::revoke_other_devices(tx, &kernel, &caller)?}))
    })
    .await
}

async fn ask_merge(call: Call) -> Result<Reply> {
    call.caller.require_scope("core.users.update")?;
    let ask = AskMerge::parse(&call.kernel, &call.caller, call.json()?).await?;
    let (kernel, caller) = (call.kernel.clone(), call.caller.clone());
    call.commit(View::System, move |tx| {
        ask.apply(tx, &kernel, &caller)?;
        Ok(accepted())
    })
    .await
}

async fn confirm_merge(call: Call) -> Result<Reply> {
    let token = required_text(&call, "token")?;
    let (kernel, origin) = (call.kernel.clone(), call.caller.origin.clone());
    call.commit(View::System, move |tx| {
        let merged = account::merge(tx, &kernel, &origin, &token)?;
        Reply::json(200, &json!({"email": merged.into_email, "absorbed": merged.absorbed_email}))
    })
    .await
}
