//! The business modules: every resource by its definition, and what stands beside them.

use http::Method;
use loopd_store::View;
use loopd_testkit::json;
use serde_json::Value;

use super::Tour;
use crate::coverage::sample::Samples;
use crate::loomal::stage::Wallet;
use crate::support::World;

/// Everything that every resource of every module has.
pub(super) async fn resources(world: &World, tour: &mut Tour) {
    let registry = world.engine.registry.clone();
    let first = tour.owner.clone();
    for runtime in registry.resources() {
        // A company each: what one resource's samples set up (opening hours, say) is not in another's way.
        tour.owner = world.register(&runtime.path.replace('/', "-")).await;
        let owner = tour.owner.clone();
        let mut samples = Samples::new(&owner, &registry);
        let (resource, base) = (&runtime.resource, format!("/api/v1/{}/", runtime.path));
        if !resource.read_only {
            let body = samples.body(&runtime.path, &[]).await;
            let made = tour.post(&base, body).await;
            let bulk = samples.body(&runtime.path, &[]).await;
            let bulk = json!({"operations": [{"op": "create", "body": bulk}], "atomic": true});
            tour.post(&format!("{base}bulk/"), bulk).await;
            let row = samples.body(&runtime.path, &[]).await;
            let import = tour.post(&format!("{base}import/"), json!({"rows": [row]})).await;
            if import.status == 200 && import.json()["created"] != 1 {
                let id = tour.id_of(&Method::POST, &format!("{base}import/"));
                tour.done.remove(&id);
                tour.failures.insert(id, import.text().to_string());
            }
            if import.status == 200 {
                let item = format!("/api/v1/imports/{}/", import.text_at("/id"));
                tour.get(&item).await;
                tour.get(&format!("{item}errors/")).await;
            }
            if made.status == 201 && !resource.append_only {
                let item = format!("{base}{}/", made.text_at("/id"));
                let body = samples.body(&runtime.path, &[]).await;
                tour.put(&item, body).await;
                tour.patch(&item, json!({"description": "Changed"})).await;
                let body = samples.body(&runtime.path, &[]).await;
                tour.put(&format!("{base}by-external-id/EXT-1/"), body).await;
                tour.delete(&item).await;
                tour.post(&format!("{item}restore/"), json!({})).await;
            }
            for action in &resource.actions {
                match samples.make_ready(&runtime.path, action).await {
                    Ok(id) => {
                        let input = samples.input(&runtime.path, action).await;
                        tour.post(&format!("{base}{id}/{}/", action.name), input).await;
                    }
                    Err(words) => {
                        let id = tour.id_of(&Method::POST, &format!("{base}x/{}/", action.name));
                        tour.failures.insert(id, words);
                    }
                }
            }
        }
        tour.get(&format!("{base}export/?format=csv")).await;
        look(tour, &base).await;
    }
    tour.owner = first;
}

/// Lists a resource and reads one record of it in every way.
async fn look(tour: &mut Tour, base: &str) {
    let list = tour.get(base).await;
    if let Some(id) = list.json().pointer("/results/0/id").and_then(Value::as_str) {
        let item = format!("{base}{id}/");
        tour.get(&item).await;
        tour.get(&format!("{item}actions/")).await;
        tour.get(&format!("{item}history/")).await;
        let files = format!("{item}attachments/");
        let attached = tour.upload(&files).await;
        tour.get(&files).await;
        if attached.status == 201 {
            let one = format!("{files}{}/", attached.text_at("/id"));
            tour.get(&format!("{one}content/")).await;
            tour.delete(&one).await;
        }
    }
}

/// Operations that a module declares beside its resources, and records that only the server makes.
pub(super) async fn by_hand(world: &World, tour: &mut Tour) {
    booking(world, tour).await;
    payments(world, tour).await;
    content(world, tour).await;
    for runtime in world.engine.registry.clone().resources() {
        look(tour, &format!("/api/v1/{}/", runtime.path)).await;
    }
}

async fn booking(world: &World, tour: &mut Tour) {
    let nobody = world.client();
    tour.get("/api/v1/booking/reminders/due/").await;
    // What ends an appointment wants it to have begun: the tests' clock stands at ten.
    for action in ["complete", "no-show"] {
        let body = json!({"title": "Now", "starts_at": "2026-06-22T10:00:00Z"});
        let id = tour.owner.make("/api/v1/booking/appointments/", body).await;
        tour.post(&format!("/api/v1/booking/appointments/{id}/confirm/"), json!({})).await;
        tour.post(&format!("/api/v1/booking/appointments/{id}/{action}/"), json!({})).await;
    }
    let service = tour.owner.make("/api/v1/booking/services/", json!({"title": "Haircut", "duration_min": 30})).await;
    tour.get(&format!("/api/v1/booking/availability/?service={service}&from=2026-06-23")).await;
    let public = "/api/v1/booking/public/001";
    tour.get_as(&nobody, &format!("{public}/services/")).await;
    tour.get_as(&nobody, &format!("{public}/availability/?service={service}&from=2026-06-23")).await;
    let wish =
        json!({"service": service, "starts_at": "2026-06-23T08:00:00Z", "name": "Aline", "phone": "+250788000001"});
    tour.post_as(&nobody, &format!("{public}/appointments/"), wish).await;
}

