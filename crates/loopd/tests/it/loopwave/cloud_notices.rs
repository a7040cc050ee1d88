//! Reminders and invoices by a number of the Cloud API: to who has not written for a day only by the template that the company names.

use loopd_testkit::{each_engine, json};
use loopd_types::{HOUR_US, SECOND_US};
use serde_json::Value;

use super::graph::{Shop, messages};
use super::notices::{booked, due, invoiced, reminds, thread};
use crate::support::{Actor, eventually};

const CUSTOMER: &str = "250788123456";
const PREFERENCES: &str = "/api/v1/loopwave/preferences/";

fn template(name: &str, status: &str, text: &str) -> Value {
    json!({"id": name, "name": name, "language": "en", "category": "UTILITY", "status": status, "components": [{"type": "BODY", "text": text}]})
}

/// The company names this template for a purpose, filled in with these words.
async fn names(owner: &Actor, purpose: &str, name: &str, words: &[&str]) {
    let parameters: Vec<Value> = words.iter().map(|words| json!({"type": "text", "text": words})).collect();
    let asked = json!({"name": name, "language": "en", "components": [{"type": "body", "parameters": parameters}]});
    let chosen = json!({"notice_templates": {purpose: [asked]}});
    let next = owner.patch(PREFERENCES).json(&chosen).await.expect_status(200);
    assert_eq!(next.at(&format!("/notice_templates/{purpose}/0/name")), json!(name));
}

each_engine! {
    async fn a_reminder_goes_by_the_template_that_the_company_names(shop: &Shop) {
        let owner = shop.owner().await;
        let line = shop.cloud(&owner).await;
        reminds(&owner).await;
        shop.graph.put_template(template("remind", "APPROVED", "Dear {{1}}, {{2}} of {{3}} awaits you: {{4}}."));
        shop.graph.put_template(template("paused", "PAUSED", "Hello"));
        owner.post(&format!("/api/v1/loopwave/numbers/{}/templates/sync/", line.id)).await.expect_status(200);
        let reminded = async |phone: &str| {
            let path = booked(shop, &owner, phone, HOUR_US + 5 * SECOND_US).await;
            due(shop, &owner, &path).await["reminder_message"].clone()
        };
        assert_eq!(reminded("+250788200001").await, "window_closed", "the company has named none");
        names(&owner, "reminder", "paused", &[]).await;
        assert_eq!(reminded("+250788200002").await, "template_refused");
        assert_eq!(shop.rows("wave_notices").await, 0, "what was not said may be said later");
        names(&owner, "reminder", "remind", &["{{name}}", "{{title}}", "{{company}}", "{{when}}"]).await;
        assert_eq!(reminded("+250788123456").await, "on_its_way");
        eventually("it is sent", async || {
            shop.clock.advance(SECOND_US);
            shop.graph.taken().len() == 1
        })
        .await;
        let taken = shop.graph.taken().remove(0);
        let parameters = &taken["template"]["components"][0]["parameters"];
        assert_eq!((&taken["template"]["name"], &parameters[0]["text"], &parameters[1]["text"]), (&json!("remind"), &json!("Aline Uwase"), &json!("Haircut")));
        let said = thread(&owner).await;
        assert_eq!((said.len(), &said[0]["kind"], &said[0]["about"]["resource"]), (1, &json!("template"), &json!("appointments")));
        assert!(said[0]["text"].as_str().is_some_and(|text| text.starts_with("Dear Aline Uwase, Haircut of owner Ltd awaits you: ")), "{said:?}");
        // Who wrote today reads the words themselves.
        shop.tell(&line, &messages(&json!([shop.text("A1", "250788200003", "Hi")]), &json!(null))).await.expect_status(200);
        assert_eq!(reminded("+250788200003").await, "on_its_way");
        eventually("it is sent", async || {
            shop.clock.advance(SECOND_US);
            shop.graph.taken().len() == 2
        })
        .await;
        assert_eq!(shop.graph.taken()[1]["type"], "text");
    }

    async fn an_invoice_is_sent_by_template_or_says_why_not(shop: &Shop) {
        let owner = shop.owner().await;
        let key = shop.wave_key(&owner, &["*"]).await;
        let line = shop.cloud(&owner).await;
        shop.graph.put_template(template("bill", "APPROVED", "Dear {{1}}, invoice {{2}}: {{3}} by {{4}}."));
        owner.post(&format!("/api/v1/loopwave/numbers/{}/templates/sync/", line.id)).await.expect_status(200);
        let send = format!("{}send/", invoiced(&owner, json!("+250788123456")).await);
        let body = json!({"by_message": true});
        owner.post(&send).json(&body).await.expect_refusal(409, "window_closed");
        names(&owner, "invoice", "bill", &["{{name}}", "{{number}}", "{{amount}}"]).await;
        owner.post(&send).json(&body).await.expect_refusal(409, "template_refused");
        names(&owner, "invoice", "bill", &["{{name}}", "{{number}}", "{{amount}}", "{{due_date|soon}}"]).await;
        let sent = owner.post(&send).json(&body).await.expect_status(200);
        let said = thread(&owner).await;
        let text = format!("Dear Aline Uwase, invoice {}: 5000 RWF by 2026-07-30.", sent.text_at("/number"));
        assert_eq!((said.len(), &said[0]["text"]), (1, &json!(text)));
        shop.message_at(&key, CUSTOMER, said[0]["id"].as_str().expect("an id"), "sent").await;
        for (odd, words) in [
            (json!({"birthday": []}), "birthday"),
            (json!({"invoice": [{"name": "bill", "language": "en", "components": [{"type": "body", "parameters": [{"type": "text", "text": "{{when}}"}]}]}]}), "{{when}}"),
        ] {
            let refused = owner.patch(PREFERENCES).json(&json!({"notice_templates": odd})).await;
            assert!(refused.expect_field("notice_templates", "invalid").text().contains(words));
        }
        assert_eq!(owner.get(PREFERENCES).await.at("/notice_templates/reminder"), json!([]));
    }
}
