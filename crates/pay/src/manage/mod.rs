//! `/api/v1/loomal/…`: what signed-in people of a company do with Loomal, in LOOP's dialect and under its permissions. The console stands on
//! the same.

mod listings;

use std::sync::Arc;

use loopd_kernel::Tenant;
use loopd_store::Tx;
use loopd_types::{Problem, Result, Uuid};
use loopd_web::rows::{Rows, handled, nothing, settled};
use loopd_web::{Call, Operation, Reply, Schema as _, schema};
use serde_json::{Value as Json, json};

use crate::Pay;
use crate::mandate::store as mandates;
use crate::project::rules::NAME_MOST;
use crate::project::{Change, New, PRODUCT, Purpose, SCOPES, platform, store as projects};

const KEYS: Rows = Rows::of(PRODUCT, "platform-keys", "LoomalPlatformKey", &platform::LISTING);
const PROJECTS: Rows = Rows::of(PRODUCT, "projects", "LoomalProject", &listings::PROJECTS);
const ENDPOINTS: Rows = Rows::of(PRODUCT, "endpoints", "LoomalEndpoint", &listings::ENDPOINTS);
const PAYMENTS: Rows = Rows::of(PRODUCT, "payments", "LoomalPayment", &listings::PAYMENTS);
const MANDATES: Rows = Rows::of(PRODUCT, "mandates", "LoomalMandate", &listings::MANDATES);
const SPENDS: Rows = Rows::of(PRODUCT, "spends", "LoomalSpend", &listings::SPENDS);

/// The schemas that the operations refer to.
pub fn components() -> Vec<(String, Json)> {
    [KEYS, PROJECTS, ENDPOINTS, PAYMENTS, MANDATES, SPENDS].map(|rows| (rows.name.to_owned(), rows.schema())).to_vec()
}

pub fn operations(pay: &Arc<Pay>) -> Vec<Operation> {
    let mut all: Vec<Operation> = [KEYS, PROJECTS, ENDPOINTS, PAYMENTS, MANDATES, SPENDS]
        .into_iter()
        .flat_map(|rows| [rows.list_of_companies(), rows.retrieve_in_companies()])
        .collect();
    all.extend(key_operations());
    all.extend(project_operations());
    all.push(settled(MANDATES.action("revoke", "Take a mandate back", |tx, kernel, tenant, id, _| {
        let project = mandates::project_of(tx, tenant.company, id)?.ok_or_else(Problem::not_found)?;
        mandates::revoke(tx, kernel, tenant, project, id).map(drop)
    })));
    all.push(wallets(pay));
    all.push(crate::analytics::operation());
    all
}

fn op(rows: Rows, operation: Operation, verb: &str, summary: &str) -> Operation {
    // Keys open wallets: an operator in somebody's name makes none.
    rows.document(operation, summary).tenant(rows.product, &rows.permission(verb)).personal()
}

fn key_operations() -> Vec<Operation> {
    vec![
        handled(
            op(
                KEYS,
                Operation::post(KEYS.operation_id("create"), KEYS.url(), nothing),
                "create",
                "Make a platform key; its secret is shown this once",
            )
            .body(
                schema::object([
                    ("name", schema::text(1, 120)),
                    ("expires_at", schema::date_time().nullable()),
                    (
                        "allowed_networks",
                        schema::array(schema::string()).nullable().describe("CIDR, IPv4 or IPv6; null: from anywhere."),
                    ),
                ])
                .required(["name"]),
            )
            .responds(201, "The key with its secret in `key`.", KEYS.schema_with_key()),
            |call: Call| async move {
                let mut input = loopd_kernel::input::Input::new(call.json()?, false)?;
                let name = input.required_text("name", 120);
                let bounds = loopd_kernel::credential::KeyBounds::read(&mut input, call.kernel.now());
                input.finish()?;
                let (kernel, tenant, name) = (call.kernel.clone(), call.tenant()?.clone(), name.unwrap_or_default());
                call.commit(tenant.view(), move |tx| {
                    let minted = platform::create(tx, &kernel, &tenant, &name, &bounds)?;
                    KEYS.answer_with_key(tx, minted.id, tenant.company, &minted.secret)
                })
                .await
            },
        ),
        settled(KEYS.action(
            "revoke",
            "Revoke a platform key; the next request with it is refused",
            |tx, kernel, tenant, id, _| platform::revoke(tx, kernel, tenant, id),
        )),
        KEYS.rotation(KEYS.permission("action:rotate"), platform::rotate),
    ]
}

