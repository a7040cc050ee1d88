//! Broadcasts that have not begun: changed, and deleted; those that have stay as they are.

use loopd_testkit::{Answer, each_engine, json};
use loopd_types::{Clock as _, HOUR_US, MINUTE_US, SECOND_US};
use serde_json::Value;

use super::broadcasts::{BASE, pace, row, until};
use super::cloud_broadcasts::{news, says, synced};
use super::graph::Shop;
use crate::support::{Actor, World, eventually};

const ANA: &str = "250788120001";
const BEN: &str = "250788120002";

async fn draft(owner: &Actor, message: &str, chats: &[&str]) -> String {
    let people: Vec<Value> = chats.iter().map(|chat| json!({"chat_id": chat})).collect();
    let body = json!({"name": "News", "message": message, "recipients": people});
    owner.post(BASE).json(&body).await.expect_status(201).text_at("/id")
}

async fn patch(owner: &Actor, id: &str, body: Value) -> Answer {
    owner.patch(&format!("{BASE}{id}/")).json(&body).await
}

async fn chats(owner: &Actor, id: &str) -> Vec<String> {
    let page = owner.get(&format!("{BASE}{id}/recipients/")).await.expect_status(200).json();
    let rows = page["results"].as_array().expect("a list").iter();
    rows.map(|it| it["chat_id"].as_str().expect("a jid").to_owned()).collect()
}

/// What the log says of a broadcast, newest first.
async fn logged(owner: &Actor, id: &str) -> Vec<Value> {
    let log = owner.get("/api/v1/audit-logs/").query("target", id).await.expect_status(200).json();
    log["results"].as_array().expect("rows").clone()
}

async fn told(owner: &Actor, kind: &str) -> usize {
    let kind = format!("loopwave.broadcasts.{kind}");
    let log = owner.get("/api/v1/platform-events/").query("type", &kind).await.expect_status(200).json();
    log["results"].as_array().expect("events").len()
}

