//! The doors: a question becomes figures, figures become advice, and the run is kept.

use std::sync::Arc;

use loopd_kernel::Tenant;
use loopd_kernel::advisor::{Advisor, Question};
use loopd_web::{Call, Reply};
use serde_json::{Value as Json, json};

use super::figures::{self, Asked, Finding};
use super::period::Period;
use super::run::{self, Done, Job, Opening};
use super::words::Language;
use super::{quota, store, understand};
use crate::define::*;
use crate::engine::cx::runtime;
use crate::engine::update::find_visible;
use crate::modules::text_of;

/// Characters of a question.
const LONGEST_PROMPT: usize = 4_000;

/// `POST /ai/business-advice/`
pub(super) fn business_advice(advisor: Arc<dyn Advisor>) -> Custom {
    let run: CallFn = Arc::new(move |engine, call| Box::pin(answer(engine, call, advisor.clone(), false)));
    with_question(Custom::new("business_advice_create", Method::Post, "business-advice/", Run::Call(run)))
        .summary("Ask for advice")
        .help(
            "Answers from the company's own records, as far as the caller may see them: sales, best sellers, overdue and unpaid invoices, missed \
             appointments, busiest hours, new customers, questions waiting in chat. The figures are computed; `data_used` names the rows.",
        )
        .permission("business-advice.create")
}

/// `POST /ai/conversations/{id}/send/`
pub(super) fn send(advisor: Arc<dyn Advisor>) -> Custom {
    let run: CallFn = Arc::new(move |engine, call| Box::pin(answer(engine, call, advisor.clone(), true)));
    with_question(Custom::new("conversations_send", Method::Post, "conversations/{id}/send/", Run::Call(run)))
        .summary("Ask for advice in a conversation")
        .help("As business advice; question and answer are kept as messages of the conversation.")
        .permission("business-advice.create")
        .ready(require_open)
}

/// `POST /ai/business-advice/{id}/feedback/`
pub(super) fn feedback() -> Custom {
    Custom::post("business_advice_feedback", "business-advice/{id}/feedback/", rate_run)
        .summary("Say whether the advice helped")
        .input(boolean("useful").required().help("Whether it helped."))
        .permission("business-advice.create")
}

fn with_question(custom: Custom) -> Custom {
    let mut custom = custom.rate(Rate::Ai).answer(answer_schema());
    for field in question_fields() {
        custom = custom.input(field);
    }
    custom
}

fn question_fields() -> [Field; 3] {
    [
        text("prompt", LONGEST_PROMPT).required().help("The question.").example("Summarize our sales this week"),
        object("context").help(
            "Narrows the question: {\"module\": \"payments\", \"period\": \"this_week\"}. Periods: today, yesterday, this_week, last_week, \
             this_month, last_month.",
        ),
        language("language").help("The language to answer in; the company's own when absent.").example("en"),
    ]
}

fn answer_schema() -> Json {
    let text = json!({"type": "string"});
    let used = json!({
        "type": "object",
        "properties": {
            "resource": text,
            "count": {"type": "integer"},
            "ids": {"type": "array", "items": {"type": "string", "format": "uuid"}},
            "period": {"type": ["object", "null"]},
        },
        "required": ["resource", "count", "ids", "period"],
    });
    json!({
        "type": "object",
        "properties": {
            "id": {"type": "string", "format": "uuid"},
            "prompt": text,
            "advice": text,
            "data_used": {"type": "array", "items": used},
            "model": text,
            "usage": {
                "type": "object",
                "properties": {"input": {"type": "integer"}, "output": {"type": "integer"}},
                "required": ["input", "output"],
            },
            "created_at": {"type": "string", "format": "date-time"},
        },
        "required": ["id", "prompt", "advice", "data_used", "model", "usage", "created_at"],
    })
}

/// A question, checked.
#[derive(Clone)]
struct Asking {
    prompt: String,
    language: String,
    module: Option<String>,
    period: Option<Period>,
    /// Where question and answer are kept as messages.
    conversation: Option<Uuid>,
}

