//! What the operator sells by: `/plans/` (to be seen by everybody), coupons, meters, tax rates.

use loopd_kernel::billing::{coupon, meter, tax};
use loopd_kernel::listing::Conditions;
use loopd_kernel::plan;
use loopd_store::{Value as Sql, View};
use loopd_types::{Problem, Result};
use loopd_web::{Call, Operation, Reply, Schema as _, schema};
use serde_json::Value;

use super::{given, operate};
use loopd_web::rows::{Rows, list, list_params, nothing};

pub(in crate::account) const PLANS: Rows = Rows::core("plans", "Plan", &plan::LISTING);
pub(in crate::account) const COUPONS: Rows = Rows::core("billing/coupons", "BillingCoupon", &coupon::LISTING);
pub(in crate::account) const METERS: Rows = Rows::core("billing/meters", "BillingMeter", &meter::LISTING);
pub(in crate::account) const TAX_RATES: Rows = Rows::core("billing/tax-rates", "BillingTaxRate", &tax::LISTING);

pub(super) fn operations() -> Vec<Operation> {
    let mut all = plans();
    all.extend(coupons());
    all.extend(meters());
    all.extend(tax_rates());
    all
}

fn plans() -> Vec<Operation> {
    let post = |action: &str, summary: &str| PLANS.action_document(action, summary);
    vec![
        PLANS
            .document(Operation::get("plans_list", PLANS.url(), list_plans), "List the plans that are on sale")
            .params(list_params(&plan::LISTING))
            .responds(200, "One page.", schema::paginated(PLANS.row())),
        PLANS
            .document(Operation::get("plans_retrieve", PLANS.item_url(), retrieve_plan), "Read a plan that is on sale")
            .responds(200, "The plan in its newest edition.", PLANS.row()),
        operate(
            PLANS,
            PLANS
                .document(Operation::post("plans_create", PLANS.url(), nothing), "Put a plan on sale (superusers)")
                .body(
                    plan_body()
                        .property("product", schema::text(1, 80))
                        .property("code", schema::text(1, 60))
                        .required(["product", "code", "name", "prices"]),
                ),
            201,
            |tx, kernel, actor, _, body| plan::create(tx, kernel, actor, body),
        ),
        change_plan(Operation::put("plans_update", PLANS.item_url(), nothing), "Replace a plan (superusers)", false),
        change_plan(
            Operation::patch("plans_partial_update", PLANS.item_url(), nothing),
            "Change a plan (superusers)",
            true,
        ),
        operate(PLANS, post("archive", "Take a plan off sale (superusers)"), 200, |tx, kernel, actor, id, _| {
            plan::set_status(tx, kernel, actor, given(id)?, false).and(given(id))
        }),
        operate(PLANS, post("activate", "Put a plan back on sale (superusers)"), 200, |tx, kernel, actor, id, _| {
            plan::set_status(tx, kernel, actor, given(id)?, true).and(given(id))
        }),
    ]
}

fn change_plan(operation: Operation, summary: &str, partial: bool) -> Operation {
    let body = if partial { plan_body() } else { plan_body().required(["name"]) };
    let document = PLANS.document(operation, summary).body(body).describe(
        "A change of prices, limits, features, seats, trial or metered units makes a new edition; who bought an earlier one keeps it.",
    );
    operate(PLANS, document, 200, move |tx, kernel, actor, id, body| {
        plan::update(tx, kernel, actor, given(id)?, body, partial).and(given(id))
    })
}

