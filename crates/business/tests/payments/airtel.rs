//! Airtel Money, its side played on a local socket: strict about what Airtel's description asks for, and able to fail in its ways.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex};

use loopd_business::modules::payments::AirtelSettings;
use loopd_testkit::{Boot, Database, each_engine, json};
use loopd_types::{MINUTE_US, Secret, Uuid};
use serde_json::Value as Json;
use tokio::net::{TcpListener, TcpStream};

use crate::mtn::{Asked, read, reply};
use crate::support::World;

/// What Airtel knows and how it behaves.
#[derive(Default)]
struct Inside {
    /// Pushes by transaction id.
    pushes: BTreeMap<String, Json>,
    /// Merged into the transaction of every status.
    transaction: Json,
    /// `response_code` of every status.
    response_code: &'static str,
    tokens_given: usize,
    /// Take the push and hang up without a word.
    loses_answers: bool,
    /// Answer a push by 200 and this refusal.
    refuses: Option<&'static str>,
    /// Give no tokens.
    is_closed: bool,
}

#[derive(Clone, Default)]
struct Airtel(Arc<Mutex<Inside>>);

impl Airtel {
    fn set(&self, change: impl FnOnce(&mut Inside)) {
        change(&mut self.0.lock().unwrap());
    }
    fn see<T>(&self, look: impl FnOnce(&Inside) -> T) -> T {
        look(&self.0.lock().unwrap())
    }

    /// Status and body, or nothing at all.
    fn answer(&self, asked: &Asked) -> Option<(u16, Json)> {
        let mut inside = self.0.lock().unwrap();
        if asked.path == "/auth/oauth2/token" {
            let known = json!({"client_id": "client", "client_secret": "secret", "grant_type": "client_credentials"});
            if asked.method != "POST" || asked.body != known || inside.is_closed {
                return Some((401, json!({"error": "invalid_client"})));
            }
            inside.tokens_given += 1;
            let token = format!("token-{}", inside.tokens_given);
            return Some((200, json!({"access_token": token, "expires_in": "180", "token_type": "bearer"})));
        }
        let token = format!("Bearer token-{}", inside.tokens_given);
        if asked.header("authorization") != Some(token.as_str()) {
            return Some((401, json!({"error": "invalid_token"})));
        }
        if (asked.header("x-country"), asked.header("x-currency")) != (Some("RW"), Some("RWF")) {
            return Some((400, json!({"status": {"message": "no country", "response_code": "DP00800001004"}})));
        }
        let status = |code: &str, success: bool| json!({"code": "200", "message": "Said so.", "response_code": code, "success": success});
        match (asked.method.as_str(), asked.path.as_str()) {
            ("POST", "/merchant/v1/payments/") => {
                if let Some(code) = inside.refuses {
                    return Some((200, json!({"status": status(code, false)})));
                }
                let id = asked.body["transaction"]["id"].as_str().expect("an id").to_owned();
                assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}");
                inside.pushes.insert(id.clone(), asked.body.clone());
                let answer = json!({"data": {"transaction": {"id": id, "status": "SUCCESS"}}, "status": status("DP00800001006", true)});
                if inside.loses_answers { None } else { Some((200, answer)) }
            }
            ("GET", path) => {
                let id = path.strip_prefix("/standard/v1/payments/")?;
                if !inside.pushes.contains_key(id) {
                    return Some((404, json!({"status": status("DP00800001025", false)})));
                }
                let mut transaction = json!({"id": id});
                for (name, value) in inside.transaction.as_object().unwrap() {
                    transaction[name] = value.clone();
                }
                Some((200, json!({"data": {"transaction": transaction}, "status": status(inside.response_code, true)})))
            }
            _ => Some((405, Json::Null)),
        }
    }
}

async fn serve(mut stream: TcpStream, airtel: Airtel) {
    let Some(asked) = read(&mut stream).await else { return };
    let Some((status, answer)) = airtel.answer(&asked) else { return };
    reply(&mut stream, status, &answer).await;
}

/// The world of payments with Airtel in it.
struct Abroad {
    airtel: Airtel,
    world: World,
}

impl Deref for Abroad {
    type Target = World;

    fn deref(&self) -> &World {
        &self.world
    }
}

impl Boot for Abroad {
    const NAME: &'static str = World::NAME;

    async fn prepare(database: &Database) {
        World::prepare(database).await;
    }

    async fn boot(database: Database) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let base_url = format!("http://{}", listener.local_addr().expect("an address"));
        let airtel = Airtel::default();
        airtel.set(|inside| inside.transaction = json!({"status": "TIP"}));
        let served = airtel.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, served.clone()));
            }
        });
        let settings = AirtelSettings {
            base_url,
            client_id: "client".to_owned(),
            client_secret: Secret::new("secret".to_owned()),
            country: "RW".to_owned(),
            dial_code: "250".to_owned(),
            is_sandbox: false,
        };
        Self { airtel, world: World::over(database, Some(settings)).await }
    }
}

const PAYER: &str = "+250730123456";

impl Abroad {
    /// A payment of an invoice over so many francs that the payer was asked for.
    async fn asked(&self, amount: i64) -> Json {
        let invoice = self.open_invoice(amount).await;
        let id = self.momo(&invoice, "airtel_money", PAYER).await;
        self.act("payments", &id, "initiate", json!({})).await.expect_status(200).json()
    }
    async fn state(&self, payment: &Json) -> Json {
        self.get("payments", payment["id"].as_str().unwrap()).await
    }
}

fn id_of(payment: &Json) -> String {
    format!("001x{}", payment["provider_ref"].as_str().unwrap().replace('-', ""))
}

