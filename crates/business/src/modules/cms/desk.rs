//! The editor's desk: what is filled in by itself, publishing now and later, orders of menus.

use std::sync::Arc;

use loopd_kernel::Tenant;
use loopd_kernel::job::{self, Job, NewJob, Runner};
use serde_json::json;

use crate::define::*;

/// Publishes one scheduled page or post at its time.
const PUBLISH: &str = "cms.publish";

/// A new page is written in its site's default language unless it says otherwise; its first revision follows it.
pub(super) fn complete_new(cx: &mut Cx<'_, '_>, page: &mut Record) -> Result<()> {
    fill_language(cx, page)?;
    page.set("revision", 1);
    Ok(())
}

/// A change of words makes a revision.
pub(super) fn complete_changed(cx: &mut Cx<'_, '_>, before: &Record, page: &mut Record) -> Result<()> {
    fill_language(cx, page)?;
    if super::revision::differs(before, page) {
        page.set("revision", before.int("revision").unwrap_or(0) + 1);
    }
    Ok(())
}

fn fill_language(cx: &mut Cx<'_, '_>, page: &mut Record) -> Result<()> {
    if page.has("language") {
        return Ok(());
    }
    let of_site = match page.id_in("site") {
        Some(site) => cx.get("cms/sites", site)?.text("default_language").map(str::to_owned),
        None => None,
    };
    let language = of_site.unwrap_or_else(|| cx.tenant.language().to_owned());
    page.set("language", language);
    Ok(())
}

pub(super) fn require_future(cx: &mut Cx<'_, '_>, _: &mut Record, input: &Input) -> Result<()> {
    match input.time("at") {
        Some(at) if at > cx.now() => Ok(()),
        _ => Err(Problem::field("at", "min_value", "Choose a time in the future.")),
    }
}

/// Leaves a job for the time. A page that is taken back or scheduled anew leaves its old job with nothing to do.
pub(super) fn plan_publication(cx: &mut Cx<'_, '_>, page: &mut Record, _: &Input) -> Result<()> {
    let Some(at) = page.time("scheduled_at") else { return Ok(()) };
    let payload = json!({"resource": page.resource().path, "id": page.id().to_string()}).to_string();
    let job = NewJob { kind: PUBLISH, company: cx.company(), payload, run_at: at, unique_key: None };
    job::enqueue(cx.tx, cx.kernel(), &job)?;
    Ok(())
}

pub(super) fn forget_schedule(_: &mut Cx<'_, '_>, page: &mut Record, _: &Input) -> Result<()> {
    page.set("scheduled_at", Value::Null);
    Ok(())
}

/// Lets a runner do what this module leaves for later.
pub fn register_jobs(runner: &mut Runner, engine: &Engine) {
    let engine = engine.clone();
    runner.register(PUBLISH, Arc::new(move |_, job| Box::pin(publish_when_due(engine.clone(), job))));
}

/// Publishes what is still scheduled and due. May run more than once, and for pages that were taken back meanwhile.
async fn publish_when_due(engine: Engine, job: Job) -> Result<()> {
    let path = match job.payload["resource"].as_str() {
        Some("cms/posts") => "cms/posts",
        _ => "cms/pages",
    };
    let Some(id) = job.payload["id"].as_str().and_then(|id| Uuid::parse_str(id).ok()) else { return Ok(()) };
    let kernel = engine.kernel.clone();
    let Some(access) = kernel.company_access(job.company).await? else { return Ok(()) };
    let tenant = Arc::new(Tenant::system(access, "a scheduled publication"));
    kernel
        .db
        .write(tenant.view(), move |tx| {
            let mut cx = Cx::new(tx, &engine, &tenant);
            let Some(page) = cx.find(path, id)? else { return Ok(()) };
            let is_due = page.status() == "scheduled" && page.time("scheduled_at").is_some_and(|at| at <= cx.now());
            if is_due {
                cx.act(path, id, "publish", &json!({}))?;
            }
            Ok(())
        })
        .await
}

/// Numbers the items of a menu as they are listed; items that are not listed keep their numbers.
pub(super) fn reorder(cx: &mut Cx<'_, '_>, menu: &mut Record, input: &Input) -> Result<()> {
    for (place, id) in input.ids_in("items").into_iter().enumerate() {
        let mut item = cx.lock("cms/menu-items", id)?;
        if item.id_in("menu") != Some(menu.id()) {
            let words = format!("The item {id} stands in another menu.");
            return Err(Problem::field("items", "invalid", words));
        }
        item.set("position", place as i64);
        cx.save(&mut item)?;
    }
    Ok(())
}

/// A redirect starts at a path and does not lead to itself.
pub(super) fn check_redirect(_: &mut Cx<'_, '_>, redirect: &mut Record) -> Result<()> {
    let from = redirect.text("from_path").unwrap_or_default();
    if !from.starts_with('/') {
        return Err(Problem::field("from_path", "invalid", "A path begins with a slash."));
    }
    let to = redirect.text("to_path").unwrap_or_default();
    if to == from {
        return Err(Problem::field("to_path", "invalid", "A redirect cannot lead to itself."));
    }
    let is_address = to.starts_with("https://") || to.starts_with("http://");
    // "//host" is another host in disguise
    if !is_address && (!to.starts_with('/') || to.starts_with("//")) {
        return Err(Problem::field("to_path", "invalid", "Enter a path that begins with a slash, or a valid URL."));
    }
    Ok(())
}
