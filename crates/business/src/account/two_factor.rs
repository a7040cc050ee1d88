//! `/auth/2fa/…`, and `/auth/mfa/verify/`, which finishes a sign-in that asked for a second factor.

use loopd_kernel::account::SignedIn;
use loopd_kernel::input::Input;
use loopd_kernel::two_factor::{self, Answer, Proof, Proved};
use loopd_kernel::{Caller, Kernel};
use loopd_store::{Tx, View};
use loopd_types::{Problem, Result};
use loopd_web::{Call, Operation, RateClass, Reply, Schema as _, schema};
use serde_json::{Value, json};

use super::auth::{answer_signed_in, signed_in_schema};

pub fn operations() -> Vec<Operation> {
    let codes = schema::object([("recovery_codes", schema::array(schema::string()))]).required(["recovery_codes"]);
    vec![
        Operation::post("auth_mfa_verify", "/api/v1/auth/mfa/verify/", verify)
            .tag("auth")
            .summary("Finish a sign-in with the second factor")
            .describe(
                "`mfa_token` comes with the 401 `mfa_required` of `/auth/login/` and lives ten minutes. `code` is one by time or a \
                 recovery code; neither is taken twice. After five wrong codes in a row those by time are locked for a quarter of an \
                 hour, after each further five for twice as long.",
            )
            .rate(RateClass::Auth)
            .body(
                schema::object([("mfa_token", schema::text(1, 200)), ("code", schema::text(1, 64))])
                    .required(["mfa_token", "code"]),
            )
            .responds(200, "Signed in.", signed_in_schema())
            .responds(401, "The sign-in is over, or the code is wrong or used.", schema::component("Error")),
        Operation::get("auth_2fa_retrieve", "/api/v1/auth/2fa/", show)
            .tag("auth")
            .summary("Your second factors")
            .authenticated()
            .responds(
                200,
                "What you have. `session` says whether this session has shown two factors.",
                schema::object([
                    ("enabled", schema::boolean()),
                    ("session", schema::boolean()),
                    ("totp_since", schema::date_time().nullable()),
                    ("passkeys", schema::integer()),
                    ("recovery_codes_left", schema::integer()),
                ])
                .required(["enabled", "session", "totp_since", "passkeys", "recovery_codes_left"]),
            ),
        Operation::post("auth_2fa_setup", "/api/v1/auth/2fa/setup/", set_up)
            .tag("auth")
            .summary("Ask for a secret for codes by time")
            .describe("It counts once `/auth/2fa/enable/` has seen a code of it; a secret that is in force stays so until then.")
            .authenticated()
            .personal()
            .rate(RateClass::Auth)
            .body(proof())
            .responds(
                200,
                "The secret, its `otpauth:` address, and that as a picture.",
                schema::object([
                    ("secret", schema::string()),
                    ("otpauth_uri", schema::string()),
                    ("qr_svg", schema::string()),
                ])
                .required(["secret", "otpauth_uri", "qr_svg"]),
            ),
        Operation::post("auth_2fa_enable", "/api/v1/auth/2fa/enable/", enable)
            .tag("auth")
            .summary("Enable codes by time")
            .describe("With a first code of the new secret. The recovery codes are shown this once; older ones are void.")
            .authenticated()
            .personal()
            .rate(RateClass::Auth)
            .body(schema::object([("code", schema::text(1, 64))]).required(["code"]))
            .responds(200, "Enabled.", codes.clone()),
        Operation::post("auth_2fa_disable", "/api/v1/auth/2fa/disable/", disable)
            .tag("auth")
            .summary("Disable codes by time")
            .authenticated()
            .personal()
            .rate(RateClass::Auth)
            .body(proof())
            .responds_empty(204, "Disabled. Companies that require two-factor refuse you from now on, unless you have a passkey."),
        Operation::post("auth_2fa_recovery_codes", "/api/v1/auth/2fa/recovery-codes/", renew_codes)
            .tag("auth")
            .summary("Make new recovery codes")
            .authenticated()
            .personal()
            .rate(RateClass::Auth)
            .body(proof())
            .responds(200, "The new ones, shown this once; the old ones are void.", codes),
    ]
}

