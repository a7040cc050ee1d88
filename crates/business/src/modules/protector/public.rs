//! The doors for everybody: check a code, report one. They tell the name and brand of a thing and the name of a company; no ids, no owners.

use std::sync::Arc;

use http::header::CACHE_CONTROL;
use loopd_kernel::Tenant;
use loopd_store::View;
use loopd_types::{CompanyId, sha256_hex};
use loopd_web::{Call, Reply};
use serde_json::{Value as Json, json};

use super::code;
use super::store::{self, Found};
use crate::define::*;
use crate::modules::door::is_open;
use crate::modules::text_of;

/// What a check can come to; `inactive` is told to nobody but the company.
pub(super) const RESULTS: [&str; 7] = ["genuine", "inactive", "blocked", "recalled", "stolen", "expired", "unknown"];

/// `GET /protector/public-verify/{code}/`
pub(super) fn verify() -> Custom {
    let run: CallFn = Arc::new(|engine, call| Box::pin(answer(engine, call)));
    Custom::new("public_verify", Method::Get, "public-verify/{code}/", Run::Call(run))
        .public()
        .summary("Check a code")
        .help("Whether a code is genuine. Anybody may ask; the answer is 200 for unknown codes too. Case, blanks and dashes do not count.")
        .input(text("place", 120).help("Where it is checked, as far as the asking app knows."))
        .answer(schema())
}

/// `POST /protector/public-report/`
pub(super) fn report() -> Custom {
    let run: CallFn = Arc::new(|engine, call| Box::pin(take_report(engine, call)));
    let mut custom = Custom::new("public_report", Method::Post, "public-report/", Run::Call(run))
        .public()
        .status(201)
        .summary("Report a code")
        .help("Tells the company behind a code about a fake or a find. Nobody else sees it.")
        .answer(json!({
            "type": "object",
            "properties": {"code": {"type": "string"}, "received": {"const": true}},
            "required": ["code", "received"],
        }));
    for field in report_fields() {
        custom = custom.input(field);
    }
    custom
}

fn report_fields() -> [Field; 5] {
    [
        text("code", 64).required().help("The code."),
        choice("kind", &["fake", "found", "other"]).default("other").help("What it is about."),
        text("description", 4_000).help("What happened."),
        text("contact", 255).help("How to reach you."),
        url("photo").help("Address of a picture."),
    ]
}

fn schema() -> Json {
    let named = |fields: &[&str]| {
        let properties: serde_json::Map<String, Json> =
            fields.iter().map(|name| ((*name).to_owned(), json!({"type": ["string", "null"]}))).collect();
        json!({"type": ["object", "null"], "properties": properties, "required": fields})
    };
    json!({
        "type": "object",
        "properties": {
            "code": {"type": "string"},
            "valid": {"type": "boolean"},
            "status": {"enum": ["genuine", "unknown", "blocked", "recalled", "stolen", "expired"]},
            "item": named(&["name", "brand"]),
            "company": named(&["name"]),
            "first_verified_at": {"type": ["string", "null"], "format": "date-time"},
            "verification_count": {"type": "integer"},
            "message": {"type": "string"},
        },
        "required": ["code", "valid", "status", "item", "company", "first_verified_at", "verification_count", "message"],
    })
}

/// What a stranger is told.
struct Verdict {
    status: &'static str,
    item: Option<(String, Option<String>)>,
    company: Option<String>,
    first: Option<Timestamp>,
    count: i64,
    message: &'static str,
}

impl Verdict {
    fn unknown() -> Self {
        let message =
            "This code is not known. Check that you typed it correctly; if it is right, the item may not be genuine.";
        Self { status: "unknown", item: None, company: None, first: None, count: 0, message }
    }
    fn render(&self, code: &str) -> Json {
        json!({
            "code": code,
            "valid": self.status == "genuine",
            "status": self.status,
            "item": self.item.as_ref().map(|(name, brand)| json!({"name": name, "brand": brand})),
            "company": self.company.as_ref().map(|name| json!({"name": name})),
            "first_verified_at": self.first,
            "verification_count": self.count,
            "message": self.message,
        })
    }
}

async fn answer(engine: Engine, call: Call) -> Result<Reply> {
    call.query().refuse_unknown(|name| name == "place")?;
    let given = call.query().get("place").filter(|place| !place.is_empty());
    let input = Input::check(&[text("place", 120)], &json!({"place": given}), None)?;
    let place = input.text("place").map(str::to_owned);
    let shown = shown_code(call.param("code"));
    let verdict = match code::normal(call.param("code")) {
        Some(code) => judge(&engine, &call, code, place).await?,
        None => Verdict::unknown(),
    };
    // an answer that was true a minute ago may be false now: recalled, stolen
    Ok(Reply::json(200, &verdict.render(&shown))?.with_header(CACHE_CONTROL, "no-store"))
}

/// A code as it is shown again: letters and digits of what was asked, never anything that a page could mistake for markup.
fn shown_code(given: &str) -> String {
    let letters = given.chars().filter(char::is_ascii_alphanumeric).take(code::LONGEST);
    letters.map(|letter| letter.to_ascii_uppercase()).collect()
}

