//! Which tables take part, and in which order: it follows from the schema, so that a new table is in the next archive by itself.

use std::collections::{BTreeMap, BTreeSet};

use loopd_store::ddl::{ColumnDef, ForeignKeyDef, TableDef};
use loopd_store::migrate;

use super::COMPANY;

const BILLS: &str = "bills belong to the installation that wrote them, in its numbers";
const USED: &str =
    "what was used is billed where it was used; counting begins with what happens where the company arrives";
const PLANS: &str = "plans are this installation's: choose one where the company arrives";

/// Tables with a company that stay behind, and why.
const LEFT_OUT: [(&str, &str); 49] = [
    (
        "audit_seals",
        "signed with this installation's secret; the rows themselves go along, and are sealed anew where they arrive",
    ),
    ("billing_credits", BILLS),
    ("billing_invoices", BILLS),
    ("billing_lines", BILLS),
    ("billing_payments", BILLS),
    ("coupon_redemptions", "coupons are this installation's"),
    ("erasures", "reports of what was erased here"),
    ("event_logs", "how far this installation handed its events over"),
    (
        "webhook_endpoints",
        "their secrets are sealed here, and receivers should not hear from two installations: make new ones",
    ),
    ("webhook_lanes", "which node works for which endpoint"),
    ("webhook_deliveries", "what this installation delivered"),
    ("webhook_attempts", "what this installation delivered"),
    ("credentials", "keys open nothing elsewhere: make new ones where the company arrives"),
    ("company_exports", "archives are made here, and each would hold those before it"),
    ("file_accounts", "what files take is counted anew, and signed links lead here"),
    ("file_blobs", "content without a file"),
    ("file_thumbnails", "made anew when somebody looks"),
    ("file_upload_parts", UPLOADS),
    ("file_uploads", UPLOADS),
    ("jobs", "work that waits is this installation's"),
    (
        "oidc_providers",
        "their secrets are sealed here, and their front ends are this installation's: set them up where the company arrives",
    ),
    ("pay_endpoints", PROJECTS),
    ("pay_mandates", PROJECTS),
    ("pay_payments", PROJECTS),
    ("pay_projects", PROJECTS),
    ("pay_refusals", PROJECTS),
    ("pay_spends", PROJECTS),
    ("oidc_memberships", "they follow a provider that stays behind"),
    ("pay_settlements", "what this installation's engine moved or is moving"),
    ("mail_messages", "letters were sent from here, with links that open accounts here"),
    ("usage_counters", USED),
    ("usage_cursors", USED),
    ("wave_agents", "who is online here"),
    ("wave_broadcast_lines", "the pace of lines that are linked here"),
    ("wave_licenses", "a licence may be for this host or installation: activate it where the company arrives"),
    ("wave_claims", "what happened by itself in a chat a moment ago"),
    ("wave_contact_import_chunks", READ),
    ("wave_contact_imports", READ),
    ("wave_form_entries", "what came through a public form a moment ago"),
    ("wave_notices", "what this installation was asked to say, and said"),
    ("wave_outgoing", "what is on its way goes out from here"),
    ("wave_reply_windows", "what happened by itself in this minute"),
    ("wave_sandbox_lines", "how simulated telephones misbehave"),
    ("wave_sandbox_messages", "what simulated telephones were sent"),
    ("wave_sandbox_past", "what simulated telephones know, and were not asked for"),
    ("wave_first_contacts", "whom lines that are linked here wrote to within a day"),
    ("wave_paces", "the pace of lines that are linked here"),
    ("wave_web_states", "keys of devices that are linked here, sealed here: link the number where the company arrives"),
    ("wave_templates", "Meta has them: they are synced where the number is linked"),
];

const PROJECTS: &str = "projects take money into wallets whose keys are sealed here, and their receipts name this installation: make new ones";
const READ: &str = "files of contacts that were read here, and their rows that were refused; the contacts go along";
const UPLOADS: &str = "uploads that are not finished";

/// Rows that stay behind, of tables that take part: table, which rows go along, and what is said of the others.
const LEFT_OUT_ROWS: [(&str, &str, &str); 1] = [(
    "files",
    "expires_at IS NULL AND purpose NOT IN ('bill', 'export')",
    "files that go by themselves (archives, uploads that nobody attached) and this installation's bills",
)];

/// Columns that stay behind, of tables that take part. Where the company arrives they are empty.
const LEFT_OUT_COLUMNS: [(&str, &str, &str); 8] = [
    ("files", "blob_key", "where their content lies here; it goes along under its SHA-256"),
    ("invitations", "token_hash", "links in letters lead here; an invitation is sent again where the company arrives"),
    ("product_subscriptions", "next_terms", PLANS),
    ("product_subscriptions", "plan_edition", PLANS),
    ("product_subscriptions", "plan_id", PLANS),
    ("wave_numbers", "owner", LINES),
    ("wave_numbers", "qr", LINES),
    ("wave_numbers", "secret", LINES),
];

