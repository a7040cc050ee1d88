//! Driving the sandbox: scan a code, write as a customer. Below the number that it is done to.

use loopd_kernel::input::Input;
use loopd_kernel::{Kernel, Tenant};
use loopd_store::Tx;
use loopd_types::{Problem, Result, Uuid};
use loopd_web::{Call, Operation, Reply, Schema as _, schema};
use serde_json::{Value as Json, json};

use super::NAME;
use crate::address::Address;
use crate::engine::{Change, Content, Received};
use crate::message::{self, Taken};
use crate::number::{self, Number, State, http::NUMBERS, http::linking};

pub fn operations() -> Vec<Operation> {
    let to_scan = schema::object([("phone", schema::text(1, 40).example("250788000001"))]).required(["phone"]);
    let to_receive = schema::object([
        ("from", schema::text(1, 80).describe("The customer's number, or a jid.").example("250788123456")),
        ("text", schema::text(1, 4096)),
        ("name", schema::text(0, 120).describe("What the customer calls themselves.")),
        ("wa_id", schema::text(0, 120).describe("WhatsApp's id of the message; the same one is taken once.")),
    ])
    .required(["from", "text"]);
    let received = schema::object([
        ("sandbox", schema::one_of([true])),
        ("taken", schema::boolean().describe("False for a message that was known.")),
        ("message", schema::uuid().nullable()),
        ("chat", schema::uuid().nullable()),
    ])
    .required(["sandbox", "taken", "message", "chat"]);
    vec![
        NUMBERS.write_item(
            linking(
                Operation::post(
                    NUMBERS.operation_id("sandbox_scan"),
                    format!("{}sandbox/scan/", NUMBERS.item_url()),
                    loopd_web::rows::nothing,
                ),
                "Sandbox: scan the code with a simulated telephone",
            )
            .body(to_scan),
            scan,
        ),
        NUMBERS.write_item(
            linking(
                Operation::post(
                    NUMBERS.operation_id("sandbox_silence"),
                    format!("{}sandbox/silence/", NUMBERS.item_url()),
                    loopd_web::rows::nothing,
                ),
                "Sandbox: have nobody answer for a line that says it is ready, or answer again",
            )
            .body(schema::object([("silent", schema::boolean())]).required(["silent"])),
            silence,
        ),
        linking(
            Operation::post(
                NUMBERS.operation_id("sandbox_receive"),
                format!("{}sandbox/receive/", NUMBERS.item_url()),
                receive,
            ),
            "Sandbox: a customer writes",
        )
        .body(to_receive)
        .responds(200, "What became of it.", received),
    ]
}

fn sandboxed(number: &Number) -> Result<()> {
    if number.engine == NAME {
        return Ok(());
    }
    Err(Problem::conflict("not_a_sandbox", "This number is real: nobody can write for its customers."))
}

fn scan(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid, body: Json) -> Result<()> {
    let mut input = Input::new(body, false)?;
    let phone = input.required_text("phone", 40).map(|text| Address::phone(&text));
    if phone == Some(None) {
        input.refuse("phone", "invalid", "Write digits with the country code.");
    }
    input.finish()?;
    let known = number::store::lock(tx, tenant.company, id)?;
    sandboxed(&known)?;
    if known.state != State::Qr {
        return Err(Problem::conflict("no_code", "This number shows no code. Connect it first."));
    }
    let phone = phone.flatten().and_then(|address| address.telephone());
    let reason = Some("Sandbox: nothing leaves this server.".to_owned());
    number::change(tx, kernel, tenant, id, &Change { state: State::Ready, reason, qr: None, phone }).map(drop)
}

fn silence(tx: &mut Tx<'_>, _kernel: &Kernel, tenant: &Tenant, id: Uuid, body: Json) -> Result<()> {
    let mut input = Input::new(body, false)?;
    let silent = input.boolean("silent");
    if silent.is_none() && !input.has("silent") {
        input.refuse("silent", "required", "This field is required.");
    }
    input.finish()?;
    let known = number::store::lock(tx, tenant.company, id)?;
    sandboxed(&known)?;
    let mut config = known.config.clone();
    config["silent"] = json!(silent == Some(true));
    Ok(number::store::set_config(tx, tenant.company, id, &config)?)
}

async fn receive(call: Call) -> Result<Reply> {
    let mut input = Input::new(call.json()?, false)?;
    let from = input.required_text("from", 80).map(|text| Address::parse(&text));
    if from == Some(None) {
        input.refuse("from", "invalid", "Write digits with the country code, or a full jid.");
    }
    let text = input.required_text("text", 4096);
    let (name, wa_id) = (input.text("name", 120), input.text("wa_id", 120));
    input.finish()?;
    let (Some(Some(from)), Some(text)) = (from, text) else {
        return Err(Problem::internal("input that was checked is gone"));
    };
    let (kernel, tenant, id) = (call.kernel.clone(), call.tenant()?.clone(), call.id()?);
    let wa_id = wa_id.filter(|id| !id.is_empty()).unwrap_or_else(|| format!("sandbox.{}", kernel.new_id().simple()));
    let received = Received {
        wa_id,
        identities: if from.is_group() { Vec::new() } else { vec![from.clone()] },
        chat: from,
        push_name: name.filter(|name| !name.is_empty()),
        author: None,
        from_me: false,
        content: Content::text(text),
        at: kernel.now(),
        is_history: false,
    };
    call.commit(tenant.view(), move |tx| {
        let number = number::get(tx, tenant.company, id)?;
        sandboxed(&number)?;
        let answer = match message::receive(tx, &kernel, &tenant, &number, &received)? {
            Taken::Known => json!({"sandbox": true, "taken": false, "message": null, "chat": null}),
            Taken::New { message, chat } => json!({
                "sandbox": true, "taken": true, "message": message.id.to_string(), "chat": chat.id.to_string(),
            }),
        };
        Reply::json(200, &answer)
    })
    .await
}
