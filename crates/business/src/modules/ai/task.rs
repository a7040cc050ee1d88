//! Summaries, drafts, labels and extracts: the request becomes a task, and the task a run.

use std::sync::Arc;

use loopd_kernel::Tenant;
use loopd_kernel::advisor::{Advisor, Draft, Label, Task, Work};
use loopd_web::{Call, Reply};
use serde_json::{Map, Value as Json, json};

use super::run::{self, Asking, Done, Job, Opening};
use super::texts;
use crate::define::*;

/// Characters of a text to work on.
const LONGEST_TEXT: usize = 20_000;
/// Characters of what a reply answers, and of a draft's facts: both are kept with the run beside its prompt.
const LONGEST_PART: usize = 8_000;
/// Keywords of one label.
const MOST_KEYWORDS: usize = 20;
/// Bytes of all keywords together.
const LONGEST_KEYWORDS: usize = 16 * 1024;

/// The four operations.
pub(super) fn operations(advisor: &Arc<dyn Advisor>) -> [Custom; 4] {
    KINDS.map(|kind| operation(kind, advisor.clone()))
}

/// One kind of task: its name in the address and in a run.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    summary: &'static str,
    help: &'static str,
    fields: fn() -> Vec<Field>,
    read: fn(&Input) -> Result<Work>,
    /// What the run keeps as its prompt, and under which name the request has it.
    prompt: &'static str,
}

const KINDS: [Kind; 4] = [
    Kind {
        name: "summarize",
        summary: "Summarise a text",
        help: "Without a model the summary is made of the text's own sentences: those that hold most of what the whole text speaks of.",
        fields: summarize_fields,
        read: read_summarize,
        prompt: "text",
    },
    Kind {
        name: "draft",
        summary: "Draft a reply, a letter or a message",
        help: "States the given facts in the given tone, in English, French or Kinyarwanda (other languages get English without a model). A reply \
               needs what it answers, anything else at least one fact. Nothing is sent.",
        fields: draft_fields,
        read: read_draft,
        prompt: "facts",
    },
    Kind {
        name: "classify",
        summary: "Find the label that fits a text",
        help: "Without a model labels are chosen by the words that text and label share. The label is null when none fits.",
        fields: classify_fields,
        read: read_classify,
        prompt: "text",
    },
    Kind {
        name: "extract",
        summary: "Read dates, amounts, contacts and fields out of a text",
        help: "Dates, amounts with their currency, telephone numbers, e-mail addresses, and the values of the named fields as they stand behind \
               their names. Of two numbers in a date that could both be the month, the first is the day.",
        fields: extract_fields,
        read: read_extract,
        prompt: "text",
    },
];

fn operation(kind: Kind, advisor: Arc<dyn Advisor>) -> Custom {
    let handler: CallFn = Arc::new(move |engine, call| Box::pin(answer(kind, engine, call, advisor.clone())));
    let mut custom = Custom::new(kind.name, Method::Post, &format!("{}/", kind.name), Run::Call(handler))
        .rate(Rate::Ai)
        .summary(kind.summary)
        .help(&format!("{} The request and its result are kept as a run; the month's cap counts it.", kind.help))
        .answer(answer_schema(kind.name));
    for field in fields(&kind) {
        custom = custom.input(field);
    }
    custom
}

fn fields(kind: &Kind) -> Vec<Field> {
    let mut fields = (kind.fields)();
    fields.push(language("language").help("The language to answer in; the company's own when absent.").example("en"));
    fields
}

fn the_text() -> Field {
    text("text", LONGEST_TEXT)
        .required()
        .help("The text to work on.")
        .example("Aline asks whether her order of 25,000 RWF arrives before 22 June 2026.")
}

fn summarize_fields() -> Vec<Field> {
    vec![the_text(), integer("sentences").min(1).max(20).default(3).help("Sentences of the summary, at most.")]
}

fn read_summarize(input: &Input) -> Result<Work> {
    let sentences = input.int("sentences").and_then(|count| usize::try_from(count).ok()).unwrap_or(3);
    Ok(Work::Summarize { text: owned(input, "text").unwrap_or_default(), sentences })
}

