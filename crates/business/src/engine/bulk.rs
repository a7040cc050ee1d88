//! Many writes in one request: all or nothing, or each for itself.

use std::sync::Arc;

use loopd_kernel::Tenant;
use loopd_types::{Kind, NON_FIELD, Problem, Result, Uuid};
use serde_json::{Map, Value as Json, json};

use super::create::create;
use super::cx::Cx;
use super::delete::delete;
use super::runtime::ResourceRuntime;
use super::update::update;
use crate::define::parse::{not_a_dictionary, not_a_list};

/// Operations in one request.
pub const MAX_OPERATIONS: usize = 500;

/// A checked request.
#[derive(Clone, Debug)]
pub struct Bulk {
    operations: Vec<Operation>,
    pub atomic: bool,
}

#[derive(Clone, Debug)]
enum Operation {
    Create(Json),
    Update(Uuid, Json, Option<i64>),
    Delete(Uuid, Option<i64>),
}

impl Bulk {
    /// Reads `{"operations": [{"op", "id", "body", "version"}], "atomic": true}`, and asks for the permission of every kind of operation in it.
    ///
    /// # Errors
    /// 400 with the operation's number in the field's name; 403.
    pub fn read(body: &Json, runtime: &ResourceRuntime, tenant: &Tenant) -> Result<Self> {
        let Json::Object(fields) = body else {
            let error = not_a_dictionary(body);
            return Err(Problem::field(NON_FIELD, error.code, error.message));
        };
        let rows = match fields.get("operations") {
            Some(Json::Array(rows)) => rows,
            Some(other) => {
                let error = not_a_list(other);
                return Err(Problem::field("operations", error.code, error.message));
            }
            None => return Err(Problem::field("operations", "required", "This field is required.")),
        };
        if rows.len() > MAX_OPERATIONS {
            let message = format!("Ensure this field has no more than {MAX_OPERATIONS} elements.");
            return Err(Problem::field("operations", "max_length", message));
        }
        let atomic = match fields.get("atomic") {
            None => true,
            Some(Json::Bool(atomic)) => *atomic,
            Some(_) => return Err(Problem::field("atomic", "invalid", "Must be a valid boolean.")),
        };
        let mut problem = Problem::validation();
        let mut operations = Vec::with_capacity(rows.len());
        for (index, row) in rows.iter().enumerate() {
            match Operation::read(row) {
                Ok(operation) => operations.push(operation),
                Err((field, code, message)) => {
                    problem.add_field(format!("operations.{index}.{field}"), code, message);
                }
            }
        }
        if problem.has_fields() {
            return Err(problem);
        }
        for operation in &operations {
            tenant.require(match operation {
                Operation::Create(_) => &runtime.permissions.create,
                Operation::Update(..) => &runtime.permissions.update,
                Operation::Delete(..) => &runtime.permissions.delete,
            })?;
        }
        Ok(Self { operations, atomic })
    }
}

impl Operation {
    fn read(row: &Json) -> Result<Self, (&'static str, &'static str, String)> {
        let id = || match row.get("id").and_then(Json::as_str) {
            Some(text) => Uuid::parse_str(text).map_err(|_| ("id", "invalid", "Must be a valid UUID.".to_owned())),
            None => Err(("id", "required", "This field is required.".to_owned())),
        };
        let body = || row.get("body").cloned().unwrap_or_else(|| json!({}));
        let version = match row.get("version") {
            None | Some(Json::Null) => None,
            Some(value) => match value.as_i64() {
                Some(version) => Some(version),
                None => return Err(("version", "invalid", "A valid integer is required.".into())),
            },
        };
        match row.get("op").and_then(Json::as_str) {
            Some("create") => Ok(Operation::Create(body())),
            Some("update") => Ok(Operation::Update(id()?, body(), version)),
            Some("delete") => Ok(Operation::Delete(id()?, version)),
            Some(other) => Err(("op", "invalid_choice", format!("\"{other}\" is not a valid choice."))),
            None => Err(("op", "required", "This field is required.".into())),
        }
    }
}

/// Runs the operations in order in this transaction. In atomic mode the first refusal refuses the whole; otherwise every operation is
/// answered for itself: `{"results": [{"index", "op", "status", "id", "record" | "error"}], "succeeded", "failed"}`.
///
/// # Errors
/// In atomic mode the first refusal, its fields named `operations.<index>.<field>`; otherwise only what stops everything (503, 500).
pub fn bulk(cx: &mut Cx<'_, '_>, runtime: &Arc<ResourceRuntime>, bulk: &Bulk) -> Result<Json> {
    let mut results = Vec::with_capacity(bulk.operations.len());
    let (engine, tenant) = (cx.engine, cx.tenant);
    let mut failed = 0;
    for (index, operation) in bulk.operations.iter().enumerate() {
        let done = if bulk.atomic {
            run(cx, runtime, operation)
        } else {
            cx.tx.attempt(|tx| run(&mut Cx::new(tx, engine, tenant), runtime, operation))
        };
        results.push(match done {
            Ok(mut result) => {
                result["index"] = json!(index);
                result
            }
            Err(problem) if bulk.atomic => return Err(located(problem, index)),
            Err(problem) if matches!(problem.kind(), Kind::Unavailable | Kind::Internal | Kind::Timeout) => {
                return Err(problem);
            }
            Err(problem) => {
                failed += 1;
                json!({"index": index, "op": operation.name(), "status": problem.status(), "error": shown(&problem)})
            }
        });
    }
    Ok(json!({"succeeded": results.len() - failed, "failed": failed, "results": results}))
}

impl Operation {
    fn name(&self) -> &'static str {
        match self {
            Operation::Create(_) => "create",
            Operation::Update(..) => "update",
            Operation::Delete(..) => "delete",
        }
    }
}

fn run(cx: &mut Cx<'_, '_>, runtime: &Arc<ResourceRuntime>, operation: &Operation) -> Result<Json> {
    let (status, written, id) = match operation {
        Operation::Create(body) => {
            let written = create(cx, runtime, body)?;
            let id = written.record.id();
            (201, Some(written), id)
        }
        Operation::Update(id, body, version) => (200, Some(update(cx, runtime, *id, body, false, *version)?), *id),
        Operation::Delete(id, version) => {
            delete(cx, runtime, *id, *version)?;
            (204, None, *id)
        }
    };
    let record: Json = match written {
        Some(written) => serde_json::from_slice(&written.json).map_err(Problem::internal)?,
        None => Json::Null,
    };
    Ok(json!({"op": operation.name(), "status": status, "id": id.to_string(), "record": record}))
}

/// The refusal of one operation as that of the whole request, told where.
fn located(problem: Problem, index: usize) -> Problem {
    if !problem.has_fields() {
        return problem.with_extra("operation", index);
    }
    let mut moved = Problem::new(problem.kind(), problem.code().to_owned(), problem.message().to_owned());
    for (field, errors) in problem.fields() {
        for error in errors {
            moved.add_field(format!("operations.{index}.{field}"), error.code.clone(), error.message.clone());
        }
    }
    moved.with_extra("operation", index)
}

/// As the envelope shows an error (spec/loop.md 5.6), without status and request id, which are the whole answer's.
fn shown(problem: &Problem) -> Json {
    let mut details = Map::new();
    for (field, errors) in problem.fields() {
        let errors = errors.iter().map(|error| json!({"code": error.code, "message": error.message}));
        details.insert(field.clone(), errors.collect());
    }
    details.extend(problem.extra().clone());
    json!({"code": problem.code(), "message": problem.message(), "details": details})
}
