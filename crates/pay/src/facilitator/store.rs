//! What is sold here, as the facilitator lists it.

use loopd_store::{Reader, params};
use loopd_types::{Result, Timestamp};

use crate::endpoint::store::LISTED;

/// An endpoint whose seller lets it be found.
pub(super) struct Resource {
    pub url: String,
    pub price_micros: i64,
    /// As the seller named it.
    pub network: String,
    pub title: Option<String>,
    pub description: Option<String>,
    pub category: Option<String>,
    /// Where buyers pay.
    pub recipient: String,
    pub updated_at: Timestamp,
}

/// A page of what is listed, newest first, and how many there are.
pub(super) fn resources(reader: &mut Reader<'_>, limit: i64, offset: i64) -> Result<(Vec<Resource>, i64)> {
    let total = reader.one(&format!("SELECT COUNT(*) {LISTED}"), &[], |row| row.i64(0))?;
    let sql = format!(
        "SELECT e.url_pattern, e.price_micros, e.network, e.title, e.description, e.category, \
         COALESCE(p.pay_to, p.wallet_address), e.updated_at {LISTED} ORDER BY e.created_at DESC, e.id DESC LIMIT $1 OFFSET $2"
    );
    let found = reader.query(&sql, &params![limit, offset], |row| {
        let text = |at| row.opt_text(at).map(|text| text.map(str::to_owned));
        Ok(Resource {
            url: row.text(0)?.to_owned(),
            price_micros: row.i64(1)?,
            network: row.text(2)?.to_owned(),
            title: text(3)?,
            description: text(4)?,
            category: text(5)?,
            recipient: row.text(6)?.to_owned(),
            updated_at: row.time(7)?,
        })
    })?;
    Ok((found, total))
}
