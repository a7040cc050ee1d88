//! Where the data of an account's person lives: what becomes of each table when they are erased, and when their account is merged into
//! another. Every table of the numbered migrations is here; a test holds that.

use super::wanted::Scope;

/// What an erasure does with the rows of a table.
#[derive(Clone, Copy, Debug)]
pub enum Fate {
    /// The person's alone: rows that name them in one of these columns go.
    Removed(&'static [&'static str]),
    /// As [`Fate::Removed`], and also when the account is absorbed by another: what opens the one account never opens the other.
    Opens(&'static [&'static str]),
    /// Stays, and every text of it that is not [`OURS`] is searched for them. A row is about them when this column names them. What is theirs alone in it
    /// is removed in `account.rs`.
    Searched(Scope, Option<&'static str>),
    /// Done by hand in `account.rs`, which says how.
    ByHand,
    /// Nothing of a person is in it.
    Nobodys,
}

/// One table.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub table: &'static str,
    pub fate: Fate,
    /// On what ground its rows stay; empty where none of theirs do.
    pub ground: &'static str,
}

const fn place(table: &'static str, fate: Fate, ground: &'static str) -> Place {
    Place { table, fate, ground }
}

const HISTORY: &str = "companies must be able to show what happened to their records; it names an id, and nobody";
const TAX: &str =
    "tax law keeps bills, with the name they were written to; e-mail addresses and telephone numbers are taken out";
const COMPANYS: &str = "belongs to the company";