async fn judge(engine: &Engine, call: &Call, code: String, place: Option<String>) -> Result<Verdict> {
    match look_up(engine, &code).await? {
        None => Ok(Verdict::unknown()),
        Some(Found::Installation { name, brand, issuer }) => {
            let (at, id, ip) = (engine.kernel.now(), engine.kernel.new_id(), ip_hash(engine, call, CompanyId(0)));
            let work = move |tx: &mut loopd_store::Tx<'_>| store::note_scan(tx, id, &code, at, &ip, place.as_deref());
            let (first, count) = engine.kernel.db.write(View::System, work).await?;
            Ok(Verdict {
                status: "genuine",
                item: Some((name, Some(brand))),
                company: Some(issuer),
                first: Some(first),
                count,
                message: GENUINE,
            })
        }
        Some(Found::Company { company, code: id }) => {
            let Some(tenant) = open_tenant(engine, company).await? else { return Ok(Verdict::unknown()) };
            let (engine, ip) = (engine.clone(), ip_hash(engine, call, company));
            let db = engine.kernel.db.clone();
            let work = move |tx: &mut loopd_store::Tx<'_>| {
                check(&mut Cx::new(tx, &engine, &tenant), id, &ip, place.as_deref())
            };
            db.write(View::Company(company), work).await
        }
    }
}

const GENUINE: &str = "This code is genuine.";

/// Judges a company's code and writes the check down in the same transaction.
fn check(cx: &mut Cx<'_, '_>, id: Uuid, ip: &str, place: Option<&str>) -> Result<Verdict> {
    let Some(code) = cx.find("protector/codes", id)? else { return Ok(Verdict::unknown()) };
    let item = match code.id_in("item") {
        Some(item) => cx.find("protector/items", item)?,
        None => None,
    };
    let batch = match code.id_in("batch") {
        Some(batch) => cx.find("protector/batches", batch)?,
        None => None,
    };
    let today = cx.today();
    let is_expired = batch.as_ref().and_then(|batch| batch.date("expires_on")).is_some_and(|last_day| today > last_day);
    let batch_status = batch.as_ref().map_or("", Record::status);
    let (result, message) = match (code.status(), item.as_ref().map_or("", Record::status)) {
        ("inactive", _) => ("inactive", ""),
        ("blocked", _) => ("blocked", "This code was blocked by its company. Do not trust the item."),
        _ if batch_status == "recalled" => ("recalled", "This item was recalled by its company. Do not use it."),
        (_, "stolen") => ("stolen", "This item was reported stolen. Please report where you found it."),
        (_, "lost") => ("stolen", "This item was reported lost. Please report where you found it."),
        _ if is_expired => ("expired", "This code has expired."),
        _ => ("genuine", GENUINE),
    };
    let (first, count) = store::count_scan(cx, id)?;
    let log = json!({
        "code": text_of(Some(id)),
        "at": cx.now(),
        "ip_hash": ip,
        "place": place,
        "result": result,
        "workspace": text_of(code.workspace()),
    });
    cx.create("protector/verifications", &log)?;
    if result == "inactive" {
        // not given out yet: nothing is known about it
        return Ok(Verdict::unknown());
    }
    let kind = batch.as_ref().and_then(|batch| batch.text("item_kind")).map(str::to_owned);
    let shown = match &item {
        Some(item) => Some((item.title().to_owned(), item.text("brand").map(str::to_owned))),
        None => kind.map(|kind| (kind, None)),
    };
    let company = Some(cx.tenant.company_name().to_owned());
    Ok(Verdict { status: result, item: shown, company, first: Some(first), count, message })
}

async fn take_report(engine: Engine, call: Call) -> Result<Reply> {
    let input = Input::check(&report_fields(), call.json_ref()?, None)?;
    let unknown = || Problem::field("code", "does_not_exist", "This code is not known.");
    let code = input.text("code").and_then(code::normal).ok_or_else(unknown)?;
    let Some(Found::Company { company, code: id }) = look_up(&engine, &code).await? else { return Err(unknown()) };
    let tenant = open_tenant(&engine, company).await?.ok_or_else(unknown)?;
    let answer = json!({"code": code, "received": true});
    let body = json!({
        "code": code,
        "code_record": text_of(Some(id)),
        "kind": input.text("kind"),
        "description": input.text("description").unwrap_or_default(),
        "contact": input.text("contact"),
        "photo": input.text("photo"),
    });
    call.commit(tenant.view(), move |tx| {
        let mut cx = Cx::new(tx, &engine, &tenant);
        if cx.find("protector/codes", id)?.is_none_or(|code| code.status() == "inactive") {
            return Err(Problem::field("code", "does_not_exist", "This code is not known."));
        }
        cx.create("protector/reports", &body)?;
        Reply::json(201, &answer)
    })
    .await
}

async fn look_up(engine: &Engine, code: &str) -> Result<Option<Found>> {
    let code = code.to_owned();
    engine.kernel.db.read(View::System, move |reader| store::find(reader, &code)).await
}

/// The company behind a code, while it works, has the product and lets strangers ask.
async fn open_tenant(engine: &Engine, company: CompanyId) -> Result<Option<Arc<Tenant>>> {
    let access = engine.kernel.company_access(company).await?;
    let open = access.filter(|access| is_open(&engine.registry, access, "protector", engine.kernel.now()));
    Ok(open.map(|access| Arc::new(Tenant::system(access, "a public check of a code"))))
}

/// The asker's address, hashed with the installation's secret and the company: nobody can go back to the address, and companies cannot
/// compare their logs.
fn ip_hash(engine: &Engine, call: &Call, company: CompanyId) -> String {
    let secret = engine.kernel.settings.secret_key.expose();
    sha256_hex(format!("protector-ip\n{secret}\n{}\n{}", company.0, call.caller.origin.address).as_bytes())
}
