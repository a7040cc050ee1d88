//! Invoices of the module `payments` that are paid in USDC at their pay links.

use alloy_primitives::{Address, B256, address};
use loopd_kernel::collection::{Collected, Document, Stage};
use loopd_pay::settlement::{self, Key};
use loopd_pay::x402::{Version, header};
use loopd_store::View;
use loopd_testkit::{Answer, Client, each_engine, json};
use loopd_types::{CompanyId, DAY_US, Uuid};
use serde_json::Value;

use super::stage::{Project, Twist, Wallet};
use crate::support::{Actor, World};

const INVOICES: &str = "/api/v1/payments/invoices/";
/// USDC of Base.
const USDC: Address = address!("833589fCD6eDb6E08f4c7C32D4f71b54bdA02913");

impl World {
    /// A project that the company's invoices are paid to.
    async fn paid_by_usdc(&self, owner: &Actor) -> Project {
        let project = self.project(owner, "SELLER").await;
        choose(owner, json!({"usdc_project": project.id})).await;
        project
    }

    /// What a program is answered that asks without a payment.
    async fn asked(&self, path: &str) -> Value {
        self.client().get(path).await.expect_status(402).json()
    }

    /// What somebody is answered who shows a payment of version 1.
    async fn shows(&self, path: &str, payment: &str) -> Answer {
        self.client().get(path).header("x-payment", payment).await
    }

    /// Everything that the books say of an invoice, so that it can be compared with what they say later.
    async fn books(&self, owner: &Actor, invoice: &str) -> Value {
        let all = |what: &str| {
            let request =
                owner.get(&format!("/api/v1/payments/{what}/")).query("invoice", invoice).query("page_size", "100");
            async move { request.await.expect_status(200).json()["results"].clone() }
        };
        json!([read(owner, invoice).await, all("payments").await, all("receipts").await, all("ledger-entries").await])
    }
}

async fn choose(owner: &Actor, section: Value) {
    let path = format!("/api/v1/companies/{}/", owner.code);
    let mut settings = owner.get(&path).await.expect_status(200).json()["settings"]["payments"].clone();
    if settings.is_null() {
        settings = json!({});
    }
    settings.as_object_mut().expect("a section").extend(section.as_object().expect("an object").clone());
    owner.patch(&path).json(&json!({"settings": {"payments": settings}})).await.expect_status(200);
}

/// An issued invoice.
async fn invoice(owner: &Actor, amount: &str, currency: &str) -> String {
    let id = owner.make(INVOICES, json!({"title": "Tea", "amount": amount, "currency": currency})).await;
    owner.post(&format!("{INVOICES}{id}/finalize/")).json(&json!({})).await.expect_status(200);
    id
}

async fn act(owner: &Actor, invoice: &str, action: &str, body: Value) -> Answer {
    owner.post(&format!("{INVOICES}{invoice}/{action}/")).json(&body).await
}

async fn read(owner: &Actor, invoice: &str) -> Value {
    owner.get(&format!("{INVOICES}{invoice}/")).await.expect_status(200).json()
}

/// The invoice's pay link, and the path of its address.
async fn link(owner: &Actor, invoice: &str) -> (Value, String) {
    let made = act(owner, invoice, "pay-link", json!({})).await.expect_status(200).json();
    let path = made["url"].as_str().and_then(|url| url.split_once("/pay/")).map(|(_, rest)| format!("/pay/{rest}"));
    (made.clone(), path.expect("an address"))
}

