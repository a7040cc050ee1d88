//! Lists of chats.

use loopd_store::{Engine, Reader, StoreError, Value, dialect, params};
use loopd_types::{CompanyId, Uuid};
use loopd_web::cursor::Page;

use super::{Chat, SELECT, read};
use crate::contact;
use crate::mask::{self, Sight};
use crate::masked_name_sql;

/// So many chats of a name are looked up one by one. Of more, a page is found soon on the way through all of them, newest first.
const FEW: usize = 500;

/// Which chats.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub status: Option<String>,
    /// `Some(None)`: those that nobody has.
    pub assignee: Option<Option<Uuid>>,
    pub number: Option<Uuid>,
    pub contact: Option<Uuid>,
    /// Those whose contact has this tag.
    pub tag: Option<String>,
    /// Those whose contact is at this stage.
    pub lifecycle: Option<String>,
    pub label: Option<String>,
    /// Those with messages that nobody read.
    pub is_unread: bool,
    /// Those whose customer waits for an answer.
    pub is_waiting: bool,
    /// With this in the name or the address, as somebody is shown them who sees this much of numbers.
    pub text: Option<(String, Sight)>,
}

impl Filter {
    /// Conditions, the one that leaves the fewest chats first, each with the column that it compares.
    fn conditions(&self) -> Vec<(&'static str, &'static str, Option<Value>)> {
        let mut all = Vec::new();
        if let Some(contact) = self.contact {
            all.push(("c.contact_id", " = ", Some(contact.into())));
        }
        if let Some(label) = &self.label {
            let labelled = " IN (SELECT l.chat_id FROM wave_chat_labels l WHERE l.company_id = $1 AND l.label = ";
            all.push(("c.id", labelled, Some(label.clone().into())));
        }
        if let Some(stage) = &self.lifecycle {
            let staged = " IN (SELECT p.id FROM wave_contacts p WHERE p.company_id = $1 AND p.deleted_at IS NULL AND p.lifecycle = ";
            all.push(("c.contact_id", staged, Some(stage.clone().into())));
        }
        if self.is_unread {
            all.push(("c.unread_count", " > 0", None));
        }
        if self.is_waiting {
            all.push(("c.waiting_since", " IS NOT NULL", None));
        }
        match self.assignee {
            Some(Some(agent)) => all.push(("c.assignee_id", " = ", Some(agent.into()))),
            Some(None) => all.push(("c.assignee_id", " IS NULL", None)),
            None => {}
        }
        if let Some(status) = &self.status {
            all.push(("c.status", " = ", Some(status.clone().into())));
        }
        if let Some(number) = self.number {
            all.push(("c.number_id", " = ", Some(number.into())));
        }
        all
    }
}

/// A page of chats, the last written in first; one more than the page has, if there are more.
pub fn list(
    reader: &mut Reader<'_>,
    company: CompanyId,
    filter: &Filter,
    page: &Page,
) -> Result<Vec<Chat>, StoreError> {
    let engine = reader.engine();
    let named = match &filter.text {
        Some((text, sight)) => few_named(reader, company, text, *sight)?,
        None => None,
    };
    let (at, id) = page.before();
    let mut values = params![company, at, id].to_vec();
    // Which conditions an index is there for together: an assignee's chats by status. What else is asked is only compared, and
    // everything is where it is known which chats there can be.
    let compared = |column: &str, is_leading: bool| {
        let is_leading = is_leading && named.is_none();
        if is_leading { column.to_owned() } else { dialect::unindexed(engine, column) }
    };
    let before = compared("c.last_message_at", true);
    let mut sql = format!("{SELECT} WHERE c.company_id = $1 AND ({before}, c.id) < ($2, $3)");
    let conditions = filter.conditions();
    let is_of_agent = conditions.first().is_some_and(|(column, ..)| *column == "c.assignee_id");
    for (place, (column, comparison, value)) in conditions.iter().enumerate() {
        let is_leading = place == 0 || (is_of_agent && *column == "c.status");
        sql.push_str(&format!(" AND {}{comparison}", compared(column, is_leading)));
        if let Some(value) = value {
            sql.push_str(&marker(&mut values, value.clone()));
            if comparison.contains('(') {
                sql.push(')');
            }
        }
    }
    if let Some(tag) = &filter.tag {
        let marker = format!("${}", values.len() + 1);
        let (has, tag) = contact::store::tagged(reader, "p.tags", &marker, tag);
        values.push(tag);
        sql.push_str(&format!(
            " AND c.contact_id IN (SELECT p.id FROM wave_contacts p WHERE p.company_id = $1 AND p.deleted_at IS NULL AND {has})"
        ));
    }
    match (&named, &filter.text) {
        (Some(ids), _) => {
            let marks: Vec<String> = ids.iter().map(|id| marker(&mut values, (*id).into())).collect();
            sql.push_str(&format!(" AND c.id IN ({})", marks.join(", ")));
        }
        (None, Some((text, sight))) => {
            sql.push_str(&format!(" AND {}", with_name(engine, text, *sight, &mut values)));
        }
        (None, None) => {}
    }
    sql.push_str(&format!(" ORDER BY c.last_message_at DESC, c.id DESC LIMIT {}", page.limit + 1));
    reader.query(&sql, &values, read)
}

