//! Coverage by the API's own description: every documented operation is asked by nobody, by another company's owner, by a member
//! without a permission, with another company's record, and at least once by somebody who may.
//!
//! A new operation is covered by these tests without a line here. Where a happy case needs more than its definition says, add it to
//! `happy/`. `gaps.txt` lists operations without a happy case; it may only shrink.

mod happy;
mod refusals;
pub mod sample;

use std::sync::Arc;

use http::Method;
use loopd_testkit::{Client, Request, json};
use loopd_web::{Access, Operation, Surface};
use serde_json::Value;

use crate::support::World;

/// LOOP's documented operations, in the order of their ids.
fn operations(world: &World) -> Vec<Arc<Operation>> {
    let is_ours = |operation: &&Arc<Operation>| operation.documented && Surface::of(&operation.path) == Surface::Loop;
    let mut all: Vec<_> = world.app.operations().filter(is_ours).cloned().collect();
    all.sort_by(|a, b| a.id.cmp(&b.id));
    all
}

/// The path with its parameters filled in.
fn path_of(operation: &Operation, fill: impl Fn(&str) -> String) -> String {
    let mut path = operation.path.clone();
    for name in operation.path_names() {
        path = path.replace(&format!("{{{name}}}"), &fill(name)).replace(&format!("{{*{name}}}"), &fill(name));
    }
    path
}

/// An id that no record has.
const NOBODY: &str = "0197a000-0000-7000-8000-000000000000";

/// A request with placeholders in the path and an empty body where one is read: enough to be asked who one is.
fn ask(client: &Client, operation: &Operation) -> Request {
    let path =
        path_of(operation, |name| if operation.is_uuid_param(name) { NOBODY.into() } else { "IHEMATST1".into() });
    request(client, operation, &path, &json!({}))
}

fn request(client: &Client, operation: &Operation, path: &str, body: &Value) -> Request {
    let request = client.request(operation.method.clone(), path);
    if operation.method == Method::GET { request } else { request.json(body) }
}

fn is_secured(operation: &Operation) -> bool {
    operation.access != Access::Public
}
