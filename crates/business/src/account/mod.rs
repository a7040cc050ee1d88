//! LOOP's endpoints that are not declared records: accounts, companies and what belongs to them (spec/loop.md 3 rows 1 to 4, 6).

mod access;
mod audit;
mod auth;
mod billing;
mod companies;
mod company_imports;
pub(crate) mod credentials;
mod data_subjects;
mod developers;
mod erasures;
mod events;
mod exports;
mod invitations;
mod letters;
mod members;
mod oidc;
mod own_account;
mod passkeys;
mod subscriptions;
mod two_factor;
mod users;
mod webhooks;
mod wire;

use std::collections::BTreeMap;

pub use companies::describe_settings;
use loopd_web::Operation;
use serde_json::Value;

pub(crate) use loopd_web::rows::row_schema;

/// Every operation of the kernel's resources.
pub fn operations() -> Vec<Operation> {
    let mut all = auth::operations();
    all.extend(oidc::operations());
    all.extend(passkeys::operations());
    all.extend(two_factor::operations());
    all.extend(companies::operations());
    all.extend(audit::operations());
    all.extend(members::operations());
    all.extend(subscriptions::operations());
    all.extend(billing::operations());
    all.extend(credentials::operations());
    all.extend(developers::operations());
    all.extend(users::operations());
    all.extend(events::operations());
    all.extend(webhooks::operations());
    all.extend(crate::files::operations());
    all.extend(letters::operations());
    all.extend(invitations::operations());
    all.extend(own_account::operations());
    all.extend(exports::operations());
    all.extend(company_imports::operations());
    all.extend(erasures::operations());
    all.extend(data_subjects::operations());
    let access = access::operations(&all);
    all.extend(access);
    all
}

/// The rows of the kernel's resources, for the document's components.
pub fn components() -> BTreeMap<String, Value> {
    let all = [
        companies::COMPANIES,
        companies::WORKSPACES,
        audit::AUDIT,
        members::MEMBERSHIPS,
        members::ROLES,
        subscriptions::SUBSCRIPTIONS,
        billing::PLANS,
        billing::COUPONS,
        billing::METERS,
        billing::TAX_RATES,
        billing::INVOICES,
        billing::PAYMENTS,
        billing::USAGE,
        credentials::APPS,
        credentials::KEYS,
        developers::PROFILES,
        users::USERS,
        passkeys::PASSKEYS,
        oidc::PROVIDERS,
        letters::LETTERS,
        erasures::ERASURES,
        webhooks::ENDPOINTS,
        webhooks::DELIVERIES,
        webhooks::ATTEMPTS,
        invitations::INVITATIONS,
        exports::EXPORTS,
        company_imports::IMPORTS,
    ];
    let mut all: BTreeMap<String, Value> = all.into_iter().map(|core| (core.name.to_owned(), core.schema())).collect();
    all.insert(events::COMPONENT.to_owned(), events::event());
    all.extend(crate::files::components().into_iter().map(|(name, schema)| (name.to_owned(), schema)));
    all
}

/// The six core paths that the portal names, with a sentence each, for its pages (spec/loop.md 2.6).
pub const CORE_PATHS: [(&str, &str); 6] = [
    ("companies", "The businesses that you work in, by code."),
    ("workspaces", "Branches, departments and projects of a company."),
    ("developer-profiles", "Who builds against this installation."),
    ("api-client-apps", "The front ends that call the API, by app id."),
    ("internal-api-keys", "Keys for servers, in place of a JWT."),
    ("memberships", "Who works in a company, and as what."),
];