fn draft_fields() -> Vec<Field> {
    vec![
        choice("form", &["reply", "letter", "message"]).default("letter").help("What is written."),
        choice("tone", &["formal", "friendly", "apologetic"]).default("formal").help("How it sounds."),
        text("recipient", 120).help("Who is addressed.").example("Aline"),
        text("sender", 120).help("Who signs; the company when absent."),
        text("subject", 200).help("What it is about; made from the rest when absent."),
        text("facts", LONGEST_PART)
            .help("What it is to say, one fact a line, in this order.")
            .example("Your order leaves today"),
        text("received", LONGEST_PART).help("What a reply answers."),
    ]
}

fn read_draft(input: &Input) -> Result<Work> {
    let facts: Vec<String> = input
        .text("facts")
        .unwrap_or_default()
        .lines()
        .map(|line| line.trim().trim_start_matches("- ").trim().to_owned())
        .filter(|line| !line.is_empty())
        .collect();
    let form = owned(input, "form").unwrap_or_default();
    let received = owned(input, "received");
    if form == "reply" && received.is_none() {
        return Err(Problem::field("received", "required", "Give what the reply answers."));
    }
    if form != "reply" && facts.is_empty() {
        return Err(Problem::field("facts", "required", "Give at least one fact."));
    }
    Ok(Work::Draft(Draft {
        form,
        tone: owned(input, "tone").unwrap_or_default(),
        recipient: owned(input, "recipient"),
        sender: owned(input, "sender"),
        subject: owned(input, "subject"),
        facts,
        received,
    }))
}

fn classify_fields() -> Vec<Field> {
    vec![
        the_text(),
        tags("labels")
            .required()
            .help("The labels to choose from, at least two.")
            .example(json!(["billing", "delivery"])),
        object("keywords")
            .help("Words that speak for a label besides its own: a list, or a text with commas, by label.")
            .example(json!({"delivery": ["late", "courier"]})),
    ]
}

fn read_classify(input: &Input) -> Result<Work> {
    let names = texts_in(&input.json("labels").unwrap_or_default());
    if names.len() < 2 {
        return Err(Problem::field("labels", "min_length", "Give at least two labels."));
    }
    let given = input.json("keywords").unwrap_or_else(|| json!({}));
    if given.to_string().len() > LONGEST_KEYWORDS {
        let words = format!("Ensure this field has no more than {LONGEST_KEYWORDS} bytes.");
        return Err(Problem::field("keywords", "max_length", words));
    }
    let keywords: Map<String, Json> = given.as_object().cloned().unwrap_or_default();
    for (label, words) in &keywords {
        if !names.contains(label) {
            let words = format!("\"{label}\" is none of the labels.");
            return Err(Problem::field("keywords", "invalid_choice", words));
        }
        let is_list = words.as_array().is_some_and(|words| words.iter().all(Json::is_string));
        if !(is_list || words.is_string()) || texts_in(words).len() > MOST_KEYWORDS {
            let words = format!("Give at most {MOST_KEYWORDS} keywords of \"{label}\", as a list of texts.");
            return Err(Problem::field("keywords", "invalid", words));
        }
    }
    let label = |name: String| Label { keywords: keywords.get(&name).map(texts_in).unwrap_or_default(), name };
    Ok(Work::Classify {
        text: owned(input, "text").unwrap_or_default(),
        labels: names.into_iter().map(label).collect(),
    })
}

fn extract_fields() -> Vec<Field> {
    vec![
        the_text(),
        tags("fields").help("Names of the fields to look for: `invoice number`.").example(json!(["invoice number"])),
    ]
}

fn read_extract(input: &Input) -> Result<Work> {
    let fields = texts_in(&input.json("fields").unwrap_or_default());
    Ok(Work::Extract { text: owned(input, "text").unwrap_or_default(), fields })
}

fn owned(input: &Input, field: &str) -> Option<String> {
    input.text(field).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// The texts of a list, or of one text with commas.
fn texts_in(value: &Json) -> Vec<String> {
    let texts: Vec<&str> = match value {
        Json::Array(list) => list.iter().filter_map(Json::as_str).collect(),
        Json::String(text) => text.split(',').collect(),
        _ => Vec::new(),
    };
    texts.into_iter().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned).collect()
}

