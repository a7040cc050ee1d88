//! `/auth/oidc/…`: coming by a provider of identity; `/oidc-providers/` and `/installation-oidc-providers/`: setting providers up.

use std::sync::Arc;

use loopd_kernel::audit::INSTALLATION;
use loopd_kernel::listing::Conditions;
use loopd_kernel::oidc::{self, Return, Scope};
use loopd_kernel::{Actor, Kernel, audit};
use loopd_store::{Tx, View};
use loopd_types::{Problem, Result, Uuid};
use loopd_web::{Call, Claimed, Operation, RateClass, Reply, Schema as _, schema};
use serde_json::{Value, json};

use super::auth::{answer_signed_in, signed_in_schema};
use loopd_web::rows::{Rows, handled, list, list_params, nothing, settled};

pub(super) const PROVIDERS: Rows = Rows::core("oidc-providers", "OidcProvider", &oidc::LISTING);
/// The same rows for superusers: those of the whole installation.
const OWN: Rows = Rows::core("installation-oidc-providers", "OidcProvider", &oidc::LISTING);

pub fn operations() -> Vec<Operation> {
    let mut all = vec![
        Operation::get("auth_oidc_list", "/api/v1/auth/oidc/", offered)
            .tag("auth")
            .summary("Providers of identity that people may come by")
            .describe("Those of the installation. A company hands out the id of its own.")
            .responds(
                200,
                "The providers.",
                schema::object([(
                    "results",
                    schema::array(
                        schema::object([("id", schema::uuid()), ("name", schema::string())]).required(["id", "name"]),
                    ),
                )])
                .required(["results"]),
            ),
        Operation::post("auth_oidc_begin", "/api/v1/auth/oidc/{id}/begin/", begin)
            .tag("auth")
            .summary("Begin a sign-in at a provider")
            .describe(
                "Send the browser to `authorization_url`. Keep `binding` in it and send it with what comes back to `complete/`: a sign-in \
                 that somebody else began cannot be finished there. `redirect_uri` must be one of the provider's; its first unless given.",
            )
            .rate(RateClass::Auth)
            .without_effect()
            .optional_body(schema::object([("redirect_uri", schema::text(0, 500))]))
            .responds(
                200,
                "Where to go.",
                schema::object([
                    ("authorization_url", schema::string()),
                    ("state", schema::string()),
                    ("binding", schema::string()),
                    ("expires_in", schema::integer()),
                ])
                .required(["authorization_url", "state", "binding", "expires_in"]),
            ),
        Operation::post("auth_oidc_complete", "/api/v1/auth/oidc/complete/", complete)
            .tag("auth")
            .summary("Finish a sign-in at a provider")
            .describe("`state`, `code` and, if it is there, `iss` as they came back in the address.")
            .rate(RateClass::Auth)
            .body(
                schema::object([
                    ("state", schema::text(1, 200)),
                    ("binding", schema::text(1, 200)),
                    ("code", schema::text(1, 4000)),
                    ("iss", schema::text(0, 500)),
                ])
                .required(["state", "binding", "code"]),
            )
            .responds(200, "Signed in.", signed_in_schema())
            .responds(401, "`oidc_not_valid`, or `mfa_required` as at `/auth/login/`.", schema::component("Error")),
    ];
    all.extend(of_companies());
    all.extend(of_the_installation());
    all
}

async fn offered(call: Call) -> Result<Reply> {
    let results = call.kernel.db.read(View::System, oidc::offered).await?;
    Reply::json(200, &json!({"results": results}))
}

async fn begin(call: Call) -> Result<Reply> {
    let begun = oidc::begin(&call.kernel, call.id()?, call.json()?).await?;
    Reply::json(
        200,
        &json!({
            "authorization_url": begun.authorization_url, "state": begun.state, "binding": begun.binding, "expires_in": begun.expires_in,
        }),
    )
}

async fn complete(call: Call) -> Result<Reply> {
    let back = Return::parse(call.json()?)?;
    // The code is spent at the provider's, so the key is claimed first: a repeat gets the first answer.
    let ticket = match call.claim().await? {
        Claimed::Replay(reply) => return Ok(reply),
        Claimed::Go(ticket) => Arc::new(ticket),
    };
    let opened = finish(&call, &back, ticket.clone()).await;
    if opened.is_err() {
        ticket.release().await?;
    }
    opened
}

async fn finish(call: &Call, back: &Return, ticket: Arc<loopd_web::Ticket>) -> Result<Reply> {
    let completed = oidc::complete(&call.kernel, back).await?;
    let (kernel, origin) = (call.kernel.clone(), call.caller.origin.clone());
    // What the groups give is kept whatever the second factor says.
    let person = kernel.clone().db.write(View::System, move |tx| completed.admit(tx, &kernel, &origin)).await?;
    if let Some(challenge) = person.second_factor(&call.kernel).await? {
        return Err(challenge.refuse());
    }
    let (kernel, origin) = (call.kernel.clone(), call.caller.origin.clone());
    call.kernel
        .db
        .write(View::System, move |tx| {
            let signed_in = person.open(tx, &kernel, &origin)?;
            let reply = answer_signed_in(tx, &signed_in)?;
            ticket.finish(tx, &reply)?;
            Ok(reply)
        })
        .await
}

fn changes() -> Value {
    let rule = schema::object([("group", schema::string()), ("role", schema::string()), ("company", schema::string())])
        .required(["group", "role"]);
    schema::object([
        ("name", schema::text(1, 120)),
        ("issuer", schema::text(1, 500)),
        ("client_id", schema::text(1, 500)),
        ("client_secret", schema::text(0, 2000)),
        ("scopes", schema::array(schema::string())),
        ("redirect_uris", schema::array(schema::string())),
        ("groups_claim", schema::text(0, 200)),
        ("role_mapping", schema::array(rule)),
        ("creates_users", schema::boolean()),
        ("trusts_mfa", schema::boolean()),
        ("is_enabled", schema::boolean()),
    ])
}

