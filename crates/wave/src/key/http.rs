//! `/api/v1/loopwave/api-keys/…`: administrators make and revoke keys.

use loopd_kernel::credential::KeyBounds;
use loopd_kernel::input::Input;
use loopd_types::{Problem, Result, Timestamp};
use loopd_web::rows::{Rows, handled, nothing, settled};
use loopd_web::{Call, Operation, Reply, Schema as _, schema};
use serde_json::Value as Json;

use super::SCOPES;
use super::store::{self, Change};
use crate::PRODUCT;

pub const KEYS: Rows = Rows::of(PRODUCT, "api-keys", "LoopwaveApiKey", &store::LISTING);

const NAME_MOST: usize = 120;

/// The schemas that the operations refer to.
pub fn components() -> Vec<(String, Json)> {
    vec![(KEYS.name.to_owned(), KEYS.schema())]
}

pub fn operations() -> Vec<Operation> {
    let networks = || schema::array(schema::string()).nullable().describe("CIDR, IPv4 or IPv6; null: from anywhere.");
    let body = schema::object([
        ("name", schema::text(1, NAME_MOST as u32)),
        ("scopes", schema::array(schema::one_of(SCOPES)).describe("Everything (`*`) unless said.")),
        ("expires_at", schema::date_time().nullable()),
        ("allowed_networks", networks()),
    ])
    .required(["name"]);
    let change = schema::object([
        ("name", schema::text(1, NAME_MOST as u32)),
        ("scopes", schema::array(schema::one_of(SCOPES))),
        ("enabled", schema::boolean()),
        ("expires_at", schema::date_time().nullable()),
        ("allowed_networks", networks()),
    ]);
    vec![
        KEYS.list_of_companies(),
        KEYS.retrieve_in_companies(),
        handled(
            KEYS.document(
                Operation::post(KEYS.operation_id("create"), KEYS.url(), nothing),
                "Make a key of the public API; its secret is shown this once",
            )
            .tenant(KEYS.product, &KEYS.permission("action:manage"))
            .personal()
            .body(body)
            .responds(201, "The key with its secret in `key`.", KEYS.schema_with_key()),
            create,
        ),
        settled(
            KEYS.write_item(
                KEYS.document(
                    Operation::patch(KEYS.operation_id("partial_update"), KEYS.item_url(), nothing),
                    "Rename a key, change what it may, from where and until when, switch it off or on",
                )
                .tenant(KEYS.product, &KEYS.permission("action:manage"))
                .personal()
                .body(change),
                |tx, kernel, tenant, id, body| store::change(tx, kernel, tenant, id, &read_change(body, kernel.now())?),
            ),
        ),
        settled(
            KEYS.write_item(
                KEYS.action_document("revoke", "Revoke a key; the next request with it is refused")
                    .tenant(KEYS.product, &KEYS.permission("action:manage"))
                    .personal(),
                |tx, kernel, tenant, id, _| store::revoke(tx, kernel, tenant, id),
            ),
        ),
        KEYS.rotation(KEYS.permission("action:manage"), store::rotate),
    ]
}

fn read_scopes(input: &mut Input) -> Option<Vec<String>> {
    let scopes = input.texts("scopes", SCOPES.len(), 40)?;
    if let Some(unknown) = scopes.iter().find(|scope| !SCOPES.contains(&scope.as_str())) {
        let words = format!("\"{unknown}\" is not a valid choice.");
        input.refuse("scopes", "invalid_choice", words);
    }
    Some(scopes)
}

fn read_change(body: Json, now: Timestamp) -> Result<Change> {
    let mut input = Input::new(body, true)?;
    let name = input.text("name", NAME_MOST);
    if name.as_deref() == Some("") {
        input.refuse("name", "blank", "This field may not be blank.");
    }
    let scopes = read_scopes(&mut input);
    refuse_no_scopes(&mut input, scopes.as_ref());
    let is_enabled = input.boolean("enabled");
    let bounds = KeyBounds::read(&mut input, now);
    input.finish()?;
    Ok(Change { name, scopes, is_enabled, bounds })
}

/// A list without a scope opens nothing; nobody means that, and nobody may take it for everything.
fn refuse_no_scopes(input: &mut Input, scopes: Option<&Vec<String>>) {
    if scopes.is_some_and(Vec::is_empty) {
        input.refuse("scopes", "empty", "This list may not be empty; `*` is everything.");
    }
}

async fn create(call: Call) -> Result<Reply> {
    let mut input = Input::new(call.json()?, false)?;
    let name = input.required_text("name", NAME_MOST);
    let scopes = read_scopes(&mut input);
    refuse_no_scopes(&mut input, scopes.as_ref());
    let bounds = KeyBounds::read(&mut input, call.kernel.now());
    input.finish()?;
    let name = name.ok_or_else(|| Problem::internal("input that was checked is gone"))?;
    let scopes = scopes.unwrap_or_else(|| vec!["*".to_owned()]);
    let (kernel, tenant) = (call.kernel.clone(), call.tenant()?.clone());
    call.commit(tenant.view(), move |tx| {
        let minted = store::create(tx, &kernel, &tenant, &name, &scopes, &bounds)?;
        KEYS.answer_with_key(tx, minted.id, tenant.company, &minted.secret)
    })
    .await
}
