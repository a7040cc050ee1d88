//! What the protocol of linked devices keeps: keys, sessions, mappings. Values are sealed; what an entry is called is a digest wherever it
//! would name a person, so that nobody is read out of this table.

use loopd_store::{Reader, StoreError, Tx, Value, params};
use loopd_types::{CompanyId, Problem, Result, Timestamp, Uuid};

/// Whose entries: one number's.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Whose {
    pub company: CompanyId,
    pub number: Uuid,
}

/// What an entry is called: its kind, what it belongs to (empty for nothing), and itself.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Name {
    pub kind: &'static str,
    pub family: String,
    pub item: String,
}

/// One entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    pub name: Name,
    /// Sealed.
    pub value: Vec<u8>,
    /// What [`prune`] goes by; `None` for what is kept until it is removed.
    pub pruned_by: Option<Timestamp>,
}

/// The kind of the entry that says that a telephone has linked the number; it holds nothing.
pub const LINKED: &str = "linked";

/// A telephone has linked the number: from now on a node holds its line.
///
/// # Errors
/// The database's.
pub fn linked(tx: &mut Tx<'_>, whose: Whose) -> Result<(), StoreError> {
    let name = Name { kind: LINKED, family: String::new(), item: String::new() };
    put(tx, whose, &[Entry { name, value: Vec::new(), pruned_by: None }])
}

/// 409: another node has taken the line over, or it was unlinked; what this one wanted to write would be of yesterday.
pub fn not_held() -> Problem {
    Problem::conflict("not_held", "This node no longer holds the number's connection.")
}

/// Whether a node holds a line.
///
/// # Errors
/// The database's.
pub fn is_held(reader: &mut Reader<'_>, whose: Whose, owner: &str) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM wave_numbers WHERE company_id = $1 AND id = $2 AND owner = $3 AND deleted_at IS NULL";
    Ok(reader.first(sql, &params![whose.company, whose.number, owner], |row| row.i64(0))?.is_some())
}

/// # Errors
/// 409 `not_held`.
pub fn require_held(reader: &mut Reader<'_>, whose: Whose, owner: &str) -> Result<()> {
    if is_held(reader, whose, owner)? { Ok(()) } else { Err(not_held()) }
}

/// Writes entries, in place of those of the same name.
///
/// # Errors
/// The database's.
pub fn put(tx: &mut Tx<'_>, whose: Whose, entries: &[Entry]) -> Result<(), StoreError> {
    for entry in entries {
        tx.push(
            "INSERT INTO wave_web_states (company_id, number_id, kind, family, item, value, pruned_by) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (company_id, number_id, kind, family, item) \
             DO UPDATE SET value = excluded.value, pruned_by = excluded.pruned_by",
            params![
                whose.company,
                whose.number,
                entry.name.kind,
                entry.name.family.as_str(),
                entry.name.item.as_str(),
                entry.value.clone(),
                entry.pruned_by
            ],
        )?;
    }
    Ok(())
}

pub fn get(reader: &mut Reader<'_>, whose: Whose, name: &Name) -> Result<Option<Vec<u8>>, StoreError> {
    let sql = "SELECT value FROM wave_web_states WHERE company_id = $1 AND number_id = $2 AND kind = $3 AND family = $4 AND item = $5";
    let key = params![whose.company, whose.number, name.kind, name.family.as_str(), name.item.as_str()];
    reader.first(sql, &key, |row| Ok(row.bytes(0)?.to_vec()))
}

