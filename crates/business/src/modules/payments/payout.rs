//! The rules of payouts: money that leaves the company, asked for by one person and approved by another where the company wants it so.

use super::{currency_of, ledger, store, totals};
use crate::define::*;

pub fn check(_: &mut Cx<'_, '_>, payout: &mut Record) -> Result<()> {
    match payout.minor("amount") {
        ..=0 => Err(Problem::field("amount", "min_value", "Ensure this value is greater than 0.")),
        totals::MOST_MINOR.. => Err(Problem::field("amount", "max_value", "The amount is too large.")),
        _ => Ok(()),
    }
}

/// Once submitted, only words may change.
pub fn protect(_: &mut Cx<'_, '_>, before: &Record, payout: &mut Record) -> Result<()> {
    const FROZEN: [&str; 6] =
        ["amount", "currency", "method", "beneficiary_name", "beneficiary_phone", "beneficiary_account"];
    if before.status() == "draft" || FROZEN.iter().all(|field| before.value(field) == payout.value(field)) {
        return Ok(());
    }
    Err(Problem::conflict(
        "payout_not_draft",
        "A payout that was submitted cannot be changed; reject it and make another.",
    ))
}

pub fn require_draft(_: &mut Cx<'_, '_>, payout: &mut Record) -> Result<()> {
    match payout.status() {
        "draft" | "cancelled" | "rejected" => Ok(()),
        _ => Err(Problem::conflict("payout_not_draft", "A payout that was submitted cannot be deleted.")),
    }
}

pub fn note_submitter(cx: &mut Cx<'_, '_>, payout: &mut Record, _: &Input) -> Result<()> {
    payout.set("submitted_by", cx.user());
    Ok(())
}

/// With the company's setting `payments.four_eyes` nobody approves what they submitted.
pub fn require_other_eyes(cx: &mut Cx<'_, '_>, payout: &mut Record, _: &Input) -> Result<()> {
    let is_own = payout.id_in("submitted_by").is_some() && payout.id_in("submitted_by") == cx.user();
    if is_own && store::company_setting(cx.tx, cx.tenant.company, "four_eyes")? {
        return Err(Problem::forbidden("four_eyes", "Somebody else must approve what you submitted."));
    }
    Ok(())
}

pub fn note_approver(cx: &mut Cx<'_, '_>, payout: &mut Record, _: &Input) -> Result<()> {
    payout.set("approved_by", cx.user());
    Ok(())
}

pub fn post(cx: &mut Cx<'_, '_>, payout: &mut Record, _: &Input) -> Result<()> {
    let amount = payout.minor("amount");
    let account = ledger::account_of_method(payout.text("method").unwrap_or("other"))?;
    let cause =
        ledger::Cause { kind: "payout", payout: Some(payout.id()), memo: payout.number(), ..ledger::Cause::default() };
    ledger::post(cx, currency_of(payout)?, cause, &[("payouts", amount), (account, -amount)])
}
