//! What a settlement may become: pure, so that every engine, every node and every restart obeys the same few arrows.

/// How far a settlement is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum State {
    /// Written down; nobody outside has heard of it.
    Recorded,
    /// What is sent is written down; whether it left is not.
    Sending,
    /// Somebody outside has it.
    Sent,
    /// It may have happened; only the chain knows.
    Unknown,
    /// The money has moved.
    Settled,
    /// The money has not moved, and nothing that was sent can still move it.
    Failed,
}

impl State {
    pub const ALL: [State; 6] =
        [State::Recorded, State::Sending, State::Sent, State::Unknown, State::Settled, State::Failed];

    pub const fn name(self) -> &'static str {
        match self {
            State::Recorded => "recorded",
            State::Sending => "sending",
            State::Sent => "sent",
            State::Unknown => "unknown",
            State::Settled => "settled",
            State::Failed => "failed",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether nothing more is to be done.
    pub const fn is_concluded(self) -> bool {
        matches!(self, State::Settled | State::Failed)
    }

    /// Whether the money may have moved although nobody has seen it yet.
    pub const fn may_have_moved(self) -> bool {
        matches!(self, State::Sending | State::Sent | State::Unknown)
    }

    /// Whether a settlement may go from here to `next`. Settled is for ever. Failed is not: the authorization is unused, so whoever
    /// brings it again, and is found to be good again, may have it tried again.
    pub const fn may_become(self, next: State) -> bool {
        match (self, next) {
            (State::Settled, _) => false,
            (State::Failed, next) => matches!(next, State::Recorded),
            (State::Recorded, next) => matches!(next, State::Sending | State::Settled | State::Failed),
            // Back to recorded when what was signed can never be mined, because its nonce was taken by another.
            (State::Sending, next) => !matches!(next, State::Sending),
            (State::Sent, next) => !matches!(next, State::Sent | State::Sending),
            (State::Unknown, next) => !matches!(next, State::Unknown | State::Sending),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn state() -> impl Strategy<Value = State> {
        proptest::sample::select(State::ALL.to_vec())
    }

    #[test]
    fn a_name_reads_back() {
        for state in State::ALL {
            assert_eq!(State::parse(state.name()), Some(state));
        }
        assert_eq!(State::parse("paid"), None);
    }

    #[test]
    fn whatever_may_have_moved_can_still_be_found_to_have_moved() {
        for state in State::ALL.into_iter().filter(|state| state.may_have_moved()) {
            assert!(state.may_become(State::Settled), "{state:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_tried_settled_happens_once_and_stays(tries in proptest::collection::vec(state(), 0..40)) {
            let (mut now, mut settled) = (State::Recorded, 0);
            for next in tries {
                if now.may_become(next) {
                    prop_assert!(now != State::Settled);
                    // Nobody hears "failed" of what was settled, and nobody is sent out without a record of what is sent.
                    prop_assert!(!(next == State::Sent && now == State::Recorded));
                    settled += u32::from(next == State::Settled);
                    now = next;
                }
            }
            prop_assert!(settled <= 1);
            prop_assert_eq!(settled == 1, now == State::Settled);
        }
    }
}
