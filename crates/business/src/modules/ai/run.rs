//! The life of a run: it is opened, somebody is asked, it is closed with the answer or the reason why there is none.
//!
//! Work of this server is one transaction, and the run is done when it is seen. A model outside is asked between two: the run is `running`
//! meanwhile, its request is counted, and whoever asked may cancel it.

use std::pin::Pin;
use std::sync::Arc;

use loopd_kernel::Tenant;
use loopd_kernel::advisor::Advisor;
use loopd_store::Tx;
use loopd_web::{Call, Claimed, Reply};
use serde_json::{Value as Json, json};

use super::{advice, quota, task};
use crate::define::*;
use crate::modules::text_of;

/// The states that a run can be tried again from.
const RETRIED_FROM: [&str; 2] = ["failed", "cancelled"];

/// What is asked.
#[derive(Clone)]
pub(super) struct Opening {
    pub kind: &'static str,
    pub prompt: String,
    pub language: String,
    /// The rest of the request, so that it can be made again.
    pub parameters: Json,
    /// Where question and answer are kept as messages.
    pub conversation: Option<Uuid>,
}

/// What came of it.
#[derive(Clone)]
pub(super) struct Done {
    /// In words.
    pub output: String,
    /// For machines; null where words are all there is.
    pub result: Json,
    pub data_used: Json,
    pub model: String,
    pub input_tokens: i64,
    pub output_tokens: i64,
}

/// Asking, not begun.
pub(super) type Asking = Pin<Box<dyn Future<Output = Result<Done>> + Send>>;
/// The answer to the client, from the finished run.
pub(super) type Render = fn(&Record) -> Result<Reply>;

/// A run, and how to ask.
pub(super) struct Job {
    pub opening: Opening,
    /// The run that is tried again; `None` makes one.
    pub again: Option<Uuid>,
    pub asking: Asking,
    pub render: Render,
}

/// Opens, asks, closes, and answers.
///
/// # Errors
/// 429 over the month's cap; 503 `provider_unavailable`; 409 `run_cancelled` when it was cancelled meanwhile; 409 `invalid_transition` for a run that
/// cannot be tried again.
pub(super) async fn work(engine: Engine, call: Call, advisor: &dyn Advisor, job: Job) -> Result<Reply> {
    let tenant = call.tenant()?.clone();
    let Job { opening, again, asking, render } = job;
    if !advisor.is_outside() {
        let done = asking.await?;
        return call
            .commit(tenant.view(), move |tx| {
                let mut cx = Cx::new(tx, &engine, &tenant);
                let run = match open(&mut cx, &opening, again, Some(&done))? {
                    Opened::Done(run) => run,
                    Opened::Running(run) => close(&mut cx, run, &done)?,
                };
                keep_messages(&mut cx, &opening, &run)?;
                render(&run)
            })
            .await;
    }
    let ticket = match call.claim().await? {
        Claimed::Replay(reply) => return Ok(reply),
        Claimed::Go(ticket) => Arc::new(ticket),
    };
    let (shared, acting, asked) = (engine.clone(), tenant.clone(), opening.clone());
    let opened = move |tx: &mut Tx<'_>| {
        let mut cx = Cx::new(tx, &shared, &acting);
        Ok(match open(&mut cx, &asked, again, None)? {
            Opened::Done(run) => run.id(),
            Opened::Running(id) => id,
        })
    };
    let run = match call.kernel.db.write(tenant.view(), opened).await {
        Ok(run) => run,
        Err(problem) => {
            ticket.release().await?;
            return Err(problem);
        }
    };
    let closed = match asking.await {
        Ok(done) => {
            let (shared, acting, finish) = (engine.clone(), tenant.clone(), ticket.clone());
            let work = move |tx: &mut Tx<'_>| {
                let mut cx = Cx::new(tx, &shared, &acting);
                let run = close(&mut cx, run, &done)?;
                keep_messages(&mut cx, &opening, &run)?;
                let reply = render(&run)?;
                finish.finish(cx.tx, &reply)?;
                Ok(reply)
            };
            call.kernel.db.write(tenant.view(), work).await
        }
        Err(problem) => {
            let code = problem.code().to_owned();
            let work = move |tx: &mut Tx<'_>| fail(&mut Cx::new(tx, &engine, &tenant), run, &code);
            call.kernel.db.write(call.tenant()?.view(), work).await?;
            Err(problem)
        }
    };
    if closed.is_err() {
        ticket.release().await?;
    }
    closed
}

enum Opened {
    /// Made with its answer in one write.
    Done(Record),
    Running(Uuid),
}

fn open(cx: &mut Cx<'_, '_>, opening: &Opening, again: Option<Uuid>, done: Option<&Done>) -> Result<Opened> {
    quota::take(cx)?;
    if let Some(id) = again {
        let mut run = cx.lock("ai/runs", id)?;
        require_retriable(&run)?;
        run.set_status("running");
        run.set("error", Value::Null);
        run.set("attempts", run.int("attempts").unwrap_or(1) + 1);
        cx.save(&mut run)?;
        return Ok(Opened::Running(id));
    }
    let mut body = json!({
        "title": title_of(&opening.prompt),
        "kind": opening.kind,
        "prompt": opening.prompt,
        "language": opening.language,
        "parameters": opening.parameters,
        "status": "running",
    });
    let Some(done) = done else { return Ok(Opened::Running(cx.create("ai/runs", &body)?.id())) };
    body["status"] = json!("done");
    body["output"] = json!(done.output);
    body["result"] = done.result.clone();
    body["data_used"] = done.data_used.clone();
    body["model"] = json!(done.model);
    body["input_tokens"] = json!(done.input_tokens);
    body["output_tokens"] = json!(done.output_tokens);
    Ok(Opened::Done(cx.create("ai/runs", &body)?))
}

