//! What a company, or one of its numbers, chooses: who gets a chat, when, and how long an answer may take.

use loopd_types::Uuid;
use loopd_web::{Schema as _, schema as s};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::hours::{DAYS, Hours};

const AGENTS_MOST: usize = 500;
const OPEN_MOST: i64 = 1_000;
/// A week.
const MINUTES_MOST: i64 = 7 * 24 * 60;
/// A quarter of a year.
const RESOLUTION_MOST: i64 = 92 * 24 * 60;
const REPLY_MOST: usize = 1_000;

/// Everything is off until somebody turns it on.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rules {
    pub assignment: Assignment,
    pub hours: Hours,
    pub targets: Targets,
}

/// Who gets a chat that nobody has.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Assignment {
    /// Whether chats are given in turn to agents who are online.
    pub enabled: bool,
    /// To these alone; empty: to everybody who may answer.
    pub agents: Vec<Uuid>,
    /// Open chats of one agent; 0: as many as come.
    pub most_open: i64,
    /// Working minutes without an answer after which somebody else gets it; 0: never.
    pub reassign_minutes: i64,
}

/// How long customers should wait, in working minutes; 0: nobody counts.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Targets {
    pub first_response_minutes: i64,
    pub resolution_minutes: i64,
    /// Whether a missed target raises the priority of the chat's tickets.
    pub raise_priority: bool,
    /// Whether it is told to owners and administrators by mail.
    pub mail: bool,
}

impl Rules {
    /// With the members that a change names in place of its own, whole objects member by member.
    ///
    /// # Errors
    /// In words.
    pub fn changed(&self, change: &Map<String, Json>) -> Result<Self, String> {
        let mut next = serde_json::to_value(self).map_err(|error| error.to_string())?;
        for (name, value) in change {
            match (next.get_mut(name), value) {
                (Some(Json::Object(part)), Json::Object(change)) => part.extend(change.clone()),
                (Some(_), _) => return Err(format!("{name} is an object.")),
                (None, _) => return Err(format!("There is no {name}.")),
            }
        }
        let next: Self = serde_json::from_value(next).map_err(|error| error.to_string())?;
        next.check()?;
        Ok(next)
    }

    fn check(&self) -> Result<(), String> {
        self.hours.check()?;
        if self.hours.away_reply.chars().count() > REPLY_MOST || self.hours.away_reply.contains('\0') {
            return Err(format!("away_reply has {REPLY_MOST} characters at most."));
        }
        if self.assignment.agents.len() > AGENTS_MOST {
            return Err(format!("No more than {AGENTS_MOST} agents."));
        }
        let (assignment, targets) = (&self.assignment, &self.targets);
        for (name, value, most) in [
            ("most_open", assignment.most_open, OPEN_MOST),
            ("reassign_minutes", assignment.reassign_minutes, MINUTES_MOST),
            ("first_response_minutes", targets.first_response_minutes, MINUTES_MOST),
            ("resolution_minutes", targets.resolution_minutes, RESOLUTION_MOST),
        ] {
            if !(0..=most).contains(&value) {
                return Err(format!("{name} is from 0 to {most}."));
            }
        }
        Ok(())
    }

    pub fn schema() -> Json {
        let days = DAYS.map(|day| (day, s::array(s::string().example("08:00-17:00"))));
        let minutes = |most: i64, words: &str| s::integer_between(0, most).describe(words);
        let assignment = s::object([
            ("enabled", s::boolean().describe("Whether chats are given in turn to agents who are online.")),
            ("agents", s::array(s::uuid()).describe("To these alone; empty: to everybody who may answer.")),
            ("most_open", s::integer_between(0, OPEN_MOST).describe("Open chats of one agent; 0: as many as come.")),
            (
                "reassign_minutes",
                minutes(MINUTES_MOST, "Working minutes without an answer after which somebody else gets it; 0: never."),
            ),
        ]);
        let hours = s::object([
            ("enabled", s::boolean().describe("Unless true, it is always open.")),
            ("timezone", s::string().describe("IANA's name; empty: the company's own.").example("Africa/Kigali")),
            ("days", s::object(days).describe("A day that is absent is closed.")),
            ("holidays", s::array(s::string().example("2026-12-25"))),
            (
                "away_reply",
                s::text(0, REPLY_MOST as u32)
                    .describe("What who writes outside of them is answered, once in twelve hours; empty: nothing."),
            ),
        ]);
        let targets = s::object([
            ("first_response_minutes", minutes(MINUTES_MOST, "Working minutes until an answer; 0: nobody counts.")),
            ("resolution_minutes", minutes(RESOLUTION_MOST, "Working minutes until it is resolved; 0: nobody counts.")),
            (
                "raise_priority",
                s::boolean().describe("Whether a missed target raises the priority of the chat's tickets."),
            ),
            ("mail", s::boolean().describe("Whether it is told to owners and administrators by mail.")),
        ]);
        s::object([("assignment", assignment), ("hours", hours), ("targets", targets)])
    }
}

/// Somebody who could get a chat.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Candidate {
    pub user: Uuid,
    pub name: String,
    /// When it was last their turn: the number of that turn, 0 for never.
    pub turn: i64,
    /// Open chats that they have.
    pub open: i64,
}

