//! Who finds a record besides what permissions and workspaces say: a private channel's members, whoever asked a question.
//!
//! One condition in SQL, made from the definition once and used wherever a client's call looks for records: lists, gets, counts, exports,
//! expansions, links, actions. Rules see everything, as they do with workspaces.

use loopd_kernel::Tenant;
use loopd_store::{Engine as Database, Value, dialect};

use super::condition::bind;
use super::runtime::ResourceRuntime;
use crate::define::Audience;

/// An [`Audience`] made ready: columns and tables in place of names.
#[derive(Clone, Debug)]
pub(crate) enum AudienceSql {
    Members { field: String, open: String, members: String },
    Through { field: String, table: String, inner: Option<Box<AudienceSql>> },
    Author,
}

impl AudienceSql {
    /// `None` for everybody.
    pub(crate) fn compile(audience: &Audience, runtime: &ResourceRuntime, all: &[ResourceRuntime]) -> Option<Self> {
        let column =
            |name: &str| runtime.place(name).map(|place| runtime.columns[place].sql.clone()).unwrap_or_default();
        match audience {
            Audience::Everyone => None,
            Audience::Members { field, open, members } => {
                Some(Self::Members { field: column(field), open: open.clone(), members: column(members) })
            }
            Audience::Through(field) => {
                let target = runtime.resource.find_field(field).and_then(|field| field.kind.target())?;
                let target = all.iter().find(|other| other.path == target)?;
                let inner = Self::compile(&target.resource.audience, target, all).map(Box::new);
                Some(Self::Through { field: column(field), table: target.table.clone(), inner })
            }
            Audience::Author => Some(Self::Author),
        }
    }

    /// The condition for this caller; `None` where it lets everything through: for the system, and for superusers, whose reads are audited.
    pub(crate) fn condition(&self, database: Database, tenant: &Tenant, params: &mut Vec<Value>) -> Option<String> {
        let user = tenant.actor.user.filter(|_| !tenant.is_superuser())?;
        Some(match self {
            Self::Members { field, open, members } => {
                let open = bind(params, Value::from(open.as_str()));
                // the list is kept as JSON text: membership is the quoted id
                let listed = bind(params, Value::Text(format!("\"{user}\"")));
                format!("({field} = {open} OR {})", dialect::contains(database, members, &listed))
            }
            Self::Through { field, table, inner } => {
                let inner = inner.as_ref()?.condition(database, tenant, params)?;
                let company = bind(params, Value::from(tenant.company));
                format!(
                    "({field} IS NULL OR {field} IN (SELECT id FROM {table} WHERE company_id = {company} AND {inner}))"
                )
            }
            Self::Author => format!("created_by = {}", bind(params, Value::Uuid(user))),
        })
    }
}
