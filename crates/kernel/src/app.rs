//! API client apps: which front end is calling (`X-LOOP-APP-ID`). Known and switched off is refused; unknown is recorded.

use loopd_store::{Reader, Tx, Value, View, params};
use loopd_types::{CompanyId, Problem, Result, Uuid};
use serde_json::Value as Json;

use crate::access::{Caller, CompanyAccess, Tenant};
use crate::audit::Told;
use crate::input::Input;
use crate::listing::{Column, ColumnKind, Listing, column, searched};
use crate::{Kernel, audit, event};

/// Apps as the API shows them. `company` is null for first-party apps.
pub const LISTING: Listing =
    Listing { from: "api_client_apps a", columns: &COLUMNS, company: Some("a.company_id"), id: "a.id", order: "a.id" };
const COLUMNS: [Column; 14] = [
    column("id", "a.id", ColumnKind::Uuid),
    searched("app_id", "a.app_id"),
    searched("name", "a.name"),
    column("kind", "a.kind", ColumnKind::Text),
    column("company", "a.company_id", ColumnKind::Company).nullable(),
    column("owner", "a.owner_id", ColumnKind::Uuid).nullable(),
    column("allowed_origins", "a.allowed_origins", ColumnKind::Json),
    column("redirect_uris", "a.redirect_uris", ColumnKind::Json),
    column("products", "a.products", ColumnKind::Json),
    column("status", "a.status", ColumnKind::Text),
    column("last_seen_at", "a.last_seen_at", ColumnKind::Time).nullable(),
    column("created_at", "a.created_at", ColumnKind::Time),
    column("updated_at", "a.updated_at", ColumnKind::Time),
    column("version", "a.version", ColumnKind::Int),
];
const TOLD: Told = Told {
    listing: &LISTING,
    fields: &["app_id", "name", "kind", "allowed_origins", "redirect_uris", "products", "status"],
    label: "name",
};
/// What an app may be.
pub const KINDS: [&str; 4] = ["web", "mobile", "server", "internal"];

/// The two app ids that the portal names (spec/loop.md 2.3, 6).
const SEEDED: [(&str, &str, &str); 2] =
    [("loop-booking-web", "LOOP Booking", "web"), ("loop-admin", "LOOP Admin", "internal")];

/// Seeds the known apps; safe to repeat.
pub async fn seed(kernel: &std::sync::Arc<Kernel>) -> Result<()> {
    let shared = kernel.clone();
    kernel
        .db
        .write(View::System, move |tx| {
            for (app_id, name, kind) in SEEDED {
                tx.execute(
                    "INSERT INTO api_client_apps (id, app_id, name, kind, allowed_origins, redirect_uris, products, status, created_at, updated_at) \
                     VALUES ($1, $2, $3, $4, $5, $5, $5, 'enabled', $6, $6) ON CONFLICT (app_id) DO NOTHING",
                    &params![shared.new_id(), app_id, name, kind, Value::Json("[]".to_owned()), shared.now()],
                )?;
            }
            Ok(())
        })
        .await
}

/// What is known of an app id.
#[derive(Clone, Debug)]
pub struct KnownApp {
    pub is_enabled: bool,
    pub company: Option<CompanyId>,
}

