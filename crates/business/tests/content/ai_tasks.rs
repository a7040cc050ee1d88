//! Summaries, drafts, labels and extracts by rules; runs, prompts, and the month's cap.

use loopd_testkit::{Client, each_engine, json};
use loopd_types::DAY_US;
use serde_json::Value;

use crate::support::{START, World};

const RUNS: &str = "/api/v1/ai/runs/";
const PROMPTS: &str = "/api/v1/ai/prompts/";

async fn ask(client: &Client, kind: &str, body: Value) -> Value {
    client.post(&format!("/api/v1/ai/{kind}/")).json(&body).await.expect_status(200).json()
}

async fn cap(world: &World, cap: i64) {
    let body = json!({"settings": {"ai": {"monthly_cap": cap}}});
    world.owner.patch("/api/v1/companies/001/").json(&body).await.expect_status(200);
}

each_engine! {
    async fn a_text_is_summarised_in_its_own_words(world: &World) {
        let text = "The cooperative sold more coffee this season. It rained on Tuesday. Coffee buyers from Kigali paid a higher price for washed \
                    coffee. Somebody lost an umbrella. The price of coffee will decide how the cooperative invests.";
        let answer = ask(&world.owner, "summarize", json!({"text": text, "sentences": 2})).await;
        let summary = answer["result"]["summary"].as_str().unwrap();
        assert!(summary.contains("sold more coffee") && !summary.contains("umbrella") && summary.len() < text.len(), "{summary}");
        assert_eq!((&answer["kind"], &answer["model"], &answer["language"]), (&json!("summarize"), &json!("offline"), &json!("en")));
        assert!(answer["usage"]["input"].as_i64().unwrap() > answer["usage"]["output"].as_i64().unwrap());
        assert_eq!(ask(&world.owner, "summarize", json!({"text": text, "sentences": 2})).await["result"], answer["result"]);
        let at = "/api/v1/ai/summarize/";
        world.owner.post(at).json(&json!({})).await.expect_field("text", "required");
        world.owner.post(at).json(&json!({"text": " "})).await.expect_field("text", "blank");
        world.owner.post(at).json(&json!({"text": "x".repeat(20_001)})).await.expect_field("text", "max_length");
        world.owner.post(at).json(&json!({"text": "x", "sentences": 0})).await.expect_field("sentences", "min_value");
        world.stranger().post(at).json(&json!({"text": "x"})).await.expect_refusal(401, "not_authenticated");
        let (viewer, _) = world.member("viewer", "viewer").await;
        viewer.post(at).json(&json!({"text": "x"})).await.expect_refusal(403, "permission_denied");
    }

    async fn a_draft_says_the_facts_in_three_languages(world: &World) {
        let body = json!({
            "form": "reply", "tone": "apologetic", "recipient": "Aline", "facts": "Your tea leaves today\n- It costs 25,000 RWF",
            "received": "Where is my tea? I wait since Monday.",
        });
        let english = ask(&world.owner, "draft", body.clone()).await["result"].clone();
        assert_eq!(english["subject"], "Re: Where is my tea?");
        let words = english["body"].as_str().unwrap();
        for part in ["Dear Aline,", "We are sorry", "- Your tea leaves today.\n- It costs 25,000 RWF.", "owner Ltd"] {
            assert!(words.contains(part), "no {part:?} in {words}");
        }
        for (language, part) in [("fr", "Merci de nous avoir écrit."), ("rw", "Murakoze kutwandikira.")] {
            let mut body = body.clone();
            body["language"] = json!(language);
            let words = ask(&world.owner, "draft", body).await["result"]["body"].as_str().unwrap().to_owned();
            assert!(words.contains(part) && words.contains("Your tea leaves today"), "{words}");
        }
        let letter = ask(&world.owner, "draft", json!({"facts": "We close on Friday", "sender": "Grace"})).await["result"].clone();
        assert_eq!((&letter["subject"], letter["body"].as_str().unwrap().ends_with("Grace")), (&json!("We close on Friday"), true));
        let at = "/api/v1/ai/draft/";
        world.owner.post(at).json(&json!({"form": "reply"})).await.expect_field("received", "required");
        world.owner.post(at).json(&json!({"form": "letter", "facts": "\n"})).await.expect_field("facts", "required");
        world.owner.post(at).json(&json!({"tone": "rude", "facts": "x"})).await.expect_field("tone", "invalid_choice");
    }

    async fn a_text_gets_the_label_it_speaks_for(world: &World) {
        let body = json!({
            "text": "My parcel came late and the courier was rude. Send me an invoice.", "labels": ["billing", "delivery"],
            "keywords": {"billing": "invoice, refund", "delivery": ["late", "courier", "parcel"]},
        });
        let found = ask(&world.owner, "classify", body).await["result"].clone();
        assert_eq!((&found["label"], &found["score"]), (&json!("delivery"), &json!(0.75)));
        assert_eq!(found["scores"], json!([{"label": "delivery", "score": 0.75}, {"label": "billing", "score": 0.25}]));
        let none = ask(&world.owner, "classify", json!({"text": "Hello", "labels": ["billing", "delivery"]})).await["result"].clone();
        assert_eq!(none["label"], Value::Null);
        let at = "/api/v1/ai/classify/";
        for (body, field, code) in [
            (json!({"text": "x", "labels": ["one"]}), "labels", "min_length"),
            (json!({"text": "x", "labels": ["a", "b"], "keywords": {"c": "x"}}), "keywords", "invalid_choice"),
            (json!({"text": "x", "labels": ["a", "b"], "keywords": {"a": 1}}), "keywords", "invalid"),
            (json!({"text": "x", "labels": ["a", "b"], "keywords": {"a": "x".repeat(17_000)}}), "keywords", "max_length"),
        ] {
            world.owner.post(at).json(&body).await.expect_field(field, code);
        }
    }

    async fn what_stands_in_a_text_is_read_out_of_it(world: &World) {
        let text = "Invoice number: INV-77\nPlease pay 25,000 RWF or $12.50 before 30 June 2026 (latest 05/07/2026).\nCall +250 788 123 456 or write to Aline@Example.rw.";
        let found = ask(&world.owner, "extract", json!({"text": text, "fields": ["invoice_number", "iban"]})).await["result"].clone();
        assert_eq!(found["dates"], json!([{"text": "30 June 2026", "date": "2026-06-30"}, {"text": "05/07/2026", "date": "2026-07-05"}]));
        assert_eq!(found["amounts"], json!([{"text": "25,000 RWF", "amount": "25000", "currency": "RWF"}, {"text": "$12.50", "amount": "12.50", "currency": "USD"}]));
        assert_eq!(found["phones"], json!([{"text": "+250 788 123 456", "phone": "+250788123456"}]));
        assert_eq!(found["emails"], json!(["aline@example.rw"]));
        assert_eq!(found["fields"], json!({"invoice_number": "INV-77", "iban": null}));
    }

    async fn every_task_is_kept_as_a_run_of_whoever_asked(world: &World) {
        let owner = &world.owner;
        let body = json!({"text": "Tea is sold. Cups are lent.", "sentences": 1});
        let asked = || owner.post("/api/v1/ai/summarize/").header("idempotency-key", "once").json(&body);
        let answer = asked().await.expect_status(200).json();
        assert_eq!(asked().await.expect_status(200).json(), answer);
        let at = format!("{RUNS}{}/", answer["id"].as_str().unwrap());
        let run = owner.get(&at).await.expect_status(200).json();
        assert_eq!((&run["kind"], &run["status"], &run["prompt"]), (&json!("summarize"), &json!("done"), &body["text"]));
        assert_eq!((&run["output"], &run["result"], &run["parameters"]), (&answer["result"]["summary"], &answer["result"], &json!({"sentences": 1})));
        assert_eq!(owner.get(RUNS).await.at("/count"), json!(1));
        let (admin, _) = world.member("admin", "admin").await;
        admin.get(&at).await.expect_refusal(404, "not_found");
        for action in ["retry", "cancel"] {
            admin.post(&format!("{at}{action}/")).await.expect_refusal(404, "not_found");
            // done is done
            let refused = owner.post(&format!("{at}{action}/")).await.expect_refusal(409, "invalid_transition").json();
            assert_eq!((&refused["error"]["details"]["from"], &refused["error"]["details"]["action"]), (&json!("done"), &json!(action)));
        }
        owner.post(&format!("{at}feedback/")).json(&json!({"useful": true})).await.expect_status(200);
    }

    async fn over_the_months_cap_nobody_is_asked(world: &World) {
        let owner = &world.owner;
        let usage = owner.get("/api/v1/ai/usage/").await.expect_status(200).json();
        assert_eq!(usage["quota"], json!({"month": "2026-06", "plan": "trial", "cap": 500, "used": 0, "remaining": 500, "resets_at": "2026-06-30T22:00:00.000000Z"}));
        cap(world, 2).await;
        let first = || owner.post("/api/v1/ai/summarize/").header("idempotency-key", "k").json(&json!({"text": "Tea."}));
        first().await.expect_status(200);
        ask(owner, "business-advice", json!({"prompt": "sales"})).await;
        let quota = owner.get("/api/v1/ai/usage/").await.at("/quota");
        assert_eq!((&quota["cap"], &quota["used"], &quota["remaining"]), (&json!(2), &json!(2), &json!(0)));
        let talk = owner.post("/api/v1/ai/conversations/").json(&json!({"title": "Monday"})).await.expect_status(201).text_at("/id");
        for (path, body) in [("extract/".to_owned(), json!({"text": "x"})), ("business-advice/".to_owned(), json!({"prompt": "x"})), (format!("conversations/{talk}/send/"), json!({"prompt": "x"}))] {
            let refused = owner.post(&format!("/api/v1/ai/{path}")).json(&body).await.expect_refusal(429, "throttled");
            // until July begins in Kigali
            assert_eq!(refused.header("retry-after"), Some("734401"));
            assert_eq!(refused.at("/error/details/cap"), json!(2));
        }
        assert_eq!(owner.get(RUNS).await.at("/count"), json!(2));
        first().await.expect_status(200);
        // another company has its own
        let other = crate::support::register(owner, "other").await;
        ask(&other, "summarize", json!({"text": "Tea."})).await;
        let negative = json!({"settings": {"ai": {"monthly_cap": -1}}});
        owner.patch("/api/v1/companies/001/").json(&negative).await.expect_field("settings.ai.monthly_cap", "min_value");
        // a cap beyond the plan's is the plan's; the next month begins anew
        cap(world, 1_000_000).await;
        assert_eq!(owner.get("/api/v1/ai/usage/").await.at("/quota/cap"), json!(500));
        cap(world, 2).await;
        world.clock.set(START.plus(9 * DAY_US));
        ask(owner, "summarize", json!({"text": "Tea."})).await;
        assert_eq!(owner.get("/api/v1/ai/usage/").await.at("/quota/used"), json!(1));
    }

    async fn calls_at_once_do_not_pass_the_cap_together(world: &World) {
        cap(world, 3).await;
        let tasks: Vec<_> = (0..8)
            .map(|number| {
                let owner = world.owner.clone();
                tokio::spawn(async move { owner.post("/api/v1/ai/summarize/").json(&json!({"text": format!("Tea {number}.")})).await.status })
            })
            .collect();
        let mut answered = 0;
        for task in tasks {
            let status = task.await.unwrap();
            assert!(status == 200 || status == 429, "{status}");
            answered += usize::from(status == 200);
        }
        assert_eq!(answered, 3);
    }

    async fn a_prompt_is_published_by_revisions(world: &World) {
        let owner = &world.owner;
        let made = owner.post(PROMPTS).json(&json!({"title": "Week", "slug": "week", "template": "Sales of {{ product }} in {{week}}", "revision": 9})).await.expect_status(201).json();
        assert_eq!((&made["variables"], &made["revision"], &made["published_template"]), (&json!(["product", "week"]), &json!(0), &Value::Null));
        let at = format!("{PROMPTS}{}/", made["id"].as_str().unwrap());
        let first = owner.post(&format!("{at}publish/")).await.expect_status(200).json();
        assert_eq!((&first["status"], &first["revision"], &first["published_template"]), (&json!("published"), &json!(1), &made["template"]));
        assert!(first["published_at"].is_string());
        owner.post(&format!("{at}publish/")).await.expect_refusal(409, "already_published");
        // writing on does not change what is published
        let edited = owner.patch(&at).json(&json!({"template": "Sales of {{product}}"})).await.expect_status(200).json();
        assert_eq!((&edited["published_template"], &edited["variables"], &edited["revision"]), (&made["template"], &json!(["product"]), &json!(1)));
        let second = owner.post(&format!("{at}publish/")).await.expect_status(200).json();
        assert_eq!((&second["revision"], &second["published_template"]), (&json!(2), &json!("Sales of {{product}}")));
        owner.post(&format!("{at}archive/")).await.expect_status(200);
        let back = owner.post(&format!("{at}publish/")).await.expect_status(200).json();
        assert_eq!((&back["status"], &back["revision"]), (&json!("published"), &json!(2)), "the same text is the same revision");
        for bad in ["{{open", "{{two words}}"] {
            owner.patch(&at).json(&json!({"template": bad})).await.expect_field("template", "invalid");
        }
    }
}
