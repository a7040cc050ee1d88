//! Providers as rows: of a company, by who may manage them there, or of the whole installation, by superusers.

use loopd_store::{Reader, Tx, Value as Sql, params};
use loopd_types::{CompanyCode, CompanyId, Problem, Result, Secret, Uuid};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::opened;
use crate::access::{Actor, Tenant};
use crate::audit::{self, INSTALLATION, Told};
use crate::egress::Url;
use crate::input::Input;
use crate::listing::{Column, ColumnKind, Listing, column, searched};
use crate::permission::PermissionSet;
use crate::{Kernel, event, role};

/// Providers as the API shows them; never the secret.
pub const LISTING: Listing = Listing {
    from: "oidc_providers o",
    columns: &COLUMNS,
    company: Some("o.company_id"),
    id: "o.id",
    order: "o.company_id, o.id",
};
const COLUMNS: [Column; 15] = [
    column("id", "o.id", ColumnKind::Uuid),
    column("company", "o.company_id", ColumnKind::Company).nullable(),
    searched("name", "o.name"),
    searched("issuer", "o.issuer"),
    column("client_id", "o.client_id", ColumnKind::Text),
    column("scopes", "o.scopes", ColumnKind::Json),
    column("redirect_uris", "o.redirect_uris", ColumnKind::Json),
    column("groups_claim", "o.groups_claim", ColumnKind::Text),
    column("role_mapping", "o.role_mapping", ColumnKind::Json),
    column("creates_users", "o.creates_users", ColumnKind::Bool),
    column("trusts_mfa", "o.trusts_mfa", ColumnKind::Bool),
    column("is_enabled", "o.is_enabled", ColumnKind::Bool),
    column("created_at", "o.created_at", ColumnKind::Time),
    column("updated_at", "o.updated_at", ColumnKind::Time),
    column("version", "o.version", ColumnKind::Int),
];
const TOLD: Told = Told {
    listing: &LISTING,
    fields: &[
        "name",
        "issuer",
        "client_id",
        "scopes",
        "redirect_uris",
        "groups_claim",
        "role_mapping",
        "creates_users",
        "trusts_mfa",
        "is_enabled",
    ],
    label: "name",
};
const READ_ONLY: [&str; 5] = ["id", "company", "created_at", "updated_at", "version"];

/// Who sets a provider up, and for whom.
#[derive(Clone, Copy)]
pub enum Scope<'a> {
    Company(&'a Tenant),
    /// Superusers only; the caller has checked.
    Installation(&'a Actor),
}

impl Scope<'_> {
    fn company(&self) -> CompanyId {
        match self {
            Self::Company(tenant) => tenant.company,
            Self::Installation(_) => INSTALLATION,
        }
    }
    fn actor(&self) -> &Actor {
        match self {
            Self::Company(tenant) => &tenant.actor,
            Self::Installation(actor) => actor,
        }
    }
}

/// A group of the provider's and the role that it gives. The first rule of a company that matches decides.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    pub group: String,
    pub role: String,
    /// The company's code; only, and always, for providers of the installation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub company: Option<String>,
}

/// A provider as a sign-in needs it.
#[derive(Clone, Debug)]
pub struct Provider {
    pub id: Uuid,
    pub company: CompanyId,
    pub issuer: String,
    pub client_id: String,
    pub client_secret: Option<Secret<String>>,
    pub scopes: Vec<String>,
    pub redirect_uris: Vec<String>,
    pub groups_claim: String,
    pub rules: Vec<Rule>,
    pub creates_users: bool,
    pub trusts_mfa: bool,
    pub configured_by: Option<Uuid>,
}

impl Provider {
    /// The one company that it vouches for; `None` for the installation's.
    pub fn confined_to(&self) -> Option<CompanyId> {
        (self.company != INSTALLATION).then_some(self.company)
    }
}

fn context(id: Uuid) -> String {
    format!("oidc_providers.client_secret {id}")
}