const LINES: &str =
    "what opens a number is sealed here, and this installation holds its connection: link it where the company arrives";

/// What never takes part and has no company to be known by.
const OF_PEOPLE: &str = "passwords, sessions and what else belongs to people and not to the company: they are matched by their email \
    address where the company arrives, and who is new there sets a password by asking for one";

/// A table that takes part.
#[derive(Clone, Debug)]
pub struct Table {
    pub name: String,
    /// What is written and read; without what stays behind.
    pub columns: Vec<ColumnDef>,
    /// Columns that stay behind and must have a value.
    pub emptied: Vec<ColumnDef>,
    /// Without the company.
    pub key: Vec<String>,
    /// Which rows take part, in SQL.
    pub only: &'static str,
    pub links: Vec<ForeignKeyDef>,
}

impl Table {
    /// The places of the columns that tell a file by its id.
    pub fn file_columns(&self) -> Vec<usize> {
        const FILES: &str = "files";
        let links = self.links.iter().filter(|link| link.table == FILES).flat_map(|link| &link.columns);
        let mut names: Vec<&str> = links.map(String::as_str).filter(|name| *name != COMPANY).collect();
        if self.name == FILES {
            names.push("id");
        }
        let place = |name: &str| self.columns.iter().position(|column| column.name == name);
        names.into_iter().filter_map(place).collect()
    }
}

/// Which rows of a table take part, in SQL.
pub fn only(table: &str) -> &'static str {
    LEFT_OUT_ROWS.iter().find(|(name, ..)| *name == table).map_or("1 = 1", |(_, rows, _)| rows)
}

/// Every table that takes part, each after those that it links to as far as links go in no circle; between equals by name.
pub fn tables(defined: Vec<TableDef>) -> Vec<Table> {
    let all = migrate::tables().into_iter().chain(defined);
    let mut waiting: BTreeMap<String, Table> = all.filter_map(table).map(|table| (table.name.clone(), table)).collect();
    let mut sorted: Vec<Table> = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let is_ready = |table: &&Table| {
            table.links.iter().all(|link| link.table == table.name || !waiting.contains_key(&link.table))
        };
        let next = waiting.values().find(is_ready).or(waiting.values().next()).map(|table| table.name.clone());
        sorted.extend(next.and_then(|name| waiting.remove(&name)));
    }
    sorted
}

fn table(def: TableDef) -> Option<Table> {
    let takes_part =
        def.columns.iter().any(|column| column.name == COMPANY) && !LEFT_OUT.iter().any(|(name, _)| *name == def.name);
    if !takes_part {
        return None;
    }
    let is_behind = |table: &str| LEFT_OUT.iter().any(|(name, _)| *name == table);
    // A link to what stays behind would lead nowhere.
    let leads_behind = |column: &ColumnDef| {
        def.foreign_keys.iter().any(|link| is_behind(&link.table) && link.columns.contains(&column.name))
    };
    let stays = |column: &ColumnDef| {
        column.name != COMPANY
            && (LEFT_OUT_COLUMNS.iter().any(|(table, name, _)| *table == def.name && *name == column.name)
                || leads_behind(column))
    };
    let (behind, columns): (Vec<ColumnDef>, Vec<ColumnDef>) = def.columns.iter().cloned().partition(stays);
    Some(Table {
        emptied: behind.into_iter().filter(is_needed).collect(),
        columns,
        only: only(&def.name),
        key: def.primary_key.into_iter().filter(|name| name != COMPANY).collect(),
        links: def.foreign_keys.into_iter().filter(|link| !is_behind(&link.table)).collect(),
        name: def.name,
    })
}

/// Whether a new row must name a value for this column.
pub fn is_needed(column: &ColumnDef) -> bool {
    !column.nullable && column.default.is_none()
}

/// What stays behind, in words: table or table and column, and why.
pub fn left_out() -> Vec<(String, &'static str)> {
    let tables = LEFT_OUT.iter().map(|(table, why)| ((*table).to_owned(), *why));
    let columns = LEFT_OUT_COLUMNS.iter().map(|(table, column, why)| (format!("{table}.{column}"), *why));
    let rows = LEFT_OUT_ROWS.iter().map(|(table, _, why)| (format!("some {table}"), *why));
    tables.chain(rows).chain(columns).chain([("users".to_owned(), OF_PEOPLE)]).collect()
}

