//! [`Terms`]: what a seller says of MPP, in a challenge and again in a redemption.

use loopd_types::{Problem, Result};
use loopd_web::{Schema as _, schema as words};
use serde_json::{Map, Value as Json};

/// Characters of each.
const REALM_MOST: usize = 255;
const EXTERNAL_ID_MOST: usize = 200;
const DIGEST_MOST: usize = 200;

/// What the member `mpp` of a body says.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Terms {
    /// The protection space. The host of what is sold unless said.
    pub realm: Option<String>,
    /// The seller's own reference, which the receipt repeats.
    pub external_id: Option<String>,
    /// Of the body of the buyer's request (RFC 9530).
    pub digest: Option<String>,
}

impl Terms {
    /// Reads `mpp`; `None` without one.
    ///
    /// # Errors
    /// 400.
    pub fn read(body: &Map<String, Json>) -> Result<Option<Self>> {
        let fields = match body.get("mpp") {
            None | Some(Json::Null) => return Ok(None),
            Some(Json::Object(fields)) => fields,
            Some(_) => return Err(bad("mpp must be an object; {} is enough")),
        };
        Ok(Some(Self {
            realm: text(fields, "realm", REALM_MOST, is_of_header)?,
            external_id: text(fields, "externalId", EXTERNAL_ID_MOST, |_| true)?,
            digest: text(fields, "digest", DIGEST_MOST, is_digest)?,
        }))
    }
}

fn bad(words: impl Into<String>) -> Problem {
    Problem::invalid("bad_request", words.into())
}

fn text(fields: &Map<String, Json>, name: &str, most: usize, is_good: fn(&str) -> bool) -> Result<Option<String>> {
    match fields.get(name) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(text)) if (1..=most).contains(&text.chars().count()) && is_good(text) => {
            Ok(Some(text.clone()))
        }
        Some(_) if name == "digest" => Err(bad("mpp.digest must be like sha-256=:base64:")),
        Some(_) if name == "realm" => {
            Err(bad(format!("mpp.realm must be 1 to {REALM_MOST} visible characters of ASCII without \\, \" and |")))
        }
        Some(_) => Err(bad(format!("mpp.{name} must be a string of 1 to {most} characters"))),
    }
}

/// What stands in a quoted string as it is. A bar would let one slot of a challenge's id pass for two.
fn is_of_header(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~') && !b"\\\"|".contains(&byte))
}

fn is_digest(text: &str) -> bool {
    text.starts_with("sha-256=") && is_of_header(text)
}

pub fn schema() -> Json {
    words::object([
        (
            "realm",
            words::pattern("^[ !#-\\[\\]-{}~]{1,255}$")
                .describe("The protection space; the host of the resource unless said.")
                .example("api.example.com"),
        ),
        ("externalId", words::text(1, EXTERNAL_ID_MOST as u32).describe("Your own reference; the receipt repeats it.")),
        (
            "digest",
            words::pattern("^sha-256=[ !#-\\[\\]-{}~]{1,192}$")
                .describe("`Content-Digest` of the buyer's request, when it has a body.")
                .example("sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:"),
        ),
    ])
    .describe("Offers MPP's scheme `Payment` as well; `{}` is enough. A redemption says the same as its challenge did.")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(body: Json) -> Result<Option<Terms>> {
        Terms::read(body.as_object().unwrap())
    }

    #[test]
    fn an_empty_object_is_enough() {
        assert_eq!(read(json!({})).unwrap(), None);
        assert_eq!(read(json!({"mpp": null})).unwrap(), None);
        assert_eq!(read(json!({"mpp": {}})).unwrap(), Some(Terms::default()));
        let digest = "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:";
        let all = read(json!({"mpp": {"realm": "Shop of Ada", "externalId": "Bestellung-ß", "digest": digest}}));
        assert_eq!(all.unwrap().unwrap().realm.as_deref(), Some("Shop of Ada"));
    }

    #[test]
    fn what_no_challenge_can_carry_is_refused() {
        for mpp in [
            json!(true),
            json!([]),
            json!("x"),
            json!({"realm": ""}),
            json!({"realm": "a\"b"}),
            json!({"realm": "a|b"}),
            json!({"realm": "a\\b"}),
            json!({"realm": "a\nb"}),
            json!({"realm": "ä"}),
            json!({"realm": "x".repeat(256)}),
            json!({"realm": 7}),
            json!({"externalId": ""}),
            json!({"externalId": "x".repeat(201)}),
            json!({"digest": "md5=:x:"}),
            json!({"digest": "sha-256=\r\n"}),
            json!({"digest": "sha-256=a|b"}),
        ] {
            assert!(read(json!({"mpp": mpp.clone()})).is_err(), "{mpp}");
        }
    }
}