impl Kernel {
    /// Step 5 of the pipeline: a known app that is off is refused; an unknown one only when the company says so. Another company's
    /// app is unknown here: else whoever registers an id first, or switches it off, could shut others out who use the same.
    ///
    /// # Errors
    /// 403 `app_disabled`.
    pub(crate) async fn admit_app(&self, caller: &Caller, company: &CompanyAccess) -> Result<()> {
        let Some(app_id) = caller.origin.app_id.as_deref() else { return Ok(()) };
        let known = self.known_app(app_id).await?;
        match known.filter(|app| app.company.is_none_or(|owner| owner == company.company)) {
            Some(app) if !app.is_enabled => Err(app_disabled()),
            None if company.known_apps_only => Err(app_disabled()),
            Some(_) => {
                self.usage.saw_app(app_id, self.now());
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// The same step where no company is entered: only the installation's own apps can be off for everybody.
    ///
    /// # Errors
    /// 403 `app_disabled`.
    pub async fn admit_first_party_app(&self, caller: &Caller) -> Result<()> {
        let Some(app_id) = caller.origin.app_id.as_deref() else { return Ok(()) };
        match self.known_app(app_id).await? {
            Some(app) if app.company.is_none() && !app.is_enabled => Err(app_disabled()),
            Some(app) if app.company.is_none() => {
                self.usage.saw_app(app_id, self.now());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn known_app(&self, app_id: &str) -> Result<Option<KnownApp>> {
        if let Some(known) = self.cache.apps.get(app_id) {
            return Ok(known.as_ref().clone());
        }
        let ticket = self.cache.apps.ticket();
        let wanted = app_id.to_owned();
        let found = self
            .db
            .read(View::System, move |reader| {
                Ok(reader.first(
                    "SELECT status, company_id FROM api_client_apps WHERE app_id = $1",
                    &params![&wanted],
                    |row| {
                        Ok(KnownApp { is_enabled: row.text(0)? == "enabled", company: row.opt_i64(1)?.map(CompanyId) })
                    },
                )?)
            })
            .await?;
        self.cache.apps.put(ticket, app_id.to_owned(), std::sync::Arc::new(found.clone()));
        Ok(found)
    }
}

fn app_disabled() -> Problem {
    Problem::forbidden("app_disabled", "This app may not be used here.")
}

/// The app with this id, if it is this company's.
pub fn is_own(reader: &mut Reader<'_>, tenant: &Tenant, id: Uuid) -> Result<bool> {
    let own = "SELECT 1 FROM api_client_apps WHERE id = $1 AND company_id = $2";
    Ok(reader.first(own, &params![id, tenant.company], |_| Ok(()))?.is_some())
}

/// Makes an app of the company (`id` is `None`) or changes one.
///
/// # Errors
/// 400 with every complaint, also for a taken `app_id`; 404.
pub fn save(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    id: Option<Uuid>,
    body: Json,
    partial: bool,
) -> Result<Uuid> {
    let mut input = Input::new(body, partial)?;
    input.ignore(&["id", "company", "owner", "status", "last_seen_at", "created_at", "updated_at", "version"]);
    let app_id = if id.is_none() { input.required_text("app_id", 80) } else { None };
    if id.is_some() {
        input.ignore(&["app_id"]);
    }
    let name = input.required_text("name", 200);
    let kind = input.choice("kind", &KINDS);
    let origins = input.texts("allowed_origins", 50, 300);
    let redirects = input.texts("redirect_uris", 50, 500);
    let products = input.texts("products", 100, 80);
    if let Some(app_id) = &app_id
        && !app_id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b))
    {
        input.refuse(
            "app_id",
            "invalid",
            "Enter a valid \"slug\" consisting of letters, numbers, underscores or hyphens.",
        );
    }
    if let Some(bad) = origins.iter().flatten().find(|origin| !is_origin(origin)) {
        input.refuse(
            "allowed_origins",
            "invalid",
            format!("\"{bad}\" is not an origin such as https://app.example.com."),
        );
    }
    if let Some(unknown) = products.iter().flatten().find(|slug| kernel.catalogue.get(slug).is_none()) {
        input.refuse("products", "invalid_choice", format!("\"{unknown}\" is not a valid choice."));
    }
    input.finish()?;
    let list = |texts: Option<Vec<String>>| texts.map(|texts| Value::Json(Json::from(texts).to_string()));
    let (now, empty) = (kernel.now(), || Value::Json("[]".to_owned()));
    let before = match id {
        Some(id) => TOLD.row(tx, tenant.company, id)?,
        None => Json::Null,
    };
    let id = match id {
        None => {
            let new = kernel.new_id();
            tx.execute(
                "INSERT INTO api_client_apps (id, app_id, name, kind, company_id, owner_id, allowed_origins, redirect_uris, products, status, created_at, updated_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'enabled', $10, $10)",
                &params![
                    new, app_id.clone().unwrap_or_default(), name.unwrap_or_default(), kind.unwrap_or_else(|| "web".to_owned()),
                    tenant.company, tenant.actor.user, list(origins).unwrap_or_else(empty), list(redirects).unwrap_or_else(empty),
                    list(products).unwrap_or_else(empty), now
                ],
            )
            .map_err(|error| {
                if error.is_unique("api_client_apps", &["app_id"]) {
                    return Problem::field("app_id", "unique", "This field must be unique.").with_cause(error);
                }
                error.into()
            })?;
            new
        }
        Some(id) => {
            let changed = tx.execute(
                "UPDATE api_client_apps SET name = COALESCE($3, name), kind = COALESCE($4, kind), allowed_origins = COALESCE($5, allowed_origins), \
                 redirect_uris = COALESCE($6, redirect_uris), products = COALESCE($7, products), updated_at = $8, version = version + 1 \
                 WHERE id = $1 AND company_id = $2",
                &params![id, tenant.company, name, kind, list(origins), list(redirects), list(products), now],
            )?;
            if changed == 0 {
                return Err(Problem::not_found());
            }
            id
        }
    };
    let action = if before.is_null() { "create" } else { "update" };
    written(tx, kernel, tenant, action, "core.api_client_app.changed", id, &before)?;
    Ok(id)
}

fn is_origin(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|host| !host.is_empty() && !host.contains(['/', '?', '#', ' ', '*']))
}

/// `enable` and `disable`; counts at the next request.
///
/// # Errors
/// 404.
pub fn set_enabled(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid, enabled: bool) -> Result<()> {
    let (status, action, kind) = if enabled {
        ("enabled", "enable", "core.api_client_app.enabled")
    } else {
        ("disabled", "disable", "core.api_client_app.disabled")
    };
    let before = TOLD.row(tx, tenant.company, id)?;
    let changed = tx.execute(
        "UPDATE api_client_apps SET status = $3, updated_at = $4, version = version + 1 WHERE id = $1 AND company_id = $2",
        &params![id, tenant.company, status, kernel.now()],
    )?;
    if changed == 0 {
        return Err(Problem::not_found());
    }
    written(tx, kernel, tenant, action, kind, id, &before)
}

/// Deletes an app of the company.
///
/// # Errors
/// 404.
pub fn delete(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid) -> Result<()> {
    let before = TOLD.row(tx, tenant.company, id)?;
    let gone =
        tx.execute("DELETE FROM api_client_apps WHERE id = $1 AND company_id = $2", &params![id, tenant.company])?;
    if gone == 0 {
        return Err(Problem::not_found());
    }
    written(tx, kernel, tenant, "delete", "core.api_client_app.deleted", id, &before)
}

fn written(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    action: &str,
    kind: &str,
    id: Uuid,
    before: &Json,
) -> Result<()> {
    let (target, change) = (id.to_string(), TOLD.change(tx, tenant.company, id, before)?);
    let (label, changes) = (change.label.as_str(), change.to_text());
    let entry = audit::Entry { action, module: "core", resource: "api-client-apps", target: &target, label, changes };
    audit::record(tx, kernel, tenant, entry)?;
    event::emit(
        tx,
        kernel,
        tenant,
        kind,
        &format!("core/api-client-apps/{id}"),
        serde_json::json!({"id": target}).to_string(),
    )?;
    kernel.cache.apps.clear_on_commit(tx);
    Ok(())
}
