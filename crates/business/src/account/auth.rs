//! `/auth/…`: register, sign in, renew, sign out, the person's own page.

use std::sync::Arc;

use loopd_kernel::account::{self, Registration, SignedIn};
use loopd_kernel::{Caller, Kernel, Need, Tenant};
use loopd_store::{Tx, View};
use loopd_types::{CompanyCode, Problem, Result};
use loopd_web::{Call, Operation, RateClass, Reply, Schema as _, schema};
use serde_json::{Map, Value, json};

use super::{invitations, wire};

pub(super) const LANGUAGES: [&str; 4] = ["en", "fr", "rw", "sw"];

pub fn operations() -> Vec<Operation> {
    vec![
        Operation::post("auth_register", "/api/v1/auth/register/", register)
            .tag("auth")
            .summary("Register")
            .describe("Makes a user and a company in one transaction; the user owns the company and has a trial of every product. \
                 `company_name` is required unless `invitation`, the token of one, is given: then the user becomes a member of its company.")
            .rate(RateClass::Auth)
            .body(
                schema::object([
                    ("email", schema::email()),
                    ("username", schema::text(1, 150)),
                    ("password", schema::text(8, 1024)),
                    ("company_name", schema::text(1, 200)),
                    ("first_name", schema::text(0, 150)),
                    ("last_name", schema::text(0, 150)),
                    ("phone", schema::text(0, 32)),
                    ("language", schema::one_of(LANGUAGES)),
                    ("country", schema::pattern("^[A-Z]{2}$")),
                    ("currency", schema::pattern("^[A-Z]{3,4}$")),
                    ("timezone", schema::string()),
                    ("invitation", schema::text(1, 100)),
                ])
                .required(["email", "username", "password"]),
            )
            .responds(201, "Registered and signed in.", registered_schema()),
        Operation::post("auth_login", "/api/v1/auth/login/", login)
            .tag("auth")
            .summary("Login")
            .describe(
                "By email and password. Ten failures in fifteen minutes from one address lock that pair out for fifteen minutes. Who has \
                 a second factor gets 401 `mfa_required` with `mfa_token` and `methods` in `details`: go on at `/auth/mfa/verify/`, or \
                 with a passkey.",
            )
            .rate(RateClass::Auth)
            .body(schema::object([("email", schema::email()), ("password", schema::text(1, 1024))]).required(["email", "password"]))
            .responds(200, "Signed in.", signed_in_schema())
            .responds(401, "Email or password is wrong, the person is inactive, or a second factor is asked for.", schema::component("Error")),
        Operation::post("auth_refresh", "/api/v1/auth/refresh/", refresh)
            .tag("auth")
            .summary("Renew the tokens")
            .describe("The refresh token is rotated: the old one is dead at once, and showing it again ends the session.")
            .rate(RateClass::Auth)
            .body(schema::object([("refresh", schema::string())]).required(["refresh"]))
            .responds(200, "A new pair.", schema::object(wire::tokens()).required(wire::tokens().map(|(name, _)| name)))
            .responds(401, "The token is no refresh token of ours, is over, or was used before.", schema::component("Error")),
        Operation::post("auth_logout", "/api/v1/auth/logout/", logout)
            .tag("auth")
            .summary("Logout")
            .describe("Ends the caller's session, and the one behind `refresh` if it is given.")
            .authenticated()
            .optional_body(schema::object([("refresh", schema::string())]))
            .responds_empty(204, "Signed out; repeating it changes nothing."),
        Operation::post("auth_token_verify", "/api/v1/auth/token/verify/", verify)
            .tag("auth")
            .summary("Verify an access token")
            .rate(RateClass::Auth)
            .without_effect()
            .body(schema::object([("token", schema::string())]).required(["token"]))
            .responds(200, "The token is good.", schema::object::<&str>([]))
            .responds(401, "The token is not good.", schema::component("Error")),
        Operation::get("auth_me_retrieve", "/api/v1/auth/me/", me)
            .tag("auth")
            .summary("Current user")
            .describe("The user, their memberships, and the company that X-Company-ID names (or their only one).")
            .authenticated()
            .responds(200, "Who you are.", me_schema()),
        Operation::patch("auth_me_partial_update", "/api/v1/auth/me/", update_me)
            .tag("auth")
            .summary("Change your own names, phone and language")
            .authenticated()
            .personal()
            .body(schema::object([
                ("first_name", schema::text(0, 150)),
                ("last_name", schema::text(0, 150)),
                ("phone", schema::text(0, 32)),
                ("language", schema::one_of(LANGUAGES)),
            ]))
            .responds(200, "As you are now.", profile_schema()),
        Operation::post("auth_impersonation_end", "/api/v1/auth/impersonation/end/", end_impersonation)
            .tag("auth")
            .summary("Stop acting in somebody's name")
            .authenticated()
            .responds_empty(204, "Ended: the very next request is refused.")
            .responds(409, "`not_impersonating`: you act in your own name.", schema::component("Error")),
        Operation::post("auth_password_change", "/api/v1/auth/password/change/", change_password)
            .tag("auth")
            .summary("Change the password")
            .describe("Every other session of the user ends.")
            .authenticated()
            .personal()
            .rate(RateClass::Auth)
            .body(
                schema::object([("old_password", schema::text(1, 1024)), ("new_password", schema::text(8, 1024))])
                    .required(["old_password", "new_password"]),
            )
            .responds_empty(204, "Changed."),
    ]
}