/// What Airtel would send for this payment.
fn callback_of(payment: &Json) -> Json {
    json!({"transaction": {"id": id_of(payment), "message": "Paid RWF 900", "status_code": "TS", "airtel_money_id": "MP1"}})
}

each_engine! {
    async fn a_push_is_sent_by_our_reference_and_its_callback_settles_once(world: &Abroad) {
        let asked = world.asked(900).await;
        assert_eq!((&asked["status"], &asked["provider"], &asked["sandbox"]), (&json!("pending"), &json!("airtel-money"), &json!(false)));
        let push = world.airtel.see(|inside| inside.pushes[&id_of(&asked)].clone());
        assert_eq!(push["subscriber"], json!({"country": "RW", "currency": "RWF", "msisdn": "730123456"}), "no country code in a number");
        assert_eq!((&push["transaction"]["amount"], &push["transaction"]["currency"]), (&json!(900), &json!("RWF")));
        // a callback that claims success is not believed while Airtel says otherwise
        world.callback("airtel-money", callback_of(&asked)).await.expect_status(200);
        assert_eq!(world.state(&asked).await["status"], "pending");
        world.airtel.set(|inside| inside.transaction = json!({"status": "TS", "airtel_money_id": "MP1"}));
        let (one, two) = tokio::join!(world.callback("airtel-money", callback_of(&asked)), world.callback("airtel-money", callback_of(&asked)));
        assert_eq!((one.status, two.status), (200, 200));
        let paid = world.state(&asked).await;
        assert_eq!((&paid["status"], &paid["provider_transaction"]), (&json!("succeeded"), &json!("MP1")));
        assert_eq!((world.account("1030").await, world.all("receipts", &[]).await.len()), (900, 1));
        assert_eq!(world.airtel.see(|inside| inside.tokens_given), 1, "one token serves many calls");
    }

    async fn callbacks_of_nobody_s_payment_change_nothing(world: &Abroad) {
        let nobody = Uuid::from_bytes([7; 16]).simple();
        for (id, status, code) in [("", 400, "invalid_callback"), ("001", 400, "invalid_callback"), ("001-5", 400, "invalid_callback")] {
            world.callback("airtel-money", json!({"transaction": {"id": id}})).await.expect_refusal(status, code);
        }
        for id in [format!("001x{nobody}"), format!("777x{nobody}")] {
            world.callback("airtel-money", json!({"transaction": {"id": id, "status_code": "TS"}})).await.expect_refusal(404, "not_found");
        }
        // another provider's word does not count for a payment of Airtel's
        let asked = world.asked(900).await;
        let other = json!({"externalId": format!("001-{}", asked["provider_ref"].as_str().unwrap())});
        world.callback("mtn-momo", other).await.expect_refusal(404, "not_found");
    }

    async fn failures_and_silence_end_as_they_should(world: &Abroad) {
        for (transaction, code, status, failure) in [
            (json!({"status": "TF", "message": "Too little."}), "DP00800001007", "failed", json!("dp00800001007")),
            (json!({"status": "TF"}), "DP00800001024", "expired", json!("expired")),
            (json!({"status": "TE"}), "", "expired", json!("expired")),
            (json!({"status": "TA"}), "", "pending", Json::Null),
            // over another amount it is no success of ours
            (json!({"status": "TS", "amount": "9"}), "", "pending", Json::Null),
        ] {
            let asked = world.asked(100).await;
            world.airtel.set(|inside| (inside.transaction, inside.response_code) = (transaction.clone(), code));
            world.clock.advance(MINUTE_US);
            world.work().await;
            let ended = world.state(&asked).await;
            assert_eq!((&ended["status"], &ended["failure_code"]), (&json!(status), &failure), "{transaction}");
        }
    }

    async fn a_lost_answer_is_asked_for_later(world: &Abroad) {
        world.airtel.set(|inside| inside.loses_answers = true);
        let asked = world.asked(900).await;
        assert_eq!(asked["status"], "pending");
        // meanwhile our token is taken by nobody any more; the next asking brings a new one
        world.airtel.set(|inside| {
            inside.tokens_given += 1;
            inside.transaction = json!({"status": "TS", "airtel_money_id": "MP2"});
        });
        for _ in 0..4 {
            world.clock.advance(2 * MINUTE_US);
            world.work().await;
        }
        assert_eq!(world.state(&asked).await["status"], "succeeded");
    }

    async fn what_airtel_does_not_take_is_not_pending(world: &Abroad) {
        world.airtel.set(|inside| inside.refuses = Some("DP00800001003"));
        let refused = world.asked(900).await;
        assert_eq!((&refused["status"], &refused["failure_code"], &refused["failure_reason"]), (&json!("failed"), &json!("dp00800001003"), &json!("Said so.")));
        // a number of another country is nobody Airtel serves here, and is not sent
        let invoice = world.open_invoice(100).await;
        let abroad = world.momo(&invoice, "airtel_money", "+256730123456").await;
        let refused = world.act("payments", &abroad, "initiate", json!({})).await.expect_status(200).json();
        assert_eq!((&refused["status"], &refused["failure_code"]), (&json!("failed"), &json!("payer_not_served")));
        // without a token nothing is sent, and it can be tried again
        world.airtel.set(|inside| {
            inside.refuses = None;
            inside.is_closed = true;
            inside.tokens_given += 1;
        });
        let id = world.momo(&invoice, "airtel_money", PAYER).await;
        for _ in 0..2 {
            world.act("payments", &id, "initiate", json!({})).await.expect_refusal(503, "provider_unavailable");
        }
        world.airtel.set(|inside| inside.is_closed = false);
        world.act("payments", &id, "initiate", json!({})).await.expect_status(200);
        assert_eq!(world.airtel.see(|inside| inside.pushes.len()), 1);
    }
}
