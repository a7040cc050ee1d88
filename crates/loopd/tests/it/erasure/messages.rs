//! A customer who wrote by WhatsApp is erased: by what they are known, what they wrote and what was written about them goes; the rows stay.

use loopd_testkit::{each_engine, json};
use loopd_types::SECOND_US;
use serde_json::Value;

use crate::support::{Actor, World, eventually};

const CONTACTS: &str = "/api/v1/loopwave/contacts/";
const ERASE: &str = "/api/v1/data-subjects/erase/";

/// Nothing of this is left anywhere in these tables.
const TRACES: [&str; 7] = ["788123456", "788999999", "aline", "allergic", "my secret", "she owes", "broken lamp"];
const TABLES: [&str; 9] = [
    "wave_contacts",
    "wave_identities",
    "wave_chats",
    "wave_messages",
    "wave_notes",
    "wave_tickets",
    "wave_ticket_comments",
    "wave_broadcast_recipients",
    "events",
];

async fn erased(world: &World, owner: &Actor, phone: &str) -> Value {
    let begun = owner.post(ERASE).json(&json!({"phone": phone})).await;
    assert!(begun.status < 300, "{}", begun.text());
    let path = format!("/api/v1/data-subjects/erasures/{}/", begun.text_at("/id"));
    world.clock.advance(4 * SECOND_US);
    eventually("the erasure is done", async || owner.get(&path).await.expect_status(200).at("/state") == "done").await;
    owner.get(&path).await.json()
}

/// Every text of a table, together and in lower case.
async fn words(world: &World, table: &'static str) -> String {
    let columns = match table {
        "events" => "payload",
        "audit_logs" => "target_label || COALESCE(CAST(changes AS TEXT), '')",
        "wave_identities" => "value",
        "wave_contacts" => "name || COALESCE(phone, '') || COALESCE(notes, '')",
        "wave_chats" => "jid || COALESCE(name, '') || COALESCE(last_text, '')",
        "wave_messages" => "COALESCE(text, '') || COALESCE(wa_id, '')",
        "wave_notes" => "text",
        "wave_tickets" => "subject || description || COALESCE(customer_name, '') || COALESCE(customer_phone, '')",
        "wave_ticket_comments" => "body",
        _ => "jid || COALESCE(name, '')",
    };
    let sql = format!("SELECT CAST({columns} AS TEXT) FROM {table}");
    let read = world
        .kernel
        .db
        .read(loopd_store::View::System, move |reader| Ok(reader.query(&sql, &[], |row| Ok(row.text(0)?.to_owned()))?));
    read.await.expect("rows can be read").join("\n").to_lowercase()
}

