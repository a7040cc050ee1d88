//! The audit log: who did what to which row, through what, from where. Written in the transaction that does it.

mod told;

pub use told::{Change, Told, differences};

use loopd_store::{StoreError, Tx, Value, View, params};
use loopd_types::{CompanyId, DAY_US, Ids, Result, Timestamp, Uuid};

use crate::Kernel;
use crate::access::{Actor, Tenant};
use crate::listing::{Column, ColumnKind, Conditions, Listing, column, searched};

/// What happened to what.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// `create`, `update`, `delete`, `restore`, an action's name, `login`, …
    pub action: &'a str,
    pub module: &'a str,
    pub resource: &'a str,
    pub target: &'a str,
    /// How people name the row: its number, code or title.
    pub label: &'a str,
    /// `{"field": [before, after]}` as JSON text; `None` where the event holds the whole row.
    pub changes: Option<String>,
}

const INSERT: &str = "INSERT INTO audit_logs (company_id, id, at, action, module, resource, target_id, target_label, \
     actor_user_id, credential_id, app_id, address, request_id, reason, changes, impersonator_user_id, \
     is_creation) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)";
/// The rows that tell of one record: of company `$1`, with the id `$2` as text and `$3` as itself. That of its making has the record's
/// id and is in no index of targets ([`record_creation`]).
pub const OF_RECORD: &str = "company_id = $1 AND (target_id = $2 AND NOT is_creation OR id = $3 AND is_creation)";

/// Records an act of a tenant's caller.
pub fn record(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, entry: Entry<'_>) -> Result<(), StoreError> {
    record_by(tx, kernel, tenant.company, &tenant.actor, entry)
}

/// Records that a caller made the record `id` just now, under that id: a row is found by it, and needs no second entry to be found by its
/// target. `id` must be new ([`Kernel::new_id`] in this transaction), because rows stand, and are sealed, by the time that their ids tell.
pub fn record_creation(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    id: Uuid,
    entry: Entry<'_>,
) -> Result<(), StoreError> {
    write(tx, kernel, tenant.company, &tenant.actor, (id, true), entry)
}

/// Records an act in a company, or in the installation (`CompanyId(0)`).
pub fn record_by(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    company: CompanyId,
    actor: &Actor,
    entry: Entry<'_>,
) -> Result<(), StoreError> {
    write(tx, kernel, company, actor, (kernel.new_id(), false), entry)
}

fn write(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    company: CompanyId,
    actor: &Actor,
    (id, is_creation): (Uuid, bool),
    entry: Entry<'_>,
) -> Result<(), StoreError> {
    let Entry { action, module, resource, target, label, changes } = entry;
    let origin = actor.origin.as_ref();
    tx.push(
        INSERT,
        params![
            company,
            id,
            kernel.now(),
            action,
            module,
            resource,
            target,
            label,
            actor.user,
            actor.credential,
            origin.and_then(|o| o.app_id.as_deref()),
            origin.map(|o| o.address.to_string()),
            origin.map(|o| &*o.request_id),
            actor.reason,
            changes.map(Value::Json),
            origin.and_then(|o| o.impersonator),
            is_creation
        ],
    )
}

/// A superuser looks into companies that they are no member of; durable before they see anything (spec/loop.md 5.3). One
/// transaction for all of them: a list over every company must not cost a commit for each.
pub(crate) async fn record_superuser_visits(
    kernel: &Kernel,
    tenants: Vec<std::sync::Arc<Tenant>>,
    permission: &str,
) -> Result<()> {
    let (permission, now) = (permission.to_owned(), kernel.now());
    let visits: Vec<(Uuid, std::sync::Arc<Tenant>)> =
        tenants.into_iter().map(|tenant| (kernel.new_id(), tenant)).collect();
    let view = View::Companies(visits.iter().map(|(_, tenant)| tenant.company).collect());
    kernel
        .db
        .write(view, move |tx| {
            for (id, tenant) in &visits {
                let origin = tenant.actor.origin.as_ref();
                tx.push(
                    INSERT,
                    params![
                        tenant.company,
                        *id,
                        now,
                        "superuser-access",
                        "core",
                        "companies",
                        tenant.code(),
                        permission.as_str(),
                        tenant.actor.user,
                        Option::<Uuid>::None,
                        origin.and_then(|o| o.app_id.as_deref()),
                        origin.map(|o| o.address.to_string()),
                        origin.map(|o| &*o.request_id),
                        Option::<&str>::None,
                        Value::Null,
                        origin.and_then(|o| o.impersonator),
                        false
                    ],
                )?;
            }
            Ok(())
        })
        .await
}

