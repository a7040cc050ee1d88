//! What the portal shows, read from the operations that are really served: nothing on a page can be out of date.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, OnceLock};

use http::Method;
use loopd_business::account::CORE_PATHS;
use loopd_business::define::Resource;
use loopd_business::engine::Registry;
use loopd_web::{Access as Served, Operation};
use serde_json::Value;

use crate::VERSION;
use crate::portal::{Access, ActionDoc, FieldDoc, ModuleDoc, PortalInfo, ResourceDoc, Write};
use crate::settings::Settings;

/// The portal's view of this installation, made when a page is first asked for: whoever never looks does not pay for it.
pub type Info = Arc<LazyLock<PortalInfo, Box<dyn FnOnce() -> PortalInfo + Send>>>;

/// From what is served, once all of it is known.
pub fn describe(settings: &Settings, registry: &Arc<Registry>, served: Arc<OnceLock<Vec<Operation>>>) -> Info {
    let bare = PortalInfo {
        version: VERSION.to_owned(),
        environment: settings.environment.as_str().to_owned(),
        base_url: settings.public_url(),
        internal_key_enabled: settings.internal_key.is_some(),
        core: Vec::new(),
        modules: Vec::new(),
    };
    let registry = registry.clone();
    Arc::new(LazyLock::new(Box::new(move || filled(bare, &registry, served.get().map_or(&[], Vec::as_slice)))))
}

fn filled(bare: PortalInfo, registry: &Registry, operations: &[Operation]) -> PortalInfo {
    let schemas = crate::service::components(registry);
    let reader = Reader { schemas: &schemas, operations };
    PortalInfo {
        core: CORE_PATHS
            .iter()
            .map(|(path, summary)| ResourceDoc {
                title: title_of(path),
                summary: (*summary).to_owned(),
                ..reader.resource(&format!("/{path}/"))
            })
            .collect(),
        modules: registry
            .modules()
            .iter()
            .map(|module| {
                let resources: Vec<ResourceDoc> = module
                    .resources
                    .iter()
                    .map(|resource| ResourceDoc {
                        title: resource.title.clone(),
                        summary: resource.help.clone(),
                        states: resource.states.clone(),
                        ..with_moves(reader.resource(&format!("/{}/{}/", module.slug, resource.slug)), resource)
                    })
                    .collect();
                let actions = reader.others(&module.slug, &resources);
                ModuleDoc {
                    slug: module.slug.clone(),
                    name: module.name.clone(),
                    summary: module.description.clone(),
                    resources,
                    actions,
                }
            })
            .collect(),
        ..bare
    }
}

/// Says of each action that the definition declares which states it leads from and to.
fn with_moves(mut doc: ResourceDoc, resource: &Resource) -> ResourceDoc {
    let record = format!("{}{{id}}/", doc.path);
    for action in &mut doc.actions {
        let name = action.path.strip_prefix(&record).map(|rest| rest.trim_end_matches('/'));
        if let Some(declared) = name.and_then(|name| resource.find_action(name)) {
            action.from = declared.from.clone();
            action.to = (!declared.to.is_empty()).then(|| declared.to.join(" or "));
        }
    }
    doc
}

fn title_of(path: &str) -> String {
    let words = path.replace('-', " ");
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

struct Reader<'a> {
    schemas: &'a BTreeMap<String, Value>,
    operations: &'a [Operation],
}

/// What every resource has and nobody needs to read again for each.
const PLAIN: [&str; 6] = ["list", "create", "retrieve", "update", "partial_update", "destroy"];

