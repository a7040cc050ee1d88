//! What a message holds beside words and a file, as both dialects write it: a place, cards of people, what was chosen.

use loopd_web::{Schema as _, schema};
use serde_json::{Value as Json, json};

use crate::engine::Content;
use crate::mask::Sight;

/// `{latitude, longitude, name, address}` in degrees; null for what is no place.
pub fn location(content: &Content) -> Json {
    let place = &content.extra;
    if content.kind != "location" || !place["latitude"].is_number() || !place["longitude"].is_number() {
        return Json::Null;
    }
    json!({
        "latitude": place["latitude"],
        "longitude": place["longitude"],
        "name": place["name"].as_str(),
        "address": place["address"].as_str(),
    })
}

/// `[{name, phones}]` in the order that they were sent in, for somebody who sees this much of numbers; null for what is no card.
pub fn contacts(content: &Content, sight: Sight) -> Json {
    let Some(cards) = content.extra["contacts"].as_array().filter(|_| content.kind == "contacts") else {
        return Json::Null;
    };
    let shown = cards.iter().map(|card| {
        let phones: Vec<String> = phones(card).iter().map(|phone| sight.phone(phone)).collect();
        let name = card["name"]["formatted_name"].as_str();
        json!({"name": name.map(|name| sight.name(name)), "phones": phones})
    });
    shown.collect()
}

/// As WhatsApp knows them (`+250788123456`), or else as they were written.
fn phones(card: &Json) -> Vec<String> {
    let listed = card["phones"].as_array().into_iter().flatten().filter_map(|phone| {
        let known = phone["wa_id"].as_str().filter(|digits| !digits.is_empty()).map(|digits| format!("+{digits}"));
        known.or_else(|| phone["phone"].as_str().map(str::to_owned))
    });
    listed.chain(card["vcard"].as_str().into_iter().flat_map(telephones)).collect()
}

/// The values of a vCard's lines `TEL` (RFC 6350, 6.4.1), with or without a group (`item1.TEL`).
fn telephones(vcard: &str) -> impl Iterator<Item = String> {
    vcard.lines().filter_map(|line| {
        let (property, value) = line.split_once(':')?;
        let name = property.split(';').next()?.rsplit('.').next()?;
        let value = value.trim().trim_start_matches("tel:");
        (name.eq_ignore_ascii_case("tel") && !value.is_empty()).then(|| value.to_owned())
    })
}

/// `{id, title}`: what was tapped, by the id that the buttons or the list had; null where nothing was chosen.
pub fn choice(content: &Content) -> Json {
    let extra = &content.extra;
    if content.kind != "interactive" {
        return Json::Null;
    }
    let (id, title) = match extra["type"].as_str() {
        Some(kind) => (&extra[kind]["id"], &extra[kind]["title"]),
        // A template's button.
        None if extra["button"].is_object() => (&extra["button"]["payload"], &extra["button"]["text"]),
        None => (&extra["id"], &extra["title"]),
    };
    if !id.is_string() && !title.is_string() {
        return Json::Null;
    }
    json!({"id": id.as_str(), "title": title.as_str()})
}

/// The three with their schemas.
pub fn fields() -> [(&'static str, Json); 3] {
    let all = |fields: &[(&'static str, Json)]| {
        schema::object(fields.iter().cloned()).required(fields.iter().map(|(name, _)| *name))
    };
    let place = all(&[
        ("latitude", schema::number()),
        ("longitude", schema::number()),
        ("name", schema::string().nullable()),
        ("address", schema::string().nullable()),
    ]);
    let card = all(&[("name", schema::string().nullable()), ("phones", schema::array(schema::string()))]);
    let chosen = all(&[("id", schema::string().nullable()), ("title", schema::string().nullable())]);
    [
        ("location", place.nullable().describe("A place, in degrees.")),
        ("contacts", schema::array(card).nullable().describe("Cards of people.")),
        ("choice", chosen.nullable().describe("What was tapped, by the id that the button or the list's row had.")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: &str, extra: Json) -> Content {
        Content { kind: kind.to_owned(), extra, ..Content::default() }
    }

    #[test]
    fn a_card_has_its_numbers_in_either_form_and_masked_for_who_may_not_see_them() {
        let vcard = "BEGIN:VCARD\r\nFN:Aline\r\nitem1.TEL;waid=250788123456:+250 788 123 456\r\nTEL;VALUE=uri:tel:+250788000002\r\nEMAIL:tel@example.com\r\nEND:VCARD";
        let cards = of(
            "contacts",
            json!({"contacts": [
                {"name": {"formatted_name": "Aline"}, "phones": [{"phone": "0788 123 456", "wa_id": "250788123456"}, {"phone": "0788 1"}]},
                {"name": {"formatted_name": "+250788123456"}, "vcard": vcard},
            ]}),
        );
        let full = contacts(&cards, Sight::Full);
        assert_eq!(full[0], json!({"name": "Aline", "phones": ["+250788123456", "0788 1"]}));
        assert_eq!(full[1]["phones"], json!(["+250 788 123 456", "+250788000002"]));
        let masked = contacts(&cards, Sight::Masked);
        assert_eq!(masked[1], json!({"name": "+250•••••••56", "phones": ["+250•••••••56", "+250•••••••02"]}));
        assert_eq!(contacts(&of("text", Json::Null), Sight::Full), Json::Null);
    }

    #[test]
    fn what_was_chosen_is_told_by_its_id_in_every_engines_words() {
        let yes = json!({"id": "y", "title": "Yes"});
        for extra in [
            json!({"type": "button_reply", "button_reply": {"id": "y", "title": "Yes"}}),
            json!({"type": "list_reply", "list_reply": {"id": "y", "title": "Yes", "description": "of course"}}),
            json!({"button": {"payload": "y", "text": "Yes"}}),
            yes.clone(),
        ] {
            assert_eq!(choice(&of("interactive", extra)), yes);
        }
        for extra in [
            json!({"buttons": [yes]}),
            json!({"list": {"button": "Choose", "sections": []}}),
            json!({"type": "nfm_reply", "nfm_reply": {"response_json": "{}", "name": "flow"}}),
        ] {
            assert_eq!(choice(&of("interactive", extra)), Json::Null);
        }
    }

    #[test]
    fn a_place_without_degrees_is_none() {
        let here = json!({"latitude": -1.95, "longitude": 30.06, "name": "Kigali"});
        assert_eq!(
            location(&of("location", here)),
            json!({"latitude": -1.95, "longitude": 30.06, "name": "Kigali", "address": null})
        );
        assert_eq!(location(&of("location", json!({"name": "Kigali"}))), Json::Null);
    }
}
