//! Presence: who is there now. Clients repeat it; what is not repeated ends by the clock.
//!
//! A sign of life is no business record: it has a row of its own, one a person and company, and leaves no history. Only a change of what others
//! see is told as an event.

use loopd_kernel::event;
use serde_json::{Value as Json, json};

use super::{member, store};
use crate::define::parse::no_such_record;
use crate::define::*;

/// How long a sign of life holds; clients repeat it every half minute or so.
const HOLDS_US: i64 = 90 * loopd_types::SECOND_US;
/// What somebody can be.
pub(super) const STATES: [&str; 3] = ["online", "away", "offline"];
/// Last part of the event's name.
const EVENT: &str = "chat.presence.changed";

/// What is known of somebody.
pub(super) struct Presence {
    pub user: Uuid,
    state: String,
    last_seen: Option<Timestamp>,
    expires_at: Option<Timestamp>,
}

impl Presence {
    /// From the stored words; nothing stored is somebody who was never there.
    pub fn new(user: Uuid, state: Option<&str>, last_seen: Option<Timestamp>, expires_at: Option<Timestamp>) -> Self {
        Self { user, state: state.unwrap_or("offline").to_owned(), last_seen, expires_at }
    }

    /// What others see now.
    fn state(&self, now: Timestamp) -> &str {
        if self.expires_at.is_some_and(|end| now < end) { &self.state } else { "offline" }
    }

    fn render(&self, now: Timestamp) -> Json {
        let state = self.state(now);
        let expires_at = self.expires_at.filter(|_| state != "offline");
        json!({"user": self.user.to_string(), "state": state, "last_seen": self.last_seen, "expires_at": expires_at})
    }
}

/// `GET /chat/presence/`
pub(super) fn list() -> Custom {
    Custom::get("presence", "presence/", show)
        .summary("See who is there")
        .help(
            "The company's active members, whoever was seen last first, at most 1000. Online and away hold for 90 seconds from the last sign of life; \
             then, and before the first, a member is offline.",
        )
        .permission("channels.view")
        .input(reference("channel", "chat/channels").help("Only members of this channel."))
        .input(choice("state", &STATES).help("Only who is in this state."))
        .answer(json!({
            "type": "object",
            "properties": {"online": {"type": "integer"}, "results": {"type": "array", "items": schema()}},
            "required": ["online", "results"],
        }))
}

/// `POST /chat/presence/`
pub(super) fn tell() -> Custom {
    Custom::post("presence_tell", "presence/", note)
        .summary("Say that you are there")
        .help("Holds for 90 seconds; say it again before they are over. Others are told only when what they see of you changes.")
        .permission("channels.view")
        .input(choice("state", &STATES).default("online").help("What you are."))
        .answer(schema())
}

fn schema() -> Json {
    json!({
        "type": "object",
        "properties": {
            "user": {"type": "string", "format": "uuid"},
            "state": {"enum": STATES},
            "last_seen": {"type": ["string", "null"], "format": "date-time"},
            "expires_at": {"type": ["string", "null"], "format": "date-time", "description": "When it ends unless it is said again; null when offline."},
        },
        "required": ["user", "state", "last_seen", "expires_at"],
    })
}

fn show(viewer: &mut Viewer<'_, '_>, input: &Input) -> Result<Json> {
    let of_channel = match input.id_in("channel") {
        Some(id) => {
            let error = no_such_record(id);
            let refused = || Problem::field("channel", error.code.clone(), error.message.clone());
            Some(member::ids_of(&viewer.find("chat/channels", id)?.ok_or_else(refused)?)?)
        }
        None => None,
    };
    let now = viewer.now();
    let mut all = store::presences(viewer)?;
    if let Some(members) = of_channel {
        all.retain(|presence| members.contains(&presence.user));
    }
    let online = all.iter().filter(|presence| presence.state(now) == "online").count();
    if let Some(wanted) = input.text("state") {
        all.retain(|presence| presence.state(now) == wanted);
    }
    let results: Vec<Json> = all.iter().map(|presence| presence.render(now)).collect();
    Ok(json!({"online": online, "results": results}))
}

fn note(cx: &mut Cx<'_, '_>, input: &Input) -> Result<Json> {
    let user = cx.user().ok_or_else(Problem::permission_denied)?;
    let now = cx.now();
    let state = input.text("state").unwrap_or("online").to_owned();
    let before = store::presence(cx, user)?;
    let told = Presence { user, state, last_seen: Some(now), expires_at: Some(now.plus(HOLDS_US)) };
    store::keep_presence(cx, user, &told.state, now, now.plus(HOLDS_US))?;
    let answer = told.render(now);
    if before.state(now) != told.state(now) {
        let subject = format!("chat/presence/{user}");
        event::emit(cx.tx, cx.kernel(), cx.tenant, EVENT, &subject, answer.to_string())?;
    }
    Ok(answer)
}
