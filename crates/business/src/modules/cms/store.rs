//! Claims of domains. A domain leads to one site of one company in the whole installation, so claims live in a table of their own, beside the
//! tenants' tables: whoever asks by a domain does not know the company yet.

use loopd_store::ddl::{ColumnDef, ColumnKind, ForeignKeyDef, IndexDef, OnDelete, TableDef};
use loopd_store::{Reader, Tx, params};
use loopd_types::{CompanyId, Result, Uuid};

/// `domain` → company and site; written by the claiming company, read by the system.
const CLAIMS: &str = "cms_domain_claims";

/// The table of claims on the sites in the table `sites`.
pub(super) fn claims(sites: &str) -> TableDef {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<String>>();
    TableDef {
        name: CLAIMS.into(),
        columns: vec![
            ColumnDef::required("domain", ColumnKind::Text),
            ColumnDef::required("company_id", ColumnKind::Int),
            ColumnDef::required("site_id", ColumnKind::Uuid),
        ],
        primary_key: words(&["domain"]),
        foreign_keys: vec![ForeignKeyDef {
            columns: words(&["company_id", "site_id"]),
            table: sites.to_owned(),
            references: words(&["company_id", "id"]),
            on_delete: OnDelete::Restrict,
        }],
        indexes: vec![IndexDef { columns: words(&["company_id", "site_id"]), unique: false, where_sql: None }],
    }
}

/// The company and site that hold a domain.
pub(super) fn find_site(reader: &mut Reader<'_>, domain: &str) -> Result<Option<(CompanyId, Uuid)>> {
    let sql = format!("SELECT company_id, site_id FROM {CLAIMS} WHERE domain = $1");
    Ok(reader.first(&sql, &params![domain], |row| Ok((CompanyId(row.i64(0)?), row.uuid(1)?)))?)
}

/// Makes `domain` the only one that a site holds; none when it is `None`. `false` when another site has it, whoever's that is.
pub(super) fn claim(tx: &mut Tx<'_>, company: CompanyId, site: Uuid, domain: Option<&str>) -> Result<bool> {
    let sql = format!("DELETE FROM {CLAIMS} WHERE company_id = $1 AND site_id = $2 AND domain <> $3");
    tx.execute(&sql, &params![company, site, domain.unwrap_or("")])?;
    let Some(domain) = domain else { return Ok(true) };
    let sql = format!("SELECT 1 FROM {CLAIMS} WHERE domain = $1 AND company_id = $2 AND site_id = $3");
    if tx.first(&sql, &params![domain, company, site], |_| Ok(()))?.is_some() {
        return Ok(true);
    }
    let sql = format!(
        "INSERT INTO {CLAIMS} (domain, company_id, site_id) VALUES ($1, $2, $3) ON CONFLICT (domain) DO NOTHING"
    );
    Ok(tx.execute(&sql, &params![domain, company, site])? == 1)
}
