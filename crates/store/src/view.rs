//! [`View`]: whose rows a piece of work may touch.

use std::fmt::Write as _;
use std::sync::Arc;

use loopd_types::CompanyId;

/// Whose rows this work may touch. PostgreSQL repeats it as row-level security (`loopd.companies`); SQLite has no such
/// second wall and ignores it, so the statement's own `company_id = $1` stays the first wall on both.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum View {
    /// Every row: sign-in, background work, the operator.
    System,
    Company(CompanyId),
    /// A list over several companies. An empty one sees no tenant row at all.
    Companies(Arc<[CompanyId]>),
}

impl View {
    /// What the policy compares with: `*`, or company numbers separated by commas.
    pub(crate) fn setting(&self) -> String {
        match self {
            View::System => "*".to_owned(),
            View::Company(company) => company.0.to_string(),
            View::Companies(companies) => {
                let mut list = String::new();
                for company in companies.iter() {
                    let separator = if list.is_empty() { "" } else { "," };
                    write!(list, "{separator}{}", company.0).expect("a String takes everything");
                }
                list
            }
        }
    }
}
