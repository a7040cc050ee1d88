//! Channels and messages.

use loopd_testkit::{Client, each_engine, json};
use serde_json::Value;

use crate::support::{World, register};

const CHANNELS: &str = "/api/v1/chat/channels/";
const MESSAGES: &str = "/api/v1/chat/messages/";

async fn add(client: &Client, base: &str, body: Value) -> Value {
    client.post(base).json(&body).await.expect_status(201).json()
}

fn act(base: &str, record: &Value, action: &str) -> String {
    format!("{base}{}/{action}/", record["id"].as_str().unwrap())
}

async fn count(client: &Client, path: &str) -> i64 {
    client.get(path).await.expect_status(200).at("/count").as_i64().unwrap()
}

each_engine! {
    async fn the_portals_sample_lands_in_the_default_channel(world: &World) {
        let owner = &world.owner;
        let body = json!({"title": "Support request", "description": "Customer needs help"});
        let made = add(owner, MESSAGES, body).await;
        assert_eq!((&made["body"], &made["status"]), (&json!("Customer needs help"), &json!("sent")));
        let channel = owner.get(&format!("{CHANNELS}{}/", made["channel"].as_str().unwrap())).await.expect_status(200).json();
        assert_eq!((&channel["is_default"], &channel["title"], &channel["visibility"]), (&json!(true), &json!("General"), &json!("public")));
        let second = add(owner, MESSAGES, json!({"title": "Only a title"})).await;
        assert_eq!((&second["body"], &second["channel"]), (&json!("Only a title"), &made["channel"]));
        owner.post(MESSAGES).json(&json!({})).await.expect_field("body", "required");
        let other = register(owner, "other").await;
        assert_ne!(add(&other, MESSAGES, json!({"title": "Theirs"})).await["channel"], made["channel"]);
        let into_ours = json!({"title": "x", "channel": made["channel"]});
        other.post(MESSAGES).json(&into_ours).await.expect_field("channel", "does_not_exist");
    }

    async fn first_messages_at_once_make_one_default_channel(world: &World) {
        let tasks: Vec<_> = (0..8)
            .map(|number| {
                let owner = world.owner.clone();
                tokio::spawn(async move { add(&owner, MESSAGES, json!({"title": format!("m{number}")})).await["channel"].clone() })
            })
            .collect();
        let mut channels = Vec::new();
        for task in tasks {
            channels.push(task.await.unwrap());
        }
        channels.dedup();
        assert_eq!(channels.len(), 1, "{channels:?}");
        assert_eq!(count(&world.owner, CHANNELS).await, 1);
    }

    async fn people_come_and_go(world: &World) {
        let owner = &world.owner;
        let (staff, staff_id) = world.member("staff", "staff").await;
        let channel = add(owner, CHANNELS, json!({"title": "Team"})).await;
        let owner_id = channel["created_by"].clone();
        assert_eq!(channel["members"], json!([owner_id]));
        let joined = staff.post(&act(CHANNELS, &channel, "join")).await.expect_status(200).json();
        assert_eq!(joined["members"], json!([owner_id, staff_id]));
        staff.post(&act(CHANNELS, &channel, "join")).await.expect_status(200);
        assert_eq!(count(owner, &format!("/api/v1/chat/memberships/?channel={}&status=active", channel["id"].as_str().unwrap())).await, 2);
        let left = staff.post(&act(CHANNELS, &channel, "leave")).await.expect_status(200).json();
        assert_eq!(left["members"], json!([owner_id]));
        staff.post(&act(CHANNELS, &channel, "leave")).await.expect_refusal(409, "not_a_member");
        owner.post(&act(CHANNELS, &channel, "invite")).json(&json!({"user": staff_id})).await.expect_status(200);
        owner.post(&act(CHANNELS, &channel, "invite")).json(&json!({"user": channel["id"]})).await.expect_field("user", "does_not_exist");
        add(owner, CHANNELS, json!({"kind": "direct", "members": [staff_id]})).await;
        owner.post(CHANNELS).json(&json!({"kind": "direct"})).await.expect_field("members", "min_length");
        owner.post(CHANNELS).json(&json!({"title": "x", "members": ["nobody"]})).await.expect_field("members", "invalid");
        // members come and go by actions
        let ignored = owner.patch(&format!("{CHANNELS}{}/", channel["id"].as_str().unwrap())).json(&json!({"members": [], "topic": "t"})).await.expect_status(200).json();
        assert_eq!((&ignored["members"], &ignored["topic"]), (&json!([owner_id, staff_id]), &json!("t")));
        let direct = owner.get(&format!("{CHANNELS}?kind=direct")).await.at("/results/0");
        owner.post(&act(CHANNELS, &direct, "invite")).json(&json!({"user": staff_id})).await.expect_refusal(409, "direct_channel");
        assert_eq!(direct["visibility"], "private");
    }

    async fn messages_are_changed_by_their_authors(world: &World) {
        let owner = &world.owner;
        let (staff, _) = world.member("staff", "staff").await;
        let message = add(&staff, MESSAGES, json!({"body": "Helo"})).await;
        let here = format!("{MESSAGES}{}/", message["id"].as_str().unwrap());
        owner.post(&act(MESSAGES, &message, "edit")).json(&json!({"body": "x"})).await.expect_refusal(403, "permission_denied");
        owner.patch(&here).json(&json!({"body": "x"})).await.expect_refusal(403, "permission_denied");
        let edited = staff.post(&act(MESSAGES, &message, "edit")).json(&json!({"body": "Hello"})).await.expect_status(200).json();
        assert_eq!((&edited["status"], &edited["body"], edited["edited_at"].is_string()), (&json!("edited"), &json!("Hello"), true));
        let patched = staff.patch(&here).json(&json!({"body": "Hello!"})).await.expect_status(200).json();
        assert_eq!((&patched["status"], &patched["body"]), (&json!("edited"), &json!("Hello!")));
        // whoever may delete messages keeps the house
        let gone = owner.post(&act(MESSAGES, &message, "delete")).await.expect_status(200).json();
        assert_eq!((&gone["status"], &gone["body"]), (&json!("deleted"), &json!("")));
        staff.post(&act(MESSAGES, &message, "edit")).json(&json!({"body": "x"})).await.expect_refusal(409, "invalid_transition");
        staff.patch(&here).json(&json!({"body": "x"})).await.expect_refusal(409, "message_deleted");
        let own = add(owner, MESSAGES, json!({"body": "Mine"})).await;
        staff.post(&act(MESSAGES, &own, "delete")).await.expect_refusal(403, "permission_denied");
    }

    async fn reactions_pins_answers_and_forwards(world: &World) {
        let owner = &world.owner;
        let message = add(owner, MESSAGES, json!({"body": "Lunch?"})).await;
        for _ in 0..2 {
            owner.post(&act(MESSAGES, &message, "react")).json(&json!({"emoji": "👍"})).await.expect_status(200);
        }
        assert_eq!(count(owner, "/api/v1/chat/reactions/").await, 1);
        owner.post(&act(MESSAGES, &message, "unreact")).json(&json!({"emoji": "👍"})).await.expect_status(200);
        assert_eq!(count(owner, "/api/v1/chat/reactions/").await, 0);
        owner.post(&act(MESSAGES, &message, "react")).json(&json!({"emoji": "👍"})).await.expect_status(200);
        let pinned = owner.post(&act(MESSAGES, &message, "pin")).await.expect_status(200).json();
        assert!(pinned["pinned_at"].is_string());
        assert_eq!(owner.post(&act(MESSAGES, &message, "unpin")).await.expect_status(200).at("/pinned_at"), Value::Null);
        let channel = add(owner, CHANNELS, json!({"title": "Other"})).await;
        let there = json!({"to": channel["id"]});
        let kept = owner.post(&act(MESSAGES, &message, "forward")).json(&there).await.expect_status(200).json();
        assert_eq!(kept["channel"], message["channel"]);
        let forwarded = owner.get(&format!("{MESSAGES}?channel={}", channel["id"].as_str().unwrap())).await.at("/results/0");
        assert_eq!((&forwarded["body"], &forwarded["forwarded_from"]), (&json!("Lunch?"), &message["id"]));
        let answer = add(owner, MESSAGES, json!({"body": "Yes", "reply_to": message["id"]})).await;
        assert_eq!(answer["reply_to"], message["id"]);
        let elsewhere = json!({"body": "Yes", "reply_to": message["id"], "channel": channel["id"]});
        owner.post(MESSAGES).json(&elsewhere).await.expect_field("reply_to", "does_not_exist");
        owner.post(&act(CHANNELS, &channel, "archive")).await.expect_status(200);
        owner.post(MESSAGES).json(&json!({"body": "x", "channel": channel["id"]})).await.expect_refusal(409, "channel_archived");
        let default = json!({"id": message["channel"]});
        owner.post(&act(CHANNELS, &default, "archive")).await.expect_refusal(409, "default_channel");
    }

    async fn what_is_unread_is_counted(world: &World) {
        let owner = &world.owner;
        let (staff, staff_id) = world.member("staff", "staff").await;
        let channel = add(owner, CHANNELS, json!({"title": "Team", "members": [staff_id]})).await;
        let mut messages = Vec::new();
        for words in ["one", "two", "three"] {
            messages.push(add(owner, MESSAGES, json!({"body": words, "channel": channel["id"]})).await);
        }
        let unread = |client: Client| async move { client.get("/api/v1/chat/unread/").await.expect_status(200).json() };
        assert_eq!(unread(owner.clone()).await["total"], 0, "one's own words are read");
        let waiting = unread(staff.clone()).await;
        assert_eq!((&waiting["total"], &waiting["channels"][0]["title"], &waiting["channels"][0]["unread"]), (&json!(3), &json!("Team"), &json!(3)));
        let read = act(CHANNELS, &channel, "read");
        staff.post(&read).json(&json!({"up_to": messages[1]["id"]})).await.expect_status(200);
        assert_eq!(unread(staff.clone()).await["total"], 1);
        // it never goes back
        staff.post(&read).json(&json!({"up_to": messages[0]["id"]})).await.expect_status(200);
        assert_eq!(unread(staff.clone()).await["total"], 1);
        let receipt = owner.get("/api/v1/chat/read-receipts/").await.at("/results/0");
        assert_eq!((&receipt["message"], &receipt["user"]), (&messages[1]["id"], &json!(staff_id)));
        staff.post(&act(CHANNELS, &channel, "mute")).await.expect_status(200);
        let muted = unread(staff.clone()).await;
        assert_eq!((&muted["total"], &muted["channels"][0]["unread"], &muted["channels"][0]["is_muted"]), (&json!(0), &json!(1), &json!(true)));
        staff.post(&read).await.expect_status(200);
        assert_eq!(unread(staff.clone()).await["channels"][0]["unread"], 0);
        // a late member does not begin with a pile
        let (late, _) = world.member("late", "staff").await;
        late.post(&act(CHANNELS, &channel, "join")).await.expect_status(200);
        assert_eq!(unread(late.clone()).await["total"], 0);
        let foreign = add(owner, MESSAGES, json!({"body": "elsewhere"})).await;
        staff.post(&read).json(&json!({"up_to": foreign["id"]})).await.expect_field("up_to", "does_not_exist");
    }

    async fn typing_is_told_and_not_kept(world: &World) {
        let owner = &world.owner;
        let channel = add(owner, CHANNELS, json!({"title": "Team"})).await;
        owner.post(&act(CHANNELS, &channel, "typing")).await.expect_status(200);
        let told = world.look("SELECT kind FROM events WHERE company_id = 1 ORDER BY position DESC LIMIT 1", Vec::new()).await;
        assert_eq!(told, "chat.channels.typing");
        assert_eq!(owner.get(&format!("{CHANNELS}{}/", channel["id"].as_str().unwrap())).await.at("/version"), json!(1));
    }

    async fn nobody_acts_in_a_private_channel_from_outside(world: &World) {
        let owner = &world.owner;
        let (staff, staff_id) = world.member("staff", "admin").await;
        let channel = add(owner, CHANNELS, json!({"title": "Board", "visibility": "private"})).await;
        let message = add(owner, MESSAGES, json!({"body": "confidential", "channel": channel["id"]})).await;
        staff.post(MESSAGES).json(&json!({"body": "x", "channel": channel["id"]})).await.expect_field("channel", "does_not_exist");
        for action in ["join", "leave", "mute", "typing", "archive", "read"] {
            staff.post(&act(CHANNELS, &channel, action)).await.expect_refusal(404, "not_found");
        }
        staff.post(&act(CHANNELS, &channel, "invite")).json(&json!({"user": staff_id})).await.expect_refusal(404, "not_found");
        for (action, body) in [("edit", json!({"body": "x"})), ("delete", json!({})), ("react", json!({"emoji": "x"})), ("pin", json!({})), ("unpin", json!({}))] {
            staff.post(&act(MESSAGES, &message, action)).json(&body).await.expect_refusal(404, "not_found");
        }
        staff.patch(&format!("{CHANNELS}{}/", channel["id"].as_str().unwrap())).json(&json!({"topic": "x"})).await.expect_refusal(404, "not_found");
        staff.delete(&format!("{MESSAGES}{}/", message["id"].as_str().unwrap())).await.expect_refusal(404, "not_found");
        owner.post(&act(CHANNELS, &channel, "invite")).json(&json!({"user": staff_id})).await.expect_status(200);
        staff.post(MESSAGES).json(&json!({"body": "thanks", "channel": channel["id"]})).await.expect_status(201);
    }
}

