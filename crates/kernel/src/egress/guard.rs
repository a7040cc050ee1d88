//! The guard before requests whose address a tenant chose: the address that is connected to is the one that was judged.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address;

/// What a look-up of a host's addresses gives.
pub type Resolved = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// Where names come from; tests bring one that changes its mind.
pub trait Resolver: Send + Sync + 'static {
    fn resolve(&self, host: &str) -> Resolved;
}

/// The machine's own resolver.
pub struct SystemResolver;

impl Resolver for SystemResolver {
    fn resolve(&self, host: &str) -> Resolved {
        let host = host.to_owned();
        Box::pin(async move { Ok(tokio::net::lookup_host((host, 0)).await?.map(|found| found.ip()).collect()) })
    }
}

/// Who may be called, and how names are looked up.
#[derive(Clone)]
pub struct Policy {
    /// `LOOP_EGRESS_ALLOW`: hosts that may lead into the own network, in lower case.
    pub allow: Vec<String>,
    pub resolver: Arc<dyn Resolver>,
}

impl Default for Policy {
    fn default() -> Self {
        Self { allow: Vec::new(), resolver: Arc::new(SystemResolver) }
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Policy {{ allow: {:?} }}", self.allow)
    }
}

/// An address that is not called, and why.
#[derive(Debug)]
pub struct Refused(String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

impl Policy {
    /// Judges what can be judged without a look-up: the scheme, words before the host, an address in place of a name. The URL's
    /// parser has turned `2130706433`, `0x7f.1` and `0177.0.0.1` into 127.0.0.1 by then (WHATWG URL, host parsing).
    ///
    /// # Errors
    /// [`Refused`] in words for whoever chose the address.
    pub fn check_url(&self, url: &Url) -> Result<(), Refused> {
        if !matches!(url.scheme(), "https" | "http") {
            return Err(Refused(format!("{}: is not http or https", url.scheme())));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refused("a user name or password in the address is not sent".to_owned()));
        }
        let host = url.host_str().unwrap_or_default();
        match literal(host) {
            Some(address) => self.check_address(host, address),
            None if host.is_empty() => Err(Refused("the address has no host".to_owned())),
            None => Ok(()),
        }
    }

    fn check_address(&self, host: &str, address: IpAddr) -> Result<(), Refused> {
        let Some(why) = address::refusal(address) else { return Ok(()) };
        if self.is_allowed(host) && !address::is_never_allowed(address) {
            return Ok(());
        }
        Err(Refused(format!("{host} leads to {address}, which is {why}; only public addresses are called")))
    }

    fn is_allowed(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').trim_start_matches('[').trim_end_matches(']');
        self.allow.iter().any(|allowed| allowed.eq_ignore_ascii_case(host))
    }

    /// Looks the name up and leaves only what may be called; refuses when nothing is left. What comes out of here is connected to
    /// without another look-up, so a name that changes its mind in between gains nothing.
    async fn addresses(self, host: String) -> Result<Addrs, Box<dyn std::error::Error + Send + Sync>> {
        let found = self.resolver.resolve(&host).await?;
        let (mut kept, mut refusal) = (Vec::with_capacity(found.len()), None);
        for address in found {
            match self.check_address(&host, address) {
                Ok(()) => kept.push(SocketAddr::new(address, 0)),
                Err(refused) => refusal = Some(refused),
            }
        }
        match refusal {
            Some(refused) if kept.is_empty() => Err(Box::new(refused)),
            _ => Ok(Box::new(kept.into_iter())),
        }
    }
}

/// The guard as reqwest's resolver. It is asked for names only; addresses in place of a name are judged by [`Policy::check_url`].
pub(super) struct Guarded(pub Policy);

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(self.0.clone().addresses(name.as_str().to_owned()))
    }
}

/// The address that stands in place of a name.
fn literal(host: &str) -> Option<IpAddr> {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host).parse().ok()
}
