//! `/api/v1/loopwave/kept-replies/`

use loopd_kernel::Tenant;
use loopd_kernel::input::Input;
use loopd_store::{Reader, Tx};
use loopd_types::{Problem, Result, Uuid};
use loopd_web::{Call, Operation, Param, Reply, Schema as _, schema};
use serde_json::{Value as Json, json};

use super::store::{self, KeptReply};
use super::{SHORTCUT_MOST, WORDS, check_words, is_shortcut, rendered};
use crate::{PRODUCT, chat, shelf};

const NAME: &str = "LoopwaveKeptReply";
const URL: &str = "/api/v1/loopwave/kept-replies/";
const ITEM: &str = "/api/v1/loopwave/kept-replies/{id}/";
const TITLE_MOST: usize = 120;
const TEXT_MOST: usize = 4096;
/// What it takes to keep replies for everybody.
const SHARE: &str = "loopwave.kept-replies.action:share";

/// The schemas that the operations refer to.
pub fn components() -> Vec<(String, Json)> {
    let fields = [
        ("id", schema::uuid()),
        ("shortcut", schema::string().describe("What is typed behind a slash.")),
        ("title", schema::string()),
        ("text", schema::string()),
        ("file", schema::uuid().nullable()),
        ("shared", schema::boolean().describe("Whether everybody of the company has it.")),
        ("rendered", schema::string().nullable().describe("The text for the chat that was named.")),
        ("used_count", schema::integer()),
        ("used_at", schema::date_time().nullable()),
        ("created_by", schema::uuid().nullable()),
        ("created_at", schema::date_time()),
        ("version", schema::integer()),
    ];
    let names = fields.clone().map(|(name, _)| name);
    vec![(NAME.to_owned(), schema::object(fields).required(names))]
}

pub fn operations() -> Vec<Operation> {
    let op = |operation: Operation, verb: &str, summary: &str| {
        operation.tag(PRODUCT).summary(summary).tenant(Some(PRODUCT), &format!("{PRODUCT}.kept-replies.{verb}"))
    };
    let reply = || schema::component(NAME);
    let words: Vec<String> = WORDS.iter().map(|(name, what)| format!("`{{{{{name}}}}}`: {what}")).collect();
    let text = schema::text(1, TEXT_MOST as u32).describe(&format!("{}.", words.join("; ")));
    let fields = || {
        vec![
            ("shortcut", schema::text(1, SHORTCUT_MOST as u32).example("price")),
            ("title", schema::text(0, TITLE_MOST as u32)),
            ("text", text.clone().example("Hello {{name}}, it is 5,000 RWF.")),
            ("file", schema::uuid().nullable().describe("A file of the company's library that goes along.")),
        ]
    };
    let shared = ("shared", schema::boolean().describe("For everybody: administrators. Else for the caller alone."));
    let all = schema::object([("results", schema::array(reply()))]).required(["results"]);
    let taken = "`shortcut_taken`, or there are too many.";
    vec![
        op(
            Operation::get("loopwave_kept_replies_list", URL, list),
            "view",
            "List one's own kept replies and everybody's",
        )
        .param(Param::query("search", schema::string()).describe("In shortcut, title or text."))
        .param(Param::query("chat", schema::uuid()).describe("Fills the words in for this chat: `rendered`."))
        .responds(200, "All of them, by shortcut.", all),
        op(Operation::post("loopwave_kept_replies_create", URL, create), "create", "Keep a reply")
            .body(schema::object(fields().into_iter().chain([shared])).required(["shortcut", "text"]))
            .responds(201, "The reply.", reply())
            .responds(409, taken, schema::component("Error")),
        op(
            Operation::patch("loopwave_kept_replies_partial_update", ITEM, update),
            "update",
            "Change a kept reply: one's own, or anybody's for administrators",
        )
        .body(schema::object(fields()))
        .responds(200, "The reply as it is now.", reply())
        .responds(409, "`shortcut_taken`.", schema::component("Error")),
        op(
            Operation::delete("loopwave_kept_replies_destroy", ITEM, destroy),
            "update",
            "Delete a kept reply: one's own, or everybody's for administrators",
        )
        .responds_empty(204, "Deleted."),
    ]
}

/// A kept reply as people see it.
pub fn row(reply: &KeptReply, rendered: Option<String>) -> Json {
    json!({
        "id": reply.id.to_string(),
        "shortcut": reply.shortcut,
        "title": reply.title,
        "text": reply.text,
        "file": reply.file_id.map(|id| id.to_string()),
        "shared": reply.owner_id.is_none(),
        "rendered": rendered,
        "used_count": reply.used_count,
        "used_at": reply.used_at.map(|at| at.to_string()),
        "created_by": reply.created_by.map(|id| id.to_string()),
        "created_at": reply.created_at.to_string(),
        "version": reply.version,
    })
}

