//! Contacts in the database.

mod card;
mod listing;
mod numbers;

use loopd_kernel::{Kernel, Tenant};
use loopd_store::{Reader, Row, StoreError, Tx, Value, params};
use loopd_types::{CompanyId, Problem, Result, Timestamp, Uuid};
use serde_json::{Value as Json, json};

use crate::address::Address;
use crate::mask::masked;
use crate::{PRODUCT, event, link};

pub use card::*;
pub use listing::{LISTING, MASKED, narrow, tagged};
pub use numbers::{numbers, phones, veil};

/// A person.
#[derive(Clone, Debug)]
pub struct Contact {
    pub id: Uuid,
    pub name: String,
    /// With a plus sign.
    pub phone: Option<String>,
    pub lifecycle: String,
    pub opted_out_at: Option<Timestamp>,
}

const SELECT: &str = "SELECT id, name, phone, lifecycle, opted_out_at FROM wave_contacts";

fn read(row: &Row<'_>) -> Result<Contact, StoreError> {
    Ok(Contact {
        id: row.uuid(0)?,
        name: row.text(1)?.to_owned(),
        phone: row.opt_text(2)?.map(str::to_owned),
        lifecycle: row.text(3)?.to_owned(),
        opted_out_at: row.opt_time(4)?,
    })
}

/// A living contact.
///
/// # Errors
/// 404.
pub fn get(reader: &mut Reader<'_>, company: CompanyId, id: Uuid) -> Result<Contact> {
    let sql = format!("{SELECT} WHERE company_id = $1 AND id = $2 AND deleted_at IS NULL");
    reader.first(&sql, &params![company, id], read)?.ok_or_else(Problem::not_found)
}

/// Whether somebody asked not to be written to.
pub fn is_opted_out(reader: &mut Reader<'_>, company: CompanyId, id: Uuid) -> Result<bool, StoreError> {
    let sql = "SELECT opted_out_at FROM wave_contacts WHERE company_id = $1 AND id = $2";
    Ok(reader.first(sql, &params![company, id], |row| row.opt_time(0))?.flatten().is_some())
}

/// Whether whoever is known by this address asked not to be written to. Their wish outlives their contact ([`delete`]).
pub fn refuses(reader: &mut Reader<'_>, company: CompanyId, address: &Address) -> Result<bool, StoreError> {
    let Some(kind) = address.server().identity() else { return Ok(false) };
    let sql = "SELECT 1 FROM wave_identities i JOIN wave_contacts c ON c.company_id = i.company_id AND c.id = i.contact_id \
         WHERE i.company_id = $1 AND i.kind = $2 AND i.value = $3 AND c.opted_out_at IS NOT NULL";
    Ok(reader.first(sql, &params![company, kind, address.user()], |_| Ok(()))?.is_some())
}

/// Whoever is known by this address.
pub fn find_by(reader: &mut Reader<'_>, company: CompanyId, address: &Address) -> Result<Option<Contact>, StoreError> {
    let Some(kind) = address.server().identity() else { return Ok(None) };
    let sql = format!(
        "{SELECT} WHERE company_id = $1 AND deleted_at IS NULL AND id = \
         (SELECT contact_id FROM wave_identities WHERE company_id = $1 AND kind = $2 AND value = $3)"
    );
    reader.first(&sql, &params![company, kind, address.user()], read)
}

/// The contact behind these addresses of one person; made when none of them is known. Addresses that are new are added to it.
///
/// Two addresses of two known contacts are left with theirs: only a person can say that they are one.
///
/// # Errors
/// 503 from the database.
pub fn of_person(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    identities: &[Address],
    push_name: Option<&str>,
) -> Result<Option<Contact>> {
    if let Some((known, place)) = known_of(tx, tenant.company, identities)? {
        // By those before it nobody is known.
        add(tx, kernel, tenant.company, known.id, &identities[..place])?;
        add(tx, kernel, tenant.company, known.id, &identities[place + 1..])?;
        return Ok(Some(known));
    }
    let Some(first) = identities.iter().find(|it| !it.is_group()) else { return Ok(None) };
    // Two chats of one stranger at once must not make two contacts.
    tx.lock(&format!("wave_identities:{}", tenant.company.0))?;
    if let Some((known, _)) = known_of(tx, tenant.company, identities)? {
        return Ok(Some(known));
    }
    let phone = identities.iter().find_map(Address::telephone);
    let name = push_name.map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned);
    let name = name.or_else(|| phone.clone()).unwrap_or_else(|| first.user().to_owned());
    let (id, now) = (kernel.new_id(), kernel.now());
    tx.execute(
        "INSERT INTO wave_contacts (company_id, id, name, phone, lifecycle, tags, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, 'lead', $5, $6, $6)",
        &params![tenant.company, id, name.as_str(), phone.as_deref(), Value::Json("[]".into()), now],
    )?;
    add(tx, kernel, tenant.company, id, identities)?;
    link::matched(tx, kernel, tenant, id, identities)?;
    let contact = get(tx, tenant.company, id)?;
    told(tx, kernel, tenant, &contact, "created")?;
    Ok(Some(contact))
}