each_engine! {
    async fn a_private_channel_is_found_by_its_members_only(world: &World) {
        let owner = &world.owner;
        let (admin, admin_id) = world.member("admin", "admin").await;
        let open = add(owner, CHANNELS, json!({"title": "Open"})).await;
        let channel = add(owner, CHANNELS, json!({"title": "Board", "visibility": "private"})).await;
        let message = add(owner, MESSAGES, json!({"body": "confidential", "channel": channel["id"]})).await;
        add(owner, MESSAGES, json!({"body": "for all", "channel": open["id"]})).await;
        owner.post(&act(MESSAGES, &message, "react")).json(&json!({"emoji": "x"})).await.expect_status(200);
        let (channel_id, message_id) = (channel["id"].as_str().unwrap(), message["id"].as_str().unwrap());
        let sees = |client: Client| async move {
            let mut seen = Vec::new();
            for path in [CHANNELS, MESSAGES, "/api/v1/chat/memberships/", "/api/v1/chat/reactions/"] {
                let listed = client.get(path).await.expect_status(200).json();
                assert_eq!(listed["count"], listed["results"].as_array().unwrap().len(), "{path} counts what it shows");
                seen.push(listed["count"].as_i64().unwrap());
            }
            seen
        };
        assert_eq!(sees(owner.clone()).await, [2, 2, 2, 1]);
        assert_eq!(sees(admin.clone()).await, [1, 1, 1, 0]);
        assert_eq!(count(&admin, &format!("{MESSAGES}?search=confidential")).await, 0);
        assert_eq!(count(&admin, &format!("{MESSAGES}?channel={channel_id}")).await, 0);
        for path in [format!("{CHANNELS}{channel_id}/"), format!("{MESSAGES}{message_id}/"), format!("{MESSAGES}{message_id}/history/"), format!("{CHANNELS}{channel_id}/actions/")] {
            admin.get(&path).await.expect_refusal(404, "not_found");
        }
        for path in [format!("{CHANNELS}export/"), format!("{MESSAGES}export/"), format!("{MESSAGES}?expand=channel")] {
            let text = admin.get(&path).await.expect_status(200).text();
            assert!(!text.contains("Board") && !text.contains("confidential") && !text.contains(channel_id), "{path}: {text}");
        }
        let reply = json!({"body": "x", "channel": open["id"], "reply_to": message["id"]});
        admin.post(MESSAGES).json(&reply).await.expect_field("reply_to", "does_not_exist");
        owner.post(&act(CHANNELS, &channel, "invite")).json(&json!({"user": admin_id})).await.expect_status(200);
        assert_eq!(sees(admin.clone()).await, [2, 2, 3, 1]);
        admin.post(&act(CHANNELS, &channel, "leave")).await.expect_status(200);
        assert_eq!(sees(admin.clone()).await, [1, 1, 1, 0]);
        assert_eq!(count(&admin.without("x-company-id"), &format!("{MESSAGES}?search=confidential")).await, 0);
    }
}
