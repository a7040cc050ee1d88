//! The advisor's own statements: sums, counts and tops over rows that `figures` chose.

use loopd_store::ddl::{ColumnDef, ColumnKind, TableDef};
use loopd_store::{Reader, Value, params};
use loopd_types::{CompanyId, Currency, render_decimal};

use super::figures::Rows;
use super::period::months;
use crate::define::*;

/// Appointments that are looked at for the busiest hours.
const MOST_MOMENTS: i64 = 20_000;
/// Best sellers that are named.
const MOST_SELLERS: i64 = 5;

/// Requests of a company in a month.
const QUOTA: &str = "ai_quota";

/// The table that is no resource's.
pub(super) fn tables() -> Vec<TableDef> {
    vec![TableDef {
        name: QUOTA.into(),
        columns: vec![
            ColumnDef::required("company_id", ColumnKind::Int),
            ColumnDef::required("month", ColumnKind::Text),
            ColumnDef::required("used", ColumnKind::Int).with_default(0),
        ],
        primary_key: vec!["company_id".into(), "month".into()],
        foreign_keys: Vec::new(),
        indexes: Vec::new(),
    }]
}

/// The company's plan of this product.
pub(super) fn plan(reader: &mut Reader<'_>, company: CompanyId) -> Result<Option<String>> {
    let sql = "SELECT plan FROM product_subscriptions WHERE company_id = $1 AND product = $2";
    Ok(reader.first(sql, &params![company, "ai"], |row| Ok(row.text(0)?.to_owned()))?)
}

/// What is used of a month.
pub(super) fn used(reader: &mut Reader<'_>, company: CompanyId, month: &str) -> Result<i64> {
    let sql = format!("SELECT used FROM {QUOTA} WHERE company_id = $1 AND month = $2");
    Ok(reader.first(&sql, &params![company, month], |row| row.i64(0))?.unwrap_or(0))
}

/// Counts one request; `false` when the cap is reached.
pub(super) fn take(cx: &mut Cx<'_, '_>, month: &str, cap: i64) -> Result<bool> {
    let sql = format!(
        "INSERT INTO {QUOTA} (company_id, month, used) VALUES ($1, $2, 0) ON CONFLICT (company_id, month) DO NOTHING"
    );
    cx.tx.execute(&sql, &params![cx.company(), month])?;
    let sql = format!("UPDATE {QUOTA} SET used = used + 1 WHERE company_id = $1 AND month = $2 AND used < $3");
    Ok(cx.tx.execute(&sql, &params![cx.company(), month, cap])? == 1)
}

/// Counts one request less.
pub(super) fn give_back(cx: &mut Cx<'_, '_>, month: &str) -> Result<()> {
    let sql = format!("UPDATE {QUOTA} SET used = used - 1 WHERE company_id = $1 AND month = $2 AND used > 0");
    cx.tx.execute(&sql, &params![cx.company(), month])?;
    Ok(())
}

/// An amount in one currency, over a number of rows.
pub(super) struct Sum {
    pub currency: String,
    pub count: i64,
    pub minor: i64,
}

impl Sum {
    pub fn text(&self) -> String {
        decimal(self.minor, &self.currency)
    }
}

fn decimal(minor: i64, currency: &str) -> String {
    render_decimal(minor, Currency::parse(currency).map_or(0, Currency::exponent))
}

/// The column of a field.
fn column<'r>(runtime: &'r crate::engine::ResourceRuntime, field: &str) -> Result<&'r str> {
    let place = runtime.place(field).ok_or_else(|| Problem::internal(format!("{} has no {field}", runtime.path)))?;
    Ok(&runtime.columns[place].sql)
}

/// Sums of a money field by currency; none for no rows.
pub(super) fn sums(viewer: &mut Viewer<'_, '_>, rows: &Rows, field: &str) -> Result<Vec<Sum>> {
    let (currency, amount) = (column(&rows.runtime, "currency")?, column(&rows.runtime, field)?);
    let sql = format!(
        "SELECT {currency}, COUNT(*), CAST(COALESCE(SUM({amount}), 0) AS BIGINT) FROM {} WHERE {} GROUP BY {currency} \
         ORDER BY {currency}",
        rows.runtime.table, rows.conditions
    );
    let found = viewer.reader.query(&sql, &rows.params, |row| {
        Ok(Sum { currency: row.opt_text(0)?.unwrap_or_default().to_owned(), count: row.i64(1)?, minor: row.i64(2)? })
    })?;
    Ok(found)
}

pub(super) fn count(viewer: &mut Viewer<'_, '_>, rows: &Rows) -> Result<i64> {
    let sql = format!("SELECT COUNT(*) FROM {} WHERE {}", rows.runtime.table, rows.conditions);
    Ok(viewer.reader.one(&sql, &rows.params, |row| row.i64(0))?)
}

/// The newest rows' ids.
pub(super) fn ids(viewer: &mut Viewer<'_, '_>, rows: &Rows, most: usize) -> Result<Vec<String>> {
    let (table, conditions) = (&rows.runtime.table, &rows.conditions);
    let sql = format!("SELECT id FROM {table} WHERE {conditions} ORDER BY id DESC LIMIT {most}");
    Ok(viewer.reader.query(&sql, &rows.params, |row| Ok(row.uuid(0)?.to_string()))?)
}

