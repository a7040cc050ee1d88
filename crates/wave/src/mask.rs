//! Number masking: who may not see customers' telephone numbers is never sent one, in any field (spec/loopwave.md 4.4).

mod numbers;

use loopd_kernel::Tenant;

use crate::preference::Preferences;

pub use numbers::{Numbers, bare, folded, may_hold};

/// What lifts the mask: owners, administrators and managers have it; staff and viewers do not.
pub const SEE_NUMBERS: &str = "loopwave.contacts.action:see-numbers";

/// How much of customers' numbers a reader is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sight {
    Full,
    Masked,
}

impl Sight {
    /// What a signed-in person sees. Keys of the public API are made by administrators and see all.
    pub fn of(tenant: &Tenant, preferences: &Preferences) -> Self {
        if !preferences.mask_numbers || tenant.may(SEE_NUMBERS) { Self::Full } else { Self::Masked }
    }

    pub fn is_masked(self) -> bool {
        self == Self::Masked
    }

    /// A telephone number.
    pub fn phone(self, phone: &str) -> String {
        if self.is_masked() { masked(phone) } else { phone.to_owned() }
    }

    /// An address; nothing of it is left under the mask, because it holds the number.
    pub fn jid(self, jid: &str) -> Option<String> {
        (!self.is_masked()).then(|| jid.to_owned())
    }

    /// What people wrote beside a name, without any number in it.
    pub fn text(self, text: &str) -> String {
        if self.is_masked() { numbers::without_any(text).into_owned() } else { text.to_owned() }
    }

    /// A name, which is a number where nobody told another, and may hold one where somebody did.
    pub fn name(self, name: &str) -> String {
        match self {
            Self::Masked if is_number(name) => masked(name),
            Self::Masked => numbers::without_any(name).into_owned(),
            Self::Full => name.to_owned(),
        }
    }
}

/// Digits at the end that stay: enough to tell two customers apart on the telephone, too few to call one.
const LEFT: usize = 2;
/// Digits at the front that stay: the country.
const FRONT: usize = 3;

/// `+250•••••••56`
pub fn masked(phone: &str) -> String {
    let digits: String = phone.split('@').next().unwrap_or_default().chars().filter(char::is_ascii_digit).collect();
    let (front, rest) = digits.split_at(FRONT.min(digits.len()));
    let (hidden, left) = rest.split_at(rest.len().saturating_sub(LEFT));
    format!("+{front}{}{left}", "•".repeat(hidden.len()))
}

/// Whether a name is but a telephone number.
fn is_number(name: &str) -> bool {
    let digits = name.bytes().filter(u8::is_ascii_digit).count();
    let is_written_so = name.contains('@') || name.chars().all(|c| c.is_ascii_digit() || " +-().".contains(c));
    is_written_so && digits >= 7
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_number_keeps_its_country_and_two_digits() {
        assert_eq!(masked("+250788123456"), "+250•••••••56");
        assert_eq!(masked("250788123456@s.whatsapp.net"), "+250•••••••56");
        assert_eq!(masked("12"), "+12");
    }

    #[test]
    fn a_name_that_is_a_number_is_masked_and_another_is_not() {
        assert_eq!(Sight::Masked.name("+250 788 123 456"), "+250•••••••56");
        assert_eq!(Sight::Masked.name("250788123456@s.whatsapp.net"), "+250•••••••56");
        assert_eq!(Sight::Masked.name("Table 12"), "Table 12");
        assert_eq!(Sight::Masked.name("Bob 0788 123 456"), "Bob •••••••");
        assert_eq!(Sight::Full.name("+250788123456"), "+250788123456");
        assert_eq!(Sight::Masked.jid("250788123456@s.whatsapp.net"), None);
    }
}
