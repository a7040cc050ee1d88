//! Uploads in pieces, by the rules of tus 1.0: each piece is content of its own until the last one is there; then they become one
//! file, with the upload's id. A piece that breaks off keeps what came of it.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use loopd_store::{Reader, Row, StoreError, Tx, View, params};
use loopd_types::{CompanyId, DAY_US, Problem, Result, Timestamp, Uuid};

use super::receive::too_large;
use super::{NewFile, Purpose, Received, Wanted, charge, discard, keep, ledger, receive, sweep};
use crate::Kernel;
use crate::access::Tenant;

/// How long an upload may take, and how long its end can be asked about.
const LIFE_US: i64 = 7 * DAY_US;
/// How long content for a record waits to be attached to one.
pub const UNATTACHED_US: i64 = DAY_US;
/// Uploads that one company may have open.
const MOST_OPEN: i64 = 1_000;

/// An upload under way, or just finished.
#[derive(Clone, Debug)]
pub struct Upload {
    pub company: CompanyId,
    pub id: Uuid,
    pub name: String,
    /// What the client calls it.
    pub content_type: String,
    /// `Upload-Metadata` as it was sent.
    pub metadata: String,
    pub purpose: Purpose,
    pub sha256: Option<String>,
    pub size_bytes: u64,
    pub received_bytes: u64,
    pub created_by: Option<Uuid>,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    pub is_finished: bool,
}

/// What a client wants to upload.
#[derive(Clone, Debug)]
pub struct NewUpload {
    pub id: Uuid,
    pub name: String,
    pub content_type: String,
    pub metadata: String,
    pub purpose: Purpose,
    pub sha256: Option<String>,
    pub size_bytes: u64,
}

/// Opens an upload. Nothing is charged before it comes.
///
/// # Errors
/// 409 `too_many_uploads`; 503.
pub fn open(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, new: &NewUpload) -> Result<()> {
    let (company, now) = (tenant.company, kernel.now());
    let open = "SELECT COUNT(*) FROM file_uploads WHERE company_id = $1 AND finished_at IS NULL";
    if tx.one(open, &params![company], |row| row.i64(0))? >= MOST_OPEN {
        return Err(Problem::conflict("too_many_uploads", "Finish or remove some of the uploads under way first."));
    }
    let size = i64::try_from(new.size_bytes).map_err(Problem::internal)?;
    Ok(tx.push(
        "INSERT INTO file_uploads (company_id, id, name, content_type, metadata, purpose, sha256, size_bytes, created_by, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        params![
            company,
            new.id,
            keep::harmless_name(&new.name),
            new.content_type.as_str(),
            new.metadata.as_str(),
            new.purpose.as_str(),
            new.sha256.as_deref(),
            size,
            tenant.actor.user,
            now,
            now.plus(LIFE_US)
        ],
    )?)
}

const SELECT: &str = "SELECT company_id, id, name, content_type, metadata, purpose, sha256, size_bytes, received_bytes, created_by, created_at, \
     expires_at, finished_at FROM file_uploads WHERE company_id = $1 AND id = $2";

/// The caller's own upload.
///
/// # Errors
/// 404: none of this id, or somebody else's, or it has expired.
pub fn find(reader: &mut Reader<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid) -> Result<Upload> {
    let found = reader.first(SELECT, &params![tenant.company, id], upload_of)?;
    found
        .filter(|upload| upload.created_by == tenant.actor.user && upload.expires_at > kernel.now())
        .ok_or_else(Problem::not_found)
}

fn upload_of(row: &Row<'_>) -> Result<Upload, StoreError> {
    Ok(Upload {
        company: CompanyId(row.i64(0)?),
        id: row.uuid(1)?,
        name: row.text(2)?.to_owned(),
        content_type: row.text(3)?.to_owned(),
        metadata: row.text(4)?.to_owned(),
        purpose: Purpose::parse(row.text(5)?).unwrap_or(Purpose::Attachment),
        sha256: row.opt_text(6)?.map(str::to_owned),
        size_bytes: u64::try_from(row.i64(7)?).unwrap_or(0),
        received_bytes: u64::try_from(row.i64(8)?).unwrap_or(0),
        created_by: row.opt_uuid(9)?,
        created_at: row.time(10)?,
        expires_at: row.time(11)?,
        is_finished: row.opt_time(12)?.is_some(),
    })
}