each_engine! {
    async fn a_draft_is_changed_and_the_log_says_how(world: &World) {
        let owner = world.owner().await;
        let line = world.line(&owner, "250788000001").await;
        let id = draft(&owner, "Hi", &[ANA]).await;
        let changed = patch(&owner, &id, json!({"name": "Late news", "message": "Muraho {{name|friend}}!"})).await.expect_status(200);
        assert_eq!((changed.text_at("/name"), changed.text_at("/message")), ("Late news".to_owned(), "Muraho {{name|friend}}!".to_owned()));
        assert_eq!((changed.text_at("/status"), changed.at("/total")), ("draft".to_owned(), json!(1)));
        let log = logged(&owner, &id).await;
        assert_eq!(log[0]["action"], "update");
        assert_eq!(log[0]["changes"], json!({"name": ["News", "Late news"], "message": ["Hi", "Muraho {{name|friend}}!"]}));
        assert_eq!(told(&owner, "updated").await, 1);
        // Whom it goes to, each once; the number that it goes out by.
        let others = json!([{"chat_id": BEN}, {"chat_id": "250788120003", "name": "Cyiza"}, {"chat_id": BEN}]);
        let changed = patch(&owner, &id, json!({"recipients": others, "number": line.number})).await.expect_status(200);
        assert_eq!((changed.at("/total"), changed.at("/number")), (json!(2), json!(line.id)));
        assert_eq!(chats(&owner, &id).await, ["250788120002@s.whatsapp.net", "250788120003@s.whatsapp.net"]);
        assert_eq!(logged(&owner, &id).await[0]["changes"], json!({"recipients": [1, 2], "number": [null, line.id]}));
        assert_eq!(patch(&owner, &id, json!({"number": ""})).await.expect_status(200).at("/number"), json!(null));
        // What changes nothing is no change.
        let version = row(&owner, &id).await["version"].clone();
        for same in [json!({}), json!({"name": "Late news"}), json!({"scheduled_at": null})] {
            assert_eq!(patch(&owner, &id, same).await.expect_status(200).at("/version"), version);
        }
        // An audience, as it is now.
        line.receive(&owner, "250788777777", "Hi").await;
        let changed = patch(&owner, &id, json!({"audience": {"everybody": true}})).await.expect_status(200);
        assert_eq!((changed.at("/total"), chats(&owner, &id).await), (json!(1), vec!["250788777777@s.whatsapp.net".to_owned()]));
        pace(&owner, json!({"gap_min_seconds": 0, "gap_max_seconds": 0})).await;
        owner.post(&format!("{BASE}{id}/start/")).await.expect_status(200);
        let done = until(world, &owner, &id, SECOND_US, "it is done", |it| it["status"] == "completed").await;
        assert_eq!((&done["sent_count"], &done["total"]), (&json!(1), &json!(1)));
        let held = line.held(&owner, "250788777777").await;
        assert_eq!(held.len(), 1, "{held:?}");
        assert!(held[0].starts_with("Muraho"), "{held:?}");
    }

    async fn a_change_is_held_to_what_a_new_one_is(world: &World) {
        let owner = world.owner().await;
        let id = draft(&owner, "Hi", &[ANA]).await;
        let before = row(&owner, &id).await;
        for (body, field, code) in [
            (json!({"message": "Hi {{nme}}"}), "message", "unknown_word"),
            (json!({"message": ""}), "message", "blank"),
            (json!({"name": ""}), "name", "blank"),
            (json!({"recipients": []}), "recipients", "required"),
            (json!({"recipients": [{"chat_id": "moses"}]}), "recipients", "invalid"),
            (json!({"audience": {"tags": ["nobody"]}}), "audience", "empty"),
            (json!({"audience": {}}), "audience", "required"),
            (json!({"audience": {"everybody": true}, "recipients": [{"chat_id": BEN}]}), "audience", "invalid"),
            (json!({"message": "Hi", "template": {"name": "news", "language": "en"}}), "template", "invalid"),
            (json!({"number": "nothing-like-it"}), "number", "does_not_exist"),
            (json!({"scheduled_at": "2020-01-01T00:00:00Z"}), "scheduled_at", "invalid"),
            (json!({"status": "completed"}), "status", "unknown_field"),
        ] {
            patch(&owner, &id, body).await.expect_field(field, code);
        }
        patch(&owner, &id, json!({"template": {"name": "news", "language": "en"}})).await.expect_refusal(409, "no_ready_session");
        assert_eq!(row(&owner, &id).await, before, "what was refused changed nothing");
        let agent = world.member(&owner, "ada", "staff").await;
        patch(&agent, &id, json!({"name": "N"})).await.expect_refusal(403, "permission_denied");
        agent.delete(&format!("{BASE}{id}/")).await.expect_refusal(403, "permission_denied");
    }

    async fn of_another_company_there_is_none(world: &World) {
        let (owner, stranger) = world.strangers().await;
        let id = draft(&owner, "Hi", &[ANA]).await;
        patch(&stranger, &id, json!({"name": "Mine"})).await.expect_status(404);
        stranger.delete(&format!("{BASE}{id}/")).await.expect_status(404);
        assert_eq!((row(&owner, &id).await["name"].clone(), chats(&owner, &id).await.len()), (json!("News"), 1));
    }

    async fn the_moment_is_set_moved_and_taken_away(world: &World) {
        let owner = world.owner().await;
        let line = world.line(&owner, "250788000001").await;
        let id = draft(&owner, "Hi", &[ANA]).await;
        let at = |minutes: i64| world.clock.now().plus(minutes * MINUTE_US).to_string();
        let queued = patch(&owner, &id, json!({"scheduled_at": at(60)})).await.expect_status(200);
        assert_eq!((queued.text_at("/status"), queued.at("/next_at")), ("queued".to_owned(), queued.at("/scheduled_at")));
        // While it waits, it is changed as a draft is, and cannot be deleted from under the worker.
        let moved = patch(&owner, &id, json!({"scheduled_at": at(120), "message": "Later"})).await.expect_status(200);
        assert_eq!((moved.text_at("/status"), moved.at("/next_at")), ("queued".to_owned(), moved.at("/scheduled_at")));
        assert_ne!(moved.at("/next_at"), queued.at("/next_at"));
        let refused = owner.delete(&format!("{BASE}{id}/")).await.expect_refusal(409, "invalid_transition");
        assert!(refused.text().contains("\"cancel\""), "{}", refused.text());
        let drafted = patch(&owner, &id, json!({"scheduled_at": null})).await.expect_status(200);
        assert_eq!((drafted.text_at("/status"), drafted.at("/next_at"), drafted.at("/scheduled_at")), ("draft".to_owned(), json!(null), json!(null)));
        world.clock.advance(3 * HOUR_US);
        let owner = world.sign_in(&owner.email, &owner.code).await;
        patch(&owner, &id, json!({"scheduled_at": at(1)})).await.expect_status(200);
        pace(&owner, json!({"gap_min_seconds": 0, "gap_max_seconds": 0})).await;
        until(world, &owner, &id, 10 * SECOND_US, "it is done", |it| it["status"] == "completed").await;
        assert_eq!(line.held(&owner, ANA).await, ["Later"]);
    }

    async fn what_has_begun_is_neither_changed_nor_deleted(world: &World) {
        let owner = world.owner().await;
        world.line(&owner, "250788000001").await;
        pace(&owner, json!({"gap_min_seconds": 3_000, "gap_max_seconds": 3_000})).await;
        let id = draft(&owner, "Hi", &[ANA, BEN]).await;
        let item = format!("{BASE}{id}/");
        owner.post(&format!("{item}start/")).await.expect_status(200);
        until(world, &owner, &id, 0, "the first is sent", |it| it["sent_count"] == 1).await;
        for act in [None, Some("pause"), Some("cancel")] {
            if let Some(act) = act {
                owner.post(&format!("{item}{act}/")).await.expect_status(200);
            }
            let refused = patch(&owner, &id, json!({"message": "No"})).await.expect_refusal(409, "already_begun");
            assert!(refused.text().contains("\"allowed\"") && !refused.text().contains("\"update\""), "{}", refused.text());
            owner.delete(&item).await.expect_refusal(409, "already_begun");
        }
        assert_eq!((row(&owner, &id).await["message"].clone(), chats(&owner, &id).await.len()), (json!("Hi"), 2));
    }

    async fn a_draft_and_what_was_cancelled_before_it_began_are_deleted(world: &World) {
        let owner = world.owner().await;
        let deleted = async |id: &str| {
            let item = format!("{BASE}{id}/");
            owner.delete(&item).await.expect_status(204);
            owner.get(&item).await.expect_status(404);
            owner.delete(&item).await.expect_status(404);
            assert_eq!((&logged(&owner, id).await[0]["action"], &logged(&owner, id).await[0]["label"]), (&json!("delete"), &json!("News")));
        };
        deleted(&draft(&owner, "Hi", &[ANA, BEN]).await).await;
        let id = draft(&owner, "Hi", &[ANA]).await;
        let later = world.clock.now().plus(HOUR_US).to_string();
        patch(&owner, &id, json!({"scheduled_at": later})).await.expect_status(200);
        owner.post(&format!("{BASE}{id}/cancel/")).await.expect_status(200);
        patch(&owner, &id, json!({"name": "N"})).await.expect_refusal(409, "invalid_transition");
        deleted(&id).await;
        assert_eq!((world.rows("wave_broadcasts").await, world.rows("wave_broadcast_recipients").await), (0, 0));
        assert_eq!(told(&owner, "deleted").await, 2);
    }

    async fn a_change_at_the_moment_of_the_start_is_made_whole_or_not_at_all(world: &World) {
        let owner = world.owner().await;
        let line = world.line(&owner, "250788000001").await;
        pace(&owner, json!({"gap_min_seconds": 0, "gap_max_seconds": 0, "warm_up_start": 100})).await;
        for turn in 0..6_u64 {
            let (one, other) = (format!("25078813100{turn}"), format!("25078814100{turn}"));
            let id = draft(&owner, "old", &[&one]).await;
            owner.post(&format!("{BASE}{id}/start/")).await.expect_status(200);
            // The worker looks twice a second: some of these come before its turn and some after.
            let mut changed = 409;
            for place in 0..40 {
                let answer = patch(&owner, &id, json!({"message": format!("new {place}"), "recipients": [{"chat_id": other}]})).await;
                if answer.status == 409 {
                    answer.expect_refusal(409, "already_begun");
                    break;
                }
                changed = answer.expect_status(200).status;
                tokio::time::sleep(std::time::Duration::from_millis(17 + turn)).await;
            }
            eventually("it is done", async || row(&owner, &id).await["status"] == "completed").await;
            let broadcast = row(&owner, &id).await;
            let (old, new) = (line.held(&owner, &one).await, line.held(&owner, &other).await);
            if changed == 200 {
                assert_eq!((old, new), (Vec::<String>::new(), vec![broadcast["message"].as_str().expect("words").to_owned()]));
            } else {
                assert_eq!((old, new), (vec!["old".to_owned()], Vec::new()));
            }
        }
    }

    async fn words_and_a_template_take_each_others_place(shop: &Shop) {
        let owner = shop.owner().await;
        let line = shop.cloud(&owner).await;
        shop.graph.put_template(news("APPROVED"));
        synced(&owner, &line).await;
        let id = draft(&owner, "Hi", &[ANA]).await;
        let changed = patch(&owner, &id, json!({"template": says("{{name|friend}}", "us")})).await.expect_status(200);
        assert_eq!(changed.text_at("/message"), "Dear {{name|friend}} of us, the new helmets are here.");
        assert_eq!((changed.at("/number"), changed.at("/outside_window_count")), (json!(line.id), json!(null)));
        patch(&owner, &id, json!({"template": says("{{nam}}", "us")})).await.expect_field("template", "unknown_word");
        patch(&owner, &id, json!({"name": "Helmets"})).await.expect_status(200);
        let changed = patch(&owner, &id, json!({"message": "Hi again"})).await.expect_status(200);
        assert_eq!((changed.at("/template"), changed.at("/outside_window_count")), (json!(null), json!(1)));
    }
}