/// What an account holds by the trial balance, which balances.
async fn account(owner: &Actor, code: &str) -> String {
    let balance = owner.get("/api/v1/payments/ledger/trial-balance/").await.expect_status(200).json();
    assert!(balance["currencies"].as_array().unwrap().iter().all(|it| it["is_balanced"] == true), "{balance}");
    let rows = balance["accounts"].as_array().unwrap().iter();
    rows.filter(|row| row["code"] == code)
        .map(|row| row["balance"].as_str().unwrap().to_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

async fn sold(project: &Project) -> Value {
    project.client.get("/v0/payments").await.expect_status(200).json()["payments"].clone()
}

fn statuses(answers: &[Answer]) -> Vec<u16> {
    let mut all: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    all.sort_unstable();
    all
}

/// The result of a tool at `/mcp`.
async fn tool(client: &Client, name: &str, arguments: Value, idempotency_key: Value) -> Value {
    let mut params = json!({"name": name, "arguments": arguments});
    if !idempotency_key.is_null() {
        params["_meta"] = json!({"idempotency-key": idempotency_key});
    }
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    client.post("/mcp").json(&message).await.expect_status(200).at("/result")
}

/// Calls at the same moment.
async fn at_once(calls: impl IntoIterator<Item = (Client, String, String)>) -> Vec<Answer> {
    let tasks: Vec<_> = calls
        .into_iter()
        .map(|(client, path, payment)| {
            tokio::spawn(async move { client.get(&path).header("x-payment", &payment).await })
        })
        .collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.expect("an answer"));
    }
    answers
}

