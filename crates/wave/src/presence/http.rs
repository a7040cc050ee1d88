//! `/api/v1/loopwave/presence/`

use loopd_kernel::input::Input;
use loopd_types::{Problem, Result};
use loopd_web::{Call, Operation, Reply, Schema as _, schema};
use serde_json::{Value as Json, json};

use super::{LIFE_US, store};
use crate::chat::inbox::on_chats;

const NAME: &str = "LoopwavePresence";
const URL: &str = "/api/v1/loopwave/presence/";

/// The schemas that the operations refer to.
pub fn components() -> Vec<(String, Json)> {
    let fields = [
        ("user", schema::uuid()),
        ("name", schema::string()),
        ("online_until", schema::date_time().describe("Unless they are heard of before.")),
        ("open_chats", schema::integer()),
    ];
    let names = fields.clone().map(|(name, _)| name);
    vec![(NAME.to_owned(), schema::object(fields).required(names))]
}

pub fn operations() -> Vec<Operation> {
    let online = schema::object([("results", schema::array(schema::component(NAME)))]).required(["results"]);
    let own = schema::object([("online", schema::boolean()), ("online_until", schema::date_time().nullable())]);
    vec![
        on_chats(Operation::get("loopwave_presence_list", URL, list), "view", "List the agents who are online")
            .responds(200, "Everybody who is online.", online),
        on_chats(Operation::post("loopwave_presence_update", URL, update), "update", "Say that one is online")
            .describe(
                "Holds for 90 seconds: say it again every 30. Who has a stream of events open is online without it. \
                 `{\"online\": false}` ends it at once.",
            )
            .body(schema::object([("online", schema::boolean())]))
            .responds(200, "What holds now.", own.required(["online", "online_until"]))
            .responds(409, "Whoever asks is no person.", schema::component("Error")),
    ]
}

async fn list(call: Call) -> Result<Reply> {
    let (company, now) = (call.tenant()?.company, call.kernel.now());
    let found =
        call.kernel.db.read(call.tenant()?.view(), move |reader| Ok(store::online(reader, company, now)?)).await?;
    let row = |one: &store::Present| {
        json!({
            "user": one.user.to_string(), "name": one.name(), "online_until": one.until.to_string(), "open_chats": one.open,
        })
    };
    Reply::json(200, &json!({"results": found.iter().map(row).collect::<Vec<_>>()}))
}

async fn update(call: Call) -> Result<Reply> {
    let mut input = Input::new(call.json()?, true)?;
    let is_online = input.boolean("online").unwrap_or(true);
    input.finish()?;
    let (kernel, tenant) = (call.kernel.clone(), call.tenant()?.clone());
    let no_person = || Problem::conflict("not_a_person", "Only people are online; a key is not.");
    let user = tenant.actor.user.ok_or_else(no_person)?;
    call.commit(tenant.view(), move |tx| {
        let now = kernel.now();
        let until = if is_online { now.plus(LIFE_US) } else { now };
        store::seen(tx, tenant.company, user, until)?;
        Reply::json(200, &json!({"online": is_online, "online_until": is_online.then(|| until.to_string())}))
    })
    .await
}
