//! The table of routes: path → operations by method. One tree for all surfaces, filled once at start.
//!
//! axum's router answers 404 and 405 by itself and cannot tell an operation's body limit before its handler runs; this table is
//! the same radix tree (matchit) asked directly, so the edge knows the operation first and every refusal is its own.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::Arc;

use http::{HeaderValue, Method};
use loopd_kernel::access::Door;
use loopd_types::{Problem, Result, Uuid};

use crate::query::decode;
use crate::reply::header_value;
use crate::{Access, Operation, Surface};

/// Names and decoded values of a path's parameters, in order.
pub(crate) type Params = Vec<(Arc<str>, String)>;

/// An operation, ready to serve.
pub(crate) struct Endpoint {
    pub operation: Arc<Operation>,
    pub produces: Vec<String>,
}

/// A path template with its operations.
pub(crate) struct Route {
    /// With its final slash, as documented.
    pub template: Arc<str>,
    pub endpoints: Vec<(Method, Arc<Endpoint>)>,
    pub allow: HeaderValue,
    /// The door at which a key is counted before anything else of a request is looked at.
    pub first_door: Option<&'static Door>,
    names: Vec<(Arc<str>, bool)>,
}

/// All routes.
pub(crate) struct Routes {
    tree: matchit::Router<usize>,
    routes: Vec<Route>,
    /// Of the paths of Loopwave's that nothing is at.
    first_door: Option<&'static Door>,
}

impl Routes {
    /// Fills the table.
    ///
    /// # Errors
    /// Words for the operator: two operations with one id, two with the same method and path, or paths that cannot be told apart.
    pub fn build(operations: Vec<Operation>) -> Result<Self, String> {
        let mut ids: HashMap<String, String> = HashMap::new();
        let mut tools: HashSet<Arc<str>> = HashSet::new();
        let mut by_path: Vec<(String, Vec<Operation>)> = Vec::new();
        let mut positions: HashMap<String, usize> = HashMap::new();
        for operation in operations {
            if let Some(before) = ids.insert(operation.id.clone(), operation.path.clone()) {
                return Err(format!("operation id `{}` is used by {before} and {}", operation.id, operation.path));
            }
            if let Some(tool) = &operation.tool
                && (!is_tool_name(tool) || !tools.insert(tool.clone()))
            {
                return Err(format!(
                    "the tool `{tool}` of `{}` has the name of another, or none that a tool may have",
                    operation.id
                ));
            }
            if !operation.path.starts_with('/') {
                return Err(format!("the path of `{}` must start with a slash: {}", operation.id, operation.path));
            }
            let key = bare(&operation.path).to_owned();
            let at = *positions.entry(key.clone()).or_insert_with(|| {
                by_path.push((key, Vec::new()));
                by_path.len() - 1
            });
            let group = &mut by_path[at].1;
            if let Some(twin) = group.iter().find(|known| known.method == operation.method) {
                let (method, path) = (&operation.method, &operation.path);
                return Err(format!("{method} {path} is declared twice: by `{}` and `{}`", twin.id, operation.id));
            }
            group.push(operation);
        }
        let mut table =
            Self { tree: matchit::Router::new(), routes: Vec::with_capacity(by_path.len()), first_door: None };
        for (path, group) in by_path {
            table.add(&path, group)?;
        }
        Ok(table)
    }

    fn add(&mut self, path: &str, group: Vec<Operation>) -> Result<(), String> {
        let first = &group[0];
        let template: Arc<str> = first.path.as_str().into();
        let names = first.path_names().map(|name| (Arc::from(name), first.is_uuid_param(name))).collect();
        let conflict = |error: matchit::InsertError| format!("{template} cannot be told from another path: {error}");
        let at = self.routes.len();
        let ends_open = path.ends_with('}') && path.rsplit('/').next().is_some_and(|last| last.starts_with("{*"));
        self.tree.insert(if path.is_empty() { "/" } else { path }, at).map_err(conflict)?;
        if !path.is_empty() && !ends_open {
            self.tree.insert(format!("{path}/"), at).map_err(conflict)?;
        }
        // Loopwave's pages have what is left of a key's budget on every answer, refusals of any kind included.
        let first_door = group.iter().find_map(|operation| match operation.access {
            Access::Key(keyed) if Surface::of(path) == Surface::Loopwave => Some(keyed.door),
            _ => None,
        });
        let mut allow = String::new();
        for operation in &group {
            let separator = if allow.is_empty() { "" } else { ", " };
            let _ = write!(allow, "{separator}{}", operation.method);
        }
        if group.iter().any(|operation| operation.method == Method::GET) {
            allow.push_str(", HEAD");
        }
        allow.push_str(", OPTIONS");
        let endpoints = group
            .into_iter()
            .map(|operation| {
                let produces = operation.produces().into_iter().map(str::to_owned).collect();
                (operation.method.clone(), Arc::new(Endpoint { operation: Arc::new(operation), produces }))
            })
            .collect();
        self.first_door = self.first_door.or(first_door);
        self.routes.push(Route { template, endpoints, allow: header_value(&allow), first_door, names });
        Ok(())
    }

