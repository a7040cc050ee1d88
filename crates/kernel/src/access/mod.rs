//! Who is calling, and may they come in here: credential → [`Caller`] → [`Tenant`], in the order of spec/loop.md 5.1.

mod bounds;
pub(crate) mod cache;
mod caller;
mod door;
mod enter;
mod load;
mod tenant;

pub use bounds::{Bounds, Impersonation};
pub use caller::{Actor, Auth, Caller, KeyAccess, Origin, Presented, network};
pub use door::Door;
pub use enter::Need;
pub(crate) use enter::company_access_denied;
pub use load::{CompanyAccess, MembershipAccess, ProductAccess, UserAccess, WorkspaceAccess};
pub use tenant::Tenant;
