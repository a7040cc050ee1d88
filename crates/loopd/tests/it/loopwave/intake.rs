//! Tickets that open by themselves, and the public form.

use loopd_testkit::{each_engine, json};
use loopd_types::{HOUR_US, MINUTE_US, SECOND_US};
use serde_json::Value;

use crate::support::{Actor, Limited, World};

const CUSTOMER: &str = "250788123456";
const TICKETS: &str = "/api/v1/loopwave/tickets/";

async fn choose(owner: &Actor, intake: Value) -> Value {
    owner.patch("/api/v1/loopwave/preferences/").json(&json!({"intake": intake})).await.expect_status(200).json()["intake"].clone()
}

/// Tag and subject of every ticket, oldest first.
async fn tickets(owner: &Actor) -> Vec<(String, String)> {
    let found = owner.get(TICKETS).query("ordering", "created_at").await.expect_status(200).json();
    let word = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    found["results"].as_array().expect("a list").iter().map(|row| (word(row, "tag"), word(row, "subject"))).collect()
}

/// The form's address in the API and as a page.
async fn form(owner: &Actor) -> (String, String) {
    let chosen = choose(owner, json!({"form_enabled": true, "form_title": "Ask <b>us</b>"})).await;
    let name = format!("{}-{}", owner.code, chosen["form_token"].as_str().expect("a token"));
    (format!("/api/v1/loopwave/forms/{name}/"), format!("/forms/{name}/"))
}

/// What a person sends who took their time.
async fn entry(world: &World, path: &str, subject: &str) -> Value {
    let started = world.client().get(path).await.expect_status(200).text_at("/started");
    world.clock.advance(5 * SECOND_US);
    json!({"name": "Aline", "phone": "+250 788 123 456", "subject": subject, "message": "Where is it?", "started": started})
}

