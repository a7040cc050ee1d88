//! The life of a subscription as pure rules: what time does to it, what people do to it, and what is open meanwhile.
//!
//! ```text
//! trialing ─▶ active ⇄ past_due ─▶ suspended        time: trial over, bill overdue, grace over
//!     │         │          │           │            people: activate, renew, cancel, suspend, resume
//!     ▼         ▼          ▼           ▼
//!  expired ◀─ cancelled (open to its paid end) ─▶ expired
//! ```
//!
//! Time only ever asks "what is due by now": a day that was skipped is caught up, a repeated question finds nothing more to do, and a clock
//! that went back finds nothing due.

use loopd_types::{DAY_US, Timestamp};

/// Every state (spec/loop.md 6).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    Trialing,
    Active,
    /// A bill is overdue; all stays open until the grace ends.
    PastDue,
    /// Reads are open, writes are not.
    Suspended,
    /// Open to the end of what was paid.
    Cancelled,
    Expired,
}

impl Status {
    pub const ALL: [Self; 6] =
        [Self::Trialing, Self::Active, Self::PastDue, Self::Suspended, Self::Cancelled, Self::Expired];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trialing => "trialing",
            Self::Active => "active",
            Self::PastDue => "past_due",
            Self::Suspended => "suspended",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// What the rules know of a subscription.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct State {
    pub status: Status,
    pub trial_ends_at: Option<Timestamp>,
    /// The end of the running period; none before the first.
    pub ends_at: Option<Timestamp>,
    pub grace_ends_at: Option<Timestamp>,
    /// It was sold: a plan with a price stands behind it.
    pub is_sold: bool,
    /// Suspended by the installation's people, and not for a bill.
    pub by_operator: bool,
}

/// What the operator allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timing {
    /// From the first overdue bill to the suspension.
    pub grace_us: i64,
    /// From the suspension to the end.
    pub patience_us: i64,
}

/// How long an active subscription stays open after its period while its renewal is still to be done: the job may have been late.
pub const RENEWAL_LAG_US: i64 = 3 * DAY_US;

/// What time has made due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Due {
    /// The trial is over and a plan was chosen: the first period begins and is billed.
    Convert,
    /// The trial or what was paid is over, or nobody paid for too long.
    Expire,
    /// The next period begins and is billed.
    Renew,
    /// A bill is overdue: the grace begins.
    Owe,
    /// The grace is over.
    Suspend,
    /// Everything is paid.
    Clear,
}

impl Due {
    /// The past tense, as in the event.
    pub fn past(self) -> &'static str {
        match self {
            Self::Convert => "activated",
            Self::Expire => "expired",
            Self::Renew => "renewed",
            Self::Owe => "past_due",
            Self::Suspend => "suspended",
            Self::Clear => "recovered",
        }
    }
}

/// What is due now, if anything. `owes`: a bill of this subscription is overdue.
pub fn due(state: &State, owes: bool, timing: Timing, now: Timestamp) -> Option<Due> {
    let is_over = |end: Option<Timestamp>| end.is_some_and(|end| end <= now);
    match state.status {
        Status::Trialing if is_over(state.trial_ends_at) => {
            Some(if state.is_sold { Due::Convert } else { Due::Expire })
        }
        Status::Active if owes => Some(Due::Owe),
        Status::Active if is_over(state.ends_at) => Some(Due::Renew),
        Status::PastDue | Status::Suspended if !owes && !state.by_operator => Some(Due::Clear),
        Status::PastDue if state.grace_ends_at.is_none_or(|end| end <= now) => Some(Due::Suspend),
        Status::Suspended
            if !state.by_operator && is_over(state.grace_ends_at.map(|end| end.plus(timing.patience_us))) =>
        {
            Some(Due::Expire)
        }
        Status::Cancelled if state.ends_at.is_none_or(|end| end <= now) => Some(Due::Expire),
        _ => None,
    }
}

/// The state after what was due. `period_ends_at` is the end of the period that begins with `Convert` and `Renew`.
pub fn after(state: &State, due: Due, timing: Timing, now: Timestamp, period_ends_at: Timestamp) -> State {
    let mut next = *state;
    match due {
        Due::Convert | Due::Renew => {
            next.status = Status::Active;
            next.ends_at = Some(period_ends_at);
            next.grace_ends_at = None;
        }
        Due::Expire => next.status = Status::Expired,
        Due::Owe => {
            next.status = Status::PastDue;
            next.grace_ends_at = Some(now.plus(timing.grace_us));
        }
        Due::Suspend => {
            next.status = Status::Suspended;
            next.grace_ends_at = Some(state.grace_ends_at.unwrap_or(now));
        }
        Due::Clear => {
            next.status = Status::Active;
            next.grace_ends_at = None;
        }
    }
    next
}

