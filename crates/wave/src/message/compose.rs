//! What shall be said, from a body: words, or a file, a choice, a reaction, a place.

use loopd_kernel::input::Input;
use loopd_store::Reader;
use loopd_types::{Problem, Result, Uuid};
use loopd_web::{Schema as _, schema};
use serde_json::{Map, Value as Json, json};

use super::store;
use crate::engine::Content;
use crate::number::Number;
use crate::template::{self, Asked};

/// Characters of a text that WhatsApp takes.
pub const TEXT_MOST: usize = 4096;
/// Characters below a picture, and above buttons.
const CAPTION_MOST: usize = 1024;
/// What WhatsApp shows of choices.
const BUTTONS: usize = 3;
const ROWS: usize = 10;
const TITLE_MOST: usize = 20;
const ROW_TITLE_MOST: usize = 24;
const ROW_WORDS_MOST: usize = 72;
const CHOICE_ID_MOST: usize = 200;
/// Bytes of a list with everything at its most.
const OBJECT_MOST: usize = 16 * 1024;

/// Something to be said, before its references were looked up.
#[derive(Clone, Debug)]
pub struct Said {
    content: Content,
    /// The message of this chat's line that it answers or reacts to.
    reply_to: Option<Uuid>,
    file: Option<Uuid>,
    template: Option<Asked>,
}

/// The members of a body that say something, beside `text`.
pub fn members() -> Vec<(&'static str, Json)> {
    let button =
        schema::object([("id", schema::text(1, CHOICE_ID_MOST as u32)), ("title", schema::text(1, TITLE_MOST as u32))])
            .required(["id", "title"]);
    let row = schema::object([
        ("id", schema::text(1, CHOICE_ID_MOST as u32)),
        ("title", schema::text(1, ROW_TITLE_MOST as u32)),
        ("description", schema::text(0, ROW_WORDS_MOST as u32)),
    ])
    .required(["id", "title"]);
    let choices = schema::object([("button", schema::text(1, TITLE_MOST as u32)), ("rows", schema::array(row))])
        .required(["button", "rows"]);
    let place = schema::object([
        ("latitude", schema::number()),
        ("longitude", schema::number()),
        ("name", schema::text(0, 200)),
        ("address", schema::text(0, 400)),
    ])
    .required(["latitude", "longitude"]);
    vec![
        ("replyTo", schema::uuid().describe("The message that this one answers, or reacts to.")),
        ("file", schema::uuid().describe("A file of the company's shelf, sent with `text` below it.")),
        ("reaction", schema::text(0, 16).describe("An emoji for the message in `replyTo`; empty takes it back.")),
        ("buttons", schema::array(button).describe("At most 3 answers below `text`, to be tapped.")),
        ("list", choices.describe("At most 10 answers behind a button, to be chosen from.")),
        ("location", place),
        template::member(),
    ]
}

