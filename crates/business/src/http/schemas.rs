//! The named schemas of the API reference: `Appointment`, `AppointmentRequest`, `PatchedAppointment`, `PaginatedAppointmentList`, …

use std::collections::BTreeMap;

use loopd_web::schema;
use serde_json::{Map, Value as Json, json};

use crate::define::Field;
use crate::define::base::{DESCRIPTION_MAX, EXTERNAL_ID_MAX, TITLE_MAX};
use crate::define::schema::{Use, nullable, object};
use crate::define::{Lines, Titled};
use crate::engine::{Registry, ResourceRuntime};

/// Every schema that the operations of [`super::operations`] refer to, but for `Error`, which is the surface's.
pub fn schemas(registry: &Registry) -> BTreeMap<String, Json> {
    let mut all: BTreeMap<String, Json> = shared().into_iter().collect();
    all.extend(super::imports::schemas());
    all.insert("Attachment".into(), crate::account::row_schema(&loopd_kernel::file::attachment::LISTING));
    for runtime in registry.resources() {
        let name = &runtime.schema;
        all.insert(name.clone(), record(runtime, Use::Read));
        all.insert(format!("Paginated{name}List"), schema::paginated(schema::component(name)));
        if !runtime.resource.read_only {
            all.insert(format!("{name}Request"), record(runtime, Use::Write));
            all.insert(format!("Patched{name}"), record(runtime, Use::Patch));
        }
    }
    all
}

fn shared() -> Map<String, Json> {
    let mut all = Map::new();
    all.insert(
        "AllowedActions".into(),
        json!({
            "type": "object",
            "required": ["status", "version", "actions", "unavailable"],
            "properties": {
                "status": schema::string(),
                "version": {"type": "integer"},
                "actions": {"type": "array", "items": {
                    "type": "object",
                    "required": ["name", "to", "help", "input"],
                    "properties": {
                        "name": schema::string(),
                        "to": {"type": "array", "items": schema::string(), "description": "Empty when the status stays."},
                        "help": schema::string(),
                        "input": {"type": "object", "additionalProperties": true, "description": "JSON Schema of the body."},
                    },
                }},
                "unavailable": {"type": "array", "description": "What cannot be done now, and why.", "items": {
                    "type": "object",
                    "required": ["name", "code", "reason"],
                    "properties": {"name": schema::string(), "code": schema::string(), "reason": schema::string()},
                }},
            },
        }),
    );
    all.insert(
        "HistoryEntry".into(),
        json!({
            "type": "object",
            "required": ["id", "at", "action", "user", "app", "reason", "changes"],
            "properties": {
                "id": schema::uuid(),
                "at": schema::date_time(),
                "action": {"type": "string", "description": "create, update, delete, restore or an action's name."},
                "user": nullable(schema::uuid()),
                "app": nullable(schema::string()),
                "reason": {"type": ["string", "null"], "description": "Why the system acted by itself."},
                "changes": {"type": ["object", "null"], "additionalProperties": {"type": "array"}, "description": "Each changed field with its value before and after."},
            },
        }),
    );
    all.insert(
        "BulkAnswer".into(),
        json!({
            "type": "object",
            "required": ["results", "succeeded", "failed"],
            "properties": {
                "succeeded": {"type": "integer"},
                "failed": {"type": "integer"},
                "results": {"type": "array", "items": {
                    "type": "object",
                    "required": ["index", "op", "status"],
                    "properties": {
                        "index": {"type": "integer"},
                        "op": schema::string(),
                        "status": {"type": "integer", "description": "As the single call would have answered."},
                        "id": schema::uuid(),
                        "record": {"type": ["object", "null"], "additionalProperties": true},
                        "error": {"type": "object", "additionalProperties": true},
                    },
                }},
            },
        }),
    );
    all
}

