//! Signing in by a provider of identity (OpenID Connect), as a client: authorization code with PKCE, state and nonce, any provider by
//! discovery.
//!
//! Two trusts. A provider of the installation, set up by a superuser, may vouch for anybody's verified email. A provider of one company
//! is that company's own and could say anything, so what it opens is good in that company only ([`crate::access::Bounds`]): its admins
//! could else come into every other company of a member.

mod documents;
mod mapping;
mod opened;
mod provider;
mod sign_in;
mod wire;

pub use documents::Documents;
pub(crate) use opened::{TRUSTED_METHOD, require_enabled};
pub use provider::{LISTING, Provider, Rule, Scope, delete, offered, save};
pub use sign_in::{Begun, Completed, Return, begin, complete};