/// A superuser reads a list over every company, or what belongs to the installation; durable before they see anything.
pub async fn record_superuser_list(kernel: &std::sync::Arc<Kernel>, actor: &Actor, permission: &str) -> Result<()> {
    let (shared, actor, permission) = (kernel.clone(), actor.clone(), permission.to_owned());
    kernel
        .db
        .write(View::System, move |tx| {
            let entry = Entry {
                action: "superuser-access",
                module: "core",
                resource: "installation",
                target: "",
                label: &permission,
                changes: None,
            };
            Ok(shared.audit_installation(tx, &actor, entry)?)
        })
        .await
}

/// The record's own view of a system-wide act.
pub const INSTALLATION: CompanyId = CompanyId(0);

impl Kernel {
    /// Records an act that belongs to no company (a sign-in, a key of the environment).
    pub fn audit_installation(&self, tx: &mut Tx<'_>, actor: &Actor, entry: Entry<'_>) -> Result<(), StoreError> {
        record_by(tx, self, INSTALLATION, actor, entry)
    }
}

/// Somebody takes a company's audit log away: on record before they have it.
///
/// # Errors
/// The database's.
pub async fn record_export(
    kernel: &std::sync::Arc<Kernel>,
    tenant: &std::sync::Arc<Tenant>,
    path: String,
) -> Result<()> {
    let (shared, exporter) = (kernel.clone(), tenant.clone());
    kernel
        .db
        .write(tenant.view(), move |tx| {
            let entry = Entry {
                action: "export",
                module: "core",
                resource: "audit-logs",
                target: "",
                label: &path,
                changes: None,
            };
            Ok(record(tx, &shared, &exporter, entry)?)
        })
        .await
}

/// Limits a search to the part of an index that can hold it. By time: ids rise with it. A day is left on both sides for clocks that
/// were set back; the filter on `at` itself is exact. By target: as [`OF_RECORD`] says; the filter on `target` stands beside it.
pub fn within(filters: &[(String, String)]) -> Conditions {
    let mut conditions = Conditions::default();
    for (name, text) in filters {
        if name == "target" {
            conditions = match Uuid::parse_str(text) {
                Ok(id) => conditions.and(
                    "(l.target_id = {} AND NOT l.is_creation OR l.id = {} AND l.is_creation)",
                    [Value::from(text.as_str()), Value::Uuid(id)],
                ),
                Err(_) => conditions.and("NOT l.is_creation", []),
            };
        }
        let Some(at) = Timestamp::parse(text) else { continue };
        conditions = match name.as_str() {
            "at__gte" | "at__gt" | "at" => conditions.and("l.id >= {}", [Value::Uuid(Ids::floor(at.plus(-DAY_US)))]),
            "at__lte" | "at__lt" => conditions.and("l.id < {}", [Value::Uuid(Ids::floor(at.plus(DAY_US)))]),
            _ => conditions,
        };
    }
    conditions
}

/// Audit rows as the API shows them; newest first.
pub const LISTING: Listing = Listing {
    from: "audit_logs l LEFT JOIN users u ON u.id = l.actor_user_id",
    columns: &COLUMNS,
    company: Some("l.company_id"),
    id: "l.id",
    order: "l.id DESC",
};
const COLUMNS: [Column; 17] = [
    column("id", "l.id", ColumnKind::Uuid),
    column("company", "l.company_id", ColumnKind::Company).nullable(),
    column("at", "l.at", ColumnKind::Time),
    searched("action", "l.action"),
    column("module", "l.module", ColumnKind::Text),
    column("resource", "l.resource", ColumnKind::Text),
    searched("target", "l.target_id"),
    searched("label", "l.target_label"),
    column("user", "l.actor_user_id", ColumnKind::Uuid).nullable(),
    searched("email", "u.email").nullable(),
    column("impersonator", "l.impersonator_user_id", ColumnKind::Uuid).nullable(),
    column("credential", "l.credential_id", ColumnKind::Uuid).nullable(),
    column("app_id", "l.app_id", ColumnKind::Text).nullable(),
    column("address", "l.address", ColumnKind::Text).nullable(),
    searched("request_id", "l.request_id").nullable(),
    searched("reason", "l.reason").nullable(),
    column("changes", "l.changes", ColumnKind::Json).nullable(),
];
