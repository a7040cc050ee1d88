//! The server ends, as by `kill -9`, at every step of a settlement on a real chain: after the next start the chain and what callers are
//! told agree, and the money has moved once.

#[path = "../../../../pay/tests/settlement/chain.rs"]
mod chain;

use alloy_primitives::{Address, address};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use loopd_pay::settlement::Order;
use loopd_pay::x402::Method;
use loopd_testkit::{Client, Engine, json};
use serde_json::Value;

use self::chain::{Buyer, FACTORY, FutureWallet, TestChain, USDC, WALLET as CONTRACT};
use crate::support::Program;

const SELLER: Address = address!("5e11e45e11e45e11e45e11e45e11e45e11e45e11");
/// Anvil's second account, and its address.
const KEY: &str = "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d";
const WALLET: Address = address!("70997970C51812dc3A010C7d01b50e0d17dc79C8");

/// What a seller's middleware sends to have an order settled.
fn body(order: &Order) -> Value {
    let signature = order.payment.signature.to_string();
    let asked = |network: &str, price: &str| {
        json!({
            "scheme": "exact", "network": network, price: order.requirement.amount.to_string(), "resource": "https://shop.example.com/x",
            "description": "", "mimeType": "", "payTo": order.requirement.pay_to.to_string(), "maxTimeoutSeconds": 60,
            "asset": USDC.to_string(), "extra": {"name": "USD Coin", "version": "2"},
        })
    };
    match &order.payment.method {
        Method::Authorization(it) => json!({
            "x402Version": 1,
            "paymentPayload": {"x402Version": 1, "scheme": "exact", "network": "base", "payload": {
                "signature": signature,
                "authorization": {
                    "from": it.from.to_string(), "to": it.to.to_string(), "value": it.value.to_string(),
                    "validAfter": it.valid_after.to_string(), "validBefore": it.valid_before.to_string(), "nonce": it.nonce.to_string(),
                },
            }},
            "paymentRequirements": asked("base", "maxAmountRequired"),
        }),
        Method::Permit(it) => json!({
            "x402Version": 2,
            "paymentPayload": {
                "x402Version": 2, "accepted": {"scheme": "exact", "network": "eip155:8453"}, "payload": {
                    "signature": signature,
                    "permit2Authorization": {
                        "permitted": {"token": it.token.to_string(), "amount": it.amount.to_string()},
                        "from": it.from.to_string(), "spender": it.spender.to_string(), "nonce": it.nonce.to_string(),
                        "deadline": it.deadline.to_string(),
                        "witness": {"to": it.to.to_string(), "validAfter": it.valid_after.to_string()},
                    },
                },
            },
            "paymentRequirements": asked("eip155:8453", "amount"),
        }),
    }
}