fn public_id(tx: &mut Tx<'_>, tenant: &Tenant, id: Uuid) -> Result<String> {
    Ok(projects::get(tx, tenant.company, id)?.public_id)
}

fn project_operations() -> Vec<Operation> {
    let body = || {
        schema::object([
            ("name", schema::text(1, NAME_MOST as u32)),
            ("purpose", schema::one_of(["BUYER", "SELLER"])),
            ("scopes", schema::array(schema::one_of(SCOPES))),
        ])
    };
    let change = schema::object([
        ("name", schema::text(1, NAME_MOST as u32)),
        ("scopes", schema::array(schema::one_of(SCOPES))),
        (
            "pay_to",
            schema::pattern("^0x[0-9a-fA-F]{40}$")
                .nullable()
                .describe("Where buyers pay; null: the project's own wallet."),
        ),
    ]);
    vec![
        handled(
            op(
                PROJECTS,
                Operation::post(PROJECTS.operation_id("create"), PROJECTS.url(), nothing),
                "create",
                "Make a project with its wallet; its key is shown this once",
            )
            .body(body().required(["name", "purpose"]))
            .responds(201, "The project with its key in `key`.", PROJECTS.schema_with_key()),
            |call: Call| async move {
                let new = read_new(call.json()?)?;
                let (kernel, tenant) = (call.kernel.clone(), call.tenant()?.clone());
                call.commit(tenant.view(), move |tx| {
                    let made = projects::create(tx, &kernel, &tenant, &new)?;
                    PROJECTS.answer_with_key(tx, made.project.id, tenant.company, &made.raw_key)
                })
                .await
            },
        ),
        settled(
            PROJECTS.write_item(
                op(
                    PROJECTS,
                    Operation::patch(PROJECTS.operation_id("partial_update"), PROJECTS.item_url(), nothing),
                    "update",
                    "Rename a project, change its scopes or where it is paid",
                )
                .body(change),
                |tx, kernel, tenant, id, body| {
                    let known = projects::get(tx, tenant.company, id)?;
                    let change = read_change(body, &known.scopes)?;
                    projects::change(tx, kernel, tenant, &known.public_id, &change).map(drop)
                },
            ),
        ),
        settled(handled(
            op(
                PROJECTS,
                Operation::post(
                    PROJECTS.operation_id("rotate_key"),
                    format!("{}rotate-key/", PROJECTS.item_url()),
                    nothing,
                ),
                "action:rotate-key",
                "Make a new key; the old one is dead at once",
            )
            .responds(201, "The project with its new key in `key`.", PROJECTS.schema_with_key()),
            |call: Call| async move {
                let (kernel, tenant, id) = (call.kernel.clone(), call.tenant()?.clone(), call.id()?);
                call.commit(tenant.view(), move |tx| {
                    let public = public_id(tx, &tenant, id)?;
                    let made = projects::rotate(tx, &kernel, &tenant, &public)?;
                    PROJECTS.answer_with_key(tx, id, tenant.company, &made.raw_key)
                })
                .await
            },
        )),
        settled(handled(
            op(
                PROJECTS,
                Operation::delete(PROJECTS.operation_id("destroy"), PROJECTS.item_url(), nothing),
                "delete",
                "Delete a project; its key is dead at once, what it was paid stays on record",
            )
            .responds_empty(204, "Deleted."),
            |call: Call| async move {
                let (kernel, tenant, id) = (call.kernel.clone(), call.tenant()?.clone(), call.id()?);
                call.commit(tenant.view(), move |tx| {
                    let public = public_id(tx, &tenant, id)?;
                    projects::delete(tx, &kernel, &tenant, &public)?;
                    Ok(Reply::no_content())
                })
                .await
            },
        )),
    ]
}

fn read_scopes(input: &mut loopd_kernel::input::Input) -> Option<Vec<String>> {
    let scopes = input.texts("scopes", 50, 100)?;
    if let Some(unknown) = scopes.iter().find(|scope| !SCOPES.contains(&scope.as_str())) {
        input.refuse("scopes", "invalid_choice", format!("\"{unknown}\" is not a valid choice."));
    }
    Some(scopes)
}

fn read_new(body: Json) -> Result<New> {
    let mut input = loopd_kernel::input::Input::new(body, false)?;
    let name = input.required_text("name", NAME_MOST);
    let purpose = input.choice("purpose", &["BUYER", "SELLER"]).and_then(|word| Purpose::parse(&word));
    if purpose.is_none() && !input.has("purpose") {
        input.refuse("purpose", "required", "This field is required.");
    }
    let scopes = read_scopes(&mut input);
    input.finish()?;
    Ok(New { name, purpose: purpose.unwrap_or(Purpose::Buyer), scopes })
}

