//! Contacts: with keys, by agents and administrators, merged, and heard when they write STOP.

use loopd_testkit::{each_engine, json};
use loopd_types::SECOND_US;
use serde_json::Value;

use crate::support::{Actor, World};

const CUSTOMER: &str = "250788123456";
const CONTACTS: &str = "/api/v1/loopwave/contacts/";

/// The contact of a number.
async fn contact_of(owner: &Actor, phone: &str) -> Value {
    let found = owner.get(CONTACTS).query("phone", &format!("+{phone}")).await.expect_status(200).json();
    assert_eq!(found["count"], 1, "{found}");
    found["results"][0].clone()
}

each_engine! {
    async fn a_program_adds_contacts_and_lists_them_last_contacted_first(world: &World) {
        let owner = world.owner().await;
        let key = world.wave_key(&owner, &["contacts:read", "contacts:write"]).await;
        let line = world.line(&owner, "250788000001").await;
        let body = json!({"name": "Aline", "phone": "+250 788 123 456", "company": "Moto", "tags": [" vip ", "vip", "50%"], "lifetimeValue": "RWF 12,000"});
        let made = key.post("/api/v1/contacts").json(&body).await.expect_status(201).json();
        assert_eq!((&made["phone"], &made["lifecycle"], &made["tags"], &made["company"]), (&json!("+250788123456"), &json!("lead"), &json!(["vip", "50%"]), &json!("Moto")));
        let again = key.post("/api/v1/contacts").json(&body).await;
        assert_eq!((again.status, again.text_at("/error")), (409, "contact_exists".to_owned()));
        for (phone, name) in [("250788111111", "Bosco"), ("250788222222", "Chantal")] {
            world.clock.advance(SECOND_US);
            line.receive_as(&owner, json!({"from": phone, "text": "Hi", "name": name})).await;
        }
        let page = key.get("/api/v1/contacts").query("limit", "2").await.expect_status(200).json();
        assert_eq!((&page["data"][0]["name"], &page["data"][1]["name"]), (&json!("Chantal"), &json!("Bosco")));
        let next = page["nextCursor"].as_str().expect("there is more");
        let rest = key.get("/api/v1/contacts").query("cursor", next).await.json();
        assert_eq!((&rest["data"][0]["name"], &rest["nextCursor"]), (&json!("Aline"), &json!(null)));
        for (name, value, count) in [("search", "ALIN", 1), ("search", "788111", 1), ("tag", "vip", 1), ("tag", "vi", 0), ("tag", "50%", 1), ("tag", "5_%", 0), ("lifecycle", "vip", 0)] {
            let found = key.get("/api/v1/contacts").query(name, value).await.expect_status(200).json();
            assert_eq!(found["data"].as_array().map(Vec::len), Some(count), "{name}={value}");
        }
        for bad in [json!({"name": "A"}), json!({"phone": "+250788123999"}), json!({"name": "A", "phone": "0788"}), json!({"name": "A", "phone": "+250788123999", "lifecycle": "boss"})] {
            let refused = key.post("/api/v1/contacts").json(&bad).await;
            assert_eq!((refused.status, refused.text_at("/error")), (400, "invalid_input".to_owned()), "{bad}");
        }
        // Who was added is who writes.
        line.receive_as(&owner, json!({"from": CUSTOMER, "text": "Hi", "name": "aline on her phone"})).await;
        assert_eq!((&contact_of(&owner, CUSTOMER).await["name"], world.rows("wave_contacts").await), (&json!("Aline"), 3));
    }

    async fn agents_label_people_whose_numbers_they_do_not_see_and_delete_none(world: &World) {
        let (owner, stranger) = world.strangers().await;
        let agent = world.member(&owner, "ada", "staff").await;
        let line = world.line(&owner, "250788000001").await;
        line.receive(&owner, CUSTOMER, "Hi").await;
        let id = contact_of(&owner, CUSTOMER).await["id"].as_str().expect("an id").to_owned();
        let item = format!("{CONTACTS}{id}/");
        let row = agent.get(&item).await.expect_status(200).json();
        assert_eq!((&row["name"], &row["phone"]), (&json!("+250•••••••56"), &json!("+250•••••••56")));
        let change = json!({"name": row["name"], "phone": row["phone"], "tags": ["late"], "notes": "Pays late", "lifecycle": "customer", "owner": agent.user});
        let changed = agent.patch(&item).json(&change).await.expect_status(200);
        let identities = agent.get(&format!("{item}identities/")).await.expect_status(200);
        let mut texts = vec![changed.text(), identities.text(), agent.get(CONTACTS).await.text()];
        let events = agent.get("/api/v1/platform-events/").query("type", "loopwave.contacts.*").await.expect_status(200);
        assert!(events.at("/results").as_array().is_some_and(|all| !all.is_empty()), "agents follow what they see");
        texts.push(events.text());
        texts.push(owner.get("/api/v1/audit-logs/").query("resource", "contacts").await.text());
        for text in texts { assert!(!text.contains("8812345"), "{text}"); }
        assert_eq!(agent.get(CONTACTS).query("search", "788123456").await.json()["count"], 0);
        let seen = owner.get(&item).await.json();
        assert_eq!((&seen["name"], &seen["phone"], &seen["tags"], &seen["lifecycle"]), (&json!("+250788123456"), &json!("+250788123456"), &json!(["late"]), &json!("customer")));
        agent.patch(&item).json(&json!({"owner": stranger.user})).await.expect_refusal(400, "validation_error");
        agent.delete(&item).await.expect_refusal(403, "permission_denied");
        agent.post(&format!("{item}merge/")).json(&json!({"into": id})).await.expect_refusal(403, "permission_denied");
        stranger.get(&item).await.expect_refusal(404, "not_found");
        owner.delete(&item).await.expect_status(204);
        owner.get(&item).await.expect_refusal(404, "not_found");
        // Who writes again is somebody new.
        line.receive(&owner, CUSTOMER, "Hi").await;
        line.receive(&owner, CUSTOMER, "Hi again").await;
        assert_ne!(contact_of(&owner, CUSTOMER).await["id"], json!(id));
    }

    async fn two_contacts_go_on_as_one(world: &World) {
        let (owner, stranger) = world.strangers().await;
        let line = world.line(&owner, "250788000001").await;
        let chat = line.receive_as(&owner, json!({"from": CUSTOMER, "text": "Hi", "name": "Al"})).await["chat"].as_str().expect("a chat").to_owned();
        let ticket = owner.make("/api/v1/loopwave/tickets/", json!({"chat": chat})).await;
        let loser = contact_of(&owner, CUSTOMER).await["id"].as_str().expect("an id").to_owned();
        owner.patch(&format!("{CONTACTS}{loser}/")).json(&json!({"tags": ["b"], "email": "a@example.com", "notes": "Late", "opted_out": true})).await.expect_status(200);
        let winner = owner.make(CONTACTS, json!({"name": "Aline", "phone": "+250788999999", "tags": ["a"], "notes": "Kind"})).await;
        let merge = format!("{CONTACTS}{loser}/merge/");
        owner.post(&merge).json(&json!({"into": loser})).await.expect_refusal(400, "validation_error");
        let foreign = stranger.make(CONTACTS, json!({"name": "S", "phone": "+250788777777"})).await;
        owner.post(&merge).json(&json!({"into": foreign})).await.expect_refusal(400, "validation_error");
        let row = owner.post(&merge).json(&json!({"into": winner})).await.expect_status(200).json();
        assert_eq!(
            (&row["id"], &row["name"], &row["phone"], &row["email"], &row["tags"], &row["notes"], &row["conversation_count"]),
            (&json!(winner), &json!("Aline"), &json!("+250788999999"), &json!("a@example.com"), &json!(["a", "b"]), &json!("Kind\n\nLate"), &json!(1))
        );
        assert!(row["opted_out_at"].is_string(), "who asked not to be written to is still heard");
        owner.get(&format!("{CONTACTS}{loser}/")).await.expect_refusal(404, "not_found");
        assert_eq!(owner.get(&format!("/api/v1/loopwave/tickets/{ticket}/")).await.text_at("/contact"), winner);
        let known = owner.get(&format!("{CONTACTS}{winner}/identities/")).await.json();
        assert_eq!(known["results"].as_array().map(Vec::len), Some(2));
        line.receive(&owner, CUSTOMER, "It's me").await;
        let key = world.wave_key(&owner, &["chats:read"]).await;
        let chats = key.get("/api/v1/chats").await.json();
        assert_eq!((&chats["data"][0]["contactId"], &chats["data"][0]["name"]), (&json!(winner), &json!("Aline")));
    }

    async fn who_writes_stop_is_not_answered_by_rules_until_they_write_start(world: &World) {
        let owner = world.owner().await;
        let line = world.line(&owner, "250788000001").await;
        owner.make("/api/v1/loopwave/automations/", json!({"name": "All", "trigger": "all", "response": "Hi", "cooldown_minutes": 0})).await;
        let counted = async |name: &str| owner.get("/api/v1/loopwave/automations/skips/").await.at(name);
        line.receive(&owner, CUSTOMER, "Please stop by tomorrow").await;
        assert_eq!(counted("/replied").await, json!(1));
        line.receive(&owner, CUSTOMER, "HAGARIKA!").await;
        line.receive(&owner, CUSTOMER, "Hello?").await;
        assert_eq!((counted("/replied").await, counted("/skipped/opted_out").await), (json!(1), json!(2)));
        assert!(contact_of(&owner, CUSTOMER).await["opted_out_at"].is_string());
        let segment = owner.get(&format!("{CONTACTS}segment/")).query("lifecycle", "lead,vip").await.expect_status(200).json();
        assert_eq!(segment, json!({"count": 1, "reachable": 0}));
        // People write all the same.
        let key = world.wave_key(&owner, &["messages:write"]).await;
        key.post("/api/v1/messages").json(&json!({"to": CUSTOMER, "text": "As you asked"})).await.expect_status(202);
        line.receive(&owner, CUSTOMER, "start").await;
        assert_eq!(counted("/replied").await, json!(2));
        assert!(contact_of(&owner, CUSTOMER).await["opted_out_at"].is_null());
    }

    async fn a_wish_not_to_be_written_to_outlives_the_contact(world: &World) {
        let owner = world.owner().await;
        let line = world.line(&owner, "250788000001").await;
        owner.make("/api/v1/loopwave/automations/", json!({"name": "All", "trigger": "all", "response": "Hi", "cooldown_minutes": 0})).await;
        let other = "250788555555";
        let delete = async |phone: &str| {
            let id = contact_of(&owner, phone).await["id"].as_str().expect("an id").to_owned();
            owner.delete(&format!("{CONTACTS}{id}/")).await.expect_status(204);
            id
        };
        for customer in [CUSTOMER, other] {
            line.receive(&owner, customer, "STOP").await;
            delete(customer).await;
        }
        // Nobody knows them any more, and nothing is sent to them all the same.
        crate::loopwave::broadcasts::pace(&owner, json!({"quiet_from_hour": 0, "quiet_to_hour": 0})).await;
        let key = world.wave_key(&owner, &["*"]).await;
        let body = json!({"name": "News", "message": "Muraho", "recipients": [{"chatId": CUSTOMER}]});
        let news = key.post("/api/v1/broadcasts").json(&body).await.expect_status(201).text_at("/id");
        let done = crate::loopwave::broadcasts::until(world, &owner, &news, SECOND_US, "the news is over", |row| row["status"] == "completed").await;
        assert_eq!((&done["skipped_count"], &done["sent_count"]), (&json!(1), &json!(0)));
        // Who writes again is a new contact with the old wish, as is who is written down again.
        line.receive(&owner, CUSTOMER, "Hello?").await;
        let replied = async || owner.get("/api/v1/loopwave/automations/skips/").await.at("/replied");
        assert_eq!(replied().await, json!(0));
        let again = contact_of(&owner, CUSTOMER).await;
        assert_eq!((again["opted_out_at"].is_string(), &again["opt_out_reason"]), (true, &json!("wrote so")));
        let made = owner.make(CONTACTS, json!({"name": "Bob", "phone": format!("+{other}")})).await;
        let made = format!("{CONTACTS}{made}/");
        assert!(owner.get(&made).await.at("/opted_out_at").is_string());
        // Only somebody takes it back, and then it is forgotten.
        owner.patch(&made).json(&json!({"opted_out": false})).await.expect_status(200);
        delete(other).await;
        line.receive(&owner, other, "Hello?").await;
        assert!(contact_of(&owner, other).await["opted_out_at"].is_null());
        assert_eq!(replied().await, json!(1));
    }
}
