//! Plans, subscriptions and bills.

use http::Method;
use loopd_store::View;
use loopd_testkit::json;

use super::Tour;
use crate::support::World;

/// What the operator sells by, and a bill from its draft to its end.
pub(super) async fn billing(world: &World, tour: &mut Tour) {
    let (nobody, owner) = (world.client(), tour.owner.clone());
    let operator = world.superuser_named("teller").await.in_company("001");
    let base = "/api/v1/billing";
    let meter = json!({"code": "posts", "product": "cms", "name": "Posts", "kinds": ["cms.posts.created"]});
    let meter = tour.post_as(&operator, &format!("{base}/meters/"), meter).await.text_at("/id");
    for action in ["deactivate", "activate"] {
        tour.post_as(&operator, &format!("{base}/meters/{meter}/{action}/"), json!({})).await;
    }
    // Yet to come, so that it can be taken away again.
    let rate = json!({"country": "RW", "name": "VAT", "rate_ppm": 180_000, "valid_from": "2040-01-01T00:00:00Z"});
    let rate = tour.post_as(&operator, &format!("{base}/tax-rates/"), rate).await.text_at("/id");
    let rate = format!("{base}/tax-rates/{rate}/");
    let coupon =
        tour.post_as(&operator, &format!("{base}/coupons/"), json!({"code": "HALF", "percent_ppm": 500_000})).await;
    let coupon = format!("{base}/coupons/{}/", coupon.text_at("/id"));
    for action in ["withdraw", "activate"] {
        tour.post_as(&operator, &format!("{coupon}{action}/"), json!({})).await;
    }
    for item in [&coupon, &rate] {
        tour.get_as(&operator, item).await;
        let request = operator.patch(item).json(&json!({"name": "For friends"}));
        tour.call(Method::PATCH, item, request).await;
    }
    for list in ["meters", "tax-rates", "coupons"] {
        tour.get_as(&operator, &format!("{base}/{list}/")).await;
    }
    tour.get_as(&operator, &format!("{base}/seller/")).await;
    let request = operator.patch(&format!("{base}/seller/")).json(&json!({"name": "LOOP Ltd"}));
    tour.call(Method::PATCH, &format!("{base}/seller/"), request).await;
    let prices = json!([{"interval": "month", "currency": "RWF", "amount_minor": 30_000}]);
    let plan = json!({"product": "cms", "code": "standard", "name": "Standard", "prices": prices, "trial_days": 0});
    let item = format!("/api/v1/plans/{}/", tour.post_as(&operator, "/api/v1/plans/", plan).await.text_at("/id"));
    tour.get_as(&nobody, "/api/v1/plans/").await;
    tour.get_as(&nobody, &item).await;
    for (method, body) in
        [(Method::PUT, json!({"name": "Basic"})), (Method::PATCH, json!({"description": "For shops"}))]
    {
        let request = operator.request(method.clone(), &item).json(&body);
        tour.call(method, &item, request).await;
    }
    for action in ["archive", "activate"] {
        tour.post_as(&operator, &format!("{item}{action}/"), json!({})).await;
    }
    tour.get(&format!("{base}/account/")).await;
    let found =
        owner.get("/api/v1/product-subscriptions/?product=cms").await.expect_status(200).text_at("/results/0/id");
    tour.post(&format!("/api/v1/product-subscriptions/{found}/change-plan/"), json!({"plan": "standard"})).await;
    for list in ["invoices", "payments", "usage"] {
        tour.get(&format!("{base}/{list}/")).await;
    }
    let lines = json!({"lines": [{"description": "A day of help", "unit_minor": 1_000}]});
    for (action, body) in
        [("void", json!({})), ("mark-uncollectible", json!({})), ("pay", json!({})), ("mark-paid", json!({}))]
    {
        let draft = tour.post_as(&operator, &format!("{base}/invoices/"), lines.clone()).await.text_at("/id");
        let item = format!("{base}/invoices/{draft}/");
        tour.post_as(&operator, &format!("{item}finalize/"), json!({})).await;
        if action == "pay" {
            // Only for this one, so that the others wait to be paid by hand.
            tour.patch(&format!("{base}/account/"), json!({"payment_method": "sandbox", "payer": "anna"})).await;
            tour.post(&format!("{item}pay/"), body).await;
            tour.patch(&format!("{base}/account/"), json!({"payment_method": "manual"})).await;
        } else {
            tour.post_as(&operator, &format!("{item}{action}/"), body).await;
        }
        if action == "mark-paid" {
            tour.post_as(&operator, &format!("{item}credit-note/"), json!({"reason": "Rain"})).await;
        }
        tour.get(&item).await;
        tour.get(&format!("{item}pdf/")).await;
    }
    let request = operator.delete(&rate);
    tour.call(Method::DELETE, &rate, request).await;
}

/// Every product has a trial from the start, so one is taken away first, as if it had been installed later.
pub(super) async fn subscribe(world: &World, tour: &mut Tour) {
    let taken = world.kernel.db.write(View::System, |tx| {
        Ok(tx.execute("DELETE FROM product_subscriptions WHERE product = 'chat' AND company_id = 1", &[])?)
    });
    assert_eq!(taken.await.expect("a row can be deleted"), 1);
    tour.post("/api/v1/product-subscriptions/", json!({"product": "chat", "plan": "free", "seats": 3})).await;
}
