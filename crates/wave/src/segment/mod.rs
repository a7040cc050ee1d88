//! Segments: conditions on contacts under a name (spec/loopwave.md 4.6), for lists, exports and broadcasts. A segment is never a list of
//! people: whoever meets its conditions is in it, as they are at that moment.

pub mod http;
pub mod store;

use loopd_types::Problem;
use serde::{Deserialize, Serialize};

use crate::contact::LIFECYCLES;
use crate::contact::store::Filter;

/// Conditions as people write them. A member that is absent says nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Conditions {
    /// Any of these stages.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lifecycle: Vec<String>,
    /// All of these tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

/// Tags of a segment, and characters of one.
const TAGS_MOST: usize = 20;
const TAG_MOST: usize = 60;

impl Conditions {
    /// Adds what is wrong with them, under the name of the field that holds them.
    pub fn check(&self, field: &str, problem: &mut Problem) {
        if let Some(unknown) = self.lifecycle.iter().find(|stage| !LIFECYCLES.contains(&stage.as_str())) {
            problem.add_field(field, "invalid_choice", format!("\"{unknown}\" is no stage of a contact."));
        }
        let is_tag = |tag: &String| !tag.trim().is_empty() && tag.chars().count() <= TAG_MOST && !tag.contains('\0');
        if self.tags.len() > TAGS_MOST || !self.tags.iter().all(is_tag) {
            problem.add_field(field, "invalid", format!("Up to {TAGS_MOST} tags of 1 to {TAG_MOST} characters."));
        }
    }

    /// The same for the database.
    pub fn conditions(&self) -> Filter {
        Filter { search: None, lifecycles: self.lifecycle.clone(), tags: self.tags.clone(), is_reachable: false }
    }
}
