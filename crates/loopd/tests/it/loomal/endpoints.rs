//! `/v0/sellers/endpoints`, their webhooks, and the public feed.

use loopd_kernel::webhook::sign;
use loopd_testkit::{each_engine, json};
use loopd_types::Secret;

use super::stage::Wallet;
use crate::support::{Receiver, World, eventually};

const ENDPOINTS: &str = "/v0/sellers/endpoints";
const URL: &str = "https://api.example.com/weather";

each_engine! {
    async fn an_endpoint_counts_what_is_paid_at_its_address(world: &World) {
        let owner = world.owner().await;
        let (project, buyer) = (world.project(&owner, "SELLER").await, Wallet::number(20));
        let made = project.client.put(ENDPOINTS).json(&json!({"urlPattern": URL, "priceUsdc": "0.05"})).await.expect_status(201);
        let id = made.text_at("/endpointId");
        assert!(id.starts_with("se_") && made.json().get("webhookSecret").is_none());
        project.sell(world, &buyer, "0.05", &format!("{URL}?city=Kigali"), 1).await;
        project.sell(world, &buyer, "0.07", &format!("{URL}/"), 2).await;
        project.sell(world, &buyer, "1", "https://api.example.com/other", 3).await;
        let listed = project.client.get(ENDPOINTS).await.expect_status(200).json();
        assert_eq!((&listed["count"], &listed["endpoints"][0]["callCount"]), (&json!(1), &json!(2)));
        assert_eq!(listed["endpoints"][0]["revenueUsdcRaw"], "120000");
        let payments = project.client.get("/v0/payments").await.json();
        assert_eq!(payments["payments"][0]["endpoint"], json!(null));
        assert_eq!(payments["payments"][1]["endpoint"]["id"], json!(id));
        // Changing it is no second one.
        project.client.put(ENDPOINTS).json(&json!({"urlPattern": URL, "priceUsdc": "0.06"})).await.expect_status(200);
        project.client.delete(&format!("{ENDPOINTS}/{id}")).await.expect_status(204);
        project.client.delete(&format!("{ENDPOINTS}/{id}")).await.expect_status(204);
        project.sell(world, &buyer, "0.05", URL, 4).await;
        let listed = project.client.get(ENDPOINTS).await.json();
        assert_eq!((&listed["endpoints"][0]["active"], &listed["endpoints"][0]["callCount"]), (&json!(false), &json!(2)));
        project.client.put(ENDPOINTS).json(&json!({"urlPattern": URL, "priceUsdc": "0.05"})).await.expect_status(201);
        assert_eq!(project.client.get(ENDPOINTS).await.at("/count"), json!(2));
    }

    async fn the_seller_is_told_of_every_payment_in_a_form_that_its_library_verifies(world: &World) {
        let owner = world.owner().await;
        let (project, buyer, receiver) = (world.project(&owner, "SELLER").await, Wallet::number(21), Receiver::start().await);
        let secret = "whsec_0123456789abcdef";
        let body = json!({"urlPattern": URL, "priceUsdc": "0.05", "webhookUrl": receiver.url, "webhookSecret": secret});
        let made = project.client.put(ENDPOINTS).json(&body).await.expect_status(201);
        assert!(!made.text().contains(secret));
        let paid = project.sell(world, &buyer, "0.05", URL, 1).await;
        project.sell(world, &buyer, "0.05", "https://api.example.com/other", 2).await;
        let told = &receiver.wait(1).await[0];
        assert_eq!(told.header("x-loomal-event"), "payment.received");
        let expected = sign(&Secret::new(secret.to_owned()), &[told.body.as_bytes()]);
        assert_eq!(told.header("x-loomal-signature"), format!("sha256={expected}"));
        assert!(!told.header("x-loomal-idempotency-key").is_empty());
        let event = told.json();
        assert_eq!((&event["event"], &event["id"]), (&json!("payment.received"), &paid["paymentInId"]));
        assert_eq!(event["signedReceipt"], paid["signedReceipt"]);
        // The log and its replay are the company's own.
        let listed = async || owner.get("/api/v1/webhook-deliveries/").await.expect_status(200).json();
        // What is still being sent when it is asked for again is sent once: its receiver has it before our records know.
        eventually("the delivery is on record", async || listed().await["results"][0]["status"] == "succeeded").await;
        let deliveries = listed().await;
        assert_eq!(deliveries["count"], 1, "{deliveries}");
        let again = format!("/api/v1/webhook-deliveries/{}/replay/", deliveries["results"][0]["id"].as_str().unwrap());
        owner.post(&again).await.expect_status(200);
        let told_again = &receiver.wait(2).await[1];
        assert_eq!((told_again.header("x-loomal-idempotency-key"), &told_again.body), (told.header("x-loomal-idempotency-key"), &told.body));
    }

    async fn a_secret_that_is_made_here_is_shown_once(world: &World) {
        let owner = world.owner().await;
        let (project, receiver) = (world.project(&owner, "SELLER").await, Receiver::start().await);
        let body = json!({"urlPattern": URL, "priceUsdc": "0.05", "webhookUrl": receiver.url});
        let made = project.client.put(ENDPOINTS).json(&body).await.expect_status(201);
        assert!(made.text_at("/webhookSecret").starts_with("whsec_"));
        let same = project.client.put(ENDPOINTS).json(&body).await.expect_status(200);
        assert!(same.json().get("webhookSecret").is_none());
    }

    async fn what_is_wrong_with_a_registration_is_said(world: &World) {
        let (owner, stranger) = world.strangers().await;
        let project = world.project(&owner, "SELLER").await;
        for body in [
            json!({}),
            json!({"urlPattern": URL}),
            json!({"urlPattern": "not an address", "priceUsdc": "1"}),
            json!({"urlPattern": "ftp://a.example/x", "priceUsdc": "1"}),
            json!({"urlPattern": URL, "priceUsdc": "free"}),
            json!({"urlPattern": URL, "priceUsdc": "1", "network": "dogecoin"}),
            json!({"urlPattern": URL, "priceUsdc": "1", "webhookUrl": "http://10.0.0.1/x"}),
            json!({"urlPattern": URL, "priceUsdc": "1", "webhookUrl": "https://user:pass@a.example/x"}),
            json!({"urlPattern": URL, "priceUsdc": "1", "webhookUrl": "https://a.example/x", "webhookSecret": "short"}),
            json!({"urlPattern": URL, "priceUsdc": "1", "webhookSecret": "long enough, and for nothing"}),
        ] {
            let answer = project.client.put(ENDPOINTS).json(&body).await.expect_status(400);
            assert_eq!(answer.text_at("/error"), "bad_request", "{body}");
        }
        let theirs = world.project(&stranger, "SELLER").await;
        let made = project.client.put(ENDPOINTS).json(&json!({"urlPattern": URL, "priceUsdc": "1"})).await.expect_status(201);
        let answer = theirs.client.delete(&format!("{ENDPOINTS}/{}", made.text_at("/endpointId"))).await.expect_status(404);
        assert_eq!(answer.text_at("/message"), "No endpoint with that ID owned by this Identity");
    }

    async fn the_public_feed_shows_what_its_seller_wants_shown(world: &World) {
        let owner = world.owner().await;
        let project = world.project(&owner, "SELLER").await;
        for number in 0..5 {
            let body = json!({
                "urlPattern": format!("{URL}/{number}"), "priceUsdc": "0.05", "listed": number != 2, "title": format!("Weather {number}"),
                "category": "weather",
            });
            project.client.put(ENDPOINTS).json(&body).await.expect_status(201);
        }
        let anybody = world.client();
        let (mut seen, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let request = anybody.get("/v0/discover").query("limit", "2").query("category", "weather");
            let page = match &cursor { Some(cursor) => request.query("cursor", cursor), None => request }.await.expect_status(200).json();
            assert_eq!((&page["version"], &page["facilitator"]["sandbox"]), (&json!("1"), &json!(true)));
            seen.extend(page["endpoints"].as_array().unwrap().iter().map(|it| it["title"].as_str().unwrap().to_owned()));
            cursor = page["nextCursor"].as_str().map(str::to_owned);
            if cursor.is_none() { break; }
        }
        assert_eq!(seen, ["Weather 4", "Weather 3", "Weather 1", "Weather 0"]);
        assert_eq!(anybody.get("/v0/discover").query("category", "x").await.at("/endpoints"), json!([]));
    }
}
