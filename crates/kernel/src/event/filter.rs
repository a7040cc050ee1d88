//! Which kinds of events somebody wants: `booking.appointments.confirmed`, everything that begins so (`booking.*`), or `*`.

use loopd_types::Result;

/// Patterns of kinds; one that fits is enough. An empty filter wants everything.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Filter(Vec<String>);

impl Filter {
    /// Reads patterns.
    ///
    /// # Errors
    /// In words, naming the first that is none.
    pub fn parse<S: AsRef<str>>(patterns: impl IntoIterator<Item = S>) -> Result<Self, String> {
        let read = |text: S| {
            let text = text.as_ref().trim();
            if is_pattern(text) {
                Ok(text.to_owned())
            } else {
                Err(format!("`{text}` is no event type such as booking.appointments.confirmed or booking.*"))
            }
        };
        patterns.into_iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    pub fn fits(&self, kind: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|pattern| fits(pattern, kind))
    }

    pub fn patterns(&self) -> &[String] {
        &self.0
    }
}

fn fits(pattern: &str, kind: &str) -> bool {
    match pattern.strip_suffix('*') {
        // `booking.*` wants what stands below `booking`, and not `bookings.x`
        Some(prefix) => kind.starts_with(prefix),
        None => pattern == kind,
    }
}

fn is_pattern(text: &str) -> bool {
    let is_word = |word: &str| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b))
    };
    match text.strip_suffix(".*") {
        Some(prefix) => prefix.split('.').all(is_word),
        None => text == "*" || text.split('.').all(is_word) && text.contains('.'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_named_exactly_or_by_how_they_begin() {
        let filter = Filter::parse(["booking.*", "core.membership.created", "payments.invoice.*"]).unwrap();
        for kind in ["booking.appointment.created", "booking.x", "core.membership.created", "payments.invoice.paid"] {
            assert!(filter.fits(kind), "{kind}");
        }
        for kind in [
            "bookings.appointment.created",
            "booking",
            "core.membership.create",
            "core.membership.created.x",
            "payments.invoices.paid",
            "",
        ] {
            assert!(!filter.fits(kind), "{kind}");
        }
        assert!(Filter::default().fits("anything.at.all") && Filter::parse(["*"]).unwrap().fits("x.y"));
    }

    #[test]
    fn nonsense_is_no_pattern() {
        for text in [
            "",
            "booking",
            "booking*",
            "*.created",
            "booking.*.created",
            "Booking.*",
            ".",
            ".*",
            "a..b",
            "booking.",
            "**",
            "a b.c",
        ] {
            assert!(Filter::parse([text]).is_err(), "{text}");
        }
    }
}