/// # Errors
/// 404 for one that is unknown or switched off.
pub fn get(reader: &mut Reader<'_>, kernel: &Kernel, id: Uuid) -> Result<Provider> {
    let found = reader.first(
        "SELECT company_id, issuer, client_id, client_secret, scopes, redirect_uris, groups_claim, role_mapping, creates_users, trusts_mfa, \
         configured_by FROM oidc_providers WHERE id = $1 AND is_enabled",
        &params![id],
        |row| {
            Ok((
                Provider {
                    id,
                    company: CompanyId(row.i64(0)?),
                    issuer: row.text(1)?.to_owned(),
                    client_id: row.text(2)?.to_owned(),
                    client_secret: None,
                    scopes: serde_json::from_str(row.json(4)?).unwrap_or_default(),
                    redirect_uris: serde_json::from_str(row.json(5)?).unwrap_or_default(),
                    groups_claim: row.text(6)?.to_owned(),
                    rules: serde_json::from_str(row.json(7)?).unwrap_or_default(),
                    creates_users: row.bool(8)?,
                    trusts_mfa: row.bool(9)?,
                    configured_by: row.opt_uuid(10)?,
                },
                row.opt_bytes(3)?.map(<[u8]>::to_vec),
            ))
        },
    )?;
    let (mut provider, sealed) = found.ok_or_else(Problem::not_found)?;
    if let Some(sealed) = sealed {
        let plain = kernel.vault.open(&context(id), &sealed)?;
        provider.client_secret = Some(Secret::new(String::from_utf8(plain).map_err(Problem::internal)?));
    }
    Ok(provider)
}

/// The installation's providers that people may choose among.
pub fn offered(reader: &mut Reader<'_>) -> Result<Vec<Value>> {
    Ok(reader.query(
        "SELECT id, name FROM oidc_providers WHERE company_id = $1 AND is_enabled ORDER BY name, id",
        &params![INSTALLATION],
        |row| Ok(json!({"id": row.uuid(0)?.to_string(), "name": row.text(1)?})),
    )?)
}

