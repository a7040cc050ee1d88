//! Advice from the offline advisor: true figures from the caller's own rows, and nothing else.

use loopd_store::params;
use loopd_testkit::{Client, each_engine, json};
use loopd_types::{DAY_US, HOUR_US};
use serde_json::Value;

use crate::support::{START, World, register};

const ADVICE: &str = "/api/v1/ai/business-advice/";

async fn ask(client: &Client, prompt: &str) -> Value {
    client.post(ADVICE).json(&json!({"prompt": prompt})).await.expect_status(200).json()
}

async fn invoice(client: &Client, body: Value, finalize: bool) -> Value {
    let made = client.post("/api/v1/payments/invoices/").json(&body).await.expect_status(201).json();
    if !finalize {
        return made;
    }
    let at = format!("/api/v1/payments/invoices/{}/finalize/", made["id"].as_str().unwrap());
    client.post(&at).await.expect_status(200).json()
}

/// A week of business: one sale last week, two this week, a draft.
async fn trade(world: &World) {
    let owner = &world.owner;
    world.clock.set(START.plus(-7 * DAY_US - HOUR_US));
    invoice(owner, json!({"title": "Old", "amount": 30_000, "due_date": "2026-06-18"}), true).await;
    world.clock.set(START);
    let lines = json!([
        {"description": "Tea", "qty": "3", "unit_price": 5_000},
        {"description": "Cup", "qty": "1", "unit_price": 20_000},
    ]);
    invoice(owner, json!({"title": "New", "lines": lines}), true).await;
    invoice(owner, json!({"title": "More", "lines": [{"description": "Tea", "qty": "2", "unit_price": 5_000}]}), true)
        .await;
    invoice(owner, json!({"title": "Draft", "data": {"amount": 25_000, "currency": "RWF"}}), false).await;
}