async fn register(call: Call) -> Result<Reply> {
    let body = call.json_object()?;
    if let Some(token) = body.get("invitation").filter(|token| !token.is_null()) {
        return register_invited(&call, body, token).await;
    }
    let registration = Registration::parse(&call.kernel, call.json()?).await?;
    let (kernel, origin) = (call.kernel.clone(), call.caller.origin.clone());
    call.commit(View::System, move |tx| {
        let made = account::register(tx, &kernel, &registration, &origin)?;
        let mut body = json!({
            "user": {"id": made.user_id.to_string(), "email": made.email, "username": made.username},
            "company": {"id": made.company.id.to_string(), "code": made.company.code, "name": made.company.name},
            "workspace": {"id": made.company.workspace.to_string(), "name": "Main"},
            "membership": {"id": made.company.membership.to_string(), "role": "owner", "status": "active"},
        });
        add_tokens(&mut body, &made.tokens);
        Reply::json(201, &body)
    })
    .await
}

/// With an invitation there is no company to be made (spec/loop.md 5.5), and the address is the invitation's.
async fn register_invited(call: &Call, body: &Map<String, Value>, token: &Value) -> Result<Reply> {
    let mut body = body.clone();
    let email = body.remove("email").unwrap_or_default();
    let token = token.as_str().unwrap_or_default().to_owned();
    for name in ["invitation", "company_name", "country", "currency", "timezone"] {
        body.remove(name);
    }
    let shown = loopd_kernel::invitation::look_up(&call.kernel, &token).await?;
    if email.as_str().is_some_and(|email| !email.eq_ignore_ascii_case(&shown.email)) {
        return Err(Problem::field("email", "invalid", "The invitation is for another address."));
    }
    if shown.has_account {
        return Err(Problem::field("email", "unique", "A user with this email already exists."));
    }
    body.insert("token".to_owned(), json!(token));
    invitations::answer_accepted(call, Value::Object(body), 201).await
}

pub(super) fn add_tokens(body: &mut Value, tokens: &account::TokenPair) {
    body["access"] = json!(tokens.access);
    body["refresh"] = json!(tokens.refresh);
    body["access_token"] = json!(tokens.access);
    body["refresh_token"] = json!(tokens.refresh);
    body["token_type"] = json!("Bearer");
    body["expires_in"] = json!(tokens.expires_in);
}

async fn login(call: Call) -> Result<Reply> {
    let checked = account::sign_in(&call.kernel, call.json()?, &call.caller.origin).await?;
    if let Some(challenge) = checked.second_factor(&call.kernel, &call.caller.origin).await? {
        return Err(challenge.refuse());
    }
    let (kernel, origin) = (call.kernel.clone(), call.caller.origin.clone());
    call.commit(View::System, move |tx| {
        let signed_in = checked.open(tx, &kernel, &origin)?;
        answer_signed_in(tx, &signed_in)
    })
    .await
}

/// What every way of signing in answers with.
pub(super) fn answer_signed_in(tx: &mut Tx<'_>, signed_in: &SignedIn) -> Result<Reply> {
    let profile = account::profile(tx, signed_in.user_id)?;
    let mut companies = account::companies_of(tx, signed_in.user_id)?;
    // A session for one company is not told of the person's others.
    companies.retain(|company| {
        signed_in.confined_to.is_none_or(|only| CompanyCode::parse(&company.code).is_some_and(|code| code.0 == only))
    });
    let mut body = json!({
        "user": {"id": profile.id, "email": profile.email, "username": profile.username},
        "companies": companies,
    });
    add_tokens(&mut body, &signed_in.tokens);
    Reply::json(200, &body)
}

