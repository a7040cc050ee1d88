//! Addresses of WhatsApp: `250788123456@s.whatsapp.net` (a person's telephone number), `…@lid` (a person without one),
//! `…@bsuid` (the Cloud API's business-scoped id), `…@g.us` (a group). The first form and the last are WhatsApp's own jids.

use std::fmt;

/// Somebody or a group that can be written to.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Address {
    user: String,
    server: Server,
}

/// What kind of name an address is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Server {
    /// Digits with country code.
    Phone,
    Lid,
    /// `RW.1502576394655843`
    BusinessScoped,
    Group,
}

impl Server {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Phone => "s.whatsapp.net",
            Self::Lid => "lid",
            Self::BusinessScoped => "bsuid",
            Self::Group => "g.us",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Phone, Self::Lid, Self::BusinessScoped, Self::Group].into_iter().find(|it| it.as_str() == text)
    }

    /// The kind of identity that a contact is known by; `None` for groups, which are no person.
    pub const fn identity(self) -> Option<&'static str> {
        match self {
            Self::Phone => Some("phone"),
            Self::Lid => Some("lid"),
            Self::BusinessScoped => Some("bsuid"),
            Self::Group => None,
        }
    }
}

/// Digits of a telephone number with its country code, E.164 (ITU-T): at most 15; shorter than 7 is none.
const DIGITS: std::ops::RangeInclusive<usize> = 7..=15;
/// Longest name before the `@`.
const USER_MOST: usize = 64;

impl Address {
    /// A telephone number as people write it (`+250 788 123 456`, `00250788123456`), or a full jid; `None` for what is neither.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        match text.split_once('@') {
            None => Self::phone(text),
            Some((user, server)) => Self::of(user, Server::parse(server)?),
        }
    }

    /// A telephone number with its country code, however it is written.
    pub fn phone(text: &str) -> Option<Self> {
        let is_filler = |c: char| matches!(c, ' ' | '-' | '(' | ')' | '.' | '\u{a0}');
        let plain: String = text.trim().chars().filter(|c| !is_filler(*c)).collect();
        let digits = plain.strip_prefix('+').or_else(|| plain.strip_prefix("00")).unwrap_or(&plain);
        Self::of(digits, Server::Phone)
    }

    fn of(user: &str, server: Server) -> Option<Self> {
        // A jid of a linked device names the device too: `250788123456:12@s.whatsapp.net`.
        let user = user.split(':').next().unwrap_or_default();
        let is_digits = user.bytes().all(|byte| byte.is_ascii_digit());
        let fits = match server {
            Server::Phone => is_digits && DIGITS.contains(&user.len()) && !user.starts_with('0'),
            Server::Lid | Server::BusinessScoped | Server::Group => {
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
                !user.is_empty() && user.len() <= USER_MOST && user.bytes().all(plain)
            }
        };
        fits.then(|| Self { user: user.to_owned(), server })
    }

    pub fn server(&self) -> Server {
        self.server
    }

    /// What stands before the `@`: for a telephone number its digits.
    pub fn user(&self) -> &str {
        &self.user
    }

    pub fn is_group(&self) -> bool {
        self.server == Server::Group
    }

    /// The telephone number with a plus sign; `None` for whoever has none.
    pub fn telephone(&self) -> Option<String> {
        (self.server == Server::Phone).then(|| format!("+{}", self.user))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.user, self.server.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_found_however_their_number_is_written() {
        for text in [
            "250788123456",
            "+250 788 123 456",
            "00250-788-123-456",
            "(250) 788.123.456",
            "250788123456@s.whatsapp.net",
            "250788123456:7@s.whatsapp.net",
        ] {
            assert_eq!(Address::parse(text).unwrap().to_string(), "250788123456@s.whatsapp.net", "{text}");
        }
        assert_eq!(Address::parse("120363-1@g.us").unwrap().to_string(), "120363-1@g.us");
        assert_eq!(Address::parse("RW.1502576394655843@bsuid").unwrap().server().identity(), Some("bsuid"));
    }

    #[test]
    fn what_is_no_address_is_none() {
        for text in [
            "",
            "12345",
            "0788123456",
            "1234567890123456",
            "moses",
            "25078812345a",
            "x@example.com",
            "@g.us",
            "a b@lid",
        ] {
            assert_eq!(Address::parse(text), None, "{text}");
        }
    }
}
