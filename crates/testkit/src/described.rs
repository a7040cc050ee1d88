//! Coverage by the API's own description: the operations of an OpenAPI document, and a list of gaps that may only shrink.

use std::collections::BTreeSet;
use std::path::Path;

use http::Method;
use serde_json::Value;

/// One operation as the document describes it.
#[derive(Clone, Debug)]
pub struct Described {
    /// `operationId`.
    pub id: String,
    pub method: Method,
    /// With its parameters in braces: `/api/v1/booking/appointments/{id}/`.
    pub path: String,
    /// Whether it asks for credentials: its own `security`, or else the document's, is neither empty nor optional (`{}`).
    pub is_secured: bool,
    /// Statuses it says it answers with.
    pub statuses: Vec<String>,
}

impl Described {
    /// Every operation of a document, in the order of paths.
    pub fn all(document: &Value) -> Vec<Self> {
        let mut found = Vec::new();
        for (path, item) in members(&document["paths"]) {
            for (name, operation) in members(item) {
                let Ok(method) = name.to_uppercase().parse::<Method>() else { continue };
                if !operation.is_object() || !operation["responses"].is_object() {
                    continue;
                }
                let security = operation.get("security").or_else(|| document.get("security"));
                found.push(Self {
                    id: operation["operationId"].as_str().unwrap_or_default().to_owned(),
                    method,
                    path: path.clone(),
                    is_secured: security.is_some_and(asks_for_credentials),
                    statuses: members(&operation["responses"]).map(|(status, _)| status.clone()).collect(),
                });
            }
        }
        found
    }

    /// The path with its parameters filled in by name.
    pub fn path_with(&self, fill: impl Fn(&str) -> String) -> String {
        let mut pieces = self.path.split('{');
        let mut path = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            let (name, rest) = piece.split_once('}').expect("a brace that opens in a path also closes");
            path.push_str(&fill(name));
            path.push_str(rest);
        }
        path
    }
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn asks_for_credentials(security: &Value) -> bool {
    let ways = security.as_array().map_or(&[][..], Vec::as_slice);
    !ways.is_empty() && ways.iter().all(|way| way.as_object().is_some_and(|way| !way.is_empty()))
}

/// Holds a list of known gaps, one a line with `#` comments: a gap that is not listed fails, and so does a line that is
/// no gap any more. So the file only ever shrinks. A missing file is an empty list.
#[track_caller]
pub fn assert_gaps(list: &Path, found: impl IntoIterator<Item = String>) {
    let text = std::fs::read_to_string(list).unwrap_or_default();
    let known: BTreeSet<_> =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let found: BTreeSet<String> = found.into_iter().collect();
    let new: Vec<_> = found.iter().filter(|gap| !known.contains(gap.as_str())).cloned().collect();
    let closed: Vec<_> = known.into_iter().filter(|gap| !found.contains(*gap)).collect();
    let name = list.display();
    assert!(new.is_empty(), "new gaps, please close them (never add them to {name}):\n  {}", new.join("\n  "));
    assert!(closed.is_empty(), "closed gaps, please take them out of {name}:\n  {}", closed.join("\n  "));
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use serde_json::json;

    use super::*;

    #[test]
    fn operations_are_read_with_their_security() {
        let document = json!({
            "security": [{"jwt": []}],
            "paths": {
                "/a/{id}/b/{code}/": {
                    "parameters": [],
                    "get": {"operationId": "a_get", "responses": {"200": {}}},
                    "post": {"operationId": "a_post", "security": [], "responses": {"201": {}, "400": {}}},
                },
                "/c/": {"get": {"operationId": "c_get", "security": [{}, {"jwt": []}], "responses": {"200": {}}}},
            },
        });
        let all = Described::all(&document);
        let secured: Vec<_> = all.iter().map(|operation| (operation.id.as_str(), operation.is_secured)).collect();
        assert_eq!(secured, [("a_get", true), ("a_post", false), ("c_get", false)]);
        assert_eq!(all[0].path_with(str::to_uppercase), "/a/ID/b/CODE/");
        assert_eq!(all[1].statuses, ["201", "400"]);
    }

    #[test]
    fn a_list_of_gaps_may_only_shrink() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("gaps");
        std::fs::write(&list, "# known\na\n\nb\n").unwrap();
        let holds = |gaps: &[&str]| {
            let gaps: Vec<String> = gaps.iter().map(ToString::to_string).collect();
            catch_unwind(|| assert_gaps(&list, gaps)).is_ok()
        };
        assert!(holds(&["b", "a"]));
        assert!(!holds(&["a", "b", "c"]), "a new gap passed");
        assert!(!holds(&["a"]), "a closed gap stayed listed");
    }
}
