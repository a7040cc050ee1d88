//! Names of tables, columns and indexes: checked, quoted, and never from request text.

use loopd_types::sha256_hex;

use super::IndexDef;

/// PostgreSQL cuts names beyond this silently, so that two long ones could become one.
const LONGEST: usize = 63;

/// What is wrong with a name, in words.
pub fn check(name: &str) -> Result<(), String> {
    let sound = name.len() <= LONGEST
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if sound {
        Ok(())
    } else {
        Err(format!("the name {name:?} is not allowed: small letters, digits and _, a letter first, {LONGEST} at most"))
    }
}

/// Quoted, so that `order` may be a column.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `"a", "b"`.
pub fn list(names: &[String]) -> String {
    names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ")
}

/// The name that an index has for its table, columns, uniqueness and condition; one that differs in any of them has
/// another name, so comparing names is comparing indexes.
pub fn index(table: &str, index: &IndexDef) -> String {
    let suffix = if index.unique { "ux" } else { "ix" };
    let readable = format!("{table}_{}", index.columns.join("_"));
    // The hash also tells (a_b, c) from (a, b_c).
    let whole = format!("{table}({})where {}", index.columns.join(","), index.where_sql.as_deref().unwrap_or_default());
    let hash = &sha256_hex(whole.as_bytes())[..8];
    let room = LONGEST - hash.len() - suffix.len() - 2;
    format!("{}_{hash}_{suffix}", &readable[..readable.len().min(room)])
}

/// Whether a name was given by [`index`].
pub fn is_ours(name: &str) -> bool {
    name.ends_with("_ix") || name.ends_with("_ux")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_small_letters_digits_and_underscores() {
        for name in ["a", "booking_appointments", "x2"] {
            assert!(check(name).is_ok(), "{name}");
        }
        for name in ["", "A", "2x", "_x", "a-b", "a\"b", "ä", &"a".repeat(64)] {
            assert!(check(name).is_err(), "{name}");
        }
    }

    #[test]
    fn index_names_fit_and_differ_when_the_indexes_do() {
        let make = |columns: &[&str], unique, condition: Option<&str>| IndexDef {
            columns: columns.iter().map(ToString::to_string).collect(),
            unique,
            where_sql: condition.map(ToOwned::to_owned),
        };
        let long = "t".repeat(60);
        let names = [
            index(&long, &make(&["a_b", "c"], false, None)),
            index(&long, &make(&["a", "b_c"], false, None)),
            index(&long, &make(&["a", "b_c"], true, None)),
            index(&long, &make(&["a", "b_c"], true, Some("a IS NULL"))),
        ];
        assert!(names.iter().all(|name| check(name).is_ok() && is_ours(name)));
        assert!((1..names.len()).all(|i| !names[..i].contains(&names[i])));
    }
}
