//! How a resource, its fields and its actions are shown, whichever page shows them.

use maud::{Markup, html};

use super::{
    components::{badge, method_badge, table},
    info::{Access, ActionDoc, FieldDoc, ResourceDoc, Write},
};

/// One resource as a fold: path and purpose on its face, fields and actions inside. `id` is its anchor.
pub(super) fn fold(id: &str, resource: &ResourceDoc) -> Markup {
    html! {
        details.resource id=(id) data-find=(search_text(resource)) {
            summary {
                span.resource-face {
                    code { (resource.path) }
                    span.note { (resource.summary) }
                }
                span.counts {
                    @if !resource.fields.is_empty() { (count(resource.fields.len(), "field")) }
                    @if !resource.actions.is_empty() { (count(resource.actions.len(), "action")) }
                }
            }
            div.inside {
                (endpoints(&resource.path))
                @if !resource.states.is_empty() { (life_cycle(&resource.states)) }
                @if !resource.fields.is_empty() { h4 { "Fields" } (fields(&format!("Fields of {}", resource.path), &resource.fields)) }
                @if !resource.actions.is_empty() { h4 { "Actions" } (actions(&format!("Actions of {}", resource.path), &resource.actions)) }
            }
        }
    }
}

fn count(number: usize, word: &str) -> Markup {
    html! { span { (number) " " (word) @if number != 1 { "s" } } }
}

/// The five calls that every resource has.
fn endpoints(path: &str) -> Markup {
    let one = format!("{path}{{id}}/");
    html! {
        ul.endpoints {
            @for (method, path) in [("GET", path), ("POST", path), ("GET", one.as_str()), ("PATCH", one.as_str()), ("DELETE", one.as_str())] {
                li { (method_badge(method)) code { "/api/v1" (path) } }
            }
        }
    }
}

/// The states in the order of their declaration. Which leads where stands beside the actions: a life cycle is no straight line.
fn life_cycle(states: &[String]) -> Markup {
    html! {
        p.states {
            "States: "
            @for state in states { (badge("plain", state)) }
        }
    }
}

/// Fields with their kind and what may be written.
pub(super) fn fields(caption: &str, fields: &[FieldDoc]) -> Markup {
    let rows = fields.iter().map(|field| {
        let FieldDoc { name, kind, write, note } = field;
        html! {
            th scope="row" { code { (name) } }
            td { (kind) }
            td { (write_badge(*write)) }
            td { (note) }
        }
    });
    html! { div.stacked { (table(caption, &["Field", "Kind", "Write", "Notes"], rows)) } }
}

fn write_badge(write: Write) -> Markup {
    match write {
        Write::Required => badge("warn", "required"),
        Write::Optional => badge("plain", "optional"),
        Write::ReadOnly => badge("quiet", "read-only"),
    }
}

/// Action endpoints: address, what it does, which states it moves between, what it takes.
pub(super) fn actions(caption: &str, actions: &[ActionDoc]) -> Markup {
    let rows = actions.iter().map(|action| {
        let ActionDoc { method, path, summary, from, to, body, access } = action;
        html! {
            th scope="row" { span.endpoint { (method_badge(method)) code { "/api/v1" (path) } } }
            td {
                (summary)
                @if *access == Access::Public { " " (badge("good", "public")) }
            }
            td { (moves(from, to.as_deref())) }
            td { (inputs(body)) }
        }
    });
    html! { div.stacked.actions-table { (table(caption, &["Endpoint", "What it does", "Moves", "Body"], rows)) } }
}

fn moves(from: &[String], to: Option<&str>) -> Markup {
    html! {
        @match (from.is_empty(), to) {
            (true, None) => { span.none { "–" } }
            (false, None) => { "stays " (from.join(", ")) }
            (true, Some(to)) => { "any → " strong { (to) } }
            (false, Some(to)) => { (from.join(", ")) " → " strong { (to) } }
        }
    }
}

fn inputs(body: &[FieldDoc]) -> Markup {
    html! {
        @if body.is_empty() { span.none { "–" } }
        @for (index, field) in body.iter().enumerate() {
            @if index > 0 { ", " }
            code { (field.name) }
            @if field.write == Write::Required { span.unseen { " (required)" } span aria-hidden="true" { "*" } }
        }
    }
}

/// What the page's filter looks through, in lower case.
fn search_text(resource: &ResourceDoc) -> String {
    let mut words = vec![resource.path.as_str(), &resource.title, &resource.summary];
    words.extend(resource.fields.iter().map(|field| field.name.as_str()));
    words.extend(resource.actions.iter().map(|action| action.path.as_str()));
    words.join(" ").to_lowercase()
}
