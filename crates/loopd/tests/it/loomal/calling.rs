//! What stands in the feed as a tool that costs: `endpoints.call`, paid by x402's MCP transport from a wallet of the caller's own.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use loopd_pay::x402::Version;
use loopd_testkit::{Client, assert_json, each_engine, json};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::stage::{Manner, Project, Seller, Twist, Wallet, same};
use crate::support::World;

/// Registers an address, in the feed or not; its id.
async fn registered(project: &Project, url: &str, is_listed: bool) -> String {
    let body = json!({"urlPattern": url, "priceUsdc": "0.05", "listed": is_listed, "category": "weather"});
    project.client.put("/v0/sellers/endpoints").json(&body).await.expect_status(201).text_at("/endpointId")
}

async fn tool(client: &Client, arguments: Value, payment: Value) -> Value {
    let meta = json!({"x402/payment": payment});
    let params = json!({"name": "endpoints.call", "arguments": arguments, "_meta": meta});
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    client.post("/mcp").json(&message).await.expect_status(200).at("/result")
}

fn decoded(header: &str) -> Value {
    serde_json::from_slice(&STANDARD.decode(header).expect("base64")).expect("JSON")
}

/// A server that answers everybody the same; its address.
async fn answering(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/thing", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    url
}

each_engine! {
    async fn an_agent_finds_what_is_sold_is_told_the_price_and_pays_beside_its_arguments(world: &World) {
        let owner = world.owner().await;
        let (seller, buyer) = (world.project(&owner, "SELLER").await, world.project(&owner, "BUYER").await.client);
        let (shop, wallet) = (Seller::open(&seller, "0.05", Manner::Honest).await, Wallet::number(50));
        let id = registered(&seller, &shop.url, true).await;
        let feed = buyer.get("/v0/discover").query("category", "weather").await.expect_status(200);
        assert_eq!(feed.text_at("/endpoints/0/id"), id);
        let arguments = json!({"endpointId": id, "city": "Kigali", "days": 2});
        let unpaid = tool(&buyer, arguments.clone(), Value::Null).await;
        assert_json!(unpaid, {
            "isError": true, "structuredContent": {"x402Version": 2, "accepts": [{"amount": "50000", "network": "eip155:8453"}], "resource": {"url": (shop.url)}},
        });
        let text = unpaid.pointer("/content/0/text").and_then(Value::as_str).expect("a text");
        assert_eq!(serde_json::from_str::<Value>(text).expect("JSON"), unpaid["structuredContent"]);
        // The seller knows version 1 only, and the agent need not know that.
        let second = Twist { value: Some(50_000), version: Some(Version::V2), ..Twist::default() };
        let header = wallet.pay_with(world, &unpaid["structuredContent"], 1, second);
        let paid = tool(&buyer, arguments.clone(), decoded(&header)).await;
        assert_json!(paid, {
            "isError": false,
            "structuredContent": {"status": 200, "contentType": "application/json", "content": {"sky": "sunny", "asked": "/weather?city=Kigali&days=2"}},
            "_meta": {"x402/payment-response": {"success": true, "network": "base", "payer": (wallet.address().to_string())}},
        });
        let sales = seller.client.get("/v0/payments").await.expect_status(200);
        assert_json!(sales.json(), {"count": 1, "payments": [{"endpointId": id, "txHash": (paid["_meta"]["x402/payment-response"]["transaction"].clone())}]});
        // The same payment again is the same purchase; over HTTP it is the same, too.
        same(&tool(&buyer, arguments, decoded(&header)).await, &paid);
        let path = format!("/v0/discover/{id}/call");
        let again = buyer.get(&path).query("city", "Kigali").header("payment-signature", &header).await.expect_status(200);
        assert_eq!(again.at("/content/sky"), json!("sunny"));
        let told = decoded(again.header("x-payment-response").expect("a receipt"));
        assert_eq!(told["transaction"], paid["_meta"]["x402/payment-response"]["transaction"]);
        assert_eq!(world.rows("pay_settlements").await, 1);
        let price = buyer.get(&path).await.expect_status(402);
        assert_json!(price.json(), {"x402Version": 1, "accepts": [{"maxAmountRequired": "50000"}]});
        assert_eq!(decoded(price.header("payment-required").expect("version 2")), unpaid["structuredContent"]);
        let bad = wallet.pay_with(world, &price.json(), 2, Twist { spoils_signature: true, ..Twist::default() });
        assert_json!(buyer.get(&path).header("x-payment", &bad).await.expect_status(402).json(), {"accepts": [{"maxAmountRequired": "50000"}]});
        buyer.get(&path).header("x-payment", &wallet.pay(world, &price.json(), 3)).await.expect_status(200);
    }

    async fn only_what_is_listed_is_called_and_only_by_who_buys(world: &World) {
        let (owner, stranger) = world.strangers().await;
        let (seller, buyer) = (world.project(&owner, "SELLER").await, world.project(&stranger, "BUYER").await.client);
        let shop = Seller::open(&seller, "0.05", Manner::Honest).await;
        let id = registered(&seller, &shop.url, true).await;
        let hidden = registered(&seller, &format!("{}/hidden", shop.url), false).await;
        let call = async |client: &Client, id: &str| client.get(&format!("/v0/discover/{id}/call")).await;
        call(&buyer, &id).await.expect_status(402);
        for unknown in [hidden.as_str(), "se_00000000000070008000000000000001", "nonsense"] {
            let refused = call(&buyer, unknown).await.expect_status(404);
            same(&refused.json(), &json!({"error": "not_found", "message": "No endpoint with that ID is listed", "status": 404}));
        }
        assert_eq!(call(&seller.client, &id).await.expect_status(403).text_at("/message"), "Missing required scope: payments:spend");
        call(&world.client(), &id).await.expect_status(401);
        seller.client.delete(&format!("/v0/sellers/endpoints/{id}")).await.expect_status(204);
        call(&buyer, &id).await.expect_status(404);
    }

    async fn a_seller_that_fails_lies_or_redirects_is_told_of_and_nothing_of_it_is_ours(world: &World) {
        let owner = world.owner().await;
        let (seller, buyer) = (world.project(&owner, "SELLER").await, world.project(&owner, "BUYER").await.client);
        let receipt = STANDARD.encode(json!({"success": true, "transaction": "0x1"}).to_string());
        let took: &'static str = format!("HTTP/1.1 500 X\r\nPAYMENT-RESPONSE: {receipt}\r\nContent-Length: 0\r\n\r\n").leak();
        let cases = [
            ("HTTP/1.1 402 X\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\n<pay>", json!({"message": "The seller asks to be paid, but not by x402"})),
            ("HTTP/1.1 402 X\r\nContent-Length: 33\r\n\r\n{\"x402Version\": 9, \"accepts\": []}", json!({"message": "The seller asks to be paid, but not by x402"})),
            ("HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n", json!({"message": "The seller answers 404"})),
            ("HTTP/1.1 302 X\r\nLocation: http://127.0.0.1/secret\r\nContent-Length: 0\r\n\r\n", json!({"message": "The seller answers 302"})),
            (took, json!({"message": "The seller answers 500", "paymentResponse": {"success": true, "transaction": "0x1"}})),
            ("nonsense", json!({"error": "seller_failed"})),
        ];
        for (answer, expected) in cases {
            let id = registered(&seller, &answering(answer).await, true).await;
            let refused = buyer.get(&format!("/v0/discover/{id}/call")).await.expect_status(502);
            same(&refused.json(), &expected);
            assert_json!(tool(&buyer, json!({"endpointId": id}), Value::Null).await, {"isError": true, "structuredContent": {"error": "seller_failed", "status": 502}});
        }
        let page = "HTTP/1.1 200 X\r\nContent-Type: text/html\r\nSet-Cookie: a=b\r\nPAYMENT-RESPONSE: ???\r\nContent-Length: 8\r\n\r\n<script>";
        let id = registered(&seller, &answering(page).await, true).await;
        let told = buyer.get(&format!("/v0/discover/{id}/call")).await.expect_status(200);
        assert!(told.header("content-type").expect("a type").starts_with("application/json"));
        assert!(told.header("set-cookie").is_none() && told.header("payment-response").is_none());
        assert_json!(told.json(), {"status": 200, "contentType": "text/html", "contentText": "<script>"});
    }
}
