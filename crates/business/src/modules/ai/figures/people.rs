//! What customers' records and chat tell: who is new, which questions wait.

use std::collections::BTreeSet;

use loopd_types::DAY_US;
use serde_json::{Value as Json, json};

use super::{Asked, Finding, MOST_IDS, Sight, Used, finding, hidden, look, look_between, period_json};
use crate::define::{Fields, Result, Uuid, Where};
use crate::engine::Viewer;
use crate::modules::ai::store;
use crate::modules::ai::understand::Topic;
use crate::modules::ai::words::days_of;

/// Where customers are kept.
const CUSTOMERS: [&str; 3] = ["booking/customers", "payments/customers", "crm/contacts"];
/// Days in which a question in chat counts as waiting.
const WAITING_DAYS: i64 = 14;

/// Customers made in the span, wherever they are kept.
pub(super) fn new_customers(viewer: &mut Viewer<'_, '_>, asked: &Asked<'_>) -> Result<Option<Finding>> {
    let span = asked.span;
    let (mut total, mut used, mut parts, mut first_hidden) = (0, Vec::new(), Vec::new(), None);
    for path in CUSTOMERS {
        let sight = look_between(viewer, path, "created_at", (span.from, span.until), &[])?;
        let Sight::Rows(rows) = sight else {
            first_hidden.get_or_insert(sight);
            continue;
        };
        let count = store::count(viewer, &rows)?;
        total += count;
        parts.push(json!({"resource": path, "count": count}));
        let ids = store::ids(viewer, &rows, MOST_IDS)?;
        used.push(Used { resource: path.to_owned(), count, ids, period: period_json(span) });
    }
    if used.is_empty() {
        return Ok(first_hidden.and_then(|sight| hidden(Topic::NewCustomers, &sight, asked)));
    }
    let (language, name) = (asked.language, days_of(asked.language, span));
    let words =
        language.choose(format!("New customers {name}: {total}."), format!("Nouveaux clients {name} : {total}."));
    let figures = json!({"period": period_json(span), "new_customers": total, "by_resource": parts});
    Ok(Some(finding(Topic::NewCustomers.name(), words, figures, used)))
}

/// Channels whose newest message is a question of somebody else.
pub(super) fn waiting(viewer: &mut Viewer<'_, '_>, asked: &Asked<'_>) -> Result<Option<Finding>> {
    let sight = look(viewer, "chat/messages", &[])?;
    let Sight::Rows(_) = sight else { return Ok(hidden(Topic::Waiting, &sight, asked)) };
    let since = viewer.now().plus(-WAITING_DAYS * DAY_US);
    let recent = Where::new()
        .at_least("created_at", since)
        .status_in(&["sent", "edited"])
        .order_by_descending("id")
        .limit(2_000);
    let open = open_channels(viewer)?;
    let (mut seen, mut questions): (BTreeSet<Uuid>, Vec<String>) = (BTreeSet::new(), Vec::new());
    for message in viewer.select("chat/messages", &recent)? {
        let Some(channel) = message.id_in("channel").filter(|channel| open.contains(channel)) else { continue };
        if !seen.insert(channel) {
            continue;
        }
        let is_own = viewer.tenant.actor.user.is_some() && message.id_in("author") == viewer.tenant.actor.user;
        if !is_own && message.text("body").is_some_and(|body| body.contains(['?', '？', '؟'])) {
            questions.push(message.id().to_string());
        }
    }
    let count = questions.len();
    let language = asked.language;
    let words = match count {
        0 => language.choose(
            "Chat: no question of the last two weeks waits for an answer.".to_owned(),
            "Chat : aucune question des deux dernières semaines n'attend de réponse.".to_owned(),
        ),
        1 => language.choose(
            "Chat: one question of the last two weeks waits for an answer.".to_owned(),
            "Chat : une question des deux dernières semaines attend une réponse.".to_owned(),
        ),
        count => language.choose(
            format!("Chat: {count} questions of the last two weeks wait for an answer."),
            format!("Chat : {count} questions des deux dernières semaines attendent une réponse."),
        ),
    };
    questions.truncate(MOST_IDS);
    let used = Used {
        resource: "chat/messages".into(),
        count: i64::try_from(count).unwrap_or(i64::MAX),
        ids: questions,
        period: json!({"name": "last_14_days", "from": since, "until": viewer.now()}),
    };
    Ok(Some(finding(Topic::Waiting.name(), words, json!({"questions_waiting": count}), vec![used])))
}

/// The channels that the caller finds: open ones, and those they are a member of; within their workspaces.
fn open_channels(viewer: &mut Viewer<'_, '_>) -> Result<BTreeSet<Uuid>> {
    let user = viewer.tenant.actor.user;
    let active = Where::new().status_in(&["active"]);
    let is_mine = |members: &Json| {
        let list = members.as_array().into_iter().flatten().filter_map(Json::as_str);
        user.is_some_and(|user| list.into_iter().any(|id| id == user.to_string()))
    };
    let channels = viewer.select("chat/channels", &active)?;
    let limit = viewer.tenant.workspace_limit();
    let in_reach = |workspace: Option<Uuid>| match (limit, workspace) {
        (Some(limit), Some(workspace)) => limit.contains(&workspace),
        _ => true,
    };
    let open = channels.iter().filter(|channel| {
        in_reach(channel.workspace())
            && (channel.text("visibility") != Some("private")
                || channel.json("members").is_some_and(|list| is_mine(&list)))
    });
    Ok(open.map(|channel| channel.id()).collect())
}
