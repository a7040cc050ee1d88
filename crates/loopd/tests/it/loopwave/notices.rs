//! What other products have said by Loopwave: reminders and invoices, each once, to who may be written to; and links with their records.

use loopd_testkit::{each_engine, json};
use loopd_types::{HOUR_US, MINUTE_US, SECOND_US, Timestamp};
use serde_json::Value;

use crate::support::{Actor, World, eventually};

const CUSTOMER: &str = "250788123456";
const APPOINTMENTS: &str = "/api/v1/booking/appointments/";
pub const INVOICES: &str = "/api/v1/payments/invoices/";
const CONTACTS: &str = "/api/v1/loopwave/contacts/";

/// Has the company's reminders fall due an hour before, and be written.
pub async fn reminds(owner: &Actor) {
    let settings = json!({"settings": {"booking": {"reminder_min": 60, "reminder_message": true}}});
    owner.patch("/api/v1/companies/001/").json(&settings).await.expect_status(200);
}

/// An appointment of a customer with this number, so long from now: its path.
pub async fn booked(world: &World, owner: &Actor, phone: &str, in_us: i64) -> String {
    let customer = owner.make("/api/v1/booking/customers/", json!({"name": "Aline Uwase", "phone": phone})).await;
    let start = Timestamp(world.kernel.now().0).plus(in_us);
    let body = json!({"title": "Haircut", "customer": customer, "starts_at": start.to_string(), "ends_at": start.plus(30 * MINUTE_US).to_string()});
    let id = owner.make(APPOINTMENTS, body).await;
    owner.post(&format!("{APPOINTMENTS}{id}/confirm/")).await.expect_status(200);
    format!("{APPOINTMENTS}{id}/")
}

/// The appointment, once its reminder fell due.
pub async fn due(world: &World, owner: &Actor, path: &str) -> Value {
    eventually("the reminder falls due", async || {
        world.clock.advance(SECOND_US);
        owner.get(path).await.expect_status(200).at("/reminder_due_at").is_string()
    })
    .await;
    owner.get(path).await.json()
}

/// The messages of the only chat, newest first.
pub async fn thread(owner: &Actor) -> Vec<Value> {
    let chats = owner.get("/api/v1/loopwave/chats/").await.expect_status(200).json();
    let Some(chat) = chats["results"][0]["id"].as_str() else { return Vec::new() };
    let page = owner.get(&format!("/api/v1/loopwave/chats/{chat}/messages/")).await.expect_status(200).json();
    page["results"].as_array().expect("a list").clone()
}

/// An open invoice of a customer with this number: its path.
pub async fn invoiced(owner: &Actor, phone: Value) -> String {
    let customer = owner.make("/api/v1/payments/customers/", json!({"name": "Aline Uwase", "phone": phone})).await;
    let id = owner
        .make(INVOICES, json!({"customer": customer, "amount": 5000, "currency": "RWF", "due_date": "2026-07-30"}))
        .await;
    owner.post(&format!("{INVOICES}{id}/finalize/")).await.expect_status(200);
    format!("{INVOICES}{id}/")
}

