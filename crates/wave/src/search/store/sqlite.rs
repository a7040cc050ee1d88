//! SQLite: FTS5 without content. A row's number is its message's second, and within it the order of coming, so the index itself gives the
//! newest first and a page begins where the last one ended. Whose a message is stands among its words, as words that nobody can write
//! (`§c1`, `§h…`): so every condition is one more list to meet, and no rows are read that do not belong.

use loopd_store::{Reader, StoreError, Tx, params};
use loopd_types::{CompanyId, SECOND_US, Timestamp, Uuid};

use super::{Hit, Wanted};
use crate::search::words;

/// The end of the year 9999: what claims to be later is as new as can be.
const LATEST_US: i64 = 253_402_300_799 * SECOND_US;

/// As [`super::hits`].
pub fn hits(
    reader: &mut Reader<'_>,
    company: CompanyId,
    wanted: &Wanted,
    after: (i64, Uuid),
    most: i64,
) -> Result<Vec<Hit>, StoreError> {
    let from = wanted.from.map_or(i64::MIN, second);
    let until = wanted.until.map_or(i64::MAX, |until| second(until) + SECOND_US);
    let sql = "SELECT s.rowid, r.message_id FROM wave_search s CROSS JOIN wave_search_rows r ON r.place = s.rowid \
         WHERE s.wave_search MATCH $1 AND s.rowid < $2 AND s.rowid >= $3 AND r.company = $4 ORDER BY s.rowid DESC LIMIT $5";
    reader.query(sql, &params![question(company, wanted), after.0.min(until), from, company, most], |row| {
        Ok(Hit { place: (row.i64(0)?, Uuid::nil()), message: row.uuid(1)? })
    })
}

/// What is wanted in FTS5's language. Words are letters and digits, so none ends its quotes.
fn question(company: CompanyId, wanted: &Wanted) -> String {
    let asked = wanted.words.0.iter().map(|(word, goes_on)| format!("\"{word}\"{}", if *goes_on { "*" } else { "" }));
    let direction = wanted.from_me.map(|from_me| if from_me { OUT } else { IN }.to_owned());
    let marks = [
        Some(of_company(company.0)),
        wanted.chat.map(of_chat),
        wanted.number.map(of_number),
        wanted.agent.map(of_agent),
        direction,
    ];
    let marks = marks.into_iter().flatten().map(|mark| format!("\"{mark}\""));
    asked.chain(marks).collect::<Vec<_>>().join(" AND ")
}

const IN: &str = "§in";
const OUT: &str = "§out";

fn of_company(company: i64) -> String {
    format!("§c{company}")
}

fn of_chat(chat: Uuid) -> String {
    format!("§h{}", chat.simple())
}

fn of_number(number: Uuid) -> String {
    format!("§n{}", number.simple())
}

fn of_agent(agent: Uuid) -> String {
    format!("§a{}", agent.simple())
}

/// The second of a moment, where the places of its messages begin.
fn second(at: Timestamp) -> i64 {
    let at = at.0.clamp(0, LATEST_US);
    at - at.rem_euclid(SECOND_US)
}

/// Whether a message waits to be indexed.
pub fn is_behind(reader: &mut Reader<'_>) -> Result<bool, StoreError> {
    Ok(reader.first("SELECT 1 FROM wave_search_queue LIMIT 1", &[], |row| row.i64(0))?.is_some())
}

/// A message of the queue as it is now.
struct Queued {
    company: i64,
    message: Uuid,
    place: Option<i64>,
    /// Its words and marks, and its moment; `None` when it is gone.
    content: Option<(String, Timestamp)>,
}

/// Indexes as many messages as wait, `most` at most; how many.
///
/// # Errors
/// The database's; then all of them wait on.
pub fn take_up(tx: &mut Tx<'_>, most: i64) -> Result<i64, StoreError> {
    let sql = "SELECT q.company, q.message_id, r.place, m.text, m.chat_id, m.number_id, m.agent_id, m.from_me, m.sent_at \
         FROM wave_search_queue q LEFT JOIN wave_messages m ON m.company_id = q.company AND m.id = q.message_id \
         LEFT JOIN wave_search_rows r ON r.company = q.company AND r.message_id = q.message_id \
         ORDER BY q.company, q.message_id LIMIT $1";
    let queued = tx.query(sql, &params![most], |row| {
        let company = row.i64(0)?;
        let content = match row.opt_text(3)? {
            None => None,
            Some(text) => {
                let agent = row.opt_uuid(6)?.map(of_agent);
                let marks = [of_company(company), of_chat(row.uuid(4)?), of_number(row.uuid(5)?)];
                let direction = if row.bool(7)? { OUT } else { IN }.to_owned();
                let words = words(text).into_iter().map(|word| word.text);
                let all: Vec<String> = marks.into_iter().chain(agent).chain([direction]).chain(words).collect();
                Some((all.join(" "), row.time(8)?))
            }
        };
        Ok(Queued { company, message: row.uuid(1)?, place: row.opt_i64(2)?, content })
    })?;
    for one in &queued {
        index(tx, one)?;
    }
    if let Some(last) = queued.last() {
        // All of them, and no other: there is one writer.
        let sql = "DELETE FROM wave_search_queue WHERE (company, message_id) <= ($1, $2)";
        tx.execute(sql, &params![last.company, last.message])?;
    }
    Ok(i64::try_from(queued.len()).unwrap_or(i64::MAX))
}

fn index(tx: &mut Tx<'_>, queued: &Queued) -> Result<(), StoreError> {
    if let Some(place) = queued.place {
        tx.execute("DELETE FROM wave_search WHERE rowid = $1", &params![place])?;
    }
    let Some((content, at)) = &queued.content else {
        let Some(place) = queued.place else { return Ok(()) };
        tx.execute("DELETE FROM wave_search_rows WHERE place = $1", &params![place])?;
        return Ok(());
    };
    let place = match queued.place {
        Some(place) => place,
        None => {
            let place = next_place(tx, *at)?;
            tx.execute(
                "INSERT INTO wave_search_rows (place, company, message_id) VALUES ($1, $2, $3)",
                &params![place, queued.company, queued.message],
            )?;
            place
        }
    };
    tx.execute("INSERT INTO wave_search (rowid, words) VALUES ($1, $2)", &params![place, content.as_str()])?;
    Ok(())
}

/// The next free place in a moment's second; after everything else when a million messages share it.
fn next_place(tx: &mut Tx<'_>, at: Timestamp) -> Result<i64, StoreError> {
    let from = second(at);
    let last = "SELECT place FROM wave_search_rows WHERE place >= $1 AND place < $2 ORDER BY place DESC LIMIT 1";
    let next = tx.first(last, &params![from, from + SECOND_US], |row| row.i64(0))?.map_or(from, |last| last + 1);
    if next < from + SECOND_US {
        return Ok(next);
    }
    let newest = tx.first("SELECT place FROM wave_search_rows ORDER BY place DESC LIMIT 1", &[], |row| row.i64(0))?;
    Ok(newest.map_or(from, |newest| newest + 1))
}
