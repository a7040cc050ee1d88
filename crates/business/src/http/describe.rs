//! The documents of a resource's operations: paths, permissions, parameters, bodies, answers.

use loopd_types::Result;
use loopd_web::{Call, Content, Operation, Param, Reply, ResponseDoc, schema};
use serde_json::{Value as Json, json};

use super::records::Door;
use crate::define::base::{CREATED_AT, ID, QUERY_WORDS, STATUS, UPDATED_AT, WORKSPACE};
use crate::define::filter::Test;
use crate::define::schema::{Use, object, of_kind};
use crate::define::{Action, Kind};
use crate::engine::bulk::MAX_OPERATIONS;
use crate::engine::import::MOST_ROWS;
use crate::engine::request::{base_filters, is_sortable};
use crate::files::{AFTERWARDS, IDLE};

/// A bulk request holds many records; this is what 500 ordinary ones need.
const BULK_BODY_BYTES: usize = 8 * 1024 * 1024;
/// A file of some hundred thousand cells; larger ones come in parts.
const IMPORT_BODY_BYTES: u64 = 100 * 1024 * 1024;

struct Words {
    base: String,
    item: String,
    id: String,
    one: String,
    many: String,
    schema: String,
}

impl Words {
    fn of(door: &Door) -> Self {
        let runtime = &door.runtime;
        let base = format!("/api/v1/{}/", runtime.path);
        Self {
            item: format!("{base}{{id}}/"),
            base,
            id: runtime.path.replace(['/', '-'], "_"),
            one: runtime.resource.singular.replace('-', " "),
            many: runtime.resource.title.to_lowercase(),
            schema: runtime.schema.clone(),
        }
    }
    fn record(&self) -> Json {
        schema::component(&self.schema)
    }
}

/// Offered to agents under its own id.
pub(super) fn as_tool(operation: Operation) -> Operation {
    let name = operation.id.clone();
    operation.tool(name)
}

fn finish(door: &Door, operation: Operation, summary: String, permission: &str) -> Operation {
    operation.tag(&door.runtime.module).summary(summary).tenant(Some(&door.runtime.module), permission)
}

pub(super) fn list<F, R>(door: &Door, handler: F) -> Operation
where
    F: Fn(Call) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Reply>> + Send + 'static,
{
    let words = Words::of(door);
    let operation = Operation::get(format!("{}_list", words.id), &words.base, handler)
        .tag(&door.runtime.module)
        .summary(format!("List {}", words.many))
        .describe(format!(
            "{} Without `X-Company-ID` the list covers all companies of the caller. Every filter also takes the suffixes `__gte`, `__lte`, `__gt`, \
             `__lt`, `__in`, `__icontains` and `__isnull` where they make sense; `data__<key>` looks into the free fields.",
            door.runtime.resource.help
        ))
        .union(Some(&door.runtime.module), &door.runtime.permissions.view)
        .params(list_params(door));
    let csv = Content::of("text/csv", schema::string());
    let page = schema::component(&format!("Paginated{}List", words.schema));
    operation.response(
        ResponseDoc::json(200, "One page.", page)
            .with(csv)
            .header("X-Count-Exact", "`false` when counting took too long: there are more rows than `count` says."),
    )
}

pub(super) fn create<F, R>(door: &Door, handler: F) -> Operation
where
    F: Fn(Call) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Reply>> + Send + 'static,
{
    let words = Words::of(door);
    let operation = Operation::post(format!("{}_create", words.id), &words.base, handler);
    finish(door, operation, format!("Make a {}", words.one), &door.runtime.permissions.create)
        .body(schema::component(&format!("{}Request", words.schema)))
        .response(tagged(201, "The new record.", words.record()).header("Location", "Where the record is."))
}

pub(super) fn retrieve<F, R>(door: &Door, handler: F) -> Operation
where
    F: Fn(Call) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Reply>> + Send + 'static,
{
    let words = Words::of(door);
    let operation = Operation::get(format!("{}_retrieve", words.id), &words.item, handler);
    finish(door, operation, format!("Read a {}", words.one), &door.runtime.permissions.view)
        .params([fields_param(door), expand_param(door)])
        .param(Param::header("If-None-Match", schema::string()).describe("An ETag; 304 when the record still has it."))
        .response(tagged(200, "The record.", words.record()))
        .responds_empty(304, "The record still has the ETag that the client named.")
}

pub(super) fn update<F, R>(door: &Door, handler: F) -> Operation
where
    F: Fn(Call) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Reply>> + Send + 'static,
{
    let words = Words::of(door);
    let operation = Operation::put(format!("{}_update", words.id), &words.item, handler);
    guarded(finish(door, operation, format!("Change a {}", words.one), &door.runtime.permissions.update))
        .describe("All required fields must be given; optional ones that are absent stay as they are.")
        .body(schema::component(&format!("{}Request", words.schema)))
        .response(tagged(200, "The record.", words.record()))
}