/// What people do: action, from which states, past tense. `change-plan` keeps the state.
pub const MOVES: [(&str, &[Status], &str); 5] = [
    ("activate", &[Status::Trialing, Status::PastDue, Status::Cancelled, Status::Expired], "activated"),
    ("suspend", &[Status::Trialing, Status::Active, Status::PastDue], "suspended"),
    ("resume", &[Status::Suspended], "resumed"),
    // Not from suspended: cancelling and activating would undo what only the installation may.
    ("cancel", &[Status::Trialing, Status::Active, Status::PastDue], "cancelled"),
    ("renew", &[Status::Active, Status::PastDue, Status::Expired], "renewed"),
];

/// States in which a plan may be chosen or changed.
pub const CHANGEABLE: [Status; 2] = [Status::Trialing, Status::Active];

/// The actions that may be done in a state.
pub fn allowed(status: Status) -> Vec<&'static str> {
    let mut all: Vec<&str> =
        MOVES.iter().filter(|(_, from, _)| from.contains(&status)).map(|(action, ..)| *action).collect();
    if CHANGEABLE.contains(&status) {
        all.push("change-plan");
    }
    all
}

/// Which period begins with an action of [`MOVES`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Begins {
    Nothing,
    /// A period that starts at this moment.
    At(Timestamp),
}

/// What an action makes of a subscription, and which period begins with it: the caller bills that and sets its end.
pub fn act(state: &State, action: &str, at_once: bool, now: Timestamp) -> (State, Begins) {
    let mut next = *state;
    let runs = state.ends_at.is_some_and(|end| end > now);
    match action {
        "activate" | "renew" => {
            next.status = Status::Active;
            next.grace_ends_at = None;
            let begins = match (action, state.ends_at) {
                // What was paid for goes on, and nothing is billed twice.
                ("activate", Some(_)) if runs => Begins::Nothing,
                // Renewing early adds to the running term.
                ("renew", Some(end)) if runs => Begins::At(end),
                _ => Begins::At(now),
            };
            (next, begins)
        }
        "suspend" => {
            (next.status, next.by_operator) = (Status::Suspended, true);
            (next, Begins::Nothing)
        }
        "resume" => {
            let is_trial = state.ends_at.is_none() && state.trial_ends_at.is_some();
            next.status = if is_trial { Status::Trialing } else { Status::Active };
            (next.by_operator, next.grace_ends_at) = (false, None);
            (next, Begins::Nothing)
        }
        _ => {
            next.status = Status::Cancelled;
            next.grace_ends_at = None;
            if at_once || !runs {
                next.ends_at = Some(now);
            }
            (next, Begins::Nothing)
        }
    }
}

/// What a company may do with a product now.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Openness {
    Closed,
    ReadOnly,
    Open,
}