/// Takes a piece at `offset`, and makes the file when it was the last. Gives the upload as it is then.
///
/// # Errors
/// 409 `wrong_offset` when the upload has another length by now; 413; 460 `checksum_mismatch`; 403 `storage_quota_exceeded`; 507.
pub async fn append<S>(
    kernel: &Arc<Kernel>,
    tenant: &Arc<Tenant>,
    upload: &Upload,
    offset: u64,
    checksum: Option<String>,
    chunks: S,
) -> Result<Upload>
where
    S: Stream<Item = Result<Bytes>> + Send,
{
    if offset != upload.received_bytes {
        return Err(wrong_offset(upload.received_bytes));
    }
    let left = upload.size_bytes - offset;
    let mut now = upload.clone();
    if left > 0 {
        let wanted = Wanted { checksum, keeps_broken: true, ..Wanted::up_to(left) };
        let received = receive(kernel, upload.company, chunks, &wanted)
            .await
            .map_err(|problem| if problem.code() == "file_too_large" { too_large(left) } else { problem })?;
        now.received_bytes += received.size_bytes;
        if received.size_bytes == 0 {
            discard(kernel, &received).await;
        } else if let Err(problem) = note(kernel, upload, offset, &received).await {
            discard(kernel, &received).await;
            return Err(problem);
        }
    }
    if now.received_bytes == now.size_bytes && !now.is_finished {
        finish(kernel, tenant, &now).await?;
        now.is_finished = true;
    }
    Ok(now)
}

/// The piece becomes a part of the upload, if nobody was faster.
async fn note(kernel: &Arc<Kernel>, upload: &Upload, offset: u64, received: &Received) -> Result<()> {
    let (company, id, received) = (upload.company, upload.id, received.clone());
    let number = |value: u64| i64::try_from(value).map_err(Problem::internal);
    let (offset, size) = (number(offset)?, number(received.size_bytes)?);
    kernel
        .db
        .write(View::Company(company), move |tx| {
            let moved = tx.first(
                "UPDATE file_uploads SET received_bytes = received_bytes + $4 \
                 WHERE company_id = $1 AND id = $2 AND received_bytes = $3 AND finished_at IS NULL RETURNING received_bytes",
                &params![company, id, offset, size],
                |row| row.i64(0),
            )?;
            if moved.is_none() {
                let is = "SELECT received_bytes FROM file_uploads WHERE company_id = $1 AND id = $2";
                let is = tx.first(is, &params![company, id], |row| row.i64(0))?.ok_or_else(Problem::not_found)?;
                return Err(wrong_offset(u64::try_from(is).unwrap_or(0)));
            }
            ledger::settle(tx, company, &received.blob_key)?;
            charge(tx, company, size)?;
            Ok(tx.push(
                "INSERT INTO file_upload_parts (company_id, upload_id, position, size_bytes, blob_key) VALUES ($1, $2, $3, $4, $5)",
                params![company, id, offset, size, received.blob_key.as_str()],
            )?)
        })
        .await
}

fn wrong_offset(is: u64) -> Problem {
    Problem::conflict("wrong_offset", "The upload has another length. Ask for it, and go on from there.")
        .with_extra("offset", is)
}