each_engine! {
    async fn a_reminder_is_written_once_and_stands_in_the_chat_with_what_it_is_about(world: &World) {
        let owner = world.owner().await;
        world.line(&owner, "250788000001").await;
        reminds(&owner).await;
        let path = booked(world, &owner, "+250788123456", HOUR_US + 5 * SECOND_US).await;
        let appointment = due(world, &owner, &path).await;
        assert_eq!(appointment["reminder_message"], "on_its_way");
        assert!(appointment["reminded_at"].is_string(), "nobody needs to be told to remind them");
        eventually("it is delivered", async || {
            world.clock.advance(SECOND_US);
            thread(&owner).await.first().is_some_and(|it| it["status"] == "delivered" || it["status"] == "read")
        })
        .await;
        let said = thread(&owner).await;
        assert_eq!(said.len(), 1, "{said:?}");
        let (text, about) = (said[0]["text"].as_str().expect("a text"), &said[0]["about"]);
        assert!(text.contains("Aline Uwase") && text.contains("owner Ltd") && text.contains("Haircut"), "{text}");
        assert_eq!(
            (&said[0]["origin"], &about["module"], &about["resource"], &about["label"]),
            (&json!("system"), &json!("booking"), &json!("appointments"), &appointment["number"])
        );
        // Whoever was written to is linked with the record, and called as it calls them.
        let contact = owner.get(CONTACTS).query("phone", "+250788123456").await.json()["results"][0].clone();
        assert_eq!(contact["name"], "Aline Uwase");
        let links = owner.get(&format!("{CONTACTS}{}/links/", contact["id"].as_str().expect("an id"))).await.expect_status(200).json();
        assert_eq!((&links["results"][0]["resource"], &links["results"][0]["title"]), (&json!("booking/customers"), &json!("Aline Uwase")));
        // The job done again says nothing.
        let kernel = world.kernel.clone();
        let again = world.kernel.db.write(loopd_store::View::System, move |tx| {
            Ok(tx.execute("UPDATE jobs SET state = 'queued', run_at = $1 WHERE kind = 'booking.reminder'", &loopd_store::params![kernel.now()])?)
        });
        assert_eq!(again.await.expect("a write"), 1);
        eventually("the job is done again", async || {
            let sql = "SELECT count(*) FROM jobs WHERE kind = 'booking.reminder' AND state = 'queued'";
            let left = world.kernel.db.read(loopd_store::View::System, move |reader| Ok(reader.one(sql, &[], |row| row.i64(0))?));
            left.await.expect("a read") == 0
        })
        .await;
        assert_eq!(thread(&owner).await.len(), 1);
    }

    async fn a_reminder_waits_for_nobody_who_may_not_be_written_to(world: &World) {
        let owner = world.owner().await;
        let line = world.line(&owner, "250788000001").await;
        // Switched off unless the company wants it.
        let silent = booked(world, &owner, "+250788111111", 24 * HOUR_US + 5 * SECOND_US).await;
        assert_eq!(due(world, &owner, &silent).await["reminder_message"], json!(null));
        reminds(&owner).await;
        line.receive(&owner, CUSTOMER, "STOP").await;
        for (phone, why) in [("+250788123456", "opted_out"), ("0788123456", "no_phone")] {
            let path = booked(world, &owner, phone, HOUR_US + 5 * SECOND_US).await;
            assert_eq!(due(world, &owner, &path).await["reminder_message"], why);
        }
        owner.post(&format!("/api/v1/loopwave/numbers/{}/sandbox/ban/", line.id)).json(&json!({"minutes": 600})).await.expect_status(200);
        let path = booked(world, &owner, "+250788222222", HOUR_US + 5 * SECOND_US).await;
        assert_eq!(due(world, &owner, &path).await["reminder_message"], "line_rests");
        owner.post(&format!("/api/v1/loopwave/numbers/{}/sandbox/lift/", line.id)).await.expect_status(200);
        // It is noon, and quiet until six: the appointment is before.
        owner.patch("/api/v1/loopwave/preferences/").json(&json!({"pacing": {"quiet_from_hour": 11, "quiet_to_hour": 18}})).await.expect_status(200);
        let path = booked(world, &owner, "+250788333333", HOUR_US + 5 * SECOND_US).await;
        assert_eq!(due(world, &owner, &path).await["reminder_message"], "quiet_hours");
        owner.delete(&format!("/api/v1/loopwave/numbers/{}/", line.id)).await.expect_status(204);
        let path = booked(world, &owner, "+250788444444", HOUR_US + 5 * SECOND_US).await;
        assert_eq!(due(world, &owner, &path).await["reminder_message"], "no_line");
        assert_eq!(world.rows("wave_outgoing").await, 0);
        assert_eq!(world.rows("wave_notices").await, 0, "what was not said may be said later");
    }

    async fn an_invoice_is_sent_by_message_when_somebody_wants_it_so(world: &World) {
        let owner = world.owner().await;
        let path = invoiced(&owner, json!("+250788123456")).await;
        owner.post(&format!("{path}send/")).json(&json!({"by_message": true})).await.expect_refusal(409, "no_line");
        assert_eq!(owner.get(&path).await.at("/sent_at"), json!(null), "a sending that was refused is none");
        let line = world.line(&owner, "250788000001").await;
        owner.post(&format!("{path}send/")).await.expect_status(200);
        assert_eq!(world.rows("wave_messages").await, 0, "nobody is written to unasked");
        let body = json!({"by_message": true});
        let send = async || owner.post(&format!("{path}send/")).header("idempotency-key", "send-1").json(&body).await.expect_status(200);
        let first = send().await;
        assert_eq!(send().await.at("/version"), first.at("/version"), "a repeated call is the same act");
        let said = thread(&owner).await;
        assert_eq!(said.len(), 1);
        let text = said[0]["text"].as_str().expect("a text");
        assert!(text.contains("5000 RWF") && text.contains("2026-07-30") && text.contains(first.text_at("/number").as_str()), "{text}");
        assert_eq!((&said[0]["about"]["resource"], &said[0]["origin"]), (&json!("invoices"), &json!("system")));
        // Another act is another message.
        world.clock.advance(MINUTE_US);
        owner.post(&format!("{path}send/")).json(&body).await.expect_status(200);
        assert_eq!(thread(&owner).await.len(), 2);
        line.receive(&owner, CUSTOMER, "STOP").await;
        world.clock.advance(MINUTE_US);
        owner.post(&format!("{path}send/")).json(&body).await.expect_refusal(409, "opted_out");
        let nowhere = invoiced(&owner, Value::Null).await;
        owner.post(&format!("{nowhere}send/")).json(&body).await.expect_refusal(409, "no_phone");
        // At night it waits for the morning.
        owner.patch("/api/v1/loopwave/preferences/").json(&json!({"pacing": {"quiet_from_hour": 11, "quiet_to_hour": 18}})).await.expect_status(200);
        let other = invoiced(&owner, json!("+250788555555")).await;
        owner.post(&format!("{other}send/")).json(&body).await.expect_status(200);
        assert_eq!(world.rows("wave_notices").await, 3);
        let due = world.kernel.db.read(loopd_store::View::System, |reader| {
            let sql = "SELECT due_at FROM wave_outgoing ORDER BY due_at DESC LIMIT 1";
            Ok(reader.one(sql, &[], |row| row.time(0))?)
        });
        let waits = due.await.expect("a read").0 - world.kernel.now().0;
        assert!((4 * HOUR_US..=6 * HOUR_US).contains(&waits), "{waits}");
    }

    async fn a_contact_is_the_customer_with_the_number_they_write_from(world: &World) {
        let (owner, stranger) = world.strangers().await;
        let agent = world.member(&owner, "ada", "staff").await;
        let line = world.line(&owner, "250788000001").await;
        let booking = owner.make("/api/v1/booking/customers/", json!({"name": "Aline", "phone": "+250788123456"})).await;
        let payer = owner.make("/api/v1/payments/customers/", json!({"name": "Aline U.", "phone": "+250788123456"})).await;
        // Two have this number: nobody can say whose it is.
        for name in ["Bosco", "Bosco's wife"] {
            owner.make("/api/v1/booking/customers/", json!({"name": name, "phone": "+250788222222"})).await;
        }
        let chat = line.receive(&owner, CUSTOMER, "Hi").await["chat"].as_str().expect("a chat").to_owned();
        line.receive(&owner, "250788222222", "Hi").await;
        let contact_of = async |phone: &str| {
            let found = owner.get(CONTACTS).query("phone", phone).await.json()["results"][0]["id"].clone();
            format!("{CONTACTS}{}/", found.as_str().expect("an id"))
        };
        let (aline, bosco) = (contact_of("+250788123456").await, contact_of("+250788222222").await);
        let links = agent.get(&format!("{aline}links/")).await.expect_status(200).json();
        let told: Vec<(&Value, &Value, &Value)> = links["results"].as_array().expect("a list").iter().map(|it| (&it["resource"], &it["record"], &it["how"])).collect();
        assert_eq!(told, [(&json!("booking/customers"), &json!(booking), &json!("phone")), (&json!("payments/customers"), &json!(payer), &json!("phone"))]);
        assert_eq!(owner.get(&format!("{bosco}links/")).await.at("/results"), json!([]));
        // From the record's side.
        let back = agent.get(&format!("/api/v1/loopwave/links/?resource=booking/customers&record={booking}")).await.expect_status(200);
        assert_eq!((back.at("/results/0/kind"), back.json()["results"].as_array().map(Vec::len)), (json!("contact"), Some(1)));
        // By hand, and away again; a chat and a ticket as well.
        let body = json!({"resource": "booking/customers", "record": booking});
        let made = agent.post(&format!("{bosco}links/")).json(&body).await.expect_status(201);
        assert_eq!((made.at("/how"), made.at("/title"), made.at("/created_by")), (json!("hand"), json!("Aline"), json!(agent.user)));
        let again = agent.post(&format!("{bosco}links/")).json(&body).await.expect_status(201);
        assert_eq!(again.at("/id"), made.at("/id"), "linked once");
        agent.delete(&format!("{bosco}links/{}/", made.text_at("/id"))).await.expect_status(204);
        let invoice = owner.make(INVOICES, json!({"customer": payer, "amount": 5000})).await;
        let about = json!({"resource": "payments/invoices", "record": invoice});
        agent.post(&format!("/api/v1/loopwave/chats/{chat}/links/")).json(&about).await.expect_status(201);
        let ticket = owner.make("/api/v1/loopwave/tickets/", json!({"chat": chat})).await;
        agent.post(&format!("/api/v1/loopwave/tickets/{ticket}/links/")).json(&about).await.expect_status(201);
        let of_invoice = owner.get(&format!("/api/v1/loopwave/links/?resource=payments/invoices&record={invoice}")).await.json();
        let kinds: Vec<&Value> = of_invoice["results"].as_array().expect("a list").iter().map(|it| &it["kind"]).collect();
        assert_eq!(kinds, [&json!("chat"), &json!("ticket")]);
        // What the caller may not see, is not there, or is another company's, cannot be linked.
        let role = world.role(&owner, &["loopwave.*"]).await;
        let blind = world.member(&owner, "bob", &role).await;
        blind.post(&format!("{aline}links/")).json(&about).await.expect_refusal(403, "permission_denied");
        assert_eq!(blind.get(&format!("{aline}links/")).await.at("/results/0/title"), json!(null));
        let theirs = stranger.make("/api/v1/booking/customers/", json!({"name": "X"})).await;
        for (resource, record) in [("booking/customers", theirs.as_str()), ("booking/ghosts", theirs.as_str()), ("booking/customers", chat.as_str())] {
            let body = json!({"resource": resource, "record": record});
            owner.post(&format!("{aline}links/")).json(&body).await.expect_field("record", "does_not_exist");
        }
        let own = json!({"resource": "loopwave/contacts", "record": theirs});
        owner.post(&format!("{aline}links/")).json(&own).await.expect_field("resource", "invalid");
        // Merged, a contact keeps the links of both; a record that gets a known number later is linked by itself.
        owner.post(&format!("{bosco}merge/")).json(&json!({"into": aline.rsplit('/').nth(1)})).await.expect_status(200);
        assert_eq!(owner.get(&format!("{aline}links/")).await.json()["results"].as_array().map(Vec::len), Some(2));
        line.receive(&owner, "250788777777", "Hi").await;
        let late = contact_of("+250788777777").await;
        owner.make("/api/v1/booking/customers/", json!({"name": "Late", "phone": "+250788777777"})).await;
        let linked = async || owner.get(&format!("{late}links/")).await.expect_status(200).at("/results");
        assert_eq!(linked().await[0]["title"], json!("Late"));
        let payer = owner.make("/api/v1/payments/customers/", json!({"name": "Later", "phone": "+250788777778"})).await;
        assert_eq!(linked().await.as_array().map(Vec::len), Some(1));
        let phone = json!({"phone": "+250788777777"});
        owner.patch(&format!("/api/v1/payments/customers/{payer}/")).json(&phone).await.expect_status(200);
        let found = owner.post(&format!("{late}links/match/")).await.expect_status(200);
        assert_eq!((found.at("/results/1/title"), linked().await), (json!("Later"), found.at("/results")));
    }
}
