//! `loopd pay demo`: a seller, a buyer and a payment between them, on this machine, through the same HTTP API that everybody uses.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use clap::Subcommand;
use loopd_kernel::egress::{Egress, Outbound};
use loopd_kernel::{Kernel, Tenant};
use loopd_pay::evm::Address;
use loopd_pay::project::{self, New, Purpose};
use loopd_pay::{settlement, usdc};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use super::{Output, words};
use crate::app::{self, World};
use crate::settings::Settings;

#[derive(Subcommand)]
pub enum Pay {
    /// Sell and buy something in the sandbox, and show every step. Touches nothing: it runs in a folder of its own, which goes afterwards.
    Demo,
    /// Give an address of the sandbox more USDC; no money moves.
    Faucet {
        /// 0x and 40 hexadecimal digits.
        address: Address,
        /// In USDC, with at most six digits behind the point.
        #[arg(default_value = "1000")]
        amount: String,
        /// The chain, as x402 names it.
        #[arg(long, default_value = "base")]
        network: String,
    },
}

/// What the seller asks.
const PRICE: &str = "0.05";
/// Longest head of a request that the seller reads.
const HEAD_MOST: usize = 64 * 1024;

pub async fn run(settings: Settings, command: Pay, output: &Output) -> anyhow::Result<()> {
    match command {
        Pay::Demo => demo(output).await,
        Pay::Faucet { address, amount, network } => faucet(settings, address, &amount, &network, output).await,
    }
}

async fn faucet(settings: Settings, to: Address, amount: &str, network: &str, output: &Output) -> anyhow::Result<()> {
    let micros = usdc::parse(amount).with_context(|| format!("`{amount}` is no amount such as 12.5"))?;
    let server = app::build(settings, World::default()).await?;
    let (pay, kernel) = (&server.pay, &server.kernel);
    let chain = pay.network_named(Some(network)).map_err(words)?;
    let token = chain.dollar().context("this network has no dollar")?;
    let has = settlement::give(pay, kernel, chain.chain, token.address, to, micros).await.map_err(words)?;
    kernel.db.close().await;
    output.say(
        &format!("{to} has {} USDC in the sandbox of {network}.", usdc::format(has)),
        &json!({"address": to.to_string(), "network": network, "balance_micros": has}),
    );
    Ok(())
}