async fn settle(client: Client, body: Value) -> Value {
    client.post("/facilitator/settle").json(&body).await.expect_status(200).json()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_at_any_step_of_a_settlement_moves_the_money_once() {
    let Some(chain) = TestChain::start() else { return };
    let (buyer, mut number) = (Buyer::new(21), 0);
    chain.mint(buyer.address, 10_000_000);
    for (program, database) in Program::on_every_engine().await {
        let mut program = program
            .with("LOOP_SETTLEMENT", "rpc")
            .with("LOOP_EVM_RPC_URL", &chain.url)
            .with("LOOP_EVM_PRIVATE_KEY", KEY)
            .with("LOOP_FACILITATOR_ACCESS", "everybody");
        // On PostgreSQL another node may hold what the dead one held, so it takes a lease's time; these steps tell the rest.
        let steps: &[&str] = match database.engine() {
            Engine::Sqlite => &["recorded", "estimated", "signed", "sent", "marked", "mined", "decided", "concluded"],
            Engine::Postgres => &["recorded", "signed", "sent", "decided"],
        };
        for step in steps {
            number += 1;
            let asked = body(&buyer.pays(SELLER, 1_000, number));
            program = program.with("LOOPD_FAILPOINT", step);
            let served = program.serve();
            let lost = tokio::spawn(settle(served.client(), asked.clone())).await;
            assert!(lost.is_err(), "{step}: it answered {lost:?}");
            assert!(!served.ended().success(), "{step}");

            program = program.with("LOOPD_FAILPOINT", "");
            let served = program.serve();
            let told = settle(served.client(), asked.clone()).await;
            assert_eq!(told["success"], true, "{step}: {told}");
            let again = settle(served.client(), asked).await;
            assert_eq!(again["transaction"], told["transaction"], "{step}");
            assert_eq!((chain.balance(SELLER).await, chain.mined(WALLET).await), (number * 1_000, number), "{step}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn permits_and_wallets_that_are_not_there_pay_by_the_facilitators_door() {
    let Some(chain) = TestChain::start() else { return };
    chain.bring_permit2();
    let buyer = Buyer::new(22);
    let (_, code) = chain.deploy(CONTRACT, buyer.address.into_word().as_slice());
    let wallet = FutureWallet::new(&code, 1);
    for address in [buyer.address, wallet.address] {
        chain.mint(address, 10_000);
    }
    chain.allow_permit2(buyer.address, 10_000).await;
    let order = wallet.pays(&buyer, SELLER, 1_000, 1);
    let program = Program::fresh()
        .with("LOOP_SETTLEMENT", "rpc")
        .with("LOOP_EVM_RPC_URL", &chain.url)
        .with("LOOP_EVM_PRIVATE_KEY", KEY);
    let served = program.serve();
    let told = settle(served.client(), body(&buyer.permits_for(buyer.address, SELLER, 2_000, 1))).await;
    assert_eq!(told["success"], true, "{told}");
    let told = settle(served.client(), body(&order)).await;
    assert_eq!(told["errorReason"], "eip6492_factory_not_allowed", "{told}");
    assert_eq!((chain.balance(SELLER).await, chain.mined(WALLET).await), (2_000, 1));
    drop(served);

    let program = program.with("LOOP_EVM_FACTORIES", &format!("{SELLER},{FACTORY}"));
    let served = program.serve();
    let told = settle(served.client(), body(&order)).await;
    assert_eq!(told["success"], true, "{told}");
    assert_eq!((chain.balance(SELLER).await, chain.mined(WALLET).await), (3_000, 2));
}

/// What somebody shows at a pay link.
fn shown(order: &Order) -> String {
    STANDARD.encode(body(order)["paymentPayload"].to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_while_an_invoice_is_paid_has_it_paid_once() {
    let Some(chain) = TestChain::start() else { return };
    let buyer = Buyer::new(23);
    chain.mint(buyer.address, 100_000_000);
    let mut number = 100;
    for (program, _database) in Program::on_every_engine().await {
        let mut program = program
            .with("LOOP_SETTLEMENT", "rpc")
            .with("LOOP_EVM_RPC_URL", &chain.url)
            .with("LOOP_EVM_PRIVATE_KEY", KEY);
        let served = program.serve();
        let owner = served.owner().await;
        let project = owner.post("/api/v1/loomal/projects/").json(&json!({"name": "Tea", "purpose": "SELLER"})).await;
        let settings = json!({"settings": {"payments": {"usdc_project": project.expect_status(201).text_at("/id")}}});
        owner.patch("/api/v1/companies/001/").json(&settings).await.expect_status(200);
        drop(served);
        for (paid, step) in (1_u64..).zip(["recorded", "sent", "decided", "concluded"]) {
            number += 1;
            program = program.with("LOOPD_FAILPOINT", step);
            let served = program.serve();
            let owner = served.owner_again().await;
            let tea = json!({"title": "Tea", "amount": "2.50", "currency": "USD"});
            let id = owner.post("/api/v1/payments/invoices/").json(&tea).await.expect_status(201).text_at("/id");
            let item = format!("/api/v1/payments/invoices/{id}/");
            owner.post(&format!("{item}finalize/")).json(&json!({})).await.expect_status(200);
            let url = owner.post(&format!("{item}pay-link/")).json(&json!({})).await.expect_status(200).text_at("/url");
            let path = url.split_once("/pay/").map(|(_, rest)| format!("/pay/{rest}")).expect("an address");
            let asked = served.client().get(&path).await.expect_status(402).json();
            let payee: Address = asked["accepts"][0]["payTo"].as_str().and_then(|to| to.parse().ok()).expect("a payee");
            let payment = shown(&buyer.pays(payee, 2_500_000, number));
            let (client, at, header) = (served.client(), path.clone(), payment.clone());
            let lost = tokio::spawn(async move { client.get(&at).header("x-payment", &header).await }).await;
            assert!(lost.is_err(), "{step}: it answered {lost:?}");
            assert!(!served.ended().success(), "{step}");

            program = program.with("LOOPD_FAILPOINT", "");
            let served = program.serve();
            let told = served.client().get(&path).header("x-payment", &payment).await.expect_status(200).json();
            let again = served.client().get(&path).header("x-payment", &payment).await.expect_status(200).json();
            assert_eq!((&told["status"], &again), (&json!("paid"), &told), "{step}");
            let owner = served.owner_again().await;
            let invoice = owner.get(&item).await.expect_status(200).json();
            assert_eq!(
                (&invoice["status"], &invoice["amount_paid"], &invoice["amount_overpaid"]),
                (&json!("paid"), &json!("2.50"), &json!("0.00")),
                "{step}"
            );
            let payments = owner.get("/api/v1/payments/payments/").query("invoice", &id).await.expect_status(200);
            assert_eq!(
                (payments.at("/count"), payments.at("/results/0/provider_transaction")),
                (json!(1), told["transaction"].clone()),
                "{step}"
            );
            let balance = owner.get("/api/v1/payments/ledger/trial-balance/").await.expect_status(200).json();
            let has = balance["accounts"]
                .as_array()
                .expect("accounts")
                .iter()
                .find(|row| row["code"] == "1060")
                .expect("USDC");
            assert_eq!(
                (&has["balance"], chain.balance(payee).await),
                (&json!(format!("{}.{:02}", paid * 5 / 2, paid * 50 % 100)), paid * 2_500_000),
                "{step}"
            );
            assert!(
                balance["currencies"].as_array().expect("currencies").iter().all(|it| it["is_balanced"] == true),
                "{balance}"
            );
        }
    }
}
