//! Driving the sandbox, below the number that it is done to: scanning a code, writing as a customer, misbehaving.

use loopd_kernel::input::Input;
use loopd_kernel::{Kernel, Tenant};
use loopd_store::Tx;
use loopd_types::{MINUTE_US, Problem, Result, Timestamp, Uuid};
use loopd_web::rows::{handled, nothing};
use loopd_web::{Call, Operation, Param, Reply, Schema as _, schema};
use serde_json::{Value as Json, json};

use super::act::{self, HISTORY_MOST, Written};
use super::behaviour::{BAN_MOST_MINUTES, Behaviour, FAIL_MOST, How, WAIT_MOST_MS};
use super::store;
use crate::address::Address;
use crate::message::Taken;
use crate::number::{self, State, http::NUMBERS, http::linking};

const TEXT_MOST: usize = 4096;
/// Messages of a telephone that one answer shows.
const INBOX_MOST: i64 = 100;

fn path(name: &str) -> String {
    format!("{}sandbox/{name}", NUMBERS.item_url())
}

fn written_schema(is_past: bool) -> Json {
    let mut fields = vec![
        ("from", schema::text(1, 80).describe("The customer's number, or a jid; a group's.").example("250788123456")),
        ("text", schema::text(0, TEXT_MOST as u32)),
        ("file", schema::uuid().nullable().describe("A file of the company's library, which they send.")),
        ("name", schema::text(0, 120).describe("What the customer calls themselves, or the group's name.")),
        ("author", schema::text(0, 120).describe("Who wrote, in a group.")),
        ("from_me", schema::boolean().describe("Written on the shop's own telephone.")),
        ("wa_id", schema::text(0, 120).describe("WhatsApp's id of the message; the same one is taken once.")),
    ];
    if is_past {
        fields.push(("at", schema::date_time().nullable()));
    }
    schema::object(fields).required(["from"])
}

pub fn operations() -> Vec<Operation> {
    let history = schema::array(written_schema(true)).with("maxItems", HISTORY_MOST as u64).describe(
        "What the telephone knows from before: it is kept, and nobody reacts to it. The same again is taken once.",
    );
    let older = schema::array(written_schema(true))
        .with("maxItems", HISTORY_MOST as u64)
        .describe("What it knows from before that: it tells it when it is asked (`sync-history/`).");
    let to_scan = schema::object([
        ("phone", schema::text(1, 40).example("250788000001")),
        ("history", history),
        ("older", older),
    ]);
    let received = schema::object([
        ("sandbox", schema::constant(true)),
        ("taken", schema::boolean().describe("False for a message that was known.")),
        ("message", schema::uuid().nullable()),
        ("chat", schema::uuid().nullable()),
    ])
    .required(["sandbox", "taken", "message", "chat"]);
    let post = |verb: &str, name: &str, summary: &str| {
        linking(Operation::post(NUMBERS.operation_id(verb), path(name), nothing), summary)
    };
    let mut all = vec![
        NUMBERS.write_item(
            post("sandbox_scan", "scan/", "Sandbox: scan the code with a simulated telephone")
                .body(to_scan.required(["phone"])),
            scan,
        ),
        NUMBERS.write_item(
            post(
                "sandbox_silence",
                "silence/",
                "Sandbox: have nobody answer for a line that says it is ready, or answer again",
            )
            .body(schema::object([("silent", schema::boolean())]).required(["silent"])),
            silence,
        ),
        handled(
            post("sandbox_receive", "receive/", "Sandbox: a customer writes").body(written_schema(false)).responds(
                200,
                "What became of it.",
                received,
            ),
            receive,
        ),
        NUMBERS
            .write_item(post("sandbox_drop", "drop/", "Sandbox: the connection drops"), |tx, kernel, tenant, id, _| {
                act::leave(tx, kernel, tenant, id, State::Disconnected)
            }),
        NUMBERS.write_item(
            post("sandbox_unlink", "unlink/", "Sandbox: the telephone unlinks the number"),
            |tx, kernel, tenant, id, _| act::leave(tx, kernel, tenant, id, State::LoggedOut),
        ),
    ];
    all.extend(behaving());
    all
}

