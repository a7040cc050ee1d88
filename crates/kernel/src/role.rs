//! Roles: six that every company has (spec/loop.md 5.10), and a company's own.

use loopd_store::{Reader, StoreError, Tx, Value, params};
use loopd_types::{CompanyId, Timestamp};

use crate::Kernel;
use crate::permission::PermissionSet;

/// A role that every company has; its permissions come from here, not from the row, so that an upgrade can correct them.
pub struct BuiltIn {
    pub slug: &'static str,
    pub name: &'static str,
    pub description: &'static str,
    pub permissions: &'static [&'static str],
}

/// `staff` may also run the actions that a definition marks as routine (checking a guest in), through `update`.
pub const BUILT_IN: [BuiltIn; 6] = [
    BuiltIn {
        slug: "owner",
        name: "Owner",
        description: "Everything, billing and closing the company included.",
        permissions: &["*"],
    },
    BuiltIn {
        slug: "admin",
        name: "Admin",
        description: "Everything but billing, ownership, exporting and closing the company.",
        permissions: &[
            "*",
            "!core.billing.*",
            "!core.companies.delete",
            "!core.companies.action:transfer-ownership",
            "!core.company-exports.*",
        ],
    },
    BuiltIn {
        slug: "manager",
        name: "Manager",
        description: "All product work; sees members and workspaces, changes neither.",
        permissions: &[
            "*",
            "!core.*",
            "core.companies.view",
            "core.workspaces.view",
            "core.memberships.view",
            "core.roles.view",
            // Of events, those of what they may see.
            "core.platform-events.view",
            "core.imports.view",
            "core.files.*",
        ],
    },
    BuiltIn {
        slug: "staff",
        name: "Staff",
        description: "Sees, creates and updates records, and runs routine actions.",
        permissions: &[
            "*.*.view",
            "*.*.create",
            "*.*.update",
            "!core.*",
            "core.companies.view",
            "core.workspaces.view",
            "core.memberships.view",
            // Of events, those of what they may see.
            "core.platform-events.view",
            "core.imports.view",
            "core.files.view",
            "core.files.create",
            "core.files.update",
        ],
    },
    BuiltIn {
        slug: "viewer",
        name: "Viewer",
        description: "Sees records.",
        permissions: &[
            "*.*.view",
            "!core.*",
            "core.companies.view",
            "core.workspaces.view",
            // Of events, those of what they may see.
            "core.platform-events.view",
            "core.memberships.view",
            "core.files.view",
        ],
    },
    BuiltIn {
        slug: "developer",
        name: "Developer",
        description: "Sees records; manages apps, keys and webhooks; reads the logs.",
        permissions: &[
            "*.*.view",
            "!core.billing.*",
            "core.api-client-apps.*",
            "core.internal-api-keys.*",
            "core.webhook-endpoints.*",
            "core.webhook-deliveries.*",
        ],
    },
];

pub fn built_in(slug: &str) -> Option<&'static BuiltIn> {
    BUILT_IN.iter().find(|role| role.slug == slug)
}

/// The permissions behind a role's row.
pub(crate) fn permissions_of(slug: &str, is_system: bool, stored: &str) -> PermissionSet {
    match built_in(slug).filter(|_| is_system) {
        Some(role) => PermissionSet::parse(role.permissions).expect("built-in roles are tested"),
        None => PermissionSet::parse(parse_patterns(stored)).unwrap_or_default(),
    }
}

/// A JSON list of patterns as stored; anything unreadable counts as none.
pub(crate) fn parse_patterns(stored: &str) -> Vec<String> {
    serde_json::from_str(stored).unwrap_or_default()
}

/// A role with who holds it.
#[derive(Clone, Debug)]
pub struct Summary {
    pub slug: String,
    pub name: String,
    pub is_system: bool,
    pub permissions: PermissionSet,
    /// Those who have not left and hold it in the company.
    pub members: i64,
    /// Those who hold it as a further role in a workspace.
    pub workspace_members: i64,
}

/// Every role of a company, the built-in ones first.
///
/// # Errors
/// The database's.
pub fn summaries(reader: &mut Reader<'_>, company: CompanyId) -> Result<Vec<Summary>, StoreError> {
    reader.query(
        "SELECT r.slug, r.name, r.is_system, r.permissions, \
         (SELECT count(*) FROM memberships m WHERE m.company_id = r.company_id AND m.role = r.slug AND m.status <> 'left'), \
         (SELECT count(*) FROM membership_workspaces w WHERE w.company_id = r.company_id AND w.role = r.slug) \
         FROM roles r WHERE r.company_id = $1 ORDER BY r.is_system DESC, r.slug",
        &params![company],
        |row| {
            let (slug, is_system) = (row.text(0)?.to_owned(), row.bool(2)?);
            let permissions = permissions_of(&slug, is_system, row.json(3)?);
            let name = row.text(1)?.to_owned();
            Ok(Summary { slug, name, is_system, permissions, members: row.i64(4)?, workspace_members: row.i64(5)? })
        },
    )
}

/// Gives a new company its six roles.
pub(crate) fn insert_built_in(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    company: CompanyId,
    now: Timestamp,
) -> Result<(), StoreError> {
    for role in &BUILT_IN {
        let permissions = serde_json::Value::from(role.permissions.to_vec());
        tx.push(
            "INSERT INTO roles (company_id, id, slug, name, description, permissions, is_system, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6, TRUE, $7, $7)",
            params![company, kernel.new_id(), role.slug, role.name, role.description, Value::Json(permissions.to_string()), now],
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_roles_allow_what_their_words_say() {
        let may = |role: &str, permission: &str| permissions_of(role, true, "[]").allows(permission);
        let table = [
            ("core.billing.view", [true, false, false, false, false, false]),
            ("core.memberships.create", [true, true, false, false, false, false]),
            ("core.memberships.view", [true, true, true, true, true, true]),
            ("core.internal-api-keys.create", [true, true, false, false, false, true]),
            ("core.audit-logs.view", [true, true, false, false, false, true]),
            ("booking.appointments.view", [true, true, true, true, true, true]),
            ("booking.appointments.create", [true, true, true, true, false, false]),
            ("booking.appointments.delete", [true, true, true, false, false, false]),
            ("booking.appointments.action:confirm", [true, true, true, false, false, false]),
        ];
        for (permission, allowed) in table {
            for (role, allowed) in BUILT_IN.iter().zip(allowed) {
                assert_eq!(may(role.slug, permission), allowed, "{} {permission}", role.slug);
            }
        }
    }
}
