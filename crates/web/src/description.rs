//! [`Description`]: a surface's OpenAPI document, served by the surface itself.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::operation::RateClass;
use crate::{Operation, Reply, Surface, openapi};

/// What a surface says of itself, beside its operations.
pub struct Description {
    pub surface: Surface,
    /// Of the operation that serves it.
    pub id: &'static str,
    pub path: &'static str,
    pub tag: &'static str,
    pub title: &'static str,
    pub version: &'static str,
    pub words: &'static str,
}

/// The document that was made last, and for which address: a server without `LOOP_BASE_URL` is called by several.
type Rendered = Arc<Mutex<Option<(Arc<str>, Bytes)>>>;

impl Description {
    /// The operation that serves the description of those among `operations` that belong to the surface, as they are.
    pub fn of(&'static self, operations: &[Operation]) -> Operation {
        let own: Vec<Operation> =
            operations.iter().filter(|operation| Surface::of(&operation.path) == self.surface).cloned().collect();
        let rendered = Rendered::default();
        Operation::get(self.id, self.path, move |call| {
            let base = call.base_url();
            let mut known = rendered.lock().unwrap_or_else(PoisonError::into_inner);
            let bytes = match &*known {
                Some((of, bytes)) if *of == base => bytes.clone(),
                _ => {
                    let bytes: Bytes = self.render(&base, &own).into();
                    *known = Some((base, bytes.clone()));
                    bytes
                }
            };
            async move { Ok(Reply::json_bytes(200, bytes)) }
        })
        .tag(self.tag)
        .summary("This description")
        .rate(RateClass::Unlimited)
        .any_origin()
        .undocumented()
    }

    fn render(&self, base_url: &str, operations: &[Operation]) -> String {
        let document = openapi::Document {
            title: self.title.to_owned(),
            version: self.version.to_owned(),
            description: self.words.to_owned(),
            servers: vec![base_url.to_owned()],
            ..openapi::Document::default()
        };
        openapi::assemble(self.surface, &document, operations).to_string()
    }
}
