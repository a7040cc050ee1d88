//! What is counted, and how times are told from spans.

use std::collections::BTreeMap;

use loopd_types::SECOND_US;

/// What is counted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum What {
    Received,
    SentByAgent,
    SentByApi,
    SentByAutomation,
    SentByBroadcast,
    /// On the shop's own telephone.
    SentByPhone,
    SentBySystem,
    FirstResponse,
    Resolution,
    TicketOpened,
    TicketDone,
}

impl What {
    pub const ALL: [Self; 11] = [
        Self::Received,
        Self::SentByAgent,
        Self::SentByApi,
        Self::SentByAutomation,
        Self::SentByBroadcast,
        Self::SentByPhone,
        Self::SentBySystem,
        Self::FirstResponse,
        Self::Resolution,
        Self::TicketOpened,
        Self::TicketDone,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::SentByAgent => "sent_by_agent",
            Self::SentByApi => "sent_by_api",
            Self::SentByAutomation => "sent_by_automation",
            Self::SentByBroadcast => "sent_by_broadcast",
            Self::SentByPhone => "sent_by_phone",
            Self::SentBySystem => "sent_by_system",
            Self::FirstResponse => "first_response",
            Self::Resolution => "resolution",
            Self::TicketOpened => "tickets_opened",
            Self::TicketDone => "tickets_done",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|what| what.as_str() == text)
    }

    /// What a message of ours counts as.
    pub fn of_origin(origin: &str) -> Self {
        match origin {
            "agent" => Self::SentByAgent,
            "api" => Self::SentByApi,
            "automation" => Self::SentByAutomation,
            "broadcast" => Self::SentByBroadcast,
            "phone" => Self::SentByPhone,
            _ => Self::SentBySystem,
        }
    }

    /// Whether it is counted with how long it took.
    pub fn is_timed(self) -> bool {
        matches!(self, Self::FirstResponse | Self::Resolution | Self::TicketDone)
    }
}

/// Spans to each doubling of a time.
const PER_DOUBLING: f64 = 8.0;
/// The last span: some ninety years.
const LAST: i64 = 251;

/// The span that a time falls into. A time below zero (a clock that was set back) is none.
pub fn span(took_us: i64) -> i64 {
    let seconds = took_us.max(0) as f64 / SECOND_US as f64;
    ((seconds + 1.0).log2() * PER_DOUBLING).floor().min(LAST as f64) as i64
}

/// The middle of a span, in seconds.
fn middle(span: i64) -> f64 {
    ((span as f64 + 0.5) / PER_DOUBLING).exp2() - 1.0
}

/// Sums of one row of a report.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Figures {
    pub counts: BTreeMap<What, i64>,
    totals_us: BTreeMap<What, i64>,
    spans: BTreeMap<(What, i64), i64>,
}

impl Figures {
    pub fn add(&mut self, what: What, span: i64, count: i64, total_us: i64) {
        *self.counts.entry(what).or_default() += count;
        if what.is_timed() {
            *self.totals_us.entry(what).or_default() += total_us;
            *self.spans.entry((what, span)).or_default() += count;
        }
    }

    pub fn count(&self, what: What) -> i64 {
        self.counts.get(&what).copied().unwrap_or_default()
    }

    /// In seconds; `None` when nothing was timed.
    pub fn average(&self, what: What) -> Option<i64> {
        let count = Some(self.count(what)).filter(|count| *count > 0)?;
        Some(self.totals_us.get(&what).copied().unwrap_or_default() / count / SECOND_US)
    }

    /// The time that this part of all (0 to 1) did not exceed, in seconds to within 5 %; `None` when nothing was timed.
    pub fn quantile(&self, what: What, part: f64) -> Option<i64> {
        let count = Some(self.count(what)).filter(|count| *count > 0)?;
        let wanted = ((count as f64 * part).ceil() as i64).max(1);
        let mut passed = 0;
        for ((_, span), many) in self.spans.range((what, i64::MIN)..=(what, i64::MAX)) {
            passed += many;
            if passed >= wanted {
                return Some(middle(*span).round() as i64);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_median_and_a_ninth_decile_are_told_to_within_five_percent_and_a_second(times in prop::collection::vec(0..5_000_000_i64, 1..200), part in prop::sample::select(vec![0.5, 0.9])) {
            let mut figures = Figures::default();
            for seconds in &times {
                figures.add(What::Resolution, span(seconds * SECOND_US), 1, seconds * SECOND_US);
            }
            let mut sorted = times.clone();
            sorted.sort_unstable();
            let place = ((times.len() as f64 * part).ceil() as usize).max(1) - 1;
            let (exact, told) = (sorted[place] as f64, figures.quantile(What::Resolution, part).unwrap() as f64);
            prop_assert!((told - exact).abs() <= exact * 0.05 + 1.0, "{told} for {exact}");
            prop_assert_eq!(figures.average(What::Resolution), Some(times.iter().sum::<i64>() / times.len() as i64));
        }
    }

    #[test]
    fn nothing_is_timed_where_nothing_is() {
        let mut figures = Figures::default();
        figures.add(What::Received, 0, 3, 0);
        assert_eq!(
            (
                figures.count(What::Received),
                figures.quantile(What::FirstResponse, 0.5),
                figures.average(What::FirstResponse)
            ),
            (3, None, None)
        );
        assert_eq!((span(-5), span(0), span(i64::MAX)), (0, 0, LAST));
        for what in What::ALL {
            assert_eq!(What::parse(what.as_str()), Some(what));
        }
    }
}
