//! The statements that the engine has no words for: sums of the ledger, what the company's row says, finding a payment by its reference.

use loopd_store::{Reader, Tx, Value, params};
use loopd_types::{CompanyId, Result, Timestamp, Uuid};

use super::{ACCOUNTS, ENTRIES};
use crate::define::{Cx, Viewer};

/// One account in one currency.
pub struct AccountSum {
    pub code: String,
    pub name: String,
    pub kind: String,
    pub currency: String,
    pub debit: i64,
    pub credit: i64,
}

/// What issuing and crediting an invoice posted: key of the account, debit minus credit.
pub fn posted_for_invoice(cx: &mut Cx<'_, '_>, invoice: Uuid) -> Result<Vec<(String, i64)>> {
    let (entries, accounts, company) = (cx.table(ENTRIES)?, cx.table(ACCOUNTS)?, cx.company());
    let sql = format!(
        "SELECT a.system_key, COALESCE(SUM(e.debit), 0), COALESCE(SUM(e.credit), 0) FROM {entries} e \
         JOIN {accounts} a ON a.company_id = e.company_id AND a.id = e.account \
         WHERE e.company_id = $1 AND e.invoice = $2 AND e.kind IN ('invoice', 'credit_note') GROUP BY a.system_key"
    );
    let map = |row: &loopd_store::Row<'_>| Ok((row.text(0)?.to_owned(), row.i64(1)? - row.i64(2)?));
    Ok(cx.tx.query(&sql, &params![company, invoice], map)?)
}

/// What every account holds in every currency, counting entries posted until `as_of`.
pub fn account_sums(viewer: &mut Viewer<'_, '_>, as_of: Timestamp, currency: Option<&str>) -> Result<Vec<AccountSum>> {
    let (entries, accounts) = (viewer.table(ENTRIES)?, viewer.table(ACCOUNTS)?);
    let mut values = params![viewer.company(), as_of].to_vec();
    let mut condition = "";
    if let Some(currency) = currency {
        values.push(Value::from(currency));
        condition = " AND e.currency = $3";
    }
    let sql = format!(
        "SELECT a.code, a.title, a.kind, e.currency, COALESCE(SUM(e.debit), 0), COALESCE(SUM(e.credit), 0) \
         FROM {entries} e JOIN {accounts} a ON a.company_id = e.company_id AND a.id = e.account \
         WHERE e.company_id = $1 AND e.posted_at <= $2{condition} \
         GROUP BY a.code, a.title, a.kind, e.currency ORDER BY e.currency, a.code"
    );
    let rows = viewer.reader.query(&sql, &values, |row| {
        Ok(AccountSum {
            code: row.text(0)?.to_owned(),
            name: row.text(1)?.to_owned(),
            kind: row.text(2)?.to_owned(),
            currency: row.text(3)?.to_owned(),
            debit: row.i64(4)?,
            credit: row.i64(5)?,
        })
    })?;
    Ok(rows)
}

/// The company's setting `payments.<name>` (`PATCH /companies/{id}/` with `{"settings": {"payments": {"overpayment": true}}}`).
pub fn company_setting(tx: &mut Tx<'_>, company: CompanyId, name: &str) -> Result<bool> {
    Ok(loopd_kernel::company::settings(tx, company, "payments")?[name] == true)
}

/// What a receipt says about the seller: legal name, taxpayer number, country.
pub fn seller(tx: &mut Tx<'_>, company: CompanyId) -> Result<(String, String, String)> {
    let sql = "SELECT legal_name, tax_id, country FROM companies WHERE company_id = $1";
    let map = |row: &loopd_store::Row<'_>| {
        let text = |i| Ok::<_, loopd_store::StoreError>(row.opt_text(i)?.unwrap_or_default().to_owned());
        Ok((text(0)?, text(1)?, text(2)?))
    };
    Ok(tx.one(sql, &params![company], map)?)
}

/// The payment that a provider knows by `reference`; `table` is that of payments.
pub fn find_by_reference(
    reader: &mut Reader<'_>,
    table: &str,
    company: CompanyId,
    provider: &str,
    reference: &str,
) -> Result<Option<Uuid>> {
    let sql = format!(
        "SELECT id FROM {table} WHERE company_id = $1 AND provider_ref = $2 AND provider = $3 AND deleted_at IS NULL"
    );
    Ok(reader.first(&sql, &params![company, reference, provider], |row| row.uuid(0))?)
}
