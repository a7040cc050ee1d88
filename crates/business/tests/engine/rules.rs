//! What definitions say: lines, sums, derived fields, unique sets, guards, effects, doors, custom operations.

use loopd_testkit::{Client, each_engine, json};
use serde_json::Value;

use crate::support::World;

const ORDERS: &str = "/api/v1/shop/orders/";
const PAYMENTS: &str = "/api/v1/shop/payments/";
const PRODUCTS: &str = "/api/v1/shop/products/";

async fn product(client: &Client, sku: &str, price: i64) -> String {
    let body = json!({"title": sku, "sku": sku, "price": price, "page": sku.to_lowercase()});
    client.post(PRODUCTS).json(&body).await.expect_status(201).text_at("/id")
}

fn path(base: &str, record: &Value) -> String {
    format!("{base}{}/", record["id"].as_str().unwrap())
}

each_engine! {
    async fn lines_are_kept_summed_and_replaced(world: &World) {
        let owner = &world.owner;
        let (tea, cup) = (product(owner, "TEA", 500).await, product(owner, "CUP", 1_500).await);
        let body = json!({"discount": "10", "lines": [{"product": tea, "quantity": 4}, {"product": cup, "unit_price": "1000"}]});
        let made = owner.post(ORDERS).json(&body).await.expect_status(201).json();
        assert_eq!((&made["subtotal"], &made["total"], &made["discount"]), (&json!("3000"), &json!("2700"), &json!("10")));
        assert_eq!(made["lines"][0]["amount"], "2000");
        let at = path(ORDERS, &made);
        let kept = made["lines"][1]["id"].clone();
        let change = json!({"lines": [{"id": kept, "quantity": 2}, {"product": tea}]});
        let changed = owner.patch(&at).json(&change).await.expect_status(200).json();
        assert_eq!((&changed["lines"][0]["id"], &changed["lines"][0]["amount"]), (&kept, &json!("2000")));
        assert_eq!((changed["lines"].as_array().unwrap().len(), &changed["subtotal"]), (2, &json!("2500")));
        assert_eq!(owner.get(&at).await.expect_status(200).json(), changed);
        let plain = owner.get(ORDERS).await.json()["results"][0].clone();
        assert!(plain.get("lines").is_none(), "lists show lines when asked to");
        let with_lines = owner.get(ORDERS).query("expand", "lines").await.expect_status(200).json()["results"][0].clone();
        assert_eq!(with_lines, changed);
        for (line, field, code) in [
            (json!({"quantity": 1}), "lines.0.product", "required"),
            (json!({"product": tea, "quantity": 0}), "lines.0.quantity", "min_value"),
            (json!({"id": tea, "quantity": 1}), "lines.0.id", "does_not_exist"),
            (json!({"product": kept}), "lines.0.product", "does_not_exist"),
            (json!(5), "lines.0", "invalid"),
        ] {
            owner.patch(&at).json(&json!({"lines": [line]})).await.expect_status(400).expect_field(field, code);
        }
        let same = owner.patch(&at).json(&json!({"lines": []})).await.expect_status(200).json();
        assert_eq!((&same["lines"], &same["total"]), (&json!([]), &json!("0")));
    }

    async fn sums_of_other_records_follow_them_and_move_the_status(world: &World) {
        let owner = &world.owner;
        let tea = product(owner, "TEA", 500).await;
        let order = owner.post(ORDERS).json(&json!({"lines": [{"product": tea, "quantity": 4}]})).await.expect_status(201).json();
        let at = path(ORDERS, &order);
        owner.post(&format!("{at}place/")).await.expect_status(200);
        for (amount, status, paid) in [(1_500, "placed", "1500"), (500, "paid", "2000")] {
            let body = json!({"order": order["id"], "amount": amount});
            let payment = owner.post(PAYMENTS).json(&body).await.expect_status(201).json();
            owner.post(PAYMENTS).json(&body).await.expect_status(400).expect_field("order", "unique");
            owner.post(&format!("{}succeed/", path(PAYMENTS, &payment))).await.expect_status(200);
            let now = owner.get(&at).await.json();
            assert_eq!((&now["paid"], &now["status"]), (&json!(paid), &json!(status)));
        }
        assert_eq!(owner.get(&at).await.json()["payment_count"], 2);
        let payments = owner.get(PAYMENTS).query("order", order["id"].as_str().unwrap()).await.json();
        assert_eq!(payments["count"], 2);
        let gone = path(PAYMENTS, &payments["results"][0]);
        owner.delete(&gone).await.expect_status(204);
        assert_eq!(owner.get(&at).await.json()["paid"], "1500");
        owner.post(&format!("{gone}restore/")).await.expect_status(200);
        assert_eq!(owner.get(&at).await.json()["paid"], "2000");
        owner.patch(&gone).json(&json!({"order": tea})).await.expect_status(200);
        assert_eq!(owner.get(&gone).await.json()["order"], order["id"], "a fixed field stays");
    }

    async fn unique_values_are_unique_among_the_living(world: &World) {
        let owner = &world.owner;
        product(owner, "TEA", 500).await;
        let twin = json!({"title": "x", "sku": "TEA", "price": 1});
        owner.post(PRODUCTS).json(&twin).await.expect_status(400).expect_field("sku", "unique");
        let page = |sku: &str, page: Value, language: &str| json!({"title": "x", "sku": sku, "price": 1, "page": page, "language": language});
        owner.post(PRODUCTS).json(&page("B", json!("tea"), "fr")).await.expect_status(201);
        let refused = owner.post(PRODUCTS).json(&page("C", json!("tea"), "en")).await.expect_status(400);
        assert_eq!(refused.json()["error"]["details"]["non_field_errors"][0]["message"], "The fields page, language must make a unique set.");
        // an empty field counts as a value: one product without a page for each language
        owner.post(PRODUCTS).json(&page("D", json!(null), "en")).await.expect_status(201);
        owner.post(PRODUCTS).json(&page("E", json!(null), "en")).await.expect_status(400);
        owner.post(PRODUCTS).json(&page("F", json!(null), "fr")).await.expect_status(201);
        owner.post(PRODUCTS).json(&page("G", json!("a b"), "en")).await.expect_status(400).expect_field("page", "invalid");
    }

    async fn inputs_for_rules_stay_out_of_the_record(world: &World) {
        let owner = &world.owner;
        let made = owner.post(ORDERS).json(&json!({})).await.expect_status(201).json();
        let at = path(ORDERS, &made);
        let said = owner.post(&format!("{at}remark/")).json(&json!({"reason": "Hurry"})).await.expect_status(200).json();
        assert_eq!((&said["title"], &said["reason"]), (&json!("Hurry"), &json!(null)));
        let cancelled = owner.post(&format!("{at}cancel/")).json(&json!({"reason": "Late"})).await.expect_status(200).json();
        assert_eq!((&cancelled["title"], &cancelled["reason"]), (&json!("Hurry"), &json!("Late")));
    }

    async fn moves_that_are_not_allowed_say_what_is(world: &World) {
        let owner = &world.owner;
        let tea = product(owner, "TEA", 500).await;
        let order = owner.post(ORDERS).json(&json!({})).await.expect_status(201).json();
        let at = path(ORDERS, &order);
        owner.post(&format!("{at}place/")).await.expect_refusal(409, "empty_order");
        owner.patch(&at).json(&json!({"lines": [{"product": tea}]})).await.expect_status(200);
        let allowed = owner.get(&format!("{at}actions/")).await.expect_status(200).json();
        let names: Vec<_> = allowed["actions"].as_array().unwrap().iter().map(|action| action["name"].clone()).collect();
        assert_eq!(names, ["place", "remark", "cancel"]);
        let placed = owner.post(&format!("{at}place/")).await.expect_status(200).json();
        assert_eq!((&placed["status"], &placed["placed_at"]), (&json!("placed"), &json!("2026-06-22T10:00:00.000000Z")));
        let refused = owner.post(&format!("{at}place/")).await.expect_refusal(409, "invalid_transition").json();
        assert_eq!(refused["error"]["details"], json!({"from": "placed", "action": "place", "allowed": ["cancel"]}));
        owner.post(&format!("{at}cancel/")).json(&json!({})).await.expect_status(400).expect_field("reason", "required");
        owner.post(&format!("{at}cancel/")).header("if-match", "\"1\"").json(&json!({"reason": "x"})).await.expect_refusal(412, "precondition_failed");
        let cancelled = owner.post(&format!("{at}cancel/")).json(&json!({"reason": "Too late"})).await.expect_status(200).json();
        assert_eq!((&cancelled["status"], &cancelled["reason"]), (&json!("cancelled"), &json!("Too late")));
        owner.post(&format!("{at}explode/")).await.expect_status(404);
        let kinds = world.kernel.db.read(loopd_store::View::System, |reader| {
            let sql = "SELECT kind FROM events WHERE company_id = 1 AND kind LIKE 'shop.orders.%' ORDER BY position";
            Ok(reader.query(sql, &[], |row| Ok(row.text(0)?.to_owned()))?)
        });
        let expected = ["shop.orders.created", "shop.orders.updated", "shop.orders.placed", "shop.orders.cancelled"];
        assert_eq!(kinds.await.unwrap(), expected);
    }

    async fn an_appointment_lives(world: &World) {
        let owner = &world.owner;
        let service = owner.post("/api/v1/booking/services/").json(&json!({"name": "Haircut", "duration_min": 45, "price": 5000})).await.expect_status(201).json();
        assert_eq!(service["title"], "Haircut");
        let made = owner.post("/api/v1/booking/appointments/").json(&json!({"title": "Anna", "service": service["id"]})).await.expect_status(201).json();
        assert_eq!((&made["status"], &made["price"]), (&json!("draft"), &json!("5000")));
        let at = path("/api/v1/booking/appointments/", &made);
        owner.post(&format!("{at}confirm/")).await.expect_status(400).expect_field("starts_at", "required");
        let moved = owner.post(&format!("{at}reschedule/")).json(&json!({"starts_at": "2026-07-01T08:00:00Z"})).await.expect_status(200).json();
        assert_eq!((&moved["status"], &moved["starts_at"]), (&json!("pending"), &json!("2026-07-01T08:00:00.000000Z")));
        owner.post(&format!("{at}confirm/")).await.expect_status(200);
        let again = owner.post(&format!("{at}reschedule/")).json(&json!({"starts_at": "2026-07-02T08:00:00Z"})).await.expect_status(200).json();
        assert_eq!(again["status"], "confirmed");
        let here = owner.post(&format!("{at}check-in/")).await.expect_status(200).json();
        assert_eq!((&here["status"], here["checked_in_at"].is_string()), (&json!("checked_in"), true));
        let over = owner.post(&format!("{at}complete/")).await.expect_status(200).json();
        assert_eq!(over["status"], "completed");
        let refused = owner.post(&format!("{at}cancel/")).json(&json!({"reason": "no"})).await.expect_refusal(409, "invalid_transition");
        assert_eq!(refused.json()["error"]["details"]["allowed"], json!([]));
    }

    async fn strangers_see_and_send_what_the_definition_names(world: &World) {
        let owner = &world.owner;
        let stranger = owner.anonymous();
        let tea = product(owner, "TEA", 500).await;
        let hidden = product(owner, "OLD", 500).await;
        owner.patch(&format!("{PRODUCTS}{hidden}/")).json(&json!({"status": "archived"})).await.expect_status(200);
        let listed = stranger.get("/api/v1/shop/public/001/products/").await.expect_status(200).json();
        assert_eq!(listed["results"], json!([{"title": "TEA", "sku": "TEA", "price": "500", "currency": "RWF"}]));
        assert_eq!(stranger.get("/api/v1/shop/public/001/products/TEA/").await.expect_status(200).json()["price"], "500");
        for nothing in ["/api/v1/shop/public/001/products/OLD/", "/api/v1/shop/public/999/products/", "/api/v1/shop/public/x/products/"] {
            stranger.get(nothing).await.expect_refusal(404, "not_found");
        }
        stranger.get("/api/v1/shop/public/001/products/").query("status", "archived").await.expect_status(400);
        let order = json!({"title": "From outside", "discount": "100", "lines": [{"product": tea}]});
        let taken = stranger.post("/api/v1/shop/public/001/orders/").json(&order).await.expect_status(201).json();
        assert_eq!((&taken["number"], taken.get("seller"), taken.get("company")), (&json!("ORD-000001"), None, None));
        let seen = owner.get(&path(ORDERS, &taken)).await.expect_status(200).json();
        assert_eq!((&seen["discount"], &seen["created_by"], &seen["total"]), (&json!("0"), &Value::Null, &json!("500")));
    }

    async fn custom_operations_are_checked_like_everything_else(world: &World) {
        let owner = &world.owner;
        let tea = product(owner, "TEA", 500).await;
        let sold = owner.post("/api/v1/shop/quick-sale/").json(&json!({"product": tea, "quantity": 3})).await.expect_status(201).json();
        assert_eq!((&sold["status"], &sold["total"]), (&json!("placed"), &json!("1500")));
        owner.post("/api/v1/shop/quick-sale/").json(&json!({"quantity": 3})).await.expect_status(400).expect_field("product", "required");
        owner.post("/api/v1/shop/quick-sale/").json(&json!({"product": sold["id"]})).await.expect_status(400).expect_field("product", "does_not_exist");
        let totals = owner.get("/api/v1/shop/totals/").query("since", "2026-06-01T00:00:00Z").await.expect_status(200).json();
        assert_eq!(totals, json!({"orders": 1, "total": 1500}));
        owner.get("/api/v1/shop/totals/").await.expect_status(400).expect_field("since", "required");
        owner.get("/api/v1/shop/totals/").query("until", "x").await.expect_status(400).expect_field("until", "unknown_parameter");
        owner.anonymous().get("/api/v1/shop/totals/").await.expect_status(401);
    }

    async fn append_only_records_stay(world: &World) {
        let made = world.owner.post("/api/v1/shop/notes/").json(&json!({"title": "x"})).await.expect_status(201).json();
        let at = path("/api/v1/shop/notes/", &made);
        world.owner.patch(&at).json(&json!({"title": "y"})).await.expect_refusal(405, "method_not_allowed");
        world.owner.delete(&at).await.expect_refusal(405, "method_not_allowed");
        let operations = json!({"operations": [{"op": "delete", "id": made["id"]}]});
        world.owner.post("/api/v1/shop/notes/bulk/").json(&operations).await.expect_refusal(405, "method_not_allowed");
    }
}
