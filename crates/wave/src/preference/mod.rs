//! How a company uses Loopwave: one object, each part owned by what it steers. What a company never chose has the defaults.

mod http;
mod store;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::assign::Rules;
use crate::broadcast::Pacing;
use crate::intake::Intake;
use crate::notice::Templates;
use crate::number::Number;

pub use http::operations;
pub use store::{load, save};

/// Everything a company can choose. New members have defaults, so that what was stored before them can be read.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Preferences {
    /// Whether people without [`crate::mask::SEE_NUMBERS`] see customers' numbers obscured.
    pub mask_numbers: bool,
    /// Whether the writer's name stands above what they write to a customer.
    pub attribution: bool,
    /// For how long automations are silent in a chat that a person has answered, in minutes.
    pub quiet_minutes: i64,
    /// How tickets open by themselves.
    pub intake: Intake,
    /// How broadcasts are paced.
    pub pacing: Pacing,
    /// Who gets chats, when somebody is there, and how long customers should wait.
    pub rules: Rules,
    /// The same for single numbers, by what the API calls them.
    pub number_rules: BTreeMap<String, Rules>,
    /// What reminders and invoices say to who has not written for a day.
    pub notice_templates: Templates,
}

impl Preferences {
    /// What holds for a number: its own, or else the company's.
    pub fn rules_of(&self, number: &Number) -> &Rules {
        self.number_rules.get(&number.public_id).unwrap_or(&self.rules)
    }
}

impl Default for Preferences {
    fn default() -> Self {
        Self {
            mask_numbers: true,
            attribution: true,
            quiet_minutes: 60,
            intake: Intake::default(),
            pacing: Pacing::default(),
            rules: Rules::default(),
            number_rules: BTreeMap::new(),
            notice_templates: Templates::default(),
        }
    }
}
