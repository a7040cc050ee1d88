//! Doors without credentials: `/api/v1/<module>/public/{company}/<resource>/…`. They show and take what the definition names, nothing else.

use std::sync::Arc;

use loopd_kernel::Tenant;
use loopd_store::Value;
use loopd_types::{CompanyCode, Problem, Result};
use loopd_web::{Call, Operation, Param, RateClass, Reply, schema};
use serde_json::{Map, Value as Json, json};

use super::records::{Door, page_of};
use crate::define::base::{CREATED_AT, ID, NUMBER, STATUS, TITLE};
use crate::define::schema::{Use, of_field};
use crate::define::{Public, PublicVerb};
use crate::engine::request::{ListRequest, Show};
use crate::engine::{Cx, Registry, ResourceRuntime, Where, create, list, view};
use crate::modules::door::is_open;

/// The public operations of one resource.
pub(super) fn operations(registry: &Arc<Registry>, runtime: &Arc<ResourceRuntime>) -> Vec<Operation> {
    let door = Door { registry: registry.clone(), runtime: runtime.clone() };
    runtime.resource.public.iter().map(|public| operation(&door, Arc::new(public.clone()))).collect()
}

fn operation(door: &Door, public: Arc<Public>) -> Operation {
    let runtime = &door.runtime;
    let resource = &runtime.resource;
    let base = format!("/api/v1/{}/public/{{company}}/{}/", runtime.module, resource.slug);
    let id = format!("{}_public_{}", runtime.module.replace('-', "_"), resource.slug.replace('-', "_"));
    let (one, many) = (resource.singular.replace('-', " "), resource.title.to_lowercase());
    let shown = object_of(runtime, &public.fields, Use::Read);
    let (given, shared) = (public.clone(), door.clone());
    let operation = match &public.what {
        PublicVerb::List => {
            Operation::get(format!("{id}_list"), base, move |call| show_list(shared.clone(), given.clone(), call))
                .summary(format!("List the {many} that a company shows to everybody"))
                .param(Param::query("page", json!({"anyOf": [{"type": "integer", "minimum": 1}, {"const": "last"}]})))
                .param(Param::query("page_size", json!({"type": "integer", "minimum": 1})))
                .param(Param::query("search", schema::string()))
                .responds(200, "One page.", schema::paginated(shown))
        }
        PublicVerb::Retrieve { by } => {
            let path = format!("{base}{{{by}}}/");
            Operation::get(format!("{id}_retrieve"), path, move |call| show_one(shared.clone(), given.clone(), call))
                .summary(format!("Read a {one} that a company shows to everybody"))
                .responds(200, "What is shown of it.", shown)
        }
        PublicVerb::Create => {
            Operation::post(format!("{id}_create"), base, move |call| take(shared.clone(), given.clone(), call))
                .summary(format!("Send a {one} to a company"))
                .body(object_of(runtime, &public.fields, Use::Write))
                .responds(201, "What was taken.", object_of(runtime, &receipt_fields(&public), Use::Read))
        }
    };
    operation
        .tag(&runtime.module)
        .rate(RateClass::Anonymous)
        .param(Param::path("company", schema::string()).describe("The company's code."))
}

/// The company of the path, acted in by the system on a stranger's behalf. Whether there is such a company, it is open, has the product and
/// lets strangers in (`settings.<module>.public`) is told to nobody apart: all are 404.
pub(super) async fn company(registry: &Registry, call: &Call, module: &str) -> Result<Arc<Tenant>> {
    let code = CompanyCode::parse(call.param("company")).ok_or_else(Problem::not_found)?;
    let access = call.kernel.company_access(code.0).await?.ok_or_else(Problem::not_found)?;
    if !is_open(registry, &access, module, call.kernel.now()) {
        return Err(Problem::not_found());
    }
    let mut tenant = Tenant::system(access, "a public door");
    tenant.actor.origin = Some(call.caller.origin.clone());
    Ok(Arc::new(tenant))
}