async fn list(call: Call) -> Result<Reply> {
    let (tenant, id) = (call.tenant()?.clone(), call.query().uuid("chat")?);
    let wanted = call.query().get("search").map(|text| text.trim().to_lowercase()).unwrap_or_default();
    let work = move |reader: &mut Reader<'_>| {
        let chat = match id {
            Some(id) => {
                tenant.require(&format!("{PRODUCT}.chats.view"))?;
                Some(chat::get(reader, tenant.company, id)?)
            }
            None => None,
        };
        let mut rows = Vec::new();
        for reply in store::list(reader, &tenant)? {
            let is_meant =
                [&reply.shortcut, &reply.title, &reply.text].iter().any(|text| text.to_lowercase().contains(&wanted));
            if is_meant {
                let text = chat.as_ref().map(|chat| rendered(reader, &tenant, chat, &reply.text)).transpose()?;
                rows.push(row(&reply, text));
            }
        }
        Reply::json(200, &json!({"results": rows}))
    };
    call.kernel.db.read(call.tenant()?.view(), work).await
}

/// What a body says of a reply; `Some(None)` takes the file away.
#[derive(Clone)]
struct Given {
    shortcut: Option<String>,
    title: Option<String>,
    text: Option<String>,
    file: Option<Option<Uuid>>,
}

fn read(input: &mut Input) -> Result<Given> {
    let given = Given {
        shortcut: input.required_text("shortcut", SHORTCUT_MOST),
        title: input.text("title", TITLE_MOST),
        text: input.required_text("text", TEXT_MOST),
        file: if input.take_null("file") { Some(None) } else { input.uuid("file").map(Some) },
    };
    let mut problem = Problem::validation();
    if given.shortcut.as_deref().is_some_and(|text| !is_shortcut(text)) {
        problem.add_field("shortcut", "invalid", "Lower case letters, digits, - and _ only.");
    }
    if let Some(text) = &given.text {
        check_words(text, &mut problem);
    }
    if problem.has_fields() { Err(problem) } else { Ok(given) }
}

fn require_file(tx: &mut Tx<'_>, tenant: &Tenant, file: Option<Uuid>) -> Result<()> {
    let Some(id) = file else { return Ok(()) };
    shelf::file(tx, tenant.company, id, "file").map(drop)
}

async fn create(call: Call) -> Result<Reply> {
    let mut input = Input::new(call.json()?, false)?;
    let (given, shared) = (read(&mut input)?, input.boolean("shared") == Some(true));
    input.finish()?;
    let (kernel, tenant) = (call.kernel.clone(), call.tenant()?.clone());
    if shared {
        tenant.require(SHARE)?;
    } else if tenant.actor.user.is_none() {
        return Err(Problem::field("shared", "required", "Only a person keeps replies of their own: share it."));
    }
    let (Some(shortcut), Some(text)) = (given.shortcut, given.text) else {
        return Err(Problem::internal("input that was checked is gone"));
    };
    let reply = KeptReply {
        id: kernel.new_id(),
        owner_id: tenant.actor.user.filter(|_| !shared),
        created_by: tenant.actor.user,
        shortcut,
        title: given.title.unwrap_or_default(),
        text,
        file_id: given.file.flatten(),
        used_count: 0,
        used_at: None,
        created_at: kernel.now(),
        version: 1,
    };
    call.commit(tenant.view(), move |tx| {
        require_file(tx, &tenant, reply.file_id)?;
        store::insert(tx, &kernel, &tenant, &reply)?;
        Reply::json(201, &row(&reply, None))
    })
    .await
}

/// A reply that the caller may change: their own, or everybody's for who may share them.
fn own(reader: &mut Reader<'_>, tenant: &Tenant, id: Uuid) -> Result<KeptReply> {
    let reply = store::get(reader, tenant, id)?;
    if reply.owner_id.is_none() {
        tenant.require(SHARE)?;
    }
    Ok(reply)
}

async fn update(call: Call) -> Result<Reply> {
    let mut input = Input::new(call.json()?, true)?;
    let given = read(&mut input)?;
    input.finish()?;
    let (kernel, tenant, id) = (call.kernel.clone(), call.tenant()?.clone(), call.id()?);
    call.commit(tenant.view(), move |tx| {
        let known = own(tx, &tenant, id)?;
        let given = given.clone();
        let reply = KeptReply {
            shortcut: given.shortcut.unwrap_or_else(|| known.shortcut.clone()),
            title: given.title.unwrap_or_else(|| known.title.clone()),
            text: given.text.unwrap_or_else(|| known.text.clone()),
            file_id: given.file.unwrap_or(known.file_id),
            version: known.version + 1,
            ..known
        };
        require_file(tx, &tenant, reply.file_id)?;
        store::update(tx, &kernel, &tenant, &reply)?;
        Reply::json(200, &row(&reply, None))
    })
    .await
}

async fn destroy(call: Call) -> Result<Reply> {
    let (kernel, tenant, id) = (call.kernel.clone(), call.tenant()?.clone(), call.id()?);
    call.commit(tenant.view(), move |tx| {
        let reply = own(tx, &tenant, id)?;
        store::delete(tx, &kernel, &tenant, &reply)?;
        Ok(Reply::no_content())
    })
    .await
}
