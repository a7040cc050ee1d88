//! What Meta's webhooks say, in our words. Nothing here touches the database.
//!
//! Source: spec/loopwave.md 6.1.2 and 6.1.4. What is not understood is kept as it came: a message of an unknown kind is `unsupported`
//! and holds all of it.

use loopd_types::{SECOND_US, Timestamp, sha256_hex};
use serde_json::{Value as Json, json};

use super::super::content::{MEDIA, message_of};
use super::super::errors;
use super::super::graph::Refusal;
use crate::address::Address;
use crate::engine::{Content, Media, Progress, Received, Signal, Stage};

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

/// News of the account itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Account {
    /// What customers think of a number, and to how many it may write first.
    Quality {
        phone: Option<Address>,
        quality: Option<&'static str>,
        tier: Option<String>,
    },
    /// Nothing but what people write should go out before that moment.
    Restricted {
        until: Timestamp,
        words: String,
    },
    Reinstated,
    /// Meta decided on a template, or thought again.
    Template {
        meta_id: String,
        status: String,
        reason: Option<String>,
        at: Timestamp,
    },
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

fn inbound(message: &Json, value: &Json, now: Timestamp) -> Received {
    let text = |value: &Json| value.as_str().map(str::to_owned);
    let from = message["from"].as_str();
    let ids = || list(&value["contacts"]);
    // With one message its contact is the only one; with several the contact says whose it is.
    let contact = ids()
        .find(|it| from.is_some() && it["wa_id"].as_str() == from)
        .or_else(|| ids().find(|it| it["user_id"] == message["from_user_id"] && it["user_id"].is_string()))
        .or_else(|| ids().next().filter(|_| ids().count() == 1));
    let user = message["from_user_id"].as_str().or_else(|| contact?["user_id"].as_str());
    let phone = from.or_else(|| contact?["wa_id"].as_str()).and_then(Address::phone);
    let scoped = user.and_then(|id| Address::parse(&format!("{id}@bsuid")));
    let mut identities: Vec<Address> = phone.into_iter().chain(scoped).collect();
    if identities.is_empty() {
        identities.push(stranger(from.or(user).unwrap_or_default()));
    }
    Received {
        wa_id: text(&message["id"])
            .unwrap_or_else(|| format!("unnamed.{}", sha256_hex(message.to_string().as_bytes()))),
        chat: identities[0].clone(),
        identities,
        push_name: contact.and_then(|it| text(&it["profile"]["name"])),
        author: None,
        from_me: false,
        content: content(message),
        at: moment(&message["timestamp"], now),
        is_history: false,
    }
}

/// Somebody whose address is none that we know: kept all the same.
fn stranger(text: &str) -> Address {
    let plain: String = text.chars().filter(char::is_ascii_alphanumeric).take(60).collect();
    let name = if plain.is_empty() { "unknown" } else { &plain };
    Address::parse(&format!("{name}@bsuid")).expect("letters and digits are a name")
}

/// What the shop wrote on its own telephone.
fn echo(message: &Json, now: Timestamp) -> Received {
    let to = message["to"].as_str().unwrap_or_default();
    let chat = Address::phone(to).or_else(|| Address::parse(&format!("{to}@bsuid"))).unwrap_or_else(|| stranger(to));
    let mut received = inbound(message, &Json::Null, now);
    received.identities = vec![chat.clone()];
    received.chat = chat;
    received.from_me = true;
    received
}