fn plan_body() -> Value {
    let minor = || schema::integer_between(0, 1_000_000_000_000);
    let price = schema::object([
        ("interval", schema::one_of(["month", "year"])),
        ("currency", schema::text(3, 4)),
        ("amount_minor", minor()),
        ("seat_minor", minor()),
    ])
    .required(["interval", "currency", "amount_minor"]);
    let tier = schema::object([
        ("up_to", minor().nullable()),
        ("amount_minor", minor()),
        ("per", minor()),
        ("flat_minor", minor()),
    ])
    .required(["amount_minor"]);
    let metered = schema::object([
        ("meter", schema::text(1, 60)),
        ("included", minor()),
        ("soft_limit", minor().nullable()),
        ("hard_limit", minor().nullable()),
        ("mode", schema::one_of(["graduated", "volume"])),
        ("currency", schema::text(0, 4)),
        ("tiers", schema::array(tier)),
    ])
    .required(["meter"]);
    let limits = schema::object(plan::Limits::NAMES.map(|name| (name, minor().nullable())));
    schema::object([
        ("name", schema::text(1, 120)),
        ("description", schema::text(0, 4_000)),
        ("prices", schema::array(price)),
        ("included_seats", schema::integer_between(0, 1_000_000)),
        ("trial_days", schema::integer_between(0, 3_650)),
        ("limits", limits),
        ("features", schema::array(schema::string())),
        ("metered", schema::array(metered)),
    ])
}

fn on_sale() -> Conditions {
    Conditions::default().and("p.status = {}", [Sql::from("active")])
}

async fn list_plans(call: Call) -> Result<Reply> {
    list(&call, View::System, |reader, query| plan::LISTING.list(reader, query, None, on_sale())).await
}

async fn retrieve_plan(call: Call) -> Result<Reply> {
    let id = call.id()?;
    let found =
        call.kernel.db.read(View::System, move |reader| plan::LISTING.find(reader, id, None, on_sale())).await?;
    Ok(Reply::json_bytes(200, found.ok_or_else(Problem::not_found)?))
}

fn coupons() -> Vec<Operation> {
    let body = schema::object([
        ("code", schema::text(1, 40)),
        ("name", schema::text(0, 120)),
        ("percent_ppm", schema::integer_between(1, 1_000_000).nullable()),
        ("amount_minor", schema::integer_between(1, 1_000_000_000_000).nullable()),
        ("currency", schema::text(0, 4)),
        ("periods", schema::integer_between(1, 1_200).nullable()),
        ("product", schema::text(0, 80)),
        ("max_redemptions", schema::integer_between(1, 1_000_000_000).nullable()),
        ("expires_at", schema::date_time().nullable()),
    ]);
    let create = Operation::post(COUPONS.operation_id("create"), COUPONS.url(), nothing);
    let create = COUPONS
        .document(create, "Make a coupon (superusers)")
        .describe(
            "`percent_ppm` (10 % is 100000) or `amount_minor` with `currency`; for `periods` bills, for ever without.",
        )
        .body(body.clone().required(["code"]));
    let update = Operation::patch(COUPONS.operation_id("partial_update"), COUPONS.item_url(), nothing);
    let update = COUPONS
        .document(update, "Change a coupon (superusers)")
        .describe(
            "`name`, `max_redemptions` and `expires_at` at any time; what it takes off, its code and its product until somebody redeems it. \
             A moment in the past ends it.",
        )
        .body(body)
        .responds(409, "`coupon_in_use`: it was redeemed; withdraw it and make a new one.", schema::component("Error"));
    let switch = |action: &str, summary: &str, is_active: bool| {
        operate(COUPONS, COUPONS.action_document(action, summary), 200, move |tx, kernel, actor, id, _| {
            coupon::set_active(tx, kernel, actor, given(id)?, is_active).and(given(id))
        })
    };
    vec![
        COUPONS.list_for_operator("List all coupons (superusers)"),
        COUPONS.retrieve_for_operator("Read a coupon (superusers)"),
        operate(COUPONS, create, 201, |tx, kernel, actor, _, body| coupon::create(tx, kernel, actor, body)),
        operate(COUPONS, update, 200, |tx, kernel, actor, id, body| {
            coupon::update(tx, kernel, actor, given(id)?, body).and(given(id))
        }),
        switch("withdraw", "Let a coupon be redeemed no more (superusers)", false),
        switch("activate", "Let a coupon be redeemed again (superusers)", true),
    ]
}