pub(super) fn partial_update<F, R>(door: &Door, handler: F) -> Operation
where
    F: Fn(Call) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Reply>> + Send + 'static,
{
    let words = Words::of(door);
    let operation = Operation::patch(format!("{}_partial_update", words.id), &words.item, handler);
    guarded(finish(door, operation, format!("Change some fields of a {}", words.one), &door.runtime.permissions.update))
        .body(schema::component(&format!("Patched{}", words.schema)))
        .response(tagged(200, "The record.", words.record()))
}

pub(super) fn upsert<F, R>(door: &Door, handler: F) -> Operation
where
    F: Fn(Call) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Reply>> + Send + 'static,
{
    let words = Words::of(door);
    let path = format!("{}by-external-id/{{external_id}}/", words.base);
    let operation = Operation::put(format!("{}_upsert", words.id), path, handler);
    // the door is open to who may create or update; which one is needed shows when the record is looked for
    guarded(finish(door, operation, format!("Make or change the {} of an external id", words.one), &door.runtime.permissions.create))
        .or_permission(&door.runtime.permissions.update)
        .describe("For imports: makes the record when the company has none with this `external_id` (201), changes it otherwise (200).")
        .param(Param::path("external_id", schema::text(1, 255)).describe("The client's own id of the record."))
        .body(schema::component(&format!("{}Request", words.schema)))
        .response(tagged(200, "The record, changed.", words.record()))
        .response(tagged(201, "The record, new.", words.record()))
}

pub(super) fn destroy<F, R>(door: &Door, handler: F) -> Operation
where
    F: Fn(Call) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Reply>> + Send + 'static,
{
    let words = Words::of(door);
    let operation = Operation::delete(format!("{}_destroy", words.id), &words.item, handler);
    guarded(finish(door, operation, format!("Delete a {}", words.one), &door.runtime.permissions.delete))
        .describe("Hides the record; `restore` brings it back, `?deleted=true` lists what is hidden.")
        .responds_empty(204, "It is deleted.")
}

pub(super) fn restore<F, R>(door: &Door, handler: F) -> Operation
where
    F: Fn(Call) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Reply>> + Send + 'static,
{
    let words = Words::of(door);
    let operation = Operation::post(format!("{}_restore", words.id), format!("{}restore/", words.item), handler);
    finish(door, operation, format!("Bring back a deleted {}", words.one), &door.runtime.permissions.delete)
        .response(tagged(200, "The record.", words.record()))
}

pub(super) fn action<F, R>(door: &Door, action: &Action, handler: F) -> Operation
where
    F: Fn(Call) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Reply>> + Send + 'static,
{
    let words = Words::of(door);
    let id = format!("{}_{}", words.id, action.name.replace('-', "_"));
    let operation = Operation::post(id, format!("{}{}/", words.item, action.name), handler);
    let (properties, required) = object(&action.input, Use::Write);
    let must_be_given = !required.is_empty();
    let mut body = json!({"type": "object", "properties": properties});
    if must_be_given {
        body["required"] = json!(required);
    }
    let summary = format!("{} a {}", crate::define::title_words(&action.name), words.one);
    let mut operation = guarded(finish(door, operation, summary, &door.runtime.action_permission(&action.name)))
        .describe(moves(action));
    if action.routine {
        operation = operation.or_permission(&door.runtime.permissions.update);
    }
    operation = if must_be_given { operation.body(body) } else { operation.optional_body(body) };
    operation.response(tagged(200, "The record afterwards.", words.record())).responds(
        409,
        "`invalid_transition`: the status does not allow it; `details` has `from`, `action` and `allowed`.",
        schema::component("Error"),
    )
}

fn moves(action: &Action) -> String {
    let from = if action.from.is_empty() { "any status".to_owned() } else { format!("`{}`", action.from.join("`, `")) };
    let to = if action.to.is_empty() {
        "stays as it is".to_owned()
    } else {
        format!("becomes `{}`", action.to.join("` or `"))
    };
    format!("{} Allowed in {from}; the status {to}.", action.help)
}

pub(super) fn actions<F, R>(door: &Door, handler: F) -> Operation
where
    F: Fn(Call) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Reply>> + Send + 'static,
{
    let words = Words::of(door);
    let operation = Operation::get(format!("{}_actions", words.id), format!("{}actions/", words.item), handler);
    finish(door, operation, format!("What may be done to a {} now", words.one), &door.runtime.permissions.view)
        .responds(
            200,
            "The status, the actions that it and the caller's role allow, and why the others are not.",
            schema::component("AllowedActions"),
        )
}