async fn refresh(call: Call) -> Result<Reply> {
    let token = required_text(&call, "refresh")?;
    let kernel = call.kernel.clone();
    let (again, shown) = (call.kernel.clone(), token.clone());
    let renewed = call
        .commit(View::System, move |tx| {
            let SignedIn { tokens, .. } = account::refresh(tx, &kernel, &token)?;
            let mut body = json!({});
            add_tokens(&mut body, &tokens);
            Reply::json(200, &body)
        })
        .await;
    if renewed.as_ref().is_err_and(|problem| problem.status() == 401) {
        account::punish_reuse(&again, &shown).await?;
    }
    renewed
}

async fn logout(call: Call) -> Result<Reply> {
    let refresh = call.json()?.get("refresh").and_then(Value::as_str).map(str::to_owned);
    let (kernel, caller) = (call.kernel.clone(), call.caller.clone());
    let reply = call
        .commit(View::System, move |tx| {
            account::logout_caller(tx, &kernel, &caller)?;
            if let Some(token) = &refresh {
                account::logout(tx, &kernel, token)?;
            }
            Ok(Reply::no_content())
        })
        .await?;
    call.kernel.settle_revocation().await;
    Ok(reply)
}

async fn verify(call: Call) -> Result<Reply> {
    let token = required_text(&call, "token")?;
    let bearer = format!("Bearer {token}");
    let presented = loopd_kernel::Presented { authorization: Some(&bearer), api_key: None };
    let caller: Caller = call.kernel.authenticate(presented, call.caller.origin.clone()).await?;
    caller.require_user()?;
    Reply::json(200, &json!({}))
}

pub(super) fn required_text(call: &Call, name: &'static str) -> Result<String> {
    let mut input = loopd_kernel::input::Input::new(call.json()?, false)?;
    let text = input.required_text(name, 8_192);
    input.finish()?;
    text.ok_or_else(|| Problem::field(name, "required", "This field is required."))
}

async fn me(call: Call) -> Result<Reply> {
    Reply::json(
        200,
        &describe(&call.kernel, &call.caller, call.header("x-company-id"), call.header("x-workspace-id")).await?,
    )
}

/// The answer of `/auth/me/`. A company that the caller may not enter is null here: the page must open for everyone who is signed in.
pub(super) async fn describe(
    kernel: &Kernel,
    caller: &Caller,
    company: Option<&str>,
    workspace: Option<&str>,
) -> Result<Value> {
    let user = caller.require_user()?.clone();
    let entered = match kernel.enter(caller, Need { company, workspace, ..Need::default() }).await {
        Ok(tenant) => Some(tenant),
        Err(problem) if problem.status() < 500 => None,
        Err(problem) => return Err(problem),
    };
    let id = user.id;
    let (profile, memberships) = kernel
        .db
        .read(View::System, move |reader| Ok((account::profile(reader, id)?, account::memberships_of(reader, id)?)))
        .await?;
    // A key knows nothing of its user's other companies (T6).
    let memberships: Vec<_> = memberships
        .into_iter()
        .filter(|membership| {
            CompanyCode::parse(&membership.company).is_some_and(|company| caller.key_allows(company.0))
        })
        .collect();
    let now = kernel.now();
    let products: Vec<Value> = match &entered {
        Some(tenant) => kernel
            .company_access(tenant.company)
            .await?
            .iter()
            .flat_map(|access| access.products.iter())
            .map(|product| json!({"slug": product.slug, "status": product.state.status.as_str(), "is_open": product.is_open(now)}))
            .collect(),
        None => Vec::new(),
    };
    Ok(json!({
        "user": profile,
        "company": entered.as_ref().map(|tenant| json!({"code": tenant.code(), "name": tenant.company_name()})),
        "workspace": entered.as_ref().and_then(|tenant| tenant.workspace).map(|id| id.to_string()),
        "memberships": memberships,
        "products": products,
        "permissions": entered.as_ref().map_or_else(Vec::new, patterns),
        "auth": caller.auth_word(),
        "impersonation": caller.impersonation().map(|found| json!({
            "by": found.by.to_string(), "reason": found.reason, "expires_at": found.expires_at, "withheld": found.withheld,
        })),
    }))
}

/// What a further role adds in the workspace that was named, then what the role itself says: the last match decides.
fn patterns(tenant: &Arc<Tenant>) -> Vec<String> {
    let further = tenant.further_permissions().into_iter().flat_map(|set| set.patterns());
    further.chain(tenant.permissions().patterns()).collect()
}

async fn update_me(call: Call) -> Result<Reply> {
    call.caller.require_scope("core.users.update")?;
    let (kernel, caller, body) = (call.kernel.clone(), call.caller.clone(), call.json()?);
    call.commit(View::System, move |tx| Reply::json(200, &account::update_profile(tx, &kernel, &caller, body.clone())?))
        .await
}