pub const PLACES: [Place; 109] = [
    place("account_tokens", Fate::Opens(&["user_id", "other_user_id"]), ""),
    place("api_client_apps", Fate::Searched(Scope::Anywhere, None), COMPANYS),
    place("audit_logs", Fate::Searched(Scope::Anywhere, Some("target_id")), HISTORY),
    place("audit_seals", Fate::Nobodys, ""),
    place("billing_accounts", Fate::ByHand, COMPANYS),
    place("billing_credits", Fate::Nobodys, ""),
    place("billing_invoices", Fate::Searched(Scope::Addresses, None), TAX),
    place("billing_lines", Fate::Searched(Scope::Addresses, None), TAX),
    place("billing_payments", Fate::Searched(Scope::Addresses, None), TAX),
    place("companies", Fate::Nobodys, ""),
    place("company_exports", Fate::Nobodys, ""),
    place("company_imports", Fate::Nobodys, ""),
    place("counters", Fate::Nobodys, ""),
    place("coupon_redemptions", Fate::Nobodys, ""),
    place("coupons", Fate::Nobodys, ""),
    place("credentials", Fate::Searched(Scope::Anywhere, None), COMPANYS),
    place("developer_profiles", Fate::Removed(&["user_id"]), ""),
    place("erasures", Fate::Nobodys, ""),
    place("event_logs", Fate::Nobodys, ""),
    place("events", Fate::Searched(Scope::Anywhere, Some("subject")), HISTORY),
    place("file_accounts", Fate::Nobodys, ""),
    place("file_attachments", Fate::Nobodys, ""),
    place("file_blobs", Fate::Nobodys, ""),
    place("file_thumbnails", Fate::Nobodys, ""),
    place("file_upload_parts", Fate::Nobodys, ""),
    place("file_uploads", Fate::Searched(Scope::Anywhere, None), COMPANYS),
    place("files", Fate::Searched(Scope::Anywhere, None), COMPANYS),
    place("idempotency_keys", Fate::ByHand, "answers to others are encrypted and gone in two days"),
    place("installation", Fate::Nobodys, ""),
    place("invitations", Fate::Searched(Scope::Anywhere, Some("id")), HISTORY),
    place("jobs", Fate::Searched(Scope::Anywhere, None), "work that waits; it finds nobody any more"),
    place("login_failures", Fate::Nobodys, "digests that name nobody, gone in a day"),
    place(
        "mail_messages",
        Fate::Searched(Scope::Anywhere, None),
        "letters to others, gone in thirty days, and that this was done",
    ),
    place("membership_workspaces", Fate::Nobodys, ""),
    place("memberships", Fate::ByHand, HISTORY),
    place("meters", Fate::Nobodys, ""),
    place("oidc_identities", Fate::Opens(&["user_id"]), ""),
    place("oidc_memberships", Fate::ByHand, ""),
    place("oidc_providers", Fate::Nobodys, ""),
    place("oidc_sign_ins", Fate::Nobodys, ""),
    place("passkey_ceremonies", Fate::Opens(&["user_id"]), ""),
    place("passkeys", Fate::Opens(&["user_id"]), ""),
    place("pay_endpoints", Fate::Searched(Scope::Anywhere, None), COMPANYS),
    place("pay_ledger", Fate::Nobodys, ""),
    place("pay_mandates", Fate::Nobodys, ""),
    place("pay_payments", Fate::Searched(Scope::Anywhere, None), COMPANYS),
    place("pay_projects", Fate::Searched(Scope::Anywhere, None), COMPANYS),
    place("pay_refusals", Fate::Nobodys, ""),
    place("pay_relayers", Fate::Nobodys, ""),
    place("pay_settlements", Fate::Searched(Scope::Anywhere, None), COMPANYS),
    place("pay_spends", Fate::Searched(Scope::Anywhere, None), COMPANYS),
    place("pay_transactions", Fate::Nobodys, ""),
    place("plan_editions", Fate::Nobodys, ""),
    place("plans", Fate::Nobodys, ""),
    place("product_subscriptions", Fate::Nobodys, ""),
    place("recovery_codes", Fate::Opens(&["user_id"]), ""),
    place("roles", Fate::Nobodys, ""),
    place("schedules", Fate::Nobodys, ""),
    place("sessions", Fate::ByHand, ""),
    place("sign_in_challenges", Fate::Opens(&["user_id"]), ""),
    place("tax_rates", Fate::Nobodys, ""),
    place("totp_factors", Fate::Opens(&["user_id"]), ""),
    place("usage_batches", Fate::Nobodys, ""),
    place("usage_counters", Fate::Nobodys, ""),
    place("usage_cursors", Fate::Nobodys, ""),
    place("users", Fate::ByHand, "records and the audit log say who made them; the row holds an id and no name"),
    place("webhook_attempts", Fate::Searched(Scope::Anywhere, None), HISTORY),
    place("webhook_deliveries", Fate::Searched(Scope::Anywhere, None), HISTORY),
    place("webhook_endpoints", Fate::Nobodys, ""),
    place("webhook_lanes", Fate::Nobodys, ""),
    place("wave_chat_labels", Fate::Nobodys, ""),
    place("wave_agents", Fate::Removed(&["user_id"]), ""),
    place("wave_automations", Fate::Searched(Scope::Anywhere, None), COMPANYS),
    place("wave_broadcast_lines", Fate::Nobodys, ""),
    place("wave_broadcast_recipients", Fate::Searched(Scope::Anywhere, None), COMPANYS),
    place("wave_broadcasts", Fate::Searched(Scope::Anywhere, None), COMPANYS),
    place("wave_chats", Fate::Searched(Scope::Anywhere, None), COMPANYS),
    place("wave_claims", Fate::Nobodys, ""),
    place("wave_contact_import_chunks", Fate::Searched(Scope::Anywhere, None), COMPANYS),
    place("wave_contact_imports", Fate::Searched(Scope::Anywhere, None), COMPANYS),
    place("wave_contacts", Fate::Searched(Scope::Anywhere, None), COMPANYS),
    place("wave_first_contacts", Fate::Nobodys, ""),
    place("wave_conversations", Fate::Nobodys, ""),
    place("wave_form_entries", Fate::Nobodys, ""),
    place("wave_identities", Fate::ByHand, ""),
    place("wave_kept_replies", Fate::Removed(&["owner_id"]), COMPANYS),
    place("wave_licenses", Fate::Nobodys, ""),
    place("wave_links", Fate::Nobodys, ""),
    place("wave_messages", Fate::Searched(Scope::Anywhere, None), COMPANYS),
    place("wave_notes", Fate::Searched(Scope::Anywhere, None), COMPANYS),
    place("wave_notices", Fate::Nobodys, ""),
    place("wave_numbers", Fate::Searched(Scope::Anywhere, None), COMPANYS),
    place("wave_outgoing", Fate::Searched(Scope::Anywhere, None), COMPANYS),
    place("wave_paces", Fate::Nobodys, ""),
    place("wave_preferences", Fate::Nobodys, ""),
    place("wave_revocations", Fate::Nobodys, ""),
    place("wave_report_sums", Fate::Nobodys, ""),
    place("wave_reply_windows", Fate::Nobodys, ""),
    place("wave_sandbox_lines", Fate::Nobodys, ""),
    place("wave_sandbox_messages", Fate::Searched(Scope::Anywhere, None), COMPANYS),
    place("wave_sandbox_past", Fate::Searched(Scope::Anywhere, None), COMPANYS),
    place("wave_saved_views", Fate::Removed(&["owner_id"]), COMPANYS),
    place("wave_segments", Fate::Searched(Scope::Anywhere, None), COMPANYS),
    place("wave_templates", Fate::Nobodys, ""),
    place("wave_ticket_comments", Fate::Searched(Scope::Anywhere, None), COMPANYS),
    place("wave_timers", Fate::Nobodys, ""),
    place("wave_tickets", Fate::Searched(Scope::Anywhere, None), COMPANYS),
    place("wave_web_states", Fate::Nobodys, "sealed, under digests"),
    place("workspaces", Fate::Nobodys, ""),
];