/// The entries of a kind, or of one family of it, in the order of their names.
pub fn list(
    reader: &mut Reader<'_>,
    whose: Whose,
    kind: &'static str,
    family: Option<&str>,
) -> Result<Vec<(Name, Vec<u8>)>, StoreError> {
    let mut values = params![whose.company, whose.number, kind].to_vec();
    let narrowed = match family {
        Some(family) => {
            values.push(Value::from(family));
            " AND family = $4"
        }
        None => "",
    };
    let sql = format!(
        "SELECT family, item, value FROM wave_web_states WHERE company_id = $1 AND number_id = $2 AND kind = $3{narrowed} ORDER BY family, item"
    );
    reader.query(&sql, &values, |row| {
        let name = Name { kind, family: row.text(0)?.to_owned(), item: row.text(1)?.to_owned() };
        Ok((name, row.bytes(2)?.to_vec()))
    })
}

/// Whether a family has anything of one of these kinds.
pub fn has_family(
    reader: &mut Reader<'_>,
    whose: Whose,
    kinds: &[&'static str],
    family: &str,
) -> Result<bool, StoreError> {
    let sql =
        "SELECT 1 FROM wave_web_states WHERE company_id = $1 AND number_id = $2 AND kind = $3 AND family = $4 LIMIT 1";
    for kind in kinds {
        if reader.first(sql, &params![whose.company, whose.number, *kind, family], |row| row.i64(0))?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The last name of a kind, by its text.
pub fn last_item(reader: &mut Reader<'_>, whose: Whose, kind: &'static str) -> Result<Option<String>, StoreError> {
    let sql = "SELECT item FROM wave_web_states WHERE company_id = $1 AND number_id = $2 AND kind = $3 ORDER BY item DESC LIMIT 1";
    reader.first(sql, &params![whose.company, whose.number, kind], |row| Ok(row.text(0)?.to_owned()))
}

/// # Errors
/// The database's.
pub fn remove(tx: &mut Tx<'_>, whose: Whose, names: &[Name]) -> Result<(), StoreError> {
    for name in names {
        tx.push(
            "DELETE FROM wave_web_states WHERE company_id = $1 AND number_id = $2 AND kind = $3 AND family = $4 AND item = $5",
            params![whose.company, whose.number, name.kind, name.family.as_str(), name.item.as_str()],
        )?;
    }
    Ok(())
}

/// Removes a kind, or one family of it.
///
/// # Errors
/// The database's.
pub fn remove_all(tx: &mut Tx<'_>, whose: Whose, kind: &'static str, family: Option<&str>) -> Result<(), StoreError> {
    let (sql, mut values) = (
        "DELETE FROM wave_web_states WHERE company_id = $1 AND number_id = $2 AND kind = $3",
        params![whose.company, whose.number, kind].to_vec(),
    );
    match family {
        Some(family) => {
            values.push(Value::from(family));
            tx.push(&format!("{sql} AND family = $4"), values)
        }
        None => tx.push(sql, values),
    }
}

/// Removes what is called so in every family of a kind.
///
/// # Errors
/// The database's.
pub fn remove_items(tx: &mut Tx<'_>, whose: Whose, kind: &'static str, items: &[String]) -> Result<(), StoreError> {
    for item in items {
        tx.push(
            "DELETE FROM wave_web_states WHERE company_id = $1 AND number_id = $2 AND kind = $3 AND item = $4",
            params![whose.company, whose.number, kind, item.as_str()],
        )?;
    }
    Ok(())
}

/// Removes the entries of a kind that go by a moment up to `until`; how many.
///
/// # Errors
/// The database's.
pub fn prune(tx: &mut Tx<'_>, whose: Whose, kind: &'static str, until: Timestamp) -> Result<u64, StoreError> {
    tx.execute(
        "DELETE FROM wave_web_states WHERE company_id = $1 AND number_id = $2 AND kind = $3 AND pruned_by <= $4",
        &params![whose.company, whose.number, kind, until],
    )
}

/// Removes everything: the device was unlinked, and what is here opens nothing any more.
///
/// # Errors
/// The database's.
pub fn forget(tx: &mut Tx<'_>, whose: Whose) -> Result<(), StoreError> {
    tx.push(
        "DELETE FROM wave_web_states WHERE company_id = $1 AND number_id = $2",
        params![whose.company, whose.number],
    )
}
