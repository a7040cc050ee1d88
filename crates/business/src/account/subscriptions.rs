//! `/products/` and `/product-subscriptions/`. What costs or saves money needs the right to the company's billing, which owners have
//! and admins do not; suspending and resuming is the installation's own matter.

use loopd_kernel::subscription;
use loopd_types::{Problem, Result};
use loopd_web::{Call, Operation, Param, Reply, Schema as _, schema};
use serde_json::{Value, json};

use super::core::{Core, nothing, settled};

pub(super) const SUBSCRIPTIONS: Core =
    Core { path: "product-subscriptions", name: "ProductSubscription", listing: &subscription::LISTING };

/// Subscribing, activating, renewing and cancelling.
const BILLING: &str = "core.billing.update";

pub fn operations() -> Vec<Operation> {
    let mut all = vec![
        Operation::get("products_list", "/api/v1/products/", products)
            .tag("products")
            .summary("List every product of this installation")
            .authenticated()
            .responds(200, "All of them.", schema::paginated(product_schema())),
        Operation::get("products_retrieve", "/api/v1/products/{slug}/", product)
            .tag("products")
            .summary("Read a product")
            .authenticated()
            .param(Param::path("slug", schema::string()))
            .responds(200, "The product.", product_schema()),
        SUBSCRIPTIONS.list_of_companies(),
        SUBSCRIPTIONS.retrieve_in_companies(),
        SUBSCRIPTIONS.write(
            SUBSCRIPTIONS
                .document(
                    Operation::post("product_subscriptions_create", SUBSCRIPTIONS.url(), nothing),
                    "Subscribe to a product",
                )
                .tenant(None, BILLING)
                .body(
                    schema::object([
                        ("product", schema::text(1, 80)),
                        ("plan", schema::text(1, 80)),
                        ("seats", schema::integer_between(1, 1_000_000)),
                    ])
                    .required(["product"]),
                ),
            201,
            subscription::create,
        ),
    ];
    for (action, ..) in subscription::MOVES {
        let is_ours = subscription::SUPERUSER_MOVES.contains(&action);
        let whose = if is_ours { " (superusers)" } else { "" };
        let summary = format!("{} a subscription{whose}", capitalised(action));
        let operation = SUBSCRIPTIONS.action(action, &summary, move |tx, kernel, tenant, id, _| {
            subscription::act(tx, kernel, tenant, id, action)
        });
        let operation = if is_ours { operation } else { operation.tenant(None, BILLING) };
        all.push(if ["suspend", "cancel"].contains(&action) { settled(operation) } else { operation });
    }
    all
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn product_schema() -> Value {
    schema::object([
        ("slug", schema::string()),
        ("name", schema::string()),
        ("description", schema::string()),
        ("resources", schema::array(schema::string())),
        ("actions", schema::array(schema::string())),
        ("version", schema::string()),
        ("settings", schema::free_object()),
    ])
    .required(["slug", "name", "description", "resources", "actions", "version"])
}

async fn products(call: Call) -> Result<Reply> {
    let all = call.kernel.catalogue.products();
    Reply::json(200, &json!({"count": all.len(), "next": null, "previous": null, "results": all}))
}

async fn product(call: Call) -> Result<Reply> {
    Reply::json(200, call.kernel.catalogue.get(call.param("slug")).ok_or_else(Problem::not_found)?)
}
