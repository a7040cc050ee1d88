//! PostgreSQL: an index over the words of every message.

use loopd_store::{Reader, StoreError, Value, params};
use loopd_types::{CompanyId, Uuid};

use super::{Hit, Wanted};

/// As [`super::hits`].
pub fn hits(
    reader: &mut Reader<'_>,
    company: CompanyId,
    wanted: &Wanted,
    after: (i64, Uuid),
    most: i64,
) -> Result<Vec<Hit>, StoreError> {
    // Words are letters and digits, so nothing in them is read as anything else.
    let asked: Vec<String> =
        wanted.words.0.iter().map(|(word, goes_on)| format!("'{word}'{}", if *goes_on { ":*" } else { "" })).collect();
    let mut sql = String::from(
        "SELECT m.sent_at, m.id FROM wave_messages m WHERE m.company_id = $1 \
         AND wave_search_words(m.text) @@ to_tsquery('pg_catalog.simple', $2) AND (m.sent_at, m.id) < ($3, $4)",
    );
    let mut values = params![company, asked.join(" & "), after.0, after.1].to_vec();
    let conditions: [(&str, Option<Value>); 6] = [
        ("m.chat_id =", wanted.chat.map(Into::into)),
        ("m.number_id =", wanted.number.map(Into::into)),
        ("m.agent_id =", wanted.agent.map(Into::into)),
        ("m.sent_at >=", wanted.from.map(Into::into)),
        ("m.sent_at <", wanted.until.map(Into::into)),
        ("m.from_me =", wanted.from_me.map(Into::into)),
    ];
    for (condition, value) in conditions {
        if let Some(value) = value {
            values.push(value);
            sql.push_str(&format!(" AND {condition} ${}", values.len()));
        }
    }
    sql.push_str(&format!(" ORDER BY m.sent_at DESC, m.id DESC LIMIT {most}"));
    reader.query(&sql, &values, |row| Ok(Hit { place: (row.i64(0)?, row.uuid(1)?), message: row.uuid(1)? }))
}