async fn payments(world: &World, tour: &mut Tour) {
    let nobody = world.client();
    let base = "/api/v1/payments";
    let invoice = tour
        .owner
        .make(&format!("{base}/invoices/"), json!({"title": "Tea", "data": {"amount": 25000, "currency": "RWF"}}))
        .await;
    let item = format!("{base}/invoices/{invoice}/");
    tour.post(&format!("{item}finalize/"), json!({})).await;
    tour.post(&format!("{item}credit-note/"), json!({"amount": "1000", "reason": "Spilled"})).await;
    let paid = tour.post(&format!("{item}record-payment/"), json!({"amount": "5000", "method": "cash"})).await;
    drop(paid);
    let payment = tour.owner.get(&format!("{base}/payments/?status=succeeded")).await.expect_status(200).json();
    if let Some(id) = payment.pointer("/results/0/id").and_then(Value::as_str) {
        tour.post(&format!("{base}/payments/{id}/refund/"), json!({"amount": "1000", "reason": "Too much"})).await;
    }
    tour.get(&format!("{base}/ledger/trial-balance/")).await;
    let receipt = tour.owner.get(&format!("{base}/receipts/")).await.expect_status(200).json();
    if let Some(id) = receipt.pointer("/results/0/id").and_then(Value::as_str) {
        tour.post(&format!("{base}/receipts/{id}/fiscalize/"), json!({"fiscal_number": "SDC-1"})).await;
        tour.post(&format!("{base}/receipts/{id}/reprint/"), json!({})).await;
    }
    let link = tour.post(&format!("{base}/payment-links/"), json!({"title": "Tea", "amount": "1000"})).await;
    if let Some(token) = link.json().get("token").and_then(Value::as_str) {
        let public = format!("{base}/public/001/payment-links/{token}/");
        tour.get_as(&nobody, &public).await;
        tour.post_as(&nobody, &format!("{public}pay/"), json!({"payer_phone": "+250788000001"})).await;
    }
    usdc(world, tour).await;
    let body = json!({"amount": "2000", "method": "mtn_momo", "payer_phone": "+250788000003"});
    let pending = tour.owner.make(&format!("{base}/payments/"), body).await;
    let asked = tour.post(&format!("{base}/payments/{pending}/initiate/"), json!({})).await.json();
    let told = json!({"externalId": format!("001-{}", asked["provider_ref"].as_str().unwrap_or_default())});
    tour.post_as(&nobody, &format!("{base}/providers/sandbox/callback/"), told.clone()).await;
    tour.put(&format!("{base}/providers/sandbox/callback/"), told).await;
}

/// An invoice that is paid at its pay link.
async fn usdc(world: &World, tour: &mut Tour) {
    let project = world.project(&tour.owner.clone(), "SELLER").await;
    let settings = json!({"settings": {"payments": {"usdc_project": project.id}}});
    let company = format!("/api/v1/companies/{}/", tour.owner.code);
    tour.owner.patch(&company).json(&settings).await.expect_status(200);
    let body = json!({"title": "Tea", "amount": "2.50", "currency": "USD"});
    let invoice = tour.owner.make("/api/v1/payments/invoices/", body).await;
    let item = format!("/api/v1/payments/invoices/{invoice}/");
    tour.post(&format!("{item}finalize/"), json!({})).await;
    let url = tour.post(&format!("{item}pay-link/"), json!({})).await.text_at("/url");
    let path = url.split_once("/pay/").map(|(_, rest)| format!("/pay/{rest}")).expect("an address");
    let asked = world.client().get(&path).await.expect_status(402).json();
    let payment = Wallet::number(9).pay(world, &asked, 1);
    let paid = world.client().get(&path).header("x-payment", &payment);
    tour.call(Method::GET, &path, paid).await;
}

