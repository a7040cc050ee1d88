//! `/data-subjects/`: somebody who asks the company to forget them, and has no account here.

use loopd_kernel::erasure::records::{self, Found};
use loopd_kernel::erasure::{self, LISTING, Wanted, person};
use loopd_kernel::listing::Conditions;
use loopd_types::{Problem, Result};
use loopd_web::{Call, Operation, Reply, Schema as _, schema};
use serde_json::{Value, json};

use loopd_web::rows::{Rows, list, list_params};

const SUBJECTS: Rows = Rows::core("data-subjects", "DataSubject", &LISTING);

pub fn operations() -> Vec<Operation> {
    let op = |operation: Operation, verb: &str, summary: &str| {
        SUBJECTS.document(operation, summary).tenant(None, &SUBJECTS.permission(verb)).personal()
    };
    let refused = "`validation_error`: neither an address nor a number; `too_many_records`: it is no one person's.";
    vec![
        op(
            Operation::post("data_subjects_find", "/api/v1/data-subjects/find/", find),
            "action:find",
            "Find what records tell of a person",
        )
        .describe(
            "By `email`, `phone` or both: every record of every module that holds them, by which field, and on what ground it keeps the name. \
             `names` are what an erasure would look for in every text of the company's. Nothing is changed; look here before you erase. The \
             look is on record.",
        )
        .without_effect()
        .body(identity())
        .responds(200, "What there is.", found_schema())
        .responds(400, refused, schema::component("Error")),
        op(
            Operation::post("data_subjects_erase", "/api/v1/data-subjects/erase/", erase),
            "action:erase",
            "Erase a person from the company's data",
        )
        .describe(
            "What the records found tell of them is blanked, their files are taken away, and logs, events, letters and deliveries are searched \
             for their address, number and names; within minutes, and there is no way back. Records stay, because others refer to them; what the \
             law keeps stays with its names. `name` helps to find them in free text.",
        )
        .body(identity())
        .responds(202, "The erasure, as far as it is.", schema::component("Erasure"))
        .responds(400, refused, schema::component("Error"))
        .responds(
            409,
            "`is_member`: a member of the company, whose account is theirs to erase.",
            schema::component("Error"),
        ),
        op(
            Operation::get("data_subjects_erasures_list", "/api/v1/data-subjects/erasures/", list_erasures),
            "view",
            "List the company's erasures",
        )
        .describe("What was erased, when, and on what ground the rest stays: numbers by table, without anybody's data.")
        .params(list_params(&LISTING))
        .responds(200, "One page.", schema::paginated(schema::component("Erasure"))),
        op(
            Operation::get("data_subjects_erasures_retrieve", "/api/v1/data-subjects/erasures/{id}/", retrieve),
            "view",
            "Read one of the company's erasures",
        )
        .responds(200, "The erasure.", schema::component("Erasure")),
    ]
}

fn identity() -> Value {
    schema::object([("email", schema::text(0, 254)), ("phone", schema::text(0, 32)), ("name", schema::text(0, 255))])
}

fn found_schema() -> Value {
    let record = schema::object([
        ("record", schema::string()),
        ("found_by", schema::array(schema::string())),
        ("kept_by", schema::string().nullable()),
    ])
    .required(["record", "found_by", "kept_by"]);
    let names = ("names", schema::array(schema::string()));
    schema::object([("count", schema::integer()), names, ("records", schema::array(record))])
        .required(["count", "names", "records"])
}

/// The person asked for, and what is about them.
async fn looked_up(call: &Call) -> Result<(Wanted, Vec<Found>)> {
    let wanted = person::identity(call.json()?)?;
    let found = records::find(&call.kernel, call.tenant()?, &wanted).await?;
    Ok((wanted, found))
}

async fn find(call: Call) -> Result<Reply> {
    let (wanted, found) = looked_up(&call).await?;
    let (kernel, tenant, shared) = (call.kernel.clone(), call.tenant()?.clone(), found.clone());
    let look = move |tx: &mut loopd_store::Tx<'_>| person::record_look(tx, &kernel, &tenant, &wanted, &shared);
    let names = call.kernel.db.write(call.tenant()?.view(), look).await?;
    let told =
        |one: &Found| json!({"record": format!("{}/{}", one.path, one.id), "found_by": one.by, "kept_by": one.kept_by});
    Reply::json(
        200,
        &json!({"count": found.len(), "names": names, "records": found.iter().map(told).collect::<Vec<_>>()}),
    )
}

async fn erase(call: Call) -> Result<Reply> {
    let (wanted, found) = looked_up(&call).await?;
    let (kernel, tenant) = (call.kernel.clone(), call.tenant()?.clone());
    call.commit(tenant.view(), move |tx| {
        let id = person::begin(tx, &kernel, &tenant, &wanted, &found)?;
        let row = LISTING.find(tx, id, Some(&[tenant.company]), Conditions::default())?;
        Ok(Reply::json_bytes(202, row.ok_or_else(Problem::not_found)?))
    })
    .await
}

async fn list_erasures(call: Call) -> Result<Reply> {
    let tenant = call.tenant()?.clone();
    list(&call, tenant.view(), move |reader, query| {
        erasure::LISTING.list(reader, query, Some(&[tenant.company]), Conditions::default())
    })
    .await
}

async fn retrieve(call: Call) -> Result<Reply> {
    let (tenant, id) = (call.tenant()?.clone(), call.id()?);
    let read = move |reader: &mut loopd_store::Reader<'_>| {
        LISTING.find(reader, id, Some(&[tenant.company]), Conditions::default())
    };
    let found = call.kernel.db.read(call.tenant()?.view(), read).await?;
    Ok(Reply::json_bytes(200, found.ok_or_else(Problem::not_found)?))
}
