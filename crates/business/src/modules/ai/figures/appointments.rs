//! What appointments tell: who did not come, and when people come.

use jiff::tz::TimeZone;
use loopd_types::DAY_US;
use serde_json::json;

use super::{Asked, Finding, MOST_IDS, Sight, Used, finding, hidden, look_between, period_json, visible};
use crate::define::Result;
use crate::engine::Viewer;
use crate::modules::ai::store;
use crate::modules::ai::understand::Topic;
use crate::modules::ai::words::days_of;

const APPOINTMENTS: &str = "booking/appointments";
/// Days that the busiest hours are taken from: four weeks, so that every weekday counts alike.
const WINDOW_DAYS: i64 = 28;

/// No-shows and cancellations of the span, with their share.
pub(super) fn missed(viewer: &mut Viewer<'_, '_>, asked: &Asked<'_>) -> Result<Option<Finding>> {
    let span = asked.span;
    let whole = (span.from, span.until);
    let sight = look_between(viewer, APPOINTMENTS, "starts_at", whole, &[])?;
    let Sight::Rows(all) = sight else { return Ok(hidden(Topic::Missed, &sight, asked)) };
    let of = |viewer: &mut Viewer<'_, '_>, status: &str| {
        let rows = visible(look_between(viewer, APPOINTMENTS, "starts_at", whole, &[("status", status.to_owned())])?)?;
        let count = store::count(viewer, &rows)?;
        Ok::<_, loopd_types::Problem>((store::ids(viewer, &rows, MOST_IDS)?, count))
    };
    let total = store::count(viewer, &all)?;
    let (no_show_ids, no_shows) = of(viewer, "no_show")?;
    let (cancelled_ids, cancelled) = of(viewer, "cancelled")?;
    let (language, name) = (asked.language, days_of(asked.language, span));
    let words = if total == 0 {
        language.choose(
            format!("Appointments {name}: none with a time, so nobody could miss one. Give appointments a beginning to follow them here."),
            format!("Rendez-vous {name} : aucun avec une heure, donc aucune absence. Donnez une heure de début aux rendez-vous pour les suivre ici."),
        )
    } else {
        let share = |count: i64| count * 100 / total;
        let (lost, gone) = (share(no_shows), share(cancelled));
        language.choose(
            format!(
                "Appointments {name}: {total}; no-shows: {no_shows} ({lost} %), cancelled: {cancelled} ({gone} %)."
            ),
            format!(
                "Rendez-vous {name} : {total} ; absences : {no_shows} ({lost} %), annulations : {cancelled} ({gone} %)."
            ),
        )
    };
    let mut ids = no_show_ids;
    ids.extend(cancelled_ids);
    ids.truncate(MOST_IDS);
    let used = Used { resource: APPOINTMENTS.into(), count: total, ids, period: period_json(span) };
    let figures =
        json!({"period": period_json(span), "appointments": total, "no_shows": no_shows, "cancelled": cancelled});
    Ok(Some(finding(Topic::Missed.name(), words, figures, vec![used])))
}

/// The hours in which most appointments began, over the last four weeks.
pub(super) fn busiest(viewer: &mut Viewer<'_, '_>, asked: &Asked<'_>) -> Result<Option<Finding>> {
    let now = viewer.now();
    let window = (now.plus(-WINDOW_DAYS * DAY_US), now);
    let kept = [("status__in", String::from("pending,confirmed,checked_in,completed"))];
    let sight = look_between(viewer, APPOINTMENTS, "starts_at", window, &kept)?;
    let Sight::Rows(rows) = sight else { return Ok(hidden(Topic::Busiest, &sight, asked)) };
    let starts = store::moments(viewer, &rows, "starts_at")?;
    let zone = TimeZone::get(viewer.tenant.timezone()).unwrap_or(TimeZone::UTC);
    let mut hours = [0i64; 24];
    for start in &starts {
        if let Ok(moment) = jiff::Timestamp::from_microsecond(start.micros()) {
            let hour = moment.to_zoned(zone.clone()).hour();
            hours[usize::from(hour.unsigned_abs()) % 24] += 1;
        }
    }
    let mut order: Vec<usize> = (0..24).filter(|hour| hours[*hour] > 0).collect();
    order.sort_by_key(|hour| (-hours[*hour], *hour));
    order.truncate(3);
    let language = asked.language;
    let words = if order.is_empty() {
        language.choose(
            "Busiest hours: no appointments in the last four weeks, so there is nothing to compare.".to_owned(),
            "Heures d'affluence : aucun rendez-vous ces quatre dernières semaines, rien à comparer.".to_owned(),
        )
    } else {
        let list: Vec<String> = order.iter().map(|hour| format!("{hour:02}:00 ({})", hours[*hour])).collect();
        let list = list.join(", ");
        language.choose(
            format!("Busiest hours of the last four weeks, with the appointments that began then: {list}."),
            format!("Heures d'affluence des quatre dernières semaines, avec le nombre de rendez-vous : {list}."),
        )
    };
    let shown: Vec<_> = order.iter().map(|hour| json!({"hour": hour, "appointments": hours[*hour]})).collect();
    let period = json!({"name": "last_28_days", "from": window.0, "until": window.1});
    let count = i64::try_from(starts.len()).unwrap_or(i64::MAX);
    let used = Used {
        resource: APPOINTMENTS.into(),
        count,
        ids: store::ids(viewer, &rows, MOST_IDS)?,
        period: period.clone(),
    };
    let figures = json!({"period": period, "busiest_hours": shown});
    Ok(Some(finding(Topic::Busiest.name(), words, figures, vec![used])))
}