/// Columns of searched tables that hold the program's own words, or what is counted, signed or looked up by: kinds, states, codes, links,
/// digests, networks. Nobody is looked for in them. People choose what they are called, and who calls themselves `core` or 1234567 must not choose what
/// a log says, whether a sealed day is as it was sealed, or which key still opens.
const OURS: [(&str, &[&str]); 31] = [
    ("api_client_apps", &["app_id", "kind", "products", "status"]),
    // Where somebody did it goes with the rest of them by who did it: work.rs.
    ("audit_logs", &["action", "module", "resource", "target_id", "app_id", "address", "request_id"]),
    ("billing_invoices", &["kind", "number", "status", "currency", "cause"]),
    ("billing_lines", &["kind", "product"]),
    ("billing_payments", &["collector", "currency", "status", "provider_ref", "failure_code"]),
    (
        "credentials",
        &["kind", "prefix", "hash", "companies", "scopes", "last_used_ip", "allowed_networks", "workspaces"],
    ),
    ("events", &["kind", "subject"]),
    ("file_uploads", &["content_type", "purpose", "sha256"]),
    ("files", &["content_type", "sha256", "blob_key", "purpose"]),
    ("invitations", &["role", "workspaces", "token_hash", "status"]),
    ("jobs", &["kind", "unique_key", "state", "lease_owner"]),
    ("mail_messages", &["template", "language", "via", "state"]),
    ("pay_endpoints", &["network"]),
    ("pay_payments", &["network", "nonce", "tx_hash", "status"]),
    ("pay_projects", &["public_id", "scopes", "key_prefix", "wallet_address", "pay_to"]),
    ("pay_settlements", &["asset", "nonce", "amount", "pay_to", "payment", "engine", "state", "tx_hash"]),
    ("pay_spends", &["network", "asset", "nonce", "status", "tx_hash", "repeat_key"]),
    ("wave_automations", &["trigger_on", "match_mode"]),
    ("wave_broadcast_recipients", &["status"]),
    ("wave_broadcasts", &["status"]),
    ("wave_chats", &["status"]),
    ("wave_contact_imports", &["state"]),
    ("wave_contacts", &["lifecycle"]),
    ("wave_messages", &["kind", "origin", "status", "failure_code"]),
    ("wave_numbers", &["public_id", "engine", "state"]),
    ("wave_outgoing", &["step", "lease_owner", "waits_for"]),
    ("wave_sandbox_messages", &["stage"]),
    ("wave_tickets", &["ref", "status", "priority"]),
    ("webhook_attempts", &["address"]),
    ("webhook_deliveries", &["event_type", "status"]),
    ("status_changes", &["module", "resource", "action", "from_status", "to_status"]),
];

/// Whether a column holds the program's own words: nobody is looked for in it.
pub fn is_ours(table: &str, column: &str) -> bool {
    OURS.iter().any(|(name, columns)| *name == table && columns.contains(&column))
}

