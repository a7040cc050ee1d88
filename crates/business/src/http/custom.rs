//! Operations that are no record's: `GET /booking/availability/`. Their input is checked here, their work is the module's function.

use std::sync::Arc;

use loopd_types::{Currency, Problem, Result};
use loopd_web::{Call, Operation, Param, RateClass, Reply, schema};
use serde_json::{Map, Value as Json, json};

use crate::define::filter::json_of;
use crate::define::schema::{Use, object, of_kind};
use crate::define::{Custom, CustomAccess, Kind, Method, Module, Rate, Run};
use crate::engine::body::By;
use crate::engine::{Cx, Engine, Input, Registry, Viewer, act};

/// The operations of a module that are no record's.
pub(super) fn operations(registry: &Arc<Registry>, module: &Module) -> Vec<Operation> {
    module.operations.iter().map(|custom| operation(registry, module, custom)).collect()
}

fn operation(registry: &Arc<Registry>, module: &Module, custom: &Custom) -> Operation {
    let id = format!("{}_{}", module.slug.replace('-', "_"), custom.name);
    let path = format!("/api/v1/{}/{}", module.slug, custom.path);
    let (shared, slug, definition) =
        (registry.clone(), Arc::<str>::from(module.slug.as_str()), Arc::new(custom.clone()));
    let handler = move |call: Call| run(shared.clone(), slug.clone(), definition.clone(), call);
    let operation = match custom.method {
        Method::Get => Operation::get(id, path, handler),
        Method::Post => Operation::post(id, path, handler),
        Method::Put => Operation::put(id, path, handler),
    };
    let mut operation = operation.tag(&module.slug).summary(&custom.summary).describe(&custom.help);
    if let CustomAccess::Permission(permission) = &custom.access {
        operation = operation.tenant(Some(&module.slug), &format!("{}.{permission}", module.slug));
    }
    operation = match custom.rate {
        Rate::Normal => operation,
        Rate::Ai => operation.rate(RateClass::Ai),
        Rate::Public => operation.rate(RateClass::PublicVerify),
    };
    for (name, help) in &custom.headers {
        operation = operation.param(Param::header(name, schema::string()).describe(help));
    }
    if custom.any_origin {
        operation = operation.any_origin();
    }
    if custom.path.contains("{company}") {
        operation = operation.param(Param::path("company", schema::string()).describe("The company's code."));
    }
    match custom.method {
        Method::Get => {
            for field in &custom.input {
                let schema = match &field.kind {
                    Kind::Tags | Kind::References { .. } => schema::string(),
                    kind => of_kind(kind),
                };
                let param = Param::query(&field.name, schema).describe(&field.help);
                operation = operation.param(if field.required { param.required() } else { param });
            }
        }
        Method::Post | Method::Put => {
            let (properties, required) = object(&custom.input, Use::Write);
            let mut body = json!({"type": "object", "properties": properties});
            if !required.is_empty() {
                body["required"] = json!(required);
            }
            operation = if required.is_empty() { operation.optional_body(body) } else { operation.body(body) };
        }
    }
    operation.responds(custom.status, "The answer.", custom.answer.clone())
}

async fn run(registry: Arc<Registry>, module: Arc<str>, custom: Arc<Custom>, call: Call) -> Result<Reply> {
    let engine = Engine::new(call.kernel.clone(), registry);
    if let Run::Call(handler) = &custom.run {
        return handler(engine, call).await;
    }
    let tenant = match custom.access {
        CustomAccess::Permission(_) => call.tenant()?.clone(),
        CustomAccess::Public => super::public::company(&engine.registry, &call, &module).await?,
    };
    let given = match custom.method {
        Method::Get => query_object(&custom, &call)?,
        Method::Post | Method::Put => call.json()?,
    };
    let currency = Currency::parse(tenant.currency());
    let path: Vec<(String, String)> =
        call.operation.path_names().map(|name| (name.to_owned(), call.param(name).to_owned())).collect();
    let input = Input::check(&custom.input, &given, currency)?.with_path(path);
    let view = tenant.view();
    match custom.run {
        Run::Read(read) => {
            let work =
                move |reader: &mut loopd_store::Reader<'_>| read(&mut Viewer::new(reader, &engine, &tenant), &input);
            let answer = call.kernel.db.read_long(view, work).await?;
            Reply::json(custom.status, &answer)
        }
        Run::Write(write) => {
            let status = custom.status;
            call.commit(view, move |tx| {
                let mut cx = Cx::new(tx, &engine, &tenant);
                act::check_links(&mut cx, &custom.input, &input, By::Client)?;
                Reply::json(status, &write(&mut cx, &input)?)
            })
            .await
        }
        Run::Call(_) => Err(Problem::internal("answered above")),
    }
}

/// The query as the object that a body would have been.
fn query_object(custom: &Custom, call: &Call) -> Result<Json> {
    let known = |name: &str| custom.open_input || custom.input.iter().any(|field| field.name == name);
    call.query().refuse_unknown(known)?;
    let mut given = Map::new();
    for (name, text) in call.query().pairs().filter(|(_, text)| !text.is_empty()) {
        let kind = custom.input.iter().find(|field| field.name == name).map(|field| &field.kind);
        let value = kind.map_or_else(|| Json::from(text), |kind| json_of(kind, text));
        given.insert(name.to_owned(), value);
    }
    Ok(Json::Object(given))
}
