//! [`Action`]: a move of a record's life cycle, `POST …/{id}/<action>/`.

use super::field::{Field, owned};
use super::rule::{ActionFn, Rule};

/// One named thing that can be done to a record, usually a move from one state to another.
#[derive(Clone, Debug)]
pub struct Action {
    /// As in the address: `check-in`.
    pub name: String,
    /// States it may start from; empty means any.
    pub from: Vec<String>,
    /// States it may end in: none leaves the state alone, one sets it, of several the effect chooses one (`record.set_status`).
    pub to: Vec<String>,
    /// What the body may hold. An input that has the name of a record's field (or names one with `goes_to`) is written into it,
    /// unless it is `input_only`.
    pub input: Vec<Field>,
    /// Fields of the record that must be set before the action may run.
    pub needs: Vec<String>,
    /// Date-time fields of the record that get the moment of the action.
    pub stamps: Vec<String>,
    /// May refuse; runs before anything is changed.
    pub guard: Option<Rule<ActionFn>>,
    /// May change the record further; runs after inputs, stamps and state are in place and before the record is written.
    pub effect: Option<Rule<ActionFn>>,
    /// Runs after the record is written: work on other records.
    pub after: Option<Rule<ActionFn>>,
    /// Allowed to everybody who may update the record; otherwise `<module>.<resource>.action:<name>` is needed.
    pub routine: bool,
    /// Last part of the event's name; the past tense of `name` when `None`.
    pub event: Option<String>,
    pub help: String,
}

impl Action {
    /// An action that may run in the states `from` (any state when empty) and leaves the state alone.
    pub fn new(name: &str, from: &[&str]) -> Self {
        Self {
            name: name.to_owned(),
            from: owned(from),
            to: Vec::new(),
            input: Vec::new(),
            needs: Vec::new(),
            stamps: Vec::new(),
            guard: None,
            effect: None,
            after: None,
            routine: false,
            event: None,
            help: String::new(),
        }
    }
    /// An action that moves a record from one of `from` (any state when empty) to `to`.
    pub fn to(name: &str, from: &[&str], to: &str) -> Self {
        let mut action = Self::new(name, from);
        action.to = vec![to.to_owned()];
        action
    }
    /// Ends in one of several states; the effect says which by `record.set_status`. When it says nothing, a record that is in one of them stays
    /// there, and any other gets the first.
    pub fn to_one_of(mut self, states: &[&str]) -> Self {
        self.to = owned(states);
        self
    }
    pub fn input(mut self, field: Field) -> Self {
        self.input.push(field);
        self
    }
    pub fn needs(mut self, fields: &[&str]) -> Self {
        self.needs = owned(fields);
        self
    }
    pub fn stamps(mut self, field: &str) -> Self {
        self.stamps.push(field.to_owned());
        self
    }
    pub fn guard(mut self, rule: ActionFn) -> Self {
        self.guard = Some(Rule::of(rule));
        self
    }
    pub fn effect(mut self, rule: ActionFn) -> Self {
        self.effect = Some(Rule::of(rule));
        self
    }
    pub fn after(mut self, rule: ActionFn) -> Self {
        self.after = Some(Rule::of(rule));
        self
    }
    pub fn routine(mut self) -> Self {
        self.routine = true;
        self
    }
    pub fn event(mut self, past_tense: &str) -> Self {
        self.event = Some(past_tense.to_owned());
        self
    }
    pub fn help(mut self, help: &str) -> Self {
        self.help = help.to_owned();
        self
    }

    /// Whether a record in `state` may be acted on.
    pub fn may_start_in(&self, state: &str) -> bool {
        self.from.is_empty() || self.from.iter().any(|from| from == state)
    }
    /// The last part of the event's name: `checked_in` for `check-in`.
    pub fn event_name(&self) -> String {
        self.event.clone().unwrap_or_else(|| past_tense(&self.name))
    }
}

/// Verbs whose past tense no rule gives.
const IRREGULAR: [(&str, &str); 24] = [
    ("begin", "begun"),
    ("bind", "bound"),
    ("buy", "bought"),
    ("find", "found"),
    ("give", "given"),
    ("go", "gone"),
    ("hold", "held"),
    ("leave", "left"),
    ("lend", "lent"),
    ("let", "let"),
    ("lose", "lost"),
    ("make", "made"),
    ("pay", "paid"),
    ("put", "put"),
    ("read", "read"),
    ("sell", "sold"),
    ("send", "sent"),
    ("set", "set"),
    ("split", "split"),
    ("take", "taken"),
    ("undo", "undone"),
    ("win", "won"),
    ("withdraw", "withdrawn"),
    ("write", "written"),
];

/// Verbs that double their last letter.
const DOUBLING: [&str; 19] = [
    "admit", "cancel", "drop", "enrol", "flag", "pin", "plan", "refer", "scan", "ship", "skip", "stop", "submit",
    "swap", "tag", "transfer", "unpin", "unship", "zip",
];

/// `confirm` → `confirmed`, `check-in` → `checked_in`, `write-off` → `written_off`.
fn past_tense(action: &str) -> String {
    let (verb, rest) = action.split_once('-').unwrap_or((action, ""));
    let before_last = verb.as_bytes().iter().rev().nth(1);
    let past = if let Some((_, past)) = IRREGULAR.iter().find(|(known, _)| *known == verb) {
        (*past).to_owned()
    } else if DOUBLING.contains(&verb) {
        format!("{verb}{}ed", &verb[verb.len() - 1..])
    } else if verb.ends_with('e') {
        format!("{verb}d")
    } else if verb.ends_with('y') && !before_last.is_some_and(|letter| b"aeiou".contains(letter)) {
        format!("{}ied", &verb[..verb.len() - 1])
    } else {
        format!("{verb}ed")
    };
    if rest.is_empty() { past } else { format!("{past}_{}", rest.replace('-', "_")) }
}

#[cfg(test)]
mod tests {
    use super::past_tense;

    #[test]
    fn events_are_named_in_the_past_tense() {
        for (action, event) in [
            ("confirm", "confirmed"),
            ("cancel", "cancelled"),
            ("check-in", "checked_in"),
            ("write-off", "written_off"),
            ("notify", "notified"),
            ("pay", "paid"),
            ("deploy", "deployed"),
            ("complete", "completed"),
            ("report-lost", "reported_lost"),
        ] {
            assert_eq!(past_tense(action), event);
        }
    }
}
