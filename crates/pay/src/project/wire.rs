//! Projects as clients read them (spec/loomal.md 6). Gen-1 clients know them as identities with a mailbox; there is none here, so its
//! address is null.

use loopd_types::Problem;
use loopd_web::{Schema as _, schema};
use serde_json::{Map, Value as Json, json};

use super::rules::{self, NAME_MOST, Purpose};
use super::store::{Change, Made, New, Project};
use crate::wire::{iso, opt_iso};

/// What `type` says: the only type there ever was.
const TYPE: &str = "INBOX";

/// A row of the list of identities.
pub fn row(project: &Project) -> Json {
    json!({
        "identityId": project.public_id,
        "name": project.name,
        "type": TYPE,
        "purpose": project.purpose.as_str(),
        "email": null,
        "scopes": project.scopes,
        "usageCount": project.use_count,
        "lastUsedAt": opt_iso(project.last_used_at),
        "createdAt": iso(project.created_at),
    })
}

/// One identity: its row and what its key begins with.
pub fn one(project: &Project) -> Json {
    let mut out = row(project);
    out["apiKeyPrefix"] = json!(project.key_prefix);
    out["wallet"] = json!({"address": project.wallet_address, "payTo": project.recipient()});
    out
}

/// The answer to a creation: the only one with the key.
pub fn made(made: &Made) -> Json {
    let project = &made.project;
    json!({
        "identityId": project.public_id,
        "name": project.name,
        "type": TYPE,
        "purpose": project.purpose.as_str(),
        "emailAddress": null,
        "scopes": project.scopes,
        "apiKeyPrefix": project.key_prefix,
        "rawKey": made.raw_key,
        "createdAt": iso(project.created_at),
    })
}

/// The answer to a rotation.
pub fn rotated(made: &Made) -> Json {
    json!({
        "identityId": made.project.public_id,
        "rawKey": made.raw_key,
        "apiKeyPrefix": made.project.key_prefix,
        "message": "Key rotated. The old key is now invalid.",
    })
}

/// Who a project's own key is.
pub fn whoami(project: &Project, did: &str) -> Json {
    json!({
        "identityId": project.public_id,
        "name": project.name,
        "email": null,
        "displayName": project.name,
        "did": did,
        "type": TYPE,
        "purpose": project.purpose.as_str(),
        "scopes": project.scopes,
        "usageCount": project.use_count,
        "lastUsedAt": opt_iso(project.last_used_at),
        "createdAt": iso(project.created_at),
        "wallet": {"address": project.wallet_address},
    })
}

/// Reads the body of a creation.
///
/// # Errors
/// 400.
pub fn read_new(body: &Map<String, Json>) -> Result<New, Problem> {
    let purpose = match body.get("purpose") {
        None | Some(Json::Null) => Purpose::Buyer,
        Some(word) => word.as_str().and_then(Purpose::parse).ok_or_else(|| bad("purpose must be BUYER or SELLER"))?,
    };
    Ok(New { name: read_name(body)?, purpose, scopes: read_words(body, "scopes")? })
}

/// Reads the body of a change.
///
/// # Errors
/// 400.
pub fn read_change(body: &Map<String, Json>) -> Result<Change, Problem> {
    Ok(Change {
        name: read_name(body)?,
        add: read_words(body, "addScopes")?.unwrap_or_default(),
        remove: read_words(body, "removeScopes")?.unwrap_or_default(),
        pay_to: None,
    })
}

pub fn bad(words: impl Into<String>) -> Problem {
    Problem::invalid("bad_request", words.into())
}

fn read_name(body: &Map<String, Json>) -> Result<Option<String>, Problem> {
    match body.get("name") {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(name)) => match name.trim() {
            "" => Err(bad("name must not be empty")),
            name if name.chars().count() > NAME_MOST => {
                Err(bad(format!("name must have at most {NAME_MOST} characters")))
            }
            name => Ok(Some(name.to_owned())),
        },
        Some(_) => Err(bad("name must be a string")),
    }
}

fn read_words(body: &Map<String, Json>, field: &str) -> Result<Option<Vec<String>>, Problem> {
    match body.get(field) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::Array(items)) if items.len() <= 100 => {
            let words: Option<Vec<String>> = items.iter().map(|item| item.as_str().map(str::to_owned)).collect();
            words.map(Some).ok_or_else(|| bad(format!("{field} must be a list of strings")))
        }
        Some(_) => Err(bad(format!("{field} must be a list of strings"))),
    }
}

fn scopes_schema() -> Json {
    schema::array(schema::one_of(rules::SCOPES))
}

/// Fields of every representation.
fn base_schema() -> Vec<(&'static str, Json)> {
    vec![
        ("identityId", schema::pattern("^id-[0-9a-f]{16}$")),
        ("name", schema::string()),
        ("type", schema::constant(TYPE)),
        ("purpose", schema::one_of(["BUYER", "SELLER"])),
        ("scopes", scopes_schema()),
        ("createdAt", schema::date_time()),
    ]
}

fn with(more: impl IntoIterator<Item = (&'static str, Json)>) -> Json {
    let mut fields = base_schema();
    fields.extend(more);
    let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
    schema::object(fields.clone()).required(names)
}

fn usage_schema() -> [(&'static str, Json); 2] {
    [("usageCount", schema::integer()), ("lastUsedAt", schema::date_time().nullable())]
}

pub fn row_schema() -> Json {
    let [count, last] = usage_schema();
    with([("email", schema::string().nullable()), count, last])
}

pub fn one_schema() -> Json {
    let [count, last] = usage_schema();
    let wallet = schema::object([("address", schema::string()), ("payTo", schema::string())]);
    with([("email", schema::string().nullable()), count, last, ("apiKeyPrefix", schema::string()), ("wallet", wallet)])
}

pub fn made_schema() -> Json {
    with([
        ("emailAddress", schema::string().nullable()),
        ("apiKeyPrefix", schema::string()),
        ("rawKey", schema::pattern("^loid-[0-9a-f]{64}$")),
    ])
}

pub fn whoami_schema() -> Json {
    let [count, last] = usage_schema();
    with([
        ("email", schema::string().nullable()),
        ("displayName", schema::string()),
        ("did", schema::string()),
        count,
        last,
        ("wallet", schema::object([("address", schema::string())]).nullable()),
    ])
}

pub fn new_schema() -> Json {
    schema::object([
        ("purpose", schema::one_of(["BUYER", "SELLER"]).describe("BUYER unless said.")),
        ("name", schema::text(1, NAME_MOST as u32).describe("Three words unless said.")),
        ("emailName", schema::string().describe("Taken and left aside: there is no mailbox.")),
        (
            "scopes",
            schema::array(schema::string()).describe("What the purpose needs unless said; unknown ones are left out."),
        ),
    ])
}

pub fn change_schema() -> Json {
    schema::object([
        ("name", schema::text(1, NAME_MOST as u32)),
        ("addScopes", schema::array(schema::string())),
        ("removeScopes", schema::array(schema::string())),
    ])
}
