//! `/webhook-endpoints/` and `/webhook-deliveries/`.

use loopd_kernel::listing::Conditions;
use loopd_kernel::webhook::{self, delivery, endpoint, replay};
use loopd_kernel::{Kernel, Tenant};
use loopd_store::Tx;
use loopd_types::{Problem, Result, Uuid};
use loopd_web::{Call, Operation, Reply, Schema as _, schema};
use serde_json::{Value, json};

use loopd_web::rows::{Rows, handled, list, list_params, nothing};

pub(super) const ENDPOINTS: Rows = Rows::core("webhook-endpoints", "WebhookEndpoint", &endpoint::LISTING);
pub(super) const DELIVERIES: Rows = Rows::core("webhook-deliveries", "WebhookDelivery", &delivery::LISTING);
pub(super) const ATTEMPTS: Rows = Rows::core("webhook-deliveries", "WebhookAttempt", &delivery::ATTEMPTS);

pub fn operations() -> Vec<Operation> {
    let mut all = endpoint_operations();
    all.extend(delivery_operations());
    all
}

fn endpoint_body() -> Value {
    schema::object([
        ("url", schema::uri()),
        ("description", schema::text(0, 500)),
        ("events", schema::array(schema::string())),
        ("ordered", schema::boolean()),
        ("concurrency", schema::integer_between(1, endpoint::CONCURRENCY_MOST)),
        ("scheme", schema::string()),
    ])
}

fn endpoint_operations() -> Vec<Operation> {
    let op = |operation: Operation, verb: &str, summary: &str| {
        ENDPOINTS.document(operation, summary).tenant(None, &ENDPOINTS.permission(verb))
    };
    let url = ENDPOINTS.item_url();
    vec![
        ENDPOINTS.list_of_companies(),
        ENDPOINTS.retrieve_in_companies(),
        handled(
            op(
                Operation::post("webhook_endpoints_create", ENDPOINTS.url(), nothing),
                "create",
                "Have events posted to an address; its secret is shown this once",
            )
            .describe(
                "`events` are kinds, exact or by how they begin (`booking.*`); all unless given. The endpoint is told of what you may see. \
                 `ordered` sends one after another in the log's order: one that fails holds up what comes after it.",
            )
            .body(endpoint_body().required(["url"]))
            .responds(201, "The endpoint with its secret in `secret`.", with_secret()),
            |call: Call| async move {
                show_once(call, 201, |tx, kernel, tenant, _, body| endpoint::create(tx, kernel, tenant, body)).await
            },
        ),
        ENDPOINTS.write_item(
            op(Operation::put("webhook_endpoints_update", &url, nothing), "update", "Replace an endpoint")
                .body(endpoint_body().required(["url"])),
            |tx, kernel, tenant, id, body| endpoint::update(tx, kernel, tenant, id, body, false),
        ),
        ENDPOINTS.write_item(
            op(Operation::patch("webhook_endpoints_partial_update", &url, nothing), "update", "Change an endpoint")
                .body(endpoint_body()),
            |tx, kernel, tenant, id, body| endpoint::update(tx, kernel, tenant, id, body, true),
        ),
        handled(
            op(Operation::delete("webhook_endpoints_destroy", &url, nothing), "delete", "Delete an endpoint")
                .responds_empty(204, "Deleted; what waited for it is cancelled."),
            |call: Call| async move {
                let (kernel, tenant, id) = (call.kernel.clone(), call.tenant()?.clone(), call.id()?);
                call.commit(tenant.view(), move |tx| {
                    endpoint::delete(tx, &kernel, &tenant, id)?;
                    Ok(Reply::no_content())
                })
                .await
            },
        ),
        ENDPOINTS.action("enable", "Switch an endpoint on; what waits is sent now", |tx, kernel, tenant, id, _| {
            endpoint::enable(tx, kernel, tenant, id)
        }),
        ENDPOINTS.action("disable", "Switch an endpoint off; nothing is sent to it", |tx, kernel, tenant, id, _| {
            endpoint::disable(tx, kernel, tenant, id)
        }),
        handled(
            op(
                Operation::post("webhook_endpoints_rotate_secret", format!("{url}rotate-secret/"), nothing),
                "action:rotate-secret",
                "Make a new secret; the old one signs too for a while",
            )
            .optional_body(schema::object([("overlap_seconds", schema::integer_between(0, endpoint::OVERLAP_MOST_S))]))
            .responds(200, "The endpoint with its new secret in `secret`.", with_secret()),
            |call: Call| async move { show_once(call, 200, endpoint::rotate).await },
        ),
        handled(
            op(
                Operation::post("webhook_endpoints_test", format!("{url}test/"), nothing),
                "action:test",
                "Send a test event now, and see what came back",
            )
            .describe("Works for endpoints that are switched off too. It is attempted once and kept as a delivery.")
            .responds(200, "The delivery with its one attempt in `attempt`.", with_attempt()),
            test,
        ),
        handled(
            op(
                Operation::post("webhook_endpoints_replay", format!("{url}replay/"), nothing),
                "action:replay",
                "Send a range of events again",
            )
            .describe(
                "Events from `since` to `until` (now unless given): those whose delivery `failed` (unless given), those that have none \
                 because the endpoint was off or not there (`missing`), or `all`. A job does it.",
            )
            .body(
                schema::object([
                    ("since", schema::date_time()),
                    ("until", schema::date_time()),
                    ("which", schema::one_of(replay::WHICH)),
                ])
                .required(["since"]),
            )
            .responds(202, "It will be done.", schema::object([("id", schema::uuid())]).required(["id"])),
            |call: Call| async move {
                let (kernel, tenant, id, body) =
                    (call.kernel.clone(), call.tenant()?.clone(), call.id()?, call.json()?);
                call.commit(tenant.view(), move |tx| {
                    let replay = replay::ask(tx, &kernel, &tenant, id, body.clone())?;
                    Reply::json(202, &json!({"id": replay.to_string()}))
                })
                .await
            },
        ),
    ]
}