async fn demo(output: &Output) -> anyhow::Result<()> {
    let folder = Folder::make()?;
    let api = TcpListener::bind("127.0.0.1:0").await?;
    let shop = TcpListener::bind("127.0.0.1:0").await?;
    let listen = api.local_addr()?.to_string();
    let given: BTreeMap<String, String> = [
        ("LOOP_DATA_DIR", folder.0.display().to_string()),
        ("LOOP_LISTEN", listen.clone()),
        ("LOOP_LOG", "warn".to_owned()),
        // The buyer's side calls no private address otherwise, and this seller has one.
        ("LOOP_EGRESS_ALLOW", "127.0.0.1".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    let server = app::build(Settings::load(None, &given)?, World::default()).await?;
    let kernel = server.kernel.clone();
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(server.serve(api, async move {
        let _ = stopped.await;
    }));
    let told = story(&kernel, &format!("http://{listen}"), shop, output).await;
    let _ = stop.send(());
    let _ = serving.await;
    told
}

async fn story(kernel: &std::sync::Arc<Kernel>, api: &str, shop: TcpListener, output: &Output) -> anyhow::Result<()> {
    super::demo::register(kernel, "001").await?;
    let access = kernel.company_access(loopd_types::CompanyId(1)).await.map_err(words)?;
    let access = access.ok_or_else(|| anyhow!("the demo's company is not there"))?;
    let make = async |name: &str, purpose: Purpose| {
        let tenant = Tenant::system(access.clone(), "demo");
        let (shared, new) = (kernel.clone(), New { name: Some(name.to_owned()), purpose, scopes: None });
        let made = kernel.db.write(tenant.view(), move |tx| project::store::create(tx, &shared, &tenant, &new)).await;
        made.map_err(words)
    };
    let (seller, buyer) = (make("weather", Purpose::Seller).await?, make("agent", Purpose::Buyer).await?);
    let place = format!("http://{}/weather", shop.local_addr()?);
    let weather = Seller { api: api.to_owned(), key: seller.raw_key.clone(), place: place.clone() };
    let selling = tokio::spawn(weather.sell(shop));
    let api = Api { base: api.to_owned(), http: Egress::new(Duration::from_secs(20)).map_err(|words| anyhow!(words))? };

    let unpaid = api.call("GET", &place, None, None).await?;
    let mandate = json!({"maxPerCallUsdc": "0.10", "dailyCapUsdc": "1.00"});
    let mandate = api.v0("POST", "/v0/payments/mandates", &buyer.raw_key, Some(mandate)).await?;
    let paid = api.v0("POST", "/v0/payments/pay", &buyer.raw_key, Some(json!({"url": place}))).await?;
    if paid["ok"] != true {
        bail!("the demo's payment was not made: {paid}");
    }
    let payments = api.v0("GET", "/v0/payments", &seller.raw_key, None).await?;
    let id = payments["payments"][0]["id"].as_str().unwrap_or_default().to_owned();
    let payment = api.v0("GET", &format!("/v0/payments/{id}"), &seller.raw_key, None).await?;
    selling.abort();

    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    output.say(
        &format!(
            "A seller and a buyer, on this machine, in the sandbox: no chain, no account, no real money.\n\n\
             1. The seller's address {place} is called without a payment and answers {status}:\n   {ask}\n\n\
             2. The buyer may spend {per_call} USDC a call and {daily} a day (mandate {mandate_id}).\n\n\
             3. The buyer calls POST /v0/payments/pay and gets what the seller sells, for {cost} USDC:\n   {content}\n   \
             {left} USDC are left of today, {balance} in the wallet.\n\n\
             4. The seller has payment {id}, {state}, transaction {hash} (sandbox), with a receipt signed by {did}:\n   {receipt}\n\n\
             Sell your own: `loopd serve`, `loopd key create --kind project --company 001`, then POST /v0/payments/challenge and /redeem.\n\
             docs/loomal.md has the rest.",
            status = unpaid.0,
            ask = unpaid.1,
            per_call = text(&mandate["maxPerCallUsdc"]),
            daily = text(&mandate["dailyCapUsdc"]),
            mandate_id = text(&mandate["mandateId"]),
            cost = text(&paid["cost"]["amountUsdc"]),
            content = paid["content"],
            left = loopd_pay::usdc::format(text(&paid["mandate"]["remainingTodayUsdcRaw"]).parse().unwrap_or_default()),
            balance = text(&paid["balanceAfter"]["usdc"]),
            state = text(&payment["status"]),
            hash = text(&payment["txHash"]),
            did = text(&payment["signedReceipt"]["did"]),
            receipt = payment["signedReceipt"]["body"],
        ),
        &json!({"unpaid": unpaid.1, "mandate": mandate, "paid": paid, "payment": payment}),
    );
    Ok(())
}

/// The API as a client has it.
struct Api {
    base: String,
    http: Egress,
}

impl Api {
    async fn v0(&self, method: &'static str, path: &str, key: &str, body: Option<Value>) -> anyhow::Result<Value> {
        let (status, answer) = self.call(method, &format!("{}{path}", self.base), Some(key), body).await?;
        if status >= 400 {
            bail!("{method} {path} answers {status}: {answer}");
        }
        Ok(answer)
    }

    async fn call(
        &self,
        method: &'static str,
        url: &str,
        key: Option<&str>,
        body: Option<Value>,
    ) -> anyhow::Result<(u16, Value)> {
        let mut headers = vec![("Content-Type", "application/json".to_owned())];
        headers.extend(key.map(|key| ("Authorization", format!("Bearer {key}"))));
        let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let answer = self.http.send(Outbound { method, url: url.to_owned(), headers, body }).await;
        let answer = answer.map_err(|error| anyhow!("{url}: {error}"))?;
        Ok((answer.status, serde_json::from_slice(&answer.body).with_context(|| format!("{url} answers no JSON"))?))
    }
}

/// Sells the weather: the few lines that every seller needs.
struct Seller {
    api: String,
    key: String,
    place: String,
}

impl Seller {
    async fn sell(self, shop: TcpListener) -> anyhow::Result<()> {
        let http = Egress::new(Duration::from_secs(20)).map_err(|words| anyhow!(words))?;
        let api = Api { base: self.api.clone(), http };
        loop {
            let (mut buyer, _) = shop.accept().await?;
            let head = read_head(&mut buyer).await?;
            let payment = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("x-payment").then(|| value.trim().to_owned())
            });
            let answer = self.answer(&api, payment).await?;
            buyer.write_all(answer.as_bytes()).await?;
            buyer.shutdown().await?;
        }
    }

    async fn answer(&self, api: &Api, payment: Option<String>) -> anyhow::Result<String> {
        let mut asked =
            json!({"amount": PRICE, "network": "base", "resource": self.place, "description": "The weather in Kigali"});
        let Some(payment) = payment else {
            let challenge = api.v0("POST", "/v0/payments/challenge", &self.key, Some(asked)).await?;
            return Ok(written(402, "", &challenge));
        };
        asked["paymentHeader"] = json!(payment);
        let redeemed = api.v0("POST", "/v0/payments/redeem", &self.key, Some(asked)).await?;
        if redeemed["ok"] != true {
            return Ok(written(402, "", &redeemed["requirement"]));
        }
        let response = redeemed["paymentResponse"].as_str().unwrap_or_default();
        let weather = json!({"city": "Kigali", "sky": "sunny", "celsius": 26});
        Ok(written(200, &format!("X-Payment-Response: {response}\r\n"), &weather))
    }
}

fn written(status: u16, headers: &str, body: &Value) -> String {
    let (body, words) = (body.to_string(), if status == 200 { "OK" } else { "Payment Required" });
    format!(
        "HTTP/1.1 {status} {words}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n{body}",
        body.len()
    )
}

async fn read_head(buyer: &mut TcpStream) -> anyhow::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < HEAD_MOST {
        match buyer.read_buf(&mut head).await? {
            0 => break,
            _ => continue,
        }
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// A folder that goes with this value.
struct Folder(PathBuf);

impl Folder {
    fn make() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("loopd-pay-demo-{}", std::process::id()));
        std::fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