/// The schema of a whole record.
fn record(runtime: &ResourceRuntime, used: Use) -> Json {
    let definition = &runtime.resource;
    let mut properties = Map::new();
    let mut required: Vec<String> = Vec::new();
    let is_read = used == Use::Read;
    let add = |properties: &mut Map<String, Json>, required: &mut Vec<String>, name: &str, schema: Json| {
        if is_read {
            required.push(name.to_owned());
        }
        properties.insert(name.to_owned(), schema);
    };
    let read_only = |mut schema: Json| {
        schema["readOnly"] = json!(true);
        schema
    };
    if is_read {
        add(&mut properties, &mut required, "id", read_only(schema::uuid()));
        add(
            &mut properties,
            &mut required,
            "company",
            read_only(json!({"type": "string", "description": "The company's code.", "examples": ["001"]})),
        );
    }
    let workspace = nullable(
        json!({"type": "string", "format": "uuid", "description": "The workspace that it belongs to; null for the whole company."}),
    );
    add(&mut properties, &mut required, "workspace", workspace);
    if let Some(prefix) = definition.prefix.as_ref().filter(|_| is_read) {
        let number = json!({"type": "string", "description": "Number that people quote.", "examples": [format!("{prefix}-000001")]});
        add(&mut properties, &mut required, "number", read_only(number));
    }
    let mut title = json!({"type": "string", "maxLength": TITLE_MAX});
    if !is_read && definition.titled == Titled::Required {
        title["minLength"] = json!(1);
        if used == Use::Write {
            required.push("title".into());
        }
    }
    add(&mut properties, &mut required, "title", title);
    add(&mut properties, &mut required, "description", json!({"type": "string", "maxLength": DESCRIPTION_MAX}));
    let mut status = json!({"type": "string", "enum": definition.states});
    if definition.has_life_cycle() {
        status["readOnly"] = json!(true);
        status["description"] = json!("Changes by actions only.");
    }
    if is_read || !definition.has_life_cycle() {
        add(&mut properties, &mut required, "status", status);
    }
    add(
        &mut properties,
        &mut required,
        "data",
        json!({"type": "object", "additionalProperties": true, "description": "Free fields."}),
    );
    add(
        &mut properties,
        &mut required,
        "tags",
        json!({"type": "array", "maxItems": 50, "items": {"type": "string", "minLength": 1, "maxLength": 64}}),
    );
    let external_id = nullable(
        json!({"type": "string", "maxLength": EXTERNAL_ID_MAX, "description": "The client's own id; unique in the company."}),
    );
    add(&mut properties, &mut required, "external_id", external_id);
    let (own, own_required) = object(&definition.fields, used);
    properties.extend(own);
    required.extend(own_required);
    for lines in &definition.lines {
        let writable = |field: &&Field| used == Use::Read || field.is_writable();
        if used != Use::Read && !lines.fields.iter().any(|field| writable(&field)) {
            continue;
        }
        properties.insert(lines.name.clone(), list_of_lines(lines, used));
        if used == Use::Write && lines.min > 0 {
            required.push(lines.name.clone());
        }
    }
    if is_read {
        for (name, schema) in [
            ("created_by", nullable(schema::uuid())),
            ("updated_by", nullable(schema::uuid())),
            ("created_at", schema::date_time()),
            ("updated_at", schema::date_time()),
            ("deleted_at", nullable(schema::date_time())),
            ("version", json!({"type": "integer", "minimum": 1})),
        ] {
            add(&mut properties, &mut required, name, read_only(schema));
        }
    }
    // `fields=` leaves properties out of what is read, so nothing is required of an answer but its being an object of these.
    let mut schema = json!({"type": "object", "description": definition.help, "properties": properties});
    if used == Use::Write && !required.is_empty() {
        required.sort();
        required.dedup();
        schema["required"] = json!(required);
    }
    schema
}

fn list_of_lines(lines: &Lines, used: Use) -> Json {
    // A line that is sent along with a partial update is a whole new line, or an old one by its id.
    let (mut properties, required) = object(&lines.fields, used);
    let id = json!({"type": "string", "format": "uuid", "description": "Of a line that is there already; absent for a new one."});
    properties.insert("id".into(), id);
    let mut row = json!({"type": "object", "properties": properties});
    if used != Use::Read && !required.is_empty() {
        row["required"] = json!(required);
    }
    let mut list = json!({"type": "array", "items": row, "maxItems": lines.max});
    if used != Use::Read && lines.min > 0 {
        list["minItems"] = json!(lines.min);
    }
    if !lines.help.is_empty() {
        list["description"] = json!(lines.help);
    }
    list
}
