//! Calls by API, counted for each company and product: noted in memory, written in batches, never a write per request.
//!
//! A batch is counted once: its node and number are written in the transaction that counts it, so one whose commit was lost on the way is
//! sent again without effect if it was there. A process that is killed loses what it noted since its last batch, five seconds' worth at most;
//! one that stops writes it. What counts is a call that was let into one company; the calls of a batch count in the month of its writing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use loopd_store::{Tx, Value, View, params};
use loopd_types::{CompanyId, DAY_US, Result, Uuid};

use super::calendar::month_of;
use super::usage;
use crate::Kernel;
use crate::access::Tenant;

/// The meter of all calls of a company; a product's own follows after a dot. Made by the server; no operator's meter is called so.
pub const METER: &str = "api_calls";
/// What calls that belong to no product (people, roles, bills) are counted under.
const CORE: &str = "core";

/// The meter of a product's calls: `api_calls.booking`.
pub(crate) fn meter_of(product: &str) -> String {
    format!("{METER}.{product}")
}

/// Calls by company and product.
type Counts = BTreeMap<CompanyId, BTreeMap<Box<str>, i64>>;

/// What was called since the last batch.
#[derive(Default)]
pub(crate) struct Calls {
    noted: Mutex<Counts>,
    sending: tokio::sync::Mutex<Sending>,
}

#[derive(Default)]
struct Sending {
    /// By whose name batches are numbered; made with the first.
    node: Option<Uuid>,
    number: i64,
    /// The batch of this number, until it is known to be written.
    batch: Option<Arc<Counts>>,
}

impl Calls {
    pub fn note(&self, company: CompanyId, product: Option<&str>) {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        let (of, product) = (noted.entry(company).or_default(), product.unwrap_or(CORE));
        match of.get_mut(product) {
            Some(count) => *count += 1,
            None => {
                of.insert(product.into(), 1);
            }
        }
    }

    fn take(&self) -> Counts {
        std::mem::take(&mut *self.noted.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Kernel {
    /// Notes a call by API in a company.
    pub fn note_call(&self, company: CompanyId, product: Option<&str>) {
        self.calls.note(company, product);
    }

    /// Counts what was called since the last time. Run every few seconds and at shutdown; what could not be written is written by the next.
    ///
    /// # Errors
    /// The database's.
    pub async fn flush_calls(self: &Arc<Self>) -> Result<()> {
        let mut sending = self.calls.sending.lock().await;
        let batch = match &sending.batch {
            Some(unsure) => unsure.clone(),
            None => {
                let noted = self.calls.take();
                if noted.is_empty() {
                    return Ok(());
                }
                sending.number += 1;
                sending.batch.insert(Arc::new(noted)).clone()
            }
        };
        let node = *sending.node.get_or_insert_with(|| self.new_id());
        let mut tenants = BTreeMap::new();
        for company in batch.keys() {
            if let Some(access) = self.company_access(*company).await? {
                tenants.insert(*company, Tenant::system(access, "metering"));
            }
        }
        let (kernel, number) = (self.clone(), sending.number);
        self.db.write(View::System, move |tx| write(tx, &kernel, (node, number), &batch, &tenants)).await?;
        sending.batch = None;
        Ok(())
    }
}

fn write(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    (node, number): (Uuid, i64),
    batch: &Counts,
    tenants: &BTreeMap<CompanyId, Tenant>,
) -> Result<()> {
    let now = kernel.now();
    let is_new = tx.execute(
        "INSERT INTO usage_batches (node, number, at) VALUES ($1, $2, $3) \
         ON CONFLICT (node) DO UPDATE SET number = excluded.number, at = excluded.at WHERE usage_batches.number < excluded.number",
        &params![node, number, now],
    )?;
    if is_new == 0 {
        return Ok(());
    }
    // Nodes that are long gone.
    tx.push("DELETE FROM usage_batches WHERE at < $1", params![now.plus(-7 * DAY_US)])?;
    let month = month_of(now);
    // In the companies' order, so that two nodes' batches wait for each other and never in a circle.
    for (company, tenant) in tenants {
        let mut all = 0;
        for (product, count) in &batch[company] {
            usage::add(tx, kernel, tenant, &meter_of(product), month, *count)?;
            all += count;
        }
        usage::add(tx, kernel, tenant, METER, month, all)?;
    }
    Ok(())
}

/// Makes the meters of calls that are not there yet, one for all and one for each product.
///
/// # Errors
/// The database's.
pub async fn prepare(kernel: &Arc<Kernel>) -> Result<()> {
    let shared = kernel.clone();
    kernel
        .db
        .write(View::System, move |tx| {
            let products = shared.catalogue.products().iter().map(|product| product.slug.as_str());
            let (known, now) =
                (tx.query("SELECT code FROM meters", &[], |row| Ok(row.text(0)?.to_owned()))?, shared.now());
            let all = [(METER.to_owned(), "", "Calls by API".to_owned())];
            let each = products.chain([CORE]).map(|product| {
                let of = if product == CORE { "" } else { product };
                (meter_of(product), of, format!("Calls by API: {product}"))
            });
            for (code, product, name) in all.into_iter().chain(each).filter(|(code, ..)| !known.contains(code)) {
                tx.push(
                    "INSERT INTO meters (id, code, product, name, unit, kinds, field, guards, created_at, updated_at) \
                     VALUES ($1, $2, $3, $4, 'calls', $5, '', $5, $6, $6) ON CONFLICT (code) DO NOTHING",
                    params![shared.new_id(), code.as_str(), product, name.as_str(), Value::Json("[]".to_owned()), now],
                )?;
            }
            Ok(())
        })
        .await
}
