//! What Meta's webhooks say, in our words. Nothing here touches the database.
//!
//! Source: spec/loopwave.md 6.1.2 and 6.1.4. What is not understood is kept as it came: a message of an unknown kind is `unsupported`
//! and holds all of it.

mod account;
mod message;

use loopd_types::{SECOND_US, Timestamp};
use serde_json::Value as Json;

use self::account::account;
use self::message::{echo, inbound};
use super::super::content::message_of;
use super::super::errors;
use super::super::graph::Refusal;
use crate::engine::{Progress, Received, Signal, Stage};

pub use account::Account;

/// One thing that Meta tells.
#[derive(Clone, Debug)]
pub enum News {
    /// A message of a customer, or from the shop's own telephone.
    Message(Box<Received>),
    /// What became of one of ours, and what a failure says about the line.
    Progress(Progress, Signal),
    Account(Account),
}

/// A thing that concerns a line, by Meta's id of it.
#[derive(Clone, Debug)]
pub struct Told {
    /// `metadata.phone_number_id`; `None` for what concerns the whole business account.
    pub line: Option<String>,
    /// Meta's id of the business account.
    pub waba: String,
    pub news: News,
}

/// Reads one body. Entries and fields that say nothing to us are left out.
///
/// # Errors
/// In words, for a body that is no webhook of WhatsApp's.
pub fn read(body: &[u8], now: Timestamp) -> Result<Vec<Told>, String> {
    let mut body: Json = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    without_nuls(&mut body);
    if body["object"].as_str() != Some("whatsapp_business_account") {
        return Err("the object is no whatsapp_business_account".to_owned());
    }
    let mut all = Vec::new();
    for entry in list(&body["entry"]) {
        let waba = entry["id"].as_str().unwrap_or_default().to_owned();
        let time = moment(&entry["time"], now);
        for change in list(&entry["changes"]) {
            let value = &change["value"];
            let line = value["metadata"]["phone_number_id"].as_str().map(str::to_owned);
            let told = |news: News| Told { line: line.clone(), waba: waba.clone(), news };
            match change["field"].as_str().unwrap_or_default() {
                "messages" => {
                    all.extend(
                        list(&value["messages"]).map(|it| told(News::Message(Box::new(inbound(it, value, now))))),
                    );
                    all.extend(list(&value["statuses"]).filter_map(|it| progress(it, now)).map(told));
                }
                "smb_message_echoes" => {
                    all.extend(list(&value["message_echoes"]).map(|it| told(News::Message(Box::new(echo(it, now))))));
                }
                field => all.extend(account(field, value, time).map(|it| told(News::Account(it)))),
            }
        }
    }
    Ok(all)
}

fn list(value: &Json) -> impl Iterator<Item = &Json> {
    value.as_array().into_iter().flatten()
}

/// No database text can hold a NUL, and a message with one must not be refused for ever.
fn without_nuls(value: &mut Json) {
    match value {
        Json::String(text) if text.contains('\0') => text.retain(|letter| letter != '\0'),
        Json::Array(items) => items.iter_mut().for_each(without_nuls),
        Json::Object(members) => members.values_mut().for_each(without_nuls),
        _ => {}
    }
}

/// Unix seconds, as a text or a number; never later than now, so that nothing stands on top for ever.
fn moment(value: &Json, now: Timestamp) -> Timestamp {
    let seconds = value.as_i64().or_else(|| value.as_str()?.parse().ok());
    let seconds = seconds.filter(|seconds| (0..=now.seconds()).contains(seconds));
    seconds.map_or(now, |seconds| Timestamp(seconds * SECOND_US))
}