async fn answer(engine: Engine, call: Call, advisor: Arc<dyn Advisor>, in_conversation: bool) -> Result<Reply> {
    let tenant = call.tenant()?.clone();
    let mut asking = read(&engine, &tenant, call.json_ref()?)?;
    if in_conversation {
        asking.conversation = Some(call.id()?);
        require_conversation(&engine, &tenant, call.id()?).await?;
    }
    let (opening, asking) = prepare(&engine, &tenant, asking, advisor.clone());
    run::work(engine, call, advisor.as_ref(), Job { opening, again: None, asking, render }).await
}

/// A kept run's question, asked again.
///
/// # Errors
/// 403 when the caller may no longer ask; 409 when its conversation was archived.
pub(super) async fn again(
    engine: &Engine,
    tenant: &Arc<Tenant>,
    kept: &Record,
    advisor: Arc<dyn Advisor>,
) -> Result<(Opening, run::Asking)> {
    tenant.require("ai.business-advice.create")?;
    let parameters = kept.json("parameters").unwrap_or_default();
    let body =
        json!({"prompt": kept.text("prompt"), "language": kept.text("language"), "context": parameters["context"]});
    let mut asking = read(engine, tenant, &body)?;
    if let Some(id) = parameters["conversation"].as_str().and_then(|id| Uuid::parse_str(id).ok()) {
        require_conversation(engine, tenant, id).await?;
        asking.conversation = Some(id);
    }
    Ok(prepare(engine, tenant, asking, advisor))
}

fn prepare(engine: &Engine, tenant: &Arc<Tenant>, asking: Asking, advisor: Arc<dyn Advisor>) -> (Opening, run::Asking) {
    let mut context = serde_json::Map::new();
    context.extend(asking.module.as_ref().map(|module| ("module".to_owned(), json!(module))));
    context.extend(asking.period.map(|period| ("period".to_owned(), json!(period.name()))));
    let opening = Opening {
        kind: if asking.conversation.is_some() { "conversation" } else { "business_advice" },
        prompt: asking.prompt.clone(),
        language: asking.language.clone(),
        parameters: json!({"context": context, "conversation": text_of(asking.conversation)}),
        conversation: asking.conversation,
    };
    let (engine, tenant) = (engine.clone(), tenant.clone());
    let asked = Box::pin(async move {
        let (question, used) = question(&engine, &tenant, &asking).await?;
        let advice = advisor.advise(&question).await?;
        Ok(Done {
            output: advice.text,
            result: Json::Null,
            data_used: used,
            model: advice.model,
            input_tokens: advice.input_tokens,
            output_tokens: advice.output_tokens,
        })
    });
    (opening, asked)
}

fn read(engine: &Engine, tenant: &Tenant, body: &Json) -> Result<Asking> {
    let input = Input::check(&question_fields(), body, None)?;
    let context = input.json("context").unwrap_or_default();
    let mut problem = Problem::validation();
    let named = |key: &str| context.get(key).filter(|value| !value.is_null());
    let module = named("module").map(|value| value.as_str().unwrap_or_default().to_owned());
    if let Some(module) = &module
        && !engine.registry.modules().iter().any(|known| known.slug == *module)
    {
        problem.add_field("context.module", "invalid_choice", format!("\"{module}\" is not a valid choice."));
    }
    let period = match named("period").map(|value| value.as_str().unwrap_or_default()) {
        None => None,
        Some(name) => {
            let period = Period::parse(name);
            if period.is_none() {
                problem.add_field("context.period", "invalid_choice", format!("\"{name}\" is not a valid choice."));
            }
            period
        }
    };
    if problem.has_fields() {
        return Err(problem);
    }
    Ok(Asking {
        prompt: input.text("prompt").unwrap_or_default().to_owned(),
        language: input.text("language").unwrap_or(tenant.language()).to_owned(),
        module,
        period,
        conversation: None,
    })
}