fn content(message: &Json) -> Content {
    let kind = message["type"].as_str().unwrap_or_default();
    let inner = &message[kind];
    let text = |value: &Json| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let mut content = Content { reply_to: text(&message["context"]["id"]), ..Content::default() };
    let of_kind = MEDIA.into_iter().find(|it| *it == kind);
    match kind {
        "text" if inner["body"].is_string() => content.text = text(&inner["body"]),
        _ if of_kind.is_some() && inner["id"].is_string() => {
            content.text = text(&inner["caption"]);
            content.media = Some(Media {
                engine_id: text(&inner["id"]),
                content_type: text(&inner["mime_type"]).unwrap_or_default(),
                name: text(&inner["filename"]),
                sha256: text(&inner["sha256"]),
                ..Media::default()
            });
            if inner["voice"] == true {
                content.extra = json!({"voice": true});
            }
        }
        "location" => {
            content.text = text(&inner["name"]).or_else(|| text(&inner["address"]));
            content.extra = inner.clone();
        }
        "contacts" => {
            let names: Vec<&str> = list(inner).filter_map(|it| it["name"]["formatted_name"].as_str()).collect();
            content.text = Some(names.join(", ")).filter(|names| !names.is_empty());
            content.extra = json!({"contacts": inner});
        }
        "interactive" => {
            let chosen = inner["type"].as_str().map(|kind| &inner[kind]).unwrap_or(&Json::Null);
            content.text = text(&chosen["title"]).or_else(|| text(&chosen["body"]));
            content.extra = inner.clone();
        }
        "reaction" => {
            content.text = text(&inner["emoji"]);
            content.reply_to = text(&inner["message_id"]);
            content.extra = json!({"emoji": inner["emoji"]});
        }
        // The answer of a template's button is a choice like that of any other.
        "button" => {
            content.text = text(&inner["text"]);
            content.extra = json!({"button": inner});
            content.kind = "interactive".to_owned();
        }
        _ => {
            content.text = text(&message["system"]["body"]);
            content.extra = message.clone();
            content.kind = "unsupported".to_owned();
        }
    }
    if content.kind.is_empty() {
        content.kind = kind.to_owned();
    }
    if message["referral"].is_object() && content.extra.is_null() {
        content.extra = json!({"referral": message["referral"]});
    }
    content
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

fn account(field: &str, value: &Json, time: Timestamp) -> Option<Account> {
    let text = |value: &Json| value.as_str().map(str::to_owned);
    match field {
        "phone_number_quality_update" => Some(Account::Quality {
            phone: value["display_phone_number"].as_str().and_then(Address::phone),
            quality: match value["event"].as_str().unwrap_or_default() {
                "FLAGGED" => Some("RED"),
                "UNFLAGGED" => Some("GREEN"),
                _ => None,
            },
            tier: text(&value["current_limit"]),
        }),
        "business_capability_update" => {
            let most = ["max_daily_conversations_per_business", "max_daily_conversation_per_phone"];
            let most = most
                .into_iter()
                .find_map(|name| value[name].as_i64().map(|most| most.to_string()).or_else(|| text(&value[name])))?;
            let tier = match most.as_str() {
                "-1" => "TIER_UNLIMITED".to_owned(),
                most if most.starts_with("TIER_") => most.to_owned(),
                most => format!("TIER_{most}"),
            };
            Some(Account::Quality { phone: None, quality: None, tier: Some(tier) })
        }
        "account_update" => account_update(value, time),
        "message_template_status_update" => {
            let id = &value["message_template_id"];
            Some(Account::Template {
                meta_id: text(id).or_else(|| id.as_i64().map(|id| id.to_string()))?,
                status: text(&value["event"])?,
                reason: text(&value["reason"]).filter(|reason| reason != "NONE"),
                at: time,
            })
        }
        _ => None,
    }
}

/// Meta restricts for 1, 3, 5, 7 or 30 days, and disables for good.
fn account_update(value: &Json, time: Timestamp) -> Option<Account> {
    const DAY: i64 = loopd_types::DAY_US;
    let restriction = list(&value["restriction_info"]).next();
    match (value["event"].as_str()?, value["ban_info"]["waba_ban_state"].as_str()) {
        ("ACCOUNT_RESTRICTION", _) => {
            let expiration = restriction.map(|it| &it["expiration"]);
            let until = expiration.and_then(|it| it.as_i64().or_else(|| it.as_str()?.parse().ok()));
            let until = until.map_or(time.plus(DAY), |seconds| Timestamp(seconds.saturating_mul(SECOND_US)));
            let kind = restriction.and_then(|it| it["restriction_type"].as_str()).unwrap_or("RESTRICTED");
            let words = format!("WhatsApp has restricted this account ({kind}). WhatsApp Manager says why.");
            Some(Account::Restricted { until, words })
        }
        ("DISABLED_UPDATE", Some("REINSTATE")) | ("ACCOUNT_REINSTATED", _) => Some(Account::Reinstated),
        ("DISABLED_UPDATE", _) | ("ACCOUNT_DELETED", _) => Some(Account::Restricted {
            until: time.plus(365 * DAY),
            words: "WhatsApp has disabled this account. Ask for a review in WhatsApp Manager.".to_owned(),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
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
