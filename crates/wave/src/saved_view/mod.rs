//! Saved views: conditions on chats that somebody keeps under a name, for themselves or for all.

pub mod http;
pub mod store;

use loopd_types::{Problem, Uuid};
use serde::{Deserialize, Serialize};

use crate::chat::STATUSES;
use crate::contact::LIFECYCLES;

/// Conditions on chats as people write them: `me` is whoever asks. A member that is absent says nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Wanted {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// `me`, `none`, or the id of a user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assignee: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unread: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<bool>,
    /// `n1a2b3c4`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact: Option<Uuid>,
    /// Of the chat's contact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Of the chat's contact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifecycle: Option<String>,
    /// A part of the customer's name, or of their number for who may see it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// Characters of a condition.
const TEXT_MOST: usize = 128;

impl Wanted {
    /// Adds what is wrong with it.
    pub fn check(&self, problem: &mut Problem) {
        if let Some(status) = self.status.as_deref().filter(|status| !STATUSES.contains(status)) {
            problem.add_field("status", "invalid_choice", format!("\"{status}\" is not a valid choice."));
        }
        if let Some(stage) = self.lifecycle.as_deref().filter(|stage| !LIFECYCLES.contains(stage)) {
            problem.add_field("lifecycle", "invalid_choice", format!("\"{stage}\" is no stage of a contact."));
        }
        let is_assignee = |text: &str| ["me", "none"].contains(&text) || Uuid::parse_str(text).is_ok();
        if self.assignee.as_deref().is_some_and(|text| !is_assignee(text)) {
            problem.add_field("assignee", "invalid", "Write me, none, or the id of a user.");
        }
        for (name, text) in [("number", &self.number), ("label", &self.label), ("tag", &self.tag), ("text", &self.text)]
        {
            if text
                .as_ref()
                .is_some_and(|text| text.is_empty() || text.chars().count() > TEXT_MOST || text.contains('\0'))
            {
                problem.add_field(name, "invalid", format!("Write 1 to {TEXT_MOST} characters."));
            }
        }
    }

    /// These conditions, and in place of its own those that `asked` names.
    pub fn narrowed(&self, asked: &Self) -> Self {
        let either = |asked: &Option<String>, own: &Option<String>| asked.as_ref().or(own.as_ref()).cloned();
        Self {
            status: either(&asked.status, &self.status),
            assignee: either(&asked.assignee, &self.assignee),
            unread: asked.unread.or(self.unread),
            waiting: asked.waiting.or(self.waiting),
            number: either(&asked.number, &self.number),
            label: either(&asked.label, &self.label),
            contact: asked.contact.or(self.contact),
            tag: either(&asked.tag, &self.tag),
            lifecycle: either(&asked.lifecycle, &self.lifecycle),
            text: either(&asked.text, &self.text),
        }
    }
}
