//! Who did what in Loopwave.

use loopd_testkit::{each_engine, json};

use crate::support::{Actor, World};

const ACTIVITY: &str = "/api/v1/loopwave/activity/";

/// Resource and action of what the log shows, newest first.
async fn shown(actor: &Actor, query: &[(&str, &str)]) -> Vec<String> {
    let request = query.iter().fold(actor.get(ACTIVITY), |request, (name, value)| request.query(name, value));
    let answer = request.await.expect_status(200).at("/results");
    let word = |row: &serde_json::Value, name: &str| row[name].as_str().expect("a word").to_owned();
    answer
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| format!("{} {}", word(row, "resource"), word(row, "action")))
        .collect()
}

each_engine! {
    async fn acts_are_shown_newest_first_filtered_and_in_pages(world: &World) {
        let (owner, stranger) = world.strangers().await;
        let agent = world.member(&owner, "ada", "staff").await;
        let line = world.line(&owner, "250788000001").await;
        let chat = line.receive(&owner, "250788123456", "Hi").await["chat"].as_str().expect("a chat").to_owned();
        let item = format!("/api/v1/loopwave/chats/{chat}/");
        agent.post(&format!("{item}assign/")).json(&json!({"assignee": "me"})).await.expect_status(200);
        agent.post(&format!("{item}messages/")).json(&json!({"text": "Yes"})).await.expect_status(202);
        owner.patch("/api/v1/loopwave/preferences/").json(&json!({"mask_numbers": false})).await.expect_status(200);
        // Not of Loopwave.
        owner.patch(&format!("/api/v1/companies/{}/", owner.code)).json(&json!({"name": "Kigali Moto"})).await;
        assert_eq!(shown(&owner, &[("limit", "3")]).await, ["preferences update", "chats reply", "chats update"]);
        assert_eq!(shown(&owner, &[("resource", "chats"), ("user", &agent.user)]).await, ["chats reply", "chats update"]);
        assert_eq!(shown(&owner, &[("action", "reply"), ("target", &chat)]).await, ["chats reply"]);
        let at = world.kernel.now().plus(1_000_000).to_string();
        assert_eq!(shown(&owner, &[("at__gte", &at)]).await, Vec::<String>::new());
        let all = shown(&owner, &[]).await;
        assert!(all.iter().all(|act| !act.contains("companies")), "{all:?}");
        let (mut pages, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = owner.get(ACTIVITY).query("limit", "2").query("cursor", &cursor).await.expect_status(200);
            pages.extend(page.at("/results").as_array().expect("rows").iter().map(|row| row["id"].clone()));
            match page.at("/next_cursor").as_str() {
                Some(next) => next.clone_into(&mut cursor),
                None => break,
            }
        }
        assert_eq!(pages.len(), all.len());
        let csv = owner.get(&format!("{ACTIVITY}export/")).query("resource", "chats").await.expect_status(200).text();
        let lines: Vec<&str> = csv.lines().collect();
        assert_eq!(lines.len(), 3, "{csv}");
        assert!(lines[0].starts_with("id,company,at,action,") && lines[1].contains(",reply,"), "{csv}");
        assert!(!csv.contains("250788123456"), "{csv}");
        assert_eq!(shown(&stranger, &[]).await, Vec::<String>::new());
        agent.get(ACTIVITY).await.expect_refusal(403, "permission_denied");
        agent.get(&format!("{ACTIVITY}export/")).await.expect_refusal(403, "permission_denied");
        owner.get(ACTIVITY).query("cursor", "x").await.expect_refusal(400, "bad_request");
        owner.get(ACTIVITY).query("colour", "red").await.expect_refusal(400, "validation_error");
    }
}
