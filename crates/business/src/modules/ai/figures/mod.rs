//! Figures: what can be found out from the rows that the caller may see. Every topic looks through the same filters as the lists of the API,
//! so nobody learns here what they could not list.

mod appointments;
mod invoices;
mod people;

use std::sync::Arc;

use loopd_kernel::advisor::Fact;
use loopd_store::Value;
use loopd_types::{Problem, Result};
use loopd_web::Query;
use serde_json::{Value as Json, json};

use super::period::Span;
use super::understand::Topic;
use super::words::Language;
use crate::engine::request::ListRequest;
use crate::engine::{ResourceRuntime, Viewer, list};

/// Rows named in an answer, at most.
pub(super) const MOST_IDS: usize = 20;

/// One thing that was found out, and from which rows.
pub(super) struct Finding {
    pub fact: Fact,
    pub used: Vec<Used>,
}

/// Rows that a finding was made from.
pub(super) struct Used {
    pub resource: String,
    pub count: i64,
    pub ids: Vec<String>,
    pub period: Json,
}

impl Used {
    pub fn render(&self) -> Json {
        json!({"resource": self.resource, "count": self.count, "ids": self.ids, "period": self.period})
    }
}

/// What a topic needs to know.
pub(super) struct Asked<'s> {
    pub span: &'s Span,
    pub language: Language,
    /// Whether the question named the topic: then what cannot be seen is said, otherwise passed over.
    pub by_name: bool,
}

/// The rows of a resource that this caller may see, as conditions of a statement.
pub(super) struct Rows {
    pub runtime: Arc<ResourceRuntime>,
    pub conditions: String,
    pub params: Vec<Value>,
}

/// Whether a resource can be looked at.
pub(super) enum Sight {
    Rows(Rows),
    /// The company does not have the product, or this installation not the resource.
    NoProduct,
    NotAllowed,
}

/// Looks through `filters`, written as in a list's query: `("created_at__gte", "2026-06-22T00:00:00Z")`.
pub(super) fn look(viewer: &mut Viewer<'_, '_>, path: &str, filters: &[(&str, String)]) -> Result<Sight> {
    let Some(runtime) = viewer.engine.registry.find(path).cloned() else { return Ok(Sight::NoProduct) };
    if !viewer.tenant.has_product(&runtime.module, viewer.now()) {
        return Ok(Sight::NoProduct);
    }
    if !viewer.tenant.may(&runtime.permissions.view) {
        return Ok(Sight::NotAllowed);
    }
    let raw: Vec<String> = filters.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let query = Query::parse(Some(&raw.join("&")))?;
    let tenants = std::slice::from_ref(viewer.tenant);
    let request = ListRequest::read(&query, &runtime, viewer.engine, tenants)?;
    let mut params = Vec::new();
    let conditions = list::conditions(viewer.reader, &runtime, tenants, &request, &mut params)?;
    Ok(Sight::Rows(Rows { runtime, conditions, params }))
}

/// Finds out everything that is asked for. A question that names nothing gets whatever there is.
pub(super) fn gather(viewer: &mut Viewer<'_, '_>, topics: &[Topic], asked: &Asked<'_>) -> Result<Vec<Finding>> {
    let mut findings = Vec::with_capacity(topics.len());
    for topic in topics {
        let found = match topic {
            Topic::Sales => invoices::sales(viewer, asked)?,
            Topic::BestSellers => invoices::best_sellers(viewer, asked)?,
            Topic::Overdue => invoices::overdue(viewer, asked)?,
            Topic::Unpaid => invoices::unpaid(viewer, asked)?,
            Topic::Missed => appointments::missed(viewer, asked)?,
            Topic::Busiest => appointments::busiest(viewer, asked)?,
            Topic::NewCustomers => people::new_customers(viewer, asked)?,
            Topic::Waiting => people::waiting(viewer, asked)?,
        };
        findings.extend(found);
    }
    if findings.is_empty() {
        findings.push(nothing(asked.language));
    }
    Ok(findings)
}

fn nothing(language: Language) -> Finding {
    let words = language.choose(
        "There is nothing that I could look at: your company uses none of Payments, Booking and Chat, or your role may not see them. Subscribe to one of them, or ask an owner for the right to view.",
        "Je ne peux rien consulter : votre entreprise n'utilise ni Payments, ni Booking, ni Chat, ou votre rôle ne permet pas de les voir. Abonnez-vous à l'un d'eux ou demandez le droit de lecture à un propriétaire.",
    );
    finding("nothing", words.to_owned(), json!({}), Vec::new())
}

/// What is said instead of figures when they cannot be looked at; nothing at all when nobody asked for them by name.
fn hidden(topic: Topic, sight: &Sight, asked: &Asked<'_>) -> Option<Finding> {
    if !asked.by_name {
        return None;
    }
    let product = topic.modules()[0];
    let words = match sight {
        Sight::NotAllowed => asked.language.choose(
            format!("You may not view the {product} records that this would be answered from. An owner or admin can give you the right."),
            format!("Vous n'avez pas le droit de voir les données {product} nécessaires. Un propriétaire ou administrateur peut vous l'accorder."),
        ),
        _ => asked.language.choose(
            format!("Your company does not use the product {product}, so there is nothing to answer this from. Subscribe to it first."),
            format!("Votre entreprise n'utilise pas le produit {product} ; il n'y a donc pas de données. Abonnez-vous d'abord."),
        ),
    };
    Some(finding(topic.name(), words, json!({"visible": false}), Vec::new()))
}

fn finding(topic: &str, words: String, figures: Json, used: Vec<Used>) -> Finding {
    Finding { fact: Fact { topic: topic.to_owned(), words, figures }, used }
}

fn period_json(span: &Span) -> Json {
    json!({"name": span.period.name(), "from": span.from, "until": span.until})
}

/// `{field}__gte` and `{field}__lt` for a span.
fn between(field: &str, from: loopd_types::Timestamp, until: loopd_types::Timestamp) -> [(String, String); 2] {
    [(format!("{field}__gte"), from.to_string()), (format!("{field}__lt"), until.to_string())]
}

/// Looks at the rows of a span.
fn look_between(
    viewer: &mut Viewer<'_, '_>,
    path: &str,
    field: &str,
    (from, until): (loopd_types::Timestamp, loopd_types::Timestamp),
    more: &[(&str, String)],
) -> Result<Sight> {
    let span = between(field, from, until);
    let mut filters: Vec<(&str, String)> = span.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    filters.extend(more.iter().cloned());
    look(viewer, path, &filters)
}

/// The rows, where [`hidden`] was already asked.
fn visible(sight: Sight) -> Result<Rows> {
    match sight {
        Sight::Rows(rows) => Ok(rows),
        _ => Err(Problem::permission_denied()),
    }
}
