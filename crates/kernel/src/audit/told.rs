//! What a change was, as the log tells it: a row as the API shows it, before and after.

use loopd_store::Reader;
use loopd_types::{CompanyId, Problem, Result, Uuid};
use serde_json::{Map, Value as Json, json};

use crate::listing::{Conditions, Listing};

/// How the log tells of one kind of rows.
pub struct Told {
    pub listing: &'static Listing,
    /// What is told of, by the listing's names: what people set, and never a secret.
    pub fields: &'static [&'static str],
    /// By what people know a row: its name, address or number.
    pub label: &'static str,
}

/// What happened to one row.
pub struct Change {
    pub label: String,
    /// `{"field": [before, after]}` of what differs.
    pub fields: Map<String, Json>,
}

impl Told {
    /// The row as it is in this transaction; null where there is none.
    ///
    /// # Errors
    /// The database's.
    pub fn row(&self, reader: &mut Reader<'_>, company: CompanyId, id: Uuid) -> Result<Json> {
        let found = self.listing.find(reader, id, Some(&[company]), Conditions::default())?;
        found.map_or(Ok(Json::Null), |text| serde_json::from_slice(&text).map_err(Problem::internal))
    }

    /// What became of the row since it was `before` (null: it was not there).
    ///
    /// # Errors
    /// The database's.
    pub fn change(&self, reader: &mut Reader<'_>, company: CompanyId, id: Uuid, before: &Json) -> Result<Change> {
        let after = self.row(reader, company, id)?;
        let label = [&after, before].into_iter().find_map(|row| row[self.label].as_str());
        let fields = differences(&self.picked(before), &self.picked(&after));
        Ok(Change { label: label.unwrap_or_default().to_owned(), fields })
    }

    fn picked(&self, row: &Json) -> Json {
        self.fields.iter().map(|field| ((*field).to_owned(), row[*field].clone())).collect::<Map<_, _>>().into()
    }
}

impl Change {
    /// As [`super::Entry::changes`].
    pub fn to_text(&self) -> Option<String> {
        (!self.fields.is_empty()).then(|| Json::Object(self.fields.clone()).to_string())
    }
}

/// `{"field": [before, after]}` of two objects' fields that differ. What is empty on one side and absent on the other does not.
pub fn differences(before: &Json, after: &Json) -> Map<String, Json> {
    let is_nothing = |value: &Json| match value {
        Json::Null => true,
        Json::String(text) => text.is_empty(),
        Json::Array(items) => items.is_empty(),
        Json::Object(fields) => fields.is_empty(),
        _ => false,
    };
    let fields = [before, after].into_iter().filter_map(Json::as_object).flat_map(Map::keys);
    let both = fields.map(|field| (field, &before[field], &after[field]));
    let differ = both.filter(|(_, was, is)| was != is && !(is_nothing(was) && is_nothing(is)));
    differ.map(|(field, was, is)| (field.clone(), json!([was, is]))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_told() {
        let before = json!({"name": "a", "scopes": ["x"], "note": ""});
        let after = json!({"name": "b", "scopes": ["x"]});
        let told = |before: &Json, after: &Json| Json::Object(differences(before, after));
        assert_eq!(told(&before, &after), json!({"name": ["a", "b"]}));
        assert_eq!(told(&Json::Null, &before), json!({"name": [null, "a"], "scopes": [null, ["x"]]}));
        assert_eq!(told(&after, &Json::Null), json!({"name": ["b", null], "scopes": [["x"], null]}));
    }
}
