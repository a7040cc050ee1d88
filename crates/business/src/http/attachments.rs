//! `…/{id}/attachments/`: files at a record. Who may see the record sees them, who may change it attaches and detaches.

use http::header::LOCATION;
use loopd_kernel::file::{self, NewFile, Purpose, Received, attachment};
use loopd_kernel::listing::Conditions;
use loopd_store::{Reader, Tx};
use loopd_types::{CompanyId, Problem, Result, Uuid};
use loopd_web::{Call, Content, Operation, Reply, ResponseDoc, Schema as _, schema};
use serde_json::Value as Json;

use super::records::{Door, on};
use crate::engine::record::Record;
use crate::engine::{read, view};
use crate::files::{deliver, intake};
use loopd_web::rows::{list, list_params};

/// A body that only names a file.
const NAMED_BYTES: usize = 64 * 1024;

pub(super) fn operations(door: &Door) -> Vec<Operation> {
    let runtime = &door.runtime;
    let base = format!("/api/v1/{}/{{id}}/attachments/", runtime.path);
    let item = format!("{base}{{attachment_id}}/");
    let (id, one) = (runtime.path.replace(['/', '-'], "_"), runtime.resource.singular.replace('-', " "));
    let op = |operation: Operation, summary: String, permission: &str| {
        operation.tag(&runtime.module).summary(summary).tenant(Some(&runtime.module), permission)
    };
    let row = || schema::component("Attachment");
    let named = schema::object([("file", schema::uuid())]).required(["file"]);
    let (see, change) = (&runtime.permissions.view, &runtime.permissions.update);
    vec![
        op(Operation::get(format!("{id}_attachments_list"), &base, on(door, list_files)), format!("List the files of a {one}"), see)
            .params(list_params(&attachment::LISTING))
            .responds(200, "One page, newest first.", schema::paginated(row())),
        intake::documented(
            op(
                Operation::post(format!("{id}_attachments_create"), &base, on(door, attach)),
                format!("Attach a file to a {one}"),
                change,
            ),
            &[],
        )
        .describe("A form with one `file`, which then belongs to this record alone; or as JSON the id of a file that was uploaded before.")
        .accepts(true, Content::json(named))
        .response(ResponseDoc::json(201, "The attachment.", row()).header("Location", "Where the attachment is."))
        .responds(409, "`already_attached`, `too_many_attachments`", schema::component("Error")),
        op(Operation::delete(format!("{id}_attachments_destroy"), &item, on(door, detach)), format!("Detach a file from a {one}"), change)
            .describe("A file that was uploaded for this record alone is deleted.")
            .responds_empty(204, "Detached."),
        deliver::documented(op(
            Operation::get(format!("{id}_attachments_content"), format!("{item}content/"), on(door, content)),
            format!("Download a file of a {one}, or its thumbnail"),
            see,
        )),
    ]
}

/// The record in the words that the kernel has for whatever files are attached to.
struct Named {
    module: String,
    resource: String,
    id: Uuid,
    label: String,
    subject: String,
    event: String,
}

impl Named {
    fn of(door: &Door, record: &Record) -> Self {
        let (runtime, resource) = (&door.runtime, &door.runtime.resource);
        Self {
            module: runtime.module.clone(),
            resource: resource.slug.clone(),
            id: record.id(),
            label: record.label().to_owned(),
            subject: record.subject(),
            event: format!("{}.{}", runtime.module, resource.singular),
        }
    }

    fn record(&self) -> attachment::Record<'_> {
        attachment::Record {
            module: &self.module,
            resource: &self.resource,
            id: self.id,
            label: &self.label,
            subject: &self.subject,
            event: &self.event,
        }
    }
}

/// The record, if the caller finds it.
fn see(reader: &mut Reader<'_>, door: &Door, call: &Place) -> Result<Named> {
    view::find_visible(reader, &door.runtime, &call.tenant, call.id).map(|record| Named::of(door, &record))
}

/// The record, if the caller finds it and may change it.
fn change(reader: &mut Reader<'_>, door: &Door, call: &Place) -> Result<Named> {
    let record = view::find_visible(reader, &door.runtime, &call.tenant, call.id)?;
    read::require_may_change(&call.tenant, &record)?;
    Ok(Named::of(door, &record))
}

/// Where a call is about.
#[derive(Clone)]
struct Place {
    tenant: std::sync::Arc<loopd_kernel::Tenant>,
    id: Uuid,
}