impl Reader<'_> {
    fn resource(&self, path: &str) -> ResourceDoc {
        let url = format!("/api/v1{path}");
        let item = format!("{url}{{id}}/");
        let find = |method: Method, path: &str| {
            self.operations.iter().find(|op| op.method == method && op.path == path && op.documented)
        };
        let row = find(Method::GET, &item).and_then(|op| self.answer(op));
        let body = find(Method::POST, &url).and_then(|op| self.body(op));
        let is_plain = |op: &Operation| PLAIN.iter().any(|verb| op.id.ends_with(&format!("_{verb}")));
        let actions = self
            .operations
            .iter()
            .filter(|op| op.documented && op.path.starts_with(&url) && !is_plain(op))
            .map(|op| self.action(op))
            .collect();
        ResourceDoc { path: path.to_owned(), fields: self.fields(row, body), actions, ..ResourceDoc::default() }
    }

    /// Operations of a module that belong to none of its resources (`/ai/business-advice/`, public pages).
    fn others(&self, slug: &str, resources: &[ResourceDoc]) -> Vec<ActionDoc> {
        let prefix = format!("/api/v1/{slug}/");
        self.operations
            .iter()
            .filter(|op| op.documented && op.path.starts_with(&prefix))
            .filter(|op| !resources.iter().any(|resource| op.path.starts_with(&format!("/api/v1{}", resource.path))))
            .map(|op| self.action(op))
            .collect()
    }

    fn action(&self, op: &Operation) -> ActionDoc {
        ActionDoc {
            method: op.method.to_string(),
            path: op.path.trim_start_matches("/api/v1").to_owned(),
            summary: op.summary.clone(),
            from: Vec::new(),
            to: None,
            body: self.body(op).map(|body| self.fields(None, Some(body))).unwrap_or_default(),
            access: if op.access == Served::Public { Access::Public } else { Access::Credentials },
        }
    }

    fn answer<'s>(&'s self, op: &'s Operation) -> Option<&'s Value> {
        let success = op.responses.iter().find(|response| response.status < 300)?;
        Some(self.resolve(&success.content.first()?.schema))
    }

    fn body<'s>(&'s self, op: &'s Operation) -> Option<&'s Value> {
        Some(self.resolve(&op.request.as_ref()?.content.first()?.schema))
    }

    fn resolve<'s>(&'s self, schema: &'s Value) -> &'s Value {
        let name = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next());
        name.and_then(|name| self.schemas.get(name)).unwrap_or(schema)
    }

    /// The fields of the row, each with what a client may do with it; those only a body has come last.
    fn fields(&self, row: Option<&Value>, body: Option<&Value>) -> Vec<FieldDoc> {
        let properties = |schema: Option<&Value>| {
            schema.and_then(|s| s.get("properties")).and_then(Value::as_object).cloned().unwrap_or_default()
        };
        let (shown, written) = (properties(row), properties(body));
        let required: Vec<&str> = body
            .and_then(|b| b.get("required"))
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let names = shown.keys().chain(written.keys().filter(|name| !shown.contains_key(*name)));
        names
            .map(|name| {
                let schema = written.get(name).or_else(|| shown.get(name)).cloned().unwrap_or_default();
                // A body may take several kinds for one (money: text or number); the answer has the one that is kept.
                let kept = shown.get(name).unwrap_or(&schema);
                let write = match written.contains_key(name) {
                    true if required.contains(&name.as_str()) => Write::Required,
                    true => Write::Optional,
                    false => Write::ReadOnly,
                };
                let note = schema.get("description").and_then(Value::as_str).unwrap_or_default().to_owned();
                FieldDoc { name: name.clone(), kind: kind_words(kept), write, note }
            })
            .collect()
    }
}

/// A schema in a reader's words.
fn kind_words(schema: &Value) -> String {
    let word = |name: &str| schema.get(name).and_then(Value::as_str);
    if let Some(format) = word("format") {
        return match format {
            "date-time" => "date and time",
            "uuid" => "id",
            "int64" => "whole number",
            "uri" => "address",
            other => other,
        }
        .to_owned();
    }
    if schema.get("enum").is_some() {
        return "choice".to_owned();
    }
    match schema.get("type") {
        Some(Value::String(one)) => plain_word(one).to_owned(),
        Some(Value::Array(several)) => several
            .iter()
            .filter_map(Value::as_str)
            .filter(|name| *name != "null")
            .map(plain_word)
            .collect::<Vec<_>>()
            .join(" or "),
        _ => "any".to_owned(),
    }
}

fn plain_word(kind: &str) -> &str {
    match kind {
        "string" => "text",
        "array" => "list",
        "integer" => "whole number",
        "boolean" => "yes or no",
        other => other,
    }
}