each_engine! {
    async fn files_that_they_sent_leave_the_shelf(world: &World) {
        let owner = world.owner().await;
        let line = world.line(&owner, "250788000001").await;
        let shelved = async |name: &str| {
            let path = format!("/api/v1/files/?name={name}");
            owner.post(&path).body("text/plain", format!("what {name} says")).await.expect_status(201).text_at("/id")
        };
        let [secret, shared, attached, prices, theirs] =
            [shelved("secret.txt").await, shelved("shared.txt").await, shelved("attached.txt").await, shelved("prices.txt").await, shelved("theirs.txt").await];
        let mut chats = Vec::new();
        for (from, file) in [("250788123456", &secret), ("250788123456", &shared), ("250788123456", &attached), ("250788555555", &theirs)] {
            let said = line.receive_as(&owner, json!({"from": from, "text": "See", "file": file})).await;
            chats.push(said["chat"].as_str().expect("a chat").to_owned());
        }
        // The shop sends her its prices, and what she sent to somebody else; a record has another.
        for (chat, file) in [(&chats[0], &prices), (&chats[0], &secret), (&chats[3], &shared)] {
            owner.post(&format!("/api/v1/loopwave/chats/{chat}/messages/")).json(&json!({"file": file})).await.expect_status(202);
        }
        let customer = owner.make("/api/v1/booking/customers/", json!({"name": "Bosco"})).await;
        let files = format!("/api/v1/booking/customers/{customer}/attachments/");
        owner.post(&files).json(&json!({"file": attached})).await.expect_status(201);
        let used = async || owner.get("/api/v1/files/").await.expect_status(200).at("/count");
        assert_eq!(used().await, json!(5));
        let report = erased(world, &owner, "+250788123456").await;
        let lines = report["report"].as_array().expect("a report").clone();
        let line = lines.iter().find(|line| line["table"] == "files").expect("a line");
        assert_eq!((&line["erased"], &line["kept"]), (&json!(1), &json!(2)), "{report:#}");
        for (file, status) in [(&secret, 404), (&shared, 200), (&attached, 200), (&prices, 200), (&theirs, 200)] {
            owner.get(&format!("/api/v1/files/{file}/")).await.expect_status(status);
        }
        let thread = owner.get(&format!("/api/v1/loopwave/chats/{}/messages/", chats[0])).await.expect_status(200).json();
        assert!(thread["results"].as_array().expect("a list").iter().all(|it| it["media"].is_null()), "{thread:#}");
        assert_eq!(used().await, json!(4));
        for table in ["events", "audit_logs"] {
            let left = words(world, table).await;
            assert!(!left.contains("secret.txt") && left.contains("shared.txt"), "{table}: {left}");
        }
    }

    async fn nothing_of_them_is_left_and_the_shop_goes_on(world: &World) {
        let owner = world.owner().await;
        let line = world.line(&owner, "250788000001").await;
        let said = line.receive_as(&owner, json!({"from": "250788123456", "text": "My secret: it is a broken lamp", "name": "Aline Uwase"})).await;
        let chat = said["chat"].as_str().expect("a chat").to_owned();
        let other = line.receive_as(&owner, json!({"from": "250788555555", "text": "Is it open?", "name": "Bosco"})).await;
        let thread = format!("/api/v1/loopwave/chats/{chat}/messages/");
        let id = owner.post(&thread).json(&json!({"text": "Thank you Aline Uwase"})).await.expect_status(202).text_at("/id");
        eventually("it is sent", async || {
            owner.get(&thread).await.json()["results"].as_array().is_some_and(|all| all.iter().any(|it| it["id"] == id && it["status"] != "queued"))
        })
        .await;
        owner.post(&format!("/api/v1/loopwave/chats/{chat}/notes/")).json(&json!({"text": "She owes us"})).await.expect_status(201);
        let ticket = owner.make("/api/v1/loopwave/tickets/", json!({"chat": chat})).await;
        owner.post(&format!("/api/v1/loopwave/tickets/{ticket}/comments/")).json(&json!({"body": "Allergic to waiting"})).await.expect_status(201);
        let contact = owner.get(CONTACTS).query("phone", "+250788123456").await.json()["results"][0]["id"].as_str().expect("an id").to_owned();
        owner.patch(&format!("{CONTACTS}{contact}/")).json(&json!({"notes": "Allergic to nuts"})).await.expect_status(200);
        // Her other number leads to her as well.
        line.receive(&owner, "250788999999", "Also me").await;
        let second = owner.get(CONTACTS).query("phone", "+250788999999").await.json()["results"][0]["id"].as_str().expect("an id").to_owned();
        owner.post(&format!("{CONTACTS}{second}/merge/")).json(&json!({"into": contact})).await.expect_status(200);
        let news = json!({"name": "News", "message": "Hi", "recipients": [{"chat_id": "250788123456", "name": "Aline"}, {"chat_id": "250788555555", "name": "Bosco"}]});
        owner.make("/api/v1/loopwave/broadcasts/", news).await;
        let report = erased(world, &owner, "+250 788 999 999").await;
        let lines = report["report"].as_array().expect("a report").clone();
        let of = |table: &str| lines.iter().find(|line| line["table"] == table).cloned().unwrap_or_default();
        assert_eq!(of("wave_identities")["erased"], 2, "{report:#}");
        assert!(of("wave_messages")["pseudonymised"].as_i64() >= Some(3), "{report:#}");
        // By one number she was found; by the other she is found and gone as well.
        erased(world, &owner, "+250788123456").await;
        for table in TABLES {
            let left = words(world, table).await;
            for trace in TRACES {
                assert!(!left.contains(trace), "{trace} is left in {table}: {left}");
            }
        }
        // The other customer is untouched.
        let bosco = other["chat"].as_str().expect("a chat");
        let row = owner.get(&format!("/api/v1/loopwave/chats/{bosco}/")).await.expect_status(200).json();
        assert_eq!((&row["name"], &row["last_message"], &row["phone"]), (&json!("Bosco"), &json!("Is it open?"), &json!("+250788555555")));
        // Her chat can be opened and read; nobody can be written to there.
        assert_eq!(owner.get(&format!("/api/v1/loopwave/chats/{chat}/")).await.expect_status(200).at("/name"), json!("Erased person"));
        owner.get(&thread).await.expect_status(200);
        owner.post(&thread).json(&json!({"text": "Hello?"})).await.expect_refusal(409, "no_address");
        // Whoever writes from the number next is a stranger.
        let back = line.receive(&owner, "250788123456", "Hello").await;
        assert!(back["chat"] != json!(chat), "{back}");
        let found = owner.get(CONTACTS).query("phone", "+250788123456").await.json();
        assert_eq!((&found["count"], &found["results"][0]["name"]), (&json!(1), &json!("+250788123456")));
    }
}
