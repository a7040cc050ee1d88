//! What Meta tells of the business account: its quality, its limits, its templates, and what it may not do any more.

use loopd_types::{SECOND_US, Timestamp};
use serde_json::Value as Json;

use super::list;
use crate::address::Address;
use crate::number::Rest;

/// News of the account itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Account {
    /// What customers think of a number, and to how many it may write first.
    Quality {
        phone: Option<Address>,
        quality: Option<&'static str>,
        tier: Option<String>,
    },
    /// Nothing but what people write should go out before its end.
    Restricted {
        rest: Rest,
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

/// What a change of one of the account's own fields tells; `time` is when Meta says so.
pub(super) fn account(field: &str, value: &Json, time: Timestamp) -> Option<Account> {
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
            let rest = match until {
                Some(seconds) => Rest { until: Timestamp(seconds.saturating_mul(SECOND_US)), is_told: true },
                None => Rest { until: time.plus(DAY), is_told: false },
            };
            let kind = restriction.and_then(|it| it["restriction_type"].as_str()).unwrap_or("RESTRICTED");
            let words = format!("WhatsApp has restricted this account ({kind}). WhatsApp Manager says why.");
            Some(Account::Restricted { rest, words })
        }
        ("DISABLED_UPDATE", Some("REINSTATE")) | ("ACCOUNT_REINSTATED", _) => Some(Account::Reinstated),
        ("DISABLED_UPDATE", _) | ("ACCOUNT_DELETED", _) => Some(Account::Restricted {
            rest: Rest { until: time.plus(365 * DAY), is_told: false },
            words: "WhatsApp has disabled this account. Ask for a review in WhatsApp Manager.".to_owned(),
        }),
        _ => None,
    }
}
