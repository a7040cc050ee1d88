//! What people write of a contact: making, changing, deleting.

use loopd_kernel::{Kernel, Tenant, audit};
use loopd_store::{Reader, Row, StoreError, Tx, Value, dialect, params};
use loopd_types::{CompanyId, Problem, Result, Timestamp, Uuid};
use loopd_web::cursor::Page;
use serde_json::{Map, Value as Json};

use super::{add, find_by, get, tagged, told};
use crate::PRODUCT;
use crate::address::Address;

/// A contact with all that is known of it.
#[derive(Clone, PartialEq, Debug)]
pub struct Card {
    pub id: Uuid,
    pub words: Words,
    pub opted_out_at: Option<Timestamp>,
    pub last_contacted_at: Option<Timestamp>,
    pub conversation_count: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// What people write.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Words {
    pub name: String,
    /// With a plus sign.
    pub phone: Option<String>,
    pub email: Option<String>,
    pub company_name: Option<String>,
    pub location: Option<String>,
    pub owner_id: Option<Uuid>,
    pub lifecycle: String,
    pub tags: Vec<String>,
    pub lifetime_value: Option<String>,
    pub notes: Option<String>,
    pub opt_out_reason: Option<String>,
    pub is_opted_out: bool,
}

const SELECT: &str = "SELECT id, name, phone, email, company_name, location, owner_id, lifecycle, tags, lifetime_value, notes, opt_out_reason, \
     opted_out_at, last_contacted_at, conversation_count, created_at, updated_at FROM wave_contacts";

fn read(row: &Row<'_>) -> Result<Card, StoreError> {
    let text = |index: usize| Ok::<_, StoreError>(row.opt_text(index)?.map(str::to_owned));
    let opted_out_at = row.opt_time(12)?;
    Ok(Card {
        id: row.uuid(0)?,
        words: Words {
            name: row.text(1)?.to_owned(),
            phone: text(2)?,
            email: text(3)?,
            company_name: text(4)?,
            location: text(5)?,
            owner_id: row.opt_uuid(6)?,
            lifecycle: row.text(7)?.to_owned(),
            tags: serde_json::from_str(row.json(8)?).unwrap_or_default(),
            lifetime_value: text(9)?,
            notes: text(10)?,
            opt_out_reason: text(11)?,
            is_opted_out: opted_out_at.is_some(),
        },
        opted_out_at,
        last_contacted_at: row.opt_time(13)?,
        conversation_count: row.i64(14)?,
        created_at: row.time(15)?,
        updated_at: row.time(16)?,
    })
}

/// # Errors
/// 404.
pub fn card(reader: &mut Reader<'_>, company: CompanyId, id: Uuid) -> Result<Card> {
    let sql = format!("{SELECT} WHERE company_id = $1 AND id = $2 AND deleted_at IS NULL");
    reader.first(&sql, &params![company, id], read)?.ok_or_else(Problem::not_found)
}

/// As [`card`], held until the transaction ends.
///
/// # Errors
/// 404.
pub fn lock(tx: &mut Tx<'_>, company: CompanyId, id: Uuid) -> Result<Card> {
    let locked = dialect::for_update(tx.engine());
    let sql = format!("{SELECT} WHERE company_id = $1 AND id = $2 AND deleted_at IS NULL{locked}");
    tx.first(&sql, &params![company, id], read)?.ok_or_else(Problem::not_found)
}

/// Which contacts. Everything that is said must hold.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// In the name, the email address or the telephone number.
    pub search: Option<String>,
    /// One of these, if any is named.
    pub lifecycles: Vec<String>,
    /// Every one of these.
    pub tags: Vec<String>,
    /// Leaves out who asked not to be written to.
    pub is_reachable: bool,
}

impl Filter {
    fn conditions(&self, reader: &Reader<'_>, company: CompanyId) -> (String, Vec<Value>) {
        let engine = reader.engine();
        let (mut sql, mut values) = ("company_id = $1 AND deleted_at IS NULL".to_owned(), params![company].to_vec());
        let mark = |values: &mut Vec<Value>, value: Value| {
            values.push(value);
            format!("${}", values.len())
        };
        if let Some(search) = &self.search {
            let any = ["name", "email", "phone"].map(|column| {
                let mark = mark(&mut values, search.as_str().into());
                dialect::contains(engine, column, &mark)
            });
            sql.push_str(&format!(" AND ({})", any.join(" OR ")));
        }
        if !self.lifecycles.is_empty() {
            let marks: Vec<String> =
                self.lifecycles.iter().map(|stage| mark(&mut values, stage.as_str().into())).collect();
            sql.push_str(&format!(" AND lifecycle IN ({})", marks.join(", ")));
        }
        for tag in &self.tags {
            let next = format!("${}", values.len() + 1);
            let (has, tag) = tagged(reader, "tags", &next, tag);
            sql.push_str(&format!(" AND {has}"));
            values.push(tag);
        }
        if self.is_reachable {
            sql.push_str(" AND opted_out_at IS NULL");
        }
        (sql, values)
    }
}