pub(super) fn history<F, R>(door: &Door, handler: F) -> Operation
where
    F: Fn(Call) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Reply>> + Send + 'static,
{
    let words = Words::of(door);
    let operation = Operation::get(format!("{}_history", words.id), format!("{}history/", words.item), handler);
    finish(door, operation, format!("What happened to a {}", words.one), &door.runtime.permissions.view)
        .params(page_params())
        .responds(200, "One page, newest first.", schema::paginated(schema::component("HistoryEntry")))
}

pub(super) fn export<F, R>(door: &Door, handler: F) -> Operation
where
    F: Fn(Call) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Reply>> + Send + 'static,
{
    let words = Words::of(door);
    Operation::get(format!("{}_export", words.id), format!("{}export/", words.base), handler)
        .tag(&door.runtime.module)
        .summary(format!("Export {} as CSV", words.many))
        .describe("Takes every filter of the list and answers with all rows.")
        .union(Some(&door.runtime.module), &door.runtime.permissions.view)
        .params([search_param(), ordering_param(door), fields_param(door)])
        .param(Param::query("format", json!({"type": "string", "enum": ["csv"]})).describe("Only csv."))
        .response(ResponseDoc::empty(200, "The rows.").with(Content::of("text/csv", schema::string())))
}

pub(super) fn bulk<F, R>(door: &Door, handler: F) -> Operation
where
    F: Fn(Call) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Reply>> + Send + 'static,
{
    let words = Words::of(door);
    let operation = Operation::post(format!("{}_bulk", words.id), format!("{}bulk/", words.base), handler);
    let row = json!({
        "type": "object",
        "required": ["op"],
        "properties": {
            "op": {"type": "string", "enum": ["create", "update", "delete"]},
            "id": schema::uuid(),
            "body": schema::component(&format!("Patched{}", words.schema)),
            "version": {"type": ["integer", "null"], "description": "The version that the record must have."},
        },
    });
    let body = json!({
        "type": "object",
        "required": ["operations"],
        "properties": {
            "operations": {"type": "array", "maxItems": MAX_OPERATIONS, "items": row},
            "atomic": {"type": "boolean", "default": true, "description": "All or nothing; with false every operation is answered for itself."},
        },
    });
    finish(door, operation, format!("Make, change and delete many {}", words.many), &door.runtime.permissions.view)
        .describe("Every kind of operation needs its own permission. In atomic mode the first refusal refuses the whole, its fields named `operations.<index>.<field>`.")
        .max_body(BULK_BODY_BYTES)
        .body(body)
        .responds(200, "What became of each operation.", schema::component("BulkAnswer"))
}

pub(super) fn import<F, R>(door: &Door, handler: F) -> Operation
where
    F: Fn(Call) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Reply>> + Send + 'static,
{
    let words = Words::of(door);
    let operation = Operation::post(format!("{}_import", words.id), format!("{}import/", words.base), handler);
    finish(door, operation, format!("Import {} from CSV or JSON", words.many), &door.runtime.permissions.create)
        .describe(
            "Every row is made as one call would make it; one that is refused stops no other. A column goes to the field of its name, or \
             where `mapping` sends it. Records may be named by number, `external_id`, code or id, people by email address. Up to 100 rows \
             are done when the answer comes (200); more are left to a job (202): see `/api/v1/imports/{id}/`, and for the rows that were \
             refused `/api/v1/imports/{id}/errors/`.",
        )
        .params([
            Param::query("dry_run", schema::boolean()).describe("Tries every row and writes nothing."),
            Param::query("mode", json!({"type": "string", "enum": ["create", "upsert"]}))
                .describe("`upsert` changes the record that has the row's external_id."),
            Param::query("mapping", schema::string())
                .describe("From columns to fields, as a JSON object: `{\"Full name\": \"title\", \"Notes\": null}`."),
        ])
        .streams_body(IMPORT_BODY_BYTES, IDLE)
        .timeout(AFTERWARDS)
        .accepts(
            true,
            Content::json(json!({
                "type": "object",
                "required": ["rows"],
                "properties": {
                    "rows": {"type": "array", "maxItems": MOST_ROWS, "items": {"type": "object", "additionalProperties": true}},
                    "mapping": {"type": "object", "additionalProperties": {"type": ["string", "null"]}},
                },
            })),
        )
        .accepts(true, Content::of("text/csv", schema::string()))
        .responds(200, "What became of the rows.", schema::component("ImportAnswer"))
        .responds(202, "The rows are kept; a job makes the records.", schema::component("ImportAnswer"))
        .responds(507, "`storage_full`: nothing was kept.", schema::component("Error"))
}

