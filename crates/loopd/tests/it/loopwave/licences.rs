//! Licences: verified offline, told in every state, and in mode enforce stopping new writes and nothing else.

use std::ops::Deref;

use loopd_testkit::{Answer, Boot, Database, each_engine, json};
use loopd_types::{Clock as _, DAY_US, SeededRng};
use loopd_wave::license::{Revocations, Signer, Terms};
use serde_json::Value;

use crate::support::{Actor, World};

/// Whose licences count in these tests.
pub fn vendor() -> Signer {
    Signer::generate(&SeededRng::new(7))
}

pub fn terms(world: &World, id: &str, days: i64) -> Terms {
    let now = world.clock.now();
    Terms {
        lid: id.to_owned(),
        tid: "kigali-salon".to_owned(),
        plan: "team".to_owned(),
        addons: Vec::new(),
        iat: now.seconds(),
        exp: now.plus(days * DAY_US).seconds(),
        fpr: None,
        dom: None,
    }
}

const LICENSE: &str = "/api/v1/loopwave/license/";

/// The world of an installation that enforces licences.
struct Enforcing(World);

impl Deref for Enforcing {
    type Target = World;
    fn deref(&self) -> &World {
        &self.0
    }
}

impl Boot for Enforcing {
    const NAME: &'static str = World::NAME;

    async fn prepare(database: &Database) {
        World::prepare(database).await;
    }

    async fn boot(database: Database) -> Self {
        Self(World::start(database, &[("LICENSE_MODE", "enforce")]).await)
    }

    async fn close(self) {
        self.0.close().await;
    }
}

async fn state(owner: &Actor) -> Value {
    let told = owner.get(LICENSE).await.expect_status(200);
    json!([told.at("/state"), told.at("/reason"), told.at("/locked")])
}

async fn activate(owner: &Actor, license: &str) -> Answer {
    owner.post(&format!("{LICENSE}activate/")).json(&json!({"license": license})).await
}

async fn refresh(owner: &Actor, list: &str) -> Answer {
    owner.post(&format!("{LICENSE}refresh/")).json(&json!({"revocations": list})).await
}