/// A page of contacts, who was in touch last first; one more than the page has, if there are more.
pub fn list(
    reader: &mut Reader<'_>,
    company: CompanyId,
    filter: &Filter,
    page: &Page,
) -> Result<Vec<Card>, StoreError> {
    let (conditions, mut values) = filter.conditions(reader, company);
    let (at, id) = page.before();
    values.extend(params![at, id]);
    let sql = format!(
        "{SELECT} WHERE {conditions} AND (COALESCE(last_contacted_at, 0), id) < (${}, ${}) \
         ORDER BY COALESCE(last_contacted_at, 0) DESC, id DESC LIMIT {}",
        values.len() - 1,
        values.len(),
        page.limit + 1
    );
    reader.query(&sql, &values, read)
}

/// How many contacts a segment has.
pub fn count(reader: &mut Reader<'_>, company: CompanyId, filter: &Filter) -> Result<i64, StoreError> {
    let (conditions, values) = filter.conditions(reader, company);
    reader.one(&format!("SELECT count(*) FROM wave_contacts WHERE {conditions}"), &values, |row| row.i64(0))
}

/// Where the people of a segment can be written to, each once: by the number that they show, else by one that they are known by. Who asked
/// not to be written to is left out. One more than `most` tells that there are too many.
///
/// # Errors
/// The database's.
pub fn people(
    reader: &mut Reader<'_>,
    company: CompanyId,
    filter: &Filter,
    most: usize,
) -> Result<Vec<(Address, Option<String>)>, StoreError> {
    let filter = Filter { is_reachable: true, ..filter.clone() };
    let (conditions, values) = filter.conditions(reader, company);
    let sql = format!(
        "SELECT c.id, c.name, c.phone, i.value FROM (SELECT id, name, phone FROM wave_contacts WHERE {conditions}) c \
         JOIN wave_identities i ON i.company_id = $1 AND i.contact_id = c.id AND i.kind = 'phone' ORDER BY c.id, i.value"
    );
    let mut found: Vec<(Uuid, Address, Option<String>)> = Vec::new();
    reader.each(&sql, &values, |row| {
        let Some(address) = Address::phone(row.text(3)?) else { return Ok(()) };
        let (id, name) = (row.uuid(0)?, Some(row.text(1)?.to_owned()));
        let is_shown = row.opt_text(2)? == address.telephone().as_deref();
        let is_full = found.len() > most;
        match found.last_mut().filter(|last| last.0 == id) {
            Some(last) if is_shown => last.1 = address,
            None if !is_full => found.push((id, address, name)),
            _ => {}
        }
        Ok(())
    })?;
    Ok(found.into_iter().map(|(_, address, name)| (address, name)).collect())
}

/// Makes a contact.
///
/// # Errors
/// 409 `contact_exists` when somebody has this telephone number already.
pub fn create(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, words: &Words) -> Result<Uuid> {
    // A message of the same stranger may come in at this moment.
    tx.lock(&format!("wave_identities:{}", tenant.company.0))?;
    let address = words.phone.as_deref().and_then(Address::phone);
    if let Some(address) = &address
        && find_by(tx, tenant.company, address)?.is_some()
    {
        return Err(exists());
    }
    let (id, now) = (kernel.new_id(), kernel.now());
    tx.execute(
        "INSERT INTO wave_contacts (company_id, id, name, lifecycle, tags, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $6)",
        &params![tenant.company, id, words.name.as_str(), words.lifecycle.as_str(), Value::Json("[]".into()), now],
    )?;
    write(tx, kernel, tenant, id, words, None)?;
    add(tx, kernel, tenant.company, id, address.as_slice())?;
    written(tx, kernel, tenant, id, &words.name, ("create", "created"), None)?;
    Ok(id)
}

/// Writes what changed of a contact that this transaction holds as `before`; nothing happens when nothing changed.
///
/// # Errors
/// 409 `contact_exists` when somebody else has the telephone number.
pub fn change(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, before: &Card, next: &Words) -> Result<()> {
    if before.words == *next {
        return Ok(());
    }
    if next.phone != before.words.phone
        && let Some(address) = next.phone.as_deref().and_then(Address::phone)
    {
        tx.lock(&format!("wave_identities:{}", tenant.company.0))?;
        if find_by(tx, tenant.company, &address)?.is_some_and(|other| other.id != before.id) {
            return Err(exists());
        }
        add(tx, kernel, tenant.company, before.id, &[address])?;
    }
    write(tx, kernel, tenant, before.id, next, before.opted_out_at)?;
    if next.name != before.words.name {
        // Chats show how their person is called.
        let sql = "UPDATE wave_chats SET name = $3 WHERE company_id = $1 AND contact_id = $2";
        tx.execute(sql, &params![tenant.company, before.id, next.name.as_str()])?;
    }
    let names = changed(&before.words, next);
    written(tx, kernel, tenant, before.id, &next.name, ("update", "updated"), Some(names))
}

