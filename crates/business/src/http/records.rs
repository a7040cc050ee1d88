//! The operations of one resource: list, create, retrieve, update, delete, restore, actions, history, bulk, export.

use std::sync::Arc;

use http::HeaderName;
use http::header::LOCATION;
use loopd_kernel::Tenant;
use loopd_store::View;
use loopd_types::{CompanyId, Problem, Result};
use loopd_web::{Call, Operation, PageWriter, Reply, page};

use super::describe;
use crate::define::Action;
use crate::engine::bulk::Bulk;
use crate::engine::create::Written;
use crate::engine::export::{Cursor, export};
use crate::engine::request::{ListRequest, Show};
use crate::engine::update::expected_version;
use crate::engine::{Cx, Engine, Registry, ResourceRuntime, act, bulk, create, delete, list, update, view};

const COUNT_EXACT: HeaderName = HeaderName::from_static("x-count-exact");

/// What every handler needs: the definitions, and the one it serves.
#[derive(Clone)]
pub(super) struct Door {
    pub registry: Arc<Registry>,
    pub runtime: Arc<ResourceRuntime>,
}

impl Door {
    pub fn engine(&self, call: &Call) -> Engine {
        Engine::new(call.kernel.clone(), self.registry.clone())
    }
}

/// Every operation of `runtime`, documented.
pub(super) fn operations(registry: &Arc<Registry>, runtime: &Arc<ResourceRuntime>) -> Vec<Operation> {
    let door = Door { registry: registry.clone(), runtime: runtime.clone() };
    let definition = &runtime.resource;
    let mut all = vec![
        describe::as_tool(describe::list(&door, on(&door, list_records))),
        describe::as_tool(describe::retrieve(&door, on(&door, retrieve))),
        describe::actions(&door, on(&door, list_actions)),
        describe::history(&door, on(&door, history)),
        describe::export(&door, on(&door, export_csv)),
    ];
    if !definition.read_only {
        all.push(describe::as_tool(describe::create(&door, on(&door, create_record))));
        all.push(describe::bulk(&door, on(&door, bulk_write)));
        all.push(describe::import(&door, on(&door, super::imports::import)));
    }
    if !definition.read_only && !definition.append_only {
        all.push(describe::update(&door, on(&door, |door, call| write_update(door, call, true))));
        all.push(describe::as_tool(describe::partial_update(
            &door,
            on(&door, |door, call| write_update(door, call, false)),
        )));
        all.push(describe::upsert(&door, on(&door, upsert)));
        all.push(describe::as_tool(describe::destroy(&door, on(&door, destroy))));
        if definition.find_action("restore").is_none() {
            all.push(describe::as_tool(describe::restore(&door, on(&door, restore))));
        }
    }
    all.extend(super::attachments::operations(&door));
    for action in &definition.actions {
        let name: Arc<str> = action.name.as_str().into();
        all.push(describe::as_tool(describe::action(&door, action, on_action(&door, name, action))));
    }
    all
}

/// A handler that is given its door.
pub(super) fn on<F, R>(door: &Door, handler: F) -> impl Fn(Call) -> R + Send + Sync + 'static
where
    F: Fn(Door, Call) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Reply>> + Send + 'static,
{
    let door = door.clone();
    move |call| handler(door.clone(), call)
}

fn on_action(
    door: &Door,
    name: Arc<str>,
    _: &Action,
) -> impl Fn(Call) -> std::pin::Pin<Box<dyn Future<Output = Result<Reply>> + Send>> + Send + Sync + 'static {
    let door = door.clone();
    move |call| Box::pin(run_action(door.clone(), name.clone(), call))
}

/// Whose rows a read over these companies may touch.
pub(super) fn view_of(tenants: &[Arc<Tenant>]) -> View {
    match tenants {
        [only] => only.view(),
        several => View::Companies(several.iter().map(|tenant| tenant.company).collect::<Arc<[CompanyId]>>()),
    }
}