/// Makes one content of the parts, and the file. A crash in between is followed by the client's next question: see [`resume`].
async fn finish(kernel: &Arc<Kernel>, tenant: &Arc<Tenant>, upload: &Upload) -> Result<()> {
    let (company, id) = (upload.company, upload.id);
    let parts = kernel.db.read(View::Company(company), move |reader| Ok(parts(reader, company, id)?)).await?;
    let blobs = kernel.clone();
    let keys: Vec<(String, u64)> = parts;
    let chunks = futures_util::stream::iter(keys)
        .then(move |(key, size)| {
            let kernel = blobs.clone();
            async move { kernel.blobs.read(&key, 0..size).await.map(|chunks| chunks.map_err(Problem::unavailable)) }
        })
        .try_flatten()
        .boxed();
    let wanted = Wanted {
        content_type: upload.content_type.clone(),
        sha256: upload.sha256.clone(),
        ..Wanted::up_to(upload.size_bytes)
    };
    let received = match receive(kernel, company, chunks, &wanted).await {
        // What was announced is not what came: nothing that is sent later can mend it.
        Err(problem) if problem.code() == "checksum_mismatch" => {
            let shared = kernel.clone();
            kernel.db.write(View::Company(company), move |tx| drop_upload(tx, &shared, company, id).map(drop)).await?;
            return Err(problem);
        }
        received => received?,
    };
    let (shared, tenant, upload, content) = (kernel.clone(), tenant.clone(), upload.clone(), received.clone());
    let made = kernel
        .db
        .write(tenant.view(), move |tx| {
            let now = shared.now();
            let sql =
                "UPDATE file_uploads SET finished_at = $3 WHERE company_id = $1 AND id = $2 AND finished_at IS NULL";
            if tx.execute(sql, &params![company, id, now])? == 0 {
                return Ok(false);
            }
            drop_parts(tx, &shared, company, id)?;
            let new = NewFile {
                id,
                name: upload.name.clone(),
                purpose: upload.purpose,
                expires_at: (upload.purpose == Purpose::Attachment).then(|| now.plus(UNATTACHED_US)),
            };
            super::keep(tx, &shared, &tenant, &new, &content)?;
            Ok(true)
        })
        .await;
    // Somebody else finished it in the same moment, or nobody did.
    if !matches!(made, Ok(true)) {
        discard(kernel, &received).await;
    }
    made.map(drop)
}

/// Finishes an upload whose last piece came and whose file did not: the server stopped in between.
///
/// # Errors
/// As [`append`].
pub async fn resume(kernel: &Arc<Kernel>, tenant: &Arc<Tenant>, mut upload: Upload) -> Result<Upload> {
    if upload.received_bytes == upload.size_bytes && !upload.is_finished {
        finish(kernel, tenant, &upload).await?;
        upload.is_finished = true;
    }
    Ok(upload)
}

/// Gives an upload up, and what came of it.
///
/// # Errors
/// The database's.
pub fn remove(tx: &mut Tx<'_>, kernel: &Kernel, upload: &Upload) -> Result<()> {
    drop_upload(tx, kernel, upload.company, upload.id).map(drop)
}

fn parts(reader: &mut Reader<'_>, company: CompanyId, id: Uuid) -> Result<Vec<(String, u64)>, StoreError> {
    reader.query(
        "SELECT blob_key, size_bytes FROM file_upload_parts WHERE company_id = $1 AND upload_id = $2 ORDER BY position",
        &params![company, id],
        |row| Ok((row.text(0)?.to_owned(), u64::try_from(row.i64(1)?).unwrap_or(0))),
    )
}

fn drop_parts(tx: &mut Tx<'_>, kernel: &Kernel, company: CompanyId, id: Uuid) -> Result<()> {
    let mut freed = 0;
    let now = kernel.now();
    for (key, size) in parts(tx, company, id)? {
        ledger::abandon(tx, company, &key, now)?;
        freed += i64::try_from(size).unwrap_or(0);
    }
    tx.push("DELETE FROM file_upload_parts WHERE company_id = $1 AND upload_id = $2", params![company, id])?;
    charge(tx, company, -freed)?;
    Ok(sweep::soon(tx, kernel, company)?)
}

fn drop_upload(tx: &mut Tx<'_>, kernel: &Kernel, company: CompanyId, id: Uuid) -> Result<u64> {
    drop_parts(tx, kernel, company, id)?;
    Ok(tx.execute("DELETE FROM file_uploads WHERE company_id = $1 AND id = $2", &params![company, id])?)
}

/// Uploads that took too long, and finished ones that nobody asks about any more.
pub(super) async fn expire(kernel: &Arc<Kernel>) -> Result<()> {
    let now = kernel.now();
    let sql = "SELECT company_id, id FROM file_uploads WHERE expires_at <= $1 ORDER BY expires_at LIMIT 200";
    let gone: Vec<(CompanyId, Uuid)> = kernel
        .db
        .read(View::System, move |reader| {
            Ok(reader.query(sql, &params![now], |row| Ok((CompanyId(row.i64(0)?), row.uuid(1)?)))?)
        })
        .await?;
    for (company, id) in gone {
        let shared = kernel.clone();
        kernel.db.write(View::Company(company), move |tx| drop_upload(tx, &shared, company, id).map(drop)).await?;
    }
    Ok(())
}
