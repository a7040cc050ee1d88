//! How a simulated line treats what it is handed. Pure: chance and time are arguments.

use loopd_types::{Problem, Result, Timestamp};

/// How a hand-over fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum How {
    /// Certainly not, and it will not.
    Refused,
    /// Certainly not, and it may go later.
    Later,
    /// It arrived, and the answer was lost: later news of it tells.
    Unknown,
    /// It did not arrive, and the answer was lost: no news will ever come.
    Vanished,
    /// It was taken, and cannot be delivered.
    Undelivered,
}

impl How {
    pub const ALL: [Self; 5] = [Self::Refused, Self::Later, Self::Unknown, Self::Vanished, Self::Undelivered];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Later => "later",
            Self::Unknown => "unknown",
            Self::Vanished => "vanished",
            Self::Undelivered => "undelivered",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|how| how.as_str() == text)
    }
}

/// What a line was told to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Behaviour {
    /// How long a message is on its way to the telephone.
    pub deliver_after_ms: i64,
    /// How long until somebody looks at it then; `None`: nobody does.
    pub read_after_ms: Option<i64>,
    /// So many hand-overs fail.
    pub fail_next: i64,
    /// Of the others so many in a hundred.
    pub fail_percent: i64,
    pub fail_how: How,
    pub banned_until: Option<Timestamp>,
    pub ban_reason: Option<String>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            deliver_after_ms: 500,
            read_after_ms: Some(2_000),
            fail_next: 0,
            fail_percent: 0,
            fail_how: How::Refused,
            banned_until: None,
            ban_reason: None,
        }
    }
}

/// What becomes of a hand-over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fall {
    Taken,
    Failed(How),
    Banned(Timestamp),
}

impl Fall {
    /// Whether the message is with the other side now.
    pub const fn arrives(self) -> bool {
        matches!(self, Self::Taken | Self::Failed(How::Unknown | How::Undelivered))
    }
}

/// Longest wait that a line can be told: a day.
pub const WAIT_MOST_MS: i64 = 24 * 60 * 60 * 1_000;
/// Hand-overs that can be told to fail.
pub const FAIL_MOST: i64 = 1_000_000;
/// Longest ban: a year.
pub const BAN_MOST_MINUTES: i64 = 366 * 24 * 60;

impl Behaviour {
    /// What becomes of the next hand-over, which counts against `fail_next`. `chance` is from 0 to 99.
    pub fn next(&mut self, now: Timestamp, chance: i64) -> Fall {
        if let Some(until) = self.banned_until.filter(|until| *until > now) {
            return Fall::Banned(until);
        }
        if self.fail_next > 0 {
            self.fail_next -= 1;
            return Fall::Failed(self.fail_how);
        }
        if chance < self.fail_percent { Fall::Failed(self.fail_how) } else { Fall::Taken }
    }

    /// # Errors
    /// 400 for what no line can do.
    pub fn check(&self) -> Result<()> {
        let mut problem = Problem::validation();
        let bounds = [
            ("deliver_after_ms", self.deliver_after_ms, WAIT_MOST_MS),
            ("read_after_ms", self.read_after_ms.unwrap_or(0), WAIT_MOST_MS),
            ("fail_next", self.fail_next, FAIL_MOST),
            ("fail_percent", self.fail_percent, 100),
        ];
        for (name, value, most) in bounds {
            if !(0..=most).contains(&value) {
                problem.add_field(name, "invalid", format!("Write a number from 0 to {most}."));
            }
        }
        if problem.has_fields() { Err(problem) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn so_many_fail_and_then_as_many_of_a_hundred_as_it_says(next in 0_i64..50, percent in 0_i64..=100) {
            let mut line = Behaviour { fail_next: next, fail_percent: percent, ..Behaviour::default() };
            for _ in 0..next {
                prop_assert_eq!(line.next(Timestamp(0), 99), Fall::Failed(How::Refused));
            }
            let failed = (0..100).filter(|chance| line.next(Timestamp(0), *chance) != Fall::Taken).count();
            prop_assert_eq!(i64::try_from(failed).unwrap(), percent);
        }

        #[test]
        fn a_ban_ends_with_its_moment_and_costs_no_failure(until in 1_i64..1_000, now in 0_i64..1_000) {
            let mut line = Behaviour { banned_until: Some(Timestamp(until)), fail_next: 1, ..Behaviour::default() };
            let fall = line.next(Timestamp(now), 0);
            if now < until {
                prop_assert_eq!((fall, line.fail_next), (Fall::Banned(Timestamp(until)), 1));
            } else {
                prop_assert_eq!((fall, line.fail_next), (Fall::Failed(How::Refused), 0));
            }
        }
    }

    #[test]
    fn what_arrived_is_with_the_other_side() {
        let arrives = How::ALL.map(|how| Fall::Failed(how).arrives());
        assert_eq!(arrives, [false, false, true, false, true]);
        assert!(Fall::Taken.arrives() && !Fall::Banned(Timestamp(1)).arrives());
    }
}