fn answer_schema(kind: &str) -> Json {
    json!({
        "type": "object",
        "properties": {
            "id": {"type": "string", "format": "uuid"},
            "kind": {"const": kind},
            "language": {"type": "string"},
            "result": texts::schema(kind),
            "model": {"type": "string"},
            "usage": {
                "type": "object",
                "properties": {"input": {"type": "integer"}, "output": {"type": "integer"}},
                "required": ["input", "output"],
            },
            "created_at": {"type": "string", "format": "date-time"},
        },
        "required": ["id", "kind", "language", "result", "model", "usage", "created_at"],
    })
}

async fn answer(kind: Kind, engine: Engine, call: Call, advisor: Arc<dyn Advisor>) -> Result<Reply> {
    let tenant = call.tenant()?.clone();
    let (opening, asking) = prepare(&kind, &tenant, call.json_ref()?, advisor.clone())?;
    run::work(engine, call, advisor.as_ref(), Job { opening, again: None, asking, render }).await
}

/// A kept run's request, made again.
///
/// # Errors
/// 403 when the caller may no longer ask for such a thing.
pub(super) fn again(tenant: &Tenant, run: &Record, advisor: Arc<dyn Advisor>) -> Result<(Opening, Asking)> {
    let name = run.text("kind").unwrap_or_default();
    let kind =
        KINDS.iter().find(|kind| kind.name == name).ok_or_else(|| Problem::internal(format!("a run of {name:?}")))?;
    tenant.require(&format!("ai.{name}.create"))?;
    let mut body = run.json("parameters").filter(Json::is_object).unwrap_or_else(|| json!({}));
    body[kind.prompt] = json!(run.text("prompt"));
    body["language"] = json!(run.text("language"));
    prepare(kind, tenant, &body, advisor)
}

fn prepare(kind: &Kind, tenant: &Tenant, body: &Json, advisor: Arc<dyn Advisor>) -> Result<(Opening, Asking)> {
    let input = Input::check(&fields(kind), body, None)?;
    let task = Task {
        work: (kind.read)(&input)?,
        language: owned(&input, "language").unwrap_or_else(|| tenant.language().to_owned()),
        company: tenant.company_name().to_owned(),
    };
    let parameters: Map<String, Json> = fields(kind)
        .iter()
        .filter(|field| field.name != kind.prompt && field.name != "language")
        .filter_map(|field| {
            body.get(&field.name).filter(|given| !given.is_null()).map(|given| (field.name.clone(), given.clone()))
        })
        .collect();
    let opening = Opening {
        kind: kind.name,
        prompt: owned(&input, kind.prompt).unwrap_or_default(),
        language: task.language.clone(),
        parameters: Json::Object(parameters),
        conversation: None,
    };
    let asking = Box::pin(async move {
        let outcome = advisor.work(&task).await?;
        Ok(Done {
            output: in_words(&outcome.result),
            result: outcome.result,
            data_used: json!([]),
            model: outcome.model,
            input_tokens: outcome.input_tokens,
            output_tokens: outcome.output_tokens,
        })
    });
    Ok((opening, asking))
}

/// A result as people read it in the list of runs.
fn in_words(result: &Json) -> String {
    let text = |name: &str| result[name].as_str();
    match (text("summary"), text("subject"), text("body"), result.get("label")) {
        (Some(summary), ..) => summary.to_owned(),
        (_, Some(subject), Some(body), _) => format!("{subject}\n\n{body}"),
        (.., Some(label)) => label.as_str().unwrap_or_default().to_owned(),
        _ => result.to_string(),
    }
}

fn render(run: &Record) -> Result<Reply> {
    Reply::json(
        200,
        &json!({
            "id": run.id().to_string(),
            "kind": run.text("kind"),
            "language": run.text("language"),
            "result": run.json("result"),
            "model": run.text("model"),
            "usage": {"input": run.int("input_tokens"), "output": run.int("output_tokens")},
            "created_at": run.created_at(),
        }),
    )
}