impl Place {
    fn of(call: &Call) -> Result<Self> {
        Ok(Self { tenant: call.tenant()?.clone(), id: call.id()? })
    }
}

async fn list_files(door: Door, call: Call) -> Result<Reply> {
    let place = Place::of(&call)?;
    let view = place.tenant.view();
    list(&call, view, move |reader, query| {
        let named = see(reader, &door, &place)?;
        let mine = attachment::of_record(&named.module, &named.resource, named.id);
        attachment::LISTING.list(reader, query, Some(&[place.tenant.company]), mine)
    })
    .await
}

async fn attach(door: Door, mut call: Call) -> Result<Reply> {
    let place = Place::of(&call)?;
    let (looked, at) = (door.clone(), place.clone());
    // Asked before the body is read: nobody sends a film to a record that is not there.
    call.kernel.db.read(place.tenant.view(), move |reader| change(reader, &looked, &at).map(drop)).await?;
    let content_type = call.header("content-type").unwrap_or_default().to_ascii_lowercase();
    let base = call.url().trim_end_matches('/').to_owned();
    if content_type.starts_with("application/json") {
        let body = read_json(&call).await?;
        let file = body["file"].as_str().and_then(|text| Uuid::parse_str(text).ok());
        let file = file.ok_or_else(|| Problem::field("file", "required", "Name a file that was uploaded before."))?;
        call.bind_content(&file.to_string());
        let (kernel, tenant) = (call.kernel.clone(), place.tenant.clone());
        return call
            .commit(tenant.view(), move |tx| {
                let named = change(tx, &door, &place)?;
                let id = attachment::attach(tx, &kernel, &place.tenant, &named.record(), file)?;
                answer(tx, place.tenant.company, id, &base)
            })
            .await;
    }
    let taken = intake::take(&call, place.tenant.company).await?;
    call.bind_content(&taken.received.sha256);
    let (kernel, tenant) = (call.kernel.clone(), place.tenant.clone());
    let new = NewFile { id: kernel.new_id(), name: taken.name, purpose: Purpose::Attachment, expires_at: None };
    let content: Received = taken.received.clone();
    let work = kernel.clone();
    let outcome = call
        .commit(tenant.view(), move |tx| {
            let named = change(tx, &door, &place)?;
            file::keep(tx, &work, &place.tenant, &new, &content)?;
            let id = attachment::attach(tx, &work, &place.tenant, &named.record(), new.id)?;
            answer(tx, place.tenant.company, id, &base)
        })
        .await;
    intake::settle(&kernel, &taken.received, outcome).await
}

fn answer(tx: &mut Tx<'_>, company: CompanyId, id: Uuid, base: &str) -> Result<Reply> {
    let row = attachment::LISTING.find(tx, id, Some(&[company]), Conditions::default())?;
    let row = row.ok_or_else(|| Problem::internal("an attachment that was just made is not there"))?;
    Ok(Reply::json_bytes(201, row).with_header(LOCATION, &format!("{base}/{id}/")))
}

async fn read_json(call: &Call) -> Result<Json> {
    let mut upload = call.upload()?;
    let mut body = Vec::new();
    while let Some(chunk) = upload.chunk().await? {
        if body.len() + chunk.len() > NAMED_BYTES {
            return Err(Problem::new(
                loopd_types::Kind::TooLarge,
                "payload_too_large",
                "Such a body only names a file.",
            ));
        }
        body.extend_from_slice(&chunk);
    }
    serde_json::from_slice(&body)
        .map_err(|error| Problem::invalid("parse_error", format!("JSON parse error - {error}")))
}

async fn detach(door: Door, call: Call) -> Result<Reply> {
    let (place, id, kernel) = (Place::of(&call)?, call.uuid("attachment_id")?, call.kernel.clone());
    let view = place.tenant.view();
    call.commit(view, move |tx| {
        let named = change(tx, &door, &place)?;
        attachment::detach(tx, &kernel, &place.tenant, &named.record(), id)?;
        Ok(Reply::no_content())
    })
    .await
}

async fn content(door: Door, call: Call) -> Result<Reply> {
    let (place, id) = (Place::of(&call)?, call.uuid("attachment_id")?);
    let asked = deliver::Asked::read(&call)?;
    let view = place.tenant.view();
    let work = move |reader: &mut Reader<'_>| {
        let named = see(reader, &door, &place)?;
        attachment::find(reader, &place.tenant, &named.record(), id)
    };
    let found = call.kernel.db.read(view, work).await?;
    deliver::deliver(&call, &found, asked).await
}