each_engine! {
    async fn an_invoice_is_paid_at_its_link_and_the_books_know_it(world: &World) {
        let owner = world.owner().await;
        let project = world.paid_by_usdc(&owner).await;
        let id = invoice(&owner, "12.50", "USD").await;
        let (made, path) = link(&owner, &id).await;
        assert_eq!((&made["amount_due"], &made["usdc"], &made["sandbox"], &made["network"]), (&json!("12.50"), &json!("12.50"), &json!(true), &json!("base")));
        assert_eq!(link(&owner, &id).await.0["id"], made["id"], "an invoice has one");
        let answer = world.client().get(&path).await.expect_status(402);
        let asked = answer.json();
        let first = &asked["accepts"][0];
        assert_eq!((&asked["x402Version"], &first["maxAmountRequired"], &first["network"]), (&json!(1), &json!("12500000"), &json!("base")));
        assert_eq!((&first["resource"], &first["payTo"]), (&made["url"], &made["recipient"]));
        let second = header::object(answer.header("payment-required").expect("version 2 asks in a header")).unwrap();
        assert_eq!((&second["x402Version"], &second["accepts"][0]["amount"], &second["resource"]["url"]), (&json!(2), &json!("12500000"), &made["url"]));

        let payment = Wallet::number(9).pay(world, &asked, 1);
        let paid = world.shows(&path, &payment).await.expect_status(200);
        let told = header::object(paid.header("x-payment-response").expect("version 1 is told in a header")).unwrap();
        let body = paid.json();
        assert_eq!((&body["status"], &body["amount"], &body["usdc"], &body["currency"]), (&json!("paid"), &json!("12.50"), &json!("12.50"), &json!("USD")));
        assert_eq!((&told["success"], &told["transaction"]), (&json!(true), &body["transaction"]));

        let row = read(&owner, &id).await;
        assert_eq!((&row["status"], &row["amount_paid"], &row["amount_due"], &row["amount_overpaid"]), (&json!("paid"), &json!("12.50"), &json!("0.00"), &json!("0.00")));
        assert_eq!(row["usdc_receipts"][0]["receipt"], body["receipt"]);
        assert_eq!(body["receipt"]["body"]["txHash"], body["transaction"]);
        let payments = owner.get("/api/v1/payments/payments/").await.json()["results"].clone();
        let one = &payments[0];
        assert_eq!((payments.as_array().unwrap().len(), &one["method"], &one["status"]), (1, &json!("usdc"), &json!("succeeded")));
        assert_eq!((&one["usdc"], &one["provider"], &one["provider_transaction"]), (&json!("12.500000"), &json!("x402"), &body["transaction"]));
        assert_eq!((&one["payer_wallet"], &one["proof"], &one["sandbox"]), (&body["payer"], &body["receipt"], &json!(true)));
        assert_eq!((account(&owner, "1060").await, account(&owner, "1200").await), ("12.50".to_owned(), "0.00".to_owned()));
        let sold = sold(&project).await;
        assert_eq!((sold.as_array().unwrap().len(), &sold[0]["txHash"], &sold[0]["status"]), (1, &body["transaction"], &json!("settled")));

        // The same again is told again; nobody else is asked for anything.
        let before = world.books(&owner, &id).await;
        assert_eq!(world.shows(&path, &payment).await.expect_status(200).json(), body);
        world.client().get(&path).await.expect_refusal(409, "invoice_not_open");
        world.shows(&path, &Wallet::number(8).pay(world, &asked, 2)).await.expect_refusal(409, "invoice_not_open");
        assert_eq!(world.books(&owner, &id).await, before);
    }

    async fn version_two_pays_as_well(world: &World) {
        let owner = world.owner().await;
        world.paid_by_usdc(&owner).await;
        let (_, path) = link(&owner, &invoice(&owner, "3", "USDC").await).await;
        let asked = world.asked(&path).await;
        assert_eq!(asked["accepts"][0]["maxAmountRequired"], "3000000");
        let payment = Wallet::number(9).pay_with(world, &asked, 1, Twist { version: Some(Version::V2), ..Twist::default() });
        let paid = world.client().get(&path).header("payment-signature", &payment).await.expect_status(200);
        let told = header::object(paid.header("payment-response").expect("version 2's header")).unwrap();
        assert_eq!((&told["success"], &told["network"], &told["amount"]), (&json!(true), &json!("eip155:8453"), &json!("3000000")));
    }

    async fn of_many_payers_at_once_one_pays_and_nobody_elses_money_moves(world: &World) {
        let owner = world.owner().await;
        let project = world.paid_by_usdc(&owner).await;
        let id = invoice(&owner, "12.50", "USD").await;
        let (_, path) = link(&owner, &id).await;
        let asked = world.asked(&path).await;
        let calls = (1..=8).map(|number| (world.client(), path.clone(), Wallet::number(number).pay(world, &asked, number)));
        let answers = at_once(calls).await;
        assert_eq!(statuses(&answers), [200, 409, 409, 409, 409, 409, 409, 409]);
        let row = read(&owner, &id).await;
        assert_eq!((&row["status"], &row["amount_paid"], &row["amount_overpaid"]), (&json!("paid"), &json!("12.50"), &json!("0.00")));
        assert_eq!(sold(&project).await.as_array().unwrap().len(), 1);
        assert_eq!((world.rows("pay_settlements").await, world.rows("payments_payments").await), (1, 1));
        assert_eq!((account(&owner, "1060").await, account(&owner, "1200").await), ("12.50".to_owned(), "0.00".to_owned()));
        // Of the others, what they had is what they have: only the payer's and the payee's accounts were touched.
        assert_eq!(world.rows("pay_ledger").await, 2);
    }

    async fn the_same_payment_by_many_at_once_is_one(world: &World) {
        let owner = world.owner().await;
        world.paid_by_usdc(&owner).await;
        let id = invoice(&owner, "12.50", "USD").await;
        let (_, path) = link(&owner, &id).await;
        let payment = Wallet::number(9).pay(world, &world.asked(&path).await, 1);
        let answers = at_once((0..8).map(|_| (world.client(), path.clone(), payment.clone()))).await;
        assert_eq!(statuses(&answers), [200; 8]);
        assert!(answers.iter().all(|answer| answer.at("/transaction") == answers[0].at("/transaction")));
        assert_eq!(read(&owner, &id).await["amount_paid"], "12.50");
        assert_eq!(world.rows("payments_payments").await, 1);
    }

    async fn a_settlement_that_is_told_again_changes_nothing(world: &World) {
        let owner = world.owner().await;
        world.paid_by_usdc(&owner).await;
        let id = invoice(&owner, "12.50", "USD").await;
        let (_, path) = link(&owner, &id).await;
        let buyer = Wallet::number(9);
        let payment = buyer.pay(world, &world.asked(&path).await, 1);
        world.shows(&path, &payment).await.expect_status(200);
        let before = world.books(&owner, &id).await;
        let key = Key { chain: 8453, asset: USDC, payer: buyer.address(), nonce: B256::repeat_byte(1) };
        for _ in 0..3 {
            let kernel = world.kernel.clone();
            let told = world.kernel.db.write(View::System, move |tx| {
                let settled = settlement::store::find(tx, &key)?.expect("it was settled");
                loopd_pay::payment::begun(tx, &kernel, &settled)?;
                loopd_pay::payment::concluded(tx, &kernel, &settled)
            });
            told.await.expect("it is told again");
        }
        assert_eq!(world.books(&owner, &id).await, before);
    }

    async fn only_what_is_due_is_asked_and_what_is_over_says_so(world: &World) {
        let owner = world.owner().await;
        let project = world.paid_by_usdc(&owner).await;
        let id = invoice(&owner, "12.50", "USD").await;
        let (made, path) = link(&owner, &id).await;
        let whole = world.asked(&path).await;
        act(&owner, &id, "record-payment", json!({"amount": "5.00", "method": "cash"})).await.expect_status(200);
        let rest = world.asked(&path).await;
        assert_eq!(rest["accepts"][0]["maxAmountRequired"], "7500000");
        let refused = world.shows(&path, &Wallet::number(9).pay(world, &whole, 1)).await.expect_status(402).json();
        assert!(refused["error"].as_str().unwrap().starts_with("amount_mismatch"), "{refused}");
        assert_eq!(refused["accepts"], rest["accepts"]);
        let spoiled = Wallet::number(9).pay_with(world, &rest, 2, Twist { spoils_signature: true, ..Twist::default() });
        let refused = world.shows(&path, &spoiled).await.expect_status(402);
        assert!(refused.text_at("/error").starts_with("invalid_signature"));
        assert!(header::object(refused.header("payment-required").unwrap()).unwrap()["error"].is_string());
        assert!(world.shows(&path, "nonsense").await.expect_status(402).text_at("/error").starts_with("invalid_payload"));
        let payment = Wallet::number(9).pay(world, &rest, 3);
        world.shows(&path, &payment).await.expect_status(200);
        let row = read(&owner, &id).await;
        assert_eq!((&row["status"], &row["amount_paid"], row["usdc_receipts"].as_array().unwrap().len()), (&json!("paid"), &json!("12.50"), 1));

        // Taken back, nobody finds it; voided and expired ones say so. What was paid there is told all the same.
        let deactivate = format!("/api/v1/payments/payment-links/{}/deactivate/", made["id"].as_str().unwrap());
        owner.post(&deactivate).json(&json!({})).await.expect_status(200);
        world.client().get(&path).await.expect_refusal(404, "not_found");
        let other = invoice(&owner, "1", "USD").await;
        let (_, path) = link(&owner, &other).await;
        let asked = world.asked(&path).await;
        act(&owner, &other, "void", json!({"reason": "Spilled"})).await.expect_status(200);
        world.client().get(&path).await.expect_refusal(410, "invoice_void");
        world.shows(&path, &Wallet::number(9).pay(world, &asked, 4)).await.expect_refusal(410, "invoice_void");
        act(&owner, &other, "pay-link", json!({})).await.expect_refusal(409, "invoice_not_open");
        let third = invoice(&owner, "2", "USD").await;
        let (first, path) = link(&owner, &third).await;
        assert_eq!(first["expires_at"], "2026-07-22T10:00:00.000000Z");
        act(&owner, &third, "pay-link", json!({"expires_at": "2026-06-24T10:00:00Z"})).await.expect_status(200);
        let asked = world.asked(&path).await;
        world.clock.advance(3 * DAY_US);
        world.client().get(&path).await.expect_refusal(410, "link_expired");
        world.shows(&path, &Wallet::number(9).pay(world, &asked, 5)).await.expect_refusal(410, "link_expired");
        let owner = world.sign_in(&owner.email, &owner.code).await;
        let (second, again) = link(&owner, &third).await;
        assert_ne!(first["id"], second["id"]);
        world.client().get(&path).await.expect_refusal(404, "not_found");
        world.asked(&again).await;
        let until = act(&owner, &third, "pay-link", json!({"expires_at": "2030-01-01T00:00:00Z"})).await.expect_status(200).json();
        assert_eq!((&until["id"], &until["expires_at"]), (&second["id"], &json!("2030-01-01T00:00:00.000000Z")));
        act(&owner, &third, "pay-link", json!({"expires_at": "2020-01-01T00:00:00Z"})).await.expect_refusal(400, "validation_error");
        assert_eq!(sold(&project).await.as_array().unwrap().len(), 1);
    }

    async fn what_moves_after_the_invoice_was_paid_otherwise_is_the_customers_credit(world: &World) {
        let owner = world.owner().await;
        world.paid_by_usdc(&owner).await;
        let id = invoice(&owner, "12.50", "USD").await;
        let (made, _) = link(&owner, &id).await;
        let reference = Uuid::from_u128(7);
        let terms = json!({"link": made["id"], "amount": 1250, "currency": "USD"});
        let note = async |stage: Stage| {
            let it = Collected {
                company: CompanyId(1), reference, document: Document { id: Uuid::parse_str(&id).unwrap(), terms: terms.clone() },
                payer: "0x00000000000000000000000000000000000000Aa".to_owned(), network: "base".to_owned(), micros: 12_500_000,
                is_sandbox: true, stage,
            };
            let (kernel, books) = (world.kernel.clone(), world.kernel.collection().expect("wired").books.clone());
            world.kernel.db.write(View::System, move |tx| books.note(tx, &kernel, &it)).await
        };
        let settled = || Stage::Settled { transaction: "0x1".to_owned(), receipt: json!({"signature": "x"}) };
        note(Stage::Begun).await.expect("it is due");
        // While it is on its way nothing else is paid, and nothing is undone.
        act(&owner, &id, "record-payment", json!({"method": "cash"})).await.expect_refusal(409, "payment_in_progress");
        act(&owner, &id, "void", json!({"reason": "Spilled"})).await.expect_refusal(409, "payment_in_progress");
        note(Stage::Failed { reason: "reverted".to_owned() }).await.expect("it is noted");
        let payment = owner.get("/api/v1/payments/payments/").await.json()["results"][0].clone();
        assert_eq!((&payment["status"], &payment["failure_code"]), (&json!("failed"), &json!("reverted")));
        act(&owner, &id, "record-payment", json!({"method": "cash"})).await.expect_status(200);
        assert_eq!(note(Stage::Begun).await.expect_err("nothing is due").code(), "invoice_not_open");
        // The chain thinks again: what was believed to have failed has moved.
        note(settled()).await.expect("it is counted");
        let row = read(&owner, &id).await;
        assert_eq!((&row["status"], &row["amount_paid"], &row["amount_overpaid"]), (&json!("paid"), &json!("25.00"), &json!("12.50")));
        assert_eq!((account(&owner, "2100").await, account(&owner, "1060").await), ("-12.50".to_owned(), "12.50".to_owned()));
        let before = world.books(&owner, &id).await;
        for stage in [settled(), Stage::Failed { reason: "late".to_owned() }, settled(), Stage::Begun] {
            note(stage).await.expect("it is known");
        }
        assert_eq!(world.books(&owner, &id).await, before);
    }

    async fn what_cannot_be_paid_in_usdc_is_refused_before_anybody_is_asked(world: &World) {
        let (owner, stranger) = world.strangers().await;
        let (francs, dollars, shillings) = (invoice(&owner, "14505", "RWF").await, invoice(&owner, "1", "USD").await, invoice(&owner, "9", "KES").await);
        act(&owner, &dollars, "pay-link", json!({})).await.expect_refusal(409, "usdc_not_set_up");
        let theirs = world.project(&stranger, "SELLER").await;
        choose(&owner, json!({"usdc_project": theirs.id})).await;
        act(&owner, &dollars, "pay-link", json!({})).await.expect_refusal(409, "usdc_not_set_up");
        world.paid_by_usdc(&owner).await;
        act(&owner, &francs, "pay-link", json!({})).await.expect_refusal(409, "currency_not_in_usdc");
        choose(&owner, json!({"usdc_rate": "1450.5"})).await;
        act(&owner, &shillings, "pay-link", json!({})).await.expect_refusal(409, "currency_not_in_usdc");
        let (made, path) = link(&owner, &francs).await;
        assert_eq!((&made["usdc"], &made["amount_due"], &made["currency"]), (&json!("10.00"), &json!("14505"), &json!("RWF")));
        let asked = world.asked(&path).await;
        assert_eq!(asked["accepts"][0]["maxAmountRequired"], "10000000");
        // At another rate it is another amount; what was signed before is not taken for it.
        choose(&owner, json!({"usdc_rate": "1000"})).await;
        world.shows(&path, &Wallet::number(9).pay(world, &asked, 1)).await.expect_status(402);
        let asked = world.asked(&path).await;
        let paid = world.shows(&path, &Wallet::number(9).pay(world, &asked, 2)).await.expect_status(200).json();
        assert_eq!((&paid["usdc"], &paid["amount"]), (&json!("14.505"), &json!("14505")));
        assert_eq!(read(&owner, &francs).await["status"], "paid");
        choose(&owner, json!({"usdc_network": "mars"})).await;
        act(&owner, &dollars, "pay-link", json!({})).await.expect_status(400);
        choose(&owner, json!({"usdc_network": "base-sepolia"})).await;
        assert_eq!(link(&owner, &dollars).await.0["network"], "base-sepolia");
    }

    async fn a_link_leads_to_its_own_companys_invoice_only(world: &World) {
        let (owner, stranger) = world.strangers().await;
        world.paid_by_usdc(&owner).await;
        let id = invoice(&owner, "12.50", "USD").await;
        act(&stranger, &id, "pay-link", json!({})).await.expect_refusal(404, "not_found");
        let (_, path) = link(&owner, &id).await;
        for other in [path.replace("/001-", "/002-"), path.replace("/001-", "/"), "/pay/001-/".to_owned(), "/pay/x/".to_owned()] {
            world.client().get(&other).await.expect_refusal(404, "not_found");
        }
        choose(&owner, json!({"public": false})).await;
        world.client().get(&path).await.expect_refusal(404, "not_found");
    }

    async fn what_was_paid_for_something_else_pays_no_invoice(world: &World) {
        let owner = world.owner().await;
        let project = world.paid_by_usdc(&owner).await;
        let (one, two) = (invoice(&owner, "12.50", "USD").await, invoice(&owner, "12.50", "USD").await);
        let ((_, first), (_, second)) = (link(&owner, &one).await, link(&owner, &two).await);
        let buyer = Wallet::number(9);
        // Another sale of the same project at the same price, and another invoice.
        let challenge = project.challenge("12.50", "https://shop.example/tea").await;
        let sale = buyer.pay(world, &challenge, 1);
        assert_eq!(project.redeem(&sale, "12.50", "https://shop.example/tea").await.expect_status(200).json()["ok"], true);
        let refused = world.shows(&first, &sale).await.expect_status(402);
        assert_eq!(refused.at("/error"), "authorization_used");
        let payment = buyer.pay(world, &world.asked(&first).await, 2);
        world.shows(&first, &payment).await.expect_status(200);
        assert_eq!(world.shows(&second, &payment).await.expect_status(402).at("/error"), "authorization_used");
        assert_eq!((read(&owner, &one).await["status"].clone(), read(&owner, &two).await["status"].clone()), (json!("paid"), json!("open")));
    }

    async fn an_agent_pays_a_link_within_its_mandate(world: &World) {
        let owner = world.owner().await;
        world.paid_by_usdc(&owner).await;
        let buyer = world.project(&owner, "BUYER").await;
        let mandate = json!({"maxPerCallUsdc": "20", "dailyCapUsdc": "20"});
        buyer.client.post("/v0/payments/mandates").json(&mandate).await.expect_status(200);
        let id = invoice(&owner, "12.50", "USD").await;
        let (made, _) = link(&owner, &id).await;
        let paid = buyer.client.post("/v0/payments/pay").json(&json!({"url": made["url"]})).await.expect_status(200).json();
        assert_eq!((&paid["ok"], &paid["content"]["status"], &paid["content"]["amount"]), (&json!(true), &json!("paid"), &json!("12.50")), "{paid}");
        assert_eq!(paid["txHash"], paid["content"]["transaction"]);
        assert_eq!(read(&owner, &id).await["status"], "paid");
        // The second is refused before anything is signed.
        let refused = buyer.client.post("/v0/payments/pay").json(&json!({"url": made["url"]})).await.expect_status(402).json();
        assert_eq!(refused["code"], "url_not_x402");
    }

    async fn an_agent_pays_a_link_by_the_tool_and_whoever_repeats_it_pays_nothing(world: &World) {
        let owner = world.owner().await;
        let seller = world.paid_by_usdc(&owner).await;
        let buyer = world.project(&owner, "BUYER").await;
        let mandate = json!({"maxPerCallUsdc": "20", "dailyCapUsdc": "20"});
        assert_eq!(tool(&buyer.client, "payments.mandates.create", mandate, Value::Null).await["isError"], false);
        let id = invoice(&owner, "12.50", "USD").await;
        let (made, _) = link(&owner, &id).await;
        let pay = async |key: Value| tool(&buyer.client, "payments.pay", json!({"url": made["url"]}), key).await;
        let paid = pay(json!("tea")).await;
        let said = &paid["structuredContent"];
        assert_eq!((&paid["isError"], &said["ok"], &said["content"]["status"]), (&json!(false), &json!(true), &json!("paid")), "{paid}");
        assert_eq!(said["txHash"], said["content"]["transaction"]);
        // A lost answer is asked for again by the same key; without one there is nothing left to pay.
        assert_eq!(pay(json!("tea")).await["structuredContent"], *said);
        let refused = pay(Value::Null).await;
        assert_eq!((&refused["isError"], &refused["structuredContent"]["code"]), (&json!(true), &json!("url_not_x402")), "{refused}");
        let words = refused.pointer("/structuredContent/message").and_then(Value::as_str).expect("words");
        assert!(words.starts_with("The address answers 409 without asking to be paid: "), "{words}");

        let settled = read(&owner, &id).await;
        assert_eq!((&settled["status"], &settled["amount_paid"], &settled["amount_overpaid"]), (&json!("paid"), &json!("12.50"), &json!("0.00")));
        let receipts = settled["usdc_receipts"].as_array().expect("receipts");
        assert_eq!((receipts.len(), &receipts[0]["receipt"]), (1, &said["content"]["receipt"]));
        assert_eq!(sold(&seller).await.as_array().map(Vec::len), Some(1));
        let spent = tool(&buyer.client, "payments.mandates.list", json!({}), Value::Null).await;
        assert_eq!(spent.pointer("/structuredContent/mandates/0/totalSpentUsdc"), Some(&json!("12.50")), "{spent}");
    }

    async fn browsers_get_a_page_that_says_how_it_stands(world: &World) {
        let owner = world.owner().await;
        world.paid_by_usdc(&owner).await;
        let id = owner.make(INVOICES, json!({"title": "Tea <b>black</b>", "amount": "12.50", "currency": "USD"})).await;
        act(&owner, &id, "finalize", json!({})).await.expect_status(200);
        let (_, path) = link(&owner, &id).await;
        let page = |language: &'static str| {
            let request = world.client().get(&path).header("accept", "text/html,*/*;q=0.8").header("accept-language", language);
            async move { request.await }
        };
        let shown = page("en").await.expect_status(200);
        assert_eq!((shown.header("vary"), shown.header("cache-control"), shown.header("referrer-policy")), (Some("accept"), Some("no-store"), Some("no-referrer")));
        let text = shown.text();
        assert!(text.contains("12.50 USD") && text.contains("sandbox") && text.contains("Tea &lt;b&gt;black"), "{text}");
        assert!(page("fr").await.text().contains("bac à sable") && page("rw").await.text().contains("igerageza"));
        let asked = world.asked(&path).await;
        world.shows(&path, &Wallet::number(9).pay(world, &asked, 1)).await.expect_status(200);
        let text = page("en").await.expect_status(200).text();
        assert!(text.contains("This invoice is paid") && text.contains("0x73616e64626f78"), "{text}");
        world.client().get("/pay/001-nothing/").header("accept", "text/html").await.expect_status(404);
    }
}
