//! Letters about money: to the account's address, or to the company's owners where it names none.

use loopd_store::{Tx, params};
use loopd_types::{Currency, Money, Result, Timestamp, Uuid};

use super::account;
use super::bill::Bill;
use crate::Kernel;
use crate::access::Tenant;
use crate::mail::{self, Letter, Template};

/// Who reads them: address and language.
fn readers(tx: &mut Tx<'_>, tenant: &Tenant) -> Result<Vec<(String, String)>> {
    let account = account::get(tx, tenant.company)?;
    if !account.email.is_empty() {
        return Ok(vec![(account.email, tenant.language().to_owned())]);
    }
    Ok(tx.query(
        "SELECT u.email, u.language FROM memberships m JOIN users u ON u.id = m.user_id \
         WHERE m.company_id = $1 AND m.role = 'owner' AND m.status = 'active' AND u.is_active ORDER BY u.email",
        &params![tenant.company],
        |row| Ok((row.text(0)?.to_owned(), row.text(1)?.to_owned())),
    )?)
}

fn send(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, template: &Template<'_>) -> Result<()> {
    for (to, language) in readers(tx, tenant)? {
        let letter = Letter { company: tenant.company, to: &to, language: &language, template: template.clone() };
        mail::queue(tx, kernel, &letter)?;
    }
    Ok(())
}

fn bill_link(kernel: &Kernel, id: Uuid) -> String {
    format!("{}/api/v1/billing/invoices/{id}/pdf/", kernel.settings.public_url)
}

fn money(minor: i64, currency: &str) -> String {
    Currency::parse(currency).map_or_else(String::new, |currency| Money { minor, currency }.to_string())
}

/// A bill was opened.
pub(super) fn opened(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, bill: &Bill, due_at: Timestamp) -> Result<()> {
    let (number, amount, link) = (bill.label(), money(bill.total, &bill.currency), bill_link(kernel, bill.id));
    let company = tenant.company_name();
    send(tx, kernel, tenant, &Template::Bill { company, number: &number, amount: &amount, due_at, link: &link })
}

/// A bill of a subscription is overdue.
pub(crate) fn overdue(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    subscription: Uuid,
    grace_ends_at: Timestamp,
) -> Result<()> {
    let found = tx.first(
        "SELECT id, number, total_minor - paid_minor - credited_minor, currency FROM billing_invoices \
         WHERE company_id = $1 AND subscription_id = $2 AND kind = 'invoice' AND status = 'open' ORDER BY due_at LIMIT 1",
        &params![tenant.company, subscription],
        |row| Ok((row.uuid(0)?, row.opt_text(1)?.unwrap_or_default().to_owned(), row.i64(2)?, row.text(3)?.to_owned())),
    )?;
    let Some((id, number, due, currency)) = found else { return Ok(()) };
    let (amount, link) = (money(due, &currency), bill_link(kernel, id));
    let company = tenant.company_name();
    send(
        tx,
        kernel,
        tenant,
        &Template::PaymentOverdue { company, number: &number, amount: &amount, grace_ends_at, link: &link },
    )
}

/// A subscription was suspended for a bill.
pub(crate) fn suspended(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, product: &str) -> Result<()> {
    let link = format!("{}/api/v1/billing/invoices/?status=open", kernel.settings.public_url);
    let company = tenant.company_name();
    send(tx, kernel, tenant, &Template::SubscriptionSuspended { company, product, link: &link })
}

/// A meter has come near its hard limit, or to it.
pub(super) fn usage(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    meter: &str,
    (used, limit): (i64, i64),
    resets_at: Timestamp,
    is_reached: bool,
) -> Result<()> {
    let sql = "SELECT name FROM meters WHERE code = $1";
    let name = tx.first(sql, &params![meter], |row| Ok(row.text(0)?.to_owned()))?.unwrap_or_else(|| meter.to_owned());
    let link = format!("{}/api/v1/billing/usage/", kernel.settings.public_url);
    let (company, meter, link) = (tenant.company_name(), name.as_str(), link.as_str());
    send(tx, kernel, tenant, &Template::UsageLimit { company, meter, used, limit, resets_at, is_reached, link })
}

/// A trial of a product that is sold is about to end.
pub(crate) fn trial_ends(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    product: &str,
    ends_at: Timestamp,
) -> Result<()> {
    let link = format!("{}/api/v1/plans/?product={product}", kernel.settings.public_url);
    let company = tenant.company_name();
    send(tx, kernel, tenant, &Template::TrialEnding { company, product, ends_at, link: &link })
}

/// A trial is about to end, and the plan that was chosen begins; `charge` is what is then billed, in minor units, and its currency.
pub(crate) fn first_charge(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    (product, plan): (&str, &str),
    charge: (i64, &str),
    ends_at: Timestamp,
) -> Result<()> {
    let link = format!("{}/api/v1/product-subscriptions/?product={product}", kernel.settings.public_url);
    let (company, amount) = (tenant.company_name(), money(charge.0, charge.1));
    send(tx, kernel, tenant, &Template::FirstCharge { company, product, plan, amount: &amount, ends_at, link: &link })
}
