//! Signed links: made by who may see the file, opened by whoever has one.

use loopd_kernel::file::link::{self, Link};
use loopd_kernel::file::{self};
use loopd_types::{CompanyCode, Problem, Result, Timestamp};
use loopd_web::operation::RateClass;
use loopd_web::{Call, Operation, Param, Reply, Schema as _, schema};
use serde_json::{Value, json};

use super::FILES;
use super::deliver::{self, Asked};

/// A quarter of an hour unless asked otherwise, a week at most (as S3's own).
const LIFE_S: i64 = 900;
const LONGEST_S: i64 = 7 * 24 * 3_600;

pub fn operations() -> Vec<Operation> {
    let body = schema::object([
        ("expires_in", schema::integer_between(1, LONGEST_S)),
        ("disposition", schema::one_of(["attachment", "inline"])),
        ("thumbnail", schema::integer()),
    ]);
    vec![
        FILES
            .document(
                Operation::post("files_link", format!("{}link/", FILES.item_url()), make),
                "Make a link that works without credentials, for a while",
            )
            .describe(
                "Whoever has the link may read this file until it expires: 900 seconds unless `expires_in` says otherwise. \
                 `POST /files/revoke-links/` makes all links of the company worthless at once.",
            )
            .tenant(None, &FILES.permission("view"))
            .without_effect()
            .optional_body(body)
            .responds(200, "The link.", made()),
        FILES
            .document(Operation::post("files_revoke_links", format!("{}revoke-links/", FILES.url()), revoke), "Make every link worthless")
            .tenant(None, &FILES.permission("action:revoke-links"))
            .responds_empty(204, "No link that was made before works any more."),
        deliver::documented(
            FILES
                .document(Operation::get("files_shared", format!("{}shared/{{company}}/{{id}}/", FILES.url()), open), "Open a signed link")
                // A page shows dozens of pictures; a signature is cheaper to check than to count.
                .rate(RateClass::Unlimited)
                .any_origin()
                .param(Param::path("company", schema::pattern("^[0-9]{3,15}$")).describe("The company's code."))
                .param(Param::query("expires", schema::integer()).required().describe("Seconds since 1970."))
                .param(Param::query("signature", schema::string()).required())
                .responds(410, "`link_expired`", schema::component("Error")),
        ),
    ]
}

/// The answer of [`sign`].
pub(crate) fn made() -> Value {
    schema::object([("url", schema::string()), ("expires_at", schema::date_time())]).required(["url", "expires_at"])
}

async fn make(call: Call) -> Result<Reply> {
    let body = call.json_object()?;
    let mut problem = Problem::validation();
    let expires_in = match body.get("expires_in") {
        None => LIFE_S,
        Some(value) => value.as_i64().filter(|seconds| (1..=LONGEST_S).contains(seconds)).unwrap_or_else(|| {
            problem.add_field("expires_in", "invalid", format!("A whole number of seconds from 1 to {LONGEST_S}."));
            LIFE_S
        }),
    };
    let is_inline = match body.get("disposition").map(|value| value.as_str()) {
        None | Some(Some("attachment")) => false,
        Some(Some("inline")) => true,
        Some(_) => {
            problem.add_field("disposition", "invalid_choice", "Either attachment or inline.");
            false
        }
    };
    let thumbnail = body.get("thumbnail").filter(|value| !value.is_null()).map(|value| {
        let size = value.as_u64().and_then(|size| u32::try_from(size).ok());
        size.filter(|size| file::thumbnail::SIZES.contains(size)).unwrap_or_else(|| {
            problem.add_field("thumbnail", "invalid_choice", "128, 320 or 1024.");
            0
        })
    });
    if problem.has_fields() {
        return Err(problem);
    }
    let (company, id, view) = (call.tenant()?.company, call.id()?, call.tenant()?.view());
    call.kernel.db.read(view, move |reader| file::open_library(reader, company, id)).await?;
    sign(&call, Link { file: id, expires_s: expires_s(&call, expires_in), is_inline, thumbnail }).await
}

/// A link to all of this file, to be saved, for a quarter of an hour.
///
/// # Errors
/// 503.
pub(crate) async fn sign_whole(call: &Call, file: &file::File) -> Result<Reply> {
    let expires_s = expires_s(call, LIFE_S);
    sign(call, Link { file: file.id, expires_s, is_inline: false, thumbnail: None }).await
}

/// Whole seconds, so that what is told is what is signed.
fn expires_s(call: &Call, expires_in: i64) -> i64 {
    call.kernel.now().micros() / 1_000_000 + expires_in
}

async fn sign(call: &Call, made: Link) -> Result<Reply> {
    let (kernel, tenant) = (call.kernel.clone(), call.tenant()?.clone());
    let (company, code, signed) = (tenant.company, tenant.code(), made.clone());
    let view = tenant.view();
    let signature = call.kernel.db.read(view, move |reader| Ok(link::sign(reader, &kernel, company, &signed)?)).await?;
    let Link { file: id, expires_s, is_inline, thumbnail } = made;
    let mut url = format!("{}/api/v1/files/shared/{code}/{id}/?expires={expires_s}", call.base_url());
    if is_inline {
        url.push_str("&disposition=inline");
    }
    if let Some(size) = thumbnail {
        url.push_str(&format!("&thumbnail={size}"));
    }
    url.push_str(&format!("&signature={signature}"));
    Reply::json(200, &json!({"url": url, "expires_at": Timestamp(expires_s * 1_000_000).to_string()}))
}

async fn revoke(call: Call) -> Result<Reply> {
    let (kernel, tenant) = (call.kernel.clone(), call.tenant()?.clone());
    call.commit(tenant.view(), move |tx| {
        link::revoke_all(tx, &kernel, &tenant)?;
        Ok(Reply::no_content())
    })
    .await
}

async fn open(call: Call) -> Result<Reply> {
    let company = CompanyCode::parse(call.param("company")).ok_or_else(Problem::not_found)?.0;
    let expires_s = call.query().get("expires").and_then(|text| text.parse().ok()).ok_or_else(Problem::not_found)?;
    let signature = call.query().get("signature").unwrap_or_default().to_owned();
    let asked = Asked::read(&call)?;
    let shown = Link { file: call.id()?, expires_s, is_inline: asked.is_inline, thumbnail: asked.thumbnail };
    let found = link::open(&call.kernel, company, shown, &signature).await?;
    deliver::deliver(&call, &found, asked).await
}
