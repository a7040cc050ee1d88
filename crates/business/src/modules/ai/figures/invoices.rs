//! What invoices tell: sales, best sellers, what is late and what is unpaid.

use serde_json::json;

use super::{Asked, Finding, MOST_IDS, Rows, Sight, Used, finding, hidden, look, look_between, period_json, visible};
use crate::define::{Kind, Result};
use crate::engine::{ResourceRuntime, Viewer};
use crate::modules::ai::period::Span;
use crate::modules::ai::store::{self, Sum};
use crate::modules::ai::understand::Topic;
use crate::modules::ai::words::{amount, change, day, days_of, sums};

const INVOICES: &str = "payments/invoices";
/// Invoices that are sales: given to a customer, and neither void nor written off.
const SOLD: [&str; 5] = ["open", "sent", "partially_paid", "paid", "overdue"];
/// Invoices on which money can be due.
const DUE: [&str; 4] = ["open", "sent", "partially_paid", "overdue"];

/// Of these states those that the resource has, as a filter.
fn status_in(runtime: &ResourceRuntime, states: &[&str]) -> (&'static str, String) {
    let known: Vec<&str> =
        states.iter().copied().filter(|state| runtime.resource.states.iter().any(|known| known == state)).collect();
    ("status__in", known.join(","))
}

/// When an invoice became a sale: when it was issued, where the resource keeps that.
fn sold_at(runtime: &ResourceRuntime) -> &'static str {
    let is_moment = |name: &str| runtime.resource.find_field(name).is_some_and(|field| field.kind == Kind::DateTime);
    ["issued_at", "finalized_at"].into_iter().find(|name| is_moment(name)).unwrap_or("created_at")
}

fn used(resource: &str, sums: &[Sum], ids: Vec<String>, period: serde_json::Value) -> Used {
    Used { resource: resource.to_owned(), count: sums.iter().map(|sum| sum.count).sum(), ids, period }
}

fn figures(sums: &[Sum]) -> serde_json::Value {
    let rows = sums.iter().map(|sum| json!({"currency": sum.currency, "amount": sum.text(), "count": sum.count}));
    rows.collect()
}

/// Sales of the span against the one before, and what waits as a draft.
pub(super) fn sales(viewer: &mut Viewer<'_, '_>, asked: &Asked<'_>) -> Result<Option<Finding>> {
    let Some(runtime) = viewer.engine.registry.find(INVOICES).cloned() else {
        return Ok(hidden(Topic::Sales, &Sight::NoProduct, asked));
    };
    let (at, sold, span) = (sold_at(&runtime), status_in(&runtime, &SOLD), asked.span);
    let sight = look_between(viewer, INVOICES, at, (span.from, span.until), std::slice::from_ref(&sold))?;
    let Sight::Rows(now) = sight else { return Ok(hidden(Topic::Sales, &sight, asked)) };
    let before = (span.before_from, span.before_until_same_point);
    let before = visible(look_between(viewer, INVOICES, at, before, std::slice::from_ref(&sold))?)?;
    let whole = visible(look_between(viewer, INVOICES, at, (span.before_from, span.from), &[sold])?)?;
    let draft = [("status", String::from("draft"))];
    let drafts = visible(look_between(viewer, INVOICES, "created_at", (span.from, span.until), &draft)?)?;
    let (sold, then, all_then, waiting) = (
        store::sums(viewer, &now, "total")?,
        store::sums(viewer, &before, "total")?,
        store::sums(viewer, &whole, "total")?,
        store::sums(viewer, &drafts, "total")?,
    );
    let language = asked.language;
    let name = days_of(language, span);
    let mut words = if sold.is_empty() && all_then.is_empty() {
        language.choose(
            format!("Sales {name}: none, and none in the period before either. Make an invoice in Payments and finalize it; it counts as a sale from then on."),
            format!("Ventes {name} : aucune, et aucune sur la période précédente. Créez une facture dans Payments et finalisez-la ; elle comptera alors comme vente."),
        )
    } else {
        language.choose(
            format!(
                "Sales {name}: {}. In the period before, up to the same point: {}; all of that period: {}.",
                sums(language, &sold),
                sums(language, &then),
                sums(language, &all_then)
            ),
            format!(
                "Ventes {name} : {}. Sur la période précédente, au même moment : {} ; période entière : {}.",
                sums(language, &sold),
                sums(language, &then),
                sums(language, &all_then)
            ),
        )
    };
    words.push_str(&change(language, viewer.tenant.currency(), &sold, &then));
    if !waiting.is_empty() {
        words.push_str(&language.choose(
            format!(" Not counted: drafts of {}. Finalize them to make them sales.", sums(language, &waiting)),
            format!(
                " Non comptés : brouillons de {}. Finalisez-les pour en faire des ventes.",
                sums(language, &waiting)
            ),
        ));
    }
    let figures = json!({
        "period": period_json(span),
        "sales": figures(&sold),
        "before_same_point": figures(&then),
        "before_whole": figures(&all_then),
        "drafts": figures(&waiting),
    });
    let mut rows = vec![used(INVOICES, &sold, store::ids(viewer, &now, MOST_IDS)?, period_json(span))];
    let past = json!({"name": "before", "from": span.before_from, "until": span.from});
    rows.push(used(INVOICES, &all_then, store::ids(viewer, &whole, MOST_IDS)?, past));
    if !waiting.is_empty() {
        rows.push(used(INVOICES, &waiting, store::ids(viewer, &drafts, MOST_IDS)?, period_json(span)));
    }
    Ok(Some(finding(Topic::Sales.name(), words, figures, rows)))
}

