//! What an email, a username and a password must be. Pure.

use std::borrow::Cow;

type Complaint = (&'static str, Cow<'static, str>);

/// Passwords that every list of leaked passwords begins with; the portal's own sample must pass (spec/loop.md 4.6).
const COMMON: [&str; 40] = [
    "password",
    "12345678",
    "123456789",
    "1234567890",
    "qwertyuiop",
    "password1",
    "password123",
    "iloveyou",
    "sunshine",
    "princess",
    "football",
    "baseball",
    "superman",
    "trustno1",
    "letmein1",
    "welcome1",
    "admin123",
    "administrator",
    "passw0rd",
    "p@ssw0rd",
    "qwerty123",
    "1q2w3e4r",
    "1qaz2wsx",
    "zaq12wsx",
    "abcd1234",
    "abc12345",
    "aa123456",
    "11111111",
    "00000000",
    "87654321",
    "qwertyui",
    "asdfghjk",
    "asdfasdf",
    "changeme",
    "changeme1",
    "kigali123",
    "rwanda123",
    "jesus123",
    "whatever",
    "michael1",
];

/// Whether `text` reads as an address: something, an `@`, a host with a dot or `localhost` (Django's shape, without its history).
pub fn is_email(text: &str) -> bool {
    let Some((local, host)) = text.rsplit_once('@') else { return false };
    let local_ok = !local.is_empty()
        && local.len() <= 64
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..")
        && local.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~.-".contains(&b));
    let label_ok = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
    };
    local_ok && text.len() <= 254 && (host == "localhost" || (host.contains('.') && host.split('.').all(label_ok)))
}

/// Django's username rule: letters, digits and `@ . + - _`, at most 150.
pub fn check_username(text: &str) -> Result<(), Complaint> {
    if text.chars().all(|c| c.is_alphanumeric() || "@.+-_".contains(c)) {
        return Ok(());
    }
    Err((
        "invalid",
        "Enter a valid username. This value may contain only letters, numbers, and @/./+/-/_ characters.".into(),
    ))
}

/// Django's four validators: length, commonness, digits only, likeness to the person's own words.
pub fn check_password(password: &str, email: &str, username: &str) -> Vec<Complaint> {
    let mut complaints: Vec<Complaint> = Vec::new();
    if password.chars().count() < 8 {
        complaints
            .push(("password_too_short", "This password is too short. It must contain at least 8 characters.".into()));
    }
    let lower = password.to_lowercase();
    if COMMON.contains(&lower.as_str()) {
        complaints.push(("password_too_common", "This password is too common.".into()));
    }
    if !password.is_empty() && password.bytes().all(|b| b.is_ascii_digit()) {
        complaints.push(("password_entirely_numeric", "This password is entirely numeric.".into()));
    }
    for (word, name) in
        [(username, "username"), (email, "email address"), (email.split('@').next().unwrap_or(""), "email address")]
    {
        let word = word.to_lowercase();
        // Short words are in everything; a password that is mostly the name is what is meant.
        if word.chars().count() >= 4 && lower.contains(&word) && word.chars().count() * 2 > lower.chars().count() {
            complaints.push(("password_too_similar", format!("The password is too similar to the {name}.").into()));
            break;
        }
    }
    complaints
}

/// A slug of a name: ASCII letters, digits and single dashes; never empty.
pub fn slugify(name: &str) -> String {
    let mut slug = String::new();
    for c in name.chars().flat_map(char::to_lowercase) {
        if c.is_ascii_alphanumeric() {
            slug.push(c);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
        if slug.len() >= 80 {
            break;
        }
    }
    let slug = slug.trim_matches('-');
    if slug.is_empty() { "company".to_owned() } else { slug.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emails() {
        for good in ["dev@example.com", "a.b+c@sub.example.co.rw", "x@localhost", "o'neil@example.org"] {
            assert!(is_email(good), "{good}");
        }
        for bad in [
            "",
            "dev",
            "@example.com",
            "dev@",
            "dev@com",
            "a b@example.com",
            "a@-x.com",
            "a@x..com",
            ".a@x.com",
            "a@x.com\n",
        ] {
            assert!(!is_email(bad), "{bad}");
        }
    }

    #[test]
    fn passwords_are_judged_in_djangos_words() {
        assert!(check_password("strongpass123", "dev@example.com", "dev").is_empty(), "the portal's own sample");
        let codes = |p: &str| check_password(p, "grace@example.com", "grace.u").iter().map(|c| c.0).collect::<Vec<_>>();
        assert_eq!(codes("short"), ["password_too_short"]);
        assert_eq!(codes("password"), ["password_too_common"]);
        assert_eq!(codes("4815162342"), ["password_entirely_numeric"]);
        assert_eq!(codes("grace.u1"), ["password_too_similar"]);
        assert_eq!(codes("1234"), ["password_too_short", "password_entirely_numeric"]);
    }

    #[test]
    fn slugs() {
        for (name, slug) in
            [("Demo Company", "demo-company"), ("  Café & Bar!! ", "caf-bar"), ("日本", "company"), ("A--B", "a-b")]
        {
            assert_eq!(slugify(name), slug);
        }
    }
}
