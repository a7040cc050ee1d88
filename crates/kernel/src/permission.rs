//! Permissions: `<module>.<resource>.<verb>` with verb `view`, `create`, `update`, `delete` or `action:NAME`. Core resources use module `core`.

use std::fmt;

/// A list of patterns, read in order; the last one that matches decides. `*` stands for one segment, or for the whole rest when it
/// comes last; a leading `!` denies: `["*", "!core.*", "core.*.view"]`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PermissionSet(Vec<Pattern>);

#[derive(Clone, PartialEq, Eq, Debug)]
struct Pattern {
    allows: bool,
    segments: Vec<Box<str>>,
}

impl PermissionSet {
    /// Reads patterns; `Err` names the first one that is no pattern.
    pub fn parse<S: AsRef<str>>(patterns: impl IntoIterator<Item = S>) -> Result<Self, String> {
        patterns.into_iter().map(|text| Pattern::parse(text.as_ref())).collect::<Result<_, _>>().map(Self)
    }

    /// Everything: owners and superusers.
    pub fn all() -> Self {
        Self(vec![Pattern { allows: true, segments: vec!["*".into()] }])
    }

    pub fn allows(&self, permission: &str) -> bool {
        self.0.iter().rev().find(|pattern| pattern.matches(permission)).is_some_and(|pattern| pattern.allows)
    }

