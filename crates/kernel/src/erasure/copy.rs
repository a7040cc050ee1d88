//! What is held about a person, for themselves: the tables of [`super::places`] that are theirs, without what opens anything.

use loopd_store::ddl::{ColumnDef, ColumnKind};
use loopd_store::{Reader, Row, StoreError, migrate, params};
use loopd_types::{Result, Timestamp, Uuid};
use serde_json::{Map, Value as Json, json};

/// Where something of a person is told to them, and by which column it is theirs.
const TOLD: [(&str, &str); 12] = [
    ("users", "id"),
    ("sessions", "user_id"),
    ("memberships", "user_id"),
    ("invitations", "user_id"),
    ("developer_profiles", "user_id"),
    ("api_client_apps", "owner_id"),
    ("credentials", "user_id"),
    ("passkeys", "user_id"),
    ("oidc_identities", "user_id"),
    ("totp_factors", "user_id"),
    ("audit_logs", "actor_user_id"),
    ("mail_messages", "recipient"),
];

/// Rows of one table; the newest, where there are more.
const MOST_ROWS: usize = 10_000;

/// Everything that is held about a person by their account, as JSON: by table, rows with their columns. Columns that open something
/// (hashes, tokens, sealed secrets) are left out; moments are RFC 3339.
///
/// # Errors
/// 404.
pub fn data_of(reader: &mut Reader<'_>, user: Uuid) -> Result<Json> {
    let email = crate::account::email_of(reader, user)?;
    let all = migrate::tables();
    let mut tables = Map::new();
    for (name, column) in TOLD {
        let Some(table) = all.iter().find(|table| table.name == name) else { continue };
        let columns: Vec<ColumnDef> = table.columns.iter().filter(|column| is_told(column)).cloned().collect();
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let key = table.primary_key.join(" DESC, ");
        let sql = format!(
            "SELECT {} FROM {name} WHERE {column} = $1 ORDER BY {key} DESC LIMIT {MOST_ROWS}",
            names.join(", ")
        );
        let read = |row: &Row<'_>| {
            let cells =
                columns.iter().enumerate().map(|(at, column)| Ok((column.name.clone(), cell(row, at, column)?)));
            Ok(Json::Object(cells.collect::<Result<Map<String, Json>, StoreError>>()?))
        };
        let rows = match column {
            "recipient" => reader.query(&sql, &params![&email], read)?,
            _ => reader.query(&sql, &params![user], read)?,
        };
        tables.insert(name.to_owned(), Json::from(rows));
    }
    Ok(json!({"user": user.to_string(), "email": email, "most_rows_of_a_table": MOST_ROWS, "tables": tables}))
}

fn is_told(column: &ColumnDef) -> bool {
    const SECRET: [&str; 5] = ["hash", "token", "secret", "jti", "public_key"];
    column.kind != ColumnKind::Bytes && !SECRET.iter().any(|word| column.name.contains(word))
}

fn cell(row: &Row<'_>, at: usize, column: &ColumnDef) -> Result<Json, StoreError> {
    let is_moment = column.name == "at" || column.name.ends_with("_at") || column.name.ends_with("_since");
    Ok(match column.kind {
        ColumnKind::Uuid => row.opt_uuid(at)?.map(|id| id.to_string()).into(),
        ColumnKind::Text => row.opt_text(at)?.into(),
        ColumnKind::Int if is_moment => row.opt_time(at)?.map(|at: Timestamp| at.to_string()).into(),
        ColumnKind::Int => row.opt_i64(at)?.into(),
        ColumnKind::Bool => row.bool(at)?.into(),
        ColumnKind::Json => row.opt_json(at)?.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default(),
        ColumnKind::Bytes => Json::Null,
    })
}
