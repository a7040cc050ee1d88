//! Contacts as a spreadsheet, in and out, and segments of them.

use loopd_testkit::{Answer, each_engine, json};
use serde_json::Value;

use crate::support::{Actor, World, eventually};

const CONTACTS: &str = "/api/v1/loopwave/contacts/";
const IMPORTS: &str = "/api/v1/loopwave/contact-imports/";
const SEGMENTS: &str = "/api/v1/loopwave/segments/";

async fn import(actor: &Actor, query: &str, text: &str) -> Answer {
    actor.post(&format!("{CONTACTS}import/{query}")).body("text/csv", text.to_owned()).await
}

/// created, updated, unchanged, refused.
fn counts(answer: &Answer) -> [i64; 4] {
    ["/created", "/updated", "/unchanged", "/refused"].map(|name| answer.at(name).as_i64().expect("a number"))
}

async fn by_phone(owner: &Actor, phone: &str) -> Value {
    let found = owner.get(CONTACTS).query("phone", phone).await.expect_status(200).json();
    assert_eq!(found["count"], 1, "{found}");
    found["results"][0].clone()
}

each_engine! {
    async fn a_file_makes_people_once_and_changes_those_it_finds(world: &World) {
        let owner = world.owner().await;
        owner.make(CONTACTS, json!({"name": "Aline", "phone": "+250788000001", "tags": ["moto"], "notes": "Knows us"})).await;
        let file = "Full name;Telephone;Stage;Labels;Shoe size\nAline Uwase;+250 788 000 001;vip;moto|gold;38\n\
                    Bosco;00250788000002;;;\n;250788000003;customer;;\nNobody;moses;;;\nEve;0788000009;;;\nFay;+250788000005;boss;;\n";
        let lost = import(&owner, "", file).await;
        lost.expect_field("mapping", "invalid");
        let mapping = "mapping=%7B%22Shoe%20size%22%3Anull%7D";
        let tried = import(&owner, &format!("?dry_run=true&{mapping}"), file).await.expect_status(200);
        assert_eq!((counts(&tried), tried.at("/dry_run"), tried.at("/state")), ([2, 1, 0, 3], json!(true), json!("done")));
        assert_eq!(world.rows("wave_contacts").await, 1, "a trial writes nothing");
        let done = import(&owner, &format!("?{mapping}"), file).await.expect_status(200);
        assert_eq!(counts(&done), [2, 1, 0, 3]);
        let errors = done.at("/errors");
        let told: Vec<(&Value, &Value)> = errors.as_array().expect("a list").iter().map(|it| (&it["row"], &it["errors"][0]["field"])).collect();
        assert_eq!(told, [(&json!(4), &json!("phone")), (&json!(5), &json!("phone")), (&json!(6), &json!("lifecycle"))]);
        let aline = by_phone(&owner, "+250788000001").await;
        assert_eq!(
            (&aline["name"], &aline["lifecycle"], &aline["tags"], &aline["notes"]),
            (&json!("Aline Uwase"), &json!("vip"), &json!(["moto", "gold"]), &json!("Knows us"))
        );
        assert_eq!(by_phone(&owner, "+250788000003").await["name"], "+250788000003", "who has no name is called by their number");
        // The same file a second time changes nothing, and tells nobody.
        let again = import(&owner, &format!("?{mapping}"), file).await.expect_status(200);
        assert_eq!(counts(&again), [0, 0, 3, 3]);
        // What was refused comes back as a file that can be put right.
        let place = done.header("location").expect("a place").to_owned();
        assert_eq!(owner.get(&place).await.expect_status(200).at("/refused"), json!(3));
        let refused = owner.get(&format!("{place}errors/")).await.expect_status(200).text();
        assert!(refused.starts_with("_row,_reason,Full name,Telephone,Stage,Labels,Shoe size\n4,phone: "), "{refused}");
        let right = refused.replace("moses", "+250788000004").replace("0788000009", "+250788000009").replace(",boss,", ",lead,").replace(",'+", ",+");
        let last = import(&owner, &format!("?{mapping}"), &right).await.expect_status(200);
        assert_eq!(counts(&last), [3, 0, 0, 0]);
    }

    async fn an_opt_out_is_taken_over_and_never_lifted(world: &World) {
        let owner = world.owner().await;
        for opted_out in ["yes", "no"] {
            import(&owner, "", &format!("name,phone,opted_out\nAline,+250788000001,{opted_out}\n")).await.expect_status(200);
            assert!(by_phone(&owner, "+250788000001").await["opted_out_at"].is_string(), "{opted_out}");
        }
    }

    async fn a_long_file_is_left_to_a_job(world: &World) {
        let owner = world.owner().await;
        let mut file = "name,phone\n".to_owned();
        for n in 0..250 {
            file.push_str(&format!("Customer {n},+25078810{n:04}\n"));
        }
        let begun = import(&owner, "", &file).await.expect_status(202);
        let place = format!("{IMPORTS}{}/", begun.text_at("/id"));
        eventually("the import is done", async || owner.get(&place).await.expect_status(200).at("/state") == "done").await;
        let done = owner.get(&place).await;
        assert_eq!((counts(&done), done.at("/done")), ([250, 0, 0, 0], json!(250)));
        let log = owner.get("/api/v1/platform-events/").query("type", "loopwave.contact-imports.finished").await.json();
        assert_eq!(log["results"][0]["data"]["rows"], 250);
    }

    async fn an_import_ends_where_the_subscription_does(world: &World) {
        let owner = world.owner().await;
        let root = world.superuser().await;
        let mut file = "name,phone\n".to_owned();
        for n in 0..5_000 {
            file.push_str(&format!("Customer {n},+25078810{n:04}\n"));
        }
        let one = owner.get("/api/v1/product-subscriptions/").query("product", "loopwave").await.text_at("/results/0/id");
        let begun = import(&owner, "", &file).await.expect_status(202);
        root.in_company(&owner.code).post(&format!("/api/v1/product-subscriptions/{one}/suspend/")).await.expect_status(200);
        let place = format!("{IMPORTS}{}/", begun.text_at("/id"));
        eventually("the import is given up", async || owner.get(&place).await.expect_status(200).at("/state") == "failed").await;
        let left = owner.get(&place).await;
        let written = world.rows("wave_contacts").await;
        assert_eq!(left.at("/done").as_i64(), Some(written));
        assert!(written < 5_000, "{}", left.text());
        assert!(left.text_at("/last_error").contains("suspended"), "{}", left.text());
    }

    async fn an_export_hides_numbers_from_who_may_not_see_them_and_comes_back_in(world: &World) {
        let owner = world.owner().await;
        let agent = world.member(&owner, "ada", "staff").await;
        owner.make(CONTACTS, json!({"name": "=SUM(A1)", "phone": "+250788123456", "tags": ["vip, gold", "moto"], "notes": "One\nTwo", "lifecycle": "vip"})).await;
        owner.make(CONTACTS, json!({"name": "+250788222222", "phone": "+250788222222"})).await;
        let all = owner.get(&format!("{CONTACTS}export/")).await.expect_status(200).text();
        assert!(all.contains("'+250788123456") && all.contains("'=SUM(A1)") && all.starts_with("id,name,phone,email,"), "{all}");
        let masked = agent.get(&format!("{CONTACTS}export/")).await.expect_status(200).text();
        assert!(!masked.contains("788123456") && !masked.contains("788222222") && masked.contains("'+250•••••••56"), "{masked}");
        agent.get(&format!("{CONTACTS}export/?search=788")).await.expect_field("search", "invalid");
        // A masked number is nobody's.
        let back = import(&agent, "", &masked).await.expect_status(200);
        assert_eq!(counts(&back), [0, 0, 0, 2]);
        let same = import(&owner, "", &all).await.expect_status(200);
        assert_eq!(counts(&same), [0, 0, 2, 0], "{}", same.text());
        let vips = owner.get(&format!("{CONTACTS}export/?lifecycle=vip")).await.expect_status(200).text();
        assert_eq!(vips.matches("'+2507").count(), 1, "{vips}");
        owner.get(&format!("{CONTACTS}export/?lifecycle=boss")).await.expect_field("lifecycle", "invalid_choice");
        let stranger = world.register("stranger").await;
        assert_eq!(stranger.get(&format!("{CONTACTS}export/")).await.expect_status(200).text().lines().count(), 1);
    }

    async fn who_may_not_see_numbers_learns_none_by_importing(world: &World) {
        let owner = world.owner().await;
        let agent = world.member(&owner, "ada", "staff").await;
        owner.make(CONTACTS, json!({"name": "Aline", "phone": "+250788000001"})).await;
        let file = "name,phone,lifecycle\nEve,+250788000001,\nNew,+250788000002,\nX,+250788000001,boss\nY,+250788000003,boss\n";
        import(&agent, "?dry_run=true", file).await.expect_refusal(403, "numbers_hidden");
        let done = import(&agent, "", file).await.expect_status(200);
        // One that is known and one that is not are told alike, taken or refused.
        assert_eq!(counts(&done), [2, 0, 0, 2]);
        let errors = done.at("/errors");
        let told: Vec<(&Value, &Value)> = errors.as_array().expect("a list").iter().map(|it| (&it["row"], &it["errors"][0]["field"])).collect();
        assert_eq!(told, [(&json!(3), &json!("lifecycle")), (&json!(4), &json!("lifecycle"))]);
        assert_eq!(by_phone(&owner, "+250788000001").await["name"], "Aline");
        assert_eq!(by_phone(&owner, "+250788000002").await["name"], "New");
        let place = done.header("location").expect("a place").to_owned();
        assert_eq!(counts(&agent.get(&place).await), [2, 0, 0, 2]);
        assert_eq!(counts(&owner.get(&place).await), [1, 0, 1, 2]);
        let own = agent.get(&format!("{place}errors/")).await.expect_status(200).text();
        assert!(own.contains("+250788000003"), "{own}");

        let file = "name,phone,lifecycle\nZoe 0788 000 009,+250788000009,boss\n";
        let tried = import(&owner, "?dry_run=true", file).await.expect_status(200);
        let place = tried.header("location").expect("a place").to_owned();
        assert!(owner.get(&format!("{place}errors/")).await.expect_status(200).text().contains("788000009"));
        let masked = agent.get(&format!("{place}errors/")).await.expect_status(200).text();
        assert!(masked.contains("+250•••••••09") && masked.contains("Zoe •••••••") && !masked.contains("000009"), "{masked}");
        let log = owner.get("/api/v1/loopwave/activity/").query("action", "try-import").await.expect_status(200);
        assert_eq!(log.at("/results").as_array().map(Vec::len), Some(1), "{}", log.text());
    }

    async fn a_segment_is_who_meets_it_and_a_broadcast_goes_to_each_once(world: &World) {
        let owner = world.owner().await;
        let agent = world.member(&owner, "ada", "staff").await;
        let line = world.line(&owner, "250788000001").await;
        for (name, phone, tags, opted_out) in [
            ("Aline", "+250788111111", json!(["gold", "moto"]), false),
            ("Bosco", "+250788222222", json!(["gold"]), false),
            ("Chantal", "+250788333333", json!(["gold", "moto"]), true),
        ] {
            owner.make(CONTACTS, json!({"name": name, "phone": phone, "tags": tags, "lifecycle": "vip", "opted_out": opted_out})).await;
        }
        let made = agent.post(SEGMENTS).json(&json!({"name": "Riders", "filter": {"lifecycle": ["vip", "customer"], "tags": ["gold"]}})).await.expect_status(201);
        assert_eq!((made.at("/count"), made.at("/reachable")), (json!(3), json!(2)));
        let riders = made.text_at("/id");
        let item = format!("{SEGMENTS}{riders}/");
        let narrowed = agent.patch(&item).json(&json!({"filter": {"tags": ["gold", "moto"]}})).await.expect_status(200);
        assert_eq!((narrowed.at("/count"), narrowed.at("/reachable"), narrowed.at("/name")), (json!(2), json!(1), json!("Riders")));
        agent.post(SEGMENTS).json(&json!({"name": "X", "filter": {"lifecycle": ["boss"]}})).await.expect_field("filter", "invalid_choice");
        agent.post(SEGMENTS).json(&json!({"name": "X", "filter": {"shoe": 38}})).await.expect_status(400);
        let exported = owner.get(&format!("{CONTACTS}export/?segment={riders}")).await.expect_status(200).text();
        assert_eq!(exported.lines().count(), 3, "{exported}");
        // Aline has two numbers: she is one person.
        let aline = by_phone(&owner, "+250788111111").await["id"].as_str().expect("an id").to_owned();
        line.receive(&owner, "250788444444", "My other number").await;
        let other = by_phone(&owner, "+250788444444").await["id"].as_str().expect("an id").to_owned();
        owner.post(&format!("{CONTACTS}{other}/merge/")).json(&json!({"into": aline})).await.expect_status(200);
        let body = json!({"name": "News", "message": "Hi {{name}}", "audience": {"segment": riders}});
        let news = owner.post("/api/v1/loopwave/broadcasts/").json(&body).await.expect_status(201);
        assert_eq!(news.at("/total"), json!(1), "who opted out is left out, and nobody is there twice");
        let news = format!("/api/v1/loopwave/broadcasts/{}/", news.text_at("/id"));
        let people = owner.get(&format!("{news}recipients/")).await.expect_status(200);
        assert_eq!(people.text_at("/results/0/chat_id"), "250788111111@s.whatsapp.net");
        // Who asks to be left alone after the list was made is left alone.
        line.receive(&owner, "250788111111", "STOP").await;
        owner.post(&format!("{news}start/")).await.expect_status(200);
        eventually("it is over", async || owner.get(&news).await.at("/status") == "completed").await;
        let over = owner.get(&news).await;
        assert_eq!((over.at("/sent_count"), over.at("/skipped_count")), (json!(0), json!(1)));
        assert_eq!(world.rows("wave_sandbox_messages").await, 0);
        let both = json!({"name": "N", "message": "M", "audience": {"segment": riders, "tags": ["gold"]}});
        owner.post("/api/v1/loopwave/broadcasts/").json(&both).await.expect_field("audience", "invalid");
        // What is mistyped would be everybody.
        for (audience, code) in [
            (json!({"tag": ["gold"]}), "invalid"),
            (json!({"lifecycles": ["vip"]}), "invalid"),
            (json!({"lifecycle": "vip"}), "invalid"),
            (json!({"lifecycle": ["nothing"]}), "invalid_choice"),
            (json!({"tags": [""]}), "invalid"),
            (json!({"tags": []}), "required"),
            (json!({"segment": null}), "required"),
            (json!({"everybody": false}), "required"),
            (json!({}), "required"),
            (json!({"everybody": true, "tags": ["gold"]}), "invalid"),
            (json!("gold"), "invalid"),
        ] {
            let body = json!({"name": "N", "message": "M", "audience": audience});
            owner.post("/api/v1/loopwave/broadcasts/").json(&body).await.expect_field("audience", code);
        }
        line.receive(&owner, "250788555555", "Hi").await;
        let all = json!({"name": "N", "message": "M", "audience": {"everybody": true}});
        let all = owner.post("/api/v1/loopwave/broadcasts/").json(&all).await.expect_status(201);
        assert!(all.at("/total").as_u64() >= Some(1), "{}", all.text());
        let gone = json!({"name": "N", "message": "M", "audience": {"segment": aline}});
        owner.post("/api/v1/loopwave/broadcasts/").json(&gone).await.expect_field("audience", "does_not_exist");
        agent.delete(&item).await.expect_refusal(403, "permission_denied");
        owner.delete(&item).await.expect_status(204);
        assert_eq!(owner.get(SEGMENTS).await.at("/results"), json!([]));
    }
}