/// Whose turn it is among those who are online: who waited longest for one, has not as many chats as they may, and is not `except`.
pub fn pick<'c>(online: &'c [Candidate], rules: &Assignment, except: Option<Uuid>) -> Option<&'c Candidate> {
    let may = |one: &&Candidate| {
        Some(one.user) != except
            && (rules.most_open == 0 || one.open < rules.most_open)
            && (rules.agents.is_empty() || rules.agents.contains(&one.user))
    };
    online.iter().filter(may).min_by_key(|one| (one.turn, one.user))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// What happens in a shop: an agent comes or goes, one of their chats is resolved, or a customer writes.
    #[derive(Clone, Copy, Debug)]
    enum Step {
        Comes(usize),
        Goes(usize),
        Resolves(usize),
        Writes,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let one = prop_oneof![
            1 => (0..5_usize).prop_map(Step::Comes),
            1 => (0..5_usize).prop_map(Step::Goes),
            2 => (0..5_usize).prop_map(Step::Resolves),
            5 => Just(Step::Writes),
        ];
        prop::collection::vec(one, 0..200)
    }

    struct Shop {
        agents: Vec<(Candidate, bool)>,
        turn: i64,
    }

    impl Shop {
        fn new(many: u128) -> Self {
            let agent = |id| Candidate { user: Uuid::from_u128(id), name: String::new(), turn: 0, open: 0 };
            Self { agents: (1..=many).map(|id| (agent(id), false)).collect(), turn: 0 }
        }

        fn online(&self) -> Vec<Candidate> {
            self.agents.iter().filter(|(_, is_online)| *is_online).map(|(agent, _)| agent.clone()).collect()
        }

        /// Gives a chat to somebody, as the store does.
        fn give(&mut self, rules: &Assignment) -> Option<Uuid> {
            let user = pick(&self.online(), rules, None)?.user;
            self.turn += 1;
            let (agent, _) = self.agents.iter_mut().find(|(agent, _)| agent.user == user)?;
            (agent.turn, agent.open) = (self.turn, agent.open + 1);
            Some(user)
        }
    }

    proptest! {
        #[test]
        fn only_who_is_online_and_below_the_limit_gets_a_chat_and_somebody_does_if_anybody_may(steps in steps(), most_open in 0..4_i64, chosen in any::<u8>()) {
            let mut shop = Shop::new(5);
            let agents = (0..5).filter(|bit| chosen & (1 << bit) != 0).map(|bit| Uuid::from_u128(bit + 1)).collect();
            let rules = Assignment { enabled: true, agents, most_open, reassign_minutes: 0 };
            for step in steps {
                match step {
                    Step::Comes(one) => shop.agents[one].1 = true,
                    Step::Goes(one) => shop.agents[one].1 = false,
                    Step::Resolves(one) => shop.agents[one].0.open = (shop.agents[one].0.open - 1).max(0),
                    Step::Writes => {
                        let before = shop.online();
                        let may = |one: &&Candidate| (most_open == 0 || one.open < most_open)
                            && (rules.agents.is_empty() || rules.agents.contains(&one.user));
                        let could: Vec<Uuid> = before.iter().filter(may).map(|one| one.user).collect();
                        match shop.give(&rules) {
                            Some(user) => prop_assert!(could.contains(&user)),
                            None => prop_assert!(could.is_empty()),
                        }
                    }
                }
            }
            prop_assert!(shop.agents.iter().all(|(agent, _)| most_open == 0 || agent.open <= most_open));
        }

        #[test]
        fn turns_are_fair(many in 1..8_u128, chats in 0..100_usize, before in prop::collection::vec(0..50_i64, 8)) {
            let mut shop = Shop::new(many);
            for (place, (agent, is_online)) in shop.agents.iter_mut().enumerate() {
                *is_online = true;
                // Whatever was before.
                agent.turn = before[place];
            }
            shop.turn = 50;
            let mut given: BTreeMap<Uuid, i64> = shop.agents.iter().map(|(agent, _)| (agent.user, 0)).collect();
            for _ in 0..chats {
                let user = shop.give(&Assignment::default()).expect("somebody");
                *given.get_mut(&user).expect("an agent") += 1;
            }
            let (least, most) = (given.values().min().unwrap(), given.values().max().unwrap());
            prop_assert!(most - least <= 1, "{given:?}");
        }

        #[test]
        fn nobody_gets_back_what_is_taken_from_them(many in 1..5_u128, one in 0..5_usize) {
            let mut shop = Shop::new(many);
            shop.agents.iter_mut().for_each(|(_, is_online)| *is_online = true);
            let except = Uuid::from_u128(one as u128 + 1);
            let online = shop.online();
            let picked = pick(&online, &Assignment::default(), Some(except)).map(|it| it.user);
            prop_assert_ne!(picked, Some(except));
            prop_assert_eq!(picked.is_none(), many == 1 && one == 0);
        }
    }

    #[test]
    fn a_change_names_what_it_changes() {
        let change =
            |text: &str| Rules::default().changed(serde_json::from_str::<Json>(text).unwrap().as_object().unwrap());
        let next = change(r#"{"assignment": {"enabled": true, "most_open": 3}}"#).unwrap();
        assert_eq!(
            (next.assignment.enabled, next.assignment.most_open, next.assignment.reassign_minutes),
            (true, 3, 0)
        );
        for bad in [
            r#"{"assignment": {"most_open": -1}}"#,
            r#"{"assignment": {"colour": "red"}}"#,
            r#"{"assignment": true}"#,
            r#"{"colour": {}}"#,
            r#"{"hours": {"timezone": "Kigali"}}"#,
            r#"{"targets": {"first_response_minutes": 10081}}"#,
        ] {
            assert!(change(bad).is_err(), "{bad}");
        }
    }
}