/// The names of the fields that changed; their values belong to the customer, and who reads the log may not see them.
fn changed(before: &Words, after: &Words) -> String {
    let pairs = [
        ("name", before.name != after.name),
        ("phone", before.phone != after.phone),
        ("email", before.email != after.email),
        ("company_name", before.company_name != after.company_name),
        ("location", before.location != after.location),
        ("owner", before.owner_id != after.owner_id),
        ("lifecycle", before.lifecycle != after.lifecycle),
        ("tags", before.tags != after.tags),
        ("lifetime_value", before.lifetime_value != after.lifetime_value),
        ("notes", before.notes != after.notes),
        ("opted_out", before.is_opted_out != after.is_opted_out),
    ];
    let told = pairs.into_iter().filter(|(_, is_changed)| *is_changed);
    Json::Object(told.map(|(name, _)| (name.to_owned(), Json::from("changed"))).collect::<Map<_, _>>()).to_string()
}

fn write(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    id: Uuid,
    words: &Words,
    opted_out_at: Option<Timestamp>,
) -> Result<(), StoreError> {
    let now = kernel.now();
    let opted_out_at = words.is_opted_out.then(|| opted_out_at.unwrap_or(now));
    tx.execute(
        "UPDATE wave_contacts SET name = $3, phone = $4, email = $5, company_name = $6, location = $7, owner_id = $8, lifecycle = $9, \
         tags = $10, lifetime_value = $11, notes = $12, opted_out_at = $13, opt_out_reason = $14, updated_at = $15, version = version + 1 \
         WHERE company_id = $1 AND id = $2",
        &params![
            tenant.company,
            id,
            words.name.as_str(),
            words.phone.as_deref(),
            words.email.as_deref(),
            words.company_name.as_deref(),
            words.location.as_deref(),
            words.owner_id,
            words.lifecycle.as_str(),
            Value::Json(Json::from(words.tags.clone()).to_string()),
            words.lifetime_value.as_deref(),
            words.notes.as_deref(),
            opted_out_at,
            words.opt_out_reason.as_deref().filter(|_| words.is_opted_out),
            now
        ],
    )
    .map(drop)
}

/// Takes a contact away. Chats and tickets stay, with nobody behind them; who writes again is a new contact. Of somebody who asked not to
/// be written to, the addresses stay with the deleted row, so that the wish is not forgotten: who is made by one of them has it too.
///
/// # Errors
/// 404.
pub fn delete(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid) -> Result<()> {
    let before = lock(tx, tenant.company, id)?;
    let gone = get(tx, tenant.company, id)?;
    for sql in [
        "UPDATE wave_chats SET contact_id = NULL WHERE company_id = $1 AND contact_id = $2",
        "UPDATE wave_tickets SET contact_id = NULL WHERE company_id = $1 AND contact_id = $2",
    ] {
        tx.execute(sql, &params![tenant.company, id])?;
    }
    if before.opted_out_at.is_none() {
        let sql = "DELETE FROM wave_identities WHERE company_id = $1 AND contact_id = $2";
        tx.execute(sql, &params![tenant.company, id])?;
    }
    let sql = "UPDATE wave_contacts SET deleted_at = $3, updated_at = $3, version = version + 1 WHERE company_id = $1 AND id = $2";
    tx.execute(sql, &params![tenant.company, id, kernel.now()])?;
    noted(tx, kernel, tenant, id, &before.words.name, "delete", None)?;
    told(tx, kernel, tenant, &gone, "deleted")
}