/// What is open at this moment, whether or not the daily job has been by already.
pub fn openness(state: &State, now: Timestamp) -> Openness {
    let before = |end: Option<Timestamp>, lag_us: i64| end.is_none_or(|end| now < end.plus(lag_us));
    let open_if = |open: bool, otherwise: Openness| if open { Openness::Open } else { otherwise };
    match state.status {
        Status::Trialing => {
            let lag_us = if state.is_sold { RENEWAL_LAG_US } else { 0 };
            open_if(before(state.trial_ends_at, lag_us), Openness::Closed)
        }
        Status::Active => open_if(before(state.ends_at, RENEWAL_LAG_US), Openness::ReadOnly),
        Status::PastDue => open_if(before(state.grace_ends_at, 0), Openness::ReadOnly),
        Status::Suspended => Openness::ReadOnly,
        Status::Cancelled => open_if(state.ends_at.is_some_and(|end| now < end), Openness::Closed),
        Status::Expired => Openness::Closed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TIMING: Timing = Timing { grace_us: 14 * DAY_US, patience_us: 60 * DAY_US };
    const PERIOD_US: i64 = 30 * DAY_US;

    fn trial(now: Timestamp, is_sold: bool) -> State {
        State {
            status: Status::Trialing,
            trial_ends_at: Some(now.plus(PERIOD_US)),
            ends_at: None,
            grace_ends_at: None,
            is_sold,
            by_operator: false,
        }
    }

    /// As the daily job does it; returns what was done.
    fn settle(state: &mut State, owes: bool, now: Timestamp) -> Vec<Due> {
        let mut done = Vec::new();
        while let Some(due) = due(state, owes, TIMING, now) {
            let mut end = state.ends_at.filter(|_| due == Due::Renew).unwrap_or(now).plus(PERIOD_US);
            while end <= now {
                end = end.plus(PERIOD_US);
            }
            *state = after(state, due, TIMING, now, end);
            done.push(due);
            assert!(done.len() < 8, "{done:?} never ends");
        }
        done
    }

    #[test]
    fn an_unpaid_bill_leads_through_grace_to_reading_only_and_back() {
        let start = Timestamp(0);
        let mut state = trial(start, true);
        assert_eq!(settle(&mut state, false, start.plus(29 * DAY_US)), []);
        assert_eq!(settle(&mut state, false, start.plus(30 * DAY_US)), [Due::Convert]);
        assert_eq!(settle(&mut state, true, start.plus(31 * DAY_US)), [Due::Owe]);
        assert_eq!(openness(&state, start.plus(44 * DAY_US)), Openness::Open);
        assert_eq!(settle(&mut state, true, start.plus(45 * DAY_US)), [Due::Suspend]);
        assert_eq!(openness(&state, start.plus(45 * DAY_US)), Openness::ReadOnly);
        assert_eq!(settle(&mut state, false, start.plus(50 * DAY_US)), [Due::Clear]);
        assert_eq!(openness(&state, start.plus(50 * DAY_US)), Openness::Open);
        assert_eq!(settle(&mut state, false, start.plus(60 * DAY_US)), [Due::Renew]);
    }

    #[test]
    fn a_trial_without_a_plan_ends_at_its_moment_even_before_the_job() {
        let mut state = trial(Timestamp(0), false);
        assert_eq!(openness(&state, Timestamp(PERIOD_US - 1)), Openness::Open);
        assert_eq!(openness(&state, Timestamp(PERIOD_US)), Openness::Closed);
        assert_eq!(settle(&mut state, false, Timestamp(PERIOD_US)), [Due::Expire]);
    }

    /// Which state may follow which by time alone.
    fn may_follow(from: Status, to: Status) -> bool {
        use Status::*;
        from == to
            || matches!(
                (from, to),
                (Trialing, Active | Expired)
                    | (Active, PastDue)
                    | (PastDue | Suspended, Active)
                    | (PastDue, Suspended)
                    | (Suspended | Cancelled, Expired)
            )
    }

    proptest! {
        /// Any order of acts, bills and moments, also moments that lie before earlier ones.
        #[test]
        fn nothing_leads_to_an_undeclared_state_or_twice_to_the_same_work(
            is_sold: bool,
            steps in prop::collection::vec((0usize..8, -40i64..70, any::<bool>(), any::<bool>()), 1..40),
        ) {
            let mut now = Timestamp(1_000 * DAY_US);
            let mut state = trial(now, is_sold);
            for (choice, days, owes, at_once) in steps {
                now = now.plus(days * DAY_US);
                let before = state;
                if let Some((action, from, _)) = MOVES.get(choice) {
                    if from.contains(&state.status) {
                        let (next, begins) = act(&state, action, at_once, now);
                        state = next;
                        if let Begins::At(start) = begins {
                            prop_assert!(start >= now || start == before.ends_at.unwrap());
                            state.ends_at = Some(start.plus(PERIOD_US));
                        }
                        prop_assert!(*action != "suspend" || openness(&state, now) == Openness::ReadOnly);
                        prop_assert!(*action != "cancel" || state.ends_at.is_some());
                    }
                } else {
                    let mut seen = state;
                    while let Some(one) = due(&seen, owes, TIMING, now) {
                        let end = Timestamp(now.0.max(seen.ends_at.map_or(0, |end| end.0)) + PERIOD_US);
                        let next = after(&seen, one, TIMING, now, end);
                        prop_assert!(may_follow(seen.status, next.status), "{:?} by {:?}", seen, one);
                        seen = next;
                    }
                    let done = settle(&mut state, owes, now);
                    prop_assert!(done.len() <= 4, "{done:?}");
                    prop_assert_eq!(settle(&mut state, owes, now), vec![], "done twice");
                    // A moment that lies before finds nothing new either, whatever was owed.
                    let mut earlier = state;
                    let again = settle(&mut earlier, owes, now.plus(-3 * DAY_US));
                    prop_assert!(again.is_empty(), "{again:?}");
                }
                prop_assert!(state.status != Status::PastDue || state.grace_ends_at.is_some());
                prop_assert!(state.status != Status::Suspended || state.by_operator || state.grace_ends_at.is_some());
                prop_assert!(state.status != Status::Cancelled || state.ends_at.is_some());
            }
        }
    }
}