    pub fn patterns(&self) -> impl Iterator<Item = String> + '_ {
        self.0.iter().map(ToString::to_string)
    }

    /// Whether a denial is what decides about `permission`: it was taken away, and not merely never given.
    pub fn denies(&self, permission: &str) -> bool {
        self.0.iter().rev().find(|pattern| pattern.matches(permission)).is_some_and(|pattern| !pattern.allows)
    }

    /// Whether everything that `inner` allows is allowed here: nobody hands out what they do not hold.
    ///
    /// Conservative: wildcards are covered only by equal or wider ones. A denial here must not touch a pattern of `inner`,
    /// or be lifted here for the whole of that pattern, or be repeated in `inner` *after* it, where nothing undoes it
    /// but a later pattern, which is judged in its turn.
    pub fn covers(&self, inner: &PermissionSet) -> bool {
        inner.0.iter().enumerate().filter(|(_, wanted)| wanted.allows).all(|(at, wanted)| {
            let held = self.0.iter().any(|mine| mine.allows && mine.covers(wanted));
            let denials = self.0.iter().enumerate().filter(|(_, mine)| !mine.allows && mine.overlaps(wanted));
            held && denials.into_iter().all(|(here, denial)| {
                self.0[here + 1..].iter().any(|later| later.allows && later.covers(wanted))
                    || inner.0[at + 1..].iter().any(|later| !later.allows && later.covers(denial))
            })
        })
    }
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, String> {
        let (allows, body) = match text.strip_prefix('!') {
            Some(body) => (false, body),
            None => (true, text),
        };
        let segments: Vec<Box<str>> = body.splitn(3, '.').map(Into::into).collect();
        let plain = |s: &str| {
            s == "*"
                || (!s.is_empty()
                    && s.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_:".contains(&b)))
        };
        let verb_ok = |s: &str| s == "*" || s == "action:*" || plain(s);
        let shaped = match segments.as_slice() {
            [one] => &**one == "*",
            [module, last] => plain(module) && &**last == "*",
            [module, resource, verb] => plain(module) && plain(resource) && verb_ok(verb),
            _ => false,
        };
        if shaped { Ok(Self { allows, segments }) } else { Err(format!("`{text}` is not a permission pattern")) }
    }

    fn matches(&self, permission: &str) -> bool {
        let mut parts = permission.splitn(3, '.');
        let last = self.segments.len() - 1;
        for (at, segment) in self.segments.iter().enumerate() {
            if at == last && &**segment == "*" {
                return true;
            }
            let Some(part) = parts.next() else { return false };
            let fits = match &**segment {
                "*" => true,
                "action:*" => part.starts_with("action:"),
                exact => exact == part,
            };
            if !fits {
                return false;
            }
        }
        parts.next().is_none()
    }

    /// Every permission that `other` matches, this one matches too.
    fn covers(&self, other: &Pattern) -> bool {
        let last = self.segments.len() - 1;
        self.segments.iter().enumerate().all(|(at, segment)| match (&**segment, other.segments.get(at)) {
            ("*", _) if at == last => true,
            ("*", Some(_)) => true,
            ("action:*", Some(theirs)) => theirs.starts_with("action:"),
            (mine, Some(theirs)) => mine == &**theirs,
            (_, None) => false,
        })
    }

    fn overlaps(&self, other: &Pattern) -> bool {
        let fits = |a: &str, b: &str| {
            a == "*"
                || b == "*"
                || a == b
                || (a == "action:*" && b.starts_with("action:"))
                || (b == "action:*" && a.starts_with("action:"))
        };
        self.segments.iter().zip(&other.segments).all(|(a, b)| fits(a, b))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.allows { "" } else { "!" }, self.segments.join("."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(patterns: &[&str]) -> PermissionSet {
        PermissionSet::parse(patterns).unwrap()
    }

    #[test]
    fn the_last_match_decides() {
        let manager = set(&["*", "!core.*", "core.*.view"]);
        for (permission, allowed) in [
            ("booking.appointments.create", true),
            ("booking.appointments.action:confirm", true),
            ("core.memberships.view", true),
            ("core.memberships.create", false),
        ] {
            assert_eq!(manager.allows(permission), allowed, "{permission}");
        }
        assert!(!PermissionSet::default().allows("booking.appointments.view"));
        assert!(set(&["booking.*.view"]).allows("booking.services.view"));
        assert!(!set(&["booking.*.view"]).allows("cms.pages.view"));
        assert!(set(&["cms.pages.action:*"]).allows("cms.pages.action:publish"));
        assert!(!set(&["cms.pages.action:*"]).allows("cms.pages.delete"));
    }

    #[test]
    fn nonsense_is_no_pattern() {
        for text in ["", "booking", "booking.", ".view", "a.b.c d", "*.*.*.x y", "Booking.*"] {
            assert!(PermissionSet::parse([text]).is_err(), "{text}");
        }
    }

    #[test]
    fn nobody_hands_out_more_than_they_hold() {
        let admin = set(&["*", "!core.billing.*"]);
        assert!(PermissionSet::all().covers(&admin));
        assert!(!admin.covers(&PermissionSet::all()));
        assert!(admin.covers(&set(&["booking.*"])));
        assert!(!admin.covers(&set(&["core.billing.view"])));
        assert!(!admin.covers(&set(&["core.*"])));
        assert!(admin.covers(&set(&["*", "!core.billing.*"])));
        assert!(!set(&["booking.*.view"]).covers(&set(&["booking.*"])));
        assert!(!admin.covers(&set(&["!core.billing.*", "*"])), "a denial that comes first takes nothing away");
        assert!(!admin.covers(&set(&["*", "!core.billing.*", "core.billing.view"])));
        let manager = set(&["*", "!core.*", "core.roles.view"]);
        assert!(manager.covers(&set(&["core.roles.view"])) && !manager.covers(&set(&["core.roles.*"])));
    }

    /// Every set of up to three of these patterns against every other: `covers` may be too careful, never too kind.
    #[test]
    fn what_is_covered_allows_nothing_more() {
        let patterns =
            ["*", "!*", "a.*", "!a.*", "!a.b.*", "a.b.view", "!a.b.view", "*.*.view", "!*.b.action:*", "a.b.action:go"];
        let asked =
            ["a.b.view", "a.b.delete", "a.b.action:go", "a.c.view", "a.c.action:go", "d.b.view", "d.b.action:x"];
        let mut sets = vec![set(&[])];
        for one in patterns {
            sets.push(set(&[one]));
            for two in patterns {
                sets.push(set(&[one, two]));
                sets.extend(patterns.map(|three| set(&[one, two, three])));
            }
        }
        let table: Vec<u32> = sets
            .iter()
            .map(|set| asked.iter().enumerate().map(|(bit, one)| u32::from(set.allows(one)) << bit).sum())
            .collect();
        for (mine, held) in sets.iter().zip(&table) {
            for (wanted, given) in sets.iter().zip(&table).filter(|(_, given)| **given & !held != 0) {
                assert!(!mine.covers(wanted), "{mine:?} hands out {wanted:?} ({held:b}, {given:b})");
            }
        }
    }

    #[test]
    fn a_permission_that_was_taken_away_is_not_the_same_as_one_never_given() {
        let staff = set(&["*.*.update", "!booking.appointments.action:cancel"]);
        assert!(staff.denies("booking.appointments.action:cancel"));
        assert!(!staff.denies("booking.appointments.action:check-in"));
        assert!(!staff.denies("booking.appointments.update"));
    }
}