/// A date-time field of the newest rows.
pub(super) fn moments(viewer: &mut Viewer<'_, '_>, rows: &Rows, field: &str) -> Result<Vec<Timestamp>> {
    let (column, table, conditions) = (column(&rows.runtime, field)?, &rows.runtime.table, &rows.conditions);
    let sql = format!("SELECT {column} FROM {table} WHERE {conditions} ORDER BY {column} DESC LIMIT {MOST_MOMENTS}");
    Ok(viewer.reader.query(&sql, &rows.params, |row| row.time(0))?)
}

/// One thing that was sold.
pub(super) struct Seller {
    pub name: String,
    pub currency: String,
    pub quantity: String,
    pub total: i64,
}

impl Seller {
    pub fn text(&self) -> String {
        decimal(self.total, &self.currency)
    }
}

/// What the lines of these records sold most of, by amount.
pub(super) fn best_sellers(viewer: &mut Viewer<'_, '_>, rows: &Rows) -> Result<Vec<Seller>> {
    let runtime = &rows.runtime;
    let Some(lines) = runtime.lines.iter().find(|lines| lines.name == "lines") else { return Ok(Vec::new()) };
    let find = |names: &[&str]| names.iter().find_map(|name| lines.columns.iter().find(|column| column.name == *name));
    let (Some(name), Some(quantity), Some(total)) =
        (find(&["description", "title", "name"]), find(&["qty", "quantity"]), find(&["total", "amount"]))
    else {
        return Ok(Vec::new());
    };
    let scale = match quantity.kind {
        Kind::Decimal { scale } => scale,
        _ => 0,
    };
    let mut params = rows.params.clone();
    params.push(Value::from(viewer.company()));
    let company = params.len();
    let (currency, owners) = (column(runtime, "currency")?, &runtime.table);
    let (name, quantity, total) = (&name.sql, &quantity.sql, &total.sql);
    let sql = format!(
        "SELECT l.{name}, o.{currency}, CAST(COALESCE(SUM(l.{quantity}), 0) AS BIGINT), CAST(COALESCE(SUM(l.{total}), 0) AS BIGINT) \
         FROM {} l JOIN {owners} o ON o.company_id = l.company_id AND o.id = l.parent_id \
         WHERE l.company_id = ${company} AND l.{name} IS NOT NULL AND l.{name} <> '' \
         AND o.id IN (SELECT id FROM {owners} WHERE {}) \
         GROUP BY l.{name}, o.{currency} ORDER BY 4 DESC, 1 LIMIT {MOST_SELLERS}",
        lines.table, rows.conditions
    );
    let found = viewer.reader.query(&sql, &params, |row| {
        Ok(Seller {
            name: row.text(0)?.to_owned(),
            currency: row.opt_text(1)?.unwrap_or_default().to_owned(),
            quantity: trimmed(&render_decimal(row.i64(2)?, scale)),
            total: row.i64(3)?,
        })
    })?;
    Ok(found)
}

/// `3.0000` → `3`
fn trimmed(number: &str) -> String {
    match number.contains('.') {
        true => number.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => number.to_owned(),
    }
}

/// An invoice whose day is over.
pub(super) struct Late {
    pub label: String,
    pub due: String,
    pub currency: String,
    pub amount: i64,
}

impl Late {
    pub fn text(&self) -> String {
        decimal(self.amount, &self.currency)
    }
}

/// The one that is due longest.
pub(super) fn oldest_due(viewer: &mut Viewer<'_, '_>, rows: &Rows) -> Result<Option<Late>> {
    let runtime = &rows.runtime;
    let (due, currency, amount) =
        (column(runtime, "due_date")?, column(runtime, "currency")?, column(runtime, "amount_due")?);
    let sql = format!(
        "SELECT number, title, {due}, {currency}, {amount} FROM {} WHERE {} ORDER BY {due}, id LIMIT 1",
        runtime.table, rows.conditions
    );
    let found = viewer.reader.first(&sql, &rows.params, |row| {
        let number = row.opt_text(0)?.unwrap_or_default();
        Ok(Late {
            label: if number.is_empty() { row.text(1)?.to_owned() } else { number.to_owned() },
            due: row.opt_text(2)?.unwrap_or_default().to_owned(),
            currency: row.opt_text(3)?.unwrap_or_default().to_owned(),
            amount: row.opt_i64(4)?.unwrap_or(0),
        })
    })?;
    Ok(found)
}

/// Runs and tokens of one month.
pub(super) struct MonthUsage {
    pub month: String,
    pub runs: i64,
    pub input: i64,
    pub output: i64,
}

/// The last twelve months, newest first.
pub(super) fn usage(viewer: &mut Viewer<'_, '_>) -> Result<Vec<MonthUsage>> {
    let table = viewer.table("ai/runs")?;
    let sql = format!(
        "SELECT COUNT(*), CAST(COALESCE(SUM(input_tokens), 0) AS BIGINT), CAST(COALESCE(SUM(output_tokens), 0) AS BIGINT) \
         FROM {table} WHERE company_id = $1 AND created_at >= $2 AND created_at < $3"
    );
    let mut rows = Vec::with_capacity(12);
    for (month, from, until) in months(viewer.now(), viewer.tenant.timezone(), 12)? {
        let params = params![viewer.company(), from, until];
        rows.push(viewer.reader.one(&sql, &params, |row| {
            Ok(MonthUsage { month: month.clone(), runs: row.i64(0)?, input: row.i64(1)?, output: row.i64(2)? })
        })?);
    }
    Ok(rows)
}