/// The figures, on one snapshot, and the rows they were made from.
async fn question(engine: &Engine, tenant: &Arc<Tenant>, asking: &Asking) -> Result<(Question, Json)> {
    let (shared, viewing, asked) = (engine.clone(), tenant.clone(), asking.clone());
    let findings: Vec<Finding> = engine
        .kernel
        .db
        .read_long(tenant.view(), move |reader| {
            let mut viewer = Viewer::new(reader, &shared, &viewing);
            let topics = understand::topics(&asked.prompt, asked.module.as_deref());
            let period = asked.period.or_else(|| understand::period(&asked.prompt)).unwrap_or(Period::ThisWeek);
            let span = period.span(viewer.now(), viewer.tenant.timezone())?;
            let by_name = topics.len() <= 3;
            let language = Language::of(&asked.language);
            figures::gather(&mut viewer, &topics, &Asked { span: &span, language, by_name })
        })
        .await?;
    let used: Vec<Json> = findings.iter().flat_map(|finding| &finding.used).map(figures::Used::render).collect();
    let question = Question {
        prompt: asking.prompt.clone(),
        language: asking.language.clone(),
        company: tenant.company_name().to_owned(),
        facts: findings.into_iter().map(|finding| finding.fact).collect(),
    };
    Ok((question, Json::Array(used)))
}

fn render(run: &Record) -> Result<Reply> {
    Reply::json(
        200,
        &json!({
            "id": run.id().to_string(),
            "prompt": run.text("prompt"),
            "advice": run.text("output"),
            "data_used": run.json("data_used"),
            "model": run.text("model"),
            "usage": {"input": run.int("input_tokens"), "output": run.int("output_tokens")},
            "created_at": run.created_at(),
        }),
    )
}

async fn require_conversation(engine: &Engine, tenant: &Arc<Tenant>, id: Uuid) -> Result<()> {
    let (shared, viewing) = (engine.clone(), tenant.clone());
    let work = move |reader: &mut loopd_store::Reader<'_>| {
        require_open(&viewing, &Viewer::new(reader, &shared, &viewing).get("ai/conversations", id)?)
    };
    engine.kernel.db.read(tenant.view(), work).await
}

fn require_open(tenant: &Tenant, conversation: &Record) -> Result<()> {
    if conversation.created_by() != tenant.actor.user {
        return Err(Problem::not_found());
    }
    if conversation.status() == "archived" {
        return Err(Problem::conflict("conversation_archived", "The conversation is archived."));
    }
    Ok(())
}

fn rate_run(cx: &mut Cx<'_, '_>, input: &Input) -> Result<Json> {
    let id = Uuid::parse_str(input.path("id")).map_err(|_| Problem::not_found())?;
    let runs = runtime(cx.engine, "ai/runs")?.clone();
    find_visible(cx, &runs, id)?;
    cx.act("ai/runs", id, "feedback", &json!({"useful": input.is("useful")}))?.to_json()
}

/// Questions and answers belong to whoever asked.
pub(super) fn require_asker(cx: &mut Cx<'_, '_>, record: &mut Record, _: &Input) -> Result<()> {
    if cx.user().is_some() && record.created_by() != cx.user() { Err(Problem::not_found()) } else { Ok(()) }
}

/// `GET /ai/usage/`
pub(super) fn usage(viewer: &mut Viewer<'_, '_>, _: &Input) -> Result<Json> {
    let months: Vec<Json> = store::usage(viewer)?
        .iter()
        .map(|row| json!({"month": row.month, "runs": row.runs, "input": row.input, "output": row.output}))
        .collect();
    Ok(json!({"months": months, "quota": quota::render(viewer)?}))
}

pub(super) fn usage_schema() -> Json {
    let month = json!({
        "type": "object",
        "properties": {
            "month": {"type": "string"},
            "runs": {"type": "integer"},
            "input": {"type": "integer"},
            "output": {"type": "integer"},
        },
        "required": ["month", "runs", "input", "output"],
    });
    json!({
        "type": "object",
        "properties": {"months": {"type": "array", "items": month}, "quota": quota::schema()},
        "required": ["months", "quota"],
    })
}
