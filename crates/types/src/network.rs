//! [`Network`]: a block of addresses.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A network in CIDR notation; a bare address is a network of one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || format!("`{text}` is no network; write 10.0.0.0/8 or one address");
        let (address, prefix) = match text.trim().split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text.trim(), None),
        };
        let address: IpAddr = address.parse().map_err(|_| refuse())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(prefix) => prefix.parse().ok().filter(|bits| *bits <= longest).ok_or_else(refuse)?,
            None => longest,
        };
        Ok(Self { address, prefix })
    }
}

impl Network {
    pub fn contains(&self, other: IpAddr) -> bool {
        match (self.address, other) {
            (IpAddr::V4(a), IpAddr::V4(b)) => same_prefix(u32::from(a).into(), u32::from(b).into(), 32, self.prefix),
            (IpAddr::V6(a), IpAddr::V6(b)) => same_prefix(a.into(), b.into(), 128, self.prefix),
            _ => false,
        }
    }
}

impl Network {
    /// Whether every address of `other` is one of this.
    pub fn covers(&self, other: &Network) -> bool {
        self.prefix <= other.prefix && self.contains(other.address)
    }
}

fn same_prefix(a: u128, b: u128, width: u32, prefix: u8) -> bool {
    let dropped = width - u32::from(prefix);
    // A shift by the whole width is an overflow in Rust, and /0 contains everything.
    a.checked_shr(dropped).unwrap_or(0) == b.checked_shr(dropped).unwrap_or(0)
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_exactly() {
        let contains =
            |network: &str, address: &str| network.parse::<Network>().unwrap().contains(address.parse().unwrap());
        assert!(contains("0.0.0.0/0", "8.8.8.8") && !contains("0.0.0.0/0", "::1"));
        assert!(contains("::/0", "::1"));
        assert!(contains("192.168.0.0/23", "192.168.1.255") && !contains("192.168.0.0/23", "192.168.2.0"));
        let covers = |a: &str, b: &str| a.parse::<Network>().unwrap().covers(&b.parse().unwrap());
        assert!(covers("10.0.0.0/8", "10.1.0.0/16") && covers("::/0", "::1") && covers("10.0.0.0/8", "10.0.0.0/8"));
        assert!(
            !covers("10.1.0.0/16", "10.0.0.0/8") && !covers("10.0.0.0/8", "11.0.0.0/16") && !covers("0.0.0.0/0", "::1")
        );
        assert_eq!("10.0.0.7".parse::<Network>().unwrap().to_string(), "10.0.0.7/32");
        for bad in ["", "10.0.0.0/33", "10.0.0/8", "::/129", "proxy"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }
}