/// Makes a provider (`id` is `None`) or changes one. An absent secret stays, an empty one is taken away. What it opened ends when it is
/// switched off; when it is no longer trusted for second factors, the sessions that were opened on its word show one factor only.
///
/// # Errors
/// 400 with every complaint; 403 for a role that allows more than the caller's own; 404.
pub fn save(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    scope: Scope<'_>,
    id: Option<Uuid>,
    body: Value,
    partial: bool,
) -> Result<Uuid> {
    let mut input = Input::new(body, partial)?;
    input.ignore(&READ_ONLY);
    let name = input.required_text("name", 120);
    let issuer = input.required_text("issuer", 500);
    let client_id = input.required_text("client_id", 500);
    let secret = input.text("client_secret", 2_000);
    let scopes = input.texts("scopes", 50, 200);
    let redirect_uris = input.texts("redirect_uris", 20, 500);
    let groups_claim = input.text("groups_claim", 200).filter(|claim| !claim.is_empty());
    let rules = input.list("role_mapping", 500);
    let creates_users = input.boolean("creates_users");
    let trusts_mfa = input.boolean("trusts_mfa");
    let is_enabled = input.boolean("is_enabled");
    if let Some(issuer) = &issuer
        && let Err(words) = check_issuer(kernel, issuer)
    {
        input.refuse("issuer", "invalid", words);
    }
    match &redirect_uris {
        Some(list) if list.is_empty() || list.iter().any(|uri| !is_redirect(uri)) => {
            input.refuse("redirect_uris", "invalid", "Name at least one absolute address, without a fragment.");
        }
        None if !partial => input.refuse("redirect_uris", "required", "This field is required."),
        _ => {}
    }
    let rules = rules.map(|list| read_rules(tx, scope, list, &mut input)).transpose()?;
    input.finish()?;
    let now = kernel.now();
    let as_json = |list: Vec<String>| Sql::Json(Value::from(list).to_string());
    let rules = match &rules {
        Some(rules) => Some(Sql::Json(serde_json::to_string(rules).map_err(Problem::internal)?)),
        None => None,
    };
    let row = id.unwrap_or_else(|| kernel.new_id());
    let sealed = match secret.as_deref() {
        Some(text) if !text.is_empty() => {
            Some(Sql::Bytes(kernel.vault.seal(kernel.rng.as_ref(), &context(row), text.as_bytes())?))
        }
        _ => None,
    };
    let before = match id {
        Some(id) => TOLD.row(tx, scope.company(), id)?,
        None => Value::Null,
    };
    if id.is_some() {
        // Whoever changes the rules answers for them from now on.
        let changed = tx.execute(
            "UPDATE oidc_providers SET name = COALESCE($3, name), issuer = COALESCE($4, issuer), client_id = COALESCE($5, client_id), \
             client_secret = CASE WHEN $6 THEN $7 ELSE client_secret END, scopes = COALESCE($8, scopes), \
             redirect_uris = COALESCE($9, redirect_uris), groups_claim = COALESCE($10, groups_claim), \
             role_mapping = COALESCE($11, role_mapping), creates_users = COALESCE($12, creates_users), \
             trusts_mfa = COALESCE($13, trusts_mfa), is_enabled = COALESCE($14, is_enabled), \
             configured_by = CASE WHEN $15 THEN $16 ELSE configured_by END, updated_at = $17, version = version + 1 \
             WHERE company_id = $1 AND id = $2",
            &params![
                scope.company(), row, name, issuer, client_id, secret.is_some(), sealed, scopes.map(as_json),
                redirect_uris.map(as_json), groups_claim, rules.clone(), creates_users, trusts_mfa, is_enabled,
                rules.is_some(), scope.actor().user, now
            ],
        )?;
        if changed == 0 {
            return Err(Problem::not_found());
        }
    } else {
        let scopes = scopes.unwrap_or_else(|| ["openid", "email", "profile"].map(str::to_owned).to_vec());
        tx.execute(
            "INSERT INTO oidc_providers (company_id, id, name, issuer, client_id, client_secret, scopes, redirect_uris, groups_claim, \
             role_mapping, creates_users, trusts_mfa, is_enabled, configured_by, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $15)",
            &params![
                scope.company(), row, name.unwrap_or_default(), issuer.unwrap_or_default(), client_id.unwrap_or_default(), sealed,
                as_json(scopes), as_json(redirect_uris.unwrap_or_default()), groups_claim.unwrap_or_else(|| "groups".to_owned()),
                rules.unwrap_or_else(|| Sql::Json("[]".to_owned())), creates_users.unwrap_or(false), trusts_mfa.unwrap_or(false),
                is_enabled.unwrap_or(true), scope.actor().user, now
            ],
        )?;
    }
    let ended = if is_enabled == Some(false) { opened::end(tx, kernel, row, "provider switched off")? } else { 0 };
    if trusts_mfa == Some(false) {
        opened::distrust(tx, kernel, row)?;
    }
    let action = if id.is_some() { "update" } else { "create" };
    written(tx, kernel, scope, action, row, &before, (secret.is_some(), ended))?;
    Ok(row)
}

/// Deletes a provider, and with it who its subjects are and what it opened. Memberships that it gave stay as they are.
///
/// # Errors
/// 404.
pub fn delete(tx: &mut Tx<'_>, kernel: &Kernel, scope: Scope<'_>, id: Uuid) -> Result<()> {
    let before = TOLD.row(tx, scope.company(), id)?;
    let sql = "DELETE FROM oidc_providers WHERE company_id = $1 AND id = $2";
    if tx.execute(sql, &params![scope.company(), id])? == 0 {
        return Err(Problem::not_found());
    }
    let ended = opened::end(tx, kernel, id, "provider deleted")?;
    written(tx, kernel, scope, "delete", id, &before, (false, ended))
}

