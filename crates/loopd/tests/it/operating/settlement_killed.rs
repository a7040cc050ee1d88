//! The server ends, as by `kill -9`, at every step of a settlement on a real chain: after the next start the chain and what callers are
//! told agree, and the money has moved once.

#[path = "../../../../pay/tests/settlement/chain.rs"]
#[allow(dead_code, reason = "each test program uses its own part of it")]
mod chain;

use alloy_primitives::{Address, address};
use loopd_pay::settlement::Order;
use loopd_pay::x402::Method;
use loopd_testkit::{Client, Engine, json};
use serde_json::Value;

use self::chain::{Buyer, TestChain, USDC};
use crate::support::Program;

const SELLER: Address = address!("5e11e45e11e45e11e45e11e45e11e45e11e45e11");
/// Anvil's second account, and its address.
const KEY: &str = "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d";
const WALLET: Address = address!("70997970C51812dc3A010C7d01b50e0d17dc79C8");

fn body(order: &Order) -> Value {
    let Method::Authorization(it) = &order.payment.method else { unreachable!("buyers sign authorizations") };
    json!({
        "x402Version": 1,
        "paymentPayload": {"x402Version": 1, "scheme": "exact", "network": "base", "payload": {
            "signature": order.payment.signature.to_string(),
            "authorization": {
                "from": it.from.to_string(), "to": it.to.to_string(), "value": it.value.to_string(),
                "validAfter": it.valid_after.to_string(), "validBefore": it.valid_before.to_string(), "nonce": it.nonce.to_string(),
            },
        }},
        "paymentRequirements": {
            "scheme": "exact", "network": "base", "maxAmountRequired": it.value.to_string(), "resource": "https://shop.example.com/x",
            "description": "", "mimeType": "", "payTo": SELLER.to_string(), "maxTimeoutSeconds": 60, "asset": USDC.to_string(),
            "extra": {"name": "USD Coin", "version": "2"},
        },
    })
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
