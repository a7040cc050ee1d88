//! What only some may see of an event. A payload may bring its own veil: a member `~veil` that says which permission lifts it, and what
//! is shown in place of the payload's own members to whoever lacks that. It is never shown itself.
//!
//! ```json
//! {"id": "0197…", "phone": "+250788123456", "~veil": {"lifted_by": "loopwave.contacts.action:see-numbers", "shown": {"phone": "+250•••••••56"}}}
//! ```
//! The veil is written with the event, so that a later change of what is veiled changes nothing of what was told before.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

const MEMBER: &str = "~veil";

/// `payload` under a veil that `permission` lifts: `shown` in place of its members of these names.
pub fn veiled(mut payload: Value, permission: &str, shown: Value) -> Value {
    payload[MEMBER] = json!({"lifted_by": permission, "shown": shown});
    payload
}

/// The payload as it is shown to somebody of whom `may` says what they are allowed.
pub fn look<'p>(payload: &'p str, may: impl FnOnce(&str) -> bool) -> Cow<'p, str> {
    if !payload.contains("\"~veil\"") {
        return Cow::Borrowed(payload);
    }
    let Ok(Value::Object(mut whole)) = serde_json::from_str::<Value>(payload) else { return Cow::Borrowed(payload) };
    let Some(veil) = whole.remove(MEMBER) else { return Cow::Borrowed(payload) };
    if !veil["lifted_by"].as_str().is_some_and(may) {
        for (name, value) in veil["shown"].as_object().unwrap_or(&Map::new()) {
            whole.insert(name.clone(), value.clone());
        }
    }
    Cow::Owned(Value::Object(whole).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_veil_hides_what_it_names_from_who_may_not_see_it_and_itself_from_everybody() {
        let payload = veiled(json!({"id": 1, "phone": "+250788123456"}), "wave.see", json!({"phone": "+250…56"}));
        let text = payload.to_string();
        assert_eq!(look(&text, |_| false), json!({"id": 1, "phone": "+250…56"}).to_string());
        assert_eq!(
            look(&text, |permission| permission == "wave.see"),
            json!({"id": 1, "phone": "+250788123456"}).to_string()
        );
    }

    #[test]
    fn what_only_speaks_of_veils_is_shown_as_it_is() {
        for text in [r#"{"note":"a \"~veil\" is"}"#, r#"{"a":{"~veil":1}}"#, r#"{"a":1}"#] {
            assert_eq!(look(text, |_| false), text);
        }
    }
}
