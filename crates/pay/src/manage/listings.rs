//! The tables as lists of LOOP. Amounts are micro units of USDC, as the database has them.

use loopd_kernel::listing::{Column, ColumnKind, Listing, column, searched};

pub const PROJECTS: Listing = Listing {
    from: "(SELECT * FROM pay_projects WHERE deleted_at IS NULL) p JOIN credentials k ON k.id = p.credential_id",
    columns: &PROJECT,
    company: Some("p.company_id"),
    id: "p.id",
    order: "p.company_id, p.id",
};
const PROJECT: [Column; 15] = [
    column("id", "p.id", ColumnKind::Uuid),
    column("company", "p.company_id", ColumnKind::Company),
    searched("identity", "p.public_id"),
    searched("name", "p.name"),
    column("purpose", "p.purpose", ColumnKind::Text),
    column("scopes", "p.scopes", ColumnKind::Json),
    column("key_prefix", "p.key_prefix", ColumnKind::Text),
    searched("wallet_address", "p.wallet_address"),
    column("pay_to", "p.pay_to", ColumnKind::Text).nullable(),
    column("use_count", "k.use_count", ColumnKind::Int),
    column("last_used_at", "k.last_used_at", ColumnKind::Time).nullable(),
    column("last_used_ip", "k.last_used_ip", ColumnKind::Text).nullable(),
    column("created_at", "p.created_at", ColumnKind::Time),
    column("updated_at", "p.updated_at", ColumnKind::Time),
    column("version", "p.version", ColumnKind::Int),
];

pub const ENDPOINTS: Listing = Listing {
    from: "pay_endpoints e",
    columns: &ENDPOINT,
    company: Some("e.company_id"),
    id: "e.id",
    order: "e.company_id, e.id",
};
const ENDPOINT: [Column; 16] = [
    column("id", "e.id", ColumnKind::Uuid),
    column("company", "e.company_id", ColumnKind::Company),
    column("project", "e.project_id", ColumnKind::Uuid),
    searched("url_pattern", "e.url_pattern"),
    column("price_micros", "e.price_micros", ColumnKind::Int),
    column("network", "e.network", ColumnKind::Text),
    searched("title", "e.title").nullable(),
    searched("description", "e.description").nullable(),
    column("category", "e.category", ColumnKind::Text).nullable(),
    column("listed", "e.is_listed", ColumnKind::Bool),
    column("webhook", "e.webhook_id", ColumnKind::Uuid).nullable(),
    column("active", "e.is_active", ColumnKind::Bool),
    column("call_count", "e.call_count", ColumnKind::Int),
    column("revenue_micros", "e.revenue_micros", ColumnKind::Int),
    column("created_at", "e.created_at", ColumnKind::Time),
    column("updated_at", "e.updated_at", ColumnKind::Time),
];

pub const PAYMENTS: Listing = Listing {
    from: "pay_payments y",
    columns: &PAYMENT,
    company: Some("y.company_id"),
    id: "y.id",
    order: "y.company_id, y.id DESC",
};
const PAYMENT: [Column; 17] = [
    column("id", "y.id", ColumnKind::Uuid),
    column("company", "y.company_id", ColumnKind::Company),
    column("project", "y.project_id", ColumnKind::Uuid),
    column("endpoint", "y.endpoint_id", ColumnKind::Uuid).nullable(),
    column("network", "y.network", ColumnKind::Text),
    searched("payer", "y.payer"),
    searched("recipient", "y.recipient"),
    column("amount_micros", "y.amount_micros", ColumnKind::Int),
    searched("tx_hash", "y.tx_hash").nullable(),
    column("status", "y.status", ColumnKind::Text),
    column("failure_reason", "y.failure_reason", ColumnKind::Text).nullable(),
    searched("resource", "y.resource"),
    column("description", "y.description", ColumnKind::Text).nullable(),
    column("sandbox", "y.is_sandbox", ColumnKind::Bool),
    column("nonce", "y.nonce", ColumnKind::Text),
    column("created_at", "y.created_at", ColumnKind::Time),
    column("settled_at", "y.settled_at", ColumnKind::Time).nullable(),
];

pub const MANDATES: Listing = Listing {
    from: "pay_mandates m",
    columns: &MANDATE,
    company: Some("m.company_id"),
    id: "m.id",
    order: "m.company_id, m.id DESC",
};
const MANDATE: [Column; 11] = [
    column("id", "m.id", ColumnKind::Uuid),
    column("company", "m.company_id", ColumnKind::Company),
    column("project", "m.project_id", ColumnKind::Uuid),
    column("network", "m.network", ColumnKind::Text),
    column("per_call_micros", "m.per_call_micros", ColumnKind::Int),
    column("daily_micros", "m.daily_micros", ColumnKind::Int),
    column("valid_until", "m.valid_until", ColumnKind::Time),
    column("total_micros", "m.total_micros", ColumnKind::Int),
    column("call_count", "m.call_count", ColumnKind::Int),
    column("revoked_at", "m.revoked_at", ColumnKind::Time).nullable(),
    column("created_at", "m.created_at", ColumnKind::Time),
];

pub const SPENDS: Listing = Listing {
    from: "pay_spends s",
    columns: &SPEND,
    company: Some("s.company_id"),
    id: "s.id",
    order: "s.company_id, s.id DESC",
};
const SPEND: [Column; 13] = [
    column("id", "s.id", ColumnKind::Uuid),
    column("company", "s.company_id", ColumnKind::Company),
    column("project", "s.project_id", ColumnKind::Uuid),
    column("mandate", "s.mandate_id", ColumnKind::Uuid),
    column("network", "s.network", ColumnKind::Text),
    searched("recipient", "s.recipient"),
    column("amount_micros", "s.amount_micros", ColumnKind::Int),
    searched("resource", "s.resource"),
    column("status", "s.status", ColumnKind::Text),
    column("failure_reason", "s.failure_reason", ColumnKind::Text).nullable(),
    column("tx_hash", "s.tx_hash", ColumnKind::Text).nullable(),
    column("created_at", "s.created_at", ColumnKind::Time),
    column("concluded_at", "s.concluded_at", ColumnKind::Time).nullable(),
];