async fn list_records(door: Door, call: Call) -> Result<Reply> {
    if call.query().get("format") == Some("csv") {
        return export_csv(door, call).await;
    }
    let (engine, tenants) = (door.engine(&call), call.scope()?.to_vec());
    if tenants.is_empty() {
        // A superuser of an installation without a company.
        let asked = call.query().page()?;
        let (number, _) = page::resolve(asked, 0)?;
        let writer = PageWriter::new(&call.url(), call.query(), number, asked.size, 0);
        return Ok(Reply::json_bytes(200, writer.finish()));
    }
    let request = ListRequest::read(call.query(), &door.runtime, &engine, &tenants)?;
    let is_heavy = request.is_heavy(&door.runtime, &tenants);
    let (base, query, view) = (call.url(), call.query().clone(), view_of(&tenants));
    let work = move |reader: &mut loopd_store::Reader<'_>| {
        list::list(reader, &engine, &door.runtime, &tenants, &request, (&base, &query))
    };
    let db = &call.kernel.db;
    let listed = if is_heavy { db.read_long(view, work).await? } else { db.read(view, work).await? };
    Ok(page_of(listed))
}

/// The answer of a list, which says so when its `count` is not the whole truth.
pub(super) fn page_of(listed: list::Listed) -> Reply {
    let reply = Reply::json_bytes(200, listed.json);
    if listed.is_count_exact { reply } else { reply.with_header(COUNT_EXACT, "false") }
}

async fn retrieve(door: Door, call: Call) -> Result<Reply> {
    let (engine, tenant, id) = (door.engine(&call), call.tenant()?.clone(), call.id()?);
    let show = Show::read_one(call.query(), &door.runtime, &engine, &tenant)?;
    let view = tenant.view();
    let work =
        move |reader: &mut loopd_store::Reader<'_>| view::view(reader, &engine, &door.runtime, &tenant, id, &show);
    let viewed = call.kernel.db.read(view, work).await?;
    if !viewed.is_whole {
        return Ok(Reply::json_bytes(200, viewed.json));
    }
    let tag = viewed.version.to_string();
    Ok(Reply::json_unless_known(call.header("if-none-match"), &tag, viewed.json))
}

async fn create_record(door: Door, mut call: Call) -> Result<Reply> {
    let (engine, tenant, body) = (door.engine(&call), call.tenant()?.clone(), call.take_json()?);
    let base = call.url();
    call.commit(tenant.view(), move |tx| {
        let written = create::create(&mut Cx::new(tx, &engine, &tenant), &door.runtime, &body)?;
        let id = written.record.id().to_string();
        let location = [base.trim_end_matches('/'), &id, ""].join("/");
        Ok(answer(201, written).with_header(LOCATION, &location))
    })
    .await
}

async fn write_update(door: Door, mut call: Call, whole: bool) -> Result<Reply> {
    let (engine, tenant, id, body) = (door.engine(&call), call.tenant()?.clone(), call.id()?, call.take_json()?);
    let expected = expected_version(call.header("if-match"))?;
    call.commit(tenant.view(), move |tx| {
        let mut cx = Cx::new(tx, &engine, &tenant);
        update::update(&mut cx, &door.runtime, id, &body, whole, expected).map(|written| answer(200, written))
    })
    .await
}

async fn upsert(door: Door, mut call: Call) -> Result<Reply> {
    let (engine, tenant, body) = (door.engine(&call), call.tenant()?.clone(), call.take_json()?);
    let (external_id, expected) = (call.param("external_id").to_owned(), expected_version(call.header("if-match"))?);
    call.commit(tenant.view(), move |tx| {
        let mut cx = Cx::new(tx, &engine, &tenant);
        let (written, is_new) = update::upsert(&mut cx, &door.runtime, &external_id, &body, expected)?;
        Ok(answer(if is_new { 201 } else { 200 }, written))
    })
    .await
}

async fn destroy(door: Door, call: Call) -> Result<Reply> {
    let (engine, tenant, id) = (door.engine(&call), call.tenant()?.clone(), call.id()?);
    let expected = expected_version(call.header("if-match"))?;
    call.commit(tenant.view(), move |tx| {
        delete::delete(&mut Cx::new(tx, &engine, &tenant), &door.runtime, id, expected)?;
        Ok(Reply::no_content())
    })
    .await
}

async fn restore(door: Door, call: Call) -> Result<Reply> {
    let (engine, tenant, id) = (door.engine(&call), call.tenant()?.clone(), call.id()?);
    call.commit(tenant.view(), move |tx| {
        delete::restore(&mut Cx::new(tx, &engine, &tenant), &door.runtime, id).map(|written| answer(200, written))
    })
    .await
}