/// Lets one contact go on in another: identities, chats and tickets move, what the winner lacks is the loser's, and who of them asked
/// not to be written to is heard.
///
/// # Errors
/// 404; 400 when both are one.
pub fn merge(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, loser: Uuid, winner: Uuid) -> Result<()> {
    if loser == winner {
        return Err(Problem::field("into", "invalid", "A contact cannot go on in itself."));
    }
    // In one order, so that two merges never wait for each other.
    let (first, second) = (loser.min(winner), loser.max(winner));
    let unknown = |id: Uuid, problem: Problem| {
        let is_winner = id == winner && problem.status() == 404;
        if is_winner { Problem::field("into", "does_not_exist", "There is no such contact.") } else { problem }
    };
    let one = lock(tx, tenant.company, first).map_err(|problem| unknown(first, problem))?;
    let two = lock(tx, tenant.company, second).map_err(|problem| unknown(second, problem))?;
    let (lost, won) = if one.id == loser { (one, two) } else { (two, one) };
    let gone = get(tx, tenant.company, loser)?;
    for sql in [
        "UPDATE wave_identities SET contact_id = $3 WHERE company_id = $1 AND contact_id = $2",
        "UPDATE wave_tickets SET contact_id = $3 WHERE company_id = $1 AND contact_id = $2",
    ] {
        tx.execute(sql, &params![tenant.company, loser, winner])?;
    }
    crate::link::store::moved(tx, tenant.company, loser, winner)?;
    let sql = "UPDATE wave_chats SET contact_id = $3, name = $4 WHERE company_id = $1 AND contact_id = $2";
    tx.execute(sql, &params![tenant.company, loser, winner, won.words.name.as_str()])?;
    write(tx, kernel, tenant, winner, &united(&won.words, &lost.words), won.opted_out_at.or(lost.opted_out_at))?;
    let sql = "UPDATE wave_contacts SET conversation_count = conversation_count + $3, last_contacted_at = $4 WHERE company_id = $1 AND id = $2";
    let last = won.last_contacted_at.max(lost.last_contacted_at);
    tx.execute(sql, &params![tenant.company, winner, lost.conversation_count, last])?;
    let sql = "UPDATE wave_contacts SET deleted_at = $3, merged_into = $4, updated_at = $3, version = version + 1 WHERE company_id = $1 AND id = $2";
    tx.execute(sql, &params![tenant.company, loser, kernel.now(), winner])?;
    let into = Json::from(winner.to_string());
    let changes = Json::Object(Map::from_iter([("merged_into".to_owned(), into)])).to_string();
    noted(tx, kernel, tenant, loser, &lost.words.name, "merge", Some(changes))?;
    told(tx, kernel, tenant, &gone, "merged")?;
    let winner = get(tx, tenant.company, winner)?;
    told(tx, kernel, tenant, &winner, "updated")
}

/// The winner's words, and the loser's where the winner has none.
fn united(won: &Words, lost: &Words) -> Words {
    let either = |won: &Option<String>, lost: &Option<String>| won.clone().or_else(|| lost.clone());
    let mut tags = won.tags.clone();
    tags.extend(lost.tags.iter().filter(|tag| !won.tags.contains(tag)).cloned());
    let notes: Vec<&str> = [&won.notes, &lost.notes].into_iter().flatten().map(String::as_str).collect();
    Words {
        name: won.name.clone(),
        phone: either(&won.phone, &lost.phone),
        email: either(&won.email, &lost.email),
        company_name: either(&won.company_name, &lost.company_name),
        location: either(&won.location, &lost.location),
        owner_id: won.owner_id.or(lost.owner_id),
        lifecycle: won.lifecycle.clone(),
        tags,
        lifetime_value: either(&won.lifetime_value, &lost.lifetime_value),
        notes: Some(notes.join("\n\n")).filter(|notes| !notes.is_empty()),
        opt_out_reason: either(&won.opt_out_reason, &lost.opt_out_reason),
        is_opted_out: won.is_opted_out || lost.is_opted_out,
    }
}

/// By what a contact is known: kind and value.
pub fn identities(
    reader: &mut Reader<'_>,
    company: CompanyId,
    id: Uuid,
) -> Result<Vec<(String, String, Timestamp)>, StoreError> {
    let sql = "SELECT kind, value, created_at FROM wave_identities WHERE company_id = $1 AND contact_id = $2 ORDER BY created_at, kind, value";
    reader.query(sql, &params![company, id], |row| Ok((row.text(0)?.to_owned(), row.text(1)?.to_owned(), row.time(2)?)))
}

fn exists() -> Problem {
    Problem::conflict("contact_exists", "There is a contact with this telephone number already.")
}

fn written(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    id: Uuid,
    name: &str,
    (action, act): (&str, &str),
    changes: Option<String>,
) -> Result<()> {
    noted(tx, kernel, tenant, id, name, action, changes)?;
    let after = get(tx, tenant.company, id)?;
    told(tx, kernel, tenant, &after, act)
}

fn noted(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    id: Uuid,
    name: &str,
    action: &str,
    changes: Option<String>,
) -> Result<()> {
    let (target, label) = (id.to_string(), crate::mask::Sight::Masked.name(name));
    let entry = audit::Entry { action, module: PRODUCT, resource: "contacts", target: &target, label: &label, changes };
    Ok(audit::record(tx, kernel, tenant, entry)?)
}