/// How a line behaves, and what its telephones hold.
fn behaving() -> Vec<Operation> {
    let line = || {
        let fields = [
            ("sandbox", schema::constant(true)),
            ("deliver_after_ms", schema::integer()),
            ("read_after_ms", schema::integer().nullable().describe("Null: nobody looks at messages.")),
            ("fail_next", schema::integer()),
            ("fail_percent", schema::integer()),
            ("fail_how", schema::one_of(How::ALL.map(How::as_str))),
            ("banned_until", schema::date_time().nullable()),
            ("ban_reason", schema::string().nullable()),
        ];
        let names = fields.clone().map(|(name, _)| name);
        schema::object(fields).required(names)
    };
    let ms = || schema::integer_between(0, WAIT_MOST_MS);
    let to_behave = schema::object([
        ("deliver_after_ms", ms()),
        ("read_after_ms", ms().nullable()),
        ("fail_next", schema::integer_between(0, FAIL_MOST).describe("So many messages from now on fail.")),
        ("fail_percent", schema::integer_between(0, 100).describe("Of all others so many in a hundred.")),
        (
            "fail_how",
            schema::one_of(How::ALL.map(How::as_str)).describe(
                "refused; later (it is tried again); unknown (it arrives, and the answer is lost); vanished (it does not, and the answer is lost); \
                 undelivered (taken, and failed afterwards).",
            ),
        ),
    ]);
    let to_ban = schema::object([
        ("minutes", schema::integer_between(1, BAN_MOST_MINUTES)),
        ("reason", schema::text(0, 200).describe("As WhatsApp would say it.")),
    ]);
    let op = |operation: Operation, summary: &str| linking(operation, summary).responds(200, "How it behaves.", line());
    let held = schema::object([
        ("message", schema::uuid()),
        ("type", schema::string()),
        ("text", schema::string().nullable()),
        ("file", schema::uuid().nullable()),
        ("reply_to", schema::string().nullable()),
        ("stage", schema::one_of(["sent", "delivered", "read", "failed"])),
        ("taken_at", schema::date_time()),
    ])
    .required(["message", "type", "text", "file", "reply_to", "stage", "taken_at"]);
    let held = schema::object([("sandbox", schema::constant(true)), ("results", schema::array(held))]);
    vec![
        op(
            Operation::get(NUMBERS.operation_id("sandbox_behaviour"), path(""), behaviour),
            "Sandbox: how a number behaves",
        ),
        op(
            Operation::patch(NUMBERS.operation_id("sandbox_behave"), path(""), behave),
            "Sandbox: have a number deliver slowly, or fail",
        )
        .body(to_behave),
        op(
            Operation::post(NUMBERS.operation_id("sandbox_ban"), path("ban/"), ban),
            "Sandbox: WhatsApp bans a number for a time",
        )
        .describe("Its automations and broadcasts pause until then, and administrators get a letter.")
        .body(to_ban.required(["minutes"])),
        op(
            Operation::post(NUMBERS.operation_id("sandbox_lift"), path("lift/"), lift),
            "Sandbox: WhatsApp lifts its ban",
        ),
        linking(
            Operation::get(NUMBERS.operation_id("sandbox_inbox"), path("inbox/"), inbox),
            "Sandbox: what a simulated telephone was sent, newest first",
        )
        .param(Param::query("phone", schema::string()).describe("Its number, or a group's jid.").required())
        .responds(200, "The newest hundred.", held.required(["sandbox", "results"])),
    ]
}