each_engine! {
    async fn nothing_opens_by_itself_until_somebody_turns_it_on(world: &World) {
        let owner = world.owner().await;
        let line = world.line(&owner, "250788000001").await;
        line.receive(&owner, CUSTOMER, "I want a refund").await;
        assert!(tickets(&owner).await.is_empty());
        let chosen = owner.get("/api/v1/loopwave/preferences/").await.expect_status(200).json()["intake"].clone();
        assert_eq!((&chosen["keywords"], &chosen["cooldown_minutes"], &chosen["form_token"]), (&json!(["support", "help", "refund"]), &json!(60), &json!("")));
        for bad in [json!({"cooldown_minutes": 10081}), json!({"keywords": vec!["x"; 51]}), json!({"keyword": true})] {
            let refused = owner.patch("/api/v1/loopwave/preferences/").json(&json!({"intake": bad})).await;
            refused.expect_refusal(400, "validation_error");
        }
    }

    async fn a_keyword_opens_one_ticket_for_a_chat_and_cooldown(world: &World) {
        let owner = world.owner().await;
        let line = world.line(&owner, "250788000001").await;
        choose(&owner, json!({"keyword_enabled": true, "cooldown_minutes": 20})).await;
        line.receive_as(&owner, json!({"from": CUSTOMER, "text": "I want a REFUND now", "name": "Aline"})).await;
        line.receive(&owner, CUSTOMER, "help!").await;
        line.receive(&owner, "120363000000000001@g.us", "help!").await;
        assert_eq!(tickets(&owner).await, [("keyword".to_owned(), "WhatsApp: I want a REFUND now".to_owned())]);
        let row = owner.get(TICKETS).await.json()["results"][0].clone();
        assert_eq!((&row["customer_name"], &row["customer_phone"], &row["priority"]), (&json!("Aline"), &json!("+250788123456"), &json!("med")));
        world.clock.advance(20 * MINUTE_US);
        line.receive(&owner, CUSTOMER, "help!").await;
        assert_eq!(tickets(&owner).await.len(), 2);
    }

    async fn keywords_at_the_same_instant_open_one_ticket(world: &World) {
        let owner = world.owner().await;
        let line = world.line(&owner, "250788000001").await;
        choose(&owner, json!({"keyword_enabled": true, "new_chat_enabled": true})).await;
        let path = format!("/api/v1/loopwave/numbers/{}/sandbox/receive/", line.id);
        let at_once: Vec<_> = (0..12).map(|number| {
            let (owner, path) = (owner.clone(), path.clone());
            tokio::spawn(async move {
                owner.post(&path).json(&json!({"from": CUSTOMER, "text": format!("help {number}")})).await.expect_status(200);
            })
        }).collect();
        for one in at_once { one.await.expect("it was taken"); }
        assert_eq!(tickets(&owner).await.len(), 1);
    }

    async fn a_new_chat_opens_one_on_its_first_message_only(world: &World) {
        let owner = world.owner().await;
        let line = world.line(&owner, "250788000001").await;
        line.receive(&owner, "250788111111", "I was here before").await;
        choose(&owner, json!({"new_chat_enabled": true, "cooldown_minutes": 0})).await;
        line.receive(&owner, "250788111111", "Hi").await;
        line.receive_as(&owner, json!({"from": CUSTOMER, "text": "Hi", "name": "Aline"})).await;
        line.receive(&owner, CUSTOMER, "Hi again").await;
        line.receive(&owner, "250788222222", "Hi").await;
        assert_eq!(tickets(&owner).await, [
            ("new-chat".to_owned(), "New conversation with Aline".to_owned()), ("new-chat".to_owned(), "New conversation".to_owned()),
        ]);
    }

    async fn a_form_opens_a_ticket_and_the_same_words_no_second(world: &World) {
        let owner = world.owner().await;
        let (path, _) = form(&owner).await;
        let body = entry(world, &path, "No parcel").await;
        let made = world.client().post(&path).json(&body).await.expect_status(201).json();
        assert_eq!(made, json!({"accepted": true, "ref": "TKT-2041"}));
        let mut again = entry(world, &path, "no  PARCEL").await;
        assert_eq!(world.client().post(&path).json(&again).await.expect_status(201).json(), made);
        world.clock.advance(25 * HOUR_US);
        again = entry(world, &path, "No parcel").await;
        assert_eq!(world.client().post(&path).json(&again).await.expect_status(201).text_at("/ref"), "TKT-2042");
        let owner = world.sign_in(&owner.email, &owner.code).await;
        assert_eq!(tickets(&owner).await, vec![("form".to_owned(), "No parcel".to_owned()); 2]);
    }

    async fn a_form_takes_nothing_from_machines(world: &World) {
        let owner = world.owner().await;
        let (path, _) = form(&owner).await;
        let send = async |change: Value| {
            let mut body = entry(world, &path, "No parcel").await;
            body.as_object_mut().expect("an object").extend(change.as_object().expect("an object").clone());
            world.client().post(&path).json(&body).await
        };
        assert_eq!(send(json!({"website": "https://buy.example"})).await.expect_status(201).json(), json!({"accepted": true, "ref": null}));
        for (change, field) in [
            (json!({"started": "x"}), "started"), (json!({"message": "http://a https://b www.c.rw"}), "message"), (json!({"phone": ""}), "phone"),
            (json!({"phone": "0788"}), "phone"), (json!({"email": "me"}), "email"), (json!({"name": " "}), "name"),
        ] {
            let refused = send(change).await;
            assert!(refused.status == 400 && refused.text().contains(&format!("\"{field}\"")), "{field}: {}", refused.text());
        }
        let hasty = world.client().get(&path).await.text_at("/started");
        let body = json!({"name": "A", "phone": "+250788123456", "subject": "S", "started": hasty});
        world.client().post(&path).json(&body).await.expect_refusal(400, "validation_error");
        world.clock.advance(25 * HOUR_US);
        world.client().post(&path).json(&body).await.expect_refusal(400, "validation_error");
        let owner = world.sign_in(&owner.email, &owner.code).await;
        assert!(tickets(&owner).await.is_empty());
    }

    async fn a_form_that_is_off_or_renewed_leads_nowhere(world: &World) {
        let (owner, stranger) = world.strangers().await;
        let (path, page) = form(&owner).await;
        let token = path.trim_end_matches('/').rsplit_once("001-").expect("a token").1.to_owned();
        form(&stranger).await;
        world.client().get(&format!("/api/v1/loopwave/forms/002-{token}/")).await.expect_refusal(404, "not_found");
        choose(&owner, json!({"form_enabled": false})).await;
        world.client().get(&path).await.expect_refusal(404, "not_found");
        world.client().get(&page).await.expect_status(404);
        form(&owner).await;
        world.client().get(&path).await.expect_status(200);
        owner.post("/api/v1/loopwave/preferences/renew-form/").json(&json!({})).await.expect_status(200);
        world.client().get(&path).await.expect_refusal(404, "not_found");
        world.client().post(&path).json(&json!({})).await.expect_refusal(404, "not_found");
    }

    async fn the_page_works_without_script_and_says_what_is_wrong(world: &World) {
        let owner = world.owner().await;
        let (_, page) = form(&owner).await;
        let company = owner.get("/api/v1/companies/001/").await.expect_status(200).text_at("/name");
        let shown = world.client().get(&page).await.expect_status(200).text();
        assert!(shown.contains(&format!("Ask &lt;b&gt;us&lt;/b&gt; · {company}")) && !shown.contains("<b>us</b>") && !shown.contains("<script"), "{shown}");
        let started = shown.split("name=\"started\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a seal").to_owned();
        world.clock.advance(5 * SECOND_US);
        let send = async |fields: &[(&str, &str)]| {
            let mut body = format!("started={started}");
            for (name, value) in fields {
                let value: String = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
                body.push_str(&format!("&{name}={value}"));
            }
            world.client().with_header("accept-language", "fr").post(&page).body("application/x-www-form-urlencoded", body).await
        };
        let refused = send(&[("name", "<Aline>"), ("phone", "12"), ("subject", "")]).await.expect_status(400).text();
        assert!(refused.contains("value=\"&lt;Aline&gt;\"") && refused.contains("indicatif") && refused.contains("Remplissez ce champ."), "{refused}");
        let sent = send(&[("name", "Aline"), ("phone", "+250 788 123 456"), ("subject", "Colis"), ("message", "Où ?")]).await.expect_status(200).text();
        assert!(sent.contains("Nous avons reçu votre message") && sent.contains("TKT-2041"), "{sent}");
        assert_eq!(tickets(&owner).await, [("form".to_owned(), "Colis".to_owned())]);
    }
}

each_engine! {
    async fn one_address_sends_five_a_minute(world: &Limited) {
        let owner = world.owner().await;
        let (path, _) = form(&owner).await;
        let client = world.client();
        for number in 0..5 {
            let body = entry(world, &path, &format!("S{number}")).await;
            client.post(&path).json(&body).await.expect_status(201);
            world.clock.advance(-5 * SECOND_US);
        }
        let body = entry(world, &path, "S5").await;
        client.post(&path).json(&body).await.expect_status(429);
        world.client().post(&path).json(&body).await.expect_status(201);
    }
}
