//! What everybody may read: published pages and posts, in the reader's language or the site's own, sanitised.

use std::sync::Arc;

use http::header::CACHE_CONTROL;
use loopd_kernel::Tenant;
use loopd_store::Reader;
use loopd_types::{CompanyCode, sha256_hex};
use loopd_web::{Call, Reply};
use serde_json::{Value as Json, json};

use super::site;
use crate::define::*;
use crate::modules::door::is_open;

/// How long browsers and proxies may show a page without asking again; short, because unpublishing should be quick.
const CACHE: &str = "public, max-age=60";

/// `GET /cms/public/{company}/<resource>/{slug}/`
pub(super) fn read(resource: &'static str) -> Custom {
    let run: CallFn = Arc::new(move |engine, call| Box::pin(answer(engine, call, resource)));
    Custom::new(
        &format!("public_{resource}_retrieve"),
        Method::Get,
        &format!("public/{{company}}/{resource}/{{slug}}/"),
        Run::Call(run),
    )
    .public()
    .rate(Rate::Normal)
    .summary(&format!("Read one of the published {resource}"))
    .help(
        "`company` is a company's code, or the domain of one of its active sites. When there is nothing published in the language asked for, the \
         site's default language answers. `body` and `excerpt` are sanitised HTML; all else is plain text.",
    )
    .input(language("language").help("The reader's language; the site's default one when absent.").example("en"))
    .answer(schema())
}

fn schema() -> Json {
    let text = json!({"type": "string"});
    let maybe = json!({"type": ["string", "null"]});
    let names = ["slug", "language", "title", "body", "excerpt"];
    let mut properties = serde_json::Map::new();
    for name in names {
        properties.insert(name.into(), text.clone());
    }
    for name in ["template", "parent", "site", "published_at", "updated_at"] {
        properties.insert(name.into(), maybe.clone());
    }
    properties.insert("seo".into(), json!({"type": "object", "additionalProperties": true}));
    properties.insert("languages".into(), json!({"type": "array", "items": text}));
    json!({"type": "object", "properties": properties, "required": names})
}

/// Where a reader stands: a company, and one of its sites or none.
struct Stand {
    tenant: Arc<Tenant>,
    /// Asked for by domain: that site and no other.
    site: Option<Uuid>,
}

async fn answer(engine: Engine, call: Call, resource: &'static str) -> Result<Reply> {
    call.query().refuse_unknown(|name| name == "language")?;
    let query = call.query().get("language").filter(|text| !text.is_empty()).map(Json::from);
    let wanted = match query {
        None => None,
        Some(given) => {
            let checked = Input::check(&[language("language")], &json!({"language": given}), None)?;
            checked.text("language").map(str::to_owned)
        }
    };
    let stand = stand(&engine, &call).await?;
    let (view, slug) = (stand.tenant.view(), call.param("slug").to_owned());
    let path = if resource == "posts" { "cms/posts" } else { "cms/pages" };
    let work = move |reader: &mut Reader<'_>| {
        let mut viewer = Viewer::new(reader, &engine, &stand.tenant);
        find(&mut viewer, path, stand.site, &slug, wanted.as_deref())
    };
    let page = call.kernel.db.read(view, work).await?;
    let body = serde_json::to_vec(&page).map_err(Problem::internal)?;
    let hash = sha256_hex(&body);
    Ok(Reply::json_unless_known(call.header("if-none-match"), &hash[..32], body).with_header(CACHE_CONTROL, CACHE))
}

/// The company behind a code or a domain. Unknown, closed, not subscribed and closed to strangers look alike.
async fn stand(engine: &Engine, call: &Call) -> Result<Stand> {
    let given = call.param("company");
    let (company, site) = match CompanyCode::parse(given) {
        Some(code) => (code.0, None),
        None => match site::by_domain(engine, given).await? {
            Some((company, site)) => (company, Some(site)),
            None => return Err(Problem::not_found()),
        },
    };
    let access = engine.kernel.company_access(company).await?.ok_or_else(Problem::not_found)?;
    if !is_open(&engine.registry, &access, "cms", engine.kernel.now()) {
        return Err(Problem::not_found());
    }
    Ok(Stand { tenant: Arc::new(Tenant::system(access, "a public page")), site })
}

fn find(viewer: &mut Viewer<'_, '_>, path: &str, site: Option<Uuid>, slug: &str, wanted: Option<&str>) -> Result<Json> {
    // By domain that site; by the company's code its default site, if there is one.
    let site = match site {
        Some(id) => viewer.find("cms/sites", id)?,
        None => {
            let default = Where::new().eq("is_default", true).status_in(&["active"]).limit(1);
            viewer.select("cms/sites", &default)?.into_iter().next()
        }
    };
    let pages = published(viewer, path, slug, site.as_ref())?;
    let default = site.as_ref().and_then(|site| site.text("default_language"));
    let default = default.unwrap_or(viewer.tenant.language()).to_owned();
    let chosen = choose(&pages, wanted, &default).ok_or_else(Problem::not_found)?;
    let languages: Vec<&str> = pages.iter().filter_map(|page| page.text("language")).collect();
    let parent = match path {
        "cms/pages" => match chosen.id_in("parent") {
            // a parent that is not public itself stays unknown
            Some(id) => viewer.find(path, id)?.filter(|parent| parent.status() == "published"),
            None => None,
        },
        _ => None,
    };
    Ok(json!({
        "slug": chosen.text("slug"),
        "language": chosen.text("language"),
        "title": chosen.title(),
        "body": ammonia::clean(chosen.text("body").unwrap_or_default()),
        "excerpt": ammonia::clean(chosen.text("excerpt").unwrap_or_default()),
        "seo": chosen.json("seo").filter(Json::is_object).unwrap_or_else(|| json!({})),
        "template": chosen.text("template"),
        "parent": parent.as_ref().and_then(|parent| parent.text("slug")),
        "site": site.as_ref().filter(|site| chosen.id_in("site") == Some(site.id())).map(Record::title),
        "languages": languages,
        "published_at": chosen.time("published_at"),
        "updated_at": chosen.time("updated_at"),
    }))
}

/// What is published at an address. The default site also shows what belongs to no site, its own pages first.
fn published(viewer: &mut Viewer<'_, '_>, path: &str, slug: &str, site: Option<&Record>) -> Result<Vec<Record>> {
    let at = |site: Value| Where::new().eq("slug", slug).status_in(&["published"]).eq("site", site).limit(100);
    let mut found = match site {
        Some(site) => viewer.select(path, &at(Value::Uuid(site.id())))?,
        None => Vec::new(),
    };
    if site.is_none_or(|site| site.is("is_default")) {
        found.extend(viewer.select(path, &at(Value::Null))?);
    }
    Ok(found)
}

/// The language asked for, its plain form (`fr` for `fr-CA`), then the site's default likewise; nothing else, so that a reader never gets a
/// language that nobody chose.
fn choose<'p>(pages: &'p [Record], wanted: Option<&str>, default: &str) -> Option<&'p Record> {
    let plain = |tag: &str| tag.split('-').next().unwrap_or_default().to_owned();
    let mut tags: Vec<String> = Vec::new();
    for tag in [wanted, Some(default)].into_iter().flatten() {
        tags.push(tag.to_owned());
        tags.push(plain(tag));
    }
    tags.iter().find_map(|tag| {
        pages.iter().find(|page| page.text("language").is_some_and(|language| language.eq_ignore_ascii_case(tag)))
    })
}