/// What was sold most, by amount, from the lines of the span's sales.
pub(super) fn best_sellers(viewer: &mut Viewer<'_, '_>, asked: &Asked<'_>) -> Result<Option<Finding>> {
    let Some(runtime) = viewer.engine.registry.find(INVOICES).cloned() else {
        return Ok(hidden(Topic::BestSellers, &Sight::NoProduct, asked));
    };
    let span: &Span = asked.span;
    let filter = [status_in(&runtime, &SOLD)];
    let sight = look_between(viewer, INVOICES, sold_at(&runtime), (span.from, span.until), &filter)?;
    let Sight::Rows(rows) = sight else { return Ok(hidden(Topic::BestSellers, &sight, asked)) };
    let best = store::best_sellers(viewer, &rows)?;
    let (language, name) = (asked.language, days_of(asked.language, span));
    let words = if best.is_empty() {
        language.choose(
            format!("Best sellers {name}: no invoice of this period has lines. Put what you sell into the lines of your invoices."),
            format!("Meilleures ventes {name} : aucune facture de la période n'a de lignes. Indiquez ce que vous vendez dans les lignes de vos factures."),
        )
    } else {
        let list: Vec<String> = best
            .iter()
            .enumerate()
            .map(|(place, row)| {
                format!("{}. {} ({} × , {})", place + 1, row.name, row.quantity, amount(row.total, &row.currency))
            })
            .map(|row| row.replace(" × ,", " ×,"))
            .collect();
        let list = list.join("; ");
        language.choose(format!("Best sellers {name}: {list}."), format!("Meilleures ventes {name} : {list}."))
    };
    let shown: Vec<_> = best
        .iter()
        .map(|row| json!({"name": row.name, "quantity": row.quantity, "amount": row.text(), "currency": row.currency}))
        .collect();
    let counted = store::sums(viewer, &rows, "total")?;
    let used = used(INVOICES, &counted, store::ids(viewer, &rows, MOST_IDS)?, period_json(span));
    let figures = json!({"period": period_json(span), "best_sellers": shown});
    Ok(Some(finding(Topic::BestSellers.name(), words, figures, vec![used])))
}

/// Invoices whose due day is over.
pub(super) fn overdue(viewer: &mut Viewer<'_, '_>, asked: &Asked<'_>) -> Result<Option<Finding>> {
    let today = viewer.today();
    let Some((rows, due)) = look_due(viewer, &[("due_date__lt", today.to_string())])? else {
        let sight = look(viewer, INVOICES, &[])?;
        return Ok(hidden(Topic::Overdue, &sight, asked));
    };
    let language = asked.language;
    let oldest = store::oldest_due(viewer, &rows)?;
    let words = match &oldest {
        None => language.choose(
            "Overdue: no invoice is overdue.".to_owned(),
            "En retard : aucune facture n'est en retard.".to_owned(),
        ),
        Some(oldest) => {
            let late = oldest.due.parse::<jiff::civil::Date>().ok().and_then(|due| (today - due).get_days().into());
            let late: i32 = late.unwrap_or(0);
            let (label, owed) = (&oldest.label, amount(oldest.amount, &oldest.currency));
            let since = day(language, &oldest.due);
            language.choose(
                format!("Overdue: {}. The oldest is {label}, {owed}, due {since} ({late} days ago). Begin with it.", sums(language, &due)),
                format!("En retard : {}. La plus ancienne est {label}, {owed}, échue le {since} (il y a {late} jours). Commencez par elle.", sums(language, &due)),
            )
        }
    };
    let figures = json!({
        "today": today.to_string(),
        "overdue": figures(&due),
        "oldest": oldest.as_ref().map(|oldest| json!({
            "invoice": oldest.label, "due_date": oldest.due, "amount_due": oldest.text(), "currency": oldest.currency,
        })),
    });
    let used = used(INVOICES, &due, store::ids(viewer, &rows, MOST_IDS)?, serde_json::Value::Null);
    Ok(Some(finding(Topic::Overdue.name(), words, figures, vec![used])))
}

/// Everything that customers still owe.
pub(super) fn unpaid(viewer: &mut Viewer<'_, '_>, asked: &Asked<'_>) -> Result<Option<Finding>> {
    let Some((rows, due)) = look_due(viewer, &[])? else {
        let sight = look(viewer, INVOICES, &[])?;
        return Ok(hidden(Topic::Unpaid, &sight, asked));
    };
    let language = asked.language;
    let words = if due.is_empty() {
        language
            .choose("Unpaid: nothing is owed to you.".to_owned(), "Impayés : personne ne vous doit rien.".to_owned())
    } else {
        let total = sums(language, &due);
        language.choose(format!("Unpaid in all: {total}."), format!("Impayés au total : {total}."))
    };
    let used = used(INVOICES, &due, store::ids(viewer, &rows, MOST_IDS)?, serde_json::Value::Null);
    Ok(Some(finding(Topic::Unpaid.name(), words, json!({"unpaid": figures(&due)}), vec![used])))
}

/// The invoices on which something is due; `None` when they cannot be looked at.
fn look_due(viewer: &mut Viewer<'_, '_>, more: &[(&str, String)]) -> Result<Option<(Rows, Vec<Sum>)>> {
    let Some(runtime) = viewer.engine.registry.find(INVOICES).cloned() else { return Ok(None) };
    if ["amount_due", "due_date"].iter().any(|field| runtime.place(field).is_none()) {
        return Ok(None);
    }
    let mut filters = vec![status_in(&runtime, &DUE), ("amount_due__gt", String::from("0"))];
    filters.extend(more.iter().cloned());
    let Sight::Rows(rows) = look(viewer, INVOICES, &filters)? else { return Ok(None) };
    let due = store::sums(viewer, &rows, "amount_due")?;
    Ok(Some((rows, due)))
}
