//! A module that has everything a definition can say: money in lines, sums of lines and of other records, derived fields, unique sets,
//! guards, effects, hooks, public doors, custom operations.

use loopd_business::define::*;
use serde_json::json;

pub fn module() -> Module {
    Module::new("shop", "Shop")
        .description("Orders and payments of a small shop; for tests.")
        .resource(products())
        .resource(orders())
        .resource(payments())
        .resource(notes())
        .operation(
            Custom::get("totals", "totals/", totals)
                .summary("What was sold")
                .input(date_time("since").required().help("From when on."))
                .permission("orders.view"),
        )
        .operation(
            Custom::post("same_again", "same-again/", same_again)
                .summary("Sell once more what an order had")
                .input(text("number", 20).required().help("The order's number."))
                .permission("orders.create")
                .status(201),
        )
        .operation(
            Custom::post("quick_sale", "quick-sale/", quick_sale)
                .summary("Sell one thing")
                .input(reference("product", "shop/products").required().help("What."))
                .input(integer("quantity").min(1).default(1).help("How many."))
                .permission("orders.create")
                .status(201),
        )
}

fn products() -> Resource {
    Resource::unnumbered("products")
        .help("Something to sell.")
        .field(code("sku").required().unique().help("Stock keeping unit.").example("TEA-1"))
        .field(slug("page").help("Address of its page."))
        .field(language("language").default("en").help("Language of the page."))
        .field(money("price").required().help("Price of one."))
        .field(decimal("weight_kg", 3).help("Weight."))
        .field(boolean("is_food").default(false).help("Whether one can eat it."))
        .field(date("best_before").help("Last good day."))
        .field(time_of_day("opens_at").help("From which hour on it is sold."))
        .field(references("related", "shop/products").help("Other things that go with it."))
        .unique(&["page", "language"])
        .search(&["title", "sku"])
        .public_list(&["title", "sku", "price", "currency"], &["active"])
        .public_retrieve("sku", &["title", "sku", "price", "currency"], &["active"])
}

fn orders() -> Resource {
    Resource::new("orders", "ORD")
        .help("What somebody wants.")
        .title_optional()
        .field(percent("discount").default("0").help("Discount on everything."))
        .field(money("subtotal").sum_of_lines("lines", "amount").help("Sum of the lines."))
        .field(money("total").derived(total).help("Subtotal without the discount."))
        .field(money("paid").sum_of("shop/payments", "order", "amount", &["succeeded"]).help("What was paid."))
        .field(integer("payment_count").count_of("shop/payments", "order", &[]).help("How many payments there are."))
        .field(user("seller").preset(Preset::Caller).help("Who sells."))
        .field(text("reason", 200).read_only().help("Why it was cancelled."))
        .field(date_time("placed_at").read_only().help("When it was placed."))
        .lines(
            Lines::new("lines")
                .help("What is wanted.")
                .field(reference("product", "shop/products").required().help("What."))
                .field(integer("quantity").min(1).default(1).help("How many."))
                .field(money("unit_price").help("Price of one; the product's when absent."))
                .field(money("amount").read_only().help("Price of all."))
                .each(amount),
        )
        .states(&["open", "placed", "paid", "cancelled"])
        .automatic(&["paid"])
        .action(
            Action::to("place", &["open"], "placed")
                .guard(has_lines)
                .stamps("placed_at")
                .routine()
                .help("The customer means it."),
        )
        .action(
            Action::new("remark", &["open"])
                .input(text("reason", 200).input_only().help("Read by the rule, kept nowhere but in the title."))
                .effect(|_, order, input| {
                    order.set("title", input.text("reason").unwrap_or("nothing"));
                    Ok(())
                })
                .routine()
                .help("Say something about it."),
        )
        .action(
            Action::to("cancel", &["open", "placed"], "cancelled")
                .input(text("reason", 200).required().goes_to("reason").help("Why."))
                .help("Nobody wants it any longer."),
        )
        .before_create(price_lines)
        .before_update(|cx, _, order| {
            price_lines(cx, order)?;
            if order.status() == "placed" && order.minor("paid") > 0 && order.minor("paid") >= order.minor("total") {
                order.set_status("paid");
            }
            Ok(())
        })
        .public_create(&["title", "description", "lines"])
}

fn payments() -> Resource {
    Resource::unnumbered("payments")
        .help("Money for an order.")
        .title_optional()
        .field(reference("order", "shop/orders").required().fixed().help("For what."))
        .field(money("amount").required().help("How much."))
        .states(&["pending", "succeeded", "failed"])
        .action(Action::to("succeed", &["pending"], "succeeded").help("It came."))
        .action(Action::to("fail", &["pending"], "failed").help("It did not come."))
        .unique_while(&["order"], &["pending"])
}

fn notes() -> Resource {
    Resource::unnumbered("notes").help("A remark.").append_only()
}

fn total(order: &Record) -> Value {
    let subtotal = order.minor("subtotal");
    Value::Int(subtotal - subtotal * order.minor("discount") / 1_000_000)
}

fn amount(_: &Record, line: &mut Line) -> Result<()> {
    let amount = line.int("quantity").unwrap_or(0).checked_mul(line.minor("unit_price"));
    line.set("amount", amount.ok_or_else(|| Problem::field("quantity", "max_value", "Too much."))?);
    Ok(())
}

fn price_lines(cx: &mut Cx<'_, '_>, order: &mut Record) -> Result<()> {
    let Some(lines) = order.lines_mut("lines") else { return Ok(()) };
    for line in lines.iter_mut().filter(|line| !line.has("unit_price")) {
        if let Some(product) = line.id_in("product") {
            let price = cx.get("shop/products", product)?.int("price");
            line.set("unit_price", price);
        }
    }
    Ok(())
}

fn has_lines(_: &mut Cx<'_, '_>, order: &mut Record, _: &Input) -> Result<()> {
    if order.lines("lines").is_empty() {
        return Err(Problem::conflict("empty_order", "There is nothing in the order."));
    }
    Ok(())
}

fn totals(cx: &mut Viewer<'_, '_>, input: &Input) -> Result<serde_json::Value> {
    let since = input.time("since").unwrap_or_default();
    let sold = Where::new().status_in(&["placed", "paid"]).at_least("placed_at", since);
    Ok(json!({"orders": cx.count("shop/orders", &sold)?, "total": cx.sum("shop/orders", "total", &sold)?}))
}

/// Names what its rule found, whether the caller may see it or not.
fn same_again(cx: &mut Cx<'_, '_>, input: &Input) -> Result<serde_json::Value> {
    let which = Where::new().eq("number", input.text("number").unwrap_or_default()).limit(1);
    let found = cx.select("shop/orders", &which)?.into_iter().next().ok_or_else(Problem::not_found)?;
    let order = cx.get("shop/orders", found.id())?;
    let lines =
        order.lines("lines").iter().map(|line| json!({"product": line.id_in("product").map(|id| id.to_string())}));
    let body = json!({"workspace": order.workspace().map(|id| id.to_string()), "lines": lines.collect::<Vec<_>>()});
    cx.create("shop/orders", &body)?.to_json()
}

fn quick_sale(cx: &mut Cx<'_, '_>, input: &Input) -> Result<serde_json::Value> {
    let line = json!({"product": input.require_id("product")?.to_string(), "quantity": input.int("quantity")});
    let order = cx.create("shop/orders", &json!({"title": "Quick sale", "lines": [line]}))?;
    cx.act("shop/orders", order.id(), "place", &json!({}))?.to_json()
}