fn scan(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid, body: Json) -> Result<()> {
    let mut input = Input::new(body, false)?;
    let phone = input.required_text("phone", 40).map(|text| Address::phone(&text));
    if phone == Some(None) {
        input.refuse("phone", "invalid", "Write digits with the country code.");
    }
    let (history, older) = (past(&mut input, "history")?, past(&mut input, "older")?);
    input.finish()?;
    let phone = phone.flatten().and_then(|address| address.telephone());
    act::scan(tx, kernel, tenant, id, phone, &history, &older)
}

/// Messages from before.
fn past(input: &mut Input, member: &'static str) -> Result<Vec<Written>> {
    let mut all = Vec::new();
    for (place, row) in input.list(member, HISTORY_MOST).unwrap_or_default().into_iter().enumerate() {
        match Input::new(row, false)
            .and_then(|mut row| written(&mut row, true).and_then(|it| row.finish().map(|()| it)))
        {
            Ok(Some(one)) => all.push(one),
            Ok(None) => return Err(Problem::internal("input that was checked is gone")),
            Err(problem) => {
                let why = problem
                    .fields()
                    .iter()
                    .flat_map(|(name, errors)| errors.iter().map(move |error| format!("{name}: {}", error.message)));
                let words = format!("Message {}: {}", place + 1, why.collect::<Vec<_>>().join(" "));
                input.refuse(member, "invalid", words);
                break;
            }
        }
    }
    Ok(all)
}

fn silence(tx: &mut Tx<'_>, _kernel: &Kernel, tenant: &Tenant, id: Uuid, body: Json) -> Result<()> {
    let mut input = Input::new(body, false)?;
    let silent = input.boolean("silent");
    if silent.is_none() && !input.has("silent") {
        input.refuse("silent", "required", "This field is required.");
    }
    input.finish()?;
    let known = number::store::lock(tx, tenant.company, id)?;
    act::require_sandbox(&known)?;
    let mut config = known.config.clone();
    config["silent"] = json!(silent == Some(true));
    Ok(number::store::set_config(tx, tenant.company, id, &config)?)
}

/// What a body says that somebody wrote; `None` only when something is wrong with it.
fn written(input: &mut Input, is_past: bool) -> Result<Option<Written>> {
    let from = input.required_text("from", 80).map(|text| Address::parse(&text));
    if from == Some(None) {
        input.refuse("from", "invalid", "Write digits with the country code, or a full jid.");
    }
    let text = input.text("text", TEXT_MOST).filter(|text| !text.is_empty());
    let file = if input.take_null("file") { None } else { input.uuid("file") };
    if text.is_none() && file.is_none() {
        input.refuse("text", "required", "This field is required.");
    }
    let (name, author, wa_id) = (input.text("name", 120), input.text("author", 120), input.text("wa_id", 120));
    let from_me = input.boolean("from_me").unwrap_or(false);
    let at: Option<Timestamp> = if is_past { input.moment("at").flatten() } else { None };
    Ok(from.flatten().map(|chat| Written {
        chat,
        text,
        file,
        name,
        author,
        from_me,
        wa_id: wa_id.filter(|id| !id.is_empty()),
        at,
    }))
}

async fn receive(call: Call) -> Result<Reply> {
    let mut input = Input::new(call.json()?, false)?;
    let written = written(&mut input, false)?;
    input.finish()?;
    let written = written.ok_or_else(|| Problem::internal("input that was checked is gone"))?;
    let (kernel, tenant, id) = (call.kernel.clone(), call.tenant()?.clone(), call.id()?);
    call.commit(tenant.view(), move |tx| {
        let answer = match act::receive(tx, &kernel, &tenant, id, &written)? {
            Taken::Known => json!({"sandbox": true, "taken": false, "message": null, "chat": null}),
            Taken::New { message, chat } => json!({
                "sandbox": true, "taken": true, "message": message.id.to_string(), "chat": chat.id.to_string(),
            }),
        };
        Reply::json(200, &answer)
    })
    .await
}

