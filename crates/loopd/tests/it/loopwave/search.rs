//! Full-text search: what is found, in which order, by whom.

use loopd_store::{View, params};
use loopd_testkit::{each_engine, json};
use loopd_types::{SECOND_US, Timestamp, Uuid};

use crate::support::{Actor, World, eventually};

const SEARCH: &str = "/api/v1/loopwave/search/";
const CUSTOMER: &str = "250788123456";

/// The texts that are found, in their order.
async fn found(actor: &Actor, query: &[(&str, &str)]) -> Vec<String> {
    let request = query.iter().fold(actor.get(SEARCH), |request, (name, value)| request.query(name, value));
    let answer = request.await.expect_status(200).at("/results");
    let rows = answer.as_array().expect("rows").iter();
    rows.map(|row| row["message"]["text"].as_str().expect("a text").to_owned()).collect()
}

/// Waits until everything that was written is in the index.
async fn indexed(actor: &Actor, last: &str) {
    eventually("the last message is found", async || !found(actor, &[("q", last)]).await.is_empty()).await;
}

each_engine! {
    async fn messages_are_found_by_their_words_newest_first(world: &World) {
        let (owner, stranger) = world.strangers().await;
        let agent = world.member(&owner, "ada", "staff").await;
        let (line, other) = (world.line(&owner, "250788000001").await, world.line(&owner, "250788000002").await);
        let mut chats = Vec::new();
        let texts = ["Is the MOTO here?", "Two motos, été comme hiver", "A moto for Kigali", "Delivery: kigali", "Nothing"];
        for (place, text) in texts.iter().enumerate() {
            world.clock.advance(SECOND_US);
            let line = if place == 2 { &other } else { &line };
            chats.push(line.receive(&owner, &format!("25078812345{place}"), text).await["chat"].as_str().expect("a chat").to_owned());
        }
        world.clock.advance(SECOND_US);
        let thread = format!("/api/v1/loopwave/chats/{}/messages/", chats[0]);
        agent.post(&thread).json(&json!({"text": "Your moto is zebra-striped"})).await.expect_status(202);
        indexed(&owner, "zebra").await;
        type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);
        let (reply, first, second, third, fourth) = ("Your moto is zebra-striped", texts[0], texts[1], texts[2], texts[3]);
        let at = Timestamp(world.kernel.now().0 - 3 * SECOND_US).to_string();
        let cases: [Case<'_>; 14] = [
            (&[("q", "moto")], &[reply, third, first]),
            (&[("q", "Moto*")], &[reply, third, second, first]),
            (&[("q", "KIGALI moto")], &[third]),
            (&[("q", "kigali")], &[fourth, third]),
            (&[("q", "ÉTÉ")], &[second]),
            (&[("q", "ete")], &[]),
            (&[("q", "moto"), ("direction", "out")], &[reply]),
            (&[("q", "moto"), ("direction", "in")], &[third, first]),
            (&[("q", "moto"), ("agent", &agent.user)], &[reply]),
            (&[("q", "moto"), ("agent", &owner.user)], &[]),
            (&[("q", "moto"), ("chat", &chats[0])], &[reply, first]),
            (&[("q", "moto"), ("number", &other.number)], &[third]),
            (&[("q", "moto"), ("from", &at)], &[reply, third]),
            (&[("q", "moto"), ("to", &at)], &[first]),
        ];
        for (query, wanted) in cases {
            assert_eq!(found(&owner, query).await, wanted.to_vec(), "{query:?}");
        }
        assert_eq!(found(&agent, &[("q", "moto"), ("agent", "me")]).await, [reply]);
        assert_eq!(found(&stranger, &[("q", "moto")]).await, Vec::<String>::new(), "another company's");
        let hit = agent.get(SEARCH).query("q", "hiver").await.expect_status(200).at("/results/0");
        assert_eq!((&hit["snippet"], &hit["highlights"]), (&json!(second), &json!([{"start": 21, "length": 5}])));
        assert_eq!((&hit["chat"]["id"], &hit["chat"]["phone"], &hit["chat"]["jid"]), (&json!(chats[1]), &json!("+250•••••••51"), &json!(null)));
        for (name, value) in [("q", ""), ("q", "…!"), ("agent", "ada"), ("direction", "up"), ("from", "now"), ("chat", "x")] {
            let request = agent.get(SEARCH).query("q", "moto").query(name, value);
            request.await.expect_refusal(400, "validation_error");
        }
    }

    async fn pages_follow_each_other_without_a_gap(world: &World) {
        let owner = world.owner().await;
        let line = world.line(&owner, "250788000001").await;
        let wanted: Vec<String> = (0..7).map(|place| format!("parcel {place}")).collect();
        for text in &wanted {
            // The same second has several of them.
            world.clock.advance(SECOND_US / 3);
            line.receive(&owner, CUSTOMER, text).await;
        }
        indexed(&owner, "6").await;
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = owner.get(SEARCH).query("q", "parcel").query("limit", "3").query("cursor", &cursor).await.expect_status(200);
            let rows = page.at("/results");
            seen.extend(rows.as_array().expect("rows").iter().map(|row| row["snippet"].as_str().expect("text").to_owned()));
            match page.at("/next_cursor").as_str() {
                Some(next) => next.clone_into(&mut cursor),
                None => break,
            }
        }
        seen.reverse();
        assert_eq!(seen, wanted);
        owner.get(SEARCH).query("q", "parcel").query("cursor", "x").await.expect_refusal(400, "bad_request");
    }

    async fn nobody_finds_a_person_by_a_number_that_they_may_not_see(world: &World) {
        let owner = world.owner().await;
        let agent = world.member(&owner, "ada", "staff").await;
        let line = world.line(&owner, "250788000001").await;
        line.receive(&owner, CUSTOMER, "Call me on 0788123456 about order 20261").await;
        indexed(&owner, "20261").await;
        for question in ["0788123456", "0788123456 order", "07881*", "order 0788123456"] {
            assert_eq!(found(&owner, &[("q", question)]).await.len(), 1, "{question}");
            assert_eq!(found(&agent, &[("q", question)]).await, Vec::<String>::new(), "{question}");
        }
        assert_eq!(found(&agent, &[("q", "order 20261")]).await, ["Call me on ••••••• about order 20261"]);
        // Whether digits that somebody wrote are the customer's is not told by leaving them out.
        line.receive(&owner, CUSTOMER, "order 8812 today").await;
        line.receive(&owner, CUSTOMER, "order 8899 today").await;
        indexed(&owner, "8899").await;
        for question in ["8812", "8899"] {
            assert_eq!(found(&agent, &[("q", question)]).await.len(), 1, "{question}");
        }
        owner.patch("/api/v1/loopwave/preferences/").json(&json!({"mask_numbers": false})).await.expect_status(200);
        assert_eq!(found(&agent, &[("q", "0788123456")]).await.len(), 1);
    }

    async fn what_was_changed_or_deleted_is_not_found_by_what_it_said(world: &World) {
        let owner = world.owner().await;
        let line = world.line(&owner, "250788000001").await;
        let first = line.receive(&owner, CUSTOMER, "My name is Zebulon").await["message"].as_str().expect("an id").to_owned();
        let second = line.receive(&owner, CUSTOMER, "Zebulon again").await["message"].as_str().expect("an id").to_owned();
        indexed(&owner, "again").await;
        let company = loopd_types::CompanyCode::parse(&owner.code).expect("a code").0;
        let (first, second) = (Uuid::parse_str(&first).expect("an id"), Uuid::parse_str(&second).expect("an id"));
        let done = world.kernel.db.write(View::Company(company), move |tx| {
            tx.execute("UPDATE wave_messages SET text = 'My name is gone' WHERE company_id = $1 AND id = $2", &params![company, first])?;
            tx.execute("DELETE FROM wave_messages WHERE company_id = $1 AND id = $2", &params![company, second])?;
            Ok(())
        });
        done.await.expect("written");
        // At once, however far the index is.
        assert_eq!(found(&owner, &[("q", "zebulon")]).await, Vec::<String>::new());
        eventually("it is found by its new words", async || found(&owner, &[("q", "gone")]).await.len() == 1).await;
        assert_eq!(found(&owner, &[("q", "zebulon")]).await, Vec::<String>::new());
        line.receive(&owner, CUSTOMER, "Zebulon is new").await;
        indexed(&owner, "new").await;
        assert_eq!(found(&owner, &[("q", "zebulon")]).await, ["Zebulon is new"]);
    }
}
