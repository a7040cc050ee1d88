//! Who gets a chat, when it is given to somebody else, and what happens when a customer waits too long.

use loopd_testkit::{each_engine, json};
use loopd_types::{DAY_US, HOUR_US, MINUTE_US, SECOND_US};
use serde_json::Value;

use super::stage::Line;
use crate::support::{Actor, World, eventually};

const PREFERENCES: &str = "/api/v1/loopwave/preferences/";
const PRESENCE: &str = "/api/v1/loopwave/presence/";

async fn choose(owner: &Actor, rules: Value) {
    owner.patch(PREFERENCES).json(&json!({"rules": rules})).await.expect_status(200);
}

async fn online(agent: &Actor) {
    agent.post(PRESENCE).json(&json!({})).await.expect_status(200);
}

/// A chat in which a customer wrote.
async fn chat(line: &Line, owner: &Actor, from: &str) -> String {
    line.receive(owner, from, "Hi").await["chat"].as_str().expect("a chat").to_owned()
}

/// Who has a chat, by name.
async fn holder(owner: &Actor, chat: &str) -> Option<String> {
    let row = owner.get(&format!("/api/v1/loopwave/chats/{chat}/")).await.expect_status(200);
    row.at("/assignee_name").as_str().map(str::to_owned)
}

async fn resolve(owner: &Actor, chat: &str) {
    owner.post(&format!("/api/v1/loopwave/chats/{chat}/resolve/")).await.expect_status(200);
}

/// What the activity log says was done by itself, newest first.
async fn acts(owner: &Actor, action: &str) -> usize {
    let log = owner.get("/api/v1/loopwave/activity/").query("action", action).await.expect_status(200);
    log.at("/results").as_array().expect("rows").len()
}