/// An answer with the ETag that `If-Match` takes.
fn tagged(status: u16, words: &str, schema: Json) -> ResponseDoc {
    ResponseDoc::json(status, words, schema).header("ETag", "The record's version; send it back as If-Match.")
}

fn guarded(operation: Operation) -> Operation {
    operation
        .param(
            Param::header("If-Match", schema::string())
                .describe("The ETag that the record must still have; 412 when it has another."),
        )
        .responds(412, "The record was changed meanwhile.", schema::component("Error"))
}

fn page_params() -> [Param; 2] {
    [
        Param::query("page", json!({"anyOf": [{"type": "integer", "minimum": 1}, {"const": "last"}]}))
            .describe("From 1, or `last`."),
        Param::query("page_size", json!({"type": "integer", "minimum": 1})).describe("25 when absent, at most 100."),
    ]
}

fn search_param() -> Param {
    Param::query("search", schema::string()).describe("Words that all must occur; \"phrases in quotes\" stay whole.")
}

fn ordering_param(door: &Door) -> Param {
    let runtime = &door.runtime;
    let names: Vec<&str> = runtime
        .order
        .iter()
        .filter(|place| is_sortable(runtime, **place))
        .map(|place| runtime.columns[*place].name.as_str())
        .collect();
    Param::query("ordering", schema::string())
        .describe(format!("Comma list, `-` for descending: {}.", names.join(", ")))
}

fn fields_param(door: &Door) -> Param {
    let example = door.runtime.columns[ID].name.as_str();
    Param::query("fields", schema::string()).describe(format!("Only these fields, comma list: `{example},title`."))
}

fn expand_param(door: &Door) -> Param {
    let references = door.runtime.fields().filter(|(_, field)| matches!(field.kind, Kind::Reference { .. }));
    let mut names: Vec<&str> = references.map(|(_, field)| field.name.as_str()).collect();
    names.extend(door.runtime.lines.iter().map(|lines| lines.name.as_str()));
    let words = if names.is_empty() {
        "This resource has nothing to expand.".to_owned()
    } else {
        format!("Records in place of ids: {}.", names.join(", "))
    };
    Param::query("expand", schema::string()).describe(words)
}

/// Equality for every filter, bounds for times and numbers; further suffixes are told in the list's description, or the document would
/// double in size.
fn list_params(door: &Door) -> Vec<Param> {
    let runtime = &door.runtime;
    let mut params = Vec::from(page_params());
    params.extend([search_param(), ordering_param(door), fields_param(door), expand_param(door)]);
    params.push(
        Param::query("deleted", json!({"type": "string", "enum": ["true", "false", "all"]}))
            .describe("Deleted records only, or all; needs the permission to delete."),
    );
    params.push(
        Param::query("format", json!({"type": "string", "enum": ["json", "csv"]})).describe("csv exports the list."),
    );
    let states = json!({"type": "string", "enum": runtime.resource.states});
    for (place, kind) in base_filters() {
        if !runtime.order.contains(&place) {
            continue;
        }
        let schema = if place == STATUS { states.clone() } else { of_kind(&kind) };
        let name = runtime.columns[place].name.as_str();
        match place {
            CREATED_AT | UPDATED_AT => params.extend(bounds(name, &kind)),
            WORKSPACE => params.push(Param::query(name, schema).describe("Only records of this workspace.")),
            _ if [STATUS, crate::define::base::TAGS, crate::define::base::EXTERNAL_ID, crate::define::base::NUMBER]
                .contains(&place) =>
            {
                let schema = if matches!(kind, Kind::Tags) { schema::string() } else { schema };
                params.push(Param::query(name, schema));
            }
            _ => {}
        }
    }
    for (_, field) in runtime.fields().filter(|(_, field)| field.filterable) {
        let schema = match &field.kind {
            Kind::Tags => schema::string(),
            Kind::References { .. } => schema::uuid(),
            kind => of_kind(kind),
        };
        if !QUERY_WORDS.contains(&field.name.as_str()) {
            params.push(Param::query(&field.name, schema).describe(&field.help));
        }
        if matches!(field.kind.stored(), crate::define::Stored::Integer) || field.kind == Kind::Date {
            params.extend(bounds(&field.name, &field.kind));
        }
    }
    params
}

fn bounds(name: &str, kind: &Kind) -> [Param; 2] {
    debug_assert!(Test::AtLeast.fits(kind));
    [
        Param::query(format!("{name}__gte"), of_kind(kind)).describe("From here on."),
        Param::query(format!("{name}__lte"), of_kind(kind)).describe("Up to here."),
    ]
}