/// An issuer is an https address without query and fragment (OpenID Connect Discovery 1.0, 3); plain http is for development.
fn check_issuer(kernel: &Kernel, issuer: &str) -> Result<(), String> {
    let url = Url::parse(issuer).map_err(|_| "Enter a valid URL.".to_owned())?;
    let is_secure = url.scheme() == "https" || (url.scheme() == "http" && !kernel.settings.environment.is_production());
    if !is_secure || url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
        return Err("An issuer is an https address without query, fragment and name.".to_owned());
    }
    kernel.egress.check(&url).map_err(|refused| refused.to_string())
}

fn is_redirect(uri: &str) -> bool {
    Url::parse(uri).is_ok_and(|url| !url.cannot_be_a_base() && url.fragment().is_none())
}

/// Reads the rules; each role must be one that the caller may give, and never the owner's, which is handed over and not given.
fn read_rules(tx: &mut Tx<'_>, scope: Scope<'_>, list: Vec<Value>, input: &mut Input) -> Result<Vec<Rule>> {
    let mut rules = Vec::with_capacity(list.len());
    for item in list {
        let Ok(rule) = serde_json::from_value::<Rule>(item) else {
            input.refuse(
                "role_mapping",
                "invalid",
                "A rule is {\"group\", \"role\"}, and \"company\" for the installation's.",
            );
            continue;
        };
        let company = match (scope, rule.company.as_deref().map(CompanyCode::parse)) {
            (Scope::Company(tenant), None) => tenant.company,
            (Scope::Installation(_), Some(Some(code))) => code.0,
            _ => {
                input.refuse("role_mapping", "invalid", "Rules of the installation, and only they, name a company.");
                continue;
            }
        };
        match permissions_of(tx, company, &rule.role)? {
            Some(wanted) if rule.role != "owner" => {
                if let Scope::Company(tenant) = scope
                    && !tenant.holds(&wanted)
                {
                    let words = "You cannot give a role that allows more than your own.";
                    return Err(Problem::forbidden("permission_denied", words));
                }
                rules.push(rule);
            }
            _ => input.refuse("role_mapping", "invalid_choice", format!("\"{}\" is not a valid choice.", rule.role)),
        }
    }
    Ok(rules)
}

/// What a role of a company allows.
pub fn permissions_of(reader: &mut Reader<'_>, company: CompanyId, slug: &str) -> Result<Option<PermissionSet>> {
    let sql = "SELECT permissions, is_system FROM roles WHERE company_id = $1 AND slug = $2";
    Ok(reader.first(sql, &params![company, slug], |row| Ok(role::permissions_of(slug, row.bool(1)?, row.json(0)?)))?)
}

/// `before`: the row as it was; null for a new one. That there is another secret is told, and never which; also how many sessions ended.
fn written(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    scope: Scope<'_>,
    action: &str,
    id: Uuid,
    before: &Value,
    (has_new_secret, ended_sessions): (bool, u64),
) -> Result<()> {
    let (target, mut change) = (id.to_string(), TOLD.change(tx, scope.company(), id, before)?);
    if has_new_secret {
        change.fields.insert("client_secret".to_owned(), json!([null, "changed"]));
    }
    if ended_sessions > 0 {
        change.fields.insert("sessions_ended".to_owned(), json!([null, ended_sessions]));
    }
    let (label, changes) = (change.label.as_str(), change.to_text());
    let entry = audit::Entry { action, module: "core", resource: "oidc-providers", target: &target, label, changes };
    audit::record_by(tx, kernel, scope.company(), scope.actor(), entry)?;
    if let Scope::Company(tenant) = scope {
        let kind = match action {
            "create" => "core.oidc_provider.created",
            "delete" => "core.oidc_provider.deleted",
            _ => "core.oidc_provider.updated",
        };
        let subject = format!("core/oidc-providers/{id}");
        event::emit(tx, kernel, tenant, kind, &subject, json!({"id": target}).to_string())?;
    }
    Ok(())
}
