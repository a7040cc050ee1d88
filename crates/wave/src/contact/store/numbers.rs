//! By which telephone numbers people are known, for what is shown without them.

use std::collections::HashMap;

use loopd_store::{Reader, StoreError, Value};
use loopd_types::{CompanyId, Result, Uuid};
use serde_json::Value as Json;

use crate::address::Address;
use crate::mask::{Numbers, Sight};

/// Veils what may hold a number in rows of contacts.
///
/// # Errors
/// None.
pub fn veil(_reader: &mut Reader<'_>, _companies: &[CompanyId], rows: &mut [Json]) -> Result<()> {
    for row in rows {
        if let Some(name) = row["name"].as_str() {
            row["name"] = Sight::Masked.name(name).into();
        }
        for field in ["email", "company_name", "location"] {
            if let Some(text) = row[field].as_str() {
                row[field] = Sight::Masked.text(text).into();
            }
        }
    }
    Ok(())
}

/// The telephone numbers of these contacts, those that have any.
///
/// # Errors
/// The database's.
pub fn phones(
    reader: &mut Reader<'_>,
    companies: &[CompanyId],
    contacts: &[Uuid],
) -> Result<HashMap<Uuid, Vec<String>>, StoreError> {
    let mut found: HashMap<Uuid, Vec<String>> = HashMap::new();
    if contacts.is_empty() || companies.is_empty() {
        return Ok(found);
    }
    let mut values: Vec<Value> = companies.iter().map(|company| Value::from(*company)).collect();
    values.extend(contacts.iter().map(|contact| Value::from(*contact)));
    let marks: Vec<String> = (1..=values.len()).map(|place| format!("${place}")).collect();
    let (of_companies, of_contacts) = marks.split_at(companies.len());
    let sql = format!(
        "SELECT contact_id, value FROM wave_identities WHERE company_id IN ({}) AND contact_id IN ({}) AND kind = 'phone'",
        of_companies.join(", "),
        of_contacts.join(", ")
    );
    reader.each(&sql, &values, |row| {
        found.entry(row.uuid(0)?).or_default().push(row.text(1)?.to_owned());
        Ok(())
    })?;
    Ok(found)
}

/// The telephone numbers of whom a chat at this address is with; of a group, everybody's.
///
/// # Errors
/// The database's.
pub fn numbers(
    reader: &mut Reader<'_>,
    company: CompanyId,
    contact: Option<Uuid>,
    jid: &str,
) -> Result<Numbers, StoreError> {
    let address = Address::parse(jid);
    if address.as_ref().is_some_and(Address::is_group) {
        return Ok(Numbers::Any);
    }
    let known = phones(reader, &[company], contact.as_slice())?;
    let own = address.and_then(|address| address.telephone());
    Ok(Numbers::of(known.values().flatten().chain(&own).map(String::as_str)))
}
