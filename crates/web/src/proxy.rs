//! Who is really there: the client's address and scheme behind trusted proxies.
//!
//! Only a configured proxy is believed (`LOOP_TRUSTED_PROXIES`). `X-Forwarded-For` is read from the right: each trusted hop vouches
//! for the entry before it, and the first entry that no trusted hop wrote is the client. The first entry of the list is never
//! taken on trust: anybody can send one.

use http::HeaderMap;
use loopd_types::Network;
use std::net::IpAddr;

/// The other end of the connection, as the socket says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    pub address: IpAddr,
    pub is_tls: bool,
}

impl From<IpAddr> for Peer {
    fn from(address: IpAddr) -> Self {
        Self { address, is_tls: false }
    }
}

/// What is known of the other end after the proxies were asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    pub address: IpAddr,
    pub is_https: bool,
    /// Whether the peer itself is one of our proxies, so that its forwarding headers count.
    pub is_proxied: bool,
}

/// Finds the client behind `peer`. Without a trusted peer every forwarding header is ignored.
pub fn client(peer: impl Into<Peer>, headers: &HeaderMap, trusted: &[Network]) -> Client {
    let Peer { address, is_tls } = peer.into();
    let peer = address.to_canonical();
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    if trusted.is_empty() || !is_trusted(peer) {
        return Client { address: peer, is_https: is_tls, is_proxied: false };
    }
    let mut address = peer;
    let lines: Vec<&str> = headers.get_all("x-forwarded-for").iter().filter_map(|line| line.to_str().ok()).collect();
    for entry in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
        // An entry that is no address was not written by a proxy of ours: the hop after it is the best we know.
        let Some(hop) = parse_hop(entry.trim()) else { break };
        address = hop;
        if !is_trusted(hop) {
            break;
        }
    }
    let scheme = headers.get_all("x-forwarded-proto").iter().next_back().and_then(|value| value.to_str().ok());
    // A proxy that says nothing of the scheme is believed as far as its own connection goes.
    let is_https = scheme
        .and_then(|value| value.rsplit(',').next())
        .map_or(is_tls, |value| value.trim().eq_ignore_ascii_case("https"));
    Client { address, is_https, is_proxied: true }
}

/// `1.2.3.4`, `1.2.3.4:567`, `::1`, `[::1]`, `[::1]:567`.
fn parse_hop(text: &str) -> Option<IpAddr> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    if let Ok(socket) = text.parse::<std::net::SocketAddr>() {
        return Some(socket.ip().to_canonical());
    }
    text.strip_prefix('[')?.strip_suffix(']')?.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        let trusted: Vec<Network> = trusted.iter().map(|text| text.parse().unwrap()).collect();
        client(peer.parse::<IpAddr>().unwrap(), &headers, &trusted).address.to_string()
    }

    #[test]
    fn a_stranger_cannot_choose_its_address() {
        assert_eq!(seen("203.0.113.9", &["1.1.1.1"], &["10.0.0.0/8"]), "203.0.113.9");
        assert_eq!(seen("203.0.113.9", &["1.1.1.1"], &[]), "203.0.113.9");
    }

    #[test]
    fn the_right_most_untrusted_hop_is_the_client() {
        let proxies = ["10.0.0.0/8", "fd00::/8"];
        assert_eq!(seen("10.0.0.1", &["1.1.1.1, 203.0.113.9"], &proxies), "203.0.113.9");
        assert_eq!(seen("10.0.0.1", &["1.1.1.1, 203.0.113.9, 10.2.3.4"], &proxies), "203.0.113.9");
        assert_eq!(seen("10.0.0.1", &["1.1.1.1", "203.0.113.9:4711", "[fd00::7]:80"], &proxies), "203.0.113.9");
        assert_eq!(seen("::ffff:10.0.0.1", &["2001:db8::1"], &proxies), "2001:db8::1");
        assert_eq!(seen("10.0.0.1", &["1.1.1.1, nonsense, 10.2.3.4"], &proxies), "10.2.3.4");
        assert_eq!(seen("10.0.0.1", &[], &proxies), "10.0.0.1");
        assert_eq!(seen("10.0.0.1", &["10.0.0.7"], &proxies), "10.0.0.7");
    }

    #[test]
    fn https_is_believed_from_a_proxy_only() {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-proto", "https".parse().unwrap());
        let proxies = ["10.0.0.0/8".parse().unwrap()];
        assert!(client("10.0.0.1".parse::<IpAddr>().unwrap(), &headers, &proxies).is_https);
        assert!(!client("11.0.0.1".parse::<IpAddr>().unwrap(), &headers, &proxies).is_https);
    }
}
