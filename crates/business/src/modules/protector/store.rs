//! The index of all codes of the installation. Whoever checks a code does not know the company, so codes are unique in the whole installation
//! and found here first. Codes without a company belong to the installation itself.

use loopd_store::ddl::{ColumnDef, ColumnKind, IndexDef, TableDef};
use loopd_store::{Reader, Tx, View, params};
use loopd_types::CompanyId;

use crate::define::*;

const INDEX: &str = "protector_code_index";
const SCANS: &str = "protector_installation_scans";

/// The code that the portal prints (spec/loop.md 3, row 10): genuine on every installation, owned by none of its companies.
const SAMPLE: (&str, &str, &str, &str) = ("IHEMATST1", "Sample item", "Ihema", "LOOP by LIGHTMGROUP");

/// Where a code leads.
pub(super) enum Found {
    Company {
        company: CompanyId,
        code: Uuid,
    },
    /// Name, brand and issuer, in words for strangers.
    Installation {
        name: String,
        brand: String,
        issuer: String,
    },
}

/// Makes the installation's own code. Repeatable.
///
/// # Errors
/// 503 from the database.
pub async fn install(engine: &Engine) -> Result<()> {
    engine
        .kernel
        .db
        .write(View::System, |tx| {
            let sql = format!(
                "INSERT INTO {INDEX} (code, item_name, brand, issuer, verification_count) VALUES ($1, $2, $3, $4, 0) \
                 ON CONFLICT (code) DO NOTHING"
            );
            let (code, name, brand, issuer) = SAMPLE;
            tx.execute(&sql, &params![code, name, brand, issuer])?;
            Ok(())
        })
        .await
}

pub fn tables() -> Vec<TableDef> {
    let index = TableDef {
        name: INDEX.into(),
        columns: vec![
            ColumnDef::required("code", ColumnKind::Text),
            ColumnDef::optional("company_id", ColumnKind::Int),
            ColumnDef::optional("code_id", ColumnKind::Uuid),
            ColumnDef::optional("item_name", ColumnKind::Text),
            ColumnDef::optional("brand", ColumnKind::Text),
            ColumnDef::optional("issuer", ColumnKind::Text),
            ColumnDef::optional("first_verified_at", ColumnKind::Int),
            ColumnDef::required("verification_count", ColumnKind::Int).with_default(0),
        ],
        primary_key: vec!["code".into()],
        foreign_keys: Vec::new(),
        indexes: Vec::new(),
    };
    let scans = TableDef {
        name: SCANS.into(),
        columns: vec![
            ColumnDef::required("id", ColumnKind::Uuid),
            ColumnDef::required("code", ColumnKind::Text),
            ColumnDef::required("at", ColumnKind::Int),
            ColumnDef::required("ip_hash", ColumnKind::Text),
            ColumnDef::optional("place", ColumnKind::Text),
        ],
        primary_key: vec!["id".into()],
        foreign_keys: Vec::new(),
        indexes: vec![IndexDef { columns: vec!["code".into(), "at".into()], unique: false, where_sql: None }],
    };
    vec![index, scans]
}

/// Claims a code for a company's record; `false` when somebody has it, whoever that is.
pub(super) fn claim(cx: &mut Cx<'_, '_>, code: &str, id: Uuid) -> Result<bool> {
    let sql = format!(
        "INSERT INTO {INDEX} (code, company_id, code_id, verification_count) VALUES ($1, $2, $3, 0) \
         ON CONFLICT (code) DO NOTHING"
    );
    let params = params![code, cx.company(), id];
    Ok(cx.tx.execute(&sql, &params)? == 1)
}

/// Where a code leads; `None` for one that nobody gave out.
pub(super) fn find(reader: &mut Reader<'_>, code: &str) -> Result<Option<Found>> {
    let sql = format!("SELECT company_id, code_id, item_name, brand, issuer FROM {INDEX} WHERE code = $1");
    let found = reader.first(&sql, &params![code], |row| {
        let words = |at| row.opt_text(at).map(|text| text.unwrap_or_default().to_owned());
        Ok(match (row.opt_i64(0)?, row.opt_uuid(1)?) {
            (Some(company), Some(code)) => Found::Company { company: CompanyId(company), code },
            _ => Found::Installation { name: words(2)?, brand: words(3)?, issuer: words(4)? },
        })
    })?;
    Ok(found)
}

/// Counts a check of a company's code; answers when it was first checked and how often by now. Not a change of the record as its staff know
/// it: no version, no audit row. The log of checks tells of every one.
pub(super) fn count_scan(cx: &mut Cx<'_, '_>, id: Uuid) -> Result<(Timestamp, i64)> {
    let table = cx.table("protector/codes")?;
    let sql = format!(
        "UPDATE {table} SET scans = COALESCE(scans, 0) + 1, first_seen_at = COALESCE(first_seen_at, $3), last_seen_at = $3 \
         WHERE company_id = $1 AND id = $2 RETURNING first_seen_at, scans"
    );
    let params = params![cx.company(), id, cx.now()];
    Ok(cx.tx.one(&sql, &params, |row| Ok((row.time(0)?, row.i64(1)?)))?)
}

/// Puts a batch's inactive codes to work in one statement.
pub(super) fn activate(cx: &mut Cx<'_, '_>, batch: Uuid) -> Result<()> {
    let table = cx.table("protector/codes")?;
    let sql = format!(
        "UPDATE {table} SET status = 'active', updated_at = $3, updated_by = $4, version = version + 1 \
         WHERE company_id = $1 AND batch = $2 AND status = 'inactive' AND deleted_at IS NULL"
    );
    let params = params![cx.company(), batch, cx.now(), cx.user()];
    cx.tx.execute(&sql, &params)?;
    Ok(())
}

/// Counts and logs a check of one of the installation's own codes; answers when it was first checked and how often by now.
pub(super) fn note_scan(
    tx: &mut Tx<'_>,
    id: Uuid,
    code: &str,
    at: Timestamp,
    ip_hash: &str,
    place: Option<&str>,
) -> Result<(Timestamp, i64)> {
    let sql = format!(
        "UPDATE {INDEX} SET verification_count = verification_count + 1, first_verified_at = COALESCE(first_verified_at, $2) \
         WHERE code = $1 RETURNING first_verified_at, verification_count"
    );
    let counted = tx.one(&sql, &params![code, at], |row| Ok((row.time(0)?, row.i64(1)?)))?;
    let sql = format!("INSERT INTO {SCANS} (id, code, at, ip_hash, place) VALUES ($1, $2, $3, $4, $5)");
    tx.push(&sql, params![id, code, at, ip_hash, place])?;
    Ok(counted)
}
