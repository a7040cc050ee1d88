//! What a licence that is over never stops: activating another, what customers write, and whatever takes away or stops. Who must not act
//! any more is shut out, and what must not go out any more is halted, whether or not the vendor was paid.

use std::sync::Arc;

use http::Method;
use loopd_web::rows::handled;
use loopd_web::{Call, Operation};
use serde_json::Value as Json;

use super::{gate, require_open};
use crate::Wave;

/// Besides everything that deletes.
const OPEN: [&str; 8] = [
    "loopwave_api_keys_revoke",
    "loopwave_broadcasts_cancel",
    "loopwave_broadcasts_pause",
    "loopwave_inbox_read",
    "loopwave_license_activate",
    "loopwave_license_refresh",
    "loopwave_numbers_sandbox_receive",
    "loopwave_presence_update",
];

/// Changes that only stop something, as long as nothing else is sent with them: operation, member, and its value.
const STOPS: [(&str, &str, bool); 8] = [
    ("loopwave_api_keys_partial_update", "enabled", false),
    ("loopwave_automations_partial_update", "enabled", false),
    ("loopwave_contacts_partial_update", "opted_out", true),
    ("loopwave_preferences_partial_update", "mask_numbers", true),
    ("loopwave_preferences_partial_update", "intake.form_enabled", false),
    ("loopwave_preferences_partial_update", "intake.keyword_enabled", false),
    ("loopwave_preferences_partial_update", "intake.new_chat_enabled", false),
    ("loopwave_preferences_partial_update", "rules.assignment.enabled", false),
];

/// Whether an operation goes on however the licence stands.
pub fn is_open(operation: &Operation) -> bool {
    operation.method == Method::DELETE || OPEN.contains(&operation.id.as_str())
}

/// Has an operation ask for the licence: at its door, or, where some bodies only stop something, when its body is known.
pub fn gated(operation: Operation, wave: &Arc<Wave>) -> Operation {
    if !STOPS.iter().any(|(id, ..)| *id == operation.id) {
        return operation.gated(gate(wave));
    }
    let (inner, id, wave) = (operation.handler.clone(), operation.id.clone(), wave.clone());
    handled(operation, move |call: Call| {
        let (inner, wave) = (inner.clone(), wave.clone());
        let only_stops = call.json_ref().is_ok_and(|body| only_stops(&id, body));
        async move {
            if !only_stops {
                let host = call.base_url().split_once("://").map(|(_, host)| host.to_owned());
                require_open(&wave, &call.kernel, call.tenant()?, host).await?;
            }
            inner(call).await
        }
    })
}

/// Whether a body of this operation holds something, and nothing that does more than stop.
fn only_stops(operation: &str, body: &Json) -> bool {
    let mut sent = Vec::new();
    leaves(body, "", &mut sent);
    let stops = |path: &str, value: &Json| STOPS.iter().any(|it| *it == (operation, path, value == &Json::Bool(true)));
    !sent.is_empty() && sent.iter().all(|(path, value)| value.is_boolean() && stops(path, value))
}

/// What stands in an object, by its path.
fn leaves<'j>(value: &'j Json, path: &str, found: &mut Vec<(String, &'j Json)>) {
    match value.as_object().filter(|members| !members.is_empty()) {
        Some(members) => {
            for (name, member) in members {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                leaves(member, &path, found);
            }
        }
        None => found.push((path.to_owned(), value)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_stops_something_and_nothing_else_goes_on() {
        let of_preferences = |body: Json| only_stops("loopwave_preferences_partial_update", &body);
        assert!(of_preferences(json!({"mask_numbers": true})));
        assert!(of_preferences(json!({"mask_numbers": true, "intake": {"form_enabled": false}})));
        for more in [
            json!({}),
            json!([]),
            json!(null),
            json!({"mask_numbers": false}),
            json!({"mask_numbers": 1}),
            json!({"mask_numbers": true, "quiet_minutes": 5}),
            json!({"intake": {"form_enabled": false, "form_title": "Sale"}}),
            json!({"intake": {}}),
            json!({"enabled": false}),
        ] {
            assert!(!of_preferences(more.clone()), "{more}");
        }
        assert!(only_stops("loopwave_api_keys_partial_update", &json!({"enabled": false})));
        assert!(!only_stops("loopwave_api_keys_partial_update", &json!({"enabled": false, "name": "Bot"})));
    }
}
