//! Tickets: with keys, by agents and administrators, out of a chat.

use std::collections::BTreeSet;

use loopd_testkit::{each_engine, json};

use crate::support::World;

const CUSTOMER: &str = "250788123456";
const TICKETS: &str = "/api/v1/loopwave/tickets/";

each_engine! {
    async fn a_program_opens_tickets_and_lists_them(world: &World) {
        let owner = world.owner().await;
        let key = world.wave_key(&owner, &["tickets:read", "tickets:write"]).await;
        let body = json!({"subject": "No parcel", "customerName": "Aline", "customerPhone": "+250 788 123 456"});
        let made = key.post("/api/v1/tickets").json(&body).await.expect_status(201).json();
        assert_eq!((&made["ref"], &made["priority"], &made["status"]), (&json!("TKT-2041"), &json!("med"), &json!("open")));
        assert_eq!((&made["customerPhone"], &made["tag"]), (&json!("+250788123456"), &json!("api")));
        for number in 0..2 {
            key.post("/api/v1/tickets").json(&json!({"subject": format!("S{number}"), "priority": "urgent"})).await.expect_status(201);
        }
        let page = key.get("/api/v1/tickets").query("priority", "urgent").query("limit", "1").await.expect_status(200).json();
        assert_eq!(page["data"][0]["ref"], "TKT-2043");
        let next = page["nextCursor"].as_str().expect("there is more");
        let rest = key.get("/api/v1/tickets").query("priority", "urgent").query("cursor", next).await.json();
        assert_eq!((&rest["data"][0]["ref"], &rest["nextCursor"]), (&json!("TKT-2042"), &json!(null)));
        for bad in [json!({}), json!({"subject": " "}), json!({"subject": "S", "priority": "high!"}), json!({"subject": "S", "customerPhone": "12"}),
            json!({"subject": "S", "assigneeId": "0197aaaa-0000-7000-8000-000000000000"})] {
            let refused = key.post("/api/v1/tickets").json(&bad).await;
            assert_eq!((refused.status, refused.text_at("/error")), (400, "invalid_input".to_owned()), "{bad}");
        }
        let reader = world.wave_key(&owner, &["tickets:read"]).await;
        let refused = reader.post("/api/v1/tickets").json(&body).await;
        assert_eq!((refused.status, refused.text_at("/error")), (403, "insufficient_scope".to_owned()));
    }

    async fn what_is_resolved_or_closed_is_in_the_activity_log_and_agents_delete_nothing(world: &World) {
        let owner = world.owner().await;
        let agent = world.member(&owner, "ada", "staff").await;
        let id = agent.make(TICKETS, json!({"subject": "Broken", "assignee": agent.user})).await;
        let item = format!("{TICKETS}{id}/");
        for (status, over) in [("in_progress", false), ("resolved", true), ("open", false), ("closed", true)] {
            let row = agent.patch(&item).json(&json!({"status": status})).await.expect_status(200).json();
            assert_eq!((&row["status"], &row["is_over"], row["closed_at"].is_null()), (&json!(status), &json!(over), status != "closed"));
        }
        let log = owner.get("/api/v1/audit-logs/").query("resource", "tickets").query("ordering", "at").await.expect_status(200).json();
        let acts: BTreeSet<&str> = log["results"].as_array().expect("a list").iter().filter_map(|row| row["action"].as_str()).collect();
        assert_eq!(acts, BTreeSet::from(["close", "create", "resolve", "update"]));
        agent.post(&format!("{item}comments/")).json(&json!({"body": "Called twice."})).await.expect_status(201);
        let said = agent.get(&format!("{item}comments/")).await.expect_status(200).json();
        assert_eq!((&said["results"][0]["body"], &said["results"][0]["author"]), (&json!("Called twice."), &json!(agent.user)));
        assert_eq!(agent.get(&item).await.json()["comment_count"], 1);
        agent.delete(&item).await.expect_refusal(403, "permission_denied");
        owner.delete(&item).await.expect_status(204);
        agent.get(&item).await.expect_refusal(404, "not_found");
        let again = agent.make(TICKETS, json!({"subject": "Another"})).await;
        assert_eq!(agent.get(&format!("{TICKETS}{again}/")).await.text_at("/ref"), "TKT-2042");
    }

    async fn a_chat_becomes_a_ticket_and_who_may_not_see_the_number_does_not(world: &World) {
        let (owner, stranger) = world.strangers().await;
        let agent = world.member(&owner, "ada", "staff").await;
        let line = world.line(&owner, "250788000001").await;
        let chat = line.receive(&owner, CUSTOMER, "Hi").await["chat"].as_str().expect("a chat").to_owned();
        stranger.post(TICKETS).json(&json!({"chat": chat})).await.expect_refusal(400, "validation_error");
        let made = agent.post(TICKETS).json(&json!({"chat": chat})).await.expect_status(201);
        let row = made.json();
        assert_eq!((&row["tag"], &row["customer_phone"], &row["chat"]), (&json!("chat"), &json!("+250•••••••56"), &json!(chat)));
        let id = made.text_at("/id");
        let item = format!("{TICKETS}{id}/");
        // What was shown comes back and changes nothing.
        agent.patch(&item).json(&json!({"customer_phone": row["customer_phone"], "customer_name": row["customer_name"]})).await.expect_status(200);
        for text in [agent.get(&item).await.text(), agent.get(TICKETS).await.text(), made.text()] {
            assert!(!text.contains("8812345") && text.contains("+250•••••••56"), "{text}");
        }
        assert_eq!(agent.get(TICKETS).query("search", "788123456").await.json()["count"], 0);
        assert_eq!(agent.get(TICKETS).query("customer_phone__gte", "+250788123456").query("customer_phone__lte", "+250788123456").await.json()["count"], 0);
        assert_eq!(owner.get(TICKETS).query("search", "788123456").await.json()["count"], 1);
        assert_eq!(owner.get(&item).await.text_at("/customer_phone"), "+250788123456");
        stranger.get(&item).await.expect_refusal(404, "not_found");
        let log = agent.get("/api/v1/platform-events/").query("type", "loopwave.tickets.*").await.expect_status(200).text();
        assert!(!log.contains("8812345"), "{log}");
        let all = owner.get("/api/v1/audit-logs/").query("resource", "tickets").await.text();
        assert!(!all.contains("8812345"), "{all}");
    }
}