each_engine! {
    async fn the_portals_sample_is_answered_on_an_empty_company(world: &World) {
        let answer = ask(&world.owner, "Summarize our sales this week").await;
        for key in ["id", "prompt", "advice", "data_used", "model", "usage", "created_at"] {
            assert!(answer.get(key).is_some(), "no {key} in {answer:#}");
        }
        assert_eq!((&answer["model"], &answer["prompt"]), (&json!("offline"), &json!("Summarize our sales this week")));
        let words = answer["advice"].as_str().unwrap();
        assert!(words.contains("none") && words.contains("Make an invoice"), "{words}");
        assert!(answer["usage"]["input"].as_i64().unwrap() > 0 && answer["usage"]["output"].as_i64().unwrap() > 0);
        world.owner.post(ADVICE).json(&json!({})).await.expect_field("prompt", "required");
        world.owner.post(ADVICE).json(&json!({"prompt": " "})).await.expect_field("prompt", "blank");
        world.stranger().post(ADVICE).json(&json!({"prompt": "x"})).await.expect_refusal(401, "not_authenticated");
    }

    async fn this_weeks_sales_stand_against_last_weeks(world: &World) {
        trade(world).await;
        let answer = ask(&world.owner, "Summarize our sales this week").await;
        let words = answer["advice"].as_str().unwrap();
        for part in ["45,000 RWF from 2 invoices", "all of that period: 30,000 RWF from 1 invoice", "50 % more", "drafts of 25,000 RWF from 1 invoice", "2026-06-22 to 2026-06-28"] {
            assert!(words.contains(part), "no {part:?} in {words}");
        }
        let used = &answer["data_used"][0];
        assert_eq!((&used["resource"], &used["count"], used["ids"].as_array().unwrap().len()), (&json!("payments/invoices"), &json!(2), 2));
        assert_eq!((&used["period"]["name"], &used["period"]["from"]), (&json!("this_week"), &json!("2026-06-21T22:00:00.000000Z")));
        assert_eq!(ask(&world.owner, "Summarize our sales this week").await["advice"], answer["advice"], "the same rows, the same words");
        let french = json!({"prompt": "Résume les ventes de la semaine", "language": "fr"});
        let french = world.owner.post(ADVICE).json(&french).await.expect_status(200).text_at("/advice");
        assert!(french.contains("45,000 RWF pour 2 factures") && french.contains("50 % de plus"), "{french}");
        let kinyarwanda = ask(&world.owner, "Ni ayahe mafaranga y'ibyagurishijwe muri iki cyumweru?").await;
        assert!(kinyarwanda["advice"].as_str().unwrap().contains("45,000 RWF"));
    }

    async fn every_topic_tells_true_figures(world: &World) {
        trade(world).await;
        let owner = &world.owner;
        for (title, at, action) in [("A", "2026-06-22T08:00:00Z", Some("no-show")), ("B", "2026-06-22T09:30:00Z", Some("cancel")), ("C", "2026-06-22T08:30:00Z", None), ("D", "2026-06-15T08:00:00Z", None)] {
            let body = json!({"title": title, "starts_at": at, "ends_at": at.replace(":00Z", ":15Z").replace("00:15", "10:00")});
            let made = owner.post("/api/v1/booking/appointments/").json(&json!({"title": title, "starts_at": at})).await;
            let made = if made.status == 201 { made.json() } else { owner.post("/api/v1/booking/appointments/").json(&body).await.expect_status(201).json() };
            if let Some(action) = action {
                owner.post(&format!("/api/v1/booking/appointments/{}/{action}/", made["id"].as_str().unwrap())).await.expect_status(200);
            }
        }
        owner.post("/api/v1/booking/customers/").json(&json!({"title": "Anna"})).await.expect_status(201);
        let (staff, _) = world.member("staff", "staff").await;
        staff.post("/api/v1/chat/messages/").json(&json!({"body": "Is the order ready?"})).await.expect_status(201);
        for (prompt, parts) in [
            ("What are our best sellers this week?", &["1. Tea (5 ×, 25,000 RWF)", "2. Cup (1 ×, 20,000 RWF)"][..]),
            ("Which invoices are overdue?", &["30,000 RWF from 1 invoice", "INV-000001", "due 2026-06-18 (4 days ago)"]),
            ("Who owes us money?", &["75,000 RWF from 3 invoices"]),
            ("How many no-shows and cancellations this week?", &["Appointments this week (2026-06-22 to 2026-06-28): 3; no-shows: 1 (33 %), cancelled: 1 (33 %)"]),
            ("When are we busiest?", &["10:00 (2)"]),
            ("How many new customers this week?", &["New customers this week (2026-06-22 to 2026-06-28): "]),
            ("Which questions are waiting?", &["one question"]),
        ] {
            let words = ask(owner, prompt).await["advice"].as_str().unwrap().to_owned();
            for part in parts {
                assert!(words.contains(part), "{prompt}: no {part:?} in {words}");
            }
        }
        // nothing named: everything there is
        let all = ask(owner, "How are we doing?").await;
        assert!(all["data_used"].as_array().unwrap().len() >= 8, "{all:#}");
        // narrowed
        let narrow = json!({"prompt": "How are we doing?", "context": {"module": "booking", "period": "last_week"}});
        let narrow = owner.post(ADVICE).json(&narrow).await.expect_status(200).json();
        assert!(narrow["data_used"].as_array().unwrap().iter().all(|used| !used["resource"].as_str().unwrap().starts_with("payments/inv")));
        assert!(narrow["advice"].as_str().unwrap().contains("last week (2026-06-15 to 2026-06-21): 1"));
        for (context, field) in [(json!({"module": "nothing"}), "context.module"), (json!({"period": "someday"}), "context.period")] {
            let body = json!({"prompt": "x", "context": context});
            owner.post(ADVICE).json(&body).await.expect_field(field, "invalid_choice");
        }
    }

    async fn nobody_learns_what_they_could_not_list(world: &World) {
        trade(world).await;
        let other = register(&world.owner, "other").await;
        let theirs = ask(&other, "Summarize our sales this week, overdue, unpaid").await.to_string();
        for figure in ["45,000", "30,000", "75,000", "INV-000001"] {
            assert!(!theirs.contains(figure), "{figure} in {theirs}");
        }
        // a role of the company's own that may ask but not see invoices
        let role = json!({"name": "Asker", "slug": "asker", "permissions": ["ai.*", "booking.*.view"]});
        world.owner.post("/api/v1/roles/").json(&role).await.expect_status(201);
        let (asker, _) = world.member("asker", "asker").await;
        let answer = ask(&asker, "Summarize our sales this week").await;
        assert!(answer["advice"].as_str().unwrap().contains("may not view"), "{answer:#}");
        assert_eq!(answer["data_used"], json!([]));
        let all = ask(&asker, "How are we doing?").await.to_string();
        assert!(!all.contains("45,000") && !all.contains("payments/invoices"), "{all}");
    }

    async fn runs_are_kept_counted_and_rated_by_who_asked(world: &World) {
        let owner = &world.owner;
        let first = owner.post(ADVICE).header("idempotency-key", "a1").json(&json!({"prompt": "sales"})).await.expect_status(200).json();
        let again = owner.post(ADVICE).header("idempotency-key", "a1").json(&json!({"prompt": "sales"})).await.expect_status(200).json();
        assert_eq!(first, again);
        let run = format!("/api/v1/ai/runs/{}/", first["id"].as_str().unwrap());
        let kept = owner.get(&run).await.expect_status(200).json();
        assert_eq!((&kept["output"], &kept["status"], &kept["useful"]), (&first["advice"], &json!("done"), &Value::Null));
        let rated = owner.post(&format!("{ADVICE}{}/feedback/", first["id"].as_str().unwrap())).json(&json!({"useful": true})).await.expect_status(200);
        assert_eq!(rated.at("/useful"), json!(true));
        let (staff, _) = world.member("staff", "staff").await;
        staff.post(&format!("{run}feedback/")).json(&json!({"useful": false})).await.expect_refusal(404, "not_found");
        let usage = owner.get("/api/v1/ai/usage/").await.expect_status(200).json();
        assert_eq!((usage["months"].as_array().unwrap().len(), &usage["months"][0]["month"], &usage["months"][0]["runs"]), (12, &json!("2026-06"), &json!(1)));
        assert_eq!(usage["months"][0]["output"], first["usage"]["output"]);
        let runs = world.look("SELECT COUNT(*) FROM ai_runs WHERE company_id = $1", params![1i64].to_vec()).await;
        assert_eq!(runs, "1");
    }

    async fn conversations_keep_question_and_answer(world: &World) {
        let owner = &world.owner;
        let talk = owner.post("/api/v1/ai/conversations/").json(&json!({"title": "Monday"})).await.expect_status(201).json();
        let at = format!("/api/v1/ai/conversations/{}/", talk["id"].as_str().unwrap());
        let answer = owner.post(&format!("{at}send/")).json(&json!({"prompt": "sales?"})).await.expect_status(200).json();
        let said = owner.get("/api/v1/ai/messages/").query("ordering", "created_at").await.expect_status(200).json();
        let words: Vec<_> = said["results"].as_array().unwrap().iter().map(|row| (row["role"].as_str().unwrap(), &row["body"])).collect();
        assert!(words.contains(&("user", &json!("sales?"))) && words.contains(&("assistant", &answer["advice"])), "{words:?}");
        assert_eq!(owner.get(&at).await.at("/message_count"), json!(2));
        owner.post(&format!("{at}archive/")).await.expect_status(200);
        owner.post(&format!("{at}send/")).json(&json!({"prompt": "sales?"})).await.expect_refusal(409, "conversation_archived");
    }
}

each_engine! {
    async fn answers_are_found_by_who_asked(world: &World) {
        let run = ask(&world.owner, "sales").await;
        let (admin, _) = world.member("admin", "admin").await;
        assert_eq!(admin.get("/api/v1/ai/runs/").await.expect_status(200).at("/count"), json!(0));
        admin.get(&format!("/api/v1/ai/runs/{}/", run["id"].as_str().unwrap())).await.expect_refusal(404, "not_found");
        assert_eq!(world.owner.get("/api/v1/ai/runs/").await.expect_status(200).at("/count"), json!(1));
    }
}