const WORDS: &str = "`role_mapping` is a list of `{\"group\", \"role\"}`: the first rule that matches a person's groups gives the role, \
     never one that allows more than who wrote the rules may give, at the moment of the sign-in too; a group that is not named gives \
     nothing, and what a group gave goes with it. `client_secret` is never shown.";

const ENDS: &str = "A provider that is switched off (`is_enabled`) or deleted takes with it every session that it opened: the very next request \
     and every renewal are refused. `trusts_mfa: false` counts for open sessions too.";

fn of_companies() -> Vec<Operation> {
    let op = |operation: Operation, verb: &str, summary: &str| {
        PROVIDERS.document(operation, summary).tenant(None, &PROVIDERS.permission(verb)).personal()
    };
    let (url, required) = (PROVIDERS.item_url(), ["name", "issuer", "client_id", "redirect_uris"]);
    vec![
        PROVIDERS.list_of_companies(),
        PROVIDERS.retrieve_in_companies(),
        PROVIDERS.write(
            op(
                Operation::post("oidc_providers_create", PROVIDERS.url(), nothing),
                "create",
                "Set up a provider of identity",
            )
            .describe(format!("What it opens is good in this company only. {WORDS}"))
            .body(changes().required(required)),
            201,
            |tx, kernel, tenant, body| oidc::save(tx, kernel, Scope::Company(tenant), None, body, false),
        ),
        settled(
            PROVIDERS.write_item(
                op(
                    Operation::patch("oidc_providers_partial_update", &url, nothing),
                    "update",
                    "Change a provider of identity",
                )
                .describe(ENDS)
                .body(changes()),
                |tx, kernel, tenant, id, body| {
                    oidc::save(tx, kernel, Scope::Company(tenant), Some(id), body, true).map(drop)
                },
            ),
        ),
        settled(handled(
            op(Operation::delete("oidc_providers_destroy", &url, nothing), "delete", "Delete a provider of identity")
                .describe(ENDS)
                .responds_empty(204, "Deleted."),
            |call: Call| async move {
                let (kernel, tenant, id) = (call.kernel.clone(), call.tenant()?.clone(), call.id()?);
                call.commit(View::System, move |tx| {
                    oidc::delete(tx, &kernel, Scope::Company(&tenant), id)?;
                    Ok(Reply::no_content())
                })
                .await
            },
        )),
    ]
}

fn of_the_installation() -> Vec<Operation> {
    let op = |operation: Operation, summary: &str| OWN.document(operation, summary).superuser();
    let (url, required) = (OWN.item_url(), ["name", "issuer", "client_id", "redirect_uris"]);
    vec![
        op(
            Operation::get("installation_oidc_providers_list", OWN.url(), list_own),
            "List the installation's providers (superusers)",
        )
        .params(list_params(&oidc::LISTING))
        .responds(200, "One page.", schema::paginated(OWN.row())),
        op(
            Operation::post("installation_oidc_providers_create", OWN.url(), |call| save_own(call, true)),
            "Set up a provider for everybody (superusers)",
        )
        .describe(format!("It may vouch for every verified email here. Its rules name a `company` each. {WORDS}"))
        .body(changes().required(required))
        .responds(201, "The provider.", OWN.row()),
        settled(
            op(
                Operation::patch("installation_oidc_providers_partial_update", &url, |call| save_own(call, false)),
                "Change a provider for everybody (superusers)",
            )
            .describe(ENDS)
            .body(changes())
            .responds(200, "As it is now.", OWN.row()),
        ),
        settled(
            op(
                Operation::delete("installation_oidc_providers_destroy", &url, delete_own),
                "Delete a provider for everybody (superusers)",
            )
            .describe(ENDS)
            .responds_empty(204, "Deleted."),
        ),
    ]
}

async fn list_own(call: Call) -> Result<Reply> {
    audit::record_superuser_list(&call.kernel, &call.caller.actor(), "core.oidc-providers.view").await?;
    list(&call, View::System, |reader, query| {
        oidc::LISTING.list(reader, query, Some(&[INSTALLATION]), Conditions::default())
    })
    .await
}

async fn save_own(call: Call, is_new: bool) -> Result<Reply> {
    let (kernel, actor, body) = (call.kernel.clone(), call.caller.actor(), call.json()?);
    let id = if is_new { None } else { Some(call.id()?) };
    call.commit(View::System, move |tx| {
        let id = save_in_installation(tx, &kernel, &actor, id, body.clone())?;
        let row = oidc::LISTING.find(tx, id, Some(&[INSTALLATION]), Conditions::default())?;
        Ok(Reply::json_bytes(if is_new { 201 } else { 200 }, row.ok_or_else(Problem::not_found)?))
    })
    .await
}

fn save_in_installation(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    actor: &Actor,
    id: Option<Uuid>,
    body: Value,
) -> Result<Uuid> {
    oidc::save(tx, kernel, Scope::Installation(actor), id, body, id.is_some())
}

async fn delete_own(call: Call) -> Result<Reply> {
    let (kernel, actor, id) = (call.kernel.clone(), call.caller.actor(), call.id()?);
    call.commit(View::System, move |tx| {
        oidc::delete(tx, &kernel, Scope::Installation(&actor), id)?;
        Ok(Reply::no_content())
    })
    .await
}