/// # Errors
/// 409 `run_cancelled` when nobody waits for the answer any longer.
fn close(cx: &mut Cx<'_, '_>, run: Uuid, done: &Done) -> Result<Record> {
    let mut run = cx.lock("ai/runs", run)?;
    if run.status() != "running" {
        return Err(Problem::conflict("run_cancelled", "The run was cancelled before there was an answer."));
    }
    run.set_status("done");
    run.set("output", done.output.as_str());
    run.set("result", kept(&done.result));
    run.set("data_used", kept(&done.data_used));
    run.set("model", done.model.as_str());
    run.set("input_tokens", done.input_tokens);
    run.set("output_tokens", done.output_tokens);
    cx.save(&mut run)?;
    Ok(run)
}

fn kept(value: &Json) -> Value {
    if value.is_null() { Value::Null } else { Value::Json(value.to_string()) }
}

fn fail(cx: &mut Cx<'_, '_>, run: Uuid, error: &str) -> Result<()> {
    quota::give_back(cx)?;
    let mut run = cx.lock("ai/runs", run)?;
    if run.status() != "running" {
        return Ok(());
    }
    run.set_status("failed");
    run.set("error", error);
    cx.save(&mut run)
}

fn keep_messages(cx: &mut Cx<'_, '_>, opening: &Opening, run: &Record) -> Result<()> {
    let Some(conversation) = opening.conversation else { return Ok(()) };
    let answer = run.text("output").unwrap_or_default();
    for (role, body) in [("user", opening.prompt.as_str()), ("assistant", answer)] {
        let run = text_of((role == "assistant").then(|| run.id()));
        let message = json!({"conversation": conversation.to_string(), "role": role, "body": body, "run": run});
        cx.create("ai/messages", &message)?;
    }
    Ok(())
}

fn title_of(prompt: &str) -> String {
    prompt.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(80).collect()
}

/// `POST /ai/runs/{id}/retry/`
pub(super) fn retry(advisor: Arc<dyn Advisor>) -> Custom {
    let run: CallFn = Arc::new(move |engine, call| Box::pin(try_again(engine, call, advisor.clone())));
    Custom::new("runs_retry", Method::Post, "runs/{id}/retry/", Run::Call(run))
        .permission("runs.create")
        .rate(Rate::Ai)
        .summary("Try a run again")
        .help(
            "Asks the same once more, for a run that failed or was cancelled. Only whoever asked can, and only with the right to ask; it counts as a \
             request of this month.",
        )
        .answer(run_schema())
}

fn run_schema() -> Json {
    let maybe = |kind: &str| json!({"type": [kind, "null"]});
    json!({
        "type": "object",
        "description": "The whole run.",
        "properties": {
            "id": {"type": "string", "format": "uuid"},
            "kind": {"type": "string"},
            "status": {"type": "string"},
            "prompt": maybe("string"),
            "output": maybe("string"),
            "model": maybe("string"),
            "attempts": {"type": "integer"},
        },
        "required": ["id", "kind", "status", "prompt", "output", "model", "attempts"],
    })
}

async fn try_again(engine: Engine, call: Call, advisor: Arc<dyn Advisor>) -> Result<Reply> {
    let (tenant, id) = (call.tenant()?.clone(), call.id()?);
    let (shared, viewing) = (engine.clone(), tenant.clone());
    let read = move |reader: &mut loopd_store::Reader<'_>| Viewer::new(reader, &shared, &viewing).get("ai/runs", id);
    let run = engine.kernel.db.read(tenant.view(), read).await?;
    require_own(&tenant, &run)?;
    let (opening, asking) = match run.text("kind").unwrap_or_default() {
        "business_advice" | "conversation" => advice::again(&engine, &tenant, &run, advisor.clone()).await?,
        _ => task::again(&tenant, &run, advisor.clone())?,
    };
    let render: Render = |run| Ok(Reply::json_bytes(200, run.render()?));
    work(engine, call, advisor.as_ref(), Job { opening, again: Some(id), asking, render }).await
}

/// Superusers read the runs of others; asking again in their name is another matter.
fn require_own(tenant: &Tenant, run: &Record) -> Result<()> {
    if run.created_by() == tenant.actor.user { Ok(()) } else { Err(Problem::not_found()) }
}

fn require_retriable(run: &Record) -> Result<()> {
    if RETRIED_FROM.contains(&run.status()) {
        return Ok(());
    }
    let allowed: &[&str] = match run.status() {
        "done" => &["feedback"],
        _ => &["cancel"],
    };
    let words = format!("The run cannot retry while it is {}.", run.status());
    Err(Problem::conflict("invalid_transition", words)
        .with_extra("from", run.status())
        .with_extra("action", "retry")
        .with_extra("allowed", allowed.to_vec()))
}