async fn end_impersonation(call: Call) -> Result<Reply> {
    let (kernel, caller) = (call.kernel.clone(), call.caller.clone());
    let reply = call
        .commit(View::System, move |tx| {
            account::impersonation::end_own(tx, &kernel, &caller)?;
            Ok(Reply::no_content())
        })
        .await?;
    call.kernel.settle_revocation().await;
    Ok(reply)
}

async fn change_password(call: Call) -> Result<Reply> {
    call.caller.require_scope("core.users.update")?;
    let changed = match account::change_password(&call.kernel, &call.caller, call.json()?).await {
        Ok(changed) => changed,
        Err(refusal) => return call.first_answer(refusal).await,
    };
    let (kernel, caller) = (call.kernel.clone(), call.caller.clone());
    let reply = call
        .commit(View::System, move |tx| {
            changed.apply(tx, &kernel, &caller)?;
            Ok(Reply::no_content())
        })
        .await?;
    call.kernel.settle_revocation().await;
    Ok(reply)
}

fn profile_schema() -> Value {
    let fields = [
        ("id", schema::uuid()),
        ("email", schema::email()),
        ("username", schema::string()),
        ("first_name", schema::string()),
        ("last_name", schema::string()),
        ("phone", schema::string()),
        ("language", schema::one_of(LANGUAGES)),
        ("is_staff", schema::boolean()),
        ("is_superuser", schema::boolean()),
        ("email_verified", schema::boolean()),
        ("date_joined", schema::date_time()),
        ("last_login_at", schema::date_time().nullable()),
    ];
    let names = fields.each_ref().map(|(name, _)| *name);
    schema::object(fields).required(names)
}

fn membership_schema() -> Value {
    schema::object([
        ("company", wire::code()),
        ("company_name", schema::string()),
        ("role", schema::string()),
        ("status", schema::string()),
        ("workspaces", schema::array(schema::uuid())),
    ])
    .required(["company", "company_name", "role", "status", "workspaces"])
}

fn me_schema() -> Value {
    let company = schema::object([("code", wire::code()), ("name", schema::string())]).required(["code", "name"]);
    let product =
        schema::object([("slug", schema::string()), ("status", schema::string()), ("is_open", schema::boolean())])
            .required(["slug", "status", "is_open"]);
    let impersonation = schema::object([
        ("by", schema::uuid()),
        ("reason", schema::string()),
        ("expires_at", schema::date_time()),
        ("withheld", schema::array(schema::string())),
    ])
    .required(["by", "reason", "expires_at", "withheld"]);
    schema::object([
        ("user", profile_schema()),
        ("company", company.nullable()),
        ("workspace", schema::uuid().nullable()),
        ("memberships", schema::array(membership_schema())),
        ("products", schema::array(product)),
        ("permissions", schema::array(schema::string())),
        ("auth", schema::one_of(["jwt", "internal_key"])),
        ("impersonation", impersonation.nullable()),
    ])
    .required(["user", "company", "workspace", "memberships", "products", "permissions", "auth", "impersonation"])
}

fn registered_schema() -> Value {
    made_schema(wire::tokens())
}

/// User, company, workspace and membership, with these tokens.
pub(super) fn made_schema(tokens: [(&'static str, Value); 6]) -> Value {
    let company = schema::object([("id", schema::uuid()), ("code", wire::code()), ("name", schema::string())])
        .required(["id", "code", "name"]);
    let workspace = schema::object([("id", schema::uuid()), ("name", schema::string())]).required(["id", "name"]);
    let membership = schema::object([("id", schema::uuid()), ("role", schema::string()), ("status", schema::string())])
        .required(["id", "role", "status"]);
    let own = [("user", wire::person()), ("company", company), ("workspace", workspace), ("membership", membership)];
    let names: Vec<&str> = own.iter().chain(&tokens).map(|(name, _)| *name).collect();
    schema::object(own.into_iter().chain(tokens)).required(names)
}

pub(super) fn signed_in_schema() -> Value {
    let company = schema::object([("code", wire::code()), ("name", schema::string()), ("role", schema::string())])
        .required(["code", "name", "role"]);
    with_tokens([("user", wire::person()), ("companies", schema::array(company))])
}

fn with_tokens<const N: usize>(own: [(&'static str, Value); N]) -> Value {
    let names: Vec<&str> = own.iter().map(|(name, _)| *name).chain(wire::tokens().map(|(name, _)| name)).collect();
    schema::object(own.into_iter().chain(wire::tokens())).required(names)
}