    /// As [`Route::first_door`], of a path that there is no route for.
    pub fn first_door(&self, path: &str) -> Option<&'static Door> {
        self.first_door.filter(|_| Surface::of(path) == Surface::Loopwave)
    }

    /// The route of a path with its decoded parameters.
    ///
    /// # Errors
    /// 404 `not_found` when there is none, or when a parameter that must be a UUID is none.
    pub fn find(&self, path: &str) -> Result<(&Route, Params)> {
        let found = self.tree.at(path).map_err(|_| Problem::not_found())?;
        let route = &self.routes[*found.value];
        if route.names.is_empty() {
            return Ok((route, Vec::new()));
        }
        let mut params = Vec::with_capacity(route.names.len());
        for ((name, is_uuid), (_, raw)) in route.names.iter().zip(found.params.iter()) {
            let value = decode(raw, false).filter(|text| !text.contains('\0')).ok_or_else(Problem::not_found)?;
            if *is_uuid && !is_hyphenated_uuid(&value) {
                return Err(Problem::not_found());
            }
            params.push((name.clone(), value));
        }
        Ok((route, params))
    }

    pub fn operations(&self) -> impl Iterator<Item = &Arc<Operation>> {
        self.routes.iter().flat_map(|route| &route.endpoints).map(|(_, endpoint)| &endpoint.operation)
    }
}

impl Route {
    /// The operation for a method; HEAD is served by GET.
    pub fn endpoint(&self, method: &Method) -> Option<&Arc<Endpoint>> {
        let find = |wanted: &Method| self.endpoints.iter().find(|(known, _)| known == wanted).map(|(_, found)| found);
        find(method).or_else(|| if method == Method::HEAD { find(&Method::GET) } else { None })
    }
}

/// The one spelling that we write; `Uuid::parse_str` would also take braces and URNs, which are other URLs of one record.
fn is_hyphenated_uuid(text: &str) -> bool {
    text.len() == 36 && Uuid::try_parse(text).is_ok()
}

/// MCP 2026-07-28, Tool Names.
fn is_tool_name(name: &str) -> bool {
    matches!(name.len(), 1..=128) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

fn bare(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Reply;

    fn op(method: Method, id: &str, path: &str) -> Operation {
        Operation::new(method, id, path, |_| async { Ok(Reply::no_content()) })
    }

    #[test]
    fn slashes_are_forgiven_and_ids_are_checked() {
        let routes = Routes::build(vec![
            op(Method::GET, "root", "/"),
            op(Method::GET, "list", "/a/"),
            op(Method::POST, "create", "/a/"),
            op(Method::GET, "get", "/a/{id}/"),
            op(Method::GET, "find", "/a/search/"),
            op(Method::GET, "asset", "/assets/{*path}"),
        ])
        .unwrap();
        let id = "0197a3c0-0000-7000-8000-000000000001";
        for (path, template) in [
            ("/".to_owned(), "/"),
            ("/a".to_owned(), "/a/"),
            ("/a/".to_owned(), "/a/"),
            (format!("/a/{id}"), "/a/{id}/"),
            (format!("/a/{}/", id.to_uppercase()), "/a/{id}/"),
            ("/a/search".to_owned(), "/a/search/"),
            ("/assets/x/y.css".to_owned(), "/assets/{*path}"),
        ] {
            assert_eq!(&*routes.find(&path).unwrap().0.template, template, "{path}");
        }
        for path in ["/b/", "/a/7/", "/a//", "/a/%00/", "/a/{id}/"] {
            assert_eq!(routes.find(path).err().unwrap().status(), 404, "{path}");
        }
        assert_eq!(routes.find("/a").unwrap().0.allow, "GET, POST, HEAD, OPTIONS");
    }

    #[test]
    fn conflicts_are_told_in_words() {
        let refuse = |operations| Routes::build(operations).err().unwrap();
        assert!(refuse(vec![op(Method::GET, "x", "/a/"), op(Method::GET, "x", "/b/")]).contains("operation id `x`"));
        assert!(refuse(vec![op(Method::GET, "x", "/a/"), op(Method::GET, "y", "/a")]).contains("declared twice"));
        assert!(
            refuse(vec![op(Method::GET, "x", "/a/{id}/"), op(Method::GET, "y", "/a/{key}/")]).contains("told from")
        );
        assert!(refuse(vec![op(Method::GET, "x", "a")]).contains("start with a slash"));
        let tool = |id: &str, name: &str| op(Method::GET, id, &format!("/{id}/")).tool(name);
        assert!(refuse(vec![tool("x", "do"), tool("y", "do")]).contains("the tool `do` of `y`"));
        assert!(refuse(vec![tool("x", "do it")]).contains("the tool `do it`"));
    }
}