each_engine! {
    async fn rules_name_nobody_who_works_elsewhere(world: &World) {
        let (owner, stranger) = world.strangers().await;
        let ada = world.member(&owner, "ada", "staff").await;
        let line = world.line(&owner, "250788000001").await;
        let given_to = |agents: &[&str]| json!({"assignment": {"enabled": true, "agents": agents}});
        choose(&owner, given_to(&[&ada.user])).await;
        for nobody in [stranger.user.as_str(), "01a20b59-23ea-7001-9868-216db3559508"] {
            let rules = given_to(&[&ada.user, nobody]);
            owner.patch(PREFERENCES).json(&json!({"rules": rules})).await.expect_field("rules", "does_not_exist");
            let of_number = json!({"number_rules": {&line.number: rules}});
            owner.patch(PREFERENCES).json(&of_number).await.expect_field("number_rules", "does_not_exist");
        }
        // Who was named and has left since is no reason to refuse another change.
        let membership = ada.membership().await;
        owner.post(&format!("/api/v1/memberships/{membership}/remove/")).await.expect_status(200);
        choose(&owner, json!({"assignment": {"most_open": 3}})).await;
    }

    async fn chats_are_given_in_turn_to_who_is_online_and_has_room(world: &World) {
        let owner = world.owner().await;
        let (ada, bob) = (world.member(&owner, "ada", "staff").await, world.member(&owner, "bob", "staff").await);
        let eve = world.member(&owner, "eve", "staff").await;
        let line = world.line(&owner, "250788000001").await;
        let early = chat(&line, &owner, "250788123000").await;
        assert_eq!(holder(&owner, &early).await, None, "nobody asked for it");
        choose(&owner, json!({"assignment": {"enabled": true, "most_open": 2}})).await;
        online(&ada).await;
        online(&bob).await;
        let mut chats = Vec::new();
        for place in 1..=5 {
            chats.push(chat(&line, &owner, &format!("25078812300{place}")).await);
        }
        let mut holders = Vec::new();
        for chat in &chats {
            holders.push(holder(&owner, chat).await.unwrap_or_default());
        }
        let count = |name: &str| holders.iter().filter(|holder| *holder == name).count();
        assert_eq!((count("ada"), count("bob"), count("")), (2, 2, 1), "{holders:?}");
        assert_eq!((holders[0] != holders[1], holders[4].as_str()), (true, ""));
        assert_eq!(acts(&owner, "assign").await, 4);
        let shown = owner.get(PRESENCE).await.expect_status(200).at("/results");
        assert_eq!(shown.as_array().expect("rows").iter().map(|row| row["open_chats"].clone()).collect::<Vec<_>>(), [json!(2), json!(2)]);
        // Somebody comes, and gets what waits.
        online(&eve).await;
        eventually("who waits is given to who came", async || {
            world.clock.advance(SECOND_US);
            holder(&owner, &chats[4]).await.as_deref() == Some("eve")
        })
        .await;
        // Whoever leaves gets nothing more, and what they had comes back to others when it is opened again.
        eve.post(PRESENCE).json(&json!({"online": false})).await.expect_status(200);
        resolve(&owner, &chats[4]).await;
        let ada_has = chats.iter().zip(&holders).find(|(_, holder)| *holder == "ada").map(|(chat, _)| chat.clone()).expect("ada's");
        resolve(&owner, &ada_has).await;
        online(&ada).await;
        line.receive(&owner, "250788123005", "One more thing").await;
        assert_eq!(holder(&owner, &chats[4]).await.as_deref(), Some("ada"));
        // An agent who answers for themselves is left alone.
        owner.patch(PREFERENCES).json(&json!({"rules": {"assignment": {"colour": "red"}}})).await.expect_field("rules", "invalid");
        let viewer = world.member(&owner, "vic", "viewer").await;
        viewer.post(PRESENCE).json(&json!({})).await.expect_refusal(403, "permission_denied");
    }

    async fn messages_at_once_give_a_chat_once_and_fairly(world: &World) {
        let owner = world.owner().await;
        let line = world.line(&owner, "250788000001").await;
        choose(&owner, json!({"assignment": {"enabled": true}})).await;
        for name in ["ada", "bob", "eve"] {
            online(&world.member(&owner, name, "staff").await).await;
        }
        let write = |from: String| {
            let (owner, path) = (owner.clone(), format!("/api/v1/loopwave/numbers/{}/sandbox/receive/", line.id));
            tokio::spawn(async move { owner.post(&path).json(&json!({"from": from, "text": "Hi"})).await.expect_status(200).text_at("/chat") })
        };
        // Twelve customers, each with two messages.
        let at_once: Vec<_> = (0..24).map(|place| write(format!("2507881230{:02}", place % 12))).collect();
        let mut chats = std::collections::BTreeSet::new();
        for one in at_once {
            chats.insert(one.await.expect("it was taken"));
        }
        let mut given = std::collections::BTreeMap::new();
        for chat in &chats {
            *given.entry(holder(&owner, chat).await.expect("somebody has it")).or_insert(0) += 1;
        }
        assert_eq!((chats.len(), given.into_values().collect::<Vec<_>>()), (12, vec![4, 4, 4]));
        assert_eq!(acts(&owner, "assign").await, 12);
    }

    async fn whoever_does_not_answer_loses_the_chat_to_the_next(world: &World) {
        let owner = world.owner().await;
        let (ada, bob) = (world.member(&owner, "ada", "staff").await, world.member(&owner, "bob", "staff").await);
        let line = world.line(&owner, "250788000001").await;
        choose(&owner, json!({"assignment": {"enabled": true, "reassign_minutes": 1}})).await;
        online(&ada).await;
        let first = chat(&line, &owner, "250788123001").await;
        assert_eq!(holder(&owner, &first).await.as_deref(), Some("ada"));
        online(&bob).await;
        world.clock.advance(30 * SECOND_US);
        assert_eq!(holder(&owner, &first).await.as_deref(), Some("ada"));
        world.clock.advance(30 * SECOND_US);
        eventually("bob has it", async || holder(&owner, &first).await.as_deref() == Some("bob")).await;
        assert_eq!(acts(&owner, "reassign").await, 1);
        // An answer ends it.
        bob.post(&format!("/api/v1/loopwave/chats/{first}/messages/")).json(&json!({"text": "Yes?"})).await.expect_status(202);
        online(&ada).await;
        world.clock.advance(MINUTE_US);
        online(&ada).await;
        let second = chat(&line, &owner, "250788123002").await;
        assert_eq!(holder(&owner, &second).await.as_deref(), Some("ada"));
        // Nobody else is there: it stays.
        world.clock.advance(80 * SECOND_US);
        online(&ada).await;
        let clocks = "wave_timers WHERE kind = 'reassign' AND due_at > since + 60000000";
        eventually("its clock was taken up", async || world.rows(clocks).await == 1).await;
        assert_eq!((holder(&owner, &first).await.as_deref(), holder(&owner, &second).await.as_deref()), (Some("bob"), Some("ada")));
    }

    async fn a_shop_that_is_closed_says_so_once_and_gives_chats_when_it_opens(world: &World) {
        // In the morning, so that it opens today.
        let now = world.kernel.now().0;
        world.clock.advance(DAY_US + 7 * HOUR_US - now.rem_euclid(DAY_US));
        let owner = world.owner().await;
        let ada = world.member(&owner, "ada", "staff").await;
        let line = world.line(&owner, "250788000001").await;
        let other = world.line(&owner, "250788000002").await;
        let week = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"].into_iter();
        let days: serde_json::Map<String, Value> = week.map(|day| (day.to_owned(), json!(["07:15-24:00"]))).collect();
        let hours = json!({"enabled": true, "timezone": "UTC", "days": days, "away_reply": "We open later, {{name}}."});
        choose(&owner, json!({"assignment": {"enabled": true}, "hours": hours})).await;
        // The other number is always open.
        let own = json!({other.number.as_str(): {"hours": {"enabled": false}}});
        owner.patch(PREFERENCES).json(&json!({"number_rules": own})).await.expect_status(200);
        owner.patch(PREFERENCES).json(&json!({"number_rules": {"n0000000": {}}})).await.expect_field("number_rules", "does_not_exist");
        online(&ada).await;
        let closed = chat(&line, &owner, "250788123001").await;
        line.receive(&owner, "250788123001", "Hello?").await;
        let open = chat(&other, &owner, "250788123002").await;
        assert_eq!((holder(&owner, &closed).await, holder(&owner, &open).await.as_deref()), (None, Some("ada")));
        let said = async |chat: &str| {
            let thread = owner.get(&format!("/api/v1/loopwave/chats/{chat}/messages/")).await.expect_status(200).at("/results");
            let ours = thread.as_array().expect("rows").iter().filter(|row| row["origin"] == "automation").map(|row| row["text"].clone());
            ours.collect::<Vec<_>>()
        };
        assert_eq!((said(&closed).await, said(&open).await), (vec![json!("We open later, .")], Vec::new()));
        world.clock.advance(15 * MINUTE_US);
        online(&ada).await;
        eventually("it is given when the shop opens", async || {
            world.clock.advance(SECOND_US);
            holder(&owner, &closed).await.as_deref() == Some("ada")
        })
        .await;
    }

    async fn a_target_that_is_missed_is_told_once(world: &World) {
        let owner = world.owner().await;
        let line = world.line(&owner, "250788000001").await;
        let targets = json!({"first_response_minutes": 5, "resolution_minutes": 20, "raise_priority": true, "mail": true});
        choose(&owner, json!({"targets": targets})).await;
        let late = chat(&line, &owner, "250788123001").await;
        let answered = chat(&line, &owner, "250788123002").await;
        let ticket = owner.make("/api/v1/loopwave/tickets/", json!({"chat": late})).await;
        owner.post(&format!("/api/v1/loopwave/chats/{answered}/messages/")).json(&json!({"text": "Yes"})).await.expect_status(202);
        let letters = world.rows("mail_messages").await;
        world.clock.advance(5 * MINUTE_US - SECOND_US);
        assert_eq!(acts(&owner, "overdue").await, 0);
        world.clock.advance(SECOND_US);
        eventually("it is told", async || acts(&owner, "overdue").await == 1).await;
        let priority = async || owner.get(&format!("/api/v1/loopwave/tickets/{ticket}/")).await.text_at("/priority");
        assert_eq!((priority().await.as_str(), world.rows("mail_messages").await), ("high", letters + 1));
        let log = owner.get("/api/v1/platform-events/").query("type", "loopwave.chats.overdue").await.expect_status(200).text();
        assert!(log.contains("first_response") && log.contains(&late), "{log}");
        line.receive(&owner, "250788123001", "Hello?").await;
        resolve(&owner, &answered).await;
        world.clock.advance(15 * MINUTE_US);
        eventually("the second is told", async || acts(&owner, "overdue").await == 2).await;
        assert_eq!(priority().await, "urgent");
        eventually("every clock was taken up", async || world.rows("wave_timers").await == 0).await;
    }

    async fn an_open_stream_of_events_is_presence(world: &World) {
        let owner = world.owner().await;
        let shown = async || {
            let found = owner.get(PRESENCE).await.expect_status(200).at("/results");
            found.as_array().expect("rows").iter().map(|row| row["name"].as_str().expect("a name").to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(shown().await, Vec::<String>::new());
        let stream = owner.get("/api/v1/platform-events/stream/").open().await;
        eventually("the owner is online", async || shown().await.len() == 1).await;
        drop(stream);
        eventually("the server has seen it go", async || world.kernel.streams.people().is_empty()).await;
        // What it said runs out by itself.
        world.clock.advance(91 * SECOND_US);
        assert_eq!(shown().await, Vec::<String>::new());
    }
}