/// Reads what a body says. What is wrong with it is noted in `input`; then what is given back is not used.
pub fn read(input: &mut Input) -> Said {
    let reply_to = input.uuid("replyTo");
    let file = input.uuid("file");
    let forms = ["file", "reaction", "buttons", "list", "location", "template"];
    let reaction = input.text("reaction", 16);
    let buttons = input.list("buttons", BUTTONS);
    let list = input.object("list", OBJECT_MOST);
    let location = input.object("location", OBJECT_MOST);
    let has_template = input.has("template");
    let template = template::asked(input);
    let given =
        [file.is_some(), reaction.is_some(), buttons.is_some(), list.is_some(), location.is_some(), has_template];
    if given.iter().filter(|is| **is).count() > 1 {
        input.refuse("text", "invalid", format!("A message has one of {}.", forms.join(", ")));
    }
    let needs_words = buttons.is_some() || list.is_some();
    let most = if file.is_some() || needs_words { CAPTION_MOST } else { TEXT_MOST };
    let text = if needs_words || !given.contains(&true) {
        input.required_text("text", most)
    } else {
        input.text("text", most).filter(|text| !text.is_empty())
    };
    let mut content = Content { text, ..Content::text("") };
    if let Some(emoji) = reaction {
        if reply_to.is_none() {
            input.refuse("replyTo", "required", "A reaction needs the message that it is for.");
        }
        content = Content { kind: "reaction".to_owned(), extra: json!({"emoji": emoji}), text: Some(emoji), ..content };
    } else if let Some(buttons) = buttons {
        if buttons.is_empty() || !buttons.iter().all(|it| is_choice(it, TITLE_MOST)) {
            input.refuse("buttons", "invalid", "Each button has an id and a title of at most 20 characters.");
        }
        content.kind = "interactive".to_owned();
        content.extra = json!({"buttons": buttons});
    } else if let Some(list) = list {
        content.kind = "interactive".to_owned();
        content.extra = json!({"list": choices(input, &list)});
    } else if let Some(place) = location {
        let is_degrees =
            |name: &str, most: f64| place.get(name).and_then(Json::as_f64).is_some_and(|it| it.abs() <= most);
        if !is_degrees("latitude", 90.0) || !is_degrees("longitude", 180.0) {
            input.refuse("location", "invalid", "A place has a latitude and a longitude, in degrees.");
        }
        let known = ["latitude", "longitude", "name", "address"];
        let kept: Map<String, Json> = place.into_iter().filter(|(name, _)| known.contains(&name.as_str())).collect();
        content.text = kept.get("name").and_then(Json::as_str).map(str::to_owned);
        content.kind = "location".to_owned();
        content.extra = Json::Object(kept);
    }
    Said { content, reply_to, file, template }
}

/// An id and a title that fit; nothing else but a description.
fn is_choice(choice: &Json, title_most: usize) -> bool {
    let Some(members) = choice.as_object() else { return false };
    let fits = |name: &str, most: usize| {
        members.get(name).and_then(Json::as_str).is_some_and(|text| !text.is_empty() && text.chars().count() <= most)
    };
    let described = members
        .get("description")
        .is_none_or(|it| it.as_str().is_some_and(|text| text.chars().count() <= ROW_WORDS_MOST));
    fits("id", CHOICE_ID_MOST) && fits("title", title_most) && described && members.len() <= 3
}

fn choices(input: &mut Input, list: &Map<String, Json>) -> Json {
    let button = list.get("button").and_then(Json::as_str).unwrap_or_default();
    let rows = list.get("rows").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    let is_good = !button.is_empty()
        && button.chars().count() <= TITLE_MOST
        && (1..=ROWS).contains(&rows.len())
        && rows.iter().all(|row| is_choice(row, ROW_TITLE_MOST));
    if !is_good {
        let words =
            "A list has a button of at most 20 characters and 1 to 10 rows with an id and a title of at most 24.";
        input.refuse("list", "invalid", words);
    }
    json!({"button": button, "sections": [{"title": button, "rows": rows}]})
}

impl Said {
    /// The content, its references looked up.
    ///
    /// # Errors
    /// 400 under `replyTo`, `file` or `template`; 409 as [`template::content`].
    pub fn content(&self, reader: &mut Reader<'_>, number: &Number) -> Result<Content> {
        let company = number.company;
        let mut content = match &self.template {
            Some(asked) => template::content(reader, number, asked)?,
            None => self.content.clone(),
        };
        if let Some(id) = self.reply_to {
            let answered = store::find(reader, company, id)?.filter(|it| it.number_id == number.id);
            let wa_id = answered.and_then(|it| it.wa_id);
            let words = "There is no such message of this number, or WhatsApp does not know it yet.";
            content.reply_to = Some(wa_id.ok_or_else(|| Problem::field("replyTo", "does_not_exist", words))?);
        }
        if let Some(id) = self.file {
            content = content.with_file(reader, company, id)?;
        }
        Ok(content)
    }
}
