//! Whom a company's bills go to and how they are paid. A company that says nothing is billed as it is registered, and pays by hand.

use loopd_store::{Reader, StoreError, Tx, params};
use loopd_types::{CompanyId, Result};
use serde_json::{Value as Json, json};

use crate::Kernel;
use crate::access::Tenant;
use crate::input::Input;

/// Paid by bank or at the desk; an operator marks the bill.
pub const MANUAL: &str = "manual";

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    pub email: String,
    pub name: String,
    pub address: String,
    pub country: String,
    pub tax_id: String,
    /// `manual`, or the name of a collector.
    pub payment_method: String,
    /// What the collector knows the payer by: a telephone number, a token.
    pub payer: String,
}

impl Account {
    /// What stands on a bill.
    pub fn snapshot(&self) -> Json {
        json!({"name": self.name, "address": self.address, "country": self.country, "tax_id": self.tax_id, "email": self.email})
    }
    pub fn to_json(&self) -> Json {
        let mut all = self.snapshot();
        all["payment_method"] = Json::from(self.payment_method.as_str());
        all["payer"] = Json::from(self.payer.as_str());
        all
    }
}

/// A company's account: what it says, and for the rest what it is registered with.
///
/// # Errors
/// The database's.
pub fn get(reader: &mut Reader<'_>, company: CompanyId) -> Result<Account, StoreError> {
    reader.one(
        "SELECT c.name, c.legal_name, c.country, c.tax_id, a.email, a.name, a.address, a.country, a.tax_id, a.payment_method, a.payer \
         FROM companies c LEFT JOIN billing_accounts a ON a.company_id = c.company_id WHERE c.company_id = $1",
        &params![company],
        |row| {
            let first = |wanted: [usize; 3]| -> Result<String, StoreError> {
                for at in wanted {
                    if let Some(text) = row.opt_text(at)?.filter(|text| !text.is_empty()) {
                        return Ok(text.to_owned());
                    }
                }
                Ok(String::new())
            };
            Ok(Account {
                email: first([4, 4, 4])?,
                name: first([5, 1, 0])?,
                address: first([6, 6, 6])?,
                country: first([7, 2, 2])?,
                tax_id: first([8, 3, 3])?,
                payment_method: row.opt_text(9)?.unwrap_or(MANUAL).to_owned(),
                payer: row.opt_text(10)?.unwrap_or_default().to_owned(),
            })
        },
    )
}

/// Changes what is given; an empty text goes back to what the company is registered with.
///
/// # Errors
/// 400, also for a way to pay that this installation does not offer.
pub fn update(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, body: Json) -> Result<Account> {
    let mut input = Input::new(body, true)?;
    let email = input.text("email", 254);
    let name = input.text("name", 200);
    let address = input.text("address", 500);
    let country = input.text("country", 2);
    let tax_id = input.text("tax_id", 60);
    let method = input.text("payment_method", 60);
    let payer = input.text("payer", 200);
    if let Some(method) = &method
        && method != MANUAL
        && kernel.collectors().find(method).is_none()
    {
        input.refuse("payment_method", "invalid_choice", format!("\"{method}\" is not a valid choice."));
    }
    input.finish()?;
    let now = kernel.now();
    tx.push(
        "INSERT INTO billing_accounts (company_id, updated_at) VALUES ($1, $2) ON CONFLICT (company_id) DO NOTHING",
        params![tenant.company, now],
    )?;
    tx.execute(
        "UPDATE billing_accounts SET email = COALESCE($2, email), name = COALESCE($3, name), address = COALESCE($4, address), \
         country = COALESCE($5, country), tax_id = COALESCE($6, tax_id), payment_method = COALESCE($7, payment_method), \
         payer = COALESCE($8, payer), updated_at = $9, version = version + 1 WHERE company_id = $1",
        &params![tenant.company, email, name, address, country, tax_id, method, payer, now],
    )?;
    let account = get(tx, tenant.company)?;
    let code = tenant.code().to_owned();
    super::written(tx, kernel, tenant, ("billing-accounts", "update", "updated"), (&code, &code), account.to_json())?;
    Ok(account)
}
