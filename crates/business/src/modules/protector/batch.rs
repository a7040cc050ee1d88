//! Batches: making codes by the hundred, and putting them to work together.

use serde_json::json;

use super::{code, store};
use crate::define::*;
use crate::modules::text_of;

/// Codes of one batch. They are made in one transaction, which holds up other writers; more codes are more batches.
pub(super) const MOST_CODES: i64 = 2_000;
/// Characters of a prefix, so that prefix, random part and check character fit into a code.
const LONGEST_PREFIX: usize = 16;

/// A prefix is letters and digits; an expiry lies after the making.
pub(super) fn check(_: &mut Cx<'_, '_>, batch: &mut Record) -> Result<()> {
    if let Some(given) = batch.text("prefix").map(str::to_owned) {
        match code::normal(&given).filter(|prefix| prefix.len() <= LONGEST_PREFIX) {
            Some(prefix) => batch.set("prefix", prefix),
            None => {
                let words = format!("A prefix has at most {LONGEST_PREFIX} letters and digits.");
                return Err(Problem::field("prefix", "invalid", words));
            }
        }
    }
    match (batch.date("made_on"), batch.date("expires_on")) {
        (Some(made), Some(expires)) if expires < made => {
            Err(Problem::field("expires_on", "min_value", "The expiry lies before the making."))
        }
        _ => Ok(()),
    }
}

/// Notes how many codes are made, once: a sum kept up to date code by code would write the batch for every one of them.
pub(super) fn count(_: &mut Cx<'_, '_>, batch: &mut Record, _: &Input) -> Result<()> {
    let count = batch.int("count");
    batch.set("code_count", count);
    Ok(())
}

/// Makes the codes of a batch.
pub(super) fn generate(cx: &mut Cx<'_, '_>, batch: &mut Record, _: &Input) -> Result<()> {
    let body = json!({"batch": text_of(Some(batch.id())), "item": text_of(batch.id_in("item")), "workspace": text_of(batch.workspace())});
    for _ in 0..batch.int("count").unwrap_or(0).clamp(0, MOST_CODES) {
        cx.create("protector/codes", &body)?;
    }
    Ok(())
}

/// Puts the codes of a batch to work at once: the batch's own event and audit row tell of them all.
pub(super) fn activate(cx: &mut Cx<'_, '_>, batch: &mut Record, _: &Input) -> Result<()> {
    store::activate(cx, batch.id())
}
