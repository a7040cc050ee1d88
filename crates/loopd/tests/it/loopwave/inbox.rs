//! The inbox of signed-in people: lists, threads, answers, what becomes of a chat.

use loopd_testkit::{Answer, each_engine, json};
use loopd_types::SECOND_US;
use loopd_wave::address::Address;
use loopd_wave::chat::store;

use super::stage::Line;
use crate::support::{Actor, World, eventually};

const CHATS: &str = "/api/v1/loopwave/chats/";
const CUSTOMER: &str = "250788123456";

fn item(chat: &str) -> String {
    format!("{CHATS}{chat}/")
}

/// A chat in which a customer wrote.
async fn chat(line: &Line, owner: &Actor, from: &str, text: &str) -> String {
    line.receive(owner, from, text).await["chat"].as_str().expect("a chat").to_owned()
}

/// The last messages of the chats that a list holds.
async fn listed(actor: &Actor, query: &[(&str, &str)]) -> Vec<String> {
    let request = query.iter().fold(actor.get(CHATS), |request, (name, value)| request.query(name, value));
    texts(&request.await.expect_status(200), "last_message")
}

fn texts(answer: &Answer, field: &str) -> Vec<String> {
    let rows = answer.at("/results");
    rows.as_array().expect("rows").iter().map(|row| row[field].as_str().unwrap_or_default().to_owned()).collect()
}