fn meters() -> Vec<Operation> {
    let body = schema::object([
        ("code", schema::text(1, 60)),
        ("product", schema::text(1, 80)),
        ("name", schema::text(1, 120)),
        ("unit", schema::text(0, 40)),
        ("kinds", schema::array(schema::string())),
        ("field", schema::text(0, 60)),
        ("guards", schema::array(schema::string())),
    ]);
    let create = Operation::post(METERS.operation_id("create"), METERS.url(), nothing);
    let create = METERS
        .document(create, "Make a meter (superusers)")
        .describe(
            "Counts events of these `kinds` from now on, one each or the whole number in the payload's `field`. `guards` are the permissions \
             whose calls are refused where a plan's hard limit is reached.",
        )
        .body(body.required(["code", "product", "name", "kinds"]));
    let switch = |action: &str, summary: &str, is_active: bool| {
        operate(METERS, METERS.action_document(action, summary), 200, move |tx, kernel, actor, id, _| {
            meter::set_active(tx, kernel, actor, given(id)?, is_active).and(given(id))
        })
    };
    vec![
        METERS.list_for_operator("List all meters (superusers)"),
        operate(METERS, create, 201, |tx, kernel, actor, _, body| meter::create(tx, kernel, actor, body)),
        switch("deactivate", "Let a meter count no more (superusers)", false),
        switch("activate", "Let a meter count again (superusers)", true),
    ]
}

const IN_FORCE: &str =
    "`tax_rate_in_force`: bills may have been reckoned by it; add a rate from another moment, of 0 to end a tax.";

fn tax_rates() -> Vec<Operation> {
    let body = schema::object([
        ("country", schema::text(2, 2)),
        ("name", schema::text(1, 60)),
        ("rate_ppm", schema::integer_between(0, 999_999)),
        ("inclusive", schema::boolean()),
        ("valid_from", schema::date_time()),
    ]);
    let create = Operation::post(TAX_RATES.operation_id("create"), TAX_RATES.url(), nothing);
    let create = TAX_RATES
        .document(create, "Add a tax rate (superusers)")
        .describe(
            "In millionths: 18 % is 180000. `inclusive`: prices hold it already. The newest that is in force counts.",
        )
        .body(body.clone().required(["country", "name", "rate_ppm"]));
    let update = Operation::patch(TAX_RATES.operation_id("partial_update"), TAX_RATES.item_url(), nothing);
    let update = TAX_RATES
        .document(update, "Change a tax rate (superusers)")
        .describe("All of a rate that is yet to come; of one that came into force only the `name`.")
        .body(body)
        .responds(409, IN_FORCE, schema::component("Error"));
    let remove = Operation::delete(TAX_RATES.operation_id("destroy"), TAX_RATES.item_url(), remove_rate);
    vec![
        TAX_RATES.list_for_operator("List all tax rates (superusers)"),
        TAX_RATES.retrieve_for_operator("Read a tax rate (superusers)"),
        operate(TAX_RATES, create, 201, |tx, kernel, actor, _, body| tax::create(tx, kernel, actor, body)),
        operate(TAX_RATES, update, 200, |tx, kernel, actor, id, body| {
            tax::update(tx, kernel, actor, given(id)?, body).and(given(id))
        }),
        TAX_RATES
            .document(remove, "Take away a tax rate that is yet to come (superusers)")
            .superuser()
            .responds_empty(204, "It will never be in force.")
            .responds(409, IN_FORCE, schema::component("Error")),
    ]
}

async fn remove_rate(call: Call) -> Result<Reply> {
    let (kernel, actor, id) = (call.kernel.clone(), call.caller.actor(), call.id()?);
    call.commit(View::System, move |tx| {
        tax::delete(tx, &kernel, &actor, id)?;
        Ok(Reply::no_content())
    })
    .await
}
