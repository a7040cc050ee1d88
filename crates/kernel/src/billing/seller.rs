//! [`Seller`]: who writes the bills, and how patient they are. One for the installation, set by the operator.

use loopd_store::{Reader, Tx, params};
use loopd_types::{DAY_US, Problem, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::access::Actor;
use crate::input::Input;
use crate::subscription::rules::Timing;
use crate::{Kernel, audit};

/// The operator as it stands on bills.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Seller {
    pub name: String,
    pub address: String,
    pub country: String,
    pub tax_id: String,
    pub email: String,
    /// How to pay by bank, as it is printed.
    pub instructions: String,
    pub invoice_prefix: String,
    pub credit_note_prefix: String,
    /// Until a bill that is paid by hand is due.
    pub payment_days: i64,
    pub grace_days: i64,
    /// From suspension to the end.
    pub patience_days: i64,
    /// Pauses between attempts to collect, in days.
    pub retry_days: Vec<i64>,
}

impl Default for Seller {
    fn default() -> Self {
        Self {
            name: "LOOP".to_owned(),
            address: String::new(),
            country: String::new(),
            tax_id: String::new(),
            email: String::new(),
            instructions: String::new(),
            invoice_prefix: "LB-".to_owned(),
            credit_note_prefix: "LC-".to_owned(),
            payment_days: 14,
            grace_days: 14,
            patience_days: 60,
            retry_days: vec![1, 3, 5, 7],
        }
    }
}

impl Seller {
    pub fn timing(&self) -> Timing {
        Timing { grace_us: self.grace_days * DAY_US, patience_us: self.patience_days * DAY_US }
    }
}

const NAME: &str = "billing.seller";

/// The seller as it is set; the defaults before that.
///
/// # Errors
/// The database's.
pub fn get(reader: &mut Reader<'_>) -> Result<Seller> {
    let found = reader
        .first("SELECT value FROM installation WHERE name = $1", &params![NAME], |row| Ok(row.text(0)?.to_owned()))?;
    match found {
        Some(text) => serde_json::from_str(&text).map_err(Problem::internal),
        None => Ok(Seller::default()),
    }
}

/// Changes what is given. Bills that are open keep the seller that they were opened by.
///
/// # Errors
/// 400.
pub fn update(tx: &mut Tx<'_>, kernel: &Kernel, actor: &Actor, body: Json) -> Result<Seller> {
    tx.lock(NAME)?;
    let mut seller = get(tx)?;
    let before = serde_json::to_value(&seller).map_err(Problem::internal)?;
    let mut input = Input::new(body, true)?;
    for (name, field, max) in [
        ("name", &mut seller.name, 200),
        ("address", &mut seller.address, 500),
        ("country", &mut seller.country, 2),
        ("tax_id", &mut seller.tax_id, 60),
        ("email", &mut seller.email, 254),
        ("instructions", &mut seller.instructions, 1000),
        ("invoice_prefix", &mut seller.invoice_prefix, 12),
        ("credit_note_prefix", &mut seller.credit_note_prefix, 12),
    ] {
        if let Some(text) = input.text(name, max) {
            *field = text;
        }
    }
    for (name, field, max) in [
        ("payment_days", &mut seller.payment_days, 365),
        ("grace_days", &mut seller.grace_days, 365),
        ("patience_days", &mut seller.patience_days, 3650),
    ] {
        if let Some(days) = input.integer(name, 0, max) {
            *field = days;
        }
    }
    if let Some(days) = input.typed::<Vec<i64>>("retry_days", "a list of days") {
        if days.len() > 20 || days.iter().any(|days| !(1..=90).contains(days)) {
            input.refuse("retry_days", "invalid", "At most 20 pauses of 1 to 90 days.");
        }
        seller.retry_days = days;
    }
    if seller.invoice_prefix == seller.credit_note_prefix {
        input.refuse("credit_note_prefix", "unique", "Bills and credit notes must be told apart by their prefix.");
    }
    input.finish()?;
    let text = serde_json::to_string(&seller).map_err(Problem::internal)?;
    tx.push(
        "INSERT INTO installation (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        params![NAME, text],
    )?;
    let changes = audit::differences(&before, &serde_json::to_value(&seller).map_err(Problem::internal)?);
    super::written_by_operator(tx, kernel, actor, ("billing-seller", "update"), (NAME, &seller.name), changes)?;
    Ok(seller)
}