fn read_change(body: Json, has: &[String]) -> Result<Change> {
    let mut input = loopd_kernel::input::Input::new(body, true)?;
    let name = input.required_text("name", NAME_MOST);
    let scopes = read_scopes(&mut input);
    let pay_to = match input.take_null("pay_to") {
        true => Some(None),
        false => input.text("pay_to", 42).map(Some),
    };
    let pay_to = match pay_to {
        Some(Some(text)) => match checked_address(&text) {
            Some(address) => Some(Some(address)),
            None => {
                input.refuse(
                    "pay_to",
                    "invalid",
                    "Enter an address of 0x and 40 hex digits; mixed case must be a right checksum.",
                );
                None
            }
        },
        other => other,
    };
    input.finish()?;
    let (add, remove) = match scopes {
        Some(wanted) => {
            let gone = has.iter().filter(|scope| !wanted.contains(scope)).cloned().collect();
            (wanted, gone)
        }
        None => (Vec::new(), Vec::new()),
    };
    Ok(Change { name, add, remove, pay_to })
}

/// An address in its checksummed form (EIP-55). Mixed case that is no right checksum is a typing mistake, and money would go to nobody.
fn checked_address(text: &str) -> Option<String> {
    let address: alloy_primitives::Address = text.parse().ok()?;
    let digits = text.strip_prefix("0x")?;
    let is_plain = digits.chars().all(|c| !c.is_ascii_uppercase()) || digits.chars().all(|c| !c.is_ascii_lowercase());
    (is_plain || address.to_string() == text).then(|| address.to_string())
}

/// `GET /api/v1/loomal/wallets/`: what lies in the projects' wallets.
fn wallets(pay: &Arc<Pay>) -> Operation {
    let pay = pay.clone();
    let wallet = schema::object([
        ("project", schema::uuid()),
        ("name", schema::string()),
        ("address", schema::string()),
        ("pay_to", schema::string()),
        ("network", schema::string()),
        ("balance_usdc", schema::string().nullable().describe("Null when the chain does not answer.")),
        ("sandbox", schema::boolean()),
    ]);
    let answer = schema::object([("results", schema::array(wallet))]).required(["results"]);
    Operation::get("loomal_wallets", format!("/api/v1/{PRODUCT}/wallets/"), move |call| list_wallets(call, pay.clone()))
        .tag(PRODUCT)
        .summary("What lies in the wallets of the company's newest 25 projects")
        .tenant(Some(PRODUCT), "loomal.projects.view")
        .responds(200, "The wallets, on the network that payments are asked on first.", answer)
}

async fn list_wallets(call: Call, pay: Arc<Pay>) -> Result<Reply> {
    let tenant = call.tenant()?.clone();
    let company = tenant.company;
    let page = loopd_web::cursor::Page { limit: 24, after: None };
    let found = call.kernel.db.read(tenant.view(), move |reader| projects::list(reader, company, &page)).await?;
    let network = pay.network_named(None).ok();
    let mut results = Vec::with_capacity(found.len());
    for project in found {
        let mut balance = None;
        if let Some((network, token)) = network.and_then(|it| Some((it, it.dollar()?)))
            && let Some(chain) = pay.chain(&call.kernel, network.chain)
            && let Ok(address) = project.wallet_address.parse()
        {
            balance = chain.balance(token.address, address).await.ok().and_then(|raw| i64::try_from(raw).ok());
        }
        results.push(json!({
            "project": project.id.to_string(),
            "name": project.name,
            "address": project.wallet_address,
            "pay_to": project.recipient(),
            "network": network.map(crate::evm::Network::common_name).unwrap_or_default(),
            "balance_usdc": balance.map(crate::usdc::format),
            "sandbox": pay.is_sandbox(),
        }));
    }
    Reply::json(200, &json!({"results": results}))
}

#[cfg(test)]
mod tests {
    use super::checked_address;

    #[test]
    fn an_address_is_taken_with_a_right_checksum_or_none() {
        let right = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
        for good in [right, &right.to_lowercase(), "0xF39FD6E51AAD88F6F4CE6AB8827279CFFFB92266"] {
            assert_eq!(checked_address(good).as_deref(), Some(right), "{good}");
        }
        for bad in [
            "",
            "0x",
            "f39fd6e51aad88f6f4ce6ab8827279cfffb92266",
            "0xF39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
            "0xf39f",
        ] {
            assert_eq!(checked_address(bad), None, "{bad}");
        }
    }
}
