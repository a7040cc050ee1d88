//! `/products/` and `/product-subscriptions/`. What costs or saves money needs the right to the company's billing, which owners have
//! and admins do not; suspending and resuming is the installation's own matter.

use loopd_kernel::subscription::{self, rules};
use loopd_types::{Problem, Result};
use loopd_web::{Call, Operation, Param, Reply, Schema as _, schema};
use serde_json::{Value, json};

use loopd_web::rows::{Rows, nothing, settled, system_view};

pub(super) const SUBSCRIPTIONS: Rows =
    Rows::core("product-subscriptions", "ProductSubscription", &subscription::LISTING);

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
        SUBSCRIPTIONS.write_in(
            system_view,
            SUBSCRIPTIONS
                .document(
                    Operation::post("product_subscriptions_create", SUBSCRIPTIONS.url(), nothing),
                    "Subscribe to a product",
                )
                .describe(
                    "Without a plan it is a trial. A plan is sold by its newest edition, which the subscription keeps; the first period is \
                     billed at once unless the plan begins with days of trial. 409 `seats_in_use` when there would be fewer seats than people.",
                )
                .tenant(None, BILLING)
                .body(choice().property("product", schema::text(1, 80)).required(["product"])),
            201,
            subscription::create,
        ),
        SUBSCRIPTIONS.write_item_in(
            system_view,
            SUBSCRIPTIONS
                .action_document("change-plan", "Change plan, price or seats")
                .describe(
                    "What costs more counts at once: what is not used of the running period is taken off the price of its rest. What costs \
                     less begins with the next period unless `when` is `now`; the difference is then the company's credit. A trial only notes \
                     the plan that it becomes. 409 `seats_in_use` when there would be fewer seats than people, now or then.",
                )
                .tenant(None, BILLING)
                .body(choice().property("when", schema::one_of(["now", "period_end"]))),
            subscription::change_plan,
        ),
    ];
    for (action, ..) in rules::MOVES {
        let is_ours = subscription::SUPERUSER_MOVES.contains(&action);
        let whose = if is_ours { " (superusers)" } else { "" };
        let summary = format!("{} a subscription{whose}", capitalised(action));
        let document = SUBSCRIPTIONS.action_document(action, &summary);
        let document = match action {
            "activate" => document
                .tenant(None, BILLING)
                .describe("409 `seats_in_use` when there would be fewer seats than people work in the company or are invited to it.")
                .optional_body(choice()),
            "cancel" => document
                .tenant(None, BILLING)
                .describe("Open to the end of what was paid, unless `at_once` is true.")
                .optional_body(schema::object([("at_once", schema::boolean())])),
            _ if is_ours => document.tenant(None, &SUBSCRIPTIONS.permission(&format!("action:{action}"))),
            _ => document.tenant(None, BILLING),
        };
        let operation = SUBSCRIPTIONS.write_item_in(system_view, document, move |tx, kernel, tenant, id, body| {
            subscription::act(tx, kernel, tenant, id, action, body)
        });
        all.push(if ["suspend", "cancel"].contains(&action) { settled(operation) } else { operation });
    }
    all
}

/// What is chosen when something is bought.
fn choice() -> Value {
    schema::object([
        ("plan", schema::text(1, 60)),
        ("interval", schema::one_of(["month", "year"])),
        ("currency", schema::text(3, 4)),
        ("seats", schema::integer_between(1, 1_000_000)),
        ("coupon", schema::text(0, 40)),
    ])
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
