//! Loopwave: contacts, tickets and what opens and answers by itself.

use loopd_testkit::json;
use loopd_types::SECOND_US;

use super::Tour;
use crate::support::World;

pub(super) async fn wave_people(world: &World, tour: &mut Tour) {
    let base = "/api/v1/loopwave/tickets/";
    let ticket = tour.post(base, json!({"subject": "No parcel"})).await.text_at("/id");
    let item = format!("{base}{ticket}/");
    tour.get(base).await;
    tour.get(&item).await;
    tour.patch(&item, json!({"status": "resolved"})).await;
    tour.post(&format!("{item}comments/"), json!({"body": "Called."})).await;
    tour.get(&format!("{item}comments/")).await;
    tour.delete(&item).await;
    let base = "/api/v1/loopwave/contacts/";
    let contact = tour.post(base, json!({"name": "Aline", "phone": "+250788444444"})).await.text_at("/id");
    let other = tour.post(base, json!({"name": "Bosco", "phone": "+250788555555"})).await.text_at("/id");
    let item = format!("{base}{contact}/");
    tour.get(base).await;
    tour.get(&item).await;
    tour.get(&format!("{item}identities/")).await;
    tour.get(&format!("{base}segment/?lifecycle=lead")).await;
    tour.patch(&item, json!({"tags": ["vip"]})).await;
    tour.get(&format!("{base}export/")).await;
    let import = tour.csv(&format!("{base}import/"), "name,phone\nEve,+250788666666\n").await.text_at("/id");
    tour.get(&format!("/api/v1/loopwave/contact-imports/{import}/")).await;
    tour.get(&format!("/api/v1/loopwave/contact-imports/{import}/errors/")).await;
    let record = tour.owner.make("/api/v1/booking/customers/", json!({"name": "Aline"})).await;
    let about = json!({"resource": "booking/customers", "record": record});
    let ticket = tour.owner.make("/api/v1/loopwave/tickets/", json!({"subject": "No parcel"})).await;
    let chat = tour.owner.get("/api/v1/loopwave/chats/").await.text_at("/results/0/id");
    for owner in
        [item.clone(), format!("/api/v1/loopwave/tickets/{ticket}/"), format!("/api/v1/loopwave/chats/{chat}/")]
    {
        let link = tour.post(&format!("{owner}links/"), about.clone()).await.text_at("/id");
        tour.get(&format!("{owner}links/")).await;
        tour.delete(&format!("{owner}links/{link}/")).await;
    }
    tour.post(&format!("{item}links/match/"), json!({})).await;
    tour.get(&format!("/api/v1/loopwave/links/?resource=booking/customers&record={record}")).await;
    let segments = "/api/v1/loopwave/segments/";
    let segment = tour.post(segments, json!({"name": "VIP", "filter": {"tags": ["vip"]}})).await.text_at("/id");
    tour.get(segments).await;
    tour.get(&format!("{segments}{segment}/")).await;
    tour.patch(&format!("{segments}{segment}/"), json!({"name": "VIPs"})).await;
    tour.delete(&format!("{segments}{segment}/")).await;
    tour.post(&format!("{base}{other}/merge/"), json!({"into": contact})).await;
    tour.delete(&item).await;
    let base = "/api/v1/loopwave/automations/";
    let rule = tour.post(base, json!({"name": "Price", "match": "price", "response": "5000"})).await.text_at("/id");
    let item = format!("{base}{rule}/");
    tour.get(base).await;
    tour.get(&item).await;
    tour.get(&format!("{base}skips/")).await;
    tour.patch(&item, json!({"enabled": false})).await;
    tour.delete(&item).await;
    let chosen = tour.patch("/api/v1/loopwave/preferences/", json!({"intake": {"form_enabled": true}})).await;
    assert!(!chosen.text_at("/intake/form_token").is_empty());
    let token = tour.post("/api/v1/loopwave/preferences/renew-form/", json!({})).await.text_at("/intake/form_token");
    let form = format!("/api/v1/loopwave/forms/{}-{token}/", tour.owner.code);
    let started = tour.get(&form).await.text_at("/started");
    world.clock.advance(5 * SECOND_US);
    let entry = json!({"name": "Aline", "phone": "+250788123456", "subject": "No parcel", "started": started});
    tour.post(&form, entry).await;
}