/// The marker of one value more.
fn marker(values: &mut Vec<Value>, value: Value) -> String {
    values.push(value);
    format!("${}", values.len())
}

/// The chats with this in the name or the address, where they are few; `None` where they are many. On SQLite an index holds names and
/// addresses and nothing else, and going through all of it is much less than through the chats. PostgreSQL goes through the chats,
/// whose index would have to be written at every message there.
fn few_named(
    reader: &mut Reader<'_>,
    company: CompanyId,
    text: &str,
    sight: Sight,
) -> Result<Option<Vec<Uuid>>, StoreError> {
    if reader.engine() != Engine::Sqlite {
        return Ok(None);
    }
    let mut values = params![company].to_vec();
    let found = with_name(Engine::Sqlite, text, sight, &mut values);
    let sql = format!("SELECT c.id FROM wave_chats c WHERE c.company_id = $1 AND {found} LIMIT {}", FEW + 1);
    let mut ids = reader.query(&sql, &values, |row| row.uuid(0))?;
    if ids.len() > FEW {
        return Ok(None);
    }
    // One of few statements, however many there are; no chat has the nil id.
    ids.resize(ids.len().next_power_of_two(), Uuid::nil());
    Ok(Some(ids))
}

/// The condition that a chat has this in its name or address, as somebody is shown them who sees this much of numbers.
fn with_name(engine: Engine, text: &str, sight: Sight, values: &mut Vec<Value>) -> String {
    if sight.is_masked() {
        let text = mask::folded(text);
        let text_at = marker(values, text.as_ref().into());
        let shown = dialect::contains(engine, masked_name_sql!("COALESCE(c.name, '')"), &text_at);
        if text.contains('•') {
            return shown;
        }
        // Masking is dear, and brings nothing together that was apart but in names that are numbers.
        let name = dialect::contains(engine, "COALESCE(c.name, '')", &text_at);
        return format!("(CASE WHEN {name} OR trim(c.name, '0123456789 +-().') = '' THEN {shown} ELSE FALSE END)");
    }
    let text_at = marker(values, text.into());
    let name = dialect::contains(engine, "COALESCE(c.name, '')", &text_at);
    match digits_of(text) {
        Some(digits) => {
            let digits_at = marker(values, digits.into());
            format!("({name} OR {})", dialect::contains(engine, "c.jid", &digits_at))
        }
        None => name,
    }
}

/// The digits of what may be a part of a telephone number, without the zeros that stand for a country; `None` for other words.
fn digits_of(text: &str) -> Option<String> {
    let is_written_so = text.chars().all(|c| c.is_ascii_digit() || " +-().".contains(c));
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let digits = digits.trim_start_matches('0');
    (is_written_so && digits.len() >= 3).then(|| digits.to_owned())
}
