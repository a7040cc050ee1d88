//! Which addresses a request that a stranger chose may be sent to: only those that the whole internet can reach.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why an address is refused; `None` for one that everybody can reach. Judged by what a packet would reach: an IPv4 address that
/// is written inside an IPv6 one counts as itself.
/// Sources: the IANA special-purpose address registries (RFC 6890 and what came after it).
pub fn refusal(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(v4) => refusal_v4(v4),
        IpAddr::V6(v6) => refusal_v6(v6),
    }
}

/// What even a name that the operator allows may not lead to: where clouds keep their machines' own secrets, and what is no single host.
pub fn is_never_allowed(address: IpAddr) -> bool {
    matches!(refusal(address), Some(LINK_LOCAL | METADATA | MULTICAST | RESERVED | UNSPECIFIED | TUNNEL))
}

const UNSPECIFIED: &str = "this host";
const PRIVATE: &str = "a private network";
const SHARED: &str = "a provider's shared network";
const LOOPBACK: &str = "loopback";
const LINK_LOCAL: &str = "link-local";
const METADATA: &str = "a cloud's metadata service";
const MULTICAST: &str = "multicast";
const RESERVED: &str = "reserved";
const DOCUMENTATION: &str = "for documentation";
const TUNNEL: &str = "inside a tunnel";

fn refusal_v4(address: Ipv4Addr) -> Option<&'static str> {
    match address.octets() {
        [0, ..] => Some(UNSPECIFIED),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Some(PRIVATE),
        // Alibaba's metadata service stands in the middle of the shared space
        [100, 100, 100, 200] => Some(METADATA),
        [100, 64..=127, ..] => Some(SHARED),
        [127, ..] => Some(LOOPBACK),
        [169, 254, ..] => Some(LINK_LOCAL),
        // Azure's platform address is public by number and answers inside every machine there
        [168, 63, 129, 16] => Some(METADATA),
        // 192.0.0.192 is Oracle's metadata service
        [192, 0, 0, _] => Some(METADATA),
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Some(DOCUMENTATION),
        // the dead anycast of 6to4 relays
        [192, 88, 99, _] => Some(TUNNEL),
        [198, 18 | 19, ..] => Some(PRIVATE),
        [224..=239, ..] => Some(MULTICAST),
        [240..=255, ..] => Some(RESERVED),
        _ => None,
    }
}

fn refusal_v6(address: Ipv6Addr) -> Option<&'static str> {
    let segments = address.segments();
    let last = Ipv4Addr::from((u32::from(segments[6]) << 16) | u32::from(segments[7]));
    match segments {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some(UNSPECIFIED),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some(LOOPBACK),
        // IPv4-mapped: the kernel connects to the IPv4 address
        [0, 0, 0, 0, 0, 0xffff, ..] => refusal_v4(last),
        // IPv4-compatible (RFC 4291 2.5.5.1) and IPv4-translated (RFC 2765): nobody needs them, some stacks follow them
        [0, 0, 0, 0, 0, 0, ..] | [0, 0, 0, 0, 0xffff, 0, ..] => Some(TUNNEL),
        // NAT64's well-known prefix: how a host without IPv4 reaches public IPv4 hosts, and private ones if it is allowed to
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => refusal_v4(last),
        // its local prefix translates as the network's owner likes
        [0x64, 0xff9b, 1, ..] => Some(PRIVATE),
        // AWS's metadata service, and its other services within a machine
        [0xfd00, 0xec2, ..] => Some(METADATA),
        [0xfc00..=0xfdff, ..] => Some(PRIVATE),
        [0xfe80..=0xfebf, ..] => Some(LINK_LOCAL),
        // site-local, deprecated
        [0xfec0..=0xfeff, ..] => Some(PRIVATE),
        [0xff00..=0xffff, ..] => Some(MULTICAST),
        // Teredo and 6to4 carry an IPv4 address that a relay would send on to
        [0x2001, 0, ..] | [0x2002, ..] => Some(TUNNEL),
        // ISATAP writes one into the interface's part
        [_, _, _, _, 0 | 0x200, 0x5efe, _, _] => Some(TUNNEL),
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Some(DOCUMENTATION),
        [0x2001, 0..=0x1ff, ..] => Some(RESERVED),
        // global unicast is 2000::/3 and nothing else yet
        [0x2000..=0x3fff, ..] => None,
        _ => Some(RESERVED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(text: &str) -> Option<&'static str> {
        refusal(text.parse().unwrap_or_else(|_| panic!("{text} is an address")))
    }

    #[test]
    fn what_is_not_the_internet_is_refused() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.100.100.200",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.0.1",
            "169.254.169.254",
            "169.254.170.2",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "192.168.255.255",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::2",
            "::127.0.0.1",
            "::8.8.8.8",
            "::ffff:0:127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:0.0.0.0",
            "64:ff9b::127.0.0.1",
            "64:ff9b::10.1.2.3",
            "64:ff9b::169.254.169.254",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:0:4136:e378:8000:63bf:3fff:fdd2",
            "2001:10::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "2002:a00:1::",
            "2002:808:808::1",
            "2606:4700::5efe:127.0.0.1",
            "2606:4700:0:0:200:5efe:a00:1",
            "3fff::1",
            "4000::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fd12:3456::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "ffff::1",
        ] {
            assert!(judged(text).is_some(), "{text} must be refused");
        }
    }

    #[test]
    fn the_internet_is_not() {
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.1",
            "100.63.255.255",
            "100.128.0.1",
            "126.255.255.255",
            "128.0.0.1",
            "168.63.129.17",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.1",
            "192.0.1.1",
            "192.167.255.255",
            "192.169.0.1",
            "198.17.255.255",
            "198.20.0.1",
            "223.255.255.255",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2001:200::1",
            "2001:4860:4860::8888",
            "2606:4700:4700::1111",
            "2a00:1450:4001::1",
            "3ffe::1",
        ] {
            assert_eq!(judged(text), None, "{text}");
        }
    }

    #[test]
    fn no_name_opens_the_way_to_a_clouds_secrets() {
        for text in
            ["169.254.169.254", "fd00:ec2::254", "::ffff:169.254.169.254", "168.63.129.16", "0.0.0.0", "224.0.0.1"]
        {
            assert!(is_never_allowed(text.parse().unwrap()), "{text}");
        }
        for text in ["127.0.0.1", "10.1.2.3", "::1", "fd12::1", "8.8.8.8", "::ffff:127.0.0.1"] {
            assert!(!is_never_allowed(text.parse().unwrap()), "{text}");
        }
    }
}