/// Whoever is known by one of these addresses, and by which.
fn known_of(
    reader: &mut Reader<'_>,
    company: CompanyId,
    identities: &[Address],
) -> Result<Option<(Contact, usize)>, StoreError> {
    for (place, address) in identities.iter().enumerate() {
        if let Some(known) = find_by(reader, company, address)? {
            return Ok(Some((known, place)));
        }
    }
    Ok(None)
}

fn add(tx: &mut Tx<'_>, kernel: &Kernel, company: CompanyId, id: Uuid, identities: &[Address]) -> Result<()> {
    for address in identities {
        let Some(kind) = address.server().identity() else { continue };
        inherit(tx, company, id, (kind, address.user()))?;
        tx.push(
            "INSERT INTO wave_identities (company_id, kind, value, contact_id, created_at) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (company_id, kind, value) DO NOTHING",
            params![company, kind, address.user(), id, kernel.now()],
        )?;
    }
    Ok(())
}

/// Takes an address over from a contact that was deleted and asked not to be written to, with that wish: only a person takes it back.
fn inherit(tx: &mut Tx<'_>, company: CompanyId, id: Uuid, (kind, value): (&str, &str)) -> Result<(), StoreError> {
    let sql = "SELECT c.id, c.opted_out_at, c.opt_out_reason FROM wave_identities i \
         JOIN wave_contacts c ON c.company_id = i.company_id AND c.id = i.contact_id \
         WHERE i.company_id = $1 AND i.kind = $2 AND i.value = $3 AND c.deleted_at IS NOT NULL";
    let read = |row: &Row<'_>| Ok((row.uuid(0)?, row.opt_time(1)?, row.opt_text(2)?.map(str::to_owned)));
    let Some((gone, at, reason)) = tx.first(sql, &params![company, kind, value], read)? else { return Ok(()) };
    tx.execute(
        "DELETE FROM wave_identities WHERE company_id = $1 AND kind = $2 AND value = $3 AND contact_id = $4",
        &params![company, kind, value, gone],
    )?;
    tx.execute(
        "UPDATE wave_contacts SET opted_out_at = COALESCE(opted_out_at, $3), opt_out_reason = COALESCE(opt_out_reason, $4) \
         WHERE company_id = $1 AND id = $2",
        &params![company, id, at, reason.as_deref()],
    )?;
    Ok(())
}

/// Notes that the shop and this person talked; `is_new` for a conversation that just began.
///
/// # Errors
/// The database's.
pub fn talked(tx: &mut Tx<'_>, company: CompanyId, id: Uuid, at: Timestamp, is_new: bool) -> Result<(), StoreError> {
    tx.push(
        "UPDATE wave_contacts SET last_contacted_at = $3, conversation_count = conversation_count + $4 \
         WHERE company_id = $1 AND id = $2",
        params![company, id, at, i64::from(is_new)],
    )
}

/// A contact as events tell it, and what of that is masked.
pub fn payload(contact: &Contact) -> (Json, Json) {
    let data = json!({
        "id": contact.id.to_string(), "name": contact.name, "phone": contact.phone, "lifecycle": contact.lifecycle,
        "optedOut": contact.opted_out_at.is_some(),
    });
    let shown = json!({
        "name": crate::mask::Sight::Masked.name(&contact.name),
        "phone": contact.phone.as_deref().map(masked),
    });
    (data, shown)
}

/// Emits `loopwave.contacts.<act>`.
///
/// # Errors
/// As [`event::emit`].
pub fn told(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, contact: &Contact, act: &str) -> Result<()> {
    let (data, shown) = payload(contact);
    let subject = format!("{PRODUCT}/contacts/{}", contact.id);
    event::emit(tx, kernel, tenant, &format!("{PRODUCT}.contacts.{act}"), &subject, data, Some(shown))
}