each_engine! {
    async fn of_many_who_take_a_chat_one_has_it(world: &World) {
        let owner = world.owner().await;
        let line = world.line(&owner, "250788000001").await;
        let take = format!("{}assign/", item(&chat(&line, &owner, CUSTOMER, "Hi").await));
        let mut agents = Vec::new();
        for name in ["ada", "ben", "eve"] {
            agents.push(world.member(&owner, name, "staff").await);
        }
        let at_once = agents.iter().map(|agent| {
            let (agent, take) = (agent.clone(), take.clone());
            tokio::spawn(async move { agent.post(&take).json(&json!({"assignee": "me", "from": null})).await })
        });
        let mut winners = Vec::new();
        for (answer, agent) in at_once.collect::<Vec<_>>().into_iter().zip(&agents) {
            let answer = answer.await.expect("an answer");
            match answer.status {
                200 => winners.push(agent),
                _ => drop(answer.expect_refusal(409, "assigned_meanwhile")),
            }
        }
        assert_eq!(winners.len(), 1);
        let has_it = winners[0];
        // Who has it already takes it again.
        has_it.post(&take).json(&json!({"assignee": "me", "from": null})).await.expect_status(200);
        owner.post(&take).json(&json!({"assignee": null, "from": owner.user})).await.expect_refusal(409, "assigned_meanwhile");
        owner.post(&take).json(&json!({"assignee": null, "from": has_it.user})).await.expect_status(200);
        owner.post(&take).json(&json!({"assignee": "me", "from": "nobody"})).await.expect_field("from", "invalid");
    }

    async fn an_agent_reads_answers_and_resolves_and_a_customer_opens_again(world: &World) {
        let owner = world.owner().await;
        let agent = world.member(&owner, "ada", "staff").await;
        let line = world.line(&owner, "250788000001").await;
        let first = line.receive_as(&owner, json!({"from": CUSTOMER, "text": "Is it open?", "name": "Aline"})).await;
        let (id, asked) = (first["chat"].as_str().expect("a chat").to_owned(), first["message"].clone());
        let seen = agent.get(&item(&id)).await.expect_status(200);
        assert_eq!(
            (seen.at("/status"), seen.at("/unread_count"), seen.at("/name"), seen.at("/phone"), seen.at("/jid")),
            (json!("open"), json!(1), json!("Aline"), json!("+250•••••••56"), json!(null))
        );
        assert!(seen.at("/waiting_since").is_string());
        let thread = format!("{}messages/", item(&id));
        let said = agent.post(&thread).json(&json!({"text": "Until six.", "reply_to": asked})).await.expect_status(202);
        assert_eq!(
            (said.at("/status"), said.at("/author"), said.at("/author_name"), said.at("/reply_to"), said.at("/origin")),
            (json!("queued"), json!(agent.user), json!("ada"), asked.clone(), json!("agent"))
        );
        let row = owner.get(&item(&id)).await.expect_status(200);
        assert_eq!((row.at("/waiting_since"), row.at("/unread_count"), row.at("/last_message_from_me")), (json!(null), json!(0), json!(true)));
        eventually("the customer has read it", async || {
            world.clock.advance(SECOND_US);
            agent.get(&thread).await.expect_status(200).at("/results/0/status") == "read"
        })
        .await;
        assert_eq!(texts(&agent.get(&thread).await, "text"), ["Until six.", "Is it open?"]);
        assert_eq!(sent(world).await, ["*ada:*\nUntil six."]);
        agent.post(&format!("{}resolve/", item(&id))).await.expect_status(200);
        assert_eq!(listed(&agent, &[("status", "open")]).await, Vec::<String>::new());
        assert_eq!(listed(&agent, &[("status", "resolved")]).await, ["Until six."]);
        line.receive(&owner, CUSTOMER, "Thanks").await;
        let opened = agent.get(&item(&id)).await;
        assert_eq!((opened.at("/status"), opened.at("/resolved_at")), (json!("open"), json!(null)));
    }

    async fn a_chat_is_given_away_and_resolved_in_one_act(world: &World) {
        let (owner, stranger) = world.strangers().await;
        let agent = world.member(&owner, "ada", "staff").await;
        let line = world.line(&owner, "250788000001").await;
        let id = chat(&line, &owner, CUSTOMER, "Hi").await;
        let before = world.rows("events").await;
        let both = json!({"status": "resolved", "assignee": "me", "labels": ["vip", " vip ", "late"]});
        let done = agent.patch(&item(&id)).json(&both).await.expect_status(200);
        assert_eq!(
            (done.at("/status"), done.at("/assignee"), done.at("/assignee_name"), done.at("/labels")),
            (json!("resolved"), json!(agent.user), json!("ada"), json!(["vip", "late"]))
        );
        assert_eq!(world.rows("events").await, before + 1, "one act is told once");
        agent.patch(&item(&id)).json(&both).await.expect_status(200);
        assert_eq!(world.rows("events").await, before + 1, "nothing changed, so nothing is told");
        let refused = agent.patch(&item(&id)).json(&json!({"assignee": stranger.user, "status": "open"})).await;
        refused.expect_field("assignee", "does_not_exist");
        assert_eq!(agent.get(&item(&id)).await.at("/status"), json!("resolved"), "all of it or nothing");
        let freed = agent.post(&format!("{}assign/", item(&id))).json(&json!({"assignee": null})).await.expect_status(200);
        assert_eq!((freed.at("/assignee"), freed.at("/assigned_at")), (json!(null), json!(null)));
        agent.post(&format!("{}reopen/", item(&id))).await.expect_status(200);
        agent.post(&format!("{}assign/", item(&id))).json(&json!({})).await.expect_field("assignee", "required");
        stranger.get(&item(&id)).await.expect_refusal(404, "not_found");
        stranger.patch(&item(&id)).json(&json!({"status": "open"})).await.expect_refusal(404, "not_found");
        assert_eq!(listed(&stranger, &[]).await, Vec::<String>::new());
        let viewer = world.member(&owner, "eve", "viewer").await;
        viewer.get(&item(&id)).await.expect_status(200);
        viewer.patch(&item(&id)).json(&json!({"status": "open"})).await.expect_refusal(403, "permission_denied");
    }

    async fn filters_find_what_they_say_in_pages_without_a_gap(world: &World) {
        let owner = world.owner().await;
        let agent = world.member(&owner, "ada", "staff").await;
        let (line, other) = (world.line(&owner, "250788000001").await, world.line(&owner, "250788000002").await);
        let mut ids = Vec::new();
        for (place, name) in ["a", "b", "c", "d", "e"].iter().enumerate() {
            world.clock.advance(SECOND_US);
            let line = if *name == "e" { &other } else { &line };
            ids.push(chat(line, &owner, &format!("25078812345{place}"), name).await);
        }
        owner.patch(&item(&ids[0])).json(&json!({"assignee": agent.user, "labels": ["vip"]})).await.expect_status(200);
        owner.patch(&item(&ids[1])).json(&json!({"status": "resolved", "assignee": agent.user})).await.expect_status(200);
        owner.post(&format!("{}read/", item(&ids[2]))).await.expect_status(200);
        agent.post(&format!("{}messages/", item(&ids[3]))).json(&json!({"text": "d!"})).await.expect_status(202);
        let all = ["d!", "e", "c", "b", "a"];
        let mut pages = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = agent.get(CHATS).query("limit", "2").query("cursor", &cursor).await.expect_status(200);
            pages.extend(texts(&page, "last_message"));
            match page.at("/next_cursor").as_str() {
                Some(next) => next.clone_into(&mut cursor),
                None => break,
            }
        }
        let mut sorted = pages.clone();
        sorted.sort();
        assert_eq!((sorted, pages.len()), ({ let mut all = all.map(str::to_owned).to_vec(); all.sort(); all }, 5));
        // Query, and who is found.
        type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);
        let found: [Case<'_>; 11] = [
            (&[("assignee", "me")], &["b", "a"]),
            (&[("assignee", "me"), ("status", "open")], &["a"]),
            (&[("assignee", "none"), ("status", "open"), ("unread", "true")], &["e"]),
            (&[("unread", "true")], &["e", "b", "a"]),
            (&[("waiting", "true")], &["e", "c", "a"]),
            (&[("label", "vip")], &["a"]),
            (&[("label", "none of ours")], &[]),
            (&[("number", &other.number)], &["e"]),
            (&[("number", "n0000000")], &[]),
            (&[("status", "resolved")], &["b"]),
            (&[("waiting", "true"), ("label", "vip"), ("number", &line.number)], &["a"]),
        ];
        for (query, wanted) in found {
            assert_eq!(listed(&agent, query).await, wanted.to_vec(), "{query:?}");
        }
        let contact = agent.get(&item(&ids[2])).await.text_at("/contact");
        assert_eq!(listed(&agent, &[("contact", &contact)]).await, ["c"]);
        world.clock.advance(SECOND_US);
        line.receive_as(&owner, json!({"from": "250788777777", "text": "f", "name": "Élodie Uwase"})).await;
        // Whoever sees numbers finds people by a part of them; others by what they are shown.
        for (actor, text, wanted) in [(&agent, "élo", "f"), (&owner, "UWASE", "f"), (&owner, "+250 788 777", "f"), (&owner, "0788123450", "a")] {
            assert_eq!(listed(actor, &[("text", text)]).await, [wanted], "{text}");
        }
        for text in ["788777", "0788777777", "whatsapp", "8123450"] {
            assert_eq!(listed(&agent, &[("text", text)]).await, Vec::<String>::new(), "{text}");
        }
        agent.get(CHATS).query("status", "closed").await.expect_field("status", "invalid_choice");
        agent.get(CHATS).query("assignee", "ada").await.expect_field("assignee", "invalid");
        agent.get(CHATS).query("cursor", "x").await.expect_refusal(400, "bad_request");
    }

    async fn a_part_of_a_name_finds_chats_few_or_many(world: &World) {
        const NAMED: i64 = 590;
        let owner = world.owner().await;
        let agent = world.member(&owner, "ada", "staff").await;
        let line = world.line(&owner, "250788000001").await;
        line.act(world, &owner, |tx, kernel, tenant, number| {
            for place in 0..NAMED + 10 {
                let phone = format!("2507885{place:05}");
                let address = Address::phone(&phone).expect("a telephone");
                let (mut chat, _) = store::lock_or_create(tx, kernel, number, &address, kernel.now())?;
                chat.name = Some(if place < NAMED { format!("Client {place}") } else { format!("+{phone}") });
                chat.status = if place % 2 == 0 { "open" } else { "resolved" }.to_owned();
                chat.last_message_at = kernel.now().plus(place * SECOND_US);
                store::keep(tx, kernel, tenant.company, &chat)?;
            }
            Ok(())
        })
        .await;
        let named = async |actor: &Actor, query: &[(&str, &str)]| {
            let (mut all, mut cursor) = (Vec::new(), String::new());
            loop {
                let request = query.iter().fold(actor.get(CHATS), |request, (name, value)| request.query(name, value));
                let page = request.query("cursor", &cursor).await.expect_status(200);
                all.extend(texts(&page, "name"));
                match page.at("/next_cursor").as_str() {
                    Some(next) => next.clone_into(&mut cursor),
                    None => return all,
                }
            }
        };
        let few: Vec<String> = (580..NAMED).rev().chain([58]).map(|place| format!("Client {place}")).collect();
        assert_eq!(named(&owner, &[("text", "client 58"), ("limit", "3")]).await, few);
        let open: Vec<String> = few.iter().filter(|name| name.ends_with(['0', '2', '4', '6', '8'])).cloned().collect();
        assert_eq!(named(&owner, &[("text", "CLIENT 58"), ("status", "open"), ("limit", "2")]).await, open);
        let many: Vec<String> = (0..NAMED).rev().map(|place| format!("Client {place}")).collect();
        assert_eq!(named(&owner, &[("text", "lient"), ("limit", "200")]).await, many);
        assert_eq!(named(&owner, &[("text", "nobody")]).await, Vec::<String>::new());
        assert_eq!(named(&owner, &[("text", "2507885 00595")]).await, ["+250788500595"]);
        for (text, wanted) in [("2507885 00595", 0), ("+250", 10), ("••95", 1), ("••", 10), ("Client 7", 11)] {
            assert_eq!(named(&agent, &[("text", text), ("limit", "200")]).await.len(), wanted, "{text}");
        }
    }

    async fn a_repeated_answer_is_sent_once_and_a_failed_one_again_when_a_person_says_so(world: &World) {
        let owner = world.owner().await;
        let line = world.line(&owner, "250788000001").await;
        let id = chat(&line, &owner, CUSTOMER, "Hi").await;
        let thread = format!("{}messages/", item(&id));
        let say = async || owner.post(&thread).header("idempotency-key", "k1").json(&json!({"text": "Once"})).await.expect_status(202);
        let (first, second) = (say().await.text_at("/id"), say().await.text_at("/id"));
        assert_eq!((first.clone(), world.rows("wave_messages").await), (second, 2));
        eventually("it went out", async || world.rows("wave_sandbox_messages").await == 1).await;
        owner.post(&format!("{thread}{first}/retry/")).await.expect_refusal(409, "not_retryable");
        owner.post(&thread).json(&json!({})).await.expect_field("text", "required");
        owner.post(&thread).json(&json!({"text": "x", "reply_to": world.kernel.new_id()})).await.expect_field("reply_to", "does_not_exist");
        owner.post(&thread).json(&json!({"file": world.kernel.new_id()})).await.expect_field("file", "does_not_exist");
        let made = owner.post(CHATS).json(&json!({"to": "250788120000", "text": "Hello"})).await.expect_status(201);
        let thread = format!("{}messages/", item(&made.text_at("/id")));
        let last = async || owner.get(&thread).await.expect_status(200).at("/results/0");
        eventually("it failed", async || last().await["status"] == "failed").await;
        let failed = last().await;
        assert_eq!(failed["failure"]["code"], "no_whatsapp");
        let again = format!("{thread}{}/retry/", failed["id"].as_str().expect("an id"));
        let queued = owner.post(&again).await.expect_status(202);
        assert_eq!((queued.at("/status"), queued.at("/failure"), queued.at("/id")), (json!("queued"), json!(null), failed["id"].clone()));
        eventually("it failed again", async || last().await["status"] == "failed").await;
        assert_eq!(owner.get(&thread).await.at("/results").as_array().expect("rows").len(), 1);
    }

    async fn chats_begin_with_a_number_once(world: &World) {
        let owner = world.owner().await;
        let agent = world.member(&owner, "ada", "staff").await;
        owner.post(CHATS).json(&json!({"to": CUSTOMER})).await.expect_refusal(409, "no_ready_session");
        let line = world.line(&owner, "250788000001").await;
        let made = agent.post(CHATS).json(&json!({"to": "+250 788 123 456"})).await.expect_status(201);
        assert_eq!((made.at("/last_message"), made.at("/number"), made.at("/phone")), (json!(null), json!(line.number), json!("+250•••••••56")));
        let again = agent.post(CHATS).json(&json!({"to": CUSTOMER, "text": "Muraho"})).await.expect_status(201);
        assert_eq!((again.at("/id"), again.at("/last_message")), (made.at("/id"), json!("Muraho")));
        agent.post(CHATS).json(&json!({"to": "moses"})).await.expect_field("to", "invalid");
        agent.post(CHATS).json(&json!({"to": CUSTOMER, "number": "n0"})).await.expect_field("number", "does_not_exist");
    }

    async fn notes_stay_inside_and_go_with_who_wrote_them(world: &World) {
        let (owner, stranger) = world.strangers().await;
        let (agent, other) = (world.member(&owner, "ada", "staff").await, world.member(&owner, "bob", "staff").await);
        let line = world.line(&owner, "250788000001").await;
        let id = chat(&line, &owner, CUSTOMER, "Hi").await;
        let notes = format!("{}notes/", item(&id));
        let made = agent.post(&notes).json(&json!({"text": "Owes us 5"})).await.expect_status(201);
        assert_eq!((made.at("/author"), made.at("/author_name")), (json!(agent.user), json!("ada")));
        assert_eq!(texts(&other.get(&notes).await.expect_status(200), "text"), ["Owes us 5"]);
        assert_eq!(world.rows("wave_outgoing").await, 0);
        assert_eq!(world.rows("wave_messages").await, 1, "a note is no message");
        let note = format!("{notes}{}/", made.text_at("/id"));
        other.delete(&note).await.expect_refusal(403, "permission_denied");
        stranger.get(&notes).await.expect_refusal(404, "not_found");
        stranger.delete(&note).await.expect_refusal(404, "not_found");
        agent.delete(&note).await.expect_status(204);
        let second = agent.post(&notes).json(&json!({"text": "Paid"})).await.expect_status(201).text_at("/id");
        owner.delete(&format!("{notes}{second}/")).await.expect_status(204);
        assert_eq!(texts(&agent.get(&notes).await, "text"), Vec::<String>::new());
    }

    async fn chats_are_found_by_what_their_contact_is(world: &World) {
        let owner = world.owner().await;
        let agent = world.member(&owner, "ada", "staff").await;
        let line = world.line(&owner, "250788000001").await;
        let contacts = "/api/v1/loopwave/contacts/";
        for (phone, text, words) in [
            (CUSTOMER, "Hi", json!({"tags": ["moto", "kigali"], "lifecycle": "vip"})),
            ("250788123457", "Hello", json!({"tags": ["moto"]})),
            ("250788123458", "Hey", json!({"tags": ["motorway"], "lifecycle": "vip"})),
        ] {
            let id = chat(&line, &owner, phone, text).await;
            let contact = owner.get(&item(&id)).await.text_at("/contact");
            owner.patch(&format!("{contacts}{contact}/")).json(&words).await.expect_status(200);
        }
        assert_eq!(listed(&agent, &[("tag", "moto")]).await, ["Hello", "Hi"]);
        assert_eq!(listed(&agent, &[("tag", "moto"), ("lifecycle", "vip")]).await, ["Hi"]);
        assert_eq!(listed(&agent, &[("lifecycle", "vip"), ("text", "123")]).await, Vec::<String>::new());
        assert_eq!(listed(&owner, &[("lifecycle", "vip"), ("text", "123458")]).await, ["Hey"]);
        agent.get(CHATS).query("lifecycle", "friend").await.expect_field("lifecycle", "invalid_choice");
        let view = json!({"name": "Moto", "filter": {"tag": "moto", "lifecycle": "lead"}});
        let view = agent.post("/api/v1/loopwave/saved-views/").json(&view).await.expect_status(201).text_at("/id");
        assert_eq!(listed(&agent, &[("saved_view", &view)]).await, ["Hello"]);
        // The people themselves.
        let segment = json!({"name": "Important", "filter": {"lifecycle": ["vip", "lead"], "tags": ["moto"]}});
        let segment = owner.post("/api/v1/loopwave/segments/").json(&segment).await.expect_status(201).text_at("/id");
        for (query, count) in [
            ("tag=moto".to_owned(), 2),
            ("tag=moto,kigali".to_owned(), 1),
            ("tag=moto&lifecycle=vip".to_owned(), 1),
            (format!("segment={segment}"), 2),
            (format!("segment={segment}&tag=kigali"), 1),
        ] {
            for actor in [&owner, &agent] {
                let found = actor.get(&format!("{contacts}?{query}")).await.expect_status(200);
                assert_eq!(found.at("/count"), count, "{query}: {}", found.text());
            }
        }
        owner.get(&format!("{contacts}?segment={}", owner.user)).await.expect_field("segment", "does_not_exist");
    }

    async fn saved_views_are_ones_own_or_everybodys(world: &World) {
        let (owner, stranger) = world.strangers().await;
        let (agent, other) = (world.member(&owner, "ada", "staff").await, world.member(&owner, "bob", "staff").await);
        let line = world.line(&owner, "250788000001").await;
        let id = chat(&line, &owner, CUSTOMER, "Hi").await;
        chat(&line, &owner, "250788123457", "Hello").await;
        owner.patch(&item(&id)).json(&json!({"assignee": agent.user})).await.expect_status(200);
        let base = "/api/v1/loopwave/saved-views/";
        let mine = json!({"name": "Mine", "filter": {"assignee": "me", "status": "open"}});
        let own = agent.post(base).json(&mine).await.expect_status(201).text_at("/id");
        let shared = agent.post(base).json(&json!({"name": "Free", "shared": true, "filter": {"assignee": "none"}})).await.expect_status(201).text_at("/id");
        let names = async |actor: &Actor| texts(&actor.get(base).await.expect_status(200), "name");
        assert_eq!((names(&agent).await, names(&other).await, names(&stranger).await), (vec!["Free".to_owned(), "Mine".to_owned()], vec!["Free".to_owned()], Vec::new()));
        assert_eq!(listed(&agent, &[("saved_view", &own)]).await, ["Hi"]);
        assert_eq!(listed(&agent, &[("saved_view", &own), ("status", "resolved")]).await, Vec::<String>::new());
        assert_eq!(listed(&other, &[("saved_view", &shared)]).await, ["Hello"]);
        other.get(CHATS).query("saved_view", &own).await.expect_refusal(404, "not_found");
        other.patch(&format!("{base}{shared}/")).json(&json!({"name": "Ours"})).await.expect_refusal(403, "permission_denied");
        other.delete(&format!("{base}{own}/")).await.expect_refusal(404, "not_found");
        agent.patch(&format!("{base}{own}/")).json(&json!({"filter": {"waiting": true}})).await.expect_status(200);
        assert_eq!(listed(&agent, &[("saved_view", &own)]).await, ["Hello", "Hi"]);
        agent.post(base).json(&json!({"name": "x", "filter": {"status": "closed"}})).await.expect_field("status", "invalid_choice");
        agent.post(base).json(&json!({"name": "x", "filter": {"colour": "red"}})).await.expect_field("filter", "invalid");
        owner.delete(&format!("{base}{shared}/")).await.expect_status(204);
        agent.delete(&format!("{base}{own}/")).await.expect_status(204);
    }
}

/// What simulated telephones were sent.
async fn sent(world: &World) -> Vec<String> {
    let sql = "SELECT content FROM wave_sandbox_messages ORDER BY id";
    let read = world
        .kernel
        .db
        .read(loopd_store::View::System, move |reader| Ok(reader.query(sql, &[], |row| Ok(row.json(0)?.to_owned()))?));
    let texts = read.await.expect("the sandbox can be read");
    let text = |row: &String| {
        serde_json::from_str::<serde_json::Value>(row).expect("JSON")["text"].as_str().map(str::to_owned)
    };
    texts.iter().filter_map(text).collect()
}
