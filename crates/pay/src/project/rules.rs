//! What a project may be and be allowed. Pure.

/// Every scope that a project's key can have (spec/loomal.md 2.7). Those of mail, vault and calendar belong to the older generation:
/// they are kept for its clients and open nothing here.
pub const SCOPES: [&str; 13] = [
    "payments:accept",
    "payments:spend",
    "mail:read",
    "mail:send",
    "mail:manage",
    "vault:read",
    "vault:write",
    "identity:sign",
    "identity:verify",
    "calendar:read",
    "calendar:write",
    "calendar:delete",
    "calendar:public",
];

pub const ACCEPT: &str = "payments:accept";
pub const SPEND: &str = "payments:spend";
pub const SIGN: &str = "identity:sign";
pub const VERIFY: &str = "identity:verify";

/// Longest name.
pub const NAME_MOST: usize = 100;

/// On which side of payments a project mostly stands; decides its first scopes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    Buyer,
    Seller,
}

impl Purpose {
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "BUYER" => Some(Self::Buyer),
            "SELLER" => Some(Self::Seller),
            _ => None,
        }
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Buyer => "BUYER",
            Self::Seller => "SELLER",
        }
    }

    /// The scopes of a new project that asks for none.
    pub fn scopes(self) -> &'static [&'static str] {
        match self {
            Self::Seller => &[ACCEPT],
            Self::Buyer => &[
                SPEND,
                "mail:read",
                "mail:send",
                "mail:manage",
                "vault:read",
                "vault:write",
                SIGN,
                VERIFY,
                "calendar:read",
                "calendar:write",
            ],
        }
    }
}

/// Those of `wanted` that exist, each once, in their usual order: unknown ones are left out and not refused, as clients expect.
pub fn known<S: AsRef<str>>(wanted: &[S]) -> Vec<String> {
    let is_wanted = |scope: &&&str| wanted.iter().any(|text| text.as_ref() == **scope);
    SCOPES.iter().filter(is_wanted).map(|scope| (*scope).to_owned()).collect()
}

/// `has`, with and without; what is both added and removed is gone.
pub fn changed(has: &[String], add: &[String], remove: &[String]) -> Vec<String> {
    let all: Vec<&str> = has.iter().chain(add).filter(|scope| !remove.contains(scope)).map(String::as_str).collect();
    known(&all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_scopes_are_left_out_and_order_is_fixed() {
        assert_eq!(known(&["identity:sign", "root", "payments:accept", "identity:sign"]), [ACCEPT, SIGN]);
        let has = vec![ACCEPT.to_owned(), SIGN.to_owned()];
        let (add, remove) = (vec![SPEND.to_owned(), "x".to_owned()], vec![ACCEPT.to_owned()]);
        assert_eq!(changed(&has, &add, &remove), [SPEND, SIGN]);
        assert!(changed(&has, &has, &has).is_empty());
    }
}
