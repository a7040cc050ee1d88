//! Signed links: who has one may read this file until it expires, without credentials. Signed are method, path, expiry and what is
//! shown; the company's generation is part of the key, so that one step makes all its links worthless.

use hmac::{Hmac, KeyInit as _, Mac as _};
use loopd_store::{Reader, StoreError, Tx, View, params};
use loopd_types::{CompanyId, Kind, Problem, Result, Timestamp, Uuid, hex};
use sha2::Sha256;

use super::File;
use crate::access::Tenant;
use crate::{Kernel, audit, vault};

/// What a link lets its holder read.
#[derive(Clone, Debug)]
pub struct Link {
    pub file: Uuid,
    /// Seconds since 1970.
    pub expires_s: i64,
    /// Whether a browser may show it in place.
    pub is_inline: bool,
    /// Of which size, if a thumbnail.
    pub thumbnail: Option<u32>,
}

/// The signature of a link, in hex.
///
/// # Errors
/// The database's.
pub fn sign(reader: &mut Reader<'_>, kernel: &Kernel, company: CompanyId, link: &Link) -> Result<String, StoreError> {
    let generation = generation(reader, company)?;
    let tag = mac(kernel, company, generation, link).finalize().into_bytes();
    Ok(hex(&tag))
}

/// The file that a link of this company names.
///
/// # Errors
/// 404 for a signature that is not ours, or of an earlier generation, or for a file that is gone; 410 `link_expired`.
pub async fn open(kernel: &std::sync::Arc<Kernel>, company: CompanyId, link: Link, signature: &str) -> Result<File> {
    let shown = decode_hex(signature).ok_or_else(Problem::not_found)?;
    let shared = kernel.clone();
    kernel
        .db
        .read(View::Company(company), move |reader| {
            let generation = generation(reader, company)?;
            mac(&shared, company, generation, &link).verify_slice(&shown).map_err(|_| Problem::not_found())?;
            if Timestamp(link.expires_s.saturating_mul(1_000_000)) <= shared.now() {
                return Err(Problem::new(Kind::Gone, "link_expired", "The link has expired. Ask for a new one."));
            }
            super::find(reader, company, link.file)?.ok_or_else(Problem::not_found)
        })
        .await
}

/// Makes every link of the company worthless.
///
/// # Errors
/// The database's.
pub fn revoke_all(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant) -> Result<()> {
    tx.push(
        "INSERT INTO file_accounts (company_id, link_generation) VALUES ($1, 1) \
         ON CONFLICT (company_id) DO UPDATE SET link_generation = file_accounts.link_generation + 1",
        params![tenant.company],
    )?;
    let entry = audit::Entry {
        action: "revoke-links",
        module: "core",
        resource: "files",
        target: "",
        label: "",
        changes: None,
    };
    Ok(audit::record(tx, kernel, tenant, entry)?)
}

fn generation(reader: &mut Reader<'_>, company: CompanyId) -> Result<i64, StoreError> {
    let sql = "SELECT link_generation FROM file_accounts WHERE company_id = $1";
    Ok(reader.first(sql, &params![company], |row| row.i64(0))?.unwrap_or(0))
}

fn mac(kernel: &Kernel, company: CompanyId, generation: i64, link: &Link) -> Hmac<Sha256> {
    let key = vault::derive(&kernel.settings.secret_key, b"loopd file links v1");
    let Link { file, expires_s, is_inline, thumbnail } = link;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes keys of any length");
    let said = format!("GET\n{}\n{file}\n{expires_s}\n{is_inline}\n{thumbnail:?}\n{generation}", company.0);
    mac.update(said.as_bytes());
    mac
}

fn decode_hex(text: &str) -> Option<Vec<u8>> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}