/// The columns by which the company's rows name people: (table, column).
pub fn people_links(tables: &[Table]) -> BTreeSet<(&str, &str)> {
    let mut found = BTreeSet::new();
    for table in tables {
        for link in table.links.iter().filter(|link| link.table == "users") {
            found.extend(link.columns.iter().map(|column| (table.name.as_str(), column.as_str())));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use loopd_store::ddl::ColumnKind;

    use super::*;

    /// Tables of the kernel that belong to a company, and leave with it.
    const EXPORTED: [&str; 34] = [
        "api_client_apps",
        "audit_logs",
        "billing_accounts",
        "companies",
        "counters",
        "events",
        "file_attachments",
        "files",
        "invitations",
        "membership_workspaces",
        "memberships",
        "product_subscriptions",
        "roles",
        "wave_automations",
        "wave_broadcast_recipients",
        "wave_broadcasts",
        "wave_chat_labels",
        "wave_chats",
        "wave_contacts",
        "wave_conversations",
        "wave_identities",
        "wave_kept_replies",
        "wave_links",
        "wave_messages",
        "wave_notes",
        "wave_numbers",
        "wave_preferences",
        "wave_report_sums",
        "wave_saved_views",
        "wave_segments",
        "wave_ticket_comments",
        "wave_tickets",
        "wave_timers",
        "workspaces",
    ];
    /// Tables of the kernel that belong to the installation or to people.
    const NOBODYS: [&str; 26] = [
        "account_tokens",
        "company_imports",
        "coupons",
        "developer_profiles",
        "idempotency_keys",
        "installation",
        "login_failures",
        "meters",
        "oidc_identities",
        "oidc_sign_ins",
        "passkey_ceremonies",
        "passkeys",
        "pay_ledger",
        "pay_relayers",
        "pay_transactions",
        "plan_editions",
        "plans",
        "recovery_codes",
        "schedules",
        "sessions",
        "sign_in_challenges",
        "tax_rates",
        "totp_factors",
        "usage_batches",
        "users",
        "wave_revocations",
    ];
    /// Columns of exported tables whose names or kinds look secret, and are not.
    const OPEN: [(&str, &str); 0] = [];

    #[test]
    fn somebody_has_decided_for_every_table_whether_it_leaves_with_a_company() {
        for table in migrate::tables() {
            let name = table.name.as_str();
            let has_company = table.columns.iter().any(|column| column.name == COMPANY);
            let decided = [
                EXPORTED.contains(&name) && has_company,
                LEFT_OUT.iter().any(|(known, _)| *known == name) && has_company,
                NOBODYS.contains(&name) && !has_company,
            ];
            assert_eq!(
                decided.iter().filter(|is| **is).count(),
                1,
                "{name} is new: decide in crates/kernel/src/transfer/schema.rs whether it leaves with its company. A table of a \
                 company (it has company_id) is exported by itself: add it to EXPORTED in this test, or to LEFT_OUT if it holds what \
                 is worthless or secret elsewhere (keys, sealed columns, leases). One of the installation or of people goes to NOBODYS; \
                 if a company's rows can be told only through another table, give it a company_id instead."
            );
        }
        let known: Vec<String> = migrate::tables().into_iter().map(|table| table.name).collect();
        for name in EXPORTED.iter().chain(&NOBODYS).chain(LEFT_OUT.iter().map(|(name, _)| name)) {
            assert!(known.iter().any(|known| known == name), "{name} is decided for, and is no table");
        }
    }

    #[test]
    fn what_looks_secret_is_left_out_or_said_to_be_open() {
        const SECRET: [&str; 8] = ["secret", "hash", "token", "password", "sealed", "encrypted", "cipher", "signing"];
        for table in tables(Vec::new()) {
            for column in &table.columns {
                let looks_secret =
                    column.kind == ColumnKind::Bytes || SECRET.iter().any(|word| column.name.contains(word));
                let pair = (table.name.as_str(), column.name.as_str());
                assert!(
                    !looks_secret || OPEN.contains(&pair),
                    "{}.{} looks secret: name it in LEFT_OUT_COLUMNS (crates/kernel/src/transfer/schema.rs; it is empty where the company \
                     arrives), leave its table out, or add it to OPEN in this test if anybody who may export the company may see it.",
                    pair.0,
                    pair.1
                );
            }
        }
    }

    #[test]
    fn tables_come_after_those_that_they_link_to() {
        let tables = tables(Vec::new());
        let place = |name: &str| tables.iter().position(|table| table.name == name).unwrap();
        assert_eq!(tables.iter().map(|table| &table.name).collect::<BTreeSet<_>>().len(), tables.len());
        for (earlier, later) in
            [("companies", "workspaces"), ("roles", "memberships"), ("memberships", "membership_workspaces")]
        {
            assert!(place(earlier) < place(later), "{later} comes before {earlier}");
        }
    }
}
