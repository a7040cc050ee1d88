//! Who is there, who is typing, and what an archived channel lets be.

use loopd_testkit::{Client, each_engine, json};
use loopd_types::SECOND_US;
use serde_json::Value;

use crate::support::{START, World, register};

const PRESENCE: &str = "/api/v1/chat/presence/";
const CHANNELS: &str = "/api/v1/chat/channels/";
const MESSAGES: &str = "/api/v1/chat/messages/";

async fn state_of(client: &Client, user: &str) -> Value {
    let all = client.get(PRESENCE).await.expect_status(200).json();
    let found = all["results"].as_array().unwrap().iter().find(|row| row["user"] == user).cloned();
    found.expect("every member is listed")
}

each_engine! {
    async fn presence_ends_by_the_clock(world: &World) {
        let owner = &world.owner;
        let (staff, staff_id) = world.member("staff", "staff").await;
        let never = state_of(owner, &staff_id).await;
        assert_eq!((&never["state"], &never["last_seen"]), (&json!("offline"), &Value::Null));
        let told = staff.post(PRESENCE).json(&json!({})).await.expect_status(200).json();
        assert_eq!(told, state_of(owner, &staff_id).await);
        assert_eq!((&told["state"], &told["expires_at"]), (&json!("online"), &json!("2026-06-22T10:01:30.000000Z")));
        assert_eq!(owner.get(PRESENCE).await.at("/online"), json!(1));
        world.clock.set(START.plus(89 * SECOND_US));
        assert_eq!(state_of(owner, &staff_id).await["state"], "online");
        world.clock.set(START.plus(90 * SECOND_US));
        let gone = state_of(owner, &staff_id).await;
        assert_eq!((&gone["state"], &gone["last_seen"], &gone["expires_at"]), (&json!("offline"), &json!("2026-06-22T10:00:00.000000Z"), &Value::Null));
        assert_eq!(owner.get(PRESENCE).await.at("/online"), json!(0));
        staff.post(PRESENCE).json(&json!({"state": "away"})).await.expect_status(200);
        let away = owner.get(PRESENCE).query("state", "away").await.expect_status(200).json();
        assert_eq!((away["results"].as_array().unwrap().len(), &away["results"][0]["user"]), (1, &json!(staff_id)));
        staff.post(PRESENCE).json(&json!({"state": "offline"})).await.expect_status(200);
        assert_eq!(state_of(owner, &staff_id).await["state"], "offline");
        staff.post(PRESENCE).json(&json!({"state": "asleep"})).await.expect_field("state", "invalid_choice");
    }

    async fn others_are_told_of_changes_only(world: &World) {
        let (staff, staff_id) = world.member("staff", "viewer").await;
        for state in ["online", "online", "away"] {
            staff.post(PRESENCE).json(&json!({"state": state})).await.expect_status(200);
        }
        // over by the clock, then there again: a change
        world.clock.set(START.plus(1_000 * SECOND_US));
        staff.post(PRESENCE).json(&json!({"state": "away"})).await.expect_status(200);
        let told = world.events("chat.presence.changed").await;
        let states: Vec<&Value> = told.iter().map(|event| &event["state"]).collect();
        assert_eq!(states, ["online", "away", "away"]);
        assert!(told.iter().all(|event| event["user"] == staff_id.as_str()));
    }

    async fn presence_is_among_the_members_of_one_company(world: &World) {
        let owner = &world.owner;
        let (staff, staff_id) = world.member("staff", "staff").await;
        let (_, other_id) = world.member("idle", "staff").await;
        staff.post(PRESENCE).json(&json!({})).await.expect_status(200);
        let stranger = register(owner, "stranger").await;
        let theirs = stranger.get(PRESENCE).await.expect_status(200).json();
        assert_eq!((theirs["results"].as_array().unwrap().len(), &theirs["online"]), (1, &json!(0)));
        stranger.company("001").post(PRESENCE).json(&json!({})).await.expect_refusal(403, "company_access_denied");
        // the same person elsewhere is another presence
        let own = staff.company("002");
        assert_eq!(own.get(PRESENCE).await.expect_status(200).at("/online"), json!(0));
        // a channel's people, for who may see the channel
        let channel = owner.post(CHANNELS).json(&json!({"title": "Team", "visibility": "private", "members": [staff_id]})).await.expect_status(201).text_at("/id");
        let listed = owner.get(PRESENCE).query("channel", &channel).await.expect_status(200).json();
        assert_eq!((listed["results"].as_array().unwrap().len(), &listed["results"][0]["user"]), (2, &json!(staff_id)));
        assert!(!listed.to_string().contains(&other_id));
        let (admin, _) = world.member("admin", "admin").await;
        admin.get(PRESENCE).query("channel", &channel).await.expect_field("channel", "does_not_exist");
        world.stranger().get(PRESENCE).await.expect_refusal(401, "not_authenticated");
    }

    async fn typing_is_one_event_and_nothing_else(world: &World) {
        let owner = &world.owner;
        let channel = owner.post(CHANNELS).json(&json!({"title": "Team"})).await.expect_status(201).json();
        let at = format!("{CHANNELS}{}/", channel["id"].as_str().unwrap());
        let before = owner.get(&format!("{at}history/")).await.expect_status(200).at("/count");
        owner.post(&format!("{at}typing/")).await.expect_status(200);
        assert_eq!(world.events("chat.channels.typing").await.len(), 1);
        assert_eq!(owner.get(&at).await.expect_status(200).json(), channel);
        assert_eq!(owner.get(&format!("{at}history/")).await.at("/count"), before);
        owner.post(&format!("{at}archive/")).await.expect_status(200);
        owner.post(&format!("{at}typing/")).await.expect_refusal(409, "invalid_transition");
    }

    async fn an_archived_channel_is_read_and_words_are_taken_back(world: &World) {
        let owner = &world.owner;
        let channel = owner.post(CHANNELS).json(&json!({"title": "Team"})).await.expect_status(201).json();
        let message = owner.post(MESSAGES).json(&json!({"body": "one", "channel": channel["id"]})).await.expect_status(201).json();
        let at = format!("{MESSAGES}{}/", message["id"].as_str().unwrap());
        owner.post(&format!("{CHANNELS}{}/archive/", channel["id"].as_str().unwrap())).await.expect_status(200);
        for (action, body) in [("edit", json!({"body": "two"})), ("react", json!({"emoji": "👍"})), ("pin", json!({}))] {
            owner.post(&format!("{at}{action}/")).json(&body).await.expect_refusal(409, "channel_archived");
        }
        owner.patch(&at).json(&json!({"body": "two"})).await.expect_refusal(409, "channel_archived");
        assert_eq!(owner.get(&at).await.expect_status(200).at("/body"), json!("one"));
        owner.post(&format!("{at}delete/")).await.expect_status(200);
    }
}