each_engine! {
async fn a_licence_that_is_over_stops_new_writes_only(world: &Enforcing) {
    let mut owner = world.owner().await;
    assert_eq!(state(&owner).await, json!(["unlicensed", null, true]));
    let new = json!({"label": "Sales", "engine": "sandbox"});
    owner.post("/api/v1/loopwave/numbers/").json(&new).await.expect_refusal(402, "license_locked");
    let first = vendor().issue(&terms(world, "L-1", 2));
    activate(&owner, "LW1.x.y").await.expect_field("license", "bad_format");
    activate(&owner, &Signer::generate(&SeededRng::new(8)).issue(&terms(world, "L-1", 30))).await.expect_field("license", "bad_signature");
    activate(&owner, &vendor().issue(&Terms { dom: Some("else.example".into()), ..terms(world, "L-0", 30) })).await.expect_field("license", "domain_mismatch");
    assert_eq!(activate(&owner, &first).await.expect_status(200).text_at("/state"), "active");
    let line = world.line(&owner, "250788000001").await;
    let key = world.wave_key(&owner, &["*"]).await;
    let send = async || key.post("/api/v1/messages").json(&json!({"to": "250788123456", "text": "Hi"})).await;
    send().await.expect_status(202);
    world.clock.advance(3 * DAY_US);
    // sessions do not last so long
    owner = world.sign_in(&owner.email.clone(), &owner.code.clone()).await;
    assert_eq!(state(&owner).await, json!(["grace", null, false]));
    send().await.expect_status(202);
    world.clock.advance(7 * DAY_US);
    owner = world.sign_in(&owner.email.clone(), &owner.code.clone()).await;
    assert_eq!(state(&owner).await, json!(["expired", null, true]));
    let locked = send().await.expect_status(402);
    assert_eq!(locked.text_at("/error"), "license_locked");
    // before the body is looked at
    assert_eq!(key.post("/api/v1/messages").body("application/json", "{").await.status, 402);
    key.get("/api/v1/chats").await.expect_status(200);
    owner.post("/api/v1/loopwave/presence/").json(&json!({})).await.expect_status(200);
    assert_eq!(line.receive(&owner, "250788123457", "Is it open?").await["taken"], true);
    activate(&owner, &first).await.expect_field("license", "expired");
    let second = vendor().issue(&terms(world, "L-2", 30));
    activate(&owner, &second).await.expect_status(200);
    send().await.expect_status(202);
    // Revoked: for good, whatever a later list leaves out, until another licence is activated.
    let list = Revocations::default().revoke(&vendor(), "L-2", world.clock.now());
    refresh(&owner, "LWR1.x.y").await.expect_field("revocations", "bad_format");
    assert_eq!(refresh(&owner, &list).await.expect_status(200).text_at("/state"), "revoked");
    send().await.expect_status(402);
    refresh(&owner, &Revocations::default().revoke(&vendor(), "L-9", world.clock.now())).await.expect_status(200);
    assert_eq!(state(&owner).await, json!(["revoked", null, true]));
    activate(&owner, &second).await.expect_field("license", "revoked");
    activate(&owner, &vendor().issue(&terms(world, "L-3", 30))).await.expect_status(200);
    send().await.expect_status(202);
    let agent = world.member(&owner, "ada", "staff").await;
    agent.post(&format!("{LICENSE}activate/")).json(&json!({"license": "x"})).await.expect_refusal(403, "permission_denied");
}

async fn what_takes_away_or_only_stops_goes_on_while_the_licence_is_over(world: &Enforcing) {
    let owner = world.owner().await;
    activate(&owner, &vendor().issue(&terms(world, "L-1", 30))).await.expect_status(200);
    let base = "/api/v1/loopwave/";
    let make = async |noun: &str, body: Value| format!("{base}{noun}/{}/", owner.make(&format!("{base}{noun}/"), body).await);
    let line = world.line(&owner, "250788000001").await;
    let (first, second) = (make("api-keys", json!({"name": "Bot"})).await, make("api-keys", json!({"name": "Till"})).await);
    let hook = make("webhooks", json!({"url": "https://example.com/hook"})).await;
    let rule = make("automations", json!({"name": "All", "trigger": "all", "response": "Hi", "cooldown_minutes": 0})).await;
    let contact = make("contacts", json!({"name": "Aline", "phone": "+250788000009"})).await;
    let news = make("broadcasts", json!({"name": "News", "message": "Hi", "recipients": [{"chat_id": "250788000009"}]})).await;
    let later = json!({"scheduled_at": world.clock.now().plus(DAY_US).to_string()});
    owner.post(&format!("{news}start/")).json(&later).await.expect_status(200);
    let preferences = format!("{base}preferences/");
    owner.patch(&preferences).json(&json!({"mask_numbers": false, "intake": {"form_enabled": true}})).await.expect_status(200);
    line.receive(&owner, "250788123456", "Hi").await;
    refresh(&owner, &Revocations::default().revoke(&vendor(), "L-1", world.clock.now())).await.expect_status(200);

    // No rule answers while nothing else goes out by itself.
    line.receive(&owner, "250788123457", "Hi").await;
    let skips = owner.get(&format!("{base}automations/skips/")).await.expect_status(200);
    assert_eq!((skips.at("/replied"), skips.at("/skipped/locked")), (json!(1), json!(1)));

    for (path, more) in [
        (&first, json!({"enabled": false, "name": "Robot"})),
        (&first, json!({"enabled": true})),
        (&rule, json!({"enabled": false, "response": "Sale!"})),
        (&contact, json!({"opted_out": false})),
        (&contact, json!({"opted_out": true, "name": "Eve"})),
        (&preferences, json!({"mask_numbers": false})),
        (&preferences, json!({"intake": {"form_enabled": false, "form_title": "Sale"}})),
        (&preferences, json!({})),
    ] {
        owner.patch(path).json(&more).await.expect_refusal(402, "license_locked");
    }
    for act in ["start", "resume", "retry-failed"] {
        owner.post(&format!("{news}{act}/")).await.expect_refusal(402, "license_locked");
    }
    for (path, less) in [
        (&first, json!({"enabled": false})),
        (&rule, json!({"enabled": false})),
        (&contact, json!({"opted_out": true})),
        (&preferences, json!({"mask_numbers": true, "intake": {"form_enabled": false}})),
    ] {
        owner.patch(path).json(&less).await.expect_status(200);
    }
    for act in [format!("{second}revoke/"), format!("{news}pause/"), format!("{news}cancel/")] {
        owner.post(&act).await.expect_status(200);
    }
    for path in [&hook, &rule, &contact, &format!("{base}numbers/{}/", line.id)] {
        owner.delete(path).await.expect_status(204);
    }
}

async fn in_mode_monitor_nothing_is_stopped(world: &World) {
    let owner = world.owner().await;
    assert_eq!(state(&owner).await, json!(["unlicensed", null, false]));
    world.line(&owner, "250788000001").await;
}
}