async fn content(world: &World, tour: &mut Tour) {
    let nobody = world.client();
    for kind in ["pages", "posts"] {
        let body = json!({"title": "Home", "slug": "home", "language": "en", "body": "Welcome"});
        let id = tour.owner.make(&format!("/api/v1/cms/{kind}/"), body).await;
        let item = format!("/api/v1/cms/{kind}/{id}/");
        tour.post(&format!("{item}publish/"), json!({})).await;
        tour.get_as(&nobody, &format!("/api/v1/cms/public/001/{kind}/home/?language=en")).await;
        tour.post(&format!("{item}duplicate/"), json!({})).await;
        tour.post(&format!("{item}translate/"), json!({"language": "rw"})).await;
    }
    let menu = tour.owner.make("/api/v1/cms/menus/", json!({"title": "Top", "slug": "top"})).await;
    let entry = tour
        .owner
        .make("/api/v1/cms/menu-items/", json!({"title": "Home", "menu": menu, "url": "https://example.com/"}))
        .await;
    tour.post(&format!("/api/v1/cms/menus/{menu}/reorder/"), json!({"items": [entry]})).await;
    let message = tour.owner.make("/api/v1/chat/messages/", json!({"title": "Hi", "description": "Hello"})).await;
    tour.post(&format!("/api/v1/chat/messages/{message}/react/"), json!({"emoji": "👍"})).await;
    let channel = tour.owner.get("/api/v1/chat/channels/").await.expect_status(200).text_at("/results/0/id");
    tour.post(&format!("/api/v1/chat/channels/{channel}/read/"), json!({})).await;
    tour.get("/api/v1/chat/unread/").await;
    tour.post("/api/v1/chat/presence/", json!({"state": "online"})).await;
    tour.get("/api/v1/chat/presence/").await;
    let widget = tour.post("/api/v1/chat/widgets/", json!({"title": "Shop"})).await.text_at("/token");
    let door = format!("/api/v1/chat/public/{widget}/");
    tour.get_as(&nobody, &door).await;
    let begun = tour.post_as(&nobody, &format!("{door}conversations/"), json!({"name": "Aline"})).await;
    let visitor = nobody.with_header("x-visitor-token", &begun.text_at("/visitor_token"));
    tour.post_as(&visitor, &format!("{door}messages/"), json!({"body": "Hello"})).await;
    tour.get_as(&visitor, &format!("{door}messages/")).await;
    let advice =
        tour.post("/api/v1/ai/business-advice/", json!({"prompt": "Summarize this week sales"})).await.text_at("/id");
    tour.post(&format!("/api/v1/ai/business-advice/{advice}/feedback/"), json!({"useful": true})).await;
    let talk = tour.owner.make("/api/v1/ai/conversations/", json!({"title": "Sales"})).await;
    tour.post(&format!("/api/v1/ai/conversations/{talk}/send/"), json!({"prompt": "And last week?"})).await;
    let runs = tour.owner.get("/api/v1/ai/runs/").await.expect_status(200).json();
    if let Some(id) = runs.pointer("/results/0/id").and_then(Value::as_str) {
        tour.post(&format!("/api/v1/ai/runs/{id}/feedback/"), json!({"useful": true})).await;
    }
    tour.post("/api/v1/ai/summarize/", json!({"text": "Tea is sold."})).await;
    tour.post("/api/v1/ai/draft/", json!({"facts": "We close on Friday"})).await;
    tour.post("/api/v1/ai/classify/", json!({"text": "Where is my parcel?", "labels": ["parcel", "bill"]})).await;
    let run = tour.post("/api/v1/ai/extract/", json!({"text": "Pay 5 USD"})).await.text_at("/id");
    // Only a model outside leaves runs that can be cancelled or tried again.
    set_run(world, &run, "running").await;
    tour.post(&format!("/api/v1/ai/runs/{run}/cancel/"), json!({})).await;
    tour.post(&format!("/api/v1/ai/runs/{run}/retry/"), json!({})).await;
    tour.get("/api/v1/ai/usage/").await;
    tour.get_as(&nobody, "/api/v1/protector/public-verify/IHEMATST1/").await;
    protector(world, tour).await;
}

/// Puts company 001's run into a state that takes a model to reach.
async fn set_run(world: &World, id: &str, status: &'static str) {
    let id: loopd_types::Uuid = id.parse().expect("an id");
    let work = move |tx: &mut loopd_store::Tx<'_>| {
        let sql = "UPDATE ai_runs SET status = $1 WHERE company_id = 1 AND id = $2";
        assert_eq!(tx.execute(sql, &loopd_store::params![status, id])?, 1);
        Ok(())
    };
    world.kernel.db.write(View::System, work).await.expect("the run is changed");
}

/// A code of the company's own, checked and reported by a stranger.
async fn protector(world: &World, tour: &mut Tour) {
    let (nobody, registry, owner) = (world.client(), world.engine.registry.clone(), tour.owner.clone());
    let mut samples = Samples::new(&owner, &registry);
    let activate = registry.find("protector/batches").and_then(|batches| batches.resource.find_action("activate"));
    let batch =
        samples.make_ready("protector/batches", activate.expect("batches are activated")).await.expect("a batch");
    tour.post(&format!("/api/v1/protector/batches/{batch}/activate/"), json!({})).await;
    let code = owner
        .get(&format!("/api/v1/protector/codes/?batch={batch}"))
        .await
        .expect_status(200)
        .text_at("/results/0/code");
    tour.get_as(&nobody, &format!("/api/v1/protector/public-verify/{code}/")).await;
    let report = json!({"code": code, "kind": "fake", "contact": "a@example.com"});
    tour.post_as(&nobody, "/api/v1/protector/public-report/", report).await;
}