fn progress(status: &Json, now: Timestamp) -> Option<News> {
    let stage = match status["status"].as_str()? {
        "sent" => Stage::Sent,
        "delivered" => Stage::Delivered,
        "read" | "played" => Stage::Read,
        "failed" => Stage::Failed,
        _ => return None,
    };
    let refusal = list(&status["errors"]).next().map(|error| Refusal::read(400, error));
    let refusal = refusal.filter(|_| stage == Stage::Failed);
    let progress = Progress {
        wa_id: status["id"].as_str()?.to_owned(),
        message: message_of(status),
        stage,
        at: moment(&status["timestamp"], now),
        failure: refusal.as_ref().map(errors::failure),
    };
    let signal = refusal.as_ref().map_or(Signal::None, errors::signal);
    Some(News::Progress(progress, signal))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp(1_782_122_400_000_000);

    fn one(field: &str, value: &Json) -> News {
        let body = json!({"object": "whatsapp_business_account", "entry": [
            {"id": "W1", "time": 1_782_000_000, "changes": [{"field": field, "value": value}]},
        ]});
        let mut all = read(body.to_string().as_bytes(), NOW).unwrap();
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0).news
    }

    fn message(message: Json, contacts: Json) -> Received {
        match one("messages", &json!({"messages": [message], "contacts": contacts})) {
            News::Message(received) => *received,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_person_has_every_name_that_meta_tells() {
        let told = json!({"from": "250788123456", "from_user_id": "RW.1", "id": "A", "timestamp": "1782000000", "type": "text", "text": {"body": "Hi"}});
        let received =
            message(told, json!([{"wa_id": "250788123456", "user_id": "RW.1", "profile": {"name": "Aline"}}]));
        let names: Vec<String> = received.identities.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["250788123456@s.whatsapp.net", "RW.1@bsuid"]);
        assert_eq!((received.push_name.as_deref(), received.at.seconds()), (Some("Aline"), 1_782_000_000));
        let hidden = message(
            json!({"id": "B", "type": "text", "text": {"body": "Hi"}}),
            json!([{"user_id": "RW.1", "profile": {"name": "Aline"}}]),
        );
        assert_eq!(hidden.chat.to_string(), "RW.1@bsuid");
        let nobody = message(json!({"id": "C", "type": "text", "text": {"body": "Hi"}}), Json::Null);
        assert_eq!(nobody.chat.to_string(), "unknown@bsuid");
    }

    #[test]
    fn what_is_not_known_is_kept_whole() {
        for odd in [
            json!({"from": "250788123456", "id": "A", "type": "hologram", "hologram": {"id": 1}}),
            json!({"from": "250788123456", "id": "A", "type": "text"}),
            json!({"from": "250788123456", "id": "A"}),
            json!({"from": 5}),
        ] {
            let received = message(odd.clone(), Json::Null);
            assert_eq!((received.content.kind.as_str(), &received.content.extra), ("unsupported", &odd));
            assert!(!received.wa_id.is_empty());
        }
    }

    #[test]
    fn a_time_that_is_none_or_to_come_is_now() {
        for time in [json!("x"), json!(-5), json!("99999999999"), json!("9223372036854775807"), Json::Null] {
            assert_eq!(moment(&time, NOW), NOW, "{time}");
        }
    }

    #[test]
    fn a_failure_says_why_and_names_our_message() {
        let id = "019df2a0-0000-7000-8000-000000000001";
        let status = json!({"id": "A", "status": "failed", "timestamp": "1782000000", "biz_opaque_callback_data": id,
            "errors": [{"code": 131_031, "title": "Account has been locked"}]});
        match one("messages", &json!({"statuses": [status]})) {
            News::Progress(progress, signal) => {
                assert_eq!(progress.message.map(|id| id.to_string()).as_deref(), Some(id));
                assert_eq!(progress.failure.unwrap().code, "restricted");
                assert_eq!(signal, Signal::Restricted(None));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_nul_in_a_text_is_left_out_and_other_objects_are_refused() {
        let body = r#"{"object": "whatsapp_business_account", "entry": [{"changes": [{"field": "messages", "value": {"messages":
            [{"id": "A", "from": "250788123456", "type": "text", "text": {"body": "a\u0000b"}}]}}]}]}"#;
        let all = read(body.as_bytes(), NOW).unwrap();
        assert!(matches!(&all[0].news, News::Message(it) if it.content.text.as_deref() == Some("ab")));
        for body in ["", "[]", "{}", r#"{"object": "page"}"#, "null"] {
            assert!(read(body.as_bytes(), NOW).is_err(), "{body}");
        }
    }
}