fn row(line: &Behaviour) -> Json {
    json!({
        "sandbox": true,
        "deliver_after_ms": line.deliver_after_ms,
        "read_after_ms": line.read_after_ms,
        "fail_next": line.fail_next,
        "fail_percent": line.fail_percent,
        "fail_how": line.fail_how.as_str(),
        "banned_until": line.banned_until.map(|at| at.to_string()),
        "ban_reason": line.ban_reason,
    })
}

async fn behaviour(call: Call) -> Result<Reply> {
    let (tenant, id) = (call.tenant()?.clone(), call.id()?);
    let company = tenant.company;
    let line = call.kernel.db.read(tenant.view(), move |reader| {
        act::require_sandbox(&number::get(reader, company, id)?)?;
        Ok(store::behaviour(reader, company, id)?)
    });
    Reply::json(200, &row(&line.await?))
}

async fn behave(call: Call) -> Result<Reply> {
    let mut input = Input::new(call.json()?, true)?;
    let deliver = input.integer("deliver_after_ms", 0, WAIT_MOST_MS);
    let read = if input.take_null("read_after_ms") {
        Some(None)
    } else {
        input.integer("read_after_ms", 0, WAIT_MOST_MS).map(Some)
    };
    let (next, percent) = (input.integer("fail_next", 0, FAIL_MOST), input.integer("fail_percent", 0, 100));
    let how = input.choice("fail_how", &How::ALL.map(How::as_str)).and_then(|text| How::parse(&text));
    input.finish()?;
    commit(call, move |tx, kernel, tenant, id| {
        act::behave(tx, kernel, tenant, id, |line| {
            line.deliver_after_ms = deliver.unwrap_or(line.deliver_after_ms);
            line.read_after_ms = read.unwrap_or(line.read_after_ms);
            line.fail_next = next.unwrap_or(line.fail_next);
            line.fail_percent = percent.unwrap_or(line.fail_percent);
            line.fail_how = how.unwrap_or(line.fail_how);
        })
    })
    .await
}

async fn ban(call: Call) -> Result<Reply> {
    let mut input = Input::new(call.json()?, false)?;
    let minutes = input.integer("minutes", 1, BAN_MOST_MINUTES);
    if minutes.is_none() && !input.has("minutes") {
        input.refuse("minutes", "required", "This field is required.");
    }
    let reason = input.text("reason", 200).filter(|text| !text.is_empty());
    input.finish()?;
    let minutes = minutes.ok_or_else(|| Problem::internal("input that was checked is gone"))?;
    let reason = reason.unwrap_or_else(|| "sent too many messages to people who do not know you".to_owned());
    commit(call, move |tx, kernel, tenant, id| {
        act::ban(tx, kernel, tenant, id, kernel.now().plus(minutes * MINUTE_US), &reason)
    })
    .await
}

async fn lift(call: Call) -> Result<Reply> {
    Input::new(call.json()?, true)?.finish()?;
    commit(call, act::lift).await
}

async fn commit<F>(call: Call, work: F) -> Result<Reply>
where
    F: Fn(&mut Tx<'_>, &Kernel, &Tenant, Uuid) -> Result<Behaviour> + Send + 'static,
{
    let (kernel, tenant, id) = (call.kernel.clone(), call.tenant()?.clone(), call.id()?);
    call.commit(tenant.view(), move |tx| Reply::json(200, &row(&work(tx, &kernel, &tenant, id)?))).await
}

async fn inbox(call: Call) -> Result<Reply> {
    let phone = call.query().get("phone").and_then(Address::parse);
    let phone = phone
        .ok_or_else(|| Problem::field("phone", "invalid", "Write digits with the country code, or a full jid."))?;
    let (tenant, id) = (call.tenant()?.clone(), call.id()?);
    let company = tenant.company;
    let held = call.kernel.db.read(tenant.view(), move |reader| {
        act::require_sandbox(&number::get(reader, company, id)?)?;
        Ok(store::inbox(reader, company, id, &phone.to_string(), INBOX_MOST)?)
    });
    Reply::json(200, &json!({"sandbox": true, "results": held.await?}))
}
