//! What a company chooses of intake.

use loopd_kernel::input::Input;
use loopd_types::{Rng, random_token};
use loopd_web::{Schema as _, schema as s};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// Keywords that one company has.
const KEYWORDS_MOST: usize = 50;
/// Longest keyword, in characters.
const KEYWORD_MOST: usize = 80;
/// A week.
const COOLDOWN_MOST: i64 = 10_080;
/// Longest title of the form.
const TITLE_MOST: usize = 120;
/// Longest introduction of the form.
const INTRO_MOST: usize = 1000;
/// Bytes of chance in the form's address.
const TOKEN_BYTES: usize = 15;

/// How tickets open by themselves. Everything is off until somebody turns it on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Intake {
    pub keyword_enabled: bool,
    /// Any of them anywhere in a message, in any case.
    pub keywords: Vec<String>,
    pub new_chat_enabled: bool,
    /// One ticket for a chat in this time, from 0 to a week.
    pub cooldown_minutes: i64,
    pub form_enabled: bool,
    pub form_title: String,
    pub form_intro: String,
    /// What the form's address ends with; empty until it is first turned on.
    pub form_token: String,
}

impl Default for Intake {
    fn default() -> Self {
        Self {
            keyword_enabled: false,
            keywords: ["support", "help", "refund"].map(str::to_owned).to_vec(),
            new_chat_enabled: false,
            cooldown_minutes: 60,
            form_enabled: false,
            form_title: String::new(),
            form_intro: String::new(),
            form_token: String::new(),
        }
    }
}

impl Intake {
    /// Gives the form another address; the old one leads nowhere from now on.
    pub fn renew_form(&mut self, rng: &dyn Rng) {
        self.form_token = random_token(rng, TOKEN_BYTES);
    }
}

/// Takes a change; complaints are the input's.
pub fn change(intake: &mut Intake, input: &mut Input, rng: &dyn Rng) {
    for (name, place) in [
        ("keyword_enabled", &mut intake.keyword_enabled),
        ("new_chat_enabled", &mut intake.new_chat_enabled),
        ("form_enabled", &mut intake.form_enabled),
    ] {
        if let Some(chosen) = input.boolean(name) {
            *place = chosen;
        }
    }
    if let Some(keywords) = input.texts("keywords", KEYWORDS_MOST, KEYWORD_MOST) {
        let trimmed = keywords.iter().map(|keyword| keyword.trim().to_owned());
        intake.keywords = trimmed.filter(|keyword| !keyword.is_empty()).collect();
    }
    if let Some(minutes) = input.integer("cooldown_minutes", 0, COOLDOWN_MOST) {
        intake.cooldown_minutes = minutes;
    }
    if let Some(title) = input.text("form_title", TITLE_MOST) {
        intake.form_title = title;
    }
    if let Some(intro) = input.text("form_intro", INTRO_MOST) {
        intake.form_intro = intro;
    }
    input.ignore(&["form_token"]);
    if intake.form_enabled && intake.form_token.is_empty() {
        intake.renew_form(rng);
    }
}

/// The choices.
pub fn schema() -> Json {
    let fields = [
        ("keyword_enabled", s::boolean().describe("Whether a keyword in a message opens a ticket.")),
        (
            "keywords",
            s::array(s::text(0, KEYWORD_MOST as u32))
                .max_items(KEYWORDS_MOST as u32)
                .describe("Found anywhere in a message, in any case."),
        ),
        ("new_chat_enabled", s::boolean().describe("Whether the first message ever of a chat opens a ticket.")),
        ("cooldown_minutes", s::integer_between(0, COOLDOWN_MOST).describe("One ticket for a chat in this time.")),
        ("form_enabled", s::boolean().describe("Whether the public form opens tickets.")),
        ("form_title", s::text(0, TITLE_MOST as u32)),
        ("form_intro", s::text(0, INTRO_MOST as u32)),
        (
            "form_token",
            s::string()
                .describe("The form is at `/forms/<company>-<form_token>/`. Made when the form is first enabled.")
                .read_only(),
        ),
    ];
    s::object(fields)
}