async fn run_action(door: Door, action: Arc<str>, mut call: Call) -> Result<Reply> {
    let (engine, tenant, id, body) = (door.engine(&call), call.tenant()?.clone(), call.id()?, call.take_json()?);
    let expected = expected_version(call.header("if-match"))?;
    call.commit(tenant.view(), move |tx| {
        let mut cx = Cx::new(tx, &engine, &tenant);
        act::act(&mut cx, &door.runtime, id, &action, &body, expected).map(|written| answer(200, written))
    })
    .await
}

async fn list_actions(door: Door, call: Call) -> Result<Reply> {
    let (tenant, id) = (call.tenant()?.clone(), call.id()?);
    call.query().refuse_unknown(|_| false)?;
    let view = tenant.view();
    let work = move |reader: &mut loopd_store::Reader<'_>| {
        let record = view::find_visible(reader, &door.runtime, &tenant, id)?;
        Ok(view::render_actions(&door.registry, &door.runtime, &tenant, &record))
    };
    call.kernel.db.read(view, work).await.map(|json| Reply::json_bytes(200, json))
}

async fn history(door: Door, call: Call) -> Result<Reply> {
    let (tenant, id) = (call.tenant()?.clone(), call.id()?);
    let (base, query, view) = (call.url(), call.query().clone(), tenant.view());
    query.refuse_unknown(|name| name == "page" || name == "page_size")?;
    let work =
        move |reader: &mut loopd_store::Reader<'_>| view::history(reader, &door.runtime, &tenant, id, (&base, &query));
    call.kernel.db.read_long(view, work).await.map(|json| Reply::json_bytes(200, json))
}

async fn bulk_write(door: Door, call: Call) -> Result<Reply> {
    let (engine, tenant) = (door.engine(&call), call.tenant()?.clone());
    let bulk = Bulk::read(call.json_ref()?, &door.runtime, &tenant)?;
    call.commit(tenant.view(), move |tx| {
        let answer = bulk::bulk(&mut Cx::new(tx, &engine, &tenant), &door.runtime, &bulk)?;
        Reply::json(200, &answer)
    })
    .await
}

async fn export_csv(door: Door, call: Call) -> Result<Reply> {
    if call.query().get("format").is_some_and(|format| format != "csv") {
        return Err(Problem::field("format", "invalid_choice", "Exports come as csv."));
    }
    let (engine, tenants) = (door.engine(&call), call.scope()?.to_vec());
    let request = ListRequest::read(call.query(), &door.runtime, &engine, &tenants)?;
    let name = format!("{}.csv", door.runtime.path.replace('/', "-"));
    // the first chunk is read before the answer begins, so that what is wrong can still be said
    let (first, next) = chunk(&call, &door, &tenants, &request, Cursor::Start).await?;
    let more = futures_util::stream::unfold((call, next), move |(call, next)| {
        let (door, tenants, request) = (door.clone(), tenants.clone(), request.clone());
        async move {
            let cursor = next?;
            match chunk(&call, &door, &tenants, &request, cursor).await {
                Ok((bytes, next)) => Some((Ok(bytes::Bytes::from(bytes)), (call, next))),
                Err(problem) => Some((Err(std::io::Error::other(problem.to_string())), (call, None))),
            }
        }
    });
    let first = futures_util::stream::once(async move { Ok::<_, std::io::Error>(bytes::Bytes::from(first)) });
    let chunks = futures_util::StreamExt::chain(first, more);
    Ok(Reply::stream(200, "text/csv; charset=utf-8", chunks).as_download(&name))
}

async fn chunk(
    call: &Call,
    door: &Door,
    tenants: &[Arc<Tenant>],
    request: &ListRequest,
    cursor: Cursor,
) -> Result<(Vec<u8>, Option<Cursor>)> {
    let (runtime, tenants, request) = (door.runtime.clone(), tenants.to_vec(), request.clone());
    let view = view_of(&tenants);
    let work = move |reader: &mut loopd_store::Reader<'_>| export(reader, &runtime, &tenants, &request, &cursor);
    call.kernel.db.read_long(view, work).await
}

fn answer(status: u16, written: Written) -> Reply {
    let version = written.record.version();
    Reply::json_bytes(status, written.json).with_etag(&version.to_string())
}