/// On what ground rows of a table stay.
pub fn ground(table: &str) -> &'static str {
    PLACES.iter().find(|place| place.table == table).map_or("", |place| place.ground)
}

#[cfg(test)]
mod tests {
    use loopd_store::ddl::ColumnKind;
    use loopd_store::migrate;

    use super::*;

    /// Columns of tables in which nobody is looked for, though their names sound of people.
    const OF_NOBODY: [(&str, &str); 2] = [
        // accounts on a chain: numbers of keys, which name nobody here
        ("pay_ledger", "address"),
        ("pay_relayers", "address"),
    ];

    #[test]
    fn somebody_has_decided_what_an_erasure_does_with_every_table() {
        let tables = migrate::tables();
        for table in &tables {
            let known = PLACES.iter().filter(|place| place.table == table.name).count();
            assert_eq!(
                known, 1,
                "{} is new: say in PLACES (crates/kernel/src/erasure/places.rs) what becomes of it when a person is erased",
                table.name
            );
        }
        for place in PLACES {
            let table = tables.iter().find(|table| table.name == place.table);
            let table = table.unwrap_or_else(|| panic!("{} is decided for, and is no table", place.table));
            if let Fate::Removed(columns) | Fate::Opens(columns) = place.fate {
                for column in columns {
                    assert!(table.columns.iter().any(|known| known.name == *column), "{}.{column}", place.table);
                }
            }
        }
    }

    #[test]
    fn a_table_that_links_to_accounts_is_not_called_nobodys() {
        for table in migrate::tables() {
            let links = table.foreign_keys.iter().any(|link| link.table == "users");
            let is_nobodys = PLACES.iter().any(|p| p.table == table.name && matches!(p.fate, Fate::Nobodys));
            assert!(!links || !is_nobodys, "{} links to users: an erasure has something to do in it", table.name);
        }
    }

    #[test]
    fn columns_that_sound_of_people_are_not_in_tables_of_nobody() {
        const PERSONAL: [&str; 9] =
            ["email", "phone", "first_name", "last_name", "username", "address", "user_agent", "recipient", "birth"];
        for table in migrate::tables() {
            let is_nobodys = PLACES.iter().any(|p| p.table == table.name && matches!(p.fate, Fate::Nobodys));
            let texts = table.columns.iter().filter(|c| matches!(c.kind, ColumnKind::Text | ColumnKind::Json));
            for column in texts.filter(|c| is_nobodys && PERSONAL.iter().any(|word| c.name.contains(word))) {
                let pair = (table.name.as_str(), column.name.as_str());
                assert!(
                    OF_NOBODY.contains(&pair),
                    "{}.{} sounds of a person: give its table another fate in PLACES, or name it in OF_NOBODY",
                    pair.0,
                    pair.1
                );
            }
        }
    }

    #[test]
    fn nobody_is_looked_for_in_the_programs_own_words() {
        const WORDS: [&str; 18] = [
            "kind",
            "status",
            "state",
            "module",
            "action",
            "role",
            "currency",
            "network",
            "engine",
            "template",
            "language",
            "content_type",
            "event_type",
            "hash",
            "sha256",
            "nonce",
            "asset",
            "target_id",
        ];
        let tables = migrate::tables();
        let searched = PLACES.iter().filter(|place| matches!(place.fate, Fate::Searched(..)));
        for table in searched.filter_map(|place| tables.iter().find(|table| table.name == place.table)) {
            for column in table.columns.iter().filter(|column| column.kind == ColumnKind::Text) {
                let is_word = |word: &&str| column.name == **word || column.name.ends_with(&format!("_{word}"));
                assert!(
                    !WORDS.iter().any(is_word) || is_ours(&table.name, &column.name),
                    "{}.{} sounds of the program's own words: name it in OURS (crates/kernel/src/erasure/places.rs)",
                    table.name,
                    column.name
                );
            }
        }
        for (name, columns) in OURS {
            // That one is made by the business engine.
            let Some(table) = tables.iter().find(|table| table.name == name) else {
                assert_eq!(name, "status_changes");
                continue;
            };
            for column in columns {
                assert!(table.columns.iter().any(|known| known.name == *column), "{name}.{column} is no column");
            }
        }
    }
}
