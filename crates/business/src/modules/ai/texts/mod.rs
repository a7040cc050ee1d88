//! Work on words that a caller hands in: summaries, drafts, labels, what can be read out of a text. Done here without a model, by rules that give
//! the same for the same; and put to a model as data, whose answer is checked before anybody sees it.

mod classify;
mod draft;
mod extract;
mod sentences;
mod shape;
mod summarize;

use loopd_kernel::advisor::{Task, Work};
use serde_json::{Value as Json, json};

pub use shape::{accept, schema};

/// Does a task by rules.
pub fn perform(task: &Task) -> Json {
    match &task.work {
        Work::Summarize { text, sentences } => json!({"summary": summarize::summarize(text, *sentences)}),
        Work::Draft(draft) => draft::draft(task, draft),
        Work::Classify { text, labels } => classify::classify(text, labels),
        Work::Extract { text, fields } => extract::extract(text, fields),
    }
}

/// What a model is told to do with the data that comes with it.
pub fn instruction(work: &Work) -> &'static str {
    match work {
        Work::Summarize { .. } => {
            "Summarise `text` in at most `sentences` sentences. Answer with the JSON object {\"summary\": \"…\"}."
        }
        Work::Draft(_) => {
            "Write the `form` of text (a reply to `received`, a letter or a message) in the given `tone`, from `sender` to `recipient`. \
             State the `facts` and nothing that is not among them. Answer with the JSON object {\"subject\": \"…\", \"body\": \"…\"}."
        }
        Work::Classify { .. } => {
            "Choose the one of `labels` that fits `text` best. Answer with the JSON object {\"label\": \"…\", \"score\": 0.9, \"scores\": \
             [{\"label\": \"…\", \"score\": 0.9}, …]}: the scores of all labels, from 0 to 1; label null when none fits."
        }
        Work::Extract { .. } => {
            "Find in `text` dates, amounts of money, telephone numbers, e-mail addresses and the values of the named `fields`. Answer with the JSON \
             object {\"dates\": [{\"text\": \"as it stands\", \"date\": \"YYYY-MM-DD\"}], \"amounts\": [{\"text\": \"as it stands\", \"amount\": \
             \"1234.50\", \"currency\": \"ISO 4217\"}], \"phones\": [{\"text\": \"as it stands\", \"phone\": \"digits\"}], \"emails\": [\"…\"], \
             \"fields\": {\"name\": \"value or null\"}}. Leave out what does not stand in the text."
        }
    }
}

/// The task's words, as data.
pub fn data(task: &Task) -> Json {
    match &task.work {
        Work::Summarize { text, sentences } => json!({"text": text, "sentences": sentences}),
        Work::Draft(draft) => json!({
            "form": draft.form,
            "tone": draft.tone,
            "recipient": draft.recipient,
            "sender": draft.sender.as_deref().unwrap_or(&task.company),
            "subject": draft.subject,
            "facts": draft.facts,
            "received": draft.received,
        }),
        Work::Classify { text, labels } => {
            let labels: Vec<Json> =
                labels.iter().map(|label| json!({"label": label.name, "keywords": label.keywords})).collect();
            json!({"text": text, "labels": labels})
        }
        Work::Extract { text, fields } => json!({"text": text, "fields": fields}),
    }
}
