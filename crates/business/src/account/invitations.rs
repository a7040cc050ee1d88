//! `/invitations/`: a company's own, and what the invited person does with the link.

use loopd_kernel::invitation::{self, Acceptance, Accepted};
use loopd_store::View;
use loopd_types::Result;
use loopd_web::{Call, Operation, RateClass, Reply, Schema as _, schema};
use serde_json::{Value, json};

use super::{auth, wire};
use loopd_web::rows::{Rows, handled, nothing};

pub(super) const INVITATIONS: Rows = Rows::core("invitations", "Invitation", &invitation::LISTING);

pub fn operations() -> Vec<Operation> {
    let op = |operation: Operation, summary: &str| INVITATIONS.document(operation, summary);
    let public = |operation: Operation, summary: &str| op(operation, summary).rate(RateClass::Auth);
    let token = || ("token", schema::text(1, 100));
    let dead = "The link is unknown, replaced, answered, revoked or late (`link_not_valid`).";
    vec![
        as_of_now(INVITATIONS.list_of_companies()),
        as_of_now(INVITATIONS.retrieve_in_companies()),
        INVITATIONS.write(
            op(Operation::post("invitations_create", INVITATIONS.url(), nothing), "Invite somebody by mail")
                .describe(
                    "The person gets a letter with a link that is good for seven days. Nobody invites above their own rights, and the \
                     invitation ends when its giver's rights do. While it waits it holds a seat of the plan. Without `workspaces` it is for all of them.",
                )
                .tenant(None, &INVITATIONS.permission("create"))
                .body(
                    schema::object([
                        ("email", schema::email()),
                        ("role", schema::text(1, 80)),
                        ("title", schema::text(0, 200)),
                        ("workspaces", schema::array(schema::uuid())),
                    ])
                    .required(["email", "role"]),
                ),
            201,
            invitation::create,
        ),
        INVITATIONS
            .action("resend", "Send an invitation again", |tx, kernel, tenant, id, _| {
                invitation::resend(tx, kernel, tenant, id)
            })
            .describe("A new link; the old one is dead. Only what still waits can be sent again, by who may give its role."),
        INVITATIONS.action("revoke", "Take an invitation back", |tx, kernel, tenant, id, _| {
            invitation::revoke(tx, kernel, tenant, id)
        }),
        public(
            Operation::post("invitations_lookup", "/api/v1/invitations/lookup/", look_up),
            "Look at an invitation by its link",
        )
        .without_effect()
        .body(schema::object([token()]).required(["token"]))
        .responds(200, "What it is, and what accepting it takes.", shown_schema())
        .responds(400, dead, schema::component("Error")),
        public(
            Operation::post("invitations_accept", "/api/v1/invitations/accept/", accept),
            "Accept an invitation by its link",
        )
        .describe(
            "A person without an account makes it here (`username`, `password`) and is signed in; its address counts as verified. Whoever has \
             one signs in as always. `password` is asked of an account whose address was never verified.",
        )
        .body(
            schema::object([
                token(),
                ("username", schema::text(1, 150)),
                ("password", schema::text(1, 1024)),
                ("first_name", schema::text(0, 150)),
                ("last_name", schema::text(0, 150)),
                ("phone", schema::text(0, 32)),
                ("language", schema::one_of(auth::LANGUAGES)),
            ])
            .required(["token"]),
        )
        .responds(200, "A member now.", accepted_schema())
        .responds(400, dead, schema::component("Error"))
        .responds(402, "The company has no seat left (`seat_limit_reached`).", schema::component("Error"))
        .responds(409, "`invitation_lapsed`, `membership_suspended`.", schema::component("Error")),
        public(
            Operation::post("invitations_decline", "/api/v1/invitations/decline/", decline),
            "Decline an invitation by its link",
        )
        .body(schema::object([token()]).required(["token"]))
        .responds_empty(204, "Declined; the link is dead.")
        .responds(400, dead, schema::component("Error")),
    ]
}

/// Shows no invitation as pending whose time is over.
fn as_of_now(operation: Operation) -> Operation {
    let inner = operation.handler.clone();
    handled(operation, move |call: Call| {
        let inner = inner.clone();
        async move {
            let companies: Vec<_> = call.scope()?.iter().map(|tenant| tenant.company).collect();
            invitation::settle(&call.kernel, &companies).await?;
            inner(call).await
        }
    })
}

async fn look_up(call: Call) -> Result<Reply> {
    let token = auth::required_text(&call, "token")?;
    Reply::json(200, &invitation::look_up(&call.kernel, &token).await?)
}

async fn accept(call: Call) -> Result<Reply> {
    answer_accepted(&call, call.json()?, 200).await
}

/// Accepts by a body with `token`, and answers as a registration does.
pub(super) async fn answer_accepted(call: &Call, body: Value, status: u16) -> Result<Reply> {
    let acceptance = match Acceptance::parse(&call.kernel, body).await {
        Ok(acceptance) => acceptance,
        Err(refusal) => return call.first_answer(refusal).await,
    };
    let (kernel, origin) = (call.kernel.clone(), call.caller.origin.clone());
    call.commit(View::System, move |tx| {
        let accepted = acceptance.apply(tx, &kernel, &origin)?;
        Reply::json(status, &describe(&accepted))
    })
    .await
}

fn describe(accepted: &Accepted) -> Value {
    let mut body = json!({
        "user": {"id": accepted.user.to_string(), "email": accepted.email, "username": accepted.username},
        "company": {"id": accepted.company_id.to_string(), "code": accepted.code, "name": accepted.company_name},
        "workspace": {"id": accepted.workspace.0.to_string(), "name": accepted.workspace.1},
        "membership": {"id": accepted.membership.to_string(), "role": accepted.role, "status": "active"},
    });
    match &accepted.tokens {
        Some(tokens) => auth::add_tokens(&mut body, tokens),
        None => wire::tokens().iter().for_each(|(name, _)| body[*name] = Value::Null),
    }
    body
}

async fn decline(call: Call) -> Result<Reply> {
    let (kernel, origin, body) = (call.kernel.clone(), call.caller.origin.clone(), call.json()?);
    call.commit(View::System, move |tx| {
        invitation::decline(tx, &kernel, &origin, &body)?;
        Ok(Reply::no_content())
    })
    .await
}

fn shown_schema() -> Value {
    let fields = [
        ("email", schema::email()),
        ("company", wire::code()),
        ("company_name", schema::string()),
        ("role", schema::string()),
        ("role_name", schema::string()),
        ("invited_by", schema::string().nullable()),
        ("expires_at", schema::date_time()),
        ("has_account", schema::boolean()),
        ("needs_password", schema::boolean()),
        ("language", schema::string()),
    ];
    let names = fields.each_ref().map(|(name, _)| *name);
    schema::object(fields).required(names)
}

/// A registration's answer whose tokens are null for whoever has an account.
fn accepted_schema() -> Value {
    let nullable = wire::tokens().map(|(name, schema)| (name, schema.nullable()));
    auth::made_schema(nullable)
}