async fn show_list(door: Door, public: Arc<Public>, call: Call) -> Result<Reply> {
    call.query().refuse_unknown(|name| ["page", "page_size", "search"].contains(&name))?;
    let tenants = vec![company(&door.registry, &call, &door.runtime.module).await?];
    let engine = door.engine(&call);
    let mut request = ListRequest::read(call.query(), &door.runtime, &engine, &tenants)?;
    request.show = shown(&door.runtime, &public.fields);
    request.which = visible(&public, request.which);
    let (base, query, view) = (call.url(), call.query().clone(), tenants[0].view());
    let work = move |reader: &mut loopd_store::Reader<'_>| {
        list::list(reader, &engine, &door.runtime, &tenants, &request, (&base, &query))
    };
    call.kernel.db.read_long(view, work).await.map(page_of)
}

async fn show_one(door: Door, public: Arc<Public>, call: Call) -> Result<Reply> {
    let PublicVerb::Retrieve { by } = &public.what else { return Err(Problem::not_found()) };
    call.query().refuse_unknown(|_| false)?;
    let tenant = company(&door.registry, &call, &door.runtime.module).await?;
    let given = call.param(by);
    let value = match by.as_str() {
        "id" => Value::Uuid(call.uuid("id")?),
        _ => Value::from(given),
    };
    let which = visible(&public, Where::new()).eq(by, value).limit(1);
    let (engine, show, view) = (door.engine(&call), shown(&door.runtime, &public.fields), tenant.view());
    let work = move |reader: &mut loopd_store::Reader<'_>| {
        view::view_first(reader, &engine, &door.runtime, &tenant, &which, &show)
    };
    call.kernel.db.read(view, work).await.map(|json| Reply::json_bytes(200, json))
}

async fn take(door: Door, public: Arc<Public>, call: Call) -> Result<Reply> {
    let tenant = company(&door.registry, &call, &door.runtime.module).await?;
    let sent = call.json_object()?;
    let kept: Map<String, Json> = sent
        .iter()
        .filter(|(name, _)| public.fields.contains(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let (engine, body, show) = (door.engine(&call), Json::Object(kept), shown(&door.runtime, &receipt_fields(&public)));
    call.commit(tenant.view(), move |tx| {
        let written = create::create(&mut Cx::new(tx, &engine, &tenant), &door.runtime, &body)?;
        let mut json = Vec::with_capacity(512);
        list::write_plain(&written.record, &show, &mut json)?;
        Ok(Reply::json_bytes(201, json))
    })
    .await
}

fn visible(public: &Public, which: Where) -> Where {
    if public.statuses.is_empty() { which } else { which.is_in("status", public.statuses.iter().map(String::as_str)) }
}

/// A stranger gets back what they sent, and what they need to ask again.
fn receipt_fields(public: &Public) -> Vec<String> {
    let mut names: Vec<String> = [ID, NUMBER, TITLE, STATUS, CREATED_AT]
        .iter()
        .map(|place| crate::define::base::NAMES[*place].to_owned())
        .collect();
    names.extend(public.fields.iter().filter(|name| !["title", "id"].contains(&name.as_str())).cloned());
    names
}

fn shown(runtime: &ResourceRuntime, fields: &[String]) -> Show {
    let is_lines = |name: &String| runtime.lines.iter().any(|lines| lines.name == *name);
    let places =
        fields.iter().filter_map(|name| runtime.place(name)).filter(|place| runtime.order.contains(place)).collect();
    Show { places: Some(places), expand: Vec::new(), lines: fields.iter().any(is_lines) }
}

fn object_of(runtime: &ResourceRuntime, fields: &[String], used: Use) -> Json {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for name in fields {
        let own = runtime.resource.find_field(name);
        let schema = match (own, name.as_str()) {
            (Some(field), _) => of_field(field, used),
            (None, "id") => schema::uuid(),
            (None, "created_at" | "updated_at") => schema::date_time(),
            (None, "data") => schema::free_object(),
            (None, "tags") => schema::array(schema::string()),
            (None, _) if runtime.lines.iter().any(|lines| lines.name == *name) => schema::array(schema::free_object()),
            (None, "number") if runtime.resource.prefix.is_none() => continue,
            (None, _) => schema::string(),
        };
        let is_required = own.is_some_and(|field| field.required)
            || (name == "title" && runtime.resource.titled == crate::define::Titled::Required);
        if used == Use::Write && is_required {
            required.push(name.clone());
        }
        properties.insert(name.clone(), schema);
    }
    let mut schema = json!({"type": "object", "properties": properties});
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}
