//! Nobody who may not see customers' numbers is sent one.

use loopd_testkit::{each_engine, json};

use crate::support::{World, eventually};

const CHATS: &str = "/api/v1/loopwave/chats/";
const CONTACTS: &str = "/api/v1/loopwave/contacts/";
const TICKETS: &str = "/api/v1/loopwave/tickets/";

each_engine! {
    async fn the_event_log_shows_numbers_to_administrators_only(world: &World) {
        let owner = world.owner().await;
        let agent = world.member(&owner, "ada", "developer").await;
        let line = world.line(&owner, "250788000001").await;
        line.receive(&owner, "250788123456", "Hi").await;
        let of = async |actor: &crate::support::Actor| {
            let log = actor.get("/api/v1/platform-events/").query("type", "loopwave.*").await.expect_status(200);
            log.text()
        };
        let (all, masked) = (of(&owner).await, of(&agent).await);
        assert!(all.contains("250788123456@s.whatsapp.net") && !all.contains("~veil"), "{all}");
        assert!(masked.contains("+250•••••••56") && !masked.contains("8123456") && !masked.contains("~veil"), "{masked}");
        owner.patch("/api/v1/loopwave/preferences/").json(&json!({"mask_numbers": false})).await.expect_status(200);
        agent.patch("/api/v1/loopwave/preferences/").json(&json!({"mask_numbers": false})).await.expect_refusal(403, "permission_denied");
    }

    async fn a_number_within_a_name_or_a_text_is_not_told_nor_found(world: &World) {
        let owner = world.owner().await;
        let agent = world.member(&owner, "ada", "staff").await;
        let line = world.line(&owner, "250788000001").await;
        let bob = json!({"from": "250788760001", "name": "Bob +250788760001", "text": "I am 0788 760 001, order 7600"});
        let chat = line.receive_as(&owner, bob).await["chat"].as_str().expect("a chat").to_owned();
        line.receive_as(&owner, json!({"from": "250788760002", "name": "２５０７８８７６０００２", "text": "wa.me/250788760002"})).await;
        line.receive_as(&owner, json!({"from": "250788760003", "name": "788-760-003 Eve", "text": "Hi"})).await;
        let words = json!({"chat": chat, "description": "Call 0788-760-001 about 20261"});
        let ticket = format!("{TICKETS}{}/", agent.make(TICKETS, words).await);
        agent.make(TICKETS, json!({"chat": chat, "subject": "Order 7600 of 2026-11-20"})).await;
        let contact = owner.get(&format!("{CHATS}{chat}/")).await.text_at("/contact");
        let contact = format!("{CONTACTS}{contact}/");

        let shown = agent.get(&format!("{CHATS}{chat}/")).await.expect_status(200);
        assert_eq!((shown.at("/name"), shown.at("/last_message")), (json!("Bob +•••••••"), json!("I am •••••••, order 7600")));
        assert_eq!(agent.get(&contact).await.text_at("/name"), "Bob +•••••••");
        let row = agent.get(&ticket).await.expect_status(200);
        assert_eq!(
            (row.at("/subject"), row.at("/customer_name"), row.at("/description")),
            (json!("Conversation with Bob"), json!("Bob +•••••••"), json!("Call ••••••• about 20261"))
        );
        let developer = world.member(&owner, "dev", "developer").await;
        for (path, reader) in [
            (CHATS.to_owned(), &agent),
            (format!("{CHATS}{chat}/messages/"), &agent),
            (CONTACTS.to_owned(), &agent),
            (format!("{CONTACTS}export/"), &agent),
            (TICKETS.to_owned(), &agent),
            ("/api/v1/platform-events/?limit=200".to_owned(), &developer),
        ] {
            let (all, seen) = (owner.get(&path).await.expect_status(200).text(), reader.get(&path).await.expect_status(200).text());
            assert!(all.contains("760"), "{path}: {all}");
            for told in ["8760001", "760 001", "760-001", "8760002", "７６０", "760-003"] {
                assert!(!seen.contains(told), "{path} tells {told}: {seen}");
            }
        }

        // What is not shown is not found by asking either, and everything else is.
        for (path, by_owner, by_agent) in [
            (format!("{CONTACTS}?search=7600"), 3, 0),
            (format!("{CONTACTS}?search=Bob"), 1, 1),
            (format!("{CONTACTS}?search=Eve"), 1, 1),
            (format!("{CONTACTS}?search=760-0"), 1, 0),
            (format!("{CONTACTS}?search=７６０"), 1, 0),
            (format!("{CONTACTS}?name__icontains=8876"), 1, 0),
            (format!("{CONTACTS}?name__gte=788-760-002&name__lte=788-760-004"), 1, 0),
            (format!("{CHATS}?text=Bob"), 1, 1),
            (format!("{CHATS}?text=760-0"), 3, 0),
            (format!("{CHATS}?text=７６０"), 1, 0),
            (format!("{TICKETS}?search=760-0"), 1, 0),
            (format!("{TICKETS}?search=7600"), 2, 1),
            (format!("{TICKETS}?customer_name__icontains=8876"), 2, 0),
        ] {
            for (actor, wanted) in [(&owner, by_owner), (&agent, by_agent)] {
                let found = actor.get(&path).await.expect_status(200).at("/results");
                assert_eq!(found.as_array().map(Vec::len), Some(wanted), "{path} of {}: {found}", actor.email);
            }
        }

        // Nor is what stands beside a name, or within the name of a file.
        let card = json!({"email": "250788760001@mail.rw", "company_name": "Shop 0788 760 001", "location": "KG 7 Ave, 0788760001"});
        owner.patch(&contact).json(&card).await.expect_status(200);
        let seen = agent.get(&contact).await.expect_status(200);
        assert_eq!(
            (seen.at("/email"), seen.at("/company_name"), seen.at("/location")),
            (json!("•••••••@mail.rw"), json!("Shop •••••••"), json!("KG 7 Ave, •••••••"))
        );
        assert!(!agent.get(&format!("{CONTACTS}export/")).await.expect_status(200).text().contains("760001"));
        for (asked, by_agent) in [("search=8760", 0), ("search=mail.rw", 1), ("company_name__icontains=760", 0), ("location__icontains=760", 0)] {
            assert_eq!(agent.get(&format!("{CONTACTS}?{asked}")).await.expect_status(200).at("/count"), by_agent, "{asked}");
        }
        let echo = json!({"email": seen.at("/email"), "company_name": seen.at("/company_name"), "location": "Kigali"});
        agent.patch(&contact).json(&echo).await.expect_status(200);
        let kept = owner.get(&contact).await.expect_status(200);
        assert_eq!(
            (kept.at("/email"), kept.at("/company_name"), kept.at("/location")),
            (card["email"].clone(), card["company_name"].clone(), json!("Kigali"))
        );

        // Who sends back what they were shown changes nothing.
        agent.patch(&contact).json(&json!({"name": "Bob +•••••••", "notes": "Likes tea"})).await.expect_status(200);
        assert_eq!(owner.get(&contact).await.text_at("/name"), "Bob +250788760001");
        let same = json!({"description": row.at("/description"), "customer_name": row.at("/customer_name"), "priority": "high"});
        agent.patch(&ticket).json(&same).await.expect_status(200);
        let after = owner.get(&ticket).await;
        assert_eq!(
            (after.at("/description"), after.at("/customer_name"), after.at("/priority")),
            (json!("Call 0788-760-001 about 20261"), json!("Bob +250788760001"), json!("high"))
        );
    }

    async fn in_a_group_nobodys_number_is_told(world: &World) {
        let owner = world.owner().await;
        let (agent, developer) = (world.member(&owner, "ada", "staff").await, world.member(&owner, "dev", "developer").await);
        let line = world.line(&owner, "250788000001").await;
        let said = json!({"from": "120363777@g.us", "author": "250788909090", "text": "Ring me on 0788 909 090, order 7600"});
        let chat = line.receive_as(&owner, said).await["chat"].as_str().expect("a chat").to_owned();
        // On SQLite the index of words is filled behind the messages.
        eventually("the message is found", async || {
            owner.get("/api/v1/loopwave/search/?q=7600").await.expect_status(200).at("/results") != json!([])
        })
        .await;
        for (path, reader) in [
            (CHATS.to_owned(), &agent),
            (format!("{CHATS}{chat}/messages/"), &agent),
            ("/api/v1/loopwave/search/?q=7600".to_owned(), &agent),
            ("/api/v1/platform-events/?limit=200".to_owned(), &developer),
        ] {
            let (all, seen) = (owner.get(&path).await.expect_status(200).text(), reader.get(&path).await.expect_status(200).text());
            assert!(all.contains("909"), "{path}: {all}");
            assert!(seen.contains("•••••••, order 7600") && !seen.contains("909"), "{path}: {seen}");
        }
        assert_eq!(agent.get("/api/v1/loopwave/search/?q=909").await.expect_status(200).at("/results"), json!([]));
    }
}