async fn verify(call: Call) -> Result<Reply> {
    let answer = Answer::parse(call.json()?)?;
    answer.charge(&call.kernel).await?;
    let (kernel, origin) = (call.kernel.clone(), call.caller.origin.clone());
    let tried = answer.clone();
    let opened = call
        .commit(View::System, move |tx| {
            let signed_in: SignedIn = tried.open(tx, &kernel, &origin)?;
            answer_signed_in(tx, &signed_in)
        })
        .await;
    if opened.as_ref().is_err_and(|problem| problem.code() == "mfa_code_not_valid") {
        answer.note_failure(&call.kernel, &call.caller.origin).await?;
    }
    opened
}

async fn show(call: Call) -> Result<Reply> {
    let user = call.caller.require_user()?.id;
    let standing = call.kernel.db.read(View::System, move |reader| two_factor::standing(reader, user)).await?;
    Reply::json(
        200,
        &json!({
            "enabled": standing.is_enabled(),
            "session": call.caller.has_two_factor(),
            "totp_since": standing.totp_since,
            "passkeys": standing.passkeys,
            "recovery_codes_left": standing.recovery_codes_left,
        }),
    )
}

async fn set_up(call: Call) -> Result<Reply> {
    proved(&call, |tx, kernel, caller, proved| {
        let setup = two_factor::set_up(tx, kernel, caller, proved)?;
        Reply::json(200, &json!({"secret": setup.secret, "otpauth_uri": setup.otpauth_uri, "qr_svg": setup.qr_svg}))
    })
    .await
}

async fn enable(call: Call) -> Result<Reply> {
    let (kernel, caller) = (call.kernel.clone(), call.caller.clone());
    own_session(&caller)?;
    let mut input = Input::new(call.json()?, false)?;
    let code = input.required_text("code", 64);
    input.finish()?;
    let code = code.ok_or_else(|| Problem::field("code", "required", "This field is required."))?;
    call.commit(View::System, move |tx| {
        let codes = two_factor::enable(tx, &kernel, &caller, &code)?;
        Reply::json(200, &json!({"recovery_codes": codes}))
    })
    .await
}

async fn disable(call: Call) -> Result<Reply> {
    let reply = proved(&call, |tx, kernel, caller, proved| {
        two_factor::disable(tx, kernel, caller, proved)?;
        Ok(Reply::no_content())
    })
    .await?;
    call.kernel.settle_revocation().await;
    Ok(reply)
}

async fn renew_codes(call: Call) -> Result<Reply> {
    proved(&call, |tx, kernel, caller, proved| {
        let codes = two_factor::renew_recovery_codes(tx, kernel, caller, proved)?;
        Reply::json(200, &json!({"recovery_codes": codes}))
    })
    .await
}

/// What [`proved`] reads.
pub(super) fn proof() -> Value {
    schema::object([("password", schema::text(1, 1024)), ("code", schema::text(1, 64))])
}

/// Checks the password or code of the body, then does `work` with it.
pub(super) async fn proved<F>(call: &Call, work: F) -> Result<Reply>
where
    F: Fn(&mut Tx<'_>, &Kernel, &Caller, &Proved) -> Result<Reply> + Send + 'static,
{
    own_session(&call.caller)?;
    let mut input = Input::new(call.json()?, false)?;
    let proof = Proof::take(&mut input);
    input.finish()?;
    let proved = proof.check(&call.kernel, &call.caller).await?;
    let (kernel, caller) = (call.kernel.clone(), call.caller.clone());
    call.commit(View::System, move |tx| work(tx, &kernel, &caller, &proved)).await
}

/// Factors are a person's own business: no key touches them.
pub(super) fn own_session(caller: &Caller) -> Result<()> {
    match caller.auth {
        loopd_kernel::Auth::Session(_) => Ok(()),
        _ => Err(Problem::permission_denied()),
    }
}