fn delivery_operations() -> Vec<Operation> {
    let url = DELIVERIES.item_url();
    vec![
        DELIVERIES.list_of_companies(),
        handled(
            DELIVERIES
                .document(
                    Operation::get("webhook_deliveries_retrieve", &url, nothing),
                    "Read a delivery with the body that is sent",
                )
                .tenant(None, &DELIVERIES.permission("view"))
                .responds(200, "The delivery; `body` is null when its event is no longer kept.", with_body()),
            retrieve_delivery,
        ),
        handled(
            DELIVERIES
                .document(
                    Operation::get("webhook_deliveries_attempts", format!("{url}attempts/"), nothing),
                    "List the attempts of a delivery: what was sent, what came back, how long it took",
                )
                .tenant(None, &DELIVERIES.permission("view"))
                .params(list_params(&delivery::ATTEMPTS))
                .responds(200, "One page, newest first.", schema::paginated(ATTEMPTS.row())),
            |call: Call| async move {
                let (company, id) = (call.tenant()?.company, call.id()?);
                list(&call, call.tenant()?.view(), move |reader, query| {
                    delivery::LISTING
                        .find(reader, id, Some(&[company]), Conditions::default())?
                        .ok_or_else(Problem::not_found)?;
                    let of_this = Conditions::default().and("a.delivery_id = {}", [id.into()]);
                    delivery::ATTEMPTS.list(reader, query, Some(&[company]), of_this)
                })
                .await
            },
        ),
        DELIVERIES.action("replay", "Send a delivery again, now", |tx, kernel, tenant, id, _| {
            delivery::replay(tx, kernel, tenant, id)
        }),
    ]
}

async fn retrieve_delivery(call: Call) -> Result<Reply> {
    let (kernel, tenant, id) = (call.kernel.clone(), call.tenant()?.clone(), call.id()?);
    let row = call
        .kernel
        .db
        .read(tenant.view(), move |reader| {
            let found = delivery::LISTING.find(reader, id, Some(&[tenant.company]), Conditions::default())?;
            let mut row: Value =
                serde_json::from_slice(&found.ok_or_else(Problem::not_found)?).map_err(Problem::internal)?;
            row["body"] = delivery::body(reader, &kernel, &tenant, id)?.into();
            Ok(row)
        })
        .await?;
    Reply::json(200, &row)
}

/// The request has left the house when its answer is known, so the key is claimed before and settled after.
async fn test(call: Call) -> Result<Reply> {
    let ticket = match call.claim().await? {
        loopd_web::Claimed::Replay(reply) => return Ok(reply),
        loopd_web::Claimed::Go(ticket) => ticket,
    };
    let (tenant, id) = (call.tenant()?.clone(), call.id()?);
    let made = match webhook::ping(&call.kernel, &tenant, id).await {
        Ok(made) => made,
        Err(problem) => {
            ticket.release().await?;
            return Err(problem);
        }
    };
    let company = tenant.company;
    call.kernel
        .db
        .write(tenant.view(), move |tx| {
            let delivery = delivery::LISTING.find(tx, made, Some(&[company]), Conditions::default())?;
            let mut row: Value =
                serde_json::from_slice(&delivery.ok_or_else(Problem::not_found)?).map_err(Problem::internal)?;
            let query = loopd_kernel::listing::ListQuery::default();
            let of_this = Conditions::default().and("a.delivery_id = {}", [made.into()]);
            let attempts = delivery::ATTEMPTS.list(tx, &query, Some(&[company]), of_this)?;
            row["attempt"] = serde_json::from_slice(&attempts.rows).map_err(Problem::internal)?;
            let reply = Reply::json(200, &row)?;
            ticket.finish(tx, &reply)?;
            Ok(reply)
        })
        .await
}

fn with_secret() -> Value {
    with(ENDPOINTS.schema(), "secret", schema::string())
}

fn with_body() -> Value {
    with(DELIVERIES.schema(), "body", schema::string().nullable())
}

fn with_attempt() -> Value {
    with(DELIVERIES.schema(), "attempt", ATTEMPTS.row())
}

/// A row with one field more.
fn with(mut row: Value, name: &str, field: Value) -> Value {
    row["properties"][name] = field;
    if let Some(required) = row["required"].as_array_mut() {
        required.push(name.into());
    }
    row
}

async fn show_once<F>(call: Call, status: u16, work: F) -> Result<Reply>
where
    F: Fn(&mut Tx<'_>, &Kernel, &Tenant, Uuid, Value) -> Result<(Uuid, String)> + Send + 'static,
{
    let (kernel, tenant, body, id) =
        (call.kernel.clone(), call.tenant()?.clone(), call.json()?, call.id().unwrap_or_default());
    call.commit(tenant.view(), move |tx| {
        let (id, secret) = work(tx, &kernel, &tenant, id, body.clone())?;
        let row = endpoint::LISTING.find(tx, id, Some(&[tenant.company]), Conditions::default())?;
        let mut row: Value = serde_json::from_slice(&row.ok_or_else(Problem::not_found)?).map_err(Problem::internal)?;
        row["secret"] = secret.into();
        Reply::json(status, &row)
    })
    .await
}
